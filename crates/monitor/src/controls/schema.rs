//! Arguments: a call may carry what the reviewed schema declares, and nothing else.
//!
//! Threat: a field that nobody reviewed and the server obeys all the same (mass assignment, a second
//! spelling, a "debug" switch), a value of the wrong type, an argument made to exhaust whoever reads
//! it. Source: the tool's `inputSchema` as it stands in the lock file, never as the server says it
//! now (JSON Schema 2020-12 unless `$schema` names another draft; 2026-07-28, server/tools).
//!
//! The schema is made strict: where it is silent about undeclared fields they are refused, and where
//! it says something about them it is believed. A schema that cannot be checked refuses the call,
//! nothing is ever fetched to complete one, and formats are annotations, as the drafts have them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_schema::{Bounds, Kept, Rules};

use crate::case::{Case, Item};
use crate::control::{Control, Fault, Judged, Verdict};
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::canonical::Digest;
use crate::wire::json::{Json, View};
use crate::wire::mirror;

/// The threat, in one sentence.
pub const THREAT: &str = "An argument that nobody reviewed and the server obeys all the same.";

reasons! {
    UNKNOWN_FIELD = "schema.unknown-field", Class::Denied,
        "The call has an argument that this tool does not declare. Use only the fields of its input schema, spelled exactly as there.",
        "The arguments hold a field that the reviewed schema does not declare. Schemas that are silent about undeclared fields refuse them here.",
        "The journal names the field. If the published schema is wrong, list the tool in `controls.schema.dangerous.allow_undeclared`.";
    INVALID = "schema.invalid", Class::Denied,
        "The arguments do not match the input schema of this tool. Compare them with the schema and try again.",
        "A value breaks a rule of the reviewed schema: its type, range, pattern, or a field that is required.",
        "The journal names the place and the rule. If the published schema is wrong, list the tool in `controls.schema.dangerous.unvalidated`.";
    UNCOMPILABLE = "schema.uncompilable", Class::Denied,
        "The input schema of this tool cannot be checked, so the tool cannot be called. Tell the operator.",
        "The reviewed schema is not valid, is of an unknown draft, has a pattern that is not one, or refers to another document. What cannot be checked does not pass.",
        "`bartizan check` says what is wrong. Report it to the server's author, or list the tool in `controls.schema.dangerous.unvalidated`.";
    BOUNDS = "schema.bounds", Class::Denied,
        "An argument is too long, has too many parts, or is nested too deeply. Send less.",
        "The arguments exceed what any tool may be sent, whatever its schema says.",
        "Send less, or raise the bound in `[controls.schema]`. The journal names the place.";
    CONSTRAINT = "schema.constraint", Class::Denied,
        "The arguments are not among those that the operator allows for this tool.",
        "The tool's entry in the lock file has `arguments`, a schema beside the tool's own, and a value breaks a rule of it. A schema there that cannot be checked lets nothing pass.",
        "The journal names the place and the rule. Change `arguments` in the lock file if the rule is wrong.";
    HEADER_MISMATCH = "schema.header-mismatch", Class::HeaderMismatch,
        "The HTTP headers and the arguments disagree.",
        "An `Mcp-Param-…` header does not say what the argument says that the tool's schema ties to it (`x-mcp-header`), so somebody on the way may have decided on another call.",
        "Fix the client, or whatever stands between it and the gateway.";
}

/// What arguments may be, whatever the tool's schema says.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Characters in one string, names of fields included.
    pub max_string_chars: usize,
    /// Items in one array.
    pub max_items: usize,
    /// Fields in one object.
    pub max_members: usize,
    /// Levels of nesting; the arguments themselves are the first.
    pub max_depth: usize,
    /// Weakenings, for tools whose published schema is wrong.
    pub dangerous: Dangerous,
}

/// Tools, as `server/tool`, that are held to less than their schema.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dangerous {
    /// Undeclared fields pass where the schema is silent about them.
    pub allow_undeclared: BTreeSet<String>,
    /// The schema is not looked at. The bounds still hold.
    pub unvalidated: BTreeSet<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_string_chars: 1_048_576, max_items: 10_000, max_members: 1_000, max_depth: 32, dangerous: Dangerous::default() }
    }
}

/// Builds the control.
pub fn build(config: Config) -> Result<Schema, toml::de::Error> {
    let bounds = Bounds { string_chars: config.max_string_chars, items: config.max_items, members: config.max_members, depth: config.max_depth };
    if bounds.forbid_everything() {
        return Err(serde::de::Error::custom("a bound is at least 1"));
    }
    let mut tools = config.dangerous.allow_undeclared.iter().chain(&config.dangerous.unvalidated);
    if let Some(stray) = tools.find(|tool| tool.split_once('/').is_none_or(|(server, name)| server.is_empty() || name.is_empty())) {
        return Err(serde::de::Error::custom(format!("{stray:?} is not of the form \"server/tool\"")));
    }
    Ok(Schema { bounds, dangerous: config.dangerous, contracts: Kept::default() })
}

