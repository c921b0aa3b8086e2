use super::*;

/// Holds a value against a schema, with the keywords that `schema` uses. Stricter than JSON Schema in one point: a
/// field that no schema speaks of is an error, so that no field of an answer stays undescribed.
pub(in crate::http) fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').ok_or("only references within the document")?;
        let found = document().pointer(pointer).ok_or_else(|| format!("{reference} leads nowhere"))?;
        return check(found, value, at);
    }
    if let Some(variants) = schema.get("anyOf").and_then(Value::as_array) {
        let outcomes: Vec<_> = variants.iter().map(|variant| check(variant, value, at)).collect();
        return match outcomes.iter().any(Result::is_ok) {
            true => Ok(()),
            false => Err(format!("{at}: {value} is none of {outcomes:?}")),
        };
    }
    let fail = |what: &str| Err(format!("{at}: {value} {what} {schema}"));
    if schema.get("const").is_some_and(|constant| constant != value) {
        return fail("is not");
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        return fail("is not one of");
    }
    if schema
        .get("minimum")
        .and_then(Value::as_f64)
        .is_some_and(|minimum| value.as_f64().is_some_and(|it| it < minimum))
    {
        return fail("is below");
    }
    let matches = match schema.get("type").and_then(Value::as_str) {
        None => true,
        Some("string") => value.as_str().is_some_and(|text| check_pattern(schema, text)),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => {
            let items = schema.get("items").ok_or_else(|| format!("{at}: an array of what?"))?;
            let list = value.as_array().map(|list| list.iter().try_for_each(|item| check(items, item, at)));
            return list.unwrap_or_else(|| fail("is not"));
        }
        Some("object") => return check_object(schema, value, at),
        Some(other) => return Err(format!("{at}: unknown type {other}")),
    };
    if matches { Ok(()) } else { fail("is not") }
}

fn check_object(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(fields) = value.as_object() else { return Err(format!("{at}: {value} is no object")) };
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
        return Err(format!("{at}: {missing} is missing"));
    }
    // The one schema without fields is this document's own.
    if schema.get("properties").is_none() && schema.get("maxProperties").is_none() {
        return Ok(());
    }
    fields.iter().try_for_each(|(name, field)| match properties.get(name) {
        Some(schema) => check(schema, field, &format!("{at}.{name}")),
        None => Err(format!("{at}: {name} is not described")),
    })
}

/// The handful of patterns that the schemas use.
fn check_pattern(schema: &Value, text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match schema.get("pattern").and_then(Value::as_str) {
        None => true,
        Some("^[0-9a-f]{32}$") => text.len() == 32 && hex(text),
        Some("^[0-9a-f]{16}$") => text.len() == 16 && hex(text),
        Some("^([0-9a-f]{2})*$") => text.len().is_multiple_of(2) && hex(text),
        Some("^-?[0-9]{1,20}$") => text.parse::<i128>().is_ok() && text.len() <= 21,
        Some(_) => false,
    }
}

/// Holds a good answer of a path that is got against its description.
pub(crate) fn check_answer(path: &str, answer: &Value) {
    let place = format!("/paths/{}/get/responses/200/content/application~1json/schema", path.replace('/', "~1"));
    let schema = document().pointer(&place).expect("the path is described");
    assert_eq!(check(schema, answer, path), Ok(()));
}

/// The schema of the good answer of an endpoint.
pub(in crate::http) fn answer_schema(endpoint: &Endpoint) -> Value {
    schema::reference(endpoint.answer)
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let text = document().to_string();
    let schemas = document().pointer("/components/schemas").and_then(Value::as_object).unwrap();
    let references: std::collections::BTreeSet<&str> =
        text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let names: std::collections::BTreeSet<&str> = schemas.keys().map(String::as_str).collect();
    assert_eq!(references, names);
}

#[test]
fn operations_have_distinct_names_and_paths_their_parameters() {
    let names: std::collections::BTreeSet<String> =
        ENDPOINTS.iter().map(|endpoint| format!("{:?}", endpoint.call)).collect();
    assert_eq!(names.len(), ENDPOINTS.len());
    for endpoint in ENDPOINTS {
        let in_path: Vec<&str> = endpoint.path.split(['{', '}']).skip(1).step_by(2).collect();
        let listed: Vec<&str> = endpoint
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Path)
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(in_path, listed, "{}", endpoint.path);
    }
}

