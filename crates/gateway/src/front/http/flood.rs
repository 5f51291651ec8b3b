//! Refusals of callers that nobody knows: recorded one by one, unless there are too many of them.
//!
//! Threat: whoever reaches the port, without any credential, fills the disk with refusals until the journal cannot
//! be written any more, and the gateway, which makes no call without a record, stops.

use std::sync::{Mutex, PoisonError};

/// How many are recorded one by one in a second.
const ONE_BY_ONE: u64 = 50;

/// What to do with a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Record it.
    Own,
    /// Record it, and that so many before it were only counted.
    OwnAfter(u64),
    /// Count it.
    Counted,
}

/// Counts by the second.
#[derive(Debug, Default)]
pub(super) struct Flood(Mutex<(u64, u64)>);

impl Flood {
    /// Takes one more.
    pub(super) fn one_more(&self, now_ms: u64) -> Entry {
        // Two numbers are whole whatever panics elsewhere.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now_ms.checked_div(1000).unwrap_or_default();
        let (last, count) = *state;
        if second == last {
            *state = (last, count.saturating_add(1));
            return if count < ONE_BY_ONE { Entry::Own } else { Entry::Counted };
        }
        *state = (second, 1);
        match count.saturating_sub(ONE_BY_ONE) {
            0 => Entry::Own,
            more => Entry::OwnAfter(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_once() {
        let flood = Flood::default();
        let entries: Vec<Entry> = (0..80).map(|_| flood.one_more(5_000)).collect();
        assert_eq!(entries.iter().filter(|entry| **entry == Entry::Own).count(), 50);
        assert_eq!(flood.one_more(6_000), Entry::OwnAfter(30));
        assert_eq!(flood.one_more(6_001), Entry::Own);
    }
}
