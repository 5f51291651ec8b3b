//! Where a request comes from, when reverse proxies stand before the gateway (RFC 7239, and the `X-Forwarded-*` that
//! came before it).
//!
//! Threat: everybody can write these headers. What stands there is believed when one of the configured proxies holds the
//! other end of the connection, and then only as far as a chain of them reaches: from the right, up to the first address
//! that is none of theirs. What a proxy says of a client's certificate is never believed: no header proves who holds a key.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{IDENTITY_CLEARTEXT, SERVE_SHARE};
use bartizan_monitor::wire::HTTP;
use http::HeaderMap;

use super::door;
use crate::config::{Cleartext, Listen, Subnet};
use crate::identity::{Certificate, Place};
use crate::share::{Share, Shares, household};

/// How many hops are looked at.
const MAX_HOPS: usize = 32;

/// Headers of proxies and tunnels, beside all that begin with `x-forwarded-`: who sends one is not alone.
const TRACES: [&str; 6] = ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"];

/// The connection that requests come over.
#[derive(Debug)]
pub struct Line {
    /// Who holds its other end; an IPv4 address is one, however it was written.
    pub peer: IpAddr,
    /// The client's certificate, which TLS found to be good.
    pub certificate: Option<Arc<Certificate>>,
    /// What clients behind proxies have running, by the household of their address.
    pub behind: Arc<Shares<IpAddr>>,
}

impl Line {
    /// The certificate of whoever asks. That of a proxy is not its clients': it would make one caller of them all.
    pub(super) fn certificate(&self, through: Through) -> Option<&Arc<Certificate>> {
        match through {
            Through::Nobody => self.certificate.as_ref(),
            Through::Proxy => None,
        }
    }

    /// Room for a request of a client behind a proxy, whose connections nobody here can count.
    pub(super) fn share(&self, client: IpAddr) -> Result<Share<IpAddr>, Refusal> {
        self.behind.take(&household(client), 1).map_err(|_| Refusal::new(SERVE_SHARE, "limits.connections_per_address").retry_after(1000))
    }
}

/// Where a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Who asks, as far as can be known.
    pub(super) peer: IpAddr,
    /// Whether a proxy stands between.
    pub(super) through: Through,
    /// The name that the client called, as the proxy heard it.
    pub(super) host: Option<String>,
    /// Whether it can only be a program of this machine.
    pub(super) place: Place,
}

/// The way that a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// Straight from the client.
    Nobody,
    /// Through a proxy that is believed.
    Proxy,
}

/// One hop, as a proxy wrote it down.
#[derive(Debug, Default)]
struct Hop {
    node: Option<IpAddr>,
    scheme: Option<String>,
    host: Option<String>,
}

fn bad(what: impl Into<String>) -> Refusal {
    Refusal::new(HTTP, what)
}

/// Finds out where a request comes from. Refuses what a proxy says and cannot be read, what two headers say
/// differently, and what reached a proxy without TLS.
pub(super) fn origin(listen: &Listen, connected: IpAddr, headers: &HeaderMap) -> Result<Origin, Refusal> {
    let trusted = |address: IpAddr| listen.proxies.iter().any(|proxy: &Subnet| proxy.holds(address));
    if !trusted(connected) {
        let alone = connected.is_loopback() && !headers.keys().any(|name| is_trace(name.as_str()));
        let place = if alone { Place::ThisMachine } else { Place::Elsewhere };
        return Ok(Origin { peer: connected, through: Through::Nobody, host: None, place });
    }
    let (standard, usual) = (client(standard(headers)?, trusted), client(usual(headers)?, trusted));
    let hop = match (standard, usual) {
        (Some(standard), Some(usual)) if standard.node != usual.node => {
            return Err(bad("Forwarded and X-Forwarded-For name different clients: let the proxy drop the one that it does not write"));
        }
        (Some(hop), _) | (None, Some(hop)) => hop,
        (None, None) => Hop { node: Some(connected), ..Hop::default() },
    };
    let peer = hop.node.ok_or_else(|| bad("a proxy says that it does not know where the request comes from"))?;
    let said = door::once(headers, "x-forwarded-host").map_err(bad)?.map(|host| host.trim().to_ascii_lowercase());
    if hop.host.is_some() && said.is_some() && hop.host != said {
        return Err(bad("Forwarded and X-Forwarded-Host name different hosts"));
    }
    if listen.cleartext == Cleartext::Local {
        enciphered((peer, connected), [hop.scheme.as_deref(), scheme(headers)?.as_deref()])?;
    }
    Ok(Origin { peer, through: Through::Proxy, host: hop.host.or(said), place: Place::Elsewhere })
}

