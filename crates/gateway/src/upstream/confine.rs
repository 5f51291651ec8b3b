//! What a server needs to start: read from its command line, so that it gets that and what the configuration grants.

mod container;
mod profile;

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::CONFINE_UNAVAILABLE;
use bartizan_sandbox::{Confinement, Launch, Level, Network, PROXY, Process, Recording, Refused};

pub(super) use container::is_asked;
pub use profile::profile;

use super::egress::{self, Egress};
use super::{Confined, Server, learn};
use crate::config::{Confine, How, files, is_broad};

/// What runs a server's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preset {
    Node,
    Python,
    Binary,
}

impl Preset {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Binary => "binary",
        }
    }
}

/// Why a server does not start that somebody wants to learn about.
const NOT_RECORDED: &str = "what it asks for cannot be recorded here: that takes namespaces (`native`) and seccomp's notifications";

/// A server's confinement, and what it was made for.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) confinement: Confinement,
    pub(super) preset: Preset,
}

/// Where names of programs are looked for, and where relative paths begin.
pub(super) struct Around<'a> {
    pub(super) path: &'a OsStr,
    pub(super) directory: Option<&'a Path>,
}

impl Around<'_> {
    fn absolute(&self, word: &OsStr) -> Option<PathBuf> {
        let path = self.directory.map_or_else(|| PathBuf::from(word), |directory| directory.join(word));
        std::path::absolute(path).ok()
    }

    /// Finds a program as the system would.
    fn program(&self, word: &OsStr) -> Option<PathBuf> {
        let runs = |path: &PathBuf| path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
        if Path::new(word).components().count() > 1 {
            return self.absolute(word).filter(runs);
        }
        std::env::split_paths(self.path).map(|directory| directory.join(word)).filter(|path| path.is_absolute()).find(runs)
    }
}

/// Starts a server as it is to be confined, and writes down what was actually enforced.
pub(super) async fn start(server: &Arc<Server>, mut launch: Launch) -> Result<(Process, Option<Egress>), Refusal> {
    let refused = |why: String| {
        let detail = format!("{}: {why}", server.name());
        Refusal::new(CONFINE_UNAVAILABLE, detail)
    };
    let (mut preset, mut unseen, mut contained) = (None, Vec::new(), None);
    if let Some(confine) = &server.settings.confine {
        let path = launch.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
        let around = Around { path: path.as_deref().unwrap_or_default(), directory: launch.directory.as_deref() };
        if let Some(asked) = ask(confine, &launch).await.map_err(refused)? {
            if server.settings.learning.is_some() {
                return Err(refused("what a container asks for is its engine's to answer, and cannot be recorded".to_owned()));
            }
            launch.command = asked.command;
            launch.contained = Some(asked.contained);
            contained = Some(asked.confined);
        } else {
            let mut made = confinement(Confinement::common(), confine, &launch.command, &around).map_err(refused)?;
            if server.settings.learning.is_some() {
                record(&mut made.confinement);
            }
            if made.confinement.network == Network::Doors {
                launch.environment.extend(proxy());
            }
            // What the gateway itself added to the command is not what a person wrote.
            (preset, unseen) = (Some(made.preset), unseen_of(server, &made.confinement, &around));
            launch.confinement = Some(made.confinement);
        }
    }
    let confinement = launch.confinement.clone();
    let mut process = launch.start().map_err(|error| server.unreachable(error))?;
    let mut way = None;
    match process.confined().await {
        Ok(Some((report, handed))) => {
            // First of all: until somebody listens, the server waits.
            if let (Some(learning), Some(confinement)) = (&server.settings.learning, confinement) {
                let recorder = handed.recorder.ok_or_else(|| refused(NOT_RECORDED.to_owned()))?;
                learn::follow(recorder, learning, confinement);
            }
            let hosts = server.settings.confine.iter().flat_map(|confine| confine.hosts.clone()).collect::<Vec<_>>();
            way = handed.doors.map(|doors| egress::open(server, &hosts, doors)).transpose().map_err(|error| refused(error.to_string()))?;
            let layers = report.layers.into_iter().map(|layer| (layer.name, layer.state.name(), layer.detail)).collect();
            server.set_confined(Confined { preset: preset.map_or("", Preset::name), level: report.level.name(), layers, unseen });
        }
        Ok(None) => server.set_confined(contained.unwrap_or(Confined::not("dangerous.unconfined"))),
        Err(Refused(why)) if server.settings.learning.is_some() => return Err(refused(format!("{NOT_RECORDED}; {why}"))),
        Err(Refused(why)) => return Err(refused(why)),
    }
    Ok((process, way))
}

