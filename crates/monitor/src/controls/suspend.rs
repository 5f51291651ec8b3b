//! Suspend: what the operator has stopped does not happen.
//!
//! Threat: an agent, a credential or a server that misbehaves right now. Whoever sees it must be able
//! to stop that one thing, or everything, without hunting for the right rule. What can only lessen
//! what happens (cancelling a task) still passes when a tool or a server is stopped.

use crate::case::{Case, Event, Stopped};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "An agent, a credential or a server that misbehaves right now.";

reasons! {
    STOPPED = "suspend.stopped", Class::Denied,
        "The operator has suspended this. Do not try again; ask the person who runs it.",
        "Somebody pressed the stop button for the client, the tool, the server, or everything.",
        "`bartizan suspend` without a name shows what is suspended; `bartizan resume` lets it go on.";
}

/// No settings: the stop button is not configured, it is pressed.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Suspend, toml::de::Error> {
    Ok(Suspend)
}

/// The control.
#[derive(Debug)]
pub struct Suspend;

fn verdict(stopped: Option<Stopped>) -> Judged {
    Ok(stopped.map_or(Verdict::Pass, |stopped| Verdict::Deny(Refusal::new(STOPPED, stopped.to_string()))))
}

impl Control for Suspend {
    fn on_call(&self, case: &Case) -> Judged {
        let tool = case.item().map(|item| item.pin.name.as_str());
        let stopped = case.facts().stops.cover(case.caller(), case.server().map(|server| &**server), tool);
        verdict(stopped.filter(|stopped| !(case.withdraws() && matches!(stopped, Stopped::Server | Stopped::Tool))))
    }

    fn on_event(&self, event: &Event) -> Judged {
        verdict(event.facts.stops.cover(&event.caller, Some(&event.server), None))
    }
}
