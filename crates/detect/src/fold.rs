//! One plain form of a text: lower case, no accents, no look-alikes, nothing invisible, one blank between
//! words, and a line feed between sentences. What is folded alike reads alike.
//!
//! Letters: compatibility decomposition (UAX 15), then confusables (UTS 39) where they stand for ASCII.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A sentence ends here at the latest, so that what is compared with what stays bounded.
const SENTENCE: usize = 600;

/// The plain form of `text`.
#[must_use]
pub(crate) fn fold(text: &str) -> String {
    let mut folder = Folder { out: Vec::with_capacity(text.len() + 1), open: 0, wait: Gap::None };
    let (bytes, mut at) = (text.as_bytes(), 0);
    while let Some(byte) = bytes.get(at) {
        if is_within(*byte) {
            let rest = bytes.get(at..).unwrap_or_default();
            let line = folder.line(rest);
            let length = if line > 0 { line } else { rest.iter().position(|b| !is_within(*b)).unwrap_or(rest.len()) };
            folder.word(text.get(at..at + length).unwrap_or_default());
            at += length;
        } else if byte.is_ascii() {
            folder.take(char::from(*byte));
            at += 1;
        } else {
            let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
            if !is_invisible(c) {
                folder.foreign(c);
            }
            at += c.len_utf8();
        }
    }
    folder.text()
}

fn is_within(byte: u8) -> bool {
    WITHIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Plain characters that neither end a sentence nor stand between words.
const WITHIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[b as usize] = !matches!(b, b' ' | b'\t'..=b'\r' | b'.' | b'!' | b'?');
        }
        b += 1;
    }
    table
};

/// What stands between the last character and the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Blank,
    /// A mark that ends a sentence when a blank follows.
    Mark,
    Line,
    Sentence,
}

struct Folder {
    /// Whole characters.
    out: Vec<u8>,
    /// Where the sentence began.
    open: usize,
    wait: Gap,
}

impl Folder {
    fn text(self) -> String {
        String::from_utf8(self.out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn foreign(&mut self, c: char) {
        match c {
            '。' | '！' | '？' | '｡' | '।' | '؟' => self.wait = Gap::Sentence,
            '‘' | '’' | 'ʼ' => self.take('\''),
            '“' | '”' | '„' | '«' | '»' => self.take('"'),
            _ if c.is_whitespace() => self.take(' '),
            _ => std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c)).for_each(|c| self.letter(c)),
        }
    }

    fn letter(&mut self, c: char) {
        let plain = plain_letter(c);
        plain.to_lowercase().for_each(|c| self.take(c));
    }

    /// How many of these bytes stay as they are but for the case: words with a blank between two, as far as the sentence
    /// need not end.
    fn line(&self, bytes: &[u8]) -> usize {
        let room = SENTENCE.saturating_sub(self.out.len() - self.open + 1);
        let (mut end, mut blank) = (0, false);
        for (i, byte) in bytes.iter().take(room).enumerate() {
            match is_within(*byte) {
                true => (end, blank) = (i + 1, false),
                false if *byte == b' ' && !blank => blank = true,
                false => break,
            }
        }
        end
    }

    /// Plain characters that stand together; more than fit into a sentence are several.
    fn word(&mut self, mut word: &str) {
        while let Some(first) = word.as_bytes().first() {
            self.close(char::from(*first));
            let room = (2 * SENTENCE + 1).saturating_sub(self.out.len() - self.open).max(1);
            let (now, later) = word.split_at(room.min(word.len()));
            self.out.extend(now.as_bytes().iter().map(u8::to_ascii_lowercase));
            word = later;
        }
    }

    fn take(&mut self, c: char) {
        match c {
            '\n' | '\r' if matches!(self.wait, Gap::Line | Gap::Mark) => self.wait = Gap::Sentence,
            '\n' | '\r' => self.wait = self.wait_at_least(Gap::Line),
            ' ' | '\t' | '\u{b}' | '\u{c}' => {
                self.wait = if self.wait == Gap::Mark { Gap::Sentence } else { self.wait_at_least(Gap::Blank) };
            }
            _ => {
                self.close(c);
                self.out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                if matches!(c, '.' | '!' | '?') {
                    self.wait = Gap::Mark;
                }
            }
        }
    }

    const fn wait_at_least(&self, gap: Gap) -> Gap {
        match (self.wait, gap) {
            (Gap::None, _) | (Gap::Blank, Gap::Line) => gap,
            (other, _) => other,
        }
    }

    /// Writes what stands between, now that it is known what follows.
    fn close(&mut self, next: char) {
        let long = self.out.len() - self.open > SENTENCE;
        let item = self.wait == Gap::Line && matches!(next, '-' | '*' | '#' | '<' | '[');
        if self.wait == Gap::Sentence || item || (long && self.wait != Gap::None) || self.out.len() - self.open > 2 * SENTENCE {
            self.out.push(b'\n');
            self.open = self.out.len();
        } else if matches!(self.wait, Gap::Blank | Gap::Line) && !self.out.is_empty() {
            self.out.push(b' ');
        }
        self.wait = Gap::None;
    }
}

/// The ASCII letter that `c` stands for, or `c`.
pub(crate) fn plain_letter(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let enclosed = match u32::from(c) {
        // Squared, negative circled and negative squared letters have no decomposition.
        n @ 0x1f130..=0x1f149 => n.checked_sub(0x1f130),
        n @ 0x1f150..=0x1f169 => n.checked_sub(0x1f150),
        n @ 0x1f170..=0x1f189 => n.checked_sub(0x1f170),
        n @ 0x1f1e6..=0x1f1ff => n.checked_sub(0x1f1e6),
        _ => None,
    };
    if let Some(letter) = enclosed.and_then(|n| u8::try_from(n).ok()) {
        return char::from(b'a'.saturating_add(letter));
    }
    let mut buffer = [0; 4];
    let mut skeleton = unicode_security::skeleton(c.encode_utf8(&mut buffer));
    match (skeleton.next(), skeleton.next()) {
        (Some(one), None) if one.is_ascii_alphanumeric() => one,
        _ => c,
    }
}

/// At most the first `max` bytes, cut between two characters.
pub(crate) fn head(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// Letters and digits that show. The Hangul fillers are letters to Unicode, and nobody sees them.
pub(crate) fn is_written(c: char) -> bool {
    c.is_alphanumeric() && !is_invisible(c)
}

/// Characters without a shape of their own.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::{fold, head, is_written};

    #[test]
    fn folding_removes_dress_and_keeps_sentences() {
        assert_eq!(fold("Read  THIS.\nThen that"), "read this.\nthen that");
        assert_eq!(fold("soft\nwrap\n- item"), "soft wrap\n- item");
        assert_eq!(fold("n\u{435}w \u{440}\u{43e}l\u{456}\u{441}\u{443}"), "new policy");
        assert_eq!(fold("ｒｅａｄ Ünï\u{200b}code"), "read unicode");
        assert_eq!(fold("v1.2 ok"), "v1.2 ok");
        assert_eq!(fold("一。二"), format!("{}\n二", fold("一")));
    }

    #[test]
    fn hangul_fillers_are_not_seen() {
        for filler in ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'] {
            assert!(filler.is_alphabetic() && !is_written(filler));
            assert_eq!(fold(&format!("re{filler}ad")), "read");
        }
        assert!(is_written('한') && is_written('a'));
    }

    #[test]
    fn cuts_are_between_characters() {
        assert_eq!((head("aé", 2), head("aé", 3), head("aé", 9)), ("a", "aé", "aé"));
    }
}
