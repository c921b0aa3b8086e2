//! Are requests of both versions read as a writer of protobuf means them?

use super::*;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use proptest::prelude::*;
use prost::Message;
use storage::model::attribute::{Map, Value};
use storage::model::record;
use storage::model::schema::column;
use storage::model::verbatim::{FLOAT_COUNTS, ResetHint, Role, STALE_BITS};

/// The messages of version 1, as prost has them.
mod one {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(message, repeated, tag = "1")]
        pub timeseries: Vec<Series>,
        #[prost(message, repeated, tag = "3")]
        pub metadata: Vec<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub exemplars: Vec<Exemplar>,
        #[prost(message, repeated, tag = "4")]
        pub histograms: Vec<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
        /// In version 2 alone.
        #[prost(int64, tag = "3")]
        pub start: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(double, tag = "2")]
        pub value: f64,
        #[prost(int64, tag = "3")]
        pub timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub r#type: i32,
        #[prost(string, tag = "2")]
        pub family: String,
        #[prost(string, tag = "4")]
        pub help: String,
        #[prost(string, tag = "5")]
        pub unit: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(sint32, tag = "1")]
        pub offset: i32,
        #[prost(uint32, tag = "2")]
        pub length: u32,
    }
    /// Alike in version 2.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub count_float: Option<f64>,
        #[prost(double, tag = "3")]
        pub sum: f64,
        #[prost(sint32, tag = "4")]
        pub schema: i32,
        #[prost(double, tag = "5")]
        pub zero_threshold: f64,
        #[prost(uint64, optional, tag = "6")]
        pub zero_count: Option<u64>,
        #[prost(double, optional, tag = "7")]
        pub zero_count_float: Option<f64>,
        #[prost(message, repeated, tag = "8")]
        pub negative_spans: Vec<Span>,
        #[prost(sint64, repeated, tag = "9")]
        pub negative_deltas: Vec<i64>,
        #[prost(double, repeated, tag = "10")]
        pub negative_counts: Vec<f64>,
        #[prost(message, repeated, tag = "11")]
        pub positive_spans: Vec<Span>,
        #[prost(sint64, repeated, tag = "12")]
        pub positive_deltas: Vec<i64>,
        #[prost(double, repeated, tag = "13")]
        pub positive_counts: Vec<f64>,
        #[prost(int32, tag = "14")]
        pub hint: i32,
        #[prost(int64, tag = "15")]
        pub timestamp: i64,
        #[prost(double, repeated, tag = "16")]
        pub custom_values: Vec<f64>,
        #[prost(int64, tag = "17")]
        pub start: i64,
    }
}

/// The messages of version 2.
mod two {
    use super::one::{Histogram, Sample};
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub timeseries: Vec<Series>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub histograms: Vec<Histogram>,
        #[prost(message, repeated, tag = "4")]
        pub exemplars: Vec<Exemplar>,
        #[prost(message, optional, tag = "5")]
        pub metadata: Option<Metadata>,
        #[prost(int64, tag = "6")]
        pub created: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        #[prost(double, tag = "2")]
        pub value: f64,
        #[prost(int64, tag = "3")]
        pub timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub r#type: i32,
        #[prost(uint32, tag = "3")]
        pub help_ref: u32,
        #[prost(uint32, tag = "4")]
        pub unit_ref: u32,
    }
}

const RECEIVED_AT: i64 = 1_700_000_000_000_000_000;

fn run(version: Version, message: &[u8]) -> Result<Decoded, Malformed> {
    decode(version, RECEIVED_AT, message, &DecodeLimits::default())
}

fn labels(pairs: &[(&str, &str)]) -> Vec<one::Label> {
    pairs.iter().map(|(name, value)| one::Label { name: (*name).into(), value: (*value).into() }).collect()
}

fn sample(value: f64, timestamp: i64) -> one::Sample {
    one::Sample { value, timestamp, start: 0 }
}

