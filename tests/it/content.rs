//! What may come back: secrets that are planted everywhere come out nowhere, and honest content as it was.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use bartizan_tests::gateway::Stage;
use bartizan_tests::json::text;
use bartizan_tests::process::PATIENCE;
use bartizan_tests::script::{Act, Script, text as text_of};
use serde_json::{Value, json};

/// What the gateway holds, and gives to the server.
const HELD: &str = "Kx9-waffle/Trout?77-canary";
/// What merely looks like a secret.
const LOOKS: &str = "ghp_Zx81LmQv0aRt5sWk2YbN7cHe4UdJ9oPi3fGq";

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |part: &[u8]| {
        let number = part.iter().fold(0_u32, |all, byte| (all << 8) | u32::from(*byte)) << (8 * (3 - part.len()));
        (0..4)
            .map(move |at| (number >> (18 - 6 * at)) & 63)
            .take(part.len() + 1)
            .map(|digit| char::from(LETTERS[digit as usize]))
            .collect::<String>()
    };
    text.as_bytes().chunks(3).map(group).collect()
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn percent(text: &str) -> String {
    text.replace('/', "%2F").replace('?', "%3F")
}

/// A secret in every spelling in which it may come out.
fn spellings() -> Vec<String> {
    let numbered: String = LOOKS.chars().map(|symbol| format!("\\u{:04x}", u32::from(symbol))).collect();
    let plain = [HELD, LOOKS, &base64(HELD), &base64(LOOKS), &hex(HELD), &percent(HELD)].map(str::to_owned);
    plain.into_iter().chain([numbered]).collect()
}

/// All of it in one text.
fn planted() -> String {
    format!("a {HELD} b {LOOKS} c {} d {} e {} f {}\nend", base64(HELD), base64(LOOKS), hex(HELD), percent(HELD))
}

fn line(message: &Value) -> Act {
    Act::Line(message.to_string().replace("\"$TOKEN\"", "$TOKEN"))
}

