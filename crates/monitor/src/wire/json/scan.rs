//! The strict scanner.

use std::borrow::Cow;
use std::ops::Range;

use super::{Flaw, JsonError, MAX_DEPTH};

/// Checks a whole document; returns where its value stands.
pub(super) fn document(bytes: &[u8]) -> Result<Range<usize>, JsonError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(JsonError { what: Flaw::Utf8, at: error.valid_up_to() });
    }
    let mut scanner = Scanner { bytes, at: 0, depth: 0, keys: Vec::new() };
    scanner.blank();
    let start = scanner.at;
    scanner.value()?;
    let end = scanner.at;
    scanner.blank();
    match scanner.peek() {
        None => Ok(start..end),
        Some(_) => Err(scanner.flaw(Flaw::Trailing)),
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// Keys of all objects that are open, innermost last: one allocation for the document.
    keys: Vec<Cow<'a, str>>,
}

type Scanned = Result<(), JsonError>;

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn flaw(&self, what: Flaw) -> JsonError {
        let what = if self.at >= self.bytes.len() && what == Flaw::Byte { Flaw::End } else { what };
        JsonError { what, at: self.at }
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.skip(1);
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.skip(1);
        }
        found
    }

    fn value(&mut self) -> Scanned {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.flaw(Flaw::Byte)),
        }
    }

    fn word(&mut self, word: &[u8]) -> Scanned {
        if !self.rest().starts_with(word) {
            return Err(self.flaw(Flaw::Byte));
        }
        self.skip(word.len());
        Ok(())
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Scanned) -> Scanned {
        if self.depth >= MAX_DEPTH {
            return Err(self.flaw(Flaw::Depth));
        }
        self.depth = self.depth.saturating_add(1);
        self.skip(1);
        self.blank();
        let scanned = inner(self);
        self.depth = self.depth.saturating_sub(1);
        scanned
    }

    fn array(&mut self) -> Scanned {
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.blank();
            self.value()?;
            self.blank();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.flaw(Flaw::Byte));
            }
        }
    }

    fn object(&mut self) -> Scanned {
        let base = self.keys.len();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.blank();
            let key = self.string()?;
            self.keys.push(unescape(key));
            self.blank();
            if !self.take(b':') {
                return Err(self.flaw(Flaw::Byte));
            }
            self.blank();
            self.value()?;
            self.blank();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return Err(self.flaw(Flaw::Byte));
            }
        }
        if repeats(self.keys.get_mut(base..).unwrap_or_default()) {
            return Err(self.flaw(Flaw::DuplicateKey));
        }
        self.keys.truncate(base);
        Ok(())
    }

    /// Reads a string; returns what stands between the quotes.
    fn string(&mut self) -> Result<&'a [u8], JsonError> {
        if !self.take(b'"') {
            return Err(self.flaw(Flaw::Byte));
        }
        let start = self.at;
        loop {
            let Some(run) = memchr::memchr2(b'"', b'\\', self.rest()) else {
                self.at = self.bytes.len();
                return Err(self.flaw(Flaw::End));
            };
            self.plain(run)?;
            if self.take(b'"') {
                return Ok(self.bytes.get(start..self.at.saturating_sub(1)).unwrap_or_default());
            }
            self.escape()?;
        }
    }

    /// Passes bytes that need no unescaping; control characters may not stand there.
    fn plain(&mut self, run: usize) -> Scanned {
        let text = self.rest().get(..run).unwrap_or_default();
        // Without an early exit the loop vectorises; the exact place is only looked up on failure.
        if text.iter().fold(false, |seen, byte| seen | (*byte < 0x20)) {
            self.skip(text.iter().position(|byte| *byte < 0x20).unwrap_or(0));
            return Err(self.flaw(Flaw::Control));
        }
        self.skip(run);
        Ok(())
    }

    fn escape(&mut self) -> Scanned {
        match self.rest() {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                self.skip(2);
                Ok(())
            }
            [b'\\', b'u', ..] => self.unicode(),
            _ => Err(self.flaw(Flaw::Escape)),
        }
    }

    fn unicode(&mut self) -> Scanned {
        let unit = hex4(self.rest()).ok_or_else(|| self.flaw(Flaw::Escape))?;
        match unit {
            0xD800..=0xDBFF => {
                let low = hex4(self.rest().get(6..).unwrap_or_default());
                if !matches!(low, Some(0xDC00..=0xDFFF)) {
                    return Err(self.flaw(Flaw::Surrogate));
                }
                self.skip(12);
            }
            0xDC00..=0xDFFF => return Err(self.flaw(Flaw::Surrogate)),
            _ => self.skip(6),
        }
        Ok(())
    }

    fn digits(&mut self) -> Scanned {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.flaw(Flaw::Byte));
        }
        self.skip(count);
        Ok(())
    }

    fn number(&mut self) -> Scanned {
        let start = self.at;
        let negative = self.take(b'-');
        if self.take(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.flaw(Flaw::Byte));
            }
        } else {
            self.digits()?;
        }
        let mut integer = true;
        if self.take(b'.') {
            integer = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            integer = false;
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        if in_range(text, negative, integer) { Ok(()) } else { Err(JsonError { what: Flaw::Number, at: start }) }
    }
}

