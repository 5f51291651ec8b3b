use super::*;
use crate::clock;
use bartizan_monitor::case::{Assurance, Kind, Scope, Standing};
use bartizan_monitor::catalog::Definition;
use bartizan_monitor::controls::confirm::REQUIRED;
use bartizan_monitor::lock::Pin;
use bartizan_monitor::wire::canonical::Digest;

pub(in crate::consult) fn item() -> Item {
    let json = Json::object([("name", Json::string("t")), ("inputSchema", Json::empty_object())]);
    let pin = Arc::new(Pin::new(Definition::read(Kind::Tool, &json).expect("definition"), Effect::Destructive));
    Item { server: "s".into(), pin, standing: Standing::Pinned, shadow: None }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn digest(number: u64) -> Digest {
    Digest::of_bytes(&number.to_le_bytes())
}

fn place(who: u64) -> Place {
    Place { principal: format!("p{who}").into(), session: "s".into(), endpoint: None }
}

pub(in crate::consult) fn card(item: &Item, number: u64, who: u64) -> Arc<Card> {
    Arc::new(Card {
        id: format!("id{number}"),
        binding: Binding { call: digest(number), basis: digest(0) },
        hold: Hold { reason: REQUIRED, scope: Scope::Call, minimum: Assurance::Client, approvers: 1 },
        place: place(who),
        server: item.server.clone(),
        item: item.clone(),
        effect: Effect::Destructive,
        since_ms: 0,
        until_ms: 100,
        shown: Shown { text: String::new(), facts: 0, digest: digest(1) },
        arguments: None,
        tried: None,
        resume: None,
    })
}

fn word(by: &str) -> Word {
    Word { by: by.into(), assurance: Assurance::Local, channel: "test", shown: digest(1), waited_ms: 0, also: Vec::new() }
}

fn park(desk: &Desk, card: &Arc<Card>) -> Result<(), &'static str> {
    let room = desk.room(&card.place.principal, &card.binding, 0).map_err(|refusal| refusal.reason.code())?;
    desk.park(card, room);
    Ok(())
}

#[test]
fn ten_thousand_calls_of_many_wait_for_no_more_than_there_is_room() {
    let (desk, item) = (Desk::default(), item());
    let begun = clock::Stopwatch::start();
    let waiting = (0..10_000).filter(|number| park(&desk, &card(&item, *number, number % 50)).is_ok()).count();
    assert_eq!((waiting, desk.len()), (MOST, MOST));
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let desk = Desk::default();
    assert_eq!((0..10_000).filter(|number| park(&desk, &card(&item, *number, 1)).is_ok()).count(), MOST_EACH);
    assert!(park(&desk, &card(&item, 20_000, 2)).is_ok(), "others have room");
    // Time makes room.
    let late = card(&item, 30_000, 1);
    assert!(desk.room(&late.place.principal, &late.binding, 100).is_ok());
    assert!(desk.is_empty());
}

#[test]
fn the_first_answer_counts_and_is_taken_once() {
    let (desk, item) = (Desk::default(), item());
    let one = card(&item, 1, 1);
    park(&desk, &one).expect("room");
    assert_eq!(desk.answer("id1", (Answer::Yes(word("ann")), names(&["ann"])), 99), Ok(Heard::Done));
    assert_eq!(desk.answer("id1", (Answer::No(word("bob")), names(&["bob"])), 99), Err(Late::Answered));
    assert!(desk.cards(99).is_empty(), "it waits no more");
    let foreign = desk.take("id1", &place(2), 99).expect_err("of somebody else");
    assert_eq!(foreign.reason, CONFIRM_UNKNOWN);
    let (_, answer) = desk.take("id1", &place(1), 99).expect("its own");
    assert!(matches!(answer, Some(Answer::Yes(word)) if &*word.by == "ann"));
    assert_eq!(desk.take("id1", &place(1), 99).expect_err("once").reason, CONFIRM_UNKNOWN);
    assert_eq!(desk.answer("id1", (Answer::Yes(word("ann")), names(&["ann"])), 99), Err(Late::Gone));
}

