//! What is left of a trace whose similar spans are told as one? As the Collector's `spanpruning` processor has it, and Tempo by it.
//!
//! PR1  Spans that nobody names as parent are alike by their own and their parent's name, kind, status, trace state and by chosen
//!      attributes. So many alike become one summary, in the place and with the words of the longest.
//! PR2  Then, level by level, who has lost all children to summaries, and is alike by name, kind, status and trace state: two are
//!      enough. Who has no parent in the trace is never pruned.
//! PR3  A trace that was pruned before it came is left as it is: nothing is counted twice.
//! PR4  The same trace is pruned to the same spans: a summary's id is made of those that it stands for.
//!
//! Not here: parameters (`http::tempo`).

use crate::error::Result;
use crate::exec::Control;
use glob::Pattern;
use query_api::otlp::{AnyValue, ArrayValue, KeyValue, Span, TracesData};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use xxhash_rust::xxh3::xxh3_64;

/// What a span takes beside the trace while it is looked at.
const SPAN_BYTES: usize = 256;
/// Upper bounds of the counts that a summary tells, in nanoseconds.
const BOUNDS: [i64; 11] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Says that a span stands for others.
const IS_SUMMARY: &str = "aggregation.is_summary";

/// What is told as one.
#[derive(Debug, Clone)]
pub(crate) struct Pruning {
    /// The keys whose values must be the same.
    pub(crate) same: Vec<Pattern>,
    /// How many alike become one.
    pub(crate) least: usize,
    /// Levels above the lowest that are pruned, too; all where there is no number.
    pub(crate) levels: Option<usize>,
}

/// What became of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pruned {
    /// Nothing: nothing in it is alike.
    Not,
    /// Nothing: it was pruned before it came (PR3).
    Before,
    /// It has summaries now.
    Now,
}

/// A span's resource, scope and number there.
type Place = (usize, usize, usize);

#[derive(Debug)]
struct Node<'a> {
    span: &'a Span,
    place: Place,
    /// The first span that has the id which it names.
    parent: Option<usize>,
    /// The first span that has its own id.
    first: usize,
    /// Its group, once it has one.
    group: Option<usize>,
}

#[derive(Debug)]
struct Group {
    /// By start, then id.
    nodes: Vec<usize>,
    id: String,
}

/// By what spans of the lowest level are alike.
type Likeness<'a> = (Option<&'a str>, &'a str, i32, i32, &'a str, BTreeMap<&'a str, String>);

impl Pruning {
    /// Prunes a trace.
    pub(crate) fn prune(&self, control: &Control, data: &mut TracesData) -> Result<Pruned> {
        let of_scopes = data.resource_spans.iter().flat_map(|part| &part.scope_spans);
        let count = of_scopes.map(|part| part.spans.len()).sum::<usize>();
        let _held = control.hold(count.saturating_mul(SPAN_BYTES))?;
        if all_spans(data).any(|(_, span)| span.attributes.iter().any(is_summary)) {
            return Ok(Pruned::Before);
        }
        let mut forest = Forest::new(data);
        self.prune_lowest(control, &mut forest)?;
        control.check()?;
        if forest.groups.is_empty() {
            return Ok(Pruned::Not);
        }
        self.prune_above(control, &mut forest)?;
        let gone: BTreeSet<Place> =
            forest.nodes.iter().filter(|node| node.group.is_some()).map(|node| node.place).collect();
        let summaries = forest.summaries();
        put(data, &gone, summaries);
        Ok(Pruned::Now)
    }

    /// PR1.
    fn prune_lowest(&self, control: &Control, forest: &mut Forest<'_>) -> Result<()> {
        let mut alike: BTreeMap<Likeness<'_>, Vec<usize>> = BTreeMap::new();
        for (at, node) in forest.nodes.iter().enumerate() {
            if forest.children_of(node.first) == 0 {
                let parent = node.parent.and_then(|parent| forest.nodes.get(parent));
                let span = node.span;
                let same = self.same_of(span);
                control.charge(same.values().map(String::len).sum())?;
                let likeness = (
                    parent.map(|parent| parent.span.name.as_str()),
                    span.name.as_str(),
                    span.kind,
                    span.status.code,
                    span.trace_state.as_str(),
                    same,
                );
                alike.entry(likeness).or_default().push(at);
            }
        }
        let groups: Vec<Vec<usize>> = alike.into_values().filter(|nodes| nodes.len() >= self.least).collect();
        groups.into_iter().for_each(|nodes| forest.join(nodes));
        Ok(())
    }

