//! The journal's format: what is recorded of a call, and the chain that shows tampering.
//!
//! One line of JSON per entry. Each carries its sequence number and the SHA-256 of the line before
//! it, so that a line cannot be changed, removed or inserted unnoticed. A call that leaves has two
//! lines, `decided` before anything happens and `closed` after; a call that is refused has one,
//! `closed`. Writing is the gateway's business; this module holds no file.

use std::borrow::Cow;

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
    /// The closing line as far as it is known before there is a case.
    about: Members,
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
        Self { id, about: closed(id), decided: false, ledger: Some(ledger) }
    }

    /// The number of the call.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What is noted about the call here stands in its record when it ends before there is a case.
    pub const fn about(&mut self) -> &mut Members {
        &mut self.about
    }

    pub(crate) const fn decided(&mut self) {
        self.decided = true;
    }

    /// Closes the record of a call that ended well.
    pub(crate) fn close(mut self, outcome: Outcome, trail: &[Step], beside: Option<(&'static str, Json)>) {
        let mut members = closed(self.id);
        match outcome {
            Outcome::Answered { form, bytes } => {
                let form = if form == ReplyForm::Result { "result" } else { "error" };
                members.string("outcome", "answered").string("form", form).number("bytes", bytes as u64)
            }
            Outcome::Sent => members.string("outcome", "sent"),
        };
        went(&mut members, trail, beside);
        self.write(members);
    }

    /// Closes the record of a call that was refused outside of the controls.
    pub fn refuse(mut self, refusal: &Refusal) {
        let members = if self.decided { closed(self.id) } else { std::mem::take(&mut self.about) };
        self.write(refused(members, "refused", refusal));
    }

    /// Closes the record of a call that a control denied.
    pub(crate) fn deny(mut self, decision: &Json, refusal: &Refusal) {
        self.write(refused(closed_as(self.id, decision), "refused", refusal));
    }

    /// Closes the record of a call that waits for a person: its message is answered with the question.
    pub(crate) fn hold(mut self, decision: &Json, reason: Reason) {
        let mut members = closed_as(self.id, decision);
        members.string("outcome", "held").string("reason", reason.code());
        self.write(members);
    }

    /// Closes the record of a call whose reply was withheld: it had its effect.
    pub(crate) fn withhold(mut self, refusal: &Refusal, trail: &[Step], beside: Option<(&'static str, Json)>) {
        let mut members = refused(closed(self.id), "withheld", refusal);
        went(&mut members, trail, beside);
        self.write(members);
    }

    fn write(&mut self, members: Members) {
        if let Some(ledger) = self.ledger.take() {
            ledger.close(&members.end());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.ledger.is_some() {
            let mut members = std::mem::take(&mut self.about);
            members.string("outcome", "abandoned");
            self.write(members);
        }
    }
}

/// A closing line begins so.
fn closed(id: u64) -> Members {
    let mut members = Members::new();
    members.string("event", "closed").shown("call", format_args!("{id:016x}"));
    members
}

/// A closing line that is the only one of its call, and says what was decided, too.
fn closed_as(id: u64, decision: &Json) -> Members {
    let mut members = closed(id);
    for (key, value) in decision.view().members().filter(|(key, _)| !matches!(&**key, "event" | "call")) {
        members.json(&key, &decision.share(value));
    }
    members
}

fn refused(mut members: Members, outcome: &str, refusal: &Refusal) -> Members {
    members.string("outcome", outcome).string("reason", refusal.reason.code()).string("detail", &bounded(&refusal.detail, 500));
    members
}

/// How a reply went through the controls, and what is known beside.
fn went(members: &mut Members, trail: &[Step], beside: Option<(&'static str, Json)>) {
    if !trail.is_empty() {
        write_trail(members, trail);
    }
    write_notes(members, trail);
    if let Some((key, value)) = beside {
        members.json(key, &value);
    }
}

/// What the controls noted, without content.
fn write_notes(members: &mut Members, trail: &[Step]) {
    let notes = || trail.iter().filter_map(|step| Some((step.control, step.note.as_deref()?)));
    if notes().next().is_some() {
        members.object("notes", |members| {
            notes().for_each(|(control, note)| {
                members.string(control, &bounded(note, 1000));
            });
        });
    }
}

fn write_trail(members: &mut Members, trail: &[Step]) {
    members.object("trail", |members| {
        for step in trail {
            match step.mark {
                Mark::Pass => members.string(step.control, "pass"),
                Mark::Mask => members.string(step.control, "mask"),
                Mark::Hold(reason) => members.shown(step.control, format_args!("hold {reason}")),
                Mark::Deny(reason) => members.shown(step.control, format_args!("deny {reason}")),
                Mark::Observed(reason) => members.shown(step.control, format_args!("observed {reason}")),
            };
        }
    });
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
        members.shown("arguments", case.arguments_digest());
        write_outline(&mut members, "shape", arguments, OUTLINE_DEPTH);
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
    write_trail(&mut members, trail);
    write_notes(&mut members, trail);
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
fn write_outline(members: &mut Members, key: &str, view: View<'_>, depth: usize) {
    match view.kind() {
        Kind::String => members.shown(key, format_args!("string:{}", view.as_str().unwrap_or_default().chars().count())),
        Kind::Number => members.string(key, "number"),
        Kind::Bool => members.string(key, "boolean"),
        Kind::Null => members.string(key, "null"),
        Kind::Array => members.shown(key, format_args!("array:{}", view.items().count())),
        Kind::Object if depth == 0 => members.string(key, "object"),
        Kind::Object => {
            let inner = view.members().take(OUTLINE_MEMBERS).map(|(key, value)| (bounded(&key, 64).into_owned(), value));
            let inner: std::collections::BTreeMap<String, View<'_>> = inner.collect();
            members.object(key, |members| {
                inner.iter().for_each(|(key, value)| write_outline(members, key, *value, depth.saturating_sub(1)));
            })
        }
    };
}

fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    // There are no more characters than bytes.
    let cut = if text.len() > most { text.char_indices().nth(most) } else { None };
    cut.map_or(Cow::Borrowed(text), |(end, _)| Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())))
}

#[cfg(test)]
mod tests;
