//! Which names a schema declares, and where: what makes a silent schema strict.
//!
//! `unevaluatedProperties: false` would say it, but exists only from 2019-09, and `additionalProperties:
//! false` does not see through `allOf` or `$ref`. So the names are collected here, in one way for all
//! drafts. A name counts as declared when any part of the schema that can speak about the same value
//! declares it, whether or not that part holds for this value: `jsonschema` has the say on values.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jsonschema::{Draft, Registry, Uri, Validator, uri};
use serde_json::{Map, Value};

use super::rules::pattern;

/// How many subschemas one schema may have. Real ones have hundreds.
const MAX_PLACES: usize = 5_000;

/// How many subschemas may speak about one value, each counted as often as it is reached. Checking
/// one value takes that many steps, and doubles with every `anyOf` of two equal references. Real
/// schemas have dozens.
const MAX_BESIDE: usize = 500;

/// Up to which size, references written out, a schema is searched for the place of a violation. The
/// search, unlike the verdict, remembers nothing.
const SMALL: usize = 1_000;

/// Where a schema without `$id` is at home; nothing is ever fetched from there.
const HOME: &str = "json-schema:///";

/// The names of one schema. A graph, since schemas may be recursive: places refer to each other by
/// index, and the root is the first.
#[derive(Debug)]
pub(super) struct Declared(Vec<Place>);

/// What one subschema says of names.
#[derive(Debug, Default)]
struct Place {
    /// Fields by name.
    named: HashMap<String, usize>,
    /// Fields by pattern.
    patterns: Vec<(Validator, usize)>,
    /// Fields that are allowed without being named.
    others: Vec<usize>,
    /// Items by position.
    leading: Vec<usize>,
    /// Items after those.
    items: Vec<usize>,
    /// Subschemas that hold for the same value whenever this one does.
    all: Vec<usize>,
    /// Groups of subschemas of which at least one holds for the same value.
    any: Vec<Vec<usize>>,
    /// Subschemas that hold for the same value under a condition.
    perhaps: Vec<usize>,
    /// Subschemas about the same value that declare nothing.
    unheard: Vec<usize>,
    /// Subschemas about parts of the value that declare nothing.
    parts: Vec<usize>,
    /// Whether the value can be an object at all.
    objects: bool,
    /// Whether every object here has declared fields. One without any is free-form.
    closes: bool,
}

/// What is said about one value: places that certainly speak about it, and places that may.
#[derive(Debug, Default)]
struct About {
    surely: Vec<usize>,
    perhaps: Vec<usize>,
}

impl Declared {
    /// Collects the names of a schema, and refuses one that would take without end to check. To be
    /// done before `jsonschema` sees the schema: what is exponential for it is linear here.
    pub(super) fn survey(schema: &Value) -> Result<Self, String> {
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
        let mut declared = Self(Vec::new());
        // First in, first out: a place gets the index that `visit` promised.
        while let Some((schema, base)) = survey.queue.pop_front() {
            if declared.0.len() >= MAX_PLACES {
                return Err(format!("more than {MAX_PLACES} subschemas"));
            }
            declared.0.push(survey.place(schema, &base)?);
        }
        if declared.unfolded(Place::beside, MAX_BESIDE).into_iter().any(|size| size > MAX_BESIDE) {
            return Err(format!("more than {MAX_BESIDE} subschemas, or a circle of them, for one value"));
        }
        declared.close();
        Ok(declared)
    }

    /// Whether the whole schema, with every reference written out, is small.
    pub(super) fn is_small(&self) -> bool {
        self.unfolded(Place::edges, SMALL).first().is_some_and(|size| *size <= SMALL)
    }

    /// How many subschemas each place leads to, each counted as often as it is reached, up to a bit
    /// more than `most`. A circle leads to more than any number.
    fn unfolded(&self, leads: fn(&Place) -> Vec<usize>, most: usize) -> Vec<usize> {
        let edges: Vec<Vec<usize>> = self.0.iter().map(leads).collect();
        let mut sizes = vec![1_usize; edges.len()];
        // Each round looks one step further, so there are no more than `most` rounds.
        loop {
            let size = |index: &usize| sizes.get(*index).copied().unwrap_or(1);
            let further: Vec<usize> = edges.iter().map(|edges| edges.iter().map(size).fold(1, usize::saturating_add).min(most.saturating_add(1))).collect();
            if further == sizes {
                return sizes;
            }
            sizes = further;
        }
    }

    /// Finds out which places close their objects. Places depend on each other in circles, so this
    /// goes on until nothing changes.
    fn close(&mut self) {
        loop {
            let judged: Vec<_> = self.0.iter().map(|place| self.judged(place)).collect();
            let same = self.0.iter().zip(&judged).all(|(place, now)| (place.objects, place.closes) == *now);
            if same {
                return;
            }
            for (place, now) in self.0.iter_mut().zip(judged) {
                (place.objects, place.closes) = now;
            }
        }
    }

    fn judged(&self, place: &Place) -> (bool, bool) {
        let objects = place.objects && place.all.iter().all(|index| self.place(*index).is_some_and(|other| other.objects));
        let declares = !place.named.is_empty() || !place.patterns.is_empty();
        let closes = declares || place.all.iter().any(|index| self.place(*index).is_some_and(|other| other.closes)) || place.any.iter().any(|group| self.close_all(group));
        (objects, closes)
    }

