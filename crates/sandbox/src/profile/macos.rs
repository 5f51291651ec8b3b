//! For macOS: a profile in the language of `sandbox-exec`. The last rule that fits decides.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{open, quoted, text};
use crate::confinement::{Confinement, Grant, Network, Sockets};
use crate::report::PROXY;

/// What every program there needs to start: the loader, its cache, libraries, certificates and time zones. Nothing of it
/// is anybody's secret.
const READ: &[&str] = &[
    "/System/Library",
    "/System/Cryptexes",
    "/System/Volumes/Preboot/Cryptexes",
    "/usr/lib",
    "/usr/share/icu",
    "/usr/share/locale",
    "/usr/share/zoneinfo",
    "/private/etc/ssl",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
];
/// What of that is code.
const CODE: &[&str] = &["/System/Library", "/System/Cryptexes", "/System/Volumes/Preboot/Cryptexes", "/usr/lib"];
/// Devices that are nobody's.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];
/// What run-times ask the kernel about the machine. A list: the names of other processes are asked for in the same way.
const SETTINGS: &[&str] = &[
    "hw.activecpu",
    "hw.byteorder",
    "hw.cachelinesize",
    "hw.cputype",
    "hw.logicalcpu",
    "hw.machine",
    "hw.memsize",
    "hw.ncpu",
    "hw.pagesize",
    "hw.physicalcpu",
    "kern.argmax",
    "kern.maxfilesperproc",
    "kern.osproductversion",
    "kern.osrelease",
    "kern.ostype",
    "kern.osversion",
    "kern.usrstack64",
    "kern.version",
];
/// The one service that is looked up: who the user of a process is.
const SERVICE: &str = "com.apple.system.opendirectoryd.libinfo";
/// Directories there that are links: rules are matched against what they lead to.
const LINKS: &[&str] = &["/etc", "/tmp", "/var"];

/// Scratch space of the server's own, which whoever starts it makes and names: `sandbox-exec -D SCRATCH=DIRECTORY`.
const SCRATCH: &str = "(subpath (param \"SCRATCH\"))";

const HEAD: &str = "\
; Never run on macOS: made from the confinement and tested as text, on Linux only.
; /usr/bin/sandbox-exec -D SCRATCH=DIRECTORY -f THIS COMMAND, where DIRECTORY is empty and the server's own (its HOME and TMPDIR).
; Programs are named as they lie on the machine that this was made on.
; Paths are matched after symbolic links: a grant that is a link there grants nothing.
(version 1)
(deny default)
(allow process-fork)
(allow signal process-info* (target same-sandbox))
";

/// The profile.
pub(super) fn profile(confinement: &Confinement) -> Result<String, String> {
    let mut profile = HEAD.to_owned();
    let mut rule = |line: &str| {
        profile.push_str(line);
        profile.push('\n');
    };
    rule(&format!("(allow sysctl-read {})", filters("sysctl-name", SETTINGS)));
    rule(&format!("(allow mach-lookup (global-name {}))", quoted(SERVICE)));
    rule(&format!("(allow file-read* file-write-data file-ioctl {})", filters("literal", DEVICES)));
    rule(&format!("(allow file-read* {})", filters("subpath", READ)));
    rule(&format!("(allow file-map-executable {})", filters("subpath", CODE)));
    let behind = behind_links(confinement);
    let grants = behind.grants();
    rule(&format!("(allow file-read-metadata {})", above(&grants)?));
    for (path, grant) in &grants {
        granted(text(path)?, *grant).iter().for_each(|line| rule(line));
    }
    // After the grants: it may lie in one of them.
    rule(&format!("(allow file-read* file-write* {SCRATCH})"));
    rule(&format!("(deny process-exec* file-map-executable {SCRATCH})"));
    // All of these are writing, too.
    rule("(deny file-write-setugid file-write-mount file-write-unmount)");
    network(confinement, &grants)?.iter().for_each(|line| rule(line));
    not_enforced(confinement).iter().for_each(|line| rule(&format!("; {line}")));
    Ok(profile)
}

fn filters(kind: &str, values: &[&str]) -> String {
    values.iter().map(|value| format!("({kind} {})", quoted(value))).collect::<Vec<_>>().join(" ")
}

/// What may be done at a granted path, which is a file or a directory with all that is in it.
fn granted(path: &str, grant: Grant) -> Vec<String> {
    let there = format!("(subpath {})", quoted(path));
    match grant {
        Grant::Read => vec![format!("(allow file-read* {there})")],
        Grant::Run => vec![format!("(allow file-read* process-exec* file-map-executable {there})")],
        // It may lie in something that can be run.
        Grant::Write => {
            vec![format!("(allow file-read* file-write* {there})"), format!("(deny process-exec* file-map-executable {there})")]
        }
    }
}