/// Has everything told that the server asks for. Its root is looked at, and names of hosts are asked for at doors: both
/// are there with namespaces only.
const fn record(confinement: &mut Confinement) {
    confinement.recording = Recording::On;
    confinement.network = Network::Doors;
    confinement.minimum = Level::Native;
}

/// What is asked of a container engine. Looking through what is to be mounted takes time, and others go on meanwhile.
async fn ask(confine: &Confine, launch: &Launch) -> Result<Option<container::Asked>, String> {
    let (confine, launch) = (confine.clone(), launch.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let path = launch.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let around = Around { path: path.unwrap_or_default(), directory: launch.directory.as_deref() };
        container::asked(&confine, &launch, &around)
    });
    asked.await.map_err(|error| error.to_string())?
}

/// Makes the confinement for a command line, out of what every program of a system needs.
fn confinement(every: Confinement, confine: &Confine, command: &[OsString], around: &Around<'_>) -> Result<Made, String> {
    let mut own = every;
    let from = before(command);
    if from > 0 {
        own.run.extend(around.program(OsStr::new("env")));
    }
    let words = command.get(from..).unwrap_or_default();
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let program = around.program(program).ok_or_else(|| format!("there is no program {}", program.to_string_lossy()))?;
    if container::is_engine(&program) {
        let what = "the client of a container engine is started by its name alone, with its `run`";
        return Err(format!("{what}; `dangerous.unconfined` lets this server start as it is written"));
    }
    let runner = add_program(&mut own, &program, around)?;
    let preset = preset(&runner);
    if preset == Preset::Python {
        add_python(&mut own, &runner);
    }
    if preset != Preset::Binary
        && let Some(script) = script(arguments, around)
    {
        add_script(&mut own, &script);
    }
    own.read.extend(around.directory.map(Path::to_owned));
    grant(&mut own, confine, around)?;
    Ok(Made { confinement: own, preset })
}

fn unseen_of(server: &Server, own: &Confinement, around: &Around<'_>) -> Vec<PathBuf> {
    let How::Stdio { command, .. } = &server.settings.how else { return Vec::new() };
    unseen(own, command, around)
}

/// Places that a command line names, alone or behind a `=`, and that nothing was granted at: what a person who wrote it
/// will miss first. Only said; what is in arguments grants nothing. Only what is there is named: any other word could be
/// a secret.
fn unseen(own: &Confinement, command: &[String], around: &Around<'_>) -> Vec<PathBuf> {
    let named = command.iter().filter_map(|word| {
        let text = word.split_once('=').map_or(word.as_str(), |(_, value)| value);
        let path = around.absolute(OsStr::new(text)).filter(|_| text.contains('/'))?;
        // What a server would make, it makes where something is.
        let above = || path.parent().filter(|parent| parent.components().count() > 2 && parent.is_dir()).map(Path::to_owned);
        let place = if path.exists() { Some(path.clone()) } else { above() };
        place.filter(|place| !own.covers(place))
    });
    let mut unseen: Vec<PathBuf> = named.collect();
    unseen.dedup();
    unseen
}

/// What the configuration grants.
fn grant(own: &mut Confinement, confine: &Confine, around: &Around<'_>) -> Result<(), String> {
    for word in &confine.run {
        let found = around.program(OsStr::new(word)).ok_or_else(|| format!("`run`: there is no program {word}"))?;
        add_program(own, &found, around)?;
    }
    own.strict.extend(confine.read.iter().chain(&confine.write).cloned());
    own.read.extend(confine.read.iter().cloned());
    own.write.extend(confine.write.iter().cloned());
    if !confine.hosts.is_empty() {
        own.network = Network::Doors;
    }
    own.sockets = confine.sockets.unwrap_or(own.sockets);
    own.memory = confine.memory.unwrap_or(own.memory);
    own.scratch = confine.scratch.unwrap_or(own.scratch);
    own.file_size = confine.file_size.unwrap_or(own.file_size);
    own.processes = confine.processes.unwrap_or(own.processes);
    own.open_files = confine.open_files.unwrap_or(own.open_files);
    own.cpu = confine.cpu;
    own.wall = confine.wall;
    own.minimum = confine.minimum.unwrap_or(Level::Landlock);
    Ok(())
}

