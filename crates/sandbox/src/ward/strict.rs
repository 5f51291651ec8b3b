//! Opens what an operator granted by name, so that no server decides where that name leads.
//!
//! A server that may write to a directory can put a symbolic link in it, today or for the next start. So a link is
//! followed only where no server could have made it; everything is opened step by step, and what was opened is what
//! is granted, whatever the name means a moment later.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};

use super::root::{MOST_LINKS, names};

/// Others than its owner may write here.
const OTHERS_WRITE: u32 = 0o022;

/// Whether a grant of this name would be given: no server could have made a link on its way.
pub fn can_be_granted(path: &Path) -> io::Result<()> {
    open(Path::new("/"), path).map(drop)
}

/// Opens a path below a root, for a name only (`O_PATH`).
pub(crate) fn open(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let look = |at: &OwnedFd, name: &OsStr| openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let top = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut rest: VecDeque<OsString> = names(path);
    let mut links = 0_u32;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            above.pop();
            continue;
        }
        let at = above.last().unwrap_or(&top);
        let next = look(at, &name)?;
        if FileType::from_raw_mode(fstat(&next)?.st_mode) != FileType::Symlink {
            above.push(next);
            continue;
        }
        links = links.saturating_add(1);
        if links > MOST_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        if !above.is_empty() && !is_ours_to_trust(at, &next)? {
            let why = format!("{} is a symbolic link that a server could have made; write where it leads", name.to_string_lossy());
            return Err(io::Error::other(why));
        }
        let target = OsString::from_vec(readlinkat(&next, "", Vec::new())?.into_bytes());
        if Path::new(&target).is_absolute() {
            above.clear();
        }
        names(Path::new(&target)).into_iter().rev().for_each(|name| rest.push_front(name));
    }
    Ok(above.pop().unwrap_or(top))
}

/// Whether a link in a directory was made by somebody else than this user, as whom all servers run, in a place that
/// only somebody else may write to. Links of the root directory are the system's.
fn is_ours_to_trust(directory: &OwnedFd, link: &OwnedFd) -> io::Result<bool> {
    let own = rustix::process::getuid().as_raw();
    let (directory, link) = (fstat(directory)?, fstat(link)?);
    Ok(directory.st_uid != own && link.st_uid != own && directory.st_mode & OTHERS_WRITE == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test makes its own files, and removes them")]
    fn a_link_that_a_server_could_have_made_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("bartizan-strict-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("real/inside")).expect("a directory");
        for (target, link) in [("real", "link"), ("inside", "real/last")] {
            drop(std::fs::remove_file(folder.join(link)));
            std::os::unix::fs::symlink(target, folder.join(link)).expect("a link");
        }
        let top = Path::new("/");
        open(top, &folder.join("real/inside")).expect("no link");
        for path in ["link", "link/inside", "real/last"] {
            let error = open(top, &folder.join(path)).expect_err(path);
            assert!(error.to_string().contains("symbolic link"), "{path}: {error}");
        }
        // The system's own: `/bin` is one nearly everywhere.
        open(top, Path::new("/bin/sh").parent().expect("a directory")).expect("the system's");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
