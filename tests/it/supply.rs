//! What a server is made of is pinned: packages, programs and scripts that are not what was approved do not start.
//!
//! A directory of the test stands for the registry, and a script for `npm`, which copies from it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use bartizan_tests::client::Client;
use bartizan_tests::gateway::{Stage, scripted};
use bartizan_tests::json::reason;
use bartizan_tests::process::eventually;
use bartizan_tests::script::Script;
use serde_json::json;

/// What `npm ci` does: exactly what stands in the lock file, or nothing.
const CI: &str = r#"
import json, shutil, sys
registry, home = sys.argv[1:]
packages = json.load(open(f"{home}/package-lock.json"))["packages"]
assert packages.pop("")["dependencies"].keys() == {"pkg", "dep"}
for key, entry in packages.items():
    name, version = key.removeprefix("node_modules/"), entry["version"]
    place = f"dep@{version}" if name == "dep" else f"pkg@{version}/node_modules/pkg"
    if entry["integrity"] != ("sha512-dep" if name == "dep" else "sha512-" + version * 20):
        sys.exit("npm ERR! code EINTEGRITY")
    shutil.copytree(f"{registry}/{place}", f"{home}/{key}")
"#;

/// A stage with a registry and an `npm` that knows nothing else. There is no `npx`: nobody may need it.
struct Shop {
    stage: Stage,
}

fn executable(path: &Path, text: &str) {
    std::fs::write(path, text).expect("writable");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
}

impl Shop {
    fn new() -> Self {
        let stage = Stage::new("");
        stage.script("files", &Script::with_tools(["a"]));
        std::fs::create_dir_all(stage.path("bin")).expect("a directory");
        let (registry, ci) = (stage.path("registry"), stage.path("ci.py"));
        std::fs::write(&ci, CI).expect("writable");
        let npm = format!(
            "#!/bin/sh\nif [ \"$1\" = view ]; then echo '\"1.2.3\"'; exit 0; fi\nwhat=\"$1 $2\"\n\
             while [ \"$1\" != --prefix ]; do shift; done\nhome=$2\n\
             case $what in\n\
             ci*) exec python3 {ci} {registry} \"$home\" ;;\n\
             'rebuild --ignore-scripts') mkdir -p \"$home/node_modules/.bin\"\n\
             ln -sf ../pkg/run.sh \"$home/node_modules/.bin/pkg\"; exit 0 ;;\n\
             esac\nshift 3\n\
             if [ \"${{what%% *}}\" = rebuild ]; then echo built > \"$home/node_modules/$1/built.js\"; exit 0; fi\ncp -r {registry}/\"$1\"/. \"$home\"\n",
            ci = ci.display(),
            registry = registry.display()
        );
        executable(&stage.path("bin/npm"), &npm);
        let shop = Self { stage };
        shop.publish("1.0.0", "one");
        shop
    }

    /// Puts a version into the registry, with one dependency that holds `text`.
    fn publish(&self, version: &str, text: &str) {
        self.publish_with(version, &format!("9.{version}"), text);
    }

    /// The same with a version of the dependency. What the registry had of it before, it still has.
    fn publish_with(&self, version: &str, dep: &str, text: &str) {
        let at = |name: &str| self.stage.path(&format!("registry/pkg@{version}/node_modules/{name}"));
        for directory in ["pkg", "dep", ".bin"] {
            std::fs::create_dir_all(at(directory)).expect("a directory");
        }
        let [program, script] = [scripted(), self.stage.path("files.json")];
        executable(&at("pkg/run.sh"), &format!("#!/bin/sh\nexec {} {}\n", program.display(), script.display()));
        std::fs::write(at("pkg/package.json"), json!({"bin": "run.sh", "version": version, "dependencies": {"dep": "*"}}).to_string())
            .expect("writable");
        std::fs::write(at("dep/package.json"), json!({"name": "dep", "version": dep, "scripts": {"postinstall": "x"}}).to_string())
            .expect("writable");
        std::fs::write(at("dep/index.js"), text).expect("writable");
        // It may stand there from an earlier publication.
        let _ = std::fs::remove_file(at(".bin/pkg"));
        std::os::unix::fs::symlink("../pkg/run.sh", at(".bin/pkg")).expect("a link");
        let list = json!({"packages": {
            "node_modules/pkg": {"version": version, "integrity": format!("sha512-{}", version.repeat(20)), "dependencies": {"dep": "*"}},
            "node_modules/dep": {"version": dep, "integrity": "sha512-dep", "hasInstallScript": true},
        }});
        std::fs::write(at(".package-lock.json"), list.to_string()).expect("writable");
        let archive = self.stage.path(&format!("registry/dep@{dep}"));
        std::fs::create_dir_all(&archive).expect("a directory");
        for name in ["package.json", "index.js"] {
            std::fs::copy(at(&format!("dep/{name}")), archive.join(name)).expect("copied");
        }
    }

