//! Every way in which a token can be wrong, and every way in which an issuer can.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use bartizan_monitor::case::{Effect, Means};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::config::{Algorithm, Granted, Network, Secret};

/// A whole second, as tokens have it.
const NOW_S: u64 = 1_800_000_000;
const NOW: u64 = NOW_S * 1000;
/// A thumbprint, of nothing that anybody has.
const PRINT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const AUDIENCE: &str = "https://gateway.test/mcp";

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Pair {
    fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair.public_key())}),
            Self::Rsa(pair) => {
                // RFC 8017, appendix A.1.1: nine bytes of heads, 256 of modulus, two of head, three of exponent.
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "kid": kid, "n": b64(&der[9..265]), "e": b64(&der[267..])})
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair) => pair.sign(&random, message.as_bytes()).expect("signed").as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let how = if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(how, &random, message.as_bytes(), &mut signature).expect("signed");
                signature
            }
        }
    }

    /// A token with this very text of header and claims.
    fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let algorithm = if header.contains("PS256") { "PS256" } else { "" };
        format!("{message}.{}", b64(self.sign(algorithm, &message)))
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }
}

/// What an issuer answers.
#[derive(Clone)]
enum Says {
    Json(Value),
    Raw(String),
    Nothing,
}

/// A small issuer on this machine.
struct Fake {
    address: SocketAddr,
    says: Arc<Mutex<BTreeMap<&'static str, Says>>>,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (says, asked) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicUsize::new(0)));
        let fake = Self { address, says: says.clone(), asked: asked.clone() };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (says, asked) = (says.clone(), asked.clone());
                tokio::spawn(async move {
                    let mut head = vec![0; 8192];
                    let length = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    asked.fetch_add(1, Ordering::SeqCst);
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let answer = held(&says).get(path.as_str()).cloned();
                    let ok = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                    let text = match answer {
                        Some(Says::Json(value)) => ok(&value.to_string()),
                        Some(Says::Raw(text)) => text,
                        Some(Says::Nothing) => return tokio::time::sleep(Duration::from_secs(60)).await,
                        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
                    };
                    let _ = stream.write_all(text.as_bytes()).await;
                });
            }
        });
        fake
    }

    fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.name())).expect("an address")
    }

    fn say(&self, path: &'static str, says: Says) {
        held(&self.says).insert(path, says);
    }

    fn keys(&self, keys: &[Value]) {
        self.say("/jwks", Says::Json(json!({"keys": keys})));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            name: self.name(),
            label: self.address.to_string(),
            algorithms: [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa].into(),
            jwks: Some(self.url("/jwks")),
            max_age: Duration::from_secs(600),
            introspection: Some(Introspection {
                url: self.url("/introspection"),
                client_id: "gateway".to_owned(),
                client_secret: Secret::new("s3cret".to_owned()),
                cache: Duration::from_secs(30),
            }),
            subject: "sub".to_owned(),
            groups: Some("groups".to_owned()),
            second_factor_acr: ["urn:two".to_owned()].into(),
            network: Network::Private,
        }
    }

    fn oauth(&self) -> Arc<OAuth> {
        trusting(vec![self.issuer()])
    }

    fn claims(&self) -> Value {
        json!({"iss": self.name(), "aud": AUDIENCE, "sub": "alice", "exp": NOW_S + 60, "iat": NOW_S, "client_id": "app"})
    }
}

fn config(issuers: Vec<Issuer>) -> config::OAuth {
    config::OAuth {
        resource: Url::parse(AUDIENCE).expect("an address"),
        audience: AUDIENCE.to_owned(),
        issuers,
        required: [].into(),
        scopes: BTreeMap::new(),
        named: [].into(),
        steps: Arc::default(),
        skew: Duration::from_secs(30),
        exchanged: Exchanged::No,
    }
}

fn trusting(issuers: Vec<Issuer>) -> Arc<OAuth> {
    OAuth::new(Arc::new(config(issuers)))
}

async fn outcome(oauth: &OAuth, token: &str, now_ms: u64) -> &'static str {
    oauth.resolve((token, None), now_ms).await.map_or_else(|refusal| refusal.reason.code(), |_| "good")
}

