//! Conversations with clients: what must be remembered between one message and the next.
//!
//! A [`Talk`] is one legacy session, one pipe, or, for requests that stand alone, everything that
//! one principal says at one endpoint. Links to servers belong to a talk, so that nothing that a
//! server says to one client can reach another.

mod asks;
mod ear;
mod endpoint;
mod memory;
mod running;
pub use asks::{Ask, Asks, OwnAsk};
pub use ear::{Ear, Interim, InterimSender, ListenEar};
pub use endpoint::Endpoint;
pub use memory::Memory;
pub use running::Running;
use running::running_key;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::Caller;
use bartizan_monitor::catalog::{Menu, Offer, Owner, is_list};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SERVE_SUSPENDED, SESSION_UNKNOWN};
use bartizan_monitor::wire::ID_IN_USE;
use bartizan_monitor::wire::envelope::{Id, Parsed};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::version::{Era, Version};
use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::artefact;
use crate::clock;
use crate::serve::House;
use crate::share::Shares;
use crate::snapshot::Snapshot;
use crate::upstream::{Capabilities, Hello, Holder, Link, Listener, Server};

/// Takes messages for the client that belong to no request of its.
pub trait Outbox: Send + Sync {
    /// Takes one message, or drops it where nobody listens and nobody will: then it says false.
    fn post(&self, message: Bytes) -> bool;

    /// Whether somebody reads what is posted, as far as can be known.
    fn is_read(&self) -> bool;
}

/// What a server offers that is not asked: one value, so that lists that were made with it can be told to be the same.
fn nothing() -> Arc<Offer> {
    static NOTHING: LazyLock<Arc<Offer>> = LazyLock::new(Arc::default);
    NOTHING.clone()
}

/// What `initialize` settled.
#[derive(Debug, Clone)]
pub struct Negotiated {
    /// The version of the session.
    pub version: Version,
    /// What the client declared that it can do.
    pub capabilities: Option<Json>,
}

/// Whether request ids mean something in a talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// One client: an id names one running request.
    Own,
    /// Requests that stand alone, perhaps of several clients: ids may repeat and cancel nothing.
    Shared,
}

/// How many tasks are remembered for one client.
const MAX_TASKS: usize = 1024;

type LinkCell = Arc<OnceCell<Arc<Link>>>;

/// What a conversation begins with.
pub struct Opening {
    /// Who is at the other end.
    pub caller: Caller,
    /// Where it takes place.
    pub endpoint: Arc<Endpoint>,
    /// `stdio` or `http`.
    pub transport: &'static str,
    /// What stands for the session in the journal.
    pub label: Arc<str>,
    /// Whether request ids mean something.
    pub ids: Ids,
    /// Where messages go that belong to no request.
    pub outbox: Box<dyn Outbox>,
    /// How many calls may run in it at the same time.
    pub calls: usize,
}

/// One conversation.
pub struct Talk {
    /// Who is at the other end.
    pub caller: Caller,
    /// Where it takes place.
    pub endpoint: Arc<Endpoint>,
    /// `stdio` or `http`.
    pub transport: &'static str,
    /// What stands for the session in the journal: never the session id itself.
    pub label: Arc<str>,
    ids: Ids,
    outbox: Box<dyn Outbox>,
    negotiated: Mutex<Option<Negotiated>>,
    links: Mutex<HashMap<(Arc<str>, Era), LinkCell>>,
    running: Mutex<HashMap<String, CancellationToken>>,
    ended: AtomicBool,
    /// What servers ask the client.
    pub asks: Asks,
    /// How many calls run in it.
    pub calls: Arc<Shares<()>>,
    next_own: AtomicU64,
    tasks: Mutex<VecDeque<(String, Owner)>>,
    last_used: AtomicU64,
    looks: AtomicU64,
    peer: Mutex<Option<IpAddr>>,
    /// What its person agreed to.
    pub memory: Memory,
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Talk({} of {})", self.label, self.caller.principal())
    }
}

