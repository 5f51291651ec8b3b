//! What is wrong with a configuration, and where: every problem at once.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::credential;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Diagnostic)]
#[error("{what}")]
pub struct Problem {
    what: String,
    #[help]
    help: Option<String>,
    #[label("here")]
    at: Option<SourceSpan>,
}

impl Problem {
    /// What is wrong, in a sentence.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Where in the file, as a range of bytes.
    #[must_use]
    pub fn at(&self) -> Option<Range<usize>> {
        self.at.map(|span| span.offset()..span.offset().saturating_add(span.len()))
    }
}

/// A configuration that cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub struct ConfigErrors {
    name: String,
    // Shown around each problem; what looks like a credential is blanked.
    #[source_code]
    source_code: NamedSource<String>,
    #[related]
    problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{} cannot be used: {count} {}", self.name, if count == 1 { "problem" } else { "problems" })
    }
}

impl ConfigErrors {
    /// A problem with a file as a whole.
    pub(super) fn alone(name: &str, what: String, help: &str) -> Self {
        let mut problems = Problems::default();
        problems.add(None, what, help);
        problems.into_error(name, "")
    }

    /// Everything that is wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The line of a problem, from 1.
    #[must_use]
    pub fn line(&self, problem: &Problem) -> Option<usize> {
        let before = self.source_code.inner().as_bytes().get(..problem.at()?.start)?;
        Some(before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1))
    }
}

/// Collects problems while the rest is still being read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    blanks: Vec<Range<usize>>,
}

impl Problems {
    /// Notes a problem and what to do about it.
    pub(super) fn add(&mut self, at: Option<Range<usize>>, what: impl Into<String>, help: &str) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        // What was not written in the file has no place in it.
        let at = at.filter(|at| at.end > 0).map(SourceSpan::from);
        self.found.push(Problem { what: what.into(), help, at });
    }

    /// Notes a problem that the TOML reader found.
    pub(super) fn add_error(&mut self, error: &toml::de::Error) {
        self.add_error_at(error, error.span());
    }

    /// Notes a problem that somebody found who does not know the place as well as the caller.
    pub(super) fn add_error_at(&mut self, error: &toml::de::Error, at: Option<Range<usize>>) {
        self.add(at, without_value(error.message()), "");
    }

    /// A place whose content must not be shown.
    pub(super) fn blank(&mut self, at: Range<usize>) {
        self.blanks.push(at);
    }

    /// The problems as one error about the file `name`, if there are any.
    pub(super) fn into_result(self, name: &str, source: &str) -> Result<(), ConfigErrors> {
        if self.found.is_empty() { Ok(()) } else { Err(self.into_error(name, source)) }
    }

    fn into_error(mut self, name: &str, source: &str) -> ConfigErrors {
        self.found.sort_by_key(|problem| problem.at.map_or(0, |at| at.offset()));
        let shown = credential::blanked(source, &self.blanks);
        ConfigErrors { name: name.to_owned(), source_code: NamedSource::new(name, shown).with_language("toml"), problems: self.found }
    }
}

/// A type error's text without the value, which may be a secret in the wrong place.
fn without_value(message: &str) -> String {
    let Some((before, quoted)) = message.split_once("string \"") else { return message.to_owned() };
    let Some((_, after)) = quoted.rsplit_once('"') else { return message.to_owned() };
    if before.starts_with("invalid ") { format!("{before}a string{after}") } else { message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_errors_do_not_quote_values() {
        assert_eq!(without_value("invalid type: string \"hun\"ter2\", expected a map"), "invalid type: a string, expected a map");
        assert_eq!(without_value("unknown field `x`, expected `y`"), "unknown field `x`, expected `y`");
    }
}
