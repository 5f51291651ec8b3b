//! The MCP messages the load generator sends, and the check of what comes back.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::http::{Answer, Conn, Target};

/// Which protocol is spoken and what is called.
#[derive(Clone)]
pub(crate) struct Plan {
    /// `true`: 2026-07-28 (no handshake, no session); `false`: the handshake.
    pub(crate) modern: bool,
    pub(crate) version: String,
    pub(crate) tool: String,
    /// JSON text of the arguments; `@MSG@` stands for the payload.
    pub(crate) args: String,
    pub(crate) size: usize,
    /// In every payload, and another number in each run: a gateway may answer a write that it knows from the run before without
    /// making it.
    pub(crate) run: u32,
}

/// The revision without a handshake.
pub(crate) const MODERN: &str = "2026-07-28";

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            modern: false,
            version: "2025-11-25".into(),
            tool: "echo".into(),
            args: r#"{"message":"@MSG@"}"#.into(),
            size: 100,
            run: by_the_clock(),
        }
    }
}

fn meta() -> String {
    format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"bench-loadgen","version":"0.1.0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    )
}

pub(crate) fn initialize(version: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"bench-loadgen","version":"0.1.0"}}}}}}"#
    )
}

pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

impl Plan {
    pub(crate) fn list_body(&self, id: u64, cursor: Option<&str>) -> String {
        let mut params = Vec::new();
        if let Some(c) = cursor {
            params.push(format!(r#""cursor":{}"#, Value::from(c)));
        }
        if self.modern {
            params.push(meta());
        }
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{{}}}}}"#, params.join(","))
    }

    pub(crate) fn call_maker(&self, client: usize) -> CallMaker {
        let name = Value::from(self.tool.as_str());
        let (before, after) = self.args.split_once("@MSG@").unwrap_or((&self.args, ""));
        let tail = if self.modern { format!(",{}", meta()) } else { String::new() };
        CallMaker {
            client,
            run: word(self.run),
            head: r#"{"jsonrpc":"2.0","id":"#.to_string(),
            mid: format!(r#","method":"tools/call","params":{{"name":{name},"arguments":{before}"#),
            tail: format!("{after}{tail}}}}}"),
            filler: filler(self.size.saturating_sub(STAMP)),
            stamp: String::new(),
        }
    }
}

/// A number as a word of eight letters. Letters and digits in one word, or many digits, are what gateways look at more closely
/// than at other texts.
fn word(number: u32) -> String {
    (0..8).rev().map(|nibble| char::from(b'a' + (number >> (4 * nibble) & 15) as u8)).collect()
}

/// How long the text is that tells one call's payload from every other.
const STAMP: usize = 27;

fn by_the_clock() -> u32 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    nanos.rotate_left(16) ^ std::process::id()
}

/// Plain ASCII words, nothing that JSON would escape.
fn filler(n: usize) -> String {
    const WORDS: &str = "the quick brown fox jumps over a lazy dog while seven wizards mix potions 0123456789 ";
    WORDS.chars().cycle().take(n).collect()
}

pub(crate) struct CallMaker {
    client: usize,
    run: String,
    head: String,
    mid: String,
    tail: String,
    filler: String,
    stamp: String,
}

impl CallMaker {
    /// Writes the body of call `seq` to `out`.
    pub(crate) fn body(&mut self, seq: u64, out: &mut Vec<u8>) {
        use std::fmt::Write as _;
        self.stamp.clear();
        let _ = write!(self.stamp, "{} c{:06}n{:09}-", self.run, self.client, seq);
        let mut id = String::with_capacity(20);
        let _ = write!(id, "{seq}");
        out.clear();
        for part in [&self.head, &id, &self.mid, &self.stamp, &self.filler, &self.tail] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    pub(crate) fn stamp(&self) -> &[u8] {
        self.stamp.as_bytes()
    }

    /// Is `body` the right answer to the last body made? Every answer is looked
    /// through for the whole payload; `full` parses it too.
    pub(crate) fn check(&self, seq: u64, body: &[u8], full: bool) -> Result<(), String> {
        let at = memchr::memmem::find(body, self.stamp.as_bytes()).ok_or_else(|| format!("no payload in the answer: {}", clip(body)))?;
        let rest = &body[at + self.stamp.len()..];
        if !rest.starts_with(self.filler.as_bytes()) {
            return Err(format!("the payload is cut or changed: {}", clip(body)));
        }
        if full { self.check_parsed(seq, body) } else { Ok(()) }
    }

    fn check_parsed(&self, seq: u64, body: &[u8]) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what}: {}", clip(body)));
        let v: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
        if v.get("id").and_then(Value::as_u64) != Some(seq) {
            return wrong("the answer has another id");
        }
        let Some(result) = v.get("result") else {
            return wrong("an error");
        };
        if result.get("isError").and_then(Value::as_bool) == Some(true) {
            return wrong("the tool failed");
        }
        let text = result.pointer("/content/0/text").and_then(Value::as_str);
        match text {
            Some(t) if t.contains(&self.stamp) => Ok(()),
            Some(_) => wrong("the text lacks the payload"),
            None => wrong("no text"),
        }
    }
}

/// The beginning of a body, for an error message.
pub(crate) fn clip(body: &[u8]) -> String {
    let s = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    s.replace(['\n', '\r'], " ")
}

/// One MCP client: a connection and, where there is one, a session.
pub(crate) struct Client {
    pub(crate) target: Target,
    pub(crate) plan: Plan,
    pub(crate) conn: Conn,
    pub(crate) session: Option<String>,
    pub(crate) reconnects: u64,
    call_head: String,
    request: Vec<u8>,
    pub(crate) answer: Answer,
}

