//! D1, D4: do we accept what prost accepts, and is every field that prost reads in our columns?

use super::*;
use arrow_array::Array;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::trace::v1::{Status, span};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use storage::model::record;

/// A value in a form that both sides can be turned into.
#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Empty,
    String(String),
    Bool(bool),
    Int(i64),
    Double(u64),
    Bytes(Vec<u8>),
    Array(Vec<Plain>),
    Map(BTreeMap<String, Plain>),
}

type PlainMap = BTreeMap<String, Plain>;

fn prost_value(value: Option<&AnyValue>) -> Plain {
    use any_value::Value as V;
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(V::StringValueStrindex(_)) => Plain::Empty,
        Some(V::StringValue(text)) => Plain::String(text.clone()),
        Some(V::BoolValue(value)) => Plain::Bool(*value),
        Some(V::IntValue(value)) => Plain::Int(*value),
        Some(V::DoubleValue(value)) => Plain::Double(value.to_bits()),
        Some(V::BytesValue(bytes)) => Plain::Bytes(bytes.clone()),
        Some(V::ArrayValue(array)) => Plain::Array(array.values.iter().map(|value| prost_value(Some(value))).collect()),
        Some(V::KvlistValue(list)) => Plain::Map(prost_map(&list.values)),
    }
}

fn prost_map(attributes: &[KeyValue]) -> PlainMap {
    attributes.iter().map(|kv| (kv.key.clone(), prost_value(kv.value.as_ref()))).collect()
}

fn our_value(value: Value<'_>) -> Plain {
    match value {
        Value::Empty => Plain::Empty,
        Value::String(text) => Plain::String(text.into()),
        Value::Bool(value) => Plain::Bool(value),
        Value::Int(value) => Plain::Int(value),
        Value::Double(value) => Plain::Double(value.to_bits()),
        Value::Bytes(bytes) => Plain::Bytes(bytes.into()),
        Value::Array(array) => Plain::Array(array.iter().map(our_value).collect()),
        Value::Map(map) => Plain::Map(our_map(map)),
    }
}

fn our_map(map: Map<'_>) -> PlainMap {
    map.iter().map(|(key, value)| (key.to_owned(), our_value(value))).collect()
}

/// One row of a batch, by column names.
struct Row<'a>(&'a RecordBatch, usize);

