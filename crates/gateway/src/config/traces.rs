//! Where it is told how long calls take: `[traces]`.

use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::Secret;
use super::problem::Problems;
use super::server::Surroundings;

/// One call in a hundred.
const SHARE: f64 = 0.01;

/// As it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    /// Where a collector takes spans (OTLP over HTTP).
    url: Option<Spanned<String>>,
    /// What it is shown as `Authorization: Bearer`, as a reference.
    token: Option<Spanned<String>>,
    /// How many calls are followed, of all: above 0, up to 1.
    share: Option<Spanned<f64>>,
}

/// Where spans are told, and of how many calls.
#[derive(Debug)]
pub struct Traces {
    /// The address: `https`, or `http` on this machine.
    pub url: url::Url,
    /// What it is shown.
    pub token: Option<Arc<Secret>>,
    /// Of how many calls, of all: above 0, up to 1.
    pub share: f64,
}

impl Surroundings<'_> {
    /// Judges `[traces]`.
    pub(super) fn traces(&self, written: Spanned<Written>, problems: &mut Problems) -> Option<Arc<Traces>> {
        let at = written.span();
        let Written { url, token, share } = written.into_inner();
        if let Some(share) = share.as_ref().filter(|share| !(*share.get_ref() > 0.0 && *share.get_ref() <= 1.0)) {
            let what = format!("{} is not a share of all calls: above 0, up to 1", share.get_ref());
            problems.add(Some(share.span()), what, "share = 0.01, and without `[traces]` no call is followed");
        }
        let token = match token {
            Some(token) => Some(Arc::new(self.password("COLLECTOR_TOKEN", ("token", &token), problems)?)),
            None => None,
        };
        let Some(url) = url else {
            problems.add(Some(at), "there is no collector to tell", "url = \"http://127.0.0.1:4318/v1/traces\"");
            return None;
        };
        let url = self.url(&url, problems)?;
        Some(Arc::new(Traces { url, token, share: share.map_or(SHARE, Spanned::into_inner) }))
    }
}
