//! Does the text follow OTLP/JSON, and does an independent reader get the same message out of it?

use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};
use proptest::prelude::*;

use super::*;
use crate::Config;
use crate::reading::{run, small};

fn parse(signal: Signal, text: &[u8]) -> Vec<u8> {
    match signal {
        Signal::Spans => serde_json::from_slice::<ExportTraceServiceRequest>(text).unwrap().encode_to_vec(),
        Signal::Logs => serde_json::from_slice::<ExportLogsServiceRequest>(text).unwrap().encode_to_vec(),
        Signal::Metrics => serde_json::from_slice::<ExportMetricsServiceRequest>(text).unwrap().encode_to_vec(),
    }
}

#[test]
fn j1_everything_that_the_model_sends_reads_back_the_same() {
    let mut checked = [0; 3];
    for batch in run(Config { stop_after: Some(400), ..small() }) {
        let text = to_json(batch.signal, &batch.bytes).unwrap();
        if memchr_nan(&text) {
            // The reader knows no "NaN"; a summary without samples has it. See the next test.
            continue;
        }
        assert!(parse(batch.signal, &text) == batch.bytes, "{}", String::from_utf8_lossy(&text));
        checked[batch.signal as usize] += 1;
    }
    assert!(checked.iter().all(|count| *count > 10), "{checked:?}");
}

fn memchr_nan(text: &[u8]) -> bool {
    text.windows(5).any(|window| window == b"\"NaN\"")
}

#[test]
fn names_and_numbers_follow_the_mapping() {
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let nested = Value::KvlistValue(KeyValueList { values: vec![attribute("k", Value::BoolValue(false))] });
    let list = Value::ArrayValue(ArrayValue {
        values: vec![
            AnyValue { value: Some(Value::IntValue(-1)) },
            AnyValue { value: None },
            AnyValue { value: Some(nested) },
        ],
    });
    let span = Span {
        trace_id: vec![0xAB; 16],
        span_id: vec![1, 2, 3, 4, 5, 6, 7, 8],
        name: "a \"b\"\n".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_790_000_000_000_000_001,
        attributes: vec![
            attribute("i", Value::IntValue(i64::MAX)),
            attribute("d", Value::DoubleValue(0.1)),
            attribute("n", Value::DoubleValue(f64::NAN)),
            attribute("p", Value::DoubleValue(f64::INFINITY)),
            attribute("m", Value::DoubleValue(f64::NEG_INFINITY)),
            attribute("b", Value::BytesValue(vec![0xff, 0xfe])),
            attribute("l", list),
        ],
        status: Some(Status { code: 2, message: String::new() }),
        flags: 0x301,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let text = String::from_utf8(to_json(Signal::Spans, &request.encode_to_vec()).unwrap()).unwrap();
    let expected = concat!(
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"abababababababababababababababab","#,
        r#""spanId":"0102030405060708","flags":769,"name":"a \"b\"\n","kind":2,"#,
        r#""startTimeUnixNano":"1790000000000000001","attributes":["#,
        r#"{"key":"i","value":{"intValue":"9223372036854775807"}},{"key":"d","value":{"doubleValue":0.1}},"#,
        r#"{"key":"n","value":{"doubleValue":"NaN"}},{"key":"p","value":{"doubleValue":"Infinity"}},"#,
        r#"{"key":"m","value":{"doubleValue":"-Infinity"}},{"key":"b","value":{"bytesValue":"//4="}},"#,
        r#"{"key":"l","value":{"arrayValue":{"values":[{"intValue":"-1"},{},{"kvlistValue":{"values":["#,
        r#"{"key":"k","value":{"boolValue":false}}]}}]}}}],"status":{"code":2}}]}]}]}"#,
    );
    assert_eq!(text, expected);
}

proptest! {
    #[test]
    fn j1_any_string_and_number_reads_back_the_same(name in ".{0,40}", int: i64, double in -1e300..1e300_f64, bytes: Vec<u8>, time in 0_u64..u64::MAX) {
        let attributes = [Value::StringValue(name.clone()), Value::IntValue(int), Value::DoubleValue(double), Value::BytesValue(bytes)]
            .into_iter()
            .map(|value| KeyValue { key: name.clone(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() })
            .collect();
        let span = Span { name, attributes, end_time_unix_nano: time, trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let request = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
        let bytes = request.encode_to_vec();
        prop_assert_eq!(parse(Signal::Spans, &to_json(Signal::Spans, &bytes).unwrap()), bytes);
    }
}
