//! How is an export request written in OTLP/JSON?
//!
//! The protobuf JSON mapping with OTLP's exceptions: ids in lower-case hex, enums as integers; 64-bit integers are
//! strings, bytes are base64, field names lowerCamelCase, defaults left out. The places of ids and times are noted on the
//! way, so that the text can be stamped like the protobuf form.
//!
//! Invariants
//! - J1: the text parses back to the same message (checked against `opentelemetry_proto`'s own reader).
//! - J2: times have 19 digits, so that stamping keeps lengths.

use std::io::Write as _;

use base64::Engine as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint, exemplar,
    metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use prost::Message;

use super::stamp::{HEX, Malformed, Mark, Site, Sites};
use crate::config::Signal;
use crate::identity::Identity;

/// Rewrites a protobuf export request as OTLP/JSON.
///
/// ```
/// # use workload::{Config, Workload};
/// let mut shop = Workload::new(Config::default()).expect("valid settings");
/// let batch = shop.next_batch().expect("the model does not end");
/// let text = workload::client::to_json(batch.signal, &batch.bytes).expect("the model sends valid requests");
/// assert_eq!(text.first(), Some(&b'{'));
/// ```
pub fn to_json(signal: Signal, bytes: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    Ok(write(signal, bytes)?.out)
}

/// Rewrites a request and finds the places of its ids and times in the text.
pub(super) fn to_json_with_sites(
    signal: Signal,
    bytes: &[u8],
    identity: &Identity,
    binary: &Sites,
) -> Result<(Vec<u8>, Sites), Malformed> {
    let writer = write(signal, bytes).map_err(|_| super::stamp::malformed())?;
    let mut sites = Sites { sites: Vec::with_capacity(writer.marks.len()), ..binary.clone() };
    for (mark, at, id) in writer.marks {
        let value = match mark {
            Mark::Trace => identity.trace_number(id).1,
            Mark::Span => identity.span_number([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]]).1,
            Mark::Time | Mark::Start => (u128::from_be_bytes(id) >> 64) as u64,
        };
        sites.sites.push(Site { at: u32::try_from(at).map_err(|_| super::stamp::malformed())?, mark, value });
    }
    Ok((writer.out, sites))
}

fn write(signal: Signal, bytes: &[u8]) -> Result<Writer, prost::DecodeError> {
    let mut writer = Writer::default();
    match signal {
        Signal::Spans => {
            let request = ExportTraceServiceRequest::decode(bytes)?;
            writer.object(|o| {
                o.list("resourceSpans", &request.resource_spans, |o, part| {
                    o.resource(part.resource.as_ref());
                    o.list("scopeSpans", &part.scope_spans, |o, part| {
                        o.scope(part.scope.as_ref());
                        o.list("spans", &part.spans, span);
                        o.text("schemaUrl", &part.schema_url);
                    });
                    o.text("schemaUrl", &part.schema_url);
                })
            });
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(bytes)?;
            writer.object(|o| {
                o.list("resourceLogs", &request.resource_logs, |o, part| {
                    o.resource(part.resource.as_ref());
                    o.list("scopeLogs", &part.scope_logs, |o, part| {
                        o.scope(part.scope.as_ref());
                        o.list("logRecords", &part.log_records, log_record);
                        o.text("schemaUrl", &part.schema_url);
                    });
                    o.text("schemaUrl", &part.schema_url);
                })
            });
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(bytes)?;
            writer.object(|o| {
                o.list("resourceMetrics", &request.resource_metrics, |o, part| {
                    o.resource(part.resource.as_ref());
                    o.list("scopeMetrics", &part.scope_metrics, |o, part| {
                        o.scope(part.scope.as_ref());
                        o.list("metrics", &part.metrics, metric);
                        o.text("schemaUrl", &part.schema_url);
                    });
                    o.text("schemaUrl", &part.schema_url);
                })
            });
        }
    }
    Ok(writer)
}

/// The text so far, and the places in it: with the id's bytes, or with a time in the upper half.
#[derive(Debug, Default)]
struct Writer {
    out: Vec<u8>,
    marks: Vec<(Mark, usize, [u8; 16])>,
}

