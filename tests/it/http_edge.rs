//! The HTTP edge: the corpus of requests byte for byte, credentials, sessions, streams.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bartizan_monitor::wire::json::{Json, View};
use bartizan_tests::corpora;
use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Response, Served, Waited};
use bartizan_tests::json::reason;
use bartizan_tests::process::{PATIENCE, eventually, peak_memory};
use bartizan_tests::script::{self, Act, Script};
use serde_json::{Value, json};

/// The tools that the corpus calls.
fn tools() -> Script {
    let mut script = Script::with_tools(["read_file", "delete_all", "читать"]).era(script::Era::Both);
    for tool in &mut script.tools {
        tool["inputSchema"]["properties"] = json!({"path": {"type": "string"}});
    }
    script
}

/// Rows that are judged otherwise than the corpus expects, and why.
fn exceptions() -> BTreeMap<String, Exception> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/http-exceptions.toml");
    let text = std::fs::read_to_string(path).expect("tests/http-exceptions.toml");
    toml::from_str(&text).unwrap_or_else(|error| panic!("tests/http-exceptions.toml: {error}"))
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// The statuses that are right here, of all responses.
    statuses: Vec<u16>,
    /// For the reader of the file.
    #[serde(rename = "reason")]
    _reason: String,
}

/// What the gateway said to one row.
#[derive(Debug)]
struct Outcome {
    /// Of all responses that came; empty when the gateway only hung up.
    statuses: Vec<u16>,
    /// The first response.
    first: Option<Response>,
    /// Whether the gateway hung up by itself.
    closed: bool,
}

/// Where a row needs a credential to be judged for what it is about: after its first line, so that
/// nothing else of it changes. Without one every row would be 401, before anything that it is about.
fn with_token(raw: &str, token: &str) -> String {
    match raw.split_once("\r\n") {
        Some((line, rest)) if rest.contains(':') => format!("{line}\r\nAuthorization: Bearer {token}\r\n{rest}"),
        _ => raw.to_owned(),
    }
}

/// How long the gateway may think before it counts as waiting for the rest of a request.
const THINKING: Duration = Duration::from_millis(900);

/// Sends the bytes and reads everything that comes back.
fn play(gateway: &Served, raw: &[u8]) -> Outcome {
    let mut wire = gateway.dial();
    wire.send(raw);
    let mut waited = wire.wait(THINKING);
    if waited == Waited::Nothing {
        // It waits for more of the request, and there is none.
        wire.finish();
        waited = wire.wait(PATIENCE);
    }
    let mut outcome = Outcome { statuses: Vec::new(), first: None, closed: false };
    while waited == Waited::Data {
        let Some(response) = wire.response() else { break };
        outcome.statuses.push(response.status());
        outcome.first.get_or_insert(response);
        waited = wire.wait(THINKING);
    }
    outcome.closed = waited != Waited::Nothing;
    outcome
}

/// Whether an outcome is what the corpus expects.
fn judge(expected: &str, outcome: &Outcome) -> Result<(), String> {
    let one_of = |allowed: &[u16]| match outcome.statuses.as_slice() {
        [status] if allowed.contains(status) => Ok(()),
        // To hang up is to refuse.
        [] if outcome.closed && !allowed.contains(&200) => Ok(()),
        other => Err(format!("{expected}: {other:?}")),
    };
    let body = outcome.first.as_ref().map(Response::json).unwrap_or_default();
    match expected {
        "400 and close; second request must not be served" => {
            one_of(&[400])?;
            if outcome.closed { Ok(()) } else { Err("the connection stays open".to_owned()) }
        }
        "400 with JSON-RPC -32020 (HeaderMismatch)" => {
            one_of(&[400])?;
            // Bytes that no header may have are refused before there is a message.
            if body.is_null() || body["error"]["code"] == -32020 { Ok(()) } else { Err(body.to_string()) }
        }
        "400/404/405/421; never forwarded as is" => one_of(&[400, 404, 405, 421]),
        "403/421 unless configured" => one_of(&[403, 421]),
        "403" | "403 unless configured" => one_of(&[403]),
        "415" => one_of(&[415]),
        "400" => one_of(&[400]),
        "400/404" => one_of(&[400, 404]),
        "400/431" => one_of(&[400, 431]),
        "200" | "200 when allow-listed" => one_of(&[200]),
        // A POST is answered with its own answer and nothing else, whatever it wants to resume.
        "no foreign events" => match outcome.first.as_ref().map(|first| String::from_utf8_lossy(&first.body).contains("id:")) {
            Some(false) => one_of(&[200]),
            _ => Err(format!("{outcome:?}")),
        },
        other => Err(format!("an expectation that this test does not know: {other}")),
    }
}

