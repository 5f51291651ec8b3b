//! What a token looks like: `bzt_`, 8 hexadecimal digits that name it, `_`, 256 random bits.

use std::fmt;

use bartizan_monitor::wire::canonical::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How every token begins, so that people and secret scanners recognise one.
pub(super) const PREFIX: &str = "bzt_";
/// Characters of the secret part: 256 bits in base64url.
const SECRET: usize = 43;

/// The public part of a token. Names it in lists, records and commands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// Reads 8 hexadecimal digits, lower case.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| Self(text.to_owned()))
    }

    pub(super) fn random() -> Option<Self> {
        let bytes: [u8; 4] = random()?;
        Some(Self(format!("{:08x}", u32::from_be_bytes(bytes))))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token as somebody showed it.
pub(super) struct Shown {
    pub(super) id: TokenId,
    pub(super) secret: Zeroizing<String>,
}

/// Reads the value of an `Authorization` header. The error is for the operator and quotes nothing.
pub(super) fn bearer(value: &[u8]) -> Result<Shown, &'static str> {
    let text = std::str::from_utf8(value).map_err(|_| "the Authorization header is not text")?;
    let (scheme, token) = text.split_once(' ').ok_or("the Authorization header has no scheme")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the Authorization header has a scheme other than Bearer");
    }
    read(token.trim_matches(' ')).ok_or("the bearer token is not one of this gateway's")
}

/// Reads the text of a token.
pub(super) fn read(token: &str) -> Option<Shown> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let plain = secret.len() == SECRET && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let id = TokenId::read(id)?;
    plain.then(|| Shown { id, secret: Zeroizing::new(secret.to_owned()) })
}

/// A token's text, to be shown once.
pub(super) fn text(id: &TokenId, secret: &str) -> String {
    format!("{PREFIX}{id}_{secret}")
}

/// A new secret part. `None` when the system has no random numbers, and then nothing is issued.
pub(super) fn secret() -> Option<Zeroizing<String>> {
    let bytes = Zeroizing::new(random::<32>()?);
    Some(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// What is stored of a secret. It has 256 random bits, so one round of SHA-256 cannot be reversed by
/// guessing, and costs nothing on every message.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    *Digest::of_bytes(secret.as_bytes()).bytes()
}

/// Whether a secret is the one that was stored, in a time that does not depend on the answer.
pub(super) fn fits(secret: &str, stored: &[u8; 32]) -> bool {
    hash(secret).ct_eq(stored).into()
}

/// Something that nobody can guess, for names of sessions: 256 random bits in base64url. `None` when
/// the system has no random numbers.
#[must_use]
pub fn random_id() -> Option<String> {
    random::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // The kernel's, and not the TLS library's, which first gathers entropy of its own for tens of milliseconds.
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}
