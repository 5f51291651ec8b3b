//! Properties of the strict parser, its views, its edits and the canonical form.

use std::collections::BTreeSet;

use bartizan_monitor::wire::canonical;
use bartizan_monitor::wire::json::{Edits, Flaw, Json, Kind, View};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// JSON texts in every spelling that the grammar has: white space, escapes, ways to write a number.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number(),
        string().prop_map(|(text, _)| text)
    ];
    let value = leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            (vec((blank(), inner.clone(), blank()), 0..6), blank()).prop_map(|(items, empty)| array(&items, &empty)),
            (vec((blank(), string(), blank(), blank(), inner, blank()), 0..12), blank())
                .prop_map(|(members, empty)| object(members, &empty)),
        ]
    });
    (blank(), value, blank()).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\n\r]{1,3}"]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        (-100_i8..100).prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,20}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,2}",
        Just("-0".to_owned()),
    ]
}

/// A string as it is written, and what it says.
fn string() -> impl Strategy<Value = (String, String)> {
    let symbol = prop_oneof![4 => (0x20_u32..0x7f).prop_filter_map("char", char::from_u32), 1 => any::<char>(), 1 => select(vec!['"', '\\', '/', '\u{8}', '\u{c}', '\n', '\r', '\t', '\0', '\u{1f600}'])];
    vec((symbol, any::<bool>()), 0..8).prop_map(|symbols| {
        let written: String = symbols.iter().map(|(symbol, escaped)| spelled(*symbol, *escaped)).collect();
        (format!("\"{written}\""), symbols.into_iter().map(|(symbol, _)| symbol).collect())
    })
}

fn spelled(symbol: char, escaped: bool) -> String {
    let short =
        [('"', "\\\""), ('\\', "\\\\"), ('/', "\\/"), ('\u{8}', "\\b"), ('\u{c}', "\\f"), ('\n', "\\n"), ('\r', "\\r"), ('\t', "\\t")];
    match short.iter().find(|(known, _)| *known == symbol) {
        Some((_, short)) if escaped || symbol != '/' => (*short).to_owned(),
        _ if escaped || symbol < ' ' => symbol.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
        _ => symbol.to_string(),
    }
}

fn array(items: &[(String, String, String)], empty: &str) -> String {
    let items: Vec<_> = items.iter().map(|(before, item, after)| format!("{before}{item}{after}")).collect();
    if items.is_empty() { format!("[{empty}]") } else { format!("[{}]", items.join(",")) }
}

type Member = (String, (String, String), String, String, String, String);

/// Of members that say the same key only the first stays.
fn object(members: Vec<Member>, empty: &str) -> String {
    let mut seen = BTreeSet::new();
    let members: Vec<_> = members
        .into_iter()
        .filter(|(_, (_, key), ..)| seen.insert(key.clone()))
        .map(|(a, (key, _), b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"))
        .collect();
    if members.is_empty() { format!("{{{empty}}}") } else { format!("{{{}}}", members.join(",")) }
}

fn parse(text: &str) -> Json {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The value as our own views show it.
fn value(view: View<'_>) -> Value {
    match view.kind() {
        Kind::Object => Value::Object(view.members().map(|(key, member)| (key.into_owned(), value(member))).collect()),
        Kind::Array => Value::Array(view.items().map(value).collect()),
        Kind::String => Value::String(view.as_str().expect("a string").into_owned()),
        Kind::Bool => Value::Bool(view.as_bool().expect("a Boolean")),
        Kind::Null => Value::Null,
        Kind::Number => match (view.as_i64(), view.text().parse::<u64>()) {
            // serde_json takes `-0` for a float.
            (Some(0), _) if view.text().starts_with('-') => Value::from(-0.0),
            (Some(number), _) => Value::from(number),
            (None, Ok(number)) => Value::from(number),
            (None, Err(_)) => Value::from(view.text().parse::<f64>().expect("a number")),
        },
    }
}

/// Equal, where floats may differ in the last digit: serde_json rounds quickly, not exactly.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b))),
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().expect("float"), b.as_f64().expect("float"));
            (a - b).abs() <= a.abs() * 1e-15
        }
        _ => ours == theirs,
    }
}

/// Looks at everything; must not panic.
fn walk(json: &Json) {
    let _ = (value(json.view()), canonical::text(json), json.view().to_value(), json.to_string());
}

