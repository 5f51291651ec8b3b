//! The gateway as an OAuth resource server, against a real authorization server.

use std::net::TcpListener;
use std::time::Duration;

use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Response, Served};
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{eventually, within};
use bartizan_tests::provider::{Provider, form};
use bartizan_tests::script::{Era, Script};
use serde_json::{Value, json};

const RESOURCE: &str = "https://gateway.test/mcp";
const OPAQUE: &str = "https://gateway.test/opaque/mcp";

/// A gateway before one scripted server, that trusts an issuer.
fn stage(issuer: &str, resource: &str, rest: &str) -> Stage {
    let stage = Stage::with_server("files", &Script::with_tools(["read_file"]).era(Era::Both));
    std::fs::write(stage.path("secret"), "gateway-secret").expect("writable");
    stage.configure(&format!(
        "[oauth]\nresource = \"{resource}\"\n{rest}\n[[oauth.issuer]]\nissuer = \"{issuer}\"\nclaims = {{ groups = \"groups\" }}\n\
         introspection = {{ url = \"{issuer}/token/introspection\", client_id = \"gateway\", client_secret = \"${{file:secret}}\", cache = \"1s\" }}\n\
         [dangerous]\nprivate_issuers = [\"{issuer}\"]"
    ));
    stage
}

fn call(gateway: &Served, token: &str) -> Response {
    gateway.visitor(token).at("/mcp/files").modern("tools/call", &json!({"name": "read_file", "arguments": {}}))
}

/// What a call comes to: its reason, or `good`.
fn outcome(answer: &Response) -> String {
    reason(&answer.json()).map_or_else(|| if text(&answer.json()).is_empty() { "strange" } else { "good" }.to_owned(), str::to_owned)
}

fn challenge(answer: &Response) -> String {
    answer.head.header("www-authenticate").unwrap_or_default().to_owned()
}

/// A token that says this and is signed by nobody.
fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}.c2ln", base64url(&header.to_string()), base64url(&claims.to_string()))
}

fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |word, byte| (word << 8) | usize::from(*byte));
        (0..=chunk.len()).map(|place| char::from(DIGITS[(word >> (18 - 6 * place)) & 63])).collect::<String>()
    };
    text.as_bytes().chunks(3).map(digits).collect()
}

/// A token with another last character. The last of a signature of 64 bytes is one of four.
fn changed(token: &str) -> String {
    let last = if token.ends_with('A') { 'Q' } else { 'A' };
    format!("{}{last}", &token[..token.len() - 1])
}

#[test]
fn a_client_that_knows_nothing_finds_out_where_to_get_a_token() {
    let issuer = "https://login.example.test";
    let stage = Stage::with_server("files", &Script::with_tools(["read_file"]));
    stage.configure(&format!(
        "[oauth]\nresource = \"{RESOURCE}\"\nrequired_scopes = [\"mcp:read\"]\n[[oauth.issuer]]\nissuer = \"{issuer}\""
    ));
    let gateway = stage.serve();
    let stranger = gateway.visitor("").without("Authorization");
    let refused = stranger.modern("tools/list", &json!({}));
    assert_eq!((refused.status(), reason(&refused.json())), (401, Some("identity.missing")));
    let address = "https://gateway.test/.well-known/oauth-protected-resource/mcp";
    assert_eq!(challenge(&refused), format!("Bearer realm=\"bartizan\", resource_metadata=\"{address}\", scope=\"mcp:read\""));
    for path in ["", "/mcp", "/mcp/files", "/mcp/nobody"] {
        let found = stranger.clone().at(&format!("/.well-known/oauth-protected-resource{path}")).send("GET", "");
        assert_eq!(found.status(), 200, "{path}");
        let expected = json!({
            "resource": RESOURCE,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["mcp:read"],
        });
        assert_eq!(found.json(), expected, "{path}");
    }
    for path in ["/other", "/mcp/a/b"] {
        assert_eq!(stranger.clone().at(&format!("/.well-known/oauth-protected-resource{path}")).send("GET", "").status(), 401, "{path}");
    }
    let elsewhere = stranger.with("Host", "evil.example").at("/.well-known/oauth-protected-resource").send("GET", "");
    assert_eq!(elsewhere.status(), 403, "a page of somebody else's does not read it");
}

