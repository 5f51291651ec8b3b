//! Secrets in a text: where they are, and the text without them.
//!
//! One pass (`grams`) finds the places worth a look; there the shapes of known kinds (`kinds`, `shape`), names that
//! values are assigned to (`assign`), keys and the values that somebody gave as known (`known`) are tried. Escaped and
//! encoded stretches (`views`) are written out and looked at in the same way, a few layers deep. What is found is
//! masked where it stands: for base64 and hexadecimal that is the whole run.

mod assign;
mod check;
mod fixed;
mod grams;
mod kinds;
mod known;
mod mask;
mod shape;
mod views;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use assign::{Value, WORDS, Word};
use fixed::Middle;
use grams::Grams;
use kinds::Kind;
use shape::Shape;
use views::View;

pub use check::Proof;
pub use mask::Key;

/// How many layers of encoding are undone.
const LAYERS: usize = 3;
/// How far the end of a private key is looked for.
const KEY_LENGTH: usize = 16 * 1024;

/// A secret in a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// What it is: a stable name, such as `github-token`.
    pub kind: &'static str,
    /// The bytes to be masked; always whole characters.
    pub place: Range<usize>,
    /// How sure that is.
    pub proof: Proof,
    /// The value without its encoding, so that equal values stay equal when masked.
    value: Vec<u8>,
}

impl Secret {
    /// What is put in its place: equal for equal values under one key.
    #[must_use]
    pub fn placeholder(&self, key: &Key) -> String {
        mask::placeholder(self, key)
    }

    /// Whether it is one of the values that were given as known, and not merely looks like a secret.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.kind == known::KIND
    }
}

// Values are nobody's to print.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.kind, self.place)
    }
}

/// What is tried where four bytes match.
enum Look {
    Shape(&'static Kind, Shape),
    Word(&'static str, Word),
    Around(Middle),
    Known(known::Known),
    Pem,
    Url,
}

/// Finds secrets. Building one takes a millisecond: keep it.
pub struct Secrets {
    grams: Grams,
    looks: Vec<Look>,
}

// Known values are nobody's to print.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} looks)", self.looks.len())
    }
}

static PLAIN: LazyLock<Secrets> = LazyLock::new(|| Secrets::new(&[]));

/// All secrets of a text that are recognised by what they look like.
#[must_use]
pub fn find(text: &str) -> Vec<Secret> {
    PLAIN.find(text)
}

/// The text with a placeholder for each secret; see [`Secrets::mask`].
#[must_use]
pub fn mask<'a>(text: &'a str, key: &Key) -> Cow<'a, str> {
    PLAIN.mask(text, key)
}

impl Secrets {
    /// With values that are known to be secret, exactly these, also in base64 (at any offset), hexadecimal, URL and JSON
    /// escapes. Values of fewer than six bytes are left out: they would be found everywhere.
    #[must_use]
    pub fn new(known: &[&str]) -> Self {
        let mut heads = Vec::new();
        let mut looks = Vec::new();
        let mut add = |head: [Vec<u8>; 4], look: Look| {
            if let Ok(number) = u16::try_from(looks.len()) {
                heads.push((head, number));
                looks.push(look);
            }
        };
        for kind in kinds::all() {
            for shape in kind.shapes.iter().map(|text| Shape::read(text)) {
                add(shape.head(), Look::Shape(kind, shape));
            }
        }
        for (text, word) in WORDS {
            add(Shape::read(text).head(), Look::Word(text, *word));
        }
        for (middle, text) in Middle::ALL {
            add(Shape::read(text).head(), Look::Around(middle));
        }
        add(Shape::read("-----BEGIN ").head(), Look::Pem);
        add(Shape::read("://<s1>").head(), Look::Url);
        for known in known::patterns(known) {
            let mut head = [const { Vec::new() }; 4];
            for (slot, byte) in head.iter_mut().zip(&known.pattern) {
                slot.push(*byte);
            }
            add(head, Look::Known(known));
        }
        Self { grams: Grams::new(heads.into_iter()), looks }
    }

