//! A question to the rules. What does not depend on the moment is answered once and kept.

use std::collections::{BTreeSet, HashSet};

use bartizan_rules::{Steps, uid};
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicyId, PolicySet, Request, Response,
};
use cedar_policy::{RestrictedExpression as Value, RestrictedExpression};

use super::day::{DAY_MS, datetime};
use super::loaded::Rules;
use super::step::taken;
use crate::case::{Caller, Effect, Facts, Item, Kind, Strength};
use crate::lock::{Confirm, Returns};
use crate::wire::canonical;
use crate::wire::json::{Json, Kind as Shape, View};

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
    /// What those rules look at.
    facts: BTreeSet<String>,
    keys: BTreeSet<(String, String)>,
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
        self.open.policies().map(|rule| rule.id().clone()).collect()
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

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
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
            facts: BTreeSet::new(),
            keys: BTreeSet::new(),
            possible: Vec::new(),
            entities: Entities::empty(),
            names: names.clone(),
        };
        for shelf in self.shelves(action, &who, &what) {
            ask(&shelf.settled).iter().for_each(|response| known.outcome.add(response));
            let leading = ask(&shelf.leading);
            let leading = leading.iter().map(Response::diagnostics);
            // A rule that fails is asked again at its moment, and fails then.
            let matching = leading.flat_map(|found| found.reason().chain(found.errors().map(failed)));
            for rule in matching.filter_map(|id| self.get(id)) {
                known.open.add(rule.policy.clone()).map_err(|error| error.to_string())?;
                known.facts.extend(rule.uses.facts.iter().cloned());
                known.keys.extend(rule.uses.keys.iter().cloned());
            }
            known.possible.extend(ask(&shelf.possible).iter().flat_map(|found| found.diagnostics().reason()).cloned());
        }
        // Nobody is asked again where nothing is open, or nothing could change the answer.
        if known.outcome.is_final() || known.open.is_empty() {
            known.open = PolicySet::new();
        } else {
            known.entities = entities;
        }
        Ok(known)
    }

    /// The answer at a moment.
    pub fn decide(&self, environment: &str, known: &Known, moment: Moment<'_>) -> Result<Outcome, String> {
        let mut outcome = known.outcome.clone();
        if outcome.is_final() || known.open.is_empty() {
            return Ok(outcome);
        }
        let mut pairs = vec![("environment".to_owned(), text(environment))];
        for fact in &known.facts {
            pairs.extend(fact_of(fact, moment)?.map(|value| (fact.clone(), value)));
        }
        let context = Context::from_pairs(pairs).map_err(|error| error.to_string())?;
        let request = request(&known.names, context)?;
        let missed = known.keys.iter().filter(|(holder, key)| moment.arguments.is_some_and(|all| misses(holder, key, all)));
        for (holder, key) in missed {
            let looks = |id: &PolicyId| self.get(id).is_some_and(|rule| rule.uses.keys.iter().any(|own| own.0 == *holder && own.1 == *key));
            let what = if holder == "numbers" { "no whole number of 64 bits" } else { "no array" };
            let ids = known.open.policies().map(|rule| rule.id()).filter(|id| looks(id));
            outcome.errors.extend(ids.map(|id| (id.clone(), format!("the argument {key:?} is {what}"))));
        }
        if outcome.is_final() {
            return Ok(outcome);
        }
        let held;
        let entities = if known.keys.is_empty() {
            &known.entities
        } else {
            held = known.entities.clone().add_entities(arguments(&known.keys, moment)?, None).map_err(|error| error.to_string())?;
            &held
        };
        outcome.add(&Authorizer::new().is_authorized(&request, &known.open, entities));
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

fn client(caller: &Caller, strength: &Strength) -> Result<Entity, String> {
    let badge = caller.badge();
    let groups = || badge.into_iter().flat_map(|badge| &badge.groups);
    let mut members = vec![
        ("means".to_owned(), text(caller.means().name())),
        ("groups".to_owned(), Value::new_set(groups().map(|group| text(group)))),
        ("secondFactor".to_owned(), Value::new_bool(strength.second_factor)),
    ];
    members.extend(caller.label().map(|label| ("label".to_owned(), text(label))));
    let application = badge.and_then(|badge| badge.application.as_deref());
    members.extend(application.map(|application| ("application".to_owned(), text(application))));
    members.extend(strength.certificate.as_deref().map(|name| ("certificate".to_owned(), text(name))));
    members.extend(strength.logged_in_ms.map(|at| ("loggedIn".to_owned(), datetime(at))));
    let parents = groups().map(|group| uid("Group", group)).collect::<Result<HashSet<_>, _>>()?;
    Entity::new(uid("Client", caller.principal())?, members.into_iter().collect(), parents).map_err(|error| error.to_string())
}

/// The entity of what is used, and of the server that it belongs to.
fn target(subject: Subject<'_>) -> Result<(Entity, Option<EntityUid>), String> {
    let (server, name, pin) = match subject {
        Subject::Item(item) => (&*item.server, item.pin.name.as_str(), Some(&item.pin)),
        Subject::Server(server) => (server, server, None),
    };
    let parent = uid("Server", server)?;
    // A server's name has no slash (configuration sees to it), so two targets never share an id.
    let own = match pin.map(|pin| pin.kind) {
        None => parent.clone(),
        Some(Kind::Tool) => uid("Tool", &format!("{server}/{name}"))?,
        Some(Kind::Prompt) => uid("Prompt", &format!("{server}/{name}"))?,
        Some(Kind::Resource | Kind::Template | Kind::Instructions | Kind::Server) => uid("Resource", &format!("{server}/{name}"))?,
    };
    let contract = pin.map(|pin| &pin.contract);
    let members = [
        ("server", server),
        ("name", name),
        ("effect", pin.map_or(Effect::Read, |pin| pin.effect).name()),
        ("owner", contract.and_then(|contract| contract.owner.as_deref()).unwrap_or_default()),
        ("environment", contract.and_then(|contract| contract.environment.as_deref()).unwrap_or_default()),
        ("returns", contract.map_or(Returns::Untrusted, |contract| contract.returns()).name()),
        ("confirm", pin.and_then(|pin| pin.confirm()).map_or("", Confirm::name)),
    ];
    let members = members.into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect();
    let parents = pin.map(|_| parent.clone());
    let entity = Entity::new(own, members, parents.iter().cloned().collect()).map_err(|error| error.to_string())?;
    Ok((entity, parents))
}

/// A member of the context.
fn fact_of(name: &str, moment: Moment<'_>) -> Result<Option<Value>, String> {
    let holder = |kind: &str| uid(kind, "call").map(|uid| Some(Value::new_entity_uid(uid)));
    let facts = moment.facts;
    Ok(match name {
        "transport" => Some(text(facts.transport)),
        "peer" => facts.peer.map(|peer| Value::new_ip(peer.to_canonical().to_string())),
        "now" => Some(datetime(facts.now_ms)),
        // The first of January 1970 was a Thursday.
        "weekday" => Some(Value::new_long(i64::try_from((facts.now_ms / DAY_MS + 3) % 7).unwrap_or_default().saturating_add(1))),
        "labels" => Some(Value::new_set(facts.labels.names().map(text))),
        "uri" => Some(text(moment.uri.ok_or("no URI is read")?)),
        "arguments" => holder("Arguments")?,
        "numbers" => holder("Numbers")?,
        "lists" => holder("Lists")?,
        other => return Err(format!("no fact is called {other}")),
    })
}

/// The arguments that some rule names, and no others: how large a call is costs nothing here.
fn arguments(keys: &BTreeSet<(String, String)>, moment: Moment<'_>) -> Result<Vec<Entity>, String> {
    let of = |holder: &str, read: fn(View<'_>) -> Option<Value>| {
        let named = keys.iter().filter(|(name, _)| name == holder);
        let found = named.filter_map(|(_, key)| Some((key.clone(), read(find(moment.arguments?, key)?)?)));
        found.collect::<Vec<_>>()
    };
    let entity = |kind, tags: Vec<(String, RestrictedExpression)>| {
        Entity::new_with_tags(uid(kind, "call")?, [], [], tags).map_err(|error| error.to_string())
    };
    let read = |holder: &str| match holder {
        "numbers" => entity("Numbers", of(holder, |value| value.as_whole().map(Value::new_long))),
        "lists" => entity("Lists", of(holder, texts)),
        _ => entity("Arguments", of(holder, |value| Some(Value::new_string(written(value))))),
    };
    let mut holders: Vec<&str> = keys.iter().map(|(holder, _)| holder.as_str()).collect();
    // Sorted, as the set that they come from.
    holders.dedup();
    holders.into_iter().map(read).collect()
}

fn texts(value: View<'_>) -> Option<Value> {
    (value.kind() == Shape::Array).then(|| Value::new_set(value.items().map(|item| Value::new_string(written(item)))))
}

/// Whether an argument is there that its holder cannot show. A rule would take it for absent, and what it forbids would pass.
fn misses(holder: &str, key: &str, arguments: View<'_>) -> bool {
    find(arguments, key).is_some_and(|value| match holder {
        "numbers" => value.as_whole().is_none(),
        "lists" => value.kind() != Shape::Array,
        _ => false,
    })
}

/// A member by its name, or anything by a JSON Pointer (RFC 6901).
fn find<'v>(arguments: View<'v>, key: &str) -> Option<View<'v>> {
    let Some(path) = key.strip_prefix('/') else { return arguments.get(key) };
    path.split('/').try_fold(arguments, |at, step| match at.kind() {
        Shape::Object => at.get(&step.replace("~1", "/").replace("~0", "~")),
        Shape::Array => at.items().nth(step.parse().ok().filter(|_| step == "0" || !step.starts_with(['0', '+']))?),
        _ => None,
    })
}

fn written(value: View<'_>) -> String {
    value.as_str().map_or_else(|| canonical::text(&Json::of(&value.to_value())), |text| text.into_owned())
}
