//! A tool's annotations: hints on which clients act, for example by not asking.

use serde_json::{Map, Value};

use super::part::{Versions, keys, other, words};
use super::{Found, Grade, below};

/// A hint of the protocol (2026-07-28, `ToolAnnotations`). Where it is absent, the harm is meant.
struct Hint {
    name: &'static str,
    /// The value that promises less harm.
    mild: bool,
    /// Whether it means nothing beside `readOnlyHint`.
    about_writes: bool,
}

const HINTS: &[Hint] = &[
    Hint { name: "readOnlyHint", mild: true, about_writes: false },
    Hint { name: "destructiveHint", mild: false, about_writes: true },
    Hint { name: "idempotentHint", mild: true, about_writes: true },
    Hint { name: "openWorldHint", mild: false, about_writes: false },
];

/// What both versions of the tool say that it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deeds {
    Reads,
    Unknown,
}

/// Compares the annotations of two versions of a tool.
pub(super) fn compare(place: &str, name: &str, (was, is): Versions<'_>, found: &mut Found) {
    let empty = Map::new();
    let object = |value: Option<&Value>| value.is_none_or(Value::is_object);
    if !object(was) || !object(is) {
        return other(place, (was, is), found);
    }
    let (old, new) = (was.and_then(Value::as_object).unwrap_or(&empty), is.and_then(Value::as_object).unwrap_or(&empty));
    let reads = |hints: &Map<String, Value>| hints.get("readOnlyHint") == Some(&Value::Bool(true));
    let deeds = if reads(old) && reads(new) { Deeds::Reads } else { Deeds::Unknown };
    if old == new {
        return found.note(place, Grade::Cosmetic, "annotations without anything in them");
    }
    for key in keys(old, new) {
        let (was, is, place) = (old.get(key), new.get(key), below(place, key));
        let hint = HINTS.iter().find(|hint| hint.name == key);
        match hint.zip(flag(was)).zip(flag(is)) {
            _ if was == is => {}
            Some(((hint, before), after)) => judge(&place, hint, (before, after), deeds, found),
            None if key == "title" => words(&place, (key, name), (was, is), found),
            None if key == "lastModified" => found.note(&place, Grade::Cosmetic, "the time of the last change is another"),
            None => other(&place, (was, is), found),
        }
    }
}

/// A Boolean or its absence; none for anything else.
fn flag(value: Option<&Value>) -> Option<Option<bool>> {
    value.map_or(Some(None), |value| value.as_bool().map(Some))
}

fn judge(place: &str, hint: &Hint, (before, after): (Option<bool>, Option<bool>), deeds: Deeds, found: &mut Found) {
    let harm = Some(!hint.mild);
    // A hint that is gone after it warned sounds harmless to a client that only looks for the warning.
    let hushed = before == harm && after.is_none();
    let (grade, words) = if hint.about_writes && deeds == Deeds::Reads && before != harm && after != harm {
        (Grade::Cosmetic, "a hint that means nothing for what only reads")
    } else if after == Some(hint.mild) || hushed {
        (Grade::Steering, "a hint promises less harm than before")
    } else {
        (Grade::Widening, "a hint admits more harm than before")
    };
    let state = |value: Option<bool>| value.map_or("absent", |value| if value { "true" } else { "false" });
    found.note(place, grade, format!("{words}: {} was {}, is {}", hint.name, state(before), state(after)));
}
