//! What a server is made of: read from its command line, fetched, looked at, and compared with what a person
//! approved, before any of it runs.
//!
//! The command line is read strictly, because a word that is not understood could change what runs. Packages
//! are installed without running code of theirs, into the gateway's own state; what is found there is what is
//! started, not what a launcher would find. Between looking and starting lies a short time in which somebody
//! who may write to these files could exchange them; against such a person pins do not help.

mod container;
mod file;
mod gate;
mod image;
mod npm;
mod plan;
mod python;
mod tool;
mod tree;
mod variables;
mod words;

pub use container::{Access, Container, Mount};
pub use gate::{Approvals, Approved, Gate};
pub use words::Unclear;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_monitor::lock::artefact::Artefact;
use bartizan_monitor::reason::gateway::{ARTEFACT_UNKNOWN, UPSTREAM_NOT_ALLOWED};
use bartizan_monitor::reason::{Reason, Refusal};

#[cfg(test)]
use crate::config::files;
use crate::config::{How, ServerSettings};
use plan::Plan;

/// A package, and where it stands in the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    name: String,
    /// The exact version, when there is one.
    version: Option<String>,
    /// What was written behind the name.
    wanted: String,
    at: usize,
    before: String,
    joint: &'static str,
}

impl Spec {
    /// The package in its exact version.
    fn pinned(&self) -> String {
        format!("{}{}{}", self.name, self.joint, self.version.as_deref().unwrap_or_default())
    }
}

/// Where a server comes from. A closed list: what is none of these is not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package of the npm registry.
    Npm(npm::Package),
    /// A package of the Python index.
    Python(python::Package),
    /// A container image.
    Image(image::Image),
    /// A program of this machine.
    File(file::Program),
}

/// What was found, and how it is started.
#[derive(Debug, Default)]
struct Fetch {
    artefacts: Vec<Artefact>,
    start: Vec<OsString>,
    /// A directory that comes first in the search path.
    first: Option<PathBuf>,
    /// Packages whose install scripts were not run.
    left_out: Vec<String>,
}

/// What a server is made of, for a person to review.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// All of it; nothing for a server that runs elsewhere.
    pub artefacts: Vec<Artefact>,
    /// Packages whose install scripts were not run.
    pub left_out: Vec<String>,
}

/// A server that may be started.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// What it is made of; nothing for one that runs elsewhere, and for a floating one that is accepted.
    pub artefacts: Vec<Artefact>,
    /// The command that starts exactly that.
    pub command: Vec<OsString>,
    first: Option<PathBuf>,
    /// Variables that come after all others.
    pub environment: Vec<(OsString, OsString)>,
    /// Packages whose install scripts were not run.
    pub left_out: Vec<String>,
}

impl Ready {
    /// The search path to start it with, where it has to be another one.
    #[must_use]
    pub fn search_path(&self, usual: &OsStr) -> Option<OsString> {
        self.first.as_deref().map(|first| tool::joined(Some(first), usual))
    }
}

fn refusal(reason: Reason, settings: &ServerSettings, detail: &str) -> Refusal {
    Refusal::new(reason, format!("{}: {detail}", settings.name))
}

/// Whether a refusal says that a server was not started for what it is made of.
#[must_use]
pub fn is_reason(reason: Reason) -> bool {
    reason.area() == ARTEFACT_UNKNOWN.area()
}

/// What a server is made of, fetched and looked at for a person to review: what was `approved`, where that can still
/// be had. Nothing of it runs.
pub async fn resolve(settings: &Arc<ServerSettings>, approved: &[Artefact]) -> Result<Resolved, Refusal> {
    permit(settings)?;
    let Some(plan) = Plan::of(settings).await? else { return Ok(Resolved::default()) };
    let expected = match plan.fetch(approved).await {
        Ok(()) => approved,
        // What the registry gives instead is for the person to see.
        Err(_) => {
            plan.fetch(&[]).await?;
            &[]
        }
    };
    let Ready { artefacts, left_out, .. } = plan.ready(expected).await?;
    Ok(Resolved { artefacts, left_out })
}

