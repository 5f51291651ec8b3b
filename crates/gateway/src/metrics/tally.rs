//! Counts that many threads add to at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many counts, each with its place.
#[derive(Debug)]
pub(super) struct Tally<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Tally<N> {
    /// One more.
    pub(super) fn add(&self, at: usize) {
        if let Some(count) = self.0.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of them, as they are now.
    pub(super) fn set(&self, now: [u64; N]) {
        self.0.iter().zip(now).for_each(|(count, now)| count.store(now, Ordering::Relaxed));
    }

    pub(super) fn read(&self) -> [u64; N] {
        std::array::from_fn(|at| self.0.get(at).map_or(0, |count| count.load(Ordering::Relaxed)))
    }
}

/// The upper bounds of the buckets in which durations are counted, in microseconds. What is longer is in one more.
const BOUNDS: [u64; 14] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// How often something took how long. The library's own histogram takes a lock for each observation.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: Tally<{ BOUNDS.len() + 1 }>,
    sum_us: AtomicU64,
}

impl Durations {
    pub(super) fn add(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets.add(BOUNDS.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS.len()));
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The sum in seconds, the count, and each bucket's upper bound in seconds and count.
    pub(super) fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let counts = self.buckets.read();
        let bounds = BOUNDS.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
        (seconds(self.sum_us.load(Ordering::Relaxed)), counts.iter().sum(), bounds.zip(counts).collect())
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}
