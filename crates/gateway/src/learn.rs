//! What servers asked for and did not get, while somebody wanted to know: heard in `upstream/learn.rs`, kept here for
//! each server, shown and proposed by `bartizan confine`. Nothing here grants anything.
//!
//! Everything in it was chosen by a server: paths and names are data until a person has seen them, and how many there
//! are is bounded.

mod named;
mod propose;
mod rewrite;

pub use propose::{Item, Key, World, items};
pub use rewrite::{Change, change, names as is_named_in, options, shown};

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::files::{self, Readers};

/// Where it is kept, in the state directory.
const DIRECTORY: &str = "learned";
const ENDING: &str = ".json";
const LOCK: &str = "learned.lock";
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How long another process may take to write its part.
const PATIENCE: Duration = Duration::from_secs(5);

/// Paths of one server that are kept.
const PATHS: usize = 384;
/// More of them, for those that have a name in words: nobody hides one behind a flood of others.
const NAMED: usize = 128;
/// Hosts of one server that are kept.
const HOSTS: usize = 64;
/// Bytes of one path.
pub(crate) const PATH_BYTES: usize = 1024;

/// What was wanted of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    /// To know whether it is there.
    Look,
    /// To read it.
    Read,
    /// To have this directory.
    Make,
    /// To write to it.
    Write,
    /// To run it.
    Run,
}

/// One path that a server asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wish {
    /// Where it is on this machine.
    pub path: String,
    /// What was wanted.
    pub want: Want,
    /// Whether it was looked for in the empty home directory that a confined server has; then a grant would not help.
    pub at_home: bool,
}

/// One host that a server asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Call {
    /// A name or an address.
    pub host: String,
    /// The port; unknown where only the name was asked for.
    pub port: Option<u16>,
}

/// All that one server asked for and did not get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Book {
    /// Paths.
    pub wishes: BTreeSet<Wish>,
    /// Hosts.
    pub calls: BTreeSet<Call>,
    /// What a person said no to, as `key value`.
    pub declined: BTreeSet<String>,
    /// How much was not kept, because there was too much of it or it came too fast.
    pub missed: u64,
}

impl Book {
    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.calls.is_empty() && self.missed == 0
    }

    fn want(&mut self, wish: Wish, is_named: bool) {
        let most = if is_named { PATHS.saturating_add(NAMED) } else { PATHS };
        if self.wishes.contains(&wish) {
            return;
        }
        if self.wishes.len() >= most || wish.path.len() > PATH_BYTES {
            self.missed = self.missed.saturating_add(1);
        } else {
            self.wishes.insert(wish);
        }
    }

    fn call(&mut self, call: Call) {
        if self.calls.contains(&call) {
            return;
        }
        if self.calls.len() >= HOSTS {
            self.missed = self.missed.saturating_add(1);
        } else {
            self.calls.insert(call);
        }
    }
}

/// One server that is listened to.
#[derive(Debug)]
pub struct Learning {
    state: PathBuf,
    name: String,
    world: World,
    heard: Mutex<Heard>,
    over: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    /// What was heard since it was kept.
    fresh: Book,
    /// What the server has by now.
    given: Vec<Wish>,
    /// How many of its processes are listened to.
    listening: usize,
    changed: bool,
}

impl Learning {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(state: &Path, name: &str, world: World) -> Self {
        Self { state: state.to_owned(), name: name.to_owned(), world, heard: Mutex::default(), over: Condvar::new() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gateway's own user's home directory.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.world.home.as_deref()
    }

    /// Whether a path has a name in words.
    pub(crate) fn is_named(&self, path: &Path) -> bool {
        named::path(path, &self.world).is_some()
    }

    /// It asked for a path.
    pub(crate) fn want(&self, wish: Wish) {
        let is_named = self.is_named(Path::new(&wish.path));
        let mut heard = self.heard();
        heard.fresh.want(wish, is_named);
        heard.changed = true;
    }

    /// It asked for a host.
    pub(crate) fn call(&self, host: &str, port: Option<u16>) {
        let mut heard = self.heard();
        heard.fresh.call(Call { host: host.to_owned(), port });
        heard.changed = true;
    }

    /// It asked for more than can be told.
    pub(crate) fn miss(&self) {
        let mut heard = self.heard();
        heard.fresh.missed = heard.fresh.missed.saturating_add(1);
        heard.changed = true;
    }

    /// One more process of it is listened to. What it is given now is no wish any more.
    pub(crate) fn begin(&self, is_given: impl Fn(&Wish) -> bool) {
        let known = recall(&self.state, &self.name).unwrap_or_default();
        let mut heard = self.heard();
        heard.given = known.wishes.into_iter().filter(is_given).collect();
        heard.changed |= !heard.given.is_empty();
        heard.listening = heard.listening.saturating_add(1);
    }

