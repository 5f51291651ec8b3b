use super::*;
use crate::case::{Caller, Effect, Facts, Kind, Means, Reach, Scope};
use crate::catalog::{Catalog, Definition, Menu, Naming, Offer, Place};
use crate::journal::Ledger;
use crate::lock::{Lock, Pin};
use crate::stages::{Monitor, Ruling};
use crate::wire::envelope::{self, Arrival};
use crate::wire::mirror::Mirror;
use bytes::Bytes;
use std::sync::Mutex;

/// Keeps what is closed.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Ledger for Lines {
    fn close(&self, members: &Json) {
        self.0.lock().expect("whole").push(members.to_string());
    }
}

impl Lines {
    fn only(&self) -> String {
        let lines = self.0.lock().expect("whole");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }
}

const CALL: &str = r#"{"name":"t","arguments":{"a":1,"b":"x"}}"#;

struct World {
    principal: &'static str,
    session: &'static str,
    definition: &'static str,
    policy: &'static [u8],
    minimum: Assurance,
    lines: Lines,
}

impl World {
    fn new() -> Self {
        let definition = r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{},"b":{}}}}"#;
        Self { principal: "token:ci#1", session: "s", definition, policy: b"p", minimum: Assurance::Client, lines: Lines::default() }
    }

    fn held(&self, params: &str) -> Held {
        let json = Json::parse(Bytes::copy_from_slice(self.definition.as_bytes())).expect("json");
        let definition = Definition::read(Kind::Tool, &json).expect("definition");
        let (mut lock, mut offer) = (Lock::default(), Offer::default());
        lock.put("files", Pin::new(definition, Effect::Destructive));
        offer.add(Kind::Tool, &json);
        let menus = [Menu { server: "files".into(), offer: Ok(Arc::new(offer)) }];
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let Arrival::One(parsed) = envelope::parse(Bytes::from(text), &Mirror::none(), None) else { panic!("one") };
        let facts = Facts {
            id: 7,
            now_ms: 0,
            session: self.session.into(),
            transport: "stdio",
            peer: None,
            labels: Labels::default(),
            stops: Arc::default(),
            tally: Arc::default(),
            agreed: Arc::default(),
            once: crate::case::Once::default(),
            wires: None,
            cover: Default::default(),
        };
        let caller = Caller::assertion(self.principal, Means::Token, Reach::all());
        let place = Place { naming: Naming::Plain, menus: &menus, owner: None };
        let case = Catalog::new(Arc::new(lock), "__").case(parsed.expect("parsed"), &caller, place, facts).expect("case");
        let monitor = Monitor::new(Digest::of_bytes(self.policy), |entry| {
            Ok::<_, toml::de::Error>(((entry.build)(None)?, crate::stages::Mode::Enforce))
        })
        .expect("monitor");
        let Ok(Ruling::Held(mut held)) = monitor.admit(case, Ticket::open(7, Box::new(self.lines.clone()))) else { panic!("held") };
        held.hold.minimum = self.minimum;
        held
    }
}

fn word(by: &str, assurance: Assurance) -> Word {
    Word { by: by.into(), assurance, channel: "test", shown: Digest::of_bytes(b"shown"), waited_ms: 12, also: Vec::new() }
}

fn judged(world: &World, binding: Binding, word: Word, now_ms: u64) -> Result<String, &'static str> {
    let granted = world.held(CALL).granted(Grant::assertion(binding, word, 100), now_ms);
    granted.map(|admitted| admitted.decision().to_string()).map_err(|refusal| refusal.reason.code())
}

#[test]
fn a_grant_is_good_for_the_very_call_and_its_record_says_who_agreed() {
    let world = World::new();
    let held = world.held(CALL);
    assert_eq!((held.hold().scope, held.hold().reason.code()), (Scope::Call, "confirm.required"));
    let binding = held.binding();
    drop(held);
    let decision = judged(&world, binding, word("user:ann", Assurance::Local), 99).expect("granted");
    for part in [r#""answer":"yes""#, r#""by":"user:ann""#, r#""assurance":"local""#, r#""waited_ms":12"#, r#""shown":"sha256:"#] {
        assert!(decision.contains(part), "{part} in {decision}");
    }
}

