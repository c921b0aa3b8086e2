//! Which messages might come? Random ones, as prost's types.

use super::*;
use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::trace::v1::{Status, span};
use proptest::collection::vec;
use proptest::prelude::*;

fn value() -> impl Strategy<Value = AnyValue> {
    use any_value::Value as V;
    let leaf = prop_oneof![
        Just(None),
        ".{0,9}".prop_map(|text| Some(V::StringValue(text))),
        any::<bool>().prop_map(|value| Some(V::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(V::IntValue(value))),
        any::<f64>().prop_map(|value| Some(V::DoubleValue(value))),
        vec(any::<u8>(), 0..5).prop_map(|bytes| Some(V::BytesValue(bytes))),
        any::<i32>().prop_map(|index| Some(V::StringValueStrindex(index))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| AnyValue { value: Some(V::ArrayValue(ArrayValue { values })) }),
            attributes_of(inner).prop_map(|values| AnyValue { value: Some(V::KvlistValue(KeyValueList { values })) }),
        ]
    })
}

fn attributes_of(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof!["[ab]{0,2}", Just("service.name".to_owned())];
    let entry = (key, proptest::option::of(value), prop_oneof![Just(0), any::<i32>()]);
    vec(entry.prop_map(|(key, value, key_strindex)| KeyValue { key, value, key_strindex }), 0..4)
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    attributes_of(value())
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(1..=u8::MAX, len), 1 => vec(any::<u8>(), 0..len + 2)]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..=i64::MAX.unsigned_abs()]
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let entity = (".{0,3}", ".{0,3}", vec(".{0,3}", 0..3), vec(".{0,3}", 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef { schema_url, r#type, id_keys, description_keys },
    );
    let resource = (attributes(), any::<u32>(), vec(entity, 0..3)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    );
    proptest::option::of(resource)
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (".{0,3}", ".{0,3}", attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    proptest::option::of(scope)
}

fn span() -> impl Strategy<Value = Span> {
    let event = (any::<u64>(), ".{0,4}", attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (id(16), id(8), ".{0,4}", attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| span::Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    );
    let status = proptest::option::of((".{0,4}", any::<i32>()).prop_map(|(message, code)| Status { message, code }));
    let names = (".{0,4}", ".{0,8}", any::<u32>(), any::<i32>(), time(), time(), status);
    let counts = (any::<u32>(), any::<u32>(), any::<u32>());
    ((id(16), id(8), id(8)), names, attributes(), vec(event, 0..3), vec(link, 0..3), counts).prop_map(
        |(ids, (trace_state, name, flags, kind, start, end, status), attributes, events, links, counts)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            trace_state,
            name,
            flags,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            events,
            links,
            status,
            dropped_attributes_count: counts.0,
            dropped_events_count: counts.1,
            dropped_links_count: counts.2,
        },
    )
}

fn log() -> impl Strategy<Value = LogRecord> {
    let texts = (".{0,4}", ".{0,4}", any::<i32>(), any::<u32>(), any::<u32>());
    ((time(), time()), texts, proptest::option::of(value()), attributes(), id(16), id(8)).prop_map(
        |(
            (time, observed),
            (severity_text, event_name, severity_number, flags, dropped),
            body,
            attributes,
            trace,
            span,
        )| {
            LogRecord {
                time_unix_nano: time,
                observed_time_unix_nano: observed,
                severity_number,
                severity_text,
                body,
                attributes,
                dropped_attributes_count: dropped,
                flags,
                trace_id: trace,
                span_id: span,
                event_name,
            }
        },
    )
}

fn exemplars() -> impl Strategy<Value = Vec<metrics::Exemplar>> {
    use metrics::exemplar::Value as V;
    let value = prop_oneof![
        Just(None),
        any::<i64>().prop_map(|v| Some(V::AsInt(v))),
        any::<f64>().prop_map(|v| Some(V::AsDouble(v)))
    ];
    let exemplar = (any::<u64>(), value, id(16), id(8), attributes()).prop_map(
        |(time_unix_nano, value, trace_id, span_id, filtered_attributes)| metrics::Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    );
    vec(exemplar, 0..3)
}

fn numbers() -> impl Strategy<Value = Vec<metrics::NumberDataPoint>> {
    use metrics::number_data_point::Value as V;
    let value = prop_oneof![
        Just(None),
        any::<i64>().prop_map(|v| Some(V::AsInt(v))),
        any::<f64>().prop_map(|v| Some(V::AsDouble(v)))
    ];
    let point = (attributes(), time(), time(), exemplars(), any::<u32>(), value).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value)| metrics::NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    );
    vec(point, 0..3)
}

