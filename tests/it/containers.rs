//! Servers that real engines enclose, Docker and Podman: what they cannot do there, and that none outlives its gateway.
//!
//! The engines are the test's own. Where one cannot be started, the test command says so where it shows what came of the
//! attempts to get out, and `cargo xtask test --full` fails.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::process::{eventually, signal, within};
use serde_json::json;

use crate::escape::{NOBODY, SERVE, Scene, python};

/// What a container is known to let through, and why that is no way out.
const KNOWN: &[&str] = &[
    // What it may write to it may run, too: an engine mounts nothing without that.
    "run a dropped program",
    "run a program that lies in memory",
    // Its own first process.
    "read the first process's environment",
    // The filter of older engines lets these through; behind a vsock nobody listens here.
    "io_uring",
    "open a vsock",
];

/// What Podman's filter lets through beside that, and Docker's does not: more of the kernel than a server needs, and nothing
/// of this machine. The record says that the filter is the engine's.
const KNOWN_OF_PODMAN: &[&str] = &["a new namespace by clone3", "a new user namespace", "keyctl"];

/// Which engine, by the name of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman,
}

impl Kind {
    const fn client(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// What the test command shows of it.
    fn tell(self, text: &str) {
        let (file, name) = (format!("containers-{}.txt", self.client()), self.client());
        std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file), format!("in a container of {name}\n{text}\n")).expect("written");
    }
}

/// An engine of the test's own.
struct Engine {
    kind: Kind,
    folder: tempfile::TempDir,
    /// Docker is a program that runs; Podman is one for each container.
    service: Option<Child>,
    image: String,
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Engine {
    /// Starts one, with an image of this machine's Python. Nothing where none can be started, and none has to be.
    fn start(kind: Kind) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("bartizan-engine-").tempdir_in("/tmp").expect("a directory");
        let mut engine = Self { kind, folder, service: None, image: String::new() };
        match kind {
            Kind::Docker => engine.serve(),
            Kind::Podman => engine.settle(),
        }
        let answers = engine.engine(&["version"]);
        if !answers.status.success() {
            let log = std::fs::read_to_string(engine.at("log")).unwrap_or_else(|_| text(&answers));
            let (what, name) =
                ("CONTAINERS ARE NOT TESTED: it cannot be started here; it needs root and tests/real/install", kind.client());
            let what = format!("{what} {name}\n{log}");
            assert!(std::env::var_os("BARTIZAN_ENGINE").is_none_or(|word| word != "required"), "{what}");
            kind.tell(&what);
            return None;
        }
        engine.image = engine.import();
        Some(engine)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&mut self) {
        let log = std::fs::File::create(self.at("log")).expect("a file");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root"]);
        command.arg(self.at("data")).arg("--exec-root").arg(self.at("exec")).arg("-p").arg(self.at("pid"));
        command.arg("-H").arg(format!("unix://{}", self.at("socket").display()));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        self.service = Some(command.spawn().expect("setpriv"));
        eventually("the engine answers, or has ended", || {
            let ended = self.service.as_mut().is_some_and(|service| service.try_wait().expect("a child").is_some());
            ended || self.engine(&["version"]).status.success()
        });
    }

