//! The journal on disk: no record, no call.
//!
//! Every process writes a file of its own, `journal/<time>-<process>.jsonl` in the state directory,
//! with a hash chain of its own. A line is one `write(2)`, so that a crash cuts at most the last one.
//! After a failed write nothing is recorded any more, and so no call leaves any more.

pub mod browse;
pub mod notebook;
pub mod read;
mod recover;
mod sync;
mod writer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bartizan_monitor::journal::{Ledger, Receipt, Ticket};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;

use crate::clock::{self, Stopwatch};
use crate::config::files;
use crate::secrets::Holdings;
use sync::Syncer;
use writer::Writer;

/// How sure a record must be before the call may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Handed to the operating system: survives the end of this process.
    Written,
    /// On the disk: survives the end of the machine.
    OnDisk,
}

/// A journal that cannot be used. Nothing starts without one.
#[derive(Debug, thiserror::Error)]
#[error("the journal in {} cannot be used: {error}", path.display())]
pub struct JournalError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// The directory of the journal's files.
#[must_use]
pub fn directory(state: &Path) -> PathBuf {
    state.join("journal")
}

/// The journal of this process.
#[derive(Debug)]
pub struct Journal {
    writer: Arc<Writer>,
    syncer: Syncer,
    calls: AtomicU64,
    /// What the words of others are looked through for.
    holdings: OnceLock<Arc<Holdings>>,
}

impl Journal {
    /// Begins a file of this process. Records that other processes left open, because they were
    /// killed, are closed first; what cannot be closed is left for `bartizan audit verify` to show.
    pub fn open(state: &Path) -> Result<Arc<Self>, JournalError> {
        let directory = directory(state);
        let fail = |error| JournalError { path: directory.clone(), error };
        files::private_directory(state).and_then(|()| files::private_directory(&directory)).map_err(fail)?;
        recover::all(&directory).map_err(fail)?;
        let (_, file) = begin(&directory).map_err(fail)?;
        let journal = Self::on(file).map_err(fail)?;
        journal.note(&Json::object([("event", Json::string("begin")), ("pid", Json::of(&std::process::id()))]));
        if let Some(reason) = journal.writer.dead() {
            return Err(fail(io::Error::other(reason)));
        }
        Ok(journal)
    }

    /// A journal in a file that is open for appending and empty.
    fn on(file: File) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Writer::new(file.try_clone()?));
        let syncer = Syncer::start(file, writer.clone())?;
        // 20 bits of calls per millisecond of the start: two processes do not give the same number.
        let calls = AtomicU64::new(clock::now_ms() << 20);
        Ok(Arc::new(Self { writer, syncer, calls, holdings: OnceLock::new() }))
    }

    /// From now on what servers and clients said is written down without the secrets in it.
    pub(crate) fn cover_with(&self, holdings: Arc<Holdings>) {
        let _ = self.holdings.set(holdings);
    }

    fn covered(&self, members: &Json) -> Option<Json> {
        self.holdings.get()?.covered_record(members)
    }

    /// Opens the record of a call. Whatever happens to it, the record is closed.
    pub fn ticket(self: &Arc<Self>) -> Ticket {
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        Ticket::open(id, Box::new(Entry { journal: self.clone(), since: Stopwatch::start() }))
    }

    /// Writes a decision down. The receipt is what lets the call leave; the error says why there is none.
    pub async fn record(&self, decision: &Json, durability: Durability) -> Result<Receipt, String> {
        let line = self.writer.append(clock::now_ms(), None, decision)?;
        if durability == Durability::OnDisk {
            self.syncer.wait_for(line).await?;
        }
        Ok(Receipt::assertion(Digest::of_bytes(decision.bytes())))
    }

    /// Writes something down that is not a call: start and end, drift, a server that died.
    pub fn note(&self, members: &Json) {
        if let Err(error) = self.must_note(members) {
            tracing::error!(%error, "a note is not in the journal");
        }
    }

    /// The same for what may only happen when it is written down; the error says why it is not.
    pub fn must_note(&self, members: &Json) -> Result<(), String> {
        let covered = self.covered(members);
        self.writer.append(clock::now_ms(), None, covered.as_ref().unwrap_or(members)).map(drop)
    }

    /// How many lines and bytes this process has written.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.writer.size()
    }

    /// Writes the last line and waits until all is on disk. Calls that still run are closed after it.
    pub fn finish(&self) {
        self.note(&recover::end());
        if let Err(error) = self.writer.flush() {
            tracing::error!(%error, "the end of the journal is not on disk");
        }
    }
}

/// Makes this process's file: held for as long as the process lives, so that others see that it does.
fn begin(directory: &Path) -> io::Result<(PathBuf, File)> {
    let name = format!("{}-{}", clock::utc(clock::now_ms()).replace(['-', ':'], ""), std::process::id());
    // In containers every gateway may have the same process number and start in the same millisecond.
    for attempt in 0..1000_u32 {
        let path = directory.join(if attempt == 0 { format!("{name}.jsonl") } else { format!("{name}-{attempt}.jsonl") });
        match files::create_private(&path) {
            Ok(file) => {
                file.lock()?;
                files::sync_directory(directory)?;
                return Ok((path, file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("every name for a new file is taken"))
}

/// One call's side of the journal.
struct Entry {
    journal: Arc<Journal>,
    since: Stopwatch,
}

impl Ledger for Entry {
    fn close(&self, members: &Json) {
        let covered = self.journal.covered(members);
        let members = covered.as_ref().unwrap_or(members);
        let closed = self.journal.writer.append(clock::now_ms(), Some(self.since.elapsed_us()), members);
        if let Err(error) = closed {
            tracing::error!(%error, record = %members, "a call's closing record is not in the journal; no call leaves any more");
        }
    }
}

#[cfg(test)]
mod tests;
