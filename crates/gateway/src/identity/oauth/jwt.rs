//! A signed token as it came: compact JWS with a strict header (RFC 7515, RFC 8725, RFC 9068).

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{IDENTITY_ALGORITHM, IDENTITY_INVALID, IDENTITY_ISSUER};
use bartizan_monitor::wire::json::{Json, Kind, View};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::config::Algorithm;

/// How long the name of a key may be.
const MAX_KID: usize = 256;

/// A signed token that was read and not checked.
#[derive(Debug)]
pub(super) struct Signed<'t> {
    /// The algorithm that its header names: one that can prove something.
    pub(super) algorithm: Algorithm,
    /// The key that its header names.
    pub(super) kid: Option<String>,
    /// Who says to have issued it.
    pub(super) issuer: String,
    /// What it says. Nothing of it is known to be true before the signature was checked.
    pub(super) claims: Json,
    /// What was signed.
    pub(super) message: &'t [u8],
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// Whether a token has the form of a signed one. Everything else is opaque.
pub(super) fn is_signed(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn no(what: impl Into<String>) -> Refusal {
    Refusal::new(IDENTITY_INVALID, what)
}

/// Reads a signed token. Its header may say how it was signed and by which key, and nothing that would lead
/// to another key: keys come from the issuer's own set only.
pub(super) fn read(token: &str) -> Result<Signed<'_>, Refusal> {
    let (message, signature) = token.rsplit_once('.').ok_or_else(|| no("not a signed token"))?;
    let (header, claims) = message.split_once('.').ok_or_else(|| no("not a signed token"))?;
    let (header, claims) = (object(header, "header")?, object(claims, "claims")?);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| no("the signature is not base64url"))?;
    let algorithm = judge_header(header.view())?;
    let kid = header.view().get("kid").map(|kid| text(kid, "kid")).transpose()?;
    if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
        return Err(no("the name of the key is too long"));
    }
    let issuer = claims.view().get("iss").and_then(View::as_str).ok_or_else(|| Refusal::new(IDENTITY_ISSUER, "no `iss`"))?.into_owned();
    Ok(Signed { algorithm, kid, issuer, claims, message: message.as_bytes(), signature })
}

fn object(part: &str, name: &str) -> Result<Json, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| no(format!("the {name} is not base64url")))?;
    // Strict: of two equal keys one reader would take the first and another the last.
    let json = Json::parse(Bytes::from(bytes)).map_err(|error| no(format!("the {name}: {error}")))?;
    if json.view().kind() == Kind::Object { Ok(json) } else { Err(no(format!("the {name} is not an object"))) }
}

fn text(view: View<'_>, name: &str) -> Result<String, Refusal> {
    view.as_str().map(std::borrow::Cow::into_owned).ok_or_else(|| no(format!("`{name}` is not a text")))
}

fn judge_header(header: View<'_>) -> Result<Algorithm, Refusal> {
    for refused in ["crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc"] {
        if header.get(refused).is_some() {
            return Err(no(format!("the header has `{refused}`, which is not understood here")));
        }
    }
    let kind = header.get("typ").map(|kind| text(kind, "typ")).transpose()?.unwrap_or_default().to_ascii_lowercase();
    if !matches!(kind.strip_prefix("application/").unwrap_or(&kind), "at+jwt" | "jwt") {
        return Err(no(format!("`typ` is {kind:?}: not an access token")));
    }
    let name = header.get("alg").map(|name| text(name, "alg")).transpose()?.unwrap_or_default();
    Algorithm::read(&name).ok_or_else(|| Refusal::new(IDENTITY_ALGORITHM, format!("`alg` is {name:?}")))
}