    fn same_of<'a>(&self, span: &'a Span) -> BTreeMap<&'a str, String> {
        let is_asked = |attribute: &&KeyValue| self.same.iter().any(|pattern| pattern.matches(&attribute.key));
        let asked = span.attributes.iter().filter(is_asked);
        asked.map(|attribute| (attribute.key.as_str(), format!("{:?}", attribute.value))).collect()
    }

    /// PR2.
    fn prune_above(&self, control: &Control, forest: &mut Forest<'_>) -> Result<()> {
        let mut before = 0;
        let mut level = 0;
        while before < forest.groups.len() && self.levels.is_none_or(|most| level < most) {
            control.check()?;
            let new = forest.groups.iter().skip(before).flat_map(|group| &group.nodes);
            let parents: BTreeSet<usize> = new.filter_map(|node| forest.nodes.get(*node)?.parent).collect();
            before = forest.groups.len();
            let mut alike: BTreeMap<(&str, i32, i32, &str), Vec<usize>> = BTreeMap::new();
            for parent in parents {
                let Some(node) = forest.nodes.get(parent) else { continue };
                if node.group.is_none() && node.parent.is_some() && forest.children_of(parent) == 0 {
                    let span = node.span;
                    let likeness = (span.name.as_str(), span.kind, span.status.code, span.trace_state.as_str());
                    alike.entry(likeness).or_default().push(parent);
                }
            }
            let groups: Vec<Vec<usize>> = alike.into_values().filter(|nodes| nodes.len() >= 2).collect();
            groups.into_iter().for_each(|nodes| forest.join(nodes));
            level += 1;
        }
        Ok(())
    }
}

fn is_summary(attribute: &KeyValue) -> bool {
    attribute.key == IS_SUMMARY && attribute.value == AnyValue::BoolValue(true)
}

fn all_spans(data: &TracesData) -> impl Iterator<Item = (Place, &Span)> {
    data.resource_spans.iter().enumerate().flat_map(|(resource, part)| {
        part.scope_spans.iter().enumerate().flat_map(move |(scope, part)| {
            part.spans.iter().enumerate().map(move |(at, span)| ((resource, scope, at), span))
        })
    })
}

/// The spans of a trace, and what has been joined.
struct Forest<'a> {
    nodes: Vec<Node<'a>>,
    /// Of the first span of each id, how many name it as their parent and are in no group.
    children: Vec<usize>,
    groups: Vec<Group>,
    ids: HashMap<&'a str, usize>,
}

impl<'a> Forest<'a> {
    fn new(data: &'a TracesData) -> Self {
        let mut spans: Vec<(Place, &Span)> = all_spans(data).collect();
        spans.sort_by(|(_, a), (_, b)| (a.start_time_unix_nano, &a.span_id).cmp(&(b.start_time_unix_nano, &b.span_id)));
        let mut ids = HashMap::with_capacity(spans.len());
        for (at, (_, span)) in spans.iter().enumerate() {
            ids.entry(span.span_id.as_str()).or_insert(at);
        }
        let mut children = vec![0; spans.len()];
        let mut nodes = Vec::with_capacity(spans.len());
        for (at, (place, span)) in spans.into_iter().enumerate() {
            let parent = ids.get(span.parent_span_id.as_str()).copied().filter(|_| !span.parent_span_id.is_empty());
            if let Some(count) = parent.and_then(|parent| children.get_mut(parent)) {
                *count += 1;
            }
            let first = ids.get(span.span_id.as_str()).copied().unwrap_or(at);
            nodes.push(Node { span, place, parent, first, group: None });
        }
        Forest { nodes, children, groups: Vec::new(), ids }
    }

    fn children_of(&self, node: usize) -> usize {
        self.children.get(node).copied().unwrap_or(0)
    }

    fn join(&mut self, nodes: Vec<usize>) {
        let number = self.groups.len();
        let mut told = String::new();
        for at in &nodes {
            let Some(node) = self.nodes.get_mut(*at) else { continue };
            node.group = Some(number);
            told.push_str(&node.span.span_id);
            if let Some(count) = node.parent.and_then(|parent| self.children.get_mut(parent)) {
                *count = count.saturating_sub(1);
            }
        }
        let mut id = xxh3_64(told.as_bytes()).max(1);
        let mut text = format!("{id:016x}");
        while self.ids.contains_key(text.as_str()) {
            id = id.wrapping_add(1).max(1);
            text = format!("{id:016x}");
        }
        self.groups.push(Group { nodes, id: text });
    }