    /// Podman keeps things where it is told to. Where root may not raise limits, as on some machines of tests, it would ask for
    /// more processes than it can give: what it asks of its run-time is cut down to what there is.
    fn settle(&self) {
        let [graph, run, runtime] = ["graph", "run", "runtime"].map(|name| self.at(name));
        let storage = format!("[storage]\ndriver = \"vfs\"\ngraphroot = {graph:?}\nrunroot = {run:?}\n");
        let engine = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"here\"\n";
        let containers = format!("{engine}[engine.runtimes]\nhere = [{runtime:?}]\n");
        std::fs::write(self.at("storage.conf"), storage).expect("written");
        std::fs::write(self.at("containers.conf"), containers).expect("written");
        std::fs::write(&runtime, format!("#!{}\n{RUNTIME}", python().display())).expect("written");
        std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// How the client finds it.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.at(name).display().to_string();
        match self.kind {
            Kind::Docker => vec![("DOCKER_HOST", self.host())],
            Kind::Podman => vec![("CONTAINERS_STORAGE_CONF", file("storage.conf")), ("CONTAINERS_CONF", file("containers.conf"))],
        }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.kind.client());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.envs(self.variables());
        command
    }

    fn engine(&self, words: &[&str]) -> std::process::Output {
        let name = self.kind.client();
        self.command()
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{name}: {error}; tests/real/install {name}"))
    }

    /// An image out of this machine's Python, what it is linked to, and the tests' own programs.
    fn import(&self) -> String {
        let (root, python) = (self.folder.path().join("image"), python());
        std::fs::create_dir(&root).expect("a directory");
        std::fs::write(root.join("escape.py"), include_str!("escape.py")).expect("written");
        std::fs::write(root.join("server.py"), format!("{SERVE}{SERVER}")).expect("written");
        let library = Command::new(&python).args(["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]).output().expect("python");
        let library = PathBuf::from(text(&library).trim());
        let mut linked = vec![python.clone()];
        linked.extend(std::fs::read_dir(library.join("lib-dynload")).expect("a library").flatten().map(|entry| entry.path()));
        let told = Command::new("ldd").args(&linked).output().expect("ldd");
        let mut files: BTreeSet<PathBuf> =
            text(&told).split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).map(PathBuf::from).collect();
        files.extend([python, library]);
        let files = files.iter().map(|path| path.strip_prefix("/").expect("absolute").as_os_str());
        let mut tar = Command::new("tar");
        tar.args([
            "-c",
            "-h",
            "--exclude=test",
            "--exclude=__pycache__",
            "--exclude=config-*",
            "--exclude=dist-packages",
            "--exclude=site-packages",
        ]);
        tar.arg("-C").arg(&root).args(["escape.py", "server.py", "-C", "/"].map(OsStr::new)).args(files);
        let mut tar = tar.stdout(Stdio::piped()).spawn().expect("tar");
        let imported = self.command().args(["import", "-"]).stdin(tar.stdout.take().expect("piped")).output().expect("a client");
        assert!(tar.wait().expect("tar").success() && imported.status.success(), "{}", text(&imported));
        String::from_utf8_lossy(&imported.stdout).lines().last().unwrap_or_default().trim().to_owned()
    }

    /// Containers of gateways, in whatever state.
    fn containers(&self) -> String {
        text(&self.engine(&["ps", "--all", "--quiet", "--filter", "name=bartizan-"])).trim().to_owned()
    }

    /// A gateway in front of the server of the image.
    fn gateway(&self, options: &[&str], settings: &str) -> Server {
        let stage = Stage::new("");
        let python = python().to_string_lossy().into_owned();
        let own = [self.kind.client(), "run", "-i", "--rm"];
        let words = own.into_iter().chain(options.iter().copied()).chain([self.image.as_str(), &python, "/server.py"]);
        let command: Vec<String> = words.map(str::to_owned).collect();
        let env: String = self.variables().iter().map(|(name, value)| format!("env.{name} = {value:?}\n")).collect();
        stage.configure(&format!("[servers.it]\ncommand = {command:?}\n{env}{settings}"));
        Server { stage, command }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        match &mut self.service {
            Some(service) => {
                signal(service.id(), "TERM");
                // It takes its containers and their mounts with it, and its directory can be removed.
                let _ = service.wait();
            }
            None => drop(self.command().args(["rm", "--all", "--force"]).stdin(Stdio::null()).output()),
        }
    }
}

const RUNTIME: &str = r#"
import json, os, resource, sys
if '--bundle' in sys.argv:
    path = sys.argv[sys.argv.index('--bundle') + 1] + '/config.json'
    config = json.load(open(path))
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    for limit in config['process'].get('rlimits', []):
        if limit['type'] == 'RLIMIT_NPROC' and most >= 0:
            limit['hard'] = limit['soft'] = min(limit['hard'], most)
    json.dump(config, open(path, 'w'))
os.execvp('runc', ['runc'] + sys.argv[1:])
"#;

/// A server in a container, as it is configured.
struct Server {
    stage: Stage,
    command: Vec<String>,
}

impl Server {
    fn approve(&self) {
        self.stage.approve(&["it"], &["echo=read", "escape=read"]);
    }

    fn start(&self) -> Client {
        let words = ["run", "--name", "it", "--"].into_iter().map(str::to_owned);
        Client::start(&mut self.stage.bartizan(&words.chain(self.command.iter().cloned()).collect::<Vec<_>>()))
    }
}

/// What it is asked to try it tries in a process of its own, and what came of it stands where it may write.
const SERVER: &str = r#"
def act(name):
    if name == 'escape':
        told = os.environ['TOLD']
        with open(json.loads(told)['own'] + '/said', 'w') as said:
            subprocess.run([sys.executable, '/escape.py', told], stdout=said, stderr=subprocess.STDOUT)
    return 'answered'

if 'STAY' in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
serve(['echo', 'escape'], act)
while 'STAY' in os.environ:
    time.sleep(600)
"#;

fn volume(path: &Path) -> String {
    format!("{0}:{0}", path.display())
}

#[test]
fn a_container_lets_nobody_out() {
    attempts(Kind::Docker);
}

#[test]
fn a_container_of_podman_lets_nobody_out() {
    attempts(Kind::Podman);
}

