//! For tests: an evaluator of our own that knows no index, no predicate and no number of nested sets, held against the real one.
//!
//! It walks trees by parents, judges spans one by one, and shares with the real one the tree of a query only.

mod series;

use super::super::ast::{
    Aggregate, Arithmetic, Compare, Field, Intrinsic, Logic, Mode, Name, Pipeline, Relation, Root, Scalar, Scope,
    SpansetOp, Spansets, Stage, Static, Unary, What,
};
use super::super::parse;
use super::model::{BASE, SpanModel, ValueModel, span_id};
use super::{LIES, range, search_lines, series_lines, stored};
use crate::fixture::{Fixture, block_on};
use crate::trace::any_order;
use crate::traceql::SearchQuery;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A value, as simply as can be.
#[derive(Debug, Clone, PartialEq)]
enum Simple {
    Nil,
    Bool(bool),
    /// Integers and durations.
    Whole(i64),
    Float(f64),
    Text(String),
    /// Statuses and kinds.
    Word(&'static str),
    List(Vec<Simple>),
    Other,
}

impl Simple {
    fn of(value: &ValueModel) -> Simple {
        match value {
            ValueModel::Text(text) => Simple::Text(text.clone()),
            ValueModel::Int(value) => Simple::Whole(*value),
            ValueModel::Float(value) => Simple::Float(*value),
            ValueModel::Bool(value) => Simple::Bool(*value),
            ValueModel::List(list) => Simple::List(list.iter().map(Simple::of).collect()),
            ValueModel::Map => Simple::Other,
        }
    }

    fn many(list: Vec<Simple>) -> Simple {
        let mut list: Vec<Simple> = list.into_iter().filter(|value| *value != Simple::Nil).collect();
        if list.len() < 2 { list.pop().unwrap_or(Simple::Nil) } else { Simple::List(list) }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Simple::Whole(value) => Some(*value as f64),
            Simple::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// The spans of one trace.
struct Naive<'m> {
    spans: Vec<&'m SpanModel>,
}

impl Naive<'_> {
    /// The span that one names: of several a server takes the first client, another the first server, else each the first.
    fn named_parent(&self, span: usize) -> Option<usize> {
        let wanted = self.spans[span].parent?;
        let of_kind = |kind: Option<i32>| {
            let mut others = self.spans.iter().enumerate().filter(|(place, _)| *place != span);
            let found = others.find(|(_, other)| other.id == wanted && kind.is_none_or(|kind| other.kind == kind));
            found.map(|(place, _)| place)
        };
        of_kind(Some(if self.spans[span].kind == 2 { 3 } else { 2 })).or_else(|| of_kind(None))
    }

    /// The same, less what would close a circle: the first span of one has no parent.
    fn parent(&self, span: usize) -> Option<usize> {
        let parent = self.named_parent(span)?;
        let (mut at, mut least, mut steps) = (Some(parent), span, 0);
        while let Some(place) = at.filter(|place| *place != span && steps <= self.spans.len()) {
            (at, least, steps) = (self.named_parent(place), least.min(place), steps + 1);
        }
        (at != Some(span) || least != span).then_some(parent)
    }

    fn root(&self) -> usize {
        self.spans.iter().position(|span| span.parent.is_none()).unwrap_or(0)
    }

    fn attribute(&self, span: usize, scope: Scope, key: &str) -> Simple {
        let span_model = self.spans[span];
        let get = |list: &[(String, ValueModel)]| {
            list.iter().find(|(known, _)| known == key).map_or(Simple::Nil, |(_, value)| Simple::of(value))
        };
        match scope {
            Scope::Span => get(&span_model.attributes),
            Scope::Resource if key == "service.name" => {
                Simple::Text(span_model.service.clone().unwrap_or("unknown_service".into()))
            }
            Scope::Resource => get(&span_model.resource),
            Scope::Instrumentation => get(&span_model.scope),
            Scope::Event => Simple::many(span_model.events.iter().map(|(_, _, list)| get(list)).collect()),
            Scope::Link => Simple::many(span_model.links.iter().map(|(_, _, list)| get(list)).collect()),
            Scope::Any => [Scope::Span, Scope::Resource, Scope::Event, Scope::Instrumentation]
                .into_iter()
                .map(|scope| self.attribute(span, scope, key))
                .find(|value| *value != Simple::Nil)
                .unwrap_or(Simple::Nil),
        }
    }

