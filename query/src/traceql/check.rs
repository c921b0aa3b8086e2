//! Does a query make sense? Types, arity, limits.
//!
//! T1  What passes can be evaluated: expressions of filters are boolean, those of aggregates numbers of the span.
//! T2  An attribute may be of any type; what it turns out to be is seen span by span.
//!
//! Not here: grammar (`parser`).

use super::ast::{
    Arithmetic, Compare, Comparison, Field, Function, Intrinsic, Measure, Metrics, Name, Pipeline, Query, Root, Scalar,
    Scope, Second, Spansets, Stage, Static, Unary, What,
};
use super::pattern::Pattern;
use super::problem::Problem;

/// Quantiles of one query: each is a line in a chart.
const MOST_QUANTILES: usize = 100;
/// Attributes that series are told apart by.
const MOST_GROUPS: usize = 32;
/// Values that `compare` tells of each attribute.
const MOST_COMPARED: i64 = 1000;

type Checked<T = ()> = Result<T, (usize, String)>;

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Any,
    Nil,
    Bool,
    /// Integers, doubles and durations compare with each other.
    Number,
    Text,
    Status,
    Kind,
}

impl Type {
    fn describe(self) -> &'static str {
        match self {
            Type::Any => "an attribute",
            Type::Nil => "nil",
            Type::Bool => "a boolean",
            Type::Number => "a number",
            Type::Text => "a text",
            Type::Status => "a status",
            Type::Kind => "a kind",
        }
    }

    fn may_be(self, wanted: Type) -> bool {
        self == wanted || self == Type::Any
    }
}

/// Complains about the first thing that makes no sense.
pub(crate) fn check(text: &str, query: &Query) -> Result<(), Problem> {
    let checked = match &query.root {
        Root::Spans(stages) => pipeline(stages),
        Root::Metrics(series) => metrics(series),
    };
    checked.map_err(|(at, message)| Problem::at(text, at, message).of_meaning())
}

fn pipeline(pipeline: &Pipeline) -> Checked {
    pipeline.0.iter().try_for_each(|stage| match stage {
        Stage::Spansets(list) => spansets(list),
        Stage::Scalar(filter) => scalar(&filter.left).and_then(|()| scalar(&filter.right)),
        Stage::By(field) => {
            type_of(field)?;
            of_the_span(field, "`by` groups by something of the span, such as `by(resource.service.name)`")
        }
        Stage::Coalesce | Stage::Select(_) => Ok(()),
    })
}

fn spansets(list: &Spansets) -> Checked {
    match list {
        Spansets::Filter(field) => filter(field.as_ref()),
        Spansets::Pipeline(inner) => pipeline(inner),
        Spansets::Binary { left, right, .. } => spansets(left).and_then(|()| spansets(right)),
    }
}

fn filter(field: Option<&Field>) -> Checked {
    let Some(field) = field else { return Ok(()) };
    let found = type_of(field)?;
    if found.may_be(Type::Bool) {
        return Ok(());
    }
    Err((place(field), format!("a filter is true or false; this is {}", found.describe())))
}

fn scalar(number: &Scalar) -> Checked {
    match number {
        Scalar::Number(_) => Ok(()),
        Scalar::Aggregate { field: None, .. } => Ok(()),
        Scalar::Aggregate { field: Some(field), op, .. } => {
            let found = type_of(field)?;
            if !found.may_be(Type::Number) {
                return Err((place(field), format!("`{op}` is of numbers; this is {}", found.describe())));
            }
            of_the_span(field, "an aggregate is of something of the spans, such as `max(duration)`")
        }
        Scalar::Binary { left, right, .. } => scalar(left).and_then(|()| scalar(right)),
        Scalar::Piped { pipeline: stages, scalar: inner } => pipeline(stages).and_then(|()| scalar(inner)),
    }
}

fn of_the_span(field: &Field, expected: &str) -> Checked {
    if names_span(field) { Ok(()) } else { Err((place(field), expected.to_owned())) }
}

fn names_span(field: &Field) -> bool {
    match field {
        Field::Static(..) => false,
        Field::Name(_) => true,
        Field::Unary { inner, .. } => names_span(inner),
        Field::Arithmetic { left, right, .. } | Field::Compare { left, right, .. } => {
            names_span(left) || names_span(right)
        }
        Field::Logic { parts, .. } => parts.iter().any(names_span),
    }
}

