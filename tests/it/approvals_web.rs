//! The page on which people answer what waits: who gets in, what is shown, what counts, and what others make of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Response, Served, Visitor, Wire};
use bartizan_tests::json::reason;
use bartizan_tests::process::eventually;
use bartizan_tests::script::{Era, Script};
use bartizan_tests::standin::{Says, StandIn};
use serde_json::{Value, json};

/// A world with `look` (read), `change` (write) and `drop` (destructive), and a page.
fn world(config: &str) -> Stage {
    let mut script = Script::with_tools(["look", "change", "drop"]).era(Era::Both);
    for tool in &mut script.tools {
        tool["inputSchema"]["properties"]["other"] = json!({"type": "string"});
    }
    let stage = Stage::new("[approvals]\nlisten = \"127.0.0.1:0\"");
    stage.configure(config);
    stage.server("files", &script);
    stage.approve(&["files"], &["look=read", "change=write", "drop=destructive"]);
    stage.vouch();
    stage.forget("files");
    stage
}

fn approver(stage: &Stage, label: &str, options: &[&str]) -> String {
    let mut words = vec!["--approver"];
    words.extend(options);
    stage.token(label, &words).text
}

fn page_of(stage: &Stage) -> SocketAddr {
    eventually("the page is open", || stage.output(&["approvals", "web"]).status.success());
    let address = stage.done(&["approvals", "web"]);
    address.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).and_then(|rest| rest.parse().ok()).expect("an address")
}

fn calls(stage: &Stage) -> usize {
    stage.received("files").iter().filter(|received| received.method() == "tools/call").count()
}

/// A call of a client without forms: it is answered with a preview, waits, and goes on when it is made again.
fn call(visitor: &Visitor<'_>, tool: &str, arguments: &Value) -> Value {
    visitor.modern("tools/call", &json!({"name": tool, "arguments": arguments})).json()
}

fn held(stage: &Stage) -> Vec<Value> {
    let listed = stage.output(&["approvals", "list", "--format", "json"]);
    let found: Value = serde_json::from_slice(&listed.stdout).unwrap_or_else(|error| panic!("{error}: {listed:?}"));
    found["held"].as_array().expect("a list").clone()
}

/// A browser, as far as one is needed.
#[derive(Clone)]
struct Browser {
    page: SocketAddr,
    /// Its path of the login, with its cookie.
    inside: Option<(String, String)>,
    headers: Vec<(String, String)>,
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("text")
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or_else(|| panic!("no {before} in {text}"), |(found, _)| found)
}

impl Browser {
    fn at(page: SocketAddr) -> Self {
        let own = [("Host", page.to_string()), ("Origin", "null".to_owned()), ("Sec-Fetch-Site", "same-origin".to_owned())];
        Self { page, inside: None, headers: own.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    /// The same with another header; an empty one is left out.
    fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(own, _)| own != name);
        if !value.is_empty() {
            other.headers.push((name.to_owned(), value.to_owned()));
        }
        other
    }

