use super::*;
use crate::decode::{DecodeLimits, decode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use storage::model::Signal;

const TIME: i64 = 1_700_000_000_000_000_000;
const LIMIT: usize = 1 << 20;

#[derive(Clone, PartialEq, prost::Message)]
struct JaegerTag {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(string, tag = "3")]
    text: String,
    #[prost(bool, tag = "4")]
    bool: bool,
    #[prost(int64, tag = "5")]
    int: i64,
    #[prost(double, tag = "6")]
    double: f64,
    #[prost(bytes, tag = "7")]
    binary: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Moment {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JaegerReference {
    #[prost(bytes, tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes, tag = "2")]
    span_id: Vec<u8>,
    #[prost(int32, tag = "3")]
    kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JaegerLog {
    #[prost(message, optional, tag = "1")]
    at: Option<Moment>,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<JaegerTag>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JaegerProcess {
    #[prost(string, tag = "1")]
    service: String,
    #[prost(message, repeated, tag = "2")]
    tags: Vec<JaegerTag>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JaegerSpan {
    #[prost(bytes, tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes, tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(message, repeated, tag = "4")]
    references: Vec<JaegerReference>,
    #[prost(uint32, tag = "5")]
    flags: u32,
    #[prost(message, optional, tag = "6")]
    start: Option<Moment>,
    #[prost(message, optional, tag = "7")]
    duration: Option<Moment>,
    #[prost(message, repeated, tag = "8")]
    tags: Vec<JaegerTag>,
    #[prost(message, repeated, tag = "9")]
    logs: Vec<JaegerLog>,
    #[prost(message, optional, tag = "10")]
    process: Option<JaegerProcess>,
    #[prost(string, tag = "11")]
    process_id: String,
    #[prost(string, repeated, tag = "12")]
    warnings: Vec<String>,
}

fn text(key: &str, text: &str) -> JaegerTag {
    JaegerTag { key: key.into(), text: text.into(), ..JaegerTag::default() }
}

fn flag(key: &str, bool: bool) -> JaegerTag {
    JaegerTag { key: key.into(), kind: 1, bool, ..JaegerTag::default() }
}

fn int(key: &str, int: i64) -> JaegerTag {
    JaegerTag { key: key.into(), kind: 2, int, ..JaegerTag::default() }
}

fn good(tags: Vec<JaegerTag>) -> JaegerSpan {
    JaegerSpan { trace_id: vec![1; 16], span_id: vec![2; 8], name: "get".into(), tags, ..JaegerSpan::default() }
}

fn read(format: Format, payload: &[u8]) -> Vec<ResourceSpans> {
    let otlp = to_otlp(format, payload, TIME, LIMIT).unwrap();
    let decoded = decode(Signal::Spans, TIME, &otlp, &DecodeLimits::default()).unwrap();
    assert_eq!((decoded.rejected, decoded.warnings), (0, 0), "{:?}", decoded.message);
    ExportTraceServiceRequest::decode(&*otlp).unwrap().resource_spans
}

fn one(format: Format, payload: &[u8]) -> (ResourceSpans, Span) {
    let mut all = read(format, payload);
    let [resource] = &mut *all else { panic!("{all:?}") };
    let span = resource.scope_spans[0].spans.remove(0);
    (resource.clone(), span)
}

fn jaeger(span: &JaegerSpan) -> Span {
    one(Format::JaegerProto, &span.encode_to_vec()).1
}

/// Attributes as `key=value`, for short expectations.
fn shown(attributes: &[KeyValue]) -> Vec<String> {
    use any_value::Value as V;
    let value = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(V::StringValue(text)) => text.clone(),
        Some(V::BoolValue(value)) => value.to_string(),
        Some(V::IntValue(value)) => value.to_string(),
        Some(V::DoubleValue(value)) => format!("{value:?}"),
        Some(V::BytesValue(bytes)) => format!("{bytes:?}"),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|attribute| format!("{}={}", attribute.key, value(attribute))).collect()
}

fn whole_jaeger_span() -> JaegerSpan {
    let reference = |trace, span, kind| JaegerReference { trace_id: vec![trace; 16], span_id: vec![span; 8], kind };
    JaegerSpan {
        references: vec![reference(1, 5, 1), reference(9, 6, 0), reference(1, 7, 0)],
        flags: 3,
        start: Some(Moment { seconds: 1_700_000_000, nanos: 5 }),
        duration: Some(Moment { seconds: 1, nanos: 500_000_000 }),
        logs: vec![JaegerLog {
            at: Some(Moment { seconds: 1_700_000_001, nanos: 0 }),
            fields: vec![text("event", "retry"), int("count", 2)],
        }],
        process: Some(JaegerProcess {
            service: "shop".into(),
            tags: vec![text("hostname", "h1"), text("jaeger.version", "Go-2.9")],
        }),
        warnings: vec!["clock skew".into()],
        ..good(vec![
            text("span.kind", "server"),
            text("otel.scope.name", "lib"),
            text("otel.scope.version", "1"),
            text("w3c.tracestate", "a=1"),
            text("text", "t"),
            flag("flag", true),
            int("number", -1),
            JaegerTag { key: "double".into(), kind: 3, double: 0.5, ..JaegerTag::default() },
            JaegerTag { key: "binary".into(), kind: 4, binary: vec![0, 255], ..JaegerTag::default() },
        ])
    }
}

#[test]
fn f3_a_span_of_jaeger_is_kept_whole() {
    let (resource, span) = one(Format::JaegerProto, &whole_jaeger_span().encode_to_vec());
    assert_eq!(
        shown(&resource.resource.unwrap().attributes),
        ["service.name=shop", "host.name=h1", "jaeger.version=Go-2.9"]
    );
    let scope = resource.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!((&*scope.name, &*scope.version), ("lib", "1"));
    assert_eq!((&*span.trace_id, &*span.span_id, &*span.parent_span_id), (&[1; 16][..], &[2; 8][..], &[7; 8][..]));
    assert_eq!((&*span.name, &*span.trace_state, span.kind, span.flags), ("get", "a=1", 2, 1));
    let start = 1_700_000_000_000_000_005;
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (start, start + 1_500_000_000));
    let attributes = [
        "jaeger.flags=3",
        "text=t",
        "flag=true",
        "number=-1",
        "double=0.5",
        "binary=[0, 255]",
        "jaeger.warning=clock skew",
    ];
    assert_eq!(shown(&span.attributes), attributes);
    let [event] = &*span.events else { panic!("{:?}", span.events) };
    assert_eq!((event.time_unix_nano, &*event.name), (1_700_000_001_000_000_000, "retry"));
    assert_eq!(shown(&event.attributes), ["count=2"]);
    let links: Vec<_> =
        span.links.iter().map(|link| (link.trace_id[0], link.span_id[0], shown(&link.attributes))).collect();
    let kind = |kind: &str| vec![format!("opentracing.ref_type={kind}")];
    assert_eq!(links, [(1, 5, kind("follows_from")), (9, 6, kind("child_of"))]);
}

#[test]
fn the_json_of_a_span_of_jaeger_is_its_protobuf() {
    let json = r#"{"traceId":"AQEBAQEBAQEBAQEBAQEBAQ==","spanId":"AgICAgICAgI=","operationName":"get","references":[
        {"traceId":"AQEBAQEBAQEBAQEBAQEBAQ==","spanId":"BQUFBQUFBQU=","refType":"FOLLOWS_FROM"},
        {"trace_id":"CQkJCQkJCQkJCQkJCQkJCQ==","span_id":"BgYGBgYGBgY=","ref_type":"CHILD_OF"},
        {"traceId":"AQEBAQEBAQEBAQEBAQEBAQ==","spanId":"BwcHBwcHBwc=","refType":0}],
      "flags":3,"startTime":"2023-11-14T23:13:20.000000005+01:00","duration":"1.5s","tags":[
        {"key":"span.kind","vType":"STRING","vStr":"server"},{"key":"otel.scope.name","vStr":"lib"},
        {"key":"otel.scope.version","v_str":"1"},{"key":"w3c.tracestate","vStr":"a=1"},{"key":"text","vStr":"t"},
        {"key":"flag","vType":"BOOL","vBool":true},{"key":"number","vType":"INT64","vInt64":"-1"},
        {"key":"double","v_type":3,"v_float64":0.5},{"key":"binary","vType":"BINARY","vBinary":"AP8="}],
      "logs":[{"timestamp":"2023-11-14T22:13:21Z","fields":[{"key":"event","vStr":"retry"},
        {"key":"count","vType":"INT64","vInt64":2}]}],
      "process":{"serviceName":"shop","tags":[{"key":"hostname","vStr":"h1"},{"key":"jaeger.version","vStr":"Go-2.9"}]},
      "warnings":["clock skew"],"unknown":{"a":[1]}}"#;
    let payload = whole_jaeger_span().encode_to_vec();
    assert_eq!(read(Format::JaegerJson, json.as_bytes()), read(Format::JaegerProto, &payload));
}

#[test]
fn status_comes_from_the_tag_that_knows_best() {
    let status = |tags: Vec<JaegerTag>| {
        let span = jaeger(&good(tags));
        let status = span.status.unwrap_or_default();
        (status.code, status.message, shown(&span.attributes).join(" "))
    };
    let told = |code: i32, message: &str, rest: &str| (code, message.to_owned(), rest.to_owned());
    assert_eq!(status(vec![]), told(0, "", ""));
    assert_eq!(status(vec![flag("error", true), text("otel.status_description", "no")]), told(2, "no", ""));
    assert_eq!(status(vec![flag("error", false)]), told(0, "", "error=false"));
    assert_eq!(status(vec![text("error", "true"), text("otel.status_code", "OK")]), told(2, "", ""));
    assert_eq!(status(vec![text("error", "timeout")]), told(2, "timeout", "error=timeout"));
    assert_eq!(status(vec![text("otel.status_code", "OK")]), told(1, "", ""));
    assert_eq!(status(vec![text("otel.status_code", "STATUS_CODE_ERROR")]), told(2, "", ""));
    assert_eq!(status(vec![text("otel.status_code", "odd")]), told(0, "", "otel.status_code=odd"));
    assert_eq!(status(vec![int("http.status_code", 404)]), told(2, "", "http.status_code=404"));
    let server = vec![text("span.kind", "server"), int("http.status_code", 404)];
    assert_eq!(status(server), told(0, "", "http.status_code=404"));
    let server = vec![text("span.kind", "server"), text("http.status_code", "500"), text("http.status_message", "oh")];
    assert_eq!(status(server), told(2, "oh", "http.status_code=500 http.status_message=oh"));
    assert_eq!(status(vec![text("span.kind", "other")]), told(0, "", "span.kind=other"));
}

#[test]
fn ids_of_64_bits_are_widened_and_a_span_may_follow_its_parent() {
    let reference = JaegerReference { trace_id: [[0; 8], [1; 8]].concat(), span_id: vec![3; 8], kind: 1 };
    let span = jaeger(&JaegerSpan { trace_id: vec![1; 8], references: vec![reference], ..good(vec![]) });
    assert_eq!((span.trace_id, span.parent_span_id), ([[0; 8], [1; 8]].concat(), vec![3; 8]));
    assert_eq!(span.links.len(), 1);
}

const ZIPKIN: &str = r#"[
  {"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"a2fb4a1d1a96d312","id":"463ac35c9f6413ad","kind":"CLIENT",
   "name":"get","timestamp":1700000000000000,"duration":1500,
   "localEndpoint":{"serviceName":"front","ipv4":"10.0.0.1","ipv6":"2001:db8::1","port":80},
   "remoteEndpoint":{"serviceName":"back","ipv6":"2001:db8::2","port":9000},
   "annotations":[{"timestamp":1700000000000500,"value":"ws"}],
   "tags":{"http.path":"/api","error":"timeout","otel.library.name":"lib"},"debug":true,"shared":true},
  {"traceId":"1","id":"2","annotations":[{"timestamp":1700000000000009,"value":"b"},{"timestamp":1700000000000007,"value":"a"}]},
  {"traceId":"48485a3953bb6124","id":"3","parentId":null,"kind":null}]"#;

