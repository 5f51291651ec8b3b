//! Callers that nobody verified, to ask what they might do. They come from a command line and enter nothing.

use std::collections::BTreeSet;

use bartizan_monitor::case::{Badge, Caller, Means, Reach, Strength};

/// Somebody as an operator describes them.
#[derive(Debug, Clone, Default)]
pub struct Imagined {
    /// The stable name.
    pub principal: String,
    /// `token`, `oauth` or `local-user`; `oauth` when nothing is said and there are groups or an application.
    pub means: Option<Means>,
    /// What an issuer would say.
    pub groups: BTreeSet<String>,
    /// The application that acts.
    pub application: Option<String>,
    /// How strongly they are recognised.
    pub strength: Strength,
}

impl Imagined {
    /// The caller that the policy would see. Its credential narrows nothing.
    #[must_use]
    pub fn caller(self) -> Caller {
        let Self { principal, means, groups, application, strength } = self;
        let issued = !groups.is_empty() || application.is_some() || means == Some(Means::OAuth);
        let usual = if issued { Means::OAuth } else { Means::Token };
        let caller = Caller::assertion(&principal, means.unwrap_or(usual), Reach::all()).with_strength(strength);
        if issued { caller.with_badge(Badge { application, groups, ..Badge::default() }) } else { caller }
    }
}
