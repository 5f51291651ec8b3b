//! What servers say of their own accord: bounded, told once, answered, and over when the conversation is.

use std::time::{Duration, Instant};

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{self, eventually, peak_memory};
use bartizan_tests::script::{self, Act, Script};
use serde_json::{Value, json};

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

fn elicit(id: &str) -> Act {
    Act::Line(format!(
        r#"{{"jsonrpc":"2.0","id":"{id}","method":"elicitation/create","params":{{"message":"Your name?","requestedSchema":{{"type":"object","properties":{{}}}}}}}}"#
    ))
}

/// How often a server received something.
fn count(stage: &Stage, method: &str) -> usize {
    stage.received("files").iter().filter(|received| received.method() == method).count()
}

/// How often the gateway said something.
fn said(client: &Client, words: &str) -> usize {
    client.said.text().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn pings_without_end_are_not_answered_without_end() {
    let flood = Act::Repeat { line: r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(), times: 100_000 };
    let stage = Stage::with_server("files", &Script::with_tools(["bad", "a"]).on("tools/call bad", vec![flood]));
    let mut client = stage.run("files");
    client.initialize();
    let refused = client.call("bad", &json!({}));
    assert_eq!(reason(&refused), Some("upstream.unreachable"), "who does not stop is cut off: {refused}");
    assert!(reason(&client.call("a", &json!({}))).is_none(), "it is not started again");
    assert!(count(&stage, "result") < 500, "{} pings are answered", count(&stage, "result"));
    assert_eq!((said(&client, "too many requests at once"), said(&client, "is cut off")), (1, 1), "{}", client.said.text());
    assert!(peak_memory(client.pid()) < 200 << 20);
    assert!(client.leave().success());
    stage.verify();
}

/// A few are, as the protocol has it.
#[test]
fn a_ping_is_answered() {
    let ping = Act::Line(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#.to_owned());
    let script = Script::with_tools(["bad"])
        .on("tools/call bad", vec![ping, Act::Until("ponged".to_owned()), Act::Answer(script::text("done"))])
        .on("result", vec![Act::Touch("ponged".to_owned())]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!(text(&client.call("bad", &json!({}))), "done");
    assert!(client.leave().success());
}

#[test]
fn a_flood_of_log_messages_and_progress_is_cut_to_a_rate_and_the_answer_comes() {
    for line in [
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$TOKEN,"progress":1}}"#,
    ] {
        let flood = Act::Repeat { line: line.to_owned(), times: 100_000 };
        let script = Script::with_tools(["bad"]).on("tools/call bad", vec![flood, Act::Answer(script::text("done"))]);
        let stage = Stage::with_server("files", &script);
        let mut client = stage.run("files");
        client.initialize();
        let started = Instant::now();
        let answer = client.request("tools/call", &json!({"name": "bad", "_meta": {"progressToken": "mine"}}));
        assert_eq!(text(&answer), "done");
        let most = 1000 + 200 * usize::try_from(started.elapsed().as_secs() + 1).expect("small");
        let heard = client.so_far().len();
        assert!((1..=most).contains(&heard), "{heard} in {:?}", started.elapsed());
        assert_eq!(said(&client, "too many notifications at once"), 1, "{}", client.said.text());
        assert!(client.leave().success());
        stage.verify();
    }
}

/// Few, and large: what waits for the client is bounded in bytes, too.
#[test]
fn large_notifications_count_for_many() {
    let data = "x".repeat(1 << 20);
    let line = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}}).to_string();
    let flood = Act::Repeat { line, times: 100 };
    let script = Script::with_tools(["bad"]).on("tools/call bad", vec![flood, Act::Answer(script::text("done"))]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    let started = Instant::now();
    assert_eq!(text(&client.call("bad", &json!({}))), "done");
    let most = 15 + 4 * usize::try_from(started.elapsed().as_secs() + 1).expect("small");
    let heard = client.so_far().len();
    assert!((1..=most).contains(&heard), "{heard} in {:?}", started.elapsed());
    assert!(client.leave().success());
    stage.verify();
}

