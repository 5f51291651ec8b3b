//! `cargo xtask bench`: what Bartizan adds to a call, next to no gateway at all and to nginx, which does
//! nothing but pass bytes on and is therefore the floor for any gateway in a process of its own.
//!
//! All are measured in turns, so that a slow minute of the machine hits each of them; whoever is not
//! being measured is stopped (SIGSTOP), so that idle background work does not count.

mod bars;
mod confined;
mod egress;
mod growth;
mod lists;
mod measure;
mod nginx;
mod report;
mod stage;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::run::{Options, cargo, root, run};
use crate::ship;
pub(crate) use measure::{Loadgen, median};
use measure::{Row, Rows};
use stage::Stage;

/// How much is measured.
#[derive(Clone)]
pub(crate) struct Plan {
    rounds: usize,
    secs: f64,
    warmup: f64,
    /// A measurement that other programs disturbed is repeated so many times.
    retries: usize,
    sessions: usize,
    only: Vec<String>,
    quick: bool,
    /// How the programs are built. Only what is built as it ships is published.
    profile: String,
}

/// How often each is measured, unless somebody wants it otherwise.
const ROUNDS: usize = 5;

/// The profile of what is shipped.
pub(crate) const SHIPPED: &str = "dist";

/// Bytes of the echoed message.
const SIZES: &[usize] = &[100, 10_000, 100_000];
const CLIENTS: &[usize] = &[1, 16, 64];
/// Calls on the way at once over stdio.
const INFLIGHT: &[usize] = &[1, 16];

/// What is measured beside calls, where it is wanted.
const BESIDE: &[&str] = &[lists::NAME, confined::NAME, growth::NAME];

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
    let profile = o.value("--profile")?.unwrap_or(SHIPPED).to_owned();
    o.finish()?;
    let plan = if quick {
        Plan { rounds: rounds.unwrap_or(1), secs: 0.7, warmup: 0.2, retries: 0, sessions: 100, only, quick, profile }
    } else {
        Plan { rounds: rounds.unwrap_or(ROUNDS), secs: 3.0, warmup: 0.7, retries: 2, sessions: 1000, only, quick, profile }
    };
    let known: Vec<&str> = stage::NAMES.iter().chain(BESIDE).chain(&[egress::NAME]).copied().collect();
    if let Some(wrong) = plan.only.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no target `{wrong}`; there are {}", known.join(", "));
    }
    // Alone, and only when it is named: its figures are in `docs/confinement.md`.
    if plan.only.iter().any(|name| name == egress::NAME) {
        if plan.only.len() > 1 {
            bail!("`{}` is measured alone: name nothing else with --only", egress::NAME);
        }
        return egress::measure(&gateway(bartizan, &plan.profile)?);
    }
    let programs = programs(&plan, bartizan)?;
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
    let growth = if plan.wants(growth::NAME) { growth::measure(&programs, &loadgen, &plan)? } else { Vec::new() };
    report::write(&plan, &rows, &report::More { memory, lists, confined, growth })
}

/// The gateway of a profile, unless another one is named.
pub(crate) fn gateway(named: Option<PathBuf>, profile: &str) -> Result<PathBuf> {
    match named {
        Some(named) => Ok(named),
        None if profile == SHIPPED => ship::build(),
        None => Ok(build(profile, &["bartizan"])?.join("bartizan")),
    }
}

/// Builds packages, and says where their programs are.
pub(crate) fn build(profile: &str, packages: &[&str]) -> Result<PathBuf> {
    if profile == "dev" {
        // All together, as for the tests: one alone would ask other things of what it depends on.
        run(cargo().args(["build", "--locked", "--workspace", "--all-targets"]))?;
        return Ok(root().join("target/debug"));
    }
    for package in packages {
        // Several commands, because one would give Bartizan the features that the load generator asks for.
        run(cargo().args(["build", "--locked", "--profile", profile, "-p", package]))?;
    }
    Ok(root().join("target").join(profile))
}

/// The programs that a plan needs.
fn programs(plan: &Plan, bartizan: Option<PathBuf>) -> Result<Programs> {
    let mut packages = vec!["bartizan-bench"];
    packages.extend(plan.wants(lists::NAME).then_some("bartizan-bench-catalog"));
    let built = build(&plan.profile, &packages)?;
    let wanted = BESIDE.iter().chain(&["bartizan"]).any(|name| plan.wants(name));
    let bartizan = if wanted { gateway(bartizan, &plan.profile)? } else { PathBuf::new() };
    Ok(Programs {
        loadgen: built.join("bench-loadgen"),
        upstream: built.join("bench-upstream"),
        catalog: built.join("bench-catalog"),
        bartizan,
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
