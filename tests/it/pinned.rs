//! Prompts, resources and templates are pinned like tools.

use bartizan_tests::gateway::Stage;
use bartizan_tests::json::reason;
use bartizan_tests::script::Script;
use serde_json::{Value, json};

/// What a client gets of the prompt, the resource and the template, as refusals; and what it is shown.
fn seen(stage: &Stage) -> (Vec<Option<String>>, Vec<usize>) {
    let mut client = stage.run("files");
    client.initialize();
    let asked = [
        ("prompts/get", json!({"name": "p", "arguments": {"x": "1"}})),
        ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "x", "value": ""}})),
        ("resources/read", json!({"uri": "file:///r.txt"})),
        ("resources/read", json!({"uri": "file:///t/1"})),
    ];
    let reasons = asked.iter().map(|(method, params)| reason(&client.request(method, params)).map(str::to_owned)).collect();
    let lists = [("prompts/list", "prompts"), ("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")];
    let shown = lists.iter().map(|(method, member)| client.request(method, &json!({}))["result"][member].as_array().map_or(0, Vec::len));
    let shown = shown.collect();
    assert!(client.leave().success());
    (reasons, shown)
}

fn offer() -> Script {
    Script {
        prompts: vec![json!({"name": "p", "description": "old", "arguments": [{"name": "x"}]})],
        resources: vec![json!({"uri": "file:///r.txt", "name": "r"})],
        templates: vec![json!({"uriTemplate": "file:///t/{id}", "name": "t"})],
        ..Script::default()
    }
}

fn set(definition: &mut Value, member: &str, value: Value) {
    definition.as_object_mut().expect("a definition").insert(member.to_owned(), value);
}

#[test]
fn a_changed_prompt_resource_or_template_is_blocked_until_it_is_approved() {
    let stage = Stage::with_server("files", &offer());
    stage.approve(&["files"], &[]);
    let changed = || Some("drift.changed".to_owned());
    let fine = (vec![None; 4], vec![1, 1, 1]);
    assert_eq!(seen(&stage), fine);
    let changes: [(fn(&mut Script), _); 5] = [
        (|new| set(&mut new.prompts[0], "description", json!("new")), (vec![changed(), changed(), None, None], vec![0, 1, 1])),
        (
            |new| set(&mut new.prompts[0], "arguments", json!([{"name": "x", "required": true}])),
            (vec![changed(), changed(), None, None], vec![0, 1, 1]),
        ),
        (
            |new| set(&mut new.prompts[0], "arguments", json!([{"name": "x"}, {"name": "y"}])),
            (vec![changed(), changed(), None, None], vec![0, 1, 1]),
        ),
        (|new| set(&mut new.resources[0], "description", json!("new")), (vec![None, None, changed(), None], vec![1, 0, 1])),
        (|new| set(&mut new.templates[0], "mimeType", json!("text/plain")), (vec![None, None, None, changed()], vec![1, 1, 0])),
    ];
    for (change, expected) in changes {
        let mut new = offer();
        change(&mut new);
        stage.script("files", &new);
        assert_eq!(seen(&stage), expected);
        stage.approve(&["files"], &[]);
        assert_eq!(seen(&stage), fine);
        stage.script("files", &offer());
        stage.approve(&["files"], &[]);
    }
    stage.verify();
}
