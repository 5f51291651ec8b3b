//! The table, for people and for machines.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::slices::Item;
use crate::tally::{Count, Line, Tally, wilson};

/// A table in Markdown. Shares are of all rows; both halves are given as block/warn of rows.
pub(crate) fn text(tallies: &[Tally]) -> String {
    let mut out = String::new();
    for tally in tallies {
        let _ = writeln!(out, "\n### {} ({} rows)\n", tally.slice, tally.rows);
        out.push_str("| | wanted | rows | block (95 %) | warn (95 %) | tuned half | held-out half |\n");
        out.push_str("| --- | --- | ---: | --- | --- | --- | --- |\n");
        for (name, line) in &tally.lines {
            let all = line.tuned.and(line.held);
            let wanted = if line.attack { "finding" } else { "none" };
            let _ = writeln!(
                out,
                "| {name} | {wanted} | {} | {} | {} | {} | {} |",
                all.rows,
                share(all.block, all.rows),
                share(all.warn, all.rows),
                half(line.tuned),
                half(line.held)
            );
        }
        out.push_str(&f1(tally));
    }
    out
}

/// Where lines come in pairs of recall and precision: their harmonic mean.
#[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
fn f1(tally: &Tally) -> String {
    let share = |line: &Line| {
        let all = line.tuned.and(line.held);
        all.block as f64 / all.rows.max(1) as f64
    };
    let means = tally.lines.iter().filter_map(|(name, line)| {
        let kind = name.strip_suffix(" precision")?;
        let (precision, recall) = (share(line), share(tally.lines.get(&format!("{kind} recall"))?));
        Some(format!("{kind} {:.3}", 2.0 * precision * recall / (precision + recall).max(f64::EPSILON)))
    });
    let means: Vec<String> = means.collect();
    if means.is_empty() { String::new() } else { format!("\nF1 of exact spans: {}\n", means.join(", ")) }
}

/// How long it took, which is different each time and belongs on no page.
pub(crate) fn speed(tallies: &[Tally]) -> String {
    let line = |tally: &Tally| {
        let rate = tally.rate().map(|rate| format!(", {rate:.1} MB/s")).unwrap_or_default();
        format!("{}: {:.1} µs for each row{rate}\n", tally.slice, tally.micros())
    };
    tallies.iter().map(line).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
fn share(hits: usize, rows: usize) -> String {
    let (low, high) = wilson(hits, rows);
    let percent = 100.0 * hits as f64 / rows.max(1) as f64;
    format!("{hits} = {percent:.1} % ({low:.1} to {high:.1})")
}

fn half(count: Count) -> String {
    if count.rows == 0 { "-".into() } else { format!("{}/{} of {}", count.block, count.warn, count.rows) }
}

/// The same, for machines.
pub(crate) fn json(tallies: &[Tally]) -> Result<String> {
    let count = |count: Count| json!({ "rows": count.rows, "block": count.block, "warn": count.warn });
    let line = |(name, line): (&String, &Line)| {
        let all = line.tuned.and(line.held);
        let (block, warn) = (wilson(all.block, all.rows), wilson(all.warn, all.rows));
        json!({
            "name": name, "wanted": line.attack, "all": count(all), "tuned": count(line.tuned), "held": count(line.held),
            "block_interval": [block.0, block.1], "warn_interval": [warn.0, warn.1],
        })
    };
    let slice = |tally: &Tally| {
        let lines: Vec<Value> = tally.lines.iter().map(line).collect();
        json!({ "slice": tally.slice, "rows": tally.rows, "microseconds": tally.micros(), "megabytes_a_second": tally.rate(), "lines": lines })
    };
    let all: Vec<Value> = tallies.iter().map(slice).collect();
    Ok(format!("{}\n", serde_json::to_string_pretty(&all)?))
}

/// Which rows came out wrong: their ids and what was found, never their text.
pub(crate) fn misses(items: &[Item]) {
    for item in items {
        let found = item.weight.map_or("nothing", bartizan_detect::Weight::name);
        if item.attack != (found == "block") {
            let half = if item.tuned { "tuned" } else { "held" };
            println!("{} {half} {} {found} {}", item.id, if item.attack { "missed" } else { "false" }, item.classes.join(","));
        }
    }
}
