//! So many in a minute: the generic cell rate algorithm (ITU-T I.371, annex A). A full minute's allowance
//! may be used at once and comes back evenly.

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    step_us: u64,
    burst_us: u64,
}

const MINUTE_US: u64 = 60_000_000;

/// The most that a minute may hold: one a microsecond, the resolution of the count.
pub const MOST: u32 = 60_000_000;

impl Rate {
    /// So many a minute; none is taken for one, and more than [`MOST`] for that.
    #[must_use]
    pub fn per_minute(count: u32) -> Self {
        let count = u64::from(count.clamp(1, MOST));
        let step_us = MINUTE_US / count;
        Self { step_us, burst_us: step_us * count }
    }

    /// Microseconds in which one comes back.
    #[must_use]
    pub const fn step_us(self) -> u64 {
        self.step_us
    }

    /// Microseconds in which all of them come back.
    #[must_use]
    pub const fn burst_us(self) -> u64 {
        self.burst_us
    }

    /// How many fit at once.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.burst_us / self.step_us
    }

    /// When the allowance would be whole again after one more, or how long to wait for that one. `due` is when it
    /// would be whole without.
    pub(crate) fn next(self, due: u64, now_us: u64) -> Result<u64, u64> {
        let horizon = now_us.saturating_add(self.burst_us);
        // A debt from the future, after the clock went back, is no more than an empty allowance.
        let next = due.clamp(now_us, horizon).saturating_add(self.step_us);
        if next <= horizon { Ok(next) } else { Err(next - horizon) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_allowance_at_once_and_then_evenly() {
        let rate = Rate::per_minute(60);
        let mut due = 0;
        let mut take = |now: u64| rate.next(due, now).map(|next| due = next);
        for _ in 0..60 {
            assert_eq!(take(0), Ok(()));
        }
        assert_eq!((take(0), take(999_999)), (Err(1_000_000), Err(1)));
        assert_eq!((take(1_000_000), take(1_000_000)), (Ok(()), Err(1_000_000)));
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let rate = Rate::per_minute(10);
        assert_eq!(rate.next(u64::MAX, 5), Err(rate.step_us()));
        assert_eq!(rate.next(1_000_000_000_000, 0), Err(rate.step_us()));
    }
}
