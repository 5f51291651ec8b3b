//! Which names a schema declares, and where: what makes a silent schema strict.
//!
//! `unevaluatedProperties: false` would say it, but exists only from 2019-09, and `additionalProperties:
//! false` does not see through `allOf` or `$ref`. So the names are collected here, in one way for all
//! drafts. A name counts as declared when any part of the schema that can speak about the same value
//! declares it, whether or not that part holds for this value: `jsonschema` has the say on values.

use std::collections::{BTreeMap, HashMap, HashSet};

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::place::shown;
use crate::survey;

/// How many subschemas may speak about one value, each counted as often as it is reached. Checking
/// one value takes that many steps, and doubles with every `anyOf` of two equal references. In a
/// thousand real schemas it is never more than 11.
const MAX_BESIDE: usize = 500;

/// Up to which size, references written out, a schema is searched for the place of a violation. The
/// search, unlike the verdict, remembers nothing. Only recursive schemas among the real ones are larger.
const SMALL: usize = 1_000;

/// The names of one schema. A graph, since schemas may be recursive: places refer to each other by
/// index, and the root is the first.
#[derive(Debug)]
pub(crate) struct Declared(Vec<Place>);

/// What one subschema says of names.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Fields by name.
    pub(crate) named: HashMap<String, usize>,
    /// Fields by pattern.
    pub(crate) patterns: Vec<(Validator, usize)>,
    /// Fields that are allowed without being named.
    pub(crate) others: Vec<usize>,
    /// Items by position.
    pub(crate) leading: Vec<usize>,
    /// Items after those.
    pub(crate) items: Vec<usize>,
    /// Subschemas that hold for the same value whenever this one does.
    pub(crate) all: Vec<usize>,
    /// Groups of subschemas of which at least one holds for the same value.
    pub(crate) any: Vec<Vec<usize>>,
    /// Subschemas that hold for the same value under a condition.
    pub(crate) perhaps: Vec<usize>,
    /// Subschemas about the same value that declare nothing.
    pub(crate) unheard: Vec<usize>,
    /// Subschemas about parts of the value that declare nothing.
    pub(crate) parts: Vec<usize>,
    /// Whether the value can be an object at all.
    pub(crate) objects: bool,
    /// Whether every object here has declared fields. One without any is free-form.
    pub(crate) closes: bool,
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
    pub(crate) fn survey(schema: &Value) -> Result<Self, String> {
        let mut declared = Self(survey::places(schema)?);
        if declared.unfolded(Place::beside, MAX_BESIDE).into_iter().any(|size| size > MAX_BESIDE) {
            return Err(format!("more than {MAX_BESIDE} subschemas, or a circle of them, for one value"));
        }
        declared.close();
        Ok(declared)
    }

    /// Whether the whole schema, with every reference written out, is small.
    pub(crate) fn is_small(&self) -> bool {
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
            let further: Vec<usize> =
                edges.iter().map(|edges| edges.iter().map(size).fold(1, usize::saturating_add).min(most.saturating_add(1))).collect();
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
        let closes = declares
            || place.all.iter().any(|index| self.place(*index).is_some_and(|other| other.closes))
            || place.any.iter().any(|group| self.close_all(group));
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

    /// The fields that nothing declares or allows. `root` says whether the value as a whole is closed without declaring any.
    pub(crate) fn strays(&self, value: &Value, root: Site) -> Strays {
        let about = About { surely: vec![0], perhaps: Vec::new() };
        match (value, root) {
            (Value::Object(members), Site::Closed) => self.walk_object(members, &self.together(&about), Site::Closed),
            (_, Site::Free) => self.walk(value, &about),
            (_, Site::Closed) => Strays::None,
        }
    }

    fn walk(&self, value: &Value, about: &About) -> Strays {
        match value {
            Value::Object(members) => {
                let closed =
                    about.surely.iter().any(|index| self.place(*index).is_some_and(|place| place.closes)) || self.close_all(&about.perhaps);
                self.walk_object(members, &self.together(about), if closed { Site::Closed } else { Site::Free })
            }
            Value::Array(items) => self.walk_array(items, &self.together(about)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Strays::None,
        }
    }

    fn walk_object(&self, members: &Map<String, Value>, places: &[(&Place, Sure)], site: Site) -> Strays {
        let closed = site == Site::Closed && places.iter().all(|(place, _)| place.others.is_empty());
        let of = |name: &String, value: &Value| {
            let mut below = About::default();
            let spoken = places.iter().fold(false, |spoken, (place, sure)| place.speaks_of(name, below.part(*sure)) || spoken);
            if closed && !spoken { Strays::All } else { self.walk(value, &below) }
        };
        let found = members.iter().map(|(name, value)| (name, of(name, value))).filter(|(_, found)| *found != Strays::None);
        let found: BTreeMap<String, Strays> = found.map(|(name, found)| (name.clone(), found)).collect();
        if found.is_empty() { Strays::None } else { Strays::Members(found) }
    }

    fn walk_array(&self, items: &[Value], places: &[(&Place, Sure)]) -> Strays {
        let of = |(index, item): (usize, &Value)| {
            let mut below = About::default();
            for (place, sure) in places {
                let leading = place.leading.get(index).map(std::slice::from_ref);
                below.part(*sure).extend(leading.unwrap_or(&place.items));
            }
            (index, self.walk(item, &below))
        };
        let found: BTreeMap<usize, Strays> = items.iter().enumerate().map(of).filter(|(_, found)| *found != Strays::None).collect();
        if found.is_empty() { Strays::None } else { Strays::Items(found) }
    }

    /// The places and all that speak about the same value as they, each once.
    fn together(&self, about: &About) -> Vec<(&Place, Sure)> {
        // The usual case, which needs no book-keeping.
        if let ([index], []) = (&*about.surely, &*about.perhaps)
            && let Some(place) = self.place(*index).filter(|place| place.stands_alone())
        {
            return vec![(place, Sure::Yes)];
        }
        let (mut surely, mut perhaps) = (about.surely.clone(), about.perhaps.clone());
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        // What is sure comes first, so that a place which is both counts as sure.
        while let Some((index, sure)) =
            surely.pop().map(|index| (index, Sure::Yes)).or_else(|| perhaps.pop().map(|index| (index, Sure::No)))
        {
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

/// What of a value nobody declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strays {
    /// Nothing.
    None,
    /// All of it.
    All,
    /// Something of these members.
    Members(BTreeMap<String, Strays>),
    /// Something of these items.
    Items(BTreeMap<usize, Strays>),
}

impl Strays {
    /// Where the first one is, fit for a log.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.first().map(|place| shown(&place))
    }

    fn first(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::All => Some(String::new()),
            Self::Members(below) => below.iter().find_map(|(name, found)| Some(format!("/{name}{}", found.first()?))),
            Self::Items(below) => below.iter().find_map(|(index, found)| Some(format!("/{index}{}", found.first()?))),
        }
    }
}

/// Whether fields of an object must be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
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
