//! How are durations and sizes written in Prometheus's files?

use serde::{Deserialize as _, Deserializer};
use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration as Prometheus writes it: `15s`, `1m30s`, `100ms`; larger units stand before smaller ones.
pub(in super::super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut sum, mut units) = (text, 0u64, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at_checked(letters)?;
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let (_, factor) = units.get(place)?;
        units = units.get(place + 1..)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(sum))
}

/// A duration as Prometheus shows it to rules: `15s`, `1m30s`.
pub(in super::super) fn duration_text(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        // Years and weeks are written only where nothing else is.
        let is_exact = matches!(unit, "y" | "w" | "d") && rest % factor != 0;
        if rest >= factor && !is_exact {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    text
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no duration, such as 15s")))
}

/// Bytes as Prometheus writes them: `10MB`, which are 10 times 1024 times 1024.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    const UNITS: [(&str, usize); 12] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("PiB", 1 << 50),
        ("KB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("TB", 1 << 40),
        ("PB", 1 << 50),
        ("B", 1),
        ("", 1),
    ];
    let text = String::deserialize(deserializer)?;
    let parse =
        |(unit, factor): (&str, usize)| text.strip_suffix(unit)?.trim().parse::<usize>().ok()?.checked_mul(factor);
    let bytes = UNITS.into_iter().find_map(parse);
    bytes.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no size, such as 10MB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_by_prometheus() {
        for (text, milliseconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("15s", Some(15_000)),
            ("1m30s", Some(90_000)),
            ("100ms", Some(100)),
            ("1h1ms", Some(3_600_001)),
            ("1d", Some(86_400_000)),
            ("", None),
            ("15", None),
            ("s", None),
            ("30s1m", None),
            ("1s1s", None),
            ("1.5s", None),
            ("-1s", None),
            ("99999999999999999y", None),
        ] {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
        for text in ["0s", "15s", "1m30s", "100ms", "1h1ms", "1d", "25h", "1w", "1y", "366d"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), if text == "25h" { "25h" } else { text });
        }
    }
}
