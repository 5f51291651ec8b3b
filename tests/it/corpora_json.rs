//! The strict parser against nst/JSONTestSuite.

use std::collections::BTreeSet;

use bartizan_monitor::wire::json::{Json, View};
use bartizan_tests::corpora;
use bytes::Bytes;

/// Rows that are too long to be stored say how they are made.
fn repeated(row: &Json) -> Bytes {
    let recipe = row.get("gen").expect("bytes or a recipe");
    let times = recipe.view().get("n").and_then(View::as_i64).and_then(|n| usize::try_from(n).ok()).expect("a count");
    Bytes::from(corpora::text(&recipe, "repeat").repeat(times) + &corpora::text(&recipe, "suffix"))
}

#[test]
fn what_must_be_accepted_is_and_what_must_be_refused_is_not() {
    let mut differing = BTreeSet::new();
    let mut counts = [0_usize; 3];
    for row in corpora::rows("public/json_parsing") {
        let bytes = corpora::base64(&row, "b64").unwrap_or_else(|| repeated(&row));
        let accepted = Json::parse(bytes.clone()).is_ok();
        let (kind, differs) = match corpora::text(&row, "expected").as_str() {
            "accept" => (0, !accepted),
            "reject" => (1, accepted),
            // The standard leaves these open. We take what every reader takes alike: refused is the rule.
            "either" => (2, accepted),
            other => panic!("an unknown expectation: {other}"),
        };
        counts[kind] += 1;
        if differs {
            differing.insert(corpora::text(&row, "name"));
        }
        if accepted {
            assert!(
                serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(),
                "{}: we accept what serde_json does not",
                corpora::text(&row, "name")
            );
        }
    }
    assert_eq!(counts, [95, 188, 35], "the corpus has other rows than this test was written for");
    corpora::settle("json_parsing", &differing);
}
