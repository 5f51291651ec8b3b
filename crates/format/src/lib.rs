//! Values of named formats, *parsed*: a text goes in, and what comes out has one meaning, or nothing does.
//!
//! For arguments of tools. A value that two readers may take for different things is refused, not mended; what is
//! allowed comes out in its one spelling. Nothing here resolves names or opens files: where a name leads, and where a
//! link on a disk does, is for whoever follows it.

pub mod address;
mod date;
pub mod media;
mod names;
mod path;
mod sql;
pub mod uri;
mod url;
mod verdict;
mod words;

pub use date::Dates;
pub use path::Roots;
pub use sql::Dialect;
pub use url::{Leads, Urls, opens};
pub use verdict::{Canonical, Refused};
pub use words::Options;

/// A format that the operator named for an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A path below one of the roots.
    Path(Roots),
    /// An absolute URL of an allowed scheme and host.
    Url(Urls),
    /// A host name (RFC 1123), no address.
    Hostname,
    /// An e-mail address: dot-atom and host name (RFC 5321).
    Email,
    /// A name as programs use it: a letter or underscore, then letters, digits and underscores, at most 63.
    Identifier,
    /// One SQL statement that reads and does nothing else.
    SqlReadOnly(Dialect),
    /// A word that every shell takes for one word and nothing else.
    ShellWord,
    /// One argument of a program that is started without a shell: no option but those listed, no response file.
    Argument(Options),
    /// A pattern for relative paths: `*`, `?`, `**`, `[...]`, `{a,b}`.
    Glob,
    /// A date or a time (RFC 3339).
    Date(Dates),
}

impl Format {
    /// The name that configurations use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Url(_) => "url",
            Self::Hostname => "hostname",
            Self::Email => "email",
            Self::Identifier => "identifier",
            Self::SqlReadOnly(_) => "sql-readonly",
            Self::ShellWord => "shell-word",
            Self::Argument(_) => "argument",
            Self::Glob => "glob",
            Self::Date(_) => "date",
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// When it is not of this format, or may be read in two ways.
    pub fn parse(&self, value: &str) -> Result<Canonical, Refused> {
        match self {
            Self::Path(roots) => path::parse(roots, value),
            Self::Url(urls) => url::parse(urls, value),
            Self::Hostname => names::hostname(value),
            Self::Email => names::email(value),
            Self::Identifier => names::identifier(value),
            Self::SqlReadOnly(dialect) => sql::parse(*dialect, value),
            Self::ShellWord => words::shell_word(value),
            Self::Argument(options) => words::argument(options, value),
            Self::Glob => words::glob(value),
            Self::Date(dates) => date::parse(*dates, value),
        }
        .map(Canonical::new)
    }
}
