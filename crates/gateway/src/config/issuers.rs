//! Whose access tokens are taken: from `[oauth]` to what the gateway can check tokens with.

pub(super) mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::case::Effect;
use toml::Spanned;
use url::Url;

use super::credential;
use super::file::Length;
use super::judge;
use super::problem::Problems;
use super::secret::{self, Lookup, Secret};

const SKEW: Duration = Duration::from_secs(30);
const MOST_SKEW: Duration = Duration::from_secs(120);
const CACHE: Duration = Duration::from_secs(30);
const MOST_CACHE: Duration = Duration::from_secs(300);
const MAX_AGE: Duration = Duration::from_secs(600);
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// What the gateway checks access tokens with.
#[derive(Debug)]
pub struct OAuth {
    /// What a token must name as its audience, character by character.
    pub resource: Url,
    /// The same as it was written, which is what is compared.
    pub audience: String,
    /// Who issues them: at least one, each written differently, at most one with introspection.
    pub issuers: Vec<Issuer>,
    /// What every token must have.
    pub required: BTreeSet<String>,
    /// What a scope is good for, where scopes narrow at all.
    pub scopes: BTreeMap<String, Granted>,
    /// The servers that some scope names. Of others, nobody is told that they exist.
    pub named: BTreeSet<String>,
    /// The scopes to ask for, by server and effect of a tool, as a challenge names them.
    pub steps: Arc<BTreeMap<(String, Effect), String>>,
    /// How much the clocks of issuers may differ from ours.
    pub skew: Duration,
    /// Whether some server wants callers' tokens exchanged.
    pub exchanged: Exchanged,
}

/// Whether the tokens of callers are kept, while they are good, to be exchanged for tokens of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanged {
    /// They are forgotten as soon as they were verified.
    No,
    /// They are kept in memory.
    Yes,
}

/// What a scope is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The servers, by name.
    pub servers: BTreeSet<String>,
    /// The gravest effect of a tool there.
    pub most: Effect,
}

/// Somebody who issues access tokens.
#[derive(Debug)]
pub struct Issuer {
    /// What it calls itself, character by character.
    pub name: String,
    /// The same without its scheme, for the names of principals.
    pub label: String,
    /// What it may sign with.
    pub algorithms: BTreeSet<Algorithm>,
    /// Where its keys are; found by its metadata when nobody says it.
    pub jwks: Option<Url>,
    /// How old its keys may be before they are fetched again.
    pub max_age: Duration,
    /// Where it says what an opaque token is worth.
    pub introspection: Option<Introspection>,
    /// The claim that names the caller.
    pub subject: String,
    /// The claim that lists the caller's groups.
    pub groups: Option<String>,
    /// Values of `acr` that mean a second factor here.
    pub second_factor_acr: BTreeSet<String>,
    /// Where it may be.
    pub network: Network,
}

/// Where an issuer says what an opaque token is worth (RFC 7662).
#[derive(Debug)]
pub struct Introspection {
    /// The endpoint.
    pub url: Url,
    /// The gateway's own name there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// How long an answer holds.
    pub cache: Duration,
}

/// Which addresses a connection may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Every address: the operator wrote down where to.
    Any,
    /// Public and private ones and this machine, but not what hosts tell about themselves.
    Private,
    /// Addresses of the public internet.
    Public,
}

/// How a token may be signed: asymmetric, and nothing that is known to be weak (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Es256,
    Es384,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    EdDsa,
}

impl Algorithm {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Es256, "ES256"),
        (Self::Es384, "ES384"),
        (Self::Rs256, "RS256"),
        (Self::Rs384, "RS384"),
        (Self::Rs512, "RS512"),
        (Self::Ps256, "PS256"),
        (Self::Ps384, "PS384"),
        (Self::Ps512, "PS512"),
        (Self::EdDsa, "EdDSA"),
    ];
    const USUAL: [Self; 4] = [Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// Reads a name, exactly as the standard writes it.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(algorithm, _)| algorithm)
    }
}

