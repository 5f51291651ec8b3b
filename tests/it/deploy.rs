//! The files for those who run a gateway as a service. They are read here, and checked by systemd's own tool where that
//! is installed; no service manager and no builder of images runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use bartizan_tests::gateway::{Stage, program};

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The settings of a unit, by section and name.
fn unit() -> BTreeMap<(String, String), String> {
    let (mut section, mut settings) = (String::new(), BTreeMap::new());
    for line in shipped("bartizan.service").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(settings.insert((section.clone(), name.to_owned()), value.to_owned()).is_none(), "{line}: twice");
    }
    settings
}

/// The words of the gateway's command line are words that it understands.
fn understood(words: &[&str]) {
    let stage = Stage::new("");
    let output =
        Command::new(program("bartizan")).args(words).arg("--help").current_dir(stage.state().parent().expect("a directory")).output();
    assert!(output.expect("bartizan").status.success(), "{words:?}");
}

#[test]
fn the_unit_hardens_and_leaves_what_confinement_needs() {
    let unit = unit();
    let service = |name: &str| unit.get(&("Service".to_owned(), name.to_owned())).map(String::as_str);
    let words: Vec<&str> = service("ExecStart").expect("a command").split(' ').collect();
    assert_eq!((words.first(), words.last()), (Some(&"/usr/local/bin/bartizan"), Some(&"serve")));
    understood(&words[1..]);
    for (name, value) in [
        ("User", "bartizan"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("PrivateTmp", "yes"),
        ("StateDirectory", "bartizan"),
        ("StateDirectoryMode", "0700"),
        ("RestrictNamespaces", "user mnt pid net ipc uts cgroup"),
        // With these no namespace gets a /proc of its own, or a name.
        ("ProtectKernelTunables", "no"),
        ("ProtectKernelLogs", "no"),
        ("ProtectHostname", "no"),
    ] {
        assert_eq!(service(name), Some(value), "{name}");
    }
    let refused = service("SystemCallFilter").expect("a filter");
    assert!(refused.starts_with('~') && !refused.contains("@mount") && !refused.contains("@process"), "{refused}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let tool = PathBuf::from("/usr/bin/systemd-analyze");
    if !tool.exists() {
        eprintln!("NOT TESTED: systemd-analyze is not installed, so the unit was only read");
        return;
    }
    let stage = Stage::new("");
    let place = stage.path("bartizan.service");
    // It looks whether the program is there.
    let text = shipped("bartizan.service").replace("/usr/local/bin/bartizan", &program("bartizan").to_string_lossy());
    std::fs::write(&place, text).expect("written");
    let output = Command::new(tool).arg("verify").arg(&place).output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    let about: Vec<&str> = said.lines().filter(|line| line.contains("bartizan")).collect();
    assert!(about.is_empty(), "{about:?}");
}

#[test]
fn the_image_runs_nobody_as_root() {
    let text = shipped("Dockerfile").replace("\\\n", " ");
    let lines: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("a word and more"))
        .collect();
    let known = ["FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENTRYPOINT", "CMD"];
    assert!(lines.iter().all(|(word, _)| known.contains(word)), "{lines:?}");
    let last = lines.iter().rposition(|(word, _)| *word == "FROM").expect("a stage");
    assert!(last > 0, "what builds is not what runs");
    let of = |name: &str| lines[last..].iter().filter(|(word, _)| *word == name).map(|(_, rest)| *rest).collect::<Vec<_>>();
    assert_eq!(of("USER"), ["65532:65532"]);
    assert!(of("COPY")[0].starts_with("--from=build ") && of("COPY").len() == 1, "only the program is taken over");
    let words = |name: &str| serde_json::from_str::<Vec<String>>(of(name)[0]).expect("a list");
    let line: Vec<String> = words("ENTRYPOINT").into_iter().skip(1).chain(words("CMD")).collect();
    understood(&line.iter().map(String::as_str).collect::<Vec<_>>());
}
