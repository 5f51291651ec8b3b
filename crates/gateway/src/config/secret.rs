//! Secrets: references in the file, values in memory only.

use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

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

/// How long a secret in a file may be. Real ones are a few lines.
const MAX_FILE: u64 = 64 * 1024;

/// Replaces every reference in `text` by what it refers to. Paths are relative to `base`. The error
/// is for people and holds names only, never a value.
pub(super) fn resolve(text: &str, base: &Path, variables: Lookup<'_>) -> Result<Secret, String> {
    let mut value = Zeroizing::new(String::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (reference, following) = after.split_once('}').ok_or("a reference is opened with `${` and never closed")?;
        value.push_str(before);
        value.push_str(&look_up(reference, base, variables)?);
        rest = following;
    }
    value.push_str(rest);
    Ok(Secret(value))
}

fn look_up(reference: &str, base: &Path, variables: Lookup<'_>) -> Result<Zeroizing<String>, String> {
    let Some((kind, name)) = reference.split_once(':') else {
        return Err(format!("`${{{reference}}}` does not say where to look; write `${{env:{reference}}}` for an environment variable"));
    };
    match kind {
        "env" => variable(name, variables),
        "file" => file(&base.join(name)),
        "vault" | "aws-sm" | "keyring" => {
            Err(format!("`${{{kind}:…}}` is not available yet in this version; use `${{env:VAR}}` or `${{file:PATH}}`"))
        }
        _ => Err(format!("`${{{kind}:…}}` is not a known kind of reference; use `${{env:VAR}}` or `${{file:PATH}}`")),
    }
}

fn variable(name: &str, variables: Lookup<'_>) -> Result<Zeroizing<String>, String> {
    let value =
        variables(name).ok_or_else(|| format!("the environment variable {name} is not set; set it where the gateway is started"))?;
    let value = value.into_string().map_err(|_| format!("the environment variable {name} is not valid UTF-8"))?;
    if value.is_empty() {
        return Err(format!("the environment variable {name} is empty"));
    }
    Ok(Zeroizing::new(value))
}

fn file(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let mut bytes = Zeroizing::new(Vec::new());
    let file = files::open(path).map_err(|error| format!("the secret in {shown} cannot be read: {error}"))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| format!("the secret in {shown} cannot be read: {error}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{shown} is not valid UTF-8"))?;
    // Editors and `echo` end a file with a line feed that is not part of the secret.
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    match u64::try_from(text.len()) {
        Ok(0) => Err(format!("{shown} is empty")),
        Ok(1..=MAX_FILE) => Ok(Zeroizing::new(text.to_owned())),
        Ok(_) | Err(_) => Err(format!("{shown} is larger than {MAX_FILE} bytes; is it the right file?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, content: &[u8]) {
        files::replace(&dir.join(name), content, files::Readers::Owner).expect("write");
    }

    fn resolved(text: &str, base: &Path) -> Result<String, String> {
        let variables = |name: &str| match name {
            "KEY" => Some("v4lue".into()),
            "EMPTY" => Some(OsString::new()),
            _ => None,
        };
        resolve(text, base, &variables).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn references_resolve_anywhere_in_a_value() {
        let dir = tempfile::tempdir().expect("dir");
        write(dir.path(), "key", b"from file\n");
        assert_eq!(resolved("Bearer ${env:KEY}!", dir.path()).as_deref(), Ok("Bearer v4lue!"));
        assert_eq!(resolved("${file:key}${env:KEY}", dir.path()).as_deref(), Ok("from filev4lue"));
        assert_eq!(resolved("plain $ {x}", dir.path()).as_deref(), Ok("plain $ {x}"));
    }

    #[test]
    fn what_cannot_be_resolved_says_why() {
        let dir = tempfile::tempdir().expect("dir");
        write(dir.path(), "empty", b"\n");
        write(dir.path(), "large", &[b'x'; 70_000]);
        for (text, why) in [
            ("${env:NOPE}", "NOPE is not set"),
            ("${env:EMPTY}", "EMPTY is empty"),
            ("${KEY}", "write `${env:KEY}`"),
            ("${vault:a#b}", "not available yet"),
            ("${aws-sm:a#b}", "not available yet"),
            ("${keyring:a}", "not available yet"),
            ("${ssh:a}", "not a known kind"),
            ("${env:KEY", "never closed"),
            ("${file:missing}", "cannot be read"),
            ("${file:empty}", "is empty"),
            ("${file:large}", "larger than"),
            ("${file:.}", "cannot be read"),
        ] {
            let error = resolved(text, dir.path()).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("v4lue"));
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret::new("v4lue".to_owned())), "Secret(…)");
    }
}
