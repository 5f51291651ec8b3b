//! What is there for everybody: places, streams, processes, connections, memory. One client that takes more than its
//! share, or does not read, takes nothing from the others.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Served, Visitor, Waited, Wire};
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{self, PATIENCE, connected, end_of, eventually, peak_memory, within};
use bartizan_tests::script::{self, Act, Era, Script};
use serde_json::{Value, json};

const ELICIT: &str = r#"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"Your name?","requestedSchema":{"type":"object","properties":{}}}}"#;

fn call(id: u64, tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}}).to_string()
}

fn hanging() -> Script {
    Script::with_tools(["hang", "a"]).on("tools/call hang", vec![Act::Until("go".to_owned()), Act::Answer(script::text("done"))])
}

#[test]
fn one_principal_leaves_places_for_others() {
    let stage = Stage::with_server("files", &hanging());
    stage.configure("[limits]\nconcurrent_calls = 4\ncalls_per_principal = 2\ncalls_per_session = 2");
    let (mine, yours) = (stage.token("mine", &[]).text, stage.token("yours", &[]).text);
    let gateway = stage.serve();
    let one = gateway.visitor(&mine).at("/mcp/files").initialize();
    let mut two = gateway.visitor(&mine).at("/mcp/files").initialize();
    let mut other = gateway.visitor(&yours).at("/mcp/files").initialize();
    let mut running: Vec<Wire> = (10..12).map(|id| one.begin("POST", &call(id, "hang"))).collect();
    eventually("both run", || stage.reached("files").len() == 2);
    // In another session, too: the share is that of the principal.
    let refused = two.request("tools/call", &json!({"name": "a"})).json();
    assert_eq!(reason(&refused), Some("serve.share"), "{refused}");
    assert!(reason(&other.request("tools/call", &json!({"name": "a"})).json()).is_none(), "somebody else is refused");
    std::fs::write(stage.path("go"), "").expect("writable");
    running.iter_mut().for_each(|wire| assert_eq!(text(&wire.response().expect("an answer").json()), "done"));
    assert!(reason(&two.request("tools/call", &json!({"name": "a"})).json()).is_none(), "what was taken does not come back");
    stage.verify();
}

/// Without a word about it, no principal may take all places.
#[test]
fn the_share_of_a_principal_follows_from_the_places() {
    let stage = Stage::with_server("files", &hanging());
    stage.configure("[limits]\nconcurrent_calls = 8");
    let (mine, yours) = (stage.token("mine", &[]).text, stage.token("yours", &[]).text);
    let gateway = stage.serve();
    let sessions: Vec<Visitor<'_>> = (0..3).map(|_| gateway.visitor(&mine).at("/mcp/files").initialize()).collect();
    let mut other = gateway.visitor(&yours).at("/mcp/files").initialize();
    let mut wires: Vec<Wire> =
        sessions.iter().flat_map(|session| [session.begin("POST", &call(10, "hang")), session.begin("POST", &call(11, "hang"))]).collect();
    eventually("two run", || stage.reached("files").len() == 2);
    assert!(reason(&other.request("tools/call", &json!({"name": "a"})).json()).is_none(), "somebody else is refused");
    std::fs::write(stage.path("go"), "").expect("writable");
    let answers: Vec<Value> = wires.iter_mut().map(|wire| wire.response().expect("an answer").json()).collect();
    assert_eq!(answers.iter().filter(|answer| reason(answer) == Some("serve.share")).count(), 4, "{answers:?}");
}

#[test]
fn who_listens_takes_no_place_of_a_call() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.configure("[limits]\nconcurrent_calls = 1\nstreams_per_principal = 2");
    let (mine, yours) = (stage.token("mine", &[]).text, stage.token("yours", &[]).text);
    let gateway = stage.serve();
    let open = |token: &str| gateway.visitor(token).at("/mcp/files").initialize();
    let mut sessions: Vec<Visitor<'_>> = (0..3).map(|_| open(&mine)).collect();
    let mut streams: Vec<Wire> = sessions[..2].iter().map(|session| session.begin("GET", "")).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(stream.head().expect("a stream").status, 200));
    assert!(reason(&sessions[2].request("tools/call", &json!({"name": "a"})).json()).is_none());
    let refused = sessions[2].send("GET", "");
    assert_eq!(reason(&refused.json()), Some("serve.share"), "{refused:?}");
    let mut theirs = open(&yours).begin("GET", "");
    assert_eq!(theirs.head().expect("a stream").status, 200, "another principal has a count of its own");
    streams.pop().expect("a stream").hang_up();
    eventually("a stream that ended leaves room", || sessions[2].begin("GET", "").head().is_some_and(|head| head.status == 200));
}