/// Whether the organisation allows a server that is reached by its address.
fn permit(settings: &ServerSettings) -> Result<(), Refusal> {
    match (&settings.supply.allowed, &settings.how) {
        (Some(allowed), How::Http { url, .. }) if !allowed.url(url) => {
            let detail = format!("{} is not among `servers_allowed.url`", url.host_str().unwrap_or_default());
            Err(refusal(UPSTREAM_NOT_ALLOWED, settings, &detail))
        }
        _ => Ok(()),
    }
}

impl Origin {
    /// Reads a command line; returns also where it begins, after `env NAME=VALUE …`.
    pub fn read(words: &[String]) -> Result<(usize, Self), Unclear> {
        let name = |at: usize| words.get(at).map(|word| word.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
        let from = settings(words)?;
        let own = words.get(from..).unwrap_or_default();
        let second = own.get(1).map(String::as_str);
        if LAUNCHERS.contains(&name(from)) && own.first().is_some_and(|word| word.contains('/')) {
            let what = format!("{} is named with its directory, and what stands there is not looked at", name(from));
            return Err(Unclear::new(what, format!("write {} alone; it is looked for in the gateway's PATH", name(from))));
        }
        let origin = match (name(from), second) {
            ("npx", _) => Self::Npm(npm::Package::read(own, 1)?),
            ("npm", Some("exec" | "x")) if own.iter().any(|word| word == "--") => Self::Npm(npm::Package::read(own, 2)?),
            ("uvx", _) => Self::Python(python::Package::uvx(own, 1)?),
            ("uv", Some("tool")) if own.get(2).is_some_and(|word| word == "run") => Self::Python(python::Package::uvx(own, 3)?),
            ("pipx", Some("run")) => Self::Python(python::Package::pipx(own, 2)?),
            ("docker" | "podman", _) => Self::Image(image::Image::read(own, 1)?),
            ("npm" | "uv" | "pipx", _) => {
                let what = format!("{} {} fetches or builds what it runs", name(from), second.unwrap_or_default());
                return Err(Unclear::new(what, "write npx -y NAME@VERSION, uvx NAME@VERSION, or the program's path"));
            }
            _ => Self::File(file::Program::read(own, 0)?),
        };
        Ok((from, origin))
    }
}

/// Programs that are understood, and of which nothing is looked at: those that the search path names are trusted.
const LAUNCHERS: &[&str] = &["npx", "npm", "uvx", "uv", "pipx", "docker", "podman"];

/// How many words `env NAME=VALUE …` takes at the beginning of a command line.
fn settings(words: &[String]) -> Result<usize, Unclear> {
    if !words.first().is_some_and(|word| matches!(word.as_str(), "env" | "/usr/bin/env" | "/bin/env")) {
        return Ok(0);
    }
    let is_setting = |word: &&String| word.contains('=') && !word.starts_with('-');
    let given: Vec<&str> = words.iter().skip(1).take_while(is_setting).filter_map(|word| word.split('=').next()).collect();
    if let Some(name) = given.iter().find(|name| **name == "PATH" || variables::loads_code(name)) {
        let what = format!("the variable {name} could change what runs");
        return Err(Unclear::new(what, "leave it out, and name programs and scripts by their paths"));
    }
    let from = given.len().saturating_add(1);
    if words.get(from).is_none_or(|word| word.starts_with('-')) {
        return Err(Unclear::new("env is given an option or no program", "write the variables into the server's `env`"));
    }
    Ok(from)
}

/// Writes a file and makes the directories that it stands in.
#[cfg(test)]
fn put(path: &std::path::Path, text: impl AsRef<str>) {
    files::private_directory(path.parent().expect("a directory")).expect("made");
    files::replace(path, text.as_ref().as_bytes(), files::Readers::Usual).expect("written");
}

#[cfg(test)]
mod tests;
