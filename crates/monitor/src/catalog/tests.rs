use super::*;
use crate::case::{Effect, Means, Reach};
use crate::lock::Pin;
use crate::wire::envelope::{self, Arrival};
use crate::wire::mirror::Mirror;
use bytes::Bytes;

fn definition(kind: Kind, name: &str) -> Definition {
    let key = Json::string(name);
    let json = Json::object([(kind.key(), key), ("inputSchema", Json::empty_object())]);
    Definition::read(kind, &json).expect("definition")
}

fn menu(server: &str, names: &[&str]) -> Menu {
    let mut offer = Offer::default();
    for name in names {
        offer.add(Kind::Tool, &definition(Kind::Tool, name).json);
    }
    Menu { server: server.into(), offer: Ok(Arc::new(offer)) }
}

fn catalog(pins: &[(&str, &str)]) -> Catalog {
    let mut lock = Lock::default();
    for (server, name) in pins {
        let definition = definition(Kind::Tool, name);
        lock.put(server, Pin::new(definition, Effect::Read));
    }
    Catalog::new(Arc::new(lock), "__")
}

fn call(name: &str) -> Parsed {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{ "name":"{name}", "arguments":{{"n":1.0}} }}}}"#);
    match envelope::parse(Bytes::from(text), &Mirror::none(), None) {
        Arrival::One(parsed) => parsed.expect("call"),
        Arrival::Batch(_) => panic!("batch"),
    }
}

fn judge(catalog: &Catalog, name: &str, naming: Naming, menus: &[Menu]) -> Result<Case, &'static str> {
    let caller = Caller::assertion("p", Means::LocalUser, Reach::all());
    let facts = Facts {
        id: 1,
        now_ms: 0,
        session: "s".into(),
        transport: "stdio",
        peer: None,
        labels: crate::case::Labels::default(),
        stops: Arc::default(),
        tally: Arc::default(),
        agreed: Arc::default(),
        once: crate::case::Once::default(),
        wires: None,
        cover: Default::default(),
    };
    catalog.case(call(name), &caller, Place { naming, menus, owner: None }, facts).map_err(|refusal| refusal.reason.code())
}

#[test]
fn what_was_not_approved_does_not_exist() {
    let catalog = catalog(&[("a", "x")]);
    assert!(judge(&catalog, "x", Naming::Plain, &[menu("a", &["x", "y"])]).is_ok());
    for name in ["y", "X", " x", "a__x", "../x"] {
        assert_eq!(judge(&catalog, name, Naming::Plain, &[menu("a", &["x", "y"])]).expect_err(name), "catalog.unknown");
    }
    assert_eq!(judge(&catalog, "x", Naming::Plain, &[menu("b", &["x"])]).expect_err("b"), "catalog.unapproved");
}

#[test]
fn standing_compares_with_what_is_offered_now() {
    let catalog = catalog(&[("a", "x")]);
    let standing = |menu: Menu| judge(&catalog, "x", Naming::Plain, &[menu]).expect("case").item().expect("item").standing;
    assert_eq!(standing(menu("a", &["x"])), Standing::Pinned);
    assert_eq!(standing(menu("a", &[])), Standing::Removed);
    let mut offer = Offer::default();
    offer.add(
        Kind::Tool,
        &Json::object([("name", Json::string("x")), ("inputSchema", Json::empty_object()), ("title", Json::string("new"))]),
    );
    assert_eq!(standing(Menu { server: "a".into(), offer: Ok(Arc::new(offer)) }), Standing::Changed);
}

