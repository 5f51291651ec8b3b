//! Values that something names: `password = "..."`, `"api_key": "..."`, `<td>TOKEN</td><td>...`, a column of a table.
//! Here, and only here, randomness counts: nothing says what such a value looks like, so that it has to look like
//! a secret and the name has to ask for one.

use std::sync::LazyLock;

use super::check::{changes, entropy, is_example, mixed};
use super::kinds::{NAMED, Named};
use super::shape::Shape;

/// Longer values are not looked at, so that the time for each name is bounded.
pub(super) const LONGEST: usize = 512;
/// How far a name may reach before and behind the word in it.
const NAME: usize = 40;

/// The kinds that a name tells, with their shapes read.
static BY_NAME: LazyLock<Vec<(&Named, Shape)>> = LazyLock::new(|| NAMED.iter().map(|named| (named, Shape::read(named.shape))).collect());

/// How much a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// `password`: people choose these, and they may be short.
    Password,
    /// `secret`, `token`, `api_key`: made by machines.
    Strong,
    /// `key`, `auth`: as often something else.
    Weak,
    /// `Bearer`: the value follows at once.
    Scheme,
}

/// The words, in lower case, and what they say.
pub(super) const WORDS: &[(&str, Word)] = &[
    ("password", Word::Password),
    ("passwd", Word::Password),
    ("passphrase", Word::Password),
    ("passwort", Word::Password),
    ("pwd=", Word::Password),
    ("pwd:", Word::Password),
    ("pwd\"", Word::Password),
    ("pwd'", Word::Password),
    ("pwd ", Word::Password),
    ("_pass", Word::Password),
    ("secret", Word::Strong),
    ("token", Word::Strong),
    ("apikey", Word::Strong),
    ("api_key", Word::Strong),
    ("api-key", Word::Strong),
    ("accountkey", Word::Strong),
    ("account_key", Word::Strong),
    ("sharedkey", Word::Strong),
    ("shared_key", Word::Strong),
    ("accesskey", Word::Strong),
    ("access_key", Word::Strong),
    ("access-key", Word::Strong),
    ("privatekey", Word::Strong),
    ("private_key", Word::Strong),
    ("private-key", Word::Strong),
    ("credential", Word::Strong),
    ("sessionid", Word::Strong),
    ("client_id", Word::Weak),
    ("_key", Word::Weak),
    ("-key", Word::Weak),
    (".key", Word::Weak),
    ("key=", Word::Weak),
    ("key:", Word::Weak),
    ("key\"", Word::Weak),
    ("key'", Word::Weak),
    ("key =", Word::Weak),
    ("key :", Word::Weak),
    ("_auth", Word::Weak),
    ("authorization", Word::Weak),
    ("bearer ", Word::Scheme),
    ("basic ", Word::Scheme),
];

/// Parts of names whose values are no secrets.
const HARMLESS: &[&str] = &[
    "public",
    "publish",
    "sitekey",
    "site_key",
    "key_id",
    "keyid",
    "cache",
    "primary",
    "foreign",
    "idempot",
    "hash",
    "checksum",
    "digest",
    "integrity",
    "fingerprint",
    "nonce",
    "path",
    "_file",
    "_url",
    "_uri",
    "_arn",
    "version",
    "_count",
    "_limit",
    "_length",
    "_size",
    "_type",
    "secret_name",
    "secretname",
    "pagetoken",
    "page_token",
    "next_token",
    "nexttoken",
    "cursor",
    "continuation",
    "tokens",
    "tokenize",
    "keyword",
    "keyboard",
    "monkey",
    "hotkey",
    "turkey",
    "sort_key",
    "partition",
    "client_id",
    "key_name",
    "keyname",
    "username",
    "sha256",
    "known_hosts",
    "endpoint",
    "expires",
    "issuer",
    "algorithm",
    "placeholder",
];

/// A value and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: &'static str,
}

/// How a value stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dress {
    Quoted,
    Bare,
}

