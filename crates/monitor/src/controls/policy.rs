//! Policy: who may do what, in Cedar. Default deny, forbid wins, any evaluation error is a denial.
//!
//! Threat: a client that may do everything because nobody said what it may. Cedar's own authoriser
//! skips a policy that fails to evaluate, so that a `forbid` that errors does not forbid; here every
//! error denies, and policies are validated strictly against the schema when they are loaded.
//! `docs/decisions/0015-what-a-policy-sees.md` says why it is as it is.

mod ask;
mod day;
mod loaded;
mod memory;
mod shown;
mod step;
pub use ask::{Known, Moment, Outcome, Question, Subject};
pub use loaded::Rules;
pub use bartizan_rules::{ACTIONS, DEFAULT, MAX_RULES, Rule, SCHEMA, Source, Steps, conjuncts};
use cedar_policy::PolicyId;
use memory::{Memory, Remembered};

use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::normal_form;
use crate::case::{Caller, Case, Event, Facts, Item, Kind, Reply};
use crate::control::{Control, Fault, Judged, Verdict};
use crate::reason::gateway::IDENTITY_LOGIN;
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::envelope::Message;
use crate::wire::json::{Json, View};
use crate::wire::method::Method;

/// The threat, in one sentence.
pub const THREAT: &str = "A client that may do everything because nobody said what it may.";

reasons! {
    FORBID = "policy.forbid", Class::Denied,
        "The operator's policy does not allow this call.",
        "A `forbid` rule matches the call.",
        "The journal names the rule; `bartizan policy explain` says what it looks at. Change the policy if the rule is wrong.";
    UNPERMITTED = "policy.unpermitted", Class::Denied,
        "The operator's policy does not allow this call.",
        "No `permit` rule matches the call, and what is not permitted is denied. The built-in policy permits what was approved.",
        "Add a `permit` rule, or approve the tool with another effect if its class is wrong. `bartizan policy explain` says which rule comes close.";
    ERROR = "policy.error", Class::Denied,
        "The operator's policy does not allow this call.",
        "A rule could not be evaluated, and a rule that cannot be evaluated must not be skipped.",
        "The journal names the rule and the error.";
    STEP_UP = "policy.step-up", Class::Denied,
        "This needs stronger authentication: a client certificate, or a credential of somebody who logged in with more. Ask the person who runs this client.",
        "A rule with `@stepup` would allow the call to a caller who was recognised more strongly.",
        "The journal names what is missing. Give the client a certificate, or let its user log in as the rule wants it.";
}

/// The rules.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Cedar policies. They take the place of the built-in policy.
    pub text: Option<String>,
    /// The same, with the names of their files. (`[policy] files` is read into this.)
    pub files: Vec<Source>,
    /// The environment of the gateway. (`environment` is written into this.)
    pub environment: String,
}

/// Builds the control: parses and validates the rules.
pub fn build(config: Config) -> Result<Policy, toml::de::Error> {
    let Config { text, mut files, environment } = config;
    files.extend(text.map(|text| Source { name: "controls.policy.text".to_owned(), text }));
    if files.is_empty() {
        files.push(Source { name: "built-in".to_owned(), text: DEFAULT.to_owned() });
    }
    let rules = Rules::load(&files).map_err(serde::de::Error::custom)?;
    Ok(Policy { rules, environment, memory: Mutex::default() })
}

/// How many rules are named in the record of one call.
const MAX_NAMED: usize = 16;

/// The control.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    environment: String,
    memory: Mutex<Memory>,
}

/// The action of a method.
#[must_use]
pub fn action(method: Method) -> Option<&'static str> {
    match method {
        Method::ToolsCall => Some("call"),
        Method::PromptsGet => Some("get"),
        Method::ResourcesRead => Some("read"),
        Method::Subscribe | Method::Unsubscribe => Some("subscribe"),
        Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel => Some("follow"),
        Method::Complete => Some("complete"),
        Method::Sampling => Some("ask-sample"),
        Method::Elicitation => Some("ask-elicit"),
        Method::RootsList => Some("ask-roots"),
        _ => None,
    }
}

