//! A ward: a server in its confinement, made while the guard is still a process with one thread.
//!
//! The guard forks. The child takes its place in namespaces of its own, makes its root, and gives everything away;
//! then it tells the gateway what holds, and only then the server's first instruction runs. In a process
//! namespace the child stays as its first process: when that ends, the kernel ends all others.

mod cgroup;
mod limits;
mod network;
mod paths;
mod privileges;
mod record;
mod root;
pub(crate) mod strict;
pub(crate) mod syscalls;

pub use strict::can_be_granted;

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, set_dumpable_behavior,
    set_parent_process_death_signal, setsid, wait, waitpid,
};

use crate::confinement::{Confinement, Level, Network, Recording, Sockets};
use crate::guard::let_go;
use crate::report::{self, Doors, Layer, Report, State};

/// Devices that are nobody's.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// A private home in a root of its own.
pub const HOME: &str = "/tmp/home";
/// Exit code when a program cannot be started, as shells have it.
const NOT_STARTED: i32 = 127;

/// A server in its confinement. It waits until it is released; it ends when this is dropped before.
#[derive(Debug)]
pub(crate) struct Ward {
    /// The first process, as the guard sees it.
    pub(crate) pid: Pid,
    level: Level,
    hold: Option<UnixStream>,
    /// How long it may run.
    pub(crate) wall: Option<Duration>,
    _groups: cgroup::Groups,
    /// Scratch space that has to be removed.
    scratch: Option<PathBuf>,
}

impl Drop for Ward {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            #[expect(clippy::disallowed_methods, reason = "the guard made it for the server, and removes it after it")]
            // It was the server's: what it made undeletable stays.
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}

/// Confines as strongly as can be, and no weaker than asked. The gateway is told how it went.
pub(crate) fn make(confinement: &Confinement, channel: Option<OwnedFd>, command: &[OsString]) -> Result<Ward, String> {
    let mut missing = Vec::new();
    let weakest = match (confinement.network, confinement.sockets) {
        (Network::Nothing, Sockets::Network) => confinement.minimum,
        // Without a network of its own there are no doors, and without a root of its own every socket in a file is in sight.
        (Network::Doors, _) | (_, Sockets::Files) => Level::Native,
    };
    for level in [Level::Native, Level::Landlock] {
        if level < weakest || level > confinement.most {
            continue;
        }
        match attempt(confinement, level, channel.as_ref(), command) {
            Ok(ward) => return Ok(ward),
            Err(why) => missing.push(format!("{}: {why}", level.name())),
        }
    }
    let why = format!("it cannot be confined as is asked for ({}). {}", weakest.name(), missing.join("; "));
    if let Some(channel) = &channel {
        // If the gateway is gone, nobody needs to know.
        let _ = report::refused(channel.as_fd(), &why);
    }
    Err(why)
}

/// Makes a process like `fork`, in these namespaces.
fn clone(flags: i32) -> io::Result<Option<Pid>> {
    let flags = i64::from(flags | libc::SIGCHLD);
    // SAFETY: this process has one thread, so the child's copy of its memory is consistent. No stack is given, so that
    // the child goes on with its copy of this one, as after fork(2).
    #[expect(unsafe_code, reason = "fork(2) cannot name namespaces")]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match i32::try_from(pid).unwrap_or(-1) {
        0 => Ok(None),
        // A negative one is no process: the reason lies beside it.
        number => Some(number).filter(|number| *number > 0).and_then(Pid::from_raw).map(Some).ok_or_else(io::Error::last_os_error),
    }
}

fn attempt(confinement: &Confinement, level: Level, channel: Option<&OwnedFd>, command: &[OsString]) -> Result<Ward, String> {
    let flags = if level == Level::Native {
        libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP
    } else {
        0
    };
    let scratch = if level == Level::Native { None } else { Some(scratch()?) };
    let identity = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (mut hold, far) = UnixStream::pair().map_err(|error| error.to_string())?;
    let made = clone(flags).map_err(|error| format!("namespaces are refused ({error}). {HOW_NAMESPACES}"))?;
    let Some(pid) = made else {
        drop(hold);
        let inmate = Inmate { confinement, level, channel, command, scratch: scratch.as_deref(), identity };
        inmate.live(far);
    };
    drop(far);
    let (groups, layer) = cgroup::Groups::make(confinement, pid);
    // One that could not take its place has ended already, and left the reason.
    let _ = hold.write_all(told_of(&layer).as_bytes());
    let mut one = [0_u8; 1024];
    // One message: `+`, or what went wrong.
    // Whoever ended without having read what it was told leaves an error instead of the end: it said nothing.
    let length = hold.read(&mut one).unwrap_or(0);
    let answer = String::from_utf8_lossy(one.get(..length).unwrap_or_default()).into_owned();
    let ward = Ward { pid, level, hold: Some(hold), wall: confinement.wall, _groups: groups, scratch };
    if answer == "+" {
        return Ok(ward);
    }
    ward.kill();
    let _ = waitpid(Some(pid), WaitOptions::empty());
    Err(if answer.is_empty() { "it ended while it was confined".to_owned() } else { answer })
}

