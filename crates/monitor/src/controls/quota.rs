//! Quotas: how often one caller may call, and how much of it in an hour, a day or a session.
//!
//! Threat: a loop, a runaway agent or a stolen credential that calls until something breaks or the
//! bill arrives. Kinder to reads than to what changes the world. It stands late in the order, and what it
//! takes is given back when the call is not made after all: refused calls cost nothing.
//! The counting itself is `bartizan_meter`, whose counts come with the case.

use bartizan_meter::{Call, Class as Kind, Rules, Short};

use crate::case::{Case, Effect, Reply};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A loop or a stolen credential that calls without end.";

reasons! {
    EXCEEDED = "quota.exceeded", Class::Limit,
        "Too many calls. Wait before trying again.",
        "The caller has used its allowance of a minute: of the tool, the session, the credential, the client, the server, or of all.",
        "Wait, or raise the limit in `[controls.quota]` or, where its entry in the lock file has one, `limits.calls_per_minute` there.";
    BUDGET = "quota.budget", Class::Limit,
        "The budget of this period is used up. Do not try again before the next.",
        "A budget in `[[controls.quota.budgets]]` is used up: calls, bytes, or units of cost, in an hour, a day or a session.",
        "Wait for the next period, or raise the budget.";
    UNSHARED = "quota.unshared", Class::Limit,
        "Limits cannot be counted at the moment. Wait before trying again.",
        "The limits are shared with other gateways by Redis, which cannot be reached, and `redis.on_loss` is `refuse`.",
        "Bring Redis back, or let every gateway count for itself with `redis.on_loss = \"local\"`.";
    FLOOD = "quota.flood", Class::Limit,
        "Too many messages. Wait before sending more.",
        "The client has sent more messages than `limits.messages_per_minute`, of whatever kind. Most of such refusals are counted and not recorded one by one.",
        "Find out why the client sends so much; raise `limits.messages_per_minute` if it is legitimate.";
    BREAKER = "quota.breaker", Class::Limit,
        "This client was refused too often and is not listened to for a while. Wait before sending more.",
        "Limits refused the client `limits.offences_per_minute` times within a minute: it does not wait when it is told to. Nothing of it is taken for `limits.offence_pause`, and most of that is counted and not recorded one by one.",
        "Find out why the client does not stop. The record names it; it is let in again by itself.";
}

/// Allowances and budgets.
pub type Config = Rules;

/// Builds the control.
pub fn build(config: Config) -> Result<Quota, toml::de::Error> {
    config.check().map_err(serde::de::Error::custom)?;
    Ok(Quota(config))
}

/// The control.
#[derive(Debug)]
pub struct Quota(Rules);

/// How long to wait for a common count that is out of reach.
const LOST_MS: u64 = 5000;

impl Control for Quota {
    fn on_call(&self, case: &Case) -> Judged {
        let Some(item) = case.item() else { return Ok(Verdict::Pass) };
        let (caller, limits) = (case.caller(), item.pin.contract.limits);
        let class = match (case.tool(), case.effect()) {
            (None, _) => Kind::Other,
            (Some(_), Effect::Read) => Kind::Read,
            (Some(_), Effect::Write) => Kind::Write,
            (Some(_), Effect::Destructive) => Kind::Destructive,
        };
        let certificate = caller.strength().certificate.as_deref();
        let application = caller.badge().and_then(|badge| badge.application.as_deref());
        let call = Call {
            client: caller.principal(),
            credential: [caller.principal(), certificate.or(application).unwrap_or_default()],
            session: &case.facts().session,
            server: &item.server,
            kind: item.pin.kind.name(),
            name: &item.pin.name,
            class,
            per_minute: limits.calls_per_minute,
            cost: limits.cost.unwrap_or(1).into(),
            bytes: case.arguments().map_or(0, |arguments| u64::try_from(arguments.text().len()).unwrap_or(u64::MAX)),
        };
        let tally = &case.facts().tally;
        let Err(short) = tally.charge(&self.0.bill(tally.meter(), &call)) else { return Ok(Verdict::Pass) };
        let target = format!("{}/{}", item.server, item.pin.name);
        Ok(Verdict::Deny(match short {
            Short::Rate { what, wait_ms } => Refusal::new(EXCEEDED, format!("{target}: {what}")).retry_after(wait_ms),
            Short::Budget { per, wait_ms } => {
                let refusal = Refusal::new(BUDGET, format!("{target}: the budget of the {}", per.name()));
                wait_ms.map_or(refusal.clone(), |wait| refusal.retry_after(wait))
            }
            Short::Lost => Refusal::new(UNSHARED, target).retry_after(LOST_MS),
        }))
    }

    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        case.facts().tally.answered(reply.body.bytes().len());
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_minute_is_a_mistake() {
        assert!(build(Config { read_per_minute: 0, ..Config::default() }).is_err());
    }
}
