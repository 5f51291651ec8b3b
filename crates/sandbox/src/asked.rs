//! What a server asks for, heard from the kernel while the confinement answers.
//!
//! The kernel holds a call that names a path until it is let go on, which it always is. So nothing here decides: the
//! path is read from the server's memory, and the server may write another one there before the kernel reads it again
//! (seccomp_unotify(2) warns of that whoever *judges* by what he read). The worst that comes of it is a record of
//! something that was not asked for; what the server gets, the confinement decides as always.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// What is wanted of a path. Ordered: a later one takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// To know whether it is there, and what it is.
    Look,
    /// To read it.
    Read,
    /// To make this directory, or find that it is there.
    Make,
    /// To change it, make it or remove it.
    Write,
    /// To run it.
    Run,
}

/// One path that a server named, absolute as the server sees it, without detours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asked {
    /// The path.
    pub path: PathBuf,
    /// For what.
    pub what: What,
}

impl std::hash::Hash for What {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
    }
}

/// How a call says what it wants.
#[derive(Clone, Copy)]
enum Use {
    Is(What),
    /// The flags of `open` stand in this argument.
    Flags(usize),
    /// They stand in the structure that this argument points to.
    How(usize),
    /// The directory is changed that the path is in.
    Entry,
}

/// Where a call has a path: the argument that names a directory, and the one that points to the text.
type At = (Option<usize>, usize);

/// A call that names paths.
pub(crate) struct Call {
    pub(crate) number: libc::c_long,
    wants: Use,
    paths: &'static [At],
}

const fn call(number: libc::c_long, wants: Use, paths: &'static [At]) -> Call {
    Call { number, wants, paths }
}

const LOOK: Use = Use::Is(What::Look);
const ENTRY: Use = Use::Entry;
/// A path in the first argument, or in the second below the directory in the first.
const FIRST: &[At] = &[(None, 0)];
const BELOW: &[At] = &[(Some(0), 1)];
#[cfg(target_arch = "x86_64")]
const BOTH: &[At] = &[(None, 0), (None, 1)];
const BOTH_BELOW: &[At] = &[(Some(0), 1), (Some(2), 3)];

/// The calls that are told of. What changes owners, modes or times of a file wants to open it, too, sooner or later.
pub(crate) const CALLS: &[Call] = &[
    call(libc::SYS_openat, Use::Flags(2), BELOW),
    call(libc::SYS_openat2, Use::How(2), BELOW),
    call(libc::SYS_execve, Use::Is(What::Run), FIRST),
    call(libc::SYS_execveat, Use::Is(What::Run), BELOW),
    call(libc::SYS_newfstatat, LOOK, BELOW),
    call(libc::SYS_statx, LOOK, BELOW),
    call(libc::SYS_faccessat, LOOK, BELOW),
    call(libc::SYS_faccessat2, LOOK, BELOW),
    call(libc::SYS_readlinkat, LOOK, BELOW),
    call(libc::SYS_chdir, LOOK, FIRST),
    call(libc::SYS_mkdirat, Use::Is(What::Make), BELOW),
    call(libc::SYS_unlinkat, ENTRY, BELOW),
    call(libc::SYS_renameat2, ENTRY, BOTH_BELOW),
    call(libc::SYS_linkat, ENTRY, BOTH_BELOW),
    call(libc::SYS_symlinkat, ENTRY, &[(Some(1), 2)]),
    call(libc::SYS_truncate, Use::Is(What::Write), FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_open, Use::Flags(1), FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_creat, Use::Is(What::Write), FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_stat, LOOK, FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_lstat, LOOK, FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_access, LOOK, FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_readlink, LOOK, FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mkdir, Use::Is(What::Make), FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_unlink, ENTRY, FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rmdir, ENTRY, FIRST),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_renameat, ENTRY, BOTH_BELOW),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rename, ENTRY, BOTH),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_link, ENTRY, BOTH),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_symlink, ENTRY, &[(None, 1)]),
];

/// The longest path that the kernel takes, with its end.
const LONGEST: usize = 4096;

/// The root that a server sees.
#[derive(Debug)]
pub struct Inside(OwnedFd);

impl Inside {
    /// Whether something is there, as far as the server can find it. It is only named, never opened.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS).is_ok()
    }
}

/// The other side of the filter that a server runs under.
#[derive(Debug)]
pub struct Recorder {
    listener: OwnedFd,
}

impl Recorder {
    pub(crate) const fn new(listener: OwnedFd) -> Self {
        Self { listener }
    }

