//! A call that waits for a person is not sent.

use std::sync::Arc;

use bartizan_gateway::upstream::{Link, Listener};
use bartizan_monitor::stages::Held;

async fn send(link: &Arc<Link>, held: Held, ear: &dyn Listener) {
    let _ = link.send(held, ear, std::future::pending()).await;
}

fn main() {}
