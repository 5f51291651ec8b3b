//! Access tokens for servers: the gateway's own (client credentials), or one for each caller, in exchange for the
//! caller's (RFC 8693). Kept until shortly before they expire.

use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::SECRET_TOKEN;
use bartizan_monitor::wire::json::{Json, View};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::Mutex;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::subject::{Source, Subject};
use super::{Blinds, Keeper, PAUSE, answer};
use crate::clock::Stopwatch;
use crate::config::{Grant, Login, Network, Secret};
use crate::upstream::{Ask, Fetcher};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// How long a token is used whose endpoint does not say how long it is good.
const UNKNOWN: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more: a tenth of its time, and no more than this.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token may be.
const MAX_TOKEN: usize = 16 * 1024;

/// On whose behalf a server is spoken to.
#[derive(Clone)]
pub enum Speaker {
    /// The gateway's own: a review, a look for drift.
    Gateway,
    /// A caller's, whose token is found here when it has one.
    Caller(Source),
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gateway => "Gateway",
            Self::Caller(_) => "Caller(…)",
        })
    }
}

/// A token for a server, or that there was none a moment ago.
#[derive(Debug, Default)]
pub(super) enum Slot {
    #[default]
    Empty,
    Held {
        token: Arc<Secret>,
        got: Stopwatch,
        good: Duration,
    },
    Failed(Stopwatch, Refusal),
}

/// What access tokens for one server are asked for with.
#[derive(Debug, Default)]
pub struct Logins {
    fetcher: Fetcher,
    own: Mutex<Slot>,
}

fn refused(what: impl Into<String>) -> Refusal {
    Refusal::new(SECRET_TOKEN, what)
}

impl Logins {
    /// A token for `server` on behalf of a speaker. The refusal says what the token endpoint answered and holds no token.
    pub async fn token(
        &self,
        (keeper, blinds): (&Keeper, &Blinds),
        login: &Login,
        server: &Arc<str>,
        speaker: &Speaker,
    ) -> Result<Arc<Secret>, Refusal> {
        match (login.grant, speaker) {
            (Grant::ClientCredentials, _) | (Grant::TokenExchange, Speaker::Gateway) => {
                let mut slot = self.own.lock().await;
                self.current(&mut slot, (keeper, blinds), (login, None)).await
            }
            (Grant::TokenExchange, Speaker::Caller(source)) => {
                let none = || refused("the caller has no access token of an issuer that could be exchanged, or it does not hold any more");
                let subject = source().ok_or_else(none)?;
                let slot = subject.slot(server);
                let mut slot = slot.lock().await;
                self.current(&mut slot, (keeper, blinds), (login, Some(&subject))).await
            }
        }
    }

    /// A server refused its token: another one is asked for, unless it was new.
    pub fn doubt(&self, server: &Arc<str>, speaker: &Speaker) {
        let subject = match speaker {
            Speaker::Gateway => None,
            Speaker::Caller(source) => source(),
        };
        let exchanged = subject.map(|subject| subject.slot(server));
        // Whoever holds one is asking already.
        for mut slot in self.own.try_lock().into_iter().chain(exchanged.iter().filter_map(|slot| slot.try_lock().ok())) {
            if matches!(&*slot, Slot::Held { got, .. } if got.elapsed() >= super::FRESH) {
                *slot = Slot::Empty;
            }
        }
    }

    async fn current(
        &self,
        slot: &mut Slot,
        (keeper, blinds): (&Keeper, &Blinds),
        (login, subject): (&Login, Option<&Subject>),
    ) -> Result<Arc<Secret>, Refusal> {
        match slot {
            Slot::Held { token, got, good } if got.elapsed() < *good => return Ok(token.clone()),
            Slot::Failed(at, refusal) if at.elapsed() < PAUSE => return Err(refusal.clone()),
            Slot::Held { .. } | Slot::Failed(..) | Slot::Empty => {}
        }
        let got = Stopwatch::start();
        match Box::pin(self.ask(keeper, blinds, (login, subject))).await {
            Ok((token, good)) => {
                let token = Arc::new(token);
                blinds.learn(&token);
                keeper.holdings.learn(&token);
                *slot = Slot::Held { token: token.clone(), got, good };
                Ok(token)
            }
            Err(refusal) => {
                *slot = Slot::Failed(Stopwatch::start(), refusal.clone());
                Err(refusal)
            }
        }
    }

