//! How do some spans differ from the others? Counts of every value of every attribute, for both.
//!
//! K1  Each span is of the selection or of the baseline. Counts are exact; told are the values of most spans of each attribute. What a
//!     span has several times, such as the attributes of its events, counts once for each value and once in the total.
//!     A value keeps its type: 1, 1.0 and "1" are three.
//! K2  An attribute with more than [`MOST_VALUES`] values is told by its totals and an error instead, as it distinguishes
//!     nothing and would cost memory without end.
//! K3  The name and service of a trace's root are those of its first span without parent that started up to an hour before or after the
//!     range. Where there are more than [`MOST_ROOTS`] of them, none are told.

use super::super::ast::{Comparison, KINDS, STATUSES, Scope};
use super::super::expression::{Expression, Spot};
use super::super::span::Spans;
use super::super::value::Value;
use super::{Axis, Series};
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::service::Names;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use storage::model::attribute::Map;
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{Field, Predicate, ScanRequest, TimeRange};

/// What is compared beside attributes.
pub(super) const COLUMNS: [&str; 10] = [
    column::TRACE_ID,
    column::ATTRIBUTES,
    column::RESOURCE,
    column::SCOPE,
    column::EVENTS,
    column::SERVICE_NAME,
    column::NAME,
    column::KIND,
    column::STATUS_CODE,
    column::STATUS_MESSAGE,
];
/// Distinct values of an attribute that are counted.
const MOST_VALUES: usize = 10_000;
/// Values told unless the query says how many.
const USUAL_TOP: usize = 10;
/// Roots that are known at once: a quarter of a query's memory.
const MOST_ROOTS: usize = 500_000;
const ROOT_BYTES: usize = 2 * (size_of::<Root>() + size_of::<TraceId>());
/// How far from the range a root is looked for.
const ROOT_SLACK: i64 = 3_600_000_000_000;

#[derive(Debug)]
pub(super) struct Comparing {
    axis: Axis,
    selection: Option<Expression>,
    range: Option<(i64, i64)>,
    top: usize,
    attributes: HashMap<String, Attribute>,
    names: Names,
    roots: HashMap<TraceId, Root>,
}

/// A value that spans are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Counted {
    Text(String),
    Bool(bool),
    Int(i64),
    /// The bits of a double.
    Float(u64),
}

impl Counted {
    /// Lists, maps and bytes are not compared.
    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Counted::Text(text.into_owned())),
            Value::Bool(value) => Some(Counted::Bool(value)),
            Value::Int(value) => Some(Counted::Int(value)),
            Value::Float(value) => Some(Counted::Float(value.to_bits())),
            _ => None,
        }
    }

    fn told(&self) -> Value<'static> {
        match self {
            Counted::Text(text) => Value::Text(text.clone().into()),
            Counted::Bool(value) => Value::Bool(*value),
            Counted::Int(value) => Value::Int(*value),
            Counted::Float(bits) => Value::Float(f64::from_bits(*bits)),
        }
    }

    /// Bytes beside its own.
    fn len(&self) -> usize {
        if let Counted::Text(text) = self { text.len() } else { 0 }
    }
}

/// A span without parent; of several of a trace the least by start, id and what follows counts.
#[derive(Debug, Clone, Copy)]
struct Root {
    place: (i64, SpanId, i32, i64),
    name: u32,
    service: u32,
}

#[derive(Debug, Default)]
struct Attribute {
    /// By value: of the baseline, of the selection.
    values: HashMap<Counted, [Vec<f64>; 2]>,
    totals: [Vec<f64>; 2],
    has_too_many: bool,
}

impl Comparing {
    pub(super) fn new(control: &Control, axis: Axis, comparison: &Comparison) -> Result<Self> {
        let selection = comparison.selection.as_ref().map(Expression::new).transpose();
        let mut comparing = Comparing {
            axis,
            selection: selection.map_err(|message| Error::parameter("q", message))?,
            range: comparison.range,
            top: comparison.top.and_then(|top| usize::try_from(top).ok()).unwrap_or(USUAL_TOP),
            attributes: HashMap::new(),
            names: Names::default(),
            roots: HashMap::new(),
        };
        comparing.read_roots(control)?;
        Ok(comparing)
    }

