//! Secrets: references in the file, values in memory only, and only while they are used.

use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::files;

/// A value that is never shown: no `Display`, a `Debug` without content, zeroed when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a value into custody.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the one place that needs it. Never for a log, an error or an answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Looks up an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where a secret is. It holds names and no value, so that it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// An environment variable of the gateway.
    Env(String),
    /// A file; an absolute path, or one relative to where the gateway was started.
    File(PathBuf),
    /// A field of a secret in HashiCorp Vault or OpenBao (KV version 2).
    Vault {
        /// As `vault kv get` takes it: the mount, and the path in it.
        path: String,
        /// The field.
        field: String,
    },
    /// A secret in AWS Secrets Manager.
    Aws {
        /// Its name or ARN.
        name: String,
        /// The member of its JSON; the whole secret when there is none.
        field: Option<String>,
    },
    /// A key in the keyring of the operating system.
    Keyring(String),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{}}}", path.display()),
            Self::Vault { path, field } => write!(f, "${{vault:{path}#{field}}}"),
            Self::Aws { name, field: Some(field) } => write!(f, "${{aws-sm:{name}#{field}}}"),
            Self::Aws { name, field: None } => write!(f, "${{aws-sm:{name}}}"),
            Self::Keyring(name) => write!(f, "${{keyring:{name}}}"),
        }
    }
}

impl Reference {
    /// Reads what stands between `${` and `}`. Paths are relative to `base`.
    fn read(text: &str, base: &Path) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once(':') else {
            return Err(format!("`${{{text}}}` does not say where to look; write `${{env:{text}}}` for an environment variable"));
        };
        let how = |example: &str| format!("`${{{kind}:{name}}}` is not a reference; write {example}");
        if name.is_empty() || name.chars().any(char::is_control) || name.len() > 1024 {
            return Err(how(&format!("`${{{kind}:NAME}}`")));
        }
        match kind {
            "env" => Ok(Self::Env(name.to_owned())),
            "file" => Ok(Self::File(base.join(name))),
            "vault" => match name.split_once('#') {
                Some((path, field)) if is_path(path) && !field.is_empty() => {
                    Ok(Self::Vault { path: path.to_owned(), field: field.to_owned() })
                }
                _ => Err(how("`${vault:MOUNT/PATH#FIELD}`")),
            },
            "aws-sm" => match name.split_once('#') {
                None => Ok(Self::Aws { name: name.to_owned(), field: None }),
                Some((id, field)) if !id.is_empty() && !field.is_empty() => {
                    Ok(Self::Aws { name: id.to_owned(), field: Some(field.to_owned()) })
                }
                Some(_) => Err(how("`${aws-sm:NAME}` or `${aws-sm:NAME#FIELD}`")),
            },
            "keyring" => Ok(Self::Keyring(name.to_owned())),
            _ => {
                let kinds = "`${env:VAR}`, `${file:PATH}`, `${vault:PATH#FIELD}`, `${aws-sm:NAME#FIELD}` and `${keyring:NAME}`";
                Err(format!("`${{{kind}:…}}` is not a known kind of reference; there are {kinds}"))
            }
        }
    }
}

/// Whether a path leads to one place in a store: a mount and something in it, no empty and no dotted part.
fn is_path(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['?', '\\', '%']);
    path.contains('/') && path.split('/').all(plain)
}

/// A value as it was written: text, and references that are resolved when the value is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Reference(Reference),
}

// What is written between references is not a secret, as far as that can be told; it is not shown all the same.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(")?;
        self.references().try_for_each(|reference| write!(f, "{reference}"))?;
        f.write_str(")")
    }
}

impl Template {
    /// Reads a value. Paths are relative to `base`. The error is for people and holds names only.
    pub(crate) fn read(text: &str, base: &Path) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (reference, following) = after.split_once('}').ok_or("a reference is opened with `${` and never closed")?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Reference(Reference::read(reference, base)?));
            rest = following;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The value of a reference and nothing else.
    #[must_use]
    pub fn of(reference: Reference) -> Self {
        Self(vec![Part::Reference(reference)])
    }

    /// What it refers to.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|part| match part {
            Part::Reference(reference) => Some(reference),
            Part::Text(_) => None,
        })
    }

    /// The value without its references. It is the whole value of what must not have any.
    #[must_use]
    pub fn plain(&self) -> String {
        self.own().collect()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// What is written between the references.
    pub(super) fn own(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Reference(_) => None,
        })
    }
}

/// How long a secret in a file or in the environment may be. Real ones are a few lines.
pub(crate) const MAX: usize = 64 * 1024;

/// The value of an environment variable. The error names it and quotes nothing.
pub(crate) fn variable(name: &str, variables: Lookup<'_>) -> Result<Secret, String> {
    let value =
        variables(name).ok_or_else(|| format!("the environment variable {name} is not set; set it where the gateway is started"))?;
    let value = value.into_string().map_err(|_| format!("the environment variable {name} is not valid UTF-8"))?;
    if value.is_empty() {
        return Err(format!("the environment variable {name} is empty"));
    }
    Ok(Secret::new(value))
}