#[test]
fn f3_spans_of_zipkin_are_kept_whole() {
    let all = read(Format::ZipkinJson, ZIPKIN.as_bytes());
    let [whole, early, bare] = &*all else { panic!("{all:?}") };
    assert_eq!(shown(&whole.resource.as_ref().unwrap().attributes), ["service.name=front"]);
    assert_eq!(whole.scope_spans[0].scope.as_ref().unwrap().name, "lib");
    let span = &whole.scope_spans[0].spans[0];
    assert_eq!((span.trace_id[0], span.span_id[0], span.parent_span_id[0], span.kind), (0x46, 0x46, 0xa2, 3));
    assert_eq!(
        (span.start_time_unix_nano, span.end_time_unix_nano),
        (1_700_000_000_000_000_000, 1_700_000_000_001_500_000)
    );
    let attributes = [
        "net.host.ip=10.0.0.1",
        "net.host.ipv6=2001:db8::1",
        "net.host.port=80",
        "peer.service=back",
        "net.peer.ip=2001:db8::2",
        "net.peer.port=9000",
        "zipkin.debug=true",
        "zipkin.shared=true",
        "http.path=/api",
        "error=timeout",
    ];
    assert_eq!(shown(&span.attributes), attributes);
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, &*status.message), (2, "timeout"));
    assert_eq!((span.events[0].time_unix_nano, &*span.events[0].name), (1_700_000_000_000_500_000, "ws"));
    let span = &early.scope_spans[0].spans[0];
    assert_eq!(span.trace_id, [[0; 15].as_slice(), &[1]].concat()[..]);
    assert_eq!((span.start_time_unix_nano, span.events.len()), (1_700_000_000_000_007_000, 2));
    assert_eq!(shown(&span.attributes), ["otel.zipkin.absentField.startTime=true"]);
    let span = &bare.scope_spans[0].spans[0];
    assert_eq!((span.start_time_unix_nano, span.parent_span_id.len()), (TIME.unsigned_abs(), 0));
}

