//! What `/metrics` says: it is true, it is OpenMetrics, and it holds nothing that somebody outside wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bartizan_tests::gateway::Stage;
use bartizan_tests::json::reason;
use bartizan_tests::process::eventually;
use bartizan_tests::script::{Act, Script};
use serde_json::json;

/// Asks for a page; the status, the headers and the body.
fn get(address: SocketAddr, head: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn scrape(address: SocketAddr) -> Scrape {
    let (status, head, body) = get(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}"));
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    Scrape::read(&body)
}

/// What was read: by the whole sample's name with its labels as they stand.
#[derive(Debug)]
struct Scrape {
    samples: BTreeMap<String, f64>,
    text: String,
}

/// Whether a text is a name (OpenMetrics 1.0, section ABNF); a label's may have no colon.
fn is_name(text: &str, colon: bool) -> bool {
    let known = |c: char| c.is_ascii_alphabetic() || c == '_' || (colon && c == ':');
    text.starts_with(known) && text.chars().all(|c| known(c) || c.is_ascii_digit())
}

/// `a="b",c="d"`: the names; values are escaped.
fn labels(text: &str) -> Vec<(String, String)> {
    let mut rest = text;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("a label has a quoted value");
        assert!(is_name(name, false) && !name.starts_with("__"), "{name}");
        let end = value.char_indices().scan(false, |escaped, (at, c)| {
            let end = c == '"' && !*escaped;
            *escaped = c == '\\' && !*escaped;
            Some((at, end))
        });
        let end = end.filter(|(_, end)| *end).map(|(at, _)| at).next().expect("the value ends");
        assert!(!value[..end].contains('\n'));
        found.push((name.to_owned(), value[..end].to_owned()));
        rest = value[end + 1..].strip_prefix(',').unwrap_or(&value[end + 1..]);
    }
    let names: BTreeSet<&String> = found.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), found.len(), "a label stands twice: {text}");
    found
}

impl Scrape {
    /// Reads OpenMetrics text as strictly as the specification allows: every family is described before its samples
    /// and stands together, names fit their types and units, nothing stands twice, and the text has its end.
    fn read(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "the end");
        let mut samples = BTreeMap::new();
        let (mut families, mut family): (BTreeSet<String>, Option<(String, String)>) = (BTreeSet::new(), None);
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(described) = line.strip_prefix("# ") {
                let mut words = described.splitn(3, ' ');
                let (what, name, rest) = (words.next().expect(line), words.next().expect(line), words.next().unwrap_or_default());
                assert!(is_name(name, true), "{line}");
                match what {
                    "HELP" => assert!(families.insert(name.to_owned()), "{name} is described twice"),
                    "TYPE" => family = Some((name.to_owned(), rest.to_owned())),
                    "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (family, kind) = family.as_ref().expect("a sample belongs to a family");
            let (key, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels_text) = key.split_once('{').map_or((key, ""), |(name, rest)| (name, rest.strip_suffix('}').expect(line)));
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => panic!("the type {other}"),
            };
            assert!(families.contains(family), "{family} has no help");
            assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{name} does not belong to {family}, a {kind}");
            assert!(name.starts_with("bartizan_") && is_name(name, true), "{name}");
            labels(labels_text);
            let value = value.parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(kind == "gauge" || value >= 0.0, "{line}");
            assert!(samples.insert(key.to_owned(), value).is_none(), "twice: {key}");
        }
        Self { samples, text: text.to_owned() }
    }

    fn of(&self, key: &str) -> f64 {
        *self.samples.get(key).unwrap_or_else(|| panic!("no {key} in\n{}", self.text))
    }

    /// The sum over a family.
    fn sum(&self, begins: &str) -> f64 {
        self.samples.iter().filter(|(key, _)| key.starts_with(begins)).map(|(_, value)| value).sum()
    }
}

