use super::*;
use std::time::Duration;

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("dir"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        files::replace(&path, text.as_bytes(), files::Readers::Owner).expect("write");
        path
    }

    fn args(&self) -> PlacesArgs {
        PlacesArgs { state: Some(self.0.path().join("state")), lock: None }
    }

    fn load(&self, text: &str) -> Result<Loaded, ConfigErrors> {
        let path = self.write("bartizan.toml", text);
        read(&Request { path: Some(&path), places: self.args(), only: None }, &variables)
    }

    /// `line: what` of every problem.
    fn problems(&self, text: &str) -> Vec<String> {
        let errors = self.load(text).expect_err(text);
        let shown = |problem: &Problem| format!("{}: {}", errors.line(problem).unwrap_or(0), problem.what());
        errors.problems().iter().map(shown).collect()
    }
}

fn variables(name: &str) -> Option<OsString> {
    match name {
        "API_KEY" => Some("k3y".into()),
        "NO_KEY" => Some("whsec_".into()),
        "BAD_KEY" => Some("whsec_not base64".into()),
        _ => None,
    }
}

const EVERYTHING: &str = r#"
[listen]
address = "127.0.0.1:7301"
allowed_hosts = ["MCP.example.com", "gateway:8080"]
allowed_origins = ["https://app.example.com"]
[servers.remote]
url = "http://127.0.0.1:9100/mcp"
headers = { Authorization = "${env:UPSTREAM_AUTH}" }
sampling = true
[servers.files]
command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/data"]
env = { API_KEY = "${env:API_KEY}", LOG = "debug" }
directory = "."
timeout = "90s"
start_timeout = "2min"
[names]
separator = "--"
[policy]
files = ["policy.cedar"]
[limits]
message_bytes = 1048576
session_idle = "1h"
[controls.quota]
read_per_minute = 30
[dangerous]
observe = ["quota"]
"#;

fn alone(name: &str, command: Vec<String>) -> Single {
    Single { name: name.to_owned(), command, grants: Grants::default() }
}

#[test]
fn everything_that_can_be_said() {
    let bench = Bench::new();
    bench.write("policy.cedar", "permit (principal, action, resource);");
    let Loaded { settings, monitor, weakenings, .. } = bench.load(EVERYTHING).expect("good");
    assert_eq!(settings.listen.address.to_string(), "127.0.0.1:7301");
    assert_eq!(settings.listen.allowed_hosts, ["mcp.example.com", "gateway:8080"]);
    assert_eq!(settings.servers.iter().map(|server| &*server.name).collect::<Vec<_>>(), ["files", "remote"]);
    let files = settings.server("files").expect("files");
    assert_eq!((files.timeout, files.start_timeout), (Duration::from_secs(90), Duration::from_secs(120)));
    let How::Stdio { env, directory, .. } = &files.how else { panic!("stdio") };
    let told = |(key, value): &(String, Template)| format!("{key}={} {:?}", value.plain(), value.references().collect::<Vec<_>>());
    assert_eq!(env.iter().map(told).collect::<Vec<_>>(), ["API_KEY= [Env(\"API_KEY\")]", "LOG=debug []"]);
    assert!(directory.as_ref().expect("directory").is_dir());
    let How::Http { access, .. } = &settings.server("remote").expect("remote").how else { panic!("http") };
    assert_eq!(format!("{:?}", access.headers), "[(\"Authorization\", Template(${env:UPSTREAM_AUTH}))]", "resolved when it is used");
    assert_eq!(settings.limits, Limits { message_bytes: 1_048_576, session_idle: Duration::from_secs(3600), ..Limits::default() });
    assert_eq!(settings.places.lock, bench.0.path().join("bartizan.lock"));
    assert_eq!(monitor.observing().collect::<Vec<_>>(), ["quota"]);
    assert_eq!(weakenings.len(), 1);
    assert!(!format!("{settings:?}").contains("k3y"));
    assert!(!bench.0.path().join("state").exists(), "nothing is made");
}

#[test]
fn no_file_is_the_defaults() {
    let bench = Bench::new();
    let loaded = load(None, bench.args()).expect("defaults");
    assert_eq!(loaded.settings.listen.address.to_string(), "127.0.0.1:7300");
    assert!(loaded.settings.servers.is_empty() && loaded.weakenings.is_empty());
    assert_eq!(loaded.settings.limits, Limits::default());
}