impl<'a> Row<'a> {
    fn column(&self, name: &str) -> &'a dyn Array {
        self.0.column_by_name(name).unwrap()
    }
    fn cell(&self, name: &str) -> &'a [u8] {
        let column = self.column(name).as_binary::<i32>();
        if column.is_null(self.1) { &[] } else { column.value(self.1) }
    }
    fn id(&self, name: &str) -> &'a [u8] {
        let column = self.column(name).as_fixed_size_binary();
        if column.is_null(self.1) { &[] } else { column.value(self.1) }
    }
    fn text(&self, name: &str) -> &'a str {
        let column = self.column(name).as_string::<i32>();
        if column.is_null(self.1) { "" } else { column.value(self.1) }
    }
    fn repeated_text(&self, name: &str) -> &'a str {
        let column = self.column(name).as_dictionary::<Int32Type>();
        column.values().as_string::<i32>().value(column.key(self.1).unwrap())
    }
    fn repeated_cell(&self, name: &str) -> &'a [u8] {
        let column = self.column(name).as_dictionary::<Int32Type>();
        column.values().as_binary::<i32>().value(column.key(self.1).unwrap())
    }
    fn time(&self, name: &str) -> u64 {
        let column = self.column(name).as_primitive::<TimestampNanosecondType>();
        if column.is_null(self.1) { 0 } else { column.value(self.1).try_into().unwrap() }
    }
    fn i32(&self, name: &str) -> i32 {
        self.column(name).as_primitive::<Int32Type>().value(self.1)
    }
    fn u32(&self, name: &str) -> u32 {
        self.column(name).as_primitive::<UInt32Type>().value(self.1)
    }
    fn i64(&self, name: &str) -> Option<i64> {
        let column = self.column(name).as_primitive::<Int64Type>();
        column.is_valid(self.1).then(|| column.value(self.1))
    }
    fn u64(&self, name: &str) -> Option<u64> {
        let column = self.column(name).as_primitive::<UInt64Type>();
        column.is_valid(self.1).then(|| column.value(self.1))
    }
    /// As bits, so that NaN equals itself.
    fn f64(&self, name: &str) -> Option<u64> {
        let column = self.column(name).as_primitive::<Float64Type>();
        column.is_valid(self.1).then(|| column.value(self.1).to_bits())
    }

    fn check_origin(
        &self,
        resource: Option<&Resource>,
        url: &str,
        scope: Option<&InstrumentationScope>,
        scope_url: &str,
    ) {
        let read = origin::Resource::parse(self.repeated_cell(column::RESOURCE)).unwrap();
        let resource = resource.cloned().unwrap_or_default();
        assert_eq!(our_map(read.attributes), prost_map(&resource.attributes));
        assert_eq!(read.dropped_attributes_count, resource.dropped_attributes_count);
        assert_eq!(read.schema_url, url);
        let entities: Vec<_> = resource
            .entity_refs
            .iter()
            .map(|entity| origin::Entity {
                schema_url: &entity.schema_url,
                r#type: &entity.r#type,
                id_keys: entity.id_keys.iter().map(String::as_str).collect(),
                description_keys: entity.description_keys.iter().map(String::as_str).collect(),
            })
            .collect();
        assert_eq!(read.entities, entities);
        let name = match prost_map(&resource.attributes).get("service.name") {
            Some(Plain::String(name)) if !name.is_empty() => name.clone(),
            _ => origin::UNKNOWN_SERVICE.to_owned(),
        };
        assert_eq!(self.repeated_text(column::SERVICE_NAME), name);
        let read = origin::Scope::parse(self.repeated_cell(column::SCOPE)).unwrap();
        let scope = scope.cloned().unwrap_or_default();
        assert_eq!(
            (read.name, read.version, read.schema_url),
            (scope.name.as_str(), scope.version.as_str(), scope_url)
        );
        assert_eq!(our_map(read.attributes), prost_map(&scope.attributes));
        assert_eq!(read.dropped_attributes_count, scope.dropped_attributes_count);
    }

    fn check_exemplars(&self, exemplars: &[metrics::Exemplar]) {
        use metrics::exemplar::Value as V;
        let cell = self.cell(column::EXEMPLARS);
        assert_eq!(record::Exemplar::list(cell).count(), exemplars.len());
        for (read, sent) in record::Exemplar::list(cell).zip(exemplars) {
            assert_eq!(read.time_unix_nano, sent.time_unix_nano);
            assert_eq!((read.trace_id, read.span_id), (sent.trace_id.as_slice(), sent.span_id.as_slice()));
            assert_eq!(our_map(read.filtered_attributes), prost_map(&sent.filtered_attributes));
            let bits = |number: Option<record::Number>| match number {
                None => None,
                Some(record::Number::Int(value)) => Some((0, value.cast_unsigned())),
                Some(record::Number::Double(value)) => Some((1, value.to_bits())),
            };
            let expected = sent.value.map(|value| match value {
                V::AsInt(value) => record::Number::Int(value),
                V::AsDouble(value) => record::Number::Double(value),
            });
            assert_eq!(bits(read.value), bits(expected));
        }
    }
}

