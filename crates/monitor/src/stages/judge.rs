//! The monitor: asks every control, in order, and believes none of them blindly.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::case::{Aside, Caller, Case, Event, Item, Labels, Mark, Read, Reply, Step};
use crate::control::{Control, Edit, Entry, Hold, Judged, Mask, Verdict};
use crate::controls::REGISTRY;
use crate::journal::{self, Ticket};
use crate::reason::gateway::MONITOR_FAULT;
use crate::reason::{Reason, Refusal};
use crate::wire::canonical::Digest;
use crate::wire::json::{Edits, Json};

use super::opinion::{self, Judge, Screened};
use super::{Admitted, Answer, Heard, Held, Released, ReleasedKind, Ruling};

/// The trail of a judgement.
type Trail = Vec<Step>;

/// Whether a control's objections count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are recorded and shown, not enforced. A weakening: only `dangerous` can ask for it.
    Observe,
}

struct Seat {
    entry: &'static Entry,
    mode: Mode,
    control: Arc<dyn Control>,
}

/// All controls, built from one configuration.
pub struct Monitor {
    seats: Vec<Seat>,
    policy: Digest,
    judges: Arc<[Arc<Judge>]>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Monitor({} controls, {})", self.seats.len(), self.policy)
    }
}

impl Answer {
    /// How many bytes the server sent.
    #[must_use]
    pub fn length(&self) -> usize {
        self.reply.body.bytes().len()
    }
}

impl Monitor {
    /// Seats every control of the registry, in its order. `make` builds one and says its mode;
    /// `policy` is the digest of everything that the controls were built from.
    pub fn new<E>(policy: Digest, mut make: impl FnMut(&'static Entry) -> Result<(Box<dyn Control>, Mode), E>) -> Result<Self, Vec<E>> {
        let (mut seats, mut errors) = (Vec::new(), Vec::new());
        for entry in REGISTRY {
            match make(entry) {
                Ok((control, mode)) => seats.push(Seat { entry, mode, control: control.into() }),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { seats, policy, judges: Arc::default() }) } else { Err(errors) }
    }

    /// A monitor with every control at its default.
    pub fn defaults() -> Result<Self, Vec<toml::de::Error>> {
        Self::new(Digest::of_bytes(b""), |entry| Ok(((entry.build)(None)?, Mode::Enforce)))
    }

    /// The same with another control of this name. The others stay what they are, and keep what they counted.
    #[must_use]
    pub fn with(&self, name: &str, control: Box<dyn Control>, policy: Digest) -> Self {
        let mut control = Some(control);
        let seat = |seat: &Seat| Seat {
            entry: seat.entry,
            mode: seat.mode,
            control: control.take_if(|_| seat.entry.name == name).map_or_else(|| seat.control.clone(), Arc::from),
        };
        Self { seats: self.seats.iter().map(seat).collect(), policy, judges: self.judges.clone() }
    }

    /// The same, and these are heard when the controls have agreed.
    #[must_use]
    pub fn hearing(self, judges: impl IntoIterator<Item = Judge>) -> Self {
        Self { judges: judges.into_iter().map(Arc::new).collect(), ..self }
    }

    /// The digest of what the controls were built from.
    #[must_use]
    pub const fn policy(&self) -> Digest {
        self.policy
    }

    /// Names of the controls that only observe.
    pub fn observing(&self) -> impl Iterator<Item = &'static str> {
        self.seats.iter().filter(|seat| seat.mode == Mode::Observe).map(|seat| seat.entry.name)
    }

    /// Asks every control whether the call may leave.
    pub fn admit(&self, mut case: Case, ticket: Ticket) -> Result<Ruling, Refusal> {
        let mut trail = Trail::with_capacity(self.seats.len());
        let judge = |control: &dyn Control, case: &Case| control.on_call(case);
        let asked = ask(&self.seats, &mut trail, &mut case, judge, |_, case, masks| {
            if let Some(arguments) = case.arguments.as_ref().map(|arguments| edited(arguments, masks)) {
                case.replace_arguments(arguments);
            }
        });
        let decision = journal::decision(&case, self.policy, &trail, asked.is_ok());
        match asked {
            Ok(heard) => {
                let admitted = Admitted { owed: opinion::of_call(&self.judges, &case), case, ticket, decision };
                Ok(match heard.hold {
                    None => Ruling::Admitted(admitted),
                    Some(hold) => Ruling::Held(Held { admitted, hold, policy: self.policy }),
                })
            }
            Err(refusal) => {
                let refusal = self.veil(&case, refusal);
                ticket.deny(&decision, &refusal);
                Err(refusal)
            }
        }
    }