#[test]
fn programs_and_people_come_in_with_tokens_of_a_real_issuer() {
    let mut provider = Provider::start();
    let host = provider.address();
    for (algorithm, resource) in [("ES256", RESOURCE.to_owned())]
        .into_iter()
        .chain(["RS256", "PS256", "EdDSA"].map(|name| (name, format!("https://gateway.test/{name}/mcp"))))
    {
        let stage = stage(&provider.issuer, &resource, "");
        let gateway = stage.serve();
        let token = provider.token(&resource, "mcp:read");
        assert_eq!(outcome(&call(&gateway, &token)), "good", "{algorithm}\n{}", gateway.said.text());
        assert_eq!(outcome(&call(&gateway, &token)), "good", "{algorithm}");
        assert_eq!(outcome(&call(&gateway, &provider.sign_in("alice", &resource, "mcp:read"))), "good", "{algorithm}");
        let principals: Vec<Value> = stage
            .journal()
            .0
            .iter()
            .filter(|line| line.get("event").is_some_and(|event| event == "closed"))
            .map(|line| stage.journal().whole(line))
            .map(|record| json!([record["principal"], record["application"]]))
            .collect();
        let robot = json!([format!("oauth:{host}#robot"), "robot"]);
        assert_eq!(principals, [robot.clone(), robot, json!([format!("oauth:{host}#alice"), "app"])], "{algorithm}");
        stage.verify();
    }
    assert_eq!(provider.asked("keys"), 4, "once per gateway");
    assert_eq!(provider.asked("introspection"), 0, "a signed token is not shown to anybody");
}

#[test]
fn a_callers_token_never_leaves() {
    let provider = Provider::start();
    let stage = stage(&provider.issuer, RESOURCE, "");
    let script = Script::with_tools(["fetch"]).era(Era::Both);
    let _server = stage.http_server("web", &script);
    stage.approve_all("web", &script);
    let gateway = stage.serve();
    for token in [provider.token(RESOURCE, "mcp:read"), provider.sign_in("alice", RESOURCE, "mcp:read")] {
        for (path, name) in [("/mcp/web", "fetch"), ("/mcp/files", "read_file")] {
            let visitor = gateway.visitor(&token).at(path).with("X-Forwarded-Access-Token", &token).with("Cookie", &format!("t={token}"));
            let answer = visitor.modern("tools/call", &json!({"name": name, "arguments": {}}));
            assert_eq!(outcome(&answer), "good", "{}", answer.json());
        }
        let signature = token.rsplit('.').next().expect("three parts");
        for server in ["web", "files"] {
            let received = stage.received(server);
            assert!(received.iter().any(|received| received.method() == "tools/call"), "{server}");
            assert!(received.iter().all(|received| !received.head.contains(signature) && !received.line.contains(signature)), "{server}");
        }
        let state = std::fs::read_dir(stage.state()).expect("state").flatten().filter(|file| file.path().is_file());
        for file in state
            .map(|file| file.path())
            .chain(std::fs::read_dir(stage.state().join("journal")).into_iter().flatten().flatten().map(|file| file.path()))
        {
            assert!(!String::from_utf8_lossy(&std::fs::read(&file).expect("readable")).contains(signature), "{}", file.display());
        }
        assert!(!gateway.said.text().contains(signature));
    }
}

