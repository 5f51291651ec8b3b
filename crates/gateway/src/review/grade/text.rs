//! Text: what a model reads, and whether it says anything new.

use serde_json::Value;

use super::{Edit, Found, Grade};

/// Notes how a text changed; absent is the same as empty. `name` is what the text belongs to.
pub(super) fn compare(place: &str, (what, name): (&str, &str), (old, new): (Option<&str>, Option<&str>), found: &mut Found) {
    if old == new {
        return;
    }
    let (was, is) = (old.unwrap_or_default(), new.unwrap_or_default());
    let says = |text: &str| !text.is_empty() && !repeats(text, name);
    let (grade, words) = match (says(was), says(is)) {
        (false, false) => (Grade::Cosmetic, format!("the {what} says no more than the name")),
        _ if plain(was) == plain(is) => (Grade::Cosmetic, format!("the {what} differs in spaces or its last full stop only")),
        (false, true) => (Grade::Steering, format!("a {what} came")),
        (true, false) => (Grade::Steering, format!("the {what} is gone")),
        (true, true) => (Grade::Steering, format!("the {what} says something else")),
    };
    found.edit(place, grade, words, &cut(was, is));
}

/// The text that differs, without what is the same before and after it, in whole words.
pub(super) fn cut(old: &str, new: &str) -> Edit {
    let (was, is): (Vec<&str>, Vec<&str>) = (old.split_inclusive(' ').collect(), new.split_inclusive(' ').collect());
    let head = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
    let most = was.len().min(is.len()).saturating_sub(head);
    let tail = was.iter().rev().zip(is.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let middle = |words: &[&str]| words.get(head..words.len().saturating_sub(tail)).unwrap_or_default().concat();
    Edit { gone: middle(&was), came: middle(&is), is_text: true }
}

/// A text without differences that say nothing: runs of ordinary white space, and the last full stop.
/// Other invisible characters stay, because they may hide something.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
    let mut plain = words.join(" ");
    if plain.ends_with('.') && !plain.ends_with("..") {
        plain.pop();
    }
    plain
}

/// Words that generators append to a name to make a title of it.
const SUFFIXES: &[&str] = &["", "arguments", "args", "input", "output", "params", "parameters", "request", "response", "result", "schema"];

/// Whether a text is only the name again, as generated titles are.
pub(super) fn repeats(text: &str, name: &str) -> bool {
    let bare = |text: &str| -> Option<String> {
        let mut out = String::new();
        for symbol in text.chars() {
            match symbol {
                ' ' | '_' | '-' | '.' | '/' => {}
                symbol if symbol.is_ascii_alphanumeric() => out.push(symbol.to_ascii_lowercase()),
                _ => return None,
            }
        }
        Some(out)
    };
    let (Some(text), Some(name)) = (bare(text), bare(name)) else { return false };
    !name.is_empty() && text.strip_prefix(&name).is_some_and(|rest| SUFFIXES.contains(&rest))
}

/// Whether a text is a bare word of a format (an identifier, a number, a media type) that cannot be
/// read as a sentence, and that nothing can be sent to.
pub(super) fn is_token(text: &str) -> bool {
    let symbols = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+/#$:@".contains(&byte);
    text.len() <= 64 && text.split(['_', '-', '.']).count() <= 6 && !text.contains("//") && text.bytes().all(symbols)
}

/// Whether a pattern, which is all signs anyway, has words in it.
pub(super) fn has_words(pattern: &str) -> bool {
    let words = pattern.split(|symbol: char| !symbol.is_ascii_alphabetic()).filter(|word| word.len() >= 2).count();
    !pattern.is_ascii() || (pattern.contains([' ', '_']) && words >= 4)
}

/// Whether somewhere in a value, names of members included, is text that is more than a bare word.
pub(super) fn has_sentence(value: &Value) -> bool {
    !sentences(value).is_empty()
}

/// All texts in a value that are more than bare words, one a line.
pub(super) fn sentences(value: &Value) -> String {
    fn walk(value: &Value, out: &mut Vec<String>) {
        let mut take = |text: &str| {
            if !is_token(text) {
                out.push(text.to_owned());
            }
        };
        match value {
            Value::String(text) => take(text),
            Value::Array(items) => items.iter().for_each(|item| walk(item, out)),
            Value::Object(members) => {
                members.keys().for_each(|name| take(name));
                members.values().for_each(|value| walk(value, out));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut out = Vec::new();
    walk(value, &mut out);
    out.join("\n")
}
