//! Where a granted name really leads: for mechanisms that are told names, and open them themselves.

use std::fs::FileType;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType as Type, fstat};

use crate::ward::strict;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket, a device, a pipe: whoever opens it speaks with somebody.
    Other,
}

/// A place that somebody granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name without any symbolic link.
    pub path: PathBuf,
    /// What stands there.
    pub kind: Kind,
}

/// Follows a name as the confinement does: step by step, and over no symbolic link that a server could have made.
pub fn place(path: &Path) -> io::Result<Place> {
    let open = strict::open(Path::new("/"), path)?;
    let kind = match Type::from_raw_mode(fstat(&open)?.st_mode) {
        Type::RegularFile => Kind::File,
        Type::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    let path = std::fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd()))?;
    Ok(Place { path, kind })
}

/// Looks for a socket in a directory and what is below it, at no more than `most` names.
pub fn socket_below(directory: &Path, most: usize) -> io::Result<Option<PathBuf>> {
    let mut rest = vec![directory.to_owned()];
    let mut seen = 0_usize;
    while let Some(directory) = rest.pop() {
        #[expect(clippy::disallowed_methods, reason = "names only: what is granted is looked through before it is handed on")]
        let entries = std::fs::read_dir(&directory)?;
        for entry in entries {
            let entry = entry?;
            seen = seen.saturating_add(1);
            if seen > most {
                return Err(io::Error::other(format!("more than {most} files; not all of them can be looked at")));
            }
            let kind: FileType = entry.file_type()?;
            if kind.is_socket() {
                return Ok(Some(entry.path()));
            }
            if kind.is_dir() {
                rest.push(entry.path());
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test makes its own files, and removes them")]
    fn links_of_ours_are_not_followed_and_sockets_are_found() {
        let folder = std::env::temp_dir().canonicalize().expect("real").join(format!("bartizan-place-{}", std::process::id()));
        let at = |name: &str| folder.join(name);
        std::fs::DirBuilder::new().recursive(true).create(at("a/b")).expect("a directory");
        std::os::unix::fs::symlink("a", at("link")).expect("a link");
        assert_eq!(place(&at("a/b")).expect("there"), Place { path: at("a/b"), kind: Kind::Directory });
        assert!(place(&at("link/b")).is_err() && place(&at("none")).is_err());
        assert_eq!(socket_below(&at("."), 10).expect("looked"), None);
        let listener = std::os::unix::net::UnixListener::bind(at("a/b/s")).expect("bound");
        assert_eq!(place(&at("a/b/s")).expect("there").kind, Kind::Other);
        assert_eq!(socket_below(&at(""), 10).expect("looked").expect("found").file_name(), at("a/b/s").file_name());
        assert!(socket_below(&at(""), 2).is_err());
        drop(listener);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
