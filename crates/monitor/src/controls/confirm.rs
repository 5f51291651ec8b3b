//! Confirmation: what the operator wants a person to agree to.
//!
//! Threat: a model that does something on its own that its person would not have wanted. The entry in
//! the lock file says `confirm = "always"` or `"session"`; the call is held until somebody agrees, and
//! silence is no. What destroys is never confirmed by writing `"never"`: that word counts for less.

use crate::case::Case;
use crate::control::{Control, Judged, Verdict};
use crate::lock::Confirm;
use crate::reason::{Class, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A call that its person would not have agreed to.";

reasons! {
    REQUIRED = "confirm.required", Class::Denied,
        "A person must agree to this call, and nobody did.",
        "The tool's entry in the lock file says `confirm = \"always\"` or `\"session\"`. There is no way to ask a person yet, so the answer is no.",
        "Change `confirm` in the lock file if the tool may be called without asking.";
}

/// No settings: the lock file says it of each tool.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Asking, toml::de::Error> {
    Ok(Asking)
}

/// The control.
#[derive(Debug)]
pub struct Asking;

impl Control for Asking {
    fn on_call(&self, case: &Case) -> Judged {
        Ok(match case.tool().and_then(|tool| tool.pin.confirm()) {
            // Until answers are remembered, once per session is every time.
            Some(Confirm::Always | Confirm::Session) => Verdict::Hold(REQUIRED),
            Some(Confirm::Never) | None => Verdict::Pass,
        })
    }
}
