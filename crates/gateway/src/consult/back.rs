//! What clients bring back: a `requestState` of ours with their person's answer, or the handle of a preview. The
//! message becomes the call that it stands for, which is then judged like any other.

use std::sync::Arc;

use bartizan_monitor::case::{Case, is_transient};
use bartizan_monitor::catalog::UNKNOWN;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::CONFIRM_UNKNOWN;
use bartizan_monitor::stages::QUESTION;
use bartizan_monitor::wire::envelope::{Message, Parsed};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Era;

use super::desk::{Answer, Card, Place};
use super::put::Said;
use super::{Channel, Consult, seal, tool};
use crate::clock;

/// What a client claims: that its person answered a question of ours. Taken off the desk, so it is claimed once.
#[derive(Debug)]
pub struct Claim {
    pub(super) card: Arc<Card>,
    /// What somebody said elsewhere meanwhile.
    pub(super) answer: Option<Answer>,
    /// What the client says.
    pub(super) said: Said,
    pub(super) channel: Channel,
}

/// What a message brought along of ours.
#[derive(Debug)]
pub enum Brought {
    /// Nothing.
    Nothing,
    /// A handle that completes nothing, unless a server has such a tool.
    Handle,
    /// The answer to a question.
    Claim(Claim),
}

impl Brought {
    /// A handle that completes nothing is told apart from a name that does not exist.
    #[must_use]
    pub fn explain(&self, refusal: Refusal) -> Refusal {
        match self {
            Self::Handle if refusal.reason == UNKNOWN => unknown("the handle was used before, has expired, or never was"),
            Self::Handle | Self::Nothing | Self::Claim(_) => refusal,
        }
    }
}

/// What is sealed: whose question it was, and what the server wants to be brought back by the next message.
const ID: &str = "id";
const BINDING: &str = "call";
const BACK: &str = "back";
/// What belongs to a server's own question.
const NESTED: [&str; 2] = ["inputResponses", "requestState"];

fn unknown(what: &str) -> Refusal {
    Refusal::new(CONFIRM_UNKNOWN, what)
}

impl Consult {
    /// The state of a question: the client brings it back unread. A server may have asked before us; what the client
    /// brings to that server goes into the state, and comes out again when the call is made.
    pub(super) fn state(&self, card: &Card, case: &Case) -> Option<String> {
        let params = match case.message() {
            Message::Request { params, .. } => params.as_ref(),
            Message::Notification { .. } | Message::Response { .. } => None,
        };
        let nested = NESTED.into_iter().filter_map(|key| Some((key, params?.get(key)?)));
        let back = nested.chain(params.and_then(lasting).map(|meta| ("_meta", meta)));
        let value = Json::object([
            (ID, Json::string(&card.id)),
            (BINDING, Json::string(&card.binding.call.to_string())),
            (BACK, Json::object(back)),
        ]);
        self.seal.close(&card.place.principal, &value)
    }

    /// Turns a message that answers a question of ours into the call that it is about. Any other stays as it is.
    pub(crate) fn unfold(&self, place: impl FnOnce() -> Place, parsed: Parsed) -> Result<(Parsed, Brought), Refusal> {
        let Message::Request { method: Method::ToolsCall, params: Some(params), .. } = parsed.message() else {
            return Ok((parsed, Brought::Nothing));
        };
        let view = params.view();
        // Only the modern era has states; where there are none, long arguments are not looked through for one.
        let is_modern = parsed.version().era() == Era::Modern;
        let state = is_modern.then(|| view.get("requestState")).flatten().and_then(View::as_str);
        let state = state.filter(|state| state.starts_with(seal::PREFIX));
        if let Some(state) = state {
            let (params, claim) = self.answered(&place(), params, &state)?;
            return Ok((parsed.with_params(params)?, Brought::Claim(claim)));
        }
        let name = view.get("name").and_then(View::as_str).filter(|name| name.starts_with(tool::PREFIX));
        let handle = name.and_then(|name| Some((name, view.at(&["arguments", tool::HANDLE])?.as_str()?)));
        let Some((name, handle)) = handle else { return Ok((parsed, Brought::Nothing)) };
        match self.completed(&place(), params, (&name, &handle))? {
            Some((params, claim)) => Ok((parsed.with_params(params)?, Brought::Claim(claim))),
            None => Ok((parsed, Brought::Handle)),
        }
    }

    fn answered(&self, place: &Place, params: &Json, state: &str) -> Result<(Json, Claim), Refusal> {
        let opened = self.seal.open(&place.principal, state).ok_or_else(|| unknown("the state does not open"))?;
        let text = |key: &str| opened.view().get(key).and_then(View::as_str).unwrap_or_default();
        let (card, answer) = self.desk.take(&text(ID), place, clock::now_ms())?;
        if card.binding.call.to_string() != text(BINDING) {
            return Err(unknown("the state is of another question"));
        }
        let said = Said::read(params.view().at(&["inputResponses", QUESTION]));
        let back = opened.get(BACK).unwrap_or_else(Json::empty_object);
        let mut members = without(params, &["inputResponses", "requestState", "_meta"]);
        members.extend(without(&back, &["_meta"]));
        members.extend(meta(params, back.get("_meta").as_ref()).map(|meta| ("_meta".to_owned(), meta)));
        Ok((object(&members), Claim { card, answer, said, channel: Channel::Input }))
    }

    /// The call behind a handle; none where no tool of ours is called, because a server may have one of such a name.
    fn completed(&self, place: &Place, params: &Json, (name, handle): (&str, &str)) -> Result<Option<(Json, Claim)>, Refusal> {
        let is_its = |card: &Arc<Card>| card.resume.as_ref().is_some_and(|resume| resume.tool == name);
        if self.desk.card(handle, clock::now_ms()).filter(is_its).is_none() {
            return Ok(None);
        }
        let (card, answer) = self.desk.take(handle, place, clock::now_ms())?;
        let Some(resume) = &card.resume else { return Ok(None) };
        let mut members = without(&resume.params, &["_meta"]);
        members.extend(meta(params, lasting(&resume.params).as_ref()).map(|meta| ("_meta".to_owned(), meta)));
        let params = object(&members);
        Ok(Some((params, Claim { card, answer, said: Said::Yes, channel: Channel::Preview })))
    }
}

/// The members of `_meta` that belong to the call and not to one message.
fn lasting(params: &Json) -> Option<Json> {
    let meta = params.get("_meta")?;
    let members: Vec<_> = without(&meta, &[]).into_iter().filter(|(key, _)| !is_transient(key)).collect();
    (!members.is_empty()).then(|| object(&members))
}

/// What belongs to this message comes from this message, and what belongs to the call from the call that was shown.
fn meta(message: &Json, call: Option<&Json>) -> Option<Json> {
    let own = message.get("_meta").map(|meta| without(&meta, &[])).unwrap_or_default();
    let mut members: Vec<_> = own.into_iter().filter(|(key, _)| is_transient(key)).collect();
    members.extend(call.map(|call| without(call, &[])).unwrap_or_default());
    (!members.is_empty()).then(|| object(&members))
}

fn without(of: &Json, keys: &[&str]) -> Vec<(String, Json)> {
    of.view().members().filter(|(key, _)| !keys.contains(&&**key)).map(|(key, value)| (key.into_owned(), of.share(value))).collect()
}

fn object(members: &[(String, Json)]) -> Json {
    Json::object(members.iter().map(|(key, value)| (key.as_str(), value.clone())))
}
