//! What is a value of a span, and how do two of them compare?
//!
//! V1  Values of different types never compare as true, by no operator; integers, doubles and durations are one type, and
//!     compare without rounding.
//! V2  Nil compares as true with nothing. Whether something is nil is asked by `= nil`, which is no comparison (`expression`).
//! V3  A list compares as true where one of its elements does; by `!=` and `!~` where it has one that could be equal, and
//!     none that is.

use super::ast::{Arithmetic, Compare, Static};
use std::borrow::Cow;
use std::cmp::Ordering;
use storage::model::attribute;

/// A value of a span, borrowed from where it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// The span does not have it.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// Nanoseconds.
    Duration(i64),
    /// OTLP's number.
    Status(i32),
    /// OTLP's number.
    Kind(i32),
    List(Vec<Value<'a>>),
    /// Bytes or a map: there, and equal to nothing.
    Other,
}

impl<'a> Value<'a> {
    /// A stored attribute.
    pub(super) fn of_attribute(value: Option<attribute::Value<'a>>) -> Self {
        match value {
            None | Some(attribute::Value::Empty) => Value::Nil,
            Some(attribute::Value::String(text)) => Value::Text(text.into()),
            Some(attribute::Value::Bool(value)) => Value::Bool(value),
            Some(attribute::Value::Int(value)) => Value::Int(value),
            Some(attribute::Value::Double(value)) => Value::Float(value),
            Some(attribute::Value::Bytes(_) | attribute::Value::Map(_)) => Value::Other,
            Some(attribute::Value::Array(list)) => {
                Value::List(list.iter().map(|element| Value::of_attribute(Some(element))).collect())
            }
        }
    }

    /// Of several owners, such as a span's events, those that have it: none is nil, one stands for itself.
    pub(super) fn of_many(values: impl Iterator<Item = Value<'a>>) -> Self {
        let mut list: Vec<Value<'a>> = values.filter(|value| *value != Value::Nil).collect();
        match list.len() {
            0 => Value::Nil,
            1 => list.pop().unwrap_or(Value::Nil),
            _ => Value::List(list),
        }
    }

    pub(super) fn of_static(value: &'a Static) -> Self {
        match value {
            Static::Nil => Value::Nil,
            Static::Bool(value) => Value::Bool(*value),
            Static::Int(value) => Value::Int(*value),
            Static::Float(value) => Value::Float(*value),
            Static::Text(text) => Value::Text(Cow::Borrowed(text)),
            Static::Duration(nanos) => Value::Duration(*nanos),
            Static::Status(code) => Value::Status(*code),
            Static::Kind(kind) => Value::Kind(*kind),
        }
    }

    /// The same, borrowing nothing.
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Nil => Value::Nil,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Float(value) => Value::Float(value),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Duration(nanos) => Value::Duration(nanos),
            Value::Status(code) => Value::Status(code),
            Value::Kind(kind) => Value::Kind(kind),
            Value::List(list) => Value::List(list.into_iter().map(Value::into_owned).collect()),
            Value::Other => Value::Other,
        }
    }

    /// The number that it is; nanoseconds of a duration.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(value) | Value::Duration(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Value::Bool(true)
    }

    /// About how many bytes it takes beyond itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::List(list) => list.iter().map(|value| size_of_val(value) + value.memory_bytes()).sum(),
            _ => 0,
        }
    }
}

/// Whether two values compare so (V1 to V3).
pub(super) fn compares(op: Compare, left: &Value<'_>, right: &Value<'_>) -> bool {
    if let Value::List(list) = left {
        return any(op, list.iter().map(|left| (left, right)));
    }
    if let Value::List(list) = right {
        return any(op, list.iter().map(|right| (left, right)));
    }
    let Some(ordering) = ordering(left, right) else { return false };
    match op {
        Compare::Equal => ordering.is_some_and(Ordering::is_eq),
        Compare::NotEqual => !ordering.is_some_and(Ordering::is_eq),
        Compare::Less => ordering.is_some_and(Ordering::is_lt),
        Compare::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        Compare::Greater => ordering.is_some_and(Ordering::is_gt),
        Compare::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
        // Patterns are compiled before (`expression`).
        Compare::Matches | Compare::MatchesNot => false,
    }
}

fn any<'v, 'a: 'v>(op: Compare, mut pairs: impl Iterator<Item = (&'v Value<'a>, &'v Value<'a>)> + Clone) -> bool {
    if op == Compare::NotEqual {
        let equal = pairs.clone().any(|(left, right)| compares(Compare::Equal, left, right));
        return !equal && pairs.any(|(left, right)| compares(Compare::NotEqual, left, right));
    }
    pairs.any(|(left, right)| compares(op, left, right))
}

/// How two values of one type stand to each other; the inner `None` is of a double that is no number.
fn ordering(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Value::Status(left), Value::Status(right)) | (Value::Kind(left), Value::Kind(right)) => Some(left.cmp(right)),
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => Some(left.cmp(right)),
        (Value::Int(left) | Value::Duration(left), Value::Float(right)) => int_with_double(*left, *right),
        (Value::Float(left), Value::Int(right) | Value::Duration(right)) => {
            int_with_double(*right, *left).map(Ordering::reverse)
        }
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        _ => return None,
    })
}

/// Compares without rounding the integer.
fn int_with_double(int: i64, double: f64) -> Option<Ordering> {
    /// 2^63: from here on every double is beyond every 64-bit integer.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND {
        return Some(Ordering::Less);
    }
    if double < -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within i64 by the checks above")]
    let by_whole = int.cmp(&(whole as i64));
    Some(by_whole.then_with(|| 0f64.partial_cmp(&(double - whole)).unwrap_or(Ordering::Equal)))
}

