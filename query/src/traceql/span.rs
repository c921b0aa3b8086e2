//! How is a stored span asked for what a query names?
//!
//! P1  An unscoped attribute is the span's own, else the resource's, else that of its events, else the instrumentation
//!     scope's. Links are asked by `link.` only: they are in no index, and an unscoped attribute would have to be looked for
//!     in all of them.
//! P2  `resource.service.name` is never missing: a resource without it is an `unknown_service`.
//! P3  Of events and links all are asked; what several have is a list.
//!
//! Not here: what depends on other spans of the trace (`trace`).

use super::ast::{Intrinsic, Name, Scope, What};
use super::value::Value;
use crate::column::{Cells, Columns, Repeated, StandFor, Text, span_id, trace_id};
use crate::error::Result;
use crate::trace::hex;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{
    BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
};
use std::collections::BTreeSet;
use storage::model::attribute::Map;
use storage::model::origin;
use storage::model::record::{Event, Link};
use storage::model::schema::column;
use storage::model::{SpanId, TraceId};

/// The spans of one batch, by those of its columns that were read.
#[derive(Debug)]
pub(super) struct Spans<'a> {
    trace_id: Option<&'a FixedSizeBinaryArray>,
    span_id: Option<&'a FixedSizeBinaryArray>,
    parent: Option<&'a FixedSizeBinaryArray>,
    name: Option<Text<'a>>,
    kind: Option<&'a Int32Array>,
    start: Option<&'a PrimitiveArray<TimestampNanosecondType>>,
    duration: Option<&'a Int64Array>,
    status: Option<&'a Int32Array>,
    message: Option<Text<'a>>,
    attributes: Option<Cells<'a>>,
    events: Option<Cells<'a>>,
    links: Option<Cells<'a>>,
    service: Option<Repeated<'a, StringArray>>,
    resource: Option<Repeated<'a, BinaryArray>>,
    scope: Option<Repeated<'a, BinaryArray>>,
    stand_for: StandFor<'a>,
    rows: usize,
}

