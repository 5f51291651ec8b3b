//! Confirmation: held calls, whoever is asked and however the answer is forged.

use std::process::Output;
use std::time::{Duration, Instant};

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::http::Visitor;
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{eventually, within};
use bartizan_tests::script::{Act, Era, Script};
use serde_json::{Value, json};

const QUESTION: &str = "bartizan/confirm";

/// A world with `look` (read), `change` (write) and `drop` (destructive).
fn world(config: &str) -> Stage {
    let script = Script::with_tools(["look", "change", "drop"]).era(Era::Both);
    let stage = Stage::new(config);
    stage.server("files", &script);
    stage.approve(&["files"], &["look=read", "change=write", "drop=destructive"]);
    stage.vouch();
    stage.forget("files");
    stage
}

fn eliciting(stage: &Stage) -> Client {
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    client
}

fn plain(stage: &Stage) -> Client {
    let mut client = stage.run("files");
    client.initialize();
    client
}

fn calls(stage: &Stage) -> usize {
    stage.received("files").iter().filter(|received| received.method() == "tools/call").count()
}

fn accept() -> Value {
    json!({"action": "accept", "content": {"agree": true}})
}

fn answer(client: &mut Client, question: &Value, result: &Value) {
    client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string());
}

fn confirmation(stage: &Stage) -> Value {
    eventually("the record is closed", || stage.journal().last_closed().is_some());
    stage.journal().last_closed().expect("closed")["confirmation"].clone()
}

/// The calls that wait, as the command line lists them.
fn held(stage: &Stage) -> Vec<Value> {
    let listed = stage.output(&["approvals", "list", "--format", "json"]);
    let found: Value = serde_json::from_slice(&listed.stdout).unwrap_or_else(|error| panic!("{error}: {listed:?}"));
    let held = found["held"].as_array().expect("a list").clone();
    assert_eq!(listed.status.code(), Some(if held.is_empty() { 0 } else { 11 }), "{listed:?}");
    held
}

fn one_held(stage: &Stage) -> String {
    eventually("one call waits", || held(stage).len() == 1);
    held(stage)[0]["id"].as_str().expect("an id").to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn what_destroys_is_listed_and_asked_about_each_time() {
    let stage = world("");
    let mut client = eliciting(&stage);
    assert_eq!(client.tools(), ["look", "change", "drop"]);
    for (number, yes) in [(1, true), (2, true), (3, false)] {
        let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {"text": format!("n{number}")}}));
        let question = client.heard("elicitation/create");
        let message = question["params"]["message"].as_str().expect("a text");
        for part in ["tool: drop", "server: files", "destructive", "asked by: user:", &format!("text = \"n{number}\"")] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert_eq!(message.contains(&format!("changed since the call before:\n  text: was \"n{}\"", number - 1)), number > 1, "{message}");
        answer(&mut client, &question, &if yes { accept() } else { json!({"action": "decline"}) });
        let got = client.answer(&id);
        assert_eq!(reason(&got), (!yes).then_some("confirm.refused"), "{got}");
        let word = confirmation(&stage);
        assert_eq!(
            (&word["answer"], &word["channel"], &word["assurance"]),
            (&json!(if yes { "yes" } else { "no" }), &json!("elicitation"), &json!("client"))
        );
        assert!(word["shown"].as_str().is_some_and(|shown| shown.starts_with("sha256:")) && word["waited_ms"].is_u64(), "{word}");
    }
    assert_eq!(calls(&stage), 2);
    client.call("look", &json!({"text": "no question"}));
    assert_eq!(calls(&stage), 3);
    drop(client);
    stage.verify();
    let log = stage.done(&["log"]);
    assert!(log.contains("yes: user:") && log.contains("over elicitation (client)") && log.contains("confirm.refused"), "{log}");
}

