//! Texts that are one JSON document: a program reads them, so they stay one.

use bytes::Bytes;

use super::Part;
use crate::wire::json::Json;

/// A part of which something was replaced.
#[derive(Debug)]
pub struct Changed<'t> {
    /// The part.
    pub part: &'t Part,
    /// What it becomes.
    pub text: String,
    pub(super) quotes: Option<Quotes>,
    pub(super) done: usize,
}

impl<'t> Changed<'t> {
    pub(super) fn of(part: &'t Part, text: &str) -> Self {
        Self { part, text: String::new(), quotes: is_document(text).then(Quotes::default), done: part.at.start }
    }

    /// Puts something where another stood; where a document has no string, it becomes one.
    pub(super) fn put(&mut self, before: &str, gone: &str, with: &str) {
        self.text.push_str(before);
        match &mut self.quotes {
            Some(quotes) => {
                quotes.pass(before);
                let bare = !quotes.within;
                self.text.extend([if bare { "\"" } else { "" }, with, if bare { "\"" } else { "" }]);
                quotes.pass(gone);
            }
            None => self.text.push_str(with),
        }
    }

    /// Whether it was a document, and this is none.
    #[must_use]
    pub fn is_broken_by(&self, text: &str) -> bool {
        self.quotes.is_some() && !is_document(text)
    }
}

/// Whether a document goes on in a string.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    within: bool,
    escaped: bool,
}

impl Quotes {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.within,
                b'"' => self.within = !self.within,
                _ => {}
            }
        }
    }
}

fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && Json::parse(Bytes::copy_from_slice(text.as_bytes())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Texts;

    #[test]
    fn what_was_a_document_stays_one_where_whole_values_are_replaced() {
        for (text, gone, left, broken) in [
            (r#"{"a":12,"b":"x\"12"}"#, "12", r#"{"a":"T","b":"x\"T"}"#, false),
            (r#"[12]"#, "12", r#"["T"]"#, false),
            (r#"[312]"#, "12", r#"[3"T"]"#, true),
            (r#"{"a":12"#, "12", r#"{"a":T"#, false),
            ("a 12", "12", "a T", false),
        ] {
            let body = Json::array([Json::string(text)]);
            let texts = Texts::of(&body);
            let changes: Vec<_> = texts.all().match_indices(gone).map(|(at, gone)| (at..at + gone.len(), "T".to_owned())).collect();
            let changed = texts.replaced(&changes);
            let changed = changed.last().expect("a change");
            assert_eq!(changed.text, left);
            assert_eq!(changed.is_broken_by(left), broken, "{text}");
        }
    }
}
