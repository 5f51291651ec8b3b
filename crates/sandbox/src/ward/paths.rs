//! The second check of what may be read, written and executed: Landlock, over the same paths.
//!
//! It is no boundary of the network: other protocols than TCP and pathname sockets pass it.

use std::os::fd::AsRawFd as _;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

use super::{DEVICES, strict};
use crate::confinement::{Confinement, Grant, Level};
use crate::report::{Layer, State};

/// The newest version of Landlock whose rights are known here.
const KNOWN: ABI = ABI::V6;

/// What of `/proc` is not about other processes.
const PROC: &[&str] =
    &["/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/uptime", "/proc/loadavg", "/proc/filesystems"];
/// What else is read by most programs, where the files are the machine's own.
const ETC: &[&str] = &["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/resolv.conf", "/etc/host.conf"];

/// Leaves this process, and all that it starts, what was granted and nothing else.
pub(super) fn restrict(confinement: &Confinement, level: Level, scratch: &[&Path]) -> Result<Layer, String> {
    let failed = |error: &dyn std::fmt::Display| format!("Landlock: {error}");
    let compat = if level == Level::Native { CompatLevel::BestEffort } else { CompatLevel::HardRequirement };
    let base = Ruleset::default().set_compatibility(compat).handle_access(AccessFs::from_all(ABI::V1)).map_err(|error| failed(&error))?;
    // What came later is taken as far as the kernel has it, and said.
    let base = base.set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(KNOWN)).map_err(|error| failed(&error))?;
    let base = base.scope(Scope::AbstractUnixSocket | Scope::Signal).map_err(|error| failed(&error))?;
    let mut rules = base.create().map_err(|error| failed(&error))?;
    for (path, grant) in confinement.grants() {
        // In a root of its own, what was bound there is what was opened.
        let is_strict = level != Level::Native && confinement.strict.iter().any(|one| one == path);
        rules = if is_strict { allow_strictly(rules, path, grant)? } else { allow(rules, path, grant)? };
    }
    for path in scratch {
        rules = allow(rules, path, Grant::Write)?;
    }
    for device in DEVICES {
        rules = add(rules, &Path::new("/dev").join(device), AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev)?;
    }
    let own = ["/etc", "/proc"].map(Path::new);
    let system: Vec<&Path> = if level == Level::Native { own.to_vec() } else { PROC.iter().chain(ETC).map(Path::new).collect() };
    for path in system.into_iter().filter(|path| path.exists()) {
        rules = allow(rules, path, Grant::Read)?;
    }
    if level != Level::Native {
        // Its own directory: the process that is this one now is the server later.
        rules = allow(rules, Path::new(&format!("/proc/{}", std::process::id())), Grant::Read)?;
    }
    let status = rules.restrict_self().map_err(|error| failed(&error))?;
    let state = match status.ruleset {
        RulesetStatus::FullyEnforced => State::Enforced,
        RulesetStatus::PartiallyEnforced => State::Partial,
        RulesetStatus::NotEnforced if level == Level::Native => State::Absent,
        RulesetStatus::NotEnforced => return Err("Landlock: the kernel does not have it".to_owned()),
    };
    let has_scopes = matches!(status.landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V6);
    let missing = if has_scopes || level == Level::Native { "" } else { "; other processes of this user can be sent signals" };
    Ok(Layer::new("landlock", state, format!("{:?}{missing}", status.landlock)))
}

fn allow(rules: RulesetCreated, path: &Path, grant: Grant) -> Result<RulesetCreated, String> {
    add(rules, path, access(grant))
}

/// Grants what a name means now.
fn allow_strictly(rules: RulesetCreated, path: &Path, grant: Grant) -> Result<RulesetCreated, String> {
    let opened = strict::open(Path::new("/"), path).map_err(|error| format!("{} cannot be granted: {error}", path.display()))?;
    // A name of this process, which only it can change.
    add(rules, Path::new(&format!("/proc/self/fd/{}", opened.as_raw_fd())), access(grant))
}

fn access(grant: Grant) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let no_programs = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock;
    match grant {
        Grant::Read => read,
        Grant::Run => read | AccessFs::Execute,
        Grant::Write => AccessFs::from_all(KNOWN) & !no_programs,
    }
}

/// A path that is not there is an error: a grant that vanishes would be a riddle for whoever made it.
fn add(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, String> {
    let opened = PathFd::new(path).map_err(|error| format!("{} cannot be granted: {error}", path.display()))?;
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| format!("{}: {error}", path.display()))
}
