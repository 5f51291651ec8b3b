use super::*;
use bartizan_monitor::catalog::{Definition, Offer};
use bartizan_monitor::lock::Pin;
use bartizan_monitor::wire::json::Json;

fn tool(name: &str, title: &str) -> Json {
    Json::object([("name", Json::string(name)), ("title", Json::string(title)), ("inputSchema", Json::empty_object())])
}

fn offer(tools: &[(&str, &str)]) -> Offer {
    let mut offer = Offer::default();
    tools.iter().for_each(|(name, title)| offer.add(Kind::Tool, &tool(name, title)));
    offer
}

fn lock(tools: &[(&str, &str, Effect)]) -> Lock {
    let mut lock = Lock::default();
    for (name, title, effect) in tools {
        let definition = Definition::read(Kind::Tool, &tool(name, title)).expect("tool");
        lock.put("s", Pin::new(definition, *effect));
    }
    lock
}

/// Reviews; returns what is left open, what stands in the lock file, and what was shown.
fn reviewed(arguments: &[&str], asking: Asking, lock: &mut Lock, offer: &Offer) -> (usize, Vec<(String, Effect)>, String) {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    let line = <Line as clap::Parser>::try_parse_from(["approve"].iter().chain(arguments)).expect("arguments");
    let changes = review::compare(lock, "s", offer);
    let mut shown = Vec::new();
    let left = review(&line.args, asking, ("s", &changes), lock, &mut Screen::new(&mut shown)).expect("shown");
    let pins = lock.of("s").map(|pin| (pin.name.clone(), pin.effect)).collect();
    (left, pins, String::from_utf8(shown).expect("text"))
}

#[test]
fn without_a_word_nothing_is_approved() {
    let (left, pins, shown) = reviewed(&[], Asking::Nobody, &mut Lock::default(), &offer(&[("read_x", "t"), ("drop_x", "t")]));
    assert_eq!((left, pins), (2, vec![]));
    assert!(
        shown.contains("+ tool read_x  [read]") && shown.contains("+ tool drop_x  [destructive]") && shown.contains("\"title\": \"t\""),
        "{shown}"
    );
}

#[test]
fn what_is_granted_gets_the_proposed_or_the_given_class() {
    let (left, pins, shown) = reviewed(
        &["s", "--yes", "--effect", "read_x=write", "--effect", "s/drop_x=read"],
        Asking::Granted,
        &mut Lock::default(),
        &offer(&[("read_x", "t"), ("drop_x", "t"), ("do_x", "t")]),
    );
    let expected = [("do_x", Effect::Write), ("drop_x", Effect::Read), ("read_x", Effect::Write)];
    assert_eq!((left, pins), (0, expected.map(|(name, effect)| (name.to_owned(), effect)).to_vec()));
    assert!(shown.contains("say destructive; this would make it read"), "{shown}");
}

#[test]
fn a_change_never_lowers_what_was_decided() {
    let mut lock = lock(&[("read_x", "old", Effect::Destructive), ("gone", "t", Effect::Read)]);
    let (left, pins, shown) = reviewed(&["s", "--yes"], Asking::Granted, &mut lock, &offer(&[("read_x", "new")]));
    assert_eq!((left, pins), (0, vec![("read_x".to_owned(), Effect::Destructive)]));
    assert!(
        shown.contains("~ tool read_x  [destructive]") && shown.contains("-   \"title\": \"old\"") && shown.contains("- tool gone"),
        "{shown}"
    );
}

#[test]
fn what_was_approved_is_not_asked_again_and_changes_class_on_request() {
    let mut lock = lock(&[("read_x", "t", Effect::Write)]);
    let same = offer(&[("read_x", "t")]);
    let (left, pins, shown) = reviewed(&["s", "--yes"], Asking::Granted, &mut lock, &same);
    assert_eq!((left, pins, shown.lines().count()), (0, vec![("read_x".to_owned(), Effect::Write)], 1));
    let (left, pins, shown) = reviewed(&["s", "--yes", "--effect", "read_x=read"], Asking::Granted, &mut lock, &same);
    assert_eq!((left, pins), (0, vec![("read_x".to_owned(), Effect::Read)]));
    assert!(shown.contains("approved as write until now"), "{shown}");
}

#[test]
fn names_cannot_hide() {
    let (_, _, shown) = reviewed(&[], Asking::Nobody, &mut Lock::default(), &offer(&[("read\u{202e}x", "a\u{200b}b")]));
    assert!(!shown.contains(['\u{202e}', '\u{200b}']) && shown.contains("\\u{202e}") && shown.contains("\\u200b"), "{shown}");
}