fn is_trace(name: &str) -> bool {
    name.starts_with("x-forwarded-") || TRACES.contains(&name)
}

/// Refuses what reached a proxy without TLS. A proxy elsewhere has to say that there was TLS: one that says nothing may
/// take anything, and from there no client is on this machine. One on this machine may have clients beside it.
fn enciphered((peer, connected): (IpAddr, IpAddr), said: [Option<&str>; 2]) -> Result<(), Refusal> {
    let clear = |what: &str| Err(Refusal::new(IDENTITY_CLEARTEXT, format!("{peer} by the proxy {connected}: {what}")));
    let is_tls = |scheme: &str| scheme.eq_ignore_ascii_case("https");
    let mut said = said.into_iter().flatten().peekable();
    match (connected.is_loopback(), peer.is_loopback()) {
        (true, true) => return Ok(()),
        (false, true) => return clear("a loopback address is none that it could be asked from"),
        (false, false) if said.peek().is_none() => return clear("it does not say whether there was TLS"),
        (true | false, false) => {}
    }
    if said.all(is_tls) { Ok(()) } else { clear("there was no TLS") }
}

/// What `X-Forwarded-Proto` says: `https` when all of it does, else the first thing that is something else.
fn scheme(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut last = None;
    for value in headers.get_all("x-forwarded-proto") {
        for one in value.to_str().map_err(|_| bad("X-Forwarded-Proto is not readable"))?.split(',').map(str::trim) {
            if !one.eq_ignore_ascii_case("https") {
                return Ok(Some(one.to_owned()));
            }
            last = Some(one.to_owned());
        }
    }
    Ok(last)
}

/// The hop nearest to us that is not one of the proxies; when all are, the first of them.
fn client(hops: Vec<Hop>, trusted: impl Fn(IpAddr) -> bool) -> Option<Hop> {
    let last = hops.iter().rposition(|hop| hop.node.is_none_or(|node| !trusted(node))).unwrap_or_default();
    hops.into_iter().nth(last)
}

/// `X-Forwarded-For`, all lines of it.
fn usual(headers: &HeaderMap) -> Result<Vec<Hop>, Refusal> {
    let mut hops = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        let text = value.to_str().map_err(|_| bad("X-Forwarded-For is not readable"))?;
        hops.extend(text.split(',').map(|text| Hop { node: node(text.trim()), ..Hop::default() }));
    }
    bounded(hops)
}

/// `Forwarded`, all lines of it.
fn standard(headers: &HeaderMap) -> Result<Vec<Hop>, Refusal> {
    let mut hops = Vec::new();
    for value in headers.get_all("forwarded") {
        let unreadable = || bad("Forwarded is not as RFC 7239 has it");
        let text = value.to_str().map_err(|_| unreadable())?;
        for element in outside_quotes(text, ',').ok_or_else(unreadable)? {
            hops.push(hop(element).ok_or_else(unreadable)?);
        }
    }
    bounded(hops)
}

fn bounded(hops: Vec<Hop>) -> Result<Vec<Hop>, Refusal> {
    if hops.len() <= MAX_HOPS { Ok(hops) } else { Err(bad(format!("more than {MAX_HOPS} hops"))) }
}