/// The secret in a file, without the line end that editors and `echo` put behind it.
pub(crate) fn file(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    let most = u64::try_from(MAX).unwrap_or(u64::MAX);
    let file = files::open(path).map_err(|error| format!("the secret in {shown} cannot be read: {error}"))?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| format!("the secret in {shown} cannot be read: {error}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{shown} is not valid UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    match text.len() {
        0 => Err(format!("{shown} is empty")),
        1..=MAX => Ok(Secret::new(text.to_owned())),
        _ => Err(format!("{shown} is larger than {MAX} bytes; is it the right file?")),
    }
}

/// A value for what needs it from the start to the end: from the environment and from files only.
pub(super) fn now(text: &str, base: &Path, variables: Lookup<'_>) -> Result<Secret, String> {
    let mut value = Zeroizing::new(String::new());
    for part in Template::read(text, base)?.parts() {
        match part {
            Part::Text(text) => value.push_str(text),
            Part::Reference(Reference::Env(name)) => value.push_str(variable(name, variables)?.expose()),
            Part::Reference(Reference::File(path)) => value.push_str(file(path)?.expose()),
            Part::Reference(other) => return Err(format!("{other} cannot stand here; use `${{env:VAR}}` or `${{file:PATH}}`")),
        }
    }
    Ok(Secret(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let template = Template::read(text, Path::new("/c"))?;
        Ok(template.references().map(ToString::to_string).collect())
    }

    #[test]
    fn references_stand_anywhere_in_a_value() {
        assert_eq!(read("Bearer ${env:KEY}!").expect("one"), ["${env:KEY}"]);
        assert_eq!(read("${file:key}${env:KEY}").expect("two"), ["${file:/c/key}", "${env:KEY}"]);
        assert_eq!(read("plain $ {x}").expect("none"), [""; 0]);
        for text in ["${vault:secret/app/db#password}", "${aws-sm:prod/db#password}", "${aws-sm:prod/db}", "${keyring:github}"] {
            assert_eq!(read(text).expect(text), [text]);
        }
        let arn = "${aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf#password}";
        assert_eq!(read(arn).expect("an ARN"), [arn]);
    }

    #[test]
    fn what_is_no_reference_says_why() {
        for (text, why) in [
            ("${KEY}", "write `${env:KEY}`"),
            ("${ssh:a}", "not a known kind"),
            ("${env:KEY", "never closed"),
            ("${env:}", "not a reference"),
            ("${vault:a#b}", "MOUNT/PATH#FIELD"),
            ("${vault:secret/a}", "MOUNT/PATH#FIELD"),
            ("${vault:secret/a#}", "MOUNT/PATH#FIELD"),
            ("${vault:secret/../sys/x#b}", "MOUNT/PATH#FIELD"),
            ("${vault:secret/a?version=1#b}", "MOUNT/PATH#FIELD"),
            ("${aws-sm:#b}", "aws-sm:NAME#FIELD"),
            ("${aws-sm:a#}", "aws-sm:NAME#FIELD"),
            ("${keyring:}", "not a reference"),
            ("${keyring:a\nb}", "not a reference"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn values_are_found_or_it_is_said_why_not() {
        let dir = tempfile::tempdir().expect("dir");
        let write = |name: &str, content: &[u8]| files::replace(&dir.path().join(name), content, files::Readers::Owner).expect("write");
        write("key", b"from file\n");
        write("empty", b"\n");
        write("large", &[b'x'; 70_000]);
        let variables = |name: &str| match name {
            "KEY" => Some("v4lue".into()),
            "EMPTY" => Some(OsString::new()),
            _ => None,
        };
        let resolved = |text: &str| now(text, dir.path(), &variables).map(|secret| secret.expose().to_owned());
        assert_eq!(resolved("${file:key}-${env:KEY}!").as_deref(), Ok("from file-v4lue!"));
        for (text, why) in [
            ("${env:NOPE}", "NOPE is not set"),
            ("${env:EMPTY}", "EMPTY is empty"),
            ("${keyring:a}", "cannot stand here"),
            ("${file:missing}", "cannot be read"),
            ("${file:empty}", "is empty"),
            ("${file:large}", "larger than"),
            ("${file:.}", "cannot be read"),
        ] {
            let error = resolved(&format!("${{env:KEY}}{text}")).expect_err(text);
            assert!(error.contains(why) && !error.contains("v4lue"), "{text}: {error}");
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret::new("v4lue".to_owned())), "Secret(…)");
        let template = Template::read("v4lue${env:KEY}", Path::new("/")).expect("a template");
        assert_eq!(format!("{template:?}"), "Template(${env:KEY})");
    }
}
