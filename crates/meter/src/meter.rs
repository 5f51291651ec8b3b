//! Everything that is counted of calls.

use crate::budget::{Book, Entry};
use crate::cells::Cells;
use crate::key::{Key, Scope, Seed};
use crate::lease::{Ask, Leases, Sharing};
use crate::moment::Moment;
use crate::rate::Rate;

/// All counts of a gateway. Shared by all calls, and no lock is shared by all of them.
#[derive(Debug, Default)]
pub struct Meter {
    seed: Seed,
    cells: Cells,
    pub(crate) book: Book,
    leases: Leases,
}

impl Meter {
    /// Nothing was counted yet.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The key of something.
    #[must_use]
    pub fn key(&self, scope: Scope, parts: &[&str]) -> Key {
        self.seed.key(scope, parts)
    }

    /// Takes one at a rate, or says how many microseconds to wait; `None` when nobody knows.
    pub(crate) fn take(&self, key: Key, rate: Rate, now_us: u64) -> Result<(), Option<u64>> {
        let sharing = self.leases.sharing();
        if sharing == Sharing::Lost {
            return Err(None);
        }
        // The own count goes on when it is shared: it is what is left when sharing ends.
        self.cells.take(key, rate, now_us).map_err(Some)?;
        if sharing == Sharing::Leases
            && let Err(wait_us) = self.leases.take(key, rate, now_us)
        {
            self.cells.give_back(key, rate);
            return Err(Some(wait_us));
        }
        Ok(())
    }

    /// How long to wait for one, without taking it.
    pub(crate) fn wait(&self, key: Key, rate: Rate, now_us: u64) -> u64 {
        self.cells.wait(key, rate, now_us)
    }

    pub(crate) fn give_back(&self, key: Key, rate: Rate) {
        self.cells.give_back(key, rate);
        if self.leases.sharing() == Sharing::Leases {
            self.leases.give_back(key);
        }
    }

    /// How counts are shared from now on.
    pub fn share(&self, sharing: Sharing) {
        self.leases.share(sharing);
    }

    /// How counts are shared.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.leases.sharing()
    }

    /// Whether there is something to ask the common count for.
    #[must_use]
    pub fn is_wanting(&self) -> bool {
        self.leases.is_wanted()
    }

    /// What to ask the common count for. Each must be settled or forgotten.
    #[must_use]
    pub fn asks(&self) -> Vec<Ask> {
        self.leases.asks()
    }

    /// What to give back to the common count, because nobody uses it.
    #[must_use]
    pub fn idle(&self, now: Moment) -> Vec<Ask> {
        self.leases.idle(now.steady_us)
    }

    /// What became of a question: how many were granted, and in how many microseconds there will be more.
    pub fn settle(&self, ask: &Ask, granted: (u64, u64), now: Moment) {
        self.leases.settle(ask, granted, now.steady_us);
    }

    /// Nobody answered a question.
    pub fn forget(&self, ask: &Ask) {
        self.leases.forget(ask);
    }

    /// What budgets were spent since the last time, for a file or for other gateways.
    #[must_use]
    pub fn unsaid(&self) -> Vec<Entry> {
        self.book.unsaid()
    }

    /// What was said of budgets reached nobody.
    pub fn unsay(&self, entry: &Entry) {
        self.book.unsay(entry);
    }

    /// What everybody together has spent of a budget.
    pub fn learn(&self, entry: &Entry, now: Moment) {
        self.book.learn(entry, now.wall_ms);
    }

    /// Bytes that the rates take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cells.bytes()
    }
}
