//! When each token was last used, so that people see which ones nobody needs.
//!
//! Kept apart from the token store: that one says who may come in, and is not written by every call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use super::token::TokenId;
use crate::config::files;

const FILE: &str = "tokens-used.json";
const LOCK: &str = "tokens-used.lock";
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// When tokens were last used, in milliseconds since the Unix epoch.
#[derive(Debug)]
pub struct Used {
    state: PathBuf,
    since: Mutex<BTreeMap<TokenId, u64>>,
}

impl Used {
    /// What is known in a state directory.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { state: state.to_owned(), since: Mutex::default() }
    }

    /// Notes a use.
    pub(super) fn note(&self, id: &TokenId, now_ms: u64) {
        let mut since = self.since();
        match since.get_mut(id) {
            Some(at) => *at = now_ms,
            None => {
                since.insert(id.clone(), now_ms);
            }
        }
    }

    /// Writes down what was noted since the last time. A file that cannot be written costs knowledge,
    /// not safety: it is said in the log, and tried again.
    pub(super) fn write(&self) {
        let fresh = std::mem::take(&mut *self.since());
        if fresh.is_empty() {
            return;
        }
        if let Err(error) = self.merge(&fresh) {
            tracing::warn!(%error, "when tokens were last used cannot be written down");
            let mut since = self.since();
            for (id, at) in fresh {
                since.entry(id).and_modify(|later| *later = at.max(*later)).or_insert(at);
            }
        }
    }

    /// What was written down.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, u64> {
        let text = files::read(&self.state.join(FILE), MAX_FILE).unwrap_or_default();
        let json = Json::parse(Bytes::from(text)).ok();
        json.and_then(|json| serde_json::from_value(json.view().to_value()).ok()).unwrap_or_default()
    }

    fn merge(&self, fresh: &BTreeMap<TokenId, u64>) -> std::io::Result<()> {
        let _held = files::hold(&self.state.join(LOCK))?;
        let mut known = self.read();
        for (id, at) in fresh {
            known.entry(id.to_string()).and_modify(|later| *later = (*at).max(*later)).or_insert(*at);
        }
        files::replace(&self.state.join(FILE), Json::of(&known).bytes(), files::Readers::Owner)
    }

    fn since(&self) -> MutexGuard<'_, BTreeMap<TokenId, u64>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