/// A `subscriptions/listen` of the modern era.
fn listen(gateway: &Served, token: &str) -> Wire {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"notifications": {"toolsListChanged": true}, "_meta": meta}});
    let visitor = gateway.visitor(token).at("/mcp/files").with("MCP-Protocol-Version", "2026-07-28");
    visitor.with("Mcp-Method", "subscriptions/listen").begin("POST", &body.to_string())
}

#[test]
fn a_subscription_takes_no_place_of_a_call() {
    let script = Script::with_tools(["a"]).era(Era::Modern).on("subscriptions/listen", vec![Act::Wait(0)]);
    let stage = Stage::with_server("files", &script);
    stage.configure("[limits]\nconcurrent_calls = 1\nstreams_per_principal = 2");
    let token = stage.token("t", &[]).text;
    let mut gateway = stage.serve();
    let listening: Vec<Wire> = (0..2).map(|_| listen(&gateway, &token)).collect();
    eventually("both listen", || stage.reached("files").len() == 2);
    let answer = gateway.visitor(&token).at("/mcp/files").modern("tools/call", &json!({"name": "a"})).json();
    assert!(reason(&answer).is_none(), "{answer}");
    assert_eq!(reason(&listen(&gateway, &token).response().expect("an answer").json()), Some("serve.share"));
    // A gateway that ends tells them so, and does not wait for them.
    process::signal(gateway.pid(), "TERM");
    assert!(gateway.end().success());
    for mut wire in listening {
        let ended = wire.response().expect("an end").json();
        assert_eq!(ended["result"]["resultType"], "complete", "{ended}");
    }
    stage.verify();
}

#[test]
fn a_subscription_ends_when_its_server_or_its_client_is_suspended() {
    let script = Script::with_tools(["a"]).era(Era::Modern).on("subscriptions/listen", vec![Act::Wait(0)]);
    let stage = Stage::with_server("files", &script);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    for words in [["--server", "files"], ["--client", "t"]] {
        let before = stage.reached("files").len();
        let mut wire = listen(&gateway, &token);
        eventually("it listens", || stage.reached("files").len() > before);
        stage.done(&[&["suspend"], &words[..]].concat());
        let ended = wire.response().expect("an end").json();
        assert_eq!(reason(&ended), Some("serve.suspended"), "{words:?}: {ended}");
        stage.done(&[&["resume"], &words[..]].concat());
    }
    drop(gateway);
    stage.verify();
}

/// A call that waits for its client's answer to a question would wait for ever if the answer needed a place.
#[test]
fn an_answer_to_a_question_needs_no_place() {
    let script = Script::with_tools(["ask"])
        .on("tools/call ask", vec![Act::Line(ELICIT.to_owned()), Act::Until("answered".to_owned()), Act::Answer(script::text("done"))])
        .on("result", vec![Act::Touch("answered".to_owned())]);
    let stage = Stage::with_server("files", &script);
    stage.configure("[limits]\nconcurrent_calls = 1");
    let mut client = stage.run("files");
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    let id = client.ask("tools/call", &json!({"name": "ask"}));
    let asked = client.heard("elicitation/create");
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}).to_string());
    assert_eq!(text(&client.answer(&id)), "done");
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn one_principal_leaves_processes_for_others() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.configure("[limits]\nchildren_per_server = 2");
    let (mine, yours) = (stage.token("mine", &[]).text, stage.token("yours", &[]).text);
    let gateway = stage.serve();
    let first = gateway.visitor(&mine).at("/mcp/files").initialize();
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let refused = gateway.visitor(&mine).at("/mcp/files").request("initialize", &params);
    assert_eq!((refused.head.header("mcp-session-id"), reason(&refused.json())), (None, Some("serve.share")));
    let _theirs = gateway.visitor(&yours).at("/mcp/files").initialize();
    assert_eq!(first.send("DELETE", "").status(), 200);
    eventually("a process that ended leaves room", || {
        gateway.visitor(&mine).at("/mcp/files").request("initialize", &params).head.header("mcp-session-id").is_some()
    });
}

