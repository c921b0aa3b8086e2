//! Does one value satisfy one comparison?
//!
//! Not here: null and absent values, and `NotEqual`, which is "present and not equal" (`evaluate`).

use super::super::{Compare, Scalar};
use crate::model::attribute::{Map, Value};
use std::cmp::Ordering;

/// A condition, ready to be asked for value after value.
#[derive(Debug)]
pub(crate) enum Condition<'a> {
    Compare { relation: Relation, operand: Operand<'a>, negated: bool },
    Contains(Needle),
    Exists,
}

/// [`Compare`] without `NotEqual`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Relation::Equal => ordering.is_eq(),
            Relation::Less => ordering.is_lt(),
            Relation::LessOrEqual => ordering.is_le(),
            Relation::Greater => ordering.is_gt(),
            Relation::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Operand<'a> {
    String(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// Text that may stand for a number or a boolean.
    Typed {
        text: &'a str,
        number: Option<Number>,
        boolean: Option<bool>,
    },
}

/// A number as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

impl<'a> Condition<'a> {
    pub(crate) fn compare(compare: Compare, value: &'a Scalar) -> Self {
        let (relation, negated) = match compare {
            Compare::Equal => (Relation::Equal, false),
            Compare::NotEqual => (Relation::Equal, true),
            Compare::Less => (Relation::Less, false),
            Compare::LessOrEqual => (Relation::LessOrEqual, false),
            Compare::Greater => (Relation::Greater, false),
            Compare::GreaterOrEqual => (Relation::GreaterOrEqual, false),
        };
        let operand = match value {
            Scalar::String(text) => Operand::String(text),
            Scalar::Bool(value) => Operand::Bool(*value),
            Scalar::Int(value) => Operand::Int(*value),
            Scalar::Double(value) => Operand::Double(*value),
            Scalar::Bytes(bytes) => Operand::Bytes(bytes),
            Scalar::Typed(text) => Operand::Typed { text, number: parse_number(text), boolean: text.parse().ok() },
        };
        Condition::Compare { relation, operand, negated }
    }

    pub(crate) fn contains(needle: &str, case_sensitive: bool) -> Self {
        Condition::Contains(Needle::new(needle, case_sensitive))
    }

    /// The text that a text has to equal, if that is the condition.
    pub(crate) fn equal_text(&self) -> Option<&str> {
        match self {
            Condition::Compare {
                relation: Relation::Equal,
                operand: Operand::String(text) | Operand::Typed { text, .. },
                ..
            } => Some(text),
            _ => None,
        }
    }

    /// The text that a text has to contain, if that is the condition, and whether case counts.
    pub(crate) fn needle(&self) -> Option<(&str, bool)> {
        match self {
            Condition::Contains(needle) => Some((&needle.text, needle.case_sensitive)),
            _ => None,
        }
    }

    /// Whether the rows wanted are those that have the field and do *not* match.
    pub(crate) fn is_negated(&self) -> bool {
        matches!(self, Condition::Compare { negated: true, .. })
    }

