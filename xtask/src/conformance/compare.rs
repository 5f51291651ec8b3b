//! Two runs of the suite, check by check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// Where wanted differences are listed.
pub(crate) const EXCEPTIONS: &str = "tests/conformance-exceptions.toml";

/// Scenario and check id.
type Name = (String, String);

/// The statuses of every check. One check id may occur several times in a scenario.
#[derive(Debug, Default)]
pub(crate) struct Checks(BTreeMap<Name, Vec<String>>);

impl Checks {
    /// Reads every `*/checks.json` below `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Checks> {
        let mut checks = Checks::default();
        if !dir.is_dir() {
            return Ok(checks);
        }
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let file = entry.path().join("checks.json");
            if file.is_file() {
                let text = std::fs::read_to_string(&file)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                checks.add(&name, &text).with_context(|| format!("reading {}", file.display()))?;
            }
        }
        checks.0.values_mut().for_each(|s| s.sort());
        Ok(checks)
    }

    fn add(&mut self, dir: &str, text: &str) -> Result<()> {
        let Value::Array(all) = serde_json::from_str(text)? else { bail!("not a list") };
        for check in all {
            let word = |key: &str| check.get(key).and_then(Value::as_str).with_context(|| format!("a check without {key}"));
            let name = (scenario(dir).to_string(), word("id")?.to_string());
            self.0.entry(name).or_default().push(word("status")?.to_string());
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// `84 passed, 0 failed, 10 other`
    pub(crate) fn summary(&self) -> String {
        let of = |status: &str| self.0.values().flatten().filter(|s| *s == status).count();
        let (passed, failed) = (of("SUCCESS"), of("FAILURE"));
        let scenarios: BTreeSet<&String> = self.0.keys().map(|(scenario, _)| scenario).collect();
        format!("{passed} checks passed, {failed} failed, {} other, in {} scenarios", self.count() - passed - failed, scenarios.len())
    }

    fn status(&self, name: &Name) -> String {
        self.0.get(name).map_or_else(|| "absent".to_string(), |s| s.join(","))
    }
}

/// `server-tools-list-2026-11-21T06-00-17-929Z` → `server-tools-list`
fn scenario(dir: &str) -> &str {
    let stamp = "-0000-00-00T00-00-00-000Z";
    let cut = dir.len().saturating_sub(stamp.len());
    let is_stamp = |s: &str| s.chars().zip(stamp.chars()).all(|(a, b)| if b == '0' { a.is_ascii_digit() } else { a == b });
    match dir.split_at_checked(cut) {
        Some((name, rest)) if rest.len() == stamp.len() && is_stamp(rest) => name,
        _ => dir,
    }
}

/// A difference that is meant to be.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// The requirement set.
    set: String,
    scenario: String,
    check: String,
    /// Statuses, joined with commas where the check occurs more than once; `absent` where it does not.
    direct: String,
    through: String,
    reason: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exceptions {
    #[serde(default)]
    exception: Vec<Exception>,
}

impl Exceptions {
    pub(crate) fn read(root: &Path) -> Result<Exceptions> {
        let text = std::fs::read_to_string(root.join(EXCEPTIONS)).with_context(|| format!("reading {EXCEPTIONS}"))?;
        Exceptions::parse(&text).context(EXCEPTIONS)
    }

    fn parse(text: &str) -> Result<Exceptions> {
        let all: Exceptions = toml::from_str(text)?;
        if let Some(e) = all.exception.iter().find(|e| e.reason.trim().len() < 10) {
            bail!("{} / {} has no reason", e.scenario, e.check);
        }
        Ok(all)
    }

    /// Prints what differs; answers how many of these nobody wanted.
    pub(crate) fn judge(&self, set: &str, direct: &Checks, through: &Checks) -> usize {
        let findings = self.findings(set, direct, through);
        for f in &findings {
            println!("{set}  {f}");
        }
        findings.iter().filter(|f| !f.starts_with("as wanted")).count()
    }

    fn findings(&self, set: &str, direct: &Checks, through: &Checks) -> Vec<String> {
        let mut out = Vec::new();
        let mut used = BTreeSet::new();
        for name in direct.0.keys().chain(through.0.keys()).collect::<BTreeSet<_>>() {
            let (a, b) = (direct.status(name), through.status(name));
            if a == b {
                continue;
            }
            let what = format!("{} / {}: direct {a}, through {b}", name.0, name.1);
            let wanted = |e: &Exception| e.set == set && e.scenario == name.0 && e.check == name.1;
            match self.exception.iter().position(|e| wanted(e) && e.direct == a && e.through == b) {
                Some(i) => {
                    used.insert(i);
                    out.push(format!("as wanted: {what}"));
                }
                None => out.push(format!("DIFFERS: {what}")),
            }
        }
        for (i, e) in self.exception.iter().enumerate().filter(|(_, e)| e.set == set) {
            if !used.contains(&i) {
                out.push(format!("STALE: {} / {} no longer differs as {EXCEPTIONS} says", e.scenario, e.check));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(list: &[(&str, &str)]) -> Checks {
        let mut c = Checks::default();
        for (id, status) in list {
            let text = format!(r#"[{{"id":"{id}","status":"{status}"}}]"#);
            c.add("server-x-2026-11-21T06-00-17-929Z", &text).unwrap();
        }
        c
    }

    const WANTED: &str = "[[exception]]\nset = \"s\"\nscenario = \"server-x\"\ncheck = \"a\"\n\
        direct = \"FAILURE\"\nthrough = \"SUCCESS\"\nreason = \"the gateway is stricter\"\n";

    #[test]
    fn a_scenario_is_a_directory_without_its_time() {
        assert_eq!(scenario("server-tools-list-2026-11-21T06-00-17-929Z"), "server-tools-list");
        assert_eq!(scenario("server-tools-list"), "server-tools-list");
    }

    #[test]
    fn equal_runs_have_no_findings() {
        let none = Exceptions::parse("").unwrap();
        let a = checks(&[("a", "SUCCESS"), ("a", "FAILURE"), ("b", "INFO")]);
        assert_eq!(none.findings("s", &a, &a), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_a_finding() {
        let none = Exceptions::parse("").unwrap();
        let direct = checks(&[("a", "SUCCESS"), ("b", "SUCCESS")]);
        let through = checks(&[("a", "FAILURE"), ("c", "SUCCESS")]);
        assert_eq!(none.judge("s", &direct, &through), 3);
    }

    #[test]
    fn a_check_that_occurs_less_often_differs() {
        let none = Exceptions::parse("").unwrap();
        let twice = checks(&[("a", "SUCCESS"), ("a", "SUCCESS")]);
        assert_eq!(none.judge("s", &twice, &checks(&[("a", "SUCCESS")])), 1);
    }

    #[test]
    fn a_wanted_difference_is_not_counted_and_a_stale_one_is() {
        let e = Exceptions::parse(WANTED).unwrap();
        let (red, green) = (checks(&[("a", "FAILURE")]), checks(&[("a", "SUCCESS")]));
        assert_eq!(e.judge("s", &red, &green), 0);
        assert_eq!(e.judge("s", &green, &green), 1);
        // Unwanted in this form, and the entry is stale as well.
        assert_eq!(e.judge("s", &green, &red), 2);
        assert_eq!(e.judge("other", &green, &green), 0);
    }

    #[test]
    fn an_exception_has_a_reason() {
        assert!(Exceptions::parse(&WANTED.replace("the gateway is stricter", " ")).is_err());
    }
}