    /// Whether an object closes whichever of these places holds for it.
    fn close_all(&self, group: &[usize]) -> bool {
        let mut objects = group.iter().filter_map(|index| self.place(*index)).filter(|place| place.objects).peekable();
        objects.peek().is_some() && objects.all(|place| place.closes)
    }

    fn place(&self, index: usize) -> Option<&Place> {
        self.0.get(index)
    }

    /// The place of the first field that nothing declares or allows.
    pub(super) fn stray(&self, value: &Value) -> Option<String> {
        match value {
            // The arguments as a whole are closed, whether or not anything is declared.
            Value::Object(members) => self.walk_object(members, &self.together(&About { surely: vec![0], perhaps: Vec::new() }), Site::Closed),
            _ => None,
        }
    }

    fn walk(&self, value: &Value, about: &About) -> Option<String> {
        match value {
            Value::Object(members) => {
                let closed = about.surely.iter().any(|index| self.place(*index).is_some_and(|place| place.closes)) || self.close_all(&about.perhaps);
                self.walk_object(members, &self.together(about), if closed { Site::Closed } else { Site::Free })
            }
            Value::Array(items) => self.walk_array(items, &self.together(about)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    fn walk_object(&self, members: &Map<String, Value>, places: &[(&Place, Sure)], site: Site) -> Option<String> {
        let closed = site == Site::Closed && places.iter().all(|(place, _)| place.others.is_empty());
        members.iter().find_map(|(name, value)| {
            let mut below = About::default();
            let spoken = places.iter().fold(false, |spoken, (place, sure)| place.speaks_of(name, below.part(*sure)) || spoken);
            if closed && !spoken {
                return Some(format!("/{name}"));
            }
            self.walk(value, &below).map(|place| format!("/{name}{place}"))
        })
    }

    fn walk_array(&self, items: &[Value], places: &[(&Place, Sure)]) -> Option<String> {
        items.iter().enumerate().find_map(|(index, item)| {
            let mut below = About::default();
            for (place, sure) in places {
                let leading = place.leading.get(index).map(std::slice::from_ref);
                below.part(*sure).extend(leading.unwrap_or(&place.items));
            }
            self.walk(item, &below).map(|place| format!("/{index}{place}"))
        })
    }

    /// The places and all that speak about the same value as they, each once.
    fn together(&self, about: &About) -> Vec<(&Place, Sure)> {
        // The usual case, which needs no book-keeping.
        if let ([index], []) = (&*about.surely, &*about.perhaps) && let Some(place) = self.place(*index).filter(|place| place.stands_alone()) {
            return vec![(place, Sure::Yes)];
        }
        let (mut surely, mut perhaps) = (about.surely.clone(), about.perhaps.clone());
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        // What is sure comes first, so that a place which is both counts as sure.
        while let Some((index, sure)) = surely.pop().map(|index| (index, Sure::Yes)).or_else(|| perhaps.pop().map(|index| (index, Sure::No))) {
            let Some(place) = self.place(index).filter(|_| seen.insert(index)) else { continue };
            if sure == Sure::Yes { &mut surely } else { &mut perhaps }.extend(&place.all);
            perhaps.extend(place.any.iter().flatten().chain(&place.perhaps));
            found.push((place, sure));
        }
        found
    }
}

/// Whether a place certainly speaks about a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sure {
    Yes,
    No,
}

/// Whether fields of an object must be declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    Closed,
    Free,
}

impl About {
    const fn part(&mut self, sure: Sure) -> &mut Vec<usize> {
        match sure {
            Sure::Yes => &mut self.surely,
            Sure::No => &mut self.perhaps,
        }
    }
}

impl Place {
    /// What speaks about the same value.
    fn beside(&self) -> Vec<usize> {
        self.all.iter().chain(self.any.iter().flatten()).chain(&self.perhaps).chain(&self.unheard).copied().collect()
    }

    /// Everything that this place leads to.
    fn edges(&self) -> Vec<usize> {
        let members = self.named.values().chain(self.patterns.iter().map(|(_, place)| place)).chain(&self.others);
        members.chain(&self.leading).chain(&self.items).chain(&self.parts).copied().chain(self.beside()).collect()
    }

    /// Whether nothing else speaks about the same value.
    fn stands_alone(&self) -> bool {
        self.all.is_empty() && self.any.is_empty() && self.perhaps.is_empty()
    }

    /// Whether a field is declared here; adds what is said of its value.
    fn speaks_of(&self, name: &str, below: &mut Vec<usize>) -> bool {
        let before = below.len();
        below.extend(self.named.get(name));
        if !self.patterns.is_empty() {
            let key = Value::String(name.to_owned());
            below.extend(self.patterns.iter().filter(|(pattern, _)| pattern.is_valid(&key)).map(|(_, place)| *place));
        }
        let declared = below.len() > before;
        if !declared {
            below.extend(&self.others);
        }
        declared
    }
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
                ("additionalProperties" | "unevaluatedProperties", _) if self.heeds(keyword, keywords) => place.others.push(self.visit(value, &base)),
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
        let targets: Vec<_> = self.anchors.iter().filter(|(anchor, ..)| *anchor == name).map(|(_, schema, base)| (*schema, base.clone())).collect();
        targets.into_iter().map(|(schema, base)| self.visit(schema, &base)).collect()
    }

    /// Finds what dynamic references can lead to, wherever it stands.
    fn find_anchors(&mut self, value: &'s Value, base: &Base) {
        let resolver = self.registry.resolver((**base).clone());
        let base = resolver.in_subresource(self.draft.create_resource_ref(value)).map_or_else(|_| base.clone(), |resolver| resolver.base_uri());
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
