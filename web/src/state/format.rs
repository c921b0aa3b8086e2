//! How is a number shown? With three significant digits, a fitting unit, and always the same way.
//!
//! F1  A duration or rate shows at most three significant digits, and its unit.
//! F2  Rounding never yields `1000` of a unit: 999.9 µs is `1.00 ms`.

const MINUS: char = '−';
/// Bytes of a unit that are shown.
const LONGEST_UNIT: usize = 32;

/// A duration in nanoseconds: `834 µs`, `1.24 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(nanos: i64) -> String {
    if nanos < 0 {
        return format!("{MINUS}{}", duration(nanos.checked_neg().unwrap_or(i64::MAX)));
    }
    if nanos == 0 {
        return "0".to_owned();
    }
    let n = nanos as f64;
    for (unit, size) in [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)] {
        let value = n / size;
        let limit = if unit == "s" { 99.95 } else { 999.5 };
        if value < limit {
            return if unit == "ns" { format!("{nanos} ns") } else { format!("{} {unit}", significant(value)) };
        }
    }
    let seconds = (n / 1e9).round() as i64;
    two_parts(seconds)
}

fn two_parts(seconds: i64) -> String {
    let (big, small, parts) = match seconds {
        s if s < 3_600 => (s / 60, s % 60, ("min", "s")),
        s if s < 86_400 => (s / 3_600, s % 3_600 / 60, ("h", "min")),
        s => (s / 86_400, s % 86_400 / 3_600, ("d", "h")),
    };
    if small == 0 { format!("{big} {}", parts.0) } else { format!("{big} {} {small} {}", parts.0, parts.1) }
}

/// From here on a number is told with an exponent, as JavaScript does: more digits than anyone counts.
const TOO_LONG: f64 = 1e21;

/// Three significant digits without exponent: `0.0123`, `1.24`, `12.4`, `124`, `1240`; what is very small or large has one.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".into()
        } else if value > 0.0 {
            "∞".into()
        } else {
            format!("{MINUS}∞")
        };
    }
    let magnitude = value.abs();
    let text = if magnitude == 0.0 {
        "0".to_owned()
    } else if !(0.001..TOO_LONG).contains(&magnitude) {
        format!("{magnitude:.2e}")
    } else if magnitude < 0.9995 {
        trim_zeros(&format!("{magnitude:.*}", (2 - magnitude.log10().floor() as i32).max(0) as usize))
    } else if magnitude < 9.995 {
        format!("{magnitude:.2}")
    } else if magnitude < 99.95 {
        format!("{magnitude:.1}")
    } else {
        format!("{magnitude:.0}")
    };
    if value < 0.0 { format!("{MINUS}{text}") } else { text }
}

fn trim_zeros(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// A number with a thousands prefix: `950`, `12.4 k`, `3.10 M`.
pub fn compact(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= TOO_LONG {
        return significant(value);
    }
    for (prefix, size) in [(" T", 1e12), (" G", 1e9), (" M", 1e6), (" k", 1e3)] {
        if magnitude >= size * 0.9995 {
            return format!("{}{prefix}", significant(value / size));
        }
    }
    if value.fract() == 0.0 { with_sign(value, &format!("{magnitude:.0}")) } else { significant(value) }
}

fn with_sign(value: f64, text: &str) -> String {
    if value < 0.0 { format!("{MINUS}{text}") } else { text.to_owned() }
}

/// A rate: per second as `12.4 k/s`, `0.05/s`; what is rarer per minute, hour or day.
pub fn rate(per_second: f64) -> String {
    let magnitude = per_second.abs();
    if magnitude > 0.0 && magnitude < 0.01 {
        let (unit, seconds) = match magnitude {
            m if m * 60.0 >= 0.1 => ("min", 60.0),
            m if m * 3_600.0 >= 0.1 => ("h", 3_600.0),
            _ => ("d", 86_400.0),
        };
        let number = per_second * seconds;
        return if number.abs() < 0.001 { "<0.001/d".into() } else { format!("{}/{unit}", significant(number)) };
    }
    let text = if per_second.abs() < 999.5 { trim_rate(per_second) } else { compact(per_second) };
    format!("{text}/s")
}

fn trim_rate(per_second: f64) -> String {
    if per_second == 0.0 { "0".into() } else { significant(per_second) }
}

/// A count with thousands separators: `48,211`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 span`, `2 spans`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// Bytes in IEC: `12.4 MiB`.
pub fn bytes(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= TOO_LONG {
        return format!("{} B", significant(value));
    }
    for (unit, power) in [("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)] {
        let size = 1024f64.powi(power);
        if magnitude >= size {
            return format!("{} {unit}", significant(value / size));
        }
    }
    format!("{} B", with_sign(value, &trim_zeros(&format!("{magnitude:.1}"))))
}

/// A share as per cent: `0 %`, `0.03 %`, `4.1 %`, `100 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = match value {
        0.0 => "0".into(),
        v if v < 0.01 => "<0.01".into(),
        v if v < 0.995 => trim_zeros(&format!("{v:.2}")),
        v if v < 9.95 => format!("{v:.1}"),
        v if v > 99.0 && v < 100.0 => trim_zeros(&format!("{:.2}", v.min(99.99))),
        v => format!("{v:.0}"),
    };
    format!("{text} %")
}

