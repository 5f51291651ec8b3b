//! What is written and not seen: invisible characters, disguised letters, control characters, padding.
//!
//! Scripts and emoji need joiners, marks and selectors; these are told apart by what they stand next to.
//! Sources: Unicode 17 core specification 23, UAX 9, UTR 36, UTS 39, UTS 51, ECMA-48.

use crate::finding::{Class, Weight};
use crate::fold::{is_invisible, is_written, plain_letter};

/// What a text is for: a definition has no reason for a colour, the output of a program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// A name, a description, a schema.
    Definition,
    /// What a tool returned.
    Content,
}

/// Something unseen, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) class: Class,
    pub(crate) weight: Weight,
    pub(crate) at: usize,
}

/// What was seen, at most once per kind.
#[derive(Debug, Default)]
pub(crate) struct Sights {
    pub(crate) seen: Vec<Sight>,
    /// What invisible characters spell, if they spell something.
    pub(crate) spelled: String,
}

impl Sights {
    fn note(&mut self, class: Class, weight: Weight, at: usize) {
        match self.seen.iter_mut().find(|sight| sight.class == class) {
            Some(sight) => sight.weight = sight.weight.max(weight),
            None => self.seen.push(Sight { class, weight, at }),
        }
    }
}

/// Blanks in a row that push text out of sight.
const BLANKS: usize = 80;
/// Empty lines in a row that do.
const LINES: usize = 15;

/// No character before this one is a combining mark.
const FIRST_MARK: char = '\u{300}';

/// Looks at every character once, and at plain ones many at a time.
pub(crate) fn look(text: &str, setting: Setting) -> Sights {
    let mut sights = Sights::default();
    padding(text, setting, &mut sights);
    // To the end, so that the compiler takes many bytes at a time.
    if text.bytes().fold(0, |odd: u8, b| odd | u8::from((b < b' ') & (b != b'\n') & (b != b'\t')) | u8::from(b == 0x7f)) != 0 {
        controls(text, setting, &mut sights);
    }
    if !text.is_ascii() {
        unseen(text, &mut sights);
        crate::guise::look(text, &mut |weight, at| sights.note(Class::Disguised, weight, at));
    }
    sights
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Runs of blanks or line feeds with something after them.
fn padding(text: &str, setting: Setting, sights: &mut Sights) {
    // Code is indented with tabs, and deeply.
    let tab = if setting == Setting::Content { 1 } else { 8 };
    // Every run that is long enough, be it of tabs, has a few bytes in it that are looked at together.
    const STEP: usize = BLANKS / 8 / 2;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(few) = bytes.get(at..at + STEP) {
        if !few.iter().all(|b| is_blank(*b)) {
            at += STEP;
            continue;
        }
        let start = bytes.get(..at).unwrap_or_default().iter().rposition(|b| !is_blank(*b)).map_or(0, |last| last + 1);
        let run = bytes.get(start..).unwrap_or_default();
        let length = run.iter().position(|b| !is_blank(*b)).unwrap_or(run.len());
        let (mut blanks, mut lines) = (0, 0);
        for b in run.get(..length).unwrap_or_default() {
            match b {
                b'\n' => (blanks, lines) = (0, lines + 1),
                b'\r' => {}
                b'\t' => blanks += tab,
                _ => blanks += 1,
            }
        }
        at = start + length;
        if (blanks >= BLANKS || lines > LINES) && at < bytes.len() {
            sights.note(Class::Padding, Weight::Block, start.saturating_sub(1));
        }
    }
}

/// C0 controls and escape sequences.
fn controls(text: &str, setting: Setting, sights: &mut Sights) {
    let end = text.trim_end_matches(['\r', '\n']).len();
    for (at, c) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        match c {
            '\n' | '\t' => {}
            // A lone carriage return writes over the line.
            '\r' if at >= end || rest.starts_with("\r\n") => {}
            '\u{1b}' if setting == Setting::Content && is_colour(rest) => {}
            '\0'..='\u{1f}' | '\u{7f}' => sights.note(Class::Control, Weight::Block, at),
            _ => {}
        }
    }
}