/// What a word at `from..to` names, if that is a secret.
pub(super) fn values(bytes: &[u8], (from, to): (usize, usize), word: Word, found: &mut Vec<Value>) {
    // The separator may be part of the word.
    let to = if bytes.get(..to).is_some_and(|text| text.last().is_some_and(|last| b"=:\"' ".contains(last))) {
        to.saturating_sub(1)
    } else {
        to
    };
    if in_placeholder(bytes, from) {
        return;
    }
    if word == Word::Scheme {
        found.extend(after_scheme(bytes, to));
        return;
    }
    let (start, end) = name_around(bytes, from, to);
    if goes_on(bytes, to) {
        return;
    }
    let name = bytes.get(start..end).unwrap_or_default();
    let before = start.checked_sub(2).and_then(|at| bytes.get(at..start)) == Some(b"--");
    if let Some((value, dress)) = assigned(bytes, end, if before || name.starts_with(b"--") { Space::Separates } else { Space::Pads }) {
        found.extend(judge(bytes, value, name, (word, dress)));
    } else {
        column(bytes, (start, end), name, found);
    }
}

/// Inside of what masking put there.
fn in_placeholder(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(48)..at).unwrap_or_default();
    let open = before.iter().rposition(|byte| *byte == b'[' || *byte == b']');
    open.and_then(|open| at.checked_sub(before.len().saturating_sub(open)))
        .and_then(|open| bytes.get(open..))
        .is_some_and(|rest| rest.starts_with(b"[secret:"))
}

/// `tokenizer` and `keyboard` are other words.
fn goes_on(bytes: &[u8], to: usize) -> bool {
    match (bytes.get(to), bytes.get(to.saturating_add(1))) {
        (Some(b's'), Some(next)) => next.is_ascii_lowercase(),
        (Some(next), _) => next.is_ascii_lowercase() && bytes.get(..to).is_some_and(|text| text.last().is_some_and(u8::is_ascii_lowercase)),
        (None, _) => false,
    }
}

fn name_around(bytes: &[u8], from: usize, to: usize) -> (usize, usize) {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let back = bytes.get(from.saturating_sub(NAME)..from).unwrap_or_default().iter().rev().take_while(|byte| part(byte)).count();
    let on = bytes.get(to..).unwrap_or_default().iter().take(NAME).take_while(|byte| part(byte)).count();
    (from.saturating_sub(back), to.saturating_add(on))
}

/// Whether a space alone stands between name and value, as on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Pads,
    Separates,
}

/// The value behind a name: past quotes, separators, tags, a type, and `"value":`.
fn assigned(bytes: &[u8], name_end: usize, space: Space) -> Option<((usize, usize), Dress)> {
    let (mut at, mut separated) = (name_end, false);
    let limit = name_end.saturating_add(80);
    while at < limit {
        let (here, next) = (*bytes.get(at)?, bytes.get(at.saturating_add(1)).copied().unwrap_or(0));
        match here {
            b' ' | b'\t' if space == Space::Separates => {
                separated = true;
                at = at.saturating_add(1);
            }
            b' ' | b'\t' | b']' | b'&' | b'`' if !(separated && here == b'`') => at = at.saturating_add(1),
            b'\\' if next == b'"' || next == b'\'' || next == b'\\' => at = at.saturating_add(1),
            b'"' | b'\'' | b'`' if separated => return quoted(bytes, at.saturating_add(1), here).map(|value| (value, Dress::Quoted)),
            b'"' | b'\'' => at = at.saturating_add(1),
            b'(' if next == b'"' || next == b'\'' => {
                separated = true;
                at = at.saturating_add(1);
            }
            b'=' if next == b'=' => return None,
            b'=' | b':' | b'|' => {
                separated = true;
                at = at.saturating_add(1);
            }
            b'>' if separated => at = at.saturating_add(1),
            b'<' => {
                let tag = bytes.get(at..)?.iter().take(40).position(|byte| *byte == b'>')?;
                separated = true;
                at = at.saturating_add(tag).saturating_add(1);
            }
            b',' | b'\n' | b'\r' if !separated => at = hop(bytes, at)?,
            _ => break,
        }
    }
    separated.then(|| bare(bytes, at)).flatten()
}

