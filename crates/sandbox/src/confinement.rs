//! What a server may have, as data: the same for every mechanism that gives it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::asked::What;

/// How strongly a server is confined. Ordered: more is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all.
    None,
    /// Landlock and a system call filter, in the gateway's own namespaces: files as granted and no network, but the
    /// names of other processes can be seen.
    Landlock,
    /// What a container engine was asked for: namespaces of the container's own and control groups, made by a service as
    /// powerful as root. Nobody here sees whether it does as it was asked.
    Container,
    /// Namespaces of its own with a root that holds only what was granted, and the same two inside.
    Native,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Landlock, Self::Container, Self::Native];

    /// Its name in configuration and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Landlock => "landlock",
            Self::Container => "container",
            Self::Native => "native",
        }
    }

    /// Reads its name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// Whether there is a way out of an empty network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None.
    Nothing,
    /// Listeners inside the server's own network, whose other side is the gateway ([`crate::Doors`]).
    Doors,
}

/// Which sockets a server can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Those of its own network.
    Network,
    /// Also such that stand in files (`AF_UNIX`), which whoever listens in a granted place can be reached by.
    Files,
}

/// What a server may have. Paths are absolute; what is not named here is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// What it may read: files, and directories with all that is in them.
    pub read: Vec<PathBuf>,
    /// What it may read and write. Nothing in there can be executed.
    pub write: Vec<PathBuf>,
    /// What it may read and execute: programs, and directories of libraries.
    pub run: Vec<PathBuf>,
    /// Which of these are opened without following any symbolic link that a server could have made.
    pub strict: Vec<PathBuf>,
    /// Its way to other machines.
    pub network: Network,
    /// Its sockets.
    pub sockets: Sockets,
    /// Bytes of memory, where control groups can be had.
    pub memory: u64,
    /// Bytes of its private `/tmp` and `/dev/shm`, each.
    pub scratch: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Percent of one processor, where control groups can be had.
    pub cpu: Option<u64>,
    /// How long it may run.
    pub wall: Option<Duration>,
    /// Less than this is not good enough: then it does not start.
    pub minimum: Level,
    /// More than this is not tried.
    pub most: Level,
    /// Whether what it asks for is told of ([`crate::Recorder`]). It gets no more for it.
    pub recording: Recording,
}

/// Whether what a server asks for is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Nobody hears of it.
    Off,
    /// Every path that it names is.
    On,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            write: Vec::new(),
            run: Vec::new(),
            strict: Vec::new(),
            network: Network::Nothing,
            sockets: Sockets::Network,
            memory: 1024 * 1024 * 1024,
            scratch: 64 * 1024 * 1024,
            processes: 256,
            open_files: 1024,
            file_size: 1024 * 1024 * 1024,
            cpu: None,
            wall: None,
            minimum: Level::Landlock,
            most: Level::Native,
            recording: Recording::Off,
        }
    }
}

/// What every program needs that is not linked statically: libraries, certificates, time zones, fonts. Nothing of it is
/// anybody's secret, and nothing but libraries and the loader can be executed.
const COMMON: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/usr/local/share/ca-certificates",
    "/usr/local/share/fonts",
    "/usr/share/ca-certificates",
    "/usr/share/fontconfig",
    "/usr/share/fonts",
    "/usr/share/locale",
    "/usr/share/mime",
    "/usr/share/nodejs",
    "/usr/share/zoneinfo",
];

/// Where libraries are.
const LIBRARIES: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/lib",
    "/usr/local/lib64",
];

impl Confinement {
    /// What every program needs, as far as this machine has it.
    #[must_use]
    pub fn common() -> Self {
        let there = |list: &[&str]| list.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
        Self { read: there(COMMON), run: there(LIBRARIES), ..Self::default() }
    }

