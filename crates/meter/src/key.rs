//! What is counted under: 128 bits instead of names, so that a million of them are small.
//!
//! SipHash-2-4-128 (Aumasson and Bernstein, 2012) under a secret: whoever chooses names cannot choose
//! which of them meet in one cell.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// The secret of the hash. Gateways that share their counts have the same.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Seed {
    /// Takes 16 bytes that nobody else knows.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The key of something.
    #[must_use]
    pub fn key(&self, scope: Scope, parts: &[&str]) -> Key {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write_u8(scope as u8);
        for part in parts {
            // The length first: `ab` + `c` is not `a` + `bc`.
            hasher.write_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
            hasher.write(part.as_bytes());
        }
        let hash = hasher.finish128();
        Key([hash.h1, hash.h2])
    }
}

/// What kind of thing a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Calls of one thing in one session.
    Tool = 1,
    /// Calls of one tool, whoever makes them.
    EveryTool = 2,
    /// Calls of one session.
    Session = 3,
    /// Calls of one credential.
    Credential = 4,
    /// Calls of one client.
    Client = 5,
    /// Calls of one server.
    Server = 6,
    /// All calls.
    All = 7,
    /// A budget.
    Budget = 8,
    /// A client's messages and offences.
    Door = 9,
}

/// A name in 128 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(crate) [u64; 2]);

impl Key {
    /// As text: 32 hexadecimal digits.
    #[must_use]
    pub fn name(self) -> String {
        let Self([high, low]) = self;
        format!("{high:016x}{low:016x}")
    }

    /// Reads what [`Key::name`] wrote.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let (high, low) = name.split_at_checked(16).filter(|_| name.len() == 32)?;
        Some(Self([u64::from_str_radix(high, 16).ok()?, u64::from_str_radix(low, 16).ok()?]))
    }

    /// Which of `count` parts it belongs to; `count` is a power of two, at most 2^16.
    pub(crate) const fn part(self, count: usize) -> usize {
        let Self([high, _]) = self;
        (high >> 48) as usize & (count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_known_value_and_are_read_back() {
        // Replicas of different builds must agree, and so must the file that survives a restart.
        let key = Seed::new(*b"0123456789abcdef").key(Scope::Client, &["a", "bc"]);
        assert_eq!(key.name(), "856a6195bbc3ef37420a9e58dde6a115");
        assert_eq!(Key::read(&key.name()), Some(key));
        assert_ne!(key, Seed::new(*b"0123456789abcdef").key(Scope::Client, &["ab", "c"]));
        assert_ne!(key, Seed::new(*b"0123456789abcdeX").key(Scope::Client, &["a", "bc"]));
        assert_ne!(key, Seed::new(*b"0123456789abcdef").key(Scope::Server, &["a", "bc"]));
        assert_eq!((Key::read("xyz"), Key::read(&"g".repeat(32))), (None, None));
    }
}