/// The directories that lead to what was granted: they can be looked at, not listed.
fn above(grants: &[(&Path, Grant)]) -> Result<String, String> {
    let mut all = BTreeSet::from(["/"]);
    for above in grants.iter().flat_map(|(path, _)| path.ancestors().skip(1)) {
        all.insert(text(above)?);
    }
    // Names that programs use go through these links.
    all.extend(LINKS);
    Ok(filters("literal", &all.into_iter().collect::<Vec<_>>()))
}

/// The same confinement with paths behind the links that the system itself has: two names of one place are one grant.
fn behind_links(confinement: &Confinement) -> Confinement {
    let real = |path: &PathBuf| {
        let is_behind = LINKS.iter().any(|link| path.starts_with(link));
        if is_behind { Path::new("/private").join(path.strip_prefix("/").unwrap_or(path)) } else { path.clone() }
    };
    let all = |paths: &[PathBuf]| paths.iter().map(real).collect();
    Confinement { read: all(&confinement.read), write: all(&confinement.write), run: all(&confinement.run), ..confinement.clone() }
}

/// One port of the machine itself, and nothing of its names; sockets in files where they are granted.
fn network(confinement: &Confinement, grants: &[(&Path, Grant)]) -> Result<Vec<String>, String> {
    let mut rules = Vec::new();
    if confinement.network == Network::Doors {
        rules.push(format!("(allow network-outbound (remote ip \"localhost:{PROXY}\"))"));
    }
    if confinement.sockets == Sockets::Files {
        rules.push("(allow system-socket (socket-domain AF_UNIX))".to_owned());
        let mut places = vec![SCRATCH.to_owned()];
        for (path, _) in grants.iter().filter(|(_, grant)| *grant == Grant::Write) {
            places.push(format!("(subpath {})", quoted(text(path)?)));
        }
        for place in places {
            rules.push(format!("(allow network-bind network-inbound (local unix-socket {place}))"));
            rules.push(format!("(allow network-outbound (remote unix-socket {place}))"));
        }
    }
    Ok(rules)
}