    fn bartizan(&self, words: &[&str]) -> Command {
        let mut command = self.stage.bartizan(words);
        let path = format!("{}:/usr/bin:/bin", self.stage.path("bin").display());
        command.env("PATH", path);
        command
    }

    /// Runs a command to its end: its code, and all that it printed.
    fn said(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.bartizan(words).stdin(std::process::Stdio::null()).output().expect("bartizan");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    }

    fn approve(&self, command: &[&str]) -> (Option<i32>, String) {
        self.said(&[&["approve", "files", "--all", "--yes", "--effect", "a=read", "--"], command].concat())
    }

    fn run(&self, command: &[&str]) -> Client {
        Client::start(&mut self.bartizan(&[&["run", "--name", "files", "--"], command].concat()))
    }

    /// The reason for which a server does not start, where it does not.
    fn refused(&self, command: &[&str]) -> Option<String> {
        let mut client = self.run(command);
        let hello = client.request("initialize", &hello());
        let found = reason(&hello).map(str::to_owned);
        client.leave();
        found
    }

    fn lock(&self) -> String {
        std::fs::read_to_string(self.stage.path("bartizan.lock")).unwrap_or_default()
    }

    /// Where the package was installed.
    fn installed(&self) -> std::path::PathBuf {
        let all = std::fs::read_dir(self.stage.state().join("packages")).expect("packages").flatten().map(|entry| entry.path());
        all.into_iter().find(|path| path.is_dir()).expect("an installation")
    }
}

fn hello() -> serde_json::Value {
    json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
}

const PINNED: &[&str] = &["npx", "-y", "pkg@1.0.0"];

#[test]
fn a_version_that_floats_is_not_fetched_and_says_how_to_pin_it() {
    let shop = Shop::new();
    for floating in ["pkg", "pkg@latest", "pkg@^1.0.0", "pkg@1"] {
        let command = ["npx", "-y", floating, "/data"];
        let mut client = shop.run(&command);
        let told = client.initialize().to_string();
        assert!(told.contains("npx -y pkg@1.2.3 /data") && told.contains("bartizan approve files"), "{told}");
        assert_eq!(client.tools(), Vec::<String>::new());
        assert_eq!(reason(&client.call("a", &json!({}))), Some("catalog.unapproved"));
        assert!(client.leave().success());
        let (code, text) = shop.approve(&command);
        assert!(code == Some(2) && text.contains("npx -y pkg@1.2.3 /data") && text.contains("artefact.floating"), "{text}");
    }
    assert!(!shop.stage.state().join("packages").exists(), "something was fetched");
    shop.stage.configure("[servers.files]\ncommand = [\"npx\", \"-y\", \"pkg\"]");
    let (code, text) = shop.said(&["check"]);
    assert!(code == Some(1) && text.contains("npx -y pkg@1.2.3"), "{text}");
    shop.stage.verify();
}