    /// Finds the roots of the traces (K3).
    fn read_roots(&mut self, control: &Control) -> Result<()> {
        let mut request = ScanRequest::all([
            column::TRACE_ID,
            column::SPAN_ID,
            column::KIND,
            column::START,
            column::DURATION,
            column::NAME,
            column::SERVICE_NAME,
        ]);
        let range = self.axis.range();
        request.time =
            TimeRange { start: range.start.saturating_sub(ROOT_SLACK), end: range.end.saturating_add(ROOT_SLACK) };
        request.predicate = Predicate::Not(Box::new(Predicate::Exists(Field::Column(column::PARENT_SPAN_ID))));
        let (mut are_too_many, mut charged) = (false, 0);
        control.scan(Signal::Spans, request, |batch| {
            let spans = Spans::new(batch)?;
            let bytes = self.names.memory_bytes();
            control.charge(bytes.saturating_sub(charged))?;
            charged = bytes;
            for row in 0..spans.rows() {
                let Some(trace) = spans.trace(row).filter(|_| !are_too_many) else { continue };
                let place = (spans.start(row), spans.id(row), spans.kind(row), spans.duration(row));
                let (name, service) = (spans.name(row), spans.service(row));
                let known = self.roots.len();
                let root = Root { place, name: self.names.number(name), service: self.names.number(service) };
                match self.roots.entry(trace) {
                    Entry::Vacant(_) if known == MOST_ROOTS => are_too_many = true,
                    Entry::Vacant(vacant) => {
                        control.charge(ROOT_BYTES)?;
                        vacant.insert(root);
                    }
                    Entry::Occupied(mut other) => {
                        let other = other.get_mut();
                        let texts = (self.names.get(other.name), self.names.get(other.service));
                        if (place, name, service) < (other.place, texts.0, texts.1) {
                            *other = root;
                        }
                    }
                }
            }
            Ok(())
        })?;
        if are_too_many {
            control.release(self.roots.len() * ROOT_BYTES);
            self.roots = HashMap::new();
        }
        Ok(())
    }

    pub(super) fn take(&mut self, control: &Control, spot: Spot<'_>) -> Result<()> {
        let time = spot.spans.start(spot.row);
        let Some(step) = self.axis.place(time) else { return Ok(()) };
        let in_range = self.range.is_none_or(|(start, end)| (start..end).contains(&time));
        let selected = in_range && self.selection.as_ref().is_none_or(|selection| selection.holds(spot));
        let side = usize::from(selected);
        let named = |names: &[&str], number: i32| {
            let name = usize::try_from(number).ok().and_then(|number| names.get(number));
            name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
        };
        self.count(control, "name", spot.spans.name(spot.row).to_owned(), side, step)?;
        self.count(control, "kind", named(&KINDS, spot.spans.kind(spot.row)), side, step)?;
        self.count(control, "status", named(&STATUSES, spot.spans.status(spot.row)), side, step)?;
        let message = spot.spans.message(spot.row);
        if !message.is_empty() {
            self.count(control, "statusMessage", message.to_owned(), side, step)?;
        }
        self.count(control, "resource.service.name", spot.spans.service(spot.row).to_owned(), side, step)?;
        self.count_root(control, spot, side, step)?;
        self.count_scope_and_events(control, spot, side, step)?;
        let mut entries: Vec<(String, Counted)> = Vec::new();
        spot.spans.each_attribute(spot.row, |scope, key, value| {
            let prefix = if scope == Scope::Resource { "resource" } else { "span" };
            let told_above = scope == Scope::Resource && key == "service.name";
            if let Some(value) = Counted::of(value).filter(|_| !told_above) {
                entries.push((format!("{prefix}.{key}"), value));
            }
        });
        entries.into_iter().try_for_each(|(key, value)| self.count_all(control, &key, [value], (side, step)))
    }

    fn count_root(&mut self, control: &Control, spot: Spot<'_>, side: usize, step: usize) -> Result<()> {
        let root = spot.spans.trace(spot.row).and_then(|trace| self.roots.get(&trace));
        let Some(Root { name, service, .. }) = root.copied() else { return Ok(()) };
        for (key, number) in [("rootName", name), ("rootServiceName", service)] {
            let value = self.names.get(number).to_owned();
            self.count(control, key, value, side, step)?;
        }
        Ok(())
    }

