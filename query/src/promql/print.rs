//! How is an expression written? As Prometheus writes it, so that it can be compared and parsed again (P2).

use super::ast::{
    Aggregate, At, Cardinality, Chain, Expr, Extension, Lasting, Length, Link, Matching, Number, Shift, Subquery,
    VectorSelector,
};
use super::duration;
use crate::series::number::{general, plain};
use crate::series::{NAME, is_plain_name, quoted};
use std::fmt::{Display, Formatter, Result, Write};
use storage::metric::Relation;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Expr::Number(number) => number.fmt(f),
            Expr::Text(text) => f.write_str(&quoted(&text.bytes)),
            Expr::Vector(selector) => {
                write_series(selector, f)?;
                write_at(&selector.shift, f)?;
                write_extension(selector.extension, f)?;
                write_offset(&selector.shift, f)
            }
            Expr::Range(range) => {
                write_series(&range.selector, f)?;
                write!(f, "[{}]", range.range)?;
                write_extension(range.selector.extension, f)?;
                write_at(&range.selector.shift, f)?;
                write_offset(&range.selector.shift, f)
            }
            Expr::Subquery(subquery) => {
                subquery.expr.fmt(f)?;
                write_subquery_end(subquery, f)
            }
            Expr::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (place, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if place == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
            Expr::Aggregate(aggregate) => aggregate.fmt(f),
            Expr::Chain(chain) => chain.fmt(f),
            Expr::Unary(unary) => write!(f, "{}{}", if unary.is_negative { "-" } else { "+" }, unary.expr),
            Expr::Paren(paren) => write!(f, "({})", paren.expr),
            Expr::Invariant(expr) => expr.fmt(f),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match duration::of_seconds(self.value) {
            Some(milliseconds) if self.is_duration => f.write_str(&duration::print(milliseconds)),
            _ => f.write_str(&plain(self.value)),
        }
    }
}

impl Display for Lasting {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Lasting::Known(milliseconds) => f.write_str(&duration::print(*milliseconds)),
            Lasting::Computed(length) => length.fmt(f),
        }
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Length::Number(number) => number.fmt(f),
            Length::Step(_) => f.write_str("step()"),
            Length::Range(_) => f.write_str("range()"),
            Length::Min(sides, _) => write!(f, "min_of({}, {})", sides.0, sides.1),
            Length::Max(sides, _) => write!(f, "max_of({}, {})", sides.0, sides.1),
            Length::Negative(length, _) => write!(f, "-{length}"),
            Length::Paren(length, _) => write!(f, "({length})"),
            Length::Binary(op, sides) => write!(f, "{} {} {}", sides.0, op.text(), sides.1),
        }
    }
}

fn write_series(selector: &VectorSelector, f: &mut Formatter<'_>) -> Result {
    f.write_str(&selector.name)?;
    let is_told = |matcher: &&super::regex::Matcher| {
        matcher.label == NAME
            && matcher.relation == Relation::Equal
            && matcher.value == selector.name
            && !matcher.value.is_empty()
    };
    let mut matchers: Vec<String> =
        selector.matchers.iter().filter(|matcher| !is_told(matcher)).map(ToString::to_string).collect();
    if matchers.is_empty() {
        return if selector.name.is_empty() { f.write_str("{}") } else { Ok(()) };
    }
    matchers.sort();
    write!(f, "{{{}}}", matchers.join(","))
}

/// What stands behind the expression of a subquery.
pub(super) fn write_subquery_end(subquery: &Subquery, f: &mut impl Write) -> Result {
    write!(f, "[{}:", subquery.range)?;
    if let Some(step) = &subquery.step {
        write!(f, "{step}")?;
    }
    f.write_str("]")?;
    write_at(&subquery.shift, f)?;
    write_offset(&subquery.shift, f)
}

fn write_at(shift: &Shift, f: &mut impl Write) -> Result {
    match shift.at {
        None => Ok(()),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        Some(At::Time(time)) => {
            let sign = if time < 0 { "-" } else { "" };
            let size = time.unsigned_abs();
            write!(f, " @ {sign}{}.{:03}", size / 1000, size % 1000)
        }
    }
}

fn write_offset(shift: &Shift, f: &mut impl Write) -> Result {
    match &shift.offset {
        None => Ok(()),
        Some(offset) => write!(f, " offset {offset}"),
    }
}

fn write_extension(extension: Option<Extension>, f: &mut Formatter<'_>) -> Result {
    extension.map_or(Ok(()), |extension| write!(f, " {}", extension.name()))
}

/// Names of labels, those that need them between quotes.
pub(crate) fn label_list(labels: &[String]) -> String {
    let shown = labels.iter().map(|label| if is_plain_name(label) { label.clone() } else { quoted(label.as_bytes()) });
    shown.collect::<Vec<_>>().join(", ")
}

/// What stands before the parenthesis of an aggregation.
pub(super) fn write_aggregate_head(aggregate: &Aggregate, f: &mut impl Write) -> Result {
    f.write_str(aggregate.op.name())?;
    if aggregate.without {
        write!(f, " without ({}) ", label_list(&aggregate.grouping))
    } else if !aggregate.grouping.is_empty() {
        write!(f, " by ({}) ", label_list(&aggregate.grouping))
    } else {
        Ok(())
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write_aggregate_head(self, f)?;
        match &self.param {
            Some(param) => write!(f, "({param}, {})", self.expr),
            None => write!(f, "({})", self.expr),
        }
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.first.fmt(f)?;
        self.links.iter().try_for_each(|link| link.fmt(f))
    }
}

/// With a blank before it.
impl Display for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(" ")?;
        write_link_head(self, f)?;
        write!(f, " {}", self.right)
    }
}

/// An operator and how its sides match.
pub(super) fn write_link_head(link: &Link, f: &mut impl Write) -> Result {
    let returns_bool = if link.returns_bool { " bool" } else { "" };
    write!(f, "{}{returns_bool}{}", link.op.text(), link.matching)
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let grouped = match self.cardinality {
            Cardinality::ManyToOne => Some("left"),
            Cardinality::OneToMany => Some("right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || grouped.is_some() {
            write!(f, " {} ({})", if self.on { "on" } else { "ignoring" }, label_list(&self.labels))?;
        }
        if let Some(side) = grouped {
            write!(f, " group_{side} ({})", label_list(&self.include))?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => write!(f, " fill ({})", general(left)),
            (left, right) => {
                if let Some(value) = left {
                    write!(f, " fill_left ({})", general(value))?;
                }
                if let Some(value) = right {
                    write!(f, " fill_right ({})", general(value))?;
                }
                Ok(())
            }
        }
    }
}
