//! Objects of our own, written in one go: records and messages are made for every call.

use std::fmt::Display;
use std::io::Write as _;

use bytes::Bytes;

use super::Json;

/// An object that is being written, member by member. Keys must differ.
#[derive(Debug)]
pub struct Members(Vec<u8>);

impl Default for Members {
    fn default() -> Self {
        Self::new()
    }
}

impl Members {
    /// Begins an object.
    #[must_use]
    pub fn new() -> Self {
        let mut out = Vec::with_capacity(512);
        out.push(b'{');
        Self(out)
    }

    /// A member that is a string.
    pub fn string(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(key);
        quote(&mut self.0, text);
        self
    }

    /// A member that is shown as it displays, which needs no escapes: digests, names, numbers as text.
    pub fn shown(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.key(key);
        let begun = self.0.len();
        self.0.push(b'"');
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{value}");
        let plain = self.0.iter().skip(begun.saturating_add(1)).all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        if plain {
            self.0.push(b'"');
        } else {
            self.0.truncate(begun);
            quote(&mut self.0, &value.to_string());
        }
        self
    }

    /// A member that is a number.
    pub fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key);
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// A member that is an object, which `write` fills.
    pub fn object(&mut self, key: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.key(key);
        self.0.push(b'{');
        write(self);
        self.0.push(b'}');
        self
    }

    /// A member that is any value.
    pub fn json(&mut self, key: &str, value: &Json) -> &mut Self {
        self.key(key);
        self.0.extend_from_slice(value.bytes());
        self
    }

    /// The object.
    #[must_use]
    pub fn end(mut self) -> Json {
        self.0.push(b'}');
        Json(Bytes::from(self.0))
    }

    /// The object with one more member, in parts that are its text one after the other: a long value that many objects
    /// end with is not copied into each.
    #[must_use]
    pub fn end_with(mut self, key: &str, value: &Json) -> [Bytes; 3] {
        self.key(key);
        [Bytes::from(self.0), value.0.clone(), Bytes::from_static(b"}")]
    }

    fn key(&mut self, key: &str) {
        // No value ends so: an object has just begun.
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        quote(&mut self.0, key);
        self.0.push(b':');
    }
}

/// Writes a JSON string.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    // All of it, without an early end: many bytes at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if is_plain {
        out.reserve(text.len().saturating_add(2));
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    // A string serialises, and writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_what_a_parser_reads() {
        let mut members = Members::new();
        members.string("a", "x\"\\\u{1}\u{7f}é").shown("b", "q\"uo\nte").shown("c", 7).json("d\"", &Json::null());
        let json = members.end();
        assert_eq!(Json::parse(json.bytes().clone()).as_ref(), Ok(&json));
        let view = json.view();
        assert_eq!(view.get("a").and_then(|a| a.as_str()).as_deref(), Some("x\"\\\u{1}\u{7f}é"));
        assert_eq!(view.get("b").and_then(|b| b.as_str()).as_deref(), Some("q\"uo\nte"));
        assert_eq!(view.get("c").and_then(|c| c.as_str()).as_deref(), Some("7"));
        assert!(view.get("d\"").is_some_and(|d| d.is_null()));
        assert_eq!(Members::new().end(), Json::empty_object());
    }

    #[test]
    fn objects_are_written_where_they_stand() {
        let mut members = Members::new();
        members.object("a", |inner| {
            inner.string("b", "{").object("{", |_| {}).number("c", u64::MAX);
        });
        members.string("d", "");
        let json = members.end();
        assert_eq!(&**json.bytes(), br#"{"a":{"b":"{","{":{},"c":18446744073709551615},"d":""}"#);
        assert_eq!(Json::parse(json.bytes().clone()), Ok(json));
    }

    #[test]
    fn parts_are_what_is_put_together() {
        for first in [None, Some(("jsonrpc", "2.0"))] {
            let (mut parts, mut whole) = (Members::new(), Members::new());
            if let Some((key, text)) = first {
                parts.string(key, text);
                whole.string(key, text);
            }
            let value = Json::array([Json::string("long"), Json::null()]);
            whole.json("re\"sult", &value);
            let parts = parts.end_with("re\"sult", &value);
            assert_eq!(parts[1].as_ptr(), value.bytes().as_ptr(), "not copied");
            assert_eq!(parts.concat(), **whole.end().bytes());
        }
    }
}
