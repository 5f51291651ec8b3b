//! Lists: what is approved, still offered, and for this caller to see.

use std::sync::Arc;

use bartizan_monitor::case::Kind;
use bartizan_monitor::catalog::Menu;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::PARAMS;
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::version::Era;

use super::super::House;
use super::super::keep;
use super::super::lists::Choice;
use super::Made;
use crate::session::Talk;
use crate::snapshot::Snapshot;

/// How many definitions one page of a list holds.
pub(in crate::serve) const PAGE: usize = 1000;

pub(super) fn list(
    house: &House,
    talk: &Talk,
    (snapshot, menus): (&Arc<Snapshot>, &[Menu]),
    (kind, era): (Kind, Era),
    params: Option<&Json>,
) -> Result<Made, Refusal> {
    if let (Some(_), [Menu { offer: Err(refusal), .. }]) = (talk.endpoint.sole(), menus) {
        return Err(refusal.clone());
    }
    let choose = || {
        let all = snapshot.catalog.listed(kind, talk.endpoint.naming, menus);
        let seen: Box<[bool]> = all.iter().map(|(item, _)| snapshot.monitor.lists(&talk.caller, item)).collect();
        let items = all.into_iter().zip(&seen).filter(|(_, seen)| **seen).map(|((_, definition), _)| definition).collect();
        Choice { seen, items }
    };
    let visible = house.lists.get((talk.caller.clone(), talk.endpoint.name.clone(), kind), (snapshot, menus), choose);
    let start = match params.and_then(|params| params.view().get("cursor")) {
        None => 0,
        Some(cursor) => read_cursor(cursor)
            .filter(|start| *start < visible.items.len())
            .ok_or_else(|| Refusal::new(PARAMS, "not a cursor that was given here"))?,
    };
    let end = start.saturating_add(PAGE);
    let next = (visible.items.len() > end).then_some(end);
    // What completes calls that wait, and what reads on, stands on the last page.
    let own = if kind == Kind::Tool && next.is_none() {
        house.consult.tools(talk, (era, params)).into_iter().chain(keep::tool(house, snapshot, talk)).collect()
    } else {
        Vec::new()
    };
    let page = || page((kind, era), visible.items.iter().skip(start).take(PAGE).chain(&own), next);
    Ok(if own.is_empty() { Made::Before(house.lists.page(&talk.caller, &visible, (start, era), page)) } else { Made::New(page()) })
}

/// One page. It follows from these alone: a page that is kept is answered with to everybody who sees the same.
fn page<'d>((kind, era): (Kind, Era), definitions: impl Iterator<Item = &'d Json>, next: Option<usize>) -> Json {
    let mut members = vec![(kind.plural(), Json::array(definitions.cloned()))];
    members.extend(next.map(|next| ("nextCursor", Json::string(&format!("{CURSOR}{next}")))));
    if era == Era::Modern {
        // Lists depend on who asks, so no shared cache may keep them.
        members.extend([("resultType", Json::string("complete")), ("ttlMs", Json::number(0)), ("cacheScope", Json::string("private"))]);
    }
    Json::object(members)
}

const CURSOR: &str = "from-";

fn read_cursor(cursor: View<'_>) -> Option<usize> {
    cursor.as_str()?.strip_prefix(CURSOR)?.parse().ok()
}