    /// One of them is gone.
    pub(crate) fn end(&self) {
        let mut heard = self.heard();
        heard.listening = heard.listening.saturating_sub(1);
        self.over.notify_all();
    }

    /// Writes down what was heard, beside what is known from before.
    pub fn keep(&self) -> io::Result<()> {
        let mut heard = self.heard();
        if !heard.changed {
            return Ok(());
        }
        update(&self.state, &self.name, |book| {
            book.wishes.retain(|wish| !heard.given.contains(wish));
            for wish in &heard.fresh.wishes {
                book.want(wish.clone(), named::path(Path::new(&wish.path), &self.world).is_some());
            }
            heard.fresh.calls.iter().for_each(|call| book.call(call.clone()));
            book.missed = book.missed.saturating_add(heard.fresh.missed);
        })?;
        (heard.fresh.missed, heard.changed) = (0, false);
        heard.given.clear();
        Ok(())
    }

    /// Waits until its processes are gone, but not for long, keeps what they said, and returns all that is known.
    pub fn finish(&self, patience: Duration) -> io::Result<Book> {
        let heard = self.heard();
        let waited = self.over.wait_timeout_while(heard, patience, |heard| heard.listening > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.keep()?;
        recall(&self.state, &self.name)
    }
}

fn path(state: &Path, name: &str) -> PathBuf {
    state.join(DIRECTORY).join(format!("{name}{ENDING}"))
}

/// What a server asked for, as far as it was kept.
pub fn recall(state: &Path, name: &str) -> io::Result<Book> {
    let text = match files::read(&path(state, name), MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        text => text?,
    };
    let json = Json::parse(Bytes::from(text)).map_err(io::Error::other)?;
    serde_json::from_value(json.view().to_value()).map_err(io::Error::other)
}

/// Changes what is kept of a server, while nobody else does.
pub fn update(state: &Path, name: &str, change: impl FnOnce(&mut Book)) -> io::Result<()> {
    files::private_directory(state)?;
    files::private_directory(&state.join(DIRECTORY))?;
    let _held = files::hold_within(&state.join(LOCK), PATIENCE)?;
    let mut book = recall(state, name)?;
    change(&mut book);
    files::replace(&path(state, name), Json::of(&book).bytes(), Readers::Owner)
}

/// Forgets what a server asked for.
pub fn forget(state: &Path, name: &str) -> io::Result<()> {
    files::remove(&path(state, name))
}

/// The servers of which something is kept, sorted.
pub fn names(state: &Path) -> io::Result<Vec<String>> {
    let paths = files::list(&state.join(DIRECTORY), ENDING)?;
    Ok(paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(ENDING)?.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(path: &str) -> Wish {
        Wish { path: path.to_owned(), want: Want::Read, at_home: false }
    }

    fn world() -> World {
        World { home: Some("/home/me".into()), own: vec!["/s".into()] }
    }

    #[test]
    fn what_was_heard_is_kept_over_runs_and_what_is_given_is_dropped() {
        let dir = tempfile::tempdir().expect("dir");
        let learn = || Learning::new(dir.path(), "a", world());
        let first = learn();
        first.begin(|_| false);
        first.want(wish("/x/one"));
        first.call("a.example", Some(443));
        first.end();
        assert_eq!(first.finish(Duration::ZERO).expect("kept").wishes.len(), 1);
        let second = learn();
        second.begin(|wish| wish.path == "/x/one");
        second.want(wish("/x/two"));
        let book = second.finish(Duration::from_millis(1)).expect("kept, though it still runs");
        assert_eq!(book.wishes.into_iter().collect::<Vec<_>>(), [wish("/x/two")]);
        assert_eq!((book.calls.len(), book.missed), (1, 0));
        assert_eq!(names(dir.path()).expect("names"), ["a"]);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path(dir.path(), "a")), mode(&dir.path().join(DIRECTORY))), (0o600, 0o700));
        forget(dir.path(), "a").expect("removed");
        assert!(recall(dir.path(), "a").expect("nothing").is_empty());
    }

    #[test]
    fn a_flood_is_bounded_and_hides_nothing_that_has_a_name() {
        let dir = tempfile::tempdir().expect("dir");
        let learning = Learning::new(dir.path(), "a", world());
        for number in 0..10_000 {
            learning.want(wish(&format!("/x/{number}")));
            learning.call(&format!("{number}.example"), None);
        }
        learning.want(wish(&format!("/{}", "x".repeat(PATH_BYTES))));
        learning.want(wish("/home/me/.ssh/id_ed25519"));
        let book = learning.finish(Duration::ZERO).expect("kept");
        assert!((PATHS..=PATHS + NAMED).contains(&book.wishes.len()) && book.calls.len() == HOSTS);
        assert!(book.wishes.contains(&wish("/home/me/.ssh/id_ed25519")));
        assert!(book.missed >= u64::try_from(10_000 - PATHS + 10_000 - HOSTS + 1).expect("a number"), "{}", book.missed);
    }
}
