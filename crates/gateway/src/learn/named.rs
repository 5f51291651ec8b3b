//! Places that are more than a server of any kind has a reason to ask for, in words. The one table.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bartizan_format::address;

use super::World;
use crate::config::is_broad;

/// Below somebody's home directory.
const AT_HOME: &[(&str, &str)] = &[
    (".ssh", "your SSH keys"),
    (".gnupg", "your PGP keys"),
    (".aws", "your cloud credentials"),
    (".azure", "your cloud credentials"),
    (".config/gcloud", "your cloud credentials"),
    (".oci", "your cloud credentials"),
    (".config/doctl", "your cloud credentials"),
    (".terraform.d", "your cloud credentials"),
    (".kube", "your keys to Kubernetes clusters"),
    (".docker", "your keys to container registries"),
    (".config/containers", "your keys to container registries"),
    (".netrc", "your passwords for other machines"),
    (".pgpass", "your passwords for databases"),
    (".my.cnf", "your passwords for databases"),
    (".git-credentials", "your keys to source code"),
    (".config/gh", "your keys to source code"),
    (".config/hub", "your keys to source code"),
    (".npmrc", "your keys to package registries"),
    (".pypirc", "your keys to package registries"),
    (".cargo/credentials", "your keys to package registries"),
    (".cargo/credentials.toml", "your keys to package registries"),
    (".gem/credentials", "your keys to package registries"),
    (".vault-token", "your secrets"),
    (".password-store", "your passwords"),
    (".local/share/keyrings", "your passwords"),
    (".config/op", "your passwords"),
    (".mozilla", "your browser's cookies and passwords"),
    (".config/google-chrome", "your browser's cookies and passwords"),
    (".config/chromium", "your browser's cookies and passwords"),
    (".config/BraveSoftware", "your browser's cookies and passwords"),
    (".config/microsoft-edge", "your browser's cookies and passwords"),
    (".thunderbird", "your mail"),
    (".bitcoin", "your wallets"),
    (".ethereum", "your wallets"),
    (".config/solana", "your wallets"),
    (".bashrc", "your shell's start-up files"),
    (".bash_profile", "your shell's start-up files"),
    (".bash_login", "your shell's start-up files"),
    (".profile", "your shell's start-up files"),
    (".zshrc", "your shell's start-up files"),
    (".zshenv", "your shell's start-up files"),
    (".zprofile", "your shell's start-up files"),
    (".config/fish", "your shell's start-up files"),
    (".config/autostart", "what starts when you log in"),
    (".config/systemd", "what starts when you log in"),
    (".local/share/systemd", "what starts when you log in"),
    (".bash_history", "what you typed"),
    (".zsh_history", "what you typed"),
    (".python_history", "what you typed"),
    (".node_repl_history", "what you typed"),
    (".claude", "your AI client's configuration"),
    (".claude.json", "your AI client's configuration"),
    (".config/Claude", "your AI client's configuration"),
    (".codex", "your AI client's configuration"),
    (".cursor", "your AI client's configuration"),
    (".gemini", "your AI client's configuration"),
    (".vscode", "your editor's extensions"),
    (".config/Code", "your editor's configuration"),
    (".gitconfig", "your configuration of git, which can name programs to run"),
    (".config/git", "your configuration of git, which can name programs to run"),
];

/// On every machine.
const ANYWHERE: &[(&str, &str)] = &[
    ("/var/run/docker.sock", "the container engine's socket"),
    ("/run/docker.sock", "the container engine's socket"),
    ("/run/podman", "the container engine's socket"),
    ("/run/containerd", "the container engine's socket"),
    ("/run/crio", "the container engine's socket"),
    ("/var/lib/docker", "all containers of this machine"),
    ("/var/lib/kubelet", "all containers of this machine"),
    ("/var/run/secrets", "this container's credentials"),
    ("/run/secrets", "this container's credentials"),
    ("/run/user", "the sockets of your session"),
    ("/etc/shadow", "the passwords of this machine"),
    ("/etc/gshadow", "the passwords of this machine"),
    ("/etc/sudoers", "who may become root"),
    ("/etc/sudoers.d", "who may become root"),
    ("/etc/ssh", "the keys of this machine"),
    ("/etc/ssl/private", "the keys of this machine"),
    ("/etc/kubernetes", "the keys of this machine"),
    ("/etc/ld.so.preload", "code that every program loads"),
    ("/etc/profile", "everybody's shell start-up files"),
    ("/etc/profile.d", "everybody's shell start-up files"),
    ("/etc/bash.bashrc", "everybody's shell start-up files"),
    ("/etc/cron.d", "what this machine runs by the clock"),
    ("/etc/crontab", "what this machine runs by the clock"),
    ("/var/spool/cron", "what this machine runs by the clock"),
    ("/etc/systemd", "what this machine starts"),
    ("/boot", "what this machine starts"),
];

/// Programs that undo a confinement's point.
const PROGRAMS: &[(&str, &str)] = &[
    ("docker", "the container engine"),
    ("podman", "the container engine"),
    ("nerdctl", "the container engine"),
    ("sudo", "a way to become root"),
    ("su", "a way to become root"),
    ("pkexec", "a way to become root"),
    ("ssh", "a shell on other machines"),
    ("crontab", "what runs by the clock"),
    ("systemctl", "what this machine starts"),
];