#[test]
fn all_problems_at_once_each_with_its_place() {
    let text = r#"
[listen]
address = "0.0.0.0:7300"
allowed_hosts = ["https://x/", 7]
[servers.Files]
command = ["x"]
timeout = "soon"
[servers.both]
command = []
url = "http://127.0.0.1/"
[servers.neither]
colour = "red"
[limits]
sessions = 0
mesage_bytes = 1
[controls.quota]
read_per_minute = "many"
client_per_minute = -1
write_per_hour = 1
[controls.nonsense]
[dangerous]
observe = ["everything"]
"#;
    let found = Bench::new().problems(text);
    let expected = [
        (3, "not an address of this machine alone"),
        (4, "invalid type: integer `7`"),
        (5, "\"Files\" cannot be a server's name"),
        (7, "write a duration"),
        (10, "both a `command` and a `url`"),
        (11, "neither a `command` nor a `url`"),
        (12, "unknown field `colour`"),
        (14, "0 is not between 1 and"),
        (15, "unknown field `mesage_bytes`"),
        (17, "invalid type: a string"),
        (18, "invalid value: integer `-1`"),
        (19, "unknown field `write_per_hour`"),
        (20, "no control \"nonsense\""),
        (22, "no control \"everything\""),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, what), found) in expected.iter().zip(&found) {
        assert!(found.starts_with(&format!("{line}: ")) && found.contains(what), "{found} is not {line}: {what}");
    }
}

#[test]
fn broken_toml_says_where_and_nothing_else() {
    let found = Bench::new().problems("[listen]\naddress = \n[names\nseparator = \"x\"\n");
    assert!(found.len() >= 2 && found.iter().all(|problem| problem.starts_with("2: ") || problem.starts_with("3: ")), "{found:#?}");
}

