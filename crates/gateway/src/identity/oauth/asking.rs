//! Questions about opaque tokens while they are open. Anybody can cause one without being anybody, so they
//! leave nothing behind when nobody waits any more, and those about strangers keep nobody else from asking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::known::Print;
use super::{held, unavailable};

/// How many questions about tokens that were good before may be open at once.
const MOST_KNOWN: usize = 24;
/// How many about tokens that were never seen.
const MOST_STRANGE: usize = 8;
/// How long to wait for a place: longer, and the client has given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a token is to the gateway, which decides whose places its question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was good before, and somebody may depend on it.
    Known,
    /// It may be anything: making one up costs nothing.
    Strange,
}

/// The questions that are open, and the places for more.
#[derive(Debug)]
pub(super) struct Questions {
    open: Mutex<HashMap<Print, Open>>,
    known: Semaphore,
    strange: Semaphore,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Open {
    gate: Arc<tokio::sync::Mutex<()>>,
    /// How many turns there are: counted here and not by the `Arc`, so that the last one always knows it is.
    turns: usize,
}

/// Somebody's part in a question about a token. Dropping it is enough to leave, whether an answer came or the
/// client went away.
#[derive(Debug)]
pub(super) struct Turn<'q> {
    questions: &'q Questions,
    print: Print,
    /// Whoever holds it asks.
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Questions {
    fn default() -> Self {
        Self { open: Mutex::default(), known: Semaphore::new(MOST_KNOWN), strange: Semaphore::new(MOST_STRANGE), patience: PATIENCE }
    }
}

impl Questions {
    /// Joins those who wait for an answer about this token.
    pub(super) fn join(&self, print: Print) -> Turn<'_> {
        let mut open = held(&self.open);
        let one = open.entry(print).or_default();
        one.turns = one.turns.saturating_add(1);
        Turn { questions: self, print, gate: one.gate.clone() }
    }

    /// Whether somebody waits for an answer about this token.
    pub(super) fn is_open(&self, print: &Print) -> bool {
        held(&self.open).contains_key(print)
    }

    /// A place for a question. Strangers do not queue: a queue of them would only grow.
    pub(super) async fn place(&self, standing: Standing) -> Result<SemaphorePermit<'_>, Refusal> {
        let full = || unavailable("too many questions about tokens are open");
        match standing {
            Standing::Strange => self.strange.try_acquire().map_err(|_| full()),
            Standing::Known => match tokio::time::timeout(self.patience, self.known.acquire()).await {
                Ok(Ok(place)) => Ok(place),
                Ok(Err(_)) | Err(_) => Err(full()),
            },
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut open = held(&self.questions.open);
        let Some(one) = open.get_mut(&self.print) else { return };
        one.turns = one.turns.saturating_sub(1);
        if one.turns == 0 {
            open.remove(&self.print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_to_leave_closes_the_question() {
        let questions = Questions::default();
        let (first, second) = (questions.join([1; 32]), questions.join([1; 32]));
        assert!(Arc::ptr_eq(&first.gate, &second.gate), "one question for both");
        drop(first);
        assert!(questions.is_open(&[1; 32]) && Arc::ptr_eq(&questions.join([1; 32]).gate, &second.gate));
        drop(second);
        assert!(!questions.is_open(&[1; 32]) && held(&questions.open).is_empty());
    }

    #[tokio::test]
    async fn strangers_do_not_queue_and_nobody_waits_for_ever() {
        let questions = Questions { patience: Duration::from_millis(20), ..Questions::default() };
        let mut strange = Vec::new();
        for _ in 0..MOST_STRANGE {
            strange.push(questions.place(Standing::Strange).await.expect("a place"));
        }
        assert_eq!(questions.place(Standing::Strange).await.expect_err("full").reason.code(), "identity.unavailable");
        let mut known = Vec::new();
        for _ in 0..MOST_KNOWN {
            known.push(questions.place(Standing::Known).await.expect("strangers take none of these"));
        }
        assert_eq!(questions.place(Standing::Known).await.expect_err("full").reason.code(), "identity.unavailable");
        drop((known, strange));
        assert!(questions.place(Standing::Known).await.is_ok() && questions.place(Standing::Strange).await.is_ok());
    }
}
