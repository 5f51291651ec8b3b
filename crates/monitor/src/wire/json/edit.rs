//! Edits as splices: what is not named stays as it came, byte for byte.

use std::ops::Range;

use bytes::Bytes;

use super::{Json, Kind, View};

/// A set of replacements in one [`Json`]. Every replacement puts a JSON value where a JSON value
/// stood (or a member where a member can stand), so the outcome is JSON again.
#[derive(Debug)]
pub struct Edits<'j> {
    base: &'j Json,
    parts: Vec<(Range<usize>, Bytes)>,
}

impl<'j> Edits<'j> {
    /// Starts with no change.
    #[must_use]
    pub const fn of(base: &'j Json) -> Self {
        Self { base, parts: Vec::new() }
    }

    /// Puts `new` where `old`, a view into the base, stands.
    pub fn replace(&mut self, old: View<'j>, new: &Json) {
        self.parts.push((self.base.span(old), new.bytes().clone()));
    }

    /// Puts `new` where the value at `span` of the base's text stands.
    pub(crate) fn replace_span(&mut self, span: Range<usize>, new: &Json) {
        self.parts.push((span, new.bytes().clone()));
    }

    /// Sets a member of the object at `span` of the base's text.
    pub(crate) fn set_at(&mut self, span: Range<usize>, key: &str, value: &Json) {
        if let Some(object) = self.base.bytes().get(span) {
            self.set(View(object), key, value);
        }
    }

    /// Sets a member of `object`, a view into the base: replaced where it stands, else added at the
    /// end. Set twice, it is what was set last. Does nothing when `object` is none.
    pub fn set(&mut self, object: View<'j>, key: &str, value: &Json) {
        if object.kind() != Kind::Object {
            return;
        }
        if let Some(old) = object.get(key) {
            let span = self.base.span(old);
            self.parts.retain(|(other, _)| *other != span);
            return self.replace(old, value);
        }
        let end = self.base.span(object).end.saturating_sub(1);
        let name = format!("{}:", Json::string(key));
        // A key that was added already must not be added again: that would be two of it.
        let added = |part: &Bytes| part.strip_prefix(b",").unwrap_or(part).starts_with(name.as_bytes());
        let mut here = self.parts.iter_mut().filter(|(span, _)| *span == (end..end)).peekable();
        let first = here.peek().is_none() && object.members().next().is_none();
        let again = here.find(|(_, part)| added(part));
        let comma = if first || again.as_ref().is_some_and(|(_, part)| !part.starts_with(b",")) { "" } else { "," };
        let member = Bytes::from(format!("{comma}{name}{value}"));
        match again {
            Some((_, part)) => *part = member,
            None => self.parts.push((end..end, member)),
        }
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Makes the new value. Replacements that overlap keep the outer one.
    #[must_use]
    pub fn apply(mut self) -> Json {
        if self.parts.is_empty() {
            return self.base.clone();
        }
        self.parts.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
        let text = self.base.bytes();
        let mut out = Vec::with_capacity(text.len().saturating_add(64));
        let mut at = 0;
        for (span, new) in &self.parts {
            let Some(kept) = text.get(at..span.start) else { continue };
            out.extend_from_slice(kept);
            out.extend_from_slice(new);
            at = span.end;
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        Json(Bytes::from(out))
    }
}
