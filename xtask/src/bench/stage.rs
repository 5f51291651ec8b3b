//! Everybody who takes part: the server, nginx, Bartizan, and who of them runs at the moment.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::measure::Loadgen;
use super::{Plan, Programs, nginx};
use crate::everything::{Everything, READS, RULES, WRITES, Wanted};
use crate::gateway::{Gateway, NO_LIMITS};
use crate::run::{Server, free_port, line, text};

pub(crate) const DIRECT: &str = "direct";
pub(crate) const NGINX: &str = "nginx";
pub(crate) const LEGACY: &str = "bartizan-2025-11-25";
pub(crate) const MODERN: &str = "bartizan-2026-07-28";
pub(crate) const EVERYTHING: &str = "bartizan-everything-2025-11-25";
pub(crate) const EVERYTHING_MODERN: &str = "bartizan-everything-2026-07-28";
pub(crate) const EVERYTHING_WRITE: &str = "bartizan-everything-write";
pub(crate) const STDIO_DIRECT: &str = "stdio-direct";
pub(crate) const STDIO: &str = "bartizan-stdio";
pub(crate) const NAMES: &[&str] = &[DIRECT, NGINX, LEGACY, MODERN, EVERYTHING, EVERYTHING_MODERN, EVERYTHING_WRITE, STDIO_DIRECT, STDIO];

/// Whose process a target is served by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    Upstream,
    Nginx,
    Bartizan,
    Everything,
}

/// Something to measure.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) owner: Owner,
    /// What the load generator is told about it.
    pub(crate) args: Vec<String>,
}

pub(crate) struct Stage {
    upstream: Server,
    nginx: Option<Server>,
    bartizan: Option<(Gateway, Server, u16)>,
    everything: Option<(Everything, Server)>,
    targets: Vec<Target>,
    _dir: TempDir,
}

impl Stage {
    pub(crate) fn set(programs: &Programs, plan: &Plan) -> Result<Stage> {
        let dir = tempfile::Builder::new().prefix("bench-").tempdir()?;
        let port = free_port()?;
        let mut c = Command::new(&programs.upstream);
        c.args(["http", "--addr", &format!("127.0.0.1:{port}")]);
        let mut upstream = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
        upstream.wait_for(port, Duration::from_secs(10))?;
        let stdio = format!("{} stdio", text(&programs.upstream)?);
        let mut stage = Stage { upstream, nginx: None, bartizan: None, everything: None, targets: Vec::new(), _dir: dir };
        stage.add(DIRECT, Owner::Upstream, http_args(port, "/mcp", &[]));
        if plan.wants(NGINX) {
            let front = free_port()?;
            stage.nginx = Some(nginx::start(stage._dir.path(), front, port)?);
            stage.add(NGINX, Owner::Nginx, http_args(front, "/mcp", &[]));
        }
        stage.add(STDIO_DIRECT, Owner::Nobody, vec!["--cmd".into(), stdio.clone()]);
        if plan.wants("bartizan") {
            stage.add_bartizan(programs, port, &stdio)?;
        }
        if plan.wants("bartizan-everything") {
            stage.add_everything(programs, port)?;
        }
        stage.targets.retain(|t| plan.only.is_empty() || plan.only.iter().any(|n| n == t.name));
        Ok(stage)
    }

    fn add(&mut self, name: &'static str, owner: Owner, args: Vec<String>) {
        self.targets.push(Target { name, owner, args });
    }

