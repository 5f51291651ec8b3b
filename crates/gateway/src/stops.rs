//! The stop button: a small file in the state directory that every gateway over it looks at.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::{Case, Stopped, Stops};
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::clock::Stopwatch;
use crate::config::files::{self, Mark};
use crate::config::watch::{Seen, Watch};

const FILE: &str = "suspended.json";
const LOCK: &str = "suspended.lock";
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// How often running calls are compared with the stops. New messages look on their own.
const LOOK: Duration = Duration::from_millis(200);

/// One thing that can be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// Everything.
    All,
    /// A client, by its principal or its label.
    Client(String),
    /// A server.
    Server(String),
    /// A tool, as `server/tool`.
    Tool(String),
}

/// The stops of a state directory, for those who press the button.
#[derive(Debug)]
pub struct Button {
    state: PathBuf,
}

impl Button {
    /// The button of a state directory, which is made if it is missing.
    pub fn open(state: &Path) -> io::Result<Self> {
        files::private_directory(state)?;
        Ok(Self { state: state.to_owned() })
    }

    /// What is stopped.
    pub fn stops(&self) -> io::Result<Stops> {
        read(&self.state.join(FILE)).1.map_err(io::Error::other)
    }

    /// Stops a thing; returns whether it was not stopped before.
    pub fn suspend(&self, thing: &Thing) -> io::Result<bool> {
        self.change(|stops| match thing {
            Thing::All => !std::mem::replace(&mut stops.all, true),
            Thing::Client(name) => stops.clients.insert(name.clone()),
            Thing::Server(name) => stops.servers.insert(name.clone()),
            Thing::Tool(name) => stops.tools.insert(name.clone()),
        })
    }

    /// Lets a thing go on; returns whether it was stopped. Everything is not the sum of the others:
    /// what was stopped by name stays so.
    pub fn resume(&self, thing: &Thing) -> io::Result<bool> {
        let take = |set: &mut BTreeSet<String>, name: &str| set.remove(name);
        self.change(|stops| match thing {
            Thing::All => std::mem::take(&mut stops.all),
            Thing::Client(name) => take(&mut stops.clients, name),
            Thing::Server(name) => take(&mut stops.servers, name),
            Thing::Tool(name) => take(&mut stops.tools, name),
        })
    }

    /// Puts new stops in the place of those that were seen; returns whether those were still there.
    pub fn exchange(&self, seen: &Stops, new: &Stops) -> io::Result<bool> {
        let _held = files::hold(&self.state.join(LOCK))?;
        let same = self.stops()? == *seen;
        if same && new != seen {
            files::replace(&self.state.join(FILE), Json::of(new).bytes(), files::Readers::Owner)?;
        }
        Ok(same)
    }

    /// How the file of stops looks: another look, perhaps other stops.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark::of(&self.state.join(FILE))
    }

    fn change(&self, change: impl FnOnce(&mut Stops) -> bool) -> io::Result<bool> {
        let _held = files::hold(&self.state.join(LOCK))?;
        let mut stops = self.stops()?;
        let changed = change(&mut stops);
        if changed {
            files::replace(&self.state.join(FILE), Json::of(&stops).bytes(), files::Readers::Owner)?;
        }
        Ok(changed)
    }
}

/// Looked at before it is read: a change in between shows at the next look.
fn read(path: &Path) -> (Mark, Result<Stops, String>) {
    let mark = Mark::of(path);
    let stops = match mark {
        Mark::Missing => Ok(Stops::default()),
        Mark::There(..) | Mark::Unknown(_) => parse(path),
    };
    (mark, stops)
}

fn parse(path: &Path) -> Result<Stops, String> {
    let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = files::read(path, MAX_FILE).map_err(|error| bad(&error))?;
    let json = Json::parse(Bytes::from(text)).map_err(|error| bad(&error))?;
    serde_json::from_value(json.view().to_value()).map_err(|error| bad(&error))
}

#[derive(Debug)]
struct RunningCall {
    caller: bartizan_monitor::case::Caller,
    /// The servers that it concerns.
    servers: Vec<Arc<str>>,
    tool: Option<String>,
    stopped: CancellationToken,
}

/// The stops as a running gateway sees them, and the calls that they may end.
#[derive(Debug)]
pub struct Watched {
    file: Watch<Arc<Stops>>,
    running: Mutex<HashMap<u64, RunningCall>>,
}

