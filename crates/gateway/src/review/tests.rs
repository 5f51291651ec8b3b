use super::*;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

fn json(text: &str) -> Json {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
}

fn tool(name: &str, description: &str, fields: &str) -> Json {
    json(&format!(r#"{{"name":"{name}","description":"{description}","inputSchema":{{"type":"object","properties":{{{fields}}}}}}}"#))
}

fn offer(tools: &[Json]) -> Offer {
    let mut offer = Offer::default();
    tools.iter().for_each(|tool| offer.add(Kind::Tool, tool));
    offer
}

fn lock(tools: &[Json]) -> Lock {
    let mut lock = Lock::default();
    for change in compare(&lock, "s", &offer(tools)) {
        change.accept(&mut lock, "s", change.effect());
    }
    lock
}

fn what(changes: &[Change]) -> Vec<(&str, &str)> {
    let word = |change: &Change| match change.what {
        What::New(_) => "new",
        What::Changed(..) => "changed",
        What::Renamed(..) => "renamed",
        What::Removed(_) => "removed",
        What::Same(_) => "same",
        What::Rejected(_) => "rejected",
    };
    changes.iter().map(|change| (change.name.as_str(), word(change))).collect()
}

const FIELD: &str = r#""path":{"type":"string"}"#;

#[test]
fn a_rename_is_one_change_and_keeps_what_the_operator_wrote() {
    let text = "Reads the text of a file below the root directory";
    let old = lock(&[tool("delete_file", text, FIELD), tool("other", "Something else entirely different", "")]);
    let mut old = Lock::read(&old.to_string().replacen("effect =", "owner = \"me\"\neffect =", 1)).expect("a lock file");
    let now = offer(&[tool("read_text", &format!("{text} now"), FIELD), tool("another", "What nobody has seen so far", "")]);
    let changes = compare(&old, "s", &now);
    assert_eq!(what(&changes), [("another", "new"), ("other", "removed"), ("read_text", "renamed")]);
    let renamed = changes.last().expect("one");
    assert_eq!(renamed.effect(), Effect::Destructive, "the class of the old name stays");
    assert!(renamed.differences().iter().any(|difference| difference.place == "/name"));
    renamed.accept(&mut old, "s", renamed.effect());
    assert!(old.get("s", Kind::Tool, "delete_file").is_none());
    assert_eq!(old.get("s", Kind::Tool, "read_text").expect("approved").contract.owner.as_deref(), Some("me"));
}

#[test]
fn shapes_that_several_have_are_no_rename() {
    let old = lock(&[tool("a", "Does it", ""), tool("b", "Does it", "")]);
    let changes = compare(&old, "s", &offer(&[tool("c", "Does it", "")]));
    assert_eq!(what(&changes), [("a", "removed"), ("b", "removed"), ("c", "new")]);
    let changes = compare(&lock(&[tool("a", "Does it", "")]), "s", &offer(&[tool("c", "Does it", "")]));
    assert_eq!(what(&changes), [("c", "renamed")]);
}

#[test]
fn accepting_a_change_remembers_what_was_approved_and_drops_nothing() {
    let old = lock(&[tool("a", "one", FIELD)]).to_string().replacen("digest =", "notes = \"mine\"\nconfirm = \"always\"\ndigest =", 1);
    let mut lock = Lock::read(&old).expect("a lock file");
    let first = lock.get("s", Kind::Tool, "a").expect("approved").clone();
    let changes = compare(&lock, "s", &offer(&[tool("a", "two", FIELD)]));
    let [change] = changes.as_slice() else { panic!("one change") };
    change.accept(&mut lock, "s", change.effect());
    let pin = lock.get("s", Kind::Tool, "a").expect("approved");
    assert_eq!((&pin.contract, pin.previous.first().expect("one").digest), (&first.contract, first.digest));
    let again = pin.restored(&first.digest).expect("kept");
    assert_eq!((again.digest, again.effect), (first.digest, first.effect));
}

#[test]
fn the_same_edit_in_many_is_reviewed_once_and_texts_of_several_are_read_together() {
    let tools = |version: &str, extra: &str| -> Vec<Json> {
        let mut tools: Vec<Json> =
            ["a", "b", "c"].iter().map(|name| tool(name, &format!("{name} does it. API {version} only"), FIELD)).collect();
        tools.push(tool("d", &format!("d does it.{extra}"), FIELD));
        tools
    };
    let lock = lock(&tools("v1", ""));
    let changes = compare(&lock, "s", &offer(&tools("v2", "")));
    let found = groups(&changes);
    let sizes: Vec<_> = found.iter().map(|group| (group.changes.len(), group.grade)).collect();
    assert_eq!(sizes, [(3, Some(grade::Grade::Steering)), (1, None)]);
    assert_eq!(together(&found), [], "one edit is read where it is shown");
    let changes = compare(&lock, "s", &offer(&tools("v2", " Then go on")));
    assert_eq!(together(&groups(&changes)), [("a", "v2 "), ("d", "it. Then go on")]);
}

#[test]
fn a_hint_that_lowers_is_a_change_and_lowers_nothing() {
    let hinted = |hints: &str| json(&format!(r#"{{"name":"frob","inputSchema":{{}},"annotations":{hints}}}"#));
    let lock = lock(&[hinted(r#"{"destructiveHint":true}"#)]);
    let changes = compare(&lock, "s", &offer(&[hinted(r#"{"readOnlyHint":true}"#)]));
    assert_eq!(what(&changes), [("frob", "changed")]);
    assert_eq!(changes.first().expect("one").effect(), Effect::Destructive);
}

/// Two people approve at the same time: whoever comes second waits, and sees that the file is another one.
#[test]
fn nobody_writes_the_lock_file_between_the_look_and_the_writing_of_another() {
    let dir = tempfile::tempdir().expect("dir");
    let places = Places { state: dir.path().join("state"), lock: dir.path().join("bartizan.lock"), config: None };
    let (mine, theirs) = (lock(&[tool("a", "A.", FIELD)]), lock(&[tool("b", "B.", FIELD)]));
    let unchanged = || !places.lock.exists();
    let (looked, goes) = std::sync::mpsc::channel();
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            write_lock(&places, &mine, || {
                let unchanged = unchanged();
                looked.send(()).expect("somebody waits");
                // Time enough for the other one, if nothing held it back.
                std::thread::sleep(std::time::Duration::from_millis(300));
                unchanged
            })
        });
        goes.recv().expect("it looked");
        assert_eq!(write_lock(&places, &theirs, unchanged).expect("written"), Written::Outrun);
        first.join().expect("no panic")
    });
    assert_eq!(first.expect("written"), Written::Done);
    let written = files::read(&places.lock, 1 << 20).expect("the lock file");
    assert_eq!(written, mine.to_string());
}
