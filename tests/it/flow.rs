//! What was read decides what may leave: labels alone stop the incidents that detectors miss.

use bartizan_tests::corpora;
use bartizan_tests::gateway::Stage;
use bartizan_tests::json::reason;
use bartizan_tests::process::eventually;
use bartizan_tests::script::{self, Act, Script};
use serde_json::{Value, json};

/// Nobody answers questions here, and nobody is asked about writes but on account of what was read.
const EVERYBODY: &str =
    "[controls.policy]\ntext = \"permit (principal, action, resource);\"\n[controls.confirm]\nwrite = \"never\"\ntimeout_seconds = 1\n";

/// A tool of an incident: its name, its effect, and what comes back of it.
type Part = (&'static str, &'static str, Option<&'static str>);

/// The incidents of the corpus in which text of a stranger makes an agent carry private data out, as an operator would
/// have reviewed their tools. No one looks at any text.
const INCIDENTS: &[(&str, &[Part])] = &[
    (
        "supabase-trifecta",
        &[("select_tickets", "read", None), ("select_tokens", "read", Some("private")), ("insert_ticket_message", "write", None)],
    ),
    (
        "github-toxic-flow",
        &[("list_issues", "read", None), ("get_file_contents", "read", Some("private")), ("create_pull_request", "write", None)],
    ),
    (
        "atlassian-living-off-ai",
        &[("get_issue", "read", None), ("search_internal", "read", Some("private")), ("add_comment", "write", None)],
    ),
];

/// Whether a person was waited for because of private and untrusted content together.
fn is_held(stage: &Stage, answer: &Value) -> bool {
    let journal = stage.journal();
    let trail = journal.last_closed().map(|closed| journal.whole(&closed)["trail"].clone());
    let marks = trail.map(|trail| trail.to_string()).unwrap_or_default();
    reason(answer) == Some("confirm.expired") && marks.contains("hold flow.trifecta")
}

/// A stage whose tools are reviewed like this, without any look at contents.
fn stage(parts: &[Part]) -> Stage {
    let stage = Stage::new(EVERYBODY);
    let script = Script::with_tools(parts.iter().map(|(name, ..)| *name));
    stage.server("files", &script);
    let effects: Vec<String> = parts.iter().map(|(name, effect, _)| format!("{name}={effect}")).collect();
    stage.approve(&["files"], &effects.iter().map(String::as_str).collect::<Vec<_>>());
    let lock = stage.path("bartizan.lock");
    let mut text = std::fs::read_to_string(&lock).expect("a lock file");
    for (name, _, returns) in parts {
        let Some(returns) = returns else { continue };
        let line = format!("name = \"{name}\"\n");
        assert!(text.contains(&line), "{text}");
        let (before, after) = text.split_once(&line).expect("there");
        let (effect, rest) = after.split_once('\n').expect("a line");
        text = format!("{before}{line}{effect}\nreturns = \"{returns}\"\n{rest}");
    }
    std::fs::write(&lock, text).expect("writable");
    stage.forget("files");
    stage
}

#[test]
fn the_toxic_flows_of_the_corpus_are_stopped_by_labels_alone() {
    let rows = corpora::rows("dev/incident_scenarios");
    // An incident of this kind that the table does not have would be one that nobody stops.
    let toxic = |json: &bartizan_monitor::wire::json::Json| {
        let class = corpora::text(json, "class");
        class.contains("trifecta") || class == "indirect injection via ticket"
    };
    let mut names: Vec<String> = rows.iter().filter(|row| toxic(row)).map(|row| corpora::text(row, "name")).collect();
    names.sort();
    let mut known: Vec<&str> = INCIDENTS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    for (name, parts) in INCIDENTS {
        let stage = stage(parts);
        let mut client = stage.run("files");
        client.initialize();
        let [first, second, (way_out, ..)] = *parts else { panic!("{name}") };
        for (tool, ..) in [first, second] {
            let answer = client.call(tool, &json!({"text": "ordinary words"}));
            assert_eq!(reason(&answer), None, "{name}: {answer}");
        }
        let sent = client.call(way_out, &json!({"text": "ordinary words"}));
        assert!(is_held(&stage, &sent), "{name}: {sent}");
        assert_eq!(stage.reached("files").iter().filter(|method| *method == "tools/call").count(), 2, "{name}");
        assert!(client.leave().success());
        // A restart washes nothing, a person does.
        let mut client = stage.run("files");
        client.initialize();
        let again = client.call(way_out, &json!({"text": "again"}));
        assert!(is_held(&stage, &again), "{name}: {again}");
        let listed: Value = serde_json::from_str(&stage.done(&["labels", "list", "--format", "json"])).expect("json");
        let who = listed.as_object().and_then(|all| all.keys().next()).expect("one").clone();
        assert!(stage.done(&["labels", "list"]).contains("private since"));
        let explained = stage.output(&["policy", "explain", "--client", &who, "--tool", &format!("files/{way_out}")]);
        let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
        assert!(explained.contains("has read private and untrusted content"), "{name}: {explained}");
        assert!(!stage.output(&["labels", "clear", "--client", "nobody"]).status.success());
        stage.done(&["labels", "clear", "--client", &who]);
        assert_eq!(reason(&client.call(way_out, &json!({"text": "now"}))), None, "{name}");
        assert!(client.leave().success());
        stage.verify();
    }
}

#[test]
fn what_a_server_says_beside_its_answers_carries_the_gravest_label_of_all_that_it_has() {
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a salary"}}"#;
    let parts: &[Part] = &[("read_public", "read", Some("public")), ("read_salaries", "read", Some("private")), ("send", "write", None)];
    let stage = stage(parts);
    let tools: Vec<&str> = parts.iter().map(|(name, ..)| *name).collect();
    // A call of the public tool runs while the private one's text comes as a log line.
    let speaks = vec![Act::Line(log.to_owned()), Act::Answer(script::text("public"))];
    stage.script("files", &Script::with_tools(tools).on("tools/call read_public", speaks));
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!(reason(&client.call("read_public", &json!({"text": "a"}))), None);
    client.heard("notifications/message");
    eventually("the line is labelled", || {
        let listed: Value = serde_json::from_str(&stage.done(&["labels", "list", "--format", "json"])).expect("json");
        listed.as_object().and_then(|all| all.values().next()).is_some_and(|times| times.get("private").is_some())
    });
    let sent = client.call("send", &json!({"text": "a"}));
    assert!(is_held(&stage, &sent), "{sent}");
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn who_vouches_for_all_that_a_server_returns_vouches_for_what_it_says_on_its_own() {
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"started"}}"#;
    for (returns, held) in [("public", None), ("untrusted", Some("flow.untrusted"))] {
        let parts: &[Part] = &[("look", "read", Some(returns)), ("change", "write", Some("public"))];
        let stage = stage(parts);
        let script = Script::with_tools(["look", "change"]);
        stage.script("files", &script.on("notifications/initialized", vec![Act::Line(log.to_owned())]));
        let mut client = stage.run("files");
        client.initialize();
        client.heard("notifications/message");
        assert_eq!(reason(&client.call("change", &json!({"text": "a"}))), held, "{returns}");
        assert!(client.leave().success());
        stage.verify();
    }
}