/// The value with members in the place of others; `null` removes one.
fn with(value: &Value, members: Value) -> Value {
    let mut value = value.clone();
    for (key, member) in members.as_object().expect("an object") {
        let all = value.as_object_mut().expect("an object");
        if member.is_null() { drop(all.remove(key)) } else { drop(all.insert(key.clone(), member.clone())) }
    }
    value
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "at+jwt", "kid": "one"})
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_checked_and_remembered() {
    let fake = Fake::start().await;
    let rsa = Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")));
    let ed = Pair::Ed(Ed25519KeyPair::generate().expect("a key"));
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("ec"), rsa.jwk("rsa"), ed.jwk("ed")]);
    let oauth = fake.oauth();
    for (pair, algorithm, kid) in [(&ec, "ES256", "ec"), (&rsa, "RS256", "rsa"), (&rsa, "PS256", "rsa"), (&ed, "EdDSA", "ed")] {
        let token = pair.token(&json!({"alg": algorithm, "typ": "JWT", "kid": kid}), &fake.claims());
        let caller = oauth.resolve((&token, None), NOW).await.unwrap_or_else(|refusal| panic!("{algorithm}: {refusal:?}"));
        assert_eq!(&**caller.principal(), format!("oauth:{}#alice", fake.address));
        assert_eq!((caller.means(), caller.badge().and_then(|badge| badge.application.as_deref())), (Means::OAuth, Some("app")));
        assert!(oauth.still(&caller, NOW).is_ok() && oauth.resolve((&token, None), NOW).await.is_ok());
        // What one key signed does not pass as signed by another, or by other means.
        let other = if algorithm == "RS256" { "PS256" } else { "RS256" };
        let confused = pair.token(&json!({"alg": other, "typ": "JWT", "kid": kid}), &fake.claims()).replace('~', "");
        if algorithm != "PS256" && algorithm != "RS256" {
            assert_eq!(outcome(&oauth, &confused, NOW).await, "identity.invalid", "{algorithm} as {other}");
        }
    }
    assert_eq!(fake.asked(), 1, "the keys were fetched once");
}

/// What is wrong, the token, the moment, and what it comes to.
type Row = (&'static str, String, u64, &'static str);

