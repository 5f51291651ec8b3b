//! Answers that hold for as long as the rules and the definition do, and how many of them are kept: whatever was used
//! last, over all callers. Callers come and go, and so do definitions; nobody has to be told.

use std::collections::HashMap;
use std::sync::Arc;

use super::Known;
use crate::case::Caller;
use crate::lock::Pin;
use crate::wire::json::Json;

/// How much is kept: so many answers that no moment changes, of which each takes about a kilobyte. Others weigh more.
const ROOM: usize = 50_000;

/// The rules live as long as what is remembered. The definition is a part of it, so that its address cannot become another's.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) _pin: Arc<Pin>,
    pub(super) server: Arc<str>,
    pub(super) known: Arc<Known>,
    /// The rules that permit it at every moment, as the record has them: written down once.
    pub(super) settled: Option<Json>,
    /// Whether it, or it after stronger authentication, could be permitted.
    pub(super) shown: bool,
}

impl Remembered {
    fn weight(&self) -> usize {
        match self.known.open().len() {
            0 => 1,
            open => open.saturating_mul(4).saturating_add(8),
        }
    }
}

/// What is asked about a caller: a definition, by its address, and an action.
pub(super) type Key = (usize, &'static str);

#[derive(Debug)]
pub(super) struct Memory {
    known: HashMap<Caller, HashMap<Key, Kept>>,
    weight: usize,
    room: usize,
    /// Counts what is asked.
    now: u64,
}

#[derive(Debug)]
struct Kept {
    found: Remembered,
    weight: usize,
    used: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { known: HashMap::new(), weight: 0, room: ROOM, now: 0 }
    }
}

impl Memory {
    /// What is remembered of a caller's use of something of a server.
    pub(super) fn get(&mut self, caller: &Caller, key: Key, server: &str) -> Option<Remembered> {
        self.now = self.now.saturating_add(1);
        let kept = self.known.get_mut(caller)?.get_mut(&key).filter(|kept| *kept.found.server == *server)?;
        kept.used = self.now;
        Some(kept.found.clone())
    }

    /// Remembers an answer. When there are too many, an eighth of them makes room, those that were used longest ago.
    pub(super) fn put(&mut self, caller: &Caller, key: Key, found: Remembered) {
        self.now = self.now.saturating_add(1);
        let weight = found.weight();
        if self.weight.saturating_add(weight) > self.room {
            self.forget(self.room.saturating_sub(self.room / 8).saturating_sub(weight));
        }
        self.weight = self.weight.saturating_add(weight);
        let kept = Kept { found, weight, used: self.now };
        if let Some(old) = self.known.entry(caller.clone()).or_default().insert(key, kept) {
            self.weight = self.weight.saturating_sub(old.weight);
        }
    }

    /// Forgets until no more than this is left.
    fn forget(&mut self, left: usize) {
        let mut all: Vec<(u64, usize)> = self.known.values().flat_map(HashMap::values).map(|kept| (kept.used, kept.weight)).collect();
        // The latest first.
        all.sort_unstable_by_key(|(used, _)| std::cmp::Reverse(*used));
        let mut sum = 0_usize;
        let first_gone = all.iter().find(|(_, weight)| {
            sum = sum.saturating_add(*weight);
            sum > left
        });
        let Some((last, _)) = first_gone else { return };
        let last = *last;
        self.known.retain(|_, known| {
            known.retain(|_, kept| kept.used > last);
            !known.is_empty()
        });
        self.weight = self.known.values().flat_map(HashMap::values).map(|kept| kept.weight).sum();
        self.known.shrink_to_fit();
    }
}

#[cfg(test)]
impl Memory {
    pub(super) fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// How many callers there are, how many answers, and what they weigh.
    pub(super) fn size(&self) -> [usize; 3] {
        [self.known.len(), self.known.values().map(HashMap::len).sum(), self.weight]
    }

    pub(super) const fn size_is_bounded(&self) -> bool {
        self.weight <= self.room
    }

    pub(super) fn has(&self, caller: &Caller) -> bool {
        self.known.contains_key(caller)
    }
}
