//! Rows on the road of live traffic: what the controls let through, changed and announced.

use bartizan_detect::Weight;
use serde_json::Value;

use super::secrets::survives;
use super::{Item, judged};
use crate::corpus::{is_tuned, text};
use crate::live::{URL, WORD, road};

/// Orders that are announced to the client, and honest texts that are not.
pub(super) fn injection(row: &Value) -> Vec<Item> {
    if is_tuned(text(row, "group")) {
        return Vec::new();
    }
    let line = match text(row, "tier") {
        tier @ ("marked" | "paraphrase") => format!("{tier}: announced"),
        "hard-negative" => "hard negatives: announced".to_owned(),
        _ => return Vec::new(),
    };
    let Some(came) = road().and_then(|road| road.answer(text(row, "text"))) else { return vec![lost(row)] };
    let weight = match came.announced {
        (true, _) => Some(Weight::Block),
        (false, true) => Some(Weight::Warn),
        (false, false) => None,
    };
    vec![Item { weight, ..judged(row, text(row, "label") == "attack", false, vec![line]) }]
}

/// Secrets that do not reach the client, and honest texts that are not covered.
pub(super) fn secrets(row: &Value) -> Vec<Item> {
    if is_tuned(text(row, "group")) {
        return Vec::new();
    }
    let (own, secret) = (text(row, "source").starts_with("own"), text(row, "secret"));
    let is_secret = text(row, "label") == "secret";
    let placeholder = row.get("placeholder_like").and_then(Value::as_bool) == Some(true);
    if (is_secret && (!own || secret.is_empty() || placeholder)) || (!is_secret && !text(row, "type").starts_with("hard-negative")) {
        return Vec::new();
    }
    let Some(came) = road().and_then(|road| road.answer(text(row, "text"))) else { return vec![lost(row)] };
    if is_secret {
        let covered = came.masked_by("secrets") && !survives(&came.text, secret);
        return vec![judged(row, true, covered, vec!["own: masked".into()])];
    }
    vec![judged(row, false, came.masked_by("secrets"), vec!["hard negatives: changed".into()])]
}

/// Personal data that does not reach the client, where the operator wants it covered.
pub(super) fn pii(row: &Value) -> Vec<Item> {
    if is_tuned(text(row, "group")) {
        return Vec::new();
    }
    let given = text(row, "text");
    let spans = row.get("spans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let known = ["EMAIL_ADDRESS", "IBAN_CODE", "CREDIT_CARD", "US_SSN", "IP_ADDRESS", "PHONE_NUMBER"];
    let wanted: Vec<String> = spans
        .iter()
        .filter(|span| known.contains(&text(span, "type")))
        .filter_map(|span| {
            let at = |key: &str| usize::try_from(span.get(key)?.as_u64()?).ok();
            let (start, end) = (at("start")?, at("end")?);
            Some(given.chars().skip(start).take(end.saturating_sub(start)).collect())
        })
        .collect();
    if wanted.is_empty() && !spans.is_empty() {
        return Vec::new();
    }
    let Some(came) = road().and_then(|road| road.answer(given)) else { return vec![lost(row)] };
    if wanted.is_empty() {
        return vec![judged(row, false, came.masked_by("personal"), vec!["clean texts: changed".into()])];
    }
    let covered = came.masked_by("personal") && !wanted.iter().any(|value| came.text.contains(value.as_str()));
    vec![judged(row, true, covered, vec!["texts with personal data: all of it masked".into()])]
}

/// URLs that do not reach a tool that takes public ones.
pub(super) fn ssrf(row: &Value) -> Vec<Item> {
    if is_tuned(text(row, "group")) {
        return Vec::new();
    }
    let refused = road().is_some_and(|road| road.refuses(URL, text(row, "url")));
    match text(row, "expected") {
        "allow" => vec![judged(row, false, refused, vec!["public: refused".into()])],
        "deny" => vec![judged(row, true, refused, vec!["deny: refused".into()])],
        _ => Vec::new(),
    }
}

/// Words that do not reach a tool that puts them before a shell.
pub(super) fn commands(row: &Value) -> Vec<Item> {
    if is_tuned(text(row, "group")) {
        return Vec::new();
    }
    if text(row, "label") == "benign" {
        return Vec::new();
    }
    let refused = road().is_some_and(|road| road.refuses(WORD, text(row, "arg")));
    vec![judged(row, true, refused, vec!["attack as a shell word: refused".into()])]
}

/// A row that never got as far as an answer: the table shows a line that should not be there.
fn lost(row: &Value) -> Item {
    judged(row, true, false, vec!["lost on the road".into()])
}
