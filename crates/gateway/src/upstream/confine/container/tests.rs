use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::*;
use crate::config::files;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Scene {
    folder: tempfile::TempDir,
    environment: Vec<(OsString, OsString)>,
}

impl Scene {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("dir");
        let scene = Self { folder, environment: Vec::new() };
        for name in ["docker", "podman"] {
            files::replace(&scene.at(name), b"#!/bin/sh\n", files::Readers::Usual).expect("written");
            std::fs::set_permissions(scene.at(name), std::fs::Permissions::from_mode(0o755)).expect("mode");
        }
        for name in ["read/below", "write", "other"] {
            files::private_directory(&scene.at(name)).expect("made");
        }
        files::replace(&scene.at("read/file"), b"", files::Readers::Usual).expect("written");
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("real").join(name)
    }

    fn granted(&self) -> Confine {
        Confine { read: vec![self.at("read")], write: vec![self.at("write")], ..Confine::default() }
    }

    fn asked(&self, confine: &Confine, options: &[&str]) -> Result<Option<Asked>, String> {
        let image = format!("mcp/fetch:1@sha256:{HEX}");
        let words = ["docker", "run"].into_iter().chain(options.iter().copied()).chain([image.as_str(), "stdio", "-v"]);
        let launch = Launch {
            command: words.map(OsString::from).collect(),
            environment: self.environment.clone(),
            directory: None,
            confinement: None,
            contained: None,
        };
        let path = self.folder.path().as_os_str().to_owned();
        asked(confine, &launch, &Around { path: &path, directory: None })
    }

    fn words(&self, confine: &Confine, options: &[&str]) -> Vec<String> {
        let asked = self.asked(confine, options).expect("good").expect("a container");
        asked.command.into_iter().map(|word| word.into_string().expect("text")).collect()
    }

    fn refused(&self, options: &[&str]) -> String {
        self.asked(&self.granted(), options).map(|_| ()).expect_err("refused")
    }
}

#[test]
fn what_is_started_is_made_anew() {
    let scene = Scene::set();
    let confine = Confine { memory: Some(256 << 20), cpu: Some(50), wall: Some(Duration::from_secs(9)), ..scene.granted() };
    let volume = format!("{}:/data", scene.at("write").display());
    let (own, group) = Limits::of(&confine).user;
    let user = format!("{own}:{group}");
    let asked = scene
        .asked(&confine, &["-i", "--rm", "-e", "KEY", "-u", &user, "-v", &volume, "--tmpfs=/run", "-w=/data", "--pull=never"])
        .expect("good")
        .expect("a container");
    let text = |words: &[OsString]| words.iter().map(|word| word.to_str().expect("text").to_owned()).collect::<Vec<_>>();
    let mut words = text(&asked.command);
    let name = words.iter().position(|word| word.starts_with("--name=bartizan-")).expect("named");
    let name = words.remove(name).split_off("--name=".len());
    assert_eq!(name.len(), "bartizan-".len() + 32);
    let docker = scene.at("docker").to_str().expect("text").to_owned();
    assert_eq!(text(&asked.contained.remove), [&docker, "rm", "-f", &name]);
    assert_eq!(asked.contained.wall, Some(Duration::from_secs(9)));
    let scratch = "rw,noexec,nosuid,nodev,mode=1777,size=67108864";
    let expected = [
        docker,
        format!("run -i --rm --init --read-only --no-healthcheck --cap-drop=ALL --security-opt=no-new-privileges --user={user}"),
        "--network=none --ipc=private --cgroupns=private --memory=268435456 --memory-swap=268435456 --cpus=0.50 --pids-limit=256"
            .to_owned(),
        "--shm-size=67108864 --ulimit=nofile=1024:1024 --ulimit=fsize=1073741824:1073741824 --ulimit=core=0:0 --log-driver=none".to_owned(),
        format!("--tmpfs=/tmp:{scratch} --tmpfs=/run:{scratch}"),
        format!("--mount=type=bind,source={},target=/data", scene.at("write").display()),
        format!("--env=HOME=/tmp --env=TMPDIR=/tmp --env=KEY --workdir=/data --pull=never mcp/fetch@sha256:{HEX} stdio -v"),
    ];
    assert_eq!(words.join(" "), expected.join(" "));
    assert_eq!((asked.confined.preset, asked.confined.level), ("image", "container"));
    assert!(asked.confined.layers.iter().all(|(_, state, _)| matches!(*state, "asked" | "partial")), "nothing of it was seen to hold");
}

