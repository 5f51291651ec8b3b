//! Digests of files and of everything below a directory: what is there, and not what somebody says of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use crate::config::files;

/// How many files a tree may have. One that is larger is not a server.
const MAX_FILES: usize = 200_000;

/// What changes when a file does: device, inode, size, and when its content or its entry was changed last. The
/// kernel alone sets the last.
type Mark = (u64, u64, u64, i64, i64, i64, i64);

/// Files that were read before and have not changed since. One process starts the same server for every session.
static KNOWN: LazyLock<Mutex<HashMap<PathBuf, (Mark, String)>>> = LazyLock::new(Mutex::default);

/// The digest of a file's content, `sha256:…`.
pub(super) fn file(path: &Path) -> io::Result<String> {
    let mut open = files::open(path)?;
    let mark = mark(&open.metadata()?);
    let known =
        |known: &HashMap<PathBuf, (Mark, String)>| known.get(path).filter(|(old, _)| *old == mark).map(|(_, digest)| digest.clone());
    if let Some(digest) = known(&KNOWN.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(digest);
    }
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match open.read(&mut buffer)? {
            0 => break,
            read => context.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let digest = shown(context);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), (mark, digest.clone()));
    Ok(digest)
}

fn mark(data: &std::fs::Metadata) -> Mark {
    (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec())
}

fn shown(context: Context) -> String {
    let mut text = "sha256:".to_owned();
    for byte in context.finish().as_ref() {
        // Infallible on a String.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The digest of a text, `sha256:…`.
pub(super) fn text(text: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    shown(context)
}

/// Writes a line for every file below a directory, sorted by name: its place below the root and its digest.
/// `skip` names what is left out, by its place. A link that leads out of the root is an error.
pub(super) fn list(root: &Path, below: &Path, skip: &dyn Fn(&Path) -> bool) -> io::Result<Vec<String>> {
    let real = root.canonicalize()?;
    let (mut open, mut lines) = (vec![below.to_owned()], Vec::new());
    while let Some(directory) = open.pop() {
        #[expect(clippy::disallowed_methods, reason = "what a server is made of is looked at here, and only here")]
        let entries = std::fs::read_dir(root.join(&directory))?;
        for entry in entries {
            let entry = entry?;
            let place = directory.join(entry.file_name());
            if skip(&place) {
                continue;
            }
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                open.push(place);
                continue;
            }
            if lines.len() >= MAX_FILES {
                return Err(io::Error::other(format!("there are more than {MAX_FILES} files")));
            }
            if kind.is_symlink() && !path.canonicalize().is_ok_and(|target| target.starts_with(&real)) {
                return Err(io::Error::other(format!("{} is a link that leads out of {}", place.display(), root.display())));
            }
            let said = if kind.is_symlink() { format!("-> {}", path.read_link()?.display()) } else { file(&path)? };
            lines.push(format!("{} {said}", place.display()));
        }
    }
    lines.sort();
    Ok(lines)
}

/// Removes a directory and everything below it, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "an installation that was not finished is thrown away")]
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes a file, if it is there.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the mark of an installation that is thrown away")]
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;

    #[test]
    fn a_tree_is_all_that_is_in_it() {
        let dir = tempfile::tempdir().expect("dir");
        let at = |name: &str| dir.path().join(name);

        put(&at("a/b/f"), "one");
        put(&at("a/g"), "two");
        std::os::unix::fs::symlink("b/f", at("a/link")).expect("link");
        let all = |skip: &dyn Fn(&Path) -> bool| list(dir.path(), Path::new("a"), skip).expect("tree");
        let before = all(&|_| false);
        assert_eq!(before.len(), 3, "{before:?}");
        assert_eq!(before[2], "a/link -> b/f");
        assert_eq!(all(&|place| place.ends_with("b")).len(), 2);
        put(&at("a/b/f"), "eno");
        assert_ne!(all(&|_| false), before, "same size, other content");
        std::os::unix::fs::symlink("/etc/hostname", at("a/out")).expect("link");
        assert!(list(dir.path(), Path::new("a"), &|_| false).is_err());
    }
}
