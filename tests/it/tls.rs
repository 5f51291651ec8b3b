//! TLS and client certificates, with real clients: curl, and Python's `ssl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_tests::gateway::{Guarded, Stage};
use bartizan_tests::http::{Served, Waited};
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{eventually, within};
use bartizan_tests::provider::Provider;
use bartizan_tests::script::{Era, Script};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

/// Somebody who issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Where a certificate and its key are.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Its thumbprint, as RFC 8705 writes it.
    print: String,
}

fn usual(params: &mut CertificateParams, name: &str) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params.distinguished_name.push(DnType::CommonName, name);
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        // All of one name: who is believed is a matter of keys.
        usual(&mut params, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    pub(crate) fn issue(&self, stage: &Stage, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        leaf(stage, name, change, |params, key| params.signed_by(key, &*self.0).expect("a certificate"))
    }

    fn server(&self, stage: &Stage, name: &str) -> Leaf {
        self.issue(stage, name, |params| params.subject_alt_names = vec![dns("localhost"), SanType::IpAddress([127, 0, 0, 1].into())])
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).expect("writable");
    }

    /// The list of what it took back.
    fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(serials.len() as u64 + 1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&*self.0).and_then(|list| list.pem()).expect("a list")
    }
}

fn leaf(
    stage: &Stage,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
    sign: impl FnOnce(&CertificateParams, &KeyPair) -> rcgen::Certificate,
) -> Leaf {
    let mut params = CertificateParams::default();
    usual(&mut params, name);
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let made = sign(&params, &key);
    let leaf =
        Leaf { certificate: stage.path(&format!("{name}.pem")), key: stage.path(&format!("{name}.key")), print: thumbprint(stage, &made) };
    std::fs::write(&leaf.certificate, made.pem()).and_then(|()| std::fs::write(&leaf.key, key.serialize_pem())).expect("writable");
    leaf
}

/// Computed by a program that shares no code with the gateway.
fn thumbprint(stage: &Stage, certificate: &rcgen::Certificate) -> String {
    let path = stage.path("print.der");
    std::fs::write(&path, &certificate.der()[..]).expect("writable");
    let program = "import base64,hashlib,sys;d=hashlib.sha256(open(sys.argv[1],'rb').read()).digest();print(base64.urlsafe_b64encode(d).decode().rstrip('='))";
    let output = Command::new("python3").args(["-c", program]).arg(&path).output().expect("python3");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a name"))
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().expect("a URI"))
}

const AGENT: &str = "spiffe://corp.example/agent";

/// A gateway with TLS before one scripted server. The authority of its own certificate is `ca.pem`.
fn stage(rest: &str) -> (Stage, Authority) {
    let stage = Stage::with_server("files", &Script::with_tools(["read_file"]).era(Era::Both));
    let authority = Authority::new();
    authority.write(&stage.path("ca.pem"));
    authority.server(&stage, "server");
    stage.configure(&format!("[listen.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n{rest}"));
    (stage, authority)
}

/// The same, which also asks clients for certificates.
fn mutual(wanted: &str) -> (Stage, Authority, Authority) {
    let (stage, authority) = stage(&format!(
        "client_ca = \"clients.pem\"\nclients = \"{wanted}\"\n[[clients]]\ncertificate = \"{AGENT}\"\nlabel = \"agent\"\n\
         [[clients]]\ncertificate = \"dns:build.corp.example\"\nlabel = \"build\"\n\
         [[clients]]\ncertificate = \"email:bot@corp.example\"\nlabel = \"bot\"\n\
         [[clients]]\ncertificate = \"dns:reader.corp.example\"\nlabel = \"reader\"\nservers = []\n\
         [[clients]]\ncertificate = \"dns:dev.corp.example\"\nlabel = \"dev\"\nenvironment = \"dev\""
    ));
    let clients = Authority::new();
    clients.write(&stage.path("clients.pem"));
    (stage, authority, clients)
}

/// curl, with what it shows.
#[derive(Clone)]
struct Curl {
    words: Vec<String>,
    address: String,
}

/// What curl got.
#[derive(Debug)]
#[expect(dead_code, reason = "what is not looked at is shown when a test fails")]
struct Got {
    /// None when there was no HTTP.
    status: Option<u16>,
    head: String,
    body: Value,
    complaint: String,
}

