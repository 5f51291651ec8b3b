//! `list`: `tools/list` in a loop, following `nextCursor`.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::args::Args;
use crate::mcp::Client;
use crate::proc;
use crate::report::{Errors, latency, round};
use crate::stats::Latency;

/// A cursor that never ends is a defect of the server, not a reason to run for ever.
const MOST_PAGES: usize = 100;

/// One whole list.
#[derive(Default)]
struct Whole {
    tools: usize,
    bytes: usize,
    pages: usize,
    spent: Duration,
}

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let mut client = Client::open(&a.target()?, &a.plan).await.map_err(|e| anyhow!(e))?;
    let mut lat = Latency::default();
    let mut errors = Errors::default();
    let mut last = Whole::default();
    let mut id = 0;
    let before = proc::usage(&a.pids);
    for _ in 0..a.count {
        match whole(&mut client, &mut id).await {
            Ok(w) => {
                lat.add(w.spent);
                last = w;
            }
            Err(e) => errors.note(e),
        }
    }
    let after = proc::usage(&a.pids);
    Ok(json!({
        "mode": "list", "label": a.label, "count": a.count,
        "tools": last.tools, "bytes": last.bytes, "pages": last.pages,
        "latency_us": latency(&mut lat), "errors": errors.count, "first_error": errors.first,
        "gateway": {
            "cpu_us_per_call": round((after.cpu_s - before.cpu_s) * 1e6 / a.count as f64),
            "rss_kib": after.rss_kib,
        },
    }))
}

async fn whole(client: &mut Client, id: &mut u64) -> Result<Whole, String> {
    let mut w = Whole::default();
    let mut cursor: Option<String> = None;
    loop {
        *id += 1;
        let sent = Instant::now();
        let page = client.list(*id, cursor.as_deref()).await?;
        w.spent += client.answer.at.unwrap_or_else(Instant::now) - sent;
        w.pages += 1;
        w.bytes += client.answer.body.len();
        w.tools += page.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
        cursor = page.get("nextCursor").and_then(Value::as_str).map(str::to_string);
        if cursor.is_none() || w.pages > MOST_PAGES {
            return Ok(w);
        }
    }
}
