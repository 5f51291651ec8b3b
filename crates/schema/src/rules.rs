//! A schema, compiled: the one file that knows the `jsonschema` crate's options.

use std::fmt;

use jsonschema::{PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value};

use crate::declared::{Declared, Site, Strays};
use crate::place::shown;

/// Steps that a pattern with look-around may take on one string; beyond them the string has not
/// matched. Long enough for `^((?!x).)*$` on 20,000 characters.
const BACKTRACK_LIMIT: usize = 50_000;

/// Up to how many strings the place of a violation is looked for where patterns may backtrack: the
/// search, unlike the verdict, tries every pattern on every string.
const SEARCHED_STRINGS: usize = 64;

/// A compiled schema.
#[derive(Debug)]
pub struct Rules {
    validator: Validator,
    search: Search,
    declared: Declared,
}

/// When the place of a violation is looked for.
#[derive(Debug, Clone, Copy)]
enum Search {
    Always,
    FewStrings,
    Never,
}

/// What patterns run on.
#[derive(Debug, Clone, Copy)]
enum Engine {
    /// Linear in the length of the string, whatever the pattern.
    Linear,
    /// Needed for look-around and back-references.
    Backtracking,
}

/// A rule that a value breaks: where, and which. Never the value.
#[derive(Debug)]
pub struct Broken {
    place: String,
    keyword: String,
}

/// The keywords by which a schema bans undeclared fields itself.
const BANS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

impl Broken {
    fn read(error: &ValidationError<'_>) -> Self {
        // Reported as a `false` schema where it stands alone.
        let ban = BANS.into_iter().find(|ban| error.schema_path().as_str().rsplit('/').next() == Some(ban));
        Self { place: shown(error.instance_path().as_str()), keyword: shown(ban.unwrap_or_else(|| error.kind().keyword())) }
    }

    /// The place was not looked for.
    fn somewhere() -> Self {
        Self { place: String::new(), keyword: "somewhere inside".to_owned() }
    }

    /// Whether it is the schema's own ban on undeclared fields.
    #[must_use]
    pub fn is_undeclared(&self) -> bool {
        BANS.contains(&self.keyword.as_str())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.keyword)
    }
}

impl Rules {
    /// Compiles a schema. Nothing is fetched: a reference to another document is an error, unless the
    /// document is the published meta-schema of the same draft, which is built in.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let declared = Declared::survey(schema).map_err(|why| shown(&why))?;
        let linear = Engine::Linear.options().build(schema).map(|validator| (validator, Engine::Linear));
        let (validator, engine) = linear
            .or_else(|_| Engine::Backtracking.options().build(schema).map(|validator| (validator, Engine::Backtracking)))
            .map_err(|error| shown(&format!("schema{}: {error}", error.instance_path())))?;
        let search = if declared.is_small() { engine.search() } else { Search::Never };
        Ok(Self { validator, search, declared })
    }

    /// The first rule that a value breaks. A pattern that gave up has not matched.
    #[must_use]
    pub fn broken(&self, value: &Value) -> Option<Broken> {
        if self.validator.is_valid(value) {
            return None;
        }
        // Looking for the place costs more than the answer, and only a refusal needs it.
        let searched = match self.search {
            Search::Always => true,
            Search::FewStrings => strings(value) <= SEARCHED_STRINGS,
            Search::Never => false,
        };
        let found = searched.then(|| self.validator.validate(value).err()).flatten();
        Some(found.map_or_else(Broken::somewhere, |error| Broken::read(&error)))
    }

    /// The place of a field that the schema does not declare and does not allow either.
    #[must_use]
    pub fn undeclared(&self, value: &Value) -> Option<String> {
        self.declared.strays(value, Site::Closed).place()
    }

    /// All such fields. A value without any declared field is free-form here, also as a whole.
    #[must_use]
    pub fn strays(&self, value: &Value) -> Strays {
        self.declared.strays(value, Site::Free)
    }
}

impl Engine {
    const fn search(self) -> Search {
        match self {
            Self::Linear => Search::Always,
            Self::Backtracking => Search::FewStrings,
        }
    }

    /// How every schema is compiled. Formats and contents are annotations: not asserted.
    fn options<'o>(self) -> ValidationOptions<'o> {
        let options = jsonschema::options()
            .offline()
            .should_validate_formats(false)
            .without_content_media_type_support("application/json")
            .without_content_encoding_support("base64");
        match self {
            Self::Linear => options.with_pattern_options(PatternOptions::regex()),
            Self::Backtracking => options.with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT)),
        }
    }
}

/// A schema of one pattern, as `patternProperties` needs it.
pub(crate) fn pattern(source: &str) -> Result<Validator, String> {
    let mut schema = Map::new();
    schema.insert("pattern".to_owned(), Value::String(source.to_owned()));
    let schema = Value::Object(schema);
    let linear = Engine::Linear.options().build(&schema);
    linear.or_else(|_| Engine::Backtracking.options().build(&schema)).map_err(|error| shown(&error.to_string()))
}

/// How many strings, names of fields included, a value holds.
fn strings(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(items) => items.iter().map(strings).sum(),
        Value::Object(members) => members.values().map(|member| strings(member).saturating_add(1)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
