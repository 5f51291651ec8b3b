//! Values that are known to be secret, such as those that the gateway itself holds: found exactly, however written.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::check::Proof;
use super::shape::Class;
use super::{Secret, secret};

/// What findings of this sort are called.
pub(super) const KIND: &str = "known";
/// Shorter values are left out.
const SHORTEST: usize = 6;

/// What is masked where a pattern is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// Just that.
    Exact,
    /// Just that, in upper or lower case.
    AnyCase,
    /// The run of base64 that it stands in: the characters at its edges hold parts of the value.
    Run,
}

/// One way to write a known value.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) pattern: Vec<u8>,
    span: Span,
    value: Vec<u8>,
}

/// Every way to write the values.
pub(super) fn patterns(values: &[&str]) -> Vec<Known> {
    let mut all: Vec<Known> = Vec::new();
    for value in values.iter().filter(|value| value.len() >= SHORTEST) {
        let bytes = value.as_bytes();
        let mut add = |pattern: Vec<u8>, span: Span| {
            if pattern.len() >= 4 && !all.iter().any(|known| known.pattern == pattern) {
                all.push(Known { pattern, span, value: bytes.to_vec() });
            }
        };
        add(bytes.to_vec(), Span::Exact);
        add(json(value).into_bytes(), Span::Exact);
        add(hex(bytes).into_bytes(), Span::AnyCase);
        add(escaped(value, b"-._~").into_bytes(), Span::AnyCase);
        add(escaped(value, b"-._~/:@!$&'()*,;=").into_bytes(), Span::AnyCase);
        for shift in 0..3 {
            // The value after `shift` other bytes; characters that hold bits of a neighbour are left out.
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(bytes);
            let (skip, whole) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
            for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                add(text.into_bytes().into_iter().take(whole).skip(skip).collect(), Span::Run);
            }
        }
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Percent escapes for all but letters, digits and `plain` (RFC 3986, 2.1).
fn escaped(value: &str, plain: &[u8]) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// As in a JSON string, with the escapes that writers use.
fn json(value: &str) -> String {
    value.chars().fold(String::new(), |mut out, symbol| {
        match symbol {
            '"' | '\\' => out.extend(['\\', symbol]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(symbol),
        }
        out
    })
}

/// A known value at this place.
pub(super) fn hit(bytes: &[u8], at: usize, known: &Known) -> Option<Secret> {
    let Known { pattern, span, value } = known;
    let part = bytes.get(at..at.saturating_add(pattern.len()))?;
    let same = if *span == Span::AnyCase { part.eq_ignore_ascii_case(pattern) } else { part == pattern.as_slice() };
    let in_run = |byte: &&u8| Class::BASE64.has(**byte) || **byte == b'-' || **byte == b'_';
    let (back, on) = match span {
        Span::Run => (
            bytes.get(..at)?.iter().rev().take(2).take_while(in_run).count(),
            bytes.get(at.saturating_add(pattern.len())..)?.iter().take(2).take_while(in_run).count(),
        ),
        Span::Exact | Span::AnyCase => (0, 0),
    };
    let place = at.saturating_sub(back)..at.saturating_add(pattern.len()).saturating_add(on);
    same.then(|| secret(KIND, place, Proof::Exact, value))
}
