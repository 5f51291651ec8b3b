//! A case is judged once: who is refused does not get it back to try again.

use bartizan_monitor::case::Case;
use bartizan_monitor::journal::Ticket;
use bartizan_monitor::stages::Monitor;

fn again(monitor: &Monitor, case: Case, first: Ticket, second: Ticket) {
    let _ = monitor.admit(case, first);
    let _ = monitor.admit(case, second);
}

fn main() {}