    fn send(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Response {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        self.send_raw(method, path, &body.finish())
    }

    fn send_raw(&self, method: &str, path: &str, body: &str) -> Response {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            if method == "POST" || name != "Origin" {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if let Some((inside, cookie)) = self.inside.as_ref().filter(|(inside, _)| path.starts_with(inside.as_str())) {
            assert!(inside.len() > 40);
            head.push_str(&format!("Cookie: other=1; {cookie}\r\n"));
        }
        if method == "POST" {
            if !self.headers.iter().any(|(name, _)| name == "Content-Type") {
                head.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            }
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut wire = Wire::to(self.page);
        wire.send(format!("{head}\r\n{body}").as_bytes());
        wire.response().expect("a response")
    }

    fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[])
    }

    fn log_in(page: SocketAddr, token: &str) -> Self {
        let mut browser = Self::at(page);
        let entered = browser.send("POST", "/login", &[("name", "x"), ("token", token)]);
        assert_eq!(entered.status(), 303, "{}", body(&entered));
        browser.take(&entered);
        browser
    }

    fn take(&mut self, entered: &Response) {
        let cookie = entered.head.header("set-cookie").expect("a cookie");
        for part in ["; HttpOnly", "; SameSite=Strict", "; Max-Age=1800", "; Path=/in/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let path = between(cookie, "Path=", ";").to_owned();
        self.inside = Some((path, cookie.split(';').next().expect("a pair").to_owned()));
    }

    fn inside(&self, path: &str) -> String {
        format!("{}/{path}", self.inside.as_ref().expect("logged in").0)
    }

    fn list(&self) -> String {
        let list = self.get(&self.inside(""));
        assert_eq!(list.status(), 200, "{}", body(&list));
        body(&list)
    }

    fn detail(&self, id: &str) -> String {
        let detail = self.get(&self.inside(&format!("call/{id}")));
        assert_eq!(detail.status(), 200, "{}", body(&detail));
        body(&detail)
    }

    /// The fields of the forms of a page.
    fn fields(page: &str) -> [(&'static str, String); 2] {
        // The form's own, behind that of the log-out button.
        let form = page.rsplit_once("name=\"form\"").expect("a form").1;
        [("form", between(form, "value=\"", "\"").to_owned()), ("shown", between(page, "name=\"shown\" value=\"", "\"").to_owned())]
    }

    /// Looks at a call and presses a button.
    fn answer(&self, id: &str, what: &str) -> Response {
        self.press((id, what), &Self::fields(&self.detail(id)))
    }

    fn press(&self, (id, what): (&str, &str), fields: &[(&str, String)]) -> Response {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.send("POST", &self.inside(&format!("call/{id}/{what}")), &fields)
    }
}

fn one_held(stage: &Stage) -> String {
    eventually("one call waits", || held(stage).len() == 1);
    held(stage)[0]["id"].as_str().expect("an id").to_owned()
}

fn client<'g>(gateway: &'g Served, token: &str) -> Visitor<'g> {
    gateway.visitor(token).at("/mcp/files")
}

#[test]
fn people_see_and_answer_what_waits_and_the_record_says_who() {
    let stage = world("");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    assert_eq!(reason(&call(&visitor, "drop", &json!({"text": "a <b>\u{202e}"}))), Some("confirm.required"));
    let id = one_held(&stage);
    let ann = Browser::log_in(page, &ann);
    let list = ann.list();
    for part in ["files<i>/</i>drop", "destructive", "token:ci#", "http-equiv=\"refresh\"", "token:ann#"] {
        assert!(list.contains(part), "{part} in {list}");
    }
    let detail = ann.detail(&id);
    for part in [
        "<dt>server</dt><dd>files",
        "<dt>tool</dt><dd>drop",
        "asked by",
        "text = &quot;a \\u{3c}b\\u{3e}\\u{202e}&quot;",
        "<dt>least assurance</dt><dd>model",
    ] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
    assert!(!detail.contains("http-equiv"), "what is being read stays as it is");
    // Looking changes nothing, however often and whatever is asked for.
    for path in ["grant", "refuse"] {
        assert_eq!(ann.get(&ann.inside(&format!("call/{id}/{path}"))).status(), 404);
    }
    let done = ann.answer(&id, "grant");
    assert!(done.status() == 200 && body(&done).contains("Granted"), "{}", body(&done));
    assert_eq!(calls(&stage), 0, "the client comes again");
    let again = ann.press((&id, "grant"), &Browser::fields(&detail));
    assert!(matches!(again.status(), 409 | 410), "{}", body(&again));
    assert_eq!(reason(&call(&visitor, "drop", &json!({"text": "a <b>\u{202e}"}))), None);
    let word = stage.journal().last_closed().expect("closed")["confirmation"].clone();
    assert_eq!((&word["channel"], &word["assurance"], &word["answer"]), (&json!("web"), &json!("second"), &json!("yes")));
    assert!(word["by"].as_str().is_some_and(|by| by.starts_with("token:ann#")), "{word}");
    assert_eq!(word["shown"].as_str(), Some(between(&detail, "name=\"shown\" value=\"", "\"")), "what was shown is in the record");
    // The next one says what changed, and is refused.
    call(&visitor, "drop", &json!({"text": "b"}));
    let id = one_held(&stage);
    let refused = ann.answer(&id, "refuse");
    assert!(body(&refused).contains("Refused"));
    assert!(ann.list().contains("Nothing waits."));
    // Logged out, the cookie is worth nothing.
    let (form, _) = Browser::fields(&ann.list().replace("name=\"form\"", "name=\"shown\" value=\"\"><x name=\"form\"")).into();
    assert_eq!(ann.send("POST", &ann.inside("logout"), &[("form", &form.1)]).status(), 303);
    assert_eq!(ann.get(&ann.inside("")).status(), 303);
    assert_eq!((calls(&stage), stage.journal().of("approver-login").count()), (1, 1));
    drop(gateway);
    stage.verify();
}

#[test]
fn no_client_gets_in_and_nobody_guesses() {
    let stage = world("");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &["--expires", "1h"]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    // What is for answering calls nothing.
    let refused = client(&gateway, &ann).modern("tools/call", &json!({"name": "look", "arguments": {}}));
    assert_eq!((refused.status(), reason(&refused.json())), (401, Some("identity.invalid")));
    let browser = Browser::at(page);
    let guess = |token: &str| browser.send("POST", "/login", &[("token", token)]);
    let altered = format!("{}{}", &ann[..ann.len() - 1], if ann.ends_with('A') { 'E' } else { 'A' });
    for bad in [&ci, "", "bzt_00000000_x", &altered, "'; --", &"x".repeat(10_000)] {
        let got = guess(bad);
        assert_eq!((got.status(), got.head.header("set-cookie")), (403, None), "{bad}");
        assert!(body(&got).contains("This token lets nobody in here.") && !body(&got).contains(&ann[..20]));
    }
    let mut limited = 0;
    for _ in 0..10 {
        let got = guess(&altered);
        if got.status() == 429 {
            assert_eq!(got.head.header("retry-after"), Some("60"));
            limited += 1;
        }
    }
    assert_eq!(limited, 6, "ten fail, the rest waits");
    assert_eq!(guess(&ann).status(), 429, "nobody gets in by luck either");
    assert_eq!(stage.journal().of("approver-refused").count(), 10);
    // Without a login nothing is there, and a foreign path leads to the login.
    for path in ["/in/", "/in/x/", "/in/x/call/y", "/in/x/call/y/whole", "/in/%2e%2e/"] {
        assert_eq!(browser.get(path).status(), 303, "{path}");
        assert_eq!(browser.send("POST", path, &[]).status(), 403, "{path}");
    }
    for path in ["/x", "/login", "/link", "//evil.example/", "/style.css/x", "/../etc/passwd"] {
        assert_eq!(browser.get(path).status(), 404, "{path}");
    }
}

#[test]
fn other_pages_cannot_press_frame_or_rename_it() {
    let stage = world("");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    call(&client(&gateway, &ci), "drop", &json!({}));
    let id = one_held(&stage);
    let browser = Browser::log_in(page, &ann);
    let fields = Browser::fields(&browser.detail(&id));
    let press = |browser: &Browser| browser.press((&id, "grant"), &fields).status();
    // Rebinding: another name for the same address, or none.
    for host in ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1:80", "127.0.0.1.evil.example", "x@127.0.0.1"] {
        let other = browser.with("Host", host);
        assert_eq!((press(&other), other.get("/").status()), (403, 403), "{host}");
    }
    let named = browser.with("Host", &format!("localhost:{}", page.port()));
    assert_eq!(press(&named), 403, "a login is for the name under which it was made");
    // Forms of others.
    for (origin, site) in [
        ("https://evil.example", "cross-site"),
        ("null", "cross-site"),
        ("null", ""),
        ("", ""),
        ("http://127.0.0.1:1", "same-site"),
        ("http://127.0.0.1:1", ""),
        ("null", "none"),
        ("https://evil.example", "same-origin"),
    ] {
        assert_eq!(press(&browser.with("Origin", origin).with("Sec-Fetch-Site", site)), 403, "{origin} {site}");
    }
    // Frames, pictures, workers.
    for wanted_as in ["iframe", "frame", "embed", "object", "image", "script", "serviceworker"] {
        assert_eq!(browser.with("Sec-Fetch-Dest", wanted_as).get("/").status(), 403, "{wanted_as}");
    }
    // A form without the login's own field, with another's, or with what was not shown; a login without its cookie.
    let other = Browser::log_in(page, &ann);
    let [_, shown] = fields.clone();
    let own = fields[0].1.clone();
    for (form, shown, status) in [
        (String::new(), shown.1.clone(), 403),
        (Browser::fields(&other.detail(&id))[0].1.clone(), shown.1.clone(), 403),
        (own.clone(), String::new(), 409),
        (own.clone(), "sha256:00".to_owned(), 409),
    ] {
        assert_eq!(browser.press((&id, "grant"), &[("form", form.clone()), ("shown", shown)]).status(), status, "{form}");
    }
    let twice = [("form", own.clone()), ("form", own), ("shown", shown.1)];
    assert_eq!(browser.press((&id, "grant"), &twice).status(), 403);
    let mut stolen = browser.clone();
    stolen.inside = Some((browser.inside.clone().expect("inside").0, other.inside.clone().expect("inside").1));
    assert_eq!(press(&stolen), 403, "the cookie of another login");
    assert_eq!(
        browser.with("Content-Type", "application/json").send_raw("POST", &browser.inside(&format!("call/{id}/grant")), "{}").status(),
        415
    );
    assert_eq!(browser.with("Content-Type", "text/plain").send_raw("POST", "/login", "token=x").status(), 415);
    let long = format!("form={}", "x".repeat(80_000));
    assert_eq!(browser.send_raw("POST", &browser.inside("logout"), &long).status(), 413);
    let mut wire = Wire::to(page);
    wire.send(format!("GET / HTTP/1.1\r\nHost: {page}\r\nX: {}\r\n\r\n", "x".repeat(40_000)).as_bytes());
    assert!(wire.response().is_none_or(|response| response.status() == 431));
    // What every answer says to the browser.
    for answer in [browser.get("/"), browser.get(&browser.inside("")), browser.get("/none"), browser.with("Host", "evil").get("/")] {
        let header = |name: &str| answer.head.header(name).unwrap_or_default().to_owned();
        let content = header("content-security-policy");
        assert!(
            content.contains("default-src 'none'") && content.contains("frame-ancestors 'none'") && !content.contains("script"),
            "{content}"
        );
        assert_eq!((header("x-frame-options"), header("cache-control")), ("DENY".to_owned(), "no-store".to_owned()));
        assert_eq!((header("referrer-policy"), header("x-content-type-options")), ("no-referrer".to_owned(), "nosniff".to_owned()));
        assert!(!body(&answer).contains("<script") && !body(&answer).contains(" style=") && !body(&answer).contains(" on"));
    }
    // After all that it still waits, and the one real click counts.
    assert_eq!((held(&stage).len(), calls(&stage), press(&browser)), (1, 0, 200));
}

