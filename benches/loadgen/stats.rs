//! Latency figures.

use std::time::Duration;

/// Every sample is kept: a run has at most a few hundred thousand, and a quantile is then exact.
#[derive(Default, Clone)]
pub(crate) struct Latency {
    us: Vec<f32>,
    sorted: bool,
}

impl Latency {
    pub(crate) fn add(&mut self, d: Duration) {
        self.us.push(d.as_nanos() as f32 / 1000.0);
        self.sorted = false;
    }

    pub(crate) fn merge(&mut self, other: Latency) {
        self.us.extend(other.us);
        self.sorted = false;
    }

    pub(crate) fn count(&self) -> usize {
        self.us.len()
    }

    /// Microseconds; not a number when there is no sample.
    pub(crate) fn quantile(&mut self, q: f64) -> f64 {
        if !self.sorted {
            self.us.sort_unstable_by(f32::total_cmp);
            self.sorted = true;
        }
        let last = self.us.len().saturating_sub(1);
        let i = (last as f64 * q).round() as usize;
        self.us.get(i).map_or(f64::NAN, |us| f64::from(*us))
    }
}
