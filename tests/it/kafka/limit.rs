//! Does the limit of active series hold of what Kafka brings, while the rest of each message is stored once?

use super::{Cluster, metric};
use crate::server::{Server, eventually, request};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as NumberValue;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use prost::Message as _;
use serde_json::Value;

const METRICS: &str = "otlp_metrics";
const LEFT_OUT: &str = "spanlight_kafka_left_out_total";
/// Series of `up` and of two users.
const LIMIT: [(&str, &str); 1] = [("SPANLIGHT_OTLP_TENANT_ACTIVE_SERIES", "3")];

/// A request of gauges: names, users, values; at seconds after a moment.
fn points(at: u64, list: &[(&str, u32, f64)]) -> Vec<u8> {
    let metric = |(name, user, value): &(&str, u32, f64)| {
        let user = KeyValue { key: "user".into(), value: super::text(&user.to_string()), ..KeyValue::default() };
        let point = NumberDataPoint {
            attributes: vec![user],
            time_unix_nano: at * 1_000_000_000,
            value: Some(NumberValue::AsDouble(*value)),
            ..NumberDataPoint::default()
        };
        let data = Some(Data::Gauge(Gauge { data_points: vec![point] }));
        Metric { name: (*name).into(), data, ..Metric::default() }
    };
    let scope_metrics = vec![ScopeMetrics { metrics: list.iter().map(metric).collect(), ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

async fn value(server: &Server, query: &str, time: u64, tenant: &str) -> String {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/prometheus/api/v1/query?time={time}&query={query}");
    let (_, body) = request(&server.http, "GET", &path, &[("x-scope-orgid", tenant)], Default::default()).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
}

/// Waits until so many messages are read, in this life of the server.
async fn read(server: &Server, messages: f64) {
    eventually("all messages", || async {
        (metric(server, "spanlight_kafka_messages_total").await >= messages).then_some(())
    })
    .await;
}

#[tokio::test]
async fn points_of_series_past_the_limit_are_left_out_of_messages_and_the_rest_is_stored_once() {
    let cluster = Cluster::new(&[(METRICS, 1)]);
    let dir = tempfile::tempdir().unwrap();
    let start = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() - 30;
    let users: Vec<(&str, u32, f64)> = (0..8).map(|user| ("hits", user, 1.0)).collect();
    let server = cluster.serve(dir.path(), &LIMIT);
    cluster.send(METRICS, 0, &points(start, &[("up", 0, 1.0)]), None);
    cluster.send(METRICS, 0, &points(start + 1, &[&users[..], &[("up", 0, 2.0)]].concat()), None);
    cluster.send(METRICS, 0, &points(start + 1, &users[2..8]), None);
    cluster.send(METRICS, 0, &points(start + 2, &[("up", 0, 3.0), ("hits", 1, 5.0)]), None);
    cluster.send(METRICS, 0, &points(start + 2, &[("hits", 7, 7.0)]), Some(("X-Scope-OrgID", "shop")));
    cluster.flush();
    read(&server, 5.0).await;
    let at = start + 10;
    async fn check(server: &Server, at: u64) {
        let found = ["count_over_time(up[1h])", "count(hits)", "sum(count_over_time(hits[1h]))", "sum(hits)"];
        for (query, expected) in found.into_iter().zip(["3", "2", "3", "6"]) {
            assert_eq!(value(server, query, at, "default").await, expected, "{query}");
        }
        assert_eq!(value(server, "hits", at, "shop").await, "7", "another tenant has room of its own");
    }
    check(&server, at).await;
    // Counted by tenant, topic and reason, told to its tenant alone; no dead letter: who wrote it can do nothing better.
    let (_, text) = server.get("/metrics").await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let line = format!("{LEFT_OUT}{{tenant=\"default\",topic=\"{METRICS}\",reason=\"active_series\"}} 12\n");
    assert!(text.contains(&line) && text.contains("spanlight_collector_series_left_out_total 12\n"), "{text}");
    assert_eq!(metric(&server, "spanlight_kafka_rows_total").await, 7.0);
    assert_eq!(metric(&server, "spanlight_kafka_records_rejected_total").await, 12.0);
    assert_eq!(metric(&server, "spanlight_kafka_dead_letters_total").await, 0.0);
    let told = server.json("/api/v1/status").await["kafka"]["left_out"].clone();
    assert_eq!((&told[0]["topic"], &told[0]["records"]), (&METRICS.into(), &12.into()), "{told}");
    let said = told[0]["said"].as_str().unwrap();
    assert!(said.contains("metric \"hits\", where label \"user\" had about 6 values"), "{said}");
    let (_, other) =
        request(&server.http, "GET", "/api/v1/status", &[("x-scope-orgid", "shop")], Default::default()).await;
    let other: Value = serde_json::from_slice(&other).unwrap();
    assert!(other["kafka"]["left_out"].is_null(), "{other}");

    // Killed before anything was flushed: messages are read again, and it is decided again.
    server.kill();
    let server = cluster.serve(dir.path(), &LIMIT);
    read(&server, 5.0).await;
    check(&server, at).await;
    assert_eq!(metric(&server, LEFT_OUT).await, 12.0);
    // Ended in peace: nothing is read again, and who was active has the room.
    assert_eq!(server.terminate().0, Some(0));
    let server = cluster.serve(dir.path(), &LIMIT);
    let active = server.json("/api/v1/metrics/cardinality").await["active"].clone();
    assert_eq!((active["count"].as_u64(), active["limit"].as_u64()), (Some(3), Some(3)), "{active}");
    cluster.send(METRICS, 0, &points(start + 3, &[("new", 0, 1.0), ("up", 0, 4.0), ("hits", 0, 9.0)]), None);
    cluster.flush();
    read(&server, 1.0).await;
    assert_eq!(value(&server, "sum(up) + sum(hits)", at, "default").await, "18");
    assert_eq!((value(&server, "new", at, "default").await, metric(&server, LEFT_OUT).await), (String::new(), 1.0));
}
