//! What controls said, for the record.

use crate::reason::Reason;
use crate::wire::json::Json;

/// What one control said of one case, for the record.
#[derive(Debug, Clone)]
pub struct Step {
    /// The control.
    pub control: &'static str,
    /// What it said.
    pub mark: Mark,
    /// What it noted, without content: kinds, weights, keyed digests of what was removed.
    pub note: Option<Box<str>>,
    /// The operator's rules by which it said so, where there are such.
    pub rules: Option<Json>,
}

/// A verdict without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// No objection.
    Pass,
    /// No objection after an edit.
    Mask,
    /// A person must agree.
    Hold(Reason),
    /// No.
    Deny(Reason),
    /// Would have been a no, in observe mode.
    Observed(Reason),
}
