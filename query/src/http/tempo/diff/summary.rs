//! How do two traces differ on the whole, and which services have a part in it?
//!
//! SM1  Sums are made in nanoseconds and told in milliseconds, so that many small changes are seen.
//! SM2  A service has changed where a span of it did, where its spans have other parents, or where its time drifted by at least a
//!      millisecond and a twentieth.

use super::patch::{Patch, Stats};
use super::side::{Identity, Side};
use super::{SUMMARY, Warning};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const MILLISECOND: i64 = 1_000_000;
/// A drift counts from this part of the service's time on.
const DRIFT: i64 = 20;
/// A service without name.
const UNKNOWN: &str = "<unknown>";

/// Both traces in figures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary<'a> {
    version: &'static str,
    base: Figures<'a>,
    compare: Figures<'a>,
    signals: Signals,
    trust: Trust,
    stats: Deltas,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
    changed_services: Vec<&'a str>,
    services: Vec<Service<'a>>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures<'a> {
    trace_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    root_service: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    root_name: &'a str,
    span_count: usize,
    error_span_count: usize,
    duration_ms: i64,
    sum_span_duration_ms: i64,
    /// The same in nanoseconds.
    #[serde(skip)]
    duration: i64,
    #[serde(skip)]
    sum: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signals {
    trace_latency: &'static str,
    sum_span_duration: &'static str,
    errors: &'static str,
    span_count: &'static str,
    structure: &'static str,
}

/// How much of the greater and of the smaller trace was matched.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trust {
    matched_span_ratio: f64,
    structure_overlap: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Deltas {
    trace_latency_delta_ms: i64,
    sum_span_duration_delta_ms: i64,
    span_count_delta: i64,
    error_span_delta: i64,
    matched_spans: usize,
    modified_spans: usize,
    added_spans: usize,
    removed_spans: usize,
    field_changes: usize,
    attribute_changes: usize,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service<'a> {
    name: &'a str,
    sum_span_duration_delta_ms: i64,
    modified: usize,
    added: usize,
    removed: usize,
    new_errors: usize,
    resolved_errors: usize,
}

impl<'a> Summary<'a> {
    pub(super) fn new(base: &Side<'a>, compare: &Side<'a>, patch: &Patch<'a>) -> Self {
        let (before, after) = (Figures::new(base), Figures::new(compare));
        let stats = patch.stats;
        let moved = moved(base, compare);
        let deltas = Deltas {
            trace_latency_delta_ms: after.duration.saturating_sub(before.duration) / MILLISECOND,
            sum_span_duration_delta_ms: after.sum.saturating_sub(before.sum) / MILLISECOND,
            span_count_delta: difference(stats.span_count_a, stats.span_count_b),
            error_span_delta: difference(before.error_span_count, after.error_span_count),
            matched_spans: stats.matched_spans,
            modified_spans: stats.modified_spans,
            added_spans: stats.added_spans,
            removed_spans: stats.removed_spans,
            field_changes: stats.field_changes,
            attribute_changes: stats.attribute_changes,
        };
        let is_changed = stats.added_spans > 0 || stats.removed_spans > 0 || !moved.is_empty();
        let signals = Signals {
            trace_latency: direction(deltas.trace_latency_delta_ms),
            sum_span_duration: direction(deltas.sum_span_duration_delta_ms),
            errors: direction(deltas.error_span_delta),
            span_count: direction(deltas.span_count_delta),
            structure: if is_changed { "changed" } else { "unchanged" },
        };
        let (changed_services, services) = services(base, compare, patch, moved);
        Summary {
            version: SUMMARY,
            base: before,
            compare: after,
            signals,
            trust: Trust::new(&stats),
            stats: deltas,
            warnings: patch.warnings.clone(),
            changed_services,
            services,
        }
    }
}

impl<'a> Figures<'a> {
    fn new(side: &Side<'a>) -> Self {
        let root = side.spans.first().map(|root| root.identity);
        let timed = side.spans.iter().filter(|placed| placed.duration().is_some()).map(|placed| placed.span);
        let start = timed.clone().map(|span| span.start_time_unix_nano).min().unwrap_or(0);
        let end = timed.map(|span| span.end_time_unix_nano).max().unwrap_or(0);
        let duration = i64::try_from(end.saturating_sub(start)).unwrap_or(i64::MAX);
        let sum = side.spans.iter().filter_map(|placed| placed.duration()).fold(0, i64::saturating_add);
        Figures {
            trace_id: side.trace_id,
            root_service: root.map_or("", |root| root.service),
            root_name: root.map_or("", |root| root.name),
            span_count: side.span_count,
            error_span_count: side.spans.iter().filter(|placed| placed.is_error()).count(),
            duration_ms: duration / MILLISECOND,
            sum_span_duration_ms: sum / MILLISECOND,
            duration,
            sum,
        }
    }
}

impl Trust {
    fn new(stats: &Stats) -> Self {
        let (one, other) = (stats.span_count_a, stats.span_count_b);
        let share = |of: usize| match of {
            0 if one == other => 1.0,
            0 => 0.0,
            of => double(stats.matched_spans) / double(of),
        };
        Trust { matched_span_ratio: share(one.max(other)), structure_overlap: share(one.min(other)) }
    }
}

/// Services of which spans have other parents than before, or of which there are more or fewer.
fn moved<'a>(base: &Side<'a>, compare: &Side<'a>) -> BTreeSet<&'a str> {
    type Rows<'a> = HashMap<(Identity<'a>, Option<Identity<'a>>), i64>;
    let mut rows: Rows<'a> = HashMap::new();
    for (side, by) in [(base, -1), (compare, 1)] {
        for placed in &side.spans {
            *rows.entry((placed.identity, side.above(placed))).or_default() += by;
        }
    }
    rows.into_iter().filter(|(_, count)| *count != 0).map(|((identity, _), _)| named(identity.service)).collect()
}

/// The services that changed, and what is told of those with changed spans or time.
fn services<'a>(
    base: &Side<'a>,
    compare: &Side<'a>,
    patch: &Patch<'a>,
    moved: BTreeSet<&'a str>,
) -> (Vec<&'a str>, Vec<Service<'a>>) {
    // What each service takes in both.
    let mut sums: BTreeMap<&'a str, [i64; 2]> = BTreeMap::new();
    for (at, side) in [base, compare].into_iter().enumerate() {
        for placed in &side.spans {
            let sum = sums.entry(named(placed.identity.service)).or_default();
            sum[at] = sum[at].saturating_add(placed.duration().unwrap_or(0));
        }
    }
    let counts = counts(patch);
    let mut changed: BTreeSet<&'a str> = moved;
    changed.extend(counts.keys());
    let mut services = Vec::new();
    for (name, [before, after]) in sums {
        let delta = after.saturating_sub(before);
        let drifted = delta.abs() >= MILLISECOND && delta.abs() >= (before + DRIFT - 1) / DRIFT;
        if drifted {
            changed.insert(name);
        }
        if drifted || counts.contains_key(name) {
            let counted = counts.get(name).cloned().unwrap_or_default();
            services.push(Service { name, sum_span_duration_delta_ms: delta / MILLISECOND, ..counted });
        }
    }
    services.sort_by_key(|it| (Reverse(it.sum_span_duration_delta_ms.abs()), Reverse(it.new_errors), it.name));
    (changed.into_iter().collect(), services)
}

