//! What servers say on their own: judged, renumbered, and brought to the client that it is for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bartizan_monitor::case::{Event, Facts, Labels, Once};
use bartizan_monitor::catalog::{Offer, UNAPPROVED};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::{Heard, Recorded};
use bartizan_monitor::wire::envelope::{Id, Message, Outcome};
use bartizan_monitor::wire::json::{Edits, Json, View};
use bartizan_monitor::wire::method::Method;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Ask, Talk, held};
use crate::clock::{self, Stopwatch};
use crate::serve::{House, overheard, said};
use crate::upstream::{Link, Listener, Pulse};

/// Something for the client before its answer.
#[derive(Debug)]
pub enum Interim {
    /// A message.
    Message(Bytes),
    /// A request of a server, under the id that the client sees.
    Ask(u64, Bytes),
    /// A sign of life of the stream.
    Pulse(Pulse),
}

/// Where interim messages of one request go. A client that does not read loses notifications, not
/// memory of the gateway.
pub type InterimSender = mpsc::Sender<Interim>;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Hears for one talk, or for one request of it.
pub struct Ear {
    house: Weak<House>,
    talk: Weak<Talk>,
    interim: Option<InterimSender>,
    told: Arc<[Mutex<Told>; LISTS.len()]>,
    /// What was asked in the course of the request.
    asked: Mutex<Vec<u64>>,
    finished: AtomicBool,
}

/// How much time lies between two notices that the same list changed. One that comes sooner is told later.
const SPACING: Duration = Duration::from_millis(200);
/// How often it is looked whether somebody reads where a question lies; the second time that nobody does, it is refused.
const UNREAD: Duration = Duration::from_secs(3);

/// What a client was told of one list.
#[derive(Debug, Default)]
struct Told {
    /// How often it had looked then.
    looks: u64,
    when: Option<Stopwatch>,
    /// Whether it will be told again.
    pending: bool,
}

impl Told {
    /// How long to wait before telling it now; nothing when it is not told at all.
    fn due(&mut self, looks: u64) -> Option<Duration> {
        if self.pending || self.looks == looks {
            return None;
        }
        let wait = self.when.map_or(Duration::ZERO, |when| SPACING.saturating_sub(when.elapsed()));
        self.pending = !wait.is_zero();
        if wait.is_zero() {
            self.now(looks);
        }
        Some(wait)
    }

    fn now(&mut self, looks: u64) {
        *self = Self { looks, when: Some(Stopwatch::start()), pending: false };
    }
}

/// What is said when a list changes. A client that has been told, and has not looked since, learns nothing from
/// being told again: a server that says it without end is relayed once.
const LISTS: [Method; 3] = [Method::ToolsChanged, Method::PromptsChanged, Method::ResourcesChanged];

impl Ear {
    /// For what belongs to no request.
    #[must_use]
    pub fn of(house: &Arc<House>, talk: &Arc<Talk>) -> Self {
        Self {
            house: Arc::downgrade(house),
            talk: Arc::downgrade(talk),
            interim: None,
            told: Arc::default(),
            asked: Mutex::default(),
            finished: AtomicBool::new(false),
        }
    }

    /// For one request.
    #[must_use]
    pub fn for_request(house: &Arc<House>, talk: &Arc<Talk>, interim: InterimSender) -> Self {
        let mut ear = Self::of(house, talk);
        ear.interim = Some(interim);
        ear
    }

    /// The request was answered: what was asked in its course is for the client to answer, now or later.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    /// A client that does not read loses notifications, not memory of the gateway.
    fn deliver(&self, talk: &Talk, message: &Json) {
        let bytes = message.bytes().clone();
        match &self.interim {
            Some(interim) => drop(interim.try_send(Interim::Message(bytes))),
            None => drop(talk.post(bytes)),
        }
    }