#[test]
fn what_writes_is_asked_about_once_per_session_as_reviewed() {
    let stage = world("");
    let mut client = eliciting(&stage);
    let id = client.ask("tools/call", &json!({"name": "change", "arguments": {"text": "a"}}));
    let question = client.heard("elicitation/create");
    answer(&mut client, &question, &accept());
    assert_eq!(reason(&client.answer(&id)), None);
    let first = stage.journal().last_closed().expect("closed")["call"].clone();
    // Other arguments, the same session: nobody is asked, and the record says which yes covers it.
    assert_eq!(reason(&client.call("change", &json!({"text": "b"}))), None);
    assert_eq!(stage.journal().last_closed().expect("closed")["agreed"], first);
    // The reviewed definition becomes another: what was agreed to is not what is there.
    let mut script = Script::with_tools(["look", "change", "drop"]).era(Era::Both);
    script.tools[1]["description"] = json!("Changes more.");
    stage.script("files", &script);
    stage.approve(&["files"], &[]);
    drop(client);
    let mut client = eliciting(&stage);
    let id = client.ask("tools/call", &json!({"name": "change", "arguments": {"text": "c"}}));
    let question = client.heard("elicitation/create");
    answer(&mut client, &question, &json!({"action": "cancel"}));
    assert_eq!(reason(&client.answer(&id)), Some("confirm.refused"));
}

#[test]
fn an_answer_counts_once_in_its_conversation_and_only_with_a_tick() {
    let stage = world("");
    let mut client = eliciting(&stage);
    for bad in [json!({"action": "accept"}), json!({"action": "accept", "content": {"agree": false}}), json!({})] {
        let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {}}));
        let question = client.heard("elicitation/create");
        answer(&mut client, &question, &bad);
        assert_eq!(reason(&client.answer(&id)), Some("confirm.refused"), "{bad}");
        // Too late, and for nothing.
        answer(&mut client, &question, &accept());
    }
    let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {}}));
    let question = client.heard("elicitation/create");
    for guess in [json!(1), json!("bartizan-"), json!("bartizan-1")] {
        client.send(&json!({"jsonrpc": "2.0", "id": guess, "result": accept()}).to_string());
    }
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}).to_string());
    client.so_far();
    answer(&mut client, &question, &accept());
    client.so_far();
    assert_eq!((calls(&stage), held(&stage).len()), (0, 0), "cancelled is no");
    drop(client);
    stage.verify();
}

#[test]
fn definition_policy_and_stops_count_as_they_are_after_the_yes() {
    let stage = world("");
    std::fs::write(stage.path("a.cedar"), "permit (principal, action, resource);").expect("writable");
    stage.configure("[policy]\nfiles = [\"a.cedar\"]\n[limits]\nlist_age = \"100ms\"");
    let mut client = eliciting(&stage);
    let asked = |client: &mut Client, change: &dyn Fn()| {
        let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {"text": "x"}}));
        let question = client.heard("elicitation/create");
        change();
        answer(client, &question, &accept());
        let got = client.answer(&id);
        reason(&got).map(str::to_owned)
    };
    assert_eq!(asked(&mut client, &|| ()), None);
    let suspended = asked(&mut client, &|| drop(stage.done(&["suspend", "--tool", "files/drop"])));
    assert!(matches!(suspended.as_deref(), Some("suspend.stopped" | "serve.suspended")), "{suspended:?}");
    stage.done(&["resume", "--tool", "files/drop"]);
    let renewed = |text: &str| {
        let before = stage.journal().of("policy").count();
        std::fs::write(stage.path("a.cedar"), text).expect("writable");
        eventually("the policy was read again", || stage.journal().of("policy").count() > before);
    };
    let stale = asked(&mut client, &|| {
        renewed("permit (principal, action, resource); // more\nforbid (principal, action, resource) when { resource.name == \"none\" };")
    });
    assert_eq!(stale.as_deref(), Some("confirm.stale"));
    let forbidden = asked(&mut client, &|| {
        renewed("permit (principal, action, resource);\nforbid (principal, action, resource) when { resource.name == \"drop\" };")
    });
    assert!(matches!(forbidden.as_deref(), Some("policy.forbid" | "catalog.unknown")), "{forbidden:?}");
    renewed("permit (principal, action, resource);");
    let drifted = asked(&mut client, &|| {
        let mut script = Script::with_tools(["look", "change", "drop"]).era(Era::Both);
        script.tools[2]["description"] = json!("Something else.");
        stage.script("files", &script);
        // How old a list may be when something is called.
        std::thread::sleep(Duration::from_millis(200));
    });
    assert_eq!(drifted.as_deref(), Some("drift.changed"));
    assert_eq!(calls(&stage), 1);
    drop(client);
    stage.verify();
}

