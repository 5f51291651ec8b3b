//! `smoke`: shows what the server answers, for setting up a measurement.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::args::Args;
use crate::mcp::{Client, clip};

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let mut c = Client::open(&a.target()?, &a.plan).await.map_err(|e| anyhow!(e))?;
    println!("version {}, session {:?}", c.plan.version, c.session);
    match c.list(1, None).await {
        Ok(v) => {
            let tools = v.get("tools").and_then(Value::as_array);
            let names: Vec<&str> = tools.into_iter().flatten().filter_map(|t| t.get("name")?.as_str()).take(20).collect();
            println!("tools/list: {} bytes, {names:?}", c.answer.body.len());
        }
        Err(e) => println!("tools/list: {e}"),
    }
    let mut maker = a.plan.call_maker(1);
    let mut body = Vec::new();
    // The 33rd, because every 32nd answer is parsed as well as searched.
    maker.body(33, &mut body);
    let r = c.call(&maker, 33, &body).await;
    println!("tools/call: HTTP {} sse={} {}", c.answer.status, c.answer.sse, clip(&c.answer.body));
    Ok(json!({"mode": "smoke", "ok": r.is_ok(), "error": r.err()}))
}
