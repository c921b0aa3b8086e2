//! What does a query's range settle? `start()`, `end()`, `step()`, `range()`, computed durations, `@ start()`; and which
//! parts have one value for all steps.

use super::ast::{At, Call, Chain, Expr, Kind, Lasting, Length, Link, Number, Operator, Shift, VectorSelector};
use super::duration::of_seconds;
use super::fault::{Fault, Result};
use crate::series::Grid;

/// Functions whose value changes with the time of evaluation though their arguments do not.
pub(super) const UNSAFE_AT: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
];

/// When a query is evaluated. `step` is 0 for one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

impl Frame {
    pub(crate) fn grid(self) -> Grid {
        if self.step == 0 { Grid::instant(self.start) } else { Grid::range(self.start, self.end, self.step) }
    }

    fn step_seconds(self) -> f64 {
        self.step as f64 / 1000.0
    }

    fn range_seconds(self) -> f64 {
        self.end.saturating_sub(self.start) as f64 / 1000.0
    }
}

/// The expression with all that settled.
pub(crate) fn prepare(mut expr: Expr, frame: Frame) -> Result<Expr> {
    fold(&mut expr, frame);
    skip_buckets(&mut expr, false);
    let found = settle(&mut expr, frame)?;
    if found.wrap {
        wrap(&mut expr);
    }
    Ok(expr)
}

/// Calls that are constants in a query become numbers.
fn fold(expr: &mut Expr, frame: Frame) {
    if let Expr::Call(call) = expr {
        let value = match call.function.name {
            "start" => Some(frame.start as f64 / 1000.0),
            "end" => Some(frame.end as f64 / 1000.0),
            "range" => Some(frame.range_seconds()),
            "step" => Some(if frame.start == frame.end { 0.0 } else { frame.step_seconds() }),
            _ => None,
        };
        if let Some(value) = value {
            *expr = Expr::Number(Number { value, is_duration: false, span: call.span });
            return;
        }
    }
    for child in children_mut(expr) {
        fold(child, frame);
    }
}

/// Where only counts and sums of histograms are asked for, their buckets need not be carried along.
fn skip_buckets(expr: &mut Expr, counts_only: bool) {
    let counts_only = match expr {
        Expr::Vector(selector) => {
            selector.skips_buckets = counts_only;
            return;
        }
        Expr::Range(range) => {
            range.selector.skips_buckets = counts_only;
            return;
        }
        Expr::Call(call) => match call.function.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => true,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => return,
            _ => counts_only,
        },
        // Resets between the steps of a subquery show in the buckets alone.
        Expr::Subquery(_) => return,
        // Trimming looks at the buckets of all that stands before it.
        Expr::Chain(chain) => {
            let trims = |op| matches!(op, Operator::TrimLower | Operator::TrimUpper);
            let whole = chain.links.iter().rposition(|link| trims(link.op)).map_or(0, |place| place + 2);
            chain.operands_mut().skip(whole).for_each(|operand| skip_buckets(operand, counts_only));
            return;
        }
        _ => counts_only,
    };
    for child in children_mut(expr) {
        skip_buckets(child, counts_only);
    }
}

fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Number(_) | Expr::Text(_) | Expr::Vector(_) | Expr::Range(_) => Vec::new(),
        Expr::Subquery(subquery) => vec![&mut subquery.expr],
        Expr::Call(call) => call.args.iter_mut().collect(),
        Expr::Aggregate(aggregate) => aggregate.param.iter_mut().chain([&mut aggregate.expr]).collect(),
        Expr::Chain(chain) => chain.operands_mut().collect(),
        Expr::Unary(unary) => vec![&mut unary.expr],
        Expr::Paren(paren) => vec![&mut paren.expr],
        Expr::Invariant(expr) => vec![expr],
    }
}

/// What was found out about a part.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// It has one value for all steps.
    is_invariant: bool,
    /// It is worth the while to say so.
    wrap: bool,
}

impl Found {
    fn both(is_invariant: bool) -> Self {
        Found { is_invariant, wrap: is_invariant }
    }
}

fn wrap(expr: &mut Expr) {
    let inner = std::mem::replace(expr, placeholder());
    *expr = Expr::Invariant(Box::new(inner));
}

fn placeholder() -> Expr {
    Expr::Number(Number { value: 0.0, is_duration: false, span: super::ast::Span::default() })
}

fn without_parens(expr: &mut Expr) {
    while let Expr::Paren(paren) = expr {
        let inner = std::mem::replace(&mut paren.expr, placeholder());
        *expr = inner;
    }
}

fn settle(expr: &mut Expr, frame: Frame) -> Result<Found> {
    match expr {
        Expr::Number(_) | Expr::Text(_) => Ok(Found { is_invariant: true, wrap: false }),
        Expr::Vector(selector) => Ok(Found::both(settle_selector(selector, frame)?)),
        Expr::Range(range) => {
            settle_length(&mut range.range, frame)?;
            Ok(Found { is_invariant: settle_selector(&mut range.selector, frame)?, wrap: false })
        }
        Expr::Subquery(subquery) => {
            settle_length(&mut subquery.range, frame)?;
            if let Some(step) = &mut subquery.step {
                settle_length(step, frame)?;
            }
            if settle(&mut subquery.expr, frame)?.is_invariant {
                wrap(&mut subquery.expr);
            }
            settle_shift(&mut subquery.shift, frame)?;
            Ok(Found { is_invariant: subquery.shift.at.is_some(), wrap: false })
        }
        Expr::Paren(paren) => settle(&mut paren.expr, frame),
        Expr::Unary(unary) => settle(&mut unary.expr, frame),
        Expr::Aggregate(aggregate) => {
            without_parens(&mut aggregate.expr);
            let mut param_is_invariant = true;
            if let Some(param) = &mut aggregate.param {
                without_parens(param);
                param_is_invariant = settle(param, frame)?.is_invariant;
            }
            let found = settle(&mut aggregate.expr, frame)?;
            if found.wrap && !param_is_invariant {
                wrap(&mut aggregate.expr);
            }
            Ok(if param_is_invariant { found } else { Found::both(false) })
        }
        Expr::Chain(chain) => settle_chain(chain, frame),
        Expr::Call(call) => settle_call(call, frame),
        Expr::Invariant(_) => Ok(Found::both(true)),
    }
}

