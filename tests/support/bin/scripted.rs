//! An MCP server that misbehaves on command, over standard input and output or over HTTP.
//!
//! `scripted SCRIPT.json [--http]`. Beside the script it keeps what tests look at: `SCRIPT.log` has a
//! line for every message that it received, `SCRIPT.pids` the numbers of its processes, `SCRIPT.env` the
//! environment in which it was started. With `--http` it prints the address at which it listens.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_tests::json;
use bartizan_tests::script::{Act, Era, Script, long, text};
use serde_json::{Value, json};

fn main() {
    let mut words = std::env::args().skip(1);
    let path = PathBuf::from(words.next().expect("a script"));
    let number = std::fs::read_to_string(path.with_extension("pids")).map_or(0, |pids| pids.lines().count());
    let server = Arc::new(Server { path, number, met_discovery: AtomicBool::new(false), files: Mutex::new(()) });
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    server.append("env", &serde_json::to_string(&environment).expect("text"));
    server.append("pids", &std::process::id().to_string());
    if words.next().as_deref() == Some("--http") {
        serve(&server);
    } else {
        converse(&server);
    }
}

struct Server {
    path: PathBuf,
    /// How many processes of it were started before.
    number: usize,
    met_discovery: AtomicBool,
    files: Mutex<()>,
}

/// Where answers go.
trait Out {
    fn line(&mut self, text: &str);
    fn bytes(&mut self, bytes: &[u8]);
    fn close(&mut self);
    /// Waits until the other side is gone; at once where that cannot be seen.
    fn await_end(&mut self);
    /// Whether the other side was there when something was written last.
    fn is_heard(&self) -> bool;
}

/// A message as far as the server reads one.
struct Received {
    message: Value,
}

impl Received {
    /// What is asked or told; for an answer to a question of the server's own, `result` or `error`.
    fn method(&self) -> &str {
        let member = ["result", "error"].into_iter().find(|member| self.message.get(member).is_some());
        self.message.get("method").and_then(Value::as_str).or(member).unwrap_or_default()
    }

    fn id(&self) -> Option<&Value> {
        self.message.get("id")
    }

    fn is_request(&self) -> bool {
        self.id().is_some() && self.message.get("method").is_some()
    }

    fn param(&self, name: &str) -> &str {
        self.message.get("params").and_then(|params| params.get(name)).and_then(Value::as_str).unwrap_or_default()
    }

    fn target(&self) -> &str {
        let name = self.param("name");
        if name.is_empty() { self.param("uri") } else { name }
    }

    fn answer(&self, member: &str, body: &Value) -> String {
        json!({"jsonrpc": "2.0", "id": self.id().unwrap_or(&Value::Null), member: body}).to_string()
    }

    fn filled(&self, text: &str) -> String {
        let token = self.message.pointer("/params/_meta/progressToken").unwrap_or(&Value::Null);
        text.replace("$ID", &self.id().unwrap_or(&Value::Null).to_string())
            .replace("$TOKEN", &token.to_string())
            .replace("$PID", &std::process::id().to_string())
    }
}

impl Server {
    fn beside(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(name)
    }

    fn append(&self, extension: &str, line: &str) {
        let _held = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let file = OpenOptions::new().create(true).append(true).open(self.path.with_extension(extension));
        // One write per line: several processes of one server share the file.
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("the directory of the script is writable");
    }

