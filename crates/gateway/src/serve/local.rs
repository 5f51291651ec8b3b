//! What the gateway answers itself: introductions, lists, and what concerns the conversation.

use std::sync::Arc;

use bartizan_monitor::case::{Case, Kept};
use bartizan_monitor::catalog::{Menu, UNAPPROVED, is_list, watched};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::{Answer, Recorded};
use bartizan_monitor::wire::envelope::{Id, Message, Outcome};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::{Era, Version};
use bartizan_monitor::wire::{METHOD, PARAMS};

use super::{House, Visit};
use crate::artefact;
use crate::session::{Ear, ListenEar, Negotiated, Talk};
use crate::snapshot::Snapshot;
use crate::upstream::{self, Level, Link, Probe, Watch};

mod list;
mod welcome;
pub(super) use list::PAGE;

/// How long what a client says that it can do may be. Real ones are a few hundred bytes.
const MAX_CAPABILITIES: usize = 64 * 1024;

/// What a call is answered with.
enum Made {
    /// Made for it.
    New(Json),
    /// Made before.
    Before(Arc<Kept>),
}

/// Answers a call that goes to no single server.
pub(super) async fn answer(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (snapshot, menus): (&Arc<Snapshot>, &[Menu]),
    recorded: Recorded,
    ended: impl Future<Output = Refusal>,
) -> Result<Option<Answer>, Refusal> {
    let talk = visit.talk;
    let era = recorded.case().version().era();
    let result = match recorded.case().message() {
        Message::Request { method, params, id } => match method {
            Method::Ping => Ok(Made::New(Json::empty_object())),
            Method::Initialize => initialize(house, talk, snapshot, params.as_ref()).await.map(Made::New),
            Method::Discover => discover(house, talk, snapshot).await.map(Made::New),
            Method::SetLevel => set_level(house, talk, params.as_ref()).await.map(Made::New),
            Method::Listen => listen(house, visit, (snapshot, menus), (recorded.case(), id, params.as_ref()), ended).await.map(Made::New),
            method => match is_list(*method) {
                Some(kind) => list::list(house, talk, (snapshot, menus), (kind, era), params.as_ref()),
                None => Err(Refusal::new(METHOD, format!("{method} has no answer here"))),
            },
        },
        Message::Notification { method, params } => {
            notice(talk, *method, params.as_ref()).await;
            recorded.sent();
            return Ok(None);
        }
        Message::Response { .. } => Err(Refusal::new(METHOD, "a response goes to a server")),
    };
    match result {
        Ok(Made::New(result)) => Ok(Some(recorded.answered(Outcome::Result(result)))),
        Ok(Made::Before(page)) => Ok(Some(recorded.answered_again(&page))),
        Err(refusal) => Err(recorded.failed(refusal)),
    }
}

/// The servers that a listening listens to.
pub(super) fn heard(talk: &Talk, case: &Case) -> Vec<Arc<str>> {
    match case.message() {
        Message::Request { method: Method::Listen, .. } => talk.servers().into_iter().map(|server| server.name().clone()).collect(),
        Message::Request { .. } | Message::Notification { .. } | Message::Response { .. } => Vec::new(),
    }
}

async fn notice(talk: &Arc<Talk>, method: Method, params: Option<&Json>) {
    match method {
        Method::Cancelled => {
            if let Some(id) = params.and_then(|params| params.view().get("requestId")) {
                talk.cancel(id);
            }
        }
        Method::RootsChanged => {
            for link in talk.open_links(Era::Legacy) {
                // A server that is gone needs not be told.
                let _ = link.tell(&Probe::RootsChanged).await;
            }
        }
        // `initialized` was told when the link was opened; progress on a server's request is not relayed.
        _ => {}
    }
}

async fn links(house: &Arc<House>, talk: &Arc<Talk>, era: Era) -> Vec<Result<Arc<Link>, Refusal>> {
    futures_util::future::join_all(talk.servers().into_iter().map(|server| talk.link(house, server, era))).await
}

async fn initialize(house: &Arc<House>, talk: &Arc<Talk>, snapshot: &Snapshot, params: Option<&Json>) -> Result<Json, Refusal> {
    if talk.negotiated().is_some() {
        return Err(Refusal::new(PARAMS, "this session was initialized before"));
    }
    let wanted = params.and_then(|params| params.view().get("protocolVersion")).and_then(View::as_str).unwrap_or_default();
    let version = Version::read(&wanted).filter(|version| version.era() == Era::Legacy).unwrap_or(Version::NEWEST_LEGACY);
    let capabilities = params.and_then(|params| params.get("capabilities"));
    if capabilities.as_ref().is_some_and(|capabilities| capabilities.bytes().len() > MAX_CAPABILITIES) {
        return Err(Refusal::new(PARAMS, format!("capabilities of more than {MAX_CAPABILITIES} bytes")));
    }
    // A copy: a part of the message would keep all of it in memory for as long as the session lasts.
    let capabilities = capabilities.map(|capabilities| Json::of(&capabilities.view().to_value()));
    talk.negotiate(Negotiated { version, capabilities: capabilities.clone() });
    let links = links(house, talk, Era::Legacy).await;
    let version = match (talk.endpoint.sole(), links.as_slice()) {
        (Some(_), [Ok(link)]) => link.version(),
        (Some(server), [Err(refusal)]) if is_first_contact(snapshot, server, refusal) => version,
        (Some(_), [Err(refusal)]) => return Err(refusal.clone()),
        _ => version,
    };
    talk.negotiate(Negotiated { version, capabilities });
    let (links, refused) = sorted(links);
    Ok(welcome::initialized(talk, snapshot, version, (&links, &refused)))
}