#[test]
fn the_check_refuses_what_does_not_fit() {
    let schema = schema::reference("DemoStatus");
    let check = |value: Value| check(&schema, &value, "demo");
    assert_eq!(check(json!({ "running": true, "available": false })), Ok(()));
    assert!(check(json!({ "running": true })).is_err(), "a field is missing");
    assert!(check(json!({ "running": 1, "available": false })).is_err(), "a field has another type");
    assert!(check(json!({ "running": true, "available": false, "more": 1 })).is_err(), "a field is not described");
}

/// Every field is named and none is empty, so that a new one cannot be forgotten here.
fn full_trace() -> query_api::otlp::TracesData {
    use query_api::otlp::*;
    let values = [
        AnyValue::StringValue("a".into()),
        AnyValue::BoolValue(true),
        AnyValue::IntValue(i64::MIN),
        AnyValue::DoubleValue(f64::NAN),
        AnyValue::ArrayValue(ArrayValue { values: vec![AnyValue::DoubleValue(0.5)] }),
        AnyValue::KvlistValue(KeyValueList { values: vec![KeyValue { key: "k".into(), value: AnyValue::default() }] }),
        AnyValue::BytesValue("AA==".into()),
        AnyValue::default(),
    ];
    let attributes: Vec<KeyValue> = values.map(|value| KeyValue { key: "key".into(), value }).into();
    let event = Event {
        time_unix_nano: u64::MAX,
        name: "e".into(),
        attributes: attributes.clone(),
        dropped_attributes_count: 1,
    };
    let link = Link {
        trace_id: "ab".into(),
        span_id: "cd".into(),
        trace_state: "t".into(),
        attributes: attributes.clone(),
        dropped_attributes_count: 1,
        flags: 1,
    };
    let span = Span {
        trace_id: "0a".repeat(16),
        span_id: "0b".repeat(8),
        trace_state: "t".into(),
        parent_span_id: "0c".repeat(8),
        flags: 1,
        name: "n".into(),
        kind: 2,
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        attributes: attributes.clone(),
        dropped_attributes_count: 1,
        events: vec![event],
        dropped_events_count: 1,
        links: vec![link],
        dropped_links_count: 1,
        status: Status { message: "m".into(), code: 2 },
    };
    let scope =
        Scope { name: "s".into(), version: "1".into(), attributes: attributes.clone(), dropped_attributes_count: 1 };
    let entity = EntityRef {
        schema_url: "u".into(),
        r#type: "service".into(),
        id_keys: vec!["k".into()],
        description_keys: vec!["d".into()],
    };
    let resource = Resource { attributes, dropped_attributes_count: 1, entity_refs: vec![entity] };
    let scope_spans = vec![ScopeSpans { scope, spans: vec![span], schema_url: "u".into() }];
    TracesData {
        resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: "u".into() }],
        missing: vec![full_missing()],
    }
}

fn full_missing() -> query_api::trace::MissingBlock {
    let (block, signal) = ("0a".into(), "spans".into());
    query_api::trace::MissingBlock { block, signal, rows: 1, min_time_unix_nano: 1, max_time_unix_nano: 2 }
}

/// A point of every kind.
fn full_points() -> Vec<query_api::metric::Point> {
    use query_api::metric::*;
    let (sum, min, max) = (Some(f64::INFINITY), Some(0.5), Some(1.0));
    let (bounds, bucket_counts) = (vec![f64::NEG_INFINITY, 1.0], vec![1, 2, u64::MAX]);
    let exponential = ExponentialHistogram {
        count: 1,
        sum,
        min,
        max,
        scale: -1,
        zero_count: 1,
        zero_threshold: f64::NAN,
        positive_offset: -1,
        positive_counts: vec![1],
        negative_offset: 1,
        negative_counts: vec![1],
    };
    let quantiles = vec![Quantile { quantile: 0.5, value: f64::NAN }];
    let values = [
        PointValue::None,
        PointValue::Int(1),
        PointValue::Double(f64::NAN),
        PointValue::Histogram(Histogram { count: 1, sum, min, max, bounds, bucket_counts }),
        PointValue::ExponentialHistogram(exponential),
        PointValue::Summary(Summary { count: 1, sum: 1.0, quantiles }),
    ];
    let exemplar = Exemplar {
        time_unix_nano: 1,
        value: 1.0,
        value_int: "1".into(),
        trace_id: "ab".into(),
        span_id: "cd".into(),
        filtered_attributes: full_trace().resource_spans.remove(0).resource.attributes,
    };
    let point = |value| Point {
        time_unix_nano: 1,
        start_unix_nano: 1,
        no_recorded_value: true,
        value,
        exemplars: vec![exemplar.clone()],
        downsampled: Some(Downsampled { count: 1, sum, min, max }),
    };
    values.map(point).into()
}

