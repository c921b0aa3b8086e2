//! Which columns has each table? One Arrow schema per signal, the same in memory and in every answer of a scan.
//!
//! Cells of type Binary hold the encodings of `attribute` (maps), `origin` (resource, scope) and `record` (lists).
//! A null in a nullable text or list column means "empty", as OTLP does not tell the two apart.

use super::Signal;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::{Arc, LazyLock};

/// Column names. One word, one meaning, across tables.
pub mod column {
    #![expect(missing_docs, reason = "the names are OpenTelemetry's own")]
    // spans, and what logs share with them
    pub const TRACE_ID: &str = "trace_id";
    pub const SPAN_ID: &str = "span_id";
    pub const PARENT_SPAN_ID: &str = "parent_span_id";
    pub const TRACE_STATE: &str = "trace_state";
    pub const FLAGS: &str = "flags";
    pub const NAME: &str = "name";
    pub const KIND: &str = "kind";
    pub const START: &str = "start";
    pub const DURATION: &str = "duration";
    pub const STATUS_CODE: &str = "status_code";
    pub const STATUS_MESSAGE: &str = "status_message";
    pub const EVENTS: &str = "events";
    pub const LINKS: &str = "links";
    pub const DROPPED_EVENTS_COUNT: &str = "dropped_events_count";
    pub const DROPPED_LINKS_COUNT: &str = "dropped_links_count";
    // every table
    pub const SERVICE_NAME: &str = "service_name";
    pub const RESOURCE: &str = "resource";
    pub const SCOPE: &str = "scope";
    pub const ATTRIBUTES: &str = "attributes";
    pub const DROPPED_ATTRIBUTES_COUNT: &str = "dropped_attributes_count";
    // logs
    pub const TIME: &str = "time";
    pub const OBSERVED_TIME: &str = "observed_time";
    pub const SEVERITY_NUMBER: &str = "severity_number";
    pub const SEVERITY_TEXT: &str = "severity_text";
    pub const BODY: &str = "body";
    pub const BODY_VALUE: &str = "body_value";
    pub const EVENT_NAME: &str = "event_name";
    // derived, of spans: where they stand in the tree of their trace (`trace`)
    pub const NESTED_SET_LEFT: &str = "nested_set_left";
    pub const NESTED_SET_RIGHT: &str = "nested_set_right";
    pub const NESTED_SET_PARENT: &str = "nested_set_parent";
    pub const CHILD_COUNT: &str = "child_count";
    // metrics
    pub const TYPE: &str = "type";
    pub const UNIT: &str = "unit";
    pub const DESCRIPTION: &str = "description";
    pub const METADATA: &str = "metadata";
    pub const TEMPORALITY: &str = "temporality";
    pub const IS_MONOTONIC: &str = "is_monotonic";
    pub const START_TIME: &str = "start_time";
    pub const VALUE_INT: &str = "value_int";
    pub const VALUE_DOUBLE: &str = "value_double";
    pub const COUNT: &str = "count";
    pub const SUM: &str = "sum";
    pub const MIN: &str = "min";
    pub const MAX: &str = "max";
    pub const EXPLICIT_BOUNDS: &str = "explicit_bounds";
    pub const BUCKET_COUNTS: &str = "bucket_counts";
    pub const SCALE: &str = "scale";
    pub const ZERO_COUNT: &str = "zero_count";
    pub const ZERO_THRESHOLD: &str = "zero_threshold";
    pub const POSITIVE: &str = "positive";
    pub const NEGATIVE: &str = "negative";
    pub const QUANTILES: &str = "quantiles";
    pub const EXEMPLARS: &str = "exemplars";
}

use column::*;

/// The schema of a signal's table.
pub fn of(signal: Signal) -> &'static SchemaRef {
    static SPANS: LazyLock<SchemaRef> = LazyLock::new(spans);
    static LOGS: LazyLock<SchemaRef> = LazyLock::new(logs);
    static METRICS: LazyLock<SchemaRef> = LazyLock::new(metrics);
    match signal {
        Signal::Spans => &SPANS,
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
    }
}

/// Columns of spans that are in no table: they are derived when a scan asks for them. Rows in memory have no values in them.
pub const NESTED_SET: [&str; 4] = [NESTED_SET_LEFT, NESTED_SET_RIGHT, NESTED_SET_PARENT, CHILD_COUNT];

/// The field of one of [`NESTED_SET`].
pub fn nested_set_field(column: &str) -> Field {
    optional(column, DataType::Int32)
}

/// Whether a column is derived.
pub fn is_derived(signal: Signal, column: &str) -> bool {
    signal == Signal::Spans && NESTED_SET.contains(&column)
}