/// How long ago, in one coarse unit: `2 s ago`, `3 h ago`, `just now`.
pub fn ago(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    match seconds {
        s if s < 1 => "just now".into(),
        s if s < 120 => format!("{s} s ago"),
        s if s < 7_200 => format!("{} min ago", s / 60),
        s if s < 172_800 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// A measured value in a UCUM unit: `By` as IEC bytes, `s`, `ms`, `us`, `ns` as durations, `%` and `1` as they are.
pub fn measured(value: f64, unit: &str) -> String {
    let nanos = match unit {
        "s" => Some(1e9),
        "ms" => Some(1e6),
        "us" | "µs" => Some(1e3),
        "ns" => Some(1.0),
        "min" => Some(60e9),
        "h" => Some(3_600e9),
        _ => None,
    };
    if let Some(factor) = nanos.filter(|_| value.is_finite()) {
        let total = value * factor;
        return if total.abs() < 1.0 && total != 0.0 {
            format!("{} ns", significant(total))
        } else {
            duration(total.round().clamp(i64::MIN as f64, i64::MAX as f64) as i64)
        };
    }
    match unit {
        "By" => bytes(value),
        "By/s" => format!("{}/s", bytes(value)),
        "%" => format!("{} %", compact_fine(value)),
        "" | "1" => compact_fine(value),
        other => {
            let word = unit_word(other.trim_matches(|c| c == '{' || c == '}'));
            if word.starts_with('/') {
                format!("{}{word}", compact_fine(value))
            } else {
                format!("{} {word}", compact_fine(value))
            }
        }
    }
}

/// A unit as it came; it comes from outside, so that its length is bounded.
pub fn short(unit: &str) -> String {
    match cut(unit, LONGEST_UNIT) {
        (_, 0) => unit.to_owned(),
        (head, _) => format!("{head}…"),
    }
}

fn compact_fine(value: f64) -> String {
    if value.is_finite() { compact(value) } else { significant(value) }
}

/// A tick of an axis: as `measured` where the unit scales, else the bare number, whose unit the title tells.
pub fn tick(value: f64, unit: &str) -> String {
    match unit {
        "s" | "ms" | "us" | "µs" | "ns" | "min" | "h" | "By" | "By/s" => measured(value, unit),
        _ => {
            let text = compact_fine(value);
            let (number, prefix) =
                text.split_once(' ').map_or((text.as_str(), ""), |(number, prefix)| (number, prefix));
            format!("{}{}{prefix}", trim_zeros(number), if prefix.is_empty() { "" } else { " " })
        }
    }
}

/// The unit that a chart's title tells, where its ticks do not.
pub fn title_unit(unit: &str) -> String {
    match unit {
        "" | "1" | "s" | "ms" | "us" | "µs" | "ns" | "min" | "h" | "By" | "By/s" | "/s" => String::new(),
        other => unit_word(other),
    }
}

/// A unit where it is told beside others: `{request}` is `request`, what has none says nothing.
pub fn unit_word(unit: &str) -> String {
    if unit == "1" { String::new() } else { short(&unit.replace(['{', '}'], "")) }
}

/// The unit of the rate of something in `unit`: `By` per second is `By/s`, `{request}` per second `{request}/s`.
pub fn rate_unit(unit: &str) -> String {
    match unit {
        "" | "1" => "/s".into(),
        // Seconds per second: a share of one processor, say.
        "s" => "s/s".into(),
        other => format!("{other}/s"),
    }
}

/// Cuts text at `limit` bytes, on a character boundary; the second part is how many bytes are hidden.
pub fn cut(text: &str, limit: usize) -> (&str, usize) {
    if text.len() <= limit {
        return (text, 0);
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], text.len() - end)
}

/// A name as it is shown: of blanks alone, in quotes, so that there is something to see and to follow.
pub fn name(name: &str, limit: usize) -> String {
    let shown = cut(name, limit).0;
    if shown.trim().is_empty() { format!("\"{shown}\"") } else { shown.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_blanks_are_shown() {
        assert_eq!([name("cart", 9), name("   ", 9), name("", 9)], ["cart", "\"   \"", "\"\""]);
    }

    #[test]
    fn durations_have_three_digits_and_a_fitting_unit() {
        let cases = [
            (0, "0"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (834_000, "834 µs"),
            (999_900, "1.00 ms"),
            (1_240_000_000, "1.24 s"),
            (99_900_000_000, "99.9 s"),
            (100_000_000_000, "1 min 40 s"),
            (7_500_000_000_000, "2 h 5 min"),
            (3 * 86_400_000_000_000 + 4 * 3_600_000_000_000, "3 d 4 h"),
            (-1_500_000, "−1.50 ms"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(duration(nanos), expected, "{nanos}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(compact(12_400.0), "12.4 k");
        assert_eq!(compact(950.0), "950");
        assert_eq!(
            (compact(1e308), compact(-1e308), bytes(1e308)),
            ("1.00e308".into(), "−1.00e308".into(), "1.00e308 B".into())
        );
        assert_eq!((significant(1e21), significant(9e20)), ("1.00e21".into(), "900000000000000000000".into()));
        assert_eq!(compact(999_960.0), "1.00 M");
        assert_eq!(rate(12_400.0), "12.4 k/s");
        assert_eq!(rate(0.05), "0.05/s");
        assert_eq!(rate(2.78e-4), "1.00/h");
        assert_eq!(rate(0.0042), "0.252/min");
        assert_eq!(rate(1e-6), "0.0864/d");
        assert_eq!(rate(1e-12), "<0.001/d");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(count(48_211), "48,211");
        assert_eq!(count(7), "7");
        assert_eq!(bytes(13_002_342.0), "12.4 MiB");
        assert_eq!(percent(0.041), "4.1 %");
        assert_eq!(percent(0.9999), "99.99 %");
        assert_eq!(percent(0.0003), "0.03 %");
        assert_eq!(counted(1, "span"), "1 span");
        assert_eq!(significant(0.0123), "0.0123");
    }

    #[test]
    fn units_of_ucum_are_read() {
        assert_eq!(measured(0.25, "s"), "250 ms");
        assert_eq!(measured(2048.0, "By"), "2.00 KiB");
        assert_eq!(measured(12.5, "{request}"), "12.5 request");
        assert_eq!(measured(12.5, "{request}/s"), "12.5 request/s");
        assert_eq!(measured(3.0, "/s"), "3/s");
        assert_eq!(measured(3.0, &"u".repeat(3_000)), format!("3 {}…", "u".repeat(LONGEST_UNIT)));
        assert_eq!(measured(f64::NAN, "s"), "NaN s");
    }

    #[test]
    fn ticks_leave_a_unit_that_does_not_scale_to_the_title() {
        assert_eq!(tick(2.5, "{order}/s"), "2.5");
        assert_eq!(tick(12_500.0, "{order}"), "12.5 k");
        assert_eq!(tick(0.25, "s"), "250 ms");
        assert_eq!((title_unit("{order}/s").as_str(), title_unit("s").as_str()), ("order/s", ""));
        assert_eq!(title_unit("/s"), "", "a chart of rates says so");
    }

    proptest! {
        #[test]
        fn durations_never_show_a_thousand_of_a_unit(nanos in 1i64..100_000_000_000) {
            let text = duration(nanos);
            let number: f64 = text.split(' ').next().unwrap().parse().unwrap();
            prop_assert!(number < 1000.0, "{text}");
        }

        #[test]
        fn cut_text_is_a_prefix_within_the_limit(text in "\\PC{0,40}", limit in 0usize..60) {
            let (head, hidden) = cut(&text, limit);
            prop_assert!(text.starts_with(head) && head.len() <= limit.max(text.len().min(limit)));
            prop_assert_eq!(head.len() + hidden, text.len());
        }

        #[test]
        fn any_number_can_be_shown(value in proptest::num::f64::ANY) {
            prop_assert!(!significant(value).is_empty() && !compact(value).is_empty() && !bytes(value).is_empty());
            prop_assert!(!measured(value, "s").is_empty());
        }
    }
}