fn up(pairs: &[(&str, &str)]) -> one::Series {
    one::Series { labels: labels(pairs), samples: vec![sample(1.0, 1_000)], ..one::Series::default() }
}

fn request(timeseries: Vec<one::Series>) -> Vec<u8> {
    one::Request { timeseries, metadata: Vec::new() }.encode_to_vec()
}

/// What is left of series: how many samples, how many points were left out, and why.
fn outcome(timeseries: Vec<one::Series>) -> (u64, u64, String) {
    let decoded = run(Version::One, &request(timeseries)).unwrap();
    let rows = decoded.batch.num_rows() as u64;
    assert_eq!(rows, decoded.written.samples + decoded.written.histograms);
    (rows, decoded.rejected, decoded.message.unwrap_or_default())
}

fn text<'a>(columns: &'a RecordBatch, name: &str, row: usize) -> &'a str {
    let column = columns.column_by_name(name).unwrap().as_any_dictionary();
    column.values().as_string::<i32>().value(column.normalized_keys()[row])
}

fn cell<'a>(columns: &'a RecordBatch, name: &str, row: usize) -> &'a [u8] {
    let column = columns.column_by_name(name).unwrap();
    match column.as_any_dictionary_opt() {
        Some(column) => column.values().as_binary::<i32>().value(column.normalized_keys()[row]),
        None => column.as_binary::<i32>().value(row),
    }
}

fn attributes(columns: &RecordBatch, row: usize) -> Vec<(String, String)> {
    let text = |value: Value<'_>| match value {
        Value::String(text) => text.to_owned(),
        other => format!("{other:?}"),
    };
    let map = Map::new(cell(columns, column::ATTRIBUTES, row));
    map.iter().map(|(key, value)| (key.to_owned(), text(value))).collect()
}

fn role(columns: &RecordBatch, row: usize) -> Option<Role> {
    Role::of(cell(columns, column::SCOPE, row))
}

fn times(columns: &RecordBatch) -> &[i64] {
    columns.column_by_name(column::TIME).unwrap().as_primitive::<TimestampNanosecondType>().values()
}

fn flags(columns: &RecordBatch) -> &[u32] {
    columns.column_by_name(column::FLAGS).unwrap().as_primitive::<UInt32Type>().values()
}

fn doubles(columns: &RecordBatch) -> Vec<Option<u64>> {
    let values = columns.column_by_name(column::VALUE_DOUBLE).unwrap().as_primitive::<Float64Type>();
    values.iter().map(|value| value.map(f64::to_bits)).collect()
}

