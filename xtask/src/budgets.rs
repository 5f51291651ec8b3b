//! `cargo xtask budgets`: how many instructions and allocations a call takes, in all and by control, against what
//! `benches/budgets.toml` allows.
//!
//! Time says little on a machine that others use, too; instructions are the same each time. docs/decisions/0039.

mod compare;
mod profile;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::everything::{Everything, READS, RULES, TRACED, WRITES, Wanted};
use crate::run::{Options, Server, apt_install, capture, cargo, free_port, installed, loopback, root, run, tail, text};
use compare::Measured;
use profile::Profile;

/// Where the budgets are kept.
const FILE: &str = "benches/budgets.toml";

/// One kind of call that has budgets: its name there, the server, bytes of the echoed text, and how often it is made.
struct Case {
    name: &'static str,
    server: &'static str,
    size: usize,
    calls: usize,
}

const CASES: &[Case] = &[
    Case { name: "read-100", server: READS, size: 100, calls: 40 },
    Case { name: "read-10000", server: READS, size: 10_000, calls: 10 },
    Case { name: "write-100", server: WRITES, size: 100, calls: 40 },
];

/// After so many calls, what is remembered is remembered.
const WARM: usize = 3;

/// How long a gateway on a processor that is played by a program may take to start.
const PATIENCE: Duration = Duration::from_secs(180);

/// The steps of a call that have budgets beside the controls, and where each is done.
const STEPS: &[(&str, &str)] = &[
    ("parse", "bartizan_monitor::wire::envelope::parse"),
    ("admit", "bartizan_monitor::stages::judge::Monitor::admit"),
    ("record", "bartizan_monitor::stages::Admitted::record"),
    ("screen", "bartizan_monitor::stages::judge::Monitor::screen"),
    ("release", "bartizan_monitor::stages::opinion::Screened::released"),
];

/// Only what is done in these counts: what the gateway does by the clock, such as looking at its files, would differ with the time
/// that a run takes. They do not call each other.
const COLLECTED: [&str; 2] = ["bartizan_monitor::wire::envelope::parse", "bartizan_gateway::serve::handle::{{closure}}"];

const ALLOCATE: &[&str] = &["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let (write, keep) = (o.flag("--write"), o.value("--keep")?.map(PathBuf::from));
    o.finish()?;
    if !installed("valgrind") {
        apt_install("valgrind").context("valgrind counts the instructions")?;
    }
    run(cargo().args(["build", "--locked", "--quiet", "--workspace", "--all-targets"]))?;
    let profiles = profiles(&root().join("target/debug"), keep.as_deref())?;
    let rows = |(case, profile): &(&Case, Profile)| Ok((case.name.to_owned(), measured(profile, case.calls as u64)?));
    let measured = profiles.iter().map(rows).collect::<Result<Measured>>()?;
    let file = root().join(FILE);
    if write {
        std::fs::write(&file, compare::written(&measured)?).with_context(|| format!("writing {FILE}"))?;
        println!("wrote {FILE}");
        return Ok(());
    }
    let budgets = std::fs::read_to_string(&file).with_context(|| format!("reading {FILE}"))?;
    compare::against(&measured, &budgets)
}

/// What one call of a profile takes.
fn measured(profile: &Profile, calls: u64) -> Result<BTreeMap<String, u64>> {
    let mut rows = BTreeMap::new();
    rows.insert("whole".to_owned(), profile.instructions / calls);
    rows.insert("allocations".to_owned(), profile.sum(|name| ALLOCATE.contains(&name)).count / calls);
    for (step, function) in STEPS {
        let found = profile.sum(|name| name == *function);
        if found.count == 0 {
            bail!("nothing called `{function}`: was it renamed?");
        }
        rows.insert((*step).to_owned(), found.instructions / calls);
    }
    for (row, found) in profile.functions(control) {
        *rows.entry(row).or_default() += found.instructions / calls;
    }
    Ok(rows)
}

/// `call.NAME` or `reply.NAME`, for what a control is entered by.
fn control(function: &str) -> Option<String> {
    let (control, entered) =
        function.strip_prefix("<bartizan_monitor::controls::")?.split_once(" as bartizan_monitor::control::Control>::")?;
    let name = control.split("::").next()?;
    let side = match entered {
        "on_call" => "call",
        "on_reply" | "on_changed" => "reply",
        _ => return None,
    };
    Some(format!("{side}.{name}"))
}

