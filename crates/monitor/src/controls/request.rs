//! Requests that a server makes of the client: sampling, elicitation, roots.
//!
//! Threat: a server that makes the client's model work for it (sampling), asks the person for what
//! it should not know (elicitation), or asks for more than the client offered. In the legacy era
//! such a request is a message of its own; in the modern era it stands inside an `input_required`
//! result. Both are judged here, by the same rules.
//!
//! A form asks for no password, key, code or card: the protocol forbids it, because what is typed there passes the client, its
//! model's context and every log between. A link that a person is to open is https, has one host that everybody
//! reads alike, and that host stands before what the server says of it, in ASCII.

mod elicit;

use std::collections::BTreeSet;

use crate::case::{Case, Event, Reply};
use crate::control::{Control, Judged, Listed, Mask, Verdict};
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
        "An `input_required` result asks for input of an unknown kind, or an `elicitation/create` has an unknown mode.",
        "Report it to the server's author.";
    SECRET = "request.secret", Class::Denied,
        "The server asked the person for a secret in a form, which it must not. Give it no secret another way either; tell the user.",
        "A form (`elicitation/create`) has a field for a password, key, token, code or card, or its message asks for one. Servers must not: what is typed into a form is seen by the client and whatever it works with.",
        "The record names the field and the kind. The server should send a link (`mode: url`) to a page of its own, or take the secret from its configuration. If the form asks for no secret, list the tool in `controls.request.dangerous.secrets`, or `\"SERVER/*\"` for what the server asks on its own.";
    LINK = "request.link", Class::Denied,
        "The server sent a link that hides where it leads. Do not open it; tell the user.",
        "A link that the person is to open (`mode: url`) is not https, has a user name, a host that readers may take for another, or characters that cannot be seen.",
        "The record says what is wrong with it. Report it to the server's author.";
}

/// Which servers may ask for what.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Servers that may use the client's model.
    pub sampling: BTreeSet<String>,
    /// Weakenings.
    pub dangerous: Dangerous,
}

/// Whose forms may ask for anything.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dangerous {
    /// These: `server/name`, or `server/*`.
    pub secrets: Listed,
}

/// Builds the control.
pub fn build(config: Config) -> Result<Request, toml::de::Error> {
    Ok(Request(config))
}

/// The control.
#[derive(Debug)]
pub struct Request(Config);

/// One request: who asks, in the course of what, and with which method.
#[derive(Clone, Copy)]
struct Asked<'a> {
    server: &'a str,
    /// The tool, prompt or resource that was asked for.
    name: Option<&'a str>,
    method: &'a str,
    params: Option<View<'a>>,
    /// What the parameters are a part of.
    body: &'a Json,
}

impl Request {
    fn judge(&self, asked: Asked<'_>, capabilities: Option<View<'_>>) -> Result<Option<Mask>, Refusal> {
        let (server, method) = (asked.server, Method::read(asked.method));
        let offers = |capability: &str| match capabilities.and_then(|capabilities| capabilities.get(capability)) {
            Some(offered) => Ok(offered),
            None => Err(Refusal::new(CAPABILITY, format!("{server} asked for {capability}"))),
        };
        match method {
            Some(Method::Sampling) if !self.0.sampling.contains(server) => Err(Refusal::new(SAMPLING, server)),
            Some(Method::Sampling) => offers("sampling").map(|_| None),
            Some(Method::Elicitation) => self.elicits(asked, Some(offers("elicitation")?)),
            Some(Method::RootsList) => offers("roots").map(|_| None),
            Some(Method::Ping) => Ok(None),
            _ => Err(Refusal::new(UNKNOWN_KIND, format!("{server}: {:?}", asked.method))),
        }
    }

    /// A question to a person: a form, or a link. `offered` is which of them the client can show, where it is known.
    fn elicits(&self, asked: Asked<'_>, offered: Option<View<'_>>) -> Result<Option<Mask>, Refusal> {
        let Asked { server, name, .. } = asked;
        let shows = |mode: &str| offered.is_none_or(|offered| offered.get(mode).is_some());
        let missing = |mode: &str| Refusal::new(CAPABILITY, format!("{server} asked for elicitation in the mode {mode:?}"));
        let Some(params) = asked.params else { return Ok(None) };
        let mode = params.get("mode").map(|mode| mode.as_str().unwrap_or_default());
        match mode.as_deref() {
            // A client that says nothing of modes shows forms.
            None | Some("form") if !shows("form") && shows("url") => Err(missing("form")),
            None | Some("form") if self.0.dangerous.secrets.has(server, name) => Ok(None),
            None | Some("form") => elicit::form(params).map_or(Ok(None), |what| Err(Refusal::new(SECRET, format!("{server}: {what}")))),
            Some("url") if !shows("url") => Err(missing("url")),
            Some("url") => elicit::link(asked.body, params).map(Some).map_err(|what| Refusal::new(LINK, format!("{server}: {what}"))),
            Some(mode) => Err(Refusal::new(UNKNOWN_KIND, format!("{server}: elicitation in the mode {mode:?}"))),
        }
    }

    /// The requests inside of a result.
    fn inside(&self, case: &Case, reply: &Reply) -> Result<Vec<Mask>, Refusal> {
        let name = case.item().map(|item| item.pin.name.as_str());
        let mut masks = Vec::new();
        if let Some((server, asked)) = reply.asks(case) {
            if asked.kind() != Kind::Object {
                return Err(Refusal::new(UNKNOWN_KIND, format!("{server}: inputRequests is no object")));
            }
            let capabilities = match case.message() {
                Message::Request { params: Some(params), .. } => params.view().at(&["_meta", META_CAPABILITIES]),
                Message::Request { .. } | Message::Notification { .. } | Message::Response { .. } => None,
            };
            for (_, request) in asked.members() {
                let method = request.get("method").and_then(View::as_str).unwrap_or_default();
                let asked = Asked { server, name, method: &method, params: request.get("params"), body: &reply.body };
                masks.extend(self.judge(asked, capabilities)?);
            }
        }
        // What the client can show is not known here; one that does not know this error shows none of it.
        if let Some((server, links)) = reply.opens(case) {
            for params in links.items() {
                let asked = Asked { server, name, method: Method::Elicitation.name(), params: Some(params), body: &reply.body };
                masks.extend(self.elicits(asked, None)?);
            }
        }
        Ok(masks)
    }
}

fn verdict(judged: Result<Vec<Mask>, Refusal>) -> Verdict {
    match judged {
        Ok(masks) if masks.is_empty() => Verdict::Pass,
        Ok(masks) => Verdict::Mask(masks),
        Err(refusal) => Verdict::Deny(refusal),
    }
}

impl Control for Request {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        Ok(verdict(self.inside(case, reply)))
    }

    fn on_event(&self, event: &Event) -> Judged {
        if event.method.form() == Form::Notification {
            return Ok(Verdict::Pass);
        }
        let none = Json::null();
        let (server, method, body) = (&*event.server, event.method.name(), event.params.as_ref().unwrap_or(&none));
        let asked = Asked { server, name: None, method, params: event.params.as_ref().map(Json::view), body };
        Ok(verdict(self.judge(asked, event.capabilities.as_ref().map(Json::view)).map(|mask| mask.into_iter().collect())))
    }
}
