//! One plain form of a text: lower case, no accents, no look-alikes, nothing invisible, one blank between
//! words, and a line feed between sentences. What is folded alike reads alike.
//!
//! Letters: compatibility decomposition (UAX 15), then confusables (UTS 39) where they stand for ASCII.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A sentence ends here at the latest, so that what is compared with what stays bounded.
const SENTENCE: usize = 600;
/// And here, within a word.
pub(crate) const LONGEST: usize = 2 * SENTENCE + 1;

/// The plain form of `text`.
#[must_use]
pub(crate) fn fold(text: &str) -> String {
    let mut folder = Folder { out: Vec::with_capacity(text.len() + 1), ..Folder::default() };
    let mut at = 0;
    while let Some(next) = folder.step(text, at) {
        at = next;
    }
    folder.text()
}

/// The plain form of a text, sentence by sentence.
pub(crate) struct Sentences {
    folder: Folder,
    /// Where in the text the next sentence begins, and where to go on.
    start: usize,
    at: usize,
    after: Break,
}

/// One sentence of a text.
pub(crate) struct Sentence<'a> {
    /// Where it stands in the text.
    pub(crate) place: Range<usize>,
    /// Its plain form. Other than in a folded text, a line feed may be inside if one character stands for two sentences.
    pub(crate) plain: &'a [u8],
    /// Whether there was a character without a shape in it that scripts, emoji and hyphens do not ask for.
    pub(crate) unseen: bool,
    /// What stands between it and the one before.
    pub(crate) after: Break,
}

/// What ends a sentence.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// A mark, an empty line, an item of a list, or its length.
    #[default]
    Sentence,
    /// No more than a line, which the next does not seem to go on with; a folded text has a blank here.
    Line,
}

impl Default for Sentences {
    fn default() -> Self {
        let known = vec![(NO_LETTER, [NO_LETTER; FEW]); KNOWN];
        Self { folder: Folder { known, lines: Lines::Apart, ..Folder::default() }, start: 0, at: 0, after: Break::Sentence }
    }
}

impl Sentences {
    /// Begins another text, with the memory of the one before.
    pub(crate) fn begin(&mut self) {
        let Folder { mut out, known, .. } = std::mem::take(&mut self.folder);
        out.clear();
        *self = Self { folder: Folder { out, known, lines: Lines::Apart, ..Folder::default() }, start: 0, at: 0, after: Break::Sentence };
    }

    /// The next sentence of the text that was begun, or nothing at its end.
    pub(crate) fn next(&mut self, text: &str) -> Option<Sentence<'_>> {
        let begun = self.folder.ended.take().unwrap_or(self.folder.out.len());
        self.folder.out.drain(..begun);
        self.folder.open = 0;
        let mut end = text.len();
        while let Some(next) = self.folder.step(text, self.at) {
            let at = std::mem::replace(&mut self.at, next);
            if self.folder.ended.is_some() {
                end = at;
                break;
            }
        }
        let place = std::mem::replace(&mut self.start, end)..end;
        let length = self.folder.ended.map_or(self.folder.out.len(), |open| open - 1);
        let unseen = std::mem::take(&mut self.folder.unseen);
        let after = std::mem::replace(&mut self.after, self.folder.by);
        (place.start < text.len()).then(|| Sentence { place, plain: self.folder.out.get(..length).unwrap_or_default(), unseen, after })
    }
}

fn is_within(byte: u8) -> bool {
    WITHIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// How many plain characters stand at the beginning of these bytes, looked at eight at a time.
fn within(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        match strange(u64::from_le_bytes(*eight)) {
            0 => at += 8,
            found => return at + found.trailing_zeros() as usize / 8,
        }
    }
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|byte| is_within(**byte)).count()
}

/// The highest bit of each byte that is not within a word.
const fn strange(eight: u64) -> u64 {
    const fn all(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // No sum of seven bits and seven bits goes into the next byte.
    const fn least(low: u64, byte: u8) -> u64 {
        low.wrapping_add(all(0x80 - byte))
    }
    let low = eight & all(0x7f);
    let blank = (least(low, b'\t') & !least(low, b'\r' + 1)) | (least(low, b' ') & !least(low, b'!' + 1));
    let mark = (least(low, b'.') & !least(low, b'.' + 1)) | (least(low, b'?') & !least(low, b'?' + 1));
    (blank | mark | eight) & all(0x80)
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
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Gap {
    #[default]
    None,
    Blank,
    /// A mark that ends a sentence when a blank follows.
    Mark,
    Line,
    /// A line, and blanks after it.
    Indent,
    Sentence,
}

#[derive(Default)]
struct Folder {
    /// Whole characters.
    out: Vec<u8>,
    /// Where the sentence began.
    open: usize,
    /// Where the first sentence after the one that was asked for began.
    ended: Option<usize>,
    wait: Gap,
    /// Whether there was a character without a shape.
    unseen: bool,
    /// What characters stand for, of those that came last.
    known: Vec<(char, [char; FEW])>,
    lines: Lines,
    /// What the last sentence ended with.
    by: Break,
}

/// What becomes of lines.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Text is wrapped: a line goes on in the next.
    #[default]
    Wrapped,
    /// It does so only where the next begins with a small letter.
    Apart,
}

/// How many characters are remembered, and of those with how many letters.
const KNOWN: usize = 512;
const FEW: usize = 3;
/// Stands where there is none.
const NO_LETTER: char = '\0';

/// What a character beyond ASCII stands for.
fn letters(c: char) -> impl Iterator<Item = char> {
    let plain = std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c)).map(plain_letter);
    plain.flat_map(char::to_lowercase)
}

