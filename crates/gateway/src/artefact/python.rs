//! Python packages: `uvx`, `uv tool run`, `pipx run`, and environments that somebody else made.
//!
//! As with npm, the launcher itself is not started: the package is installed into an environment of its own,
//! from wheels only, because building one runs its code. What is installed is compared with the lists that
//! came with it (`RECORD`, PEP 376), and then exactly that is started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_monitor::lock::artefact::{Artefact, Source};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::words::{Options, Unclear};
use super::{Fetch, Spec, npm, tool, tree};
use crate::config::files;

const UVX: Options = Options {
    program: "uvx",
    flags: &["-q", "--quiet", "--offline", "--isolated", "-n", "--no-cache", "--no-progress", "--no-config"],
    values: &["--from", "--with", "-p", "--python"],
    code: &[],
};
const PIPX: Options = Options { program: "pipx run", flags: &["-q", "--quiet", "--no-cache"], values: &["--spec", "--python"], code: &[] };

/// How large a list of what was installed may be.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Files that say how something was installed, and not what: they differ from machine to machine.
const NOT_CONTENT: &[&str] = &["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"];

/// What installs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installer {
    Uv,
    Pip,
}

/// What a command line of `uvx` or `pipx run` would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    launcher: String,
    installer: Installer,
    /// The packages that are installed; at least one.
    pub(super) specs: Vec<Spec>,
    /// Which Python is asked for.
    pub(super) python: Option<String>,
    /// The program of them that is started.
    bin: String,
    /// Where its arguments begin in the command line.
    pub(super) arguments: usize,
}

impl Package {
    /// Reads `uvx [options] NAME[@VERSION] …` from the word after `uvx` or `run`.
    pub(super) fn uvx(words: &[String], from: usize) -> Result<Self, Unclear> {
        Self::read(words, from, (&UVX, Installer::Uv, "write uvx NAME@VERSION"))
    }

    /// Reads `pipx run [options] NAME …` from the word after `run`.
    pub(super) fn pipx(words: &[String], from: usize) -> Result<Self, Unclear> {
        Self::read(words, from, (&PIPX, Installer::Pip, "write pipx run --spec NAME==VERSION PROGRAM"))
    }

    fn read(words: &[String], from: usize, (options, installer, instead): (&Options, Installer, &str)) -> Result<Self, Unclear> {
        let (given, at) = options.read(words, from)?;
        let first = words.get(at).ok_or_else(|| Unclear::new(format!("{} is given no package", options.program), instead))?;
        let mut specs = Vec::new();
        let package = given.iter().rev().find(|given| matches!(given.name, "--from" | "--spec"));
        let bin = match package {
            Some(given) => {
                specs.push(spec(given.value, given.at, given.before)?);
                first.clone()
            }
            None => {
                let spec = spec(first, at, "")?;
                let name = spec.name.split('[').next().unwrap_or_default().to_owned();
                specs.push(spec);
                name
            }
        };
        for given in given.iter().filter(|given| given.name == "--with") {
            specs.push(spec(given.value, given.at, given.before)?);
        }
        let python = given.iter().rev().find(|given| matches!(given.name, "-p" | "--python")).map(|given| given.value.to_owned());
        let launcher = words.first().cloned().unwrap_or_default();
        Ok(Self { launcher, installer, specs, python, bin, arguments: at.saturating_add(1) })
    }
}

/// Reads `NAME`, `NAME[EXTRA]==VERSION`, `NAME@VERSION`, or `NAME` and anything else that floats.
fn spec(word: &str, at: usize, before: &str) -> Result<Spec, Unclear> {
    let end = word.find(['=', '@', '<', '>', '~', '!']).unwrap_or(word.len());
    let (name, wanted) = word.split_at(end);
    let (bare, extras) = name.split_once('[').map_or((name, None), |(bare, extras)| (bare, Some(extras)));
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let extras_fine = extras.is_none_or(|extras| extras.strip_suffix(']').is_some_and(|inner| inner.chars().all(|c| known(c) || c == ',')));
    let plain = wanted.chars().all(|c| known(c) || matches!(c, '=' | '@' | '<' | '>' | '~' | '!' | '+' | '*' | ','));
    if bare.is_empty() || bare.starts_with(['.', '-']) || !bare.chars().all(known) || !extras_fine || !plain {
        return Err(Unclear::new(
            format!("{word:?} is not the name of a package in the index"),
            "write NAME==VERSION, or start a program of an environment of yours by its path",
        ));
    }
    let version = wanted.strip_prefix("==").or_else(|| wanted.strip_prefix('@')).filter(|version| is_exact(version));
    // `uvx NAME@VERSION` and `--from NAME==VERSION` are both understood where the other is.
    Ok(Spec {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        wanted: wanted.to_owned(),
        at,
        before: before.to_owned(),
        joint: "==",
    })
}

