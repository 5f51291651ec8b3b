use super::*;
use crate::config::files;
use bartizan_monitor::wire::version::Era;
use bytes::Bytes;

/// A call that writes, by number.
fn deed(call: u64) -> Deed {
    Deed {
        key: Digest::of_bytes(b"key"),
        print: Digest::of_bytes(b"print"),
        named: false,
        repeats: Repeats::Retry,
        who: "token:ci".into(),
        target: "files/write".into(),
        call,
        session: "s1".into(),
        request: call.to_string(),
        era: Era::Legacy,
        now_ms: clock::now_ms(),
    }
}

fn named(call: u64) -> Deed {
    Deed { named: true, ..deed(call) }
}

fn elsewhere(call: u64) -> Deed {
    Deed { session: "s2".into(), ..deed(call) }
}

fn answer(text: &str) -> Json {
    Json::parse(Bytes::from(format!("{{\"content\":\"{text}\"}}"))).expect("json")
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("dir"))
    }

    fn open(&self) -> Arc<Record> {
        Record::open(&self.0.path().join("state"), Config { wait_seconds: 1, ..Config::default() })
    }

    /// What a kill leaves: the files, and nobody who holds them.
    fn killed(&self, record: Arc<Record>) {
        let copies: Vec<_> = files::list(&self.state().join("once"), ".jsonl").expect("list");
        let saved: Vec<_> = copies.iter().map(|path| (path.clone(), files::read(path, 1 << 20).expect("read"))).collect();
        drop(record);
        for (path, content) in saved {
            files::replace(&path, content.as_bytes(), files::Readers::Owner).expect("written");
        }
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }
}

fn claim(record: &Record, deed: Deed) -> (Before, Option<Arc<dyn Claim>>) {
    record.claim(deed)
}

async fn leave(record: &Record, deed: Deed) -> Arc<dyn Claim> {
    let call = deed.call;
    let (before, claim) = claim(record, deed);
    assert_eq!(before, Before::Claimed);
    record.recorded(call).await.expect("on disk");
    let claim = claim.expect("claimed");
    claim.leaves();
    claim
}

#[tokio::test]
async fn what_is_done_answers_a_retry_and_what_a_client_means_twice_is_done_twice() {
    let place = Place::new();
    let record = place.open();
    leave(&record, deed(1)).await.answered(Answered::Done, &answer("one"));
    let (before, again) = claim(&record, elsewhere(2));
    assert_eq!((before, again.expect("answered").replay()), (Before::Claimed, Some((1, answer("one")))));
    let same = Deed { request: "1".into(), ..deed(3) };
    assert_eq!(claim(&record, same).1.expect("answered").replay(), Some((1, answer("one"))), "the same request again");
    let modern = claim(&record, Deed { era: Era::Modern, ..elsewhere(33) }).1.expect("claimed");
    assert!(modern.replay().is_none(), "another era is no retry");
    modern.leaves();
    modern.answered(Answered::Done, &answer("one"));
    drop(modern);
    leave(&record, deed(34)).await.answered(Answered::Done, &answer("one"));
    let window = Deed { repeats: Repeats::Window, ..deed(4) };
    assert!(claim(&record, window).1.expect("answered").replay().is_some());
    let meant = claim(&record, deed(5)).1.expect("claimed");
    assert!(meant.replay().is_none(), "another request of the session is another call");
    assert!(matches!(claim(&record, elsewhere(6)), (Before::Running(5), None)));
    drop(meant);
    assert!(claim(&record, deed(7)).1.expect("claimed").replay().is_none(), "it never left");
}

#[tokio::test]
async fn a_key_is_good_for_one_call_and_a_day() {
    let place = Place::new();
    let record = place.open();
    leave(&record, named(1)).await.answered(Answered::Done, &answer("one"));
    assert!(claim(&record, named(2)).1.expect("answered").replay().is_some(), "also within the session");
    let other = Deed { print: Digest::of_bytes(b"other"), ..named(3) };
    assert!(matches!(claim(&record, other), (Before::Other(1), None)));
    assert!(matches!(claim(&record, Deed { era: Era::Modern, ..named(4) }), (Before::Unkept(1), None)));
    let later = |hours: u64| Deed { now_ms: clock::now_ms() + hours * 3_600_000, ..named(5) };
    assert!(claim(&record, later(23)).1.expect("answered").replay().is_some());
    assert!(claim(&record, later(25)).1.expect("claimed").replay().is_none());
}

