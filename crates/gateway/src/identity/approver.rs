//! People who answer what waits, by a token that is good for nothing else.

use std::collections::BTreeSet;

use bartizan_monitor::case::{Caller, Means};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::IDENTITY_INVALID;
use bartizan_monitor::stages::party;

use super::store::Purpose;
use super::{Identity, principal, token};

/// Somebody whose token was good, and issued for answering.
#[derive(Debug, Clone)]
pub struct Approver {
    caller: Caller,
    same: BTreeSet<String>,
}

impl Approver {
    /// Who it is, and of which servers and effects calls may be answered. It is in no conversation, so it calls nothing.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Under which names this very person is known, as far as the operator has said so: the token's label, and others.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.same.iter().map(String::as_str).chain([&**self.caller.principal()]).map(|name| party(name).to_owned()).collect()
    }

    /// Whether a principal is this very person.
    #[must_use]
    pub fn is(&self, principal: &str) -> bool {
        self.names().contains(party(principal))
    }
}

impl Identity {
    /// Finds out who shows a token to answer what waits. A client's is refused like one that does not exist.
    pub fn approver(&self, text: &str, now_ms: u64) -> Result<Approver, Refusal> {
        let invalid = |what: String| Refusal::new(IDENTITY_INVALID, what);
        let shown = token::read(text).ok_or_else(|| invalid("not a token of this gateway".to_owned()))?;
        self.holder(&shown, now_ms, |row| match &row.purpose {
            Purpose::Client => Err(invalid(format!("token {}: a client's, and no person answers with it", row.id))),
            Purpose::Approver(same) => {
                let caller = Caller::assertion(&principal(row), Means::Token, row.reach.clone());
                Ok(Approver { caller, same: same.clone() })
            }
        })
    }
}
