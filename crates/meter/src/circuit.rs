//! A server that fails again and again is left alone for a while, and then tried by one call.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The circuit to one server.
#[derive(Debug)]
pub struct Circuit {
    failures: u32,
    pause_us: u64,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { since_us: u64, opened: u32 },
    Trying { since_us: u64, opened: u32 },
}

/// Leave to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// All is well.
    Usual,
    /// The one that finds out whether all is well again.
    Trial,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The server answered, whatever it said.
    Answered,
    /// It could not be reached, or did not answer in time.
    Failed,
    /// Somebody gave up: nothing is known.
    Unknown,
}

/// The pause is doubled so often at most.
const DOUBLINGS: u32 = 4;

impl Circuit {
    /// Opens after so many failures in a row, for so many microseconds at first.
    #[must_use]
    pub fn new(failures: u32, pause_us: u64) -> Self {
        Self { failures: failures.max(1), pause_us, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self, opened: u32) -> u64 {
        self.pause_us.saturating_mul(1 << opened.min(DOUBLINGS))
    }

    /// Whether to try now, or in how many microseconds.
    pub fn enter(&self, now_us: u64) -> Result<Pass, u64> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Ok(Pass::Usual),
            State::Open { since_us, opened } | State::Trying { since_us, opened } => {
                let left = since_us.saturating_add(self.pause(opened)).saturating_sub(now_us);
                // A clock that went back does not make it longer. A trial that takes longer than a pause is followed
                // by another.
                if left > 0 && since_us <= now_us {
                    return Err(left);
                }
                *state = State::Trying { since_us: now_us, opened };
                Ok(Pass::Trial)
            }
        }
    }

    /// Learns how a try ended; returns whether that opened or closed the circuit.
    pub fn ended(&self, pass: Pass, how: Ended, now_us: u64) -> Option<bool> {
        let mut state = self.state();
        match (how, *state) {
            (Ended::Answered, State::Closed { .. }) => *state = State::Closed { failures: 0 },
            (Ended::Answered, State::Open { .. } | State::Trying { .. }) => {
                *state = State::Closed { failures: 0 };
                return Some(false);
            }
            (Ended::Failed, State::Closed { failures }) if failures.saturating_add(1) >= self.failures => {
                *state = State::Open { since_us: now_us, opened: 0 };
                return Some(true);
            }
            (Ended::Failed, State::Closed { failures }) => *state = State::Closed { failures: failures.saturating_add(1) },
            (Ended::Failed, State::Trying { opened, .. }) if pass == Pass::Trial => {
                *state = State::Open { since_us: now_us, opened: opened.saturating_add(1) };
            }
            // The next one tries at once.
            (Ended::Unknown, State::Trying { opened, .. }) if pass == Pass::Trial => {
                *state = State::Open { since_us: now_us.saturating_sub(self.pause(opened)), opened };
            }
            // Calls that began before it opened.
            (Ended::Failed | Ended::Unknown, _) => {}
        }
        None
    }

    /// Whether calls are refused at this moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Circuit {
        let circuit = Circuit::new(3, 1000);
        for last in [None, None, Some(true)] {
            assert_eq!(circuit.enter(10), Ok(Pass::Usual));
            assert_eq!(circuit.ended(Pass::Usual, Ended::Failed, 10), last);
        }
        circuit
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_call_tries_it() {
        let circuit = opened();
        assert_eq!((circuit.enter(11), circuit.enter(1009)), (Err(999), Err(1)));
        assert_eq!((circuit.enter(1010), circuit.enter(1011)), (Ok(Pass::Trial), Err(999)), "one, and no other");
        assert_eq!(circuit.ended(Pass::Trial, Ended::Failed, 1020), None);
        assert_eq!(circuit.enter(1021), Err(1999), "twice as long");
        assert_eq!(circuit.enter(3020), Ok(Pass::Trial));
        assert_eq!(circuit.ended(Pass::Trial, Ended::Answered, 3021), Some(false));
        assert!(!circuit.is_open());
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let circuit = Circuit::new(2, 1000);
        for how in [Ended::Failed, Ended::Answered, Ended::Failed, Ended::Unknown] {
            assert_eq!(circuit.ended(Pass::Usual, how, 0), None);
        }
        assert!(!circuit.is_open());
    }

    #[test]
    fn a_trial_that_was_given_up_is_followed_by_another() {
        let circuit = opened();
        assert_eq!(circuit.enter(1010), Ok(Pass::Trial));
        circuit.ended(Pass::Trial, Ended::Unknown, 1011);
        assert_eq!(circuit.enter(1012), Ok(Pass::Trial));
    }

    #[test]
    fn a_clock_that_went_back_does_not_keep_it_open() {
        let circuit = opened();
        assert_eq!(circuit.enter(5), Ok(Pass::Trial));
    }
}
