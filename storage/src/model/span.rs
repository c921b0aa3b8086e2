//! How do spans become columns?

use super::attribute::Map;
use super::dictionary::OriginBuilder;
use super::origin::{Resource, Scope};
use super::{Batch, Signal, SpanId, TraceId, schema};
use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampNanosecondBuilder,
    UInt32Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use std::sync::Arc;

/// Bytes of a span's name, about.
const NAME_BYTES: usize = 24;

/// One span, borrowed from where it was decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span<'a> {
    /// Trace.
    pub trace_id: TraceId,
    /// Span.
    pub span_id: SpanId,
    /// Parent; none for a root span.
    pub parent_span_id: Option<SpanId>,
    /// W3C tracestate.
    pub trace_state: &'a str,
    /// W3C flags and OTLP's is-remote bits.
    pub flags: u32,
    /// Operation name.
    pub name: &'a str,
    /// OTLP's number of the kind, also one that OTLP does not know yet.
    pub kind: i32,
    /// Start, Unix nanoseconds.
    pub start: i64,
    /// End minus start; negative where the sender's clock went backwards or no end was told.
    pub duration: i64,
    /// OTLP's number of the status.
    pub status_code: i32,
    /// Why, for an error.
    pub status_message: &'a str,
    /// Attributes.
    pub attributes: Map<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// Cell of [`super::record::Event`]s.
    pub events: &'a [u8],
    /// Events that the sender dropped.
    pub dropped_events_count: u32,
    /// Cell of [`super::record::Link`]s.
    pub links: &'a [u8],
    /// Links that the sender dropped.
    pub dropped_links_count: u32,
}

impl Span<'_> {
    /// A span of which nothing else was told.
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Span {
            trace_id,
            span_id,
            parent_span_id: None,
            trace_state: "",
            flags: 0,
            name: "",
            kind: 0,
            start: 0,
            duration: 0,
            status_code: 0,
            status_message: "",
            attributes: Map::default(),
            dropped_attributes_count: 0,
            events: &[],
            dropped_events_count: 0,
            links: &[],
            dropped_links_count: 0,
        }
    }
}

/// Appends spans, column by column. Resource and scope are set for the spans that follow.
#[derive(Debug)]
pub struct SpanBatchBuilder {
    origin: OriginBuilder,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    parent_span_id: FixedSizeBinaryBuilder,
    trace_state: StringBuilder,
    flags: UInt32Builder,
    name: StringBuilder,
    kind: Int32Builder,
    start: TimestampNanosecondBuilder,
    duration: Int64Builder,
    status_code: Int32Builder,
    status_message: StringBuilder,
    attributes: BinaryBuilder,
    dropped_attributes_count: UInt32Builder,
    events: BinaryBuilder,
    dropped_events_count: UInt32Builder,
    links: BinaryBuilder,
    dropped_links_count: UInt32Builder,
}

impl Default for SpanBatchBuilder {
    fn default() -> Self {
        SpanBatchBuilder::with_room(0, 0)
    }
}

impl SpanBatchBuilder {
    /// A builder that does not have to grow for so many spans, whose attributes take so many bytes.
    pub fn with_room(spans: usize, attribute_bytes: usize) -> Self {
        SpanBatchBuilder {
            origin: OriginBuilder::with_room(spans),
            trace_id: FixedSizeBinaryBuilder::with_capacity(spans, 16),
            span_id: FixedSizeBinaryBuilder::with_capacity(spans, 8),
            parent_span_id: FixedSizeBinaryBuilder::with_capacity(spans, 8),
            trace_state: StringBuilder::with_capacity(spans, 0),
            flags: UInt32Builder::with_capacity(spans),
            name: StringBuilder::with_capacity(spans, spans * NAME_BYTES),
            kind: Int32Builder::with_capacity(spans),
            start: TimestampNanosecondBuilder::with_capacity(spans).with_data_type(schema::timestamp()),
            duration: Int64Builder::with_capacity(spans),
            status_code: Int32Builder::with_capacity(spans),
            status_message: StringBuilder::with_capacity(spans, 0),
            attributes: BinaryBuilder::with_capacity(spans, attribute_bytes),
            dropped_attributes_count: UInt32Builder::with_capacity(spans),
            events: BinaryBuilder::with_capacity(spans, 0),
            dropped_events_count: UInt32Builder::with_capacity(spans),
            links: BinaryBuilder::with_capacity(spans, 0),
            dropped_links_count: UInt32Builder::with_capacity(spans),
        }
    }

    /// Sets the resource of the spans that follow.
    pub fn set_resource(&mut self, resource: &Resource<'_>) {
        self.origin.set_resource(resource);
    }

    /// Sets the instrumentation scope of the spans that follow.
    pub fn set_scope(&mut self, scope: &Scope<'_>) {
        self.origin.set_scope(scope);
    }

    /// How many spans were appended.
    pub fn len(&self) -> usize {
        self.start.values_slice().len()
    }

    /// Whether no span was appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a span. Fails only where the batch outgrows Arrow's limits.
    pub fn append(&mut self, span: &Span<'_>) -> Result<(), ArrowError> {
        self.origin.append();
        self.trace_id.append_value(span.trace_id.0)?;
        self.span_id.append_value(span.span_id.0)?;
        match span.parent_span_id {
            Some(parent) => self.parent_span_id.append_value(parent.0)?,
            None => self.parent_span_id.append_null(),
        }
        self.trace_state.append_option(non_empty(span.trace_state));
        self.flags.append_value(span.flags);
        self.name.append_value(span.name);
        self.kind.append_value(span.kind);
        self.start.append_value(span.start);
        self.duration.append_value(span.duration);
        self.status_code.append_value(span.status_code);
        self.status_message.append_option(non_empty(span.status_message));
        self.attributes.append_value(span.attributes.as_bytes());
        self.dropped_attributes_count.append_value(span.dropped_attributes_count);
        self.events.append_option(non_empty_cell(span.events));
        self.dropped_events_count.append_value(span.dropped_events_count);
        self.links.append_option(non_empty_cell(span.links));
        self.dropped_links_count.append_value(span.dropped_links_count);
        Ok(())
    }

    /// The batch.
    pub fn finish(mut self) -> Result<Batch, ArrowError> {
        let mut columns: Vec<ArrayRef> = self.origin.finish()?.into();
        columns.extend::<[ArrayRef; 17]>([
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.parent_span_id.finish()),
            Arc::new(self.trace_state.finish()),
            Arc::new(self.flags.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.start.finish()),
            Arc::new(self.duration.finish()),
            Arc::new(self.status_code.finish()),
            Arc::new(self.status_message.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(self.dropped_attributes_count.finish()),
            Arc::new(self.events.finish()),
            Arc::new(self.dropped_events_count.finish()),
            Arc::new(self.links.finish()),
            Arc::new(self.dropped_links_count.finish()),
        ]);
        finish(Signal::Spans, columns)
    }
}

/// Puts finished columns together under the signal's schema.
pub(super) fn finish(signal: Signal, columns: Vec<ArrayRef>) -> Result<Batch, ArrowError> {
    let columns = RecordBatch::try_new(schema::of(signal).clone(), columns)?;
    Batch::new(signal, columns).ok_or_else(|| ArrowError::SchemaError(format!("not the schema of {signal}")))
}

/// Empty text is stored as null.
pub(super) fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// An empty cell is stored as null.
pub(super) fn non_empty_cell(cell: &[u8]) -> Option<&[u8]> {
    (!cell.is_empty()).then_some(cell)
}