impl<'a> Spans<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        let has = |name: &str| batch.column_by_name(name).is_some();
        Ok(Spans {
            trace_id: has(column::TRACE_ID).then(|| columns.fixed(column::TRACE_ID)).transpose()?,
            span_id: has(column::SPAN_ID).then(|| columns.fixed(column::SPAN_ID)).transpose()?,
            parent: has(column::PARENT_SPAN_ID).then(|| columns.fixed(column::PARENT_SPAN_ID)).transpose()?,
            name: has(column::NAME).then(|| columns.text(column::NAME)).transpose()?,
            kind: has(column::KIND).then(|| columns.int32(column::KIND)).transpose()?,
            start: has(column::START).then(|| columns.times(column::START)).transpose()?,
            duration: has(column::DURATION).then(|| columns.int64(column::DURATION)).transpose()?,
            status: has(column::STATUS_CODE).then(|| columns.int32(column::STATUS_CODE)).transpose()?,
            message: has(column::STATUS_MESSAGE).then(|| columns.text(column::STATUS_MESSAGE)).transpose()?,
            attributes: has(column::ATTRIBUTES).then(|| columns.cells(column::ATTRIBUTES)).transpose()?,
            events: has(column::EVENTS).then(|| columns.cells(column::EVENTS)).transpose()?,
            links: has(column::LINKS).then(|| columns.cells(column::LINKS)).transpose()?,
            service: has(column::SERVICE_NAME).then(|| columns.repeated_text(column::SERVICE_NAME)).transpose()?,
            resource: has(column::RESOURCE).then(|| columns.repeated_cells(column::RESOURCE)).transpose()?,
            scope: has(column::SCOPE).then(|| columns.repeated_cells(column::SCOPE)).transpose()?,
            stand_for: columns.stand_for()?,
            rows: columns.rows(),
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn start(&self, row: usize) -> i64 {
        self.start.map_or(0, |starts| starts.value(row))
    }

    pub(super) fn duration(&self, row: usize) -> i64 {
        self.duration.map_or(0, |durations| durations.value(row))
    }

    pub(super) fn id(&self, row: usize) -> SpanId {
        self.span_id.and_then(|ids| span_id(ids, row)).unwrap_or(SpanId([0; 8]))
    }

    pub(super) fn trace(&self, row: usize) -> Option<TraceId> {
        self.trace_id.and_then(|ids| trace_id(ids, row))
    }

    pub(super) fn parent(&self, row: usize) -> Option<SpanId> {
        self.parent.and_then(|ids| span_id(ids, row))
    }

    pub(super) fn kind(&self, row: usize) -> i32 {
        self.kind.map_or(0, |kinds| kinds.value(row))
    }

    pub(super) fn status(&self, row: usize) -> i32 {
        self.status.map_or(0, |codes| codes.value(row))
    }

    pub(super) fn name(&self, row: usize) -> &'a str {
        self.name.map_or("", |names| names.get(row))
    }

    /// Whether it is known for how many spans each stands.
    pub(super) fn tell_for_how_many(&self) -> bool {
        self.stand_for.is_known()
    }

    /// How many spans it stands for; one where that was not read.
    pub(super) fn stands_for(&self, row: usize) -> f64 {
        self.stand_for.get(row)
    }

    pub(super) fn message(&self, row: usize) -> &'a str {
        self.message.map_or("", |messages| messages.get(row))
    }

    pub(super) fn service(&self, row: usize) -> &'a str {
        self.service.map_or("", |services| services.get(row))
    }

    /// The services of all spans, where they were read.
    pub(super) fn services(&self) -> Option<Repeated<'a, StringArray>> {
        self.service
    }

    /// What a span has by itself; nil for what its trace decides.
    pub(super) fn value(&self, what: &What, row: usize) -> Value<'a> {
        let intrinsic = match what {
            What::Attribute(scope, key) => return self.attribute(*scope, key, row),
            What::Intrinsic(intrinsic) => intrinsic,
        };
        match intrinsic {
            Intrinsic::Duration => Value::Duration(self.duration(row)),
            Intrinsic::Name => Value::Text(self.name(row).into()),
            Intrinsic::Status => Value::Status(self.status(row)),
            Intrinsic::StatusMessage => Value::Text(self.message(row).into()),
            Intrinsic::Kind => Value::Kind(self.kind(row)),
            Intrinsic::TraceId => Value::Text(self.trace(row).map(|id| id.to_string()).unwrap_or_default().into()),
            Intrinsic::SpanId => Value::Text(self.id(row).to_string().into()),
            Intrinsic::ParentId => Value::Text(self.parent(row).map(|id| id.to_string()).unwrap_or_default().into()),
            Intrinsic::EventName => Value::of_many(self.events(row).map(|event| Value::Text(event.name.into()))),
            Intrinsic::EventTimeSinceStart => {
                let start = self.start(row);
                let since =
                    |event: Event<'_>| Value::Duration(event.time_unix_nano.cast_signed().saturating_sub(start));
                Value::of_many(self.events(row).map(since))
            }
            Intrinsic::LinkTraceId => {
                Value::of_many(self.links(row).map(|link| Value::Text(hex(link.trace_id).into())))
            }
            Intrinsic::LinkSpanId => Value::of_many(self.links(row).map(|link| Value::Text(hex(link.span_id).into()))),
            Intrinsic::InstrumentationName => Value::Text(self.scope(row).map_or("", |scope| scope.name).into()),
            Intrinsic::InstrumentationVersion => Value::Text(self.scope(row).map_or("", |scope| scope.version).into()),
            Intrinsic::RootName
            | Intrinsic::RootServiceName
            | Intrinsic::TraceDuration
            | Intrinsic::NestedSetLeft
            | Intrinsic::NestedSetRight
            | Intrinsic::NestedSetParent
            | Intrinsic::Parent
            | Intrinsic::ChildCount => Value::Nil,
        }
    }

    fn attribute(&self, scope: Scope, key: &str, row: usize) -> Value<'a> {
        match scope {
            Scope::Any => {
                const ORDER: [Scope; 4] = [Scope::Span, Scope::Resource, Scope::Event, Scope::Instrumentation];
                let mut found = ORDER.into_iter().map(|scope| self.attribute(scope, key, row));
                found.find(|value| *value != Value::Nil).unwrap_or(Value::Nil)
            }
            Scope::Span => Value::of_attribute(self.attributes.and_then(|cells| Map::new(cells.get(row)).get(key))),
            Scope::Resource if key == "service.name" => Value::Text(self.service(row).into()),
            Scope::Resource => {
                let resource = self.resource.and_then(|cells| origin::Resource::parse(cells.get(row)));
                Value::of_attribute(resource.and_then(|resource| resource.attributes.get(key)))
            }
            Scope::Instrumentation => Value::of_attribute(self.scope(row).and_then(|scope| scope.attributes.get(key))),
            Scope::Event => {
                Value::of_many(self.events(row).map(|event| Value::of_attribute(event.attributes.get(key))))
            }
            Scope::Link => Value::of_many(self.links(row).map(|link| Value::of_attribute(link.attributes.get(key)))),
        }
    }

    pub(super) fn scope(&self, row: usize) -> Option<origin::Scope<'a>> {
        self.scope.and_then(|cells| origin::Scope::parse(cells.get(row)))
    }

    pub(super) fn events(&self, row: usize) -> impl Iterator<Item = Event<'a>> + use<'a> {
        Event::list(self.events.map_or(&[], |cells| cells.get(row)))
    }

    pub(super) fn links(&self, row: usize) -> impl Iterator<Item = Link<'a>> + use<'a> {
        Link::list(self.links.map_or(&[], |cells| cells.get(row)))
    }

    /// The attributes of a span and its resource, each with its scope.
    pub(super) fn each_attribute(&self, row: usize, mut each: impl FnMut(Scope, &'a str, Value<'a>)) {
        if let Some(cells) = self.attributes {
            Map::new(cells.get(row))
                .iter()
                .for_each(|(key, value)| each(Scope::Span, key, Value::of_attribute(Some(value))));
        }
        if let Some(resource) = self.resource.and_then(|cells| origin::Resource::parse(cells.get(row))) {
            resource
                .attributes
                .iter()
                .for_each(|(key, value)| each(Scope::Resource, key, Value::of_attribute(Some(value))));
        }
    }
}