impl Got {
    /// Its reason, `good`, or `tls` when there was no connection.
    fn outcome(&self) -> String {
        match (self.status, reason(&self.body)) {
            (None, _) => "tls".to_owned(),
            (_, Some(reason)) => reason.to_owned(),
            (Some(200), None) if !text(&self.body).is_empty() || self.body.get("result").is_some() => "good".to_owned(),
            (Some(status), None) => status.to_string(),
        }
    }
}

impl Curl {
    fn to(stage: &Stage, gateway: &Served) -> Self {
        let words = ["--silent", "--show-error", "--include", "--max-time", "20", "--cacert"].map(str::to_owned);
        let ca = stage.path("ca.pem").display().to_string();
        Self { words: words.into_iter().chain([ca]).collect(), address: format!("https://localhost:{}", gateway.address.port()) }
    }

    fn with(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    fn showing(self, leaf: &Leaf) -> Self {
        self.with(&["--cert", &leaf.certificate.display().to_string(), "--key", &leaf.key.display().to_string()])
    }

    fn bearing(self, token: &str) -> Self {
        self.with(&["--header", &format!("Authorization: Bearer {token}")])
    }

    fn command(&self, path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(&self.words).args(["--header", "Accept: application/json, text/event-stream"]).arg(format!("{}{path}", self.address));
        command
    }

    fn post(&self, path: &str, message: &Value) -> Got {
        let mut command = self.command(path);
        command.args(["--header", "Content-Type: application/json", "--data-raw", &message.to_string()]);
        let output = command.output().expect("curl");
        let said = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        let (head, body) = said.split_once("\n\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        // Names of headers have no case, and values do.
        let lower = |line: &str| {
            line.split_once(": ")
                .map_or_else(|| line.to_ascii_lowercase(), |(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
        };
        let head = head.lines().map(lower).collect::<Vec<_>>().join("\n");
        Got { status, head, body: bartizan_tests::json::read(body), complaint }
    }

    fn call(&self) -> Got {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        let modern = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: read_file"];
        let curl = self.clone().with(&modern.map(|header| ["--header", header]).concat());
        let params = json!({"name": "read_file", "arguments": {}, "_meta": meta});
        curl.post("/mcp/files", &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
    }

    /// Opens a legacy session; the headers that belong to it.
    fn initialize(&self) -> [String; 2] {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}});
        let got = self.post("/mcp/files", &json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}));
        let id = got.head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap_or_else(|| panic!("{got:?}"));
        [format!("Mcp-Session-Id: {id}"), "MCP-Protocol-Version: 2025-11-25".to_owned()]
    }

    fn within(self, session: &[String; 2]) -> Self {
        self.with(&["--header", &session[0], "--header", &session[1]])
    }

    fn list(&self) -> Got {
        self.post("/mcp/files", &json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}))
    }
}

/// The principals of the calls that were closed, in order.
fn principals(stage: &Stage) -> Vec<String> {
    let journal = stage.journal();
    let of = |line: &Value| journal.whole(line).get("principal").and_then(Value::as_str).map(str::to_owned);
    journal.of("closed").filter_map(of).collect()
}

#[test]
fn both_versions_are_spoken_and_older_ones_are_not() {
    let (stage, _) = stage("");
    let gateway = stage.serve();
    assert!(gateway.said.text().contains("listening on https://"));
    let curl = Curl::to(&stage, &gateway).bearing(&stage.token("own", &[]).text);
    for (what, words, expected) in [
        ("1.2", &["--tls-max", "1.2"][..], "good"),
        ("1.3", &["--tlsv1.3"], "good"),
        ("1.1", &["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"], "tls"),
        ("HTTP/2 is not offered", &["--http2"], "good"),
    ] {
        let got = curl.clone().with(words).call();
        assert_eq!(got.outcome(), expected, "{what}: {got:?}");
        assert!(expected == "tls" || got.head.starts_with("http/1.1"), "{what}: {got:?}");
    }
    Authority::new().write(&stage.path("stranger.pem"));
    let stranger = Curl { words: curl.words.iter().map(|word| word.replace("ca.pem", "stranger.pem")).collect(), ..curl };
    assert_eq!(stranger.call().outcome(), "tls", "a client that trusts somebody else does not talk");
    let python = "import ssl,sys,urllib.request as u\nc=ssl.create_default_context(cafile=sys.argv[1])\ntry: u.urlopen(sys.argv[2],context=c)\nexcept u.HTTPError as e: print(e.code, e.headers['WWW-Authenticate'])";
    let output = Command::new("python3")
        .args(["-c", python])
        .arg(stage.path("ca.pem"))
        .arg(format!("{}/mcp", stranger.address))
        .output()
        .expect("python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "401 Bearer realm=\"bartizan\"", "{output:?}");
    stage.verify();
}