const HOW_NAMESPACES: &str = "A distribution may forbid them to ordinary users: see kernel.unprivileged_userns_clone, \
    kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces; a container needs a seccomp profile that allows them";

/// A directory of its own where `/tmp` is everybody's.
fn scratch() -> Result<PathBuf, String> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = std::env::temp_dir().join(format!("bartizan-{}", std::process::id()));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
    made.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

fn told_of(layer: &Layer) -> String {
    format!("{}\t{}\t{}", layer.name, layer.state.name(), layer.detail)
}

fn layer_of(text: &str) -> Option<Layer> {
    let mut parts = text.splitn(3, '\t');
    let (name, state, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let state = [State::Enforced, State::Partial, State::Absent].into_iter().find(|one| one.name() == state)?;
    Some(Layer::new(name, state, detail))
}

impl Ward {
    /// Lets the server begin.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.hold.take().map_or(Ok(()), |mut hold| hold.write_all(b"g"))
    }

    /// Its status, if it ended.
    pub(crate) fn ended(&self) -> io::Result<Option<u8>> {
        Ok(waitpid(Some(self.pid), WaitOptions::NOHANG)?.map(|(_, status)| code(status)))
    }

    /// Asks all of it to end.
    pub(crate) fn ask(&self) {
        // It may have ended by itself meanwhile.
        let _ = if self.level == Level::Native { kill_process(self.pid, Signal::TERM) } else { kill_process_group(self.pid, Signal::TERM) };
    }

    /// Ends all of it.
    pub(crate) fn kill(&self) {
        // The first process of a namespace takes all others with it.
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

fn code(status: WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| signal.saturating_add(128));
    status.exit_status().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The child: everything here runs in it, before the server does.
struct Inmate<'a> {
    confinement: &'a Confinement,
    level: Level,
    channel: Option<&'a OwnedFd>,
    command: &'a [OsString],
    scratch: Option<&'a Path>,
    /// User and group outside of the namespaces: inside, they are nobody's until they are mapped.
    identity: (u32, u32),
}

impl Inmate<'_> {
    fn live(&self, mut hold: UnixStream) -> ! {
        let mut first = [0_u8; 1024];
        // Meanwhile the guard puts this process into its groups, for which the kernel takes up to ten milliseconds.
        let prepared = self.separate().and_then(|doors| match hold.read(&mut first) {
            Ok(length) if length > 0 => self.confine(doors, layer_of(&String::from_utf8_lossy(first.get(..length).unwrap_or_default()))),
            // The guard is gone.
            _ => std::process::exit(NOT_STARTED),
        });
        if let Err(why) = prepared {
            // Without the guard there is nobody to tell.
            let _ = hold.write_all(why.as_bytes());
            std::process::exit(NOT_STARTED);
        }
        // The death signal is set by now: a guard that dies from here on takes this process with it, and one that died
        // before is noticed here.
        let released = hold.write_all(b"+").and_then(|()| hold.read(&mut first));
        if !matches!(released, Ok(1)) {
            std::process::exit(NOT_STARTED);
        }
        drop(hold);
        if self.level == Level::Native { self.stay() } else { self.become_server() }
    }

    fn confine(&self, doors: Option<Doors>, resources: Option<Layer>) -> Result<(), String> {
        let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
        let mut layers = Vec::new();
        if self.level == Level::Native {
            layers.push(Layer::new("namespaces", State::Enforced, "user mount pid network ipc uts cgroup"));
            layers.push(Layer::new("root", State::Enforced, ""));
        } else {
            layers.push(Layer::new("namespaces", State::Absent, "names and command lines of other processes can be seen"));
        }
        layers.extend(resources);
        layers.push(limits::set(self.confinement, self.level)?);
        privileges::drop_all()?;
        layers.push(Layer::new("privileges", State::Enforced, ""));
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("the death signal"))?;
        close_all_on_exec()?;
        let scratch: Vec<&Path> =
            if self.level == Level::Native { vec![Path::new("/tmp"), Path::new("/dev/shm")] } else { self.scratch.into_iter().collect() };
        layers.push(paths::restrict(self.confinement, self.level, &scratch)?);
        // Nobody in there may look into this process. The server itself gets this back with its first instruction.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("prctl"))?;
        syscalls::deny(self.level, self.confinement.sockets)?;
        layers.push(Layer::new("system calls", State::Enforced, ""));
        let Some(channel) = self.channel else { return Ok(()) };
        let listener = if self.confinement.recording == Recording::On { record::begin(&mut layers) } else { None };
        let report = Report { level: self.level, layers };
        let told = report::confined(channel.as_fd(), &report, doors.as_ref(), listener.as_ref().map(OwnedFd::as_fd));
        told.map_err(|error| format!("the gateway cannot be told: {error}"))
    }

    /// Takes its place in the session and the namespaces that it was made in.
    fn separate(&self) -> Result<Option<Doors>, String> {
        let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
        setsid().map_err(failed("setsid"))?;
        if self.level != Level::Native {
            return Ok(None);
        }
        let directory = rustix::process::getcwd(Vec::new()).map_err(failed("the working directory"))?;
        let directory = PathBuf::from(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(directory.into_bytes()));
        // Otherwise its own files in /proc would belong to somebody else.
        set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(failed("prctl"))?;
        let (user, group) = self.identity;
        own_file("setgroups", "deny")?;
        own_file("uid_map", &format!("{user} {user} 1"))?;
        own_file("gid_map", &format!("{group} {group} 1"))?;
        rustix::system::sethostname(b"server").map_err(failed("sethostname"))?;
        network::up().map_err(|error| format!("the loopback device: {error}"))?;
        let doors = match self.confinement.network {
            Network::Doors => Some(network::doors().map_err(|error| format!("the doors: {error}"))?),
            Network::Nothing => None,
        };
        root::enter(self.confinement, &directory)?;
        Ok(doors)
    }

    /// The first process of a namespace: it starts the server, takes care of orphans, and ends with the server.
    fn stay(&self) -> ! {
        let signals = signals();
        mask(libc::SIG_BLOCK, &signals);
        let server = match clone(0) {
            Ok(None) => {
                mask(libc::SIG_UNBLOCK, &signals);
                self.become_server()
            }
            Ok(Some(server)) => server,
            Err(_) => std::process::exit(NOT_STARTED),
        };
        // Nothing but standard error is held from now on: the server alone has its ends of the pipes.
        if close_range(0).is_err() || let_go().is_err() {
            std::process::exit(NOT_STARTED);
        }
        loop {
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                if pid == server {
                    std::process::exit(code(status).into());
                }
            }
            if next(&signals) == libc::SIGTERM {
                // The server is in a group of its own; it may have ended meanwhile.
                let _ = kill_process_group(server, Signal::TERM);
            }
        }
    }

    fn become_server(&self) -> ! {
        let Some((program, arguments)) = self.command.split_first() else { std::process::exit(NOT_STARTED) };
        // A session and a group of its own. Without a first process it has them already.
        let _ = setsid();
        #[expect(clippy::disallowed_methods, reason = "the confined process becomes the server: that is what it is for")]
        let mut command = std::process::Command::new(program);
        let home = self.scratch.unwrap_or(Path::new(HOME));
        let temporary = self.scratch.unwrap_or(Path::new("/tmp"));
        command.args(arguments);
        for (name, value) in [("HOME", home), ("TMPDIR", temporary)] {
            if !is_set(name) {
                command.env(name, value);
            }
        }
        let error = command.exec();
        eprintln!("cannot start {}: {error}", program.to_string_lossy());
        std::process::exit(NOT_STARTED)
    }
}

