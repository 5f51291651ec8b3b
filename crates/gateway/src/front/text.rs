//! The text of an answer, in the parts that it was put together from: a long body that many are sent is not copied for
//! each of them.

use std::io::IoSlice;

use bartizan_monitor::wire::json::{Json, Members};
use bytes::{Buf, Bytes};

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

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.has_remaining()
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

// All parts are offered at once: a last part that is written by itself may wait until the client has read the others.
impl Buf for Text {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)
    }

    fn chunks_vectored<'t>(&'t self, slices: &mut [IoSlice<'t>]) -> usize {
        let parts = self.0.iter().filter(|part| !part.is_empty());
        slices.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        for part in &mut self.0 {
            let taken = count.min(part.len());
            part.advance(taken);
            count = count.saturating_sub(taken);
        }
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
            assert_eq!(text.remaining(), expected.len());
            for step in [1, 7, LONG] {
                let (mut text, mut read) = (text.clone(), Vec::new());
                while text.has_remaining() {
                    let mut slices = [IoSlice::new(&[]); 4];
                    let offered = text.chunks_vectored(&mut slices);
                    assert_eq!(slices[..offered].iter().map(|slice| slice.len()).sum::<usize>(), text.remaining(), "all of it, at once");
                    let chunk = step.min(text.chunk().len());
                    read.extend_from_slice(&text.chunk()[..chunk]);
                    // As far as a write got, which may be beyond a part.
                    text.advance(chunk);
                }
                assert_eq!(read, expected.as_bytes());
            }
            let mut rest = text.clone();
            rest.advance(expected.len() - 1);
            assert_eq!((rest.remaining(), rest.chunk()), (1, &b"}"[..]));
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
