//! Whom a message does not get past, before anything else is done with it.

use bartizan_monitor::controls::quota::{BUDGET, EXCEEDED};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::Released;
use bartizan_monitor::wire::envelope::{Message, Misread, Parsed};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;

use super::{Asked, House, Visit, open};
use crate::counts::{Turned, Who};
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

/// Lets a message in, or says why not. What a server asked for is not held against the client that answers: the server
/// decides how much that is, and has a rate of its own. Who is not listened to can still end what runs.
pub(super) fn knock(house: &House, visit: &Visit<'_>, arrival: &Result<Parsed, Misread>) -> Option<Reply> {
    let who = Who::of(&visit.talk.caller, visit.peer);
    match arrival.as_ref().map(|parsed| errand(visit.talk, parsed.message())) {
        Ok(Errand::Answers) => return None,
        Ok(Errand::Ends) if house.counts.may_end(&who) => return None,
        Ok(Errand::Ends | Errand::Other) | Err(_) => {}
    }
    house.counts.knock(&who).map(|turned| turn_away(house, visit, arrival, turned))
}

/// What a message is for, as far as that decides whether it may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// It answers what a server asked. Each question is answered once.
    Answers,
    /// It ends something that runs.
    Ends,
    Other,
}

fn errand(talk: &Talk, message: &Message) -> Errand {
    let named = |params: &Option<Json>, key: &str| params.as_ref().and_then(|params| params.get(key));
    match message {
        Message::Response { id, .. } if id.as_number().is_some_and(|id| talk.asks.waits(id)) => Errand::Answers,
        Message::Notification { method: Method::Cancelled, params }
            if named(params, "requestId").is_some_and(|id| talk.runs(id.view())) =>
        {
            Errand::Ends
        }
        Message::Request { method: Method::TasksCancel, params, .. }
            if named(params, "taskId").is_some_and(|id| id.view().as_str().is_some_and(|id| talk.task_owner(&id).is_some())) =>
        {
            Errand::Ends
        }
        Message::Response { .. } | Message::Notification { .. } | Message::Request { .. } => Errand::Other,
    }
}

/// Refuses a message of a client that sends too many. One in a window has a record of its own; that of the next one
/// says how many had none.
fn turn_away(house: &House, visit: &Visit<'_>, arrival: &Result<Parsed, Misread>, turned: Turned) -> Reply {
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
pub(super) fn learn(house: &House, visit: &Visit<'_>, outcome: &Result<Option<Released>, Refusal>) {
    let Err(refusal) = outcome else { return };
    if ![EXCEEDED, BUDGET].contains(&refusal.reason) || !house.counts.offend(&Who::of(&visit.talk.caller, visit.peer)) {
        return;
    }
    let principal = visit.talk.caller.principal();
    tracing::warn!(%principal, "limits refused this client too often: it is not listened to for a while");
    house.journal.note(&Json::object([
        ("event", Json::string("breaker")),
        ("principal", Json::string(principal)),
        ("detail", Json::string("limits refused the client too often: it is not listened to for a while")),
    ]));
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use bartizan_monitor::catalog::Owner;
    use bartizan_monitor::wire::envelope::{Id, Outcome};
    use bytes::Bytes;

    use super::*;
    use crate::identity::Imagined;
    use crate::session::{Ask, Endpoint, Ids, Opening, Outbox};

    struct Nowhere;

    impl Outbox for Nowhere {
        fn post(&self, _: Bytes) -> bool {
            false
        }

        fn is_read(&self) -> bool {
            false
        }
    }

    fn json(text: &'static str) -> Json {
        Json::parse(Bytes::from_static(text.as_bytes())).expect("JSON")
    }

    #[test]
    fn answers_that_a_server_waits_for_and_what_ends_a_running_call_are_told_apart() {
        let talk = Talk::begin(Opening {
            caller: Imagined { principal: "p".to_owned(), ..Imagined::default() }.caller(),
            endpoint: Endpoint::merged(Vec::new()),
            transport: "stdio",
            label: "l".into(),
            ids: Ids::Own,
            outbox: Box::new(Nowhere),
            calls: 9,
        });
        let answers = |id: u64| errand(&talk, &Message::Response { id: Id::number(id), outcome: Outcome::Result(Json::empty_object()) });
        let own = talk.asks.note(Ask::lost(Weak::new(), Id::number(7))).expect("noted");
        assert_eq!((answers(own), answers(own + 1)), (Errand::Answers, Errand::Other));
        drop(talk.asks.take(own));
        assert_eq!(answers(own), Errand::Other, "each is answered once");
        let cancels = || errand(&talk, &Message::Notification { method: Method::Cancelled, params: Some(json(r#"{"requestId":5}"#)) });
        assert_eq!(cancels(), Errand::Other, "nothing runs");
        let running = talk.start(&Id::number(5)).expect("started");
        assert_eq!(cancels(), Errand::Ends);
        drop(running);
        let task = json(r#"{"taskId":"t"}"#);
        let ends = || errand(&talk, &Message::Request { id: Id::number(1), method: Method::TasksCancel, params: Some(task.clone()) });
        assert_eq!(ends(), Errand::Other, "nobody's task");
        talk.remember_task("t".to_owned(), Owner { server: Arc::from("s"), tool: None });
        assert_eq!(ends(), Errand::Ends);
    }
}
