//! Only the journal's receipt makes a recorded call.

use bartizan_monitor::case::Case;
use bartizan_monitor::journal::Ticket;
use bartizan_monitor::stages::Recorded;

fn forge(case: Case, ticket: Ticket) -> Recorded {
    Recorded { case, ticket }
}

fn main() {}