#[test]
fn more_assurance_than_a_client_has_comes_from_the_command_line() {
    let stage = world("[controls.confirm.minimum]\ndestructive = \"local\"");
    let mut client = eliciting(&stage);
    // The client answers its own question.
    let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {"text": "x"}}));
    let question = client.heard("elicitation/create");
    assert!(question["params"]["message"].as_str().expect("text").contains("bartizan approvals grant"), "{question}");
    answer(&mut client, &question, &accept());
    assert_eq!(reason(&client.answer(&id)), Some("confirm.assurance"));
    assert_eq!((calls(&stage), held(&stage).len()), (0, 0));
    // Somebody at the machine agrees, and the client is told that it need not ask any more.
    let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {"text": "<b>"}}));
    let waits = one_held(&stage);
    let shown = stage.done(&["approvals", "show", &waits]);
    assert!(shown.contains("text = \"\\u{3c}b\\u{3e}\"") && shown.contains("files/drop") && shown.contains("wants local"), "{shown}");
    let unasked = stage.output(&["approvals", "grant", &waits]);
    assert_eq!(unasked.status.code(), Some(2), "nobody is there: {}", said(&unasked));
    let begun = Instant::now();
    stage.done(&["approvals", "grant", &waits[..8], "--yes"]);
    assert_eq!(reason(&client.answer(&id)), None);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(client.heard("notifications/cancelled")["params"]["reason"], "decided elsewhere");
    let word = confirmation(&stage);
    assert_eq!((&word["assurance"], &word["channel"]), (&json!("local"), &json!("approvals")));
    let again = stage.output(&["approvals", "grant", &waits, "--yes"]);
    assert_eq!(again.status.code(), Some(1), "once: {}", said(&again));
    // And refuses.
    let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {}}));
    let waits = one_held(&stage);
    stage.done(&["approvals", "refuse", &waits]);
    assert_eq!(reason(&client.answer(&id)), Some("confirm.refused"));
    assert_eq!(calls(&stage), 1);
    drop(client);
    stage.verify();
}

#[test]
fn nobody_in_time_is_no_and_nothing_outlives_the_gateway() {
    let stage = world("[controls.confirm]\ntimeout_seconds = 1\n[controls.confirm.minimum]\ndestructive = \"local\"");
    let mut client = plain(&stage);
    let got = client.call("drop", &json!({}));
    assert_eq!(reason(&got), Some("confirm.expired"));
    assert!(held(&stage).is_empty());
    drop(client);
    stage.configure("[controls.confirm]\ntimeout_seconds = 60");
    let mut client = plain(&stage);
    client.ask("tools/call", &json!({"name": "drop", "arguments": {}}));
    let waits = one_held(&stage);
    let pid = client.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().expect("kill").success());
    client.end();
    let late = stage.output(&["approvals", "grant", &waits, "--yes"]);
    assert_eq!(late.status.code(), Some(1), "{}", said(&late));
    assert!(held(&stage).is_empty());
    let left = std::fs::read_dir(stage.state().join("held")).expect("the directory").count();
    assert_eq!((left, calls(&stage)), (0, 0));
    // The next one removes nothing of its own and closes what the dead one left open.
    plain(&stage).call("look", &json!({}));
    stage.verify();
}

#[test]
fn disconnecting_and_draining_are_no() {
    let stage = world("[controls.confirm.minimum]\ndestructive = \"local\"");
    let token = stage.token("ci", &[]).text;
    let mut gateway = stage.serve();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "drop", "arguments": {},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}},
    }});
    let visitor = gateway
        .visitor(&token)
        .at("/mcp/files")
        .with("MCP-Protocol-Version", "2026-07-28")
        .with("Mcp-Method", "tools/call")
        .with("Mcp-Name", "drop");
    let wire = visitor.begin("POST", &body.to_string());
    one_held(&stage);
    wire.hang_up();
    eventually("what waited has gone", || held(&stage).is_empty());
    let waits = visitor.begin("POST", &body.to_string());
    one_held(&stage);
    terminate(gateway.pid());
    gateway.end();
    drop(waits);
    assert_eq!(calls(&stage), 0);
    stage.verify();
}

fn terminate(pid: u32) {
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().expect("kill").success());
}

fn modern(visitor: &Visitor<'_>, tool: &str, more: &Value) -> Value {
    let mut params = json!({"name": tool, "arguments": {"text": "x", "other": 1}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    }});
    params.as_object_mut().expect("object").extend(more.as_object().cloned().unwrap_or_default());
    visitor.modern("tools/call", &params).json()
}

