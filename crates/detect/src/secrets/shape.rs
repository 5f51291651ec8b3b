//! What a value looks like: literals and runs of characters, read from a short notation. `ghp_<w36>` is the text
//! `ghp_` and exactly 36 letters or digits; `<u20->` is 20 characters or more, `<d8-10>` eight to ten. Runs are
//! greedy and nothing is tried twice, so that matching is linear.

/// Runs without an upper bound end here.
const LONGEST: usize = 2048;

/// A set of ASCII characters, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u128);

impl Class {
    pub(super) const DIGIT: Self = Self(0).span(b'0', b'9');
    pub(super) const HEX: Self = Self::DIGIT.span(b'a', b'f').span(b'A', b'F');
    pub(super) const WORD: Self = Self::DIGIT.span(b'a', b'z').span(b'A', b'Z');
    pub(super) const URL: Self = Self::WORD.span(b'_', b'_').span(b'-', b'-');
    pub(super) const BASE64: Self = Self::WORD.span(b'+', b'+').span(b'/', b'/').span(b'=', b'=');

    const fn span(self, first: u8, last: u8) -> Self {
        let mut bits = self.0;
        let mut at = first;
        while at <= last {
            bits |= 1 << at;
            at += 1;
        }
        Self(bits)
    }

    /// The class of a letter in the notation; an unknown one is empty, and a test finds it.
    const fn of(letter: u8) -> Self {
        match letter {
            b'd' => Self::DIGIT,
            b'x' => Self::DIGIT.span(b'a', b'f'),
            b'X' => Self::HEX,
            b'w' => Self::WORD,
            b'W' => Self::WORD.span(b'_', b'_'),
            b'u' => Self::URL,
            b'b' => Self::BASE64,
            b'U' => Self::DIGIT.span(b'A', b'Z'),
            b'l' => Self::DIGIT.span(b'a', b'z'),
            b'L' => Self(0).span(b'a', b'z'),
            b'T' => Self(0).span(b'A', b'Z'),
            b'A' => Self(0).span(b'A', b'Z').span(b'2', b'7'),
            b's' => Self::URL.span(b'.', b'.').span(b'=', b'=').span(b'+', b'+').span(b'/', b'/').span(b'~', b'~'),
            b'g' => Self::URL.span(b'.', b'.'),
            b'G' => Self::URL.span(b'=', b'='),
            _ => Self(0),
        }
    }

    pub(super) const fn has(self, byte: u8) -> bool {
        byte < 128 && (self.0 >> byte) & 1 == 1
    }
}

#[derive(Debug, Clone, Copy)]
enum Piece {
    Text(&'static [u8]),
    Run { class: Class, min: usize, max: usize },
}

/// A value's shape.
#[derive(Debug, Clone)]
pub(super) struct Shape(Vec<Piece>);

impl Shape {
    /// Reads the notation.
    pub(super) fn read(text: &'static str) -> Self {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((literal, tail)) = rest.split_once('<') {
            if !literal.is_empty() {
                pieces.push(Piece::Text(literal.as_bytes()));
            }
            let (run, tail) = tail.split_once('>').unwrap_or((tail, ""));
            let letter = run.bytes().next().unwrap_or(0);
            let count = run.get(1..).unwrap_or_default();
            let (low, high) = count.split_once('-').unwrap_or((count, count));
            let (min, max) = (low.parse().unwrap_or(1), if high.is_empty() { LONGEST } else { high.parse().unwrap_or(0) });
            pieces.push(Piece::Run { class: Class::of(letter), min, max });
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.as_bytes()));
        }
        Self(pieces)
    }

    /// Where a value of this shape ends that begins here; what follows must not look like more of it.
    pub(super) fn end(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        let mut last = Class(0);
        for piece in &self.0 {
            match *piece {
                Piece::Text(text) => {
                    at = bytes.get(at..)?.starts_with(text).then(|| at.saturating_add(text.len()))?;
                    last = Class(0);
                }
                Piece::Run { class, min, max } => {
                    at = run(bytes, at, (class, min, max))?;
                    // Punctuation after a run of exact length may be the text's own.
                    last = class;
                }
            }
        }
        let more = bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() && last.has(*byte));
        (!more).then_some(at)
    }

    /// The sets of characters for the first four bytes: which of them a text must have for this to be looked at.
    pub(super) fn head(&self) -> [Vec<u8>; 4] {
        let mut sets: Vec<Vec<u8>> = Vec::new();
        for piece in &self.0 {
            if sets.len() >= 4 {
                break;
            }
            match *piece {
                Piece::Text(text) => sets.extend(text.iter().take(4).map(|byte| vec![*byte])),
                Piece::Run { class, min, .. } => {
                    let all: Vec<u8> = (0..128).filter(|byte| class.has(*byte)).collect();
                    sets.extend(std::iter::repeat_n(all, min.clamp(1, 4)));
                }
            }
        }
        sets.resize(4, (0..128).collect());
        sets.truncate(4);
        sets.try_into().unwrap_or_default()
    }
}

fn run(bytes: &[u8], from: usize, (class, min, max): (Class, usize, usize)) -> Option<usize> {
    let (mut at, mut count) = (from, 0_usize);
    while count < max {
        match bytes.get(at) {
            Some(byte) if class.has(*byte) => {
                at = at.saturating_add(1);
                count = count.saturating_add(1);
            }
            // A value that is broken over lines goes on where the next one begins.
            Some(_) if (4..min).contains(&count) => match glue(bytes, at) {
                Some(next) => at = next,
                None => break,
            },
            _ => break,
        }
    }
    (count >= min).then_some(at)
}

/// What joins two halves of a value that somebody broke over lines: a line break with or without a backslash,
/// quotes, a plus and the indentation of the next line.
fn glue(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?.get(..24).or_else(|| bytes.get(from..))?;
    let width = rest.iter().take_while(|byte| b"\\\"'+ \t\r\n".contains(byte)).count();
    let between = rest.get(..width)?;
    let joined = between.contains(&b'\n') || (between.contains(&b'+') && between.iter().any(|byte| b"\"'".contains(byte)));
    joined.then(|| from.saturating_add(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(shape: &'static str, text: &str) -> bool {
        Shape::read(shape).end(text.as_bytes(), 0) == Some(text.len())
    }

    #[test]
    fn the_notation_means_what_it_says() {
        assert!(whole("ab_<d3>", "ab_123"));
        assert!(!whole("ab_<d3>", "ab_12"));
        assert!(Shape::read("ab_<d3>").end(b"ab_1234", 0).is_none());
        assert!(whole("<d2-4>:<w3->", "12:abcdef"));
        assert_eq!(Shape::read("ab_<d3>").end(b"ab_123,4", 0), Some(6));
    }

    #[test]
    fn a_value_may_be_broken_over_lines() {
        assert!(whole("ab_<d9>", "ab_12345\\\n    6789"));
        assert!(whole("ab_<d9>", "ab_12345\" +\n \"6789"));
        assert!(!whole("ab_<d9>", "ab_12345 6789"));
    }
}
