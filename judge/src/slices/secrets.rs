//! Secrets: does a value survive masking, in any way to read it; and is anything else masked?

use bartizan_detect::secrets::{Key, mask};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::{Item, judged};
use crate::corpus::text;

pub(super) fn secrets(row: &Value) -> Vec<Item> {
    let (given, secret) = (text(row, "text"), text(row, "secret"));
    let masked = mask(given, &Key::new(&[1; 32]));
    let own = text(row, "source").starts_with("own");
    if text(row, "label") != "secret" {
        let line = match text(row, "type") {
            kind if kind.starts_with("benign-file") => "real file chunks: changed",
            kind if kind.starts_with("hard-negative") => "hard negatives: changed",
            _ => "negatives of other tools' rules: changed",
        };
        return vec![judged(row, false, masked != given, vec![line.into()])];
    }
    // Placeholders are not to be found, and without a span there is nothing to look for.
    if secret.is_empty() || row.get("placeholder_like").and_then(Value::as_bool) == Some(true) {
        return Vec::new();
    }
    let line = match (own, text(row, "encoding")) {
        (true, "base64-wrapped") => "own, base64: masked".to_owned(),
        (true, "json-unicode-escape") => "own, \\u-escaped: masked".to_owned(),
        (true, _) => "own, plain: masked".to_owned(),
        (false, _) => format!("rule tests of {}: masked", text(row, "source").split(' ').next().unwrap_or_default()),
    };
    let lines = if own { vec![line, "own, all: masked".into()] } else { vec![line] };
    vec![judged(row, true, !survives(&masked, secret), lines)]
}

/// Whether a value can be read in a text: as it is, after up to three rounds of JSON unescaping, in base64.
pub(super) fn survives(masked: &str, secret: &str) -> bool {
    let mut now = masked.to_owned();
    for _ in 0..4 {
        if now.contains(secret) || in_base64(&now, secret) {
            return true;
        }
        now = unescaped(&now);
    }
    false
}

fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let number = after.strip_prefix('u').and_then(|digits| u32::from_str_radix(digits.get(..4)?, 16).ok()).and_then(char::from_u32);
        (rest, _) = match (number, after.chars().next()) {
            (Some(symbol), _) => (after.get(5..).unwrap_or_default(), out.push(symbol)),
            (None, Some('n')) => (after.get(1..).unwrap_or_default(), out.push('\n')),
            (None, Some('t')) => (after.get(1..).unwrap_or_default(), out.push('\t')),
            (None, Some('r')) => (after.get(1..).unwrap_or_default(), out.push('\r')),
            (None, Some(symbol @ ('"' | '\\' | '/'))) => (after.get(1..).unwrap_or_default(), out.push(symbol)),
            _ => (after, out.push('\\')),
        };
    }
    out.push_str(rest);
    out
}

fn in_base64(text: &str, secret: &str) -> bool {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    let engines = [GeneralPurpose::new(&STANDARD, config), GeneralPurpose::new(&URL_SAFE, config)];
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c))).filter(|run| run.len() >= 16).any(|run| {
        (0..4).filter_map(|shift| run.get(shift..)).any(|run| {
            let run = if run.len() % 4 == 1 { run.get(..run.len() - 1).unwrap_or_default() } else { run };
            engines.iter().any(|engine| engine.decode(run).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(secret)))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_in_any_spelling() {
        for text in ["x hunter22 y", r"hunter\u00322", r"hun\\u0074er22", "eHh4eGh1bnRlcjIy", "{\"a\":\"eHh4aHVudGVyMjJ4\"}"] {
            assert!(survives(text, "hunter22"), "{text}");
        }
        assert!(!survives("[secret:password:00000000]", "hunter22"));
    }
}
