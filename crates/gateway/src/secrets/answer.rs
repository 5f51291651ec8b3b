//! What stores and token endpoints answer, read strictly. Nothing of it is ever quoted: it may be a secret.

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::json::{Json, View};
use bytes::Bytes;

use super::{missing, unavailable};
use crate::config::{Secret, secret};

/// The document, or that it is none.
pub(super) fn read(body: Bytes) -> Result<Json, Refusal> {
    Json::parse(body).map_err(|_| unavailable("what it answered is not JSON"))
}

/// A field of a secret as text. Numbers and switches are written as they stand.
pub(super) fn field(found: Option<View<'_>>, name: &str) -> Result<Secret, Refusal> {
    let found = found.ok_or_else(|| missing(format!("the secret has no field {name:?}")))?;
    let value = match found.as_str() {
        Some(text) => text.into_owned(),
        None if found.is_null() || found.members().next().is_some() || found.items().next().is_some() => {
            return Err(missing(format!("the field {name:?} is not a text")));
        }
        None => found.text().to_owned(),
    };
    whole(Secret::new(value))
}

/// A secret of a size that secrets have.
pub(super) fn whole(value: Secret) -> Result<Secret, Refusal> {
    match value.expose().len() {
        0 => Err(missing("the secret is empty")),
        1..=secret::MAX => Ok(value),
        _ => Err(missing(format!("the secret is larger than {} bytes", secret::MAX))),
    }
}

/// An error's name, as far as it is one: what else stands there could be anything.
pub(super) fn code(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!text.is_empty() && text.len() <= 48 && text.bytes().all(plain)).then_some(text)
}
