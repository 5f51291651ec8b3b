//! Which servers an organisation allows: a closed list by origin. What no entry covers is refused.

use std::path::{Path, PathBuf};

use bartizan_monitor::lock::artefact::Source;
use toml::Spanned;
use url::Url;

use super::file;
use super::problem::Problems;

/// The servers that may be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    npm: Vec<Package>,
    python: Vec<Package>,
    image: Vec<String>,
    path: Vec<PathBuf>,
    url: Vec<String>,
}

/// A package, and the versions of it that are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    /// A name, or everything that begins with the text before a final `*`.
    name: String,
    versions: Versions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Versions {
    Any,
    Exactly(String),
    /// All that begin with this text, which ends in a dot.
    Below(String),
}

impl Allowed {
    /// Judges what was written.
    pub(super) fn read(written: file::Allowed, problems: &mut Problems) -> Self {
        let mut all = Self::default();
        let mut packages = |list: Vec<Spanned<String>>, joint: &str| -> Vec<Package> {
            list.into_iter().filter_map(|entry| package(&entry, joint, problems)).collect()
        };
        all.npm = packages(written.npm, "@");
        all.python = packages(written.python, "==");
        let fits = |text: &str| !text.is_empty() && !text.contains(['@', ' ']) && !text.trim_end_matches('*').contains('*');
        for entry in written.image {
            if !fits(entry.get_ref()) {
                problems.add(
                    Some(entry.span()),
                    "an image is a repository, or ends in `*`: \"ghcr.io/acme/*\"",
                    "its digest stands in the lock file",
                );
            }
            all.image.push(entry.into_inner());
        }
        for entry in written.path {
            if !entry.get_ref().is_absolute() {
                problems.add(
                    Some(entry.span()),
                    "a path begins with `/`",
                    "name a program, or a directory that only administrators may write to",
                );
            }
            all.path.push(entry.into_inner());
        }
        for entry in written.url {
            let bare = entry.get_ref().strip_prefix("*.").unwrap_or(entry.get_ref());
            if bare.is_empty() || bare.contains(['/', '*', '@', '?', '#', ' ']) {
                problems.add(Some(entry.span()), "an entry is a host: \"mcp.example.com\" or \"*.example.com\"", "without scheme and path");
            }
            all.url.push(entry.into_inner().to_ascii_lowercase());
        }
        all
    }

    /// Whether a package is allowed; one without a version only where every version is.
    #[must_use]
    pub fn package(&self, source: Source, name: &str, version: Option<&str>) -> bool {
        let list = if source == Source::Python { &self.python } else { &self.npm };
        let bare = name.split('[').next().unwrap_or_default();
        list.iter().any(|entry| covers(&entry.name, bare) && entry.versions.cover(version))
    }

    /// Whether an image is allowed, by its repository.
    #[must_use]
    pub fn image(&self, repository: &str) -> bool {
        !repository.is_empty() && self.image.iter().any(|entry| covers(entry, repository))
    }

    /// Whether a file is allowed: a canonical path.
    #[must_use]
    pub fn path(&self, path: &Path) -> bool {
        self.path.iter().any(|entry| path.starts_with(entry))
    }

    /// Whether a server that is reached by its address is allowed.
    #[must_use]
    pub fn url(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let below = |host: &str, domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        self.url.iter().any(|entry| entry.strip_prefix("*.").map_or(entry == host, |domain| below(host, domain)))
    }
}

impl Versions {
    fn cover(&self, version: Option<&str>) -> bool {
        match (self, version) {
            (Self::Any, _) => true,
            (Self::Exactly(one), Some(version)) => one == version,
            (Self::Below(begin), Some(version)) => version.starts_with(begin.as_str()),
            (Self::Exactly(_) | Self::Below(_), None) => false,
        }
    }
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |begin| name.starts_with(begin))
}