/// Spans that were changed, added and removed, by service.
fn counts<'a>(patch: &Patch<'a>) -> HashMap<&'a str, Service<'a>> {
    let mut counts: HashMap<&'a str, Service<'a>> = HashMap::new();
    for modified in &patch.modified {
        let count = counts.entry(named(modified.service)).or_default();
        count.modified += 1;
        count.new_errors += usize::from(modified.failed == (false, true));
        count.resolved_errors += usize::from(modified.failed == (true, false));
    }
    for added in &patch.added {
        let count = counts.entry(named(added.span.service)).or_default();
        count.added += 1;
        count.new_errors += usize::from(added.span.status == "error");
    }
    for removed in &patch.removed {
        let count = counts.entry(named(removed.span.service)).or_default();
        count.removed += 1;
        count.resolved_errors += usize::from(removed.span.status == "error");
    }
    counts
}

fn named(service: &str) -> &str {
    if service.is_empty() { UNKNOWN } else { service }
}

fn difference(before: usize, after: usize) -> i64 {
    let wide = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    wide(after) - wide(before)
}

fn direction(delta: i64) -> &'static str {
    match delta {
        0 => "unchanged",
        delta if delta > 0 => "increased",
        _ => "decreased",
    }
}

/// Counts of spans are far below what a double holds.
fn double(count: usize) -> f64 {
    count as f64
}