/// A world whose tools take two arguments, over HTTP.
fn modern_world(config: &str) -> Stage {
    let mut script = Script::with_tools(["look", "change", "drop"]).era(Era::Both);
    for tool in &mut script.tools {
        tool["inputSchema"]["properties"]["other"] = json!({"type": "integer"});
    }
    let stage = Stage::new(config);
    stage.server("files", &script);
    stage.approve(&["files"], &["look=read", "change=write", "drop=destructive"]);
    stage.forget("files");
    stage
}

fn back(asked: &Value) -> Value {
    json!({"inputResponses": {QUESTION: accept()}, "requestState": asked["result"]["requestState"]})
}

fn asked(visitor: &Visitor<'_>, more: &Value) -> Value {
    let asked = modern(visitor, "drop", more);
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(asked["result"]["inputRequests"][QUESTION]["method"], "elicitation/create", "{asked}");
    asked
}

#[test]
fn a_modern_client_brings_its_persons_answer_back_once_and_unaltered() {
    let stage = modern_world("");
    let (ann, bob) = (stage.token("ann", &[]).text, stage.token("bob", &[]).text);
    let gateway = stage.serve();
    let ann = gateway.visitor(&ann).at("/mcp/files");
    let first = asked(&ann, &json!({}));
    assert_eq!(confirmation(&stage)["answer"], "asked");
    // The order of members is no difference.
    let mut reordered = back(&first);
    reordered["arguments"] = json!({"other": 1, "text": "x"});
    assert_eq!(reason(&modern(&ann, "drop", &reordered)), None);
    let sent = stage.received("files").into_iter().find(|received| received.method() == "tools/call").expect("sent").message();
    assert!(sent["params"].get("requestState").is_none() && sent["params"].get("inputResponses").is_none(), "{sent}");
    let word = confirmation(&stage);
    assert_eq!(
        (&word["answer"], &word["channel"], &word["by"]),
        (&json!("yes"), &json!("input-required"), &stage.journal().last_closed().expect("closed")["principal"])
    );
    let refused = |more: &Value| reason(&modern(&ann, "drop", more)).map(str::to_owned);
    assert_eq!(refused(&back(&first)).as_deref(), Some("confirm.unknown"), "used");
    // Another byte in the arguments, another tool.
    let second = asked(&ann, &json!({}));
    let mut other = back(&second);
    other["arguments"] = json!({"text": "y", "other": 1});
    assert_eq!(refused(&other).as_deref(), Some("confirm.mismatch"));
    let third = asked(&ann, &json!({}));
    assert_eq!(reason(&modern(&ann, "change", &back(&third))), Some("confirm.mismatch"));
    // Altered, foreign, invented. None of these uses the question up.
    let fourth = asked(&ann, &json!({}));
    let state = fourth["result"]["requestState"].as_str().expect("a state");
    for forged in [
        format!("{}A", &state[..state.len() - 1]),
        state[..30].to_owned(),
        "bartizan1.".to_owned(),
        "bartizan1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
    ] {
        if forged != state {
            assert_eq!(
                refused(&json!({"inputResponses": {QUESTION: accept()}, "requestState": forged})).as_deref(),
                Some("confirm.unknown"),
                "{forged}"
            );
        }
    }
    let bob = gateway.visitor(&bob).at("/mcp/files");
    assert_eq!(reason(&modern(&bob, "drop", &back(&fourth))), Some("confirm.unknown"));
    // What is not a yes uses it up.
    for (number, no) in [json!({"action": "decline"}), json!({"action": "accept"}), json!({"action": "cancel"})].into_iter().enumerate() {
        let mut back = back(&if number == 0 { fourth.clone() } else { asked(&ann, &json!({})) });
        back["inputResponses"][QUESTION] = no;
        assert_eq!(refused(&back).as_deref(), Some("confirm.refused"));
    }
    assert_eq!(calls(&stage), 1);
    stage.verify();
}

#[test]
fn an_answer_without_our_state_and_one_for_a_server_are_no_yes() {
    let stage = modern_world("");
    let token = stage.token("ann", &[]).text;
    let gateway = stage.serve();
    let ann = gateway.visitor(&token).at("/mcp/files");
    let got = modern(&ann, "drop", &json!({"inputResponses": {QUESTION: accept()}}));
    assert_eq!(got["result"]["resultType"], "input_required", "{got}");
    let got = modern(&ann, "drop", &json!({"inputResponses": {QUESTION: accept()}, "requestState": "the server's own"}));
    assert_eq!(got["result"]["resultType"], "input_required", "{got}");
    assert_eq!(calls(&stage), 0);
}

