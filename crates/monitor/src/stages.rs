//! The proofs. A call moves through these types and through no other door; each can only be made
//! from the one before it, and only the monitor makes them.
//!
//! `Case → Admitted → Recorded → Answer → Screened → Released`, or `Case → Held → Admitted` when a person must
//! agree. No `Clone`, no `Default`, no public fields: a stage that was not earned does not compile.

mod held;
mod judge;
pub mod opinion;
pub use held::{Asking, Binding, Grant, Held, QUESTION, Word, party, question};
pub use judge::{Mode, Monitor};

use std::sync::Arc;

use opinion::Judge;

use crate::case::{Aside, Case, Event, Kept, Labels, Reply, ReplyForm};
use crate::journal::{Outcome, Receipt, Ticket};
use crate::reason::Refusal;
use crate::reason::gateway::{MONITOR_FAULT, MONITOR_JOURNAL};
use crate::wire::canonical::Digest;
use crate::wire::envelope;
use crate::wire::json::Json;

/// Nobody objected.
#[derive(Debug)]
pub struct Admitted {
    case: Case,
    ticket: Ticket,
    decision: Json,
    /// Who has to be heard first.
    owed: Vec<Arc<Judge>>,
}

/// What the controls said together.
#[derive(Debug)]
pub enum Ruling {
    /// Go on.
    Admitted(Admitted),
    /// Ask a person.
    Held(Held),
}

impl Admitted {
    /// The decision as it must be recorded before anything happens.
    #[must_use]
    pub const fn decision(&self) -> &Json {
        &self.decision
    }

    /// The call.
    #[must_use]
    pub const fn case(&self) -> &Case {
        &self.case
    }

    /// Takes the receipt of this very decision; without it nothing is sent, and this is why.
    pub fn record(mut self, receipt: Result<Receipt, Refusal>) -> Result<Recorded, Refusal> {
        let refusal = match receipt {
            _ if !self.owed.is_empty() => Refusal::new(MONITOR_FAULT, "its judges were not heard"),
            Ok(receipt) if receipt.is_for(&Digest::of_bytes(self.decision.bytes())) => {
                self.ticket.decided();
                return Ok(Recorded { case: self.case, ticket: self.ticket });
            }
            Ok(_) => Refusal::new(MONITOR_JOURNAL, "the receipt is for another decision"),
            Err(refusal) => refusal,
        };
        self.ticket.refuse(&refusal);
        Err(refusal)
    }
}

/// The decision is in the journal. The only thing that an upstream takes: one permit, one call.
#[derive(Debug)]
pub struct Recorded {
    case: Case,
    ticket: Ticket,
}

impl Recorded {
    /// What was judged, which is what is sent.
    #[must_use]
    pub const fn case(&self) -> &Case {
        &self.case
    }

    /// Ties a reply to the call that caused it.
    #[must_use]
    pub fn answered(self, outcome: envelope::Outcome) -> Answer {
        let reply = match outcome {
            envelope::Outcome::Result(body) => Reply::new(ReplyForm::Result, body),
            envelope::Outcome::Error(body) => Reply::new(ReplyForm::Error, body),
        };
        Answer { case: self.case, ticket: self.ticket, reply }
    }

    /// Ties a result that was made before to this call. It is judged like any other.
    #[must_use]
    pub fn answered_again(self, kept: &Arc<Kept>) -> Answer {
        Answer { case: self.case, ticket: self.ticket, reply: Reply::of_kept(kept) }
    }

    /// The call failed on the way.
    #[must_use]
    pub fn failed(self, refusal: Refusal) -> Refusal {
        self.ticket.refuse(&refusal);
        refusal
    }

    /// A notification or an answer of the client went out; nothing comes back.
    pub fn sent(self) {
        self.ticket.close(Outcome::Sent, &[], None);
    }
}

/// A reply, tied to its call. Nobody has seen it yet.
#[derive(Debug)]
pub struct Answer {
    case: Case,
    ticket: Ticket,
    reply: Reply,
}

/// Something a server said on its own. Nobody has seen it yet.
#[derive(Debug)]
pub struct Heard {
    event: Event,
}

impl Heard {
    /// Said in the course of a call or outside of any.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self { event }
    }

    /// What was said.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }
}

/// Every control saw it. The only thing that a client is sent, beside a refusal.
#[derive(Debug)]
pub struct Released {
    body: Json,
    kind: ReleasedKind,
    labels: Labels,
    asides: Vec<Aside>,
}

/// What a released body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleasedKind {
    /// The reply to a request.
    Reply(ReplyForm),
    /// The parameters of something a server said on its own; `null` stands for none.
    Event(crate::wire::method::Method),
}

impl Released {
    /// The body, edited where a control asked for it.
    #[must_use]
    pub const fn body(&self) -> &Json {
        &self.body
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> ReleasedKind {
        self.kind
    }

    /// What whoever hears it has seen by it.
    #[must_use]
    pub const fn labels(&self) -> Labels {
        self.labels
    }

    /// What of the answer was not handed out and is to be kept, once.
    pub fn take_asides(&mut self) -> Vec<Aside> {
        std::mem::take(&mut self.asides)
    }
}