fn is_recipe(row: &Json) -> bool {
    corpora::text(row, "raw").starts_with("{\"gen\"")
}

#[test]
fn every_request_is_judged_as_the_corpus_expects() {
    let stage = Stage::with_server("files", &tools());
    stage.configure("[limits]\nbody_timeout = \"5s\"");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let rows = corpora::rows("dev/http_requests");
    assert_eq!(rows.len(), 59, "the corpus has other rows than this test was written for");
    let rows: Vec<Json> = rows.into_iter().filter(|row| !is_recipe(row)).collect();
    let exceptions = exceptions();
    let problems = Mutex::new(Vec::new());
    let next = Mutex::new(rows.iter());
    let work = || {
        loop {
            let Some(row) = next.lock().expect("no panic inside").next() else { return };
            let (id, expected) = (corpora::text(row, "id"), corpora::text(row, "expected"));
            let outcome = play(&gateway, with_token(&corpora::text(row, "raw"), &token).as_bytes());
            let judged = judge(&expected, &outcome);
            let problem = match (exceptions.get(&id), judged) {
                (None, judged) => judged.err(),
                (Some(_), Ok(())) => Some("is listed as an exception, and is none any more".to_owned()),
                (Some(exception), Err(_)) if outcome.statuses == exception.statuses => None,
                (Some(exception), Err(why)) => Some(format!("{why}, and not {:?} as listed", exception.statuses)),
            };
            if let Some(problem) = problem {
                problems.lock().expect("no panic inside").push(format!("{id} ({}): {problem}", corpora::text(row, "why")));
            }
        }
    };
    std::thread::scope(|scope| (0..12).for_each(|_| drop(scope.spawn(work))));
    let problems = problems.into_inner().expect("no panic inside");
    assert!(problems.is_empty(), "{problems:#?}");
    let stale: Vec<_> = exceptions.keys().filter(|id| !rows.iter().any(|row| corpora::text(row, "id") == **id)).collect();
    assert!(stale.is_empty(), "tests/http-exceptions.toml lists rows that are not there: {stale:?}");
    // No row of the corpus calls a tool by a name of the merged endpoint.
    assert_eq!(stage.reached("files"), Vec::<String>::new());
    stage.verify();
}

/// At `/mcp` a tool has the name of its server before its own, so a call of the corpus meets nothing there. At the
/// endpoint of the server its good calls are answered, and its bad ones refused for the same reasons.
#[test]
fn calls_of_the_corpus_are_judged_the_same_at_the_endpoint_of_the_server() {
    let stage = Stage::with_server("files", &tools());
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let (mut answered, exceptions) = (0, exceptions());
    for row in corpora::rows("dev/http_requests").iter().filter(|row| corpora::text(row, "class") == "mirror") {
        let raw = with_token(&corpora::text(row, "raw"), &token).replacen("POST /mcp ", "POST /mcp/files ", 1);
        let mut wire = gateway.dial();
        wire.send(raw.as_bytes());
        let response = wire.response().expect("a response");
        if corpora::text(row, "label") == "benign" {
            assert_eq!(response.status(), 200);
            assert!(response.json()["result"]["content"].is_array(), "{}", response.json());
            answered += 1;
        } else {
            // The exceptions of the other test hold here, too.
            let expected = exceptions.get(&corpora::text(row, "id")).map_or(400, |exception| exception.statuses[0]);
            assert_eq!(response.status(), expected, "{}: {}", corpora::text(row, "id"), response.json());
            answered += usize::from(expected == 200);
        }
    }
    assert_eq!(stage.reached("files").len(), answered);
    assert!(answered > 0);
}

