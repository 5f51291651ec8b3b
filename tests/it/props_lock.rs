//! Properties of the lock file: it reads back as it was, and no order in which anything arrives shows.

use std::collections::BTreeMap;

use bartizan_gateway::review::grade::grade;
use bartizan_gateway::review::{Change, What, compare};
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::catalog::{Definition, Offer};
use bartizan_monitor::lock::{Confirm, Constraint, Contract, Limits, Lock, MAX_PREVIOUS, Pin, Repeats, Returns};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

/// Text with everything in it that TOML, JSON and people stumble over.
fn text() -> impl Strategy<Value = String> {
    let symbol = prop_oneof![4 => any::<char>(), 4 => (0x20_u32..0x7f).prop_filter_map("char", char::from_u32), 2 => select(vec!['\'', '"', '\\', '\n', '\r', '\t', '\u{202e}', '\u{200b}', '\0', '#', '\u{1f600}'])];
    vec(symbol, 0..12).prop_map(|symbols| symbols.into_iter().collect())
}

/// A name: no control characters, and something in it.
fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("n{}", text.chars().filter(|symbol| !symbol.is_control()).collect::<String>()))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::String)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map(text(), inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
        ]
    })
}

/// A tool with members that nobody knows.
fn tool(name: String) -> impl Strategy<Value = Value> {
    (text(), btree_map("x[a-z]{1,3}", value(), 0..4)).prop_map(move |(description, more)| {
        let mut members: Map<String, Value> = more.into_iter().collect();
        members.insert("name".to_owned(), Value::String(name.clone()));
        members.insert("description".to_owned(), Value::String(description));
        members.insert("inputSchema".to_owned(), serde_json::json!({"type": "object"}));
        Value::Object(members)
    })
}

fn effect() -> impl Strategy<Value = Effect> {
    select(vec![Effect::Read, Effect::Write, Effect::Destructive])
}

fn contract() -> impl Strategy<Value = Contract> {
    let limits = (of(1..100_u32), of(1..3600_u32), of(1..100_000_usize), of(0..100_u32)).prop_map(
        |(calls_per_minute, timeout_seconds, result_bytes, cost)| Limits { calls_per_minute, timeout_seconds, result_bytes, cost },
    );
    let preview = btree_map(text(), prop_oneof![any::<bool>().prop_map(Value::Bool), text().prop_map(Value::String)], 1..3);
    let preview = preview.prop_map(|members| Json::of(&members));
    let words = (
        of(preview),
        of(select(vec![Returns::Public, Returns::Private, Returns::Untrusted])),
        of(select(vec![Confirm::Never, Confirm::Session, Confirm::Always])),
    );
    let schema = btree_map(text(), value(), 0..3).prop_map(|members| Constraint::read(Json::of(&members)).expect("an object"));
    (of(text()), of(text()), words, limits, of(schema), of(text())).prop_map(
        |(owner, environment, (preview, returns, confirm), limits, arguments, notes)| Contract {
            owner,
            environment,
            returns,
            egress: confirm.map(|confirm| confirm == Confirm::Never),
            confirm,
            preview,
            once: returns.map(|returns| if returns == Returns::Private { Repeats::Key } else { Repeats::Window }),
            limits,
            arguments,
            formats: Vec::new(),
            project: Vec::new(),
            binary: returns.map(|_| vec!["image/png".to_owned(), "audio/ogg".to_owned()]),
            notes,
        },
    )
}

fn definition(tool: &Value) -> Definition {
    Definition::read(Kind::Tool, &Json::of(tool)).expect("a tool")
}

/// An entry with a history of several versions of one tool.
fn pin() -> impl Strategy<Value = Pin> {
    name().prop_flat_map(|name| (vec(tool(name), 1..MAX_PREVIOUS + 3), effect(), contract())).prop_map(|(versions, effect, contract)| {
        let mut versions = versions.iter();
        let first = Pin::new(definition(versions.next().expect("at least one")), effect);
        let pin = versions.fold(first, |pin, version| pin.replaced(definition(version), effect));
        Pin { contract, ..pin }
    })
}

fn lock(pins: &[(String, Pin)]) -> Lock {
    let mut lock = Lock::default();
    pins.iter().for_each(|(server, pin)| drop(lock.put(server, pin.clone())));
    lock
}

