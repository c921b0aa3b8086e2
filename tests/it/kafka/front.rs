//! Kafka before the store: is what a front acknowledges stored, once, by another process? Is nothing acknowledged that the cluster has
//! not? Do the spans of a trace meet in one partition?

use super::{Cluster, LOGS, all_once, metric, request, text, values};
use crate::server::{Server, eventually, try_request};
use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TOPICS: [(&str, i32); 3] = [(LOGS, 4), ("otlp_spans", 5), ("otlp_metrics", 2)];
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// A server that writes to the cluster what its doors receive.
fn front(cluster: &Cluster, data_dir: &Path, librdkafka: &str, more: &[(&str, &str)]) -> Server {
    let brokers = cluster.mock.bootstrap_servers();
    let mut variables = vec![
        ("SPANLIGHT_KAFKA_BROKERS", brokers.as_str()),
        ("SPANLIGHT_KAFKA_ROLE", "front"),
        ("SPANLIGHT_KAFKA_LIBRDKAFKA", librdkafka),
    ];
    variables.extend_from_slice(more);
    Server::start_with(data_dir, &[], &variables)
}

/// Sends to an OTLP/HTTP door; the answer, if there is one.
async fn send(address: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<(u16, Bytes)> {
    let headers = [&[PROTOBUF], headers].concat();
    try_request(address, "POST", path, &headers, body.into()).await
}

async fn send_logs(server: &Server, numbers: std::ops::Range<usize>) -> (u16, String) {
    let (status, body) = send(&server.otlp_http, "/v1/logs", &[], request(numbers)).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Reads all messages that there are of a topic.
fn messages(cluster: &Cluster, (topic, partitions): (&str, i32), mut each: impl FnMut(&BorrowedMessage<'_>)) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.mock.bootstrap_servers())
        .set("group.id", "looking")
        .create()
        .unwrap();
    let (mut list, mut left) = (TopicPartitionList::new(), 0);
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10)).unwrap();
        left += high - low;
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    while left > 0 {
        let message = consumer.poll(Duration::from_secs(30)).expect("the message is there").unwrap();
        each(&message);
        left -= 1;
    }
}

fn spans(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let attributes = vec![KeyValue { key: "service.name".into(), value: text(service), ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Clients that send log records, each with a number of its own and once, to a door that comes and goes.
pub(super) struct Senders {
    address: Arc<Mutex<String>>,
    end: Arc<AtomicBool>,
    next: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<usize>>>,
}

impl Senders {
    pub(super) fn start(door: &Server) -> Senders {
        let address = Arc::new(Mutex::new(door.otlp_http.clone()));
        let (end, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..4).map(|_| {
            let (address, next, end) = (Arc::clone(&address), Arc::clone(&next), Arc::clone(&end));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !end.load(Ordering::Relaxed) {
                    let numbers = next.fetch_add(2, Ordering::Relaxed);
                    let address = address.lock().unwrap().clone();
                    let answer = send(&address, "/v1/logs", &[], request(numbers..numbers + 2)).await;
                    if answer.is_some_and(|(status, _)| status == 200) {
                        acknowledged.extend([numbers, numbers + 1]);
                    } else {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                acknowledged
            })
        });
        let tasks = tasks.collect();
        Senders { address, end, next, tasks }
    }

    /// Sends to another door from now on.
    pub(super) fn turn_to(&self, door: &Server) {
        *self.address.lock().unwrap() = door.otlp_http.clone();
    }

    /// Ends, and waits until what was acknowledged is stored. Nothing may be stored twice.
    pub(super) async fn all_are_stored(self, door: Server, store: &Server) {
        self.end.store(true, Ordering::Relaxed);
        let mut acknowledged = BTreeSet::new();
        for task in self.tasks {
            acknowledged.extend(task.await.unwrap().into_iter().map(|number| format!("{number:07}")));
        }
        let sent = self.next.load(Ordering::Relaxed);
        eprintln!("{} records of {sent} were acknowledged", acknowledged.len());
        assert!(acknowledged.len() > 100, "{} acknowledged", acknowledged.len());
        // The end of the door is the end of what it may still bring.
        assert_eq!(door.terminate().0, Some(0));
        let found = eventually("what was acknowledged", || async {
            let mut found = BTreeMap::new();
            for thousands in 0..=sent / 1_000 {
                found.extend(values(store, "number", &format!("{thousands:04}"), "default").await);
            }
            acknowledged.iter().all(|number| found.contains_key(number)).then_some(found)
        })
        .await;
        let doubled: Vec<_> = found.iter().filter(|(_, rows)| **rows != 1).collect();
        assert!(doubled.is_empty(), "{doubled:?}");
        assert_eq!(metric(store, "spanlight_kafka_dead_letters_total").await, 0.0);
    }
}

#[tokio::test]
async fn what_a_front_acknowledges_is_stored_once_through_kills_of_both() {
    let cluster = Cluster::new(&TOPICS);
    let (front_dir, store_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let small = [("SPANLIGHT_STORAGE_FLUSH_BYTES", "100000"), ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")];
    let mut door = front(&cluster, front_dir.path(), "{}", &[]);
    let mut store = cluster.serve(store_dir.path(), &small);
    let senders = Senders::start(&door);
    for life in 0..4 {
        tokio::time::sleep(Duration::from_millis([1_200, 400, 2_500, 900][life])).await;
        door.kill();
        if life % 2 == 1 {
            store.kill();
            store = cluster.serve(store_dir.path(), &small);
        }
        door = front(&cluster, front_dir.path(), "{}", &[]);
        senders.turn_to(&door);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    senders.all_are_stored(door, &store).await;
}

#[tokio::test]
async fn the_spans_of_a_trace_meet_in_one_partition_and_keep_their_tenant() {
    let cluster = Cluster::new(&TOPICS);
    let dir = tempfile::tempdir().unwrap();
    let door = front(&cluster, dir.path(), "{}", &[]);
    let span = |trace: u8, number: u8| Span {
        trace_id: vec![trace; 16],
        span_id: vec![number; 8],
        name: "op".into(),
        ..Span::default()
    };
    for number in 1..6 {
        let mut all: Vec<Span> = (1..40).map(|trace| span(trace, number)).collect();
        // One that no store takes is told to its sender, and goes nowhere.
        all.push(Span { trace_id: vec![7; 15], ..span(1, 99) });
        let service = format!("service-{number}");
        let answer = send(&door.otlp_http, "/v1/traces", &[("x-scope-orgid", "shop")], spans(&service, all)).await;
        let (status, body) = answer.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        assert!(String::from_utf8_lossy(&body).contains("trace_id has 15 bytes"));
    }
    let mut traces: BTreeMap<Vec<u8>, BTreeSet<i32>> = BTreeMap::new();
    let (mut count, mut used) = (0, BTreeSet::new());
    messages(&cluster, TOPICS[1], |message| {
        let header = message.headers().unwrap().get(0);
        assert_eq!((header.key, header.value), ("X-Scope-OrgID", Some(&b"shop"[..])));
        let request = ExportTraceServiceRequest::decode(message.payload().unwrap()).unwrap();
        used.insert(message.partition());
        for resource in request.resource_spans {
            assert_eq!(resource.resource.unwrap().attributes[0].key, "service.name");
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                count += 1;
                traces.entry(span.trace_id).or_default().insert(message.partition());
            }
        }
    });
    assert_eq!((count, traces.len()), (5 * 39, 39));
    assert!(traces.values().all(|partitions| partitions.len() == 1), "{traces:?}");
    assert_eq!(used.len(), 5, "{used:?}");
    assert_eq!(metric(&door, "spanlight_kafka_front_messages_total").await, 25.0);
    // Who reads them finds the tenant's traces whole.
    let store_dir = tempfile::tempdir().unwrap();
    let store = cluster.serve(store_dir.path(), &[]);
    let path = format!("/api/v1/traces/{}", "07".repeat(16));
    let headers = [("x-scope-orgid", "shop")];
    let trace = eventually("the trace", || async {
        let (status, body) = crate::server::request(&store.http, "GET", &path, &headers, Bytes::new()).await;
        let trace = String::from_utf8_lossy(&body).into_owned();
        (status == 200 && (1..6).all(|number| trace.contains(&format!("service-{number}")))).then_some(trace)
    });
    trace.await;
    assert_eq!(metric(&store, "spanlight_kafka_dead_letters_total").await, 0.0);
}

#[tokio::test]
async fn a_cluster_that_is_away_is_told_and_nothing_is_acknowledged() {
    let cluster = Cluster::new(&TOPICS);
    let dir = tempfile::tempdir().unwrap();
    let little = [
        ("SPANLIGHT_OTLP_MAX_REQUEST_BYTES", "1000000"),
        ("SPANLIGHT_OTLP_MAX_BYTES_IN_FLIGHT", "2000000"),
        ("SPANLIGHT_OTLP_TENANT_BYTES_IN_FLIGHT", "2000000"),
    ];
    let door = front(&cluster, dir.path(), r#"{ "message.timeout.ms" = "3000" }"#, &little);
    assert_eq!(send_logs(&door, 0..3).await.0, 200);
    cluster.mock.broker_down(1).unwrap();
    let started = Instant::now();
    let (status, body) = send_logs(&door, 3..6).await;
    assert!(status == 503 && body.contains("kafka has not confirmed"), "{status} {body}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(ready(&door).await.contains("kafka does not take what the doors receive"), "{}", ready(&door).await);
    let told = door.json("/api/v1/status").await["kafka"]["front"].clone();
    assert!(told["trouble"].as_str().is_some_and(|what| what.contains("timed out")), "{told}");
    let logs = told["topics"].as_array().unwrap().iter().find(|topic| topic["topic"] == "otlp_logs").unwrap();
    assert_eq!((&logs["messages"], &logs["unconfirmed"]), (&1.into(), &1.into()), "{told}");
    // What waits for the cluster is bounded: further requests are told so at once.
    let large = || {
        spans(
            "large",
            (0..4_000).map(|_| Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Span::default() }).collect(),
        )
    };
    let answers = futures(&door, large, 4).await;
    assert!(answers.iter().all(|(status, _)| *status == 503), "{answers:?}");
    assert!(answers.iter().any(|(_, body)| body.contains("too much is being received")), "{answers:?}");
    cluster.mock.broker_up(1).unwrap();
    eventually("the cluster's return", || async { (send_logs(&door, 6..7).await.0 == 200).then_some(()) }).await;
    assert_eq!(ready(&door).await, "ready\n");
    assert!(metric(&door, "spanlight_kafka_front_unconfirmed_total").await >= 2.0);
    assert_eq!(metric(&door, "spanlight_collector_bytes_in_flight").await, 0.0);
    door.terminate();

    // One that was never there: the front starts, says so, and keeps nothing.
    let nowhere = [("SPANLIGHT_KAFKA_BROKERS", "127.0.0.1:1")];
    let door = front(&cluster, dir.path(), "{}", &nowhere);
    let (status, body) = send_logs(&door, 7..8).await;
    assert!(status == 503 && body.contains("kafka has not confirmed"), "{status} {body}");
    assert_eq!(door.terminate().0, Some(0));
}

async fn ready(server: &Server) -> String {
    let (status, body) = server.get("/ready").await;
    assert_eq!(status, 200);
    String::from_utf8(body.to_vec()).unwrap()
}

/// Sends some requests at a time.
async fn futures(server: &Server, body: impl Fn() -> Vec<u8>, count: usize) -> Vec<(u16, String)> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (address, body) = (server.otlp_http.clone(), body());
        tasks.spawn(async move {
            let (status, body) = send(&address, "/v1/traces", &[], body).await.unwrap();
            (status, String::from_utf8_lossy(&body).into_owned())
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn one_process_may_be_both_and_what_is_too_large_is_cut_or_told() {
    let cluster = Cluster::new(&TOPICS);
    let dir = tempfile::tempdir().unwrap();
    let librdkafka =
        r#"{ "message.max.bytes" = "20000", "session.timeout.ms" = "4000", "heartbeat.interval.ms" = "500" }"#;
    let both = [("SPANLIGHT_KAFKA_ROLE", "both"), ("SPANLIGHT_KAFKA_LIBRDKAFKA", librdkafka)];
    let server = cluster.serve(dir.path(), &both);
    let (status, body) = send_logs(&server, 0..2_000).await;
    assert_eq!((status, body.as_str()), (200, ""));
    // A record that is too large by itself is told as left out; its neighbours are kept.
    let mut large = request(2_000..2_003);
    let value = "x".repeat(30_000);
    let record = opentelemetry_proto::tonic::logs::v1::LogRecord { body: text(&value), ..Default::default() };
    let resource = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest {
        resource_logs: vec![opentelemetry_proto::tonic::logs::v1::ResourceLogs {
            scope_logs: vec![opentelemetry_proto::tonic::logs::v1::ScopeLogs {
                log_records: vec![record],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    large.extend(resource.encode_to_vec());
    let (status, body) = send(&server.otlp_http, "/v1/logs", &[], large).await.unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(status == 200 && body.contains("a message of Kafka has at most 18"), "{status} {body}");
    all_once(&server, 2_003).await;
    assert_eq!(metric(&server, "spanlight_kafka_messages_total").await, 5.0);
    assert_eq!(metric(&server, "spanlight_collector_records_rejected_total").await, 1.0);
    // Nothing came by the log.
    assert_eq!(metric(&server, "spanlight_kafka_rows_total").await, 2_003.0);
}

#[tokio::test]
async fn a_client_that_has_failed_for_good_is_made_anew() {
    let cluster = Cluster::new(&TOPICS);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.mock.request_errors(RDKafkaApiKey::InitProducerId, &[denied]);
    let dir = tempfile::tempdir().unwrap();
    let door = front(&cluster, dir.path(), r#"{ "message.timeout.ms" = "3000" }"#, &[]);
    let (status, body) = send_logs(&door, 0..1).await;
    assert!(status == 503 && body.contains("kafka has not confirmed"), "{status} {body}");
    eventually("another client", || async { (send_logs(&door, 1..2).await.0 == 200).then_some(()) }).await;
}
