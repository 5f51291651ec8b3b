//! What one call has taken. It is given back when the tally is dropped, unless the call was made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::budget::{Begun, Period, Spent, signed};
use crate::key::Key;
use crate::meter::Meter;
use crate::moment::Moment;
use crate::rate::Rate;
use crate::rules::Bill;

/// What was taken on behalf of one call.
#[derive(Debug, Default)]
pub struct Tally {
    meter: Arc<Meter>,
    now: Moment,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    rates: Vec<(Key, Rate)>,
    budgets: Vec<(Key, Begun, Spent)>,
    kept: bool,
}

/// What there is not enough of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Short {
    /// A rate: of what, and how many milliseconds to wait.
    Rate {
        /// How many there are, and of what.
        what: String,
        /// For all that the call takes.
        wait_ms: u64,
    },
    /// A budget: when the period ends.
    Budget {
        /// The period.
        per: Period,
        /// Until it ends; none for a session.
        wait_ms: Option<u64>,
    },
    /// The common count is out of reach, and it was configured that nothing is allowed then.
    Lost,
}

impl Tally {
    /// Nothing was taken yet, at this moment.
    #[must_use]
    pub fn new(meter: Arc<Meter>, now: Moment) -> Self {
        Self { meter, now, taken: Mutex::default() }
    }

    /// The counts that it takes from.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of a bill or nothing.
    pub fn charge(&self, bill: &Bill) -> Result<(), Short> {
        let now_us = self.now.steady_us;
        for (at, (key, rate, what)) in bill.rates.iter().enumerate() {
            let Err(wait) = self.meter.take(*key, *rate, now_us) else { continue };
            self.back(bill, at, &[]);
            let Some(wait_us) = wait else { return Err(Short::Lost) };
            // Honest: when this time has passed, none of the others is in the way either.
            let others = bill.rates.iter().skip(at + 1).map(|(key, rate, _)| self.meter.wait(*key, *rate, now_us));
            let wait_us = others.max().unwrap_or_default().max(wait_us);
            return Err(Short::Rate { what: format!("{} {what}", rate.count()), wait_ms: wait_us.div_ceil(1000) });
        }
        let mut budgets = Vec::with_capacity(bill.budgets.len());
        for (key, per, cap) in &bill.budgets {
            match self.meter.book.spend(*key, (*per, *cap), bill.price, self.now.wall_ms) {
                Ok(begun) => budgets.push((*key, begun, bill.price)),
                Err(wait_ms) => {
                    self.back(bill, bill.rates.len(), &budgets);
                    return Err(Short::Budget { per: *per, wait_ms: (*per != Period::Session).then_some(wait_ms) });
                }
            }
        }
        let mut taken = self.taken();
        taken.rates.extend(bill.rates.iter().map(|(key, rate, _)| (*key, *rate)));
        taken.budgets.extend(budgets);
        Ok(())
    }

    fn back(&self, bill: &Bill, rates: usize, budgets: &[(Key, Begun, Spent)]) {
        bill.rates.iter().take(rates).for_each(|(key, rate, _)| self.meter.give_back(*key, *rate));
        budgets.iter().for_each(|taken| self.unspend(taken));
    }

    fn unspend(&self, (key, begun, price): &(Key, Begun, Spent)) {
        self.meter.book.change(*key, *begun, signed(*price).map(i64::wrapping_neg));
    }

    /// The call is made: what was taken is spent.
    pub fn keep(&self) {
        self.taken().kept = true;
    }