/// Where an expression begins, about.
fn place(field: &Field) -> usize {
    match field {
        Field::Static(_, at) | Field::Name(Name { at, .. }) | Field::Unary { at, .. } => at.0,
        Field::Arithmetic { left, .. } | Field::Compare { left, .. } => place(left),
        Field::Logic { parts, .. } => parts.first().map_or(0, place),
    }
}

fn type_of(field: &Field) -> Checked<Type> {
    match field {
        Field::Static(value, _) => Ok(match value {
            Static::Nil => Type::Nil,
            Static::Bool(_) => Type::Bool,
            Static::Int(_) | Static::Float(_) | Static::Duration(_) => Type::Number,
            Static::Text(_) => Type::Text,
            Static::Status(_) => Type::Status,
            Static::Kind(_) => Type::Kind,
        }),
        Field::Name(name) => Ok(type_of_name(name)),
        Field::Unary { op, inner, at } => {
            let (found, wanted) = (type_of(inner)?, if *op == Unary::Not { Type::Bool } else { Type::Number });
            if found.may_be(wanted) {
                return Ok(wanted);
            }
            let sign = if *op == Unary::Not { "!" } else { "-" };
            Err((at.0, format!("`{sign}` stands before {}; this is {}", wanted.describe(), found.describe())))
        }
        Field::Arithmetic { op, left, right, at } => {
            for side in [left, right] {
                let found = type_of(side)?;
                if !found.may_be(Type::Number) {
                    return Err((place(side), format!("`{op}` is of numbers; this is {}", found.describe())));
                }
            }
            let zero = |field: &Field| {
                matches!(field, Field::Static(Static::Int(0), _) | Field::Static(Static::Duration(0), _))
            };
            if matches!(op, Arithmetic::Divide | Arithmetic::Modulo) && zero(right) {
                return Err((at.0, "division by zero".to_owned()));
            }
            Ok(Type::Number)
        }
        Field::Compare { op, left, right, at } => {
            compare(*op, left, right).map_err(|(place, message)| (place.unwrap_or(at.0), message))
        }
        Field::Logic { parts, op } => {
            for part in parts {
                let found = type_of(part)?;
                if !found.may_be(Type::Bool) {
                    let sign = if *op == super::ast::Logic::And { "&&" } else { "||" };
                    return Err((
                        place(part),
                        format!("`{sign}` joins what is true or false; this is {}", found.describe()),
                    ));
                }
            }
            Ok(Type::Bool)
        }
    }
}

/// The type of a comparison; a complaint may have a place of its own.
fn compare(op: Compare, left: &Field, right: &Field) -> Result<Type, (Option<usize>, String)> {
    let of = |side| type_of(side).map_err(|(at, message)| (Some(at), message));
    let (first, second) = (of(left)?, of(right)?);
    let complain = |message: String| Err((None, message));
    match op {
        Compare::Matches | Compare::MatchesNot => {
            if !first.may_be(Type::Text) {
                return complain(format!("`{op}` is of texts; left of it is {}", first.describe()));
            }
            let Field::Static(Static::Text(pattern), at) = right else {
                return complain(format!("right of `{op}` stands a regular expression in quotes"));
            };
            Pattern::new(pattern).map_err(|message| (Some(at.0), message))?;
        }
        Compare::Equal | Compare::NotEqual if first == Type::Nil || second == Type::Nil => {
            let never_nil = |field: &Field| matches!(field, Field::Name(name) if is_never_nil(name));
            if op == Compare::Equal && (never_nil(left) || never_nil(right)) {
                return complain("every span has it: it is never nil".to_owned());
            }
        }
        Compare::Equal | Compare::NotEqual => {
            if first != second && first != Type::Any && second != Type::Any {
                return complain(format!("{} never equals {}", first.describe(), second.describe()));
            }
        }
        Compare::Less | Compare::LessOrEqual | Compare::Greater | Compare::GreaterOrEqual => {
            let ordered =
                [Type::Number, Type::Text].into_iter().any(|wanted| first.may_be(wanted) && second.may_be(wanted));
            if !ordered {
                return complain(format!("`{op}` does not compare {} with {}", first.describe(), second.describe()));
            }
        }
    }
    Ok(Type::Bool)
}