/// Rows with a strange first line name a strange host, too, which is refused first. With ours, they are judged for
/// what they are about.
#[test]
fn strange_requests_are_refused_whatever_host_they_name() {
    let stage = Stage::with_server("files", &tools());
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let rows: Vec<Json> =
        corpora::rows("dev/http_requests").into_iter().filter(|row| corpora::text(row, "class") == "request-line").collect();
    assert_eq!(rows.len(), 10);
    for row in rows {
        let raw = with_token(&corpora::text(&row, "raw"), &token).replace("Host: a\r\n", "Host: 127.0.0.1:8080\r\n");
        // A body that does not come is a request that is not whole.
        let outcome = play(
            &gateway,
            raw.replace("Content-Length: 999999999", "Content-Type: application/json\r\nContent-Length: 999999999").as_bytes(),
        );
        let refused = outcome.statuses.iter().all(|status| [400, 404, 405, 406, 413, 415, 421].contains(status));
        assert!(refused && outcome.statuses.len() <= 1, "{}: {outcome:?}", corpora::text(&row, "why"));
    }
    assert_eq!(stage.reached("files"), Vec::<String>::new());
    stage.verify();
}

#[test]
fn a_sender_without_haste_meets_a_deadline() {
    let stage = Stage::with_server("files", &tools());
    stage.configure("[limits]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let host = gateway.address;
    let whole = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 60\r\n\r\n"
    );
    for (what, at_once) in [("slow headers", 10), ("slow body", whole.len())] {
        let mut wire = gateway.dial();
        wire.send(&whole.as_bytes()[..at_once]);
        let started = Instant::now();
        let ended = loop {
            match wire.wait(Duration::from_millis(250)) {
                Waited::Nothing => drop(wire.send(b"x")),
                ended => break ended,
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{what}: no deadline");
        };
        if ended == Waited::Data {
            let response = wire.response().expect("a response");
            assert!([400, 408].contains(&response.status()), "{what}: {response:?}");
        }
        // Nobody else waits for it.
        assert_eq!(gateway.visitor(&token).request("tools/list", &json!({})).status(), 200);
    }
}

#[test]
fn headers_have_a_size() {
    let stage = Stage::with_server("files", &tools());
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let outcome =
        play(&gateway, format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nX-Long: {}\r\n\r\n", gateway.address, "x".repeat(1 << 20)).as_bytes());
    assert!(outcome.statuses.iter().all(|status| [400, 431].contains(status)) && outcome.closed, "{:?}", outcome.statuses);
    let many: String = (0..5000).map(|number| format!("X-{number}: x\r\n")).collect();
    let outcome = play(&gateway, format!("POST /mcp HTTP/1.1\r\nHost: {}\r\n{many}\r\n", gateway.address).as_bytes());
    assert!(outcome.statuses.iter().all(|status| [400, 431].contains(status)) && outcome.closed, "{:?}", outcome.statuses);
    assert_eq!(gateway.visitor(&token).request("tools/list", &json!({})).status(), 200);
    assert!(peak_memory(gateway.pid()) < 200 << 20);
}

#[test]
fn ten_thousand_requests_at_once_on_one_connection_are_answered_one_by_one() {
    const COUNT: usize = 10_000;
    let stage = Stage::with_server("files", &tools());
    let gateway = stage.serve();
    let request = format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", gateway.address);
    let mut wire = gateway.dial();
    let mut writer = wire.split();
    let sender = std::thread::spawn(move || (0..COUNT / 100).all(|_| writer.send(request.repeat(100).as_bytes())));
    let mut answered = 0;
    while answered < COUNT {
        let Some(response) = wire.response() else { break };
        assert_eq!(response.status(), 401);
        answered += 1;
    }
    assert!(sender.join().expect("a sender"), "the gateway does not take them");
    assert_eq!(answered, COUNT);
    assert!(peak_memory(gateway.pid()) < 200 << 20);
    stage.verify();
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let stage = Stage::with_server("files", &tools());
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let head = |framing: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{framing}\r\n\r\n",
            gateway.address
        )
    };
    let mut wire = gateway.dial();
    wire.send(head("Content-Length: 17825792").as_bytes());
    assert_eq!(wire.response().expect("before the body").status(), 413);
    // Without a length it is counted as it comes.
    let mut wire = gateway.dial();
    wire.send(head("Transfer-Encoding: chunked").as_bytes());
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let taken = (0..64).take_while(|_| wire.send(chunk.as_bytes())).count();
    assert!(taken < 64, "the gateway reads on");
    assert!(peak_memory(gateway.pid()) < 200 << 20);
    assert_eq!(gateway.visitor(&token).request("tools/list", &json!({})).status(), 200);
    stage.verify();
}

