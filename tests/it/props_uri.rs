//! Properties of resource namespaces, against readers that know nothing of ours.

use std::sync::Arc;

use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::catalog::{Catalog, Definition};
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::wire::json::Json;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A server whose approved templates these are, as far as they are templates.
fn catalog(templates: &[&str]) -> Catalog {
    let mut lock = Lock::default();
    for template in templates {
        let json = Json::object([("uriTemplate", Json::string(template)), ("name", Json::string("t"))]);
        let Ok(read) = Definition::read(Kind::Template, &json) else { continue };
        lock.put("s", Pin::new(read, Effect::Read));
    }
    Catalog::new(Arc::new(lock), "__")
}

/// Pieces that ways out are made of, and honest ones.
fn path() -> impl Strategy<Value = String> {
    let ways = [
        "..", ".", "/", "//", "\\", "%2e", "%2E%2e", "%252e", "%2f", "%252F", "%5c", "%00", "%0a", "..;x", "%c0%ae", "%", "%u002e", "?",
        "#", "@", ":", "a", "b.txt", "etc", "%61", "data", "é", "\u{ff0e}", "\u{2025}", "\u{ff0f}", " ", "%20", "%25",
    ];
    vec(select(ways.to_vec()), 0..10).prop_map(|pieces| pieces.concat())
}

/// What a careless server makes of a URI: escapes taken out `layers` times, backslashes turned, dots resolved.
fn careless(uri: &str, layers: usize) -> Vec<String> {
    let mut bytes = uri.split(['?', '#']).next().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..layers {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
            match digits.filter(|_| bytes[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        bytes = out;
    }
    let text = String::from_utf8_lossy(&bytes).replace('\\', "/");
    let mut kept: Vec<String> = Vec::new();
    for segment in text.strip_prefix("file://").unwrap_or(&text).split('/') {
        match segment {
            "." | "" => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other.to_owned()),
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_reader_is_led_out_of_a_namespace(path in path(), layers in 0_usize..4) {
        let catalog = catalog(&["file:///srv/data/{+path}"]);
        let uri = format!("file:///srv/data/{path}");
        if catalog.resource(&"s".into(), &uri).is_some() {
            let read = careless(&uri, layers);
            prop_assert!(read.starts_with(&["srv".to_owned(), "data".to_owned()]), "{uri} is {read:?}");
            prop_assert!(!path.starts_with('/'), "{uri}");
        }
    }

    #[test]
    fn a_simple_variable_is_one_segment_for_every_reader(name in path(), layers in 0_usize..4) {
        let catalog = catalog(&["file:///srv/{name}/end"]);
        let uri = format!("file:///srv/{name}/end");
        if catalog.resource(&"s".into(), &uri).is_some() {
            let read = careless(&uri, layers);
            prop_assert!(read.len() == 3 && read[0] == "srv" && read[2] == "end", "{uri} is {read:?}");
        }
    }

    #[test]
    fn honest_names_are_read(name in "[^%/\\\\\u{ff0e}\u{ff0f}\u{2024}\u{2025}\\p{C}]{1,40}") {
        prop_assume!(!name.split(';').next().is_some_and(|start| start == "." || start == ".."));
        let escaped: String = name
            .bytes()
            .map(|byte| if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect();
        let catalog = catalog(&["file:///srv/{name}"]);
        prop_assert!(catalog.resource(&"s".into(), &format!("file:///srv/{escaped}")).is_some(), "{escaped}");
    }

    #[test]
    fn a_host_is_the_one_that_was_approved(rest in path(), user in select(vec!["", "u@", "good.example@", "good.example:80@"])) {
        let catalog = catalog(&["https://good.example{+path}", "https://good.example/{id}"]);
        let uri = format!("https://{user}good.example{rest}");
        if catalog.resource(&"s".into(), &uri).is_some() {
            let read = url::Url::parse(&uri).expect("what is approved can be read");
            prop_assert_eq!(read.host_str(), Some("good.example"));
            prop_assert!(read.username().is_empty() && read.port().is_none());
        }
    }

    #[test]
    fn any_text_is_judged(uri in ".{0,60}", template in ".{0,40}") {
        let catalog = catalog(&[&format!("x{template}")]);
        let _judged = catalog.resource(&"s".into(), &uri).is_some();
    }
}
