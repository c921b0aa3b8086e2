//! Which spans were changed, added, removed? Span by span.
//!
//! PT1  Spans are gone through in the order of the walk through the second trace; each takes the first span of the first trace with its
//!      identity that nobody has taken, one whose parent has the same identity as its own before others.
//! PT2  What is within a tolerance is no change: a fifth or a millisecond for durations, a twentieth for sizes and counts of tokens.

use super::side::{Identity, Placed, Side};
use super::{PATCH, Warning};
use crate::error::Result;
use crate::exec::Control;
use query_api::otlp::{AnyValue, KeyValue};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};

/// Tolerances: a share of the greater one, and nanoseconds beside it.
const DURATION: (f64, f64) = (0.2, 1e6);
const MAGNITUDE: (f64, f64) = (0.05, 0.0);

/// Attributes of OpenTelemetry's conventions that are sizes, counts of tokens or durations.
const MAGNITUDES: [&str; 24] = [
    "app.jank.period",
    "file.size",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.completion_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "http.request.body.size",
    "http.request.size",
    "http.request_content_length",
    "http.request_content_length_uncompressed",
    "http.response.body.size",
    "http.response.size",
    "http.response_content_length",
    "http.response_content_length_uncompressed",
    "message.compressed_size",
    "message.uncompressed_size",
    "messaging.message.body.size",
    "messaging.message.envelope.size",
    "rpc.message.compressed_size",
    "rpc.message.uncompressed_size",
];

/// What turns one trace into the other.
#[derive(Debug, Serialize)]
pub(super) struct Patch<'a> {
    version: &'static str,
    base: Meta<'a>,
    compare: Meta<'a>,
    pub(super) stats: Stats,
    pub(super) modified: Vec<Modified<'a>>,
    pub(super) added: Vec<Whole<'a>>,
    pub(super) removed: Vec<Whole<'a>>,
    pub(super) warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    trace_id: &'a str,
    span_count: usize,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    pub(super) span_count_a: usize,
    pub(super) span_count_b: usize,
    pub(super) matched_spans: usize,
    pub(super) modified_spans: usize,
    pub(super) added_spans: usize,
    pub(super) removed_spans: usize,
    pub(super) field_changes: usize,
    pub(super) attribute_changes: usize,
    event_changes: usize,
    truncated: bool,
}

/// A span that is in both, with what changed.
#[derive(Debug, Serialize)]
pub(super) struct Modified<'a> {
    span: Locator<'a>,
    changes: Vec<Change<'a>>,
    /// Whether it failed before, and after.
    #[serde(skip)]
    pub(super) failed: (bool, bool),
    #[serde(skip)]
    pub(super) service: &'a str,
}

#[derive(Debug, Serialize)]
struct Locator<'a> {
    path: Vec<usize>,
    service: &'a str,
    name: &'a str,
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    op: &'static str,
    target: Target<'a>,
    before: Value,
    after: Value,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
}

/// A span that is in one of them only.
#[derive(Debug, Serialize)]
pub(super) struct Whole<'a> {
    target: Place,
    pub(super) span: Snapshot<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parent_path: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct Snapshot<'a> {
    path: Vec<usize>,
    pub(super) service: &'a str,
    name: &'a str,
    kind: &'static str,
    duration_nanos: i64,
    pub(super) status: &'static str,
}

