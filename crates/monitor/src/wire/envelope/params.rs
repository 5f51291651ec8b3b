//! The few parameters that decisions are made on.

use crate::reason::Refusal;
use crate::wire::PARAMS;
use crate::wire::json::{Json, Kind, View};
use crate::wire::method::Method;

/// The member of the parameters that `Mcp-Name` mirrors.
pub(super) fn mirrored_name<'a>(method: &str, params: View<'a>) -> Option<std::borrow::Cow<'a, str>> {
    let member = match Method::read(method)? {
        Method::ToolsCall | Method::PromptsGet => "name",
        Method::ResourcesRead => "uri",
        Method::TasksGet | Method::TasksCancel | Method::TasksUpdate => "taskId",
        _ => return None,
    };
    params.get(member).and_then(View::as_str)
}

/// Checks the few parameters that decisions are made on.
pub(super) fn shape(method: Method, params: Option<&Json>) -> Result<(), Refusal> {
    let (strings, objects): (&[&str], &[&str]) = match method {
        Method::ToolsCall | Method::PromptsGet => (&["name"], &[]),
        Method::ResourcesRead | Method::Subscribe | Method::Unsubscribe => (&["uri"], &[]),
        Method::TasksGet | Method::TasksResult | Method::TasksCancel | Method::TasksUpdate => (&["taskId"], &[]),
        Method::Complete => (&[], &["ref", "argument"]),
        Method::Initialize => (&["protocolVersion"], &["capabilities"]),
        Method::SetLevel => (&["level"], &[]),
        Method::Listen => (&[], &["notifications"]),
        _ => (&[], &[]),
    };
    let view = params.map(Json::view);
    let is = |key: &str, kind: Kind| view.and_then(|view| view.get(key)).is_some_and(|value| value.kind() == kind);
    let absent_or = |key: &str, kind: Kind| view.and_then(|view| view.get(key)).is_none_or(|value| value.kind() == kind);
    let wrong = |key: &str| Err(Refusal::new(PARAMS, format!("{method}: {key} is missing or has the wrong type")));
    if let Some(key) = strings.iter().find(|key| !is(key, Kind::String)) {
        return wrong(key);
    }
    if let Some(key) = objects.iter().find(|key| !is(key, Kind::Object)) {
        return wrong(key);
    }
    if !absent_or("arguments", Kind::Object) {
        return wrong("arguments");
    }
    if absent_or("_meta", Kind::Object) { Ok(()) } else { wrong("_meta") }
}
