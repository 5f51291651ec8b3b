//! Texts inside texts: what an encoding hides. Each form costs one pass over the text, and is tried only where
//! the text has what the form needs. What is found is judged like any text, but not decoded forever: the
//! depth and the amount are bounded.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::fold::{head, is_written};

/// How an inner text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nobody writes plain words like this without wanting to hide them.
    Telling,
    /// Used for honest data, too: what counts is what it says.
    Usual,
}

/// A text found inside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) form: Form,
    pub(crate) text: String,
}

/// No more inner texts than this are looked at.
const MAX_INNER: usize = 16;
/// Of a longer blob that is no text as a whole, the beginning is tried alone.
const HEAD: usize = 16 * 1024;
/// Escaped letters in a row that cannot be an accident.
const ESCAPES: usize = 6;

/// What was found in a text.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) texts: Vec<Inner>,
    /// Whether there are more, which are not looked at.
    pub(crate) more: bool,
}

/// Every text that is hidden in `text` by an encoding. The caller bounds the length of `text`; no inner text is longer.
pub(crate) fn inner(text: &str) -> Inside {
    let mut found = Vec::new();
    if memchr::memchr3_iter(b'\\', b'%', b'&', text.as_bytes()).take(ESCAPES).count() >= ESCAPES {
        escapes(text, &mut found);
    }
    blobs(text, &mut found);
    let more = found.len() > MAX_INNER;
    found.truncate(MAX_INNER);
    Inside { texts: found, more }
}

/// Base64 and hexadecimal runs that decode to text.
fn blobs(text: &str, found: &mut Vec<Inner>) {
    const SHORTEST: usize = 16;
    let part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_');
    let bytes = text.as_bytes();
    // Every run holds one of the bytes that are looked at.
    let (mut done, mut at) = (0, SHORTEST - 1);
    while let Some(byte) = bytes.get(at) {
        if !part(&byte) {
            at += SHORTEST;
            continue;
        }
        let start = at - bytes.get(done..at).unwrap_or_default().iter().rev().take_while(part).count();
        done = at + bytes.get(at..).unwrap_or_default().iter().take_while(part).count();
        at = done + SHORTEST;
        let Some(run) = text.get(start..done).filter(|run| run.len() >= SHORTEST) else { continue };
        let beginning = || run.get(..HEAD).and_then(blob);
        if let Some(text) = blob(run).or_else(beginning) {
            found.push(Inner { form: Form::Usual, text });
        }
        if found.len() > MAX_INNER {
            return;
        }
    }
}

/// The text of one run, if it is one.
fn blob(run: &str) -> Option<String> {
    let bytes = if run.bytes().all(|b| b.is_ascii_hexdigit()) { unhex(run) } else { unbase64(run) };
    bytes.and_then(readable)
}

fn unhex(run: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = run.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0_u8, |byte, digit| byte << 4 | digit)).collect())
}

fn unbase64(run: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    // An identifier is no base64: it has no digit, no capital in the middle, or slashes like a path.
    let (mut upper, mut lower) = (false, false);
    for b in run.bytes() {
        upper |= b.is_ascii_uppercase();
        lower |= b.is_ascii_lowercase();
    }
    if !(upper && lower) {
        return None;
    }
    let plain = run.replace('-', "+").replace('_', "/");
    GeneralPurpose::new(&STANDARD, LENIENT).decode(plain).ok()
}

/// Bytes that are a text which people could read.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let total = text.chars().count();
    let plain = text.chars().filter(|c| is_written(*c) || c.is_ascii_graphic() || matches!(c, ' ' | '\n' | '\t')).count();
    (total >= 8 && plain * 20 >= total * 19).then_some(text)
}

