//! What is worth a record beside calls: what servers say on their own, and what was not let through of it.

use bartizan_monitor::case::Case;
use bartizan_monitor::journal::call_name;
use bartizan_monitor::reason::{Reason, Refusal};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;

use super::House;
use crate::session::Talk;
use crate::upstream::Link;

impl House {
    /// Notes that a server said something of its own accord that is worth a record.
    pub(crate) fn heard(&self, talk: &Talk, link: &Link, method: Method, outcome: Result<(), &str>) {
        if outcome.is_err() && !link.tolerates() {
            return;
        }
        let (outcome, why) = match outcome {
            Ok(()) => ("relayed", None),
            Err(why) => ("refused", Some(("detail", Json::string(why)))),
        };
        let members = [
            ("event", Json::string("heard")),
            ("server", Json::string(link.server().name())),
            ("session", Json::string(&talk.label)),
            ("method", Json::string(method.name())),
            ("outcome", Json::string(outcome)),
        ];
        self.journal.note(&Json::object(members.into_iter().chain(why)));
    }

    /// Notes a resource that a client wanted to hear of and may not.
    pub(crate) fn unwatched(&self, listening: &Case, uri: &str, reason: Reason) {
        self.journal.note(&Json::object([
            ("event", Json::string("unwatched")),
            ("call", Json::string(&call_name(listening.facts().id))),
            ("principal", Json::string(listening.caller().principal())),
            ("uri", Json::string(uri)),
            ("reason", Json::string(reason.code())),
        ]));
    }

    /// Notes a message of a server that fits nothing and was dropped.
    pub(crate) fn stray(&self, talk: &Talk, link: &Link, refusal: &Refusal) {
        if !link.tolerates() {
            return;
        }
        tracing::warn!(server = %link.server().name(), reason = %refusal.reason, detail = %refusal.detail, "a server's message was dropped");
        self.journal.note(&Json::object([
            ("event", Json::string("stray")),
            ("server", Json::string(link.server().name())),
            ("session", Json::string(&talk.label)),
            ("reason", Json::string(refusal.reason.code())),
            ("detail", Json::string(&refusal.detail)),
        ]));
    }
}
