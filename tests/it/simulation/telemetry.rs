//! What does a simulated client send? Rows that carry a number each, so that every one can be told apart.
//!
//! The payload is a line per row; `decode` turns it into rows, at first and at replay alike.

use std::fmt::Write as _;
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::Number;
use storage::model::{
    Batch, LogBatchBuilder, LogRecord, MetricHead, Point, PointBatchBuilder, PointData, Signal, Span, SpanBatchBuilder,
    SpanId, TraceId,
};

/// One row. Its number is its identity; for spans, equal rows are one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) trace: u64,
    pub(super) time: i64,
}

/// The bytes of a request.
pub(super) fn encode(rows: &[Row]) -> Vec<u8> {
    let mut text = String::new();
    for row in rows {
        writeln!(text, "{} {} {}", row.number, row.trace, row.time).unwrap();
    }
    text.into_bytes()
}

/// The rows of a request.
pub(super) fn decode(signal: Signal, _received_at: i64, payload: &[u8]) -> Result<Batch, String> {
    let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
    let rows: Vec<Row> = text.lines().map(parse).collect::<Result<_, _>>()?;
    let mut attributes = MapBuilder::default();
    attributes.push("service.name", Value::String("simulated"));
    let resource_attributes = attributes.finish();
    let resource = Resource { attributes: Map::new(&resource_attributes), ..Resource::default() };
    match signal {
        Signal::Spans => spans(&resource, &rows),
        Signal::Logs => logs(&resource, &rows),
        Signal::Metrics => points(&resource, &rows),
    }
}

fn parse(line: &str) -> Result<Row, String> {
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or_else(|| format!("short line `{line}`"));
    let number = word()?.parse().map_err(|_| format!("bad number in `{line}`"))?;
    let trace = word()?.parse().map_err(|_| format!("bad trace in `{line}`"))?;
    let time = word()?.parse().map_err(|_| format!("bad time in `{line}`"))?;
    Ok(Row { number, trace, time })
}

fn number_attribute(row: &Row) -> Vec<u8> {
    let mut attributes = MapBuilder::default();
    attributes.push("number", Value::Int(row.number.cast_signed()));
    attributes.finish()
}

pub(super) fn trace_id(trace: u64) -> TraceId {
    TraceId((u128::from(trace) + 1).to_be_bytes())
}

fn spans(resource: &Resource<'_>, rows: &[Row]) -> Result<Batch, String> {
    let mut builder = SpanBatchBuilder::default();
    builder.set_resource(resource);
    builder.set_scope(&Scope::default());
    for row in rows {
        let attributes = number_attribute(row);
        let span = Span {
            name: "simulated",
            kind: 2,
            start: row.time,
            duration: 1_000,
            attributes: Map::new(&attributes),
            ..Span::new(trace_id(row.trace), SpanId((row.number + 1).to_be_bytes()))
        };
        builder.append(&span).map_err(|error| error.to_string())?;
    }
    builder.finish().map_err(|error| error.to_string())
}

fn logs(resource: &Resource<'_>, rows: &[Row]) -> Result<Batch, String> {
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(resource);
    builder.set_scope(&Scope::default());
    for row in rows {
        let attributes = number_attribute(row);
        let record = LogRecord {
            time: row.time,
            severity_number: 9,
            trace_id: Some(trace_id(row.trace)),
            attributes: Map::new(&attributes),
            ..LogRecord::default()
        };
        builder.append(&record).map_err(|error| error.to_string())?;
    }
    builder.finish().map_err(|error| error.to_string())
}

fn points(resource: &Resource<'_>, rows: &[Row]) -> Result<Batch, String> {
    let mut builder = PointBatchBuilder::default();
    builder.set_resource(resource);
    builder.set_scope(&Scope::default());
    builder.set_metric(&MetricHead {
        name: "simulated",
        unit: "1",
        description: "",
        metadata: Map::default(),
        temporality: 2,
        is_monotonic: true,
    });
    for row in rows {
        let attributes = number_attribute(row);
        let point = Point {
            attributes: Map::new(&attributes),
            time: row.time,
            start_time: None,
            flags: 0,
            exemplars: &[],
            data: PointData::Sum(Some(Number::Int(1))),
        };
        builder.append(&point).map_err(|error| error.to_string())?;
    }
    builder.finish().map_err(|error| error.to_string())
}

/// The row numbers of a scan's batch, from its attributes.
pub(super) fn numbers(batch: &arrow_array::RecordBatch) -> Vec<u64> {
    use arrow_array::cast::AsArray;
    let attributes = batch.column_by_name("attributes").unwrap().as_binary::<i32>();
    let number = |map: &[u8]| match Map::new(map).get("number") {
        Some(Value::Int(number)) => number.cast_unsigned(),
        other => panic!("a row without its number: {other:?}"),
    };
    attributes.iter().map(|map| number(map.unwrap())).collect()
}