/// What judging issuers needs to know beside what was written of them.
pub(super) struct Trust<'a> {
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// The environment.
    pub(super) variables: Lookup<'a>,
    /// The names of the servers.
    pub(super) servers: BTreeSet<String>,
    /// Issuers that may be on private addresses.
    pub(super) private: &'a [Spanned<String>],
    /// Whether some server wants callers' tokens exchanged.
    pub(super) exchanged: Exchanged,
}

impl Trust<'_> {
    /// Judges `[oauth]`.
    pub(super) fn oauth(&self, written: Spanned<written::OAuth>, problems: &mut Problems) -> Option<OAuth> {
        let at = written.span();
        let written = written.into_inner();
        let audience = need(written.resource, (&at, "resource", "resource = \"https://mcp.example.com/mcp\""), problems);
        let resource = audience.as_ref().and_then(|audience| resource(audience, problems));
        if written.issuer.is_empty() {
            problems.add(Some(at), "`oauth` has no issuer", "[[oauth.issuer]]\nissuer = \"https://login.example.com\"");
        }
        let issuers: Vec<Issuer> = written.issuer.into_iter().filter_map(|issuer| self.issuer(issuer, problems)).collect();
        self.alone(&issuers, problems);
        let required: BTreeSet<String> = written.required_scopes.into_iter().filter_map(|scope| scope_name(scope, problems)).collect();
        let named =
            written.scopes.values().filter_map(|scope| scope.servers.as_ref()).flatten().map(|name| name.get_ref().clone()).collect();
        let scopes = self.scopes(written.scopes, problems);
        let skew = within(written.clock_skew, (Duration::ZERO, SKEW, MOST_SKEW), problems);
        let steps = Arc::new(steps(&scopes, &required));
        Some(OAuth {
            resource: resource?,
            audience: audience?.into_inner(),
            issuers,
            required,
            scopes,
            named,
            steps,
            skew,
            exchanged: self.exchanged,
        })
    }

    /// What is wrong with issuers only when they are seen together.
    fn alone(&self, issuers: &[Issuer], problems: &mut Problems) {
        let mut labels = BTreeSet::new();
        for issuer in issuers.iter().filter(|issuer| !labels.insert(&issuer.label)) {
            problems.add(None, format!("the issuer {:?} is configured twice, so that a principal could be of either", issuer.name), "");
        }
        if issuers.iter().filter(|issuer| issuer.introspection.is_some()).count() > 1 {
            let what = "only one issuer can have `introspection`: an opaque token does not say who issued it, and asking all of them would show it to those who did not";
            problems.add(None, what, "run one gateway per issuer of opaque tokens, or let the others issue JWTs");
        }
        for listed in self.private.iter().filter(|listed| issuers.iter().all(|issuer| issuer.name != *listed.get_ref())) {
            problems.add(Some(listed.span()), format!("there is no issuer {:?}", listed.get_ref()), "write it as in `[[oauth.issuer]]`");
        }
    }

    fn issuer(&self, written: Spanned<written::Issuer>, problems: &mut Problems) -> Option<Issuer> {
        let at = written.span();
        let written = written.into_inner();
        let name = need(written.issuer, (&at, "issuer", "issuer = \"https://login.example.com\""), problems)?;
        let private = self.private.iter().any(|listed| listed.get_ref() == name.get_ref());
        let network = if private { Network::Private } else { Network::Public };
        let own = url(&name, network, problems);
        if own.as_ref().is_some_and(|url| url.query().is_some()) {
            problems.add(Some(name.span()), "an issuer has no query (RFC 8414, section 2)", "");
        }
        let algorithms = algorithms(written.algorithms, problems);
        let jwks = written.jwks_uri.as_ref().and_then(|written| url(written, network, problems));
        let max_age = within(written.jwks_max_age, (Duration::from_secs(10), MAX_AGE, LONGEST_AGE), problems);
        let introspection = written.introspection.and_then(|written| self.introspection(written, network, problems));
        let subject = written.claims.subject.map_or_else(|| "sub".to_owned(), Spanned::into_inner);
        let groups = written.claims.groups.map(Spanned::into_inner);
        let second_factor_acr = written.second_factor_acr;
        own?;
        let name = name.into_inner();
        let label = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest).to_owned();
        Some(Issuer { name, label, algorithms, jwks, max_age, introspection, subject, groups, second_factor_acr, network })
    }

    fn introspection(&self, written: Spanned<written::Introspection>, network: Network, problems: &mut Problems) -> Option<Introspection> {
        let at = written.span();
        let written = written.into_inner();
        let endpoint = need(written.url, (&at, "url", "url = \"https://login.example.com/token/introspection\""), problems);
        let client_id = need(written.client_id, (&at, "client_id", "client_id = \"bartizan\""), problems);
        let help = "client_secret = \"${env:INTROSPECTION_SECRET}\"";
        let client_secret = need(written.client_secret, (&at, "client_secret", help), problems);
        let cache = within(written.cache, (Duration::from_secs(1), CACHE, MOST_CACHE), problems);
        let client_secret = client_secret.and_then(|written| self.secret(&written, problems));
        let url = url(&endpoint?, network, problems)?;
        Some(Introspection { url, client_id: client_id?.into_inner(), client_secret: client_secret?, cache })
    }

    fn secret(&self, written: &Spanned<String>, problems: &mut Problems) -> Option<Secret> {
        if !written.get_ref().contains("${") {
            problems.blank(written.span());
            let help =
                "write a reference, such as \"${env:INTROSPECTION_SECRET}\" or \"${file:PATH}\"; if this was a real credential, replace it";
            problems.add(Some(written.span()), "the configuration holds no secrets", help);
            return None;
        }
        let resolved = secret::now(written.get_ref(), self.base, self.variables);
        resolved.map_err(|what| problems.add(Some(written.span()), what, "")).ok()
    }

    fn scopes(&self, written: BTreeMap<Spanned<String>, written::Scope>, problems: &mut Problems) -> BTreeMap<String, Granted> {
        let mut scopes = BTreeMap::new();
        for (name, scope) in written {
            let servers = match scope.servers {
                None => self.servers.clone(),
                Some(named) => {
                    for server in named.iter().filter(|server| !self.servers.contains(server.get_ref())) {
                        problems.add(Some(server.span()), format!("there is no server {:?}", server.get_ref()), "");
                    }
                    named.into_iter().map(Spanned::into_inner).collect()
                }
            };
            let granted = Granted { servers, most: scope.effect.unwrap_or(Effect::Destructive) };
            if let Some(name) = scope_name(name, problems) {
                scopes.insert(name, granted);
            }
        }
        scopes
    }
}