impl Folder {
    /// Takes the next few plain characters or the next other one. Where it ends, or nothing at the end of the text.
    fn step(&mut self, text: &str, at: usize) -> Option<usize> {
        let rest = text.as_bytes().get(at..)?;
        let byte = *rest.first()?;
        if is_within(byte) {
            let line = self.line(rest);
            let length = if line > 0 { line } else { within(rest.get(..LONGEST).unwrap_or(rest)) };
            Some(at + self.plain(byte, rest.get(..length).unwrap_or_default()))
        } else if byte == b' ' {
            // Many blanks are one.
            self.take(' ');
            Some(at + rest.iter().take_while(|byte| **byte == b' ').count())
        } else if byte.is_ascii() {
            self.take(char::from(byte));
            Some(at + 1)
        } else {
            let c = text.get(at..)?.chars().next()?;
            match is_invisible(c) {
                true => self.unseen |= !is_usual(c),
                false => self.foreign(c),
            }
            Some(at + c.len_utf8())
        }
    }

    fn text(self) -> String {
        String::from_utf8(self.out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn foreign(&mut self, c: char) {
        match c {
            '。' | '！' | '？' | '｡' | '।' | '؟' => self.wait = Gap::Sentence,
            '‘' | '’' | 'ʼ' => self.take('\''),
            '“' | '”' | '„' | '«' | '»' => self.take('"'),
            _ if c.is_whitespace() => self.take(' '),
            _ => match self.remembered(c) {
                Some(few) => few.into_iter().take_while(|c| *c != NO_LETTER).for_each(|c| self.take(c)),
                None => letters(c).for_each(|c| self.take(c)),
            },
        }
    }

    /// The letters of a character that is one of few, if there is memory for such.
    fn remembered(&mut self, c: char) -> Option<[char; FEW]> {
        let known = self.known.get_mut(u32::from(c) as usize % KNOWN)?;
        if known.0 != c {
            let mut few = [NO_LETTER; FEW];
            let mut all = letters(c);
            few.iter_mut().zip(&mut all).for_each(|(slot, letter)| *slot = letter);
            if all.next().is_some() {
                return None;
            }
            *known = (c, few);
        }
        Some(known.1)
    }

    /// How many of these bytes stay as they are but for the case: words with a blank between two, as far as the sentence
    /// need not end.
    fn line(&self, bytes: &[u8]) -> usize {
        let room = SENTENCE.saturating_sub(self.out.len() - self.open + 1);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let mut end = 0;
        loop {
            let word = within(bytes.get(end..).unwrap_or_default());
            end += word;
            if word == 0 || bytes.get(end) != Some(&b' ') || !bytes.get(end + 1).is_some_and(|byte| is_within(*byte)) {
                return end;
            }
            end += 1;
        }
    }

    /// Plain characters that stand together, as many as fit into a sentence. How many these are.
    fn plain(&mut self, first: u8, all: &[u8]) -> usize {
        self.close(char::from(first));
        let room = LONGEST.saturating_sub(self.out.len() - self.open).max(1);
        let now = all.get(..room).unwrap_or(all);
        let from = self.out.len();
        self.out.extend_from_slice(now);
        self.out.get_mut(from..).unwrap_or_default().make_ascii_lowercase();
        now.len()
    }

    fn take(&mut self, c: char) {
        match c {
            '\n' if matches!(self.wait, Gap::Line | Gap::Indent | Gap::Mark) => self.wait = Gap::Sentence,
            '\n' => self.wait = self.wait_at_least(Gap::Line),
            // The end of a line may have two characters.
            ' ' | '\t' | '\r' | '\u{b}' | '\u{c}' => {
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
            (Gap::Line, Gap::Blank) => Gap::Indent,
            (other, _) => other,
        }
    }

    /// Writes what stands between, now that it is known what follows.
    fn close(&mut self, next: char) {
        let long = self.out.len() - self.open > SENTENCE;
        let item = matches!(self.wait, Gap::Line | Gap::Indent) && matches!(next, '-' | '*' | '#' | '<' | '[');
        let apart = self.lines == Lines::Apart && (self.wait == Gap::Indent || (self.wait == Gap::Line && !next.is_ascii_lowercase()));
        let ends = self.wait == Gap::Sentence || item || (long && self.wait != Gap::None) || self.out.len() - self.open >= LONGEST;
        if ends || apart {
            self.by = if ends { Break::Sentence } else { Break::Line };
            self.out.push(b'\n');
            self.open = self.out.len();
            self.ended = self.ended.or(Some(self.open));
        } else if matches!(self.wait, Gap::Blank | Gap::Line | Gap::Indent) && !self.out.is_empty() {
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

/// Characters without a shape that honest texts are full of.
const fn is_usual(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
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
        assert_eq!(fold("soft\r\nwrap\r\n\r\nnew"), "soft wrap\nnew");
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
