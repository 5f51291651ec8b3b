//! Whether a call costs more where there is more of everything: tools, sessions, rules.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use super::measure::{Loadgen, median};
use super::{Plan, Programs};
use crate::everything::{Everything, READS, RULES, Rules, Wanted};
use crate::run::{Server, free_port};

pub(crate) const NAME: &str = "growth";

/// How often both are measured, in turns.
const TURNS: usize = 5;

/// How long each time: as old as a server's list may get before the gateway reads it again.
const SECONDS: f64 = 10.0;

/// How it was measured, for the page.
pub(crate) const METHOD: &str = "\
CPU of the gateway for one call of 100 B with everything on, 16 on the way at once, where there is little and where there is much; in
turns, five times each, numbers are medians. Tools are approved ones of one server, which the gateway lists again when its list is older than
ten seconds, as always, each of its sixteen sessions for itself; that is part of the cost. Sessions are open with a connection each, of one client, and the calls go round all of them. Every rule but one looks at arguments; ten of them concern every
call and the others each another tool, or all of them concern every call.
";

/// What there is little or much of.
struct Kind {
    key: &'static str,
    what: &'static str,
    few: usize,
    many: usize,
    /// Tools, sessions and rules, where there are so many of it.
    scene: fn(usize) -> Scene,
}

#[derive(Clone, Copy)]
struct Scene {
    tools: usize,
    sessions: usize,
    rules: Rules,
}

const KINDS: &[Kind] = &[
    Kind { key: "tools", what: "tools", few: 10, many: 10_000, scene: |tools| Scene { tools, sessions: 16, rules: RULES } },
    Kind { key: "sessions", what: "sessions", few: 16, many: 10_000, scene: |sessions| Scene { tools: 10, sessions, rules: RULES } },
    Kind {
        key: "rules",
        what: "rules, most for other tools",
        few: 10,
        many: 1_000,
        scene: |rules| policy(Rules { here: 10, elsewhere: rules - 10 }),
    },
    Kind { key: "rules-here", what: "rules, all for every call", few: 10, many: 1_000, scene: |rules| policy(Rules::here(rules)) },
];

const fn policy(rules: Rules) -> Scene {
    Scene { tools: 10, sessions: 16, rules }
}

/// CPU per call of one kind, µs.
pub(crate) struct Grown {
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) few: (usize, f64),
    pub(crate) many: (usize, f64),
}

impl Grown {
    pub(crate) fn ratio(&self) -> f64 {
        self.many.1 / self.few.1
    }
}

pub(crate) fn measure(programs: &Programs, loadgen: &Loadgen, plan: &Plan) -> Result<Vec<Grown>> {
    let plan = &if plan.quick { plan.clone() } else { Plan { secs: SECONDS, ..plan.clone() } };
    KINDS.iter().map(|kind| grown(programs, loadgen, plan, kind).with_context(|| format!("growth of {}", kind.what))).collect()
}

fn grown(programs: &Programs, loadgen: &Loadgen, plan: &Plan, kind: &Kind) -> Result<Grown> {
    let sets = [kind.few, kind.many].map(|count| Set::up(programs, (kind.scene)(count)));
    let [few, many] = sets;
    let (few, many) = (few?, many?);
    let (mut cheap, mut dear) = (Vec::new(), Vec::new());
    for turn in 1..=if plan.quick { 1 } else { TURNS } {
        cheap.push(few.cpu_us(loadgen, plan)?);
        dear.push(many.cpu_us(loadgen, plan)?);
        println!("  growth, {}, turn {turn}: {:?} us, {:?} us", kind.what, cheap.last(), dear.last());
    }
    let of = |values| median(values).context("nothing was measured");
    Ok(Grown { key: kind.key, what: kind.what, few: (kind.few, of(cheap)?), many: (kind.many, of(dear)?) })
}

/// A gateway and the server behind it, stopped while they are not measured.
struct Set {
    scene: Scene,
    everything: Everything,
    gateway: Server,
    upstream: Server,
    _dir: TempDir,
}

impl Set {
    fn up(programs: &Programs, scene: Scene) -> Result<Set> {
        let dir = tempfile::Builder::new().prefix("bench-growth-").tempdir()?;
        let port = free_port()?;
        let mut c = Command::new(&programs.upstream);
        c.args(["http", "--addr", &format!("127.0.0.1:{port}"), "--tools", &scene.tools.to_string()]);
        let mut upstream = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
        upstream.wait_for(port, Duration::from_secs(10))?;
        let everything = Everything::set_up(&Wanted { bartizan: &programs.bartizan, upstream: port, rules: scene.rules })?;
        let gateway = everything.serve()?;
        gateway.signal(Signal::STOP);
        Ok(Set { scene, everything, gateway, upstream, _dir: dir })
    }

    fn cpu_us(&self, loadgen: &Loadgen, plan: &Plan) -> Result<f64> {
        self.gateway.signal(Signal::CONT);
        let (pid, upstream) = (self.gateway.pid().to_string(), self.upstream.pid().to_string());
        let count = self.scene.sessions.to_string();
        let more = ["--n", &count, "--clients", "16", "--size", "100", "--pid", &pid, "--upstream-pid", &upstream];
        let args = self.everything.args(READS);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more).collect();
        let value = loadgen.quietest(plan, "spread", &args);
        self.gateway.signal(Signal::STOP);
        value?.pointer("/gateway/cpu_us_per_call").and_then(serde_json::Value::as_f64).context("no CPU per call")
    }
}