#[test]
fn a_yes_is_found_by_the_same_call_in_time_and_once() {
    let (desk, item) = (Desk::default(), item());
    let one = card(&item, 1, 1);
    park(&desk, &one).expect("room");
    assert!(desk.granted(&one.binding, 50).is_none(), "nobody agreed yet");
    desk.answer("id1", (Answer::Yes(word("ann")), names(&["ann"])), 50).expect("open");
    assert!(desk.granted(&card(&item, 2, 1).binding, 50).is_none());
    assert!(desk.granted(&one.binding, 100).is_none(), "too late");
    assert!(desk.granted(&one.binding, 99).is_some());
    assert!(desk.granted(&one.binding, 99).is_none(), "once");
}

#[test]
fn who_is_said_to_be_one_person_is_one_whoever_answers_first() {
    let (desk, item) = (Desk::default(), item());
    let mut one = card(&item, 1, 1);
    Arc::get_mut(&mut one).expect("alone").hold.approvers = 2;
    for [first, second] in
        [[&["phone", "laptop"][..], &["laptop"][..]], [&["laptop"], &["phone", "laptop"]], [&["phone", "ann"], &["laptop", "ann"]]]
    {
        park(&desk, &one).expect("room");
        let yes = |by: &[&str]| desk.answer("id1", (Answer::Yes(word(by[0])), names(by)), 50);
        assert_eq!((yes(first), yes(second)), (Ok(Heard::More(1)), Err(Late::Same)), "{first:?} {second:?}");
        assert_eq!(yes(&["bob"]), Ok(Heard::Done));
        assert!(desk.granted(&one.binding, 50).is_some());
    }
}

#[test]
fn where_several_must_agree_each_counts_once_and_a_no_ends_it() {
    let (desk, item) = (Desk::default(), item());
    let mut one = card(&item, 1, 1);
    Arc::get_mut(&mut one).expect("alone").hold.approvers = 3;
    park(&desk, &one).expect("room");
    let yes = |by: &'static str| desk.answer("id1", (Answer::Yes(word(by)), names(&[by])), 50);
    assert_eq!((yes("ann"), yes("ann"), yes("bob")), (Ok(Heard::More(2)), Err(Late::Same), Ok(Heard::More(1))));
    assert!(desk.granted(&one.binding, 50).is_none() && desk.agreed("id1").len() == 2);
    assert_eq!((yes("cid"), yes("dan")), (Ok(Heard::Done), Err(Late::Answered)));
    let (_, last) = desk.granted(&one.binding, 50).expect("granted");
    let also: Vec<&str> = last.also.iter().map(|word| &*word.by).collect();
    assert_eq!((&*last.by, also), ("cid", vec!["ann", "bob"]));
    park(&desk, &one).expect("room");
    assert_eq!(yes("ann"), Ok(Heard::More(2)));
    assert_eq!(desk.answer("id1", (Answer::No(word("ann")), names(&["ann"])), 50), Ok(Heard::Done));
    assert_eq!((yes("bob"), desk.granted(&one.binding, 50).is_none()), (Err(Late::Answered), true));
}

#[test]
fn a_call_that_has_gone_cannot_be_answered() {
    let (desk, item) = (Desk::default(), item());
    let one = card(&item, 1, 1);
    let room = desk.room(&one.place.principal, &one.binding, 0).expect("room");
    let (seat, heard) = desk.wait((&one, room));
    assert_eq!(desk.take("id1", &place(1), 0).expect_err("it waits itself").reason, CONFIRM_UNKNOWN);
    drop(heard);
    assert_eq!(desk.answer("id1", (Answer::Yes(word("ann")), names(&["ann"])), 0), Err(Late::Gone));
    drop(seat);
    assert_eq!(desk.answer("id1", (Answer::Yes(word("ann")), names(&["ann"])), 0), Err(Late::Gone));
    assert!(desk.is_empty());
}
