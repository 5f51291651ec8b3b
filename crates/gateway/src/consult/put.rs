//! The question, put to the client's person.

use std::sync::Arc;

use bartizan_monitor::case::{Assurance, Case};
use bartizan_monitor::stages::question;
use bartizan_monitor::wire::envelope::{META_CAPABILITIES, Message, Outcome};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Era;
use tokio::sync::Mutex;
use tokio::sync::oneshot;

use super::desk::Card;
use crate::serve::Visit;
use crate::session::{Interim, InterimSender, Talk};

/// What the client says that its person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Yes.
    Yes,
    /// Anything else, and what.
    No(&'static str),
}

impl Said {
    /// Reads an answer to the question: `accept` with a tick. A form that came back empty is no yes.
    pub(super) fn read(answer: Option<View<'_>>) -> Self {
        let Some(answer) = answer else { return Self::No("no answer to the question") };
        let action = answer.get("action").and_then(View::as_str);
        let agreed = answer.at(&["content", "agree"]).and_then(View::as_bool) == Some(true);
        match action.as_deref() {
            Some("accept") if agreed => Self::Yes,
            Some("accept") => Self::No("accepted without agreeing"),
            Some("decline") => Self::No("declined"),
            Some("cancel") => Self::No("closed without an answer"),
            Some(_) | None => Self::No("an answer that is not understood"),
        }
    }
}

/// Whether a client can show a form to its person.
pub(super) fn elicits(talk: &Talk, case: &Case) -> bool {
    match (case.version().era(), case.message()) {
        (Era::Modern, Message::Request { params, .. }) => can_elicit(modern(params.as_ref())),
        (Era::Legacy, _) => {
            let settled = talk.negotiated().and_then(|settled| settled.capabilities);
            can_elicit(settled.as_ref().map(Json::view))
        }
        (Era::Modern, _) => false,
    }
}

/// The capabilities of a modern request.
pub(super) fn modern(params: Option<&Json>) -> Option<View<'_>> {
    params.and_then(|params| params.view().at(&["_meta", META_CAPABILITIES]))
}

/// Whether capabilities have forms: `{}` is forms alone (2025-06-18), `url` without `form` is none.
pub(crate) fn can_elicit(capabilities: Option<View<'_>>) -> bool {
    let Some(elicitation) = capabilities.and_then(|capabilities| capabilities.get("elicitation")) else { return false };
    elicitation.get("form").is_some() || elicitation.get("url").is_none()
}

/// What the person sees of a card.
pub(super) fn text(card: &Card) -> String {
    let Card { shown, id, hold, .. } = card;
    match hold.minimum {
        Assurance::Model | Assurance::Client => format!("Agree to this call? It is sent once, exactly as shown.\n\n{}", shown.text),
        minimum => {
            let second = if minimum >= Assurance::Person { " --as TOKEN" } else { "" };
            format!(
                "This call waits for a person, and an answer here does not count. First run, where the gateway runs:\n  bartizan approvals grant {id}{second}\n\n{}",
                shown.text
            )
        }
    }
}

/// Tells whoever reads the gateway's log that something waits.
pub(super) fn tell(card: &Card) {
    tracing::warn!(id = %card.id, server = %card.server, tool = %card.item.pin.name, effect = %card.effect, "a call waits for a person: bartizan approvals show {}", card.id);
}

/// A question on its way, taken back by being dropped.
pub(super) struct Put {
    talk: Arc<Talk>,
    interim: InterimSender,
    id: String,
    answer: Mutex<oneshot::Receiver<Outcome>>,
}

impl Put {
    /// Asks. The id is not to be guessed, and an answer counts in this conversation alone.
    pub(super) fn to(visit: &Visit<'_>, card: &Card) -> Self {
        let id = format!("bartizan-{}", card.id);
        let answer = Mutex::new(visit.talk.asks.own(&id));
        let message = Json::object([
            ("jsonrpc", Json::string("2.0")),
            ("id", Json::string(&id)),
            ("method", Json::string(Method::Elicitation.name())),
            ("params", question(&text(card))),
        ]);
        if visit.interim.try_send(Interim::Message(message.bytes().clone())).is_err() {
            // Nobody hears it: the other end of the channel is told at once.
            visit.talk.asks.forget(&id);
        }
        Self { talk: visit.talk.clone(), interim: visit.interim.clone(), id, answer }
    }

    /// What came back.
    pub(super) async fn answer(&self) -> Said {
        match (&mut *self.answer.lock().await).await {
            Ok(Outcome::Result(result)) => Said::read(Some(result.view())),
            Ok(Outcome::Error(_)) => Said::No("the client could not ask"),
            Err(_) => Said::No("the client has gone"),
        }
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        if !self.talk.asks.forget(&self.id) {
            return;
        }
        // It was decided elsewhere, or not at all: the client need not ask any more.
        let params = Json::object([("requestId", Json::string(&self.id)), ("reason", Json::string("decided elsewhere"))]);
        let told = Json::object([("jsonrpc", Json::string("2.0")), ("method", Json::string(Method::Cancelled.name())), ("params", params)]);
        // A client that does not read has lost nothing.
        let _ = self.interim.try_send(Interim::Message(told.bytes().clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &'static str) -> Json {
        Json::parse(bytes::Bytes::from_static(text.as_bytes())).expect("json")
    }

    #[test]
    fn only_a_tick_is_a_yes() {
        assert_eq!(Said::read(Some(json(r#"{"action":"accept","content":{"agree":true}}"#).view())), Said::Yes);
        for no in [
            r#"{"action":"accept"}"#,
            r#"{"action":"accept","content":{}}"#,
            r#"{"action":"accept","content":{"agree":false}}"#,
            r#"{"action":"accept","content":{"agree":"true"}}"#,
            r#"{"action":"ACCEPT","content":{"agree":true}}"#,
            r#"{"action":"decline","content":{"agree":true}}"#,
            r#"{"action":"cancel"}"#,
            r#"{"content":{"agree":true}}"#,
            "[]",
        ] {
            assert!(matches!(Said::read(Some(json(no).view())), Said::No(_)), "{no}");
        }
        assert!(matches!(Said::read(None), Said::No(_)));
    }

    #[test]
    fn a_client_with_addresses_only_has_no_forms() {
        let can = |text| can_elicit(Some(json(text).view()));
        assert!(can(r#"{"elicitation":{}}"#) && can(r#"{"elicitation":{"form":{},"url":{}}}"#));
        assert!(!can(r#"{"elicitation":{"url":{}}}"#) && !can("{}") && !can_elicit(None));
    }
}
