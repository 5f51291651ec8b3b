//! Packages of the npm registry: `npx` and `npm exec`.
//!
//! `npx` would look into the current project, into the global packages and into its cache, and install
//! whatever is missing. Bartizan lets `npm` install the package into a directory of its own, without the
//! packages' own install scripts, looks at what is there, and starts exactly that.

mod exact;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_monitor::lock::artefact::{Artefact, Source};
use bartizan_monitor::wire::json::{Json, Kind, View};
use bytes::Bytes;

use super::words::{Given, Options, Unclear};
use super::{Fetch, Spec, tool, tree};
use crate::config::files;
pub(super) use exact::Tree;

const NPX: Options = Options {
    program: "npx",
    flags: &["-y", "--yes", "-q", "--quiet", "--silent", "--offline", "--prefer-offline", "--no-update-notifier"],
    values: &["-p", "--package"],
    code: &[],
};
/// Where npm lists what it installed.
const LIST: &str = "node_modules/.package-lock.json";
/// How large npm's lists may be.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What a command line of `npx` would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The program as it was written.
    pub(super) launcher: String,
    /// The packages that are installed; at least one.
    pub(super) specs: Vec<Spec>,
    /// The program of them that is started, where it is named.
    bin: Option<String>,
    /// Where its arguments begin in the command line.
    pub(super) arguments: usize,
}

impl Package {
    /// Reads `npx [options] [--] NAME[@VERSION] …` from the word after `npx` or `exec`.
    pub(super) fn read(words: &[String], from: usize) -> Result<Self, Unclear> {
        let (given, at) = NPX.read(words, from)?;
        let launcher = words.first().cloned().unwrap_or_default();
        let wanted: Vec<&Given<'_>> = given.iter().filter(|given| matches!(given.name, "-p" | "--package")).collect();
        let first = words.get(at).ok_or_else(|| Unclear::new("npx is given no package", "name one: npx -y NAME@VERSION"))?;
        let arguments = at.saturating_add(1);
        if wanted.is_empty() {
            return Ok(Self { launcher, specs: vec![spec(first, at, "")?], bin: None, arguments });
        }
        let specs = wanted.iter().map(|given| spec(given.value, given.at, given.before)).collect::<Result<_, _>>()?;
        Ok(Self { launcher, specs, bin: Some(first.clone()), arguments })
    }
}

/// Reads `NAME`, `NAME@VERSION` or `NAME@ANYTHING`.
fn spec(word: &str, at: usize, before: &str) -> Result<Spec, Unclear> {
    let (scope, rest) = match word.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
        Some((scope, rest)) => (Some(scope), rest),
        None => (None, word),
    };
    let (bare, wanted) = rest.split_once('@').unwrap_or((rest, ""));
    let known = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
    };
    let plain = wanted
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '^' | '~' | '<' | '>' | '=' | ' ' | '*' | '|'));
    if !known(bare) || !scope.is_none_or(known) || !plain {
        return Err(Unclear::new(
            format!("{word:?} is not the name of a package in the registry"),
            "write npx -y NAME@VERSION, or start a file of yours with node PATH",
        ));
    }
    let name = scope.map_or_else(|| bare.to_owned(), |scope| format!("@{scope}/{bare}"));
    let version = is_exact(wanted).then(|| wanted.to_owned());
    Ok(Spec { name, version, wanted: wanted.to_owned(), at, before: before.to_owned(), joint: "@" })
}

/// `1.2.3`, `1.2.3-beta.1`: one version and no other.
fn is_exact(wanted: &str) -> bool {
    let core = wanted.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let numbers: Vec<&str> = core.split('.').collect();
    let rest = wanted.strip_prefix(core).unwrap_or_default();
    numbers.len() == 3
        && numbers.iter().all(|part| number(part))
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
        && !matches!(rest, "-" | "+")
}