    /// Tells that a list changed when some time has passed, unless the request or the conversation is over then.
    fn deliver_later(&self, at: usize, wait: Duration, message: &Json) {
        let (talk, told, bytes) = (self.talk.clone(), self.told.clone(), message.bytes().clone());
        // Weak: the request must be able to end meanwhile.
        let interim = self.interim.as_ref().map(mpsc::Sender::downgrade);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let (Some(talk), Some(told)) = (talk.upgrade(), told.get(at)) else { return };
            held(told).now(talk.looks());
            match interim {
                Some(interim) => drop(interim.upgrade().map(|interim| interim.try_send(Interim::Message(bytes)))),
                None => drop(talk.post(bytes)),
            }
        });
    }

    /// Brings a request to the client, or says that it does not get there.
    fn put(&self, talk: &Arc<Talk>, own: u64, message: &Json) -> bool {
        let bytes = message.bytes().clone();
        match &self.interim {
            Some(interim) => {
                held(&self.asked).push(own);
                interim.try_send(Interim::Ask(own, bytes)).is_ok()
            }
            None => {
                let posted = talk.post(bytes);
                if posted {
                    tokio::spawn(await_reader(Arc::downgrade(talk), own));
                }
                posted
            }
        }
    }

    fn notify(&self, house: &House, talk: &Arc<Talk>, link: &Arc<Link>, call: Option<&Recorded>, (method, params): (Method, Option<Json>)) {
        let list = LISTS.iter().position(|list| *list == method);
        let mut wait = Duration::ZERO;
        if let Some(told) = list.and_then(|at| self.told.get(at)) {
            link.stale();
            let Some(due) = held(told).due(talk.looks()) else { return };
            wait = due;
        }
        let Some(params) = own_names(talk, link, method, params, house) else {
            return house.heard(talk, link, method, Err("it names something that is not known or not approved"));
        };
        match judged(house, talk, link, call, (method, params)) {
            Ok(params) => match list.filter(|_| !wait.is_zero()) {
                Some(at) => self.deliver_later(at, wait, &message(None, method, params)),
                None => self.deliver(talk, &message(None, method, params)),
            },
            Err(refusal) => {
                if let Some(told) = list.and_then(|at| self.told.get(at)) {
                    held(told).pending = false;
                }
                house.heard(talk, link, method, Err(refusal.reason.code()));
            }
        }
    }

    fn request(
        &self,
        house: &House,
        talk: &Arc<Talk>,
        link: &Arc<Link>,
        call: Option<&Recorded>,
        (id, method, params): (Id, Method, Option<Json>),
    ) {
        if method == Method::Ping {
            return link.answer_soon(&id, Outcome::Result(Json::empty_object()));
        }
        let ask = Ask::of(link, id);
        let asked = match judged(house, talk, link, call, (method, params)) {
            Ok(params) => talk.asks.note(ask).map(|own| (own, params)).map_err(|ask| (ask, "too many requests wait for the client")),
            Err(refusal) => Err((ask, refusal.reason.code())),
        };
        let asked = asked.and_then(|(own, params)| match self.put(talk, own, &message(Some(own), method, params)) {
            true => Ok(()),
            // Taken back already when the client has gone in this very moment.
            false => talk.asks.take(own).map_or(Ok(()), |ask| Err((ask, "the client does not hear it"))),
        });
        house.heard(talk, link, method, asked.as_ref().copied().map_err(|(_, why)| *why));
        if let Err((ask, why)) = asked {
            ask.refuse(why);
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // The client gave the request up, or was given up: it will not answer what was asked in its course.
        let (Some(talk), false) = (self.talk.upgrade(), self.finished.load(Ordering::Acquire)) else { return };
        held(&self.asked).drain(..).for_each(|own| drop(talk.asks.take(own)));
    }
}

