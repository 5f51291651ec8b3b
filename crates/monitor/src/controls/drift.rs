//! Pinned definitions: what the server offers now must be what was reviewed.
//!
//! Threat: the rug pull. A server is approved, then changes what a tool says, takes or does. The
//! comparison is made when the case is built; this control turns its outcome into a verdict.

use crate::case::{Case, Standing};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A server that changes a tool after it was approved.";

reasons! {
    CHANGED = "drift.changed", Class::Denied,
        "The definition of this tool changed since it was approved. A person must review it.",
        "What the server offers under this name is not what the lock file holds, so nobody has reviewed it.",
        "`bartizan diff SERVER` shows the change; `bartizan approve SERVER/TOOL` accepts it.";
    REMOVED = "drift.removed", Class::Denied,
        "The server no longer offers this.",
        "The definition is approved, but the server does not list it any more.",
        "`bartizan diff SERVER` shows what is gone; `bartizan approve SERVER` cleans the lock file.";
}

/// No settings: what is not pinned is not called.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Drift, toml::de::Error> {
    Ok(Drift)
}

/// The control.
#[derive(Debug)]
pub struct Drift;

impl Control for Drift {
    fn on_call(&self, case: &Case) -> Judged {
        let Some(item) = case.item().filter(|_| !case.withdraws()) else { return Ok(Verdict::Pass) };
        let reason = match item.standing {
            Standing::Pinned => return Ok(Verdict::Pass),
            Standing::Changed => CHANGED,
            Standing::Removed => REMOVED,
        };
        Ok(Verdict::Deny(Refusal::new(reason, format!("{}/{}", item.server, item.pin.name))))
    }
}
