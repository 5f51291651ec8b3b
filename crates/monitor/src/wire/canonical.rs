//! Canonical form and digests: equal values have equal digests, whatever their spelling.
//!
//! RFC 8785 (JSON Canonicalization Scheme), with one deliberate difference: integers beyond 2^53
//! keep all their digits instead of being rounded to the nearest double, so that two different
//! arguments never share a digest.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::json::{Json, Kind, Step};

/// A SHA-256 digest, shown as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of a value's canonical form.
    #[must_use]
    pub fn of_json(json: &Json) -> Self {
        Self::of_bytes(text(json).as_bytes())
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let mut out = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (slot, pair) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *slot = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(out))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    bytes.iter().flat_map(|byte| digits(*byte)).for_each(|digit| text.push(char::from(digit)));
    text
}

/// They stand in every record, so they are not formatted.
fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|half| if half < 10 { b'0' | half } else { b'`' | half.wrapping_sub(9) })
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [b'0'; 64];
        hex.chunks_exact_mut(2).zip(self.0).for_each(|(pair, byte)| pair.copy_from_slice(&digits(byte)));
        f.write_str("sha256:")?;
        f.write_str(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The canonical text of a value.
#[must_use]
pub fn text(json: &Json) -> String {
    let (mut out, mut open) = (String::with_capacity(json.bytes().len()), Vec::<Open<'_>>::new());
    for step in json.view().steps() {
        match step {
            Step::Key(key) => {
                if let Some(Open::Object { members, .. }) = open.last_mut() {
                    members.push((key.clone(), out.len()));
                }
                write_string(&key, &mut out);
                out.push(':');
                continue;
            }
            Step::Enter(begun) => {
                let is_object = begun.kind() == Kind::Object;
                out.push(if is_object { '{' } else { '[' });
                open.push(if is_object { Open::Object { from: out.len(), members: Vec::new() } } else { Open::Array });
                continue;
            }
            Step::Leaf(view) => match view.kind() {
                Kind::String => write_string(&view.as_str().unwrap_or_default(), &mut out),
                Kind::Number => write_number(view.text(), &mut out),
                Kind::Object | Kind::Array | Kind::Bool | Kind::Null => out.push_str(view.text()),
            },
            Step::Leave(_) => {
                // A comma stands behind every value, so one behind the last, too.
                if out.ends_with(',') {
                    out.pop();
                }
                match open.pop() {
                    Some(Open::Object { from, members }) => {
                        sort(&mut out, from, &members);
                        out.push('}');
                    }
                    Some(Open::Array) | None => out.push(']'),
                }
            }
        }
        if !open.is_empty() {
            out.push(',');
        }
    }
    out
}

/// What began.
enum Open<'a> {
    Array,
    /// Where its first member stands, and each member's key and beginning.
    Object {
        from: usize,
        members: Vec<(Cow<'a, str>, usize)>,
    },
}

/// Puts the members that stand at the end of a text into their order (RFC 8785 section 3.2.3: by UTF-16 code units).
fn sort(out: &mut String, from: usize, members: &[(Cow<'_, str>, usize)]) {
    let before = |(a, _): &(Cow<'_, str>, usize), (b, _): &(Cow<'_, str>, usize)| a.encode_utf16().cmp(b.encode_utf16());
    if members.is_sorted_by(|a, b| before(a, b).is_le()) {
        return;
    }
    let ends = members.iter().skip(1).map(|(_, next)| next.saturating_sub(1)).chain([out.len()]);
    let mut sorted: Vec<_> = members.iter().zip(ends).collect();
    sorted.sort_by(|(a, _), (b, _)| before(a, b));
    let texts: Vec<&str> = sorted.iter().map(|((_, start), end)| out.get(*start..*end).unwrap_or_default()).collect();
    let ordered = texts.join(",");
    out.truncate(from);
    out.push_str(&ordered);
}

fn write_string(text: &str, out: &mut String) {
    // serde_json writes exactly the escapes of RFC 8785 section 3.2.2.2.
    out.push_str(Json::string(text).view().text());
}

fn write_number(text: &str, out: &mut String) {
    if let Ok(integer) = text.parse::<i128>() {
        // Infallible on a String; the standard signature has a Result all the same.
        let _ = write!(out, "{integer}");
        return;
    }
    let value = text.parse::<f64>().unwrap_or(f64::NAN);
    out.push_str(ryu_js::Buffer::new().format(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn canonical(source: &str) -> String {
        text(&Json::parse(Bytes::copy_from_slice(source.as_bytes())).expect("json"))
    }

    #[test]
    fn example_of_rfc_8785() {
        let source = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(source), expected);
    }

    #[test]
    fn spelling_does_not_matter_and_values_do() {
        assert_eq!(canonical(r#"{"b":1.0,"a":"\u0041"}"#), canonical(r#"{ "a" : "A", "b" : 1 }"#));
        assert_ne!(canonical("9007199254740993"), canonical("9007199254740992"));
        assert_eq!(canonical("-0"), "0");
    }

    #[test]
    fn members_are_sorted_at_every_depth_and_commas_stand_between_values_only() {
        for (source, expected) in [
            ("[]", "[]"),
            ("{}", "{}"),
            (r#"[ [], {}, [1 ,[ ]] ]"#, "[[],{},[1,[]]]"),
            (r#"{"b":{},"a":[]}"#, r#"{"a":[],"b":{}}"#),
            (
                r#"{"b":{"d":[{"z":1,"y":","}],"c":","},"a":{"f":"}","e":[",",","]},"":0}"#,
                r#"{"":0,"a":{"e":[",",","],"f":"}"},"b":{"c":",","d":[{"y":",","z":1}]}}"#,
            ),
            ("{\"\u{ff41}\":1,\"\u{1d11e}\":2,\"b\":3}", "{\"b\":3,\"\u{1d11e}\":2,\"\u{ff41}\":1}"),
            (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        ] {
            assert_eq!(canonical(source), expected, "{source}");
        }
        let depth = crate::wire::json::MAX_DEPTH - 1;
        let nested = format!("{}1{}", r#"{"b":"#.repeat(depth), r#","a":2}"#.repeat(depth));
        assert_eq!(canonical(&nested), format!("{}1{}", r#"{"a":2,"b":"#.repeat(depth), "}".repeat(depth)));
    }

    #[test]
    fn digests_read_back() {
        let digest = Digest::of_bytes(b"x");
        assert_eq!(Digest::read(&digest.to_string()), Some(digest));
        assert_eq!(Digest::read("sha256:12"), None);
    }
}
