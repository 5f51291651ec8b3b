//! A question to the rules. What does not depend on the moment is answered once and kept.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_rules::{Held, Rule, Sieve, Steps, uid};
use cedar_policy::{AuthorizationError, Authorizer, Context, Decision, Entities, EntityUid, PolicyId, PolicySet, Request, Response};

use super::loaded::Rules;
use super::shown::{Named, arguments, client, fact_of, target, text};
use super::step::taken;
use crate::case::{Caller, Facts, Item, Strength};
use crate::wire::json::View;

/// What somebody wants to use.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Something that a server offers.
    Item(&'a Item),
    /// A server that asks something itself.
    Server(&'a str),
}

/// What is particular to one call.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When and where.
    pub facts: &'a Facts,
    /// The arguments of a call.
    pub arguments: Option<View<'a>>,
    /// The normal form of the URI that is read.
    pub uri: Option<&'a str>,
}

/// Which rules had a say.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The rules that permit it; perhaps not all of them when something forbids it.
    pub permits: Vec<PolicyId>,
    /// The rules that forbid it.
    pub forbids: Vec<PolicyId>,
    /// What went wrong, and in which rule.
    pub errors: Vec<(PolicyId, String)>,
}

impl Outcome {
    /// Whether it is permitted: something permits it, nothing forbids it, and nothing went wrong.
    #[must_use]
    pub fn allows(&self) -> bool {
        !self.permits.is_empty() && !self.is_final()
    }

    /// Whether no other rule could change the answer, which is no.
    fn is_final(&self) -> bool {
        !self.forbids.is_empty() || !self.errors.is_empty()
    }

    fn add(&mut self, response: &Response) {
        let rules = response.diagnostics().reason().cloned();
        match response.decision() {
            Decision::Allow => self.permits.extend(rules),
            Decision::Deny => self.forbids.extend(rules),
        }
        self.errors.extend(response.diagnostics().errors().map(|error| (failed(error).clone(), error.to_string())));
    }
}

/// What is known of a caller's use of something before the moment comes.
#[derive(Debug)]
pub struct Known {
    outcome: Outcome,
    /// Rules that may have a say, depending on the moment.
    open: PolicySet,
    /// The same, each with what may tell at the moment that it has none.
    sieves: Vec<(PolicyId, Arc<Sieve>)>,
    /// The arguments that those rules name.
    keys: BTreeSet<usize>,
    /// Which of them could permit it.
    possible: Vec<PolicyId>,
    entities: Entities,
    names: [EntityUid; 3],
}

impl Known {
    /// Whether there is a moment at which it could be permitted, as far as can be told.
    #[must_use]
    pub fn could(&self) -> bool {
        !self.outcome.is_final() && (!self.possible.is_empty() || !self.outcome.permits.is_empty())
    }

    /// The rules whose say depends on the moment.
    #[must_use]
    pub fn open(&self) -> Vec<PolicyId> {
        self.sieves.iter().map(|(id, _)| id.clone()).collect()
    }

    /// What is settled.
    #[must_use]
    pub const fn settled(&self) -> &Outcome {
        &self.outcome
    }

    /// The best outcome that some moment could bring, as far as can be told.
    #[must_use]
    pub fn best(&self) -> Outcome {
        let mut outcome = self.outcome.clone();
        outcome.permits.extend(self.possible.iter().cloned());
        outcome
    }
}

fn failed(error: &AuthorizationError) -> &PolicyId {
    let AuthorizationError::PolicyEvaluationError(error) = error;
    error.policy_id()
}

impl Rules {
    /// Answers what can be answered before the moment comes. `environment` is the gateway's.
    pub fn know(
        &self,
        environment: &str,
        caller: (&Caller, &Strength),
        action: &'static str,
        subject: Subject<'_>,
    ) -> Result<Known, String> {
        let (target, server) = target(subject)?;
        let client = client(caller.0, caller.1)?;
        let names = [client.uid(), uid("Action", action)?, target.uid()];
        let entities = Entities::from_entities([client, target], None).map_err(|error| error.to_string())?;
        let context = Context::from_pairs([("environment".to_owned(), text(environment))]).map_err(|error| error.to_string())?;
        let request = request(&names, context)?;
        let mut who = vec![names[0].clone()];
        for group in caller.0.badge().into_iter().flat_map(|badge| &badge.groups) {
            who.push(uid("Group", group)?);
        }
        let what: Vec<EntityUid> = server.into_iter().chain([names[2].clone()]).collect();
        let ask = |set: &PolicySet| (!set.is_empty()).then(|| Authorizer::new().is_authorized(&request, set, &entities));
        let mut known = Known {
            outcome: Outcome::default(),
            open: PolicySet::new(),
            sieves: Vec::new(),
            keys: BTreeSet::new(),
            possible: Vec::new(),
            entities: Entities::empty(),
            names: names.clone(),
        };
        for shelf in self.shelves(action, &who, &what) {
            ask(&shelf.settled).iter().for_each(|response| known.outcome.add(response));
            let leading = ask(&shelf.leading);
            let leading = leading.iter().map(Response::diagnostics);
            // A rule that fails is asked again at its moment whatever its sieve says, and fails then.
            let matching = leading.flat_map(|found| found.reason().map(|id| (id, true)).chain(found.errors().map(|error| (failed(error), false))));
            for (rule, matches) in matching.filter_map(|(id, matches)| Some((self.get(id)?, matches))) {
                known.open.add(rule.policy.clone()).map_err(|error| error.to_string())?;
                known.sieves.push((rule.policy.id().clone(), if matches { rule.sieve.clone() } else { Arc::default() }));
                known.keys.extend(&rule.keys);
            }
            known.possible.extend(ask(&shelf.possible).iter().flat_map(|found| found.diagnostics().reason()).cloned());
        }
        // Nobody is asked again where nothing is open, or nothing could change the answer.
        if known.outcome.is_final() || known.open.is_empty() {
            (known.open, known.sieves) = (PolicySet::new(), Vec::new());
        } else {
            known.entities = entities;
        }
        Ok(known)
    }