fn is_never_nil(name: &Name) -> bool {
    match &name.what {
        // What the parent has may be missing with it; so may be what only some spans have.
        _ if name.parent => false,
        What::Attribute(scope, key) => *scope == Scope::Resource && key == "service.name",
        What::Intrinsic(intrinsic) => !matches!(
            intrinsic,
            Intrinsic::Parent
                | Intrinsic::EventName
                | Intrinsic::EventTimeSinceStart
                | Intrinsic::LinkTraceId
                | Intrinsic::LinkSpanId
        ),
    }
}

fn type_of_name(name: &Name) -> Type {
    let What::Intrinsic(intrinsic) = &name.what else { return Type::Any };
    match intrinsic {
        Intrinsic::Parent => Type::Any,
        Intrinsic::Duration
        | Intrinsic::TraceDuration
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent
        | Intrinsic::ChildCount
        | Intrinsic::EventTimeSinceStart => Type::Number,
        Intrinsic::Status => Type::Status,
        Intrinsic::Kind => Type::Kind,
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::RootName
        | Intrinsic::RootServiceName
        | Intrinsic::TraceId
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::EventName
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId
        | Intrinsic::InstrumentationName
        | Intrinsic::InstrumentationVersion => Type::Text,
    }
}

fn metrics(series: &Metrics) -> Checked {
    match series {
        Metrics::Number(_) => Ok(()),
        Metrics::Spans { pipeline: stages, function: what, at } => {
            pipeline(stages)?;
            function(what).map_err(|message| (at.0, message))
        }
        Metrics::Binary { left, right, at, .. } => {
            if compares(left) || compares(right) {
                return Err((at.0, "the series of `compare` are not calculated with".to_owned()));
            }
            metrics(left).and_then(|()| metrics(right))
        }
        Metrics::Then { inner, second, at } => {
            if compares(inner) {
                return Err((at.0, "nothing stands behind `compare`".to_owned()));
            }
            if let Second::Top(count) | Second::Bottom(count) = second
                && *count < 1
            {
                return Err((at.0, "at least one series is kept".to_owned()));
            }
            if let Second::Filter(Compare::Matches | Compare::MatchesNot, _) = second {
                return Err((at.0, "series are compared with numbers".to_owned()));
            }
            metrics(inner)
        }
    }
}

/// Whether `compare` is within.
fn compares(series: &Metrics) -> bool {
    match series {
        Metrics::Number(_) => false,
        Metrics::Spans { function, .. } => matches!(function, Function::Compare(_)),
        Metrics::Binary { left, right, .. } => compares(left) || compares(right),
        Metrics::Then { inner, .. } => compares(inner),
    }
}

fn function(function: &Function) -> Result<(), String> {
    let (measure, by) = match function {
        Function::Over { measure, by } => (measure, by),
        Function::Compare(Comparison { selection, top, range }) => {
            filter(selection.as_ref()).map_err(|(_, message)| message)?;
            if top.is_some_and(|top| !(1..=MOST_COMPARED).contains(&top)) {
                return Err(format!("`compare` tells 1 to {MOST_COMPARED} values of each attribute"));
            }
            if range.is_some_and(|(start, end)| start >= end) {
                return Err("the selection ends before it begins".to_owned());
            }
            return Ok(());
        }
    };
    if by.len() > MOST_GROUPS {
        return Err(format!("series are told apart by at most {MOST_GROUPS} attributes"));
    }
    match measure {
        Measure::Rate | Measure::Count => Ok(()),
        Measure::Min(name)
        | Measure::Max(name)
        | Measure::Avg(name)
        | Measure::Sum(name)
        | Measure::Histogram(name) => number(name),
        Measure::Quantile(name, quantiles) => {
            if quantiles.len() > MOST_QUANTILES {
                return Err(format!("at most {MOST_QUANTILES} quantiles are told"));
            }
            if !quantiles.iter().all(|quantile| (0.0..=1.0).contains(quantile)) {
                return Err("a quantile lies between 0 and 1".to_owned());
            }
            number(name)
        }
    }
}

fn number(name: &Name) -> Result<(), String> {
    let found = type_of_name(name);
    if found.may_be(Type::Number) { Ok(()) } else { Err(format!("`{name}` is {}, no number", found.describe())) }
}
