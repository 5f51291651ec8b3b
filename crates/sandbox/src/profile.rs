//! A confinement as other systems would have it: text for a person to read, and for whoever carries this program there.
//!
//! Nothing of it was ever run on these systems, and the text says so in its first line. What a system's mechanism cannot
//! hold is named in the text, value by value; what would make the text mean something else is an error.

mod macos;
mod windows;

use std::fmt::Display;
use std::path::Path;

use crate::confinement::{Confinement, Level, Recording};

/// A system on which this program does not confine anything yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// A profile for `sandbox-exec`.
    MacOs,
    /// A job object and a restricted token.
    Windows,
}

/// What would hold a server there.
pub fn profile(system: System, confinement: &Confinement) -> Result<String, String> {
    if confinement.recording == Recording::On {
        return Err("what a server asks for cannot be recorded there".to_owned());
    }
    if confinement.minimum > Level::Landlock {
        let minimum = confinement.minimum.name();
        return Err(format!("its `minimum` is {minimum}, which takes namespaces or an engine: there it would not start"));
    }
    match system {
        System::MacOs => macos::profile(confinement),
        System::Windows => windows::profile(confinement),
    }
}

/// A path as text in which nothing can end the line or the string that it stands in.
fn text(path: &Path) -> Result<&str, String> {
    let plain = path.to_str().filter(|text| !text.chars().any(char::is_control));
    plain.ok_or_else(|| format!("{path:?} cannot be written down in a profile: it is no text of one line"))
}

/// A string in double quotes, as both formats read it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One value that nothing here holds, and who would have to.
fn open(what: impl Display, why: &str) -> String {
    format!("not enforced: {what}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::PathBuf;

    const BOTH: [System; 2] = [System::MacOs, System::Windows];

    #[test]
    fn the_first_line_says_that_nobody_has_run_it() {
        for system in BOTH {
            let text = profile(system, &Confinement::default()).expect("a profile");
            assert!(text.lines().next().is_some_and(|line| line.contains("Never run on")), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        let with = |change: fn(&mut Confinement)| {
            let mut confinement = Confinement::default();
            change(&mut confinement);
            BOTH.map(|system| profile(system, &confinement))
        };
        for refused in [
            with(|one| one.minimum = Level::Native),
            with(|one| one.minimum = Level::Container),
            with(|one| one.recording = Recording::On),
            with(|one| one.read.push("/a\nb".into())),
            with(|one| one.write.push("/a\u{85}b".into())),
            with(|one| one.run.push(PathBuf::from(OsString::from_vec(b"/\xff".to_vec())))),
        ] {
            assert!(refused.iter().all(Result::is_err), "{refused:?}");
        }
    }

    #[test]
    fn every_limit_is_held_or_named_as_open() {
        let confinement = Confinement {
            memory: 111,
            scratch: 222,
            processes: 333,
            open_files: 444,
            file_size: 555,
            cpu: Some(66),
            wall: Some(std::time::Duration::from_secs(77)),
            ..Confinement::default()
        };
        for system in BOTH {
            let text = profile(system, &confinement).expect("a profile");
            for value in ["111", "222", "333", "444", "555", "66", "77"] {
                assert!(text.contains(value), "{system:?}: {value} is not in\n{text}");
            }
        }
    }
}
