//! Who is heard about content, beside the controls: `[judges.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::control::Listed;
use bartizan_monitor::stages::opinion::{self, Without};
use bartizan_monitor::wire::json::Json;
use serde::Deserialize;
use toml::Spanned;

use super::controls::Material;
use super::file::Length;
use super::problem::Problems;
use super::server::Surroundings;
use super::{Secret, judge};

/// How long a judge may take when nothing is said. Every call that it judges waits so long at most.
const TIMEOUT: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);
/// How many briefs one judge is sent at the same time.
const CONCURRENT: usize = 16;
const MOST: usize = 1024;

/// One judge, as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    /// Its address.
    url: Option<Spanned<String>>,
    /// What it is shown as `Authorization: Bearer`, as a reference.
    token: Option<Spanned<String>>,
    /// The tools whose arguments it judges: `server/tool`, or `server/*`.
    arguments: Vec<Spanned<String>>,
    /// The tools whose results it judges.
    results: Vec<Spanned<String>>,
    /// How long it may take, waiting for its turn included.
    timeout: Option<Spanned<Length>>,
    /// How many briefs it is sent at the same time.
    concurrent: Option<Spanned<usize>>,
}

/// An external judge of content.
#[derive(Debug)]
pub struct Judge {
    /// Its name.
    pub name: Arc<str>,
    /// The address: `https`, or `http` on this machine.
    pub url: url::Url,
    /// What it is shown.
    pub token: Option<Arc<Secret>>,
    /// How long it may take.
    pub timeout: Duration,
    /// How many briefs it is sent at the same time.
    pub concurrent: usize,
    arguments: Listed,
    results: Listed,
    without: Without,
}

impl Judge {
    /// What the monitor has to know of it.
    #[must_use]
    pub fn seat(&self) -> opinion::Judge {
        let Self { name, arguments, results, without, .. } = self;
        opinion::Judge { name: name.clone(), arguments: arguments.clone(), results: results.clone(), without: *without }
    }
}

impl Surroundings<'_> {
    /// Judges `[judges]`. Where only one server is used, others that it names are not looked for.
    pub(super) fn judges(
        &self,
        (written, optional): (BTreeMap<Spanned<String>, Written>, &[Spanned<String>]),
        servers: Option<&BTreeSet<String>>,
        (material, problems): (&mut Material<'_>, &mut Problems),
    ) -> Vec<Arc<Judge>> {
        for name in optional.iter().filter(|name| !written.contains_key(*name)) {
            problems.add(Some(name.span()), format!("no judge is called {:?}", name.get_ref()), "");
        }
        let mut judge = |(name, written): (Spanned<String>, _)| {
            self.judge((name.get_ref(), name.span()), written, (servers, optional), problems).map(Arc::new)
        };
        let judges: Vec<Arc<Judge>> = written.into_iter().filter_map(&mut judge).collect();
        material.judges = digested(&judges);
        judges
    }

    /// Judges one of `[judges]`; `at` is where its name stands.
    fn judge(
        &self,
        (name, at): (&str, Range<usize>),
        written: Written,
        (servers, optional): (Option<&BTreeSet<String>>, &[Spanned<String>]),
        problems: &mut Problems,
    ) -> Option<Judge> {
        if opinion::Finding::read(name).is_none() {
            problems.add(Some(at.clone()), format!("{name:?} cannot be a judge's name"), "a name is 1 to 64 of a-z, 0-9, `_`, `.` and `-`");
        }
        if written.arguments.is_empty() && written.results.is_empty() {
            problems.add(Some(at.clone()), "a judge that nothing is shown to judges nothing", "results = [\"web/*\"]");
        }
        let timeout = judge::time(written.timeout.clone(), TIMEOUT, problems);
        if let Some(long) = written.timeout.filter(|_| timeout > LONGEST) {
            problems.add(Some(long.span()), "every call that it judges waits so long; a minute is the most", "timeout = \"2s\"");
        }
        let concurrent = written.concurrent.map_or(CONCURRENT, |concurrent| {
            if !(1..=MOST).contains(concurrent.get_ref()) {
                problems.add(Some(concurrent.span()), format!("{} is not between 1 and {MOST}", concurrent.get_ref()), "");
            }
            concurrent.into_inner()
        });
        let arguments = listed(written.arguments, servers, problems);
        let results = listed(written.results, servers, problems);
        let token = match written.token {
            Some(token) => Some(Arc::new(self.password("JUDGE_TOKEN", ("token", &token), problems)?)),
            None => None,
        };
        let Some(url) = written.url else {
            problems.add(Some(at), "a judge has an address", "url = \"https://judge.example.com/v1\"");
            return None;
        };
        let url = self.url(&url, problems)?;
        let without = if optional.iter().any(|optional| optional.get_ref() == name) { Without::Pass } else { Without::Refuse };
        Some(Judge { name: name.into(), url, token, timeout, concurrent, arguments: arguments?, results: results?, without })
    }
}

/// Tools of servers that there are: a mistake in a name would leave a tool unjudged.
fn listed(written: Vec<Spanned<String>>, servers: Option<&BTreeSet<String>>, problems: &mut Problems) -> Option<Listed> {
    for entry in &written {
        let server = entry.get_ref().split_once('/').map_or("", |(server, _)| server);
        if servers.is_some_and(|servers| !servers.contains(server)) {
            problems.add(Some(entry.span()), format!("no server is called {server:?}"), "write \"server/tool\" or \"server/*\"");
        }
    }
    let at = written.first().map(Spanned::span);
    Listed::of(written.into_iter().map(Spanned::into_inner)).map_err(|what| problems.add(at, what, "")).ok()
}

/// What the digest of the policy has of them: who is heard about what.
fn digested(judges: &[Arc<Judge>]) -> Option<Json> {
    let of = |judge: &Arc<Judge>| {
        let Judge { url, arguments, results, without, .. } = &**judge;
        Json::string(&format!("{url} {arguments:?} {results:?} {without:?}"))
    };
    (!judges.is_empty()).then(|| Json::object(judges.iter().map(|judge| (&*judge.name, of(judge)))))
}
