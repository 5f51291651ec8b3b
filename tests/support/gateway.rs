//! A gateway set up for one test: a directory with a configuration, scripted servers, a lock file and state.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;

use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use crate::client::Client;
use crate::http::Served;
use crate::journal::Journal;
use crate::process::Said;
use crate::script::Script;

/// A program of this repository, beside the program that runs the tests.
/// A program of this workspace.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("this program has a place");
    let profile = tests.ancestors().nth(2).expect("target/PROFILE/deps/TESTS");
    profile.join(name)
}

/// The gateway. Built when nobody has built it yet; one that is there is taken as it is.
fn bartizan() -> PathBuf {
    static BUILT: Once = Once::new();
    let path = program("bartizan");
    BUILT.call_once(|| {
        if path.exists() {
            return;
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "-p", "bartizan"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if path.parent().is_some_and(|profile| profile.ends_with("release")) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success(), "the gateway does not build");
    });
    path
}

/// The scripted server.
#[must_use]
pub fn scripted() -> PathBuf {
    program("scripted")
}

/// Puts one table over another: tables are joined, everything else is replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// What a server received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Which process of it.
    pub pid: u32,
    /// The HTTP head; empty where there is none.
    pub head: String,
    /// The message as it came.
    pub line: String,
}

impl Received {
    /// The message, as far as it is JSON.
    #[must_use]
    pub fn message(&self) -> Value {
        crate::json::read(&self.line)
    }

    /// Its method; `result` or `error` for an answer.
    #[must_use]
    pub fn method(&self) -> String {
        let message = self.message();
        let member = ["result", "error"].into_iter().find(|member| message.get(member).is_some());
        message.get("method").and_then(Value::as_str).or(member).unwrap_or_default().to_owned()
    }
}

/// What the gateway asks a server on its own account; it says nothing about what clients did.
const OWN: &[&str] = &[
    "initialize",
    "notifications/initialized",
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
];

/// A credential.
#[derive(Debug, Clone)]
pub struct Token {
    /// The name under which it is revoked.
    pub id: String,
    /// What a client sends.
    pub text: String,
}

/// Everything that one test needs.
#[derive(Debug)]
pub struct Stage {
    directory: TempDir,
}

impl Stage {
    /// A stage with this configuration beside what every test needs, and no server.
    ///
    /// # Panics
    ///
    /// When the configuration is not TOML.
    #[must_use]
    pub fn new(config: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("bartizan-it-").tempdir().expect("a directory");
        let stage = Self { directory };
        std::fs::write(stage.path("bartizan.toml"), "").expect("writable");
        stage.configure("[listen]\naddress = \"127.0.0.1:0\"");
        // Most tests compare answers with what the server said; those that do not turn it on.
        stage.configure("[controls.provenance]\nresults = \"off\"");
        // Scripted servers say who they are by the number of their process, which nobody knows inside a confinement. Real
        // servers run as by default, in tests/real and tests/it/confined.rs.
        stage.configure("[dangerous]\nunconfined = [\"*\"]");
        stage.configure(config);
        stage
    }

    /// A stage with one scripted server, all of whose definitions are approved as `read`.
    #[must_use]
    pub fn with_server(name: &str, script: &Script) -> Self {
        let stage = Self::new("");
        stage.server(name, script);
        stage.approve_all(name, script);
        stage.forget(name);
        stage
    }

    /// Waits until no process of a scripted server runs, and forgets what it received: what comes now was
    /// caused by the test and not by its preparations.
    pub fn forget(&self, name: &str) {
        crate::process::eventually("the server that was reviewed has ended", || {
            !self.pids(name).iter().any(|pid| crate::process::runs(*pid))
        });
        for extension in ["log", "pids", "env"] {
            // A server that was never started has none.
            let _ = std::fs::remove_file(self.path(&format!("{name}.{extension}")));
        }
    }

    /// Forgets what a scripted server received so far.
    pub fn forget_log(&self, name: &str) {
        // A server that received nothing has none.
        let _ = std::fs::remove_file(self.path(&format!("{name}.log")));
    }

