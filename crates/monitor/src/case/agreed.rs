//! What people have agreed to, and how strongly it is known that it was a person.

use std::collections::HashMap;
use std::sync::Arc;

use super::Item;
use crate::wire::canonical::Digest;

/// How strongly it is known that a person agreed, and which. In order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// The model did what completes the call, knowing what would be sent. Perhaps it asked its person.
    Model,
    /// The client says so. It relays its person, or it does not.
    Client,
    /// Somebody used the command line as the user that the gateway runs as.
    Local,
    /// Somebody showed a credential of their own.
    Person,
    /// The same, and it is not the one who asks.
    Second,
}

impl Assurance {
    /// The name in files, records and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Client => "client",
            Self::Local => "local",
            Self::Person => "person",
            Self::Second => "second",
        }
    }
}

impl std::fmt::Display for Assurance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// For how much one yes is good. In order: the first is the narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// For this call.
    Call,
    /// For this tool, in this session, as it was reviewed and under this policy.
    Session,
}

/// A tool that somebody agreed to for the rest of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The call at which it was agreed to; its record says who did.
    pub call: u64,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// How strongly.
    pub assurance: Assurance,
}

/// How many tools of one session are remembered.
const MAX_AGREED: usize = 1024;

/// The tools that somebody agreed to in a session, as they were reviewed then. Policy and session are those of the
/// call that it is shown to: the gateway keeps it with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreed(HashMap<Digest, Vec<(Arc<str>, Agreement)>>);

impl Agreed {
    /// What was agreed of a tool, if it still holds.
    #[must_use]
    pub fn covers(&self, item: &Item, now_ms: u64) -> Option<&Agreement> {
        // Most sessions have agreed to nothing, and then no digest is hashed.
        if self.0.is_empty() || item.standing != super::Standing::Pinned {
            return None;
        }
        let (_, agreement) = self.0.get(&item.pin.digest)?.iter().find(|(server, _)| *server == item.server)?;
        (now_ms < agreement.until_ms).then_some(agreement)
    }

    /// The same with one more. What is too much is not remembered, so that it is asked again.
    #[must_use]
    pub fn with(&self, item: &Item, agreement: Agreement) -> Self {
        let mut agreed = self.clone();
        if agreed.0.len() < MAX_AGREED || agreed.0.contains_key(&item.pin.digest) {
            let of_digest = agreed.0.entry(item.pin.digest).or_default();
            of_digest.retain(|(server, _)| *server != item.server);
            of_digest.push((item.server.clone(), agreement));
        }
        agreed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_in_order() {
        assert!(Assurance::Client < Assurance::Local && Assurance::Local < Assurance::Person && Assurance::Person < Assurance::Second);
        assert!(Scope::Call < Scope::Session);
    }
}
