//! The texts of a body, walked once for all controls that read them: one string, and where each part of it stands.
//!
//! Values come with their key (`"key":"value"`), because a key may say that its value is a secret; what is meant to be
//! read stands alone. Numbers are no text. A server chooses how long keys are and how many values stand in a list under one: as
//! often as that makes the texts no longer than about twice the body long keys are repeated, and then only their ends are.

mod document;
pub use document::Changed;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::wire::json::{Begun, Json, Kind, Step, View};

/// So many bytes of long keys are repeated, and as many as the body has: more would be a way to fill memory.
const REPEATED: usize = 16 * 1024;
/// A key of so many bytes is repeated for every value: no list of others can use that up.
const SHORT: usize = 64;
/// With its quotes. A shorter value is no secret whatever its key is (`bartizan_detect::secrets`).
const NAMELESS: usize = 8;

/// All texts of a body.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    text: String,
    parts: Vec<Part>,
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it is in [`Texts::all`].
    pub at: Range<usize>,
    /// Where its JSON string stands in the body.
    pub span: Range<usize>,
    /// What it is.
    pub role: Role,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Content that a model reads: a text block, the text of a resource, an error's message.
    Prose,
    /// The same, of a resource that says it is HTML or SVG.
    Page,
    /// A page that a client shows in a frame of its own (`ui:`). It is a program, and not for a model.
    App,
    /// What is meant as instructions: the messages of a prompt, or of a question to a model.
    Prompt,
    /// Any other value.
    Value,
    /// The key of an object, which cannot be edited.
    Key,
    /// What must come back as it is: cursors, states, names of tasks.
    Opaque,
    /// Bytes as base64.
    Blob,
}

/// Where in a body something stands.
#[derive(Clone, Copy)]
enum Place {
    Top,
    Messages,
    Blocks(Role),
    Resource(Role),
    Meta,
    Leaf(Role),
}

impl Place {
    const VALUE: Self = Self::Leaf(Role::Value);

    /// Where a member of an object at this place stands.
    fn member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "content") => Self::Blocks(Role::Prose),
            (Self::Top, "contents") | (Self::Blocks(_), "resource") => Self::Resource(Role::Prose),
            (Self::Top, "messages") => Self::Messages,
            (Self::Top, "_meta") => Self::Meta,
            (Self::Top, "nextCursor" | "requestState" | "taskId" | "requestId" | "elicitationId") => Self::Leaf(Role::Opaque),
            (Self::Top | Self::Meta, "progressToken") => Self::Leaf(Role::Opaque),
            (Self::Top, "task") => Self::Top,
            (Self::Messages, "content") => Self::Blocks(Role::Prompt),
            (Self::Blocks(role), "text") => Self::Leaf(role),
            (Self::Resource(role), "text") => Self::Leaf(role),
            (Self::Blocks(_), "data") | (Self::Resource(_), "blob") => Self::Leaf(Role::Blob),
            _ => Self::VALUE,
        }
    }

    /// The same for an object that says more of itself.
    fn of(self, object: Begun<'_>) -> Self {
        let says = |member: &str| object.get(member).and_then(View::as_str).unwrap_or_default().to_ascii_lowercase();
        match self {
            Self::Resource(_) if ["text/html", "application/xhtml", "image/svg"].iter().any(|page| says("mimeType").starts_with(page)) => {
                Self::Resource(if says("uri").starts_with("ui:") { Role::App } else { Role::Page })
            }
            _ => self,
        }
    }

    const fn role(self) -> Role {
        match self {
            Self::Leaf(role) => role,
            Self::Top | Self::Messages | Self::Blocks(_) | Self::Resource(_) | Self::Meta => Role::Value,
        }
    }
}

/// An object or a list that began.
struct Open<'a> {
    /// The key that it stands under; none for what stands in a list.
    key: Option<Cow<'a, str>>,
    place: Place,
    /// The part that is its key, if there is one.
    part: Range<usize>,
}

/// The key of a list as it is repeated for one of its values: whole, or the end of it.
fn again<'k>(key: &'k str, repeats: &mut usize) -> &'k str {
    if key.len() <= SHORT {
        return key;
    }
    if let Some(left) = repeats.checked_sub(key.len()) {
        *repeats = left;
        return key;
    }
    key.get(key.ceil_char_boundary(key.len().saturating_sub(SHORT))..).unwrap_or_default()
}

