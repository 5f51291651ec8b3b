//! Message shape: parameters that a method does not have are refused.
//!
//! Threat: a member that one side ignores and the other acts on. A server that folds case reads
//! `"Name"` as the tool's name (the shape of CVE-2026-27896); one that is newer than the gateway
//! reads options nobody judged. Source: the request types of the five protocol schemas.

use crate::case::Case;
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::envelope::Message;
use crate::wire::json::View;
use crate::wire::method::Method;

/// The threat, in one sentence.
pub const THREAT: &str = "A parameter that one side ignores and the other acts on.";

reasons! {
    UNKNOWN_MEMBER = "shape.unknown-member", Class::Params,
        "The request has a parameter that this method does not have.",
        "The parameters hold a member that no protocol version defines for the method. Names are compared exactly.",
        "Remove the member. The journal names it.";
}

/// No settings.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Shape, toml::de::Error> {
    Ok(Shape)
}

/// The control.
#[derive(Debug)]
pub struct Shape;

impl Control for Shape {
    fn on_call(&self, case: &Case) -> Judged {
        let (Message::Request { method, params: Some(params), .. } | Message::Notification { method, params: Some(params) }) = case.message() else {
            return Ok(Verdict::Pass);
        };
        let Some(known) = members(*method) else { return Ok(Verdict::Pass) };
        if *method == Method::Complete
            && let Some(stray) = stray_inside(params.view())
        {
            return Ok(Verdict::Deny(Refusal::new(UNKNOWN_MEMBER, format!("{method}: {stray}"))));
        }
        let stray = params.view().members().map(|(key, _)| key).find(|key| key != "_meta" && !known.contains(&&**key));
        Ok(stray.map_or(Verdict::Pass, |key| Verdict::Deny(Refusal::new(UNKNOWN_MEMBER, format!("{method}: {key:?}")))))
    }
}

/// A stray member inside a completion's parameters: what is completed is named there, not at the top.
fn stray_inside(params: View<'_>) -> Option<String> {
    let reference = match params.at(&["ref", "type"]).and_then(View::as_str).as_deref() {
        Some("ref/prompt") => &["type", "name", "title"][..],
        Some("ref/resource") => &["type", "uri"][..],
        _ => return Some("ref is of an unknown type".to_owned()),
    };
    let inside = [("ref", reference), ("argument", &["name", "value"][..]), ("context", &["arguments"][..])];
    inside.into_iter().find_map(|(member, known)| {
        let stray = params.get(member)?.members().map(|(key, _)| key).find(|key| !known.contains(&&**key))?;
        Some(format!("{member}/{stray:?}"))
    })
}

/// The members of a method's parameters beside `_meta`, over all versions; `None` where the schema
/// leaves them open.
fn members(method: Method) -> Option<&'static [&'static str]> {
    Some(match method {
        Method::Initialize => &["protocolVersion", "capabilities", "clientInfo"],
        Method::ToolsCall => &["name", "arguments", "task", "inputResponses", "requestState"],
        Method::PromptsGet => &["name", "arguments", "inputResponses", "requestState"],
        Method::ResourcesRead => &["uri", "inputResponses", "requestState"],
        Method::Subscribe | Method::Unsubscribe => &["uri"],
        Method::ToolsList | Method::PromptsList | Method::ResourcesList | Method::TemplatesList | Method::TasksList => &["cursor"],
        Method::Complete => &["ref", "argument", "context"],
        Method::SetLevel => &["level"],
        Method::Listen => &["notifications"],
        Method::TasksGet | Method::TasksResult | Method::TasksCancel => &["taskId"],
        Method::TasksUpdate => &["taskId", "inputResponses", "requestState"],
        Method::Cancelled => &["requestId", "reason"],
        Method::Progress => &["progressToken", "progress", "total", "message"],
        Method::Ping | Method::Discover | Method::Initialized | Method::RootsChanged => &[],
        // Never sent by a client; refused before there is a case.
        Method::Sampling
        | Method::Elicitation
        | Method::RootsList
        | Method::Message
        | Method::ToolsChanged
        | Method::PromptsChanged
        | Method::ResourcesChanged
        | Method::ResourceUpdated
        | Method::ElicitationComplete
        | Method::TaskStatus
        | Method::TaskChanged
        | Method::Acknowledged => return None,
    })
}