#[tokio::test]
async fn an_error_a_question_and_a_server_that_was_not_there_leave_nothing_behind() {
    let place = Place::new();
    let record = place.open();
    let outcome = |text: &str| bartizan_monitor::wire::envelope::Outcome::Result(Json::parse(Bytes::from(text.to_owned())).expect("json"));
    assert_eq!(Answered::of(&outcome(r#"{"content":[],"isError":true}"#)), Answered::Not);
    assert_eq!(Answered::of(&outcome(r#"{"resultType":"input_required"}"#)), Answered::Not);
    assert_eq!(Answered::of(&outcome(r#"{"content":[],"isError":false}"#)), Answered::Done);
    leave(&record, deed(1)).await.answered(Answered::Not, &answer("error"));
    let spared = leave(&record, deed(2)).await;
    spared.spared();
    drop(spared);
    leave(&record, deed(3)).await.answered(Answered::Done, &answer("at last"));
    assert!(!record.is_busy());
    place.killed(record);
    let record = place.open();
    assert!(claim(&record, elsewhere(4)).1.expect("answered").replay().is_some());
}

#[tokio::test]
async fn what_went_out_and_was_not_answered_is_ambiguous_until_a_person_says_otherwise() {
    let place = Place::new();
    let record = place.open();
    drop(leave(&record, deed(1)).await);
    assert!(matches!(claim(&record, deed(2)), (Before::Ambiguous(1), None)));
    drop(record);
    let record = place.open();
    assert!(matches!(claim(&record, elsewhere(3)), (Before::Ambiguous(1), None)), "a restart clears nothing");
    let all = list(&place.state()).expect("read");
    assert_eq!(all.iter().map(|shown| (&*shown.call, &*shown.tool)).collect::<Vec<_>>(), [("0000000000000001", "files/write")]);
    assert!(!forget(&place.state(), "0000000000000002", clock::now_ms()).expect("read"));
    assert!(forget(&place.state(), "0000000000000001", clock::now_ms()).expect("written"));
    record.look();
    let again = claim(&record, deed(4));
    assert!(again.1.expect("claimed").replay().is_none());
    drop(record);
    assert!(list(&place.state()).expect("read").is_empty());
    assert!(claim(&place.open(), deed(5)).1.is_some(), "and stays so");
}

#[tokio::test]
async fn a_kill_makes_ambiguous_what_ran_and_nothing_else() {
    let place = Place::new();
    let record = place.open();
    let at = |at: u64, deed: Deed| Deed { key: Digest::of_bytes(&at.to_le_bytes()), ..deed };
    let running = leave(&record, at(1, deed(1))).await;
    leave(&record, at(2, named(2))).await.answered(Answered::Done, &answer("two"));
    let (_, claimed) = claim(&record, at(3, deed(3)));
    place.killed(record);
    drop((running, claimed));
    let record = place.open();
    assert!(matches!(claim(&record, at(1, deed(11))), (Before::Ambiguous(1), None)));
    assert_eq!(claim(&record, at(2, named(12))).1.expect("answered").replay(), Some((2, answer("two"))));
    assert!(claim(&record, at(3, deed(13))).1.expect("claimed").replay().is_none(), "it was never on disk, so it never left");
    assert_eq!(files::list(&place.state().join("once"), ".jsonl").expect("list").len(), 1, "one file took over the others");
}

#[test]
fn a_call_that_is_claimed_and_never_made_leaves_no_line_not_even_when_the_file_is_written_anew() {
    let place = Place::new();
    let record = place.open();
    let written = |record: &Record| record.book().file.as_ref().map(|file| file.written()).expect("a file");
    drop(claim(&record, deed(1)));
    assert_eq!(written(&record), 0);
    assert!(!record.is_busy(), "nobody waits for it");
    let held = claim(&record, deed(2));
    {
        let mut book = record.book();
        let Book { table, file } = &mut *book;
        file.as_mut().expect("a file").write_all(table).expect("written");
    }
    place.killed(record);
    drop(held);
    assert!(claim(&place.open(), elsewhere(3)).1.expect("claimed").replay().is_none(), "nothing is ambiguous");
}

#[tokio::test]
async fn what_cannot_be_read_stops_what_changes_something() {
    let place = Place::new();
    drop(leave(&place.open(), deed(1)).await);
    let path = files::list(&place.state().join("once"), ".jsonl").expect("list").pop().expect("a file");
    let text = files::read(&path, 1 << 20).expect("read");
    let altered = text.replacen("files/write", "files/wipes", 1);
    files::replace(&path, altered.as_bytes(), files::Readers::Owner).expect("written");
    // The first line is tied to the second one.
    assert!(matches!(claim(&place.open(), deed(2)), (Before::Lost, None)));
    files::replace(&path, text.as_bytes(), files::Readers::Owner).expect("written");
    let cut = text.get(..text.len() - 9).expect("longer");
    files::replace(&path, cut.as_bytes(), files::Readers::Owner).expect("written");
    assert!(matches!(claim(&place.open(), deed(3)), (Before::Ambiguous(1), None)), "a last line that was cut off is none");
}

#[tokio::test]
async fn what_runs_next_door_runs() {
    let place = Place::new();
    let one = place.open();
    let (first, second) = (leave(&one, deed(1)).await, Deed { key: Digest::of_bytes(b"2"), ..deed(2) });
    let second = leave(&one, second).await;
    let other = place.open();
    let again = Deed { key: Digest::of_bytes(b"2"), ..elsewhere(4) };
    assert!(matches!(claim(&other, elsewhere(3)), (Before::Running(1), None)));
    first.answered(Answered::Done, &answer("one"));
    drop(second);
    other.look();
    assert_eq!(claim(&other, elsewhere(5)).1.expect("answered").replay(), Some((1, answer("one"))));
    assert!(matches!(claim(&other, again), (Before::Ambiguous(2), None)));
}

#[tokio::test]
async fn who_waits_gets_its_turn_in_order_and_not_for_ever() {
    let place = Place::new();
    let record = place.open();
    let first = leave(&record, deed(1)).await;
    let key = deed(1).key;
    let (order, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let waiters: Vec<_> = (0..3)
        .map(|waiter| {
            let (record, order, ended) = (record.clone(), order.clone(), ended.clone());
            tokio::spawn(async move {
                let turn = record.turn(key).await;
                assert!(ended.load(Ordering::Acquire), "it waited");
                order.lock().expect("whole").push(waiter);
                drop(turn);
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    ended.store(true, Ordering::Release);
    first.answered(Answered::Done, &answer("one"));
    for waiter in waiters {
        waiter.await.expect("no panic");
    }
    assert_eq!(order.lock().expect("whole").len(), 3);
    let _running = leave(&record, deed(9)).await;
    assert!(!record.turn(key).await.came(), "it still runs");
}

#[tokio::test]
async fn memory_and_disk_are_bounded_and_nothing_ambiguous_makes_room() {
    let place = Place::new();
    let record = place.open();
    let at = |at: u64, deed: Deed| Deed { key: Digest::of_bytes(&at.to_le_bytes()), ..deed };
    let large = Json::string(&"x".repeat(65 * 1024));
    leave(&record, at(1, named(1))).await.answered(Answered::Done, &large);
    assert!(matches!(claim(&record, at(1, named(2))), (Before::Unkept(1), None)));
    let kept = Json::string(&"x".repeat(60 * 1024));
    for call in 10..40 {
        let claim = claim(&record, at(call, named(call))).1.expect("claimed");
        claim.leaves();
        claim.answered(Answered::Done, &kept);
    }
    assert!(matches!(claim(&record, at(10, named(1000))), (Before::Unkept(10), None)), "the oldest answers went");
    assert!(claim(&record, at(39, named(1000))).1.expect("answered").replay().is_some());
    for call in 2000..2512 {
        let claim = claim(&record, at(call, deed(call))).1.expect("claimed");
        claim.leaves();
    }
    assert!(matches!(claim(&record, at(4000, deed(4000))), (Before::Full, None)));
    let other = Deed { who: "token:other".into(), ..at(4001, deed(4001)) };
    assert!(claim(&record, other).1.is_some(), "others have room");
    assert!(matches!(claim(&record, at(2000, deed(5000))), (Before::Ambiguous(2000), None)));
    let grown = |record: &Record| record.book().file.as_ref().map(|file| file.written()).unwrap_or_default();
    let before = grown(&record);
    for call in 10_000..10_080 {
        let claim = claim(&record, Deed { who: "token:third".into(), ..at(call, named(call)) }).1.expect("claimed");
        claim.leaves();
        claim.answered(Answered::Done, &kept);
        if call % 10 == 0 {
            record.look();
        }
    }
    assert!(grown(&record) < before + 3 * 1024 * 1024, "it is written anew: {} then {}", before, grown(&record));
    assert_eq!(files::list(&place.state().join("once"), ".jsonl").expect("list").len(), 1);
    drop(record);
    assert!(matches!(claim(&place.open(), at(2000, deed(5001))), (Before::Ambiguous(2000), None)));
}

/// Prints what it costs to recognise a call that was not made before, and to give it back, without what is on disk:
/// `cargo test --release -p bartizan-gateway --lib -- --ignored --nocapture measured`.
#[test]
#[ignore = "a measurement, for release builds"]
fn measured() {
    const TIMES: u32 = 20_000;
    let place = Place::new();
    let record = place.open();
    let own =
        |call: u32| Deed { key: Digest::of_bytes(&call.to_le_bytes()), who: format!("token:{}", call % 100).into(), ..deed(call.into()) };
    let deeds: Vec<Deed> = (0..TIMES).map(own).collect();
    let mut claims = Vec::with_capacity(deeds.len());
    let begun = clock::Stopwatch::start();
    for deed in deeds {
        let (before, claim) = record.claim(deed);
        assert_eq!(before, Before::Claimed);
        claims.push(claim);
    }
    let claimed = begun.elapsed();
    drop(claims);
    let each = |taken: Duration| taken.as_secs_f64() * 1e6 / f64::from(TIMES);
    println!("a call that is claimed: {:.2} µs; given back: {:.2} µs", each(claimed), each(begun.elapsed().saturating_sub(claimed)));
}
