//! A root of its own: an empty file system in memory, into which only what was granted is bound.

use std::collections::VecDeque;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_remount, unmount};
use rustix::process::{chdir, pivot_root};

use super::{DEVICES, HOME, strict};
use crate::confinement::{Confinement, Grant, Network};

/// Where the machine's own root stands while the new one is filled.
const OLD: &str = "/.machine";
/// A directory that every machine has: the new root is made over it, which nobody else sees.
const BASE: &str = "/usr";
/// Symbolic links that are followed for one path, as the kernel has it.
pub(super) const MOST_LINKS: u32 = 40;

/// What may be done in a mounted place (`MOUNT_ATTR_*`, mount_setattr(2)).
#[derive(Clone, Copy)]
enum Mode {
    ReadOnly,
    Writable,
    Device,
}

impl Mode {
    const fn attributes(self) -> u64 {
        const READ_ONLY: u64 = 1;
        const NO_SETUID: u64 = 2;
        const NO_DEVICES: u64 = 4;
        const NO_PROGRAMS: u64 = 8;
        match self {
            Self::ReadOnly => READ_ONLY | NO_SETUID | NO_DEVICES,
            Self::Writable => NO_SETUID | NO_DEVICES | NO_PROGRAMS,
            Self::Device => NO_SETUID | NO_PROGRAMS,
        }
    }
}

/// Makes the new root and moves there. The old one is gone for this process and all that it starts.
pub(super) fn enter(confinement: &Confinement, directory: &Path) -> Result<(), String> {
    let step = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(step("its mounts cannot be made private"))?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", BASE, "tmpfs", plain, Some(c"mode=0755,size=4m,nr_inodes=65536")).map_err(step("a new root cannot be mounted"))?;
    let old = Path::new(BASE).join(OLD.trim_start_matches('/'));
    make(&old, 0o755)?;
    chdir(BASE).map_err(step("chdir"))?;
    pivot_root(".", old.as_path()).map_err(step("pivot_root"))?;
    chdir("/").map_err(step("chdir"))?;
    system(confinement)?;
    for (path, grant) in confinement.grants() {
        let mode = if grant == Grant::Write { Mode::Writable } else { Mode::ReadOnly };
        let granted = if confinement.strict.iter().any(|one| one == path) {
            strictly(path, mode)
        } else {
            place(path).and_then(|at| bind(&machine(&at), &at, mode))
        };
        granted.map_err(|error| format!("{} cannot be granted: {error}", path.display()))?;
    }
    // The working directory exists, and holds only what was granted in it.
    if place(directory).is_err() || chdir(directory).is_err() {
        chdir("/").map_err(step("chdir"))?;
    }
    unmount(OLD, UnmountFlags::DETACH).map_err(step("the old root cannot be left"))?;
    std::fs::remove_dir(OLD).map_err(|error| format!("{OLD}: {error}"))?;
    mount_remount("/", MountFlags::BIND | MountFlags::RDONLY | plain, c"").map_err(step("the new root cannot be made read-only"))
}

/// What every server finds: processes, devices, scratch space, and a few files of its own instead of the machine's.
fn system(confinement: &Confinement) -> Result<(), String> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = |at: &str, kind: &str, flags: MountFlags, data: Option<&CString>| {
        make(Path::new(at), 0o755)?;
        mount(kind, at, kind, flags, data.map(CString::as_c_str)).map_err(|error| format!("{at} cannot be mounted: {error}"))
    };
    mounted("/proc", "proc", quiet | MountFlags::RDONLY, None)?;
    make(Path::new("/dev"), 0o755)?;
    let inodes = (confinement.scratch / 4096).max(1024);
    let scratch = CString::new(format!("mode=1777,size={},nr_inodes={inodes}", confinement.scratch)).map_err(|error| error.to_string())?;
    mounted("/dev/shm", "tmpfs", quiet, Some(&scratch))?;
    mounted("/tmp", "tmpfs", quiet, Some(&scratch))?;
    make(Path::new(HOME), 0o700)?;
    for device in DEVICES {
        let path = Path::new("/dev").join(device);
        place(&path).and_then(|at| bind(&machine(&at), &at, Mode::Device)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for (link, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        symlink(format!("/proc/self/fd{target}"), Path::new("/dev").join(link)).map_err(|error| format!("/dev/{link}: {error}"))?;
    }
    make(Path::new("/etc"), 0o755)?;
    let write = |name: &str, text: &str| {
        #[expect(clippy::disallowed_methods, reason = "the server's own root is filled here")]
        std::fs::write(Path::new("/etc").join(name), text).map_err(|error| format!("/etc/{name}: {error}"))
    };
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    write("passwd", &format!("server:x:{user}:{group}::{HOME}:/bin/false\n"))?;
    write("group", &format!("server:x:{group}:\n"))?;
    write("hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
    write("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")?;
    let names = if confinement.network == Network::Doors { "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n" } else { "" };
    write("resolv.conf", names)
}

fn make(path: &Path, mode: u32) -> Result<(), String> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Makes a path exist in the new root as it does on the machine, symbolic links on its way included; returns where
/// it really is.
fn place(path: &Path) -> io::Result<PathBuf> {
    let mut at = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = names(path);
    let mut links = 0_u32;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let there = machine(&next);
        let data = there.symlink_metadata()?;
        if data.is_symlink() {
            links = links.saturating_add(1);
            if links > MOST_LINKS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let target = there.read_link()?;
            existing(symlink(&target, &next))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            names(&target).into_iter().rev().for_each(|name| rest.push_front(name));
        } else {
            if data.is_dir() {
                existing(std::fs::DirBuilder::new().mode(0o755).create(&next))?;
            } else if next.symlink_metadata().is_err() {
                #[expect(clippy::disallowed_methods, reason = "the server's own root is filled here")]
                std::fs::OpenOptions::new().write(true).create_new(true).open(&next)?;
            }
            at = next;
        }
    }
    Ok(at)
}

/// What is there already, mostly because something around it was granted, may stay.
fn existing(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::ReadOnlyFilesystem) => Ok(()),
        other => other,
    }
}

pub(super) fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

/// A path of the machine while the new root is filled.
fn machine(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

/// Binds what a name means now, and not what somebody makes of that name meanwhile.
fn strictly(path: &Path, mode: Mode) -> io::Result<()> {
    let opened = strict::open(Path::new(OLD), path)?;
    let at = place(path)?;
    bind(Path::new(&format!("/proc/self/fd/{}", opened.as_raw_fd())), &at, mode)
}

/// Binds a place of the machine to a place of the new root.
fn bind(what: &Path, at: &Path, mode: Mode) -> io::Result<()> {
    mount_bind_recursive(what, at)?;
    set_attributes(at, mode.attributes())
}

/// The mount that was just made and all below it, which an older call can only do one by one.
fn set_attributes(at: &Path, attributes: u64) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const RECURSIVE: libc::c_uint = 0x8000;
    let path = CString::new(at.as_os_str().as_bytes())?;
    let wanted = Attributes { set: attributes, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path and the structure outlive the call, which only reads them; the size is the structure's own.
    #[expect(unsafe_code, reason = "no library offers this system call")]
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, path.as_ptr(), RECURSIVE, &raw const wanted, size_of::<Attributes>())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
