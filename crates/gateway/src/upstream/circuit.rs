//! The circuit breaker of a server: one that cannot be reached again and again is left alone for a while.
//!
//! Only what says that the server is not there counts: it cannot be reached, or does not answer in time. What
//! it answers, an error too, says that it is there.

use std::time::Duration;

use bartizan_meter::{Circuit, Ended, Pass};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{UPSTREAM_CIRCUIT, UPSTREAM_INVALID, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE};

use super::Server;
use crate::clock::Stopwatch;
use crate::config::Limits;

/// The circuit and its clock.
#[derive(Debug)]
pub(super) struct Breaker {
    circuit: Circuit,
    since: Stopwatch,
}

impl Breaker {
    pub(super) fn new(limits: &Limits) -> Self {
        let pause_us = |pause: Duration| u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        Self { circuit: Circuit::new(limits.circuit_failures, pause_us(limits.circuit_pause)), since: Stopwatch::start() }
    }
}

/// One attempt to use a server. One that is dropped says nothing about it.
pub(super) struct Attempt<'s> {
    server: &'s Server,
    pass: Option<Pass>,
}

impl Server {
    /// Leave to try the server.
    pub(super) fn attempt(&self) -> Result<Attempt<'_>, Refusal> {
        let Breaker { circuit, since } = &self.circuit;
        let waits = |wait_us: u64| Refusal::new(UPSTREAM_CIRCUIT, self.name().to_string()).retry_after(wait_us.div_ceil(1000));
        circuit.enter(since.elapsed_us()).map(|pass| Attempt { server: self, pass: Some(pass) }).map_err(waits)
    }

    /// Whether the server is left alone at this moment.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        self.circuit.circuit.is_open()
    }
}

impl Attempt<'_> {
    /// How it ended.
    pub(super) fn ended(mut self, why: Option<&Refusal>) {
        let how = match why.map(|refusal| refusal.reason) {
            None => Ended::Answered,
            Some(reason) if [UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT].contains(&reason) => Ended::Failed,
            Some(reason) if reason == UPSTREAM_INVALID => Ended::Answered,
            // Given up, stopped, or refused before anything was sent.
            Some(_) => Ended::Unknown,
        };
        self.tell(how);
    }

    fn tell(&mut self, how: Ended) {
        let Some(pass) = self.pass.take() else { return };
        let Breaker { circuit, since } = &self.server.circuit;
        match circuit.ended(pass, how, since.elapsed_us()) {
            Some(true) => tracing::warn!(server = %self.server.name(), "the server failed again and again: it is left alone for a while"),
            Some(false) => tracing::info!(server = %self.server.name(), "the server answers again"),
            None => {}
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.tell(Ended::Unknown);
    }
}
