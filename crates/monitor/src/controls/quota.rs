//! Quotas: how often one caller may call.
//!
//! Threat: a loop, a runaway agent or a stolen credential that calls until something breaks or the
//! bill arrives. Kinder to reads than to what changes the world. The algorithm is the generic cell
//! rate algorithm (ITU-T I.371): a full minute's allowance may be used at once and refills evenly.
//! It stands late in the order, so that calls which are refused anyway do not burn the allowance.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::case::{Case, Effect};
use crate::control::{Control, Fault, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A loop or a stolen credential that calls without end.";

reasons! {
    EXCEEDED = "quota.exceeded", Class::Limit,
        "Too many calls. Wait before trying again.",
        "The caller has used its allowance: per tool and session, or over all calls of the client.",
        "Wait, or raise the limit in `[controls.quota]` or, where its entry in the lock file has one, `limits.calls_per_minute` there.";
}

/// Allowances, per minute.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Calls of one `read` tool in one session.
    pub read_per_minute: u32,
    /// Calls of one `write` or `destructive` tool in one session.
    pub write_per_minute: u32,
    /// Calls of one client, whatever it calls.
    pub client_per_minute: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { read_per_minute: 60, write_per_minute: 10, client_per_minute: 200 }
    }
}

/// Builds the control. An allowance of nothing is a mistake, not a way to switch a tool off.
pub fn build(config: Config) -> Result<Quota, toml::de::Error> {
    let rates = [config.read_per_minute, config.write_per_minute, config.client_per_minute];
    if rates.iter().any(|rate| !(1..=MOST).contains(rate)) {
        return Err(serde::de::Error::custom(format!("a quota is 1 to {MOST} a minute")));
    }
    Ok(Quota { config, cells: Mutex::new(Cells::default()) })
}

/// The control.
#[derive(Debug)]
pub struct Quota {
    config: Config,
    cells: Mutex<Cells>,
}

/// Theoretical arrival times in microseconds, by who and what.
#[derive(Debug, Default)]
struct Cells {
    due: HashMap<String, u64>,
    swept_us: u64,
}

const MINUTE_US: u64 = 60_000_000;
/// One call a microsecond: the resolution of the count.
const MOST: u32 = 60_000_000;

impl Cells {
    /// When the cell would be free for another call, or how long to wait.
    fn next(&self, key: &str, per_minute: u32, now_us: u64) -> Result<u64, u64> {
        let step = MINUTE_US.checked_div(u64::from(per_minute)).unwrap_or(MINUTE_US);
        let due = self.due.get(key).copied().unwrap_or(0).max(now_us);
        let next = due.saturating_add(step);
        let horizon = now_us.saturating_add(step.saturating_mul(u64::from(per_minute)));
        if next <= horizon { Ok(next) } else { Err(next.saturating_sub(horizon)) }
    }

    /// Forgets cells that are full again, now and then, so that memory follows use.
    fn sweep(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.swept_us) > MINUTE_US {
            self.swept_us = now_us;
            self.due.retain(|_, due| *due > now_us);
        }
    }
}

impl Control for Quota {
    fn on_call(&self, case: &Case) -> Judged {
        let Some(item) = case.item() else { return Ok(Verdict::Pass) };
        let now_us = case.facts().now_ms.saturating_mul(1000);
        let mut wanted = vec![(format!("c\0{}", case.caller().principal()), self.config.client_per_minute)];
        let of_class = if case.effect() == Effect::Read { self.config.read_per_minute } else { self.config.write_per_minute };
        let most = item.pin.contract.limits.calls_per_minute.or(case.tool().map(|_| of_class));
        if let Some(most) = most {
            let (session, kind) = (&case.facts().session, item.pin.kind.name());
            wanted.push((format!("{kind}\0{}\0{session}\0{}\0{}", case.caller().principal(), item.server, item.pin.name), most));
        }
        let mut cells = self.cells.lock().map_err(|_| Fault("a call panicked while counting".to_owned()))?;
        cells.sweep(now_us);
        let mut granted = Vec::with_capacity(wanted.len());
        for (key, most) in wanted {
            match cells.next(&key, most, now_us) {
                Ok(due) => granted.push((key, due)),
                Err(wait_us) => {
                    let detail = format!("{}/{}: {most} a minute", item.server, item.pin.name);
                    return Ok(Verdict::Deny(Refusal::new(EXCEEDED, detail).retry_after(wait_us.div_ceil(1000))));
                }
            }
        }
        cells.due.extend(granted);
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_allowance_at_once_and_then_evenly() {
        let mut cells = Cells::default();
        let mut take = |now_us: u64| cells.next("k", 60, now_us).map(|due| cells.due.insert("k".into(), due)).map(|_| ());
        for _ in 0..60 {
            assert_eq!(take(0), Ok(()));
        }
        assert_eq!(take(0), Err(1_000_000));
        assert_eq!(take(999_999), Err(1));
        assert_eq!(take(1_000_000), Ok(()));
        assert_eq!(take(1_000_000), Err(1_000_000));
    }

    #[test]
    fn full_cells_are_forgotten() {
        let mut cells = Cells::default();
        cells.due.insert("k".into(), 5);
        cells.sweep(2 * MINUTE_US);
        assert!(cells.due.is_empty());
    }

    #[test]
    fn nothing_a_minute_is_a_mistake() {
        assert!(build(Config { read_per_minute: 0, ..Config::default() }).is_err());
    }
}
