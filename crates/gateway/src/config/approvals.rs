//! `[approvals]`: the page on which people answer what waits.

use std::net::SocketAddr;
use std::sync::Arc;

use toml::Spanned;
use url::Url;

use super::judge::is_loopback;
use super::listen::{Ground, Tls};
use super::problem::Problems;
use super::secret::{self, Lookup, Secret};

/// How many arguments a message may show; Slack takes ten fields.
const MOST_SHOWN: usize = 3;

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
        /// Where people are told of what waits, as Slack's incoming webhooks take it: a reference.
        pub(in crate::config) slack: Option<Spanned<String>>,
        /// The arguments that messages may show.
        pub(in crate::config) show_arguments: Vec<Spanned<String>>,
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
    /// An address that takes messages as Slack's incoming webhooks do. Whoever knows it can write there.
    pub slack: Option<Arc<Secret>>,
    /// The arguments that messages may show, by name.
    pub show_arguments: Vec<String>,
}

impl Approvals {
    /// Whether a browser reaches it over TLS, its own or that of a proxy on this machine.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.as_ref().map_or(self.tls.is_some(), |url| url.scheme() == "https")
    }
}

/// Judges `[approvals]`: credentials of people are shown here, so it is this machine or TLS, whatever else is accepted.
pub(super) fn approvals(
    written: written::Approvals,
    (ground, variables): (&Ground<'_>, Lookup<'_>),
    problems: &mut Problems,
) -> Option<Approvals> {
    let written::Approvals { listen, url, tls, slack, show_arguments } = written;
    let Some(listen) = listen else {
        for at in [url.map(|url| url.span()), tls.map(|tls| tls.span()), slack.map(|slack| slack.span())].into_iter().flatten() {
            problems.add(Some(at), "there is no page without an address", "listen = \"127.0.0.1:7311\"");
        }
        return None;
    };
    let tls = tls.and_then(|written| ground.tls(written, problems));
    let url = url.and_then(|url| place(&url, problems));
    let slack = slack.and_then(|written| channel(&written, (ground, variables), problems)).map(Arc::new);
    for name in show_arguments.iter().skip(MOST_SHOWN) {
        problems.add(Some(name.span()), format!("messages show {MOST_SHOWN} arguments at most"), "");
    }
    let show_arguments = show_arguments.into_iter().map(Spanned::into_inner).collect();
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
    Some(Approvals { address, tls, url, slack, show_arguments })
}

/// Whoever knows such an address can write there, so it is a secret.
fn channel(written: &Spanned<String>, (ground, variables): (&Ground<'_>, Lookup<'_>), problems: &mut Problems) -> Option<Secret> {
    if !written.get_ref().contains("${") {
        problems.blank(written.span());
        let help = "write a reference, such as \"${env:SLACK_WEBHOOK_URL}\" or \"${file:PATH}\"; if this was a real address, replace it";
        problems.add(Some(written.span()), "whoever knows this address can write there, and the configuration holds no secrets", help);
        return None;
    }
    let read = secret::now(written.get_ref(), ground.base, variables).and_then(|secret| {
        let url = Url::parse(secret.expose()).map_err(|error| format!("not an address: {error}"))?;
        let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if safe { Ok(secret) } else { Err("an address for messages begins with `https://`".to_owned()) }
    });
    read.map_err(|what| problems.add(Some(written.span()), what, "")).ok()
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
