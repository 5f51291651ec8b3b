//! Second opinions, asked after everything local has passed: nobody is asked in vain.
//!
//! START HERE: [`ask`]. A held call gets a [`desk::Card`]; whoever answers first, over whichever channel, decides.
//! Channels: the client's own question to its person (`elicitation/create`, `input_required`), a tool that completes
//! the call where the client has neither (`tool`), and the command line of this machine (`line`). Silence, time-out,
//! disconnecting, restart and no channel are no. `docs/decisions/0023-a-persons-yes.md` says why it is as it is.

mod answer;
mod back;
mod channel;
pub mod desk;
pub mod line;
mod link;
mod notices;
mod put;
mod quarantine;
mod seal;
pub mod shown;
mod standing;
mod tool;
pub mod web;
pub use back::{Brought, Claim};
pub(crate) use tool::announce;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bartizan_monitor::case::{Agreement, Case, Scope};
use bartizan_monitor::journal::Ticket;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{CONFIRM_EXPIRED, CONFIRM_REFUSED, MONITOR_FAULT, SERVE_DRAINING};
use bartizan_monitor::stages::{Admitted, Asking, Grant, Held, Released, Ruling, Word};
use bartizan_monitor::wire::canonical::Digest;

use crate::clock::{self, Stopwatch};
use crate::metrics::Answered;
use crate::serve::{House, Visit, facts, menu_of, rehearse};
use crate::session::{Running, Talk};
use crate::snapshot::Snapshot;
use crate::webhook::Hook;
use channel::Channel;
use desk::{Answer, Card, Desk, Place, Resume, Room};
use notices::Notices;
use put::{Put, Said};
use seal::Seal;
use shown::Tried;
use standing::Patterns;

/// For how long a tool that was agreed to for a session stays so.
const SESSION_MS: u64 = 8 * 3_600_000;

/// Everything that is needed to ask.
#[derive(Debug)]
pub struct Consult {
    /// What waits.
    pub desk: Desk,
    seal: Seal,
    timeout: Duration,
    /// Who is told, once there is a page to lead them to.
    notices: OnceLock<Notices>,
    hook: Option<Hook>,
    /// What was agreed to in advance.
    patterns: Patterns,
}

/// What became of a call.
#[expect(clippy::large_enum_variant, reason = "the large one is that of nearly every call, which a box would slow down")]
pub enum Consulted {
    /// It goes on, judged by this.
    Go(Admitted, Arc<Snapshot>),
    /// Its message is answered with a question.
    Asked(Released),
}

impl Consult {
    /// Questions stay open as long as this, and this is told of them.
    #[must_use]
    pub fn new(timeout: Duration, hook: Option<Hook>) -> Self {
        Self { desk: Desk::default(), seal: Seal::new(), timeout, notices: OnceLock::new(), hook, patterns: Patterns::default() }
    }

    /// From now on there is a page, and people are led there.
    fn leads_to(&self, notices: Notices) {
        // There is one page.
        let _ = self.notices.set(notices);
    }

    /// Tells whoever can be told that a call waits.
    fn tell(&self, card: &Card) {
        put::tell(card);
        self.notices.get().into_iter().for_each(|notices| notices.tell(card));
    }

    /// Where people find the page, if there is one.
    #[must_use]
    pub fn page(&self) -> Option<&str> {
        self.notices.get().map(|notices| notices.address.as_str())
    }
}

/// Asks a person where a control wants one. What the client brought along may be the answer already.
pub async fn ask(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (ruling, snapshot): (Ruling, Arc<Snapshot>),
    (brought, running): (Brought, Option<&Running>),
) -> Result<Consulted, Refusal> {
    let held = match ruling {
        Ruling::Admitted(admitted) => return Ok(Consulted::Go(admitted, snapshot)),
        Ruling::Held(held) => held,
    };
    // Boxed: the calls that nobody is asked about do not carry what this needs.
    let asked: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(Asker { house, visit, snapshot }.ask(held, brought, running));
    asked.await
}

/// The place of a conversation.
pub(crate) fn place(visit: &Visit<'_>) -> Place {
    place_of(visit.talk)
}

/// The same, where nothing was said yet.
pub(crate) fn place_of(talk: &Talk) -> Place {
    Place { principal: talk.caller.principal().clone(), session: talk.label.clone(), endpoint: talk.endpoint.name.clone() }
}

