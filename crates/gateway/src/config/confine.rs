//! What a server may have of this machine and its network: from what was written to what can be used.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_sandbox::{Level, Sockets, can_be_granted, confinement};
use serde::Deserialize;
use toml::Spanned;

use super::file::Length;
use super::problem::Problems;

/// What a server may have beside its program and its run-time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confine {
    /// What it may read.
    pub read: Vec<PathBuf>,
    /// What it may read and write.
    pub write: Vec<PathBuf>,
    /// Programs that it may start: names, or absolute paths.
    pub run: Vec<String>,
    /// Where it may connect to.
    pub hosts: Vec<Host>,
    /// Whether it can make sockets that stand in files, as browsers do.
    pub sockets: Option<Sockets>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of its private scratch space.
    pub scratch: Option<u64>,
    /// Bytes of one file.
    pub file_size: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Open files of one process.
    pub open_files: Option<u64>,
    /// Percent of one processor.
    pub cpu: Option<u64>,
    /// How long it may run.
    pub wall: Option<Duration>,
    /// The weakest confinement in which it is started.
    pub minimum: Option<Level>,
}

/// A place that a server may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name in lower case, `*.` before it for all names below it; or an address.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl Host {
    /// Reads `NAME:PORT`, `*.NAME:PORT`, `ADDRESS:PORT`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (name, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self { name: address.to_string(), port });
        }
        let below = name.strip_prefix("*.").unwrap_or(name);
        let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        // A name whose last label is a number is an address in a notation that nobody writes on purpose.
        let is_name = below.split('.').all(label) && !below.rsplit('.').next().is_some_and(is_number);
        is_name.then(|| Self { name: name.to_ascii_lowercase(), port })
    }

    /// Whether this entry covers a name, or an address as text.
    #[must_use]
    pub fn covers(&self, name: &str, port: u16) -> bool {
        let named = match self.name.strip_prefix("*.") {
            Some(domain) => name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => self.name == name,
        };
        named && self.port == port
    }
}

/// Whether a label is a number in any notation that resolvers understand: `10`, `0x7f`, `010`.
#[must_use]
pub fn is_number(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    let hex = lower.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    hex || !label.is_empty() && label.chars().all(|c| c.is_ascii_digit())
}

/// What was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    read: Vec<Spanned<PathBuf>>,
    write: Vec<Spanned<PathBuf>>,
    run: Vec<Spanned<String>>,
    hosts: Vec<Spanned<String>>,
    sockets: Option<Spanned<String>>,
    memory: Option<Spanned<String>>,
    scratch: Option<Spanned<String>>,
    file_size: Option<Spanned<String>>,
    processes: Option<Spanned<u64>>,
    open_files: Option<Spanned<u64>>,
    cpu: Option<Spanned<String>>,
    wall: Option<Spanned<Length>>,
    minimum: Option<Spanned<String>>,
}

/// What is granted on a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// What the server may read.
    pub read: Vec<PathBuf>,
    /// What it may read and write.
    pub write: Vec<PathBuf>,
    /// Programs that it may start.
    pub run: Vec<String>,
    /// Where it may connect to.
    pub hosts: Vec<String>,
    /// Whether what it asks for beside that is recorded.
    pub learn: Learn,
}

/// Whether what a server asks for and does not get is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Learn {
    /// It is refused, and that is all.
    #[default]
    No,
    /// It is refused as always, and recorded.
    Yes,
}

