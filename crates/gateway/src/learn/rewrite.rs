//! Items become lines of a configuration, whose rest stays as it is, or options of a command.

use std::path::Path;

use toml_edit::{Array, DocumentMut, Item as Toml, Table, Value, value};

use super::propose::Item;
use crate::review::{Line, diff};

/// Lines around a difference that are shown.
const AROUND: usize = 3;

/// A configuration that would be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The whole new text.
    pub text: String,
    /// The difference.
    pub lines: Vec<Line>,
}

/// A configuration with these items in a server's confinement. Nothing, if it does not name the server.
pub fn change(text: &str, server: &str, items: &[&Item]) -> Result<Option<Change>, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let unconfined = document.get("dangerous").and_then(|dangerous| dangerous.get("unconfined")).and_then(Toml::as_array);
    if !items.is_empty() && unconfined.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(server))) {
        return Err(format!("`dangerous.unconfined` names {server:?}, so it has everything; take it out first"));
    }
    let named = document.get_mut("servers").and_then(|servers| servers.as_table_like_mut()?.get_mut(server));
    let Some(table) = named.and_then(Toml::as_table_like_mut) else { return Ok(None) };
    let confine = table.entry("confine").or_insert_with(|| Toml::Table(Table::new()));
    let confine = confine.as_table_like_mut().ok_or("`confine` is no table")?;
    for item in items {
        let list = confine.entry(item.key.name()).or_insert_with(|| value(Array::new()));
        let list = list.as_array_mut().ok_or_else(|| format!("`{}` is no list", item.key.name()))?;
        list.push(line(&item.value)?);
    }
    let new = document.to_string();
    let lines = near(&diff(text, &new));
    Ok(Some(Change { text: new, lines }))
}

/// A text in one line, with what cannot be seen as escapes: a server chose it, and must not write lines of its own.
fn line(text: &str) -> Result<Value, String> {
    let escaped = |symbol: char| match symbol {
        '"' | '\\' => format!("\\{symbol}"),
        ' '..='~' => symbol.to_string(),
        _ if symbol.is_alphanumeric() => symbol.to_string(),
        _ => format!("\\U{:08X}", u32::from(symbol)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>()).parse().map_err(|error: toml_edit::TomlError| error.to_string())
}

/// The changed lines and a few around them.
fn near(lines: &[Line]) -> Vec<Line> {
    let changed: Vec<usize> = lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Kept(_))).map(|(at, _)| at).collect();
    let is_near = |at: usize| changed.iter().any(|changed| changed.abs_diff(at) <= AROUND);
    lines.iter().enumerate().filter(|(at, _)| is_near(*at)).map(|(_, line)| line.clone()).collect()
}

/// The same as options of `bartizan run`, quoted for a shell.
#[must_use]
pub fn options(items: &[&Item]) -> Vec<String> {
    items.iter().map(|item| format!("{} {}", item.key.option(), quoted(&item.value))).collect()
}

/// A word as a shell reads it back; what cannot be seen is written in escapes.
fn quoted(word: &str) -> String {
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "/._-:@+,=[]".contains(symbol);
    if !word.is_empty() && word.chars().all(plain) && !word.contains('[') {
        return word.to_owned();
    }
    if word.chars().all(|symbol| symbol.is_ascii_graphic() || symbol == ' ') {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let escaped = |byte: u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("$'{}'", word.bytes().map(escaped).collect::<String>())
}

/// Whether a configuration names a server.
#[must_use]
pub fn names(text: &str, server: &str) -> bool {
    matches!(change(text, server, &[]), Ok(Some(_)))
}

/// A path as a person knows it.
#[must_use]
pub fn shown(path: &str, home: Option<&Path>) -> String {
    let below = home.and_then(|home| Path::new(path).strip_prefix(home).ok()).filter(|rest| !rest.as_os_str().is_empty());
    below.map_or_else(|| path.to_owned(), |rest| format!("~/{}", rest.display()))
}

#[cfg(test)]
mod tests {
    use super::super::propose::Key;
    use super::*;

    fn item(key: Key, value: &str) -> Item {
        Item { key, value: value.to_owned(), overreach: None, note: None, grantable: true, declined: false }
    }

    #[test]
    fn the_rest_of_a_configuration_stays_as_it_is() {
        let text =
            "# mine\n[servers.a]\ncommand = [ \"x\" ] # so\n\n[servers.a.confine]\nread = [\"/one\"]\n\n[servers.b]\ncommand = [\"y\"]\n";
        let (read, host) = (item(Key::Read, "/t\nwo"), item(Key::Hosts, "a.example:443"));
        let changed = change(text, "a", &[&read, &host]).expect("parsed").expect("named");
        let expected = text.replace("[\"/one\"]\n", "[\"/one\", \"/t\\U0000000Awo\"]\nhosts = [\"a.example:443\"]\n");
        assert_eq!(changed.text, expected);
        assert!(changed.lines.iter().all(|line| !matches!(line, Line::Gone(text) if text != "read = [\"/one\"]")));
        let fresh = change(text, "b", &[&read]).expect("parsed").expect("named").text;
        assert_eq!(fresh, format!("{text}\n[servers.b.confine]\nread = [\"/t\\U0000000Awo\"]\n"));
        assert_eq!(change(text, "c", &[&read]), Ok(None));
        assert!(change("[servers.a]\nconfine = 1\n", "a", &[&read]).is_err());
        assert!(change(&format!("{text}[dangerous]\nunconfined = [\"a\"]\n"), "a", &[&read]).is_err());
        assert!(names(text, "a") && !names(text, "c") && !names("[", "a"));
        let inline = change("servers = { a = { command = [\"x\"] } }\n", "a", &[&read]).expect("parsed").expect("named").text;
        assert!(
            inline.parse::<DocumentMut>().is_ok_and(|read| read["servers"]["a"]["confine"]["read"][0].as_str() == Some("/t\nwo")),
            "{inline}"
        );
    }

    #[test]
    fn options_are_one_word_to_a_shell() {
        let words = |value: &str| options(&[&item(Key::Read, value)]);
        assert_eq!(words("/a/b-c.d"), ["--read /a/b-c.d"]);
        assert_eq!(words("/a b's; $(rm)"), [r"--read '/a b'\''s; $(rm)'"]);
        assert_eq!(words("/a\n\u{1b}\u{202e}"), [r"--read $'/a\x0a\x1b\xe2\x80\xae'"]);
    }

    #[test]
    fn a_home_is_a_tilde() {
        let home = Some(Path::new("/home/me"));
        assert_eq!(shown("/home/me/.ssh/id", home), "~/.ssh/id");
        assert_eq!(shown("/home/me", home), "/home/me");
        assert_eq!(shown("/home/meme/x", home), "/home/meme/x");
    }
}
