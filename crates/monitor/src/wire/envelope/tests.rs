use super::*;

fn client(text: &str, mirror: &Mirror, negotiated: Option<Version>) -> Result<Parsed, Misread> {
    match parse(Bytes::copy_from_slice(text.as_bytes()), mirror, negotiated) {
        Arrival::One(parsed) => *parsed,
        Arrival::Batch(_) => panic!("a batch"),
    }
}

fn stdio(text: &str) -> Result<Parsed, Misread> {
    client(text, &Mirror::none(), None)
}

fn refused(text: &str) -> &'static str {
    stdio(text).expect_err(text).refusal.reason.code()
}

#[test]
fn plain_messages() {
    let parsed = stdio(r#"{"jsonrpc":"2.0","id":0,"method":"tools/list"}"#).expect("request");
    assert!(matches!(parsed.message(), Message::Request { method: Method::ToolsList, params: None, .. }));
    assert_eq!(parsed.id().and_then(Id::as_number), Some(0));
    let parsed = stdio(r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":null}"#).expect("notification");
    assert!(matches!(parsed.message(), Message::Notification { params: None, .. }));
    let parsed = stdio(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#).expect("response");
    assert!(matches!(parsed.message(), Message::Response { .. }));
}

#[test]
fn malformed_envelopes() {
    for (text, code) in [
        ("null", "wire.envelope"),
        ("{}", "wire.envelope"),
        (r#"{"id":1,"method":"ping"}"#, "wire.envelope"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"METHOD":"ping"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","method":"tools/list"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#, "wire.envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, "wire.method"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#, "wire.method"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"x"}}"#, "wire.params"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[1]}}"#, "wire.params"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":1}}"#, "wire.params"),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "wire.json"),
        ("[]", "wire.batch"),
        ("'x'", "wire.json"),
    ] {
        assert_eq!(refused(text), code, "{text}");
    }
}

#[test]
fn the_id_of_a_misread_message_is_kept_for_the_answer() {
    let misread = stdio(r#"{"jsonrpc":"2.0","id":7,"method":"nope"}"#).expect_err("unknown method");
    assert_eq!(misread.id.and_then(|id| id.as_number()), Some(7));
}

const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

fn http(version: &str, method: &str, name: &str) -> Mirror {
    let once = |text: &str| if text.is_empty() { Header::Absent } else { Header::Once(text.to_owned()) };
    Mirror { http: true, version: once(version), method: once(method), name: once(name), params: Vec::new() }
}

#[test]
fn modern_requests_say_the_same_twice() {
    assert_eq!(stdio(MODERN).expect("stdio").version(), Version::NEWEST);
    assert!(client(MODERN, &http("2026-07-28", "tools/call", "t"), None).is_ok());
    for mirror in [
        http("2025-11-25", "tools/call", "t"),
        http("", "tools/call", "t"),
        http("2026-07-28", "tools/list", "t"),
        http("2026-07-28", "", "t"),
        http("2026-07-28", "tools/call", "u"),
        http("2026-07-28", "tools/call", ""),
    ] {
        let misread = client(MODERN, &mirror, None).expect_err("mismatch");
        assert_eq!(misread.refusal.reason, HEADER_MISMATCH, "{mirror:?}");
    }
}

#[test]
fn modern_requests_carry_version_and_capabilities() {
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    assert_eq!(client(bare, &http("2026-07-28", "tools/list", ""), None).expect_err("meta").refusal.reason, PARAMS);
    let future = MODERN.replace("2026-07-28", "2030-01-01");
    assert_eq!(client(&future, &http("2030-01-01", "tools/call", "t"), None).expect_err("future").refusal.reason, VERSION);
    let without = MODERN.replace("clientCapabilities", "other");
    assert_eq!(stdio(&without).expect_err("capabilities").refusal.reason, PARAMS);
}

#[test]
fn versions_of_legacy_messages() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let version = |header: &str, negotiated| {
        client(list, &http(header, "", ""), negotiated).map(|parsed| parsed.version()).map_err(|m| m.refusal.reason.code())
    };
    assert_eq!(version("", None), Ok(Version::V2025_03_26));
    assert_eq!(version("", Some(Version::V2025_11_25)), Ok(Version::V2025_11_25));
    assert_eq!(version("2025-06-18", Some(Version::V2025_11_25)), Err("wire.header-mismatch"));
    assert_eq!(version("1999-01-01", None), Err("wire.version"));
}

#[test]
fn only_modern_messages_have_headers_that_mirror_them() {
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
    let mirrors = |text: &str, mirror: &Mirror, session| client(text, mirror, session).expect(text).mirror().http;
    assert!(!mirrors(legacy, &http("2025-11-25", "", ""), Some(Version::V2025_11_25)));
    assert!(!mirrors(legacy, &http("", "", ""), None));
    assert!(mirrors(MODERN, &http("2026-07-28", "tools/call", "t"), None));
}

#[test]
fn batches_only_in_their_version() {
    let batch = br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"nope"}]"#;
    let arrival = |version| parse(Bytes::from_static(batch), &Mirror::none(), Some(version));
    let Arrival::Batch(items) = arrival(Version::V2025_03_26) else { panic!("a batch") };
    assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    assert!(matches!(arrival(Version::V2025_06_18), Arrival::One(parsed) if parsed.is_err()));
}

#[test]
fn servers_send_only_what_servers_send() {
    let server = |text: &'static str| parse_server(Bytes::from_static(text.as_bytes()), Version::V2025_11_25);
    assert!(server(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).is_ok());
    assert!(server(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#).is_err());
    assert!(server("\u{1b}]0;pwned\u{7}{}").is_err());
}