#[test]
fn a_container_is_nobodys_and_forgets_what_nobody_granted() {
    let scene = Scene::set();
    let words = scene.words(&Confine::default(), &[]);
    let (own, nobody) = (rustix::process::geteuid().as_raw(), 65534);
    let user = words.iter().find_map(|word| word.strip_prefix("--user=")).expect("a user");
    assert!(user.starts_with(&if own == 0 { nobody } else { own }.to_string()) && !user.contains(":0"), "{user}");
    assert!(words.contains(&"--cpus=1.00".to_owned()) && !words.iter().any(|word| word.starts_with("--mount")));
    let other = scene.words(&Confine::default(), &[]);
    let name = |words: &[String]| words.iter().find(|word| word.starts_with("--name=")).cloned();
    assert_ne!(name(&words), name(&other));
    let words = scene.words(&Confine::default(), &["-e", "HOME=/data", "-e", "TMPDIR"]);
    assert!(!words.contains(&"--env=HOME=/tmp".to_owned()) && !words.contains(&"--env=TMPDIR=/tmp".to_owned()));
}

#[test]
fn nobody_else_reads_what_is_mounted() {
    let scene = Scene::set();
    let volume = format!("{}:/x:ro", scene.at("read").display());
    assert!(scene.words(&scene.granted(), &["-u", "1000:100"]).contains(&"--user=1000:100".to_owned()), "without mounts it is anybody");
    assert!(scene.refused(&["-u", "1000:100", "-v", &volume]).contains("as somebody else"));
}

#[test]
fn what_is_mounted_is_what_is_granted() {
    let scene = Scene::set();
    let mounted = |host: &str, mode: &str| {
        let words = scene.words(&scene.granted(), &["-v", &format!("{}:/x{mode}", scene.at(host).display())]);
        words.into_iter().find(|word| word.starts_with("--mount=")).expect("mounted")
    };
    let expected = |host: &str, mode: &str| format!("--mount=type=bind,source={},target=/x{mode}", scene.at(host).display());
    assert_eq!(mounted("write", ""), expected("write", ""));
    assert_eq!(mounted("write", ":ro"), expected("write", ",readonly"));
    for host in ["read", "read/below", "read/file"] {
        // What is granted for reading is read, whatever was asked for.
        assert_eq!(mounted(host, ""), expected(host, ",readonly"));
        assert_eq!(mounted(host, ":ro"), expected(host, ",readonly"));
    }
    for (mode, key) in [("", "write"), (":ro", "read")] {
        let other = scene.at("other");
        let why = scene.refused(&["-v", &format!("{}:/x{mode}", other.display())]);
        assert!(why.contains(&format!("{key} = [{:?}]", other.display().to_string())), "{why}");
    }
    // A name that only begins like one that is granted.
    files::private_directory(&scene.at("reader")).expect("made");
    assert!(scene.refused(&["-v", &format!("{}:/x:ro", scene.at("reader").display())]).contains("not granted"));
    assert!(scene.refused(&["-v", &format!("{}:/x:ro", scene.at("read/../other").display())]).contains("not granted"));
}

