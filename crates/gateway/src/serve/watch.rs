//! A call as those see it who look at how much happens and how long it takes: every one is counted, and some are followed.

use std::time::Duration;

use bartizan_monitor::case::{Case, Effect, Item};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::Released;
use bartizan_monitor::wire::envelope::{Message, Misread, Parsed};

use super::{Asked, House, Visit};
use crate::metrics::{Call, Metrics, Outcome};
use crate::traces::{Parent, Span};

/// Whoever is told of a call, while it goes on.
pub(super) struct Watch<'h> {
    metrics: &'h Metrics,
    count: Call<'h>,
    span: Option<Span<'h>>,
}

impl<'h> Watch<'h> {
    /// Begins with a message that came.
    pub(super) fn of(house: &'h House, visit: &Visit<'_>, asked: &Asked, arrival: &Result<Parsed, Misread>) -> Self {
        let span = house.traces.as_ref().and_then(|traces| {
            let parent = arrival.as_ref().ok().and_then(parent).or(visit.parent);
            traces.follow((asked.call, asked.method), parent, visit.arrived)
        });
        Self { metrics: &house.metrics, count: house.metrics.call(), span }
    }

    /// It is known what it is about.
    pub(super) fn concerns(&mut self, case: &Case) {
        if let Some(server) = case.server() {
            self.count.concerns(server, case.effect());
            let tool = case.tool().map(|tool| tool.pin.name.as_str());
            self.span.iter_mut().for_each(|span| span.concerns(server, tool, case.effect()));
        }
    }

    /// It reads what a tool answered before.
    pub(super) fn reads(&mut self, item: &Item) {
        self.count.concerns(&item.server, Effect::Read);
        self.span.iter_mut().for_each(|span| span.concerns(&item.server, Some(&item.pin.name), Effect::Read));
    }

    /// A server took so long until now.
    pub(super) fn waited(&mut self, server: &str, time: Duration) {
        self.metrics.waited(server, time);
        self.span.iter_mut().for_each(|span| span.waited(time));
    }

    /// It has ended, and so.
    pub(super) fn ended(mut self, outcome: &Result<Option<Released>, Refusal>) {
        let reason = outcome.as_ref().err().map(|refusal| refusal.reason.code());
        self.span.iter_mut().for_each(|span| span.ended(Outcome::told(outcome), reason));
        self.count.ended(outcome);
    }
}

/// What a message says in `_meta` that it was made from.
fn parent(parsed: &Parsed) -> Option<Parent> {
    let (Message::Request { params, .. } | Message::Notification { params, .. }) = parsed.message() else { return None };
    Parent::read(&params.as_ref()?.view().at(&["_meta", "traceparent"])?.as_str()?)
}
