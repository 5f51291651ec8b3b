//! What a message brings along and finds out while it is let in.

use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::case::{Facts, Once};
use bartizan_monitor::catalog::{Menu, Owner, is_list, watched};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SERVE_DRAINING, UPSTREAM_CANCELLED, UPSTREAM_TIMEOUT};
use bartizan_monitor::wire::envelope::{Message, Parsed};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Era;
use bartizan_monitor::wire::{PARAMS, UNSOLICITED};

use super::place::Place;
use super::{House, Visit, task};
use crate::clock::{self, Stopwatch};
use crate::session::{Ask, OwnAsk, Running, Talk};
use crate::snapshot::Snapshot;

/// How old a server's list may be when a client asks for lists.
const FRESH: Duration = Duration::from_secs(1);

/// How many resources one listening may name.
const MAX_WATCHED: usize = 256;

/// How long reading lists may take in all.
const LISTS: Duration = Duration::from_secs(90);

/// What a message brings along and holds while it is in the house.
pub(super) struct Guest {
    pub(super) owner: Option<Owner>,
    pub(super) ask: Option<Ask>,
    /// The question of ours that it answers.
    pub(super) own: Option<OwnAsk>,
    pub(super) running: Option<Running>,
    pub(super) _place: Place,
}

impl House {
    /// Lets a message in: the credential still holds, there is room, and it says who it belongs to.
    pub(super) async fn enter(&self, visit: &Visit<'_>, parsed: &Parsed) -> Result<Guest, Refusal> {
        let talk = visit.talk;
        talk.touch();
        self.identity.still_since(&talk.caller, visit.arrived, clock::now_ms())?;
        // What running calls wait for (answers to servers' questions, cancellations) is taken to the end.
        if self.draining.is_cancelled() && matches!(parsed.message(), Message::Request { .. }) {
            return Err(Refusal::new(SERVE_DRAINING, ""));
        }
        let place = self.places.take(talk, parsed.method(), parsed.id()).await?;
        // It may have waited long for its place.
        self.identity.still(&talk.caller, clock::now_ms())?;
        talk.lives()?;
        let mut guest = Guest { owner: None, ask: None, own: None, running: None, _place: place };
        match parsed.message() {
            Message::Request { id, method, params } => {
                if watched(params.as_ref()).take(MAX_WATCHED + 1).count() > MAX_WATCHED && *method == Method::Listen {
                    return Err(Refusal::new(PARAMS, format!("more than {MAX_WATCHED} resources in one listening")));
                }
                guest.running = Some(talk.start(id)?);
                guest.owner = task::owner(talk, *method, params.as_ref());
            }
            Message::Response { id, .. } => {
                if let Some(own) = talk.asks.own_answered(id) {
                    guest.own = Some(own);
                    guest.owner = Some(Owner::gateway());
                    return Ok(guest);
                }
                let ask = talk.asks.answered(id).ok_or_else(|| Refusal::new(UNSOLICITED, "no server waits for it"))?;
                guest.owner = ask.link().map(|link| Owner { server: link.server().name().clone(), tool: None });
                guest.ask = Some(ask);
            }
            Message::Notification { .. } => {}
        }
        Ok(guest)
    }
}

/// When and where a call of this number happens, and what is known of its conversation at this moment: as nobody has
/// looked since then. Of a message that waited, that is now, and not when it came.
pub(crate) fn facts(house: &House, visit: &Visit<'_>, (snapshot, id): (&Snapshot, u64), since: Stopwatch) -> Result<Facts, Refusal> {
    let cover = house.keeper.holdings().cover()?;
    let (session, stops) = (visit.talk.label.clone(), house.stops.since(since));
    let (labels, tally, transport) = (house.labels(&visit.talk.caller, Some(since)), house.counts.tally(), visit.talk.transport);
    let (agreed, once, wires) = (visit.talk.memory.agreed(snapshot.monitor.policy()), Once::with(house.once.deeds()), house.trap.clone());
    Ok(Facts { id, now_ms: clock::now_ms(), session, transport, peer: visit.peer, labels, stops, tally, agreed, once, wires, cover })
}

/// What the servers that a message concerns offer, unless the client gives up or a server does not end.
pub(super) async fn menus(house: &Arc<House>, talk: &Arc<Talk>, parsed: &Parsed, guest: &Guest) -> Result<Vec<Menu>, Refusal> {
    let cancel = guest.running.as_ref().map(|running| running.cancel.clone()).unwrap_or_default();
    let (snapshot, age) = (house.snapshot(), age(house, parsed));
    let read = tokio::time::timeout(LISTS, talk.menus(house, &snapshot, (parsed, guest.owner.as_ref()), age));
    tokio::select! {
        menus = read => menus.map_err(|_| Refusal::new(UPSTREAM_TIMEOUT, "reading the servers' lists took too long")),
        () = cancel.cancelled() => Err(Refusal::new(UPSTREAM_CANCELLED, "the client cancelled")),
    }
}

/// What one server offers now, for a call that waited.
pub(crate) async fn menu_of(house: &Arc<House>, talk: &Arc<Talk>, server: &Arc<str>, era: Era) -> Menu {
    let gone = |detail: &str| Menu { server: server.clone(), offer: Err(Refusal::new(UPSTREAM_TIMEOUT, detail)) };
    let Some(server) = talk.endpoint.server(server) else { return gone("no such server at this endpoint") };
    let read = tokio::time::timeout(LISTS, talk.menu(house, server, era, house.settings.limits.list_age));
    read.await.unwrap_or_else(|_| gone("reading the server's lists took too long"))
}

/// How old a server's list may be for a message. A server that changes what it offers and says nothing of it is found
/// out at the first call after that time.
fn age(house: &House, parsed: &Parsed) -> Duration {
    let known = house.settings.limits.list_age;
    if parsed.method().and_then(is_list).is_some() { FRESH.min(known) } else { known }
}
