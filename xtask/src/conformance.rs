//! `cargo xtask conformance`: the official MCP suite against a server, once directly and once through
//! Bartizan. Every single check must come out the same; where Bartizan is meant to differ, an entry in
//! `tests/conformance-exceptions.toml` says why.

mod compare;
mod forward;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::gateway::{Gateway, NO_LIMITS};
use crate::run::{Options, Server, capture, free_port, line, root, tail};
use compare::{Checks, Exceptions};

/// The requirements of both eras, each spoken on its own wire.
const SETS: &[&str] = &["2025-11-25", "2026-07-28"];

/// A run with fewer checks than this did not really run.
const FEWEST_CHECKS: usize = 50;

/// The fixture has tools that write; a person is not there to agree to each call.
const LIST_TOOLS: &str = "import asyncio, mcp_everything_server.server as s
for t in asyncio.run(s.mcp.list_tools()): print(t.name)";

/// What `tests/real/install` has put in place.
struct Installed {
    node: PathBuf,
    suite: PathBuf,
    python: PathBuf,
    server: PathBuf,
}

impl Installed {
    fn find() -> Result<Installed> {
        let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| root().join("target/real"), PathBuf::from);
        let bin = real.join("npm/node_modules/.bin");
        let found = Installed {
            node: bin.join("node"),
            suite: bin.join("conformance"),
            python: real.join("py2/bin/python"),
            server: real.join("py2/bin/mcp-everything-server"),
        };
        for file in [&found.node, &found.suite, &found.python, &found.server] {
            if !file.exists() {
                bail!("{} is missing: run `bash tests/real/install`", file.display());
            }
        }
        Ok(found)
    }

    /// A fresh server: what an earlier run left in it must not reach the next.
    fn serve(&self, port: u16) -> Result<Server> {
        let log = work_dir()?.join("fixture.log");
        let mut c = Command::new(&self.server);
        let mut server = Server::start("the everything-server", c.args(["--port", &port.to_string()]), &log)?;
        server.wait_for(port, Duration::from_secs(30))?;
        Ok(server)
    }

    fn tools(&self) -> Result<Vec<String>> {
        let names = capture(Command::new(&self.python).args(["-c", LIST_TOOLS]))?;
        Ok(names.lines().map(str::to_string).collect())
    }

    /// Runs one requirement set against `url`; the suite's own verdict does not matter, its checks do.
    fn run(&self, set: &str, url: &str, name: &str) -> Result<Checks> {
        let out = work_dir()?.join(set).join(name);
        if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        let mut c = Command::new(&self.node);
        c.arg(&self.suite).args(["server", "--url", url, "--requirements", set, "-o"]).arg(&out);
        let done = c.stdin(Stdio::null()).output().with_context(|| format!("could not start `{}`", line(&c)))?;
        let checks = Checks::read(&out)?;
        if checks.count() < FEWEST_CHECKS {
            let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            bail!("the suite made only {} checks ({set}, {name}):\n{}", checks.count(), tail(&said, 30));
        }
        Ok(checks)
    }
}

/// Where logs and results stay for somebody to look at.
fn work_dir() -> Result<PathBuf> {
    let dir = root().join("target/conformance");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let direct_only = o.flag("--direct-only");
    let bartizan = o.value("--bartizan")?.map_or_else(|| root().join("target/debug/bartizan"), PathBuf::from);
    o.finish()?;
    let installed = Installed::find()?;
    let mut wrong = 0;
    for set in SETS {
        let direct = direct(&installed, set)?;
        println!("{set}  direct            {}", direct.summary());
        if direct_only {
            continue;
        }
        let through = through(&installed, set, &bartizan)?;
        println!("{set}  through Bartizan  {}", through.summary());
        wrong += Exceptions::read(&root())?.judge(set, &direct, &through);
    }
    if wrong > 0 {
        bail!("{wrong} differences; a wanted one gets an entry with a reason in {}", compare::EXCEPTIONS);
    }
    Ok(())
}

fn direct(installed: &Installed, set: &str) -> Result<Checks> {
    let port = free_port()?;
    let _server = installed.serve(port)?;
    installed.run(set, &format!("http://127.0.0.1:{port}/mcp"), "direct")
}

fn through(installed: &Installed, set: &str, bartizan: &Path) -> Result<Checks> {
    let (upstream, port) = (free_port()?, free_port()?);
    let _server = installed.serve(upstream)?;
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n\n\
         [servers.fixture]\nurl = \"http://127.0.0.1:{upstream}/mcp\"\nsampling = true\n{NO_LIMITS}"
    );
    let gateway = Gateway::new(bartizan, &config)?;
    let effects: Vec<String> = installed.tools()?.iter().map(|t| format!("{t}=read")).collect();
    gateway.approve("fixture", &effects, &[])?;
    let token = gateway.token()?;
    let serving = gateway.serve(port)?;
    let front = forward::start(port, &token)?;
    let checks = installed.run(set, &format!("http://127.0.0.1:{front}/mcp/fixture"), "through");
    let log = work_dir()?.join(set).join("bartizan.log");
    std::fs::write(log, serving.log()).context("keeping the log")?;
    checks
}
