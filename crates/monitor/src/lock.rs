//! The lock file: the definitions that a person reviewed, and what that person decided of each.
//!
//! One TOML text, sorted, one `[[definition]]` per thing, so that a pull request shows one hunk per
//! change. Invisible characters in a definition are written as escapes: what a reviewer cannot see
//! is what an attacker would use.

pub mod artefact;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::case::{Effect, Kind};
use crate::catalog::Definition;
use crate::wire::canonical::Digest;
use crate::wire::json::{Json, Kind as JsonKind, View};
use artefact::Artefact;

/// The version of the format.
const FORMAT: u32 = 1;

/// One reviewed definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What it is.
    pub kind: Kind,
    /// Its name (tools, prompts), URI or URI template at its server.
    pub name: String,
    /// What a call of it can do, as the operator decided.
    pub effect: Effect,
    /// SHA-256 of the definition's canonical form.
    pub digest: Digest,
    /// The definition as it was reviewed.
    pub definition: Json,
}

/// The reviewed definitions of all servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    pins: BTreeMap<String, BTreeMap<(Kind, String), Arc<Pin>>>,
    artefacts: BTreeMap<String, Vec<Artefact>>,
}

/// A lock file that cannot be used, and where.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LockError {
    /// Not TOML of the expected shape. The text shows the place.
    #[error("{0}")]
    Format(String),
    /// Written by a newer version.
    #[error("the lock file has format {0}; this program reads format {FORMAT}. Use a newer bartizan")]
    Newer(u32),
    /// A definition that is not what its digest says: edited by hand.
    #[error("{server}/{name}: the definition does not have the digest beside it; run `bartizan approve {server}` instead of editing")]
    Digest {
        /// The server.
        server: String,
        /// The definition's name.
        name: String,
    },
    /// A definition that is not a definition.
    #[error("{server}/{name}: {what}")]
    Definition {
        /// The server.
        server: String,
        /// The definition's name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Twice the same.
    #[error("{server}/{name}: stands twice")]
    Twice {
        /// The server.
        server: String,
        /// The definition's name.
        name: String,
    },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    definition: Vec<Row>,
    #[serde(default)]
    artefact: Vec<artefact::Row>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    server: String,
    kind: Kind,
    name: String,
    effect: Effect,
    digest: String,
    definition: String,
}

impl Lock {
    /// Reads a lock file's text.
    pub fn read(text: &str) -> Result<Self, LockError> {
        #[derive(serde::Deserialize)]
        struct Head {
            version: u32,
        }
        let format = |error: toml::de::Error| LockError::Format(error.to_string());
        let head: Head = toml::from_str(text).map_err(format)?;
        if head.version > FORMAT {
            return Err(LockError::Newer(head.version));
        }
        let file: File = toml::from_str(text).map_err(format)?;
        debug_assert_eq!(file.version, head.version, "the same member of the same text");
        let mut lock = Self::default();
        for row in file.definition {
            let (server, name) = (row.server.clone(), row.name.clone());
            if lock.put(&server, row.pin()?).is_some() {
                return Err(LockError::Twice { server, name });
            }
        }
        for row in file.artefact {
            let server = row.server.clone();
            lock.artefacts.entry(server).or_default().push(row.read()?);
        }
        Ok(lock)
    }

    /// What a server is made of, as it was reviewed; nothing when nobody did.
    #[must_use]
    pub fn artefacts(&self, server: &str) -> &[Artefact] {
        self.artefacts.get(server).map_or(&[], Vec::as_slice)
    }

    /// Remembers what a server is made of.
    pub fn set_artefacts(&mut self, server: &str, artefacts: Vec<Artefact>) {
        if artefacts.is_empty() {
            self.artefacts.remove(server);
        } else {
            self.artefacts.insert(server.to_owned(), artefacts);
        }
    }

    /// Adds or replaces one definition; returns what stood there.
    pub fn put(&mut self, server: &str, pin: Pin) -> Option<Arc<Pin>> {
        self.pins.entry(server.to_owned()).or_default().insert((pin.kind, pin.name.clone()), Arc::new(pin))
    }

    /// Removes one definition.
    pub fn remove(&mut self, server: &str, kind: Kind, name: &str) -> Option<Arc<Pin>> {
        let pins = self.pins.get_mut(server)?;
        let removed = pins.remove(&(kind, name.to_owned()));
        if pins.is_empty() {
            self.pins.remove(server);
        }
        removed
    }

    /// One definition.
    #[must_use]
    pub fn get(&self, server: &str, kind: Kind, name: &str) -> Option<&Arc<Pin>> {
        // A borrowed tuple cannot look up an owned one; the allocation is the price of a plain map.
        self.pins.get(server)?.get(&(kind, name.to_owned()))
    }

    /// All definitions of a server, sorted.
    pub fn of(&self, server: &str) -> impl Iterator<Item = &Arc<Pin>> {
        self.pins.get(server).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether nothing of a server was approved.
    #[must_use]
    pub fn lacks(&self, server: &str) -> bool {
        !self.pins.contains_key(server)
    }

    /// The servers that have approved definitions.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.pins.keys().map(String::as_str)
    }
}