/// Who shows a certificate, what becomes of that, and as whom.
fn rows(stage: &Stage, clients: &Authority) -> Vec<(&'static str, Option<Leaf>, &'static str, &'static str)> {
    let named = |file: &str, names: Vec<SanType>| Some(clients.issue(stage, file, |params| params.subject_alt_names = names));
    let agent = |file: &str, change: &dyn Fn(&mut CertificateParams)| {
        clients.issue(stage, file, |params| {
            params.subject_alt_names = vec![uri(AGENT)];
            change(params);
        })
    };
    let revoked = agent("revoked", &|params| params.serial_number = Some(SerialNumber::from(66_u64)));
    let selfsigned = leaf(
        stage,
        "selfsigned",
        |params| params.subject_alt_names = vec![uri(AGENT)],
        |params, key| params.self_signed(key).expect("a certificate"),
    );
    let stranger = Authority::new().issue(stage, "stranger", |params| params.subject_alt_names = vec![uri(AGENT)]);
    vec![
        ("a SPIFFE ID", named("spiffe", vec![uri(AGENT)]), "good", "certificate:agent#spiffe://corp.example/agent"),
        ("a DNS name", named("dns", vec![dns("build.corp.example")]), "good", "certificate:build#dns:build.corp.example"),
        (
            "an e-mail address",
            named("mail", vec![SanType::Rfc822Name("bot@Corp.Example".try_into().expect("an address"))]),
            "good",
            "certificate:bot#email:bot@corp.example",
        ),
        (
            "a DNS name beside others",
            named("many", vec![dns("x.example"), dns("build.corp.example")]),
            "good",
            "certificate:build#dns:build.corp.example",
        ),
        ("good for no server", named("reader", vec![dns("reader.corp.example")]), "wire.not-found", ""),
        ("none", None, "tls", ""),
        ("signed by itself", Some(selfsigned), "tls", ""),
        ("of another authority of the same name", Some(stranger), "tls", ""),
        ("over", Some(agent("over", &|params| params.not_after = date_time_ymd(2026, 1, 1))), "tls", ""),
        ("not yet", Some(agent("early", &|params| params.not_before = date_time_ymd(2089, 1, 1))), "tls", ""),
        ("taken back", Some(revoked), "tls", ""),
        (
            "made for servers",
            Some(agent("serving", &|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
            "tls",
            "",
        ),
        ("an authority's", Some(agent("authority", &|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))), "tls", ""),
        ("somebody unknown", named("unknown", vec![uri("spiffe://corp.example/other")]), "identity.certificate", ""),
        ("the trust domain itself", named("domain", vec![uri("spiffe://corp.example")]), "identity.certificate", ""),
        ("a SPIFFE ID and another URI", named("double", vec![uri(AGENT), uri("https://corp.example/x")]), "identity.certificate", ""),
        ("two SPIFFE IDs", named("twins", vec![uri(AGENT), uri("spiffe://corp.example/b")]), "identity.certificate", ""),
        (
            "a workload with the DNS name of another",
            named("borrowed", vec![uri("spiffe://corp.example/b"), dns("build.corp.example")]),
            "identity.certificate",
            "",
        ),
        ("two clients at once", named("both", vec![dns("build.corp.example"), dns("reader.corp.example")]), "identity.certificate", ""),
        ("a wildcard", named("wild", vec![dns("*.corp.example")]), "identity.certificate", ""),
        ("a DNS name in a URI", named("guise", vec![uri("dns:build.corp.example")]), "identity.certificate", ""),
        ("a common name", named("build.corp.example", Vec::new()), "identity.certificate", ""),
        ("of another environment", named("dev", vec![dns("dev.corp.example")]), "identity.certificate", ""),
    ]
}

#[test]
fn certificates_let_in_whom_they_name_and_nobody_else() {
    let (stage, _, clients) = mutual("required");
    std::fs::write(stage.path("clients.crl"), clients.revoke(&[66])).expect("writable");
    stage.configure("[listen.tls]\nclient_crl = \"clients.crl\"");
    let rows = rows(&stage, &clients);
    let gateway = stage.serve();
    let (mut wrong, mut expected_principals) = (Vec::new(), Vec::new());
    for (what, leaf, expected, principal) in &rows {
        for version in ["1.2", "1.3"] {
            let curl = Curl::to(&stage, &gateway).with(&["--tls-max", version]);
            let got = leaf.as_ref().map_or_else(|| curl.clone(), |leaf| curl.clone().showing(leaf)).call();
            if got.outcome() != *expected {
                wrong.push(format!("{what} ({version}): {} instead of {expected}: {got:?}", got.outcome()));
            }
            if *expected == "identity.certificate" {
                assert_eq!(got.status, Some(401), "{what}");
            }
            expected_principals.extend((!principal.is_empty()).then(|| (*principal).to_owned()));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), gateway.said.text());
    assert_eq!(principals(&stage), expected_principals);
    let journal = stage.journal();
    let refused = journal.of("closed").filter(|line| journal.whole(line)["reason"] == "identity.certificate").count();
    let due = 2 * rows.iter().filter(|(_, _, expected, _)| matches!(*expected, "tls" | "identity.certificate")).count();
    assert_eq!(refused, due, "what TLS refuses is recorded, too");
    stage.verify();
}

#[test]
fn a_token_names_the_caller_and_a_certificate_beside_it_does_not_help_a_bad_one() {
    let (stage, _, clients) = mutual("offered");
    let agent = clients.issue(&stage, "agent", |params| params.subject_alt_names = vec![uri(AGENT)]);
    let unknown = clients.issue(&stage, "unknown", |params| params.subject_alt_names = vec![dns("x.example")]);
    let dev = clients.issue(&stage, "dev", |params| params.subject_alt_names = vec![dns("dev.corp.example")]);
    let both = clients.issue(&stage, "both", |params| {
        params.subject_alt_names = vec![dns("build.corp.example"), dns("reader.corp.example")];
    });
    let gateway = stage.serve();
    let (good, gone) = (stage.token("own", &[]), stage.token("gone", &[]));
    stage.done(&["token", "revoke", &gone.id]);
    let curl = Curl::to(&stage, &gateway);
    let rows = [
        ("nothing", curl.clone(), "identity.missing"),
        ("a token", curl.clone().bearing(&good.text), "good"),
        ("a certificate", curl.clone().showing(&agent), "good"),
        ("both", curl.clone().showing(&agent).bearing(&good.text), "good"),
        ("a token and somebody's certificate", curl.clone().showing(&unknown).bearing(&good.text), "good"),
        ("a token and a certificate of another environment", curl.clone().showing(&dev).bearing(&good.text), "identity.certificate"),
        ("a token and a certificate of two", curl.clone().showing(&both).bearing(&good.text), "identity.certificate"),
        ("a revoked token", curl.clone().showing(&agent).bearing(&gone.text), "identity.revoked"),
        ("no token", curl.clone().showing(&agent).bearing(""), "identity.invalid"),
        (
            "what a proxy would say",
            curl.clone().with(&["-H", &format!("X-Forwarded-Client-Cert: URI={AGENT}"), "-H", "X-SSL-Client-Verify: SUCCESS"]),
            "identity.missing",
        ),
    ];
    for (what, curl, expected) in &rows {
        let got = curl.call();
        assert_eq!(got.outcome(), *expected, "{what}: {got:?}");
    }
    let own = format!("token:own#{}", good.id);
    assert_eq!(principals(&stage), [&own, "certificate:agent#spiffe://corp.example/agent", &own, &own]);
    let shown = |line: &Value| stage.journal().whole(line)["certificate"].as_str().unwrap_or_default().to_owned();
    let certificates: Vec<String> = stage.journal().of("closed").map(shown).filter(|name| !name.is_empty()).collect();
    assert_eq!(certificates, [AGENT, AGENT], "with a token, too, the record says whose connection it was, where that is known");
    // A session belongs to the connection's certificate as much as to the token.
    let strong = curl.clone().showing(&agent).bearing(&good.text);
    let session = strong.initialize();
    assert_eq!(strong.clone().within(&session).list().outcome(), "good");
    for (what, other) in [
        ("no certificate", curl.clone().bearing(&good.text)),
        ("another", curl.clone().showing(&unknown).bearing(&good.text)),
        ("no token", curl.showing(&agent)),
    ] {
        let got = other.within(&session).list();
        assert_eq!((got.status, got.outcome().as_str()), (Some(404), "session.unknown"), "{what}: {got:?}");
    }
}

#[test]
fn a_bound_token_is_worth_nothing_without_its_certificate() {
    let provider = Provider::start();
    let (stage, _, clients) = mutual("offered");
    let own = clients.issue(&stage, "own", |params| params.subject_alt_names = vec![uri(AGENT)]);
    let other = clients.issue(&stage, "other", |params| params.subject_alt_names = vec![uri(AGENT)]);
    let resource = format!("https://gateway.test/bound-{}/mcp", own.print);
    let issuer = &provider.issuer;
    stage.configure(&format!(
        "[oauth]\nresource = \"{resource}\"\n[[oauth.issuer]]\nissuer = \"{issuer}\"\n[dangerous]\nprivate_issuers = [\"{issuer}\"]"
    ));
    let gateway = stage.serve();
    let token = provider.token(&resource, "mcp:read");
    let curl = Curl::to(&stage, &gateway).bearing(&token);
    for _ in 0..2 {
        for (what, curl, expected) in [
            ("its own", curl.clone().showing(&own), "good"),
            ("none", curl.clone(), "identity.binding"),
            ("another of the same name", curl.clone().showing(&other), "identity.binding"),
        ] {
            let got = curl.call();
            assert_eq!(got.outcome(), expected, "{what}: {got:?}\n{}", gateway.said.text());
            assert!(expected == "good" || (got.status == Some(401) && got.head.contains("error=\"invalid_token\"")), "{what}: {got:?}");
        }
    }
    // What holds for one message holds for a session, which outlives it.
    let strong = curl.clone().showing(&own);
    let session = strong.initialize();
    assert_eq!(strong.within(&session).list().outcome(), "good");
    assert_eq!(curl.within(&session).list().outcome(), "identity.binding");
}

/// A stream that curl listens to in a session, until it ends.
fn listening(curl: &Curl, session: &[String; 2]) -> Guarded {
    let mut command = curl.clone().with(&["--no-buffer", "--max-time", "60"]).within(session).command("/mcp/files");
    Guarded(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("curl"))
}

#[test]
fn what_is_taken_back_ends_connections_that_stand() {
    let (stage, _, clients) = mutual("required");
    let path = stage.path("clients.crl");
    std::fs::write(&path, clients.revoke(&[])).expect("writable");
    stage.configure("[listen.tls]\nclient_crl = \"clients.crl\"");
    let issue = |file: &str, serial: u64| {
        clients.issue(&stage, file, |params| {
            params.subject_alt_names = vec![uri(AGENT)];
            params.serial_number = Some(SerialNumber::from(serial));
        })
    };
    let (stolen, kept) = (issue("stolen", 7), issue("kept", 8));
    let gateway = stage.serve();
    let curl = Curl::to(&stage, &gateway);
    let (thief, owner) = (curl.clone().showing(&stolen), curl.showing(&kept));
    let sessions = [&thief, &owner].map(Curl::initialize);
    let alone = thief.initialize();
    let mut streams = [listening(&thief, &sessions[0]), listening(&owner, &sessions[1])];
    std::thread::sleep(Duration::from_millis(500));
    assert!(streams.iter_mut().all(|stream| stream.0.try_wait().expect("a process").is_none()), "both listen");
    std::fs::write(&path, clients.revoke(&[7])).expect("writable");
    let took = within(Duration::from_secs(10), "the stream of the revoked certificate ends", || {
        streams[0].0.try_wait().expect("a process").is_some()
    });
    eprintln!("a revoked certificate's stream ended after {took:?}");
    assert!(streams[1].0.try_wait().expect("a process").is_none(), "the other one goes on");
    assert_eq!((thief.call().outcome().as_str(), owner.call().outcome().as_str()), ("tls", "good"));
    // Both are one caller: what the thief began must not go on.
    for (what, session, expected) in [
        ("the thief's", &sessions[0], "session.unknown"),
        ("one that had no connection", &alone, "session.unknown"),
        ("the owner's", &sessions[1], "good"),
    ] {
        assert_eq!(owner.clone().within(session).list().outcome(), expected, "{what}");
    }
}

#[test]
fn certificates_are_replaced_while_it_runs_and_bad_ones_are_not_taken() {
    let (stage, _) = stage("");
    let gateway = stage.serve();
    let token = stage.token("own", &[]).text;
    let old = Curl::to(&stage, &gateway).bearing(&token);
    assert_eq!(old.call().outcome(), "good");
    let fresh = Authority::new();
    let next = fresh.server(&stage, "next");
    fresh.write(&stage.path("next-ca.pem"));
    let new = Curl { words: old.words.iter().map(|word| word.replace("ca.pem", "next-ca.pem")).collect(), ..old.clone() };
    assert_eq!(new.call().outcome(), "tls");
    // The certificate first, and the key only later: until then nothing fits, and nothing changes.
    std::fs::copy(&next.certificate, stage.path("server.pem")).expect("writable");
    eventually("it is noticed", || gateway.said.text().contains("cannot be used: those from before stay"));
    assert_eq!((old.call().outcome().as_str(), new.call().outcome().as_str()), ("good", "tls"));
    std::fs::copy(&next.key, stage.path("server.key")).expect("writable");
    let took = within(Duration::from_secs(10), "the new certificate is used", || new.call().outcome() == "good");
    eprintln!("new certificates are used after {took:?}");
    assert_eq!(old.call().outcome(), "tls");
    assert_eq!(stage.journal().of("tls").count(), 1);
    for broken in ["", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"] {
        let before = gateway.said.text().matches("those from before stay").count();
        std::fs::write(stage.path("server.pem"), broken).expect("writable");
        eventually("it is noticed", || gateway.said.text().matches("those from before stay").count() > before);
        assert_eq!(new.call().outcome(), "good");
    }
    std::fs::remove_file(stage.path("server.pem")).expect("there");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(new.call().outcome(), "good", "a file that is gone changes nothing either");
}

#[test]
fn strangers_cost_little_and_not_for_long() {
    let (stage, _) = stage("");
    stage.configure("[limits]\nheader_timeout = \"2s\"");
    let gateway = stage.serve();
    let curl = Curl::to(&stage, &gateway).bearing(&stage.token("own", &[]).text);
    let closed = |first: &[u8]| {
        let started = Instant::now();
        let mut wire = gateway.dial();
        wire.send(first);
        while wire.wait(Duration::from_secs(10)) == Waited::Data {
            // A few bytes of alert, and then the end.
            assert!(wire.rest().len() < 64);
        }
        started.elapsed()
    };
    for (what, bytes) in [("plain HTTP", &b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]), ("noise", &[0x55; 300])] {
        let took = closed(bytes);
        assert!(took < Duration::from_millis(1500), "{what}: {took:?}");
    }
    for (what, bytes) in [("silence", &b""[..]), ("half a hello", &[0x16, 3, 1, 0, 200, 1, 0])] {
        let took = closed(bytes);
        assert!((Duration::from_millis(1500)..Duration::from_secs(6)).contains(&took), "{what}: {took:?}");
    }
    // More than one address may begin at once: the rest is closed at once, and when these are over, all is well.
    let mut silent: Vec<_> = (0..200).map(|_| gateway.dial()).collect();
    let refused = silent.iter_mut().filter_map(|wire| (wire.wait(Duration::from_millis(50)) == Waited::End).then_some(())).count();
    assert!(refused >= 200 - 128, "{refused}");
    eventually("those that began are over", || curl.call().outcome() == "good");
}

