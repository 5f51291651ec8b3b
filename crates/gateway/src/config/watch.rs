//! A file that every message asks for: looked at, and read again when it changed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::files::Mark;
use crate::clock::Stopwatch;

/// For how long a look is as good as another one. What takes longer than that (a slow body, a list that a
/// server does not send) ends in a new look.
const GOOD: Duration = Duration::from_millis(5);

/// What stands in a file, and how the file looked before it was read; no look when it could not be used, because it may
/// look the same when it can be.
pub type Seen<T> = (Option<Mark>, T);

/// Reads a file. Is told what was found before, so that a failure that lasts is told once.
pub type Read<T> = fn(&Path, Option<&Seen<T>>) -> Seen<T>;

/// A file and what was read of it.
#[derive(Debug)]
pub struct Watch<T> {
    path: PathBuf,
    read: Read<T>,
    current: ArcSwap<Seen<T>>,
    // Held while reading, so that a change is read once and not by every waiting message, and so that nothing old
    // takes the place of something newer.
    reading: Mutex<()>,
    opened: Stopwatch,
    /// When the last look began that found what is current, in nanoseconds since this was opened.
    looked: AtomicU64,
}

impl<T> Watch<T> {
    /// Reads a file for the first time. `read` looks at it before it reads it, so that a change in between shows at
    /// the next look.
    pub fn open(path: PathBuf, read: Read<T>) -> Self {
        let opened = Stopwatch::start();
        let current = ArcSwap::from_pointee(read(&path, None));
        Self { path, read, current, reading: Mutex::new(()), opened, looked: AtomicU64::new(0) }
    }

    /// What stands in the file at this moment.
    pub fn now(&self) -> Arc<Seen<T>> {
        let begun = nanos(self.opened.elapsed());
        let found = self.look();
        // After what was found is there for everybody.
        self.looked.fetch_max(begun, Ordering::AcqRel);
        found
    }

    /// What stands in the file, for a message that came when `arrived` began to run: a look that began after that and
    /// is a few milliseconds old is enough, whichever message it was for. So a message sees every change that was
    /// whole when it came.
    pub fn since(&self, arrived: Stopwatch) -> Arc<Seen<T>> {
        // In this order: a moment between the two clocks makes a look seem older, never younger.
        let here = arrived.elapsed();
        let looked = Duration::from_nanos(self.looked.load(Ordering::Acquire));
        let age = self.opened.elapsed().saturating_sub(looked);
        if age < here && age < GOOD { self.current.load_full() } else { self.now() }
    }

    fn look(&self) -> Arc<Seen<T>> {
        let current = self.current.load_full();
        if current.0 == Some(Mark::of(&self.path)) {
            return current;
        }
        // A panic while reading left nothing half done: the value is swapped whole.
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load_full();
        if current.0 == Some(Mark::of(&self.path)) {
            return current;
        }
        let fresh = Arc::new((self.read)(&self.path, Some(&current)));
        self.current.store(fresh.clone());
        fresh
    }
}

fn nanos(of: Duration) -> u64 {
    u64::try_from(of.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::files::{Readers, read, replace};

    fn watch(path: &Path) -> Watch<String> {
        Watch::open(path.to_owned(), |path, _| (Some(Mark::of(path)), read(path, 100).unwrap_or_default()))
    }

    fn write(path: &Path, content: &str) {
        replace(path, content.as_bytes(), Readers::Owner).expect("written");
    }

    #[test]
    fn a_message_sees_every_change_that_was_whole_when_it_came() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        let watch = watch(&path);
        for number in 0..200 {
            watch.now();
            write(&path, &number.to_string());
            let arrived = Stopwatch::start();
            assert_eq!(watch.since(arrived).1, number.to_string(), "however young the look before it is");
        }
    }

    #[test]
    fn a_message_looks_once_unless_it_takes_long() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        write(&path, "old");
        let mut watch = watch(&path);
        let arrived = Stopwatch::start();
        watch.since(arrived);
        // Whoever reads again would find something else.
        watch.path = dir.path().join("missing");
        let (found, late) = (watch.since(arrived).1.clone(), arrived.elapsed() >= GOOD);
        assert!(found == "old" || late, "one look for two questions");
        std::thread::sleep(GOOD);
        assert_eq!(watch.since(arrived).1, "", "what takes long is judged by what holds now");
    }
}
