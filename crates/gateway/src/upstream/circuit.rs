//! The circuit breaker of a server: one that cannot be reached again and again is left alone for a while.
//!
//! Only what says that the server is not there counts: it cannot be reached, or does not answer in time. What
//! it answers, an error too, says that it is there.
//!
//! Threat: one client chooses calls that hang or crash, and the server is closed to everybody. So what happens to
//! calls counts for the principal whose calls they are, and only a conversation that does not come about counts for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_meter::{Circuit, Ended, Pass};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{UPSTREAM_CIRCUIT, UPSTREAM_INVALID, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE};

use super::Server;
use crate::clock::Stopwatch;
use crate::config::Limits;

/// How many principals there may be whose calls failed, before those are forgotten whose circuit is closed.
const MAX_OWN: usize = 1024;

/// The circuits and their clock.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pause_us: u64,
    /// What failed for everybody: to reach the server.
    shared: Arc<Circuit>,
    /// What failed for one principal: its calls. Who is not there has no failures.
    own: Mutex<HashMap<Arc<str>, Arc<Circuit>>>,
    since: Stopwatch,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trying {
    /// To begin a conversation.
    Opening,
    /// A call in a conversation that came about.
    Call,
}

/// Leave to try, of one circuit.
#[derive(Debug)]
struct Leave {
    circuit: Arc<Circuit>,
    pass: Pass,
}

impl Breaker {
    pub(super) fn new(limits: &Limits) -> Self {
        Self::with(limits.circuit_failures, limits.circuit_pause)
    }

    fn with(failures: u32, pause: Duration) -> Self {
        let pause_us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        Self { failures, pause_us, shared: Arc::new(Circuit::new(failures, pause_us)), own: Mutex::default(), since: Stopwatch::start() }
    }

    /// Whether nobody may try it at this moment.
    pub(super) fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    fn owned(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Circuit>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The circuit of a principal. One that nothing failed for is whole, wherever it is kept.
    fn of(&self, principal: &Arc<str>) -> Arc<Circuit> {
        self.owned().get(principal).cloned().unwrap_or_else(|| Arc::new(Circuit::new(self.failures, self.pause_us)))
    }

    /// Leave of the principal's circuit and of everybody's, or for how many microseconds there is none.
    fn enter(&self, principal: &Arc<str>) -> Result<[Leave; 2], u64> {
        let now_us = self.since.elapsed_us();
        let (own, shared) = (self.of(principal), self.shared.clone());
        let pass = own.enter(now_us)?;
        let own = Leave { circuit: own, pass };
        match shared.enter(now_us) {
            Ok(pass) => Ok([own, Leave { circuit: shared, pass }]),
            Err(wait_us) => {
                own.circuit.ended(own.pass, Ended::Unknown, now_us);
                Err(wait_us)
            }
        }
    }

    /// Learns how a try ended; returns whether that opened or closed the principal's circuit, and everybody's.
    fn ended(&self, principal: &Arc<str>, [own, shared]: [Leave; 2], how: Ended, trying: Trying) -> [Option<bool>; 2] {
        let now_us = self.since.elapsed_us();
        let (for_one, for_all) = match (how, trying) {
            (Ended::Failed, Trying::Call) => (Ended::Failed, Ended::Unknown),
            (Ended::Failed, Trying::Opening) => (Ended::Unknown, Ended::Failed),
            // That it begins a conversation does not say that it answers calls.
            (Ended::Answered, Trying::Opening) => (Ended::Unknown, Ended::Answered),
            (Ended::Answered, Trying::Call) => (Ended::Answered, Ended::Answered),
            (Ended::Unknown, _) => (Ended::Unknown, Ended::Unknown),
        };
        let mut kept = self.owned();
        let own = match for_one {
            Ended::Failed => {
                if kept.len() >= MAX_OWN {
                    kept.retain(|_, circuit| circuit.is_open());
                }
                // Of so many nobody can say who is still there: they are tried again.
                if kept.len() >= MAX_OWN {
                    kept.clear();
                }
                kept.entry(principal.clone()).or_insert(own.circuit).ended(own.pass, for_one, now_us)
            }
            Ended::Answered | Ended::Unknown => own.circuit.ended(own.pass, for_one, now_us),
        };
        if for_one == Ended::Answered {
            kept.remove(principal);
        }
        [own, shared.circuit.ended(shared.pass, for_all, now_us)]
    }
}

/// One attempt to use a server. One that is dropped says nothing about it.
pub(super) struct Attempt<'s> {
    server: &'s Server,
    principal: Arc<str>,
    trying: Trying,
    leave: Option<[Leave; 2]>,
}

