//! What was done, in memory: bounded, and fair to those who do little.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bartizan_monitor::case::{Before, Deed};
use bartizan_monitor::controls::once::Config;
use bartizan_monitor::lock::Repeats;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;

use super::entry::{Entry, State};

/// How many calls of one client are remembered that are done; the oldest makes room.
const MOST_DONE: usize = 4096;
/// How many are remembered in all.
const MOST: usize = 262_144;
/// How many bytes of answers are kept in all; the oldest ones go.
const MOST_BYTES: usize = if cfg!(test) { 1024 * 1024 } else { 16 * 1024 * 1024 };

/// Which entry: a key, and the call that it was made by.
pub(super) type Which = (Digest, u64);

/// What is to be written down of the end of a call.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was over before.
    Unknown,
    /// Nothing: it did not happen, and nothing says that it was to.
    Untold,
    /// This line.
    Told(Json),
}

/// The calls of one client.
#[derive(Debug, Default)]
struct Shelf {
    done: VecDeque<Which>,
    open: usize,
}

/// All calls that are remembered.
#[derive(Debug)]
pub(super) struct Table {
    rules: Config,
    entries: HashMap<Digest, Entry>,
    /// The keys of calls that run here.
    running: HashMap<u64, Digest>,
    shelves: HashMap<Arc<str>, Shelf>,
    /// Whose answers are kept, the oldest first.
    answers: VecDeque<Which>,
    bytes: usize,
}

impl Table {
    pub(super) fn new(rules: Config) -> Self {
        let (entries, running, shelves) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { rules, entries, running, shelves, answers: VecDeque::new(), bytes: 0 }
    }

    /// Whether something is forgotten by now.
    fn is_over(&self, entry: &Entry, now_ms: u64) -> bool {
        let age = now_ms.saturating_sub(entry.at_ms);
        let keep = u64::from(self.rules.keep_hours).saturating_mul(3_600_000);
        match entry.state {
            State::Running | State::Elsewhere => false,
            State::Done(_) if !entry.named => age >= u64::from(self.rules.window_seconds).saturating_mul(1000),
            State::Done(_) | State::Ambiguous => age >= keep,
        }
    }

    /// Claims a call, or says what is known of it. The answer, when it was carried out and stands for it.
    pub(super) fn claim(&mut self, deed: Deed) -> (Before, Option<(u64, Json)>) {
        if let Some(known) = self.entries.get(&deed.key).filter(|entry| !self.is_over(entry, deed.now_ms)) {
            let call = known.call;
            if known.print != deed.print {
                return (Before::Other(call), None);
            }
            match &known.state {
                State::Running | State::Elsewhere => return (Before::Running(call), None),
                State::Ambiguous => return (Before::Ambiguous(call), None),
                State::Done(answer) if is_repeat(known, &deed) => {
                    return match answer.as_ref().filter(|_| known.era == deed.era) {
                        Some(answer) => (Before::Claimed, Some((call, answer.clone()))),
                        None => (Before::Unkept(call), None),
                    };
                }
                State::Done(_) => {}
            }
        }
        let open = self.shelves.get(&deed.who).map_or(0, |shelf| shelf.open);
        if open >= self.rules.open_calls || !self.has_room(&deed) {
            return (Before::Full, None);
        }
        self.running.insert(deed.call, deed.key);
        self.insert(Entry::of(deed));
        (Before::Claimed, None)
    }

    /// Makes room, by forgetting what the client itself did longest ago.
    fn has_room(&mut self, deed: &Deed) -> bool {
        if self.entries.len() < MOST {
            return true;
        }
        let oldest = self.shelves.get_mut(&deed.who).and_then(|shelf| shelf.done.pop_front());
        oldest.map(|which| self.remove(which)).is_some()
    }

    /// Takes an entry in; a newer one of the same key takes the place of an older one.
    pub(super) fn insert(&mut self, entry: Entry) {
        let which = (entry.key, entry.call);
        if let Some(old) = self.entries.get(&entry.key).map(|old| (old.key, old.call)) {
            self.remove(old);
        }
        let shelf = self.shelves.entry(entry.who.clone()).or_default();
        match &entry.state {
            State::Running | State::Elsewhere | State::Ambiguous => shelf.open = shelf.open.saturating_add(1),
            State::Done(answer) => {
                shelf.done.push_back(which);
                if let Some(answer) = answer {
                    self.bytes = self.bytes.saturating_add(answer.bytes().len());
                    self.answers.push_back(which);
                }
            }
        }
        self.entries.insert(entry.key, entry);
        self.trim(which.0);
    }

