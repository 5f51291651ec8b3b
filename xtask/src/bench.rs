//! `cargo xtask bench`: what Bartizan adds to a call, next to no gateway at all and to nginx, which does
//! nothing but pass bytes on and is therefore the floor for any gateway in a process of its own.
//!
//! All are measured in turns, so that a slow minute of the machine hits each of them; whoever is not
//! being measured is stopped (SIGSTOP), so that idle background work does not count.

mod confined;
mod egress;
mod lists;
mod measure;
mod nginx;
mod report;
mod stage;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::run::{Options, cargo, root, run};
use measure::{Loadgen, Row, Rows};
use stage::Stage;

/// How much is measured.
pub(crate) struct Plan {
    rounds: usize,
    secs: f64,
    warmup: f64,
    /// A measurement that other programs disturbed is repeated so many times.
    retries: usize,
    sessions: usize,
    only: Vec<String>,
    quick: bool,
}

/// Bytes of the echoed message.
const SIZES: &[usize] = &[100, 10_000, 100_000];
const CLIENTS: &[usize] = &[1, 16, 64];
/// Calls on the way at once over stdio.
const INFLIGHT: &[usize] = &[1, 16];

/// The programs under measurement.
pub(crate) struct Programs {
    loadgen: PathBuf,
    upstream: PathBuf,
    bartizan: PathBuf,
    catalog: PathBuf,
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let quick = o.flag("--quick");
    let rounds = o.value("--rounds")?.map(str::parse).transpose().context("--rounds")?;
    let only = o.value("--only")?.map_or_else(Vec::new, |l| l.split(',').map(str::to_string).collect());
    let bartizan = o.value("--bartizan")?.map(PathBuf::from);
    o.finish()?;
    let plan = if quick {
        Plan { rounds: rounds.unwrap_or(1), secs: 0.7, warmup: 0.2, retries: 0, sessions: 100, only, quick }
    } else {
        Plan { rounds: rounds.unwrap_or(3), secs: 4.0, warmup: 1.0, retries: 2, sessions: 1000, only, quick }
    };
    let parts = [lists::NAME, confined::NAME, egress::NAME];
    if let Some(wrong) = plan.only.iter().find(|name| ![stage::NAMES, &parts].concat().contains(&name.as_str())) {
        bail!("there is no target `{wrong}`; there are {}, {}", stage::NAMES.join(", "), parts.join(", "));
    }
    // Alone, and only when it is named: its figures are in `docs/confinement.md`.
    if plan.only == [egress::NAME] {
        return egress::measure(&gateway(bartizan)?);
    }
    let programs = build(&plan, bartizan)?;
    let loadgen = Loadgen { program: programs.loadgen.clone() };
    let mut stage = Stage::set(&programs, &plan)?;
    let mut rows = Rows::default();
    for round in 1..=plan.rounds {
        println!("round {round} of {}", plan.rounds);
        over_http(&mut stage, &loadgen, &plan, &mut rows)?;
        over_stdio(&mut stage, &loadgen, &plan, &mut rows)?;
    }
    let memory = stage.memory(&loadgen, &plan)?;
    drop(stage);
    let lists = if plan.wants(lists::NAME) { Some(lists::measure(&programs, &loadgen)?) } else { None };
    let confined = if plan.wants(confined::NAME) { Some(confined::measure(&programs)?) } else { None };
    report::write(&plan, &rows, &report::More { memory, lists, confined })
}

/// The gateway as it ships, unless another one is named.
fn gateway(named: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named);
    }
    run(cargo().args(["build", "--locked", "--profile", "dist", "-p", "bartizan"]))?;
    Ok(root().join("target/dist/bartizan"))
}

fn build(plan: &Plan, bartizan: Option<PathBuf>) -> Result<Programs> {
    // Two commands, because one would give Bartizan the features that the load generator asks for.
    let profile = ["build", "--locked", "--profile", "dist", "-p"];
    run(cargo().args(profile).arg("bartizan-bench"))?;
    if bartizan.is_none() && ["bartizan", lists::NAME, confined::NAME].iter().any(|name| plan.wants(name)) {
        run(cargo().args(profile).arg("bartizan"))?;
    }
    if plan.wants(lists::NAME) {
        run(cargo().args(profile).arg("bartizan-bench-catalog"))?;
    }
    let dist = root().join("target/dist");
    Ok(Programs {
        loadgen: dist.join("bench-loadgen"),
        upstream: dist.join("bench-upstream"),
        catalog: dist.join("bench-catalog"),
        bartizan: bartizan.unwrap_or_else(|| dist.join("bartizan")),
    })
}

impl Plan {
    /// Is any target wanted whose name begins so?
    fn wants(&self, prefix: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|n| n.starts_with(prefix))
    }
}

fn over_http(stage: &mut Stage, loadgen: &Loadgen, plan: &Plan, rows: &mut Rows) -> Result<()> {
    for &size in SIZES {
        for &clients in CLIENTS {
            for target in stage.http() {
                stage.focus(target.owner);
                let (size_text, clients_text) = (size.to_string(), clients.to_string());
                let mut args = vec!["--size", &size_text, "--clients", &clients_text];
                args.extend(target.args.iter().map(String::as_str));
                let value = loadgen.quietest(plan, "call", &args)?;
                stage.everybody();
                rows.add(Row::read(target.name, size, clients, "gateway", &value)?);
            }
        }
    }
    Ok(())
}

fn over_stdio(stage: &mut Stage, loadgen: &Loadgen, plan: &Plan, rows: &mut Rows) -> Result<()> {
    for &size in SIZES {
        for &inflight in INFLIGHT {
            for target in stage.stdio() {
                stage.focus(stage::Owner::Nobody);
                let (size_text, inflight_text) = (size.to_string(), inflight.to_string());
                let mut args = vec!["--size", &size_text, "--inflight", &inflight_text];
                args.extend(["--runs", "1", "--settle", "0.3"]);
                args.extend(target.args.iter().map(String::as_str));
                let value = loadgen.quietest(plan, "stdio", &args)?;
                stage.everybody();
                rows.add(Row::read(target.name, size, inflight, "tree", &value)?);
            }
        }
    }
    Ok(())
}