    fn named(&self, span: usize, name: &Name) -> Simple {
        if name.parent {
            let own = Name { parent: false, ..name.clone() };
            return self.parent(span).map_or(Simple::Nil, |parent| self.named(parent, &own));
        }
        let model = self.spans[span];
        match &name.what {
            What::Attribute(scope, key) => self.attribute(span, *scope, key),
            What::Intrinsic(Intrinsic::Name) => Simple::Text(model.name.clone()),
            What::Intrinsic(Intrinsic::Duration) => Simple::Whole(model.duration),
            What::Intrinsic(Intrinsic::Status) => Simple::Word(super::super::ast::STATUSES[model.status as usize]),
            What::Intrinsic(Intrinsic::Kind) => Simple::Word(super::super::ast::KINDS[model.kind as usize]),
            What::Intrinsic(Intrinsic::StatusMessage) => Simple::Text(model.message.clone()),
            What::Intrinsic(Intrinsic::RootName) => Simple::Text(self.spans[self.root()].name.clone()),
            What::Intrinsic(Intrinsic::TraceDuration) => {
                let start = self.spans.iter().map(|span| span.start).min().unwrap();
                Simple::Whole(self.spans.iter().map(|span| span.start + span.duration).max().unwrap() - start)
            }
            What::Intrinsic(Intrinsic::ChildCount) => {
                Simple::Whole((0..self.spans.len()).filter(|other| self.parent(*other) == Some(span)).count() as i64)
            }
            What::Intrinsic(Intrinsic::NestedSetParent) => match (model.parent, self.parent(span)) {
                (None, _) => Simple::Whole(-1),
                (_, None) => Simple::Whole(0),
                // Only whether it is positive is asked.
                _ => Simple::Whole(1),
            },
            What::Intrinsic(Intrinsic::Parent) => self.parent(span).map_or(Simple::Nil, |_| Simple::Bool(true)),
            What::Intrinsic(Intrinsic::SpanId) => Simple::Text(span_id(model.id).to_string()),
            What::Intrinsic(Intrinsic::EventName) => {
                Simple::many(model.events.iter().map(|(name, _, _)| Simple::Text(name.clone())).collect())
            }
            What::Intrinsic(other) => panic!("{other:?} is not asked here"),
        }
    }

    fn value(&self, span: usize, field: &Field) -> Simple {
        match field {
            Field::Static(value, _) => literal(value),
            Field::Name(name) => self.named(span, name),
            Field::Unary { op: Unary::Not, inner, .. } => match self.value(span, inner) {
                Simple::Bool(value) => Simple::Bool(!value),
                _ => Simple::Nil,
            },
            Field::Unary { inner, .. } => match self.value(span, inner) {
                Simple::Whole(value) => Simple::Whole(-value),
                Simple::Float(value) => Simple::Float(-value),
                _ => Simple::Nil,
            },
            Field::Arithmetic { op, left, right, .. } => {
                calculate(*op, &self.value(span, left), &self.value(span, right))
            }
            Field::Compare { op, left, right, .. } => {
                let nil = |field: &Field| matches!(field, Field::Static(Static::Nil, _));
                if nil(left) || nil(right) {
                    let other = self.value(span, if nil(left) { right } else { left });
                    return Simple::Bool((other == Simple::Nil) == (*op == Compare::Equal));
                }
                Simple::Bool(compare(*op, &self.value(span, left), &self.value(span, right)))
            }
            Field::Logic { op, parts } => {
                let mut values = parts.iter().map(|part| self.value(span, part) == Simple::Bool(true));
                Simple::Bool(match op {
                    Logic::And => values.all(|value| value),
                    Logic::Or => values.any(|value| value),
                })
            }
        }
    }

