//! `churn`: `--clients` at a time open a session, call `--count` times at an even pace, end it, and open the next one.
//! All together call `--rate` times a second. Errors end nothing: they are counted, by what they are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::args::Args;
use crate::http::Target;
use crate::mcp::{Client, Plan};
use crate::report::{latency, round};
use crate::stats::Latency;

/// What all of them came to.
#[derive(Default)]
struct Tally {
    latency: Latency,
    sessions: u64,
    errors: BTreeMap<String, u64>,
}

/// What each of them is told.
#[derive(Clone)]
struct Pace {
    target: Target,
    plan: Plan,
    calls: usize,
    every: Duration,
    end: Instant,
}

pub(crate) async fn run(a: &Args) -> Result<Value> {
    ensure!(a.rate > 0.0 && a.count > 0, "churn needs --rate and --count");
    let every = Duration::from_secs_f64(a.clients as f64 / a.rate);
    let end = Instant::now() + Duration::from_secs_f64(a.secs);
    let pace = Pace { target: a.target()?, plan: a.plan.clone(), calls: a.count, every, end };
    let tally = Rc::new(RefCell::new(Tally::default()));
    let tasks: Vec<_> = (0..a.clients).map(|i| spawn_local(keep_coming(pace.clone(), i, Rc::clone(&tally)))).collect();
    for task in tasks {
        task.await?;
    }
    let mut tally = tally.borrow_mut();
    let calls = tally.latency.count() as f64;
    Ok(json!({
        "mode": "churn", "label": a.label, "clients": a.clients, "size": a.plan.size, "secs": a.secs,
        "calls": calls, "calls_per_s": round(calls / a.secs), "sessions": tally.sessions,
        "latency_us": latency(&mut tally.latency), "failed": tally.errors,
    }))
}

async fn keep_coming(pace: Pace, index: usize, tally: Rc<RefCell<Tally>>) {
    while Instant::now() < pace.end {
        match Client::open(&pace.target, &pace.plan).await {
            Ok(client) => {
                tally.borrow_mut().sessions += 1;
                stay(client, &pace, index, &tally).await;
            }
            Err(e) => {
                note(&tally, &e);
                tokio::time::sleep(pace.every).await;
            }
        }
    }
}

/// One session from its first call to its end.
async fn stay(mut client: Client, pace: &Pace, index: usize, tally: &RefCell<Tally>) {
    let mut maker = pace.plan.call_maker(index);
    let mut body = Vec::new();
    let mut due = Instant::now();
    for seq in 1..=pace.calls as u64 {
        tokio::time::sleep_until(due.into()).await;
        if Instant::now() >= pace.end {
            break;
        }
        // Whoever is late does not catch up: the pace is the most, not the mean.
        due = due.max(Instant::now() - pace.every) + pace.every;
        maker.body(seq, &mut body);
        let sent = Instant::now();
        match client.call(&maker, seq, &body).await {
            Ok(()) => tally.borrow_mut().latency.add(sent.elapsed()),
            Err(e) => note(tally, &e),
        }
    }
    if client.session.is_some()
        && let Err(e) = client.delete().await
    {
        note(tally, &format!("delete: {e}"));
    }
}

fn note(tally: &RefCell<Tally>, error: &str) {
    *tally.borrow_mut().errors.entry(kind(error)).or_default() += 1;
}

/// The gateway's reason where there is one, otherwise the text without what differs from call to call.
fn kind(error: &str) -> String {
    let reason = error.split_once(r#""reason":""#).and_then(|(_, rest)| rest.split_once('"'));
    reason.map_or_else(|| error.chars().filter(|c| !c.is_ascii_digit()).take(80).collect(), |(reason, _)| reason.to_owned())
}
