//! What is compared of a trace? Its spans in the order of a walk through its tree, each with the identity by which it is matched.
//!
//! SD1  Spans whose parent is not there are roots; spans that are each other's ancestors become roots after those, earliest first.
//!      Of several spans with one id only the first is compared, and a warning says so.
//! SD2  Nothing recurses.

use super::Warning;
use crate::error::Result;
use crate::exec::Control;
use query_api::otlp::{AnyValue, KeyValue, Span, TracesData};
use regex::Regex;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const SERVICE_NAME: &str = "service.name";
/// Spans that are named as examples in a warning.
const EXAMPLES: usize = 3;

/// What a name should not hold: long numbers, and what looks like an id.
static TOKEN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i-u)\b(?:[0-9]{6,}|[0-9a-f][0-9a-f\-]{7,})\b").ok());

/// By what spans are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity<'a> {
    pub(super) service: &'a str,
    pub(super) name: &'a str,
    pub(super) kind: &'static str,
}

/// A span in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) span: &'a Span,
    pub(super) identity: Identity<'a>,
    /// The place of its parent among the spans.
    pub(super) parent: Option<usize>,
    /// Its place among its siblings, from 0.
    index: usize,
    depth: usize,
}

/// One of the two traces.
#[derive(Debug)]
pub(super) struct Side<'a> {
    pub(super) trace_id: &'a str,
    /// All spans that were sent.
    pub(super) span_count: usize,
    pub(super) spans: Vec<Placed<'a>>,
    pub(super) warnings: Vec<Warning>,
}

impl Placed<'_> {
    /// How long it took; none where that cannot be said.
    pub(super) fn duration(&self) -> Option<i64> {
        duration(self.span)
    }

    pub(super) fn status(&self) -> &'static str {
        match self.span.status.code {
            0 => "unset",
            1 => "ok",
            2 => "error",
            _ => "",
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.span.status.code == 2
    }
}

fn duration(span: &Span) -> Option<i64> {
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    // Nothing starts at the epoch: its start was not set.
    end.checked_sub(start).filter(|_| start > 0).and_then(|nanos| i64::try_from(nanos).ok())
}

fn kind(kind: i32) -> &'static str {
    match kind {
        0 => "unspecified",
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "",
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    match attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value) {
        Some(AnyValue::StringValue(text)) => text,
        _ => "",
    }
}

