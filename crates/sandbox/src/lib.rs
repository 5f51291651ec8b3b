//! Starts a local server so that it can do little and never outlives the gateway.
//!
//! Every server runs under a *guard*: this very program again, in a tiny role. The guard watches the
//! gateway through a pidfd, so that it notices even a SIGKILL, and it is the subreaper of everything
//! that the server starts, so that no grandchild gets away. The server has a process group of its
//! own, no inherited environment beyond what is given, cannot gain privileges, and dumps no core.
//!
//! What it may have beside that is a [`Confinement`]. The guard gives it with the strongest mechanism that this
//! machine offers ([`Level`]), and what was actually enforced comes back as a [`Report`] before the server runs.

#[cfg(not(target_os = "linux"))]
compile_error!("there is no way yet to confine a server on this system; use Linux (on Windows: WSL2)");

mod asked;
pub mod confinement;
pub mod guard;
pub mod own;
mod place;
mod profile;
mod report;
mod ward;

pub use asked::{Asked, Inside, Recorder, What};
pub use confinement::{Confinement, Level, Network, Recording, Sockets};
pub use place::{Kind, Place, place, socket_below};
pub use profile::{System, profile};
pub use report::{Doors, Handed, Layer, PROXY, Report, State};
pub use ward::{HOME, can_be_granted};

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, getrlimit, kill_process, set_dumpable_behavior, setrlimit};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// The hidden subcommand under which the program plays the guard.
pub const GUARD: &str = "__guard";

/// Keeps this process's memory, which holds secrets, out of core dumps, and away from other programs of the same user
/// (`ptrace`, `/proc/PID/mem`). What it starts is dumped by its own rules; servers dump nothing either.
pub fn keep_memory_private() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A core dump that is piped to a program ignores the limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Lets this process open as many files and connections as the system allows it: the usual 1,024 are for programs that
/// wait with `select`, and strangers could use them up.
pub fn open_many_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Only the first time: what is raised already is nobody's original.
    FILES_BEFORE.get_or_init(|| current);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}

/// How many files this process could have open before it took more: what it starts gets no more than that. Programs
/// that wait with `select` write beyond their tables when they are given a number above 1,023.
static FILES_BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The whole environment. Nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory; the gateway's when absent.
    pub directory: Option<PathBuf>,
    /// What it may have; everything that the gateway has when absent.
    pub confinement: Option<Confinement>,
    /// When it is the client of a container engine.
    pub contained: Option<Contained>,
}

/// A container, which is its engine's child and not ours: that its client ended does not end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contained {
    /// The program and its words that remove the container, whatever state it is in. The guard runs this at its end.
    pub remove: Vec<OsString>,
    /// How long it may run.
    pub wall: Option<Duration>,
}

/// A running server and the three pipes to it.
#[derive(Debug)]
pub struct Process {
    guard: Child,
    /// Its standard input.
    pub stdin: Option<ChildStdin>,
    /// Its standard output: the protocol, and nothing else if it behaves.
    pub stdout: Option<ChildStdout>,
    /// Its standard error: for the log.
    pub stderr: Option<ChildStderr>,
    channel: Option<tokio::net::UnixStream>,
}

/// A server that does not start, because it cannot be confined as is asked for, or at all.
#[derive(Debug)]
pub struct Refused(pub String);

impl Launch {
    /// Starts the server.
    pub fn start(&self) -> io::Result<Process> {
        #[expect(clippy::disallowed_methods, reason = "the one place that starts processes, beside the guard itself")]
        let mut command = Command::new("/proc/self/exe");
        command.arg0("bartizan").arg(GUARD).arg("--parent").arg(std::process::id().to_string());
        if let Some(files) = FILES_BEFORE.get().copied().flatten() {
            command.arg("--open-files").arg(files.to_string());
        }
        command.env_clear().envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let channel = match &self.confinement {
            Some(confinement) => Some(confine(&mut command, confinement)?),
            None => None,
        };
        if let Some(contained) = &self.contained {
            // Joined, because some of these words begin like options.
            command.args(contained.remove.iter().map(|word| confinement::joined("--remove", word)));
            command.args(contained.wall.map(|wall| format!("--wall-ms={}", wall.as_millis())));
        }
        command.arg("--").args(&self.command);
        let mut guard = command.spawn()?;
        let (stdin, stdout, stderr) = (guard.stdin.take(), guard.stdout.take(), guard.stderr.take());
        Ok(Process { stdin, stdout, stderr, guard, channel: channel.map(|(near, _)| tokio::net::UnixStream::from_std(near)).transpose()? })
    }
}

/// Has the guard confine the server, and tell over the pair that is returned how that went.
fn confine(command: &mut Command, confinement: &Confinement) -> io::Result<(UnixStream, UnixStream)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let number = far.as_raw_fd();
    command.arg("--channel").arg(number.to_string());
    for word in confinement.words() {
        command.arg("--confine").arg(word);
    }
    // SAFETY: the closure runs between fork and exec and makes one fcntl system call on a descriptor that is open until
    // after the fork; it touches no memory of the parent.
    #[expect(unsafe_code, reason = "a descriptor that only this child inherits must be opened to it in the child")]
    unsafe {
        command.pre_exec(move || {
            let far = std::os::fd::BorrowedFd::borrow_raw(number);
            Ok(rustix::io::fcntl_setfd(far, rustix::io::FdFlags::empty())?)
        });
    }
    Ok((near, far))
}

impl Process {
    /// How the server is confined, as soon as it is; its own code has not run before. Nothing when it is not to be.
    pub async fn confined(&mut self) -> Result<Option<(Report, Handed)>, Refused> {
        let Some(channel) = self.channel.take() else { return Ok(None) };
        let told = channel.async_io(tokio::io::Interest::READABLE, || report::receive(channel.as_fd())).await;
        match told {
            Ok(report::Told::Confined(report, handed)) => Ok(Some((report, handed))),
            Ok(report::Told::Refused(why)) => Err(Refused(why)),
            Err(error) => Err(Refused(error.to_string())),
        }
    }

    /// Waits until the server and all that it started are gone.
    pub async fn wait(&mut self) -> io::Result<()> {
        self.guard.wait().await.map(|_| ())
    }

    /// Asks the guard to end the server and all that it started. Returns at once.
    pub fn end(&self) {
        let pid = self.guard.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may be gone already; then there is nothing to end.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_private() {
        keep_memory_private().expect("done");
        assert_eq!(rustix::process::dumpable_behavior().expect("known"), DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
    }
}
