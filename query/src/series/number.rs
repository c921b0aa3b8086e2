//! How is a number written? As Go's `strconv` and `fmt` do, which is what readers of Prometheus's answers expect.

/// Without an exponent, as short as it can be: Go's format `f`.
pub(crate) fn plain(value: f64) -> String {
    special(value).unwrap_or_else(|| value.to_string())
}

/// With an exponent below 1e-4 and from 1e6 on, as short as it can be: Go's format `g`.
pub(crate) fn general(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() || (1e-4..1e6).contains(&size) { plain(value) } else { with_exponent(value) }
}

/// With an exponent of at least two digits: Go's format `e`.
pub(crate) fn with_exponent(value: f64) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// As a value in Prometheus's JSON: with an exponent below 1e-6 and from 1e21 on.
pub(crate) fn json(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size.is_finite() && !(1e-6..1e21).contains(&size) { with_exponent(value) } else { plain(value) }
}

/// As the value of a label `le` or `quantile`: whole numbers with `.0`.
pub(crate) fn open_metrics(value: f64) -> String {
    let text = general(value);
    let is_whole = !text.contains(['.', 'e', 'N', 'I']);
    if is_whole { text + ".0" } else { text }
}

/// With so many significant digits: Go's `%.{digits}g`.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    let exponent = if rounded == 0.0 { 0 } else { rounded.abs().log10().floor() as i32 };
    if exponent < -4 || exponent >= i32::try_from(digits).unwrap_or(i32::MAX) {
        return with_exponent(rounded);
    }
    rounded.to_string()
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_owned())
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(general(1e6), "1e+06");
        assert_eq!(general(123456.5), "123456.5");
        assert_eq!(general(0.00001), "1e-05");
        assert_eq!(general(0.0001), "0.0001");
        assert_eq!(general(-1.1), "-1.1");
        assert_eq!(json(1e-7), "1e-07");
        assert_eq!(json(1e20), "100000000000000000000");
        assert_eq!(json(f64::INFINITY), "+Inf");
        assert_eq!(open_metrics(5.0), "5.0");
        assert_eq!(open_metrics(0.9), "0.9");
        assert_eq!(significant(1234.0, 2), "1.2e+03");
        assert_eq!(significant(0.25, 2), "0.25");
    }
}
