//! Review: what a server offers now against what was approved, for a person to decide.

mod advice;
pub mod grade;
mod group;
mod lines;
mod rename;
pub mod scan;
pub use advice::Advice;
pub use bartizan_detect::names::is_unseen;
pub use bartizan_detect::{Finding, Weight};
pub use group::{Group, groups, together};
pub use lines::Line;
pub(crate) use lines::diff;

use std::sync::Arc;

use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::catalog::{Definition, Offer, Shadows, propose};
use bartizan_monitor::lock::artefact::{self, Artefact};
use bartizan_monitor::lock::{Lock, Pin, pretty};

use crate::config::{Places, files};
use grade::Difference;

/// One difference between the lock file and a server.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it is.
    pub kind: Kind,
    /// Its name, URI or template.
    pub name: String,
    /// What happened to it.
    pub what: What,
}

/// What happened to a definition.
#[derive(Debug, Clone)]
pub enum What {
    /// Offered, and nobody has reviewed it.
    New(Definition),
    /// Offered, and not as it was reviewed.
    Changed(Arc<Pin>, Definition),
    /// Reviewed under another name, which is not offered any more, and much like what is offered now.
    Renamed(Arc<Pin>, Definition),
    /// Reviewed, and not offered any more.
    Removed(Arc<Pin>),
    /// Offered as it was reviewed.
    Same(Arc<Pin>),
    /// Offered, and it cannot be approved.
    Rejected(&'static str),
}

/// Compares everything that a server offers with what was approved of it.
#[must_use]
pub fn compare(lock: &Lock, server: &str, offer: &Offer) -> Vec<Change> {
    let mut changes: Vec<Change> = offer.all().map(|definition| offered(lock, server, definition)).collect();
    reject_look_alikes(&mut changes, lock, server, offer);
    let gone = lock.of(server).filter(|pin| offer.get(pin.kind, &pin.name).is_none());
    changes.extend(gone.map(|pin| Change { kind: pin.kind, name: pin.name.clone(), what: What::Removed(pin.clone()) }));
    changes.extend(offer.rejected().iter().map(|no| Change { kind: no.kind, name: no.name.clone(), what: What::Rejected(no.why) }));
    rename::pair(&mut changes);
    changes.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    changes
}

fn offered(lock: &Lock, server: &str, definition: &Definition) -> Change {
    let what = match lock.get(server, definition.kind, &definition.name) {
        None => What::New(definition.clone()),
        Some(pin) if pin.digest == definition.digest => What::Same(pin.clone()),
        Some(pin) => What::Changed(pin.clone(), definition.clone()),
    };
    Change { kind: definition.kind, name: definition.name.clone(), what }
}

/// What looks like another name, of this server or an approved one, cannot be approved.
fn reject_look_alikes(changes: &mut [Change], lock: &Lock, server: &str, offer: &Offer) {
    let others = lock.servers().filter(|other| *other != server);
    let approved = others.flat_map(|other| lock.of(other).map(move |pin| (other, pin.kind, pin.name.as_str())));
    let own = offer.all().map(|definition| (server, definition.kind, definition.name.as_str()));
    let shadows = Shadows::among(approved.chain(own));
    for change in changes {
        if shadows.get(server, change.kind, &change.name).is_some() {
            change.what =
                What::Rejected("its name can be mistaken for another one, or hides characters (`bartizan explain shadow.lookalike`)");
        }
    }
}

impl Change {
    /// The effect class to propose. What was approved is never lowered, and what a server's hints
    /// raise is raised.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match &self.what {
            What::New(definition) => propose(definition),
            What::Changed(pin, definition) | What::Renamed(pin, definition) => propose(definition).max(pin.effect),
            What::Removed(pin) | What::Same(pin) => pin.effect,
            What::Rejected(_) => Effect::Destructive,
        }
    }

    /// Takes the change into the lock file, with the effect class that a person decided. What else the
    /// operator wrote of it stays, and what was approved until now is remembered.
    pub fn accept(&self, lock: &mut Lock, server: &str, effect: Effect) {
        let pin = match &self.what {
            What::New(definition) => Pin::new(definition.clone(), effect),
            What::Changed(pin, definition) => pin.replaced(definition.clone(), effect),
            What::Renamed(pin, definition) => {
                lock.remove(server, pin.kind, &pin.name);
                // Older versions have the older name, and could not be restored under this one.
                Pin { contract: pin.contract.clone(), ..Pin::new(definition.clone(), effect) }
            }
            What::Same(pin) => Pin { effect, ..(**pin).clone() },
            What::Removed(pin) => return drop(lock.remove(server, pin.kind, &pin.name)),
            What::Rejected(_) => return,
        };
        lock.put(server, pin);
    }

    /// What was approved of it until now.
    #[must_use]
    pub const fn pin(&self) -> Option<&Arc<Pin>> {
        match &self.what {
            What::Changed(pin, _) | What::Renamed(pin, _) | What::Removed(pin) | What::Same(pin) => Some(pin),
            What::New(_) | What::Rejected(_) => None,
        }
    }

    /// What the server offers of it now that is not what was approved.
    #[must_use]
    pub const fn offered(&self) -> Option<&Definition> {
        match &self.what {
            What::New(definition) | What::Changed(_, definition) | What::Renamed(_, definition) => Some(definition),
            What::Removed(_) | What::Same(_) | What::Rejected(_) => None,
        }
    }

    /// What is different, place by place, where both versions are there.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        match &self.what {
            What::Changed(pin, definition) | What::Renamed(pin, definition) => grade::grade(self.kind, &pin.definition, &definition.json),
            What::New(_) | What::Removed(_) | What::Same(_) | What::Rejected(_) => Vec::new(),
        }
    }

    /// Whether somebody has to look at it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.what, What::New(_) | What::Changed(..) | What::Renamed(..) | What::Removed(_))
    }

    /// The definition line by line: what is gone, what came, what stayed.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let (old, new) = match &self.what {
            What::New(definition) => (String::new(), pretty(&definition.json)),
            What::Changed(pin, definition) | What::Renamed(pin, definition) => (pretty(&pin.definition), pretty(&definition.json)),
            What::Removed(pin) => (pretty(&pin.definition), String::new()),
            What::Same(_) | What::Rejected(_) => return Vec::new(),
        };
        diff(&old, &new)
    }
}

