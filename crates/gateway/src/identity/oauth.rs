//! Access tokens of other issuers: the gateway as an OAuth 2.1 resource server (MCP 2026-07-28, authorization).
//!
//! A token is good when an issuer that the operator named signed it, or says so when asked, for this gateway
//! and for now. Nothing in a token leads anywhere: no address is fetched that does not come from the
//! configuration or the configured issuer's own metadata. What cannot be verified is not taken.

mod asking;
mod claims;
mod jwt;
mod keyring;
mod keys;
mod known;
mod metadata;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use bartizan_monitor::case::{Caller, Strength};
use bartizan_monitor::reason::gateway::{
    IDENTITY_ALGORITHM, IDENTITY_EXPIRED, IDENTITY_INVALID, IDENTITY_ISSUER, IDENTITY_REVOKED, IDENTITY_UNAVAILABLE,
};
use bartizan_monitor::reason::{Reason, Refusal};
use bartizan_monitor::wire::json::{Json, View};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::certificate::{self, Certificate};
use super::token;
use crate::clock;
use crate::config::{self, Exchanged, Introspection, Issuer};
use crate::secrets::Subject;
use crate::upstream::{Fetcher, Form};
use asking::{Questions, Standing};
use claims::{Bearer, Bound, Source};
use keyring::Keyring;
use keys::KeySet;
use known::{Entry, Known, Print, Proof};

/// How long a token may be.
const MAX_TOKEN: usize = 16 * 1024;
/// How much longer than usual an answer holds for what runs, while the question is asked again.
const GRACE_MS: u64 = 30_000;

/// The issuers that are trusted, their keys, and the tokens that were verified.
#[derive(Debug)]
pub struct OAuth {
    config: Arc<config::OAuth>,
    keyrings: Vec<Keyring>,
    known: Mutex<Known>,
    fetcher: Fetcher,
    questions: Questions,
    // Background work needs to hold on to what it works for.
    own: std::sync::Weak<Self>,
}

/// What a remembered token is worth now.
enum Worth {
    Good,
    /// Good for what runs; whoever sends a message has to wait for a new answer.
    Old,
    /// The answer is too old for anything.
    Lapsed,
    Expired,
    /// Its key is not one of the issuer's any more.
    Unsigned,
}

/// The one bearer token of a request that is not one of the gateway's own, if that is what it shows.
pub(super) fn foreign<'h>(authorization: &[&'h [u8]]) -> Option<&'h str> {
    let [value] = authorization else { return None };
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let is_foreign = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.starts_with(token::PREFIX);
    is_foreign.then_some(token)
}

