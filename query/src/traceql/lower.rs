//! What may the store leave out, before an expression is asked?
//!
//! L1  The predicate of an expression matches every span for which the expression holds, and maybe more.
//! L2  Where `exact` is told, it matches no more: counts from statistics are then counts of the answer.
//!
//! Not here: what an expression means (`expression`), what a predicate means (`storage::scan`).

use super::ast::{Compare, Intrinsic, Name, Scope, Static, What};
use super::expression::{Expression, turned};
use super::pattern::{Hint, hint};
use storage::model::schema::column;
use storage::model::{SpanId, TraceId};
use storage::scan::{self, AttributeScope, Predicate, Scalar};

/// A predicate, and whether it says all that the expression does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lowered {
    pub(super) predicate: Predicate,
    pub(super) exact: bool,
}

impl Lowered {
    fn exact(predicate: Predicate) -> Self {
        Lowered { predicate, exact: true }
    }

    fn about(predicate: Predicate) -> Self {
        Lowered { predicate, exact: false }
    }

    fn unknown() -> Self {
        Lowered::about(Predicate::All)
    }

    fn never() -> Self {
        Lowered::exact(Predicate::Not(Box::new(Predicate::All)))
    }
}

/// The predicate of a filter; without an expression every span is wanted.
pub(super) fn lower(expression: Option<&Expression>) -> Lowered {
    match expression {
        None => Lowered::exact(Predicate::All),
        Some(expression) => of(expression),
    }
}

fn of(expression: &Expression) -> Lowered {
    match expression {
        Expression::Static(Static::Bool(true)) => Lowered::exact(Predicate::All),
        Expression::Static(_) => Lowered::never(),
        // A list compares by its elements, but is no condition.
        Expression::Name(name) => Lowered::about(compare(name, Compare::Equal, &Static::Bool(true)).predicate),
        Expression::IsRoot => {
            Lowered::exact(Predicate::Not(Box::new(Predicate::Exists(scan::Field::Column(column::PARENT_SPAN_ID)))))
        }
        Expression::IsNil(_) | Expression::Negate(_) | Expression::Arithmetic { .. } => Lowered::unknown(),
        Expression::Not(inner) => not(inner),
        Expression::Compare { op, left, right } => match (&**left, &**right) {
            (Expression::Name(name), Expression::Static(value)) => compare(name, *op, value),
            (Expression::Static(value), Expression::Name(name)) => compare(name, turned(*op), value),
            _ => Lowered::unknown(),
        },
        Expression::Matches { inner, text, negated, .. } => match &**inner {
            Expression::Name(name) if !negated => matches(name, text),
            Expression::Name(name) => exists(name),
            _ => Lowered::unknown(),
        },
        Expression::And(parts) => {
            let parts: Vec<Lowered> = parts.iter().map(of).collect();
            let exact = parts.iter().all(|part| part.exact);
            let predicate = parts.into_iter().fold(Predicate::All, |all, part| all.and(part.predicate));
            Lowered { predicate, exact }
        }
        Expression::Or(parts) => {
            let parts: Vec<Lowered> = parts.iter().map(of).collect();
            let exact = parts.iter().all(|part| part.exact);
            if parts.iter().any(|part| part.predicate == Predicate::All) {
                return Lowered { predicate: Predicate::All, exact };
            }
            Lowered { predicate: Predicate::Or(parts.into_iter().map(|part| part.predicate).collect()), exact }
        }
    }
}

/// `!inner`, where inner is always true or false.
fn not(inner: &Expression) -> Lowered {
    match inner {
        Expression::IsNil(inner) => match &**inner {
            Expression::Name(name) => exists(name),
            _ => Lowered::unknown(),
        },
        Expression::IsRoot
        | Expression::And(_)
        | Expression::Or(_)
        | Expression::Compare { .. }
        | Expression::Matches { .. } => match of(inner) {
            Lowered { predicate, exact: true } => Lowered::exact(Predicate::Not(Box::new(predicate))),
            Lowered { .. } => Lowered::unknown(),
        },
        _ => Lowered::unknown(),
    }
}

/// `name op value`.
fn compare(name: &Name, op: Compare, value: &Static) -> Lowered {
    if name.parent {
        return Lowered::unknown();
    }
    match &name.what {
        What::Attribute(scope, key) => attribute(*scope, key, op, value),
        What::Intrinsic(intrinsic) => of_intrinsic(*intrinsic, op, value),
    }
}

fn relation(op: Compare) -> Option<scan::Compare> {
    Some(match op {
        Compare::Equal => scan::Compare::Equal,
        Compare::NotEqual => scan::Compare::NotEqual,
        Compare::Less => scan::Compare::Less,
        Compare::LessOrEqual => scan::Compare::LessOrEqual,
        Compare::Greater => scan::Compare::Greater,
        Compare::GreaterOrEqual => scan::Compare::GreaterOrEqual,
        Compare::Matches | Compare::MatchesNot => return None,
    })
}

