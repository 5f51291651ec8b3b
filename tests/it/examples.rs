//! The specification's own example messages (2026-07-28): every request and notification of a client, and
//! everything that a server sends, is understood. The examples are data beside the repository, like the corpora.

use std::path::{Path, PathBuf};

use bartizan_monitor::wire::envelope::{self, Arrival, Message};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::{Form, Method, Sender};
use bartizan_monitor::wire::mirror::Mirror;
use bartizan_monitor::wire::version::Version;
use bytes::Bytes;

fn examples() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/mcp/examples/2026-07-28");
    std::env::var_os("BARTIZAN_EXAMPLES").map_or_else(|| PathBuf::from(beside), PathBuf::from)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| {
        panic!("{}: {error}. This test needs the example messages of the specification: put them beside the repository (../shared/mcp) or set BARTIZAN_EXAMPLES", directory.display())
    });
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Whether the message is understood from the side that sends it; nothing when it is no whole message.
fn understood(json: &Json) -> Option<Result<(), String>> {
    let view = json.view();
    view.get("jsonrpc")?;
    let text = json.bytes().clone();
    let method = view.get("method").and_then(|method| method.as_str()).and_then(|name| Method::read(&name));
    let from_client = method.is_some_and(|method| method.allowed(Sender::Client, Version::NEWEST));
    if from_client && method.is_some_and(|method| method.form() == Form::Request) {
        let Arrival::One(parsed) = envelope::parse(text, &Mirror::none(), None) else { return Some(Err("a batch".to_owned())) };
        return Some(parsed.map(|_| ()).map_err(|misread| format!("{}: {}", misread.refusal.reason, misread.refusal.detail)));
    }
    let parsed = envelope::parse_server(text, Version::NEWEST);
    Some(
        parsed
            .map(|messages| assert!(matches!(messages.as_slice(), [Message::Notification { .. } | Message::Response { .. }])))
            .map_err(|refusal| refusal.detail),
    )
}

#[test]
fn every_example_message_is_understood() {
    let (mut messages, mut wrong) = (0, Vec::new());
    for path in files(&examples()) {
        let json = Json::parse(Bytes::from(std::fs::read(&path).expect("readable"))).expect("strict JSON");
        match understood(&json) {
            None => {}
            Some(Ok(())) => messages += 1,
            // Requests that servers make stand inside results in this version, without id and version.
            Some(Err(why)) => wrong.push(format!("{}: {why}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(messages > 20, "only {messages} examples are whole messages");
}