fn check_span(row: &Row<'_>, sent: &Span) {
    let parent = if sent.parent_span_id.iter().all(|byte| *byte == 0) { &[][..] } else { &sent.parent_span_id };
    assert_eq!((row.id(column::TRACE_ID), row.id(column::SPAN_ID)), (&*sent.trace_id, &*sent.span_id));
    assert_eq!(row.id(column::PARENT_SPAN_ID), parent);
    assert_eq!((row.text(column::TRACE_STATE), row.text(column::NAME)), (&*sent.trace_state, &*sent.name));
    assert_eq!((row.u32(column::FLAGS), row.i32(column::KIND)), (sent.flags, sent.kind));
    assert_eq!(row.time(column::START), sent.start_time_unix_nano);
    let duration = i128::from(sent.end_time_unix_nano) - i128::from(sent.start_time_unix_nano);
    assert_eq!(row.i64(column::DURATION).map(i128::from), Some(duration));
    let status = sent.status.clone().unwrap_or_default();
    assert_eq!((row.i32(column::STATUS_CODE), row.text(column::STATUS_MESSAGE)), (status.code, &*status.message));
    assert_eq!(our_map(Map::new(row.cell(column::ATTRIBUTES))), prost_map(&sent.attributes));
    assert_eq!(row.u32(column::DROPPED_ATTRIBUTES_COUNT), sent.dropped_attributes_count);
    assert_eq!(row.u32(column::DROPPED_EVENTS_COUNT), sent.dropped_events_count);
    assert_eq!(row.u32(column::DROPPED_LINKS_COUNT), sent.dropped_links_count);
    assert_eq!(record::Event::list(row.cell(column::EVENTS)).count(), sent.events.len());
    for (read, sent) in record::Event::list(row.cell(column::EVENTS)).zip(&sent.events) {
        assert_eq!((read.time_unix_nano, read.name), (sent.time_unix_nano, sent.name.as_str()));
        assert_eq!(our_map(read.attributes), prost_map(&sent.attributes));
        assert_eq!(read.dropped_attributes_count, sent.dropped_attributes_count);
    }
    assert_eq!(record::Link::list(row.cell(column::LINKS)).count(), sent.links.len());
    for (read, sent) in record::Link::list(row.cell(column::LINKS)).zip(&sent.links) {
        assert_eq!((read.trace_id, read.span_id), (&*sent.trace_id, &*sent.span_id));
        assert_eq!((read.trace_state, read.flags), (&*sent.trace_state, sent.flags));
        assert_eq!(our_map(read.attributes), prost_map(&sent.attributes));
        assert_eq!(read.dropped_attributes_count, sent.dropped_attributes_count);
    }
}

fn check_log(row: &Row<'_>, sent: &LogRecord) {
    let valid = |id: &[u8], len| if id.len() == len && id.iter().any(|byte| *byte != 0) { id.to_vec() } else { vec![] };
    let time = [sent.time_unix_nano, sent.observed_time_unix_nano, RECEIVED_AT.unsigned_abs()];
    assert_eq!(row.time(column::TIME), time.into_iter().find(|time| *time != 0).unwrap());
    assert_eq!(row.time(column::OBSERVED_TIME), sent.observed_time_unix_nano);
    assert_eq!(row.i32(column::SEVERITY_NUMBER), sent.severity_number);
    assert_eq!(
        (row.text(column::SEVERITY_TEXT), row.text(column::EVENT_NAME)),
        (&*sent.severity_text, &*sent.event_name)
    );
    assert_eq!(row.id(column::TRACE_ID), valid(&sent.trace_id, 16));
    assert_eq!(row.id(column::SPAN_ID), valid(&sent.span_id, 8));
    assert_eq!(
        (row.u32(column::FLAGS), row.u32(column::DROPPED_ATTRIBUTES_COUNT)),
        (sent.flags, sent.dropped_attributes_count)
    );
    assert_eq!(our_map(Map::new(row.cell(column::ATTRIBUTES))), prost_map(&sent.attributes));
    let (text, value) = (row.column(column::BODY), row.column(column::BODY_VALUE));
    let body = match (text.is_valid(row.1), value.is_valid(row.1)) {
        (true, false) => Some(Plain::String(row.text(column::BODY).into())),
        (false, true) => Some(our_value(Value::parse(row.cell(column::BODY_VALUE)).unwrap())),
        (false, false) => None,
        (true, true) => panic!("two bodies"),
    };
    assert_eq!(body, sent.body.as_ref().map(|body| prost_value(Some(body))));
}

