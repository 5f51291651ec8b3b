//! What a token says, judged: for whom it is, from when to when, and who its bearer is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bartizan_monitor::case::{Badge, Caller, Effect, Means, Reach, Strength};
use bartizan_monitor::reason::gateway::{
    IDENTITY_AUDIENCE, IDENTITY_BINDING, IDENTITY_EXPIRED, IDENTITY_INVALID, IDENTITY_ISSUER, IDENTITY_SCOPE,
};
use bartizan_monitor::reason::{Reason, Refusal};
use bartizan_monitor::wire::json::{Json, Kind, View};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::metadata;
use crate::clock;
use crate::config::{Issuer, OAuth};
use crate::identity::certificate::Thumbprint;

/// How long the name of a caller, a client or a group may be.
const MAX_NAME: usize = 255;
/// How many groups a caller may have.
const MAX_GROUPS: usize = 1000;
/// Seconds that a date may have at most: the year 9999.
const LAST: i64 = 253_402_300_799;

/// What the subject begins with when a program is its own: no user may have such a name.
const PROGRAM: &str = "client:";

/// What a token without an end counts as until it is asked about again.
const UNSAID: u64 = u64::MAX;

/// Who bears a token, and the certificate that its connection must have.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) caller: Caller,
    pub(super) to: Option<Thumbprint>,
}

/// A bearer, and until when the token is good.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) bound: Bound,
    /// In milliseconds since the Unix epoch; the tolerated difference of clocks is part of it.
    pub(super) until_ms: u64,
}

/// Where claims come from, which decides what they must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Signed by the issuer: issuer and end must be there.
    Token,
    /// Told by the issuer itself when asked.
    Introspection,
}

fn no(reason: Reason, what: impl Into<String>) -> Refusal {
    Refusal::new(reason, what)
}

/// Judges claims that are known to come from the issuer.
pub(super) fn judge(claims: View<'_>, (config, issuer): (&OAuth, &Issuer), source: Source, now_ms: u64) -> Result<Bearer, Refusal> {
    let said = claims.get("iss").and_then(View::as_str);
    if said.as_deref().is_none_or(|said| said != issuer.name) && (said.is_some() || source == Source::Token) {
        return Err(no(IDENTITY_ISSUER, format!("`iss` is {said:?}")));
    }
    if !names(claims.get("aud")).any(|audience| audience == config.audience) {
        let found: Vec<String> = names(claims.get("aud")).collect();
        return Err(no(IDENTITY_AUDIENCE, format!("`aud` is {found:?} and not {:?}", config.audience)));
    }
    let to = binding(claims)?;
    if source == Source::Introspection {
        is_for_access(claims)?;
    }
    let until_ms = times(claims, clock::millis(config.skew), source, now_ms)?;
    let principal = format!("oauth:{}#{}", issuer.label, subject(claims, issuer, source)?);
    let (reach, badge) = rights(claims, config, issuer)?;
    let badge = Badge { bound: to, ..badge };
    let strength = strength(claims, issuer, now_ms.saturating_add(clock::millis(config.skew)))?;
    let caller = Caller::assertion(&principal, Means::OAuth, reach).with_badge(badge).with_strength(strength);
    Ok(Bearer { bound: Bound { caller, to }, until_ms })
}

/// The certificate that the bearer must have (RFC 8705, section 3.1). A token that is bound in another way, or in two, is
/// not taken: what cannot be checked must not pass as if nobody had asked for it.
fn binding(claims: View<'_>) -> Result<Option<Thumbprint>, Refusal> {
    let Some(cnf) = claims.get("cnf") else { return Ok(None) };
    let print = cnf.get("x5t#S256").filter(|_| cnf.members().count() == 1).and_then(View::as_str);
    let print = print.and_then(|print| URL_SAFE_NO_PAD.decode(&*print).ok()).and_then(|print| Thumbprint::try_from(print).ok());
    print.map(Some).ok_or_else(|| no(IDENTITY_BINDING, "the token is bound to a key (`cnf`) in a way that is not known here"))
}

/// Ways of logging in that need something the person has (RFC 8176): several factors, a one-time code, a key in
/// hardware, a smart card. A text message and a call are not among them: they are taken over too easily.
const SECOND_FACTORS: [&str; 4] = ["mfa", "otp", "hwk", "sc"];

/// How strongly the issuer recognised the person (RFC 9068, section 2.2.1). A login in the future would be fresh for ever.
fn strength(claims: View<'_>, issuer: &Issuer, latest_ms: u64) -> Result<Strength, Refusal> {
    let logged_in_ms = date(claims, "auth_time")?;
    if logged_in_ms.is_some_and(|at| at > latest_ms) {
        return Err(no(IDENTITY_INVALID, "`auth_time` lies in the future"));
    }
    let by_method = claims.get("amr").into_iter().flat_map(View::items).filter_map(View::as_str);
    let by_method = by_method.into_iter().any(|method| SECOND_FACTORS.contains(&&*method));
    let by_class = claims.get("acr").and_then(View::as_str).is_some_and(|class| issuer.second_factor_acr.contains(&*class));
    Ok(Strength { certificate: None, second_factor: by_method || by_class, logged_in_ms })
}

/// Refuses what the issuer says is no access token: a refresh token is active, too, and lives far longer. One
/// that is bound to a key must not pass as a bearer token either.
fn is_for_access(claims: View<'_>) -> Result<(), Refusal> {
    for (key, wanted) in [("token_use", &["access_token"][..]), ("token_type", &["bearer", "access_token"][..])] {
        let Some(claim) = claims.get(key).filter(|claim| !claim.is_null()) else { continue };
        let said = claim.as_str();
        if !said.as_deref().is_some_and(|said| wanted.iter().any(|one| said.eq_ignore_ascii_case(one))) {
            return Err(no(IDENTITY_INVALID, format!("`{key}` is {said:?}: not an access token for whoever bears it")));
        }
    }
    Ok(())
}