    /// As it ships: all controls, the journal, a token, the tool approved as one that reads.
    fn add_bartizan(&mut self, programs: &Programs, upstream: u16, stdio: &str) -> Result<()> {
        let port = free_port()?;
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:{port}\"\n\n\
             [servers.bench]\nurl = \"http://127.0.0.1:{upstream}/mcp\"\n{NO_LIMITS}"
        );
        let gateway = Gateway::new(&programs.bartizan, &config)?;
        let effects = ["echo=read".to_string()];
        gateway.approve("bench", &effects, &[])?;
        gateway.approve("bench-stdio", &effects, &stdio.split(' ').collect::<Vec<_>>())?;
        let header = format!("Authorization: Bearer {}", gateway.token()?);
        let server = gateway.serve(port)?;
        let args = http_args(port, "/mcp/bench", &["--header", &header]);
        self.add(LEGACY, Owner::Bartizan, args.clone());
        self.add(MODERN, Owner::Bartizan, [args, vec!["--modern".into()]].concat());
        let run = gateway.command(&["run"], &["--config", "--state", "--lock"]);
        let command = format!("{} --name bench-stdio -- {stdio}", line(&run));
        self.add(STDIO, Owner::Nobody, vec!["--cmd".into(), command]);
        self.bartizan = Some((gateway, server, port));
        Ok(())
    }

    /// A gateway of its own, with all that can be turned on.
    fn add_everything(&mut self, programs: &Programs, upstream: u16) -> Result<()> {
        let everything = Everything::set_up(&Wanted { bartizan: &programs.bartizan, upstream, rules: RULES })?;
        let server = everything.serve()?;
        let (reads, writes) = (everything.args(READS), everything.args(WRITES));
        self.add(EVERYTHING, Owner::Everything, reads.clone());
        self.add(EVERYTHING_MODERN, Owner::Everything, [reads, vec!["--modern".into()]].concat());
        self.add(EVERYTHING_WRITE, Owner::Everything, writes);
        self.everything = Some((everything, server));
        Ok(())
    }

    pub(crate) fn http(&self) -> Vec<Target> {
        let on_http = |t: &&Target| t.owner != Owner::Nobody;
        self.targets.iter().filter(on_http).map(|t| self.with_pids(t)).collect()
    }

    pub(crate) fn stdio(&self) -> Vec<Target> {
        self.targets.iter().filter(|t| t.owner == Owner::Nobody).cloned().collect()
    }

    /// The load generator reads the CPU time and memory of these processes.
    fn with_pids(&self, t: &Target) -> Target {
        let mut t = t.clone();
        let measured = match t.owner {
            Owner::Nginx => self.nginx.as_ref(),
            Owner::Bartizan => self.bartizan.as_ref().map(|(_, s, _)| s),
            Owner::Everything => self.everything.as_ref().map(|(_, s)| s),
            Owner::Upstream | Owner::Nobody => None,
        };
        for (option, server) in [("--pid", measured), ("--upstream-pid", Some(&self.upstream))] {
            t.args.extend(server.into_iter().flat_map(|s| [option.to_string(), s.pid().to_string()]));
        }
        t
    }

    fn signal(&self, signal: Signal, who: impl Fn(Owner) -> bool) {
        let bartizan = self.bartizan.as_ref().map(|(_, s, _)| s);
        let everything = self.everything.as_ref().map(|(_, s)| s);
        let all = [(Owner::Nginx, self.nginx.as_ref()), (Owner::Bartizan, bartizan), (Owner::Everything, everything)];
        for (owner, server) in all.into_iter().chain([(Owner::Upstream, Some(&self.upstream))]) {
            if let Some(s) = server.filter(|_| who(owner)) {
                s.signal(signal);
            }
        }
    }

    /// Stops everybody but `owner` (and the server behind it).
    pub(crate) fn focus(&self, owner: Owner) {
        let needed = |o: Owner| o == owner || (o == Owner::Upstream && owner != Owner::Nobody);
        self.signal(Signal::STOP, |o| !needed(o));
        self.signal(Signal::CONT, needed);
        std::thread::sleep(Duration::from_millis(100));
    }

    pub(crate) fn everybody(&self) {
        self.signal(Signal::CONT, |_| true);
    }

    /// Start-up, idle memory, and what a session costs: each in a fresh process, because memory that was
    /// freed before would hide what is used now.
    pub(crate) fn memory(&mut self, loadgen: &Loadgen, plan: &Plan) -> Result<Option<Memory>> {
        let Some(target) = self.targets.iter().find(|t| t.name == LEGACY).cloned() else {
            return Ok(None);
        };
        let Some((gateway, server, port)) = self.bartizan.take() else {
            return Ok(None);
        };
        drop(server);
        self.focus(Owner::Upstream);
        let serve = line(&gateway.command(&["serve"], &["--config", "--state", "--lock"]));
        let mut args: Vec<&str> = target.args.iter().map(String::as_str).collect();
        args.extend(["--cmd", &serve, "--runs", "3", "--settle", "0.5"]);
        let start = loadgen.run("start", &args)?;
        let server = gateway.serve(port)?;
        let (pid, count) = (server.pid().to_string(), plan.sessions.to_string());
        let mut args: Vec<&str> = target.args.iter().map(String::as_str).collect();
        args.extend(["--pid", &pid, "--n", &count, "--hold", "--settle", "1"]);
        let sessions = loadgen.run("sessions", &args)?;
        Ok(Some(Memory { start, sessions, count: plan.sessions }))
    }
}

/// Two lines of the load generator.
pub(crate) struct Memory {
    start: Value,
    sessions: Value,
    pub(crate) count: usize,
}

impl Memory {
    fn number(value: &Value, key: &str) -> Result<f64> {
        value.get(key).and_then(Value::as_f64).with_context(|| format!("the load generator gave no {key}"))
    }

    pub(crate) fn first_call_ms(&self) -> Result<f64> {
        Memory::number(&self.start, "first_call_ms")
    }

    pub(crate) fn idle_mib(&self) -> Result<f64> {
        Ok(Memory::number(&self.sessions, "rss_kib_before")? / 1024.0)
    }

    pub(crate) fn session_kib(&self) -> Result<f64> {
        Memory::number(&self.sessions, "rss_kib_per_session")
    }
}

fn http_args(port: u16, path: &str, more: &[&str]) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}{path}");
    ["--url", &url].iter().chain(more).map(ToString::to_string).collect()
}
