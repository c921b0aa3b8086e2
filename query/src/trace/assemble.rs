//! How do stored spans become OTLP/JSON again? By resource and scope, spans by start.
//!
//! A1  Everything that was sent is given back: all fields of all spans, and of the resources and scopes they came with.
//! A2  The answer depends on the spans only, not on the batches they lie in: resources and scopes come in the order of
//!     their first span, spans by start, then id.

use crate::attribute::{key_values, memory_of};
use crate::column::{Cells, Columns, Repeated, Text, span_id, trace_id};
use crate::error::{Error, Result};
use crate::exec::Control;
use arrow_array::{
    BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch, UInt32Array,
    types::TimestampNanosecondType,
};
use arrow_buffer::BooleanBuffer;
use query_api::otlp::{EntityRef, Event, Link, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, TracesData};
use std::collections::HashMap;
use storage::model::attribute::Map;
use storage::model::schema::column;
use storage::model::{origin, record};

/// What a span takes beyond its texts and attributes.
const SPAN_BYTES: usize = size_of::<Span>() + 64;

/// Spans in the full schema as OTLP/JSON: all rows, or those that are told of each batch.
pub(super) fn traces_data(
    control: &Control,
    batches: &[RecordBatch],
    told: Option<&[BooleanBuffer]>,
) -> Result<TracesData> {
    let is_told = |batch: usize, row: usize| {
        told.is_none_or(|told| told.get(batch).is_some_and(|told| row < told.len() && told.value(row)))
    };
    let sources = batches.iter().map(Spans::new).collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<Row> = Vec::new();
    for (batch, spans) in sources.iter().enumerate() {
        let before = rows.len();
        let told = (0..spans.rows).filter(|row| is_told(batch, *row));
        rows.extend(told.map(|row| Row { start: spans.start.value(row), id: spans.id(row), batch, row }));
        control.collect(rows.len() - before)?;
        control.charge((rows.len() - before) * size_of::<Row>())?;
    }
    rows.sort_unstable();
    let mut groups = Groups::default();
    for (done, row) in rows.iter().enumerate() {
        if done % 4096 == 0 {
            control.check()?;
        }
        let Some(spans) = sources.get(row.batch) else { continue };
        control.charge(spans.memory_of(row.row))?;
        let span = spans.span(row.row);
        groups.scope(spans.resource.get(row.row), spans.scope.get(row.row))?.spans.push(span);
    }
    Ok(TracesData { resource_spans: groups.list, missing: Vec::new() })
}

/// Ascending is the order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    start: i64,
    id: [u8; 8],
    batch: usize,
    row: usize,
}

/// Resources and scopes by their cells, in the order of their first span.
#[derive(Default)]
struct Groups<'a> {
    list: Vec<ResourceSpans>,
    resources: HashMap<&'a [u8], usize>,
    scopes: HashMap<(usize, &'a [u8]), usize>,
}

impl<'a> Groups<'a> {
    fn scope(&mut self, resource: &'a [u8], scope: &'a [u8]) -> Result<&mut ScopeSpans> {
        let at = match self.resources.get(resource) {
            Some(at) => *at,
            None => {
                self.list.push(resource_spans(resource)?);
                self.resources.insert(resource, self.list.len() - 1);
                self.list.len() - 1
            }
        };
        let gone = || Error::bug("a resource is missing from its own list");
        let group = self.list.get_mut(at).ok_or_else(gone)?;
        let within = match self.scopes.get(&(at, scope)) {
            Some(within) => *within,
            None => {
                group.scope_spans.push(scope_spans(scope)?);
                self.scopes.insert((at, scope), group.scope_spans.len() - 1);
                group.scope_spans.len() - 1
            }
        };
        group.scope_spans.get_mut(within).ok_or_else(gone)
    }
}

fn resource_spans(cell: &[u8]) -> Result<ResourceSpans> {
    let resource = origin::Resource::parse(cell).ok_or(Error::Cell { what: "resource" })?;
    Ok(ResourceSpans {
        resource: Resource {
            attributes: key_values(resource.attributes),
            dropped_attributes_count: resource.dropped_attributes_count,
            entity_refs: resource.entities.iter().map(entity_ref).collect(),
        },
        scope_spans: Vec::new(),
        schema_url: resource.schema_url.into(),
    })
}

fn entity_ref(entity: &origin::Entity<'_>) -> EntityRef {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    EntityRef {
        schema_url: entity.schema_url.into(),
        r#type: entity.r#type.into(),
        id_keys: owned(&entity.id_keys),
        description_keys: owned(&entity.description_keys),
    }
}