#[test]
fn malicious_arguments_are_shown_whole_and_do_nothing() {
    let stage = world("[limits]\nmessage_bytes = 8000000");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    let long = format!("{}</pre><script>alert(1)</script>\u{202e}END", "x".repeat(1_000_000));
    call(&visitor, "drop", &json!({"text": long, "other": "\"><img src=x onerror=alert(1)>\u{200b}\u{2066}"}));
    let id = one_held(&stage);
    let browser = Browser::log_in(page, &ann);
    let (list, detail) = (browser.list(), browser.detail(&id));
    let whole = browser.get(&browser.inside(&format!("call/{id}/whole")));
    let whole = body(&whole);
    for text in [&list, &detail, &whole] {
        for active in ["<script", "<img", "onerror=alert(1)>", "\u{202e}", "\u{200b}", "\u{2066}"] {
            assert!(!text.contains(active), "{active}");
        }
    }
    assert!(detail.len() < 20_000 && detail.contains("characters, sha256:") && detail.contains("/whole"), "{} bytes", detail.len());
    assert!(whole.contains("\\u{3c}script\\u{3e}alert(1)") && whole.contains("\\u{202e}END"), "{} bytes", whole.len());
    // What is a little longer than folded stands below, closed.
    browser.answer(&id, "refuse");
    call(&visitor, "drop", &json!({"text": "y".repeat(1000)}));
    let detail = browser.detail(&one_held(&stage));
    assert!(between(&detail, "<details>", "</details>").contains(&"y".repeat(1000)));
}

#[test]
fn many_calls_have_pages_and_everybody_sees_their_own() {
    let stage = world(
        "[controls.quota]\nclient_per_minute = 100000\ndestructive_per_minute = 100000\nwrite_per_minute = 100000\n[limits]\nmessages_per_minute = 100000\noffences_per_minute = 100000",
    );
    let ann = approver(&stage, "ann", &[]);
    let (clerk, elsewhere) = (approver(&stage, "clerk", &["--effect", "write"]), approver(&stage, "else", &["--server", "other"]));
    let tokens: Vec<String> = (0..3).map(|number| stage.token(&format!("ci{number}"), &[]).text).collect();
    let gateway = stage.serve();
    let page = page_of(&stage);
    for (number, token) in tokens.iter().cycle().take(90).enumerate() {
        call(&client(&gateway, token), "drop", &json!({"text": format!("n{number}")}));
    }
    call(&client(&gateway, &tokens[0]), "change", &json!({}));
    let ann = Browser::log_in(page, &ann);
    let begun = Instant::now();
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..=4 {
        let got = body(&ann.get(&ann.inside(&format!("?page={number}"))));
        assert!(got.contains(&format!("Page {number} of 4")), "{got}");
        seen.extend(got.split("/call/").skip(1).map(|rest| rest.split('"').next().expect("an id").to_owned()));
    }
    assert_eq!(seen.len(), 91);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for odd in ["?page=0", "?page=99999999999999999999", "?page=-1", "?page=%3Cx%3E", "?other"] {
        assert_eq!(ann.get(&ann.inside(odd)).status(), 200, "{odd}");
    }
    let clerk = Browser::log_in(page, &clerk);
    assert!(clerk.list().contains("Waiting calls <span class=\"count\">1</span>"));
    let elsewhere = Browser::log_in(page, &elsewhere);
    assert!(elsewhere.list().contains("Nothing waits."));
    // Who has no say in it is told what is told of what does not exist.
    let dropped = held(&stage).into_iter().find(|call| call["tool"] == "drop").expect("one")["id"].as_str().expect("an id").to_owned();
    let fields = Browser::fields(&ann.detail(&dropped));
    for other in [&clerk, &elsewhere] {
        assert_eq!(other.get(&other.inside(&format!("call/{dropped}"))).status(), 410);
        let form = between(&other.list(), "name=\"form\" value=\"", "\"").to_owned();
        let pressed = other.press((&dropped, "grant"), &[("form", form), fields[1].clone()]);
        assert!(matches!(pressed.status(), 403 | 410), "{}", body(&pressed));
    }
    assert_eq!((calls(&stage), held(&stage).len()), (0, 91));
    drop(gateway);
}

