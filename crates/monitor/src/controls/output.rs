//! Structured content is what the reviewed output schema says, and has nothing that it does not declare.
//!
//! Threat: content of another shape than the one that was reviewed: a text where a program expects a number, a field that
//! nobody knows of and a model reads all the same. Source: the tool's `outputSchema` as it stands in the lock file (2025-06-18,
//! server/tools: "servers MUST provide structured results that conform to this schema").
//!
//! Judged is what the server sent, before anything is left out or masked, and once more what the controls after this one
//! made of it, where they changed it: a masked value may be none of an `enum`, and `project` may leave out what is required.
//! A client that looks would refuse that, and one that does not would believe it. Fields that a schema with declared fields is silent
//! about are left out, here and in texts that are the same document: an open schema allows them, so a server that sends
//! them is no liar, and nobody reviewed them. A tool that says it failed owes no structured content.

use std::sync::Arc;

use bartizan_schema::{Kept, Rules, Strays};
use bytes::Bytes;

use crate::case::{Case, Item, Kind, Labels, Reply};
use crate::control::{Control, Edit, Fault, Judged, Listed, Mask, Tools, Verdict};
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::canonical::Digest;
use crate::wire::json::{Json, View};
use crate::wire::method::Method;

/// The threat, in one sentence.
pub const THREAT: &str = "An answer of another shape than the one that was reviewed.";

reasons! {
    MISSING = "output.missing", Class::Denied,
        "The tool answered without the structured content that it promises, and the answer was withheld.",
        "The reviewed definition has an `outputSchema`, and the answer has no `structuredContent` and does not say that the tool failed.",
        "Report it to the server's author, or list the tool in `controls.output.dangerous.unvalidated`.";
    INVALID = "output.invalid", Class::Denied,
        "The tool's answer does not match its output schema and was withheld.",
        "The structured content breaks a rule of the reviewed output schema, or would without the fields that it does not declare.",
        "The journal names the place and the rule, never the value. Report it to the server's author, or list the tool in `controls.output.dangerous.unvalidated`.";
    CHANGED = "output.changed", Class::Denied,
        "The tool's answer does not match its output schema without what may not be seen, and was withheld.",
        "The structured content obeyed the reviewed output schema until a control masked something in it, or `project` left something out.",
        "The journal names the place and the rule, and the controls that changed the answer. Name the required fields in `project`, choose what is masked by tool, or list the tool in `controls.output.dangerous.unvalidated`.";
    UNDECLARED = "output.undeclared", Class::Denied,
        "The tool's answer has a field that its output schema does not declare, and was withheld.",
        "`[controls.output]` says `refuse` for fields that the reviewed output schema does not declare.",
        "The journal names the field. Choose `drop` to leave such fields out.";
    UNCOMPILABLE = "output.uncompilable", Class::Denied,
        "The output schema of this tool cannot be checked, so its answer was withheld. Tell the operator.",
        "The reviewed output schema is not valid, is of an unknown draft, has a pattern that is not one, or refers to another document.",
        "`bartizan check` says what is wrong. Report it to the server's author, or list the tool in `controls.output.dangerous.unvalidated`.";
}

/// What is done with fields that an output schema does not declare.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Of all tools that are not listed.
    pub undeclared: Action,
    /// Of some tools: `server/tool`, or `server/*`.
    pub tools: Tools<Action>,
    /// Weakenings.
    pub dangerous: Dangerous,
}

/// Tools, as `server/tool` or `server/*`, that are held to less than their output schema.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dangerous {
    /// Undeclared fields stay where the schema is silent about them.
    pub keep_undeclared: Listed,
    /// The schema is not looked at.
    pub unvalidated: Listed,
}

/// What is done with a field that nobody declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is left out.
    #[default]
    Drop,
    /// The answer is withheld.
    Refuse,
}

/// Builds the control.
pub fn build(config: Config) -> Result<Output, toml::de::Error> {
    Ok(Output { config, rules: Kept::default() })
}

/// Whether the output schema of a tool's definition, if it has one, can be checked, and if not, why.
pub fn compiles(definition: &Json) -> Result<(), String> {
    definition.get("outputSchema").map_or(Ok(()), |schema| Rules::compile(&schema.view().to_value()).map(drop))
}

/// The control.
#[derive(Debug)]
pub struct Output {
    config: Config,
    rules: Kept<Digest, Result<Rules, String>>,
}

impl Control for Output {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        let Some(Promise { tool, rules, body, result }) = self.promise(case, reply)? else { return Ok(Verdict::Pass) };
        let judged = match (&*rules, result.get("structuredContent")) {
            (Err(why), _) => Err((UNCOMPILABLE, why.clone())),
            (Ok(_), None) => Err((MISSING, "no structuredContent".to_owned())),
            (Ok(rules), Some(content)) => self.edits(tool, rules, (body, result, content)),
        };
        Ok(match judged {
            Ok(masks) if masks.is_empty() => Verdict::Pass,
            Ok(masks) => Verdict::Edit(Edit { masks, note: "undeclared".to_owned(), labels: Labels::default() }),
            Err((reason, place)) => Verdict::Deny(Refusal::new(reason, format!("{}/{}: {place}", tool.server, tool.pin.name))),
        })
    }

    fn on_changed(&self, case: &Case, reply: &Reply) -> Judged {
        let Some(Promise { tool, rules, result, .. }) = self.promise(case, reply)? else { return Ok(Verdict::Pass) };
        let broken = match (&*rules, result.get("structuredContent")) {
            (Ok(rules), Some(content)) => rules.broken(&content.to_value()).map(|broken| broken.to_string()),
            // Where only observed is what is wrong, there may be no rules; what is gone is not what was promised.
            (Ok(_), None) => Some(": gone".to_owned()),
            (Err(_), _) => None,
        };
        let why = |place| Refusal::new(CHANGED, format!("{}/{}: structuredContent{place}", tool.server, tool.pin.name));
        Ok(broken.map_or(Verdict::Pass, |place| Verdict::Deny(why(place))))
    }
}