#[test]
fn bodies_are_kept_within_bounds_for_all_and_for_each() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.configure("[limits]\nmessage_bytes = 65536\nbody_bytes = 131072");
    let tokens: Vec<String> = ["a", "b", "c"].into_iter().map(|label| stage.token(label, &[]).text).collect();
    let gateway = stage.serve();
    let begin = |token: &str, length: usize| {
        let mut wire = gateway.dial();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n{{",
            gateway.address
        );
        wire.send(head.as_bytes());
        wire
    };
    let refused = |token: &str, length: usize| reason(&begin(token, length).response().expect("a refusal").json()).map(str::to_owned);
    // What is begun first is not read first: whoever finds no room beside a small one begins again.
    let hold = |token: &str| {
        let mut large = begin(token, 60_000);
        eventually("the body is being read", || {
            if large.wait(std::time::Duration::from_millis(200)) == Waited::Data {
                large = begin(token, 60_000);
            }
            refused_or_not(begin(token, 10_000)).as_deref() == Some("serve.share")
        });
        large
    };
    let (mine, theirs) = (hold(&tokens[0]), hold(&tokens[1]));
    assert_eq!(refused(&tokens[2], 60_000).as_deref(), Some("serve.busy"));
    // Small ones find room, and when the large ones are gone, large ones do.
    assert_eq!(gateway.visitor(&tokens[2]).request("tools/list", &json!({})).status(), 200);
    mine.hang_up();
    theirs.hang_up();
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {"x": "x".repeat(50_000)}}}).to_string();
    eventually("there is room again", || gateway.visitor(&tokens[2]).send("POST", &large).status() == 200);
}

fn refused_or_not(mut wire: Wire) -> Option<String> {
    let waited = wire.wait(std::time::Duration::from_millis(200));
    (waited == Waited::Data).then(|| wire.response()).flatten().and_then(|answer| reason(&answer.json()).map(str::to_owned))
}

/// A body takes room for as long as its message is in the house, not only while it is read.
#[test]
fn a_body_takes_room_until_its_message_is_dealt_with() {
    let stage = Stage::with_server("files", &hanging());
    stage.configure("[limits]\nmessage_bytes = 65536\nbody_bytes = 131072");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let session = gateway.visitor(&token).at("/mcp/files").initialize();
    let large = |method: &str, name: &str| {
        let padding = json!({"x": "x".repeat(50_000)});
        json!({"jsonrpc": "2.0", "id": name, "method": method, "params": {"name": name, "_meta": padding}}).to_string()
    };
    let mut running = session.begin("POST", &large("tools/call", "hang"));
    eventually("the call has reached the server", || stage.reached("files").iter().any(|method| method == "tools/call"));
    let refused = session.send("POST", &large("tools/call", "a"));
    assert_eq!(reason(&refused.json()), Some("serve.share"));
    std::fs::write(stage.path("go"), "").expect("writable");
    assert_eq!(running.response().expect("an answer").status(), 200);
    assert_eq!(reason(&session.send("POST", &large("tools/call", "a")).json()), None, "there is room again");
}

/// A server that is slow to let go of one session does not prolong the others.
#[test]
fn sessions_that_nobody_uses_end_all_at_once() {
    let stage = Stage::new("[limits]\nsession_idle = \"1s\"\n");
    let script = Script::with_tools(["a"]).on("DELETE", vec![Act::Until("go".to_owned()), Act::Close]);
    let _away = stage.http_server("away", &script);
    stage.done(&["approve", "away", "--all", "--yes"]);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let sessions: Vec<_> = (0..5).map(|_| gateway.visitor(&token).at("/mcp/away").initialize()).collect();
    sessions.into_iter().for_each(|mut session| drop(session.request("tools/list", &json!({}))));
    // Two of them are not of clients: the review's, and the gateway's own look at its start.
    let mut times = Vec::new();
    within(std::time::Duration::from_secs(60), "idle sessions are swept", || {
        times.resize_with(ended(&stage).max(times.len()), std::time::Instant::now);
        times.len() == 7
    });
    std::fs::write(stage.path("go"), "").expect("writable");
    // The server would hold up each of them for two seconds.
    let took = times[6].duration_since(times[2]);
    assert!(took < std::time::Duration::from_secs(3), "one after the other: {took:?}");
}

