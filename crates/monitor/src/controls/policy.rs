//! Policy: who may do what, in Cedar. Default deny, forbid wins, any evaluation error is a denial.
//!
//! Threat: a client that may do everything because nobody said what it may. Cedar's own authoriser
//! skips a policy that fails to evaluate, so that a `forbid` that errors does not forbid; here every
//! error denies, and policies are validated strictly against the schema when they are loaded.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator};

use crate::case::{Case, Item, Kind};
use crate::control::{Control, Fault, Judged, Verdict};
use crate::lock::Confirm;
use crate::reason::{Class, Refusal, reasons};
use crate::wire::method::Method;

/// The threat, in one sentence.
pub const THREAT: &str = "A client that may do everything because nobody said what it may.";

reasons! {
    FORBID = "policy.forbid", Class::Denied,
        "The operator's policy does not allow this call.",
        "A `forbid` rule matches the call.",
        "The journal names the rule. Change the policy if the rule is wrong.";
    UNPERMITTED = "policy.unpermitted", Class::Denied,
        "The operator's policy does not allow this call.",
        "No `permit` rule matches the call, and what is not permitted is denied. The built-in policy permits approved tools with effect `read` or `write`.",
        "Add a `permit` rule, or approve the tool with another effect if its class is wrong.";
    ERROR = "policy.error", Class::Denied,
        "The operator's policy does not allow this call.",
        "A rule could not be evaluated, and a rule that cannot be evaluated must not be skipped.",
        "The journal names the rule and the error.";
}

const SCHEMA: &str = include_str!("policy.cedarschema");
const DEFAULT: &str = include_str!("policy.default.cedar");

/// The rules.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Cedar policies. They take the place of the built-in policy. (`[policy] files` is read into this.)
    pub text: Option<String>,
}

/// Builds the control: parses and validates the rules.
pub fn build(config: Config) -> Result<Policy, toml::de::Error> {
    let text = config.text.as_deref().unwrap_or(DEFAULT);
    load(text).map_err(serde::de::Error::custom)
}

fn load(text: &str) -> Result<Policy, String> {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
    let policies = PolicySet::from_str(text).map_err(|errors| errors.to_string())?;
    let checked = Validator::new(schema).validate(&policies, ValidationMode::Strict);
    let problems: Vec<String> = checked.validation_errors().map(ToString::to_string).chain(checked.validation_warnings().map(ToString::to_string)).collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    Ok(Policy { policies, authorizer: Authorizer::new(), types: Types::new()? })
}

/// The control.
#[derive(Debug)]
pub struct Policy {
    policies: PolicySet,
    authorizer: Authorizer,
    types: Types,
}

/// Type names, parsed once.
#[derive(Debug)]
struct Types {
    client: EntityTypeName,
    action: EntityTypeName,
    tool: EntityTypeName,
    prompt: EntityTypeName,
    resource: EntityTypeName,
}

impl Types {
    fn new() -> Result<Self, String> {
        let name = |text: &str| EntityTypeName::from_str(text).map_err(|error| error.to_string());
        Ok(Self { client: name("Client")?, action: name("Action")?, tool: name("Tool")?, prompt: name("Prompt")?, resource: name("Resource")? })
    }

    fn of(&self, kind: Kind) -> &EntityTypeName {
        match kind {
            Kind::Tool => &self.tool,
            Kind::Prompt => &self.prompt,
            Kind::Resource | Kind::Template | Kind::Instructions | Kind::Server => &self.resource,
        }
    }
}

fn action(method: Method) -> Option<&'static str> {
    match method {
        Method::ToolsCall => Some("call"),
        Method::PromptsGet => Some("get"),
        Method::ResourcesRead => Some("read"),
        Method::Subscribe | Method::Unsubscribe => Some("subscribe"),
        Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel => Some("follow"),
        Method::Complete => Some("complete"),
        _ => None,
    }
}

fn fault(error: impl ToString) -> Fault {
    Fault(error.to_string())
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

impl Policy {
    fn entities(&self, case: &Case, item: &Item, principal: &EntityUid, resource: &EntityUid) -> Result<Entities, Fault> {
        let badge = case.caller().badge();
        let groups = badge.into_iter().flat_map(|badge| &badge.groups).map(|group| text(group));
        let groups = RestrictedExpression::new_set(groups);
        let mut client = HashMap::from([("means".to_owned(), text(case.caller().means().name())), ("groups".to_owned(), groups)]);
        if let Some(application) = badge.and_then(|badge| badge.application.as_deref()) {
            client.insert("application".to_owned(), text(application));
        }
        let target = HashMap::from([
            ("server".to_owned(), text(&item.server)),
            ("name".to_owned(), text(&item.pin.name)),
            ("effect".to_owned(), text(item.pin.effect.name())),
            ("owner".to_owned(), text(item.pin.contract.owner.as_deref().unwrap_or_default())),
            ("environment".to_owned(), text(item.pin.contract.environment.as_deref().unwrap_or_default())),
            ("returns".to_owned(), text(item.pin.contract.returns().name())),
            ("confirm".to_owned(), text(item.pin.confirm().map_or("", Confirm::name))),
        ]);
        let entity = |uid: &EntityUid, attributes| Entity::new(uid.clone(), attributes, HashSet::new()).map_err(fault);
        Entities::from_entities([entity(principal, client)?, entity(resource, target)?], None).map_err(fault)
    }
}

impl Control for Policy {
    fn on_call(&self, case: &Case) -> Judged {
        let (Some(item), Some(method)) = (case.item(), case.method()) else { return Ok(Verdict::Pass) };
        let action = action(method).ok_or_else(|| Fault(format!("no action for {method}")))?;
        let principal = uid(&self.types.client, case.caller().principal());
        // A server's name has no slash (configuration sees to it), so two targets never share an id.
        let resource = uid(self.types.of(item.pin.kind), &format!("{}/{}", item.server, item.pin.name));
        let context = Context::from_pairs([("transport".to_owned(), text(case.facts().transport))]).map_err(fault)?;
        let entities = self.entities(case, item, &principal, &resource)?;
        let request = Request::new(principal, uid(&self.types.action, action), resource, context, None).map_err(fault)?;
        let answer = self.authorizer.is_authorized(&request, &self.policies, &entities);
        let rules = || answer.diagnostics().reason().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if let Some(error) = answer.diagnostics().errors().next() {
            return Ok(Verdict::Deny(Refusal::new(ERROR, error.to_string())));
        }
        Ok(match answer.decision() {
            Decision::Allow => Verdict::Pass,
            Decision::Deny if answer.diagnostics().reason().next().is_none() => Verdict::Deny(Refusal::new(UNPERMITTED, format!("effect {}", item.pin.effect))),
            Decision::Deny => Verdict::Deny(Refusal::new(FORBID, rules())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_is_valid() {
        assert!(load(DEFAULT).is_ok());
    }

    #[test]
    fn policies_are_validated_strictly() {
        for text in ["permit (principal, action, resource) when { resource.nope == 1 };", "permit (", "permit (principal, action == Action::\"fly\", resource);"] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
