//! Listens to what a confined server asks for, and keeps what it did not get.
//!
//! One thread lets every call go on at once and does nothing else that takes time; another looks at what was asked
//! for. So nothing that a server can measure depends on what there is on this machine.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use bartizan_sandbox::{Asked, Confinement, HOME, Inside, Recorder, What};

use crate::clock::Stopwatch;
use crate::learn::{Learning, PATH_BYTES, Want, Wish};

/// How much may wait to be looked at.
const WAITING: usize = 8192;
/// How much is remembered as looked at.
const SEEN: usize = 4096;
/// How long nothing new is asked for until what is known is written down.
const QUIET: Duration = Duration::from_millis(200);

/// A server's own places, where it gets what it asks for whatever that is called.
const OWN: &[&str] = &["/proc", "/sys", "/dev"];
/// Scratch space of its own.
const SCRATCH: &[&str] = &["/tmp", "/dev/shm"];

/// How long what is known may wait to be written down.
const OFTEN: Duration = Duration::from_secs(2);

type Heard = (Asked, Option<Arc<Inside>>);

/// Listens until the server and all that it started are gone.
pub(super) fn follow(recorder: Recorder, learning: &Arc<Learning>, confinement: Confinement) {
    let (send, heard) = sync_channel(WAITING);
    learning.begin(|wish| !wish.at_home && confinement.gives(Path::new(&wish.path), what(wish.want)));
    let ear = learning.clone();
    std::thread::spawn(move || listen(&recorder, &ear, &send));
    let judge = Judge { learning: learning.clone(), confinement };
    std::thread::spawn(move || {
        judge.look(&heard);
        judge.learning.end();
    });
}

fn listen(recorder: &Recorder, learning: &Learning, send: &SyncSender<Heard>) {
    let mut seen = HashSet::new();
    recorder.listen(|asked, inside| {
        if asked.path.as_os_str().len() > PATH_BYTES {
            return learning.miss();
        }
        if seen.len() >= SEEN {
            seen.clear();
        }
        if seen.contains(&asked) {
            return;
        }
        match send.try_send((asked.clone(), inside.cloned())) {
            Ok(()) => drop(seen.insert(asked)),
            // Waiting would tell the server how long looking takes. That something is missing is said.
            Err(_) => learning.miss(),
        }
    });
}

const fn what(want: Want) -> What {
    match want {
        Want::Look => What::Look,
        Want::Read => What::Read,
        Want::Make => What::Make,
        Want::Write => What::Write,
        Want::Run => What::Run,
    }
}

const fn want(what: What) -> Want {
    match what {
        What::Look => Want::Look,
        What::Read => Want::Read,
        What::Make => Want::Make,
        What::Write => Want::Write,
        What::Run => Want::Run,
    }
}

/// Tells what a server got from what it did not get.
struct Judge {
    learning: Arc<Learning>,
    confinement: Confinement,
}

impl Judge {
    fn look(&self, heard: &Receiver<Heard>) {
        let mut kept = Stopwatch::start();
        loop {
            let next = heard.recv_timeout(QUIET);
            if let Ok((asked, inside)) = &next
                && let Some(wish) = self.wish(asked, inside.as_deref())
            {
                self.learning.want(wish);
            }
            match next {
                // Who never pauses is written down, too.
                Ok(_) if kept.elapsed() < OFTEN => {}
                Ok(_) | Err(RecvTimeoutError::Timeout) => {
                    self.keep();
                    kept = Stopwatch::start();
                }
                Err(RecvTimeoutError::Disconnected) => return self.keep(),
            }
        }
    }

    fn keep(&self) {
        if let Err(error) = self.learning.keep() {
            tracing::warn!(%error, "what a server asks for cannot be kept");
        }
    }

    /// What was not given of what was asked for, if it is there to be given.
    fn wish(&self, asked: &Asked, inside: Option<&Inside>) -> Option<Wish> {
        let Asked { path, what } = asked;
        if OWN.iter().any(|own| path.starts_with(own)) || self.is_given(path, *what, inside) {
            return None;
        }
        if let Ok(rest) = path.strip_prefix(HOME) {
            return self.at_home(rest, *what);
        }
        let is_there = path.symlink_metadata().is_ok();
        let (path, what) = match what {
            What::Look | What::Read | What::Run | What::Make | What::Write if is_there => (path.clone(), *what),
            // What is new is made in its directory. The names of what is new are without number, directories are not.
            What::Make | What::Write => (path.parent().filter(|above| above.is_dir())?.to_owned(), What::Write),
            What::Look | What::Read | What::Run => return None,
        };
        wish(path, what)
    }

    /// Whether it has that: by name, or because it stands in the root that it sees.
    fn is_given(&self, path: &Path, what: What, inside: Option<&Inside>) -> bool {
        match what {
            What::Look | What::Read | What::Make if inside.is_some_and(|inside| inside.has(path)) => true,
            // Run-times have links among their own files that lead out to the machine's settings.
            What::Look | What::Read => self.confinement.gives(path, What::Read),
            What::Make => false,
            What::Write => self.confinement.gives(path, what) || SCRATCH.iter().any(|scratch| path.starts_with(scratch)),
            What::Run => {
                let real = path.canonicalize();
                self.confinement.gives(path, what) || real.is_ok_and(|real| self.confinement.gives(&real, what))
            }
        }
    }

    /// A server's home is an empty directory. What it looks for there is told if it is a secret of a person.
    fn at_home(&self, rest: &Path, what: What) -> Option<Wish> {
        let path = self.learning.home()?.join(rest);
        if !self.learning.is_named(&path) || path.symlink_metadata().is_err() {
            return None;
        }
        wish(path, what).map(|wish| Wish { at_home: true, ..wish })
    }
}

/// What is no text cannot be written into a configuration.
fn wish(path: PathBuf, what: What) -> Option<Wish> {
    Some(Wish { path: path.into_os_string().into_string().ok()?, want: want(what), at_home: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::World;

    #[test]
    fn a_wish_is_for_what_is_there_and_was_not_given() {
        let dir = tempfile::tempdir_in("/var/tmp").expect("dir");
        let root = dir.path().canonicalize().expect("real");
        let learning = Arc::new(Learning::new(&root, "a", World { home: Some(root.clone()), own: Vec::new() }));
        let confinement = Confinement { write: vec![root.join("mine")], run: vec!["/usr/bin/env".into()], ..Confinement::default() };
        let judge = Judge { learning, confinement };
        crate::config::files::private_directory(&root.join(".ssh/id")).expect("made");
        let told = |path: PathBuf, what| judge.wish(&Asked { path, what }, None).map(|wish| (wish.want, wish.path, wish.at_home));
        let text = root.to_str().expect("text").to_owned();
        assert_eq!(told(root.clone(), What::Look), Some((Want::Look, text.clone(), false)));
        assert_eq!(told(root.join("nothing"), What::Read), None);
        assert_eq!(told(root.join("new"), What::Write), Some((Want::Write, text.clone(), false)));
        assert_eq!(told(root.join("no/new"), What::Make), None);
        for (path, what) in [
            (root.join("mine/x"), What::Write),
            ("/tmp/x".into(), What::Write),
            ("/usr/bin/env".into(), What::Run),
            ("/proc/1/mem".into(), What::Read),
        ] {
            assert_eq!(told(path, what), None);
        }
        let key = format!("{text}/.ssh/id");
        assert_eq!(told(Path::new(HOME).join(".ssh/id"), What::Read), Some((Want::Read, key, true)));
        assert_eq!(told(Path::new(HOME).join("mine"), What::Read), None);
    }
}
