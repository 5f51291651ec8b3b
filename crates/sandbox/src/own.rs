//! The gateway confines itself: what it does not need is gone before it reads the first byte of a stranger.
//!
//! Threat: a fault in the gateway, or in a library of its, lets a message run code. Then that code is in a process which
//! holds credentials, and should find as little as possible to go on with.
//!
//! Done before there is a second thread, because both Landlock and the filter are a thread's, and threads inherit them.

use std::path::{Path, PathBuf};

use landlock::{ABI, Access as _, AccessFs, BitFlags, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus};
use landlock::{CompatLevel, PathBeneath, PathFd};

use crate::report::{Layer, State};
use crate::ward::syscalls;

/// Whether the gateway starts servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// It does: what it starts makes namespaces and mounts, which the kernel forbids below a Landlock domain.
    Servers,
    /// It does not: all servers are elsewhere.
    Nothing,
}

/// The rights that this is about; what came later is about the network, which the gateway needs.
const KNOWN: ABI = ABI::V5;

/// Gives up, in this process and all that it will start, what a gateway never needs: calls for other processes' memory and for
/// the kernel's own programs, set-user-id programs; and where it starts nothing, every program, and every place to write to but
/// `writes`. Reading stays: secrets, certificates and rules are read when they change, wherever they are.
///
/// The error says what the kernel refused. Landlock that is not there is told as a layer that is absent.
pub fn confine(starts: Starts, writes: &[&Path]) -> Result<Vec<Layer>, String> {
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("no_new_privs: {error}"))?;
    let files = match starts {
        Starts::Nothing => restrict(writes)?,
        Starts::Servers => Layer::new("landlock", State::Absent, "it starts servers, which get namespaces of their own"),
    };
    syscalls::deny_to_gateway()?;
    Ok(vec![Layer::new("privileges", State::Enforced, "no new ones"), files, Layer::new("system calls", State::Enforced, "")])
}

/// Directories that a person put elsewhere, with a link in their place.
fn links(path: &Path) -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "names only, before anything is confined")]
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Nothing is executed, and nothing written but here.
fn restrict(writes: &[&Path]) -> Result<Layer, String> {
    let failed = |error: &dyn std::fmt::Display| format!("Landlock: {error}");
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::IoctlDev;
    let handled = AccessFs::from_all(KNOWN) & !read;
    let base = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(handled).map_err(|error| failed(&error))?;
    let mut rules = base.create().map_err(|error| failed(&error))?;
    let there = handled & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    for path in writes.iter().flat_map(|path| std::iter::once(path.to_path_buf()).chain(links(path))) {
        let opened = PathFd::new(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        rules = rules.add_rule(PathBeneath::new(opened, there)).map_err(|error| failed(&error))?;
    }
    let status = rules.restrict_self().map_err(|error| failed(&error))?;
    let state = match status.ruleset {
        RulesetStatus::FullyEnforced => State::Enforced,
        RulesetStatus::PartiallyEnforced => State::Partial,
        RulesetStatus::NotEnforced => State::Absent,
    };
    Ok(Layer::new("landlock", state, format!("{:?}", status.landlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread takes what follows with it, and the tests' other threads do not have it.
    fn alone(work: impl FnOnce() + Send) {
        std::thread::scope(|scope| scope.spawn(work).join().expect("it holds"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is refused is tried")]
    fn a_gateway_that_starts_nothing_runs_nothing_and_writes_only_to_its_state() {
        let (state, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let disk = tempfile::tempdir().expect("dir");
        std::os::unix::fs::symlink(disk.path(), state.path().join("journal")).expect("a link");
        std::fs::write(other.path().join("read"), "x").expect("written");
        alone(|| {
            let layers = confine(Starts::Nothing, &[state.path()]).expect("confined");
            assert!(layers.iter().all(|layer| layer.state == State::Enforced), "{layers:?}");
            std::fs::create_dir(state.path().join("below")).expect("its own");
            std::fs::write(state.path().join("below/file"), "x").expect("its own");
            std::fs::rename(state.path().join("below/file"), state.path().join("file")).expect("its own");
            std::fs::write(state.path().join("journal/file"), "x").expect("its own, on another disk");
            std::fs::read(other.path().join("read")).expect("readable");
            std::fs::write(other.path().join("new"), "x").expect_err("not its own");
            std::fs::write(other.path().join("read"), "y").expect_err("not its own");
            std::fs::remove_file(other.path().join("read")).expect_err("not its own");
            std::process::Command::new("/bin/true").status().expect_err("nothing is executed");
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is refused is tried")]
    fn a_gateway_that_starts_servers_still_has_no_business_in_other_processes() {
        alone(|| {
            let layers = confine(Starts::Servers, &[]).expect("confined");
            assert_eq!(layers.iter().filter(|layer| layer.state == State::Enforced).count(), 2, "{layers:?}");
            assert!(std::process::Command::new("/bin/true").status().expect("started").success());
            let parent = rustix::process::getppid().expect("a parent");
            let descriptor = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).expect("opened");
            let taken = rustix::process::pidfd_getfd(&descriptor, 0, rustix::process::PidfdGetfdFlags::empty());
            assert_eq!(taken.expect_err("refused"), rustix::io::Errno::PERM);
        });
    }
}
