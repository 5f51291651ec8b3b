//! Letters in disguise: look-alikes of another script within one word, and words made of symbols.

use unicode_normalization::UnicodeNormalization as _;

use crate::finding::Weight;
use crate::fold::is_invisible;
use crate::hidden::stands_for;

/// Symbols in a row that make words: mathematical, enclosed and full-width letters.
const SYMBOLS: usize = 9;
/// Single regional indicators: two of them side by side are a flag.
const INDICATORS: usize = 4;
/// Braille cells with a seventh or eighth dot, which no language writes.
const CELLS: usize = 6;

/// Tells `note` about every kind of disguise, and where it begins.
pub(crate) fn look(text: &str, note: &mut dyn FnMut(Weight, usize)) {
    words(text, note);
    let (mut symbols, mut indicators, mut cells, mut reversed) = (0_usize, 0_usize, 0_usize, false);
    let mut before = None;
    for (at, c) in text.char_indices() {
        symbols = if is_symbol_letter(c) {
            symbols + 1
        } else if c.is_ascii_alphanumeric() {
            0
        } else {
            symbols
        };
        cells += usize::from(matches!(c, '\u{2840}'..='\u{28ff}'));
        indicators += usize::from(is_indicator(c) && before.is_some_and(|b: char| b == ' ') || is_indicator(c) && before.is_none());
        reversed |= matches!(c, '\u{202d}' | '\u{202e}');
        if symbols == SYMBOLS || indicators == INDICATORS || cells == CELLS {
            note(Weight::Block, at);
        }
        before = Some(c);
    }
    if reversed {
        note(Weight::Block, 0);
    }
}

const fn is_indicator(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Letters that are drawn as symbols, whose plain form is in ASCII.
fn is_symbol_letter(c: char) -> bool {
    match c {
        '\u{ff21}'..='\u{ff5a}'
        | '\u{1d400}'..='\u{1d7ff}'
        | '\u{24b6}'..='\u{24e9}'
        | '\u{1f110}'..='\u{1f189}'
        | '\u{249c}'..='\u{24b5}' => true,
        '\u{2100}'..='\u{214f}' => std::iter::once(c).nfkc().all(|c| c.is_ascii_alphabetic()),
        _ => false,
    }
}

/// Words that mix Latin letters with look-alikes.
fn words(text: &str, note: &mut dyn FnMut(Weight, usize)) {
    let mut word = Word::default();
    for (at, c) in text.char_indices() {
        if is_invisible(c) {
            continue;
        }
        if c.is_alphabetic() {
            word.take(c, at);
        } else {
            word.close(note);
        }
    }
    word.close(note);
}

#[derive(Default)]
struct Word {
    at: usize,
    letters: usize,
    latin: usize,
    alike: usize,
    cyrillic: bool,
}

impl Word {
    fn take(&mut self, c: char, at: usize) {
        if self.letters == 0 {
            self.at = at;
        }
        self.letters += 1;
        self.latin += usize::from(c.is_ascii_alphabetic());
        if is_neighbour(c) && stands_for(c).is_some() {
            self.alike += 1;
            self.cyrillic |= !matches!(c, '\u{370}'..='\u{3ff}');
        }
    }

    /// One Greek letter is a symbol (α in a formula); one Cyrillic letter in a Latin word is not.
    fn close(&mut self, note: &mut dyn FnMut(Weight, usize)) {
        if self.latin > 0 && self.letters >= 3 && (self.alike >= 2 || self.alike == 1 && (self.cyrillic || self.letters >= 5)) {
            note(Weight::Block, self.at);
        }
        *self = Self::default();
    }
}

/// Scripts whose letters look like Latin ones: Greek, Cyrillic, Armenian, Cherokee, Lisu.
const fn is_neighbour(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}' | '\u{a4d0}'..='\u{a4ff}' | '\u{ab30}'..='\u{abbf}' | '\u{1f00}'..='\u{1fff}')
}
