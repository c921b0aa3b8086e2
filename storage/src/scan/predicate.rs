//! What can be said of a row?
//!
//! Null and absent values match no comparison, and `Not` of a comparison matches them: two-valued logic, as a person
//! who filters a list expects.

use crate::model::schema::column as name;
use crate::model::{SpanId, TraceId};
use std::collections::BTreeSet;

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Predicate {
    /// Every row.
    #[default]
    All,
    /// Rows that match all of them.
    And(Vec<Predicate>),
    /// Rows that match one of them.
    Or(Vec<Predicate>),
    /// Rows that do not match it.
    Not(Box<Predicate>),
    /// Rows whose field compares so with the value. A number compares with a number of the other type by value; other
    /// values of different types never match, except by `NotEqual`, which is `Not` of `Equal` where the field is present.
    /// A list compares as its elements do: one that matches is enough, and `NotEqual` is none that equals.
    Compare {
        /// Left side.
        field: Field,
        /// Relation.
        compare: Compare,
        /// Right side.
        value: Scalar,
    },
    /// Rows whose text contains the needle. Of a structured log body or attribute, any text within it.
    Contains {
        /// Where to look.
        field: Field,
        /// What to look for.
        needle: String,
        /// Whether `A` and `a` differ.
        case_sensitive: bool,
    },
    /// Rows where the field is present.
    Exists(Field),
    /// Rows of a trace.
    Trace(TraceId),
    /// Rows of a span.
    Span(SpanId),
}

/// What a condition speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A column, by its name in `model::schema::column`.
    Column(&'static str),
    /// An attribute, wherever it lies.
    Attribute(AttributeScope, String),
}

impl Field {
    fn columns(&self) -> &[&'static str] {
        match self {
            // A log body lies in one of two columns, by its type.
            Field::Column(name::BODY) => &[name::BODY, name::BODY_VALUE],
            Field::Column(column) => std::slice::from_ref(column),
            Field::Attribute(AttributeScope::Any, _) => &[name::ATTRIBUTES, name::RESOURCE, name::SCOPE],
            Field::Attribute(AttributeScope::Own, _) => &[name::ATTRIBUTES],
            Field::Attribute(AttributeScope::Resource, _) => &[name::RESOURCE],
            Field::Attribute(AttributeScope::Scope, _) => &[name::SCOPE],
        }
    }
}

/// Whose attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeScope {
    /// The span's, log record's or data point's own.
    Own,
    /// The resource's.
    Resource,
    /// The instrumentation scope's.
    Scope,
    /// Own, else the resource's, else the scope's.
    Any,
}

/// A relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Text.
    String(String),
    /// Boolean.
    Bool(bool),
    /// Integer, also for times and durations.
    Int(i64),
    /// Double.
    Double(f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text as a person types it: equal to the text itself, and to a number or boolean that is written so; `NaN` to every
    /// double that is no number, which a [`Scalar::Double`] equals as little as IEEE 754 lets it.
    Typed(String),
}

impl Predicate {
    /// A column equal to a value.
    pub fn equal(column: &'static str, value: Scalar) -> Self {
        Predicate::Compare { field: Field::Column(column), compare: Compare::Equal, value }
    }

    /// Both.
    pub fn and(self, other: Predicate) -> Self {
        match (self, other) {
            (Predicate::All, other) => other,
            (this, Predicate::All) => this,
            (Predicate::And(mut list), other) => {
                list.push(other);
                Predicate::And(list)
            }
            (this, other) => Predicate::And(vec![this, other]),
        }
    }

    /// The trace outside which no row matches, where the predicate is one of a trace.
    pub fn trace(&self) -> Option<&TraceId> {
        match self {
            Predicate::Trace(trace) => Some(trace),
            Predicate::And(list) => list.iter().find_map(Predicate::trace),
            _ => None,
        }
    }

    /// The columns that tell whether a row matches.
    pub fn columns(&self) -> BTreeSet<&'static str> {
        let mut columns = BTreeSet::new();
        self.add_columns(&mut columns);
        columns
    }

    fn add_columns(&self, columns: &mut BTreeSet<&'static str>) {
        match self {
            Predicate::All => {}
            Predicate::And(list) | Predicate::Or(list) => list.iter().for_each(|part| part.add_columns(columns)),
            Predicate::Not(inner) => inner.add_columns(columns),
            Predicate::Trace(_) => drop(columns.insert(name::TRACE_ID)),
            Predicate::Span(_) => drop(columns.insert(name::SPAN_ID)),
            Predicate::Compare { field, .. } | Predicate::Contains { field, .. } | Predicate::Exists(field) => {
                columns.extend(field.columns());
            }
        }
    }
}
