//! The kinds of secrets that are known by their shape, as tables: a name, what values look like, and what can be
//! checked about one. From the issuers' public descriptions of their formats.

mod clouds;
mod code;
mod named;
mod services;

pub(super) use named::NAMED;

/// What can be checked about a value beyond its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing.
    None,
    /// The last six characters are the CRC-32 of the rest, in base 62 (GitHub, npm).
    Crc,
    /// Base32 with an account number inside (AWS key ids).
    Account,
    /// Three parts, the first of which is a JSON object (RFC 7519).
    Jwt,
    /// A distinctive value, but only if it is mixed: not one word, not one letter again and again.
    Mixed,
}

/// A kind of secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The stable name, for placeholders and reports.
    pub(super) name: &'static str,
    /// What values look like, in the notation of `shape`.
    pub(super) shapes: &'static [&'static str],
    /// What else can be checked.
    pub(super) check: Check,
}

const fn kind(name: &'static str, shapes: &'static [&'static str]) -> Kind {
    Kind { name, shapes, check: Check::None }
}

const fn checked(name: &'static str, shapes: &'static [&'static str], check: Check) -> Kind {
    Kind { name, shapes, check }
}

/// A kind without a shape of its own: what tells it is the name that it is assigned to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    /// The stable name, for placeholders and reports.
    pub(super) name: &'static str,
    /// What the name contains, lower case.
    pub(super) word: &'static str,
    /// What the value looks like.
    pub(super) shape: &'static str,
}

/// All kinds with a shape.
pub(super) fn all() -> impl Iterator<Item = &'static Kind> {
    clouds::KINDS.iter().chain(code::KINDS).chain(services::KINDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_as_many_kinds_as_the_documentation_says() {
        let shaped: BTreeSet<_> = all().map(|kind| kind.name).collect();
        let named: BTreeSet<_> = NAMED.iter().map(|kind| kind.name).collect();
        assert_eq!(shaped.len(), all().count(), "a name twice");
        assert!(shaped.len() >= 150, "{} kinds with a shape", shaped.len());
        assert!(named.len() >= 50, "{} kinds by name", named.len());
    }

    #[test]
    fn every_name_can_stand_in_a_placeholder() {
        for name in all().map(|kind| kind.name).chain(NAMED.iter().map(|kind| kind.name)) {
            assert!(name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        }
    }
}
