//! What somebody has read: labels of content, kept for whom it was released to, in a file of the state directory.
//!
//! Threat: a client that reads in one session, at one endpoint, with one token or before a restart, and sends in
//! another, where nothing is known of it. So labels belong to the principal (to the label of a gateway's token, which
//! stays when it is rotated), at all endpoints and in all sessions of all gateways over a state directory. They go after
//! a time, or when a person clears them, and by nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::{Caller, Labels};
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use crate::clock::{self, Stopwatch};
use crate::config::files::{self, Mark};
use crate::config::watch::{Seen, Watch};

const FILE: &str = "labels.json";
const LOCK: &str = "labels.lock";
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// How long to wait for another gateway that writes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many principals are remembered. The one that has read nothing new for longest makes room.
const MAX_PRINCIPALS: usize = 10_000;
/// A label that is set again is written down again when this part of its life has passed.
const REFRESH: u64 = 100;

/// When a label was last set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// Milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<u64>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrusted: Option<u64>,
}

impl Times {
    /// The labels that hold.
    #[must_use]
    pub fn labels(self, now_ms: u64, kept_ms: u64) -> Labels {
        let holds = |at: Option<u64>| at.is_some_and(|at| now_ms.saturating_sub(at) < kept_ms);
        Labels { private: holds(self.private), untrusted: holds(self.untrusted) }
    }

    fn last(self) -> Option<u64> {
        self.private.max(self.untrusted)
    }

    fn set(&mut self, labels: Labels, now_ms: u64) {
        self.private = self.private.max(labels.private.then_some(now_ms));
        self.untrusted = self.untrusted.max(labels.untrusted.then_some(now_ms));
    }
}

/// By client.
pub type All = BTreeMap<String, Times>;

/// What each client has read.
#[derive(Debug)]
pub struct Read {
    state: PathBuf,
    kept_ms: u64,
    file: Watch<Option<Arc<All>>>,
    /// What could not be written down.
    unwritten: Mutex<All>,
}

fn key(caller: &Caller) -> String {
    caller.label().map_or_else(|| caller.principal().to_string(), |label| format!("token:{label}"))
}

impl Read {
    /// What was read before, over a state directory.
    #[must_use]
    pub fn open(state: &Path, kept: Duration) -> Self {
        let file = Watch::open(state.join(FILE), look);
        Self { state: state.to_owned(), kept_ms: clock::millis(kept), file, unwritten: Mutex::default() }
    }