/// Whether the schema of a tool's definition can be checked at all, and if not, why.
pub fn compiles(definition: &Json) -> Result<(), String> {
    Contract::read(definition).rules.map(|_| ())
}

/// The control.
#[derive(Debug)]
pub struct Schema {
    bounds: Bounds,
    dangerous: Dangerous,
    contracts: Kept<Key, Contract>,
}

/// The digests of the definition and of what the operator demands beside it.
type Key = (Digest, Option<Digest>);

/// What a definition and the operator say of the arguments, compiled once.
#[derive(Debug)]
struct Contract {
    mirrored: Vec<(String, String)>,
    rules: Result<Rules, String>,
    constraint: Option<Result<Rules, String>>,
}

impl Contract {
    fn read(definition: &Json) -> Self {
        let schema = definition.get("inputSchema").unwrap_or_else(Json::null);
        let (mirrored, rules) = match mirror::mirrored(definition) {
            Ok(mirrored) => (mirrored, Rules::compile(&schema.view().to_value())),
            Err(why) => (Vec::new(), Err(why.to_owned())),
        };
        Self { mirrored, rules, constraint: None }
    }
}

impl Schema {
    fn contract(&self, tool: &Item) -> Result<Arc<Contract>, Fault> {
        let constraint = tool.pin.contract.arguments.as_ref();
        let kept = self.contracts.get((tool.pin.digest, constraint.map(|constraint| constraint.digest)), || {
            let constraint = constraint.map(|constraint| Rules::compile(&constraint.schema.view().to_value()));
            Contract { constraint, ..Contract::read(&tool.pin.definition) }
        });
        kept.ok_or_else(|| Fault("a call panicked while a schema was kept".to_owned()))
    }

    fn objection(&self, tool: &Item, case: &Case, contract: &Contract) -> Option<(Reason, String)> {
        let arguments = case.arguments().map_or_else(|| serde_json::Value::Object(serde_json::Map::new()), View::to_value);
        if let Some(place) = self.bounds.exceeded(&arguments) {
            return Some((BOUNDS, format!("arguments{place}")));
        }
        if let Err(refusal) = case.mirror().confirm_params(&contract.mirrored, case.arguments()) {
            return Some((HEADER_MISMATCH, refusal.detail));
        }
        contract.constraint.as_ref().and_then(|constraint| forbidden(constraint, &arguments)).or_else(|| self.unlike(tool, &arguments, contract))
    }

    /// What the tool's own schema has to say.
    fn unlike(&self, tool: &Item, arguments: &serde_json::Value, contract: &Contract) -> Option<(Reason, String)> {
        if lists(&self.dangerous.unvalidated, tool) {
            return None;
        }
        let rules = match &contract.rules {
            Ok(rules) => rules,
            Err(why) => return Some((UNCOMPILABLE, why.clone())),
        };
        let undeclared = rules.undeclared(arguments).filter(|_| !lists(&self.dangerous.allow_undeclared, tool));
        if let Some(place) = undeclared {
            return Some((UNKNOWN_FIELD, format!("arguments{place}")));
        }
        let broken = rules.broken(arguments)?;
        Some((if broken.is_undeclared() { UNKNOWN_FIELD } else { INVALID }, format!("arguments{broken}")))
    }
}

/// What the operator's own rules have to say, whatever the tool's schema does.
fn forbidden(constraint: &Result<Rules, String>, arguments: &serde_json::Value) -> Option<(Reason, String)> {
    let why = match constraint {
        Ok(rules) => format!("arguments{}", rules.broken(arguments)?),
        Err(why) => format!("the lock file's `arguments`: {why}"),
    };
    Some((CONSTRAINT, why))
}

/// Whether a list of `server/tool` names this one.
fn lists(tools: &BTreeSet<String>, tool: &Item) -> bool {
    tools.iter().any(|listed| listed.split_once('/').is_some_and(|(server, name)| server == &*tool.server && name == tool.pin.name))
}

impl Control for Schema {
    fn on_call(&self, case: &Case) -> Judged {
        let Some(tool) = case.tool() else { return Ok(Verdict::Pass) };
        let contract = self.contract(tool)?;
        Ok(match self.objection(tool, case, &contract) {
            None => Verdict::Pass,
            Some((reason, place)) => Verdict::Deny(Refusal::new(reason, format!("{}/{}: {place}", tool.server, tool.pin.name))),
        })
    }
}

#[cfg(test)]
mod tests;