/// One element of `Forwarded`. A parameter that is given twice could be read in two ways.
fn hop(element: &str) -> Option<Hop> {
    let (mut hop, mut seen) = (Hop::default(), Vec::new());
    for pair in outside_quotes(element, ';')? {
        let (name, value) = pair.trim().split_once('=')?;
        let (name, value) = (name.to_ascii_lowercase(), unquoted(value)?);
        match name.as_str() {
            "for" => hop.node = node(&value),
            "proto" => hop.scheme = Some(value),
            "host" => hop.host = Some(value.to_ascii_lowercase()),
            _ => {}
        }
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(hop)
}

/// The parts of a text between separators that stand in no quotes; `None` when a quote is not closed.
fn outside_quotes(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|symbol: char| {
            let splits = symbol == separator && !quoted;
            if symbol == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && symbol == '\\' && !escaped;
            splits
        })
        .collect();
    (!quoted).then_some(parts)
}

/// A token, or what stands between quotes; nothing that is quoted needs a backslash here.
fn unquoted(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    (!inner.is_empty() && !inner.contains(['"', '\\'])).then(|| inner.to_owned())
}

/// An address with or without a port. Names that proxies make up (`unknown`, `_hidden`) are none.
fn node(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).or_else(bare)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::OpenTo;

    fn listen(cleartext: Cleartext) -> Listen {
        Listen {
            address: (Ipv4Addr::LOCALHOST, 7300).into(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            tls: None,
            proxies: ["10.0.0.0/8", "2001:db8::/32", "127.0.0.2"].map(|text| Subnet::read(text).expect(text)).into(),
            open_to: OpenTo::Everybody,
            cleartext,
        }
    }

    /// What comes of `Name: value` lines on a connection from there: the peer and host, or the reason.
    fn seen(cleartext: Cleartext, connected: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header");
            headers.append(name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"));
        }
        match origin(&listen(cleartext), connected.parse().expect("an address"), &headers) {
            Ok(origin) => format!("{} {}", origin.peer, origin.host.unwrap_or_default()).trim().to_owned(),
            Err(refusal) => refusal.reason.to_string(),
        }
    }

    #[test]
    fn only_proxies_are_believed_and_only_as_far_as_they_reach() {
        let rows: &[(&str, &[&str], &str)] = &[
            ("192.0.2.1", &["X-Forwarded-For: 198.51.100.7", "Forwarded: for=198.51.100.7;host=evil"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
            // What the client wrote itself stands to the left of what the proxy heard.
            ("10.0.0.1", &["X-Forwarded-For: 127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 198.51.100.7, 10.2.0.1"], "198.51.100.7"),
            ("10.0.0.1", &["X-Forwarded-For: 10.9.9.9, 10.2.0.1"], "10.9.9.9"),
            ("10.0.0.1", &["X-Forwarded-For: ::ffff:198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7, unknown"], "wire.http"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7,"], "wire.http"),
            ("10.0.0.1", &["X-Forwarded-For: nonsense, 198.51.100.7"], "198.51.100.7"),
            (
                "2001:db8::1",
                &["Forwarded: for=\"[2001:dead::7]:4711\";proto=https;host=\"MCP.example.com\""],
                "2001:dead::7 mcp.example.com",
            ),
            ("10.0.0.1", &["Forwarded: for=192.0.2.9, FOR=198.51.100.7;by=_x, for=10.0.0.2;host=inner"], "198.51.100.7"),
            ("10.0.0.1", &["Forwarded: for=\"_a,for=192.0.2.9\", for=198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["Forwarded: for=_hidden"], "wire.http"),
            ("10.0.0.1", &["Forwarded: for=192.0.2.9;for=198.51.100.7"], "wire.http"),
            ("10.0.0.1", &["Forwarded: for=\"192.0.2.9"], "wire.http"),
            ("10.0.0.1", &["Forwarded: for=\"192.0.2.9\\\""], "wire.http"),
            ("10.0.0.1", &["Forwarded: for=192.0.2.9", "X-Forwarded-For: 198.51.100.7"], "wire.http"),
            ("10.0.0.1", &["Forwarded: for=198.51.100.7", "X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: a", "X-Forwarded-Host: b"], "wire.http"),
            ("10.0.0.1", &["Forwarded: for=198.51.100.7;host=a", "X-Forwarded-Host: b"], "wire.http"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: http"], "198.51.100.7"),
        ];
        for (connected, lines, expected) in rows {
            assert_eq!(seen(Cleartext::Anywhere, connected, lines), *expected, "{connected} {lines:?}");
        }
        let many = format!("X-Forwarded-For: {}", ["10.0.0.2"; MAX_HOPS + 1].join(", "));
        assert_eq!(seen(Cleartext::Anywhere, "10.0.0.1", &[&many]), "wire.http");
    }

    #[test]
    fn a_proxy_elsewhere_has_to_say_that_there_was_tls() {
        let rows: &[(&str, &[&str], &str)] = &[
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"], "198.51.100.7"),
            ("10.0.0.1", &["Forwarded: for=198.51.100.7;proto=HTTPS"], "198.51.100.7"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7"], "identity.cleartext"),
            ("10.0.0.1", &["Forwarded: for=198.51.100.7"], "identity.cleartext"),
            ("10.0.0.1", &[], "identity.cleartext"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: http"], "identity.cleartext"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https, http"], "identity.cleartext"),
            ("10.0.0.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], "identity.cleartext"),
            ("10.0.0.1", &["Forwarded: for=198.51.100.7;proto=http"], "identity.cleartext"),
            ("10.0.0.1", &["Forwarded: for=198.51.100.7;proto=http", "X-Forwarded-Proto: https"], "identity.cleartext"),
            ("10.0.0.1", &["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https"], "identity.cleartext"),
            ("10.0.0.1", &["Forwarded: for=\"[::1]\";proto=http"], "identity.cleartext"),
            ("127.0.0.2", &["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"], "127.0.0.1"),
            ("127.0.0.2", &["X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.2", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: http"], "identity.cleartext"),
        ];
        for (connected, lines, expected) in rows {
            assert_eq!(seen(Cleartext::Local, connected, lines), *expected, "{connected} {lines:?}");
        }
    }

    fn line() -> Line {
        Line {
            peer: Ipv4Addr::LOCALHOST.into(),
            certificate: Some(Arc::new(Certificate::read(b"of a proxy"))),
            behind: Shares::new(usize::MAX, 1),
        }
    }

    #[test]
    fn the_certificate_of_a_proxy_is_nobodys_behind_it() {
        let line = line();
        assert!(line.certificate(Through::Nobody).is_some() && line.certificate(Through::Proxy).is_none());
    }

    #[test]
    fn behind_a_proxy_a_network_of_ipv6_has_one_share() {
        let line = line();
        let share = |address: &str| line.share(address.parse().expect("an address"));
        let _held = share("2001:dead::1").expect("the first");
        assert!(share("2001:dead::2").is_err() && share("2001:dead:0:1::1").is_ok());
    }

    #[test]
    fn a_program_of_this_machine_comes_through_nobody() {
        let place = |connected: &str, name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("x"));
            origin(&listen(Cleartext::Local), connected.parse().expect("an address"), &headers).expect("nobody is believed").place
        };
        assert_eq!((place("127.0.0.1", "accept"), place("::1", "accept")), (Place::ThisMachine, Place::ThisMachine));
        assert_eq!(place("192.0.2.1", "accept"), Place::Elsewhere);
        for name in TRACES.into_iter().chain(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-client-cert"]) {
            assert_eq!(place("127.0.0.1", name), Place::Elsewhere, "{name}");
        }
    }
}
