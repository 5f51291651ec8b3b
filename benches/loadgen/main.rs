//! bench-loadgen: measures an MCP server or gateway on this machine.
//!
//! ```text
//! bench-loadgen call      --url URL --clients N --secs T --size BYTES [--pid P]...
//! bench-loadgen exact     --url URL --count N --size BYTES [--run N: the same payloads each time]
//! bench-loadgen spread    --url URL --n N --clients N --secs T --size BYTES [--pid P]...
//! bench-loadgen churn     --url URL --clients N --count N --rate R --secs T --size BYTES
//! bench-loadgen list      --url URL --count N
//! bench-loadgen sessions  --url URL --n N [--hold] [--get] [--delete] [--pid P]...
//! bench-loadgen start     --url URL --cmd CMD --runs N
//! bench-loadgen stdio     --cmd CMD --secs T --size BYTES --inflight K
//! bench-loadgen smoke     --url URL
//! ```
//!
//! The last line on standard output is one JSON object; `benches/README.md` explains its fields.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a measuring tool: it is fed by one known server, and a panic is a failed measurement, not a risk"
)]

mod args;
mod call;
mod churn;
mod exact;
mod http;
mod list;
mod mcp;
mod proc;
mod report;
mod sessions;
mod smoke;
mod spread;
mod start;
mod stats;
mod stdio;

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use args::Args;

async fn measure(a: &Args) -> Result<Value> {
    match a.mode.as_str() {
        "call" => call::run(a).await,
        "spread" => spread::run(a).await,
        "churn" => churn::run(a).await,
        "exact" => exact::run(a).await,
        "list" => list::run(a).await,
        "sessions" => sessions::run(a).await,
        "start" => start::run(a).await,
        "stdio" => stdio::run(a).await,
        "smoke" => smoke::run(a).await,
        other => bail!("`{other}` is not a mode: the first argument is call, churn, exact, list, sessions, spread, start, stdio or smoke"),
    }
}

/// A server that stops answering must end the measurement, not hang it.
async fn limited(a: &Args) -> Result<Value> {
    let limit = Duration::from_secs_f64(a.warmup + a.secs + a.limit);
    let done = tokio::time::timeout(limit, measure(a)).await;
    done.map_err(|_| anyhow!("not done after {} s", limit.as_secs()))?
}

fn run() -> Result<bool> {
    let a = Args::parse()?;
    // One thread: the generator must cost the same whatever it measures.
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let out = tokio::task::LocalSet::new().block_on(&rt, limited(&a))?;
    println!("{out}");
    let errors = out.get("errors").and_then(Value::as_u64).unwrap_or(0);
    Ok(errors == 0 && out.get("ok") != Some(&Value::Bool(false)))
}

fn main() {
    match run() {
        Ok(clean) => std::process::exit(i32::from(!clean)),
        Err(e) => {
            eprintln!("bench-loadgen: {e:#}");
            std::process::exit(2)
        }
    }
}
