//! What is installed in an environment, compared with the lists that came with it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bartizan_monitor::lock::artefact::{Artefact, Source};
use bartizan_monitor::wire::json::{Json, View};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::super::{Spec, tree};
use crate::config::files;

/// How large a list of what was installed may be.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Files that say how something was installed, and not what: they differ from machine to machine.
const NOT_CONTENT: &[&str] = &["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"];

/// A whole environment, for a program in it that is started by its path.
pub(in crate::artefact) fn environment(env: &Path) -> Result<Artefact, String> {
    config(env)?;
    let parts: Vec<String> = distributions(env)?.iter().map(Distribution::part).collect();
    let integrity = tree::text(&parts.join("\n"));
    Ok(Artefact { source: Source::Python, name: "environment".to_owned(), version: String::new(), integrity, files: content(env)?, parts })
}

/// What `pyvenv.cfg` says of the Python that runs and of where it looks. How and where the environment was
/// made is left out: it names directories of this machine, and Python does not read it.
fn config(env: &Path) -> Result<Vec<String>, String> {
    let text = files::read(&env.join("pyvenv.cfg"), MAX_FILE).map_err(|error| format!("pyvenv.cfg: {error}"))?;
    let mut said = Vec::new();
    // Python takes a carriage return for the end of a line, too.
    for line in text.split(['\n', '\r']) {
        let (key, value) = line.split_once('=').map_or((line.trim(), ""), |(key, value)| (key.trim(), value.trim()));
        if key.eq_ignore_ascii_case("include-system-site-packages") && value.eq_ignore_ascii_case("true") {
            return Err(
                "this environment uses the system's packages, too, which cannot be pinned; make one without --system-site-packages"
                    .to_owned(),
            );
        }
        if !key.is_empty() && !["command", "prompt", "uv"].iter().any(|other| key.eq_ignore_ascii_case(other)) {
            said.push(format!("{key} = {value}"));
        }
    }
    Ok(said)
}

/// The digest of an environment that was made here: of what can be loaded, of the interpreter that loads it, and
/// of what tells that one where to look.
pub(super) fn whole(env: &Path) -> Result<String, String> {
    let python = env.join("bin/python").canonicalize().map_err(|error| format!("bin/python: {error}"))?;
    let interpreter = tree::file(&python).map_err(|error| format!("{}: {error}", python.display()))?;
    Ok(tree::text(&[content(env)?, interpreter, config(env)?.join("\n")].join("\n")))
}

/// The environment that a Python program belongs to.
pub(in crate::artefact) fn environment_of(program: &Path) -> Option<PathBuf> {
    let env = program.parent()?.parent()?;
    env.join("pyvenv.cfg").is_file().then(|| env.to_owned())
}

/// Where an environment's packages are, relative to it.
fn packages(env: &Path) -> Result<PathBuf, String> {
    let lib = env.join("lib");
    let all = files::list(&lib, "").map_err(|error| format!("{}: {error}", lib.display()))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let pythons: Vec<PathBuf> = all.into_iter().filter(|path| name(path).starts_with("python3")).collect();
    match pythons.as_slice() {
        [only] => Ok(Path::new("lib").join(name(only)).join("site-packages")),
        _ => Err(format!("{} holds no packages of one Python", lib.display())),
    }
}

/// The digest of every file that can be loaded, byte code apart: Python makes that from the sources.
fn content(env: &Path) -> Result<String, String> {
    let skip = |place: &Path| {
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let of_dist = place.parent().is_some_and(|parent| parent.to_string_lossy().ends_with(".dist-info"));
        name == "__pycache__" || (of_dist && NOT_CONTENT.contains(&name.as_str()))
    };
    let place = packages(env)?;
    let lines = tree::list(env, &place, &skip).map_err(|error| error.to_string())?;
    Ok(tree::text(&lines.join("\n")))
}

/// One installed distribution.
pub(super) struct Distribution {
    pub(super) name: String,
    pub(super) version: String,
    /// Of its list of files, which has their digests.
    pub(super) digest: String,
    pub(super) programs: Vec<(String, String)>,
}

impl Distribution {
    pub(super) fn part(&self) -> String {
        format!("{} {} {}", self.name, self.version, self.digest)
    }

    pub(super) fn is(&self, spec: &Spec) -> bool {
        is_named(&self.name, spec) && spec.version.as_deref() == Some(&self.version)
    }
}

/// Whether a distribution of this name is what a command line names.
pub(super) fn is_named(name: &str, spec: &Spec) -> bool {
    normal(spec.name.split('[').next().unwrap_or_default()) == name
}

/// Names that differ in case and separators are the same (PEP 503).
fn normal(name: &str) -> String {
    let mut plain = String::new();
    for symbol in name.chars() {
        match symbol {
            '-' | '_' | '.' if plain.ends_with('-') => {}
            '-' | '_' | '.' => plain.push('-'),
            other => plain.push(other.to_ascii_lowercase()),
        }
    }
    plain
}

