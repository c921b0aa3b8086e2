//! How does a stored log record become one of the API, and how are records told apart?
//!
//! L1  A record's fingerprint depends on everything that it was sent with, and on nothing of where it lies. Records
//!     with one time are ordered by it; records with one time and one fingerprint are the same record sent twice.

use crate::attribute::{any_value, key_values, memory_of, origin_detail};
use crate::column::{Cells, Columns, Repeated, Text, span_id, trace_id};
use crate::error::{Error, Result};
use arrow_array::{
    Array, BinaryArray, FixedSizeBinaryArray, Int32Array, PrimitiveArray, RecordBatch, StringArray, UInt32Array,
    types::TimestampNanosecondType,
};
use query_api::log::LogRecord;
use query_api::otlp::AnyValue;
use storage::model::attribute::{Map, Value};
use storage::model::schema::column;
use storage::model::{SpanId, TraceId, origin};
use xxhash_rust::xxh3::Xxh3Default;

/// Every column of a record.
pub(super) const COLUMNS: [&str; 15] = [
    column::SERVICE_NAME,
    column::RESOURCE,
    column::SCOPE,
    column::TIME,
    column::OBSERVED_TIME,
    column::SEVERITY_NUMBER,
    column::SEVERITY_TEXT,
    column::BODY,
    column::BODY_VALUE,
    column::EVENT_NAME,
    column::TRACE_ID,
    column::SPAN_ID,
    column::FLAGS,
    column::ATTRIBUTES,
    column::DROPPED_ATTRIBUTES_COUNT,
];

/// The columns of the records of one batch.
pub(super) struct Records<'a> {
    pub(super) rows: usize,
    service: Repeated<'a, StringArray>,
    resource: Repeated<'a, BinaryArray>,
    scope: Repeated<'a, BinaryArray>,
    time: &'a PrimitiveArray<TimestampNanosecondType>,
    observed: &'a PrimitiveArray<TimestampNanosecondType>,
    severity_number: &'a Int32Array,
    severity_text: Text<'a>,
    body: Text<'a>,
    has_body: &'a StringArray,
    body_value: Cells<'a>,
    event_name: Text<'a>,
    trace_id: &'a FixedSizeBinaryArray,
    span_id: &'a FixedSizeBinaryArray,
    flags: &'a UInt32Array,
    attributes: Cells<'a>,
    dropped: &'a UInt32Array,
}

impl<'a> Records<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Records {
            rows: columns.rows(),
            service: columns.repeated_text(column::SERVICE_NAME)?,
            resource: columns.repeated_cells(column::RESOURCE)?,
            scope: columns.repeated_cells(column::SCOPE)?,
            time: columns.times(column::TIME)?,
            observed: columns.times(column::OBSERVED_TIME)?,
            severity_number: columns.int32(column::SEVERITY_NUMBER)?,
            severity_text: columns.text(column::SEVERITY_TEXT)?,
            body: columns.text(column::BODY)?,
            has_body: columns.strings(column::BODY)?,
            body_value: columns.cells(column::BODY_VALUE)?,
            event_name: columns.text(column::EVENT_NAME)?,
            trace_id: columns.fixed(column::TRACE_ID)?,
            span_id: columns.fixed(column::SPAN_ID)?,
            flags: columns.uint32(column::FLAGS)?,
            attributes: columns.cells(column::ATTRIBUTES)?,
            dropped: columns.uint32(column::DROPPED_ATTRIBUTES_COUNT)?,
        })
    }

    pub(super) fn time(&self, row: usize) -> i64 {
        self.time.value(row)
    }

    /// Tells records with one time apart (L1).
    pub(super) fn fingerprint(&self, row: usize) -> u64 {
        let mut hash = Xxh3Default::new();
        let mut put = |bytes: &[u8]| {
            hash.update(&bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        put(self.resource.get(row));
        put(self.scope.get(row));
        put(self.body.get(row).as_bytes());
        put(&[u8::from(self.has_body.is_valid(row)), u8::from(self.body_value.opt(row).is_some())]);
        put(self.body_value.get(row));
        put(self.attributes.get(row));
        put(self.severity_text.get(row).as_bytes());
        put(self.event_name.get(row).as_bytes());
        put(&trace_id(self.trace_id, row).map(|id| id.0).unwrap_or_default());
        put(&span_id(self.span_id, row).map(|id| id.0).unwrap_or_default());
        put(&self.observed(row).to_le_bytes());
        put(&self.severity_number.value(row).to_le_bytes());
        put(&self.flags.value(row).to_le_bytes());
        put(&self.dropped.value(row).to_le_bytes());
        hash.digest()
    }

    /// About how many bytes the record takes once it is written out.
    pub(super) fn memory_of(&self, row: usize) -> usize {
        // Origin cells are mostly a map of attributes; counted as bytes they are at least as long as it.
        let origin = 4 * (self.resource.get(row).len() + self.scope.get(row).len());
        let body = self.body.get(row).len() + 4 * self.body_value.get(row).len();
        size_of::<LogRecord>() + origin + body + memory_of(Map::new(self.attributes.get(row)))
    }

    pub(super) fn record(&self, row: usize) -> Result<LogRecord> {
        let resource = origin::Resource::parse(self.resource.get(row)).ok_or(Error::Cell { what: "resource" })?;
        let scope = origin::Scope::parse(self.scope.get(row)).ok_or(Error::Cell { what: "instrumentation scope" })?;
        Ok(LogRecord {
            time_unix_nano: self.time(row),
            observed_time_unix_nano: self.observed(row),
            severity_number: self.severity_number.value(row),
            severity_text: self.severity_text.get(row).into(),
            service: self.service.get(row).into(),
            body: self.body(row),
            event_name: self.event_name.get(row).into(),
            trace_id: trace_id(self.trace_id, row).as_ref().map(TraceId::to_string).unwrap_or_default(),
            span_id: span_id(self.span_id, row).as_ref().map(SpanId::to_string).unwrap_or_default(),
            flags: self.flags.value(row),
            attributes: key_values(Map::new(self.attributes.get(row))),
            dropped_attributes_count: self.dropped.value(row),
            resource: key_values(resource.attributes),
            scope_name: scope.name.into(),
            scope_version: scope.version.into(),
            scope_attributes: key_values(scope.attributes),
            origin: origin_detail(&resource, &scope),
        })
    }

    fn observed(&self, row: usize) -> i64 {
        if self.observed.is_valid(row) { self.observed.value(row) } else { 0 }
    }

    fn body(&self, row: usize) -> Option<AnyValue> {
        match self.body_value.opt(row) {
            Some(encoded) => Value::parse(encoded).map(any_value),
            None => self.has_body.is_valid(row).then(|| AnyValue::StringValue(self.body.get(row).into())),
        }
    }
}
