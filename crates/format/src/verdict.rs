//! What comes out of a parser: a value in its one spelling, or why there is none.

use std::fmt;

/// A value in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical(String);

impl Canonical {
    /// What a parser made.
    pub(crate) const fn new(spelling: String) -> Self {
        Self(spelling)
    }

    /// The spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The spelling, to keep.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Why a value is not of a format: a sentence for the operator, which repeats nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub(crate) &'static str);

impl Refused {
    /// The sentence.
    #[must_use]
    pub const fn why(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// What every parser here gives.
pub(crate) type Parsed = Result<String, Refused>;

/// Shorthand for a refusal.
pub(crate) const fn refuse<T>(why: &'static str) -> Result<T, Refused> {
    Err(Refused(why))
}