fn scalar(value: &Static) -> Option<Scalar> {
    Some(match value {
        Static::Bool(value) => Scalar::Bool(*value),
        Static::Int(value) | Static::Duration(value) => Scalar::Int(*value),
        Static::Float(value) => Scalar::Double(*value),
        Static::Text(text) => Scalar::String(text.clone()),
        // No attribute has such a value, and nil compares with nothing.
        Static::Nil | Static::Status(_) | Static::Kind(_) => return None,
    })
}

fn condition(field: scan::Field, op: Compare, value: &Static) -> Option<Predicate> {
    Some(Predicate::Compare { field, compare: relation(op)?, value: scalar(value)? })
}

fn attribute(scope: Scope, key: &str, op: Compare, value: &Static) -> Lowered {
    let own = |scope| scan::Field::Attribute(scope, key.to_owned());
    let field = match scope {
        Scope::Resource if key == "service.name" => return of_text(column::SERVICE_NAME, op, value, false),
        Scope::Span => own(AttributeScope::Own),
        Scope::Resource => own(AttributeScope::Resource),
        Scope::Instrumentation => own(AttributeScope::Scope),
        Scope::Any => own(AttributeScope::Any),
        Scope::Event => return Lowered::about(in_events(key)),
        Scope::Link => return Lowered::about(Predicate::Exists(scan::Field::Column(column::LINKS))),
    };
    let Some(predicate) = condition(field, op, value) else {
        return if scalar(value).is_none() { Lowered::never() } else { Lowered::unknown() };
    };
    if scope == Scope::Any {
        return Lowered::about(anywhere(key, predicate, of_text(column::SERVICE_NAME, op, value, false)));
    }
    // A value of another type is not equal there, and compares with nothing here.
    Lowered { predicate, exact: op != Compare::NotEqual }
}

/// A predicate of an attribute of span, resource or scope, and what an event may have.
fn anywhere(key: &str, predicate: Predicate, service: Lowered) -> Predicate {
    let mut parts = vec![predicate, in_events(key)];
    if key == "service.name" {
        parts.push(service.predicate);
    }
    Predicate::Or(parts)
}

/// Spans of which an event may have an attribute.
fn in_events(text: &str) -> Predicate {
    Predicate::Contains { field: scan::Field::Column(column::EVENTS), needle: text.to_owned(), case_sensitive: true }
}

fn of_intrinsic(intrinsic: Intrinsic, op: Compare, value: &Static) -> Lowered {
    let number = |name: &'static str| match (relation(op), value) {
        (Some(compare), Static::Int(value) | Static::Duration(value)) => {
            Lowered::exact(Predicate::Compare { field: scan::Field::Column(name), compare, value: Scalar::Int(*value) })
        }
        (Some(compare), Static::Float(value)) => Lowered::exact(Predicate::Compare {
            field: scan::Field::Column(name),
            compare,
            value: Scalar::Double(*value),
        }),
        _ => Lowered::unknown(),
    };
    match (intrinsic, value) {
        (Intrinsic::Duration, _) => number(column::DURATION),
        (Intrinsic::Name, _) => of_text(column::NAME, op, value, false),
        (Intrinsic::StatusMessage, _) => of_text(column::STATUS_MESSAGE, op, value, true),
        (Intrinsic::Status, Static::Status(code)) => coded(column::STATUS_CODE, op, *code),
        (Intrinsic::Kind, Static::Kind(kind)) => coded(column::KIND, op, *kind),
        (Intrinsic::TraceId, Static::Text(text)) if op == Compare::Equal => text
            .parse::<TraceId>()
            .ok()
            .filter(|id| id.to_string() == *text)
            .map_or_else(Lowered::never, |id| Lowered::exact(Predicate::Trace(id))),
        (Intrinsic::SpanId, Static::Text(text)) if op == Compare::Equal => text
            .parse::<SpanId>()
            .ok()
            .filter(|id| id.to_string() == *text)
            .map_or_else(Lowered::never, |id| Lowered::exact(Predicate::Span(id))),
        (Intrinsic::EventName, Static::Text(text)) if op == Compare::Equal => Lowered::about(in_events(text)),
        (Intrinsic::EventName | Intrinsic::EventTimeSinceStart, _) => {
            Lowered::about(Predicate::Exists(scan::Field::Column(column::EVENTS)))
        }
        (Intrinsic::LinkTraceId | Intrinsic::LinkSpanId, _) => {
            Lowered::about(Predicate::Exists(scan::Field::Column(column::LINKS)))
        }
        _ => Lowered::unknown(),
    }
}

