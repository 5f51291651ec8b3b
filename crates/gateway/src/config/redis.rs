//! From what was written of Redis to what can be used.

use std::net::IpAddr;

use bartizan_meter::Sharing;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::credential;
use super::file;
use super::judge::{self, PlainHttp};
use super::problem::Problems;
use super::secret::{self, Secret};
use super::server::Surroundings;
use super::stores::certificates;

/// What holds when Redis cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// Every gateway counts for itself.
    #[default]
    Local,
    /// Nothing that is counted is allowed.
    Refuse,
}

impl OnLoss {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Refuse => "refuse",
        }
    }
}

impl OnLoss {
    /// How counts are shared then.
    #[must_use]
    pub const fn sharing(self) -> Sharing {
        match self {
            Self::Local => Sharing::Alone,
            Self::Refuse => Sharing::Lost,
        }
    }
}

/// A Redis or Valkey server through which gateways share limits and stops.
#[derive(Debug)]
pub struct Redis {
    /// Its address: `redis` or `rediss`, with a host, without a user.
    pub url: Url,
    /// The database.
    pub database: u32,
    /// Who may have signed its certificate, beside those whom the system trusts.
    pub ca: Vec<CertificateDer<'static>>,
    /// The user, where it is not the default one.
    pub username: Option<String>,
    /// The password, where it wants one.
    pub password: Option<Secret>,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// What holds when it cannot be reached.
    pub on_loss: OnLoss,
}

const PREFIX: &str = "bartizan";

impl Surroundings<'_> {
    /// Judges the Redis server.
    pub(super) fn redis(&self, written: Spanned<file::Redis>, problems: &mut Problems) -> Option<Redis> {
        let at = written.span();
        let written = written.into_inner();
        let Some(url) = &written.url else {
            problems.add(Some(at), "`redis` has no `url`", "url = \"rediss://redis.example.com:6379\"");
            return None;
        };
        let (url, database) = self.redis_url(url, problems)?;
        let password = match &written.password {
            None => None,
            Some(text) => Some(self.password("REDIS_PASSWORD", ("password", text), problems)?),
        };
        let ca = match written.ca {
            None => Vec::new(),
            Some(ca) if url.scheme() == "redis" => {
                problems.add(Some(ca.span()), "a connection in clear text has no certificate", "url = \"rediss://...\"");
                return None;
            }
            Some(ca) => certificates(&ca, self.base, problems)?,
        };
        let prefix = written.prefix.map_or_else(|| Some(PREFIX.to_owned()), |prefix| named(prefix, problems))?;
        let on_loss = written.on_loss.map(Spanned::into_inner).unwrap_or_default();
        Some(Redis { url, database, ca, username: written.username.map(Spanned::into_inner), password, prefix, on_loss })
    }

    /// A password or the like: a reference, such as to this variable.
    pub(super) fn password(&self, usual: &str, (key, text): (&str, &Spanned<String>), problems: &mut Problems) -> Option<Secret> {
        if !text.get_ref().contains("${") {
            problems.blank(text.span());
            let help = format!("write a reference: {key} = \"${{env:{usual}}}\"");
            problems.add(Some(text.span()), "the configuration holds no secrets", &help);
            return None;
        }
        let resolved = secret::now(text.get_ref(), self.base, self.variables);
        resolved.map_err(|what| problems.add(Some(text.span()), what, "")).ok()
    }

    fn redis_url(&self, written: &Spanned<String>, problems: &mut Problems) -> Option<(Url, u32)> {
        let mut no = |what: &str, help: &str| {
            problems.add(Some(written.span()), what, help);
            None
        };
        if credential::looks_like(written.get_ref()).is_some() {
            return no("the address holds what looks like a credential", "use `username` and `password`");
        }
        let url = Url::parse(written.get_ref()).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
        let Some(url) = url else {
            return no("the address of a Redis server begins with `rediss://` or `redis://`", "url = \"rediss://redis.example.com:6379\"");
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return no("the address has no user and no options", "use `username` and `password`");
        }
        let Some(database) = number(url.path().trim_start_matches('/')) else {
            return no("what follows the host is the number of the database", "");
        };
        // For a scheme that is not of the web, an address of digits is read as a name.
        let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let local = judge::is_loopback(&url) || address.is_some_and(|address| address.is_loopback());
        if url.scheme() == "redis" && self.plain == PlainHttp::Loopback && !local {
            let help = "use rediss; `dangerous.plain_http_beyond_loopback = true` accepts the risk";
            return no("the password and all counts would travel to this server in clear text", help);
        }
        Some((url, database))
    }
}

fn number(text: &str) -> Option<u32> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

fn named(prefix: Spanned<String>, problems: &mut Problems) -> Option<String> {
    if judge::is_label(prefix.get_ref()) {
        return Some(prefix.into_inner());
    }
    let help = "a prefix is 1 to 64 of letters, digits, `.`, `_`, `@` and `-`, and begins with a letter or digit";
    problems.add(Some(prefix.span()), format!("{:?} cannot be a prefix", prefix.get_ref()), help);
    None
}
