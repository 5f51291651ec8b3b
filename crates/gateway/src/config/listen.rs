//! `[listen]` and `[[clients]]`: where the gateway listens, whom it believes on the way, and who comes in without a token.

pub(super) mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_monitor::case::{Effect, Reach};
use toml::Spanned;
use url::Url;

use super::judge::{PlainHttp, is_label};
use super::problem::Problems;

const PORT: u16 = 7300;

/// Where `serve` listens, and who may come from where.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// Values of `Host`, beside those of this machine, lower case, with or without a port.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin`, lower case: `https://example.com`.
    pub allowed_origins: Vec<String>,
    /// The keys of its own TLS; without it, it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Reverse proxies: what they say of where a request comes from is believed, and nobody else's word is.
    pub proxies: Vec<Subnet>,
    /// Who may connect at all.
    pub open_to: OpenTo,
    /// What proxies may pass on that reached them without TLS.
    pub cleartext: Cleartext,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTo {
    /// Whoever can.
    Everybody,
    /// The reverse proxies alone: there is no TLS, so that the way of everybody else would be in clear text.
    Proxies,
}

/// Whether requests are taken that reached a proxy without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleartext {
    /// From this machine only.
    Local,
    /// From everywhere. Only `dangerous` can say so.
    Anywhere,
}

/// The files of the gateway's own TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those between it and what clients trust.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// How clients show certificates; without it they are not asked for any.
    pub clients: Option<ClientAuthority>,
}

/// Who vouches for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuthority {
    /// The authorities that client certificates must come from.
    pub ca: PathBuf,
    /// The certificates that these have taken back.
    pub crl: Option<PathBuf>,
    /// Whether a client must have one.
    pub wanted: Wanted,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Nobody connects without.
    Required,
    /// A client that has none can show another credential.
    Offered,
}

/// Who comes in without a token.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    /// Clients by the name in their certificate, as [`Entry`] spells it.
    pub certificates: BTreeMap<String, Entry>,
    /// Programs of this machine that show no credential, where they are let in. Only on a loopback address.
    pub anonymous: Option<Entry>,
}

/// Somebody who is known by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the operator calls it.
    pub label: String,
    /// What it is good for.
    pub reach: Reach,
    /// The environment that it is for, where that is another than the configuration's.
    pub elsewhere: Option<String>,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: IpAddr,
    length: u32,
}

impl Subnet {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits beyond the length are none, so that nobody believes in a
    /// smaller range than was written.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (base, length) = text.split_once('/').map_or((text, None), |(base, length)| (base, Some(length)));
        let base: IpAddr = base.parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let plain = |text: &&str| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let length =
            length.map_or(Some(most), |length| Some(length).filter(plain)?.parse().ok().filter(|length| (1..=most).contains(length)))?;
        let subnet = Self { base, length };
        (subnet.masked(base) == bits(base)).then_some(subnet)
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.base.is_ipv4() && self.masked(address) == bits(self.base)
    }

    fn masked(self, address: IpAddr) -> u128 {
        let width: u32 = if self.base.is_ipv4() { 32 } else { 128 };
        let shift = width.saturating_sub(self.length);
        bits(address).checked_shr(shift).and_then(|bits| bits.checked_shl(shift)).unwrap_or_default()
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(Ipv4Addr::to_bits(address)),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

/// What judging needs to know beside what was written.
pub(super) struct Ground<'a> {
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// Whether plain HTTP may leave this machine.
    pub(super) plain: PlainHttp,
    /// The names of the servers.
    pub(super) servers: &'a BTreeSet<String>,
    /// Which environment this is.
    pub(super) environment: Option<&'a str>,
}

