//! A Bartizan set up for a measurement: a directory of its own, a configuration, approved tools, a token.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::run::{Server, capture};

/// Limits out of the way: a suite or a load generator calls more often, and in more sessions, than any
/// agent should. Everything else stays at its default, the journal included.
pub(crate) const NO_LIMITS: &str = "
[limits]
sessions = 10000
sessions_per_principal = 10000
calls_per_principal = 1024
calls_per_session = 1024
children_per_principal = 64
connections_per_address = 4096
messages_per_minute = 60000000

[controls.quota]
read_per_minute = 60000000
write_per_minute = 60000000
client_per_minute = 60000000

[controls.provenance]
results = \"off\"
";

pub(crate) struct Gateway {
    bartizan: PathBuf,
    dir: TempDir,
}

impl Gateway {
    /// Writes the configuration; nothing is started yet.
    pub(crate) fn new(bartizan: &Path, config: &str) -> Result<Gateway> {
        if !bartizan.is_file() {
            bail!("{} is not there: build it first, or name it with --bartizan", bartizan.display());
        }
        let bartizan = bartizan.canonicalize()?;
        let dir = tempfile::Builder::new().prefix("bartizan-").tempdir()?;
        std::fs::write(dir.path().join("bartizan.toml"), config).context("writing the configuration")?;
        Ok(Gateway { bartizan, dir })
    }

    /// Writes a file beside the configuration.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        // Whoever looks at it meanwhile sees the old one or the new one.
        let (path, new) = (self.dir.path().join(name), self.dir.path().join(format!("{name}.new")));
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).with_context(|| format!("writing {name}"))
    }

    /// A file beside the configuration.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.dir.path().join(name)).with_context(|| format!("reading {name}"))
    }

    /// Configuration, state and lock file.
    pub(crate) fn places(&self) -> [PathBuf; 3] {
        ["bartizan.toml", "state", "bartizan.lock"].map(|name| self.dir.path().join(name))
    }

    /// The program with a command and the places it keeps things in. `serve` and `approve` also want
    /// `--config`, which `token` and `run` can do without.
    pub(crate) fn command(&self, words: &[&str], places: &[&str]) -> Command {
        let mut c = Command::new(&self.bartizan);
        c.args(words).current_dir(self.dir.path());
        for place in places {
            let file = match *place {
                "--config" => "bartizan.toml",
                "--lock" => "bartizan.lock",
                _ => "state",
            };
            c.arg(place).arg(self.dir.path().join(file));
        }
        c
    }

    /// Approves everything `server` offers; `effects` are `TOOL=EFFECT`. `command` is for a server the
    /// configuration does not name.
    pub(crate) fn approve(&self, server: &str, effects: &[String], command: &[&str]) -> Result<()> {
        let mut c = self.command(&["approve"], &["--config", "--state", "--lock"]);
        c.args([server, "--all", "--yes"]);
        for e in effects {
            c.args(["--effect", e]);
        }
        if !command.is_empty() {
            c.arg("--").args(command);
        }
        capture(&mut c).with_context(|| format!("approving `{server}`"))?;
        Ok(())
    }

    /// Says of every approved tool that what it returns steers nobody: one that connects would wait for a person otherwise.
    pub(crate) fn vouch(&self) -> Result<()> {
        let lock = self.dir.path().join("bartizan.lock");
        let text = std::fs::read_to_string(&lock).context("the lock file")?;
        let block = |block: &str| {
            let is_tool = block.contains("\nkind = \"tool\"");
            if is_tool { block.replacen("\neffect = ", "\nreturns = \"public\"\neffect = ", 1) } else { block.to_owned() }
        };
        let blocks: Vec<String> = text.split("\n\n").map(block).collect();
        std::fs::write(&lock, blocks.join("\n\n")).context("the lock file")
    }

    /// A client's credential.
    pub(crate) fn token(&self) -> Result<String> {
        let mut c = self.command(&["token", "issue"], &["--state"]);
        let token = capture(c.args(["--label", "xtask"])).context("issuing a token")?;
        let token = token.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            bail!("`bartizan token issue` must print the secret alone; it printed {} bytes", token.len());
        }
        Ok(token.to_string())
    }

    /// Starts `bartizan serve` and waits for its port.
    pub(crate) fn serve(&self, port: u16) -> Result<Server> {
        let c = self.command(&["serve"], &["--config", "--state", "--lock"]);
        let mut server = Server::start("bartizan serve", &c, &self.dir.path().join("serve.log"))?;
        server.wait_for(port, Duration::from_secs(20))?;
        Ok(server)
    }
}
