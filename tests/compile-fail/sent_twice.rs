//! One permit, one call.

use std::sync::Arc;

use bartizan_gateway::upstream::{Link, Listener};
use bartizan_monitor::stages::Recorded;

async fn send(link: &Arc<Link>, recorded: Recorded, ear: &dyn Listener) {
    let _ = link.send(recorded, ear, std::future::pending()).await;
    let _ = link.send(recorded, ear, std::future::pending()).await;
}

fn main() {}
