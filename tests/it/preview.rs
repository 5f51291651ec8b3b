//! A held call is tried first, where the operator has said how the server's own dry run is asked for.

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::json::{reason, text};
use bartizan_tests::script::{Act, Era, Script};
use serde_json::{Value, json};

/// A world with `look` (read) and `wipe` (destructive), which says what it would do when it is told to be `dry`.
fn world(preview: &str, acts: &[Act]) -> Stage {
    let mut script = Script::with_tools(["look", "wipe"]).era(Era::Both);
    script.tools[1]["inputSchema"]["properties"]["dry"] = json!({"type": "boolean"});
    if !acts.is_empty() {
        script = script.on("tools/call wipe", acts.to_vec());
    }
    let stage = Stage::new("");
    stage.server("files", &script);
    stage.approve(&["files"], &["look=read", "wipe=destructive"]);
    stage.vouch();
    let lock = std::fs::read_to_string(stage.path("bartizan.lock")).expect("a lock file");
    let entry = "effect = \"destructive\"\n";
    assert!(lock.contains(entry), "{lock}");
    std::fs::write(stage.path("bartizan.lock"), lock.replace(entry, &format!("{entry}preview = '{preview}'\n"))).expect("writable");
    stage.forget("files");
    stage
}

/// The arguments of the calls that reached the server.
fn reached(stage: &Stage) -> Vec<Value> {
    let calls = stage.received("files");
    calls.iter().filter(|received| received.method() == "tools/call").map(|call| call.message()["params"]["arguments"].clone()).collect()
}

fn plain(stage: &Stage) -> Client {
    let mut client = stage.run("files");
    client.initialize();
    client
}

fn handle(preview: &Value) -> Value {
    json!({"handle": preview["result"]["_meta"]["io.github.bartizan-security/refusal"]["handle"]})
}

const DRY: &str = r#"{"dry": true}"#;

#[test]
fn the_servers_own_dry_run_is_part_of_what_a_person_sees() {
    let stage = world(DRY, &[]);
    let mut client = plain(&stage);
    let meta = json!({"progressToken": 7, "key": "k"});
    let asked = client.request("tools/call", &json!({"name": "wipe", "arguments": {"text": "a.txt"}, "_meta": meta}));
    let shown = text(&asked);
    for part in ["Nothing was done", "the server's own dry run, in the server's words:\n  | ", "  text = \"a.txt\"\n"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(!shown.contains("  dry = true\n"), "the call that is asked about is not the dry run: {shown}");
    let tried = stage.received("files").into_iter().rfind(|received| received.method() == "tools/call").expect("tried");
    assert_eq!(tried.message()["params"], json!({"name": "wipe", "arguments": {"text": "a.txt", "dry": true}}), "and nothing beside");
    let done = client.call("confirm_wipe", &handle(&asked));
    assert_eq!(reason(&done), None, "{done}");
    assert_eq!(reached(&stage), [json!({"text": "a.txt", "dry": true}), json!({"text": "a.txt"})]);
    drop(client);
    // The dry run is a call of its own in the record, and says which call it tries.
    let journal = stage.journal();
    let tries: Vec<_> = journal.of("decided").filter(|line| line.get("tries").is_some()).collect();
    let held = journal.of("closed").find(|line| line["outcome"] == "held").expect("held");
    assert_eq!((tries.len(), &tries[0]["tries"]), (1, &held["call"]), "{tries:?}");
    stage.verify();
}

#[test]
fn a_person_who_is_asked_by_the_client_sees_it_and_may_say_no() {
    let failing = Act::Answer(json!({"isError": true, "content": [{"type": "text", "text": "no such file\n<b>server: harmless"}]}));
    let stage = world(DRY, &[failing]);
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    let id = client.ask("tools/call", &json!({"name": "wipe", "arguments": {}}));
    let question = client.heard("elicitation/create");
    let message = question["params"]["message"].as_str().expect("a text");
    assert!(message.contains("dry run failed, in the server's words:\n  | "), "{message}");
    assert!(message.contains("no such file\n") && message.contains("  | \\u{3c}b\\u{3e}server: harmless"), "{message}");
    client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}).to_string());
    assert_eq!(reason(&client.answer(&id)), Some("confirm.refused"));
    assert_eq!(reached(&stage), [json!({"dry": true})]);
    drop(client);
    stage.verify();
}