/// Gives a question up that lies where nobody reads: nobody came, or who read has gone and did not come back.
async fn await_reader(talk: Weak<Talk>, own: u64) {
    let mut unread = false;
    loop {
        tokio::time::sleep(UNREAD).await;
        let Some(talk) = talk.upgrade().filter(|talk| talk.asks.waits(own)) else { return };
        if talk.is_read() {
            unread = false;
        } else if std::mem::replace(&mut unread, true) {
            if let Some(ask) = talk.asks.take(own) {
                ask.refuse("the client does not read");
            }
            return;
        }
    }
}

impl Listener for Ear {
    fn hear(&self, link: &Arc<Link>, call: Option<&Recorded>, message: Message) {
        let (Some(house), Some(talk)) = (self.house.upgrade(), self.talk.upgrade()) else { return };
        match message {
            Message::Notification { method, params } => self.notify(&house, &talk, link, call, (method, params)),
            Message::Request { id, method, params } => self.request(&house, &talk, link, call, (id, method, params)),
            // Responses have found their calls before; one that has not is stray.
            Message::Response { .. } => {}
        }
    }

    fn stray(&self, link: &Link, refusal: &Refusal) {
        if let (Some(house), Some(talk)) = (self.house.upgrade(), self.talk.upgrade()) {
            house.stray(&talk, link, refusal);
        }
    }

    fn offered(&self, link: &Link, offer: &Offer) {
        if let Some(house) = self.house.upgrade() {
            house.drift.look(house.snapshot().catalog.lock(), link.server().name(), offer);
        }
    }

    fn pulse(&self, pulse: Pulse) {
        drop(self.interim.as_ref().map(|interim| interim.try_send(Interim::Pulse(pulse))));
    }
}

/// Lets the monitor judge what a server says; returns the parameters that the client may see.
fn judged(
    house: &House,
    talk: &Talk,
    link: &Link,
    call: Option<&Recorded>,
    (method, params): (Method, Option<Json>),
) -> Result<Option<Json>, Refusal> {
    let (session, stops, tally) = (talk.label.clone(), house.stops.now(), Arc::default());
    let (now_ms, transport, labels) = (clock::now_ms(), talk.transport, house.labels(&talk.caller, None));
    let peer = call.map_or_else(|| talk.peer(), |call| call.case().facts().peer);
    let (agreed, once, wires, cover) = (Arc::default(), Once::default(), None, house.keeper.holdings().cover()?);
    let facts = Facts { id: 0, now_ms, session, transport, peer, labels, stops, tally, agreed, once, wires, cover };
    let event = Event {
        caller: talk.caller.clone(),
        server: link.server().name().clone(),
        method,
        params,
        capabilities: talk.negotiated().and_then(|settled| settled.capabilities),
        facts,
        read: Default::default(),
    };
    house.identity.still(&talk.caller, clock::now_ms())?;
    let snapshot = house.snapshot();
    if snapshot.catalog.lock().lacks(&event.server) {
        // Nobody has reviewed the server: it may not speak to the person or the model either.
        return Err(Refusal::new(UNAPPROVED, format!("{} says {method} before anything of it is approved", event.server)));
    }
    let (event, released) = snapshot.monitor.relay(Heard::new(event))?;
    // That a list changed says nothing. Progress names its call; anything else on a pipe does not.
    let silent = LISTS.contains(&method) || method == Method::Acknowledged;
    let hears = if link.is_shared() && method != Method::Progress { overheard } else { said };
    let labels = if silent { Labels::default() } else { hears(&snapshot, call.map(Recorded::case), &event.server) };
    house.releases(&talk.caller, labels.and(released.labels()));
    Ok((!released.body().view().is_null()).then(|| released.body().clone()))
}