    /// All secrets of a text, in order, none within another.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Secret> {
        let mut found = Vec::new();
        self.layer(text.as_bytes(), LAYERS, &mut found);
        ordered(found, text)
    }

    /// Which of these values a text holds, in whichever encoding; they must be among those that this was made with.
    #[must_use]
    pub fn known(&self, text: &str, values: &[&str]) -> Option<usize> {
        let mut found = Vec::new();
        self.layer(text.as_bytes(), LAYERS, &mut found);
        found.iter().find_map(|secret| values.iter().position(|value| value.as_bytes() == secret.value))
    }

    /// The text with a stable placeholder for each secret: equal values have equal placeholders under one key, and
    /// nobody without the key learns what they stand for. Text without secrets comes back as it is; masking twice is
    /// masking once; a JSON document stays one, as placeholders need no escape.
    #[must_use]
    pub fn mask<'a>(&self, text: &'a str, key: &Key) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        // What is left may show something new at an edge, in adversarial text.
        for _ in 0..LAYERS {
            let found = self.find(&out);
            if found.is_empty() {
                break;
            }
            out = Cow::Owned(mask::replaced(&out, &found, key));
        }
        out
    }

    /// One text and, while there are layers left, what it says when it is written out.
    fn layer(&self, bytes: &[u8], layers: usize, found: &mut Vec<Secret>) {
        self.scan(bytes, found);
        let Some(layers) = layers.checked_sub(1) else { return };
        views::escapes(bytes, |start, end| self.escaped(bytes.get(start..end).unwrap_or_default(), start, (layers, &mut *found)));
        for view in views::unquoted(bytes) {
            self.view(&view, layers, found);
        }
        views::runs(bytes, |start, end| {
            views::decoded(bytes.get(start..end).unwrap_or_default(), |text| {
                let mut inner = Vec::new();
                self.layer(text, layers, &mut inner);
                if let Some(first) = inner.into_iter().max_by_key(|secret| secret.proof) {
                    found.push(Secret { place: start..end, ..first });
                }
            });
        });
    }

    /// What a stretch with escapes says, and what was escaped only to hide it.
    fn escaped(&self, part: &[u8], from: usize, (layers, found): (usize, &mut Vec<Secret>)) {
        let view = views::unescaped(part);
        let mut inner = Vec::new();
        for (start, end) in &view.hidden {
            let value = view.bytes.get(*start..*end).unwrap_or_default();
            if assign::is_hidden_value(value) {
                inner.extend(view.place(*start, *end).map(|(start, end)| secret("escaped-secret", start..end, Proof::Context, value)));
            }
        }
        self.view(&view, layers, &mut inner);
        let shift = |at: usize| at.saturating_add(from);
        found.extend(inner.into_iter().map(|secret| Secret { place: shift(secret.place.start)..shift(secret.place.end), ..secret }));
    }

    /// What is found in a view, at the places where the text has it.
    fn view(&self, view: &View, layers: usize, found: &mut Vec<Secret>) {
        let mut inner = Vec::new();
        self.layer(&view.bytes, layers, &mut inner);
        found.extend(inner.into_iter().filter_map(|secret| {
            let (start, end) = view.place(secret.place.start, secret.place.end)?;
            Some(Secret { place: start..end, ..secret })
        }));
    }

    /// One text as it is.
    fn scan(&self, bytes: &[u8], found: &mut Vec<Secret>) {
        let mut values = Vec::new();
        // Where the last look of each costly kind ended: nothing is read again and again.
        let mut pem_until = 0;
        self.grams.each(bytes, |at, number| match self.looks.get(usize::from(number)) {
            Some(Look::Shape(kind, shape)) if is_start(bytes, at) => found.extend(shaped(bytes, at, kind, shape)),
            Some(Look::Word(text, word)) if starts_with(bytes, at, text) => {
                assign::values(bytes, (at, at.saturating_add(text.len())), *word, &mut values);
            }
            Some(Look::Around(middle)) => values.extend(fixed::around(bytes, at, *middle)),
            Some(Look::Known(known)) => found.extend(known::hit(bytes, at, known)),
            Some(Look::Pem) if at >= pem_until => {
                if let Some(end) = pem(bytes, at) {
                    pem_until = end;
                    found.push(secret("private-key", at..end, Proof::Exact, bytes.get(at..end).unwrap_or_default()));
                }
            }
            Some(Look::Url) => values.extend(fixed::in_url(bytes, at)),
            _ => {}
        });
        let value = |value: Value| {
            secret(value.kind, value.start..value.end, Proof::Context, bytes.get(value.start..value.end).unwrap_or_default())
        };
        found.extend(values.into_iter().map(value));
    }
}

