//! Somebody answers, over whichever channel: who that is, whether it counts, and what is written down.

use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_monitor::case::{Assurance, Caller, Item};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::{Word, party};
use bartizan_monitor::wire::json::Json;

use super::desk::{Answer, Card, Heard, Late};
use crate::clock;
use crate::identity::{Approver, Place, Shown, local_user};
use crate::serve::House;

/// Who answers.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// The user of this machine that the gateway runs as.
    Here,
    /// Somebody with a client's credential, on this machine.
    Client(Caller),
    /// Somebody with a token for answering.
    Approver(Approver),
}

/// What somebody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Yes.
    Grant,
    /// No.
    Refuse,
}

impl Side {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Refuse => "refuse",
        }
    }
}

/// What somebody says of one call, and what was shown to them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) id: &'a str,
    pub(super) shown: &'a str,
    pub(super) side: Side,
    pub(super) channel: &'static str,
}

/// An answer that counted.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) card: Arc<Card>,
    pub(super) word: Word,
    pub(super) heard: Heard,
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unheard {
    /// Nothing of that name waits, or not for whoever asks.
    Gone,
    /// What was shown is not what waits.
    Changed,
    /// Whoever answers has no say in it.
    MayNot(String),
    /// More is wanted than is known of whoever answers.
    Weak {
        /// What is wanted.
        wanted: Assurance,
        /// What is known.
        given: Assurance,
    },
    /// Somebody else has answered.
    Answered,
    /// The same person has agreed already, and others are waited for.
    Same,
}

impl std::fmt::Display for Unheard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => f.write_str("nothing of that name waits (any more)"),
            Self::Changed => f.write_str("what was shown is not what waits"),
            Self::MayNot(why) => f.write_str(why),
            Self::Weak { wanted, given } => {
                write!(f, "{wanted} is wanted, and this is {given}: use --as with a credential of somebody who may")
            }
            Self::Answered => f.write_str("somebody else has answered it"),
            Self::Same => f.write_str("this person has agreed already; somebody else must, too"),
        }
    }
}

impl Who {
    /// Whoever shows this on the command line: nothing, a token for answering, or a client's credential.
    pub(super) async fn of(house: &House, token: &str) -> Result<Self, Refusal> {
        if token.is_empty() {
            return Ok(Self::Here);
        }
        let now_ms = clock::now_ms();
        if let Ok(approver) = house.identity.approver(token, now_ms) {
            return Ok(Self::Approver(approver));
        }
        let header = format!("Bearer {token}");
        let shown = Shown { authorization: &[header.as_bytes()], certificate: None, place: Place::Elsewhere };
        house.identity.admit(shown, now_ms).await.map(Self::Client)
    }

    pub(super) fn principal(&self) -> Arc<str> {
        match self {
            Self::Here => local_user().principal().clone(),
            Self::Client(caller) => caller.principal().clone(),
            Self::Approver(approver) => approver.caller().principal().clone(),
        }
    }

    /// Under which names this very person is known now.
    fn names(&self, house: &House) -> Result<BTreeSet<String>, Unheard> {
        house.identity.person(&self.principal()).map_err(|refusal| Unheard::MayNot(refusal.detail))
    }

    /// Whether a principal is this very person. When that cannot be known, it is.
    pub(super) fn is(&self, house: &House, principal: &str) -> bool {
        self.names(house).map_or(true, |names| names.contains(party(principal)))
    }

    /// Whether somebody has a say in a call. An approver's token says so itself, and needs no right to make the call.
    pub(super) fn may_answer(&self, house: &House, card: &Card) -> bool {
        self.may_agree_to(house, &card.item)
    }

    /// The same of a tool.
    pub(super) fn may_agree_to(&self, house: &House, item: &Item) -> bool {
        let (caller, is_hidden) = match self {
            Self::Here => return true,
            Self::Client(caller) => (caller, house.snapshot().monitor.hides(caller, item)),
            Self::Approver(approver) => (approver.caller(), false),
        };
        let stopped = house.stops.now().cover(caller, Some(&item.server), Some(&item.pin.name));
        stopped.is_none() && !is_hidden && caller.may_use(item)
    }

    /// Whether the credential still holds.
    pub(super) fn still(&self, house: &House, now_ms: u64) -> bool {
        match self {
            Self::Here => true,
            Self::Client(caller) => house.identity.still(caller, now_ms).is_ok(),
            Self::Approver(approver) => house.identity.still(approver.caller(), now_ms).is_ok(),
        }
    }

    /// How strongly it is known who agrees to a call.
    pub(super) fn assurance(&self, house: &House, card: &Card) -> Assurance {
        self.assurance_for(house, &card.place.principal)
    }

    /// The same of calls of somebody.
    pub(super) fn assurance_for(&self, house: &House, principal: &str) -> Assurance {
        match self {
            Self::Here => Assurance::Local,
            Self::Client(_) | Self::Approver(_) if self.is(house, principal) => Assurance::Person,
            Self::Client(_) | Self::Approver(_) => Assurance::Second,
        }
    }
}

/// Takes an answer: it counts if what was shown is what waits, and if who answers may.
pub(super) fn answer(house: &House, who: &Who, said: Said<'_>) -> Result<Done, Unheard> {
    let (by, now_ms) = (who.principal(), clock::now_ms());
    let card = house.consult.desk.card(said.id, now_ms).ok_or(Unheard::Gone)?;
    if said.shown != card.shown.digest.to_string() {
        return Err(Unheard::Changed);
    }
    if !who.may_answer(house, &card) {
        return Err(Unheard::MayNot(format!("{by} may not use this tool, and so cannot agree to it")));
    }
    let (given, names) = (who.assurance(house, &card), who.names(house)?);
    let waited_ms = now_ms.saturating_sub(card.since_ms);
    let word = Word { by, assurance: given, channel: said.channel, shown: card.shown.digest, waited_ms, also: Vec::new() };
    let answer = match said.side {
        Side::Grant if given < card.hold.minimum => return Err(Unheard::Weak { wanted: card.hold.minimum, given }),
        Side::Grant => Answer::Yes(word.clone()),
        // A no needs no more than being here.
        Side::Refuse => Answer::No(word.clone()),
    };
    let heard = house.consult.desk.answer(said.id, (answer, names), now_ms).map_err(|late| match late {
        Late::Gone => Unheard::Gone,
        Late::Answered => Unheard::Answered,
        Late::Same => Unheard::Same,
    })?;
    house.journal.note(&Json::object([
        ("event", Json::string("approval")),
        ("answer", Json::string(said.side.name())),
        ("by", Json::string(&word.by)),
        ("assurance", Json::string(given.name())),
        ("channel", Json::string(said.channel)),
        ("waited_ms", Json::number(waited_ms)),
        ("principal", Json::string(&card.place.principal)),
        ("server", Json::string(&card.server)),
        ("item", Json::string(&card.item.pin.name)),
        ("shown", Json::string(&card.shown.digest.to_string())),
    ]));
    Ok(Done { card, word, heard })
}
