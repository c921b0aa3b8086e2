//! How is a parsed expression told? As the tree that Prometheus's own pages read.
//!
//! T1  A chain of thousands of operators is told as a tree that is as deep, without anything here being as deep.

use crate::promql::Matcher;
use crate::promql::ast::{
    Arithmetic, At, Call, Cardinality, Chain, Expr, Extension, Kind, Lasting, Length, Link, Shift, VectorSelector,
};
use crate::series::number::plain;
use serde_json::{Map, Value, json};

/// An expression and its parts, as JSON.
pub(super) fn tree(expr: &Expr) -> String {
    let mut out = String::new();
    write(&mut out, expr);
    out
}

/// Written as it is walked: as deep as the answer of a long chain is, no value may be (T1). Keys by the alphabet, as Prometheus has them.
fn write(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Number(number) => whole(out, &json!({ "type": "numberLiteral", "val": plain(number.value) })),
        Expr::Text(text) => {
            whole(out, &json!({ "type": "stringLiteral", "val": String::from_utf8_lossy(&text.bytes) }));
        }
        Expr::Vector(selector) => whole(out, &with(selector_parts(selector), [("type", json!("vectorSelector"))])),
        Expr::Range(range) => {
            let parts = [
                ("type", json!("matrixSelector")),
                ("range", json!(range.range.milliseconds())),
                ("rangeExpr", computed(Some(&range.range))),
            ];
            whole(out, &with(selector_parts(&range.selector), parts));
        }
        Expr::Subquery(subquery) => {
            let parts = [
                ("type", json!("subquery")),
                ("range", json!(subquery.range.milliseconds())),
                ("rangeExpr", computed(Some(&subquery.range))),
                ("step", json!(subquery.step.as_ref().map_or(0, Lasting::milliseconds))),
                ("stepExpr", computed(subquery.step.as_ref())),
            ];
            open(out, &subquery.expr);
            close(out, &with(shift_parts(&subquery.shift), parts));
        }
        Expr::Call(call) => write_call(out, call),
        Expr::Aggregate(aggregate) => {
            open(out, &aggregate.expr);
            out.push_str(&format!(",\"grouping\":{}", json!(aggregate.grouping)));
            out.push_str(&format!(",\"op\":{},\"param\":", json!(aggregate.op.name())));
            match &aggregate.param {
                Some(param) => write(out, param),
                None => out.push_str("null"),
            }
            close(out, &json!({ "type": "aggregation", "without": aggregate.without }));
        }
        Expr::Chain(chain) => write_chain(out, chain),
        Expr::Unary(unary) => {
            open(out, &unary.expr);
            close(out, &json!({ "type": "unaryExpr", "op": if unary.is_negative { "-" } else { "+" } }));
        }
        Expr::Paren(paren) => {
            open(out, &paren.expr);
            close(out, &json!({ "type": "parenExpr" }));
        }
        Expr::Invariant(inner) => write(out, inner),
    }
}

fn whole(out: &mut String, node: &Value) {
    out.push_str(&node.to_string());
}

/// The beginning of a node: its one part, which comes first by the alphabet.
fn open(out: &mut String, part: &Expr) {
    out.push_str("{\"expr\":");
    write(out, part);
}

/// The rest of a node.
fn close(out: &mut String, rest: &Value) {
    let text = rest.to_string();
    out.push(',');
    out.push_str(text.get(1..).unwrap_or_default());
}

fn write_call(out: &mut String, call: &Call) {
    out.push_str("{\"args\":[");
    for (place, arg) in call.args.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(out, arg);
    }
    out.push(']');
    let function = json!({
        "name": call.function.name,
        "argTypes": call.function.args.iter().map(|kind| kind.result_type()).collect::<Vec<_>>(),
        "variadic": call.function.variadic,
        "returnType": call.function.returns.result_type(),
    });
    close(out, &json!({ "type": "call", "func": function }));
}

/// A node for each link, the last one outermost.
fn write_chain(out: &mut String, chain: &Chain) {
    for link in chain.links.iter().rev() {
        out.push_str(&format!("{{\"bool\":{},\"lhs\":", link.returns_bool));
    }
    write(out, &chain.first);
    let mut left = chain.first.kind();
    for link in &chain.links {
        let (matching, op) = (matching(link, &mut left), json!(link.op.text()));
        out.push_str(&format!(",\"matching\":{matching},\"op\":{op},\"rhs\":"));
        write(out, &link.right);
        out.push_str(",\"type\":\"binaryExpr\"}");
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

/// How the sides of a link match whose left one is of a kind, which becomes that of the whole; null where nothing is matched.
fn matching(link: &Link, left: &mut Kind) -> Value {
    let matching = &link.matching;
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let right = link.right.kind();
    let are_vectors = *left == Kind::Instant && right == Kind::Instant;
    if right == Kind::Instant {
        *left = right;
    }
    if !are_vectors {
        return Value::Null;
    }
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": { "lhs": matching.fill_left, "rhs": matching.fill_right },
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
