//! The bars: what is to be reached with everything on, what was measured, and whether it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::measure::{Figures, Rows};
use super::report::More;
use super::stage::{DIRECT, EVERYTHING, EVERYTHING_MODERN, NGINX, STDIO, STDIO_DIRECT};
use crate::run::root;
use crate::soak;

/// Why a bar is missed, by its key: written by whoever looked at a profile, and shown below the table.
const MISSED: &str = "benches/missed.toml";

/// How much is allowed, or wanted.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn is_met(self, value: f64) -> bool {
        match self {
            AtMost(most) => value <= most,
            AtLeast(least) => value >= least,
        }
    }

    fn words(self, unit: &str) -> String {
        match self {
            AtMost(most) => format!("≤ {}", with_unit(most, unit)),
            AtLeast(least) => format!("≥ {}", with_unit(least, unit)),
        }
    }
}

/// A number as people write it.
fn with_unit(value: f64, unit: &str) -> String {
    let digits = if unit.is_empty() || unit.starts_with('×') { 2 } else { 1 };
    let space = if unit.is_empty() { "" } else { " " };
    format!("{value:.digits$}{space}{unit}")
}

struct Bar {
    key: String,
    what: String,
    limit: Limit,
    unit: &'static str,
    measured: Option<f64>,
}

fn bar(key: &str, what: &str, (limit, unit): (Limit, &'static str), measured: Option<f64>) -> Bar {
    Bar { key: key.to_owned(), what: what.to_owned(), limit, unit, measured }
}

use Limit::{AtLeast, AtMost};

const NGINX_TIMES: &str = "× nginx";

/// The section, with the reasons of what is missed.
pub(super) fn section(rows: &Rows, more: &More) -> Result<String> {
    let bars: Vec<Bar> = [calls(rows), roads(rows), beside(more)?, growth(more), soaked()?].into_iter().flatten().collect();
    let why = reasons()?;
    let mut p = String::from("\n## What is to be reached\n\nWith everything on, unless a row says something else.\n\n");
    p.push_str("| | bar | measured | |\n|---|--:|--:|---|\n");
    for bar in &bars {
        let measured = bar.measured.map_or_else(|| "—".to_owned(), |value| with_unit(value, bar.unit));
        let said = match bar.measured {
            None => "not measured",
            Some(value) if bar.limit.is_met(value) => "met",
            Some(_) if why.contains_key(&bar.key) => "missed, see below",
            Some(_) => "**missed, and nobody has said why**",
        };
        writeln!(p, "| {} | {} | {measured} | {said} |", bar.what, bar.limit.words(bar.unit))?;
    }
    for bar in bars.iter().filter(|bar| bar.measured.is_some_and(|value| !bar.limit.is_met(value))) {
        if let Some(why) = why.get(&bar.key) {
            writeln!(p, "\n* **{}**: {}", bar.what, why.trim())?;
        }
    }
    Ok(p)
}

fn reasons() -> Result<BTreeMap<String, String>> {
    match std::fs::read_to_string(root().join(MISSED)) {
        Ok(text) => toml::from_str(&text).context(MISSED),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).context(MISSED),
    }
}

/// One figure of a target in relation to nginx's.
fn to_nginx(rows: &Rows, (size, clients): (usize, usize), pick: fn(&Figures) -> f64) -> Option<f64> {
    Some(pick(&rows.median(EVERYTHING, size, clients)?) / pick(&rows.median(NGINX, size, clients)?))
}

fn calls(rows: &Rows) -> Vec<Bar> {
    let cpu = |size| to_nginx(rows, (size, 16), |f| f.cpu_us);
    let rate = |clients| to_nginx(rows, (100, clients), |f| f.calls_per_s);
    let p50 = |name| Some(rows.median(name, 100, 1)?.p50_us);
    let added = |name| Some(p50(name)? - p50(DIRECT)?);
    let spread = rows.median(EVERYTHING, 100, 64).map(|f| f.p99_us / f.p50_us);
    let latency = added(EVERYTHING).zip(added(NGINX)).map(|(own, floor)| own / floor);
    vec![
        bar("cpu-100", "CPU per call, 100 B, 16 clients", (AtMost(3.0), NGINX_TIMES), cpu(100)),
        bar("rate-16", "calls/s, 100 B, 16 clients", (AtLeast(0.4), NGINX_TIMES), rate(16)),
        bar("rate-64", "calls/s, 100 B, 64 clients", (AtLeast(0.4), NGINX_TIMES), rate(64)),
        bar("added-p50", "added p50 over direct, 1 client, 100 B", (AtMost(3.0), "× what nginx adds"), latency),
        bar("p99", "p99 at 64 clients, 100 B", (AtMost(4.0), "× its own p50"), spread),
        bar("cpu-10000", "CPU per call, 10 kB, 16 clients", (AtMost(6.0), NGINX_TIMES), cpu(10_000)),
        bar("cpu-100000", "CPU per call, 100 kB, 16 clients", (AtMost(8.0), NGINX_TIMES), cpu(100_000)),
    ]
}

