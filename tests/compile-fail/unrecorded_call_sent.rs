//! A call that was judged and is not in the journal is not sent.

use std::sync::Arc;

use bartizan_gateway::upstream::{Link, Listener};
use bartizan_monitor::stages::Admitted;

async fn send(link: &Arc<Link>, admitted: Admitted, ear: &dyn Listener) {
    let _ = link.send(admitted, ear, std::future::pending()).await;
}

fn main() {}
