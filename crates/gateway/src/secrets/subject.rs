//! A caller's own access token, for the one thing that it may be used for: to be exchanged for another one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::held;
use super::login::Slot;

/// An access token of a caller, and what it was exchanged for, by server. Both are gone when whoever verified it
/// forgets it: when it has expired, was revoked, or had to make room.
pub struct Subject {
    token: Zeroizing<String>,
    exchanged: Mutex<BTreeMap<Arc<str>, Arc<tokio::sync::Mutex<Slot>>>>,
}

/// Where the token of a caller is found at the moment of a request: nowhere when it does not hold any more.
pub type Source = Arc<dyn Fn() -> Option<Arc<Subject>> + Send + Sync>;

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(…)")
    }
}

impl Subject {
    /// Takes a verified token into custody.
    #[must_use]
    pub fn new(token: &str) -> Arc<Self> {
        Arc::new(Self { token: Zeroizing::new(token.to_owned()), exchanged: Mutex::default() })
    }

    /// The token, for the token endpoint and nobody else.
    pub(super) fn expose(&self) -> &str {
        &self.token
    }

    /// What it was exchanged for at a server.
    pub(super) fn slot(&self, server: &Arc<str>) -> Arc<tokio::sync::Mutex<Slot>> {
        held(&self.exchanged).entry(server.clone()).or_default().clone()
    }
}
