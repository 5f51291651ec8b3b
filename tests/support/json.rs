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
        _ => Some(format!(": expected {expected}, found {found}")),
    }
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
