//! JSON Schemas: which arguments pass now that did not before, and what a model reads in them.

mod keyword;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::part::{Versions, keys, other, words};
use super::{Edit, Found, Grade, below, text};
use keyword::Keyword;

/// Compares two versions of a schema; absent allows everything, as `true` does. `name` is what the
/// schema describes: a tool, or a field.
pub(super) fn compare(place: &str, name: &str, (was, is): Versions<'_>, found: &mut Found) {
    match (was, is) {
        (None, None) => {}
        (was, is) if was == is => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in keys(old, new) {
                let pair = (old.get(key), new.get(key));
                if pair.0 != pair.1 {
                    member((&below(place, key), key), (name, old, new), pair, found);
                }
            }
        }
        (None, Some(new)) => came(place, ("a schema", name), new, found),
        (Some(old), None) => found.swap(place, Grade::Widening, "a schema is gone", (old, &Value::Null)),
        // `false` against anything, or a schema against `true`.
        (Some(old), Some(new)) => {
            let grade = if text::has_sentence(new) {
                Grade::Steering
            } else if new == &Value::Bool(false) {
                Grade::Narrowing
            } else {
                Grade::Widening
            };
            found.swap(place, grade, "another schema", (old, new));
        }
    }
}

type Objects<'v> = (&'v str, &'v Map<String, Value>, &'v Map<String, Value>);

fn member((place, key): (&str, &str), (name, old, new): Objects<'_>, pair: Versions<'_>, found: &mut Found) {
    match Keyword::of(key) {
        Keyword::Text => words(place, (key, name), pair, found),
        Keyword::Dialect => dialect(place, pair, found),
        Keyword::Default => default(place, pair, found),
        Keyword::Schema => compare(place, name, pair, found),
        Keyword::Schemas => schemas(place, pair, found),
        Keyword::Opening => opening(place, pair, found),
        Keyword::Alternatives(more) => alternatives(place, (name, more), pair, found),
        Keyword::Bound(bound) => keyword::bound(place, bound, pair, found),
        Keyword::Names => names(place, (Grade::Narrowing, Grade::Widening), pair, found),
        Keyword::Values => names(place, (Grade::Widening, Grade::Narrowing), pair, found),
        Keyword::Types => keyword::types(place, pair, found),
        Keyword::Properties => properties(place, (old, new), pair, found),
        Keyword::Pattern => pattern(place, pair, found),
        Keyword::Value => value(place, pair, found),
        Keyword::Unknown => other(place, pair, found),
    }
}

/// Something came that says what may be, or what to think of it.
fn came(place: &str, (what, name): (&str, &str), new: &Value, found: &mut Found) {
    let grade = if speaks(new, name) { Grade::Steering } else { Grade::Widening };
    let words = format!("{what} came{}", if grade == Grade::Steering { ", with text in it" } else { "" });
    let came = if grade == Grade::Steering { text::sentences(new) } else { new.to_string() };
    found.edit(place, grade, words, &Edit { gone: String::new(), came, is_text: grade == Grade::Steering });
}

/// `$schema`: the official ones are all about the same thing; anything else is a text.
fn dialect(place: &str, (was, is): Versions<'_>, found: &mut Found) {
    let official = |value: Option<&Value>| {
        value.is_none_or(|value| {
            let rest = value.as_str().and_then(|uri| uri.split_once("://json-schema.org/")).map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.len() < 40 && text::is_token(rest))
        })
    };
    let grade = if official(was) && official(is) { Grade::Cosmetic } else { Grade::Steering };
    found.note(place, grade, "another dialect of JSON Schema");
}

/// What is sent where a caller says nothing: it decides for the model.
fn default(place: &str, (was, is): Versions<'_>, found: &mut Found) {
    let empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    };
    let (grade, words) = match (empty(was), empty(is)) {
        (true, true) => (Grade::Cosmetic, "an empty default"),
        (true, false) => (Grade::Steering, "a default came"),
        (false, true) => (Grade::Narrowing, "the default is gone"),
        (false, false) => (Grade::Steering, "the default is another"),
    };
    found.swap(place, grade, words, (was.unwrap_or(&Value::Null), is.unwrap_or(&Value::Null)));
}

/// Schemas by name that are no fields of their own: `$defs`, patterns.
fn schemas(place: &str, pair: Versions<'_>, found: &mut Found) {
    let (Some(old), Some(new)) = (object(pair.0), object(pair.1)) else { return other(place, pair, found) };
    for key in keys(&old, &new) {
        let place = below(place, key);
        match (old.get(key), new.get(key)) {
            (None, Some(new)) => {
                // A pattern of names, or a name, is text as well.
                let named = if text::has_words(key) { Value::Array(vec![key.into(), new.clone()]) } else { new.clone() };
                came(&place, ("a schema", key), &named, found);
            }
            (Some(old), None) => found.swap(&place, Grade::Narrowing, "a schema is gone", (old, &Value::Null)),
            pair => compare(&place, key, pair, found),
        }
    }
}

