//! Secrets towards servers: found when they are used, replaced without a restart, and never told to anybody else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_tests::gateway::{Guarded, Stage};
use bartizan_tests::http::{Response, Served};
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::eventually;
use bartizan_tests::provider::Provider;
use bartizan_tests::script::{self, Act, Era, Script};
use bartizan_tests::standin::{Says, StandIn};
use bartizan_tests::vault::Vault;
use serde_json::{Value, json};

const VAULT_TOKEN: &str = "canary-vault-token-of-the-gateway";

fn script() -> Script {
    Script::with_tools(["look", "drop"]).era(Era::Both)
}

/// A stage with a server over HTTP, called `remote`, and what stands in its part of the configuration.
fn remote(stage: &Stage, rest: &str) -> Guarded {
    let running = stage.http_server("remote", &script());
    stage.configure(rest);
    stage.approve(&["remote"], &["look=read", "drop=destructive"]);
    stage.vouch();
    stage.forget_log("remote");
    running
}

fn vault(stage: &Stage, vault: &Vault, rest: &str) {
    stage.configure(&format!("[secrets]\ncache = \"100ms\"\n[secrets.vault]\naddress = \"http://{}\"\n{rest}", vault.standin.address));
}

fn write(stage: &Stage, name: &str, value: &str) -> PathBuf {
    let (path, new) = (stage.path(name), stage.path(&format!("{name}.new")));
    std::fs::write(&new, value).and_then(|()| std::fs::rename(&new, &path)).expect("writable");
    path
}

fn call(gateway: &Served, token: &str, server: &str, tool: &str) -> Response {
    gateway.visitor(token).at(&format!("/mcp/{server}")).modern("tools/call", &json!({"name": tool, "arguments": {}}))
}

/// What comes of a session in the legacy era: its server is introduced to then, before any tool is called.
fn session(gateway: &Served, token: &str, server: &str, _tool: &str) -> Response {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
    gateway.visitor(token).at(&format!("/mcp/{server}")).request("initialize", &params)
}

/// What a call comes to: its reason, or `good`.
fn outcome(answer: &Response) -> String {
    reason(&answer.json()).map_or_else(|| if text(&answer.json()).is_empty() { "strange" } else { "good" }.to_owned(), str::to_owned)
}

/// What a server over HTTP was shown with the calls of clients: the values of a header.
fn shown(stage: &Stage, header: &str) -> Vec<String> {
    let calls = stage.received("remote").into_iter().filter(|received| received.method() == "tools/call");
    let value = |head: &str| {
        let found = head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case(header)));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    calls.map(|received| value(&received.head)).collect()
}

#[test]
fn a_replaced_secret_goes_with_the_next_request() {
    let stage = Stage::new("");
    let store = Vault::start(VAULT_TOKEN);
    store.put("secret/app", &json!({"key": "first-of-vault"}));
    write(&stage, "token", VAULT_TOKEN);
    write(&stage, "file", "first-of-file");
    vault(&stage, &store, "token = \"${file:token}\"");
    let _server =
        remote(&stage, "[servers.remote.headers]\nX-Vault = \"${vault:secret/app#key}\"\nAuthorization = \"Bearer ${file:file}\"");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good", "{}", gateway.said.text());
    store.put("secret/app", &json!({"key": "second-of-vault"}));
    write(&stage, "file", "second-of-file");
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    assert_eq!(shown(&stage, "X-Vault"), ["first-of-vault", "second-of-vault"]);
    assert_eq!(shown(&stage, "Authorization"), ["Bearer first-of-file", "Bearer second-of-file"]);
    // What was kept is used, and not asked for with every call.
    let asked = store.asked("/v1/secret/data/app");
    stage.configure("[secrets]\ncache = \"1h\"");
    drop(gateway);
    let gateway = stage.serve();
    for _ in 0..5 {
        assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    }
    assert_eq!(store.asked("/v1/secret/data/app"), asked + 1);
    stage.verify();
}

