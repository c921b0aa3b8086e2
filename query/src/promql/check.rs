//! Do the types of an expression fit together?

use super::ast::{Call, Cardinality, Chain, Expr, Kind, Link, Span, VectorSelector};
use super::fault::{Fault, Result};
use crate::series::quoted;

/// Refuses what has no meaning; says of set operations that they match many with many.
pub(super) fn check(expr: &mut Expr) -> Result<Kind> {
    match expr {
        Expr::Number(_) | Expr::Text(_) | Expr::Invariant(_) => {}
        Expr::Vector(selector) => selects_something(selector)?,
        Expr::Range(range) => selects_something(&range.selector)?,
        Expr::Paren(paren) => return check(&mut paren.expr),
        Expr::Subquery(subquery) => {
            let kind = check(&mut subquery.expr)?;
            if kind != Kind::Instant {
                let span = Span::new(subquery.expr.span().start, subquery.end);
                let got = kind.result_type();
                return Fault::parse(span, format!("subquery is only allowed on instant vector, got {got} instead"));
            }
        }
        Expr::Unary(unary) => {
            let kind = check(&mut unary.expr)?;
            if kind != Kind::Scalar && kind != Kind::Instant {
                let what = "unary expression only allowed on expressions of type scalar or instant vector, got";
                return Fault::parse(expr.span(), format!("{what} {}", quoted(kind.name().as_bytes())));
            }
        }
        Expr::Aggregate(aggregate) => {
            expect(&mut aggregate.expr, Kind::Instant, "aggregation expression")?;
            if let (Some(param), Some(kind)) = (&mut aggregate.param, aggregate.op.parameter()) {
                expect(param, kind, "aggregation parameter")?;
            }
        }
        Expr::Chain(chain) => return check_chain(chain),
        Expr::Call(call) => check_call(call)?,
    }
    Ok(expr.kind())
}

fn expect(expr: &mut Expr, wanted: Kind, context: &str) -> Result<()> {
    let kind = check(expr)?;
    if kind == wanted {
        return Ok(());
    }
    let (wanted, kind) = (wanted.name(), kind.name());
    Fault::parse(expr.span(), format!("expected type {wanted} in {context}, got {kind}"))
}

fn selects_something(selector: &VectorSelector) -> Result<()> {
    if let Some(second) = selector.second_name() {
        let (first, second) = (quoted(selector.name.as_bytes()), quoted(second.value.as_bytes()));
        return Fault::parse(selector.span, format!("metric name must not be set twice: {first} or {second}"));
    }
    if selector.name.is_empty() && selector.matchers.iter().all(|matcher| matcher.accepts("")) {
        return Fault::parse(selector.span, "vector selector must contain at least one non-empty matcher");
    }
    Ok(())
}

fn check_chain(chain: &mut Chain) -> Result<Kind> {
    let mut left = check(&mut chain.first)?;
    let mut span = chain.first.span();
    for link in &mut chain.links {
        let right = check(&mut link.right)?;
        check_link(link, (left, span), right)?;
        left = if left == Kind::Scalar && right == Kind::Scalar { Kind::Scalar } else { Kind::Instant };
        span = span.to(link.right.span());
    }
    Ok(left)
}

/// Of the left side it is known what it is, and where it stands.
fn check_link(link: &mut Link, (left, left_span): (Kind, Span), right: Kind) -> Result<()> {
    let (op, op_span, right_span) = (link.op, link.op_span, link.right.span());
    if link.returns_bool && !op.is_comparison() {
        return Fault::parse(op_span, "bool modifier can only be used on comparison operators");
    }
    let are_scalars = left == Kind::Scalar && right == Kind::Scalar;
    if op.is_comparison() && !link.returns_bool && are_scalars {
        return Fault::parse(op_span, "comparisons between scalars must use BOOL modifier");
    }
    let span = left_span.to(right_span);
    let matching = &mut link.matching;
    if op.is_set() && matching.cardinality == Cardinality::OneToOne {
        matching.cardinality = Cardinality::ManyToMany;
    }
    let twice = matching.labels.iter().find(|label| matching.on && matching.include.contains(label));
    if let Some(label) = twice {
        let label = quoted(label.as_bytes());
        return Fault::parse(op_span, format!("label {label} must not occur in ON and GROUP clause at once"));
    }
    for (side, kind) in [(left_span, left), (right_span, right)] {
        if kind != Kind::Scalar && kind != Kind::Instant {
            let what = "binary expression must contain only scalar and instant vector types";
            return Fault::parse(side, what);
        }
    }
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if left != Kind::Instant || right != Kind::Instant {
        if !matching.labels.is_empty() {
            return Fault::parse(span, "vector matching only allowed between instant vectors");
        }
        if fills {
            return Fault::parse(span, "filling in missing series only allowed between instant vectors");
        }
        if op.is_set() {
            let op = quoted(op.text().as_bytes());
            return Fault::parse(span, format!("set operator {op} not allowed in binary scalar expression"));
        }
        // Between scalars nothing is matched.
        matching.on = false;
        matching.cardinality = Cardinality::OneToOne;
    } else if op.is_set() {
        if matching.cardinality != Cardinality::ManyToMany {
            let op = quoted(op.text().as_bytes());
            return Fault::parse(span, format!("no grouping allowed for {op} operation"));
        }
        if fills {
            return Fault::parse(span, "filling in missing series not allowed for set operators");
        }
    }
    Ok(())
}

fn check_call(call: &mut Call) -> Result<()> {
    let (function, span, count) = (call.function, call.span, call.args.len());
    let (kinds, name) = (function.args, quoted(function.name.as_bytes()));
    let least = if function.variadic == 0 { kinds.len() } else { kinds.len().saturating_sub(1) };
    if function.variadic == 0 && count != least {
        return Fault::parse(span, format!("expected {least} argument(s) in call to {name}, got {count}"));
    }
    if count < least {
        return Fault::parse(span, format!("expected at least {least} argument(s) in call to {name}, got {count}"));
    }
    if let Ok(optional) = usize::try_from(function.variadic) {
        let most = least + optional;
        if count > most {
            return Fault::parse(span, format!("expected at most {most} argument(s) in call to {name}, got {count}"));
        }
    }
    let takes_labels = function.name == "info";
    for (place, arg) in call.args.iter_mut().enumerate() {
        if takes_labels && place == 1 {
            check_label_selector(arg)?;
            continue;
        }
        let Some(&wanted) = kinds.get(place).or(kinds.last()) else { continue };
        let kind = check(arg)?;
        if kind != wanted {
            let (wanted, kind) = (wanted.name(), kind.name());
            return Fault::parse(arg.span(), format!("expected type {wanted} in call to function {name}, got {kind}"));
        }
    }
    Ok(())
}

/// The second argument of `info` is a selector in form only: it may select everything.
fn check_label_selector(arg: &Expr) -> Result<()> {
    match arg {
        Expr::Vector(selector) if selector.name.is_empty() => Ok(()),
        Expr::Vector(_) => Fault::parse(arg.span(), "expected label selectors only, got vector selector instead"),
        _ => Fault::parse(arg.span(), "expected label selectors only"),
    }
}
