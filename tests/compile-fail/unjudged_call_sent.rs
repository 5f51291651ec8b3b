//! A call that the monitor did not judge is not sent.

use std::sync::Arc;

use bartizan_gateway::upstream::{Link, Listener};
use bartizan_monitor::case::Case;

async fn send(link: &Arc<Link>, case: Case, ear: &dyn Listener) {
    let _ = link.send(case, ear, std::future::pending()).await;
}

fn main() {}
