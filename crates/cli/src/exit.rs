//! Exit codes: scripts rely on them (CLI reference, "Exit codes").

use std::fmt::Display;
use std::process::ExitCode;

use bartizan_gateway::config::ConfigErrors;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Findings, or the answer is no.
    Findings,
    /// The command line or the configuration is wrong; nothing was started.
    Usage,
    /// A server or the environment failed.
    Environment,
    /// Approved definitions changed.
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

    /// Says what is wrong with the command line or a file.
    pub(crate) fn usage(what: &(impl Display + ?Sized)) -> Self {
        eprintln!("error: {what}");
        Self::Usage
    }

    /// Says what failed outside.
    pub(crate) fn environment(what: &(impl Display + ?Sized)) -> Self {
        eprintln!("error: {what}");
        Self::Environment
    }

    /// Shows all problems of a configuration, each with its place.
    pub(crate) fn configuration(errors: ConfigErrors) -> Self {
        eprintln!("{:?}", miette::Report::new(errors));
        Self::Usage
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
