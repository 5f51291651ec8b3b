use super::*;
use crate::consult::desk::tests::{card, item};
use crate::consult::web::login::Sessions;
use crate::consult::web::login::tests::{approver, bound};

#[test]
fn times_are_said_as_people_say_them() {
    let said = [0, 59_999, 61_000, 3_600_000, 86_399_000].map(spoken);
    assert_eq!(said, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "23 h 59 min"]);
}

#[test]
fn ten_thousand_calls_are_pages_of_the_same_size_and_each_is_on_one() {
    let (session, _) = Sessions::default().open(approver("ann"), bound(1), 0).expect("random");
    let item = item();
    let cards: Vec<Arc<Card>> = (0..10_000).map(|number| card(&item, number, number)).collect();
    let page = |number: usize| String::from_utf8(list(&session, &cards, (number, 50)).into_bytes()).expect("text");
    let begun = clock::Stopwatch::start();
    for (number, first) in [(1, 0), (2, 25), (400, 9_975), (0, 0), (usize::MAX, 9_975)] {
        let text = page(number);
        assert_eq!(text.matches("class=\"call\"").count(), EACH, "page {number}");
        assert!(text.contains(&format!("/call/id{first}\"")) && text.contains(">10000</span>"), "page {number}");
    }
    assert!(page(400).contains("?page=399") && !page(400).contains("?page=401") && !page(1).contains("?page=0"));
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
    // Only the first one loads itself again: nobody's place in the list moves away under them.
    assert!(page(1).contains("http-equiv=\"refresh\"") && !page(2).contains("http-equiv"));
}
