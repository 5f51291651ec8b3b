//! Room in the house: for everybody together, for each principal, for each session.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SERVE_BUSY, SERVE_SHARE};
use bartizan_monitor::wire::envelope::Id;
use bartizan_monitor::wire::method::Method;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::Limits;
use crate::session::Talk;
use crate::share::{Full, Share, Shares};

type Principal = Arc<str>;

/// How much room there is.
#[derive(Debug)]
pub struct Places {
    calls: Arc<Shares<Principal>>,
    streams: Arc<Shares<Principal>>,
    bodies: Arc<Shares<Principal>>,
    /// Calls that wait for a place.
    queue: Arc<Shares<Principal>>,
    patience: Duration,
    inside: TaskTracker,
    /// Long answers that are looked through at the same time: each takes several times its length meanwhile.
    pub(super) long_answers: Arc<Semaphore>,
}

/// So many at once.
const LONG_ANSWERS: usize = 2;

/// A message's place in the house.
#[derive(Debug)]
pub(super) struct Place {
    _of_principal: Option<Share<Principal>>,
    _of_session: Option<Share<()>>,
    _inside: TaskTrackerToken,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        let body = (limits.body_bytes / 4).max(limits.message_bytes);
        Self {
            calls: Shares::new(limits.concurrent_calls, limits.calls_per_principal),
            // Every stream has a connection, and connections are counted.
            streams: Shares::new(usize::MAX, limits.streams_per_principal),
            bodies: Shares::new(limits.body_bytes, body),
            // Who fills the queue leaves room for others, too.
            queue: Shares::new(limits.queued_calls, limits.queued_calls.div_ceil(4)),
            patience: limits.queue_wait,
            inside: TaskTracker::new(),
            long_answers: Arc::new(Semaphore::new(LONG_ANSWERS)),
        }
    }

    /// A place for a message. What waits for an answer takes one of those that are counted; what merely listens has a
    /// count of its own; notifications and responses, on which running calls may depend, always get in.
    pub(super) async fn take(&self, talk: &Talk, method: Option<Method>, id: Option<&Id>) -> Result<Place, Refusal> {
        let inside = self.inside.token();
        let principal = talk.caller.principal();
        let is_request = id.is_some() && method.is_some();
        if !is_request {
            return Ok(Place { _of_principal: None, _of_session: None, _inside: inside });
        }
        if method == Some(Method::Listen) {
            return Ok(Place { _of_principal: Some(self.stream(principal)?), _of_session: None, _inside: inside });
        }
        let own = self.wait(&self.calls, principal, principal).await.map_err(|full| match full {
            Full::Own => share("limits.calls_per_principal"),
            Full::All => Refusal::new(SERVE_BUSY, "limits.concurrent_calls").retry_after(1000),
        })?;
        let session = self.wait(&talk.calls, &(), principal).await.map_err(|_| share("limits.calls_per_session"))?;
        Ok(Place { _of_principal: Some(own), _of_session: Some(session), _inside: inside })
    }

    /// How many calls run, and how many streams are open.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        (self.calls.in_use(), self.streams.in_use())
    }

    /// Takes a place, now or, where calls may wait, when one comes free soon.
    async fn wait<K: Eq + Hash + Clone>(&self, of: &Arc<Shares<K>>, who: &K, principal: &Principal) -> Result<Share<K>, Full> {
        let full = match of.take(who, 1) {
            Ok(share) => return Ok(share),
            Err(full) => full,
        };
        let Ok(_queued) = self.queue.take(principal, 1) else { return Err(full) };
        of.take_within(who, 1, self.patience).await
    }

    /// Room for a stream that a principal listens to.
    pub fn stream(&self, principal: &Principal) -> Result<Share<Principal>, Refusal> {
        self.streams.take(principal, 1).map_err(|_| share("limits.streams_per_principal"))
    }

    /// Room for the body of a request, of so many bytes as are known to come.
    pub fn body(&self, principal: &Principal, bytes: usize) -> Result<Share<Principal>, Refusal> {
        self.bodies.take(principal, bytes).map_err(no_room)
    }

    /// Waits until nobody is inside. For a house that takes nothing new.
    pub(super) async fn empty(&self) {
        self.inside.close();
        self.inside.wait().await;
    }
}

/// Why a body finds no room.
pub(crate) fn no_room(full: Full) -> Refusal {
    match full {
        Full::Own => share("a quarter of limits.body_bytes"),
        Full::All => Refusal::new(SERVE_BUSY, "limits.body_bytes").retry_after(1000),
    }
}

fn share(limit: &str) -> Refusal {
    Refusal::new(SERVE_SHARE, limit).retry_after(1000)
}
