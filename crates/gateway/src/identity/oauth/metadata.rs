//! What clients are told about how to get a token: RFC 9728 metadata, and challenges (RFC 6750, section 3).

use std::collections::BTreeSet;

use bartizan_monitor::case::Effect;
use bartizan_monitor::reason::Reason;
use bartizan_monitor::reason::gateway::{IDENTITY_CERTIFICATE, IDENTITY_LOGIN, IDENTITY_MISSING, IDENTITY_SCOPE};
use bartizan_monitor::wire::json::Json;

use crate::config::OAuth;

/// Where the metadata is (RFC 9728, section 3.1).
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The scopes to begin with: what every token needs, else what reads. Little is asked for at first; a challenge
/// names what an operation needs beyond.
pub(super) fn scopes(config: &OAuth) -> String {
    let reads = config.scopes.iter().filter(|(_, granted)| granted.most == Effect::Read).map(|(name, _)| name);
    let first: BTreeSet<&String> = if config.required.is_empty() { reads.collect() } else { config.required.iter().collect() };
    first.into_iter().cloned().collect::<Vec<_>>().join(" ")
}

/// The metadata of the gateway as a protected resource.
pub(super) fn document(config: &OAuth) -> Json {
    let issuers = config.issuers.iter().map(|issuer| Json::string(&issuer.name));
    let mut members = vec![
        ("resource", Json::string(&config.audience)),
        ("authorization_servers", Json::array(issuers)),
        ("bearer_methods_supported", Json::array([Json::string("header")])),
    ];
    let scopes = scopes(config);
    if !scopes.is_empty() {
        members.push(("scopes_supported", Json::array(scopes.split(' ').map(Json::string))));
    }
    Json::object(members)
}

/// The address of the metadata: the well-known part stands between host and path.
fn address(config: &OAuth) -> String {
    let origin = config.resource.origin().ascii_serialization();
    let path = config.resource.path().trim_end_matches('/');
    format!("{origin}{WELL_KNOWN}{path}")
}

/// The value of `WWW-Authenticate`. Everything in it was judged as part of the configuration.
pub(super) fn challenge(config: &OAuth, reason: Reason, scope: Option<&str>) -> String {
    if reason == IDENTITY_LOGIN {
        // RFC 9470, section 3.
        let more = scope.filter(|said| !said.is_empty()).map(|said| format!(", {said}")).unwrap_or_default();
        let head = format!("Bearer realm=\"bartizan\", resource_metadata=\"{}\"", address(config));
        return format!("{head}, error=\"insufficient_user_authentication\"{more}");
    }
    let mut text = format!("Bearer realm=\"bartizan\", resource_metadata=\"{}\"", address(config));
    let error = if reason == IDENTITY_SCOPE { "insufficient_scope" } else { "invalid_token" };
    // Who showed no token has made no error with one yet (RFC 6750, section 3.1).
    let error = Some(error).filter(|_| reason != IDENTITY_MISSING && reason != IDENTITY_CERTIFICATE);
    let first = scopes(config);
    let parts = [("error", error), ("scope", scope.or(Some(&first)).filter(|scope| !scope.is_empty()))];
    for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text.push_str(&format!(", {name}=\"{value}\""));
    }
    text
}