fn histograms() -> impl Strategy<Value = Vec<metrics::HistogramDataPoint>> {
    let doubles =
        (proptest::option::of(any::<f64>()), proptest::option::of(any::<f64>()), proptest::option::of(any::<f64>()));
    let point =
        (attributes(), (time(), time()), doubles, vec(any::<u64>(), 1..6), exemplars(), any::<u32>(), any::<u64>())
            .prop_map(|(attributes, times, (sum, min, max), bucket_counts, exemplars, flags, count)| {
                metrics::HistogramDataPoint {
                    attributes,
                    start_time_unix_nano: times.0,
                    time_unix_nano: times.1,
                    count,
                    sum,
                    explicit_bounds: (1..bucket_counts.len()).map(|bound| bound as f64).collect(),
                    bucket_counts,
                    exemplars,
                    flags,
                    min,
                    max,
                }
            });
    vec(point, 0..3)
}

fn exponentials() -> impl Strategy<Value = Vec<metrics::ExponentialHistogramDataPoint>> {
    let buckets = || {
        let buckets = (-1_000_000..1_000_000, vec(any::<u64>(), 0..5));
        proptest::option::of(buckets.prop_map(|(offset, bucket_counts)| {
            metrics::exponential_histogram_data_point::Buckets { offset, bucket_counts }
        }))
    };
    let doubles = (proptest::option::of(any::<f64>()), proptest::option::of(any::<f64>()), any::<f64>());
    let whole = (any::<u64>(), any::<i32>(), any::<u64>(), any::<u32>());
    let point = (attributes(), (time(), time()), doubles, whole, buckets(), buckets(), exemplars()).prop_map(
        |(
            attributes,
            times,
            (sum, min, zero_threshold),
            (count, scale, zero_count, flags),
            positive,
            negative,
            exemplars,
        )| {
            metrics::ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: times.0,
                time_unix_nano: times.1,
                count,
                sum,
                scale,
                zero_count,
                positive,
                negative,
                flags,
                exemplars,
                min,
                max: sum,
                zero_threshold,
            }
        },
    );
    vec(point, 0..3)
}

fn summaries() -> impl Strategy<Value = Vec<metrics::SummaryDataPoint>> {
    let quantile = (0.0..1.0, -9.0..9.0f64)
        .prop_map(|(quantile, value)| metrics::summary_data_point::ValueAtQuantile { quantile, value });
    let point = (attributes(), time(), time(), any::<u64>(), any::<f64>(), vec(quantile, 0..4), any::<u32>()).prop_map(
        |(attributes, start, time, count, sum, quantile_values, flags)| metrics::SummaryDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            quantile_values,
            flags,
        },
    );
    vec(point, 0..3)
}

fn metric_of_any_kind() -> impl Strategy<Value = metrics::Metric> {
    use metrics::metric::Data;
    let data = prop_oneof![
        Just(None),
        numbers().prop_map(|data_points| Some(Data::Gauge(metrics::Gauge { data_points }))),
        (numbers(), any::<i32>(), any::<bool>()).prop_map(|(data_points, aggregation_temporality, is_monotonic)| {
            Some(Data::Sum(metrics::Sum { data_points, aggregation_temporality, is_monotonic }))
        }),
        (histograms(), any::<i32>()).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::Histogram(metrics::Histogram { data_points, aggregation_temporality }))
        }),
        (exponentials(), any::<i32>()).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::ExponentialHistogram(metrics::ExponentialHistogram { data_points, aggregation_temporality }))
        }),
        summaries().prop_map(|data_points| Some(Data::Summary(metrics::Summary { data_points }))),
    ];
    (".{0,5}", ".{0,5}", ".{0,3}", attributes(), data).prop_map(|(name, description, unit, metadata, data)| {
        metrics::Metric { name, description, unit, metadata, data }
    })
}

pub(super) fn trace_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scopes = (scope(), vec(span(), 0..3), ".{0,3}").prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    });
    let resources = (resource(), vec(scopes, 0..3), ".{0,3}")
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resources, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub(super) fn logs_request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scopes = (scope(), vec(log(), 0..3), ".{0,3}").prop_map(|(scope, log_records, schema_url)| ScopeLogs {
        scope,
        log_records,
        schema_url,
    });
    let resources = (resource(), vec(scopes, 0..3), ".{0,3}")
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    vec(resources, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

pub(super) fn metrics_request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scopes = (scope(), vec(metric_of_any_kind(), 0..3), ".{0,3}")
        .prop_map(|(scope, metrics, schema_url)| metrics::ScopeMetrics { scope, metrics, schema_url });
    let resources = (resource(), vec(scopes, 0..3), ".{0,3}").prop_map(|(resource, scope_metrics, schema_url)| {
        metrics::ResourceMetrics { resource, scope_metrics, schema_url }
    });
    vec(resources, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}
