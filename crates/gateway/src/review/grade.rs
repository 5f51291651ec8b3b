//! How grave a change of a definition is: what is different, where, and what it can do.
//!
//! A definition is text that steers a model and a contract about arguments, so there are four grades:
//! cosmetic (says and allows the same), narrowing (asks more or allows less), widening (allows or
//! promises more) and steering (text that a model reads, or a hint that clients act on, may lead
//! elsewhere). When in doubt the graver one is chosen: a grade saves a reviewer's time, and decides
//! nothing. What was not reviewed is not called, whatever its grade.

mod hints;
mod part;
mod schema;
mod text;

use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::canonical::{self, Digest};
use bartizan_monitor::wire::json::Json;
use serde_json::Value;

pub use part::{Part, parts};

/// How grave a difference is, from what needs no thought to what needs it most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// It says and allows the same as before.
    Cosmetic,
    /// It asks more of a caller, or allows or promises less.
    Narrowing,
    /// It allows, does or promises more.
    Widening,
    /// It may lead a model, or a client that acts on hints, elsewhere.
    Steering,
}

impl Grade {
    /// All, from the lightest to the gravest.
    pub const ALL: [Self; 4] = [Self::Cosmetic, Self::Narrowing, Self::Widening, Self::Steering];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Narrowing => "narrowing",
            Self::Widening => "widening",
            Self::Steering => "steering",
        }
    }
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One place that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: a JSON pointer (RFC 6901) into the new definition, or the old one for what is gone.
    pub place: String,
    /// How grave it is.
    pub grade: Grade,
    /// What happened there. It may quote names of the definition, which may hold anything.
    pub words: String,
    /// Text that was not there before and that a model may read, as far as there is some.
    pub came: Option<String>,
    /// The same for the same edit at the same place, whatever else stands around it.
    pub edit: Digest,
}

/// What is different between two versions of one definition, in the order of the places. Equal values,
/// however they are spelled and ordered, have no differences; values that are not equal have at least one.
#[must_use]
pub fn grade(kind: Kind, old: &Json, new: &Json) -> Vec<Difference> {
    if Digest::of_json(old) == Digest::of_json(new) {
        return Vec::new();
    }
    let mut found = Found::default();
    part::compare(kind, &value(old), &value(new), &mut found);
    if found.all.is_empty() {
        // Numbers that only their digits tell apart, or a rule that is missing here.
        found.note("", Grade::Steering, "differs in a way that is not understood");
    }
    found.all
}

/// The value in its canonical form, in which numbers that are equal are spelled alike.
fn value(json: &Json) -> Value {
    Json::parse(canonical::text(json).into()).as_ref().unwrap_or(json).view().to_value()
}

/// The grade of a whole change: that of its gravest difference.
#[must_use]
pub fn gravest(differences: &[Difference]) -> Option<Grade> {
    differences.iter().map(|difference| difference.grade).max()
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    all: Vec<Difference>,
}

impl Found {
    /// Notes a difference that has no values worth comparing with another tool's.
    fn note(&mut self, place: &str, grade: Grade, words: impl Into<String>) {
        self.edit(place, grade, words, &Edit::default());
    }

    /// Notes a difference with the smallest edit that makes it.
    fn edit(&mut self, place: &str, grade: Grade, words: impl Into<String>, edit: &Edit) {
        let words = words.into();
        let key = Json::array([Json::string(place), Json::string(&words), Json::string(&edit.gone), Json::string(&edit.came)]);
        let came = (edit.is_text && !edit.came.is_empty()).then(|| edit.came.clone());
        self.all.push(Difference { place: place.to_owned(), grade, words, came, edit: Digest::of_json(&key) });
    }

    /// Notes that one value took the place of another.
    fn swap(&mut self, place: &str, grade: Grade, words: impl Into<String>, (old, new): (&Value, &Value)) {
        let edit = Edit { gone: old.to_string(), came: new.to_string(), is_text: false };
        self.edit(place, grade, words, &edit);
    }
}

/// What is gone and what came in its place.
#[derive(Debug, Default)]
struct Edit {
    gone: String,
    came: String,
    /// Whether it is text that a model reads, and not a value.
    is_text: bool,
}

/// A place below another (RFC 6901). Of a long key only the beginning and a digest are told: each place below
/// repeats it, and different keys are to stay different.
fn below(place: &str, key: &str) -> String {
    const KEY_CHARS: usize = 80;
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match key.char_indices().nth(KEY_CHARS) {
        None => format!("{place}/{}", escaped(key)),
        Some((end, _)) => {
            let start = escaped(key.get(..end).unwrap_or_default());
            format!("{place}/{start}~{}", Digest::of_bytes(key.as_bytes()))
        }
    }
}

#[cfg(test)]
mod tests;
