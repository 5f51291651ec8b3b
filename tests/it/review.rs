//! Review from outside: what `diff` and `approve` say of a server that changes, and how the lock file ends up.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_gateway::review::grade::Grade;
use bartizan_gateway::review::{What, compare, groups};
use bartizan_monitor::case::{Caller, Effect, Facts, Kind, Means};
use bartizan_monitor::catalog::{Catalog, Definition, Menu, Naming, Offer, Place};
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::wire::envelope::{self, Arrival};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::mirror::Mirror;
use bartizan_tests::corpora;
use bartizan_tests::gateway::Stage;
use bartizan_tests::script::Script;
use serde_json::{Value, json};

fn lock_text(stage: &Stage) -> String {
    std::fs::read_to_string(stage.path("bartizan.lock")).expect("the lock file")
}

/// What a command writes to standard output, and its exit code.
fn said(stage: &Stage, words: &[&str]) -> (String, Option<i32>) {
    let output = stage.output(words);
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

fn changes(stage: &Stage) -> (Vec<Value>, Option<i32>) {
    let (text, code) = said(stage, &["diff", "files", "--format", "json"]);
    (serde_json::from_str(&text).expect("json"), code)
}

fn of<'v>(changes: &'v [Value], name: &str) -> &'v Value {
    changes.iter().find(|change| change["name"] == name).expect(name)
}

#[test]
fn what_appears_later_is_named_and_not_approved_by_itself() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    assert_eq!(changes(&stage).1, Some(0));
    stage.script("files", &Script::with_tools(["a", "send_all"]));
    let (found, code) = changes(&stage);
    assert_eq!((code, of(&found, "send_all")["change"].as_str()), (Some(11), Some("new")));
    assert!(said(&stage, &["diff", "files"]).0.contains("files: new tool send_all"));
    let (shown, code) = said(&stage, &["approve", "files"]);
    assert!(code == Some(11) && shown.contains("+ tool send_all"), "{shown}");
    assert!(!lock_text(&stage).contains("send_all"), "nobody said yes");
}

#[test]
fn a_difference_says_what_changed_where_and_how_grave_it_is() {
    let good = Script::with_tools(["a", "b", "c"]);
    let stage = Stage::with_server("files", &good);
    let mut changed = good.clone();
    changed.tools[0]["description"] = json!(format!("{}  ", good.tools[0]["description"].as_str().expect("text")));
    changed.tools[1]["inputSchema"]["properties"]["flag"] = json!({"type": "boolean"});
    changed.tools[2]["annotations"] = json!({"readOnlyHint": true});
    changed.tools[2]["title"] = json!("\u{1b}[2Jtitle");
    stage.script("files", &changed);
    let (found, code) = changes(&stage);
    assert_eq!(code, Some(10));
    let grades: Vec<_> = ["a", "b", "c"].iter().map(|name| of(&found, name)["grade"].as_str()).collect();
    assert_eq!(grades, [Some("cosmetic"), Some("widening"), Some("steering")]);
    assert_eq!(of(&found, "b")["differences"][0]["place"], "/inputSchema/properties/flag");
    let parts: Vec<_> = of(&found, "c")["parts"].as_array().expect("parts").iter().map(|part| part["part"].as_str()).collect();
    assert_eq!(parts, [Some("annotations"), Some("title")]);
    let (shown, _) = said(&stage, &["diff", "files"]);
    assert!(shown.contains("/annotations/readOnlyHint: a hint promises less harm than before") && !shown.contains('\u{1b}'), "{shown}");
    // What says the same is taken in one go; the rest is left and says so.
    assert_eq!(said(&stage, &["approve", "--grade", "cosmetic"]).1, Some(11));
    let left: Vec<_> =
        changes(&stage).0.into_iter().filter(|change| change["change"] == "changed").map(|change| change["name"].clone()).collect();
    assert_eq!(left, ["b", "c"]);
}

