//! What a soak came to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Act, Said};
use crate::bench::median;

#[derive(Default)]
pub(super) struct Sum {
    slices: Vec<Slice>,
    memory_kib: Vec<f64>,
}

struct Slice {
    act: Act,
    calls: u64,
    sessions: u64,
    p99_us: f64,
    failed: BTreeMap<String, u64>,
}

/// The part of all samples that is warming up.
const WARMING: usize = 5;

impl Sum {
    pub(super) fn sample(&mut self, kib: f64) {
        self.memory_kib.push(kib);
    }

    pub(super) fn add(&mut self, act: Act, value: &Value) -> Result<()> {
        let number = |at: &str| value.pointer(at).and_then(Value::as_f64).with_context(|| format!("no {at} in {value}"));
        let failed = value.get("failed").and_then(Value::as_object).context("no errors, and no word of it")?;
        let failed = failed.iter().map(|(kind, count)| (kind.clone(), count.as_u64().unwrap_or(0))).collect();
        let (calls, sessions) = (number("/calls")? as u64, number("/sessions")? as u64);
        self.slices.push(Slice { act, calls, sessions, p99_us: number("/latency_us/p99").unwrap_or(0.0), failed });
        Ok(())
    }

    /// The last slice, in a line.
    pub(super) fn last(&self) -> String {
        let memory = self.memory_kib.last().map_or(0.0, |kib| kib / 1024.0);
        self.slices.last().map_or_else(String::new, |slice| {
            let failed: u64 = slice.failed.values().sum();
            format!("{} calls, {} sessions, {failed} errors, p99 {:.0} us, {memory:.1} MiB", slice.calls, slice.sessions, slice.p99_us)
        })
    }

    /// Errors by what they are, while something was done: how many, and whether that is why.
    fn errors(&self) -> BTreeMap<(Act, &str), (u64, bool)> {
        let mut errors = BTreeMap::new();
        for slice in &self.slices {
            for (kind, count) in &slice.failed {
                let entry = errors.entry((slice.act, kind.as_str())).or_insert((0, slice.act.causes(kind)));
                entry.0 += count;
            }
        }
        errors
    }

    /// Memory in the first quarter after warming up, in the last one, and the most of all.
    fn memory(&self) -> Option<(f64, f64, f64)> {
        let warm = self.memory_kib.get(self.memory_kib.len() / WARMING..)?;
        let quarter = (warm.len() / 4).max(1);
        let first = median(warm.get(..quarter)?.to_vec())?;
        let last = median(warm.get(warm.len().checked_sub(quarter)?..)?.to_vec())?;
        Some((first / 1024.0, last / 1024.0, warm.iter().copied().fold(0.0, f64::max) / 1024.0))
    }

    /// What is kept, with what was known when it began.
    pub(super) fn said(&self, begun: Said) -> Result<Said> {
        let (first, last, _) = self.memory().context("nothing was measured")?;
        let unexplained = self.errors().values().filter(|(_, caused)| !caused).map(|(count, _)| count).sum();
        let (calls, sessions) = self.slices.iter().fold((0, 0), |(calls, sessions), one| (calls + one.calls, sessions + one.sessions));
        let grown_percent = ((last / first - 1.0) * 1000.0).round() / 10.0;
        Ok(Said { calls, sessions, grown_percent, unexplained, ..begun })
    }

    pub(super) fn table(&self) -> Result<String> {
        let mut t = String::from("while                      slices      calls   sessions  p99 us (median)\n");
        for act in Act::ALL {
            let of: Vec<&Slice> = self.slices.iter().filter(|slice| slice.act == act).collect();
            let (calls, sessions): (u64, u64) = of.iter().fold((0, 0), |sum, one| (sum.0 + one.calls, sum.1 + one.sessions));
            let p99 = median(of.iter().map(|slice| slice.p99_us).collect()).unwrap_or(0.0);
            writeln!(t, "{:<26} {:>6} {calls:>10} {sessions:>10} {p99:>16.0}", act.words(), of.len())?;
        }
        t.push_str("\nerrors\n");
        for ((act, kind), (count, caused)) in self.errors() {
            let word = if caused { "caused" } else { "NOBODY CAUSED THEM" };
            writeln!(t, "{:<26} {count:>6}  {kind}: {word}", act.words())?;
        }
        if let Some((first, last, most)) = self.memory() {
            let grown = (last / first - 1.0) * 100.0;
            writeln!(t, "\nmemory: {first:.1} MiB after warming up, {last:.1} at the end ({grown:+.1} %), {most:.1} at most")?;
        }
        Ok(t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(failed: Value) -> Value {
        json!({"calls": 10, "sessions": 1, "latency_us": {"p99": 5.0}, "failed": failed})
    }

    #[test]
    fn an_error_has_a_cause_only_while_that_happens() {
        let mut sum = Sum::default();
        sum.sample(1024.0);
        sum.add(Act::KillServer, &slice(json!({"upstream.unreachable": 3, "quota.exceeded": 1}))).unwrap();
        sum.add(Act::Nothing, &slice(json!({"upstream.unreachable": 2}))).unwrap();
        let errors = sum.errors();
        let unexplained: u64 = errors.values().filter(|(_, caused)| !caused).map(|(count, _)| count).sum();
        assert_eq!(unexplained, 3);
    }

    #[test]
    fn memory_is_compared_after_warming_up() {
        let mut sum = Sum::default();
        (0..20).for_each(|_| sum.sample(10.0 * 1024.0));
        (0..80).for_each(|_| sum.sample(100.0 * 1024.0));
        assert_eq!(sum.memory(), Some((100.0, 100.0, 100.0)));
    }
}
