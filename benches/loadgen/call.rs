//! `call`: N clients in a closed loop, each with one call on the way at a time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

use crate::args::Args;
use crate::http::Target;
use crate::mcp::{Client, Plan};
use crate::proc::{self, Machine, Usage};
use crate::report::{Errors, latency, round, round2};
use crate::stats::Latency;

/// The window that counts: after the warm-up, before the end.
pub(crate) struct Window {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}

impl Window {
    pub(crate) fn from_now(a: &Args) -> Window {
        let start = Instant::now() + Duration::from_secs_f64(a.warmup);
        Window { start, end: start + Duration::from_secs_f64(a.secs) }
    }
}

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) latency: Latency,
    pub(crate) errors: Errors,
    pub(crate) reconnects: u64,
}

/// What each party had used at one moment.
struct Snapshot {
    gateway: Usage,
    upstream: Usage,
    me: Usage,
    machine: Machine,
    at: Instant,
}

impl Snapshot {
    fn take(a: &Args) -> Snapshot {
        Snapshot {
            gateway: proc::usage(&a.pids),
            upstream: proc::usage(&a.upstream_pids),
            me: proc::usage(&[std::process::id().cast_signed()]),
            machine: proc::machine(),
            at: Instant::now(),
        }
    }
}

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let target = a.target()?;
    let window = Rc::new(Window::from_now(a));
    let tasks = (0..a.clients).map(|i| spawn_local(client(target.clone(), a.plan.clone(), i, Rc::clone(&window)))).collect();
    gathered(a, &window, tasks).await
}

/// What clients that run came to in the window, and what that took.
pub(crate) async fn gathered(a: &Args, window: &Window, tasks: Vec<JoinHandle<Outcome>>) -> Result<Value> {
    let load_before = proc::load_average();
    tokio::time::sleep_until(window.start.into()).await;
    let before = Snapshot::take(a);
    tokio::time::sleep_until((window.end - Duration::from_millis(1)).into()).await;
    let after = Snapshot::take(a);
    let mut all = Outcome::default();
    for t in tasks {
        let one = t.await?;
        all.latency.merge(one.latency);
        all.errors.merge(one.errors);
        all.reconnects += one.reconnects;
    }
    let mut out = summary(a, all, &before, &after);
    out["machine"]["load_average_before"] = json!(load_before);
    Ok(out)
}

fn summary(a: &Args, mut all: Outcome, before: &Snapshot, after: &Snapshot) -> Value {
    let calls = all.latency.count() as f64;
    let per_call = |s: f64| round(s * 1e6 / calls.max(1.0));
    let gateway_s = after.gateway.cpu_s - before.gateway.cpu_s;
    let upstream_s = after.upstream.cpu_s - before.upstream.cpu_s;
    let me_s = after.me.cpu_s - before.me.cpu_s;
    let span = (after.at - before.at).as_secs_f64();
    // CPU time of the machine that is none of the three's: what else ran.
    let work = after.machine.work - before.machine.work;
    let foreign = ((work - gateway_s - upstream_s - me_s) / span).max(0.0);
    json!({
        "mode": a.mode, "label": a.label, "modern": a.plan.modern,
        "clients": a.clients, "size": a.plan.size, "secs": a.secs,
        "calls": calls, "calls_per_s": round(calls / a.secs),
        "latency_us": latency(&mut all.latency),
        "errors": all.errors.count, "first_error": all.errors.first, "reconnects": all.reconnects,
        "gateway": {
            "cpu_s": round2(gateway_s), "cpu_us_per_call": per_call(gateway_s),
            "rss_kib": after.gateway.rss_kib, "pss_kib": after.gateway.pss_kib,
            "processes": after.gateway.processes, "threads": after.gateway.threads,
        },
        "upstream_cpu_us_per_call": per_call(upstream_s),
        "loadgen_cpu_us_per_call": per_call(me_s),
        "machine": {
            "foreign_cores": round2(foreign),
            "irq_cores": round2((after.machine.irq - before.machine.irq) / span),
            "idle_cores": round2((after.machine.idle - before.machine.idle) / span),
            "steal_cores": round2((after.machine.steal - before.machine.steal) / span),
        },
    })
}

/// One client until the window ends.
async fn client(target: Target, plan: Plan, index: usize, window: Rc<Window>) -> Outcome {
    let mut out = Outcome::default();
    let mut client = match Client::open(&target, &plan).await {
        Ok(c) => c,
        Err(e) => {
            out.errors.note(format!("initialize: {e}"));
            return out;
        }
    };
    let mut maker = plan.call_maker(index);
    let mut body = Vec::new();
    let mut seq = 0u64;
    loop {
        seq += 1;
        maker.body(seq, &mut body);
        let sent = Instant::now();
        if sent >= window.end {
            break;
        }
        match client.call(&maker, seq, &body).await {
            Ok(()) => {
                let at = client.answer.at.unwrap_or_else(Instant::now);
                if sent >= window.start && at <= window.end {
                    out.latency.add(at - sent);
                }
            }
            Err(e) => {
                out.errors.note(e);
                if !recover(&mut client, &mut out).await {
                    break;
                }
            }
        }
    }
    out.reconnects += client.reconnects;
    if client.session.is_some() {
        // Courtesy only: a server that does not answer must not hold up the measurement.
        let _ = tokio::time::timeout(Duration::from_secs(2), client.delete()).await;
    }
    out
}

/// After a failed call: waits a little, opens anew where the connection is gone, and gives up in the end.
async fn recover(client: &mut Client, out: &mut Outcome) -> bool {
    if out.errors.count > 50 {
        return false;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    if client.conn.is_open() {
        return true;
    }
    match Client::open(&client.target, &client.plan).await {
        Ok(fresh) => {
            out.reconnects += client.reconnects + 1;
            *client = fresh;
            true
        }
        Err(e) => {
            out.errors.note(format!("reopen: {e}"));
            false
        }
    }
}