async fn discover(house: &Arc<House>, talk: &Arc<Talk>, snapshot: &Snapshot) -> Result<Json, Refusal> {
    // The modern era is offered only where every server speaks it; clients fall back to the legacy
    // one, which then reaches all of them.
    let asked = links(house, talk, Era::Modern).await;
    let mut servers = talk.servers().into_iter();
    let failed = |link: &Result<_, Refusal>| {
        let server = servers.next();
        let refusal = link.as_ref().err()?;
        (!server.is_some_and(|server| is_first_contact(snapshot, server, refusal))).then(|| refusal.clone())
    };
    if let Some(refusal) = asked.iter().filter_map(failed).next() {
        return Err(refusal);
    }
    let (links, refused) = sorted(asked);
    Ok(welcome::discovered(talk, snapshot, (&links, &refused)))
}

/// The links that were opened, and why the others were not.
fn sorted(links: Vec<Result<Arc<Link>, Refusal>>) -> (Vec<Arc<Link>>, Vec<Refusal>) {
    let (mut opened, mut refused) = (Vec::new(), Vec::new());
    for link in links {
        match link {
            Ok(link) => opened.push(link),
            Err(refusal) => {
                // The client is told in words of ours; whoever runs the gateway reads here what to do.
                tracing::warn!(reason = %refusal.reason, detail = %refusal.detail, "a server is not there");
                refused.push(refusal);
            }
        }
    }
    (opened, refused)
}

async fn set_level(house: &Arc<House>, talk: &Arc<Talk>, params: Option<&Json>) -> Result<Json, Refusal> {
    let name = params.and_then(|params| params.view().get("level")).and_then(View::as_str).unwrap_or_default();
    let level = Level::read(&name).ok_or_else(|| Refusal::new(PARAMS, "not a log level"))?;
    for link in links(house, talk, Era::Legacy).await.into_iter().flatten() {
        if link.hello().view().at(&["capabilities", "logging"]).is_some() {
            // A server that does not take it logs as it likes; the client has lost nothing.
            let _ = link.probe(&Probe::SetLevel(level)).await;
        }
    }
    Ok(Json::empty_object())
}

async fn listen(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (snapshot, menus): (&Snapshot, &[Menu]),
    (case, id, params): (&Case, &Id, Option<&Json>),
    given_up: impl Future<Output = Refusal>,
) -> Result<Json, Refusal> {
    let talk = visit.talk;
    let filter = params.and_then(|params| params.get("notifications")).unwrap_or_else(Json::empty_object);
    let links = links(house, talk, Era::Modern).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut granted = Watch::read(filter.view(), |_| false);
    let watchable = watchable(house, (snapshot, menus), case);
    let own = |link: &Link| watchable.iter().filter(|(server, _)| server == link.server().name()).map(|(_, uri)| uri.clone()).collect();
    let watches: Vec<Watch> = links.iter().map(|link| Watch { lists: granted.lists.clone(), resources: own(link) }).collect();
    granted.resources = watches.iter().flat_map(|watch| watch.resources.iter().cloned()).collect();
    let ear = ListenEar::new(Ear::for_request(house, talk, visit.interim.clone()), id, links.len(), granted.json());
    let asked = links.iter().zip(watches).map(|(link, watch)| {
        let ear = &ear;
        async move { link.subscribe(&Probe::Listen(watch), ear).await }
    });
    let ended = tokio::select! {
        ended = futures_util::future::join_all(asked) => ended,
        refusal = given_up => return Err(refusal),
        () = house.drained() => Vec::new(),
    };
    match ended.into_iter().next() {
        Some(Err(refusal)) if links.len() == 1 => Err(refusal),
        _ => {
            let tag = Json::object([("io.modelcontextprotocol/subscriptionId", id.json().clone())]);
            Ok(Json::object([("resultType", Json::string("complete")), ("_meta", tag)]))
        }
    }
}

/// The resources of a listening that may be asked about, and at which server: each was judged as a
/// subscription.
fn watchable(house: &House, (snapshot, menus): (&Snapshot, &[Menu]), listening: &Case) -> Vec<(Arc<str>, String)> {
    let params = match listening.message() {
        Message::Request { params, .. } => params.as_ref(),
        Message::Notification { .. } | Message::Response { .. } => None,
    };
    let mut may = Vec::new();
    for uri in watched(params) {
        let judged = snapshot.catalog.watch(listening, &uri, menus).map_err(|refusal| refusal.reason);
        match judged.and_then(|case| snapshot.monitor.permits(&case).map(|()| case.server().cloned())) {
            Ok(server) => may.extend(server.map(|server| (server, uri))),
            Err(reason) => house.unwatched(listening, &uri, reason),
        }
    }
    may
}

/// Whether a server was not started because nobody has approved anything of it: that is how it begins, and no
/// failure.
fn is_first_contact(snapshot: &Snapshot, server: &upstream::Server, refusal: &Refusal) -> bool {
    artefact::is_reason(refusal.reason) && snapshot.catalog.lock().lacks(server.name())
}

/// What a model is told about a server of which nothing was approved.
fn unapproved(server: &upstream::Server) -> String {
    format!("{} To approve it, run: bartizan approve {}", UNAPPROVED.page().hint, server.name())
}
