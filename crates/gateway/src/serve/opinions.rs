//! External judges are heard when everything else has agreed: last before a call leaves, so that nothing is shown to them
//! that a person would not have let go, and last before an answer is released.

use std::panic::resume_unwind;
use std::sync::Arc;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::opinion::{Brief, CHANGED, Opinion, Screened};
use bartizan_monitor::stages::{Admitted, Answer, Released, Ruling};

use super::{House, Visit, ended};
use crate::clock::Stopwatch;
use crate::consult;
use crate::lanes;
use crate::session::Running;
use crate::snapshot::Snapshot;
use crate::stops::Enlisted;

/// Hears who has to be heard before a call leaves. Judges may take a minute: when what calls are judged by changed
/// meanwhile, the call is judged anew, and their word holds as long as its content does.
pub(super) async fn weigh(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (admitted, snapshot): (Admitted, Arc<Snapshot>),
    running: Option<&Running>,
) -> Result<(Admitted, Arc<Snapshot>), Refusal> {
    let Some(brief) = admitted.brief() else { return Ok((admitted, snapshot)) };
    // Boxed: the calls that nobody is heard about do not carry what this needs.
    Box::pin(weighed(house, visit, (admitted, snapshot), (brief, running))).await
}

async fn weighed(
    house: &Arc<House>,
    visit: &Visit<'_>,
    (admitted, snapshot): (Admitted, Arc<Snapshot>),
    (brief, running): (Brief, Option<&Running>),
) -> Result<(Admitted, Arc<Snapshot>), Refusal> {
    // It was counted when it was admitted, and asking is what it costs, whatever comes of it.
    admitted.case().facts().tally.keep();
    let enlisted = house.stops.enlist(admitted.case(), []);
    let heard = hear(house, &brief, (running, &enlisted)).await;
    drop(enlisted);
    let opinions = match heard {
        Ok(opinions) => opinions,
        Err(refusal) => return Err(admitted.given_up(refusal)),
    };
    let labels = house.labels(&visit.talk.caller, Some(Stopwatch::start()));
    let same = Arc::ptr_eq(&house.snapshot(), &snapshot) && admitted.case().facts().labels == labels;
    let (admitted, snapshot) = match same {
        true => match consult::still(house, visit) {
            Ok(()) => (admitted, snapshot),
            Err(refusal) => return Err(admitted.given_up(refusal)),
        },
        false => match consult::renewed(house, visit, admitted.reopen()).await? {
            (Ruling::Admitted(admitted), snapshot) => (admitted, snapshot),
            (Ruling::Held(held), _) => return Err(held.refused(Refusal::new(CHANGED, "somebody has to agree to it now"), None)),
        },
    };
    let (admitted, labels) = admitted.weighed(&brief, &opinions)?;
    house.releases(&visit.talk.caller, labels);
    Ok((admitted, snapshot))
}

/// What is longer takes milliseconds or more to look through: its lane serves others meanwhile.
const LONG: usize = 128 * 1024;

async fn aside(house: &House, snapshot: &Arc<Snapshot>, answer: Answer) -> Result<Screened, Refusal> {
    // It is never closed.
    let turn = house.places.long_answers.clone().acquire_owned().await;
    let snapshot = snapshot.clone();
    let looked = tokio::task::spawn_blocking(move || {
        // Kept also when nobody waits any more: what is looked through takes memory until it is done.
        let _turn = turn;
        snapshot.monitor.screen(answer)
    });
    looked.await.unwrap_or_else(|failed| resume_unwind(failed.into_panic()))
}

/// Asks every control, and then whoever has to be heard, whether the answer may come back.
pub(super) async fn release(
    house: &Arc<House>,
    snapshot: &Arc<Snapshot>,
    answer: Answer,
    running: Option<&Running>,
) -> Result<Released, Refusal> {
    // Where there is no lane, there is one client.
    let is_aside = answer.length() > LONG && lanes::here().is_some();
    let screened = if is_aside { aside(house, snapshot, answer).await } else { snapshot.monitor.screen(answer) }?;
    let Some(brief) = screened.brief() else { return screened.released() };
    let enlisted = house.stops.enlist(screened.case(), []);
    let heard = Box::pin(hear(house, &brief, (running, &enlisted))).await;
    drop(enlisted);
    match heard {
        Ok(opinions) => screened.weighed(&brief, &opinions),
        Err(refusal) => Err(screened.given_up(refusal)),
    }
}

async fn hear(house: &House, brief: &Brief, (running, enlisted): (Option<&Running>, &Enlisted<'_>)) -> Result<Vec<Opinion>, Refusal> {
    tokio::select! {
        biased;
        refusal = ended(running, enlisted) => Err(refusal),
        opinions = house.judges.hear(brief) => Ok(opinions),
    }
}
