use super::*;
use bartizan_monitor::journal::call_name;
use bartizan_monitor::reason::{Refusal, gateway::SERVE_BUSY};
use std::io::Write as _;

fn decision(call: u64) -> Json {
    Json::object([("event", Json::string("decided")), ("call", Json::string(&call_name(call)))])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().expect("runtime")
}

fn texts(path: &Path) -> Vec<String> {
    files::read(path, 1 << 20).expect("journal").lines().map(str::to_owned).collect()
}

fn only(state: &Path) -> PathBuf {
    let mut files = read::all(state).expect("files");
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn a_call_leaves_a_chain_that_verifies() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("dir");
    let journal = Journal::open(dir.path()).expect("journal");
    let ticket = journal.ticket();
    let made = runtime().block_on(journal.record(&decision(ticket.id()), Durability::OnDisk));
    assert!(made.is_ok());
    ticket.refuse(&Refusal::new(SERVE_BUSY, "x"));
    assert!(read::is_live(&only(dir.path())).expect("live"));
    journal.finish();
    drop(journal);
    let path = only(dir.path());
    let verified = read::verify(&path, &[]).expect("readable");
    assert_eq!((verified.broken, verified.ended), (None, true));
    let heads = [verified.chain.head(), Digest::of_bytes(b"elsewhere")];
    assert_eq!(read::verify(&path, &heads).expect("readable").met, [heads[0]]);
    assert_eq!((verified.summary.lines, verified.summary.closed, verified.summary.open.len()), (4, 1, 0));
    let lines = texts(&path);
    assert!(lines[0].contains(r#""event":"begin","pid":"#) && lines[3].ends_with(r#","event":"end"}"#), "{lines:#?}");
    assert!(lines[2].contains("\"us\":"), "{lines:#?}");
    assert_eq!(path.metadata().expect("file").permissions().mode() & 0o777, 0o600);
    assert!(!read::is_live(&path).expect("over"));
}

#[test]
fn concurrent_calls_are_written_whole_and_once() {
    let dir = tempfile::tempdir().expect("dir");
    let journal = Journal::open(dir.path()).expect("journal");
    let runtime = runtime();
    let calls: Vec<_> = (0..64_u64)
        .map(|turn| {
            let journal = journal.clone();
            runtime.spawn(async move {
                for _ in 0..20 {
                    let ticket = journal.ticket();
                    let durability = if turn % 2 == 0 { Durability::OnDisk } else { Durability::Written };
                    journal.record(&decision(ticket.id()), durability).await.expect("recorded");
                    drop(ticket);
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for call in calls {
            call.await.expect("call")
        }
    });
    drop((runtime, journal));
    let verified = read::verify(&only(dir.path()), &[]).expect("readable");
    assert_eq!((verified.broken, verified.summary.closed, verified.summary.open.len()), (None, 1280, 0));
}

#[test]
fn calls_that_wait_for_the_disk_share_the_wait() {
    let dir = tempfile::tempdir().expect("dir");
    let journal = Journal::open(dir.path()).expect("journal");
    runtime().block_on(async {
        let all = (0..200).map(|call| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.record(&decision(call), Durability::OnDisk).await.map(|_| ()) })
        });
        for one in all.collect::<Vec<_>>() {
            assert_eq!(one.await.expect("task"), Ok(()));
        }
    });
    assert_eq!(read::verify(&only(dir.path()), &[]).expect("readable").summary.open.len(), 200);
}

/// A file whose writes fail, as those of a full disk do.
fn full() -> File {
    files::open_append(Path::new("/dev/full")).expect("/dev/full")
}

#[test]
fn no_record_no_call() {
    let journal = Journal::on(full()).expect("journal");
    let runtime = runtime();
    let ticket = journal.ticket();
    for _ in 0..2 {
        let error = runtime.block_on(journal.record(&decision(1), Durability::Written)).expect_err("full");
        assert!(error.contains("cannot be written"), "{error}");
        assert!(runtime.block_on(journal.record(&decision(1), Durability::OnDisk)).is_err());
    }
    drop(ticket);
    journal.note(&Json::empty_object());
    journal.finish();
}

#[test]
fn a_disk_that_fails_later_ends_it_too() {
    // A pipe takes writes and refuses to be synchronised.
    let (_reader, writer) = io::pipe().expect("pipe");
    let journal = Journal::on(File::from(std::os::fd::OwnedFd::from(writer))).expect("journal");
    let runtime = runtime();
    assert!(runtime.block_on(journal.record(&decision(1), Durability::Written)).is_ok());
    assert!(runtime.block_on(journal.record(&decision(2), Durability::OnDisk)).is_err());
    assert!(runtime.block_on(journal.record(&decision(3), Durability::Written)).is_err(), "it stays dead");
    assert!(runtime.block_on(journal.record(&decision(4), Durability::OnDisk)).is_err());
}

#[test]
fn a_part_of_a_line_is_a_failure() {
    // A pipe with little room that nobody reads takes a part.
    let (_reader, writer) = io::pipe().expect("pipe");
    let flags = rustix::fs::fcntl_getfl(&writer).expect("flags");
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("nonblocking");
    let journal = Journal::on(File::from(std::os::fd::OwnedFd::from(writer))).expect("journal");
    let large = Json::object([("event", Json::string("decided")), ("call", Json::string(&"x".repeat(1 << 20)))]);
    let runtime = runtime();
    let error = runtime.block_on(journal.record(&large, Durability::Written)).expect_err("too large");
    assert!(error.contains("bytes were written"), "{error}");
    assert!(runtime.block_on(journal.record(&decision(1), Durability::Written)).is_err());
}

/// Leaves a file behind as a killed process does: `calls` decided, none closed, no end.
fn killed(state: &Path, calls: u64) -> PathBuf {
    let journal = Journal::open(state).expect("journal");
    let runtime = runtime();
    for call in 0..calls {
        runtime.block_on(journal.record(&decision(call), Durability::Written)).expect("recorded");
    }
    drop(journal);
    only(state)
}

#[test]
fn calls_of_a_killed_process_are_closed_as_interrupted() {
    let dir = tempfile::tempdir().expect("dir");
    let path = killed(dir.path(), 2);
    let journal = Journal::open(dir.path()).expect("next");
    let verified = read::verify(&path, &[]).expect("readable");
    assert_eq!((verified.broken, verified.summary.closed, verified.summary.open.len()), (None, 2, 0));
    let lines = texts(&path);
    assert!(lines[3].contains(r#""outcome":"interrupted""#) && lines[5].contains(r#""event":"end""#), "{lines:#?}");
    drop(journal);
    let before = texts(&path);
    drop(Journal::open(dir.path()).expect("third"));
    assert_eq!(texts(&path), before, "what was ended is left alone");
}

#[test]
fn a_line_that_was_cut_off_goes() {
    let dir = tempfile::tempdir().expect("dir");
    let path = killed(dir.path(), 1);
    let mut file = files::open_append(&path).expect("open");
    file.write_all(b"{\"seq\":3,\"pre").expect("torn");
    drop(file);
    assert!(matches!(read::verify(&path, &[]).expect("readable").tail, Tail::Cut(_)));
    drop(Journal::open(dir.path()).expect("next"));
    let verified = read::verify(&path, &[]).expect("readable");
    assert_eq!((verified.broken, verified.tail, verified.summary.open.len()), (None, Tail::Whole, 0));
}

use read::Tail;

#[test]
fn a_file_that_does_not_verify_is_left_as_it_is() {
    let dir = tempfile::tempdir().expect("dir");
    let path = killed(dir.path(), 2);
    let bent = files::read(&path, 1 << 20).expect("journal").replacen("decided", "decidef", 1);
    files::replace(&path, bent.as_bytes(), files::Readers::Owner).expect("bent");
    drop(Journal::open(dir.path()).expect("next"));
    assert_eq!(files::read(&path, 1 << 20).expect("journal"), bent);
    assert_eq!(read::verify(&path, &[]).expect("readable").broken.expect("broken").line, 3);
}

#[test]
fn files_of_living_processes_are_left_alone() {
    let dir = tempfile::tempdir().expect("dir");
    let first = Journal::open(dir.path()).expect("first");
    let ticket = first.ticket();
    runtime().block_on(first.record(&decision(ticket.id()), Durability::Written)).expect("recorded");
    let second = Journal::open(dir.path()).expect("second");
    assert_eq!(read::all(dir.path()).expect("files").len(), 2, "one file each, in the same process too");
    drop((second, ticket));
    for path in read::all(dir.path()).expect("files") {
        assert_eq!(read::verify(&path, &[]).expect("readable").broken, None);
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error() {
    let dir = tempfile::tempdir().expect("dir");
    files::replace(&dir.path().join("journal"), b"", files::Readers::Owner).expect("file");
    assert!(Journal::open(dir.path()).expect_err("a file").to_string().contains("cannot be used"));
}

#[test]
fn numbers_of_calls_differ() {
    let journal = Journal::on(full()).expect("journal");
    let ids: std::collections::BTreeSet<u64> = (0..100).map(|_| journal.ticket().id()).collect();
    assert_eq!(ids.len(), 100);
}