impl<'a> Side<'a> {
    pub(super) fn new(control: &Control, data: &'a TracesData, name: &str) -> Result<Self> {
        let flat: Vec<(&Span, Identity<'_>)> = flatten(data).collect();
        control.charge(flat.len() * (size_of::<Placed<'_>>() + 256))?;
        let mut warnings: Vec<Warning> = named_by_ids(&flat).into_iter().collect();
        warnings.extend(without_duration(&flat, name));
        if flat.is_empty() {
            let message = format!("the {name} trace has no spans: nothing can be matched");
            warnings.push(Warning { code: "zero_span_trace", message });
        }
        let spans = placed(&flat);
        control.check()?;
        let ignored = flat.len() - spans.len();
        if ignored > 0 {
            let message = format!("{ignored} spans of the {name} trace have the id of another and are not compared");
            warnings.push(Warning { code: "duplicate_span_id", message });
        }
        let trace_id = flat.first().map_or("", |(span, _)| span.trace_id.as_str());
        Ok(Side { trace_id, span_count: flat.len(), spans, warnings })
    }

    /// The places among siblings on the way from the root to a span; its bytes count.
    pub(super) fn path(&self, control: &Control, at: usize) -> Result<Vec<usize>> {
        let depth = self.spans.get(at).map_or(0, |placed| placed.depth);
        control.charge((depth + 1) * size_of::<usize>())?;
        let mut path = Vec::with_capacity(depth + 1);
        let mut next = Some(at);
        while let Some(placed) = next.and_then(|at| self.spans.get(at)) {
            path.push(placed.index);
            next = placed.parent;
        }
        path.reverse();
        Ok(path)
    }

    /// The identity of the span above one.
    pub(super) fn above(&self, placed: &Placed<'_>) -> Option<Identity<'a>> {
        placed.parent.and_then(|parent| self.spans.get(parent)).map(|parent| parent.identity)
    }
}

fn flatten(data: &TracesData) -> impl Iterator<Item = (&Span, Identity<'_>)> {
    data.resource_spans.iter().flat_map(|group| {
        let resource = text(&group.resource.attributes, SERVICE_NAME);
        group.scope_spans.iter().flat_map(|part| &part.spans).map(move |span| {
            let own = text(&span.attributes, SERVICE_NAME);
            let service = if own.is_empty() { resource } else { own };
            (span, Identity { service, name: &span.name, kind: kind(span.kind) })
        })
    })
}

/// The spans in the order of a walk (SD1).
fn placed<'a>(flat: &[(&'a Span, Identity<'a>)]) -> Vec<Placed<'a>> {
    let ids: HashSet<&str> = flat.iter().map(|(span, _)| span.span_id.as_str()).collect();
    let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut order: Vec<usize> = (0..flat.len()).collect();
    order.sort_by_key(|at| flat.get(*at).map(|(span, _)| (span.start_time_unix_nano, span.span_id.as_str())));
    for at in &order {
        let Some((span, _)) = flat.get(*at) else { continue };
        let parent = span.parent_span_id.as_str();
        children.entry(if ids.contains(parent) { parent } else { "" }).or_default().push(*at);
    }
    let mut walk = Walk { flat, children: &children, seen: HashSet::new(), spans: Vec::new() };
    let roots = children.get("").map(Vec::as_slice).unwrap_or_default();
    let next = walk.go(roots, 0);
    walk.go(&order, next);
    walk.spans
}

/// A walk through a tree.
struct Walk<'w, 'a> {
    flat: &'w [(&'a Span, Identity<'a>)],
    children: &'w HashMap<&'a str, Vec<usize>>,
    seen: HashSet<&'a str>,
    spans: Vec<Placed<'a>>,
}

impl<'a> Walk<'_, 'a> {
    /// Walks through trees whose roots are some siblings, the first of which has a place among others; tells the next place.
    fn go(&mut self, roots: &[usize], first: usize) -> usize {
        let mut next = first;
        for root in roots {
            if self.flat.get(*root).is_none_or(|(span, _)| self.seen.contains(span.span_id.as_str())) {
                continue;
            }
            // Spans yet to be placed, with their parents; the next one is the last.
            let mut open: Vec<(usize, Option<usize>)> = vec![(*root, None)];
            // How many children of a span that was placed have been placed.
            let mut placed: HashMap<usize, usize> = HashMap::new();
            while let Some((at, parent)) = open.pop() {
                let Some((span, identity)) = self.flat.get(at) else { continue };
                if !self.seen.insert(span.span_id.as_str()) {
                    continue;
                }
                let index = match parent {
                    None => next,
                    Some(parent) => {
                        let count = placed.entry(parent).or_default();
                        *count += 1;
                        *count - 1
                    }
                };
                let depth = parent.and_then(|parent| self.spans.get(parent)).map_or(0, |parent| parent.depth + 1);
                let here = self.spans.len();
                self.spans.push(Placed { span, identity: *identity, parent, index, depth });
                let children = self.children.get(span.span_id.as_str()).filter(|_| !span.span_id.is_empty());
                open.extend(children.into_iter().flatten().rev().map(|child| (*child, Some(here))));
            }
            next += 1;
        }
        next
    }
}

/// Names that hold ids hide what is the same.
fn named_by_ids(flat: &[(&Span, Identity<'_>)]) -> Option<Warning> {
    let token = TOKEN.as_ref()?;
    let mut looked: HashSet<&str> = HashSet::new();
    let found =
        flat.iter().map(|(_, identity)| identity).find(|it| looked.insert(it.name) && token.is_match(it.name))?;
    let Identity { service, name, kind } = found;
    let message = format!(
        "the span name {name:?} (service {service:?}, kind {kind:?}) seems to hold an id: spans are matched by name, so that the same \
         operation may be told as added and removed; ids belong in attributes"
    );
    Some(Warning { code: "high_cardinality_span_name", message })
}

fn without_duration(flat: &[(&Span, Identity<'_>)], name: &str) -> Option<Warning> {
    let mut without: Vec<Identity<'_>> =
        flat.iter().filter(|(span, _)| duration(span).is_none()).map(|(_, identity)| *identity).collect();
    without.sort_unstable();
    let example = |it: &Identity<'_>| format!("{:?} (service {:?}, kind {:?})", it.name, it.service, it.kind);
    let examples: Vec<String> = without.iter().take(EXAMPLES).map(example).collect();
    let count = without.len();
    (count > 0).then(|| Warning {
        code: "invalid_duration",
        message: format!(
            "{count} spans of the {name} trace have no duration, which is null in changes; such as {}",
            examples.join(", ")
        ),
    })
}