    fn set(&self, spansets: &Spansets, input: &BTreeSet<usize>) -> BTreeSet<usize> {
        match spansets {
            Spansets::Filter(None) => input.clone(),
            Spansets::Filter(Some(field)) => {
                input.iter().copied().filter(|span| self.value(*span, field) == Simple::Bool(true)).collect()
            }
            Spansets::Pipeline(pipeline) => self.run(pipeline, input.clone()).into_iter().flatten().collect(),
            Spansets::Binary { op, left, right } => {
                let (left, right) = (self.set(left, input), self.set(right, input));
                match op {
                    SpansetOp::And if left.is_empty() || right.is_empty() => BTreeSet::new(),
                    SpansetOp::And | SpansetOp::Or => left.union(&right).copied().collect(),
                    SpansetOp::Structural { relation, mode } => {
                        let stands = |from: usize, to: usize| self.stands(*relation, from, to);
                        let has = |span: &usize| left.iter().any(|from| stands(*from, *span));
                        let is = |span: &usize| right.iter().any(|to| stands(*span, *to));
                        match mode {
                            Mode::Right => right.iter().copied().filter(has).collect(),
                            Mode::Negated => right.iter().copied().filter(|span| !has(span)).collect(),
                            Mode::Union => {
                                let rights = right.iter().copied().filter(has);
                                rights.chain(left.iter().copied().filter(is)).collect()
                            }
                        }
                    }
                }
            }
        }
    }

    fn stands(&self, relation: Relation, from: usize, to: usize) -> bool {
        let is_above = |above: usize, below: usize| {
            let mut at = self.parent(below);
            while let Some(span) = at {
                if span == above {
                    return true;
                }
                at = self.parent(span);
            }
            false
        };
        match relation {
            Relation::Child => self.parent(to) == Some(from),
            Relation::Parent => self.parent(from) == Some(to),
            Relation::Descendant => is_above(from, to),
            Relation::Ancestor => is_above(to, from),
            Relation::Sibling => from != to && self.parent(from).is_some() && self.parent(from) == self.parent(to),
        }
    }

    fn run(&self, pipeline: &Pipeline, input: BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
        let mut sets = vec![input];
        for stage in &pipeline.0 {
            sets.retain(|set| !set.is_empty());
            sets = match stage {
                Stage::Spansets(spansets) => sets.iter().map(|set| self.set(spansets, set)).collect(),
                Stage::Coalesce if sets.is_empty() => sets,
                Stage::Coalesce => vec![sets.into_iter().flatten().collect()],
                Stage::Select(_) => sets,
                Stage::By(field) => sets
                    .iter()
                    .flat_map(|set| {
                        let mut groups: Vec<(Simple, BTreeSet<usize>)> = Vec::new();
                        for span in set {
                            let value = self.value(*span, field);
                            match groups.iter_mut().find(|(known, _)| *known == value) {
                                Some((_, group)) => drop(group.insert(*span)),
                                None => groups.push((value, BTreeSet::from([*span]))),
                            }
                        }
                        groups.into_iter().map(|(_, group)| group)
                    })
                    .collect(),
                Stage::Scalar(filter) => sets
                    .into_iter()
                    .filter(|set| compare(filter.op, &self.scalar(&filter.left, set), &self.scalar(&filter.right, set)))
                    .collect(),
            };
        }
        sets.retain(|set| !set.is_empty());
        sets
    }