/// How many words `env NAME=VALUE …` takes.
fn before(command: &[OsString]) -> usize {
    if command.first().and_then(|word| Path::new(word).file_name()) != Some(OsStr::new("env")) {
        return 0;
    }
    let settings = command.iter().skip(1).take_while(|word| word.to_string_lossy().contains('=')).count();
    settings.saturating_add(1)
}

/// A program, and what runs it when it is a script; returns what really runs.
fn add_program(own: &mut Confinement, program: &Path, around: &Around<'_>) -> Result<PathBuf, String> {
    own.run.push(program.to_owned());
    add_script(own, program);
    let mut line = String::new();
    let open = files::open(program).map_err(|error| format!("{}: {error}", program.display()))?;
    // What is not text has no first line.
    let is_text = BufReader::new(open.take(512)).read_line(&mut line).is_ok();
    let Some(rest) = line.strip_prefix("#!").filter(|_| is_text) else { return Ok(program.to_owned()) };
    let mut words = rest.split_whitespace();
    let first = words.next().unwrap_or_default();
    let interpreter = around.program(OsStr::new(first)).ok_or_else(|| format!("there is no program {first}"))?;
    own.run.push(interpreter.clone());
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Ok(interpreter);
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('=')).unwrap_or_default();
    let named = around.program(OsStr::new(name)).ok_or_else(|| format!("there is no program {name}"))?;
    own.run.push(named.clone());
    Ok(named)
}

fn preset(runner: &Path) -> Preset {
    let real = runner.canonicalize().unwrap_or_else(|_| runner.to_owned());
    let is = |path: &Path, begin: &str| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin));
    if is(&real, "node") {
        Preset::Node
    } else if is(&real, "python") || is(&real, "pypy") || is(runner, "python") {
        Preset::Python
    } else {
        Preset::Binary
    }
}

/// A Python's own libraries, and those of the environment that it stands in.
fn add_python(own: &mut Confinement, runner: &Path) {
    let prefix = |program: &Path| program.parent()?.parent().map(Path::to_owned);
    if let Some(environment) = prefix(runner).filter(|prefix| prefix.join("pyvenv.cfg").is_file()) {
        own.read.push(environment);
    }
    if let Ok(real) = runner.canonicalize() {
        if let Some(home) = prefix(&real).filter(|home| !is_broad(home) && !home.starts_with("/usr")) {
            own.read.push(home);
        }
        own.run.push(real);
    }
}

/// The first word that is a file, unless the code comes from elsewhere.
fn script(arguments: &[OsString], around: &Around<'_>) -> Option<PathBuf> {
    let elsewhere = ["-c", "-m", "-e", "--eval", "-p", "--print"];
    for word in arguments {
        if elsewhere.iter().any(|option| *word == **option) {
            return None;
        }
        if let Some(path) = around.absolute(word).filter(|path| path.is_file()) {
            return Some(path);
        }
    }
    None
}

/// A script, and the package that it belongs to. What merely stands beside it is not granted.
fn add_script(own: &mut Confinement, script: &Path) {
    own.read.push(script.to_owned());
    let real = script.canonicalize().unwrap_or_else(|_| script.to_owned());
    own.read.push(real.clone());
    let inside = real.ancestors().filter(|path| path.file_name().is_some_and(|name| name == "node_modules")).last();
    if let Some(modules) = inside {
        own.read.push(modules.to_owned());
        own.read.extend(modules.parent().map(|home| home.join("package.json")).filter(|path| path.is_file()));
        return;
    }
    let is_package = |path: &&Path| ["package.json", "pyproject.toml", "setup.py"].iter().any(|name| path.join(name).is_file());
    let package = real.ancestors().skip(1).take(4).take_while(|path| !is_broad(path)).find(is_package);
    own.read.extend(package.map(Path::to_owned));
}