    /// The answer has so many bytes.
    pub fn answered(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.taken().budgets.iter().for_each(|(key, begun, _)| self.meter.book.change(*key, *begun, [0, bytes, 0]));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let taken = std::mem::take(self.taken.get_mut().unwrap_or_else(PoisonError::into_inner));
        if taken.kept {
            return;
        }
        taken.rates.iter().for_each(|(key, rate)| self.meter.give_back(*key, *rate));
        taken.budgets.iter().for_each(|taken| self.unspend(taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Budget, Call, Class, Of, Rules};

    const CALL: Call<'static> = Call {
        client: "c",
        credential: ["c", ""],
        session: "s",
        server: "files",
        kind: "tool",
        name: "read",
        class: Class::Read,
        per_minute: None,
        cost: 2,
        bytes: 10,
    };

    fn charge(meter: &Arc<Meter>, rules: &Rules, call: &Call<'_>) -> Result<Tally, Short> {
        let tally = Tally::new(meter.clone(), Moment { steady_us: 5, wall_ms: 5 });
        tally.charge(&rules.bill(meter, call)).map(|()| tally)
    }

    #[test]
    fn a_call_that_is_not_made_costs_nothing() {
        let meter = Arc::new(Meter::default());
        let budget = Budget { of: Of::Client, per: Period::Day, calls: Some(1), bytes: None, cost: None };
        let rules = Rules { read_per_minute: 1, budgets: vec![budget], ..Rules::default() };
        for _ in 0..3 {
            drop(charge(&meter, &rules, &CALL).expect("given back"));
        }
        let tally = charge(&meter, &rules, &CALL).expect("given back");
        assert!(matches!(charge(&meter, &rules, &CALL), Err(Short::Rate { wait_ms: 60_000, .. })));
        tally.keep();
        drop(tally);
        let other = Call { name: "list", ..CALL };
        assert!(matches!(charge(&meter, &rules, &other), Err(Short::Budget { per: Period::Day, wait_ms: Some(86_399_995) })));
    }

    #[test]
    fn the_wait_is_that_of_the_slowest_and_a_refusal_takes_nothing() {
        let meter = Arc::new(Meter::default());
        let rules = Rules { read_per_minute: 60, client_per_minute: 60, server_per_minute: Some(1), ..Rules::default() };
        charge(&meter, &rules, &CALL).expect("the first").keep();
        for _ in 0..200 {
            let short = charge(&meter, &rules, &CALL).err();
            assert_eq!(short, Some(Short::Rate { what: "1 a minute, of the server".to_owned(), wait_ms: 60_000 }));
        }
        let rules = Rules { server_per_minute: None, ..rules };
        for _ in 0..59 {
            charge(&meter, &rules, &CALL).expect("nothing was taken by what was refused").keep();
        }
        assert!(charge(&meter, &rules, &CALL).is_err());
    }

    #[test]
    fn bytes_of_answers_count_and_every_kind_of_limit_holds() {
        let meter = Arc::new(Meter::default());
        let budget = Budget { of: Of::All, per: Period::Hour, calls: None, bytes: Some(100), cost: None };
        let rules = Rules { budgets: vec![budget], ..Rules::default() };
        let tally = charge(&meter, &rules, &CALL).expect("ten bytes");
        tally.keep();
        tally.answered(90);
        assert!(matches!(charge(&meter, &rules, &CALL), Err(Short::Budget { .. })));
        for rules in [
            Rules { write_per_minute: 1, ..Rules::default() },
            Rules { destructive_per_minute: Some(1), ..Rules::default() },
            Rules { tool_per_minute: Some(1), ..Rules::default() },
            Rules { session_per_minute: Some(1), ..Rules::default() },
            Rules { credential_per_minute: Some(1), ..Rules::default() },
            Rules { client_per_minute: 1, ..Rules::default() },
            Rules { server_per_minute: Some(1), ..Rules::default() },
            Rules { total_per_minute: Some(1), ..Rules::default() },
        ] {
            let meter = Arc::new(Meter::default());
            let class = if rules.write_per_minute == 1 { Class::Write } else { Class::Destructive };
            let call = Call { class, ..CALL };
            charge(&meter, &rules, &call).expect("one").keep();
            assert!(charge(&meter, &rules, &call).is_err(), "{rules:?}");
        }
    }

    #[test]
    fn nothing_is_allowed_when_what_is_shared_is_lost_and_that_was_asked_for() {
        let meter = Arc::new(Meter::default());
        meter.share(crate::Sharing::Lost);
        assert_eq!(charge(&meter, &Rules::default(), &CALL).err(), Some(Short::Lost));
    }
}