#[test]
fn a_process_is_replaced_when_its_secret_is_and_finishes_what_runs() {
    let script = Script::with_tools(["slow", "a"])
        .era(Era::Both)
        .on("tools/call slow", vec![Act::Touch("running".to_owned()), Act::Until("go".to_owned()), Act::Answer(script::text("done"))]);
    let stage = Stage::with_server("files", &script);
    write(&stage, "key", "first-value");
    stage.configure("[servers.files.env]\nAPI_KEY = \"${file:key}\"");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let mut session = gateway.visitor(&token).at("/mcp/files").initialize();
    assert!(reason(&session.request("tools/call", &json!({"name": "a"})).json()).is_none());
    let answers = std::thread::scope(|scope| {
        let running = scope.spawn(|| call(&gateway, &token, "files", "slow"));
        eventually("the call runs", || stage.path("running").exists());
        write(&stage, "key", "second-value");
        let next = call(&gateway, &token, "files", "a");
        std::fs::write(stage.path("go"), "").expect("writable");
        [next, running.join().expect("an answer")]
    });
    assert_eq!((outcome(&answers[0]).as_str(), text(&answers[1].json())), ("good", "done"));
    let calls: Vec<(u32, String)> = stage
        .received("files")
        .iter()
        .filter(|received| received.method() == "tools/call")
        .map(|received| (received.pid, received.message()["params"]["name"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let pids: Vec<u32> = calls.iter().map(|(pid, _)| *pid).collect();
    assert!(pids[0] != pids[1] && pids[1] != pids[2], "{calls:?}");
    let keys: Vec<String> = std::fs::read_to_string(stage.path("files.env"))
        .expect("environments")
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["API_KEY"].as_str()?.to_owned()))
        .collect();
    assert_eq!(keys.last().map(String::as_str), Some("second-value"), "{keys:?}");
    // A session of the legacy era stays with the process that it knows.
    assert!(reason(&session.request("tools/call", &json!({"name": "a"})).json()).is_none());
    let last = stage.received("files").iter().rev().find(|received| received.method() == "tools/call").expect("called").pid;
    assert_eq!(last, pids[0]);
    // Nobody needs the old process of the modern era any more.
    eventually("it ends", || !bartizan_tests::process::runs(pids[1]));
}

#[test]
fn a_missing_secret_stops_its_server_and_no_other() {
    let stage = Stage::with_server("files", &script());
    let _server = remote(&stage, "");
    stage.configure("[servers.files.env]\nAPI_KEY = \"${file:missing}\"\n[servers.remote.headers]\nX-Key = \"${env:NOT_SET_HERE}\"");
    let other = Script::with_tools(["b"]).era(Era::Both);
    stage.server("other", &other);
    stage.approve(&["other"], &["b=read"]);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    assert!(gateway.said.line_with("files: env.API_KEY").contains("secret.missing"), "said at the start");
    assert_eq!(outcome(&call(&gateway, &token, "files", "look")), "secret.missing");
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "secret.missing");
    assert_eq!(outcome(&call(&gateway, &token, "other", "b")), "good");
    assert!(shown(&stage, "X-Key").is_empty() && stage.pids("files").is_empty(), "neither was started or reached");
    let check = stage.output(&["check", "--offline", "--format", "json"]);
    let items: Value = serde_json::from_slice(&check.stdout).expect("items");
    let open: Vec<&str> = items
        .as_array()
        .expect("a list")
        .iter()
        .filter(|item| item["item"] == "secrets" && item["standing"] == "open")
        .filter_map(|item| item["about"].as_str())
        .collect();
    assert_eq!((check.status.code(), open), (Some(1), vec!["files", "remote"]));
    // One server alone does not start at all, and says why.
    let mut words = vec!["run".to_owned(), "--name".to_owned(), "files".to_owned(), "--".to_owned()];
    words.extend(stage.command("files"));
    let run = stage.output(&words);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(3) && said.contains("secret.missing") && said.contains("${file:"), "{said}");
    write(&stage, "missing", "here-it-is");
    assert_eq!(outcome(&call(&gateway, &token, "files", "look")), "good", "no restart");
    stage.verify();
}

