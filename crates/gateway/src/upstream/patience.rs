//! How much a server may say of its own accord before it is not heard any more.
//!
//! Threat: a server that talks without end (log messages, progress, pings, questions) costs the gateway time, memory
//! and records, and its client attention. What is too much is dropped and counted; a server that goes on asking is
//! cut off.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_monitor::wire::envelope::{Id, Message, Outcome};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;
use tokio::sync::Semaphore;

use super::{Link, Pipe};
use crate::clock::{Stopwatch, millis};

/// How many messages of one link may fit nothing before the server is cut off. Each is recorded, and
/// a server must not be able to fill the disk.
const MAX_OFFENCES: u32 = 1000;
/// How many answers of the gateway's own may wait for one server to take them.
const MAX_ANSWERS: usize = 32;
/// Notifications at once, and per second: more than any progress bar shows.
const NOTICES: (u64, u64) = (1000, 200);
/// Requests at once, and per second: more than any person or model answers.
const QUESTIONS: (u64, u64) = (100, 10);

/// So many bytes weigh as much as another message: what waits for a slow client is bounded in bytes, too.
const HEAVY: usize = 16 * 1024;

/// What one link is allowed.
#[derive(Debug)]
pub(super) struct Patience {
    offences: AtomicU32,
    notices: Bucket,
    questions: Bucket,
    answers: Arc<Semaphore>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            offences: AtomicU32::new(0),
            notices: Bucket::new(NOTICES),
            questions: Bucket::new(QUESTIONS),
            answers: Arc::new(Semaphore::new(MAX_ANSWERS)),
        }
    }
}

/// Whether lists changed, which is heard always: it is told to nobody more often than they look, and what is judged
/// is judged by what is offered now.
const fn is_coalesced(method: Method) -> bool {
    matches!(method, Method::ToolsChanged | Method::PromptsChanged | Method::ResourcesChanged)
}

impl Link {
    /// Counts a message that fits nothing or was refused; false when there were too many, which ends
    /// the conversation.
    pub fn tolerates(&self) -> bool {
        let before = self.patience.offences.fetch_add(1, Ordering::Relaxed);
        if before == MAX_OFFENCES {
            tracing::warn!(server = %self.server.name(), "a server that does not stop saying what it may not say is cut off");
        }
        if before >= MAX_OFFENCES {
            match &self.pipe {
                Pipe::Stdio(pipe) => pipe.cut(),
                Pipe::Http(pipe) => pipe.cut(),
            }
        }
        before < MAX_OFFENCES
    }

    /// Whether a message of the server is heard, or is one too many.
    pub(super) fn admits(self: &Arc<Self>, message: &Message) -> bool {
        let (bucket, what, params) = match message {
            Message::Response { .. } => return true,
            Message::Notification { method, .. } if is_coalesced(*method) => return true,
            Message::Notification { params, .. } => (&self.patience.notices, "notifications", params),
            Message::Request { params, .. } => (&self.patience.questions, "requests", params),
        };
        let (passes, told) = bucket.take(weight(params.as_ref()));
        match told {
            Some(Told::Begins) => tracing::warn!(server = %self.server.name(), "too many {what} at once: more of them are dropped"),
            Some(Told::Ends(count)) => tracing::warn!(server = %self.server.name(), count, "so many {what} were dropped"),
            None => {}
        }
        if let (false, Message::Request { id, .. }) = (passes, message)
            && self.tolerates()
        {
            self.refuse_soon(id, "too many requests at once");
        }
        passes
    }

    /// Answers a request of the server without holding up anybody. A server that does not take its answers gets no
    /// more of them.
    pub fn answer_soon(self: &Arc<Self>, id: &Id, outcome: Outcome) {
        let Ok(place) = self.patience.answers.clone().try_acquire_owned() else {
            self.tolerates();
            return;
        };
        let (link, answer) = (self.clone(), Message::Response { id: id.clone(), outcome });
        tokio::spawn(async move {
            // Best effort by nature: a server that does not listen is not told.
            let _ = link.pass(&answer).await;
            drop(place);
        });
    }

