//! What waits for a person, and what lets it go on: a grant for exactly this call.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Admitted, Released, ReleasedKind};
use crate::case::{Assurance, Case, Labels, ReplyForm};
use crate::control::Hold;
use crate::journal::Ticket;
use crate::reason::Refusal;
use crate::reason::gateway::{CONFIRM_ASSURANCE, CONFIRM_EXPIRED, CONFIRM_MISMATCH, CONFIRM_STALE};
use crate::wire::canonical::Digest;
use crate::wire::json::{Edits, Json};
use crate::wire::refusal::KEY;
use crate::wire::version::Era;

/// Nobody denied, and somebody must agree.
#[derive(Debug)]
pub struct Held {
    pub(super) admitted: Admitted,
    pub(super) hold: Hold,
    pub(super) policy: Digest,
}

/// What a grant is good for: digests, so that it can be kept and compared and says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Of the call: who, in which session, at which server, which tool, with which arguments.
    pub call: Digest,
    /// Of what it was judged by: the reviewed definition, the policy, the credential.
    pub basis: Digest,
}

/// What somebody said, or that nobody said anything.
#[derive(Debug, Clone)]
pub struct Word {
    /// Who, as far as it is known.
    pub by: Arc<str>,
    /// How strongly it is known.
    pub assurance: Assurance,
    /// Over which channel.
    pub channel: &'static str,
    /// The digest of what was shown.
    pub shown: Digest,
    /// How long it took.
    pub waited_ms: u64,
    /// Who agreed before, where several must.
    pub also: Vec<Self>,
}

impl Word {
    fn json(&self, answer: &str) -> Json {
        let also = (!self.also.is_empty()).then(|| ("also", Json::array(self.also.iter().map(|word| word.json("yes")))));
        let members = [
            ("answer", Json::string(answer)),
            ("by", Json::string(&self.by)),
            ("assurance", Json::string(self.assurance.name())),
            ("channel", Json::string(self.channel)),
            ("shown", Json::string(&self.shown.to_string())),
            ("waited_ms", Json::number(self.waited_ms)),
        ];
        Json::object(members.into_iter().chain(also))
    }

    /// All who agreed.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.also)
    }

    /// How many different people that is.
    fn people(&self) -> usize {
        self.all().map(|word| party(&word.by)).collect::<BTreeSet<_>>().len()
    }
}

/// Proof that somebody agreed to one call. Used by being consumed.
#[derive(Debug)]
pub struct Grant {
    binding: Binding,
    word: Word,
    until_ms: u64,
}

impl Grant {
    /// States that somebody agreed to what this binding stands for, until then. Called in the gateway's `consult`
    /// only (tidy checks).
    #[must_use]
    pub const fn assertion(binding: Binding, word: Word, until_ms: u64) -> Self {
        Self { binding, word, until_ms }
    }
}

/// How a question is brought to the person when the message itself is answered with it.
#[derive(Debug, Clone, Copy)]
pub enum Asking<'a> {
    /// `input_required`: the client asks its person and comes again with the answer and this state.
    Input {
        /// What the person sees.
        text: &'a str,
        /// What the client brings back, unread.
        state: &'a str,
    },
    /// A result that says what would be sent, and how to go on.
    Preview {
        /// What the person sees, and what the model does next.
        text: &'a str,
        /// What completes the call.
        handle: &'a str,
    },
}

/// The key of our question among `inputRequests`.
pub const QUESTION: &str = "bartizan/confirm";