/// Maps here are whole after every statement, so a panic elsewhere does not spoil them.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Talk {
    /// Begins a conversation.
    #[must_use]
    pub fn begin(opening: Opening) -> Arc<Self> {
        let Opening { caller, endpoint, transport, label, ids, outbox, calls } = opening;
        Arc::new(Self {
            caller,
            endpoint,
            transport,
            label,
            ids,
            outbox,
            negotiated: Mutex::default(),
            links: Mutex::default(),
            running: Mutex::default(),
            ended: AtomicBool::new(false),
            asks: Asks::default(),
            calls: Shares::new(calls, calls),
            next_own: AtomicU64::new(1),
            tasks: Mutex::default(),
            last_used: AtomicU64::new(clock::now_ms()),
            looks: AtomicU64::new(1),
            peer: Mutex::default(),
            memory: Memory::default(),
        })
    }

    /// Notes that it is in use.
    pub fn touch(&self) {
        self.last_used.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// How long nobody has used it. One with a running request is in use.
    #[must_use]
    pub fn idle(&self) -> Duration {
        if !held(&self.running).is_empty() {
            return Duration::ZERO;
        }
        Duration::from_millis(clock::now_ms().saturating_sub(self.last_used.load(Ordering::Relaxed)))
    }

    /// What `initialize` settled.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        held(&self.negotiated).clone()
    }

    /// Settles version and capabilities.
    pub fn negotiate(&self, negotiated: Negotiated) {
        *held(&self.negotiated) = Some(negotiated);
    }

    /// Posts a message that belongs to no request; false when nobody gets it.
    pub fn post(&self, message: Bytes) -> bool {
        self.outbox.post(message)
    }

    /// Whether somebody reads what is posted.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.outbox.is_read()
    }

    /// The link to a server, opened when it is needed, opened anew when it died.
    pub async fn link(self: &Arc<Self>, house: &Arc<House>, server: &Arc<Server>, era: Era) -> Result<Arc<Link>, Refusal> {
        let cell = self.cell(server, era).await;
        let open = || {
            let hello = match era {
                Era::Modern => Hello::Modern,
                Era::Legacy => self.legacy_hello(),
            };
            let listener: Arc<dyn Listener> = Arc::new(Ear::of(house, self));
            async move {
                if self.is_stopped(house, server) {
                    return Err(Refusal::new(SERVE_SUSPENDED, format!("{} is not opened", server.name())));
                }
                // Boxed: the calls that find a way open do not carry what opening one needs.
                Box::pin(Link::open(server, &hello, listener, &self.holder(house))).await
            }
        };
        cell.get_or_try_init(open).await.cloned()
    }

    /// Whether the operator has stopped the server, or this client.
    fn is_stopped(&self, house: &House, server: &Server) -> bool {
        house.stops.now().cover(&self.caller, Some(server.name()), None).is_some()
    }

    /// For whom servers are spoken to. The caller's token is looked for at every request: it may be revoked by then.
    fn holder(&self, house: &Arc<House>) -> Holder {
        let (house, caller) = (Arc::downgrade(house), self.caller.clone());
        Holder::caller(self.caller.principal(), Arc::new(move || house.upgrade()?.identity.subject(&caller, clock::now_ms())))
    }

    async fn cell(&self, server: &Arc<Server>, era: Era) -> LinkCell {
        let key = (server.name().clone(), era);
        let open = held(&self.links).entry(key.clone()).or_default().clone();
        let Some(link) = open.get() else { return open };
        // A legacy conversation is with one process; modern requests stand alone, and what runs holds on to its process.
        if link.is_alive() && (era == Era::Legacy || link.is_current().await) {
            return open;
        }
        let mut links = held(&self.links);
        let cell = links.entry(key).or_default();
        // Somebody else may have replaced it meanwhile.
        if Arc::ptr_eq(cell, &open) {
            *cell = LinkCell::default();
        }
        cell.clone()
    }

    fn legacy_hello(&self) -> Hello {
        let settled = self.negotiated();
        let capabilities = Capabilities::read(settled.as_ref().and_then(|settled| settled.capabilities.as_ref()).map(Json::view));
        Hello::Legacy(settled.map_or(Version::NEWEST_LEGACY, |settled| settled.version), capabilities)
    }

    /// The servers of the endpoint that the credential is good for. Others are not even started.
    #[must_use]
    pub fn servers(&self) -> Vec<&Arc<Server>> {
        self.endpoint.servers.iter().filter(|server| self.caller.may_see(server.name())).collect()
    }

    /// The links of one era that are open.
    #[must_use]
    pub fn open_links(&self, era: Era) -> Vec<Arc<Link>> {
        held(&self.links).iter().filter(|((_, other), _)| *other == era).filter_map(|(_, cell)| cell.get().cloned()).collect()
    }

    /// How often the client looked at a list, and one.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Acquire)
    }

    /// What the servers that a message concerns offer, no older than `age`.
    pub async fn menus(
        self: &Arc<Self>,
        house: &Arc<House>,
        snapshot: &Snapshot,
        (parsed, owner): (&Parsed, Option<&Owner>),
        age: Duration,
    ) -> Vec<Menu> {
        if parsed.method().and_then(is_list).is_some() {
            // Before anything is asked: what changes from now on may be missing in the answer.
            self.looks.fetch_add(1, Ordering::AcqRel);
        }
        let concerned = snapshot.catalog.concerns(parsed, owner, (self.endpoint.naming, &self.endpoint.names));
        let era = parsed.version().era();
        let servers = concerned.into_iter().filter_map(|name| self.endpoint.server(name));
        let mut menus = futures_util::future::join_all(servers.map(|server| self.menu(house, server, era, age))).await;
        for menu in &mut menus {
            // Nothing of it was approved, so it was not even started: it offers nothing, and that is no failure.
            if menu.offer.as_ref().is_err_and(|refusal| artefact::is_reason(refusal.reason) && snapshot.catalog.lock().lacks(&menu.server))
            {
                menu.offer = Ok(nothing());
            }
        }
        menus
    }

    /// What one server offers, no older than `age`.
    pub async fn menu(self: &Arc<Self>, house: &Arc<House>, server: &Arc<Server>, era: Era, age: Duration) -> Menu {
        if !self.caller.may_see(server.name()) || self.is_stopped(house, server) {
            // A server that is hidden or suspended is not asked; the controls say no to whatever is called.
            return Menu { server: server.name().clone(), offer: Ok(nothing()) };
        }
        match self.link(house, server, era).await {
            Ok(link) => link.menu(age).await,
            Err(refusal) => Menu { server: server.name().clone(), offer: Err(refusal) },
        }
    }

    /// Refuses what waited for its turn until its session had ended. What stands alone belongs to no session.
    pub fn lives(&self) -> Result<(), Refusal> {
        if self.ids == Ids::Own && self.ended.load(Ordering::Acquire) {
            return Err(Refusal::new(SESSION_UNKNOWN, "the session has ended meanwhile"));
        }
        Ok(())
    }

    /// Notes that a request is running; one id runs once.
    pub fn start(self: &Arc<Self>, id: &Id) -> Result<Running, Refusal> {
        let own = self.ids == Ids::Own;
        let key = if own { id.key() } else { format!("shared {}", self.next_own.fetch_add(1, Ordering::Relaxed)) };
        let mut running = held(&self.running);
        self.lives()?;
        if running.contains_key(&key) {
            return Err(Refusal::new(ID_IN_USE, "the id of a running request"));
        }
        let cancel = CancellationToken::new();
        running.insert(key.clone(), cancel.clone());
        Ok(Running { talk: self.clone(), key, cancel })
    }

    /// Whether a request runs under this id.
    #[must_use]
    pub fn runs(&self, id: View<'_>) -> bool {
        held(&self.running).contains_key(&running_key(id))
    }

    /// Cancels a running request.
    pub fn cancel(&self, id: View<'_>) {
        if let Some(cancel) = held(&self.running).get(&running_key(id)) {
            cancel.cancel();
        }
    }

    /// Remembers whose task it is.
    pub fn remember_task(&self, id: String, owner: Owner) {
        let mut tasks = held(&self.tasks);
        tasks.push_back((id, owner));
        if tasks.len() > MAX_TASKS {
            tasks.pop_front();
        }
    }

    /// Notes that a task is nobody's any more: whoever claims it, it stays so.
    pub fn disown_task(&self, id: &str) {
        for (_, owner) in held(&self.tasks).iter_mut().filter(|(task, _)| task == id) {
            *owner = Owner { server: "".into(), tool: Some("".into()) };
        }
    }

    /// Whose task it is.
    #[must_use]
    pub fn task_owner(&self, id: &str) -> Option<Owner> {
        held(&self.tasks).iter().find(|(task, _)| task == id).map(|(_, owner)| owner.clone())
    }

    /// Where its last message came from; none over a pipe.
    pub fn peer(&self) -> Option<IpAddr> {
        *held(&self.peer)
    }

    /// Notes where a message came from.
    pub fn came_from(&self, peer: Option<IpAddr>) {
        *held(&self.peer) = peer;
    }

    /// Ends it: running requests are given up, servers are told.
    pub async fn end(&self) {
        {
            let running = held(&self.running);
            // While nobody can begin: what begins later sees it, what began before is cancelled.
            self.ended.store(true, Ordering::Release);
            running.values().for_each(CancellationToken::cancel);
        }
        self.asks.close().await;
        let cells: Vec<LinkCell> = held(&self.links).drain().map(|(_, cell)| cell).collect();
        let links: Vec<Arc<Link>> = cells.iter().filter_map(|cell| cell.get().cloned()).collect();
        futures_util::future::join_all(links.iter().map(|link| link.end())).await;
    }
}