    fn scalar(&self, scalar: &Scalar, set: &BTreeSet<usize>) -> Simple {
        match scalar {
            Scalar::Number(value) => literal(value),
            Scalar::Binary { op, left, right } => calculate(*op, &self.scalar(left, set), &self.scalar(right, set)),
            Scalar::Aggregate { field: None, .. } => Simple::Whole(set.len() as i64),
            Scalar::Aggregate { op, field: Some(field), .. } => {
                let values: Vec<Simple> = set.iter().map(|span| self.value(*span, field)).collect();
                let numbers: Vec<f64> = values.iter().filter_map(Simple::number).collect();
                if numbers.is_empty() {
                    return Simple::Nil;
                }
                Simple::Float(match op {
                    Aggregate::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
                    Aggregate::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Aggregate::Sum => numbers.iter().sum(),
                    Aggregate::Avg | Aggregate::Count => numbers.iter().sum::<f64>() / numbers.len() as f64,
                })
            }
            Scalar::Piped { .. } => panic!("not asked here"),
        }
    }
}

fn literal(value: &Static) -> Simple {
    match value {
        Static::Nil => Simple::Nil,
        Static::Bool(value) => Simple::Bool(*value),
        Static::Int(value) | Static::Duration(value) => Simple::Whole(*value),
        Static::Float(value) => Simple::Float(*value),
        Static::Text(text) => Simple::Text(text.clone()),
        Static::Status(code) => Simple::Word(super::super::ast::STATUSES[*code as usize]),
        Static::Kind(kind) => Simple::Word(super::super::ast::KINDS[*kind as usize]),
    }
}

fn calculate(op: Arithmetic, left: &Simple, right: &Simple) -> Simple {
    match (op, left, right) {
        (Arithmetic::Divide | Arithmetic::Modulo, Simple::Whole(_), Simple::Whole(0)) => Simple::Nil,
        (Arithmetic::Add, Simple::Whole(a), Simple::Whole(b)) => Simple::Whole(a + b),
        (Arithmetic::Subtract, Simple::Whole(a), Simple::Whole(b)) => Simple::Whole(a - b),
        (Arithmetic::Multiply, Simple::Whole(a), Simple::Whole(b)) => Simple::Whole(a * b),
        (Arithmetic::Divide, Simple::Whole(a), Simple::Whole(b)) => Simple::Whole(a / b),
        _ => match (left.number(), right.number()) {
            (Some(a), Some(b)) => {
                let value = match op {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a * b,
                    Arithmetic::Divide => a / b,
                    Arithmetic::Modulo => a % b,
                    Arithmetic::Power => a.powf(b),
                };
                if value.is_finite() { Simple::Float(value) } else { Simple::Nil }
            }
            _ => Simple::Nil,
        },
    }
}

fn compare(op: Compare, left: &Simple, right: &Simple) -> bool {
    if let Simple::List(list) = left {
        let one = |op| list.iter().any(|value| compare(op, value, right));
        return match op {
            Compare::NotEqual => !one(Compare::Equal) && one(Compare::NotEqual),
            Compare::MatchesNot => !one(Compare::Matches) && one(Compare::MatchesNot),
            op => one(op),
        };
    }
    if let Simple::List(list) = right {
        let one = |op| list.iter().any(|value| compare(op, left, value));
        return if op == Compare::NotEqual { !one(Compare::Equal) && one(op) } else { one(op) };
    }
    let ordering = match (left, right) {
        (Simple::Text(a), Simple::Text(b)) => match op {
            Compare::Matches | Compare::MatchesNot => {
                return regex::Regex::new(&format!("^(?:{b})$")).unwrap().is_match(a) == (op == Compare::Matches);
            }
            _ => a.cmp(b),
        },
        (Simple::Bool(a), Simple::Bool(b)) => a.cmp(b),
        (Simple::Word(a), Simple::Word(b)) => a.cmp(b),
        _ => match (left.number(), right.number()) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap(),
            _ => return false,
        },
    };
    match op {
        Compare::Equal => ordering.is_eq(),
        Compare::NotEqual => ordering.is_ne(),
        Compare::Less => ordering.is_lt(),
        Compare::LessOrEqual => ordering.is_le(),
        Compare::Greater => ordering.is_gt(),
        Compare::GreaterOrEqual => ordering.is_ge(),
        Compare::Matches | Compare::MatchesNot => false,
    }
}

fn traces<'m>(spans: &'m [SpanModel]) -> BTreeMap<u8, Naive<'m>> {
    let mut traces: BTreeMap<u8, Vec<&'m SpanModel>> = BTreeMap::new();
    spans.iter().for_each(|span| traces.entry(span.trace).or_default().push(span));
    let sorted = |(trace, mut spans): (u8, Vec<&'m SpanModel>)| {
        let service = |span: &SpanModel| span.service.clone().unwrap_or("unknown_service".into());
        spans.sort_by_cached_key(|span| {
            (span.start, span.id, span.kind, span.duration, span.name.clone(), service(span))
        });
        (trace, Naive { spans })
    };
    traces.into_iter().map(sorted).collect()
}