/// From a name to the member that holds its value: `"name": "X", "value": "..."`.
fn hop(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let gap = rest.iter().take(40).take_while(|byte| byte.is_ascii_whitespace() || b",\"'\\{-".contains(byte)).count();
    let word = rest.get(gap..gap.saturating_add(5))?;
    word.eq_ignore_ascii_case(b"value").then(|| from.saturating_add(gap).saturating_add(5))
}

/// An odd number of backslashes before the quote stays where it is: it says, in each layer of JSON around this, whether the
/// quote ends its text. An even number is the value's own.
fn quoted(bytes: &[u8], start: usize, quote: u8) -> Option<(usize, usize)> {
    let rest = bytes.get(start..)?;
    let length = rest.iter().take(LONGEST).position(|byte| *byte == quote || *byte == b'\n')?;
    let value = rest.get(..length)?;
    let slashes = value.iter().rev().take_while(|byte| **byte == b'\\').count();
    let kept = if slashes % 2 == 1 { slashes } else { 0 };
    Some((start, start.saturating_add(length).saturating_sub(kept)))
}

fn bare(bytes: &[u8], start: usize) -> Option<((usize, usize), Dress)> {
    let stop = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>&;,)}]|\\".contains(byte);
    let length = bytes.get(start..)?.iter().take(LONGEST).position(stop).unwrap_or_else(|| LONGEST.min(bytes.len().saturating_sub(start)));
    let end = start.saturating_add(length);
    let rest = bytes.get(end..).unwrap_or_default();
    let typed = length > 0 && length <= 24 && bytes.get(start..end)?.iter().all(|byte| byte.is_ascii_alphabetic() || b":_.".contains(byte));
    if let (true, Some(tail)) = (typed, rest.strip_prefix(b" = ")) {
        let at = end.saturating_add(3);
        return match tail.first() {
            Some(quote @ (b'"' | b'\'' | b'`')) => quoted(bytes, at.saturating_add(1), *quote).map(|value| (value, Dress::Quoted)),
            _ => None,
        };
    }
    Some(((start, end), Dress::Bare))
}

/// `Authorization: Bearer ...`
fn after_scheme(bytes: &[u8], from: usize) -> Option<Value> {
    let start = from.saturating_add(bytes.get(from..)?.iter().take(4).take_while(|byte| **byte == b' ').count());
    let ((start, end), _) = bare(bytes, start)?;
    let value = bytes.get(start..end)?;
    (value.len() >= 12 && is_random(value, Word::Strong, Dress::Bare)).then_some(Value { start, end, kind: "authorization" })
}

/// The cells below a heading, where names stand in a line of commas.
fn column(bytes: &[u8], (start, end): (usize, usize), name: &[u8], found: &mut Vec<Value>) {
    let line_start = bytes
        .get(..start)
        .unwrap_or_default()
        .iter()
        .rev()
        .take(512)
        .position(|byte| *byte == b'\n')
        .map_or_else(|| start.saturating_sub(512), |back| start.saturating_sub(back));
    let head = bytes.get(line_start..start).unwrap_or_default();
    let rest = bytes.get(end..).unwrap_or_default();
    let bounded = matches!(rest.first(), Some(b',' | b'\n' | b'\r')) && matches!(head.last(), Some(b',') | None);
    let line_rest = rest.iter().take(512).position(|byte| *byte == b'\n');
    let (true, Some(line_rest)) = (bounded, line_rest) else { return };
    if !head.contains(&b',') && !rest.get(..line_rest).unwrap_or_default().contains(&b',') {
        return;
    }
    let index = head.iter().filter(|byte| **byte == b',').count();
    let mut at = end.saturating_add(line_rest).saturating_add(1);
    for line in bytes.get(at..).unwrap_or_default().split(|byte| *byte == b'\n').take(200) {
        let mut from = at;
        for (number, cell) in line.split(|byte| *byte == b',').enumerate() {
            if number == index {
                let cell_end = from.saturating_add(cell.trim_ascii_end().len());
                let inner =
                    if cell.first() == Some(&b'"') { (from.saturating_add(1), cell_end.saturating_sub(1)) } else { (from, cell_end) };
                found.extend(judge(bytes, inner, name, (Word::Strong, Dress::Bare)));
            }
            from = from.saturating_add(cell.len()).saturating_add(1);
        }
        at = at.saturating_add(line.len()).saturating_add(1);
    }
}

