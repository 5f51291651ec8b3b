use super::*;

fn parse(text: &str) -> Result<Json, JsonError> {
    Json::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn flaw(text: &str) -> Flaw {
    parse(text).expect_err(text).what
}

#[test]
fn accepts_and_keeps_every_byte() {
    for text in ["{}", "[]", "0", "-0", "1.0", "1E+2", "\"\\ud83d\\ude00\"", "{\"a\":{\"a\":[1,{\"a\":null}]}}", "18446744073709551615"] {
        assert_eq!(parse(text).expect(text).view().text(), text);
    }
    assert_eq!(parse(" \n[1 , 2]\t").expect("blank").view().text(), "[1 , 2]");
}

#[test]
fn refuses_what_two_parsers_read_differently() {
    assert_eq!(flaw(r#"{"a":1,"a":2}"#), Flaw::DuplicateKey);
    assert_eq!(flaw(r#"{"a":1,"\u0061":2}"#), Flaw::DuplicateKey);
    assert_eq!(flaw(r#"[{"b":{"x":1,"x":1}}]"#), Flaw::DuplicateKey);
    assert_eq!(flaw(r#""\ud800""#), Flaw::Surrogate);
    assert_eq!(flaw(r#""\ud800\u0041""#), Flaw::Surrogate);
    assert_eq!(flaw(r#""\udc00""#), Flaw::Surrogate);
    assert_eq!(flaw("1e999"), Flaw::Number);
    assert_eq!(flaw("18446744073709551616"), Flaw::Number);
    assert_eq!(flaw("-9223372036854775809"), Flaw::Number);
    assert_eq!(flaw("{} x"), Flaw::Trailing);
    assert_eq!(flaw("\"a\u{1}\""), Flaw::Control);
    assert_eq!(flaw("[1,]"), Flaw::Byte);
    assert_eq!(flaw("01"), Flaw::Byte);
    assert_eq!(flaw("\u{feff}{}"), Flaw::Byte);
    assert_eq!(flaw("[1"), Flaw::End);
    assert_eq!(Json::parse(Bytes::from_static(b"\"\xff\"")).expect_err("utf8").what, Flaw::Utf8);
}

#[test]
fn a_duplicate_among_many_keys_is_found() {
    let mut text: String = (0..1000).map(|n| format!("\"k{n}\":{n},")).collect();
    assert!(parse(&format!("{{{}}}", text.trim_end_matches(','))).is_ok());
    text.push_str("\"k500\":0");
    assert_eq!(flaw(&format!("{{{text}}}")), Flaw::DuplicateKey);
}

#[test]
fn depth_128_passes_and_129_does_not() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&nested(128)).is_ok());
    assert_eq!(flaw(&nested(129)), Flaw::Depth);
}

#[test]
fn views_find_members_by_their_unescaped_name() {
    let json = parse(r#"{ "a" : [1, "x,]}\"" , {"n":null}] , "\u0062":true }"#).expect("json");
    assert_eq!(json.view().get("b").and_then(View::as_bool), Some(true));
    let items: Vec<_> = json.view().get("a").expect("a").items().map(View::text).collect();
    assert_eq!(items, ["1", r#""x,]}\"""#, r#"{"n":null}"#]);
    assert_eq!(json.view().at(&["a", "n"]).map(View::text), None);
}

#[test]
fn strings_unescape() {
    let json = parse(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00!""#).expect("json");
    assert_eq!(json.view().as_str().as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀!"));
}

#[test]
fn edits_leave_the_rest_alone() {
    let json = parse(r#"{ "id" : 1.0, "x": {"n": "a"} , "e": {} }"#).expect("json");
    let mut edits = Edits::of(&json);
    let root = json.view();
    edits.replace(root.at(&["x", "n"]).expect("n"), &Json::string("b"));
    edits.set(root.get("x").expect("x"), "new", &Json::number(7));
    edits.set(root.get("e").expect("e"), "first", &Json::null());
    edits.set(root.get("e").expect("e"), "second", &Json::null());
    assert_eq!(edits.apply().view().text(), r#"{ "id" : 1.0, "x": {"n": "b","new":7} , "e": {"first":null,"second":null} }"#);
}

#[test]
fn the_deepest_value_is_not_lost_on_the_way_to_a_library() {
    let text = format!("{}1{}", "[".repeat(128), "]".repeat(128));
    assert_eq!(parse(&text).expect("128 levels").view().to_value().to_string(), text);
}

#[test]
fn whole_numbers_are_read_however_they_are_written() {
    for (text, whole) in [
        ("0", Some(0)),
        ("-0.0e5", Some(0)),
        ("-7", Some(-7)),
        ("101.50", None),
        ("1e6", Some(1_000_000)),
        ("1000000.0", Some(1_000_000)),
        ("12.5E+1", Some(125)),
        ("1200e-2", Some(12)),
        ("1205e-2", None),
        ("100.00000000000000000001", None),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9999999999999999999", None),
        ("1e18", Some(1_000_000_000_000_000_000)),
        ("1e19", None),
        ("1e300", None),
        ("1e-99999999999999999999", None),
        ("\"1\"", None),
        ("null", None),
    ] {
        assert_eq!(Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text).view().as_whole(), whole, "{text}");
    }
}
