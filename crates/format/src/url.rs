//! URLs of allowed schemes and hosts. Two readings, that of the WHATWG and that of RFC 3986, must agree about scheme,
//! host and port; what only one of them understands, or understands differently, is refused.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::address;
use crate::names;
use crate::verdict::{Parsed, Refused, refuse};

/// Longer URLs are not read.
const LONGEST: usize = 8 * 1024;

/// Names that mean this machine, this network or what hosts tell about themselves; and what is below them.
const LOCAL: &[&str] = &[
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "arpa",
    "test",
    "invalid",
    "onion",
    "cluster",
    "consul",
    "docker",
    "kubernetes",
    "svc",
];
/// Public names that lead to whatever address is asked for, or to this machine.
const MIRRORS: &[&str] =
    &["nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "rbndr.us", "traefik.me", "readme.localtest"];

/// Which URLs are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    schemes: Vec<String>,
    hosts: Option<Vec<String>>,
}

impl Urls {
    /// Of these schemes, at any public host.
    #[must_use]
    pub fn public(schemes: &[&str]) -> Self {
        Self { schemes: schemes.iter().map(|scheme| scheme.to_ascii_lowercase()).collect(), hosts: None }
    }

    /// Of these schemes, at these hosts: `example.com` is that host, `*.example.com` what is below it. A host that is
    /// listed may be private: the operator wrote it down.
    #[must_use]
    pub fn at(schemes: &[&str], hosts: &[&str]) -> Self {
        Self { hosts: Some(hosts.iter().map(|host| host.to_ascii_lowercase()).collect()), ..Self::public(schemes) }
    }

    fn lists(&self, host: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_prefix("*.") {
            Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.ends_with('.')),
            None => pattern == host,
        };
        self.hosts.as_ref().is_some_and(|hosts| hosts.iter().any(fits))
    }
}

pub(crate) fn parse(urls: &Urls, value: &str) -> Parsed {
    if value.is_empty() || value.len() > LONGEST {
        return refuse("the URL is empty or too long");
    }
    if value.chars().any(|symbol| symbol.is_control() || symbol.is_whitespace() || symbol == '\\') {
        return refuse("the URL has white space, a control character or a backslash");
    }
    let plain = plain(value)?;
    let Ok(read) = Url::parse(value) else { return refuse("the URL cannot be read") };
    if !urls.schemes.iter().any(|scheme| scheme == read.scheme()) || !plain.scheme.eq_ignore_ascii_case(read.scheme()) {
        return refuse("the scheme is not allowed");
    }
    let host = agreed(plain.host, &read)?;
    if plain.port.is_some_and(|port| port.parse() != Ok(read.port_or_known_default().unwrap_or(0)) || port == "0") {
        return refuse("the port is not one");
    }
    if !urls.lists(&host) {
        if urls.hosts.is_some() {
            return refuse("the host is not allowed");
        }
        public(&read, &host)?;
        if carries_never(read.path()) || read.query().is_some_and(carries_never) {
            return refuse("the URL carries an address that is never to be asked, for somebody to redirect to");
        }
    }
    Ok(read.into())
}

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// The host in ASCII, and the port where it is not the usual one.
    pub host: String,
    /// The host as a reader may see it: in letters of other scripts where it has such.
    pub read: String,
}

