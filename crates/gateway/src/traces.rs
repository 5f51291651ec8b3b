//! Spans: where the time of a call goes, for one call in so many, told a collector (OpenTelemetry, OTLP over HTTP in JSON).
//!
//! A span has names, times and how the call ended, by the code of its reason. It has no arguments, no results, no texts
//! of others and no principals; its `bartizan.call` is the number of the record that has the rest. Spans are told while
//! calls go on: when the collector is away or too slow they are lost, and it is said how many. The record is what is
//! never lost.

mod context;
mod otlp;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bartizan_monitor::case::Effect;
use bartizan_monitor::wire::method::Method;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{self, Stopwatch};
use crate::config::{Network, Traces as Settings};
use crate::metrics::Outcome;
use crate::upstream::Fetcher;
pub use context::Parent;
use context::{Share, SpanId, TraceId};

/// How many spans may wait to be told. More are lost.
const QUEUE: usize = 2048;
/// How many are told at once.
const BATCH: usize = 512;
/// How long the first waits for others.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long telling the last ones may hold up the end.
const LAST: Duration = Duration::from_secs(2);

/// Follows calls.
#[derive(Debug)]
pub struct Traces {
    share: Share,
    seed: u64,
    spans: mpsc::Sender<Told>,
    lost: Arc<AtomicU64>,
    over: CancellationToken,
    teller: TaskTracker,
}

/// What is known of a followed call when it has ended.
#[derive(Debug)]
struct Told {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    call: u64,
    method: Option<Method>,
    server: Option<Arc<str>>,
    tool: Option<Box<str>>,
    effect: Option<Effect>,
    began_us: u64,
    took_us: u64,
    waited: Option<Waited>,
    outcome: Outcome,
    reason: Option<&'static str>,
}

/// The time that a server took.
#[derive(Debug)]
struct Waited {
    id: SpanId,
    began_us: u64,
    took_us: u64,
}

/// A call that is followed. It is told of when it is dropped, whatever becomes of it.
#[derive(Debug)]
pub struct Span<'t> {
    traces: &'t Traces,
    since: Stopwatch,
    told: Option<Told>,
}

impl Traces {
    /// Starts to tell a collector. `None` where the system has no random numbers: spans would have the same names.
    #[must_use]
    pub fn start(settings: Arc<Settings>) -> Option<Self> {
        let Some(seed) = random().map(u64::from_ne_bytes) else {
            tracing::error!("no call is followed: the system gives no random numbers");
            return None;
        };
        let share = Share::of(settings.share);
        let (spans, waiting) = mpsc::channel(QUEUE);
        let (lost, over, teller) = (Arc::new(AtomicU64::new(0)), CancellationToken::new(), TaskTracker::new());
        teller.spawn(tell(settings, waiting, lost.clone(), over.clone()));
        Some(Self { share, seed, spans, lost, over, teller })
    }

    /// Follows a call since it came, if it is one of those that are followed. `parent` is what it was made from, by its own words.
    #[must_use]
    pub fn follow(&self, (call, method): (u64, Option<Method>), parent: Option<Parent>, since: Stopwatch) -> Option<Span<'_>> {
        let trace = match parent {
            Some(parent) => Some(parent.trace).filter(|trace| self.share.has(*trace))?,
            None => TraceId::ending_in(self.share.choose(self.seed, call)?, random()?),
        };
        let told = Told {
            trace,
            id: SpanId(random()?),
            parent: parent.map(|parent| parent.span),
            call,
            method,
            server: None,
            tool: None,
            effect: None,
            began_us: clock::now_us().saturating_sub(since.elapsed_us()),
            took_us: 0,
            waited: None,
            outcome: Outcome::Abandoned,
            reason: None,
        };
        Some(Span { traces: self, since, told: Some(told) })
    }

    /// Tells what is left, when no call is followed any more.
    pub async fn finish(&self) {
        self.over.cancel();
        self.teller.close();
        if tokio::time::timeout(LAST, self.teller.wait()).await.is_err() {
            let waiting = self.spans.max_capacity().saturating_sub(self.spans.capacity());
            tracing::warn!(
                waiting,
                "the collector does not answer: the last spans are lost, those that wait and those that it was being told"
            );
        }
    }
}

