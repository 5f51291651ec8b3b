//! A call as the rules see it: entities, and members of the context.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use bartizan_rules::{Held, uid};
use cedar_policy::{Entity, EntityUid, RestrictedExpression as Value};

use super::ask::{Moment, Subject};
use super::day::{DAY_MS, datetime};
use super::loaded::Rules;
use crate::case::{Caller, Effect, Kind, Strength};
use crate::lock::{Confirm, Returns};
use crate::wire::canonical;
use crate::wire::json::{Json, Kind as Shape, View};

pub(super) fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

pub(super) fn client(caller: &Caller, strength: &Strength) -> Result<Entity, String> {
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
pub(super) fn target(subject: Subject<'_>) -> Result<(Entity, Option<EntityUid>), String> {
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
pub(super) fn fact_of(name: &str, moment: Moment<'_>) -> Result<Option<Value>, String> {
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

/// An argument that rules name, as the call has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) number: usize,
    /// The entity that holds it for the rules.
    pub(super) holder: &'a str,
    pub(super) key: &'a str,
    value: Option<View<'a>>,
}

impl<'a> Named<'a> {
    pub(super) fn find(rules: &'a Rules, number: usize, moment: Moment<'a>) -> Option<Self> {
        let (holder, key) = rules.key(number)?;
        Some(Self { number, holder, key, value: moment.arguments.and_then(|all| find(all, key)) })
    }

    /// Whether it is there and its holder cannot show it. A rule would take it for absent, and what it forbids would pass.
    pub(super) fn is_missed(&self) -> bool {
        self.value.is_some_and(|value| match self.holder {
            "numbers" => value.as_whole().is_none(),
            "lists" => value.kind() != Shape::Array,
            _ => false,
        })
    }

    pub(super) fn held(&self) -> Held<'a> {
        let Some(value) = self.value else { return Held::Absent };
        match self.holder {
            "numbers" => value.as_whole().map_or(Held::Absent, Held::Number),
            "lists" if value.kind() == Shape::Array => Held::List(value.items().map(written).collect()),
            "lists" => Held::Absent,
            _ => Held::Text(written(value)),
        }
    }
}

/// The entities with the arguments that rules name, and no others: how large a call is costs nothing here.
pub(super) fn arguments<'a>(named: impl Iterator<Item = (&'a str, &'a str, Held<'a>)>) -> Result<Vec<Entity>, String> {
    let mut holders: BTreeMap<&str, Vec<(String, Value)>> = BTreeMap::new();
    for (holder, key, held) in named {
        let value = match held {
            Held::Absent => None,
            Held::Text(text) => Some(Value::new_string(text.into_owned())),
            Held::Number(number) => Some(Value::new_long(number)),
            Held::List(items) => Some(Value::new_set(items.into_iter().map(|item| Value::new_string(item.into_owned())))),
        };
        holders.entry(holder).or_default().extend(value.map(|value| (key.to_owned(), value)));
    }
    let kind = |holder: &str| match holder {
        "numbers" => "Numbers",
        "lists" => "Lists",
        _ => "Arguments",
    };
    let entity = |(holder, tags)| Entity::new_with_tags(uid(kind(holder), "call")?, [], [], tags).map_err(|error| error.to_string());
    holders.into_iter().map(entity).collect()
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

fn written(value: View<'_>) -> Cow<'_, str> {
    value.as_str().unwrap_or_else(|| canonical::text(&Json::of(&value.to_value())).into())
}
