//! Text that a reviewer can see: JSON over several lines or in one, and TOML strings.

use std::fmt::Write as _;

use crate::wire::json::{Json, Kind as JsonKind, View};

/// A JSON text over several lines, in which every character that does not show, and the apostrophe
/// that would end the surrounding string, is an escape.
#[must_use]
pub fn pretty(json: &Json) -> String {
    let mut out = String::new();
    write(json.view(), Some(0), &mut out);
    out.push('\n');
    out
}

/// The same in one line, for what is kept and seldom read.
pub(super) fn one_line(json: &Json) -> String {
    let mut out = String::new();
    write(json.view(), None, &mut out);
    out
}

/// Writes a value, at this depth of indentation or, without one, in one line.
fn write(view: View<'_>, depth: Option<usize>, out: &mut String) {
    let inner = depth.map(|depth| depth.saturating_add(1));
    match view.kind() {
        JsonKind::Object => {
            out.push('{');
            let mut before = "";
            for (key, value) in view.members() {
                separate(before, inner, out);
                write_visible(&key, out);
                out.push_str(if inner.is_some() { ": " } else { ":" });
                write(value, inner, out);
                before = ",";
            }
            close('}', depth.filter(|_| !before.is_empty()), out);
        }
        JsonKind::Array => {
            out.push('[');
            let mut before = "";
            for value in view.items() {
                separate(before, inner, out);
                write(value, inner, out);
                before = ",";
            }
            close(']', depth.filter(|_| !before.is_empty()), out);
        }
        JsonKind::String => write_visible(&view.as_str().unwrap_or_default(), out),
        JsonKind::Number | JsonKind::Bool | JsonKind::Null => out.push_str(view.text()),
    }
}

/// What stands before a member or item.
fn separate(before: &str, depth: Option<usize>, out: &mut String) {
    out.push_str(before);
    indent(depth, out);
}

fn indent(depth: Option<usize>, out: &mut String) {
    if let Some(depth) = depth {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
}

fn close(bracket: char, depth: Option<usize>, out: &mut String) {
    indent(depth, out);
    out.push(bracket);
}

/// A TOML basic string in which everything that does not show is an escape.
pub(super) fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            symbol if is_visible(symbol) => out.push(symbol),
            // Infallible on a String.
            symbol => drop(write!(out, "\\U{:08x}", u32::from(symbol))),
        }
    }
    out.push('"');
    out
}

/// Letters that Unicode counts as such and nobody sees.
const fn is_filler(symbol: char) -> bool {
    matches!(symbol, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

fn is_visible(symbol: char) -> bool {
    if symbol.is_ascii() { !symbol.is_ascii_control() } else { symbol.is_alphanumeric() && !is_filler(symbol) }
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
