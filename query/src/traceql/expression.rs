//! What does an expression say of a span?
//!
//! E1  A filter holds where its expression is true: nil, and every value that is no boolean, holds not.
//! E2  `x = nil` and `x != nil` ask whether the span has it. `!x` of what the span does not have is nil, so holds not either.
//! E3  Whether a span names a parent is known without its trace: `nestedSetParent < 0` costs no more than `kind = server`.
//!
//! Not here: spansets (`pipeline`), what an index can be asked for (`lower`).

use super::ast::{Arithmetic, Compare, Field, Intrinsic, Logic, Name, Static, Unary, What};
use super::pattern::Pattern;
use super::span::{Spans, needs_trace};
use super::trace::Tree;
use super::value::{Value, calculate, compares, negated};

/// An expression, ready to be asked span after span.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Static(Static),
    Name(Name),
    /// Whether the span names no parent.
    IsRoot,
    IsNil(Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Arithmetic {
        op: Arithmetic,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Compare {
        op: Compare,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Matches {
        inner: Box<Expression>,
        pattern: Pattern,
        text: String,
        negated: bool,
    },
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

/// A span of a batch, and its place in its trace where that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) spans: &'a Spans<'a>,
    pub(super) row: usize,
    pub(super) place: Option<(&'a Tree<'a>, usize)>,
}

impl<'a> Spot<'a> {
    /// What the span has under a name.
    pub(super) fn value(self, name: &Name) -> Value<'a> {
        if !needs_trace(name) {
            return self.spans.value(&name.what, self.row);
        }
        self.place.map_or(Value::Nil, |(tree, place)| tree.value(place, name))
    }
}

impl Expression {
    /// Makes a checked field ready.
    pub(super) fn new(field: &Field) -> Result<Self, String> {
        let boxed = |field: &Field| Expression::new(field).map(Box::new);
        Ok(match field {
            Field::Static(value, _) => Expression::Static(value.clone()),
            Field::Name(name) => Expression::Name(name.clone()),
            Field::Unary { op: Unary::Not, inner, .. } => Expression::Not(boxed(inner)?),
            Field::Unary { op: Unary::Negate, inner, .. } => Expression::Negate(boxed(inner)?),
            Field::Arithmetic { op, left, right, .. } => {
                Expression::Arithmetic { op: *op, left: boxed(left)?, right: boxed(right)? }
            }
            Field::Compare { op, left, right, .. } => Expression::comparison(*op, left, right)?,
            Field::Logic { op, parts } => {
                let parts = parts.iter().map(Expression::new).collect::<Result<_, _>>()?;
                match op {
                    Logic::And => Expression::And(parts),
                    Logic::Or => Expression::Or(parts),
                }
            }
        })
    }

    fn comparison(op: Compare, left: &Field, right: &Field) -> Result<Self, String> {
        let nil = |field: &Field| matches!(field, Field::Static(Static::Nil, _));
        if let (Compare::Equal | Compare::NotEqual, true) = (op, nil(left) || nil(right)) {
            let inner = Box::new(Expression::IsNil(Box::new(Expression::new(if nil(left) { right } else { left })?)));
            return Ok(if op == Compare::Equal { *inner } else { Expression::Not(inner) });
        }
        if let (Compare::Matches | Compare::MatchesNot, Field::Static(Static::Text(text), _)) = (op, right) {
            let inner = Box::new(Expression::new(left)?);
            let (pattern, negated) = (Pattern::new(text)?, op == Compare::MatchesNot);
            return Ok(Expression::Matches { inner, pattern, text: text.clone(), negated });
        }
        if let Some(root) = root_test(op, left, right) {
            return Ok(if root { Expression::IsRoot } else { Expression::Not(Box::new(Expression::IsRoot)) });
        }
        Ok(Expression::Compare { op, left: Box::new(Expression::new(left)?), right: Box::new(Expression::new(right)?) })
    }

    /// Whether it holds for a span (E1).
    pub(super) fn holds(&self, spot: Spot<'_>) -> bool {
        match self {
            Expression::And(parts) => parts.iter().all(|part| part.holds(spot)),
            Expression::Or(parts) => parts.iter().any(|part| part.holds(spot)),
            Expression::IsRoot => spot.spans.parent(spot.row).is_none(),
            other => other.value(spot).is_true(),
        }
    }

    /// What it gives for a span.
    pub(super) fn value<'a>(&'a self, spot: Spot<'a>) -> Value<'a> {
        match self {
            Expression::Static(value) => Value::of_static(value),
            Expression::Name(name) => spot.value(name),
            Expression::IsRoot | Expression::And(_) | Expression::Or(_) => Value::Bool(self.holds(spot)),
            Expression::IsNil(inner) => Value::Bool(inner.value(spot) == Value::Nil),
            Expression::Not(inner) => match inner.value(spot) {
                Value::Bool(value) => Value::Bool(!value),
                _ => Value::Nil,
            },
            Expression::Negate(inner) => negated(&inner.value(spot)),
            Expression::Arithmetic { op, left, right } => calculate(*op, &left.value(spot), &right.value(spot)),
            Expression::Compare { op, left, right } => {
                Value::Bool(compares(*op, &left.value(spot), &right.value(spot)))
            }
            Expression::Matches { inner, pattern, negated, .. } => {
                Value::Bool(matches(&inner.value(spot), pattern, *negated))
            }
        }
    }

    /// Gives each name in it to `each`.
    pub(super) fn names(&self, each: &mut impl FnMut(&Name)) {
        match self {
            Expression::Static(_) => {}
            Expression::Name(name) => each(name),
            Expression::IsRoot => {
                each(&Name { parent: false, what: What::Intrinsic(Intrinsic::ParentId), at: super::ast::At::default() })
            }
            Expression::IsNil(inner)
            | Expression::Not(inner)
            | Expression::Negate(inner)
            | Expression::Matches { inner, .. } => inner.names(each),
            Expression::Arithmetic { left, right, .. } | Expression::Compare { left, right, .. } => {
                left.names(each);
                right.names(each);
            }
            Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| part.names(each)),
        }
    }
}

