//! JSON: read strictly, once, and kept as the bytes that came.
//!
//! [`Json`] is a proof: a value of it holds exactly one JSON text (RFC 8259) in which no two parsers
//! can disagree. Valid UTF-8, no duplicate keys at any depth (compared after unescaping), no lone
//! surrogates, at most [`MAX_DEPTH`] levels, integers within 64 bits, other numbers finite, nothing
//! before or after. It is made by [`Json::parse`], by the builders here, or by splicing one `Json`
//! into another, and by nothing else. Untouched bytes stay untouched: key order, number text and
//! escapes survive a pass through the gateway.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

mod build;
mod edit;
mod pointer;
mod scan;
mod walk;
pub use build::Members;
pub use edit::Edits;
pub use pointer::{Pointer, project};
pub use walk::{Begun, Step};

/// How deeply arrays and objects may nest.
pub const MAX_DEPTH: usize = 128;

/// Why bytes are not strict JSON, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonError {
    /// What is wrong.
    pub what: Flaw,
    /// Offset of the byte at which it was noticed.
    pub at: usize,
}

/// What can be wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// Ends too early.
    #[error("unexpected end")]
    End,
    /// A byte that the grammar does not allow here.
    #[error("unexpected byte")]
    Byte,
    /// Bytes after the value.
    #[error("trailing bytes")]
    Trailing,
    /// An unescaped control character in a string.
    #[error("control character in a string")]
    Control,
    /// An escape that JSON does not have.
    #[error("invalid escape")]
    Escape,
    /// Half of a surrogate pair.
    #[error("lone surrogate")]
    Surrogate,
    /// A number that is not finite, or an integer beyond 64 bits.
    #[error("number out of range")]
    Number,
    /// A key that stood in the same object before.
    #[error("duplicate key")]
    DuplicateKey,
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    Depth,
}

/// One strict JSON value and the bytes it came as.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

/// What a JSON value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Json {
    /// Reads one JSON text strictly. White space around it is dropped.
    pub fn parse(bytes: Bytes) -> Result<Self, JsonError> {
        let span = scan::document(&bytes)?;
        Ok(Self(bytes.slice(span)))
    }

    /// A JSON string.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len().saturating_add(2));
        build::quote(&mut out, text);
        Self(Bytes::from(out))
    }

    /// A JSON integer.
    #[must_use]
    pub fn number(value: u64) -> Self {
        Self(Bytes::from(value.to_string()))
    }

    /// The value `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// The object `{}`.
    #[must_use]
    pub const fn empty_object() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// Serialises our own value. A value that cannot be JSON (a map with keys that are not strings)
    /// becomes `null`: only types of this workspace come here.
    #[must_use]
    pub fn of<T: serde::Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_vec(value).map_or_else(|_| Self::null(), |bytes| Self(Bytes::from(bytes)))
    }

    /// An object of these members, in this order. Keys must differ.
    #[must_use]
    pub fn object<'k>(members: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        let mut out = Members::new();
        for (key, value) in members {
            out.json(key, &value);
        }
        out.end()
    }

    /// An array of these values.
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        let mut out = vec![b'['];
        for value in items {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(&value.0);
        }
        out.push(b']');
        Self(Bytes::from(out))
    }

    /// The text as it came.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// A borrowed view to look inside.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View(&self.0)
    }

    /// The member of an object, as an own value that shares the bytes.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        self.view().get(key).map(|view| self.share(view))
    }

    /// A view into this value as an own value that shares the bytes.
    #[must_use]
    pub fn share(&self, view: View<'_>) -> Self {
        Self(self.0.slice_ref(view.0))
    }

    /// Where a view of this value stands in its text.
    #[must_use]
    pub fn span(&self, view: View<'_>) -> Range<usize> {
        let start = (view.0.as_ptr() as usize).saturating_sub(self.0.as_ptr() as usize);
        start..start.saturating_add(view.0.len())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.view().text())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.view().text())
    }
}

/// A look into a [`Json`]. The bytes are known to be strict, so walking them cannot fail.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a [u8]);

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<'a> View<'a> {
    /// The JSON text.
    #[must_use]
    pub fn text(self) -> &'a str {
        // The text was checked when the `Json` was made; the empty string is unreachable.
        std::str::from_utf8(self.0).unwrap_or_default()
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Members of an object, keys unescaped; nothing for other kinds.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let mut walk = walk::Walk::inside(self.0, b'{');
        std::iter::from_fn(move || {
            let key = walk.next_key()?;
            let value = walk.next_value()?;
            Some((scan::unescape(key), View(value)))
        })
    }

    /// Items of an array; nothing for other kinds.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let mut walk = walk::Walk::inside(self.0, b'[');
        std::iter::from_fn(move || walk.next_value().map(View))
    }

    /// All that is in it, in order and to any depth, each byte looked at once.
    pub fn steps(self) -> impl Iterator<Item = Step<'a>> {
        walk::Steps::of(self.0)
    }

    /// The member of an object with exactly this key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        let mut walk = walk::Walk::inside(self.0, b'{');
        while let Some(raw) = walk.next_key() {
            let value = walk.next_value()?;
            if scan::key_is(raw, key) {
                return Some(View(value));
            }
        }
        None
    }

    /// Follows a path of member names.
    #[must_use]
    pub fn at(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |view, key| view.get(key))
    }

    /// The text of a string, unescaped.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        Some(scan::unescape(inner))
    }

    /// The value of a Boolean.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then_some(self.0 == b"true")
    }

    /// The value of an integer written without fraction or exponent.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        (self.kind() == Kind::Number).then(|| self.text().parse().ok()).flatten()
    }

    /// The value of a whole number within 64 bits, however it is written (`1000000.0`, `1e6`), to the last digit.
    #[must_use]
    pub fn as_whole(self) -> Option<i64> {
        let text = (self.kind() == Kind::Number).then(|| self.text())?;
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let bare = digits.trim_end_matches('0');
        if bare.is_empty() || bare == "-" {
            return Some(0);
        }
        let moved = i64::try_from(digits.len().checked_sub(bare.len())?).ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let zeros = usize::try_from(exponent.parse::<i64>().ok()?.checked_add(moved)?).ok().filter(|zeros| *zeros < 19)?;
        format!("{bare}{:0<zeros$}", "").parse().ok()
    }

    /// The value as `serde_json` has it, for libraries that want that.
    #[must_use]
    pub fn to_value(self) -> serde_json::Value {
        #[expect(clippy::disallowed_methods, reason = "the one lenient parser call: the text was read strictly before")]
        serde_json::from_slice(self.0).unwrap_or_else(|_| self.assemble())
    }

    /// The same in steps: `serde_json` gives up one level before [`MAX_DEPTH`].
    fn assemble(self) -> serde_json::Value {
        match self.kind() {
            Kind::Object => self.members().map(|(key, value)| (key.into_owned(), value.to_value())).collect(),
            Kind::Array => self.items().map(Self::to_value).collect(),
            Kind::String => self.as_str().unwrap_or_default().into(),
            Kind::Number => self.text().parse().map_or(serde_json::Value::Null, serde_json::Value::Number),
            Kind::Bool => (self.0 == b"true").into(),
            Kind::Null => serde_json::Value::Null,
        }
    }
}

#[cfg(test)]
mod tests;
