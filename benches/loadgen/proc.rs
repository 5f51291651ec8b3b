//! CPU time and memory of a process tree, from `/proc`.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// What a process tree has used.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) rss_kib: u64,
    pub(crate) pss_kib: u64,
    pub(crate) processes: u32,
    pub(crate) threads: u64,
}

fn hz() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// Parent and CPU seconds.
fn stat(pid: i32) -> Option<(i32, f64)> {
    let s = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let (_, rest) = s.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let mut times = fields.skip(9);
    let user = times.next()?.parse::<u64>().ok()?;
    let system = times.next()?.parse::<u64>().ok()?;
    Some((parent, (user + system) as f64 / hz()))
}

/// CPU time from the scheduler's own count (ns), which is finer than the 10 ms
/// ticks of stat. Threads that ended are missing here, so the larger one counts.
fn sched_cpu(pid: i32) -> Option<f64> {
    let mut total = 0u64;
    for t in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let s = fs::read_to_string(t.ok()?.path().join("schedstat")).ok()?;
        total += s.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(total as f64 / 1e9)
}

fn field(text: &str, name: &str) -> u64 {
    text.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.split_whitespace().next()).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn parents() -> HashMap<i32, i32> {
    let Ok(dir) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    dir.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()).filter_map(|pid| Some((pid, stat(pid)?.0))).collect()
}

/// The processes below `roots`, the roots included.
pub(crate) fn tree(roots: &[i32]) -> Vec<i32> {
    let parents = parents();
    let belongs =
        |pid: i32| std::iter::successors(Some(pid), |p| parents.get(p).copied().filter(|q| *q > 0)).take(64).any(|p| roots.contains(&p));
    let mut out: Vec<i32> = parents.keys().copied().filter(|pid| belongs(*pid)).collect();
    out.sort_unstable();
    out
}

/// Asks these to end. One that has ended already is no failure.
pub(crate) fn terminate(pids: &[i32]) {
    for pid in pids.iter().rev().filter_map(|p| Pid::from_raw(*p)) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// The sum over the trees below `roots`.
pub(crate) fn usage(roots: &[i32]) -> Usage {
    let mut u = Usage::default();
    if roots.is_empty() {
        return u;
    }
    for pid in tree(roots) {
        let Some((_, ticks)) = stat(pid) else {
            continue;
        };
        u.processes += 1;
        u.cpu_s += sched_cpu(pid).unwrap_or(0.0).max(ticks - 0.02);
        if let Ok(s) = fs::read_to_string(format!("/proc/{pid}/status")) {
            u.rss_kib += field(&s, "VmRSS:");
            u.threads += field(&s, "Threads:");
        }
        if let Ok(s) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
            u.pss_kib += field(&s, "Pss:");
        }
    }
    u
}

pub(crate) fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").map(|s| s.split(' ').take(3).collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// What the whole machine did, in CPU seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Machine {
    /// user, nice and system
    pub(crate) work: f64,
    /// softirq and irq, which no process is charged for
    pub(crate) irq: f64,
    pub(crate) idle: f64,
    pub(crate) steal: f64,
}

pub(crate) fn machine() -> Machine {
    let s = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = s.lines().next().unwrap_or("");
    let f: Vec<f64> = first.split_whitespace().skip(1).filter_map(|x| x.parse().ok()).collect();
    let at = |i: usize| f.get(i).copied().unwrap_or(0.0) / hz();
    Machine { work: at(0) + at(1) + at(2), irq: at(5) + at(6), idle: at(3) + at(4), steal: at(7) }
}