#[test]
fn the_first_of_two_counts_and_the_second_is_told() {
    let stage = world("");
    let ci = stage.token("ci", &[]).text;
    let tokens = ["ann", "bob"].map(|label| approver(&stage, label, &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    call(&visitor, "drop", &json!({}));
    let id = one_held(&stage);
    let browsers: Vec<Browser> = tokens.iter().map(|token| Browser::log_in(page, token)).collect();
    let forms: Vec<_> = browsers.iter().map(|browser| Browser::fields(&browser.detail(&id))).collect();
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let press = |at: usize| browsers[at].press((&id, ["grant", "refuse"][at]), &forms[at]);
        let both = [scope.spawn(move || press(0)), scope.spawn(move || press(1))];
        both.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    let mut status: Vec<u16> = answers.iter().map(Response::status).collect();
    let granted = status[0] == 200;
    status.sort_unstable();
    assert_eq!(status, [200, 409]);
    let late = answers.iter().find(|answer| answer.status() == 409).expect("one");
    assert!(body(late).contains("Somebody else has answered it before you"));
    assert_eq!(reason(&call(&visitor, "drop", &json!({}))).is_none(), granted);
    assert_eq!(stage.journal().of("approval").count(), 1);
}

#[test]
fn a_token_that_ends_ends_its_logins() {
    let stage = world("");
    let (ann, bob) = (approver(&stage, "ann", &[]), approver(&stage, "bob", &["--expires", "3s"]));
    let _gateway = stage.serve();
    let page = page_of(&stage);
    let (ann, bob) = (Browser::log_in(page, &ann), Browser::log_in(page, &bob));
    assert!(ann.list().contains("Nothing waits."));
    stage.done(&["token", "revoke", "ann"]);
    eventually("she is logged out", || ann.get(&ann.inside("")).status() == 303);
    eventually("time is up", || bob.get(&bob.inside("")).status() == 303);
}

#[test]
fn it_is_off_unless_asked_for_and_closed_to_the_network_without_tls() {
    let stage = Stage::new("");
    for (config, part) in [
        ("[approvals]\nlisten = \"0.0.0.0:0\"", "clear text"),
        ("[approvals]\nlisten = \"[::]:0\"\nurl = \"https://a.example/\"", "clear text"),
        ("[approvals]\nlisten = \"192.0.2.1:1\"\n[dangerous]\nplain_http_beyond_loopback = true", "clear text"),
        ("[approvals]\nlisten = \"0.0.0.0:0\"\ntls = { certificate = \"a\", key = \"b\" }", "calls it by a name"),
        ("[approvals]\nlisten = \"127.0.0.1:0\"\nurl = \"http://a.example/\"", "not an address of a page"),
        ("[approvals]\nlisten = \"127.0.0.1:0\"\nurl = \"https://u:p@a.example/\"", "not an address of a page"),
        ("[approvals]\nlisten = \"127.0.0.1:0\"\nurl = \"https://a.example/x?y\"", "not an address of a page"),
        ("[approvals]\nurl = \"https://a.example/\"", "without an address"),
        ("[approvals]\nlisten = \"127.0.0.1\"", "approvals"),
        ("[approvals]\nport = 1", "port"),
    ] {
        std::fs::write(stage.path("bartizan.toml"), config).expect("writable");
        let output = stage.output(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{config}: {said}");
        assert!(said.contains(part), "{config}: {said}");
    }
    // An address that is taken is no page, and no gateway that only seems to have one.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("a port").port();
    std::fs::write(stage.path("bartizan.toml"), format!("[listen]\naddress = \"127.0.0.1:0\"\n[approvals]\nlisten = \"127.0.0.1:{port}\""))
        .expect("writable");
    assert_eq!(stage.output(&["serve"]).status.code(), Some(3));
    std::fs::write(stage.path("bartizan.toml"), "[listen]\naddress = \"127.0.0.1:0\"").expect("writable");
    let _gateway = stage.serve();
    let none = stage.output(&["approvals", "web"]);
    assert!(none.status.code() == Some(1) && String::from_utf8_lossy(&none.stderr).contains("[approvals] listen"), "{none:?}");
}

/// What somebody gets who waits for an answer, on a line of their own.
fn while_it_waits<T>(visitor: &Visitor<'_>, stage: &Stage, act: impl FnOnce(&str) -> T) -> (T, Value) {
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| call(visitor, "drop", &json!({"text": "x"})));
        let done = act(&one_held(stage));
        (done, waits.join().expect("answered"))
    })
}

