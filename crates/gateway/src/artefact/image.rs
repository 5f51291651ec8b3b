//! Container images: `docker run` and `podman run`. The engine verifies the digest that names an image, so
//! the digest is all that has to be compared.

use std::ffi::OsStr;
use std::time::Duration;

use bartizan_monitor::lock::artefact::{Artefact, Source};

use super::tool;
use super::words::{Options, Unclear};

/// Options that say what the container may do or sees, and not which image it is.
const RUN: Options = Options {
    program: "docker run",
    flags: &["-i", "--interactive", "--rm", "--init", "--read-only", "-q", "--quiet", "--no-healthcheck"],
    values: &[
        "-e",
        "--env",
        "--env-file",
        "--name",
        "--network",
        "--net",
        "-m",
        "--memory",
        "--memory-swap",
        "--cpus",
        "--cap-drop",
        "--cap-add",
        "--security-opt",
        "-u",
        "--user",
        "-w",
        "--workdir",
        "-l",
        "--label",
        "--tmpfs",
        "--pids-limit",
        "--ulimit",
        "--add-host",
        "--dns",
        "-h",
        "--hostname",
        "--platform",
        "--pull",
        "-v",
        "--volume",
        "--mount",
        "-p",
        "--publish",
        "--entrypoint",
        "--shm-size",
        "--log-driver",
        "--stop-timeout",
        "--userns",
    ],
    code: &[],
};

/// Where the options of `docker run` begin, when that is what a command line says from here on. What stands between the
/// program and `run` would say which engine is meant.
pub(super) fn options(words: &[String], from: usize) -> Result<usize, Unclear> {
    match (words.get(from).map(String::as_str), words.get(from.saturating_add(1)).map(String::as_str)) {
        (Some("container"), Some("run")) => Ok(from.saturating_add(2)),
        (Some("run"), _) => Ok(from.saturating_add(1)),
        _ => Err(Unclear::new("this does not start a container", "write docker run -i --rm IMAGE@sha256:DIGEST")),
    }
}

/// What a command line of `docker run` would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The engine's program.
    engine: String,
    /// The image as it was written.
    pub(super) reference: String,
    /// `sha256:…`, when it is named by its digest.
    pub(super) digest: Option<String>,
    /// Where it stands in the command line.
    pub(super) at: usize,
}

impl Image {
    /// Reads `docker run [options] IMAGE …` from the word after `docker`.
    pub(super) fn read(words: &[String], from: usize) -> Result<Self, Unclear> {
        let (_, at) = RUN.read(words, options(words, from)?)?;
        Self::named(words, at)
    }

    /// The image that is named at a place of a command line.
    pub(super) fn named(words: &[String], at: usize) -> Result<Self, Unclear> {
        let reference = words.get(at).ok_or_else(|| Unclear::new("no image is named", "write docker run -i --rm IMAGE@sha256:DIGEST"))?;
        let digest = reference.rsplit_once('@').map_or(reference.as_str(), |(_, digest)| digest);
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
        Ok(Self {
            engine: words.first().cloned().unwrap_or_default(),
            reference: reference.clone(),
            digest: hex.map(|_| digest.to_owned()),
            at,
        })
    }

    /// The repository, without tag and digest.
    pub(super) fn name(&self) -> &str {
        let plain = self.reference.split('@').next().unwrap_or_default();
        if self.reference.starts_with("sha256:") {
            return "";
        }
        match plain.rsplit_once(':') {
            // A colon before a slash is a registry's port.
            Some((name, tag)) if !tag.contains('/') => name,
            _ => plain,
        }
    }

    /// What it is, when it is pinned.
    pub(super) fn artefact(&self) -> Option<Artefact> {
        let integrity = self.digest.clone()?;
        let name = Some(self.name()).filter(|name| !name.is_empty()).unwrap_or(&self.reference).to_owned();
        Some(Artefact { source: Source::Image, name, version: String::new(), integrity, files: String::new(), parts: Vec::new() })
    }

    /// The same image by its digest, as the engine knows it now.
    pub(super) async fn newest(&self) -> Option<String> {
        let words = [&self.engine, "image", "inspect", "--format", "{{index .RepoDigests 0}}", &self.reference].map(OsStr::new);
        let said = tool::run(&words, None, None, ("", Duration::from_secs(20))).await.ok()?;
        let line = said.out.trim();
        let digest = line.rsplit_once("@sha256:").filter(|(_, hex)| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()));
        digest.map(|(_, hex)| format!("{}@sha256:{hex}", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Image, Unclear> {
        Image::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 1)
    }

    #[test]
    fn only_a_digest_pins_an_image() {
        let hex = "0123456789abcdef".repeat(4);
        for (reference, name, pinned) in [
            (format!("mcp/fetch@sha256:{hex}"), "mcp/fetch", true),
            (format!("ghcr.io:443/a/b:1.2@sha256:{hex}"), "ghcr.io:443/a/b", true),
            (format!("sha256:{hex}"), "", true),
            ("mcp/fetch".to_owned(), "mcp/fetch", false),
            ("mcp/fetch:1.2.3".to_owned(), "mcp/fetch", false),
            ("host:5000/fetch:latest".to_owned(), "host:5000/fetch", false),
            (format!("mcp/fetch@sha256:{}", hex.trim_end_matches('f')), "mcp/fetch", false),
        ] {
            let image =
                read(&format!("docker run -i --rm -e KEY --mount type=bind,src=/a,dst=/a {reference} stdio --verbose")).expect("read");
            assert_eq!((image.name(), image.digest.is_some()), (name, pinned), "{reference}");
            assert_eq!(image.artefact().is_some(), pinned);
        }
    }

    #[test]
    fn options_that_are_not_known_and_other_commands_are_refused() {
        for line in [
            "docker",
            "docker run",
            "docker run -it x",
            "docker run --privileged x",
            "docker exec x y",
            "docker --context z run x",
            "docker compose run x",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