/// For every server and effect the scopes to ask for: the required ones, and the one that gives least beyond.
fn steps(scopes: &BTreeMap<String, Granted>, required: &BTreeSet<String>) -> BTreeMap<(String, Effect), String> {
    let mut steps = BTreeMap::new();
    for server in scopes.values().flat_map(|granted| &granted.servers) {
        for effect in [Effect::Read, Effect::Write, Effect::Destructive] {
            let enough = scopes.iter().filter(|(_, granted)| granted.servers.contains(server) && granted.most >= effect);
            let Some((name, _)) = enough.min_by_key(|(_, granted)| (granted.most, granted.servers.len())) else { continue };
            let names: BTreeSet<&String> = required.iter().chain([name]).collect();
            steps.insert((server.clone(), effect), names.into_iter().cloned().collect::<Vec<_>>().join(" "));
        }
    }
    steps
}

fn need(
    written: Option<Spanned<String>>,
    (at, key, help): (&Range<usize>, &str, &str),
    problems: &mut Problems,
) -> Option<Spanned<String>> {
    if written.is_none() {
        problems.add(Some(at.clone()), format!("`{key}` is missing"), help);
    }
    written
}

fn within(written: Option<Spanned<Length>>, (least, usual, most): (Duration, Duration, Duration), problems: &mut Problems) -> Duration {
    let Some(written) = written else { return usual };
    let length = written.get_ref().0;
    if !(least..=most).contains(&length) {
        problems.add(Some(written.span()), format!("{length:?} is not between {least:?} and {most:?}"), "");
    }
    length
}

