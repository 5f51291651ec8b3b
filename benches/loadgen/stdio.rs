//! `stdio`: a command that is an MCP server on its standard input and output. Cold start, then a closed
//! loop with `--inflight` calls on the way.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::args::Args;
use crate::mcp::{self, CallMaker};
use crate::proc;
use crate::report::{Errors, latency, median, round};
use crate::stats::Latency;

/// A server under test, with its pipes.
struct Server {
    child: Child,
    pid: i32,
    input: UnboundedSender<Vec<u8>>,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
    begun: Instant,
}

/// What the loop at the end found.
#[derive(Default)]
struct Load {
    latency: Latency,
    errors: Errors,
    cpu_s: f64,
    rss_kib_idle: u64,
    rss_kib: u64,
}

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let runs = a.runs.max(1);
    let (mut initialized, mut first_call) = (Vec::new(), Vec::new());
    let mut load = Load::default();
    for i in 0..runs {
        let mut server = Server::start(&a.cmd)?;
        match cold(a, &mut server).await {
            Ok((init_ms, call_ms)) => {
                initialized.extend(init_ms);
                first_call.push(call_ms);
                // The last one also takes the load.
                if i + 1 == runs {
                    closed_loop(a, &mut server, &mut load).await;
                }
            }
            Err(e) => load.errors.note(e),
        }
        server.end().await;
    }
    let calls = load.latency.count() as f64;
    Ok(json!({
        "mode": "stdio", "label": a.label, "modern": a.plan.modern, "runs": runs,
        "inflight": a.inflight, "size": a.plan.size,
        "cold_initialize_ms": median(&mut initialized), "cold_first_call_ms": median(&mut first_call),
        "calls": calls, "calls_per_s": round(calls / a.secs), "latency_us": latency(&mut load.latency),
        "errors": load.errors.count, "first_error": load.errors.first,
        "tree": {
            "cpu_us_per_call": round(load.cpu_s * 1e6 / calls.max(1.0)),
            "rss_kib_idle": load.rss_kib_idle, "rss_kib": load.rss_kib,
        },
    }))
}

impl Server {
    fn start(cmd: &str) -> Result<Server> {
        let begun = Instant::now();
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec {cmd}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting `{cmd}`"))?;
        let input = child.stdin.take().ok_or_else(|| anyhow!("no pipe to `{cmd}`"))?;
        let output = child.stdout.take().ok_or_else(|| anyhow!("no pipe from `{cmd}`"))?;
        let pid = child.id().unwrap_or(0).cast_signed();
        let output = BufReader::with_capacity(1 << 18, output);
        let (sender, messages) = unbounded_channel();
        tokio::task::spawn_local(write_all(input, messages));
        Ok(Server { child, pid, input: sender, output, line: Vec::new(), begun })
    }

    fn send(&self, message: &[u8]) -> Result<(), String> {
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend_from_slice(message);
        line.push(b'\n');
        self.input.send(line).map_err(|_| "the server closed its input".to_string())
    }

    /// The next line, in `self.line`.
    async fn next(&mut self, patience: Duration) -> Result<(), String> {
        self.line.clear();
        let read = self.output.read_until(b'\n', &mut self.line);
        match tokio::time::timeout(patience, read).await {
            Ok(Ok(n)) if n > 0 => Ok(()),
            Ok(Ok(_)) => Err("the server ended".into()),
            Ok(Err(e)) => Err(format!("reading: {e}")),
            Err(_) => Err(format!("no answer in {} s", patience.as_secs())),
        }
    }

    /// Reads until the answer to `id`; whatever else the server says is passed over.
    async fn answer(&mut self, id: u64, patience: Duration) -> Result<Value, String> {
        loop {
            self.next(patience).await?;
            if let Ok(v) = serde_json::from_slice::<Value>(&self.line)
                && v.get("id").and_then(Value::as_u64) == Some(id)
                && v.get("method").is_none()
            {
                return Ok(v);
            }
        }
    }

    /// Closing the input is how a stdio client says goodbye.
    async fn end(mut self) {
        drop(self.input);
        let _ = tokio::time::timeout(Duration::from_secs(3), self.child.wait()).await;
    }
}

/// Writing is a task of its own: a server that is busy answering does not read, and whoever only writes
/// then waits for ever once the pipes are full.
async fn write_all(mut input: ChildStdin, mut messages: UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = messages.recv().await {
        if input.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// From exec to the first answered call; the time of `initialize` too where there is one.
async fn cold(a: &Args, s: &mut Server) -> Result<(Option<f64>, f64), String> {
    let patience = Duration::from_secs_f64(a.wait);
    let mut initialized = None;
    if !a.plan.modern {
        s.send(mcp::initialize(&a.plan.version).as_bytes())?;
        let v = s.answer(0, patience).await?;
        if v.get("result").is_none() {
            return Err(format!("initialize: {v}"));
        }
        initialized = Some(s.begun.elapsed().as_secs_f64() * 1e3);
        s.send(mcp::INITIALIZED.as_bytes())?;
    }
    let mut maker = a.plan.call_maker(0);
    let mut body = Vec::new();
    maker.body(1, &mut body);
    s.send(&body)?;
    s.answer(1, patience).await?;
    maker.check(1, &s.line, true)?;
    Ok((initialized, s.begun.elapsed().as_secs_f64() * 1e3))
}

/// A call on the way: who made it, which it is, and when it left.
struct Flight {
    maker: CallMaker,
    seq: u64,
    sent: Instant,
}

async fn closed_loop(a: &Args, s: &mut Server, load: &mut Load) {
    tokio::time::sleep(Duration::from_secs_f64(a.settle)).await;
    let before = proc::usage(&[s.pid]);
    let outcome = fly(a, s, load).await;
    if let Err(e) = outcome {
        load.errors.note(e);
    }
    let after = proc::usage(&[s.pid]);
    load.cpu_s = after.cpu_s - before.cpu_s;
    load.rss_kib_idle = before.rss_kib;
    load.rss_kib = after.rss_kib;
}

async fn fly(a: &Args, s: &mut Server, load: &mut Load) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs_f64(a.secs);
    let mut body = Vec::new();
    let mut seq = 1u64;
    let mut flights = Vec::new();
    for i in 0..a.inflight.max(1) {
        seq += 1;
        let mut maker = a.plan.call_maker(i);
        maker.body(seq, &mut body);
        flights.push(Flight { maker, seq, sent: Instant::now() });
        s.send(&body)?;
    }
    let mut open = flights.len();
    while open > 0 {
        s.next(Duration::from_secs(10)).await.map_err(|e| format!("the answers stopped: {e}"))?;
        let now = Instant::now();
        let answered = flights.iter_mut().find(|f| memchr::memmem::find(&s.line, f.maker.stamp()).is_some());
        let Some(f) = answered else { continue };
        load.latency.add(now - f.sent);
        if let Err(e) = f.maker.check(f.seq, &s.line, f.seq % 32 == 1) {
            load.errors.note(e);
        }
        if now >= end {
            open -= 1;
            continue;
        }
        seq += 1;
        f.maker.body(seq, &mut body);
        f.seq = seq;
        f.sent = Instant::now();
        s.send(&body)?;
    }
    Ok(())
}