    fn script(&self) -> Script {
        let text = std::fs::read(&self.path).expect("the script can be read");
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("the script is wrong: {error}"))
    }

    /// What to do for a message beside the usual.
    fn acts(&self, received: &Received) -> Option<Vec<Act>> {
        let mut on = self.script().on;
        let exact = on.remove(&format!("{} {}", received.method(), received.target()));
        exact.or_else(|| on.remove(received.method()))
    }

    /// Does the usual for a request; what a server does for the rest is nothing.
    fn usual(&self, received: &Received, out: &mut dyn Out) {
        if !received.is_request() {
            return;
        }
        let script = self.script();
        let result = match received.method() {
            "initialize" => self.initialized(&script, received),
            "server/discover" => self.discovered(&script),
            "tools/list" => Ok(json!({"tools": script.each.get(self.number).unwrap_or(&script.tools)})),
            "prompts/list" => Ok(json!({"prompts": script.prompts})),
            "resources/list" => Ok(json!({"resources": script.resources})),
            "resources/templates/list" => Ok(json!({"resourceTemplates": script.templates})),
            "tools/call" => Ok(
                json!({"content": [{"type": "text", "text": received.message.pointer("/params/arguments").unwrap_or(&Value::Null).to_string()}]}),
            ),
            "prompts/get" => Ok(json!({"messages": []})),
            "resources/read" => Ok(json!({"contents": [{"uri": received.param("uri"), "text": "content"}]})),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => Ok(json!({})),
            _ => Err(json!({"code": -32601, "message": "not known"})),
        };
        let modern = script.era == Era::Modern || (script.era == Era::Both && received.message.pointer("/params/_meta").is_some());
        let line = match result {
            Ok(mut result) => {
                if let Some(members) = result.as_object_mut().filter(|_| modern) {
                    members.insert("resultType".to_owned(), json!("complete"));
                }
                received.answer("result", &result)
            }
            Err(error) => received.answer("error", &error),
        };
        out.line(&line);
    }

    fn capabilities(script: &Script) -> Value {
        let mut capabilities = json!({"tools": {"listChanged": true}, "logging": {}});
        if let Some(members) = capabilities.as_object_mut() {
            if !script.prompts.is_empty() {
                members.insert("prompts".to_owned(), json!({}));
            }
            if !script.resources.is_empty() || !script.templates.is_empty() {
                members.insert("resources".to_owned(), json!({"subscribe": true}));
            }
        }
        capabilities
    }

    fn initialized(&self, script: &Script, received: &Received) -> Result<Value, Value> {
        let refused = script.era == Era::Modern || (script.era == Era::Locks && self.met_discovery.load(Ordering::SeqCst));
        if refused {
            return Err(json!({"code": -32601, "message": "this server speaks another version"}));
        }
        let hello = json!({"protocolVersion": received.param("protocolVersion"), "capabilities": Self::capabilities(script), "serverInfo": {"name": "scripted", "version": "1"}});
        Ok(with(hello, script))
    }

    fn discovered(&self, script: &Script) -> Result<Value, Value> {
        self.met_discovery.store(true, Ordering::SeqCst);
        if matches!(script.era, Era::Legacy | Era::Locks) {
            return Err(json!({"code": -32601, "message": "not known"}));
        }
        let hello =
            json!({"supportedVersions": ["2026-07-28"], "capabilities": Self::capabilities(script), "ttlMs": 0, "cacheScope": "private"});
        Ok(with(hello, script))
    }

    fn perform(&self, acts: &[Act], received: &Received, out: &mut dyn Out) {
        for act in acts {
            match act {
                Act::Answer(result) => out.line(&received.answer("result", result)),
                Act::Error(error) => out.line(&received.answer("error", error)),
                Act::Line(text) => out.line(&received.filled(text)),
                Act::Bytes(text) => out.bytes(&hexadecimal(text)),
                Act::Repeat { line, times } => (0..*times).for_each(|_| out.line(&received.filled(line))),
                Act::Long { line, times } => out.line(&received.answer("result", &text(&long(line, *times)))),
                Act::Large { begin, unit, times, end } => {
                    let units: String = (0..*times).map(|number| unit.replace("$N", &number.to_string())).collect();
                    let id = received.id().unwrap_or(&Value::Null);
                    out.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{begin}{units}{end}}}"#));
                }
                Act::Endless(bytes) => endless(*bytes, out),
                Act::Forever { text, millis } => {
                    let text = received.filled(text);
                    while out.is_heard() {
                        out.bytes(text.as_bytes());
                        std::thread::sleep(Duration::from_millis(*millis));
                    }
                }
                Act::Say(text) => eprintln!("{text}"),
                Act::Wait(millis) => std::thread::sleep(Duration::from_millis(*millis)),
                Act::Until(name) => self.wait_for(name),
                Act::Touch(name) => drop(File::create(self.beside(name)).expect("a mark")),
                Act::Spawn => self.spawn(),
                Act::Exit(code) => std::process::exit(*code),
                Act::Close => out.close(),
                Act::Http(text) => out.bytes(text.as_bytes()),
                Act::HungUp(name) => {
                    out.await_end();
                    drop(File::create(self.beside(name)).expect("a mark"));
                }
            }
        }
    }

    fn wait_for(&self, name: &str) {
        while !self.beside(name).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[expect(clippy::zombie_processes, reason = "nobody waits for it: that is the misbehaviour")]
    fn spawn(&self) {
        // A session of its own: whoever kills the process group does not reach it.
        let child = Command::new("setsid")
            .args(["sleep", "600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a grandchild");
        self.append("pids", &child.id().to_string());
    }
}

fn with(mut hello: Value, script: &Script) -> Value {
    if let Some(members) = hello.as_object_mut() {
        members.extend(script.hello.clone());
    }
    hello
}

fn endless(mut bytes: u64, out: &mut dyn Out) {
    let block = vec![b'x'; 1 << 16];
    while bytes > 0 {
        let part = bytes.min(1 << 16);
        out.bytes(&block[..usize::try_from(part).expect("small")]);
        bytes -= part;
    }
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).expect("hexadecimal")).expect("below 16");
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Standard output, shared by everything that is said at the same time.
#[derive(Clone)]
struct Pipe(Arc<Mutex<std::io::Stdout>>);