    /// What is hidden from a caller is refused like what does not exist, whichever control objected first.
    fn veil(&self, case: &Case, refusal: Refusal) -> Refusal {
        let hidden = case.item().is_some_and(|item| self.hides(case.caller(), item));
        if hidden { refusal.veiled(case.uri()) } else { refusal }
    }

    /// Whether an approved definition does not exist for a caller.
    #[must_use]
    pub fn hides(&self, caller: &Caller, item: &Item) -> bool {
        let hides = |seat: &Seat| catch_unwind(AssertUnwindSafe(|| seat.control.hides(caller, item))).unwrap_or(true);
        self.seats.iter().any(|seat| seat.mode == Mode::Enforce && hides(seat))
    }

    /// Asks every control whether the reply may come back, where nobody else has to be heard.
    pub fn release(&self, answer: Answer) -> Result<Released, Refusal> {
        self.screen(answer)?.released()
    }

    /// Asks every control whether the reply may come back. Each judges what those before it left; those before the last one
    /// that changed structured content are asked about what became of that.
    pub fn screen(&self, answer: Answer) -> Result<Screened, Refusal> {
        let Answer { case, ticket, mut reply } = answer;
        let (mut trail, mut changed) = (Trail::new(), 0);
        let judge = |control: &dyn Control, reply: &Reply| control.on_reply(&case, reply);
        let asked = ask(&self.seats, &mut trail, &mut reply, judge, |seat, reply, masks| {
            if restructures(&reply.body, &masks) {
                changed = seat;
            }
            *reply = Reply::new(reply.form, edited(&reply.body, masks));
        });
        let before = self.seats.get(..changed).unwrap_or_default();
        let again = |control: &dyn Control, reply: &Reply| control.on_changed(&case, reply);
        let asked = asked.and_then(|heard| ask(before, &mut trail, &mut reply, again, |_, _, _| ()).map(|_| heard));
        trail.retain(|step| step.mark != Mark::Pass);
        match asked {
            Ok(heard) => Ok(Screened::new(&self.judges, (case, ticket), (reply, trail, heard))),
            Err(refusal) => {
                ticket.withhold(&refusal, &trail, None);
                Err(refusal)
            }
        }
    }

    /// Asks every control whether a client may hear what a server says on its own.
    pub fn relay(&self, heard: Heard) -> Result<(Event, Released), Refusal> {
        let Heard { mut event } = heard;
        let judge = |control: &dyn Control, event: &Event| control.on_event(event);
        let asked = ask(&self.seats, &mut Trail::new(), &mut event, judge, |_, event, masks| {
            event.params = event.params.as_ref().map(|params| edited(params, masks));
            event.read = Read::default();
        })?;
        let body = event.params.clone().unwrap_or_else(Json::null);
        let released = Released { body, kind: ReleasedKind::Event(event.method), labels: asked.labels, asides: Vec::new() };
        Ok((event, released))
    }

    /// Whether a caller sees an approved definition. A control that cannot decide hides it.
    #[must_use]
    pub fn lists(&self, caller: &Caller, item: &Item) -> bool {
        ask(&self.seats, &mut Trail::new(), &mut (), |control, ()| control.on_list(caller, item), |_, (), _| ()).is_ok()
    }

    /// Whether a caller may watch a resource as part of a longer listening, which has a record of its
    /// own. Whatever somebody would have to agree to, or an external judge to be heard about, is not watched.
    pub fn permits(&self, watch: &Case) -> Result<(), Reason> {
        let asked = ask(&self.seats, &mut Trail::new(), &mut (), |control, ()| control.on_call(watch), |_, (), _| ());
        asked.map_err(|refusal| refusal.reason)?.hold.map_or(Ok(()), |hold| Err(hold.reason))?;
        // A judge would have to be heard about each, and a listening waits for none.
        if opinion::of_call(&self.judges, watch).is_empty() { Ok(()) } else { Err(opinion::UNHEARD) }
    }
}