/// A server that says so again and again, and whenever its list is read, and a client that looks every time.
#[test]
fn a_list_that_changes_all_the_time_is_read_at_a_rate() {
    let list = json!({"tools": Script::with_tools(["a"]).tools});
    let script = Script::with_tools(["a"]).on("tools/list", vec![Act::Answer(list), Act::Line(CHANGED.to_owned())]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    let (started, mut looks) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(2) {
        assert_eq!(client.tools(), ["a"]);
        client.heard("notifications/tools/list_changed");
        looks += 1;
    }
    // Five a second, and one more at either end.
    let most = usize::try_from(started.elapsed().as_millis() / 200).expect("small") + 2;
    assert!(count(&stage, "tools/list") <= most, "read {} times in {:?}", count(&stage, "tools/list"), started.elapsed());
    assert!((2..=most).contains(&looks), "told {looks} times");
    assert!(client.leave().success());
}

/// Many who ask at the same time share what is read, however often the list is said to change meanwhile.
#[test]
fn many_changes_within_a_moment_cause_at_most_two_readings() {
    // All the while, and not so fast that nothing else gets done.
    let storm = (0..600).flat_map(|_| [Act::Line(CHANGED.to_owned()), Act::Wait(5)]);
    let acts = [Act::Answer(script::text("done"))].into_iter().chain(storm).collect();
    let script = Script::with_tools(["bad", "a"]).on("tools/call bad", acts);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!(text(&client.call("bad", &json!({}))), "done");
    client.heard("notifications/tools/list_changed");
    stage.forget_log("files");
    let started = Instant::now();
    let ids: Vec<Value> = (0..20).map(|_| client.ask("tools/call", &json!({"name": "a"}))).collect();
    ids.iter().for_each(|id| assert!(reason(&client.answer(id)).is_none()));
    // One for the first who asks, one for all others; more only when asking itself takes longer than what lies between.
    let most = 2 + usize::try_from(started.elapsed().as_millis() / 200).expect("small");
    assert!((1..=most).contains(&count(&stage, "tools/list")), "read {} times", count(&stage, "tools/list"));
    let told = client.so_far().iter().filter(|message| message["method"] == "notifications/tools/list_changed").count();
    assert!(told <= 3, "told {told} times");
    assert!(client.leave().success());
}

/// A session at a server over HTTP whose standalone stream stays open.
fn streaming() -> Script {
    let hello = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
    Script::with_tools(["a"]).on("GET", vec![Act::Line(hello.to_owned()), Act::HungUp("gone".to_owned())])
}

#[test]
fn a_session_that_ends_leaves_no_stream_of_its_server_open() {
    for end in ["DELETE", "TERM"] {
        let stage = Stage::new("");
        let server = stage.http_server("files", &streaming());
        stage.approve_all("files", &streaming());
        let _ = std::fs::remove_file(stage.path("gone"));
        stage.forget_log("files");
        let token = stage.token("t", &[]).text;
        let mut gateway = stage.serve();
        // What looks for drift when the gateway starts leaves no stream either.
        eventually("the look at the start is over", || stage.path("gone").exists());
        std::fs::remove_file(stage.path("gone")).expect("it is there");
        stage.forget_log("files");
        let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
        assert!(reason(&session.request("tools/call", &json!({"name": "a"})).json()).is_none());
        eventually("the stream is open", || stage.received("files").iter().any(|received| received.head.starts_with("GET")));
        assert!(!stage.path("gone").exists());
        if end == "DELETE" {
            assert_eq!(session.send("DELETE", "").status(), 200);
            eventually("nobody reads the stream any more", || stage.path("gone").exists());
            let ended = stage.received("files").iter().any(|received| received.head.starts_with("DELETE"));
            assert!(ended, "the server is not told");
        } else {
            process::signal(gateway.pid(), end);
            assert!(gateway.end().success());
            eventually("nobody reads the stream any more", || stage.path("gone").exists());
        }
        drop(server);
    }
}

/// Who says without end what fits nothing is cut off, over HTTP as elsewhere.
#[test]
fn a_server_that_is_cut_off_is_not_read_any_more() {
    let noise = Act::Repeat { line: r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#.to_owned(), times: 1001 };
    // The last line is the one too many: nothing comes after it that could wake who reads.
    let script = Script::with_tools(["a"]).on("GET", vec![noise, Act::HungUp("gone".to_owned())]);
    let stage = Stage::new("");
    let server = stage.http_server("files", &script);
    stage.approve_all("files", &Script::with_tools(["a"]));
    let _ = std::fs::remove_file(stage.path("gone"));
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let _session = gateway.visitor(&token).at("/mcp/files").initialize();
    eventually("it is cut off", || stage.path("gone").exists());
    drop(server);
}

/// A server whose tool asks the person something and then waits for the answer, whatever it is.
fn asking() -> Script {
    Script::with_tools(["ask", "a"])
        .on("tools/call ask", vec![elicit("e"), Act::Until("answered".to_owned()), Act::Answer(script::text("done"))])
}

fn answers(stage: &Stage) -> Vec<String> {
    stage.reached("files").into_iter().filter(|method| method == "error" || method == "result").collect()
}

#[test]
fn a_question_of_a_call_that_is_given_up_is_refused() {
    let stage = Stage::with_server("files", &asking());
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    let id = client.ask("tools/call", &json!({"name": "ask"}));
    let asked = client.heard("elicitation/create");
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}).to_string());
    eventually("the server is told no", || answers(&stage) == ["error"]);
    // An answer that still comes is late.
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}).to_string());
    assert!(reason(&client.call("a", &json!({}))).is_none());
    assert_eq!(answers(&stage), ["error"]);
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn a_question_of_a_call_that_takes_too_long_is_refused() {
    let stage = Stage::with_server("files", &asking());
    stage.configure("[servers.files]\ntimeout = \"1s\"");
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    assert_eq!(reason(&client.call("ask", &json!({}))), Some("upstream.timeout"));
    eventually("the server is told no", || answers(&stage) == ["error"]);
    assert!(client.leave().success());
    stage.verify();
}

