//! The guard: a process between gateway and server whose only business is that nothing outlives the
//! gateway.

use std::ffi::OsString;
use std::io;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getppid, kill_process, kill_process_group, pidfd_open, set_child_subreaper,
    setrlimit, wait,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Exit code when the server cannot be started, as shells have it.
const NOT_STARTED: u8 = 127;
/// How long a server has to end after SIGTERM.
const GRACE: Duration = Duration::from_millis(1500);

/// Plays the guard: starts `command`, and ends with it, with the gateway `parent`, or on SIGTERM,
/// whichever is first; before it ends, everything that the server started is gone.
#[must_use]
pub fn main(parent: u32, command: &[OsString]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(stand(parent, command)));
    match outcome {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("cannot start {}: {error}", command.first().map_or("nothing".into(), |program| program.to_string_lossy()));
            ExitCode::from(NOT_STARTED)
        }
    }
}

async fn stand(parent: u32, command: &[OsString]) -> io::Result<ExitStatus> {
    let gateway = watch(parent)?;
    set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::thread::set_no_new_privs(true)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let mut term = signal(SignalKind::terminate())?;
    let mut child = start(command)?;
    let_go()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        _ = gateway => None,
        _ = term.recv() => None,
    };
    let status = match status {
        Some(status) => status,
        None => end(&mut child, group).await?,
    };
    sweep(group).await;
    Ok(status)
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
fn let_go() -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "what takes the place of a pipe is nothing, which is a file")]
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(rustix::stdio::dup2_stdout(&nothing)?)
}

/// Ends a server that still runs: politely, then not.
async fn end(child: &mut Child, group: Option<Pid>) -> io::Result<ExitStatus> {
    if let Some(group) = group {
        // It may have ended by itself meanwhile.
        let _ = kill_process_group(group, Signal::TERM);
    }
    if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
        return status;
    }
    child.start_kill()?;
    child.wait().await
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
