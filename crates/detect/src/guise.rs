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

/// Tells `note` about every kind of disguise, and where it begins. Plain characters are passed over many at a time.
pub(crate) fn look(text: &str, note: &mut dyn FnMut(Weight, usize)) {
    words(text, note);
    let (mut symbols, mut indicators, mut cells) = (0_usize, 0_usize, 0_usize);
    let (mut before, mut at) = (None, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = plain(rest);
        if let Some(last) = plain.as_bytes().last() {
            symbols = if plain.bytes().any(|b| b.is_ascii_alphanumeric()) { 0 } else { symbols };
            before = Some(char::from(*last));
            at += plain.len();
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        symbols += usize::from(is_symbol_letter(c));
        cells += usize::from(matches!(c, '\u{2840}'..='\u{28ff}'));
        indicators += usize::from(is_indicator(c) && before.is_none_or(|b: char| b == ' '));
        let reversed = matches!(c, '\u{202d}' | '\u{202e}');
        if symbols == SYMBOLS || indicators == INDICATORS || cells == CELLS {
            note(Weight::Block, at);
        }
        if reversed {
            note(Weight::Block, 0);
        }
        before = Some(c);
        at += c.len_utf8();
    }
}

/// The plain characters at the beginning.
fn plain(text: &str) -> &str {
    text.get(..text.bytes().position(|b| !b.is_ascii()).unwrap_or(text.len())).unwrap_or_default()
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

/// Words that mix Latin letters with look-alikes: those around what is not plain, as a plain word mixes nothing.
fn words(text: &str, note: &mut dyn FnMut(Weight, usize)) {
    let (bytes, mut done, mut until) = (text.as_bytes(), 0, 0);
    while let Some(rest) = text.get(done..).filter(|rest| !rest.is_empty()) {
        let plain = plain(rest);
        let letters = plain.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
        let (start, other) = (done + plain.len() - letters, done + plain.len());
        if until <= other {
            until = other + bytes.get(other..).unwrap_or_default().iter().take_while(|b| !b.is_ascii()).count();
        }
        // Most of what is not plain has no Latin letter next to it.
        if letters == 0 && !bytes.get(until).is_some_and(u8::is_ascii_alphabetic) {
            done = until;
            continue;
        }
        let rest = text.get(start..).unwrap_or_default();
        let other = |c: char| !c.is_alphabetic() && !is_invisible(c);
        let length = rest.find(other).unwrap_or(rest.len());
        if let Some(at) = mixed(rest.get(..length).unwrap_or_default()) {
            note(Weight::Block, start + at);
        }
        done = start + length + rest.get(length..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
}

/// Where a word begins that mixes Latin letters with look-alikes. One Greek letter is a symbol (α in a formula); one
/// Cyrillic letter in a Latin word is not.
fn mixed(word: &str) -> Option<usize> {
    if !word.bytes().any(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let letters = || word.char_indices().filter(|(_, c)| !is_invisible(*c));
    let (mut alike, mut cyrillic, mut count) = (0_usize, false, 0_usize);
    for (_, c) in letters() {
        count += 1;
        if is_neighbour(c) && stands_for(c).is_some() {
            alike += 1;
            cyrillic |= !matches!(c, '\u{370}'..='\u{3ff}');
        }
    }
    let mixes = count >= 3 && (alike >= 2 || alike == 1 && (cyrillic || count >= 5));
    letters().next().filter(|_| mixes).map(|(at, _)| at)
}

/// Scripts whose letters look like Latin ones: Greek, Cyrillic, Armenian, Cherokee, Lisu.
const fn is_neighbour(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}' | '\u{a4d0}'..='\u{a4ff}' | '\u{ab30}'..='\u{abbf}' | '\u{1f00}'..='\u{1fff}')
}