    /// Each with the scope that it belongs to.
    fn summaries(&self) -> Vec<((usize, usize), Span)> {
        let of_group = |group: &Group| {
            let nodes: Vec<&Node<'_>> = group.nodes.iter().filter_map(|at| self.nodes.get(*at)).collect();
            let first = nodes.first()?;
            // The first of the longest.
            let longest = nodes.iter().rev().max_by_key(|node| duration(node.span))?;
            let parent = first.parent.and_then(|parent| self.nodes.get(parent)?.group);
            let parent_span_id = match parent.and_then(|group| self.groups.get(group)) {
                Some(group) => group.id.clone(),
                None => first.span.parent_span_id.clone(),
            };
            let mut summary = Span {
                span_id: group.id.clone(),
                parent_span_id,
                start_time_unix_nano: nodes.iter().map(|node| node.span.start_time_unix_nano).min()?,
                end_time_unix_nano: nodes.iter().map(|node| node.span.end_time_unix_nano).max()?,
                ..longest.span.clone()
            };
            summary.attributes.extend(figures(&nodes.iter().map(|node| duration(node.span)).collect::<Vec<_>>()));
            Some(((longest.place.0, longest.place.1), summary))
        };
        self.groups.iter().filter_map(of_group).collect()
    }
}

fn duration(span: &Span) -> i64 {
    span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano).cast_signed()
}

/// What is told of the durations of those that a summary stands for.
fn figures(durations: &[i64]) -> Vec<KeyValue> {
    let count = i64::try_from(durations.len()).unwrap_or(i64::MAX);
    let total = durations.iter().fold(0i64, |sum, duration| sum.saturating_add(*duration));
    let within = |bound: Option<i64>| {
        let within = durations.iter().filter(|duration| bound.is_none_or(|bound| **duration <= bound)).count();
        AnyValue::IntValue(i64::try_from(within).unwrap_or(i64::MAX))
    };
    let list = |values| AnyValue::ArrayValue(ArrayValue { values });
    let bounds = BOUNDS.map(|bound| AnyValue::DoubleValue(bound as f64 / 1e9)).to_vec();
    let counts = BOUNDS.into_iter().map(Some).chain([None]).map(within).collect();
    [
        ("is_summary", AnyValue::BoolValue(true)),
        ("span_count", AnyValue::IntValue(count)),
        ("duration_min_ns", AnyValue::IntValue(durations.iter().copied().min().unwrap_or(0))),
        ("duration_max_ns", AnyValue::IntValue(durations.iter().copied().max().unwrap_or(0))),
        ("duration_total_ns", AnyValue::IntValue(total)),
        ("duration_avg_ns", AnyValue::IntValue(total / count.max(1))),
        ("histogram_bucket_bounds_s", list(bounds)),
        ("histogram_bucket_counts", list(counts)),
    ]
    .map(|(name, value)| KeyValue { key: format!("aggregation.{name}"), value })
    .to_vec()
}

/// Takes spans out of a trace, and puts summaries in; what is empty then goes.
fn put(data: &mut TracesData, gone: &BTreeSet<Place>, summaries: Vec<((usize, usize), Span)>) {
    for (resource, part) in data.resource_spans.iter_mut().enumerate() {
        for (scope, part) in part.scope_spans.iter_mut().enumerate() {
            let mut at = 0;
            part.spans.retain(|_| {
                at += 1;
                !gone.contains(&(resource, scope, at - 1))
            });
        }
    }
    for ((resource, scope), summary) in summaries {
        let part = data.resource_spans.get_mut(resource).and_then(|part| part.scope_spans.get_mut(scope));
        part.into_iter().for_each(|part| part.spans.push(summary.clone()));
    }
    for part in &mut data.resource_spans {
        part.scope_spans.retain(|part| !part.spans.is_empty());
        for part in &mut part.scope_spans {
            part.spans.sort_by(|a, b| (a.start_time_unix_nano, &a.span_id).cmp(&(b.start_time_unix_nano, &b.span_id)));
        }
    }
    data.resource_spans.retain(|part| !part.scope_spans.is_empty());
}

#[cfg(test)]
mod tests;