#[test]
fn a_store_that_misbehaves_is_a_refusal_and_holds_up_nobody_else() {
    let stage = Stage::new("");
    let store = Vault::start(VAULT_TOKEN);
    store.put("secret/app", &json!({"key": "good-value", "object": {"a": 1}, "empty": "", "number": 7}));
    write(&stage, "token", VAULT_TOKEN);
    vault(&stage, &store, "token = \"${file:token}\"");
    let _server = remote(&stage, "[servers.remote.headers]\nX-Key = \"${vault:secret/app#key}\"");
    let other = Script::with_tools(["b"]).era(Era::Both);
    stage.server("other", &other);
    stage.approve(&["other"], &["b=read"]);
    let token = stage.token("t", &[]).text;
    let raw =
        |head: &str, body: &str| Says::Raw(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()));
    let elsewhere = StandIn::start(|_| Says::Json(200, json!({"data": {"data": {"key": "stolen"}}})));
    for (what, says) in [
        ("sealed", Says::Json(503, json!({"errors": ["Vault is sealed canary-in-an-error"]}))),
        ("a redirect", raw(&format!("307 X\r\nLocation: http://{}/", elsewhere.address), "")),
        ("not JSON", raw("200 OK", "canary-in-a-page <html>")),
        ("another shape", Says::Json(200, json!({"data": {"key": "canary-of-version-one"}}))),
        ("huge", raw("200 OK", &"x".repeat(300_000))),
        ("half", Says::Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned())),
        ("no", Says::Json(403, json!({"errors": ["permission denied"]}))),
        ("nothing", Says::Nothing),
    ] {
        store.instead(Some(says));
        let gateway = stage.serve();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let stuck: Vec<_> = (0..4).map(|_| scope.spawn(|| outcome(&call(&gateway, &token, "remote", "look")))).collect();
            assert_eq!(outcome(&call(&gateway, &token, "other", "b")), "good", "{what}");
            assert!(begun.elapsed() < Duration::from_secs(4), "{what}: others waited {:?}", begun.elapsed());
            for stuck in stuck {
                assert_eq!(stuck.join().expect("an answer"), "secret.unavailable", "{what}: {}", gateway.said.text());
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(12), "{what}: those who wait do not wait one after the other");
        assert!(!gateway.said.text().contains("canary"), "{what}: {}", gateway.said.text());
    }
    assert!(elsewhere.asked().is_empty() && shown(&stage, "X-Key").is_empty());
    store.instead(None);
    for (field, expected) in
        [("key", "good"), ("number", "good"), ("object", "secret.missing"), ("empty", "secret.missing"), ("nothing", "secret.missing")]
    {
        stage.configure(&format!("[servers.remote.headers]\nX-Key = \"${{vault:secret/app#{field}}}\""));
        assert_eq!(outcome(&call(&stage.serve(), &token, "remote", "look")), expected, "{field}");
    }
    store.put("secret/app", &Value::Null);
    assert_eq!(outcome(&call(&stage.serve(), &token, "remote", "look")), "secret.missing", "deleted");
    assert!(!format!("{:?}", stage.journal().0).contains("canary-"));
}

#[test]
fn a_role_logs_in_renews_its_token_and_logs_in_again() {
    let stage = Stage::new("");
    let store = Vault::start("another-token");
    store.role("gateway", "canary-secret-id", 3);
    store.namespace("team/a");
    store.put("secret/app", &json!({"key": "value-of-the-role"}));
    write(&stage, "secret-id", "canary-secret-id");
    vault(&stage, &store, "auth = \"approle\"\nrole_id = \"gateway\"\nsecret_id = \"${file:secret-id}\"\nnamespace = \"team/a\"");
    let _server = remote(&stage, "[servers.remote.headers]\nX-Key = \"${vault:secret/app#key}\"");
    let token = stage.token("t", &[]).text;
    let logins = store.asked("/v1/auth/approle/login");
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good", "{}", gateway.said.text());
    eventually("the token is renewed, twice", || store.asked("/v1/auth/token/renew-self") >= 2);
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    assert_eq!(store.asked("/v1/auth/approle/login"), logins + 1, "renewed, not taken anew");
    store.revoke();
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good", "{}", gateway.said.text());
    assert_eq!(store.asked("/v1/auth/approle/login"), logins + 2);
    assert!(!gateway.said.text().contains("canary"), "{}", gateway.said.text());
}

