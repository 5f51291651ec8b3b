//! Counting.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_detect::Weight;

use crate::slices::Item;

/// How many rows there are, and how many of them had a finding of each weight or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) rows: usize,
    pub(crate) block: usize,
    pub(crate) warn: usize,
}

impl Count {
    fn add(&mut self, item: &Item) {
        self.rows += 1;
        self.block += usize::from(item.weight == Some(Weight::Block));
        self.warn += usize::from(item.weight.is_some());
    }

    /// Both halves.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, block: self.block + other.block, warn: self.warn + other.warn }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    /// Are findings wanted here (recall) or not (false positives)?
    pub(crate) attack: bool,
    pub(crate) tuned: Count,
    pub(crate) held: Count,
}

/// What came out for one slice.
pub(crate) struct Tally {
    pub(crate) slice: &'static str,
    pub(crate) lines: BTreeMap<String, Line>,
    pub(crate) rows: usize,
    pub(crate) took: Duration,
    /// How long the texts are, where rows are texts.
    pub(crate) bytes: usize,
}

impl Tally {
    pub(crate) fn of(slice: &'static str, items: &[Item], took: Duration) -> Self {
        let mut lines: BTreeMap<String, Line> = BTreeMap::new();
        for item in items {
            for name in &item.lines {
                let line = lines.entry(name.clone()).or_default();
                line.attack = item.attack;
                if item.tuned { line.tuned.add(item) } else { line.held.add(item) }
            }
        }
        Self { slice, lines, rows: items.len(), took, bytes: 0 }
    }

    /// Megabytes a second, where rows are texts.
    pub(crate) fn rate(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
        let bytes = self.bytes as f64;
        (self.bytes > 0).then(|| bytes / 1e6 / self.took.as_secs_f64().max(1e-9))
    }

    /// Microseconds for each row.
    pub(crate) fn micros(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
        let rows = self.rows.max(1) as f64;
        self.took.as_secs_f64() * 1e6 / rows
    }
}

/// The 95 % Wilson interval of a share, in percent.
#[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
pub(crate) fn wilson(hits: usize, rows: usize) -> (f64, f64) {
    if rows == 0 {
        return (0.0, 100.0);
    }
    let (z, n) = (1.96_f64, rows as f64);
    let share = hits as f64 / n;
    let middle = share + z * z / (2.0 * n);
    let width = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 100.0 / (1.0 + z * z / n);
    (((middle - width) * scale).max(0.0), ((middle + width) * scale).min(100.0))
}

#[cfg(test)]
mod tests {
    use super::wilson;

    #[test]
    fn the_interval_is_wilsons() {
        let (low, high) = wilson(8, 10);
        assert!((low - 49.0).abs() < 0.2 && (high - 94.3).abs() < 0.2, "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 100.0));
    }
}
