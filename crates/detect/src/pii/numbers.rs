//! Numbers, each told by its form and its check digits.

use std::ops::Range;

use super::{Data, Personal};

/// The most digits that a phone number, a card or an account has.
const MOST: usize = 40;

/// All numbers of a text.
pub(super) fn find(bytes: &[u8], found: &mut Vec<Personal>) {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
        let begins =
            (byte.is_ascii_digit() || *byte == b'+' || *byte == b'(') && !before.is_ascii_alphanumeric() && !b".-_".contains(&before);
        let hit = if begins {
            number(bytes, at)
        } else if byte.is_ascii_uppercase() && !before.is_ascii_alphanumeric() {
            iban(bytes, at).map(|place| (Data::Iban, place))
        } else {
            None
        };
        at = match hit {
            Some((data, place)) => {
                let end = place.end;
                found.push(Personal { data, place });
                end
            }
            None if begins => at.saturating_add(1).max(digits_end(bytes, at)),
            None => at.saturating_add(1),
        };
    }
}

fn number(bytes: &[u8], at: usize) -> Option<(Data, Range<usize>)> {
    ip(bytes, at)
        .map(|place| (Data::Ip, place))
        .or_else(|| ssn(bytes, at).map(|place| (Data::Ssn, place)))
        .or_else(|| card(bytes, at).map(|place| (Data::Card, place)))
        .or_else(|| phone(bytes, at).map(|place| (Data::Phone, place)))
}

fn digits_end(bytes: &[u8], at: usize) -> usize {
    at.saturating_add(bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// Nothing that would make it a part of something longer.
fn ends(bytes: &[u8], end: usize) -> bool {
    let next = bytes.get(end).copied().unwrap_or(b' ');
    let after = bytes.get(end.saturating_add(1)).copied().unwrap_or(b' ');
    !next.is_ascii_alphanumeric() && next != b'_' && !(b".-".contains(&next) && after.is_ascii_digit())
}

fn ip(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let mut end = at;
    for part in 0..4 {
        if part > 0 {
            end = (bytes.get(end) == Some(&b'.')).then(|| end.saturating_add(1))?;
        }
        let next = digits_end(bytes, end);
        let digits = bytes.get(end..next)?;
        let value = std::str::from_utf8(digits).ok()?.parse::<u8>().ok()?;
        (value < 10 || !digits.starts_with(b"0")).then_some(())?;
        end = next;
    }
    let before = bytes.get(at.saturating_sub(9)..at)?;
    let version = before.windows(4).any(|part| part.eq_ignore_ascii_case(b"vers"));
    (ends(bytes, end) && !version).then_some(at..end)
}

fn ssn(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let [a, b, c, b'-', d, e, b'-', f @ ..] = bytes.get(at..at.saturating_add(11))? else { return None };
    let digits = [a, b, c, d, e].into_iter().chain(f).all(u8::is_ascii_digit);
    let area = [*a, *b, *c];
    let given = area != *b"000" && area != *b"666" && *a != b'9' && [*d, *e] != *b"00" && f != b"0000";
    (digits && given && ends(bytes, at.saturating_add(11))).then(|| at..at.saturating_add(11))
}

/// The digits of a number that is written in groups, and where it ends.
fn grouped(bytes: &[u8], at: usize, marks: &[u8]) -> (Vec<u8>, usize) {
    let (mut digits, mut end, mut here) = (Vec::new(), at, at);
    while let Some(byte) = bytes.get(here).filter(|_| digits.len() < MOST) {
        if byte.is_ascii_digit() {
            digits.push(byte - b'0');
            end = here.saturating_add(1);
        } else if !marks.contains(byte) || here > end.saturating_add(1) {
            break;
        }
        here = here.saturating_add(1);
    }
    (digits, end)
}

fn card(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let (digits, end) = grouped(bytes, at, b" -");
    let head = digits.iter().take(4).fold(0_u16, |all, digit| all * 10 + u16::from(*digit));
    let issued = match (digits.len(), head) {
        (16 | 19, 4000..=4999) | (16, 5100..=5599 | 2221..=2720) | (15, 3400..=3499 | 3700..=3799) => true,
        (14, 3000..=3059 | 3600..=3699 | 3800..=3999) | (16, 3528..=3589) | (15, 1800 | 2131) => true,
        (16, 3500..=3599) => announced(bytes, at, &[b"card"]),
        (13, 4000..=4999) => (bytes.get(at..end)?.len() == 13) && announced(bytes, at, &[b"card", b"visa", b" cc "]),
        (16..=19, 6011 | 6440..=6599 | 6200..=6299) => true,
        (12..=19, 604 | 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763) => announced(bytes, at, &[b"card", b"maestro", b" cc "]),
        _ => false,
    };
    (issued && luhn(&digits) && ends(bytes, end)).then_some(at..end)
}

/// The check digit of ISO/IEC 7812.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let twice = u32::from(*digit) * 2;
            if at % 2 == 1 { twice / 10 + twice % 10 } else { u32::from(*digit) }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 13616: country, check digits, and the remainder of 97 is one.
fn iban(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let [a, b, c, d] = bytes.get(at..at.saturating_add(4))? else { return None };
    (a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit()).then_some(())?;
    let (mut text, mut end, mut here) = (Vec::new(), at, at);
    let mut best = None;
    while let Some(byte) = bytes.get(here).filter(|_| text.len() <= 34) {
        if byte.is_ascii_digit() || byte.is_ascii_uppercase() {
            text.push(*byte);
            end = here.saturating_add(1);
            let bounded = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
            if (15..=34).contains(&text.len()) && bounded && mod97(&text) == 1 {
                best = Some(at..end);
            }
        } else if *byte != b' ' || here > end {
            break;
        }
        here = here.saturating_add(1);
    }
    best
}

fn mod97(text: &[u8]) -> u32 {
    text.iter().skip(4).chain(text.iter().take(4)).fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97,
    })
}