impl Row {
    fn pin(self) -> Result<Pin, LockError> {
        let bad = |what: String| LockError::Definition { server: self.server.clone(), name: self.name.clone(), what };
        let definition = Json::parse(Bytes::from(self.definition.clone())).map_err(|error| bad(error.to_string()))?;
        let read = Definition::read(self.kind, &definition).map_err(|what| bad(what.to_owned()))?;
        if read.name != self.name {
            return Err(bad("the definition has another name".to_owned()));
        }
        if Digest::read(&self.digest) != Some(read.digest) {
            return Err(LockError::Digest { server: self.server, name: self.name });
        }
        Ok(Pin { kind: self.kind, name: self.name, effect: self.effect, digest: read.digest, definition })
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("# Definitions that were reviewed. Written by `bartizan approve`; review it like code.\n")?;
        writeln!(f, "version = {FORMAT}")?;
        self.artefacts.iter().try_for_each(|(server, artefacts)| artefact::write(server, artefacts, f))?;
        for (server, pins) in &self.pins {
            for pin in pins.values() {
                writeln!(
                    f,
                    "\n[[definition]]\nserver = {}\nkind = \"{}\"\nname = {}",
                    toml_text(server),
                    pin.kind.name(),
                    toml_text(&pin.name)
                )?;
                writeln!(f, "effect = \"{}\"\ndigest = \"{}\"", pin.effect, pin.digest)?;
                writeln!(f, "definition = '''\n{}'''", pretty(&pin.definition))?;
            }
        }
        Ok(())
    }
}

/// A JSON text over several lines, in which every character that does not show, and the apostrophe
/// that would end the surrounding string, is an escape.
#[must_use]
pub fn pretty(json: &Json) -> String {
    let mut out = String::new();
    write_pretty(json.view(), 0, &mut out);
    out.push('\n');
    out
}

fn write_pretty(view: View<'_>, depth: usize, out: &mut String) {
    let inner = depth.saturating_add(1);
    match view.kind() {
        JsonKind::Object if view.members().next().is_some() => {
            out.push('{');
            for (index, (key, value)) in view.members().enumerate() {
                line(index, inner, out);
                write_visible(&key, out);
                out.push_str(": ");
                write_pretty(value, inner, out);
            }
            close('}', depth, out);
        }
        JsonKind::Array if view.items().next().is_some() => {
            out.push('[');
            for (index, value) in view.items().enumerate() {
                line(index, inner, out);
                write_pretty(value, inner, out);
            }
            close(']', depth, out);
        }
        JsonKind::Object => out.push_str("{}"),
        JsonKind::Array => out.push_str("[]"),
        JsonKind::String => write_visible(&view.as_str().unwrap_or_default(), out),
        JsonKind::Number | JsonKind::Bool | JsonKind::Null => out.push_str(view.text()),
    }
}

fn line(index: usize, depth: usize, out: &mut String) {
    out.push_str(if index == 0 { "\n" } else { ",\n" });
    out.push_str(&"  ".repeat(depth));
}

fn close(bracket: char, depth: usize, out: &mut String) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(bracket);
}

/// A TOML basic string in which everything that does not show is an escape.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for symbol in text.chars() {
        if is_visible(symbol) && !matches!(symbol, '"' | '\\') {
            out.push(symbol);
        } else {
            // Infallible on a String.
            let _ = write!(out, "\\U{:08x}", u32::from(symbol));
        }
    }
    out.push('"');
    out
}

fn is_visible(symbol: char) -> bool {
    if symbol.is_ascii() { !symbol.is_ascii_control() } else { symbol.is_alphanumeric() }
}

fn write_visible(text: &str, out: &mut String) {
    let json = Json::string(text);
    for symbol in json.view().text().chars() {
        if is_visible(symbol) && symbol != '\'' {
            out.push(symbol);
            continue;
        }
        for unit in symbol.encode_utf16(&mut [0; 2]) {
            // Infallible on a String.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(source: &str) -> Pin {
        let definition = Json::parse(Bytes::copy_from_slice(source.as_bytes())).expect("json");
        let read = Definition::read(Kind::Tool, &definition).expect("definition");
        Pin { kind: Kind::Tool, name: read.name, effect: Effect::Write, digest: read.digest, definition }
    }

    fn lock() -> Lock {
        let mut lock = Lock::default();
        for name in ["b", "a\\\"'''\u{202e}\u{1f600}é"] {
            let definition =
                Json::object([("name", Json::string(name)), ("inputSchema", Json::empty_object()), ("x", Json::array([Json::number(1)]))]);
            lock.put("files", pin(definition.view().text()));
        }
        lock
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = lock().to_string();
        let again = Lock::read(&text).expect(&text);
        assert_eq!(again.to_string(), text);
        assert_eq!(
            again.of("files").map(|pin| pin.digest).collect::<Vec<_>>(),
            lock().of("files").map(|pin| pin.digest).collect::<Vec<_>>()
        );
        assert!(!text.contains('\u{202e}'), "invisible characters are escaped");
    }

    #[test]
    fn edited_truncated_and_foreign_files_are_refused() {
        let text = lock().to_string();
        assert!(matches!(Lock::read(&text.replacen("\"x\"", "\"y\"", 1)), Err(LockError::Digest { .. })));
        assert!(matches!(Lock::read(&text.replace("version = 1", "version = 2\nnew = 1")), Err(LockError::Newer(2))));
        assert!(matches!(Lock::read(text.split_at(text.len() / 2).0), Err(LockError::Format(_))));
        let rows = text.split_once("\n[[").expect("rows").1;
        assert!(matches!(Lock::read(&format!("{text}\n[[{rows}")), Err(LockError::Twice { .. })));
        assert!(matches!(Lock::read(&text.replacen("effect", "efect", 1)), Err(LockError::Format(_))));
    }
}
