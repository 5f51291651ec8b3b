//! Personal data with a form: mailboxes, phone numbers, accounts, cards, national numbers, addresses of machines.
//! Names of people and places have no form, and are not looked for.

use std::borrow::Cow;
use std::ops::Range;

use crate::secrets::Key;

mod numbers;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// An e-mail address.
    Email,
    /// A phone number: international, or in a national form, or after a word that announces one.
    Phone,
    /// An account number (ISO 13616), whose check digits are right.
    Iban,
    /// A payment card: an issuer's range, and the check digit is right (ISO/IEC 7812, Luhn).
    Card,
    /// A social security number of the United States, in a range that is given out.
    Ssn,
    /// An IPv4 address.
    Ip,
}

impl Data {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Email, Self::Phone, Self::Iban, Self::Card, Self::Ssn, Self::Ip];

    /// The stable name, for configurations and placeholders.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::Ssn => "us-ssn",
            Self::Ip => "ip",
        }
    }
}

/// Personal data in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personal {
    /// What it is.
    pub data: Data,
    /// Where it is, in bytes.
    pub place: Range<usize>,
}

impl Personal {
    /// What is put in its place: equal for equal values under one key.
    #[must_use]
    pub fn placeholder(&self, text: &str, key: &Key) -> String {
        let value = text.get(self.place.clone()).unwrap_or_default();
        // Letters only, so that the tag is not taken for a number.
        let letter = |digit: char| char::from(b'a' + u8::try_from(digit.to_digit(16).unwrap_or(0)).unwrap_or(0));
        let tag: String = format!("{:08x}", key.tag(value.as_bytes())).chars().map(letter).collect();
        format!("[pii:{}:{tag}]", self.data.name())
    }
}

/// All personal data of these kinds, in order, none within another. Linear in the text.
#[must_use]
pub fn find(text: &str, wanted: &[Data]) -> Vec<Personal> {
    let bytes = text.as_bytes();
    let mut found: Vec<Personal> = Vec::new();
    let mut done = 0;
    for at in memchr::memchr_iter(b'@', bytes) {
        if let Some(place) = email(bytes, at).filter(|place| place.start >= done) {
            done = place.end;
            found.push(Personal { data: Data::Email, place });
        }
    }
    numbers::find(bytes, &mut found);
    found.retain(|personal| wanted.contains(&personal.data));
    found.sort_by_key(|personal| (personal.place.start, personal.data));
    let mut until = 0;
    found.retain(|personal| {
        let free = personal.place.start >= until;
        until = if free { personal.place.end } else { until };
        free
    });
    found
}

/// The text with a stable, keyed placeholder for each; see [`crate::secrets::mask`].
#[must_use]
pub fn mask<'a>(text: &'a str, wanted: &[Data], key: &Key) -> Cow<'a, str> {
    let found = find(text, wanted);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for personal in found {
        out.push_str(text.get(at..personal.place.start).unwrap_or_default());
        out.push_str(&personal.placeholder(text, key));
        at = personal.place.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

/// A mailbox around an `@`: dot-atom, and a domain that ends in letters.
fn email(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let local = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let host = |byte: &&u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let back = bytes.get(..at)?.iter().rev().take(64).take_while(local).count();
    let on = bytes.get(at.saturating_add(1)..)?.iter().take(253).take_while(host).count();
    let mut start = at.saturating_sub(back);
    while bytes.get(start).is_some_and(|byte| b".-%+".contains(byte)) {
        start = start.saturating_add(1);
    }
    let domain = bytes.get(at.saturating_add(1)..at.saturating_add(1).saturating_add(on))?;
    let domain = domain.strip_suffix(b".").or_else(|| domain.strip_suffix(b"-")).unwrap_or(domain);
    let top = domain.rsplit(|byte| *byte == b'.').next()?;
    let real = domain.contains(&b'.') && !domain.starts_with(b".") && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
    // `git@host:path` is the address of a repository.
    let after = at.saturating_add(1).saturating_add(domain.len());
    let remote = bytes.get(start..at)? == b"git" && bytes.get(after) == Some(&b':');
    (real && start < at && !remote).then(|| start..at.saturating_add(1).saturating_add(domain.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Data, &str)> {
        find(text, Data::ALL).into_iter().map(|found| (found.data, text.get(found.place).unwrap_or_default())).collect()
    }

    #[test]
    fn what_has_a_form_is_found_in_its_place() {
        assert_eq!(kinds("mail ada.l+x@example.org."), [(Data::Email, "ada.l+x@example.org")]);
        assert_eq!(kinds("card 4111 1111 1111 1111, ok"), [(Data::Card, "4111 1111 1111 1111")]);
        assert_eq!(kinds("DE89 3704 0044 0532 0130 00"), [(Data::Iban, "DE89 3704 0044 0532 0130 00")]);
        assert_eq!(kinds("SSN 219-09-9999."), [(Data::Ssn, "219-09-9999")]);
        assert_eq!(kinds("from 203.0.113.7:80"), [(Data::Ip, "203.0.113.7")]);
        assert_eq!(kinds("call +49 30 901820 now"), [(Data::Phone, "+49 30 901820")]);
        assert_eq!(kinds("call (555) 123-4567"), [(Data::Phone, "(555) 123-4567")]);
    }

    #[test]
    fn what_fails_its_check_is_something_else() {
        for text in [
            "4111 1111 1111 1112",
            "DE88370400440532013000",
            "000-12-3456",
            "666-12-3456",
            "1.2.3.4.5",
            "256.1.1.1",
            "@types/node@20.11.5",
            "2026-11-21 12:00",
            "v1.2.3.4",
            "4006381333931",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    #[test]
    fn masked_text_has_nothing_left_and_equal_values_stay_equal() {
        let key = Key::new(&[3; 32]);
        let text = "a@b.example, 4111111111111111, a@b.example";
        let masked = mask(text, Data::ALL, &key);
        assert_eq!(find(&masked, Data::ALL), []);
        let parts: Vec<&str> = masked.split(", ").collect();
        assert_eq!(parts[0], parts[2]);
        assert_eq!(mask("nothing here", Data::ALL, &key), "nothing here");
    }
}
