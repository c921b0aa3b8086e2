//! How is a parsed expression told? As the tree that Prometheus's own pages read.

use crate::promql::Matcher;
use crate::promql::ast::{
    Arithmetic, At, Binary, Cardinality, Expr, Extension, Kind, Lasting, Length, Shift, VectorSelector,
};
use crate::series::number::plain;
use serde_json::{Map, Value, json};

/// An expression and its parts.
pub(super) fn tree(expr: &Expr) -> Value {
    match expr {
        Expr::Number(number) => json!({ "type": "numberLiteral", "val": plain(number.value) }),
        Expr::Text(text) => json!({ "type": "stringLiteral", "val": String::from_utf8_lossy(&text.bytes) }),
        Expr::Vector(selector) => with(selector_parts(selector), [("type", json!("vectorSelector"))]),
        Expr::Range(range) => with(
            selector_parts(&range.selector),
            [
                ("type", json!("matrixSelector")),
                ("range", json!(range.range.milliseconds())),
                ("rangeExpr", computed(Some(&range.range))),
            ],
        ),
        Expr::Subquery(subquery) => with(
            shift_parts(&subquery.shift),
            [
                ("type", json!("subquery")),
                ("expr", tree(&subquery.expr)),
                ("range", json!(subquery.range.milliseconds())),
                ("rangeExpr", computed(Some(&subquery.range))),
                ("step", json!(subquery.step.as_ref().map_or(0, Lasting::milliseconds))),
                ("stepExpr", computed(subquery.step.as_ref())),
            ],
        ),
        Expr::Call(call) => json!({
            "type": "call",
            "func": {
                "name": call.function.name,
                "argTypes": call.function.args.iter().map(|kind| kind.result_type()).collect::<Vec<_>>(),
                "variadic": call.function.variadic,
                "returnType": call.function.returns.result_type(),
            },
            "args": call.args.iter().map(tree).collect::<Vec<_>>(),
        }),
        Expr::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.name(),
            "expr": tree(&aggregate.expr),
            "param": aggregate.param.as_ref().map(tree),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        Expr::Binary(binary) => binary_tree(binary),
        Expr::Unary(unary) => json!({
            "type": "unaryExpr",
            "op": if unary.is_negative { "-" } else { "+" },
            "expr": tree(&unary.expr),
        }),
        Expr::Paren(paren) => json!({ "type": "parenExpr", "expr": tree(&paren.expr) }),
        Expr::Invariant(inner) => tree(inner),
    }
}

fn with<const N: usize>(mut parts: Map<String, Value>, more: [(&str, Value); N]) -> Value {
    parts.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(parts)
}

fn shift_parts(shift: &Shift) -> Map<String, Value> {
    let edge = match shift.at {
        Some(At::Start) => json!("start"),
        Some(At::End) => json!("end"),
        _ => Value::Null,
    };
    let parts = [
        ("offset", json!(shift.offset_ms())),
        ("offsetExpr", computed(shift.offset.as_ref())),
        ("timestamp", json!(shift.time())),
        ("startOrEnd", edge),
    ];
    parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn selector_parts(selector: &VectorSelector) -> Map<String, Value> {
    let matcher = |matcher: &Matcher| json!({ "name": matcher.label, "type": matcher.sign(), "value": matcher.value });
    let mut parts = shift_parts(&selector.shift);
    let more = [
        ("name", json!(selector.name)),
        ("matchers", selector.matchers.iter().map(matcher).collect()),
        ("anchored", json!(selector.extension == Some(Extension::Anchored))),
        ("smoothed", json!(selector.extension == Some(Extension::Smoothed))),
    ];
    parts.extend(more.map(|(key, value)| (key.to_owned(), value)));
    parts
}

fn binary_tree(binary: &Binary) -> Value {
    let matching = &binary.matching;
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let are_vectors = binary.left.kind() == Kind::Instant && binary.right.kind() == Kind::Instant;
    let matching = are_vectors.then(|| {
        json!({
            "card": card,
            "labels": matching.labels,
            "on": matching.on,
            "include": matching.include,
            "fillValues": { "lhs": matching.fill_left, "rhs": matching.fill_right },
        })
    });
    json!({
        "type": "binaryExpr",
        "op": binary.op.text(),
        "lhs": tree(&binary.left),
        "rhs": tree(&binary.right),
        "matching": matching,
        "bool": binary.returns_bool,
    })
}

/// A duration that is computed; null for one that is known.
fn computed(length: Option<&Lasting>) -> Value {
    match length {
        Some(Lasting::Computed(length)) => length_tree(length, false),
        _ => Value::Null,
    }
}

fn length_tree(length: &Length, wrapped: bool) -> Value {
    let node = |op: &str, sides: Option<(&Length, &Length)>, right: Option<&Length>| {
        json!({
            "type": "durationExpr",
            "op": op,
            "lhs": sides.map(|(left, _)| length_tree(left, false)),
            "rhs": sides.map(|(_, right)| right).or(right).map(|right| length_tree(right, false)),
            "wrapped": wrapped,
        })
    };
    match length {
        Length::Number(number) => {
            json!({ "type": "numberLiteral", "val": plain(number.value), "duration": number.is_duration })
        }
        Length::Step(_) => node("step", None, None),
        Length::Range(_) => node("range", None, None),
        Length::Min(sides, _) => node("min_of", Some((&sides.0, &sides.1)), None),
        Length::Max(sides, _) => node("max_of", Some((&sides.0, &sides.1)), None),
        Length::Negative(inner, _) => node(Arithmetic::Sub.text(), None, Some(inner)),
        Length::Binary(op, sides) => node(op.text(), Some((&sides.0, &sides.1)), None),
        Length::Paren(inner, _) => match inner.as_ref() {
            Length::Number(_) => json!({
                "type": "durationExpr",
                "op": "+",
                "lhs": null,
                "rhs": length_tree(inner, false),
                "wrapped": true,
            }),
            inner => length_tree(inner, true),
        },
    }
}
