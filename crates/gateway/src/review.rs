//! Review: what a server offers now against what was approved, for a person to decide.

pub mod scan;

use std::path::Path;
use std::sync::Arc;

use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::catalog::{Definition, Offer, propose};
use bartizan_monitor::lock::{Lock, Pin, pretty};

use crate::config::files;

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
    let gone = lock.of(server).filter(|pin| offer.get(pin.kind, &pin.name).is_none());
    changes.extend(gone.map(|pin| Change { kind: pin.kind, name: pin.name.clone(), what: What::Removed(pin.clone()) }));
    changes.extend(offer.rejected().iter().map(|no| Change { kind: no.kind, name: no.name.clone(), what: What::Rejected(no.why) }));
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

impl Change {
    /// The effect class to propose. What was approved is never lowered, and what a server's hints
    /// raise is raised.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match &self.what {
            What::New(definition) => propose(definition),
            What::Changed(pin, definition) => propose(definition).max(pin.effect),
            What::Removed(pin) | What::Same(pin) => pin.effect,
            What::Rejected(_) => Effect::Destructive,
        }
    }

    /// Takes the change into the lock file, with the effect class that a person decided.
    pub fn accept(&self, lock: &mut Lock, server: &str, effect: Effect) {
        match &self.what {
            What::New(definition) | What::Changed(_, definition) => {
                let definition = definition.clone();
                lock.put(
                    server,
                    Pin { kind: definition.kind, name: definition.name, effect, digest: definition.digest, definition: definition.json },
                );
            }
            What::Same(pin) => {
                lock.put(server, Pin { effect, ..(**pin).clone() });
            }
            What::Removed(pin) => {
                lock.remove(server, pin.kind, &pin.name);
            }
            What::Rejected(_) => {}
        }
    }

    /// Whether somebody has to look at it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.what, What::New(_) | What::Changed(..) | What::Removed(_))
    }

    /// The definition line by line: what is gone, what came, what stayed.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let (old, new) = match &self.what {
            What::New(definition) => (String::new(), pretty(&definition.json)),
            What::Changed(pin, definition) => (pretty(&pin.definition), pretty(&definition.json)),
            What::Removed(pin) => (pretty(&pin.definition), String::new()),
            What::Same(_) | What::Rejected(_) => return Vec::new(),
        };
        diff(&old, &new)
    }
}

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Stood there and stands there.
    Kept(String),
    /// Is gone.
    Gone(String),
    /// Came.
    Came(String),
}

/// Texts with more lines than this are shown one after the other: comparing them would take the
/// product of their lengths.
const MAX_LINES: usize = 1500;

/// The longest common subsequence of lines, told as a story.
fn diff(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let gone = old.iter().map(|line| Line::Gone((*line).to_owned()));
        return gone.chain(new.iter().map(|line| Line::Came((*line).to_owned()))).collect();
    }
    let lengths = lengths(&old, &new);
    let length = |i: usize, j: usize| lengths.get(i).and_then(|row: &Vec<u16>| row.get(j)).copied().unwrap_or(0);
    let (mut i, mut j, mut story) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                story.push(Line::Kept((*a).to_owned()));
                (i, j) = (i.saturating_add(1), j.saturating_add(1));
            }
            (Some(a), b) if b.is_none() || length(i.saturating_add(1), j) >= length(i, j.saturating_add(1)) => {
                story.push(Line::Gone((*a).to_owned()));
                i = i.saturating_add(1);
            }
            (_, Some(b)) => {
                story.push(Line::Came((*b).to_owned()));
                j = j.saturating_add(1);
            }
            (_, None) => break,
        }
    }
    story
}

/// `lengths[i][j]`: how many lines the rests from `i` and `j` have in common.
fn lengths(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut rows = vec![vec![0_u16; new.len().saturating_add(1)]];
    for a in old.iter().rev() {
        let below = rows.last().cloned().unwrap_or_default();
        let mut row = vec![0_u16; new.len().saturating_add(1)];
        let mut right = 0;
        for (j, b) in new.iter().enumerate().rev() {
            let at = |k: usize| below.get(k).copied().unwrap_or(0);
            right = if a == b { at(j.saturating_add(1)).saturating_add(1) } else { at(j).max(right) };
            if let Some(cell) = row.get_mut(j) {
                *cell = right;
            }
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

/// Writes the lock file in one step: a reader sees the old one or the new one.
pub fn write_lock(path: &Path, lock: &Lock) -> std::io::Result<()> {
    files::replace(path, lock.to_string().as_bytes(), files::Readers::Usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        let sign = |line: &Line| match line {
            Line::Kept(text) => format!(" {text}"),
            Line::Gone(text) => format!("-{text}"),
            Line::Came(text) => format!("+{text}"),
        };
        diff(old, new).iter().map(sign).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn a_difference_is_the_shortest_story() {
        assert_eq!(told("a\nb\nc", "a\nx\nc"), " a|-b|+x| c");
        assert_eq!(told("", "a"), "+a");
        assert_eq!(told("a", ""), "-a");
        assert_eq!(told("a\nb", "b\na\nb"), "+b| a| b");
    }
}