impl Writer {
    fn object(&mut self, write: impl FnOnce(&mut Object<'_>)) {
        self.out.push(b'{');
        write(&mut Object { writer: self, empty: true });
        self.out.push(b'}');
    }

    fn array<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.out.push(b'[');
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            write(self, item);
        }
        self.out.push(b']');
    }

    fn string(&mut self, text: &str) {
        // Writing a string into a vector cannot fail.
        if serde_json::to_writer(&mut self.out, text).is_err() {
            debug_assert!(false, "a string is always JSON");
        }
    }

    fn display(&mut self, arguments: std::fmt::Arguments<'_>) {
        if self.out.write_fmt(arguments).is_err() {
            debug_assert!(false, "a vector takes every byte");
        }
    }

    fn double(&mut self, value: f64) {
        if value.is_nan() {
            self.out.extend_from_slice(b"\"NaN\"");
        } else if value.is_infinite() {
            self.out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        } else {
            self.display(format_args!("{value:?}"));
        }
    }
}

/// An object under construction; fields with default values are left out unless said otherwise.
#[derive(Debug)]
struct Object<'a> {
    writer: &'a mut Writer,
    empty: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) -> &mut Writer {
        if !self.empty {
            self.writer.out.push(b',');
        }
        self.empty = false;
        self.writer.display(format_args!("\"{key}\":"));
        self.writer
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.key(key).string(value);
        }
    }

    /// A 32-bit integer or an enum.
    fn small(&mut self, key: &str, value: i64) {
        if value != 0 {
            self.key(key).display(format_args!("{value}"));
        }
    }

    /// A 64-bit integer.
    fn wide(&mut self, key: &str, value: u64) {
        if value != 0 {
            self.key(key).display(format_args!("\"{value}\""));
        }
    }

    fn time(&mut self, key: &str, mark: Mark, value: u64) {
        if value != 0 {
            let writer = self.key(key);
            let at = writer.out.len() + 1;
            writer.marks.push((mark, at, (u128::from(value) << 64).to_be_bytes()));
            writer.display(format_args!("\"{value}\""));
        }
    }

    fn id(&mut self, key: &str, mark: Mark, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let writer = self.key(key);
        writer.out.push(b'"');
        let mut id = [0; 16];
        for (slot, byte) in id.iter_mut().zip(value) {
            *slot = *byte;
        }
        writer.marks.push((mark, writer.out.len(), id));
        for byte in value {
            writer.out.push(HEX[usize::from(byte >> 4)]);
            writer.out.push(HEX[usize::from(byte & 15)]);
        }
        writer.out.push(b'"');
    }

    fn double(&mut self, key: &str, value: f64) {
        if value != 0.0 || value.is_sign_negative() {
            self.key(key).double(value);
        }
    }

    /// A double whose presence means something.
    fn present(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.key(key).double(value);
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut write: impl FnMut(&mut Object<'_>, &T)) {
        if !items.is_empty() {
            self.key(key).array(items, |writer, item| writer.object(|object| write(object, item)));
        }
    }

    fn wides(&mut self, key: &str, values: &[u64]) {
        if !values.is_empty() {
            self.key(key).array(values, |writer, value| writer.display(format_args!("\"{value}\"")));
        }
    }

    fn doubles(&mut self, key: &str, values: &[f64]) {
        if !values.is_empty() {
            self.key(key).array(values, |writer, value| writer.double(*value));
        }
    }

    fn resource(&mut self, resource: Option<&Resource>) {
        if let Some(resource) = resource {
            self.key("resource").object(|o| {
                o.attributes("attributes", &resource.attributes);
                o.small("droppedAttributesCount", i64::from(resource.dropped_attributes_count));
            });
        }
    }

    fn scope(&mut self, scope: Option<&InstrumentationScope>) {
        if let Some(scope) = scope {
            self.key("scope").object(|o| {
                o.text("name", &scope.name);
                o.text("version", &scope.version);
                o.attributes("attributes", &scope.attributes);
                o.small("droppedAttributesCount", i64::from(scope.dropped_attributes_count));
            });
        }
    }

    fn attributes(&mut self, key: &str, attributes: &[KeyValue]) {
        self.list(key, attributes, |o, pair| {
            o.key("key").string(&pair.key);
            if let Some(value) = &pair.value {
                o.key("value").object(|o| any_value(o, value));
            }
        });
    }
}