/// The tool of a case, as it is told apart in a conversation's memory.
fn tool_of(case: &Case) -> Digest {
    let (server, tool) = (case.server().map_or("", |server| server), case.item().map_or("", |item| item.pin.name.as_str()));
    Digest::of_bytes(format!("{server}\0{tool}").as_bytes())
}

struct Asker<'a> {
    house: &'a Arc<House>,
    visit: &'a Visit<'a>,
    snapshot: Arc<Snapshot>,
}

impl Asker<'_> {
    async fn ask(self, held: Held, brought: Brought, running: Option<&Running>) -> Result<Consulted, Refusal> {
        if let Brought::Claim(claim) = brought {
            return self.claimed(held, claim);
        }
        if let Some((card, word)) = self.house.consult.desk.granted(&held.binding(), clock::now_ms()) {
            return self.settle(held, &card, word);
        }
        let covered = self.house.consult.patterns.take(self.house, &held, (self.snapshot.monitor.policy(), clock::now_ms()));
        if let Some((word, until_ms)) = covered {
            return self.stands(held, word, until_ms);
        }
        self.house.metrics.held(held.case().effect());
        let room = self.house.consult.desk.room(held.case().caller().principal(), &held.binding(), clock::now_ms());
        let room = match room {
            Ok(room) => room,
            Err(refusal) => return Err(held.refused(refusal, None)),
        };
        let Some((tried, has_read)) = self.tried(&held, running).await else { return self.put(held, (room, None), running).await };
        if !has_read {
            return self.put(held, (room, Some(tried)), running).await;
        }
        // The session has read something by it: what is asked, and how, follows from that.
        let (ruling, snapshot) = renewed(self.house, self.visit, held.reopen()).await?;
        match ruling {
            Ruling::Admitted(admitted) => Ok(Consulted::Go(admitted, snapshot)),
            Ruling::Held(held) => Self { snapshot, ..self }.put(held, (room, Some(tried)), running).await,
        }
    }

    /// Puts the question.
    async fn put(self, held: Held, (room, tried): (Room, Option<Tried>), running: Option<&Running>) -> Result<Consulted, Refusal> {
        let channel = Channel::of(self.visit, &held);
        match channel {
            Channel::Question | Channel::Elsewhere => self.wait(held, (&channel, room, tried), running).await,
            Channel::Input | Channel::Preview => self.park(held, (&channel, room, tried)),
        }
    }

    fn card(&self, held: &Held, tried: Option<Tried>, resume: impl FnOnce(&Case) -> Option<Resume>) -> Result<Arc<Card>, Refusal> {
        let (case, binding, now_ms) = (held.case(), held.binding(), clock::now_ms());
        let item = case.item().cloned().ok_or_else(|| Refusal::new(MONITOR_FAULT, "only tools are held"))?;
        let previous = self.visit.talk.memory.last(&tool_of(case));
        let card = Card {
            id: desk::fresh_id()?,
            binding,
            hold: held.hold(),
            place: place(self.visit),
            server: item.server.clone(),
            item,
            effect: case.effect(),
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(clock::millis(self.house.consult.timeout)),
            shown: shown::shown(case, previous.as_ref(), tried.as_ref()),
            arguments: case.arguments_json().cloned(),
            tried: tried.map(Tried::kept),
            resume: resume(case),
        };
        Ok(Arc::new(card))
    }

    /// What the server says that the call would do, where the operator has said how it is asked, and whether the session
    /// has read something by it that it had not read before: whoever is asked is shown it, over the client as often as not.
    async fn tried(&self, held: &Held, running: Option<&Running>) -> Option<(Tried, bool)> {
        match rehearse(self.house, self.visit, &self.snapshot, (held, running)).await? {
            Ok((answer, labels)) => {
                self.house.releases(&self.visit.talk.caller, labels);
                let before = held.case().facts().labels;
                Some((Tried::said(&answer), before.and(labels) != before))
            }
            Err(refusal) => Some((Tried::Not(refusal.reason.code()), false)),
        }
    }

    /// The message is answered with the question; the client comes again.
    fn park(&self, held: Held, (channel, room, tried): (&Channel, Room, Option<Tried>)) -> Result<Consulted, Refusal> {
        let is_preview = matches!(channel, Channel::Preview);
        let resume = |case: &Case| is_preview.then(|| tool::resume(&self.snapshot, self.visit.talk, self.house, case)).flatten();
        let card = match self.card(&held, tried, resume) {
            Ok(card) => card,
            Err(refusal) => return Err(held.refused(refusal, None)),
        };
        self.house.consult.desk.park(&card, room);
        self.house.consult.tell(&card);
        let word = word(&card, channel, "nobody");
        let handle = card.id.as_str();
        let released = if let Some(resume) = &card.resume {
            announce(self.visit.talk);
            held.asked(Asking::Preview { text: &tool::preview(&card, resume), handle }, &word)
        } else {
            let text = put::text(&card);
            match self.house.consult.state(&card, held.case()) {
                Some(state) => held.asked(Asking::Input { text: &text, state: &state }, &word),
                None => return Err(held.refused(Refusal::new(CONFIRM_EXPIRED, "the state cannot be sealed"), None)),
            }
        };
        Ok(Consulted::Asked(released))
    }

    /// The call itself waits, for whichever answer comes first.
    async fn wait(
        &self,
        held: Held,
        (channel, room, tried): (&Channel, Room, Option<Tried>),
        running: Option<&Running>,
    ) -> Result<Consulted, Refusal> {
        let house = self.house;
        let card = match self.card(&held, tried, |_| None) {
            Ok(card) => card,
            Err(refusal) => return Err(held.refused(refusal, None)),
        };
        let (_seat, answered) = house.consult.desk.wait((&card, room));
        house.consult.tell(&card);
        let put = matches!(channel, Channel::Question).then(|| Put::to(self.visit, &card));
        let said = async {
            match &put {
                Some(put) => put.answer().await,
                None => std::future::pending().await,
            }
        };
        let enlisted = house.stops.enlist(held.case(), []);
        let own = |by: &str| word(&card, channel, by);
        let outcome = tokio::select! {
            Ok(answer) = answered => match answer {
                Answer::Yes(word) => Ok(word),
                Answer::No(word) => Err((Refusal::new(CONFIRM_REFUSED, format!("{} said no", word.by)), Some(word))),
            },
            said = said => match said {
                Said::Yes => Ok(own(self.visit.talk.caller.principal())),
                Said::No(why) => Err((Refusal::new(CONFIRM_REFUSED, why), Some(own(self.visit.talk.caller.principal())))),
            },
            refusal = crate::serve::ended(running, &enlisted) => Err((refusal, None)),
            () = house.drained() => Err((Refusal::new(SERVE_DRAINING, "while it waited for a person"), None)),
            () = tokio::time::sleep(house.consult.timeout) => Err((Refusal::new(CONFIRM_EXPIRED, "nobody answered"), Some(own("nobody")))),
        };
        drop(enlisted);
        match outcome {
            Ok(word) => self.again(held, &card, word).await,
            Err((refusal, word)) => {
                house.metrics.confirmed(Answered::of(&refusal), clock::now_ms().saturating_sub(card.since_ms));
                Err(held.refused(refusal, word.as_ref()))
            }
        }
    }

    /// What a client brings back settles it, with what somebody said elsewhere meanwhile.
    fn claimed(&self, held: Held, Claim { card, answer, said, channel }: Claim) -> Result<Consulted, Refusal> {
        let by = self.visit.talk.caller.principal().clone();
        let waited_ms = clock::now_ms().saturating_sub(card.since_ms);
        let own =
            Word { by, assurance: channel.assurance(), channel: channel.name(), shown: card.shown.digest, waited_ms, also: Vec::new() };
        match (answer, said) {
            (Some(Answer::No(word)), _) => self.refuse(held, Refusal::new(CONFIRM_REFUSED, format!("{} said no", word.by)), &word),
            (_, Said::No(why)) => self.refuse(held, Refusal::new(CONFIRM_REFUSED, why), &own),
            (Some(Answer::Yes(word)), Said::Yes) => self.settle(held, &card, word),
            (None, Said::Yes) => self.settle(held, &card, own),
        }
    }

    fn refuse(&self, held: Held, refusal: Refusal, word: &Word) -> Result<Consulted, Refusal> {
        self.house.metrics.confirmed(Answered::of(&refusal), word.waited_ms);
        Err(held.refused(refusal, Some(word)))
    }

    /// Somebody said yes to what is held now.
    fn settle(&self, held: Held, card: &Card, word: Word) -> Result<Consulted, Refusal> {
        let (scope, now_ms, waited_ms, assurance) = (held.hold().scope, clock::now_ms(), word.waited_ms, word.assurance);
        let granted = held.granted(Grant::assertion(card.binding, word, card.until_ms), now_ms);
        self.house.metrics.confirmed(granted.as_ref().map_or_else(Answered::of, |_| Answered::Granted), waited_ms);
        let admitted = granted?;
        let (case, memory) = (admitted.case(), &self.visit.talk.memory);
        memory.keep(tool_of(case), case.arguments_json());
        // Who agrees that something is tried has not agreed that it is done.
        if let (Scope::Session, Some(item), false) = (scope, case.item(), case.rehearses()) {
            let agreement = Agreement { call: case.facts().id, until_ms: now_ms.saturating_add(SESSION_MS), assurance };
            memory.agree(self.snapshot.monitor.policy(), item, agreement);
        }
        Ok(Consulted::Go(admitted, self.snapshot.clone()))
    }

    /// Somebody said yes in advance: to this call, and not to the rest of the session.
    fn stands(&self, held: Held, word: Word, until_ms: u64) -> Result<Consulted, Refusal> {
        let binding = held.binding();
        let admitted = held.granted(Grant::assertion(binding, word, until_ms), clock::now_ms())?;
        let case = admitted.case();
        self.visit.talk.memory.keep(tool_of(case), case.arguments_json());
        Ok(Consulted::Go(admitted, self.snapshot.clone()))
    }

    /// While it waited everything may have changed: it is judged anew, by what holds now.
    async fn again(&self, held: Held, card: &Card, word: Word) -> Result<Consulted, Refusal> {
        let (ruling, snapshot) = renewed(self.house, self.visit, held.reopen()).await?;
        let asker = Self { house: self.house, visit: self.visit, snapshot: snapshot.clone() };
        match ruling {
            Ruling::Admitted(admitted) => Ok(Consulted::Go(admitted, snapshot)),
            Ruling::Held(held) => asker.settle(held, card, word),
        }
    }
}