/// The object that a value is, an empty one for absent, none for anything else.
fn object(value: Option<&Value>) -> Option<Map<String, Value>> {
    value.map_or_else(|| Some(Map::new()), |value| value.as_object().cloned())
}

/// `additionalProperties` and its kin: a schema, with absent as open as `true`.
fn opening(place: &str, (was, is): Versions<'_>, found: &mut Found) {
    let closed = |value: Option<&Value>| value == Some(&Value::Bool(false));
    let open =
        |value: Option<&Value>| value.is_none_or(|value| value == &Value::Bool(true) || value.as_object().is_some_and(Map::is_empty));
    match (was, is) {
        (was, is) if open(was) && open(is) => found.note(place, Grade::Cosmetic, "open as before, in other words"),
        (was, is) if closed(is) => found.swap(
            place,
            Grade::Narrowing,
            "other fields are not allowed any more",
            (was.unwrap_or(&Value::Null), is.unwrap_or(&Value::Null)),
        ),
        (was, is) if closed(was) && open(is) => found.note(place, Grade::Widening, "other fields are allowed now"),
        (was, Some(is)) if closed(was) => came(place, ("a schema for other fields", ""), is, found),
        (was, Some(is)) if open(was) => {
            let grade = if text::has_sentence(is) { Grade::Steering } else { Grade::Narrowing };
            found.swap(place, grade, "a schema for other fields came", (was.unwrap_or(&Value::Null), is));
        }
        pair => compare(place, "", pair, found),
    }
}

/// `anyOf`, `oneOf`, `allOf`, `prefixItems`: schemas in a list. `more` is the grade of one more.
fn alternatives(place: &str, (name, more): (&str, Grade), pair: Versions<'_>, found: &mut Found) {
    let items = |value: Option<&'_ Value>| value.map_or(Some(Vec::new()), |value| value.as_array().cloned());
    let (Some(old), Some(new)) = (items(pair.0), items(pair.1)) else { return other(place, pair, found) };
    let count = |items: &[Value]| {
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        items.iter().for_each(|item| *counted.entry(item.to_string()).or_default() += 1);
        counted
    };
    let (was, is) = (count(&old), count(&new));
    if was == is && pair.0.is_some() && pair.1.is_some() {
        let grade = if place.ends_with("/prefixItems") { Grade::Widening } else { Grade::Cosmetic };
        return found.note(place, grade, "the same alternatives in another order");
    }
    if old.len() == new.len() {
        for (index, (was, is)) in old.iter().zip(&new).enumerate() {
            compare(&below(place, &index.to_string()), name, (Some(was), Some(is)), found);
        }
        return;
    }
    let less = if more == Grade::Widening { Grade::Narrowing } else { Grade::Widening };
    for (index, item) in new.iter().enumerate().filter(|(_, item)| !was.contains_key(&item.to_string())) {
        let grade = if text::has_sentence(item) { Grade::Steering } else { more };
        found.swap(&below(place, &index.to_string()), grade, "one more alternative", (&Value::Null, item));
    }
    for (index, item) in old.iter().enumerate().filter(|(_, item)| !is.contains_key(&item.to_string())) {
        found.swap(&below(place, &index.to_string()), less, "one alternative less", (item, &Value::Null));
    }
    // Only how often each stands there changed.
    if was.keys().eq(is.keys()) {
        found.note(place, Grade::Widening, "the same alternatives, not as often");
    }
}

/// Lists whose order means nothing: required fields, allowed values.
fn names(place: &str, (more, less): (Grade, Grade), pair: Versions<'_>, found: &mut Found) {
    let items = |value: Option<&Value>| {
        value.map_or(Some(BTreeSet::new()), |value| Some(value.as_array()?.iter().map(Value::to_string).collect::<BTreeSet<_>>()))
    };
    let (Some(old), Some(new)) = (items(pair.0), items(pair.1)) else { return other(place, pair, found) };
    let is_values = place.ends_with("/enum");
    let steers = is_values
        && pair
            .1
            .into_iter()
            .flat_map(|list| list.as_array())
            .flatten()
            .any(|item| text::has_sentence(item) && !old.contains(&item.to_string()));
    let (came, gone): (Vec<_>, Vec<_>) = (new.difference(&old).cloned().collect(), old.difference(&new).cloned().collect());
    let what = if is_values { "allowed values" } else { "required fields" };
    let grade = match (pair, came.is_empty(), gone.is_empty()) {
        _ if steers => Grade::Steering,
        // No list of values allows all of them; an empty list of required fields is like none.
        ((None, Some(_)), ..) if is_values => Grade::Narrowing,
        ((Some(_), None), ..) if is_values => Grade::Widening,
        (_, true, true) => Grade::Cosmetic,
        (_, false, true) => more,
        (_, true, false) => less,
        (_, false, false) => more.max(less),
    };
    let list = |names: &[String]| names.join(", ");
    let words = match (came.is_empty(), gone.is_empty()) {
        (true, true) => format!("the {what} stand in another order, or nothing says that there are none"),
        (false, true) => format!("{what} came: {}", list(&came)),
        (true, false) => format!("{what} are gone: {}", list(&gone)),
        (false, false) => format!("{what} came: {}; are gone: {}", list(&came), list(&gone)),
    };
    found.edit(place, grade, words, &Edit { gone: list(&gone), came: list(&came), is_text: steers });
}