impl Server {
    /// Leave for a principal to try the server.
    pub(super) fn attempt(&self, principal: &Arc<str>, trying: Trying) -> Result<Attempt<'_>, Refusal> {
        let waits = |wait_us: u64| Refusal::new(UPSTREAM_CIRCUIT, self.name().to_string()).retry_after(wait_us.div_ceil(1000));
        let leave = self.circuit.enter(principal).map_err(waits)?;
        Ok(Attempt { server: self, principal: principal.clone(), trying, leave: Some(leave) })
    }
}

impl Attempt<'_> {
    /// How it ended.
    pub(super) fn ended(mut self, why: Option<&Refusal>) {
        self.tell(read(why));
    }

    fn tell(&mut self, how: Ended) {
        let Some(leave) = self.leave.take() else { return };
        let (server, principal) = (self.server.name(), &self.principal);
        let [own, shared] = self.server.circuit.ended(principal, leave, how, self.trying);
        match own {
            Some(true) => {
                tracing::warn!(%server, %principal, "calls failed again and again: the server is closed to this client for a while")
            }
            Some(false) => tracing::info!(%server, %principal, "the server answers this client again"),
            None => {}
        }
        match shared {
            Some(true) => tracing::warn!(%server, "the server failed again and again: it is left alone for a while"),
            Some(false) => tracing::info!(%server, "the server answers again"),
            None => {}
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.tell(Ended::Unknown);
    }
}

/// What the end of an attempt says of the server.
fn read(why: Option<&Refusal>) -> Ended {
    match why.map(|refusal| refusal.reason) {
        None => Ended::Answered,
        Some(reason) if [UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT].contains(&reason) => Ended::Failed,
        Some(reason) if reason == UPSTREAM_INVALID => Ended::Answered,
        // Given up, stopped, or refused before anything was sent.
        Some(_) => Ended::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use bartizan_monitor::reason::gateway::{SERVE_BUSY, UPSTREAM_CANCELLED};

    use super::*;

    fn tries(breaker: &Breaker, who: &str, how: Ended, trying: Trying) -> bool {
        let who = Arc::from(who);
        let Ok(leave) = breaker.enter(&who) else { return false };
        breaker.ended(&who, leave, how, trying);
        true
    }

    #[test]
    fn calls_of_one_client_that_fail_close_the_server_to_nobody_else() {
        let breaker = Breaker::with(2, Duration::from_secs(60));
        assert!((0..2).all(|_| tries(&breaker, "rogue", Ended::Failed, Trying::Call)));
        assert!(!tries(&breaker, "rogue", Ended::Answered, Trying::Call), "it is closed to the one whose calls failed");
        assert!((0..9).all(|_| tries(&breaker, "other", Ended::Unknown, Trying::Call)), "and open to others");
    }

    #[test]
    fn a_server_that_nobody_reaches_is_closed_to_all_and_one_that_begins_a_conversation_is_reached() {
        let breaker = Breaker::with(2, Duration::from_secs(60));
        for how in [Ended::Failed, Ended::Answered, Ended::Failed] {
            assert!(tries(&breaker, "one", how, Trying::Opening));
        }
        assert!(tries(&breaker, "two", Ended::Failed, Trying::Opening), "an opening in between started the count again");
        assert!(!tries(&breaker, "three", Ended::Answered, Trying::Opening));
    }

    #[test]
    fn who_answers_again_is_forgotten_and_nothing_grows_without_bound() {
        let breaker = Breaker::with(2, Duration::from_secs(60));
        assert!(tries(&breaker, "one", Ended::Failed, Trying::Call) && breaker.owned().len() == 1);
        assert!(tries(&breaker, "one", Ended::Answered, Trying::Call) && breaker.owned().is_empty());
        assert!((0..6 * MAX_OWN).all(|who| tries(&breaker, &(who / 2).to_string(), Ended::Failed, Trying::Call)));
        assert!(breaker.owned().len() <= MAX_OWN);
    }

    #[test]
    fn what_is_given_up_or_finds_no_room_says_nothing_of_the_server() {
        for (reason, how) in [
            (UPSTREAM_CANCELLED, Ended::Unknown),
            (SERVE_BUSY, Ended::Unknown),
            (UPSTREAM_INVALID, Ended::Answered),
            (UPSTREAM_TIMEOUT, Ended::Failed),
        ] {
            assert_eq!(read(Some(&Refusal::new(reason, ""))), how);
        }
    }
}
