use std::collections::BTreeMap;

use super::*;
use crate::wire::json::MAX_DEPTH;

fn json(text: &str) -> Json {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect("json")
}

fn member(name: &str, strays: Strays) -> Strays {
    Strays::Members(BTreeMap::from([(name.to_owned(), strays)]))
}

#[test]
fn what_nobody_declared_goes_and_the_rest_stays_as_it_was() {
    let value = json(r#"{ "a" : 1.0 , "b\u0041":[1, {"x":"\u0041","y":2} ,3],"c":{}}"#);
    for (strays, left) in [
        (Strays::None, value.to_string()),
        (member("a", Strays::All), r#"{"bA":[1, {"x":"\u0041","y":2} ,3],"c":{}}"#.to_owned()),
        (member("c", Strays::All), r#"{"a":1.0,"bA":[1, {"x":"\u0041","y":2} ,3]}"#.to_owned()),
        (
            member("bA", Strays::Items(BTreeMap::from([(0, Strays::All), (1, member("x", Strays::All))]))),
            r#"{"a":1.0,"bA":[{"y":2},3],"c":{}}"#.to_owned(),
        ),
        (
            Strays::Members(["a", "bA", "c"].map(|name| (name.to_owned(), Strays::All)).into()),
            "{}".to_owned(),
        ),
        (member("none", Strays::All), r#"{"a":1.0,"bA":[1, {"x":"\u0041","y":2} ,3],"c":{}}"#.to_owned()),
    ] {
        assert_eq!(without(value.view(), &strays).expect("something").to_string(), left);
    }
    assert!(without(value.view(), &Strays::All).is_none());
}

#[test]
fn depth_does_not_multiply_what_is_copied() {
    let (depth, size) = (MAX_DEPTH - 2, 16 << 20);
    let inner = format!(r#"{{"gone":1,"kept":"{}"}}"#, "x".repeat(size));
    let value = json(&format!("{}{inner}{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)));
    let strays = (0..depth).fold(member("gone", Strays::All), |inner, _| member("a", inner));
    let begun = cpu_us();
    let left = without(value.view(), &strays).expect("something");
    println!("16 MiB at depth {depth}: {:.0} ms", (cpu_us() - begun) / 1000.0);
    assert_eq!(left.bytes().len(), value.bytes().len() - r#""gone":1,"#.len());
    // Copied once per level it would be two gibibytes.
    assert!(cpu_us() - begun < 20_000_000.0);
}

/// How long this thread was on a processor.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("a number") / 1000.0
}
