//! What a server is made of: the packages, images and files that a person reviewed together with its
//! definitions.

use std::fmt;

use super::LockError;
use super::text::toml_text;

/// Where a part of a server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A package of the npm registry and everything that it depends on.
    Npm,
    /// A Python distribution, or a whole environment, and everything in it.
    Python,
    /// A container image.
    Image,
    /// A file of this machine: a program or a script.
    File,
    /// Code that stands in the command line itself.
    Inline,
}

impl Source {
    /// Its name in the lock file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Python => "python",
            Self::Image => "image",
            Self::File => "file",
            Self::Inline => "inline",
        }
    }
}

/// One thing that is started or loaded when a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Artefact {
    /// Where it comes from.
    pub source: Source,
    /// The package's or image's name; a file's name as it stands in the command line.
    pub name: String,
    /// The exact version; empty where there are none.
    pub version: String,
    /// What identifies the content: `sha512-…` (npm), `sha256:…` (all others).
    pub integrity: String,
    /// What the installed files hold, `sha256:…`; empty where `integrity` says it.
    pub files: String,
    /// Everything that comes with it, sorted: `NAME VERSION INTEGRITY`.
    pub parts: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) server: String,
    source: Source,
    name: String,
    #[serde(default)]
    version: String,
    integrity: String,
    #[serde(default)]
    files: String,
    #[serde(default)]
    parts: Vec<String>,
}

impl Row {
    /// An edited row cannot be told from a reviewed one, but only by what it says can a server start; a row
    /// without a digest would say nothing.
    pub(super) fn read(self, line: usize) -> Result<Artefact, LockError> {
        let is_digest = |text: &str| text.split_once(['-', ':']).is_some_and(|(kind, rest)| kind.starts_with("sha") && rest.len() >= 32);
        if !is_digest(&self.integrity) || !(self.files.is_empty() || is_digest(&self.files)) {
            let what = "the integrity of this artefact is not a digest; run `bartizan approve` instead of editing".to_owned();
            return Err(LockError::Definition { line, server: self.server, name: self.name, what });
        }
        let Self { source, name, version, integrity, files, parts, .. } = self;
        Ok(Artefact { source, name, version, integrity, files, parts })
    }
}

impl Artefact {
    /// As it stands in the lock file, without its server.
    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        writeln!(out, "source = \"{}\"\nname = {}", self.source.name(), toml_text(&self.name))?;
        for (key, value) in [("version", &self.version), ("integrity", &self.integrity), ("files", &self.files)] {
            if !value.is_empty() {
                writeln!(out, "{key} = {}", toml_text(value))?;
            }
        }
        if self.parts.is_empty() {
            return Ok(());
        }
        out.write_str("parts = [\n")?;
        self.parts.iter().try_for_each(|part| writeln!(out, "  {},", toml_text(part)))?;
        out.write_str("]\n")
    }
}

/// Artefacts line by line, for people to compare.
#[must_use]
pub fn shown(artefacts: &[Artefact]) -> String {
    let mut out = String::new();
    for artefact in artefacts {
        // Infallible on a String.
        let _ = artefact.write(&mut out);
    }
    out
}

/// All rows of a server.
pub(super) fn write(server: &str, artefacts: &[Artefact], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for artefact in artefacts {
        writeln!(f, "\n[[artefact]]\nserver = {}", toml_text(server))?;
        artefact.write(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Lock;
    use super::*;

    fn artefact() -> Artefact {
        Artefact {
            source: Source::Npm,
            name: "@a/\"b\u{202e}".to_owned(),
            version: "1.0.0".to_owned(),
            integrity: format!("sha512-{}", "a".repeat(86)),
            files: format!("sha256:{}", "0".repeat(64)),
            parts: vec!["c 1.0.0 sha512-x".to_owned(), "d 1.0.0 sha512-y".to_owned()],
        }
    }

    #[test]
    fn rows_read_back_and_belong_to_their_server() {
        let mut lock = Lock::default();
        lock.set_artefacts("files", vec![artefact()]);
        let text = lock.to_string();
        let again = Lock::read(&text).expect(&text);
        assert_eq!(again.artefacts("files"), [artefact()]);
        assert_eq!(again.artefacts("other"), []);
        assert_eq!(again.to_string(), text);
        assert!(!text.contains('\u{202e}'), "{text}");
        assert!(again.lacks("files"), "what a server is made of is not a definition of it");
        lock.set_artefacts("files", Vec::new());
        assert_eq!(lock, Lock::default());
    }

    #[test]
    fn rows_without_a_digest_and_with_unknown_members_are_refused() {
        let mut lock = Lock::default();
        lock.set_artefacts("files", vec![artefact()]);
        let text = lock.to_string();
        for (from, to) in [("sha512-a", "md5-a"), ("sha256:0", "0"), ("version =", "vesion ="), ("\"npm\"", "\"gem\"")] {
            assert!(Lock::read(&text.replacen(from, to, 1)).is_err(), "{from} as {to}");
        }
    }
}
