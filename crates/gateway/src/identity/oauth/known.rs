//! Tokens that were verified: looked up by their digest, so that a repeated call costs no signature and no
//! question, and found by their bearer, so that running sessions end with their tokens.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bartizan_monitor::case::Caller;
use zeroize::Zeroizing;

/// How many tokens are remembered.
const MOST: usize = 10_000;
/// How many are forgotten at once when there are more.
const BATCH: usize = MOST / 16;
/// How many tokens are remembered that are worth nothing, and for how long.
const MOST_BAD: usize = 1000;
const BAD_MS: u64 = 10_000;

/// SHA-256 of a token.
pub(super) type Print = [u8; 32];

/// How a token was found to be good.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// By a key of an issuer.
    Signed {
        /// Which issuer.
        issuer: usize,
        /// Which key.
        key: [u8; 32],
    },
    /// By asking.
    Told {
        /// When, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// What to ask about again.
        token: Arc<Zeroizing<String>>,
    },
}

/// A verified token.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Who bears it.
    pub(super) caller: Caller,
    /// Until when it is good, in milliseconds since the Unix epoch.
    pub(super) until_ms: u64,
    /// Why.
    pub(super) proof: Proof,
    used: u64,
}

/// The tokens that are remembered.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: HashMap<Print, Entry>,
    bearers: HashMap<Caller, BTreeSet<Print>>,
    bad: HashMap<Print, u64>,
    uses: u64,
}

impl Known {
    /// A token.
    pub(super) fn get(&mut self, print: &Print) -> Option<Entry> {
        self.uses = self.uses.saturating_add(1);
        let entry = self.entries.get_mut(print)?;
        entry.used = self.uses;
        Some(entry.clone())
    }

    /// All tokens of a bearer.
    pub(super) fn of(&mut self, caller: &Caller) -> Vec<(Print, Entry)> {
        let prints: Vec<Print> = self.bearers.get(caller).into_iter().flatten().copied().collect();
        prints.into_iter().filter_map(|print| Some((print, self.get(&print)?))).collect()
    }

    /// Remembers a token.
    pub(super) fn insert(&mut self, print: Print, caller: Caller, until_ms: u64, (proof, now_ms): (Proof, u64)) {
        self.remove(&print);
        if self.entries.len() >= MOST {
            self.forget(now_ms);
        }
        self.uses = self.uses.saturating_add(1);
        self.bearers.entry(caller.clone()).or_default().insert(print);
        self.entries.insert(print, Entry { caller, until_ms, proof, used: self.uses });
    }

    /// Forgets a token.
    pub(super) fn remove(&mut self, print: &Print) {
        let Some(entry) = self.entries.remove(print) else { return };
        let Some(prints) = self.bearers.get_mut(&entry.caller) else { return };
        prints.remove(print);
        if prints.is_empty() {
            self.bearers.remove(&entry.caller);
        }
    }

    /// Forgets what is over, and what was not used for longest.
    fn forget(&mut self, now_ms: u64) {
        let mut order: Vec<(bool, u64, Print)> =
            self.entries.iter().map(|(print, entry)| (entry.until_ms > now_ms, entry.used, *print)).collect();
        order.sort_unstable();
        let over = order.iter().filter(|(lives, ..)| !lives).count();
        for (_, _, print) in order.iter().take(over.max(BATCH)) {
            self.remove(print);
        }
    }

    /// Remembers for a moment that a token is worth nothing.
    pub(super) fn refuse(&mut self, print: Print, now_ms: u64) {
        self.remove(&print);
        if self.bad.len() >= MOST_BAD {
            self.bad.clear();
        }
        self.bad.insert(print, now_ms);
    }

    /// Whether a token was worth nothing a moment ago.
    pub(super) fn is_bad(&self, print: &Print, now_ms: u64) -> bool {
        self.bad.get(print).is_some_and(|at| now_ms.abs_diff(*at) < BAD_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_monitor::case::{Means, Reach};

    fn print(number: usize) -> Print {
        let mut print = [0; 32];
        print[..8].copy_from_slice(&number.to_be_bytes());
        print
    }

    fn proof() -> Proof {
        Proof::Signed { issuer: 0, key: [0; 32] }
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten_first() {
        let caller = Caller::assertion("a", Means::OAuth, Reach::all());
        let mut known = Known::default();
        for number in 0..MOST {
            known.insert(print(number), caller.clone(), 100, (proof(), 1));
        }
        assert!(known.get(&print(0)).is_some(), "used just now");
        known.insert(print(MOST), caller.clone(), 100, (proof(), 1));
        assert!(known.get(&print(0)).is_some() && known.get(&print(1)).is_none() && known.get(&print(MOST)).is_some());
        assert_eq!(known.entries.len(), MOST - BATCH + 1);
        assert_eq!(known.of(&caller).len(), known.entries.len());
    }

    #[test]
    fn what_is_over_is_forgotten_before_what_lives() {
        let caller = Caller::assertion("a", Means::OAuth, Reach::all());
        let mut known = Known::default();
        for number in 0..MOST {
            let until = if number % 2 == 0 { 100 } else { 10 };
            known.insert(print(number), caller.clone(), until, (proof(), 1));
        }
        known.insert(print(MOST), caller, 100, (proof(), 50));
        assert_eq!(known.entries.len(), MOST / 2 + 1);
    }

    #[test]
    fn worthless_tokens_do_not_pile_up() {
        let mut known = Known::default();
        for number in 0..MOST_BAD * 3 {
            known.refuse(print(number), 1);
        }
        assert!(known.bad.len() <= MOST_BAD);
        known.refuse(print(7), 1);
        assert!(known.is_bad(&print(7), 2) && !known.is_bad(&print(7), 1 + BAD_MS));
    }
}