#[test]
fn answers_with_every_field_set_are_as_described() {
    let holds = |name: &str, value: Value| check(&schema::reference(name), &value, name).unwrap();
    holds("TracesData", serde_json::to_value(full_trace()).unwrap());
    for point in full_points() {
        holds("Point", serde_json::to_value(point).unwrap());
    }
    let error = query_api::error::Error {
        class: query_api::error::Class::NotFound,
        message: "m".into(),
        r#where: Some("w".into()),
    };
    holds("ErrorBody", serde_json::to_value(query_api::error::ErrorBody { error }).unwrap());
    let filled = query_api::span_metrics::FilledResponse::default();
    holds("FilledResponse", serde_json::to_value(filled).unwrap());
    let made = query_api::span_metrics::SpanMetricsStatus::default();
    holds("SpanMetricsStatus", serde_json::to_value(made).unwrap());
    let signal = query_api::status::SignalStatus {
        signal: "logs".into(),
        rows: 1,
        blocks: 1,
        block_bytes: 1,
        quarantined_blocks: 1,
        memtable_rows: 1,
        memtable_bytes: 1,
        min_time: Some(query_api::status::UnixNano(i64::MIN)),
        max_time: Some(query_api::status::UnixNano(i64::MAX)),
    };
    holds("SignalStatus", serde_json::to_value(signal).unwrap());
    let sampled = query_api::status::SampledByPolicy { policy: "errors".into(), ..Default::default() };
    holds("SampledByPolicy", serde_json::to_value(sampled).unwrap());
    let attributes = full_trace().resource_spans.remove(0).resource.attributes;
    let record = query_api::log::LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 1,
        severity_number: 1,
        severity_text: "s".into(),
        service: "s".into(),
        body: Some(query_api::otlp::AnyValue::default()),
        event_name: "e".into(),
        trace_id: "0a".repeat(16),
        span_id: "0b".repeat(8),
        flags: 1,
        attributes: attributes.clone(),
        dropped_attributes_count: 1,
        resource: attributes.clone(),
        scope_name: "n".into(),
        scope_version: "v".into(),
        scope_attributes: attributes,
        origin: query_api::otlp::OriginDetail {
            resource_dropped_attributes_count: 1,
            resource_schema_url: "r".into(),
            scope_dropped_attributes_count: 1,
            scope_schema_url: "s".into(),
        },
    };
    holds("LogRecord", serde_json::to_value(record).unwrap());
    let stats =
        query_api::trace::Stats { resolution_seconds: Some(300), missing: vec![full_missing()], ..Default::default() };
    holds("Stats", serde_json::to_value(stats).unwrap());
    let active = query_api::cardinality::ActiveSeries { count: Some(1), limit: Some(2) };
    holds("ActiveSeries", serde_json::to_value(active).unwrap());
}

#[test]
fn o2_the_doors_of_the_process_stand_beside_the_api() {
    let doors = json!({ "/api/v1/import": { "post": { "summary": "A door." } } });
    let whole = with_doors(&doors);
    assert_eq!(whole.pointer("/paths/~1api~1v1~1import/post/summary"), Some(&json!("A door.")));
    let paths = |document: &Value| document["paths"].as_object().unwrap().len();
    assert_eq!(paths(&whole), paths(document()) + 1);
    assert_eq!(&with_doors(&Value::Null), document());
}
