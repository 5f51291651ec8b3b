//! The one home of time: nothing else reads a clock. Also how times and durations are written.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    millis(now())
}

/// Microseconds since the Unix epoch.
#[must_use]
pub fn now_us() -> u64 {
    u64::try_from(now().as_micros()).unwrap_or(u64::MAX)
}

fn now() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let now = SystemTime::now();
    // A machine whose clock stands before 1970 gets the epoch: every credential is then valid from
    // its own point of view, and every record says plainly that the clock was wrong.
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A duration in milliseconds; the longest there is when it is longer than that.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Measures how long something takes. Not affected when somebody sets the clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let now = Instant::now();
        Self(now)
    }

    /// How long it has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// How long it has been running, in microseconds.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

const DAY_MS: u64 = 86_400_000;

/// A time as people and file names have it: `2026-11-21T06:24:00.123Z`.
#[must_use]
pub fn utc(at_ms: u64) -> String {
    let (year, month, day) = civil(at_ms / DAY_MS);
    let (hour, minute) = (at_ms / 3_600_000 % 24, at_ms / 60_000 % 60);
    let (second, milli) = (at_ms / 1000 % 60, at_ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Reads a time: `2026-11-21`, `2026-11-21T06:24:00Z`, with or without a fraction. Always UTC.
#[must_use]
pub fn read_utc(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00Z"));
    let mut parts = date.splitn(3, '-').map(digits);
    let days = days(parts.next()??, parts.next()??, parts.next()??)?;
    let (clock, fraction) = time.strip_suffix('Z')?.split_once('.').unwrap_or((time.strip_suffix('Z')?, "0"));
    let mut parts = clock.splitn(3, ':').map(digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    digits(fraction)?;
    let milli = digits(&fraction.chars().chain("00".chars()).take(3).collect::<String>())?;
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then_some(days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + milli)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Year, month and day of a number of days since the epoch, in the proleptic Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last day of one.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

/// The reverse of [`civil`]; `None` for a day that no calendar has, or before the epoch.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (shifted, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

const UNITS: [(&str, u64); 8] =
    [("ms", 1), ("min", 60_000), ("m", 60_000), ("s", 1000), ("h", 3_600_000), ("d", DAY_MS), ("w", 7 * DAY_MS), ("y", 365 * DAY_MS)];

/// Reads a duration: `250ms`, `60s`, `30min`, `12h`, `90d`. The error says how to write one.
pub fn read_duration(text: &str) -> Result<Duration, &'static str> {
    let how = "write a duration as a whole number and a unit: \"250ms\", \"60s\", \"30min\", \"12h\" or \"90d\"";
    let split = text.find(|symbol: char| !symbol.is_ascii_digit()).ok_or(how)?;
    let (number, unit) = text.split_at(split);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or(how)?;
    let millis = digits(number).and_then(|number| number.checked_mul(*factor)).ok_or(how)?;
    Ok(Duration::from_millis(millis))
}

/// Writes a duration so that [`read_duration`] reads it, in the largest unit that fits.
#[must_use]
pub fn duration(of: Duration) -> String {
    let millis = millis(of);
    let units = [("d", DAY_MS), ("h", 3_600_000), ("min", 60_000), ("s", 1000)];
    let fits = units.into_iter().find(|(_, factor)| millis > 0 && millis.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{millis}ms"), |(unit, factor)| format!("{}{unit}", millis / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_back() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_242_240_123, "2026-11-21T06:24:00.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(ms), text);
            assert_eq!(read_utc(text), Some(ms));
        }
        for day in 0..80_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
    }

    #[test]
    fn shorter_times_are_read_and_wrong_ones_are_not() {
        assert_eq!(read_utc("2000-02-29"), Some(951_782_400_000));
        assert_eq!(read_utc("2000-02-29 00:00:01Z"), Some(951_782_401_000));
        assert_eq!(read_utc("2000-02-29T00:00:00.5Z"), Some(951_782_400_500));
        for text in [
            "",
            "2000",
            "2001-02-29",
            "2000-13-01",
            "2000-02-30",
            "1969-12-31",
            "2000-02-29T24:00:00Z",
            "2000-02-29T00:00:00",
            "2000-02-29T00:00:00.xZ",
            "2000-02--1",
        ] {
            assert_eq!(read_utc(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("250ms", 250), ("60s", 60_000), ("5 min", 300_000), ("2h", 7_200_000), ("90d", 90 * DAY_MS)] {
            assert_eq!(read_duration(text), Ok(Duration::from_millis(ms)));
        }
        for text in ["", "60", "s", "1.5h", "-1s", "60 parsecs", "99999999999s"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
        assert_eq!(duration(Duration::from_secs(90)), "90s");
        assert_eq!(duration(Duration::from_secs(7200)), "2h");
        assert_eq!(duration(Duration::from_millis(1)), "1ms");
    }
}
