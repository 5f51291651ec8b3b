//! `cargo xtask test`: everything that must hold, one step after the other. A failed step does not hide
//! what the later ones have to say; the summary and the exit code are at the end.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::run::{Options, cargo, installed, root, run};

/// The version `--full` installs where it is missing.
const CARGO_DENY: &str = "0.20.2";

/// How long each fuzz target runs here: enough to notice that it no longer builds, starts or survives its seeds.
const FUZZ_SECONDS: &str = "10";

/// With the same inputs each time, so that a change is judged by what it changed. Whoever looks for more gives no seed.
const FUZZ_SEED: &str = "1";

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Step {
    name: &'static str,
    what: &'static str,
    /// Without the success of these the step could only repeat their failure.
    needs: &'static [&'static str],
    run: fn(full: bool) -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", what: "formatting", needs: &[], run: fmt },
    Step { name: "tidy", what: "house rules", needs: &[], run: |_| done(crate::tidy::main(&[])) },
    Step { name: "clippy", what: "lints, warnings are errors", needs: &[], run: clippy },
    Step { name: "build", what: "the bartizan binary (debug) and all tests", needs: &[], run: build },
    // Before the tests, which need a real authorization server of it.
    Step { name: "install", what: "the real clients and servers of tests/real", needs: &[], run: install },
    Step { name: "tests", what: "unit and integration tests", needs: &["build", "install"], run: tests },
    Step { name: "doctests", what: "examples in documentation", needs: &["build"], run: doctests },
    Step { name: "doc", what: "documentation builds, links resolve", needs: &[], run: doc },
    Step { name: "docs", what: "generated pages are up to date", needs: &["build"], run: |_| done(crate::docs::main(&["--check".into()])) },
    Step { name: "judge", what: "the detectors are as good as they were", needs: &["build"], run: judge },
    Step {
        name: "budgets",
        what: "a call takes no more instructions than it may",
        needs: &["build"],
        run: |_| done(crate::budgets::main(&[])),
    },
    Step { name: "deny", what: "licences, bans, sources of dependencies", needs: &[], run: deny },
    Step { name: "fuzz", what: "every fuzz target, briefly", needs: &[], run: fuzz },
    Step { name: "real", what: "real clients and servers through Bartizan", needs: &["build", "install"], run: real },
    Step {
        name: "reviews",
        what: "real servers approved, run and upgraded",
        needs: &["build", "install"],
        run: |_| {
            let script = real_dir().join("reviews.py");
            let bartizan = root().join("target/debug/bartizan");
            done(run(Command::new("python3").arg(script).arg("--bartizan").arg(bartizan).current_dir(root())))
        },
    },
    Step {
        name: "conformance",
        what: "the official MCP suite, direct and through Bartizan",
        needs: &["build", "install"],
        run: |_| done(crate::conformance::main(&[])),
    },
];

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let full = o.flag("--full");
    let only = names(o.value("--only")?)?;
    let skip = names(o.value("--skip")?)?;
    o.finish()?;
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|s| only.is_empty() || only.contains(&s.name.to_string()))
        .filter(|s| !skip.contains(&s.name.to_string()))
        .collect();
    let begun = Instant::now();
    let installing = chosen.iter().any(|step| step.name == "install").then(begin_to_install).transpose()?;
    let mut results: Vec<(&Step, Outcome, Duration)> = Vec::new();
    for (i, step) in chosen.iter().enumerate() {
        println!("\n==> [{}/{}] {}: {}", i + 1, chosen.len(), step.name, step.what);
        let at = Instant::now();
        let outcome = perform(step, full, &results);
        let took = at.elapsed();
        match &outcome {
            Outcome::Passed => println!("<== {} passed in {}", step.name, seconds(took)),
            Outcome::Failed(why) => {
                println!("<== {} FAILED in {}: {why}", step.name, seconds(took))
            }
            Outcome::Skipped(why) => println!("<== {} skipped: {why}", step.name),
        }
        results.push((step, outcome, took));
    }
    drop(installing);
    summary(&results, begun.elapsed())
}

/// Step names from `a,b`; a misspelt one must not silently select nothing.
fn names(list: Option<&str>) -> Result<Vec<String>> {
    let names: Vec<String> = list.into_iter().flat_map(|l| l.split(',')).map(str::to_string).collect();
    if let Some(wrong) = names.iter().find(|n| STEPS.iter().all(|s| s.name != *n)) {
        let known: Vec<&str> = STEPS.iter().map(|s| s.name).collect();
        bail!("there is no step `{wrong}`; there are {}", known.join(", "));
    }
    Ok(names)
}

fn perform(step: &Step, full: bool, before: &[(&Step, Outcome, Duration)]) -> Outcome {
    let failed = |need: &str| before.iter().any(|(s, o, _)| s.name == need && !matches!(o, Outcome::Passed));
    if let Some(need) = step.needs.iter().find(|n| failed(n)) {
        return Outcome::Failed(format!("not run, because `{need}` did not pass"));
    }
    (step.run)(full).unwrap_or_else(|e| Outcome::Failed(format!("{e:#}")))
}

fn seconds(d: Duration) -> String {
    format!("{:.1} s", d.as_secs_f64())
}

fn summary(results: &[(&Step, Outcome, Duration)], total: Duration) -> Result<()> {
    println!("\n==> summary");
    for (step, outcome, took) in results {
        let (word, why) = match outcome {
            Outcome::Passed => ("passed", ""),
            Outcome::Failed(why) => ("FAILED", why.as_str()),
            Outcome::Skipped(why) => ("skipped", why.as_str()),
        };
        let why = why.lines().next().unwrap_or("");
        println!("  {:<12} {word:<8} {:>9}  {why}", step.name, seconds(*took));
    }
    let failed = results.iter().filter(|(_, o, _)| matches!(o, Outcome::Failed(_))).count();
    println!("  {:<12} {:<8} {:>9}", "total", if failed == 0 { "passed" } else { "FAILED" }, seconds(total));
    if failed > 0 {
        bail!("{failed} of {} steps failed", results.len());
    }
    Ok(())
}