/// The parameters of the question in either era: agreeing takes a tick, so that a form that is sent off empty is no yes.
#[must_use]
pub fn question(text: &str) -> Json {
    let words = |pairs: [(&'static str, &str); 3]| Json::object(pairs.map(|(key, word)| (key, Json::string(word))));
    let agree = words([("type", "boolean"), ("title", "Agree"), ("description", "Send exactly this call, once.")]);
    let schema = Json::object([
        ("type", Json::string("object")),
        ("properties", Json::object([("agree", agree)])),
        ("required", Json::array([Json::string("agree")])),
    ]);
    Json::object([("message", Json::string(text)), ("requestedSchema", schema)])
}

/// The one who a principal stands for: the number of a token changes when it is rotated, its label does not.
#[must_use]
pub fn party(principal: &str) -> &str {
    let is_token = principal.starts_with("token:");
    principal.rsplit_once('#').filter(|_| is_token).map_or(principal, |(party, _)| party)
}

impl Held {
    /// What a person is asked for.
    #[must_use]
    pub const fn hold(&self) -> Hold {
        self.hold
    }

    /// The call that waits.
    #[must_use]
    pub const fn case(&self) -> &Case {
        &self.admitted.case
    }

    /// What a grant for it must be bound to.
    #[must_use]
    pub fn binding(&self) -> Binding {
        let case = &self.admitted.case;
        let digest = |digest: Digest| Json::string(&digest.to_string());
        let text = |text: Option<&str>| text.map_or_else(Json::null, Json::string);
        let (caller, item) = (case.caller(), case.item());
        let call = Json::object([
            ("principal", Json::string(caller.principal())),
            ("session", Json::string(&case.facts().session)),
            ("server", text(case.server().map(|server| &**server))),
            ("method", text(case.method().map(crate::wire::method::Method::name))),
            ("item", text(item.map(|item| item.pin.name.as_str()))),
            ("arguments", digest(case.arguments_digest())),
            ("beside", case.beside().unwrap_or_else(Json::null)),
        ]);
        let basis = Json::object([
            ("pinned", item.map_or_else(Json::null, |item| digest(item.pin.digest))),
            ("effect", Json::string(case.effect().name())),
            ("policy", digest(self.policy)),
            ("means", Json::string(caller.means().name())),
            ("application", text(caller.badge().and_then(|badge| badge.application.as_deref()))),
            ("certificate", text(caller.strength().certificate.as_deref())),
        ]);
        Binding { call: Digest::of_json(&call), basis: Digest::of_json(&basis) }
    }

    /// Somebody agreed to this very call: it goes on, and its record says who.
    pub fn granted(self, grant: Grant, now_ms: u64) -> Result<Admitted, Refusal> {
        let (own, Grant { binding, word, until_ms }) = (self.binding(), grant);
        let Hold { minimum: wanted, approvers, .. } = self.hold;
        let given = word.all().map(|word| word.assurance).min().unwrap_or(word.assurance);
        let asker = party(self.case().caller().principal());
        let is_self = word.all().any(|word| word.assurance == Assurance::Second && party(&word.by) == asker);
        let people = word.people();
        let refusal = if binding.call != own.call {
            Refusal::new(CONFIRM_MISMATCH, "the answer is for another call")
        } else if binding.basis != own.basis {
            Refusal::new(CONFIRM_STALE, "definition, policy or credential are not those of the question")
        } else if now_ms >= until_ms {
            Refusal::new(CONFIRM_EXPIRED, "the answer came too late")
        } else if given < wanted {
            Refusal::new(CONFIRM_ASSURANCE, format!("agreed over {} with assurance {given}; {wanted} is wanted", word.channel))
        } else if is_self {
            Refusal::new(CONFIRM_ASSURANCE, format!("{asker} agrees to its own call"))
        } else if people < usize::from(approvers) {
            Refusal::new(CONFIRM_ASSURANCE, format!("{people} agreed; {approvers} different people are wanted"))
        } else {
            let decision = with_word(&self.admitted.decision, &word, "yes");
            return Ok(Admitted { decision, ..self.admitted });
        };
        Err(self.refused(refusal, Some(&word)))
    }

    /// Nobody agreed.
    #[must_use]
    pub fn refused(self, refusal: Refusal, word: Option<&Word>) -> Refusal {
        let Admitted { ticket, decision, .. } = self.admitted;
        // The record says what every control said, like that of any other refusal.
        ticket.deny(&word.map_or_else(|| decision.clone(), |word| with_word(&decision, word, "no")), &refusal);
        refusal
    }

    /// Everything may have changed while it waited: it becomes a case again, to be renewed and judged anew.
    #[must_use]
    pub fn reopen(self) -> (Case, Ticket) {
        (self.admitted.case, self.admitted.ticket)
    }

    /// The message is answered with the question; the call itself ends here and is made by another message.
    #[must_use]
    pub fn asked(self, asking: Asking<'_>, word: &Word) -> Released {
        let Admitted { case, ticket, decision, .. } = self.admitted;
        let body = match asking {
            Asking::Input { text, state } => {
                let request = Json::object([("method", Json::string("elicitation/create")), ("params", question(text))]);
                Json::object([
                    ("resultType", Json::string("input_required")),
                    ("inputRequests", Json::object([(QUESTION, request)])),
                    ("requestState", Json::string(state)),
                ])
            }
            Asking::Preview { text, handle } => {
                let content = Json::array([Json::object([("type", Json::string("text")), ("text", Json::string(text))])]);
                let why = [("reason", Json::string(self.hold.reason.code())), ("handle", Json::string(handle))];
                let modern = (case.version().era() == Era::Modern).then(|| ("resultType", Json::string("complete")));
                let members = [("content", content), ("isError", Json::of(&true)), ("_meta", Json::object([(KEY, Json::object(why))]))];
                Json::object(members.into_iter().chain(modern))
            }
        };
        ticket.hold(&with_word(&decision, word, "asked"), self.hold.reason);
        Released { body, kind: ReleasedKind::Reply(ReplyForm::Result), labels: Labels::default(), asides: Vec::new() }
    }
}

fn with_word(decision: &Json, word: &Word, answer: &str) -> Json {
    let mut edits = Edits::of(decision);
    edits.set(decision.view(), "confirmation", &word.json(answer));
    edits.apply()
}

#[cfg(test)]
mod tests;
