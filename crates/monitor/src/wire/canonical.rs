//! Canonical form and digests: equal values have equal digests, whatever their spelling.
//!
//! RFC 8785 (JSON Canonicalization Scheme), with one deliberate difference: integers beyond 2^53
//! keep all their digits instead of being rounded to the nearest double, so that two different
//! arguments never share a digest.

use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::json::{Json, Kind, View};

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

/// Bytes as hexadecimal digits. They stand in every record, so a byte is looked up and not formatted.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const PAIRS: [[u8; 2]; 256] = {
        let (digits, mut pairs, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
        while byte < 256 {
            #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
            {
                pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
            }
            byte += 1;
        }
        pairs
    };
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let [high, low] = PAIRS.get(usize::from(*byte)).copied().unwrap_or([b'0'; 2]);
        text.push(char::from(high));
        text.push(char::from(low));
    }
    text
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(&hex(&self.0))
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
    let mut out = String::with_capacity(json.bytes().len());
    write(json.view(), &mut out);
    out
}

fn write(view: View<'_>, out: &mut String) {
    match view.kind() {
        Kind::Object => write_object(view, out),
        Kind::Array => write_array(view, out),
        Kind::String => write_string(&view.as_str().unwrap_or_default(), out),
        Kind::Number => write_number(view.text(), out),
        Kind::Bool | Kind::Null => out.push_str(view.text()),
    }
}

fn write_array(view: View<'_>, out: &mut String) {
    out.push('[');
    for (index, item) in view.items().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_object(view: View<'_>, out: &mut String) {
    let mut members: Vec<_> = view.members().collect();
    // RFC 8785 section 3.2.3: by UTF-16 code units.
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(&key, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
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
    fn digests_read_back() {
        let digest = Digest::of_bytes(b"x");
        assert_eq!(Digest::read(&digest.to_string()), Some(digest));
        assert_eq!(Digest::read("sha256:12"), None);
    }
}