#[test]
fn what_is_none_says_where_and_why() {
    for (format, payload, what) in [
        (Format::JaegerProto, &b"\x0a\xff"[..], "malformed protobuf"),
        (Format::JaegerProto, b"\x42\x02\x0a\x05", "in field 1 of tags"),
        (Format::JaegerProto, b"\x1a\x01\xff", "UTF-8"),
        (Format::JaegerJson, b"{\"startTime\":\"yesterday\"}", "$.startTime"),
        (Format::JaegerJson, b"{\"duration\":\"5\"}", "seconds such as 1.5s"),
        (Format::JaegerJson, b"{\"tags\":[{\"vType\":\"FLOAT\"}]}", "$.tags[0].vType"),
        (Format::JaegerJson, b"{\"startTime\":5}", "RFC 3339"),
        (Format::JaegerJson, b"[]", "an object"),
        (Format::ZipkinJson, b"{}", "an array"),
        (Format::ZipkinJson, b"null", "null"),
        (Format::ZipkinJson, b"[{\"traceId\":\"xyz\"}]", "$[0].traceId"),
        (Format::ZipkinJson, b"[{\"localEndpoint\":{\"ipv4\":\"1.2.3\"}}]", "an IP address"),
        (Format::ZipkinJson, b"[{\"tags\":{\"a\":1}}]", "\"a\""),
        (Format::ZipkinJson, b"[{\"tags\":[]}]", "an object of texts"),
        (Format::ZipkinJson, b"[{\"kind\":\"client\"}]", "$[0].kind"),
        (Format::ZipkinJson, "[".repeat(100_000).as_bytes(), "$[0]"),
        (Format::ZipkinProto, b"\x0a\x01\x0a", "spans"),
    ] {
        let error = to_otlp(format, payload, TIME, LIMIT).unwrap_err().to_string();
        assert!(error.contains(what), "{format:?}: {error}");
    }
}