fn scope_spans(cell: &[u8]) -> Result<ScopeSpans> {
    let scope = origin::Scope::parse(cell).ok_or(Error::Cell { what: "instrumentation scope" })?;
    Ok(ScopeSpans {
        scope: Scope {
            name: scope.name.into(),
            version: scope.version.into(),
            attributes: key_values(scope.attributes),
            dropped_attributes_count: scope.dropped_attributes_count,
        },
        spans: Vec::new(),
        schema_url: scope.schema_url.into(),
    })
}

/// The columns of the spans of one batch.
struct Spans<'a> {
    rows: usize,
    resource: Repeated<'a, BinaryArray>,
    scope: Repeated<'a, BinaryArray>,
    trace_id: &'a FixedSizeBinaryArray,
    span_id: &'a FixedSizeBinaryArray,
    parent: &'a FixedSizeBinaryArray,
    trace_state: Text<'a>,
    flags: &'a UInt32Array,
    name: Text<'a>,
    kind: &'a Int32Array,
    start: &'a PrimitiveArray<TimestampNanosecondType>,
    duration: &'a Int64Array,
    status_code: &'a Int32Array,
    status_message: Text<'a>,
    attributes: Cells<'a>,
    dropped_attributes: &'a UInt32Array,
    events: Cells<'a>,
    dropped_events: &'a UInt32Array,
    links: Cells<'a>,
    dropped_links: &'a UInt32Array,
}

impl<'a> Spans<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Spans {
            rows: columns.rows(),
            resource: columns.repeated_cells(column::RESOURCE)?,
            scope: columns.repeated_cells(column::SCOPE)?,
            trace_id: columns.fixed(column::TRACE_ID)?,
            span_id: columns.fixed(column::SPAN_ID)?,
            parent: columns.fixed(column::PARENT_SPAN_ID)?,
            trace_state: columns.text(column::TRACE_STATE)?,
            flags: columns.uint32(column::FLAGS)?,
            name: columns.text(column::NAME)?,
            kind: columns.int32(column::KIND)?,
            start: columns.times(column::START)?,
            duration: columns.int64(column::DURATION)?,
            status_code: columns.int32(column::STATUS_CODE)?,
            status_message: columns.text(column::STATUS_MESSAGE)?,
            attributes: columns.cells(column::ATTRIBUTES)?,
            dropped_attributes: columns.uint32(column::DROPPED_ATTRIBUTES_COUNT)?,
            events: columns.cells(column::EVENTS)?,
            dropped_events: columns.uint32(column::DROPPED_EVENTS_COUNT)?,
            links: columns.cells(column::LINKS)?,
            dropped_links: columns.uint32(column::DROPPED_LINKS_COUNT)?,
        })
    }

    fn id(&self, row: usize) -> [u8; 8] {
        span_id(self.span_id, row).map(|id| id.0).unwrap_or_default()
    }

    /// About how many bytes the span takes in the answer.
    fn memory_of(&self, row: usize) -> usize {
        // An event or link is at least three times as large in memory as in its cell.
        let nested = 4 * (self.events.get(row).len() + self.links.get(row).len());
        let texts = self.name.get(row).len() + self.status_message.get(row).len() + self.trace_state.get(row).len();
        SPAN_BYTES + memory_of(Map::new(self.attributes.get(row))) + nested + texts
    }

    fn span(&self, row: usize) -> Span {
        let start = self.start.value(row);
        let end = start.wrapping_add(self.duration.value(row));
        Span {
            trace_id: trace_id(self.trace_id, row).map(|id| id.to_string()).unwrap_or_default(),
            span_id: span_id(self.span_id, row).map(|id| id.to_string()).unwrap_or_default(),
            trace_state: self.trace_state.get(row).into(),
            parent_span_id: span_id(self.parent, row).map(|id| id.to_string()).unwrap_or_default(),
            flags: self.flags.value(row),
            name: self.name.get(row).into(),
            kind: self.kind.value(row),
            start_time_unix_nano: start.cast_unsigned(),
            end_time_unix_nano: end.cast_unsigned(),
            attributes: key_values(Map::new(self.attributes.get(row))),
            dropped_attributes_count: self.dropped_attributes.value(row),
            events: record::Event::list(self.events.get(row)).map(event).collect(),
            dropped_events_count: self.dropped_events.value(row),
            links: record::Link::list(self.links.get(row)).map(link).collect(),
            dropped_links_count: self.dropped_links.value(row),
            status: Status { message: self.status_message.get(row).into(), code: self.status_code.value(row) },
        }
    }
}

fn event(event: record::Event<'_>) -> Event {
    Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.into(),
        attributes: key_values(event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn link(link: record::Link<'_>) -> Link {
    Link {
        trace_id: hex(link.trace_id),
        span_id: hex(link.span_id),
        trace_state: link.trace_state.into(),
        attributes: key_values(link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    }
}

/// Hex digits of an id of any length.
pub(crate) fn hex(id: &[u8]) -> String {
    let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests;
