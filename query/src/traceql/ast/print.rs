//! What is the canonical text of a query?
//!
//! D1  Read again it gives the same tree. Operands of binary operators stand in parentheses where they are no single
//!     words, so that nobody needs to know precedences to read it.

use super::{
    Aggregate, Arithmetic, Compare, Comparison, Field, Function, KINDS, Logic, Measure, Metrics, Mode, Name, Pipeline,
    Query, Relation, Root, STATUSES, Scalar, ScalarFilter, Scope, Second, SpansetOp, Spansets, Stage, Static, Unary,
    What,
};
use std::fmt::{self, Display, Formatter, Write};

/// Beyond it doubles are printed with an exponent, as integers of so many digits are none of the language's.
const PLAIN_FLOATS: f64 = 1e15;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Spans(pipeline) => write!(f, "{pipeline}")?,
            Root::Metrics(metrics) => write!(f, "{metrics}")?,
        }
        if self.hints.is_empty() {
            return Ok(());
        }
        let hints = self.hints.iter().map(|(name, value)| format!("{name}={value}"));
        write!(f, " with({})", hints.collect::<Vec<_>>().join(", "))
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, &self.0, " | ")
    }
}

fn separated<T: Display>(f: &mut Formatter<'_>, parts: &[T], between: &str) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Spansets(spansets) => write!(f, "{spansets}"),
            Stage::Scalar(filter) => write!(f, "{filter}"),
            Stage::By(field) => write!(f, "by({field})"),
            Stage::Coalesce => f.write_str("coalesce()"),
            Stage::Select(names) => {
                f.write_str("select(")?;
                separated(f, names, ", ")?;
                f.write_char(')')
            }
        }
    }
}

impl Display for Spansets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Spansets::Filter(None) => f.write_str("{ }"),
            Spansets::Filter(Some(field)) => write!(f, "{{ {field} }}"),
            Spansets::Pipeline(pipeline) => write!(f, "({pipeline})"),
            Spansets::Binary { op, left, right } => write!(f, "({left}) {op} ({right})"),
        }
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (relation, mode) = match self {
            SpansetOp::And => return f.write_str("&&"),
            SpansetOp::Or => return f.write_str("||"),
            SpansetOp::Structural { relation, mode } => (relation, mode),
        };
        f.write_str(match mode {
            Mode::Right => "",
            Mode::Negated => "!",
            Mode::Union => "&",
        })?;
        f.write_str(match relation {
            Relation::Child => ">",
            Relation::Parent => "<",
            Relation::Descendant => ">>",
            Relation::Ancestor => "<<",
            Relation::Sibling => "~",
        })
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op, self.right)
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // A minus binds weaker than `^`.
            Scalar::Number(number) if number.is_negative() => write!(f, "({number})"),
            Scalar::Number(number) => write!(f, "{number}"),
            Scalar::Aggregate { op, field: None, .. } => write!(f, "{op}()"),
            Scalar::Aggregate { op, field: Some(field), .. } => write!(f, "{op}({field})"),
            Scalar::Binary { op, left, right } => write!(f, "({left} {op} {right})"),
            Scalar::Piped { pipeline, scalar } => write!(f, "({pipeline} | {scalar})"),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aggregate::Count => "count",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
        })
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Field::Static(value, _) => write!(f, "{value}"),
            Field::Name(name) => write!(f, "{name}"),
            Field::Unary { op, inner, .. } => {
                f.write_char(match op {
                    Unary::Not => '!',
                    Unary::Negate => '-',
                })?;
                // A minus before a number would be part of it.
                match **inner {
                    Field::Name(_) => write!(f, "{inner}"),
                    _ => write!(f, "({inner})"),
                }
            }
            Field::Arithmetic { op, left, right, .. } => infix(f, left, op, right),
            Field::Compare { op, left, right, .. } => {
                compared(f, left)?;
                write!(f, " {op} ")?;
                compared(f, right)
            }
            Field::Logic { op, parts } => {
                let sign = match op {
                    Logic::And => " && ",
                    Logic::Or => " || ",
                };
                for (place, part) in parts.iter().enumerate() {
                    f.write_str(if place > 0 { sign } else { "" })?;
                    operand(f, part)?;
                }
                Ok(())
            }
        }
    }
}

fn infix(f: &mut Formatter<'_>, left: &Field, op: &dyn Display, right: &Field) -> fmt::Result {
    operand(f, left)?;
    write!(f, " {op} ")?;
    operand(f, right)
}

/// A side of a comparison, before which a minus binds strong enough.
fn compared(f: &mut Formatter<'_>, field: &Field) -> fmt::Result {
    match field {
        Field::Static(value, _) => write!(f, "{value}"),
        _ => operand(f, field),
    }
}

