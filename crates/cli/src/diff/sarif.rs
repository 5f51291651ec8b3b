//! Differences and findings as SARIF 2.1.0, for what shows such files beside a pull request.

use std::path::Path;

use serde_json::{Value, json};

/// One run, from the rows of `--format json`. Results are about the lock file, where the review happens.
pub(super) fn log(rows: &[Value], lock: &Path) -> Value {
    let file = lock.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let results: Vec<Value> = rows.iter().flat_map(|row| results(row, &file)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "bartizan", "version": env!("CARGO_PKG_VERSION")}}, "results": results}],
    })
}

fn results(row: &Value, file: &str) -> Vec<Value> {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let (change, kind) = (text("change"), text("kind"));
    let name = [text("server"), text("name")].join("/");
    let result = |rule: String, level: &str, said: String, place: &str| {
        json!({
            "ruleId": rule,
            "level": level,
            "message": {"text": said},
            "locations": [{
                "physicalLocation": {"artifactLocation": {"uri": file}},
                "logicalLocations": [{"fullyQualifiedName": format!("{name}{place}"), "kind": kind}],
            }],
        })
    };
    let mut all = Vec::new();
    if change != "same" {
        // What is new waits for a review; whatever else differs is blocked until then.
        let level = if change == "new" { "note" } else { "error" };
        let grade = row.get("grade").and_then(Value::as_str).map(|grade| format!(" ({grade})")).unwrap_or_default();
        all.push(result(format!("drift.{change}"), level, format!("{kind} {name}: {change}{grade}"), ""));
    }
    for finding in row.get("findings").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| finding.get(key).and_then(Value::as_str).unwrap_or_default();
        let level = if text("weight") == "block" { "error" } else { "warning" };
        let said = format!("{kind} {name}: {} \"{}\"", text("what"), text("excerpt"));
        all.push(result(format!("scan.{}", text("class")), level, said, text("place")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_findings_are_results() {
        let finding = json!({"class": "concealment", "weight": "block", "place": "/description", "what": "W.", "excerpt": "e"});
        let rows = [
            json!({"server": "s", "kind": "tool", "name": "a", "change": "changed", "grade": "steering", "findings": [finding]}),
            json!({"server": "s", "kind": "tool", "name": "b", "change": "same"}),
            json!({"server": "s", "kind": "tool", "name": "c", "change": "new"}),
        ];
        let told = log(&rows, Path::new("/x/bartizan.lock"));
        let seen: Vec<(&str, &str)> = told["runs"][0]["results"]
            .as_array()
            .expect("results")
            .iter()
            .map(|result| (result["ruleId"].as_str().expect("a rule"), result["level"].as_str().expect("a level")))
            .collect();
        assert_eq!(seen, [("drift.changed", "error"), ("scan.concealment", "error"), ("drift.new", "note")]);
        let place = &told["runs"][0]["results"][1]["locations"][0];
        assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "s/a/description");
        assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "bartizan.lock");
    }
}