/// A list matches by one of its elements, and matches not where it has a text and none matches.
fn matches(value: &Value<'_>, pattern: &Pattern, negated: bool) -> bool {
    match value {
        Value::Text(text) => pattern.is_match(text) != negated,
        Value::List(list) if negated => {
            let mut texts = list.iter().filter(|value| matches!(value, Value::Text(_))).peekable();
            texts.peek().is_some() && texts.all(|value| matches(value, pattern, true))
        }
        Value::List(list) => list.iter().any(|value| matches(value, pattern, false)),
        _ => false,
    }
}

/// Whether a comparison of `nestedSetParent` with a number says that a span names no parent, or that it names one (E3).
fn root_test(op: Compare, left: &Field, right: &Field) -> Option<bool> {
    let is_place = |field: &Field| {
        matches!(field, Field::Name(Name { parent: false, what: What::Intrinsic(Intrinsic::NestedSetParent), .. }))
    };
    let (op, bound) = match (left, right) {
        (name, Field::Static(Static::Int(bound), _)) if is_place(name) => (op, *bound),
        (Field::Static(Static::Int(bound), _), name) if is_place(name) => (turned(op), *bound),
        _ => return None,
    };
    match (op, bound) {
        (Compare::Less, 0) | (Compare::LessOrEqual | Compare::Equal, -1) => Some(true),
        (Compare::GreaterOrEqual, 0) | (Compare::Greater | Compare::NotEqual, -1) => Some(false),
        _ => None,
    }
}

/// The same comparison with its sides exchanged.
pub(super) fn turned(op: Compare) -> Compare {
    match op {
        Compare::Less => Compare::Greater,
        Compare::LessOrEqual => Compare::GreaterOrEqual,
        Compare::Greater => Compare::Less,
        Compare::GreaterOrEqual => Compare::LessOrEqual,
        other => other,
    }
}