#[test]
fn what_reads_and_what_destroys_has_credentials_of_its_own() {
    let stage = Stage::new("");
    write(&stage, "all.cedar", "permit (principal, action, resource);");
    stage.configure("[policy]\nfiles = [\"all.cedar\"]\n[dangerous]\ndestructive_calls = \"never\"");
    for name in ["all", "destructive", "one"] {
        write(&stage, name, &format!("key-for-{name}"));
    }
    let _server = remote(
        &stage,
        "[servers.remote.headers]\nX-Key = \"${file:all}\"\nX-Other = \"same\"\n[servers.remote.effects.destructive.headers]\nx-key = \"${file:destructive}\"",
    );
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    for tool in ["look", "drop"] {
        assert_eq!(outcome(&call(&gateway, &token, "remote", tool)), "good", "{tool}");
    }
    assert_eq!(shown(&stage, "X-Key"), ["key-for-all", "key-for-destructive"]);
    assert_eq!(shown(&stage, "X-Other"), ["same", "same"]);
    drop(gateway);
    stage.configure("[servers.remote.tools.drop.headers]\nX-Key = \"${file:one}\"");
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "drop")), "good");
    assert_eq!(shown(&stage, "X-Key").last().map(String::as_str), Some("key-for-one"));
}

#[test]
fn a_server_that_refuses_the_credential_is_shown_a_new_one_the_next_time() {
    let stage = Stage::new("");
    let store = Vault::start(VAULT_TOKEN);
    store.put("secret/app", &json!({"key": "revoked-value"}));
    write(&stage, "token", VAULT_TOKEN);
    vault(&stage, &store, "token = \"${file:token}\"");
    stage.configure("[secrets]\ncache = \"1h\"");
    let _server = remote(&stage, "[servers.remote.headers]\nX-Key = \"${vault:secret/app#key}\"");
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    let no = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned();
    stage.script("remote", &script().on("tools/call look", vec![Act::Http(no)]));
    store.put("secret/app", &json!({"key": "replaced-value"}));
    // Longer than what was fetched just now is believed.
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "secret.refused");
    stage.script("remote", &script());
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    assert_eq!(shown(&stage, "X-Key"), ["revoked-value", "revoked-value", "replaced-value"], "the refused call was not repeated");
}

#[test]
fn the_gateway_gets_tokens_of_its_own_from_a_real_issuer() {
    let provider = Provider::start();
    let resource = "https://upstream.test/mcp";
    let stage = Stage::new("");
    write(&stage, "client", "robot-secret");
    let _server = remote(
        &stage,
        &format!(
            "[servers.remote.oauth]\ngrant = \"client_credentials\"\ntoken_url = \"{}/token\"\nclient_id = \"robot\"\nclient_secret = \"${{file:client}}\"\nresource = \"{resource}\"\nscopes = [\"mcp:read\"]",
            provider.issuer
        ),
    );
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    for _ in 0..3 {
        assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good", "{}", gateway.said.text());
    }
    let sent = shown(&stage, "Authorization");
    let claims = claims(sent[0].strip_prefix("Bearer ").expect("a token"));
    assert_eq!((&claims["aud"], &claims["client_id"], &claims["scope"]), (&json!(resource), &json!("robot"), &json!("mcp:read")));
    assert!(sent.iter().all(|other| *other == sent[0]), "one token for all");
    drop(gateway);
    write(&stage, "client", "wrong-secret");
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "secret.token");
    assert!(gateway.said.text().contains("invalid_client") && !gateway.said.text().contains("wrong-secret"), "{}", gateway.said.text());
}

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let body = token.split('.').nth(1).expect("three parts");
    let (mut bytes, mut bits, mut word) = (Vec::new(), 0, 0_u32);
    for symbol in body.chars() {
        word = (word << 6) | u32::try_from(DIGITS.find(symbol).expect("base64url")).expect("small");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((word >> bits) & 0xff).expect("a byte"));
        }
    }
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The provider has no token exchange of its own; this one takes exactly what RFC 8693 says.
fn exchange() -> StandIn {
    StandIn::start(|asked| {
        let one = |name: &str| asked.field(name).first().cloned().unwrap_or_default();
        let basic = asked.header("authorization") == Some("Basic Z2F0ZXdheTpnYXRld2F5LXNlY3JldA==");
        let form = asked.header("content-type") == Some("application/x-www-form-urlencoded") && asked.method == "POST";
        if !basic || !form || asked.path != "/token" || one("resource") != "https://upstream.test/mcp" {
            return Says::Json(401, json!({"error": "invalid_client"}));
        }
        let access = "urn:ietf:params:oauth:token-type:access_token";
        match one("grant_type").as_str() {
            "client_credentials" => Says::Json(200, json!({"access_token": "own-token", "token_type": "Bearer", "expires_in": 60})),
            "urn:ietf:params:oauth:grant-type:token-exchange" => {
                let subject = one("subject_token");
                if one("subject_token_type") != access || one("requested_token_type") != access || one("audience") != "upstream" {
                    return Says::Json(400, json!({"error": "invalid_request"}));
                }
                let who = claims(&subject)["sub"].as_str().unwrap_or_default().to_owned();
                if who == "mallory" {
                    return Says::Json(200, json!({"access_token": subject, "token_type": "Bearer", "issued_token_type": access}));
                }
                Says::Json(
                    200,
                    json!({"access_token": format!("canary-exchanged-for-{who}"), "token_type": "Bearer", "issued_token_type": access, "expires_in": 60}),
                )
            }
            _ => Says::Json(400, json!({"error": "unsupported_grant_type"})),
        }
    })
}