fn offer(description: &str) -> Script {
    let mut script = Script::with_tools(["a", "b"]);
    script.tools[0]["description"] = json!(description);
    script
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

#[test]
fn calls_refusals_and_drift_are_counted_and_hold_no_secret() {
    let address = free_address();
    let stage = Stage::with_server("files", &offer("Reads."));
    stage.configure(&format!("[metrics]\nlisten = \"{address}\"\n[drift]\nprobe_every = \"1s\""));
    let token = stage.token("canary-principal", &[]).text;
    let gateway = stage.serve();
    let before = scrape(address);
    assert_eq!(before.of("bartizan_build_info{version=\"0.1.0\"}"), 1.0);
    assert_eq!(before.sum("bartizan_calls_total"), 0.0);
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    for argument in ["canary-argument", "canary-other"] {
        let called = visitor.request("tools/call", &json!({"name": "a", "arguments": {"text": argument}})).json();
        assert_eq!(reason(&called), None, "{called}");
    }
    let refused = visitor.request("tools/call", &json!({"name": "canary-tool", "arguments": {}})).json();
    assert_eq!(reason(&refused), Some("catalog.unknown"), "{refused}");
    assert_eq!(gateway.visitor("btz_canary-token").request("ping", &json!({})).status(), 401);
    let seen = scrape(address);
    assert_eq!(seen.of("bartizan_calls_total{server=\"files\",effect=\"read\",outcome=\"answered\"}"), 2.0);
    assert_eq!(seen.of("bartizan_upstream_duration_seconds_count{server=\"files\"}"), 2.0);
    assert_eq!(seen.of("bartizan_upstream_duration_seconds_bucket{le=\"+Inf\",server=\"files\"}"), 2.0);
    assert!(seen.of("bartizan_upstream_duration_seconds_sum{server=\"files\"}") > 0.0);
    assert_eq!(seen.of("bartizan_refusals_total{reason=\"catalog.unknown\"}"), 1.0);
    assert_eq!(seen.sum("bartizan_refusals_total{reason=\"identity."), 1.0);
    assert_eq!(seen.of("bartizan_sessions"), 1.0);
    assert_eq!(before.of("bartizan_server_state{server=\"files\",state=\"idle\"}"), 1.0);
    assert_eq!(seen.of("bartizan_server_state{server=\"files\",state=\"running\"}"), 1.0);
    assert_eq!(seen.of("bartizan_server_confined{server=\"files\",level=\"none\"}"), 1.0);
    let lines = std::fs::read_dir(stage.state().join("journal")).expect("a journal").flatten();
    let newest = lines.map(|entry| entry.path()).max().expect("a file");
    let text = std::fs::read_to_string(newest).expect("readable");
    assert_eq!(seen.of("bartizan_journal_lines_total") as usize, text.lines().count());
    assert_eq!(seen.of("bartizan_journal_bytes_total") as usize, text.len());
    // Drift that nobody calls shows within the probe's interval, and goes when it was reviewed.
    stage.script("files", &offer("Reads, and sends canary-description along."));
    let drifted = |scrape: &Scrape| scrape.of("bartizan_drifted_definitions{server=\"files\",grade=\"steering\"}");
    assert_eq!(drifted(&seen), 0.0);
    eventually("the probe finds it", || drifted(&scrape(address)) == 1.0);
    let found = scrape(address);
    assert_eq!(found.of("bartizan_drift_found_total{server=\"files\",grade=\"steering\"}"), 1.0);
    stage.approve(&["files"], &[]);
    eventually("what was reviewed drifts no more", || drifted(&scrape(address)) == 0.0);
    let last = scrape(address);
    assert_eq!(last.of("bartizan_drift_found_total{server=\"files\",grade=\"steering\"}"), 1.0, "a counter only grows");
    assert!(!last.text.contains("canary-") && !last.text.contains(&token), "{}", last.text);
    drop(gateway);
    stage.verify();
}

#[test]
fn a_server_that_ends_when_it_starts_is_shown_as_failing() {
    let address = free_address();
    let stage = Stage::with_server("files", &offer("Reads."));
    stage.configure(&format!("[metrics]\nlisten = \"{address}\""));
    stage.script("files", &offer("Reads.").on("start", vec![Act::Exit(1)]));
    let token = stage.token("laptop", &[]).text;
    let gateway = stage.serve();
    let listed = gateway.visitor(&token).at("/mcp/files").modern("tools/list", &json!({})).json();
    assert!(reason(&listed).is_some_and(|reason| reason.starts_with("upstream.")), "{listed}");
    eventually("it is failing", || scrape(address).of("bartizan_server_state{server=\"files\",state=\"failing\"}") == 1.0);
}

#[test]
fn metrics_are_for_this_machine_and_no_web_page() {
    let address = free_address();
    let stage = Stage::with_server("files", &offer("Reads."));
    stage.configure(&format!("[metrics]\nlisten = \"{address}\""));
    let gateway = stage.serve();
    let status = |head: &str| get(address, head).0;
    assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: localhost:1"), 200);
    assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: rebound.example.com"), 403);
    assert_eq!(status(&format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}")), 403);
    assert_eq!(status(&format!("POST /metrics HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0")), 405);
    assert_eq!(status(&format!("GET /mcp HTTP/1.1\r\nHost: {address}")), 404);
    // The clients' address has no metrics.
    assert_ne!(get(gateway.address, &format!("GET /metrics HTTP/1.1\r\nHost: {}", gateway.address)).0, 200);
    drop(gateway);
    stage.configure("[metrics]\nlisten = \"0.0.0.0:9464\"");
    let said = stage.output(&["check"]);
    let text = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(said.status.code() != Some(0) && text.contains("not an address of this machine alone"), "{text}");
}
