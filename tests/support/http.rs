//! A client of `bartizan serve` that decides about every byte: HTTP/1.1 over a plain socket.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{PATIENCE, Said, end_of};

/// A running `bartizan serve`.
#[derive(Debug)]
pub struct Served {
    pub(crate) child: Child,
    /// What it says on standard error.
    pub said: Said,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Served {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub fn end(&mut self) -> ExitStatus {
        end_of(&mut self.child)
    }

    /// Opens a connection.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    #[must_use]
    pub fn dial(&self) -> Wire {
        Wire::to(self.address)
    }

    /// A client with this credential, at `/mcp`.
    #[must_use]
    pub fn visitor(&self, token: &str) -> Visitor<'_> {
        Visitor { gateway: self, headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))], path: "/mcp".to_owned(), next: 0 }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    input: BufReader<TcpStream>,
}

/// What comes next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// Bytes.
    Data,
    /// The end: the gateway hung up.
    End,
    /// Nothing, for as long as was waited.
    Nothing,
}

/// A response without its body.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as JSON; of a stream, the last message. `null` when there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        let data = text.lines().rev().find_map(|line| line.strip_prefix("data: ").filter(|data| !data.is_empty()));
        serde_json::from_str(data.unwrap_or(&text)).unwrap_or_default()
    }
}

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Option<String>,
    /// Its data.
    pub data: String,
}

impl Event {
    /// The data as JSON; `null` when there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }
}

impl Wire {
    /// Opens a connection to whoever listens there.
    ///
    /// # Panics
    ///
    /// When nobody does.
    #[must_use]
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { input: BufReader::new(stream) }
    }

    /// Sends bytes. A gateway that has hung up does not take them, which is its right.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.input.get_mut().write_all(bytes).is_ok()
    }

    /// The port at this end.
    ///
    /// # Panics
    ///
    /// When the socket has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.input.get_ref().local_addr().expect("a socket").port()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.input.get_ref().shutdown(Shutdown::Write);
    }

    /// Hangs up.
    pub fn hang_up(self) {
        let _ = self.input.get_ref().shutdown(Shutdown::Both);
    }

    /// Another end of the same connection, to send while this one reads.
    ///
    /// # Panics
    ///
    /// When the system has no handle left.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self { input: BufReader::new(self.input.get_ref().try_clone().expect("a second handle")) }
    }

    /// Waits for something to read.
    ///
    /// # Panics
    ///
    /// When the socket cannot be waited at.
    pub fn wait(&mut self, limit: Duration) -> Waited {
        self.input.get_ref().set_read_timeout(Some(limit)).expect("a socket");
        let waited = match self.input.fill_buf() {
            Ok([]) => Waited::End,
            Ok(_) => Waited::Data,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Waited::Nothing,
            Err(_) => Waited::End,
        };
        self.input.get_ref().set_read_timeout(Some(PATIENCE)).expect("a socket");
        waited
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
            // A reset is an end, too; waiting in vain is not.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing comes any more: {error}"),
        }
    }

    /// The head of the next response; `None` when the gateway hangs up instead.
    ///
    /// # Panics
    ///
    /// When what comes is not HTTP, or nothing comes.
    pub fn head(&mut self) -> Option<Head> {
        let status = self.line()?;
        let status = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
        let mut head = Head { status: status.expect("a status line"), headers: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(head);
            }
            let (name, value) = line.split_once(':').expect("a header");
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(self.line()?.trim(), 16).ok()?;
        let bytes = self.exactly(length)?;
        self.line()?;
        (length > 0).then_some(bytes)
    }

    /// The next response, whole; `None` when the gateway hangs up instead.
    pub fn response(&mut self) -> Option<Response> {
        let mut head = self.head()?;
        while head.status == 100 {
            head = self.head()?;
        }
        let body = if head.is_chunked() {
            std::iter::from_fn(|| self.chunk()).flatten().collect()
        } else {
            let length = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            self.exactly(length).unwrap_or_default()
        };
        Some(Response { head, body })
    }

    /// Everything that still comes until the gateway hangs up.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.input.read_to_end(&mut rest);
        rest
    }

    /// Reads a stream of events.
    #[must_use]
    pub fn events(self) -> Events {
        Events { wire: self, text: String::new() }
    }
}

