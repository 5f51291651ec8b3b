//! The `schema` control against the JSON Schema test suite, and against verdicts of another validator
//! on the schemas of real tools.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_monitor::control::{Control as _, Verdict};
use bartizan_monitor::controls::schema;
use bartizan_monitor::wire::json::{Edits, Json, View};
use bartizan_schema::Rules;
use bartizan_tests::corpora;

const OPTIONAL: &[u8] = br#""optional":true"#;

/// A suite's schema, which says its draft only where a test is about that.
fn with_draft(schema: &Json, draft: &str) -> Json {
    let mut edits = Edits::of(schema);
    if schema.view().get("$schema").is_none() {
        edits.set(schema.view(), "$schema", &Json::string(draft));
    }
    edits.apply()
}

/// Judges a suite; returns how many required tests agreed.
fn suite(name: &str, draft: &str) -> usize {
    let mut agreed = 0;
    let mut differing = BTreeSet::new();
    for line in corpora::lines(name) {
        let Ok(row) = Json::parse(line.clone()) else {
            // Numbers beyond 64 bits stand in optional groups only.
            assert!(line.windows(OPTIONAL.len()).any(|bytes| bytes == OPTIONAL), "a required group is not strict JSON");
            continue;
        };
        if row.view().get("optional").and_then(View::as_bool) != Some(false) {
            continue;
        }
        let group = format!("{}: {}", corpora::text(&row, "file"), corpora::text(&row, "description"));
        match Rules::compile(&with_draft(&row.get("schema").expect("schema"), draft).view().to_value()) {
            Err(_) => {
                differing.insert(group);
            }
            Ok(rules) => agreed += judge(&row, &group, &rules, &mut differing),
        }
    }
    corpora::settle(name.rsplit('/').next().expect("name"), &differing);
    agreed
}

fn judge(row: &Json, group: &str, rules: &Rules, differing: &mut BTreeSet<String>) -> usize {
    let mut agreed = 0;
    for test in row.view().get("tests").expect("tests").items() {
        let test = row.share(test);
        let valid = test.view().get("valid").and_then(View::as_bool).expect("valid");
        let data = test.view().get("data").expect("data").to_value();
        // Strictness has no say in the suite, but must cope with every schema in it.
        let _place = rules.undeclared(&data);
        if rules.broken(&data).is_none() == valid {
            agreed += 1;
        } else {
            differing.insert(format!("{group}: {}", corpora::text(&test, "description")));
        }
    }
    agreed
}

#[test]
fn draft_2020_12_agrees() {
    assert_eq!(suite("public/json_schema_draft2020-12", "https://json-schema.org/draft/2020-12/schema"), 1250);
}

#[test]
fn draft_07_agrees() {
    assert_eq!(suite("public/json_schema_draft7", "http://json-schema.org/draft-07/schema#"), 904);
}

/// What the control says of one call of a tool with this schema.
fn verdict(control: &schema::Schema, schema: &Json, arguments: Json) -> &'static str {
    let definition = Json::object([("name", Json::string("t")), ("inputSchema", schema.clone())]);
    let case = corpora::case(&[definition], corpora::call("t", arguments)).expect("a case");
    match control.on_call(&case).expect("no fault") {
        Verdict::Pass => "pass",
        Verdict::Deny(refusal) => refusal.reason.code(),
        Verdict::Because(_) | Verdict::Mask(_) | Verdict::Edit(_) | Verdict::Keep(..) | Verdict::Hold(_) => {
            panic!("this control passes or denies")
        }
    }
}

/// One set of arguments, judged three ways: by the corpus, by the schema as it stands, by the control.
#[test]
fn real_tools_agree_with_another_validator_and_strictness_only_refuses() {
    let control = schema::build(schema::Config::default()).expect("defaults");
    let mut differing = BTreeSet::new();
    let mut counts: BTreeMap<(&str, bool, &str), usize> = BTreeMap::new();
    for row in corpora::rows("dev/tool_args") {
        let schema = row.get("schema").expect("schema");
        let rules = Rules::compile(&schema.view().to_value()).unwrap_or_else(|why| panic!("{}: {why}", corpora::text(&row, "id")));
        for (index, case) in row.view().get("cases").expect("cases").items().enumerate() {
            let case = row.share(case);
            let arguments = case.get("arguments").expect("arguments");
            let valid = case.view().get("valid").and_then(View::as_bool).expect("valid");
            let accepted = rules.broken(&arguments.view().to_value()).is_none();
            let strict = verdict(&control, &schema, arguments);
            let mutation = corpora::text(&case, "mutation");
            let name = format!("{} {index} {mutation}", corpora::text(&row, "id"));
            if accepted != valid {
                differing.insert(name.clone());
            }
            assert!(accepted || strict != "pass", "{name}: strictness may only refuse");
            let adds = ["extra-property", "extra-property-proto", "key-case"].contains(&&*mutation);
            if accepted && strict != "pass" && !(adds && strict == "schema.unknown-field") {
                differing.insert(format!("{name}: {strict}"));
            }
            *counts.entry((if adds { "adds a field" } else { "other" }, valid, strict)).or_default() += 1;
        }
    }
    corpora::settle("tool_args", &differing);
    assert_eq!(counts.values().sum::<usize>(), 1914, "the corpus has other rows than this test was written for");
    let passed: usize =
        counts.iter().filter(|((adds, _, strict), _)| *adds == "adds a field" && *strict == "pass").map(|(_, count)| count).sum();
    assert_eq!(passed, 0, "a field that was added to valid arguments went through: {counts:?}");
}

/// A schema that cannot be checked makes its tool unusable, so real ones must not be among them.
#[test]
fn definitions_of_real_servers_compile() {
    let (mut compiled, mut differing) = (0, BTreeSet::new());
    for row in corpora::rows("dev/benign_tools") {
        let tool = row.get("tool").expect("tool");
        if tool.view().get("inputSchema").is_none() {
            continue;
        }
        match schema::compiles(&tool) {
            Ok(()) => compiled += 1,
            Err(_) => {
                differing.insert(corpora::text(&row, "id"));
            }
        }
    }
    corpora::settle("benign_tools", &differing);
    assert_eq!(compiled, 1080);
}