/// The directory in which a launcher that was named with a path stands; its siblings belong to it.
pub(super) fn beside(launcher: &str) -> Option<&Path> {
    Path::new(launcher).parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// The newest version that a floating word stands for, as the registry says now.
pub(super) async fn newest(spec: &Spec, launcher: &str) -> Option<String> {
    let asked = if spec.wanted.is_empty() { spec.name.clone() } else { format!("{}@{}", spec.name, spec.wanted) };
    let words = ["npm", "view", &asked, "version", "--json", "--loglevel=error"].map(OsStr::new);
    let said = tool::run(&words, beside(launcher), None, ("", Duration::from_secs(20))).await.ok()?;
    let json = Json::parse(Bytes::from(said.out)).ok()?;
    let last = json.view().items().last().unwrap_or_else(|| json.view());
    last.as_str().map(std::borrow::Cow::into_owned).filter(|version| is_exact(version))
}

/// Installs the packages into `home`, with the tree that was approved where there is one, and runs the install
/// scripts of those that are allowed to.
pub(super) async fn install(
    package: &Package,
    (approved, scripts): (Option<&Tree>, &BTreeSet<String>),
    (home, limit): (&Path, Duration),
) -> Result<(), String> {
    match approved {
        Some(tree) => tree.install(package, (home, limit)).await?,
        None => resolved(package, (home, limit)).await?,
    }
    let wanted: Vec<&String> = scripts.iter().filter(|name| manifest(home, name).is_ok()).collect();
    if !wanted.is_empty() {
        let mut words =
            ["npm", "rebuild", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--prefix"].map(OsStr::new).to_vec();
        words.extend([home.as_os_str(), OsStr::new("--")]);
        words.extend(wanted.into_iter().map(OsStr::new));
        tool::run(&words, beside(&package.launcher), Some(home), ("", limit)).await?;
    }
    Ok(())
}

/// Installs the packages with whatever the registry says now that they depend on.
async fn resolved(package: &Package, (home, limit): (&Path, Duration)) -> Result<(), String> {
    let fixed = [
        "npm",
        "install",
        "--ignore-scripts",
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--save-exact",
        "--loglevel=error",
        "--prefix",
    ];
    let wanted: Vec<String> = package.specs.iter().map(Spec::pinned).collect();
    let mut words: Vec<&OsStr> = fixed.map(OsStr::new).to_vec();
    words.push(home.as_os_str());
    words.push(OsStr::new("--"));
    words.extend(wanted.iter().map(OsStr::new));
    let said = tool::run(&words, beside(&package.launcher), Some(home), ("", limit)).await?;
    if !package.specs.iter().all(|spec| manifest(home, &spec.name).is_ok()) {
        return Err(format!("npm install did not install it: {}", said.last_words()));
    }
    Ok(())
}

/// What is installed in `home`, and how it is started.
pub(super) fn look(package: &Package, scripts: &BTreeSet<String>, home: &Path) -> Result<Fetch, String> {
    let names: Vec<&str> = package.specs.iter().map(|spec| spec.name.as_str()).collect();
    let artefacts = closure(home, &names)?;
    for (spec, artefact) in package.specs.iter().zip(&artefacts) {
        if spec.version.as_deref() != Some(&artefact.version) {
            return Err(format!("{} is installed in version {}", spec.name, artefact.version));
        }
    }
    let left_out: Vec<String> = with_scripts(home)?.into_iter().filter(|name| !scripts.contains(name)).collect();
    let bin = bin(package, home)?;
    Ok(Fetch {
        artefacts,
        start: vec![home.join("node_modules/.bin").join(bin).into()],
        first: beside(&package.launcher).map(Path::to_owned),
        left_out,
    })
}

/// The packages that have install scripts, as npm says.
fn with_scripts(home: &Path) -> Result<BTreeSet<String>, String> {
    let name = |key: &str| key.rsplit_once("node_modules/").map_or(key, |(_, name)| name).to_owned();
    Ok(installed(home)?.iter().filter(|(_, entry)| entry.scripts).map(|(key, _)| name(key)).collect())
}

fn manifest(home: &Path, name: &str) -> Result<Json, String> {
    read_manifest(&home.join("node_modules").join(name))
}

fn read_manifest(directory: &Path) -> Result<Json, String> {
    let path = directory.join("package.json");
    let text = files::read(&path, MAX_FILE).map_err(|error| format!("{}: {error}", path.display()))?;
    Json::parse(Bytes::from(text)).map_err(|error| format!("{}: {error}", path.display()))
}

/// The program to start: the one that was named, else the package's only one, else the one with its name.
fn bin(package: &Package, home: &Path) -> Result<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for spec in &package.specs {
        let manifest = manifest(home, &spec.name)?;
        let short = spec.name.rsplit('/').next().unwrap_or_default().to_owned();
        match manifest.view().get("bin") {
            Some(bin) if bin.kind() == Kind::String => drop(found.insert(short, bin.as_str().unwrap_or_default().into_owned())),
            Some(bin) => found.extend(bin.members().filter_map(|(name, path)| Some((name.into_owned(), path.as_str()?.into_owned())))),
            None => {}
        }
    }
    let short = package.specs.first().and_then(|spec| spec.name.rsplit('/').next()).unwrap_or_default();
    let files: BTreeSet<&String> = found.values().collect();
    let chosen = match &package.bin {
        Some(bin) => found.get_key_value(bin),
        None if files.len() == 1 => found.iter().next(),
        None => found.get_key_value(short),
    };
    let plain = |name: &&String| !name.contains('/') && !name.starts_with('.');
    chosen.map(|(name, _)| name).filter(plain).cloned().ok_or_else(|| {
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        format!("it cannot be told which program of {short} to start; it has {}. Write npx -y -p NAME@VERSION PROGRAM", names.join(", "))
    })
}

/// One package of npm's list of what is installed.
struct Entry {
    version: String,
    integrity: String,
    needs: Vec<(String, Need)>,
    scripts: bool,
}

#[derive(PartialEq, Eq)]
enum Need {
    Always,
    WherePossible,
}

/// The packages of these names below `root/node_modules`, with everything that they depend on as npm resolved
/// it, and the digest of all their files.
fn closure(root: &Path, names: &[&str]) -> Result<Vec<Artefact>, String> {
    let all = installed(root)?;
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut open: VecDeque<&str> = VecDeque::new();
    for name in names {
        let (key, _) = all.get_key_value(&format!("node_modules/{name}")).ok_or_else(|| format!("{name} is not installed"))?;
        open.push_back(key);
    }
    while let Some(key) = open.pop_front() {
        let Some(entry) = all.get(key).filter(|_| reached.insert(key)) else { continue };
        for (need, how) in &entry.needs {
            match resolve(&all, key, need) {
                Some(found) => open.push_back(found),
                None if *how == Need::WherePossible => {}
                None => return Err(format!("{need}, which {key} needs, is not installed")),
            }
        }
    }
    let mut lines = Vec::new();
    let below = |place: &Path| place.file_name().is_some_and(|name| name == "node_modules");
    for key in &reached {
        lines.extend(tree::list(root, Path::new(key), &below).map_err(|error| format!("{key}: {error}"))?);
    }
    let files = tree::text(&lines.join("\n"));
    let part =
        |key: &str| all.get(key).map(|entry| format!("{} {} {}", key.trim_start_matches("node_modules/"), entry.version, entry.integrity));
    let root_keys: Vec<String> = names.iter().map(|name| format!("node_modules/{name}")).collect();
    let parts: Vec<String> = reached.iter().filter(|key| !root_keys.iter().any(|root| root == *key)).filter_map(|key| part(key)).collect();
    let artefact = |(index, name): (usize, &&str)| {
        let entry = all.get(&format!("node_modules/{name}"))?;
        // What comes along belongs to all of them; it stands with the first.
        let (files, parts) = if index == 0 { (files.clone(), parts.clone()) } else { (String::new(), Vec::new()) };
        Some(Artefact {
            source: Source::Npm,
            name: (*name).to_owned(),
            version: entry.version.clone(),
            integrity: entry.integrity.clone(),
            files,
            parts,
        })
    };
    Ok(names.iter().enumerate().filter_map(artefact).collect())
}

/// npm's own list of what it installed, which has every package's integrity as the registry gave it.
fn installed(root: &Path) -> Result<BTreeMap<String, Entry>, String> {
    let path = root.join(LIST);
    let text = files::read(&path, MAX_FILE).map_err(|error| format!("{}: {error}", path.display()))?;
    let list = Json::parse(Bytes::from(text)).map_err(|error| format!("{}: {error}", path.display()))?;
    let packages = list.view().get("packages").ok_or_else(|| format!("{} lists no packages", path.display()))?;
    packages.members().map(|(key, entry)| Ok((key.clone().into_owned(), read_entry(&key, entry)?))).collect()
}

fn read_entry(key: &str, entry: View<'_>) -> Result<Entry, String> {
    let text = |name: &str| entry.get(name).and_then(View::as_str).unwrap_or_default().into_owned();
    let dots = key.split('/').any(|part| part == ".." || part == "." || part.is_empty());
    if dots || !key.starts_with("node_modules/") || entry.get("link").is_some() {
        return Err(format!("{key} is not a package of the registry"));
    }
    let names = |member: &str| -> Vec<String> {
        entry.get(member).into_iter().flat_map(View::members).map(|(name, _)| name.into_owned()).collect()
    };
    let mut needs: Vec<(String, Need)> = names("dependencies").into_iter().map(|name| (name, Need::Always)).collect();
    let optional = ["optionalDependencies", "peerDependencies"].into_iter().flat_map(names);
    needs.extend(optional.map(|name| (name, Need::WherePossible)));
    // A package that was fetched from elsewhere has no integrity, but an address.
    let integrity = Some(text("integrity")).filter(|integrity| !integrity.is_empty());
    let integrity = integrity.unwrap_or_else(|| tree::text(&text("resolved")));
    let scripts = entry.get("hasInstallScript").and_then(View::as_bool) == Some(true);
    // What is called otherwise in the registry is that other thing.
    let own = key.rsplit_once("node_modules/").map_or(key, |(_, name)| name);
    let alias = Some(text("name")).filter(|name| !name.is_empty() && name != own);
    let version = alias.map_or_else(|| text("version"), |name| format!("npm:{name}@{}", text("version")));
    Ok(Entry { version, integrity, needs, scripts })
}

/// Finds what `name` means in the package at `key`, as node does: in its own packages, then in those around it.
fn resolve<'a>(all: &'a BTreeMap<String, Entry>, key: &str, name: &str) -> Option<&'a str> {
    let mut around = Some(key);
    while let Some(place) = around {
        if let Some((found, _)) = all.get_key_value(&format!("{place}/node_modules/{name}")) {
            return Some(found);
        }
        around = place.rsplit_once("/node_modules/").map(|(outer, _)| outer);
    }
    all.get_key_value(&format!("node_modules/{name}")).map(|(found, _)| found.as_str())
}

