use super::*;

fn spans(json: &str) -> Result<Vec<u8>, JsonError> {
    to_protobuf(Signal::Spans, json.as_bytes(), 1 << 20).map(|transcoded| transcoded.protobuf)
}

/// The protobuf of a span with the given JSON members.
fn span(members: &str) -> Result<Vec<u8>, JsonError> {
    let message = spans(&format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{members}}}]}}]}}]}}"#))?;
    // Three levels of tag and one-byte length.
    Ok(message[6..].to_vec())
}

#[test]
fn j2_what_the_protocol_tolerates_is_read() {
    let cases: &[(&str, &[u8])] = &[
        ("", b""),
        (r#""name":"a""#, b"\x2a\x01a"),
        (r#""name":null,"unknown":{"a":[1,{"b":null}]},"trace_state":"x""#, b""),
        (r#""name":"a","kind":1,"name":"b""#, b"\x30\x01\x2a\x01b"),
        (r#""name":"a","kind":1,"name":null"#, b"\x30\x01"),
        (r#""kind":2"#, b"\x30\x02"),
        (r#""kind":"2""#, b"\x30\x02"),
        (r#""traceId":"aBcD""#, b"\x0a\x02\xab\xcd"),
        (r#""traceId":"""#, b"\x0a\x00"),
        (r#""endTimeUnixNano":"1""#, b"\x41\x01\0\0\0\0\0\0\0"),
        (r#""endTimeUnixNano":1"#, b"\x41\x01\0\0\0\0\0\0\0"),
        (r#""endTimeUnixNano":1e3"#, b"\x41\xe8\x03\0\0\0\0\0\0"),
        (r#""endTimeUnixNano":-0"#, b"\x41\0\0\0\0\0\0\0\0"),
        (r#""endTimeUnixNano":18446744073709551615"#, b"\x41\xff\xff\xff\xff\xff\xff\xff\xff"),
        (r#""endTimeUnixNano":"18446744073709551615""#, b"\x41\xff\xff\xff\xff\xff\xff\xff\xff"),
        (r#""droppedEventsCount":-1"#, b"\x60\x00"),
        (r#""status":{}"#, b"\x7a\x00"),
        (r#""status":{"code":2,"message":"\u00e9"}"#, b"\x7a\x06\x18\x02\x12\x02\xc3\xa9"),
        (r#""flags":769"#, b"\x85\x01\x01\x03\0\0"),
        (r#""attributes":null"#, b""),
        (r#""attributes":[]"#, b""),
        (r#""attributes":[{"key":"a","value":{"intValue":"-1"}}],"attributes":[]"#, b""),
        (
            r#""attributes":[{"key":"a","value":{"intValue":-1}}]"#,
            b"\x4a\x10\x0a\x01a\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ),
        (r#""attributes":[{"value":{"boolValue":true}}]"#, b"\x4a\x04\x12\x02\x10\x01"),
        (r#""attributes":[{"value":{"bytesValue":"_-8"}}]"#, b"\x4a\x06\x12\x04\x3a\x02\xff\xef"),
        (r#""attributes":[{"value":{"bytesValue":"/+8="}}]"#, b"\x4a\x06\x12\x04\x3a\x02\xff\xef"),
        (r#""attributes":[{"value":{"doubleValue":"Infinity"}}]"#, b"\x4a\x0b\x12\x09\x21\0\0\0\0\0\0\xf0\x7f"),
        (r#""attributes":[{"value":{"doubleValue":1}}]"#, b"\x4a\x0b\x12\x09\x21\0\0\0\0\0\0\xf0\x3f"),
        (r#""attributes":[{"value":{"doubleValue":"1.0"}}]"#, b"\x4a\x0b\x12\x09\x21\0\0\0\0\0\0\xf0\x3f"),
        (
            r#""attributes":[{"value":{"arrayValue":{"values":[{},{"intValue":1}]}}}]"#,
            b"\x4a\x0a\x12\x08\x2a\x06\x0a\x00\x0a\x02\x18\x01",
        ),
    ];
    for (members, expected) in cases {
        assert_eq!(span(members).as_deref(), Ok(*expected), "{members}");
    }
}

#[test]
fn j3_what_would_be_a_guess_is_refused_and_the_place_is_told() {
    let cases: &[(&str, &str, &str)] = &[
        (r#""kind":"SPAN_KIND_SERVER""#, ".kind", "OTLP/JSON has no names"),
        (r#""kind":1.5"#, ".kind", "1.5"),
        (r#""kind":2147483648"#, ".kind", "out of range"),
        (r#""traceId":"abc""#, ".traceId", "hex"),
        (r#""traceId":"q83vEjRWeJCrze8SNFZ4kA==""#, ".traceId", "hex"),
        (r#""traceId":0"#, ".traceId", "hex"),
        (r#""endTimeUnixNano":18446744073709551616"#, ".endTimeUnixNano", "out of range"),
        (r#""endTimeUnixNano":-1"#, ".endTimeUnixNano", "out of range"),
        (r#""endTimeUnixNano":"0x1""#, ".endTimeUnixNano", "integer"),
        (r#""endTimeUnixNano":"""#, ".endTimeUnixNano", "integer"),
        (r#""name":1"#, ".name", "a string"),
        (r#""name":"\ud800""#, ".name", "hex escape"),
        (r#""name":"\ud800\u0041""#, ".name", "surrogate"),
        (r#""attributes":{}"#, ".attributes", "an array"),
        (r#""attributes":[null]"#, ".attributes[0]", "null"),
        (r#""attributes":[{},{"key":"a","value":1}]"#, ".attributes[1].value", "an object"),
        (r#""attributes":[{"value":{"intValue":"9223372036854775808"}}]"#, ".attributes[0].value.intValue", "range"),
        (r#""attributes":[{"value":{"intValue":9223372036854775808}}]"#, ".attributes[0].value.intValue", "range"),
        (r#""attributes":[{"value":{"boolValue":"true"}}]"#, ".attributes[0].value.boolValue", "true or false"),
        (r#""attributes":[{"value":{"doubleValue":"nan"}}]"#, ".attributes[0].value.doubleValue", "NaN"),
        (r#""attributes":[{"value":{"bytesValue":"*"}}]"#, ".attributes[0].value.bytesValue", "base64"),
        (r#"/* a comment */"#, "", "line 1"),
        (r#""name":"a",""#, "", "line 1"),
    ];
    for (members, path, what) in cases {
        let Err(JsonError::Malformed { path: found, what: why }) = span(members) else { panic!("{members}") };
        assert_eq!(found, format!("$.resourceSpans[0].scopeSpans[0].spans[0]{path}"), "{members}: {why}");
        assert!(why.contains(what), "{members}: {why}");
    }
}

#[test]
fn j3_what_is_no_object_is_refused() {
    for bad in ["", " ", "[]", "null", "1", "\"\"", "{", "{}{}", "\u{feff}{}", "\x0a\x00", "{\"resourceSpans\":[]"] {
        assert!(matches!(spans(bad), Err(JsonError::Malformed { .. })), "{bad:?}");
    }
    assert_eq!(spans(" { } \n"), Ok(vec![]));
}

#[test]
fn j5_deep_json_is_refused_clearly() {
    let deep = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        let close = "]}}".repeat(levels);
        span(&format!(r#""attributes":[{{"value":{open}{close}}}]"#))
    };
    assert!(deep(MAX_VALUE_DEPTH).is_ok());
    for levels in [100, 1_000, 100_000] {
        let Err(JsonError::Malformed { what, .. }) = deep(levels) else { panic!("{levels}") };
        assert!(what.contains("nests deeper than"), "{what}");
    }
    let unknown = format!("{{\"unknown\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(spans(&unknown), Ok(vec![]), "unknown fields are skipped without recursion");
}

#[test]
fn j1_the_protobuf_is_limited_too() {
    let counts = "0,".repeat(10_000) + "0";
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"bucketCounts":[{counts}]}}]}}}}]}}]}}]}}"#
    );
    assert_eq!(
        to_protobuf(Signal::Metrics, json.as_bytes(), 50_000).unwrap_err(),
        JsonError::TooLarge { limit: 50_000 }
    );
    assert!(to_protobuf(Signal::Metrics, json.as_bytes(), 100_000).is_ok());
}

#[test]
fn a_length_of_two_bytes_is_put_before_what_was_written() {
    let name = "n".repeat(300);
    let message =
        spans(&format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"name":"{name}"}}]}}]}}]}}"#)).unwrap();
    assert_eq!(&message[..12], b"\x0a\xb5\x02\x12\xb2\x02\x12\xaf\x02\x2a\xac\x02");
    assert_eq!(message.len(), 312);
}