fn operand(f: &mut Formatter<'_>, field: &Field) -> fmt::Result {
    match field {
        Field::Static(value, _) if !value.is_negative() => write!(f, "{field}"),
        Field::Name(_) => write!(f, "{field}"),
        _ => write!(f, "({field})"),
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.parent {
            f.write_str("parent.")?;
        }
        match &self.what {
            What::Intrinsic(intrinsic) => f.write_str(intrinsic.name()),
            What::Attribute(scope, key) => {
                let scope = match scope {
                    Scope::Any if self.parent => "",
                    Scope::Any => ".",
                    Scope::Span => "span.",
                    Scope::Resource => "resource.",
                    Scope::Event => "event.",
                    Scope::Link => "link.",
                    Scope::Instrumentation => "instrumentation.",
                };
                f.write_str(scope)?;
                let ends = |letter: char| letter.is_whitespace() || "{}()=~!<>&|^,\"".contains(letter);
                // What follows `parent.` is read as an intrinsic or a scope where it could be one, and `.5` is a number.
                let ambiguous = scope.is_empty() || key.starts_with(|first: char| first.is_ascii_digit());
                if key.chars().any(ends) || key.is_empty() || ambiguous {
                    return write!(f, "\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
                }
                f.write_str(key)
            }
        }
    }
}

impl Display for Arithmetic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Modulo => "%",
            Arithmetic::Power => "^",
        })
    }
}

impl Display for Compare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compare::Equal => "=",
            Compare::NotEqual => "!=",
            Compare::Less => "<",
            Compare::LessOrEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterOrEqual => ">=",
            Compare::Matches => "=~",
            Compare::MatchesNot => "!~",
        })
    }
}

impl Static {
    fn is_negative(&self) -> bool {
        match self {
            Static::Int(value) | Static::Duration(value) => *value < 0,
            Static::Float(value) => value.is_sign_negative(),
            _ => false,
        }
    }
}

impl Display for Static {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Static::Nil => f.write_str("nil"),
            Static::Bool(value) => write!(f, "{value}"),
            Static::Int(i64::MIN) => f.write_str("minInt"),
            Static::Int(value) => write!(f, "{value}"),
            // With a point, so that it stays a double.
            Static::Float(value) => write!(f, "{value:?}"),
            Static::Text(text) => quoted(f, text),
            Static::Duration(nanos) => duration(f, *nanos),
            Static::Status(code) => f.write_str(name_of(&STATUSES, *code)),
            Static::Kind(kind) => f.write_str(name_of(&KINDS, *kind)),
        }
    }
}

/// The name of a number of OTLP's.
pub(super) fn name_of<'a>(names: &[&'a str], number: i32) -> &'a str {
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or("unknown")
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

fn duration(f: &mut Formatter<'_>, nanos: i64) -> fmt::Result {
    const UNITS: [(i64, &str); 5] =
        [(3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    match UNITS.into_iter().find(|(scale, _)| nanos != 0 && nanos % scale == 0) {
        Some((scale, unit)) => write!(f, "{}{unit}", nanos / scale),
        None => write!(f, "{nanos}ns"),
    }
}

impl Display for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Metrics::Number(number) => plain(f, *number),
            Metrics::Spans { pipeline, function, .. } => write!(f, "{pipeline} | {function}"),
            Metrics::Binary { op, left, right, .. } => {
                metrics_operand(f, left)?;
                write!(f, " {op} ")?;
                metrics_operand(f, right)
            }
            Metrics::Then { inner, second, .. } => {
                metrics_operand(f, inner)?;
                match second {
                    Second::Top(count) => write!(f, " | topk({count})"),
                    Second::Bottom(count) => write!(f, " | bottomk({count})"),
                    Second::Filter(op, value) => write!(f, " {op} {value}"),
                }
            }
        }
    }
}

fn metrics_operand(f: &mut Formatter<'_>, metrics: &Metrics) -> fmt::Result {
    match metrics {
        Metrics::Number(number) => plain(f, *number),
        _ => write!(f, "({metrics})"),
    }
}

fn plain(f: &mut Formatter<'_>, number: f64) -> fmt::Result {
    if number.abs() < PLAIN_FLOATS { write!(f, "{number}") } else { write!(f, "{number:e}") }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Function::Over { measure, by } => {
                write!(f, "{measure}")?;
                if by.is_empty() {
                    return Ok(());
                }
                f.write_str(" by(")?;
                separated(f, by, ", ")?;
                f.write_char(')')
            }
            Function::Compare(Comparison { selection, top, range }) => {
                write!(f, "compare({}", Spansets::Filter(selection.clone()))?;
                if let Some(top) = top {
                    write!(f, ", {top}")?;
                }
                if let Some((start, end)) = range {
                    write!(f, ", {start}, {end}")?;
                }
                f.write_char(')')
            }
        }
    }
}

impl Display for Measure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Measure::Rate => f.write_str("rate()"),
            Measure::Count => f.write_str("count_over_time()"),
            Measure::Min(name) => write!(f, "min_over_time({name})"),
            Measure::Max(name) => write!(f, "max_over_time({name})"),
            Measure::Avg(name) => write!(f, "avg_over_time({name})"),
            Measure::Sum(name) => write!(f, "sum_over_time({name})"),
            Measure::Histogram(name) => write!(f, "histogram_over_time({name})"),
            Measure::Quantile(name, quantiles) => {
                write!(f, "quantile_over_time({name}, ")?;
                separated(f, quantiles, ", ")?;
                f.write_char(')')
            }
        }
    }
}