#[test]
fn nobody_is_anonymous_whatever_they_ask() {
    let stage = Stage::with_server("files", &tools());
    let (token, other) = (stage.token("t", &[]).text, stage.token("other", &["--expires", "1ms"]).text);
    let gateway = stage.serve();
    let session = gateway.visitor(&token).at("/mcp/files").initialize().session().to_owned();
    let good = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for path in ["/mcp", "/mcp/files", "/mcp/nothing", "/", "/.well-known/oauth-protected-resource", "/mcp/files?x=1"] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"] {
            let visitor = gateway.visitor(&token).at(path).with("Mcp-Session-Id", &session);
            for (credential, reasons) in [
                (None, "identity.missing"),
                (Some(format!("Bearer {}x", &token[..token.len() - 1])), "identity.invalid"),
                (Some(format!("Bearer {other}")), "identity.expired"),
                (Some("Basic dDp0".to_owned()), "identity.invalid"),
                (Some("Bearer".to_owned()), "identity.invalid"),
            ] {
                let visitor = match &credential {
                    None => visitor.clone().without("Authorization"),
                    Some(value) => visitor.clone().with("Authorization", value),
                };
                let mut wire = visitor.begin(method, good);
                let head = wire.head().expect("a response");
                assert_eq!(head.status, 401, "{method} {path} {credential:?}");
                assert!(head.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")), "{head:?}");
                if method == "POST" {
                    let answer = visitor.send(method, good).json();
                    assert_eq!(reason(&answer), Some(reasons), "{path} {credential:?}");
                }
            }
        }
    }
    // Twice a credential is none; in the address it is none, and leaks.
    let twice = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n",
        gateway.address
    );
    assert_eq!(play(&gateway, twice.as_bytes()).statuses, [401]);
    assert_eq!(gateway.visitor(&token).without("Authorization").at(&format!("/mcp?access_token={token}")).send("POST", good).status(), 401);
    // With a credential too, an address is no place for one.
    assert_eq!(gateway.visitor(&token).at(&format!("/mcp?access_token={token}")).send("POST", good).status(), 401);
    assert_eq!(stage.reached("files"), Vec::<String>::new());
    assert_eq!(gateway.visitor(&token).at("/mcp/files").request("tools/list", &json!({})).status(), 200);
    stage.verify();
}

