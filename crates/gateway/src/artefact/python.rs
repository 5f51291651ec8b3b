//! Python packages: `uvx`, `uv tool run`, `pipx run`, and environments that somebody else made.
//!
//! As with npm, the launcher itself is not started: the package is installed into an environment of its own,
//! from wheels only, because building one runs its code. What is installed is compared with the lists that
//! came with it (`RECORD`, PEP 376), and then exactly that is started.

mod installed;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_monitor::lock::artefact::{Artefact, Source};

use super::words::{Options, Unclear};
use super::{Fetch, Spec, npm, tool};
use crate::config::files;
use installed::{Distribution, distributions, whole};
pub(super) use installed::{environment, environment_of};

const UVX: Options = Options {
    program: "uvx",
    flags: &["-q", "--quiet", "--offline", "--isolated", "-n", "--no-cache", "--no-progress", "--no-config"],
    values: &["--from", "--with", "-p", "--python"],
    code: &[],
};
const PIPX: Options = Options { program: "pipx run", flags: &["-q", "--quiet", "--no-cache"], values: &["--spec", "--python"], code: &[] };

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
        if python.as_deref().is_some_and(|python| !is_python_version(python)) {
            return Err(Unclear::new("--python names a program, which is not looked at", "write a version, as in --python 3.12"));
        }
        let launcher = words.first().cloned().unwrap_or_default();
        Ok(Self { launcher, installer, specs, python, bin, arguments: at.saturating_add(1) })
    }
}

/// `3.12`: anything else could be the path of a program.
fn is_python_version(word: &str) -> bool {
    word.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
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

/// What comes along with the packages, in the versions that were approved: `NAME==VERSION`. What is installed is
/// compared with the approved digests afterwards; this is for getting the same once the index has newer ones.
fn along(package: &Package, expected: &[Artefact]) -> Vec<String> {
    let fits = package.specs.iter().all(|spec| {
        let is = |one: &Artefact| {
            one.source == Source::Python && installed::is_named(&one.name, spec) && spec.version.as_deref() == Some(&one.version)
        };
        expected.iter().any(is)
    });
    let parts = expected.iter().filter(|one| fits && one.source == Source::Python).flat_map(|one| &one.parts);
    let plain =
        |text: &str| !text.is_empty() && !text.starts_with('-') && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._+!".contains(c));
    parts
        .filter_map(|part| {
            let mut words = part.split(' ');
            let (name, version) = (words.next()?, words.next()?);
            (plain(name) && plain(version)).then(|| format!("{name}=={version}"))
        })
        .collect()
}

/// Installs the packages into an environment in `home`.
pub(super) async fn install(package: &Package, expected: &[Artefact], (home, limit): (&Path, Duration)) -> Result<(), String> {
    let (env, python) = (home.join("env"), home.join("env/bin/python"));
    let mut wanted: Vec<String> = package.specs.iter().map(Spec::pinned).collect();
    let along = along(package, expected);
    if !along.is_empty() {
        // Nothing is resolved anew: these are all that there were.
        wanted.push("--no-deps".to_owned());
        wanted.extend(along);
    }
    let named = format!("python{}", package.python.as_deref().unwrap_or("3"));
    let (mut make, mut fill): (Vec<&OsStr>, Vec<&OsStr>) = match package.installer {
        Installer::Uv => (
            ["uv", "venv", "--quiet", "--no-project"].map(OsStr::new).to_vec(),
            ["uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--python"].map(OsStr::new).to_vec(),
        ),
        Installer::Pip => (
            [&named, "-m", "venv", "--without-pip"].map(OsStr::new).to_vec(),
            ["python3", "-m", "pip", "--python"].map(OsStr::new).to_vec(),
        ),
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
    let files = whole(&env)?;
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
    let mut start: Vec<OsString> = vec![env.join("bin/python").into(), "-I".into()];
    start.extend(byte_code_options(&no_byte_code(home)?));
    start.extend(["-c".into(), code.into()]);
    Ok(Fetch { artefacts, start, ..Fetch::default() })
}

/// Options with which Python neither uses the byte code that stands beside the sources nor writes any. Options,
/// because `-I` and `-E` make Python deaf to `PYTHONPYCACHEPREFIX`.
pub(super) fn byte_code_options(empty: &Path) -> [OsString; 3] {
    let mut prefix = OsString::from("pycache_prefix=");
    prefix.push(empty);
    ["-B".into(), "-X".into(), prefix]
}

/// The same for the Pythons that a server starts in turn.
pub(super) fn byte_code_variables(empty: &Path) -> Vec<(OsString, OsString)> {
    vec![("PYTHONDONTWRITEBYTECODE".into(), "1".into()), ("PYTHONPYCACHEPREFIX".into(), empty.into())]
}

/// An empty directory in which Python looks for byte code: what stands beside the sources was not compared with
/// them.
pub(super) fn no_byte_code(home: &Path) -> Result<PathBuf, String> {
    let empty = home.join("bytecode");
    let failed = |error: std::io::Error| format!("{}: {error}", empty.display());
    files::private_directory(&empty).map_err(failed)?;
    match files::list(&empty, "").map_err(failed)?.first() {
        Some(found) => Err(format!("{} is byte code that nobody looked at; remove it", found.display())),
        None => Ok(empty),
    }
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

#[cfg(test)]
mod tests;
