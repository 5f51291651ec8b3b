//! What the gateway shows a server that is reached over HTTP: headers for all calls, for those of an effect, for
//! those of one tool, and access tokens that it asks an authorization server for.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_monitor::case::Effect;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::problem::Problems;
use super::secret::Template;
use super::server::{Surroundings, Values};
use super::stores;

/// What the gateway says itself in every request to a server.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `[servers.NAME.tools.TOOL]` and `[servers.NAME.effects.EFFECT]`, as they were written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenPart {
    /// What is sent with these calls, over what is sent with all.
    pub(super) headers: Values,
}

/// `[servers.NAME.oauth]`, as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenLogin {
    grant: Option<Spanned<String>>,
    token_url: Option<Spanned<String>>,
    client_id: Option<Spanned<String>>,
    client_secret: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    audience: Option<Spanned<String>>,
    scopes: Vec<Spanned<String>>,
}

/// Names and values of headers; the values are resolved for every request.
pub type Headers = Vec<(String, Template)>;

/// What the gateway shows a server.
#[derive(Debug, Default)]
pub struct Access {
    /// What is sent with every request.
    pub headers: Headers,
    /// What is sent with calls of tools of an effect, over that.
    pub effects: BTreeMap<Effect, Headers>,
    /// What is sent with calls of a tool, over both.
    pub tools: BTreeMap<String, Headers>,
    /// Where an access token comes from.
    pub login: Option<Box<Login>>,
}

/// How an access token for a server is had.
#[derive(Debug)]
pub struct Login {
    /// In which way.
    pub grant: Grant,
    /// Where: https, or http on this machine.
    pub token_url: Url,
    /// The gateway's name there.
    pub client_id: String,
    /// Its secret there.
    pub client_secret: Template,
    /// What the token is for (RFC 8707): the server's address when nothing else is written.
    pub resource: String,
    /// The same by a name that the authorization server knows (RFC 8693, section 2.1).
    pub audience: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
}

/// The ways to an access token. A way that needs a person at a browser would be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// One token for everybody: the gateway speaks for itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// One for each caller, in exchange for the caller's own, which goes to the token endpoint and nowhere else (RFC 8693).
    TokenExchange,
}

impl Access {
    /// Whether the server is spoken to with tokens that callers' own were exchanged for.
    #[must_use]
    pub fn exchanges(&self) -> bool {
        self.login.as_ref().is_some_and(|login| login.grant == Grant::TokenExchange)
    }

    /// Every value in it, with where it stands.
    pub fn templates(&self) -> impl Iterator<Item = (String, &Template)> {
        let all = self.headers.iter().map(|(name, value)| (format!("headers.{name}"), value));
        let effects = self.effects.iter().flat_map(move |(effect, headers)| {
            headers.iter().map(move |(name, value)| (format!("effects.{}.headers.{name}", effect.name()), value))
        });
        let tools = self
            .tools
            .iter()
            .flat_map(|(tool, headers)| headers.iter().map(move |(name, value)| (format!("tools.{tool}.headers.{name}"), value)));
        let login = self.login.iter().map(|login| ("oauth.client_secret".to_owned(), &login.client_secret));
        all.chain(effects).chain(tools).chain(login)
    }
}

/// What was written of it.
pub(super) struct Written {
    pub(super) headers: Values,
    pub(super) effects: BTreeMap<Spanned<String>, WrittenPart>,
    pub(super) tools: BTreeMap<Spanned<String>, WrittenPart>,
    pub(super) oauth: Option<Spanned<WrittenLogin>>,
}

