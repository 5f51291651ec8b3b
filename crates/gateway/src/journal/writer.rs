//! Appending lines: whole, in order, or never again.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard};

use bartizan_monitor::journal::Chain;
use bartizan_monitor::wire::json::Json;

/// The one writer of a file.
#[derive(Debug)]
pub(super) struct Writer {
    page: Mutex<Page>,
}

#[derive(Debug)]
struct Page {
    file: File,
    chain: Chain,
    dead: Option<String>,
}

impl Writer {
    pub(super) fn new(file: File) -> Self {
        Self::resume(file, Chain::default())
    }

    /// Goes on with a file that has lines.
    pub(super) fn resume(file: File, chain: Chain) -> Self {
        Self { page: Mutex::new(Page { file, chain, dead: None }) }
    }

    /// Appends a line and returns its number. After an error every later call is the same error.
    pub(super) fn append(&self, at_ms: u64, elapsed_us: Option<u64>, members: &Json) -> Result<u64, String> {
        let mut page = self.page();
        if let Some(reason) = &page.dead {
            return Err(reason.clone());
        }
        let mut line = page.chain.append(at_ms, elapsed_us, members);
        line.push(b'\n');
        match write_once(&mut page.file, &line) {
            Ok(()) => Ok(page.chain.lines()),
            Err(error) => Err(page.die(&error)),
        }
    }

    /// How many lines have been written.
    pub(super) fn written(&self) -> u64 {
        self.page().chain.lines()
    }

    /// How many lines, and how many bytes, as far as the file says.
    pub(super) fn size(&self) -> (u64, u64) {
        let page = self.page();
        (page.chain.lines(), page.file.metadata().map(|data| data.len()).unwrap_or_default())
    }

    /// Nothing is written any more.
    pub(super) fn kill(&self, error: &io::Error) -> String {
        self.page().die(error)
    }

    /// Why nothing is written any more.
    pub(super) fn dead(&self) -> Option<String> {
        self.page().dead.clone()
    }

    /// Waits until all is on disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        let file = self.page().file.try_clone()?;
        file.sync_all()
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        match self.page.lock() {
            Ok(page) => page,
            Err(poisoned) => {
                // Whoever panicked may have left half a line.
                let mut page = poisoned.into_inner();
                page.die(&io::Error::other("a writer panicked"));
                page
            }
        }
    }
}

impl Page {
    fn die(&mut self, error: &io::Error) -> String {
        let reason = self.dead.get_or_insert_with(|| format!("the journal cannot be written: {error}"));
        tracing::error!(%reason, "no call leaves any more: there is no journal");
        reason.clone()
    }
}

/// One write for one line. A part of a line is a failure: another writer of the rest would be a guess.
fn write_once(file: &mut File, line: &[u8]) -> io::Result<()> {
    loop {
        match file.write(line) {
            Ok(length) if length == line.len() => return Ok(()),
            Ok(length) => return Err(io::Error::other(format!("only {length} of {} bytes were written", line.len()))),
            // Nothing was written.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