#[test]
fn credentials_in_the_file_are_errors_and_never_shown() {
    let bench = Bench::new();
    let text = r#"
[servers.a]
command = ["npx", "x", "--token=ghp_16C7e42F292c6912E7710c838347Ae178B4a"]
env = { PASSWORD = "hunter2", DB = "postgres://me:hunter3@db/x", OK = "1" }
[servers.b]
url = "https://example.com/mcp?key=AKIAIOSFODNN7EXAMPLE"
headers = { X-Api-Key = "hunter4", Host = "x", X-Fine = "a\n${env:BROKEN}" }
[servers.c]
command = ["x", "${env:API_KEY}"]
env = "hunter5"
"#;
    let errors = bench.load(text).expect_err("credentials");
    let found = bench.problems(text);
    for (line, what) in [
        (3, "a GitHub token"),
        (4, "PASSWORD is made for a credential"),
        (4, "a password in a URL"),
        (6, "what looks like a credential"),
        (7, "X-Api-Key is made for a credential"),
        (7, "sets this header itself"),
        (7, "no header may have"),
        (9, "not replaced in a command"),
        (10, "invalid type: a string, expected a map"),
    ] {
        assert!(
            found.iter().any(|problem| problem.starts_with(&format!("{line}: ")) && problem.contains(what)),
            "{line} {what}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 9, "{found:#?}");
    let mut shown = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut shown, &errors)
        .expect("rendered");
    for secret in ["hunter2", "hunter3", "hunter4", "ghp_", "AKIA", "\na\nb"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains("PASSWORD"), "{shown}");
}

#[test]
fn a_secret_in_broken_toml_is_not_shown() {
    let errors = Bench::new()
        .load("[servers.a]\nenv = { K = \"ghp_16C7e42F292c6912E7710c838347Ae178B4a\", P = \"hunter2\" }\nx = \n")
        .expect_err("broken");
    let mut shown = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut shown, &errors)
        .expect("rendered");
    assert!(shown.contains("env =") && !shown.contains("hunter2") && !shown.contains("ghp_"), "{shown}");
}

#[test]
fn dangerous_opens_what_is_closed_and_says_so() {
    let bench = Bench::new();
    let text = "[listen]\naddress = \"0.0.0.0:7300\"\n[servers.a]\nurl = \"http://backend:9000/mcp\"\n";
    assert_eq!(bench.problems(text).len(), 2);
    let loaded = bench.load(&format!("{text}[dangerous]\nplain_http_beyond_loopback = true\n")).expect("asked for");
    assert_eq!(loaded.weakenings.len(), 1);
}

#[test]
fn redis_is_recognised_or_on_this_machine() {
    let bench = Bench::new();
    bench.write("empty.pem", "");
    let redis = |url: &str, more: &str| format!("[redis]\nurl = {url:?}\npassword = \"${{env:API_KEY}}\"\n{more}");
    for local in ["redis://127.0.0.1", "redis://127.8.9.1:7000/3", "redis://[::1]", "redis://localhost", "rediss://redis.example.com"] {
        assert!(bench.load(&redis(local, "")).is_ok(), "{local}");
    }
    for beyond in ["redis://redis.example.com", "redis://10.0.0.1", "redis://[fe80::1]", "redis://127.0.0.1.example.com", "redis://0.0.0.0"]
    {
        let found = bench.problems(&redis(beyond, ""));
        assert!(found.len() == 1 && found[0].contains("in clear text"), "{beyond}: {found:?}");
        let loaded = bench.load(&redis(beyond, "[dangerous]\nplain_http_beyond_loopback = true\n")).expect("asked for");
        assert_eq!(loaded.weakenings.len(), 1, "{beyond}");
    }
    for (ca, what) in [("none.pem", "cannot be read"), ("empty.pem", "holds no certificate")] {
        let found = bench.problems(&redis("rediss://redis.example.com", &format!("ca = {ca:?}\n")));
        assert!(found.len() == 1 && found[0].starts_with("4: ") && found[0].contains(what), "{found:?}");
    }
    let found = bench.problems(&redis("redis://127.0.0.1", "ca = \"empty.pem\"\n"));
    assert!(found.len() == 1 && found[0].contains("no certificate"), "{found:?}");
}

#[test]
fn a_header_stands_once() {
    let found = Bench::new().problems("[servers.a]\nurl = \"https://x/\"\n[servers.a.headers]\nX-A = \"1\"\nx-a = \"2\"\n");
    assert!(found.len() == 1 && found[0].contains("stands twice"), "{found:#?}");
}

#[test]
fn names_cannot_be_misread() {
    let bench = Bench::new();
    for name in ["a_", "a__b", "_a", "-", "a/b", "a.b", "\"\"", "\"ä\""] {
        let name = if name.contains(['/', '.']) { format!("{name:?}") } else { name.to_owned() };
        assert_eq!(bench.problems(&format!("[servers.{name}]\ncommand = [\"x\"]\n")).len(), 1, "{name}");
    }
    assert!(bench.load("[servers.a_b-1]\ncommand = [\"x\"]\n").is_ok());
}

#[test]
fn policies_are_read_and_errors_name_their_file() {
    let bench = Bench::new();
    bench.write("good.cedar", "permit (principal, action, resource);");
    bench.write("bad.cedar", "permit (principal, action, resource) when { resource.nope };");
    let found = bench.problems("[policy]\nfiles = [\n\"good.cedar\",\n\"bad.cedar\",\n\"none.cedar\"]\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("4: ") && found[0].contains("bad.cedar") && found[0].contains("nope"), "{found:#?}");
    assert!(found[1].starts_with("5: ") && found[1].contains("cannot be read"));
    assert_eq!(bench.problems("[policy]\nfiles = [\"good.cedar\"]\n[controls.policy]\ntext = \"\"\n").len(), 1);
    assert_eq!(bench.problems("[policy]\nfiles = []\n").len(), 1);
}

#[test]
fn the_digest_follows_the_meaning() {
    let bench = Bench::new();
    bench.write("p.cedar", "permit (principal, action, resource);");
    let digest = |text: &str| bench.load(text).expect(text).settings.policy_digest;
    let plain = digest("");
    assert_eq!(plain, digest("[limits]\nsessions = 5\n"));
    let quota = digest("[controls.quota]\nread_per_minute = 30\nwrite_per_minute = 5\n");
    assert_eq!(quota, digest("controls = { quota = { write_per_minute = 0x5, 'read_per_minute' = 30 } }"));
    let all = [
        plain,
        quota,
        digest("[dangerous]\nobserve = [\"quota\"]\n"),
        digest("[policy]\nfiles = [\"p.cedar\"]\n"),
        digest("[servers.a]\ncommand = [\"x\"]\nsampling = true\n"),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all[4], digest("[controls.request]\nsampling = [\"a\"]\n"));
}

#[test]
fn one_server_takes_its_part_of_a_file() {
    let bench = Bench::new();
    let path = bench.write(
        "c.toml",
        "[listen]\naddress = \"0.0.0.0:1\"\n[servers.a]\ncommand = [\"old\"]\nenv = { K = \"${env:API_KEY}\" }\ntimeout = \"5s\"\n[servers.b]\nurl = \"https://x/\"\nheaders = { K = \"${env:UNSET}\" }\n[limits]\nsessions = 5\n[controls.quota]\nread_per_minute = 1\n[names]\nseparator = \"-\"\n",
    );
    let dashed = Some(alone("a-b", vec!["new".to_owned()]));
    assert!(read(&Request { path: Some(&path), places: bench.args(), only: dashed }, &variables).is_ok(), "nothing is told apart");
    let only = Some(alone("a", vec!["new".to_owned()]));
    let loaded = read(&Request { path: Some(&path), places: bench.args(), only }, &variables).expect("single");
    assert_eq!((loaded.settings.servers.len(), loaded.settings.limits.sessions), (1, 5));
    let server = loaded.settings.server("a").expect("a");
    assert_eq!(server.timeout, Duration::from_secs(5));
    let How::Stdio { command, env, .. } = &server.how else { panic!("stdio") };
    assert_eq!((command.as_slice(), env.len()), (["new".to_owned()].as_slice(), 1));
    let shown = vec!["x".to_owned(), "--key".to_owned(), "AKIAIOSFODNN7EXAMPLE".to_owned()];
    assert_eq!(single(alone("z", shown), bench.args(), None).expect("plain").weakenings.len(), 1);
    assert!(single(alone("a__b", vec!["x".to_owned()]), bench.args(), None).is_err());
    assert!(single(alone("a", Vec::new()), bench.args(), None).is_err());
}

#[test]
fn a_missing_file_is_an_error() {
    let bench = Bench::new();
    let errors = load(Some(&bench.0.path().join("none.toml")), bench.args()).expect_err("missing");
    assert!(errors.problems()[0].what().contains("cannot be read"));
}

/// Every text is read or refused with a report; none panics, in debug builds on overflow neither.
#[test]
fn broken_files_are_refused_and_never_panic() {
    let bench = Bench::new();
    let whole: Vec<char> = EVERYTHING.replace("files = [\"policy.cedar\"]", "").chars().collect();
    let noise = ['"', '\'', '[', ']', '{', '}', '=', '\n', '#', '$', 'ä', '\u{202e}', '0', ',', '.'];
    let mut random = 1_u64;
    let mut next = |most: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("31 bits") % most
    };
    for _ in 0..200 {
        let mut text = whole.clone();
        for _ in 0..=next(3) {
            let at = next(text.len());
            match next(3) {
                0 => text.truncate(at.max(1)),
                1 => text.insert(at, noise[next(noise.len())]),
                _ => text[at] = noise[next(noise.len())],
            }
        }
        if let Err(errors) = bench.load(&text.iter().collect::<String>()) {
            let mut shown = String::new();
            miette::GraphicalReportHandler::new().render_report(&mut shown, &errors).expect("rendered");
            assert!(!errors.problems().is_empty() && errors.problems().iter().all(|problem| !problem.what().is_empty()), "{shown}");
        }
    }
}

const OAUTH: &str = r#"
[servers.files]
url = "http://127.0.0.1:9100/mcp"
[servers.db]
url = "http://127.0.0.1:9101/mcp"
[oauth]
resource = "https://mcp.example.com/mcp"
required_scopes = ["mcp"]
clock_skew = "10s"
[[oauth.issuer]]
issuer = "https://login.example.com/tenant"
algorithms = ["ES256"]
claims = { subject = "oid", groups = "roles" }
introspection = { url = "https://login.example.com/introspect", client_id = "gateway", client_secret = "${env:API_KEY}", cache = "5s" }
[[oauth.issuer]]
issuer = "http://127.0.0.1:9200"
jwks_uri = "http://127.0.0.1:9200/jwks"
jwks_max_age = "60s"
[oauth.scopes]
read = { effect = "read" }
admin = { servers = ["db"] }
[dangerous]
private_issuers = ["http://127.0.0.1:9200"]
"#;

#[test]
fn issuers_are_read() {
    use bartizan_monitor::case::Effect;
    let Loaded { settings, weakenings, .. } = Bench::new().load(OAUTH).expect("good");
    let oauth = settings.oauth.expect("issuers");
    let [tenant, own] = oauth.issuers.as_slice() else { panic!("two issuers") };
    assert_eq!((oauth.audience.as_str(), oauth.skew), ("https://mcp.example.com/mcp", Duration::from_secs(10)));
    assert_eq!((tenant.label.as_str(), tenant.network, own.network), ("login.example.com/tenant", Network::Public, Network::Private));
    assert_eq!(tenant.algorithms, [Algorithm::Es256].into());
    assert_eq!(own.algorithms, [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa].into());
    assert_eq!((tenant.subject.as_str(), tenant.groups.as_deref(), own.subject.as_str()), ("oid", Some("roles"), "sub"));
    assert_eq!(
        tenant.introspection.as_ref().map(|asked| (asked.client_secret.expose(), asked.cache)),
        Some(("k3y", Duration::from_secs(5)))
    );
    let step = |server: &str, effect| oauth.steps.get(&(server.to_owned(), effect)).map(String::as_str);
    assert_eq!((step("files", Effect::Read), step("files", Effect::Write)), (Some("mcp read"), None));
    assert_eq!((step("db", Effect::Read), step("db", Effect::Destructive)), (Some("mcp read"), Some("admin mcp")));
    assert!(weakenings.iter().any(|weakening| weakening.contains("private_issuers")), "{weakenings:?}");
}

#[test]
fn what_is_wrong_with_issuers_is_told_all_at_once() {
    let text = r#"
[oauth]
resource = "http://mcp.example.com/mcp#x"
required_scopes = ["a b"]
clock_skew = "121s"
[oauth.scopes]
read = { servers = ["nobody"], effect = "read" }
[[oauth.issuer]]
issuer = "http://login.example.com"
algorithms = ["HS256", "none", "ES256"]
[[oauth.issuer]]
issuer = "https://one.example.com"
jwks_uri = "http://127.0.0.1/jwks"
introspection = { url = "https://a:b@one.example.com/i", client_id = "x", client_secret = "hunter2hunter2" }
[[oauth.issuer]]
algorithms = []
[dangerous]
private_issuers = ["https://nobody.example.com"]
"#;
    let bench = Bench::new();
    let problems = bench.problems(text);
    for (line, what) in [
        (3, "a resource is the https address"),
        (4, "a scope is a word"),
        (5, "not between"),
        (7, "no server \"nobody\""),
        (9, "in clear text"),
        (10, "\"HS256\" is not an algorithm"),
        (10, "\"none\" is not an algorithm"),
        (13, "in clear text"),
        (14, "holds what looks like a credential"),
        (14, "holds no secrets"),
        (15, "`issuer` is missing"),
        (18, "no issuer \"https://nobody.example.com\""),
    ] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(&format!("{line}: ")) && problem.contains(what)),
            "{line}: {what}\n{problems:#?}"
        );
    }
    let shown = format!("{:?}", bench.load(text).expect_err("problems"));
    assert!(!shown.contains("hunter2"), "a secret is not shown with the problem");
    let rest = "[[oauth.issuer]]\nissuer = \"https://a.example\"\nintrospection = { url = \"https://a.example/i\", client_id = \"x\", client_secret = \"${env:API_KEY}\" }\n";
    let twice = format!("[oauth]\nresource = \"https://mcp.example.com\"\n{rest}{}", rest.replace("a.example", "b.example"));
    assert!(bench.problems(&twice).iter().any(|problem| problem.contains("only one issuer can have `introspection`")));
    let same = "[oauth]\nresource = \"https://mcp.example.com\"\n[[oauth.issuer]]\nissuer = \"https://a.example\"\n[[oauth.issuer]]\nissuer = \"https://a.example\"\n";
    assert!(bench.problems(same).iter().any(|problem| problem.contains("configured twice")));
    assert!(bench.problems("[oauth]\nresource = \"https://mcp.example.com\"\n").iter().any(|problem| problem.contains("no issuer")));
}

