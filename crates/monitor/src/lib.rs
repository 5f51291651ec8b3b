//! Bartizan's monitor: it *decides*. May this exact call, by this caller, now, go to this tool, and
//! may this reply come back?
//!
//! No I/O, no clock, no runtime, no randomness, no `unsafe`: everything it may consider arrives in a
//! [`case::Case`], everything it concludes leaves as a stage of [`stages`] or as a
//! [`reason::Refusal`]. Same snapshot, same history, same case: same answer.
//!
//! Start at [`stages`], then read one control, [`controls::quota`].

pub mod case;
pub mod catalog;
pub mod control;
pub mod controls;
pub mod journal;
pub mod lock;
pub mod reason;
pub mod stages;
pub mod wire;

/// Every reason that can be given, in the order of the decision.
pub fn reasons() -> impl Iterator<Item = reason::Reason> {
    let own = [wire::REASONS, reason::gateway::REASONS, reason::kept::REASONS, catalog::REASONS, stages::opinion::REASONS];
    let controls = controls::REGISTRY.iter().map(|entry| entry.reasons);
    let all: Vec<reason::Reason> = own.into_iter().chain(controls).flatten().copied().collect();
    // Some areas are the gateway's and a control's; a reader finds them in one place.
    let met = |area: &str| all.iter().position(|reason| reason.area() == area);
    let mut together = all.clone();
    together.sort_by_cached_key(|reason| met(reason.area()));
    together.into_iter()
}