#[test]
fn a_server_may_ask_before_and_after_and_gets_what_is_its_own() {
    let stage = modern_world("");
    let question = json!({"resultType": "input_required", "requestState": "servers-state",
        "inputRequests": {"which": {"method": "elicitation/create", "params": {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}}}});
    let mut script = Script::with_tools(["look", "change", "drop"]).era(Era::Both).on("tools/call", vec![Act::Answer(question)]);
    for tool in &mut script.tools {
        tool["inputSchema"]["properties"]["other"] = json!({"type": "integer"});
    }
    stage.script("files", &script);
    let token = stage.token("ann", &[]).text;
    let gateway = stage.serve();
    let ann = gateway.visitor(&token).at("/mcp/files");
    // We ask, then the server does.
    let ours = asked(&ann, &json!({}));
    let theirs = modern(&ann, "drop", &back(&ours));
    assert_eq!(theirs["result"]["requestState"], "servers-state", "{theirs}");
    // What the client brings to the server is a call of its own, and shown.
    let answered = json!({"inputResponses": {"which": {"action": "accept", "content": {}}}, "requestState": "servers-state"});
    let ours = asked(&ann, &answered);
    let message = ours["result"]["inputRequests"][QUESTION]["params"]["message"].as_str().expect("text");
    assert!(message.contains("sent beside the arguments") && message.contains("servers-state"), "{message}");
    let script = Script { on: Default::default(), ..script };
    stage.script("files", &script);
    assert_eq!(reason(&modern(&ann, "drop", &back(&ours))), None);
    let sent: Vec<Value> =
        stage.received("files").iter().filter(|one| one.method() == "tools/call").map(|one| one.message()["params"].clone()).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent[0].get("requestState").is_none());
    assert_eq!((&sent[1]["requestState"], &sent[1]["inputResponses"]), (&answered["requestState"], &answered["inputResponses"]));
    stage.verify();
}

#[test]
fn a_state_is_worth_nothing_after_a_restart_or_in_another_policy() {
    let stage = modern_world("");
    std::fs::write(stage.path("a.cedar"), "permit (principal, action, resource);").expect("writable");
    stage.configure("[policy]\nfiles = [\"a.cedar\"]");
    let token = stage.token("ann", &[]).text;
    let mut gateway = stage.serve();
    let ann = gateway.visitor(&token).at("/mcp/files");
    let question = asked(&ann, &json!({}));
    std::fs::write(
        stage.path("a.cedar"),
        "permit (principal, action, resource);\nforbid (principal, action, resource) when { resource.name == \"n\" };",
    )
    .expect("writable");
    eventually("the policy was read again", || stage.journal().of("policy").count() == 1);
    assert_eq!(reason(&modern(&ann, "drop", &back(&question))), Some("confirm.stale"));
    let question = asked(&ann, &json!({}));
    terminate(gateway.pid());
    gateway.end();
    let gateway = stage.serve();
    let ann = gateway.visitor(&token).at("/mcp/files");
    assert_eq!(reason(&modern(&ann, "drop", &back(&question))), Some("confirm.unknown"));
    assert_eq!(calls(&stage), 0);
}

