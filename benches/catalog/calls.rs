//! The gateway as `bartizan serve` runs it, in phases, for whoever counts its instructions (`cargo xtask budgets`).
//!
//! `bench-calls CONFIG STATE LOCK` serves. Every line on standard input ends a phase and begins the next one; the end of
//! input ends it all. All of the gateway's work happens within [`phase`], so that a profiler that writes its counts when
//! that returns has the counts of each phase.
//!
//! It differs from `bartizan serve` in two things. It does not confine itself: the profiler knows no filter for system
//! calls. And it has one thread, because counts of threads that take work from each other differ from run to run.

use std::io::BufRead as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bartizan_gateway::config::{self, PlacesArgs};
use bartizan_gateway::serve::{self, Enclosed};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

fn main() -> Result<()> {
    let [config, state, lock] = places()?;
    let loaded = config::load(Some(&config), PlacesArgs { state: Some(state), lock: Some(lock) });
    let loaded = loaded.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (sender, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || tell(&sender));
    runtime.spawn(async move {
        if let Err(error) = serve::run_http(loaded, Enclosed::default(), |address| eprintln!("listening on {address}")).await {
            eprintln!("bench-calls: {error}");
            std::process::exit(1);
        }
    });
    while phase(&runtime, &mut lines).is_some() {
        eprintln!("next");
    }
    Ok(())
}

fn places() -> Result<[PathBuf; 3]> {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    <[PathBuf; 3]>::try_from(words).ok().context("bench-calls CONFIG STATE LOCK")
}

/// Passes on that a line came.
fn tell(sender: &UnboundedSender<()>) {
    for line in std::io::stdin().lock().lines() {
        if line.is_err() || sender.send(()).is_err() {
            return;
        }
    }
}

/// Serves until the next line. None at the end of input.
#[inline(never)]
fn phase(runtime: &Runtime, lines: &mut UnboundedReceiver<()>) -> Option<()> {
    runtime.block_on(lines.recv())
}