/// Asks in order; the first denial ends it, holds wait for the end, and what one control edits the next one judges.
fn ask<S>(
    seats: &[Seat],
    trail: &mut Trail,
    subject: &mut S,
    judge: impl Fn(&dyn Control, &S) -> Judged,
    mut edit: impl FnMut(usize, &mut S, Vec<Mask>),
) -> Result<Consent, Refusal> {
    let mut consent = Consent::default();
    for (place, seat) in seats.iter().enumerate() {
        // A control that panics has not agreed. Its state is only its own counters.
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&*seat.control, subject)));
        let verdict = match judged {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(fault)) => Verdict::Deny(Refusal::new(MONITOR_FAULT, format!("{}: {fault}", seat.entry.name))),
            Err(_) => Verdict::Deny(Refusal::new(MONITOR_FAULT, format!("{}: panicked", seat.entry.name))),
        };
        let mark = seat.weigh(verdict, &mut consent);
        if !consent.masks.is_empty() {
            edit(place, subject, std::mem::take(&mut consent.masks));
        }
        let (note, rules) = (consent.note.take(), consent.rules.take());
        let rules = rules.or_else(|| mark.as_ref().err()?.rules.as_deref().cloned());
        trail.push(Step {
            control: seat.entry.name,
            mark: mark.as_ref().map_or_else(|refusal| Mark::Deny(refusal.reason), |mark| *mark),
            note,
            rules,
        });
        mark?;
    }
    Ok(consent)
}

/// What the controls asked for without objecting.
#[derive(Default)]
pub(super) struct Consent {
    hold: Option<Hold>,
    pub(super) labels: Labels,
    /// What is kept.
    pub(super) asides: Vec<Aside>,
    /// Of the last control.
    masks: Vec<Mask>,
    note: Option<Box<str>>,
    rules: Option<Json>,
}

impl Seat {
    fn weigh(&self, verdict: Verdict, consent: &mut Consent) -> Result<Mark, Refusal> {
        match (self.mode, verdict) {
            (_, Verdict::Pass) => Ok(Mark::Pass),
            (_, Verdict::Because(rules)) => {
                consent.rules = Some(rules);
                Ok(Mark::Pass)
            }
            (Mode::Observe, Verdict::Mask(_)) => Ok(Mark::Mask),
            (Mode::Observe, Verdict::Hold(hold)) => Ok(Mark::Observed(hold.reason)),
            // A control that cannot decide is not a control that was told to look on.
            (Mode::Observe, Verdict::Deny(refusal)) if refusal.reason != MONITOR_FAULT => {
                consent.rules = refusal.rules.map(|rules| *rules);
                Ok(Mark::Observed(refusal.reason))
            }
            (Mode::Enforce, Verdict::Mask(masks)) => {
                consent.masks = masks;
                Ok(Mark::Mask)
            }
            (mode, Verdict::Edit(Edit { masks, note, labels })) => {
                if mode == Mode::Enforce {
                    consent.masks = masks;
                }
                // What somebody has seen is no objection.
                consent.labels = consent.labels.and(labels);
                consent.note = (!note.is_empty()).then(|| note.into());
                Ok(Mark::Mask)
            }
            // What is only looked on at is handed out.
            (Mode::Observe, Verdict::Keep(edit, _)) => self.weigh(Verdict::Edit(edit), consent),
            (Mode::Enforce, Verdict::Keep(edit, aside)) => {
                consent.asides.push(aside);
                self.weigh(Verdict::Edit(edit), consent)
            }
            (Mode::Enforce, Verdict::Hold(hold)) => {
                consent.hold = Some(consent.hold.map_or(hold, |before| before.and(hold)));
                Ok(Mark::Hold(hold.reason))
            }
            (_, Verdict::Deny(refusal)) => Err(refusal),
        }
    }
}

/// Whether changes are ones of structured content, of a task's, too. Members of ours are never in it.
fn restructures(body: &Json, masks: &[Mask]) -> bool {
    if masks.iter().all(|mask| mask.member.is_some()) {
        return false;
    }
    let view = body.view();
    let places = [view.get("structuredContent"), view.at(&["result", "structuredContent"])].into_iter().flatten();
    let touches = |place: &Range<usize>, at: &Range<usize>| at.start < place.end && place.start < at.end;
    places.map(|content| body.span(content)).any(|place| masks.iter().any(|mask| mask.member.is_none() && touches(&place, &mask.at)))
}

pub(super) fn edited(body: &Json, masks: Vec<Mask>) -> Json {
    let mut edits = Edits::of(body);
    for Mask { at, member, with } in masks {
        match member {
            None => edits.replace_span(at, &with),
            Some(key) => edits.set_at(at, key, &with),
        }
    }
    edits.apply()
}

#[cfg(test)]
mod tests;
