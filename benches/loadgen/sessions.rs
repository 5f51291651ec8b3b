//! `sessions`: opens many sessions, each with one answered call, and reads the memory.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::args::Args;
use crate::http::{Conn, Target};
use crate::mcp::{Client, Plan};
use crate::proc::{self, Usage};
use crate::report::{Errors, latency, round};
use crate::stats::Latency;

/// So many are opened at once: enough to be quick, too few to overflow a listen queue.
const WIDTH: usize = 16;

/// One open session and, with `--get`, its stream.
pub(crate) struct Session {
    pub(crate) client: Client,
    _stream: Option<Conn>,
}

#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) sessions: Vec<Session>,
    latency: Latency,
    pub(crate) errors: Errors,
    get_status: u16,
    secs: f64,
}

/// Memory at each stage.
struct Memory {
    before: Usage,
    opened: Usage,
    settled: Usage,
    ended: Option<Usage>,
}

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let before = proc::usage(&a.pids);
    let mut o = open_all(a, &a.target()?).await;
    let count = o.sessions.len();
    let with_id = o.sessions.iter().filter(|s| s.client.session.is_some()).count();
    let mut memory = Memory { before, opened: proc::usage(&a.pids), settled: before, ended: None };
    if !a.hold {
        // The sessions stay on the server, their connections go.
        o.sessions.clear();
    }
    tokio::time::sleep(Duration::from_secs_f64(a.settle)).await;
    memory.settled = proc::usage(&a.pids);
    let closed = call_again(&mut o).await;
    if a.delete {
        delete_all(&mut o).await;
        tokio::time::sleep(Duration::from_secs_f64(a.settle)).await;
        memory.ended = Some(proc::usage(&a.pids));
    }
    let mut out = summary(a, &mut o, &memory, count);
    out["with_session_id"] = json!(with_id);
    out["idle_connections_closed"] = json!(closed);
    Ok(out)
}

pub(crate) async fn open_all(a: &Args, target: &Target) -> Opened {
    let mut o = Opened::default();
    let begun = Instant::now();
    let mut next = 0;
    while next < a.n && o.errors.count <= 100 {
        let tasks: Vec<_> =
            (next..(next + WIDTH).min(a.n)).map(|i| spawn_local(open_one(target.clone(), a.plan.clone(), i, a.get))).collect();
        for t in tasks {
            match t.await.unwrap_or_else(|e| Err(e.to_string())) {
                Ok((client, stream, took)) => {
                    o.latency.add(took);
                    let stream = stream.map(|(conn, status)| {
                        o.get_status = status;
                        conn
                    });
                    o.sessions.push(Session { client, _stream: stream });
                }
                Err(e) => o.errors.note(e),
            }
        }
        next += WIDTH;
    }
    o.secs = begun.elapsed().as_secs_f64();
    o
}

type One = (Client, Option<(Conn, u16)>, Duration);

async fn open_one(target: Target, plan: Plan, i: usize, get: bool) -> Result<One, String> {
    let begun = Instant::now();
    let mut client = Client::open(&target, &plan).await?;
    let mut maker = plan.call_maker(i);
    let mut body = Vec::new();
    maker.body(1, &mut body);
    client.call(&maker, 1, &body).await?;
    let took = begun.elapsed();
    if !get {
        return Ok((client, None, took));
    }
    // Some servers answer the head only with the first event: no answer in time is not an error.
    let stream = tokio::time::timeout(Duration::from_millis(500), client.get_stream()).await;
    let stream = stream.ok().transpose()?;
    Ok((client, stream, took))
}

/// Do the sessions still work? Answers how many idle connections the server had closed meanwhile.
async fn call_again(o: &mut Opened) -> u64 {
    let mut closed = 0;
    for (i, s) in o.sessions.iter_mut().enumerate() {
        let c = &mut s.client;
        let mut maker = c.plan.call_maker(i);
        let mut body = Vec::new();
        maker.body(2, &mut body);
        let mut r = c.call(&maker, 2, &body).await;
        if r.is_err() && !c.conn.is_open() {
            // The connection was idle too long; the session may live on.
            closed += 1;
            r = c.call(&maker, 2, &body).await;
        }
        if let Err(e) = r {
            o.errors.note(format!("second call: {e}"));
        }
    }
    closed
}

async fn delete_all(o: &mut Opened) {
    for s in &mut o.sessions {
        if s.client.session.is_some()
            && let Err(e) = s.client.delete().await
        {
            o.errors.note(format!("delete: {e}"));
        }
    }
    o.sessions.clear();
}

fn summary(a: &Args, o: &mut Opened, m: &Memory, count: usize) -> Value {
    let per = |x: f64| x / count.max(1) as f64;
    let grown = m.settled.rss_kib as f64 - m.before.rss_kib as f64;
    json!({
        "mode": "sessions", "label": a.label, "modern": a.plan.modern, "n": a.n, "opened": count,
        "hold_connections": a.hold, "get_streams": a.get, "get_status": o.get_status,
        "errors": o.errors.count, "first_error": o.errors.first,
        "opened_per_s": round(count as f64 / o.secs), "open_latency_us": latency(&mut o.latency),
        "rss_kib_before": m.before.rss_kib, "rss_kib_opened": m.opened.rss_kib,
        "rss_kib_settled": m.settled.rss_kib, "rss_kib_ended": m.ended.map(|e| e.rss_kib),
        "rss_kib_per_session": round(per(grown)),
        "cpu_ms_per_session": round(per((m.opened.cpu_s - m.before.cpu_s) * 1e3)),
    })
}