    /// What a caller has read, for a message that came a while ago.
    #[must_use]
    pub fn labels(&self, caller: &Caller, arrived: Option<Stopwatch>) -> Labels {
        let seen = arrived.map_or_else(|| self.file.now(), |arrived| self.file.since(arrived));
        let now_ms = clock::now_ms();
        // Nobody knows what was read, so it may have been anything.
        let Some(all) = &seen.1 else { return Labels { private: true, untrusted: true } };
        let key = key(caller);
        let known = |all: &All| all.get(&key).map(|times| times.labels(now_ms, self.kept_ms)).unwrap_or_default();
        known(all).and(known(&self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes what is released to a caller. Before it reads it: whatever follows from it comes later.
    pub fn add(&self, caller: &Caller, labels: Labels) {
        if labels == Labels::default() {
            return;
        }
        let (key, now_ms, seen) = (key(caller), clock::now_ms(), self.file.now());
        // Set a moment ago, or a moment ahead of a clock that was set back: it need not be said again.
        let fresh = seen.1.as_ref().and_then(|all| all.get(&key)).map(|times| times.labels(now_ms, self.kept_ms / REFRESH));
        if fresh.is_some_and(|fresh| fresh.and(labels) == fresh) {
            return;
        }
        let written = change(&self.state, |all| {
            if all.len() >= MAX_PRINCIPALS && !all.contains_key(&key) {
                all.retain(|_, times| times.labels(now_ms, self.kept_ms) != Labels::default());
                let oldest = all.iter().min_by_key(|(_, times)| times.last()).map(|(key, _)| key.clone());
                oldest.filter(|_| all.len() >= MAX_PRINCIPALS).and_then(|oldest| all.remove(&oldest));
            }
            all.entry(key.clone()).or_default().set(labels, now_ms);
            true
        });
        if let Err(error) = written {
            tracing::error!(%error, "what a client has read cannot be written down: after a restart nobody knows it");
            self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().set(labels, now_ms);
        }
    }
}

/// What cannot be read is not known.
fn look(path: &Path, before: Option<&Seen<Option<Arc<All>>>>) -> Seen<Option<Arc<All>>> {
    let mark = Mark::of(path);
    match read(path) {
        Ok(all) => (Some(mark), Some(Arc::new(all))),
        Err(error) => {
            if before.is_none_or(|before| before.0.is_some()) {
                tracing::error!(%error, "what clients have read cannot be read: it may have been anything, until it is mended");
            }
            (None, None)
        }
    }
}

fn read(path: &Path) -> io::Result<All> {
    if Mark::of(path) == Mark::Missing {
        return Ok(All::new());
    }
    let bad = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let text = files::read(path, MAX_FILE).map_err(|error| bad(&error))?;
    let json = Json::parse(Bytes::from(text)).map_err(|error| bad(&error))?;
    serde_json::from_value(json.view().to_value()).map_err(|error| bad(&error))
}

/// Changes the file, while no other gateway does.
fn change(state: &Path, change: impl FnOnce(&mut All) -> bool) -> io::Result<bool> {
    files::private_directory(state)?;
    let _held = files::hold_within(&state.join(LOCK), PATIENCE)?;
    let path = state.join(FILE);
    let mut all = read(&path)?;
    let changed = change(&mut all);
    if changed {
        files::replace(&path, Json::of(&all).bytes(), files::Readers::Owner)?;
    }
    Ok(changed)
}

/// What clients have read, over a state directory.
pub fn list(state: &Path) -> io::Result<All> {
    read(&state.join(FILE))
}

/// Clears the labels of a client, by its name in the list or without what stands before the colon. Returns whether it
/// had any.
pub fn clear(state: &Path, client: &str) -> io::Result<bool> {
    change(state, |all| {
        let before = all.len();
        all.retain(|key, _| key != client && key.split_once(':').is_none_or(|(_, name)| name != client));
        all.len() < before
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::local_user;

    const PRIVATE: Labels = Labels { private: true, untrusted: false };
    const UNTRUSTED: Labels = Labels { private: false, untrusted: true };
    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn labels_add_up_and_each_goes_some_time_after_it_was_last_set() {
        let mut times = Times::default();
        times.set(PRIVATE, 1000);
        times.set(UNTRUSTED, 2000);
        assert_eq!(times.labels(3000, DAY_MS), PRIVATE.and(UNTRUSTED));
        assert_eq!(times.labels(1000 + DAY_MS, DAY_MS), UNTRUSTED);
        times.set(UNTRUSTED, 1000 + DAY_MS);
        assert_eq!(times.labels(2000 + DAY_MS, DAY_MS), UNTRUSTED);
        assert_eq!(times.labels(1000 + 2 * DAY_MS, DAY_MS), Labels::default());
        // A clock that was set back washes nothing.
        assert_eq!(times.labels(0, DAY_MS), PRIVATE.and(UNTRUSTED));
    }

    #[test]
    fn labels_survive_a_restart_and_go_when_a_person_clears_them() {
        let directory = tempfile::tempdir().expect("dir");
        let (state, ann) = (directory.path().join("state"), local_user());
        let one = Read::open(&state, DAY);
        assert_eq!(one.labels(&ann, None), Labels::default());
        one.add(&ann, PRIVATE);
        one.add(&ann, UNTRUSTED);
        one.add(&ann, Labels::default());
        let before = Mark::of(&state.join(FILE));
        one.add(&ann, UNTRUSTED);
        assert_eq!(Mark::of(&state.join(FILE)), before, "what was said a moment ago is not said again");
        let next = Read::open(&state, DAY);
        assert_eq!((one.labels(&ann, None), next.labels(&ann, None)), (PRIVATE.and(UNTRUSTED), PRIVATE.and(UNTRUSTED)));
        let name = list(&state).expect("read").keys().next().cloned().expect("one");
        assert!(!clear(&state, "nobody").expect("read") && clear(&state, &name).expect("written"));
        assert_eq!((one.labels(&ann, None), next.labels(&ann, None)), (Labels::default(), Labels::default()));
    }

    #[test]
    fn what_cannot_be_read_may_have_been_anything() {
        let directory = tempfile::tempdir().expect("dir");
        let (state, ann) = (directory.path().join("state"), local_user());
        let read = Read::open(&state, DAY);
        read.add(&ann, PRIVATE);
        files::replace(&state.join(FILE), b"{\"local\":", files::Readers::Owner).expect("written");
        assert_eq!(read.labels(&ann, None), PRIVATE.and(UNTRUSTED));
        read.add(&ann, UNTRUSTED);
        files::replace(&state.join(FILE), b"{}", files::Readers::Owner).expect("written");
        assert_eq!(read.labels(&ann, None), UNTRUSTED, "what could not be written down is not forgotten");
    }

    #[test]
    fn who_has_read_nothing_new_for_longest_makes_room() {
        let directory = tempfile::tempdir().expect("dir");
        let state = directory.path().join("state");
        let now_ms = clock::now_ms();
        let crowd = |all: &mut All| {
            all.extend((0..MAX_PRINCIPALS as u64).map(|at| (format!("p{at}"), Times { private: Some(now_ms + at), untrusted: None })));
            true
        };
        change(&state, crowd).expect("written");
        Read::open(&state, DAY).add(&local_user(), PRIVATE);
        let kept = list(&state).expect("read");
        assert_eq!((kept.len(), kept.contains_key("p0"), kept.contains_key("p1")), (MAX_PRINCIPALS, false, true));
    }
}
