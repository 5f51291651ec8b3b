//! Control characters in what servers say are made visible.
//!
//! Threat: escape sequences that move a terminal's cursor, rewrite its title or its clipboard, or
//! hide text from the person while the model reads it (ECMA-48; "ANSI injection"). Line feed,
//! carriage return and tab stay; other C0 and C1 characters and DEL become their pictures.

use crate::case::{Case, Event, Reply};
use crate::control::{Control, Judged, Mask, Verdict};
use crate::reason::Reason;
use crate::wire::json::{Json, Kind, View};

/// The threat, in one sentence.
pub const THREAT: &str = "Escape sequences that deceive the person while the model reads on.";

/// It edits and never refuses.
pub const REASONS: &[Reason] = &[];

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
        Ok(judge(&reply.body))
    }

    fn on_event(&self, event: &Event) -> Judged {
        Ok(event.params.as_ref().map_or(Verdict::Pass, judge))
    }
}

fn judge(body: &Json) -> Verdict {
    // Strict JSON has no raw C0 characters: without an escape, a DEL or a C1 lead byte there is nothing to find.
    if !body.bytes().iter().any(|byte| matches!(byte, b'\\' | 0x7f | 0xc2)) {
        return Verdict::Pass;
    }
    let mut masks = Vec::new();
    find(body, body.view(), &mut masks);
    if masks.is_empty() { Verdict::Pass } else { Verdict::Mask(masks) }
}

fn find(body: &Json, view: View<'_>, masks: &mut Vec<Mask>) {
    match view.kind() {
        Kind::Object => view.members().for_each(|(_, value)| find(body, value, masks)),
        Kind::Array => view.items().for_each(|value| find(body, value, masks)),
        Kind::String => {
            let text = view.as_str().unwrap_or_default();
            if text.chars().any(hides) {
                let shown: String = text.chars().map(picture).collect();
                masks.push(Mask { at: body.span(view), with: Json::string(&shown) });
            }
        }
        Kind::Number | Kind::Bool | Kind::Null => {}
    }
}

fn hides(symbol: char) -> bool {
    symbol.is_control() && !matches!(symbol, '\n' | '\r' | '\t')
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
}