/// `trace N: ids; ids`, newest first.
fn expected(spans: &[SpanModel], text: &str) -> Vec<String> {
    let Root::Spans(pipeline) = parse(text).unwrap().root else { panic!("{text}") };
    let mut lines: Vec<(i64, u8, String)> = Vec::new();
    for (trace, naive) in traces(spans) {
        let sets = naive.run(&pipeline, (0..naive.spans.len()).collect());
        let Some(best) = sets.iter().flatten().map(|span| naive.spans[*span].start).max() else { continue };
        let ids = |set: &BTreeSet<usize>| {
            set.iter().map(|span| naive.spans[*span].id.to_string()).collect::<Vec<_>>().join(" ")
        };
        let sets: Vec<String> = sets.iter().map(ids).collect();
        lines.push((-best, trace, format!("trace {trace}: {}", sets.join("; "))));
    }
    lines.sort();
    if lines.is_empty() { vec!["none".into()] } else { lines.into_iter().map(|(_, _, line)| line).collect() }
}

/// Lines without what is told of spansets.
fn bare(lines: Vec<String>) -> Vec<String> {
    let strip = regex::Regex::new(r" \[[^;]*").unwrap();
    lines.into_iter().map(|line| strip.replace_all(&line, "").into_owned()).collect()
}

fn any_value() -> impl Strategy<Value = ValueModel> {
    let single = prop_oneof![
        (0i64..3).prop_map(ValueModel::Int),
        Just(ValueModel::Float(1.5)),
        Just(ValueModel::Float(2.0)),
        prop_oneof![Just("x"), Just("y"), Just("xyz")].prop_map(|text| ValueModel::Text(text.into())),
        any::<bool>().prop_map(ValueModel::Bool),
        Just(ValueModel::Map),
    ];
    let single = single.boxed();
    prop_oneof![6 => single.clone(), 1 => proptest::collection::vec(single, 0..3).prop_map(ValueModel::List)]
}

fn any_attributes(most: usize) -> impl Strategy<Value = Vec<(String, ValueModel)>> {
    let keys = prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned);
    proptest::collection::btree_map(keys, any_value(), 0..=most).prop_map(|map| map.into_iter().collect())
}

fn any_span() -> impl Strategy<Value = SpanModel> {
    let names = prop_oneof![Just("x"), Just("y"), Just("GET /")].prop_map(str::to_owned);
    let place = (1u8..5, proptest::option::weighted(0.8, 1u64..14), 0i64..40, 0i64..6);
    let events = proptest::collection::vec((prop_oneof![Just("x"), Just("boom")], any_attributes(1)), 0..2);
    let service = prop_oneof![Just(None), Just(Some("shop".to_owned())), Just(Some("x".to_owned()))];
    (place, names, service, 0i32..6, 0i32..3, any_attributes(2), any_attributes(1), any_attributes(1), events).prop_map(
        |((trace, parent, start, duration), name, service, kind, status, attributes, resource, scope, events)| {
            SpanModel {
                trace,
                parent,
                name,
                service,
                kind,
                status,
                message: if status == 2 { "x".into() } else { String::new() },
                start: start * 1_000_000_000,
                duration: duration * 1_000_000_000,
                attributes,
                resource,
                scope,
                events: events.into_iter().map(|(name, list)| (name.to_owned(), 0, list)).collect(),
                ..SpanModel::default()
            }
        },
    )
}

