//! Who calls, and what the credential is good for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Effect, Item};

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A bearer token that this gateway issued.
    Token,
    /// The operating-system user at the other end of standard input.
    LocalUser,
}

/// Somebody whose credential was verified. Its existence is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Arc<str>,
    means: Means,
    reach: Reach,
}

/// What a credential is good for. It only narrows: policy decides what of it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The servers; `None` is all of them.
    pub servers: Option<Arc<BTreeSet<String>>>,
    /// The gravest effect that a tool may have.
    pub most: Effect,
}

impl Reach {
    /// Good for everything.
    #[must_use]
    pub const fn all() -> Self {
        Self { servers: None, most: Effect::Destructive }
    }
}

impl Caller {
    /// States that a credential was verified, and what it is good for. Called in the gateway's
    /// `identity` only (tidy checks).
    #[must_use]
    pub fn assertion(principal: &str, means: Means, reach: Reach) -> Self {
        Self { principal: principal.into(), means, reach }
    }

    /// The stable name of who calls.
    #[must_use]
    pub const fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    /// How it was recognised.
    #[must_use]
    pub const fn means(&self) -> Means {
        self.means
    }

    /// Whether the credential is good for this server.
    #[must_use]
    pub fn may_see(&self, server: &str) -> bool {
        self.reach.servers.as_ref().is_none_or(|servers| servers.contains(server))
    }

    /// Whether the credential is good for this approved thing: its server, and what it can do.
    #[must_use]
    pub fn may_use(&self, item: &Item) -> bool {
        self.may_see(&item.server) && item.pin.effect <= self.reach.most
    }
}