fn header_rows(ec: &Pair, rsa: &Pair, claims: &Value) -> Vec<Row> {
    let of = |members: Value| ec.token(&with(&header(), members), claims);
    // The public key as the secret of a MAC: whoever takes the algorithm from the token is fooled by it.
    let mac = |secret: &[u8]| {
        let message = format!("{}.{}", b64(with(&header(), json!({"alg": "HS256"})).to_string()), b64(claims.to_string()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        format!("{message}.{}", b64(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
    };
    let jwk = rsa.jwk("two");
    let none = |alg: &str| format!("{}.{}.", b64(json!({"alg": alg, "typ": "JWT"}).to_string()), b64(claims.to_string()));
    let good = ec.token(&header(), claims);
    let (message, _) = good.rsplit_once('.').expect("a signature");
    let twice = r#"{"alg":"ES256","typ":"at+jwt","kid":"one","alg":"none"}"#;
    let mut rows = vec![
        ("alg none", none("none"), NOW, "identity.algorithm"),
        ("alg None", none("None"), NOW, "identity.algorithm"),
        ("alg missing", of(json!({"alg": null})), NOW, "identity.algorithm"),
        ("alg in lower case", of(json!({"alg": "es256"})), NOW, "identity.algorithm"),
        ("alg that is known and not allowed", of(json!({"alg": "ES384"})), NOW, "identity.algorithm"),
        ("alg is a list", of(json!({"alg": ["ES256"]})), NOW, "identity.invalid"),
        ("HS256 with the public modulus", mac(jwk["n"].as_str().expect("n").as_bytes()), NOW, "identity.algorithm"),
        ("HS256 with the whole key", mac(jwk.to_string().as_bytes()), NOW, "identity.algorithm"),
        ("RS256 named, EC key", of(json!({"alg": "RS256"})), NOW, "identity.invalid"),
        ("RS256 named, RSA key of another name", of(json!({"alg": "RS256", "kid": "two"})), NOW, "identity.invalid"),
        ("unknown kid", of(json!({"kid": "three"})), NOW, "identity.invalid"),
        ("kid with a path", of(json!({"kid": "../../etc/passwd"})), NOW, "identity.invalid"),
        ("kid with SQL", of(json!({"kid": "one' OR '1'='1"})), NOW, "identity.invalid"),
        ("kid is an address", of(json!({"kid": "http://127.0.0.1/jwks"})), NOW, "identity.invalid"),
        ("kid is a number", of(json!({"kid": 1})), NOW, "identity.invalid"),
        ("kid is huge", of(json!({"kid": "k".repeat(300)})), NOW, "identity.invalid"),
        ("no kid, one key fits", of(json!({"kid": null})), NOW, "good"),
        ("typ of an ID-JAG", of(json!({"typ": "oauth-id-jag+jwt"})), NOW, "identity.invalid"),
        ("typ of a proof of possession", of(json!({"typ": "dpop+jwt"})), NOW, "identity.invalid"),
        ("no typ", of(json!({"typ": null})), NOW, "identity.invalid"),
        ("typ written out", of(json!({"typ": "application/AT+JWT"})), NOW, "good"),
        ("no signature", format!("{message}."), NOW, "identity.invalid"),
        ("a signature that is not base64url", format!("{message}.+/=="), NOW, "identity.invalid"),
        ("padding", format!("{good}="), NOW, "identity.invalid"),
        ("two keys alike in the header", ec.token_of(twice, &claims.to_string()), NOW, "identity.invalid"),
        ("a header that is no object", ec.token_of("[]", &claims.to_string()), NOW, "identity.invalid"),
        // No signed token, so the issuer would have to say what it is, and this one does not.
        ("four parts", format!("{good}.x"), NOW, "identity.unavailable"),
        ("five parts, encrypted", "a.b.c.d.e".to_owned(), NOW, "identity.unavailable"),
    ];
    for name in ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"] {
        rows.push(("a header that leads elsewhere", of(json!({name: [name]})), NOW, "identity.invalid"));
    }
    rows
}

fn claim_rows(ec: &Pair, claims: &Value) -> Vec<Row> {
    let of = |members: Value| ec.token(&header(), &with(claims, members));
    let end = NOW + 60_000;
    let twice = claims.to_string().replacen('{', r#"{"aud":"https://other.test","#, 1);
    vec![
        ("good", of(json!({})), NOW, "good"),
        ("good until the end", of(json!({"jti": "1"})), end - 1, "good"),
        ("over, within the tolerance", of(json!({"jti": "2"})), end + 29_999, "good"),
        ("over by the tolerance", of(json!({"jti": "3"})), end + 30_000, "identity.expired"),
        ("over by one second more", of(json!({"jti": "4"})), end + 31_000, "identity.expired"),
        ("no exp", of(json!({"exp": null})), NOW, "identity.invalid"),
        ("exp is a text", of(json!({"exp": "1900000000"})), NOW, "identity.invalid"),
        ("exp is negative", of(json!({"exp": -1})), NOW, "identity.invalid"),
        ("exp is beyond all dates", of(json!({"exp": i64::MAX})), NOW, "identity.invalid"),
        ("exp has a fraction", of(json!({"exp": 1_900_000_000.5})), NOW, "identity.invalid"),
        ("nbf ahead, within the tolerance", of(json!({"nbf": NOW_S + 30})), NOW, "good"),
        ("nbf ahead", of(json!({"nbf": NOW_S + 31})), NOW, "identity.invalid"),
        ("iat ahead", of(json!({"iat": NOW_S + 31})), NOW, "identity.invalid"),
        ("another audience", of(json!({"aud": "https://other.test/mcp"})), NOW, "identity.audience"),
        ("no audience", of(json!({"aud": null})), NOW, "identity.audience"),
        ("ours with a slash", of(json!({"aud": format!("{AUDIENCE}/")})), NOW, "identity.audience"),
        ("ours in upper case", of(json!({"aud": AUDIENCE.to_uppercase()})), NOW, "identity.audience"),
        ("what ours begins with", of(json!({"aud": "https://gateway.test"})), NOW, "identity.audience"),
        ("what begins with ours", of(json!({"aud": format!("{AUDIENCE}.evil.test")})), NOW, "identity.audience"),
        ("ours among others", of(json!({"aud": ["https://other.test", AUDIENCE]})), NOW, "good"),
        ("ours inside of something", of(json!({"aud": [[AUDIENCE], {"a": AUDIENCE}]})), NOW, "identity.audience"),
        ("two audiences", ec.token_of(&header().to_string(), &twice), NOW, "identity.invalid"),
        ("another issuer", of(json!({"iss": "https://other.test"})), NOW, "identity.issuer"),
        ("the issuer with a slash", of(json!({"iss": format!("{}/", claims["iss"].as_str().expect("iss"))})), NOW, "identity.issuer"),
        ("no issuer", of(json!({"iss": null})), NOW, "identity.issuer"),
        ("the issuer is a list", of(json!({"iss": [claims["iss"]]})), NOW, "identity.issuer"),
        ("no subject", of(json!({"sub": null})), NOW, "identity.invalid"),
        ("an empty subject", of(json!({"sub": ""})), NOW, "identity.invalid"),
        ("a subject with a line feed", of(json!({"sub": "a\nb"})), NOW, "identity.invalid"),
        ("a huge subject", of(json!({"sub": "a".repeat(256)})), NOW, "identity.invalid"),
        ("bound to a key", of(json!({"cnf": {"jkt": "x"}})), NOW, "identity.binding"),
        ("bound in two ways", of(json!({"cnf": {"x5t#S256": PRINT, "jkt": "x"}})), NOW, "identity.binding"),
        ("bound to a short print", of(json!({"cnf": {"x5t#S256": "AAAA"}})), NOW, "identity.binding"),
        ("bound to nothing", of(json!({"cnf": {}})), NOW, "identity.binding"),
        ("bound to a text", of(json!({"cnf": PRINT})), NOW, "identity.binding"),
        ("bound to a certificate that is not shown", of(json!({"cnf": {"x5t#S256": PRINT}})), NOW, "identity.binding"),
        ("a login in the future", of(json!({"auth_time": NOW_S + 31})), NOW, "identity.invalid"),
        ("a login at no time", of(json!({"auth_time": "now"})), NOW, "identity.invalid"),
        ("groups that cannot be read", of(json!({"groups": ["ops", 1]})), NOW, "identity.invalid"),
    ]
}

#[tokio::test]
async fn every_way_in_which_a_token_can_be_wrong() {
    let fake = Fake::start().await;
    let (ec, stranger) = (Pair::ec(), Pair::ec());
    let rsa = Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")));
    fake.keys(&[ec.jwk("one"), rsa.jwk("two")]);
    let claims = fake.claims();
    let mut rows = header_rows(&ec, &rsa, &claims);
    rows.extend(claim_rows(&ec, &claims));
    rows.push(("another's signature", stranger.token(&header(), &claims), NOW, "identity.invalid"));
    rows.push(("huge", format!("{}.{}.{}", "a".repeat(9000), "b".repeat(9000), "c"), NOW, "identity.invalid"));
    rows.push(("not one word", "a.b .c".to_owned(), NOW, "identity.invalid"));
    rows.push(("only dots", "..".to_owned(), NOW, "identity.invalid"));
    let mut wrong = Vec::new();
    for (what, token, now_ms, expected) in rows {
        // Each with a memory of its own: nothing is good because something else was.
        let found = outcome(&fake.oauth(), &token, now_ms).await;
        if found != expected {
            wrong.push(format!("{what}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_one_whole_bearer_token_is_looked_at() {
    assert_eq!(foreign(&[b"Bearer abc"]), Some("abc"));
    assert_eq!(foreign(&[b"bEARER  abc "]), Some("abc"));
    for values in [&[][..], &[b"Bearer a".as_slice(), b"Bearer b"][..]] {
        assert_eq!(foreign(values), None);
    }
    for value in ["", "Bearer", "Bearer ", "Bearer    ", "Basic abc", "DPoP abc", "abc", "Bearer bzt_12345678_x"] {
        assert_eq!(foreign(&[value.as_bytes()]), None, "{value}");
    }
    assert_eq!(foreign(&[b"Bearer \xff"]), None);
}

#[tokio::test]
async fn issuers_that_misbehave_let_nobody_in() {
    let ec = Pair::ec();
    let huge = json!({"keys": [ec.jwk("one")], "more": "x".repeat(300_000)});
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /real\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let many: Vec<Value> = (0..101).map(|number| ec.jwk(&number.to_string())).collect();
    let endless =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", format!("8000\r\n{}\r\n", "x".repeat(0x8000)).repeat(9));
    let lost = with(&ec.jwk("one"), json!({"d": "c2VjcmV0"}));
    for (what, says) in [
        ("silent", Says::Nothing),
        ("huge", Says::Json(huge)),
        ("endless", Says::Raw(endless)),
        ("redirecting", Says::Raw(redirect)),
        ("an error", Says::Raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned())),
        ("not HTTP", Says::Raw("nonsense\r\n\r\n".to_owned())),
        ("not JSON", Says::Raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n<".to_owned())),
        ("two sets of keys", Says::Raw("HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"keys\":[],\"keys\":[]}".to_owned())),
        ("too many keys", Says::Json(json!({"keys": many}))),
    ] {
        nobody_gets_in((what, says), &ec, "identity.unavailable").await;
    }
    // A set of keys that is whole and of no use is an answer: nothing is signed.
    for (what, says) in [
        ("no keys", Says::Json(json!({"keys": []}))),
        ("only a secret", Says::Json(json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"}]}))),
        ("its private key, too", Says::Json(json!({"keys": [lost]}))),
        ("a key for encryption", Says::Json(json!({"keys": [with(&ec.jwk("one"), json!({"use": "enc"}))]}))),
        ("a key that only signs", Says::Json(json!({"keys": [with(&ec.jwk("one"), json!({"key_ops": ["sign"]}))]}))),
        ("a key of another algorithm", Says::Json(json!({"keys": [with(&ec.jwk("one"), json!({"alg": "ES384"}))]}))),
        ("a point that is none", Says::Json(json!({"keys": [with(&ec.jwk("one"), json!({"x": b64([1; 32])}))]}))),
    ] {
        nobody_gets_in((what, says), &ec, "identity.invalid").await;
    }
}

async fn nobody_gets_in((what, says): (&str, Says), ec: &Pair, expected: &str) {
    let fake = Fake::start().await;
    fake.say("/real", Says::Json(json!({"keys": [ec.jwk("one")]})));
    fake.say("/jwks", says.clone());
    fake.say("/introspection", says);
    let oauth = fake.oauth();
    let token = ec.token(&header(), &fake.claims());
    assert_eq!(outcome(&oauth, &token, NOW).await, expected, "{what}");
    assert_eq!(outcome(&oauth, &token, NOW + 9_999).await, expected, "{what}");
    assert_eq!(fake.asked(), 1, "{what}: and is not asked again at once");
    if what != "silent" {
        assert_eq!(outcome(&oauth, "opaque", NOW).await, "identity.unavailable", "{what}");
    }
}

#[tokio::test]
async fn private_addresses_are_for_issuers_that_were_listed() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let port = fake.address.port();
    for place in [
        format!("http://127.0.0.1:{port}/jwks"),
        format!("https://127.0.0.1:{port}/jwks"),
        format!("https://localhost:{port}/jwks"),
        format!("https://[::ffff:127.0.0.1]:{port}/jwks"),
    ] {
        let jwks = Some(Url::parse(&place).expect("an address"));
        let oauth = trusting(vec![Issuer { jwks, network: Network::Public, ..fake.issuer() }]);
        assert_eq!(outcome(&oauth, &ec.token(&header(), &fake.claims()), NOW).await, "identity.unavailable", "{place}");
    }
    assert_eq!(fake.asked(), 0, "nobody was connected to");
    let jwks = Some(Url::parse("http://169.254.169.254/jwks").expect("an address"));
    let oauth = trusting(vec![Issuer { jwks, ..fake.issuer() }]);
    assert_eq!(outcome(&oauth, &ec.token(&header(), &fake.claims()), NOW).await, "identity.unavailable");
}

#[tokio::test]
async fn keys_are_found_through_metadata_of_exactly_this_issuer() {
    let ec = Pair::ec();
    for (member, expected) in [("own", "good"), ("slash", "identity.unavailable"), ("other", "identity.unavailable")] {
        let fake = Fake::start().await;
        fake.keys(&[ec.jwk("one")]);
        let issuer = match member {
            "own" => fake.name(),
            "slash" => format!("{}/", fake.name()),
            _ => "https://other.test".to_owned(),
        };
        let metadata = json!({"issuer": issuer, "jwks_uri": fake.url("/jwks").as_str()});
        fake.say("/.well-known/openid-configuration", Says::Json(metadata));
        let oauth = trusting(vec![Issuer { jwks: None, ..fake.issuer() }]);
        assert_eq!(outcome(&oauth, &ec.token(&header(), &fake.claims()), NOW).await, expected, "{member}");
    }
}

#[tokio::test]
async fn issuers_do_not_speak_for_each_other() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let (first, second) = (Pair::ec(), Pair::ec());
    one.keys(&[first.jwk("one")]);
    two.keys(&[second.jwk("one")]);
    let oauth = trusting(vec![one.issuer(), Issuer { introspection: None, ..two.issuer() }]);
    assert_eq!(outcome(&oauth, &first.token(&header(), &one.claims()), NOW).await, "good");
    assert_eq!(outcome(&oauth, &second.token(&header(), &two.claims()), NOW).await, "good");
    assert_eq!(outcome(&oauth, &second.token(&header(), &one.claims()), NOW).await, "identity.invalid");
    assert_eq!(outcome(&oauth, &first.token(&header(), &two.claims()), NOW).await, "identity.invalid");
    let of = async |fake: &Fake, pair: &Pair| oauth.resolve((&pair.token(&header(), &fake.claims()), None), NOW).await.expect("good");
    assert_ne!(of(&one, &first).await.principal(), of(&two, &second).await.principal(), "one name, two people");
}

#[tokio::test]
async fn keys_are_rotated_kept_for_a_while_and_then_not() {
    let fake = Fake::start().await;
    let (old, new) = (Pair::ec(), Pair::ec());
    fake.keys(&[old.jwk("one")]);
    let oauth = fake.oauth();
    let claims = with(&fake.claims(), json!({"exp": NOW_S + 100_000}));
    let (first, second) =
        (old.token(&header(), &claims), new.token(&with(&header(), json!({"kid": "two"})), &with(&claims, json!({"sub": "bob"}))));
    let caller = oauth.resolve((&first, None), NOW).await.expect("good");
    // The issuer is silent for long: keys that are known stay usable for an hour beyond their age, and no longer.
    fake.say("/jwks", Says::Raw(String::new()));
    let hour = 3_600_000;
    assert_eq!(outcome(&oauth, &first, NOW + 600_000 + hour).await, "good");
    assert!(oauth.still(&caller, NOW + 600_000 + hour).is_ok());
    assert_eq!(outcome(&oauth, &first, NOW + 600_001 + hour + 10_000).await, "identity.unavailable");
    assert_eq!(oauth.still(&caller, NOW + 600_001 + hour + 10_000).expect_err("too old").reason.code(), "identity.unavailable");
    // It comes back with another key; a token that names it is enough to learn of it.
    fake.keys(&[new.jwk("two")]);
    let later = NOW + 2 * hour;
    assert_eq!(outcome(&oauth, &second, later).await, "good");
    assert_eq!(outcome(&oauth, &first, later).await, "identity.invalid");
    assert_eq!(oauth.still(&caller, later).expect_err("its key is gone").reason.code(), "identity.revoked");
}

#[tokio::test]
async fn unknown_keys_do_not_make_the_gateway_ask_and_ask() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = fake.oauth();
    let tokens: Vec<String> =
        (0..50).map(|number| ec.token(&with(&header(), json!({"kid": format!("k{number}")})), &fake.claims())).collect();
    let asked = tokens.iter().map(|token| outcome(&oauth, token, NOW));
    let outcomes = futures_util::future::join_all(asked).await;
    assert!(outcomes.iter().all(|outcome| *outcome == "identity.invalid"), "{outcomes:?}");
    assert_eq!(fake.asked(), 1);
    assert_eq!(outcome(&oauth, &tokens[0], NOW + 10_000).await, "identity.invalid");
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_once_and_again() {
    let fake = Fake::start().await;
    let oauth = fake.oauth();
    let told = with(&fake.claims(), json!({"active": true, "iss": null}));
    fake.say("/introspection", Says::Json(told.clone()));
    let outcomes = futures_util::future::join_all((0..20).map(|_| outcome(&oauth, "opaque", NOW))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == "good"), "{outcomes:?}");
    assert_eq!(fake.asked(), 1, "those who come together ask together");
    let caller = oauth.resolve(("opaque", None), NOW + 29_999).await.expect("good");
    assert_eq!(fake.asked(), 1);
    // A session that only listens: asked again in its name, and cut off when that does not help for long.
    fake.say("/introspection", Says::Raw(String::new()));
    assert!(oauth.still(&caller, NOW + 59_999).is_ok());
    assert_eq!(oauth.still(&caller, NOW + 60_000).expect_err("nobody says").reason.code(), "identity.unavailable");
    assert_eq!(outcome(&oauth, "opaque", NOW + 30_000).await, "identity.unavailable", "a message waits for the answer");
}

#[tokio::test]
async fn what_an_issuer_takes_back_is_out() {
    let fake = Fake::start().await;
    let oauth = fake.oauth();
    let told = with(&fake.claims(), json!({"active": true, "iss": null}));
    fake.say("/introspection", Says::Json(told.clone()));
    let caller = oauth.resolve(("opaque", None), NOW).await.expect("good");
    fake.say("/introspection", Says::Json(json!({"active": false})));
    assert_eq!(outcome(&oauth, "opaque", NOW + 29_999).await, "good", "an answer holds for a moment");
    assert_eq!(outcome(&oauth, "opaque", NOW + 30_000).await, "identity.revoked");
    assert_eq!(oauth.still(&caller, NOW + 30_000).expect_err("revoked").reason.code(), "identity.revoked");
    let before = fake.asked();
    assert_eq!(outcome(&oauth, "opaque", NOW + 31_000).await, "identity.invalid");
    assert_eq!(fake.asked(), before, "what is worth nothing is not asked about at once again");
    for (what, members, expected) in [
        ("another issuer", json!({"iss": "https://other.test"}), "identity.issuer"),
        ("another audience", json!({"aud": "https://other.test"}), "identity.audience"),
        ("no audience", json!({"aud": null}), "identity.audience"),
        ("over", json!({"exp": NOW_S - 30}), "identity.expired"),
        ("active as a text", json!({"active": "true"}), "identity.unavailable"),
        ("no word of it", json!({"active": null}), "identity.unavailable"),
        ("bound to a key", json!({"cnf": {"jkt": "x"}}), "identity.binding"),
        ("without an end", json!({"exp": null}), "good"),
        ("a program", json!({"sub": null}), "good"),
    ] {
        fake.say("/introspection", Says::Json(with(&told, members)));
        assert_eq!(outcome(&oauth, &format!("opaque-{}", what.len()).repeat(what.len()), NOW).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_some_token_of_its_caller() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = fake.oauth();
    let of = |end: u64| ec.token(&header(), &with(&fake.claims(), json!({"exp": end})));
    let (first, second) = (of(NOW_S + 60), of(NOW_S + 120));
    let caller = oauth.resolve((&first, None), NOW).await.expect("good");
    assert_eq!(oauth.still(&caller, NOW + 90_000).expect_err("over").reason.code(), "identity.expired");
    assert_eq!(oauth.resolve((&second, None), NOW + 80_000).await.expect("good"), caller, "the same rights, the same caller");
    assert!(oauth.still(&caller, NOW + 90_000).is_ok(), "refreshed");
    let stranger = Caller::assertion(caller.principal(), Means::OAuth, bartizan_monitor::case::Reach::all());
    assert_eq!(oauth.still(&stranger, NOW).expect_err("never seen").reason.code(), "identity.revoked");
}

#[tokio::test]
async fn scopes_are_good_for_what_the_operator_said_and_never_for_more() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let granted = |servers: &[&str], most| Granted { servers: servers.iter().map(ToString::to_string).collect(), most };
    let mut config = config(vec![fake.issuer()]);
    config.required = ["mcp".to_owned()].into();
    config.scopes = BTreeMap::from([
        ("read-all".to_owned(), granted(&["files", "db"], Effect::Read)),
        ("write-db".to_owned(), granted(&["db"], Effect::Write)),
    ]);
    let oauth = OAuth::new(Arc::new(config));
    let of = |scope: Value| ec.token(&header(), &with(&fake.claims(), scope));
    for (scope, expected) in [
        (json!({"scope": "mcp read-all"}), "good"),
        (json!({"scp": ["mcp", "read-all"]}), "good"),
        (json!({"scp": "mcp read-all"}), "good"),
        (json!({"scope": "read-all"}), "identity.scope"),
        (json!({"scope": "mcp"}), "identity.scope"),
        (json!({"scope": "mcp read-all-more"}), "identity.scope"),
        (json!({"scope": "MCP read-all"}), "identity.scope"),
        (json!({}), "identity.scope"),
    ] {
        assert_eq!(outcome(&oauth, &of(scope.clone()), NOW).await, expected, "{scope}");
    }
    let caller = oauth.resolve((&of(json!({"scope": "mcp read-all write-db"})), None), NOW).await.expect("good");
    let badge = caller.badge().expect("a badge");
    assert_eq!(badge.most, BTreeMap::from([("db".to_owned(), Effect::Write), ("files".to_owned(), Effect::Read)]));
    let refused = oauth.resolve((&of(json!({"scope": "other"})), None), NOW).await.expect_err("no scope");
    assert_eq!(refused.echo.map(|echo| echo.1.to_string()), Some("\"mcp\"".to_owned()), "says what to ask for");
}

#[tokio::test]
async fn a_repeated_call_asks_nobody_and_is_remembered_once() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = fake.oauth();
    let token = ec.token(&header(), &with(&fake.claims(), json!({"more": "x".repeat(600)})));
    let caller = oauth.resolve((&token, None), NOW).await.expect("good");
    let watch = clock::Stopwatch::start();
    for _ in 0..10_000 {
        assert!(oauth.resolve((&token, None), NOW).await.is_ok() && oauth.still(&caller, NOW).is_ok());
    }
    let each = watch.elapsed() / 10_000;
    println!("a verified token of {} bytes, looked up and confirmed: {each:?}", token.len());
    assert_eq!(fake.asked(), 1);
    assert_eq!(held(&oauth.known).of(&caller).len(), 1, "one token is remembered once");
}

mod abuse;

#[tokio::test]
async fn tokens_are_kept_only_to_be_exchanged_and_only_while_they_hold() {
    let fake = Fake::start().await;
    fake.say("/introspection", Says::Json(with(&fake.claims(), json!({"active": true}))));
    for exchanged in [Exchanged::No, Exchanged::Yes] {
        let oauth = OAuth::new(Arc::new(config::OAuth { exchanged, ..config(vec![fake.issuer()]) }));
        let caller = oauth.resolve(("an-opaque-token", None), NOW).await.expect("good");
        assert_eq!(oauth.subject(&caller, NOW).is_some(), exchanged == Exchanged::Yes);
        assert!(oauth.subject(&caller, NOW + 200_000).is_none(), "it has expired");
        assert!(!format!("{oauth:?}").contains("an-opaque-token"));
        if exchanged == Exchanged::Yes {
            let kept = Arc::downgrade(&oauth.subject(&caller, NOW).expect("kept"));
            fake.say("/introspection", Says::Json(json!({"active": false})));
            assert_eq!(outcome(&oauth, "an-opaque-token", NOW + 31_000).await, "identity.revoked");
            assert!(oauth.subject(&caller, NOW + 31_000).is_none() && kept.upgrade().is_none(), "gone, and all that it was exchanged for");
        }
    }
}

mod strength;

#[tokio::test]
async fn a_token_is_not_exchanged_as_one_that_is_good_for_more() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = OAuth::new(Arc::new(config::OAuth { exchanged: Exchanged::Yes, ..config(vec![fake.issuer()]) }));
    let own = Certificate::read(b"own");
    let of = |members: Value| ec.token(&header(), &with(&fake.claims(), members));
    let narrow = of(json!({"scope": "one", "exp": NOW_S + 30}));
    let wide = of(json!({"scope": "one two", "exp": NOW_S + 60}));
    let bound = of(json!({"scope": "one", "exp": NOW_S + 60, "cnf": {"x5t#S256": b64(own.print())}}));
    for token in [&wide, &bound, &narrow] {
        oauth.resolve((token, Some(&own)), NOW).await.expect("good");
    }
    let mut subjects = Vec::new();
    for token in [&narrow, &wide, &bound] {
        let caller = oauth.resolve((token, Some(&own)), NOW).await.expect("good");
        subjects.push(oauth.subject(&caller, NOW).expect("kept"));
    }
    let [narrow, wide, bound] = subjects.as_slice() else { panic!("three") };
    assert!(!Arc::ptr_eq(narrow, wide) && !Arc::ptr_eq(narrow, bound) && !Arc::ptr_eq(wide, bound));
}

/// Prints what a message costs whose token was verified before:
/// `cargo test --release -p bartizan-gateway --lib -- --ignored --nocapture measured`.
#[tokio::test]
#[ignore = "a measurement, for release builds"]
async fn measured() {
    const TIMES: u32 = 100_000;
    let fake = Fake::start().await;
    let pair = Pair::ec();
    fake.keys(&[pair.jwk("one")]);
    let oauth = fake.oauth();
    let token = pair.token(&header(), &with(&fake.claims(), json!({"groups": ["staff", "ops"], "padding": "x".repeat(500)})));
    // Others are remembered, too.
    for number in 0..1000 {
        let other = pair.token(&header(), &with(&fake.claims(), json!({"sub": format!("person-{number}")})));
        oauth.resolve((&other, None), NOW).await.expect("good");
    }
    oauth.resolve((&token, None), NOW).await.expect("good");
    let begun = clock::Stopwatch::start();
    for _ in 0..TIMES {
        // As a message does: once when it comes, once when it is let in, and once when it is judged.
        let caller = oauth.resolve((&token, None), NOW).await.expect("good");
        assert!(oauth.still(&caller, NOW).is_ok() && oauth.still(&caller, NOW).is_ok());
    }
    println!("a JWT of {} bytes, verified before: {:.2} µs", token.len(), begun.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
}
