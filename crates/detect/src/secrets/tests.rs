use super::*;

const TOKEN: &str = "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE6gH9";

fn key() -> Key {
    Key::new(&[7; 32])
}

#[test]
fn places_are_exact() {
    let text = format!("token {TOKEN}, and on");
    let found = find(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, "github-token");
    assert_eq!(text.get(found[0].place.clone()), Some(TOKEN));
}

#[test]
fn backslashes_before_a_closing_quote_stay_in_every_layer() {
    for slashes in 0..6 {
        let kept = if slashes % 2 == 1 { "\\".repeat(slashes) } else { String::new() };
        let slashes = "\\".repeat(slashes);
        let text = format!(r#"{{{kept}"password{kept}": {kept}"hunter44xyz{slashes}"}}"#);
        let masked = mask(&text, &key());
        assert!(!masked.contains("hunter44"), "{masked}");
        assert!(masked.ends_with(&format!(r#"]{kept}"}}"#)), "{masked}");
    }
    assert!(!mask(r#"{"password": "ab1!c\\"}"#, &key()).contains("ab1!c"), "its own backslashes count");
}

#[test]
fn encodings_hide_nothing() {
    use base64::Engine as _;
    let wrapped = |before: &str| base64::engine::general_purpose::STANDARD.encode(format!("{before}{TOKEN} and so on"));
    let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = TOKEN.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let numbers: String = TOKEN.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let twice = numbers.replace('\\', "\\\\");
    let (head, tail) = TOKEN.split_at(20);
    let broken = format!("{head}\\\n    {tail}");
    for text in [
        wrapped(""),
        wrapped("."),
        wrapped(".."),
        wrapped("..."),
        hex,
        percent,
        numbers,
        twice,
        broken,
        format!("\\n{TOKEN}"),
        format!("%3D{TOKEN}"),
    ] {
        let found = find(&text);
        assert!(found.iter().any(|secret| secret.kind == "github-token"), "{text}: {found:?}");
    }
}

#[test]
fn what_the_gateway_holds_is_found_however_it_is_written() {
    let secrets = Secrets::new(&["correct horse/battery"]);
    use base64::Engine as _;
    let base64 = |before: &str| base64::engine::general_purpose::STANDARD.encode(format!("{before}correct horse/battery!"));
    let texts = [
        "correct horse/battery".into(),
        "correct%20horse%2Fbattery".into(),
        "correct horse\\/battery".into(),
        "636f727265637420686f7273652f62617474657279".into(),
    ];
    let mut placeholders = std::collections::BTreeSet::new();
    for text in texts.into_iter().chain(["", "a", "ab"].map(base64)) {
        let text = format!("<{text}>");
        let masked = secrets.mask(&text, &key()).into_owned();
        assert!(masked.contains("[secret:known:"), "{text}: {masked}");
        placeholders.insert(masked);
    }
    // Equal values stay equal, whatever the spelling; base64 keeps its padding.
    assert!(placeholders.len() <= 3, "{placeholders:?}");
    assert_eq!(find("correct horse/battery"), []);
}

#[test]
fn a_placeholder_is_stable_and_keyed() {
    let text = format!("{TOKEN} {TOKEN}");
    let masked = mask(&text, &key()).into_owned();
    let (first, second) = masked.split_once(' ').expect("two");
    assert_eq!(first, second);
    assert!(first.starts_with("[secret:github-token:") && first.ends_with(']'));
    assert_ne!(mask(&text, &Key::new(&[8; 32])), masked);
    assert_eq!(mask(&masked, &key()), masked);
}

#[test]
fn clean_text_is_not_copied() {
    for text in [
        "",
        "abc",
        "password: !vault |",
        "the token is read from the file",
        "api_key = os.environ[\"API_KEY\"]",
        "sha256:6cc680042d69f451fb8cab134083cb76",
    ] {
        assert!(matches!(mask(text, &key()), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn names_and_urls_say_what_is_secret() {
    for (text, kind) in [
        ("DB_PASSWORD=HZ9SIMcY_SGNe4", "password"),
        ("{\"db_password\": \"h%nter22\"}", "password"),
        ("postgres://app:s3cr3tpw@db.example.com/x", "url-password"),
        ("Authorization: Bearer aB3dE6gH9jK2mN5pQ8sT", "authorization"),
        ("id,api_token\n1,aB3dE6gH9jK2mN5pQ8sT\n", "assigned-secret"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----", "private-key"),
    ] {
        let found = find(text);
        assert!(found.iter().any(|secret| secret.kind == kind), "{text}: {found:?}");
    }
}