/// Spans, each of which names an earlier or later one of its trace, itself, none, or one that is not there. Some have the id of another,
/// as where both sides of a call share it, and some of those its start, too.
fn any_spans() -> impl Strategy<Value = Vec<SpanModel>> {
    let twin = proptest::option::weighted(0.15, any::<bool>());
    let later = proptest::bool::weighted(0.2);
    proptest::collection::vec((any_span(), twin, later), 1..13).prop_map(|list| {
        let (mut spans, choices): (Vec<SpanModel>, Vec<_>) =
            list.into_iter().map(|(span, twin, later)| (span, (twin, later))).unzip();
        let owners: Vec<u8> = spans.iter().map(|span| span.trace).collect();
        for ((place, id), (twin, later)) in (0..).zip(1u64..).zip(choices) {
            // Ids rise with starts, so that order by start is order by id.
            let (before, span) = spans.split_at_mut(place);
            let span = &mut span[0];
            let other = before.iter().rev().find(|other| other.trace == span.trace);
            span.start += id as i64;
            span.id = id;
            span.parent = span.parent.filter(|parent| {
                (later || *parent < id) && owners.get(*parent as usize - 1) == Some(&span.trace) || *parent == 13
            });
            if let (Some(same_start), Some(other)) = (twin, other) {
                span.id = other.id;
                span.kind = (other.kind + 1) % 6;
                span.start = if same_start { other.start } else { span.start };
            }
        }
        spans
    })
}

fn any_field() -> impl Strategy<Value = String> {
    let names = prop_oneof![
        Just(".a"),
        Just(".b"),
        Just("span.a"),
        Just("resource.a"),
        Just("event.a"),
        Just("instrumentation.a"),
        Just("parent.a"),
        Just("parent.span.b"),
    ];
    let values = prop_oneof![Just("1"), Just("2"), Just("1.5"), Just("\"x\""), Just("true"), Just("nil")];
    let equality = prop_oneof![Just("="), Just("!=")];
    let order = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">=")];
    let bounds = prop_oneof![Just("1"), Just("1.5"), Just("\"x\""), Just("2ns"), Just(".b"), Just("span.b + 1")];
    let matching = prop_oneof![Just("=~"), Just("!~")];
    let patterns = prop_oneof![Just("x|y"), Just("x.*"), Just(".*z"), Just("(?i)X")];
    let leaf = prop_oneof![
        3 => (names.clone(), equality, values).prop_map(|(name, op, value)| format!("{name} {op} {value}")),
        2 => (names.clone(), order, bounds).prop_map(|(name, op, value)| format!("{name} {op} {value}")),
        2 => (prop_oneof![names.clone(), Just("name"), Just("statusMessage"), Just("event:name"), Just("resource.service.name"), Just(".service.name")], matching, patterns)
            .prop_map(|(name, op, pattern)| format!("{name} {op} \"{pattern}\"")),
        1 => names.prop_map(str::to_owned),
        3 => prop_oneof![
            Just("status = error"), Just("status != ok"), Just("kind = client"), Just("kind != server"), Just("name = \"x\""),
            Just("name != \"x\""), Just("name > \"GET\""), Just("statusMessage = \"\""), Just("statusMessage != \"x\""),
            Just("duration > 2s"), Just("duration <= 1s"), Just("resource.service.name = \"x\""), Just(".service.name = \"shop\""),
            Just("resource.service.name != \"unknown_service\""), Just("event:name = \"boom\""), Just("event:name != \"x\""),
            Just("nestedSetParent < 0"), Just("nestedSetParent > 0"), Just("rootName = \"x\""), Just("traceDuration > 10s"),
            Just("span:childCount > 0"), Just("parent"), Just("parent = nil"), Just("parent.name = \"x\""), Just("true"), Just("false"),
            Just("span:id = \"0000000000000003\""), Just("1 < 2"), Just("-.a < 0"), Just(".a * 2 > 2"), Just("event:name = nil"),
        ].prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn any_spansets() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => any_field().prop_map(|field| format!("{{ {field} }}")), 1 => Just("{ }".to_owned())];
    let ops = proptest::sample::select(vec![
        "&&", "||", ">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<", "&>>", "&<<", "&~",
    ]);
    leaf.prop_recursive(2, 4, 2, move |inner| {
        (inner.clone(), ops.clone(), inner).prop_map(|(a, op, b)| format!("({a}) {op} ({b})"))
    })
}