/// What makes something worth showing in a list.
#[must_use]
pub const fn uses_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Tool => &["call"],
        Kind::Prompt => &["get"],
        Kind::Resource | Kind::Template => &["read", "subscribe"],
        Kind::Instructions | Kind::Server => &[],
    }
}

impl Policy {
    /// What is known of a caller's use of something, remembered or found out.
    fn known(&self, caller: &Caller, item: &Item, action: &'static str) -> Result<Remembered, Fault> {
        let key = (Arc::as_ptr(&item.pin).addr(), action);
        // The memory is whole after every statement, so a panic elsewhere does not spoil it.
        let memory = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = memory().get(caller, key, &item.server) {
            return Ok(found);
        }
        let known = self.rules.know(&self.environment, (caller, caller.strength()), action, Subject::Item(item)).map_err(Fault)?;
        let shown = known.could() || self.could_step_up(caller, item, action, &known)?;
        let settled = self.names(&known.settled().permits);
        let found = Remembered { _pin: item.pin.clone(), server: item.server.clone(), known: Arc::new(known), settled, shown };
        memory().put(caller, key, found.clone());
        Ok(found)
    }

    fn could_step_up(&self, caller: &Caller, item: &Item, action: &'static str, known: &Known) -> Result<bool, Fault> {
        let taken = self.rules.step_up(&known.best(), |steps| {
            let strength = step::taken(steps, caller.strength(), 0);
            let known = self.rules.know(&self.environment, (caller, &strength), action, Subject::Item(item))?;
            Ok(known.could().then(|| known.best()))
        });
        Ok(taken.map_err(Fault)?.is_some())
    }

    fn judge(&self, caller: &Caller, (subject, action): (Subject<'_>, &'static str), moment: Moment<'_>) -> Judged {
        let question = Question { environment: &self.environment, caller, action, subject };
        let (known, settled) = match subject {
            Subject::Item(item) => {
                let found = self.known(caller, item, action)?;
                (found.known, found.settled)
            }
            Subject::Server(_) => (Arc::new(self.rules.before(question).map_err(Fault)?), None),
        };
        let outcome = self.rules.decide(&self.environment, &known, moment).map_err(Fault)?;
        if outcome.allows() {
            let same = settled.filter(|_| known.settled().permits.len() == outcome.permits.len());
            return Ok(same.or_else(|| self.names(&outcome.permits)).map_or(Verdict::Pass, Verdict::Because));
        }
        let taken = self.rules.needs(question, moment, &outcome);
        let (reason, detail) = self.named(&outcome, subject);
        let rules = if outcome.errors.is_empty() {
            self.names(&outcome.forbids)
        } else {
            self.names(&outcome.errors.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>())
        };
        let refusal = match taken.map_err(Fault)? {
            // Only who comes with an issuer's token can be sent back there.
            Some(steps) if steps.is_login_alone() && caller.badge().is_some() => {
                Refusal::new(IDENTITY_LOGIN, format!("{detail}; needs {steps}")).echo("login", step::challenge(&steps))
            }
            Some(steps) => Refusal::new(STEP_UP, format!("{detail}; needs {steps}")),
            None => Refusal::new(reason, detail),
        };
        Ok(Verdict::Deny(refusal.by(rules)))
    }

    /// The names of rules for the record, in order; after as many as there is room for, how many more there are.
    fn names(&self, ids: &[PolicyId]) -> Option<Json> {
        let mut names: Vec<&str> = ids.iter().filter_map(|id| self.rules.get(id)).map(|rule| &*rule.name).collect();
        names.sort_unstable();
        names.dedup();
        let more = u64::try_from(names.len().saturating_sub(MAX_NAMED)).ok().filter(|more| *more > 0);
        let shown = names.iter().take(MAX_NAMED).map(|name| Json::string(name));
        (!names.is_empty()).then(|| Json::array(shown.chain(more.map(Json::number))))
    }