/// Where a link leads that a person is to open.
///
/// It may be any host, private ones included: it is the person's browser that goes there. It must be one that everybody
/// reads alike, and over TLS unless it is this machine. Names of other scripts come out in ASCII (`xn--…`).
///
/// # Errors
///
/// When it is no such link.
pub fn opens(value: &str) -> Result<Leads, Refused> {
    if value.is_empty() || value.len() > LONGEST {
        return refuse("the URL is empty or too long");
    }
    if value.chars().any(|symbol| symbol.is_control() || symbol.is_whitespace() || symbol == '\\') {
        return refuse("the URL has white space, a control character or a backslash");
    }
    let plain = plain(value)?;
    let Ok(read) = Url::parse(value) else { return refuse("the URL cannot be read") };
    let host = agreed(plain.host, &read)?;
    if !plain.scheme.eq_ignore_ascii_case(read.scheme())
        || plain.port.is_some_and(|port| port.parse() != Ok(read.port_or_known_default().unwrap_or(0)))
    {
        return refuse("the scheme or the port is not one");
    }
    let here = match read.host() {
        Some(Host::Ipv4(four)) => four.is_loopback(),
        Some(Host::Ipv6(six)) => six.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let never = match read.host() {
        Some(Host::Ipv4(four)) => address::is_never(four.into()),
        Some(Host::Ipv6(six)) => address::is_never(six.into()),
        Some(Host::Domain(_)) | None => false,
    };
    if never && !here {
        return refuse("the host is an address that nobody is to ask");
    }
    match read.scheme() {
        "https" => {}
        "http" if here => {}
        _ => return refuse("the scheme is not https"),
    }
    let seen = idna::domain_to_unicode(&host).0;
    Ok(Leads { host: read.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")), read: seen })
}

/// Scheme, host and port as RFC 3986 reads them.
struct Plain<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
}

fn plain(value: &str) -> Result<Plain<'_>, Refused> {
    let Some((scheme, rest)) = value.split_once("://") else { return refuse("the URL has no scheme and host") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return refuse("the URL has a user name, which hides the host");
    }
    if authority.contains('%') {
        return refuse("the host has percent escapes");
    }
    let (host, port) = match (authority.rfind(']'), authority.rsplit_once(':')) {
        (Some(close), Some((host, port))) if host.len() > close => (host, Some(port)),
        (None, Some((host, port))) => (host, Some(port)),
        _ => (authority, None),
    };
    let digits =
        |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    if host.is_empty() || !port.is_none_or(digits) {
        return refuse("the URL has no host, or a port that is none");
    }
    Ok(Plain { scheme, host, port })
}

/// The host, when both readings are the same one. Names of other scripts are, when nothing had to be mapped.
fn agreed(plain: &str, read: &Url) -> Result<String, Refused> {
    let host = read.host_str().unwrap_or_default();
    let lower = plain.to_lowercase();
    let same = match read.host() {
        Some(Host::Ipv4(_)) => lower == host,
        // The same number may be written with more zeros.
        Some(Host::Ipv6(six)) => {
            lower.strip_prefix('[').and_then(|text| text.strip_suffix(']')).and_then(|text| text.parse().ok()) == Some(six)
        }
        Some(Host::Domain(_)) => lower == host || (!lower.is_ascii() && idna::domain_to_unicode(host).0 == lower),
        None => false,
    };
    if !same {
        return refuse("the host is written so that readers may take it for another");
    }
    if matches!(read.host(), Some(Host::Domain(_))) && names::hostname(host).is_err() {
        return refuse("the host is no host name");
    }
    Ok(host.to_owned())
}

/// Whether a host is one of the public internet, as far as its text says.
fn public(read: &Url, host: &str) -> Result<(), Refused> {
    const PRIVATE: &str = "the host is not one of the public internet";
    let open = match read.host() {
        Some(Host::Ipv4(four)) => address::is_public(four.into()),
        Some(Host::Ipv6(six)) => address::is_public(six.into()),
        Some(Host::Domain(_)) => {
            let below = |parent: &&str| host.strip_suffix(*parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            host.contains('.') && !LOCAL.iter().any(below) && !MIRRORS.iter().any(below) && !carries_address(host)
        }
        None => false,
    };
    if open { Ok(()) } else { refuse(PRIVATE) }
}

/// An address of a host's own service in the rest of a URL.
fn carries_never(text: &str) -> bool {
    let part =
        |part: &str| part.trim_matches('.').parse::<Ipv4Addr>().is_ok_and(|four| !four.is_unspecified() && address::is_never(four.into()));
    text.split(|symbol: char| !symbol.is_ascii_digit() && symbol != '.').any(part)
}

/// A private address in a name, for a server that answers with what it is asked for: `127.0.0.1.example.net`.
fn carries_address(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let dotted = labels.windows(4).any(|four| four.join(".").parse::<Ipv4Addr>().is_ok_and(|four| !address::is_public(four.into())));
    let dashed = |label: &&str| {
        let four = label.replace('-', ".").parse::<Ipv4Addr>().is_ok_and(|four| !address::is_public(four.into()));
        four || (label.contains("--") && label.replace('-', ":").parse::<Ipv6Addr>().is_ok_and(|six| !address::is_public(six.into())))
    };
    // Between other words, as services have it that answer with one address now and another then.
    let inside = |part: &str| part.trim_matches('.').parse::<Ipv4Addr>().is_ok_and(|four| !address::is_public(four.into()));
    let amid = host.split(|symbol: char| !symbol.is_ascii_digit() && symbol != '.').any(inside);
    dotted || amid || labels.iter().any(dashed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_allowed() {
        let urls = Urls::public(&["https", "http"]);
        for value in [
            "https://example.com",
            "https://example.com/a?b=c#d",
            "http://8.8.8.8/",
            "https://[2001:4860:4860::8888]:8443/",
            "https://münchen.de/",
            "https://a.example.com:444/x@y",
            "https://v-8.8.4.4-x.example.com/",
        ] {
            assert!(parse(&urls, value).is_ok(), "{value}: {:?}", parse(&urls, value));
        }
    }

    #[test]
    fn no_notation_leads_inside() {
        let urls = Urls::public(&["https", "http"]);
        for value in [
            "http://127.0.0.1",
            "http://2130706433",
            "http://0x7f.1",
            "http://0177.0.0.1",
            "http://127.1",
            "http://[::1]",
            "http://[::ffff:10.0.0.1]",
            "http://[::7f00:1]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[2002:7f00:1::]",
            "http://[fe80::5efe:10.0.0.5]",
            "http://localhost",
            "http://x.localhost",
            "http://example.com.",
            "http://user@example.com",
            "http://example.com@evil.example",
            "http://１２７.0.0.1",
            "http://ⓔxample.com",
            "http://exam\u{ad}ple.com",
            "http://metadata",
            "http://a\tb.com",
            "http:example.com",
            "http:/example.com",
            "http:\\\\example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "http://example.com:0/",
            "http://127.0.0.1.nip.io",
            "http://10-0-0-1.example.com",
            "http://a-8.8.8.8-b-127.0.0.1-c.example.com",
            "http://%31%32%37.0.0.1",
            "//example.com",
            "",
            "http://",
            "http://168.63.129.16",
            "http://8.8.8.8.",
            "http://example.com/r?to=http://169.254.169.254/x",
            "http://134744072",
        ] {
            assert!(parse(&urls, value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_link_says_where_it_leads() {
        for (value, host) in [
            ("https://example.com/a?b=c#d", "example.com"),
            ("https://EXAMPLE.com:8443/", "example.com:8443"),
            ("https://example.com:443/", "example.com"),
            ("https://sso.corp.internal/login", "sso.corp.internal"),
            ("https://203.0.113.7/", "203.0.113.7"),
            ("https://münchen.de/", "xn--mnchen-3ya.de"),
            ("https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com"),
            ("http://localhost:3000/done", "localhost:3000"),
            ("http://127.0.0.1:3000/", "127.0.0.1:3000"),
            ("http://[::1]:3000/", "[::1]:3000"),
        ] {
            assert_eq!(opens(value).map(|leads| leads.host).as_deref(), Ok(host), "{value}");
        }
        for value in [
            "http://example.com/",
            "http://localhost.example.com/",
            "https://bank.example@evil.example/",
            "https://bank.example:x@evil.example/",
            "https://bank.example%40evil.example/",
            "https://bank.example\\@evil.example/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://１２７.0.0.1/",
            "https://169.254.169.254/latest",
            "https://ⓔxample.com/",
            "https://exam\u{ad}ple.com/",
            "https://exa\nmple.com/",
            "https://example.com/\u{202e}gpj.exe\u{7}",
            "https:example.com",
            "https:///example.com",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vscode://x/y",
            "//example.com",
            "example.com",
            "",
        ] {
            assert!(opens(value).is_err(), "{value:?}: {:?}", opens(value));
        }
    }

    #[test]
    fn a_listed_host_is_the_only_one() {
        let urls = Urls::at(&["https"], &["example.com", "*.example.org", "10.0.0.7"]);
        for value in ["https://Example.com/", "https://a.example.org", "https://10.0.0.7/"] {
            assert!(parse(&urls, value).is_ok(), "{value}");
        }
        for value in [
            "https://evil.com",
            "https://example.org",
            "https://xexample.org",
            "https://a.example.com",
            "http://example.com",
            "https://10.0.0.8",
        ] {
            assert!(parse(&urls, value).is_err(), "{value}");
        }
    }
}