/// More parts than this are counted and not listed, where all of them are new.
const MANY_PARTS: usize = 12;

/// What a server is made of, against what was approved of it: what is gone and what came, and of what stayed
/// only the names.
#[must_use]
pub fn compare_artefacts(old: &[Artefact], new: &[Artefact]) -> Vec<Line> {
    let all_new = old.is_empty() && new.iter().any(|one| one.parts.len() > MANY_PARTS);
    let counted = |one: &Artefact| Artefact { parts: vec![format!("{} packages that come with it", one.parts.len())], ..one.clone() };
    let new = if all_new { artefact::shown(&new.iter().map(counted).collect::<Vec<_>>()) } else { artefact::shown(new) };
    let mut lines = diff(&artefact::shown(old), &new);
    lines.retain(|line| !matches!(line, Line::Kept(text) if !text.starts_with("name")));
    lines
}

/// Writes the lock file in one step: a reader sees the old one or the new one. `unchanged` is asked
/// while nobody else writes it.
pub fn write_lock(places: &Places, lock: &Lock, unchanged: impl FnOnce() -> bool) -> std::io::Result<Written> {
    files::private_directory(&places.state)?;
    let _held = files::hold(&places.state.join("approve.lock"))?;
    if !unchanged() {
        return Ok(Written::Outrun);
    }
    files::replace(&places.lock, lock.to_string().as_bytes(), files::Readers::Usual).map(|()| Written::Done)
}

/// What became of a lock file that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It stands as it was given.
    Done,
    /// Somebody else was faster, and nothing was written.
    Outrun,
}

#[cfg(test)]
mod tests;
