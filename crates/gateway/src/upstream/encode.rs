//! Messages as they are sent to servers.

use bartizan_monitor::wire::envelope::{Id, Message, Outcome};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;

/// A message as it is sent to a server.
pub(super) fn encode(message: &Message) -> Json {
    let version = ("jsonrpc", Json::string("2.0"));
    match message {
        Message::Request { id, method, params } => {
            with_params(vec![version, ("id", id.json().clone()), ("method", Json::string(method.name()))], params.as_ref())
        }
        Message::Notification { method, params } => with_params(vec![version, ("method", Json::string(method.name()))], params.as_ref()),
        Message::Response { id, outcome } => {
            let (member, body) = match outcome {
                Outcome::Result(body) => ("result", body),
                Outcome::Error(body) => ("error", body),
            };
            Json::object([version, ("id", id.json().clone()), (member, body.clone())])
        }
    }
}

fn with_params(mut members: Vec<(&str, Json)>, params: Option<&Json>) -> Json {
    members.extend(params.map(|params| ("params", params.clone())));
    Json::object(members)
}

pub(super) fn request(id: u64, method: Method, params: Option<&Json>) -> Json {
    encode(&Message::Request { id: Id::number(id), method, params: params.cloned() })
}
