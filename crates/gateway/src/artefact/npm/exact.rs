//! Installs exactly what was approved, on a machine that does not have it yet.
//!
//! The versions of what a package depends on float: the registry resolves them at every installation. The lock file holds the
//! whole tree as it was reviewed, each package with its place, version and integrity. npm is given that tree as its
//! own lock file, fetches nothing else, and verifies every archive. Which package needs which is not recorded: npm is
//! told that each is needed by the one below which it stands, and its list of what is installed is then
//! written anew from the packages' own manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use bartizan_monitor::lock::artefact::{Artefact, Source};
use bartizan_monitor::wire::json::{Json, View};

use super::super::{tool, tree};
use super::{LIST, Package, beside, installed, read_manifest};
use crate::config::files;

/// The scripts that run when a package is installed.
const SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];

/// One package of an approved tree.
struct Part {
    /// What it is called in the registry, where that is not the name of its place.
    alias: Option<String>,
    version: String,
    /// None for one that comes in the archive of another.
    integrity: Option<String>,
}

/// An approved tree: packages by their places, `node_modules/…`.
pub(in super::super) struct Tree(BTreeMap<String, Part>);

impl Tree {
    /// The tree that was approved of a package, where npm can fetch it again.
    pub(in super::super) fn of(package: &Package, approved: &[Artefact]) -> Option<Self> {
        let approved: Vec<&Artefact> = approved.iter().filter(|artefact| artefact.source == Source::Npm).collect();
        let same = |(spec, artefact): (&super::Spec, &&Artefact)| {
            spec.name == artefact.name && spec.version.as_deref() == Some(artefact.version.as_str())
        };
        if approved.len() != package.specs.len() || !package.specs.iter().zip(&approved).all(same) {
            return None;
        }
        let mut tree = BTreeMap::new();
        for artefact in approved {
            tree.insert(place(&artefact.name)?, Part::read(&artefact.version, &artefact.integrity)?);
            for part in &artefact.parts {
                let mut words = part.splitn(3, ' ');
                let (name, version, integrity) = (words.next()?, words.next()?, words.next()?);
                tree.insert(place(name)?, Part::read(version, integrity)?);
            }
        }
        Some(Self(tree))
    }

    /// Whether this is what is installed in `home`, as npm's list says.
    pub(in super::super) fn stands(&self, home: &Path) -> bool {
        let Ok(installed) = installed(home) else { return false };
        self.0
            .iter()
            .all(|(key, part)| installed.get(key).is_some_and(|entry| entry.version == part.said() && entry.integrity == part.identity()))
    }

    /// Installs it, without running anything of it.
    pub(super) async fn install(&self, package: &Package, (home, limit): (&Path, Duration)) -> Result<(), String> {
        let write = |name: &str, json: Json| {
            files::replace(&home.join(name), json.bytes(), files::Readers::Owner).map_err(|error| format!("{name}: {error}"))
        };
        write("package.json", self.root())?;
        write("package-lock.json", self.lock())?;
        let said = npm(&["ci", "--ignore-scripts", "--prefer-offline"], package, (home, limit)).await?;
        let list = self.list(home).map_err(|what| format!("npm ci did not install what was approved: {what}; {}", said.last_words()))?;
        write(LIST, list)?;
        // Where the programs of the packages are was not in the tree, but is in the manifests.
        npm(&["rebuild", "--ignore-scripts"], package, (home, limit)).await.map(drop)
    }

    /// The places directly below one, as what it depends on.
    fn below(&self, place: &str) -> Json {
        let inside = if place.is_empty() { "node_modules/".to_owned() } else { format!("{place}/node_modules/") };
        let direct = self.0.iter().filter_map(|(key, part)| {
            let name = key.strip_prefix(&inside).filter(|name| !name.contains("node_modules/"))?;
            part.integrity.as_ref().map(|_| (name, Json::string(&part.said())))
        });
        Json::object(direct)
    }

    fn root(&self) -> Json {
        Json::object([("name", Json::string("approved")), ("private", Json::of(&true)), ("dependencies", self.below(""))])
    }

