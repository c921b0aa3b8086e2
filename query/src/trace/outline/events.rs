//! What was said within a trace? The latest events of its spans, as log records.
//!
//! EV1  Latest first; of those of one moment that do not all fit, any.

use super::Outline;
use super::attributes::each_span;
use crate::attribute::{key_values, memory_of};
use crate::column::Columns;
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::log::LogRecord;
use query_api::otlp::AnyValue;
use query_api::outline::EventsResponse;
use std::cmp::Reverse;
use storage::model::attribute::Value;
use storage::model::record::Event;
use storage::model::schema::column;
use storage::model::{TraceId, origin};

/// OTLP's number of an error, which an exception is.
const ERROR: i32 = 17;

/// The latest events of a trace.
pub(crate) fn events(control: &Control, (trace, outline): (TraceId, &Outline), limit: usize) -> Result<EventsResponse> {
    let mut times: Vec<i64> = outline.events.iter().map(|(time, _)| outline.start.saturating_add(*time)).collect();
    control.charge(times.len() * size_of::<i64>())?;
    times.sort_unstable_by_key(|time| Reverse(*time));
    let from = times.get(limit.saturating_sub(1)).copied().unwrap_or(i64::MIN);
    // So many of the earliest moment fit beside all that are later.
    let mut room = limit.saturating_sub(times.partition_point(|time| *time > from));
    let mut events: Vec<LogRecord> = Vec::new();
    let columns = [column::EVENTS, column::RESOURCE, column::SCOPE];
    each_span(control, (trace, outline), &columns, |row, at, columns: Columns<'_>| {
        for event in Event::list(columns.cells(column::EVENTS)?.get(at)) {
            let time = i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX);
            if time < from || (time == from && room == 0) {
                continue;
            }
            room -= usize::from(time == from);
            let resource = origin::Resource::parse(columns.repeated_cells(column::RESOURCE)?.get(at));
            let scope = origin::Scope::parse(columns.repeated_cells(column::SCOPE)?.get(at));
            let (resource, scope) = resource.zip(scope).ok_or(Error::Cell { what: "resource or scope" })?;
            control.charge(memory_of(event.attributes) + memory_of(resource.attributes) + size_of::<LogRecord>())?;
            let mut record = record(&event, time);
            record.trace_id = trace.to_string();
            if let Some(row) = outline.rows.get(row) {
                (record.span_id, record.service) = (row.id.to_string(), outline.service_of(row).to_owned());
            }
            record.resource = key_values(resource.attributes);
            (record.scope_name, record.scope_version) = (scope.name.to_owned(), scope.version.to_owned());
            events.push(record);
        }
        Ok(())
    })?;
    events.sort_by_key(|event| Reverse(event.time_unix_nano));
    events.truncate(limit);
    Ok(EventsResponse { version: outline.version.clone(), count: times.len(), events, stats: control.stats() })
}

fn record(event: &Event<'_>, time_unix_nano: i64) -> LogRecord {
    let is_exception = event.name == "exception";
    let text = |key: &str| match event.attributes.get(key) {
        Some(Value::String(text)) if is_exception && !text.is_empty() => Some(text),
        _ => None,
    };
    let words: Vec<&str> = [text("exception.type"), text("exception.message")].into_iter().flatten().collect();
    let body = if words.is_empty() { event.name.to_owned() } else { words.join(": ") };
    LogRecord {
        time_unix_nano,
        severity_number: if is_exception { ERROR } else { 0 },
        body: Some(AnyValue::StringValue(body)),
        event_name: event.name.to_owned(),
        attributes: key_values(event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
        ..LogRecord::default()
    }
}