/// Calls the gateway under the profiler, and reads what that wrote of each kind of call.
fn profiles(built: &Path, keep: Option<&Path>) -> Result<Vec<(&'static Case, Profile)>> {
    let dir = tempfile::Builder::new().prefix("budgets-").tempdir()?;
    let behind = free_port()?;
    let mut c = Command::new(built.join("bench-upstream"));
    c.args(["http", "--addr", &loopback(behind).to_string()]);
    let mut upstream = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
    upstream.wait_for(behind, Duration::from_secs(10))?;
    let everything = Everything::set_up(&Wanted { bartizan: &built.join("bartizan"), upstream: behind, rules: RULES })?;
    // How often it reads lists again while it is counted would depend on how long that takes, and whom it follows on chance.
    let config = everything.gateway.read("bartizan.toml")?;
    let config = config.replace("\n[limits]\n", "\n[limits]\nlist_age = \"10min\"\n").replace(TRACED, "share = 1e-15");
    everything.gateway.write("bartizan.toml", &config)?;
    let mut profiled = Profiled::start(built, &everything, dir)?;
    // The same payloads each time, because what is in a text decides what looking through it takes; others than when warming up,
    // because a write that is repeated is answered from the record.
    let call = |case: &Case, run: &str, count: usize| {
        let mut c = Command::new(built.join("bench-loadgen"));
        c.args(["exact", "--run", run, "--modern", "--size", &case.size.to_string(), "--count", &count.to_string(), "--limit", "900"]);
        capture(c.args(everything.args(case.server))).map(drop)
    };
    CASES.iter().try_for_each(|case| call(case, "1", WARM))?;
    profiled.next()?;
    let mut profiles = Vec::new();
    for case in CASES {
        call(case, "2", case.calls)?;
        let written = profiled.next()?;
        if let Some(keep) = keep {
            std::fs::create_dir_all(keep)?;
            std::fs::write(keep.join(format!("callgrind.out.{}", case.name)), &written)?;
        }
        profiles.push((case, Profile::read(&written)?));
    }
    Ok(profiles)
}

/// The gateway under callgrind. It ends when its input does.
struct Profiled {
    child: Child,
    dir: TempDir,
    phases: usize,
}

impl Profiled {
    fn start(built: &Path, everything: &Everything, dir: TempDir) -> Result<Profiled> {
        let mut c = Command::new("valgrind");
        let out = dir.path().join("callgrind.out");
        c.args(["--tool=callgrind", "--dump-after=bench_calls::phase", &format!("--callgrind-out-file={}", text(&out)?)]);
        c.args(COLLECTED.map(|function| format!("--toggle-collect={function}")));
        c.arg(built.join("bench-calls")).args(everything.gateway.places());
        let log = std::fs::File::create(dir.path().join("log"))?;
        let child = c.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn().context("valgrind")?;
        let mut profiled = Profiled { child, dir, phases: 0 };
        profiled.until("it listens", |log| log.contains("listening on"))?;
        Ok(profiled)
    }

    /// Ends a phase; what was counted in it.
    fn next(&mut self) -> Result<String> {
        self.phases += 1;
        let phases = self.phases;
        self.child.stdin.as_mut().context("no pipe")?.write_all(b"\n")?;
        self.until("a phase ends", |log| log.matches("\nnext").count() >= phases)?;
        let name = format!("callgrind.out.{phases}");
        std::fs::read_to_string(self.dir.path().join(&name)).with_context(|| format!("reading {name}"))
    }

    fn until(&mut self, what: &str, there: impl Fn(&str) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            if there(&log) {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                bail!("waited in vain until {what}:\n{}", tail(&log, 20));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Profiled {
    fn drop(&mut self) {
        // It writes no more counts that anybody wants.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_known_by_what_they_are_entered_by() {
        let entered = |side: &str| format!("<bartizan_monitor::controls::policy::Policy as bartizan_monitor::control::Control>::{side}");
        assert_eq!(control(&entered("on_call")).as_deref(), Some("call.policy"));
        assert_eq!(control(&entered("on_changed")).as_deref(), Some("reply.policy"));
        assert_eq!(control(&entered("hides")), None);
        assert_eq!(control("bartizan_monitor::controls::policy::build"), None);
    }
}
