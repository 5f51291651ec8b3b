//! Secrets at the moment of their use. START HERE: [`Keeper::fill`] makes a value of what was written.
//!
//! A reference is resolved when a server is started or a request is sent to it, and what a store said is kept for a
//! short time. So a secret that was replaced needs no restart, and one that cannot be had stops the server that
//! needs it and no other: every question to a store is bounded in time and size, and a failure is remembered for a
//! moment, so that those who wait for it do not wait one after the other.

mod answer;
mod aws;
mod holdings;
mod inventory;
mod keyring;
mod login;
mod subject;
mod vault;

pub use holdings::{Holdings, covered};
pub use inventory::{Inventory, Row};
pub use login::{Logins, Speaker};
pub use subject::{Source, Subject};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SECRET_MISSING, SECRET_UNAVAILABLE};
use zeroize::Zeroizing;

use crate::clock::Stopwatch;
use crate::config::files::Mark;
use crate::config::{self, Part, Reference, Secret, Stores, Template, secret};

/// How long getting one secret may take in all, the login at its store included.
const LONGEST: Duration = Duration::from_secs(12);
/// How long a failure is remembered.
const PAUSE: Duration = Duration::from_secs(2);
/// What was fetched more recently than this is not fetched again because a server refused it.
const FRESH: Duration = Duration::from_secs(1);

/// A secret as it is now.
#[derive(Debug, Clone)]
pub struct Found {
    /// The value.
    pub value: Arc<Secret>,
    /// Which version it is, where the store has versions.
    pub version: Option<String>,
    /// Since when it is this value, where the store tells, in milliseconds since the Unix epoch.
    pub made_ms: Option<u64>,
}

/// The value of what was written. Whoever was shown it can repeat the secrets in it as long as this is held, and as long
/// they are covered.
#[derive(Debug, Clone)]
pub struct Filled {
    value: Arc<Secret>,
    /// What it was made of: the cache forgets them when they are replaced.
    _parts: Vec<Arc<Secret>>,
}

impl Filled {
    /// The value itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose()
    }
}

fn missing(what: impl Into<String>) -> Refusal {
    Refusal::new(SECRET_MISSING, what)
}

fn unavailable(what: impl Into<String>) -> Refusal {
    Refusal::new(SECRET_UNAVAILABLE, what).retry_after(1000)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps and lists here are whole after every statement, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resolves references, and keeps what it found for a short time.
#[derive(Debug)]
pub struct Keeper {
    cache: Duration,
    vault: Option<vault::Client>,
    aws: Option<aws::Client>,
    // No more than the configuration has references.
    cells: Mutex<HashMap<Reference, Arc<tokio::sync::Mutex<Option<Kept>>>>>,
    inventory: Option<Inventory>,
    holdings: Arc<Holdings>,
}

/// What was found, or not, a moment ago.
#[derive(Debug)]
struct Kept {
    at: Stopwatch,
    mark: Option<Mark>,
    /// Somebody refused it: it stays known, so that a new value is told from the old, and is fetched again.
    doubted: bool,
    found: Result<Found, Refusal>,
}

impl Kept {
    fn holds(&self, reference: &Reference, mark: Option<Mark>, cache: Duration) -> bool {
        if self.doubted {
            return false;
        }
        match (reference, &self.found) {
            // A process's own environment does not change.
            (Reference::Env(_), Ok(_)) => true,
            (Reference::File(_), Ok(_)) => matches!(mark, Some(Mark::There(..))) && mark == self.mark,
            (Reference::Vault { .. } | Reference::Aws { .. }, Ok(_)) => self.at.elapsed() < cache,
            (Reference::Vault { .. } | Reference::Aws { .. }, Err(_)) => self.at.elapsed() < PAUSE,
            (Reference::Keyring(_), _) | (Reference::Env(_) | Reference::File(_), Err(_)) => false,
        }
    }
}

impl Keeper {
    /// One that writes down in `inventory`, where there is one, which version of a secret is used since when.
    #[must_use]
    pub fn new(stores: &Stores, inventory: Option<Inventory>) -> Arc<Self> {
        let holdings = Holdings::new(inventory.as_ref().and_then(Inventory::placeholders));
        let vault = stores.vault.clone().map(|vault| vault::Client::new(vault, holdings.clone()));
        let aws = stores.aws.clone().map(|aws| aws::Client::new(aws, holdings.clone()));
        Arc::new(Self { cache: stores.cache, vault, aws, cells: Mutex::default(), inventory, holdings })
    }

    /// Every value that was used so far.
    #[must_use]
    pub const fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
    }

    /// The value of what was written. What the server then says must not repeat it: `blinds` learn the secrets.
    pub async fn fill(&self, template: &Template, blinds: &Blinds) -> Result<Filled, Refusal> {
        if let [Part::Reference(only)] = template.parts() {
            let found = self.look(only).await?;
            blinds.learn(&found.value);
            return Ok(Filled { value: found.value, _parts: Vec::new() });
        }
        let mut parts = Vec::new();
        let mut value = Zeroizing::new(String::new());
        for part in template.parts() {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Reference(reference) => {
                    let found = self.look(reference).await?;
                    blinds.learn(&found.value);
                    value.push_str(found.value.expose());
                    parts.push(found.value);
                }
            }
        }
        Ok(Filled { value: Arc::new(Secret::new(std::mem::take(&mut *value))), _parts: parts })
    }

    /// A secret as it is now, or was a moment ago. The refusal names the reference and holds no value.
    pub async fn look(&self, reference: &Reference) -> Result<Found, Refusal> {
        let cell = held(&self.cells).entry(reference.clone()).or_default().clone();
        let mut kept = cell.lock().await;
        let mark = match reference {
            // Before it is read: what changes meanwhile is read again.
            Reference::File(path) => Some(Mark::of(path)),
            _ => None,
        };
        if let Some(kept) = kept.as_ref().filter(|kept| kept.holds(reference, mark, self.cache)) {
            return kept.found.clone();
        }
        // Boxed: what waits for a store is large, rare, and part of every call.
        let fetched = tokio::time::timeout(LONGEST, Box::pin(self.fetch(reference, mark))).await;
        let fetched = fetched.unwrap_or_else(|_| Err(unavailable(format!("no answer within {} s", LONGEST.as_secs()))));
        let mut fetched = fetched.map_err(|mut refusal| {
            refusal.detail = format!("{reference}: {}", refusal.detail);
            refusal
        });
        let before = kept.as_ref().and_then(|kept| kept.found.as_ref().ok());
        if let (Some(before), Ok(found)) = (before, &mut fetched)
            && before.value.expose() == found.value.expose()
        {
            // One value in memory, however often it is read.
            found.value = before.value.clone();
        }
        if let Ok(found) = &fetched
            && before.is_none_or(|before| !Arc::ptr_eq(&before.value, &found.value) || before.version != found.version)
        {
            self.holdings.learn(&found.value);
            if let Some(inventory) = &self.inventory {
                Box::pin(inventory.note(reference, found)).await;
            }
        }
        *kept = Some(Kept { at: Stopwatch::start(), mark, doubted: false, found: fetched.clone() });
        fetched
    }

    async fn fetch(&self, reference: &Reference, mark: Option<Mark>) -> Result<Found, Refusal> {
        match reference {
            Reference::Vault { path, field } => match &self.vault {
                Some(vault) => vault.read(path, field).await,
                None => Err(missing("there is no `[secrets.vault]`")),
            },
            Reference::Aws { name, field } => match &self.aws {
                Some(aws) => aws.read(name, field.as_deref()).await,
                None => Err(missing("there is no `[secrets.aws]`")),
            },
            Reference::Env(_) | Reference::File(_) | Reference::Keyring(_) => near(reference, mark),
        }
    }

    /// A server refused what it was shown: what stores said is asked again, unless that was just now.
    pub fn doubt(&self, template: &Template) {
        for reference in template.references() {
            let cell = held(&self.cells).get(reference).cloned();
            // Whoever holds it is asking again already.
            let Some(mut kept) = cell.as_ref().and_then(|cell| cell.try_lock().ok()) else { continue };
            if let Some(kept) = kept.as_mut().filter(|kept| kept.at.elapsed() >= FRESH) {
                kept.doubted = true;
            }
        }
    }

    /// Renews what opens the stores before it expires. Does not end where there is something to renew.
    pub async fn tend(&self) {
        if let Some(vault) = &self.vault {
            vault.tend().await;
        }
    }
}

