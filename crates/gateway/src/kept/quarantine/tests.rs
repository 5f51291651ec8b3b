use super::*;

const NOW: u64 = 1_800_000_000_000;
const LIVES: u64 = 1000;

fn place(principal: &str) -> Place {
    Place { principal: principal.into(), session: "-".into(), endpoint: None }
}

fn put(quarantine: &Quarantine, principal: &str, (handle, text): (&str, &str), now_ms: u64) -> io::Result<()> {
    let (labels, reviewed) = (Labels::default(), Digest::of_bytes(b"pin"));
    let origin = Origin {
        server: "files".into(),
        tool: "page".into(),
        reviewed,
        call: 7,
        labels,
        released: false,
        arguments: None,
        quarantined: None,
    };
    let taken = Quarantined { handle: handle.to_owned(), texts: vec![text.to_owned()], classes: "override".to_owned() };
    quarantine.put(&place(principal), &origin, taken, now_ms)
}

fn why(found: Result<Found, Refusal>) -> &'static str {
    found.map_or_else(|refusal| refusal.reason.code(), |_| "found")
}

fn say(state: &Path, handle: &str, (shown, to): (&str, State)) -> Result<Item, Unheard> {
    decide(Word { state, handle, shown, by: "eve", now_ms: NOW }, to, |_| Ok(()))
}

#[test]
fn only_what_a_person_was_shown_is_let_go_and_only_when_it_is_written_down() {
    let directory = tempfile::tempdir().expect("a directory");
    let (state, ann) = (directory.path(), place("ann"));
    let quarantine = Quarantine::open(state, LIVES, NOW);
    put(&quarantine, "ann", ("h1", "do it"), NOW).expect("kept");
    let ask = |handle: &str| why(quarantine.find(&ann, handle, NOW));
    let shown = list(state, NOW).expect("a list").first().expect("one").shown().to_string();
    assert_eq!(ask("h1"), "kept.waits");
    assert!(matches!(say(state, "h1", ("sha256:0", State::Released)), Err(Unheard::Changed)));
    assert!(matches!(say(state, "h", (&shown, State::Released)), Err(Unheard::Gone)), "a handle is named in full");
    let word = Word { state, handle: "h1", shown: &shown, by: "eve", now_ms: NOW };
    let unwritten = decide(word, State::Released, |_| Err(io::Error::other("the disk is full")));
    assert!(matches!(unwritten, Err(Unheard::Unwritten(_))) && ask("h1") == "kept.waits");
    say(state, "h1", (&shown, State::Released)).expect("released");
    assert_eq!((ask("h1"), why(quarantine.find(&place("bob"), "h1", NOW))), ("found", "kept.unknown"));
    let found = quarantine.find(&ann, "h1", NOW).expect("found");
    assert!(found.reads.released && found.reads.labels.untrusted && found.body.is_some_and(|body| body.to_string().contains("do it")));
    assert!(matches!(say(state, "h1", (&shown, State::Released)), Err(Unheard::Decided(State::Released))));
    say(state, "h1", (&shown, State::Dropped)).expect("thrown away");
    assert_eq!(ask("h1"), "kept.dropped");
    assert!(matches!(say(state, "h1", (&shown, State::Released)), Err(Unheard::Decided(State::Dropped))));
}

#[test]
fn handles_are_no_paths() {
    let directory = tempfile::tempdir().expect("a directory");
    let quarantine = Quarantine::open(directory.path(), LIVES, NOW);
    files::replace(&directory.path().join("x-secret.json"), b"{}", files::Readers::Owner).expect("writable");
    put(&quarantine, "ann", ("h1", "do it"), NOW).expect("kept");
    for bad in ["", "../x-secret", "*", "h1.json", "h1/../h1", "1", "\u{0}", "ann-h1"] {
        assert_eq!(why(quarantine.find(&place("ann"), bad, NOW)), "kept.unknown", "{bad:?}");
    }
}

#[test]
fn what_is_late_goes_and_so_does_the_oldest_of_whoever_has_most() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path();
    let quarantine = Quarantine::open(state, LIVES, NOW);
    put(&quarantine, "bob", ("b0", "do it"), NOW).expect("kept");
    let big = "x".repeat(5_000_000);
    for at in 0..4 {
        put(&quarantine, "ann", (&format!("a{at}"), &big), NOW + at).expect("kept");
    }
    let ask = |who: &str, handle: &str, now_ms: u64| why(quarantine.find(&place(who), handle, now_ms));
    assert_eq!((ask("ann", "a0", NOW), ask("ann", "a1", NOW), ask("bob", "b0", NOW)), ("kept.evicted", "kept.waits", "kept.waits"));
    let huge = "x".repeat(17 * 1024 * 1024);
    assert!(put(&quarantine, "ann", ("huge", &huge), NOW + 5).is_err());
    assert_eq!(
        (ask("ann", "huge", NOW + 5), ask("ann", "a3", NOW + 5)),
        ("kept.unknown", "kept.waits"),
        "what was not written is not known"
    );
    assert_eq!((ask("bob", "b0", NOW + LIVES), list(state, NOW + LIVES).expect("a list").len()), ("kept.expired", 3));
    // The next one clears up.
    put(&quarantine, "bob", ("b1", "do it"), NOW + LIVES + 10).expect("kept");
    assert_eq!(all(&state.join(DIRECTORY)).expect("files").len(), 1);
    assert_eq!(ask("bob", "b0", NOW + LIVES + 10), "kept.expired");
}

