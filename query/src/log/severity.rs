//! How severe is a record? OTLP's numbers in six levels of four, and the names people use for them.

/// Levels, most severe first. The last one is for records that told no severity, or one that OTLP does not know.
pub(crate) const LEVELS: [&str; 7] = ["fatal", "error", "warn", "info", "debug", "trace", "unset"];

/// The index in [`LEVELS`] of a severity number.
pub(crate) fn level_of(number: i32) -> usize {
    match number {
        21..=24 => 0,
        17..=20 => 1,
        13..=16 => 2,
        9..=12 => 3,
        5..=8 => 4,
        1..=4 => 5,
        _ => 6,
    }
}

/// The smallest number that a text means: a level's name in any case, the same with 1 to 4 behind it, or a number from
/// 0 to 24.
pub(crate) fn number_of(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (0..=24).contains(&number).then_some(number);
    }
    let lower = text.to_ascii_lowercase();
    let (name, step) = match lower.char_indices().last() {
        Some((at, digit @ '1'..='4')) => (lower.get(..at)?, digit.to_digit(10)?),
        _ => (lower.as_str(), 1),
    };
    let first = match name {
        "trace" => 1,
        "debug" => 5,
        "info" => 9,
        "warn" | "warning" => 13,
        "error" => 17,
        "fatal" | "critical" => 21,
        _ => return None,
    };
    Some(first + i32::try_from(step).ok()? - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_read_by_name_and_number() {
        let cases = [
            ("trace", 1),
            ("ERROR", 17),
            ("Warn", 13),
            ("warning", 13),
            ("fatal4", 24),
            ("info1", 9),
            ("0", 0),
            ("24", 24),
        ];
        for (text, number) in cases {
            assert_eq!(number_of(text), Some(number), "{text}");
        }
        for text in ["", "25", "-1", "info5", "info0", "loud", "é", "2147483648"] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }

    #[test]
    fn every_number_has_the_level_of_its_name() {
        for (index, name) in LEVELS.iter().enumerate().take(6) {
            let first = number_of(name).unwrap();
            assert!((first..first + 4).all(|number| level_of(number) == index), "{name}");
        }
        for number in [0, -1, 25, i32::MAX, i32::MIN] {
            assert_eq!(LEVELS[level_of(number)], "unset");
        }
    }
}