#[test]
fn a_second_person_is_somebody_else_on_the_page_too() {
    let stage = world("[controls.confirm.minimum]\ndestructive = \"second\"");
    let asks = stage.token("ann", &[]).text;
    let ann = approver(&stage, "ann", &[]);
    let same = approver(&stage, "ann-at-work", &["--same", "token:ann", "--same", "user:ann"]);
    let (bob, clerk) = (approver(&stage, "bob", &[]), approver(&stage, "clerk", &["--effect", "read"]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &asks);
    let ((), got) = while_it_waits(&visitor, &stage, |id| {
        let bob = Browser::log_in(page, &bob);
        let shown = Browser::fields(&bob.detail(id))[1].clone();
        for token in [&ann, &same] {
            let browser = Browser::log_in(page, token);
            let detail = browser.detail(id);
            assert!(detail.contains("This needs somebody else") && !detail.contains("/grant"), "{detail}");
            let form = Browser::fields(&detail)[0].clone();
            let pressed = browser.press((id, "grant"), &[form, shown.clone()]);
            assert!(pressed.status() == 403 && body(&pressed).contains("Somebody else must agree"), "{}", body(&pressed));
        }
        // The same on the command line, with the same token.
        for (token, code) in [(&ann, 1), (&same, 1), (&clerk, 1), (&asks, 1)] {
            let mut command = stage.bartizan(&["approvals", "grant", id, "--yes"]);
            assert_eq!(command.env("BARTIZAN_AS", token).output().expect("bartizan").status.code(), Some(code));
        }
        assert_eq!(bob.answer(id, "grant").status(), 200);
    });
    assert_eq!(reason(&got), None, "{got}");
    let word = stage.journal().last_closed().expect("closed")["confirmation"].clone();
    assert!(word["by"].as_str().is_some_and(|by| by.starts_with("token:bob#")) && word["assurance"] == "second", "{word}");
    assert_eq!(calls(&stage), 1);
    drop(gateway);
    stage.verify();
}

#[test]
fn two_people_are_two_and_a_no_of_one_is_enough() {
    let stage = world("[controls.confirm.approvers]\ndestructive = 2");
    let ci = stage.token("ci", &[]).text;
    let ann = approver(&stage, "ann", &[]);
    // The same as somebody who is the same as Ann.
    let again = approver(&stage, "ann2", &["--same", "token:ann-phone"]);
    approver(&stage, "ann-phone", &["--same", "token:ann"]);
    let bob = approver(&stage, "bob", &[]);
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    let [first, alias, second] = [&ann, &again, &bob].map(|token| Browser::log_in(page, token));
    let ((), got) = while_it_waits(&visitor, &stage, |id| {
        let fields = Browser::fields(&alias.detail(id));
        let agreed = first.answer(id, "grant");
        assert!(agreed.status() == 200 && body(&agreed).contains("waits for 1 more"), "{}", body(&agreed));
        let detail = first.detail(id);
        assert!(
            detail.contains("You have agreed") && detail.contains("second, 2 people; 1 agreed") && !detail.contains("/grant"),
            "{detail}"
        );
        // Whoever comes again under another label is no second person, and nobody at the machine is one.
        assert_eq!(alias.press((id, "grant"), &fields).status(), 409);
        assert_eq!(stage.output(&["approvals", "grant", id, "--yes"]).status.code(), Some(1));
        assert_eq!((calls(&stage), held(&stage).len()), (0, 1));
        let done = second.answer(id, "grant");
        assert!(body(&done).contains("Granted"), "{}", body(&done));
    });
    assert_eq!(reason(&got), None, "{got}");
    let word = stage.journal().last_closed().expect("closed")["confirmation"].clone();
    assert!(word["by"].as_str().is_some_and(|by| by.starts_with("token:bob#")), "{word}");
    assert!(word["also"][0]["by"].as_str().is_some_and(|by| by.starts_with("token:ann#")), "{word}");
    let ((), got) = while_it_waits(&visitor, &stage, |id| {
        first.answer(id, "grant");
        second.answer(id, "refuse");
    });
    assert_eq!((reason(&got), calls(&stage)), (Some("confirm.refused"), 1));
    drop(gateway);
    stage.verify();
    for wrong in ["0", "9", "\"two\""] {
        let stage = Stage::new(&format!("[controls.confirm.approvers]\ndestructive = {wrong}"));
        assert_eq!(stage.output(&["check"]).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn links_lead_to_the_login_for_one_call_once_and_say_little() {
    let channel = StandIn::start(|_| Says::Json(200, json!({})));
    let stage = world("[controls.quota]\nclient_per_minute = 100000\ndestructive_per_minute = 100000");
    let secret = format!("http://{}/services/T0/B0/very-secret", channel.address);
    std::fs::write(stage.path("slack.url"), &secret).expect("writable");
    std::fs::write(stage.path("hook.key"), "0123456789").expect("writable");
    let hook = StandIn::start(|_| Says::Json(200, json!({})));
    stage.configure("[approvals]\nslack = \"${file:slack.url}\"\nshow_arguments = [\"other\"]");
    stage.configure(&format!("[webhook]\nurl = \"http://{}/\"\nsecret = \"${{file:hook.key}}\"", hook.address));
    let ci = stage.token("ci", &[]).text;
    let (ann, bob) = (approver(&stage, "ann", &[]), approver(&stage, "bob", &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    let arguments = json!({"text": "a secret of somebody", "other": "<!channel> <https://evil.example|click> *b* \u{202e}x"});
    call(&visitor, "drop", &arguments);
    let id = one_held(&stage);
    eventually("both are told", || channel.asked().len() == 1 && hook.asked().len() == 1);
    let told = channel.asked()[0].clone();
    assert_eq!((told.path.as_str(), told.header("webhook-signature")), ("/services/T0/B0/very-secret", None));
    let message: Value = serde_json::from_str(&told.body).expect("JSON");
    assert!(
        !told.body.contains("a secret of somebody") && !told.body.contains("<!channel>") && !told.body.contains("<https"),
        "{}",
        told.body
    );
    assert!(told.body.contains("argument other: \\\\u{3c}") && told.body.contains("asked by: token:ci#"), "{}", told.body);
    assert_eq!((&message["unfurl_links"], &message["blocks"][1]["fields"][0]["type"]), (&json!(false), &json!("plain_text")));
    let link = message["blocks"][2]["elements"][0]["url"].as_str().expect("a link").to_owned();
    let event: Value = serde_json::from_str(&hook.asked()[0].body).expect("JSON");
    assert!(hook.asked()[0].header("webhook-signature").is_some());
    assert_eq!((&event["type"], &event["data"]["link"], &event["data"]["id"]), (&json!("confirm.waiting"), &json!(link), &json!(id)));
    let path = link.strip_prefix(&format!("http://{page}")).expect("a link to the page").to_owned();
    // Somebody's program opens it, again and again: nothing happens, and nothing more is said.
    let from_afar = Browser::at(page).with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Dest", "document");
    for _ in 0..3 {
        let led = from_afar.get(&path);
        assert!(led.status() == 200 && body(&led).contains("files<i>/</i>drop") && !body(&led).contains("secret"), "{}", body(&led));
    }
    assert_eq!(Browser::at(page).with("Sec-Fetch-Site", "cross-site").send("POST", &path, &[("token", &ann)]).status(), 403);
    let mut browser = Browser::at(page);
    for bad in ["", "bzt_00000000_x", &ci] {
        assert_eq!(browser.send("POST", &path, &[("token", bad)]).status(), 403, "{bad}");
    }
    // Altered in any place, cut, or made up, it is no link.
    let token = path.strip_prefix("/link/").expect("a link").to_owned();
    let altered = (0..token.len()).step_by(7).map(|at| {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &token[..at], &token[at + 1..])
    });
    for bad in altered.chain([token[..token.len() - 4].to_owned(), String::new(), "AAAA".to_owned(), "x".repeat(5000), "%00".to_owned()]) {
        let got = browser.get(&format!("/link/{bad}"));
        assert_eq!(got.status(), 410, "{bad}");
        assert_eq!(browser.send("POST", &format!("/link/{bad}"), &[("token", &ann)]).status(), 410, "{bad}");
    }
    // Somebody goes through it: logged in, at the call, and it answers nothing by itself.
    let entered = browser.send("POST", &path, &[("name", "ann"), ("token", &ann)]);
    assert_eq!(entered.status(), 303, "{}", body(&entered));
    browser.take(&entered);
    assert_eq!(entered.head.header("location"), Some(&*browser.inside(&format!("call/{id}"))));
    assert_eq!((held(&stage).len(), calls(&stage)), (1, 0));
    assert_eq!(browser.send("POST", &path, &[("token", &ann)]).status(), 410, "each person once");
    let second = browser.send("POST", &path, &[("token", &bob)]);
    assert_eq!(second.status(), 303, "others may be wanted, too");
    assert_eq!(browser.answer(&id, "grant").status(), 200);
    // The call goes on, and the link leads nowhere any more.
    assert_eq!(reason(&call(&visitor, "drop", &arguments)), None);
    assert_eq!((browser.get(&path).status(), browser.send("POST", &path, &[("token", &bob)]).status()), (410, 410));
    // A link of another call is of that call alone; and so many are told of in a minute.
    for number in 0..30 {
        call(&visitor, "drop", &json!({"text": format!("{number}")}));
    }
    eventually("as many as may be are told of", || channel.asked().len() >= 18);
    std::thread::sleep(Duration::from_millis(300));
    assert!(channel.asked().len() <= 41, "{}", channel.asked().len());
    assert!(!gateway.said.text().contains("very-secret"), "{}", gateway.said.text());
    drop(gateway);
    stage.verify();
    let output = {
        stage.configure("[approvals]\nslack = \"https://hooks.slack.example/services/T0/B0/very-secret\"");
        stage.output(&["check"])
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("whoever knows this address") && !said.contains("very-secret"), "{said}");
}

#[test]
fn calls_of_one_tool_are_answered_together_each_by_itself() {
    let stage = world("");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    let texts = ["a", "b", "c", "d"];
    for text in texts {
        call(&visitor, "drop", &json!({"text": text}));
    }
    call(&visitor, "change", &json!({"text": "another tool"}));
    let ids: Vec<String> =
        held(&stage).iter().filter(|call| call["tool"] == "drop").map(|call| call["id"].as_str().expect("id").to_owned()).collect();
    let ann = Browser::log_in(page, &ann);
    assert!(ann.detail(&ids[0]).contains("4 calls of this tool wait"));
    let together = body(&ann.get(&ann.inside(&format!("call/{}/together", ids[0]))));
    assert!(
        texts.iter().all(|text| together.contains(&format!("text = &quot;{text}&quot;"))) && !together.contains("another tool"),
        "{together}"
    );
    let shown: Vec<String> =
        together.split("name=\"shown\" value=\"").skip(1).map(|rest| rest.split('"').next().expect("a value").to_owned()).collect();
    assert_eq!(shown.len(), 4);
    let form = between(together.rsplit_once("name=\"form\"").expect("a form").1, "value=\"", "\"").to_owned();
    // What comes after the look was not shown.
    call(&visitor, "drop", &json!({"text": "late"}));
    let send = |picked: &[&str], what: &str, form: &str, shown: &[String]| {
        let mut fields = vec![("form", form), ("what", what)];
        fields.extend(shown.iter().map(|shown| ("shown", shown.as_str())));
        fields.extend(picked.iter().map(|id| ("pick", *id)));
        ann.send("POST", &ann.inside("together"), &fields)
    };
    assert!(body(&send(&[], "grant", &form, &shown)).contains("Nothing was ticked"));
    assert_eq!(send(&[&ids[0]], "grant", "x", &shown).status(), 403);
    assert_eq!(send(&[&ids[0]], "everything", &form, &shown).status(), 404);
    let altered: Vec<String> = shown.iter().map(|shown| format!("{shown}0")).collect();
    assert!(body(&send(&[], "grant-all", &form, &altered)).contains("not what you saw"));
    assert_eq!(held(&stage).len(), 6, "nothing of that counted");
    let first = shown[0].split(' ').next().expect("an id").to_owned();
    assert!(body(&send(&[&first], "refuse", &form, &shown)).contains("is not sent"));
    let done = body(&send(&[], "grant-all", &form, &shown));
    assert!(done.matches("is sent once").count() == 3 && done.matches("does not count").count() == 1, "{done}");
    let left: Vec<Value> = held(&stage).iter().map(|call| call["tool"].clone()).collect();
    assert_eq!(left, [json!("change"), json!("drop")], "the late one and the other tool wait");
    let went = texts.iter().filter(|text| reason(&call(&visitor, "drop", &json!({"text": text}))).is_none()).count();
    assert_eq!((went, calls(&stage), stage.journal().of("approval").count()), (3, 3, 4));
    let stats: Value = serde_json::from_str(&stage.done(&["approvals", "stats", "--format", "json"])).expect("JSON");
    assert!(stats["people"][0]["by"].as_str().is_some_and(|by| by.starts_with("token:ann#")), "{stats}");
    assert_eq!(
        (&stats["people"][0]["yes"], &stats["tools"][0]["tool"], &stats["tools"][0]["yes"]),
        (&json!(3), &json!("files/drop"), &json!(3))
    );
    assert!(stage.done(&["approvals", "stats", "--since", "1h"]).contains("files/drop  yes 3"));
    drop(gateway);
    stage.verify();
}

#[test]
fn a_yes_in_advance_is_for_what_it_says_and_no_more() {
    let stage = world("");
    let (ci, other) = (stage.token("ci", &[]).text, stage.token("other", &[]).text);
    let (ann, clerk) = (approver(&stage, "ann", &[]), approver(&stage, "clerk", &["--effect", "write"]));
    let gateway = stage.serve();
    page_of(&stage);
    let allow = |words: &[&str], token: &str| {
        let mut all = vec!["approvals", "allow", "files/drop", "--client", "token:ci", "--yes"];
        all.extend(words);
        stage.bartizan(&all).env("BARTIZAN_AS", token).output().expect("bartizan")
    };
    for (words, token) in [
        (vec![], &ann),
        (vec!["--where", "text=*"], &ann),
        (vec!["--where", "text"], &ann),
        (vec!["--where", "text=a", "--where", "text=b"], &ann),
        (vec!["--where", "text=a", "--times", "21"], &ann),
        (vec!["--where", "text=a", "--times", "0"], &ann),
        (vec!["--where", "text=a", "--for", "2h"], &ann),
        (vec!["--where", "text=a"], &clerk),
        (vec!["--where", "text=a"], &"bzt_x".to_owned()),
    ] {
        assert_eq!(allow(&words, token).status.code(), Some(1), "{words:?}");
    }
    assert!(stage.done(&["approvals", "allowed"]).contains("Nothing is agreed to"));
    let agreed = allow(&["--where", "text^=/srv/tmp/", "--where", "other=*", "--times", "2", "--for", "10min"], &ann);
    assert!(agreed.status.success(), "{agreed:?}");
    let ask = |token: &str, tool: &str, arguments: Value| reason(&call(&client(&gateway, token), tool, &arguments)).map(str::to_owned);
    let asked = Some("confirm.required".to_owned());
    // Outside of it people are asked, as before.
    for (token, tool, arguments) in [
        (&other, "drop", json!({"text": "/srv/tmp/a"})),
        (&ci, "change", json!({"text": "/srv/tmp/a"})),
        (&ci, "drop", json!({"text": "/srv/tmp/../etc"})),
        (&ci, "drop", json!({"text": "/srv"})),
        (&ci, "drop", json!({"other": "x"})),
        (&ci, "drop", json!({})),
    ] {
        assert_eq!(ask(token, tool, arguments.clone()), asked, "{arguments}");
    }
    // What is sent beside the arguments is part of the call.
    let beside = json!({"name": "drop", "arguments": {"text": "/srv/tmp/a"}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, "example.com/more": "x"}});
    assert_eq!(reason(&client(&gateway, &ci).modern("tools/call", &beside).json()), Some("confirm.required"));
    assert_eq!(calls(&stage), 0);
    assert_eq!(ask(&ci, "drop", json!({"text": "/srv/tmp/a"})), None);
    let word = stage.journal().last_closed().expect("closed")["confirmation"].clone();
    let pattern = stage.journal().of("approval-pattern").next().expect("noted").clone();
    assert_eq!((&word["channel"], &word["assurance"], &word["shown"]), (&json!("pattern"), &json!("second"), &pattern["shown"]));
    // A token that ends takes its yeses with it; a count that is used up is used up.
    assert_eq!(ask(&ci, "drop", json!({"text": "/srv/tmp/b", "other": "y"})), None);
    assert_eq!(ask(&ci, "drop", json!({"text": "/srv/tmp/c"})), asked, "twice");
    assert!(allow(&["--where", "text=x"], &ann).status.success());
    let listed: Value = serde_json::from_str(&stage.done(&["approvals", "allowed", "--format", "json"])).expect("JSON");
    let id = listed["allowed"][0]["id"].as_str().expect("an id").to_owned();
    stage.done(&["approvals", "withdraw", &id]);
    assert_eq!(ask(&ci, "drop", json!({"text": "x"})), asked);
    assert!(allow(&["--where", "text=y"], &ann).status.success());
    stage.done(&["token", "revoke", "ann"]);
    eventually("the yes ended with its giver", || {
        stage.output(&["approvals", "allowed"]).status.success() && ask(&ci, "drop", json!({"text": "y"})) == asked
    });
    // Without a credential it is the word of whoever is at the machine.
    let before = calls(&stage);
    assert!(allow(&["--where", "text=z"], "").status.success());
    assert_eq!((ask(&ci, "drop", json!({"text": "z"})), calls(&stage)), (None, before + 1));
    drop(gateway);
    stage.verify();
}

#[test]
fn a_yes_in_advance_does_not_do_where_more_is_wanted_or_anything_changed() {
    // Two people: one yes in advance is not two.
    let stage = world("[controls.confirm]\ntimeout_seconds = 1\n[controls.confirm.approvers]\ndestructive = 2");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &["--same", "token:own"]));
    let own = stage.token("own", &[]).text;
    let allow = |stage: &Stage, client: &str| {
        let words = ["approvals", "allow", "files/drop", "--client", client, "--where", "text=a", "--yes"];
        let output = stage.bartizan(&words).env("BARTIZAN_AS", &ann).output().expect("bartizan");
        assert!(output.status.success(), "{output:?}");
    };
    let ask = |gateway: &Served, token: &str| reason(&call(&client(gateway, token), "drop", &json!({"text": "a"}))).map(str::to_owned);
    let gateway = stage.serve();
    page_of(&stage);
    allow(&stage, "token:ci");
    assert_eq!(ask(&gateway, &ci).as_deref(), Some("confirm.expired"));
    drop(gateway);
    // A second person: nobody agrees in advance to calls of their own.
    stage.configure("[controls.confirm.approvers]\ndestructive = 1\n[controls.confirm.minimum]\ndestructive = \"second\"");
    let gateway = stage.serve();
    page_of(&stage);
    allow(&stage, "token:own");
    allow(&stage, "token:ci");
    assert_eq!((ask(&gateway, &own).as_deref(), ask(&gateway, &ci)), (Some("confirm.expired"), None));
    drop(gateway);
    // What was read before is a reason of its own; what was reviewed anew was not agreed to; nothing outlives the gateway.
    stage.configure("[controls.confirm.minimum]\ndestructive = \"model\"");
    let gateway = stage.serve();
    page_of(&stage);
    assert_eq!(ask(&gateway, &ci).as_deref(), Some("confirm.required"));
    allow(&stage, "token:ci");
    assert_eq!(ask(&gateway, &ci), None);
    let lock = stage.path("bartizan.lock");
    let text = std::fs::read_to_string(&lock).expect("a lock file");
    std::fs::write(&lock, text.replace("returns = \"public\"\n", "")).expect("writable");
    eventually("reading makes it untrusted", || {
        call(&client(&gateway, &ci), "look", &json!({}));
        ask(&gateway, &ci).as_deref() == Some("flow.untrusted")
    });
    drop(gateway);
    stage.verify();
}

/// Asks with curl, which knows TLS.
fn curl(stage: &Stage, words: &[&str]) -> String {
    let ca = stage.path("page.pem").to_string_lossy().into_owned();
    let output =
        std::process::Command::new("curl").args(["-s", "-i", "--max-time", "10", "--cacert", &ca]).args(words).output().expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn with_tls_the_cookie_stays_with_it_and_only_its_own_name_is_answered() {
    let stage = world("");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(stage.path("page.pem"), made.cert.pem()).expect("writable");
    std::fs::write(stage.path("page.key"), made.signing_key.serialize_pem()).expect("writable");
    stage.configure(
        "[approvals]\nlisten = \"0.0.0.0:0\"\nurl = \"https://localhost:7/\"\ntls = { certificate = \"page.pem\", key = \"page.key\" }",
    );
    let ann = approver(&stage, "ann", &[]);
    let gateway = stage.serve();
    let said = gateway.said.line_with("what waits is answered at");
    assert!(said.contains("https://localhost:7/"), "{said}");
    let listening = std::fs::read_to_string(format!("/proc/{}/net/tcp", gateway.pid())).expect("sockets");
    // All that listens on every address of this machine; the gateway itself listens on loopback.
    let ports = listening.lines().filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix("00000000:"));
    let ports: Vec<u16> = ports.filter_map(|port| u16::from_str_radix(port, 16).ok()).collect();
    let page =
        ports.iter().find(|port| curl(&stage, &["-H", "Host: localhost:7", &format!("https://localhost:{port}/")]).contains("Bartizan"));
    let page = format!("https://localhost:{}", page.unwrap_or_else(|| panic!("no page: {said}")));
    assert!(curl(&stage, &["-H", "Host: localhost:7", &format!("{page}/")]).contains("strict-transport-security: max-age="));
    for host in ["localhost", "127.0.0.1:7", "evil.example"] {
        assert!(curl(&stage, &["-H", &format!("Host: {host}"), &format!("{page}/")]).starts_with("HTTP/1.1 403"), "{host}");
    }
    let form = format!("token={ann}");
    let login = |origin: &str| {
        curl(&stage, &["-H", "Host: localhost:7", "-H", &format!("Origin: {origin}"), "-d", &form, &format!("{page}/login")])
    };
    assert!(login("http://localhost:7").starts_with("HTTP/1.1 403"));
    let entered = login("https://localhost:7");
    assert!(entered.starts_with("HTTP/1.1 303") && entered.contains("; HttpOnly; SameSite=Strict; Secure"), "{entered}");
    assert!(!curl(&stage, &["-H", "Host: localhost:7", &format!("{}/", page.replace("https", "http"))]).contains("Log in"));
}

/// A real browser, where one is installed.
fn chromium() -> Option<&'static str> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
}

#[test]
fn a_real_browser_grants_a_call_and_other_pages_in_it_cannot() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| tests.join("../target/real"), std::path::PathBuf::from);
    let node = real.join("npm/node_modules/.bin/node");
    let (Some(chromium), true) = (chromium(), node.exists()) else {
        eprintln!("*** SKIPPED: there is no Chromium or no Node here; run: tests/real/install npm chromium ***");
        return;
    };
    let stage = world("");
    let (ci, ann) = (stage.token("ci", &[]).text, approver(&stage, "ann", &[]));
    let gateway = stage.serve();
    let page = page_of(&stage);
    let visitor = client(&gateway, &ci);
    let arguments = json!({"text": "<img src=x onerror=alert(1)> \u{202e}evil", "other": format!("{}\"><script>alert(2)</script>", "long ".repeat(300))});
    call(&visitor, "drop", &json!({"text": "before"}));
    Browser::log_in(page, &ann).answer(&one_held(&stage), "grant");
    assert_eq!(reason(&call(&visitor, "drop", &json!({"text": "before"}))), None);
    call(&visitor, "drop", &arguments);
    call(&visitor, "change", &json!({"text": "another"}));
    let id = held(&stage).into_iter().find(|call| call["tool"] == "drop").expect("it waits")["id"].clone();
    let pictures = std::env::var("BARTIZAN_PICTURES").ok();
    let plan = json!({"chromium": chromium, "page": format!("http://{page}/"), "token": ann, "call": id, "pictures": pictures});
    let output = std::process::Command::new(node)
        .arg(tests.join("real/browser/approvals.mjs"))
        .env("PLAN", plan.to_string())
        .output()
        .expect("node");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let said = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    assert!(said("list").contains("files/drop") && said("list").contains("token:ci#"), "{told}");
    for part in [
        "destructive: cannot be taken back",
        "\\u{3c}img src=x onerror=alert(1)\\u{3e}",
        "\\u{202e}evil",
        "changed since the call before",
        "token:ci#",
    ] {
        assert!(said("detail").contains(part), "{part} in {told}");
    }
    assert_eq!((&told["dialogs"], &told["scripts"], &told["active"]), (&json!(0), &json!(0), &json!(0)), "{told}");
    for (what, got) in told["foreign"].as_object().expect("what others tried") {
        match what.as_str() {
            "cookies" => assert_eq!(got, &json!([]), "another port was sent the cookie"),
            framed if framed.starts_with("framed") => assert!(matches!(got.as_str(), Some("closed" | "")), "{what}: {got}"),
            _ => assert!(got.as_str().is_some_and(|got| got.contains("not ours")), "{what}: {got}"),
        }
    }
    let blocked = told["blocked"].to_string();
    assert!(blocked.contains("frame-ancestors") || blocked.contains("X-Frame-Options"), "nothing kept it out of a frame: {told}");
    assert!(said("granted").contains("Granted") && said("granted").contains("files/drop is sent once"), "{told}");
    assert!(!said("after").contains("files/drop") && said("after").contains("files/change"), "{told}");
    assert_eq!((said("out"), said("outside")), ("/".to_owned(), "/".to_owned()));
    for wide in told["widths"].as_array().expect("widths") {
        assert!(wide[3].as_u64() <= wide[2].as_u64(), "wider than the window: {wide}");
    }
    assert_eq!(reason(&call(&visitor, "drop", &arguments)), None);
    assert_eq!((calls(&stage), stage.journal().of("approval").count()), (2, 2));
}