    fn trim(&mut self, key: Digest) {
        let who = self.entries.get(&key).map(|entry| entry.who.clone());
        let shelf = who.and_then(|who| self.shelves.get_mut(&who)).filter(|shelf| shelf.done.len() > MOST_DONE);
        if let Some(oldest) = shelf.and_then(|shelf| shelf.done.pop_front()) {
            self.remove(oldest);
        }
        while self.bytes > MOST_BYTES {
            let Some((key, call)) = self.answers.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.call == call) else { continue };
            if let State::Done(answer) = &mut entry.state
                && let Some(answer) = answer.take()
            {
                self.bytes = self.bytes.saturating_sub(answer.bytes().len());
            }
        }
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, (key, call): Which) -> Option<Entry> {
        if self.entries.get(&key)?.call != call {
            return None;
        }
        let entry = self.entries.remove(&key)?;
        self.running.remove(&call);
        match &entry.state {
            State::Running | State::Elsewhere | State::Ambiguous => {
                if let Some(shelf) = self.shelves.get_mut(&entry.who) {
                    shelf.open = shelf.open.saturating_sub(1);
                }
            }
            // Its places in the queues are passed over when they come up.
            State::Done(Some(answer)) => self.bytes = self.bytes.saturating_sub(answer.bytes().len()),
            State::Done(None) => {}
        }
        Some(entry)
    }

    /// A call that runs here, and is written down now.
    pub(super) fn note(&mut self, call: u64) -> Option<&Entry> {
        let entry = self.entries.get_mut(self.running.get(&call)?).filter(|entry| entry.call == call)?;
        entry.noted = true;
        Some(entry)
    }

    /// Whether a call of this key runs.
    pub(super) fn runs(&self, key: &Digest) -> bool {
        self.entries.get(key).is_some_and(|entry| matches!(entry.state, State::Running | State::Elsewhere))
    }

    /// A call ended: in this state, or without one when it did not happen.
    pub(super) fn end(&mut self, which: Which, state: Option<State>, now_ms: u64) -> Ended {
        let Some(entry) = self.remove(which) else { return Ended::Unknown };
        let Some(state) = state else { return if entry.noted { Ended::Told(entry.undone()) } else { Ended::Untold } };
        let most = self.rules.result_bytes;
        let state = match state {
            State::Done(answer) => State::Done(answer.filter(|answer| answer.bytes().len() <= most)),
            other @ (State::Running | State::Elsewhere | State::Ambiguous) => other,
        };
        let entry = Entry { state, at_ms: now_ms, ..entry };
        let line = entry.ended();
        self.insert(entry);
        line.map_or(Ended::Untold, Ended::Told)
    }

    /// Forgets what is over.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let over: Vec<Which> =
            self.entries.values().filter(|entry| self.is_over(entry, now_ms)).map(|entry| (entry.key, entry.call)).collect();
        over.into_iter().for_each(|which| drop(self.remove(which)));
        let Self { entries, answers, shelves, .. } = self;
        let lives = |(key, call): &Which| entries.get(key).is_some_and(|entry| entry.call == *call);
        answers.retain(lives);
        shelves.values_mut().for_each(|shelf| shelf.done.retain(lives));
        shelves.retain(|_, shelf| shelf.open > 0 || !shelf.done.is_empty());
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

/// Whether a call is the one that was carried out, sent again. Without a key nobody can know; what comes from another
/// session, or is the same request, is a retry, and what a client sends under a new id of the same session it means.
fn is_repeat(known: &Entry, deed: &Deed) -> bool {
    match (deed.named, deed.repeats) {
        (true, _) | (_, Repeats::Window) => true,
        // Nobody retries in another protocol era.
        (false, Repeats::Retry) => known.era == deed.era && (known.session != deed.session || known.request == deed.request),
        (false, Repeats::Key) => false,
    }
}