#[test]
fn what_otlp_refuses_is_refused_by_its_decoder() {
    let moment = |seconds| Some(Moment { seconds, nanos: 0 });
    for (span, reason) in [
        (JaegerSpan { trace_id: vec![1; 24], ..good(vec![]) }, "trace_id has 24 bytes"),
        (JaegerSpan { span_id: vec![], ..good(vec![]) }, "span_id has 0 bytes"),
        (JaegerSpan { start: moment(-1), ..good(vec![]) }, "start_time_unix_nano"),
        (JaegerSpan { start: moment(i64::MAX), duration: moment(i64::MAX), ..good(vec![]) }, "start_time_unix_nano"),
    ] {
        let otlp = to_otlp(Format::JaegerProto, &span.encode_to_vec(), TIME, LIMIT).unwrap();
        let decoded = decode(Signal::Spans, TIME, &otlp, &DecodeLimits::default()).unwrap();
        let message = decoded.message.unwrap_or_default();
        assert!(decoded.rejected == 1 && message.contains(reason), "{message}");
    }
}

#[test]
fn f2_no_message_grows_past_the_limit() {
    let many = [0x0a, 0].repeat(LIMIT / 4);
    let error = to_otlp(Format::ZipkinProto, &many, TIME, LIMIT).unwrap_err();
    assert_eq!(error, JsonError::TooLarge { limit: LIMIT }.into());
    let many = format!("[{}{{}}]", "{},".repeat(LIMIT / 4));
    assert_eq!(to_otlp(Format::ZipkinJson, many.as_bytes(), TIME, LIMIT).unwrap_err(), error);
}