/// Whether a scan of a signal's table can be asked for a column.
pub fn has_column(signal: Signal, column: &str) -> bool {
    is_derived(signal, column) || of(signal).index_of(column).is_ok()
}

/// The column whose value places a row in time: a span's start, a record's or a point's time.
pub fn time_column(signal: Signal) -> &'static str {
    match signal {
        Signal::Spans => START,
        Signal::Logs | Signal::Metrics => TIME,
    }
}

/// Nanoseconds since 1970 UTC.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// Text that repeats from row to row.
pub fn repeated_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A binary cell that repeats from row to row.
pub fn repeated_cell() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary))
}

fn required(name: &str, r#type: DataType) -> Field {
    Field::new(name, r#type, false)
}

fn optional(name: &str, r#type: DataType) -> Field {
    Field::new(name, r#type, true)
}

fn origin() -> [Field; 3] {
    [required(SERVICE_NAME, repeated_text()), required(RESOURCE, repeated_cell()), required(SCOPE, repeated_cell())]
}

fn schema(fields: impl IntoIterator<Item = Field>) -> SchemaRef {
    Arc::new(Schema::new(fields.into_iter().collect::<Vec<_>>()))
}

fn spans() -> SchemaRef {
    schema(origin().into_iter().chain([
        required(TRACE_ID, DataType::FixedSizeBinary(16)),
        required(SPAN_ID, DataType::FixedSizeBinary(8)),
        optional(PARENT_SPAN_ID, DataType::FixedSizeBinary(8)),
        optional(TRACE_STATE, DataType::Utf8),
        required(FLAGS, DataType::UInt32),
        required(NAME, DataType::Utf8),
        required(KIND, DataType::Int32),
        required(START, timestamp()),
        required(DURATION, DataType::Int64),
        required(STATUS_CODE, DataType::Int32),
        optional(STATUS_MESSAGE, DataType::Utf8),
        required(ATTRIBUTES, DataType::Binary),
        required(DROPPED_ATTRIBUTES_COUNT, DataType::UInt32),
        optional(EVENTS, DataType::Binary),
        required(DROPPED_EVENTS_COUNT, DataType::UInt32),
        optional(LINKS, DataType::Binary),
        required(DROPPED_LINKS_COUNT, DataType::UInt32),
    ]))
}

fn logs() -> SchemaRef {
    schema(origin().into_iter().chain([
        required(TIME, timestamp()),
        optional(OBSERVED_TIME, timestamp()),
        required(SEVERITY_NUMBER, DataType::Int32),
        optional(SEVERITY_TEXT, DataType::Utf8),
        optional(BODY, DataType::Utf8),
        optional(BODY_VALUE, DataType::Binary),
        optional(EVENT_NAME, DataType::Utf8),
        optional(TRACE_ID, DataType::FixedSizeBinary(16)),
        optional(SPAN_ID, DataType::FixedSizeBinary(8)),
        required(FLAGS, DataType::UInt32),
        required(ATTRIBUTES, DataType::Binary),
        required(DROPPED_ATTRIBUTES_COUNT, DataType::UInt32),
    ]))
}

fn metrics() -> SchemaRef {
    schema(origin().into_iter().chain([
        required(NAME, repeated_text()),
        required(TYPE, DataType::Int32),
        required(UNIT, repeated_text()),
        required(DESCRIPTION, repeated_text()),
        required(METADATA, repeated_cell()),
        required(TEMPORALITY, DataType::Int32),
        required(IS_MONOTONIC, DataType::Boolean),
        required(ATTRIBUTES, DataType::Binary),
        required(TIME, timestamp()),
        optional(START_TIME, timestamp()),
        required(FLAGS, DataType::UInt32),
        optional(VALUE_INT, DataType::Int64),
        optional(VALUE_DOUBLE, DataType::Float64),
        optional(COUNT, DataType::UInt64),
        optional(SUM, DataType::Float64),
        optional(MIN, DataType::Float64),
        optional(MAX, DataType::Float64),
        optional(EXPLICIT_BOUNDS, DataType::Binary),
        optional(BUCKET_COUNTS, DataType::Binary),
        optional(SCALE, DataType::Int32),
        optional(ZERO_COUNT, DataType::UInt64),
        optional(ZERO_THRESHOLD, DataType::Float64),
        optional(POSITIVE, DataType::Binary),
        optional(NEGATIVE, DataType::Binary),
        optional(QUANTILES, DataType::Binary),
        optional(EXEMPLARS, DataType::Binary),
    ]))
}