/// The columns that tell what is named.
pub(super) fn columns_of<'n>(names: impl IntoIterator<Item = &'n Name>) -> BTreeSet<&'static str> {
    let mut columns = BTreeSet::new();
    for name in names {
        columns.extend(columns_of_one(&name.what));
    }
    columns
}

fn columns_of_one(what: &What) -> &'static [&'static str] {
    match what {
        What::Attribute(scope, key) => match scope {
            Scope::Any => &[column::ATTRIBUTES, column::SERVICE_NAME, column::RESOURCE, column::EVENTS, column::SCOPE],
            Scope::Span => &[column::ATTRIBUTES],
            Scope::Resource if key == "service.name" => &[column::SERVICE_NAME],
            Scope::Resource => &[column::RESOURCE],
            Scope::Event => &[column::EVENTS],
            Scope::Link => &[column::LINKS],
            Scope::Instrumentation => &[column::SCOPE],
        },
        What::Intrinsic(intrinsic) => match intrinsic {
            Intrinsic::Duration => &[column::DURATION],
            Intrinsic::Name => &[column::NAME],
            Intrinsic::Status => &[column::STATUS_CODE],
            Intrinsic::StatusMessage => &[column::STATUS_MESSAGE],
            Intrinsic::Kind => &[column::KIND],
            Intrinsic::TraceId => &[column::TRACE_ID],
            Intrinsic::SpanId => &[column::SPAN_ID],
            Intrinsic::ParentId | Intrinsic::NestedSetParent => &[column::PARENT_SPAN_ID],
            Intrinsic::EventName => &[column::EVENTS],
            Intrinsic::EventTimeSinceStart => &[column::EVENTS, column::START],
            Intrinsic::LinkTraceId | Intrinsic::LinkSpanId => &[column::LINKS],
            Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion => &[column::SCOPE],
            Intrinsic::RootName
            | Intrinsic::RootServiceName
            | Intrinsic::TraceDuration
            | Intrinsic::NestedSetLeft
            | Intrinsic::NestedSetRight
            | Intrinsic::Parent
            | Intrinsic::ChildCount => &[],
        },
    }
}

/// Whether the rest of the trace decides what is named.
pub(super) fn needs_trace(name: &Name) -> bool {
    name.parent
        || matches!(
            name.what,
            What::Intrinsic(
                Intrinsic::RootName
                    | Intrinsic::RootServiceName
                    | Intrinsic::TraceDuration
                    | Intrinsic::NestedSetLeft
                    | Intrinsic::NestedSetRight
                    | Intrinsic::NestedSetParent
                    | Intrinsic::Parent
                    | Intrinsic::ChildCount
            )
        )
}
