//! Confirmation: what a person must agree to.
//!
//! Threat: a model that does something on its own that its person would not have wanted. What destroys
//! is held each time; what changes something is held the first time in a session; reading never is.
//! The configuration and the entry in the lock file say otherwise, but what destroys is asked for each
//! time unless `dangerous` says that it is not. Silence is no.

use std::collections::BTreeMap;

use crate::case::{Assurance, Case, Effect, Item, Scope};
use crate::control::{Control, Hold, Judged, Verdict};
use crate::lock::Confirm;
use crate::reason::{Class, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A call that its person would not have agreed to.";

reasons! {
    REQUIRED = "confirm.required", Class::Denied,
        "A person must agree to this call, and nobody did yet. The answer says how that is done.",
        "What destroys waits for a person each time, what changes something the first time in a session, unless the configuration or the tool's entry in the lock file says otherwise.",
        "Agree in the client, or with `bartizan approvals`. `docs/confirmation.md` says what is asked when.";
}

/// What is asked when, and how strongly somebody must be known to agree.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Of tools that read: `never`, `session` or `always`.
    pub read: Confirm,
    /// Of tools that write.
    pub write: Confirm,
    /// Of tools that destroy: `always`. Less stands in `dangerous.destructive_calls`.
    pub destructive: Confirm,
    /// The least assurance, by effect.
    pub minimum: Minimum,
    /// How many different people must agree, by effect. More than one is none of them the one who asks.
    pub approvers: Approvers,
    /// The least assurance of single tools, by server and tool; it only asks for more.
    pub tools: BTreeMap<String, BTreeMap<String, Assurance>>,
    /// How many seconds a question stays open. (Read by the gateway.)
    pub timeout_seconds: u64,
}

/// The least assurance, by effect.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Minimum {
    /// Of tools that read.
    pub read: Assurance,
    /// Of tools that write.
    pub write: Assurance,
    /// Of tools that destroy.
    pub destructive: Assurance,
}

/// How many people must agree, by effect.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approvers {
    /// To tools that read.
    pub read: u8,
    /// To tools that write.
    pub write: u8,
    /// To tools that destroy.
    pub destructive: u8,
}

impl Default for Approvers {
    fn default() -> Self {
        Self { read: 1, write: 1, destructive: 1 }
    }
}

impl Default for Minimum {
    fn default() -> Self {
        Self { read: Assurance::Model, write: Assurance::Model, destructive: Assurance::Model }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            read: Confirm::Never,
            write: Confirm::Session,
            destructive: Confirm::Always,
            minimum: Minimum::default(),
            approvers: Approvers::default(),
            tools: BTreeMap::new(),
            timeout_seconds: TIMEOUT_SECONDS,
        }
    }
}

/// How long a question stays open when nothing is said.
pub const TIMEOUT_SECONDS: u64 = 300;
/// The longest that it may.
pub const MAX_TIMEOUT_SECONDS: u64 = 86_400;
/// How many people can be asked for at most.
pub const MAX_APPROVERS: u8 = 8;

/// Builds the control.
pub fn build(config: Config) -> Result<Asking, toml::de::Error> {
    if !(1..=MAX_TIMEOUT_SECONDS).contains(&config.timeout_seconds) {
        return Err(serde::de::Error::custom(format!("timeout_seconds is 1 to {MAX_TIMEOUT_SECONDS}")));
    }
    let Approvers { read, write, destructive } = config.approvers;
    if [read, write, destructive].iter().any(|number| !(1..=MAX_APPROVERS).contains(number)) {
        return Err(serde::de::Error::custom(format!("approvers is 1 to {MAX_APPROVERS}")));
    }
    Ok(Asking(config))
}

/// The control.
#[derive(Debug)]
pub struct Asking(Config);

impl Asking {
    /// When somebody is asked: the entry in the lock file decides, but not less than is asked of all that destroys.
    fn when(&self, tool: &Item) -> Confirm {
        let entry = tool.pin.contract.confirm;
        match tool.pin.effect {
            Effect::Read => entry.unwrap_or(self.0.read),
            Effect::Write => entry.unwrap_or(self.0.write),
            Effect::Destructive => entry.map_or(self.0.destructive, |entry| entry.max(self.0.destructive)),
        }
    }

    fn approvers(&self, tool: &Item) -> u8 {
        match tool.pin.effect {
            Effect::Read => self.0.approvers.read,
            Effect::Write => self.0.approvers.write,
            Effect::Destructive => self.0.approvers.destructive,
        }
    }

    fn minimum(&self, tool: &Item) -> Assurance {
        let of_effect = match tool.pin.effect {
            Effect::Read => self.0.minimum.read,
            Effect::Write => self.0.minimum.write,
            Effect::Destructive => self.0.minimum.destructive,
        };
        let of_tool = self.0.tools.get(&*tool.server).and_then(|tools| tools.get(&tool.pin.name));
        of_tool.map_or(of_effect, |own| of_effect.max(*own))
    }
}

impl Control for Asking {
    fn on_call(&self, case: &Case) -> Judged {
        // What is answered from the record is not done again, and what is only tried is not done.
        let Some(tool) = case.tool().filter(|_| case.replays().is_none() && !case.rehearses()) else { return Ok(Verdict::Pass) };
        let scope = match self.when(tool) {
            Confirm::Never => return Ok(Verdict::Pass),
            Confirm::Session if case.agreed().is_some() => return Ok(Verdict::Pass),
            Confirm::Session => Scope::Session,
            Confirm::Always => Scope::Call,
        };
        let (approvers, minimum) = (self.approvers(tool), self.minimum(tool));
        // Several people are told apart, or they are not several.
        let minimum = if approvers > 1 { Assurance::Second } else { minimum };
        Ok(Verdict::Hold(Hold { reason: REQUIRED, scope, minimum, approvers }))
    }
}
