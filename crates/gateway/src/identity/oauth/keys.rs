//! The keys of an issuer (RFC 7517, RFC 7518, RFC 8037).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Json, Kind, View};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::config::Algorithm;

/// How many keys an issuer may have.
const MAX_KEYS: usize = 100;

/// One public key, ready to check signatures of one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    /// How the issuer calls it.
    kid: Option<String>,
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
    /// What stands for the key itself, whatever it is called.
    pub(super) print: [u8; 32],
}

/// All keys of an issuer at a moment.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// When they were fetched, in milliseconds since the Unix epoch.
    pub(super) fetched_ms: u64,
}

impl KeySet {
    /// Reads a set, for these algorithms. Keys that are of no use here are left out, even when nothing remains:
    /// an issuer takes its keys back by publishing a set without them. The error is for the operator.
    pub(super) fn read(document: Bytes, algorithms: impl Iterator<Item = Algorithm> + Clone, now_ms: u64) -> Result<Self, String> {
        let json = Json::parse(document).map_err(|error| error.to_string())?;
        let listed = json.view().get("keys").filter(|keys| keys.kind() == Kind::Array).ok_or("no list of `keys`")?;
        let listed: Vec<View<'_>> = listed.items().collect();
        if listed.len() > MAX_KEYS {
            return Err(format!("more than {MAX_KEYS} keys"));
        }
        let keys: Vec<Key> =
            listed.into_iter().flat_map(|jwk| algorithms.clone().filter_map(move |algorithm| key(jwk, algorithm))).collect();
        Ok(Self { keys, fetched_ms: now_ms })
    }

    /// Whether nothing can be signed with them.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key is still one of them.
    pub(super) fn has(&self, print: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.print == *print)
    }

    /// The keys that a token can have been signed with. Without a name there must be exactly one that fits.
    pub(super) fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&Key> {
        let fits = |key: &&Key| key.algorithm == algorithm && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        let found: Vec<&Key> = self.keys.iter().filter(fits).collect();
        if kid.is_none() && found.len() != 1 { Vec::new() } else { found }
    }
}

impl Key {
    /// Whether the key made this signature.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

/// A key for one algorithm, if it is one for it: a key's own kind decides, never the token.
fn key(jwk: View<'_>, algorithm: Algorithm) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(View::as_str).map(std::borrow::Cow::into_owned);
    let named = |name: &str, wanted: &str| text(name).is_none_or(|found| found == wanted);
    let may_verify = jwk.get("key_ops").is_none_or(|ops| ops.items().any(|op| op.as_str().as_deref() == Some("verify")));
    // A set that shows a private key has lost it: everybody can sign with it.
    let is_lost = ["d", "p", "q", "k"].into_iter().any(|secret| jwk.get(secret).is_some());
    if !named("use", "sig") || !may_verify || is_lost || text("alg").is_some_and(|found| Algorithm::read(&found) != Some(algorithm)) {
        return None;
    }
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let is = |kind: &str, curve: &str| text("kty").as_deref() == Some(kind) && text("crv").as_deref() == Some(curve);
    let parsed = match (family(algorithm), text("kty").as_deref()) {
        (Family::Rsa(parameters), Some("RSA")) => {
            let components = RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
            components.to_parsed_public_key(parameters).ok()?
        }
        (Family::Ec(curve, length, checks), Some("EC")) if is("EC", curve) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != length || y.len() != length {
                return None;
            }
            // An uncompressed point (SEC 1, section 2.3.3).
            ParsedPublicKey::new(checks, [&[4], x.as_slice(), y.as_slice()].concat()).ok()?
        }
        (Family::Ed, Some("OKP")) if is("OKP", "Ed25519") => ParsedPublicKey::new(&ED25519, bytes("x")?).ok()?,
        _ => return None,
    };
    let material: String =
        ["kty", "crv", "n", "e", "x", "y"].into_iter().map(|part| format!("{part}={};", text(part).unwrap_or_default())).collect();
    Some(Key { kid: text("kid"), algorithm, parsed, print: *Digest::of_bytes(material.as_bytes()).bytes() })
}

enum Family {
    Rsa(&'static RsaParameters),
    Ec(&'static str, usize, &'static dyn VerificationAlgorithm),
    Ed,
}

fn family(algorithm: Algorithm) -> Family {
    match algorithm {
        Algorithm::Es256 => Family::Ec("P-256", 32, &ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => Family::Ec("P-384", 48, &ECDSA_P384_SHA384_FIXED),
        Algorithm::Rs256 => Family::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Family::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Family::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Family::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Family::Rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Family::Rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::EdDsa => Family::Ed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_usable_keys_is_an_answer_and_what_is_no_set_is_not() {
        let read = |text: &'static str| KeySet::read(Bytes::from_static(text.as_bytes()), [Algorithm::EdDsa].into_iter(), 1);
        for taken in [r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, r#"{"keys":[{"kty":"OKP","use":"enc"}]}"#] {
            assert!(read(taken).expect(taken).is_empty(), "{taken}");
        }
        for refused in ["", "<", "[]", "{}", r#"{"keys":null}"#, r#"{"keys":{}}"#, r#"{"keys":"x"}"#, r#"{"error":"later"}"#] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }
}
