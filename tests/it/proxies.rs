//! Who comes through a reverse proxy, and who comes without a credential.

use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Response, Visitor, Waited};
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::eventually;
use bartizan_tests::provider::Provider;
use bartizan_tests::script::{Era, Script};
use serde_json::{Value, json};

fn call(visitor: &Visitor<'_>) -> Response {
    visitor.clone().at("/mcp/files").modern("tools/call", &json!({"name": "read_file", "arguments": {}}))
}

fn outcome(answer: &Response) -> String {
    reason(&answer.json()).map_or_else(|| if text(&answer.json()).is_empty() { "strange" } else { "good" }.to_owned(), str::to_owned)
}

fn stage(rest: &str) -> Stage {
    let stage = Stage::with_server("files", &Script::with_tools(["read_file"]).era(Era::Both));
    stage.configure(rest);
    stage
}

/// A member of the record that was closed last.
fn last(stage: &Stage, member: &str) -> String {
    let closed = stage.journal().last_closed().expect("a call");
    stage.journal().whole(&closed)[member].as_str().unwrap_or_default().to_owned()
}

#[test]
fn only_configured_proxies_say_where_a_request_comes_from() {
    let (named, unnamed) = (stage("[listen]\nproxies = [\"127.0.0.1\"]"), stage("[listen]\nproxies = [\"192.0.2.0/24\"]"));
    for (stage, believed) in [(&named, true), (&unnamed, false)] {
        let gateway = stage.serve();
        let visitor = gateway.visitor(&stage.token("own", &[]).text);
        for (header, value) in
            [("X-Forwarded-For", "127.0.0.9, 198.51.100.7"), ("Forwarded", "for=127.0.0.9, for=\"198.51.100.7:4711\";proto=https")]
        {
            let answer = call(&visitor.clone().with(header, value));
            assert_eq!(outcome(&answer), "good", "{}", answer.json());
            assert_eq!(last(stage, "peer"), if believed { "198.51.100.7" } else { "127.0.0.1" }, "{header}");
        }
        for (what, header, value, status, expected) in [
            ("clear text", "X-Forwarded-Proto", "http", 403, "identity.cleartext"),
            ("another host", "X-Forwarded-Host", "evil.example", 403, "wire.origin"),
            ("nonsense", "Forwarded", "for", 400, "wire.http"),
        ] {
            let visitor = visitor.clone().with(header, value);
            let answer = call(&if header == "Forwarded" { visitor } else { visitor.with("X-Forwarded-For", "198.51.100.7") });
            let expected = if believed { (status, expected) } else { (200, "good") };
            assert_eq!((answer.status(), outcome(&answer).as_str()), expected, "{what}, believed: {believed}");
        }
    }
}

#[test]
fn clients_behind_a_proxy_have_shares_of_their_own() {
    let stage = stage("[listen]\nproxies = [\"127.0.0.1\"]\n[limits]\nconnections_per_address = 1");
    let gateway = stage.serve();
    let visitor = gateway.visitor(&stage.token("own", &[]).text).at("/mcp/files");
    let (one, two) = (visitor.clone().with("X-Forwarded-For", "198.51.100.7"), visitor.with("X-Forwarded-For", "198.51.100.8"));
    let session = one.clone().initialize();
    let mut stream = session.begin("GET", "");
    assert_eq!(stream.head().expect("a stream").status, 200);
    assert_eq!(outcome(&call(&one)), "serve.share", "its one place is taken as long as the stream is read");
    assert_eq!(outcome(&call(&two)), "good", "another client of the same proxy has its own");
    stream.hang_up();
    eventually("the place comes back", || outcome(&call(&one)) == "good");
}

#[test]
fn without_tls_only_proxies_connect_from_elsewhere() {
    for (proxies, allowed) in [("127.0.0.1", true), ("192.0.2.1", false)] {
        let stage = stage(&format!("[listen]\naddress = \"0.0.0.0:0\"\nallowed_hosts = [\"gateway.test\"]\nproxies = [\"{proxies}\"]"));
        let gateway = stage.serve();
        let visitor = gateway.visitor(&stage.token("own", &[]).text).with("Host", "gateway.test");
        if allowed {
            assert_eq!(outcome(&call(&visitor.with("X-Forwarded-For", "198.51.100.7"))), "good");
        } else {
            let mut wire = visitor.begin("POST", "{}");
            assert_eq!(wire.wait(std::time::Duration::from_secs(5)), Waited::End, "closed unread");
        }
    }
    let closed = stage("[listen]\naddress = \"0.0.0.0:0\"").output(&["serve"]);
    assert!(!closed.status.success() && String::from_utf8_lossy(&closed.stderr).contains("listen.tls"), "{closed:?}");
}

