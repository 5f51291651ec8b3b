//! The walkers for bytes that the scanner has passed.

use std::borrow::Cow;

use super::{Kind, View, scan};

/// Walks the members or items of a value that the scanner has passed. Never fails; on bytes that
/// were not passed it ends early.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Starts inside an object (`{`) or an array (`[`); another kind of value has nothing inside.
    pub(super) fn inside(bytes: &'a [u8], open: u8) -> Self {
        let bytes = if bytes.first() == Some(&open) { bytes } else { &[] };
        Self { bytes, at: 1 }
    }

    fn blank(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// The next key, between its quotes.
    pub(super) fn next_key(&mut self) -> Option<&'a [u8]> {
        let key = self.next_value()?;
        key.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }

    /// The next value.
    pub(super) fn next_value(&mut self) -> Option<&'a [u8]> {
        self.blank();
        let start = self.at;
        match self.bytes.get(start)? {
            b']' | b'}' => return None,
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_nested(),
            _ => self.skip_scalar(),
        }
        self.bytes.get(start..self.at)
    }

    fn skip_string(&mut self) {
        self.at = self.at.saturating_add(1);
        if self.skip_short() {
            return;
        }
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(run) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.bytes.len();
                return;
            };
            let quote = rest.get(run) == Some(&b'"');
            self.at = self.at.saturating_add(run).saturating_add(if quote { 1 } else { 2 });
            if quote {
                return;
            }
        }
    }

    /// The end of a string that is short and without escapes, as keys and names are: eight bytes at a time, since a search
    /// made for long texts costs more than it finds. Answers whether that was the end.
    fn skip_short(&mut self) -> bool {
        const WORDS: usize = 4;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for word in rest.as_chunks::<8>().0.iter().take(WORDS) {
            let word = u64::from_le_bytes(*word);
            let (quotes, slashes) = (zeros(word ^ repeated(b'"')), zeros(word ^ repeated(b'\\')));
            let first = (quotes | slashes).trailing_zeros();
            if first == u64::BITS {
                self.at = self.at.saturating_add(8);
                continue;
            }
            // Above the lowest mark some may be wrong; the lowest is right, whichever it is.
            let is_quote = (quotes >> first) & 1 == 1;
            let length = usize::try_from(first / 8).unwrap_or(0);
            self.at = self.at.saturating_add(length).saturating_add(usize::from(is_quote));
            return is_quote;
        }
        false
    }

    fn skip_nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at = self.at.saturating_add(1);
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_scalar(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            if matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                return;
            }
            self.at = self.at.saturating_add(1);
        }
    }
}

/// A byte in each of eight places.
const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Marks the bytes of a word that are zero with their highest bits; above the first, others may be marked, too.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(repeated(0x01)) & !word & repeated(0x80)
}

/// What comes next in a value.
pub enum Step<'a> {
    /// An object or an array begins.
    Enter(Begun<'a>),
    /// The key of the member that follows, unescaped.
    Key(Cow<'a, str>),
    /// A value that has nothing inside.
    Leaf(View<'a>),
    /// What began last ends before this offset.
    Leave(usize),
}

/// An object or an array whose end was not looked for.
#[derive(Clone, Copy)]
pub struct Begun<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Begun<'a> {
    /// Which of the two.
    #[must_use]
    pub fn kind(self) -> Kind {
        View(self.rest).kind()
    }

    /// Where it begins.
    #[must_use]
    pub const fn at(self) -> usize {
        self.at
    }

    /// The member of an object with exactly this key. This one passes over what stands before it.
    #[must_use]
    pub fn get(self, key: &str) -> Option<View<'a>> {
        // A walk ends where its object does, whatever stands behind that.
        View(self.rest).get(key)
    }
}

/// A value from its beginning to its end. [`View::members`] passes over a value to find its end before it can be looked into,
/// so that going down that way costs its length for each level; here every byte is looked at once.
pub(super) struct Steps<'a> {
    walk: Walk<'a>,
    open: Vec<Frame>,
}

/// What stands next in something that began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Item,
    Key,
    Value,
}

impl<'a> Steps<'a> {
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self { walk: Walk { bytes, at: 0 }, open: Vec::new() }
    }

    /// A value was taken.
    fn taken(&mut self) {
        if let Some(frame) = self.open.last_mut().filter(|frame| **frame == Frame::Value) {
            *frame = Frame::Key;
        }
    }

    fn enter(&mut self, inside: Frame) -> Step<'a> {
        self.taken();
        self.open.push(inside);
        let at = self.walk.at;
        self.walk.at = at.saturating_add(1);
        Step::Enter(Begun { rest: self.walk.bytes.get(at..).unwrap_or_default(), at })
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        self.walk.blank();
        Some(match (self.walk.bytes.get(self.walk.at)?, self.open.last()) {
            (b']' | b'}', _) => {
                self.open.pop();
                self.walk.at = self.walk.at.saturating_add(1);
                Step::Leave(self.walk.at)
            }
            (b'"', Some(Frame::Key)) => {
                let key = self.walk.next_key()?;
                if let Some(frame) = self.open.last_mut() {
                    *frame = Frame::Value;
                }
                Step::Key(scan::unescape(key))
            }
            (b'{', _) => self.enter(Frame::Key),
            (b'[', _) => self.enter(Frame::Item),
            _ => {
                let leaf = self.walk.next_value()?;
                self.taken();
                Step::Leaf(View(leaf))
            }
        })
    }
}
