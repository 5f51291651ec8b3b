//! The page on which people answer what waits: who gets in, what is shown, what counts, and what others make of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Response, Served, Visitor, Wire};
use bartizan_tests::json::reason;
use bartizan_tests::process::eventually;
use bartizan_tests::script::{Era, Script};
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
    for part in ["<dt>server</dt><dd>files", "<dt>tool</dt><dd>drop", "asked by", "text = &quot;a \\u{3c}b\\u{3e}\\u{202e}&quot;", "<dt>wanted</dt><dd>model"] {
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
    assert_eq!(browser.with("Content-Type", "application/json").send_raw("POST", &browser.inside(&format!("call/{id}/grant")), "{}").status(), 415);
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
        assert!(content.contains("default-src 'none'") && content.contains("frame-ancestors 'none'") && !content.contains("script"), "{content}");
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
    let stage = world("[controls.quota]\nclient_per_minute = 100000\ndestructive_per_minute = 100000\nwrite_per_minute = 100000\n[limits]\nmessages_per_minute = 100000\noffences_per_minute = 100000");
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
    std::fs::write(stage.path("bartizan.toml"), format!("[listen]\naddress = \"127.0.0.1:0\"\n[approvals]\nlisten = \"127.0.0.1:{port}\"")).expect("writable");
    assert_eq!(stage.output(&["serve"]).status.code(), Some(3));
    std::fs::write(stage.path("bartizan.toml"), "[listen]\naddress = \"127.0.0.1:0\"").expect("writable");
    let _gateway = stage.serve();
    let none = stage.output(&["approvals", "web"]);
    assert!(none.status.code() == Some(1) && String::from_utf8_lossy(&none.stderr).contains("[approvals] listen"), "{none:?}");
}