/// A scope's name (RFC 6749, section 3.3): it also stands in headers.
fn scope_name(written: Spanned<String>, problems: &mut Problems) -> Option<String> {
    let valid = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let text = written.get_ref();
    if text.is_empty() || text.len() > 256 || !text.bytes().all(valid) {
        problems.add(Some(written.span()), "a scope is a word of printable ASCII without quotes and backslashes", "");
        return None;
    }
    Some(written.into_inner())
}

fn algorithms(written: Option<Spanned<Vec<Spanned<String>>>>, problems: &mut Problems) -> BTreeSet<Algorithm> {
    let Some(written) = written else { return Algorithm::USUAL.into() };
    let names: Vec<&str> = Algorithm::ALL.iter().map(|(_, name)| *name).collect();
    let help = format!("the algorithms are: {}", names.join(", "));
    if written.get_ref().is_empty() {
        problems.add(Some(written.span()), "without an algorithm no token can be checked", &help);
    }
    let mut algorithms = BTreeSet::new();
    for name in written.into_inner() {
        match Algorithm::read(name.get_ref()) {
            Some(algorithm) => drop(algorithms.insert(algorithm)),
            None => problems.add(Some(name.span()), format!("{:?} is not an algorithm that proves who signed", name.get_ref()), &help),
        }
    }
    algorithms
}

/// The resource: an absolute URL, no fragment, no query (RFC 8707, RFC 9728), and safe in a header.
fn resource(written: &Spanned<String>, problems: &mut Problems) -> Option<Url> {
    let text = written.get_ref();
    let parsed = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some());
    let plain = |url: &Url| {
        url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains(['"', '\\'])
    };
    let good = parsed.filter(|url| plain(url) && (url.scheme() == "https" || judge::is_loopback(url)));
    if good.is_none() {
        let help = "resource = \"https://mcp.example.com/mcp\"; `http` is for addresses of this machine";
        problems.add(Some(written.span()), "a resource is the https address of this gateway, without query and fragment", help);
    }
    good
}

/// An address to fetch from: https, or http on this machine where that was opted for.
fn url(written: &Spanned<String>, network: Network, problems: &mut Problems) -> Option<Url> {
    let mut no = |what: &str, help: &str| {
        problems.add(Some(written.span()), what, help);
        None
    };
    let Ok(url) = Url::parse(written.get_ref()) else { return no("this is not an address", "") };
    if credential::looks_like(written.get_ref()).is_some() || !url.username().is_empty() || url.password().is_some() {
        return no("the address holds what looks like a credential", "");
    }
    if url.host().is_none() || url.fragment().is_some() || !matches!(url.scheme(), "http" | "https") {
        return no("the address of an issuer begins with `https://`, and has no fragment", "");
    }
    if !network.allows(&url) {
        let help = "use https; for tests on this machine list the issuer in `dangerous.private_issuers`";
        return no("who answers in clear text can be anybody, and would decide who comes in", help);
    }
    Some(url)
}

impl Network {
    /// Whether the scheme of an address is good enough: https, or http to this machine where that is opted for.
    #[must_use]
    pub fn allows(self, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::Private => url.scheme() == "https" || (url.scheme() == "http" && judge::is_loopback(url)),
            Self::Public => url.scheme() == "https",
        }
    }
}