impl Ground<'_> {
    /// Judges `[listen]` and `[[clients]]`.
    pub(super) fn judge(
        &self,
        written: written::Listen,
        clients: Vec<Spanned<written::Client>>,
        problems: &mut Problems,
    ) -> (Listen, Clients) {
        let usual = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
        let at = written.address.as_ref().map(Spanned::span);
        let address = written.address.map_or(usual, Spanned::into_inner);
        let tls = written.tls.and_then(|written| self.tls(written, problems));
        let proxies = proxies(written.proxies, problems);
        let beyond = !address.ip().is_loopback();
        let open_to = if beyond && tls.is_none() && self.plain == PlainHttp::Loopback { OpenTo::Proxies } else { OpenTo::Everybody };
        if open_to == OpenTo::Proxies && proxies.is_empty() {
            let what = format!("{address} is not an address of this machine alone, and without TLS tokens would travel in clear text");
            let help = "add `[listen.tls]` with `certificate` and `key`, or name the TLS proxies in front in `listen.proxies`: nobody else gets a connection then; `dangerous.plain_http_beyond_loopback = true` accepts the risk";
            problems.add(at.clone(), what, help);
        }
        let mut known = Clients::default();
        if let Some(anonymous) = written.anonymous {
            if beyond {
                let help = "listen on 127.0.0.1, or give every client a token: `bartizan token issue --label NAME`";
                problems.add(Some(anonymous.span()), "only programs of this machine can be let in without a credential", help);
            }
            known.anonymous = self.anonymous(anonymous, problems);
        }
        let certificates = tls.as_ref().is_some_and(|tls| tls.clients.is_some());
        for client in clients {
            self.client(client, (&mut known, certificates), problems);
        }
        let hosts = "a host is a name or an address, with or without a port: \"mcp.example.com\"";
        let origins = "an origin is a scheme and a host, without a path: \"https://app.example.com\"";
        let cleartext = if self.plain == PlainHttp::Anywhere { Cleartext::Anywhere } else { Cleartext::Local };
        let allowed_hosts = places(written.allowed_hosts, host, hosts, problems);
        let allowed_origins = places(written.allowed_origins, origin, origins, problems);
        (Listen { address, allowed_hosts, allowed_origins, tls, proxies, open_to, cleartext }, known)
    }

    /// Judges the files of a TLS of its own.
    pub(super) fn tls(&self, written: Spanned<written::Tls>, problems: &mut Problems) -> Option<Tls> {
        let at = written.span();
        let written = written.into_inner();
        let mut path = |written: Option<Spanned<PathBuf>>, key: &str| {
            if written.is_none() {
                problems.add(Some(at.clone()), format!("`{key}` is missing"), "certificate = \"server.pem\", key = \"server.key\"");
            }
            written.map(|path| self.base.join(path.into_inner()))
        };
        let (certificate, key) = (path(written.certificate, "certificate"), path(written.key, "key"));
        let stray = [written.client_crl.as_ref().map(Spanned::span), written.clients.as_ref().map(Spanned::span)];
        if written.client_ca.is_none() {
            for at in stray.into_iter().flatten() {
                problems.add(Some(at), "without `client_ca` no client is asked for a certificate", "client_ca = \"clients.pem\"");
            }
        }
        let clients = written.client_ca.map(|ca| ClientAuthority {
            ca: self.base.join(ca.into_inner()),
            crl: written.client_crl.map(|crl| self.base.join(crl.into_inner())),
            wanted: written.clients.map_or(Wanted::Required, Spanned::into_inner),
        });
        Some(Tls { certificate: certificate?, key: key?, clients })
    }

    fn reach(&self, servers: Option<Vec<Spanned<String>>>, most: Effect, problems: &mut Problems) -> Reach {
        let Some(named) = servers else { return Reach { servers: None, most } };
        for server in named.iter().filter(|server| !self.servers.contains(server.get_ref())) {
            problems.add(Some(server.span()), format!("there is no server {:?}", server.get_ref()), "");
        }
        Reach { servers: Some(Arc::new(named.into_iter().map(Spanned::into_inner).collect())), most }
    }

    fn anonymous(&self, written: Spanned<written::Anonymous>, problems: &mut Problems) -> Option<Entry> {
        let at = written.span();
        let written = written.into_inner();
        if written.servers.is_none() {
            let help = "anonymous = { servers = [\"docs\"] }";
            problems.add(Some(at.clone()), "`servers` is missing: who shows nothing gets what is named, and no more", help);
        }
        // Whoever is nobody reads, unless somebody wrote more.
        let reach = self.reach(written.servers, written.effect.unwrap_or(Effect::Read), problems);
        Some(Entry { label: label(written.label, &at, Some("anyone"), problems)?, reach, elsewhere: None })
    }

    fn client(&self, written: Spanned<written::Client>, (known, asked): (&mut Clients, bool), problems: &mut Problems) {
        let at = written.span();
        let written = written.into_inner();
        if !asked {
            let help = "[listen.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"clients.pem\"";
            problems.add(Some(at.clone()), "nobody can come with this certificate: clients are not asked for any", help);
        }
        let reach = self.reach(written.servers, written.effect.unwrap_or(Effect::Destructive), problems);
        let label = label(written.label, &at, None, problems);
        let environment = written.environment.map(Spanned::into_inner);
        let elsewhere = environment.filter(|own| Some(own.as_str()) != self.environment);
        let help = "certificate = \"spiffe://example.com/agent\"; others: \"dns:agent.example.com\", \"email:agent@example.com\"";
        let Some(name) = written.certificate else {
            problems.add(Some(at), "`certificate` is missing", help);
            return;
        };
        let place = name.span();
        let Some(name) = certificate_name(name.get_ref()) else {
            problems.add(Some(place), format!("{:?} is not a name that a certificate can have", name.get_ref()), help);
            return;
        };
        let Some(label) = label else { return };
        if known.certificates.insert(name, Entry { label, reach, elsewhere }).is_some() {
            problems.add(Some(place), "this certificate is configured twice", "");
        }
    }
}

