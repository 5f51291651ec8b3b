//! Bad input from either side. After each piece of it the gateway still answers a good call, nobody else
//! waits, the journal verifies, and every message has exactly one end in it.

use std::time::{Duration, Instant};

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{eventually, peak_memory, runs};
use bartizan_tests::script::{self, Act, Era, Script};
use serde_json::{Value, json};

/// More than a gateway of these tests may ever take.
const MEMORY: u64 = 200 << 20;

/// What clients send that is not understood, and the reason why it is not.
fn messages() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let call =
        |arguments: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{arguments}}}}}"#);
    let with_id = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let mut invalid = call(r#"{"text":"@"}"#).into_bytes();
    let at = invalid.iter().position(|byte| *byte == b'@').expect("there");
    invalid[at] = 0xff;
    let mut rows: Vec<(&'static str, Vec<u8>, &'static str)> = vec![
        ("invalid UTF-8", invalid, "wire.json"),
        ("invalid UTF-8 alone", b"\xfe\xff\x00{".to_vec(), "wire.json"),
        ("17 MiB", call(&format!(r#"{{"text":"{}"}}"#, "x".repeat(17 << 20))).into_bytes(), "wire.size"),
    ];
    let texts: Vec<(&'static str, String, &'static str)> = vec![
        ("a duplicate key at the top", r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(), "wire.json"),
        ("a duplicate key further down", call(r#"{"text":"a","text":"b"}"#), "wire.json"),
        ("a duplicate key in disguise", call(r#"{"text":"a","te\u0078t":"b"}"#), "wire.json"),
        ("a duplicate key in an array", call(r#"{"text":[[{"k":1,"k":1}]]}"#), "wire.json"),
        ("a high surrogate alone", call(r#"{"text":"\ud800"}"#), "wire.json"),
        ("a low surrogate alone", call(r#"{"text":"\udc00x"}"#), "wire.json"),
        ("surrogates in the wrong order", call(r#"{"text":"\udc00\ud800"}"#), "wire.json"),
        ("a surrogate in a key", call(r#"{"\ud800":1}"#), "wire.json"),
        ("129 levels", call(&format!(r#"{{"text":{}{}}}"#, "[".repeat(126), "]".repeat(126))), "wire.depth"),
        ("a hundred thousand levels", "[".repeat(100_000), "wire.depth"),
        ("a number out of range", call(r#"{"text":1e999}"#), "wire.json"),
        ("an integer out of range", call(r#"{"text":123456789012345678901234567890}"#), "wire.json"),
        ("not a number", call(r#"{"text":NaN}"#), "wire.json"),
        ("something after the end", format!("{} {{}}", with_id("1")), "wire.json"),
        ("something before the beginning", format!("\u{feff}{}", with_id("1")), "wire.json"),
        ("half a message", r#"{"jsonrpc":"2.0","id":1,"met"#.to_owned(), "wire.json"),
        ("a raw control character", call("{\"text\":\"a\u{1}b\"}"), "wire.json"),
        ("a comment", format!("// hello\u{b}{}", with_id("1")), "wire.json"),
        ("a fractional id", with_id("1.5"), "wire.envelope"),
        ("a null id", with_id("null"), "wire.envelope"),
        ("an id that is an array", with_id("[1]"), "wire.envelope"),
        ("an id that is an object", with_id(r#"{"a":1}"#), "wire.envelope"),
        ("an id that is true", with_id("true"), "wire.envelope"),
        ("an array where none is legal", format!("[{}]", with_id("1")), "wire.batch"),
        ("an empty array", "[]".to_owned(), "wire.batch"),
        ("parameters in an array", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#.to_owned(), "wire.envelope"),
        ("arguments in an array", call("[1]"), "wire.params"),
        ("a member of nobody's", r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#.to_owned(), "wire.envelope"),
        ("result and method", r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#.to_owned(), "wire.envelope"),
        ("result and error", r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}"#.to_owned(), "wire.envelope"),
        ("another JSON-RPC", r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#.to_owned(), "wire.envelope"),
        ("a notification with an id", r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#.to_owned(), "wire.envelope"),
        ("a request without an id", r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#.to_owned(), "wire.envelope"),
        ("an unknown method", r#"{"jsonrpc":"2.0","id":1,"method":"tools/destroy"}"#.to_owned(), "wire.method"),
        ("an unknown notification", r#"{"jsonrpc":"2.0","method":"notifications/vendor.example"}"#.to_owned(), "wire.method"),
        ("a method of servers", r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#.to_owned(), "wire.method"),
        ("an unknown extension", r#"{"jsonrpc":"2.0","id":1,"method":"vendor.example/do"}"#.to_owned(), "wire.method"),
        ("a response to a request never sent", r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#.to_owned(), "wire.unsolicited"),
        (
            "an error to a request never sent",
            r#"{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"x"}}"#.to_owned(),
            "wire.unsolicited",
        ),
    ];
    rows.extend(texts.into_iter().map(|(what, text, reason)| (what, text.into_bytes(), reason)));
    rows
}

/// The reasons of all calls that were refused so far.
fn refusals(stage: &Stage) -> Vec<String> {
    stage.journal().of("closed").filter_map(|line| line["reason"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_a_client_says_badly_is_refused_and_recorded() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    // The good call after each bad message is not what is counted here.
    stage.configure("[controls.quota]\nread_per_minute = 10000\nclient_per_minute = 10000");
    let mut client = stage.run("files");
    client.initialize();
    for (count, (what, bytes, expected)) in messages().into_iter().enumerate() {
        client.send_bytes(&bytes);
        assert!(reason(&client.call("a", &json!({"text": what}))).is_none(), "{what}: the next call fails");
        eventually(&format!("{what}: refused"), || refusals(&stage).len() > count);
        assert_eq!(refusals(&stage)[count], expected, "{what}");
    }
    // Every answer was to the message that caused it, and said why.
    let answers = client.so_far();
    assert!(answers.iter().all(|answer| reason(answer).is_some_and(|reason| reason.starts_with("wire."))), "{answers:?}");
    assert_eq!(stage.reached("files"), vec!["tools/call"; messages().len()]);
    assert!(peak_memory(client.pid()) < MEMORY);
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn what_is_posted_badly_is_refused_and_blocks_nobody() {
    let script = Script::with_tools(["a", "hang"]).on("tools/call hang", vec![Act::Until("never".to_owned())]);
    let stage = Stage::with_server("files", &script);
    stage.configure("[controls.quota]\nread_per_minute = 10000\nclient_per_minute = 10000");
    let (bad, good) = (stage.token("bad", &[]).text, stage.token("good", &[]).text);
    let gateway = stage.serve();
    let mut other = gateway.visitor(&good).at("/mcp/files").initialize();
    let session = gateway.visitor(&bad).at("/mcp/files").initialize();
    // Somebody else's calls that hang, all the while.
    let _hanging: Vec<_> = (0..20)
        .map(|id| {
            session
                .begin("POST", &json!({"jsonrpc": "2.0", "id": id + 100, "method": "tools/call", "params": {"name": "hang"}}).to_string())
        })
        .collect();
    eventually("they hang", || stage.reached("files").len() == 20);
    let known = refusals(&stage).len();
    for (count, (what, bytes, expected)) in messages().into_iter().enumerate() {
        let mut wire = gateway.dial();
        let head = format!(
            "POST /mcp/files HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {bad}\r\nMcp-Session-Id: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
            gateway.address,
            session.session(),
            bytes.len()
        );
        wire.send(head.as_bytes());
        // A body that is refused by its length may not be taken.
        wire.send(&bytes);
        let response = wire.response().unwrap_or_else(|| panic!("{what}: no response"));
        assert!([200, 202, 400, 404, 413].contains(&response.status()), "{what}: {}", response.status());
        assert_eq!(refusals(&stage).get(known + count).map(String::as_str), Some(expected), "{what}");
        let started = Instant::now();
        assert!(reason(&other.request("tools/call", &json!({"name": "a"})).json()).is_none(), "{what}: somebody else's call fails");
        assert!(started.elapsed() < Duration::from_secs(5), "{what}: somebody else waits");
    }
    assert!(peak_memory(gateway.pid()) < MEMORY);
    drop(gateway);
    // Calls that ran when the gateway was killed are closed by the next one.
    drop(stage.serve());
    stage.verify();
}

#[test]
fn a_line_without_an_end_is_not_kept() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let mut client = stage.run("files");
    client.initialize();
    let part = vec![b'x'; 1 << 20];
    (0..256).for_each(|_| client.send_part(&part));
    client.send("");
    assert_eq!(reason(&client.answer(&Value::Null)), Some("wire.size"));
    assert!(reason(&client.call("a", &json!({}))).is_none());
    assert!(peak_memory(client.pid()) < MEMORY);
    assert!(client.leave().success());
    stage.verify();
}

/// Arguments of a size that exhausts careless readers: as many members, and as long a string, as the corpus has.
#[test]
fn arguments_without_measure_meet_the_size_of_a_message() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let mut client = stage.run("files");
    client.initialize();
    client.send_part(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"#);
    for part in 0..200 {
        let members: String = (0..10_000).map(|member| format!(r#""k{part}-{member}":1,"#)).collect();
        client.send_part(members.as_bytes());
    }
    client.send(r#""last":1}}}"#);
    assert_eq!(reason(&client.answer(&Value::Null)), Some("wire.size"));
    // As many as fit: read, and refused by the bounds of arguments, in time.
    let members: String = (0..200_000).map(|member| format!(r#""k{member}":1,"#)).collect();
    let started = Instant::now();
    client.send(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"a","arguments":{{{members}"last":1}}}}}}"#));
    assert_eq!(reason(&client.answer(&json!(2))), Some("schema.bounds"));
    assert!(started.elapsed() < Duration::from_secs(20), "takes {:?}", started.elapsed());
    assert!(reason(&client.call("a", &json!({}))).is_none());
    assert!(peak_memory(client.pid()) < 2 * MEMORY);
    assert_eq!(stage.reached("files").len(), 1);
    assert!(client.leave().success());
    stage.verify();
}

/// A server that does something in the course of a call of `bad`, and a good tool beside it.
fn misbehaving(acts: Vec<Act>) -> Script {
    Script::with_tools(["bad", "a"]).on("tools/call bad", acts)
}

/// Plays it: the outcome of the bad call, then that all is well. The closure looks at what came of it.
fn play(acts: Vec<Act>, look: impl FnOnce(&Stage, &mut Client, Value)) {
    let stage = Stage::with_server("files", &misbehaving(acts));
    stage.configure("[servers.files]\ntimeout = \"1s\"");
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}, "roots": {}}));
    let answer = client.call("bad", &json!({"text": "x"}));
    assert_eq!(closing_reason(&stage), reason(&answer).map(str::to_owned), "the record says something else than the client was told");
    look(&stage, &mut client, answer);
    let good = client.call("a", &json!({"text": "afterwards"}));
    assert_eq!(text(&good), r#"{"text":"afterwards"}"#, "{good}");
    assert!(peak_memory(client.pid()) < MEMORY);
    assert!(!client.said.text().contains(['\u{1b}', '\u{7}', '\u{9b}']), "control characters reach the terminal");
    assert!(client.leave().success());
    stage.verify();
}

/// The reason that the record of the last call of a tool gives.
fn closing_reason(stage: &Stage) -> Option<String> {
    let journal = stage.journal();
    let closed = journal.of("closed").rfind(|closed| journal.whole(closed)["method"] == "tools/call").expect("a record");
    closed["reason"].as_str().map(str::to_owned)
}

/// The reasons of the messages of the server that were dropped.
fn strays(stage: &Stage) -> Vec<String> {
    stage.journal().of("stray").filter_map(|line| line["reason"].as_str().map(str::to_owned)).collect()
}

fn await_strays(stage: &Stage, expected: &[&str]) {
    eventually("what was dropped is noted", || strays(stage).len() >= expected.len());
    assert_eq!(strays(stage), expected);
}

fn line(text: &str) -> Act {
    Act::Line(text.to_owned())
}

#[test]
fn a_server_that_answers_twice_is_heard_once() {
    play(vec![Act::Answer(script::text("first")), Act::Answer(script::text("second"))], |stage, client, answer| {
        assert_eq!(text(&answer), "first");
        await_strays(stage, &["wire.unsolicited"]);
        assert!(client.so_far().is_empty());
    });
}

#[test]
fn a_server_that_answers_late_answers_nobody() {
    let acts = vec![Act::Until("late".to_owned()), Act::Answer(script::text("too late"))];
    play(acts, |stage, client, answer| {
        assert_eq!(reason(&answer), Some("upstream.timeout"));
        std::fs::write(stage.path("late"), "").expect("writable");
        await_strays(stage, &["wire.unsolicited"]);
        assert!(client.so_far().is_empty());
    });
}

#[test]
fn a_server_that_never_answers_does_not_keep_the_client() {
    play(vec![Act::Wait(0)], |stage, _, answer| {
        assert_eq!(reason(&answer), Some("upstream.timeout"));
        eventually("the server is told", || stage.reached("files").contains(&"notifications/cancelled".to_owned()));
    });
}

#[test]
fn what_a_server_prints_beside_the_protocol_is_dropped() {
    let acts = vec![
        line("Listening on port 3000"),
        line("\u{1b}]0;pwned\u{7}\u{1b}[2J{\"jsonrpc\": \"2.0\", \"id\": $ID, \"result\": {}}"),
        Act::Bytes("fffe00800a".to_owned()),
        line(r#"["not","a","batch"]"#),
        line("null"),
        line(r#"{"jsonrpc":"2.0","id":$ID,"result":{"a":1,"a":2}}"#),
        line(&format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{{"a":{}{}}}}}"#, "[".repeat(127), "]".repeat(127))),
        line(r#"{"jsonrpc":"2.0","id":$ID,"result":{},"error":{"code":1,"message":"x"}}"#),
        line(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#),
        line(r#"{"jsonrpc":"2.0","id":8,"method":"vendor.example/x"}"#),
        Act::Say("\u{1b}[31mred\u{7} and \u{9b}1m more".to_owned()),
        Act::Answer(script::text("the answer")),
    ];
    play(acts, |stage, client, answer| {
        assert_eq!(text(&answer), "the answer");
        await_strays(
            stage,
            &[
                "wire.json",
                "wire.json",
                "wire.json",
                "wire.batch",
                "wire.envelope",
                "wire.json",
                "wire.depth",
                "wire.envelope",
                "wire.method",
                "wire.method",
            ],
        );
        assert!(client.so_far().is_empty());
        let said = client.said.line_with(" more");
        assert!(said.contains("red"), "{said}");
    });
}

#[test]
fn an_answer_that_is_not_understood_is_none() {
    for garbage in [
        r#"{"jsonrpc":"2.0","id":$ID,"result":[]}"#,
        r#"{"jsonrpc":"2.0","id":$ID}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"error":"no"}"#,
        r#"{"id":$ID,"result":{}}"#,
    ] {
        play(vec![line(garbage)], |stage, _, answer| {
            assert!(["upstream.timeout", "upstream.invalid"].contains(&reason(&answer).expect("refused")), "{answer}");
            await_strays(stage, &["wire.envelope"]);
        });
    }
}

#[test]
fn an_id_of_another_type_answers_nobody() {
    let acts = vec![
        line(r#"{"jsonrpc":"2.0","id":"$ID","result":{"content":[{"type":"text","text":"text"}]}}"#),
        line(r#"{"jsonrpc":"2.0","id":$ID.0,"result":{"content":[{"type":"text","text":"fraction"}]}}"#),
        line(r#"{"jsonrpc":"2.0","id":-$ID,"result":{"content":[{"type":"text","text":"negative"}]}}"#),
        line(r#"{"jsonrpc":"2.0","id":null,"result":{"content":[{"type":"text","text":"null"}]}}"#),
        line(r#"{"jsonrpc":"2.0","id":99999,"result":{"content":[{"type":"text","text":"foreign"}]}}"#),
        Act::Answer(script::text("the answer")),
    ];
    play(acts, |stage, client, answer| {
        assert_eq!(text(&answer), "the answer");
        eventually("all are noted", || strays(stage).len() == 5);
        assert!(client.so_far().is_empty());
    });
}

#[test]
fn progress_is_for_whom_it_is() {
    let progress = |token: &str| {
        line(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#))
    };
    let script =
        misbehaving(vec![progress("4711"), progress("\"mine\""), progress("$TOKEN"), progress("null"), Act::Answer(script::text("done"))]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    let answer = client.request("tools/call", &json!({"name": "bad", "_meta": {"progressToken": "mine"}}));
    assert_eq!(text(&answer), "done");
    let heard = client.so_far();
    // On a pipe that all calls share the server is given a token of the gateway's own; the client gets its own back.
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["params"]["progressToken"], "mine");
    await_strays(&stage, &["wire.unsolicited", "wire.unsolicited", "wire.unsolicited"]);
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn a_storm_of_list_changes_is_told_once_until_somebody_looks() {
    let storm = Act::Repeat { line: r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(), times: 100_000 };
    let stage = Stage::with_server("files", &misbehaving(vec![storm, Act::Answer(script::text("done"))]));
    let mut client = stage.run("files");
    client.initialize();
    let started = Instant::now();
    assert_eq!(text(&client.call("bad", &json!({}))), "done");
    let told = client.so_far().len();
    assert!(told <= 3, "{told} times");
    assert!(started.elapsed() < Duration::from_secs(30), "takes {:?}", started.elapsed());
    // Who has looked is told again.
    client.tools();
    assert_eq!(text(&client.call("bad", &json!({}))), "done");
    assert!((1..=3).contains(&client.so_far().len()));
    assert!(peak_memory(client.pid()) < MEMORY);
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn a_server_that_never_stops_talking_is_cut_off() {
    let storm = |line: &str| vec![Act::Repeat { line: line.to_owned(), times: 100_000 }, Act::Answer(script::text("done"))];
    for noise in [
        "noise",
        r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#,
    ] {
        let stage = Stage::with_server("files", &misbehaving(storm(noise)));
        let mut client = stage.run("files");
        client.initialize();
        let answer = client.call("bad", &json!({}));
        assert!(answer["result"].is_object(), "{answer}");
        assert!(reason(&client.call("a", &json!({}))).is_none(), "{noise}: it is not started again");
        assert!(stage.journal().0.len() < 5000, "{noise}: a server can fill the disk");
        assert!(peak_memory(client.pid()) < MEMORY);
        assert!(client.leave().success());
        stage.verify();
    }
}

#[test]
fn an_answer_without_end_is_not_kept() {
    play(vec![Act::Endless(1 << 30)], |stage, client, answer| {
        assert_eq!(reason(&answer), Some("upstream.too-large"));
        assert!(peak_memory(client.pid()) < MEMORY);
        let first = stage.pids("files")[0];
        eventually("who sends it is ended", || !runs(first));
    });
}

#[test]
fn a_server_that_closes_early_fails_its_call_only() {
    for acts in [vec![Act::Exit(0)], vec![Act::Bytes("7b226a736f6e727063223a".to_owned()), Act::Exit(3)], vec![Act::Close]] {
        play(acts, |_, _, answer| assert_eq!(reason(&answer), Some("upstream.unreachable")));
    }
}

#[test]
fn a_name_that_is_offered_twice_is_not_offered() {
    let mut script = Script::with_tools(["a", "twice", "twice"]);
    script.tools[2]["description"] = json!("Another tool of the same name.");
    let stage = Stage::new("");
    stage.server("files", &script);
    stage.approve_all("files", &Script::with_tools(["a"]));
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!(client.tools(), ["a"]);
    assert_eq!(reason(&client.call("twice", &json!({}))), Some("catalog.unknown"));
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn a_list_without_end_is_cut_off_and_takes_no_other_server_down() {
    let stage = Stage::new("");
    let script = Script::with_tools(["a"]);
    for name in ["files", "pages"] {
        stage.server(name, &script);
        stage.approve_all(name, &script);
    }
    let endless = |cursor: &str| {
        script
            .clone()
            .on("tools/list", vec![line(&format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{{"tools":[],"nextCursor":"{cursor}"}}}}"#))])
    };
    let token = stage.token("t", &[]).text;
    for cursor in ["same", "page $ID"] {
        stage.script("pages", &endless(cursor));
        let gateway = stage.serve();
        let mut visitor = gateway.visitor(&token).initialize();
        let list = visitor.request("tools/list", &json!({})).json();
        assert_eq!(list["result"]["tools"].as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(reason(&visitor.request("tools/call", &json!({"name": "pages__a"})).json()), Some("upstream.invalid"));
        assert!(reason(&visitor.request("tools/call", &json!({"name": "files__a"})).json()).is_none());
        assert!(peak_memory(gateway.pid()) < MEMORY);
    }
}

#[test]
fn definitions_that_cannot_be_trusted_are_not_offered() {
    let mut script = Script::with_tools(["a", "no schema", "no header", "two headers", "no pattern", "elsewhere"]);
    script.tools[1]["inputSchema"] = Value::Null;
    script.tools[2]["inputSchema"] = json!({"type": "object", "properties": {"n": {"type": "number", "x-mcp-header": "N"}}});
    script.tools[3]["inputSchema"] = json!({"type": "object", "properties": {"n": {"type": "string", "x-mcp-header": "N"}, "m": {"type": "string", "x-mcp-header": "n"}}});
    script.tools[4]["inputSchema"] = json!({"type": "object", "properties": {"n": {"type": "string", "pattern": "("}}});
    script.tools[5]["inputSchema"] = json!({"type": "object", "properties": {"n": {"$ref": "http://127.0.0.1:9/schema.json"}}});
    let stage = Stage::new("");
    stage.server("files", &script);
    stage.approve(&["files"], &["a=read", "no pattern=read", "elsewhere=read"]);
    let mut client = stage.run("files");
    client.initialize();
    assert!(!client.tools().iter().any(|tool| tool.contains("header") || tool.contains("schema")));
    for (tool, expected) in [
        ("no schema", "catalog.unknown"),
        ("no header", "catalog.unknown"),
        ("two headers", "catalog.unknown"),
        ("no pattern", "schema.uncompilable"),
        ("elsewhere", "schema.uncompilable"),
    ] {
        assert_eq!(reason(&client.call(tool, &json!({"n": "x"}))), Some(expected), "{tool}");
    }
    assert!(reason(&client.call("a", &json!({}))).is_none());
    assert_eq!(stage.reached("files").len(), 1);
    assert!(client.leave().success());
    stage.verify();
}

/// Over HTTP a server has other ways to misbehave. Each row: what it does, and the reason that the client gets.
#[test]
fn what_a_server_says_badly_over_http_fails_its_call_only() {
    let json = |status: &str, body: &str| {
        Act::Http(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    };
    let wrong = r#"{"jsonrpc":"2.0","id":4711,"result":{"content":[]}}"#;
    let event = |text: &str| line(text);
    let rows: Vec<(&str, Vec<Act>, Option<&str>)> = vec![
        ("garbage", vec![json("200 OK", "garbage")], Some("upstream.invalid")),
        (
            "a web page",
            vec![Act::Http(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>".to_owned(),
            )],
            Some("upstream.invalid"),
        ),
        (
            "a redirect",
            vec![Act::Http(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    .to_owned(),
            )],
            Some("upstream.invalid"),
        ),
        (
            "an error of a proxy",
            vec![Act::Http(
                "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad".to_owned(),
            )],
            Some("upstream.invalid"),
        ),
        ("another's answer", vec![json("200 OK", wrong)], Some("upstream.invalid")),
        ("no HTTP", vec![Act::Http("HTTP/nonsense\r\n\r\n".to_owned())], Some("upstream.unreachable")),
        ("nothing", vec![Act::Close], Some("upstream.unreachable")),
        ("silence", vec![Act::Wait(3000), Act::Close], Some("upstream.timeout")),
        (
            "a body without end",
            vec![
                Act::Http("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n".to_owned()),
                Act::Endless(1 << 30),
            ],
            Some("upstream.too-large"),
        ),
        (
            "an event without end",
            vec![Act::Http("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ".to_owned()), Act::Endless(1 << 30)],
            Some("upstream.too-large"),
        ),
        (
            "half a body",
            vec![
                Act::Http("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\"".to_owned()),
                Act::Close,
            ],
            Some("upstream.unreachable"),
        ),
        (
            "a stream that ends before the answer",
            vec![event(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#)],
            Some("upstream.unreachable"),
        ),
        ("an event that is garbage", vec![event("garbage"), Act::Answer(script::text("done"))], Some("upstream.invalid")),
        (
            "another's answer, foreign progress, then its own, twice",
            vec![
                event(wrong),
                event(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"foreign","progress":1}}"#),
                Act::Answer(script::text("done")),
                Act::Answer(script::text("again")),
            ],
            None,
        ),
    ];
    let names: Vec<String> = (0..rows.len()).map(|row| format!("bad{row}")).collect();
    let mut script = Script::with_tools(names.iter().map(String::as_str).chain(["a"]));
    for (name, (_, acts, _)) in names.iter().zip(&rows) {
        script = script.on(&format!("tools/call {name}"), acts.clone());
    }
    let stage = Stage::new("");
    let server = stage.http_server("files", &script);
    stage.configure("[servers.files]\ntimeout = \"2s\"");
    stage.approve_all("files", &script);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
    for (name, (what, _, expected)) in names.iter().zip(&rows) {
        let answer = session.request("tools/call", &json!({"name": name})).json();
        assert_eq!(reason(&answer), *expected, "{what}: {answer}");
        assert_eq!(closing_reason(&stage).as_deref(), *expected, "{what}: the record says something else");
        if expected.is_none() {
            assert_eq!(text(&answer), "done", "{what}");
        }
        assert!(reason(&session.request("tools/call", &json!({"name": "a"})).json()).is_none(), "after {what}");
    }
    assert!(peak_memory(gateway.pid()) < MEMORY, "{} MiB", peak_memory(gateway.pid()) >> 20);
    stage.verify();
    drop(server);
}

/// Many programs greet whoever starts them, on standard output: before there is a conversation, it is noted, too.
#[test]
fn what_a_server_prints_when_it_starts_is_noted_and_does_no_harm() {
    for (times, noted) in [(3, 3), (100_000, 100)] {
        let banner = Act::Repeat { line: "Server is starting...".to_owned(), times };
        let stage = Stage::with_server("files", &Script::with_tools(["a"]).on("start", vec![banner]));
        let mut client = stage.run("files");
        client.initialize();
        assert!(reason(&client.call("a", &json!({}))).is_none());
        await_strays(&stage, &vec!["wire.json"; noted]);
        let said = client.said.text().lines().filter(|line| line.contains("was dropped")).count();
        assert!(said <= noted, "{said} lines in the log");
        assert!(peak_memory(client.pid()) < MEMORY);
        assert!(client.leave().success());
        stage.verify();
    }
}

/// One message may not make the gateway look up millions of names.
#[test]
fn a_listening_names_so_many_resources_and_no_more() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]).era(Era::Modern));
    let mut client = stage.run("files");
    let listen = |many: usize| {
        let uris: Vec<String> = (0..many).map(|number| format!("file:///{number}")).collect();
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        json!({"jsonrpc": "2.0", "id": many, "method": "subscriptions/listen",
            "params": {"notifications": {"resourceSubscriptions": uris}, "_meta": meta}})
        .to_string()
    };
    client.send(&listen(257));
    assert_eq!(reason(&client.answer(&json!(257))), Some("wire.params"));
    assert!(stage.journal().0.iter().all(|line| line["event"] != "unwatched"), "nothing was looked up");
    client.send(&listen(2));
    eventually("fewer are judged one by one", || stage.journal().0.iter().filter(|line| line["event"] == "unwatched").count() == 2);
}

/// What a client says of itself is kept for the session, so it has a bound of its own.
#[test]
fn capabilities_without_measure_are_refused() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let mut client = stage.run("files");
    let capabilities = json!({"experimental": {"x": "y".repeat(70_000)}});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}});
    assert_eq!(reason(&client.request("initialize", &params)), Some("wire.params"));
}

/// A grandchild that holds the server's standard output open does not make a dead server look alive.
#[test]
fn a_server_that_dies_and_leaves_a_grandchild_is_gone() {
    let script = misbehaving(vec![Act::Exit(1)]);
    let stage = Stage::with_server("files", &script);
    let shell = ["sh", "-c", "sleep 600 & echo $! >> orphan.pid; exec \"$@\"", "sh"];
    let command: Vec<String> = shell.into_iter().map(str::to_owned).chain(stage.command("files")).collect();
    let words = |head: &[&str]| head.iter().map(|word| (*word).to_owned()).chain(command.clone()).collect::<Vec<_>>();
    // What starts the server is part of what is approved.
    stage.done(&words(&["approve", "files", "--all", "--yes", "--"]));
    let mut client = Client::start(&mut stage.bartizan(&words(&["run", "--name", "files", "--"])));
    client.initialize();
    let started = Instant::now();
    assert_eq!(reason(&client.call("bad", &json!({}))), Some("upstream.unreachable"));
    assert!(started.elapsed() < Duration::from_secs(20), "noticed only by the deadline of the call: {:?}", started.elapsed());
    assert_eq!(closing_reason(&stage).as_deref(), Some("upstream.unreachable"));
    let orphan = std::fs::read_to_string(stage.path("orphan.pid")).expect("it was started");
    let orphan: u32 = orphan.lines().next().and_then(|pid| pid.parse().ok()).expect("a number");
    eventually("the grandchild is gone", || !runs(orphan));
    assert!(reason(&client.call("a", &json!({}))).is_none(), "it is not started again");
    assert!(client.leave().success());
    stage.verify();
}

/// Over HTTP versions are said in a header, too: one that is not spoken here, or not that of the session.
#[test]
fn a_version_that_is_not_spoken_is_refused_whatever_says_it() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let session = gateway.visitor(&token).at("/mcp/files").initialize();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}});
    for version in ["1999-01-01", "2025-11-25x", "banana", ""] {
        let refused = session.clone().with("MCP-Protocol-Version", version).post(&call);
        assert_eq!((refused.status(), reason(&refused.json())), (400, Some("wire.version")), "{version:?}: {refused:?}");
        assert_eq!(refusals(&stage).last().map(String::as_str), Some("wire.version"), "{version:?}");
    }
    assert_eq!(stage.reached("files"), Vec::<String>::new());
    assert!(reason(&session.post(&call).json()).is_none());
    stage.verify();
}

#[test]
fn an_id_in_use_is_refused_and_another_session_may_use_it() {
    let script = Script::with_tools(["slow"]).on("tools/call slow", vec![Act::Until("go".to_owned()), Act::Answer(script::text("done"))]);
    let stage = Stage::with_server("files", &script);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let (one, two) = (gateway.visitor(&token).at("/mcp/files").initialize(), gateway.visitor(&token).at("/mcp/files").initialize());
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow"}});
    let (mut first, mut other) = (one.begin("POST", &call.to_string()), two.begin("POST", &call.to_string()));
    eventually("both run", || stage.reached("files").len() == 2);
    let again = one.post(&call);
    assert_eq!(reason(&again.json()), Some("wire.id-in-use"));
    std::fs::write(stage.path("go"), "").expect("writable");
    for wire in [&mut first, &mut other] {
        assert_eq!(text(&wire.response().expect("an answer").json()), "done");
    }
    assert_eq!(stage.reached("files").len(), 2);
    stage.verify();
}
