use std::sync::LazyLock;

use bartizan_monitor::case::{Means, Reach};
use bartizan_monitor::catalog::Catalog;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::Monitor;
use bartizan_monitor::wire::UNSOLICITED;

use super::*;
use crate::snapshot::Standing;

struct World {
    lists: Lists,
    snapshot: Arc<Snapshot>,
    menus: Vec<Menu>,
}

fn snapshot() -> Arc<Snapshot> {
    let monitor = Arc::new(Monitor::defaults().expect("defaults"));
    Arc::new(Snapshot { monitor, catalog: Catalog::new(Arc::default(), "__"), standing: Standing::Read })
}

fn menu(server: &str) -> Menu {
    Menu { server: server.into(), offer: Ok(Arc::default()) }
}

fn caller(principal: &str) -> Caller {
    Caller::assertion(principal, Means::LocalUser, Reach::all())
}

/// About this long, and made quickly.
fn long(length: usize) -> Json {
    static PIECE: LazyLock<Json> = LazyLock::new(|| Json::string(&"x".repeat(1021)));
    Json::array(std::iter::repeat_n(PIECE.clone(), length / 1024))
}

/// Definitions that are so long.
fn choice(seen: &[bool], length: usize) -> Choice {
    let items = seen.iter().filter(|seen| **seen).map(|_| long(length)).collect();
    Choice { seen: seen.into(), items }
}

impl World {
    fn new() -> Self {
        Self { lists: Lists::default(), snapshot: snapshot(), menus: vec![menu("a"), menu("b")] }
    }

    fn key(&self, principal: &str) -> Key {
        (caller(principal), Some("a".into()), Kind::Tool)
    }

    fn get(&self, key: Key, seen: &[bool], length: usize) -> Arc<List> {
        self.lists.get(key, (&self.snapshot, &self.menus), || choice(seen, length))
    }

    /// The list that is kept; a new one says that it was made.
    fn kept(&self, key: Key) -> bool {
        let mut kept = true;
        self.lists.get(key, (&self.snapshot, &self.menus), || {
            kept = false;
            choice(&[], 0)
        });
        kept
    }

    fn bytes(&self) -> usize {
        let views = self.lists.views();
        let lists: HashMap<_, _> = views.kept.values().map(|view| (Arc::as_ptr(&view.list), view.list.bytes())).collect();
        lists.values().sum()
    }
}

#[test]
fn a_list_is_kept_while_all_that_it_was_made_of_is_the_same() {
    let mut world = World::new();
    let ann = || (caller("ann"), Some("a".into()), Kind::Tool);
    world.get(ann(), &[true], 1);
    assert!(world.kept(ann()));
    for other in [
        (caller("bea"), Some("a".into()), Kind::Tool),
        (Caller::assertion("ann", Means::Token, Reach::all()), Some("a".into()), Kind::Tool),
        (caller("ann"), None, Kind::Tool),
        (caller("ann"), Some("b".into()), Kind::Tool),
        (caller("ann"), Some("a".into()), Kind::Prompt),
    ] {
        assert!(!world.kept(other.clone()), "{other:?}");
    }
    // Equal is not enough: it must be the same value.
    world.snapshot = snapshot();
    assert!(!world.kept(ann()), "another snapshot");
    world.menus = vec![menu("a"), menu("b")];
    assert!(!world.kept(ann()), "other offers");
    world.menus.pop();
    assert!(!world.kept(ann()), "a server less");
    world.menus[0].server = "z".into();
    assert!(!world.kept(ann()), "the offer of another server");
    assert!(world.kept(ann()));
    world.menus.push(Menu { server: "c".into(), offer: Err(Refusal::new(UNSOLICITED, "")) });
    assert!(!world.kept(ann()) && !world.kept(ann()), "a server does not answer");
}

#[test]
fn who_sees_the_same_shares_a_list_and_who_sees_other_things_does_not() {
    let world = World::new();
    let ann = world.get(world.key("ann"), &[true, false], 1);
    assert!(Arc::ptr_eq(&ann, &world.get(world.key("bea"), &[true, false], 1)));
    assert!(!Arc::ptr_eq(&ann, &world.get(world.key("cid"), &[false, true], 1)));
    assert!(!Arc::ptr_eq(&ann, &world.get((caller("dan"), None, Kind::Tool), &[true, false], 1)), "names are others there");
    assert!(!Arc::ptr_eq(&ann, &world.get((caller("eve"), Some("a".into()), Kind::Prompt), &[true, false], 1)));
}