/// What a profile has no words for.
fn not_enforced(confinement: &Confinement) -> Vec<String> {
    let mut lines = Vec::new();
    if confinement.network == Network::Doors {
        lines.push(open("hosts", "the profile lets through to the proxy's port and to nothing else; which hosts is the proxy's to judge"));
        lines.push(open("hosts", "there is no network of the server's own: every program of the machine reaches that port, and who ignores the proxy reaches nothing"));
    }
    let limit = "whoever starts it limits it (setrlimit)";
    lines.push(open(format_args!("memory = {}", confinement.memory), "there is no such limit for a group of processes"));
    lines.push(open(format_args!("scratch = {}", confinement.scratch), "make DIRECTORY on a volume of that size"));
    lines
        .push(open(format_args!("processes = {}", confinement.processes), "RLIMIT_NPROC counts all processes of the user, and no threads"));
    lines.push(open(format_args!("open_files = {}", confinement.open_files), limit));
    lines.push(open(format_args!("file_size = {}", confinement.file_size), limit));
    lines.extend(confinement.cpu.map(|percent| open(format_args!("cpu = {percent}%"), "there is no such limit for a group of processes")));
    lines.extend(confinement.wall.map(|wall| open(format_args!("wall = {} s", wall.as_secs()), "whoever starts it ends it")));
    lines.push(open("names of other processes", "they can be seen, as with `landlock`"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thing of the language: a list, or a word or string of it.
    #[derive(Debug, PartialEq)]
    enum Thing {
        List(Vec<Self>),
        Word(String),
    }

    /// Reads a whole profile as its own reader would: comments, lists, words, and strings with escapes.
    fn read(text: &str) -> Vec<Thing> {
        let mut open = vec![Vec::new()];
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            match next {
                ';' => while rest.next_if(|c| *c != '\n').is_some() {},
                '(' => open.push(Vec::new()),
                ')' => {
                    let list = Thing::List(open.pop().expect("a list"));
                    open.last_mut().expect("a list that is closed was opened").push(list);
                }
                '"' => {
                    let mut word = String::new();
                    loop {
                        match rest.next().expect("a string ends") {
                            '"' => break,
                            '\\' => word.push(rest.next().expect("something is escaped")),
                            other => word.push(other),
                        }
                    }
                    open.last_mut().expect("a list").push(Thing::Word(word));
                }
                white if white.is_whitespace() => {}
                first => {
                    let mut word = String::from(first);
                    while let Some(more) = rest.next_if(|c| !c.is_whitespace() && !"();\"".contains(*c)) {
                        word.push(more);
                    }
                    open.last_mut().expect("a list").push(Thing::Word(word));
                }
            }
        }
        assert_eq!(open.len(), 1, "every list is closed");
        open.remove(0)
    }

    fn made(confinement: &Confinement) -> (String, Vec<Thing>) {
        let text = profile(confinement).expect("a profile");
        let read = read(&text);
        (text, read)
    }

    fn paths(list: &[&str]) -> Vec<PathBuf> {
        list.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn everything_is_denied_that_is_not_listed() {
        let (text, rules) = made(&Confinement::default());
        assert_eq!(rules[..2], read("(version 1) (deny default)")[..]);
        let allowed = |operation: &str| {
            let words = |rule: &Thing| matches!(rule, Thing::List(list) if list[0] == Thing::Word("allow".to_owned()) && list.contains(&Thing::Word(operation.to_owned())));
            rules.iter().filter(|rule| words(rule)).count()
        };
        assert_eq!(allowed("mach-lookup"), 1, "one service and no other: {text}");
        for operation in [
            "default",
            "network*",
            "network-outbound",
            "network-inbound",
            "network-bind",
            "system-socket",
            "process-exec",
            "process-exec*",
            "mach*",
            "iokit-open",
        ] {
            assert_eq!(allowed(operation), 0, "{operation}: {text}");
        }
        // Every rule says where, but for these.
        let bare: Vec<&Thing> =
            rules.iter().filter(|rule| matches!(rule, Thing::List(list) if list.iter().all(|one| matches!(one, Thing::Word(_))))).collect();
        assert_eq!(bare.len(), 4, "version, deny default, process-fork, what is no mere writing: {bare:?}");
    }

    #[test]
    fn grants_are_rules_and_what_may_be_written_is_never_run() {
        let confinement = Confinement {
            read: paths(&["/srv/notes"]),
            write: paths(&["/opt/mcp/cache"]),
            run: paths(&["/opt/mcp"]),
            ..Confinement::default()
        };
        let (text, rules) = made(&confinement);
        let at = |rule: &str| {
            let wanted = read(rule).remove(0);
            rules.iter().position(|one| *one == wanted).unwrap_or_else(|| panic!("{rule} is not in\n{text}"))
        };
        at("(allow file-read* (subpath \"/srv/notes\"))");
        let run = at("(allow file-read* process-exec* file-map-executable (subpath \"/opt/mcp\"))");
        let write = at("(allow file-read* file-write* (subpath \"/opt/mcp/cache\"))");
        let not_run = at("(deny process-exec* file-map-executable (subpath \"/opt/mcp/cache\"))");
        assert!(run < write && write < not_run, "the last one decides");
        assert!(text.contains("(literal \"/srv\")") && !text.contains("(subpath \"/srv\")"), "{text}");
    }

    #[test]
    fn a_path_stays_one_string_whatever_is_in_it() {
        let odd = "/srv/a\") (allow default) (\\\"; b";
        let (_, rules) = made(&Confinement { read: paths(&[odd]), ..Confinement::default() });
        let wanted = Thing::List(vec![
            Thing::Word("allow".to_owned()),
            Thing::Word("file-read*".to_owned()),
            Thing::List(vec![Thing::Word("subpath".to_owned()), Thing::Word(odd.to_owned())]),
        ]);
        assert!(rules.contains(&wanted), "{rules:?}");
    }

    #[test]
    fn paths_are_those_behind_the_systems_own_links() {
        let (text, _) = made(&Confinement { write: paths(&["/tmp/x", "/variety"]), ..Confinement::default() });
        assert!(text.contains("(subpath \"/private/tmp/x\")") && text.contains("(subpath \"/variety\")"), "{text}");
        let twice =
            Confinement { write: paths(&["/tmp/x"]), run: paths(&["/private/tmp/x", "/private/tmp/x/y"]), ..Confinement::default() };
        assert!(!made(&twice).0.contains("allow file-read* process-exec*"), "what may be written there is never run");
    }

    #[test]
    fn the_only_way_out_is_the_proxys_port_and_that_hosts_are_its_to_judge_is_said() {
        let (text, rules) = made(&Confinement { network: Network::Doors, ..Confinement::default() });
        assert!(rules.contains(&read("(allow network-outbound (remote ip \"localhost:3128\"))").remove(0)), "{text}");
        assert_eq!(text.matches("(allow network").count(), 1);
        assert!(text.contains("; not enforced: hosts: "), "{text}");
    }

    #[test]
    fn sockets_in_files_are_where_files_can_be_made() {
        let (text, _) =
            made(&Confinement { sockets: Sockets::Files, write: paths(&["/srv/w"]), read: paths(&["/srv/r"]), ..Confinement::default() });
        assert!(text.contains("(allow network-outbound (remote unix-socket (subpath \"/srv/w\")))"), "{text}");
        assert!(!text.contains("unix-socket (subpath \"/srv/r\")") && !text.contains("remote ip"), "{text}");
    }
}