fn is_exact(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit())
        && version.contains('.')
        && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '!'))
}

/// The newest version that a floating word stands for, as the index says now.
pub(super) async fn newest(package: &Package, spec: &Spec) -> Option<String> {
    let limit = Duration::from_secs(20);
    let beside = npm::beside(&package.launcher);
    let version = match package.installer {
        Installer::Uv => {
            let words = ["uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-"].map(OsStr::new);
            let wanted = spec.wanted.replace("@latest", "");
            let said = tool::run(&words, beside, None, (&format!("{}{wanted}\n", spec.name), limit)).await.ok()?;
            said.out.trim().rsplit_once("==")?.1.to_owned()
        }
        Installer::Pip => {
            let bare = spec.name.split('[').next().unwrap_or_default();
            let words = ["python3", "-m", "pip", "index", "versions", bare].map(OsStr::new);
            let said = tool::run(&words, beside, None, ("", limit)).await.ok()?;
            said.out.split_once('(')?.1.split_once(')')?.0.to_owned()
        }
    };
    Some(version).filter(|version| is_exact(version))
}

/// Installs the packages into an environment in `home`.
pub(super) async fn install(package: &Package, home: &Path, limit: Duration) -> Result<(), String> {
    let (env, python) = (home.join("env"), home.join("env/bin/python"));
    let wanted: Vec<String> = package.specs.iter().map(Spec::pinned).collect();
    let (mut make, mut fill): (Vec<&OsStr>, Vec<&OsStr>) = match package.installer {
        Installer::Uv => (
            ["uv", "venv", "--quiet", "--no-project"].map(OsStr::new).to_vec(),
            ["uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--python"].map(OsStr::new).to_vec(),
        ),
        Installer::Pip => {
            let named = package.python.as_deref().unwrap_or("python3");
            ([named, "-m", "venv", "--without-pip"].map(OsStr::new).to_vec(), ["python3", "-m", "pip", "--python"].map(OsStr::new).to_vec())
        }
    };
    if let (Installer::Uv, Some(python)) = (package.installer, &package.python) {
        make.extend(["--python", python].map(OsStr::new));
    }
    make.push(env.as_os_str());
    fill.push(python.as_os_str());
    if package.installer == Installer::Pip {
        fill.extend(["install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary=:all:"].map(OsStr::new));
    }
    fill.extend(wanted.iter().map(OsStr::new));
    let beside = npm::beside(&package.launcher);
    let made = tool::run(&make, beside, Some(home), ("", limit)).await?;
    if !python.exists() {
        return Err(format!("the environment was not made: {}", made.last_words()));
    }
    let filled = tool::run(&fill, beside, Some(home), ("", limit)).await?;
    let found = distributions(&env)?;
    let installed = package.specs.iter().all(|spec| found.iter().any(|one| one.is(spec)));
    if installed {
        Ok(())
    } else {
        Err(format!("it was not installed (only wheels are, because building runs code): {}", filled.last_words()))
    }
}

/// What is installed in `home`, and how it is started.
pub(super) fn look(package: &Package, home: &Path) -> Result<Fetch, String> {
    let env = home.join("env");
    let found = distributions(&env)?;
    let files = content(&env)?;
    let chosen: Vec<&Distribution> = package.specs.iter().filter_map(|spec| found.iter().find(|one| one.is(spec))).collect();
    if chosen.len() != package.specs.len() {
        return Err("it is installed in another version".to_owned());
    }
    let parts: Vec<String> = found.iter().filter(|one| !chosen.iter().any(|root| root.name == one.name)).map(Distribution::part).collect();
    let artefact = |(index, one): (usize, &&Distribution)| {
        let (files, parts) = if index == 0 { (files.clone(), parts.clone()) } else { (String::new(), Vec::new()) };
        let (name, version, integrity) = (one.name.clone(), one.version.clone(), one.digest.clone());
        Artefact { source: Source::Python, name, version, integrity, files, parts }
    };
    let artefacts = chosen.iter().enumerate().map(artefact).collect();
    let code = entry(&chosen, &package.bin)?;
    let start = [env.join("bin/python").into(), "-I".into(), "-c".into(), code.into()].to_vec();
    Ok(Fetch { artefacts, start, first: None })
}

