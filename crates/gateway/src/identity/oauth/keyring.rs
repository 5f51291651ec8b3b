//! The keys of one issuer over time: fetched when they are needed, again when they are old or a token names
//! one that is not there, and good for a while when the issuer cannot be reached. What it answers replaces what it
//! answered before, even with nothing: so it takes back keys that were stolen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bartizan_monitor::wire::json::{Json, View};
use url::Url;

use super::keys::KeySet;
use crate::clock;
use crate::config::Issuer;
use crate::upstream::Fetcher;

/// How long to wait before fetching again, whatever happens: tokens that name unknown keys cost nothing.
const PAUSE_MS: u64 = 10_000;
/// How much older than usual keys may be while the issuer cannot be reached.
const GRACE: Duration = Duration::from_secs(3600);
/// How long finding and fetching keys may take in all.
const LONGEST: Duration = Duration::from_secs(10);

/// The keys of one issuer.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    current: ArcSwapOption<KeySet>,
    /// When they were last asked for, in milliseconds since the Unix epoch; 0 is never.
    tried_ms: AtomicU64,
    fetching: tokio::sync::Mutex<()>,
}

impl Keyring {
    /// The keys that may be used now.
    pub(super) fn usable(&self, issuer: &Issuer, now_ms: u64) -> Option<Arc<KeySet>> {
        let oldest = clock::millis(issuer.max_age.saturating_add(GRACE));
        self.current.load_full().filter(|set| now_ms.abs_diff(set.fetched_ms) <= oldest)
    }

    /// Whether it is time to fetch them again.
    pub(super) fn is_due(&self, issuer: &Issuer, now_ms: u64) -> bool {
        let max_age = clock::millis(issuer.max_age);
        let is_old = self.current.load().as_ref().is_none_or(|set| now_ms.abs_diff(set.fetched_ms) > max_age);
        is_old && !self.is_tried(now_ms)
    }

    fn is_tried(&self, now_ms: u64) -> bool {
        let tried = self.tried_ms.load(Ordering::Acquire);
        // A clock that was set back does not keep the keys from being fetched.
        tried != 0 && now_ms.abs_diff(tried) < PAUSE_MS
    }

    /// Fetches the keys, unless somebody has just done so. Whoever comes meanwhile waits for the same answer.
    pub(super) async fn refresh(&self, fetcher: &Fetcher, issuer: &Issuer, now_ms: u64) {
        let _fetching = self.fetching.lock().await;
        if self.is_tried(now_ms) {
            return;
        }
        self.tried_ms.store(now_ms, Ordering::Release);
        let fetched = tokio::time::timeout(LONGEST, fetch(fetcher, issuer)).await.unwrap_or_else(|_| Err("it took too long".to_owned()));
        match fetched.and_then(|document| KeySet::read(document, issuer.algorithms.iter().copied(), now_ms)) {
            Ok(set) => {
                if set.is_empty() {
                    tracing::error!(issuer = %issuer.name, "an issuer publishes no key that can be used: none of its signed tokens is good");
                }
                self.current.store(Some(Arc::new(set)));
            }
            Err(error) => tracing::error!(issuer = %issuer.name, %error, "the keys of an issuer cannot be fetched"),
        }
    }
}

async fn fetch(fetcher: &Fetcher, issuer: &Issuer) -> Result<bytes::Bytes, String> {
    let url = match &issuer.jwks {
        Some(url) => url.clone(),
        None => discover(fetcher, issuer).await?,
    };
    fetcher.get(&url, issuer.network).await
}

/// Finds the keys through the issuer's metadata (RFC 8414, section 3; OpenID Connect Discovery 1.0, section 4),
/// in the order that the MCP specification gives.
async fn discover(fetcher: &Fetcher, issuer: &Issuer) -> Result<Url, String> {
    let mut failed = Vec::new();
    for place in places(&issuer.name)? {
        let document = match fetcher.get(&place, issuer.network).await {
            Ok(document) => document,
            Err(error) => {
                failed.push(error);
                continue;
            }
        };
        return jwks_uri(document, issuer).map_err(|what| format!("{place}: {what}"));
    }
    Err(failed.join("; "))
}

fn places(issuer: &str) -> Result<Vec<Url>, String> {
    let url = Url::parse(issuer).map_err(|error| error.to_string())?;
    let (origin, path) = (url.origin().ascii_serialization(), url.path().trim_end_matches('/'));
    let mut places =
        vec![format!("{origin}/.well-known/oauth-authorization-server{path}"), format!("{origin}/.well-known/openid-configuration{path}")];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    places.iter().map(|place| Url::parse(place).map_err(|error| error.to_string())).collect()
}

/// Metadata that was written for another issuer would bring in another issuer's keys.
fn jwks_uri(document: bytes::Bytes, issuer: &Issuer) -> Result<Url, String> {
    let json = Json::parse(document).map_err(|error| error.to_string())?;
    let text = |key: &str| json.view().get(key).and_then(View::as_str);
    match text("issuer") {
        Some(found) if found == issuer.name => {}
        found => return Err(format!("it is the metadata of {found:?}, and not of {:?}", issuer.name)),
    }
    let uri = text("jwks_uri").ok_or("no `jwks_uri`")?;
    Url::parse(&uri).map_err(|error| format!("`jwks_uri`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specification_says() {
        let of = |issuer: &str| places(issuer).expect("places").iter().map(ToString::to_string).collect::<Vec<_>>();
        let own = "https://a.example/.well-known";
        let both = [format!("{own}/oauth-authorization-server"), format!("{own}/openid-configuration")];
        assert_eq!(of("https://a.example"), both);
        assert_eq!(of("https://a.example/"), both);
        let tenant = [
            format!("{own}/oauth-authorization-server/t/1"),
            format!("{own}/openid-configuration/t/1"),
            "https://a.example/t/1/.well-known/openid-configuration".to_owned(),
        ];
        assert_eq!(of("https://a.example/t/1"), tenant);
    }
}