#[test]
fn no_link_and_no_socket_is_a_way_out() {
    let mut scene = Scene::set();
    let volume = |scene: &Scene, name: &str| format!("{}:/x:ro", scene.at(name).display());
    std::os::unix::fs::symlink("../other", scene.at("read/link")).expect("a link");
    assert!(scene.refused(&["-v", &volume(&scene, "read/link")]).contains("symbolic link"));
    // A grant whose name a server took for a link of its own is none.
    std::os::unix::fs::symlink("other", scene.at("moved")).expect("a link");
    let confine = Confine { read: vec![scene.at("moved")], ..Confine::default() };
    assert!(scene.asked(&confine, &["-v", &volume(&scene, "other")]).is_err());
    let listener = UnixListener::bind(scene.at("write/socket")).expect("bound");
    assert!(scene.refused(&["-v", &volume(&scene, "write/socket")]).contains("socket"));
    assert!(scene.refused(&["-v", &volume(&scene, "write")]).contains("socket"));
    drop(listener);
    files::remove(&scene.at("write/socket")).expect("removed");
    scene.words(&scene.granted(), &["-v", &volume(&scene, "write")]);
    // The engine's own, even where it cannot be seen yet.
    scene.environment = vec![("DOCKER_HOST".into(), format!("unix://{}", scene.at("write/engine").display()).into())];
    assert!(scene.refused(&["-v", &volume(&scene, "write")]).contains("could do anything"));
    scene.environment = vec![("HOME".into(), scene.at("write").into())];
    assert!(scene.refused(&["-v", &volume(&scene, "write")]).contains("could do anything"));
    for elsewhere in
        [("DOCKER_HOST", "tcp://1.2.3.4:2375"), ("DOCKER_HOST", "ssh://a"), ("DOCKER_CONTEXT", "a"), ("CONTAINER_HOST", "ssh://a")]
    {
        scene.environment = vec![(elsewhere.0.into(), elsewhere.1.into())];
        assert!(scene.refused(&["-v", &volume(&scene, "write")]).contains("another machine"), "{elsewhere:?}");
        scene.words(&scene.granted(), &[]);
    }
}

#[test]
fn what_belongs_to_the_system_is_not_mounted_even_where_it_is_granted() {
    let scene = Scene::set();
    for path in ["/", "/proc", "/proc/self", "/sys/fs", "/dev", "/dev/null", "/run"] {
        let confine = Confine { read: vec!["/".into()], write: vec!["/".into()], ..Confine::default() };
        let why = scene.asked(&confine, &["-v", &format!("{path}:/x:ro")]).map(|_| ()).expect_err(path);
        assert!(why.contains("is not mounted"), "{why}");
    }
}

#[test]
fn what_cannot_be_given_is_refused_in_words() {
    let scene = Scene::set();
    let why = |confine: Confine| scene.asked(&confine, &[]).map(|_| ()).expect_err("refused");
    let hosts = vec![crate::config::Host { name: "a.example".to_owned(), port: 443 }];
    assert!(why(Confine { hosts, ..Confine::default() }).contains("`dangerous.unconfined`"));
    assert!(why(Confine { run: vec!["git".to_owned()], ..Confine::default() }).contains("image"));
    assert!(why(Confine { minimum: Some(Level::Native), ..Confine::default() }).contains("`minimum` is native"));
    for minimum in [Level::Landlock, Level::Container] {
        assert!(scene.asked(&Confine { minimum: Some(minimum), ..Confine::default() }, &[]).is_ok());
    }
    assert!(scene.refused(&["--privileged"]).contains("--privileged"));
}

#[test]
fn only_a_client_that_is_named_alone_is_one() {
    let scene = Scene::set();
    let launch = |words: &[&str]| Launch {
        command: words.iter().map(OsString::from).collect(),
        environment: Vec::new(),
        directory: None,
        confinement: None,
        contained: None,
    };
    let docker = scene.at("docker");
    let around = Around { path: OsStr::new("/nowhere"), directory: None };
    for words in [&[docker.to_str().expect("text"), "run"][..], &["env", "A=b", "docker", "run"], &["sh", "docker"]] {
        assert!(asked(&Confine::default(), &launch(words), &around).expect("none of it").is_none(), "{words:?}");
    }
    assert!(asked(&Confine::default(), &launch(&["podman", "run", "x"]), &around).is_err(), "it is not installed");
}
