//! What somebody has seen: labels of content, kept for whom it was released to.
//!
//! Threat: a client that reads in one session, at one endpoint or with one token, and sends in another, where
//! nothing is known of it. So labels belong to the principal (to the label of a gateway's token, which stays when it
//! is rotated), at all endpoints and in all sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_monitor::case::{Caller, Case, Kind, Labels};
use bartizan_monitor::lock::Returns;

use super::House;
use crate::clock;
use crate::snapshot::Snapshot;

/// How long a label stays after it was last set.
const KEPT_MS: u64 = 24 * 3_600_000;
/// How many principals are remembered. The one that has seen nothing new for longest makes room.
const MAX_PRINCIPALS: usize = 10_000;

/// What each principal has seen.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<String, Times>>);

/// When a label was last set.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    private: Option<u64>,
    untrusted: Option<u64>,
}

impl Times {
    fn labels(self, now_ms: u64) -> Labels {
        let holds = |at: Option<u64>| at.is_some_and(|at| now_ms.saturating_sub(at) < KEPT_MS);
        Labels { private: holds(self.private), untrusted: holds(self.untrusted) }
    }

    fn last(self) -> Option<u64> {
        self.private.max(self.untrusted)
    }
}

fn key(caller: &Caller) -> String {
    caller.label().map_or_else(|| caller.principal().to_string(), |label| format!("token:{label}"))
}

impl Seen {
    fn labels(&self, caller: &Caller, now_ms: u64) -> Labels {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&key(caller)).map(|times| times.labels(now_ms)).unwrap_or_default()
    }

    fn add(&self, caller: &Caller, labels: Labels, now_ms: u64) {
        if labels == Labels::default() {
            return;
        }
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(caller);
        if seen.len() >= MAX_PRINCIPALS && !seen.contains_key(&key) {
            seen.retain(|_, times| times.labels(now_ms) != Labels::default());
            let oldest = seen.iter().min_by_key(|(_, times)| times.last()).map(|(key, _)| key.clone());
            oldest.filter(|_| seen.len() >= MAX_PRINCIPALS).and_then(|oldest| seen.remove(&oldest));
        }
        let times = seen.entry(key).or_default();
        times.private = times.private.max(labels.private.then_some(now_ms));
        times.untrusted = times.untrusted.max(labels.untrusted.then_some(now_ms));
    }
}

impl House {
    /// What a caller has seen, in whichever conversation.
    pub(crate) fn labels(&self, caller: &Caller) -> Labels {
        self.seen.labels(caller, clock::now_ms())
    }

    /// Notes what is released to a caller. Before it reads it: whatever follows from it comes later.
    pub(crate) fn releases(&self, caller: &Caller, labels: Labels) {
        self.seen.add(caller, labels, clock::now_ms());
    }
}

/// The labels of what a server says: those of what was called, and where nothing was, the gravest of all that was
/// approved of the server, for that it may be speaking of.
pub(crate) fn said(snapshot: &Snapshot, call: Option<&Case>, server: &str) -> Labels {
    if let Some(item) = call.and_then(Case::item) {
        return Labels::of(item.pin.contract.returns());
    }
    let pins = snapshot.catalog.lock().of(server).filter(|pin| Kind::LISTED.contains(&pin.kind));
    pins.fold(Labels::of(Returns::Untrusted), |labels, pin| labels.and(Labels::of(pin.contract.returns())))
}

/// Whether a caller may see anything of a server, or there is nothing that could be hidden.
pub(super) fn shows(snapshot: &Snapshot, caller: &Caller, server: &Arc<str>) -> bool {
    let mut items = snapshot.catalog.approved(server).filter(|item| Kind::LISTED.contains(&item.pin.kind)).peekable();
    items.peek().is_none() || items.any(|item| snapshot.monitor.lists(caller, &item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::local_user;

    const PRIVATE: Labels = Labels { private: true, untrusted: false };
    const UNTRUSTED: Labels = Labels { private: false, untrusted: true };

    #[test]
    fn labels_add_up_and_each_goes_a_day_after_it_was_last_set() {
        let (seen, ann) = (Seen::default(), local_user());
        seen.add(&ann, PRIVATE, 1000);
        seen.add(&ann, UNTRUSTED, 2000);
        seen.add(&ann, Labels::default(), 9000);
        assert_eq!(seen.labels(&ann, 3000), PRIVATE.and(UNTRUSTED));
        assert_eq!(seen.labels(&ann, 1000 + KEPT_MS), UNTRUSTED);
        seen.add(&ann, UNTRUSTED, 1000 + KEPT_MS);
        assert_eq!(seen.labels(&ann, 2000 + KEPT_MS), UNTRUSTED);
        assert_eq!(seen.labels(&ann, 1000 + 2 * KEPT_MS), Labels::default());
        // A clock that was set back washes nothing.
        assert_eq!(seen.labels(&ann, 0), PRIVATE.and(UNTRUSTED));
    }

    #[test]
    fn who_has_seen_nothing_new_for_longest_makes_room() {
        let seen = Seen::default();
        for at in 0..=MAX_PRINCIPALS as u64 {
            seen.0.lock().expect("whole").insert(format!("p{at}"), Times { private: Some(at), untrusted: None });
        }
        seen.0.lock().expect("whole").remove("p10000");
        seen.add(&local_user(), PRIVATE, 20_000);
        let kept = seen.0.lock().expect("whole");
        assert_eq!((kept.len(), kept.contains_key("p0"), kept.contains_key("p1")), (MAX_PRINCIPALS, false, true));
    }
}