#[test]
fn a_session_belongs_to_its_principal_and_endpoint() {
    let stage = Stage::with_server("files", &tools());
    let (mine, yours) = (stage.token("mine", &[]).text, stage.token("yours", &[]).text);
    let gateway = stage.serve();
    let mut session = gateway.visitor(&mine).at("/mcp/files").initialize();
    let foreign = session.clone().with("Authorization", &format!("Bearer {yours}"));
    let elsewhere = session.clone().at("/mcp");
    let guessed = session.clone().with("Mcp-Session-Id", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for stranger in [foreign, elsewhere, guessed] {
        for (method, body) in
            [("POST", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"}}"#), ("GET", ""), ("DELETE", "")]
        {
            let refused = stranger.send(method, body);
            assert_eq!((refused.status(), reason(&refused.json())), (404, Some("session.unknown")), "{method}");
        }
    }
    assert_eq!(stage.reached("files"), Vec::<String>::new());
    assert!(session.request("tools/call", &json!({"name": "read_file"})).json()["result"].is_object());
    assert_eq!(session.send("DELETE", "").status(), 200);
    assert_eq!(session.request("tools/list", &json!({})).status(), 404);
    assert_eq!(session.send("DELETE", "").status(), 404);
    // The journal names the session, but not by what would let its reader take part in it.
    let text = serde_json::to_string(&stage.journal().0).expect("text");
    assert!(!text.contains(session.session()));
    stage.verify();
}

#[test]
fn sessions_are_counted() {
    let stage = Stage::with_server("files", &tools());
    stage.configure("[limits]\nsessions_per_principal = 2");
    let (mine, yours) = (stage.token("mine", &[]).text, stage.token("yours", &[]).text);
    let gateway = stage.serve();
    let open = |token: &str| {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        gateway.visitor(token).at("/mcp/files").request("initialize", &params)
    };
    let first = open(&mine);
    assert!(first.head.header("mcp-session-id").is_some() && open(&mine).head.header("mcp-session-id").is_some());
    let third = open(&mine);
    assert_eq!((third.head.header("mcp-session-id"), reason(&third.json())), (None, Some("session.limit")));
    assert!(open(&yours).head.header("mcp-session-id").is_some(), "another principal has a count of its own");
    let id = first.head.header("mcp-session-id").expect("a session");
    assert_eq!(gateway.visitor(&mine).at("/mcp/files").with("Mcp-Session-Id", id).send("DELETE", "").status(), 200);
    assert!(open(&mine).head.header("mcp-session-id").is_some());
}

#[test]
fn a_revoked_token_is_out_on_the_next_message() {
    let stage = Stage::with_server("files", &tools());
    let (mine, yours) = (stage.token("mine", &[]), stage.token("yours", &[]));
    let gateway = stage.serve();
    let mut session = gateway.visitor(&mine.text).at("/mcp/files").initialize();
    let mut other = gateway.visitor(&yours.text).at("/mcp/files").initialize();
    assert!(session.request("tools/call", &json!({"name": "read_file"})).json()["result"].is_object());
    stage.done(&["token", "revoke", &mine.id]);
    let refused = session.request("tools/call", &json!({"name": "read_file"}));
    assert_eq!((refused.status(), reason(&refused.json())), (401, Some("identity.revoked")));
    assert_eq!(session.send("GET", "").status(), 401);
    let modern = gateway.visitor(&mine.text).at("/mcp/files").modern("tools/list", &json!({}));
    assert_eq!(modern.status(), 401);
    assert!(other.request("tools/call", &json!({"name": "read_file"})).json()["result"].is_object());
    assert_eq!(stage.reached("files").len(), 2);
    stage.verify();
}

#[test]
fn a_token_that_expires_ends_a_running_session() {
    let stage = Stage::with_server("files", &tools());
    let token = stage.token("t", &["--expires", "3s"]).text;
    let gateway = stage.serve();
    let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
    eventually("the token expires", || session.request("tools/list", &json!({})).status() == 401);
    let refused = session.request("tools/list", &json!({}));
    assert_eq!(reason(&refused.json()), Some("identity.expired"));
}

#[test]
fn only_this_machine_by_its_own_names() {
    let stage = Stage::with_server("files", &tools());
    stage.configure("[listen]\nallowed_hosts = [\"mcp.example.com\"]\nallowed_origins = [\"https://app.example.com\"]");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let port = gateway.address.port();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let status = |name: &str, value: &str| gateway.visitor(&token).with(name, value).send("POST", list).status();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "[::1]".to_owned(),
        "mcp.example.com".to_owned(),
        "mcp.example.com:443".to_owned(),
    ] {
        assert_eq!(status("Host", &host), 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "x@127.0.0.1",
        "192.168.0.1",
        "0.0.0.0",
        "mcp.example.com.evil.example",
    ] {
        assert_eq!(status("Host", host), 403, "{host}");
    }
    for origin in [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"), "https://app.example.com".to_owned()] {
        assert_eq!(status("Origin", &origin), 200, "{origin}");
    }
    for origin in [
        "null",
        "http://127.0.0.1:1",
        "http://localhost",
        "http://evil.example",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "file://",
        "http://127.0.0.1@evil.example",
    ] {
        assert_eq!(status("Origin", origin), 403, "{origin}");
    }
    assert_eq!(stage.reached("files"), Vec::<String>::new());
}

#[test]
fn what_is_not_post_json_is_told_so() {
    let stage = Stage::with_server("files", &tools());
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let visitor = gateway.visitor(&token);
    for method in ["PUT", "PATCH", "OPTIONS", "TRACE"] {
        let mut wire = visitor.begin(method, "");
        let head = wire.head().expect("a response");
        assert_eq!((head.status, head.header("allow")), (405, Some("GET, POST, DELETE")), "{method}");
    }
    for method in ["GET", "DELETE"] {
        assert_eq!(visitor.send(method, "").status(), 405, "{method} without a session");
    }
    for kind in ["text/plain", "application/jsonx", "multipart/form-data", "application/x-www-form-urlencoded", ""] {
        assert_eq!(visitor.clone().with("Content-Type", kind).send("POST", list).status(), 415, "{kind}");
    }
    assert_eq!(visitor.clone().with("Content-Encoding", "gzip").send("POST", list).status(), 415);
    for accept in ["text/html", "application/json", "text/event-stream"] {
        assert_eq!(visitor.clone().with("Accept", accept).send("POST", list).status(), 406, "{accept}");
    }
    for accept in ["*/*", "text/event-stream, application/json;q=0.9", "application/*, text/*"] {
        assert_eq!(visitor.clone().with("Accept", accept).send("POST", list).status(), 200, "{accept}");
    }
}

#[test]
fn a_stream_that_breaks_is_resumed_where_it_broke() {
    let progress = |count: u32| {
        Act::Line(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":$TOKEN,"progress":{count}}}}}"#
        ))
    };
    let script = Script::with_tools(["long", "a"]).on(
        "tools/call long",
        vec![progress(1), Act::Until("broken".to_owned()), progress(2), progress(3), Act::Answer(script::text("done"))],
    );
    let stage = Stage::with_server("files", &script);
    let (token, other) = (stage.token("t", &[]).text, stage.token("other", &[]).text);
    let gateway = stage.serve();
    let session = gateway.visitor(&token).at("/mcp/files").initialize();
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "long", "_meta": {"progressToken": "mine"}}});
    let mut wire = session.begin("POST", &call.to_string());
    assert_eq!(wire.head().expect("a stream").header("content-type"), Some("text/event-stream"));
    let mut events = wire.events();
    let first = events.next().expect("progress");
    assert_eq!((&first.json()["params"]["progress"], &first.json()["params"]["progressToken"]), (&json!(1), &json!("mine")));
    let id = first.id.expect("an id to resume from");
    events.hang_up();
    std::fs::write(stage.path("broken"), "").expect("writable");
    // Somebody else, and somebody in another session, gets none of it.
    let foreign = gateway.visitor(&other).at("/mcp/files").initialize().with("Last-Event-ID", &id);
    let mut quiet = foreign.begin("GET", "");
    assert_eq!(quiet.head().expect("a stream").status, 200);
    assert_eq!(quiet.wait(Duration::from_millis(300)), Waited::Nothing);
    let mut resumed = session.clone().with("Last-Event-ID", &id).begin("GET", "");
    assert_eq!(resumed.head().expect("a stream").status, 200);
    let rest: Vec<Value> = resumed.events().map(|event| event.json()).take(3).collect();
    let progress: Vec<_> = rest.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
    assert_eq!(progress, [2, 3]);
    assert_eq!((&rest[2]["id"], &rest[2]["result"]["content"][0]["text"]), (&json!(7), &json!("done")));
    stage.verify();
}

