//! A call that waits for a person is tried first, where the operator knows how to ask the server for that.
//!
//! What is tried is a call of its own: judged by every control, recorded, sent, and its answer judged. What would have
//! to be asked about itself is not tried.

use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::case::{Case, Labels};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{CONFIRM_PREVIEW, SERVE_DRAINING, UPSTREAM_TIMEOUT};
use bartizan_monitor::stages::{Held, Released, Ruling};
use bartizan_monitor::wire::UNSOLICITED;

use super::{House, Visit, closing, ended, facts, identify, once, opinions, said};
use crate::clock::Stopwatch;
use crate::session::{Ear, Running};
use crate::snapshot::Snapshot;
use crate::upstream::Listener;

/// How long a dry run may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of trying a call: what the server says it would do and with which labels, or why it was not asked or did
/// not answer.
pub(crate) type Rehearsed = Result<(Released, Labels), Refusal>;

/// Tries a held call; none where the operator has not said how that is done.
pub(crate) async fn rehearse(
    house: &Arc<House>,
    visit: &Visit<'_>,
    snapshot: &Arc<Snapshot>,
    (held, running): (&Held, Option<&Running>),
) -> Option<Rehearsed> {
    held.case().item()?.pin.contract.preview.as_ref()?;
    Some(made(house, visit, snapshot, (held.case(), running)).await)
}

async fn made(house: &Arc<House>, visit: &Visit<'_>, snapshot: &Arc<Snapshot>, (call, running): (&Case, Option<&Running>)) -> Rehearsed {
    let ticket = identify(visit, house.journal.ticket());
    let (facts, ticket) = closing(facts(house, visit, (snapshot, ticket.id()), Stopwatch::start()), ticket)?;
    let unknown = || Refusal::new(CONFIRM_PREVIEW, "the reviewed schema does not declare what `preview` names");
    let (case, ticket) = closing(call.rehearsal(facts).ok_or_else(unknown), ticket)?;
    let admitted = match snapshot.monitor.admit(case, ticket)? {
        Ruling::Admitted(admitted) => admitted,
        Ruling::Held(held) => {
            let why = format!("it would itself have to be agreed to: {}", held.hold().reason);
            return Err(held.refused(Refusal::new(CONFIRM_PREVIEW, why), None));
        }
    };
    let (admitted, snapshot) = opinions::weigh(house, visit, (admitted, snapshot.clone()), running).await?;
    let recorded = once::record(house, admitted).await?;
    let server = recorded.case().server().and_then(|name| visit.talk.endpoint.server(name));
    let Some(server) = server else { return Err(recorded.failed(Refusal::new(UNSOLICITED, "no such server at this endpoint"))) };
    let link = match visit.talk.link(house, server, recorded.case().version().era()).await {
        Ok(link) => link,
        Err(refusal) => return Err(recorded.failed(refusal)),
    };
    let ear = Ear::for_request(house, visit.talk, visit.interim.clone());
    let enlisted = house.stops.enlist(recorded.case(), []);
    let labels = recorded.case().server().map(|server| said(&snapshot, Some(recorded.case()), server));
    // Nobody is asked before it has answered, so it has little time.
    let over = async {
        tokio::select! {
            refusal = ended(running, &enlisted) => refusal,
            () = house.drained() => Refusal::new(SERVE_DRAINING, "while a call was tried"),
            () = tokio::time::sleep(PATIENCE) => Refusal::new(UPSTREAM_TIMEOUT, "the server's dry run took too long"),
        }
    };
    let answer = link.send(recorded, &ear as &dyn Listener, over).await?;
    ear.finish();
    let released = opinions::release(house, &snapshot, answer, running).await?;
    let labels = labels.unwrap_or_default().and(released.labels());
    Ok((released, labels))
}
