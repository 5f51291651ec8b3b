//! A server that a container engine encloses: what is asked of the engine is made here, out of what was understood of
//! the command line and what the configuration grants.
//!
//! The engine's client is not confined, because it needs its engine's socket. So none of the words that were written
//! reach it: what it is started with is made anew, and begins with everything that encloses.

mod mounts;

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use bartizan_sandbox::{Confinement, Contained, Launch, Level};

use super::{Around, Confined};
use crate::artefact::Container;
use crate::config::Confine;
use mounts::{Mounted, Mounts};

/// Clients of container engines. A name proves nothing, so only the one that the gateway's own search path has is started
/// as what it is called; anything else of that name does not start unless the operator says so.
const ENGINES: &[&str] = &["docker", "podman"];

/// Whose files a container works with when the gateway's own are root's: nobody's.
const NOBODY: u32 = 65534;
/// Percent of one processor, unless something else is granted.
const PROCESSOR: u64 = 100;

/// How a layer stands that another program was asked for: nobody here has seen that it holds.
const ASKED: &str = "asked";

/// A container, ready to be asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The engine's client and its words.
    pub(super) command: Vec<OsString>,
    /// How it ends.
    pub(super) contained: Contained,
    /// What is written down of it.
    pub(super) confined: Confined,
}

/// Whether a program is, by its name, the client of a container engine.
pub(super) fn is_engine(program: &Path) -> bool {
    program.file_name().and_then(|name| name.to_str()).is_some_and(|name| ENGINES.contains(&name))
}

/// Whether a command line begins with the client of a container engine.
pub(in super::super) fn is_asked(command: &[String]) -> bool {
    command.first().is_some_and(|word| ENGINES.contains(&word.as_str()))
}

/// What is asked of the engine for a server that is to be confined; nothing when its command is another one.
pub(super) fn asked(confine: &Confine, launch: &Launch, around: &Around<'_>) -> Result<Option<Asked>, String> {
    let words: Option<Vec<String>> = launch.command.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let Some(words) = words.filter(|words| is_asked(words)) else { return Ok(None) };
    let engine =
        launch.command.first().and_then(|word| around.program(word)).ok_or("the client of the container engine is not installed")?;
    let container = Container::read(&words).map_err(|unclear| unclear.to_string())?;
    allowed(confine)?;
    let mounts = Mounts { confine, environment: &launch.environment }.judge(&container.mounts)?;
    let name = name()?;
    let limits = Limits::of(confine);
    if let Some(user) = container.user.filter(|user| !mounts.is_empty() && *user != limits.user) {
        let (own, group) = limits.user;
        return Err(format!(
            "-u {}:{} would read what is mounted as somebody else; leave it out, or write -u {own}:{group}",
            user.0, user.1
        ));
    }
    let run = Run { container: &container, mounts: &mounts, limits: &limits, name: &name };
    let command = [engine.clone().into_os_string()].into_iter().chain(run.words().into_iter().map(OsString::from)).collect();
    let remove = [engine.into_os_string(), "rm".into(), "-f".into(), name.clone().into()].into();
    Ok(Some(Asked { command, contained: Contained { remove, wall: confine.wall }, confined: run.confined() }))
}

/// What can be granted to other servers, and not to a container.
fn allowed(confine: &Confine) -> Result<(), String> {
    if !confine.hosts.is_empty() {
        let what = "`hosts` opens no way into a container yet, whose network is empty";
        return Err(format!("{what}; leave it out, or name the server in `dangerous.unconfined`"));
    }
    if !confine.run.is_empty() {
        return Err("`run` names programs of this machine; those of a container come with its image".to_owned());
    }
    match confine.minimum {
        Some(minimum) if minimum > Level::Container => {
            let had = Level::Container.name();
            Err(format!(
                "its `minimum` is {}, and what an engine encloses is {had}; start it without an engine, or accept {had}",
                minimum.name()
            ))
        }
        _ => Ok(()),
    }
}

/// A name that nothing else of the engine has, by which the guard finds it again.
fn name() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(format!("bartizan-{:032x}", u128::from_be_bytes(bytes)))
}

/// What a container may take.
struct Limits {
    memory: u64,
    scratch: u64,
    processes: u64,
    open_files: u64,
    file_size: u64,
    /// Percent of one processor.
    cpu: u64,
    wall: Option<Duration>,
    /// Who it is when its command line does not say.
    user: (u32, u32),
}

