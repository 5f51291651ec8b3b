//! How much there is, as it is configured, and what of it a call takes.

use serde::Deserialize;

use crate::budget::{Period, Spent};
use crate::key::{Key, Scope};
use crate::meter::Meter;
use crate::rate::{MOST, Rate};

/// Allowances, per minute, and budgets. What is absent is not limited.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Calls of one `read` tool in one session.
    pub read_per_minute: u32,
    /// Calls of one `write` tool in one session.
    pub write_per_minute: u32,
    /// Calls of one `destructive` tool in one session; as many as of a `write` tool when nothing is said.
    pub destructive_per_minute: Option<u32>,
    /// Calls of one tool, whoever makes them.
    pub tool_per_minute: Option<u32>,
    /// Calls of one session.
    pub session_per_minute: Option<u32>,
    /// Calls with one credential.
    pub credential_per_minute: Option<u32>,
    /// Calls of one client, whatever it calls.
    pub client_per_minute: u32,
    /// Calls of one server, whoever makes them.
    pub server_per_minute: Option<u32>,
    /// All calls.
    pub total_per_minute: Option<u32>,
    /// Budgets.
    pub budgets: Vec<Budget>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            read_per_minute: 60,
            write_per_minute: 10,
            destructive_per_minute: None,
            tool_per_minute: None,
            session_per_minute: None,
            credential_per_minute: None,
            client_per_minute: 200,
            server_per_minute: None,
            total_per_minute: None,
            budgets: Vec::new(),
        }
    }
}

/// So much for each of a kind in a period.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Whose it is.
    #[serde(default)]
    pub of: Of,
    /// For how long.
    pub per: Period,
    /// Calls.
    pub calls: Option<u64>,
    /// Bytes of arguments and answers.
    pub bytes: Option<u64>,
    /// Units of `limits.cost` in the lock file.
    pub cost: Option<u64>,
}

/// Whose a budget is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// Each client's.
    #[default]
    Client,
    /// Each credential's.
    Credential,
    /// Each server's.
    Server,
    /// Each tool's.
    Tool,
    /// Everybody's together.
    All,
}

/// What a call can do to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No tool: it has no allowance of its own.
    Other,
    /// Looks.
    Read,
    /// Changes.
    Write,
    /// Destroys.
    Destructive,
}

/// A call, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Who.
    pub client: &'a str,
    /// With which credential: the client, and what tells its credentials apart.
    pub credential: [&'a str; 2],
    /// In which session.
    pub session: &'a str,
    /// Where.
    pub server: &'a str,
    /// What kind of thing.
    pub kind: &'a str,
    /// What.
    pub name: &'a str,
    /// What it can do.
    pub class: Class,
    /// What its entry in the lock file says of calls a minute.
    pub per_minute: Option<u32>,
    /// What its entry in the lock file says of its cost.
    pub cost: u64,
    /// Bytes of its arguments.
    pub bytes: u64,
}

/// What a call takes.
#[derive(Debug, Default)]
pub struct Bill {
    pub(crate) rates: Vec<(Key, Rate, &'static str)>,
    pub(crate) budgets: Vec<(Key, Period, Spent)>,
    pub(crate) price: Spent,
}

impl Rules {
    /// Whether all of it can be kept. An allowance of nothing is a mistake, not a way to switch something off.
    pub fn check(&self) -> Result<(), String> {
        let optional = [
            self.destructive_per_minute,
            self.tool_per_minute,
            self.session_per_minute,
            self.credential_per_minute,
            self.server_per_minute,
            self.total_per_minute,
        ];
        let fixed = [self.read_per_minute, self.write_per_minute, self.client_per_minute];
        if fixed.into_iter().chain(optional.into_iter().flatten()).any(|rate| !(1..=MOST).contains(&rate)) {
            return Err(format!("a quota is 1 to {MOST} a minute"));
        }
        for budget in &self.budgets {
            let amounts = [budget.calls, budget.bytes, budget.cost];
            if amounts.iter().flatten().count() == 0 {
                return Err("a budget says how many `calls`, `bytes` or units of `cost`".to_owned());
            }
            if amounts.contains(&Some(0)) {
                return Err("a budget of nothing allows nothing; leave the server or the tool out instead".to_owned());
            }
            if budget.per == Period::Session && budget.of != Of::Client {
                return Err("a session belongs to one client: a budget per session has no `of`".to_owned());
            }
        }
        Ok(())
    }

    /// What a call takes.
    #[must_use]
    pub fn bill(&self, meter: &Meter, call: &Call<'_>) -> Bill {
        let Call { client, credential, session, server, kind, name, .. } = *call;
        let of_class = match call.class {
            Class::Other => None,
            Class::Read => Some(self.read_per_minute),
            Class::Write => Some(self.write_per_minute),
            Class::Destructive => Some(self.destructive_per_minute.unwrap_or(self.write_per_minute)),
        };
        let all = [
            // What is shared by most comes last, so that what one client may not does not touch it.
            (call.per_minute.or(of_class), Scope::Tool, &[kind, client, session, server, name][..], "a minute, of one session"),
            (self.session_per_minute, Scope::Session, &[client, session], "a minute, of the session"),
            (self.credential_per_minute, Scope::Credential, &credential, "a minute, with the credential"),
            (Some(self.client_per_minute), Scope::Client, &[client], "a minute, of the client"),
            (self.tool_per_minute, Scope::EveryTool, &[kind, server, name], "a minute, of all clients"),
            (self.server_per_minute, Scope::Server, &[server], "a minute, of the server"),
            (self.total_per_minute, Scope::All, &[], "a minute, in all"),
        ];
        let mut bill = Bill { price: Spent { calls: 1, bytes: call.bytes, cost: call.cost }, ..Bill::default() };
        bill.rates.reserve(all.len());
        for (count, scope, parts, what) in all {
            bill.rates.extend(count.map(|count| (meter.key(scope, parts), Rate::per_minute(count), what)));
        }
        bill.budgets.extend(self.budgets.iter().map(|budget| {
            let cap = |amount: Option<u64>| amount.unwrap_or(u64::MAX);
            let whole = Spent { calls: cap(budget.calls), bytes: cap(budget.bytes), cost: cap(budget.cost) };
            (budget.key(meter, call), budget.per, whole)
        }));
        bill
    }
}

impl Budget {
    fn key(&self, meter: &Meter, call: &Call<'_>) -> Key {
        let per = self.per.name();
        let parts: &[&str] = match (self.per, self.of) {
            (Period::Session, _) => &[per, "session", call.client, call.session],
            (_, Of::Client) => &[per, "client", call.client],
            (_, Of::Credential) => &[per, "credential", call.credential[0], call.credential[1]],
            (_, Of::Server) => &[per, "server", call.server],
            (_, Of::Tool) => &[per, "tool", call.kind, call.server, call.name],
            (_, Of::All) => &[per, "all"],
        };
        meter.key(Scope::Budget, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let budget = |of: Of, per: Period, calls: Option<u64>| Budget { of, per, calls, bytes: None, cost: None };
        let bad = [
            Rules { read_per_minute: 0, ..Rules::default() },
            Rules { total_per_minute: Some(MOST + 1), ..Rules::default() },
            Rules { budgets: vec![budget(Of::Client, Period::Day, None)], ..Rules::default() },
            Rules { budgets: vec![budget(Of::Client, Period::Day, Some(0))], ..Rules::default() },
            Rules { budgets: vec![budget(Of::Server, Period::Session, Some(1))], ..Rules::default() },
        ];
        assert!(bad.iter().all(|rules| rules.check().is_err()) && Rules::default().check().is_ok());
    }
}
