//! Where clients come in: Streamable HTTP and standard input.
//!
//! A front turns bytes into messages and [`Released`] values or refusals into bytes. It decides
//! nothing; what it writes was released or refused by the monitor.

pub mod http;
pub mod stdio;
mod text;
pub use text::Text;

use std::borrow::Cow;

use bartizan_monitor::case::ReplyForm;
use bartizan_monitor::reason::gateway::{IDENTITY_LOGIN, IDENTITY_SCOPE, UPSTREAM_CANCELLED};
use bartizan_monitor::reason::{Reason, Refusal};
use bartizan_monitor::stages::{Released, ReleasedKind};
use bartizan_monitor::wire::json::{Json, Members, View};
use bartizan_monitor::wire::refusal::{self, Refused};
use bartizan_monitor::wire::version::Era;

use crate::serve::Asked;

/// The answer to one message.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The JSON-RPC response.
    pub message: Text,
    /// The HTTP status, where the front has one.
    pub status: u16,
    /// Whether it is a result (and not a refusal or an error).
    pub succeeded: bool,
    /// Why not, for a refusal.
    pub reason: Option<Reason>,
    /// The scopes that would help, for a credential that lacks them.
    pub scope: Option<String>,
    /// Whether the client waits for it on a transport without status: not for refused notifications.
    pub awaited: bool,
}

/// Step 10: what the client is told. The only way from an outcome to bytes.
pub(crate) fn reply(asked: &Asked, outcome: Result<Option<Released>, Refusal>) -> Option<Reply> {
    match outcome {
        Ok(None) => None,
        Ok(Some(released)) => Some(answer(asked, &released)),
        // Cancelled: the client said that it does not want an answer.
        Err(refusal) if refusal.reason == UPSTREAM_CANCELLED => None,
        Err(refusal) => {
            tracing::info!(reason = %refusal.reason, detail = %refusal.detail, "refused");
            Some(refused(asked, &refusal))
        }
    }
}

/// The answer that is a refusal, without a line in the log.
pub(crate) fn refused(asked: &Asked, refusal: &Refusal) -> Reply {
    let refused = Refused { id: asked.id.as_ref(), method: asked.method, era: asked.era, call: asked.call };
    let encoded = refusal::encode(refusal, refused);
    Reply {
        message: encoded.message.bytes().clone().into(),
        status: encoded.status,
        succeeded: false,
        reason: Some(refusal.reason),
        scope: scope(refusal),
        awaited: asked.awaited,
    }
}

/// The scopes that a refusal names, or what it says of the login that would do, as parameters of a challenge.
pub(crate) fn scope(refusal: &Refusal) -> Option<String> {
    let (member, scopes) = refusal.echo.as_deref()?;
    if refusal.reason == IDENTITY_LOGIN && *member == "login" {
        let said = scopes.view().members().map(|(name, value)| format!("{name}=\"{}\"", value.as_str().unwrap_or(value.text().into())));
        return Some(said.collect::<Vec<_>>().join(", "));
    }
    (refusal.reason == IDENTITY_SCOPE && *member == "scope").then(|| scopes.view().as_str().map(Cow::into_owned)).flatten()
}

fn answer(asked: &Asked, released: &Released) -> Reply {
    let form = match released.kind() {
        ReleasedKind::Reply(form) => form,
        // An event is never the answer to a request; were it one, it would not look like a success.
        ReleasedKind::Event(_) => ReplyForm::Error,
    };
    let member = if form == ReplyForm::Result { "result" } else { "error" };
    let id = asked.id.as_ref().map_or_else(Json::null, |id| id.json().clone());
    let mut message = Members::new();
    message.string("jsonrpc", "2.0").json("id", &id);
    let status = if form == ReplyForm::Error {
        refusal::status_of_error(released.body().view().get("code").and_then(View::as_i64), asked.era)
    } else {
        200
    };
    Reply {
        message: Text::of(message, member, released.body()),
        status,
        succeeded: form == ReplyForm::Result,
        reason: None,
        scope: None,
        awaited: asked.awaited,
    }
}

/// The era in which an error without a readable message is answered.
pub(crate) const UNREAD: Era = Era::Legacy;
