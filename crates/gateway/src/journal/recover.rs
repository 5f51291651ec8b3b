//! Closing what a killed process left open.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bartizan_monitor::wire::json::Json;

use super::read::{self, Tail};
use super::writer::Writer;
use crate::clock;
use crate::config::files;

/// How much of a file's end is looked at to see whether it was ended: more than any last line needs.
const LOOK: u64 = 512;

/// The last line of a file.
pub(super) fn end() -> Json {
    Json::object([("event", Json::string("end"))])
}

/// Closes the files of a directory whose processes are gone.
pub(super) fn all(directory: &Path) -> io::Result<()> {
    for path in files::list(directory, read::ENDING)? {
        if let Err(error) = one(&path) {
            tracing::warn!(path = %path.display(), %error, "an old journal file could not be closed; `bartizan audit verify` says more");
        }
    }
    Ok(())
}

fn one(path: &Path) -> io::Result<()> {
    let mut file = files::open_append(path)?;
    if is_ended(&mut file)? {
        return Ok(());
    }
    match file.try_lock() {
        Ok(()) => {}
        // Its process lives.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Looked at again: it may have been closed, or just been made, while nobody held it.
    if file.metadata()?.len() == 0 || is_ended(&mut file)? {
        return Ok(());
    }
    close(path, file)
}

/// Appends a closing record for every open call, and the end. A last line that was cut off goes: its
/// call never left, because its receipt was never given.
fn close(path: &Path, file: File) -> io::Result<()> {
    let verified = read::verify(path, &[])?;
    if let Some(broken) = verified.broken {
        return Err(io::Error::other(broken));
    }
    if let Tail::Cut(whole) = verified.tail {
        file.set_len(whole)?;
    }
    let writer = Writer::resume(file, verified.chain);
    let append = |members: &Json| writer.append(clock::now_ms(), None, members).map_err(io::Error::other);
    for call in &verified.summary.open {
        append(&Json::object([("event", Json::string("closed")), ("call", Json::string(call)), ("outcome", Json::string("interrupted"))]))?;
    }
    append(&end())?;
    writer.flush()
}

fn is_ended(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOK)))?;
    let mut tail = Vec::new();
    file.take(LOOK).read_to_end(&mut tail)?;
    let last = tail.strip_suffix(b"\n").and_then(|tail| tail.rsplit(|byte| *byte == b'\n').next());
    Ok(last.is_some_and(read::is_end))
}
