//! One measurement, and what several of them say together.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Plan;
use crate::run::{line, tail};

/// More than this many cores busy with something else, or not there, and a measurement is worth repeating.
const DISTURBED: f64 = 0.15;

/// Cores that did something else meanwhile, or that the machine's host gave to others.
fn disturbance(v: &Value) -> f64 {
    let number = |pointer| v.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    number("/machine/foreign_cores") + number("/machine/steal_cores")
}

pub(crate) struct Loadgen {
    pub(crate) program: PathBuf,
}

impl Loadgen {
    /// Runs it; the last line it prints is the result.
    pub(crate) fn run(&self, mode: &str, args: &[&str]) -> Result<Value> {
        let mut c = Command::new(&self.program);
        c.arg(mode).args(args).stdin(Stdio::null());
        let out = c.output().with_context(|| format!("could not start `{}`", line(&c)))?;
        let said = String::from_utf8_lossy(&out.stdout);
        let last: Option<Value> = said.lines().last().and_then(|l| serde_json::from_str(l).ok());
        let Some(value) = last else {
            let why = String::from_utf8_lossy(&out.stderr);
            bail!("the load generator ({mode}) printed no result ({}):\n{}", out.status, tail(&why, 10));
        };
        if let Some(error) = value.get("first_error").and_then(Value::as_str) {
            bail!("calls failed while measuring ({mode}): {error}");
        }
        Ok(value)
    }

    /// Repeats a measurement that something else disturbed, and keeps the quietest.
    pub(crate) fn quietest(&self, plan: &Plan, mode: &str, args: &[&str]) -> Result<Value> {
        let (secs, warmup) = (plan.secs.to_string(), plan.warmup.to_string());
        let args = [args, &["--secs", &secs, "--warmup", &warmup]].concat();
        let mut best: Option<(f64, Value)> = None;
        for _ in 0..=plan.retries {
            let value = self.run(mode, &args)?;
            let disturbed = disturbance(&value);
            if best.as_ref().is_none_or(|(least, _)| disturbed < *least) {
                best = Some((disturbed, value));
            }
            if disturbed <= DISTURBED {
                break;
            }
        }
        Ok(best.context("nothing was measured")?.1)
    }
}

/// What is kept of one measurement.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) clients: usize,
    pub(crate) figures: Figures,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) calls_per_s: f64,
    pub(crate) cpu_us: f64,
    pub(crate) disturbance: f64,
    /// From starting a server to its first answered call, where the load generator starts one.
    pub(crate) first_call_ms: f64,
}

impl Row {
    /// `tree`: where the CPU time of the measured processes is.
    pub(crate) fn read(name: &'static str, size: usize, clients: usize, tree: &str, v: &Value) -> Result<Row> {
        let number = |pointer: &str| v.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("{name}: no {pointer} in {v}"));
        if number("/calls")? == 0.0 {
            bail!("{name}: not one call of {size} B by {clients} clients was answered in the time measured");
        }
        let figures = Figures {
            p50_us: number("/latency_us/p50")?,
            p99_us: number("/latency_us/p99")?,
            calls_per_s: number("/calls_per_s")?,
            cpu_us: number(&format!("/{tree}/cpu_us_per_call"))?,
            disturbance: disturbance(v),
            first_call_ms: number("/cold_first_call_ms").unwrap_or(0.0),
        };
        println!(
            "  {name:<20} {size:>6} B  x{clients:<3} p50 {:>8.1} us  p99 {:>8.1} us  {:>7.0}/s  CPU {:>6.1} us",
            figures.p50_us, figures.p99_us, figures.calls_per_s, figures.cpu_us
        );
        Ok(Row { name, size, clients, figures })
    }
}

#[derive(Default)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    pub(crate) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// The medians over the rounds of one cell; `None` where nothing was measured.
    pub(crate) fn median(&self, name: &str, size: usize, clients: usize) -> Option<Figures> {
        let cell: Vec<Figures> =
            self.0.iter().filter(|r| r.name == name && r.size == size && r.clients == clients).map(|r| r.figures).collect();
        let of = |pick: fn(&Figures) -> f64| median(cell.iter().map(pick).collect());
        Some(Figures {
            p50_us: of(|f| f.p50_us)?,
            p99_us: of(|f| f.p99_us)?,
            calls_per_s: of(|f| f.calls_per_s)?,
            cpu_us: of(|f| f.cpu_us)?,
            disturbance: of(|f| f.disturbance)?,
            first_call_ms: of(|f| f.first_call_ms)?,
        })
    }

    /// The most cores that were not there for a kept measurement.
    pub(crate) fn worst_disturbance(&self) -> f64 {
        self.0.iter().map(|r| r.figures.disturbance).fold(0.0, f64::max)
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values.get(low)? + values.get(high)?) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn rounds_of_one_cell_become_one_row() {
        let mut rows = Rows::default();
        for (name, p50_us) in [("a", 1.0), ("a", 9.0), ("a", 2.0), ("b", 7.0)] {
            let figures = Figures { p50_us, ..Figures::default() };
            rows.add(Row { name, size: 100, clients: 1, figures });
        }
        assert_eq!(rows.median("a", 100, 1).map(|f| f.p50_us), Some(2.0));
        assert_eq!(rows.median("a", 100, 16), None);
    }
}
