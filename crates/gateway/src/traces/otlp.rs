//! Spans as a collector takes them: OTLP 1.x, JSON (`ExportTraceServiceRequest`). Names of attributes are OpenTelemetry's
//! for MCP (semantic conventions, gen-ai/mcp) where it has one, else they begin with `bartizan.`.

use std::fmt::Write as _;

use bartizan_monitor::wire::json::Json;

use super::{SpanId, Told, Waited};
use crate::metrics::Outcome;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// One document for all of them.
pub(super) fn encode(spans: &[Told]) -> Json {
    let all = spans.iter().flat_map(|told| [Some(whole(told)), told.waited.as_ref().map(|waited| upstream(told, waited))]);
    let scope = Json::object([("name", Json::string("bartizan")), ("version", Json::string(env!("CARGO_PKG_VERSION")))]);
    let scoped = Json::object([("scope", scope), ("spans", Json::array(all.flatten()))]);
    let service = attributes([("service.name", Some("bartizan".into())), ("service.version", Some(env!("CARGO_PKG_VERSION").into()))]);
    let resource = Json::object([("attributes", service)]);
    Json::object([("resourceSpans", Json::array([Json::object([("resource", resource), ("scopeSpans", Json::array([scoped]))])]))])
}

/// The call: since its head was read (over stdio, its line), until its answer was ready to be written.
fn whole(told: &Told) -> Json {
    let failed = matches!(told.outcome, Outcome::Refused | Outcome::Failed);
    let attributes = attributes([
        ("mcp.method.name", Some(method(told).to_owned())),
        ("gen_ai.tool.name", told.tool.as_deref().map(str::to_owned)),
        ("error.type", told.reason.map(str::to_owned)),
        ("bartizan.call", Some(format!("{:016x}", told.call))),
        ("bartizan.server", told.server.as_deref().map(str::to_owned)),
        ("bartizan.effect", told.effect.map(|effect| effect.name().to_owned())),
        ("bartizan.outcome", Some(told.outcome.name().to_owned())),
    ]);
    let name = match &told.tool {
        Some(tool) => format!("{} {tool}", method(told)),
        None => method(told).to_owned(),
    };
    let mut members = span(told, (told.id, told.parent), (&name, SERVER), (told.began_us, told.took_us));
    members.push(("attributes", attributes));
    if failed {
        members.push(("status", Json::object([("code", Json::number(ERROR))])));
    }
    Json::object(members)
}

/// The part of it during which the server was waited for.
fn upstream(told: &Told, waited: &Waited) -> Json {
    let server = ("bartizan.server", told.server.as_deref().map(str::to_owned));
    let mut members = span(told, (waited.id, Some(told.id)), (method(told), CLIENT), (waited.began_us, waited.took_us));
    members.push(("attributes", attributes([("mcp.method.name", Some(method(told).to_owned())), server])));
    Json::object(members)
}

/// What was not understood has no name that is known.
fn method(told: &Told) -> &'static str {
    told.method.map_or("unknown", |method| method.name())
}

fn span(
    told: &Told,
    (id, parent): (SpanId, Option<SpanId>),
    (name, kind): (&str, u64),
    (began_us, took_us): (u64, u64),
) -> Vec<(&'static str, Json)> {
    let at = |us: u64| Json::string(&format!("{us}000"));
    let mut members = vec![
        ("traceId", hex(&told.trace.0)),
        ("spanId", hex(&id.0)),
        ("name", Json::string(name)),
        ("kind", Json::number(kind)),
        ("startTimeUnixNano", at(began_us)),
        ("endTimeUnixNano", at(began_us.saturating_add(took_us))),
    ];
    members.extend(parent.map(|parent| ("parentSpanId", hex(&parent.0))));
    members
}

fn attributes(known: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Json {
    let one = |(key, value): (&str, Option<String>)| {
        let value = Json::object([("stringValue", Json::string(&value?))]);
        Some(Json::object([("key", Json::string(key)), ("value", value)]))
    };
    Json::array(known.into_iter().filter_map(one))
}

fn hex(bytes: &[u8]) -> Json {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // A string takes all that is written.
        let _ = write!(text, "{byte:02x}");
    }
    Json::string(&text)
}
