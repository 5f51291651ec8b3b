//! Reads a schema into places, following its references.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jsonschema::{Draft, Registry, Uri, uri};
use serde_json::{Map, Value};

use crate::declared::Place;
use crate::rules::pattern;

/// How many subschemas one schema may have. The largest of a thousand real ones has 132.
const MAX_PLACES: usize = 5_000;

/// Where a schema without `$id` is at home; nothing is ever fetched from there.
const HOME: &str = "json-schema:///";

/// The places of a schema, the root first. What the schema says wrongly is ignored here; that it is
/// wrong is the validator's part.
pub(crate) fn places(schema: &Value) -> Result<Vec<Place>, String> {
    let draft = Draft::default().detect(schema);
    if draft == Draft::Unknown {
        return Err("$schema: not a published draft".to_owned());
    }
    let failed = |error: jsonschema::ReferencingError| error.to_string();
    let registry = Registry::new().draft(draft).retriever(Nowhere).add(HOME, schema).map_err(failed)?.prepare().map_err(failed)?;
    let home = Arc::new(uri::from_str(HOME).map_err(failed)?);
    let mut survey = Survey { registry: &registry, draft, known: HashMap::new(), queue: VecDeque::new(), anchors: Vec::new() };
    survey.find_anchors(schema, &home);
    survey.visit(schema, &home);
    let mut places = Vec::new();
    // First in, first out: a place gets the index that `visit` promised.
    while let Some((schema, base)) = survey.queue.pop_front() {
        if places.len() >= MAX_PLACES {
            return Err(format!("more than {MAX_PLACES} subschemas"));
        }
        places.push(survey.place(schema, &base)?);
    }
    Ok(places)
}

type Base = Arc<Uri<String>>;

/// The survey under way.
struct Survey<'s> {
    registry: &'s Registry<'s>,
    draft: Draft,
    /// The index of each subschema that was met; the same one is the same memory.
    known: HashMap<*const Value, usize>,
    queue: VecDeque<(&'s Value, Base)>,
    /// What dynamic references can lead to, by name.
    anchors: Vec<(&'s str, &'s Value, Base)>,
}

impl<'s> Survey<'s> {
    /// The index of a subschema; it is surveyed later, once.
    fn visit(&mut self, schema: &'s Value, base: &Base) -> usize {
        let next = self.known.len();
        let index = *self.known.entry(std::ptr::from_ref(schema)).or_insert(next);
        if index == next {
            self.queue.push_back((schema, base.clone()));
        }
        index
    }

    fn visit_all(&mut self, schemas: &'s Value, base: &Base) -> Vec<usize> {
        match schemas {
            Value::Array(schemas) => schemas.iter().map(|schema| self.visit(schema, base)).collect(),
            Value::Object(schemas) => schemas.values().map(|schema| self.visit(schema, base)).collect(),
            _ => Vec::new(),
        }
    }

