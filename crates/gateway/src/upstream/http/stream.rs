//! Event streams of a server, as they are read.

use std::collections::VecDeque;
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::UPSTREAM_TOO_LARGE;
use bartizan_monitor::wire::sse::{Decoder, Event};
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::upstream::Server;

/// How long to wait before a stream is resumed when the server does not say.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// The shortest pause: a server that hangs up at once must not keep us busy.
const MIN_RETRY: Duration = Duration::from_millis(10);
/// The longest pause that a server may ask for.
pub(super) const MAX_RETRY: Duration = Duration::from_secs(30);

/// An event stream that is being read.
pub(super) struct Stream {
    body: Incoming,
    decoder: Decoder,
    ready: VecDeque<Event>,
    pub(super) last: Option<String>,
    pub(super) retry: Duration,
}

impl Stream {
    pub(super) fn new(response: Response<Incoming>, limit: usize) -> Self {
        Self { body: response.into_body(), decoder: Decoder::new(limit), ready: VecDeque::new(), last: None, retry: RETRY }
    }

    /// The next event; none when the server hung up.
    pub(super) async fn next(&mut self, server: &Server) -> Result<Option<Event>, Refusal> {
        loop {
            // A server that says something all the time must not keep whoever waits from looking at the clock.
            tokio::task::consume_budget().await;
            if let Some(event) = self.ready.pop_front() {
                if event.id.is_some() {
                    self.last.clone_from(&event.id);
                }
                if let Some(millis) = event.retry_ms {
                    self.retry = Duration::from_millis(millis).clamp(MIN_RETRY, MAX_RETRY);
                }
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            // A broken connection and a closed one mean the same here: resume or give up.
            let Ok(frame) = frame else { return Ok(None) };
            if let Some(data) = frame.data_ref() {
                let events =
                    self.decoder.push(data).map_err(|error| Refusal::new(UPSTREAM_TOO_LARGE, format!("{}: {error}", server.name())))?;
                self.ready.extend(events);
            }
            if self.ready.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// An error with its causes: hyper's own text is only the outermost.
pub(in crate::upstream) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