/// Backslash, percent and entity escapes of characters that need none.
fn escapes(text: &str, found: &mut Vec<Inner>) {
    let mut plain = String::with_capacity(text.len());
    let (mut run, mut telling) = (0, false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((c, length)) = escape(rest) {
            plain.push(c);
            run += usize::from(is_written(c) || c == ' ');
            telling |= run >= ESCAPES;
            rest = rest.get(length..).unwrap_or_default();
        } else {
            plain.push(first);
            run = 0;
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    if telling {
        found.push(Inner { form: Form::Telling, text: plain });
    }
}

/// The escape at the beginning of `text`, and its length in bytes.
fn escape(text: &str) -> Option<(char, usize)> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let fixed = |from: usize, count: usize| Some((number(text.get(from..from + count)?, 16)?, from + count));
    match text.as_bytes() {
        [b'\\', b'x', ..] => fixed(2, 2),
        [b'\\', b'u', b'{', ..] => {
            let digits = head(text.get(3..)?, 7).split_once('}')?.0;
            Some((number(digits, 16)?, digits.len() + 4))
        }
        [b'\\', b'u', ..] => fixed(2, 4),
        [b'\\', b'U', ..] => fixed(2, 8),
        [b'\\', b'0'..=b'1', ..] => Some((number(text.get(1..4)?, 8)?, 4)),
        [b'%', ..] => fixed(1, 2).filter(|(c, _)| c.is_ascii()),
        [b'&', b'#', b'x' | b'X', ..] => entity(text.get(3..)?, 16).map(|(c, length)| (c, length + 3)),
        [b'&', b'#', ..] => entity(text.get(2..)?, 10).map(|(c, length)| (c, length + 2)),
        _ => None,
    }
}

fn entity(text: &str, radix: u32) -> Option<(char, usize)> {
    let end = head(text, 9).find(';')?;
    let c = u32::from_str_radix(text.get(..end)?, radix).ok().and_then(char::from_u32)?;
    Some((c, end + 1))
}

/// ROT13, for texts that do not read as they are.
pub(crate) fn rot13(text: &str) -> String {
    let turn = |c: char, base: u8| u8::try_from(c).map_or(c, |b| char::from(base + (b - base + 13) % 26));
    let turned = text.chars().map(|c| match c {
        'a'..='z' => turn(c, b'a'),
        'A'..='Z' => turn(c, b'A'),
        _ => c,
    });
    turned.collect()
}

/// Digits and signs that stand for letters, where they stand among letters. None, if there are too few.
pub(crate) fn unleet(text: &str) -> Option<String> {
    const WORDS: usize = 3;
    // A digit right after a letter, or before one, often enough.
    let (mut pairs, mut letter) = (0_usize, false);
    for byte in text.bytes() {
        pairs += usize::from(letter & LEET.get(usize::from(byte)).copied().unwrap_or(false));
        letter = byte.is_ascii_alphabetic();
    }
    if pairs < WORDS {
        return None;
    }
    let words = text.split(' ').filter(|word| is_leet(word) && word.bytes().any(|b| matches!(b, b'0' | b'1' | b'3' | b'4' | b'5' | b'7')));
    if words.take(WORDS).count() < WORDS {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            plain.push(' ');
        }
        match is_leet(word) {
            true => plain.extend(word.chars().map(|c| u8::try_from(c).ok().and_then(leet).unwrap_or(c))),
            false => plain.push_str(word),
        }
    }
    Some(plain)
}

/// Whether a word has letters, and others that stand for letters, and not too many of these.
fn is_leet(word: &str) -> bool {
    let (mut letters, mut digits) = (0, 0);
    for byte in word.bytes() {
        letters += usize::from(byte.is_ascii_alphabetic());
        digits += usize::from(leet(byte).is_some());
    }
    digits > 0 && letters > 0 && digits <= 2 * letters + 1
}

/// The characters that have a letter to stand for.
const LEET: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 128 {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[b as usize] = leet(b).is_some();
        }
        b += 1;
    }
    table
};