fn roads(rows: &Rows) -> Vec<Bar> {
    let cpu = |name| Some(rows.median(name, 100, 16)?.cpu_us);
    let modern = cpu(EVERYTHING_MODERN).zip(cpu(EVERYTHING)).map(|(modern, legacy)| modern / legacy);
    let p50 = |name| Some(rows.median(name, 100, 1)?.p50_us);
    let stdio = p50(STDIO).zip(p50(STDIO_DIRECT)).map(|(own, direct)| own - direct);
    // What was not measured is no bar that is met.
    let first = |name| Some(rows.median(name, 100, 1)?.first_call_ms).filter(|ms| *ms > 0.0);
    let start = first(STDIO).zip(first(STDIO_DIRECT)).map(|(own, direct)| own - direct);
    vec![
        bar("modern", "CPU per call of the modern era, 100 B, 16 clients", (AtMost(1.1), "× the legacy era"), modern),
        bar("stdio", "stdio (`run`, as it ships), 1 on the way, 100 B, added p50", (AtMost(40.0), "µs"), stdio),
        bar(
            "start-stdio",
            "start to the first answered call over stdio, as it ships, beyond the server's own",
            (AtMost(30.0), "ms"),
            start,
        ),
    ]
}

fn beside(more: &More) -> Result<Vec<Bar>> {
    let memory = more.memory.as_ref();
    let lists = more.lists.as_ref().map(super::lists::Lists::to_direct).transpose()?;
    let held = more.lists.as_ref().map(super::lists::Lists::memory_mib).transpose()?;
    let start = memory.map(super::stage::Memory::first_call_ms).transpose()?;
    Ok(vec![
        bar("list", "`tools/list` of 1,000 tools, read again from the server", (AtMost(1.2), "× direct"), lists.map(|(read, _)| read)),
        bar("list-kept", "the same, kept", (AtMost(0.5), "× direct"), lists.map(|(_, kept)| kept)),
        bar(
            "idle",
            "memory of an idle gateway, as it ships",
            (AtMost(25.0), "MiB"),
            memory.map(super::stage::Memory::idle_mib).transpose()?,
        ),
        bar(
            "session",
            "memory of a session, as it ships",
            (AtMost(8.0), "KiB"),
            memory.map(super::stage::Memory::session_kib).transpose()?,
        ),
        bar("thousand-tools", "memory of 1,000 tools", (AtMost(10.0), "MiB"), held),
        bar("start", "start to the first answered call, HTTP, as it ships", (AtMost(40.0), "ms"), start),
    ])
}

fn growth(more: &More) -> Vec<Bar> {
    let row = |grown: &super::growth::Grown| {
        let what = format!("CPU per call, {}: {} → {}", grown.what, grown.few.0, grown.many.0);
        bar(&format!("growth-{}", grown.key), &what, (AtMost(1.3), "×"), Some(grown.ratio()))
    };
    more.growth.iter().map(row).collect()
}

/// A soak takes an hour, so what the last one said is in a file of its own.
fn soaked() -> Result<Vec<Bar>> {
    let said = soak::said()?;
    let name = said.as_ref().map_or_else(|| "soak".to_owned(), |said| format!("soak of {} min ({})", said.minutes, said.commit));
    Ok(vec![
        bar("soak-memory", &format!("{name}: growth of memory"), (AtMost(5.0), "%"), said.as_ref().map(|said| said.grown_percent)),
        bar("soak-errors", &format!("{name}: errors nobody caused"), (AtMost(0.0), ""), said.as_ref().map(|said| said.unexplained as f64)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Row;

    #[test]
    fn bars_are_met_or_missed_or_not_measured() {
        let mut rows = Rows::default();
        for (name, cpu_us, calls_per_s) in [(NGINX, 10.0, 1000.0), (EVERYTHING, 25.0, 100.0)] {
            let figures = Figures { cpu_us, calls_per_s, p50_us: 1.0, p99_us: 1.0, ..Figures::default() };
            rows.add(Row { name, size: 100, clients: 16, figures });
        }
        let p = section(&rows, &More { memory: None, lists: None, confined: None, growth: Vec::new() }).unwrap();
        assert!(p.contains("| CPU per call, 100 B, 16 clients | ≤ 3.00 × nginx | 2.50 × nginx | met |"), "{p}");
        assert!(p.contains("| calls/s, 100 B, 16 clients | ≥ 0.40 × nginx | 0.10 × nginx | "), "{p}");
        assert!(p.contains("| calls/s, 100 B, 64 clients | ≥ 0.40 × nginx | — | not measured |"), "{p}");
    }
}
