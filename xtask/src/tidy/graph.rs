//! What we depend on: how many packages are shipped, under which licences, and none of the banned ones.
//!
//! The lists are read from `deny.toml`, so that this check and cargo-deny (which knows more, but takes
//! long to build) cannot disagree about them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::Findings;
use super::rules::RELEASE_PACKAGES;
use crate::run::{capture, cargo, root};

const DENY: &str = "deny.toml";

pub(crate) fn check(f: &mut Findings) -> Result<()> {
    let shipped = packages(&["-p", "bartizan", "-e", "normal"])?.len();
    if shipped > RELEASE_PACKAGES {
        let advice = format!("{shipped} packages are shipped, at most {RELEASE_PACKAGES}: do without one");
        f.add("Cargo.toml", 1, "packages", advice);
    }
    let policy = Policy::read()?;
    for p in packages(&["--workspace", "-e", "normal,build,dev"])? {
        policy.judge(&p, f);
    }
    Ok(())
}

/// A package with its licence expression.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    licence: String,
}

/// The packages that are really built on this platform. (The lock file and `cargo metadata` also list
/// what a disabled feature would bring.)
fn packages(which: &[&str]) -> Result<BTreeSet<Package>> {
    let format = ["tree", "--locked", "--prefix", "none", "--format", "{p}\t{l}"];
    let text = capture(cargo().args(format).args(which))?;
    Ok(text.lines().filter_map(package).collect())
}

/// `serde v1.0.0 (proc-macro)⇥MIT OR Apache-2.0 (*)`
fn package(line: &str) -> Option<Package> {
    let (id, licence) = line.split_once('\t')?;
    let licence = licence.trim_end_matches(" (*)").trim();
    // Two versions of one crate are two packages.
    let mut words = id.split_whitespace();
    let name = format!("{} {}", words.next()?, words.next().unwrap_or(""));
    Some(Package { name, licence: licence.to_string() })
}

/// What `deny.toml` says.
struct Policy {
    allowed: BTreeSet<String>,
    /// Licences that one crate may have.
    exceptions: Vec<(String, String)>,
    banned: Vec<String>,
}

impl Policy {
    fn read() -> Result<Policy> {
        let text = std::fs::read_to_string(root().join(DENY)).with_context(|| format!("reading {DENY}"))?;
        Policy::parse(&text).context(DENY)
    }

    fn parse(text: &str) -> Result<Policy> {
        let deny: toml::Table = toml::from_str(text)?;
        let list = |table: &str, key: &str| {
            let list = deny.get(table).and_then(|t| t.get(key)).and_then(toml::Value::as_array);
            list.cloned().unwrap_or_default()
        };
        let name = |v: &toml::Value| Some(v.get("crate").unwrap_or(v).as_str()?.to_string());
        let mut exceptions = Vec::new();
        for e in list("licenses", "exceptions") {
            let allow = e.get("allow").and_then(toml::Value::as_array).into_iter().flatten();
            let crate_name = name(&e).context("an exception without a crate")?;
            exceptions.extend(allow.filter_map(|l| Some((crate_name.clone(), l.as_str()?.to_string()))));
        }
        Ok(Policy {
            allowed: list("licenses", "allow").iter().filter_map(name).collect(),
            exceptions,
            banned: list("bans", "deny").iter().filter_map(name).collect(),
        })
    }

    fn judge(&self, p: &Package, f: &mut Findings) {
        let name = p.name.split(' ').next().unwrap_or(&p.name);
        if self.banned.iter().any(|b| b == name) {
            let advice = format!("{} is banned; `cargo tree --workspace -e all -i {name}` says who wants it", p.name);
            f.add(DENY, 1, "banned", advice);
        }
        let ok = |l: &str| self.allowed.contains(l) || self.exceptions.iter().any(|(n, allowed)| n == name && allowed == l);
        if !licence_allowed(&p.licence, &ok) {
            let advice = format!("{} has the licence `{}`, which is not in the list", p.name, p.licence);
            f.add(DENY, 1, "licence", advice);
        }
    }
}

/// An SPDX expression; `/` is an old way to write OR. What cannot be read is not allowed.
fn licence_allowed(expression: &str, ok: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut e = Expression { words: &words, ok };
    let allowed = e.any();
    allowed && e.words.is_empty() && !words.is_empty()
}

struct Expression<'a> {
    words: &'a [&'a str],
    ok: &'a dyn Fn(&str) -> bool,
}

impl Expression<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }

    fn any(&mut self) -> bool {
        let mut ok = self.every();
        while self.take("OR") {
            ok |= self.every();
        }
        ok
    }

    fn every(&mut self) -> bool {
        let mut ok = self.one();
        while self.take("AND") {
            ok &= self.one();
        }
        ok
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let ok = self.any();
            return self.take(")") && ok;
        }
        let Some((licence, rest)) = self.words.split_first() else {
            return false;
        };
        self.words = rest;
        if self.take("WITH") {
            let exception = self.words.first().copied().unwrap_or("");
            self.words = self.words.get(1..).unwrap_or_default();
            return (self.ok)(&format!("{licence} WITH {exception}"));
        }
        (self.ok)(licence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(expression: &str) -> bool {
        licence_allowed(expression, &|l| ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&l))
    }

    #[test]
    fn expressions_are_read_with_their_precedence() {
        assert!(allowed("MIT"));
        assert!(allowed("GPL-3.0/MIT"));
        assert!(allowed("GPL-3.0 OR MIT AND ISC"));
        assert!(allowed("ISC AND (GPL-3.0 OR Apache-2.0)"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception"));
        assert!(!allowed("MIT WITH surprise"));
        assert!(!allowed("ISC AND GPL-3.0"));
        assert!(!allowed("(MIT OR GPL-3.0) AND GPL-3.0"));
        assert!(!allowed(""));
        assert!(!allowed("MIT MIT"));
        assert!(!allowed("(MIT"));
    }

    #[test]
    fn lines_of_cargo_tree_are_read() {
        let p = package("serde v1.0.0 (proc-macro)\tMIT OR Apache-2.0 (*)");
        assert_eq!(p, Some(Package { name: "serde v1.0.0".into(), licence: "MIT OR Apache-2.0".into() }));
        assert_eq!(package(""), None);
    }

    fn judged(name: &str, licence: &str) -> Vec<&'static str> {
        let policy = Policy::parse(
            "[licenses]\nallow = [\"MIT\"]\nexceptions = [{ crate = \"odd\", allow = [\"Zlib\"] }]\n\
             [bans]\ndeny = [{ crate = \"ring\", reason = \"one is enough\" }]\n",
        );
        let mut f = Findings::default();
        policy.unwrap().judge(&Package { name: name.into(), licence: licence.into() }, &mut f);
        f.all.iter().map(|f| f.rule).collect()
    }

    #[test]
    fn the_policy_is_the_one_of_cargo_deny() {
        assert_eq!(judged("fine v1.0.0", "MIT"), Vec::<&str>::new());
        assert_eq!(judged("ring v0.17.0", "MIT"), ["banned"]);
        assert_eq!(judged("other v1.0.0", "Zlib"), ["licence"]);
        assert_eq!(judged("odd v1.0.0", "Zlib"), Vec::<&str>::new());
    }
}