#[test]
fn who_accepts_floating_versions_is_reminded_of_it() {
    let shop = Shop::new();
    let [program, script] = [scripted(), shop.stage.path("files.json")];
    executable(&shop.stage.path("bin/npx"), &format!("#!/bin/sh\nexec {} {}\n", program.display(), script.display()));
    shop.stage.configure("[dangerous]\nfloating_versions = true\n[servers.files]\ncommand = [\"npx\", \"-y\", \"pkg\"]");
    let (code, text) = shop.approve(&["npx", "-y", "pkg"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(shop.refused(&["npx", "-y", "pkg"]), None);
    assert!(shop.said(&["check"]).1.contains("dangerous.floating_versions"));
    shop.stage.configure("[dangerous]\nfloating_versions = false");
    assert_eq!(shop.refused(&["npx", "-y", "pkg"]).as_deref(), Some("artefact.floating"), "approved, and it floats");
}

#[test]
fn a_package_is_fetched_and_started_only_when_it_was_approved() {
    let shop = Shop::new();
    let mut client = shop.run(PINNED);
    assert!(client.initialize().to_string().contains("bartizan approve files"));
    assert_eq!(client.tools(), Vec::<String>::new());
    assert!(!shop.stage.state().join("packages").exists() && shop.stage.received("files").is_empty(), "fetched or started unasked");
    let (code, text) = shop.approve(PINNED);
    assert!(code == Some(0) && text.contains("pkg") && text.contains("dep 9.1.0.0 sha512-dep"), "{text}");
    assert!(shop.lock().contains("version = \"1.0.0\"") && shop.lock().contains("integrity = \"sha512-1.0.0"), "{}", shop.lock());
    client.heard("notifications/tools/list_changed");
    assert_eq!(client.tools(), ["a"]);
    assert!(reason(&client.call("a", &json!({}))).is_none());
    assert!(client.leave().success());
    assert_eq!(shop.said(&["diff", "files"]).0, Some(0));
    shop.stage.verify();
}

#[test]
fn an_upgrade_is_drift_until_it_is_reviewed() {
    let shop = Shop::new();
    assert_eq!(shop.approve(PINNED).0, Some(0));
    shop.publish("2.0.0", "two");
    let upgraded = ["npx", "-y", "pkg@2.0.0"];
    assert_eq!(shop.refused(&upgraded).as_deref(), Some("artefact.changed"));
    let (code, text) = shop.said(&[&["diff", "files", "--"], &upgraded[..]].concat());
    assert_eq!(code, Some(10), "{text}");
    for line in ["- version = \"1.0.0\"", "+ version = \"2.0.0\"", "-   \"dep 9.1.0.0 sha512-dep\"", "+   \"dep 9.2.0.0 sha512-dep\""] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (_, json) = shop.said(&[&["diff", "files", "--format", "json", "--"], &upgraded[..]].concat());
    assert!(json.contains(r#""kind":"artefact""#) && json.contains(r#""change":"changed""#), "{json}");
    assert_eq!(shop.approve(&upgraded).0, Some(0));
    assert_eq!(shop.refused(&upgraded), None);
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.changed"), "the old one is not approved any more");
}

#[test]
fn other_content_under_the_same_version_does_not_start() {
    let shop = Shop::new();
    assert_eq!(shop.approve(PINNED).0, Some(0));
    shop.stage.forget("files");
    // Somebody edits what is installed.
    let path = shop.installed().join("node_modules/dep/index.js");
    std::fs::write(&path, "own").expect("writable");
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.changed"));
    std::fs::write(&path, "one").expect("writable");
    assert_eq!(shop.refused(PINNED), None, "what it was, again");
    // Somebody adds a file.
    std::fs::write(path.with_file_name("more.js"), "").expect("writable");
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.changed"));
    // The registry gives something else under the same name, to a machine that fetches it anew.
    shop.stage.forget("files");
    std::fs::remove_dir_all(shop.stage.state().join("packages")).expect("removed");
    shop.publish("1.0.0", "other");
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.changed"));
    assert!(shop.stage.received("files").is_empty(), "it was started and spoken to");
    assert_eq!(shop.said(&["diff", "files", "--", "npx", "-y", "pkg@1.0.0"]).0, Some(10));
}

#[test]
fn what_cannot_be_read_or_fetched_is_not_started() {
    let shop = Shop::new();
    for command in [
        &["npx", "-c", "pkg"][..],
        &["npx", "-y", "github:a/b"],
        &["bunx", "pkg"],
        &["node", "-r", "./x", "y.js"],
        &["nice", "node", "y.js"],
        &["/opt/npx", "-y", "pkg@1.0.0"],
        &["env", "NODE_OPTIONS=--import=x", "npx", "-y", "pkg@1.0.0"],
        &["npx", "-y", "pkg@7.7.7"],
        &["./gone"],
    ] {
        let (code, text) = shop.approve(command);
        assert!(code == Some(2) && text.contains("artefact.unclear"), "{command:?}: {code:?} {text}");
    }
    assert!(shop.stage.received("files").is_empty());
    assert_eq!(shop.approve(PINNED).0, Some(0));
    assert_eq!(shop.refused(&["npx", "--call", "pkg@1.0.0"]).as_deref(), Some("artefact.unclear"));
}

#[test]
fn a_lock_file_without_artefacts_starts_nothing_that_was_approved() {
    let shop = Shop::new();
    assert_eq!(shop.approve(PINNED).0, Some(0));
    let whole = shop.lock();
    let (head, rest) = whole.split_once("[[artefact]]").expect("an artefact");
    let (_, definitions) = rest.split_once("[[definition]]").expect("a definition");
    std::fs::write(shop.stage.path("bartizan.lock"), format!("{head}[[definition]]{definitions}")).expect("writable");
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.unknown"));
    assert_eq!(shop.said(&["diff", "files", "--", "npx", "-y", "pkg@1.0.0"]).0, Some(11));
}

#[test]
fn a_script_that_changes_does_not_start() {
    let shop = Shop::new();
    let [program, json] = [scripted(), shop.stage.path("files.json")];
    let script =
        |more: &str| executable(&shop.stage.path("serve.sh"), &format!("#!/bin/sh\n{more}exec {} {}\n", program.display(), json.display()));
    script("");
    let path = shop.stage.path("serve.sh").to_string_lossy().into_owned();
    for command in [vec![path.as_str()], vec!["sh", &path]] {
        script("");
        assert_eq!(shop.approve(&command).0, Some(0));
        assert_eq!(shop.refused(&command), None);
        script("true\n");
        assert_eq!(shop.refused(&command).as_deref(), Some("artefact.changed"));
        let (code, text) = shop.said(&[&["diff", "files", "--"], &command[..]].concat());
        assert!(code == Some(10) && text.contains("serve.sh"), "{text}");
    }
}

#[test]
fn an_organisation_says_which_servers_may_be_used() {
    let shop = Shop::new();
    assert_eq!(shop.approve(PINNED).0, Some(0));
    let direct = [scripted().to_string_lossy().into_owned(), shop.stage.path("files.json").to_string_lossy().into_owned()];
    let direct: Vec<&str> = direct.iter().map(String::as_str).collect();
    for (list, package, program) in [
        ("npm = [\"pkg\"]", true, false),
        ("npm = [\"pkg@1.*\"]", true, false),
        ("npm = [\"pkg@2.*\", \"@pkg/*\"]", false, false),
        ("path = [\"/\"]", false, true),
        ("path = [\"/opt\"]", false, false),
    ] {
        shop.stage.configure(&format!("[servers_allowed]\nnpm = []\npath = []\n{}", ""));
        shop.stage.configure(&format!("[servers_allowed]\n{list}"));
        let expected = |allowed: bool| (!allowed).then(|| "upstream.not-allowed".to_owned());
        assert_eq!(shop.approve(PINNED).0, Some(if package { 0 } else { 2 }), "{list}");
        assert_eq!(shop.refused(PINNED), expected(package), "{list}");
        assert_eq!(shop.approve(&direct).0, Some(if program { 0 } else { 2 }), "{list}");
        if program {
            // What was approved is what runs from now on; the package is approved again for the next round.
            assert_eq!(shop.refused(&direct), None);
        }
    }
    let _http = shop.stage.http_server("away", &Script::with_tools(["h"]));
    let (code, text) = shop.said(&["approve", "away", "--all", "--yes"]);
    assert!(code == Some(2) && text.contains("upstream.not-allowed"), "{text}");
    shop.stage.configure("[servers_allowed]\nurl = [\"127.0.0.1\"]");
    assert_eq!(shop.said(&["approve", "away", "--all", "--yes"]).0, Some(0));
}

/// What cannot be read may have said anything: it does not make an approved server one that nobody knows.
#[test]
fn a_lock_file_that_is_lost_while_the_gateway_runs_starts_nothing() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let before = stage.pids("files").len();
    std::fs::write(stage.path("bartizan.lock"), "<<<<<<< ours\n").expect("writable");
    eventually("the gateway notices", || gateway.said.text().contains("cannot be used"));
    let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
    assert_eq!(session.request("tools/list", &json!({})).json()["result"]["tools"], json!([]));
    assert_eq!(stage.pids("files").len(), before, "a program was started that nobody can vouch for");
}

/// A program of this machine is not started to find out what it would offer: nobody has looked at it.
#[test]
fn a_program_that_nobody_approved_is_not_started() {
    let shop = Shop::new();
    let direct = [scripted().to_string_lossy().into_owned(), shop.stage.path("files.json").to_string_lossy().into_owned()];
    let direct: Vec<&str> = direct.iter().map(String::as_str).collect();
    let mut client = shop.run(&direct);
    let told = client.initialize()["result"]["instructions"].to_string();
    assert!(told.contains("bartizan approve files"), "{told}");
    assert_eq!(client.tools(), Vec::<String>::new());
    assert_eq!(reason(&client.call("a", &json!({}))), Some("catalog.unapproved"));
    assert!(client.said.text().contains("bartizan approve files"), "the operator reads what to do: {}", client.said.text());
    assert!(shop.stage.pids("files").is_empty(), "it was started");
    // Over HTTP it is the same, at the endpoint of all servers and at its own.
    let (token, words) = (shop.stage.token("t", &[]).text, toml::Value::from(direct.clone()));
    shop.stage.configure(&format!("[servers.files]\ncommand = {words}"));
    let gateway = shop.stage.serve();
    for (place, name) in [("/mcp", "files__a"), ("/mcp/files", "a")] {
        let mut visitor = gateway.visitor(&token).at(place).initialize();
        assert_eq!(visitor.request("tools/list", &json!({})).json()["result"]["tools"], json!([]), "{place}");
        let called = visitor.request("tools/call", &json!({"name": name, "arguments": {}})).json();
        assert_eq!(reason(&called), Some("catalog.unapproved"), "{place}");
        let modern = gateway.visitor(&token).at(place).modern("server/discover", &json!({}));
        assert!(modern.json()["result"]["instructions"].to_string().contains("bartizan approve files"), "{place}: {}", modern.json());
    }
    assert!(gateway.said.text().contains("bartizan approve files"), "{}", gateway.said.text());
    drop(gateway);
    assert!(shop.stage.pids("files").is_empty(), "it was started");
    // The review starts it, and the client that waits sees what was approved.
    assert_eq!(shop.approve(&direct).0, Some(0));
    client.heard("notifications/tools/list_changed");
    assert_eq!(client.tools(), ["a"]);
    assert!(client.leave().success());
    shop.stage.verify();
}

/// Variables that load code are not part of the program that was reviewed, so they are refused, or reviewed as well.
#[test]
fn variables_that_load_code_are_refused_or_pinned() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let refused = || {
        let mut client = stage.run("files");
        let found = reason(&client.request("initialize", &hello())).map(str::to_owned);
        client.leave();
        found
    };
    assert_eq!(refused(), None);
    stage.configure("[servers.files.env]\nNODE_OPTIONS = \"--require=/tmp/x.js\"\nPYTHONUNBUFFERED = \"1\"");
    let approve = || {
        let output = stage.output(&["approve", "files", "--all", "--yes"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(refused().as_deref(), Some("artefact.unclear"));
    let (code, text) = approve();
    assert!(code == Some(2) && text.contains("NODE_OPTIONS") && text.contains("dangerous.load_variables"), "{text}");
    stage.configure("[dangerous]\nload_variables = [\"NODE_OPTIONS\"]");
    assert_eq!(refused().as_deref(), Some("artefact.changed"), "accepted is not reviewed");
    assert_eq!(approve().0, Some(0));
    assert_eq!(refused(), None);
    stage.configure("[servers.files.env]\nNODE_OPTIONS = \"--require=/tmp/y.js\"");
    assert_eq!(refused().as_deref(), Some("artefact.changed"), "another value is another program");
    let said = stage.output(&["check"]);
    assert!(
        String::from_utf8_lossy(&said.stdout).contains("dangerous.load_variables")
            || String::from_utf8_lossy(&said.stderr).contains("dangerous.load_variables")
    );
}

/// Whether another program is the one to start is a person's decision about the whole server: neither a look at the
/// differences nor an approval of something smaller makes it.
#[test]
fn another_program_is_not_started_or_approved_in_passing() {
    let shop = Shop::new();
    let [program, json] = [scripted(), shop.stage.path("files.json")];
    let script =
        |more: &str| executable(&shop.stage.path("serve.sh"), &format!("#!/bin/sh\n{more}exec {} {}\n", program.display(), json.display()));
    script("");
    let path = shop.stage.path("serve.sh").to_string_lossy().into_owned();
    assert_eq!(shop.approve(&[&path]).0, Some(0));
    shop.stage.forget("files");
    let before = shop.lock();
    script("true\n");
    let (code, text) = shop.said(&["diff", "files", "--", &path]);
    assert!(code == Some(10) && text.contains("serve.sh"), "{text}");
    assert!(shop.stage.pids("files").is_empty(), "a look started what nobody approved");
    for words in [&["approve", "files", "--all", "--yes", "--grade", "cosmetic"][..], &["approve", "files/a", "--yes"]] {
        let (_, text) = shop.said(&[words, &["--", &path]].concat());
        assert_eq!(shop.lock(), before, "{words:?} approved another program: {text}");
        assert!(shop.stage.pids("files").is_empty(), "{words:?} started it");
    }
    assert_eq!(shop.refused(&[&path]).as_deref(), Some("artefact.changed"));
    let (code, text) = shop.said(&["diff", "files", "--start", "--", &path]);
    assert!(code == Some(10) && !shop.stage.pids("files").is_empty(), "{text}");
    assert_eq!(shop.approve(&[&path]).0, Some(0), "the whole server");
    assert_ne!(shop.lock(), before);
}

#[test]
fn install_scripts_run_only_where_that_is_accepted() {
    let shop = Shop::new();
    let (code, text) = shop.approve(PINNED);
    assert_eq!(code, Some(0), "{text}");
    let warned = || {
        let mut client = shop.run(PINNED);
        client.initialize();
        let text = client.said.text();
        client.leave();
        text.contains("install scripts were not run") && text.contains("dangerous.allow_scripts")
    };
    assert!(warned(), "nobody is told why a server may not work");
    let built = |shop: &Shop| {
        let homes = std::fs::read_dir(shop.stage.state().join("packages")).expect("packages").flatten();
        homes.filter(|home| home.path().join("node_modules/dep/built.js").exists()).count()
    };
    assert_eq!(built(&shop), 0);
    shop.stage.configure("[dangerous]\nallow_scripts = [\"dep\"]");
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.changed"), "what a script made was not reviewed");
    assert_eq!(built(&shop), 1);
    let (code, text) = shop.approve(PINNED);
    assert_eq!(code, Some(0), "{text}");
    assert!(!warned());
    assert_eq!(shop.refused(PINNED), None);
    assert!(shop.said(&["check"]).1.contains("dangerous.allow_scripts"));
}

/// What comes along floats in the registry. A machine that has only the lock file gets what was reviewed, or nothing.
#[test]
fn a_new_machine_gets_the_tree_that_was_approved() {
    let shop = Shop::new();
    assert_eq!(shop.approve(PINNED).0, Some(0));
    let (lock, packages) = (shop.lock(), shop.stage.state().join("packages"));
    let dep = || std::fs::read_to_string(shop.installed().join("node_modules/dep/index.js")).expect("installed");
    shop.publish_with("1.0.0", "9.9.9", "newer");
    std::fs::remove_dir_all(&packages).expect("removed");
    assert_eq!(shop.said(&["diff", "files", "--", "npx", "-y", "pkg@1.0.0"]).0, Some(0), "a look gets it, too");
    std::fs::remove_dir_all(&packages).expect("removed");
    assert_eq!(shop.refused(PINNED), None);
    assert_eq!(dep(), "one");
    // A machine that reviews it for the first time gets what the registry says now.
    std::fs::remove_file(shop.stage.path("bartizan.lock")).expect("removed");
    std::fs::remove_dir_all(&packages).expect("removed");
    let (code, text) = shop.approve(PINNED);
    assert!(code == Some(0) && text.contains("dep 9.9.9 sha512-dep") && dep() == "newer", "{text}");
    // Another review arrives there, and counts from now on.
    std::fs::write(shop.stage.path("bartizan.lock"), &lock).expect("writable");
    assert_eq!(shop.refused(PINNED), None);
    assert_eq!(dep(), "one");
    // Not what was reviewed, whatever it is called.
    std::fs::remove_dir_all(&packages).expect("removed");
    std::fs::write(shop.stage.path("bartizan.lock"), lock.replace("dep 9.1.0.0 sha512-dep", "dep 9.1.0.0 sha512-other")).expect("writable");
    assert_eq!(shop.refused(PINNED).as_deref(), Some("artefact.unclear"));
    let (_, text) = shop.said(&["diff", "files", "--", "npx", "-y", "pkg@1.0.0"]);
    assert!(text.contains("dep 9.9.9 sha512-dep"), "a person sees what there is instead: {text}");
}

#[test]
fn an_approval_says_which_install_scripts_were_not_run() {
    let shop = Shop::new();
    let (code, text) = shop.approve(PINNED);
    assert!(code == Some(0) && text.contains("install scripts were not run: dep") && text.contains("dangerous.allow_scripts"), "{text}");
    shop.stage.configure("[dangerous]\nallow_scripts = [\"dep\"]");
    let (_, text) = shop.approve(PINNED);
    assert!(!text.contains("install scripts"), "{text}");
}
