//! What is kept of answers, and the messages that read it.

use std::sync::Arc;

use bartizan_monitor::case::{Aside, Case, Quarantined, READ_ON, Reading};
use bartizan_monitor::catalog::Catalog;
use bartizan_monitor::controls::injection::FOUND;
use bartizan_monitor::journal::{Ticket, call_name};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::kept::KEPT_UNKNOWN;
use bartizan_monitor::stages::{Released, Ruling};
use bartizan_monitor::wire::envelope::{Message, Outcome, Parsed};
use bartizan_monitor::wire::json::{Edits, Json, View};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Era;

use super::watch::Watch;
use super::{House, Visit, closing, facts, once, opinions, said};
use crate::clock;
use crate::consult::{self, desk::Place};
use crate::kept::{self, Found, HANDLE, Origin, Source};
use crate::session::{Running, Talk};
use crate::snapshot::Snapshot;

/// The handle that a message reads on with; none where it calls a server's tool.
pub(super) fn handle(house: &House, visit: &Visit<'_>, parsed: &Parsed) -> Option<String> {
    let Message::Request { method: Method::ToolsCall, params: Some(params), .. } = parsed.message() else { return None };
    let view = params.view();
    view.get("name").and_then(View::as_str).filter(|name| name == READ_ON)?;
    let handle = view.at(&["arguments", HANDLE]).and_then(View::as_str).unwrap_or_default().into_owned();
    let is_ours = !is_taken(&house.snapshot(), visit.talk) || house.kept.knows(&place(visit.talk), &handle);
    is_ours.then_some(handle)
}

/// Whether a server's own tool has the name of ours.
fn is_taken(snapshot: &Snapshot, talk: &Talk) -> bool {
    talk.endpoint.servers.iter().any(|server| snapshot.catalog.takes(server.name(), talk.endpoint.naming))
}

/// Our tool, where a conversation has something to read on.
pub(super) fn tool(house: &House, snapshot: &Snapshot, talk: &Talk) -> Option<Json> {
    let has = house.kept.has(&place(talk), clock::now_ms()) && !is_taken(snapshot, talk);
    has.then(kept::tool)
}

/// What an answer would be kept for, before the call is on its way.
pub(super) fn origin(case: &Case) -> Option<Source> {
    Source::of(case).filter(|_| case.keeps())
}

/// Where what is kept is read again. Over a pipe it is whoever started the program, whichever process that is: a person's
/// word may come after the client was started anew.
fn place(talk: &Talk) -> Place {
    let place = consult::place_of(talk);
    if talk.transport == "stdio" { Place { session: "".into(), ..place } } else { place }
}

/// Keeps what was not handed out. Where it cannot be kept, the answer is refused: nobody is promised what is lost.
pub(super) async fn keep(house: &House, visit: &Visit<'_>, source: Option<Source>, released: &mut Released) -> Result<(), Refusal> {
    let asides = released.take_asides();
    let Some(source) = source.filter(|_| !asides.is_empty()) else { return Ok(()) };
    // Boxed: the answers that are handed out whole do not carry what this needs.
    Box::pin(put(house, visit, (source.origin(released.labels()), asides))).await
}

async fn put(house: &House, visit: &Visit<'_>, (origin, asides): (Origin, Vec<Aside>)) -> Result<(), Refusal> {
    let (place, now_ms) = (place(visit.talk), clock::now_ms());
    let had = house.kept.has(&place, now_ms);
    for aside in asides {
        let kept = match aside {
            Aside::Rest(rest) => house.kept.put(&place, origin.clone(), rest, now_ms),
            Aside::Quarantined(taken) => quarantine(house, (&place, &origin), taken, now_ms).await,
        };
        if let Err(refusal) = &kept {
            // The call was recorded as answered before it was known that this cannot be kept.
            house.journal.note(&Json::object([
                ("event", Json::string("unkept")),
                ("of", Json::string(&call_name(origin.call))),
                ("reason", Json::string(refusal.reason.code())),
                ("detail", Json::string(&refusal.detail)),
            ]));
        }
        kept?;
    }
    if !had {
        consult::announce(visit.talk);
    }
    Ok(())
}