    /// As words of a command line.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let path = |key: &str, path: &PathBuf| joined(key, path.as_os_str());
        let number = |key: &str, value: u64| OsString::from(format!("{key}={value}"));
        let mut words: Vec<OsString> = self.read.iter().map(|one| path("read", one)).collect();
        words.extend(self.write.iter().map(|one| path("write", one)));
        words.extend(self.run.iter().map(|one| path("run", one)));
        words.extend(self.strict.iter().map(|one| path("strict", one)));
        words.extend(
            [
                ("memory", self.memory),
                ("scratch", self.scratch),
                ("processes", self.processes),
                ("open_files", self.open_files),
                ("file_size", self.file_size),
            ]
            .map(|(key, value)| number(key, value)),
        );
        words.extend(self.cpu.map(|percent| number("cpu", percent)));
        words.extend(self.wall.map(|wall| number("wall_ms", u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))));
        words.push(if self.network == Network::Doors { "network=doors" } else { "network=nothing" }.into());
        words.push(if self.sockets == Sockets::Files { "sockets=files" } else { "sockets=network" }.into());
        words.push(format!("minimum={}", self.minimum.name()).into());
        words.push(format!("most={}", self.most.name()).into());
        words.extend((self.recording == Recording::On).then(|| "recording=on".into()));
        words
    }

    /// Reads what [`Confinement::words`] wrote; a word that is not understood is an error.
    pub fn read_words(words: &[OsString]) -> Result<Self, String> {
        let mut read = Self { read: Vec::new(), write: Vec::new(), run: Vec::new(), ..Self::default() };
        for word in words {
            let unclear = || format!("{} is not understood", word.to_string_lossy());
            let bytes = word.as_bytes();
            let at = bytes.iter().position(|byte| *byte == b'=').ok_or_else(unclear)?;
            let (key, value) = (bytes.get(..at).unwrap_or_default(), bytes.get(at.saturating_add(1)..).unwrap_or_default());
            let path = || Some(PathBuf::from(OsString::from_vec(value.to_vec()))).filter(|path| is_plain(path)).ok_or_else(unclear);
            let text = || std::str::from_utf8(value).map_err(|_| unclear());
            let number = || text().and_then(|text| text.parse::<u64>().map_err(|_| unclear()));
            let level = || text().and_then(|text| Level::read(text).ok_or_else(unclear));
            match key {
                b"read" => read.read.push(path()?),
                b"write" => read.write.push(path()?),
                b"run" => read.run.push(path()?),
                b"strict" => read.strict.push(path()?),
                b"memory" => read.memory = number()?,
                b"scratch" => read.scratch = number()?,
                b"processes" => read.processes = number()?,
                b"open_files" => read.open_files = number()?,
                b"file_size" => read.file_size = number()?,
                b"cpu" => read.cpu = Some(number()?),
                b"wall_ms" => read.wall = Some(Duration::from_millis(number()?)),
                b"network" => read.network = if value == b"doors" { Network::Doors } else { Network::Nothing },
                b"sockets" => read.sockets = if value == b"files" { Sockets::Files } else { Sockets::Network },
                b"minimum" => read.minimum = level()?,
                b"most" => read.most = level()?,
                b"recording" => read.recording = if value == b"on" { Recording::On } else { Recording::Off },
                _ => return Err(unclear()),
            }
        }
        Ok(read)
    }

    /// Whether anything was granted at this path.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        [&self.read, &self.write, &self.run].into_iter().flatten().any(|granted| path.starts_with(granted))
    }

    /// Whether what was granted covers a path, by its name.
    #[must_use]
    pub fn gives(&self, path: &Path, what: What) -> bool {
        let enough = |grant: Grant| match what {
            What::Look | What::Read => true,
            What::Make | What::Write => grant == Grant::Write,
            // What may be written to is never run.
            What::Run => grant == Grant::Run,
        };
        // What leads to a grant is there, too.
        let leads = |granted: &Path| matches!(what, What::Look | What::Make) && granted.starts_with(path);
        self.grants().into_iter().any(|(granted, grant)| path.starts_with(granted) && enough(grant) || leads(granted))
    }

    /// All paths with what may be done there, outer ones first, each once with the most that was granted. What lies
    /// below a place that may be written to is left out: the server itself decides what is there.
    pub(crate) fn grants(&self) -> Vec<(&Path, Grant)> {
        let all = [(&self.read, Grant::Read), (&self.run, Grant::Run), (&self.write, Grant::Write)];
        let mut grants: Vec<(&Path, Grant)> =
            all.into_iter().flat_map(|(paths, grant)| paths.iter().map(move |path| (path.as_path(), grant))).collect();
        grants.sort_by_key(|(path, grant)| (path.components().count(), std::cmp::Reverse(*grant)));
        let mut kept: Vec<(&Path, Grant)> = Vec::new();
        for (path, grant) in grants {
            let is_written = |(above, grant): &(&Path, Grant)| *grant == Grant::Write && path.starts_with(above);
            if !kept.iter().any(|one| one.0 == path && one.1 >= grant || is_written(one)) {
                kept.push((path, grant));
            }
        }
        kept
    }
}

/// What may be done at a path. Ordered: a later one stands over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    Read,
    Run,
    Write,
}

/// Whether a path can be granted: absolute, and without detours.
#[must_use]
pub fn is_plain(path: &Path) -> bool {
    use std::path::Component;
    path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

/// `key=value`.
pub(crate) fn joined(key: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(key);
    word.push("=");
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_everything() {
        let confinement = Confinement {
            read: vec!["/a b".into(), "/c=d".into()],
            write: vec![PathBuf::from(OsString::from_vec(b"/\xff".to_vec()))],
            run: vec!["/usr/bin/node".into()],
            strict: vec!["/a b".into()],
            network: Network::Doors,
            sockets: Sockets::Files,
            cpu: Some(50),
            wall: Some(Duration::from_secs(3)),
            minimum: Level::Native,
            processes: 7,
            recording: Recording::On,
            ..Confinement::default()
        };
        assert_eq!(Confinement::read_words(&confinement.words()), Ok(confinement));
        for word in ["read", "read=a", "read=/a/../b", "x=y", "memory=", "memory=-1", "minimum=much"] {
            assert!(Confinement::read_words(&[word.into()]).is_err(), "{word}");
        }
    }

    #[test]
    fn levels_are_ordered() {
        assert!(Level::ALL.is_sorted());
        assert!(Level::Landlock < Level::Container && Level::Container < Level::Native);
        assert!(Level::ALL.into_iter().all(|level| Level::read(level.name()) == Some(level)));
    }

    #[test]
    fn outer_grants_come_first_and_what_is_written_to_is_not_trusted() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
        let confinement = Confinement {
            read: paths(&["/w/sub", "/a/b/c", "/a"]),
            write: paths(&["/w", "/a/b"]),
            run: paths(&["/a", "/w/program"]),
            ..Confinement::default()
        };
        let grants: Vec<(&str, Grant)> = confinement.grants().iter().map(|(path, grant)| (path.to_str().expect("text"), *grant)).collect();
        assert_eq!(grants, [("/w", Grant::Write), ("/a", Grant::Run), ("/a/b", Grant::Write)]);
        let gives = |path: &str, what| confinement.gives(Path::new(path), what);
        assert!(
            gives("/w/x", What::Write)
                && gives("/a/x", What::Run)
                && gives("/a", What::Look)
                && gives("/a/b/x", What::Make)
                && gives("/", What::Look)
        );
        assert!(!gives("/a/x", What::Write) && !gives("/w/x", What::Run) && !gives("/ax", What::Read));
    }
}