#[test]
fn a_client_without_forms_gets_a_preview_and_a_tool_that_completes_it() {
    let stage = world("");
    let mut client = plain(&stage);
    assert_eq!(client.tools(), ["look", "change", "drop"]);
    let preview = client.call("drop", &json!({"text": "x"}));
    assert_eq!(reason(&preview), Some("confirm.required"));
    let told = text(&preview).to_owned();
    assert!(told.contains("Nothing was sent") && told.contains("tool: drop") && told.contains("confirm_drop"), "{told}");
    let handle =
        preview.pointer("/result/_meta/io.github.bartizan-security~1refusal/handle").and_then(Value::as_str).expect("a handle").to_owned();
    client.heard("notifications/tools/list_changed");
    assert_eq!(client.tools(), ["look", "change", "drop", "confirm_drop"]);
    assert_eq!(calls(&stage), 0);
    for bad in [json!({"handle": "nope"}), json!({"handle": ""}), json!({"handle": format!("{handle}x")})] {
        assert_eq!(reason(&client.call("confirm_drop", &bad)), Some("confirm.unknown"), "{bad}");
    }
    // The handle is of that tool alone.
    assert!(reason(&client.call("confirm_change", &json!({"handle": handle}))).is_some());
    assert_eq!(reason(&client.call("confirm_drop", &json!({"handle": handle}))), None);
    let sent = stage.received("files").into_iter().find(|received| received.method() == "tools/call").expect("sent").message();
    assert_eq!((&sent["params"]["name"], &sent["params"]["arguments"]), (&json!("drop"), &json!({"text": "x"})));
    let word = confirmation(&stage);
    assert_eq!((&word["channel"], &word["assurance"], &word["answer"]), (&json!("confirm-tool"), &json!("model"), &json!("yes")));
    assert_eq!(reason(&client.call("confirm_drop", &json!({"handle": handle}))), Some("confirm.unknown"), "used");
    assert_eq!(client.tools(), ["look", "change", "drop"]);
    // Asked again, the earlier handle is void.
    let handle_of = |preview: &Value| {
        preview.pointer("/result/_meta/io.github.bartizan-security~1refusal/handle").and_then(Value::as_str).expect("a handle").to_owned()
    };
    let before = handle_of(&client.call("drop", &json!({"text": "x"})));
    let after = handle_of(&client.call("drop", &json!({"text": "x"})));
    assert_eq!(reason(&client.call("confirm_drop", &json!({"handle": before}))), Some("confirm.unknown"));
    // A no on the command line counts more than the client's yes.
    stage.done(&["approvals", "refuse", &after]);
    assert_eq!(reason(&client.call("confirm_drop", &json!({"handle": after}))), Some("confirm.refused"));
    // A yes on the command line is good for the same call, made again.
    client.call("drop", &json!({"text": "again"}));
    stage.done(&["approvals", "grant", &one_held(&stage), "--yes"]);
    assert_eq!(reason(&client.call("drop", &json!({"text": "again"}))), None);
    assert_eq!(confirmation(&stage)["assurance"], "local");
    assert_eq!(reason(&client.call("drop", &json!({"text": "again"}))), Some("confirm.required"), "once");
    assert_eq!(calls(&stage), 2);
    drop(client);
    stage.verify();
}

#[test]
fn a_handle_is_good_for_the_caller_and_the_session_that_it_was_given_to() {
    let stage = world("");
    let (ann, bob) = (stage.token("ann", &[]).text, stage.token("bob", &[]).text);
    let gateway = stage.serve();
    let mut first = gateway.visitor(&ann).at("/mcp").initialize();
    let call = |visitor: &mut Visitor<'_>, tool: &str, arguments: Value| {
        visitor.request("tools/call", &json!({"name": tool, "arguments": arguments})).json()
    };
    let preview = call(&mut first, "files__drop", json!({}));
    let handle =
        preview.pointer("/result/_meta/io.github.bartizan-security~1refusal/handle").and_then(Value::as_str).expect("a handle").to_owned();
    let complete = |visitor: &mut Visitor<'_>| call(visitor, "confirm_files__drop", json!({"handle": handle}));
    for other in [&ann, &bob] {
        let got = complete(&mut gateway.visitor(other).at("/mcp").initialize());
        assert_eq!(reason(&got), Some("confirm.unknown"), "{got}");
    }
    assert_eq!(calls(&stage), 0);
    assert_eq!(reason(&complete(&mut first)), None);
    assert_eq!(calls(&stage), 1);
    stage.verify();
}

#[test]
fn a_second_person_is_not_the_one_who_asks() {
    let stage = world("[controls.confirm.tools.files]\ndrop = \"second\"");
    let ann = stage.token("ann", &[]);
    let (bob, clerk) = (stage.token("bob", &[]).text, stage.token("clerk", &["--effect", "read"]).text);
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&ann.text).at("/mcp/files").initialize();
    let grant = |token: Option<&str>| {
        let waits = one_held(&stage);
        let mut command = stage.bartizan(&["approvals", "grant", &waits, "--yes"]);
        command.envs(token.map(|token| ("BARTIZAN_AS", token)));
        command.output().expect("bartizan")
    };
    let got = std::thread::scope(|scope| {
        let call = scope.spawn(|| visitor.request("tools/call", &json!({"name": "drop", "arguments": {}})).json());
        for (who, token) in [
            ("nobody", None),
            ("who asks", Some(ann.text.as_str())),
            ("nobody who may", Some(clerk.as_str())),
            ("no token", Some("bzt_x_y")),
        ] {
            let output = grant(token);
            assert_eq!(output.status.code(), Some(1), "{who}: {}", said(&output));
        }
        let output = grant(Some(&bob));
        assert!(output.status.success(), "{}", said(&output));
        call.join().expect("answered")
    });
    assert_eq!(reason(&got), None, "{got}");
    let word = confirmation(&stage);
    assert_eq!(word["assurance"], "second");
    assert!(word["by"].as_str().is_some_and(|by| by.starts_with("token:bob#")), "{word}");
    assert_eq!(calls(&stage), 1);
    stage.verify();
}

