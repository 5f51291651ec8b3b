//! `docs/performance.md`: the numbers, and everything somebody needs to doubt or repeat them.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::bars;
use super::confined::{self, Confined};
use super::growth::{self, Grown};
use super::lists::{self, Lists};
use super::measure::{Figures, Rows};
use super::stage::{DIRECT, EVERYTHING, EVERYTHING_MODERN, EVERYTHING_WRITE, LEGACY, MODERN, Memory, NGINX, STDIO, STDIO_DIRECT};
use super::{CLIENTS, INFLIGHT, Plan, ROUNDS, SHIPPED, SIZES};
use crate::run::{capture, root};

const METHOD: &str = "\
Closed loop: each client sends its next call when the last one is answered, over connections that stay
open. The server behind the gateway copies the argument into its answer and does nothing else; every
answer is searched for the whole argument, and a wrong one ends the measurement. `bartizan-…` is Bartizan as it
ships: all controls but the label around texts of results, the journal, a token, the tool approved as one that reads; only the quotas and the
number of sessions are raised. `bartizan-everything-…` has everything on (`xtask/src/everything.rs`): clients with access tokens (ES256),
50 rules of which 49 look at arguments, every limit with a number, budgets, the label around texts (provenance), metrics, spans of one call in a hundred; `…-write` is the same for a tool
that writes, with its bookkeeping and the record on disk before the call.
nginx is a plain `proxy_pass` with connections kept open and no log. Targets are measured in
turns, and stopped (SIGSTOP) while another one is; a measurement during which something else kept more
than 0.15 cores busy is repeated. Numbers are medians of the rounds. Latency is from just before the
request is written until its answer is complete, CPU the time of the gateway's processes per call
(over stdio: with the server behind it). Load generator, gateway and server share the machine.
";

/// The targets over HTTP, in the order of the rows.
const OVER_HTTP: &[&str] = &[DIRECT, NGINX, LEGACY, MODERN, EVERYTHING, EVERYTHING_MODERN, EVERYTHING_WRITE];

/// What was measured beside calls, as far as it was wanted.
pub(crate) struct More {
    pub(crate) memory: Option<Memory>,
    pub(crate) lists: Option<Lists>,
    pub(crate) confined: Option<Confined>,
    pub(crate) growth: Vec<Grown>,
}

/// Writes the page; a quick run is too short to be published and goes to `target/`.
pub(crate) fn write(plan: &Plan, rows: &Rows, more: &More) -> Result<()> {
    let page = page(plan, rows, more)?;
    let is_whole = !plan.quick && plan.only.is_empty() && plan.profile == SHIPPED;
    let path = if !is_whole { "target/performance.md" } else { "docs/performance.md" };
    std::fs::write(root().join(path), &page).with_context(|| format!("writing {path}"))?;
    println!("\n{page}\nwrote {path}");
    Ok(())
}

fn page(plan: &Plan, rows: &Rows, more: &More) -> Result<String> {
    let More { memory, lists, confined, growth } = more;
    let mut p = String::from("# Performance\n\nMade by `cargo xtask bench`; do not edit.\n\n");
    p.push_str(&circumstances(plan, rows)?);
    p.push_str(&bars::section(rows, more)?);
    p.push_str(&flame());
    p.push_str("\n## Method\n\n");
    p.push_str(METHOD);
    p.push_str("\n## HTTP\n\nOne `tools/call`, by length of the echoed text and number of clients.\n");
    for &size in SIZES {
        for &clients in CLIENTS {
            table(&mut p, rows, OVER_HTTP, (size, clients, NGINX))?;
        }
    }
    p.push_str("\n## stdio\n\nOne `tools/call` by a client that starts the server, by calls on the way at once.\n");
    for &size in SIZES {
        for &inflight in INFLIGHT {
            table(&mut p, rows, &[STDIO_DIRECT, STDIO], (size, inflight, STDIO_DIRECT))?;
        }
    }
    if let Some(m) = memory {
        writeln!(p, "\n## Start and memory\n\n| | |\n|---|---|")?;
        writeln!(p, "| from exec to the first answered call | {:.0} ms |", m.first_call_ms()?)?;
        writeln!(p, "| memory of an idle gateway | {:.1} MiB |", m.idle_mib()?)?;
        writeln!(p, "| memory per session ({} held open with their connections) | {:.1} KiB |", m.count, m.session_kib()?)?;
    }
    if !growth.is_empty() {
        writeln!(p, "\n## Growth\n\n{}\n| | few | CPU µs | many | CPU µs | |\n|---|--:|--:|--:|--:|--:|", growth::METHOD)?;
        for grown in growth {
            let ((few, cheap), (many, dear)) = (grown.few, grown.many);
            writeln!(p, "| {} | {few} | {cheap:.1} | {many} | {dear:.1} | {:.2} × |", grown.what, grown.ratio())?;
        }
    }
    if let Some(lists) = lists {
        writeln!(p, "\n## A catalogue of 1,000 tools\n\n{}\n| | |\n|---|---|", lists::METHOD)?;
        lists.rows()?.iter().try_for_each(|(what, value)| writeln!(p, "| {what} | {value} |"))?;
    }
    if let Some(confined) = confined {
        writeln!(p, "\n## A confined server\n\n{}\n| | |\n|---|---|", confined::METHOD)?;
        confined.rows().iter().try_for_each(|(what, value)| writeln!(p, "| {what} | {value} |"))?;
    }
    Ok(p)
}