    /// The answer at a moment.
    pub fn decide(&self, environment: &str, known: &Known, moment: Moment<'_>) -> Result<Outcome, String> {
        let mut outcome = known.outcome.clone();
        if outcome.is_final() || known.sieves.is_empty() {
            return Ok(outcome);
        }
        let named: Vec<Named<'_>> = known.keys.iter().filter_map(|key| Named::find(self, *key, moment)).collect();
        for missed in named.iter().filter(|named| named.is_missed()) {
            let looks = |id: &PolicyId| self.get(id).is_some_and(|rule| rule.keys.contains(&missed.number));
            let what = if missed.holder == "numbers" { "no whole number of 64 bits" } else { "no array" };
            let ids = known.sieves.iter().map(|(id, _)| id).filter(|id| looks(id));
            outcome.errors.extend(ids.map(|id| (id.clone(), format!("the argument {:?} is {what}", missed.key))));
        }
        if outcome.is_final() {
            return Ok(outcome);
        }
        let held: Vec<(usize, Held<'_>)> = named.iter().map(|named| (named.number, named.held())).collect();
        let asked: Vec<&Rule> = known.sieves.iter().filter(|(_, sieve)| sieve.lets_through(&held)).filter_map(|(id, _)| self.get(id)).collect();
        if asked.is_empty() {
            return Ok(outcome);
        }
        // Putting a set together takes about as long as asking it.
        let (asked, open) = if asked.len().saturating_mul(2) > known.sieves.len() {
            (known.sieves.iter().filter_map(|(id, _)| self.get(id)).collect(), Cow::Borrowed(&known.open))
        } else {
            let some = PolicySet::from_policies(asked.iter().map(|rule| rule.policy.clone())).map_err(|error| error.to_string())?;
            (asked, Cow::Owned(some))
        };
        let facts: BTreeSet<&str> = asked.iter().flat_map(|rule| &rule.uses.facts).map(String::as_str).collect();
        let mut pairs = vec![("environment".to_owned(), text(environment))];
        for fact in facts {
            pairs.extend(fact_of(fact, moment)?.map(|value| (fact.to_owned(), value)));
        }
        let context = Context::from_pairs(pairs).map_err(|error| error.to_string())?;
        let request = request(&known.names, context)?;
        let keys: BTreeSet<usize> = asked.iter().flat_map(|rule| &rule.keys).copied().collect();
        let with;
        let entities = if keys.is_empty() {
            &known.entities
        } else {
            let shown = named.iter().zip(held).filter(|(named, _)| keys.contains(&named.number));
            let arguments = arguments(shown.map(|(named, (_, held))| (named.holder, named.key, held)))?;
            with = known.entities.clone().add_entities(arguments, None).map_err(|error| error.to_string())?;
            &with
        };
        outcome.add(&Authorizer::new().is_authorized(&request, &open, entities));
        Ok(outcome)
    }

    /// What stronger authentication would turn a denial into a permission, where the rules' authors say so.
    /// `allows` says what would become of it after these steps, if they would help.
    pub(super) fn step_up(
        &self,
        denied: &Outcome,
        allows: impl Fn(&Steps) -> Result<Option<Outcome>, String>,
    ) -> Result<Option<Steps>, String> {
        let mut steps = Steps::default();
        for id in &denied.forbids {
            match self.get(id).map(|rule| &rule.steps).filter(|steps| !steps.is_empty()) {
                Some(asked) => steps.add(asked),
                None => return Ok(None),
            }
        }
        if !denied.errors.is_empty() || (steps.is_empty() && self.permit_steps.is_empty()) {
            return Ok(None);
        }
        if !steps.is_empty() && allows(&steps)?.is_some() {
            return Ok(Some(steps));
        }
        let mut all = steps.clone();
        all.add(&self.permit_steps);
        let Some(outcome) = allows(&all)? else { return Ok(None) };
        let asked = outcome.permits.iter().filter_map(|id| self.get(id)).map(|rule| &rule.steps).find(|steps| !steps.is_empty());
        Ok(asked.map(|asked| {
            steps.add(asked);
            steps
        }))
    }
}

/// A question about a moment: who, with which action, what.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The gateway's environment.
    pub environment: &'a str,
    /// Who asks.
    pub caller: &'a Caller,
    /// The name of the action.
    pub action: &'static str,
    /// What it is about.
    pub subject: Subject<'a>,
}

impl Rules {
    /// What is known of a question before the moment comes.
    pub fn before(&self, question: Question<'_>) -> Result<Known, String> {
        self.know(question.environment, (question.caller, question.caller.strength()), question.action, question.subject)
    }

    /// What stronger authentication would turn this denial into a permission.
    pub fn needs(&self, question: Question<'_>, moment: Moment<'_>, denied: &Outcome) -> Result<Option<Steps>, String> {
        self.step_up(denied, |steps| {
            let strength = taken(steps, question.caller.strength(), moment.facts.now_ms);
            let known = self.know(question.environment, (question.caller, &strength), question.action, question.subject)?;
            let outcome = self.decide(question.environment, &known, moment)?;
            Ok(outcome.allows().then_some(outcome))
        })
    }
}

fn request([principal, action, resource]: &[EntityUid; 3], context: Context) -> Result<Request, String> {
    Request::new(principal.clone(), action.clone(), resource.clone(), context, None).map_err(|error| error.to_string())
}