fn coded(name: &'static str, op: Compare, code: i32) -> Lowered {
    let Some(compare) = relation(op) else { return Lowered::unknown() };
    Lowered::exact(Predicate::Compare { field: scan::Field::Column(name), compare, value: Scalar::Int(code.into()) })
}

/// A column of texts, in which empty ones may be null.
fn of_text(name: &'static str, op: Compare, value: &Static, nullable: bool) -> Lowered {
    let Static::Text(text) = value else { return Lowered::unknown() };
    let there = || Predicate::Exists(scan::Field::Column(name));
    match op {
        Compare::Equal if nullable && text.is_empty() => Lowered::exact(Predicate::Not(Box::new(there()))),
        Compare::NotEqual if nullable && text.is_empty() => Lowered::exact(there()),
        Compare::NotEqual => {
            let equal = Predicate::equal(name, Scalar::String(text.clone()));
            Lowered::exact(Predicate::Not(Box::new(equal)))
        }
        Compare::Less | Compare::LessOrEqual | Compare::Greater | Compare::GreaterOrEqual if nullable => {
            Lowered::unknown()
        }
        _ => condition(scan::Field::Column(name), op, value).map_or_else(Lowered::unknown, Lowered::exact),
    }
}

/// `name != nil`.
fn exists(name: &Name) -> Lowered {
    if name.parent {
        return Lowered::unknown();
    }
    let there = |scope, key: &str| Predicate::Exists(scan::Field::Attribute(scope, key.to_owned()));
    match &name.what {
        What::Attribute(Scope::Resource, key) if key == "service.name" => Lowered::unknown(),
        What::Attribute(Scope::Any, key) if key == "service.name" => Lowered::unknown(),
        What::Attribute(Scope::Span, key) => Lowered::about(there(AttributeScope::Own, key)),
        What::Attribute(Scope::Resource, key) => Lowered::about(there(AttributeScope::Resource, key)),
        What::Attribute(Scope::Instrumentation, key) => Lowered::about(there(AttributeScope::Scope, key)),
        What::Attribute(Scope::Any, key) => {
            Lowered::about(Predicate::Or(vec![there(AttributeScope::Any, key), in_events(key)]))
        }
        What::Attribute(Scope::Event, key) => Lowered::about(in_events(key)),
        What::Attribute(Scope::Link, _) | What::Intrinsic(Intrinsic::LinkTraceId | Intrinsic::LinkSpanId) => {
            Lowered::about(Predicate::Exists(scan::Field::Column(column::LINKS)))
        }
        What::Intrinsic(Intrinsic::EventName | Intrinsic::EventTimeSinceStart) => {
            Lowered::about(Predicate::Exists(scan::Field::Column(column::EVENTS)))
        }
        What::Intrinsic(_) => Lowered::unknown(),
    }
}

/// `name =~ pattern`.
fn matches(name: &Name, pattern: &str) -> Lowered {
    match hint(pattern) {
        Hint::Texts(texts) => {
            let parts: Vec<Lowered> =
                texts.into_iter().map(|text| compare(name, Compare::Equal, &Static::Text(text))).collect();
            let exact = parts.iter().all(|part| part.exact);
            if parts.iter().any(|part| part.predicate == Predicate::All) {
                return Lowered::unknown();
            }
            Lowered { predicate: Predicate::Or(parts.into_iter().map(|part| part.predicate).collect()), exact }
        }
        Hint::Contains(needle) => contains(name, &needle),
        Hint::Any => exists(name),
    }
}

fn contains(name: &Name, needle: &str) -> Lowered {
    let within = |field| Predicate::Contains { field, needle: needle.to_owned(), case_sensitive: true };
    let column = |name| Lowered::about(within(scan::Field::Column(name)));
    let own = |scope, key: &str| within(scan::Field::Attribute(scope, key.to_owned()));
    match &name.what {
        _ if name.parent => Lowered::unknown(),
        What::Attribute(Scope::Resource, key) if key == "service.name" => column(column::SERVICE_NAME),
        What::Attribute(Scope::Any, key) if key == "service.name" => Lowered::unknown(),
        What::Attribute(Scope::Span, key) => Lowered::about(own(AttributeScope::Own, key)),
        What::Attribute(Scope::Resource, key) => Lowered::about(own(AttributeScope::Resource, key)),
        What::Attribute(Scope::Instrumentation, key) => Lowered::about(own(AttributeScope::Scope, key)),
        What::Attribute(Scope::Any, key) => {
            Lowered::about(Predicate::Or(vec![own(AttributeScope::Any, key), in_events(key)]))
        }
        What::Intrinsic(Intrinsic::Name) => column(column::NAME),
        What::Intrinsic(Intrinsic::StatusMessage) => column(column::STATUS_MESSAGE),
        What::Intrinsic(Intrinsic::EventName) => Lowered::about(in_events(needle)),
        _ => exists(name),
    }
}