fn label(written: Option<Spanned<String>>, at: &Range<usize>, usual: Option<&str>, problems: &mut Problems) -> Option<String> {
    let Some(written) = written else {
        if usual.is_none() {
            problems.add(Some(at.clone()), "`label` is missing", "label = \"build-agent\"");
        }
        return usual.map(str::to_owned);
    };
    if !is_label(written.get_ref()) {
        let help = "a label is 1 to 64 of letters, digits, `.`, `_`, `@` and `-`, and begins with a letter or digit";
        problems.add(Some(written.span()), format!("{:?} cannot be a label", written.get_ref()), help);
    }
    Some(written.into_inner())
}

/// How a name in a certificate is spelled in the configuration, in policies and in records, if it can be one: a URI with
/// an authority as it is, `dns:NAME`, `email:ADDRESS`. No name of one kind looks like one of another.
#[must_use]
pub fn certificate_name(text: &str) -> Option<String> {
    let plain = text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['#', '"', '\\']);
    let text = Some(text).filter(|_| plain)?;
    if let Some(name) = text.strip_prefix("dns:") {
        let known = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '.' | '-' | '_');
        let good = (1..=253).contains(&name.len()) && name.chars().all(known) && !name.starts_with('.');
        return good.then(|| format!("dns:{}", name.to_ascii_lowercase()));
    }
    if let Some(address) = text.strip_prefix("email:") {
        let (local, domain) = address.rsplit_once('@')?;
        let good = !local.is_empty() && !domain.is_empty() && address.len() <= 254;
        return good.then(|| format!("email:{local}@{}", domain.to_ascii_lowercase()));
    }
    let (scheme, rest) = text.split_once("://")?;
    if scheme.eq_ignore_ascii_case("spiffe") {
        return is_spiffe(text).then(|| text.to_owned());
    }
    let good = scheme.starts_with(|symbol: char| symbol.is_ascii_alphabetic()) && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (good && !rest.is_empty()).then(|| text.to_owned())
}

/// Whether a text is the SPIFFE ID of a workload (SPIFFE ID, section 2; X.509-SVID, section 3): it has a path.
fn is_spiffe(text: &str) -> bool {
    let Some((domain, path)) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else { return false };
    let in_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_path);
    (1..=255).contains(&domain.len()) && domain.bytes().all(in_domain) && path.split('/').all(segment)
}

fn proxies(written: Vec<Spanned<String>>, problems: &mut Problems) -> Vec<Subnet> {
    let mut proxies = Vec::new();
    for proxy in written {
        match Subnet::read(proxy.get_ref()) {
            Some(subnet) => proxies.push(subnet),
            None => {
                let what = "a proxy is an address or a range of addresses: its first address and how many bits all of it share";
                problems.add(Some(proxy.span()), what, "proxies = [\"10.0.0.0/8\", \"2001:db8::7\"]");
            }
        }
    }
    proxies
}

fn places(values: Vec<Spanned<String>>, judge: fn(&str) -> Option<String>, what: &str, problems: &mut Problems) -> Vec<String> {
    let mut good = Vec::new();
    for value in values {
        match judge(value.get_ref()) {
            Some(value) => good.push(value),
            None => problems.add(Some(value.span()), what, ""),
        }
    }
    good
}

fn host(text: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let plain = url.username().is_empty() && url.path() == "/" && !text.contains(['/', '@', '?', '#', '*']);
    // Compared as text with what clients send, so it must be written as they write it.
    plain.then(|| text.to_ascii_lowercase())
}

fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let lower = text.to_ascii_lowercase();
    (url.origin().is_tuple() && url.origin().ascii_serialization() == lower).then_some(lower)
}

#[cfg(test)]
mod tests;