/// Adds to what was written what a command line grants. Paths begin where it was typed.
pub(super) fn add(written: &mut Option<Spanned<Written>>, grants: &Grants) {
    if *grants == Grants::default() {
        return;
    }
    let written = written.get_or_insert_with(|| Spanned::new(0..0, Written::default())).get_mut();
    let path = |path: &PathBuf| Spanned::new(0..0, std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    written.read.extend(grants.read.iter().map(path));
    written.write.extend(grants.write.iter().map(path));
    written.run.extend(grants.run.iter().map(|run| Spanned::new(0..0, run.clone())));
    written.hosts.extend(grants.hosts.iter().map(|host| Spanned::new(0..0, host.clone())));
}

/// Directories that are granted only by naming what is in them: the new root has its own.
const NEVER: &[&str] = &["/", "/proc", "/sys", "/dev", "/etc", "/run", "/var/run"];

impl Written {
    /// Judges it; relative paths begin at `base`.
    pub(super) fn judge(self, base: &Path, problems: &mut Problems) -> Confine {
        let mut paths = |list: Vec<Spanned<PathBuf>>| -> Vec<PathBuf> {
            list.into_iter().filter_map(|written| path(base, &written, problems)).collect()
        };
        let (read, write) = (paths(self.read), paths(self.write));
        let mut hosts = Vec::new();
        for written in self.hosts {
            match Host::read(written.get_ref()) {
                Some(host) => hosts.push(host),
                None => problems.add(Some(written.span()), "a host is a name or an address, and a port: \"api.github.com:443\"", ""),
            }
        }
        let minimum = self.minimum.and_then(|written| {
            let level = Level::read(written.get_ref()).filter(|level| *level != Level::None);
            if level.is_none() {
                let help = "to start it without, name it in `dangerous.unconfined`";
                problems.add(Some(written.span()), "a minimum is `native`, `container` or `landlock`", help);
            }
            level
        });
        let sockets = self.sockets.and_then(|written| match written.get_ref().as_str() {
            "network" => Some(Sockets::Network),
            "files" => Some(Sockets::Files),
            _ => {
                problems.add(Some(written.span()), "sockets are `network`, or `files` for those in files as well", "");
                None
            }
        });
        let mut bytes = |written: Option<Spanned<String>>| {
            let written = written?;
            let read = size(written.get_ref()).filter(|bytes| *bytes >= 1024 * 1024);
            if read.is_none() {
                problems.add(Some(written.span()), "a size is a number with its unit, at least 1MiB: \"512MiB\"", "");
            }
            read
        };
        let (memory, scratch, file_size) = (bytes(self.memory), bytes(self.scratch), bytes(self.file_size));
        let cpu = self.cpu.and_then(|written| {
            let percent = written.get_ref().strip_suffix('%').and_then(|number| number.parse().ok()).filter(|percent| *percent > 0);
            if percent.is_none() {
                problems.add(Some(written.span()), "a share is a percentage of one processor: \"50%\", \"200%\"", "");
            }
            percent
        });
        let mut number = |written: Option<Spanned<u64>>, least: u64| {
            let written = written?;
            if *written.get_ref() < least {
                problems.add(Some(written.span()), format!("at least {least} are needed to start"), "");
            }
            Some(written.into_inner())
        };
        let (processes, open_files) = (number(self.processes, 8), number(self.open_files, 32));
        let run = self.run.into_iter().map(Spanned::into_inner).collect();
        let wall = self.wall.map(|wall| wall.into_inner().0);
        Confine { read, write, run, hosts, sockets, memory, scratch, file_size, processes, open_files, cpu, wall, minimum }
    }
}

fn path(base: &Path, written: &Spanned<PathBuf>, problems: &mut Problems) -> Option<PathBuf> {
    match grantable(&base.join(written.get_ref())) {
        Ok(path) => Some(path),
        Err(what) => {
            problems.add(Some(written.span()), what, "");
            None
        }
    }
}

/// A path that may be granted, in its plain form.
pub fn grantable(path: &Path) -> Result<PathBuf, String> {
    let absolute = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !confinement::is_plain(&absolute) {
        return Err(format!("{} has a detour (`..`); write where it leads", absolute.display()));
    }
    if NEVER.iter().any(|never| absolute == Path::new(never)) || ["/proc", "/sys", "/dev"].iter().any(|never| absolute.starts_with(never)) {
        return Err(format!("{} is too much; name what is needed of it", absolute.display()));
    }
    if absolute.exists() { Ok(absolute) } else { Err(format!("there is no {}", absolute.display())) }
}

/// Whether a path leads to where it says: no link on its way could be a server's.
#[must_use]
pub fn is_direct(path: &Path) -> bool {
    can_be_granted(path).is_ok()
}

/// Directories that hold far more than one program, whatever lies in them.
#[must_use]
pub fn is_broad(path: &Path) -> bool {
    let few = path.components().count() <= 2;
    let parent = |name: &str| path.parent() == Some(Path::new(name));
    few || parent("/home")
        || parent("/Users")
        || path.starts_with("/etc")
        || path.starts_with("/usr/bin")
        || path == Path::new("/usr/local")
}

/// Reads `512MiB`.
fn size(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let unit: u64 = match unit.trim() {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        let read = |text: &str| Host::read(text).map(|host| format!("{} {}", host.name, host.port));
        for (text, expected) in [
            ("API.github.com:443", "api.github.com 443"),
            ("*.example.com:80", "*.example.com 80"),
            ("10.0.0.5:5432", "10.0.0.5 5432"),
            ("[::1]:80", "::1 80"),
            ("localhost:8080", "localhost 8080"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "a",
            "a:",
            "a:0",
            "a:65536",
            ":80",
            "*:443",
            "a b:1",
            "a.*:1",
            "0x7f.1:80",
            "2130706433:80",
            "127.1:80",
            "https://a:1",
            "a..b:1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_wildcard_is_for_names_below() {
        let host = Host::read("*.example.com:443").expect("read");
        assert!(host.covers("a.example.com", 443) && host.covers("a.b.example.com", 443));
        for (name, port) in
            [("example.com", 443), ("aexample.com", 443), (".example.com", 443), ("a.example.com", 80), ("a.example.com.evil", 443)]
        {
            assert!(!host.covers(name, port), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_judged() {
        let judge = |text: &str| {
            let mut problems = Problems::default();
            let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
            let read = written.judge(Path::new("/usr"), &mut problems);
            problems.into_result("x", text).map(|()| read).map_err(|errors| errors.problems()[0].what().to_owned())
        };
        let read =
            judge("read = [\"bin\"]\nwrite = [\"/tmp\"]\nhosts = [\"a:1\"]\nmemory = \"512MiB\"\ncpu = \"50%\"\nminimum = \"native\"");
        let read = read.expect("good");
        assert_eq!((read.read, read.write, read.memory), (vec!["/usr/bin".into()], vec!["/tmp".into()], Some(512 << 20)));
        assert_eq!((read.cpu, read.minimum), (Some(50), Some(Level::Native)));
        assert_eq!(judge("minimum = \"container\"").expect("good").minimum, Some(Level::Container));
        for text in [
            "read = [\"/\"]",
            "read = [\"/proc/1\"]",
            "read = [\"/etc\"]",
            "read = [\"nothing-of-that-name\"]",
            "read = [\"../etc/..\"]",
            "memory = \"512\"",
            "memory = \"1KiB\"",
            "minimum = \"none\"",
            "minimum = \"much\"",
            "minimum = \"image\"",
            "hosts = [\"*\"]",
            "processes = 1",
            "sockets = \"all\"",
            "cpu = \"x\"",
            "other = 1",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
    }

    #[test]
    fn homes_are_broad() {
        for path in ["/", "/home", "/home/a", "/root", "/usr", "/tmp", "/etc/x/y", "/usr/local"] {
            assert!(is_broad(Path::new(path)), "{path}");
        }
        for path in ["/home/a/project", "/srv/mcp/one", "/root/.pyenv/versions/3.11"] {
            assert!(!is_broad(Path::new(path)), "{path}");
        }
    }
}
