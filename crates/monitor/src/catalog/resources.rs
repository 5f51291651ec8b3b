//! Which approved resource or template a URI belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::case::Kind;
use crate::lock::{Lock, Pin};
use bartizan_format::uri::{self, Template};

/// The approved resources of all servers, made once for a lock file.
#[derive(Debug, Clone, Default)]
pub(super) struct Resources(BTreeMap<String, Namespace>);

/// What one server may be asked to read.
#[derive(Debug, Clone, Default)]
struct Namespace {
    exact: HashMap<String, Arc<Pin>>,
    /// By normal form.
    normal: HashMap<String, Arc<Pin>>,
    templates: Vec<Covered>,
}

#[derive(Debug, Clone)]
struct Covered {
    pin: Arc<Pin>,
    written: Template,
    normal: Option<Template>,
}

/// What a URI is at one server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'r> {
    /// Approved, letter by letter.
    Exact(&'r Arc<Pin>),
    /// An expansion of an approved template, and nothing else to any reader.
    Covered(&'r Arc<Pin>),
    /// It means something else once it is normal. The server may read it either way.
    Ambiguous,
    /// Not approved.
    Nothing,
}

impl<'r> Found<'r> {
    /// What was approved, if the URI is that and nothing else.
    pub(super) const fn pin(self) -> Option<&'r Arc<Pin>> {
        match self {
            Self::Exact(pin) | Self::Covered(pin) => Some(pin),
            Self::Ambiguous | Self::Nothing => None,
        }
    }
}

impl Resources {
    pub(super) fn of(lock: &Lock) -> Self {
        Self(lock.servers().map(|server| (server.to_owned(), Namespace::of(lock, server))).collect())
    }

    /// Looks a URI up at one server.
    pub(super) fn find(&self, server: &str, uri: &str) -> Found<'_> {
        self.0.get(server).map_or(Found::Nothing, |namespace| namespace.find(uri))
    }
}

impl Namespace {
    fn of(lock: &Lock, server: &str) -> Self {
        let mut namespace = Self::default();
        for pin in lock.of(server) {
            match pin.kind {
                Kind::Resource => {
                    namespace.exact.insert(pin.name.clone(), pin.clone());
                    namespace.normal.extend(uri::normal(&pin.name).ok().map(|normal| (normal.form, pin.clone())));
                }
                Kind::Template => {
                    let normal = uri::normal(&pin.name).ok().map(|normal| Template::read(&normal.form));
                    namespace.templates.push(Covered { pin: pin.clone(), written: Template::read(&pin.name), normal });
                }
                Kind::Server | Kind::Instructions | Kind::Tool | Kind::Prompt => {}
            }
        }
        namespace
    }

    fn find(&self, uri: &str) -> Found<'_> {
        if let Some(pin) = self.exact.get(uri) {
            return Found::Exact(pin);
        }
        let written = self.templates.iter().find(|template| template.written.covers(uri)).map(|template| &template.pin);
        let Ok(normal) = uri::normal(uri) else { return written.map_or(Found::Nothing, |_| Found::Ambiguous) };
        let covers = |template: &&Covered| template.normal.as_ref().is_some_and(|pattern| pattern.covers(&normal.form));
        let meant = self.normal.get(&normal.form).or_else(|| self.templates.iter().find(covers).map(|template| &template.pin));
        match (written, meant) {
            (None, None) => Found::Nothing,
            (Some(written), Some(meant)) if Arc::ptr_eq(written, meant) && !normal.dotted => Found::Covered(written),
            _ => Found::Ambiguous,
        }
    }
}