    /// Whether an integer matches.
    pub(crate) fn int(&self, value: i64) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Contains(_) => false,
            Condition::Compare { relation, operand, .. } => match operand {
                Operand::Int(other) | Operand::Typed { number: Some(Number::Int(other)), .. } => {
                    relation.holds(value.cmp(other))
                }
                Operand::Double(other) | Operand::Typed { number: Some(Number::Double(other)), .. } => {
                    int_with_double(value.into(), *other).is_some_and(|ordering| relation.holds(ordering))
                }
                _ => false,
            },
        }
    }

    /// Whether an unsigned integer matches.
    pub(crate) fn unsigned(&self, value: u64) -> bool {
        if let Ok(value) = i64::try_from(value) {
            return self.int(value);
        }
        match self {
            Condition::Compare { relation, operand, .. } => match operand {
                Operand::Int(_) | Operand::Typed { number: Some(Number::Int(_)), .. } => {
                    relation.holds(Ordering::Greater)
                }
                Operand::Double(other) | Operand::Typed { number: Some(Number::Double(other)), .. } => {
                    int_with_double(value.into(), *other).is_some_and(|ordering| relation.holds(ordering))
                }
                _ => false,
            },
            Condition::Exists => true,
            Condition::Contains(_) => false,
        }
    }

    /// Whether a double matches.
    pub(crate) fn double(&self, value: f64) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Contains(_) => false,
            Condition::Compare { relation, operand, .. } => {
                let ordering = match operand {
                    // Whoever types `NaN` means the values that are shown so, whatever their bits.
                    Operand::Typed { number: Some(Number::Double(other)), .. } if other.is_nan() => {
                        value.is_nan().then_some(Ordering::Equal)
                    }
                    Operand::Int(other) | Operand::Typed { number: Some(Number::Int(other)), .. } => {
                        int_with_double((*other).into(), value).map(Ordering::reverse)
                    }
                    Operand::Double(other) | Operand::Typed { number: Some(Number::Double(other)), .. } => {
                        value.partial_cmp(other)
                    }
                    _ => None,
                };
                ordering.is_some_and(|ordering| relation.holds(ordering))
            }
        }
    }

    /// Whether a text matches.
    pub(crate) fn text(&self, value: &str) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Contains(needle) => needle.is_in(value),
            Condition::Compare { relation, operand, .. } => match operand {
                Operand::String(text) | Operand::Typed { text, .. } => relation.holds(value.cmp(text)),
                _ => false,
            },
        }
    }

    /// Whether a boolean matches.
    pub(crate) fn boolean(&self, value: bool) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Contains(_) => false,
            Condition::Compare { relation, operand, .. } => match operand {
                Operand::Bool(other) | Operand::Typed { boolean: Some(other), .. } => relation.holds(value.cmp(other)),
                _ => false,
            },
        }
    }

    /// Whether bytes match.
    pub(crate) fn bytes(&self, value: &[u8]) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Contains(_) => false,
            Condition::Compare { relation, operand, .. } => match operand {
                Operand::Bytes(other) => relation.holds(value.cmp(other)),
                _ => false,
            },
        }
    }

    /// Whether an attribute value matches.
    pub(crate) fn value(&self, value: Value<'_>) -> bool {
        match value {
            Value::String(text) => self.text(text),
            Value::Bool(value) => self.boolean(value),
            Value::Int(value) => self.int(value),
            Value::Double(value) => self.double(value),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Empty => matches!(self, Condition::Exists),
            Value::Array(array) => match self {
                Condition::Exists => true,
                Condition::Contains(needle) => needle.is_within(value),
                Condition::Compare { .. } => array.iter().any(|value| self.element(value)),
            },
            Value::Map(_) => match self {
                Condition::Exists => true,
                Condition::Contains(needle) => needle.is_within(value),
                Condition::Compare { .. } => false,
            },
        }
    }

    /// Whether an element of a list matches; lists within lists do not.
    fn element(&self, value: Value<'_>) -> bool {
        !matches!(value, Value::Array(_) | Value::Empty) && self.value(value)
    }

    /// Whether the whole of a map matches: by what text it holds.
    pub(crate) fn map(&self, map: Map<'_>) -> bool {
        self.value(Value::Map(map))
    }
}

fn parse_number(text: &str) -> Option<Number> {
    // As answers write them. `inf`, `nan` and the like are words and no numbers.
    match text {
        "NaN" => return Some(Number::Double(f64::NAN)),
        "Infinity" => return Some(Number::Double(f64::INFINITY)),
        "-Infinity" => return Some(Number::Double(f64::NEG_INFINITY)),
        _ => {}
    }
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().map(Number::Int).or_else(|_| text.parse().map(Number::Double)).ok()
}

/// Compares without rounding the integer; `None` for NaN.
fn int_with_double(int: i128, double: f64) -> Option<Ordering> {
    // Past this every double is beyond every 64-bit integer; below it, truncation to i128 is exact.
    const FAR: f64 = 1e30;
    if double.is_nan() {
        return None;
    }
    if double >= FAR {
        return Some(Ordering::Less);
    }
    if double <= -FAR {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    let fraction = double - whole;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within i128 by the checks above")]
    let by_whole = int.cmp(&(whole as i128));
    Some(by_whole.then_with(|| 0f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal)))
}

/// A text to look for.
#[derive(Debug)]
pub(crate) struct Needle {
    /// In lower case, unless case counts.
    text: String,
    case_sensitive: bool,
}

impl Needle {
    fn new(needle: &str, case_sensitive: bool) -> Self {
        Needle { text: if case_sensitive { needle.to_owned() } else { needle.to_lowercase() }, case_sensitive }
    }