#[test]
fn callers_tokens_are_exchanged_and_never_passed_on() {
    let resource = "https://gateway.test/mcp";
    let (provider, endpoint) = (Provider::start(), exchange());
    let stage = Stage::new("");
    write(&stage, "client", "gateway-secret");
    let issuer = &provider.issuer;
    stage.configure(&format!(
        "[oauth]\nresource = \"{resource}\"\n[[oauth.issuer]]\nissuer = \"{issuer}\"\n[dangerous]\nprivate_issuers = [\"{issuer}\"]"
    ));
    let _server = remote(
        &stage,
        &format!(
            "[servers.remote.oauth]\ngrant = \"token_exchange\"\ntoken_url = \"http://{}/token\"\nclient_id = \"gateway\"\nclient_secret = \"${{file:client}}\"\nresource = \"https://upstream.test/mcp\"\naudience = \"upstream\"",
            endpoint.address
        ),
    );
    let (alice, bob, mallory) = (
        provider.sign_in("alice", resource, "mcp:read"),
        provider.sign_in("bob", resource, "mcp:read"),
        provider.sign_in("mallory", resource, "mcp:read"),
    );
    let local = stage.token("t", &[]).text;
    let gateway = stage.serve_with(|command| {
        command.env("BARTIZAN_LOG", "trace");
    });
    for token in [&alice, &bob, &alice, &alice] {
        assert_eq!(outcome(&call(&gateway, token, "remote", "look")), "good", "{}", gateway.said.text());
    }
    let sent = shown(&stage, "Authorization");
    let (of_alice, of_bob) = ("Bearer canary-exchanged-for-alice", "Bearer canary-exchanged-for-bob");
    assert_eq!(sent, [of_alice, of_bob, of_alice, of_alice]);
    let exchanged = endpoint.asked().iter().filter(|asked| !asked.field("subject_token").is_empty()).count();
    assert_eq!(exchanged, 2, "once for each caller");
    // Who has no token that could be exchanged does not get another's.
    assert_eq!(outcome(&call(&gateway, &local, "remote", "look")), "secret.token");
    // An endpoint that gives the same token back has exchanged nothing.
    assert_eq!(outcome(&call(&gateway, &mallory, "remote", "look")), "secret.token");
    let everything = format!("{:?}", stage.received("remote"));
    for token in [&alice, &bob, &mallory, &local] {
        assert!(!everything.contains(token.as_str()), "a caller's own token left");
    }
    let said = format!("{}{:?}", gateway.said.text(), stage.journal().0);
    for secret in [alice.as_str(), &bob, &mallory, "canary-exchanged", "gateway-secret"] {
        assert!(!said.contains(secret), "{secret} came out");
    }
    stage.verify();
}

/// A real server of AWS's protocols.
struct Moto {
    _process: Guarded,
    port: u16,
}

