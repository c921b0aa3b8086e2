//! Are families told as protobuf read as Prometheus reads them?

use super::*;
use crate::decode::DecodeLimits;
use crate::decode::exposition::{Measured, write};
use crate::decode::remote::writer::Writer;
use crate::decode::remote::{self, Version, Written};
use proptest::prelude::*;
use prost::Message as _;

/// The messages, as prost has them.
mod told {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Family {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub help: String,
        #[prost(int32, tag = "3")]
        pub r#type: i32,
        #[prost(message, repeated, tag = "4")]
        pub metric: Vec<Metric>,
        #[prost(string, tag = "5")]
        pub unit: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<Pair>,
        #[prost(message, optional, tag = "2")]
        pub gauge: Option<Single>,
        #[prost(message, optional, tag = "3")]
        pub counter: Option<Counter>,
        #[prost(message, optional, tag = "4")]
        pub summary: Option<Summary>,
        #[prost(message, optional, tag = "5")]
        pub untyped: Option<Single>,
        #[prost(int64, tag = "6")]
        pub timestamp_ms: i64,
        #[prost(message, optional, tag = "7")]
        pub histogram: Option<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Pair {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Single {
        #[prost(double, tag = "1")]
        pub value: f64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Counter {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(message, optional, tag = "2")]
        pub exemplar: Option<Exemplar>,
        #[prost(message, optional, tag = "3")]
        pub created: Option<Time>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Summary {
        #[prost(uint64, tag = "1")]
        pub count: u64,
        #[prost(double, tag = "2")]
        pub sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub quantile: Vec<Quantile>,
        #[prost(message, optional, tag = "4")]
        pub created: Option<Time>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Quantile {
        #[prost(double, tag = "1")]
        pub quantile: f64,
        #[prost(double, tag = "2")]
        pub value: f64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub count: u64,
        #[prost(double, tag = "2")]
        pub sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub bucket: Vec<Bucket>,
        #[prost(double, tag = "4")]
        pub count_float: f64,
        #[prost(sint32, tag = "5")]
        pub schema: i32,
        #[prost(double, tag = "6")]
        pub zero_threshold: f64,
        #[prost(uint64, tag = "7")]
        pub zero_count: u64,
        #[prost(double, tag = "8")]
        pub zero_count_float: f64,
        #[prost(message, repeated, tag = "9")]
        pub negative_span: Vec<Span>,
        #[prost(sint64, repeated, packed = "false", tag = "10")]
        pub negative_delta: Vec<i64>,
        #[prost(double, repeated, packed = "false", tag = "11")]
        pub negative_count: Vec<f64>,
        #[prost(message, repeated, tag = "12")]
        pub positive_span: Vec<Span>,
        #[prost(sint64, repeated, packed = "false", tag = "13")]
        pub positive_delta: Vec<i64>,
        #[prost(double, repeated, tag = "14")]
        pub positive_count: Vec<f64>,
        #[prost(message, optional, tag = "15")]
        pub created: Option<Time>,
        #[prost(message, repeated, tag = "16")]
        pub exemplars: Vec<Exemplar>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Bucket {
        #[prost(uint64, tag = "1")]
        pub cumulative_count: u64,
        #[prost(double, tag = "2")]
        pub upper_bound: f64,
        #[prost(message, optional, tag = "3")]
        pub exemplar: Option<Exemplar>,
        #[prost(double, tag = "4")]
        pub cumulative_count_float: f64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(sint32, tag = "1")]
        pub offset: i32,
        #[prost(uint32, tag = "2")]
        pub length: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub label: Vec<Pair>,
        #[prost(double, tag = "2")]
        pub value: f64,
        #[prost(message, optional, tag = "3")]
        pub timestamp: Option<Time>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Time {
        #[prost(int64, tag = "1")]
        pub seconds: i64,
        #[prost(int32, tag = "2")]
        pub nanos: i32,
    }
}

use told::{Bucket, Counter, Exemplar, Histogram, Metric, Pair, Quantile, Single, Span, Summary, Time};

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.into(), value: value.into() }
}

fn family(name: &str, r#type: i32, metric: Metric) -> told::Family {
    told::Family { name: name.into(), r#type, metric: vec![metric], ..told::Family::default() }
}

fn delimited(families: &[told::Family]) -> Vec<u8> {
    families.iter().flat_map(told::Family::encode_length_delimited_to_vec).collect()
}

/// Samples as short texts.
fn read(body: &[u8], forms: Forms) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    parse(body, forms, |Found { sample, family, start }| {
        let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let value = match sample.value {
            Measured::Number(value) => value.to_string(),
            Measured::Native(_) => "native".to_owned(),
        };
        let time = sample.timestamp.map_or_else(String::new, |time| format!(" @{time}"));
        let start = if start == 0 { String::new() } else { format!(" since {start}") };
        let exemplars: String =
            sample.exemplars.iter().map(|exemplar| format!(" # {} {:?}", exemplar.value, exemplar.timestamp)).collect();
        let r#type = family.r#type;
        lines.push(format!("{}{{{}}} {value}{time}{start}{exemplars} type {}", sample.name, labels.join(","), r#type));
    })?;
    Ok(lines)
}

fn both() -> Histogram {
    Histogram {
        count: 10,
        sum: 18.5,
        bucket: vec![
            Bucket { cumulative_count: 4, upper_bound: 0.001, ..Bucket::default() },
            Bucket {
                cumulative_count: 8,
                upper_bound: 2.0,
                exemplar: Some(Exemplar {
                    value: 1.5,
                    timestamp: Some(Time { seconds: 7, nanos: 0 }),
                    ..Exemplar::default()
                }),
                ..Bucket::default()
            },
        ],
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 4,
        positive_span: vec![Span { offset: 1, length: 2 }, Span { offset: 2, length: 1 }],
        positive_delta: vec![1, 2, -1],
        created: Some(Time { seconds: 3, nanos: 500_000_000 }),
        ..Histogram::default()
    }
}

fn histogram(r#type: i32, histogram: Histogram) -> Vec<u8> {
    delimited(&[family("h", r#type, Metric { histogram: Some(histogram), ..Metric::default() })])
}

#[test]
fn f3_every_type_has_prometheus_names() {
    let exemplar = Exemplar { label: vec![pair("trace_id", "x")], value: 0.5, timestamp: None };
    let created = Some(Time { seconds: 1, nanos: 999_999 });
    let body = delimited(&[
        family(
            "c_total",
            0,
            Metric {
                label: vec![pair("a", "b")],
                counter: Some(Counter { value: 3.0, exemplar: Some(exemplar), created: created.clone() }),
                timestamp_ms: 9,
                ..Metric::default()
            },
        ),
        family("g", 1, Metric { gauge: Some(Single { value: f64::NAN }), ..Metric::default() }),
        family("u", 3, Metric { untyped: Some(Single { value: -1.0 }), ..Metric::default() }),
        family("empty", 1, Metric::default()),
        family(
            "s",
            2,
            Metric {
                summary: Some(Summary {
                    count: 2,
                    sum: 5.0,
                    quantile: vec![Quantile { quantile: 0.5, value: 1.0 }, Quantile { quantile: 1.0, value: 4.0 }],
                    created,
                }),
                ..Metric::default()
            },
        ),
    ]);
    assert_eq!(
        read(&body, Forms::Native).unwrap(),
        [
            "c_total{a=b} 3 @9 since 1000 # 0.5 None type 1",
            "g{} NaN type 2",
            "u{} -1 type 0",
            "empty{} 0 type 2",
            "s_count{} 2 since 1000 type 5",
            "s_sum{} 5 since 1000 type 5",
            "s{quantile=0.5} 1 since 1000 type 5",
            "s{quantile=1.0} 4 since 1000 type 5",
        ]
    );
}

#[test]
fn f2_a_histogram_has_the_forms_that_are_wanted() {
    let classic = [
        "h_count{} 10 since 3500 type 3",
        "h_sum{} 18.5 since 3500 type 3",
        "h_bucket{le=0.001} 4 since 3500 type 3",
        "h_bucket{le=2.0} 8 since 3500 # 1.5 Some(7000) type 3",
        "h_bucket{le=+Inf} 10 since 3500 type 3",
    ];
    let native = "h{} native since 3500 # 1.5 Some(7000) type 3";
    assert_eq!(read(&histogram(4, both()), Forms::Classic).unwrap(), classic);
    assert_eq!(read(&histogram(4, both()), Forms::Native).unwrap(), [native]);
    let all: Vec<&str> = [native].into_iter().chain(classic).collect();
    assert_eq!(read(&histogram(4, both()), Forms::Both).unwrap(), all);
    let only_classic =
        Histogram { zero_threshold: 0.0, zero_count: 0, positive_span: vec![], positive_delta: vec![], ..both() };
    assert_eq!(read(&histogram(4, only_classic), Forms::Native).unwrap(), classic, "there is no native form");
    let only_native = Histogram { bucket: vec![], ..both() };
    assert_eq!(read(&histogram(4, only_native), Forms::Both).unwrap(), ["h{} native since 3500 type 3"]);
}

/// What of a native histogram is stored.
fn stored(body: &[u8]) -> (Written, u64, String) {
    let mut writer = Writer::default();
    parse(body, Forms::Native, |found| {
        let labels = found.sample.labels.iter().map(|(name, value)| (&**name, &**value));
        write(&mut writer, &found.sample.name, labels, &found, 5);
    })
    .unwrap();
    let decoded = remote::decode(Version::Two, 0, &writer.finish(), &DecodeLimits::default()).unwrap();
    (decoded.written, decoded.rejected, decoded.message.unwrap_or_default())
}

#[test]
fn native_histograms_are_stored_whole_floats_and_gauges_too() {
    let one = Written { samples: 0, histograms: 1, exemplars: 1 };
    assert_eq!(stored(&histogram(4, both())), (one, 0, String::new()));
    assert_eq!(stored(&histogram(5, both())).0, one);
    let floats = Histogram {
        count: 0,
        count_float: 2.5,
        zero_count: 0,
        zero_count_float: 0.5,
        positive_delta: vec![],
        positive_count: vec![0.25, 1.5, 0.25],
        ..both()
    };
    assert_eq!(stored(&histogram(4, floats)).0, one);
    let empty = Histogram { positive_span: vec![Span::default()], ..Histogram::default() };
    assert_eq!(stored(&histogram(4, empty)).0.histograms, 1, "an empty span says that it is native");
    let (written, rejected, message) = stored(&histogram(4, Histogram { count: 11, ..both() }));
    assert_eq!((written.histograms, rejected), (0, 1));
    assert!(message.contains("count is 11, its buckets have 10"), "{message}");
}

#[test]
fn f1_what_is_wrong_is_told() {
    let label = |label| delimited(&[family("m", 1, Metric { label, ..Metric::default() })]);
    let many: Vec<Pair> = (0..2_000).map(|n| pair(&format!("l{n}"), "")).collect();
    for (body, expected) in [
        (delimited(&[family("", 1, Metric::default())]), "a family has no name"),
        (delimited(&[family("m", 6, Metric::default())]), "\"m\" has the unknown type 6"),
        (label(vec![pair("a", "1"), pair("a", "2")]), "\"m\": label \"a\" is given twice"),
        (label(vec![pair("__name__", "1")]), "label \"__name__\" is given twice"),
        (label(vec![pair("", "1")]), "a label has an empty name"),
        (label(many), "more than 1024 labels"),
        (vec![5, 1, 2], "the message ends within a field at byte"),
        (vec![3, 0x0a, 1, 0xff], "not UTF-8 at byte 3 in field 1 of MetricFamily"),
        (b"# TYPE a counter\na 1\n".to_vec(), "malformed protobuf"),
    ] {
        let error = read(&body, Forms::Both).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let timed = |timestamp_ms| delimited(&[family("m", 1, Metric { timestamp_ms, ..Metric::default() })]);
    assert!(read(&timed(i64::MAX), Forms::Both).unwrap_err().contains("outside the years"));
    assert!(read(&[], Forms::Both).unwrap().is_empty());
}

#[test]
fn the_memory_of_repeated_labels_is_known_before_they_are_repeated() {
    let bucket = vec![Bucket::default(); 1_000];
    let metric = Metric {
        label: vec![pair("l", &"v".repeat(10_000))],
        histogram: Some(Histogram { bucket, ..Histogram::default() }),
        ..Metric::default()
    };
    let body = delimited(&[family("h", 4, metric)]);
    assert!(body.len() < 20_000 && weight(&body) > 10_000_000, "{}", weight(&body));
}

proptest! {
    #[test]
    fn f1_any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..400, byte: u8) {
        drop(read(&bytes, Forms::Both));
        weight(&bytes);
        let mut body = histogram(4, both());
        let at = at % body.len();
        body[at] = byte;
        drop(read(&body, Forms::Both));
    }
}
