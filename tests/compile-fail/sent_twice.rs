//! One permit, one call.

use std::sync::Arc;

use bartizan_gateway::upstream::{Link, Listener};
use bartizan_monitor::stages::Recorded;

async fn send(link: &Arc<Link>, recorded: Recorded, ear: &dyn Listener) {
    let _ = link.send(recorded, ear, &Default::default()).await;
    let _ = link.send(recorded, ear, &Default::default()).await;
}

fn main() {}
