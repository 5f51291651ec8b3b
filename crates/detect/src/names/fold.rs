//! What a reader sees of a name.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Digits that stand for a letter, in two readings. Within a reading no two digits are the same
/// letter, so that `size_6` and `size_8` stay apart.
const DIGITS: [[char; 10]; 2] = [['o', 'l', 'z', 'e', 'a', 's', '6', 't', 'b', 'g'], ['o', 'l', '2', 'e', 'a', 's', 'b', '7', '8', 'q']];

/// Small capitals and other letters that TR39 leaves alone because they are not lower-case letters of
/// the common typefaces. Skeletons of lower-case Cyrillic and Greek letters are among them.
const SMALL: [(char, char); 23] = [
    ('ᴀ', 'a'),
    ('ʙ', 'b'),
    ('ᴄ', 'c'),
    ('ᴅ', 'd'),
    ('ᴇ', 'e'),
    ('ꜰ', 'f'),
    ('ɢ', 'g'),
    ('ʜ', 'h'),
    ('ɪ', 'i'),
    ('ᴊ', 'j'),
    ('ᴋ', 'k'),
    ('ĸ', 'k'),
    ('ʟ', 'l'),
    ('ᴍ', 'm'),
    ('ʍ', 'm'),
    ('ɴ', 'n'),
    ('ᴏ', 'o'),
    ('ᴘ', 'p'),
    ('ʀ', 'r'),
    ('ꜱ', 's'),
    ('ᴛ', 't'),
    ('ʏ', 'y'),
    ('ꞓ', 'e'),
];

/// Two names that a reader cannot tell apart have a key in common.
pub(super) fn keys(text: &str) -> [String; 2] {
    let seen = seen(text);
    DIGITS.map(|digits| {
        let spell = |symbol: char| {
            let digit = symbol.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
            digit.and_then(|digit| digits.get(digit).copied()).unwrap_or(symbol)
        };
        // `m` is `rn` in TR39, too. `i` comes last: `ci` is not `d`.
        let spelt: String = seen.chars().map(spell).collect();
        spelt.replace('m', "rn").replace("vv", "w").replace("cl", "d").replace('i', "l")
    })
}

/// The letters and digits that show, lower case, in their plainest form.
fn seen(text: &str) -> String {
    if text.is_ascii() {
        return text.chars().map(letter).filter(char::is_ascii_alphanumeric).map(|symbol| symbol.to_ascii_lowercase()).collect();
    }
    let shown: String = text.chars().filter(|symbol| !is_unseen(*symbol)).map(enclosed).nfkd().collect();
    let mut out = String::new();
    for symbol in unicode_security::skeleton(&shown).map(letter).flat_map(char::to_lowercase) {
        let symbol = SMALL.iter().find(|(small, _)| *small == symbol).map_or(symbol, |(_, letter)| *letter);
        // A mark on a Latin letter is an ornament; on letters of other scripts it may be a vowel.
        let ornament = is_mark(symbol) && out.chars().last().is_none_or(|base| base.is_ascii());
        let dash = symbol == '\u{30fc}';
        if !ornament && !dash && (symbol.is_alphanumeric() || is_mark(symbol)) {
            out.push(symbol);
        }
    }
    out
}

/// Signs that stand for a letter.
const fn letter(symbol: char) -> char {
    match symbol {
        '|' | '!' => 'l',
        '$' => 's',
        '@' => 'a',
        'I' => 'i',
        _ => symbol,
    }
}

/// Whether it is drawn on the character before it.
pub(super) fn is_mark(symbol: char) -> bool {
    is_combining_mark(symbol)
}

/// Letters in circles and squares, and flags, that Unicode does not decompose.
pub(super) fn is_enclosed(symbol: char) -> bool {
    enclosed(symbol) != symbol
}

fn enclosed(symbol: char) -> char {
    let code = u32::from(symbol);
    [0x1f150, 0x1f170, 0x1f1e6]
        .into_iter()
        .filter_map(|first| code.checked_sub(first).filter(|letter| *letter < 26))
        .find_map(|letter| char::from_u32(letter.saturating_add(u32::from('a'))))
        .unwrap_or(symbol)
}

/// Characters without a picture: default ignorables (joiners, bidirectional controls, fillers,
/// variation selectors, tags), blank ones, and those that mean something to nobody else.
#[must_use]
pub const fn is_unseen(symbol: char) -> bool {
    matches!(symbol,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}