fn any_value(o: &mut Object<'_>, value: &AnyValue) {
    match &value.value {
        Some(Value::StringValue(text)) => o.key("stringValue").string(text),
        Some(Value::BoolValue(flag)) => o.key("boolValue").display(format_args!("{flag}")),
        Some(Value::IntValue(number)) => o.key("intValue").display(format_args!("\"{number}\"")),
        Some(Value::DoubleValue(number)) => o.key("doubleValue").double(*number),
        Some(Value::BytesValue(bytes)) => {
            o.key("bytesValue").string(&base64::engine::general_purpose::STANDARD.encode(bytes));
        }
        Some(Value::ArrayValue(array)) => o.key("arrayValue").object(|o| {
            o.key("values").array(&array.values, |writer, value| writer.object(|o| any_value(o, value)));
        }),
        Some(Value::KvlistValue(list)) => o.key("kvlistValue").object(|o| {
            o.key("values").array(&list.values, |writer, pair| {
                writer.object(|o| {
                    o.key("key").string(&pair.key);
                    if let Some(value) = &pair.value {
                        o.key("value").object(|o| any_value(o, value));
                    }
                })
            });
        }),
        // References into a profile's string table mean nothing here.
        Some(Value::StringValueStrindex(_)) | None => {}
    }
}

fn span(o: &mut Object<'_>, span: &Span) {
    o.id("traceId", Mark::Trace, &span.trace_id);
    o.id("spanId", Mark::Span, &span.span_id);
    o.text("traceState", &span.trace_state);
    o.id("parentSpanId", Mark::Span, &span.parent_span_id);
    o.small("flags", i64::from(span.flags));
    o.text("name", &span.name);
    o.small("kind", i64::from(span.kind));
    o.time("startTimeUnixNano", Mark::Time, span.start_time_unix_nano);
    o.time("endTimeUnixNano", Mark::Time, span.end_time_unix_nano);
    o.attributes("attributes", &span.attributes);
    o.small("droppedAttributesCount", i64::from(span.dropped_attributes_count));
    o.list("events", &span.events, |o, event: &Event| {
        o.time("timeUnixNano", Mark::Time, event.time_unix_nano);
        o.text("name", &event.name);
        o.attributes("attributes", &event.attributes);
        o.small("droppedAttributesCount", i64::from(event.dropped_attributes_count));
    });
    o.small("droppedEventsCount", i64::from(span.dropped_events_count));
    o.list("links", &span.links, |o, link: &Link| {
        o.id("traceId", Mark::Trace, &link.trace_id);
        o.id("spanId", Mark::Span, &link.span_id);
        o.text("traceState", &link.trace_state);
        o.attributes("attributes", &link.attributes);
        o.small("droppedAttributesCount", i64::from(link.dropped_attributes_count));
        o.small("flags", i64::from(link.flags));
    });
    o.small("droppedLinksCount", i64::from(span.dropped_links_count));
    if let Some(status) = &span.status {
        o.key("status").object(|o| {
            o.text("message", &status.message);
            o.small("code", i64::from(status.code));
        });
    }
}

fn log_record(o: &mut Object<'_>, record: &LogRecord) {
    o.time("timeUnixNano", Mark::Time, record.time_unix_nano);
    o.time("observedTimeUnixNano", Mark::Time, record.observed_time_unix_nano);
    o.small("severityNumber", i64::from(record.severity_number));
    o.text("severityText", &record.severity_text);
    if let Some(body) = &record.body {
        o.key("body").object(|o| any_value(o, body));
    }
    o.attributes("attributes", &record.attributes);
    o.small("droppedAttributesCount", i64::from(record.dropped_attributes_count));
    o.small("flags", i64::from(record.flags));
    o.id("traceId", Mark::Trace, &record.trace_id);
    o.id("spanId", Mark::Span, &record.span_id);
    o.text("eventName", &record.event_name);
}