/// Everything that is installed in an environment, each compared with its own list, sorted by name.
pub(super) fn distributions(env: &Path) -> Result<Vec<Distribution>, String> {
    let site = env.join(packages(env)?);
    for path in files::list(&site, ".pth").map_err(|error| error.to_string())? {
        let text = files::read(&path, MAX_FILE).map_err(|error| format!("{}: {error}", path.display()))?;
        let leads_out =
            |line: &str| !(line.trim().is_empty() || line.starts_with('#') || line.starts_with("import ") || line.starts_with("import\t"));
        if text.lines().any(leads_out) {
            return Err(format!("{} loads code from elsewhere (an editable installation?), which cannot be pinned", path.display()));
        }
    }
    let all = files::list(&site, "").map_err(|error| error.to_string())?;
    // setuptools leads to the sources by files of this name.
    if let Some(path) = all.iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("__editable__"))) {
        return Err(editable(path));
    }
    let infos = files::list(&site, ".dist-info").map_err(|error| error.to_string())?;
    let mut found = infos.iter().map(|info| read(&site, info)).collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// An editable installation runs what stands in a directory of its author's at each start.
fn editable(path: &Path) -> String {
    format!("{} says that it is an editable installation, which cannot be pinned; install it as a wheel", path.display())
}

/// Whether `direct_url.json` (PEP 610), where there is one, lets the distribution be pinned.
fn check_origin(info: &Path) -> Result<(), String> {
    let path = info.join("direct_url.json");
    let text = match files::read(&path, MAX_FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let json = Json::parse(Bytes::from(text)).map_err(|error| format!("{}: {error}", path.display()))?;
    match json.view().get("dir_info").and_then(|of| of.get("editable")).and_then(View::as_bool) {
        Some(true) => Err(editable(&path)),
        Some(false) | None => Ok(()),
    }
}

fn read(site: &Path, info: &Path) -> Result<Distribution, String> {
    check_origin(info)?;
    let text = |name: &str| files::read(&info.join(name), MAX_FILE).map_err(|error| format!("{}: {error}", info.join(name).display()));
    let metadata = text("METADATA")?;
    let header = |key: &str| {
        let lines = metadata.lines().take_while(|line| !line.is_empty());
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim().to_owned())
    };
    let (Some(name), Some(version)) = (header("Name"), header("Version")) else { return Err(format!("{} has no name", info.display())) };
    let mut lines: Vec<String> = Vec::new();
    for line in text("RECORD")?.lines() {
        lines.extend(recorded(site, line)?);
    }
    lines.sort();
    let programs = text("entry_points.txt").map(|text| programs(&text)).unwrap_or_default();
    Ok(Distribution { name: normal(&name), version, digest: tree::text(&lines.join("\n")), programs })
}

/// Compares one file with its line `PATH,sha256=DIGEST,SIZE`; nothing for what does not come from the package.
fn recorded(site: &Path, line: &str) -> Result<Option<String>, String> {
    let mut fields = line.rsplitn(3, ',');
    let (Some(_), Some(hash), Some(path)) = (fields.next(), fields.next(), fields.next()) else { return Ok(None) };
    let path = path.trim_matches('"');
    let outside = path.starts_with('/') || path.split('/').any(|part| part == "..");
    let name = path.rsplit('/').next().unwrap_or_default();
    if outside && runs_environment(name) {
        return Err(format!("{path} would replace a part of the environment itself"));
    }
    let Some(wanted) = hash.strip_prefix("sha256=") else { return Ok(None) };
    // Other scripts outside are made anew at every place, and started by nobody here.
    if outside || NOT_CONTENT.contains(&name) {
        return Ok(None);
    }
    let found = tree::file(&site.join(path)).map_err(|error| format!("{path}: {error}"))?;
    let wanted = BASE64_URL_SAFE_NO_PAD.decode(wanted.trim_end_matches('=')).unwrap_or_default();
    let hex: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
    if found != format!("sha256:{hex}") {
        return Err(format!("{path} is not what its package's list says: somebody changed it after it was installed"));
    }
    Ok(Some(format!("{path} {found}")))
}

/// Whether a file of this name decides which Python runs and what it loads. Some file systems ignore case.
fn runs_environment(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "pyvenv.cfg" || name.starts_with("python") || name.starts_with("activate")
}

/// The programs of a distribution, by name.
fn programs(text: &str) -> Vec<(String, String)> {
    let section =
        text.lines().map(str::trim).skip_while(|line| *line != "[console_scripts]").skip(1).take_while(|line| !line.starts_with('['));
    let pairs = section.filter_map(|line| line.split_once('='));
    pairs.map(|(name, target)| (name.trim().to_owned(), target.split('[').next().unwrap_or_default().trim().to_owned())).collect()
}