fn any_query() -> impl Strategy<Value = String> {
    let stages = prop_oneof![
        Just("count() > 1"),
        Just("count() <= 2"),
        Just("avg(duration) > 1s"),
        Just("max(.a) >= 2"),
        Just("min(span.a) < 2"),
        Just("sum(duration) > 3s"),
        Just("count() * 2 > 1 + 2"),
        Just("max(duration) > avg(duration)"),
        Just("by(.b)"),
        Just("by(name)"),
        Just("by(resource.service.name)"),
        Just("coalesce()"),
        Just("{ status = error }"),
        Just("{ } > { .a != nil }"),
        Just("select(.a)"),
    ];
    (any_spansets(), proptest::collection::vec(stages, 0..3))
        .prop_map(|(first, stages)| stages.into_iter().fold(first, |query, stage| format!("{query} | {stage}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn searches_answer_what_the_naive_evaluator_answers(
        spans in any_spans(), queries in proptest::collection::vec(any_query(), 6), lie in 0..LIES.len(),
    ) {
        block_on(async {
            let fixture = stored(&spans, LIES[lie]).await;
            for query in &queries {
                let answered = bare(search_lines(&fixture, query).await);
                prop_assert_eq!(answered, expected(&spans, query), "{} in {:?}", query, LIES[lie]);
            }
            Ok(())
        })?;
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_and_without_a_double(
        spans in any_spans(), query in any_query(), lie in 0..LIES.len(), limit in 1usize..3,
        order in any_order(),
    ) {
        let page = async |fixture: &Fixture, limit, after| {
            let search = parse(&query).unwrap().search().unwrap();
            let asked = SearchQuery { range: range(), order, limit, spans_per_set: 100, after };
            fixture.run(move |control| search.page(control, &asked)).await.unwrap()
        };
        block_on(async {
            let fixture = stored(&spans, LIES[lie]).await;
            let (whole, none) = page(&fixture, 100, None).await;
            prop_assert_eq!(none, None);
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let (found, next) = page(&fixture, limit, after).await;
                prop_assert!(next.is_none() || found.len() == limit, "only the last page is short");
                pages.extend(found);
                if next.is_none() {
                    break;
                }
                after = next;
            }
            prop_assert_eq!(pages, whole, "{} in {:?}", query, LIES[lie]);
            Ok(())
        })?;
    }

    #[test]
    fn counts_over_time_are_those_of_the_naive_evaluator(
        spans in any_spans(), query in any_spansets(), lie in 0..LIES.len(),
        by in prop_oneof![Just(""), Just("name"), Just("resource.service.name"), Just("status")],
    ) {
        let Root::Spans(pipeline) = parse(&query).unwrap().root else { panic!("{query}") };
        let mut counts: BTreeMap<String, [u64; 5]> = BTreeMap::new();
        for naive in traces(&spans).values() {
            for span in naive.run(&pipeline, (0..naive.spans.len()).collect()).into_iter().flatten() {
                let model = naive.spans[span];
                let value = match by {
                    "" => String::new(),
                    "name" => model.name.clone(),
                    "status" => super::super::ast::STATUSES[model.status as usize].to_owned(),
                    _ => model.service.clone().unwrap_or("unknown_service".into()),
                };
                counts.entry(value).or_default()[((model.start - 1) / 10_000_000_000) as usize] += 1;
            }
        }
        let numbers = |counts: &[u64; 5]| counts.map(|count| count.to_string()).join(" ");
        let mut expected: Vec<String> =
            counts.iter().map(|(value, counts)| format!("{{{by}={value}}} {}", numbers(counts))).collect();
        if by.is_empty() {
            let all = counts.values().next().copied().unwrap_or_default();
            expected = vec![format!("{{__name__=count_over_time}} {}", numbers(&all))];
        } else if expected.is_empty() {
            expected.push("none".into());
        }
        let by = if by.is_empty() { String::new() } else { format!("by({by})") };
        block_on(async {
            let fixture = stored(&spans, LIES[lie]).await;
            let mut answered = series_lines(&fixture, 10, 50, &format!("{query} | count_over_time() {by}")).await;
            answered.sort();
            expected.sort();
            prop_assert_eq!(answered, expected, "{} in {:?}", query, LIES[lie]);
            Ok(())
        })?;
    }
}

#[test]
fn the_base_of_times_is_a_multiple_of_steps() {
    assert_eq!(BASE % 3_600_000_000_000, 0);
}
