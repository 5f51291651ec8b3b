//! One immutable view of policy and reviewed definitions per call, and how it is renewed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_monitor::catalog::Catalog;
use bartizan_monitor::lock::{Lock, LockError, Pin};
use bartizan_monitor::stages::Monitor;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_schema::Rules;

use crate::config::files::Mark;
use crate::config::{PolicyFiles, RenewError};

/// How often the lock file and the policy are looked at.
const LOOK: Duration = Duration::from_millis(400);

/// What a call is judged by, from its first step to its last.
#[derive(Debug)]
pub struct Snapshot {
    /// The controls.
    pub monitor: Arc<Monitor>,
    /// The reviewed definitions.
    pub catalog: Catalog,
    /// Whether the lock file could be read. When it could not, nothing is approved, and nothing is met for the
    /// first time either.
    pub standing: Standing,
}

/// What is known of the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was read, or there never was one.
    Read,
    /// It was there, and cannot be read any more.
    Lost,
}

/// A lock file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a lock file.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LockError,
    },
}

/// Reads a lock file. One that does not exist approves nothing.
pub fn read_lock(path: &Path) -> Result<Lock, OpenError> {
    #[expect(clippy::disallowed_methods, reason = "the lock file is read here, and only here")]
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(source) => return Err(OpenError::Read { path: path.to_owned(), source }),
    };
    Lock::read_with(&text, enforceable).map_err(|source| OpenError::Format { path: path.to_owned(), source })
}

/// Refuses a rule of the operator's that could never be checked: nothing would pass, and nobody would know why.
fn enforceable(pin: &Pin) -> Result<(), String> {
    let Some(constraint) = &pin.contract.arguments else { return Ok(()) };
    Rules::compile(&constraint.schema.view().to_value()).map(drop).map_err(|why| format!("arguments: {why}"))
}

/// The current snapshot.
#[derive(Debug)]
pub struct Current {
    path: PathBuf,
    separator: String,
    current: ArcSwap<Snapshot>,
    /// The file as it was when it was read: taken before, so that no change in between is missed.
    first: Mark,
    policy: PolicyFiles,
}

/// A file was there and could not be read.
#[derive(Debug, Clone, Copy)]
struct Unread;

/// What was read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewed {
    /// The lock file.
    Lock,
    /// The policy: the digests of all that the controls are made of.
    Policy {
        /// Before.
        old: Digest,
        /// Now.
        new: Digest,
    },
    /// The policy, and it cannot be used: nothing changed.
    Refused(String),
}

/// What is told of a renewal. That a file still cannot be read is told once.
fn tell(renewed: Result<Option<Renewed>, RenewError>, told: &mut String) -> Option<Renewed> {
    let (why, before) = match renewed {
        Ok(renewed) => {
            told.clear();
            return renewed;
        }
        Err(RenewError::Unread(why)) => (why.clone(), std::mem::replace(told, why)),
        Err(RenewError::Unusable(why)) => (why, std::mem::take(told)),
    };
    if before == why {
        return None;
    }
    tracing::error!(%why, "the policy cannot be used: the old one stays in force until it is mended");
    Some(Renewed::Refused(why))
}

impl Current {
    /// Reads the lock file for the first time; nothing starts with one that cannot be used.
    pub fn open((monitor, policy): (Monitor, PolicyFiles), path: &Path, separator: &str) -> Result<Self, OpenError> {
        let first = Mark::of(path);
        let catalog = Catalog::new(Arc::new(read_lock(path)?), separator);
        let current = ArcSwap::from_pointee(Snapshot { monitor: Arc::new(monitor), catalog, standing: Standing::Read });
        Ok(Self { path: path.to_owned(), separator: separator.to_owned(), current, first, policy })
    }

    /// The snapshot of this moment. A call holds on to the one it began with.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Looks at the lock file and the policy from time to time and tells `changed` what is in force from now on.
    /// A lock file that became unusable approves nothing: what cannot be read cannot be relied on. A policy that
    /// cannot be used changes nothing: the old one still says what may be done.
    pub async fn watch(&self, changed: impl Fn(Renewed)) {
        let mut seen = self.first;
        // What was read before is not read again: ten thousand rules take their time.
        let mut policy = self.policy.first();
        let mut told = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Mark::of(&self.path);
            if now != seen {
                // What could not be read (too many files are open) looks the same when it can be, so it is not yet seen.
                let (before, read) = (self.load().standing, self.renew_lock(now));
                if read.is_ok() {
                    seen = now;
                }
                if read.is_ok() || before == Standing::Read {
                    changed(Renewed::Lock);
                }
            }
            let marks = self.policy.marks();
            if marks != policy {
                let renewed = self.renew_policy();
                if !matches!(renewed, Err(RenewError::Unread(_))) {
                    policy = marks;
                }
                tell(renewed, &mut told).into_iter().for_each(&changed);
            }
        }
    }

    /// Takes the lock file anew. One that cannot be read approves nothing, and is an error: it is to be read again.
    fn renew_lock(&self, mark: Mark) -> Result<(), Unread> {
        let read = read_lock(&self.path);
        if let Err(error) = &read
            && self.load().standing == Standing::Read
        {
            tracing::error!(%error, "the lock file cannot be used: nothing is approved until it is mended");
        }
        let unread = matches!(read, Err(OpenError::Read { .. }));
        let standing = if mark == Mark::Missing || read.is_err() { Standing::Lost } else { Standing::Read };
        let monitor = self.current.load().monitor.clone();
        let catalog = Catalog::new(Arc::new(read.unwrap_or_default()), &self.separator);
        self.current.store(Arc::new(Snapshot { monitor, catalog, standing }));
        if unread { Err(Unread) } else { Ok(()) }
    }

    fn renew_policy(&self) -> Result<Option<Renewed>, RenewError> {
        let current = self.current.load();
        let old = current.monitor.policy();
        let monitor = self.policy.renew(&current.monitor)?;
        let new = monitor.policy();
        // Written again, and the same.
        if new == old {
            return Ok(None);
        }
        tracing::warn!(%old, %new, "the policy changed");
        let Snapshot { catalog, standing, .. } = &**current;
        self.current.store(Arc::new(Snapshot { monitor: Arc::new(monitor), catalog: catalog.clone(), standing: *standing }));
        Ok(Some(Renewed::Policy { old, new }))
    }
}
