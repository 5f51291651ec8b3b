//! A call that was made before: waiting for it, writing down that it is made, and answering with its answer.

use bartizan_monitor::case::{Case, Deed, Effect, Moment, digest_of};
use bartizan_monitor::catalog::{Menu, Naming};
use bartizan_monitor::lock::Repeats;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::MONITOR_JOURNAL;
use bartizan_monitor::stages::{Admitted, Recorded};
use bartizan_monitor::wire::envelope::{Message, Parsed};
use bartizan_monitor::wire::json::{Edits, Json};
use bartizan_monitor::wire::method::Method;

use super::{Guest, House};
use crate::clock;
use crate::journal::Durability;
use crate::once::Turn;
use crate::session::Talk;

/// The member of an answer's `_meta` that says which call it was given to first.
const REPLAYED: &str = "io.github.bartizan-security/replayed-of";

/// Waits while the same call runs: it may be this one, sent again. What it is then judged by holds after that.
/// Where gateways remember together it is claimed here, because nobody can wait while it is judged.
pub(super) async fn turn(house: &House, talk: &Talk, (parsed, call): (&Parsed, u64), menus: &[Menu], guest: &Guest) -> Option<Turn> {
    let Message::Request { id, method: Method::ToolsCall, params } = parsed.message() else { return None };
    if !house.once.is_asked() {
        return None;
    }
    let deed = {
        let snapshot = house.snapshot();
        let naming: Naming = talk.endpoint.naming;
        let item = snapshot.catalog.called(parsed, &talk.caller, (naming, menus))?;
        let arguments = params.as_ref().and_then(|params| params.get("arguments"));
        if item.pin.effect == Effect::Read || item.pin.rehearses(arguments.as_ref()) {
            return None;
        }
        let digest = digest_of(arguments.as_ref());
        let moment = Moment { call, session: &talk.label, request: id.key(), era: parsed.version().era(), now_ms: clock::now_ms() };
        Deed::of(&talk.caller, &item, params.as_ref(), &digest, moment).ok()?
    };
    if !deed.named && deed.repeats == Repeats::Key {
        return None;
    }
    let cancel = guest.running.as_ref().map(|running| running.cancel.clone()).unwrap_or_default();
    tokio::select! {
        turn = house.once.turn(&deed) => Some(turn),
        () = cancel.cancelled() => None,
    }
}

/// Writes the decision down before anything happens; on disk for what changes the world.
pub(super) async fn record(house: &House, admitted: Admitted) -> Result<Recorded, Refusal> {
    let durability = if admitted.case().effect() == Effect::Read { Durability::Written } else { Durability::OnDisk };
    let (receipt, known) = tokio::join!(house.journal.record(admitted.decision(), durability), remembered(house, admitted.case()));
    admitted.record(known.and(receipt.map_err(|error| Refusal::new(MONITOR_JOURNAL, error))))
}

/// Has it on disk, or in the database, that a call is made, where it must not be made twice.
async fn remembered(house: &House, case: &Case) -> Result<(), Refusal> {
    match case.facts().once.claim() {
        Some(claim) if claim.replay().is_none() => house.once.recorded(case.facts().id).await,
        Some(_) | None => Ok(()),
    }
}

/// What answers a repeat: the answer of the first one, and which that was. Like any answer, it is judged before it is
/// released.
pub(super) fn replayed(case: &Case) -> Option<Json> {
    let (first, body) = case.facts().once.claim()?.replay()?;
    let (mark, mut edits) = (Json::string(&format!("{first:016x}")), Edits::of(&body));
    match body.view().get("_meta") {
        Some(meta) => edits.set(meta, REPLAYED, &mark),
        None => edits.set(body.view(), "_meta", &Json::object([(REPLAYED, mark)])),
    }
    Some(edits.apply())
}
