//! `cargo xtask flame`: where the time of a call goes, as a flame graph: `perf` looks at the gateway with everything on while it
//! is called, and what it saw becomes `docs/flame.svg`.

mod draw;
mod stacks;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::{self, Loadgen, SHIPPED};
use crate::everything::{Everything, READS, RULES, Wanted};
use crate::run::{Options, Server, apt_install, capture, free_port, installed, root, text};

pub(crate) const FILE: &str = "docs/flame.svg";

/// How long it is looked at, and how often in a second: enough for whatever takes a hundredth.
const SECONDS: &str = "8";
const OFTEN: &str = "499";
/// How much of a thread's stack is kept of each look. Frames are found by the tables for unwinding, which are there anyway.
const UNWIND: &str = "dwarf,61440";

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let size = o.value("--size")?.unwrap_or("100").to_owned();
    let bartizan = o.value("--bartizan")?.map(PathBuf::from);
    let profile = o.value("--profile")?.unwrap_or(SHIPPED).to_owned();
    // Only of what is shipped is the picture that others see.
    let shown = if bartizan.is_none() && profile == SHIPPED { FILE } else { "target/flame.svg" };
    let out = o.value("--out")?.map_or_else(|| root().join(shown), PathBuf::from);
    o.finish()?;
    if !installed("perf") {
        apt_install("linux-perf").context("perf looks at the gateway")?;
    }
    let (built, bartizan) = (bench::build(&profile, &["bartizan-bench"])?, bench::gateway(bartizan, &profile)?);
    let seen = look(&Loadgen { program: built.join("bench-loadgen") }, &built.join("bench-upstream"), &bartizan, &size)?;
    let stacks = stacks::read(&seen);
    let title = format!("One call of {size} B, everything on, 16 clients: {} looks at the processor, by what it was doing", stacks.len());
    let svg = draw::svg(&stacks, &title)?;
    std::fs::write(&out, &svg).with_context(|| format!("writing {}", out.display()))?;
    println!("wrote {} ({} kB)", out.display(), svg.len() / 1000);
    stacks::shares(&stacks).iter().take(25).for_each(|(name, share)| println!("{share:>6.1} %  {name}"));
    Ok(())
}

/// Calls the gateway while perf looks; what perf says of it.
fn look(loadgen: &Loadgen, upstream: &std::path::Path, bartizan: &std::path::Path, size: &str) -> Result<String> {
    let dir = tempfile::Builder::new().prefix("flame-").tempdir()?;
    let port = free_port()?;
    let mut c = Command::new(upstream);
    c.args(["http", "--addr", &format!("127.0.0.1:{port}")]);
    let mut server = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
    server.wait_for(port, Duration::from_secs(10))?;
    let everything = Everything::set_up(&Wanted { bartizan, upstream: port, rules: RULES })?;
    let gateway = everything.serve()?;
    let mut args = everything.args(READS);
    args.extend(["--clients", "16", "--size", size, "--secs", "14"].map(str::to_owned));
    let loadgen = Loadgen { program: loadgen.program.clone() };
    let load = std::thread::spawn(move || loadgen.run("call", &args.iter().map(String::as_str).collect::<Vec<_>>()));
    std::thread::sleep(Duration::from_secs(3));
    let (data, pid) = (dir.path().join("perf.data"), gateway.pid().to_string());
    let mut record = Command::new("perf");
    record.args(["record", "-q", "-F", OFTEN, "--call-graph", UNWIND, "-o", text(&data)?, "-p", &pid, "--", "sleep", SECONDS]);
    capture(&mut record)?;
    load.join().map_err(|_| anyhow::anyhow!("the thread of the load ended"))??;
    capture(Command::new("perf").args(["script", "-i", text(&data)?, "-F", "comm,ip,sym", "--no-inline"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_says_becomes_a_picture() {
        let said = "tokio-rt-worker \n\tffff entry_SYSCALL_64\n\t7f1 bartizan::a<T>::b::h0123456789abcdef\n\t7f0 main\n\n\
                    tokio-rt-worker \n\t7f2 bartizan::c\n\t7f0 main\n\n";
        let stacks: Vec<stacks::Stack> = stacks::read(said);
        assert_eq!(stacks, [vec!["main", "bartizan::a::b", "entry_SYSCALL_64"], vec!["main", "bartizan::c"]]);
        let svg = draw::svg(&stacks, "a < b").unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("a &lt; b") && svg.contains("bartizan::c"), "{svg}");
    }
}