/// Reads `NAME`, `NAME@1.2.3`, `NAME@1.*`, `@scope/*`; for Python with `==`.
fn package(entry: &Spanned<String>, joint: &str, problems: &mut Problems) -> Option<Package> {
    let text = entry.get_ref();
    // A scope begins with what joins name and version.
    let from = usize::from(text.starts_with('@'));
    let at = text.get(from..).and_then(|rest| rest.find(joint)).map(|at| at.saturating_add(from));
    let (name, version) = at.and_then(|at| Some((text.get(..at)?, text.get(at.saturating_add(joint.len())..)?))).unzip();
    let name = name.unwrap_or(text);
    let versions = match version {
        None => Versions::Any,
        Some(version) => match version.strip_suffix('*') {
            Some(begin) => Versions::Below(begin.to_owned()),
            None => Versions::Exactly(version.to_owned()),
        },
    };
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@/+!".contains(c));
    let versions_fine = match &versions {
        Versions::Any => true,
        Versions::Exactly(version) => plain(version) && version.starts_with(|c: char| c.is_ascii_digit()),
        Versions::Below(begin) => plain(begin) && begin.ends_with('.'),
    };
    // Everything below a scope is one owner's; everything that begins with some letters is anybody's.
    let name_fine = match name.strip_suffix('*') {
        Some(begin) => begin.starts_with('@') && begin.ends_with('/') && plain(begin),
        None => plain(name),
    };
    if name_fine && versions_fine {
        return Some(Package { name: name.to_owned(), versions });
    }
    let what = format!("{text:?} is neither NAME, NAME{joint}VERSION, NAME{joint}1.*, nor @SCOPE/*");
    problems.add(Some(entry.span()), what, "");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Result<Allowed, String> {
        let mut problems = Problems::default();
        let written: file::Allowed = toml::from_str(text).map_err(|error| error.to_string())?;
        let read = Allowed::read(written, &mut problems);
        problems.into_result("x", text).map(|()| read).map_err(|errors| errors.problems()[0].what().to_owned())
    }

    #[test]
    fn packages_are_allowed_by_name_scope_and_version() {
        let allowed = allowed("npm = [\"a\", \"@s/*\", \"@t/b@1.2.3\", \"c@2.*\"]\npython = [\"p==1.*\"]").expect("read");
        let npm = |name: &str, version: Option<&str>| allowed.package(Source::Npm, name, version);
        for (name, version) in [("a", None), ("a", Some("9.9.9")), ("@s/x", Some("1.0.0")), ("@t/b", Some("1.2.3")), ("c", Some("2.0.1"))] {
            assert!(npm(name, version), "{name} {version:?}");
        }
        for (name, version) in [
            ("ab", None),
            ("@s", None),
            ("@sx/x", None),
            ("@t/b", Some("1.2.30")),
            ("@t/b", None),
            ("c", Some("20.0.0")),
            ("c", None),
            ("p", Some("1.0")),
        ] {
            assert!(!npm(name, version), "{name} {version:?}");
        }
        assert!(allowed.package(Source::Python, "p[x]", Some("1.4")) && !allowed.package(Source::Python, "p", Some("2.0")));
    }

    #[test]
    fn paths_images_and_hosts() {
        let allowed = allowed(
            "path = [\"/opt/mcp\", \"/usr/bin/node\"]\nimage = [\"ghcr.io/acme/*\", \"mcp/fetch\"]\nurl = [\"a.example\", \"*.b.example\"]",
        )
        .expect("read");
        let path = |path: &str| allowed.path(Path::new(path));
        assert!(path("/opt/mcp/a/b") && path("/usr/bin/node") && !path("/opt/mcpx/a") && !path("/usr/bin/nodejs") && !path("/usr/bin"));
        let image = |name: &str| allowed.image(name);
        assert!(image("ghcr.io/acme/x") && image("mcp/fetch") && !image("mcp/fetch2") && !image("ghcr.io/acmex/x") && !image(""));
        let url = |url: &str| allowed.url(&Url::parse(url).expect("url"));
        assert!(url("https://A.example/mcp") && url("https://x.b.example:8443/"));
        assert!(
            !url("https://b.example/")
                && !url("https://xb.example/")
                && !url("https://a.example.evil/")
                && !url("https://a.example@evil.example/")
        );
        assert!(!Allowed::default().path(Path::new("/")) && !Allowed::default().image("x"));
    }

    #[test]
    fn other_syntax_is_a_mistake() {
        for text in [
            "npm = [\"a*\"]",
            "npm = [\"*\"]",
            "npm = [\"a@^1\"]",
            "npm = [\"a@1*\"]",
            "npm = [\"a@\"]",
            "npm = [\"\"]",
            "python = [\"a>=1\"]",
            "python = [\"*\"]",
            "image = [\"a@sha256:x\"]",
            "path = [\"opt\"]",
            "url = [\"https://a/\"]",
            "url = [\"*\"]",
            "gem = [\"a\"]",
        ] {
            assert!(allowed(text).is_err(), "{text}");
        }
    }
}
