//! What is released to whom carries labels, also what servers say outside of calls.

use std::sync::Arc;

use bartizan_monitor::case::{Caller, Case, Kind, Labels};
use bartizan_monitor::lock::Returns;

use super::House;
use crate::clock::Stopwatch;
use crate::snapshot::Snapshot;

impl House {
    /// What a caller has seen, in whichever conversation.
    pub(crate) fn labels(&self, caller: &Caller, arrived: Option<Stopwatch>) -> Labels {
        self.read.labels(caller, arrived)
    }

    /// Notes what is released to a caller. Before it reads it: whatever follows from it comes later.
    pub(crate) fn releases(&self, caller: &Caller, labels: Labels) {
        self.read.add(caller, labels);
    }
}

/// The labels of what a server says: those of what was called, and where nothing was, the gravest of all that was
/// approved of the server, for that it may be speaking of. Who vouches for all that it returns vouches for this.
pub(crate) fn said(snapshot: &Snapshot, call: Option<&Case>, server: &str) -> Labels {
    if let Some(item) = call.and_then(Case::item) {
        return Labels::of(item.pin.contract.returns());
    }
    gravest(snapshot, Labels::default(), server)
}

/// The labels of what a server says while a call runs, on a pipe that all calls share: it may belong to a call that ended
/// a moment ago, so it carries what any of the server's definitions carries, beside what was called.
pub(crate) fn overheard(snapshot: &Snapshot, call: Option<&Case>, server: &str) -> Labels {
    gravest(snapshot, said(snapshot, call, server), server)
}

fn gravest(snapshot: &Snapshot, least: Labels, server: &str) -> Labels {
    let mut pins = snapshot.catalog.lock().of(server).filter(|pin| Kind::LISTED.contains(&pin.kind)).peekable();
    // Of a server without any definition nobody has said anything.
    let least = if pins.peek().is_none() { Labels::of(Returns::Untrusted) } else { least };
    pins.fold(least, |labels, pin| labels.and(Labels::of(pin.contract.returns())))
}

/// Whether a caller may see anything of a server, or there is nothing that could be hidden.
pub(super) fn shows(snapshot: &Snapshot, caller: &Caller, server: &Arc<str>) -> bool {
    let mut items = snapshot.catalog.approved(server).filter(|item| Kind::LISTED.contains(&item.pin.kind)).peekable();
    items.peek().is_none() || items.any(|item| snapshot.monitor.lists(caller, &item))
}
