//! One immutable view of policy and reviewed definitions per call, and how it is renewed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_monitor::catalog::Catalog;
use bartizan_monitor::controls::schema::Rules;
use bartizan_monitor::lock::{Lock, LockError, Pin};
use bartizan_monitor::stages::Monitor;
use bartizan_monitor::wire::canonical::Digest;

use crate::config::PolicyFiles;
use crate::config::files::Mark;

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
    Rules::compile(&constraint.schema).map(drop).map_err(|why| format!("arguments: {why}"))
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
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Mark::of(&self.path);
            if now != seen {
                seen = now;
                self.renew_lock(now);
                changed(Renewed::Lock);
            }
            let marks = self.policy.marks();
            if marks != policy {
                policy = marks;
                self.renew_policy().into_iter().for_each(&changed);
            }
        }
    }

    fn renew_lock(&self, mark: Mark) {
        let read = read_lock(&self.path).inspect_err(|error| {
            tracing::error!(%error, "the lock file cannot be used: nothing is approved until it is mended");
        });
        let standing = if mark == Mark::Missing || read.is_err() { Standing::Lost } else { Standing::Read };
        let monitor = self.current.load().monitor.clone();
        let catalog = Catalog::new(Arc::new(read.unwrap_or_default()), &self.separator);
        self.current.store(Arc::new(Snapshot { monitor, catalog, standing }));
    }

    fn renew_policy(&self) -> Option<Renewed> {
        let current = self.current.load();
        let old = current.monitor.policy();
        match self.policy.renew(&current.monitor) {
            Err(why) => {
                tracing::error!(%why, "the policy cannot be used: the old one stays in force until it is mended");
                Some(Renewed::Refused(why))
            }
            // Written again, and the same.
            Ok(monitor) if monitor.policy() == old => None,
            Ok(monitor) => {
                let new = monitor.policy();
                tracing::warn!(%old, %new, "the policy changed");
                let Snapshot { catalog, standing, .. } = &**current;
                self.current.store(Arc::new(Snapshot { monitor: Arc::new(monitor), catalog: catalog.clone(), standing: *standing }));
                Some(Renewed::Policy { old, new })
            }
        }
    }
}
