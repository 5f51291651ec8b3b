//! How the program ends: the codes that scripts rely on.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use bartizan_gateway::config::ConfigErrors;

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// There are findings, or the answer is no.
    Findings,
    /// Wrong usage or configuration; nothing was started.
    Usage,
    /// A server or the environment failed.
    Environment,
    /// Approved definitions differ from what is offered.
    Drifted,
    /// Something waits for approval.
    ApprovalNeeded,
    /// The journal does not verify.
    Broken,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::Drifted => 10,
            Self::ApprovalNeeded => 11,
            Self::Broken => 20,
        }
    }

    /// Says how the command was meant.
    pub(crate) fn usage(what: &(impl Display + ?Sized)) -> Self {
        say(what);
        Self::Usage
    }

    /// Says what failed outside.
    pub(crate) fn environment(what: &(impl Display + ?Sized)) -> Self {
        say(what);
        Self::Environment
    }

    /// Shows what is wrong with a configuration, and where.
    pub(crate) fn configuration(errors: ConfigErrors) -> Self {
        eprintln!("{:?}", miette::Report::new(errors));
        Self::Usage
    }

    /// The end of a command whose output broke. Who closes a pipe has read enough.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Done } else { Self::environment(&format!("cannot write the output: {error}")) }
    }
}

/// Says it line by line. What is said may quote a server or a file, and those may quote a terminal's language.
fn say(what: &(impl Display + ?Sized)) {
    let text = what.to_string();
    let lines: Vec<String> = text.lines().map(crate::paint::visible_text).collect();
    eprintln!("bartizan: {}", lines.join("\n"));
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