#[test]
fn nobody_is_anonymous_but_programs_of_this_machine_where_that_is_written() {
    let closed = stage("");
    let gateway = closed.serve();
    let answer = call(&gateway.visitor("").without("Authorization"));
    assert_eq!((answer.status(), outcome(&answer).as_str()), (401, "identity.missing"), "off unless written");
    let stage = stage("[listen]\nanonymous = { servers = [\"files\"] }");
    let script = Script::with_tools(["look", "change"]).era(Era::Both);
    stage.server("notes", &script);
    stage.approve_all("notes", &script);
    let gateway = stage.serve();
    let nobody = gateway.visitor("").without("Authorization");
    assert_eq!(outcome(&call(&nobody)), "good");
    assert_eq!(last(&stage, "principal"), "anonymous:anyone");
    let token = stage.token("own", &[]);
    let revoked = stage.token("gone", &[]);
    stage.done(&["token", "revoke", &revoked.id]);
    let bearing = |value: &str| nobody.clone().with("Authorization", value);
    for (what, visitor, expected) in [
        ("a good token", bearing(&format!("Bearer {}", token.text)), "good"),
        ("a revoked token", bearing(&format!("Bearer {}", revoked.text)), "identity.revoked"),
        ("an unknown token", bearing("Bearer bzt_00000000_AAAA"), "identity.invalid"),
        ("an empty header", bearing(""), "identity.invalid"),
        ("another scheme", bearing("Basic YTpi"), "identity.invalid"),
        ("a token in the address", nobody.clone().at("/mcp?access_token=x"), "identity.invalid"),
        ("through a proxy", nobody.clone().with("X-Forwarded-For", "127.0.0.1"), "identity.missing"),
        ("through a tunnel", nobody.clone().with("Via", "1.1 tunnel"), "identity.missing"),
        ("for a page elsewhere", nobody.clone().with("Origin", "https://evil.example"), "wire.origin"),
    ] {
        let found = if what.ends_with("address") { visitor.modern("tools/list", &json!({})) } else { call(&visitor) };
        assert_eq!(outcome(&found), expected, "{what}");
    }
    let (hidden, unknown) = (nobody.clone().at("/mcp/notes"), nobody.clone().at("/mcp/nothing"));
    assert_eq!((hidden.modern("tools/list", &json!({})).status(), unknown.modern("tools/list", &json!({})).status()), (404, 404));
    let listed = nobody.at("/mcp").modern("tools/list", &json!({})).json();
    let names: Vec<&str> = listed["result"]["tools"].as_array().expect("tools").iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["files__read_file"]);
    stage.verify();
}

#[test]
fn a_server_that_no_scope_names_is_not_told_of() {
    let provider = Provider::start();
    let resource = "https://gateway.test/mcp";
    let issuer = &provider.issuer;
    let stage = stage(&format!(
        "[oauth]\nresource = \"{resource}\"\n[oauth.scopes]\n\"mcp:read\" = {{ servers = [\"notes\"], effect = \"read\" }}\n\"mcp:write\" = {{ effect = \"write\" }}\n\
         [[oauth.issuer]]\nissuer = \"{issuer}\"\n[dangerous]\nprivate_issuers = [\"{issuer}\"]"
    ));
    let script = Script::with_tools(["look"]).era(Era::Both);
    stage.server("notes", &script);
    stage.approve_all("notes", &script);
    let gateway = stage.serve();
    let reader = gateway.visitor(&provider.token(resource, "mcp:read"));
    let told = |path: &str| {
        let answer = reader.clone().at(path).modern("tools/list", &json!({}));
        let mut body = answer.json();
        // The number of the call differs from call to call.
        if let Some(Value::Object(data)) = body.pointer_mut("/error/data") {
            data.remove("call");
        }
        (answer.status(), body, answer.head.header("www-authenticate").map(str::to_owned))
    };
    assert_eq!(told("/mcp/files"), told("/mcp/nothing"), "hidden and unknown are one");
    assert_eq!(told("/mcp/files").0, 404);
    assert_eq!(told("/mcp/notes").0, 200);
    let writer = gateway.visitor(&provider.token(resource, "mcp:write"));
    assert_eq!(outcome(&call(&writer)), "good", "the scope opens it all the same");
}
