//! The guard: a process between gateway and server whose only business is that nothing outlives the
//! gateway.

use std::ffi::OsString;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getppid, getrlimit, kill_process, kill_process_group, pidfd_open,
    set_child_subreaper, setrlimit, wait,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::oneshot;

use crate::confinement::Confinement;
use crate::ward::{self, Ward};

/// Exit code when the server cannot be started, as shells have it.
const NOT_STARTED: u8 = 127;
/// How long a server has to end after SIGTERM.
const GRACE: Duration = Duration::from_millis(1500);
/// How long an engine has to remove a container.
const REMOVAL: Duration = Duration::from_secs(20);

/// What a guard is told.
#[derive(Debug)]
pub struct Orders<'a> {
    /// The gateway.
    pub parent: u32,
    /// The descriptor over which the gateway is told how the server is confined.
    pub channel: Option<i32>,
    /// How many files the guard and the server may have open, unless the server asks for more: what held before the
    /// gateway took more for itself.
    pub open_files: Option<u64>,
    /// How to confine it, as [`Confinement::words`] has it; nothing: not at all.
    pub confine: &'a [OsString],
    /// What removes the container that the server is the client of; nothing: it is none.
    pub remove: &'a [OsString],
    /// How long that container may run.
    pub wall: Option<Duration>,
    /// Program and arguments.
    pub command: &'a [OsString],
}

/// Plays the guard: starts the server, and ends with it, with the gateway, or on SIGTERM, whichever is first; before
/// it ends, everything that the server started is gone.
#[must_use]
pub fn main(orders: &Orders<'_>) -> ExitCode {
    let command = orders.command;
    let lowered = orders.open_files.map_or(Ok(()), open_files);
    // First of all: what is confined is made by forking, which only a process with one thread may do.
    let ward = lowered.and_then(|()| confined(orders));
    let outcome = ward.and_then(|ward| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(stand(orders, ward))
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("cannot start {}: {error}", command.first().map_or("nothing".into(), |program| program.to_string_lossy()));
            ExitCode::from(NOT_STARTED)
        }
    }
}

/// Sets the limit that a program may raise by itself, and leaves the other one.
fn open_files(most: u64) -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum.map_or(most, |maximum| most.min(maximum));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum })?)
}

fn confined(orders: &Orders<'_>) -> io::Result<Option<Ward>> {
    if orders.confine.is_empty() {
        return Ok(None);
    }
    let channel = orders.channel.map(taken).transpose()?;
    let confinement = Confinement::read_words(orders.confine).map_err(io::Error::other)?;
    ward::make(&confinement, channel, orders.command).map(Some).map_err(io::Error::other)
}

/// A descriptor that the gateway left open for us.
fn taken(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the gateway opened it for this, and nobody else in this process knows its number.
    #[expect(unsafe_code, reason = "a descriptor that was inherited is a number")]
    let channel = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC)?;
    Ok(channel)
}

async fn stand(orders: &Orders<'_>, ward: Option<Ward>) -> io::Result<u8> {
    let gateway = watch(orders.parent)?;
    set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::thread::set_no_new_privs(true)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let mut term = signal(SignalKind::terminate())?;
    let mut server = match ward {
        Some(ward) => Server::Ward(ward, signal(SignalKind::child())?),
        None => Server::Bare(start(orders.command)?),
    };
    let ended = watch_over(&mut server, orders, (gateway, &mut term)).await;
    remove(orders.remove).await;
    ended
}

/// Until it has ended, and all that it started.
async fn watch_over(server: &mut Server, orders: &Orders<'_>, (gateway, term): (oneshot::Receiver<()>, &mut Signals)) -> io::Result<u8> {
    let group = server.begin()?;
    let_go()?;
    let wall = server.wall().or(orders.wall);
    let status = tokio::select! {
        status = server.wait() => Some(status?),
        _ = gateway => None,
        _ = term.recv() => None,
        () = over(wall) => None,
    };
    let status = match status {
        Some(status) => status,
        None => end(server, group).await?,
    };
    sweep(group).await;
    Ok(status)
}