async fn quarantine(house: &House, (place, origin): (&Place, &Origin), taken: Quarantined, now_ms: u64) -> Result<(), Refusal> {
    let (quarantine, handle) = (house.kept.quarantine.clone(), taken.handle.clone());
    let (place, own) = (place.clone(), origin.clone());
    // Other gateways may hold the files.
    let put = tokio::task::spawn_blocking(move || quarantine.put(&place, &own, taken, now_ms)).await;
    if let Err(error) = put.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        tracing::error!(%error, "texts could not be quarantined: the answer is withheld");
        return Err(Refusal::new(FOUND, format!("it could not be quarantined: {error}")));
    }
    tracing::warn!(server = %origin.server, tool = %origin.tool, "texts are quarantined: bartizan quarantine show {handle}");
    Ok(())
}

/// What of a handle is known without reading what it stands for.
async fn find(house: &House, place: &Place, handle: &str) -> Result<Found, Refusal> {
    if !house.kept.knows(place, handle) {
        let (quarantine, place, handle) = (house.kept.quarantine.clone(), place.clone(), handle.to_owned());
        // What fails here is not found.
        let _ = tokio::task::spawn_blocking(move || quarantine.look(&place, &handle)).await;
    }
    house.kept.find(place, handle, clock::now_ms())
}

/// Reads what is kept: a call of its own, judged by every control, recorded, and its answer judged.
pub(super) async fn read(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (parsed, ticket): (Parsed, Ticket),
    (handle, watch): (String, &mut Watch<'_>),
    running: Option<&Running>,
) -> Result<Option<Released>, Refusal> {
    let (talk, place, era) = (visit.talk, place(visit.talk), parsed.version().era());
    let ((), ticket) = closing(house.identity.still_since(&talk.caller, visit.arrived, clock::now_ms()), ticket)?;
    let (found, ticket) = closing(find(house, &place, &handle).await, ticket)?;
    let snapshot = house.snapshot();
    let Found { origin, body, reads } = found;
    let standing = house.drift.standing(snapshot.catalog.lock(), &origin.server, &origin.tool);
    let item = snapshot.catalog.kept(&origin.server, &origin.tool, (&origin.reviewed, standing));
    // What left the endpoint, left it with all that it said.
    let item = item.filter(|item| talk.endpoint.server(&item.server).is_some());
    let changed = || Refusal::new(KEPT_UNKNOWN, "what was called is not there, or not approved any more as it was");
    let (item, ticket) = closing(item.ok_or_else(changed), ticket)?;
    let (facts, ticket) = closing(facts(house, visit, (&snapshot, ticket.id()), visit.arrived), ticket)?;
    watch.reads(&item);
    let is_last = matches!(reads.what, Reading::Part { next: None, .. });
    let admitted = match snapshot.monitor.admit(Catalog::reading(parsed, &talk.caller, facts, (item, reads)), ticket)? {
        Ruling::Admitted(admitted) => admitted,
        Ruling::Held(held) => {
            let reason = held.hold().reason;
            return Err(held.refused(Refusal::new(reason, "what is kept is not read after a question"), None));
        }
    };
    house.counts.nudge();
    let recorded = once::record(house, admitted).await?;
    let labels = said(&snapshot, Some(recorded.case()), &origin.server).and(origin.labels);
    let (quarantine, own, begun) = (house.kept.quarantine.clone(), place.clone(), origin.clone());
    let taken = tokio::task::spawn_blocking(move || kept::take(&quarantine, &own, (&begun, body), clock::now_ms())).await;
    let body = match taken.unwrap_or_else(|error| Err(Refusal::new(KEPT_UNKNOWN, error.to_string()))) {
        Ok(body) => body,
        Err(refusal) => return Err(recorded.failed(refusal)),
    };
    let next = Source::of(recorded.case()).map(|source| source.read_from(origin.quarantined));
    let answer = recorded.answered(Outcome::Result(complete(body, era)));
    let mut released = opinions::release(house, &snapshot, answer, running).await?;
    house.releases(&talk.caller, labels.and(released.labels()));
    keep(house, visit, next, &mut released).await?;
    if is_last {
        house.kept.read_out(&handle);
        if !house.kept.has(&place, clock::now_ms()) {
            consult::announce(talk);
        }
    }
    Ok(Some(released))
}

/// What the client's era wants of a result.
fn complete(body: Json, era: Era) -> Json {
    if era == Era::Legacy || body.view().get("resultType").is_some() {
        return body;
    }
    let mut edits = Edits::of(&body);
    edits.set(body.view(), "resultType", &Json::string("complete"));
    edits.apply()
}
