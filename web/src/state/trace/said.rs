//! What was said during a trace? The events of its spans as log records, and both in one order.
//!
//! SD1  Latest first, as logs are read; at the same time an event stands before what was logged.
//! SD2  While further logs may come, no event is older than the oldest log that has come: a list that grows keeps its rows.

use super::super::attribute;
use super::super::order;
use super::tree::{Row, Trace};
use query_api::log::LogRecord;
use query_api::otlp::{AnyValue, Event};

/// OTLP's number of an error, which an exception is.
const ERROR: i32 = 17;

/// All events, latest first.
pub fn events(trace: &Trace) -> Vec<LogRecord> {
    let of_row = |row: &Row| row.span.events.iter().map(|event| record(trace, row, event)).collect::<Vec<_>>();
    let records: Vec<LogRecord> = trace.rows.iter().flat_map(of_row).collect();
    order::falling(records, |record| record.time_unix_nano.saturating_sub(trace.start) as f64)
}

fn record(trace: &Trace, row: &Row, event: &Event) -> LogRecord {
    let scope = &trace.scopes[row.scope];
    let is_exception = event.name == "exception";
    let message = attribute::find(&event.attributes, "exception.message").filter(|_| is_exception);
    let words = [attribute::find(&event.attributes, "exception.type").filter(|_| is_exception), message];
    let words: Vec<String> = words.into_iter().flatten().filter(|words| !words.is_empty()).collect();
    let body = if words.is_empty() { event.name.clone() } else { words.join(": ") };
    LogRecord {
        time_unix_nano: i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX),
        severity_number: if is_exception { ERROR } else { 0 },
        service: trace.services[row.service].name.clone(),
        body: Some(AnyValue::StringValue(body)),
        event_name: event.name.clone(),
        trace_id: row.span.trace_id.clone(),
        span_id: row.span.span_id.clone(),
        attributes: event.attributes.clone(),
        dropped_attributes_count: event.dropped_attributes_count,
        resource: trace.resources[row.resource].attributes.clone(),
        scope_name: scope.name.clone(),
        scope_version: scope.version.clone(),
        ..LogRecord::default()
    }
}

/// Logs, which are latest first, and events as one list; `whole` says that no further logs will come.
pub fn merged(logs: &[LogRecord], events: &[LogRecord], whole: bool) -> Vec<LogRecord> {
    let oldest = logs.last().map_or(i64::MAX, |log| log.time_unix_nano);
    let mut logs = logs.iter().peekable();
    let mut all = Vec::new();
    for event in events.iter().filter(|event| whole || event.time_unix_nano >= oldest) {
        while let Some(log) = logs.next_if(|log| log.time_unix_nano > event.time_unix_nano) {
            all.push(log.clone());
        }
        all.push(event.clone());
    }
    all.extend(logs.cloned());
    all
}

#[cfg(test)]
mod tests {
    use super::super::sample::{attribute, of, span};
    use super::*;
    use query_api::otlp::Span;

    fn log(time_unix_nano: i64) -> LogRecord {
        LogRecord { time_unix_nano, ..LogRecord::default() }
    }

    fn times(records: &[LogRecord]) -> Vec<i64> {
        records.iter().map(|record| record.time_unix_nano).collect()
    }

    #[test]
    fn events_are_read_as_logs() {
        let event = |time_unix_nano, name: &str, message: &str| Event {
            time_unix_nano,
            name: name.into(),
            attributes: vec![attribute("exception.message", message)],
            ..Event::default()
        };
        let events = vec![event(5, "cache miss", "x"), event(9, "exception", "boom")];
        let trace = of(vec![("a", Span { events, ..span((1, 0, 0, 10)) })]);
        let found = super::events(&trace);
        let body = |at: usize| found[at].body.clone().unwrap();
        assert_eq!(
            (times(&found), body(0), body(1)),
            (vec![9, 5], AnyValue::StringValue("boom".into()), AnyValue::StringValue("cache miss".into()))
        );
        assert_eq!((found[0].severity_number, found[1].severity_number, found[0].service.as_str()), (ERROR, 0, "a"));
    }

    #[test]
    fn sd2_a_list_that_grows_keeps_its_rows() {
        let (logs, events) = ([log(9), log(7), log(3)], [log(8), log(7), log(1)]);
        let first = merged(&logs[..2], &events, false);
        assert_eq!(times(&first), [9, 8, 7, 7]);
        let all = merged(&logs, &events, true);
        assert_eq!(times(&all), [9, 8, 7, 7, 3, 1]);
        assert_eq!(merged(&[], &events, true).len(), 3);
    }
}