#[test]
fn prefixes_route_and_the_server_gets_its_own_name() {
    let catalog = catalog(&[("a", "x"), ("b", "x")]);
    let menus = [menu("a", &["x"]), menu("b", &["x"])];
    let case = judge(&catalog, "b__x", Naming::Prefixed, &menus).expect("b");
    assert_eq!(&*case.item().expect("item").server, "b");
    let Message::Request { params: Some(params), .. } = case.message() else { panic!("request") };
    assert_eq!(params.to_string(), r#"{ "name":"x", "arguments":{"n":1.0} }"#);
    assert_eq!(judge(&catalog, "x", Naming::Prefixed, &menus).expect_err("bare"), "catalog.unknown");
    let names: Vec<_> = catalog
        .listed(Kind::Tool, Naming::Prefixed, &menus)
        .iter()
        .map(|(_, json)| json.view().get("name").expect("name").text().to_owned())
        .collect();
    assert_eq!(names, ["\"a__x\"", "\"b__x\""]);
}

#[test]
fn a_name_offered_twice_is_not_offered() {
    let mut offer = Offer::default();
    let one = definition(Kind::Tool, "x").json;
    let other = Json::object([("name", Json::string("x")), ("inputSchema", Json::empty_object()), ("title", Json::string("t"))]);
    for json in [&one, &other, &one] {
        offer.add(Kind::Tool, json);
    }
    assert_eq!(offer.all().count(), 0);
    assert_eq!(offer.rejected().len(), 1);
}

#[test]
fn tools_with_broken_schemas_or_headers_are_not_offered() {
    let mut offer = Offer::default();
    for schema in [
        "null",
        r#"{"properties":{"a":{"type":"number","x-mcp-header":"N"}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"R"},"b":{"type":"string","x-mcp-header":"r"}}}"#,
    ] {
        offer.add(Kind::Tool, &Json::parse(Bytes::from(format!(r#"{{"name":"t","inputSchema":{schema}}}"#))).expect("json"));
    }
    assert_eq!((offer.all().count(), offer.rejected().len()), (0, 4));
}

#[test]
fn reading_on_is_about_what_was_decided_then_and_has_the_arguments_of_the_call() {
    use crate::case::{Labels, Reading, Reads};
    let before = Pin::new(definition(Kind::Tool, "x"), Effect::Read);
    let with = |pin: &Pin| {
        let mut lock = Lock::default();
        lock.put("a", pin.clone());
        Catalog::new(Arc::new(lock), "__")
    };
    let find = |pin: &Pin, standing| with(pin).kept(&"a".into(), "x", (&before.reviewed(), standing)).map(|item| item.standing);
    assert_eq!(find(&before, Standing::Pinned), Some(Standing::Pinned));
    assert_eq!(find(&before, Standing::Changed), Some(Standing::Changed));
    // The operator decided anew, and the definition is the same.
    let mut after = before.clone();
    after.contract.returns = Some(crate::lock::Returns::Private);
    let written = Pin { effect: Effect::Write, ..before.clone() };
    assert_eq!((find(&after, Standing::Pinned), find(&written, Standing::Pinned)), (None, None));
    let case = judge(&with(&before), "x", Naming::Plain, &[menu("a", &["x"])]).expect("a case");
    let arguments = Json::object([("path", Json::string("/srv/a"))]);
    let reads = Reads { first: 1, what: Reading::All, released: true, labels: Labels::default(), arguments: Some(arguments.clone()) };
    let item = case.item().expect("an item").clone();
    let reading = Catalog::reading(call("bartizan_read_on"), case.caller(), case.facts().clone(), (item, reads));
    assert_eq!(reading.arguments_json(), Some(&arguments), "policy looks at these");
    assert!(reading.tool().is_none() && reading.arguments_digest() == crate::wire::canonical::Digest::of_json(&arguments));
}

#[test]
fn our_tool_is_not_listed_where_a_tool_has_its_name_with_what_is_put_before_it() {
    let mut lock = Lock::default();
    for (server, name) in [("a", "bartizan_read_on"), ("bartizan", "read_on"), ("b", "read_on")] {
        lock.put(server, Pin::new(definition(Kind::Tool, name), Effect::Read));
    }
    let catalog = Catalog::new(Arc::new(lock), "_");
    let takes = |naming| ["a", "bartizan", "b"].map(|server| catalog.takes(server, naming));
    assert_eq!((takes(Naming::Plain), takes(Naming::Prefixed)), ([true, false, false], [false, true, false]));
}
