//! Spans at a real collector: what they say, what they do not hold, and that nobody waits for it.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_tests::gateway::{Guarded, Stage};
use bartizan_tests::json::reason;
use bartizan_tests::process::{eventually, signal};
use bartizan_tests::script::Script;
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "5b8efff798038103d269b633813fc60c";

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

/// A collector that writes down what it understood.
struct Collector {
    _process: Guarded,
    address: SocketAddr,
    log: PathBuf,
}

impl Collector {
    fn start(stage: &Stage) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| tests.join("../target/real"), PathBuf::from);
        let packages = real.join("rotel/lib").read_dir().into_iter().flatten().flatten().next();
        let program = packages.map(|python| python.path().join("site-packages/rotel/rotel-agent")).filter(|program| program.is_file());
        let program = program.unwrap_or_else(|| panic!("rotel is not installed in {}; run: tests/real/install rotel", real.display()));
        let (address, log) = (free_address(), stage.path("collector.log"));
        let mut command = Command::new(program);
        command.args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &address.to_string(), "--otlp-grpc-endpoint", &free_address().to_string()]);
        command.args(["--batch-timeout", "50ms", "--pid-file"]).arg(stage.path("collector.pid"));
        let file = std::fs::File::create(&log).expect("a log");
        command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(file);
        let collector = Self { _process: Guarded(command.spawn().expect("rotel")), address, log };
        eventually("the collector listens", || TcpStream::connect(address).is_ok());
        collector
    }

    /// What it understood, span by span.
    fn spans(&self) -> Vec<Span> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.split("\nSpan #").skip(1).map(|span| Span(span.to_owned())).collect()
    }

    /// The spans of a name, as soon as there are so many.
    fn named(&self, name: &str, count: usize) -> Vec<Span> {
        let named = || self.spans().into_iter().filter(|span| span.field("Name") == name).collect::<Vec<_>>();
        eventually(&format!("{count} spans are called {name:?}"), || named().len() >= count);
        named()
    }
}

#[derive(Debug)]
struct Span(String);

impl Span {
    fn field(&self, name: &str) -> &str {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        let field = fields.find(|(key, _)| key.trim() == name);
        field.map_or_else(|| panic!("no {name} in {}", self.0), |(_, value)| value.trim())
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let begins = format!("-> {name}: Str(");
        self.0.lines().find_map(|line| line.trim().strip_prefix(&begins)?.strip_suffix(')'))
    }

    fn times(&self) -> (u64, u64) {
        let [start, end] = ["Start time", "End time"].map(|name| self.field(name).parse().expect("nanoseconds"));
        (start, end)
    }
}

fn traced(address: SocketAddr, rest: &str) -> String {
    format!("[traces]\nurl = \"http://{address}/v1/traces\"\n{rest}")
}