#[test]
fn what_was_approved_before_is_back_in_one_command_and_is_the_only_one_accepted() {
    let good = Script::with_tools(["a", "b"]);
    let stage = Stage::with_server("files", &good);
    let before = lock_text(&stage);
    let contract = before.replacen("name = \"a\"\n", "name = \"a\"\nowner = \"us\"\nnotes = \"look twice\"\n", 1);
    assert_ne!(contract, before);
    std::fs::write(stage.path("bartizan.lock"), &contract).expect("writable");
    let mut changed = good.clone();
    changed.tools[0]["description"] = json!("Another text.");
    stage.script("files", &changed);
    stage.approve(&["files/a"], &[]);
    assert_eq!(changes(&stage).1, Some(0));
    assert_eq!(said(&stage, &["approve", "files/a", "--rollback"]).1, Some(0));
    let text = lock_text(&stage);
    assert!(text.contains("name = \"a\"\neffect = \"read\"\nowner = \"us\"\nnotes = \"look twice\"\n"), "{text}");
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!(client.tools(), ["b"], "the version that was approved after it is not accepted any more");
    assert!(client.leave().success());
    stage.script("files", &good);
    assert_eq!(changes(&stage).1, Some(0));
    let refused = stage.output(&["approve", "files/a", "--rollback", "sha256:00"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && why.contains("these are kept"), "{why}");
    assert_eq!(lock_text(&stage), text);
}

#[test]
fn a_renamed_tool_is_one_change() {
    let good = Script::with_tools(["read_text", "b"]);
    let stage = Stage::with_server("files", &good);
    let mut changed = good.clone();
    changed.tools[0]["name"] = json!("read_file_text");
    stage.script("files", &changed);
    let (found, code) = changes(&stage);
    assert_eq!((code, of(&found, "read_file_text")["was"].as_str()), (Some(10), Some("read_text")));
    assert!(found.iter().all(|change| change["name"] != "read_text"));
    stage.approve(&["files/read_text"], &[]);
    assert_eq!(changes(&stage).1, Some(0));
}

#[test]
fn another_release_of_a_server_is_a_cosmetic_change_and_blocks_nothing() {
    let release = |version: &str| {
        let mut script = Script::with_tools(["a"]);
        script.hello.insert("serverInfo".to_owned(), json!({"name": "scripted", "version": version}));
        script
    };
    let stage = Stage::with_server("files", &release("1.0"));
    stage.script("files", &release("1.1"));
    let (found, code) = changes(&stage);
    assert_eq!((code, of(&found, "server")["grade"].as_str()), (Some(10), Some("cosmetic")));
    let mut client = stage.run("files");
    client.initialize();
    assert!(client.call("a", &json!({}))["result"]["isError"] != true);
    assert!(client.leave().success());
    assert_eq!(said(&stage, &["approve", "--grade", "cosmetic"]).1, Some(0));
    assert_eq!(changes(&stage).1, Some(0));
}

#[test]
fn nothing_starts_with_a_lock_file_that_cannot_be_kept() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    let good = lock_text(&stage);
    let entry = |line: &str| good.replacen("name = \"a\"\n", &format!("name = \"a\"\n{line}\n"), 1);
    let cut = good.rsplit_once("[[definition]]").expect("entries").0;
    for (broken, expected) in [
        (entry("arguments = '{\"type\": 5}'"), "arguments: "),
        (entry("arguments = '{\"$ref\": \"https://elsewhere/\"}'"), "arguments: "),
        (entry("limits = { calls_per_minute = 0 }"), "line "),
        (entry("colour = \"red\""), "colour"),
        (entry("confirm = \"perhaps\""), "perhaps"),
        (cut.to_owned(), "cut off"),
        (good.replacen("The tool a.", "The tool b.", 1), "does not have the digest beside it"),
        (good.replacen("version = 1", "version = 2", 1), "newer bartizan"),
    ] {
        std::fs::write(stage.path("bartizan.lock"), &broken).expect("writable");
        for words in [&["diff", "files"][..], &["approve", "files", "--all", "--yes"], &["check"]] {
            let output = stage.output(words);
            let why = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert!(output.status.code().is_some_and(|code| code != 0), "{words:?} with {expected}");
            assert!(why.contains(expected), "{words:?}: {why}");
        }
        let mut client = stage.run("files");
        assert!(!client.leave().success(), "a gateway starts: {expected}");
        assert_eq!(lock_text(&stage), broken, "and nobody wrote over it");
    }
}

#[test]
fn a_lock_file_that_cannot_be_written_is_told_with_its_name() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.script("files", &Script::with_tools(["a", "b"]));
    let folder = stage.path("elsewhere");
    std::fs::create_dir(&folder).expect("a folder");
    let lock = folder.join("bartizan.lock");
    std::fs::create_dir(&lock).expect("a folder in the place of the file");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o500)).expect("read only");
    let output = stage.output(&["approve", "files", "--all", "--yes", "--lock", &lock.to_string_lossy()]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code != 0) && why.contains("elsewhere/bartizan.lock"), "{why}");
}