/// A secret of this machine: no store is asked.
fn near(reference: &Reference, mark: Option<Mark>) -> Result<Found, Refusal> {
    let found = |value: Secret| Found { value: Arc::new(value), version: None, made_ms: None };
    match reference {
        Reference::Env(name) => secret::variable(name, &config::variable).map(found).map_err(missing),
        Reference::File(path) => {
            let made_ms = match mark.unwrap_or_else(|| Mark::of(path)) {
                Mark::There(_, _, [seconds, ..]) => u64::try_from(seconds).ok().map(|seconds| seconds.saturating_mul(1000)),
                Mark::Missing | Mark::Unknown(_) => None,
            };
            secret::file(path).map(|value| Found { made_ms, ..found(value) }).map_err(missing)
        }
        Reference::Keyring(name) => keyring::read(name).map(found),
        Reference::Vault { .. } | Reference::Aws { .. } => Err(missing("what opens a store cannot be in a store")),
    }
}

/// What opens a store: from this machine, and read anew every time.
fn near_value(template: &Template, holdings: &Holdings) -> Result<Arc<Secret>, Refusal> {
    let mut value = Zeroizing::new(String::new());
    for part in template.parts() {
        match part {
            Part::Text(text) => value.push_str(text),
            Part::Reference(reference) => {
                let found = near(reference, None)?;
                holdings.learn(&found.value);
                value.push_str(found.value.expose());
            }
        }
    }
    Ok(Arc::new(Secret::new(std::mem::take(&mut *value))))
}

/// The secrets that a server was given, so that its own words do not carry them into the log and the journal.
#[derive(Debug, Default)]
pub struct Blinds(Mutex<Vec<Weak<Secret>>>);

/// Parts of a secret that are shorter say nothing of it, and stand in ordinary words.
const SHORTEST: usize = 6;

impl Blinds {
    /// Learns a secret.
    pub fn learn(&self, secret: &Arc<Secret>) {
        let mut known = held(&self.0);
        if !known.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(secret))) {
            known.retain(|known| known.strong_count() > 0);
            known.push(Arc::downgrade(secret));
        }
    }

    /// A text in which every secret is covered.
    #[must_use]
    pub fn cover(&self, text: String) -> String {
        let known: Vec<Arc<Secret>> = held(&self.0).iter().filter_map(Weak::upgrade).collect();
        let mut covered = text;
        // Line by line, as a server's words are read.
        for line in known.iter().flat_map(|secret| secret.expose().lines()).map(str::trim).filter(|line| line.len() >= SHORTEST) {
            if covered.contains(line) {
                covered = covered.replace(line, "[secret]");
            }
        }
        covered
    }
}

#[cfg(test)]
mod tests;
