//! Sharing through a Redis server that speaks TLS: a real one, and who is taken for it.

use std::time::{Duration, Instant};

use bartizan_tests::gateway::Stage;
use bartizan_tests::json::reason;
use bartizan_tests::process::eventually;
use bartizan_tests::script::Script;
use serde_json::json;

use crate::limits::Redis;
use crate::tls::{Authority, dns};

/// A Redis server with a certificate for this name.
fn redis(place: &Stage, authority: &Authority, name: &str) -> Redis {
    let leaf = authority.issue(place, name, |params| params.subject_alt_names = vec![dns(name)]);
    Redis::start_with(Some([leaf.certificate, leaf.key]))
}

/// What becomes of a gateway that allows nothing unless it shares: what it says of Redis, and why a call is refused.
fn outcome(url: &str, ca: Option<&Stage>) -> (String, Option<String>) {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    std::fs::write(stage.path("password"), "s3cret-for-tests\n").expect("writable");
    let ca = ca.map(|place| format!("ca = {:?}", place.path("ca.pem"))).unwrap_or_default();
    stage.configure(&format!("[redis]\nurl = {url:?}\npassword = \"${{file:password}}\"\non_loss = \"refuse\"\n{ca}"));
    let mut client = stage.run("files");
    client.initialize();
    eventually("it is told", || stage.journal().of("redis").count() > 0);
    let answer = client.call("a", &json!({}));
    assert!(client.leave().success());
    let journal = stage.journal();
    let line = journal.of("redis").next_back().expect("a line");
    assert!(!line.to_string().contains("s3cret"), "{line}");
    let said = format!("{}: {}", line["outcome"].as_str().unwrap_or_default(), line["detail"].as_str().unwrap_or_default());
    (said, reason(&answer).map(str::to_owned))
}

#[test]
fn redis_is_believed_when_a_named_authority_vouches_for_its_name_and_not_otherwise() {
    let places = [(); 2].map(|()| Stage::new(""));
    let authorities = [(); 2].map(|()| Authority::new());
    places.iter().zip(&authorities).for_each(|(place, authority)| authority.write(&place.path("ca.pem")));
    let ([own, other], [authority, _]) = (&places, &authorities);
    let good = redis(own, authority, "localhost");
    let elsewhere = redis(own, authority, "redis.example.com");
    let at = |redis: &Redis, host: &str| format!("rediss://{host}:{}/1", redis.port);
    let (said, refused) = outcome(&at(&good, "localhost"), Some(own));
    assert_eq!((said.starts_with("shared"), refused), (true, None), "{said}");
    for (what, url, ca, words) in [
        ("nobody vouches", at(&good, "localhost"), None, "UnknownIssuer"),
        ("another authority of the same name", at(&good, "localhost"), Some(other), "invalid peer certificate"),
        ("another host", at(&elsewhere, "localhost"), Some(own), "not valid for name"),
        ("an address that the certificate does not name", at(&good, "127.0.0.1"), Some(own), "not valid for name"),
    ] {
        let (said, refused) = outcome(&url, ca);
        assert!(said.starts_with("lost") && said.contains(words), "{what}: {said}");
        assert_eq!(refused.as_deref(), Some("quota.unshared"), "{what}");
    }
}

#[test]
fn tls_and_clear_text_are_told_apart_in_both_directions() {
    let place = Stage::new("");
    let authority = Authority::new();
    authority.write(&place.path("ca.pem"));
    let (secure, plain) = (redis(&place, &authority, "localhost"), Redis::start());
    let begun = Instant::now();
    for (url, ca, words) in [
        (format!("redis://localhost:{}/1", secure.port), None, "rediss://"),
        (format!("rediss://localhost:{}/1", plain.port), Some(&place), "does not speak TLS"),
    ] {
        let (said, refused) = outcome(&url, ca);
        assert!(said.starts_with("lost") && said.contains(words), "{url}: {said}");
        assert_eq!(refused.as_deref(), Some("quota.unshared"), "{url}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