/// Whether an escape sequence only colours, and leaves the text readable.
fn is_colour(sequence: &str) -> bool {
    let Some(rest) = sequence.strip_prefix("\u{1b}[") else { return false };
    let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    let numbers: Vec<&str> = rest.get(..length).unwrap_or_default().split(';').collect();
    let has = |n: &str| numbers.contains(&n);
    // 8 conceals, and a letter in the colour of its ground is not seen either.
    let concealed = has("8")
        || (0..8).any(|n| has(&format!("3{n}")) && has(&format!("4{n}")))
        || (0..8).any(|n| has(&format!("9{n}")) && (has(&format!("10{n}")) || has(&format!("4{n}"))))
        || has("37") && has("107")
        || has("38") && has("48")
        || numbers.iter().any(|n| n.len() > 3);
    rest.as_bytes().get(length) == Some(&b'm') && !concealed
}

/// Invisible characters where no script and no emoji asks for them.
fn unseen(text: &str, sights: &mut Sights) {
    let mut walk = Walk { before: None, flag: false, private: 0, marks: 0, bits: 0, fillers: 0 };
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        if let Some(last) = plain.checked_sub(1).and_then(|last| rest.as_bytes().get(last)) {
            walk.plain(char::from(*last));
            at += plain;
            continue;
        }
        let mut chars = rest.chars();
        let (Some(c), next) = (chars.next(), chars.next()) else { return };
        if let Some(weight) = walk.judge(c, next, at) {
            sights.note(Class::Hidden, weight, at);
        }
        if let Some(letter) = spelled(c) {
            sights.spelled.push(letter);
        }
        if matches!(c, '\u{80}'..='\u{9f}') {
            sights.note(Class::Control, Weight::Block, at);
        }
        if matches!(c, '\u{2028}' | '\u{2029}') && next.is_some() {
            sights.note(Class::Padding, Weight::Block, at);
        }
        at += c.len_utf8();
    }
}

/// What is known about the characters before.
struct Walk {
    before: Option<char>,
    /// Inside the tags of a flag.
    flag: bool,
    private: usize,
    marks: usize,
    bits: usize,
    fillers: usize,
}

impl Walk {
    /// A run of plain characters, by its last one.
    const fn plain(&mut self, last: char) {
        *self = Self { before: Some(last), flag: false, private: 0, marks: 0, bits: 0, fillers: 0 };
    }

    fn judge(&mut self, c: char, next: Option<char>, at: usize) -> Option<Weight> {
        self.flag = matches!(c, '\u{1f3f4}') || (self.flag && matches!(c, '\u{e0020}'..='\u{e007f}'));
        self.private = if spells_privately(c) { self.private + 1 } else { 0 };
        let mark = c >= FIRST_MARK && unicode_normalization::char::is_combining_mark(c) && !is_invisible(c);
        self.marks = if mark { self.marks + 1 } else { 0 };
        self.bits = if is_bit(c) { self.bits + 1 } else { 0 };
        self.fillers = if matches!(c, '\u{3164}' | '\u{115f}' | '\u{1160}' | '\u{ffa0}' | '\u{2800}') { self.fillers + 1 } else { 0 };
        let stacked = self.marks >= 3 && self.before.is_some();
        let verdict = self.private >= 5 || stacked || self.fillers >= 8 || self.bits >= 4;
        let weight = if verdict { Some(Weight::Block) } else { self.alone(c, next, at) };
        // A flag is a handful of tags, not a letter.
        if !is_invisible(c) && self.marks == 0 {
            self.before = Some(c);
        }
        weight
    }

