//! HashiCorp Vault and OpenBao: KV version 2, with a token or as an AppRole. The token is renewed before it expires.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::json::{Json, View};
use http::{Method, StatusCode};
use tokio::sync::Mutex;
use url::Url;
use zeroize::Zeroizing;

use super::{Found, Holdings, PAUSE, answer, missing, near_value, unavailable};
use crate::clock::{self, Stopwatch};
use crate::config::{Network, Secret, Vault, VaultLogin};
use crate::upstream::{Ask, Fetcher};

/// How often it is looked whether the token needs renewal, at least and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// A Vault, and the gateway's token there.
#[derive(Debug)]
pub(super) struct Client {
    config: Vault,
    // What is wrong with the certificates shows when it is asked.
    fetcher: Result<Fetcher, String>,
    holdings: Arc<Holdings>,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
enum Slot {
    /// Nobody has logged in yet.
    #[default]
    Empty,
    Held(Lease),
    /// Logging in failed a moment ago.
    Failed(Stopwatch, Refusal),
}

/// A token and how long it is good.
#[derive(Debug)]
struct Lease {
    token: Arc<Secret>,
    got: Stopwatch,
    /// Without end when there is none.
    ttl: Option<Duration>,
    renewable: bool,
}

impl Lease {
    fn read(token: Arc<Secret>, seconds: Option<i64>, renewable: Option<bool>) -> Self {
        let ttl = seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self { token, got: Stopwatch::start(), ttl, renewable: renewable.unwrap_or(false) }
    }

    fn is_good(&self) -> bool {
        self.ttl.is_none_or(|ttl| self.got.elapsed() < ttl)
    }

    /// Two thirds of its time are over.
    fn is_due(&self) -> bool {
        self.renewable && self.ttl.is_some_and(|ttl| self.got.elapsed() >= ttl.saturating_mul(2).checked_div(3).unwrap_or(ttl))
    }
}

impl Client {
    pub(super) fn new(config: Vault, holdings: Arc<Holdings>) -> Self {
        let fetcher = if config.ca.is_empty() { Ok(Fetcher::default()) } else { Fetcher::trusting(&config.ca) };
        Self { config, fetcher, slot: Mutex::default(), holdings }
    }

    /// Reads a field of a secret.
    pub(super) async fn read(&self, path: &str, field: &str) -> Result<Found, Refusal> {
        let (mount, rest) = self.split(path);
        let parts: Vec<&str> = mount.split('/').chain(["data"]).chain(rest.split('/')).collect();
        let token = self.token().await?;
        let (mut status, mut body) = self.ask(Method::GET, &parts, Some(&token), Zeroizing::default()).await?;
        if status == StatusCode::FORBIDDEN {
            // The token may have been revoked, and another one may be good. One that is new was refused itself.
            self.drop_token(&token).await;
            let other = self.token().await?;
            if other.expose() != token.expose() {
                (status, body) = self.ask(Method::GET, &parts, Some(&other), Zeroizing::default()).await?;
            }
        }
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(missing("the store has no such secret, or its newest version was deleted")),
            other => return Err(refused(other)),
        }
        let json = answer::read(body)?;
        let data = json.view().at(&["data", "data"]).filter(|data| !data.is_null());
        let data = data.ok_or_else(|| unavailable("what it answered is not a secret of KV version 2"))?;
        let value = answer::field(data.get(field), field)?;
        let metadata = json.view().at(&["data", "metadata"]);
        let version = metadata.and_then(|metadata| metadata.get("version")).and_then(View::as_i64).map(|version| version.to_string());
        let made = metadata.and_then(|metadata| metadata.get("created_time")).and_then(View::as_str);
        Ok(Found { value: Arc::new(value), version, made_ms: made.and_then(|made| clock::read_utc(&truncated(&made))) })
    }

