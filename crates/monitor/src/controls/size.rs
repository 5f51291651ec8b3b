//! Reply size: how long an answer may be in all. How much of it is handed out at once is said by `paging`.
//!
//! Threat: a tool whose answer is so long that it pushes everything else, instructions included,
//! out of the model's context, or costs a fortune to read.

use crate::case::{Case, Reply};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "An answer so long that it floods the model's context.";

reasons! {
    REPLY = "size.reply", Class::Denied,
        "The answer was too long and was withheld. Ask for less.",
        "The reply has more bytes than `controls.size.reply_bytes`, or than `limits.result_bytes` of its entry in the lock file.",
        "Ask for a smaller part, or raise the limit.";
}

/// How large a reply may be.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of JSON in one reply, whether or not it is handed out in parts.
    pub reply_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { reply_bytes: 16 * 1024 * 1024 }
    }
}

/// Builds the control.
pub fn build(config: Config) -> Result<Size, toml::de::Error> {
    Ok(Size(config))
}

/// The control.
#[derive(Debug)]
pub struct Size(Config);

impl Control for Size {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        let size = reply.body.bytes().len();
        let most = case.item().and_then(|item| item.pin.contract.limits.result_bytes).unwrap_or(self.0.reply_bytes);
        Ok(if size <= most {
            Verdict::Pass
        } else {
            Verdict::Deny(Refusal::new(REPLY, format!("{size} bytes, allowed are {most}")))
        })
    }
}
