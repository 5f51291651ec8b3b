//! Files that the gateway owns: private, replaced whole or not at all.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

/// Opens a regular file for reading. Anything else (a directory, a pipe that would block) is an error.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Reads a text file of at most `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= most);
    if fits { Ok(text) } else { Err(io::Error::other(format!("it is larger than {most} bytes"))) }
}

/// Opens a new file for appending that nobody else may read. An existing one is an error.
pub fn create_private(path: &Path) -> io::Result<File> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Opens an existing file for reading and appending.
pub fn open_append(path: &Path) -> io::Result<File> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    OpenOptions::new().read(true).append(true).open(path)
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The owner alone.
    Owner,
    /// Whoever the umask allows; an existing file keeps its permissions.
    Usual,
}

/// Puts `content` in the place of a file, at once: whoever reads sees the old or the new content,
/// never half of it, and after a crash too.
pub fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    // A link stays a link; what it points to is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = target.file_name().ok_or_else(|| io::Error::other("it has no file name"))?.to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, content, permissions(&target, readers));
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    let moved = written.and_then(|()| std::fs::rename(&temporary, &target));
    if moved.is_err() {
        #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
        // The first error is the one that matters; what is left over does no harm.
        let _ = std::fs::remove_file(&temporary);
        return moved;
    }
    sync_directory(directory)
}

fn permissions(target: &Path, readers: Readers) -> Option<u32> {
    match readers {
        Readers::Owner => Some(0o600),
        Readers::Usual => target.metadata().ok().map(|existing| existing.permissions().mode() & 0o777),
    }
}

fn write_new(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode.unwrap_or(0o666)).open(path)?;
    if let Some(mode) = mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Makes what was created or renamed in a directory survive a crash.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    File::open(path)?.sync_all()
}

/// Moves a file that cannot be used out of the way, under the same name with `.broken`, for a person to look at.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".broken");
    let aside = PathBuf::from(name);
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Takes a file away that nobody needs any more, for good.
pub fn remove(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    std::fs::remove_file(path)
}

fn lock_file(path: &Path) -> io::Result<File> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes a lock that other processes respect, waits for it, and holds it until the value is dropped.
pub fn hold(path: &Path) -> io::Result<File> {
    let file = lock_file(path)?;
    file.lock()?;
    Ok(file)
}

/// How long to wait between two looks at a lock that somebody else has.
const LOOK: Duration = Duration::from_millis(10);

/// The same, but waits no longer than this: whoever holds it may hang.
pub fn hold_within(path: &Path, patience: Duration) -> io::Result<File> {
    let file = lock_file(path)?;
    let looks = patience.as_millis() / LOOK.as_millis();
    for look in 0..=looks {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if look < looks => std::thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "somebody else holds the lock"))
}

/// A directory of the gateway's own: made if it is missing, refused if others may write to it.
pub fn private_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_private(path)
}

/// Whether an existing directory is one that only its owner, who is us, may write to.
pub fn check_private(path: &Path) -> io::Result<()> {
    let found = path.metadata()?;
    if !found.is_dir() {
        return Err(io::Error::other("it is not a directory"));
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        return Err(io::Error::other(format!("it belongs to user {}, and this is user {us}; choose another with --state", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!(
            "others may write to it (mode {:o}); run: chmod go-w {}",
            found.mode() & 0o777,
            path.display()
        )));
    }
    Ok(())
}

/// Whether others than a file's owner and its group may read it.
pub fn others_may_read(path: &Path) -> io::Result<bool> {
    Ok(path.metadata()?.mode() & 0o004 != 0)
}

/// The files of a directory whose names end in `ending`, sorted by name. None when there is no directory.
pub fn list(directory: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    #[expect(clippy::disallowed_methods, reason = "the module that owns the gateway's files")]
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)));
    paths.sort();
    Ok(paths)
}

/// Does something while no file can be opened. Tests run in processes of their own.
#[cfg(test)]
pub(crate) fn without_descriptors<T>(work: impl FnOnce() -> T) -> T {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).expect("a limit");
    let done = work();
    setrlimit(Resource::Nofile, before).expect("the limit from before");
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("file").permissions().mode() & 0o777
    }

    #[test]
    fn files_are_replaced_whole_and_keep_their_permissions() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        replace(&path, b"one", Readers::Owner).expect("first");
        assert_eq!((mode(&path), read(&path, 10).expect("read")), (0o600, "one".to_owned()));
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        replace(&link, b"two", Readers::Usual).expect("second");
        assert_eq!((mode(&path), read(&path, 10).expect("read")), (0o640, "two".to_owned()));
        assert!(link.symlink_metadata().expect("link").is_symlink());
        assert_eq!(list(dir.path(), "").expect("list").len(), 2, "nothing is left over");
    }

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        replace(&path, b"12345", Readers::Owner).expect("write");
        assert!(read(&path, 5).is_ok() && read(&path, 4).is_err());
        assert!(open(dir.path()).is_err() && open(Path::new("/dev/null")).is_err());
        assert!(create_private(&path).is_err(), "it exists");
    }

    #[test]
    fn directories_of_others_are_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let state = dir.path().join("a/b");
        private_directory(&state).expect("made");
        assert_eq!(mode(&state), 0o700);
        std::fs::set_permissions(&state, Permissions::from_mode(0o770)).expect("chmod");
        assert!(private_directory(&state).expect_err("open").to_string().contains("chmod go-w"));
        let file = dir.path().join("f");
        replace(&file, b"", Readers::Owner).expect("file");
        assert!(check_private(&file).is_err());
    }
}

/// How a file looks from outside: another look, another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// There is none.
    Missing,
    /// Device, inode, size, and when content and attributes changed.
    There([u64; 2], u64, [i64; 4]),
    /// It cannot be looked at.
    Unknown(io::ErrorKind),
}

impl Mark {
    /// The look of a file now.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.metadata() {
            Ok(data) => Self::from(&data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unknown(error.kind()),
        }
    }

    fn from(data: &std::fs::Metadata) -> Self {
        Self::There([data.dev(), data.ino()], data.size(), [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()])
    }
}
