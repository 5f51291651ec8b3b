//! What a client carries for us between question and answer, closed so that it can neither read nor change it.
//!
//! AES-256-GCM under a key that lives as long as the process: after a restart nothing opens any more. Whose it is, is
//! authenticated with it, so that it opens for nobody else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bartizan_monitor::wire::json::Json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

/// How our states begin. A server's own that begins so does not open, and is refused.
pub(super) const PREFIX: &str = "bartizan1.";

/// How long a state may be. It holds what the server wanted to be brought back, too.
const MAX_STATE: usize = 1024 * 1024;

/// The key.
pub(super) struct Seal(Option<RandomizedNonceKey>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A key that nobody else has. Without random numbers there is none, and nothing is sealed or opened.
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        Self(getrandom::fill(&mut key).ok().and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &key).ok()))
    }

    /// Closes a value for somebody.
    pub(super) fn close(&self, whose: &str, value: &Json) -> Option<String> {
        let mut sealed = value.bytes().to_vec();
        let nonce = self.0.as_ref()?.seal_in_place_append_tag(Aad::from(whose.as_bytes()), &mut sealed).ok()?;
        let mut out = nonce.as_ref().to_vec();
        out.extend_from_slice(&sealed);
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(out)))
    }

    /// Opens what was closed for the same.
    pub(super) fn open(&self, whose: &str, state: &str) -> Option<Json> {
        let text = state.strip_prefix(PREFIX).filter(|text| text.len() <= MAX_STATE)?;
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        if sealed.len() < NONCE_LEN {
            return None;
        }
        let mut rest = sealed.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
        let opened = self.0.as_ref()?.open_in_place(nonce, Aad::from(whose.as_bytes()), &mut rest).ok()?;
        Json::parse(Bytes::copy_from_slice(opened)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_in_this_process_and_as_it_was() {
        let (seal, other) = (Seal::new(), Seal::new());
        let value = Json::object([("id", Json::string("x"))]);
        let state = seal.close("ann", &value).expect("sealed");
        assert_eq!(seal.open("ann", &state).expect("opened").to_string(), value.to_string());
        assert!(seal.open("bob", &state).is_none() && other.open("ann", &state).is_none());
        assert_ne!(seal.close("ann", &value).expect("sealed"), state, "each has a nonce of its own");
        for at in 0..state.len() {
            let mut altered = state.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            // The last letter of base64 may hold bits that mean nothing; a decoder that is strict refuses them.
            assert!(seal.open("ann", &String::from_utf8(altered).expect("text")).is_none(), "letter {at}");
        }
        let cut = state.get(..state.len() - 4).expect("ascii");
        for bad in ["", PREFIX, "bartizan1.AAAA", "bartizan1.ä", cut] {
            assert!(seal.open("ann", bad).is_none(), "{bad}");
        }
    }
}
