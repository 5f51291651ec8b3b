//! Moments as Cedar has them.

use cedar_policy::RestrictedExpression as Value;

/// The milliseconds of a day.
pub(super) const DAY_MS: u64 = 24 * 3_600_000;

/// The last millisecond that Cedar can write down.
const LAST_MS: u64 = 253_402_300_799_999;

/// A moment, from milliseconds since the epoch (days to a date after Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(super) fn datetime(at_ms: u64) -> Value {
    let at = at_ms.min(LAST_MS);
    let (days, rest) = (at / DAY_MS + 719_468, at % DAY_MS);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, turned) = (day - (153 * month + 2) / 5 + 1, month >= 10);
    let (year, month) = (year + era * 400 + u64::from(turned), if turned { month - 9 } else { month + 3 });
    let (hour, minute, second, milli) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    Value::new_datetime(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}
