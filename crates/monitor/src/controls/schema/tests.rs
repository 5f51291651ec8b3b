use super::*;
use crate::case::{Caller, Effect, Facts, Kind, Means, Reach, Standing, Target};
use crate::catalog::Definition;
use crate::lock::Pin;
use crate::wire::envelope::{Id, Message};
use crate::wire::method::Method;
use crate::wire::mirror::{Header, Mirror};
use crate::wire::version::Version;
use bytes::Bytes;

fn json(text: &str) -> Json {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
}

fn compile(schema: &str) -> Result<Rules, String> {
    Rules::compile(&json(schema).view().to_value())
}

fn rules(schema: &str) -> Rules {
    compile(schema).expect(schema)
}

fn undeclared(rules: &Rules, value: &str) -> Option<String> {
    rules.undeclared(&json(value).view().to_value())
}

fn broken(rules: &Rules, value: &str) -> Option<String> {
    rules.broken(&json(value).view().to_value()).map(|broken| broken.to_string())
}

fn definition(schema: &str) -> Json {
    json(&format!(r#"{{"name":"t","inputSchema":{schema}}}"#))
}

fn case(schema: &str, arguments: Option<&str>, mirror: Mirror) -> Case {
    let definition = definition(schema);
    let pin = Pin::new(Definition { kind: Kind::Tool, name: "t".to_owned(), digest: Digest::of_json(&definition), json: definition }, Effect::Read);
    Case {
        caller: Caller::assertion("p", Means::LocalUser, Reach::all()),
        facts: Facts { id: 1, now_ms: 0, session: "s".into(), transport: "stdio", peer: None, labels: crate::case::Labels::default(), stops: Arc::default(), tally: Arc::default(), agreed: Arc::default(), once: crate::case::Once::default(), wires: None, cover: Default::default(), },
        version: Version::NEWEST,
        message: Message::Request { id: Id::number(1), method: Method::ToolsCall, params: None },
        target: Target::Item(Item { server: "a".into(), pin: Arc::new(pin), standing: Standing::Pinned, shadow: None }),
        arguments: arguments.map(json),
        digest: std::sync::OnceLock::new(),
        mirror,
        tries: None,
        reads: None,
    }
}

fn verdict(control: &Schema, case: &Case) -> Result<(), (&'static str, String)> {
    match control.on_call(case).expect("no fault") {
        Verdict::Pass => Ok(()),
        Verdict::Deny(refusal) => Err((refusal.reason.code(), refusal.detail)),
        other => panic!("{other:?}"),
    }
}

fn code(schema: &str, arguments: &str) -> &'static str {
    let control = build(Config::default()).expect("defaults");
    verdict(&control, &case(schema, Some(arguments), Mirror::none())).map_or_else(|(code, _)| code, |()| "pass")
}

const SILENT: &str = r#"{"type":"object","properties":{"path":{"type":"string"},"n":{"type":"integer"}},"required":["path"]}"#;

#[test]
fn what_is_declared_passes_and_the_rest_does_not() {
    assert_eq!(code(SILENT, r#"{"path":"a"}"#), "pass");
    assert_eq!(code(SILENT, r#"{"path":"a","n":1.0}"#), "pass");
    for arguments in [r#"{"path":"a","x":1}"#, r#"{"path":"a","Path":"b"}"#, r#"{"path":"a","__proto__":{}}"#, r#"{"path":"a","path ":"b"}"#] {
        assert_eq!(code(SILENT, arguments), "schema.unknown-field", "{arguments}");
    }
    assert_eq!(code(SILENT, "{}"), "schema.invalid");
    assert_eq!(code("{}", "{}"), "pass");
    assert_eq!(code(r#"{"type":"object"}"#, r#"{"x":1}"#), "schema.unknown-field");
}

#[test]
fn absent_arguments_are_an_empty_object() {
    let control = build(Config::default()).expect("defaults");
    assert_eq!(verdict(&control, &case("{}", None, Mirror::none())), Ok(()));
    assert_eq!(verdict(&control, &case(SILENT, None, Mirror::none())).expect_err("required").0, "schema.invalid");
}

#[test]
fn what_a_schema_says_of_other_fields_is_believed() {
    let with = |rest: &str| format!(r#"{{"properties":{{"a":{{}}}},{rest}}}"#);
    let arguments = r#"{"a":1,"x":1}"#;
    assert_eq!(code(&with(r#""additionalProperties":true"#), arguments), "pass");
    assert_eq!(code(&with(r#""additionalProperties":{"type":"integer"}"#), arguments), "pass");
    assert_eq!(code(&with(r#""additionalProperties":{"type":"string"}"#), arguments), "schema.invalid");
    assert_eq!(code(&with(r#""additionalProperties":false"#), arguments), "schema.unknown-field");
    assert_eq!(code(&with(r#""unevaluatedProperties":true"#), arguments), "pass");
    assert_eq!(code(&with(r#""unevaluatedProperties":false"#), arguments), "schema.unknown-field");
    assert_eq!(code(&with(r#""patternProperties":{"^x":{}}"#), arguments), "pass");
}

#[test]
fn objects_inside_are_closed_where_they_declare_fields() {
    let schema = r##"{"properties":{
        "o":{"type":"object","properties":{"a":{}}},
        "free":{"type":"object"},
        "empty":{"type":"object","properties":{}},
        "list":{"type":"array","items":{"properties":{"a":{}}}},
        "pair":{"prefixItems":[{"properties":{"a":{}}},{}],"items":{"properties":{"b":{}}}},
        "map":{"additionalProperties":{"properties":{"a":{}}}},
        "ref":{"$ref":"#/$defs/d"}},
        "$defs":{"d":{"properties":{"a":{}}}}}"##;
    let rules = rules(schema);
    for (value, stray) in [
        (r#"{"o":{"a":1}}"#, None),
        (r#"{"o":{"a":1,"b":1}}"#, Some("/o/b")),
        (r#"{"o":[{"b":1}]}"#, None),
        (r#"{"free":{"b":{"c":1}}}"#, None),
        (r#"{"empty":{"b":1}}"#, None),
        (r#"{"list":[{"a":1},{"a":1,"b":1}]}"#, Some("/list/1/b")),
        (r#"{"pair":[{"a":1},{"free":1},{"b":1}]}"#, None),
        (r#"{"pair":[{"b":1}]}"#, Some("/pair/0/b")),
        (r#"{"pair":[{"a":1},{},{"a":1}]}"#, Some("/pair/2/a")),
        (r#"{"map":{"k":{"a":1}}}"#, None),
        (r#"{"map":{"k":{"b":1}}}"#, Some("/map/k/b")),
        (r#"{"ref":{"a":1}}"#, None),
        (r#"{"ref":{"b":1}}"#, Some("/ref/b")),
    ] {
        assert_eq!(undeclared(&rules, value).as_deref(), stray, "{value}");
    }
}

#[test]
fn names_are_seen_through_composition() {
    let rules = rules(
        r##"{"$ref":"#/$defs/base","allOf":[{"properties":{"b":{}}}],"anyOf":[{"properties":{"c":{}}},{"$ref":"#/$defs/alt"}],
            "oneOf":[{"properties":{"d":{}}}],"if":{"properties":{"e":{}}},"then":{"properties":{"f":{}}},"else":{"properties":{"g":{}}},
            "dependentSchemas":{"a":{"properties":{"h":{}}}},"not":{"properties":{"n":{}},"required":["n"]},
            "$defs":{"base":{"properties":{"a":{}}},"alt":{"properties":{"i":{}}}}}"##,
    );
    assert_eq!(undeclared(&rules, r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}"#), None);
    assert_eq!(undeclared(&rules, r#"{"n":1}"#).as_deref(), Some("/n"));
    assert_eq!(undeclared(&rules, r#"{"a":1,"z":1}"#).as_deref(), Some("/z"));
}

#[test]
fn alternatives_close_an_object_only_together() {
    let alternatives = rules(
        r##"{"properties":{
            "maybe":{"anyOf":[{"$ref":"#/$defs/d"},{"type":"null"}]},
            "loose":{"anyOf":[{"$ref":"#/$defs/d"},{"type":"object"}]},
            "word":{"anyOf":[{"$ref":"#/$defs/d"},{"const":"all"},{"enum":["x"]},{"$ref":"#/$defs/none"}]},
            "both":{"allOf":[{"$ref":"#/$defs/d"},{"type":"object","required":["a"]}]},
            "open":{"oneOf":[{"$ref":"#/$defs/d"},{"type":"object","additionalProperties":true}]}},
            "$defs":{"d":{"type":"object","properties":{"a":{}}},"none":{"type":"null"}}}"##,
    );
    for (name, strict) in [("maybe", true), ("loose", false), ("word", true), ("both", true), ("open", false)] {
        let stray = undeclared(&alternatives, &format!(r#"{{"{name}":{{"a":1,"z":1}}}}"#));
        assert_eq!(stray.is_some(), strict, "{name}");
    }
    let union = r#"{"oneOf":[{"properties":{"kind":{"const":1},"data":{"properties":{"a":{}}}}},{"properties":{"kind":{"const":2},"data":{"type":"object"}}}]}"#;
    assert_eq!(undeclared(&rules(union), r#"{"kind":2,"data":{"z":1}}"#), None);
    let condition = r#"{"properties":{"o":{"properties":{"a":{}}}},"if":{"properties":{"o":{"required":["a"]}}}}"#;
    assert_eq!(undeclared(&rules(condition), r#"{"o":{"z":1}}"#).as_deref(), Some("/o/z"));
}

#[test]
fn recursive_schemas_end() {
    let tree = rules(r##"{"properties":{"t":{"$ref":"#/$defs/n"}},"$defs":{"n":{"properties":{"c":{"type":"array","items":{"$ref":"#/$defs/n"}}}}}}"##);
    assert_eq!(undeclared(&tree, r#"{"t":{"c":[{"c":[{"c":[]}]}]}}"#), None);
    assert_eq!(undeclared(&tree, r#"{"t":{"c":[{"c":[{"d":[]}]}]}}"#).as_deref(), Some("/t/c/0/c/0/d"));
    let root = rules(r##"{"properties":{"a":{"$ref":"#"}}}"##);
    assert_eq!(undeclared(&root, r#"{"a":{"a":{"b":1}}}"#).as_deref(), Some("/a/a/b"));
    for circle in [r##"{"$ref":"#"}"##, r##"{"allOf":[{"$ref":"#"}],"properties":{"a":{}}}"##, r##"{"anyOf":[{"$ref":"#/$defs/x"}],"$defs":{"x":{"$ref":"#/$defs/y"},"y":{"anyOf":[{"$ref":"#/$defs/x"}]}}}"##] {
        if let Ok(rules) = compile(circle) {
            assert_eq!(undeclared(&rules, r#"{"z":1}"#).as_deref(), Some("/z"), "{circle}");
            let _ends = broken(&rules, r#"{"z":1}"#);
        }
    }
}

#[test]
fn schemas_that_double_at_every_step_are_refused_in_time() {
    let doubling = |levels: usize, step: fn(&str) -> String| {
        let defs: Vec<_> = (0..levels).map(|n| format!(r##""{n}":{}"##, step(&format!(r##"{{"$ref":"#/$defs/{}"}}"##, n + 1)))).collect();
        format!(r##"{{"$ref":"#/$defs/0","unevaluatedProperties":false,"$defs":{{{},"{levels}":{{"type":"string"}}}}}}"##, defs.join(","))
    };
    let steps: [fn(&str) -> String; 4] = [
        |next| format!(r#"{{"anyOf":[{next},{next}]}}"#),
        |next| format!(r#"{{"oneOf":[{next},{{"allOf":[{next}]}}]}}"#),
        |next| format!(r#"{{"if":{next},"then":{next}}}"#),
        |next| format!(r#"{{"not":{next},"dependentSchemas":{{"a":{next}}}}}"#),
    ];
    for step in steps {
        assert!(compile(&doubling(3, step)).is_ok());
        assert!(compile(&doubling(60, step)).is_err());
    }
    let wide: Vec<_> = (0..6000).map(|n| format!(r#""p{n}":{{}}"#)).collect();
    assert!(compile(&format!(r#"{{"properties":{{{}}}}}"#, wide.join(","))).is_err());
}

#[test]
fn the_place_is_searched_only_where_the_search_ends() {
    let tree = rules(r##"{"$ref":"#/$defs/v","$defs":{"v":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/v"}},{"type":"array","minItems":0,"items":{"$ref":"#/$defs/v"}},{"type":"string"}]}}}"##);
    let deep = format!("{}5{}", "[".repeat(30), "]".repeat(30));
    assert_eq!(broken(&tree, &deep).as_deref(), Some(": somewhere inside"));
    assert_eq!(broken(&tree, &deep.replace('5', r#""x""#)), None);
}

#[test]
fn references_inside_the_document_are_followed() {
    let modern = rules(
        r##"{"$id":"https://a.test/t.json","properties":{
            "pointer":{"$ref":"#/$defs/d"},"absolute":{"$ref":"https://a.test/t.json#/$defs/d"},"escaped":{"$ref":"#/$defs/a~1b%25"},
            "anchor":{"$ref":"#here"},"embedded":{"$ref":"other.json"},"inner":{"$ref":"other.json#/$defs/d"},"dynamic":{"$dynamicRef":"#there"}},
            "$defs":{"d":{"$anchor":"here","properties":{"a":{}}},"a/b%":{"properties":{"a":{}}},"e":{"$dynamicAnchor":"there","properties":{"a":{}}},
                "o":{"$id":"other.json","properties":{"a":{}},"$defs":{"d":{"properties":{"a":{}}}}}}}"##,
    );
    for name in ["pointer", "absolute", "escaped", "anchor", "embedded", "inner", "dynamic"] {
        assert_eq!(undeclared(&modern, &format!(r#"{{"{name}":{{"a":1}}}}"#)), None, "{name}");
        assert_eq!(undeclared(&modern, &format!(r#"{{"{name}":{{"b":1}}}}"#)), Some(format!("/{name}/b")), "{name}");
    }
    let legacy = rules(
        r##"{"$schema":"http://json-schema.org/draft-07/schema#","$id":"https://a.test/t.json","properties":{"pointer":{"$ref":"#/definitions/d"},"anchor":{"$ref":"#here"},"embedded":{"$ref":"other.json"}},
            "definitions":{"d":{"properties":{"a":{}}},"h":{"$id":"#here","properties":{"a":{}}},"o":{"$id":"other.json","properties":{"a":{}}}}}"##,
    );
    for name in ["pointer", "anchor", "embedded"] {
        assert_eq!(undeclared(&legacy, &format!(r#"{{"{name}":{{"a":1}}}}"#)), None, "{name}");
        assert_eq!(undeclared(&legacy, &format!(r#"{{"{name}":{{"b":1}}}}"#)), Some(format!("/{name}/b")), "{name}");
    }
}

#[test]
fn draft_07_is_made_strict_as_well() {
    let schema = |rest: &str| format!(r#"{{"$schema":"http://json-schema.org/draft-07/schema#",{rest}}}"#);
    let silent = schema(r##""properties":{"a":{"$ref":"#/definitions/d"},"t":{"items":[{"properties":{"x":{}}}],"additionalItems":{"properties":{"y":{}}}}},"definitions":{"d":{"properties":{"b":{"type":"integer"}}}}"##);
    assert_eq!(code(&silent, r#"{"a":{"b":1},"t":[{"x":1},{"y":1}]}"#), "pass");
    assert_eq!(code(&silent, r#"{"a":{"b":"1"}}"#), "schema.invalid");
    for arguments in [r#"{"x":1}"#, r#"{"a":{"c":1}}"#, r#"{"t":[{"y":1}]}"#, r#"{"t":[{},{"x":1}]}"#] {
        assert_eq!(code(&silent, arguments), "schema.unknown-field", "{arguments}");
    }
    // What the draft ignores must not open the object.
    let ignored = schema(r##""allOf":[{"$ref":"#/definitions/d","additionalProperties":true}],"unevaluatedProperties":true,"definitions":{"d":{"properties":{"b":{}}}}"##);
    assert_eq!(code(&ignored, r#"{"b":1,"x":1}"#), "schema.unknown-field");
    let dependent = schema(r#""properties":{"a":{}},"dependencies":{"a":{"properties":{"b":{}}},"b":["a"]}"#);
    assert_eq!(code(&dependent, r#"{"a":1,"b":1}"#), "pass");
}

#[test]
fn schemas_that_cannot_be_checked_refuse_every_call() {
    for schema in [
        r#"{"properties":{"a":{"$ref":"https://evil.test/s.json"}}}"#,
        r#"{"properties":{"a":{"$ref":"file:///etc/passwd"}}}"#,
        r#"{"properties":{"a":{"$ref":"other.json"}}}"#,
        r##"{"properties":{"a":{"$ref":"#/$defs/nowhere"}}}"##,
        r#"{"properties":{"a":{"type":"string","pattern":"("}}}"#,
        r#"{"patternProperties":{"(":{}}}"#,
        r#"{"properties":{"a":{"type":"whatever"}}}"#,
        r#"{"properties":[]}"#,
        r#"{"$schema":"https://json-schema.org/draft/2099-01/schema"}"#,
        r#"{"$schema":"https://evil.test/meta"}"#,
    ] {
        assert_eq!(code(schema, "{}"), "schema.uncompilable", "{schema}");
        let why = compiles(&definition(schema)).expect_err(schema);
        assert!(!why.is_empty() && why.chars().count() <= 201 && !why.contains('\n'), "{why}");
    }
    assert_eq!(compiles(&definition(SILENT)), Ok(()));
    assert_eq!(compiles(&definition(r#"{"properties":{"a":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}}"#)), Ok(()), "the draft's own meta-schema is built in");
}

#[test]
fn patterns_with_look_around_work_and_end() {
    let schema = r#"{"properties":{"a":{"pattern":"^(?!secret)[a-z]+$"},"b":{"pattern":"^(?=(a+)+$)b"}}}"#;
    assert_eq!(code(schema, r#"{"a":"public"}"#), "pass");
    assert_eq!(code(schema, r#"{"a":"secrets"}"#), "schema.invalid");
    let slow = format!(r#"{{"b":"{}!"}}"#, "a".repeat(5000));
    assert_eq!(code(schema, &slow), "schema.invalid");
    let long = format!(r#"{{"a":"{}"}}"#, "b".repeat(20_000));
    assert_eq!(code(r#"{"properties":{"a":{"pattern":"^((?!<script).)*$"}}}"#, &long), "pass");
    let backreference = format!(r#"{{"a":"{}!"}}"#, "a".repeat(40));
    assert_eq!(code(r#"{"properties":{"a":{"pattern":"^(a|aa)+\\1$"}}}"#, &backreference), "schema.invalid");
}

#[test]
fn many_slow_strings_cost_no_more_than_some() {
    let rules = rules(r#"{"properties":{"l":{"items":{"pattern":"^(?:(?=a)(a|aa))+$"}}}}"#);
    let items: Vec<_> = (0..2000).map(|n| format!(r#""{}!{n}""#, "a".repeat(60))).collect();
    // Without a bound this takes minutes.
    assert_eq!(broken(&rules, &format!(r#"{{"l":[{}]}}"#, items.join(","))).as_deref(), Some(": somewhere inside"));
}

#[test]
fn formats_and_contents_are_annotations() {
    let schema = r#"{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"m":{"format":"email"},"c":{"contentEncoding":"base64","contentMediaType":"application/json"}}}"#;
    assert_eq!(code(schema, r#"{"m":"nobody","c":"{not json"}"#), "pass");
}

#[test]
fn the_detail_names_place_and_keyword_and_never_the_value() {
    let control = build(Config::default()).expect("defaults");
    let refused = |schema: &str, arguments: &str| verdict(&control, &case(schema, Some(arguments), Mirror::none())).expect_err(schema).1;
    assert_eq!(refused(SILENT, r#"{"path":"hunter2","n":"hunter2"}"#), "a/t: arguments/n: type");
    assert_eq!(refused(SILENT, r#"{"path":5}"#), "a/t: arguments/path: type");
    assert_eq!(refused(r#"{"properties":{"l":{"items":{"enum":["x"]}}}}"#, r#"{"l":["x","hunter2"]}"#), "a/t: arguments/l/1: enum");
    assert_eq!(refused(r#"{"properties":{"a":{"anyOf":[{"type":"string"},{"const":1}]}}}"#, r#"{"a":[1]}"#), "a/t: arguments/a: anyOf");
    assert_eq!(refused(SILENT, r#"{"path":"a","\u001b[2J\n":1}"#), "a/t: arguments/\\u{1b}[2J\\n");
    let long = refused(SILENT, &format!(r#"{{"path":"a","{}":1}}"#, "k".repeat(100_000)));
    assert!(long.len() < 300, "{}", long.len());
}

#[test]
fn bounds_hold_whatever_the_schema_says() {
    let config = Config { max_string_chars: 4, max_items: 3, max_members: 2, max_depth: 3, ..Config::default() };
    let control = build(config).expect("config");
    let schema = r#"{"additionalProperties":true}"#;
    for (arguments, place) in [
        (r#"{"a":"ääää"}"#, None),
        (r#"{"a":"äääää"}"#, Some("a/t: arguments/a: string too long")),
        (r#"{"a":["x","abcde"]}"#, Some("a/t: arguments/a/1: string too long")),
        (r#"{"abcde":1}"#, Some("a/t: arguments: name of a field too long")),
        (r#"{"a":[1,2,3]}"#, None),
        (r#"{"a":[1,2,3,4]}"#, Some("a/t: arguments/a: too many items")),
        (r#"{"a":1,"b":2,"c":3}"#, Some("a/t: arguments: too many fields")),
        (r#"{"a":{"b":[]}}"#, None),
        (r#"{"a":{"b":[1,[]]}}"#, Some("a/t: arguments/a/b/1: nested too deeply")),
    ] {
        let found = verdict(&control, &case(schema, Some(arguments), Mirror::none()));
        assert_eq!(found, place.map_or(Ok(()), |place| Err(("schema.bounds", place.to_owned()))), "{arguments}");
    }
}

#[test]
fn overrides_are_per_tool_and_bounds_still_hold() {
    let control = |dangerous: &str| {
        let text = format!("max_string_chars = 10\n[dangerous]\n{dangerous}");
        build(toml::from_str(&text).expect("toml")).expect("config")
    };
    let ask = |control: &Schema, schema: &str, arguments: &str| verdict(control, &case(schema, Some(arguments), Mirror::none())).map_or_else(|(code, _)| code, |()| "pass");
    let open = control(r#"allow_undeclared = ["a/t"]"#);
    assert_eq!(ask(&open, SILENT, r#"{"path":"a","x":1}"#), "pass");
    assert_eq!(ask(&open, SILENT, r#"{"path":1,"x":1}"#), "schema.invalid");
    assert_eq!(ask(&open, r#"{"additionalProperties":false}"#, r#"{"x":1}"#), "schema.unknown-field");
    let off = control(r#"unvalidated = ["a/t"]"#);
    for schema in [SILENT, r#"{"$ref":"https://evil.test/s.json"}"#] {
        assert_eq!(ask(&off, schema, r#"{"x":1}"#), "pass");
        assert_eq!(ask(&off, schema, r#"{"x":"aaaaaaaaaaa"}"#), "schema.bounds");
    }
    let other = control("unvalidated = [\"a/t2\", \"b/t\", \"a/t/x\"]");
    assert_eq!(ask(&other, SILENT, r#"{"x":1}"#), "schema.unknown-field");
}

#[test]
fn mirrored_headers_must_agree() {
    let schema = r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#;
    let ask = |dangerous: &str, header: &str| {
        let control = build(toml::from_str(dangerous).expect("toml")).expect("config");
        let params = vec![("region".to_owned(), Header::Once(header.to_owned()))];
        verdict(&control, &case(schema, Some(r#"{"region":"eu"}"#), Mirror { http: true, params, ..Mirror::default() }))
    };
    assert_eq!(ask("", "eu"), Ok(()));
    for dangerous in ["", "[dangerous]\nunvalidated = [\"a/t\"]"] {
        let (code, detail) = ask(dangerous, "us").expect_err("mismatch");
        assert_eq!(code, "schema.header-mismatch");
        assert!(!detail.contains("us") && !detail.contains("eu"), "{detail}");
    }
}

#[test]
fn mistakes_in_the_configuration_are_errors() {
    for text in ["max_items = 0", "max_depth = 0", "[dangerous]\nunvalidated = [\"t\"]", "[dangerous]\nallow_undeclared = [\"a/\"]", "max_item = 1", "[dangerous]\nall = true"] {
        let built = toml::from_str(text).and_then(build);
        assert!(built.is_err(), "{text}");
    }
}

#[test]
fn contracts_are_compiled_once() {
    let control = build(Config::default()).expect("defaults");
    let first = case(SILENT, Some("{}"), Mirror::none());
    let tool = first.tool().expect("tool");
    let contract = control.contract(tool).expect("no fault");
    assert!(Arc::ptr_eq(&contract, &control.contract(tool).expect("no fault")));
}