impl Moto {
    fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| tests.join("../target/real"), PathBuf::from);
        let program = real.join("moto/bin/moto_server");
        assert!(program.is_file(), "moto is not installed in {}; run: tests/real/install moto", real.display());
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Self { _process: Guarded(command.spawn().expect("moto")), port };
        eventually("moto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        moto
    }

    /// Does something with secrets, as the operator would with a client of AWS's.
    fn tell(&self, target: &str, body: &Value) -> Value {
        let mut wire = bartizan_tests::http::Wire::to(([127, 0, 0, 1], self.port).into());
        let body = body.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: secretsmanager.{target}\r\nContent-Type: application/x-amz-json-1.1\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=x/20261121/eu-central-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=x\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        wire.send(head.as_bytes());
        let answer = wire.response().expect("an answer");
        assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }
}

#[test]
fn secrets_of_a_real_secrets_manager_are_read_and_followed() {
    let moto = Moto::start();
    let first = moto.tell("CreateSecret", &json!({"Name": "prod/app", "SecretString": "{\"key\": \"first-of-aws\", \"n\": 5}"}));
    moto.tell("CreateSecret", &json!({"Name": "prod/plain", "SecretString": "plain-of-aws"}));
    moto.tell("CreateSecret", &json!({"Name": "prod/binary", "SecretBinary": "YmluYXJ5LW9mLWF3cw=="}));
    moto.tell("CreateSecret", &json!({"Name": "prod/noise", "SecretBinary": "//79"}));
    moto.tell("CreateSecret", &json!({"Name": "prod/gone", "SecretString": "x"}));
    moto.tell("DeleteSecret", &json!({"SecretId": "prod/gone"}));
    let stage = Stage::new("");
    write(&stage, "id", "AKIDEXAMPLE");
    write(&stage, "key", "canary-aws-secret-access-key");
    stage.configure(&format!(
        "[secrets]\ncache = \"100ms\"\n[secrets.aws]\nregion = \"eu-central-1\"\nendpoint = \"http://127.0.0.1:{}\"\naccess_key_id = \"${{file:id}}\"\nsecret_access_key = \"${{file:key}}\"\nsession_token = \"${{file:key}}\"",
        moto.port
    ));
    let _server = remote(
        &stage,
        "[servers.remote.headers]\nX-Key = \"${aws-sm:prod/app#key}\"\nX-Plain = \"${aws-sm:prod/plain}\"\nX-Binary = \"${aws-sm:prod/binary}\"",
    );
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good", "{}", gateway.said.text());
    let second = moto.tell("PutSecretValue", &json!({"SecretId": "prod/app", "SecretString": "{\"key\": \"second-of-aws\"}"}));
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    assert_eq!(shown(&stage, "X-Key"), ["first-of-aws", "second-of-aws"]);
    assert_eq!((shown(&stage, "X-Plain")[0].as_str(), shown(&stage, "X-Binary")[0].as_str()), ("plain-of-aws", "binary-of-aws"));
    let listed = || stage.done(&["secrets", "--format", "json"]);
    eventually("the inventory knows the version", || listed().contains(second["VersionId"].as_str().expect("a version")));
    assert!(!listed().contains(first["VersionId"].as_str().expect("a version")) && !listed().contains("of-aws"));
    for (reference, expected) in [
        ("prod/none", "secret.missing"),
        ("prod/gone", "secret.missing"),
        ("prod/app#other", "secret.missing"),
        ("prod/plain#key", "secret.missing"),
        ("prod/noise", "secret.missing"),
    ] {
        stage.configure(&format!("[servers.remote.headers]\nX-Key = \"${{aws-sm:{reference}}}\""));
        assert_eq!(outcome(&call(&stage.serve(), &token, "remote", "look")), expected, "{reference}");
    }
    assert!(!gateway.said.text().contains("canary"), "{}", gateway.said.text());
}

