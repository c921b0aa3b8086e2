//! How is a typed number read? Digits, and more of them behind a point: all that a person, a URL or our own memory holds.
//!
//! NU1  Up to 15 digits give the same double as the standard library, whose reader of every notation is 13 KB of the bundle.
//! NU2  Further digits change it by less than one part in 10^15.

/// Digits that a double holds without loss.
const DIGITS: usize = 17;

/// A number of zero or more; no sign, no exponent.
pub fn read(text: &str) -> Option<f64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.bytes().chain(part.bytes());
    if whole.len() + part.len() == 0 || !digits.clone().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let leading = digits.clone().take_while(|digit| *digit == b'0').count();
    let mantissa = digits.skip(leading).take(DIGITS).fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
    let read = (whole.len() + part.len() - leading).min(DIGITS);
    // How many places the last digit that was read is left of the point, or right of it.
    let places = whole.len() as i32 - (leading + read) as i32;
    let scale = 10f64.powi(places.abs());
    Some(if places < 0 { mantissa as f64 / scale } else { mantissa as f64 * scale })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_digits_and_one_point_are_a_number() {
        assert_eq!(read("1.5"), Some(1.5));
        assert_eq!(read("380"), Some(380.0));
        assert_eq!(read(".5"), Some(0.5));
        assert_eq!(read("5."), Some(5.0));
        assert_eq!(read("0.0000000"), Some(0.0));
        for text in ["", ".", "-1", "1e5", "NaN", "1.2.3", "1,5", " 1"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"9".repeat(400)), Some(f64::INFINITY));
    }

    proptest! {
        #[test]
        fn nu1_few_digits_are_exact(whole in "[0-9]{0,8}", part in "[0-9]{1,7}") {
            let text = format!("{whole}.{part}");
            prop_assert_eq!(read(&text), text.parse().ok());
        }

        #[test]
        fn nu2_many_digits_are_close(text in "[0-9]{1,40}(\\.[0-9]{0,40})?") {
            let (got, wanted) = (read(&text).unwrap(), text.parse::<f64>().unwrap());
            prop_assert!((got - wanted).abs() <= wanted * 1e-15, "{} {} {}", text, got, wanted);
        }
    }
}
