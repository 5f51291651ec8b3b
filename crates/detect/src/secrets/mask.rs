//! Placeholders: what is put where a secret was.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::Secret;

/// The key of placeholders: whoever has it can tell which value one stands for, if they know the value.
#[derive(Clone)]
pub struct Key([u8; 64]);

impl Key {
    /// From 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        for (slot, byte) in block.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        Self(block)
    }

    /// The first four bytes of HMAC-SHA-256 (RFC 2104).
    pub(crate) fn tag(&self, value: &[u8]) -> u32 {
        let pad = |with: u8| self.0.map(|byte| byte ^ with);
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(value).finalize();
        let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
        outer.iter().take(4).fold(0, |all, byte| (all << 8) | u32::from(*byte))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What is put where a secret was.
pub(super) fn placeholder(secret: &Secret, key: &Key) -> String {
    format!("[secret:{}:{:08x}]", secret.kind, key.tag(&secret.value))
}

/// The text with placeholders.
pub(super) fn replaced(text: &str, secrets: &[Secret], key: &Key) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        out.push_str(text.get(at..secret.place.start).unwrap_or_default());
        out.push_str(&placeholder(secret, key));
        at = secret.place.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_hmac_sha_256() {
        // RFC 4231, test case 2, with the key padded with zeros, as HMAC does.
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(b"Jefe");
        assert_eq!(Key::new(&bytes).tag(b"what do ya want for nothing?"), 0x5bdc_c146);
    }
}