#[test]
fn a_webhook_has_an_address_and_a_secret_that_is_not_written_down() {
    let bench = Bench::new();
    let text = "[drift]\nprobe_every = \"1m\"\n[webhook]\nurl = \"https://a.example/x\"\nsecret = \"${env:API_KEY}\"";
    let settings = bench.load(text).expect("fine").settings;
    assert_eq!(settings.probe_every, Duration::from_secs(60));
    assert_eq!(settings.webhook.as_ref().map(|hook| hook.url.as_str()), Some("https://a.example/x"));
    assert!(!format!("{settings:?}").contains("k3y"), "the value is not shown");
    for (text, what) in [
        ("[webhook]\nurl = \"https://a.example/x\"", "an address and a secret"),
        ("[webhook]\nsecret = \"${env:API_KEY}\"", "an address and a secret"),
        ("[webhook]\nurl = \"https://a.example/x\"\nsecret = \"hunter2hunter2\"", "holds no secrets"),
        ("[webhook]\nurl = \"http://a.example/x\"\nsecret = \"${env:API_KEY}\"", "in clear text"),
        ("[webhook]\nurl = \"https://u:p@a.example/x\"\nsecret = \"${env:API_KEY}\"", "credential"),
        ("[webhook]\nurl = \"https://a.example/x\"\nsecret = \"${env:NO_KEY}\"", "this is no key"),
        ("[webhook]\nurl = \"https://a.example/x\"\nsecret = \"${env:BAD_KEY}\"", "this is no key"),
        ("[drift]\nprobe_every = \"1ms\"", "once a second at most"),
    ] {
        assert!(bench.problems(text).iter().any(|problem| problem.contains(what)), "{text}: {:?}", bench.problems(text));
        assert!(!format!("{:?}", bench.load(text).expect_err("problems")).contains("hunter2"), "{text}");
    }
}