/// Against a real Vault or OpenBao, where there is one: `BARTIZAN_TEST_VAULT_ADDR`, `BARTIZAN_TEST_VAULT_TOKEN`, and
/// `BARTIZAN_TEST_VAULT_SECRET` as MOUNT/PATH#FIELD of a secret that the token may read.
#[test]
fn secrets_of_a_real_vault_are_read() {
    let variable = |name: &str| std::env::var(format!("BARTIZAN_TEST_VAULT_{name}")).ok();
    let (Some(address), Some(token), Some(secret)) = (variable("ADDR"), variable("TOKEN"), variable("SECRET")) else {
        eprintln!("SKIPPED: no real Vault was named (BARTIZAN_TEST_VAULT_ADDR, _TOKEN, _SECRET); only the stand-in was asked");
        return;
    };
    let stage = Stage::new("");
    write(&stage, "token", &token);
    stage.configure(&format!("[secrets.vault]\naddress = \"{address}\"\ntoken = \"${{file:token}}\""));
    let _server = remote(&stage, &format!("[servers.remote.headers]\nX-Key = \"${{vault:{secret}}}\""));
    let own = stage.token("t", &[]).text;
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &own, "remote", "look")), "good", "{}", gateway.said.text());
    assert!(!shown(&stage, "X-Key")[0].is_empty());
}

#[test]
fn the_inventory_says_since_when_and_check_warns() {
    let stage = Stage::new("");
    let store = Vault::start(VAULT_TOKEN);
    store.put("secret/app", &json!({"key": "value-of-vault"}));
    write(&stage, "token", VAULT_TOKEN);
    write(&stage, "file", "value-of-file");
    vault(&stage, &store, "token = \"${file:token}\"");
    stage.configure("environment = \"prod\"\n[secrets]\nwarn_after = \"90d\"");
    let _server = remote(&stage, "[servers.remote.headers]\nX-Key = \"${vault:secret/app#key}\"\nX-File = \"${file:file}\"");
    let token = stage.token("t", &["--environment", "prod"]).text;
    let listed = || -> Vec<Value> { serde_json::from_str(&stage.done(&["secrets", "--format", "json"])).expect("a list") };
    assert!(listed().iter().all(|row| row["first_seen"].is_null()), "approving is no use of it: {:?}", listed());
    let gateway = stage.serve();
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    eventually("both are known", || listed().iter().all(|row| !row["first_seen"].is_null()));
    let rows = listed();
    let of = |place: &str| rows.iter().find(|row| row["place"] == place).unwrap_or_else(|| panic!("{rows:?}"));
    let stored = of("headers.X-Key");
    assert_eq!(
        (&stored["environment"], &stored["version"], &stored["last_changed"], &stored["old"]),
        (&json!("prod"), &json!("1"), &json!("2026-02-03T04:05:06.789Z"), &json!(true))
    );
    assert_eq!((&of("headers.X-File")["version"], &of("headers.X-File")["old"]), (&Value::Null, &json!(false)));
    for words in [vec!["check"], vec!["check", "--offline"]] {
        let check = stage.output(&words);
        let text = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.code() == Some(1) && text.contains("secret age") && text.contains("${vault:secret/app#key}"), "{text}");
        assert!(!text.contains("value-of"), "{text}");
    }
    store.put("secret/app", &json!({"key": "other-of-vault"}));
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(outcome(&call(&gateway, &token, "remote", "look")), "good");
    eventually("the new version is known", || listed().iter().any(|row| row["version"] == "2"));
    assert!(stage.done(&["secrets"]).contains("version 2"));
    let kept = std::fs::read_to_string(stage.state().join("secrets.json")).expect("a file");
    assert!(!kept.contains("of-vault") && !kept.contains("of-file"), "{kept}");
}

#[test]
fn the_gateway_leaves_no_core() {
    let stage = Stage::with_server("files", &script());
    let gateway = stage.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
}

