//! What was done: calls that change something, remembered so that none is made twice.
//!
//! A call is *running* from the moment the control `once` claims it, *done* when the server answered it, and forgotten
//! when the server said that it did not happen or when it never left. In between lies what nobody can know: it went
//! out, and no answer came. That is *ambiguous*, and stays so until a person says otherwise or a day has passed.
//!
//! START HERE: [`Store`] is one of two. A [`Record`] remembers for its process, in a file of its own (`once/file.rs`), and
//! takes over what processes before it left behind. [`shared::Shared`] remembers in a database, with other gateways.

mod entry;
mod file;
pub mod shared;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod turns;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bartizan_monitor::case::{Answered, Before, Claim, Deed, Deeds};
use bartizan_monitor::controls::once::Config;
use bartizan_monitor::lock::Repeats;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use tokio::sync::Notify;

use crate::clock;
use entry::State;
use file::File;
pub use file::{Shown, forget, list};
pub use store::Store;
use table::{Ended, Table};
pub use turns::Turn;
use turns::Turns;

/// How often what other processes did, and what people cleared, is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What was done, as this process knows it.
#[derive(Debug)]
pub struct Record {
    me: Weak<Self>,
    rules: Config,
    book: Mutex<Book>,
    /// How many calls run. Nobody waits for anything while it is nothing.
    running: AtomicUsize,
    ended: Notify,
    turns: Turns,
}

#[derive(Debug)]
struct Book {
    table: Table,
    /// Where it is written down, or why it cannot be: then nothing is done any more.
    file: Result<File, String>,
}

impl Record {
    /// What processes before this one did, over a state directory. When it cannot be read, the gateway starts all the
    /// same, and makes no call that changes something.
    #[must_use]
    pub fn open(state: &Path, rules: Config) -> Arc<Self> {
        let mut table = Table::new(rules);
        let file = File::open(state, &mut table, clock::now_ms()).map_err(|error| {
            tracing::error!(%error, "what was done before cannot be read: no call that changes something is made until it is mended and the gateway started again");
            error.to_string()
        });
        let (book, running) = (Mutex::new(Book { table, file }), AtomicUsize::new(0));
        Arc::new_cyclic(|me| Self { me: me.clone(), rules, book, running, ended: Notify::new(), turns: Turns::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Whoever panicked may have changed one of table and file: what is in the file counts, and it is the stricter one.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether calls run that another one could be a repeat of.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.running.load(Ordering::Acquire) > 0
    }

    /// Waits until a call of this key does not run any more, and it is this one's turn; no longer than configured.
    pub async fn turn(&self, key: Digest) -> Turn {
        let wait = Duration::from_secs(self.rules.wait_seconds.into());
        let waited = tokio::time::timeout(wait, async {
            let permit = self.turns.of(key).acquire_owned().await.ok();
            loop {
                let ended = self.ended.notified();
                tokio::pin!(ended);
                // Enlisted before it is looked: an end in between is heard.
                ended.as_mut().enable();
                if !self.book().table.runs(&key) {
                    return permit;
                }
                ended.await;
            }
        });
        Turn { permit: waited.await.ok().flatten(), asked: None }
    }

    /// Has a claimed call on disk. Nothing leaves before.
    pub async fn recorded(&self, call: u64) -> Result<(), String> {
        let (file, line) = {
            let mut book = self.book();
            let Book { table, file } = &mut *book;
            let file = file.as_mut().map_err(|error| error.clone())?;
            // What was claimed and is not in the table any more was never claimed.
            let entry = table.note(call).ok_or("the call is not remembered")?;
            file.append(&entry.begun())?
        };
        file.on_disk(line).await
    }

    /// Looks at what other processes did, and at what people cleared, for ever.
    pub async fn keep(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let own = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || own.look()).await {
                tracing::error!(%error, "what was done was not looked after");
            }
        }
    }

    fn look(&self) {
        let now_ms = clock::now_ms();
        let mut book = self.book();
        let Book { table, file } = &mut *book;
        let Ok(file) = file else { return };
        table.expire(now_ms);
        if let Err(error) = file.look(table, now_ms) {
            tracing::error!(%error, "what was done by others, or cleared by people, cannot be read");
        }
        if let Err(error) = file.compact(table) {
            tracing::error!(%error, "what was done could not be written anew; the old file grows on");
        }
        drop(book);
        self.ended.notify_waiters();
    }

    /// A call ended: in which state it is, or nothing when it did not happen.
    fn end(&self, (key, call): (Digest, u64), left: bool, state: Option<State>) {
        let mut book = self.book();
        let Book { table, file } = &mut *book;
        let state = state.filter(|_| left);
        let ended = table.end((key, call), state, clock::now_ms());
        if matches!(ended, Ended::Unknown) {
            return;
        }
        self.running.fetch_sub(1, Ordering::AcqRel);
        // A call that never left may stand in the file as begun; that it ended has to stand there, too. One that cannot
        // be written down is ambiguous at the next start.
        if let (Ok(file), Ended::Told(line)) = (file, ended)
            && let Err(error) = file.append(&line)
        {
            tracing::error!(%error, "how a call ended is not written down");
        }
        drop(book);
        self.ended.notify_waiters();
    }
}

impl Deeds for Record {
    fn claim(&self, deed: Deed) -> (Before, Option<Arc<dyn Claim>>) {
        if !deed.named && deed.repeats == Repeats::Key {
            return (Before::Claimed, None);
        }
        let (key, call) = (deed.key, deed.call);
        let mut book = self.book();
        let (Ok(_), Some(record)) = (&book.file, self.me.upgrade()) else { return (Before::Lost, None) };
        let (before, replay) = book.table.claim(deed);
        drop(book);
        if before != Before::Claimed {
            return (before, None);
        }
        if replay.is_none() {
            record.running.fetch_add(1, Ordering::AcqRel);
        }
        let claim = Claimed { record, key, call, replay, left: AtomicBool::new(false), over: AtomicBool::new(false) };
        (before, Some(Arc::new(claim)))
    }
}

/// A claimed call.
#[derive(Debug)]
struct Claimed {
    record: Arc<Record>,
    key: Digest,
    call: u64,
    replay: Option<(u64, Json)>,
    /// Whether the server may have it.
    left: AtomicBool,
    /// Whether it is known what became of it.
    over: AtomicBool,
}

impl Claimed {
    fn end(&self, state: Option<State>) {
        if self.replay.is_none() && !self.over.swap(true, Ordering::AcqRel) {
            self.record.end((self.key, self.call), self.left.load(Ordering::Acquire), state);
        }
    }
}

impl Claim for Claimed {
    fn replay(&self) -> Option<(u64, Json)> {
        self.replay.clone()
    }

    fn leaves(&self) {
        self.left.store(true, Ordering::Release);
    }

    fn spared(&self) {
        self.left.store(false, Ordering::Release);
    }

    fn answered(&self, answer: Answered, body: &Json) {
        self.end(match answer {
            Answered::Done => Some(State::Done(Some(body.clone()))),
            Answered::Not => None,
        });
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.end(Some(State::Ambiguous));
    }
}

/// Where the record of a state directory is.
fn directory(state: &Path) -> PathBuf {
    state.join("once")
}

/// An error of ours.
fn broken(path: &Path, what: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {what}", path.display()))
}