const TLS: &str = "[listen.tls]\ncertificate = \"s.pem\"\nkey = \"s.key\"\n";

#[test]
fn what_listens_beyond_this_machine_has_tls_or_trusted_proxies() {
    let bench = Bench::new();
    let beyond = "[listen]\naddress = \"0.0.0.0:7300\"\n";
    let server = "[servers.docs]\nurl = \"https://docs.example.com/mcp\"\n";
    let ca = format!("{TLS}client_ca = \"c.pem\"\n");
    let client = "[[clients]]\ncertificate = \"dns:a.example.com\"\nlabel = \"a\"\n";
    let rows: &[(&str, String, &[&str])] = &[
        ("nothing", beyond.to_owned(), &["2: 0.0.0.0:7300 is not an address of this machine alone"]),
        ("no shared token", "[listen]\ntoken = \"x\"\n".to_owned(), &["2: unknown field `token`"]),
        ("TLS", format!("{beyond}{TLS}"), &[]),
        ("proxies", format!("{beyond}proxies = [\"10.0.0.0/8\"]\n"), &[]),
        ("bad proxies", format!("{beyond}proxies = [\"10.0.0.1/8\"]\n"), &["2: 0.0.0.0:7300 is not", "3: a proxy is an address"]),
        ("everybody is a proxy", "[listen]\nproxies = [\"0.0.0.0/0\"]\n".to_owned(), &["2: a proxy is an address"]),
        ("half of TLS", "[listen.tls]\nkey = \"s.key\"\n".to_owned(), &["1: `certificate` is missing"]),
        (
            "clients without authority",
            format!("{TLS}clients = \"offered\"\nclient_crl = \"c\"\n"),
            &["4: without `client_ca`", "5: without `client_ca`"],
        ),
        ("another word", format!("{ca}clients = \"maybe\"\n"), &["5: unknown variant `maybe`"]),
        ("a client", format!("{client}{ca}"), &[]),
        ("a client nobody asks", client.to_owned(), &["1: nobody can come with this certificate"]),
        ("twice", format!("{client}{}{ca}", client.replace("a.example", "A.example")), &["5: this certificate is configured twice"]),
        ("no name", format!("[[clients]]\nlabel = \"a\"\n{ca}"), &["1: `certificate` is missing"]),
        ("no label", format!("[[clients]]\ncertificate = \"dns:a\"\n{ca}"), &["1: `label` is missing"]),
        ("a bad label", format!("{}{ca}", client.replace("\"a\"", "\"a#b\"")), &["3: \"a#b\" cannot be a label"]),
        ("a bad name", format!("{}{ca}", client.replace("dns:a", "dns:*")), &["2: \"dns:*.example.com\" is not a name"]),
        ("an unknown server", format!("{client}servers = [\"x\"]\n{ca}"), &["4: there is no server \"x\""]),
        ("anonymous", format!("[listen]\nanonymous = {{ servers = [\"docs\"] }}\n{server}"), &[]),
        ("anonymous for everything", "[listen]\nanonymous = {}\n".to_owned(), &["2: `servers` is missing"]),
        (
            "anonymous beyond",
            format!("{beyond}anonymous = {{ servers = [\"docs\"] }}\n{TLS}{server}"),
            &["3: only programs of this machine"],
        ),
        (
            "anonymous behind proxies",
            format!("{beyond}proxies = [\"10.0.0.0/8\"]\nanonymous = {{ servers = [] }}\n"),
            &["4: only programs of this machine"],
        ),
    ];
    for (what, text, expected) in rows {
        let found = bench.load(text).map_or_else(|_| bench.problems(text), |_| Vec::new());
        let fits = found.len() == expected.len() && found.iter().zip(*expected).all(|(found, expected)| found.starts_with(expected));
        assert!(fits, "{what}: {found:#?}");
    }
    let open = |text: &str| bench.load(text).expect(text).settings.listen;
    assert_eq!(open(&format!("{beyond}proxies = [\"10.0.0.0/8\"]\n")).open_to, OpenTo::Proxies);
    assert_eq!(open(&format!("{beyond}proxies = [\"10.0.0.0/8\"]\n{TLS}")).open_to, OpenTo::Everybody);
    assert_eq!(open("[listen]\nproxies = [\"127.0.0.1\"]\n").open_to, OpenTo::Everybody);
    let dangerous = open(&format!("{beyond}[dangerous]\nplain_http_beyond_loopback = true\n"));
    assert_eq!((dangerous.open_to, dangerous.cleartext), (OpenTo::Everybody, Cleartext::Anywhere));
}

