//! The wire: strict JSON, the JSON-RPC envelope, protocol versions and methods, server-sent events,
//! and the one place that turns a refusal into numbers.

pub mod canonical;
pub mod envelope;
pub mod json;
pub mod method;
pub mod mirror;
pub mod refusal;
pub mod sse;
pub mod version;

use crate::reason::{Class, reasons};

reasons! {
    JSON = "wire.json", Class::NotJson,
        "The message is not strict JSON.",
        "Not JSON as RFC 8259 has it, or JSON that two parsers read differently: duplicate keys, invalid UTF-8, lone surrogates, numbers out of range, trailing bytes.",
        "Fix the sender. The detail in the journal names the byte.";
    DEPTH = "wire.depth", Class::NotJson,
        "The message is nested too deeply.",
        "More than 128 levels of nesting; deep nesting exhausts parsers.",
        "Fix the sender.";
    SIZE = "wire.size", Class::TooLarge,
        "The message is too large.",
        "More bytes than one message may have.",
        "Send less, or raise `limits.message_bytes`.";
    ENVELOPE = "wire.envelope", Class::Invalid,
        "The message is not a valid JSON-RPC 2.0 message.",
        "A member is missing, has the wrong type, or is not one that JSON-RPC knows. Members are compared exactly; a look-alike is not an alternative spelling.",
        "Fix the sender.";
    BATCH = "wire.batch", Class::Invalid,
        "Batches are not part of this protocol version.",
        "An array came where only protocol version 2025-03-26 allows one, or it was empty or too long.",
        "Send one message at a time.";
    PARAMS = "wire.params", Class::Params,
        "The parameters are not valid for this method.",
        "A parameter that the method needs is missing or has the wrong type.",
        "Compare the call with the protocol schema of its version.";
    HEADER_MISMATCH = "wire.header-mismatch", Class::HeaderMismatch,
        "The HTTP headers and the message disagree.",
        "Headers that mirror the message (version, method, name, parameters) must say the same as the message, or somebody on the way decides on another call than the server executes.",
        "Fix the client, or whatever stands between it and the gateway.";
    VERSION = "wire.version", Class::Version,
        "This protocol version is not supported.",
        "The message names a protocol version that the gateway does not speak.",
        "The answer lists the supported versions.";
    METHOD = "wire.method", Class::Method,
        "Unknown method.",
        "The method is not known, is not one that this side may send, or is not part of this protocol version. Unknown extensions are refused, not guessed.",
        "Check the spelling and the protocol version.";
    ORIGIN = "wire.origin", Class::Origin,
        "Requests from this place are not accepted.",
        "`Host` or `Origin` names a place that is not this gateway: the sign of DNS rebinding or of a web page that talks to a local port.",
        "If the place is legitimate, add it to `listen.allowed_hosts` or `listen.allowed_origins`.";
    HTTP = "wire.http", Class::Http(400),
        "The HTTP request is not valid.",
        "The request has a method, path, media type or framing that has no meaning here.",
        "POST JSON to /mcp with `Content-Type: application/json`.";
    NOT_FOUND = "wire.not-found", Class::Http(404),
        "No such endpoint.",
        "The path is neither /mcp nor /mcp/NAME of a configured server.",
        "Check the URL.";
    HTTP_METHOD = "wire.http-method", Class::Http(405),
        "This HTTP method is not available here.",
        "The endpoint takes POST, and in a session also GET and DELETE.",
        "Use POST.";
    MEDIA_TYPE = "wire.media-type", Class::Http(415),
        "Send JSON.",
        "The body's media type is not application/json, or it is encoded.",
        "Send `Content-Type: application/json` and no `Content-Encoding`.";
    NOT_ACCEPTABLE = "wire.not-acceptable", Class::Http(406),
        "The client must accept application/json and text/event-stream.",
        "The transport may answer with either, so a client must accept both.",
        "Send `Accept: application/json, text/event-stream`.";
    UNSOLICITED = "wire.unsolicited", Class::Invalid,
        "No such request is waiting for an answer.",
        "A response to a request that was never sent, or was answered already.",
        "Fix the sender.";
    ID_IN_USE = "wire.id-in-use", Class::Invalid,
        "A request with this id is still running.",
        "Ids must be unique among the running requests of a session.",
        "Fix the client.";
}
