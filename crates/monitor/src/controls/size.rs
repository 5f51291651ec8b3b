//! Reply size: an answer may not flood the client's context.
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
        "The reply has more bytes than `controls.size.reply_bytes`.",
        "Ask for a smaller part, or raise the limit.";
}

/// How large a reply may be.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of JSON in one reply.
    pub reply_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { reply_bytes: 4 * 1024 * 1024 }
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
    fn on_reply(&self, _case: &Case, reply: &Reply) -> Judged {
        let size = reply.body.bytes().len();
        Ok(if size <= self.0.reply_bytes {
            Verdict::Pass
        } else {
            Verdict::Deny(Refusal::new(REPLY, format!("{size} bytes, allowed are {}", self.0.reply_bytes)))
        })
    }
}