/// Where the time of a call goes, as far as somebody has drawn it.
fn flame() -> String {
    let there = root().join(crate::flame::FILE).is_file();
    let text = "\nWhere the time of a call goes: [a flame graph](flame.svg), made by `cargo xtask flame`.\n";
    if there { text.to_owned() } else { String::new() }
}

/// When, where, of what.
fn circumstances(plan: &Plan, rows: &Rows) -> Result<String> {
    let said = |program: &str, args: &[&str]| capture(Command::new(program).args(args).current_dir(root()));
    let date = said("date", &["-u", "+%Y-%m-%d"])?;
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|_| "unknown".into());
    let rustc = said("rustc", &["--version"])?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let nginx = Command::new("nginx").arg("-v").output().ok();
    // nginx says its version on standard error.
    let nginx = nginx.map_or_else(|| "none".to_string(), |o| String::from_utf8_lossy(&o.stderr).into_owned());
    let nginx = nginx.trim().trim_start_matches("nginx version: ").to_string();
    let mut p = String::from("| | |\n|---|---|\n");
    let mut row = |what: &str, value: &str| writeln!(p, "| {what} | {} |", value.trim());
    row("date", &date)?;
    row("commit", &commit)?;
    row("machine", &hardware())?;
    row("kernel", &kernel)?;
    row("compiler", &rustc)?;
    row("yardstick", &nginx)?;
    row("rounds", &format!("{} of {} s each, after {} s", plan.rounds, plan.secs, plan.warmup))?;
    row("most cores busy with something else, or given to others by the host", &format!("{:.2}", rows.worst_disturbance()))?;
    row("command", &command(plan))?;
    Ok(p)
}

/// The command that makes this page.
fn command(plan: &Plan) -> String {
    let mut words = vec!["cargo xtask bench".to_owned()];
    words.extend(plan.quick.then(|| "--quick".to_owned()));
    words.extend((plan.rounds != ROUNDS && !plan.quick).then(|| format!("--rounds {}", plan.rounds)));
    words.extend((!plan.only.is_empty()).then(|| format!("--only {}", plan.only.join(","))));
    words.extend((plan.profile != SHIPPED).then(|| format!("--profile {}", plan.profile)));
    format!("`{}`", words.join(" "))
}

fn hardware() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, m)| m.trim()));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<f64>().ok());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}, {:.0} GiB", model.unwrap_or("unknown"), kib.unwrap_or(0.0) / 1024.0 / 1024.0)
}

/// One cell: `(size, clients, what it is compared with)`.
fn table(p: &mut String, rows: &Rows, names: &[&str], cell: (usize, usize, &str)) -> Result<()> {
    let (size, clients, yardstick) = cell;
    let floor = rows.median(yardstick, size, clients);
    let measured: Vec<_> = names.iter().filter_map(|n| Some((*n, rows.median(n, size, clients)?))).collect();
    if measured.is_empty() {
        return Ok(());
    }
    let who = if yardstick == STDIO_DIRECT { "on the way" } else { "clients" };
    writeln!(p, "\n### {size} B, {clients} {who}\n")?;
    writeln!(p, "| | p50 µs | p99 µs | calls/s | CPU µs | p50, calls/s, CPU ÷ {yardstick} |\n|---|--:|--:|--:|--:|---|")?;
    for (name, f) in measured {
        let cpu = if name == DIRECT { "—".to_string() } else { format!("{:.1}", f.cpu_us) };
        let ratio = floor.filter(|_| name != DIRECT && name != yardstick).map_or_else(String::new, |n| ratios(f, n));
        writeln!(p, "| {name} | {:.1} | {:.1} | {:.0} | {cpu} | {ratio} |", f.p50_us, f.p99_us, f.calls_per_s)?;
    }
    Ok(())
}

fn ratios(f: Figures, floor: Figures) -> String {
    let of = |a: f64, b: f64| {
        if b > 0.0 { format!("{:.2}", a / b) } else { "—".to_string() }
    };
    [(f.p50_us, floor.p50_us), (f.calls_per_s, floor.calls_per_s), (f.cpu_us, floor.cpu_us)].map(|(a, b)| of(a, b)).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Row;

    #[test]
    fn a_table_compares_with_its_yardstick() {
        let mut rows = Rows::default();
        for (name, p50_us, cpu_us) in [(DIRECT, 50.0, 0.0), (NGINX, 100.0, 10.0), (LEGACY, 150.0, 25.0)] {
            let figures = Figures { p50_us, p99_us: 1.0, calls_per_s: 1000.0, cpu_us, ..Figures::default() };
            rows.add(Row { name, size: 100, clients: 1, figures });
        }
        let mut p = String::new();
        table(&mut p, &rows, &[DIRECT, NGINX, LEGACY, MODERN], (100, 1, NGINX)).unwrap();
        assert!(p.contains("| direct | 50.0 | 1.0 | 1000 | — |  |"), "{p}");
        assert!(p.contains("| nginx | 100.0 | 1.0 | 1000 | 10.0 |  |"), "{p}");
        assert!(p.contains("| bartizan-2025-11-25 | 150.0 | 1.0 | 1000 | 25.0 | 1.50, 1.00, 2.50 |"), "{p}");
        assert!(!p.contains(MODERN), "{p}");
    }
}