    fn place(&mut self, schema: &'s Value, base: &Base) -> Result<Place, String> {
        let mut place = Place { objects: takes_objects(schema), ..Place::default() };
        let Some(keywords) = schema.as_object() else { return Ok(place) };
        let resolver = self.registry.resolver((**base).clone());
        let base = resolver.in_subresource(self.draft.create_resource_ref(schema)).map_err(|error| error.to_string())?.base_uri();
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(named)) => {
                    place.named = named.iter().map(|(name, schema)| (name.clone(), self.visit(schema, &base))).collect();
                }
                ("patternProperties", Value::Object(patterns)) => {
                    for (source, schema) in patterns {
                        place.patterns.push((pattern(source)?, self.visit(schema, &base)));
                    }
                }
                // `false` allows nothing, and saying so is the validator's part.
                ("additionalProperties" | "unevaluatedProperties", Value::Bool(false)) => {}
                ("additionalProperties" | "unevaluatedProperties", _) if self.heeds(keyword, keywords) => {
                    place.others.push(self.visit(value, &base))
                }
                ("items" | "prefixItems", Value::Array(_)) => place.leading = self.visit_all(value, &base),
                ("items" | "additionalItems" | "unevaluatedItems", _) => place.items.push(self.visit(value, &base)),
                ("allOf", _) => place.all.extend(self.visit_all(value, &base)),
                ("anyOf" | "oneOf", _) => place.any.push(self.visit_all(value, &base)),
                ("dependentSchemas" | "dependencies", _) => place.perhaps.extend(self.visit_all(value, &base)),
                ("if" | "then" | "else", _) => place.perhaps.push(self.visit(value, &base)),
                ("not", _) => place.unheard.push(self.visit(value, &base)),
                ("contains" | "propertyNames", _) => place.parts.push(self.visit(value, &base)),
                ("$ref", Value::String(reference)) => place.all.extend(self.follow(reference, &base)),
                ("$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                    place.all.extend(self.follow(reference, &base));
                    place.perhaps.extend(self.follow_dynamically(reference));
                }
                _ => {}
            }
        }
        Ok(place)
    }

    /// Whether a keyword that allows undeclared fields means something in this draft and beside these
    /// keywords. One that the validator ignores must not open the object.
    fn heeds(&self, keyword: &str, keywords: &Map<String, Value>) -> bool {
        let modern = matches!(self.draft, Draft::Draft201909 | Draft::Draft202012);
        modern || (keyword == "additionalProperties" && !keywords.contains_key("$ref"))
    }

    /// What a reference leads to. One that leads nowhere declares nothing; if it matters, the
    /// validator did not compile.
    fn follow(&mut self, reference: &str, base: &Base) -> Option<usize> {
        let found = self.registry.resolver((**base).clone()).lookup(reference).ok()?;
        let base = found.resolver().base_uri();
        Some(self.visit(found.contents(), &base))
    }

    /// What a dynamic reference may lead to, depending on the way that led to it.
    fn follow_dynamically(&mut self, reference: &str) -> Vec<usize> {
        let name = reference.rsplit('#').next().unwrap_or_default();
        let targets: Vec<_> =
            self.anchors.iter().filter(|(anchor, ..)| *anchor == name).map(|(_, schema, base)| (*schema, base.clone())).collect();
        targets.into_iter().map(|(schema, base)| self.visit(schema, &base)).collect()
    }

    /// Finds what dynamic references can lead to, wherever it stands.
    fn find_anchors(&mut self, value: &'s Value, base: &Base) {
        let resolver = self.registry.resolver((**base).clone());
        let base =
            resolver.in_subresource(self.draft.create_resource_ref(value)).map_or_else(|_| base.clone(), |resolver| resolver.base_uri());
        match value {
            Value::Object(members) => {
                let recursive = (members.get("$recursiveAnchor") == Some(&Value::Bool(true))).then_some("");
                let dynamic = members.get("$dynamicAnchor").and_then(Value::as_str);
                self.anchors.extend(dynamic.into_iter().chain(recursive).map(|name| (name, value, base.clone())));
                members.values().for_each(|member| self.find_anchors(member, &base));
            }
            Value::Array(items) => items.iter().for_each(|item| self.find_anchors(item, &base)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Whether a value of this schema can be an object, as far as the schema says it itself.
fn takes_objects(schema: &Value) -> bool {
    let Some(keywords) = schema.as_object() else { return *schema != Value::Bool(false) };
    let listed = |values: &[Value]| values.iter().any(Value::is_object);
    match (keywords.get("type"), keywords.get("const"), keywords.get("enum")) {
        (Some(Value::String(kind)), ..) => kind == "object",
        (Some(Value::Array(kinds)), ..) => kinds.iter().any(|kind| kind == "object"),
        (None, Some(value), _) => value.is_object(),
        (None, None, Some(Value::Array(values))) => listed(values),
        _ => true,
    }
}

/// Fetches nothing.
struct Nowhere;

impl jsonschema::Retrieve for Nowhere {
    fn retrieve(&self, _uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("nothing is fetched".into())
    }
}
