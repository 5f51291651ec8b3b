//! Who calls, and what the credential is good for.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Effect, Item};

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A bearer token that this gateway issued.
    Token,
    /// An access token of an OAuth issuer.
    OAuth,
    /// The client certificate of the connection.
    Certificate,
    /// Nothing: the operator lets programs of this machine in without a credential.
    Anonymous,
    /// The operating-system user at the other end of standard input.
    LocalUser,
}

impl Means {
    /// The name in policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::OAuth => "oauth",
            Self::Certificate => "certificate",
            Self::Anonymous => "anonymous",
            Self::LocalUser => "local-user",
        }
    }
}

/// Somebody whose credential was verified. Its existence is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Arc<str>,
    means: Means,
    reach: Reach,
    badge: Option<Arc<Badge>>,
    strength: Strength,
}

/// How strongly a caller was recognised, beyond its credential. Policy can demand it for what is grave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strength {
    /// The name in the client certificate of the connection: a URI such as `spiffe://corp/agent`, `dns:NAME` or `email:ADDRESS`.
    pub certificate: Option<Arc<str>>,
    /// Whether the issuer says that a second factor was used (`amr`, RFC 8176).
    pub second_factor: bool,
    /// When the person last logged in at the issuer (`auth_time`, OpenID Connect Core 2), in milliseconds since the Unix epoch.
    pub logged_in_ms: Option<u64>,
}

/// What an issuer says of a caller beside its name, and what the operator's scopes make of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Badge {
    /// The application that acts for the caller.
    pub application: Option<String>,
    /// The groups that the caller belongs to.
    pub groups: BTreeSet<String>,
    /// The scopes that were granted, all of them. Nobody decides by them: they tell credentials apart, because another
    /// gateway or a server may make more of one than of the other.
    pub granted: BTreeSet<String>,
    /// The SHA-256 of the certificate that the credential is bound to (RFC 8705, section 3.1); it tells credentials apart.
    pub bound: Option<[u8; 32]>,
    /// The gravest effect at each server; a server without an entry is narrowed by the reach only.
    pub most: BTreeMap<String, Effect>,
    /// The scopes that would do for an effect at a server, as a challenge names them.
    pub steps: Arc<BTreeMap<(String, Effect), String>>,
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

// Equal callers have equal principals, and that is enough to tell most others apart cheaply.
impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.principal.hash(state);
    }
}

impl Caller {
    /// States that a credential was verified, and what it is good for. Called in the gateway's
    /// `identity` only (tidy checks).
    #[must_use]
    pub fn assertion(principal: &str, means: Means, reach: Reach) -> Self {
        Self { principal: principal.into(), means, reach, badge: None, strength: Strength::default() }
    }

    /// The same, recognised as strongly as this.
    #[must_use]
    pub fn with_strength(mut self, strength: Strength) -> Self {
        self.strength = strength;
        self
    }

    /// How strongly it was recognised.
    #[must_use]
    pub const fn strength(&self) -> &Strength {
        &self.strength
    }

    /// The same with what its issuer says of it.
    #[must_use]
    pub fn with_badge(mut self, badge: Badge) -> Self {
        self.badge = Some(Arc::new(badge));
        self
    }

    /// What its issuer says of it, where it has one.
    #[must_use]
    pub fn badge(&self) -> Option<&Badge> {
        self.badge.as_deref()
    }

    /// The stable name of who calls.
    #[must_use]
    pub const fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    /// The label of its token (`token:LABEL#ID`), where it has one of this gateway: the id changes when the token is
    /// rotated, the label does not.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let rest = self.principal.strip_prefix("token:").filter(|_| self.means == Means::Token)?;
        Some(rest.rsplit_once('#').map_or(rest, |(label, _)| label))
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

    /// Whether a credential of this reach is good for all that the caller was let in for.
    #[must_use]
    pub fn is_within(&self, reach: &Reach) -> bool {
        let own = self.reach.servers.as_ref();
        let servers = reach.servers.as_ref().is_none_or(|servers| own.is_some_and(|own| own.is_subset(servers)));
        servers && self.reach.most <= reach.most
    }

    /// Whether the credential is good for this approved thing: its server, and what it can do.
    #[must_use]
    pub fn may_use(&self, item: &Item) -> bool {
        let most = self.badge().and_then(|badge| badge.most.get(&*item.server)).map_or(self.reach.most, |most| self.reach.most.min(*most));
        self.may_see(&item.server) && item.pin.effect <= most
    }

    /// The scopes that would make the credential good for an effect at a server, where there are such.
    #[must_use]
    pub fn step_up(&self, server: &str, effect: Effect) -> Option<&str> {
        self.badge()?.steps.get(&(server.to_owned(), effect)).map(String::as_str)
    }
}