    /// The mount of a path, and the rest.
    fn split<'p>(&'p self, path: &'p str) -> (&'p str, &'p str) {
        let own = self.config.mount.as_deref();
        let configured = own.and_then(|mount| Some((mount, path.strip_prefix(mount)?.strip_prefix('/')?)));
        configured.or_else(|| path.split_once('/')).unwrap_or((path, ""))
    }

    async fn token(&self) -> Result<Arc<Secret>, Refusal> {
        let mut slot = self.slot.lock().await;
        let configured = match &self.config.login {
            VaultLogin::Token(token) => Some(near_value(token, &self.holdings)?),
            VaultLogin::AppRole { .. } => None,
        };
        match &*slot {
            // A token that was replaced where it is kept is another token.
            Slot::Held(lease) if lease.is_good() && configured.as_ref().is_none_or(|own| own.expose() == lease.token.expose()) => {
                return Ok(lease.token.clone());
            }
            Slot::Failed(at, refusal) if at.elapsed() < PAUSE => return Err(refusal.clone()),
            Slot::Held(_) | Slot::Failed(..) | Slot::Empty => {}
        }
        match self.login(configured).await {
            Ok(lease) => {
                let token = lease.token.clone();
                *slot = Slot::Held(lease);
                Ok(token)
            }
            Err(refusal) => {
                *slot = Slot::Failed(Stopwatch::start(), refusal.clone());
                Err(refusal)
            }
        }
    }

    async fn login(&self, configured: Option<Arc<Secret>>) -> Result<Lease, Refusal> {
        match (&self.config.login, configured) {
            (VaultLogin::AppRole { mount, role_id, secret_id }, _) => {
                let (role_id, secret_id) = (near_value(role_id, &self.holdings)?, near_value(secret_id, &self.holdings)?);
                let body = BTreeMap::from([("role_id", role_id.expose()), ("secret_id", secret_id.expose())]);
                let body = Zeroizing::new(serde_json::to_vec(&body).map_err(|_| unavailable("the login cannot be written"))?);
                let parts: Vec<&str> = ["auth"].into_iter().chain(mount.split('/')).chain(["login"]).collect();
                let json = self.good(Method::POST, &parts, None, body).await?;
                let auth = json.view().get("auth").ok_or_else(|| unavailable("what it answered to the login is not a token"))?;
                let token = Arc::new(answer::field(auth.get("client_token"), "client_token")?);
                self.holdings.learn(&token);
                Ok(Lease::read(token, auth.get("lease_duration").and_then(View::as_i64), auth.get("renewable").and_then(View::as_bool)))
            }
            (VaultLogin::Token(_), Some(token)) => {
                let json = self.good(Method::GET, &["auth", "token", "lookup-self"], Some(&token), Zeroizing::default()).await?;
                let data = json.view().get("data").ok_or_else(|| unavailable("what it answered about the token is not understood"))?;
                Ok(Lease::read(token, data.get("ttl").and_then(View::as_i64), data.get("renewable").and_then(View::as_bool)))
            }
            (VaultLogin::Token(_), None) => Err(unavailable("there is no token")),
        }
    }

    /// Forgets a token that was refused.
    async fn drop_token(&self, token: &Arc<Secret>) {
        let mut slot = self.slot.lock().await;
        if matches!(&*slot, Slot::Held(lease) if lease.token.expose() == token.expose()) {
            *slot = Slot::Empty;
        }
    }

    /// Renews the token before it expires, again and again.
    pub(super) async fn tend(&self) {
        loop {
            let ttl = match &*self.slot.lock().await {
                Slot::Held(lease) => lease.ttl,
                Slot::Empty | Slot::Failed(..) => None,
            };
            tokio::time::sleep(ttl.map_or(LOOK.1, |ttl| ttl / 6).clamp(LOOK.0, LOOK.1)).await;
            self.renew().await;
        }
    }

    async fn renew(&self) {
        let token = match &*self.slot.lock().await {
            Slot::Held(lease) if lease.is_due() => lease.token.clone(),
            Slot::Held(_) | Slot::Empty | Slot::Failed(..) => return,
        };
        // Nobody waits for this: who needs the token meanwhile has it.
        let renewed = self.good(Method::POST, &["auth", "token", "renew-self"], Some(&token), Zeroizing::new(b"{}".to_vec())).await;
        match renewed {
            Ok(json) => {
                let auth = json.view().get("auth");
                let member = |name: &str| auth.and_then(|auth| auth.get(name));
                let lease = Lease::read(
                    token.clone(),
                    member("lease_duration").and_then(View::as_i64),
                    member("renewable").and_then(View::as_bool),
                );
                let mut slot = self.slot.lock().await;
                if matches!(&*slot, Slot::Held(held) if held.token.expose() == token.expose()) {
                    *slot = Slot::Held(lease);
                }
            }
            Err(refusal) => tracing::warn!(detail = %refusal.detail, "the gateway's token at the secret store was not renewed"),
        }
    }

    async fn good(&self, method: Method, parts: &[&str], token: Option<&Secret>, body: Zeroizing<Vec<u8>>) -> Result<Json, Refusal> {
        let (status, body) = self.ask(method, parts, token, body).await?;
        if status == StatusCode::OK { answer::read(body) } else { Err(refused(status)) }
    }

    async fn ask(
        &self,
        method: Method,
        parts: &[&str],
        token: Option<&Secret>,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<(StatusCode, bytes::Bytes), Refusal> {
        let url = self.url(parts).ok_or_else(|| unavailable("the address of the store cannot have a path"))?;
        let mut headers = vec![("x-vault-request", "true"), ("content-type", "application/json")];
        headers.extend(token.map(|token| ("x-vault-token", token.expose())));
        headers.extend(self.config.namespace.as_deref().map(|namespace| ("x-vault-namespace", namespace)));
        let fetcher = self.fetcher.as_ref().map_err(|error| unavailable(error.clone()))?;
        fetcher.ask(&url, Network::Private, Ask { method, headers: &headers, body }).await.map_err(unavailable)
    }

    fn url(&self, parts: &[&str]) -> Option<Url> {
        let mut url = self.config.address.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push("v1").extend(parts);
        Some(url)
    }
}

/// Why the store did not do it, by its status alone: what it wrote about that could be anything.
fn refused(status: StatusCode) -> Refusal {
    unavailable(match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => {
            format!("the store does not let the gateway in (HTTP {})", status.as_u16())
        }
        StatusCode::SERVICE_UNAVAILABLE => "the store is sealed, or not ready (HTTP 503)".to_owned(),
        other => format!("the store answered HTTP {}", other.as_u16()),
    })
}

/// A time with at most three digits of a fraction: Vault writes nine.
fn truncated(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|time| time.split_once('.')) {
        Some((whole, fraction)) => format!("{whole}.{}Z", fraction.chars().take(3).collect::<String>()),
        None => time.to_owned(),
    }
}
