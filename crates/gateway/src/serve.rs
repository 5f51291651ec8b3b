//! START HERE: [`handle`] is the life of a call. Both fronts enter it, and nothing else reaches a
//! server or a client.

mod accept;
mod door;
mod guest;
mod keep;
mod lists;
mod local;
mod measured;
mod notes;
mod once;
mod opinions;
mod place;
mod rehearse;
mod run;
mod seen;
mod task;
mod watch;
pub(crate) use guest::{facts, menu_of};
pub(crate) use place::no_room;
pub(crate) use rehearse::rehearse;
pub use run::{Enclosed, ServeError, run_http, run_stdio};
pub(crate) use seen::{overheard, said};

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_monitor::case::{Item, Wires};
use bartizan_monitor::catalog::{Menu, Owner, Place as Where};
use bartizan_monitor::journal::Ticket;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SERVE_SUSPENDED, UPSTREAM_CANCELLED};
use bartizan_monitor::stages::{Answer, Recorded, Released};
use bartizan_monitor::wire::UNSOLICITED;
use bartizan_monitor::wire::envelope::{Id, Misread, Outcome, Parsed};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Era;
use tokio_util::sync::CancellationToken;

use crate::artefact::{Approvals, Approved};
use crate::canary::Trap;
use crate::clock::{self, Stopwatch};
use crate::config::Settings;
use crate::consult::{self, Consult, Consulted};
use crate::counts::Counts;
use crate::drift::Drift;
use crate::front::{self, Reply};
use crate::identity::Identity;
use crate::journal::Journal;
use crate::judges::Judges;
use crate::kept::Kept;
use crate::labels::Read;
use crate::metrics::Metrics;
use crate::once::Store;
use crate::secrets::{Inventory, Keeper};
use crate::session::{Ear, InterimSender, Running, Talk};
use crate::snapshot::{Current, Snapshot, Standing};
use crate::stops::{Enlisted, Watched};
use crate::traces::{Parent, Traces};
use crate::upstream::Listener;
use crate::webhook::Hook;
use guest::{Guest, menus};
use place::Places;
use watch::Watch;

/// Everything that serves.
#[derive(Debug)]
pub struct House {
    /// The configuration.
    pub settings: Settings,
    /// Policy and reviewed definitions, as of now.
    pub current: Current,
    /// Who may come in.
    pub identity: Identity,
    /// The record.
    pub journal: Arc<Journal>,
    /// What the operator has stopped.
    pub stops: Watched,
    /// Who tells of drift.
    pub drift: Drift,
    /// Where the secrets of servers come from.
    pub keeper: Arc<Keeper>,
    /// How much happens.
    pub metrics: Arc<Metrics>,
    /// Who follows calls.
    traces: Option<Traces>,
    /// Lists that were made before.
    lists: lists::Lists,
    /// Room for calls, streams and bodies.
    pub places: Places,
    /// What is counted over all calls.
    pub counts: Arc<Counts>,
    /// What waits for a person.
    pub consult: Consult,
    /// Who is heard about content.
    pub judges: Judges,
    /// What was done, so that it is not done twice.
    pub once: Store,
    /// What of answers was not handed out.
    pub kept: Kept,
    /// Who knows canaries.
    trap: Option<Arc<dyn Wires>>,
    /// What clients have read.
    read: Read,
    draining: CancellationToken,
}

/// One message from a client on its way through the house.
pub struct Visit<'a> {
    /// The conversation that it belongs to.
    pub talk: &'a Arc<Talk>,
    /// Where its connection comes from; none over a pipe.
    pub peer: Option<IpAddr>,
    /// Where to send what comes before the answer.
    pub interim: InterimSender,
    /// Runs since the message came, before anything was looked up for it.
    pub arrived: Stopwatch,
    /// What it says in its headers that it was made from.
    pub parent: Option<Parent>,
}

