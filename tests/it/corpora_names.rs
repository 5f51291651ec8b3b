//! Look-alike names, measured on the corpus and on the names of real servers.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_detect::names::{Likeness, Name, tricks};
use bartizan_tests::corpora::{self, text};

/// Techniques that are a slip of the pen or another honest name as far as the letters go. Distance is
/// not used, because honest names are as near as these; they are told apart by their server's prefix.
const ROUTING: &[&str] = &["typo-transpose", "typo-double", "affix"];

/// Is refused when the known name is another server's; when it is this server's.
fn refused(candidate: &str, known: &str) -> (bool, bool) {
    let beside = |server: &str| tricks(&[("known", known), (server, candidate)]).into_iter().collect::<Vec<_>>();
    let [theirs, own] = [beside("other"), beside("known")].map(|found| found.get(1).is_some_and(Option::is_some));
    (theirs, own)
}

#[test]
fn every_look_alike_is_refused_and_no_honest_name() {
    let mut counts: BTreeMap<(String, String), BTreeMap<(bool, bool), usize>> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for row in corpora::rows("dev/tool_names") {
        let [label, technique, candidate, known] = ["label", "technique", "candidate", "known"].map(|key| text(&row, key));
        let found = refused(&candidate, &known);
        // Case and separators alone: two servers may, one may not.
        let expected = match (&*label, &*technique) {
            ("attack", "separator-or-case") => (false, true),
            ("attack", technique) if !ROUTING.contains(&technique) => (true, true),
            _ => (false, false),
        };
        // A slip may move a separator, and an honest pair of two servers may differ in nothing else: only
        // within one server is that refused.
        let near = Name::new(&candidate).likeness(&Name::new(&known)) == Likeness::Near;
        if found != expected && !(near && found == (false, true)) {
            wrong.insert(text(&row, "id"));
        }
        *counts.entry((label, technique)).or_default().entry(found).or_default() += 1;
    }
    println!("(refused beside another server's, beside its own): {counts:#?}");
    corpora::settle("tool_names", &wrong);
    let all: usize = counts.values().flat_map(BTreeMap::values).sum();
    assert_eq!(all, 735, "the corpus has other rows than this test was written for");
}

/// All real tools at one endpoint, and each server alone: nobody is refused for an honest name.
#[test]
fn no_real_name_is_refused() {
    let rows = corpora::rows("dev/benign_tools");
    let offered: Vec<(String, String)> =
        rows.iter().map(|row| (text(row, "server"), text(&row.get("tool").expect("tool"), "name"))).collect();
    let names: Vec<(&str, &str)> = offered.iter().map(|(server, name)| (server.as_str(), name.as_str())).collect();
    let found = tricks(&names);
    let refused: BTreeSet<String> = found.iter().zip(&rows).filter(|(trick, _)| trick.is_some()).map(|(_, row)| text(row, "id")).collect();
    corpora::settle("real_names", &refused);
    assert_eq!(names.len(), 1395);
}
