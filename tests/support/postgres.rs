//! A real PostgreSQL server of a test's own, over a copy of the database that `tests/real/install postgres` made.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::{eventually, signal};

/// The password of the only user, `bartizan`, who may do anything.
pub const PASSWORD: &str = "s3cret-for-tests";

/// A server, and where its data is.
#[derive(Debug)]
pub struct Postgres {
    directory: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    server: Option<Child>,
}

fn real() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| tests.join("../target/real"), PathBuf::from);
    let real = real.join("postgres");
    assert!(real.join("data").is_dir(), "PostgreSQL is not installed: run tests/real/install postgres");
    real
}

fn done(command: &mut Command) {
    assert!(command.status().expect("a program of the system").success(), "{command:?}");
}

/// It refuses to run as root.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.trim_ascii() == b"0"
}

impl Postgres {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same with options, for which files may be put into its directory.
    ///
    /// # Panics
    ///
    /// When it is not installed.
    #[must_use]
    pub fn start_with(options: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::Builder::new().prefix("bartizan-pg-").tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        done(Command::new("cp").arg("-r").arg(real().join("data")).arg(directory.path().join("data")));
        let options = options(directory.path());
        if is_root() {
            done(Command::new("chown").args(["-R", "postgres"]).arg(directory.path()));
        }
        done(Command::new("chmod").args(["-R", "u=rwX,go="]).arg(directory.path()));
        let mut postgres = Self { directory, port, options, server: None };
        postgres.again();
        postgres
    }

    /// The same address, and what was written.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn again(&mut self) {
        let program = real().join("bin/postgres");
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=QUIT"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let settings = ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB", "max_connections=30", "log_min_messages=fatal"];
        command.arg("-D").arg(self.directory.path().join("data")).args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(self.directory.path()).args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.args(&self.options).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().expect("PostgreSQL"));
        eventually("PostgreSQL answers", || self.ask("select 1").is_some());
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("it runs");
        signal(server.id(), "QUIT");
        server.wait().expect("a child");
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the user who may do anything; none where that fails.
    ///
    /// # Panics
    ///
    /// When there is no `psql`.
    pub fn ask(&self, statements: &str) -> Option<String> {
        let mut command = Command::new(real().join("bin/psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "bartizan", "-d", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-c", statements]).env("PGPASSWORD", PASSWORD).stderr(Stdio::null());
        let output = command.output().expect("psql");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop();
        }
    }
}