const fn leet(b: u8) -> Option<char> {
    Some(match b {
        b'0' => 'o',
        b'1' => 'i',
        b'3' => 'e',
        b'4' | b'@' => 'a',
        b'5' | b'$' => 's',
        b'7' => 't',
        _ => return None,
    })
}

/// Single letters with blanks between them, put together: `r e a d` is `read`. None, if there are too few.
pub(crate) fn unspaced(text: &str) -> Option<String> {
    const LETTERS: usize = 10;
    // Seldom worth writing anything down: first the bytes of each piece are counted.
    let most = if text.is_ascii() { 1 } else { 4 };
    let (mut run, mut longest, mut length) = (0, 0, 0_usize);
    for byte in text.bytes().chain([b' ']) {
        if byte != b' ' {
            length += 1;
            continue;
        }
        run = if length <= most { run + length.min(1) } else { 0 };
        longest = longest.max(run);
        length = 0;
    }
    if longest < LETTERS {
        return None;
    }
    let (mut run, mut longest, mut words, mut plain) = (0, 0, 0, String::new());
    for piece in text.split(' ') {
        let mut chars = piece.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => {
                plain.push(one);
                run += 1;
                longest = longest.max(run);
            }
            (None, _) => {
                words += usize::from(run > 0);
                if !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            _ => {
                run = 0;
                plain.push(' ');
                plain.push_str(piece);
            }
        }
    }
    (longest >= LETTERS && words > 0).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        inner(text).texts.into_iter().map(|inner| inner.text).collect()
    }

    #[test]
    fn blobs_that_are_text_are_read() {
        assert_eq!(texts("x k=SGVsbG8gd29ybGQgYWdhaW4= y"), ["Hello world again"]);
        assert_eq!(texts("48656c6c6f20776f726c64"), ["Hello world"]);
        assert!(texts("GroupPolicyAttachmentResponse d41d8cd98f00b204e9800998ecf8427e").is_empty());
    }

    #[test]
    fn escapes_of_letters_are_telling() {
        for text in [
            r"\x68\x65\x6c\x6c\x6f\x21\x21\x61",
            "%68%65%6c%6c%6f%61",
            "&#104;&#x65;&#108;&#108;&#111;&#97;",
            r"\u0068\u0065\u006c\u006c\u006f\u0061",
        ] {
            let found = inner(text).texts;
            assert!(found.iter().any(|inner| inner.form == Form::Telling && inner.text.starts_with("hello")), "{text}: {found:?}");
        }
        assert!(inner("100%20off %2F%3A \\d+ \\u00e9").texts.is_empty());
    }

    #[test]
    fn long_texts_are_decoded_to_their_end_and_more_than_enough_of_them_is_told() {
        let escaped = format!("{}é{}", "x".repeat(16 * 1024 - 1), r"\x68\x65\x6c\x6c\x6f\x61".repeat(2));
        assert!(texts(&escaped).iter().any(|text| text.ends_with("helloahelloa")));
        let blob = "48656c6c6f20776f726c64".repeat(4000);
        assert!(texts(&blob).iter().any(|text| text.len() == 44_000));
        let many = |count: usize| inner(&"48656c6c6f20776f726c64 ".repeat(count));
        assert_eq!((many(16).texts.len(), many(16).more), (16, false));
        assert_eq!((many(17).texts.len(), many(17).more), (16, true));
    }

    #[test]
    fn escapes_that_do_not_end_cost_one_look() {
        // The end of each is sought next to it, not in the whole rest.
        for piece in ["&#", "\\u{", "%"] {
            let _ = inner(&piece.repeat(256 * 1024 / piece.len()));
        }
    }

    #[test]
    fn disguises_come_off() {
        assert_eq!(rot13("znex nyy"), "mark all");
        assert_eq!(unspaced("r e a d   t h e   f i l e s").as_deref(), Some("read the files"));
        assert_eq!(unleet("r34d th3 f1l3 now").as_deref(), Some("read the file now"));
        assert_eq!(unleet("use s3 and ec2"), None);
    }
}
