//! What was done, on disk: one file per process, taken over by the next one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Json, View};
use bytes::Bytes;

use super::entry::{Entry, State, since};
use super::table::Table;
use super::{broken, directory};
use crate::config::files::{self, Mark};
use crate::journal::notebook::{self, Found, Notebook};

const LOCK: &str = "once.lock";
/// Which ambiguous calls people have cleared, and when.
const CLEARED: &str = "once-cleared.json";
const MAX_CLEARED: u64 = 4 * 1024 * 1024;
/// How long what people cleared is remembered: longer than any process that has to hear of it looks away.
const CLEARED_MS: u64 = 400 * 24 * 3_600_000;
/// How long to wait for another process that takes over files.
const PATIENCE: Duration = Duration::from_secs(10);
/// How large a file may grow before it is written anew, beside what has to stand in it.
const SLACK: usize = if cfg!(test) { 1024 * 1024 } else { 32 * 1024 * 1024 };

/// Calls by key, as files tell of them.
type Told = HashMap<Digest, Entry>;

/// The file of this process.
#[derive(Debug)]
pub(super) struct File {
    state: PathBuf,
    own: Arc<Notebook>,
    written: usize,
    /// What was written when it was written anew.
    kept: usize,
    cleared: Mark,
}

impl File {
    /// Takes over what is left of processes that are gone, and learns what others are doing.
    pub(super) fn open(state: &Path, table: &mut Table, now_ms: u64) -> io::Result<Self> {
        let directory = directory(state);
        files::private_directory(state).and_then(|()| files::private_directory(&directory))?;
        let _held = files::hold_within(&state.join(LOCK), PATIENCE)?;
        let found = notebook::all(&directory)?;
        let cleared = Mark::of(&state.join(CLEARED));
        learn(table, read(&found)?, &read_cleared(state)?);
        table.expire(now_ms);
        let mut file = Self { state: state.to_owned(), own: Arc::new(Notebook::begin(&directory)?), written: 0, kept: 0, cleared };
        file.write_all(table)?;
        for old in found.iter().filter(|found| !found.live) {
            files::remove(&old.path)?;
        }
        Ok(file)
    }

    /// Appends a line.
    pub(super) fn append(&mut self, line: &Json) -> Result<(Arc<Notebook>, u64), String> {
        let at = self.own.append(line)?;
        self.written = self.written.saturating_add(line.bytes().len());
        Ok((self.own.clone(), at))
    }

    /// How much of it was written.
    #[cfg(test)]
    pub(super) const fn written(&self) -> usize {
        self.written
    }

    /// Writes down all that is remembered, on disk. A call that is not written down yet may never be made.
    pub(super) fn write_all(&mut self, table: &Table) -> io::Result<()> {
        let claimed = |entry: &Entry| entry.state == State::Running && !entry.noted;
        for entry in table.iter().filter(|entry| entry.state != State::Elsewhere && !claimed(entry)) {
            for line in [Some(entry.begun()), entry.ended()].into_iter().flatten() {
                self.append(&line).map_err(io::Error::other)?;
            }
        }
        self.kept = self.written;
        self.own.flush()
    }

    /// Begins a new file with what is still remembered, when the old one has grown.
    pub(super) fn compact(&mut self, table: &Table) -> io::Result<()> {
        if self.written.saturating_sub(self.kept) < SLACK {
            return Ok(());
        }
        let old = std::mem::replace(&mut self.own, Arc::new(Notebook::begin(&directory(&self.state))?));
        self.written = 0;
        match self.write_all(table) {
            Ok(()) => files::remove(old.path()),
            Err(error) => {
                // The old one is whole, and goes on; what is in the new one is in it, too.
                self.own = old;
                Err(error)
            }
        }
    }

    /// Learns what became of calls elsewhere, and what people cleared.
    pub(super) fn look(&mut self, table: &mut Table, now_ms: u64) -> io::Result<()> {
        let mark = Mark::of(&self.state.join(CLEARED));
        if mark != self.cleared {
            let cleared = read_cleared(&self.state)?;
            let gone: Vec<_> = table.iter().filter(|entry| is_cleared(entry, &cleared)).map(|entry| (entry.key, entry.call)).collect();
            for which in gone {
                if let Some(entry) = table.remove(which) {
                    self.append(&entry.undone()).map_err(io::Error::other)?;
                }
            }
            self.cleared = mark;
        }
        let elsewhere: Vec<Entry> = table.iter().filter(|entry| entry.state == State::Elsewhere).cloned().collect();
        if elsewhere.is_empty() {
            return Ok(());
        }
        let others = notebook::all(&directory(&self.state))?.into_iter().filter(|found| found.path != self.own.path());
        let told = read(&others.collect::<Vec<_>>())?;
        for entry in elsewhere {
            let now = told.get(&entry.key).filter(|now| now.call == entry.call);
            match now.map(|now| &now.state) {
                Some(State::Elsewhere) => {}
                Some(state) => self.adopt(table, Entry { state: state.clone(), ..entry })?,
                // It ended without a trace, or whoever made it is gone and somebody else took its file over.
                None => self.adopt(table, Entry { state: State::Ambiguous, at_ms: now_ms, ..entry })?,
            }
        }
        Ok(())
    }