/// What stands for a token: never the token itself, and made on every call.
fn print_of(token: &str) -> Print {
    let mut print = [0; SHA256_OUTPUT_LEN];
    print.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    print
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are whole after every statement, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(what: impl Into<String>) -> Refusal {
    Refusal::new(IDENTITY_UNAVAILABLE, what).retry_after(1000)
}

impl OAuth {
    pub(super) fn new(config: Arc<config::OAuth>) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            keyrings: config.issuers.iter().map(|_| Keyring::default()).collect(),
            config,
            known: Mutex::default(),
            fetcher: Fetcher::default(),
            questions: Questions::default(),
            own: own.clone(),
        })
    }

    /// The metadata of the gateway as a protected resource, for the paths that have it: the gateway's own, and
    /// those of endpoints, whether they exist or not, so that asking teaches nothing.
    #[must_use]
    pub fn metadata(&self, path: &str) -> Option<Json> {
        let of = path.strip_prefix(metadata::WELL_KNOWN)?;
        let is_endpoint = of.strip_prefix("/mcp/").is_some_and(|name| !name.is_empty() && !name.contains('/'));
        (matches!(of, "" | "/" | "/mcp") || is_endpoint || of == self.config.resource.path()).then(|| metadata::document(&self.config))
    }

    /// Whether a scope names this server, rather than all of them.
    pub(super) fn names(&self, server: &str) -> bool {
        self.config.named.contains(server)
    }

    /// The value of `WWW-Authenticate` that goes with a refusal; `scope` is what the operation needs.
    #[must_use]
    pub fn challenge(&self, reason: Reason, scope: Option<&str>) -> String {
        metadata::challenge(&self.config, reason, scope)
    }

    /// Finds out who bears a token. One that is bound to a certificate is good on its connections only.
    pub(super) async fn resolve(&self, (token, shown): (&str, Option<&Certificate>), now_ms: u64) -> Result<Caller, Refusal> {
        let Bound { caller, to } = self.find(token, now_ms).await?;
        certificate::fits(to.as_ref(), shown)?;
        Ok(caller)
    }

    async fn find(&self, token: &str, now_ms: u64) -> Result<Bound, Refusal> {
        if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::new(IDENTITY_INVALID, "the bearer token is too long, or not one word"));
        }
        let print = print_of(token);
        if let Some(known) = self.remembered(&print, now_ms) {
            return known;
        }
        if jwt::is_signed(token) { self.verify(token, print, now_ms).await } else { self.ask(token, print, now_ms).await }
    }

    fn tokens_of(&self, caller: &Caller) -> Vec<(Print, Entry)> {
        // What a certificate added to the caller is not the token's.
        let own = Strength { certificate: None, ..caller.strength().clone() };
        held(&self.known).of(&caller.clone().with_strength(own))
    }

    /// The good token of a caller that lasts longest, where tokens are kept to be exchanged. Tokens of one caller have the
    /// same scopes and the same binding, so that none stands for one that is good for less.
    pub(super) fn subject(&self, caller: &Caller, now_ms: u64) -> Option<Arc<Subject>> {
        let tokens = self.tokens_of(caller).into_iter().map(|(_, entry)| entry);
        let good = tokens.filter(|entry| matches!(self.worth(entry, now_ms), Worth::Good | Worth::Old));
        good.filter(|entry| entry.subject.is_some()).max_by_key(|entry| entry.until_ms)?.subject
    }

    /// Keeps a token that was verified, where some server wants it exchanged; else it is gone with the request.
    fn keep(&self, print: &Print, token: &str) {
        if self.config.exchanged == Exchanged::Yes {
            held(&self.known).keep(print, Subject::new(token));
        }
    }

    /// Whether some token of a running session's caller still holds.
    pub(super) fn still(&self, caller: &Caller, now_ms: u64) -> Result<(), Refusal> {
        let tokens = self.tokens_of(caller);
        let mut refused = Refusal::new(IDENTITY_REVOKED, format!("no token of {} is good any more", caller.principal()));
        for (print, entry) in tokens {
            match self.worth(&entry, now_ms) {
                Worth::Good => return Ok(()),
                Worth::Old => {
                    self.ask_again(print, &entry);
                    return Ok(());
                }
                Worth::Lapsed => {
                    self.ask_again(print, &entry);
                    refused = unavailable("the issuer has not said for long whether the token is good");
                }
                Worth::Expired => refused = Refusal::new(IDENTITY_EXPIRED, "`exp` has passed"),
                Worth::Unsigned => {}
            }
        }
        Err(refused)
    }

    fn worth(&self, entry: &Entry, now_ms: u64) -> Worth {
        if now_ms >= entry.until_ms {
            return Worth::Expired;
        }
        match &entry.proof {
            Proof::Signed { issuer, key } => match self.keys(*issuer, now_ms) {
                None => Worth::Lapsed,
                Some(keys) if keys.has(key) => Worth::Good,
                Some(_) => Worth::Unsigned,
            },
            Proof::Told { at_ms, .. } => {
                let (age, cache) = (now_ms.abs_diff(*at_ms), self.introspection().map_or(0, |(_, asked)| clock::millis(asked.cache)));
                if age < cache {
                    Worth::Good
                } else if age < cache.saturating_add(GRACE_MS) {
                    Worth::Old
                } else {
                    Worth::Lapsed
                }
            }
        }
    }

    /// What is known of a token without asking anybody.
    fn remembered(&self, print: &Print, now_ms: u64) -> Option<Result<Bound, Refusal>> {
        let mut known = held(&self.known);
        if known.is_bad(print, now_ms) {
            return Some(Err(Refusal::new(IDENTITY_INVALID, "the issuer said a moment ago that the token is not active")));
        }
        let entry = known.get(print)?;
        match self.worth(&entry, now_ms) {
            Worth::Good => Some(Ok(entry.bearer)),
            Worth::Expired => Some(Err(Refusal::new(IDENTITY_EXPIRED, "`exp` has passed"))),
            Worth::Unsigned => {
                known.remove(print);
                None
            }
            Worth::Old | Worth::Lapsed => None,
        }
    }

    fn issuer(&self, index: usize) -> Option<(&Issuer, &Keyring)> {
        self.config.issuers.get(index).zip(self.keyrings.get(index))
    }

    /// The keys of an issuer that may be used now; they are fetched again in the background when they are old.
    fn keys(&self, index: usize, now_ms: u64) -> Option<Arc<KeySet>> {
        let (issuer, keyring) = self.issuer(index)?;
        if keyring.is_due(issuer, now_ms) {
            self.aside(async move |own| {
                if let Some((issuer, keyring)) = own.issuer(index) {
                    keyring.refresh(&own.fetcher, issuer, now_ms).await;
                }
            });
        }
        keyring.usable(issuer, now_ms)
    }

    /// Does something that nobody waits for.
    fn aside<F: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(Arc<Self>) -> F) {
        if let (Some(own), Ok(runtime)) = (self.own.upgrade(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work(own));
        }
    }

    async fn verify(&self, token: &str, print: Print, now_ms: u64) -> Result<Bound, Refusal> {
        let signed = jwt::read(token)?;
        let index = self.config.issuers.iter().position(|issuer| issuer.name == signed.issuer);
        let index = index.ok_or_else(|| Refusal::new(IDENTITY_ISSUER, format!("`iss` is {:?}", signed.issuer)))?;
        let (issuer, keyring) = self.issuer(index).ok_or_else(|| unavailable("no such issuer"))?;
        if !issuer.algorithms.contains(&signed.algorithm) {
            return Err(Refusal::new(IDENTITY_ALGORITHM, format!("{:?} is not allowed for {}", signed.algorithm, issuer.name)));
        }
        let fits = |set: &KeySet| !set.fitting(signed.kid.as_deref(), signed.algorithm).is_empty();
        if !self.keys(index, now_ms).is_some_and(|set| fits(&set)) {
            keyring.refresh(&self.fetcher, issuer, now_ms).await;
        }
        let keys = keyring.usable(issuer, now_ms).ok_or_else(|| unavailable(format!("there are no keys of {}", issuer.name)))?;
        let fitting = keys.fitting(signed.kid.as_deref(), signed.algorithm);
        let key = fitting.into_iter().find(|key| key.signed(signed.message, &signed.signature));
        let key = key.ok_or_else(|| Refusal::new(IDENTITY_INVALID, format!("no key of {} made the signature", issuer.name)))?;
        let Bearer { bound, until_ms } = claims::judge(signed.claims.view(), (&self.config, issuer), Source::Token, now_ms)?;
        let proof = Proof::Signed { issuer: index, key: key.print };
        held(&self.known).insert(print, bound.clone(), until_ms, (proof, now_ms));
        self.keep(&print, token);
        Ok(bound)
    }

    fn introspection(&self) -> Option<(&Issuer, &Introspection)> {
        self.config.issuers.iter().find_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)))
    }

    /// Asks about an opaque token; whoever shows the same one meanwhile waits for the same answer.
    async fn ask(&self, token: &str, print: Print, now_ms: u64) -> Result<Bound, Refusal> {
        let turn = self.questions.join(print);
        let _asks = turn.gate.lock().await;
        match self.remembered(&print, now_ms) {
            Some(known) => known,
            None => self.question(token, print, now_ms).await,
        }
    }

    async fn question(&self, token: &str, print: Print, now_ms: u64) -> Result<Bound, Refusal> {
        let nobody = || Refusal::new(IDENTITY_INVALID, "neither one of this gateway's tokens nor a signed one");
        let (issuer, asked) = self.introspection().ok_or_else(nobody)?;
        let standing = if held(&self.known).get(&print).is_some() { Standing::Known } else { Standing::Strange };
        let _place = self.questions.place(standing).await?;
        let fields = [("token", token), ("token_type_hint", "access_token")];
        let form = Form { fields: &fields, client_id: &asked.client_id, client_secret: &asked.client_secret };
        let answer = self.fetcher.post(&asked.url, issuer.network, form).await.and_then(read).map_err(|error| {
            tracing::error!(issuer = %issuer.name, %error, "an issuer does not say whether a token is good");
            unavailable(error)
        })?;
        let was_known = held(&self.known).get(&print).is_some();
        if answer.view().get("active").and_then(View::as_bool) != Some(true) {
            held(&self.known).refuse(print, now_ms);
            let reason = if was_known { IDENTITY_REVOKED } else { IDENTITY_INVALID };
            return Err(Refusal::new(reason, "the issuer says that the token is not active"));
        }
        let judged = claims::judge(answer.view(), (&self.config, issuer), Source::Introspection, now_ms);
        let Bearer { bound, until_ms } = judged.inspect_err(|_| held(&self.known).remove(&print))?;
        let proof = Proof::Told { at_ms: now_ms, token: Arc::new(Zeroizing::new(token.to_owned())) };
        held(&self.known).insert(print, bound.clone(), until_ms, (proof, now_ms));
        self.keep(&print, token);
        Ok(bound)
    }

    /// Asks again about a token whose bearer sends nothing at the moment.
    fn ask_again(&self, print: Print, entry: &Entry) {
        let Proof::Told { token, .. } = &entry.proof else { return };
        if self.questions.is_open(&print) {
            return;
        }
        let token = token.clone();
        self.aside(async move |own| {
            if let Err(refusal) = own.ask(&token, print, clock::now_ms()).await {
                tracing::info!(reason = %refusal.reason, detail = %refusal.detail, "a token of a running session does not hold");
            }
        });
    }
}

fn read(answer: Bytes) -> Result<Json, String> {
    let json = Json::parse(answer).map_err(|error| error.to_string())?;
    let told = json.view().get("active").and_then(View::as_bool).is_some();
    told.then_some(json).ok_or_else(|| "the answer does not say whether the token is active".to_owned())
}

#[cfg(test)]
mod tests;
