//! Limits for all processes of a server together: control groups, version 2 where they were delegated to us, else
//! version 1, else none.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use crate::confinement::Confinement;
use crate::report::{Layer, State};

/// How the groups of this gateway are called: this and the guard's process number.
const NAME: &str = "bartizan-";
/// How long a period is in which a share of the processor is counted, in microseconds.
const PERIOD: u64 = 100_000;

/// The groups of one server; they go when this does.
#[derive(Debug, Default)]
pub(super) struct Groups {
    made: Vec<PathBuf>,
}

#[expect(clippy::disallowed_methods, reason = "the kernel's control groups are files")]
fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}

#[expect(clippy::disallowed_methods, reason = "the kernel tells of control groups in files")]
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Where a hierarchy is mounted, and where this process is in it.
fn own(controller: Option<&str>) -> Option<PathBuf> {
    let mount = read("/proc/self/mounts").lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let (at, kind, options) = (words.get(1)?, words.get(2)?, words.get(3)?);
        let fits = match controller {
            None => *kind == "cgroup2",
            Some(name) => *kind == "cgroup" && options.split(',').any(|option| option == name),
        };
        fits.then(|| PathBuf::from(at))
    })?;
    let place = read("/proc/self/cgroup").lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = match controller {
            None => number == "0" && names.is_empty(),
            Some(name) => names.split(',').any(|one| one == name),
        };
        fits.then(|| path.to_owned())
    })?;
    let own = mount.join(place.trim_start_matches('/'));
    // In a container the path may be that of the machine.
    if own.is_dir() { Some(own) } else { Some(mount) }
}

impl Groups {
    /// Makes groups with these limits, and puts a process in them. What cannot be had is said.
    pub(super) fn make(confinement: &Confinement, pid: Pid) -> (Self, Layer) {
        let mut groups = Self::default();
        if let Err(missing) = groups.second(confinement, pid) {
            groups.remove();
            let first = groups.first(confinement, pid);
            let layer = match first {
                Ok(()) => Layer::new("resources", State::Enforced, "cgroup v1"),
                Err(error) => {
                    let state = if groups.made.is_empty() { State::Absent } else { State::Partial };
                    Layer::new("resources", state, format!("memory is not limited: cgroup v2: {missing}; v1: {error}"))
                }
            };
            return (groups, layer);
        }
        (groups, Layer::new("resources", State::Enforced, "cgroup v2"))
    }

    fn group(&mut self, parent: &Path) -> io::Result<PathBuf> {
        tidy(parent);
        let group = parent.join(format!("{NAME}{}", std::process::id()));
        match std::fs::DirBuilder::new().create(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.made.push(group.clone()),
        }
        Ok(group)
    }

    fn second(&mut self, confinement: &Confinement, pid: Pid) -> io::Result<()> {
        let parent = own(None).ok_or_else(|| io::Error::other("not mounted"))?;
        let group = self.group(&parent)?;
        if !group.join("memory.max").exists() {
            // Refused where the parent has processes of its own and is not the root.
            write(&parent.join("cgroup.subtree_control"), "+memory +pids +cpu")?;
        }
        write(&group.join("memory.max"), &confinement.memory.to_string())?;
        // Without swap; where there is no swap there is no such file.
        let _ = write(&group.join("memory.swap.max"), "0");
        write(&group.join("pids.max"), &confinement.processes.to_string())?;
        if let Some(percent) = confinement.cpu {
            write(&group.join("cpu.max"), &format!("{} {PERIOD}", percent.saturating_mul(PERIOD) / 100))?;
        }
        write(&group.join("cgroup.procs"), &pid.as_raw_nonzero().to_string())
    }

    fn first(&mut self, confinement: &Confinement, pid: Pid) -> io::Result<()> {
        let mut limits = vec![
            ("memory", "memory.limit_in_bytes", confinement.memory.to_string()),
            ("pids", "pids.max", confinement.processes.to_string()),
        ];
        limits.extend(confinement.cpu.map(|percent| ("cpu", "cpu.cfs_quota_us", (percent.saturating_mul(PERIOD) / 100).to_string())));
        for (controller, file, value) in limits {
            let parent = own(Some(controller)).ok_or_else(|| io::Error::other(format!("{controller} is not mounted")))?;
            let group = self.group(&parent)?;
            write(&group.join(file), &value)?;
            write(&group.join("cgroup.procs"), &pid.as_raw_nonzero().to_string())?;
        }
        Ok(())
    }

    fn remove(&mut self) {
        for group in self.made.drain(..) {
            // Processes that are just ending hold it for a moment.
            for _ in 0..20 {
                if std::fs::remove_dir(&group).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes the groups of guards that were killed. One that is in use cannot be removed.
fn tidy(parent: &Path) {
    #[expect(clippy::disallowed_methods, reason = "the kernel's control groups are directories")]
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let guard = entry.file_name().to_str().and_then(|name| name.strip_prefix(NAME)?.parse().ok()).and_then(Pid::from_raw);
        if guard.is_some_and(|guard| test_kill_process(guard) == Err(rustix::io::Errno::SRCH)) {
            // Another guard may have done it.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}