/// Writes to a file about this process.
fn own_file(name: &str, text: &str) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "the kernel takes the identities of a namespace through files")]
    std::fs::write(Path::new("/proc/self").join(name), text).map_err(|error| format!("{name}: {error}"))
}

fn is_set(name: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the guard's environment is the server's")]
    std::env::var_os(name).is_some()
}

/// What is open ends with the next program, but for the three pipes.
fn close_all_on_exec() -> Result<(), String> {
    close_range(libc::CLOSE_RANGE_CLOEXEC).map_err(|error| format!("close_range: {error}"))
}

fn close_range(flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the call takes three numbers. Descriptors that are closed here are not used any more: see the callers.
    #[expect(unsafe_code, reason = "no library offers this system call")]
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The signals that the first process of a namespace waits for.
fn signals() -> libc::sigset_t {
    // SAFETY: the set is made empty before it is used, and outlives the calls.
    #[expect(unsafe_code, reason = "no library offers these calls")]
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    }
}

fn mask(how: i32, set: &libc::sigset_t) {
    // SAFETY: the set is complete and outlives the call.
    #[expect(unsafe_code, reason = "no library offers this call")]
    unsafe {
        libc::sigprocmask(how, set, std::ptr::null_mut());
    }
}

/// Waits for the next of these signals.
fn next(set: &libc::sigset_t) -> i32 {
    let mut signal = 0;
    // SAFETY: the set is complete, and both outlive the call.
    #[expect(unsafe_code, reason = "no library offers this call")]
    unsafe {
        libc::sigwait(set, &raw mut signal);
    }
    signal
}
