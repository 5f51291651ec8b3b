//! `start`: from exec to the first answered `tools/call`.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::args::Args;
use crate::http::{Conn, Target};
use crate::mcp::{Client, Plan};
use crate::proc;
use crate::report::{Errors, median};

/// What one start took, in milliseconds, and the memory afterwards.
struct Timed {
    port_ms: f64,
    call_ms: f64,
    idle_kib: f64,
}

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let target = a.target()?;
    let mut errors = Errors::default();
    let (mut port, mut call, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..a.runs {
        match once(a, &target).await? {
            Ok(t) => {
                port.push(t.port_ms);
                call.push(t.call_ms);
                idle.push(t.idle_kib);
            }
            Err(e) => errors.note(e),
        }
    }
    Ok(json!({
        "mode": "start", "label": a.label, "runs": a.runs,
        "port_open_ms": median(&mut port), "first_call_ms": median(&mut call),
        "rss_kib_idle": median(&mut idle), "errors": errors.count, "first_error": errors.first,
    }))
}

async fn once(a: &Args, target: &Target) -> Result<Result<Timed, String>> {
    let begun = Instant::now();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("exec {}", a.cmd))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting `{}`", a.cmd))?;
    let timed = until_answered(a, target, begun).await;
    let timed = match timed {
        Ok((port_ms, call_ms)) => {
            tokio::time::sleep(Duration::from_secs_f64(a.settle)).await;
            let idle_kib = proc::usage(&[child.id().cast_signed()]).rss_kib as f64;
            Ok(Timed { port_ms, call_ms, idle_kib })
        }
        Err(e) => Err(e),
    };
    stop(&mut child).await;
    Ok(timed)
}

async fn until_answered(a: &Args, target: &Target, begun: Instant) -> Result<(f64, f64), String> {
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let limit = Duration::from_secs_f64(a.wait);
    let mut port_ms = None;
    let mut last = "the port never opened".to_string();
    while begun.elapsed() < limit {
        if port_ms.is_none() {
            if Conn::open(target).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            port_ms = Some(ms(begun.elapsed()));
        }
        match tokio::time::timeout(Duration::from_secs(5), one_call(target, &a.plan)).await {
            Ok(Ok(())) => return Ok((port_ms.unwrap_or_default(), ms(begun.elapsed()))),
            Ok(Err(e)) => last = e,
            Err(_) => last = "no answer in 5 s".into(),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(last)
}

async fn one_call(target: &Target, plan: &Plan) -> Result<(), String> {
    let mut c = Client::open(target, plan).await?;
    let mut maker = plan.call_maker(1);
    let mut body = Vec::new();
    maker.body(1, &mut body);
    c.call(&maker, 1, &body).await
}

/// Asks the whole tree to end, then insists.
async fn stop(child: &mut Child) {
    proc::terminate(&proc::tree(&[child.id().cast_signed()]));
    let deadline = Instant::now() + Duration::from_secs(8);
    while child.try_wait().ok().flatten().is_none() {
        if Instant::now() > deadline {
            // It may have ended in between; there is nothing to do about a failure here.
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
}