/// Has an engine end what its client leaves behind: the client may have been killed, and a container goes on without it.
/// One that is gone already is no error, and nobody is left who could be told of any other.
async fn remove(words: &[OsString]) {
    let Some((program, arguments)) = words.split_first() else { return };
    #[expect(clippy::disallowed_methods, reason = "the guard ends what it started: that is what it is for")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let _ = tokio::time::timeout(REMOVAL, command.status()).await;
}

/// Resolves when a server ran as long as it may.
async fn over(wall: Option<Duration>) {
    match wall {
        Some(wall) => tokio::time::sleep(wall).await,
        None => std::future::pending().await,
    }
}

/// What is guarded.
enum Server {
    Bare(Child),
    /// Confined, and how its end is noticed.
    Ward(Ward, Signals),
}

impl Server {
    /// Lets it begin; returns its process group.
    fn begin(&mut self) -> io::Result<Option<Pid>> {
        match self {
            Self::Bare(child) => Ok(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)),
            Self::Ward(ward, _) => ward.release().map(|()| Some(ward.pid)),
        }
    }

    const fn wall(&self) -> Option<Duration> {
        match self {
            Self::Bare(_) => None,
            Self::Ward(ward, _) => ward.wall,
        }
    }

    async fn wait(&mut self) -> io::Result<u8> {
        match self {
            Self::Bare(child) => Ok(code(child.wait().await?)),
            Self::Ward(ward, signals) => loop {
                if let Some(code) = ward.ended()? {
                    return Ok(code);
                }
                signals.recv().await;
            },
        }
    }

    fn ask(&self, group: Option<Pid>) {
        match (self, group) {
            (Self::Ward(ward, _), _) => ward.ask(),
            // It may have ended by itself meanwhile.
            (Self::Bare(_), Some(group)) => drop(kill_process_group(group, Signal::TERM)),
            (Self::Bare(_), None) => {}
        }
    }

    fn kill(&mut self) -> io::Result<()> {
        match self {
            Self::Bare(child) => child.start_kill(),
            Self::Ward(ward, _) => {
                ward.kill();
                Ok(())
            }
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Resolves when the gateway is gone.
fn watch(parent: u32) -> io::Result<oneshot::Receiver<()>> {
    let gone = || io::Error::other("the gateway is gone");
    let pid = i32::try_from(parent).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    // Asked after opening: if the gateway died before, its number may be somebody else's by now.
    if getppid() != Some(pid) {
        return Err(gone());
    }
    let (tell, told) = oneshot::channel();
    // A thread of its own: it waits for as long as the gateway lives, and ends with this process.
    std::thread::spawn(move || {
        let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
        while poll(&mut watched, None).is_err() {}
        // The receiver is gone when the server ended first.
        let _ = tell.send(());
    });
    Ok(told)
}

fn start(command: &[OsString]) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("no command"))?;
    #[expect(clippy::disallowed_methods, reason = "the guard starts the server: that is what it is for")]
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    // SAFETY: the closure runs between fork and exec and makes one prctl system call, which is
    // async-signal-safe; it touches no memory of the parent.
    #[expect(unsafe_code, reason = "the server must die with the guard, and only the child itself can ask for that")]
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command.spawn()
}

/// Lets go of the pipes to the gateway. The server alone holds its ends from now on, so that the gateway notices
/// when it closes one.
pub(crate) fn let_go() -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "what takes the place of a pipe is nothing, which is a file")]
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(rustix::stdio::dup2_stdout(&nothing)?)
}

/// Ends a server that still runs: politely, then not.
async fn end(server: &mut Server, group: Option<Pid>) -> io::Result<u8> {
    server.ask(group);
    if let Ok(status) = tokio::time::timeout(GRACE, server.wait()).await {
        return status;
    }
    server.kill()?;
    server.wait().await
}

/// Kills what is left: the server's group, then every orphan that came to us as the subreaper.
async fn sweep(group: Option<Pid>) {
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    for _ in 0..100 {
        let children = children();
        if children.is_empty() {
            return;
        }
        for pid in children {
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
    }
}

/// Processes whose parent is this one.
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    #[expect(clippy::disallowed_methods, reason = "the kernel tells who our children are through a directory")]
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid).as_deref() == Some(&own)).filter_map(Pid::from_raw).collect()
}

/// The parent's number in `/proc/PID/stat`; the name before it may itself contain parentheses.
fn parent_of(pid: i32) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the kernel tells a process's parent through a file")]
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(1).map(str::to_owned)
}