fn secret(kind: &'static str, place: Range<usize>, proof: Proof, value: &[u8]) -> Secret {
    Secret { kind, place, proof, value: value.to_vec() }
}

fn shaped(bytes: &[u8], at: usize, kind: &'static Kind, shape: &Shape) -> Option<Secret> {
    let end = shape.end(bytes, at)?;
    let value = bytes.get(at..end)?;
    let proof = check::proof(kind.check, value)?;
    (!check::is_example(value)).then(|| secret(kind.name, at..end, proof, value))
}

/// A value begins here: what stands before is no part of a word, or the last character of an escape.
fn is_start(bytes: &[u8], at: usize) -> bool {
    let back = |by: usize| at.checked_sub(by).and_then(|at| bytes.get(at)).copied();
    let Some(before) = back(1) else { return true };
    if !before.is_ascii_alphanumeric() && before != b'_' {
        return true;
    }
    let escape = b"nrt".contains(&before) && back(2) == Some(b'\\');
    let percent = back(3) == Some(b'%') && before.is_ascii_hexdigit();
    let number = back(5) == Some(b'u') && back(6) == Some(b'\\');
    escape || percent || number
}

fn starts_with(bytes: &[u8], at: usize, text: &str) -> bool {
    bytes.get(at..at.saturating_add(text.len())).is_some_and(|part| part.eq_ignore_ascii_case(text.as_bytes()))
}

/// The end of a private key that begins here, in whatever way its lines are broken; without an end, the end of what
/// looks like one.
fn pem(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..at.saturating_add(KEY_LENGTH)).or_else(|| bytes.get(at..))?;
    let head = rest.get(..80).unwrap_or(rest);
    let label = find_in(head.get(11..)?, b"-----")?.saturating_add(11);
    let title = head.get(11..label)?;
    find_in(title, b"PRIVATE KEY")?;
    let body = rest.get(label.saturating_add(5)..)?;
    let length = match find_in(body, b"-----END ") {
        Some(length) => {
            let tail = body.get(length.saturating_add(9)..)?;
            let close = find_in(tail.get(..80).unwrap_or(tail), b"-----").map_or(0, |close| close.saturating_add(5));
            length.saturating_add(9).saturating_add(close)
        }
        None => body.iter().take_while(|byte| shape::Class::BASE64.has(**byte) || byte.is_ascii_whitespace() || **byte == b'\\').count(),
    };
    let end = at.saturating_add(label).saturating_add(5).saturating_add(length);
    (length >= 16).then_some(end)
}

fn find_in(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// In order, whole characters, one for what overlaps: the surest names it.
fn ordered(mut found: Vec<Secret>, text: &str) -> Vec<Secret> {
    found.sort_by(|a, b| (a.place.start, b.place.end).cmp(&(b.place.start, a.place.end)));
    let mut out: Vec<Secret> = Vec::with_capacity(found.len());
    for mut next in found {
        next.place = text.floor_char_boundary(next.place.start)..text.ceil_char_boundary(next.place.end);
        match out.last_mut() {
            Some(last) if next.place.start < last.place.end => {
                let place = last.place.start..last.place.end.max(next.place.end);
                if next.proof > last.proof {
                    *last = next;
                }
                last.place = place;
            }
            _ => out.push(next),
        }
    }
    out
}

#[cfg(test)]
mod tests;
