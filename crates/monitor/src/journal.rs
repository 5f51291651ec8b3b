//! The journal's format: what is recorded of a call, and the chain that shows tampering.
//!
//! One line of JSON per entry. Each carries its sequence number and the SHA-256 of the line before
//! it, so that a line cannot be changed, removed or inserted unnoticed. A call that leaves has two
//! lines, `decided` before anything happens and `closed` after; a call that is refused has one,
//! `closed`. Writing is the gateway's business; this module holds no file.

mod chain;
pub use chain::{Break, Chain, Summary, Verifier};

use crate::case::{Case, Labels, Mark, ReplyForm, Step};
use crate::reason::{Reason, Refusal};
use crate::wire::canonical::Digest;
use crate::wire::envelope::Message;
use crate::wire::json::{Json, Kind, Members, View};

/// Where the lines of one call go. The implementation adds time, number and chain.
pub trait Ledger: Send + Sync {
    /// Takes the closing line. An implementation that cannot write it must refuse all calls from
    /// then on: there is nobody left to tell.
    fn close(&self, members: &Json);
}

/// Proof that a decision is in the journal.
#[derive(Debug)]
pub struct Receipt(Digest);

impl Receipt {
    /// States that the decision with this digest was written. Called in the gateway's journal only
    /// (tidy checks).
    #[must_use]
    pub const fn assertion(decision: Digest) -> Self {
        Self(decision)
    }

    pub(crate) fn is_for(&self, decision: &Digest) -> bool {
        self.0 == *decision
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The reply was released.
    Answered {
        /// Result or error.
        form: ReplyForm,
        /// Its size.
        bytes: usize,
    },
    /// A message that has no reply went out.
    Sent,
}

/// The obligation to close a call's record. It travels inside the stages; dropping it closes the
/// record as abandoned, so that no early return, disconnect or panic can lose one.
pub struct Ticket {
    id: u64,
    about: Vec<(&'static str, Json)>,
    decided: bool,
    ledger: Option<Box<dyn Ledger>>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket({})", call_name(self.id))
    }
}

impl Ticket {
    /// Opens a record.
    #[must_use]
    pub fn open(id: u64, ledger: Box<dyn Ledger>) -> Self {
        Self { id, about: Vec::new(), decided: false, ledger: Some(ledger) }
    }

    /// The number of the call.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Notes something about the call for a refusal that comes before there is a case.
    pub fn note(&mut self, key: &'static str, value: Json) {
        self.about.push((key, value));
    }

    pub(crate) const fn decided(&mut self) {
        self.decided = true;
    }

