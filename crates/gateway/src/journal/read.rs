//! Reading journals: for people, auditors, and whoever closes what was left open.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use bartizan_monitor::journal::{Break, Chain, Summary, Verifier};
use bartizan_monitor::wire::canonical::Digest;

use crate::config::files;

pub(super) const ENDING: &str = ".jsonl";

/// No line of ours is longer; a file with one is not a journal.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// The journal files of a state directory, the oldest first.
pub fn all(state: &Path) -> io::Result<Vec<PathBuf>> {
    files::list(&super::directory(state), ENDING)
}

/// Lines of a file that grows, without their line feeds.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<File>,
    // The part of a line that is there already.
    begun: Vec<u8>,
}

impl Lines {
    /// Opens a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::with_capacity(1 << 16, files::open(path)?), begun: Vec::new() })
    }

    /// The next whole line. `None` at the end, where more may come later.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let room = MAX_LINE.saturating_sub(u64::try_from(self.begun.len()).unwrap_or(u64::MAX));
        self.reader.by_ref().take(room).read_until(b'\n', &mut self.begun)?;
        if self.begun.last() == Some(&b'\n') {
            self.begun.pop();
            return Ok(Some(std::mem::take(&mut self.begun)));
        }
        if u64::try_from(self.begun.len()).is_ok_and(|length| length >= MAX_LINE) {
            return Err(io::Error::other("a line is too long for a journal"));
        }
        Ok(None)
    }

    /// How much of a line stands at the end without a line feed.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.begun.len()
    }
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With a whole line.
    Whole,
    /// In the middle of one; how many bytes are before it. A crash does that, and a running gateway
    /// may look like that for a moment.
    Cut(u64),
}

/// What verifying a file found.
#[derive(Debug)]
pub struct Verified {
    /// What it holds, up to the break if there is one.
    pub summary: Summary,
    /// Where its chain ends.
    pub chain: Chain,
    /// Where and why it does not verify.
    pub broken: Option<Break>,
    /// How it ends.
    pub tail: Tail,
    /// Whether its last line is the one that a gateway writes when it ends.
    pub ended: bool,
    /// Which of the heads that were asked for are in it.
    pub met: Vec<Digest>,
}

/// Verifies a file: every line is tied to the one before it, and no call is closed twice. `heads` are
/// digests of lines that were noted earlier.
pub fn verify(path: &Path, heads: &[Digest]) -> io::Result<Verified> {
    let mut lines = Lines::open(path)?;
    let (mut verifier, mut broken, mut whole) = (Verifier::default(), None, 0_u64);
    let (mut ended, mut met) = (false, Vec::new());
    while let Some(line) = lines.next_line()? {
        if let Err(found) = verifier.line(&line) {
            broken = Some(found);
            break;
        }
        let head = verifier.chain().head();
        met.extend(heads.iter().filter(|wanted| **wanted == head));
        ended = is_end(&line);
        whole = whole.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX)).saturating_add(1);
    }
    let tail = if broken.is_some() || lines.rest() == 0 { Tail::Whole } else { Tail::Cut(whole) };
    Ok(Verified { chain: verifier.chain(), summary: verifier.summary(), broken, tail, ended, met })
}

/// Whether a line is the last one of a file that was ended.
pub(super) fn is_end(line: &[u8]) -> bool {
    line.ends_with(br#","event":"end"}"#)
}

/// Whether the process that writes a file is alive.
pub fn is_live(path: &Path) -> io::Result<bool> {
    Ok(matches!(files::open(path)?.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}