/// Python code that starts a program of a distribution, as the script would that pip makes of it.
fn entry(chosen: &[&Distribution], bin: &str) -> Result<String, String> {
    let mut names = Vec::new();
    for (name, target) in chosen.iter().flat_map(|one| &one.programs) {
        let (module, attribute) = target.split_once(':').unwrap_or((target, ""));
        let plain = |text: &str| {
            !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
        };
        if name == bin
            && plain(module)
            && plain(attribute)
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        {
            return Ok(format!("import sys; sys.argv[0] = '{name}'; import {module} as m; sys.exit(m.{attribute}())"));
        }
        names.push(name.as_str());
    }
    Err(format!("it has no program {bin:?}; it has {}. Write --from NAME==VERSION PROGRAM", names.join(", ")))
}

/// A whole environment, for a program in it that is started by its path.
pub(super) fn environment(env: &Path) -> Result<Artefact, String> {
    let config = files::read(&env.join("pyvenv.cfg"), MAX_FILE).map_err(|error| format!("pyvenv.cfg: {error}"))?;
    let shares = |line: &str| {
        line.split_once('=').is_some_and(|(key, value)| key.trim() == "include-system-site-packages" && value.trim() == "true")
    };
    if config.lines().any(shares) {
        return Err(
            "this environment uses the system's packages, too, which cannot be pinned; make one without --system-site-packages".to_owned()
        );
    }
    let parts: Vec<String> = distributions(env)?.iter().map(Distribution::part).collect();
    let integrity = tree::text(&parts.join("\n"));
    Ok(Artefact { source: Source::Python, name: "environment".to_owned(), version: String::new(), integrity, files: content(env)?, parts })
}

/// The environment that a Python program belongs to.
pub(super) fn environment_of(program: &Path) -> Option<PathBuf> {
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
struct Distribution {
    name: String,
    version: String,
    /// Of its list of files, which has their digests.
    digest: String,
    programs: Vec<(String, String)>,
}

impl Distribution {
    fn part(&self) -> String {
        format!("{} {} {}", self.name, self.version, self.digest)
    }

    fn is(&self, spec: &Spec) -> bool {
        let bare = spec.name.split('[').next().unwrap_or_default();
        normal(bare) == self.name && spec.version.as_deref() == Some(&self.version)
    }
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
fn distributions(env: &Path) -> Result<Vec<Distribution>, String> {
    let site = env.join(packages(env)?);
    for path in files::list(&site, ".pth").map_err(|error| error.to_string())? {
        let text = files::read(&path, MAX_FILE).map_err(|error| format!("{}: {error}", path.display()))?;
        let leads_out =
            |line: &str| !(line.trim().is_empty() || line.starts_with('#') || line.starts_with("import ") || line.starts_with("import\t"));
        if text.lines().any(leads_out) {
            return Err(format!("{} loads code from elsewhere (an editable installation?), which cannot be pinned", path.display()));
        }
    }
    let infos = files::list(&site, ".dist-info").map_err(|error| error.to_string())?;
    let mut found = infos.iter().map(|info| read(&site, info)).collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read(site: &Path, info: &Path) -> Result<Distribution, String> {
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
    let Some(wanted) = hash.strip_prefix("sha256=") else { return Ok(None) };
    // Scripts outside are made anew at every place, and started by nobody here.
    let outside = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if outside || path.rsplit('/').next().is_some_and(|name| NOT_CONTENT.contains(&name)) {
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

/// The programs of a distribution, by name.
fn programs(text: &str) -> Vec<(String, String)> {
    let section =
        text.lines().map(str::trim).skip_while(|line| *line != "[console_scripts]").skip(1).take_while(|line| !line.starts_with('['));
    let pairs = section.filter_map(|line| line.split_once('='));
    pairs.map(|(name, target)| (name.trim().to_owned(), target.split('[').next().unwrap_or_default().trim().to_owned())).collect()
}

#[cfg(test)]
mod tests;