/// The same value with the members of every object in another order.
fn turned(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().rev().map(|(key, value)| format!("{}: {}", Value::String(key.clone()), turned(value))).collect();
            format!("{{ {} }}", members.join(",\n"))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(turned).collect::<Vec<_>>().join(" , ")),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_reads_back_the_same(pins in vec((select(vec!["a".to_owned(), "b-2".to_owned()]), pin()), 0..6)) {
        let lock = lock(&pins);
        let text = lock.to_string();
        let again = Lock::read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(again.to_string(), text.clone());
        prop_assert!(text.chars().all(|symbol| symbol == '\n' || !symbol.is_control()), "what does not show is an escape");
        for (server, pin) in &pins {
            let (read, put) = (again.get(server, Kind::Tool, &pin.name).expect("there"), lock.get(server, Kind::Tool, &pin.name).expect("there"));
            // Schema and preview are the same values in another spelling.
            let rest = |pin: &Pin| (pin.digest, pin.effect, Contract { arguments: None, preview: None, ..pin.contract.clone() });
            let schema = |pin: &Pin| (pin.contract.arguments.as_ref().map(|constraint| constraint.digest), pin.contract.preview.as_ref().map(Digest::of_json));
            prop_assert_eq!((rest(read), schema(read)), (rest(put), schema(put)));
            let digests = |pin: &Pin| pin.previous.iter().map(|version| (version.digest, version.effect)).collect::<Vec<_>>();
            prop_assert_eq!(digests(read), digests(put));
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_show(pins in btree_map(name(), pin(), 0..6), seed in any::<u64>()) {
        let pins: Vec<(String, Pin)> = pins.into_values().map(|pin| ("s".to_owned(), pin)).collect();
        let mut other: Vec<_> = pins.iter().enumerate().collect();
        other.sort_by_key(|(number, _)| (*number as u64).wrapping_add(1).wrapping_mul(seed | 1).rotate_left(17));
        let names: BTreeMap<&str, ()> = pins.iter().map(|(_, pin)| (pin.name.as_str(), ())).collect();
        prop_assume!(names.len() == pins.len());
        prop_assert_eq!(lock(&pins).to_string(), lock(&other.into_iter().map(|(_, pin)| pin.clone()).collect::<Vec<_>>()).to_string());
    }

    #[test]
    fn the_order_of_keys_is_no_change(tool in tool("t".to_owned())) {
        let other = Json::parse(turned(&tool).into()).expect("json");
        prop_assert_eq!(definition(&tool).digest, Definition::read(Kind::Tool, &other).expect("a tool").digest);
        prop_assert_eq!(grade(Kind::Tool, &Json::of(&tool), &other), vec![]);
        let mut lock = Lock::default();
        lock.put("s", Pin::new(definition(&tool), Effect::Read));
        let mut offer = Offer::default();
        offer.add(Kind::Tool, &other);
        let changes = compare(&lock, "s", &offer);
        let same = matches!(changes.as_slice(), [Change { what: What::Same(_), .. }]);
        prop_assert!(same);
    }

    #[test]
    fn every_change_has_a_difference_and_one_change_is_one_place(old in tool("t".to_owned()), new in tool("t".to_owned())) {
        let same = definition(&old).digest == definition(&new).digest;
        prop_assert_eq!(grade(Kind::Tool, &Json::of(&old), &Json::of(&new)).is_empty(), same);
        // The entries before and after are the same text as before.
        let entry = |name: &str| Pin::new(definition(&serde_json::json!({"name": name, "inputSchema": {}})), Effect::Read);
        let (before, after) = (entry("a"), entry("z"));
        let whole = |tool: &Value| lock(&[("s".to_owned(), before.clone()), ("s".to_owned(), Pin::new(definition(tool), Effect::Read)), ("s".to_owned(), after.clone())]).to_string();
        let (was, is) = (whole(&old), whole(&new));
        let part = |text: &str| { let mut parts = text.split("[[definition]]"); (parts.nth(1).map(str::to_owned), parts.nth(1).map(str::to_owned)) };
        prop_assert_eq!(part(&was), part(&is));
    }
}
