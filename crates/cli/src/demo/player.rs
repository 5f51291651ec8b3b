//! The client of the demo: it starts the gateway as any client would, and talks to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bartizan_gateway::config::files;
use serde_json::{Value, json};

use super::{Outcome, Stage, Trouble, server_command};

/// `bartizan run`, as a client's configuration has it.
pub(super) struct Gateway {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    next: u64,
}

#[expect(clippy::disallowed_methods, reason = "the demo plays a client, and clients start the gateway")]
fn bartizan(stage: &Stage, arguments: &[&str]) -> Result<Command, Trouble> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .env("BARTIZAN_STATE", stage.state())
        .env("BARTIZAN_LOCK", stage.lock())
        .env_remove("BARTIZAN_CONFIG")
        .current_dir(&stage.folder);
    Ok(command)
}

/// Starts the gateway with the demo's server behind it and shakes hands.
pub(super) fn run(stage: &Stage) -> Result<Gateway, Trouble> {
    let server = server_command(&stage.turned())?;
    let mut command = bartizan(stage, &["run", "--name", "notebook"])?;
    let mut child = command
        .arg("--read")
        .arg(stage.server())
        .arg("--")
        .args(server)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take().ok_or("no pipe to the gateway")?);
    let mut gateway = Gateway { child, input, output: BufReader::new(output), next: 1 };
    gateway
        .ask("initialize", &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "demo", "version": "1"}}))?;
    gateway.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string())?;
    Ok(gateway)
}

impl Gateway {
    /// Sends a request and waits for its answer.
    pub(super) fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Trouble> {
        self.next += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        self.say(&message.to_string())
    }

    /// Sends a line and waits for an answer to a request.
    pub(super) fn say(&mut self, line: &str) -> Result<Value, Trouble> {
        self.tell(line)?;
        loop {
            let mut answer = String::new();
            if self.output.read_line(&mut answer)? == 0 {
                return Err("the gateway closed its output".into());
            }
            let answer = parse(&answer)?;
            if answer.get("method").is_none() {
                return Ok(answer);
            }
        }
    }

    fn tell(&mut self, line: &str) -> Result<(), Trouble> {
        let input = self.input.as_mut().ok_or("the gateway is closed")?;
        writeln!(input, "{line}")?;
        input.flush()?;
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Closing its input ends it, as it does when a client leaves.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the demo plays a client, and clients parse as they like")]
fn parse(text: &str) -> Result<Value, Trouble> {
    Ok(serde_json::from_str(text)?)
}

fn printed(mut command: Command) -> Result<String, Trouble> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text.lines().map(|line| format!("     {line}\n")).collect());
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Approves everything that the server offers.
pub(super) fn approve(stage: &Stage) -> Result<String, Trouble> {
    let mut command = bartizan(stage, &["approve", "notebook", "--all", "--yes"])?;
    command.arg("--read").arg(stage.server()).arg("--").args(server_command(&stage.turned())?);
    // The whole definitions are for `approve` itself; here their names and effect classes will do.
    let text = printed(command)?;
    Ok(text.lines().filter(|line| !line.starts_with("         ")).map(|line| format!("{line}\n")).collect())
}

/// Verifies the journal.
pub(super) fn audit(stage: &Stage) -> Result<String, Trouble> {
    printed(bartizan(stage, &["audit", "verify"])?)
}

/// `bartizan serve` and a token for it.
pub(super) struct Http {
    child: Child,
    address: String,
    pub(super) token: String,
}

impl Http {
    /// Starts the HTTP gateway.
    pub(super) fn serve(stage: &Stage) -> Result<Self, Trouble> {
        let server = serde_json::to_string(&server_command(&stage.turned())?)?;
        let config =
            format!("[listen]\naddress = \"127.0.0.1:0\"\n\n[servers.notebook]\ncommand = {server}\nconfine.read = [\"server\"]\n");
        files::replace(&stage.folder.join("bartizan.toml"), config.as_bytes(), files::Readers::Owner)?;
        let token = bartizan(stage, &["token", "issue", "--label", "demo"])?.stderr(Stdio::null()).output()?;
        let token = String::from_utf8_lossy(&token.stdout).trim().to_owned();
        let mut child = bartizan(stage, &["serve", "--config", "bartizan.toml"])?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut errors = BufReader::new(child.stderr.take().ok_or("no pipe to the gateway")?);
        let address = listening(&mut errors)?;
        // Nobody reads on; without a reader the gateway's log would fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Ok(Self { child, address, token })
    }

    /// Posts a message and says what came back.
    pub(super) fn post(&self, host: &str, token: Option<&str>, body: &str) -> Result<Outcome, Trouble> {
        let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /mcp/notebook HTTP/1.1\r\nHost: {host}\r\n{credential}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        #[expect(clippy::disallowed_methods, reason = "the demo plays a client, and clients connect to the gateway")]
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let parsed = parse(body).unwrap_or_default();
        if status == "200" {
            let count = parsed.pointer("/result/tools").and_then(Value::as_array).map_or(0, Vec::len);
            return Ok(Outcome::Passed(format!("{count} tools")));
        }
        let hint = parsed.pointer("/error/message").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Outcome::Refused { code: format!("HTTP {status}"), hint })
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // Asked to end, as an operator would: it finishes what runs and closes its journal.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Waits for the line that says where the gateway listens.
fn listening(errors: &mut impl BufRead) -> Result<String, Trouble> {
    let mut line = String::new();
    while errors.read_line(&mut line)? > 0 {
        if let Some((_, rest)) = line.split_once("http://") {
            return Ok(rest.split('/').next().unwrap_or_default().trim().to_owned());
        }
        line.clear();
    }
    Err("the gateway did not start".into())
}

/// Removes what the tour made.
#[expect(clippy::disallowed_methods, reason = "the demo tidies up after itself")]
pub(super) fn clear(folder: &std::path::Path) {
    // Left behind at worst: a folder in the temporary directory.
    let _ = std::fs::remove_dir_all(folder);
}
