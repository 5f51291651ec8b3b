//! What a client sent is not sent on, neither as bytes nor as a message that was parsed.

use std::sync::Arc;

use bartizan_gateway::upstream::{Link, Listener};
use bartizan_monitor::wire::envelope::Parsed;

async fn send(link: &Arc<Link>, parsed: Parsed, ear: &dyn Listener) {
    let _ = link.send(parsed, ear, std::future::pending()).await;
}

fn main() {}