#[test]
fn check_says_how_it_stands_with_tls() {
    use std::os::unix::fs::PermissionsExt as _;
    let (stage, _, _) = mutual("offered");
    let item = |name: &str| {
        let output = stage.output(&["check", "--offline", "--format", "json"]);
        let items: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        items.as_array().expect("items").iter().find(|item| item["item"] == name).cloned().unwrap_or_default()
    };
    let mode = |mode: u32| std::fs::set_permissions(stage.path("server.key"), std::fs::Permissions::from_mode(mode)).expect("chmod");
    mode(0o644);
    assert_eq!(item("tls key")["standing"], "open");
    mode(0o600);
    assert!(item("tls key").is_null());
    let tls = item("tls");
    assert_eq!(tls["standing"], "ok");
    let evidence = tls["evidence"].as_str().unwrap_or_default();
    assert!(evidence.contains("good until 2090-01-01") && evidence.contains("clients may have a certificate"), "{evidence}");
    assert!(item("clients")["evidence"].as_str().is_some_and(|shown| shown.contains("agent (spiffe://corp.example/agent)")));
    let other = Authority::new().server(&stage, "other");
    std::fs::copy(&other.key, stage.path("server.key")).expect("writable");
    assert_eq!(item("tls")["standing"], "open");
    let refused = stage.output(&["serve"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("server.key"), "{refused:?}");
}