#[test]
fn tokens_for_somebody_else_and_from_somebody_else_stay_out() {
    let provider = Provider::start();
    let stage = stage(&provider.issuer, RESOURCE, "");
    stage.configure("[oauth]\nrequired_scopes = [\"mcp:read\"]");
    let gateway = stage.serve();
    let good = provider.token(RESOURCE, "mcp:read");
    assert_eq!(outcome(&call(&gateway, &good)), "good");
    let claims = json!({"iss": provider.issuer, "aud": RESOURCE, "sub": "robot", "exp": 4_000_000_000_u64});
    let other = json!({"iss": "https://elsewhere.test", "aud": RESOURCE, "sub": "robot", "exp": 4_000_000_000_u64});
    let rows = [
        ("another audience", provider.token("https://gateway.test/mcp2", "mcp:read"), 401, "identity.audience"),
        ("another audience, opaque", provider.token(OPAQUE, "mcp:read"), 401, "identity.audience"),
        ("no scope that is needed", provider.token(RESOURCE, "mcp:other"), 403, "identity.scope"),
        ("another issuer", unsigned(&json!({"alg": "ES256", "typ": "JWT", "kid": "ES256-1"}), &other), 401, "identity.issuer"),
        ("no signature", unsigned(&json!({"alg": "none", "typ": "JWT"}), &claims), 401, "identity.algorithm"),
        ("a shared secret", unsigned(&json!({"alg": "HS256", "typ": "JWT", "kid": "ES256-1"}), &claims), 401, "identity.algorithm"),
        ("a wrong signature", unsigned(&json!({"alg": "ES256", "typ": "JWT", "kid": "ES256-1"}), &claims), 401, "identity.invalid"),
        ("no token at all", "nonsense".to_owned(), 401, "identity.invalid"),
        ("huge", "x".repeat(20_000), 401, "identity.invalid"),
        ("empty", String::new(), 401, "identity.invalid"),
        ("a bit of it changed", changed(&good), 401, "identity.invalid"),
    ];
    for (what, token, status, expected) in rows {
        let answer = call(&gateway, &token);
        assert_eq!((answer.status(), outcome(&answer).as_str()), (status, expected), "{what}\n{}", gateway.said.text());
        let said = challenge(&answer);
        let error = if status == 403 { "insufficient_scope" } else { "invalid_token" };
        assert!(
            said.contains(&format!("error=\"{error}\"")) && said.contains("scope=\"mcp:read\"") && said.contains("resource_metadata="),
            "{what}: {said}"
        );
    }
    let twice = gateway.visitor(&good).at("/mcp/files");
    let mut wire = gateway.dial();
    wire.send(format!("POST /mcp/files HTTP/1.1\r\nHost: {0}\r\nAuthorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\nContent-Length: 0\r\n\r\n", gateway.address).as_bytes());
    assert_eq!(wire.response().expect("an answer").status(), 401, "two headers");
    let basic = twice.clone().with("Authorization", &format!("Basic {good}")).modern("tools/list", &json!({}));
    assert_eq!((basic.status(), outcome(&basic).as_str()), (401, "identity.invalid"), "another scheme");
    let query = twice.at(&format!("/mcp/files?{}", form(&[("access_token", &good)]))).modern("tools/list", &json!({}));
    assert_eq!((query.status(), outcome(&query).as_str()), (401, "identity.invalid"), "in the address");
    assert!(stage.reached("files").len() == 1, "{:?}", stage.reached("files"));
}

#[test]
fn opaque_tokens_are_asked_about_and_end_when_they_are_revoked() {
    let mut provider = Provider::start();
    let stage = stage(&provider.issuer, OPAQUE, "");
    let gateway = stage.serve();
    let (token, other) = (provider.token(OPAQUE, "mcp:read"), provider.sign_in("alice", OPAQUE, "mcp:read"));
    let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
    let mut stream = session.begin("GET", "");
    assert_eq!(stream.head().expect("a stream").status, 200);
    assert!(session.request("tools/list", &json!({})).json().get("result").is_some());
    assert_eq!(outcome(&call(&gateway, &other)), "good");
    let asked = provider.asked("introspection");
    assert!((2..6).contains(&asked), "an answer holds for a moment: {asked}");
    provider.revoke(&token);
    let took = within(Duration::from_secs(10), "the revoked token is out", || session.request("tools/list", &json!({})).status() == 401);
    eprintln!("revoked at the issuer, refused here after {took:?} (answers hold for 1 s)");
    assert_eq!(outcome(&call(&gateway, &token)), "identity.invalid", "and stays out");
    assert_eq!(outcome(&call(&gateway, &other)), "good", "the other one is not concerned");
    // The stream of the session ends with it: the next sweep sees that no token of its caller holds.
    assert_eq!(stream.events().count(), 0);
    stage.verify();
}