/// `pattern` and `format`: a rule, and a text.
fn pattern(place: &str, pair: Versions<'_>, found: &mut Found) {
    let worded = pair.1.is_some_and(|value| value.as_str().is_none_or(text::has_words));
    let (grade, words) = match pair {
        (_, Some(_)) if worded => (Grade::Steering, "a rule for the text came that has words in it"),
        (None, _) => (Grade::Narrowing, "a rule for the text came"),
        (_, None) => (Grade::Widening, "the rule for the text is gone"),
        _ => (Grade::Widening, "the rule for the text is another"),
    };
    found.swap(place, grade, words, (pair.0.unwrap_or(&Value::Null), pair.1.unwrap_or(&Value::Null)));
}

/// `const`, `$ref` and the like: one value.
fn value(place: &str, pair: Versions<'_>, found: &mut Found) {
    let (grade, words) = match pair {
        (_, Some(new)) if text::has_sentence(new) => (Grade::Steering, "a value came that can be read as a sentence"),
        (None, _) => (Grade::Narrowing, "a value came"),
        (_, None) => (Grade::Widening, "the value is gone"),
        _ => (Grade::Widening, "the value is another"),
    };
    found.swap(place, grade, words, (pair.0.unwrap_or(&Value::Null), pair.1.unwrap_or(&Value::Null)));
}

/// The fields of an object.
fn properties(place: &str, (whole_old, whole_new): (&Map<String, Value>, &Map<String, Value>), pair: Versions<'_>, found: &mut Found) {
    let (Some(old), Some(new)) = (object(pair.0), object(pair.1)) else { return other(place, pair, found) };
    if old == new {
        return found.note(place, Grade::Cosmetic, "no fields, in other words");
    }
    let twin = |field: &Value| new.iter().find(|(name, other)| *other == field && !old.contains_key(*name)).map(|(name, _)| name.as_str());
    for key in keys(&old, &new) {
        let place = below(place, key);
        match (old.get(key), new.get(key)) {
            (None, Some(field)) => {
                let kind = if requires(whole_new, key) { "a new required field" } else { "a new field" };
                new_field(&place, (key, kind), field, found);
            }
            (Some(field), None) => {
                let renamed = twin(field).map(|name| format!("; {name} is the same under another name")).unwrap_or_default();
                let before = if requires(whole_old, key) { "required " } else { "" };
                found.swap(&place, Grade::Narrowing, format!("the {before}field {key} is gone{renamed}"), (field, &Value::Null));
            }
            pair => compare(&place, key, pair, found),
        }
    }
}

fn requires(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|required| required == name))
}

/// A field that was not there: text in it is read, and a field for any text is a way out for one.
fn new_field(place: &str, (name, kind): (&str, &str), field: &Value, found: &mut Found) {
    let steers = keyword::takes_text(field) || speaks(field, name) || !text::is_token(name);
    let grade = if steers { Grade::Steering } else { Grade::Widening };
    let why = if keyword::takes_text(field) { ", for any text" } else { "" };
    let came = if steers { text::sentences(field) } else { field.to_string() };
    found.edit(place, grade, format!("{kind} {name}{why}"), &Edit { gone: String::new(), came, is_text: steers });
}

/// Whether a schema says more than its own name in a text.
fn speaks(field: &Value, name: &str) -> bool {
    let Value::Object(members) = field else { return text::has_sentence(field) };
    members.iter().any(|(key, value)| match (key.as_str(), value) {
        ("title" | "description", Value::String(words)) => !text::repeats(words, name),
        ("properties" | "$defs" | "definitions", Value::Object(fields)) => {
            fields.iter().any(|(name, field)| !text::is_token(name) || speaks(field, name))
        }
        ("items" | "additionalProperties", value @ Value::Object(_)) => speaks(value, name),
        (key, value) => !text::is_token(key) || text::has_sentence(value),
    })
}
