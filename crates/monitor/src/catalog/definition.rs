//! What a server offers, as it said it.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::Kind;
use crate::wire::canonical::Digest;
use crate::wire::json::{Json, Kind as JsonKind, View};
use crate::wire::mirror;

/// How long a name may be. Real ones are under 100.
const MAX_NAME: usize = 512;

/// One definition as a server sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// What it is.
    pub kind: Kind,
    /// Its name, URI or URI template.
    pub name: String,
    /// The whole definition, with every field that the server sent.
    pub json: Json,
    /// SHA-256 of its canonical form.
    pub digest: Digest,
}

impl Definition {
    /// Reads a definition; the error says why it cannot be offered.
    pub fn read(kind: Kind, json: &Json) -> Result<Self, &'static str> {
        let name = json.view().get(kind.key()).and_then(View::as_str).ok_or("it has no name")?.into_owned();
        let only = matches!(kind, Kind::Server | Kind::Instructions);
        if !only && (name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control)) {
            return Err("its name is empty, too long, or has control characters");
        }
        if kind == Kind::Tool && json.view().get("inputSchema").is_none_or(|schema| schema.kind() != JsonKind::Object) {
            return Err("its inputSchema is not an object");
        }
        if kind == Kind::Tool {
            mirror::mirrored(json)?;
        }
        // A server has one of each, whatever it says in it.
        let name = if only { kind.name().to_owned() } else { name };
        Ok(Self { kind, name, json: json.clone(), digest: Digest::of_json(json) })
    }
}

/// A definition that cannot be offered, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What it is.
    pub kind: Kind,
    /// Its name, as far as it has one.
    pub name: String,
    /// Why not.
    pub why: &'static str,
}

/// Everything that one server offers at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    definitions: Vec<Definition>,
    index: BTreeMap<(Kind, String), usize>,
    /// Names that were offered twice with different definitions: neither counts.
    twins: BTreeSet<(Kind, String)>,
    rejected: Vec<Rejected>,
}

impl Offer {
    /// Adds a page of a list.
    pub fn add(&mut self, kind: Kind, json: &Json) {
        match Definition::read(kind, json) {
            Ok(definition) => self.insert(definition),
            Err(why) => {
                let name = json.view().get(kind.key()).and_then(View::as_str).unwrap_or_default().into_owned();
                self.rejected.push(Rejected { kind, name, why });
            }
        }
    }

    fn insert(&mut self, definition: Definition) {
        let key = (definition.kind, definition.name.clone());
        if self.twins.contains(&key) {
            return;
        }
        match self.index.get(&key).and_then(|at| self.definitions.get(*at)) {
            // Resources may be listed twice; the same thing twice is one thing.
            Some(twin) if twin.digest == definition.digest => {}
            Some(_) => {
                // Which of two would be called is the server's secret: neither is offered.
                self.index.remove(&key);
                self.rejected.push(Rejected { kind: key.0, name: key.1.clone(), why: "it is offered twice with different definitions" });
                self.twins.insert(key);
            }
            None => {
                self.index.insert(key, self.definitions.len());
                self.definitions.push(definition);
            }
        }
    }

    /// One definition.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Definition> {
        self.index.get(&(kind, name.to_owned())).and_then(|at| self.definitions.get(*at))
    }

    /// The definitions of one kind, in the server's order.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Definition> {
        self.all().filter(move |definition| definition.kind == kind)
    }

    /// All definitions, in the server's order.
    pub fn all(&self) -> impl Iterator<Item = &Definition> {
        self.definitions
            .iter()
            .filter(|definition| self.twins.is_empty() || !self.twins.contains(&(definition.kind, definition.name.clone())))
    }

    /// What cannot be offered.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }
}