/// Calculates. What has no value (another type, a division by zero) is nil; integers that overflow become doubles.
pub(super) fn calculate(op: Arithmetic, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
    let (Some(first), Some(second)) = (left.number(), right.number()) else { return Value::Nil };
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        if matches!(op, Arithmetic::Divide | Arithmetic::Modulo) && *right == 0 {
            return Value::Nil;
        }
        let exact = match op {
            Arithmetic::Add => left.checked_add(*right),
            Arithmetic::Subtract => left.checked_sub(*right),
            Arithmetic::Multiply => left.checked_mul(*right),
            Arithmetic::Divide => left.checked_div(*right),
            Arithmetic::Modulo => left.checked_rem(*right),
            Arithmetic::Power => u32::try_from(*right).ok().and_then(|power| left.checked_pow(power)),
        };
        if let Some(exact) = exact {
            return Value::Int(exact);
        }
    }
    let number = match op {
        Arithmetic::Add => first + second,
        Arithmetic::Subtract => first - second,
        Arithmetic::Multiply => first * second,
        Arithmetic::Divide => first / second,
        Arithmetic::Modulo => first % second,
        Arithmetic::Power => first.powf(second),
    };
    if !number.is_finite() {
        return Value::Nil;
    }
    let durations = (matches!(left, Value::Duration(_)), matches!(right, Value::Duration(_)));
    match (op, durations) {
        (Arithmetic::Add | Arithmetic::Subtract, (true, _) | (_, true))
        | (Arithmetic::Multiply, (true, false) | (false, true))
        | (Arithmetic::Divide, (true, false))
        | (Arithmetic::Modulo, (true, _)) => duration(number),
        _ => Value::Float(number),
    }
}

/// Nanoseconds as a duration, where they are so many.
fn duration(nanos: f64) -> Value<'static> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a double saturates")]
    Value::Duration(nanos as i64)
}

/// The value with its sign turned.
pub(super) fn negated(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Int(value) => value.checked_neg().map_or(Value::Float(-(*value as f64)), Value::Int),
        Value::Float(value) => Value::Float(-value),
        Value::Duration(value) => Value::Duration(value.saturating_neg()),
        _ => Value::Nil,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    #[test]
    fn v1_values_of_different_types_do_not_compare() {
        for op in [Compare::Equal, Compare::NotEqual, Compare::Less, Compare::GreaterOrEqual] {
            assert!(!compares(op, &text("1"), &Value::Int(1)));
            assert!(!compares(op, &Value::Bool(true), &text("true")));
            assert!(!compares(op, &Value::Nil, &Value::Nil), "V2");
            assert!(!compares(op, &Value::Other, &Value::Other));
        }
        assert!(compares(Compare::Equal, &Value::Int(5), &Value::Float(5.0)));
        assert!(compares(Compare::Less, &Value::Int(5), &Value::Duration(6)));
        let large = 9_007_199_254_740_993;
        assert!(compares(Compare::NotEqual, &Value::Int(large), &Value::Float(9_007_199_254_740_992.0)));
        assert!(compares(Compare::Less, &Value::Int(i64::MAX), &Value::Float(1e30)));
        assert!(compares(Compare::Greater, &Value::Int(i64::MIN), &Value::Float(-1e30)));
        assert!(compares(Compare::Greater, &Value::Float(1.5), &Value::Int(1)));
        assert!(!compares(Compare::Equal, &Value::Float(f64::NAN), &Value::Int(1)));
    }

    #[test]
    fn v3_lists_compare_by_their_elements() {
        let list = Value::List(vec![Value::Int(1), text("a")]);
        assert!(compares(Compare::Equal, &list, &Value::Int(1)) && compares(Compare::Equal, &text("a"), &list));
        assert!(!compares(Compare::NotEqual, &list, &Value::Int(1)));
        assert!(compares(Compare::NotEqual, &list, &Value::Int(2)));
        assert!(!compares(Compare::NotEqual, &list, &Value::Bool(true)), "no element could be equal");
        assert!(!compares(Compare::NotEqual, &Value::List(Vec::new()), &Value::Int(1)));
    }

    #[test]
    fn arithmetic_keeps_integers_and_durations() {
        use Arithmetic::{Add, Divide, Modulo, Multiply, Power, Subtract};
        let (one, two) = (Value::Int(1), Value::Int(2));
        assert_eq!(calculate(Divide, &one, &two), Value::Int(0));
        assert_eq!(calculate(Divide, &one, &Value::Int(0)), Value::Nil);
        assert_eq!(calculate(Modulo, &one, &Value::Float(0.0)), Value::Nil);
        assert_eq!(calculate(Power, &two, &Value::Int(-1)), Value::Float(0.5));
        assert_eq!(calculate(Add, &Value::Int(i64::MAX), &one), Value::Float(9_223_372_036_854_775_808.0));
        assert_eq!(calculate(Multiply, &two, &Value::Duration(5)), Value::Duration(10));
        assert_eq!(calculate(Divide, &Value::Duration(6), &Value::Duration(4)), Value::Float(1.5));
        assert_eq!(calculate(Subtract, &Value::Duration(6), &two), Value::Duration(4));
        assert_eq!(calculate(Add, &text("a"), &one), Value::Nil);
        assert_eq!(negated(&Value::Int(i64::MIN)), Value::Float(9_223_372_036_854_775_808.0));
    }
}