    /// Lets every call go on, and tells afterwards what it asked for, until the server and all that it started are gone.
    /// While this does not run, they wait. The server's own root comes with it as soon as it can be seen.
    pub fn listen(&self, mut tell: impl FnMut(Asked, Option<&Arc<Inside>>)) {
        let mut inside = None;
        while self.is_there() {
            let Ok(notice) = self.next() else {
                // Whoever asked is gone, mostly.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let (asked, seen) = (read(&notice), inside.is_none().then(|| root(notice.pid)).flatten());
            // A number of a process that has ended may be another's by now.
            let holds = self.holds(notice.id);
            if holds && inside.is_none() {
                inside = seen;
            }
            self.go_on(notice.id);
            asked.into_iter().filter(|_| holds).for_each(|asked| tell(asked, inside.as_ref()));
        }
    }

    /// Waits for a call; false when there is nobody left who could make one.
    fn is_there(&self) -> bool {
        let mut watched = [PollFd::new(&self.listener, PollFlags::IN)];
        loop {
            match poll(&mut watched, None) {
                Ok(_) => return watched.iter().any(|one| one.revents().contains(PollFlags::IN)),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn next(&self) -> io::Result<libc::seccomp_notif> {
        // SAFETY: the structure is numbers only, for which zero is a value; the kernel wants it to be zero.
        #[expect(unsafe_code, reason = "the structure is the kernel's, and has no constructor")]
        let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure outlives the call, which writes no more than its size.
        #[expect(unsafe_code, reason = "no library offers this call")]
        let done = unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice) };
        if done == 0 { Ok(notice) } else { Err(io::Error::last_os_error()) }
    }

    fn holds(&self, id: u64) -> bool {
        // SAFETY: the number outlives the call, which only reads it.
        #[expect(unsafe_code, reason = "no library offers this call")]
        let done = unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) };
        done == 0
    }

    fn go_on(&self, id: u64) {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or_default();
        let answer = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
        // SAFETY: the structure outlives the call. Who asked may be gone; then nobody waits for it.
        #[expect(unsafe_code, reason = "no library offers this call")]
        unsafe {
            libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer);
        }
    }
}

/// The root of a process, for a name only.
fn root(pid: u32) -> Option<Arc<Inside>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty()).ok().map(|root| Arc::new(Inside(root)))
}

/// What a call asks for. What cannot be read is not told: the kernel will not be able to read it either, or it is a
/// program's first instruction, which is not the server's.
fn read(notice: &libc::seccomp_notif) -> Vec<Asked> {
    let Some(call) = CALLS.iter().find(|call| call.number == libc::c_long::from(notice.data.nr)) else { return Vec::new() };
    let argument = |at: usize| notice.data.args.get(at).copied().unwrap_or_default();
    let what = match call.wants {
        Use::Is(what) => Some(what),
        Use::Entry => Some(What::Write),
        Use::Flags(at) => Some(opened(argument(at))),
        Use::How(at) => memory(notice.pid, argument(at), size_of::<u64>())
            .and_then(|bytes| bytes.try_into().ok())
            .map(|flags| opened(u64::from_ne_bytes(flags))),
    };
    let Some(what) = what else { return Vec::new() };
    let path = |(directory, text): &At| {
        let text = text_at(notice.pid, argument(*text)).filter(|text| !text.as_os_str().is_empty())?;
        let base = if text.is_absolute() { PathBuf::from("/") } else { base(notice.pid, directory.map(argument))? };
        let mut path = plain(&base.join(text));
        if matches!(call.wants, Use::Entry) {
            path.pop();
        }
        Some(Asked { path, what })
    };
    call.paths.iter().filter_map(path).collect()
}

/// What the flags of `open` ask for.
fn opened(flags: u64) -> What {
    let has = |flag: i32| flags & u64::from(flag.unsigned_abs()) != 0;
    if has(libc::O_PATH) {
        What::Look
    } else if has(libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) {
        What::Write
    } else {
        What::Read
    }
}

/// Where a relative path begins: the working directory, or an open one.
fn base(pid: u32, directory: Option<u64>) -> Option<PathBuf> {
    let number = directory.map_or(libc::AT_FDCWD, |number| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default().cast_signed());
    let link = if number == libc::AT_FDCWD { format!("/proc/{pid}/cwd") } else { format!("/proc/{pid}/fd/{number}") };
    Path::new(&link).read_link().ok().filter(|path| path.is_absolute())
}

/// A path without detours, as far as that can be told without following links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// A text with its end in another process's memory.
fn text_at(pid: u32, address: u64) -> Option<PathBuf> {
    let mut bytes = memory(pid, address, LONGEST)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    bytes.truncate(end);
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// Memory of another process: as much as there is, and at least something. Through its file, because the gateway has
/// given up the call that reads it otherwise.
fn memory(pid: u32, address: u64, length: usize) -> Option<Vec<u8>> {
    let file = openat(CWD, format!("/proc/{pid}/mem"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = vec![0_u8; length];
    let read = rustix::io::pread(&file, bytes.as_mut_slice(), address).ok().filter(|read| *read > 0)?;
    bytes.truncate(read);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_is_wanted() {
        let of = |flags: i32| opened(u64::from(flags.unsigned_abs()));
        assert_eq!(of(libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC), What::Read);
        assert_eq!(of(libc::O_PATH), What::Look);
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC] {
            assert_eq!(of(flags), What::Write);
        }
    }

    #[test]
    fn detours_are_taken_out() {
        assert_eq!(plain(Path::new("/a/./b/../c//d")), Path::new("/a/c/d"));
        assert_eq!(plain(Path::new("/../..")), Path::new("/"));
    }

    #[test]
    fn memory_ends_where_it_ends() {
        let text = c"/some/path";
        let own = std::process::id();
        let address = u64::try_from(text.as_ptr().addr()).expect("an address");
        assert_eq!(text_at(own, address), Some(PathBuf::from("/some/path")));
        assert_eq!(text_at(own, 0), None);
        assert_eq!(text_at(own, 8), None, "nothing is there");
    }
}