/// The package that a file belongs to, where npm installed it: `…/node_modules/NAME/…`.
pub(super) fn around(file: &Path) -> Option<Result<Vec<Artefact>, String>> {
    let mut root = PathBuf::new();
    let mut parts = file.components();
    while let Some(part) = parts.next() {
        if part.as_os_str() == "node_modules" && root.join(LIST).is_file() {
            let first = parts.next()?.as_os_str().to_string_lossy().into_owned();
            let name = if first.starts_with('@') { format!("{first}/{}", parts.next()?.as_os_str().to_string_lossy()) } else { first };
            return Some(closure(&root, &[&name]));
        }
        root.push(part);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;

    fn read(line: &str) -> Result<Package, Unclear> {
        Package::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 1)
    }

    #[test]
    fn exact_versions_are_told_from_floating_ones() {
        for (word, version) in [
            ("@a/b@1.2.3", Some("1.2.3")),
            ("b@1.2.3-rc.1+x", Some("1.2.3-rc.1+x")),
            ("b", None),
            ("b@latest", None),
            ("b@^1.2.3", None),
            ("b@1.2", None),
            ("b@1", None),
            ("b@1.x.3", None),
            ("b@=1.2.3", None),
            ("@a/b@", None),
        ] {
            let package = read(&format!("npx -y {word} /data")).expect(word);
            assert_eq!(package.specs[0].version.as_deref(), version, "{word}");
            assert_eq!(package.arguments, 3);
        }
    }

    #[test]
    fn a_named_program_and_its_packages() {
        let package = read("npx --package=@a/b@1.0.0 -p c@2.0.0 -- serve --x").expect("read");
        assert_eq!(package.specs.iter().map(Spec::pinned).collect::<Vec<_>>(), ["@a/b@1.0.0", "c@2.0.0"]);
        assert_eq!((package.bin.as_deref(), package.arguments), (Some("serve"), 6));
    }

    #[test]
    fn what_could_be_something_else_is_refused() {
        for line in [
            "npx",
            "npx -y",
            "npx -c x",
            "npx --call=x y@1.0.0",
            "npx --registry=http://x y@1.0.0",
            "npx -y ./here",
            "npx -y /here",
            "npx -y a/b",
            "npx -y github:a/b",
            "npx -y git+https://a/b.git",
            "npx -y a@npm:b@1.0.0",
            "npx -y a@file:x",
            "npx -y https://x/a.tgz",
            "npx -y @a",
            "npx --node-options=--require=x y@1.0.0",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    fn installation(packages: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("dir");
        let entries: Vec<String> = packages.iter().map(|(key, rest)| format!("\"{key}\":{{{rest}}}")).collect();
        for (key, _) in packages {
            put(&dir.path().join(key).join("index.js"), key);
        }
        let list = format!("{{\"packages\":{{{}}}}}", entries.join(","));
        put(&dir.path().join("node_modules/.package-lock.json"), list);
        dir
    }

    #[test]
    fn what_is_installed_is_the_package_and_what_it_reaches() {
        let dir = installation(&[
            (
                "node_modules/a",
                r#""version":"1.0.0","integrity":"sha512-a","dependencies":{"b":"*","c":"*"},"peerDependencies":{"gone":"*"}"#,
            ),
            ("node_modules/a/node_modules/b", r#""version":"2.0.0","integrity":"sha512-b2","dependencies":{"c":"*"}"#),
            ("node_modules/b", r#""version":"1.0.0","integrity":"sha512-b1""#),
            ("node_modules/c", r#""version":"1.0.0","integrity":"sha512-c""#),
        ]);
        let of = || closure(dir.path(), &["a"]).expect("closure");
        let before = of();
        assert_eq!(before[0].parts, ["a/node_modules/b 2.0.0 sha512-b2", "c 1.0.0 sha512-c"]);
        assert_eq!(before[0].integrity, "sha512-a");
        assert_eq!(around(&dir.path().join("node_modules/a/index.js")).expect("inside").expect("closure"), before);
        assert!(around(&dir.path().join("index.js")).is_none());
        put(&dir.path().join("node_modules/b/index.js"), "other");
        assert_eq!(of(), before, "nothing of it uses this one");
        put(&dir.path().join("node_modules/c/new.js"), "other");
        assert_ne!(of(), before);
        assert!(closure(dir.path(), &["x"]).is_err());
    }

    #[test]
    fn lists_that_point_elsewhere_are_refused() {
        for key in ["../a", "node_modules/../../a", "a"] {
            let dir = tempfile::tempdir().expect("dir");

            put(&dir.path().join("node_modules/.package-lock.json"), format!(r#"{{"packages":{{"{key}":{{}}}}}}"#));
            assert!(installed(dir.path()).is_err(), "{key}");
        }
    }
}