    async fn ask(
        &self,
        keeper: &Keeper,
        blinds: &Blinds,
        (login, subject): (&Login, Option<&Subject>),
    ) -> Result<(Secret, Duration), Refusal> {
        let secret = keeper.fill(&login.client_secret, blinds).await?;
        let encoded = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
        let pair = Zeroizing::new(format!("{}:{}", *encoded(&login.client_id), *encoded(secret.expose())));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let headers = [("authorization", basic.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let scope = login.scopes.join(" ");
        let mut fields = vec![("grant_type", if subject.is_some() { EXCHANGE } else { "client_credentials" })];
        if let Some(subject) = subject {
            let types = [("subject_token_type", ACCESS_TOKEN), ("requested_token_type", ACCESS_TOKEN)];
            fields.extend([("subject_token", subject.expose())].into_iter().chain(types));
        }
        fields.push(("resource", &login.resource));
        fields.extend(login.audience.as_deref().map(|audience| ("audience", audience)));
        fields.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
        let mut body = Zeroizing::new(Vec::with_capacity(32 * 1024));
        for (index, (name, value)) in fields.into_iter().enumerate() {
            let start = if index == 0 { "" } else { "&" };
            [start, name, "=", &encoded(value)].into_iter().for_each(|text| body.extend_from_slice(text.as_bytes()));
        }
        let ask = Ask { method: Method::POST, headers: &headers, body };
        let (status, body) = self.fetcher.ask(&login.token_url, Network::Private, ask).await.map_err(refused)?;
        let named = |what: String| refused(format!("{}: {what}", login.token_url));
        let json = Json::parse(body).map_err(|_| named(format!("HTTP {} without JSON", status.as_u16())))?;
        if status != StatusCode::OK {
            let error = json.view().get("error").and_then(View::as_str).unwrap_or_default();
            return Err(named(format!("HTTP {}: {}", status.as_u16(), answer::code(&error).unwrap_or("an error without a name"))));
        }
        let token = read(json.view(), subject).map_err(|what| named(what.to_owned()))?;
        Ok((token, good(json.view().get("expires_in").and_then(View::as_i64))))
    }
}

/// The token of an answer (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
fn read(answer: View<'_>, subject: Option<&Subject>) -> Result<Secret, &'static str> {
    let text = |name: &str| answer.get(name).and_then(View::as_str);
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("the token that it gave is not a bearer token");
    }
    if subject.is_some() && !text("issued_token_type").is_some_and(|kind| matches!(&*kind, ACCESS_TOKEN | JWT)) {
        return Err("what it gave in exchange is not an access token");
    }
    let token = Secret::new(text("access_token").ok_or("there is no token in its answer")?.into_owned());
    let fits = !token.expose().is_empty() && token.expose().len() <= MAX_TOKEN && HeaderValue::from_str(token.expose()).is_ok();
    if !fits {
        return Err("the token that it gave cannot be sent");
    }
    // Whoever issues a token for this gateway and gives the same one for a server behind it has exchanged nothing.
    if subject.is_some_and(|subject| subject.expose() == token.expose()) {
        return Err("it gave the caller's own token back, which never leaves");
    }
    Ok(token)
}

/// How long a token is used that is good for so many seconds.
fn good(seconds: Option<i64>) -> Duration {
    let Some(seconds) = seconds.and_then(|seconds| u64::try_from(seconds).ok()) else { return UNKNOWN };
    let whole = Duration::from_secs(seconds.min(24 * 3600));
    whole.saturating_sub((whole / 10).min(MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn answered(text: &str, subject: Option<&Subject>) -> Result<String, &'static str> {
        let json = Json::parse(Bytes::from(text.to_owned())).expect("JSON");
        read(json.view(), subject).map(|token| token.expose().to_owned())
    }

    #[test]
    fn only_a_token_is_taken_for_one() {
        assert_eq!(answered(r#"{"token_type":"Bearer","access_token":"abc"}"#, None), Ok("abc".to_owned()));
        for text in [
            "{}",
            r#"{"access_token":"abc"}"#,
            r#"{"token_type":"DPoP","access_token":"abc"}"#,
            r#"{"token_type":"bearer"}"#,
            r#"{"token_type":"bearer","access_token":""}"#,
            r#"{"token_type":"bearer","access_token":7}"#,
            r#"{"token_type":"bearer","access_token":"a\nb"}"#,
        ] {
            assert!(answered(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_given_in_exchange_is_another_access_token() {
        let subject = Subject::new("mine");
        let of = |kind: &str, token: &str| format!(r#"{{"token_type":"Bearer","access_token":"{token}","issued_token_type":"{kind}"}}"#);
        assert_eq!(answered(&of(ACCESS_TOKEN, "other"), Some(&subject)), Ok("other".to_owned()));
        assert!(answered(&of("urn:ietf:params:oauth:token-type:refresh_token", "other"), Some(&subject)).is_err());
        assert!(answered(r#"{"token_type":"Bearer","access_token":"other"}"#, Some(&subject)).is_err());
        assert!(answered(&of(ACCESS_TOKEN, "mine"), Some(&subject)).expect_err("the same").contains("never leaves"));
        assert_eq!(format!("{subject:?}"), "Subject(…)");
    }

    #[test]
    fn tokens_are_not_used_to_their_last_second() {
        assert_eq!(good(Some(3600)), Duration::from_secs(3570));
        assert_eq!(good(Some(10)), Duration::from_secs(9));
        assert_eq!((good(Some(-5)), good(None)), (UNKNOWN, UNKNOWN));
        assert_eq!(good(Some(i64::MAX)), Duration::from_secs(24 * 3600 - 30));
    }
}
