//! `spread`: `--n` sessions that stay open, and `--clients` calls on the way at once, which go round all of them.

use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::args::Args;
use crate::call::{Outcome, Window, gathered};
use crate::mcp::Client;
use crate::sessions;

pub(crate) async fn run(a: &Args) -> Result<Value> {
    let opened = sessions::open_all(a, &a.target()?).await;
    if let Some(error) = opened.errors.first {
        return Err(anyhow!("opening {} sessions: {error}", a.n));
    }
    let mut rounds: Vec<Vec<Client>> = (0..a.clients).map(|_| Vec::new()).collect();
    let width = a.clients.max(1);
    for (i, session) in opened.sessions.into_iter().enumerate() {
        rounds[i % width].push(session.client);
    }
    let window = Rc::new(Window::from_now(a));
    let tasks = rounds.into_iter().map(|clients| spawn_local(round(clients, Rc::clone(&window)))).collect();
    let mut out = gathered(a, &window, tasks).await?;
    out["sessions"] = json!(a.n);
    Ok(out)
}

/// Goes round some sessions until the window ends, and ends them.
async fn round(mut clients: Vec<Client>, window: Rc<Window>) -> Outcome {
    let mut out = Outcome::default();
    go_round(&mut clients, &window, &mut out).await;
    for client in clients.iter_mut().filter(|client| client.session.is_some()) {
        // Nothing of this is measured any more.
        let _ = client.delete().await;
    }
    out
}

async fn go_round(clients: &mut [Client], window: &Window, out: &mut Outcome) {
    let mut body = Vec::new();
    // One call of each session was its first, when it was opened.
    let mut seq = 1;
    while !clients.is_empty() {
        seq += 1;
        for (i, client) in clients.iter_mut().enumerate() {
            let mut maker = client.plan.call_maker(i);
            maker.body(seq, &mut body);
            let sent = Instant::now();
            if sent >= window.end || out.errors.count > 50 {
                return;
            }
            let mut answered = client.call(&maker, seq, &body).await;
            if answered.is_err() && !client.conn.is_open() {
                // It was idle for too long while the others were opened; its session lives on.
                out.reconnects += 1;
                answered = client.call(&maker, seq, &body).await;
            }
            match answered {
                Ok(()) if sent >= window.start && Instant::now() <= window.end => out.latency.add(sent.elapsed()),
                Ok(()) => {}
                Err(e) => out.errors.note(e),
            }
        }
    }
}