#[test]
fn clients_are_good_for_what_is_written() {
    let bench = Bench::new();
    let text = format!(
        "environment = \"prod\"\n[servers.docs]\nurl = \"https://x/\"\n[listen]\nanonymous = {{ servers = [\"docs\"] }}\n{TLS}client_ca = \"/ca.pem\"\n\
         [[clients]]\ncertificate = \"spiffe://corp/agent\"\nlabel = \"agent\"\nservers = [\"docs\"]\neffect = \"write\"\n\
         [[clients]]\ncertificate = \"dns:Old\"\nlabel = \"old\"\nenvironment = \"dev\"\n"
    );
    let settings = bench.load(&text).expect("good").settings;
    let tls = settings.listen.tls.expect("TLS");
    assert_eq!(tls.certificate, bench.0.path().join("s.pem"));
    let clients = tls.clients.expect("asked");
    assert_eq!((clients.ca, clients.crl, clients.wanted), (PathBuf::from("/ca.pem"), None, Wanted::Required));
    let shown = |entry: &Entry| format!("{} {:?} {:?} {:?}", entry.label, entry.reach.servers, entry.reach.most, entry.elsewhere);
    let known = &settings.clients;
    assert_eq!(shown(&known.certificates["spiffe://corp/agent"]), "agent Some({\"docs\"}) Write None");
    assert_eq!(shown(&known.certificates["dns:old"]), "old None Destructive Some(\"dev\")");
    assert_eq!(shown(known.anonymous.as_ref().expect("let in")), "anyone Some({\"docs\"}) Read None");
}

