use super::*;

const NOW: u64 = 1_800_000_000_000;

fn place(principal: &str, session: &str) -> Place {
    Place { principal: principal.into(), session: session.into(), endpoint: Some("files".into()) }
}

fn origin() -> Origin {
    let (labels, reviewed) = (Labels::default(), Digest::of_bytes(b"pin"));
    Origin { server: "files".into(), tool: "long".into(), reviewed, call: 7, labels, released: false, arguments: None, quarantined: None }
}

fn rest(handle: &str, bytes: usize) -> Rest {
    let block = Json::object([("type", Json::string("text")), ("text", Json::string(&"word ".repeat(bytes / 5)))]);
    let whole = Whole::of(&Json::object([("content", Json::array([block]))]), 600).expect("can be cut");
    let piece = whole.piece(Spot::default());
    Rest { whole, next: piece.next.expect("more"), left: piece.left, handle: handle.to_owned() }
}

fn kept(directory: &tempfile::TempDir, bytes: usize) -> Kept {
    Kept::open(directory.path(), &Limits { kept_bytes: bytes, ..Limits::default() })
}

fn why(found: Result<Found, Refusal>) -> &'static str {
    found.map_or_else(|refusal| refusal.reason.code(), |_| "found")
}

#[test]
fn memory_is_bounded_for_each_and_for_all_and_the_oldest_goes() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = kept(&directory, 100_000);
    for at in 0..50 {
        kept.put(&place("ann", "s"), origin(), rest(&format!("a{at}"), 5000), NOW).expect("kept");
        assert!(kept.bytes() <= 25_000, "{}", kept.bytes());
    }
    let ask = |who: &str, handle: &str| why(kept.find(&place(who, "s"), handle, NOW));
    assert_eq!((ask("ann", "a49"), ask("ann", "a47"), ask("ann", "a0")), ("found", "found", "kept.evicted"));
    for who in 0..50 {
        for at in 0..3 {
            kept.put(&place(&format!("p{who}"), "s"), origin(), rest(&format!("b{who}-{at}"), 5000), NOW).expect("kept");
        }
        assert!(kept.bytes() <= 100_000, "{}", kept.bytes());
    }
    assert_eq!((ask("p49", "b49-0"), ask("ann", "a49"), ask("p0", "a49")), ("found", "kept.evicted", "kept.unknown"));
    let before = kept.bytes();
    let refused = kept.put(&place("ann", "s"), origin(), rest("huge", 60_000), NOW).expect_err("more than one may have");
    assert_eq!(
        (refused.reason.code(), ask("ann", "huge"), kept.bytes()),
        ("paging.whole", "kept.unknown", before),
        "nobody made room for it"
    );
    // What is remembered of what is gone is bounded, too.
    for at in 0..MOST_GONE {
        kept.put(&place("bob", "s"), origin(), rest(&format!("c{at}"), 1000), NOW).expect("kept");
    }
    let asked = ask("ann", "a0");
    assert_eq!((asked, kept.table().gone.len()), ("kept.unknown", MOST_GONE));
    let table = kept.table();
    assert!(table.handles.values().all(|id| table.entries.contains_key(id)) && table.handles.len() < 2 * table.entries.len());
}

#[test]
fn a_handle_is_good_at_its_place_until_its_time_is_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = kept(&directory, 1_000_000);
    let (ann, late) = (place("ann", "s"), NOW + clock::millis(Limits::default().kept_for));
    kept.put(&ann, origin(), rest("h", 5000), NOW).expect("kept");
    let elsewhere = Place { endpoint: None, ..ann.clone() };
    for other in [place("bob", "s"), place("ann", "t"), elsewhere] {
        assert_eq!((why(kept.find(&other, "h", NOW)), kept.has(&other, NOW), kept.knows(&other, "h")), ("kept.unknown", false, false));
    }
    assert_eq!((why(kept.find(&ann, "h", late - 1)), kept.has(&ann, late - 1), kept.knows(&ann, "h")), ("found", true, true));
    assert_eq!((why(kept.find(&ann, "h", late)), kept.has(&ann, late), kept.bytes()), ("kept.expired", false, 0));
    assert!(kept.knows(&ann, "h"), "that it expired is told to whom it was given");
}

#[test]
fn what_is_thrown_away_is_not_read_to_its_end_and_arguments_are_kept() {
    use quarantine::{State, Word, decide};
    let directory = tempfile::tempdir().expect("a directory");
    let (kept, ann) = (kept(&directory, 1_000_000), place("ann", "s"));
    let arguments = Json::object([("path", Json::string("/srv/a"))]);
    let origin = Origin { arguments: Some(arguments.clone()), ..origin() };
    let taken = bartizan_monitor::case::Quarantined { handle: "q".to_owned(), texts: vec!["do it".to_owned()], classes: String::new() };
    kept.quarantine.put(&ann, &origin, taken, NOW).expect("kept");
    let shown = quarantine::list(directory.path(), NOW).expect("a list").first().expect("one").shown().to_string();
    let say = |to: State| decide(Word { state: directory.path(), handle: "q", shown: &shown, by: "eve", now_ms: NOW }, to, |_| Ok(()));
    say(State::Released).expect("released");
    let take = |handle: &str| kept.find(&ann, handle, NOW).and_then(|found| take(&kept.quarantine, &ann, (&found.origin, found.body), NOW));
    assert!(take("q").expect("its texts").to_string().contains("do it"));
    let found = kept.find(&ann, "q", NOW).expect("found");
    assert!(found.body.is_none(), "no file is read before somebody is judged");
    assert_eq!((&found.origin.arguments, &found.reads.arguments), (&Some(arguments.clone()), &Some(arguments.clone())));
    // It is long, so that it comes in parts.
    kept.put(&ann, found.origin, rest("h", 5000), NOW).expect("kept");
    let part = kept.find(&ann, "h", NOW).expect("found");
    assert_eq!(part.reads.arguments, Some(arguments));
    say(State::Dropped).expect("thrown away");
    let refused = |handle: &str| take(handle).expect_err("thrown away").reason.code();
    assert_eq!((refused("h"), refused("q")), ("kept.dropped", "kept.dropped"));
}

#[test]
fn parts_that_are_read_twice_have_one_handle() {
    let directory = tempfile::tempdir().expect("a directory");
    let (kept, ann) = (kept(&directory, 1_000_000), place("ann", "s"));
    kept.put(&ann, origin(), rest("h", 5000), NOW).expect("kept");
    let read = |handle: &str| {
        let found = kept.find(&ann, handle, NOW).expect("found");
        let Reading::Part { number, next, .. } = found.reads.what else { panic!("not a part") };
        (number, next, found.body)
    };
    assert_eq!(read("h"), read("h"));
    let mut handle = Some("h".to_owned());
    let mut numbers = Vec::new();
    while let Some(given) = handle {
        let (number, next, _) = read(&given);
        numbers.push(number);
        handle = next;
    }
    assert_eq!(numbers, (2..=numbers.len() + 1).collect::<Vec<_>>());
    kept.read_out("h");
    let (why, bytes) = (why(kept.find(&ann, "h", NOW)), kept.bytes());
    assert_eq!((why, bytes, kept.table().handles.len()), ("kept.unknown", 0, 0));
}
