//! Control characters in what servers say are made visible.
//!
//! Threat: escape sequences that move a terminal's cursor, rewrite its title or its clipboard, or
//! hide text from the person while the model reads it (ECMA-48; "ANSI injection"), and bidirectional
//! controls that show a text in another order than the model reads it (CVE-2021-42574). Line feed,
//! carriage return and tab stay; other C0 and C1 characters and DEL become their pictures, embeddings,
//! overrides and isolates a replacement character. Direction marks, joiners and variation selectors
//! stay in values: scripts and emoji need them.
//!
//! Keys are not edited, because two could become one and a client may look for one of them. An answer
//! with a key that hides something is withheld. What joins or varies a character that is not ASCII
//! hides nothing: data may be keyed by words.

use bartizan_detect::names::is_unseen;

use crate::case::{Case, Event, Reply};
use crate::control::{Control, Judged, Mask, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::json::{Json, Kind, Step};

/// The threat, in one sentence.
pub const THREAT: &str = "Escape sequences that deceive the person while the model reads on.";

reasons! {
    KEY = "unicode.key", Class::Denied,
        "The answer has a member whose name hides something, and was withheld.",
        "A key of an object in the answer has escape or control characters, bidirectional controls, or characters that do not show. Keys cannot be edited without changing what the answer means.",
        "Report it to the server's author; the journal shows the key.";
}

/// No settings.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Unicode, toml::de::Error> {
    Ok(Unicode)
}

/// The control.
#[derive(Debug)]
pub struct Unicode;

impl Control for Unicode {
    fn on_reply(&self, _case: &Case, reply: &Reply) -> Judged {
        let shown = reply.is_known_plain(|body| matches!(judge(body), Verdict::Pass));
        Ok(if shown { Verdict::Pass } else { judge(&reply.body) })
    }

    fn on_event(&self, event: &Event) -> Judged {
        Ok(event.params.as_ref().map_or(Verdict::Pass, judge))
    }
}

fn judge(body: &Json) -> Verdict {
    if is_plain(body.bytes()) {
        return Verdict::Pass;
    }
    match find(body) {
        Err(key) => Verdict::Deny(Refusal::new(KEY, format!("the key {key:?}"))),
        Ok(masks) if masks.is_empty() => Verdict::Pass,
        Ok(masks) => Verdict::Mask(masks),
    }
}

/// Whether strict JSON shows all that it has: most of it is ASCII, whose only escapes are of what text is full of.
fn is_plain(mut bytes: &[u8]) -> bool {
    if !bytes.is_ascii() {
        return !bytes.iter().any(|byte| may_hide(*byte));
    }
    while let Some(at) = memchr::memchr2(b'\\', 0x7f, bytes) {
        let Some([b'\\', b'"' | b'\\' | b'/' | b'n' | b'r' | b't', rest @ ..]) = bytes.get(at..) else { return false };
        bytes = rest;
    }
    true
}

/// Whether a byte of strict JSON can be of something that is looked for: an escape (strict JSON has no
/// raw C0 characters), DEL, or a lead byte.
const fn may_hide(byte: u8) -> bool {
    matches!(byte, b'\\' | 0x7f | 0xc2 | 0xcd | 0xd8 | 0xe1..=0xe3 | 0xee | 0xef | 0xf0 | 0xf3 | 0xf4)
}

/// What is to be masked; the error is a key that hides something.
fn find(body: &Json) -> Result<Vec<Mask>, String> {
    let mut masks = Vec::new();
    for step in body.view().steps() {
        match step {
            Step::Key(key) if key.bytes().any(|byte| byte < 0x20 || may_hide(byte)) && is_deceptive(&key) => return Err(key.into_owned()),
            Step::Leaf(view) if view.kind() == Kind::String && view.text().bytes().any(may_hide) => {
                let text = view.as_str().unwrap_or_default();
                if text.chars().any(hides) {
                    let shown: String = text.chars().map(picture).collect();
                    masks.push(Mask::replace(body.span(view), Json::string(&shown)));
                }
            }
            Step::Enter(_) | Step::Key(_) | Step::Leaf(_) | Step::Leave(_) => {}
        }
    }
    Ok(masks)
}