    /// Closes the record of a call that ended well.
    pub(crate) fn close(mut self, outcome: Outcome, trail: &[Step], beside: Option<(&'static str, Json)>) {
        let mut members = match outcome {
            Outcome::Answered { form, bytes } => {
                let form = if form == ReplyForm::Result { "result" } else { "error" };
                vec![("outcome", Json::string("answered")), ("form", Json::string(form)), ("bytes", Json::of(&bytes))]
            }
            Outcome::Sent => vec![("outcome", Json::string("sent"))],
        };
        members.extend(trail_member(trail));
        members.extend(notes_member(trail).into_iter().chain(beside));
        self.write(members);
    }

    /// Closes the record of a call that was refused outside of the controls.
    pub fn refuse(mut self, refusal: &Refusal) {
        let mut members = if self.decided { Vec::new() } else { std::mem::take(&mut self.about) };
        members.extend(refused("refused", refusal));
        self.write(members);
    }

    /// Closes the record of a call that a control denied.
    pub(crate) fn deny(mut self, decision: &Json, refusal: &Refusal) {
        self.write_with(decision, refused("refused", refusal));
    }

    fn write_with(&mut self, decision: &Json, end: impl IntoIterator<Item = (&'static str, Json)>) {
        let view = decision.view();
        let mut members: Vec<(String, Json)> = view
            .members()
            .filter(|(key, _)| !matches!(&**key, "event" | "call"))
            .map(|(key, value)| (key.into_owned(), decision.share(value)))
            .collect();
        members.extend(end.into_iter().map(|(key, value)| (key.to_owned(), value)));
        self.write(members.iter().map(|(key, value)| (key.as_str(), value.clone())));
    }

    /// Closes the record of a call that waits for a person: its message is answered with the question.
    pub(crate) fn hold(mut self, decision: &Json, reason: Reason) {
        let end = [("outcome", Json::string("held")), ("reason", Json::string(reason.code()))];
        self.write_with(decision, end);
    }

    /// Closes the record of a call whose reply was withheld: it had its effect.
    pub(crate) fn withhold(mut self, refusal: &Refusal, trail: &[Step], beside: Option<(&'static str, Json)>) {
        let mut members: Vec<_> = refused("withheld", refusal).into();
        members.extend(trail_member(trail));
        members.extend(notes_member(trail).into_iter().chain(beside));
        self.write(members);
    }

    fn write<'k>(&mut self, members: impl IntoIterator<Item = (&'k str, Json)>) {
        let Some(ledger) = self.ledger.take() else { return };
        let head = [("event", Json::string("closed")), ("call", Json::string(&call_name(self.id)))];
        ledger.close(&Json::object(head.into_iter().chain(members)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut members = std::mem::take(&mut self.about);
        members.push(("outcome", Json::string("abandoned")));
        self.write(members);
    }
}

fn refused(outcome: &str, refusal: &Refusal) -> [(&'static str, Json); 3] {
    [
        ("outcome", Json::string(outcome)),
        ("reason", Json::string(refusal.reason.code())),
        ("detail", Json::string(&bounded(&refusal.detail, 500))),
    ]
}

fn trail_member(trail: &[Step]) -> Option<(&'static str, Json)> {
    (!trail.is_empty()).then(|| ("trail", trail_json(trail)))
}

/// What the controls noted, without content.
fn notes_member(trail: &[Step]) -> Option<(&'static str, Json)> {
    let notes = || trail.iter().filter_map(|step| Some((step.control, step.note.as_deref()?)));
    notes().next()?;
    Some(("notes", Json::object(notes().map(|(control, note)| (control, Json::string(&bounded(note, 1000)))))))
}

fn trail_json(trail: &[Step]) -> Json {
    let mut members = Members::new();
    for step in trail {
        match step.mark {
            Mark::Pass => members.string(step.control, "pass"),
            Mark::Mask => members.string(step.control, "mask"),
            Mark::Hold(reason) => members.shown(step.control, format_args!("hold {reason}")),
            Mark::Deny(reason) => members.shown(step.control, format_args!("deny {reason}")),
            Mark::Observed(reason) => members.shown(step.control, format_args!("observed {reason}")),
        };
    }
    members.end()
}

/// A call's number as it stands in the journal. Text, because a number of this size loses digits in
/// many JSON readers.
#[must_use]
pub fn call_name(id: u64) -> String {
    format!("{id:016x}")
}

/// The decision on a case, as it is recorded.
pub(crate) fn decision(case: &Case, policy: Digest, trail: &[Step], admitted: bool) -> Json {
    let facts = case.facts();
    let method = match &case.message {
        Message::Request { method, .. } | Message::Notification { method, .. } => method.name(),
        Message::Response { .. } => "response",
    };
    let mut members = Members::new();
    members
        .string("event", "decided")
        .shown("call", format_args!("{:016x}", facts.id))
        .string("principal", case.caller().principal())
        .string("session", &facts.session)
        .string("transport", facts.transport)
        .string("version", case.version().name())
        .string("method", method)
        .shown("policy", policy)
        .string("decision", if admitted { "admitted" } else { "refused" });
    if let Some(application) = case.caller().badge().and_then(|badge| badge.application.as_deref()) {
        members.string("application", application);
    }
    if let Some(peer) = facts.peer {
        members.shown("peer", peer);
    }
    if let Some(name) = case.caller().strength().certificate.as_deref() {
        members.string("certificate", name);
    }
    if facts.labels != Labels::default() {
        members.json("labels", &Json::array(facts.labels.names().map(Json::string)));
    }
    if let Some(server) = case.server() {
        members.string("server", server);
    }
    if let Some(item) = case.item() {
        let (kind, effect) = (item.pin.kind.name(), case.effect().name());
        members.string("kind", kind).string("item", &item.pin.name).string("effect", effect).shown("pinned", item.pin.digest);
    }
    if let Some(arguments) = case.arguments() {
        members.shown("arguments", case.arguments_digest()).json("shape", &outline(arguments));
    }
    if let Some(agreement) = case.agreed() {
        members.shown("agreed", format_args!("{:016x}", agreement.call));
    }
    let others = [("replays", case.replays()), ("tries", case.tries()), ("reads", case.reads().map(|reads| reads.first))];
    for (key, call) in others {
        if let Some(call) = call {
            members.shown(key, format_args!("{call:016x}"));
        }
    }
    if let Some(trace) = trace(case) {
        members.json("trace", &trace);
    }
    if let Some(rules) = trail.iter().find_map(|step| step.rules.as_ref()) {
        members.json("rules", rules);
    }
    members.json("trail", &trail_json(trail));
    if let Some((key, notes)) = notes_member(trail) {
        members.json(key, &notes);
    }
    members.end()
}

/// The trace id of a W3C `traceparent` in `_meta` (SEP-414).
fn trace(case: &Case) -> Option<Json> {
    let (Message::Request { params, .. } | Message::Notification { params, .. }) = &case.message else { return None };
    let parent = params.as_ref()?.view().at(&["_meta", "traceparent"])?.as_str()?;
    let id = parent.split('-').nth(1).filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(Json::string(id))
}

const OUTLINE_MEMBERS: usize = 32;
const OUTLINE_DEPTH: usize = 4;

/// The redacted form of arguments: names, types and sizes, never a value. Values may be secrets
/// whatever their name is.
#[must_use]
pub fn outline(view: View<'_>) -> Json {
    outline_at(view, OUTLINE_DEPTH)
}

fn outline_at(view: View<'_>, depth: usize) -> Json {
    match view.kind() {
        Kind::String => Json::string(&format!("string:{}", view.as_str().unwrap_or_default().chars().count())),
        Kind::Number => Json::string("number"),
        Kind::Bool => Json::string("boolean"),
        Kind::Null => Json::string("null"),
        Kind::Array => Json::string(&format!("array:{}", view.items().count())),
        Kind::Object if depth == 0 => Json::string("object"),
        Kind::Object => {
            let mut keys = std::collections::BTreeMap::new();
            for (key, value) in view.members().take(OUTLINE_MEMBERS) {
                keys.insert(bounded(&key, 64), outline_at(value, depth.saturating_sub(1)));
            }
            Json::object(keys.iter().map(|(key, value)| (key.as_str(), value.clone())))
        }
    }
}

fn bounded(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
