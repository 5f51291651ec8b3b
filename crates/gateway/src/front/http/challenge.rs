//! Headers that say what a client can do about a refusal.

use bartizan_monitor::reason::{Class, Reason};
use http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::Answer;
use crate::identity::OAuth;

/// What a refusal was, with the scopes that would help: for whoever writes the headers.
#[derive(Debug, Clone)]
struct Refused(Reason, Option<String>);

/// Notes on an answer why it is a refusal, and writes what follows from that alone.
pub(super) fn label(answer: &mut Answer, (reason, scope): (Reason, Option<String>)) {
    let headers = answer.headers_mut();
    match reason.class() {
        Class::Draining | Class::Http(503) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        Class::Http(405) => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
        }
        Class::Unauthenticated => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bartizan\""));
        }
        _ => {}
    }
    answer.extensions_mut().insert(Refused(reason, scope));
}

/// Says where credentials come from, when it is a credential that is missing or does not suffice.
pub(super) fn add(mut answer: Answer, oauth: Option<&OAuth>) -> Answer {
    let Some(Refused(reason, scope)) = answer.extensions_mut().remove::<Refused>() else { return answer };
    let concerned = reason.class() == Class::Unauthenticated || scope.is_some();
    if let Some(oauth) = oauth.filter(|_| concerned)
        && let Ok(value) = HeaderValue::try_from(oauth.challenge(reason, scope.as_deref()))
    {
        answer.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    answer
}
