//! Rates that several gateways share: each takes some of the common allowance ahead of need, in the background, so
//! that a call waits for nobody.
//!
//! A key that nobody asked about yet is used on credit, for one lease at most; the credit is owed to the common
//! count and is paid first. So gateways together exceed a rate by one lease each at most ([`Rate`] and what is
//! held from before included), and not once more for as long as the debt is not worked off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::Key;
use crate::rate::Rate;

/// How counts are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Not at all: every gateway counts for itself.
    Alone,
    /// By leases.
    Leases,
    /// They should be and cannot, and then nothing is allowed.
    Lost,
}

/// What a gateway asks the common count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Which count.
    pub key: Key,
    /// The rate that everybody together has.
    pub rate: Rate,
    /// Used on credit; taken whatever is left.
    pub owed: u64,
    /// Wanted in advance; taken as far as there is.
    pub wanted: u64,
    /// Not needed any more.
    pub back: u64,
}

/// How much one lease is: an eighth of a minute's allowance.
const SHARE: u64 = 8;
/// How long to wait for a lease that is on its way.
const SOON_US: u64 = 20_000;
/// After how long an unused lease goes back.
const IDLE_US: u64 = 2_000_000;

const PARTS: usize = 64;
const ALONE: u8 = 0;
const LEASES: u8 = 1;
const LOST: u8 = 2;

#[derive(Debug)]
struct Lease {
    rate: Rate,
    left: u64,
    owed: u64,
    asked: bool,
    empty_until_us: u64,
    used_us: u64,
}

#[derive(Debug)]
pub(crate) struct Leases {
    sharing: AtomicU8,
    waiting: AtomicBool,
    wants: Mutex<Vec<Key>>,
    parts: Vec<Mutex<HashMap<Key, Lease>>>,
}

impl Default for Leases {
    fn default() -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { sharing: AtomicU8::new(ALONE), waiting: AtomicBool::new(false), wants: Mutex::default(), parts }
    }
}

