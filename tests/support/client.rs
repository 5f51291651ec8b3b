//! A client of `bartizan run`: lines in, lines out, with time limits.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::{Value, json};

use crate::process::{PATIENCE, Said, end_of};

/// A running gateway and the pipes to it.
#[derive(Debug)]
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    waiting: VecDeque<Value>,
    next: u64,
    transcript: String,
    /// What the gateway says on standard error.
    pub said: Said,
}

impl Client {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bartizan run");
        let (sender, lines) = channel();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                if sender.send(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        let said = Said::listen(child.stderr.take().expect("piped"));
        Self { stdin: child.stdin.take(), child, lines, waiting: VecDeque::new(), next: 0, transcript: String::new(), said }
    }

    /// The gateway's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that was said so far, both ways.
    #[must_use]
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Sends a line, whatever it is.
    pub fn send(&mut self, line: &str) {
        self.send_bytes(line.as_bytes());
    }

    /// Sends a line of bytes.
    ///
    /// # Panics
    ///
    /// When the gateway has gone.
    pub fn send_bytes(&mut self, line: &[u8]) {
        let shown = String::from_utf8_lossy(line);
        self.transcript.push_str(&format!("--> {}\n", shown.chars().take(2000).collect::<String>()));
        let stdin = self.stdin.as_mut().expect("not closed yet");
        stdin
            .write_all(line)
            .and_then(|()| stdin.write_all(b"\n"))
            .and_then(|()| stdin.flush())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.said.text()));
    }

    /// Sends the bytes of something that is not a whole line.
    ///
    /// # Panics
    ///
    /// When the gateway has gone.
    pub fn send_part(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("not closed yet");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the gateway reads");
    }

    /// The next line, as it came.
    ///
    /// # Panics
    ///
    /// When none comes, or it is not JSON: standard output belongs to the protocol.
    fn next_line(&mut self, started: Instant) -> Value {
        let left = PATIENCE.saturating_sub(started.elapsed());
        let line = match self.lines.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("nothing comes any more:\n{}\n{}", self.transcript, self.said.text()),
            Err(RecvTimeoutError::Disconnected) => panic!("the gateway has gone:\n{}\n{}", self.transcript, self.said.text()),
        };
        self.transcript.push_str(&format!("<-- {}\n", line.chars().take(2000).collect::<String>()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Waits for a message that fits; others wait for those who ask for them.
    pub fn expect(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(at).expect("just found");
        }
        let started = Instant::now();
        loop {
            let message = self.next_line(started);
            if fits(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, id: &Value) -> Value {
        self.expect(|message| message.get("method").is_none() && message.get("id") == Some(id))
    }

    /// Waits for a notification or request of the server.
    pub fn heard(&mut self, method: &str) -> Value {
        self.expect(|message| message.get("method").and_then(Value::as_str) == Some(method))
    }

    /// A request with a number of its own; returns the number.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = Value::from(format!("own-{}", self.next));
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// A request and its answer.
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        self.answer(&id)
    }

    /// Opens the session.
    pub fn initialize(&mut self) -> Value {
        self.initialize_as("2025-11-25", &json!({}))
    }

    /// Opens the session in some version, with some capabilities.
    pub fn initialize_as(&mut self, version: &str, capabilities: &Value) -> Value {
        let params = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "test", "version": "1"}});
        let answer = self.request("initialize", &params);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    /// Calls a tool.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// The names of the tools that the client sees.
    ///
    /// # Panics
    ///
    /// When there is no list.
    pub fn tools(&mut self) -> Vec<String> {
        let answer = self.request("tools/list", &json!({}));
        let tools = answer.pointer("/result/tools").and_then(Value::as_array).unwrap_or_else(|| panic!("no list: {answer}"));
        tools.iter().filter_map(|tool| tool.get("name")?.as_str().map(str::to_owned)).collect()
    }

    /// What came before the answer to a question that the gateway answers at once, and nobody has asked for.
    pub fn so_far(&mut self) -> Vec<Value> {
        self.request("ping", &json!({}));
        self.waiting.drain(..).collect()
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Hangs up and waits for the end.
    pub fn leave(&mut self) -> ExitStatus {
        self.hang_up();
        self.end()
    }

    /// Waits for the end.
    pub fn end(&mut self) -> ExitStatus {
        end_of(&mut self.child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