const FORMATS: [Format; 4] = [Format::JaegerProto, Format::JaegerJson, Format::ZipkinProto, Format::ZipkinJson];

/// Whatever comes is refused, or is OTLP that the decoder takes.
fn survives(payload: &[u8]) {
    for format in FORMATS {
        if let Ok(otlp) = to_otlp(format, payload, TIME, LIMIT) {
            decode(Signal::Spans, TIME, &otlp, &DecodeLimits::default()).unwrap();
            // Of a field of two bytes, at most: the marks of a span of Zipkin that says nothing.
            assert!(otlp.len() <= 64 * (payload.len() + 1), "{} of {}", otlp.len(), payload.len());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_grow(bytes in vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic_or_grow(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let list: Vec<u8> = json::zipkin_spans(ZIPKIN.as_bytes(), LIMIT).unwrap().protobuf;
        for whole in [whole_jaeger_span().encode_to_vec(), list, ZIPKIN.as_bytes().to_vec()] {
            let mut damaged = whole.clone();
            damaged[at.index(whole.len())] = byte;
            survives(&damaged);
            survives(&whole[..cut.index(whole.len())]);
        }
    }

    #[test]
    fn tags_of_any_kind_are_kept(key in ".{0,9}", kind in any::<i32>(), content in ".{0,9}", int in any::<i64>()) {
        let tag = JaegerTag { key: format!("x{key}"), kind, text: content, int, ..JaegerTag::default() };
        prop_assert_eq!(jaeger(&good(vec![tag])).attributes.len(), 1);
    }
}
