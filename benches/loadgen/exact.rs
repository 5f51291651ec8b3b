//! `exact`: so many calls by one client, one after the other, and nothing else: for whoever counts what each costs.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::args::Args;
use crate::mcp::Client;

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let mut client = Client::open(&a.target()?, &a.plan).await.map_err(|e| anyhow!(e))?;
    let mut maker = a.plan.call_maker(0);
    let mut body = Vec::new();
    for seq in 1..=a.count as u64 {
        maker.body(seq, &mut body);
        client.call(&maker, seq, &body).await.map_err(|e| anyhow!("call {seq}: {e}"))?;
    }
    Ok(json!({"mode": "exact", "label": a.label, "modern": a.plan.modern, "size": a.plan.size, "calls": a.count}))
}
