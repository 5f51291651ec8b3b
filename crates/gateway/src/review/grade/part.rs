//! The parts of a definition, and how each is compared.

use std::collections::BTreeMap;

use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use serde_json::{Map, Value};

use super::{Edit, Found, Grade, below, hints, schema, text};

/// A part of a definition and the digest of its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The member's name, for example `inputSchema`.
    pub name: String,
    /// SHA-256 of its canonical form in the old version.
    pub was: Option<Digest>,
    /// The same in the new version.
    pub is: Option<Digest>,
}

/// The parts that two versions of a definition do not have in common, sorted. Digests of parts are
/// computed and not stored: in the lock file they would be a second thing to change with every change,
/// and nobody reviews a digest.
#[must_use]
pub fn parts(old: Option<&Json>, new: Option<&Json>) -> Vec<Part> {
    let digests = |json: Option<&Json>| -> BTreeMap<String, Digest> {
        let digest = |json: &Json, (name, value): (std::borrow::Cow<'_, str>, _)| (name.into_owned(), Digest::of_json(&json.share(value)));
        json.into_iter().flat_map(|json| json.view().members().map(move |member| digest(json, member))).collect()
    };
    let (was, is) = (digests(old), digests(new));
    let names = was.keys().chain(is.keys().filter(|name| !was.contains_key(*name)));
    let mut parts: Vec<Part> =
        names.map(|name| Part { name: name.clone(), was: was.get(name).copied(), is: is.get(name).copied() }).collect();
    parts.retain(|part| part.was != part.is);
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    parts
}

/// A value before and after; absent on one side when it came or is gone.
pub(super) type Versions<'v> = (Option<&'v Value>, Option<&'v Value>);

/// Compares two versions of one definition, part by part.
pub(super) fn compare(kind: Kind, old: &Value, new: &Value, found: &mut Found) {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let name = old.get(kind.key()).and_then(Value::as_str).unwrap_or_default();
    for key in keys(old, new) {
        let (was, is) = (old.get(key), new.get(key));
        if was != is {
            one(kind, (key, name), (was, is), found);
        }
    }
}

/// The names of the members of both, each once, sorted.
pub(super) fn keys<'m>(old: &'m Map<String, Value>, new: &'m Map<String, Value>) -> Vec<&'m str> {
    let mut keys: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn one(kind: Kind, (key, name): (&str, &str), (was, is): Versions<'_>, found: &mut Found) {
    let place = below("", key);
    match (kind, key) {
        (Kind::Server, "version") => version(&place, (was, is), found),
        (Kind::Resource, "size") => found.note(&place, Grade::Cosmetic, "the size of the content is another"),
        (Kind::Instructions, "instructions") | (_, "title" | "description") => words(&place, (key, name), (was, is), found),
        (_, "name" | "uri" | "uriTemplate") => {
            let edit = Edit { gone: shown(was), came: shown(is), is_text: true };
            found.edit(&place, Grade::Steering, format!("it is called {} instead of {}", edit.came, edit.gone), &edit);
        }
        (Kind::Tool, "inputSchema" | "outputSchema") => schema::compare(&place, name, (was, is), found),
        (Kind::Tool, "annotations") => hints::compare(&place, name, (was, is), found),
        (Kind::Prompt, "arguments") => arguments(&place, (was, is), found),
        _ => other(&place, (was, is), found),
    }
}

/// Compares what should be text.
pub(super) fn words(place: &str, (key, name): (&str, &str), (was, is): Versions<'_>, found: &mut Found) {
    let string = |value: Option<&Value>| value.is_none_or(Value::is_string);
    if string(was) && string(is) {
        text::compare(place, (key, name), (was.and_then(Value::as_str), is.and_then(Value::as_str)), found);
    } else {
        found.note(place, Grade::Steering, format!("the {key} is no text, or was none"));
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
}

/// A server's own version says that there is another release and nothing of what it does: the
/// definitions say that, and each is pinned.
fn version(place: &str, (was, is): Versions<'_>, found: &mut Found) {
    let plain = |value: Option<&Value>| value.is_none_or(|value| value.as_str().is_some_and(text::is_token));
    let grade = if plain(was) && plain(is) { Grade::Cosmetic } else { Grade::Steering };
    let edit = Edit { gone: shown(was), came: shown(is), is_text: grade == Grade::Steering };
    found.edit(place, grade, format!("the server's version is {} instead of {}", edit.came, edit.gone), &edit);
}

/// The arguments of a prompt, which are a list but told apart by their names.
fn arguments(place: &str, (was, is): Versions<'_>, found: &mut Found) {
    let named = |value: Option<&Value>| -> Option<Map<String, Value>> {
        let items = value.map_or(Some(&[][..]), |value| value.as_array().map(Vec::as_slice))?;
        let map: Map<String, Value> =
            items.iter().filter_map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone()))).collect();
        (map.len() == items.len()).then_some(map)
    };
    let (Some(old), Some(new)) = (named(was), named(is)) else { return other(place, (was, is), found) };
    if old == new {
        return found.note(place, Grade::Cosmetic, "the arguments stand in another order");
    }
    for key in keys(&old, &new) {
        let (was, is, place) = (old.get(key), new.get(key), below(place, key));
        if was.is_none() {
            // A new argument is a new text that the client asks for.
            let came = is.map(text::sentences).unwrap_or_default();
            found.edit(&place, Grade::Steering, format!("a new argument {key}"), &Edit { gone: String::new(), came, is_text: true });
        } else {
            other(&place, (was, is), found);
        }
    }
}

/// Whatever else a definition has: capabilities, `_meta`, icons, fields that nobody knows. What is new
/// widens, and what can be read as a sentence steers.
pub(super) fn other(place: &str, (was, is): Versions<'_>, found: &mut Found) {
    match (was, is) {
        (was, is) if was == is => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in keys(old, new) {
                other(&below(place, key), (old.get(key), new.get(key)), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (was, is)) in old.iter().zip(new).enumerate() {
                other(&below(place, &index.to_string()), (Some(was), Some(is)), found);
            }
        }
        (was, Some(new)) => {
            let last = place.rsplit('/').next().unwrap_or_default();
            let steers = text::has_sentence(new) || !text::is_token(last);
            let grade = if steers { Grade::Steering } else { Grade::Widening };
            let words = if was.is_none() { "something came" } else { "the value is another" };
            let gone = was.map(Value::to_string).unwrap_or_default();
            let came = if steers { text::sentences(new) } else { new.to_string() };
            found.edit(place, grade, words, &Edit { gone, came, is_text: steers });
        }
        (Some(old), None) => {
            let edit = Edit { gone: old.to_string(), ..Edit::default() };
            found.edit(place, Grade::Narrowing, "something is gone", &edit);
        }
        (None, None) => {}
    }
}
