//! Only the monitor admits.

use bartizan_monitor::case::Case;
use bartizan_monitor::journal::Ticket;
use bartizan_monitor::stages::Admitted;
use bartizan_monitor::wire::json::Json;

fn forge(case: Case, ticket: Ticket) -> Admitted {
    Admitted { case, ticket, decision: Json::null(), owed: Vec::new() }
}

fn main() {}