    /// A file of the stage.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Puts something over the configuration.
    ///
    /// # Panics
    ///
    /// When it is not TOML.
    pub fn configure(&self, text: &str) {
        let path = self.path("bartizan.toml");
        let mut table: Table = std::fs::read_to_string(&path).expect("readable").parse().expect("the configuration is TOML");
        merge(&mut table, text.parse().unwrap_or_else(|error| panic!("{error}\n{text}")));
        std::fs::write(&path, table.to_string()).expect("writable");
    }

    /// Adds a scripted server to the configuration.
    pub fn server(&self, name: &str, script: &Script) {
        self.script(name, script);
        let command = toml::Value::Array(self.command(name).into_iter().map(toml::Value::String).collect());
        self.configure(&format!("[servers.{name}]\ncommand = {command}"));
    }

    /// Changes what a scripted server does, from its next message on.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn script(&self, name: &str, script: &Script) {
        let (path, new) = (self.path(&format!("{name}.json")), self.path(&format!("{name}.json.new")));
        // The server reads it whenever it likes: it sees the old one or the new one.
        std::fs::write(&new, serde_json::to_string(script).expect("JSON")).and_then(|()| std::fs::rename(&new, &path)).expect("writable");
    }

    /// How a scripted server is started.
    #[must_use]
    pub fn command(&self, name: &str) -> Vec<String> {
        [scripted(), self.path(&format!("{name}.json"))].iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Starts a scripted server that speaks HTTP, and adds it to the configuration.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn http_server(&self, name: &str, script: &Script) -> Guarded {
        use std::io::BufRead as _;
        self.script(name, script);
        let mut child = Command::new(scripted())
            .arg(self.path(&format!("{name}.json")))
            .arg("--http")
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripted");
        let mut address = String::new();
        std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut address).expect("an address");
        self.configure(&format!("[servers.{name}]\nurl = \"http://{}/mcp\"", address.trim()));
        Guarded(child)
    }

    /// The gateway with some words, in an environment that holds nothing of the person who runs the tests.
    #[must_use]
    pub fn bartizan<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(bartizan());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.directory.path()).current_dir(self.directory.path());
        command
            .arg("--config")
            .arg(self.path("bartizan.toml"))
            .arg("--state")
            .arg(self.state())
            .arg("--lock")
            .arg(self.path("bartizan.lock"));
        command.args(words);
        command
    }

    /// Runs a command of the gateway to its end.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn output<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Output {
        self.bartizan(words).stdin(Stdio::null()).output().expect("bartizan")
    }

    /// Runs a command that must succeed; returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn done<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(&self, words: &[S]) -> String {
        let output = self.output(words);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "bartizan {words:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// Approves definitions: `SERVER` or `SERVER/NAME`, and effects as `NAME=CLASS`.
    pub fn approve(&self, targets: &[&str], effects: &[&str]) {
        let mut words = vec!["approve", "--all", "--yes"];
        words.extend(effects.iter().flat_map(|effect| ["--effect", effect]));
        words.extend(targets);
        self.done(&words);
    }

    /// Approves all of a scripted server, with every tool as `read`.
    pub fn approve_all(&self, name: &str, script: &Script) {
        let named = script.tools.iter().filter_map(|tool| tool.get("name")?.as_str());
        let mut effects: Vec<String> = named.map(|name| format!("{name}=read")).collect();
        effects.dedup();
        self.approve(&[name], &effects.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Says of every tool that writes that no data leaves through it: what was read before holds none of their calls.
    ///
    /// # Panics
    ///
    /// When there is no lock file.
    pub fn without_ways_out(&self) {
        let lock = self.path("bartizan.lock");
        let text = std::fs::read_to_string(&lock).expect("a lock file");
        let text = text.replace("\neffect = \"write\"\n", "\neffect = \"write\"\negress = false\n");
        std::fs::write(&lock, text).expect("writable");
    }

    /// Says of every approved tool that what it returns steers nobody: what was read before holds no call at all.
    ///
    /// # Panics
    ///
    /// When there is no lock file.
    pub fn vouch(&self) {
        let lock = self.path("bartizan.lock");
        let text = std::fs::read_to_string(&lock).expect("a lock file");
        let blocks = text.split("\n\n").map(|block| {
            let public = if block.contains("\nkind = \"tool\"") { "\nreturns = \"public\"" } else { "" };
            block.replacen("\neffect = ", &format!("{public}\neffect = "), 1)
        });
        std::fs::write(&lock, blocks.collect::<Vec<_>>().join("\n\n")).expect("writable");
    }

    /// Starts `bartizan run` for a configured server.
    #[must_use]
    pub fn run(&self, name: &str) -> Client {
        self.run_with(name, |_| ())
    }

    /// The same with changes to the command.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn run_with(&self, name: &str, change: impl FnOnce(&mut Command)) -> Client {
        let mut words = vec!["run".to_owned(), "--name".to_owned(), name.to_owned(), "--".to_owned()];
        words.extend(self.command(name));
        let mut command = self.bartizan(&words);
        change(&mut command);
        Client::start(&mut command)
    }

    /// Starts `bartizan serve` and waits until it listens.
    #[must_use]
    pub fn serve(&self) -> Served {
        self.serve_with(|_| ())
    }

    /// The same with changes to the command.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn serve_with(&self, change: impl FnOnce(&mut Command)) -> Served {
        let mut command = self.bartizan(&["serve"]);
        change(&mut command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("bartizan serve");
        let said = Said::listen(child.stderr.take().expect("piped"));
        let line = said.line_with("listening on http");
        let address = line.split("://").nth(1).and_then(|rest| rest.split('/').next()).and_then(|address| address.parse().ok());
        Served { child, said, address: address.unwrap_or_else(|| panic!("no address: {line}")) }
    }

    /// Issues a token.
    ///
    /// # Panics
    ///
    /// When what is printed is not a token.
    #[must_use]
    pub fn token(&self, label: &str, options: &[&str]) -> Token {
        let mut words = vec!["token", "issue", "--label", label];
        words.extend(options);
        let text = self.done(&words).trim().to_owned();
        let id = text.split('_').nth(1).expect("bzt_ID_SECRET").to_owned();
        Token { id, text }
    }

    /// What the gateways wrote down so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::read(&self.state())
    }

    /// The journal verifies, and every call in it has exactly one end. For gateways that run, too, when no
    /// call runs.
    pub fn verify(&self) {
        self.done(&["audit", "verify"]);
        self.journal().assert_closed_once();
    }

    /// Everything that a scripted server received.
    ///
    /// # Panics
    ///
    /// When its log is not as it writes it.
    #[must_use]
    pub fn received(&self, name: &str) -> Vec<Received> {
        let read = |line: &str| {
            let entry: Value = serde_json::from_str(line).expect("the log is JSON");
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let pid = entry.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
            Received { pid: pid.expect("a pid"), head: text("head"), line: text("line") }
        };
        lines(&self.path(&format!("{name}.log"))).iter().map(|line| read(line)).collect()
    }

    /// The methods of what a scripted server received on behalf of clients.
    #[must_use]
    pub fn reached(&self, name: &str) -> Vec<String> {
        self.received(name).iter().map(Received::method).filter(|method| !OWN.contains(&method.as_str())).collect()
    }

    /// The processes that a scripted server ever had, its grandchildren included.
    ///
    /// # Panics
    ///
    /// When they are not numbers.
    #[must_use]
    pub fn pids(&self, name: &str) -> Vec<u32> {
        lines(&self.path(&format!("{name}.pids"))).iter().map(|pid| pid.parse().expect("a number")).collect()
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.rsplit_once('\n').map_or("", |(whole, _)| whole).lines().map(str::to_owned).collect()
}

/// A process that ends with the test.
#[derive(Debug)]
pub struct Guarded(pub std::process::Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
