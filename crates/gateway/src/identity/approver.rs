//! People who answer what waits, by a token that is good for nothing else.

use std::collections::BTreeSet;

use bartizan_monitor::case::{Caller, Means};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::IDENTITY_INVALID;
use bartizan_monitor::stages::party;

use super::store::{Purpose, Row};
use super::{Identity, principal, rows, token};

/// Somebody whose token was good, and issued for answering.
#[derive(Debug, Clone)]
pub struct Approver {
    caller: Caller,
}

impl Approver {
    /// Who it is, and of which servers and effects calls may be answered. It is in no conversation, so it calls nothing.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Identity {
    /// Finds out who shows a token to answer what waits. A client's is refused like one that does not exist.
    pub fn approver(&self, text: &str, now_ms: u64) -> Result<Approver, Refusal> {
        let invalid = |what: String| Refusal::new(IDENTITY_INVALID, what);
        let shown = token::read(text).ok_or_else(|| invalid("not a token of this gateway".to_owned()))?;
        self.holder(&shown, now_ms, |row| match &row.purpose {
            Purpose::Client => Err(invalid(format!("token {}: a client's, and no person answers with it", row.id))),
            Purpose::Approver(_) => {
                let caller = Caller::assertion(&principal(row), Means::Token, row.reach.clone());
                Ok(Approver { caller })
            }
        })
    }

    /// Under which names a person is known who is known under this one, as far as the operator has said so: every
    /// token for answering says that its label and some others are one person, and who is the same as somebody is
    /// whoever that one is. What a revoked token said is taken back; what an expired one said is not.
    pub fn person(&self, name: &str) -> Result<BTreeSet<String>, Refusal> {
        let current = self.tokens.now();
        let said = |row: &Row| match &row.purpose {
            Purpose::Approver(same) if row.revoked_ms.is_none() => {
                let own = principal(row);
                Some(same.iter().chain([&own]).map(|name| party(name).to_owned()).collect::<BTreeSet<String>>())
            }
            Purpose::Approver(_) | Purpose::Client => None,
        };
        let mut others: Vec<BTreeSet<String>> = rows(&current)?.values().filter_map(said).collect();
        let mut names = BTreeSet::from([party(name).to_owned()]);
        loop {
            let (joined, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|said| !said.is_disjoint(&names));
            if joined.is_empty() {
                return Ok(names);
            }
            names.extend(joined.into_iter().flatten());
            others = rest;
        }
    }
}