    fn count_scope_and_events(&mut self, control: &Control, spot: Spot<'_>, side: usize, step: usize) -> Result<()> {
        let mut found: BTreeMap<String, BTreeSet<Counted>> = BTreeMap::new();
        let mut add = |prefix: &str, map: Map<'_>| {
            for (key, value) in map.iter() {
                if let Some(value) = Counted::of(Value::of_attribute(Some(value))) {
                    found.entry(format!("{prefix}.{key}")).or_default().insert(value);
                }
            }
        };
        let mut names: Vec<(&str, &str)> = Vec::new();
        if let Some(scope) = spot.spans.scope(spot.row) {
            names.extend([("instrumentation:name", scope.name), ("instrumentation:version", scope.version)]);
            add("instrumentation", scope.attributes);
        }
        for event in spot.spans.events(spot.row) {
            names.push(("event:name", event.name));
            add("event", event.attributes);
        }
        for (key, name) in names.into_iter().filter(|(_, name)| !name.is_empty()) {
            found.entry(key.to_owned()).or_default().insert(Counted::Text(name.to_owned()));
        }
        found.into_iter().try_for_each(|(key, values)| self.count_all(control, &key, values, (side, step)))
    }

    fn count(&mut self, control: &Control, key: &str, text: String, side: usize, step: usize) -> Result<()> {
        self.count_all(control, key, [Counted::Text(text)], (side, step))
    }

    /// Counts a span by all that it has of an attribute.
    fn count_all(
        &mut self,
        control: &Control,
        key: &str,
        values: impl IntoIterator<Item = Counted>,
        (side, step): (usize, usize),
    ) -> Result<()> {
        let steps = self.axis.len();
        let series_bytes = 2 * steps * size_of::<f64>();
        if !self.attributes.contains_key(key) {
            control.charge(series_bytes + key.len() + size_of::<Attribute>())?;
            let totals = [vec![0.0; steps], vec![0.0; steps]];
            self.attributes.insert(key.to_owned(), Attribute { totals, ..Attribute::default() });
        }
        let Some(attribute) = self.attributes.get_mut(key) else { return Ok(()) };
        if let Some(total) = attribute.totals.get_mut(side).and_then(|totals| totals.get_mut(step)) {
            *total += 1.0;
        }
        for value in values {
            if attribute.has_too_many {
                break;
            }
            if !attribute.values.contains_key(&value) {
                if attribute.values.len() >= MOST_VALUES {
                    attribute.has_too_many = true;
                    attribute.values = HashMap::new();
                    break;
                }
                control.charge(series_bytes + 2 * value.len() + 64)?;
            }
            let counts = attribute.values.entry(value).or_insert_with(|| [vec![0.0; steps], vec![0.0; steps]]);
            if let Some(count) = counts.get_mut(side).and_then(|counts| counts.get_mut(step)) {
                *count += 1.0;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Series> {
        let mut series = Vec::new();
        let attributes: BTreeMap<String, Attribute> = self.attributes.into_iter().collect();
        for (key, attribute) in attributes {
            for (side, name) in ["baseline", "selection"].into_iter().enumerate() {
                let total = attribute.totals.get(side).cloned().unwrap_or_default();
                let sum = |counts: &[Vec<f64>; 2]| counts.get(side).map_or(0.0, |counts| counts.iter().sum::<f64>());
                let mut values: Vec<(&Counted, &[Vec<f64>; 2])> = attribute.values.iter().collect();
                values.retain(|(_, counts)| sum(counts) > 0.0);
                values.sort_by(|(a, one), (b, other)| sum(other).total_cmp(&sum(one)).then_with(|| a.cmp(b)));
                for (value, counts) in values.into_iter().take(self.top) {
                    let counts = counts.get(side).cloned().unwrap_or_default();
                    series.push(told(name, &key, value.told(), counts));
                }
                if total.iter().sum::<f64>() > 0.0 {
                    if attribute.has_too_many {
                        let mut failed = told(name, &key, Value::Nil, total.clone());
                        failed.labels.push(("__meta_error".to_owned(), Value::Text("__too_many_values__".into())));
                        series.push(failed);
                    }
                    series.push(told(&format!("{name}_total"), &key, Value::Nil, total));
                }
            }
        }
        series
    }
}

fn told(r#type: &str, key: &str, value: Value<'static>, values: Vec<f64>) -> Series {
    let labels = vec![("__meta_type".to_owned(), Value::Text(r#type.to_owned().into())), (key.to_owned(), value)];
    Series { labels, values, exemplars: Vec::new() }
}
