//! The rules as they are asked about calls.

use bartizan_rules::Source;
use cedar_policy::Policy;

/// Rules that can be asked about calls.
#[derive(Debug)]
pub struct Rules(bartizan_rules::Rules);

impl std::ops::Deref for Rules {
    type Target = bartizan_rules::Rules;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Rules {
    /// Reads and validates. The error names file and line.
    pub fn load(sources: &[Source]) -> Result<Self, String> {
        bartizan_rules::Rules::load(sources).map(Self)
    }

    /// One rule alone: a part of a rule that was loaded, to see what of it holds.
    pub fn of(policy: Policy) -> Result<Self, String> {
        bartizan_rules::Rules::of(policy).map(Self)
    }
}
