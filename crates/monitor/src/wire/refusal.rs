//! The one place that turns a refusal into numbers: JSON-RPC codes and HTTP statuses.
//!
//! −32000…−32019 is legacy and −32020…−32099 belongs to the specification (2026-07-28, errors);
//! application codes lie outside −32768…−32000. Ours are positive and say what the HTTP status of
//! the same number means.

use crate::reason::{Class, Reason, Refusal};

use super::envelope::Id;
use super::json::Json;
use super::method::Method;
use super::version::{Era, Version};

/// The `_meta` and `data` key under which a client finds the reason.
pub const KEY: &str = "io.github.bartizan-security/refusal";

/// A refusal in the form that a client understands.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The JSON-RPC message; none where the HTTP status says it all and there is no id.
    pub message: Json,
    /// The HTTP status.
    pub status: u16,
}

/// What was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The id to answer.
    pub id: Option<&'a Id>,
    /// The method, where it was understood.
    pub method: Option<Method>,
    /// The era of the client.
    pub era: Era,
    /// The number of the call, for faults.
    pub call: u64,
}

/// JSON-RPC code and HTTP status of a class.
#[must_use]
pub const fn numbers(class: Class) -> (i32, u16) {
    match class {
        Class::NotJson => (-32700, 400),
        Class::Invalid => (-32600, 400),
        Class::Params => (-32602, 400),
        Class::HeaderMismatch => (-32020, 400),
        Class::Capability => (-32021, 400),
        Class::Version => (-32022, 400),
        Class::Method => (-32601, 404),
        Class::Unauthenticated => (401, 401),
        Class::Origin => (403, 403),
        Class::Session => (404, 404),
        Class::Http(status) => (status as i32, status),
        Class::TooLarge => (413, 413),
        Class::Unknown => (-32602, 200),
        Class::Denied => (403, 200),
        Class::Limit => (429, 200),
        Class::Upstream => (502, 200),
        Class::Timeout => (504, 200),
        Class::Fault => (-32603, 500),
        Class::Draining => (503, 503),
    }
}

/// Encodes a refusal. A denied `tools/call` is a tool result with `isError`, because that is what a
/// client shows its model, which can then act on the hint; everything else is a JSON-RPC error.
#[must_use]
pub fn encode(refusal: &Refusal, refused: Refused<'_>) -> Encoded {
    let class = shown(refusal).class();
    let (code, status) = numbers(class);
    // In the legacy era an error is an answer like any other, and some clients take a status other
    // than 200 for a broken transport.
    let status = match (refused.era, class) {
        (Era::Legacy, Class::Method | Class::Params | Class::Capability) if refused.id.is_some() => 200,
        _ => status,
    };
    let id = refused.id.map_or_else(Json::null, |id| id.json().clone());
    let as_result =
        matches!(class, Class::Denied | Class::Limit | Class::Upstream | Class::Timeout) && refused.method == Some(Method::ToolsCall);
    let (member, body) =
        if as_result { ("result", result(refusal, refused.era)) } else { ("error", error(refusal, (refused.era, refused.call), code)) };
    let message = Json::object([("jsonrpc", Json::string("2.0")), ("id", id), (member, body)]);
    Encoded { message, status }
}

/// The reason that the caller sees: what is hidden looks like what does not exist.
fn shown(refusal: &Refusal) -> Reason {
    if refusal.veiled || refusal.reason.class() == Class::Unknown { crate::catalog::UNKNOWN } else { refusal.reason }
}

fn explanation(refusal: &Refusal) -> Json {
    let mut members = vec![("reason", Json::string(shown(refusal).code()))];
    if let Some(millis) = refusal.retry_after_ms {
        members.push(("retryAfterMs", Json::number(millis)));
    }
    Json::object(members)
}

fn result(refusal: &Refusal, era: Era) -> Json {
    let text = format!("{} [{}]", shown(refusal).page().hint, shown(refusal));
    let content = Json::array([Json::object([("type", Json::string("text")), ("text", Json::string(&text))])]);
    let mut members = vec![("content", content), ("isError", Json::of(&true))];
    if era == Era::Modern {
        members.push(("resultType", Json::string("complete")));
    }
    members.push(("_meta", Json::object([(KEY, explanation(refusal))])));
    Json::object(members)
}

fn error(refusal: &Refusal, (era, call): (Era, u64), code: i32) -> Json {
    let mut data = vec![(KEY, explanation(refusal))];
    match shown(refusal).class() {
        Class::Version => {
            let supported = Version::ALL.into_iter().rev().filter(|version| version.era() == era);
            data.push(("supported", Json::array(supported.map(|version| Json::string(version.name())))));
        }
        Class::Fault => data.push(("record", Json::string(&crate::journal::call_name(call)))),
        _ => {}
    }
    data.extend(refusal.echo.as_deref().cloned());
    Json::object([("code", Json::of(&code)), ("message", Json::string(shown(refusal).page().hint)), ("data", Json::object(data))])
}

/// The HTTP status that goes with an error of a server (2026-07-28, transports): the specification
/// ties a few codes to statuses; everything else is an answer like any other.
#[must_use]
pub const fn status_of_error(code: Option<i64>, era: Era) -> u16 {
    match (era, code) {
        (Era::Modern, Some(-32601)) => 404,
        (Era::Modern, Some(-32700 | -32600 | -32020 | -32021 | -32022)) => 400,
        (Era::Modern | Era::Legacy, _) => 200,
    }
}