/// A tool that leads somewhere.
fn tool(name: &str, description: &str) -> Json {
    Json::of(
        &json!({"name": name, "description": description, "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}}),
    )
}

fn offer(tools: impl Iterator<Item = Json>) -> Offer {
    let mut offer = Offer::default();
    tools.for_each(|tool| offer.add(Kind::Tool, &tool));
    offer
}

fn approved(offer: &Offer) -> Lock {
    let mut lock = Lock::default();
    compare(&lock.clone(), "s", offer).iter().for_each(|change| change.accept(&mut lock, "s", change.effect()));
    lock
}

/// Long enough for a slow machine with other work, and far too short for anything quadratic.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn ten_thousand_tools_are_reviewed_in_bounded_time() {
    let begun = Instant::now();
    let number = 0..10_000;
    let old = approved(&offer(number.clone().map(|number| tool(&format!("tool_{number}"), &format!("Does thing {number}. API v1")))));
    let changed = offer(number.clone().map(|number| tool(&format!("tool_{number}"), &format!("Does thing {number}. API v2"))));
    let changes = compare(&old, "s", &changed);
    let found = groups(&changes);
    assert_eq!(found.iter().map(|group| (group.changes.len(), group.grade)).collect::<Vec<_>>(), [(10_000, Some(Grade::Steering))]);
    assert_eq!(changes.iter().map(|change| change.lines().len()).sum::<usize>(), 130_000);
    // All gone and as many that came: nobody compares each with each.
    let renamed = offer(number.map(|number| tool(&format!("other_{number}"), &format!("Does thing {number}. API v1"))));
    let changes = compare(&old, "s", &renamed);
    assert_eq!(changes.len(), 10_000);
    assert!(changes.iter().all(|change| matches!(change.what, What::Renamed(..))));
    let text = old.to_string();
    assert_eq!(Lock::read(&text).expect("a lock file").to_string(), text);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn huge_texts_and_deep_schemas_are_reviewed_in_bounded_time() {
    let begun = Instant::now();
    let words = |word: &str| format!("{word} ").repeat(200_000);
    let lines = |word: &str| (0..20_000).map(|number| format!("{word} {number}")).collect::<Vec<_>>();
    let deep = |depth: usize, leaf: Value| {
        (0..depth).fold(leaf, |schema, _| json!({"anyOf": [schema, {"type": "null"}], "properties": {"a": {}}}))
    };
    let long = |word: &str| json!({"name": "long", "description": words(word), "inputSchema": {}});
    let wide = |word: &str| json!({"name": "wide", "inputSchema": {"enum": lines(word)}});
    let nested = |leaf: Value| json!({"name": "deep", "inputSchema": deep(25, leaf)});
    let recursive = |more: &str| json!({"name": "self", "inputSchema": {"$ref": "#/$defs/a", "$defs": {"a": {"title": more, "properties": {"a": {"$ref": "#/$defs/a"}}}}}});
    let all = |tools: [Value; 4]| offer(tools.iter().map(|tool| Json::parse(tool.to_string().into()).expect("json")));
    let old = approved(&all([long("one"), wide("x"), nested(json!({"type": "string"})), recursive("A")]));
    let changes = compare(&old, "s", &all([long("two"), wide("y"), nested(json!({"type": "number"})), recursive("B")]));
    assert_eq!(changes.len(), 4);
    for change in &changes {
        assert!(!change.differences().is_empty() && !change.lines().is_empty(), "{}", change.name);
    }
    assert_eq!(Lock::read(&old.to_string()).expect("a lock file").to_string(), old.to_string());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// The budget of a call's pin check is 1 µs. A measurement, not a test: run it in release mode with
/// `cargo test --release -p bartizan-tests --test it -- --ignored --nocapture pin_check`.
#[test]
#[ignore = "a measurement"]
fn what_a_pin_check_costs() {
    let tools: Vec<Json> = (0..1000).map(|number| tool(&format!("tool_{number}"), "Does it.")).collect();
    let offer = Arc::new(offer(tools.iter().cloned()));
    let mut lock = Lock::default();
    for tool in &tools {
        lock.put("s", Pin::new(Definition::read(Kind::Tool, tool).expect("a tool"), Effect::Read));
    }
    let catalog = Catalog::new(Arc::new(lock), "__");
    let menus = [Menu { server: "s".into(), offer: Ok(offer.clone()) }];
    let caller = Caller::assertion("p", Means::LocalUser, bartizan_monitor::case::Reach::all());
    let message = corpora::call("tool_777", Json::empty_object());
    let rounds = 100_000_u32;
    let mut spent = Duration::ZERO;
    for id in 0..rounds {
        let Arrival::One(parsed) = envelope::parse(message.clone(), &Mirror::none(), None) else { panic!("a batch") };
        let parsed = parsed.expect("a call");
        let place = Place { naming: Naming::Plain, menus: &menus, owner: None };
        let facts = Facts {
            id: u64::from(id),
            now_ms: 0,
            session: "s".into(),
            transport: "stdio",
            peer: None,
            labels: Default::default(),
            stops: Default::default(),
            tally: Default::default(),
            agreed: Default::default(),
            once: bartizan_monitor::case::Once::default(),
            wires: None,
            cover: Default::default(),
        };
        let begun = Instant::now();
        let case = catalog.case(parsed, &caller, place, facts);
        spent += begun.elapsed();
        assert!(case.is_ok());
    }
    let begun = Instant::now();
    for _ in 0..rounds {
        let pin = catalog.lock().get("s", Kind::Tool, std::hint::black_box("tool_777")).expect("a pin");
        assert!(offer.get(Kind::Tool, &pin.name).is_some_and(|offered| offered.digest == pin.digest));
    }
    println!("Catalog::case: {:?} each; lookup and comparison alone: {:?} each", spent / rounds, begun.elapsed() / rounds);
}
