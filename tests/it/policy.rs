//! Policy: its commands, its recipes, its reload, and what a client sees of it.

use std::time::Duration;

use bartizan_tests::gateway::Stage;
use bartizan_tests::process::eventually;
use bartizan_tests::script::{Act, Script};
use serde_json::{Value, json};

const RULES: &str = r#"@id("ops")
permit (principal, action, resource) when { principal has label && principal.label == "ops" };
@id("readers")
permit (principal, action, resource) when { principal has label && principal.label == "reader" && resource.effect == "read" };
@id("srv-only")
permit (principal, action == Action::"call", resource == Tool::"files/a")
when { principal has label && principal.label == "guest" && context.arguments.hasTag("text") && context.arguments.getTag("text") like "/srv/*" };
@id("nobody-destroys")
forbid (principal, action, resource) when { resource.effect == "destructive" };
"#;

/// A world with tools `a` (read), `b` (write), `c` (destructive), and these rules.
fn stage(rules: &str) -> Stage {
    let stage = Stage::new("[policy]\nfiles = [\"own.cedar\"]\n[controls.confirm]\nwrite = \"never\"");
    std::fs::write(stage.path("own.cedar"), rules).expect("writable");
    stage.server("files", &Script::with_tools(["a", "b", "c"]));
    stage.approve(&["files"], &["a=read", "b=write", "c=destructive"]);
    stage.without_ways_out();
    stage
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["result"]["tools"].as_array().unwrap_or_else(|| panic!("{list}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// Principal, tool, argument, expectation; what the command says, what the gateway does, and what is listed.
#[test]
fn principals_tools_and_expectations() {
    let stage = stage(RULES);
    let gateway = stage.serve();
    let listed = [("ops", vec!["a", "b"]), ("reader", vec!["a"]), ("guest", vec!["a"]), ("stranger", vec![])];
    let expected = |who: &str, tool: &str, text: &str| match (who, tool) {
        (_, "c") => "policy.forbid",
        ("ops", _) | ("reader", "a") => "permit",
        ("guest", "a") if text.starts_with("/srv/") => "permit",
        _ => "policy.unpermitted",
    };
    for (who, listed) in listed {
        let token = stage.token(who, &[]).text;
        let visitor = gateway.visitor(&token).at("/mcp/files").initialize();
        let list: Value = serde_json::from_slice(&visitor.clone().request("tools/list", &json!({})).body).expect("json");
        assert_eq!(names(&list), listed, "{who}");
        for tool in ["a", "b", "c"] {
            for text in ["/srv/x", "/etc/x"] {
                let expected = expected(who, tool, text);
                let arguments = json!({"text": text}).to_string();
                let name = format!("files/{tool}");
                let said = stage.output(&[
                    "policy",
                    "explain",
                    "--client",
                    &format!("token:{who}#0"),
                    "--tool",
                    &name,
                    "--arguments",
                    &arguments,
                    "--format",
                    "json",
                ]);
                let said: Value = serde_json::from_slice(&said.stdout).expect("json");
                assert_eq!(said["permitted"], expected == "permit", "{who} {tool} {text}: {said}");
                assert_eq!(said["reason"].as_str().unwrap_or("permit"), expected, "{who} {tool} {text}: {said}");
                let answer = visitor.clone().request("tools/call", &json!({"name": tool, "arguments": {"text": text}}));
                let answer = String::from_utf8_lossy(&answer.body).into_owned();
                // What is in no list is not there.
                let seen = if listed.contains(&tool) { expected } else { "catalog.unknown" };
                assert_eq!(answer.contains("\"reason\""), expected != "permit", "{who} {tool} {text}: {answer}");
                assert!(expected == "permit" || answer.contains(seen), "{who} {tool} {text}: {answer}");
            }
        }
    }
}

/// What a rule hides is answered like what does not exist, byte for byte.
#[test]
fn what_a_rule_hides_looks_like_the_missing() {
    let stage = stage(RULES);
    let gateway = stage.serve();
    let token = stage.token("reader", &[]).text;
    let visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    let call = |name: &str| {
        let answer = visitor.clone().request("tools/call", &json!({"name": name, "arguments": {"undeclared": 1}}));
        (answer.status(), String::from_utf8_lossy(&answer.body).into_owned())
    };
    let missing = call("nothing");
    assert!(missing.1.contains("catalog.unknown"), "{missing:?}");
    assert_eq!(call("b"), missing);
    assert_eq!(call("c"), missing);
}

/// Every recipe of the documentation does what it says.
#[test]
fn recipes_are_tested_with_their_cases() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md")).expect("docs/policy.md");
    let recipes = page.split_once("\n## Recipes").expect("recipes").1;
    let stage = Stage::new("[policy]\nfiles = [\"own.cedar\"]");
    let block = |recipe: &str, kind: &str| {
        let rest = recipe.split_once(&format!("```{kind}\n")).unwrap_or_else(|| panic!("no {kind} in {recipe}")).1;
        rest.split_once("```").expect("an end").0.to_owned()
    };
    let mut count = 0;
    for recipe in recipes.split("\n### ").skip(1) {
        std::fs::write(stage.path("own.cedar"), block(recipe, "cedar")).expect("writable");
        std::fs::write(stage.path("cases.toml"), block(recipe, "toml")).expect("writable");
        let file = stage.path("cases.toml").display().to_string();
        let output = stage.output(&["policy", "test", &file]);
        assert!(
            output.status.success(),
            "{recipe}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        count += 1;
    }
    assert!(count >= 7, "{count} recipes");
}

#[test]
fn a_failing_case_ends_with_one() {
    let stage = stage(RULES);
    let file = stage.path("cases.toml");
    let case = |expect: &str| {
        format!("[[case]]\nwhat = \"w\"\nwho = {{ client = \"token:reader#0\" }}\ntool = \"files/b\"\nexpect = \"{expect}\"\n")
    };
    let run = |text: String| {
        std::fs::write(&file, text).expect("writable");
        let output = stage.output(&["policy", "test", &file.display().to_string()]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(case("policy.unpermitted")).0, Some(0));
    let (code, text) = run(case("permit"));
    assert!(code == Some(1) && text.contains("FAILED") && text.contains("policy.unpermitted"), "{text}");
    assert_eq!(run(case("perhaps")).0, Some(2));
    assert_eq!(run(case("deny").replace("tool", "tol")).0, Some(2));
    assert_eq!(run(case("deny") + "rules = [\"ops\"]\n").0, Some(1), "another rule decided");
}

#[test]
fn explain_names_rules_and_what_would_have_to_change() {
    let stage = stage(RULES);
    let explain = |words: &[&str]| {
        let output = stage.output(&[&["policy", "explain"], words].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = explain(&["--client", "token:ops#0", "--tool", "files/b"]);
    assert!(code == Some(0) && text.contains("decided by permit ops (own.cedar:1)"), "{text}");
    let (code, text) = explain(&["--client", "token:ops#0", "--tool", "files/c"]);
    assert!(code == Some(1) && text.contains("forbid nobody-destroys (own.cedar:8)") && text.contains("must not match"), "{text}");
    let (code, text) = explain(&["--client", "token:reader#0", "--tool", "files/b"]);
    assert!(code == Some(1) && text.contains("For readers (own.cedar:3)") && text.contains("resource.effect == \"read\""), "{text}");
    assert!(text.contains("not in this client's lists"), "{text}");
    assert_eq!(explain(&["--client", "token:reader#0", "--tool", "files/nothing"]).0, Some(2));
    assert_eq!(explain(&["--client", "token:reader#0", "--tool", "files/a", "--arguments", "{"]).0, Some(2));
    assert!(stage.done(&["policy", "schema"]).contains("entity Server"));
}

#[test]
fn coverage_finds_what_rules_leave_out() {
    let stage = stage(RULES);
    let cover = || {
        let output = stage.output(&["policy", "coverage", "--format", "json"]);
        let found: Value = serde_json::from_slice(&output.stdout).expect("json");
        (output.status.code(), found)
    };
    let strange = || {
        let output = stage.output(&["check", "--offline", "--format", "json"]);
        let items: Vec<Value> = serde_json::from_slice(&output.stdout).expect("json");
        let policy = items.iter().filter(|item| item["item"] == "policy").map(|item| item["evidence"].to_string());
        policy.collect::<Vec<_>>()
    };
    assert_eq!(strange(), [""; 0]);
    let (code, found) = cover();
    assert_eq!((code, &found["unmentioned"], &found["idle"], &found["unknown"]), (Some(0), &json!([]), &json!([]), &json!([])), "{found}");
    let rules = "@id(\"reads\") permit (principal, action, resource) when { resource.effect == \"read\" };
        @id(\"never\") permit (principal, action, resource) when { resource.owner == \"x\" };
        @id(\"typo\") forbid (principal, action, resource == Tool::\"files/aa\");
        @id(\"c\") forbid (principal, action, resource == Tool::\"files/c\");";
    std::fs::write(stage.path("own.cedar"), rules).expect("writable");
    let (code, found) = cover();
    assert_eq!(code, Some(1));
    assert_eq!(found["unmentioned"], json!(["tool files/b"]), "{found}");
    assert_eq!(found["forbidden"], json!(["tool files/c"]), "{found}");
    let idle: Vec<&str> = found["idle"].as_array().expect("a list").iter().filter_map(|rule| rule["rule"].as_str()).collect();
    assert_eq!(idle, ["never", "typo"], "{found}");
    assert_eq!(found["unknown"][0]["name"], "Tool::\"files/aa\"");
    let said = strange();
    assert!(said.len() == 1 && said[0].contains("files/aa") && said[0].contains("typo"), "{said:?}");
}

#[test]
fn diff_tells_what_is_granted_and_taken_away() {
    let stage = stage(RULES);
    let new = RULES.replace("resource.effect == \"read\"", "resource.effect == \"write\"").replace("/srv/*", "/srv2/*");
    std::fs::write(stage.path("new.cedar"), new).expect("writable");
    let file = stage.path("new.cedar").display().to_string();
    let output =
        stage.output(&["policy", "diff", "--client", "token:guest#0", "--client", "token:reader#0", "--to", &file, "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).expect("json");
    let told: Vec<String> = found
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| {
            format!(
                "{} {} {}",
                change["change"].as_str().expect("text"),
                change["who"].as_str().expect("text"),
                change["target"].as_str().expect("text")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "changes when client token:guest#0 tool files/a",
            "takes away client token:reader#0 tool files/a",
            "grants client token:reader#0 tool files/b"
        ]
    );
    let same = stage.path("own.cedar").display().to_string();
    assert_eq!(stage.output(&["policy", "diff", "--to", &same]).status.code(), Some(0));
    // Another lock file: nothing of it is approved, so everything is taken away.
    let lock = std::fs::read_to_string(stage.path("bartizan.lock")).expect("a lock file");
    std::fs::write(stage.path("other.lock"), lock.replace("effect = \"destructive\"", "effect = \"read\"")).expect("writable");
    let other = stage.path("other.lock").display().to_string();
    let output = stage.output(&["policy", "diff", "--client", "token:ops#0", "--lock-file", &other]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("grants client token:ops#0 call tool files/c (no → yes)"), "{text}");
}

/// A good change holds from then on and is recorded; a bad one changes nothing and is told.
#[test]
fn policy_files_are_read_again() {
    let stage = stage(RULES);
    let gateway = stage.serve();
    let token = stage.token("late", &[]).text;
    let visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    let may = || {
        let answer = visitor.clone().request("tools/call", &json!({"name": "b", "arguments": {}}));
        !String::from_utf8_lossy(&answer.body).contains("\"reason\"")
    };
    let event = |name: &str| stage.journal().of(name).next().is_some();
    assert!(!may());
    std::fs::write(
        stage.path("own.cedar"),
        "permit (principal, action, resource) when { principal has label && principal.label == \"late\" };",
    )
    .expect("writable");
    eventually("the new policy holds", may);
    assert!(event("policy"));
    std::fs::write(stage.path("own.cedar"), "permit (principal").expect("writable");
    eventually("the bad policy is told", || event("policy-refused"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(may(), "the old policy stays in force");
    let changed = stage.journal().of("policy").next().cloned().expect("an event");
    assert!(changed["old"] != changed["new"] && changed["new"].is_string(), "{changed}");
}

/// What was read in one session, at one endpoint, with one token, is known in every other of the same principal.
#[test]
fn labels_follow_the_principal_and_not_its_session_endpoint_or_token() {
    let stage = stage(
        r#"permit (principal, action, resource);
forbid (principal, action == Action::"call", resource) when { resource.effect == "write" && context.labels.contains("untrusted") };"#,
    );
    let gateway = stage.serve();
    let token = stage.token("ops", &[]);
    let call = |token: &str, place: &str, name: &str| {
        let answer = gateway.visitor(token).at(place).initialize().request("tools/call", &json!({"name": name, "arguments": {}}));
        String::from_utf8_lossy(&answer.body).into_owned()
    };
    let denied = |answer: String| answer.contains("policy.forbid");
    assert!(!denied(call(&token.text, "/mcp/files", "b")), "nothing was read");
    call(&token.text, "/mcp/files", "a");
    assert!(denied(call(&token.text, "/mcp/files", "b")), "another session");
    assert!(denied(call(&token.text, "/mcp", "files__b")), "another endpoint");
    let rotated = String::from_utf8(stage.output(&["token", "rotate", &token.id]).stdout).expect("text");
    assert!(denied(call(rotated.trim(), "/mcp/files", "b")), "another token of the same label");
    let other = stage.token("other", &[]).text;
    assert!(!denied(call(&other, "/mcp/files", "b")), "another principal");
}

/// While a server is down, what is hidden is still told like what does not exist.
#[test]
fn what_is_hidden_looks_like_the_missing_while_its_server_is_down() {
    let stage = stage(RULES);
    let mut down = Script::with_tools(["a", "b", "c"]);
    down.on.insert("start".to_owned(), vec![Act::Exit(1)]);
    stage.script("files", &down);
    let gateway = stage.serve();
    let token = stage.token("reader", &[]).text;
    let visitor = gateway.visitor(&token).at("/mcp").initialize();
    let call = |name: &str| {
        let answer = visitor.clone().request("tools/call", &json!({"name": name, "arguments": {}}));
        (answer.status(), String::from_utf8_lossy(&answer.body).into_owned())
    };
    let missing = call("files__nothing");
    assert!(missing.1.contains("catalog.unknown"), "{missing:?}");
    assert!(call("files__a").1.contains("upstream."), "what is seen is told of");
    assert_eq!(call("files__b"), missing);
}

/// A rule about the client's network holds for what a server asks, too.
#[test]
fn a_servers_question_comes_with_the_peer_of_its_call() {
    let stage = stage(
        r#"permit (principal, action, resource);
forbid (principal, action == Action::"ask-elicit", resource) when { context has peer && context.peer.isLoopback() };"#,
    );
    let mut script = Script::with_tools(["a", "b", "c"]);
    let ask = r#"{"jsonrpc":"2.0","id":71,"method":"elicitation/create","params":{"message":"Which?","requestedSchema":{"type":"object","properties":{}}}}"#;
    script.on.insert("tools/call a".to_owned(), vec![Act::Line(ask.to_owned()), Act::Wait(300), Act::Answer(json!({"content": []}))]);
    stage.script("files", &script);
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&stage.token("ops", &[]).text).at("/mcp/files").initialize();
    drop(visitor.request("tools/call", &json!({"name": "a", "arguments": {}})));
    let heard = || stage.journal().0.into_iter().find(|line| line["event"] == "heard" && line["method"] == "elicitation/create");
    eventually("the question is recorded", || heard().is_some());
    assert_eq!(heard().expect("a line")["detail"], "policy.forbid");
}
