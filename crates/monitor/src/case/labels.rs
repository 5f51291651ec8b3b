//! What a conversation has seen: labels of the content that was released into it.

use crate::lock::Returns;

/// Labels of a conversation. They are only added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Labels {
    /// Content that not everybody may know.
    pub private: bool,
    /// Content that anybody may have written.
    pub untrusted: bool,
}

impl Labels {
    /// The label of what a definition returns.
    #[must_use]
    pub const fn of(returns: Returns) -> Self {
        Self { private: matches!(returns, Returns::Private), untrusted: matches!(returns, Returns::Untrusted) }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { private: self.private || other.private, untrusted: self.untrusted || other.untrusted }
    }

    /// The names in policies and records.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [(self.private, Returns::Private), (self.untrusted, Returns::Untrusted)]
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, label)| label.name())
    }
}
