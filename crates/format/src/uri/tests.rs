use super::{Template, normal};

fn covers(template: &str, uri: &str) -> bool {
    Template::read(template).covers(uri)
}

#[test]
fn templates_cover_their_namespace_and_no_more() {
    assert!(covers("test://template/{id}/data", "test://template/123/data"));
    assert!(!covers("test://template/{id}/data", "test://template/1/2/data"));
    assert!(!covers("test://template/{id}/data", "test://template//data"));
    assert!(covers("file:///{+path}", "file:///a/b.txt"));
    assert!(covers("file://{+path}", "file:///a/b.txt"));
    assert!(covers("demo://resource/{kind}/{id}", "demo://resource/text/7"));
    assert!(!covers("demo://resource/{kind}/{id}", "demo://other/text/7"));
    assert!(covers("db://t{?q}", "db://t?q=1"));
    assert!(covers("db://t{?q}", "db://t"));
    assert!(!covers("db://t{?q}", "db://tq"));
    assert!(covers("db://t/{a}-{b}.csv", "db://t/x-y-z.csv"));
}

#[test]
fn only_reserved_expansions_cross_a_slash() {
    for expression in ["{x}", "{x*}", "{x,y}", "{.x}", "{;x}", "{x:3}"] {
        assert!(!covers(&format!("f://d/{expression}"), "f://d/a/b"), "{expression}");
    }
    assert!(covers("f://d{/x}", "f://d/a") && !covers("f://d{/x}", "f://d/a/b"));
    assert!(covers("f://d{/x,y}", "f://d/a/b") && !covers("f://d{/x,y}", "f://d/a/b/c"));
    assert!(covers("f://d{/x*}", "f://d/a/b/c") && !covers("f://d{/x*}", "f://dab"));
    assert!(covers("f://d/{+x}", "f://d/a/b/c"));
    assert!(covers("f://d{.x}", "f://d.txt") && covers("f://d{#x}", "f://d#a/b"));
}

#[test]
fn no_variable_is_a_way_out() {
    for uri in ["file:///data/../x", "file:///data/.", "file:///data/..;a/x", "file:///data//etc/passwd"] {
        assert!(!covers("file:///data/{+path}", uri), "{uri}");
    }
    // The host is what the literal says.
    assert!(!covers("https://good.example{+path}", "https://good.example.evil/x"));
    assert!(!covers("https://good.example{+path}", "https://good.example@evil/x"));
    assert!(covers("https://good.example{+path}", "https://good.example/x"));
    assert!(!covers("{+x}", &"a".repeat(9000)));
}

#[test]
fn one_meaning_has_one_normal_form() {
    for (uri, form) in [
        ("FILE:///data/a", "file:///data/a"),
        ("file:/data/a", "file:///data/a"),
        ("file://LocalHost/data/a", "file:///data/a"),
        ("file:///data/%61", "file:///data/a"),
        ("file:///data/%2561", "file:///data/a"),
        ("file:///data/x/%2e%2E/a", "file:///data/a"),
        ("file:///data/x/%252e./a", "file:///data/a"),
        ("file:///data/x%2f..%2fa", "file:///data/a"),
        ("file:///data/../../..", "file:///"),
        ("file:///data/x/..;p/a", "file:///data/a"),
        ("file:///data/\u{2025}/a", "file:///a"),
        ("file:///a%3fb", "file:///a%3Fb"),
        ("file:///100%25", "file:///100%"),
        ("HTTP://user:pw@EXAMPLE.com:80/a", "http://example.com/a"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://0x7f.1/a", "http://127.0.0.1/a"),
        ("http://2130706433/a", "http://127.0.0.1/a"),
        ("http://[::FFFF:7f00:1]:8080/a", "http://[::ffff:7f00:1]:8080/a"),
        ("https://ｅxample.com/", "https://example.com/"),
        ("Demo://Resource/A", "demo://Resource/A"),
        ("urn:a:b", "urn:a:b"),
        ("http://{host}/x", "http://{host}/x"),
        ("https://EXAMPLE.com/{id}", "https://example.com/{id}"),
        ("file:///My%20Docs/{name}", "file:///My Docs/{name}"),
    ] {
        assert_eq!(normal(uri).map(|normal| normal.form).as_deref(), Ok(form), "{uri}");
    }
}

#[test]
fn what_no_uri_has_is_refused() {
    for uri in [
        "file:///a\\b",
        "file:///a b",
        "file:///a\nb",
        "file:///a%00b",
        "file:///a%255cb",
        "file:///%c0%ae",
        "file:///%zz",
        "http:/x",
        "http://a b/",
        "http://[x]/",
        "file:///%2525252525252e",
    ] {
        assert!(normal(uri).is_err(), "{uri}");
    }
}