#[test]
fn a_real_collector_is_told_how_long_calls_took_and_nothing_of_what_they_said() {
    let stage = Stage::with_server("files", &Script::with_tools(["a", "b"]));
    let collector = Collector::start(&stage);
    stage.configure(&traced(collector.address, "share = 1.0"));
    let token = stage.token("canary-principal", &[]).text;
    let mut gateway = stage.serve();
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize().with("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-00"));
    let good = visitor.request("tools/call", &json!({"name": "a", "arguments": {"text": "canary-argument"}})).json();
    assert_eq!(reason(&good), None, "{good}");
    let bad = visitor.request("tools/call", &json!({"name": "canary-tool", "arguments": {}})).json();
    assert_eq!(reason(&bad), Some("catalog.unknown"), "{bad}");
    // What stands in the message is nearer to the call than what stands around it.
    let meta = json!({"traceparent": format!("00-{OTHER}-eee19b7ec3c1b174-01")});
    let inner = visitor.request("tools/call", &json!({"name": "b", "arguments": {"text": "canary-argument"}, "_meta": meta})).json();
    assert_eq!(reason(&inner), None, "{inner}");
    let (first, second) = (collector.named("tools/call a", 1), collector.named("tools/call b", 1));
    let (a, b) = (&first[0], &second[0]);
    assert_eq!((a.field("Trace ID"), a.field("Parent ID"), a.field("Kind")), (TRACE, "00f067aa0ba902b7", "SPAN_KIND_SERVER"));
    assert_eq!((b.field("Trace ID"), b.field("Parent ID")), (OTHER, "eee19b7ec3c1b174"));
    assert_eq!(["mcp.method.name", "gen_ai.tool.name"].map(|name| a.attribute(name)), [Some("tools/call"), Some("a")]);
    let own = ["bartizan.server", "bartizan.effect", "bartizan.outcome", "error.type"].map(|name| a.attribute(name));
    assert_eq!(own, [Some("files"), Some("read"), Some("answered"), None]);
    // Of a call that was refused the reason is told, and no name that the client made up; of one that was sent, the server's part.
    let calls = collector.named("tools/call", 3);
    let refused = calls.iter().find(|span| span.attribute("error.type").is_some()).expect("the refused one");
    assert_eq!((refused.attribute("error.type"), refused.field("Status code")), (Some("catalog.unknown"), "STATUS_CODE_ERROR"));
    let waited = calls.iter().find(|span| span.field("Parent ID") == a.field("ID")).expect("the server's part");
    assert_eq!(waited.field("Kind"), "SPAN_KIND_CLIENT");
    let ((begins, ends), (asked, answered)) = (a.times(), waited.times());
    assert!(begins <= asked && asked < answered && answered <= ends, "{begins} {asked} {answered} {ends}");
    // The number leads to the record.
    let number = a.attribute("bartizan.call").expect("a number").to_owned();
    eventually("the record is closed", || stage.journal().records().get(&number).is_some_and(|record| !record.closed.is_empty()));
    // What ended last is told before the gateway ends.
    assert_eq!(visitor.request("ping", &json!({})).status(), 200);
    signal(gateway.pid(), "TERM");
    assert!(gateway.end().success());
    collector.named("ping", 1);
    let text = std::fs::read_to_string(&collector.log).expect("a log");
    assert!(!text.contains("canary-") && !text.contains(&token), "{text}");
    stage.verify();
}

#[test]
fn no_call_waits_for_a_collector_that_hangs() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    stage.configure(&traced(silent.local_addr().expect("its address"), "share = 1.0\ntoken = \"${env:COLLECTOR_TOKEN}\""));
    let token = stage.token("laptop", &[]).text;
    let mut gateway = stage.serve_with(|command| _ = command.env("COLLECTOR_TOKEN", "collector-secret"));
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    for _ in 0..20 {
        let called = visitor.request("tools/call", &json!({"name": "a", "arguments": {}})).json();
        assert_eq!(reason(&called), None, "{called}");
    }
    // What it is shown is the token.
    let (mut shown, mut head) = (silent.accept().expect("the gateway calls").0, [0; 512]);
    shown.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let length = shown.read(&mut head).expect("a request");
    let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
    assert!(head.starts_with("post /v1/traces") && head.contains("authorization: bearer collector-secret\r\n"), "{head}");
    let asked = Instant::now();
    signal(gateway.pid(), "TERM");
    assert!(gateway.end().success());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let _ = gateway.said.line_with("the last spans are lost");
    stage.verify();
}

#[test]
fn calls_that_are_not_in_the_share_are_not_told() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let collector = Collector::start(&stage);
    stage.configure(&traced(collector.address, "share = 0.5"));
    let token = stage.token("laptop", &[]).text;
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    // Everybody who follows by the same trace ids follows the same calls: the rightmost digits decide, and no flag.
    let (low, high) = ("00000000000000000000000000000001", "000000000000000000ffffffffffffff");
    for trace in [low, high] {
        visitor = visitor.with("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
        let called = visitor.request("tools/call", &json!({"name": "a", "arguments": {}})).json();
        assert_eq!(reason(&called), None, "{called}");
    }
    let told = collector.named("tools/call a", 1);
    assert_eq!(told[0].field("Trace ID"), high);
    assert!(!collector.spans().iter().any(|span| span.field("Trace ID") == low));
}