impl<'a> Patch<'a> {
    pub(super) fn new(control: &Control, base: &Side<'a>, compare: &Side<'a>) -> Result<Self> {
        let (mut modified, mut added, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        let mut matched = vec![false; base.spans.len()];
        let mut stats = Stats { span_count_a: base.span_count, span_count_b: compare.span_count, ..Stats::default() };
        for (at, partner) in partners(base, compare).into_iter().enumerate() {
            if at % 4096 == 0 {
                control.check()?;
            }
            let Some(after) = compare.spans.get(at) else { continue };
            let Some(before) = partner.and_then(|partner| base.spans.get(partner)) else {
                added.push(Whole::added(compare.path(control, at)?, after));
                continue;
            };
            partner.and_then(|partner| matched.get_mut(partner)).into_iter().for_each(|taken| *taken = true);
            let mut changes = fields(before, after);
            stats.field_changes += changes.len();
            let own = attributes(&before.span.attributes, &after.span.attributes);
            stats.attribute_changes += own.len();
            changes.extend(own);
            if !changes.is_empty() {
                control.charge(changes.len() * 2 * size_of::<Change<'_>>())?;
                let Identity { service, name, kind } = after.identity;
                let span = Locator { path: compare.path(control, at)?, service, name, kind };
                modified.push(Modified { span, changes, failed: (before.is_error(), after.is_error()), service });
            }
        }
        for (at, before) in base.spans.iter().enumerate().filter(|(at, _)| matched.get(*at) == Some(&false)) {
            removed.push(Whole::removed(base.path(control, at)?, before));
        }
        stats.matched_spans = matched.iter().filter(|taken| **taken).count();
        (stats.modified_spans, stats.added_spans, stats.removed_spans) = (modified.len(), added.len(), removed.len());
        let mut warnings: Vec<Warning> = base.warnings.clone();
        // That names hold ids is told once.
        let told = |warning: &&Warning| {
            !warnings.iter().any(|told| told.code == "high_cardinality_span_name" && told.code == warning.code)
        };
        let more: Vec<Warning> = compare.warnings.iter().filter(told).cloned().collect();
        warnings.extend(more);
        let meta = |side: &Side<'a>| Meta { trace_id: side.trace_id, span_count: side.span_count };
        Ok(Patch {
            version: PATCH,
            base: meta(base),
            compare: meta(compare),
            stats,
            modified,
            added,
            removed,
            warnings,
        })
    }
}

/// For each span of the second trace its partner in the first (PT1).
fn partners<'a>(base: &Side<'a>, compare: &Side<'a>) -> Vec<Option<usize>> {
    type Waiting<K> = HashMap<K, VecDeque<usize>>;
    let (mut below, mut anywhere): (Waiting<(Identity<'a>, Identity<'a>)>, Waiting<Identity<'a>>) = Default::default();
    for (at, placed) in base.spans.iter().enumerate() {
        anywhere.entry(placed.identity).or_default().push_back(at);
        if let Some(above) = base.above(placed) {
            below.entry((placed.identity, above)).or_default().push_back(at);
        }
    }
    let mut taken = HashSet::new();
    let mut first = |waiting: Option<&mut VecDeque<usize>>| {
        let waiting = waiting?;
        while let Some(at) = waiting.pop_front() {
            if taken.insert(at) {
                return Some(at);
            }
        }
        None
    };
    let mut found = Vec::with_capacity(compare.spans.len());
    for placed in &compare.spans {
        let same = compare.above(placed).and_then(|above| first(below.get_mut(&(placed.identity, above))));
        found.push(same.or_else(|| first(anywhere.get_mut(&placed.identity))));
    }
    found
}

impl<'a> Whole<'a> {
    fn added(path: Vec<usize>, placed: &Placed<'a>) -> Self {
        let parent = path.get(..path.len().saturating_sub(1)).unwrap_or_default().to_vec();
        let target = Place { r#type: "span", path: Vec::new(), parent_path: parent, index: path.last().copied() };
        Whole { target, span: Snapshot::new(path, placed) }
    }

    fn removed(path: Vec<usize>, placed: &Placed<'a>) -> Self {
        let target = Place { r#type: "span", path: path.clone(), parent_path: Vec::new(), index: None };
        Whole { target, span: Snapshot::new(path, placed) }
    }
}

impl<'a> Snapshot<'a> {
    fn new(path: Vec<usize>, placed: &Placed<'a>) -> Self {
        let Identity { service, name, kind } = placed.identity;
        let duration_nanos = placed.duration().unwrap_or(0);
        Snapshot { path, service, name, kind, duration_nanos, status: placed.status() }
    }
}

fn fields<'a>(before: &Placed<'a>, after: &Placed<'a>) -> Vec<Change<'a>> {
    let target = |name| Target { r#type: "field", name, scope: "", key: "" };
    let mut changes = Vec::new();
    let durations = (before.duration(), after.duration());
    let is_same = match durations {
        (Some(before), Some(after)) => is_close(double(before), double(after), DURATION),
        (before, after) => before == after,
    };
    if !is_same {
        let (before, after) = (durations.0.into(), durations.1.into());
        changes.push(Change { op: "modify", target: target("duration_nanos"), before, after });
    }
    if before.status() != after.status() {
        let (before, after) = (before.status().into(), after.status().into());
        changes.push(Change { op: "modify", target: target("status"), before, after });
    }
    changes
}

fn attributes<'a>(before: &'a [KeyValue], after: &'a [KeyValue]) -> Vec<Change<'a>> {
    let by_key = |list: &'a [KeyValue]| -> std::collections::BTreeMap<&'a str, &'a AnyValue> {
        list.iter().map(|attribute| (attribute.key.as_str(), &attribute.value)).collect()
    };
    let (before, after) = (by_key(before), by_key(after));
    let keys: std::collections::BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let change = |key: &'a str| {
        let (before, after) = (before.get(key).copied(), after.get(key).copied());
        let op = match (before, after) {
            (None, _) => "add",
            (_, None) => "remove",
            (Some(before), Some(after)) if differs(key, before, after) => "modify",
            _ => return None,
        };
        let target = Target { r#type: "attribute", name: "", scope: "span", key };
        let value = |value: Option<&AnyValue>| value.map_or(Value::Null, json);
        Some(Change { op, target, before: value(before), after: value(after) })
    };
    keys.into_iter().filter_map(change).collect()
}

fn differs(key: &str, before: &AnyValue, after: &AnyValue) -> bool {
    match (number(before), number(after)) {
        (Some(before), Some(after)) if MAGNITUDES.contains(&key) => !is_close(before, after, MAGNITUDE),
        _ => !is_equal(before, after),
    }
}

fn is_close(one: f64, other: f64, (share, most): (f64, f64)) -> bool {
    if one.is_nan() || other.is_nan() {
        return one.is_nan() && other.is_nan();
    }
    if one.is_infinite() || other.is_infinite() {
        return one == other;
    }
    (one - other).abs() <= most + share * one.abs().max(other.abs())
}

/// What a double cannot hold of nanoseconds is far below any tolerance.
fn double(number: i64) -> f64 {
    number as f64
}

fn number(value: &AnyValue) -> Option<f64> {
    match value {
        AnyValue::IntValue(value) => Some(double(*value)),
        AnyValue::DoubleValue(value) => Some(*value),
        _ => None,
    }
}

/// Whether two values say the same; numbers do whatever their type.
fn is_equal(one: &AnyValue, other: &AnyValue) -> bool {
    match (one, other) {
        (AnyValue::DoubleValue(_), _) | (_, AnyValue::DoubleValue(_)) => match (number(one), number(other)) {
            (Some(one), Some(other)) => one == other || (one.is_nan() && other.is_nan()),
            _ => false,
        },
        (AnyValue::ArrayValue(one), AnyValue::ArrayValue(other)) => {
            one.values.len() == other.values.len()
                && one.values.iter().zip(&other.values).all(|(one, other)| is_equal(one, other))
        }
        (AnyValue::KvlistValue(one), AnyValue::KvlistValue(other)) => {
            let of = |key: &str| other.values.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
            one.values.len() == other.values.len()
                && one.values.iter().all(|entry| of(&entry.key).is_some_and(|value| is_equal(&entry.value, value)))
        }
        _ => one == other,
    }
}

/// A value as JSON has it; what JSON has no number for is a text.
fn json(value: &AnyValue) -> Value {
    match value {
        AnyValue::StringValue(text) | AnyValue::BytesValue(text) => text.as_str().into(),
        AnyValue::BoolValue(value) => (*value).into(),
        AnyValue::IntValue(value) => (*value).into(),
        AnyValue::DoubleValue(value) if value.is_nan() => "NaN".into(),
        AnyValue::DoubleValue(value) if value.is_infinite() && *value > 0.0 => "+Inf".into(),
        AnyValue::DoubleValue(value) if value.is_infinite() => "-Inf".into(),
        AnyValue::DoubleValue(value) => (*value).into(),
        AnyValue::Empty(_) => Value::Null,
        AnyValue::ArrayValue(list) => list.values.iter().map(json).collect(),
        AnyValue::KvlistValue(map) => map.values.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
    }
}