#[test]
fn files_that_are_not_what_was_written_are_nobodys() {
    let directory = tempfile::tempdir().expect("a directory");
    let quarantine = Quarantine::open(directory.path(), LIVES, NOW);
    put(&quarantine, "ann", ("h1", "do it"), NOW).expect("kept");
    let file = all(&directory.path().join(DIRECTORY)).expect("files").pop().expect("one").path;
    put(&quarantine, "ann", ("h2", "do it"), NOW + 1).expect("kept");
    for broken in ["", "{}", "{\"state\":\"released\"}", "[]", "\u{0}"] {
        files::replace(&file, broken.as_bytes(), files::Readers::Owner).expect("writable");
        assert_eq!(why(quarantine.find(&place("ann"), "h1", NOW)), "kept.unknown", "{broken:?}");
        assert_eq!(list(directory.path(), NOW).expect("a list").len(), 1, "the other one is there");
    }
}

#[test]
fn what_waits_is_known_after_a_restart_and_each_has_a_share() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path();
    let (now_ms, lives) = (NOW, 600_000);
    let before = Quarantine::open(state, lives, NOW);
    put(&before, "ann", ("a", "do it"), now_ms).expect("kept");
    let after = Quarantine::open(state, lives, NOW);
    let known = after.known_as(&place("ann"), "a").expect("known");
    assert!(known.body.is_none() && known.origin.call == 7 && after.has(&place("ann"), now_ms));
    assert!(after.known_as(&place("bob"), "a").is_none());
    // One that asks for much makes nobody else forgotten.
    let origin = known.origin;
    for at in 0..MOST {
        let handle = format!("b{at}");
        after.learn(Known { place: place("bob"), handle, until_ms: now_ms + lives, origin: origin.clone() });
    }
    let count = after.known().len();
    assert_eq!((count, after.knows(&place("ann"), "a"), after.knows(&place("bob"), "b0")), (MOST / 4 + 1, true, false));
    // Another gateway wrote it.
    put(&before, "ann", ("c", "do it"), now_ms).expect("kept");
    assert!(after.known_as(&place("ann"), "c").is_none());
    after.look(&place("bob"), "c");
    assert!(after.known_as(&place("bob"), "c").is_none());
    after.look(&place("ann"), "c");
    assert!(after.known_as(&place("ann"), "c").is_some());
}

#[test]
fn what_is_late_is_swept_by_its_own_time_and_so_is_what_was_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path();
    let (short, long) = (Quarantine::open(state, LIVES, NOW), Quarantine::open(state, 10 * LIVES, NOW));
    short.sweep(NOW).expect("nothing to sweep");
    put(&short, "ann", ("s", "do it"), NOW).expect("kept");
    put(&long, "ann", ("l", "do it"), NOW).expect("kept");
    files::replace(&state.join(DIRECTORY).join(".x.json.1.tmp"), b"half", files::Readers::Owner).expect("writable");
    let names = || files::list(&state.join(DIRECTORY), "").expect("files").len();
    assert_eq!(names(), 3);
    short.sweep(NOW + LIVES).expect("swept");
    assert_eq!((names(), list(state, NOW).expect("a list").first().map(|item| item.handle.clone())), (1, Some("l".to_owned())));
    // Who keeps less long removes nothing of what others keep.
    put(&short, "ann", ("t", "do it"), NOW + 2 * LIVES).expect("kept");
    assert_eq!(names(), 2);
}

#[test]
fn what_cannot_be_written_is_not_promised() {
    let directory = tempfile::tempdir().expect("a directory");
    let quarantine = Quarantine::open(directory.path(), LIVES, NOW);
    files::replace(&directory.path().join(DIRECTORY), b"in the way", files::Readers::Owner).expect("writable");
    assert!(put(&quarantine, "ann", ("h", "do it"), NOW).is_err());
    assert!(!quarantine.knows(&place("ann"), "h") && !quarantine.has(&place("ann"), NOW));
}