/// A data point's kind, numbers and attributes as sent.
fn check_points(batch: &RecordBatch, first: usize, metric: &metrics::Metric) -> usize {
    use metrics::metric::Data;
    let row = |index: usize| Row(batch, first + index);
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    let head = |row: &Row<'_>, kind: i32, temporality: i32, monotonic: bool| {
        let texts =
            (row.repeated_text(column::NAME), row.repeated_text(column::UNIT), row.repeated_text(column::DESCRIPTION));
        assert_eq!(texts, (&*metric.name, &*metric.unit, &*metric.description));
        assert_eq!(our_map(Map::new(row.repeated_cell(column::METADATA))), prost_map(&metric.metadata));
        assert_eq!((row.i32(column::TYPE), row.i32(column::TEMPORALITY)), (kind, temporality));
        assert_eq!(row.column(column::IS_MONOTONIC).as_boolean().value(row.1), monotonic);
    };
    let common = |row: &Row<'_>, attributes: &[KeyValue], start: u64, time: u64, flags: u32| {
        assert_eq!(our_map(Map::new(row.cell(column::ATTRIBUTES))), prost_map(attributes));
        assert_eq!(
            (row.time(column::START_TIME), row.time(column::TIME), row.u32(column::FLAGS)),
            (start, time, flags)
        );
    };
    let numbers = |points: &[metrics::NumberDataPoint], kind, temporality, monotonic| {
        use metrics::number_data_point::Value as V;
        for (index, point) in points.iter().enumerate() {
            let row = row(index);
            head(&row, kind, temporality, monotonic);
            common(&row, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags);
            row.check_exemplars(&point.exemplars);
            let value = (row.i64(column::VALUE_INT), row.f64(column::VALUE_DOUBLE));
            assert_eq!(
                value,
                match point.value {
                    None => (None, None),
                    Some(V::AsInt(value)) => (Some(value), None),
                    Some(V::AsDouble(value)) => (None, Some(value.to_bits())),
                }
            );
        }
        points.len()
    };
    match metric.data.as_ref() {
        None => 0,
        Some(Data::Gauge(data)) => numbers(&data.data_points, 1, 0, false),
        Some(Data::Sum(data)) => numbers(&data.data_points, 2, data.aggregation_temporality, data.is_monotonic),
        Some(Data::Histogram(data)) => {
            for (index, point) in data.data_points.iter().enumerate() {
                let row = row(index);
                head(&row, 3, data.aggregation_temporality, false);
                common(&row, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags);
                row.check_exemplars(&point.exemplars);
                assert_eq!((row.u64(column::COUNT), row.f64(column::SUM)), (Some(point.count), bits(point.sum)));
                assert_eq!((row.f64(column::MIN), row.f64(column::MAX)), (bits(point.min), bits(point.max)));
                let bounds: Vec<_> = record::doubles(row.cell(column::EXPLICIT_BOUNDS)).collect();
                assert_eq!(bounds, point.explicit_bounds);
                assert_eq!(record::counts(row.cell(column::BUCKET_COUNTS)).collect::<Vec<_>>(), point.bucket_counts);
            }
            data.data_points.len()
        }
        Some(Data::ExponentialHistogram(data)) => {
            for (index, point) in data.data_points.iter().enumerate() {
                let row = row(index);
                head(&row, 4, data.aggregation_temporality, false);
                common(&row, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags);
                row.check_exemplars(&point.exemplars);
                assert_eq!((row.u64(column::COUNT), row.f64(column::SUM)), (Some(point.count), bits(point.sum)));
                assert_eq!((row.f64(column::MIN), row.f64(column::MAX)), (bits(point.min), bits(point.max)));
                assert_eq!(
                    (row.i32(column::SCALE), row.u64(column::ZERO_COUNT)),
                    (point.scale, Some(point.zero_count))
                );
                assert_eq!(row.f64(column::ZERO_THRESHOLD), Some(point.zero_threshold.to_bits()));
                for (name, sent) in [(column::POSITIVE, &point.positive), (column::NEGATIVE, &point.negative)] {
                    let (offset, counts) = record::buckets(row.cell(name));
                    let sent = sent.clone().unwrap_or_default();
                    assert_eq!((offset, counts.collect::<Vec<_>>()), (sent.offset, sent.bucket_counts));
                }
            }
            data.data_points.len()
        }
        Some(Data::Summary(data)) => {
            for (index, point) in data.data_points.iter().enumerate() {
                let row = row(index);
                head(&row, 5, 0, false);
                common(&row, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags);
                assert_eq!(
                    (row.u64(column::COUNT), row.f64(column::SUM)),
                    (Some(point.count), Some(point.sum.to_bits()))
                );
                let read: Vec<_> = record::quantiles(row.cell(column::QUANTILES)).collect();
                let sent: Vec<_> = point.quantile_values.iter().map(|q| (q.quantile, q.value)).collect();
                assert_eq!(read, sent);
            }
            data.data_points.len()
        }
    }
}