fn phone(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let begins = at.saturating_add(usize::from(bytes.get(at) == Some(&b'+')));
    let (mut digits, mut end, mut here, mut open) = (0_usize, at, begins, false);
    let mut groups = Vec::new();
    let mut group = 0_usize;
    while let Some(byte) = bytes.get(here).filter(|_| digits <= 15) {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                group += 1;
                end = here.saturating_add(1);
            }
            b'(' if !open => open = true,
            b')' if open => open = false,
            b' ' | b'-' | b'.' if here <= end.saturating_add(1) => {}
            _ => break,
        }
        if !byte.is_ascii_digit() && group > 0 {
            groups.push(group);
            group = 0;
        }
        here = here.saturating_add(1);
    }
    groups.extend((group > 0).then_some(group));
    let international = begins > at && (8..=15).contains(&digits);
    let american = matches!(groups.as_slice(), [3, 3, 4] | [1, 3, 3, 4]);
    let said = (7..=14).contains(&digits) && announced(bytes, at, &[b"phone", b"tel", b"call", b"mobile", b"cell", b"fax", b"contact"])
        || followed(bytes, end);
    let fits = international || american || (said && (7..=14).contains(&digits) && !is_date(bytes.get(at..end)?));
    // Extensions of American numbers belong to them.
    let whole = extension(bytes, end);
    (fits && ends(bytes, whole)).then_some(at..whole)
}

fn extension(bytes: &[u8], end: usize) -> usize {
    if bytes.get(end) != Some(&b'x') {
        return end;
    }
    let last = digits_end(bytes, end.saturating_add(1));
    if last > end.saturating_add(1) { last } else { end }
}

/// `2026-11-21` and the like are digits with dashes, too.
fn is_date(text: &[u8]) -> bool {
    let marks: Vec<usize> = text.iter().enumerate().filter(|(_, byte)| b"-./".contains(byte)).map(|(at, _)| at).collect();
    matches!(marks.as_slice(), [4, 7] | [2, 5]) && text.len() <= 10
}

/// One of the words stands shortly before.
fn announced(bytes: &[u8], at: usize, words: &[&[u8]]) -> bool {
    let before = bytes.get(at.saturating_sub(40)..at).unwrap_or_default();
    words.iter().any(|word| before.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}

/// `office`, `fax` or `mobile` stands behind.
fn followed(bytes: &[u8], end: usize) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    let rest = rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii_start();
    [b"office".as_slice(), b"fax", b"mobile"].iter().any(|word| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)))
}