/// What an operator sees of the same calls: the metrics of a gateway that serves them, and every command that prints what happened.
fn elsewhere(stage: &Stage, metrics: SocketAddr) -> String {
    let token = stage.token("ann", &[]).text;
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    for (tool, arguments) in [
        ("all", json!({})),
        ("fails", json!({})),
        ("keyed", json!({})),
        ("all", json!({"path": HELD})),
        (HELD, json!({})),
        (LOOKS, json!({})),
    ] {
        // Two of the names are none.
        let _ = visitor.request("tools/call", &json!({"name": tool, "arguments": arguments}));
    }
    let mut stream = TcpStream::connect(metrics).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n").as_bytes()).expect("sent");
    let mut seen = String::new();
    stream.read_to_string(&mut seen).expect("text");
    assert!(seen.contains("bartizan_calls_total{server=\"files\""), "{seen}");
    seen.push_str(&gateway.said.text());
    drop(gateway);
    for words in [
        vec!["log"],
        vec!["log", "--format", "json"],
        vec!["audit", "export"],
        vec!["labels", "list"],
        vec!["quarantine", "list"],
        vec!["approvals", "list"],
        vec!["secrets", "list"],
        vec!["explain", "--all"],
        vec!["explain", "secrets.key"],
    ] {
        let output = stage.output(&words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(words[0] != "log" || said.contains("secrets.key"), "the test looks at nothing: {said}");
        seen.push_str(&said);
        seen.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    seen
}

#[test]
fn secrets_planted_everywhere_come_out_nowhere() {
    let planted = planted();
    let elicit = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": planted, "requestedSchema": {"type": "object", "properties": {"a": {"type": "string", "description": planted}}}}});
    let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": {"deep": [planted]}}});
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "$TOKEN", "progress": 1, "message": planted}});
    let result = json!({
        "content": [
            {"type": "text", "text": planted},
            {"type": "resource", "resource": {"uri": "file:///a", "text": planted}},
            {"type": "resource", "resource": {"uri": "file:///b", "blob": base64(&planted)}},
            {"type": "resource_link", "uri": "file:///c", "name": planted},
        ],
        "structuredContent": {"a": [{"b": planted}]},
        "_meta": {"x": planted},
    });
    let numbered: String = LOOKS.chars().map(|symbol| format!("\\u{:04x}", u32::from(symbol))).collect();
    let escaped = format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{{"content":[{{"type":"text","text":"{numbered}"}}]}}}}"#);
    let script = Script::with_tools(["all", "fails", "escaped", "keyed", "strange"])
        .on("tools/call all", vec![Act::Say(planted.clone()), line(&log), line(&progress), line(&elicit), Act::Answer(result)])
        .on("tools/call fails", vec![Act::Error(json!({"code": 7, "message": planted, "data": {"seen": [planted]}}))])
        .on("tools/call escaped", vec![Act::Line(escaped)])
        .on("tools/call keyed", vec![Act::Answer(json!({"content": [], "structuredContent": {planted.clone(): 1}}))])
        .on(
            "tools/call strange",
            vec![Act::Line(format!("{{\"jsonrpc\":\"2.0\",\"id\":$ID,\"reslt\":\"{LOOKS}\"}}")), Act::Answer(text_of("done"))],
        );
    let stage = Stage::new(
        "[controls.provenance]\nresults = \"on\"\n[controls.binary.dangerous]\noff = [\"files/*\"]\n[servers.files.env]\nKEY = \"${file:key}\"",
    );
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    stage.configure(&format!("[metrics]\nlisten = \"{metrics}\""));
    std::fs::write(stage.path("key"), HELD).expect("writable");
    stage.server("files", &script);
    stage.approve_all("files", &script);
    let mut client = stage.run_with("files", |command| {
        command.env("BARTIZAN_LOG", "trace");
    });
    client.initialize_as("2025-11-25", &json!({"elicitation": {}}));
    let first = client.request("tools/call", &json!({"name": "all", "arguments": {}, "_meta": {"progressToken": "p"}}));
    assert!(first.to_string().contains("[secret:known:"), "{first}");
    for tool in ["fails", "escaped", "keyed", "strange"] {
        client.call(tool, &json!({}));
    }
    // What a client that has it all the same sends on goes nowhere either.
    client.call("all", &json!({"path": HELD}));
    let mut seen = client.so_far().iter().map(Value::to_string).collect::<String>();
    assert!(client.leave().success());
    seen.push_str(&elsewhere(&stage, metrics));
    stage.verify();
    let answers: String = client.transcript().lines().filter(|line| line.contains("<--")).collect();
    assert!(answers.contains("elicitation/create") && answers.contains("notifications/message"), "{answers}");
    assert!(answers.contains("notifications/progress"), "{answers}");
    seen.push_str(&answers);
    seen.push_str(&client.said.text());
    for entry in stage.journal().0 {
        seen.push_str(&entry.to_string());
    }
    for spelling in spellings() {
        let at = seen.find(&spelling).map(|at| seen.chars().skip(at.saturating_sub(200)).take(400).collect::<String>());
        assert_eq!(at, None, "{spelling}");
    }
}

#[test]
fn honest_content_comes_back_as_it_was() {
    let honest = [
        "fn main() { let v: Vec<u8> = vec![0x7f]; } // see [docs](https://doc.rust-lang.org)\n",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8\nAuthor: Ann <ann@example.org>\n\n    Fix the parser\n",
        "<html><body><h1>Hello</h1><a href=\"https://example.org/?q=1\">x</a></body></html>",
        "{\"id\": \"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\", \"etag\": \"W/\\\"0815\\\"\", \"next_page_token\": \"CAUQAA\"}",
        "total 8\ndrwxr-xr-x 2 root root 4096 Nov 21 10:00 .\n-rw-r--r-- 1 root root  220 Nov 21 10:00 a.txt\n",
        "Du kannst die Datei öffnen. 请打开文件。 Ouvrez le fichier. 👩\u{200d}💻",
    ];
    let script = honest.iter().enumerate().fold(Script::with_tools(["a0", "a1", "a2", "a3", "a4", "a5"]), |script, (at, text)| {
        script.on(
            &format!("tools/call a{at}"),
            vec![Act::Answer(json!({"content": [{"type": "text", "text": text}], "structuredContent": {"text": text}}))],
        )
    });
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    for (at, honest) in honest.iter().enumerate() {
        let answer = client.call(&format!("a{at}"), &json!({}));
        assert_eq!((text(&answer), answer.pointer("/result/structuredContent/text").and_then(Value::as_str)), (*honest, Some(*honest)));
    }
    assert!(client.leave().success());
}
