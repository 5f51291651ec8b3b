//! What the load generator is told, and how much memory the gateway has.

use anyhow::{Context as _, Result};

use super::{CALLS, CLIENTS, SLICE};
use crate::everything::{Everything, READS};

pub(super) fn args(everything: &Everything, rate: f64) -> Vec<String> {
    let mut args = everything.args(READS);
    let (rate, secs) = (rate.to_string(), SLICE.as_secs().to_string());
    let more = ["--clients", CLIENTS, "--count", CALLS, "--size", "100", "--rate", &rate, "--secs", &secs];
    args.extend(more.map(str::to_owned));
    args
}

pub(super) fn resident_kib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the gateway has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the gateway is ending")?;
    line.split_whitespace().next().context("no number")?.parse().context("VmRSS")
}