    fn adopt(&mut self, table: &mut Table, entry: Entry) -> io::Result<()> {
        for line in [Some(entry.begun()), entry.ended()].into_iter().flatten() {
            self.append(&line).map_err(io::Error::other)?;
        }
        table.insert(entry);
        Ok(())
    }
}

/// What files tell together: of each key, the latest call. A call of a process that is gone is ambiguous when its file
/// does not say how it ended.
fn read(files: &[Found]) -> io::Result<Told> {
    let mut told = Told::new();
    for found in files {
        let lines = found.lines.as_ref().map_err(|error| broken(&found.path, error))?;
        for (key, mut entry) in one(lines).ok_or_else(|| broken(&found.path, "a line that is not understood"))? {
            if entry.state == State::Running {
                entry.state = if found.live { State::Elsewhere } else { State::Ambiguous };
            }
            // The same call in two files: the one that took the other over, or wrote itself anew, knows more.
            let newer = told.get(&key).is_none_or(|known| match known.call == entry.call {
                true => matches!(known.state, State::Elsewhere | State::Ambiguous),
                false => known.at_ms <= entry.at_ms,
            });
            if newer {
                told.insert(key, entry);
            }
        }
    }
    Ok(told)
}

fn one(lines: &[Json]) -> Option<Told> {
    let mut told = Told::new();
    for line in lines {
        let view = line.view();
        let text = |key: &str| view.get(key).and_then(View::as_str);
        let event = text("event")?;
        if event == "begun" {
            let entry = Entry::read(view)?;
            // Written down when it was claimed, and again when the file was written anew.
            if told.get(&entry.key).is_none_or(|known| known.call != entry.call) {
                told.insert(entry.key, entry);
            }
            continue;
        }
        let (key, call) = (Digest::read(&text("key")?)?, u64::from_str_radix(&text("call")?, 16).ok()?);
        let Some(entry) = told.get_mut(&key).filter(|entry| entry.call == call) else { continue };
        match &*event {
            "undone" => drop(told.remove(&key)),
            "done" => (entry.state, entry.at_ms) = (State::Done(line.get("answer")), since(view)?),
            "ambiguous" => (entry.state, entry.at_ms) = (State::Ambiguous, since(view)?),
            _ => return None,
        }
    }
    Some(told)
}

fn learn(table: &mut Table, told: Told, cleared: &Cleared) {
    let mut entries: Vec<Entry> = told.into_values().filter(|entry| !is_cleared(entry, cleared)).collect();
    entries.sort_by_key(|entry| (entry.at_ms, entry.call));
    entries.into_iter().for_each(|entry| table.insert(entry));
}

/// Calls, by their names in the journal, and when they were cleared.
type Cleared = BTreeMap<String, u64>;

fn is_cleared(entry: &Entry, cleared: &Cleared) -> bool {
    entry.state == State::Ambiguous && cleared.contains_key(&format!("{:016x}", entry.call))
}

fn read_cleared(state: &Path) -> io::Result<Cleared> {
    let path = state.join(CLEARED);
    if Mark::of(&path) == Mark::Missing {
        return Ok(Cleared::new());
    }
    let json = Json::parse(Bytes::from(files::read(&path, MAX_CLEARED)?)).map_err(|error| broken(&path, error))?;
    serde_json::from_value(json.view().to_value()).map_err(|error| broken(&path, error))
}

/// An ambiguous call, for people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Shown {
    /// Its number in the journal.
    pub call: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose it is.
    pub client: String,
    /// `server/tool`.
    pub tool: String,
}

/// The ambiguous calls of a state directory, the oldest first.
pub fn list(state: &Path) -> io::Result<Vec<Shown>> {
    let (told, cleared) = (read(&notebook::all(&directory(state))?)?, read_cleared(state)?);
    let ambiguous = told.into_values().filter(|entry| entry.state == State::Ambiguous && !is_cleared(entry, &cleared));
    let shown = |entry: Entry| Shown {
        call: format!("{:016x}", entry.call),
        at_ms: entry.at_ms,
        client: entry.who.to_string(),
        tool: entry.target.to_string(),
    };
    let mut all: Vec<Shown> = ambiguous.map(shown).collect();
    all.sort_by(|a, b| (a.at_ms, &a.call).cmp(&(b.at_ms, &b.call)));
    Ok(all)
}

/// Lets an ambiguous call be made again: a person has found out that it may. Returns whether it was ambiguous.
pub fn forget(state: &Path, call: &str, now_ms: u64) -> io::Result<bool> {
    files::private_directory(state)?;
    let _held = files::hold_within(&state.join(LOCK), PATIENCE)?;
    if !list(state)?.iter().any(|shown| shown.call == call) {
        return Ok(false);
    }
    let mut cleared = read_cleared(state)?;
    cleared.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < CLEARED_MS);
    cleared.insert(call.to_owned(), now_ms);
    files::replace(&state.join(CLEARED), Json::of(&cleared).bytes(), files::Readers::Owner)?;
    Ok(true)
}
