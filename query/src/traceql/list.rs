//! What can be typed next? Names and values that spans have, for a query that is still being written.
//!
//! L1  Of a query as far as it is typed (`understood`) the conditions are kept that are whole and must hold; it never asks for
//!     more than the whole query would.
//!     Nor are values filtered by conditions that other spans of the trace decide: more may be listed, never less.
//! L2  Rows looked at are limited: a list of suggestions need not be complete.

mod keys;

pub(crate) use keys::{Keys, keys_of};

use super::ast::{INSTRUMENTATION, INTRINSICS, Intrinsic, KINDS, Name, Root, STATUSES, Scope, Spansets, Stage, What};
use super::expression::{Expression, Spot};
use super::lower::lower;
use super::span::{Spans, columns_of, needs_trace};
use super::value::Value;
use super::{parse, parser};
use crate::column::Columns;
use crate::error::{Error, Result};
use crate::exec::Control;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use storage::model::Signal;
use storage::model::record::{Event, Link};
use storage::model::schema::column;
use storage::scan::{AttributeScope, Field, Predicate, ScanOrder, ScanRequest, TimeRange};

/// Rows looked at for keys of events and links, and for values.
const MOST_KEY_ROWS: usize = 20_000;
const MOST_VALUE_ROWS: usize = 2_000_000;

/// Something whose values are listed.
#[derive(Debug)]
pub(crate) struct Listed(Name);

/// How much is listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Distinct {
    pub(crate) range: TimeRange,
    pub(crate) limit: usize,
}

impl Listed {
    /// An attribute or intrinsic by its text, as it stands in a query.
    pub(crate) fn named(text: &str) -> Result<Self> {
        parser::parse_name(text).map(Listed).map_err(|problem| Error::parameter("tag", problem.to_string()))
    }

    /// All its values, where the language names them.
    pub(crate) fn keywords(&self) -> Option<&'static [&'static str]> {
        match self.0.what {
            What::Intrinsic(Intrinsic::Status) => Some(&STATUSES),
            What::Intrinsic(Intrinsic::Kind) => Some(&KINDS),
            _ => None,
        }
    }

    /// The attribute whose values the store lists by itself.
    pub(crate) fn stored(&self) -> Option<(AttributeScope, &str)> {
        match &self.0.what {
            _ if self.0.parent => None,
            What::Attribute(Scope::Span, key) => Some((AttributeScope::Own, key)),
            What::Attribute(Scope::Resource, key) => Some((AttributeScope::Resource, key)),
            What::Attribute(Scope::Instrumentation, key) => Some((AttributeScope::Scope, key)),
            What::Attribute(Scope::Any, key) => Some((AttributeScope::Any, key)),
            _ => None,
        }
    }
}

/// The conditions of a query that is still being typed: a filter, or nothing where none is whole (L1).
pub(crate) fn understood(text: &str) -> String {
    let whole = |filter: &str| {
        parse(filter).is_ok_and(|query| match query.root {
            Root::Spans(pipeline) => matches!(pipeline.0.as_slice(), [Stage::Spansets(Spansets::Filter(Some(_)))]),
            Root::Metrics(_) => false,
        })
    };
    if whole(text) {
        return text.to_owned();
    }
    // Of several filters, of alternatives and of negations no single condition must hold.
    let inner = text.trim_start().strip_prefix('{').unwrap_or_default();
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    if inner.contains("||") || inner.contains(['{', '}', '(']) {
        return String::new();
    }
    let parts: Vec<&str> = inner.split("&&").map(str::trim).filter(|part| whole(&format!("{{ {part} }}"))).collect();
    if parts.is_empty() { String::new() } else { format!("{{ {} }}", parts.join(" && ")) }
}

/// The names of intrinsics, one for each.
pub(crate) fn intrinsic_names() -> impl Iterator<Item = &'static str> {
    let all = INTRINSICS.iter().chain(&INSTRUMENTATION);
    all.map(|(name, _)| *name).filter(|name| *name != "parent")
}

/// The values of what is listed, of the spans that a filter (or an empty text) leaves.
pub(crate) fn distinct(
    control: &Control,
    listed: &Listed,
    filter: &str,
    most: Distinct,
) -> Result<Vec<Value<'static>>> {
    let name = root_instead(&listed.0);
    let mut expression = filter_of(filter)?.and_then(of_the_span);
    if name != listed.0 {
        let root = Expression::IsRoot;
        expression = Some(match expression {
            Some(other) => Expression::And(vec![root, other]),
            None => root,
        });
    }
    if needs_trace(&name) {
        return Ok(Vec::new());
    }
    let mut names = vec![name.clone()];
    if let Some(expression) = &expression {
        expression.names(&mut |name| names.push(name.clone()));
    }
    let mut columns = columns_of(&names);
    columns.insert(column::START);
    let mut request = ScanRequest::all(columns);
    request.time = most.range;
    request.order = ScanOrder::Newest;
    request.predicate = lower(expression.as_ref()).predicate;
    let mut found: BTreeMap<String, Value<'static>> = BTreeMap::new();
    scan_some(control, request, MOST_VALUE_ROWS, |spans| {
        for row in 0..spans.rows() {
            let spot = Spot { spans, row, place: None };
            if found.len() >= most.limit || !expression.as_ref().is_none_or(|expression| expression.holds(spot)) {
                continue;
            }
            let values = match spot.value(&name) {
                Value::Nil | Value::Other => continue,
                Value::List(list) => list,
                value => vec![value],
            };
            for value in values {
                let key = format!("{value:?}");
                let bytes = 2 * key.len() + size_of::<Value<'_>>();
                if let Entry::Vacant(place) = found.entry(key) {
                    control.charge(bytes)?;
                    place.insert(value.into_owned());
                }
            }
        }
        Ok(found.len() < most.limit)
    })?;
    Ok(found.into_values().collect())
}

