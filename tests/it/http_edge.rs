//! The HTTP edge: the corpus of requests byte for byte, credentials, sessions, streams.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bartizan_monitor::wire::json::{Json, View};
use bartizan_tests::corpora;
use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Response, Served};
use bartizan_tests::json::reason;
use bartizan_tests::script::{self, Act, Script};
use serde_json::{Value, json};

/// The tools that the corpus calls.
fn tools() -> Script {
    let mut script = Script::with_tools(["read_file", "delete_all", "читать"]);
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
    /// The statuses that are right here.
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
        Some((line, rest)) if rest.contains(": ") || rest.contains(":") => format!("{line}\r\nAuthorization: Bearer {token}\r\n{rest}"),
        _ => raw.to_owned(),
    }
}

/// Sends the bytes, says that nothing more comes, and reads everything.
fn play(gateway: &Served, raw: &[u8]) -> Outcome {
    let mut wire = gateway.dial();
    wire.send(raw);
    let (mut statuses, mut first) = (Vec::new(), None);
    // A gateway that waits for more of the request gets nothing more, and answers or hangs up then.
    let mut closed = false;
    loop {
        if statuses.len() == 1 && !closed {
            wire.finish();
            closed = true;
        }
        if statuses.is_empty() {
            wire.finish_soon();
        }
        match wire.response() {
            Some(response) => {
                statuses.push(response.status());
                first.get_or_insert(response);
            }
            None => break,
        }
    }
    Outcome { statuses, first, closed }
}