fn attempts(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let scene = Scene::set(NOBODY);
    let own = volume(&scene.at("own"));
    let limits = "[servers.it.confine]\nmemory = \"256MiB\"\nscratch = \"8MiB\"\nfile_size = \"16MiB\"\nprocesses = 64\n";
    let granted = format!("{limits}minimum = \"container\"\nwrite = [{:?}]\n", scene.at("own"));
    let mut told = scene.told(true);
    let elsewhere = UnixListener::bind(scene.at("other/socket")).expect("bound");
    told["socket"] = json!(scene.at("other/socket"));
    let env = format!("env.TOLD = {:?}\n", told.to_string());
    let settings = format!("{env}{granted}");

    // Another program's socket lies there: nothing is started that could speak with it.
    let refused = engine.gateway(&["-e", "TOLD", "-v", &own], &settings);
    let said = text(&refused.stage.output(&["approve", "it", "--all", "--yes"]));
    assert!(said.contains("own/socket is a socket"), "{said}");
    std::fs::remove_file(scene.at("own/socket")).expect("removed");

    let server = engine.gateway(&["-e", "TOLD", "-v", &own], &settings);
    server.approve();
    let mut client = server.start();
    client.initialize();
    let answer = client.call("echo", &json!({}));
    assert_eq!(answer["result"]["content"][0]["text"], "answered", "{answer}");
    let answer = client.call("escape", &json!({}));
    assert_eq!(answer["result"]["content"][0]["text"], "answered", "{answer}");
    let said = std::fs::read_to_string(scene.at("own/said")).expect("said");
    let said: BTreeMap<String, String> = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    kind.tell(&said.iter().map(|(attempt, what)| format!("{attempt:<40}{what:>17}\n")).collect::<String>());
    let through: BTreeSet<&str> = said.iter().filter(|(_, what)| *what == "THROUGH").map(|(attempt, _)| attempt.as_str()).collect();
    let known = if kind == Kind::Podman { KNOWN_OF_PODMAN } else { &[] };
    let escaped: Vec<_> = through.iter().filter(|attempt| !KNOWN.contains(attempt) && !known.contains(attempt)).collect();
    assert!(said.len() > 45 && escaped.is_empty(), "{} attempts, through: {escaped:?}", said.len());
    drop(elsewhere);

    let journal = server.stage.journal();
    let record = journal.of("confined").next_back().expect("a record");
    assert_eq!((&record["level"], &record["preset"]), (&json!("container"), &json!("image")), "{record}");
    assert!(record["layers"]["namespaces"].as_str().is_some_and(|layer| layer.starts_with("asked: ")), "{record}");
    assert!(client.leave().success());
    eventually("the container is gone", || engine.containers().is_empty());
    let checked = text(&server.stage.output(&["check"]));
    assert!(checked.contains("container (image)"), "{checked}");
}

#[test]
fn a_container_is_started_as_it_may_be_or_not_at_all() {
    asks(Kind::Docker);
}

#[test]
fn a_container_of_podman_is_started_as_it_may_be_or_not_at_all() {
    asks(Kind::Podman);
}

fn asks(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let scene = Scene::set(NOBODY);
    let secret = volume(&scene.at("secret"));
    for (options, settings, words) in [
        (&["--privileged"][..], "", "--privileged"),
        (&["--network", "host"], "", "dangerous.unconfined"),
        (&["-u", "0:0"], "", "neither of them 0"),
        (&["-v", &secret], "", "is not granted"),
        (&[], "minimum = \"native\"", "its `minimum` is native"),
        (&[], "hosts = [\"a.example:443\"]", "`hosts` opens no way"),
    ] {
        let server = engine.gateway(options, &format!("[servers.it.confine]\n{settings}"));
        let output = server.stage.output(&["approve", "it", "--all", "--yes"]);
        assert!(!output.status.success() && text(&output).contains(words), "{options:?} {settings}: {}", text(&output));
        assert!(engine.containers().is_empty());
    }
}

#[test]
fn no_container_outlives_its_gateway() {
    ends(Kind::Docker);
}

#[test]
fn no_container_of_podman_outlives_its_gateway() {
    ends(Kind::Podman);
}

fn ends(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    // It ignores that its input ends, and that it is asked to end.
    let server = engine.gateway(&["-e", "STAY"], "env.STAY = \"1\"\n[servers.it.confine]\nmemory = \"128MiB\"");
    server.approve();
    within(Duration::from_secs(15), "reviewed, and gone", || engine.containers().is_empty());
    for end in ["KILL", "TERM"] {
        let mut client = server.start();
        client.initialize();
        client.call("echo", &json!({}));
        assert_eq!(engine.containers().lines().count(), 1);
        signal(client.pid(), end);
        within(Duration::from_secs(15), "the container is gone", || engine.containers().is_empty());
        client.end();
    }
    server.stage.configure("[servers.it.confine]\nwall = \"4s\"");
    let mut client = server.start();
    client.initialize();
    client.call("echo", &json!({}));
    within(Duration::from_secs(15), "its time is over", || engine.containers().is_empty());
}
