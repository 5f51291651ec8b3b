//! Named formats: what must be refused, and what must not.

use bartizan_format::{Dialect, Format, Options, Roots, Urls};
use serde_json::Value;

use super::{Item, judged};
use crate::corpus::text;

pub(super) fn paths(row: &Value) -> Vec<Item> {
    let Ok(roots) = Roots::new(&[text(row, "root")]) else { return Vec::new() };
    let refused = Format::Path(roots).parse(text(row, "path")).is_err();
    let line = match text(row, "expected") {
        "deny" => "deny: refused",
        "allow" => return vec![judged(row, false, refused, vec!["inside: refused".into()])],
        _ => "deny or take literally: refused",
    };
    vec![judged(row, true, refused, vec![line.into(), format!("class {}: refused", text(row, "class"))])]
}

pub(super) fn ssrf(row: &Value) -> Vec<Item> {
    let refused = Format::Url(Urls::public(&["http", "https"])).parse(text(row, "url")).is_err();
    match text(row, "expected") {
        "allow" => vec![judged(row, false, refused, vec!["public: refused".into()])],
        "deny" => vec![judged(row, true, refused, vec!["deny: refused".into()])],
        // A name says nothing about its address: the dialer resolves and judges it.
        _ => vec![judged(row, true, refused, vec!["decided at the connection: refused by its text".into()])],
    }
}

/// Whether the host of an absolute URL is written as the corpus says that it is read: then it has one meaning.
fn is_plain(input: &str, host: &str) -> bool {
    let Some((scheme, rest)) = input.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let visible = input.chars().all(|symbol| !symbol.is_control() && !symbol.is_whitespace() && symbol != '\\');
    let port = authority.strip_prefix(host).is_some_and(|port| {
        port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|port| !port.is_empty() && !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit()))
    });
    !host.is_empty() && !host.starts_with("xn--") && visible && port && scheme != "file"
}

pub(super) fn hosts(row: &Value) -> Vec<Item> {
    let (input, host) = (text(row, "input"), text(row, "hostname"));
    let schemes = ["http", "https", "ws", "wss", "ftp"];
    if text(row, "label") != "valid" {
        let refused = Format::Url(Urls::public(&schemes)).parse(input).is_err();
        return vec![judged(row, true, refused, vec!["no URL: refused".into()])];
    }
    let refused = Format::Url(Urls::at(&schemes, &[host])).parse(input).is_err();
    // What passes may only mean the host that the corpus names: with every other host refused, that is what is shown.
    let elsewhere = Format::Url(Urls::at(&schemes, &["other.example"])).parse(input).is_ok();
    let mut items = vec![judged(row, false, elsewhere, vec!["valid: taken for another host".into()])];
    let line = if is_plain(input, host) { "valid, one reading: refused" } else { "valid, several readings: refused (free to choose)" };
    items.push(judged(row, !is_plain(input, host), refused, vec![line.into()]));
    items
}

pub(super) fn commands(row: &Value) -> Vec<Item> {
    let value = text(row, "arg");
    let word = Format::ShellWord.parse(value).is_err();
    // What a tool over `git log` would list.
    let options = Options::new(&["--author", "--since", "--until", "--max-count"]);
    let argument = Format::Argument(options).parse(value).is_err();
    match text(row, "label") {
        "benign" => vec![judged(row, false, argument, vec!["benign as an argument without a shell: refused".into()])],
        _ if text(row, "class") == "argument-injection" => {
            vec![
                judged(row, true, argument, vec!["option or file of options, as an argument: refused".into()]),
                judged(row, true, word, vec!["attack as a shell word: refused".into()]),
            ]
        }
        _ => vec![judged(row, true, word, vec!["attack as a shell word: refused".into()])],
    }
}

pub(super) fn sql(row: &Value) -> Vec<Item> {
    let dialect = match text(row, "dialect") {
        "postgres" => Dialect::Postgres,
        "mysql" => Dialect::MySql,
        "sqlite" => Dialect::Sqlite,
        "mssql" => Dialect::MsSql,
        _ => Dialect::Any,
    };
    let deny = text(row, "expected") == "deny";
    let one = |dialect, how: &str| {
        let refused = Format::SqlReadOnly(dialect).parse(text(row, "query")).is_err();
        judged(row, deny, refused, vec![format!("{}{how}: refused", if deny { "writes or does more" } else { "reads" })])
    };
    // Writes must be refused whoever's database it is said to be.
    if deny { vec![one(dialect, ""), one(Dialect::Any, ", dialect unknown")] } else { vec![one(dialect, "")] }
}
