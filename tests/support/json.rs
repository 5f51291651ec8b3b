//! Comparing JSON with what a test says of it.

use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use serde_json::Value;

/// Reads JSON of any depth that the gateway passes on; `null` when it is none.
#[must_use]
pub fn read(text: &str) -> Value {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).map(|json| json.view().to_value()).unwrap_or_default()
}

/// Where `found` is not as `expected` says: an object may have more members than are named, everything
/// else must be equal. `None` when it is.
#[must_use]
pub fn difference(expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(members)) => wanted.iter().find_map(|(key, value)| match members.get(key) {
            Some(_) if value == "$ABSENT" => Some(format!("/{key} must not be there")),
            None if value == "$ABSENT" => None,
            Some(member) => difference(value, member).map(|what| format!("/{key}{what}")),
            None => Some(format!("/{key} is missing")),
        }),
        (Value::Array(wanted), Value::Array(items)) if wanted.len() == items.len() => wanted
            .iter()
            .zip(items)
            .enumerate()
            .find_map(|(index, (value, item))| difference(value, item).map(|what| format!("/{index}{what}"))),
        _ if expected == found => None,
        (Value::String(wanted), Value::String(text)) if fits(wanted, text) => None,
        _ => Some(format!(": expected {expected}, found {found}")),
    }
}

/// Whether a text is as expected, where `$TAG` stands for the tag of a placeholder, `$HANDLE` for a handle and `$WORD` for a random
/// word, the same wherever it stands: those differ from one state directory, or one answer, to the next.
fn fits(wanted: &str, text: &str) -> bool {
    let (mut rest, mut word) = (text, None::<&str>);
    let mut parts =
        wanted.split_inclusive("$TAG").flat_map(|part| part.split_inclusive("$WORD")).flat_map(|part| part.split_inclusive("$HANDLE"));
    parts.all(|part| {
        let stands = [("$TAG", 8), ("$WORD", 24), ("$HANDLE", 32)];
        let (plain, length) = stands.into_iter().find_map(|(name, length)| Some((part.strip_suffix(name)?, length))).unwrap_or((part, 0));
        let Some((random, after)) = rest.strip_prefix(plain).and_then(|after| after.split_at_checked(length)) else { return false };
        rest = after;
        let same = length != 24 || *word.get_or_insert(random) == random;
        same && random.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    }) && rest.is_empty()
}

/// The reason that a refusal gives, whether it is an error or the result of a tool.
#[must_use]
pub fn reason(answer: &Value) -> Option<&str> {
    let key = "io.github.bartizan-security~1refusal/reason";
    [format!("/result/_meta/{key}"), format!("/error/data/{key}")].iter().find_map(|path| answer.pointer(path))?.as_str()
}

/// The first text of a tool's result.
#[must_use]
pub fn text(answer: &Value) -> &str {
    answer.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_default()
}