/// A result that owes structured content, and what it must obey.
struct Promise<'a> {
    tool: &'a Item,
    rules: Arc<Result<Rules, String>>,
    body: &'a Json,
    result: View<'a>,
}

/// The result of a tool in an answer; none where it is not there yet, or the tool says that it failed.
fn result_of<'v>(case: &Case, view: View<'v>) -> Option<View<'v>> {
    let result = match case.method() {
        // What is read on has none: it would not have been kept.
        Some(_) if case.reads().is_some() => None,
        Some(Method::ToolsCall | Method::TasksResult) => Some(view),
        // The modern era's tasks bring their result with them.
        Some(Method::TasksGet) => view.get("result"),
        Some(_) | None => None,
    }?;
    let unstructured = result.get("structuredContent").is_none();
    let bare = unstructured && result.get("content").is_none();
    let kind = result.get("resultType").and_then(View::as_str);
    let waits = result.get("task").is_some() || matches!(kind.as_deref(), Some("task" | "input_required"));
    let failed = result.get("isError").and_then(View::as_bool) == Some(true);
    // Whoever says that it failed need not keep the promise; what it brings all the same is judged.
    (!((failed && unstructured) || (bare && waits))).then_some(result)
}

impl Output {
    /// What an answer promises; none where it promises nothing, or nobody looks.
    fn promise<'a>(&self, case: &'a Case, reply: &'a Reply) -> Result<Option<Promise<'a>>, Fault> {
        let tool = case.item().filter(|item| item.pin.kind == Kind::Tool);
        let (Some(tool), Some(body)) = (tool, reply.result()) else { return Ok(None) };
        let Some(schema) = &tool.pin.promised else { return Ok(None) };
        let Some(result) = result_of(case, body.view()) else { return Ok(None) };
        if self.config.dangerous.unvalidated.has(&tool.server, Some(&tool.pin.name)) {
            return Ok(None);
        }
        let rules = self.rules.get(tool.pin.digest, || Rules::compile(&schema.view().to_value()));
        let rules = rules.ok_or_else(|| Fault("a call panicked while a schema was kept".to_owned()))?;
        Ok(Some(Promise { tool, rules, body, result }))
    }

    /// What is left out of what the server sent, or what is wrong with it.
    fn edits(&self, tool: &Item, rules: &Rules, (body, result, content): (&Json, View<'_>, View<'_>)) -> Result<Vec<Mask>, (Reason, String)> {
        let (value, (server, name)) = (content.to_value(), (&*tool.server, Some(tool.pin.name.as_str())));
        let at = |broken: &dyn std::fmt::Display| (INVALID, format!("structuredContent{broken}"));
        if let Some(broken) = rules.broken(&value) {
            return Err(at(&broken));
        }
        let strays = rules.strays(&value);
        let Some(place) = strays.place().filter(|_| !self.config.dangerous.keep_undeclared.has(server, name)) else { return Ok(Vec::new()) };
        if self.config.tools.get(server, name).copied().unwrap_or(self.config.undeclared) == Action::Refuse {
            return Err((UNDECLARED, format!("structuredContent{place}")));
        }
        let left = without(content, &strays).unwrap_or_else(Json::empty_object);
        // A schema can demand what it does not declare.
        if let Some(broken) = rules.broken(&left.view().to_value()) {
            return Err(at(&broken));
        }
        let mut masks = vec![Mask::replace(body.span(content), left.clone())];
        let same = Digest::of_json(&body.share(content));
        for text in result.get("content").into_iter().flat_map(View::items).filter_map(|block| block.get("text")) {
            let document = text.as_str().and_then(|text| Json::parse(Bytes::from(text.into_owned())).ok());
            if document.is_some_and(|document| Digest::of_json(&document) == same) {
                masks.push(Mask::replace(body.span(text), Json::string(&left.to_string())));
            }
        }
        Ok(masks)
    }
}

/// A value without what nobody declared; none when that is all of it.
fn without(view: View<'_>, strays: &Strays) -> Option<Json> {
    let mut left = Vec::with_capacity(view.text().len());
    write(&mut left, view, strays);
    Json::parse(Bytes::from(left)).ok()
}

/// Writes what is left of a value, every byte once; says whether anything is.
fn write(out: &mut Vec<u8>, view: View<'_>, strays: &Strays) -> bool {
    match strays {
        Strays::None => out.extend_from_slice(view.text().as_bytes()),
        Strays::All => return false,
        Strays::Members(gone) => {
            out.push(b'{');
            let empty = out.len();
            for (key, value) in view.members() {
                let from = out.len();
                if from > empty {
                    out.push(b',');
                }
                out.extend_from_slice(Json::string(&key).bytes());
                out.push(b':');
                if !write(out, value, gone.get(&*key).unwrap_or(&Strays::None)) {
                    out.truncate(from);
                }
            }
            out.push(b'}');
        }
        Strays::Items(gone) => {
            out.push(b'[');
            let empty = out.len();
            for (at, value) in view.items().enumerate() {
                let from = out.len();
                if from > empty {
                    out.push(b',');
                }
                if !write(out, value, gone.get(&at).unwrap_or(&Strays::None)) {
                    out.truncate(from);
                }
            }
            out.push(b']');
        }
    }
    true
}

#[cfg(test)]
mod tests;
