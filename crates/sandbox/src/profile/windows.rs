//! For Windows: what a job object and a restricted token would be made with, and what has to be granted to the token.
//!
//! Names and numbers are those of `winnt.h`. The text is TOML.

use super::{open, quoted, text};
use crate::confinement::{Confinement, Grant, Network, Sockets};

/// A constant of the system's: its name and its value.
type Named = (&'static str, u32);

/// Limits that every job has. Nothing breaks away from it: no `BREAKAWAY_OK`.
const LIMITS: &[Named] = &[
    ("JOB_OBJECT_LIMIT_ACTIVE_PROCESS", 0x0000_0008),
    ("JOB_OBJECT_LIMIT_JOB_MEMORY", 0x0000_0200),
    ("JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION", 0x0000_0400),
    ("JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE", 0x0000_2000),
];
/// All that a program could do to windows, the clipboard and the session of the person who is logged in.
const SCREEN: &[Named] = &[
    ("JOB_OBJECT_UILIMIT_HANDLES", 0x01),
    ("JOB_OBJECT_UILIMIT_READCLIPBOARD", 0x02),
    ("JOB_OBJECT_UILIMIT_WRITECLIPBOARD", 0x04),
    ("JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS", 0x08),
    ("JOB_OBJECT_UILIMIT_DISPLAYSETTINGS", 0x10),
    ("JOB_OBJECT_UILIMIT_GLOBALATOMS", 0x20),
    ("JOB_OBJECT_UILIMIT_DESKTOP", 0x40),
    ("JOB_OBJECT_UILIMIT_EXITWINDOWS", 0x80),
];
/// A share of the processors that is not exceeded even when they are idle.
const PROCESSOR: &[Named] = &[("JOB_OBJECT_CPU_RATE_CONTROL_ENABLE", 0x1), ("JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP", 0x4)];
/// Every privilege goes but the one to walk through directories (`SeChangeNotifyPrivilege`).
const PRIVILEGES: &[Named] = &[("DISABLE_MAX_PRIVILEGE", 0x1)];

/// Groups that count only where they are refused something: those that make somebody an administrator.
const DENY_ONLY: &[(&str, &str)] = &[
    ("S-1-5-32-544", "Administrators"),
    ("S-1-5-32-547", "Power Users"),
    ("S-1-5-32-551", "Backup Operators"),
    ("S-1-5-114", "Local account and member of Administrators"),
];
/// Who has to be granted something beside the user, so that what is the user's alone is not the server's. Libraries of the
/// system are open to these.
const RESTRICTING: &[(&str, &str)] = &[("S-1-5-12", "RESTRICTED"), ("S-1-1-0", "Everyone"), ("S-1-5-32-545", "Users")];
/// Whoever starts the server makes an identity for it alone, and writes it here.
const OWN: &str = "SID-OF-THE-SERVER";
/// Below all that the user's other programs make: it cannot write there, nor send to their windows.
const INTEGRITY: (&str, &str) = ("S-1-16-4096", "low");

const HEAD: &str = "\
# Never run on Windows: made from the confinement and tested as text, on Linux only.
# The server is made suspended, with this token, put into this job, and then released; it inherits its three pipes and no other handle.
# SID-OF-THE-SERVER is an identity that is made for it alone. Paths are those of the machine that this was made on.
";

/// The description.
pub(super) fn profile(confinement: &Confinement) -> Result<String, String> {
    let processes = u32::try_from(confinement.processes).ok().filter(|count| *count > 0);
    let processes = processes.ok_or_else(|| format!("`processes` = {} is no limit that a job object can have", confinement.processes))?;
    let mut lines = vec![String::new(), "[job]".to_owned()];
    lines.extend(constants("LimitFlags", LIMITS));
    lines.push(format!("ActiveProcessLimit = {processes}"));
    lines.push(format!("JobMemoryLimit = {}", confinement.memory));
    lines.extend(constants("UIRestrictionsClass", SCREEN));
    if let Some(percent) = confinement.cpu {
        lines.extend(constants("ControlFlags", PROCESSOR));
        // Ten-thousandths of all processors; this is of one.
        let share = percent.checked_mul(100).filter(|share| *share > 0).ok_or_else(|| format!("`cpu` = {percent}% is no share"))?;
        lines.push(format!(
            "CpuRate = {share} # divided by the number of processors, 1 at least and 10000 at most; `cpu` is {percent}% of one"
        ));
    }
    lines.extend(token());
    for (path, grant) in confinement.grants() {
        lines.extend(place(text(path)?, grant));
    }
    lines.push(String::new());
    lines.extend(not_enforced(confinement)?.into_iter().map(|line| format!("# {line}")));
    Ok(format!("{HEAD}{}\n", lines.join("\n")))
}

/// Constants by name, and what they are together.
fn constants(name: &str, all: &[Named]) -> [String; 2] {
    let together = all.iter().fold(0, |together, (_, value)| together | value);
    let names: Vec<String> = all.iter().map(|(name, _)| quoted(name)).collect();
    [format!("{name} = 0x{together:x}"), format!("{name}Names = [{}]", names.join(", "))]
}

fn token() -> Vec<String> {
    let sids = |list: &[(&str, &str)]| list.iter().map(|(sid, name)| format!("    {}, # {name}", quoted(sid))).collect::<Vec<_>>();
    let mut lines = vec![String::new(), "[token]".to_owned()];
    lines.extend(constants("Flags", PRIVILEGES));
    lines.push("SidsToDisable = [".to_owned());
    lines.extend(sids(DENY_ONLY));
    lines.extend(["]".to_owned(), "SidsToRestrict = [".to_owned()]);
    lines.extend(sids(RESTRICTING));
    lines.extend([format!("    {}, # what the places below are granted to", quoted(OWN)), "]".to_owned()]);
    lines.push(format!("TokenIntegrityLevel = {} # {}", quoted(INTEGRITY.0), INTEGRITY.1));
    lines
}

/// What the server is given at a place, with all that is in it (`OI CI`). Both of its identities are asked, so this makes
/// nobody else stronger.
fn place(path: &str, grant: Grant) -> Vec<String> {
    const READ: u32 = 0x0012_0089;
    const EXECUTE: u32 = 0x0012_00a0;
    const WRITE: u32 = 0x0012_0116;
    const DELETE: u32 = 0x0001_0000;
    const RUN_A_FILE: u32 = 0x20;
    let (mask, what) = match grant {
        Grant::Read => (READ, "read"),
        Grant::Run => (READ | EXECUTE, "run"),
        Grant::Write => (READ | WRITE | DELETE, "write"),
    };
    let mut lines = vec![String::new(), "[[place]]".to_owned(), format!("path = {}", quoted(path)), format!("grant = {}", quoted(what))];
    lines.push(format!("allow = 0x{mask:08x}"));
    if grant == Grant::Write {
        // On directories the same bit is the right to walk through: files alone.
        lines.push(format!("deny = 0x{RUN_A_FILE:08x} # inherited by files only (OI IO)"));
        lines.push(format!("label = {} # what is written to must be no higher than who writes", quoted(INTEGRITY.0)));
    }
    lines
}

/// What neither of the two holds.
fn not_enforced(confinement: &Confinement) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let filter =
        "neither a job nor a token sees connections; an administrator adds a filter (WFP) for the server's identity that refuses all";
    match confinement.network {
        Network::Nothing => lines.push(open("network = nothing", filter)),
        Network::Doors => lines.push(open("hosts", &format!("{filter} but the proxy's port, and which hosts is the proxy's to judge"))),
    }
    if confinement.sockets == Sockets::Network {
        lines.push(open("sockets = network", "sockets in files can be made where files can"));
    }
    lines.push(open("minimum = landlock", "this is weaker: what every user of the machine may read, and run, can be"));
    lines.push(open(format_args!("scratch = {}", confinement.scratch), "it needs a directory of its own with the label and a quota"));
    lines.push(open(format_args!("processes = {}", confinement.processes), "threads are not counted"));
    lines.push(open(format_args!("open_files = {}", confinement.open_files), "there is no such limit for handles"));
    lines.push(open(format_args!("file_size = {}", confinement.file_size), "there is no such limit"));
    lines.extend(confinement.wall.map(|wall| open(format_args!("wall = {} s", wall.as_secs()), "whoever starts it ends the job")));
    for path in &confinement.strict {
        lines.push(open(text(path)?, "opened without following a reparse point, by whoever grants it"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn made(confinement: &Confinement) -> String {
        profile(confinement).expect("a profile")
    }

    /// The value behind a key.
    fn value<'a>(text: &'a str, key: &str) -> &'a str {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        found.unwrap_or_else(|| panic!("{key} is not in\n{text}"))
    }

    #[test]
    fn a_job_ends_with_its_handle_and_nothing_leaves_it() {
        let text = made(&Confinement { memory: 7, processes: 3, ..Confinement::default() });
        assert_eq!((value(&text, "ActiveProcessLimit"), value(&text, "JobMemoryLimit")), ("3", "7"));
        // Active processes, memory, no error dialogs, ends with its handle; neither 0x800 nor 0x1000 (breakaway).
        assert_eq!(value(&text, "LimitFlags"), "0x2608");
        assert_eq!(value(&text, "UIRestrictionsClass"), "0xff");
        assert!(!text.contains("CpuRate"), "{text}");
    }

    #[test]
    fn a_share_of_a_processor_is_a_hard_one() {
        let text = made(&Confinement { cpu: Some(50), ..Confinement::default() });
        assert!(value(&text, "CpuRate").starts_with("5000 #"), "{text}");
        assert_eq!(value(&text, "ControlFlags"), "0x5");
        assert!(profile(&Confinement { cpu: Some(0), ..Confinement::default() }).is_err());
    }

    #[test]
    fn what_a_job_cannot_count_is_an_error() {
        for processes in [0, u64::from(u32::MAX) + 1] {
            assert!(profile(&Confinement { processes, ..Confinement::default() }).is_err(), "{processes}");
        }
    }

    #[test]
    fn the_token_has_no_privileges_no_administrators_and_a_low_level() {
        let text = made(&Confinement::default());
        assert_eq!(value(&text, "Flags"), "0x1");
        let between = |from: &str| text.split_once(from).and_then(|(_, rest)| rest.split_once(']')).expect("a list").0.to_owned();
        assert!(between("SidsToDisable").contains("\"S-1-5-32-544\""), "{text}");
        assert!(between("SidsToRestrict").contains(OWN), "{text}");
        assert!(value(&text, "TokenIntegrityLevel").starts_with("\"S-1-16-4096\""), "{text}");
    }

    #[test]
    fn what_may_be_written_is_never_run() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
        let text = made(&Confinement { read: paths(&["/r\"\\"]), write: paths(&["/w"]), run: paths(&["/x"]), ..Confinement::default() });
        let places: Vec<&str> = text.split("[[place]]\n").skip(1).map(|one| one.split("\n\n").next().expect("a place")).collect();
        let at = |path: &str| *places.iter().find(|one| one.starts_with(path)).unwrap_or_else(|| panic!("{path}: {text}"));
        assert_eq!(at("path = \"/r\\\"\\\\\""), "path = \"/r\\\"\\\\\"\ngrant = \"read\"\nallow = 0x00120089");
        assert_eq!(at("path = \"/x\""), "path = \"/x\"\ngrant = \"run\"\nallow = 0x001200a9");
        let written = at("path = \"/w\"");
        assert!(["allow = 0x0013019f", "deny = 0x00000020", "label = "].iter().all(|line| written.contains(line)), "{text}");
    }

    #[test]
    fn that_the_network_is_open_is_said() {
        let said = |network| made(&Confinement { network, ..Confinement::default() });
        assert!(said(Network::Nothing).contains("# not enforced: network = nothing: "));
        assert!(said(Network::Doors).contains("# not enforced: hosts: "));
    }
}
