//! What is looked at before a request becomes a message: where it comes from, what it carries, how
//! large it is.

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_monitor::case::{Caller, Effect};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::IDENTITY_SCOPE;
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::mirror::{Header, Mirror};
use bartizan_monitor::wire::version::{Era, Version};
use bartizan_monitor::wire::{HTTP, MEDIA_TYPE, NOT_ACCEPTABLE, NOT_FOUND, ORIGIN, SIZE};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN as ORIGIN_HEADER};
use http::uri::Authority;
use http::{HeaderMap, request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::clock::Stopwatch;
use crate::config::{Limits, Listen};
use crate::identity::Identity;
use crate::serve::{House, Visit, no_room};
use crate::session::{Endpoint, InterimSender, Talk};
use crate::share::Share;
use crate::traces::Parent;

/// Where a message comes from, since when it is there, and what its headers say that it was made from.
#[derive(Clone, Copy)]
pub(super) struct Whence {
    pub(super) peer: IpAddr,
    pub(super) arrived: Stopwatch,
    pub(super) parent: Option<Parent>,
}

impl Whence {
    pub(super) fn visit(self, talk: &Arc<Talk>, interim: InterimSender) -> Visit<'_> {
        Visit { talk, peer: Some(self.peer), interim, arrived: self.arrived, parent: self.parent }
    }
}

/// Checks `Host`, the request target and `Origin`: a page or a name that is not this gateway's may
/// not speak to it (DNS rebinding; 2025-11-25, transports, security warning).
///
/// `called` is the name that the client called before a proxy took the request; it must be the gateway's, too.
pub(super) fn place(listen: &Listen, parts: &request::Parts, called: Option<&str>) -> Result<(), Refusal> {
    let host = once(&parts.headers, HOST.as_str()).map_err(|what| Refusal::new(HTTP, what))?;
    let host = host.ok_or_else(|| Refusal::new(HTTP, "no Host"))?;
    if let Some(called) = called.filter(|called| !is_own(listen, called)) {
        return Err(Refusal::new(ORIGIN, format!("a proxy was called {called:?}")));
    }
    if !is_own(listen, host) || parts.uri.authority().is_some_and(|authority| !is_own(listen, authority.as_str())) {
        return Err(Refusal::new(ORIGIN, format!("Host {host:?}")));
    }
    let origins: Vec<&HeaderValue> = parts.headers.get_all(ORIGIN_HEADER).iter().collect();
    match origins.as_slice() {
        [] => Ok(()),
        [origin] if origin.to_str().is_ok_and(|origin| is_own_origin(listen, origin, called.unwrap_or(host))) => Ok(()),
        _ => Err(Refusal::new(ORIGIN, format!("Origin {origins:?}"))),
    }
}

/// Whether a page may talk to the gateway: one that was configured, or one that comes from where the request goes.
/// Another port of this machine is another program, whose pages are not ours.
fn is_own_origin(listen: &Listen, origin: &str, host: &str) -> bool {
    if listen.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let port = |authority: &str| authority.parse::<Authority>().ok().and_then(|authority| authority.port_u16());
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|authority| is_own(listen, authority) && port(authority) == port(host))
}

/// Whether an authority names this gateway: loopback when it listens there, its own address, or a
/// configured name.
fn is_own(listen: &Listen, authority: &str) -> bool {
    let Ok(parsed) = authority.parse::<Authority>() else { return false };
    if authority.contains('@') {
        return false;
    }
    let host = parsed.host();
    let configured = |allowed: &String| allowed.eq_ignore_ascii_case(authority) || allowed.eq_ignore_ascii_case(host);
    if listen.allowed_hosts.iter().any(configured) {
        return true;
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    let loopback = listen.address.ip().is_loopback();
    (loopback && host.eq_ignore_ascii_case("localhost"))
        || address.is_ok_and(|address: IpAddr| address == listen.address.ip() || (loopback && address.is_loopback()))
}

/// All values of `Authorization`: more than one is not a credential.
pub(super) fn credentials(headers: &HeaderMap) -> Vec<&[u8]> {
    headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect()
}

/// The endpoint of a path. One that the caller may not see does not exist, unless the scopes that the operator wrote name
/// its server: then clients know of it, and are told what to ask for.
pub(super) fn endpoint(
    path: &str,
    (merged, single): (&Arc<Endpoint>, &[Arc<Endpoint>]),
    caller: &Caller,
    identity: &Identity,
) -> Result<Arc<Endpoint>, Refusal> {
    let unknown = || Refusal::new(NOT_FOUND, format!("path {path:?}"));
    if path == "/mcp" {
        return Ok(merged.clone());
    }
    let name = path.strip_prefix("/mcp/").ok_or_else(unknown)?;
    let found = single.iter().find(|endpoint| endpoint.name.as_deref() == Some(name)).ok_or_else(unknown)?;
    if caller.may_see(name) {
        return Ok(found.clone());
    }
    let scopes = caller.step_up(name, Effect::Read).filter(|_| identity.has_scope_for(name)).ok_or_else(unknown)?;
    Err(Refusal::new(IDENTITY_SCOPE, format!("{} may not see {name}", caller.principal())).echo("scope", Json::string(scopes)))
}

/// A header that may be given once.
pub(super) fn once<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| format!("{name} is not readable")),
        (Some(_), Some(_)) => Err(format!("{name} is given twice")),
    }
}