#[test]
fn stores_are_read_with_everything_that_opens_them() {
    let bench = Bench::new();
    bench.write("secret-id", "x");
    let text = r#"
[secrets]
cache = "30s"
warn_after = "90d"
[secrets.vault]
address = "https://vault.internal:8200/"
auth = "approle"
role_id = "gateway"
secret_id = "${file:secret-id}"
namespace = "team/a"
mount = "team/kv"
[secrets.aws]
region = "eu-central-1"
[servers.a]
url = "https://a.example/mcp"
headers = { X-Key = "${vault:team/kv/a#key}" }
[servers.a.effects.destructive]
headers = { X-Key = "${aws-sm:a/admin#key}" }
[servers.a.tools.drop]
headers = { X-Key = "${keyring:drop}" }
[servers.a.oauth]
grant = "token_exchange"
token_url = "https://login.example.com/token"
client_id = "gateway"
client_secret = "${file:client}"
scopes = ["a:read"]
"#;
    let settings = bench.load(text).expect("good").settings;
    let stores = &settings.stores;
    assert_eq!((stores.cache, stores.warn_after), (Duration::from_secs(30), Some(Duration::from_secs(90 * 86_400))));
    let vault = stores.vault.as_ref().expect("vault");
    assert_eq!((vault.namespace.as_deref(), vault.mount.as_deref()), (Some("team/a"), Some("team/kv")));
    assert!(matches!(&vault.login, VaultLogin::AppRole { mount, .. } if mount == "approle"));
    assert_eq!(stores.aws.as_ref().expect("aws").endpoint.as_str(), "https://secretsmanager.eu-central-1.amazonaws.com/");
    let server = settings.server("a").expect("a");
    let places: Vec<String> = server.templates().map(|(place, template)| format!("{place} {template:?}")).collect();
    let file = format!("oauth.client_secret Template(${{file:{}}})", bench.0.path().join("client").display());
    assert_eq!(
        places,
        [
            "headers.X-Key Template(${vault:team/kv/a#key})",
            "effects.destructive.headers.X-Key Template(${aws-sm:a/admin#key})",
            "tools.drop.headers.X-Key Template(${keyring:drop})",
            &file
        ]
    );
    let How::Http { access, .. } = &server.how else { panic!("http") };
    let login = access.login.as_ref().expect("a login");
    assert_eq!((login.grant, login.resource.as_str()), (Grant::TokenExchange, "https://a.example/mcp"));
}

#[test]
fn judges_are_asked_safely_or_not_at_all() {
    let bench = Bench::new();
    let a = "[servers.a]\nurl = \"https://a.example/mcp\"\n";
    let judge = |rest: &str| format!("{a}[judges.acme]\n{rest}");
    let good = judge("url = \"https://j.example/\"\nresults = [\"a/*\"]\n");
    let loaded = bench.load(&good).expect("good");
    assert!(loaded.weakenings.is_empty());
    let open = bench.load(&format!("{good}[dangerous]\njudges_may_fail = [\"acme\"]")).expect("asked for");
    assert_eq!(open.weakenings.len(), 1);
    let without = bench.load(a).expect("good");
    let digests = [&loaded, &open, &without].map(|loaded| loaded.settings.policy_digest);
    assert!(digests[0] != digests[1] && digests[0] != digests[2], "who is heard is part of what calls are judged by");
    for (text, what) in [
        (judge("results = [\"a/*\"]"), "has an address"),
        (judge("url = \"https://j.example/\""), "judges nothing"),
        (judge("url = \"https://j.example/\"\nresults = [\"b/*\"]"), "no server is called"),
        (judge("url = \"https://j.example/\"\nresults = [\"a\"]"), "no server is called"),
        (judge("url = \"https://j.example/\"\nresults = [\"a/\"]"), "is not of the form"),
        (judge("url = \"http://j.example/\"\nresults = [\"a/*\"]"), "in clear text"),
        (judge("url = \"https://u:hunter2@j.example/\"\nresults = [\"a/*\"]"), "looks like a credential"),
        (judge("url = \"https://j.example/\"\nresults = [\"a/*\"]\ntoken = \"hunter2\""), "holds no secrets"),
        (judge("url = \"https://j.example/\"\nresults = [\"a/*\"]\ntimeout = \"2m\""), "a minute is the most"),
        (judge("url = \"https://j.example/\"\nresults = [\"a/*\"]\nconcurrent = 0"), "is not between"),
        (judge("url = \"https://j.example/\"\nresults = [\"a/*\"]\non_failure = \"pass\""), "on_failure"),
        (format!("{a}[dangerous]\njudges_may_fail = [\"acme\"]"), "no judge is called"),
        (format!("{a}[judges.\"A b\"]\nurl = \"https://j.example/\"\nresults = [\"a/*\"]"), "cannot be a judge's name"),
    ] {
        let found = bench.problems(&text);
        assert!(found.iter().any(|problem| problem.contains(what)), "{text}: {found:?}");
        assert!(!format!("{:?}", bench.load(&text).expect_err("problems")).contains("hunter2"), "{text}");
    }
}

