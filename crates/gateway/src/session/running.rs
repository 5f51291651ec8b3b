//! Requests that run.

use std::sync::Arc;

use bartizan_monitor::wire::json::{Json, View};
use tokio_util::sync::CancellationToken;

use super::{Talk, held};

/// Under what a request of this id is known while it runs.
pub(super) fn running_key(id: View<'_>) -> String {
    bartizan_monitor::wire::canonical::text(&Json::of(&id.to_value()))
}

/// A request that is running; it ends by being dropped.
#[derive(Debug)]
pub struct Running {
    pub(super) talk: Arc<Talk>,
    pub(super) key: String,
    /// Cancelled when the client cancels.
    pub cancel: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        held(&self.talk.running).remove(&self.key);
        self.talk.touch();
    }
}