/// The span of somebody else that a request says it was made from, by W3C Trace Context. Two of them are none.
pub(super) fn parent(headers: &HeaderMap) -> Option<Parent> {
    once(headers, "traceparent").ok().flatten().and_then(Parent::read)
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Header {
    match once(headers, name.as_str()) {
        Ok(None) => Header::Absent,
        Ok(Some(value)) => Header::Once(value.to_owned()),
        Err(_) => Header::Unusable,
    }
}

/// The headers that mirror the message.
pub(super) fn mirror(headers: &HeaderMap) -> Mirror {
    let named = |name: &'static str| header(headers, &HeaderName::from_static(name));
    let params = headers.keys().filter_map(|name| Some((name.as_str().strip_prefix("mcp-param-")?.to_owned(), header(headers, name))));
    Mirror {
        http: true,
        version: named("mcp-protocol-version"),
        method: named("mcp-method"),
        name: named("mcp-name"),
        params: params.collect(),
    }
}

/// Whether a request says that it belongs to the modern era.
pub(super) fn is_modern(headers: &HeaderMap) -> bool {
    once(headers, "mcp-protocol-version").ok().flatten().and_then(Version::read).is_some_and(|version| version.era() == Era::Modern)
}

/// Whether the client takes this media type.
pub(super) fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let family = kind.split('/').next().unwrap_or_default();
    let takes = |range: &str| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence == "*/*"
            || essence.eq_ignore_ascii_case(kind)
            || essence.strip_suffix("/*").is_some_and(|own| own.eq_ignore_ascii_case(family))
    };
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(takes)
}

/// What a POST must say of itself.
pub(super) fn postable(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") || headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::new(MEDIA_TYPE, format!("Content-Type {kind:?}")));
    }
    if accepts(headers, "application/json") && accepts(headers, "text/event-stream") {
        return Ok(());
    }
    Err(Refusal::new(NOT_ACCEPTABLE, format!("Accept {:?}", headers.get(ACCEPT))))
}

/// Room for a body: all of it when its length is said, and otherwise as it comes.
pub(super) fn room(house: &House, caller: &Caller, body: &Incoming) -> Result<Share<Arc<str>>, Refusal> {
    let most = house.settings.limits.message_bytes;
    let declared = hyper::body::Body::size_hint(body).exact().unwrap_or_default();
    let declared = usize::try_from(declared).ok().filter(|size| *size <= most);
    let declared = declared.ok_or_else(|| Refusal::new(SIZE, format!("a body of more than {most} bytes")))?;
    house.places.body(caller.principal(), declared)
}

/// Reads a body, as far as one may be long and as long as one may take.
pub(super) async fn collect(body: Incoming, limits: &Limits, room: &mut Share<Arc<str>>) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(limits.body_timeout, frames(body, limits.message_bytes, room)).await;
    read.unwrap_or_else(|_| Err(Refusal::new(HTTP, "the body took too long")))
}

async fn frames(mut body: Incoming, most: usize, room: &mut Share<Arc<str>>) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(HTTP, error.to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len().saturating_add(data.len()) > most {
            return Err(Refusal::new(SIZE, format!("a body of more than {most} bytes")));
        }
        room.grow(whole.len().saturating_add(data.len())).map_err(no_room)?;
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}
