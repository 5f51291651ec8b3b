//! What texts are covered with. The gateway lends it, as a control has no key, no randomness and no secrets of its own.

use std::fmt;
use std::sync::Arc;

use bartizan_detect::secrets::{Key, Secrets};

use crate::wire::canonical::hex;

/// What one message is covered with: the same key and known values as every other, and a number of its own.
#[derive(Clone, Default)]
pub struct Cover {
    lent: Arc<Lent>,
    nonce: [u8; 12],
    names: [[u8; 16]; 2],
}

/// The key of placeholders, and what finds secrets, those that the gateway holds among them.
pub struct Lent {
    key: Key,
    secrets: Secrets,
    knows: bool,
}

impl Lent {
    /// With 32 random bytes that nobody else has, and every secret value that the gateway holds.
    #[must_use]
    pub fn new(key: &[u8; 32], known: &[&str]) -> Self {
        Self { key: Key::new(key), secrets: Secrets::new(known), knows: !known.is_empty() }
    }
}

impl Default for Lent {
    /// Without a key: for questions whose answers go to nobody.
    fn default() -> Self {
        Self::new(&[0; 32], &[])
    }
}

// Neither the key nor the values are anybody's to print.
impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent(..)")
    }
}

impl fmt::Debug for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cover(..)")
    }
}

impl Cover {
    /// For one message. `nonce` and `names` are random, and used for nothing else.
    #[must_use]
    pub const fn new(lent: Arc<Lent>, nonce: [u8; 12], names: [[u8; 16]; 2]) -> Self {
        Self { lent, nonce, names }
    }

    /// The key of placeholders.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.lent.key
    }

    /// What finds secrets.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.lent.secrets
    }

    /// Whether the gateway holds any secret.
    #[must_use]
    pub fn knows(&self) -> bool {
        self.lent.knows
    }

    /// A word that nobody could know before this message was judged.
    #[must_use]
    pub fn word(&self) -> String {
        hex(&self.nonce)
    }

    /// A name for the rest of this message's answer, and one for what is quarantined of it: nobody can guess either.
    #[must_use]
    pub fn handles(&self) -> [String; 2] {
        self.names.map(|name| hex(&name))
    }
}