fn in_range(text: &[u8], negative: bool, integer: bool) -> bool {
    if integer && text.len() < 19 {
        return true;
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    match (integer, negative) {
        (true, true) => text.parse::<i64>().is_ok(),
        (true, false) => text.parse::<u64>().is_ok(),
        (false, _) => text.parse::<f64>().is_ok_and(f64::is_finite),
    }
}

/// Whether a key stands twice. Sorting bounds the time whatever the keys are: there is no hash to
/// flood.
fn repeats(keys: &mut [Cow<'_, str>]) -> bool {
    if keys.len() <= 8 {
        return keys.iter().enumerate().any(|(index, key)| keys.iter().take(index).any(|other| other == key));
    }
    keys.sort_unstable();
    keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

/// The code unit of `\uXXXX` at the start of `bytes`.
fn hex4(bytes: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes else { return None };
    digits.get(..4)?.iter().try_fold(0_u32, |unit, byte| Some(unit.wrapping_shl(4) | char::from(*byte).to_digit(16)?))
}

/// Unescapes what stands between the quotes of a string that the scanner has passed.
pub(super) fn unescape(inner: &[u8]) -> Cow<'_, str> {
    let text = std::str::from_utf8(inner).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = unescape_one(after, &mut out);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Unescapes what follows a backslash; returns what follows that.
fn unescape_one<'a>(after: &'a str, out: &mut String) -> &'a str {
    let mut chars = after.chars();
    match chars.next() {
        Some('b') => out.push('\u{8}'),
        Some('f') => out.push('\u{c}'),
        Some('n') => out.push('\n'),
        Some('r') => out.push('\r'),
        Some('t') => out.push('\t'),
        Some('u') => {
            let (symbol, used) = unescape_unit(after.as_bytes());
            out.push(symbol);
            return after.get(used..).unwrap_or_default();
        }
        Some(other) => out.push(other),
        None => {}
    }
    chars.as_str()
}

/// Decodes `uXXXX` or `uXXXX\uXXXX` at the start of `bytes`; returns the character and the length used.
fn unescape_unit(bytes: &[u8]) -> (char, usize) {
    let unit = |start: usize| {
        bytes.get(start..start.saturating_add(4)).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u16::from_str_radix(d, 16).ok())
    };
    let units = [unit(1), unit(7)];
    let first = units.first().copied().flatten().unwrap_or(0xFFFD);
    let high = (0xD800..0xDC00).contains(&first);
    let pair: Vec<u16> = units.into_iter().flatten().take(if high { 2 } else { 1 }).collect();
    let symbol = char::decode_utf16(pair).next().and_then(Result::ok).unwrap_or('\u{FFFD}');
    (symbol, if high { 11 } else { 5 })
}

/// Whether a raw key, as it stands between its quotes, is `key`.
pub(super) fn key_is(raw: &[u8], key: &str) -> bool {
    raw == key.as_bytes() || (raw.contains(&b'\\') && unescape(raw) == key)
}
