//! A stream of a session that can be resumed: what was said is kept for a while, under event ids
//! (2025-11-25, transports, resumability).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_monitor::wire::sse::{self, Event};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::session::Interim;
use crate::upstream::Pulse;

/// How many events are kept.
const MAX_EVENTS: usize = 256;
/// How many bytes of events are kept.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// How many milliseconds a client waits before it resumes, when the server did not say.
const RETRY_MS: u64 = 500;

/// One stream.
#[derive(Debug)]
pub(super) struct Tape {
    number: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    delivered: u64,
    events: VecDeque<(u64, Bytes)>,
    bytes: usize,
    ended: bool,
    reader: Option<mpsc::Sender<Bytes>>,
}

impl Tape {
    /// An empty tape.
    pub(super) fn new(number: u64) -> Self {
        Self { number, inner: Mutex::default() }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whole after every statement that can panic; a poisoned tape plays on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is said before an answer.
    pub(super) fn record(&self, item: Interim) {
        match item {
            Interim::Message(message) | Interim::Ask(_, message) => self.push(message),
            Interim::Pulse(Pulse::Primed { retry_ms }) => self.prime(retry_ms),
            Interim::Pulse(Pulse::HungUp) => self.hang_up(),
        }
    }

    /// Adds a message.
    pub(super) fn push(&self, data: Bytes) {
        self.add(Event { data, ..Event::default() });
    }

    /// Adds a priming event: an id to resume from before anything is said.
    fn prime(&self, retry_ms: Option<u64>) {
        self.add(Event { retry_ms: retry_ms.or(Some(RETRY_MS)), ..Event::default() });
    }

    fn add(&self, mut event: Event) {
        let mut inner = self.inner();
        inner.count = inner.count.saturating_add(1);
        let count = inner.count;
        event.id = Some(format!("{}-{count}", self.number));
        let encoded = sse::encode(&event);
        inner.bytes = inner.bytes.saturating_add(encoded.len());
        inner.events.push_back((count, encoded.clone()));
        while inner.events.len() > MAX_EVENTS || inner.bytes > MAX_BYTES {
            let Some((_, gone)) = inner.events.pop_front() else { break };
            inner.bytes = inner.bytes.saturating_sub(gone.len());
        }
        inner.play(count, encoded);
    }

    /// Whether somebody reads it.
    pub(super) fn is_read(&self) -> bool {
        self.inner().reader.as_ref().is_some_and(|reader| !reader.is_closed())
    }

    /// Lets the reader go; it will come back with the last id that it has seen.
    fn hang_up(&self) {
        self.inner().reader = None;
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        let mut inner = self.inner();
        inner.ended = true;
        inner.reader = None;
    }

    /// Plays from after an event, or from what nobody has heard yet. The newest reader is the one.
    pub(super) fn attach(&self, after: Option<u64>) -> mpsc::Receiver<Bytes> {
        let mut inner = self.inner();
        let after = after.unwrap_or(inner.delivered);
        let missed: Vec<_> = inner.events.iter().filter(|(count, _)| *count > after).cloned().collect();
        let (sender, receiver) = mpsc::channel(MAX_EVENTS.saturating_mul(2));
        inner.reader = Some(sender);
        for (count, encoded) in missed {
            inner.play(count, encoded);
        }
        if inner.ended {
            inner.reader = None;
        }
        receiver
    }
}

impl Inner {
    /// A reader that does not keep up is let go: it can resume.
    fn play(&mut self, count: u64, encoded: Bytes) {
        if let Some(reader) = &self.reader {
            if reader.try_send(encoded).is_ok() {
                self.delivered = self.delivered.max(count);
            } else {
                self.reader = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(receiver: &mut mpsc::Receiver<Bytes>) -> String {
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    #[test]
    fn what_was_missed_is_played_again() {
        let tape = Tape::new(3);
        tape.prime(Some(10));
        let mut first = tape.attach(None);
        assert_eq!(drain(&mut first), "id: 3-1\nretry: 10\ndata: \n\n");
        tape.hang_up();
        tape.push(Bytes::from_static(b"{}"));
        tape.end();
        assert_eq!(drain(&mut tape.attach(Some(1))), "id: 3-2\ndata: {}\n\n");
        assert_eq!(drain(&mut tape.attach(None)), "");
    }

    #[test]
    fn a_tape_is_bounded() {
        let tape = Tape::new(1);
        (0..1000).for_each(|_| tape.push(Bytes::from_static(b"{}")));
        assert_eq!(tape.inner().events.len(), MAX_EVENTS);
    }
}
