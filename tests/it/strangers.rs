//! Servers that nobody approved, and servers that a credential is not good for: they are neither heard nor driven.

use bartizan_tests::gateway::Stage;
use bartizan_tests::script::{Act, Script};
use serde_json::json;

const ELICIT: &str = r#"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"Your name?","requestedSchema":{"type":"object","properties":{}}}}"#;

/// What the client hears when the server asks the person something as soon as it is introduced.
fn asked(stage: &Stage) -> bool {
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    // The answer to a later request shows that everything said before it has been told.
    client.ask("tools/list", &json!({}));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let asked = client.so_far().iter().any(|message| message["method"] == "elicitation/create");
    client.leave();
    asked
}

#[test]
fn a_server_that_nobody_approved_does_not_speak_to_the_person() {
    let stage = Stage::new("");
    stage.server("files", &Script::with_tools(["a"]).on("notifications/initialized", vec![Act::Line(ELICIT.to_owned())]));
    assert!(!asked(&stage), "nothing is approved, and the person is asked");
    stage.approve(&["files"], &["a=read"]);
    assert!(asked(&stage), "with an approval the question passes: the refusal above is not an accident");
    stage.verify();
}

#[test]
fn a_server_that_a_credential_is_not_good_for_is_not_even_started() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.server("secret", &Script::with_tools(["b"]));
    stage.approve(&["secret"], &["b=read"]);
    stage.forget("secret");
    let token = stage.token("narrow", &["--server", "files"]).text;
    let gateway = stage.serve();
    let call = |name: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}, "Stray": 1}});
        gateway.visitor(&token).send("POST", &body.to_string()).json()
    };
    let list = gateway.visitor(&token).send("POST", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).json();
    let names: Vec<_> = list["result"]["tools"].as_array().expect("tools").iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["files__a"]);
    // The same words for what is hidden, even where something else is wrong with the call, and for what is not there.
    assert_eq!(call("secret__b"), call("nothing__b"));
    assert_eq!(stage.received("secret").len(), 0, "it was started and spoken to");
}