impl Span<'_> {
    /// It goes to this server, and can do this. A tool has the name under which it was approved.
    pub fn concerns(&mut self, server: &Arc<str>, tool: Option<&str>, effect: Effect) {
        let Some(told) = &mut self.told else { return };
        (told.server, told.tool, told.effect) = (Some(server.clone()), tool.map(Box::from), Some(effect));
    }

    /// The server has taken so long until now.
    pub fn waited(&mut self, took: Duration) {
        let (Some(told), Some(id)) = (&mut self.told, random()) else { return };
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let began_us = told.began_us.saturating_add(self.since.elapsed_us().saturating_sub(took_us));
        told.waited = Some(Waited { id: SpanId(id), began_us, took_us });
    }

    /// It has ended, and so; by the code of a reason where it was refused.
    pub const fn ended(&mut self, outcome: Outcome, reason: Option<&'static str>) {
        let Some(told) = &mut self.told else { return };
        (told.outcome, told.reason) = (outcome, reason);
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        let Some(mut told) = self.told.take() else { return };
        told.took_us = self.since.elapsed_us();
        if self.traces.spans.try_send(told).is_err() {
            self.traces.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Tells a collector what has ended, until it is over.
async fn tell(settings: Arc<Settings>, mut waiting: mpsc::Receiver<Told>, lost: Arc<AtomicU64>, over: CancellationToken) {
    let fetcher = Fetcher::default();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let first = tokio::select! {
            first = waiting.recv() => first,
            () = over.cancelled() => waiting.try_recv().ok(),
        };
        let Some(first) = first else { return };
        batch.push(first);
        fill(&mut batch, &mut waiting);
        if batch.len() < BATCH {
            let _ = tokio::time::timeout(PATIENCE, over.cancelled()).await;
            fill(&mut batch, &mut waiting);
        }
        let bearer = settings.token.as_ref().map(|token| ("authorization", format!("Bearer {}", token.expose())));
        let headers: Vec<_> = bearer.into_iter().collect();
        let body = otlp::encode(&batch);
        if let Err(error) = fetcher.deliver(&settings.url, Network::Any, &headers, body.bytes().clone()).await {
            tracing::warn!(%error, spans = batch.len(), "the collector does not take spans; they are lost");
        }
        batch.clear();
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => tracing::warn!(lost, "spans are lost: calls ended faster than they could be told; follow a smaller share of them"),
        }
    }
}

/// Takes what waits, as far as one telling has room for it.
fn fill(batch: &mut Vec<Told>, waiting: &mut mpsc::Receiver<Told>) {
    while batch.len() < BATCH
        && let Ok(next) = waiting.try_recv()
    {
        batch.push(next);
    }
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    // Names of all zeros are none.
    if let Some(first) = bytes.first_mut() {
        *first |= 1;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_not_told_fast_enough_is_lost_and_holds_up_nobody() {
        // It takes a connection and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1/traces", silent.local_addr().expect("its address")).parse().expect("an address");
        let traces = Traces::start(Arc::new(Settings { url, token: None, share: 1.0 })).expect("random numbers");
        let begun = Stopwatch::start();
        let follow = |call| drop(traces.follow((call, None), None, Stopwatch::start()).expect("all are followed"));
        (0..QUEUE as u64 + 10).for_each(follow);
        assert_eq!(traces.lost.load(Ordering::Relaxed), 10, "the queue holds no more");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // A full batch is told without waiting for more.
        let told = async {
            while traces.spans.capacity() < BATCH {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE / 2, told).await.expect("the first batch is on its way");
        traces.finish().await;
        assert!(begun.elapsed() < LAST + Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
