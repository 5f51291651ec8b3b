//! A small MCP server for benchmarks: it answers as cheaply as it can, so that
//! what a gateway adds in front of it is what the measurements show.
//!
//! ```text
//! bench-upstream http  [--addr 127.0.0.1:9100] [--threads 1] [--tools 1] [--sse] [--sessions] [--delay-us N]
//! bench-upstream stdio [--tools 1]
//! ```
//!
//! Tools: `echo` (returns `arguments.message` unchanged) and, with `--tools N`,
//! N-1 further tools with realistic schemas that answer a constant.
//! It speaks both the handshake revisions (initialize) and 2026-07-28
//! (server/discover, no sessions).

mod http;
mod rpc;
mod stdio;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

/// What the command line may change.
pub(crate) struct Opts {
    addr: SocketAddr,
    threads: usize,
    tools: usize,
    sse: bool,
    sessions: bool,
    delay: Option<Duration>,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Opts> {
    let mut opts = Opts { addr: SocketAddr::from(([127, 0, 0, 1], 9100)), threads: 1, tools: 1, sse: false, sessions: false, delay: None };
    while let Some(key) = args.next() {
        let mut value = || args.next().ok_or_else(|| anyhow!("{key} needs a value"));
        let wrong = || format!("the value of {key}");
        match key.as_str() {
            "--addr" => opts.addr = value()?.parse().with_context(wrong)?,
            "--threads" => opts.threads = value()?.parse().with_context(wrong)?,
            "--tools" => opts.tools = value()?.parse().with_context(wrong)?,
            "--delay-us" => {
                let us: u64 = value()?.parse().with_context(wrong)?;
                opts.delay = (us > 0).then(|| Duration::from_micros(us));
            }
            "--sse" => opts.sse = true,
            "--sessions" => opts.sessions = true,
            other => bail!("unknown option {other}"),
        }
    }
    Ok(opts)
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    let opts = parse(args)?;
    let threads = opts.threads;
    let server = rpc::Server::new(opts);
    match mode.as_str() {
        "stdio" => Ok(stdio::serve(&server)?),
        "http" => {
            let mut rt =
                if threads <= 1 { tokio::runtime::Builder::new_current_thread() } else { tokio::runtime::Builder::new_multi_thread() };
            let rt = rt.worker_threads(threads.max(1)).enable_all().build()?;
            Ok(rt.block_on(http::serve(Arc::new(server)))?)
        }
        _ => bail!("the first argument is `http` or `stdio`"),
    }
}

fn main() {
    if let Err(e) = run() {
        eprintln!("bench-upstream: {e:#}");
        std::process::exit(2)
    }
}
