//! A call that changes something happens once: after a kill at any moment, over a server that does not answer, beside
//! another one.

use std::time::{Duration, SystemTime};

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{self, eventually};
use bartizan_tests::script::{self, Act, Script};
use serde_json::{Value, json};

const EVERYBODY: &str = "[controls.policy]\ntext = \"permit (principal, action, resource);\"\n[controls.confirm]\nwrite = \"never\"\n";

/// How many gateways are killed; 1,000 with `BARTIZAN_KILLS=1000`.
fn kills() -> usize {
    std::env::var("BARTIZAN_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

/// A stage whose server writes with these tools.
fn stage(script: &Script, tools: &[&str]) -> Stage {
    let stage = Stage::new(EVERYBODY);
    stage.server("files", script);
    let effects: Vec<String> = tools.iter().map(|tool| format!("{tool}=write")).collect();
    stage.approve(&["files"], &effects.iter().map(String::as_str).collect::<Vec<_>>());
    stage.vouch();
    stage.forget("files");
    stage
}

/// How often a text reached the server.
fn arrived(stage: &Stage, text: &str) -> usize {
    let is = |received: &bartizan_tests::gateway::Received| {
        received.message().pointer("/params/arguments/text").and_then(Value::as_str) == Some(text)
    };
    stage.received("files").iter().filter(|received| is(received)).count()
}

fn replayed(answer: &Value) -> bool {
    answer.pointer("/result/_meta/io.github.bartizan-security~1replayed-of").is_some()
}

/// Numbers that nobody chose, and that a failing run shows.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A call of a client whose person says yes to whatever is asked.
fn agreeing(client: &mut Client, tool: &str, text: &str) -> Value {
    let id = client.ask("tools/call", &json!({"name": tool, "arguments": {"text": text}}));
    let first = client.expect(|heard| heard["id"] == id || heard["method"] == "elicitation/create");
    if first["id"] == id {
        return first;
    }
    agree(client, &first);
    client.answer(&id)
}

fn agree(client: &mut Client, question: &Value) {
    let yes = json!({"action": "accept", "content": {"agree": true}});
    client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": yes}).to_string());
}

#[test]
fn a_gateway_that_is_killed_at_any_moment_does_nothing_twice_and_loses_no_record() {
    let script = Script::with_tools(["quick", "slow", "never", "asked"])
        .on("tools/call slow", vec![Act::Wait(3), Act::Answer(script::text("done"))])
        .on("tools/call never", vec![Act::Touch("taken".to_owned())]);
    let stage = stage(&script, &["quick", "slow", "never", "asked"]);
    let lock = std::fs::read_to_string(stage.path("bartizan.lock")).expect("a lock file");
    assert!(lock.contains("name = \"asked\"\n"), "{lock}");
    let lock = lock.replacen("name = \"asked\"\n", "name = \"asked\"\nconfirm = \"always\"\n", 1);
    std::fs::write(stage.path("bartizan.lock"), lock).expect("writable");
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").subsec_nanos();
    let mut dice = Dice(seed.into());
    let tools = ["quick", "slow", "never", "asked", "asked"];
    let mut before: Option<(&str, String)> = None;
    // Of those that a person is asked about, killed before and after the yes.
    let (mut unasked, mut agreed) = (0, 0);
    // Replayed, refused as ambiguous, made now.
    let mut ends = [0_usize; 3];
    for kill in 0..=kills() {
        let mut client = stage.run("files");
        client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
        if let Some((tool, line)) = before.take() {
            let known = arrived(&stage, &line);
            let answer = agreeing(&mut client, tool, &line);
            let times = arrived(&stage, &line);
            let end = match (replayed(&answer), reason(&answer)) {
                (true, _) => 0,
                (false, Some("once.ambiguous")) => 1,
                (false, None) => 2,
                (false, Some(other)) => panic!("seed {seed}, kill {kill}: {other}: {answer}"),
            };
            assert!(times <= 1, "seed {seed}, kill {kill}: {line} of {tool} happened {times} times");
            assert_eq!(times - known, usize::from(end == 2), "seed {seed}, kill {kill}: {answer}");
            if end == 0 {
                assert_eq!(times, 1, "seed {seed}, kill {kill}: an answer to what never happened");
            }
            ends[end] += 1;
        } else {
            // The way to the server is open, so that a kill falls into the call and not before it.
            client.call("quick", &json!({"text": "warm"}));
        }
        if kill == kills() {
            client.leave();
            break;
        }
        let tool = tools[usize::try_from(dice.below(5)).expect("small")];
        // A call that is made now for the first time after a kill is not known to hang.
        let line = format!("line {kill}");
        client.ask("tools/call", &json!({"name": tool, "arguments": {"text": line}}));
        let mut yes = tool != "asked";
        if tool == "asked" && dice.below(3) > 0 {
            let question = client.heard("elicitation/create");
            assert_eq!(arrived(&stage, &line), 0, "seed {seed}, kill {kill}: nobody has agreed yet");
            agree(&mut client, &question);
            (yes, agreed) = (true, agreed + 1);
        } else if tool == "asked" {
            unasked += 1;
        }
        std::thread::sleep(Duration::from_micros(dice.below(12_000)));
        process::signal(client.pid(), "KILL");
        client.end();
        assert!(yes || arrived(&stage, &line) == 0, "seed {seed}, kill {kill}: nobody agreed to {line}");
        before = Some((if tool == "never" && arrived(&stage, &line) == 0 { "quick" } else { tool }, line));
    }
    stage.verify();
    println!(
        "{} kills: {} replayed, {} ambiguous, {} made afterwards; {agreed} after a yes, {unasked} before one",
        kills(),
        ends[0],
        ends[1],
        ends[2]
    );
    let ambiguous = stage.done(&["once", "list"]).lines().filter(|line| line.contains("files/")).count();
    assert!(ambiguous >= ends[1], "{ambiguous} of {}", ends[1]);
}

#[test]
fn what_people_clear_may_be_made_again() {
    let script = Script::with_tools(["write"]).on("tools/call write", vec![Act::Touch("taken".to_owned())]);
    let stage = stage(&script, &["write"]);
    let mut client = stage.run("files");
    client.initialize();
    client.ask("tools/call", &json!({"name": "write", "arguments": {"text": "a"}}));
    eventually("the server has it", || stage.path("taken").exists());
    process::signal(client.pid(), "KILL");
    client.end();
    stage.script("files", &Script::with_tools(["write"]));
    let mut client = stage.run("files");
    client.initialize();
    let refused = client.call("write", &json!({"text": "a"}));
    assert_eq!(reason(&refused), Some("once.ambiguous"));
    let listed: Value = serde_json::from_str(&stage.done(&["once", "list", "--format", "json"])).expect("json");
    let call = listed.pointer("/0/call").and_then(Value::as_str).expect("one").to_owned();
    assert!(!stage.output(&["once", "forget", "0000000000000000"]).status.success());
    stage.done(&["once", "forget", &call]);
    eventually("it is made again", || reason(&client.call("write", &json!({"text": "a"}))).is_none());
    assert_eq!(arrived(&stage, "a"), 2);
    assert!(client.leave().success());
    stage.verify();
    let closed = stage.journal().of("closed").find(|line| line.get("call") == Some(&json!(call))).cloned().expect("closed");
    assert_eq!(closed.get("outcome"), Some(&json!("interrupted")));
}

fn keyed(text: &str) -> Value {
    json!({"name": "write", "arguments": {"text": text}, "_meta": {"io.github.bartizan-security/idempotency-key": "k"}})
}

#[test]
fn a_repeat_waits_for_the_first_and_is_answered_like_it() {
    let acts = vec![Act::Touch("taken".to_owned()), Act::Until("go".to_owned()), Act::Answer(script::text("done"))];
    let stage = stage(&Script::with_tools(["write"]).on("tools/call write", acts), &["write"]);
    let mut client = stage.run("files");
    client.initialize();
    let first = client.ask("tools/call", &keyed("a"));
    eventually("the server has it", || stage.path("taken").exists());
    let again: Vec<Value> = (0..3).map(|_| client.ask("tools/call", &keyed("a"))).collect();
    std::thread::sleep(Duration::from_millis(100));
    std::fs::write(stage.path("go"), "").expect("writable");
    let first = client.answer(&first);
    assert!(text(&first) == "done" && !replayed(&first));
    for id in again {
        let answer = client.answer(&id);
        assert!(text(&answer) == "done" && replayed(&answer), "{answer}");
    }
    assert_eq!(arrived(&stage, "a"), 1);
    assert!(client.leave().success());
    stage.verify();
    let journal = stage.journal();
    let original = journal.of("decided").find(|line| line.get("item") == Some(&json!("write"))).expect("decided").clone();
    let repeats: Vec<&Value> = journal.of("decided").filter_map(|line| line.get("replays")).collect();
    assert_eq!(repeats, vec![original.get("call").expect("a number"); 3], "every repeat says of what");
}

#[test]
fn what_still_runs_is_not_waited_for_without_end() {
    let script = Script::with_tools(["write"]).on("tools/call write", vec![Act::Touch("taken".to_owned())]);
    let stage = stage(&script, &["write"]);
    stage.configure("[controls.once]\nwait_seconds = 0");
    let mut client = stage.run("files");
    client.initialize();
    let first = client.ask("tools/call", &keyed("a"));
    eventually("the server has it", || stage.path("taken").exists());
    assert_eq!(reason(&client.request("tools/call", &keyed("a"))), Some("once.in-flight"));
    // What the client takes back went out all the same.
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": first}}).to_string());
    eventually("it is ambiguous", || reason(&client.request("tools/call", &keyed("a"))) == Some("once.ambiguous"));
    assert_eq!(arrived(&stage, "a"), 1);
    assert!(client.leave().success());
    stage.verify();
}

/// A gateway before a server over HTTP that answers calls like this.
fn over_http(answer: &str) -> (Stage, impl Drop + use<>) {
    let script = Script::with_tools(["write"]).on("tools/call write", vec![Act::Http(answer.to_owned())]);
    let stage = Stage::new(EVERYBODY);
    let server = stage.http_server("files", &Script::with_tools(["write"]));
    stage.approve(&["files"], &["write=write"]);
    stage.vouch();
    stage.script("files", &script);
    stage.configure("[limits]\ncircuit_failures = 10000\noffences_per_minute = 10000\n[controls.quota]\nwrite_per_minute = 10000\nclient_per_minute = 100000");
    (stage, server)
}

fn visit(stage: &Stage, calls: usize, params: impl Fn(usize) -> Value) -> Vec<Option<String>> {
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    (0..calls).map(|call| reason(&visitor.request("tools/call", &params(call)).json()).map(str::to_owned)).collect()
}

#[test]
fn a_server_over_http_that_declines_may_be_asked_again_and_one_that_breaks_may_not() {
    let answer = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let (stage, _server) = over_http(&answer("503 Service Unavailable"));
    let reasons = visit(&stage, 2, |_| keyed("a"));
    assert_eq!(reasons, [Some("upstream.invalid".to_owned()), Some("once.ambiguous".to_owned())]);
    let (stage, server) = over_http(&answer("429 Too Many Requests"));
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    let mut call = |text: &str| reason(&visitor.request("tools/call", &keyed(text)).json()).map(str::to_owned);
    assert_eq!([call("a"), call("a")], [const { "upstream.invalid" }; 2].map(|reason| Some(reason.to_owned())));
    drop(server);
    let gone = [call("b"), call("b")];
    assert!(gone.iter().all(|reason| reason.as_deref().is_some_and(|reason| reason.starts_with("upstream."))), "{gone:?}");
    assert!(stage.done(&["once", "list"]).contains("No call"));
}

#[test]
fn a_client_whose_calls_get_no_answer_runs_out_of_room_and_nobody_else() {
    let (stage, _server) = over_http("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    stage.configure("[controls.once]\nopen_calls = 20");
    let reasons = visit(&stage, 22, |call| json!({"name": "write", "arguments": {"text": call.to_string()}}));
    let full = |reason: &&Option<String>| reason.as_deref() == Some("once.full");
    assert_eq!((reasons.iter().filter(full).count(), reasons.last().filter(full).is_some()), (2, true), "{:?}", reasons.first());
}

#[test]
fn what_cannot_be_read_stops_writes_and_no_reads() {
    let stage = stage(&Script::with_tools(["write", "read"]), &["write"]);
    let directory = stage.state().join("once");
    std::fs::create_dir_all(&directory).expect("writable");
    std::fs::write(directory.join("20200101T000000.000Z-1.jsonl"), "{\"seq\":1}\n").expect("writable");
    let mut client: Client = stage.run("files");
    client.initialize();
    assert_eq!(reason(&client.call("write", &json!({"text": "a"}))), Some("once.record"));
    assert_eq!(reason(&client.call("read", &json!({"text": "a"}))), None);
    assert_eq!(arrived(&stage, "a"), 1);
    assert!(client.leave().success());
    stage.verify();
}
