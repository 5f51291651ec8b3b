//! How a held call is asked about, and how strongly a yes over it tells that a person agreed.

use bartizan_monitor::case::Assurance;
use bartizan_monitor::stages::Held;
use bartizan_monitor::wire::version::Era;

use super::put::elicits;
use crate::serve::Visit;

/// How a held call is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Channel {
    /// It waits while the client asks its person.
    Question,
    /// It waits for somebody at this machine.
    Elsewhere,
    /// The client comes again with its person's answer.
    Input,
    /// The model is told what would be sent, and what completes it.
    Preview,
}

impl Channel {
    pub(super) fn of(visit: &Visit<'_>, held: &Held) -> Self {
        let case = held.case();
        match (elicits(visit.talk, case), case.version().era()) {
            (true, Era::Legacy) => Self::Question,
            // Only calls of tools come again with an answer.
            _ if case.tool().is_none() => Self::Elsewhere,
            (true, Era::Modern) => Self::Input,
            (false, _) if held.hold().minimum > Assurance::Model => Self::Elsewhere,
            (false, _) => Self::Preview,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Question => "elicitation",
            Self::Elsewhere => "approvals",
            Self::Input => "input-required",
            Self::Preview => "confirm-tool",
        }
    }

    /// How strongly a yes over it tells that a person agreed.
    pub(super) const fn assurance(&self) -> Assurance {
        match self {
            Self::Question | Self::Elsewhere | Self::Input => Assurance::Client,
            Self::Preview => Assurance::Model,
        }
    }
}
