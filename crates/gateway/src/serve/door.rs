//! Whom a message does not get past, before anything else is done with it.

use std::sync::Arc;

use bartizan_monitor::controls::quota::{BUDGET, EXCEEDED};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::Released;
use bartizan_monitor::wire::envelope::{Misread, Parsed};
use bartizan_monitor::wire::json::Json;

use super::{Asked, House, Visit, open};
use crate::counts::Turned;
use crate::front::{self, Reply};
use crate::session::Talk;

impl Asked {
    /// What is known of a message as it arrived.
    pub(super) fn of(arrival: &Result<Parsed, Misread>, call: u64) -> Self {
        match arrival {
            Ok(parsed) => {
                let (id, method) = (parsed.id().cloned(), parsed.method());
                Self { awaited: id.is_some(), id, method, era: parsed.version().era(), call }
            }
            Err(misread) => Self { id: misread.id.clone(), method: None, era: misread.era, call, awaited: true },
        }
    }
}

/// Refuses a message of a client that sends too many. One in a window has a record of its own; that of the next one
/// says how many had none.
pub(super) fn turn_away(house: &House, visit: &Visit<'_>, arrival: &Result<Parsed, Misread>, turned: Turned) -> Reply {
    let Turned { mut refusal, untold } = turned;
    let Some(untold) = untold else { return front::refused(&Asked::of(arrival, 0), &refusal) };
    let (asked, ticket) = open(house, visit, arrival);
    if untold > 0 {
        refusal.detail = format!("{}; {untold} more were refused without a record", refusal.detail);
    }
    tracing::warn!(principal = %visit.talk.caller.principal(), reason = %refusal.reason, detail = %refusal.detail, "a client sends too much");
    ticket.refuse(&refusal);
    front::refused(&asked, &refusal)
}

/// Counts what limits refused: a client that goes on is not listened to for a while.
pub(super) fn learn(house: &House, talk: &Arc<Talk>, outcome: &Result<Option<Released>, Refusal>) {
    let Err(refusal) = outcome else { return };
    if ![EXCEEDED, BUDGET].contains(&refusal.reason) || !house.counts.offend(talk.caller.principal()) {
        return;
    }
    let principal = talk.caller.principal();
    tracing::warn!(%principal, "limits refused this client too often: it is not listened to for a while");
    house.journal.note(&Json::object([
        ("event", Json::string("breaker")),
        ("principal", Json::string(principal)),
        ("detail", Json::string("limits refused the client too often: it is not listened to for a while")),
    ]));
}