/// Whether a key has something that does not show.
fn is_deceptive(key: &str) -> bool {
    let mut before = None;
    for symbol in key.chars() {
        let joins = matches!(symbol, '\u{200c}'..='\u{200f}' | '\u{61c}' | '\u{180b}'..='\u{180d}' | '\u{fe00}'..='\u{fe0f}');
        let joined = joins && before.is_some_and(|base: char| !base.is_ascii());
        if hides(symbol) || (is_unseen(symbol) && !joined) {
            return true;
        }
        before = Some(symbol);
    }
    false
}

fn hides(symbol: char) -> bool {
    (symbol.is_control() && !matches!(symbol, '\n' | '\r' | '\t')) || is_bidi(symbol)
}

/// Embeddings, overrides and isolates (UAX 9), which order everything up to their end. Marks order
/// only their neighbours.
const fn is_bidi(symbol: char) -> bool {
    matches!(symbol, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The picture of a control character (Unicode block "Control Pictures"), else the character.
fn picture(symbol: char) -> char {
    match symbol {
        _ if !hides(symbol) => symbol,
        '\u{7f}' => '\u{2421}',
        '\0'..='\u{1f}' => char::from_u32(u32::from(symbol).saturating_add(0x2400)).unwrap_or('\u{fffd}'),
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn shown(text: &str) -> String {
        let json = Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect("json");
        let Verdict::Mask(masks) = judge(&json) else { return json.to_string() };
        let mut edits = crate::wire::json::Edits::of(&json);
        masks.into_iter().for_each(|mask| edits.replace_span(mask.at, &mask.with));
        edits.apply().to_string()
    }

    #[test]
    fn escape_sequences_become_visible_and_the_rest_stays() {
        assert_eq!(shown(r#"{"n": 1.0, "t": "a\u001b[2Jb\n", "u":["\u009b1m"]}"#), "{\"n\": 1.0, \"t\": \"a\u{241b}[2Jb\\n\", \"u\":[\"\u{fffd}1m\"]}");
        assert_eq!(shown(r#""tab\tand \\ quote\"é😀""#), r#""tab\tand \\ quote\"é😀""#);
    }

    #[test]
    fn what_reorders_text_becomes_visible_and_what_scripts_need_stays() {
        assert_eq!(shown("\"a\u{202e}b\u{2066}c\u{2069}\""), "\"a\u{fffd}b\u{fffd}c\u{fffd}\"");
        for kept in ["\"שלום \u{200f}(x)\"", "\"👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}\"", "\"مرحبا\"", "\"می\u{200c}خواهم\"", "\"x\u{2062}y\""] {
            assert_eq!(shown(kept), kept);
        }
    }

    #[test]
    fn what_is_plain_is_not_walked() {
        for plain in ["\"a\\n\\t\\\\u001b\\\"\"", "{\"a\":[1,\"b/\\/\"]}", "null"] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for other in ["\"\\u001b\"", "\"\\b\"", "\"\\f\"", "\"\u{7f}\"", "\"\\\\\\u001b\"", "\"\u{85}\"", "\"\u{202e}\""] {
            assert!(!is_plain(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_key_hides_nothing() {
        let denied = |key: &str| {
            let json = Json::parse(Bytes::from(format!(r#"{{"a":[{{"{key}":1}}]}}"#))).expect("json");
            matches!(judge(&json), Verdict::Deny(refusal) if refusal.reason == KEY)
        };
        for key in ["\\u001b[2J", "\\u007f", "\u{85}", "na\u{200b}me", "na\u{200d}me", "\u{202e}eman", "n\u{ad}ame", "a\u{e0061}", "a\u{fe0f}", "\\u2066x", "\u{3164}", "\u{34f}", "\u{115f}", "\u{f0001}"] {
            assert!(denied(key), "{key:?}");
        }
        for key in ["name", "a\\nb", "größe", "❤\u{fe0f}", "👨\u{200d}👩", "می\u{200c}خواهم", "ключ", "キー", "\\u00e9", "a\\\\u001b"] {
            assert!(!denied(key), "{key:?}");
        }
    }
}