impl Surroundings<'_> {
    /// Judges what the gateway shows the server at `url`.
    pub(super) fn access(&self, written: Written, url: Option<&Url>, problems: &mut Problems) -> Access {
        let authorization = written.headers.keys().find(|key| key.get_ref().eq_ignore_ascii_case("authorization")).map(Spanned::span);
        if let (Some(at), Some(_)) = (authorization, &written.oauth) {
            problems.add(Some(at), "`oauth` sends an Authorization header itself", "keep one of them");
        }
        let headers = self.headers(written.headers, problems);
        let mut effects = BTreeMap::new();
        for (name, part) in written.effects {
            match [Effect::Read, Effect::Write, Effect::Destructive].into_iter().find(|effect| effect.name() == name.get_ref()) {
                Some(effect) => drop(effects.insert(effect, self.headers(part.headers, problems))),
                None => problems.add(
                    Some(name.span()),
                    format!("{:?} is not an effect", name.get_ref()),
                    "the effects are: read, write, destructive",
                ),
            }
        }
        let tools = written.tools.into_iter().map(|(name, part)| (name.into_inner(), self.headers(part.headers, problems))).collect();
        let login = written.oauth.and_then(|oauth| self.login(oauth, url, problems)).map(Box::new);
        Access { headers, effects, tools, login }
    }

    fn headers(&self, written: Values, problems: &mut Problems) -> Headers {
        let name = |name: &str| {
            let lower = name.to_ascii_lowercase();
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                Err("this is not a header's name")
            } else if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("mcp-") || lower.starts_with("proxy-") {
                Err("the gateway sets this header itself")
            } else {
                Ok(())
            }
        };
        let value = |value: &str| {
            HeaderValue::from_str(value).map(|_| ()).map_err(|_| "the value has characters that no header may have, such as a line feed")
        };
        let mut seen = BTreeSet::new();
        for key in written.keys().filter(|key| !seen.insert(key.get_ref().to_ascii_lowercase())) {
            problems.add(Some(key.span()), "this header stands twice; upper and lower case are the same", "");
        }
        self.values(written, name, value, problems)
    }

    fn login(&self, written: Spanned<WrittenLogin>, url: Option<&Url>, problems: &mut Problems) -> Option<Login> {
        let at = written.span();
        let written = written.into_inner();
        let mut need = |value: Option<Spanned<String>>, key: &str, help: &str| {
            if value.is_none() {
                problems.add(Some(at.clone()), format!("`{key}` is missing"), help);
            }
            value
        };
        let grant = need(written.grant, "grant", "grant = \"client_credentials\", or grant = \"token_exchange\"");
        let token_url = need(written.token_url, "token_url", "token_url = \"https://login.example.com/token\"");
        let client_id = need(written.client_id, "client_id", "client_id = \"bartizan\"");
        let client_secret = need(written.client_secret, "client_secret", "client_secret = \"${file:client-secret}\"");
        let grant = grant.and_then(|grant| match grant.get_ref().as_str() {
            "client_credentials" => Some(Grant::ClientCredentials),
            "token_exchange" => Some(Grant::TokenExchange),
            other => {
                let help = "grant = \"client_credentials\", or grant = \"token_exchange\"";
                problems.add(Some(grant.span()), format!("{other:?} is not a way to get a token"), help);
                None
            }
        });
        let token_url = token_url.and_then(|token_url| stores::url(&token_url, problems));
        let client_secret = client_secret.and_then(|written| self.reference(&written, problems));
        let resource = match written.resource {
            None => url.map(ToString::to_string),
            Some(resource) if Url::parse(resource.get_ref()).is_ok_and(|url| url.fragment().is_none()) => Some(resource.into_inner()),
            Some(resource) => {
                problems.add(Some(resource.span()), "a resource is an absolute address without a fragment (RFC 8707)", "");
                None
            }
        };
        let scopes = written.scopes.into_iter().map(Spanned::into_inner).collect();
        let audience = written.audience.map(Spanned::into_inner);
        Some(Login {
            grant: grant?,
            token_url: token_url?,
            client_id: client_id?.into_inner(),
            client_secret: client_secret?,
            resource: resource?,
            audience,
            scopes,
        })
    }

    /// A value that must be a reference.
    pub(super) fn reference(&self, written: &Spanned<String>, problems: &mut Problems) -> Option<Template> {
        if !written.get_ref().contains("${") {
            problems.blank(written.span());
            let help = "write a reference, such as \"${env:VAR}\" or \"${file:PATH}\"; if this was a real credential, replace it";
            problems.add(Some(written.span()), "the configuration holds no secrets", help);
            return None;
        }
        let read = Template::read(written.get_ref(), self.base).and_then(|template| self.stores.covers(&template).map(|()| template));
        read.map_err(|what| problems.add(Some(written.span()), what, "")).ok()
    }
}