#[test]
fn equal_calls_have_one_binding_and_a_byte_makes_another() {
    let world = World::new();
    let of = |params: &str| world.held(params).binding();
    let own = of(CALL);
    let same = [
        r#"{"arguments":{"b":"x","a":1},"name":"t"}"#,
        r#"{"name":"t","arguments":{"a":1.0,"b":"\u0078"}}"#,
        r#"{"name":"t","arguments":{"a":1,"b":"x"},"_meta":{"progressToken":9,"traceparent":"t"}}"#,
    ];
    let other = [
        r#"{"name":"t","arguments":{"a":1,"b":"y"}}"#,
        r#"{"name":"t","arguments":{"a":1}}"#,
        r#"{"name":"t","arguments":{"a":"1","b":"x"}}"#,
        r#"{"name":"t","arguments":{"a":1,"b":"x"},"_meta":{"vendor":1}}"#,
        r#"{"name":"t","arguments":{"a":1,"b":"x"},"requestState":"s"}"#,
        r#"{"name":"t","arguments":{"a":1,"b":"x"},"inputResponses":{"q":{"action":"accept"}}}"#,
        r#"{"name":"t","arguments":{"a":1,"b":"x"},"task":{"ttl":1}}"#,
    ];
    for params in same {
        assert_eq!(of(params), own, "{params}");
    }
    for params in other {
        assert_eq!(of(params).basis, own.basis, "{params}");
        assert_ne!(of(params).call, own.call, "{params}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_each_for_its_own_reason() {
    let world = World::new();
    let own = world.held(CALL).binding();
    let local = || word("user:ann", Assurance::Local);
    let foreign = [World { principal: "token:ci#2", ..World::new() }, World { session: "t", ..World::new() }];
    for world in &foreign {
        assert_eq!(judged(world, own, local(), 0), Err("confirm.mismatch"));
    }
    let stale = [
        World {
            definition: r#"{"name":"t","description":"new","inputSchema":{"type":"object","properties":{"a":{},"b":{}}}}"#,
            ..World::new()
        },
        World { policy: b"q", ..World::new() },
    ];
    for world in &stale {
        assert_eq!(judged(world, own, local(), 0), Err("confirm.stale"));
    }
    assert_eq!(judged(&world, own, local(), 100), Err("confirm.expired"));
    let wants = |minimum| World { minimum, ..World::new() };
    assert_eq!(judged(&wants(Assurance::Local), own, word("c", Assurance::Client), 0), Err("confirm.assurance"));
    assert_eq!(judged(&wants(Assurance::Person), own, local(), 0), Err("confirm.assurance"));
    assert!(judged(&wants(Assurance::Second), own, word("token:ann#9", Assurance::Second), 0).is_ok());
    // A token that was rotated is the same party.
    for by in ["token:ci#1", "token:ci#77"] {
        assert_eq!(judged(&wants(Assurance::Second), own, word(by, Assurance::Second), 0), Err("confirm.assurance"));
    }
}

#[test]
fn several_people_are_several_and_none_of_them_asks() {
    let world = World { minimum: Assurance::Second, ..World::new() };
    let own = world.held(CALL).binding();
    let with = |by: &str, also: &[(&str, Assurance)]| {
        let also = also.iter().map(|(by, assurance)| word(by, *assurance)).collect();
        let mut held = world.held(CALL);
        held.hold.approvers = 2;
        let word = Word { also, ..word(by, Assurance::Second) };
        held.granted(Grant::assertion(own, word, 100), 0).map(drop).map_err(|refusal| refusal.reason.code())
    };
    assert_eq!(with("token:ann#1", &[("token:bob#2", Assurance::Second)]), Ok(()));
    for (by, also) in [
        ("token:ann#1", vec![]),
        ("token:ann#1", vec![("token:ann#2", Assurance::Second)]),
        ("token:ann#1", vec![("token:ci#2", Assurance::Second)]),
        ("token:ci#1", vec![("token:ann#2", Assurance::Second)]),
        ("token:ann#1", vec![("token:bob#2", Assurance::Person)]),
        ("token:ann#1", vec![("user:root", Assurance::Local)]),
    ] {
        assert_eq!(with(by, &also), Err("confirm.assurance"), "{by} {also:?}");
    }
}

#[test]
fn every_end_of_a_held_call_is_one_record() {
    let world = World::new();
    let released = world.held(CALL).asked(Asking::Input { text: "q", state: "st" }, &word("nobody", Assurance::Client));
    let body = released.body().to_string();
    assert!(body.contains(r#""resultType":"input_required""#) && body.contains(r#""requestState":"st""#), "{body}");
    let line = world.lines.only();
    assert!(line.contains(r#""outcome":"held","reason":"confirm.required""#) && line.contains(r#""answer":"asked""#), "{line}");
    let world = World::new();
    let refusal = Refusal::new(CONFIRM_EXPIRED, "nobody");
    assert_eq!(world.held(CALL).refused(refusal, None).reason, CONFIRM_EXPIRED);
    assert!(world.lines.only().contains(r#""reason":"confirm.expired""#));
    let world = World::new();
    drop(world.held(CALL));
    assert!(world.lines.only().contains("abandoned"));
}