#[test]
fn a_collector_has_an_address_and_hears_of_a_share() {
    let bench = Bench::new();
    let traces = |rest: &str| format!("[servers.a]\nurl = \"https://a.example/mcp\"\n[traces]\n{rest}");
    let loaded = bench.load(&traces("url = \"http://127.0.0.1:4318/v1/traces\"\ntoken = \"${env:API_KEY}\"")).expect("good");
    let read = loaded.settings.traces.expect("traces");
    assert_eq!((read.share, read.token.is_some()), (0.01, true));
    for (text, what) in [
        (traces("share = 0.5"), "no collector"),
        (traces("url = \"http://c.example/v1/traces\""), "in clear text"),
        (traces("url = \"https://c.example/\"\nshare = 0.0"), "not a share"),
        (traces("url = \"https://c.example/\"\nshare = 1.01"), "not a share"),
        (traces("url = \"https://c.example/\"\nshare = nan"), "not a share"),
        (traces("url = \"https://c.example/\"\ntoken = \"hunter2\""), "holds no secrets"),
        (traces("url = \"https://c.example/\"\nevery = \"1s\""), "every"),
    ] {
        let found = bench.problems(&text);
        assert!(found.iter().any(|problem| problem.contains(what)), "{text}: {found:?}");
    }
}

#[test]
fn stores_that_cannot_be_opened_safely_are_problems() {
    let bench = Bench::new();
    let vault = |rest: &str| format!("[secrets.vault]\naddress = \"https://v.example\"\n{rest}");
    let a = "[servers.a]\nurl = \"https://a.example/mcp\"\n";
    let oauth = |rest: &str| format!("{a}[servers.a.oauth]\ngrant = \"client_credentials\"\nclient_id = \"x\"\n{rest}");
    for (text, what) in [
        (vault("token = \"hunter2\""), "holds no secrets"),
        (vault("token = \"${vault:a/b#c}\""), "cannot be in a store"),
        (vault("token = \"${aws-sm:a}\"\n[secrets.aws]\nregion = \"x\""), "cannot be in a store"),
        (vault("auth = \"ldap\""), "not a way to log in"),
        (vault("auth = \"approle\"\nrole_id = \"r\""), "`secret_id` is missing"),
        (vault("token = \"${env:T}\"\nrole_id = \"r\""), "does not belong"),
        (vault("token = \"${env:T}\"\nmount = \"../sys\""), "not a path"),
        (vault("token = \"${env:T}\"\nca = \"missing.pem\""), "cannot be read"),
        ("[secrets.vault]\naddress = \"http://10.0.0.1:8200\"\ntoken = \"${env:T}\"".to_owned(), "in clear text"),
        ("[secrets.vault]\naddress = \"https://u:hunter2@v.example\"\ntoken = \"${env:T}\"".to_owned(), "no user"),
        ("[secrets.aws]\nendpoint = \"https://x\"".to_owned(), "`region` is missing"),
        ("[secrets.aws]\nregion = \"EU\"".to_owned(), "not a region"),
        ("[secrets.aws]\nregion = \"x\"\naccess_key_id = \"hunter2\"".to_owned(), "holds no secrets"),
        ("[secrets]\nwarn_after = \"1ms\"".to_owned(), "is not between"),
        (format!("{a}headers = {{ K = \"${{vault:a/b#c}}\" }}"), "no `[secrets.vault]`"),
        (format!("{a}headers = {{ K = \"${{aws-sm:a}}\" }}"), "no `[secrets.aws]`"),
        (format!("{a}headers = {{ K = \"${{vault:a}}\" }}"), "MOUNT/PATH#FIELD"),
        (format!("{a}[servers.a.effects.dangerous]\nheaders = {{}}"), "not an effect"),
        (format!("{a}[servers.a.tools.x]\nheaders = {{ Host = \"x\" }}"), "sets this header itself"),
        (format!("{a}[servers.a.tools.x]\nheaders = {{ Authorization = \"hunter2-hunter2\" }}"), "holds no secrets"),
        ("[servers.a]\ncommand = [\"x\"]\n[servers.a.tools.x]\nheaders = { A = \"b\" }".to_owned(), "one environment"),
        ("[servers.a]\ncommand = [\"x\"]\nenv = { PATH = \"${env:X}\" }".to_owned(), "holds no reference"),
        (oauth("client_secret = \"hunter2\"\ntoken_url = \"https://l.example/t\""), "holds no secrets"),
        (oauth("client_secret = \"${env:S}\"\ntoken_url = \"http://l.example/t\""), "in clear text"),
        (oauth("client_secret = \"${env:S}\"\ntoken_url = \"https://l.example/t\"\nresource = \"x\""), "RFC 8707"),
        (format!("{a}[servers.a.oauth]\ngrant = \"password\""), "not a way to get a token"),
        (
            format!("{a}headers = {{ authorization = \"${{env:K}}\" }}\n[servers.a.oauth]\ngrant = \"client_credentials\""),
            "Authorization header itself",
        ),
    ] {
        let found = bench.problems(&text);
        assert!(found.iter().any(|problem| problem.contains(what)), "{text}: {found:?}");
        assert!(!format!("{:?}", bench.load(&text).expect_err("problems")).contains("hunter2"), "{text}");
    }
}
