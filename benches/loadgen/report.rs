//! Numbers as they appear in the JSON line.

use serde_json::{Value, json};

use crate::stats::Latency;

/// One decimal; `null` instead of a number that is none.
pub(crate) fn round(x: f64) -> Value {
    if x.is_finite() { json!((x * 10.0).round() / 10.0) } else { Value::Null }
}

/// Two decimals.
pub(crate) fn round2(x: f64) -> Value {
    if x.is_finite() { json!((x * 100.0).round() / 100.0) } else { Value::Null }
}

pub(crate) fn latency(l: &mut Latency) -> Value {
    json!({
        "p50": round(l.quantile(0.5)),
        "p90": round(l.quantile(0.9)),
        "p99": round(l.quantile(0.99)),
        "max": round(l.quantile(1.0)),
    })
}

/// The middle value, in place.
pub(crate) fn median(v: &mut [f64]) -> Value {
    v.sort_by(f64::total_cmp);
    round(v.get(v.len() / 2).copied().unwrap_or(f64::NAN))
}

/// Counts failures and keeps the words of the first.
#[derive(Default)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    pub(crate) first: Option<String>,
}

impl Errors {
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(what.into());
        }
    }

    pub(crate) fn merge(&mut self, other: Errors) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}
