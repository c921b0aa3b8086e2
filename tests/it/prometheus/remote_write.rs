//! Is what a sender wrote there for who asks: at once, in blocks, and after the process was killed?

use super::message::{
    Exemplar2, Histogram, Metadata1, Metadata2, Request1, Request2, Series1, Series2, Span, Symbols, labels, sample,
};
use super::{ask, post, push, value, written};
use crate::server::{Server, eventually};
use prost::Message as _;
use serde_json::json;
use std::time::SystemTime;

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// The present minute, in milliseconds: what is written is not too old to be kept.
fn minute() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now / 60 * 60).unwrap() * 1_000
}

fn seconds(milliseconds: i64) -> String {
    format!("{}", milliseconds / 1_000)
}

/// Two counters of a job, a sample every 15 seconds for ten minutes until a moment; the later half first.
fn counters(until: i64) -> Vec<Vec<u8>> {
    let message = |range: std::ops::Range<i64>| {
        let series = |instance: &str, step: f64| Series1 {
            // Not sorted, which says nothing.
            labels: labels(&[("job", "shop"), ("instance", instance), ("__name__", "http__requests")]),
            samples: range.clone().map(|n| sample(n as f64 * step, until - (40 - n) * 15_000)).collect(),
        };
        let metadata = Metadata1 { r#type: 1, family: "http__requests".into(), help: "Requests.".into() };
        let request = Request1 { timeseries: vec![series("a", 15.0), series("b", 30.0)], metadata: vec![metadata] };
        request.encode_to_vec()
    };
    vec![message(21..41), message(0..21)]
}

async fn check_counters(server: &Server, until: i64) {
    let at = seconds(until);
    assert_eq!(value(server, "sum(http__requests{job=\"shop\"})", &at).await, "1800");
    assert_eq!(value(server, "round(sum by (job) (rate(http__requests[5m])))", &at).await, "3");
    assert_eq!(value(server, "{__name__=~\"http__.*\", instance=\"b\"}", &at).await, "1200");
    let range = [
        ("query", "http__requests{instance=\"a\"}"),
        ("start", &seconds(until - 30_000)),
        ("end", &at),
        ("step", "15"),
    ];
    let data = ask(server, "query_range", &range).await;
    let series = &data["result"][0];
    assert_eq!(series["metric"], json!({"__name__": "http__requests", "instance": "a", "job": "shop"}));
    let values: Vec<&str> = series["values"].as_array().unwrap().iter().map(|pair| pair[1].as_str().unwrap()).collect();
    assert_eq!(values, ["570", "585", "600"]);
    let names = ask(server, "label/__name__/values", &[]).await;
    assert_eq!(names, json!(["http__requests"]), "and no target_info: the sender told no resource");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_answered_from_memory_after_a_kill_and_from_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let until = minute();
    for message in counters(until) {
        let (head, text) = push(&server.http, 1, &message).await;
        assert_eq!(head.status, 204, "{text}");
    }
    check_counters(&server, until).await;
    let known = ask(&server, "metadata", &[]).await;
    assert_eq!(known, json!({"http__requests": [{"type": "counter", "help": "Requests.", "unit": ""}]}));
    server.kill();
    let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")]);
    check_counters(&server, until).await;
    eventually("rows in blocks", || async {
        let (_, metrics) = server.get("/metrics").await;
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        metrics
            .lines()
            .any(|line| line.starts_with("spanlight_flush_rows_total ") && !line.ends_with(" 0"))
            .then_some(())
    })
    .await;
    check_counters(&server, until).await;
    let known = ask(&server, "metadata", &[]).await;
    assert_eq!(known["http__requests"][0]["help"], "Requests.");
}

/// Histograms of all kinds, exemplars, types, start times, the end of a series.
fn everything(at: i64) -> Vec<u8> {
    let mut symbols = Symbols::default();
    let spans =
        |list: &[(i32, u32)]| list.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect();
    let whole = Histogram {
        count: Some(10),
        sum: 18.5,
        schema: 0,
        zero_threshold: 0.001,
        zero_count: Some(4),
        positive_spans: spans(&[(1, 2), (2, 1)]),
        positive_deltas: vec![1, 2, -1],
        timestamp: at,
        ..Histogram::default()
    };
    let float = Histogram {
        count: None,
        count_float: Some(2.5),
        zero_count: None,
        positive_deltas: vec![],
        positive_counts: vec![0.5, 1.0, 1.0],
        hint: 3,
        ..whole.clone()
    };
    let custom = Histogram {
        count: Some(5),
        sum: 30.0,
        schema: -53,
        custom_values: vec![1.0, 5.0],
        positive_spans: spans(&[(0, 1), (1, 1)]),
        positive_deltas: vec![2, 1],
        timestamp: at,
        ..Histogram::default()
    };
    let mut timeseries: Vec<Series2> = [("whole", whole), ("float", float), ("custom", custom)]
        .map(|(kind, histogram)| Series2 {
            labels_refs: symbols.references(&[("__name__", "sizes"), ("kind", kind)]),
            histograms: vec![histogram],
            metadata: Some(Metadata2 { r#type: 3, help_ref: symbols.reference("Sizes."), unit_ref: 0 }),
            ..Series2::default()
        })
        .into();
    let trace = "0123456789abcdef0123456789abcdef";
    timeseries.push(Series2 {
        labels_refs: symbols.references(&[("__name__", "hits_total"), ("naïve.label", "é")]),
        samples: vec![super::message::Sample { value: 6.0, timestamp: at, start: at - 60_000 }],
        exemplars: vec![Exemplar2 {
            labels_refs: symbols.references(&[("trace_id", trace), ("user", "u")]),
            value: 0.5,
            timestamp: at - 1,
        }],
        metadata: Some(Metadata2 {
            r#type: 1,
            help_ref: symbols.reference("Hits."),
            unit_ref: symbols.reference("hits"),
        }),
        ..Series2::default()
    });
    timeseries.push(Series2 {
        labels_refs: symbols.references(&[("__name__", "ended")]),
        samples: vec![sample(1.0, at - 15_000), sample(f64::from_bits(STALE), at)],
        ..Series2::default()
    });
    Request2 { symbols: symbols.0, timeseries }.encode_to_vec()
}

async fn check_everything(server: &Server, at: i64) {
    let now = seconds(at);
    for (query, expected) in [
        ("histogram_count(sizes{kind=\"whole\"})", "10"),
        ("histogram_sum(sizes{kind=\"whole\"})", "18.5"),
        ("histogram_count(sizes{kind=\"float\"})", "2.5"),
        ("histogram_quantile(0.3, sizes{kind=\"custom\"})", "0.75"),
        ("{\"hits_total\", \"naïve.label\"=\"é\"}", "6"),
        // Since the start time is known, the first sample counts.
        ("increase(hits_total[30s])", ""),
        ("ended offset 15s", "1"),
        ("ended", ""),
        ("count({__name__=\"ended\"} offset 1s)", "1"),
    ] {
        assert_eq!(value(server, query, &now).await, expected, "{query}");
    }
    let data = ask(server, "query", &[("query", "sizes"), ("time", &now)]).await;
    let histogram = |kind: &str| {
        let all = data["result"].as_array().unwrap();
        all.iter().find(|one| one["metric"]["kind"] == kind).unwrap()["histogram"][1].clone()
    };
    let buckets = json!([[3, "-0.001", "0.001", "4"], [0, "1", "2", "1"], [0, "2", "4", "3"], [0, "16", "32", "2"]]);
    assert_eq!(histogram("whole"), json!({"count": "10", "sum": "18.5", "buckets": buckets}));
    let buckets = json!([[0, "1", "2", "0.5"], [0, "2", "4", "1"], [0, "16", "32", "1"]]);
    assert_eq!(histogram("float"), json!({"count": "2.5", "sum": "18.5", "buckets": buckets}));
    let buckets = json!([[3, "-Inf", "1", "2"], [0, "5", "+Inf", "3"]]);
    assert_eq!(histogram("custom")["buckets"].as_array().unwrap().len(), buckets.as_array().unwrap().len());
    let range = [("query", "hits_total"), ("start", &*seconds(at - 60_000)), ("end", &now)];
    let exemplars = ask(server, "query_exemplars", &range).await;
    assert_eq!(exemplars[0]["seriesLabels"], json!({"__name__": "hits_total", "naïve.label": "é"}));
    let labels = &exemplars[0]["exemplars"][0]["labels"];
    assert_eq!(labels, &json!({"trace_id": "0123456789abcdef0123456789abcdef", "user": "u"}));
    let known = ask(server, "metadata", &[]).await;
    let hits = json!([{"type": "counter", "help": "Hits.", "unit": "hits"}]);
    assert_eq!((&known["hits_total"], &known["sizes"][0]["type"]), (&hits, &json!("histogram")));
    let metrics = server.json("/api/v1/metrics").await;
    let names: Vec<&str> =
        metrics["metrics"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ended", "hits_total", "sizes", "sizes"], "what is no sample is no metric");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_keeps_histograms_exemplars_types_and_ends_of_series() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let at = minute();
    // At the door of OTLP as at that of the API.
    let (head, text) = push(&server.otlp_http, 2, &everything(at)).await;
    assert_eq!((head.status.as_u16(), written(&head)), (204, ["3", "3", "1"]), "{text}");
    check_everything(&server, at).await;
    server.kill();
    let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")]);
    check_everything(&server, at).await;
    eventually("rows in blocks", || async {
        let (_, metrics) = server.get("/metrics").await;
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        metrics
            .lines()
            .any(|line| line.starts_with("spanlight_flush_rows_total ") && !line.ends_with(" 0"))
            .then_some(())
    })
    .await;
    check_everything(&server, at).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_told_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let at = minute();
    let series =
        |pairs: &[(&str, &str)], timestamp| Series1 { labels: labels(pairs), samples: vec![sample(7.0, timestamp)] };
    let timeseries = vec![
        series(&[("__name__", "kept")], at),
        series(&[("__name__", "bad"), ("a", "1"), ("a", "2")], at),
        series(&[("a", "1")], at),
        series(&[("__name__", "late")], i64::MAX),
    ];
    let (head, text) = push(&server.http, 1, &Request1 { timeseries, metadata: vec![] }.encode_to_vec()).await;
    assert_eq!((head.status.as_u16(), written(&head)), (400, ["1", "0", "0"]));
    assert!(
        text.contains("3 left out") && text.contains("timeseries[1] (\"bad\"): label \"a\" is given twice"),
        "{text}"
    );
    assert_eq!(value(&server, "kept", &seconds(at)).await, "7");
    // The ends of time.
    for timestamp in [9_223_372_036_000, -9_223_372_036_000] {
        let timeseries = vec![series(&[("__name__", "far")], timestamp)];
        let (head, text) = push(&server.http, 1, &Request1 { timeseries, metadata: vec![] }.encode_to_vec()).await;
        assert_eq!(head.status, 204, "{text}");
        assert_eq!(value(&server, "far", &seconds(timestamp)).await, "7", "{timestamp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_has_an_empty_symbol_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut request = Request2::decode(&*everything(minute())).unwrap();
    request.symbols[0] = "help".to_owned();
    let (head, text) = push(&server.http, 2, &request.encode_to_vec()).await;
    assert_eq!((head.status.as_u16(), written(&head)), (400, ["0", "0", "0"]));
    assert!(text.contains("symbols[0] is \"help\"; the first symbol must be the empty text"), "{text}");
    // Without symbols nothing can be told, and what refers to some is left out.
    request.symbols.clear();
    let (head, text) = push(&server.http, 2, &request.encode_to_vec()).await;
    assert_eq!((head.status.as_u16(), written(&head)), (400, ["0", "0", "0"]));
    assert!(text.contains("is past the 0 symbols"), "{text}");
    request.timeseries.clear();
    let (head, text) = push(&server.http, 2, &request.encode_to_vec()).await;
    assert_eq!((head.status.as_u16(), written(&head)), (204, ["0", "0", "0"]), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_remote_write_is_refused_by_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let path = "/prometheus/api/v1/write";
    let good = snap::raw::Encoder::new().compress_vec(&counters(minute())[0]).unwrap();
    let protobuf = ("content-type", "application/x-protobuf");
    let snappy = ("content-encoding", "snappy");
    let lying = vec![0xff, 0xff, 0xff, 0x0f, 0x00, b'a'];
    for (headers, body, status, expected) in [
        (vec![("content-type", "application/json")], good.clone(), 415, "application/x-protobuf"),
        (vec![protobuf, ("content-encoding", "gzip")], good.clone(), 415, "snappy"),
        (vec![("content-type", "application/x-protobuf;proto=a.b")], good.clone(), 415, "io.prometheus.write.v2"),
        (vec![protobuf, snappy], lying, 400, "more than its 6 bytes can hold"),
        (vec![protobuf, snappy], vec![0xff; 8], 400, "not a valid snappy block"),
        (vec![protobuf, snappy], vec![1, 0, 0x0c], 400, "malformed protobuf"),
        (vec![protobuf, snappy, ("x-scope-orgid", "a/b")], good.clone(), 400, "X-Scope-OrgID"),
        (vec![], good.clone(), 204, ""),
    ] {
        let (found, text) = post(&server.http, path, &headers, body).await;
        assert!(found == status && text.contains(expected), "{headers:?}: {found} {text}");
    }
    for other in ["/api/v1/write", "/api/v1/push", "/prometheus/api/v1/push"] {
        assert_eq!(post(&server.http, other, &[], good.clone()).await.0, 204, "{other}");
    }
    let (status, text) = server.get(path).await;
    assert_eq!(status, 405, "{text:?}");
}