#[test]
fn pages_are_kept_by_where_they_begin_and_by_era() {
    let world = World::new();
    let list = world.get(world.key("ann"), &vec![true; PAGE + 1], 1);
    let page = |at: (usize, Era), text: &str| world.lists.page(&caller("ann"), &list, at, || Json::string(text)).body().to_string();
    for (at, text) in [((0, Era::Legacy), "1"), ((0, Era::Modern), "2"), ((PAGE, Era::Legacy), "3"), ((PAGE, Era::Modern), "4")] {
        assert_eq!([page(at, text), page(at, "another")], [format!("\"{text}\""), format!("\"{text}\"")]);
    }
    // What a client makes up costs only itself.
    assert_eq!([page((1, Era::Legacy), "a"), page((1, Era::Legacy), "b")], ["\"a\"", "\"b\""]);
    assert_eq!([page((PAGE * 9, Era::Legacy), "a"), page((PAGE * 9, Era::Legacy), "b")], ["\"a\"", "\"b\""]);
}

#[test]
fn one_with_many_views_takes_its_share_and_no_more() {
    let world = World::new();
    let greedy = |number: usize| (caller("greedy"), Some(number.to_string().into()), Kind::Tool);
    world.get(world.key("ann"), &[true], 1024 * 1024);
    for number in 0..64 {
        let list = world.get(greedy(number), &[true], 500_000);
        world.lists.page(&caller("greedy"), &list, (0, Era::Modern), || long(500_000));
        assert!(world.bytes() <= MOST_OF_ONE + 1024 * 1024 + 64, "{}", world.bytes());
    }
    assert!(world.kept(world.key("ann")) && world.kept(greedy(63)) && world.kept(greedy(57)), "the newest stay");
    assert!(!world.kept(greedy(40)), "the oldest went");
    for number in 0..VIEWS_OF_ONE + 10 {
        world.get((caller("many"), Some(number.to_string().into()), Kind::Tool), &[true], 1);
    }
    let many = world.lists.views().kept.keys().filter(|key| &**key.0.principal() == "many").count();
    assert_eq!(many, VIEWS_OF_ONE);
    assert!(world.kept(world.key("ann")));
}

#[test]
fn all_together_have_so_much_room_and_the_oldest_go_first() {
    let world = World::new();
    for number in 0..40 {
        world.get((caller(&format!("p{number}")), Some(number.to_string().into()), Kind::Tool), &[true], 2 * 1024 * 1024);
        assert!(world.bytes() <= MOST, "{}", world.bytes());
        // Used all the time, so never the oldest.
        world.get(world.key("ann"), &[true], 1024);
    }
    assert!(world.kept(world.key("ann")));
    assert!(world.kept((caller("p39"), Some("39".into()), Kind::Tool)) && !world.kept((caller("p5"), Some("5".into()), Kind::Tool)));
    // Longer than one may have: made each time.
    let everything = || (caller("long"), None, Kind::Tool);
    world.get(everything(), &[true], MOST_OF_ONE + 2048);
    assert!(!world.kept(everything()));
}

#[test]
fn a_thousand_who_see_the_same_take_the_room_of_one() {
    let world = World::new();
    for number in 0..1000 {
        let list = world.get(world.key(&format!("p{number}")), &[true], 1024 * 1024);
        world.lists.page(&caller(&format!("p{number}")), &list, (0, Era::Legacy), || long(1024 * 1024));
    }
    assert!(world.bytes() < 3 * 1024 * 1024, "{}", world.bytes());
    assert!((0..1000).all(|number| world.kept(world.key(&format!("p{number}")))));
}

#[test]
fn what_was_made_of_something_gone_is_forgotten() {
    let mut world = World::new();
    world.get(world.key("ann"), &[true], 1024);
    world.get(world.key("bea"), &[true], 1024);
    world.menus[0] = menu("a");
    world.get(world.key("cid"), &[true], 1024);
    assert_eq!(world.lists.views().kept.len(), 1);
}
