//! Dates and times (RFC 3339), and that they are not later than allowed.

use crate::verdict::{Parsed, Refused, refuse};

/// Which dates are allowed. Times are seconds since 1970 in UTC, and given by whoever asks: there is no clock here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dates {
    /// No later than this; now, for "not in the future".
    pub not_after: Option<i64>,
    /// No earlier than this.
    pub not_before: Option<i64>,
}

pub(crate) fn parse(dates: Dates, value: &str) -> Parsed {
    let seconds = seconds(value)?;
    if dates.not_after.is_some_and(|limit| seconds > limit) {
        return refuse("the date is too late");
    }
    if dates.not_before.is_some_and(|limit| seconds < limit) {
        return refuse("the date is too early");
    }
    Ok(value.to_ascii_uppercase())
}

/// When a date begins, or a time is.
fn seconds(value: &str) -> Result<i64, Refused> {
    const FORM: Refused = Refused("the date is not of the form 2026-01-31 or 2026-01-31T12:00:00Z");
    let (year, month, day) = day_of(value.get(..10).ok_or(FORM)?).ok_or(FORM)?;
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return refuse("there is no such month"),
    };
    if !(1..=longest).contains(&day) {
        return refuse("there is no such day");
    }
    let midnight = days(year, month, day) * 86_400;
    match value.get(10..).ok_or(FORM)? {
        "" => Ok(midnight),
        rest => Ok(midnight + time_of(rest).ok_or(FORM)?),
    }
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn day_of(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let widths = year.len() == 4 && month.len() == 2 && day.len() == 2 && parts.next().is_none();
    widths.then_some((number(year)?, number(month)?, number(day)?))
}

/// `T12:00:00.5+02:00` in seconds after midnight in UTC.
fn time_of(text: &str) -> Option<i64> {
    let text = text.strip_prefix(['T', 't'])?;
    let (clock, rest) = text.split_at_checked(8)?;
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if [hour, minute, second].iter().any(|part| part.len() != 2) || parts.next().is_some() {
        return None;
    }
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            fraction.get(digits..).filter(|_| (1..=9).contains(&digits))?
        }
        None => rest,
    };
    (hour <= 23 && minute <= 59 && second <= 60).then_some(())?;
    Some(hour * 3600 + minute * 60 + second - offset(rest)?)
}

fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('+') { 1 } else { -1 };
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let widths = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (widths && hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the day that comes and goes is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_right() {
        for (text, wanted) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-11-21T12:00:00Z", 1_795_262_400),
            ("2026-11-21T12:00:00+02:00", 1_795_255_200),
            ("1969-12-31T23:59:59Z", -1),
        ] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-1-1",
            "26-01-01",
            "2026-01-01 12:00:00",
            "2026-01-01T25:00:00Z",
            "2026-01-01T12:00:00",
            "2026-01-01T12:00:00.Z",
            "２026-01-01",
            "tomorrow",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_too_late_is_refused() {
        let dates = Dates { not_after: Some(1_795_262_400), not_before: None };
        assert!(parse(dates, "2026-11-21T12:00:00Z").is_ok());
        assert!(parse(dates, "2026-11-21T12:00:01Z").is_err());
        assert!(parse(dates, "2026-11-21T13:00:00+02:00").is_ok());
    }
}
