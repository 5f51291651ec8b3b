//! Flow: what somebody has read decides what may leave afterwards.
//!
//! Threat: text of a stranger tells a model to send what is private to the stranger. Private data, untrusted
//! content and a way out, all in one conversation, are the *lethal trifecta*; which text did it, no
//! detector finds reliably, and none has to: labels say what was read, whoever wrote it. After untrusted
//! content, what destroys or can carry data out is held for a person; with private content beside it, too,
//! whatever else was agreed. Only the lock file and people say what is private, untrusted, or no way out.

use crate::case::{Assurance, Case, Effect, Kind, Scope};
use crate::control::{Control, Hold, Judged, Verdict};
use crate::reason::{Class, reasons};
use crate::wire::method::Method;

/// The threat, in one sentence.
pub const THREAT: &str = "A stranger's text that makes a model send private data out.";

reasons! {
    UNTRUSTED = "flow.untrusted", Class::Denied,
        "Content of unknown authors was read before. A person must agree to this call, and nobody did.",
        "The client has read untrusted content, and the call destroys something or can carry data out. Tools without `returns` in the lock file return untrusted content; a tool that writes, takes an address, or says of itself that it reaches an open world can carry data out, unless its entry says `egress = false`.",
        "Agree to the call, or review the entries in the lock file: `returns` says what kind of content comes back, `egress` whether data can leave through a tool. `bartizan labels list` shows what clients have read; `bartizan labels clear` is for a person who knows that it does not matter any more.";
    TRIFECTA = "flow.trifecta", Class::Denied,
        "Private content and content of unknown authors were read before. Nothing may be sent out now without a person who agrees.",
        "The client has read private and untrusted content, and the call can carry data out: the text of a stranger may be what asks for it.",
        "Look at what the call would send, and to whom, and agree to it or not. `bartizan labels list` shows what the client has read.";
}

/// How long labels stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after it was last set a label goes by itself.
    pub label_hours: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { label_hours: 24 }
    }
}

/// Builds the control.
pub fn build(config: Config) -> Result<Flow, toml::de::Error> {
    if (1..=24 * 366).contains(&config.label_hours) {
        Ok(Flow)
    } else {
        Err(serde::de::Error::custom("label_hours is 1 to 8784"))
    }
}

/// The control.
#[derive(Debug)]
pub struct Flow;

/// Whether data can leave with a message.
fn sends(case: &Case) -> bool {
    let Some(item) = case.item() else { return false };
    if matches!(case.method(), Some(Method::ToolsCall | Method::TasksUpdate)) {
        return item.pin.sends();
    }
    // What is put into a URI that a server fetches somewhere has left.
    let fetched = |uri: &str| uri.starts_with("http:") || uri.starts_with("https:");
    let leaves = || case.uri().is_some_and(|uri| uri.view().as_str().is_some_and(|uri| fetched(&uri)));
    item.pin.kind == Kind::Template && item.pin.contract.egress.unwrap_or_else(leaves)
}

/// Where private content could leave, what the model itself completes is nobody's yes: what it read may be what steers
/// it. One yes is good for one call then, because the next one may carry something else.
const TOGETHER: Verdict = Verdict::Hold(Hold { reason: TRIFECTA, scope: Scope::Call, minimum: Assurance::Client, approvers: 1 });

/// What was read may steer the model, and nothing private is known to be at stake: like a write, once for each tool,
/// and each time for what destroys.
fn alone(case: &Case) -> Verdict {
    let scope = match case.effect() {
        Effect::Read | Effect::Write if case.agreed().is_some() => return Verdict::Pass,
        Effect::Read | Effect::Write => Scope::Session,
        Effect::Destructive => Scope::Call,
    };
    Verdict::Hold(Hold { reason: UNTRUSTED, scope, minimum: Assurance::Model, approvers: 1 })
}

impl Control for Flow {
    fn on_call(&self, case: &Case) -> Judged {
        let labels = case.facts().labels;
        // What only takes back, or is answered with what was answered before, carries nothing out.
        if !labels.untrusted || case.withdraws() || case.replays().is_some() || case.reads().is_some() {
            return Ok(Verdict::Pass);
        }
        Ok(match (sends(case), labels.private, case.effect()) {
            (true, true, _) => TOGETHER,
            (true, false, _) | (false, _, Effect::Destructive) => alone(case),
            (false, _, Effect::Read | Effect::Write) => Verdict::Pass,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_lasts_for_some_time() {
        assert!(build(Config { label_hours: 0 }).is_err() && build(Config { label_hours: 9000 }).is_err());
    }
}