/// The life of a call. Step 1, bytes within limits, and step 2, [`envelope::parse`], are done by the
/// fronts, which both end here; what they could not read arrives as its refusal.
///
/// [`envelope::parse`]: bartizan_monitor::wire::envelope::parse
pub async fn handle(house: &Arc<House>, visit: Visit<'_>, arrival: Result<Parsed, Misread>) -> Option<Reply> {
    if let Some(reply) = door::knock(house, &visit, &arrival) {
        return Some(reply);
    }
    visit.talk.came_from(visit.peer);
    let (asked, ticket) = open(house, &visit, &arrival);
    let mut watch = Watch::of(house, &visit, &asked, &arrival);
    let outcome = live(house, &visit, (ticket, &mut watch), arrival).await;
    watch.ended(&outcome);
    door::learn(house, &visit, &outcome);
    front::reply(&asked, outcome) // 10
}

async fn live(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (ticket, watch): (Ticket, &mut Watch<'_>),
    arrival: Result<Parsed, Misread>,
) -> Result<Option<Released>, Refusal> {
    let talk = visit.talk;
    let (parsed, ticket) = closing(arrival.map_err(|misread| misread.refusal), ticket)?; // 2
    let (mut guest, ticket) = closing(house.enter(visit, &parsed).await, ticket)?; // 3
    let (unfolded, ticket) = closing(house.consult.unfold(|| consult::place(visit), parsed), ticket)?;
    let (parsed, brought) = unfolded;
    if let Some(handle) = keep::handle(house, visit, &parsed) {
        return Box::pin(keep::read(house, visit, (parsed, ticket), (handle, watch), guest.running.as_ref())).await;
    }
    let menus = menus(house, talk, &parsed, &guest).await;
    let (menus, ticket) = closing(menus, ticket)?;
    let _turn = once::turn(house, talk, (&parsed, ticket.id()), &menus, &guest).await;
    // Reading lists may take long: what is judged is judged by what holds now.
    let snapshot = house.snapshot();
    let ((), ticket) = closing(house.identity.still_since(&talk.caller, visit.arrived, clock::now_ms()), ticket)?;
    let facts = facts(house, visit, (&snapshot, ticket.id()), visit.arrived);
    let (facts, ticket) = closing(facts, ticket)?;
    let place = Where { naming: talk.endpoint.naming, menus: &menus, owner: guest.owner.as_ref() };
    let meant = snapshot.catalog.meant(&parsed, place.naming, &menus);
    let case = snapshot.catalog.case(parsed, &talk.caller, place, facts);
    let case = case.map_err(|refusal| veil(&snapshot, talk, meant, brought.explain(refusal)));
    let (case, ticket) = closing(case, ticket)?; // 4
    watch.concerns(&case);
    let ruling = snapshot.monitor.admit(case, ticket)?; // 5
    house.counts.nudge();
    let asked = consult::ask(house, visit, (ruling, snapshot), (brought, guest.running.as_ref())).await?; // 6
    let (admitted, snapshot) = match asked {
        Consulted::Go(admitted, snapshot) => (admitted, snapshot),
        Consulted::Asked(released) => return Ok(Some(released)),
    };
    let (admitted, snapshot) = opinions::weigh(house, visit, (admitted, snapshot), guest.running.as_ref()).await?;
    let recorded = once::record(house, admitted).await?; // 7
    let begun = recorded.case().tool().map(|tool| Owner { server: tool.server.clone(), tool: Some(tool.pin.name.as_str().into()) });
    let labels = recorded.case().server().map(|server| said(&snapshot, Some(recorded.case()), server));
    let origin = keep::origin(recorded.case());
    let Some(answer) = send(house, visit, (&snapshot, &menus), recorded, (&mut guest, watch)).await? else { return Ok(None) }; // 8
    let mut released = opinions::release(house, &snapshot, answer, guest.running.as_ref()).await?; // 9
    house.releases(&talk.caller, labels.unwrap_or_default().and(released.labels()));
    keep::keep(house, visit, origin, &mut released).await?;
    task::learn(talk, begun, &released);
    Ok(Some(released))
}

/// What is hidden from a caller is refused like what does not exist, also while its server is down.
fn veil(snapshot: &Snapshot, talk: &Talk, (meant, uri): (Vec<Item>, Option<Json>), refusal: Refusal) -> Refusal {
    let hidden = !meant.is_empty() && meant.iter().all(|item| snapshot.monitor.hides(&talk.caller, item));
    if hidden { refusal.veiled(uri) } else { refusal }
}

/// What is needed to answer a message, whatever becomes of it.
#[derive(Debug)]
pub struct Asked {
    /// The id to answer.
    pub id: Option<Id>,
    /// The method, where it was understood.
    pub method: Option<Method>,
    /// The era of the answer.
    pub era: Era,
    /// The number of the call.
    pub call: u64,
    /// Whether an answer is expected: not for notifications and responses.
    pub awaited: bool,
}

/// Opens the record of a message and notes what is known of it before it is a case.
fn open(house: &House, visit: &Visit<'_>, arrival: &Result<Parsed, Misread>) -> (Asked, Ticket) {
    let talk = visit.talk;
    let mut ticket = identify(visit, house.journal.ticket());
    let asked = Asked::of(arrival, ticket.id());
    if let Some(method) = asked.method {
        ticket.about().string("method", method.name());
    }
    if let Some(server) = &talk.endpoint.name {
        ticket.about().string("server", server);
    }
    (asked, ticket)
}

/// Notes who it is whose call this record is of.
fn identify(visit: &Visit<'_>, mut ticket: Ticket) -> Ticket {
    let (talk, about) = (visit.talk, ticket.about());
    about.string("principal", talk.caller.principal());
    if let Some(application) = talk.caller.badge().and_then(|badge| badge.application.as_deref()) {
        about.string("application", application);
    }
    about.string("session", &talk.label).string("transport", talk.transport);
    if let Some(peer) = visit.peer {
        about.shown("peer", peer);
    }
    ticket
}

/// A refusal closes the record; anything else carries it on.
fn closing<T>(result: Result<T, Refusal>, ticket: Ticket) -> Result<(T, Ticket), Refusal> {
    match result {
        Ok(value) => Ok((value, ticket)),
        Err(refusal) => {
            ticket.refuse(&refusal);
            Err(refusal)
        }
    }
}

impl Approvals for House {
    fn of(&self, server: &str) -> Approved {
        let snapshot = self.snapshot();
        let lock = snapshot.catalog.lock();
        // Whether something was approved that cannot be read any more is not known, so it is taken to be.
        let definitions = !lock.lacks(server) || snapshot.standing == Standing::Lost;
        Approved { definitions, artefacts: lock.artefacts(server).to_vec() }
    }
}

impl House {
    /// Puts everything that serves together.
    #[must_use]
    pub fn new(settings: Settings, current: Current, identity: Identity, journal: Arc<Journal>) -> Arc<Self> {
        // Beside the rest of the start.
        drop(tokio::task::spawn_blocking(bartizan_detect::prepare));
        let counts = Counts::open(&settings, journal.clone());
        let (places, stops) = (Places::new(&settings.limits), Watched::open(&settings.places.state));
        let metrics = Metrics::new(settings.servers.iter().map(|server| &server.name));
        let hook = settings.webhook.clone().map(Hook::start);
        let consult = Consult::new(settings.confirm_timeout, hook.clone());
        let trap = Trap::set(&settings, journal.clone(), hook.clone()).map(|trap| -> Arc<dyn Wires> { trap });
        let drift = Drift::new(journal.clone(), hook, metrics.clone());
        let once = Store::of(&settings, &journal);
        let kept = Kept::open(&settings.places.state, &settings.limits);
        let read = Read::open(&settings.places.state, settings.effects.labels_kept);
        let keeper = Keeper::new(&settings.stores, Some(Inventory::of(&settings.places.state)));
        let (judges, traces) = (Judges::of(&settings.judges), settings.traces.clone().and_then(Traces::start));
        let collector = settings.traces.iter().filter_map(|traces| traces.token.as_ref());
        let tokens = settings.judges.iter().filter_map(|judge| judge.token.as_ref()).chain(collector);
        tokens.for_each(|token| keeper.holdings().learn(token));
        journal.cover_with(keeper.holdings().clone());
        Arc::new(Self {
            settings,
            current,
            identity,
            journal,
            stops,
            drift,
            keeper,
            metrics,
            traces,
            lists: lists::Lists::default(),
            counts,
            once,
            kept,
            trap,
            places,
            consult,
            judges,
            read,
            draining: CancellationToken::new(),
        })
    }

    /// The snapshot of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load()
    }

    /// Takes no new calls from now on.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Resolves when no new calls are taken.
    pub async fn drained(&self) {
        self.draining.cancelled().await;
    }

    /// Tells of the calls that were followed last.
    pub async fn tell_last(&self) {
        if let Some(traces) = &self.traces {
            traces.finish().await;
        }
    }

    /// Waits until all running calls have ended.
    pub async fn empty(&self) {
        self.places.empty().await;
    }
}