    fn is_in(&self, text: &str) -> bool {
        if self.case_sensitive {
            return text.contains(&self.text);
        }
        if !text.is_ascii() {
            return text.to_lowercase().contains(&self.text);
        }
        let (needle, text) = (self.text.as_bytes(), text.as_bytes());
        needle.is_empty() || text.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
    }

    /// Whether some text within a structured value, or a key of a map within it, holds the needle.
    fn is_within(&self, value: Value<'_>) -> bool {
        match value {
            Value::String(text) => self.is_in(text),
            Value::Array(array) => array.iter().any(|value| self.is_within(value)),
            Value::Map(map) => map.iter().any(|(key, value)| self.is_in(key) || self.is_within(value)),
            Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e2_integers_and_doubles_compare_without_rounding() {
        let exact = 9_007_199_254_740_993i64; // 2^53 + 1, no double
        for (int, double, expected) in [
            (exact, 9_007_199_254_740_992.0, Some(Ordering::Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Ordering::Less)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Ordering::Equal)),
            (0, -0.0, Some(Ordering::Equal)),
            (1, 1.5, Some(Ordering::Less)),
            (-1, -1.5, Some(Ordering::Greater)),
            (5, f64::INFINITY, Some(Ordering::Less)),
            (5, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (5, f64::NAN, None),
        ] {
            assert_eq!(int_with_double(int.into(), double), expected, "{int} with {double}");
        }
        let most = Scalar::Int(i64::MAX);
        assert!(Condition::compare(Compare::Greater, &most).unsigned(u64::MAX));
        let double = Scalar::Double(18_446_744_073_709_551_616.0);
        assert!(Condition::compare(Compare::Less, &double).unsigned(u64::MAX));
    }

    #[test]
    fn typed_text_equals_itself_and_the_number_or_boolean_that_is_written_so() {
        let equal =
            |text: &str, value: Value<'_>| Condition::compare(Compare::Equal, &Scalar::Typed(text.into())).value(value);
        assert!(
            equal("200", Value::Int(200)) && equal("200", Value::String("200")) && equal("200", Value::Double(200.0))
        );
        assert!(
            equal("0.5", Value::Double(0.5)) && equal("true", Value::Bool(true)) && equal("inf", Value::String("inf"))
        );
        assert!(!equal("200", Value::String("200 ")) && !equal("yes", Value::Bool(true)));
        assert!(!equal("inf", Value::Double(f64::INFINITY)) && !equal("200", Value::Bytes(b"200")));
        let (infinity, nan) = (Value::Double(f64::INFINITY), Value::Double(f64::from_bits(0xfff8_0000_dead_beef)));
        assert!(equal("NaN", nan) && equal("NaN", Value::String("NaN")) && !equal("NaN", infinity));
        assert!(equal("Infinity", infinity) && !equal("-Infinity", infinity) && !equal("Infinity", nan));
        let (nan, less) = (Scalar::Typed("NaN".into()), Scalar::Typed("1".into()));
        assert!(!Condition::compare(Compare::Less, &nan).value(Value::Double(1.0)));
        assert!(!Condition::compare(Compare::Less, &less).value(Value::Double(f64::NAN)));
    }

    #[test]
    fn a_list_matches_by_one_of_its_elements() {
        use crate::model::attribute::{put_array, put_value};
        let mut encoded = Vec::new();
        put_array(&mut encoded, |out| {
            [Value::Int(5), Value::String("a")].into_iter().for_each(|value| put_value(out, value));
        });
        let list = Value::parse(&encoded).unwrap();
        let matches = |compare, value: Scalar| Condition::compare(compare, &value).value(list);
        assert!(matches(Compare::Equal, Scalar::Int(5)) && matches(Compare::Equal, Scalar::String("a".into())));
        assert!(matches(Compare::Greater, Scalar::Double(4.5)) && !matches(Compare::Equal, Scalar::Int(6)));
        // `NotEqual` is "present and not equal": none of the elements may be.
        assert!(matches(Compare::NotEqual, Scalar::Int(5)));
    }

    #[test]
    fn case_is_folded_beyond_ascii() {
        assert!(Condition::contains("ÄB", false).text("xäby"));
        assert!(Condition::contains("äb", false).text("XÄBY"));
        assert!(!Condition::contains("ÄB", true).text("xäby"));
        assert!(Condition::contains("", false).text(""));
        assert!(Condition::contains("eRr", false).text("an ERROR"));
    }
}
