//! `[listen]` and `[[clients]]` as they were written.

use std::net::SocketAddr;
use std::path::PathBuf;

use bartizan_monitor::case::Effect;
use serde::Deserialize;
use toml::Spanned;

use super::Wanted;

/// `[listen]`, as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Listen {
    /// Address and port.
    pub(super) address: Option<Spanned<SocketAddr>>,
    /// Names, beside this machine's own, under which clients reach it.
    pub(super) allowed_hosts: Vec<Spanned<String>>,
    /// Web pages that may talk to it.
    pub(super) allowed_origins: Vec<Spanned<String>>,
    /// Its own TLS.
    pub(super) tls: Option<Spanned<Tls>>,
    /// Reverse proxies whose word is believed.
    pub(super) proxies: Vec<Spanned<String>>,
    /// What programs of this machine get that show no credential.
    pub(super) anonymous: Option<Spanned<Anonymous>>,
}

/// `[listen.tls]`, as it was written. All files are PEM, relative to the configuration.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Tls {
    pub(super) certificate: Option<Spanned<PathBuf>>,
    pub(super) key: Option<Spanned<PathBuf>>,
    /// The authorities that client certificates must come from.
    pub(super) client_ca: Option<Spanned<PathBuf>>,
    /// What these have taken back.
    pub(super) client_crl: Option<Spanned<PathBuf>>,
    /// Whether a client must have one.
    pub(super) clients: Option<Spanned<Wanted>>,
}

/// `listen.anonymous`, as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Anonymous {
    pub(super) label: Option<Spanned<String>>,
    pub(super) servers: Option<Vec<Spanned<String>>>,
    pub(super) effect: Option<Effect>,
}

/// One of `[[clients]]`, as it was written: a client that comes with a certificate.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Client {
    pub(super) certificate: Option<Spanned<String>>,
    pub(super) label: Option<Spanned<String>>,
    pub(super) servers: Option<Vec<Spanned<String>>>,
    pub(super) effect: Option<Effect>,
    pub(super) environment: Option<Spanned<String>>,
}
