//! What a keyword of JSON Schema is about, and how those with an order are compared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::part::{Versions, other};
use super::super::{Found, Grade};

/// How a keyword is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    /// Text for whoever reads the schema.
    Text,
    /// `$schema`.
    Dialect,
    /// `default`.
    Default,
    /// One schema.
    Schema,
    /// Schemas by name.
    Schemas,
    /// What is allowed beside what is named.
    Opening,
    /// A list of schemas, and the grade of one more.
    Alternatives(Grade),
    /// A number that bounds from this side.
    Bound(Side),
    /// Required names.
    Names,
    /// Allowed values.
    Values,
    /// Allowed types.
    Types,
    /// Fields.
    Properties,
    /// A rule for text that is text itself.
    Pattern,
    /// One value.
    Value,
    /// Not a keyword that is known here.
    Unknown,
}

/// From which side a number bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Least,
    Most,
}

impl Keyword {
    pub(super) fn of(key: &str) -> Self {
        match key {
            "title" | "description" | "$comment" => Self::Text,
            "$schema" => Self::Dialect,
            "default" => Self::Default,
            // Inside `not` and `if` more is less; whatever differs there is at least looked at.
            "items" | "contains" | "not" | "if" | "then" | "else" | "propertyNames" | "contentSchema" => Self::Schema,
            "$defs" | "definitions" | "patternProperties" | "dependentSchemas" => Self::Schemas,
            "additionalProperties" | "unevaluatedProperties" | "additionalItems" | "unevaluatedItems" => Self::Opening,
            "anyOf" | "oneOf" => Self::Alternatives(Grade::Widening),
            "allOf" | "prefixItems" => Self::Alternatives(Grade::Narrowing),
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "minContains" => Self::Bound(Side::Least),
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" | "maxContains" => Self::Bound(Side::Most),
            "required" => Self::Names,
            "enum" => Self::Values,
            "type" => Self::Types,
            "properties" => Self::Properties,
            "pattern" | "format" => Self::Pattern,
            "const" | "$ref" | "$dynamicRef" | "multipleOf" | "uniqueItems" | "dependentRequired" | "dependencies" => Self::Value,
            _ => Self::Unknown,
        }
    }
}

/// The largest integer that all JSON parsers agree on: generators write it as a bound that bounds nothing.
const SAFE: f64 = 9_007_199_254_740_991.0;

/// Notes how a bound moved.
pub(super) fn bound(place: &str, side: Side, pair: Versions<'_>, found: &mut Found) {
    let number = |value: Option<&Value>| {
        let free = if side == Side::Least { f64::NEG_INFINITY } else { f64::INFINITY };
        let number = value.map_or(Some(free), Value::as_f64)?;
        Some(if number.abs() >= SAFE { free } else { number })
    };
    let (Some(was), Some(is)) = (number(pair.0), number(pair.1)) else { return other(place, pair, found) };
    let wider = if side == Side::Least { is < was } else { is > was };
    let (grade, words) = if was == is && (was.is_infinite() || pair.0.is_none() || pair.1.is_none()) {
        (Grade::Cosmetic, "a bound that bounds nothing")
    } else if wider {
        (Grade::Widening, "the bound is wider, or gone")
    } else if was == is {
        // Equal as far as a double can tell.
        (Grade::Widening, "the bound is another")
    } else {
        (Grade::Narrowing, "the bound is narrower")
    };
    found.swap(place, grade, words, (pair.0.unwrap_or(&Value::Null), pair.1.unwrap_or(&Value::Null)));
}

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// The types that a schema allows; integers are numbers.
fn allowed(value: Option<&Value>) -> Option<BTreeSet<&str>> {
    let mut types: BTreeSet<&str> = match value {
        None => TYPES.into_iter().collect(),
        Some(Value::String(one)) => [one.as_str()].into_iter().collect(),
        Some(Value::Array(many)) => many.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types.iter().all(|name| TYPES.contains(name)).then_some(types)
}

/// Notes how the allowed types changed.
pub(super) fn types(place: &str, pair: Versions<'_>, found: &mut Found) {
    let (Some(was), Some(is)) = (allowed(pair.0), allowed(pair.1)) else { return other(place, pair, found) };
    let grade = match (is.is_subset(&was), was.is_subset(&is)) {
        (true, true) => Grade::Cosmetic,
        (true, false) => Grade::Narrowing,
        (false, _) => Grade::Widening,
    };
    let list = |value: Option<&Value>| value.map_or_else(|| "anything".to_owned(), Value::to_string);
    let words = format!("takes {} instead of {}", list(pair.1), list(pair.0));
    found.swap(place, grade, words, (pair.0.unwrap_or(&Value::Null), pair.1.unwrap_or(&Value::Null)));
}

/// Whether a schema lets any text pass, itself or in a part: what a caller may put there, it may carry
/// out. In doubt it does.
pub(super) fn takes_text(schema: &Value) -> bool {
    let Value::Object(members) = schema else { return schema != &Value::Bool(false) };
    if members.contains_key("enum") || members.contains_key("const") {
        return false;
    }
    let parts = ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| members.get(*key)?.as_array()).flatten();
    let mut parts = parts.peekable();
    if !members.contains_key("type") && parts.peek().is_some() {
        return parts.any(takes_text);
    }
    let Some(types) = allowed(members.get("type")) else { return true };
    let fields = || members.get("properties").and_then(Value::as_object).is_none_or(|fields| fields.values().any(takes_text));
    let others = || members.get("additionalProperties").is_some_and(takes_text);
    types.contains("string")
        || (types.contains("array") && members.get("items").is_none_or(takes_text))
        || (types.contains("object") && (fields() || others()))
}