/// The place of what stands next in what is open.
fn below(open: &[Open<'_>], key: Option<&str>, top: Place) -> Place {
    open.last().map_or(top, |around| key.map_or(around.place, |key| around.place.member(key)))
}

impl Texts {
    /// The texts of a result, or of the parameters of what a server says.
    #[must_use]
    pub fn of(body: &Json) -> Self {
        Self::walked(body, Place::Top)
    }

    /// The texts of an error.
    #[must_use]
    pub fn of_error(body: &Json) -> Self {
        let mut texts = Self::walked(body, Place::VALUE);
        let message = body.view().get("message").map(|message| body.span(message));
        texts
            .parts
            .iter_mut()
            .filter(|part| part.role == Role::Value && Some(&part.span) == message.as_ref())
            .for_each(|part| part.role = Role::Prose);
        texts
    }

    /// The texts of arguments.
    #[must_use]
    pub fn of_arguments(body: &Json) -> Self {
        Self::walked(body, Place::VALUE)
    }

    fn walked(body: &Json, place: Place) -> Self {
        let length = body.bytes().len();
        let mut texts = Self { text: String::with_capacity(length.saturating_add(64)), parts: Vec::with_capacity(8) };
        let (mut open, mut key): (Vec<Open<'_>>, Option<Cow<'_, str>>) = (Vec::new(), None);
        let mut repeats = length.saturating_add(REPEATED);
        for step in body.view().steps() {
            match step {
                Step::Key(name) => key = Some(name),
                Step::Enter(begun) => {
                    let (place, part) = (below(&open, key.as_deref(), place), texts.parts.len());
                    // The end is set when it is there.
                    key.iter().for_each(|key| texts.name(key, begun.at()..begun.at()));
                    let place = if begun.kind() == Kind::Object { place.of(begun) } else { place };
                    open.push(Open { key: key.take(), place, part: part..texts.parts.len() });
                }
                Step::Leave(end) => {
                    let own = open.pop().and_then(|open| texts.parts.get_mut(open.part));
                    own.into_iter().flatten().for_each(|part| part.span.end = end);
                }
                Step::Leaf(view) => {
                    let role = below(&open, key.as_deref(), place).role();
                    match (key.take(), view.kind()) {
                        (Some(key), Kind::String) => texts.string(body, (view, &key), role),
                        (Some(key), _) => texts.name(&key, body.span(view)),
                        (None, Kind::String) => {
                            let list = open.iter().rev().find_map(|around| around.key.as_deref()).unwrap_or_default();
                            let list = if view.text().len() < NAMELESS { "" } else { again(list, &mut repeats) };
                            texts.string(body, (view, list), role);
                        }
                        // The key of their list stands before all of them.
                        (None, _) => {}
                    }
                }
            }
        }
        texts
    }

    /// The key of what is no string.
    fn name(&mut self, key: &str, span: Range<usize>) {
        self.push(key, span, Role::Key);
        self.text.push('\n');
    }

    fn string(&mut self, body: &Json, (view, key): (View<'_>, &str), role: Role) {
        let (text, span) = (view.as_str().unwrap_or_default(), body.span(view));
        let alone = key.is_empty() || matches!(role, Role::Prose | Role::Page | Role::App | Role::Prompt);
        if !alone {
            self.text.push('"');
            self.push(key, span.clone(), Role::Key);
            self.text.push_str("\":\"");
        }
        self.push(&text, span, role);
        self.text.push_str(if alone { "\n" } else { "\"\n" });
    }

    fn push(&mut self, text: &str, span: Range<usize>, role: Role) {
        let from = self.text.len();
        self.text.push_str(text);
        if from < self.text.len() {
            self.parts.push(Part { at: from..self.text.len(), span, role });
        }
    }

    /// All of them, one after the other.
    #[must_use]
    pub fn all(&self) -> &str {
        &self.text
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// One part.
    #[must_use]
    pub fn text(&self, part: &Part) -> &str {
        self.text.get(part.at.clone()).unwrap_or_default()
    }

    /// Whether a part is a JSON document, which programs read.
    #[must_use]
    pub fn is_document(&self, part: &Part) -> bool {
        let text = self.text(part);
        let begins = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with(['{', '[']);
        begins && Json::parse(Bytes::copy_from_slice(text.as_bytes())).is_ok()
    }

    /// The parts that become others when stretches of [`Texts::all`] are replaced, and what they become. The stretches
    /// are in order, and none lies within another.
    #[must_use]
    pub fn replaced(&self, changes: &[(Range<usize>, String)]) -> Vec<Changed<'_>> {
        let text = |place: Range<usize>| self.text.get(place).unwrap_or_default();
        let mut out: Vec<Changed<'_>> = Vec::new();
        for (place, with) in changes {
            for part in self.touched(place) {
                let (from, to) = (place.start.max(part.at.start), place.end.min(part.at.end));
                if out.last().is_none_or(|last| last.part != part) {
                    out.push(Changed::of(part, self.text(part)));
                }
                if let Some(changed) = out.last_mut() {
                    changed.put(text(changed.done..from), text(from..to), with);
                    changed.done = to;
                }
            }
        }
        out.iter_mut().for_each(|changed| changed.text.push_str(text(changed.done..changed.part.at.end)));
        out
    }

    /// The parts that a stretch of [`Texts::all`] has something of.
    pub fn touched(&self, place: &Range<usize>) -> impl Iterator<Item = &Part> {
        let first = self.parts.partition_point(|part| part.at.end <= place.start);
        let end = place.end;
        self.parts.get(first..).unwrap_or_default().iter().take_while(move |part| part.at.start < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str, of: fn(&Json) -> Texts) -> Vec<(String, Role)> {
        let body = Json::parse(Bytes::copy_from_slice(body.as_bytes())).expect("json");
        let texts = of(&body);
        let shown = |part: &Part| (texts.text(part).to_owned(), part.role);
        texts.parts().iter().filter(|part| part.role != Role::Key).map(shown).collect()
    }

    #[test]
    fn what_a_model_reads_is_told_from_what_programs_read() {
        let body = r#"{"content":[{"type":"text","text":"a\u0041"},{"type":"image","data":"AAAA"},{"type":"resource","resource":{"uri":"u","text":"b"}}],"structuredContent":{"text":"c"},"nextCursor":"d","_meta":{"progressToken":"e"}}"#;
        let all = texts(body, Texts::of);
        for (text, role) in [
            ("aA", Role::Prose),
            ("AAAA", Role::Blob),
            ("b", Role::Prose),
            ("u", Role::Value),
            ("c", Role::Value),
            ("d", Role::Opaque),
            ("e", Role::Opaque),
        ] {
            assert!(all.contains(&(text.to_owned(), role)), "{text}: {all:?}");
        }
        assert_eq!(
            texts(r#"{"messages":[{"role":"user","content":{"type":"text","text":"p"}}]}"#, Texts::of)[1..],
            [("text".to_owned(), Role::Value), ("p".to_owned(), Role::Prompt)]
        );
        assert_eq!(
            texts(r#"{"code":1,"message":"m","data":{"message":"n"}}"#, Texts::of_error),
            [("m".to_owned(), Role::Prose), ("n".to_owned(), Role::Value)]
        );
    }

    #[test]
    fn the_key_of_a_list_is_not_repeated_without_measure() {
        let (key, items) = ("k".repeat(100_000), 10_000);
        for item in ["1", r#""a""#, r#"["a"]"#, "[]", r#"{"a":"b"}"#] {
            for key in [key.clone(), format!("\\u0041{key}")] {
                let list = vec![item; items].join(",");
                let body = Json::parse(Bytes::from(format!(r#"{{"structuredContent":{{"{key}":[{list}]}}}}"#))).expect("json");
                let texts = Texts::of(&body);
                assert!(texts.all().len() < 3 * body.bytes().len() + REPEATED, "{item}: {}", texts.all().len());
                let strings = texts.parts().iter().filter(|part| part.role == Role::Value).count();
                assert_eq!(strings, if item.contains('"') { items } else { 0 }, "{item}");
            }
        }
        // What lists are usually like is as it was.
        let body = Json::parse(Bytes::from(format!(r#"{{"password":[{}]}}"#, vec![r#""hunter22""#; 1000].join(",")))).expect("json");
        assert_eq!(Texts::of(&body).all().matches(r#""password":"hunter22""#).count(), 1000);
    }

    #[test]
    fn no_list_takes_the_key_from_the_values_of_another() {
        let many = |item: &str, times: usize| vec![item; times].join(",");
        let long = "identifiers_that_somebody_has_chosen_to_be_longer_than_all_others".repeat(2);
        for (key, items) in
            [("identifiers", many(r#""7""#, 2500)), ("identifiers", many(r#""12345678""#, 5000)), (&*long, many(r#""12345678""#, 5000))]
        {
            let text = format!(r#"{{"structuredContent":{{"{key}":[{items}],"database_password":["hunter44xyz"]}}}}"#);
            let body = Json::parse(Bytes::from(text)).expect("json");
            let texts = Texts::of(&body);
            assert!(texts.all().contains(r#""database_password":"hunter44xyz""#), "{key}");
        }
    }

    #[test]
    fn every_string_and_every_key_is_there_once_and_in_its_place() {
        let body = Json::parse(Bytes::from_static(br#"{"a":{"k\u0031":["xxxxxx","y"]},"b":[[{"c":1}]],"d":""}"#)).expect("json");
        let texts = Texts::of(&body);
        assert_eq!(texts.all(), "a\nk1\n\"k1\":\"xxxxxx\"\ny\nb\nc\n\"d\":\"\"\n");
        for part in texts.parts().iter().filter(|part| part.role == Role::Value) {
            let raw = body.view().text().get(part.span.clone()).expect("a span");
            assert_eq!(raw.trim_matches('"'), texts.text(part));
        }
        let touched: Vec<_> = texts.touched(&(2..12)).map(|part| texts.text(part)).collect();
        assert_eq!(touched, ["k1", "k1", "xxxxxx"]);
    }
}
