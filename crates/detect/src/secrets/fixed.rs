//! Values that a fixed part in their middle tells: a password in a URL, and kinds whose prefix is not at the front.

use super::assign::{LONGEST, Value};
use super::check::is_example;
use super::shape::{Class, Shape};

/// The password in `user:password@` of a URL, where it is one.
pub(super) fn in_url(bytes: &[u8], slashes: usize) -> Option<Value> {
    let begin = slashes.saturating_add(3);
    let rest = bytes.get(begin..)?;
    let stop = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>/?#\\".contains(byte);
    let authority = rest.get(..rest.iter().take(LONGEST).position(stop).unwrap_or_else(|| LONGEST.min(rest.len())))?;
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority.get(..at)?.iter().position(|byte| *byte == b':')?;
    let (start, end) = (begin.saturating_add(colon).saturating_add(1), begin.saturating_add(at));
    let value = bytes.get(start..end)?;
    let word = value.iter().all(u8::is_ascii_alphabetic) && value.len() < 12;
    let plain = value.len() >= 3 && !word && value.first().is_some_and(|first| !b"$%{<*([".contains(first));
    (plain && !is_example(value)).then_some(Value { start, end, kind: "url-password" })
}

/// Values whose fixed part is in the middle: where it is, the kind and what stands on both sides.
pub(super) fn around(bytes: &[u8], at: usize, middle: Middle) -> Option<Value> {
    let (class, least, most) = match middle {
        Middle::Telegram => (Class::DIGIT, 8, 10),
        Middle::Mailchimp => (Class::HEX, 32, 32),
        Middle::AzureClient => (Class::URL, 3, 3),
        Middle::Terraform => (Class::WORD, 14, 14),
    };
    let back = bytes.get(..at)?.iter().rev().take(64).take_while(|byte| class.has(**byte)).count();
    let shape = match middle {
        Middle::Telegram => ":AA<u33>",
        Middle::Mailchimp => "-us<d1-2>",
        Middle::AzureClient => "<d1>Q~<g31-34>",
        Middle::Terraform => ".atlasv1.<u60-70>",
    };
    let end = Shape::read(shape).end(bytes, at)?;
    let fits = back >= least && (back <= most || middle == Middle::AzureClient);
    let kind = match middle {
        Middle::Telegram => "telegram-bot-token",
        Middle::Mailchimp => "mailchimp-key",
        Middle::AzureClient => "azure-client-secret",
        Middle::Terraform => "terraform-token",
    };
    fits.then(|| Value { start: at.saturating_sub(back.min(most)), end, kind })
}

/// Kinds whose fixed part is in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Middle {
    Telegram,
    Mailchimp,
    AzureClient,
    Terraform,
}

impl Middle {
    /// All of them, with the fixed part in the notation of `shape`.
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::Telegram, ":AA<u1>"), (Self::Mailchimp, "-us<d1>"), (Self::AzureClient, "<d1>Q~<g1>"), (Self::Terraform, ".atlasv1")];
}