/// Where programs find the way out, in both spellings that are in use. Those that know neither are caught by name and
/// port.
pub(super) fn proxy() -> Vec<(OsString, OsString)> {
    let address = format!("http://127.0.0.1:{PROXY}");
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
    let own = [("NO_PROXY", "localhost,127.0.0.1,::1"), ("no_proxy", "localhost,127.0.0.1,::1"), ("NODE_USE_ENV_PROXY", "1")];
    let named = names.into_iter().map(|name| (name, address.as_str()));
    named.chain(own).map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        files::private_directory(path.parent().expect("a directory")).expect("made");
        files::replace(path, text.as_bytes(), files::Readers::Usual).expect("written");
    }

    fn made(words: &[&str]) -> Made {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let around = Around { path: OsStr::new("/usr/bin:/bin"), directory: None };
        confinement(Confinement::common(), &Confine::default(), &words, &around).expect("made")
    }

    #[test]
    fn a_script_brings_its_package_and_nothing_around_it() {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().canonicalize().expect("real");
        let inside = root.join("a/node_modules/@s/p/dist/index.js");
        put(&inside, "");
        put(&root.join("a/package.json"), "{}");
        put(&root.join("b/server.py"), "");
        put(&root.join("b/secret"), "");
        put(&root.join("c/src/server.py"), "");
        put(&root.join("c/pyproject.toml"), "");
        let of = |path: PathBuf| made(&["sh", path.to_str().expect("text")]).confinement;
        let script = |path: &Path| {
            let mut own = Confinement::default();
            add_script(&mut own, path);
            own.read.sort();
            own.read.dedup();
            own.read
        };
        assert_eq!(script(&inside), [root.join("a/node_modules"), inside.clone(), root.join("a/package.json")]);
        assert_eq!(script(&root.join("b/server.py")), [root.join("b/server.py")]);
        assert_eq!(script(&root.join("c/src/server.py")), [root.join("c"), root.join("c/src/server.py")]);
        assert!(of(inside).write.is_empty());
    }

    #[test]
    fn what_a_command_names_is_said_if_it_is_there_and_never_as_it_was_written() {
        let dir = tempfile::tempdir_in("/var/tmp").expect("dir");
        let root = dir.path().canonicalize().expect("real");
        put(&root.join("there"), "");
        let text = root.to_str().expect("text");
        let around = Around { path: OsStr::new("/usr/bin:/bin"), directory: None };
        let own = Confinement { read: vec![root.clone()], ..Confinement::default() };
        let said = |words: &[String]| unseen(&Confinement::default(), words, &around);
        assert_eq!(said(&[format!("--file={text}/there")]), [root.join("there")]);
        assert_eq!(said(&["-c".to_owned(), format!("{text}/run --password hunter2"), format!("--db={text}/a.db?key=hunter2")]), own.read);
        assert!(said(&["https://a.example/x".to_owned(), "/opt".to_owned() + "/no?key=hunter2"]).is_empty());
        assert!(unseen(&own, &[format!("{text}/there")], &around).is_empty());
    }

    #[test]
    fn arguments_are_not_granted() {
        let dir = tempfile::tempdir().expect("dir");
        let given = dir.path().to_str().expect("text");
        let made = made(&["env", "A=b", "sh", given]);
        assert_eq!(made.preset, Preset::Binary);
        let confinement = made.confinement;
        let all = [&confinement.read, &confinement.write, &confinement.run];
        assert!(!all.into_iter().flatten().any(|path| path.starts_with(dir.path())));
        assert_eq!(confinement.network, Network::Nothing);
    }

    #[test]
    fn a_program_that_is_called_like_a_container_engine_does_not_start_unconfined() {
        let dir = tempfile::tempdir().expect("dir");
        let engine = dir.path().join("docker");
        put(&engine, "#!/bin/sh\n");
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).expect("mode");
        let around = Around { path: OsStr::new("/usr/bin:/bin"), directory: None };
        let words = [engine.into_os_string(), "run".into()];
        let refused = confinement(Confinement::common(), &Confine::default(), &words, &around).expect_err("refused");
        assert!(refused.contains("`dangerous.unconfined`"), "{refused}");
    }
}