#[test]
fn who_touches_a_canary_is_suspended_and_told_of() {
    let stage = Stage::new(EVERYBODY);
    stage.server("files", &Script::with_tools(["read"]));
    stage.approve(&["files"], &["read=read"]);
    stage.forget("files");
    std::fs::write(stage.path("canary.txt"), "a-honey-secret-0042").expect("writable");
    stage.configure("[canaries]\nsuspend_client = true\nvalues = { honey = \"${file:canary.txt}\" }");
    let token = stage.token("thief", &[]).text;
    let honest = stage.token("honest", &[]).text;
    let gateway = stage.serve();
    let mut thief = gateway.visitor(&token).at("/mcp/files").initialize();
    let mut other = gateway.visitor(&honest).at("/mcp/files").initialize();
    let call = |text: &str| json!({"name": "read", "arguments": {"text": text}});
    let refused = thief.request("tools/call", &call("take YS1ob25leS1zZWNyZXQtMDA0Mg== along")).json();
    assert_eq!(reason(&refused), Some("canary.touched"));
    eventually("the client is suspended", || {
        let mut again = gateway.visitor(&token).at("/mcp/files");
        let answer = again.request(
            "initialize",
            &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
        );
        reason(&answer.json()) == Some("suspend.stopped")
    });
    assert_eq!(reason(&other.request("tools/call", &call("nothing")).json()), None);
    let note = stage.journal().of("canary").next().cloned().expect("a note");
    assert_eq!((note.get("canary"), note.get("suspended")), (Some(&json!("honey")), Some(&json!(true))));
    assert!(!note.to_string().contains("a-honey-secret"), "the value itself stays inside");
    assert_eq!(stage.reached("files").iter().filter(|method| *method == "tools/call").count(), 1);
}