/// What of an expression a span decides by itself: of a conjunction its parts, else all or nothing.
fn of_the_span(expression: Expression) -> Option<Expression> {
    if let Expression::And(parts) = expression {
        let parts: Vec<Expression> = parts.into_iter().filter_map(of_the_span).collect();
        return (!parts.is_empty()).then_some(Expression::And(parts));
    }
    let mut asks_trace = false;
    expression.names(&mut |name| asks_trace |= needs_trace(name));
    (!asks_trace).then_some(expression)
}

/// The root's name is the name of a root.
fn root_instead(name: &Name) -> Name {
    let what = match name.what {
        What::Intrinsic(Intrinsic::RootName) => What::Intrinsic(Intrinsic::Name),
        What::Intrinsic(Intrinsic::RootServiceName) => What::Attribute(Scope::Resource, "service.name".to_owned()),
        _ => return name.clone(),
    };
    Name { what, ..name.clone() }
}

fn filter_of(filter: &str) -> Result<Option<Expression>> {
    if filter.is_empty() {
        return Ok(None);
    }
    let Root::Spans(pipeline) = parse(filter)?.root else { return Ok(None) };
    match pipeline.0.as_slice() {
        [Stage::Spansets(Spansets::Filter(Some(field)))] => {
            Expression::new(field).map(Some).map_err(|message| Error::parameter("q", message))
        }
        _ => Ok(None),
    }
}

/// The keys of the attributes of events and of links.
pub(crate) fn keys_of_events_and_links(
    control: &Control,
    range: TimeRange,
) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut events, mut links) = (BTreeSet::new(), BTreeSet::new());
    for (name, keys) in [(column::EVENTS, &mut events), (column::LINKS, &mut links)] {
        let mut request = ScanRequest::all([name]);
        request.time = range;
        request.order = ScanOrder::Newest;
        request.predicate = Predicate::Exists(Field::Column(name));
        let mut rows = 0;
        until(control, request, |batch| {
            let cells = Columns(batch).cells(name)?;
            for row in 0..batch.num_rows() {
                let mut add = |key: &str| {
                    if !keys.contains(key) {
                        keys.insert(key.to_owned());
                    }
                };
                match name {
                    column::EVENTS => Event::list(cells.get(row))
                        .for_each(|event| event.attributes.iter().for_each(|(key, _)| add(key))),
                    _ => {
                        Link::list(cells.get(row)).for_each(|link| link.attributes.iter().for_each(|(key, _)| add(key)))
                    }
                }
            }
            rows += batch.num_rows();
            Ok(rows < MOST_KEY_ROWS)
        })?;
    }
    Ok((events, links))
}

fn scan_some(
    control: &Control,
    request: ScanRequest,
    most: usize,
    mut each: impl FnMut(&Spans<'_>) -> Result<bool>,
) -> Result<()> {
    let mut rows = 0;
    until(control, request, |batch| {
        rows += batch.num_rows();
        Ok(each(&Spans::new(batch)?)? && rows < most)
    })
}

/// Scans as long as `each` says that it should go on.
fn until(
    control: &Control,
    request: ScanRequest,
    mut each: impl FnMut(&arrow_array::RecordBatch) -> Result<bool>,
) -> Result<()> {
    let mut done = false;
    let scanned = control.scan(Signal::Spans, request, |batch| {
        done = !each(batch)?;
        // The scan ends by the error; it is not handed on.
        if done { Err(Error::Cancelled) } else { Ok(()) }
    });
    match scanned {
        Err(Error::Cancelled) if done => control.check(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::understood;

    #[test]
    fn l1_conditions_that_are_whole_are_kept() {
        let cases = [
            ("{ .a = 1 && .b = }", "{ .a = 1 }"),
            ("{ .a = 1 && resource.x = \"y\" && name =", "{ .a = 1 && resource.x = \"y\" }"),
            ("{ .a = 1 || .b = 2 }", "{ .a = 1 || .b = 2 }"),
            ("{ .a = 1 || .b = }", ""),
            ("{ }", ""),
            ("{ .a = ", ""),
            ("nonsense", ""),
            ("{ .a = 1 } >> { .b = ", ""),
            ("{ status = error && .b }", "{ status = error && .b }"),
        ];
        for (text, expected) in cases {
            assert_eq!(understood(text), expected, "{text}");
        }
    }
}