/// A stream of events that is being read. Events come in chunks of their own here.
#[derive(Debug)]
pub struct Events {
    wire: Wire,
    text: String,
}

impl Events {
    /// Stops reading.
    pub fn hang_up(self) {
        self.wire.hang_up();
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned())) {
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned());
                if event.starts_with(':') {
                    continue;
                }
                return Some(Event { id: field("id:"), data: field("data:").unwrap_or_default() });
            }
            let chunk = self.wire.chunk()?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

/// A client with a credential.
#[derive(Debug, Clone)]
pub struct Visitor<'g> {
    gateway: &'g Served,
    headers: Vec<(String, String)>,
    path: String,
    next: u64,
}

impl Visitor<'_> {
    /// The same at another path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same with another header, in the place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Sends a request on a connection of its own, which stays open for what comes back.
    #[must_use]
    pub fn begin(&self, method: &str, body: &str) -> Wire {
        let mut head = format!("{method} {} HTTP/1.1\r\n", self.path);
        let usual = [("Host", self.gateway.address.to_string()), ("Accept", "application/json, text/event-stream".to_owned())];
        let posted = [("Content-Type", "application/json".to_owned()), ("Content-Length", body.len().to_string())];
        for (name, value) in usual.iter().chain(posted.iter().filter(|_| method == "POST")) {
            if !self.has(name) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut wire = self.gateway.dial();
        wire.send(format!("{head}\r\n{body}").as_bytes());
        wire
    }

    /// Sends a request and waits for the whole response.
    ///
    /// # Panics
    ///
    /// When the gateway hangs up.
    #[must_use]
    pub fn send(&self, method: &str, body: &str) -> Response {
        self.begin(method, body).response().expect("a response")
    }

    /// Posts a message.
    #[must_use]
    pub fn post(&self, message: &Value) -> Response {
        self.send("POST", &message.to_string())
    }

    /// A request of the legacy protocol.
    pub fn request(&mut self, method: &str, params: &Value) -> Response {
        self.next += 1;
        self.post(&json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}))
    }

    /// Opens a session; the visitor is in it from now on.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn initialize(mut self) -> Self {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let answer = self.request("initialize", &params);
        let session = answer.head.header("mcp-session-id").unwrap_or_else(|| panic!("no session: {answer:?} {}", answer.json())).to_owned();
        let inside = self.with("Mcp-Session-Id", &session).with("MCP-Protocol-Version", "2025-11-25");
        let told = inside.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert_eq!(told.status(), 202, "{told:?}");
        inside
    }

    /// The session's id.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn session(&self) -> &str {
        self.headers.iter().find(|(name, _)| name == "Mcp-Session-Id").map(|(_, value)| value.as_str()).expect("in a session")
    }

    /// A modern request, with the headers that mirror it.
    #[must_use]
    pub fn modern(&self, method: &str, params: &Value) -> Response {
        let mut params = params.clone();
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        if let Some(members) = params.as_object_mut() {
            members.entry("_meta").or_insert(meta);
        }
        let mut visitor = self.clone().with("MCP-Protocol-Version", "2026-07-28").with("Mcp-Method", method);
        if let Some(name) = params.get("name").or_else(|| params.get("uri")).and_then(Value::as_str).filter(|_| !self.has("Mcp-Name")) {
            visitor = visitor.with("Mcp-Name", name);
        }
        // The same number for another call would say that it is the same call.
        static CALLS: AtomicU64 = AtomicU64::new(1);
        let id = CALLS.fetch_add(1, Ordering::Relaxed);
        visitor.post(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }
}
