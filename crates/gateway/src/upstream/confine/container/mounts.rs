//! What of this machine is seen in a container: what the configuration grants, and never a way to somebody else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bartizan_sandbox::{Kind, Place, place, socket_below};

use crate::artefact::{Access, Mount};
use crate::config::{Confine, files};

/// What belongs to the kernel, to devices and to services that run: most of it is a way to speak with somebody.
const NEVER: &[&str] = &["/proc", "/sys", "/dev", "/run"];
/// How many files of a directory are looked at for sockets.
const MOST_FILES: usize = 50_000;
/// How long the kernel's list of mounts may be.
const MOST_LISTED: u64 = 4 * 1024 * 1024;

/// Something that is mounted, by its name without any link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) source: PathBuf,
    pub(super) target: String,
    pub(super) access: Access,
}

impl Mounted {
    /// As an option. It fails where a `-v` would make a directory of a name that is gone.
    pub(super) fn word(&self) -> String {
        let readonly = if self.access == Access::Read { ",readonly" } else { "" };
        format!("--mount=type=bind,source={},target={}{readonly}", self.source.display(), self.target)
    }

    pub(super) fn told(&self) -> String {
        let may = if self.access == Access::Read { "read" } else { "written" };
        format!("{} {may}", self.source.display())
    }
}

/// Judges mounts by what is granted.
pub(super) struct Mounts<'a> {
    pub(super) confine: &'a Confine,
    /// The client's environment, which may say which engine it speaks with.
    pub(super) environment: &'a [(OsString, OsString)],
}

impl Mounts<'_> {
    /// What becomes of them, or why not.
    pub(super) fn judge(&self, mounts: &[Mount]) -> Result<Vec<Mounted>, String> {
        if mounts.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(name) = self.elsewhere() {
            return Err(format!("{name} names an engine of another machine, where paths mean other files; nothing is mounted there"));
        }
        mounts.iter().map(|mount| self.one(mount)).collect()
    }

    fn one(&self, mount: &Mount) -> Result<Mounted, String> {
        let shown = mount.host.display();
        let found = place(&mount.host).map_err(|error| format!("{shown} is not mounted: {error}"))?;
        let access = self.granted(&found.path, mount)?;
        self.harmless(&found).map_err(|why| format!("{shown} is not mounted: {why}"))?;
        Ok(Mounted { source: found.path, target: mount.inside.clone(), access })
    }

    /// What the configuration lets be done with it. What is only to be read is only read, whatever was asked for.
    fn granted(&self, path: &Path, mount: &Mount) -> Result<Access, String> {
        let within = |grants: &[PathBuf]| grants.iter().filter_map(|grant| place(grant).ok()).any(|grant| path.starts_with(&grant.path));
        match mount.access {
            Access::Write if within(&self.confine.write) => Ok(Access::Write),
            _ if within(&self.confine.read) || within(&self.confine.write) => Ok(Access::Read),
            asked => {
                let key = if asked == Access::Read { "read" } else { "write" };
                let host = mount.host.display().to_string();
                Err(format!("{host} is not granted; write into the server's `confine`: {key} = [{host:?}]"))
            }
        }
    }

    fn harmless(&self, found: &Place) -> Result<(), String> {
        let path = &found.path;
        if path.to_str().is_none_or(|text| text.chars().any(|c| c.is_control() || matches!(c, ',' | '"'))) {
            return Err("its real name holds what an engine would take apart".to_owned());
        }
        if path == Path::new("/") || NEVER.iter().any(|never| path.starts_with(never)) {
            return Err("what is there belongs to the system, and not to a server".to_owned());
        }
        match found.kind {
            Kind::Other => return Err("it is a socket or a device".to_owned()),
            Kind::File => return Ok(()),
            Kind::Directory => {}
        }
        if let Some(engine) = self.engines().find(|socket| socket.starts_with(path)) {
            return Err(format!("{} lies there, with which a container could do anything", engine.display()));
        }
        match socket_below(path, MOST_FILES) {
            Ok(None) => {}
            Ok(Some(socket)) => return Err(format!("{} is a socket, behind which somebody listens", socket.display())),
            Err(error) => return Err(format!("it cannot be looked through for sockets ({error}); grant what is needed of it")),
        }
        let other = mounts_below(path).map_err(|error| format!("the mounts of this machine cannot be read: {error}"))?;
        other.map_or(Ok(()), |other| Err(format!("another file system is mounted in it, at {other}; grant what is needed of it")))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().rev().find(|(own, _)| own == name).and_then(|(_, value)| value.to_str())
    }

    /// The variable that names an engine that is not of this machine, or that may not be.
    fn elsewhere(&self) -> Option<&'static str> {
        let remote = |name: &&str| self.variable(name).is_some_and(|value| !value.is_empty() && !value.starts_with("unix://"));
        ["DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT", "CONTAINER_CONNECTION"].into_iter().find(remote)
    }

    /// Sockets of engines, as far as one knows where they are. Those below `/run` are not mounted anyway.
    fn engines(&self) -> impl Iterator<Item = PathBuf> {
        let named = ["DOCKER_HOST", "CONTAINER_HOST"].into_iter().filter_map(|name| self.variable(name)?.strip_prefix("unix://"));
        let homes = [".docker/run/docker.sock", ".docker/desktop/docker.sock"];
        let home = self.variable("HOME").map(PathBuf::from);
        let own = homes.into_iter().filter_map(move |below| Some(home.as_ref()?.join(below)));
        named.map(PathBuf::from).chain(own).map(|socket| place(&socket).map_or(socket, |found| found.path))
    }
}

/// What is mounted somewhere below a directory: not every engine keeps that from being written to.
fn mounts_below(directory: &Path) -> std::io::Result<Option<String>> {
    let list = files::read(Path::new("/proc/self/mountinfo"), MOST_LISTED)?;
    let below = |place: &&str| Path::new(place) != directory && Path::new(place).starts_with(directory);
    let places = list.lines().filter_map(|line| line.split(' ').nth(4)).map(|place| place.replace("\\040", " "));
    Ok(places.map(|place| place.as_str().to_owned()).find(|place| below(&place.as_str())))
}