impl Limits {
    fn of(confine: &Confine) -> Self {
        let usual = Confinement::default();
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let given = |own: u32| if own == 0 { NOBODY } else { own };
        Self {
            memory: confine.memory.unwrap_or(usual.memory),
            scratch: confine.scratch.unwrap_or(usual.scratch),
            processes: confine.processes.unwrap_or(usual.processes),
            open_files: confine.open_files.unwrap_or(usual.open_files),
            file_size: confine.file_size.unwrap_or(usual.file_size),
            cpu: confine.cpu.unwrap_or(PROCESSOR),
            wall: confine.wall,
            user: (given(own.0), given(own.1)),
        }
    }

    fn processors(&self) -> String {
        format!("{}.{:02}", self.cpu.div_euclid(100), self.cpu.rem_euclid(100))
    }
}

/// Everything that is asked of an engine.
struct Run<'a> {
    container: &'a Container,
    mounts: &'a [Mounted],
    limits: &'a Limits,
    name: &'a str,
}

impl Run<'_> {
    fn user(&self) -> (u32, u32) {
        self.container.user.unwrap_or(self.limits.user)
    }

    /// The words behind the engine's client.
    fn words(&self) -> Vec<String> {
        let option = |name: &str, value: &dyn Display| format!("--{name}={value}");
        let Limits { memory, scratch, processes, open_files, file_size, .. } = self.limits;
        let (user, group) = self.user();
        let mut words: Vec<String> = ["run", "-i", "--rm", "--init", "--read-only", "--no-healthcheck"].map(str::to_owned).into();
        words.extend([
            option("name", &self.name),
            option("cap-drop", &"ALL"),
            option("security-opt", &"no-new-privileges"),
            option("user", &format!("{user}:{group}")),
            option("network", &"none"),
            option("ipc", &"private"),
            option("cgroupns", &"private"),
            option("memory", memory),
            // As much again would be swap otherwise.
            option("memory-swap", memory),
            option("cpus", &self.limits.processors()),
            option("pids-limit", processes),
            option("shm-size", scratch),
            option("ulimit", &format!("nofile={open_files}:{open_files}")),
            option("ulimit", &format!("fsize={file_size}:{file_size}")),
            option("ulimit", &"core=0:0"),
            // What it says is the protocol; an engine would write a copy of it to its disk.
            option("log-driver", &"none"),
        ]);
        let places = ["/tmp"].into_iter().chain(self.container.scratch.iter().map(String::as_str).filter(|path| *path != "/tmp"));
        words.extend(places.map(|path| format!("--tmpfs={path}:rw,noexec,nosuid,nodev,mode=1777,size={scratch}")));
        words.extend(self.mounts.iter().map(Mounted::word));
        words.extend(self.env().iter().map(|variable| option("env", variable)));
        words.extend(self.container.plain.iter().cloned());
        words.push(self.container.image.clone());
        words.extend(self.container.arguments.iter().cloned());
        words
    }

    /// Its variables, and a home that it can write to, as other confined servers have one.
    fn env(&self) -> Vec<String> {
        let is_set = |name: &str| self.container.env.iter().any(|one| one.split('=').next() == Some(name));
        let own = ["HOME", "TMPDIR"].into_iter().filter(|name| !is_set(name)).map(|name| format!("{name}=/tmp"));
        own.chain(self.container.env.iter().cloned()).collect()
    }

    /// What is written down. The engine was asked; whether it did so, nobody here has seen.
    fn confined(&self) -> Confined {
        let Limits { memory, scratch, processes, open_files, file_size, wall, .. } = self.limits;
        let (user, group) = self.user();
        let wall = wall.map(|wall| format!(", {} s", wall.as_secs())).unwrap_or_default();
        let processors = self.limits.processors();
        let layer = |name: &str, state: &'static str, detail: String| (name.to_owned(), state, detail);
        let mut layers = vec![
            layer("namespaces", ASKED, "of the engine, as all of this: its own, with an empty network".to_owned()),
            layer("root", ASKED, "read-only; what the image declares as a volume has no limit of size".to_owned()),
            layer("privileges", ASKED, format!("no capabilities and no new privileges, user {user}:{group}")),
            layer(
                "resources",
                ASKED,
                format!("{memory} bytes of memory, {processors} processors, {processes} processes, {scratch} bytes of scratch space{wall}"),
            ),
            layer("limits", ASKED, format!("{open_files} open files, {file_size} bytes of a file")),
            layer("system calls", ASKED, "the engine's usual filter".to_owned()),
        ];
        if !self.mounts.is_empty() {
            let told: Vec<String> = self.mounts.iter().map(Mounted::told).collect();
            let missing = "what is written there can be run, and a socket that appears there can be connected to";
            layers.push(layer("mounts", "partial", format!("{}; {missing}", told.join(", "))));
        }
        Confined { preset: "image", level: Level::Container.name(), layers, unseen: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
