//! The JSON-RPC 2.0 envelope, parsed once into values that say what they are.

mod params;

use std::fmt;

use bytes::Bytes;

use crate::reason::Refusal;

use super::json::{Flaw, Json, Kind, View};
use super::method::{Form, Method, Sender};
use super::mirror::{Header, Mirror};
use super::version::{Era, Version};
use super::{BATCH, DEPTH, ENVELOPE, HEADER_MISMATCH, JSON, METHOD, PARAMS, VERSION};

/// The `_meta` key that carries the protocol version of a modern request.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The `_meta` key that carries the client's capabilities in a modern request.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// How many messages a batch may hold.
pub const MAX_BATCH: usize = 64;

/// A request id: a string or an integer, kept as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Id(Json);

impl Id {
    fn read(json: Json) -> Option<Self> {
        match json.view().kind() {
            Kind::String => Some(Self(json)),
            Kind::Number => json.view().as_i64().map(|_| Self(json)),
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => None,
        }
    }

    /// An id of our own.
    #[must_use]
    pub fn number(value: u64) -> Self {
        Self(Json::number(value))
    }

    /// The number, when it is one of the numbers that we give.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        self.0.view().text().parse().ok()
    }

    /// As JSON.
    #[must_use]
    pub const fn json(&self) -> &Json {
        &self.0
    }

    /// A key for tables: `"a"` and `"\u0061"` are the same id, `"1"` and `1` are not.
    #[must_use]
    pub fn key(&self) -> String {
        super::canonical::text(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// How a request ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The `result` member.
    Result(Json),
    /// The `error` member.
    Error(Json),
}

/// One message, whoever sent it.
#[derive(Debug, Clone)]
pub enum Message {
    /// Waits for a response.
    Request {
        /// Its id.
        id: Id,
        /// What is asked.
        method: Method,
        /// Its parameters: an object, or absent.
        params: Option<Json>,
    },
    /// Waits for nothing.
    Notification {
        /// What is told.
        method: Method,
        /// Its parameters: an object, or absent.
        params: Option<Json>,
    },
    /// Answers a request.
    Response {
        /// The id of the request.
        id: Id,
        /// How it ended.
        outcome: Outcome,
    },
}

/// A message from a client that is strict JSON, a known message of a known version, and says the
/// same as its headers.
#[derive(Debug)]
pub struct Parsed {
    message: Message,
    version: Version,
    mirror: Mirror,
}

impl Parsed {
    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// The protocol version it is spoken in.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The headers that mirror it, for what only the target's schema can check.
    #[must_use]
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The request's id.
    #[must_use]
    pub const fn id(&self) -> Option<&Id> {
        match &self.message {
            Message::Request { id, .. } => Some(id),
            Message::Notification { .. } | Message::Response { .. } => None,
        }
    }

    /// The method of a request or notification.
    #[must_use]
    pub const fn method(&self) -> Option<Method> {
        match &self.message {
            Message::Request { method, .. } | Message::Notification { method, .. } => Some(*method),
            Message::Response { .. } => None,
        }
    }

    /// The same request with other parameters, of which nothing was judged yet. Headers that mirrored a name which is
    /// not called any more say nothing of the one that is.
    pub fn with_params(mut self, params: Json) -> Result<Self, Refusal> {
        if let Message::Request { method, params: own, .. } = &mut self.message {
            params::shape(*method, Some(&params))?;
            let name = |params: Option<&Json>| params.and_then(|params| Some(params.view().get("name")?.as_str()?.into_owned()));
            if name(own.as_ref()) != name(Some(&params)) {
                self.mirror = Mirror::none();
            }
            *own = Some(params);
        }
        Ok(self)
    }

    /// Gives up the message.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }
}

/// A message that was not understood, with what is needed to answer it.
#[derive(Debug)]
pub struct Misread {
    /// The id, where one could be read.
    pub id: Option<Id>,
    /// The era of the answer.
    pub era: Era,
    /// Why.
    pub refusal: Refusal,
}

/// What one body or one line holds.
#[derive(Debug)]
pub enum Arrival {
    /// One message. Boxed: it is much larger than a batch's header.
    One(Box<Result<Parsed, Misread>>),
    /// A batch (2025-03-26 only): each member is judged alone.
    Batch(Vec<Result<Parsed, Misread>>),
}

/// Parses what a client sent. `negotiated` is the version of its session, where there is one.
#[must_use]
pub fn parse(bytes: Bytes, mirror: &Mirror, negotiated: Option<Version>) -> Arrival {
    let json = match strict(bytes) {
        Ok(json) => json,
        Err(refusal) => return one(Err(Misread { id: None, era: era_of(mirror, negotiated), refusal })),
    };
    if json.view().kind() != Kind::Array {
        return one(from_client(&json, mirror, negotiated));
    }
    let version = negotiated.or_else(|| header_version(mirror)).unwrap_or(Version::ASSUMED);
    match batch(&json, version) {
        Ok(items) => Arrival::Batch(items.iter().map(|item| from_client(item, mirror, negotiated)).collect()),
        Err(refusal) => one(Err(Misread { id: None, era: version.era(), refusal })),
    }
}

fn one(result: Result<Parsed, Misread>) -> Arrival {
    Arrival::One(Box::new(result))
}

/// Parses what a server sent: one message, or several where its version has batches.
pub fn parse_server(bytes: Bytes, version: Version) -> Result<Vec<Message>, Refusal> {
    let json = strict(bytes)?;
    let items = if json.view().kind() == Kind::Array { batch(&json, version)? } else { vec![json] };
    items.iter().map(|item| from_server(item, version)).collect()
}

fn strict(bytes: Bytes) -> Result<Json, Refusal> {
    Json::parse(bytes).map_err(|error| {
        let reason = if error.what == Flaw::Depth { DEPTH } else { JSON };
        Refusal::new(reason, error.to_string())
    })
}

fn batch(json: &Json, version: Version) -> Result<Vec<Json>, Refusal> {
    if version != Version::V2025_03_26 {
        return Err(Refusal::new(BATCH, format!("version {version} has no batches")));
    }
    let items: Vec<Json> = json.view().items().take(MAX_BATCH.saturating_add(1)).map(|item| json.share(item)).collect();
    if items.is_empty() || items.len() > MAX_BATCH {
        return Err(Refusal::new(BATCH, format!("a batch holds 1 to {MAX_BATCH} messages")));
    }
    Ok(items)
}

fn header_version(mirror: &Mirror) -> Option<Version> {
    mirror.version.once().and_then(Version::read)
}

fn era_of(mirror: &Mirror, negotiated: Option<Version>) -> Era {
    negotiated.or_else(|| header_version(mirror)).unwrap_or(Version::ASSUMED).era()
}

fn from_server(json: &Json, version: Version) -> Result<Message, Refusal> {
    Envelope::read(json)?.message(Sender::Server, version)
}

fn from_client(json: &Json, mirror: &Mirror, negotiated: Option<Version>) -> Result<Parsed, Misread> {
    let mut era = era_of(mirror, negotiated);
    let mut id = None;
    let parsed = Envelope::read(json).and_then(|envelope| {
        id.clone_from(&envelope.id);
        if envelope.named_version().is_some() {
            era = Era::Modern;
        }
        let version = envelope.version(mirror, negotiated)?;
        era = version.era();
        envelope.confirm(mirror, version)?;
        // Before 2026-07-28 no header mirrors the body, so none can disagree with it.
        let mirror = if version.era() == Era::Modern { mirror.clone() } else { Mirror::none() };
        Ok(Parsed { message: envelope.message(Sender::Client, version)?, version, mirror })
    });
    parsed.map_err(|refusal| Misread { id, era, refusal })
}

/// The members of a message before their meaning is known.
struct Envelope {
    id: Option<Id>,
    method: Option<String>,
    params: Option<Json>,
    outcome: Option<Outcome>,
}

impl Envelope {
    /// Reads the members. One that JSON-RPC does not have is refused: a server that folds case would
    /// take `"Params"` for parameters that were never judged.
    fn read(json: &Json) -> Result<Self, Refusal> {
        let bad = |what: &str| Refusal::new(ENVELOPE, what);
        if json.view().kind() != Kind::Object {
            return Err(bad("not an object"));
        }
        let mut envelope = Self { id: None, method: None, params: None, outcome: None };
        let mut version = false;
        for (key, view) in json.view().members() {
            let value = || json.share(view);
            match &*key {
                "jsonrpc" if view.text() == "\"2.0\"" => version = true,
                "jsonrpc" => return Err(bad("jsonrpc is not \"2.0\"")),
                "id" => envelope.id = Some(Id::read(value()).ok_or_else(|| bad("id is neither string nor integer"))?),
                "method" => envelope.method = Some(view.as_str().ok_or_else(|| bad("method is not a string"))?.into_owned()),
                // `"params": null` is not JSON-RPC, but some clients send it for "none".
                "params" if view.is_null() => {}
                "params" if view.kind() == Kind::Object => envelope.params = Some(value()),
                "params" => return Err(bad("params is not an object")),
                "result" | "error" if envelope.outcome.is_some() => return Err(bad("both result and error")),
                "result" if view.kind() == Kind::Object => envelope.outcome = Some(Outcome::Result(value())),
                "error" if is_error(view) => envelope.outcome = Some(Outcome::Error(value())),
                "result" | "error" => return Err(bad("malformed result or error")),
                _ => return Err(bad("a member that JSON-RPC does not have")),
            }
        }
        if version { Ok(envelope) } else { Err(bad("jsonrpc is missing")) }
    }

    /// Which version a client's message is spoken in.
    fn version(&self, mirror: &Mirror, negotiated: Option<Version>) -> Result<Version, Refusal> {
        let Some(named) = self.named_version() else { return self.unnamed_version(mirror, negotiated) };
        let name = named.as_str().ok_or_else(|| Refusal::new(PARAMS, "the protocol version is not a string"))?;
        // Disagreement is the graver finding: what stands between may have decided on the header.
        if mirror.http && mirror.version.once() != Some(&*name) {
            return Err(Refusal::new(HEADER_MISMATCH, "MCP-Protocol-Version: not what the message says"));
        }
        Version::read(&name).filter(|version| version.era() == Era::Modern).ok_or_else(|| {
            let requested: String = name.chars().take(64).collect();
            Refusal::new(VERSION, "the message names a version that is not spoken this way").echo("requested", Json::string(&requested))
        })
    }

    /// The version that the message itself names, as a modern request does.
    fn named_version(&self) -> Option<View<'_>> {
        self.params.as_ref().and_then(|params| params.view().at(&["_meta", META_VERSION]))
    }

    /// The version of a message that does not name one.
    fn unnamed_version(&self, mirror: &Mirror, negotiated: Option<Version>) -> Result<Version, Refusal> {
        let handshake = self.method.as_deref() == Some(Method::Initialize.name());
        let header = match &mirror.version {
            Header::Once(name) => Version::read(name).map(Some).ok_or_else(|| Refusal::new(VERSION, "unknown version in the header"))?,
            Header::Absent => None,
            Header::Unusable => return Err(Refusal::new(HEADER_MISMATCH, "MCP-Protocol-Version: given twice or not readable")),
        };
        let modern_only = self.method.as_deref().and_then(Method::read).is_some_and(is_modern_only);
        let modern =
            header.is_some_and(|version| version.era() == Era::Modern) || (modern_only && self.id.is_some() && negotiated.is_none());
        match (header, negotiated) {
            _ if modern && self.id.is_some() => Err(Refusal::new(PARAMS, format!("_meta lacks {META_VERSION}"))),
            _ if modern => Ok(Version::NEWEST),
            (Some(header), Some(negotiated)) if header != negotiated && !handshake => {
                Err(Refusal::new(HEADER_MISMATCH, "MCP-Protocol-Version: not the session's version"))
            }
            (_, Some(negotiated)) => Ok(negotiated),
            (Some(header), None) => Ok(header),
            (None, None) if handshake => Ok(Version::NEWEST_LEGACY),
            (None, None) => Ok(Version::ASSUMED),
        }
    }

    /// Checks what a modern request must carry, and its headers.
    fn confirm(&self, mirror: &Mirror, version: Version) -> Result<(), Refusal> {
        let Some(method) = self.method.as_deref().filter(|_| version.era() == Era::Modern && self.id.is_some()) else {
            return Ok(());
        };
        let params = self.params.as_ref().map(Json::view);
        mirror.confirm(version, method, params.and_then(|params| params::mirrored_name(method, params)).as_deref())?;
        let capabilities = params.and_then(|params| params.at(&["_meta", META_CAPABILITIES]));
        if capabilities.is_some_and(|value| value.kind() == Kind::Object) {
            return Ok(());
        }
        Err(Refusal::new(PARAMS, format!("_meta lacks {META_CAPABILITIES}")))
    }

    /// What kind of message it is, when `sender` may send it in `version`.
    fn message(self, sender: Sender, version: Version) -> Result<Message, Refusal> {
        let bad = |what: &str| Refusal::new(ENVELOPE, what);
        match (self.method, self.outcome, self.id) {
            (None, Some(outcome), Some(id)) if self.params.is_none() => Ok(Message::Response { id, outcome }),
            (Some(name), None, id) => {
                let method = Method::read(&name).ok_or_else(|| Refusal::new(METHOD, "not a method of any protocol version"))?;
                if !method.allowed(sender, version) {
                    return Err(Refusal::new(METHOD, format!("a {sender:?} does not send {method} in {version}")));
                }
                params::shape(method, self.params.as_ref())?;
                match (method.form(), id) {
                    (Form::Request, Some(id)) => Ok(Message::Request { id, method, params: self.params }),
                    (Form::Notification, None) => Ok(Message::Notification { method, params: self.params }),
                    (Form::Request, None) => Err(bad("a request without id")),
                    (Form::Notification, Some(_)) => Err(bad("a notification with an id")),
                }
            }
            _ => Err(bad("neither request, notification nor response")),
        }
    }
}

fn is_error(view: View<'_>) -> bool {
    view.get("code").and_then(View::as_i64).is_some() && view.get("message").is_some_and(|message| message.kind() == Kind::String)
}

fn is_modern_only(method: Method) -> bool {
    method.allowed(Sender::Client, Version::NEWEST) && !method.allowed(Sender::Client, Version::NEWEST_LEGACY)
}

#[cfg(test)]
mod tests;
