//! What no argument may exceed, whatever the tool's schema says.

use serde_json::Value;

use crate::place::shown;

/// The bounds.
#[derive(Debug)]
pub struct Bounds {
    /// Characters in one string or name of a field.
    pub string_chars: usize,
    /// Items in one array.
    pub items: usize,
    /// Fields in one object.
    pub members: usize,
    /// Levels of nesting.
    pub depth: usize,
}

impl Bounds {
    /// Whether a bound is nothing, which would not be a bound but a ban.
    pub fn forbid_everything(&self) -> bool {
        [self.string_chars, self.items, self.members, self.depth].contains(&0)
    }

    /// The place and the bound that a value exceeds there.
    pub fn exceeded(&self, value: &Value) -> Option<String> {
        self.walk(value, 1).map(|place| shown(&place))
    }

    fn walk(&self, value: &Value, depth: usize) -> Option<String> {
        let over = |what: &str| Some(format!(": {what}"));
        match value {
            Value::Array(_) | Value::Object(_) if depth > self.depth => over("nested too deeply"),
            Value::String(text) if self.too_long(text) => over("string too long"),
            Value::Array(items) if items.len() > self.items => over("too many items"),
            Value::Object(members) if members.len() > self.members => over("too many fields"),
            Value::Array(items) => {
                let inside = |(index, item)| self.walk(item, depth.saturating_add(1)).map(|place| format!("/{index}{place}"));
                items.iter().enumerate().find_map(inside)
            }
            Value::Object(members) => members.iter().find_map(|(name, member)| {
                if self.too_long(name) {
                    return over("name of a field too long");
                }
                self.walk(member, depth.saturating_add(1)).map(|place| format!("/{name}{place}"))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    fn too_long(&self, text: &str) -> bool {
        // A string never has more characters than bytes, which are known without counting.
        text.len() > self.string_chars && text.chars().nth(self.string_chars).is_some()
    }
}
