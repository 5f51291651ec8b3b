//! What servers say on their own: judged, renumbered, and brought to the client that it is for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bartizan_monitor::case::Event;
use bartizan_monitor::catalog::UNAPPROVED;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::{Heard, Recorded};
use bartizan_monitor::wire::envelope::{Id, Message};
use bartizan_monitor::wire::json::{Edits, Json, View};
use bartizan_monitor::wire::method::Method;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Ask, Talk};
use crate::clock;
use crate::serve::House;
use crate::upstream::{Link, Listener, Pulse};

/// Something for the client before its answer.
#[derive(Debug)]
pub enum Interim {
    /// A message.
    Message(Bytes),
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
    told: [AtomicU64; LISTS.len()],
}

/// What is said when a list changes. A client that has been told, and has not looked since, learns nothing from
/// being told again: a server that says it without end is relayed once.
const LISTS: [Method; 3] = [Method::ToolsChanged, Method::PromptsChanged, Method::ResourcesChanged];

impl Ear {
    /// For what belongs to no request.
    #[must_use]
    pub fn of(house: &Arc<House>, talk: &Arc<Talk>) -> Self {
        Self { house: Arc::downgrade(house), talk: Arc::downgrade(talk), interim: None, told: Default::default() }
    }

    /// For one request.
    #[must_use]
    pub fn for_request(house: &Arc<House>, talk: &Arc<Talk>, interim: InterimSender) -> Self {
        Self { interim: Some(interim), ..Self::of(house, talk) }
    }

    fn deliver(&self, talk: &Talk, message: &Json) {
        match &self.interim {
            Some(interim) => {
                let _ = interim.try_send(Interim::Message(message.bytes().clone()));
            }
            None => talk.post(message.bytes().clone()),
        }
    }

    fn notify(&self, house: &House, talk: &Arc<Talk>, link: &Arc<Link>, call: Option<&Recorded>, (method, params): (Method, Option<Json>)) {
        let list = LISTS.iter().position(|list| *list == method).and_then(|at| self.told.get(at));
        if let Some(told) = list {
            link.stale();
            let looks = talk.looks();
            if told.swap(looks, Ordering::AcqRel) == looks {
                return;
            }
        }
        let Some(params) = own_names(talk, link, method, params, house) else {
            return house.heard(talk, link, method, Err("it names something that is not known or not approved"));
        };
        match judged(house, talk, link, call, (method, params)) {
            Ok(params) => self.deliver(talk, &notification(method, params)),
            Err(refusal) => house.heard(talk, link, method, Err(refusal.reason.code())),
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
            let link = link.clone();
            tokio::spawn(async move { link.pong(&id).await });
            return;
        }
        let asked = judged(house, talk, link, call, (method, params)).map_err(|refusal| refusal.reason.code()).and_then(|params| {
            let ask = Ask { link: Arc::downgrade(link), id: id.clone() };
            talk.ask(ask).map(|own| (own, params)).ok_or("too many requests wait for the client")
        });
        house.heard(talk, link, method, asked.as_ref().map(|_| ()).map_err(|why| *why));
        match asked {
            Ok((own, params)) => self.deliver(talk, &request(own, method, params)),
            Err(why) => {
                let link = link.clone();
                let error =
                    Json::object([("code", Json::of(&-32600)), ("message", Json::string(&format!("refused by the gateway: {why}")))]);
                tokio::spawn(async move { link.refuse(&id, error).await });
            }
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

    fn pulse(&self, pulse: Pulse) {
        if let Some(interim) = &self.interim {
            let _ = interim.try_send(Interim::Pulse(pulse));
        }
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
    let event = Event {
        caller: talk.caller.clone(),
        server: link.server().name().clone(),
        method,
        params,
        capabilities: talk.negotiated().and_then(|settled| settled.capabilities),
        stops: house.stops.now(),
    };
    house.identity.still(&talk.caller, clock::now_ms())?;
    let snapshot = house.snapshot();
    if snapshot.catalog.lock().lacks(&event.server) {
        // Nobody has reviewed the server: it may not speak to the person or the model either.
        return Err(Refusal::new(UNAPPROVED, format!("{} says {method} before anything of it is approved", event.server)));
    }
    let heard = match call {
        Some(recorded) => recorded.heard(event),
        None => Heard::unsolicited(event),
    };
    let (_, released) = snapshot.monitor.relay(heard)?;
    Ok((!released.body().view().is_null()).then(|| released.body().clone()))
}

/// Checks and translates what a notification names. `None`: it names nothing that the client knows.
#[expect(clippy::option_option, reason = "the outer one is the verdict, the inner one the optional member")]
fn own_names(talk: &Talk, link: &Arc<Link>, method: Method, params: Option<Json>, house: &House) -> Option<Option<Json>> {
    let member = |key: &str| params.as_ref().and_then(|params| params.view().get(key));
    match method {
        Method::ResourceUpdated => {
            let uri = member("uri").and_then(View::as_str)?;
            house.snapshot().catalog.approves(link.server().name(), &uri).then_some(params)
        }
        Method::TaskStatus | Method::TaskChanged => {
            let owner = talk.task_owner(&member("taskId").and_then(View::as_str)?)?;
            (owner.server == *link.server().name()).then_some(params)
        }
        Method::Cancelled => {
            let params = params.as_ref()?;
            let id = params.view().get("requestId")?;
            let own = talk.asked_as(link, id)?;
            let mut edits = Edits::of(params);
            edits.replace(id, &Json::number(own));
            Some(Some(edits.apply()))
        }
        _ => Some(params),
    }
}

fn notification(method: Method, params: Option<Json>) -> Json {
    let head = [("jsonrpc", Json::string("2.0")), ("method", Json::string(method.name()))];
    Json::object(head.into_iter().chain(params.map(|params| ("params", params))))
}

fn request(id: u64, method: Method, params: Option<Json>) -> Json {
    let head = [("jsonrpc", Json::string("2.0")), ("id", Json::number(id)), ("method", Json::string(method.name()))];
    Json::object(head.into_iter().chain(params.map(|params| ("params", params))))
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