// ── random messages ──

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

fn trace_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scopes = (scope(), vec(span(), 0..3), ".{0,3}").prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    });
    let resources = (resource(), vec(scopes, 0..3), ".{0,3}")
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resources, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn logs_request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scopes = (scope(), vec(log(), 0..3), ".{0,3}").prop_map(|(scope, log_records, schema_url)| ScopeLogs {
        scope,
        log_records,
        schema_url,
    });
    let resources = (resource(), vec(scopes, 0..3), ".{0,3}")
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    vec(resources, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn metrics_request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scopes = (scope(), vec(metric_of_any_kind(), 0..3), ".{0,3}")
        .prop_map(|(scope, metrics, schema_url)| metrics::ScopeMetrics { scope, metrics, schema_url });
    let resources = (resource(), vec(scopes, 0..3), ".{0,3}").prop_map(|(resource, scope_metrics, schema_url)| {
        metrics::ResourceMetrics { resource, scope_metrics, schema_url }
    });
    vec(resources, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn is_valid_span(span: &Span) -> bool {
    let valid = |id: &[u8], len| id.len() == len && id.iter().any(|byte| *byte != 0);
    let parent = &span.parent_span_id;
    valid(&span.trace_id, 16) && valid(&span.span_id, 8) && (parent.iter().all(|byte| *byte == 0) || valid(parent, 8))
}

// ── changed bytes ──

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
    Cut(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<u16>().prop_map(usize::from);
    vec(
        prop_oneof![
            (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
            (at.clone(), 1usize..4).prop_map(|(at, len)| Change::Remove(at, len)),
            (at.clone(), vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
            (at.clone(), 1usize..12).prop_map(|(at, len)| Change::Repeat(at, len)),
            at.prop_map(Change::Cut),
        ],
        1..4,
    )
}

fn apply(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let len = bytes.len();
        let place = |at: usize| at % (len + 1);
        match change {
            Change::Set(at, byte) => {
                if let Some(slot) = bytes.get_mut(place(*at)) {
                    *slot = *byte;
                }
            }
            Change::Remove(at, count) => drop(bytes.drain(place(*at)..(place(*at) + count).min(len))),
            Change::Insert(at, new) => drop(bytes.splice(place(*at)..place(*at), new.iter().copied())),
            Change::Repeat(at, count) => {
                let piece = bytes[place(*at)..(place(*at) + count).min(len)].to_vec();
                bytes.splice(place(*at)..place(*at), piece);
            }
            Change::Cut(at) => bytes.truncate(place(*at)),
        }
    }
    bytes
}

/// Both accept or both refuse; prost's depth limit, which counts differently, aside.
fn same_verdict<M: prost::Message + Default>(signal: Signal, bytes: &[u8]) -> Result<Option<M>, TestCaseError> {
    let (theirs, ours) = (M::decode(bytes), run(signal, bytes));
    if theirs.as_ref().is_err_and(|error| error.to_string().contains("recursion limit")) {
        return Ok(None);
    }
    prop_assert_eq!(theirs.is_ok(), ours.is_ok(), "prost {:?}, we {:?}", theirs.err(), ours.err());
    Ok(theirs.ok())
}

fn compare_spans(request: &ExportTraceServiceRequest, bytes: &[u8]) -> Result<(), TestCaseError> {
    let decoded = run(Signal::Spans, bytes).unwrap();
    let batch = decoded.batch.columns();
    let (mut rows, mut rejected) = (0, 0);
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let in_range = span.start_time_unix_nano.max(span.end_time_unix_nano) <= i64::MAX.unsigned_abs();
                if !is_valid_span(span) || !in_range {
                    rejected += 1;
                    continue;
                }
                let row = Row(batch, rows);
                check_span(&row, span);
                row.check_origin(
                    resource.resource.as_ref(),
                    &resource.schema_url,
                    scope.scope.as_ref(),
                    &scope.schema_url,
                );
                rows += 1;
            }
        }
    }
    prop_assert_eq!((batch.num_rows(), decoded.rejected), (rows, rejected));
    prop_assert_eq!(count_records(Signal::Spans, bytes) as u64, rows as u64 + rejected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn d4_every_field_of_spans_has_its_place(request in trace_request()) {
        compare_spans(&request, &request.encode_to_vec())?;
    }

    #[test]
    fn d4_every_field_of_logs_has_its_place(request in logs_request()) {
        let bytes = request.encode_to_vec();
        let decoded = run(Signal::Logs, &bytes).unwrap();
        let mut rows = 0;
        for resource in &request.resource_logs {
            for scope in &resource.scope_logs {
                for record in &scope.log_records {
                    let row = Row(decoded.batch.columns(), rows);
                    check_log(&row, record);
                    row.check_origin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
                    rows += 1;
                }
            }
        }
        prop_assert_eq!((decoded.batch.num_rows(), decoded.rejected), (rows, 0));
        prop_assert_eq!(count_records(Signal::Logs, &bytes), rows);
    }

    #[test]
    fn d4_every_field_of_metrics_has_its_place(request in metrics_request()) {
        let bytes = request.encode_to_vec();
        let decoded = run(Signal::Metrics, &bytes).unwrap();
        let mut rows = 0;
        for resource in &request.resource_metrics {
            for scope in &resource.scope_metrics {
                for metric in &scope.metrics {
                    let points = check_points(decoded.batch.columns(), rows, metric);
                    for row in rows..rows + points {
                        Row(decoded.batch.columns(), row)
                            .check_origin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
                    }
                    rows += points;
                }
            }
        }
        prop_assert_eq!((decoded.batch.num_rows(), decoded.rejected), (rows, 0));
        prop_assert_eq!(count_records(Signal::Metrics, &bytes), rows);
    }

    #[test]
    fn d1_changed_spans_are_accepted_exactly_when_prost_accepts_them(request in trace_request(), changes in changes()) {
        let bytes = apply(request.encode_to_vec(), &changes);
        if let Some(request) = same_verdict::<ExportTraceServiceRequest>(Signal::Spans, &bytes)? {
            compare_spans(&request, &bytes)?;
        }
    }

    #[test]
    fn d1_changed_logs_are_accepted_exactly_when_prost_accepts_them(request in logs_request(), changes in changes()) {
        same_verdict::<ExportLogsServiceRequest>(Signal::Logs, &apply(request.encode_to_vec(), &changes))?;
    }

    #[test]
    fn d1_changed_metrics_are_accepted_exactly_when_prost_accepts_them(request in metrics_request(), changes in changes()) {
        same_verdict::<ExportMetricsServiceRequest>(Signal::Metrics, &apply(request.encode_to_vec(), &changes))?;
    }
}
