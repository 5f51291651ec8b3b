//! A schema, compiled: the one file that knows the `jsonschema` crate's options.

use std::fmt;

use jsonschema::{PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use super::declared::Declared;
use super::shown;
use crate::wire::json::Json;

/// Steps that a pattern with look-around may take on one string; beyond them the value is refused.
/// Patterns without look-around never take steps: they run on an engine of linear time.
const BACKTRACK_LIMIT: usize = 100_000;

/// A compiled schema.
#[derive(Debug)]
pub struct Rules {
    validator: Validator,
    declared: Declared,
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
    pub fn compile(schema: &Json) -> Result<Self, String> {
        let schema = schema.view().to_value();
        let validator = options().build(&schema).map_err(|error| shown(&format!("schema{}: {error}", error.instance_path())))?;
        let declared = Declared::survey(&schema, validator.draft())?;
        Ok(Self { validator, declared })
    }

    /// The first rule that a value breaks. A pattern that gave up has not matched.
    #[must_use]
    pub fn broken(&self, value: &Value) -> Option<Broken> {
        if self.validator.is_valid(value) {
            return None;
        }
        // Looking for the place costs more than the answer, and only a refusal needs it.
        let found = self.validator.validate(value).err().map(|error| Broken::read(&error));
        Some(found.unwrap_or_else(|| Broken { place: String::new(), keyword: "pattern".to_owned() }))
    }

    /// The place of a field that the schema does not declare and does not allow either.
    #[must_use]
    pub fn undeclared(&self, value: &Value) -> Option<String> {
        self.declared.stray(value).map(|place| shown(&place))
    }
}

/// How every schema is compiled. Formats and contents are annotations: not asserted.
pub(super) fn options<'o>() -> ValidationOptions<'o> {
    jsonschema::options()
        .offline()
        .should_validate_formats(false)
        .without_content_media_type_support("application/json")
        .without_content_encoding_support("base64")
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
}
