//! Tokens that were verified: looked up by their digest, so that a repeated call costs no signature and no
//! question, and found by their bearer, so that running sessions end with their tokens.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use bartizan_monitor::case::Caller;
use zeroize::Zeroizing;

use super::claims::Bound;
use crate::secrets::Subject;

/// How many tokens are remembered.
const MOST: usize = 10_000;
/// How many of one principal: whoever has an issuer make many tokens pushes out no one else's.
const SHARE: usize = 16;
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
    pub(super) bearer: Bound,
    /// Until when it is good, in milliseconds since the Unix epoch.
    pub(super) until_ms: u64,
    /// Why.
    pub(super) proof: Proof,
    /// The token itself, where it is kept to be exchanged.
    pub(super) subject: Option<Arc<Subject>>,
    used: u64,
}

/// The tokens that are remembered.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: HashMap<Print, Entry>,
    bearers: HashMap<Caller, BTreeSet<Print>>,
    // Callers of one principal differ in their rights; what they share is counted together.
    shares: HashMap<Arc<str>, BTreeSet<Print>>,
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
    pub(super) fn insert(&mut self, print: Print, bearer: Bound, until_ms: u64, (proof, now_ms): (Proof, u64)) {
        self.remove(&print);
        let caller = &bearer.caller;
        self.make_room(caller.principal(), now_ms);
        if self.entries.len() >= MOST {
            self.forget(now_ms);
        }
        self.uses = self.uses.saturating_add(1);
        self.bearers.entry(caller.clone()).or_default().insert(print);
        self.shares.entry(caller.principal().clone()).or_default().insert(print);
        self.entries.insert(print, Entry { bearer, until_ms, proof, subject: None, used: self.uses });
    }

    /// Keeps the token itself.
    pub(super) fn keep(&mut self, print: &Print, subject: Arc<Subject>) {
        if let Some(entry) = self.entries.get_mut(print) {
            entry.subject = Some(subject);
        }
    }

    /// Forgets a token.
    pub(super) fn remove(&mut self, print: &Print) {
        let Some(entry) = self.entries.remove(print) else { return };
        drop_from(&mut self.bearers, &entry.bearer.caller, print);
        drop_from(&mut self.shares, entry.bearer.caller.principal(), print);
    }

    /// Forgets a token of a principal that has its share: one that is over, else what was not used for longest.
    fn make_room(&mut self, principal: &Arc<str>, now_ms: u64) {
        let Some(prints) = self.shares.get(principal).filter(|prints| prints.len() >= SHARE) else { return };
        let ranked = prints.iter().filter_map(|print| self.entries.get(print).map(|entry| (entry.until_ms > now_ms, entry.used, *print)));
        if let Some((_, _, print)) = ranked.min() {
            self.remove(&print);
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

/// Takes a token out of a group of them, and the group with the last one.
fn drop_from<K: Eq + Hash>(groups: &mut HashMap<K, BTreeSet<Print>>, key: &K, print: &Print) {
    let Some(prints) = groups.get_mut(key) else { return };
    prints.remove(print);
    if prints.is_empty() {
        groups.remove(key);
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

    fn caller(name: &str) -> Caller {
        Caller::assertion(name, Means::OAuth, Reach::all())
    }

    fn unbound(caller: Caller) -> Bound {
        Bound { caller, to: None }
    }

    /// One of so many that nobody has more than a share.
    fn someone(number: usize) -> Caller {
        caller(&(number % (MOST / 4)).to_string())
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten_first() {
        let mut known = Known::default();
        for number in 0..MOST {
            known.insert(print(number), unbound(someone(number)), 100, (proof(), 1));
        }
        assert!(known.get(&print(0)).is_some(), "used just now");
        known.insert(print(MOST), unbound(someone(MOST)), 100, (proof(), 1));
        assert!(known.get(&print(0)).is_some() && known.get(&print(1)).is_none() && known.get(&print(MOST)).is_some());
        assert_eq!(known.entries.len(), MOST - BATCH + 1);
        assert_eq!(known.bearers.values().map(BTreeSet::len).sum::<usize>(), known.entries.len());
        assert_eq!(known.shares.values().map(BTreeSet::len).sum::<usize>(), known.entries.len());
    }

    #[test]
    fn a_principal_pushes_out_only_its_own_tokens() {
        let mut known = Known::default();
        let greedy = [caller("a"), Caller::assertion("a", Means::OAuth, Reach { servers: Some(Arc::default()), ..Reach::all() })];
        known.insert(print(MOST * 2), unbound(caller("b")), 100, (proof(), 1));
        for number in 0..SHARE {
            known.insert(print(number), unbound(greedy[number % 2].clone()), if number == 5 { 10 } else { 100 }, (proof(), 1));
        }
        assert!(known.get(&print(0)).is_some(), "used just now");
        known.insert(print(SHARE), unbound(greedy[0].clone()), 100, (proof(), 50));
        assert!(known.get(&print(5)).is_none() && known.get(&print(1)).is_some(), "what is over goes first");
        known.insert(print(SHARE + 1), unbound(greedy[1].clone()), 100, (proof(), 50));
        assert!(known.get(&print(2)).is_none() && known.get(&print(0)).is_some(), "then what was not used for longest");
        known.insert(print(SHARE + 1), unbound(greedy[0].clone()), 100, (proof(), 50));
        assert_eq!(known.entries.len(), SHARE + 1, "the same token again costs nothing");
        for number in 0..MOST * 2 {
            known.insert(print(number), unbound(greedy[number % 2].clone()), 100, (proof(), 1));
        }
        assert_eq!((known.entries.len(), known.shares.len()), (SHARE + 1, 2), "whatever its rights");
        assert_eq!(known.of(&caller("b")).len(), 1, "another's session goes on");
    }

    #[test]
    fn what_is_over_is_forgotten_before_what_lives() {
        let mut known = Known::default();
        for number in 0..MOST {
            let until = if number % 2 == 0 { 100 } else { 10 };
            known.insert(print(number), unbound(someone(number)), until, (proof(), 1));
        }
        known.insert(print(MOST), unbound(someone(MOST)), 100, (proof(), 50));
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
