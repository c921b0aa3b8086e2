//! What comes of two values and an operator?

use crate::promql::ast::{Operator, Span};
use crate::promql::note::{Combination, Note};
use crate::series::{Added, Histogram, Side, Value};

/// The result of an operation.
#[derive(Debug)]
pub(super) enum Element {
    /// A value; comparisons say whether it stays.
    Value { value: Value, keeps: bool, note: Option<Note> },
    /// None, and why.
    Nothing(Note),
}

impl Element {
    fn new(value: impl Into<Value>, keeps: bool) -> Self {
        Element::Value { value: value.into(), keeps, note: None }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

/// Two numbers; comparisons are 1 or 0.
pub(super) fn scalars(op: Operator, left: f64, right: f64) -> f64 {
    match numbers(op, left, right) {
        Some((_, keeps)) if op.is_comparison() => f64::from(u8::from(keeps)),
        Some((value, _)) => value,
        None => f64::NAN,
    }
}

fn numbers(op: Operator, left: f64, right: f64) -> Option<(f64, bool)> {
    Some(match op {
        Operator::Arithmetic(op) => (op.apply(left, right), true),
        Operator::Atan2 => (left.atan2(right), true),
        Operator::Equal => (left, left == right),
        Operator::NotEqual => (left, left != right),
        Operator::Greater => (left, left > right),
        Operator::Less => (left, left < right),
        Operator::GreaterEqual => (left, left >= right),
        Operator::LessEqual => (left, left <= right),
        Operator::TrimUpper | Operator::TrimLower | Operator::And | Operator::Or | Operator::Unless => return None,
    })
}

pub(super) fn elements(op: Operator, left: &Value, right: &Value, span: Span) -> Element {
    use crate::promql::ast::Arithmetic::{Add, Div, Mul, Sub};
    let mismatch = || Element::Nothing(Note::incompatible_types(kind(left), op, kind(right), span));
    match (left, right) {
        (Value::Float(a), Value::Float(b)) => match numbers(op, *a, *b) {
            Some((value, keeps)) => Element::new(value, keeps),
            None => mismatch(),
        },
        (Value::Float(factor), Value::Histogram(histogram)) => match op {
            Operator::Arithmetic(Mul) => changed(histogram, |histogram| histogram.scale(*factor)),
            _ => mismatch(),
        },
        (Value::Histogram(histogram), Value::Float(number)) => match op {
            Operator::Arithmetic(Mul) => changed(histogram, |histogram| histogram.scale(*number)),
            Operator::Arithmetic(Div) => changed(histogram, |histogram| histogram.divide(*number)),
            Operator::TrimUpper => Element::new(histogram.trimmed(*number, Side::Below), true),
            Operator::TrimLower => Element::new(histogram.trimmed(*number, Side::Above), true),
            _ => mismatch(),
        },
        (Value::Histogram(a), Value::Histogram(b)) => match op {
            Operator::Arithmetic(Add) => combined(op, a, b, span),
            Operator::Arithmetic(Sub) => combined(op, a, b, span),
            Operator::Equal => Element::new(Value::Histogram(a.clone()), a.is_same(b)),
            Operator::NotEqual => Element::new(Value::Histogram(a.clone()), !a.is_same(b)),
            _ => mismatch(),
        },
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Float(_) => "float",
        Value::Histogram(_) => "histogram",
    }
}

fn changed(histogram: &Histogram, change: impl FnOnce(&mut Histogram)) -> Element {
    let mut histogram = histogram.clone();
    change(&mut histogram);
    histogram.compact();
    Element::new(histogram, true)
}

fn combined(op: Operator, left: &Histogram, right: &Histogram, span: Span) -> Element {
    let is_sum = op == Operator::Arithmetic(crate::promql::ast::Arithmetic::Add);
    let mut result = left.clone();
    let added = if is_sum { result.add(right) } else { result.subtract(right) };
    let combination = if is_sum { Combination::Addition } else { Combination::Subtraction };
    match added {
        Err(_) => Element::Nothing(Note::incompatible_layout(op, span)),
        Ok(Added { hints_collide: true, .. }) => Element::Nothing(Note::hints_collide(combination, span)),
        Ok(Added { bounds_reconciled, .. }) => {
            if !is_sum {
                result.hint = crate::series::Hint::Gauge;
            }
            result.compact();
            let note = bounds_reconciled.then(|| Note::mismatched_bounds(combination, span));
            Element::Value { value: result.into(), keeps: true, note }
        }
    }
}
