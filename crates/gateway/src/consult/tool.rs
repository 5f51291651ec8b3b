//! A tool that completes a call which waits, for clients that cannot show a form to their person.
//!
//! The call is answered with a preview and a handle; `confirm_NAME` takes the handle and makes that very call. It is
//! there only while something waits for it. What it says of a person is what the client says: the least assurance.

use bartizan_monitor::case::{Case, Kind};
use bartizan_monitor::catalog::Naming;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::envelope::Message;
use bartizan_monitor::wire::json::{Edits, Json};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Era;

use super::desk::{Card, Resume};
use super::put::{can_elicit, modern};
use super::{Consult, place_of, shown};
use crate::clock;
use crate::serve::House;
use crate::session::Talk;
use crate::snapshot::Snapshot;

/// How our names begin, and the argument that they take.
pub(super) const PREFIX: &str = "confirm_";
pub(super) const HANDLE: &str = "handle";
/// How long a name may be that all clients take.
const MAX_NAME: usize = 64;

/// What completes a call.
pub(super) fn resume(snapshot: &Snapshot, talk: &Talk, house: &House, case: &Case) -> Option<Resume> {
    let (item, Message::Request { params: Some(params), .. }) = (case.tool()?, case.message()) else { return None };
    let separator = &house.settings.names.separator;
    let name = match talk.endpoint.naming {
        Naming::Plain => item.pin.name.clone(),
        Naming::Prefixed => format!("{}{separator}{}", item.server, item.pin.name),
    };
    let taken = |wanted: &str| {
        let lock = snapshot.catalog.lock();
        talk.endpoint.servers.iter().any(|server| {
            let server = server.name();
            let bare = match talk.endpoint.naming {
                Naming::Plain => Some(wanted),
                Naming::Prefixed => wanted.strip_prefix(&**server).and_then(|rest| rest.strip_prefix(separator.as_str())),
            };
            bare.is_some_and(|bare| lock.get(server, Kind::Tool, bare).is_some())
        })
    };
    // The client's own words again: the case has the name that the server knows.
    let mut edits = Edits::of(params);
    edits.set(params.view(), "name", &Json::string(&name));
    Some(Resume { tool: tool_name(&name, taken), params: edits.apply() })
}

/// `confirm_NAME`, or a shorter one with a digest where that is too long or a server's own tool has it.
fn tool_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let plain = format!("{PREFIX}{name}");
    if plain.len() <= MAX_NAME && !taken(&plain) {
        return plain;
    }
    let digest = Digest::of_bytes(name.as_bytes()).to_string();
    let short: String = name.chars().filter(char::is_ascii).take(MAX_NAME / 2).collect();
    format!("{PREFIX}{short}_{}", digest.get(7..19).unwrap_or_default())
}

/// What the model is told.
pub(super) fn preview(card: &Card, resume: &Resume) -> String {
    let minutes = card.until_ms.saturating_sub(card.since_ms).div_ceil(60_000);
    let sent = if card.tried.is_some() {
        "Nothing was done; the server was only asked for its dry run. What would be sent"
    } else {
        "Nothing was sent. What would be"
    };
    format!(
        "{} [{}]\n\n{sent}:\n\n{}\nShow this to the person. If the person agrees, call the tool {} with {{\"{HANDLE}\": \"{}\"}} within {minutes} minutes; it sends exactly this call, once. Do not call it without having asked.",
        card.hold.reason.page().hint,
        card.hold.reason,
        card.shown.text,
        resume.tool,
        card.id
    )
}

/// Tells the client that a tool came or went.
pub(crate) fn announce(talk: &Talk) {
    let told = Json::object([("jsonrpc", Json::string("2.0")), ("method", Json::string(Method::ToolsChanged.name()))]);
    // A client that does not hear it has the name in the preview.
    talk.post(told.bytes().clone());
}

impl Consult {
    /// The tools that complete what waits at a place, for a client that has no forms.
    pub(crate) fn tools(&self, talk: &Talk, (era, params): (Era, Option<&Json>)) -> Vec<Json> {
        if self.desk.is_empty() {
            return Vec::new();
        }
        let can = match era {
            Era::Modern => can_elicit(modern(params)),
            Era::Legacy => {
                let settled = talk.negotiated().and_then(|settled| settled.capabilities);
                can_elicit(settled.as_ref().map(Json::view))
            }
        };
        let place = place_of(talk);
        let tools = if can { Vec::new() } else { self.desk.tools(&place, clock::now_ms()) };
        tools.iter().map(|(name, tool)| definition(name, tool)).collect()
    }
}

fn definition(name: &str, tool: &str) -> Json {
    let tool = shown::inert(tool, MAX_NAME);
    let text = format!("Completes a call of {tool} that waits for a person. Only after the person has seen the preview and agreed.");
    let handle = Json::object([("type", Json::string("string")), ("description", Json::string("The handle from the preview."))]);
    let schema = Json::object([
        ("type", Json::string("object")),
        ("properties", Json::object([(HANDLE, handle)])),
        ("required", Json::array([Json::string(HANDLE)])),
        ("additionalProperties", Json::of(&false)),
    ]);
    Json::object([("name", Json::string(name)), ("description", Json::string(&text)), ("inputSchema", schema)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_nobody_elses() {
        assert_eq!(tool_name("delete", |_| false), "confirm_delete");
        let other = tool_name("delete", |name| name == "confirm_delete");
        assert!(other.starts_with("confirm_delete_") && other.len() <= MAX_NAME, "{other}");
        let long = [tool_name(&"x".repeat(128), |_| false), tool_name(&"x".repeat(127), |_| false)];
        assert!(long.iter().all(|name| name.len() <= MAX_NAME) && long[0] != long[1], "{long:?}");
        assert!(tool_name(&"ä".repeat(60), |_| false).is_ascii());
    }
}
