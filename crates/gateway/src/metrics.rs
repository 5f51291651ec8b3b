//! How much happens, in numbers that a monitoring system reads.
//!
//! Counting costs a call a few additions: everything that is counted has its place before the first call comes, so
//! nothing is locked, looked for in a shared map or allocated on the way. What has a label is bounded by the
//! configuration and by the closed lists of effects, outcomes, grades and reasons. No label holds a principal, a tool,
//! an argument, or anything else that somebody outside could have written.

mod encode;
mod listen;
mod tally;

pub use listen::{Bound, bind};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bartizan_monitor::case::{Effect, ReplyForm};
use bartizan_monitor::reason::gateway::{CONFIRM_EXPIRED, CONFIRM_REFUSED};
use bartizan_monitor::reason::{Class, Reason, Refusal};
use bartizan_monitor::stages::{Released, ReleasedKind};

use crate::review::grade::Grade;
use crate::upstream::Health;
use tally::{Durations, Tally};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a result.
    Answered,
    /// With an error of the server.
    Error,
    /// The gateway said no.
    Refused,
    /// The server did not answer, or not in time.
    Failed,
    /// Nobody waited for it any more.
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Answered, Self::Error, Self::Refused, Self::Failed, Self::Abandoned];

    /// Its name in metrics and spans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// What a refusal means for a call.
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        match reason.class() {
            Class::Upstream | Class::Timeout | Class::Fault => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// How a call ended that led to this.
    #[must_use]
    pub fn told(outcome: &Result<Option<Released>, Refusal>) -> Self {
        match outcome {
            Ok(Some(released)) if released.kind() != ReleasedKind::Reply(ReplyForm::Result) => Self::Error,
            Ok(_) => Self::Answered,
            Err(refusal) => Self::of(refusal.reason),
        }
    }
}

/// How a call that waited for a person was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Somebody agreed.
    Granted,
    /// Somebody said no.
    Refused,
    /// Nobody answered in time.
    Expired,
    /// Somebody answered, and it did not count.
    Void,
    /// The call ended before.
    Withdrawn,
}

impl Answered {
    const ALL: [Self; 5] = [Self::Granted, Self::Refused, Self::Expired, Self::Void, Self::Withdrawn];

    const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Void => "void",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// What a refusal means for a question.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.reason {
            reason if reason == CONFIRM_REFUSED => Self::Refused,
            reason if reason == CONFIRM_EXPIRED => Self::Expired,
            reason if reason.area() == "confirm" => Self::Void,
            _ => Self::Withdrawn,
        }
    }
}

const EFFECTS: [Effect; 3] = [Effect::Read, Effect::Write, Effect::Destructive];

/// How a definition drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drifted {
    /// It is another one than was reviewed, by so much.
    Changed(Grade),
    /// It is gone.
    Removed,
}

impl Drifted {
    const ALL: [Self; 5] = [
        Self::Changed(Grade::Cosmetic),
        Self::Changed(Grade::Narrowing),
        Self::Changed(Grade::Widening),
        Self::Changed(Grade::Steering),
        Self::Removed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Changed(grade) => grade.name(),
            Self::Removed => "removed",
        }
    }
}

/// What is counted of one server.
#[derive(Debug, Default)]
struct Counts {
    calls: Tally<{ EFFECTS.len() * Outcome::ALL.len() }>,
    waits: Durations,
    drifted: Tally<{ Drifted::ALL.len() }>,
    found: Tally<{ Drifted::ALL.len() }>,
}

/// What is not counted but looked at, when somebody reads the numbers.
#[derive(Debug, Clone, Default)]
pub struct Level {
    /// Each server.
    pub servers: Vec<Standing>,
    /// Open sessions.
    pub sessions: usize,
    /// Open streams.
    pub streams: usize,
    /// Running calls.
    pub calls: usize,
    /// Lines in this process's journal.
    pub journal_lines: u64,
    /// Its bytes.
    pub journal_bytes: u64,
}

/// How a server is.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its name.
    pub server: Arc<str>,
    /// What was seen of it.
    pub health: Health,
    /// How it was confined when it was started last: `native`, `landlock`, `none`. Nothing before that.
    pub confined: Option<&'static str>,
}

