//! A real authorization server (npm `oidc-provider`), and the few things a client does with one.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::http::{Response, Wire};

/// The verifier of every proof key here, and its challenge (RFC 7636, appendix B).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A running authorization server.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it calls itself.
    pub issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| tests.join("../target/real"), PathBuf::from);
    assert!(
        real.join("npm/node_modules/oidc-provider").is_dir(),
        "the real authorization server of these tests is not installed in {}; run: tests/real/install npm",
        real.display()
    );
    real
}

/// Writes a value as forms have it.
#[must_use]
pub fn form(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.bytes().map(escape).collect::<String>();
    fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

impl Provider {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let real = installed();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/provider.mjs");
        let mut child = Command::new(real.join("npm/node_modules/.bin/node"))
            .arg(script)
            .env("BARTIZAN_REAL", &real)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let (input, output) = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")));
        let mut provider = Self { child, input, output, issuer: String::new() };
        provider.issuer = provider.line();
        assert!(provider.issuer.starts_with("http://"), "the authorization server does not start");
        provider
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn tell(&mut self, word: &str) -> String {
        writeln!(self.input, "{word}").expect("it listens");
        self.line()
    }

    /// Makes it sign with new keys and forget the old ones.
    pub fn rotate(&mut self) {
        assert_eq!(self.tell("rotate"), "done");
    }

    /// How often it was asked for `keys` or for `introspection`.
    ///
    /// # Panics
    ///
    /// When it does not say so.
    pub fn asked(&mut self, what: &str) -> u64 {
        let counts: Value = serde_json::from_str(&self.tell("count")).expect("counts");
        counts.get(what).and_then(Value::as_u64).expect("a number")
    }

    /// Where it listens.
    ///
    /// # Panics
    ///
    /// Never: its issuer has the address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.issuer.trim_start_matches("http://").parse().expect("an address")
    }

    fn send(&self, head: &str, body: &str) -> Response {
        let mut wire = Wire::to(self.address());
        let form = "Content-Type: application/x-www-form-urlencoded";
        let length = body.len();
        wire.send(
            format!("{head}\r\nHost: {}\r\n{form}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}", self.address())
                .as_bytes(),
        );
        wire.response().expect("an answer")
    }

    /// Posts a form as a client with a secret.
    #[must_use]
    pub fn post(&self, path: &str, (id, secret): (&str, &str), fields: &[(&str, &str)]) -> Response {
        let own = [("client_id", id), ("client_secret", secret)];
        let basic = base64(format!("{id}:{secret}").as_bytes());
        let (head, fields) = if secret.is_empty() {
            (format!("POST {path} HTTP/1.1"), [&own[..1], fields].concat())
        } else {
            (format!("POST {path} HTTP/1.1\r\nAuthorization: Basic {basic}"), fields.to_vec())
        };
        self.send(&head, &form(&fields))
    }

    /// A token for a program, by client credentials and a resource (RFC 8707).
    ///
    /// # Panics
    ///
    /// When it gets none.
    #[must_use]
    pub fn token(&self, resource: &str, scope: &str) -> String {
        let fields = [("grant_type", "client_credentials"), ("resource", resource), ("scope", scope)];
        let answer = self.post("/token", ("robot", "robot-secret"), &fields);
        let token = answer.json().get("access_token").and_then(Value::as_str).map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token: {}", String::from_utf8_lossy(&answer.body)))
    }

    /// Revokes a token of the program.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn revoke(&self, token: &str) {
        let answer = self.post("/token/revocation", ("robot", "robot-secret"), &[("token", token)]);
        assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// A token for a person who signs in, by authorization code with a proof key, through the pages that a
    /// browser would see.
    ///
    /// # Panics
    ///
    /// When a page is not as expected.
    #[must_use]
    pub fn sign_in(&self, person: &str, resource: &str, scope: &str) -> String {
        let redirect = "http://127.0.0.1/callback";
        let asked = form(&[
            ("client_id", "app"),
            ("response_type", "code"),
            ("redirect_uri", redirect),
            ("scope", scope),
            ("resource", resource),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "xyz"),
        ]);
        let mut browser = Browser { provider: self, cookies: BTreeMap::new() };
        let login = browser.follow(&format!("/auth?{asked}"));
        let consent = browser.submit(&login, &[("prompt", "login"), ("login", person), ("password", "any")]);
        let back = browser.submit(&consent, &[("prompt", "consent")]);
        assert!(back.starts_with(redirect) && back.contains("state=xyz") && back.contains("iss="), "{back}");
        let code = back.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).expect("a code").to_owned();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect),
            ("code_verifier", VERIFIER),
            ("resource", resource),
        ];
        let answer = self.post("/token", ("app", ""), &fields);
        let token = answer.json().get("access_token").and_then(Value::as_str).map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token: {}", String::from_utf8_lossy(&answer.body)))
    }
}

/// As much of a browser as signing in takes.
struct Browser<'p> {
    provider: &'p Provider,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    fn request(&mut self, method: &str, path: &str, body: &str) -> Response {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let answer = self.provider.send(&format!("{method} {path} HTTP/1.1\r\nCookie: {cookies}"), body);
        for (_, set) in answer.head.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Follows redirects on the provider; returns the path of the page, or where it leads away.
    fn follow(&mut self, path: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..10 {
            let answer = self.request("GET", &path, "");
            let Some(next) = answer.head.header("location") else {
                assert_eq!(answer.status(), 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
                return path;
            };
            match next.strip_prefix(&self.provider.issuer).or(Some(next).filter(|next| next.starts_with('/'))) {
                Some(own) => path = own.to_owned(),
                None => return next.to_owned(),
            }
        }
        panic!("redirects without end");
    }

    fn submit(&mut self, page: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.request("POST", page, &form(fields));
        let next = answer.head.header("location").unwrap_or_else(|| panic!("{page}: {}", answer.status()));
        let own = next.strip_prefix(&self.provider.issuer).unwrap_or(next).to_owned();
        self.follow(&own)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |word, byte| (word << 8) | usize::from(*byte));
        for place in 0..4 {
            let digit = if place <= chunk.len() { char::from(DIGITS[(word >> (18 - 6 * place)) & 63]) } else { '=' };
            text.push(digit);
        }
    }
    text
}
