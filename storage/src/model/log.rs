//! How do log records become columns?

use super::attribute::{Map, Value};
use super::dictionary::OriginBuilder;
use super::origin::{Resource, Scope};
use super::span::{finish, non_empty};
use super::{Batch, Signal, SpanId, TraceId, schema};
use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, StringBuilder, TimestampNanosecondBuilder, UInt32Builder,
};
use arrow_schema::ArrowError;
use std::sync::Arc;

/// One log record, borrowed from where it was decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LogRecord<'a> {
    /// Time of the event; where the sender told none, when it was observed, else when it was received.
    pub time: i64,
    /// When the sender observed it, if told.
    pub observed_time: Option<i64>,
    /// OTLP's number of the severity.
    pub severity_number: i32,
    /// The sender's own word for it.
    pub severity_text: &'a str,
    /// The body as an encoded value (`attribute`); empty where there is none.
    pub body: &'a [u8],
    /// Name of the event, if the record is one.
    pub event_name: &'a str,
    /// Trace, if any.
    pub trace_id: Option<TraceId>,
    /// Span, if any.
    pub span_id: Option<SpanId>,
    /// W3C flags.
    pub flags: u32,
    /// Attributes.
    pub attributes: Map<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
}

/// Appends log records, column by column. Resource and scope are set for the records that follow.
#[derive(Debug)]
pub struct LogBatchBuilder {
    origin: OriginBuilder,
    time: TimestampNanosecondBuilder,
    observed_time: TimestampNanosecondBuilder,
    severity_number: Int32Builder,
    severity_text: StringBuilder,
    body: StringBuilder,
    body_value: BinaryBuilder,
    event_name: StringBuilder,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    flags: UInt32Builder,
    attributes: BinaryBuilder,
    dropped_attributes_count: UInt32Builder,
}

impl Default for LogBatchBuilder {
    fn default() -> Self {
        LogBatchBuilder::with_room(0, 0, 0)
    }
}

impl LogBatchBuilder {
    /// A builder that does not have to grow for so many records, whose bodies and attributes take so many bytes.
    pub fn with_room(records: usize, body_bytes: usize, attribute_bytes: usize) -> Self {
        let times = || TimestampNanosecondBuilder::with_capacity(records).with_data_type(schema::timestamp());
        LogBatchBuilder {
            origin: OriginBuilder::with_room(records),
            time: times(),
            observed_time: times(),
            severity_number: Int32Builder::with_capacity(records),
            severity_text: StringBuilder::with_capacity(records, 0),
            body: StringBuilder::with_capacity(records, body_bytes),
            body_value: BinaryBuilder::with_capacity(records, 0),
            event_name: StringBuilder::with_capacity(records, 0),
            trace_id: FixedSizeBinaryBuilder::with_capacity(records, 16),
            span_id: FixedSizeBinaryBuilder::with_capacity(records, 8),
            flags: UInt32Builder::with_capacity(records),
            attributes: BinaryBuilder::with_capacity(records, attribute_bytes),
            dropped_attributes_count: UInt32Builder::with_capacity(records),
        }
    }

    /// Sets the resource of the records that follow.
    pub fn set_resource(&mut self, resource: &Resource<'_>) {
        self.origin.set_resource(resource);
    }

    /// Sets the instrumentation scope of the records that follow.
    pub fn set_scope(&mut self, scope: &Scope<'_>) {
        self.origin.set_scope(scope);
    }

    /// How many records were appended.
    pub fn len(&self) -> usize {
        self.time.values_slice().len()
    }

    /// Whether no record was appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a record. Fails only where the batch outgrows Arrow's limits.
    pub fn append(&mut self, record: &LogRecord<'_>) -> Result<(), ArrowError> {
        self.origin.append();
        self.time.append_value(record.time);
        self.observed_time.append_option(record.observed_time);
        self.severity_number.append_value(record.severity_number);
        self.severity_text.append_option(non_empty(record.severity_text));
        self.append_body(record.body);
        self.event_name.append_option(non_empty(record.event_name));
        match record.trace_id {
            Some(id) => self.trace_id.append_value(id.0)?,
            None => self.trace_id.append_null(),
        }
        match record.span_id {
            Some(id) => self.span_id.append_value(id.0)?,
            None => self.span_id.append_null(),
        }
        self.flags.append_value(record.flags);
        self.attributes.append_value(record.attributes.as_bytes());
        self.dropped_attributes_count.append_value(record.dropped_attributes_count);
        Ok(())
    }

    /// Text goes to `body`, any other value to `body_value`.
    fn append_body(&mut self, encoded: &[u8]) {
        match Value::parse(encoded) {
            Some(Value::String(text)) => {
                self.body.append_value(text);
                self.body_value.append_null();
            }
            Some(_) => {
                self.body.append_null();
                self.body_value.append_value(encoded);
            }
            None => {
                self.body.append_null();
                self.body_value.append_null();
            }
        }
    }

    /// The batch.
    pub fn finish(mut self) -> Result<Batch, ArrowError> {
        let mut columns: Vec<ArrayRef> = self.origin.finish()?.into();
        columns.extend::<[ArrayRef; 12]>([
            Arc::new(self.time.finish()),
            Arc::new(self.observed_time.finish()),
            Arc::new(self.severity_number.finish()),
            Arc::new(self.severity_text.finish()),
            Arc::new(self.body.finish()),
            Arc::new(self.body_value.finish()),
            Arc::new(self.event_name.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.flags.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(self.dropped_attributes_count.finish()),
        ]);
        finish(Signal::Logs, columns)
    }
}