/// Secrets of every kind are planted, everything fails, and nothing of them comes out anywhere.
#[test]
fn planted_secrets_come_out_nowhere_when_things_fail() {
    const CANARY: &str = "canary-4e1b";
    let stage = Stage::new("environment = \"prod\"");
    let store = Vault::start(&format!("{CANARY}-vault-token"));
    store.put("secret/app", &json!({"key": format!("{CANARY}-of-vault"), "broken": format!("{CANARY}-of\nvault")}));
    let moto = Moto::start();
    moto.tell("CreateSecret", &json!({"Name": "app", "SecretString": format!("{{\"key\": \"{CANARY}-of-aws\"}}")}));
    let endpoint = StandIn::start(|_| Says::Json(400, json!({"error": format!("{CANARY} not a code"), "error_description": CANARY})));
    for (name, value) in [("token", "vault-token"), ("file", "of-file"), ("id", "aws-id"), ("key", "aws-key"), ("client", "client-secret")]
    {
        write(&stage, name, &format!("{CANARY}-{value}"));
    }
    vault(&stage, &store, "token = \"${file:token}\"");
    stage.configure(&format!(
        "[secrets.aws]\nregion = \"eu-central-1\"\nendpoint = \"http://127.0.0.1:{}\"\naccess_key_id = \"${{file:id}}\"\nsecret_access_key = \"${{file:key}}\"",
        moto.port
    ));
    let talks =
        Script::with_tools(["look"]).era(Era::Both).on("start", vec![Act::Say(format!("my keys: {CANARY}-of-file {CANARY}-of-vault"))]);
    stage.server("files", &talks);
    let _server =
        remote(&stage, "[servers.remote.headers]\nX-A = \"${vault:secret/app#key}\"\nX-B = \"${aws-sm:app#key}\"\nX-C = \"${file:file}\"");
    stage.configure("[servers.files.env]\nA = \"${file:file}\"\nB = \"${vault:secret/app#key}\"");
    stage.approve(&["files"], &["look=read"]);
    let token = stage.token("t", &["--environment", "prod"]).text;
    let mut said = String::new();
    type Ask = fn(&Served, &str, &str, &str) -> Response;
    let mut collect = |ask: Ask, expected: &str, server: &str, prepare: &dyn Fn()| {
        prepare();
        let gateway = stage.serve_with(|command| {
            command.env("BARTIZAN_LOG", "trace");
        });
        let answer = ask(&gateway, &token, server, "look");
        assert_eq!(outcome(&answer), expected, "{server}: {}", gateway.said.text());
        said.push_str(&format!("{:?}{}{}", answer.head, String::from_utf8_lossy(&answer.body), gateway.said.text()));
        for words in [vec!["check"], vec!["check", "--offline"], vec!["secrets"], vec!["diff"]] {
            let output = stage.output(&words);
            said.push_str(&(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)));
        }
    };
    collect(call, "good", "remote", &|| ());
    collect(call, "good", "files", &|| ());
    // A server that repeats what it was shown, in what nobody but the operator reads: what it says to `initialize`, which
    // the legacy era has.
    let echo = json!({"code": -32000, "message": format!("bad key {CANARY}-of-vault")});
    collect(session, "upstream.invalid", "remote", &|| {
        stage.script("remote", &script().era(Era::Legacy).on("initialize", vec![Act::Error(echo.clone())]))
    });
    let dies = vec![Act::Say(format!("bad key {CANARY}-of-file")), Act::Exit(1)];
    collect(call, "upstream.unreachable", "files", &|| stage.script("files", &talks.clone().on("start", dies.clone())));
    collect(call, "secret.missing", "remote", &|| stage.configure("[servers.remote.headers]\nX-A = \"${vault:secret/app#broken}\""));
    collect(call, "secret.unavailable", "remote", &|| {
        stage.configure("[servers.remote.headers]\nX-A = \"${vault:secret/app#key}\"");
        store.instead(Some(Says::Json(500, json!({"errors": [format!("{CANARY}-in-an-error")]}))));
    });
    collect(call, "secret.token", "remote", &|| {
        store.instead(None);
        stage.configure(&format!(
            "[servers.remote.oauth]\ngrant = \"client_credentials\"\ntoken_url = \"http://{}/token\"\nclient_id = \"x\"\nclient_secret = \"${{file:client}}\"",
            endpoint.address
        ));
    });
    said.push_str(&serde_json::to_string(&stage.journal().0).expect("text"));
    for entry in std::fs::read_dir(stage.state()).expect("a folder").flatten().filter(|entry| entry.path().is_file()) {
        said.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).expect("a file")));
    }
    let at = said.find(CANARY).map(|at| said[at.saturating_sub(300)..].chars().take(500).collect::<String>());
    assert_eq!(at, None);
}
