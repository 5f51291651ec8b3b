//! `cargo xtask fuzz [--seed N] [SECONDS] [TARGET ...]`: builds every target of `fuzz/` on the stable compiler and runs each
//! for a while, with other inputs every time unless a seed is given.
//!
//! libFuzzer needs a counter at every branch and nothing else; the stable compiler can put them there
//! when LLVM is asked directly. That saves a second toolchain, and with it a second set of bugs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::run::{apt_install, capture, cargo, installed, root, run, tail, text};

/// Counters at every branch, and hints about what comparisons wanted to see.
const INSTRUMENT: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing";

const DEFAULT_SECONDS: u64 = 10;

/// A message is at most a few megabytes; almost all bugs show in far less.
const LONGEST_INPUT: &str = "-max_len=8192";

pub(crate) fn main(args: &[String]) -> Result<()> {
    // libFuzzer takes 0 for a number of its own choice.
    let (seed, args) = match args {
        [option, seed, rest @ ..] if option == "--seed" => (seed.parse::<u32>().context("--seed")?, rest),
        _ => (0, args),
    };
    let (seconds, wanted) = match args.split_first() {
        Some((first, rest)) => first.parse::<u64>().map_or((DEFAULT_SECONDS, args), |seconds| (seconds, rest)),
        None => (DEFAULT_SECONDS, args),
    };
    let all = targets()?;
    if let Some(unknown) = wanted.iter().find(|w| !all.contains(*w)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", join(&all));
    }
    let built = build()?;
    let chosen: Vec<&String> = all.iter().filter(|t| wanted.is_empty() || wanted.contains(*t)).collect();
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    // A target keeps one core busy.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(target) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match fuzz(&built.join(target), target, (seconds, seed)) {
                        Ok(said) => println!("fuzz {target:<12} {said}"),
                        Err(e) => {
                            println!("fuzz {target:<12} FAILED: {e:#}");
                            broken.lock().unwrap_or_else(PoisonError::into_inner).push((*target).clone());
                        }
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !broken.is_empty() {
        bail!("fuzzing found something in {}", broken.join(", "));
    }
    Ok(())
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// The files in `fuzz/targets`, which must be the binaries of `fuzz/Cargo.toml`: a target that is not
/// built is a target nobody runs.
fn targets() -> Result<BTreeSet<String>> {
    let dir = root().join("fuzz");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(dir.join("targets")).context("reading fuzz/targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs") {
            files.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
        }
    }
    let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).context("reading fuzz/Cargo.toml")?;
    let manifest: toml::Table = toml::from_str(&manifest).context("fuzz/Cargo.toml")?;
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let bins = bins.filter_map(|b| Some(b.get("name")?.as_str()?.to_string())).collect::<BTreeSet<_>>();
    if bins != files {
        bail!("fuzz/targets has {}, fuzz/Cargo.toml has {}: they must agree", join(&files), join(&bins));
    }
    Ok(files)
}

/// Builds all of them; answers where they are.
fn build() -> Result<PathBuf> {
    if !installed("c++") {
        apt_install("g++").context("libFuzzer is C++ and needs a compiler")?;
    }
    let host = host()?;
    let target_dir = root().join("target/fuzz");
    // With --target, build scripts and macros stay free of instrumentation, which they cannot link.
    run(cargo()
        .args(["build", "--release", "--locked", "--bins", "--target", &host])
        .arg("--manifest-path")
        .arg(root().join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", INSTRUMENT))?;
    Ok(target_dir.join(host).join("release"))
}

/// The platform we are on, as the compiler calls it.
fn host() -> Result<String> {
    let version = capture(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = version.lines().find_map(|l| l.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_string())
}

/// Runs one target; answers one line about it.
fn fuzz(program: &Path, name: &str, (seconds, seed): (u64, u32)) -> Result<String> {
    let corpus = tempfile::tempdir()?;
    // Crashes outlive the run: they are what somebody needs next.
    let crashes = root().join("target/fuzz/crashes").join(name);
    std::fs::create_dir_all(&crashes)?;
    let mut command = Command::new(program);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-seed={seed}"))
        .arg(format!("-artifact_prefix={}/", text(&crashes)?))
        .args(["-print_final_stats=1", "-timeout=5", "-rss_limit_mb=2048", LONGEST_INPUT])
        .arg(corpus.path())
        .stdin(Stdio::null());
    let seeds = root().join("fuzz/seeds").join(name);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    let out = command.output().with_context(|| format!("could not start the target `{name}`"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        bail!(
            "{}\n{}{}  the input is below target/fuzz/crashes/{name}; run the target with it to see it again",
            out.status,
            panic(&said),
            tail(&said, 8)
        );
    }
    let units = stat(&said, "number_of_executed_units").unwrap_or(0);
    let rate = stat(&said, "average_exec_per_sec").unwrap_or(0);
    let kept = stat(&said, "new_units_added").unwrap_or(0);
    if units == 0 {
        bail!("it ended without running anything:\n{}", tail(&said, 25));
    }
    if kept == 0 && seconds > 0 {
        bail!("no input was new: the instrumentation does not work\n{}", tail(&said, 25));
    }
    Ok(format!("{units:>9} runs, {rate:>7} exec/s, {kept:>5} new inputs, no crash"))
}

/// What the target said when it panicked; the end of the log is libFuzzer's.
fn panic(said: &str) -> String {
    let lines = said.lines().skip_while(|l| !l.contains("panicked at")).take(4);
    lines.map(|l| format!("  {l}\n")).collect()
}

/// `stat::number_of_executed_units: 123`
fn stat(said: &str, name: &str) -> Option<u64> {
    said.lines().find_map(|l| l.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_statistics_are_read() {
        let said = "Done 2 runs\nstat::number_of_executed_units: 12\nstat::average_exec_per_sec:     6\n";
        assert_eq!(stat(said, "number_of_executed_units"), Some(12));
        assert_eq!(stat(said, "average_exec_per_sec"), Some(6));
        assert_eq!(stat(said, "peak_rss_mb"), None);
    }
}
