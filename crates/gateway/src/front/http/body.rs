//! Bodies of answers: whole, live, or played from a tape.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_monitor::wire::sse::{self, Event};
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::Interval;

use super::{Reply, Text};
use crate::session::Interim;
use crate::share::Share;

/// A comment that keeps an idle stream from being cut on the way.
const KEEP_ALIVE: &[u8] = b":\n\n";
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// The work on one message.
pub(super) type Work = Pin<Box<dyn Future<Output = Option<Reply>> + Send>>;

/// An answer's body.
#[derive(Debug)]
pub(super) enum Body {
    /// Known from the start.
    Full(Text),
    /// Works while it is read.
    Live(Box<Live>),
    /// Played from a tape that can be resumed; with the room that it takes when no call has taken it.
    Tape {
        /// What is played.
        events: mpsc::Receiver<Bytes>,
        /// The room.
        _room: Option<Share<Arc<str>>>,
    },
}

/// An answer's body, and what is counted while it is being read.
#[derive(Debug)]
pub struct Kept {
    body: Body,
    _share: Option<Share<IpAddr>>,
}

impl Kept {
    pub(super) fn new(body: Body, share: Option<Share<IpAddr>>) -> Self {
        Self { body, _share: share }
    }
}

/// A stream that works while it is read, and stops working when nobody reads: in the modern era,
/// disconnecting is cancelling.
pub(super) struct Live {
    work: Option<Work>,
    early: mpsc::Receiver<Interim>,
    ready: VecDeque<Interim>,
    pause: Interval,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

/// What happened first.
pub(super) enum First {
    /// The answer, and nothing before it.
    Reply(Option<Reply>),
    /// Something before the answer.
    Stream(Live),
}

/// Works until there is something to tell.
pub(super) async fn first(mut work: Work, mut early: mpsc::Receiver<Interim>) -> First {
    let mut ready = VecDeque::new();
    let work = tokio::select! {
        biased;
        item = early.recv() => {
            ready.extend(item);
            Some(work)
        }
        reply = &mut work => {
            while let Ok(item) = early.try_recv() {
                ready.push_back(item);
            }
            if ready.is_empty() {
                return First::Reply(reply);
            }
            ready.extend(reply.map(|reply| Interim::Message(reply.message.whole())));
            None
        }
    };
    let mut pause = tokio::time::interval(KEEP_ALIVE_EVERY);
    pause.reset();
    First::Stream(Live { work, early, ready, pause })
}

impl Live {
    /// The next item; the last one is the answer.
    pub(super) async fn next_item(&mut self) -> Option<Interim> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Interim>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(item));
            }
            if let Poll::Ready(Some(item)) = self.early.poll_recv(cx) {
                return Poll::Ready(Some(item));
            }
            let Some(work) = self.work.as_mut() else { return Poll::Ready(None) };
            let Poll::Ready(reply) = work.as_mut().poll(cx) else { return Poll::Pending };
            self.work = None;
            while let Ok(item) = self.early.try_recv() {
                self.ready.push_back(item);
            }
            self.ready.extend(reply.map(|reply| Interim::Message(reply.message.whole())));
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match self.poll_item(cx) {
                Poll::Ready(Some(Interim::Message(data) | Interim::Ask(_, data))) => {
                    return Poll::Ready(Some(sse::encode(&Event { data, ..Event::default() })));
                }
                // A stream that cannot be resumed has no use for pulses.
                Poll::Ready(Some(Interim::Pulse(_))) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    return match self.pause.poll_tick(cx) {
                        Poll::Ready(_) => Poll::Ready(Some(Bytes::from_static(KEEP_ALIVE))),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Text;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Text>, Infallible>>> {
        let framed = |data: Option<Bytes>| data.map(|data| Ok(Frame::data(data.into())));
        match self.get_mut() {
            Self::Full(text) => Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(std::mem::take(text))))),
            Self::Live(live) => live.poll_bytes(cx).map(framed),
            Self::Tape { events, .. } => events.poll_recv(cx).map(framed),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(text) => SizeHint::with_exact(text.remaining().try_into().unwrap_or(u64::MAX)),
            Self::Live(_) | Self::Tape { .. } => SizeHint::default(),
        }
    }
}

impl hyper::body::Body for Kept {
    type Data = Text;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Text>, Infallible>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