/// What tells one request head from another.
#[derive(Default)]
struct Head<'a> {
    method: &'a str,
    session: Option<&'a str>,
    /// JSON-RPC method and, where there is one, the name it is about.
    rpc: Option<(&'a str, Option<&'a str>)>,
    versioned: bool,
}

impl Head<'_> {
    /// Everything but the length and the empty line.
    fn text(&self, target: &Target, plan: &Plan) -> String {
        let mut h =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\naccept: application/json, text/event-stream\r\n", self.method, target.path, target.host);
        let mut line = |name: &str, value: &str| {
            h.push_str(name);
            h.push_str(": ");
            h.push_str(value);
            h.push_str("\r\n");
        };
        if self.method == "POST" {
            line("content-type", "application/json");
        }
        if self.versioned {
            line("mcp-protocol-version", &plan.version);
        }
        if let Some((method, name)) = self.rpc.filter(|_| plan.modern) {
            line("mcp-method", method);
            if let Some(name) = name {
                line("mcp-name", name);
            }
        }
        if let Some(s) = self.session {
            line("mcp-session-id", s);
        }
        h.push_str(&target.headers);
        h
    }
}

impl Client {
    /// Connects and, for the handshake revisions, initializes.
    pub(crate) async fn open(target: &Target, plan: &Plan) -> Result<Client, String> {
        let conn = Conn::open(target).await.map_err(|e| format!("connect: {e}"))?;
        let mut c = Client {
            target: target.clone(),
            plan: plan.clone(),
            conn,
            session: None,
            reconnects: 0,
            call_head: String::new(),
            request: Vec::new(),
            answer: Answer::default(),
        };
        if !plan.modern {
            c.handshake().await?;
        }
        c.call_head = c.head("POST", Some(("tools/call", Some(&plan.tool))));
        Ok(c)
    }

    async fn handshake(&mut self) -> Result<(), String> {
        let h = Head { method: "POST", ..Head::default() }.text(&self.target, &self.plan);
        let body = initialize(&self.plan.version);
        self.post(&h, body.as_bytes(), b"protocolVersion").await?;
        let v = self.rpc_result(0)?;
        let version = v.get("protocolVersion").and_then(Value::as_str).unwrap_or("");
        if version.is_empty() {
            return Err(format!("no protocolVersion: {}", clip(&self.answer.body)));
        }
        self.plan.version = version.to_string();
        self.session = self.answer.session.take();
        let h = self.head("POST", None);
        self.post(&h, INITIALIZED.as_bytes(), b"").await?;
        if self.answer.status >= 300 {
            return Err(format!("initialized: HTTP {}", self.answer.status));
        }
        Ok(())
    }

    fn head(&self, method: &str, rpc: Option<(&str, Option<&str>)>) -> String {
        Head { method, session: self.session.as_deref(), rpc, versioned: true }.text(&self.target, &self.plan)
    }

    async fn post(&mut self, head: &str, body: &[u8], want: &[u8]) -> Result<(), String> {
        if !self.conn.is_open() {
            self.conn = Conn::open(&self.target).await.map_err(|e| format!("connect: {e}"))?;
            self.reconnects += 1;
        }
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        self.request.extend_from_slice(body);
        self.conn.call(&self.request, want, &mut self.answer).await.map_err(|e| e.to_string())
    }

    /// The result of the last answer, which must be to `id`.
    pub(crate) fn rpc_result(&self, id: u64) -> Result<Value, String> {
        for m in self.answer.messages() {
            let v: Value = match serde_json::from_slice(m) {
                Ok(v) => v,
                Err(_) => continue,
            };
            if v.get("id").and_then(Value::as_u64) == Some(id) {
                return match v.get("result") {
                    Some(r) => Ok(r.clone()),
                    None => Err(format!("an error: {}", clip(m))),
                };
            }
        }
        Err(format!("HTTP {}: {}", self.answer.status, clip(&self.answer.body)))
    }

    /// One tools/call; `body` was made by `maker` as call `seq`.
    pub(crate) async fn call(&mut self, maker: &CallMaker, seq: u64, body: &[u8]) -> Result<(), String> {
        // Parsing every answer would cost the machine more than the server under test does.
        let full = seq % 32 == 1;
        let h = std::mem::take(&mut self.call_head);
        let r = self.post(&h, body, maker.stamp()).await;
        self.call_head = h;
        r?;
        if self.answer.status != 200 {
            return Err(format!("HTTP {}: {}", self.answer.status, clip(&self.answer.body)));
        }
        if !self.answer.sse {
            return maker.check(seq, &self.answer.body, full);
        }
        let mut last = Err("an empty stream".to_string());
        for m in self.answer.messages() {
            if memchr::memmem::find(m, maker.stamp()).is_some() {
                return maker.check(seq, m, full);
            }
            last = Err(format!("no answer in the stream: {}", clip(m)));
        }
        last
    }

    pub(crate) async fn list(&mut self, id: u64, cursor: Option<&str>) -> Result<Value, String> {
        let h = self.head("POST", Some(("tools/list", None)));
        let body = self.plan.list_body(id, cursor);
        self.post(&h, body.as_bytes(), b"\"tools\"").await?;
        self.rpc_result(id)
    }

    pub(crate) async fn get_stream(&self) -> Result<(Conn, u16), String> {
        let mut conn = Conn::open(&self.target).await.map_err(|e| e.to_string())?;
        let mut h = self.head("GET", None);
        h.push_str("\r\n");
        let status = conn.open_stream(h.as_bytes()).await.map_err(|e| e.to_string())?;
        Ok((conn, status))
    }

    pub(crate) async fn delete(&mut self) -> Result<u16, String> {
        let h = self.head("DELETE", None);
        self.post(&h, b"", b"").await?;
        Ok(self.answer.status)
    }
}