    /// One character, by what it stands next to.
    fn alone(&self, c: char, next: Option<char>, at: usize) -> Option<Weight> {
        let joins = |c: Option<char>| c.is_some_and(|c| needs_joiners(c) || is_pictograph(c));
        let rtl = |c: Option<char>| c.is_some_and(is_right_to_left);
        let fine = match c {
            '\u{feff}' => at == 0,
            '\u{200c}' | '\u{200d}' => joins(self.before) && (next.is_none() || joins(next) || next.is_some_and(char::is_whitespace)),
            '\u{200e}' | '\u{200f}' | '\u{61c}' => {
                rtl(self.before) || rtl(next) || at > 0 && self.before.is_some_and(|c| !c.is_alphabetic())
            }
            '\u{2061}'..='\u{2064}' => self.bits <= 1 && next.is_some_and(|n| !is_bit(n)),
            '\u{fe00}'..='\u{fe0f}' => {
                self.before.is_some_and(|b| !b.is_ascii_alphabetic() && !b.is_whitespace()) && !next.is_some_and(is_selector)
            }
            '\u{e0100}'..='\u{e01ef}' => self.before.is_some_and(is_ideograph) && !next.is_some_and(is_selector),
            '\u{180b}'..='\u{180f}' => self.before.is_some_and(|b| matches!(b, '\u{1800}'..='\u{18af}')),
            '\u{e0020}'..='\u{e007f}' => self.flag && matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}' | '\u{e007f}'),
            // A soft hyphen between two letters of a long word, or a break between scripts that write no blanks.
            '\u{ad}' => self.bits <= 1 && self.before.is_some_and(char::is_alphabetic) && next.is_some_and(is_written),
            '\u{200b}' | '\u{2060}' => self.before.is_some_and(writes_no_blanks) && next.is_some_and(writes_no_blanks),
            // Old Hangul: a syllable that lacks a part, before one that shows.
            '\u{115f}' | '\u{1160}' => next.is_some_and(|n| matches!(n, '\u{1161}'..='\u{11ff}')),
            '\u{3164}' | '\u{ffa0}' => false,
            _ => !is_invisible(c),
        };
        (!fine).then_some(Weight::Block)
    }
}

/// Characters that are used in long runs as the digits of a code.
const fn is_bit(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200c}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}')
}

const fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

const fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}')
}

/// Scripts that write with zero-width joiners: Arabic, Syriac, the Indic ones, Khmer, Mongolian.
const fn needs_joiners(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{1a20}'..='\u{1cff}' | '\u{a800}'..='\u{abff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

const fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Scripts in which a break may be marked by a character, as nobody writes blanks.
const fn writes_no_blanks(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

const fn spells_privately(c: char) -> bool {
    matches!(c, '\u{e020}'..='\u{e07e}' | '\u{f020}'..='\u{f07e}' | '\u{f0020}'..='\u{f007e}' | '\u{100020}'..='\u{10007e}')
}

/// The ASCII character that an invisible one stands for: tags, selectors, private use, eight-dot Braille.
fn spelled(c: char) -> Option<char> {
    let code = u32::from(c);
    let letter = match code {
        0xe0020..=0xe007e => code - 0xe0000,
        0xe0110..=0xe016e => code - 0xe0100 + 16,
        0xe020..=0xe07e => code - 0xe000,
        0xf020..=0xf07e => code - 0xf000,
        0x2820..=0x287e => code - 0x2800,
        _ => return None,
    };
    char::from_u32(letter)
}

/// Folding for what is spelled by runs of symbols: see `guise`.
pub(crate) fn stands_for(c: char) -> Option<char> {
    let plain = plain_letter(c);
    (plain != c && plain.is_ascii_alphabetic()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<Class> {
        look(text, Setting::Definition).seen.iter().map(|sight| sight.class).collect()
    }

    #[test]
    fn hangul_fillers_are_hidden_wherever_they_fill_nothing() {
        for text in ["a\u{115f}b", "a\u{1160}b", "a\u{3164}b", "a\u{ffa0}b", "\u{115f}\u{1160}b", "a\u{ad}\u{3164}b"] {
            assert_eq!(seen(text), [Class::Hidden], "{text:?}");
        }
        assert!(seen("\u{115f}\u{1161}").is_empty());
    }

    #[test]
    fn line_ends_at_the_end_are_no_control_characters_and_cost_one_look() {
        assert!(seen("a\r\nb\r\n\r\r").is_empty());
        assert_eq!(seen("a\rb\r"), [Class::Control]);
        // Looking at the rest from each would take hours.
        assert!(seen(&"\r".repeat(4 << 20)).is_empty());
    }
}
