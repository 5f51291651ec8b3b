//! Requests that a server makes of the client: sampling, elicitation, roots.
//!
//! Threat: a server that makes the client's model work for it (sampling), asks the person for what
//! it should not know (elicitation), or asks for more than the client offered. In the legacy era
//! such a request is a message of its own; in the modern era it stands inside an `input_required`
//! result. Both are judged here, by the same rules.

use std::collections::BTreeSet;

use crate::case::{Case, Event, Reply};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::envelope::{META_CAPABILITIES, Message};
use crate::wire::json::{Json, Kind, View};
use crate::wire::method::{Form, Method};

/// The threat, in one sentence.
pub const THREAT: &str = "A server that makes the client's model or person work for it.";

reasons! {
    SAMPLING = "request.sampling", Class::Denied,
        "Servers may not use the client's model here.",
        "The server asked for a completion by the client's model. That spends the client's money and lets the server write the model's prompt, so it is refused unless configured.",
        "If the server needs it, add its name to `controls.request.sampling`.";
    CAPABILITY = "request.capability", Class::Capability,
        "The client does not offer what the server asked for.",
        "The server asked for something that the client did not declare in its capabilities.",
        "Use a client that supports it.";
    UNKNOWN_KIND = "request.unknown-kind", Class::Denied,
        "The server asked for something that is not known here.",
        "An `input_required` result asks for input of an unknown kind.",
        "Report it to the server's author.";
}

/// Which servers may ask for what.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Servers that may use the client's model.
    pub sampling: BTreeSet<String>,
}

/// Builds the control.
pub fn build(config: Config) -> Result<Request, toml::de::Error> {
    Ok(Request(config))
}

/// The control.
#[derive(Debug)]
pub struct Request(Config);

impl Request {
    fn judge(&self, server: &str, method: &str, capabilities: Option<View<'_>>) -> Verdict {
        let capability = match Method::read(method) {
            Some(Method::Sampling) if !self.0.sampling.contains(server) => {
                return Verdict::Deny(Refusal::new(SAMPLING, server));
            }
            Some(Method::Sampling) => "sampling",
            Some(Method::Elicitation) => "elicitation",
            Some(Method::RootsList) => "roots",
            Some(Method::Ping) => return Verdict::Pass,
            _ => return Verdict::Deny(Refusal::new(UNKNOWN_KIND, format!("{server}: {method:?}"))),
        };
        if capabilities.is_some_and(|capabilities| capabilities.get(capability).is_some()) {
            return Verdict::Pass;
        }
        Verdict::Deny(Refusal::new(CAPABILITY, format!("{server} asked for {capability}")))
    }
}

impl Control for Request {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        let Some((server, asked)) = reply.asks(case) else { return Ok(Verdict::Pass) };
        if asked.kind() != Kind::Object {
            return Ok(Verdict::Deny(Refusal::new(UNKNOWN_KIND, format!("{server}: inputRequests is no object"))));
        }
        let capabilities = match case.message() {
            Message::Request { params: Some(params), .. } => params.view().at(&["_meta", META_CAPABILITIES]),
            Message::Request { .. } | Message::Notification { .. } | Message::Response { .. } => None,
        };
        for (_, request) in asked.members() {
            let method = request.get("method").and_then(View::as_str).unwrap_or_default();
            let verdict = self.judge(server, &method, capabilities);
            if !matches!(verdict, Verdict::Pass) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Pass)
    }

    fn on_event(&self, event: &Event) -> Judged {
        if event.method.form() == Form::Notification {
            return Ok(Verdict::Pass);
        }
        Ok(self.judge(&event.server, event.method.name(), event.capabilities.as_ref().map(Json::view)))
    }
}
