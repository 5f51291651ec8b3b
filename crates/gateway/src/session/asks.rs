//! What servers ask clients, until it is answered. A question that nobody answers any more is refused, so that no
//! server waits for a client that is gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bartizan_monitor::stages::Recorded;
use bartizan_monitor::wire::envelope::{Id, Message, Outcome};
use bartizan_monitor::wire::json::View;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::held;
use crate::upstream::Link;

/// How many requests of servers may wait for one client.
const MAX_ASKS: usize = 64;
/// How long a server may be kept waiting for what is said when everything ends.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a server is told when nobody is there to answer.
const NOBODY: &str = "nobody is there to answer";

/// A request of a server that the client has not answered. Dropped, it is refused.
#[derive(Debug)]
pub struct Ask {
    link: Weak<Link>,
    id: Id,
    open: bool,
}

impl Ask {
    /// A server's request.
    #[must_use]
    pub fn of(link: &Arc<Link>, id: Id) -> Self {
        Self { link: Arc::downgrade(link), id, open: true }
    }

    /// The request of a server that is perhaps gone.
    #[cfg(test)]
    pub(crate) fn lost(link: Weak<Link>, id: Id) -> Self {
        Self { link, id, open: false }
    }

    /// Who asked, if it is still there.
    #[must_use]
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.upgrade()
    }

    /// Under which id.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// The server has its answer, or wants none.
    pub fn settle(&mut self) {
        self.open = false;
    }

    /// The server is told no, and why.
    pub fn refuse(mut self, why: &str) {
        self.open = false;
        if let Some(link) = self.link() {
            link.refuse_soon(&self.id, why);
        }
    }

    fn is_of(&self, link: &Arc<Link>, id: View<'_>) -> bool {
        std::ptr::eq(self.link.as_ptr(), Arc::as_ptr(link)) && self.id.json().view().text() == id.text()
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        if let (true, Some(link), Ok(runtime)) = (self.open, self.link(), Handle::try_current()) {
            let _inside = runtime.enter();
            link.refuse_soon(&self.id, NOBODY);
        }
    }
}

/// The open requests of all servers to one client.
#[derive(Debug, Default)]
pub struct Asks {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Ask>>,
    /// What the gateway itself asks.
    own: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
}

/// A question of the gateway's own that a message answers.
#[derive(Debug)]
pub struct OwnAsk(oneshot::Sender<Outcome>);

impl OwnAsk {
    /// Tells whoever asked. What is told was judged and recorded like any message.
    pub fn tell(self, recorded: Recorded) {
        if let Message::Response { outcome, .. } = recorded.case().message() {
            // Whoever asked may have its answer already.
            let _ = self.0.send(outcome.clone());
        }
        recorded.sent();
    }
}

impl Asks {
    /// Notes a request of a server; returns the id under which the client sees it, or the request when there are too
    /// many.
    pub fn note(&self, ask: Ask) -> Result<u64, Ask> {
        let mut open = held(&self.open);
        open.retain(|_, ask| ask.link.strong_count() > 0);
        if open.len() >= MAX_ASKS {
            return Err(ask);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        open.insert(id, ask);
        Ok(id)
    }

    /// Takes the request that a client's response answers: each is answered once.
    pub fn answered(&self, id: &Id) -> Option<Ask> {
        self.take(id.as_number()?)
    }

    /// Notes a question of the gateway's own; the answer comes out here, or nothing when there will be none.
    pub fn own(&self, id: &str) -> oneshot::Receiver<Outcome> {
        let (said, heard) = oneshot::channel();
        held(&self.own).insert(id.to_owned(), said);
        heard
    }

    /// Takes the question of the gateway's own that a client's response answers: once.
    pub fn own_answered(&self, id: &Id) -> Option<OwnAsk> {
        held(&self.own).remove(&*id.json().view().as_str()?).map(OwnAsk)
    }

    /// Gives a question of the gateway's own up; whether it was still open.
    pub fn forget(&self, id: &str) -> bool {
        held(&self.own).remove(id).is_some()
    }

    /// Takes a request that the client will not answer.
    pub fn take(&self, id: u64) -> Option<Ask> {
        held(&self.open).remove(&id)
    }

    /// Whether it still waits.
    #[must_use]
    pub fn waits(&self, id: u64) -> bool {
        held(&self.open).contains_key(&id)
    }

    /// The server takes a request back: the id under which the client sees it. An answer that still comes is late.
    pub fn withdrawn(&self, link: &Arc<Link>, id: View<'_>) -> Option<u64> {
        let mut open = held(&self.open);
        let own = open.iter().find(|(_, ask)| ask.is_of(link, id)).map(|(own, _)| *own)?;
        open.remove(&own)?.settle();
        Some(own)
    }

    /// Refuses all of them, and waits until that is said.
    pub async fn close(&self) {
        held(&self.own).clear();
        let open: Vec<Ask> = held(&self.open).drain().map(|(_, ask)| ask).collect();
        let refused = open.into_iter().filter_map(|mut ask| {
            ask.settle();
            let link = ask.link()?;
            Some(async move { link.refuse(&ask.id, NOBODY).await })
        });
        // A server that does not take it will not wait for it either.
        let _ = tokio::time::timeout(LAST_WORDS, futures_util::future::join_all(refused)).await;
    }
}