/// Who the bearer is to the issuer. A program that has a token of its own is its own subject (RFC 9068, section
/// 2.2); asked about an opaque one, issuers may leave that out, and then it must not pass for a user of its name.
fn subject(claims: View<'_>, issuer: &Issuer, source: Source) -> Result<String, Refusal> {
    let unusable = || no(IDENTITY_INVALID, format!("no usable `{}`", issuer.subject));
    match name(claims, &issuer.subject) {
        Some(user) if user.starts_with(PROGRAM) => {
            Err(no(IDENTITY_INVALID, format!("`{}` begins with {PROGRAM:?}, which stands for programs", issuer.subject)))
        }
        Some(user) => Ok(user),
        None if source == Source::Introspection && issuer.subject == "sub" && claims.get("sub").is_none() => {
            client(claims).map(|client| format!("{PROGRAM}{client}")).ok_or_else(unusable)
        }
        None => Err(unusable()),
    }
}

/// Texts of a claim that is a text or a list of texts; nothing else counts.
fn names(claim: Option<View<'_>>) -> impl Iterator<Item = String> {
    let one = claim.and_then(View::as_str).map(std::borrow::Cow::into_owned);
    let many = claim.into_iter().flat_map(View::items).filter_map(View::as_str).map(std::borrow::Cow::into_owned);
    one.into_iter().chain(many)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

fn name(claims: View<'_>, key: &str) -> Option<String> {
    claims.get(key).and_then(View::as_str).map(std::borrow::Cow::into_owned).filter(|text| is_name(text))
}

/// A date in milliseconds; what is there and no whole number of seconds is an error.
fn date(claims: View<'_>, key: &str) -> Result<Option<u64>, Refusal> {
    let Some(view) = claims.get(key) else { return Ok(None) };
    let seconds = view.as_i64().filter(|seconds| (0..=LAST).contains(seconds)).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map(|seconds| Some(seconds.saturating_mul(1000))).ok_or_else(|| no(IDENTITY_INVALID, format!("`{key}` is not a date")))
}

fn times(claims: View<'_>, skew_ms: u64, source: Source, now_ms: u64) -> Result<u64, Refusal> {
    for key in ["nbf", "iat"] {
        if date(claims, key)?.is_some_and(|from| from > now_ms.saturating_add(skew_ms)) {
            return Err(no(IDENTITY_INVALID, format!("`{key}` lies in the future")));
        }
    }
    let until_ms = match date(claims, "exp")? {
        Some(end) => end.saturating_add(skew_ms),
        None if source == Source::Introspection => UNSAID,
        None => return Err(no(IDENTITY_INVALID, "no `exp`: a token that never ends is not taken")),
    };
    if now_ms >= until_ms { Err(no(IDENTITY_EXPIRED, "`exp` has passed")) } else { Ok(until_ms) }
}

/// What the token's scopes are good for, and what else the issuer says of the caller.
fn rights(claims: View<'_>, config: &OAuth, issuer: &Issuer) -> Result<(Reach, Badge), Refusal> {
    let scopes: BTreeSet<String> = ["scope", "scp"]
        .into_iter()
        .flat_map(|key| names(claims.get(key)))
        .flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let lacks = |what: String| Err(no(IDENTITY_SCOPE, what).echo("scope", Json::string(&metadata::scopes(config))));
    if let Some(missing) = config.required.iter().find(|scope| !scopes.contains(*scope)) {
        return lacks(format!("the token lacks {missing:?}"));
    }
    let (application, groups, granted) = (client(claims), groups(claims, issuer)?, scopes.clone());
    let badge = Badge { application, groups, granted, bound: None, most: BTreeMap::new(), steps: config.steps.clone() };
    if config.scopes.is_empty() {
        return Ok((Reach::all(), badge));
    }
    let mut most: BTreeMap<String, Effect> = BTreeMap::new();
    for granted in scopes.iter().filter_map(|scope| config.scopes.get(scope)) {
        for server in &granted.servers {
            let found = most.entry(server.clone()).or_insert(granted.most);
            *found = granted.most.max(*found);
        }
    }
    let Some(gravest) = most.values().max().copied() else { return lacks("no scope of the token is good for anything".to_owned()) };
    let reach = Reach { servers: Some(Arc::new(most.keys().cloned().collect())), most: gravest };
    Ok((reach, Badge { most, ..badge }))
}

fn client(claims: View<'_>) -> Option<String> {
    name(claims, "client_id").or_else(|| name(claims, "azp"))
}

fn groups(claims: View<'_>, issuer: &Issuer) -> Result<BTreeSet<String>, Refusal> {
    let claim = issuer.groups.as_deref().and_then(|key| claims.get(key)).filter(|claim| !claim.is_null());
    let Some(claim) = claim else { return Ok(BTreeSet::new()) };
    let listed = claim.items().count();
    let groups: BTreeSet<String> = names(Some(claim)).filter(|text| is_name(text)).collect();
    // A group that cannot be read could be the one that a `forbid` is about.
    let whole = match claim.kind() {
        Kind::Array => names(Some(claim)).filter(|text| is_name(text)).count() == listed,
        _ => groups.len() == 1,
    };
    if whole && listed <= MAX_GROUPS { Ok(groups) } else { Err(no(IDENTITY_INVALID, "the groups cannot be read")) }
}
