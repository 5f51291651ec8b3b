//! What is written down of a server's connections: bounded, whatever the server does.
//!
//! The first connection to a place in a minute is written at once. The others are counted, and so is what there are too
//! many places for; at the end of the minute the counts are written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Target;

/// How many places get lines of their own in a minute.
const PLACES: usize = 64;
/// How many different refusals of one start are written down.
const TOLD: usize = 256;

/// Connections to one place that were not written down yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) connections: u64,
    pub(super) address: IpAddr,
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// What the minute brought that was not written down yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) passed: Vec<((String, u16), Passed)>,
    /// Connections to places for which there was no line.
    pub(super) more_passed: u64,
    /// Refusals for which there was none.
    pub(super) more_refused: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    told: BTreeSet<(String, u16)>,
    passed: BTreeMap<(String, u16), Option<Passed>>,
    more_passed: u64,
    more_refused: u64,
}

impl Tally {
    /// Whether this connection is written down now; otherwise it is counted.
    pub(super) fn pass(&mut self, target: &Target, one: Passed) -> bool {
        let place = (target.name.clone(), target.port);
        let is_full = self.passed.len() >= PLACES;
        match self.passed.get_mut(&place) {
            Some(rest) => {
                let before = rest.map_or((0, 0, 0), |rest| (rest.connections, rest.sent, rest.received));
                *rest = Some(Passed {
                    connections: one.connections.saturating_add(before.0),
                    sent: one.sent.saturating_add(before.1),
                    received: one.received.saturating_add(before.2),
                    address: one.address,
                });
                false
            }
            None if is_full => {
                self.more_passed = self.more_passed.saturating_add(1);
                false
            }
            None => {
                self.passed.insert(place, None);
                true
            }
        }
    }

    /// Whether this refusal is written down: once for every place, and as many as fit.
    pub(super) fn refuse(&mut self, target: &Target) -> bool {
        let place = (target.name.clone(), target.port);
        if self.told.contains(&place) {
            return false;
        }
        if self.told.len() >= TOLD {
            self.more_refused = self.more_refused.saturating_add(1);
            return false;
        }
        self.told.insert(place)
    }

    /// Ends a minute.
    pub(super) fn rest(&mut self) -> Rest {
        let passed = std::mem::take(&mut self.passed).into_iter().filter_map(|(place, rest)| Some((place, rest?))).collect();
        Rest { passed, more_passed: std::mem::take(&mut self.more_passed), more_refused: std::mem::take(&mut self.more_refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_bounded_and_nothing_is_lost() {
        let mut tally = Tally::default();
        let place = |number: usize| Target { name: format!("{number}.example"), port: 443 };
        let one = Passed { connections: 1, address: IpAddr::from([127, 0, 0, 1]), sent: 2, received: 3 };
        let written = (0..1000).filter(|number| tally.pass(&place(number % 100), one)).count();
        let refused = (0..1000).filter(|number| tally.refuse(&place(*number))).count();
        assert_eq!((written, refused), (PLACES, TOLD));
        let rest = tally.rest();
        assert_eq!(rest.passed.len(), PLACES);
        assert!(rest.passed.iter().all(|(_, passed)| (passed.connections, passed.sent, passed.received) == (9, 18, 27)));
        assert_eq!((rest.more_passed, rest.more_refused), (360, 744));
        assert_eq!(tally.rest(), Rest::default());
        assert!(tally.pass(&place(1), one), "a new minute");
    }
}
