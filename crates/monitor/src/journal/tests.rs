use super::*;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<String>>>);

impl Ledger for Book {
    fn close(&self, members: &Json) {
        self.0.lock().expect("book").push(members.to_string());
    }
}

fn lines() -> Vec<Vec<u8>> {
    let mut chain = Chain::default();
    let entry = |event: &str, call: &str| {
        Json::object([("event", Json::string(event)), ("call", Json::string(call)), ("outcome", Json::string("refused"))])
    };
    ["a", "b"]
        .into_iter()
        .flat_map(|call| [entry("decided", call), entry("closed", call)])
        .map(|members| chain.append(1, Some(2), &members))
        .collect()
}

fn verify(lines: &[Vec<u8>]) -> Result<Summary, Break> {
    let mut verifier = Verifier::default();
    lines.iter().try_for_each(|line| verifier.line(line))?;
    Ok(verifier.summary())
}

#[test]
fn a_whole_chain_verifies() {
    let summary = verify(&lines()).expect("whole");
    assert_eq!(summary, Summary { lines: 4, closed: 2, refused: 2, open: vec![] });
    assert_eq!(verify(lines().get(..3).expect("three")).expect("open").open, ["b"]);
}

#[test]
fn every_changed_byte_shows() {
    let whole = lines();
    // The last line is covered by the head, which is noted elsewhere.
    for index in 0..whole.len() - 1 {
        for at in 0..whole[index].len() {
            let mut bent = whole.clone();
            bent[index][at] ^= 1;
            assert!(verify(&bent).is_err(), "line {index} byte {at}");
        }
    }
}

#[test]
fn removed_and_swapped_lines_show() {
    for index in 0..3 {
        let mut cut = lines();
        cut.remove(index);
        assert!(verify(&cut).is_err());
    }
    let mut swapped = lines();
    swapped.swap(1, 2);
    assert!(verify(&swapped).is_err());
}

#[test]
fn closing_twice_shows() {
    let mut chain = Chain::default();
    let closed = Json::object([("event", Json::string("closed")), ("call", Json::string("a"))]);
    let twice: Vec<_> = (0..2).map(|_| chain.append(1, None, &closed)).collect();
    assert_eq!(verify(&twice).expect_err("twice").what, "the call was closed twice");
}

#[test]
fn a_dropped_ticket_closes_its_record() {
    let book = Book::default();
    drop(Ticket::open(7, Box::new(book.clone())));
    assert_eq!(*book.0.lock().expect("book"), [r#"{"event":"closed","call":"0000000000000007","outcome":"abandoned"}"#]);
}

#[test]
fn an_outline_has_names_and_no_values() {
    let json = Json::parse(bytes::Bytes::from_static(br#"{"password":"hunter2","n":42,"deep":{"a":[1,2]},"ok":true}"#)).expect("json");
    let mut members = Members::new();
    write_outline(&mut members, "shape", json.view(), OUTLINE_DEPTH);
    assert_eq!(members.end().to_string(), r#"{"shape":{"deep":{"a":"array:2"},"n":"number","ok":"boolean","password":"string:7"}}"#);
}

#[test]
fn what_is_long_is_cut_between_characters() {
    assert_eq!(bounded("äöü", 3), "äöü");
    assert_eq!(bounded("äöüß", 3), "äöü…");
    assert_eq!(bounded("", 0), "");
}

#[test]
fn a_decided_call_does_not_say_twice_who_it_was() {
    let refusal = Refusal::new(crate::reason::gateway::MONITOR_FAULT, "x");
    for decided in [false, true] {
        let book = Book::default();
        let mut ticket = Ticket::open(7, Box::new(book.clone()));
        ticket.about().string("principal", "ann");
        if decided {
            ticket.decided();
        }
        ticket.refuse(&refusal);
        let lines = book.0.lock().expect("book");
        assert_eq!((lines.len(), lines[0].contains("\"principal\":\"ann\"")), (1, !decided), "{lines:?}");
    }
}