impl Out for Pipe {
    fn line(&mut self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more: then there is nobody to misbehave for.
        if pipe.write_all(bytes).and_then(|()| pipe.flush()).is_err() {
            std::process::exit(0);
        }
    }

    fn close(&mut self) {
        std::process::exit(0);
    }

    fn await_end(&mut self) {}

    fn is_heard(&self) -> bool {
        // Who is not heard any more ends.
        true
    }
}

fn converse(server: &Arc<Server>) {
    let out = Pipe(Arc::new(Mutex::new(std::io::stdout())));
    let start = Received { message: json!({"method": "start"}) };
    // Before anything is read: a server that ends at its start has answered nothing.
    server.perform(&server.acts(&start).unwrap_or_default(), &start, &mut out.clone());
    let mut input = BufReader::new(std::io::stdin());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        server.append("log", &json!({"pid": std::process::id(), "line": text}).to_string());
        act(server, Received { message: json::read(&text) }, &out);
        line.clear();
    }
}

fn act(server: &Arc<Server>, received: Received, out: &Pipe) {
    let mut out = out.clone();
    match server.acts(&received) {
        None => server.usual(&received, &mut out),
        Some(acts) => {
            let server = server.clone();
            // What takes long for one message must not hold up the next.
            std::thread::spawn(move || server.perform(&acts, &received, &mut out));
        }
    }
}

/// One connection. Nothing is said before it is known how: a single answer is JSON, anything else a stream.
struct Line {
    stream: TcpStream,
    session: bool,
    begun: bool,
    /// Whether the answer is said as JSON, which ends it.
    whole: bool,
    hung_up: bool,
}

impl Line {
    fn begin(&mut self, kind: &str, length: Option<usize>) {
        if self.begun {
            return;
        }
        self.begun = true;
        let session = if self.session { "Mcp-Session-Id: scripted-session\r\n" } else { "" };
        let end = length.map_or_else(|| "Connection: close\r\n".to_owned(), |length| format!("Content-Length: {length}\r\n"));
        self.write(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{session}{end}\r\n").as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        // The gateway may have hung up, which is its right.
        self.hung_up |= self.stream.write_all(bytes).is_err();
    }
}

impl Out for Line {
    fn line(&mut self, text: &str) {
        if self.whole {
            self.begin("application/json", Some(text.len()));
            return self.write(text.as_bytes());
        }
        self.begin("text/event-stream", None);
        self.write(format!("data: {text}\n\n").as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // A response that is given as it stands begins with its own head.
        if !bytes.starts_with(b"HTTP/") {
            self.begin("text/event-stream", None);
        }
        self.begun = true;
        self.write(bytes);
    }

    fn close(&mut self) {
        self.begun = true;
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn await_end(&mut self) {
        let mut rest = [0; 1024];
        while self.stream.read(&mut rest).is_ok_and(|length| length > 0) {}
    }

    fn is_heard(&self) -> bool {
        !self.hung_up
    }
}

fn serve(server: &Arc<Server>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    for stream in listener.incoming().flatten() {
        let server = server.clone();
        std::thread::spawn(move || connection(&server, stream));
    }
}

fn connection(server: &Arc<Server>, stream: TcpStream) {
    let mut input = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some((head, body)) = request(&mut input) {
        server.append("log", &json!({"pid": std::process::id(), "head": head, "line": body}).to_string());
        let mut line =
            Line { stream: stream.try_clone().expect("a second handle"), session: false, begun: false, whole: true, hung_up: false };
        let received = if head.starts_with("POST") { json::read(&body) } else { json!({"method": head.split(' ').next()}) };
        let received = Received { message: received };
        line.session = received.method() == "initialize";
        match server.acts(&received) {
            Some(acts) => {
                line.whole = matches!(acts.as_slice(), [Act::Answer(_) | Act::Error(_) | Act::Large { .. }]);
                server.perform(&acts, &received, &mut line);
                if !line.whole {
                    // A stream ends with its connection.
                    return line.close();
                }
            }
            None if received.is_request() => server.usual(&received, &mut line),
            None => line.write(match head.split(' ').next() {
                Some("GET") => b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n",
                Some("DELETE") => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                _ => b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
            }),
        }
    }
}

/// The head of a request and its body; nothing at the end of the connection.
fn request(input: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}