/// Whether this value, under this name, is a secret.
fn judge(bytes: &[u8], (start, end): (usize, usize), name: &[u8], (word, dress): (Word, Dress)) -> Option<Value> {
    let value = bytes.get(start..end)?;
    if !is_random(value, Word::Password, Dress::Quoted) || is_reference(value, word) || is_example(value) || contains(value, b"://") {
        return None;
    }
    let issuer = || BY_NAME.iter().find(|(named, shape)| shape.end(value, 0) == Some(value.len()) && contains(name, named.word.as_bytes()));
    if let Some((named, _)) = is_random(value, Word::Strong, Dress::Quoted).then(issuer).flatten() {
        return Some(Value { start, end, kind: named.name });
    }
    let kind = if word == Word::Password { "password" } else { "assigned-secret" };
    is_random(value, word, dress)
        .then_some(Value { start, end, kind })
        .filter(|_| !HARMLESS.iter().any(|part| contains(name, part.as_bytes())))
}

/// Whether a value only says where the value is: a variable, a template, a path. Passwords may begin like one.
fn is_reference(value: &[u8], word: Word) -> bool {
    let Some((first, rest)) = value.split_first() else { return true };
    let named = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphabetic() || b"_{}()%.".contains(byte));
    match first {
        b'{' | b'<' | b'[' => true,
        b'$' | b'%' => word != Word::Password || named(rest) || b"{(".contains(rest.first().unwrap_or(&b'{')),
        b'*' | b'(' | b'/' => word != Word::Password,
        _ => false,
    }
}

/// Whether a value without a name is one that people write escaped only to hide it.
pub(super) fn is_hidden_value(value: &[u8]) -> bool {
    value.len() >= 10 && is_random(value, Word::Password, Dress::Quoted)
}

/// Whether a value looks like chance made it, as much as the word asks for.
fn is_random(value: &[u8], word: Word, dress: Dress) -> bool {
    let shortest = match word {
        Word::Password => 6,
        Word::Strong | Word::Scheme => 10,
        Word::Weak => 20,
    };
    if !(shortest..=LONGEST).contains(&value.len())
        || value
            .iter()
            .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control() || (word != Word::Password && b"(){}<>[]".contains(byte)))
    {
        return false;
    }
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let marks = value.iter().filter(|byte| b"!@#$%^&*?~+=".contains(byte)).count();
    let longest = value.split(|byte| !byte.is_ascii_alphanumeric()).map(mixed).max().unwrap_or(0);
    let changes = changes(value);
    let bits = entropy(value);
    match (word, dress) {
        (Word::Password, Dress::Quoted) => letters > 0 && (digits > 0 || marks > 0) && bits > 2.2,
        (Word::Password, Dress::Bare) => letters > 0 && (digits > 0 && (marks > 0 || changes >= 3)) && bits > 2.5,
        (Word::Strong | Word::Scheme, Dress::Quoted) => digits > 0 && letters > 0 && longest >= 8 && changes >= 3 && bits > 2.8,
        (Word::Strong | Word::Scheme, Dress::Bare) => digits > 0 && letters > 0 && longest >= 8 && changes >= 4 && bits > 3.0,
        (Word::Weak, _) => digits > 1 && letters > 1 && longest >= 10 && changes >= 6 && bits > 3.3,
    }
}

/// Whether a text has a part, which is given in lower case.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}