/// How many sessions the gateway has ended at the server that is away.
fn ended(stage: &Stage) -> usize {
    stage.received("away").iter().filter(|received| received.head.starts_with("DELETE")).count()
}

#[test]
fn one_address_leaves_connections_for_others() {
    connections_have_an_end("connections_per_address = 3");
}

#[test]
fn all_addresses_together_leave_memory() {
    connections_have_an_end("connections = 3");
}

fn connections_have_an_end(limit: &str) {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.configure(&format!("[limits]\n{limit}\nheader_timeout = \"60s\""));
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let mut open: Vec<Wire> = (0..3).map(|_| gateway.dial()).collect();
    eventually("the gateway has them", || open.iter().all(|wire| connected(gateway.address.port(), wire.port())));
    assert_eq!(gateway.dial().wait(PATIENCE), Waited::End, "a fourth one is taken");
    open.pop().expect("a connection").hang_up();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    eventually("one that was closed leaves room", || {
        gateway.visitor(&token).begin("POST", list).response().is_some_and(|answer| answer.status() == 200)
    });
}

/// A client that asks for much and reads nothing: the gateway hangs up.
#[test]
fn a_client_that_does_not_read_is_not_waited_for() {
    const CALLS: u64 = 30;
    let large = "x".repeat(3 << 20);
    let stage = Stage::with_server("files", &Script::with_tools(["a"]).on("tools/call a", vec![Act::Answer(script::text(&large))]));
    stage.configure("[limits]\nwrite_timeout = \"1s\"");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let session = gateway.visitor(&token).at("/mcp/files").initialize();
    let mut wire = gateway.dial();
    for id in 0..CALLS {
        let body = call(id, "a");
        let head = format!(
            "POST /mcp/files HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nMcp-Session-Id: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            gateway.address,
            session.session(),
            body.len()
        );
        wire.send(head.as_bytes());
    }
    eventually("a call is answered", || !stage.reached("files").is_empty());
    eventually("the gateway hangs up", || !connected(gateway.address.port(), wire.port()));
    assert!(u64::try_from(wire.rest().len()).expect("small") < CALLS * (3 << 20));
    assert!(peak_memory(gateway.pid()) < 200 << 20);
    // One that reads, slowly, is served.
    let mut slow = session.begin("POST", &call(1000, "a"));
    assert_eq!(text(&slow.response().expect("an answer").json()).len(), large.len());
}

/// The same at the other front: what is not read is not kept without measure, and does not hold up the end.
#[test]
fn standard_output_that_is_not_read_holds_up_nothing() {
    // More than the room for what is not read (32 MiB) and the messages in the works (8 calls and 16 others).
    const CALLS: usize = 80;
    let large = "x".repeat(1 << 20);
    let stage = Stage::with_server("files", &Script::with_tools(["a"]).on("tools/call a", vec![Act::Answer(script::text(&large))]));
    stage
        .configure("[limits]\ncalls_per_session = 8\ndrain = \"1s\"\n[controls.quota]\nread_per_minute = 10000\nclient_per_minute = 10000");
    let words: Vec<String> = ["run", "--name", "files", "--"].into_iter().map(str::to_owned).chain(stage.command("files")).collect();
    let mut command: Command = stage.bartizan(&words);
    let mut gateway = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bartizan run");
    let (mut input, mut output) = (gateway.stdin.take().expect("piped"), gateway.stdout.take().expect("piped"));
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").expect("taken");
    assert!(output.read(&mut [0; 1]).is_ok_and(|length| length == 1), "the session is open");
    let answered = || {
        stage.journal().of("closed").filter(|closed| closed["outcome"] == "answered" && closed["bytes"].as_u64() > Some(1 << 20)).count()
    };
    // A client that goes on as long as it is served: a few calls at once, never more than it may.
    let served = (0..CALLS).take_while(|sent| {
        input.write_all(format!("{}\n", call(*sent as u64 + 1, "a")).as_bytes()).expect("taken");
        let started = std::time::Instant::now();
        while answered() + 4 < *sent && started.elapsed() < std::time::Duration::from_secs(5) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        answered() + 4 >= *sent
    });
    let served = served.count();
    assert!((32..CALLS).contains(&served), "{served}: the gateway reads on and on");
    assert!(peak_memory(gateway.id()) < 256 << 20, "{} MiB", peak_memory(gateway.id()) >> 20);
    process::signal(gateway.id(), "TERM");
    let started = std::time::Instant::now();
    end_of(&mut gateway);
    assert!(started.elapsed() < std::time::Duration::from_secs(15), "the end is held up: {:?}", started.elapsed());
    drop((input, output));
    stage.verify();
}

