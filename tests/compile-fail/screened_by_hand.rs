//! An answer is screened only by the monitor: nobody says by hand that no judge has to be heard about it.

use bartizan_monitor::case::{Case, Labels, Reply};
use bartizan_monitor::journal::Ticket;
use bartizan_monitor::stages::opinion::Screened;

fn forge(case: Case, ticket: Ticket, reply: Reply) -> Screened {
    Screened { case, ticket, reply, trail: Vec::new(), labels: Labels::default(), asides: Vec::new(), owed: Vec::new() }
}

fn main() {}