#[test]
fn keys_are_rotated_and_old_ones_stop_working() {
    let mut provider = Provider::start();
    let stage = stage(&provider.issuer, RESOURCE, "");
    let gateway = stage.serve();
    let old = provider.token(RESOURCE, "mcp:read");
    assert_eq!(outcome(&call(&gateway, &old)), "good");
    provider.rotate();
    let new = provider.token(RESOURCE, "mcp:read");
    let before = provider.asked("keys");
    // Keys are not fetched more often than every ten seconds, whoever asks.
    let took = within(Duration::from_secs(20), "the new key is known", || outcome(&call(&gateway, &new)) == "good");
    eprintln!("a new key works after {took:?}");
    assert_eq!(provider.asked("keys") - before, 1);
    assert_eq!(outcome(&call(&gateway, &old)), "identity.invalid", "verified before, and its key is gone");
    assert_eq!(provider.asked("keys") - before, 1, "and that cost no question");
}

#[test]
fn scopes_open_servers_and_effects_and_a_challenge_names_them() {
    let provider = Provider::start();
    let stage = stage(&provider.issuer, RESOURCE, "");
    let script = Script::with_tools(["look", "change"]).era(Era::Both);
    stage.server("notes", &script);
    stage.approve(&["notes"], &["look=read", "change=write"]);
    stage.vouch();
    stage.configure(
        "[oauth.scopes]\n\"mcp:read\" = { servers = [\"notes\"], effect = \"read\" }\n\
         \"mcp:write\" = { servers = [\"notes\"], effect = \"write\" }\n\"mcp:other\" = { servers = [\"files\"], effect = \"read\" }\n\
         [controls.confirm]\nwrite = \"never\"",
    );
    let gateway = stage.serve();
    let reader = provider.token(RESOURCE, "mcp:read");
    let on =
        |token: &str, path: &str, name: &str| gateway.visitor(token).at(path).modern("tools/call", &json!({"name": name, "arguments": {}}));
    assert_eq!(outcome(&on(&reader, "/mcp/notes", "look")), "good");
    let refused = on(&reader, "/mcp/notes", "change");
    assert_eq!((refused.status(), outcome(&refused).as_str()), (403, "identity.scope"), "{}", refused.json());
    assert!(challenge(&refused).contains("error=\"insufficient_scope\", scope=\"mcp:write\""), "{}", challenge(&refused));
    let hidden = on(&reader, "/mcp/files", "read_file");
    assert_eq!((hidden.status(), outcome(&hidden).as_str()), (403, "identity.scope"));
    assert!(challenge(&hidden).contains("scope=\"mcp:other\""), "{}", challenge(&hidden));
    let listed = gateway.visitor(&reader).at("/mcp").modern("tools/list", &json!({})).json();
    let names: Vec<&str> = listed["result"]["tools"].as_array().expect("tools").iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["notes__look", "notes__change"], "what more rights would open is shown; a server without any is not");
    // The same principal with more rights: what it did before with less does not narrow it, nor the other way round.
    let writer = provider.token(RESOURCE, "mcp:read mcp:write");
    assert_eq!(outcome(&on(&writer, "/mcp/notes", "change")), "good");
    assert_eq!(outcome(&on(&reader, "/mcp/notes", "change")), "identity.scope");
    let session = gateway.visitor(&writer).at("/mcp/notes").initialize();
    let borrowed =
        gateway.visitor(&reader).at("/mcp/notes").with("Mcp-Session-Id", session.session()).with("MCP-Protocol-Version", "2025-11-25");
    assert_eq!(borrowed.clone().request("tools/list", &json!({})).status(), 404, "a session keeps the rights that it began with");
    // What reads `notes` and reads `files` does not write either of them.
    let mixed = provider.token(RESOURCE, "mcp:other mcp:write");
    assert_eq!(outcome(&on(&mixed, "/mcp/files", "read_file")), "good");
    assert_eq!(outcome(&on(&mixed, "/mcp/notes", "change")), "good");
}