/// All counts.
#[derive(Debug)]
pub struct Metrics {
    servers: BTreeMap<Arc<str>, Counts>,
    refusals: BTreeMap<&'static str, AtomicU64>,
    held: Tally<{ EFFECTS.len() }>,
    answered: Tally<{ Answered::ALL.len() }>,
    answers: Durations,
}

impl Metrics {
    /// Counts for these servers.
    #[must_use]
    pub fn new<'s>(servers: impl IntoIterator<Item = &'s Arc<str>>) -> Arc<Self> {
        let servers = servers.into_iter().map(|name| (name.clone(), Counts::default())).collect();
        let refusals = bartizan_monitor::reasons().map(|reason| (reason.code(), AtomicU64::new(0))).collect();
        Arc::new(Self { servers, refusals, held: Tally::default(), answered: Tally::default(), answers: Durations::default() })
    }

    /// A call that begins. It is counted when it is dropped, whatever becomes of it, if it concerns a server.
    #[must_use]
    pub const fn call(&self) -> Call<'_> {
        Call { metrics: self, at: None, outcome: Outcome::Abandoned }
    }

    /// A refusal, of a call or of what did not become one.
    pub fn refused(&self, reason: Reason) {
        if let Some(count) = self.refusals.get(reason.code()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call that a person is asked about.
    pub fn held(&self, effect: Effect) {
        EFFECTS.iter().position(|one| *one == effect).into_iter().for_each(|at| self.held.add(at));
    }

    /// How a question was answered, and after how many milliseconds.
    pub fn confirmed(&self, answered: Answered, waited_ms: u64) {
        Answered::ALL.iter().position(|one| *one == answered).into_iter().for_each(|at| self.answered.add(at));
        if matches!(answered, Answered::Granted | Answered::Refused) {
            self.answers.add(Duration::from_millis(waited_ms));
        }
    }

    /// How long a server took to answer.
    pub fn waited(&self, server: &str, time: Duration) {
        if let Some(counts) = self.servers.get(server) {
            counts.waits.add(time);
        }
    }

    /// What of a server is not as it was reviewed, as of now.
    pub fn drifted(&self, server: &str, items: impl IntoIterator<Item = Drifted>) {
        let Some(counts) = self.servers.get(server) else { return };
        let mut now = [0_u64; Drifted::ALL.len()];
        for item in items {
            let place = Drifted::ALL.iter().position(|one| *one == item).and_then(|at| now.get_mut(at));
            place.into_iter().for_each(|count| *count = count.saturating_add(1));
        }
        counts.drifted.set(now);
    }

    /// Drift that was not known before.
    pub fn found(&self, server: &str, item: Drifted) {
        if let (Some(counts), Some(at)) = (self.servers.get(server), Drifted::ALL.iter().position(|one| *one == item)) {
            counts.found.add(at);
        }
    }
}

/// A call on its way.
#[derive(Debug)]
pub struct Call<'m> {
    metrics: &'m Metrics,
    at: Option<(&'m Counts, Effect)>,
    outcome: Outcome,
}

impl Call<'_> {
    /// It goes to this server, and can do this.
    pub fn concerns(&mut self, server: &str, effect: Effect) {
        self.at = self.metrics.servers.get(server).map(|counts| (counts, effect));
    }

    /// It has ended, and so.
    pub fn ended(mut self, outcome: &Result<Option<Released>, Refusal>) {
        if let Err(refusal) = outcome {
            self.metrics.refused(refusal.reason);
        }
        self.outcome = Outcome::told(outcome);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some((counts, effect)) = self.at
            && let Some(at) = place(effect, self.outcome)
        {
            counts.calls.add(at);
        }
    }
}

fn place(effect: Effect, outcome: Outcome) -> Option<usize> {
    let row = EFFECTS.iter().position(|one| *one == effect)?;
    let column = Outcome::ALL.iter().position(|one| *one == outcome)?;
    row.checked_mul(Outcome::ALL.len())?.checked_add(column)
}

#[cfg(test)]
mod tests;