/// A credential that is made good for fewer servers while a call waits is judged by what it is good for then.
#[test]
fn a_token_that_was_narrowed_meanwhile_is_refused() {
    let script = Script::with_tools(["a"]);
    let stage = Stage::with_server("files", &script);
    stage.server("pages", &script);
    stage.approve_all("pages", &script);
    let token = stage.token("t", &[]);
    let gateway = stage.serve();
    let waiting = gateway.visitor(&token.text).at("/mcp/files").initialize();
    let resting = gateway.visitor(&token.text).initialize();
    let list = json!({"tools": script.tools});
    let slow = vec![Act::Touch("listing".to_owned()), Act::Until("go".to_owned()), Act::Answer(list)];
    stage.script("files", &script.on("tools/list", slow));
    let mut wire = waiting.begin("POST", &call(10, "a"));
    eventually("the call waits for the list", || stage.path("listing").exists());
    let path = stage.state().join("tokens.json");
    let mut store: Value = serde_json::from_slice(&std::fs::read(&path).expect("a store")).expect("JSON");
    store["tokens"][0]["servers"] = json!(["pages"]);
    std::fs::write(&path, store.to_string()).expect("writable");
    std::fs::write(stage.path("go"), "").expect("writable");
    let refused = wire.response().expect("an answer");
    assert_eq!((refused.status(), reason(&refused.json())), (401, Some("identity.revoked")));
    assert_eq!(stage.reached("files"), Vec::<String>::new());
    // Its sessions are over; a new one has the new extent.
    assert_eq!(reason(&resting.post(&json!({"jsonrpc": "2.0", "id": 11, "method": "tools/list"})).json()), Some("session.unknown"));
    assert_eq!(gateway.visitor(&token.text).at("/mcp/files").request("tools/list", &json!({})).status(), 404);
    let mut fresh = gateway.visitor(&token.text).at("/mcp/pages").initialize();
    assert!(reason(&fresh.request("tools/call", &json!({"name": "a"})).json()).is_none());
    stage.verify();
}

/// What stands alone is said in a conversation of the principal's, which must not keep what the token was good for.
#[test]
fn a_token_that_was_narrowed_works_on_for_what_is_left() {
    let script = Script::with_tools(["a"]);
    let stage = Stage::with_server("files", &script);
    stage.server("pages", &script);
    stage.approve_all("pages", &script);
    let token = stage.token("t", &[]);
    let gateway = stage.serve();
    let called = |name: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}});
        let answer = gateway.visitor(&token.text).post(&body).json();
        reason(&answer).map(str::to_owned)
    };
    assert_eq!((called("files__a"), called("pages__a")), (None, None));
    let path = stage.state().join("tokens.json");
    let mut store: Value = serde_json::from_slice(&std::fs::read(&path).expect("a store")).expect("JSON");
    store["tokens"][0]["servers"] = json!(["pages"]);
    std::fs::write(&path, store.to_string()).expect("writable");
    assert_eq!((called("files__a").as_deref(), called("pages__a")), (Some("catalog.unknown"), None));
    stage.verify();
}