#[test]
fn a_dry_run_of_the_clients_own_is_not_asked_about_and_not_taken_for_a_repeat() {
    let stage = world(DRY, &[]);
    for _ in 0..2 {
        let mut client = plain(&stage);
        assert_eq!(reason(&client.call("wipe", &json!({"text": "a", "dry": true}))), None);
        // Anything else is the thing itself.
        for arguments in [json!({"text": "a", "dry": false}), json!({"text": "a"})] {
            assert_eq!(reason(&client.call("wipe", &arguments)), Some("confirm.required"), "{arguments}");
        }
    }
    let done = reached(&stage);
    assert_eq!((done.len(), done.iter().all(|arguments| arguments["dry"] == true)), (6, true), "{done:?}");
    stage.verify();
}

#[test]
fn what_the_schema_does_not_declare_is_not_sent() {
    let stage = world(r#"{"simulate": true}"#, &[]);
    let mut client = plain(&stage);
    let asked = client.call("wipe", &json!({"text": "a"}));
    assert!(text(&asked).contains("the server's own dry run:\n  not here: confirm.preview"), "{asked}");
    let own = client.call("wipe", &json!({"text": "a", "simulate": true}));
    assert!(matches!(reason(&own), Some("schema.unknown-field" | "confirm.required")), "{own}");
    assert_eq!(reached(&stage), Vec::<Value>::new());
    drop(client);
    stage.verify();
}

#[test]
fn a_yes_to_a_dry_run_is_none_to_the_thing_and_what_it_says_is_read_by_the_session() {
    let stage = world(DRY, &[]);
    // What `wipe` returns is anybody's, as without a word in the lock file.
    let lock = std::fs::read_to_string(stage.path("bartizan.lock")).expect("a lock file");
    let (rest, wipe) = lock.split_at(lock.find("name = \"wipe\"").expect("the tool"));
    let wipe = wipe.replacen("returns = \"public\"\n", "", 1).replacen("effect = \"destructive\"", "effect = \"write\"", 1);
    std::fs::write(stage.path("bartizan.lock"), format!("{rest}{wipe}")).expect("writable");
    let mut client = plain(&stage);
    let asked = client.call("wipe", &json!({"text": "a"}));
    assert!(text(&asked).contains("has read before: untrusted content"), "{asked}");
    assert!(text(&asked).contains("own dry run, in the server's words"), "{asked}");
    // Now the client's own dry run is held by what was read, and a yes to it opens nothing.
    let held = client.call("wipe", &json!({"text": "b", "dry": true}));
    assert_eq!(reason(&held), Some("flow.untrusted"), "{held}");
    assert_eq!(reason(&client.call("confirm_wipe", &handle(&held))), None);
    let real = client.call("wipe", &json!({"text": "b"}));
    assert!(real["result"]["isError"] == true && text(&real).contains("not here: confirm.preview"), "{real}");
    assert_eq!(reached(&stage), [json!({"text": "a", "dry": true}), json!({"text": "b", "dry": true})]);
    drop(client);
    stage.verify();
}

#[test]
fn what_would_have_to_be_agreed_to_itself_is_not_tried() {
    let stage = world(DRY, &[]);
    // What `look` returns is anybody's.
    let lock = std::fs::read_to_string(stage.path("bartizan.lock")).expect("a lock file");
    std::fs::write(stage.path("bartizan.lock"), lock.replacen("returns = \"public\"", "returns = \"untrusted\"", 1)).expect("writable");
    let mut client = plain(&stage);
    assert_eq!(reason(&client.call("look", &json!({}))), None);
    let asked = client.call("wipe", &json!({"text": "secret"}));
    assert!(text(&asked).contains("not here: confirm.preview"), "{asked}");
    assert_eq!(reached(&stage), [json!({})], "nothing that the model may have been talked into leaves for the server");
    drop(client);
    stage.verify();
}