#[test]
fn version_1_gives_samples_exemplars_and_metadata() {
    let id = "0123456789abcdef0123456789abcdef";
    let exemplar = one::Exemplar { labels: labels(&[("trace_id", id), ("x", "y")]), value: 0.5, timestamp: 3_000 };
    let series = one::Series {
        labels: labels(&[("__name__", "up"), ("job", "a"), ("empty", "")]),
        samples: vec![sample(1.5, 2_000), sample(f64::from_bits(STALE_BITS), -1)],
        exemplars: vec![exemplar],
        histograms: vec![],
    };
    let metadata = one::Metadata { r#type: 2, family: "up".into(), help: "Is it up?".into(), unit: "u".into() };
    let message = one::Request { timeseries: vec![series], metadata: vec![metadata] }.encode_to_vec();
    let decoded = run(Version::One, &message).unwrap();
    let columns = decoded.batch.columns();
    assert_eq!(decoded.written, Written { samples: 2, histograms: 0, exemplars: 1 });
    assert_eq!((decoded.rejected, decoded.service.as_deref()), (0, Some("a")));
    let roles: Vec<_> = (0..4).map(|row| role(columns, row)).collect();
    assert_eq!(roles, [Role::Samples, Role::Samples, Role::Exemplars, Role::Metadata].map(Some));
    let at = times(columns);
    assert_eq!([at[0], at[1], at[2] / 1_000_000, at[3]], [2_000_000_000, -1_000_000, 3_000, RECEIVED_AT]);
    assert_eq!(flags(columns), [0, 1, 1, 1]);
    assert_eq!(doubles(columns), [Some(1.5f64.to_bits()), None, None, None]);
    assert_eq!(attributes(columns, 0), [("job".to_owned(), "a".to_owned())]);
    assert_eq!((text(columns, column::NAME, 3), text(columns, column::DESCRIPTION, 3)), ("up", "Is it up?"));
    let exemplars: Vec<_> = record::Exemplar::list(cell(columns, column::EXEMPLARS, 2)).collect();
    assert_eq!(exemplars[0].trace_id, u128::from_str_radix(id, 16).unwrap().to_be_bytes());
    assert_eq!(exemplars[0].filtered_attributes.get("x"), Some(Value::String("y")));
    // What was recorded is replayed alike.
    let packed = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    for record in [record(Version::One, false, &message), record(Version::One, true, &packed)] {
        let replayed = recorded(Signal::Metrics, RECEIVED_AT, &record, &DecodeLimits::default()).unwrap().unwrap();
        assert_eq!(replayed.batch.columns(), columns);
    }
    assert!(recorded(Signal::Metrics, RECEIVED_AT, &message, &DecodeLimits::default()).is_none(), "as OTLP begins");
}

/// A store keeps one row of a series and nanosecond.
#[test]
fn exemplars_of_one_millisecond_are_rows_of_their_own_and_the_same_ones_in_each_request() {
    let rows = |values: &[f64]| -> Vec<i64> {
        let exemplar = |value: &f64| one::Exemplar { labels: labels(&[("id", "x")]), value: *value, timestamp: 3_000 };
        let series = one::Series {
            labels: labels(&[("__name__", "up")]),
            exemplars: values.iter().map(exemplar).collect(),
            ..one::Series::default()
        };
        let decoded =
            run(Version::One, &one::Request { timeseries: vec![series], metadata: vec![] }.encode_to_vec()).unwrap();
        assert_eq!(decoded.written.exemplars, values.len() as u64);
        let columns = decoded.batch.columns();
        for row in 0..columns.num_rows() {
            let told: Vec<_> = record::Exemplar::list(cell(columns, column::EXEMPLARS, row)).collect();
            assert_eq!((told.len(), told[0].time_unix_nano), (1, 3_000_000_000));
        }
        times(columns).to_vec()
    };
    let (one, other) = (rows(&[1.0]), rows(&[2.0]));
    assert_eq!((one.len(), one[0] / 1_000_000, other[0] / 1_000_000), (1, 3_000, 3_000));
    assert_ne!(one, other);
    let mut both = vec![one[0], other[0]];
    both.sort_unstable();
    assert_eq!(rows(&[1.0, 2.0, 1.0]), both);
}

fn version_2(series: two::Series, symbols: &[&str]) -> Result<Decoded, Malformed> {
    let symbols = symbols.iter().map(|text| (*text).to_owned()).collect();
    run(Version::Two, &two::Request { symbols, timeseries: vec![series] }.encode_to_vec())
}

#[test]
fn version_2_gives_types_units_and_start_times() {
    let symbols = ["", "__name__", "hits_total", "job", "a", "Hits.", "hits", "trace_id", "short"];
    let series = two::Series {
        labels_refs: vec![3, 4, 1, 2],
        samples: vec![one::Sample { value: 7.0, timestamp: 5, start: 3 }, sample(8.0, 6)],
        exemplars: vec![two::Exemplar { labels_refs: vec![7, 8], value: 1.0, timestamp: 4 }],
        metadata: Some(two::Metadata { r#type: 1, help_ref: 5, unit_ref: 6 }),
        created: 2,
        ..two::Series::default()
    };
    let decoded = version_2(series, &symbols).unwrap();
    let columns = decoded.batch.columns();
    assert_eq!(decoded.written, Written { samples: 2, histograms: 0, exemplars: 1 });
    let starts = columns.column_by_name(column::START_TIME).unwrap().as_primitive::<TimestampNanosecondType>();
    assert_eq!((starts.value(0), starts.value(1)), (3_000_000, 2_000_000));
    assert_eq!((text(columns, column::UNIT, 0), text(columns, column::DESCRIPTION, 0)), ("hits", "Hits."));
    let is_monotonic = columns.column_by_name(column::IS_MONOTONIC).unwrap().as_boolean();
    assert!(is_monotonic.value(0), "a counter");
    let exemplars: Vec<_> = record::Exemplar::list(cell(columns, column::EXEMPLARS, 2)).collect();
    assert_eq!(exemplars[0].filtered_attributes.get("trace_id"), Some(Value::String("short")), "an id that is none");
}

#[test]
fn the_first_symbol_is_empty() {
    let check = |symbols: &[&str]| {
        let symbols = symbols.iter().map(|text| (*text).to_owned()).collect();
        let series = two::Series { labels_refs: vec![0, 1], ..two::Series::default() };
        check_symbols(Version::Two, &two::Request { symbols, timeseries: vec![series] }.encode_to_vec())
    };
    assert_eq!((check(&[]), check(&["", "a"])), (Ok(()), Ok(())));
    let error = check(&["__name__", "a"]).unwrap_err();
    assert_eq!(error, "symbols[0] is \"__name__\"; the first symbol must be the empty text");
    assert!(check(&[&"x".repeat(1 << 20)]).unwrap_err().len() < 200);
    // Behind series and unknown fields it is the first all the same; what is malformed is told as that.
    assert!(check_symbols(Version::Two, b"\x2a\x00\x08\x01\x22\x01a").is_err());
    for other in [&b"\x22\x09a"[..], b"\x22", b"\xff"] {
        assert_eq!(check_symbols(Version::Two, other), Ok(()), "{other:?}");
    }
    // In version 1 it is another field.
    assert_eq!(check_symbols(Version::One, b"\x22\x01a"), Ok(()));
}

#[test]
fn r2_references_past_the_symbols_leave_out_their_series() {
    let check = |labels_refs: Vec<u32>, expected: &str| {
        let series = two::Series { labels_refs, samples: vec![sample(1.0, 1); 3], ..two::Series::default() };
        let decoded = version_2(series, &["", "__name__", "a"]).unwrap();
        assert_eq!((decoded.batch.num_rows(), decoded.rejected), (0, 3));
        let message = decoded.message.unwrap();
        assert!(message.contains(expected) && message.contains("timeseries[0]"), "{message}");
    };
    check(vec![1, 2, 0], "odd number of references");
    check(vec![1, 3], "reference 3 is past the 3 symbols");
    check(vec![1, u32::MAX], "reference 4294967295 is past");
    check(vec![], "no label __name__");
    check(vec![1; 4_000], "more than 1024 labels");
    let metadata = Some(two::Metadata { r#type: 1, help_ref: 9, unit_ref: 0 });
    let samples = vec![sample(1.0, 1)];
    let series = two::Series { labels_refs: vec![1, 2], samples, metadata, ..two::Series::default() };
    assert_eq!(version_2(series, &["", "__name__", "a"]).unwrap().rejected, 1);
}

#[test]
fn r2_series_that_no_query_could_name_are_left_out_and_others_kept() {
    let many: Vec<_> = (0..100_000).map(|n| (format!("l{n}"), "v")).collect();
    let many: Vec<_> = [("__name__", "x")].into_iter().chain(many.iter().map(|(n, v)| (n.as_str(), *v))).collect();
    let long = "n".repeat(70_000);
    for (pairs, expected) in [
        (&[("job", "a")][..], "no label __name__"),
        (&[("__name__", "")], "no label __name__"),
        (&[("__name__", "x"), ("", "v")], "(\"x\"): a label has an empty name"),
        (&[("__name__", "x"), ("a", "1"), ("a", "2")], "label \"a\" is given twice"),
        (&[("__name__", "x"), ("__name__", "x")], "label \"__name__\" is given twice"),
        (&[("__name__", "x"), (&long, "1")], "longer than 65536 bytes"),
        (&many, "more than 1024 labels"),
    ] {
        let (rows, rejected, message) =
            outcome(vec![up(&[("__name__", "good")]), up(pairs), up(&[("__name__", "too")])]);
        assert_eq!((rows, rejected), (2, 1), "{message}");
        assert!(message.starts_with("first left out in timeseries[1]") && message.contains(expected), "{message}");
    }
}

#[test]
fn r4_unsorted_labels_are_the_same_series() {
    let pairs = [("__name__", "x"), ("a", "1"), ("b", "2"), ("Z", "3")];
    let mut turned = pairs;
    turned.reverse();
    let decoded = run(Version::One, &request(vec![up(&pairs), up(&turned)])).unwrap();
    let columns = decoded.batch.columns();
    assert_eq!(cell(columns, column::ATTRIBUTES, 0), cell(columns, column::ATTRIBUTES, 1));
    assert_eq!(attributes(columns, 0).len(), 3);
}

#[test]
fn r4_times_are_those_that_64_bits_of_nanoseconds_can_say() {
    let at = |timestamp| one::Series { samples: vec![sample(1.0, timestamp)], ..up(&[("__name__", "x")]) };
    let most = i64::MAX / 1_000_000;
    for good in [0, -1, most, -most, 1_700_000_000_000] {
        assert_eq!(outcome(vec![at(good)]), (1, 0, String::new()), "{good}");
    }
    for bad in [i64::MAX, i64::MIN, most + 1, -most - 1] {
        let (rows, rejected, message) = outcome(vec![at(bad), at(5)]);
        assert_eq!((rows, rejected), (1, 1));
        assert!(message.contains("outside the years 1677 to 2262"), "{message}");
    }
}

fn native(histogram: one::Histogram) -> one::Series {
    one::Series { labels: labels(&[("__name__", "h")]), histograms: vec![histogram], ..one::Series::default() }
}

fn spans(list: &[(i32, u32)]) -> Vec<one::Span> {
    list.iter().map(|(offset, length)| one::Span { offset: *offset, length: *length }).collect()
}

/// Buckets 1, 2 and 5 with 1, 3 and 2 observations, 4 at zero.
fn whole() -> one::Histogram {
    one::Histogram {
        count: Some(10),
        sum: 18.5,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: Some(4),
        positive_spans: spans(&[(1, 2), (2, 1)]),
        positive_deltas: vec![1, 2, -1],
        hint: 3,
        timestamp: 9,
        start: 4,
        ..one::Histogram::default()
    }
}

#[test]
fn b2_buckets_between_spans_are_written_with_zero() {
    let decoded = run(Version::One, &request(vec![native(whole())])).unwrap();
    assert_eq!(decoded.written, Written { samples: 0, histograms: 1, exemplars: 0 });
    let columns = decoded.batch.columns();
    let (offset, counts) = record::buckets(cell(columns, column::POSITIVE, 0));
    assert_eq!((offset, counts.collect::<Vec<_>>()), (0, vec![1, 3, 0, 0, 2]));
    assert_eq!(flags(columns), [ResetHint::Gauge.flags()]);
    let counts = columns.column_by_name(column::COUNT).unwrap().as_primitive::<UInt64Type>();
    assert_eq!(counts.value(0), 10);
}

#[test]
fn b3_floats_keep_their_bits() {
    let histogram = one::Histogram {
        count: None,
        count_float: Some(2.5),
        zero_count: None,
        zero_count_float: Some(0.5),
        positive_deltas: vec![],
        positive_counts: vec![0.25, 1.5, 0.25],
        ..whole()
    };
    let decoded = run(Version::One, &request(vec![native(histogram)])).unwrap();
    let columns = decoded.batch.columns();
    let (_, counts) = record::buckets(cell(columns, column::POSITIVE, 0));
    let counts: Vec<f64> = counts.map(f64::from_bits).collect();
    assert_eq!(counts, [0.25, 1.5, 0.0, 0.0, 0.25]);
    assert_eq!(flags(columns), [ResetHint::Gauge.flags() | FLOAT_COUNTS]);
}

/// Bounds 1 and 5; 2 observations below 1, 3 above 5.
fn custom() -> one::Histogram {
    one::Histogram {
        count: Some(5),
        sum: 30.0,
        schema: -53,
        custom_values: vec![1.0, 5.0],
        positive_spans: spans(&[(0, 1), (1, 1)]),
        positive_deltas: vec![2, 1],
        ..one::Histogram::default()
    }
}

#[test]
fn spans_say_where_the_counts_lie_and_no_more() {
    let one_span = one::Histogram { positive_spans: spans(&[(1, 3)]), ..whole() };
    let decoded = run(Version::One, &request(vec![native(one_span)])).unwrap();
    let (offset, counts) = record::buckets(cell(decoded.batch.columns(), column::POSITIVE, 0));
    assert_eq!((offset, counts.collect::<Vec<_>>(), decoded.rejected), (0, vec![1, 3, 2], 0));
}

#[test]
fn bounds_of_ones_own_are_explicit_bounds() {
    let decoded = run(Version::One, &request(vec![native(custom())])).unwrap();
    let columns = decoded.batch.columns();
    assert_eq!(record::doubles(cell(columns, column::EXPLICIT_BOUNDS, 0)).collect::<Vec<_>>(), [1.0, 5.0]);
    assert_eq!(record::counts(cell(columns, column::BUCKET_COUNTS, 0)).collect::<Vec<_>>(), [2, 0, 3]);
}

#[test]
fn b1_what_prometheus_calls_invalid_is_left_out() {
    type Change = fn(&mut one::Histogram);
    let cases: [(Change, &str); 10] = [
        (|h| h.count = Some(11), "count is 11, its buckets have 10"),
        (|h| h.schema = 53, "schema 53"),
        (|h| h.schema = -5, "schema -5"),
        (|h| h.positive_deltas = vec![1, 2], "same number of buckets"),
        (|h| h.positive_deltas = vec![1, -2, 1], "negative count"),
        (|h| h.positive_deltas = vec![i64::MAX, i64::MAX, 0], "negative count"),
        (|h| h.positive_spans = spans(&[(1, 2), (-1, 1)]), "negative offset"),
        (|h| h.positive_spans = spans(&[(1, 2), (i32::MAX, 1)]), "more than 65536 indexes"),
        (|h| h.positive_spans = spans(&[(i32::MIN, 3)]), "leave the 32-bit range"),
        (|h| h.custom_values = vec![1.0], "without schema -53"),
    ];
    for (change, expected) in cases {
        let mut histogram = whole();
        change(&mut histogram);
        let (rows, rejected, message) = outcome(vec![native(histogram), native(whole())]);
        assert_eq!((rows, rejected), (1, 1), "{expected}");
        assert!(message.contains(expected), "{message}");
    }
    let cases: [(Change, &str); 6] = [
        (|h| h.custom_values = vec![5.0, 1.0], "do not rise"),
        (|h| h.custom_values = vec![1.0, f64::NAN], "do not rise"),
        (|h| h.custom_values = vec![1.0, f64::INFINITY], "do not rise"),
        (|h| h.zero_count = Some(1), "zero bucket"),
        (|h| h.positive_spans = spans(&[(2, 1), (0, 1)]), "past the last bound"),
        (|h| h.positive_spans = spans(&[(-1, 1), (1, 1)]), "past the last bound"),
    ];
    for (change, expected) in cases {
        let mut histogram = custom();
        change(&mut histogram);
        let (rows, rejected, message) = outcome(vec![native(histogram)]);
        assert_eq!((rows, rejected), (0, 1), "{expected}");
        assert!(message.contains(expected), "{message}");
    }
    // Where NaN was observed, it counts and is in no bucket.
    let nan = one::Histogram { count: Some(12), sum: f64::NAN, ..whole() };
    assert_eq!(outcome(vec![native(nan)]).0, 1);
    let stale = one::Histogram { count: Some(0), sum: f64::from_bits(STALE_BITS), ..one::Histogram::default() };
    assert_eq!(outcome(vec![native(stale)]).0, 1);
}

#[test]
fn a_malformed_message_is_refused_whole_with_its_place() {
    let check = |version, message: &[u8], expected: &str| {
        let error = run(version, message).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let mut message = request(vec![up(&[("__name__", "x")])]);
    check(Version::One, &message[..message.len() - 1], "at byte 2 in field 1 of the request");
    message.extend_from_slice(&[0x0a, 4, 0x12, 2, 0x0d, 0]);
    check(Version::One, &message, "of timeseries.samples");
    check(Version::One, b"\x0a\x06\x0a\x04\x0a\x02\xff\xfe", "not UTF-8 at byte 6 in field 1 of timeseries.labels");
    check(Version::Two, b"\x22\x01\xff", "not UTF-8 at byte 2 in field 4 of symbols");
    check(Version::Two, b"\x01", "field has number 0");
}

#[test]
fn the_memory_of_repeated_labels_is_known_before_they_are_repeated() {
    let value = "v".repeat(1_000);
    let samples: Vec<_> = (0..100).map(|time| sample(0.0, time)).collect();
    let series = one::Series { labels: labels(&[("__name__", "x"), ("l", &value)]), samples, ..one::Series::default() };
    let message = request(vec![series]);
    let bytes = run(Version::One, &message).unwrap().batch.memory_bytes();
    let measured = measure(Version::One, &message);
    assert!(measured.rows == 100 && measured.bytes > 100_000 && bytes < measured.bytes + 400 * 192, "{measured:?}");
    // A byte of version 2 stands for the same text.
    let samples = vec![sample(0.0, 1); 100];
    let series = two::Series { labels_refs: vec![0, 1, 2, 3], samples, ..two::Series::default() };
    let symbols = ["__name__", "x", "l", &value].map(str::to_owned).to_vec();
    let message = two::Request { symbols, timeseries: vec![series] }.encode_to_vec();
    let measured = measure(Version::Two, &message);
    assert!(measured.rows == 100 && measured.bytes > 100_000, "{measured:?}");
}

/// Labels that are often good and sometimes not.
fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![4 => "[a-c]", 1 => Just(String::new()), 1 => Just("é".to_owned())];
    let pairs = proptest::collection::vec((name, "[x-z]{0,2}"), 0..4);
    (pairs, prop_oneof![5 => Just(Some("m")), 1 => Just(None)]).prop_map(|(mut pairs, name)| {
        pairs.extend(name.map(|name| ("__name__".to_owned(), name.to_owned())));
        pairs
    })
}

type Pairs = Vec<(String, String)>;
type AnySeries = (Pairs, Vec<(u64, i64)>);

fn any_series() -> impl Strategy<Value = Vec<AnySeries>> {
    let time = prop_oneof![3 => -5i64..2_000_000_000_000, 1 => any::<i64>()];
    // As a writer of protobuf, prost leaves out -0.0.
    let number = any::<u64>().prop_filter("-0.0", |bits| *bits != (-0.0f64).to_bits());
    let value = prop_oneof![number, Just(STALE_BITS), (-1e6..1e6f64).prop_map(|value| (value + 0.5).to_bits())];
    proptest::collection::vec((any_labels(), proptest::collection::vec((value, time), 0..4)), 0..6)
}

/// What is kept of a series, by the rules told plainly.
fn kept(series: &[AnySeries]) -> Vec<(Pairs, i64, Option<u64>)> {
    let mut rows = Vec::new();
    for (labels, samples) in series {
        let names: std::collections::BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
        let named = labels.iter().any(|(name, value)| name == "__name__" && !value.is_empty());
        if names.len() != labels.len() || names.iter().any(|name| name.is_empty()) || !named {
            continue;
        }
        let mut own: Vec<_> = labels.clone();
        own.retain(|(name, value)| name != "__name__" && !value.is_empty());
        own.sort();
        for (bits, time) in samples {
            if let Some(time) = time.checked_mul(1_000_000) {
                rows.push((own.clone(), time, (*bits != STALE_BITS).then_some(*bits)));
            }
        }
    }
    rows
}

proptest! {
    #[test]
    fn r2_r3_r4_both_versions_keep_what_the_rules_say(series in any_series()) {
        let expected = kept(&series);
        let samples = |list: &[(u64, i64)]| -> Vec<one::Sample> {
            list.iter().map(|(bits, time)| sample(f64::from_bits(*bits), *time)).collect()
        };
        let first = series.iter().map(|(pairs, list)| one::Series {
            labels: pairs.iter().map(|(name, value)| one::Label { name: name.clone(), value: value.clone() }).collect(),
            samples: samples(list),
            ..one::Series::default()
        });
        let first = request(first.collect());
        let mut symbols = vec![String::new()];
        let second = series.iter().map(|(pairs, list)| {
            let labels_refs = pairs.iter().flat_map(|(name, value)| [name, value]).map(|text| {
                symbols.push(text.clone());
                u32::try_from(symbols.len() - 1).unwrap()
            });
            two::Series { labels_refs: labels_refs.collect(), samples: samples(list), ..two::Series::default() }
        });
        let timeseries = second.collect();
        let second = two::Request { symbols, timeseries }.encode_to_vec();
        for (version, message) in [(Version::One, first), (Version::Two, second)] {
            let decoded = run(version, &message).unwrap();
            let columns = decoded.batch.columns();
            let values = doubles(columns);
            let rows: Vec<_> = (0..columns.num_rows())
                .map(|row| (attributes(columns, row), times(columns)[row], values[row]))
                .collect();
            prop_assert_eq!(&rows, &expected);
            prop_assert_eq!(decoded.written.samples as usize, expected.len());
            let lost = series.iter().map(|(_, list)| list.len()).sum::<usize>() - expected.len();
            prop_assert!(decoded.rejected as usize >= lost);
            prop_assert!(measure(version, &message).rows >= columns.num_rows());
        }
    }

    #[test]
    fn r1_any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::One, Version::Two] {
            drop(run(version, &bytes));
            measure(version, &bytes);
        }
        drop(recorded(Signal::Metrics, RECEIVED_AT, &bytes, &DecodeLimits::default()));
        if let Ok(request) = one::Request::decode(&*bytes) {
            prop_assert!(run(Version::One, &request.encode_to_vec()).is_ok());
        }
    }

    #[test]
    fn r1_a_flipped_byte_is_decoded_or_refused_as_by_prost(at in 0usize..400, byte: u8) {
        let series = one::Series { exemplars: vec![one::Exemplar::default()], ..native(whole()) };
        let mut message = request(vec![up(&[("__name__", "x"), ("job", "a")]), series, native(custom())]);
        let at = at % message.len();
        message[at] = byte;
        let ours = run(Version::One, &message);
        let theirs = one::Request::decode(&*message);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours.err(), theirs.err());
    }
}