fn metric(o: &mut Object<'_>, metric: &Metric) {
    o.text("name", &metric.name);
    o.text("description", &metric.description);
    o.text("unit", &metric.unit);
    o.attributes("metadata", &metric.metadata);
    match &metric.data {
        Some(Data::Gauge(data)) => o.key("gauge").object(|o| o.list("dataPoints", &data.data_points, number)),
        Some(Data::Sum(data)) => o.key("sum").object(|o| {
            o.list("dataPoints", &data.data_points, number);
            o.small("aggregationTemporality", i64::from(data.aggregation_temporality));
            if data.is_monotonic {
                o.key("isMonotonic").display(format_args!("true"));
            }
        }),
        Some(Data::Histogram(data)) => o.key("histogram").object(|o| {
            o.list("dataPoints", &data.data_points, histogram);
            o.small("aggregationTemporality", i64::from(data.aggregation_temporality));
        }),
        Some(Data::ExponentialHistogram(data)) => o.key("exponentialHistogram").object(|o| {
            o.list("dataPoints", &data.data_points, exponential);
            o.small("aggregationTemporality", i64::from(data.aggregation_temporality));
        }),
        Some(Data::Summary(data)) => o.key("summary").object(|o| o.list("dataPoints", &data.data_points, summary)),
        None => {}
    }
}

fn number(o: &mut Object<'_>, point: &NumberDataPoint) {
    o.attributes("attributes", &point.attributes);
    o.time("startTimeUnixNano", Mark::Start, point.start_time_unix_nano);
    o.time("timeUnixNano", Mark::Time, point.time_unix_nano);
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => o.key("asDouble").double(value),
        Some(number_data_point::Value::AsInt(value)) => o.key("asInt").display(format_args!("\"{value}\"")),
        None => {}
    }
    o.list("exemplars", &point.exemplars, exemplar);
    o.small("flags", i64::from(point.flags));
}

fn exemplar(o: &mut Object<'_>, exemplar: &Exemplar) {
    o.attributes("filteredAttributes", &exemplar.filtered_attributes);
    o.time("timeUnixNano", Mark::Time, exemplar.time_unix_nano);
    match exemplar.value {
        Some(exemplar::Value::AsDouble(value)) => o.key("asDouble").double(value),
        Some(exemplar::Value::AsInt(value)) => o.key("asInt").display(format_args!("\"{value}\"")),
        None => {}
    }
    o.id("spanId", Mark::Span, &exemplar.span_id);
    o.id("traceId", Mark::Trace, &exemplar.trace_id);
}

fn histogram(o: &mut Object<'_>, point: &HistogramDataPoint) {
    o.attributes("attributes", &point.attributes);
    o.time("startTimeUnixNano", Mark::Start, point.start_time_unix_nano);
    o.time("timeUnixNano", Mark::Time, point.time_unix_nano);
    o.wide("count", point.count);
    o.present("sum", point.sum);
    o.wides("bucketCounts", &point.bucket_counts);
    o.doubles("explicitBounds", &point.explicit_bounds);
    o.list("exemplars", &point.exemplars, exemplar);
    o.small("flags", i64::from(point.flags));
    o.present("min", point.min);
    o.present("max", point.max);
}

fn buckets(o: &mut Object<'_>, key: &str, buckets: Option<&Buckets>) {
    if let Some(buckets) = buckets {
        o.key(key).object(|o| {
            o.small("offset", i64::from(buckets.offset));
            o.wides("bucketCounts", &buckets.bucket_counts);
        });
    }
}

fn exponential(o: &mut Object<'_>, point: &ExponentialHistogramDataPoint) {
    o.attributes("attributes", &point.attributes);
    o.time("startTimeUnixNano", Mark::Start, point.start_time_unix_nano);
    o.time("timeUnixNano", Mark::Time, point.time_unix_nano);
    o.wide("count", point.count);
    o.present("sum", point.sum);
    o.small("scale", i64::from(point.scale));
    o.wide("zeroCount", point.zero_count);
    buckets(o, "positive", point.positive.as_ref());
    buckets(o, "negative", point.negative.as_ref());
    o.small("flags", i64::from(point.flags));
    o.list("exemplars", &point.exemplars, exemplar);
    o.present("min", point.min);
    o.present("max", point.max);
    o.double("zeroThreshold", point.zero_threshold);
}

fn summary(o: &mut Object<'_>, point: &SummaryDataPoint) {
    o.attributes("attributes", &point.attributes);
    o.time("startTimeUnixNano", Mark::Start, point.start_time_unix_nano);
    o.time("timeUnixNano", Mark::Time, point.time_unix_nano);
    o.wide("count", point.count);
    o.double("sum", point.sum);
    o.list("quantileValues", &point.quantile_values, |o, value| {
        o.double("quantile", value.quantile);
        o.double("value", value.value);
    });
    o.small("flags", i64::from(point.flags));
}

#[cfg(test)]
mod tests;