fn settle_chain(chain: &mut Chain, frame: Frame) -> Result<Found> {
    let mut left = settle(&mut chain.first, frame)?;
    // How many links have one value for all steps with all that stands before them.
    let mut settled = None;
    for (place, link) in chain.links.iter_mut().enumerate() {
        let right = settle(&mut link.right, frame)?;
        if left.is_invariant && right.is_invariant {
            left = Found::both(true);
            continue;
        }
        if left.wrap {
            settled = Some(place);
        }
        if right.wrap {
            wrap(&mut link.right);
        }
        left = Found::both(false);
    }
    if let Some(count) = settled {
        let first = std::mem::replace(&mut chain.first, placeholder());
        let links: Vec<Link> = chain.links.drain(..count).collect();
        let inner = if links.is_empty() { first } else { Expr::Chain(Box::new(Chain { first, links })) };
        chain.first = Expr::Invariant(Box::new(inner));
    }
    Ok(left)
}

fn settle_call(call: &mut Call, frame: Frame) -> Result<Found> {
    let mut all_invariant = true;
    let mut wraps = Vec::with_capacity(call.args.len());
    for arg in &mut call.args {
        without_parens(arg);
        let found = settle(arg, frame)?;
        all_invariant &= found.is_invariant;
        wraps.push(found.wrap);
    }
    let is_safe = !UNSAFE_AT.contains(&call.function.name);
    // The times of samples do not change where the samples do not.
    let are_times_of_samples = call.function.name == "timestamp" && matches!(call.args.first(), Some(Expr::Vector(_)));
    if all_invariant && (is_safe || are_times_of_samples) {
        return Ok(Found::both(true));
    }
    for (arg, wanted) in call.args.iter_mut().zip(wraps) {
        let is_labels = call.function.name == "info" && arg.kind() == Kind::Instant && matches!(arg, Expr::Vector(_));
        if wanted && !is_labels {
            wrap(arg);
        }
    }
    Ok(Found::both(false))
}

fn settle_selector(selector: &mut VectorSelector, frame: Frame) -> Result<bool> {
    settle_shift(&mut selector.shift, frame)?;
    Ok(selector.shift.at.is_some())
}

fn settle_shift(shift: &mut Shift, frame: Frame) -> Result<()> {
    match shift.at {
        Some(At::Start) => shift.at = Some(At::Time(frame.start)),
        Some(At::End) => shift.at = Some(At::Time(frame.end)),
        _ => {}
    }
    if let Some(Lasting::Computed(length)) = &shift.offset {
        shift.offset = Some(Lasting::Known(computed(length, frame)?));
    }
    Ok(())
}

/// A length that must be above 0.
fn settle_length(length: &mut Lasting, frame: Frame) -> Result<()> {
    if let Lasting::Computed(computation) = length {
        let milliseconds = computed(computation, frame)?;
        if milliseconds <= 0 {
            return refused(computation, "duration must be greater than 0");
        }
        *length = Lasting::Known(milliseconds);
    }
    Ok(())
}

fn refused<T>(length: &Length, what: &str) -> Result<T> {
    let span = length.span();
    Fault::evaluation(format!("{}:{}: {what}", span.start, span.end))
}

fn computed(length: &Length, frame: Frame) -> Result<i64> {
    let seconds = seconds(length, frame)?;
    if !seconds.is_finite() {
        return refused(length, "duration is NaN or infinite");
    }
    match of_seconds(seconds) {
        Some(milliseconds) => Ok(milliseconds),
        None => refused(length, "duration is out of range"),
    }
}

fn seconds(length: &Length, frame: Frame) -> Result<f64> {
    Ok(match length {
        Length::Number(number) => number.value,
        Length::Step(_) => frame.step_seconds(),
        Length::Range(_) => frame.range_seconds(),
        Length::Min(sides, _) => smaller(seconds(&sides.0, frame)?, seconds(&sides.1, frame)?),
        Length::Max(sides, _) => -smaller(-seconds(&sides.0, frame)?, -seconds(&sides.1, frame)?),
        Length::Negative(inner, _) => -seconds(inner, frame)?,
        Length::Paren(inner, _) => seconds(inner, frame)?,
        Length::Binary(op, sides) => {
            let (left, right) = (seconds(&sides.0, frame)?, seconds(&sides.1, frame)?);
            match op {
                super::ast::Arithmetic::Div if right == 0.0 => return refused(length, "division by zero"),
                super::ast::Arithmetic::Mod if right == 0.0 => return refused(length, "modulo by zero"),
                op => op.apply(left, right),
            }
        }
    })
}

/// The smaller of two numbers; not a number if one is none, but nothing is smaller than -Inf, as Go's `math.Min` has it.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    let is_settled = a == f64::NEG_INFINITY || b == f64::NEG_INFINITY;
    if !is_settled && (a.is_nan() || b.is_nan()) { f64::NAN } else { a.min(b) }
}