#[test]
fn in_the_modern_era_hanging_up_is_cancelling() {
    let script = Script::with_tools(["long", "a"]).era(script::Era::Modern).on("tools/call long", vec![Act::Touch("running".to_owned())]);
    let stage = Stage::with_server("files", &script);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "long", "_meta": meta}});
    let visitor = gateway.visitor(&token).at("/mcp/files");
    let modern = visitor.clone().with("MCP-Protocol-Version", "2026-07-28").with("Mcp-Method", "tools/call").with("Mcp-Name", "long");
    let wire = modern.begin("POST", &call.to_string());
    eventually("the call runs", || stage.path("running").exists());
    wire.hang_up();
    eventually("the server is told", || stage.reached("files").iter().any(|method| method == "notifications/cancelled"));
    assert!(visitor.modern("tools/call", &json!({"name": "a"})).json()["result"].is_object());
    eventually("the call is closed", || stage.journal().records().values().all(|record| record.closed.len() == 1));
    stage.verify();
}

/// The bytes of a row are those that the file holds: none of them is changed by how this test reads it.
#[test]
fn rows_are_read_as_they_are() {
    let row = corpora::rows("dev/http_requests").into_iter().find(|row| !is_recipe(row)).expect("a row");
    let raw = row.view().get("raw").and_then(View::as_str).expect("text").into_owned();
    assert_eq!(with_token(&raw, "x").replacen("Authorization: Bearer x\r\n", "", 1), raw);
}
