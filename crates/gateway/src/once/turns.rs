//! Who waits for which call: one at a time, in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_monitor::wire::canonical::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shared::Asked;

/// Those who wait, by the key of what they wait for.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Digest, Weak<Semaphore>>>);

impl Turns {
    pub(super) fn of(&self, key: Digest) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() > 1024 {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        if let Some(known) = turns.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(Semaphore::new(1));
        turns.insert(key, Arc::downgrade(&fresh));
        fresh
    }
}

/// A turn to make a call that others wait to make, too. It lasts until it is dropped, and so does what was asked for the
/// call where several gateways remember together.
#[derive(Debug)]
pub struct Turn {
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) asked: Option<Arc<Asked>>,
}

impl Turn {
    /// Whether it came before the wait was over.
    #[must_use]
    pub const fn came(&self) -> bool {
        self.permit.is_some()
    }

    /// Whether others were asked for the call.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.asked.is_some()
    }
}
