//! Other files that must not lose a line: written like the journal, one per process, tied by the same chain.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_monitor::journal::Verifier;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use super::begin;
use super::read::{self, Lines};
use super::sync::Syncer;
use super::writer::Writer;
use crate::clock;
use crate::config::files;

/// A file of this process that only grows.
#[derive(Debug)]
pub struct Notebook {
    path: PathBuf,
    writer: Arc<Writer>,
    syncer: Syncer,
}

/// A notebook that was found.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its lines, or why they cannot be trusted. A last line that was cut off is none.
    pub lines: io::Result<Vec<Json>>,
    /// Whether the process that writes it is alive.
    pub live: bool,
}

impl Notebook {
    /// Begins one. For as long as it is open, others see that its process lives.
    pub fn begin(directory: &Path) -> io::Result<Self> {
        let (path, file) = begin(directory)?;
        let writer = Arc::new(Writer::new(file.try_clone()?));
        Ok(Self { path, syncer: Syncer::start(file, writer.clone())?, writer })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line and returns its number. After an error every later line is the same error.
    pub fn append(&self, members: &Json) -> Result<u64, String> {
        self.writer.append(clock::now_ms(), None, members)
    }

    /// Waits until a line is on disk.
    pub async fn on_disk(&self, line: u64) -> Result<(), String> {
        self.syncer.wait_for(line).await
    }

    /// Puts everything on disk.
    pub fn flush(&self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The notebooks of a directory, the oldest first.
pub fn all(directory: &Path) -> io::Result<Vec<Found>> {
    files::list(directory, read::ENDING)?.into_iter().map(one).collect()
}

fn one(path: PathBuf) -> io::Result<Found> {
    // Looked at before it is read: what its process writes in between is then read, or the process is taken to live.
    let live = read::is_live(&path)?;
    Ok(Found { lines: lines(&path), path, live })
}

fn lines(path: &Path) -> io::Result<Vec<Json>> {
    let (mut file, mut verifier, mut found) = (Lines::open(path)?, Verifier::default(), Vec::new());
    while let Some(line) = file.next_line()? {
        verifier.line(&line).map_err(io::Error::other)?;
        found.push(Json::parse(Bytes::from(line)).map_err(|error| io::Error::other(error.to_string()))?);
    }
    Ok(found)
}