/// Checks and translates what a notification names. `None`: it names nothing that the client knows.
#[expect(clippy::option_option, reason = "the outer one is the verdict, the inner one the optional member")]
fn own_names(talk: &Talk, link: &Arc<Link>, method: Method, params: Option<Json>, house: &House) -> Option<Option<Json>> {
    let member = |key: &str| params.as_ref().and_then(|params| params.view().get(key));
    match method {
        Method::ResourceUpdated => {
            let uri = member("uri").and_then(View::as_str)?;
            let now = house.snapshot();
            now.catalog.resource(link.server().name(), &uri).filter(|item| now.monitor.lists(&talk.caller, item)).and(Some(params))
        }
        Method::TaskStatus | Method::TaskChanged => {
            let owner = talk.task_owner(&member("taskId").and_then(View::as_str)?)?;
            (owner.server == *link.server().name()).then(|| params.as_ref().map(state_of_task))
        }
        Method::Cancelled => {
            let params = params.as_ref()?;
            let id = params.view().get("requestId")?;
            let own = talk.asks.withdrawn(link, id)?;
            let mut edits = Edits::of(params);
            edits.replace(id, &Json::number(own));
            Some(Some(edits.apply()))
        }
        _ => Some(params),
    }
}

/// What a notification may say of a task: its state. Results, and questions to the client, are judged where
/// they are asked for, in `tasks/get` and `tasks/result`, and come by no other way.
const STATE: [&str; 8] = ["taskId", "status", "statusMessage", "createdAt", "lastUpdatedAt", "ttl", "pollInterval", "_meta"];

fn state_of_task(params: &Json) -> Json {
    Json::object(STATE.into_iter().filter_map(|key| Some((key, params.get(key)?))))
}

/// A request under an id, or a notification without one.
fn message(id: Option<u64>, method: Method, params: Option<Json>) -> Json {
    let id = id.map(|id| ("id", Json::number(id)));
    let head = [Some(("jsonrpc", Json::string("2.0"))), id, Some(("method", Json::string(method.name())))];
    Json::object(head.into_iter().flatten().chain(params.map(|params| ("params", params))))
}

/// Hears for one `subscriptions/listen`: everything is tagged with the client's own request id, and
/// several servers acknowledge once.
pub struct ListenEar {
    inner: Ear,
    id: Json,
    waiting: AtomicUsize,
    granted: Option<Json>,
}

impl ListenEar {
    /// For the request `id` at `servers` servers; `granted` is what is acknowledged for several.
    #[must_use]
    pub fn new(inner: Ear, id: &Id, servers: usize, granted: Json) -> Self {
        let granted = (servers != 1).then_some(granted);
        Self { inner, id: id.json().clone(), waiting: AtomicUsize::new(servers), granted }
    }

    fn tagged(&self, params: Option<&Json>) -> Json {
        let tag = Json::object([(SUBSCRIPTION, self.id.clone())]);
        let Some(params) = params else { return Json::object([("_meta", tag)]) };
        let mut edits = Edits::of(params);
        match params.view().get("_meta") {
            Some(meta) => edits.set(meta, SUBSCRIPTION, &self.id),
            None => edits.set(params.view(), "_meta", &tag),
        }
        edits.apply()
    }

    /// Whether this acknowledgement is the last one, and what it says.
    fn acknowledged(&self, params: Option<Json>) -> Option<Option<Json>> {
        let last = self.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        match &self.granted {
            None => Some(params),
            Some(granted) => last.then(|| Some(Json::object([("notifications", granted.clone())]))),
        }
    }
}

impl Listener for ListenEar {
    fn hear(&self, link: &Arc<Link>, call: Option<&Recorded>, message: Message) {
        let Message::Notification { method, params } = message else {
            return self.inner.hear(link, call, message);
        };
        let params = if method == Method::Acknowledged { self.acknowledged(params) } else { Some(params) };
        if let Some(params) = params {
            self.inner.hear(link, call, Message::Notification { method, params: Some(self.tagged(params.as_ref())) });
        }
    }

    fn stray(&self, link: &Link, refusal: &Refusal) {
        self.inner.stray(link, refusal);
    }

    fn pulse(&self, _: Pulse) {}
}
