//! How long is `1h30m`, and how is that written? Milliseconds, as Prometheus writes them.

const UNITS: [(&str, i64); 7] =
    [("y", 365 * DAY), ("w", 7 * DAY), ("d", DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const DAY: i64 = 86_400_000;

/// The longest duration that nanoseconds in 64 bits can tell.
pub(crate) const MOST_MS: i64 = i64::MAX / 1_000_000;

/// Units from the longest to the shortest, each once at most, as in `1d12h`.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let bad = || format!("not a valid duration string: {}", crate::series::quoted(text.as_bytes()));
    let (mut rest, mut units, mut total) = (text, UNITS.as_slice(), 0i64);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(bad)?;
        let Some((&(_, length), later)) = units.get(place..).and_then(<[_]>::split_first) else { return Err(bad()) };
        if number.is_empty() {
            return Err(bad());
        }
        let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(length));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= MOST_MS)
            .ok_or("duration out of range")?;
        (rest, units) = (tail, later);
    }
    Ok(total)
}

/// Years and weeks only where nothing would be left over.
pub(crate) fn print(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let mut left = milliseconds.unsigned_abs();
    let mut text = String::from(if milliseconds < 0 { "-" } else { "" });
    for (unit, length) in UNITS {
        let length = length.unsigned_abs();
        if matches!(unit, "y" | "w") && !left.is_multiple_of(length) {
            continue;
        }
        if left >= length {
            text.push_str(&format!("{}{unit}", left / length));
            left %= length;
        }
    }
    text
}

/// Seconds as whole milliseconds; `None` where nanoseconds in 64 bits cannot tell them.
pub(crate) fn of_seconds(seconds: f64) -> Option<i64> {
    let nanoseconds = (seconds * 1e9).round();
    // The last one is itself too much: as a float it is 2^63. Not a number is in no range.
    (i64::MIN as f64..i64::MAX as f64).contains(&nanoseconds).then_some(nanoseconds as i64 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_reach_as_far_as_nanoseconds() {
        let years = 292 * 365 * DAY;
        for seconds in [years as f64 / 1000.0, 9_223_372_036.0] {
            assert_eq!(of_seconds(seconds), Some((seconds * 1000.0) as i64));
            assert_eq!(of_seconds(-seconds), Some((-seconds * 1000.0) as i64));
        }
        for seconds in [9_223_372_036.855, -9_223_372_036.855, f64::INFINITY, f64::NAN] {
            assert_eq!(of_seconds(seconds), None);
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        for text in ["1y", "2w", "90d", "1d12h", "1h30m", "5m", "1s500ms", "1ms", "0s"] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
        assert_eq!(print(parse("8w5d").unwrap()), "61d");
        for text in ["", "1", "m", "1m1h", "1m1m", "1x", "-1m", "1.5h", "300000y", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