#[test]
fn policies_see_groups_and_applications() {
    let provider = Provider::start();
    let stage = stage(&provider.issuer, RESOURCE, "");
    std::fs::write(
        stage.path("policy.cedar"),
        "permit (principal, action, resource) when { principal.means == \"oauth\" && principal.groups.contains(\"ops\") && \
         principal has application && principal.application == \"app\" };",
    )
    .expect("writable");
    stage.configure("[policy]\nfiles = [\"policy.cedar\"]");
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &provider.sign_in("alice", RESOURCE, "mcp:read"))), "good");
    assert_eq!(outcome(&call(&gateway, &provider.token(RESOURCE, "mcp:read"))), "catalog.unknown", "the robot is another application");
    assert_eq!(outcome(&call(&gateway, &stage.token("own", &[]).text)), "catalog.unknown");
}

/// RFC 9470: what a fresh or stronger login would allow is challenged for; whom no issuer sent is told.
#[test]
fn what_a_login_would_allow_is_challenged_for() {
    let provider = Provider::start();
    let stage = stage(&provider.issuer, RESOURCE, "");
    std::fs::write(
        stage.path("policy.cedar"),
        "permit (principal, action, resource);\n@stepup(\"second-factor, fresh-login 900\") @acr(\"urn:example:mfa\")\n\
         forbid (principal, action, resource) unless { principal.secondFactor && principal has loggedIn };",
    )
    .expect("writable");
    stage.configure("[policy]\nfiles = [\"policy.cedar\"]");
    let gateway = stage.serve();
    let refused = call(&gateway, &provider.token(RESOURCE, "mcp:read"));
    assert_eq!((refused.status(), outcome(&refused).as_str()), (401, "identity.login"), "{}", refused.json());
    let said = challenge(&refused);
    assert!(
        said.starts_with("Bearer ")
            && said.ends_with("error=\"insufficient_user_authentication\", acr_values=\"urn:example:mfa\", max_age=\"900\""),
        "{said}"
    );
    let own = call(&gateway, &stage.token("own", &[]).text);
    assert_eq!((own.status(), outcome(&own).as_str()), (200, "policy.step-up"), "{}", own.json());
}

#[test]
fn who_cannot_be_asked_lets_nobody_in() {
    let provider = Provider::start();
    let token = provider.token(RESOURCE, "mcp:read");
    // Nobody listens, and somebody who does and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for address in [silent.local_addr().expect("an address"), gone] {
        let stage = stage(&provider.issuer, RESOURCE, "");
        let issuer = &provider.issuer;
        stage.configure(&format!(
            "[[oauth.issuer]]\nissuer = \"{issuer}\"\njwks_uri = \"http://{address}/jwks\"\n\
             introspection = {{ url = \"http://{address}/i\", client_id = \"gateway\", client_secret = \"${{file:secret}}\" }}"
        ));
        let gateway = stage.serve();
        for token in [&token, "opaque"] {
            let answer = call(&gateway, token);
            assert_eq!((answer.status(), outcome(&answer).as_str()), (503, "identity.unavailable"), "{}", gateway.said.text());
            assert!(challenge(&answer).is_empty() && answer.head.header("retry-after").is_some(), "another token would not help");
        }
        assert_eq!(outcome(&call(&gateway, &stage.token("own", &[]).text)), "good", "the gateway's own tokens do not depend on anybody");
    }
}

#[test]
fn a_token_ends_in_a_running_session_too() {
    let provider = Provider::start();
    let resource = "https://gateway.test/ttl-3/mcp";
    let stage = stage(&provider.issuer, resource, "clock_skew = \"1s\"");
    let gateway = stage.serve();
    let token = provider.token(resource, "mcp:read");
    let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
    assert!(session.request("tools/list", &json!({})).json().get("result").is_some());
    eventually("the token has ended", || outcome(&call(&gateway, &token)) == "identity.expired");
    let refused = session.request("tools/list", &json!({}));
    assert_eq!((refused.status(), reason(&refused.json())), (401, Some("identity.expired")));
    stage.verify();
}