impl Watched {
    /// The stops of a state directory.
    #[must_use]
    pub fn open(state: &Path) -> Self {
        Self { file: Watch::open(state.join(FILE), look), running: Mutex::default() }
    }

    /// What is stopped at this moment: one look at the file, read again only when it changed.
    #[must_use]
    pub fn now(&self) -> Arc<Stops> {
        self.file.now().1.clone()
    }

    /// What is stopped, for a message that came a while ago: a look since then, and just now, is enough.
    #[must_use]
    pub fn since(&self, arrived: Stopwatch) -> Arc<Stops> {
        self.file.since(arrived).1.clone()
    }

    /// Enters a call that is on its way, and the servers to which it listens beside the one that it names; leaving is
    /// dropping what is returned.
    pub fn enlist(&self, case: &Case, heard: impl IntoIterator<Item = Arc<str>>) -> Enlisted<'_> {
        let stopped = CancellationToken::new();
        let call = RunningCall {
            caller: case.caller().clone(),
            servers: case.server().cloned().into_iter().chain(heard).collect(),
            tool: case.item().map(|item| item.pin.name.clone()),
            stopped: stopped.clone(),
        };
        let id = case.facts().id;
        self.running().insert(id, call);
        Enlisted { watched: self, id, stopped }
    }

    /// Ends running calls that a stop came to cover, for ever; `told` hears of each.
    pub async fn watch(&self, told: impl Fn(u64, Stopped)) {
        loop {
            tokio::time::sleep(LOOK).await;
            let stops = self.now();
            if stops.is_empty() {
                continue;
            }
            for (id, call) in &*self.running() {
                let of = |server: Option<&str>| stops.cover(&call.caller, server, call.tool.as_deref());
                let stopped = of(None).or_else(|| call.servers.iter().find_map(|server| of(Some(server))));
                if let Some(stopped) = stopped.filter(|_| !call.stopped.is_cancelled()) {
                    call.stopped.cancel();
                    told(*id, stopped);
                }
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, RunningCall>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that cannot be read may say anything, so it stops everything.
fn look(path: &Path, before: Option<&Seen<Arc<Stops>>>) -> Seen<Arc<Stops>> {
    let (mark, stops) = read(path);
    match stops {
        Ok(stops) => (Some(mark), Arc::new(stops)),
        Err(error) => {
            // Said once: it is looked at with every message.
            if before.is_none_or(|before| before.0.is_some()) {
                tracing::error!(%error, "what is suspended cannot be read: everything is, until it is mended");
            }
            (None, Arc::new(Stops { all: true, ..Stops::default() }))
        }
    }
}

/// A call on its way that a stop can end.
#[derive(Debug)]
pub struct Enlisted<'w> {
    watched: &'w Watched,
    id: u64,
    stopped: CancellationToken,
}

impl Enlisted<'_> {
    /// Resolves when a stop came to cover the call.
    pub async fn stopped(&self) {
        self.stopped.cancelled().await;
    }
}

impl Drop for Enlisted<'_> {
    fn drop(&mut self) {
        self.watched.running().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pressed_is_seen_and_what_is_unreadable_stops_everything() {
        let directory = tempfile::tempdir().expect("dir");
        let state = directory.path().join("state");
        let button = Button::open(&state).expect("state");
        let watched = Watched::open(&state);
        assert!(watched.now().is_empty());
        let thing = Thing::Tool("files/read".to_owned());
        assert!(button.suspend(&thing).expect("written"));
        assert!(!button.suspend(&thing).expect("there"), "twice is once");
        assert!(watched.now().tools.contains("files/read"));
        assert!(button.resume(&thing).expect("written") && !button.resume(&thing).expect("gone"));
        assert!(watched.now().is_empty());
        files::replace(&state.join(FILE), b"{\"everything\":true}", files::Readers::Owner).expect("written");
        assert!(watched.now().all);
        assert!(button.suspend(&Thing::All).is_err(), "a broken file is not written over");
    }

    #[test]
    fn what_cannot_be_read_for_a_moment_does_not_stop_everything_for_ever() {
        let directory = tempfile::tempdir().expect("dir");
        let state = directory.path().join("state");
        Button::open(&state).expect("state").suspend(&Thing::Server("files".to_owned())).expect("written");
        let watched = files::without_descriptors(|| Watched::open(&state));
        assert!(files::without_descriptors(|| watched.now()).all);
        let stops = watched.now();
        assert!(!stops.all && stops.servers.contains("files"), "the file looks as it did");
    }
}
