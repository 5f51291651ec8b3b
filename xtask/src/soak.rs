//! `cargo xtask soak`: the gateway with everything on at half of what it can, for as long as one wants, while sessions come and
//! go, the server behind it dies and comes back, and the rules are replaced. Does its memory stay what it is, and does
//! every error have a cause?

mod load;
mod sum;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use crate::bench::{self, Loadgen, SHIPPED};
use crate::everything::{Everything, READS, RULES, Rules, Wanted};
use crate::run::{Options, Server, capture, free_port, root};
use sum::Sum;

/// What the last long one said.
const FILE: &str = "docs/soak.toml";
/// A shorter one is for working on it, and is not kept.
const LONG: f64 = 60.0;

/// How long one thing is tried, and when in it something happens: late enough to see what was before, early enough that
/// the pause of the circuit is over at the end.
const SLICE: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_secs(4);
/// How long the server is gone.
const GONE: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_millis(500);

/// How many come at a time, and how often each calls in one session.
const CLIENTS: &str = "16";
const CALLS: &str = "50";

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Nothing,
    KillServer,
    ReplaceRules,
}

impl Act {
    const ALL: [Act; 3] = [Act::Nothing, Act::KillServer, Act::ReplaceRules];

    /// Whether an error is what this act leads to.
    fn causes(self, error: &str) -> bool {
        self == Act::KillServer && error.starts_with("upstream.")
    }

    fn words(self) -> &'static str {
        match self {
            Act::Nothing => "sessions come and go",
            Act::KillServer => "the server dies",
            Act::ReplaceRules => "the rules are replaced",
        }
    }
}

/// What is kept of a long one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) minutes: f64,
    pub(crate) calls: u64,
    pub(crate) sessions: u64,
    pub(crate) grown_percent: f64,
    pub(crate) unexplained: u64,
}

/// What the last long one said, where there was one.
pub(crate) fn said() -> Result<Option<Said>> {
    match std::fs::read_to_string(root().join(FILE)) {
        Ok(text) => toml::from_str(&text).map(Some).context(FILE),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(FILE),
    }
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let minutes: f64 = o.value("--minutes")?.map_or(Ok(LONG), str::parse).context("--minutes")?;
    let bartizan = o.value("--bartizan")?.map(PathBuf::from);
    let profile = o.value("--profile")?.unwrap_or(SHIPPED).to_owned();
    o.finish()?;
    let shipped = profile == SHIPPED && bartizan.is_none();
    // What is measured is what is checked out now; in an hour it may be something else.
    let (date, commit) = now()?;
    let (built, bartizan) = (bench::build(&profile, &["bartizan-bench"])?, bench::gateway(bartizan, &profile)?);
    let mut scene = Scene::set(&built, bartizan)?;
    let rate = scene.half()?;
    println!("half of what it can: {rate:.0} calls/s");
    let mut sum = Sum::default();
    let begun = Instant::now();
    for act in Act::ALL.into_iter().cycle() {
        if begun.elapsed().as_secs_f64() >= minutes * 60.0 {
            break;
        }
        let value = scene.slice(act, rate, &mut sum)?;
        sum.add(act, &value)?;
        println!("{:>6.0} s  {:<24} {}", begun.elapsed().as_secs_f64(), act.words(), sum.last());
    }
    drop(scene);
    println!("\n{}", sum.table()?);
    let said = sum.said(Said { date, commit, minutes, ..Said::default() })?;
    let path = if minutes >= LONG && shipped { FILE } else { "target/soak.toml" };
    std::fs::write(root().join(path), toml::to_string(&said)?).with_context(|| format!("writing {path}"))?;
    println!("wrote {path}");
    if said.unexplained > 0 {
        bail!("{} errors that nobody caused", said.unexplained);
    }
    Ok(())
}

/// Today, and the commit that is checked out.
fn now() -> Result<(String, String)> {
    let said = |program: &str, args: &[&str]| capture(Command::new(program).args(args).current_dir(root()));
    let (date, commit) = (said("date", &["-u", "+%Y-%m-%d"])?, said("git", &["rev-parse", "--short=12", "HEAD"])?);
    Ok((date.trim().to_owned(), commit.trim().to_owned()))
}

/// Everybody who takes part.
struct Scene {
    loadgen: Loadgen,
    upstream: PathBuf,
    port: u16,
    server: Option<Server>,
    everything: Everything,
    gateway: Server,
    rules: usize,
    dir: TempDir,
}

impl Scene {
    fn set(built: &std::path::Path, bartizan: PathBuf) -> Result<Scene> {
        let dir = tempfile::Builder::new().prefix("soak-").tempdir()?;
        let (upstream, port) = (built.join("bench-upstream"), free_port()?);
        let server = start(&upstream, port, &dir)?;
        let everything = Everything::set_up(&Wanted { bartizan: &bartizan, upstream: port, rules: RULES })?;
        let gateway = everything.serve()?;
        let loadgen = Loadgen { program: built.join("bench-loadgen") };
        Ok(Scene { loadgen, upstream, port, server: Some(server), everything, gateway, rules: RULES.here, dir })
    }

    /// Half of the calls per second that it answers when nobody waits.
    fn half(&self) -> Result<f64> {
        let args = self.everything.args(READS);
        let more = ["--clients", CLIENTS, "--size", "100", "--secs", "5"];
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more).collect();
        let value = self.loadgen.run("call", &args)?;
        let most = value.get("calls_per_s").and_then(Value::as_f64).context("no calls_per_s")?;
        Ok(most / 2.0)
    }

    /// One slice: the load in another thread, and meanwhile what happens and how much memory there is.
    fn slice(&mut self, act: Act, rate: f64, sum: &mut Sum) -> Result<Value> {
        let args = load::args(&self.everything, rate);
        let loadgen = Loadgen { program: self.loadgen.program.clone() };
        let load = std::thread::spawn(move || loadgen.run("churn", &args.iter().map(String::as_str).collect::<Vec<_>>()));
        let begun = Instant::now();
        let mut due = Some(act);
        while !load.is_finished() {
            std::thread::sleep(SAMPLE);
            if let Some(act) = due.take_if(|_| begun.elapsed() >= QUIET) {
                self.happen(act)?;
            }
            sum.sample(load::resident_kib(self.gateway.pid())?);
        }
        load.join().map_err(|_| anyhow::anyhow!("the thread of the load ended"))?
    }

    fn happen(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Nothing => {}
            Act::KillServer => {
                drop(self.server.take());
                std::thread::sleep(GONE);
                self.server = Some(start(&self.upstream, self.port, &self.dir)?);
            }
            Act::ReplaceRules => {
                self.rules = if self.rules == RULES.here { RULES.here + 1 } else { RULES.here };
                self.everything.replace_rules(Rules::here(self.rules))?;
            }
        }
        Ok(())
    }
}

fn start(program: &std::path::Path, port: u16, dir: &TempDir) -> Result<Server> {
    let mut c = Command::new(program);
    c.args(["http", "--addr", &format!("127.0.0.1:{port}")]);
    let mut server = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
    server.wait_for(port, Duration::from_secs(10))?;
    Ok(server)
}
