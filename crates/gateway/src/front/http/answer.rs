//! Answers, put together.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::body::Body;
use super::challenge;
use crate::front::{Reply, Text};

/// An answer before the connection's room is tied to it.
pub(super) type Answer = Response<Body>;

/// JSON.
pub(super) fn json(status: u16, message: impl Into<Text>) -> Answer {
    let mut answer = Response::new(Body::Full(message.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// An answer without a stream: JSON, or 202 where there is nothing to say.
pub(super) fn plain(reply: Option<Reply>) -> Answer {
    let Some(reply) = reply else { return plain_status(StatusCode::ACCEPTED) };
    let mut answer = json(reply.status, reply.message);
    if let Some(reason) = reply.reason {
        challenge::label(&mut answer, (reason, reply.scope));
    }
    answer
}

/// A status and nothing else.
pub(super) fn plain_status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::Full(Text::default()));
    *answer.status_mut() = status;
    answer
}

/// An event stream.
pub(super) fn stream(body: Body) -> Answer {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert("cache-control", HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}