fn size(rate: Rate) -> u64 {
    rate.count().div_ceil(SHARE)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leases {
    pub(crate) fn sharing(&self) -> Sharing {
        match self.sharing.load(Ordering::Relaxed) {
            LEASES => Sharing::Leases,
            LOST => Sharing::Lost,
            _ => Sharing::Alone,
        }
    }

    pub(crate) fn share(&self, sharing: Sharing) {
        let code = match sharing {
            Sharing::Alone => ALONE,
            Sharing::Leases => LEASES,
            Sharing::Lost => LOST,
        };
        self.sharing.store(code, Ordering::Relaxed);
    }

    fn part(&self, key: Key) -> Option<MutexGuard<'_, HashMap<Key, Lease>>> {
        self.parts.get(key.part(PARTS)).map(lock)
    }

    fn want(&self, key: Key) {
        lock(&self.wants).push(key);
        self.waiting.store(true, Ordering::Release);
    }

    /// Takes one of what is leased, or says how long to wait.
    pub(crate) fn take(&self, key: Key, rate: Rate, now_us: u64) -> Result<(), u64> {
        let Some(mut part) = self.part(key) else { return Err(SOON_US) };
        let lease = part.entry(key).or_insert(Lease { rate, left: 0, owed: 0, asked: false, empty_until_us: 0, used_us: now_us });
        (lease.rate, lease.used_us) = (rate, now_us);
        lease.empty_until_us = lease.empty_until_us.min(now_us.saturating_add(2 * rate.burst_us()));
        let taken = if lease.left > 0 {
            lease.left -= 1;
            Ok(())
        } else if lease.empty_until_us > now_us {
            return Err(lease.empty_until_us - now_us);
        } else if lease.owed < size(rate) {
            lease.owed += 1;
            Ok(())
        } else {
            Err(SOON_US)
        };
        let wants = lease.left <= size(rate) / 2 && !std::mem::replace(&mut lease.asked, true);
        drop(part);
        if wants {
            self.want(key);
        }
        taken
    }

    pub(crate) fn give_back(&self, key: Key) {
        if let Some(lease) = self.part(key).as_mut().and_then(|part| part.get_mut(&key)) {
            if lease.owed > 0 {
                lease.owed -= 1;
            } else {
                lease.left = lease.left.saturating_add(1);
            }
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// What to ask for now. Every question must be settled or forgotten.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        self.waiting.store(false, Ordering::Release);
        let wants = std::mem::take(&mut *lock(&self.wants));
        let ask = |key: Key| {
            let part = self.part(key)?;
            let lease = part.get(&key)?;
            let wanted = size(lease.rate).saturating_sub(lease.left);
            Some(Ask { key, rate: lease.rate, owed: lease.owed, wanted, back: 0 })
        };
        wants.into_iter().filter_map(ask).collect()
    }

    /// What nobody uses goes back; leases that are empty and at rest are forgotten.
    pub(crate) fn idle(&self, now_us: u64) -> Vec<Ask> {
        let mut asks = Vec::new();
        for part in &self.parts {
            lock(part).retain(|key, lease| {
                // A clock that went back makes nothing idle, and nothing in use for ever.
                let idle = now_us.saturating_sub(lease.used_us) > IDLE_US && !lease.asked;
                if idle && (lease.left > 0 || lease.owed > 0) {
                    asks.push(Ask { key: *key, rate: lease.rate, owed: lease.owed, wanted: 0, back: std::mem::take(&mut lease.left) });
                    lease.asked = true;
                }
                lease.used_us = lease.used_us.min(now_us);
                !idle || lease.asked || lease.empty_until_us > now_us
            });
        }
        asks
    }

    /// What became of a question: so much was granted, and there will be more in so many microseconds.
    pub(crate) fn settle(&self, ask: &Ask, (granted, wait_us): (u64, u64), now_us: u64) {
        if let Some(lease) = self.part(ask.key).as_mut().and_then(|part| part.get_mut(&ask.key)) {
            lease.owed = lease.owed.saturating_sub(ask.owed);
            lease.left = lease.left.saturating_add(granted);
            lease.asked = false;
            lease.empty_until_us = if granted == 0 && wait_us > 0 { now_us.saturating_add(wait_us) } else { 0 };
        }
    }

    /// A question that nobody answered.
    pub(crate) fn forget(&self, ask: &Ask) {
        if let Some(lease) = self.part(ask.key).as_mut().and_then(|part| part.get_mut(&ask.key)) {
            lease.asked = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([1, 2]);

    fn rate() -> Rate {
        Rate::per_minute(80)
    }

    #[test]
    fn a_cold_key_has_one_lease_on_credit_and_pays_for_it() {
        let leases = Leases::default();
        for _ in 0..10 {
            assert_eq!(leases.take(KEY, rate(), 5), Ok(()));
        }
        assert_eq!(leases.take(KEY, rate(), 5), Err(SOON_US));
        assert!(leases.is_wanted());
        let asks = leases.asks();
        assert_eq!(asks, [Ask { key: KEY, rate: rate(), owed: 10, wanted: 10, back: 0 }]);
        leases.settle(&asks[0], (10, 0), 6);
        for _ in 0..10 {
            assert_eq!(leases.take(KEY, rate(), 7), Ok(()));
        }
        // Half of the lease was used: the next question was put ahead of need, once.
        assert_eq!(leases.asks().len(), 1);
        assert!(!leases.is_wanted());
    }

    #[test]
    fn when_all_is_used_there_is_no_credit_until_there_is_more() {
        let leases = Leases::default();
        leases.take(KEY, rate(), 5).expect("credit");
        let asks = leases.asks();
        leases.settle(&asks[0], (0, 500), 6);
        assert_eq!((leases.take(KEY, rate(), 105), leases.take(KEY, rate(), 506)), (Err(401), Ok(())));
    }

    #[test]
    fn what_nobody_uses_goes_back_and_is_forgotten() {
        let leases = Leases::default();
        leases.take(KEY, rate(), 5).expect("credit");
        let asks = leases.asks();
        leases.settle(&asks[0], (10, 0), 6);
        assert!(leases.idle(7).is_empty());
        let idle = leases.idle(3_000_000);
        assert_eq!(idle, [Ask { key: KEY, rate: rate(), owed: 0, wanted: 0, back: 10 }]);
        leases.settle(&idle[0], (0, 0), 3_000_001);
        assert!(leases.idle(3_000_002).is_empty());
        assert!(leases.parts.iter().all(|part| part.lock().expect("whole").is_empty()));
    }

    #[test]
    fn a_question_that_nobody_answers_is_asked_again() {
        let leases = Leases::default();
        leases.take(KEY, rate(), 5).expect("credit");
        let asks = leases.asks();
        leases.forget(&asks[0]);
        leases.take(KEY, rate(), 6).expect("credit");
        assert_eq!(leases.asks().first().map(|ask| ask.owed), Some(2));
    }
}
