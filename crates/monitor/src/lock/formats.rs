//! Named formats of arguments, as the operator writes them beside a tool.

use bartizan_format::{Dates, Dialect, Format, Options, Roots, Urls};
use serde::{Deserialize, Serialize};

use super::ContractError;
use crate::wire::json::Pointer;

/// What a value at one place of the arguments has to be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Named {
    /// Where: a JSON Pointer into the arguments; `*` stands for every member or item.
    pub at: Pointer,
    /// Of which format, where one is named.
    pub format: Option<Format>,
    /// A date of the future is refused.
    pub not_future: bool,
    /// Where another value is that this one is no greater than: both numbers, or both dates without a time.
    pub at_most: Option<Pointer>,
    pub(super) written: Written,
}

/// The same as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roots: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    schemes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    not_future: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<String>,
}

impl Written {
    /// The names of the settings beside the place that were written.
    fn settings(&self) -> Vec<&'static str> {
        let Self { at: _, format: _, roots, schemes, hosts, options, dialect, not_future, at_most: _ } = self;
        let written = [
            ("roots", !roots.is_empty()),
            ("schemes", !schemes.is_empty()),
            ("hosts", !hosts.is_empty()),
            ("options", !options.is_empty()),
            ("dialect", dialect.is_some()),
            ("not_future", *not_future),
        ];
        written.into_iter().filter(|(_, written)| *written).map(|(name, _)| name).collect()
    }

    fn named(&self, format: &str) -> Result<Format, String> {
        let (hosts, options) = (refs(&self.hosts), refs(&self.options));
        let (made, takes): (Format, &[&str]) = match format {
            "path" => (Format::Path(Roots::new(&refs(&self.roots)).map_err(|why| why.to_string())?), &["roots"]),
            "url" => {
                let schemes = if self.schemes.is_empty() { vec!["https"] } else { refs(&self.schemes) };
                let urls = if hosts.is_empty() { Urls::public(&schemes) } else { Urls::at(&schemes, &hosts) };
                (Format::Url(urls), &["schemes", "hosts"])
            }
            "hostname" => (Format::Hostname, &[]),
            "email" => (Format::Email, &[]),
            "identifier" => (Format::Identifier, &[]),
            "sql-readonly" => (Format::SqlReadOnly(dialect(self.dialect.as_deref())?), &["dialect"]),
            "shell-word" => (Format::ShellWord, &[]),
            "argument" => (Format::Argument(Options::new(&options)), &["options"]),
            "glob" => (Format::Glob, &[]),
            "date" => (Format::Date(Dates { not_after: None, not_before: None }), &["not_future"]),
            other => return Err(format!("there is no format {other:?}")),
        };
        match self.settings().into_iter().find(|setting| !takes.contains(setting)) {
            Some(stray) => Err(format!("{stray} says nothing of the format {format:?}")),
            None => Ok(made),
        }
    }
}

fn refs(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn dialect(name: Option<&str>) -> Result<Dialect, String> {
    match name {
        None => Ok(Dialect::Any),
        Some("postgres") => Ok(Dialect::Postgres),
        Some("mysql") => Ok(Dialect::MySql),
        Some("sqlite") => Ok(Dialect::Sqlite),
        Some("mssql") => Ok(Dialect::MsSql),
        Some(other) => Err(format!("there is no dialect {other:?}: postgres, mysql, sqlite, mssql")),
    }
}

impl TryFrom<Written> for Named {
    type Error = ContractError;

    fn try_from(written: Written) -> Result<Self, ContractError> {
        let bad = |why: String| ContractError(format!("formats: {}: {why}", written.at));
        let pointer = |text: &str| Pointer::read(text).ok_or_else(|| bad(format!("{text:?} is no JSON Pointer")));
        let format = written.format.as_deref().map(|format| written.named(format)).transpose().map_err(bad)?;
        let at_most = written.at_most.as_deref().map(pointer).transpose()?;
        if format.is_none() && (at_most.is_none() || !written.settings().is_empty()) {
            return Err(bad("say which format it has, or which value it is at most".to_owned()));
        }
        Ok(Self { at: pointer(&written.at)?, format, not_future: written.not_future, at_most, written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Named, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_says_nothing_is_an_error() {
        for (text, why) in [
            ("at = '/a'", "say which format"),
            ("at = 'a'\nformat = 'glob'", "no JSON Pointer"),
            ("at = '/a'\nformat = 'path'", "there is no root"),
            ("at = '/a'\nformat = 'path'\nroots = ['relative']", "absolute"),
            ("at = '/a'\nformat = 'glob'\nroots = ['/x']", "roots says nothing"),
            ("at = '/a'\nformat = 'uuid'", "there is no format"),
            ("at = '/a'\nformat = 'sql-readonly'\ndialect = 'db2'", "there is no dialect"),
            ("at = '/a'\nat_most = '/b'\nhosts = ['x']", "say which format"),
            ("at = '/a'\nformat = 'glob'\nat_most = 'b'", "no JSON Pointer"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(read("at = '/a/*'\nformat = 'date'\nnot_future = true\nat_most = '/b'").is_ok());
    }
}
