//! Starting other programs, and never leaving one behind.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `cargo` at the top of the checkout, without the variables that `cargo run` set for this process:
/// some build scripts watch them, and would rebuild half the graph each time.
pub(crate) fn cargo() -> Command {
    let mut c = Command::new("cargo");
    c.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| name.starts_with(p)) {
            c.env_remove(&*name);
        }
    }
    c.env_remove("LD_LIBRARY_PATH");
    c
}

/// The command as one would type it, for messages.
pub(crate) fn line(c: &Command) -> String {
    let words = std::iter::once(c.get_program()).chain(c.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs to the end. Both streams go to standard output, so that a log holds them in the order they came.
pub(crate) fn status(c: &mut Command) -> Result<ExitStatus> {
    c.stdin(Stdio::null()).stdout(std::io::stdout()).stderr(std::io::stdout());
    c.status().with_context(|| format!("could not start `{}`", line(c)))
}

/// Runs to the end; anything but success is an error.
pub(crate) fn run(c: &mut Command) -> Result<()> {
    let status = status(c)?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(c));
    }
    Ok(())
}

/// What the command writes to standard output; an error quotes what it wrote to standard error.
pub(crate) fn capture(c: &mut Command) -> Result<String> {
    let out = c.stdin(Stdio::null()).output().with_context(|| format!("could not start `{}`", line(c)))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let also = String::from_utf8_lossy(&out.stdout);
        bail!("`{}` failed ({}):\n{}{}", line(c), out.status, tail(&also, 20), tail(&said, 20));
    }
    String::from_utf8(out.stdout).with_context(|| format!("`{}` wrote something that is not UTF-8", line(c)))
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skip = all.len().saturating_sub(lines);
    all.into_iter().skip(skip).map(|l| format!("  {l}\n")).collect()
}

/// Is there such a program?
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Installs a Debian package when that is possible: the reference machine is Debian and we are root there.
pub(crate) fn apt_install(package: &str) -> Result<()> {
    if !installed("apt-get") || !rustix::process::geteuid().is_root() {
        bail!("install the package `{package}` first");
    }
    let env = ("DEBIAN_FRONTEND", "noninteractive");
    let install = ["install", "-y", "--no-install-recommends", package];
    if capture(Command::new("apt-get").args(install).env(env.0, env.1)).is_err() {
        // The list of packages may be missing or old.
        capture(Command::new("apt-get").arg("update"))?;
        capture(Command::new("apt-get").args(install).env(env.0, env.1))?;
    }
    Ok(())
}

/// The name under which this program, started by itself, becomes another one: see [`leashed`].
pub(crate) const LEASH: &str = "on-a-leash";

/// `c`, started through this program, so that it ends when this process does, however that happens: a
/// server in a process group of its own hears no Ctrl-C.
fn leashed(c: &Command) -> Command {
    // Not by its name: whoever builds meanwhile puts another file in its place.
    let mut leash = Command::new("/proc/self/exe");
    leash.arg(LEASH).arg(c.get_program()).args(c.get_args());
    for (name, value) in c.get_envs() {
        match value {
            Some(value) => leash.env(name, value),
            None => leash.env_remove(name),
        };
    }
    if let Some(dir) = c.get_current_dir() {
        leash.current_dir(dir);
    }
    leash
}

/// The other side of [`leashed`]: asks the kernel for the signal, then becomes the program.
pub(crate) fn become_program(args: &[String]) -> Result<()> {
    let (program, args) = args.split_first().context("nothing to become")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    Err(Command::new(program).args(args).exec()).with_context(|| format!("could not start `{program}`"))
}

/// A running server. It has a process group of its own, which ends with this value.
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `c`; what it says goes to `log`.
    pub(crate) fn start(name: &str, c: &Command, log: &Path) -> Result<Server> {
        let file = std::fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut c = leashed(c);
        c.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = c.spawn().with_context(|| format!("could not start `{}`", line(&c)))?;
        Ok(Server { name: name.to_string(), child, log: log.to_path_buf() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `port` of the loopback interface takes connections.
    pub(crate) fn wait_for(&mut self, port: u16, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", self.name, self.said());
            }
            if TcpStream::connect_timeout(&loopback(port), Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{} did not listen on port {port} in {} s:\n{}", self.name, patience.as_secs(), self.said())
    }

    /// What it has said so far; a log that cannot be read says nothing.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of its log.
    pub(crate) fn said(&self) -> String {
        tail(&self.log(), 30)
    }

    /// Signals the whole group. Somebody who has gone already needs no signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(6) {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port nobody uses at this moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(loopback(0))?.local_addr()?.port())
}

/// A path as text; ours are always UTF-8.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Arguments of the form `--flag` and `--key VALUE`.
pub(crate) struct Options<'a> {
    args: &'a [String],
    known: Vec<&'static str>,
    taken: usize,
}

impl<'a> Options<'a> {
    pub(crate) fn new(args: &'a [String]) -> Options<'a> {
        Options { args, known: Vec::new(), taken: 0 }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> bool {
        self.known.push(name);
        let count = self.args.iter().filter(|a| *a == name).count();
        self.taken += count;
        count > 0
    }

    pub(crate) fn value(&mut self, name: &'static str) -> Result<Option<&'a str>> {
        self.known.push(name);
        let Some(i) = self.args.iter().position(|a| a == name) else {
            return Ok(None);
        };
        let value = self.args.get(i + 1).with_context(|| format!("{name} needs a value"))?;
        self.taken += 2;
        Ok(Some(value))
    }

    /// After all flags and values: anything left over is a mistake in the command line.
    pub(crate) fn finish(self) -> Result<()> {
        if self.taken != self.args.len() {
            bail!("the options are {}; got `{}`", self.known.join(", "), self.args.join(" "));
        }
        Ok(())
    }
}