#[test]
fn two_approvers_at_once_are_one() {
    let stage = world("[controls.confirm.minimum]\ndestructive = \"local\"");
    let mut client = plain(&stage);
    let id = client.ask("tools/call", &json!({"name": "drop", "arguments": {}}));
    let waits = one_held(&stage);
    let codes: Vec<Option<i32>> = std::thread::scope(|scope| {
        let decide = |what: &'static str| {
            let (stage, waits) = (&stage, &waits);
            scope.spawn(move || stage.output(&["approvals", what, waits, "--yes"]).status.code())
        };
        [decide("grant"), decide("grant"), decide("grant")].into_iter().map(|one| one.join().expect("ended")).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(reason(&client.answer(&id)), None);
    assert_eq!((calls(&stage), stage.journal().of("approval").count()), (1, 1));
}

#[test]
fn calls_that_nobody_answers_hurt_nobody_else() {
    let stage = world(
        "[controls.quota]\nclient_per_minute = 100000\ndestructive_per_minute = 100000\n[limits]\nmessages_per_minute = 100000\noffences_per_minute = 100000",
    );
    let mut client = plain(&stage);
    let before = bartizan_tests::process::peak_memory(client.pid());
    let (mut asked, mut busy) = (0, 0);
    for number in 0..1_500 {
        client.send(&json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "drop", "arguments": {"text": format!("{number}")}}}).to_string());
        if number % 50 == 49 {
            for back in number - 49..=number {
                match reason(&client.answer(&json!(back))) {
                    Some("confirm.required") => asked += 1,
                    Some("confirm.busy" | "quota.exceeded" | "serve.share") => busy += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!((asked, asked + busy), (100, 1_500));
    assert_eq!(held(&stage).len(), 100);
    let grown = bartizan_tests::process::peak_memory(client.pid()).saturating_sub(before);
    assert!(grown < 48 * 1024 * 1024, "grew by {grown} bytes");
    let took = within(Duration::from_secs(2), "others are served", || reason(&client.call("look", &json!({}))).is_none());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(calls(&stage), 1);
}

#[test]
fn less_than_a_yes_each_time_for_what_destroys_is_dangerous() {
    let stage = Stage::new("[controls.confirm]\ndestructive = \"session\"");
    let output = stage.output(&["check"]);
    assert!(said(&output).contains("dangerous.destructive_calls"), "{}", said(&output));
    let stage = world("[controls.confirm]\nwrite = \"never\"\n[dangerous]\ndestructive_calls = \"never\"");
    let mut client = plain(&stage);
    for tool in ["drop", "change"] {
        assert_eq!(reason(&client.call(tool, &json!({}))), None, "{tool}");
    }
    assert!(client.said.text().contains("dangerous.destructive_calls"), "{}", client.said.text());
}

/// What `tests/real/install` has put in place.
fn real(path: &str) -> std::path::PathBuf {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| tests.join("../target/real"), std::path::PathBuf::from);
    let found = real.join(path);
    assert!(found.exists(), "the real clients of these tests are not installed in {}; run: tests/real/install", real.display());
    found
}

/// The words that start a driver of a published client, up to what it is to start.
fn driver(name: &str) -> Vec<std::path::PathBuf> {
    let script = |file: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("real/clients").join(file);
    match name {
        "py1" | "py2" => vec![real(&format!("{name}/bin/python")), script(&format!("{name}.py"))],
        _ => vec![real("npm/node_modules/.bin/node"), script(&format!("{name}.mjs"))],
    }
}

/// `bartizan run` for `files`, as a client's configuration has it.
fn server_command(stage: &Stage) -> Vec<std::ffi::OsString> {
    let mut words = vec!["run".to_owned(), "--name".to_owned(), "files".to_owned(), "--".to_owned()];
    words.extend(stage.command("files"));
    let command = stage.bartizan(&words);
    std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned).collect()
}

