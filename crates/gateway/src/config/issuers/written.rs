//! `[oauth]` as it was written.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_monitor::case::Effect;
use serde::Deserialize;
use toml::Spanned;

use super::super::file::Length;

/// `[oauth]`, as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct OAuth {
    /// The canonical URI of this gateway: what tokens must name as their audience.
    pub(super) resource: Option<Spanned<String>>,
    /// Who issues them.
    pub(super) issuer: Vec<Spanned<Issuer>>,
    /// What every token must have.
    pub(super) required_scopes: Vec<Spanned<String>>,
    /// What else a scope is good for. Without any, scopes do not narrow, and policy alone decides.
    pub(super) scopes: BTreeMap<Spanned<String>, Scope>,
    /// How much the clocks of issuers may differ from ours.
    pub(super) clock_skew: Option<Spanned<Length>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Issuer {
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) algorithms: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) jwks_uri: Option<Spanned<String>>,
    pub(super) jwks_max_age: Option<Spanned<Length>>,
    pub(super) introspection: Option<Spanned<Introspection>>,
    pub(super) claims: Claims,
    /// Values of `acr` that mean a second factor at this issuer.
    pub(super) second_factor_acr: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Introspection {
    pub(super) url: Option<Spanned<String>>,
    pub(super) client_id: Option<Spanned<String>>,
    pub(super) client_secret: Option<Spanned<String>>,
    pub(super) cache: Option<Spanned<Length>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Claims {
    pub(super) subject: Option<Spanned<String>>,
    pub(super) groups: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Scope {
    pub(super) servers: Option<Vec<Spanned<String>>>,
    pub(super) effect: Option<Effect>,
}
