//! The text of an answer, in the parts that it was put together from: a long body that many are sent is not copied for
//! each of them.

use bartizan_monitor::wire::json::{Json, Members};
use bytes::Bytes;

/// From this length on a body is not copied. Below it, one write of one part is cheaper.
const LONG: usize = 16 * 1024;

/// One JSON text. Its parts stand one after the other.
#[derive(Debug, Clone, Default)]
pub struct Text([Bytes; 3]);

impl Text {
    /// The message that ends with this member.
    pub(super) fn of(mut message: Members, member: &str, body: &Json) -> Self {
        if body.bytes().len() >= LONG {
            return Self(message.end_with(member, body));
        }
        message.json(member, body);
        message.end().bytes().clone().into()
    }

    /// How long it is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// The next part, which is taken out.
    pub(super) fn next_part(&mut self) -> Option<Bytes> {
        self.0.iter_mut().find(|part| !part.is_empty()).map(std::mem::take)
    }

    /// All of it, in one piece.
    #[must_use]
    pub fn whole(mut self) -> Bytes {
        let (first, rest) = (self.next_part().unwrap_or_default(), self);
        if rest.is_empty() { first } else { [&first[..], &rest.0.concat()].concat().into() }
    }
}

impl From<Bytes> for Text {
    fn from(text: Bytes) -> Self {
        Self([text, Bytes::new(), Bytes::new()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_bodies_become_the_same_message() {
        for length in [0, LONG - 3, LONG - 2, LONG * 3] {
            let body = Json::string(&"x".repeat(length));
            let message = || {
                let mut message = Members::new();
                message.string("jsonrpc", "2.0");
                message
            };
            let text = Text::of(message(), "result", &body);
            let expected = format!("{{\"jsonrpc\":\"2.0\",\"result\":{body}}}");
            assert_eq!(text.len(), expected.len());
            assert_eq!(text.clone().whole(), expected);
            let parts: Vec<Bytes> = std::iter::successors(Some((text, None)), |(text, _)| {
                let mut text = text.clone();
                let part = text.next_part()?;
                Some((text, Some(part)))
            })
            .filter_map(|(_, part)| part)
            .collect();
            assert_eq!(parts.concat(), expected.as_bytes());
            assert_eq!(parts.len(), if body.bytes().len() < LONG { 1 } else { 3 });
        }
    }
}