    fn lock(&self) -> Json {
        let entry = |(key, part): (&String, &Part)| {
            let mut members = vec![("version", Json::string(&part.version)), ("integrity", Json::string(part.integrity.as_ref()?))];
            members.extend(part.alias.as_deref().map(|name| ("name", Json::string(name))));
            members.push(("dependencies", self.below(key)));
            Some((key.clone(), Json::object(members)))
        };
        let entries: Vec<(String, Json)> = std::iter::once((String::new(), self.root())).chain(self.0.iter().filter_map(entry)).collect();
        Json::object([
            ("name", Json::string("approved")),
            ("lockfileVersion", Json::number(3)),
            ("requires", Json::of(&true)),
            ("packages", Json::object(entries.iter().map(|(key, entry)| (key.as_str(), entry.clone())))),
        ])
    }

    /// npm's list of what is installed, with what the manifests say; an error where something else stands there.
    fn list(&self, home: &Path) -> Result<Json, String> {
        let mut entries = Vec::new();
        for (key, part) in &self.0 {
            entries.push((key.as_str(), part.entry(key, &read_manifest(&home.join(key))?)?));
        }
        Ok(Json::object([("lockfileVersion", Json::number(3)), ("requires", Json::of(&true)), ("packages", Json::object(entries))]))
    }
}

impl Part {
    /// Reads a version as it stands in the lock file, `npm:NAME@VERSION` for one under another name. What has no
    /// integrity that npm knows was not fetched from a registry.
    fn read(version: &str, integrity: &str) -> Option<Self> {
        let aliased = version.strip_prefix("npm:").and_then(|rest| rest.rsplit_once('@'));
        let (alias, version) = aliased.map_or((None, version), |(name, version)| (Some(name.to_owned()), version));
        let in_another = integrity == tree::text("");
        let known = integrity.starts_with("sha512-") || integrity.starts_with("sha1-");
        (known || in_another).then(|| Self { alias, version: version.to_owned(), integrity: (!in_another).then(|| integrity.to_owned()) })
    }

    /// The version as it stands in the lock file.
    fn said(&self) -> String {
        self.alias.as_ref().map_or_else(|| self.version.clone(), |name| format!("npm:{name}@{}", self.version))
    }

    fn identity(&self) -> String {
        self.integrity.clone().unwrap_or_else(|| tree::text(""))
    }

    /// Its entry in npm's list.
    fn entry(&self, key: &str, manifest: &Json) -> Result<Json, String> {
        let view = manifest.view();
        let is_version = |text: &str| text.strip_prefix(['v', '=']).unwrap_or(text) == self.version;
        if !view.get("version").and_then(View::as_str).is_some_and(|version| is_version(&version)) {
            return Err(format!("{key} is not of version {}", self.version));
        }
        let names = |member: &str| -> BTreeSet<String> {
            view.get(member).into_iter().flat_map(View::members).map(|(name, _)| name.into_owned()).collect()
        };
        let (optional, peers) = (names("optionalDependencies"), names("peerDependencies"));
        let always: BTreeSet<String> = names("dependencies").difference(&optional).cloned().collect();
        let any = |names: &BTreeSet<String>| Json::object(names.iter().map(|name| (name.as_str(), Json::string("*"))));
        let mut members = vec![("version", Json::string(&self.version))];
        members.extend(self.alias.as_deref().map(|name| ("name", Json::string(name))));
        members.extend(self.integrity.as_deref().map(|text| ("integrity", Json::string(text))));
        for (member, names) in [("dependencies", &always), ("optionalDependencies", &optional), ("peerDependencies", &peers)] {
            members.push((member, any(names)));
        }
        let scripts = view.get("scripts");
        if scripts.is_some_and(|scripts| SCRIPTS.iter().any(|name| scripts.get(name).is_some())) {
            members.push(("hasInstallScript", Json::of(&true)));
        }
        members.extend(manifest.get("bin").map(|bin| ("bin", bin)));
        Ok(Json::object(members))
    }
}

/// Where a package stands, which is nowhere else than below `node_modules`.
fn place(name: &str) -> Option<String> {
    let plain = name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains('\\');
    plain.then(|| format!("node_modules/{name}"))
}