fn drive(stage: &Stage, client: &str, plan: &Value) -> Value {
    let words = driver(client);
    let output = std::process::Command::new(&words[0])
        .args(&words[1..])
        .arg("--stdio")
        .args(server_command(stage))
        .env("PLAN", plan.to_string())
        .output()
        .expect("the client");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{client}: {error}: {}", said(&output)))
}

/// What a client's person says to what destroys and to what writes, and what comes of it.
fn published(client: &str, era: &str, protocol: &str, agree: bool) {
    let stage = world("");
    let call = |tool: &str| json!({"name": tool, "arguments": {"text": "<b>all</b>"}});
    let plan = json!({"era": era, "answer": {"elicitation": {"agree": agree}}, "call": [call("look"), call("drop"), call("change"), call("change")]});
    let told = drive(&stage, client, &plan);
    assert_eq!(told["protocol"], protocol, "{client}: {told}");
    let failed: Vec<bool> = told["calls"].as_array().expect("calls").iter().map(|call| call["isError"] == true).collect();
    assert_eq!(failed, [false, !agree, !agree, !agree], "{client} {era}: {told}");
    let asked = told["asked"].as_array().expect("questions");
    assert_eq!(asked.len(), if agree { 2 } else { 3 }, "{client} {era}: {told}");
    let message = asked[0]["message"].as_str().expect("a text");
    assert!(message.contains("tool: drop") && message.contains("\\u{3c}b\\u{3e}all") && !message.contains("<b>"), "{message}");
    assert_eq!(calls(&stage), if agree { 4 } else { 1 }, "{client} {era}");
    let channel = if era == "modern" { "input-required" } else { "elicitation" };
    let journal = stage.journal();
    let word = journal.of("closed").map(|closed| journal.whole(closed)).find(|call| call["item"] == "drop" && call["outcome"] != "held");
    let word = word.expect("its record")["confirmation"].clone();
    assert_eq!((&word["answer"], &word["channel"]), (&json!(if agree { "yes" } else { "no" }), &json!(channel)), "{client} {era}");
    stage.verify();
}

#[test]
fn published_clients_of_the_legacy_era_ask_their_people() {
    published("py1", "legacy", "2025-11-25", true);
    published("py1", "legacy", "2025-11-25", false);
    published("ts1", "legacy", "2025-11-25", true);
}

#[test]
fn published_clients_of_the_modern_era_ask_their_people() {
    published("py2", "modern", "2026-07-28", true);
    published("py2", "modern", "2026-07-28", false);
    published("ts2", "modern", "2026-07-28", true);
}

/// A client without any capability, which does what its model would do with the preview.
const COMPLETING: &str = r#"
import asyncio, json, re, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    async with stdio_client(StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        names = lambda listed: [tool.name for tool in listed.tools]
        before = names(await client.list_tools())
        preview = await client.call_tool("drop", {"text": "x"})
        text = preview.content[0].text
        handle = re.search(r'"handle": "([^"]+)"', text).group(1)
        during = names(await client.list_tools())
        done = await client.call_tool("confirm_drop", {"handle": handle})
        again = await client.call_tool("confirm_drop", {"handle": handle})
        after = names(await client.list_tools())
        print(json.dumps({"preview": preview.isError, "before": before, "during": during, "done": done.isError, "again": again.isError, "after": after}))

asyncio.run(main())
"#;

#[test]
fn a_published_client_without_any_capability_completes_a_call() {
    let stage = world("");
    let output =
        std::process::Command::new(real("py1/bin/python")).args(["-c", COMPLETING]).args(server_command(&stage)).output().expect("python");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    let own = json!(["look", "change", "drop"]);
    assert_eq!((&told["before"], &told["after"]), (&own, &own), "{told}");
    assert_eq!(told["during"], json!(["look", "change", "drop", "confirm_drop"]), "{told}");
    assert_eq!((&told["preview"], &told["done"], &told["again"]), (&json!(true), &json!(false), &json!(true)), "{told}");
    assert_eq!(calls(&stage), 1);
    stage.verify();
}