fn done(r: Result<()>) -> Result<Outcome> {
    r.map(|()| Outcome::Passed)
}

fn fmt(_: bool) -> Result<Outcome> {
    // Names only: whoever sees them runs `cargo fmt --all`, and nobody reads the difference.
    done(run(cargo().args(["fmt", "--all", "--", "--check", "--files-with-diff"])))
}

fn clippy(_: bool) -> Result<Outcome> {
    done(run(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])))
}

/// With the tests, because what they ask of dependencies would build nearly all of these a second time. What the binary
/// alone asks for is built when there is time.
fn build(full: bool) -> Result<Outcome> {
    if full {
        run(cargo().args(["build", "--locked", "-p", "bartizan"]))?;
    }
    done(run(cargo().args(["build", "--locked", "--workspace", "--all-targets"])))
}

/// nextest where it is installed: one process per test, and a summary to read. Otherwise what Cargo has.
fn tests(full: bool) -> Result<Outcome> {
    if installed("cargo-nextest") {
        // What an earlier run left would be taken for what came of this one.
        for table in TABLES {
            let _ = std::fs::remove_file(root().join("target/tmp").join(table));
        }
        let mut nextest = cargo();
        if full {
            nextest.env("BARTIZAN_ENGINE", "required");
        }
        let ran = run(nextest.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]));
        show_escapes();
        return done(ran);
    }
    done(run(cargo().args(["test", "--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])))
}

/// What the tests of confinement leave for everybody to see.
const TABLES: [&str; 3] = ["escape.txt", "containers-docker.txt", "containers-podman.txt"];

/// What came of the attempts to get out of a confinement, by mechanism.
fn show_escapes() {
    for table in TABLES {
        if let Ok(table) = std::fs::read_to_string(root().join("target/tmp").join(table)) {
            println!("\n{table}");
        }
    }
}

/// Asking every crate costs minutes, also where there is nothing to run.
fn doctests(_: bool) -> Result<Outcome> {
    if !crate::tidy::has_examples()? {
        return Ok(Outcome::Skipped("no documentation has an example; the first one will be run".into()));
    }
    done(run(cargo().args(["test", "--locked", "--workspace", "--doc", "--no-fail-fast"])))
}

fn doc(_: bool) -> Result<Outcome> {
    done(run(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--locked", "--workspace", "--no-deps"])))
}

/// Building cargo-deny takes longer than everything else here; tidy has its own check of licences and bans.
fn deny(full: bool) -> Result<Outcome> {
    if !installed("cargo-deny") {
        if !full {
            let why = "cargo-deny is not installed (tidy has checked licences and bans; --full installs it)";
            return Ok(Outcome::Skipped(why.into()));
        }
        run(cargo().args(["install", "--locked", "cargo-deny", "--version", CARGO_DENY]))?;
    }
    done(run(cargo().args(["deny", "--locked", "--all-features", "check", "bans", "licenses", "sources"])))
}

/// The corpora are adversarial text under many licences, and no part of the repository.
fn judge(_: bool) -> Result<Outcome> {
    let corpora = crate::judge::corpora();
    if !corpora.is_dir() {
        let why = format!("there are no corpora in {}; BARTIZAN_CORPORA can name another directory", corpora.display());
        return Ok(Outcome::Skipped(why));
    }
    done(crate::judge::main(&["--check".into()]))
}

fn fuzz(_: bool) -> Result<Outcome> {
    done(crate::fuzz::main(&["--seed".into(), FUZZ_SEED.into(), FUZZ_SECONDS.into()]))
}

fn real_dir() -> PathBuf {
    root().join("tests/real")
}

fn installer() -> Command {
    let mut command = Command::new("bash");
    command.arg(real_dir().join("install")).current_dir(root());
    command
}

/// Somebody who installs beside the compiling, which leaves the network alone. What it does not manage, the step does
/// again, and says so.
struct Installing(Child);

impl Drop for Installing {
    fn drop(&mut self) {
        // It is at its end, unless the step was not reached.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begin_to_install() -> Result<Installing> {
    let child = installer().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(Installing(child.context("bash could not be started")?))
}

/// Waits for whoever else installs (the script holds a lock), and does what is left.
fn install(_: bool) -> Result<Outcome> {
    done(run(&mut installer()))
}

fn real(_: bool) -> Result<Outcome> {
    let bartizan = root().join("target/debug/bartizan");
    let matrix = real_dir().join("matrix.py");
    let cells = |words: &[&str]| run(Command::new("python3").arg(&matrix).arg("--bartizan").arg(&bartizan).args(words).current_dir(root()));
    let play =
        |script: &str| run(Command::new("python3").arg(real_dir().join(script)).arg("--bartizan").arg(&bartizan).current_dir(root()));
    // The one waits for registries, the other for clients that wait for people.
    let (supplied, held) = std::thread::scope(|scope| {
        let supply = scope.spawn(|| play("supply.py"));
        let held = play("held.py");
        (supply.join(), held)
    });
    supplied.map_err(|_| anyhow!("supply.py"))??;
    held?;
    // The Inspector starts a process per operation: over all roads it takes as long as the others together.
    cells(&["--client", "py1,py2,fastmcp,ts1,ts2"])?;
    done(cells(&["--client", "inspector", "--road", "stdio", "--only", "filesystem,git"]))
}
