//! Who is told of what, beside the log and the journal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::Spanned;

use super::problem::Problems;
use super::server::Surroundings;
use super::{Secret, file, secret};

/// Where events are posted to.
#[derive(Debug)]
pub struct Webhook {
    /// The address: `https`, or `http` on this machine.
    pub url: url::Url,
    /// What events are signed with.
    pub secret: Secret,
}

/// Values that nobody has a reason to send.
#[derive(Debug)]
pub struct Canaries {
    /// By name.
    pub values: Vec<(Arc<str>, Arc<Secret>)>,
    /// Whether who sends one is suspended, beyond its session.
    pub suspend_client: bool,
}

/// A shorter canary would be met by chance.
const CANARY: usize = 12;

/// Whether a secret is something to sign with. What begins like those that such services make is base64.
fn is_key(secret: &str) -> bool {
    match secret.strip_prefix("whsec_") {
        Some(rest) => STANDARD.decode(rest).is_ok_and(|key| !key.is_empty()),
        None => !secret.is_empty(),
    }
}

/// Judges `[metrics]`: whoever can reach the address can read the numbers.
pub(super) fn metrics(written: file::Metrics, problems: &mut Problems) -> Option<SocketAddr> {
    let listen = written.listen?;
    if !listen.get_ref().ip().is_loopback() {
        let what = format!("{} is not an address of this machine alone, and who reads metrics is not asked who it is", listen.get_ref());
        problems.add(Some(listen.span()), what, "listen = \"127.0.0.1:9464\", and let a collector on this machine read it");
    }
    Some(listen.into_inner())
}

/// How often what servers offer is compared with the lock file when nobody asks.
const PROBE: Duration = Duration::from_secs(15 * 60);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Judges `[drift]`.
pub(super) fn probe_every(written: file::Drift, problems: &mut Problems) -> Duration {
    let Some(every) = written.probe_every else { return PROBE };
    if !(SHORTEST..=LONGEST).contains(&every.get_ref().0) {
        problems.add(Some(every.span()), "the probe comes once a second at most, and once a day at least", "probe_every = \"15m\"");
    }
    every.into_inner().0
}

impl Surroundings<'_> {
    /// Judges `[canaries]`.
    pub(super) fn canaries(&self, written: file::Canaries, problems: &mut Problems) -> Canaries {
        let file::Canaries { values, suspend_client } = written;
        let mut known = Vec::with_capacity(values.len());
        for (name, value) in values {
            if !value.get_ref().contains("${") {
                let help = "write a reference, such as \"${file:PATH}\": a canary that stands here is read with the configuration";
                problems.add(Some(value.span()), "the configuration holds no secrets", help);
                continue;
            }
            match secret::now(value.get_ref(), self.base, self.variables) {
                Ok(secret) if secret.expose().len() >= CANARY => known.push((name.into(), Arc::new(secret))),
                Ok(_) => problems.add(Some(value.span()), "a canary has at least 12 bytes: a shorter one would be met by chance", ""),
                Err(what) => problems.add(Some(value.span()), what, ""),
            }
        }
        Canaries { values: known, suspend_client }
    }

    /// Judges `[webhook]`.
    pub(super) fn webhook(&self, written: Spanned<file::Webhook>, problems: &mut Problems) -> Option<Webhook> {
        let at = written.span();
        let file::Webhook { url, secret } = written.into_inner();
        let mut need = |value: Option<Spanned<String>>, help: &str| {
            if value.is_none() {
                problems.add(Some(at.clone()), "a webhook has an address and a secret that events are signed with", help);
            }
            value
        };
        let url = need(url, "url = \"https://alerts.example.com/bartizan\"");
        let written = need(secret, "secret = \"${env:WEBHOOK_SECRET}\"");
        let url = url.and_then(|url| self.url(&url, problems));
        let written = written?;
        if !written.get_ref().contains("${") {
            problems.blank(written.span());
            let help = "write a reference, such as \"${env:WEBHOOK_SECRET}\" or \"${file:PATH}\"; if this was a real secret, replace it";
            problems.add(Some(written.span()), "the configuration holds no secrets", help);
            return None;
        }
        match secret::now(written.get_ref(), self.base, self.variables) {
            Ok(secret) if is_key(secret.expose()) => Some(Webhook { url: url?, secret }),
            Ok(_) => {
                let help = "use the secret as the receiver gave it: `whsec_` and base64, or any other text that is not empty";
                problems.add(Some(written.span()), "this is no key: whoever signs with nothing can be imitated", help);
                None
            }
            Err(what) => {
                problems.add(Some(written.span()), what, "");
                None
            }
        }
    }
}