/// A client that answers after the call is over answers a question that was put to it all the same.
#[test]
fn a_question_that_outlives_its_call_is_answered() {
    let script = Script::with_tools(["ask", "a"]).on("tools/call ask", vec![elicit("e"), Act::Answer(script::text("done"))]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    assert_eq!(text(&client.call("ask", &json!({}))), "done");
    let asked = client.heard("elicitation/create");
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}).to_string());
    eventually("the server has its answer", || answers(&stage) == ["result"]);
    assert!(client.leave().success());
    stage.verify();
}

/// The client's answer may not go to the server (here: it cannot be recorded): the server is told no.
#[test]
fn a_question_whose_answer_is_denied_is_refused() {
    let stage = Stage::with_server("files", &asking());
    let mut client = crate::invariants::with_small_disk(&stage, 16);
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    client.ask("tools/call", &json!({"name": "ask"}));
    let asked = client.heard("elicitation/create");
    let full = (0..60).any(|_| reason(&client.call("a", &json!({}))) == Some("monitor.journal"));
    assert!(full, "the journal never died");
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}).to_string());
    eventually("the server is told no", || answers(&stage) == ["error"]);
    // The call never ends, and there is no journal to verify.
    drop(client);
}

/// Over HTTP what belongs to no call goes to a stream that the client opens. One who does not, or hangs up and does
/// not come back, will not answer.
#[test]
fn a_question_that_nobody_reads_is_refused() {
    let script = Script::with_tools(["a"]).on("notifications/initialized", vec![Act::Until("ask".to_owned()), elicit("e")]);
    let stage = Stage::with_server("files", &script);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let session = || {
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}});
        let mut visitor = gateway.visitor(&token).at("/mcp/files");
        let opened = visitor.request("initialize", &params);
        let id = opened.head.header("mcp-session-id").expect("a session").to_owned();
        let session = visitor.with("Mcp-Session-Id", &id);
        let _ = session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        session
    };
    let _unread = session();
    let read = session();
    let mut stream = read.begin("GET", "");
    assert_eq!(stream.head().expect("a stream").status, 200);
    std::fs::write(stage.path("ask"), "").expect("writable");
    let mut events = stream.events();
    assert!(events.any(|event| event.json()["method"] == "elicitation/create"));
    eventually("who never opened a stream will not answer", || answers(&stage) == ["error"]);
    events.hang_up();
    eventually("who hung up will not answer", || answers(&stage) == ["error", "error"]);
    stage.verify();
}

/// Whoever takes a question back has a place for the next one, however many there were.
#[test]
fn a_question_that_is_taken_back_takes_no_place() {
    let ask = |number: usize| {
        let taken = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"e{number}"}}}}"#);
        [elicit(&format!("e{number}")), Act::Line(taken)]
    };
    let acts =
        (0..70).flat_map(ask).chain([elicit("last"), Act::Until("answered".to_owned()), Act::Answer(script::text("done"))]).collect();
    let script = Script::with_tools(["ask"]).on("tools/call ask", acts).on("result", vec![Act::Touch("answered".to_owned())]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    let id = client.ask("tools/call", &json!({"name": "ask"}));
    let asked: Vec<Value> = (0..71).map(|_| client.heard("elicitation/create")).collect();
    client.send(&json!({"jsonrpc": "2.0", "id": asked[70]["id"], "result": {"action": "decline"}}).to_string());
    assert_eq!(text(&client.answer(&id)), "done");
    assert_eq!(answers(&stage), ["result"]);
    assert!(client.leave().success());
    stage.verify();
}