/// All values in a document, outermost first.
fn places<'j>(view: View<'j>, found: &mut Vec<View<'j>>) {
    found.push(view);
    view.members().map(|(_, member)| member).chain(view.items()).for_each(|inside| places(inside, found));
}

/// Whether the canonical text has an integer beyond 64 bits: RFC 8785 writes floats up to 1e21 that way,
/// and read again they are refused.
fn has_long_integer(view: View<'_>) -> bool {
    let mut found = Vec::new();
    places(view, &mut found);
    found
        .into_iter()
        .filter(|view| view.kind() == Kind::Number)
        .any(|view| view.text().parse::<f64>().is_ok_and(|number| number.abs() >= 9.2e18 && number.abs() < 1e21))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn printing_gives_back_every_byte(text in document()) {
        let json = parse(&text);
        prop_assert_eq!(json.view().text(), text.trim_matches([' ', '\t', '\n', '\r']));
        prop_assert_eq!(parse(json.view().text()), json);
    }

    #[test]
    fn a_changed_byte_never_panics_and_what_is_accepted_means_the_same_elsewhere(text in document(), at in any::<Index>(), byte in prop_oneof![any::<u8>(), select(b"\"\\{}[],:0-.e\x00u ".to_vec())], insert in any::<bool>()) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        let theirs = serde_json::from_slice::<Value>(&bytes);
        match Json::parse(Bytes::from(bytes)) {
            Ok(json) => {
                walk(&json);
                let theirs = theirs.map_err(|error| TestCaseError::fail(format!("accepted, but: {error}")))?;
                prop_assert!(same(&value(json.view()), &theirs), "{} / {}", json, theirs);
            }
            // Stricter on purpose, and in nothing else.
            Err(error) => prop_assert!(theirs.is_err() || matches!(error.what, Flaw::DuplicateKey | Flaw::Number | Flaw::Depth), "refused: {error}"),
        }
    }

    #[test]
    fn views_say_what_serde_json_says(text in document()) {
        let theirs: Value = serde_json::from_str(&text).expect("json");
        prop_assert!(same(&value(parse(&text).view()), &theirs), "{}", text);
    }

    #[test]
    fn cut_short_is_refused(text in document(), at in any::<Index>()) {
        let text = text.trim();
        let cut = text.as_bytes().get(..at.index(text.len())).expect("a prefix");
        // A number cut short is a number.
        prop_assume!(text.starts_with(['{', '[', '"', 't', 'f', 'n']));
        prop_assert!(Json::parse(Bytes::copy_from_slice(cut)).is_err());
    }

    #[test]
    fn edited_documents_are_strict(text in document(), edits in vec((any::<Index>(), any::<bool>(), string(), document()), 1..6)) {
        let base = parse(&text);
        let mut found = Vec::new();
        places(base.view(), &mut found);
        let mut batch = Edits::of(&base);
        for (index, set, (_, key), new) in &edits {
            let place = found[index.index(found.len())];
            let new = parse(new);
            if *set { batch.set(place, key, &new) } else { batch.replace(place, &new) }
        }
        let edited = batch.apply();
        prop_assert!(Json::parse(edited.bytes().clone()) == Ok(edited.clone()), "{} became {}", base, edited);
    }

    #[test]
    fn what_is_set_is_there(text in document(), (_, key) in string(), first in document(), second in document()) {
        let base = Json::object([("o", parse(&text)), ("e", Json::empty_object())]);
        let mut edits = Edits::of(&base);
        for place in [base.view(), base.view().get("e").expect("e")] {
            edits.set(place, &key, &parse(&first));
            edits.set(place, &key, &parse(&second));
        }
        prop_assume!(key != "e");
        let edited = edits.apply();
        let expected = parse(&second).to_string();
        for place in [edited.view(), edited.view().get("e").expect("e")] {
            prop_assert_eq!(place.get(&key).map(View::text), Some(expected.as_str()));
        }
    }

    #[test]
    fn the_canonical_form_is_its_own(text in document()) {
        let json = parse(&text);
        prop_assume!(!has_long_integer(json.view()));
        let form = canonical::text(&json);
        let again = parse(&form);
        prop_assert_eq!(canonical::text(&again), form);
        prop_assert_eq!(canonical::Digest::of_json(&again), canonical::Digest::of_json(&json));
    }

    #[test]
    fn spelling_does_not_change_the_digest(text in document()) {
        let json = parse(&text);
        let compact = parse(&serde_json::to_string(&value(json.view())).expect("json"));
        prop_assert_eq!(canonical::text(&compact), canonical::text(&json));
    }
}