/// Judges a call that waited anew, by what holds now: everything may have changed.
pub(crate) async fn renewed(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (case, ticket): (Case, Ticket),
) -> Result<(Ruling, Arc<Snapshot>), Refusal> {
    let (server, ticket) = or_refuse(still(house, visit).map(|()| case.server().cloned()), ticket)?;
    let menus = match server {
        Some(server) => vec![menu_of(house, visit.talk, &server, case.version().era()).await],
        None => Vec::new(),
    };
    // Reading lists takes time, too.
    let ((), ticket) = or_refuse(still(house, visit), ticket)?;
    let snapshot = house.snapshot();
    let (facts, ticket) = or_refuse(facts(house, visit, (&snapshot, ticket.id()), Stopwatch::start()), ticket)?;
    let renewed = snapshot.catalog.renew(case, &menus, facts);
    let (case, ticket) = or_refuse(renewed, ticket)?;
    let ruling = snapshot.monitor.admit(case, ticket)?;
    Ok((ruling, snapshot))
}

/// Whether the caller's credential still holds, and its conversation lives.
pub(crate) fn still(house: &House, visit: &Visit<'_>) -> Result<(), Refusal> {
    visit.talk.lives()?;
    house.identity.still(&visit.talk.caller, clock::now_ms())
}

/// What the client itself says of a card, or nobody.
fn word(card: &Card, channel: &Channel, by: &str) -> Word {
    let waited_ms = clock::now_ms().saturating_sub(card.since_ms);
    Word { by: by.into(), assurance: channel.assurance(), channel: channel.name(), shown: card.shown.digest, waited_ms, also: Vec::new() }
}

/// A refusal closes the record; anything else carries it on.
fn or_refuse<T>(result: Result<T, Refusal>, ticket: Ticket) -> Result<(T, Ticket), Refusal> {
    match result {
        Ok(value) => Ok((value, ticket)),
        Err(refusal) => {
            ticket.refuse(&refusal);
            Err(refusal)
        }
    }
}