    /// Why not, with the rules that say so.
    fn named(&self, outcome: &Outcome, subject: Subject<'_>) -> (Reason, String) {
        let rule = |id| self.rules.get(id).map_or_else(String::new, |rule| match &*rule.name {
            name if name == rule.place => name.to_owned(),
            name => format!("{name} ({})", rule.place),
        });
        if let Some((id, error)) = outcome.errors.first() {
            return (ERROR, format!("{}: {error}", rule(id)));
        }
        match (outcome.forbids.is_empty(), subject) {
            (false, _) => (FORBID, outcome.forbids.iter().map(rule).collect::<Vec<_>>().join(", ")),
            (true, Subject::Item(item)) => (UNPERMITTED, format!("effect {}", item.pin.effect)),
            (true, Subject::Server(server)) => (UNPERMITTED, format!("{server} may not ask")),
        }
    }

    /// Judges what a server asks of the client.
    fn asked(&self, caller: &Caller, facts: &Facts, (server, method): (&str, Option<Method>)) -> Judged {
        // What is no question that is known is refused by the control `request`.
        let Some(action) = method.and_then(action).filter(|action| action.starts_with("ask-")) else { return Ok(Verdict::Pass) };
        self.judge(caller, (Subject::Server(server), action), Moment { facts, arguments: None, uri: None })
    }
}

impl Control for Policy {
    fn on_call(&self, case: &Case) -> Judged {
        let (Some(item), Some(method)) = (case.item(), case.method()) else { return Ok(Verdict::Pass) };
        let action = action(method).ok_or_else(|| Fault(format!("no action for {method}")))?;
        let uri = match case.message() {
            Message::Request { params: Some(params), .. } => params.view().get("uri").and_then(View::as_str),
            Message::Request { .. } | Message::Notification { .. } | Message::Response { .. } => None,
        };
        let uri = uri.filter(|_| matches!(action, "read" | "subscribe")).map(|uri| normal_form(&uri).map_err(|why| Fault(why.to_owned())));
        let uri = uri.transpose()?;
        self.judge(case.caller(), (Subject::Item(item), action), Moment { facts: case.facts(), arguments: case.arguments(), uri: uri.as_deref() })
    }

    /// In the modern era a server asks inside of its answer, and in the other it may send links in an error.
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        if let Some((server, _)) = reply.opens(case) {
            let verdict = self.asked(case.caller(), case.facts(), (server, Some(Method::Elicitation)))?;
            return Ok(if matches!(verdict, Verdict::Deny(_)) { verdict } else { Verdict::Pass });
        }
        let Some((server, asked)) = reply.asks(case) else { return Ok(Verdict::Pass) };
        for (_, request) in asked.members() {
            let method = request.get("method").and_then(View::as_str).and_then(|method| Method::read(&method));
            let verdict = self.asked(case.caller(), case.facts(), (server, method))?;
            if matches!(verdict, Verdict::Deny(_)) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Pass)
    }

    fn on_list(&self, caller: &Caller, item: &Item) -> Judged {
        for action in uses_of(item.pin.kind) {
            if self.known(caller, item, action)?.shown {
                return Ok(Verdict::Pass);
            }
        }
        let nothing = uses_of(item.pin.kind).is_empty();
        Ok(if nothing { Verdict::Pass } else { Verdict::Deny(Refusal::new(UNPERMITTED, "no rule could permit it")) })
    }

    fn hides(&self, caller: &Caller, item: &Item) -> bool {
        !matches!(self.on_list(caller, item), Ok(Verdict::Pass))
    }

    fn on_event(&self, event: &Event) -> Judged {
        self.asked(&event.caller, &event.facts, (&event.server, Some(event.method)))
    }
}

#[cfg(test)]
mod tests;
