//! Which day and hour is a nanosecond? The proleptic Gregorian calendar, shifted by a zone's offset.
//!
//! C1  `parse` reads what `date_time` writes, to the millisecond.
//!
//! Not here: which offset a zone has (the browser knows; it is passed in as minutes east of UTC).

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Nanoseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Nanoseconds in a day.
pub const DAY: i64 = 24 * HOUR;

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 to 999,999,999.
    pub nano: u32,
}

/// Takes a moment apart, `offset` minutes east of UTC.
pub fn civil(nanos: i64, offset: i32) -> Civil {
    let local = i128::from(nanos) + i128::from(offset) * i128::from(MINUTE);
    let days = local.div_euclid(i128::from(DAY)) as i64;
    let rest = local.rem_euclid(i128::from(DAY)) as i64;
    let (year, month, day) = date_of(days);
    Civil {
        year,
        month,
        day,
        hour: (rest / HOUR) as u32,
        minute: (rest % HOUR / MINUTE) as u32,
        second: (rest % MINUTE / SECOND) as u32,
        nano: (rest % SECOND) as u32,
    }
}

/// Year, month and day of a day counted from 1970-01-01 (eras of 400 years beginning in March).
fn date_of(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day counted from 1970-01-01 of a date.
fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `2026-11-23 14:05:09.123`
pub fn date_time(nanos: i64, offset: i32) -> String {
    let c = civil(nanos, offset);
    format!("{} {}", date(nanos, offset), clock_of(&c))
}

/// `2026-11-23`
pub fn date(nanos: i64, offset: i32) -> String {
    let c = civil(nanos, offset);
    format!("{:04}-{:02}-{:02}", c.year, c.month, c.day)
}

/// `2026-11-23 14:05`, with seconds where they are not zero.
pub fn short_date_time(nanos: i64, offset: i32) -> String {
    let c = civil(nanos, offset);
    let seconds = if c.second == 0 { String::new() } else { format!(":{:02}", c.second) };
    format!("{} {:02}:{:02}{seconds}", date(nanos, offset), c.hour, c.minute)
}

/// `14:05:09.123`
pub fn clock(nanos: i64, offset: i32) -> String {
    clock_of(&civil(nanos, offset))
}

fn clock_of(c: &Civil) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", c.hour, c.minute, c.second, c.nano / 1_000_000)
}

/// The label of a tick on a time axis whose ticks are `step` apart: a date at midnight, else the clock.
pub fn tick_label(nanos: i64, step: i64, offset: i32) -> String {
    let c = civil(nanos, offset);
    if step >= DAY || (c.hour == 0 && c.minute == 0 && c.second == 0 && c.nano == 0) {
        format!("{:02}-{:02}", c.month, c.day)
    } else if step >= MINUTE {
        format!("{:02}:{:02}", c.hour, c.minute)
    } else if step >= SECOND {
        format!("{:02}:{:02}:{:02}", c.hour, c.minute, c.second)
    } else {
        format!("{:02}.{:03}", c.second, c.nano / 1_000_000)
    }
}

/// `2026-11-23T14:05:09.123456789Z`, exact; fractions only when there are any.
pub fn rfc3339(nanos: i64) -> String {
    let c = civil(nanos, 0);
    let fraction = match c.nano {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n => format!(".{n:09}"),
    };
    format!("{}T{:02}:{:02}:{:02}{fraction}Z", date(nanos, 0), c.hour, c.minute, c.second)
}

/// Reads `2026-11-23`, `2026-11-23 14:05`, `2026-11-23T14:05:09.123Z`, `…+02:00`; without a zone, `offset` counts.
pub fn parse(text: &str, offset: i32) -> Option<i64> {
    let text = text.trim();
    let (date_part, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, ""),
    };
    let mut parts = date_part.splitn(3, '-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let days = days_of(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    if date_of(days) != (year, month as u32, day as u32) {
        return None;
    }
    let (time_part, zone) = split_zone(rest.trim());
    let minutes = zone.map_or(Some(offset), parse_zone)?;
    let local = i128::from(days) * i128::from(DAY) + i128::from(time_of_day(time_part)?);
    i64::try_from(local - i128::from(minutes) * i128::from(MINUTE)).ok()
}

fn digits(text: &str, width: usize) -> Option<i64> {
    if text.len() == width && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn split_zone(text: &str) -> (&str, Option<&str>) {
    match text.find(['Z', 'z', '+', '-']) {
        Some(at) => (text[..at].trim_end(), Some(&text[at..])),
        None => (text, None),
    }
}

fn parse_zone(text: &str) -> Option<i32> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let minutes = digits(hours, 2)? * 60 + digits(minutes, 2)?;
    i32::try_from(minutes).ok().filter(|m| *m <= 18 * 60).map(|m| sign * m)
}

fn time_of_day(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let mut parts = text.splitn(3, ':');
    let hour = digits(parts.next()?, 2).filter(|h| *h < 24)?;
    let minute = digits(parts.next()?, 2).filter(|m| *m < 60)?;
    let seconds = match parts.next() {
        None => 0,
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let whole = digits(whole, 2).filter(|s| *s < 60)?;
            if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            whole * SECOND + format!("{fraction:0<9}").parse::<i64>().ok()?
        }
    };
    Some(hour * HOUR + minute * MINUTE + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_are_right() {
        assert_eq!(date_time(0, 0), "1970-01-01 00:00:00.000");
        assert_eq!(date_time(951_782_400 * SECOND, 0), "2000-02-29 00:00:00.000");
        assert_eq!(date_time(0, -90), "1969-12-31 22:30:00.000");
        assert_eq!(rfc3339(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn dates_are_read_with_and_without_zone() {
        let noon = 1_700_000_000 * SECOND - 13 * MINUTE - 20 * SECOND;
        assert_eq!(parse("2023-11-14T22:00:00Z", 0), Some(noon));
        assert_eq!(parse("2023-11-14 22:00", 0), Some(noon));
        assert_eq!(parse("2023-11-15 00:00", 120), Some(noon));
        assert_eq!(parse("2023-11-15T00:00:00+02:00", 0), Some(noon));
        assert_eq!(parse("2023-11-14", 0), Some(noon - 22 * HOUR));
        for bad in ["2023-02-29", "2023-13-01", "2023-11-14 24:00", "23-11-14", "2023-11-14 1:00", "noon", "", "é-é-é"]
        {
            assert_eq!(parse(bad, 0), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos in proptest::num::i64::ANY, offset in -840i32..840) {
            let millis = nanos / 1_000_000 * 1_000_000;
            prop_assume!(civil(millis, offset).year >= 1000);
            prop_assert_eq!(parse(&date_time(millis, offset), offset), Some(millis));
            if nanos >= 0 {
                prop_assert_eq!(parse(&rfc3339(nanos), offset), Some(nanos));
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
            parse(&text, 0);
        }
    }
}
