//! Servers that begin to answer and never end: the call ends for a reason, in its time, the gateway's memory stays what it
//! was, and others are answered meanwhile.

use std::time::{Duration, Instant};

use bartizan_tests::gateway::Stage;
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::peak_memory;
use bartizan_tests::script::{Act, Script};
use serde_json::{Value, json};

/// More than a gateway of these tests may ever take.
const MEMORY: u64 = 200 << 20;
/// A call may take so long in these tests.
const TIMEOUT: &str = "3s";
/// By then it has ended, on a busy machine, too.
const OVER: Duration = Duration::from_secs(15);
/// How long somebody else may wait meanwhile.
const OTHERS: Duration = Duration::from_secs(8);

const PROGRESS: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$TOKEN,"progress":1}}"#;
const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"and so on"}}"#;
const STRAY: &str = r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#;

fn forever(text: String, millis: u64) -> Act {
    Act::Forever { text, millis }
}

/// What is said over HTTP, after the head of a stream.
fn streams() -> Vec<(&'static str, Act)> {
    let event = |message: &str| format!("data: {message}\n\n");
    vec![
        ("comments", forever(": still here\n\n".to_owned(), 20)),
        ("comments_at_once", forever(": still here\n\n".repeat(1000), 0)),
        ("one_comment", forever(": still here, and still, and still".repeat(100), 0)),
        ("fields", forever("event: x\nid: 1\nretry: 1\nother: y\n".repeat(100), 0)),
        ("empty_events", forever("id: 1\n\n".repeat(500), 0)),
        ("blank_lines", forever("\n".repeat(4096), 0)),
        ("progress", forever(event(PROGRESS), 20)),
        ("progress_at_once", forever(event(PROGRESS).repeat(200), 0)),
        ("logs", forever(event(LOG), 20)),
        ("logs_at_once", forever(event(LOG).repeat(200), 0)),
        ("strays", forever(event(STRAY).repeat(200), 0)),
        ("data", forever(format!("data: {}\n", "x".repeat(4096)), 0)),
        ("a_byte_at_a_time", forever("x".to_owned(), 50)),
    ]
}

/// The same over a pipe.
fn lines() -> Vec<(&'static str, Act)> {
    let line = |message: &str| format!("{message}\n");
    vec![
        ("a_line", forever("x".repeat(4096), 0)),
        ("a_slow_line", forever("x".to_owned(), 50)),
        ("blanks", forever("\n".repeat(4096), 0)),
        ("noise", forever(line("noise").repeat(500), 0)),
        ("progress", forever(line(PROGRESS), 20)),
        ("progress_at_once", forever(line(PROGRESS).repeat(200), 0)),
        ("logs", forever(line(LOG), 20)),
        ("logs_at_once", forever(line(LOG).repeat(200), 0)),
        ("strays", forever(line(STRAY).repeat(200), 0)),
    ]
}

fn script(rows: &[(&'static str, Act)]) -> Script {
    let tools = Script::with_tools(rows.iter().map(|(name, _)| *name).chain(["good"]));
    rows.iter().fold(tools, |script, (name, act)| script.on(&format!("tools/call {name}"), vec![act.clone()]))
}

fn watch(stage: &Stage, rows: &[(&'static str, Act)]) {
    let other = Script::with_tools(["quick"]);
    stage.server("other", &other);
    stage.approve_all("other", &other);
    stage.configure(&format!("[servers.files]\ntimeout = \"{TIMEOUT}\""));
    let tokens = ["ann", "bob"].map(|name| stage.token(name, &[]).text);
    let gateway = stage.serve();
    let mut quick = gateway.visitor(&tokens[1]).at("/mcp/other").initialize();
    quick.request("tools/call", &json!({"name": "quick", "arguments": {}}));
    for (name, _) in rows {
        let talker = gateway.visitor(&tokens[0]).at("/mcp/files").initialize();
        let begun = Instant::now();
        let call = json!({"jsonrpc": "2.0", "id": *name, "method": "tools/call", "params": {"name": *name, "arguments": {}, "_meta": {"progressToken": "p"}}});
        let wire = talker.begin("POST", &call.to_string());
        let mut longest = Duration::ZERO;
        for _ in 0..3 {
            let asked = Instant::now();
            let answer = quick.request("tools/call", &json!({"name": "quick", "arguments": {}})).json();
            longest = longest.max(asked.elapsed());
            assert!(reason(&answer).is_none(), "{name}: {answer}");
            std::thread::sleep(Duration::from_millis(300));
        }
        let answer = { wire }.response().expect("a response").json();
        let (took, memory) = (begun.elapsed(), peak_memory(gateway.pid()));
        println!("{name}: {:?} after {took:?}, others waited {longest:?} at most, peak {} MiB", reason(&answer), memory >> 20);
        // Whoever does not read for a while, as here, is cut off behind what was kept for it, and may resume.
        let was_cut = answer.get("method").is_some();
        assert!(was_cut || reason(&answer).is_some_and(|reason| reason.starts_with("upstream.")), "{name}: {answer}");
        assert!(took < OVER, "{name}: {took:?}");
        assert!(longest < OTHERS, "{name}: {longest:?}");
        assert!(memory < MEMORY, "{name}: {} MiB", memory >> 20);
        // One that goes on with its line in the middle of others' answers is none that a client can use; a new one is.
        let mut talker = gateway.visitor(&tokens[0]).at("/mcp/files").initialize();
        let good: Value = talker.request("tools/call", &json!({"name": "good", "arguments": {"text": "afterwards"}})).json();
        assert_eq!(text(&good), r#"{"text":"afterwards"}"#, "after {name}: {good}");
    }
    assert!(stage.journal().0.len() < 10_000, "a server can fill the disk: {}", stage.journal().0.len());
    assert!(!gateway.said.text().contains("panicked"));
    drop(gateway);
    stage.verify();
}

/// Many quick calls are made here.
const RATES: &str = "[controls.quota]\nread_per_minute = 10000\nclient_per_minute = 10000\n";

#[test]
fn a_stream_without_end_ends_with_the_call() {
    let rows = streams();
    let stage = Stage::new(RATES);
    let script = script(&rows);
    let server = stage.http_server("files", &script);
    stage.approve_all("files", &script);
    watch(&stage, &rows);
    drop(server);
}

#[test]
fn a_pipe_without_end_ends_with_the_call() {
    let rows = lines();
    let stage = Stage::new(RATES);
    let script = script(&rows);
    stage.server("files", &script);
    stage.approve_all("files", &script);
    watch(&stage, &rows);
}
