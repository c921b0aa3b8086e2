use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_795_413_600_000_000_000;

#[test]
fn moments_are_read_in_every_form() {
    let cases: &[(&str, i64)] = &[
        ("now", NOW),
        ("now-15m", NOW - 900_000_000_000),
        ("now+1h", NOW + 3_600_000_000_000),
        ("now 1h", NOW + 3_600_000_000_000),
        ("now-1h30m", NOW - 5_400_000_000_000),
        ("now-1.5d", NOW - 129_600_000_000_000),
        ("now-2w", NOW - 1_209_600_000_000_000),
        ("2026-11-23T06:00:00Z", 1_795_413_600_000_000_000),
        ("2026-11-23T07:00:00+01:00", 1_795_413_600_000_000_000),
        ("2026-11-23T07:00:00 01:00", 1_795_413_600_000_000_000),
        ("2026-11-22t22:00:00.000000001-08:00", 1_795_413_600_000_000_001),
        ("1795413600", 1_795_413_600_000_000_000),
        ("1795413600.25", 1_795_413_600_250_000_000),
        ("1795413600000", 1_795_413_600_000_000_000),
        ("1795413600000000", 1_795_413_600_000_000_000),
        ("1795413600000000000", 1_795_413_600_000_000_000),
        ("1795413600000.0000019", 1_795_413_600_000_000_001),
        ("0", 0),
        ("-1", -1_000_000_000),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        // The borders of the units.
        ("9223372036", 9_223_372_036_000_000_000),
        ("100000000000", 100_000_000_000_000_000),
        ("100000000000000", 100_000_000_000_000_000),
        ("100000000000000000", 100_000_000_000_000_000),
        ("9223372036854", 9_223_372_036_854_000_000),
    ];
    for (text, expected) in cases {
        assert_eq!(moment(text, NOW), Ok(*expected), "{text}");
    }
}

#[test]
fn what_is_no_moment_is_refused() {
    let refused = [
        "",
        " ",
        "now-",
        "now+",
        "nowish",
        "now-15",
        "now-15x",
        "now--1m",
        "now-m",
        "now-1d/d",
        "now*1h",
        "yesterday",
        "NaN",
        "1e9",
        "0x10",
        "2026-11-23",
        "2026-11-23T06:00:00",
        "2026-13-01T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "--1",
        "+-1",
        "9223372036854775808",
        "18446744073709551615",
        "99999999999",
        "-9223372036854775809",
        "now-99999999999w",
        "now+999999999999999999999999999999999999999999w",
        "0001-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        ".",
        "1.2.3",
        "2026-11-23T06:00:00+00:00[Mars/Olympus]",
        "é",
        "nowé",
        "1é",
    ];
    for text in refused {
        assert!(moment(text, NOW).is_err(), "{text:?} is {:?}", moment(text, NOW));
    }
}

#[test]
fn lengths_are_read_as_go_writes_them() {
    let cases: &[(&str, i64)] = &[
        ("100ms", 100_000_000),
        ("1.5s", 1_500_000_000),
        ("2m", 120_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1h0m0.5s", 3_600_500_000_000),
        ("7us", 7_000),
        ("7µs", 7_000),
        ("7μs", 7_000),
        (".5s", 500_000_000),
        ("12", 12),
        ("0", 0),
        ("0s", 0),
        ("9223372036854775807", i64::MAX),
    ];
    for (text, expected) in cases {
        assert_eq!(length(text), Ok(*expected), "{text}");
    }
    let refused = [
        "",
        "-1s",
        "-1",
        "1.5",
        "1x",
        "s",
        "1 s",
        "ms",
        "1h-1m",
        "1e3",
        "NaN",
        "9223372036854775808",
        "3000000h",
        "99999999999999999999999999999h",
        "1d",
        "é",
    ];
    for text in refused {
        assert!(length(text).is_err(), "{text:?} is {:?}", length(text));
    }
}

proptest! {
    #[test]
    fn t1_any_text_is_understood_or_refused(text in "(now)?[-+ ]?[0-9.]{0,30}[a-zµ:TZ+-]{0,4}\\PC{0,4}", now: i64) {
        let is_short_number = (1..10).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        prop_assert!(moment(&text, now).is_ok() || !is_short_number);
        prop_assert!(length(&text).is_ok_and(|nanos| nanos >= 0) || length(&text).is_err());
    }

    #[test]
    fn a_moment_in_nanoseconds_is_itself(nanos in 100_000_000_000_000_000i64..) {
        prop_assert_eq!(moment(&nanos.to_string(), 0), Ok(nanos));
        prop_assert_eq!(length(&nanos.to_string()), Ok(nanos));
    }
}
