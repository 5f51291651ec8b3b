//! Canaries: values that nobody has a reason to send.
//!
//! Threat: an agent that carries away what it has read, by whichever tool and in whichever encoding. A honey
//! secret lies where only somebody who collects secrets picks it up; when it comes back in a parameter, whoever
//! sends it is not to be trusted any more. The message is refused, and so is all that the session sends after it.
//! The values are kept by the gateway and come with the case.

use crate::case::{Case, Touch};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::envelope::{Message, Outcome};

/// The threat, in one sentence.
pub const THREAT: &str = "An agent that carries away what it has read, in whatever encoding.";

reasons! {
    TOUCHED = "canary.touched", Class::Denied,
        "This session is stopped. Do not try again; ask the person who runs it.",
        "The parameters hold a canary of `[canaries]`, as it is or in base64, hexadecimal or URL escapes: something was collected that nobody has a use for.",
        "Find out what made the client send it: the journal has what the session read before. What else was in the same place must be taken for known.";
    STOPPED = "canary.stopped", Class::Denied,
        "This session is stopped. Do not try again; ask the person who runs it.",
        "The session sent a canary before. It stays stopped as long as the gateway runs; with `suspend_client`, the client does until somebody lets it go on.",
        "Look at the call that touched the canary first. A new session is free; `bartizan resume --client` lets a suspended client go on.";
}

/// No settings here: the values stand in `[canaries]`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Canary, toml::de::Error> {
    Ok(Canary)
}

/// The control.
#[derive(Debug)]
pub struct Canary;

impl Control for Canary {
    fn on_call(&self, case: &Case) -> Judged {
        let facts = case.facts();
        let Some(wires) = &facts.wires else { return Ok(Verdict::Pass) };
        let body = match case.message() {
            Message::Request { params, .. } | Message::Notification { params, .. } => params.as_ref(),
            Message::Response { outcome: Outcome::Result(body) | Outcome::Error(body), .. } => Some(body),
        };
        let text = body.map_or("", |body| body.view().text());
        Ok(match wires.touched(case.caller(), &facts.session, text) {
            None => Verdict::Pass,
            Some(Touch::Now(name)) => Verdict::Deny(Refusal::new(TOUCHED, format!("the canary {name:?}"))),
            // What was begun may still be taken back.
            Some(Touch::Before) if case.withdraws() => Verdict::Pass,
            Some(Touch::Before) => Verdict::Deny(Refusal::new(STOPPED, "")),
        })
    }
}