/// Runs npm in `home`.
async fn npm(words: &[&str], package: &Package, (home, limit): (&Path, Duration)) -> Result<tool::Said, String> {
    let fixed = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--prefix"];
    let mut all: Vec<&OsStr> = std::iter::once("npm").chain(words.iter().copied()).chain(fixed).map(OsStr::new).collect();
    all.push(home.as_os_str());
    tool::run(&all, beside(&package.launcher), Some(home), ("", limit)).await
}

#[cfg(test)]
mod tests {
    use super::super::super::put;
    use super::*;

    fn package() -> Package {
        Package::read(&["npx", "a@1.0.0"].map(str::to_owned), 1).expect("read")
    }

    fn approved(parts: &[&str]) -> Artefact {
        Artefact {
            source: Source::Npm,
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            integrity: "sha512-a".to_owned(),
            files: String::new(),
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    #[test]
    fn an_approved_tree_is_given_to_npm_as_it_stands() {
        let inside = tree::text("");
        let parts = [
            "a/node_modules/c 2.0.0 sha512-c2",
            "c 1.0.0 sha1-c1",
            "d npm:@x/e@3.0.0 sha512-d",
            &format!("d/node_modules/f 4.0.0 {inside}"),
        ];
        let tree = Tree::of(&package(), &[approved(&parts)]).expect("a tree");
        let lock = tree.lock().view().to_value();
        let packages = &lock["packages"];
        assert_eq!(packages[""]["dependencies"], serde_json::json!({"a": "1.0.0", "c": "1.0.0", "d": "npm:@x/e@3.0.0"}));
        assert_eq!(packages["node_modules/a"]["dependencies"], serde_json::json!({"c": "2.0.0"}));
        assert_eq!(packages["node_modules/a/node_modules/c"]["integrity"], "sha512-c2");
        assert_eq!((&packages["node_modules/d"]["name"], &packages["node_modules/d"]["version"]), (&"@x/e".into(), &"3.0.0".into()));
        assert!(packages.get("node_modules/d/node_modules/f").is_none(), "it comes in the archive of another");
    }

    #[test]
    fn what_npm_cannot_fetch_again_is_no_tree() {
        for parts in [&["b 1.0.0 sha256:0000"][..], &["../b 1.0.0 sha512-b"], &["b 1.0.0"], &["/b 1.0.0 sha512-b"]] {
            assert!(Tree::of(&package(), &[approved(parts)]).is_none(), "{parts:?}");
        }
        let other = Artefact { version: "2.0.0".to_owned(), ..approved(&[]) };
        assert!(Tree::of(&package(), &[other]).is_none() && Tree::of(&package(), &[]).is_none());
    }

    #[test]
    fn what_is_installed_is_written_down_as_the_manifests_say() {
        let dir = tempfile::tempdir().expect("dir");
        let tree = Tree::of(&package(), &[approved(&["b 1.0.0 sha512-b"])]).expect("a tree");
        let a = r#"{"version":"1.0.0","bin":"x.js","dependencies":{"b":"^1","o":"1"},"optionalDependencies":{"o":"1"},"scripts":{"postinstall":"x"}}"#;
        put(&dir.path().join("node_modules/a/package.json"), a);
        put(&dir.path().join("node_modules/b/package.json"), r#"{"version":"1.0.1"}"#);
        assert!(tree.list(dir.path()).is_err(), "another version");
        put(&dir.path().join("node_modules/b/package.json"), r#"{"version":"1.0.0"}"#);
        let list = tree.list(dir.path()).expect("a list");
        put(&dir.path().join(LIST), list.view().text());
        assert!(tree.stands(dir.path()));
        let found = super::super::closure(dir.path(), &["a"]).expect("closure");
        assert_eq!(found[0].parts, ["b 1.0.0 sha512-b"]);
        assert!(installed(dir.path()).expect("a list")["node_modules/a"].scripts);
        let other = Tree::of(&package(), &[approved(&["b 1.0.0 sha512-c"])]).expect("a tree");
        assert!(!other.stands(dir.path()));
    }
}