/// Resolves when the client or the operator ends a running call.
pub(crate) async fn ended(running: Option<&Running>, enlisted: &Enlisted<'_>) -> Refusal {
    let cancel = running.map(|running| running.cancel.clone()).unwrap_or_default();
    tokio::select! {
        () = cancel.cancelled() => Refusal::new(UPSTREAM_CANCELLED, "the client cancelled"),
        () = enlisted.stopped() => Refusal::new(SERVE_SUSPENDED, "suspended while it ran"),
    }
}

/// Sends the call where it goes, and waits.
async fn send(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (snapshot, menus): (&Arc<Snapshot>, &[Menu]),
    recorded: Recorded,
    (guest, watch): (&mut Guest, &mut Watch<'_>),
) -> Result<Option<Answer>, Refusal> {
    let talk = visit.talk;
    if let Some(own) = guest.own.take() {
        own.tell(recorded);
        return Ok(None);
    }
    if let Some(body) = once::replayed(recorded.case()) {
        return Ok(Some(recorded.answered(Outcome::Result(body))));
    }
    let Some(name) = recorded.case().server().cloned() else {
        let enlisted = house.stops.enlist(recorded.case(), local::heard(talk, recorded.case()));
        return Box::pin(local::answer(house, visit, (snapshot, menus), recorded, ended(guest.running.as_ref(), &enlisted))).await;
    };
    let link = match (&guest.ask, talk.endpoint.server(&name)) {
        (Some(ask), _) => ask.link().ok_or_else(|| Refusal::new(UNSOLICITED, "the server that asked is gone")),
        (None, Some(server)) => talk.link(house, server, recorded.case().version().era()).await,
        (None, None) => Err(Refusal::new(UNSOLICITED, "no such server at this endpoint")),
    };
    let link = match link {
        Ok(link) => link,
        Err(refusal) => return Err(recorded.failed(refusal)),
    };
    match (&mut guest.ask, &guest.running) {
        (Some(ask), _) => {
            link.reply(recorded, ask.id()).await?;
            ask.settle();
            Ok(None)
        }
        (None, Some(running)) => {
            let ear: Ear = Ear::for_request(house, talk, visit.interim.clone());
            let enlisted = house.stops.enlist(recorded.case(), []);
            let asked = Stopwatch::start();
            let answer = link.send(recorded, &ear as &dyn Listener, ended(Some(running), &enlisted)).await;
            watch.waited(&name, asked.elapsed());
            let answer = answer?;
            ear.finish();
            Ok(Some(answer))
        }
        (None, None) => Err(recorded.failed(Refusal::new(UNSOLICITED, "nothing to send"))),
    }
}
