//! `[approvals]`: the page on which people answer what waits.

use std::net::SocketAddr;

use toml::Spanned;
use url::Url;

use super::judge::is_loopback;
use super::listen::{Ground, Tls};
use super::problem::Problems;

/// `[approvals]`, as it was written.
pub(super) mod written {
    use std::net::SocketAddr;

    use serde::Deserialize;
    use toml::Spanned;

    use crate::config::listen::written::Tls;

    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(in crate::config) struct Approvals {
        /// Address and port of the page; without one, there is none.
        pub(in crate::config) listen: Option<Spanned<SocketAddr>>,
        /// How people reach it, where that is not the address itself.
        pub(in crate::config) url: Option<Spanned<String>>,
        /// Its own TLS.
        pub(in crate::config) tls: Option<Spanned<Tls>>,
    }
}

/// Where people answer what waits.
#[derive(Debug, Clone)]
pub struct Approvals {
    /// Address and port.
    pub address: SocketAddr,
    /// The keys of its own TLS; without it, it speaks plain HTTP, on this machine alone.
    pub tls: Option<Tls>,
    /// How people reach it: `https`, or this machine. Ends with a slash.
    pub url: Option<Url>,
}

impl Approvals {
    /// Whether a browser reaches it over TLS, its own or that of a proxy on this machine.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.as_ref().map_or(self.tls.is_some(), |url| url.scheme() == "https")
    }
}

/// Judges `[approvals]`: credentials of people are shown here, so it is this machine or TLS, whatever else is accepted.
pub(super) fn approvals(written: written::Approvals, ground: &Ground<'_>, problems: &mut Problems) -> Option<Approvals> {
    let written::Approvals { listen, url, tls } = written;
    let Some(listen) = listen else {
        for at in [url.map(|url| url.span()), tls.map(|tls| tls.span())].into_iter().flatten() {
            problems.add(Some(at), "there is no page without an address", "listen = \"127.0.0.1:7311\"");
        }
        return None;
    };
    let tls = tls.and_then(|written| ground.tls(written, problems));
    let url = url.and_then(|url| place(&url, problems));
    let (at, address) = (listen.span(), listen.into_inner());
    if !address.ip().is_loopback() {
        if tls.is_none() {
            let what = format!("{address} is not an address of this machine alone, and people would show their tokens in clear text");
            problems.add(Some(at.clone()), what, "listen = \"127.0.0.1:7311\", or add `[approvals.tls]` with `certificate` and `key`");
        }
        if url.is_none() {
            let what = "who comes from elsewhere calls it by a name, and no other name is answered";
            problems.add(Some(at), what, "url = \"https://approvals.example.com/\"");
        }
    }
    Some(Approvals { address, tls, url })
}

fn place(written: &Spanned<String>, problems: &mut Problems) -> Option<Url> {
    let url = Url::parse(written.get_ref()).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        plain && safe && url.path() == "/" && url.host().is_some()
    });
    if url.is_none() {
        problems.add(
            Some(written.span()),
            "not an address of a page: `https`, a name, perhaps a port",
            "url = \"https://approvals.example.com/\"",
        );
    }
    url
}
