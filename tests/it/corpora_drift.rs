//! Grades of changes, against real releases of real servers and mutations that were made to deceive.

use std::collections::BTreeMap;

use bartizan_gateway::review::grade::{Grade, grade, gravest};
use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::json::{Json, View};
use bartizan_tests::corpora;

/// One row: what kind of row it is, and how the change in it is graded; nothing when there is none.
struct Row {
    id: String,
    label: String,
    changes: Vec<String>,
    severity: String,
    /// Absent when the tool came or is gone.
    graded: Option<Option<Grade>>,
}

fn rows() -> Vec<Row> {
    let tool = |row: &Json, key: &str| row.get(key).filter(|tool| !tool.view().is_null());
    let read = |row: Json| Row {
        id: corpora::text(&row, "id"),
        label: corpora::text(&row, "label"),
        changes: row
            .view()
            .get("changes")
            .into_iter()
            .flat_map(View::items)
            .filter_map(|change| Some(change.as_str()?.into_owned()))
            .collect(),
        severity: corpora::text(&row, "severity_hint"),
        graded: tool(&row, "before").zip(tool(&row, "after")).map(|(old, new)| gravest(&grade(Kind::Tool, &old, &new))),
    };
    corpora::rows("dev/tool_drift").into_iter().map(read).collect()
}

#[test]
fn what_only_stands_in_another_order_is_no_change() {
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.label == "unchanged").collect();
    assert_eq!(rows.len(), 34, "the corpus has other rows than this test was written for");
    let alarms: Vec<&str> = rows.iter().filter(|row| row.graded != Some(None)).map(|row| row.id.as_str()).collect();
    assert!(alarms.is_empty(), "these are equal, and differences were found: {alarms:?}");
}

#[test]
fn no_mutation_is_overlooked_and_what_deceives_is_grave() {
    let (mut seen, mut wrong) = (BTreeMap::new(), Vec::new());
    for row in rows().into_iter().filter(|row| row.label == "mutation") {
        let grade = row.graded.flatten();
        *seen.entry((row.severity.clone(), row.changes.join("+"), grade)).or_insert(0_usize) += 1;
        let right = match row.severity.as_str() {
            "critical" => grade >= Some(Grade::Widening),
            "warning" => grade >= Some(Grade::Narrowing),
            _ => grade.is_some(),
        };
        if !right {
            wrong.push((row.id, row.changes, grade));
        }
    }
    println!("{seen:#?}");
    assert!(wrong.is_empty(), "graded too lightly: {wrong:?}");
    assert_eq!(seen.values().sum::<usize>(), 130, "the corpus has other rows than this test was written for");
}

/// How much of what really happens has to be read word by word. The shares are reported, and each real
/// change has to be found.
#[test]
fn real_changes_are_found_and_not_all_of_them_have_to_be_read_twice() {
    let (mut seen, mut by_change) = (BTreeMap::new(), BTreeMap::new());
    for row in rows().into_iter().filter(|row| row.label == "benign") {
        let Some(grade) = row.graded else {
            *seen.entry("came or gone").or_insert(0_usize) += 1;
            continue;
        };
        let grade = grade.unwrap_or_else(|| panic!("{}: a change was overlooked", row.id));
        *seen.entry(grade.name()).or_default() += 1;
        *by_change.entry((row.changes.join("+"), grade)).or_insert(0_usize) += 1;
    }
    println!("{by_change:#?}\n{seen:#?}");
    assert_eq!(seen.values().sum::<usize>(), 362, "the corpus has other rows than this test was written for");
    let light: usize = ["cosmetic", "narrowing", "widening"].iter().filter_map(|grade| seen.get(grade)).sum();
    assert!(light >= 105, "only {light} of the real changes do not steer");
}