    /// Answers a request of the server with a refusal, the same way.
    pub fn refuse_soon(self: &Arc<Self>, id: &Id, why: &str) {
        self.answer_soon(id, refused(why));
    }

    /// Answers a request of the server with a refusal, and waits until it is said.
    pub async fn refuse(&self, id: &Id, why: &str) {
        // A server that is gone needs no answer.
        let _ = self.pass(&Message::Response { id: id.clone(), outcome: refused(why) }).await;
    }
}

/// In thousandths of a message.
fn weight(params: Option<&Json>) -> u64 {
    let more = params.map_or(0, |params| params.bytes().len()) / HEAVY;
    u64::try_from(more).unwrap_or(u64::MAX).saturating_add(1).saturating_mul(1000)
}

fn refused(why: &str) -> Outcome {
    let message = Json::string(&format!("refused by the gateway: {why}"));
    Outcome::Error(Json::object([("code", Json::of(&-32600)), ("message", message)]))
}

/// Fills with every message and leaks with time.
#[derive(Debug)]
struct Bucket {
    /// How many fit.
    size: u64,
    /// How many leak in a second.
    rate: u64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// In thousandths of a message.
    filled: u64,
    since: Stopwatch,
    dropped: u64,
}

/// What is said of a flood: when it begins, and how large it was when it is over.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Begins,
    Ends(u64),
}

impl Bucket {
    fn new((size, rate): (u64, u64)) -> Self {
        Self { size, rate, level: Mutex::new(Level { filled: 0, since: Stopwatch::start(), dropped: 0 }) }
    }

    fn take(&self, weight: u64) -> (bool, Option<Told>) {
        // Three numbers are whole whatever panics elsewhere.
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = level.since.elapsed();
        // Less than a millisecond leaks nothing, and must not be forgotten either.
        if elapsed >= Duration::from_millis(1) {
            level.since = Stopwatch::start();
        }
        self.fill(&mut level, millis(elapsed), weight)
    }

    fn fill(&self, level: &mut Level, elapsed_ms: u64, weight: u64) -> (bool, Option<Told>) {
        level.filled = level.filled.saturating_sub(elapsed_ms.saturating_mul(self.rate));
        let size = self.size.saturating_mul(1000);
        // A flood is over when half of the bucket is free again: the log has two lines for one, not for every drop.
        let over = level.dropped > 0 && level.filled.saturating_mul(2) <= size;
        let ended = over.then(|| Told::Ends(std::mem::take(&mut level.dropped)));
        if level.filled.saturating_add(weight) > size {
            level.dropped = level.dropped.saturating_add(1);
            return (false, (level.dropped == 1).then_some(Told::Begins));
        }
        level.filled = level.filled.saturating_add(weight);
        (true, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_rate_and_told_twice() {
        let bucket = Bucket::new((10, 4));
        let mut level = Level { filled: 0, since: Stopwatch::start(), dropped: 0 };
        let taken: Vec<_> = (0..100).map(|_| bucket.fill(&mut level, 0, 1000)).collect();
        assert_eq!(taken.iter().filter(|(passes, _)| *passes).count(), 10);
        assert_eq!(taken.iter().filter_map(|(_, told)| told.as_ref()).collect::<Vec<_>>(), [&Told::Begins]);
        // One second later there is room for four, which is not yet the end of the flood.
        let taken: Vec<_> = (0..10).map(|at| bucket.fill(&mut level, if at == 0 { 1000 } else { 0 }, 1000)).collect();
        assert_eq!(taken.iter().filter(|(passes, _)| *passes).count(), 4);
        assert_eq!(bucket.fill(&mut level, 10_000, 1000), (true, Some(Told::Ends(96))));
        assert_eq!(bucket.fill(&mut level, 0, 1000), (true, None));
    }
}