/// Where clouds tell a machine its credentials.
const METADATA: &[&str] = &["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "metadata.google.internal", "metadata"];

/// What a path is, in words, when it is more than it looks like.
pub(super) fn path(path: &Path, world: &World) -> Option<&'static str> {
    if world.own.iter().any(|own| path.starts_with(own)) {
        return Some("the gateway's own state and configuration");
    }
    let found = places(path, world).find(|(place, _)| path.starts_with(place)).map(|(_, words)| words);
    found.or_else(|| homes(path, world).into_iter().find(|home| path == home).map(|_| "the whole home directory"))
}

/// The same, and everything else that begins with a dot in somebody's home: programs keep credentials there that no table knows.
pub(super) fn path_or_settings(path: &Path, world: &World) -> Option<&'static str> {
    let is_hidden = |home: &PathBuf| {
        let below = path.strip_prefix(home).ok().and_then(|rest| rest.components().next());
        below.is_some_and(|first| first.as_os_str().as_encoded_bytes().starts_with(b"."))
    };
    self::path(path, world).or_else(|| homes(path, world).iter().any(is_hidden).then_some("your settings, where programs keep credentials"))
}

/// What a directory holds, in words, when that is more than one program's.
pub(super) fn directory(path: &Path, world: &World) -> Option<String> {
    if homes(path, world).iter().any(|home| home.starts_with(path)) {
        return Some("the whole home directory".to_owned());
    }
    let own = world.own.iter().map(|own| (own.clone(), "the gateway's own state and configuration"));
    let held = own.chain(places(path, world)).find(|(place, _)| place.starts_with(path) && place.symlink_metadata().is_ok());
    if let Some((_, words)) = held {
        return Some(format!("a directory that holds {words}"));
    }
    is_broad(path).then(|| "a directory that holds far more than one program's files".to_owned())
}

/// What a program is good for, in words.
pub(super) fn program(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    PROGRAMS.iter().find(|(program, _)| *program == name).map(|(_, words)| *words)
}

/// What a host is, in words.
pub(super) fn host(host: &str) -> Option<&'static str> {
    let host = host.trim_end_matches('.');
    if METADATA.contains(&host) {
        return Some("the metadata address, where a cloud keeps this machine's credentials");
    }
    let is_here = host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if is_here {
        return Some("a service on this machine");
    }
    host.parse().is_ok_and(|address: IpAddr| !address::is_public(address)).then_some("a machine of your own network")
}

/// Homes: our own, root's, and that of whoever a path belongs to where homes usually are.
fn homes(path: &Path, world: &World) -> Vec<PathBuf> {
    let usual = |home: &&Path| home.parent().is_some_and(|above| above == Path::new("/home") || above == Path::new("/Users"));
    let own = world.home.clone().into_iter().chain([PathBuf::from("/root")]);
    own.chain(path.ancestors().find(usual).map(Path::to_owned)).collect()
}

fn places(path: &Path, world: &World) -> impl Iterator<Item = (PathBuf, &'static str)> {
    let at_home = homes(path, world).into_iter().flat_map(|home| AT_HOME.iter().map(move |(place, words)| (home.join(place), *words)));
    at_home.chain(ANYWHERE.iter().map(|(place, words)| (PathBuf::from(place), *words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World { home: Some("/home/me".into()), own: vec!["/home/me/.local/state/bartizan".into()] }
    }

    #[test]
    fn well_known_places_have_names() {
        for (place, words) in [
            ("/home/me/.ssh/id_ed25519", "your SSH keys"),
            ("/root/.aws/credentials", "your cloud credentials"),
            ("/home/me/.bashrc", "your shell's start-up files"),
            ("/home/me/.local/state/bartizan/tokens.json", "the gateway's own state and configuration"),
            ("/home/me", "the whole home directory"),
            ("/home/other/.ssh/id_rsa", "your SSH keys"),
            ("/var/run/docker.sock", "the container engine's socket"),
        ] {
            assert_eq!(path(Path::new(place), &world()), Some(words), "{place}");
        }
        for place in ["/home/me/project/.sshx", "/home/me/.sshx", "/srv/x", "/home/me/notes"] {
            assert_eq!(path(Path::new(place), &world()), None, "{place}");
        }
        for place in ["/home/me/.config/rclone/rclone.conf", "/home/other/.env", "/home/me/.local"] {
            assert!(path_or_settings(Path::new(place), &world()).is_some(), "{place}");
        }
        assert_eq!(path_or_settings(Path::new("/home/me/project/.env"), &world()), None);
    }

    #[test]
    fn directories_are_named_by_what_they_hold() {
        for place in ["/", "/home", "/home/me", "/usr", "/etc", "/home/other"] {
            assert!(directory(Path::new(place), &world()).is_some(), "{place}");
        }
        assert_eq!(directory(Path::new("/home/me/project"), &world()), None);
        let dir = tempfile::tempdir().expect("dir");
        let world = World { home: None, own: vec![dir.path().join("x/state")] };
        assert_eq!(directory(&dir.path().join("x"), &world), None, "it is not there");
        crate::config::files::private_directory(&dir.path().join("x/state")).expect("made");
        assert!(directory(&dir.path().join("x"), &world).expect("named").contains("the gateway's own state"));
    }

    #[test]
    fn hosts_and_programs_have_names() {
        for name in ["169.254.169.254", "metadata.google.internal", "127.0.0.1", "::1", "localhost", "10.1.2.3", "192.168.0.1"] {
            assert!(host(name).is_some(), "{name}");
        }
        assert_eq!((host("api.github.com"), host("1.1.1.1")), (None, None));
        assert!(program(Path::new("/usr/bin/docker")).is_some() && program(Path::new("/usr/bin/git")).is_none());
    }
}
