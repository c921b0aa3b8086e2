//! Is a message of Kafka stored exactly once? Messages are produced while the server is killed, fed with what it cannot read, and
//! told wrong offsets by its group. The cluster is librdkafka's own mock, in this process.

use crate::server::{Server, eventually};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) mod batch;
mod foreign;
mod front;
mod letters;
mod limit;
mod real;

const LOGS: &str = "otlp_logs";

/// A cluster with one broker.
pub(crate) struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Cluster {
    pub(crate) fn new(topics: &[(&str, i32)]) -> Cluster {
        let mock = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            mock.create_topic(topic, *partitions, 1).unwrap();
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", mock.bootstrap_servers())
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("message.max.bytes", "100000000")
            .create()
            .unwrap();
        Cluster { mock, producer }
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    pub(crate) fn send(&self, topic: &str, partition: i32, payload: &[u8], header: Option<(&str, &str)>) {
        let now = jiff::Timestamp::now().as_millisecond();
        self.send_at(now, topic, partition, payload, header);
    }

    /// The same, as a producer whose clock says something else does.
    pub(crate) fn send_at(
        &self,
        millis: i64,
        topic: &str,
        partition: i32,
        payload: &[u8],
        header: Option<(&str, &str)>,
    ) {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).partition(partition).payload(payload).timestamp(millis);
        if let Some((key, value)) = header {
            record = record.headers(OwnedHeaders::new().insert(Header { key, value: Some(value) }));
        }
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// A message without a value.
    fn send_tombstone(&self, topic: &str, partition: i32) {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition).key(b"gone");
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// A server that reads from the cluster, with further settings.
    pub(crate) fn serve(&self, data_dir: &Path, more: &[(&str, &str)]) -> Server {
        let brokers = self.mock.bootstrap_servers();
        // The mock takes three seconds to form a group, in which no session may end; that of who was killed ends soon after.
        let librdkafka = r#"{ "session.timeout.ms" = "4000", "heartbeat.interval.ms" = "500" }"#;
        let mut variables =
            vec![("SPANLIGHT_KAFKA_BROKERS", brokers.as_str()), ("SPANLIGHT_KAFKA_LIBRDKAFKA", librdkafka)];
        variables.extend_from_slice(more);
        Server::start_with(data_dir, &[], &variables)
    }
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) })
}

fn numbered(number: usize) -> KeyValue {
    KeyValue { key: "number".into(), value: text(&format!("{number:07}")), ..KeyValue::default() }
}

/// A request of log records, each with a number of its own.
pub(crate) fn request(numbers: std::ops::Range<usize>) -> Vec<u8> {
    let record =
        |number: usize| LogRecord { time_unix_nano: now(), attributes: vec![numbered(number)], ..LogRecord::default() };
    let log_records = numbers.map(record).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// A request of spans, each with a number of its own.
fn spans(numbers: std::ops::Range<usize>) -> Vec<u8> {
    let span = |number: usize| Span {
        trace_id: [&[1; 8][..], &number.to_be_bytes()].concat(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "step".into(),
        start_time_unix_nano: now(),
        end_time_unix_nano: now(),
        attributes: vec![numbered(number)],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: numbers.map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// How many rows have each value of an attribute of log records.
async fn values(server: &Server, key: &str, prefix: &str, tenant: &str) -> BTreeMap<String, u64> {
    values_of("logs", server, key, prefix, tenant).await
}

async fn values_of(signal: &str, server: &Server, key: &str, prefix: &str, tenant: &str) -> BTreeMap<String, u64> {
    let path = format!("/api/v1/attributes/{key}/values?signal={signal}&limit=10000&prefix={prefix}");
    let headers = [("x-scope-orgid", tenant)];
    let (status, body) = crate::server::request(&server.http, "GET", &path, &headers, Default::default()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let answer: query_api::volume::AttributeValuesResponse = serde_json::from_slice(&body).unwrap();
    let text = |value: &query_api::otlp::AnyValue| serde_json::to_value(value).unwrap();
    let texts = answer.values.iter().map(|value| {
        let json = text(&value.value);
        let text = json.as_object().unwrap().values().next().unwrap();
        (text.as_str().map_or_else(|| text.to_string(), str::to_owned), value.rows)
    });
    texts.collect()
}

/// Waits until so many numbers are there, and checks that each is there once.
async fn all_once(server: &Server, count: usize) {
    let found = eventually("all messages", || async {
        let found = values(server, "number", "", "default").await;
        (found.len() >= count).then_some(found)
    })
    .await;
    let doubled: Vec<_> = found.iter().filter(|(_, rows)| **rows != 1).collect();
    assert!(doubled.is_empty() && found.len() == count, "{} of {count}; not once: {doubled:?}", found.len());
}

/// A counter or gauge of `/metrics`, summed over its labels.
async fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = server.get("/metrics").await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let values = text.lines().filter(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']));
    values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn messages_are_stored_once_while_the_server_is_killed() {
    let cluster = Cluster::new(&[(LOGS, 4)]);
    let dir = tempfile::tempdir().unwrap();
    // Small generations: kills meet flushes, and rows of every age.
    let small = [("SPANLIGHT_STORAGE_FLUSH_BYTES", "100000"), ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")];
    let mut sent = 0;
    let mut server = cluster.serve(dir.path(), &small);
    for life in 0..5 {
        for _ in 0..150 {
            cluster.send(LOGS, i32::try_from(sent % 4).unwrap(), &request(sent..sent + 3), None);
            sent += 3;
        }
        cluster.flush();
        // Lives end in all states: before anything was read, in the midst of it, long after.
        tokio::time::sleep(Duration::from_millis([7_500, 400, 8_500, 9_000, 900][life])).await;
        server.kill();
        server = cluster.serve(dir.path(), &small);
    }
    all_once(&server, sent).await;
    // A graceful end flushes and leaves; the next start reads nothing twice.
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let server = cluster.serve(dir.path(), &small);
    cluster.send(LOGS, 0, &request(sent..sent + 1), None);
    all_once(&server, sent + 1).await;
    assert_eq!(metric(&server, "spanlight_kafka_messages_total").await, 1.0);
}

#[tokio::test]
async fn the_offsets_of_the_group_decide_nothing() {
    let cluster = Cluster::new(&[(LOGS, 1)]);
    let dir = tempfile::tempdir().unwrap();
    for number in 0..20 {
        cluster.send(LOGS, 0, &request(number..number + 1), None);
    }
    cluster.flush();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.mock.bootstrap_servers())
        .set("group.id", "spanlight")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(LOGS, 0, Offset::Offset(15)).unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
    drop(consumer);
    let server = cluster.serve(dir.path(), &[]);
    all_once(&server, 20).await;
    server.terminate();
    // Another group knows nothing; the store knows it all.
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_GROUP", "another")]);
    cluster.send(LOGS, 0, &request(20..21), None);
    all_once(&server, 21).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_stops_nothing() {
    let cluster = Cluster::new(&[(LOGS, 1), ("lines", 1), ("events", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ otlp_logs = { signal = "logs" }, lines = { signal = "logs", encoding = "text", tenant = "plain" },
        "^ev.*" = { signal = "logs", encoding = "json" } }"#;
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", topics)]);
    for bad in [&b"\x0a\xff"[..], b"not protobuf at all", &[0xff; 1_000], &vec![7; 600_000]] {
        cluster.send(LOGS, 0, bad, None);
        cluster.send(LOGS, 0, &[], None);
        cluster.send_tombstone(LOGS, 0);
    }
    cluster.send(LOGS, 0, &request(0..1), Some(("x-scope-orgid", "../etc")));
    cluster.send(LOGS, 0, &request(1..2), Some(("X-Scope-OrgID", "shop")));
    cluster.send(LOGS, 0, &request(2..3), None);
    cluster.send("lines", 0, b"a line", None);
    cluster.send("lines", 0, b"\xff", None);
    cluster.send("events", 0, br#"{"a":[1,{"b":null}]}"#, None);
    cluster.send("events", 0, br#"{"a":"#, None);
    cluster.flush();
    eventually("all messages", || async {
        (metric(&server, "spanlight_kafka_messages_total").await >= 15.0).then_some(())
    })
    .await;
    assert_eq!(metric(&server, "spanlight_kafka_dead_letters_total").await, 11.0);
    assert_eq!(metric(&server, "spanlight_kafka_tombstones_total").await, 4.0);
    let partitions = server.json("/api/v1/status").await["kafka"]["partitions"].take();
    let told = |topic: &str| partitions.as_array()?.iter().find(|one| one["topic"] == topic)?["tombstones"].as_u64();
    assert_eq!((told(LOGS), told("lines")), (Some(4), Some(0)), "{partitions}");
    assert_eq!(values(&server, "number", "", "default").await, BTreeMap::from([("0000002".to_owned(), 1)]));
    assert_eq!(values(&server, "number", "", "shop").await, BTreeMap::from([("0000001".to_owned(), 1)]));
    assert_eq!(values(&server, "service.name", "", "plain").await, BTreeMap::from([("lines".to_owned(), 1)]));
    let letters = values(&server, "spanlight.reason", "", "dead-letters").await;
    assert_eq!(letters.values().sum::<u64>(), 11, "{letters:?}");
    for (reason, count) in [("`../etc` is no tenant", 1), ("it holds no records of logs, read as `otlp_proto`", 4)] {
        let of_reason = letters.iter().filter(|(known, _)| known.contains(reason));
        assert_eq!(of_reason.map(|(_, count)| count).sum::<u64>(), count, "{reason}: {letters:?}");
    }
    // They are committed with the offsets that pass over them.
    server.kill();
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", topics)]);
    let again = eventually("the letters", || async {
        let letters = values(&server, "spanlight.reason", "", "dead-letters").await;
        (letters.values().sum::<u64>() >= 11).then_some(letters)
    });
    assert_eq!(again.await, letters);
}

/// Whether a message can be decoded depends on no other that came with it.
/// What comes after the reading began has no older messages, whatever is wanted of those that were there.
#[tokio::test]
async fn topics_that_come_later_are_read_from_their_first_message() {
    let cluster = Cluster::new(&[("ev-old", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("SPANLIGHT_KAFKA_TOPICS", r#"{ "^ev-.*" = { signal = "logs", encoding = "text" } }"#),
        (
            "SPANLIGHT_KAFKA_LIBRDKAFKA",
            r#"{ "topic.metadata.refresh.interval.ms" = "300", "session.timeout.ms" = "4000", "heartbeat.interval.ms" = "500" }"#,
        ),
        ("SPANLIGHT_KAFKA_BEGIN", "latest"),
    ];
    cluster.send("ev-old", 0, b"before", None);
    cluster.flush();
    let server = cluster.serve(dir.path(), &settings);
    eventually("the partition is read", || async {
        let kafka = server.json("/api/v1/status").await["kafka"].clone();
        (kafka["partitions"][0]["position"] == 1).then_some(())
    })
    .await;
    cluster.mock.create_topic("ev-new", 1, 1).unwrap();
    cluster.send("ev-new", 0, b"first", None);
    cluster.send("ev-old", 0, b"after", None);
    cluster.flush();
    let services = eventually("both", || async {
        let found = values(&server, "service.name", "", "default").await;
        (found.len() == 2).then_some(found)
    });
    assert_eq!(services.await, BTreeMap::from([("ev-new".to_owned(), 1), ("ev-old".to_owned(), 1)]));
}

#[tokio::test]
async fn messages_that_take_much_memory_each_are_stored_and_one_that_takes_too_much_is_kept() {
    let cluster = Cluster::new(&[("events", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ events = { signal = "logs", encoding = "json", tenant = "plain" } }"#;
    let little = [
        ("SPANLIGHT_KAFKA_TOPICS", topics),
        ("SPANLIGHT_OTLP_MAX_BYTES_IN_FLIGHT", "16000000"),
        ("SPANLIGHT_OTLP_TENANT_BYTES_IN_FLIGHT", "16000000"),
        ("SPANLIGHT_OTLP_MAX_REQUEST_BYTES", "4000000"),
    ];
    // Some nine megabytes of values each.
    let message = |values: usize| format!("[{}0]", "0,".repeat(values)).into_bytes();
    for values in [50_000, 50_000, 50_000, 200_000, 50_000, 50_000] {
        cluster.send("events", 0, &message(values), None);
    }
    cluster.flush();
    let server = cluster.serve(dir.path(), &little);
    eventually("all messages", || async {
        (metric(&server, "spanlight_kafka_messages_total").await >= 6.0).then_some(())
    })
    .await;
    assert_eq!(metric(&server, "spanlight_kafka_rows_total").await, 5.0);
    let letters = values(&server, "spanlight.reason", "", "dead-letters").await;
    let (reason, count) = letters.first_key_value().unwrap();
    assert!(letters.len() == 1 && *count == 1 && reason.contains("otlp.max_bytes_in_flight"), "{letters:?}");
}

#[tokio::test]
async fn partitions_rest_while_nothing_can_be_stored_and_lose_nothing() {
    let cluster = Cluster::new(&[(LOGS, 2)]);
    let dir = tempfile::tempdir().unwrap();
    let count = 3_000;
    for number in (0..count).step_by(3) {
        cluster.send(LOGS, i32::try_from(number % 2).unwrap(), &request(number..number + 3), None);
    }
    cluster.flush();
    // A disk that counts as full.
    let full = cluster.serve(dir.path(), &[("SPANLIGHT_STORAGE_MIN_FREE_BYTES", "1000000000000000")]);
    eventually("word of the rest", || async {
        let status = full.json("/api/v1/status").await;
        let told = status["kafka"]["paused"].as_str().is_some_and(|why| why.contains("storage.min_free_bytes"));
        told.then_some(())
    })
    .await;
    assert_eq!(metric(&full, "spanlight_kafka_paused").await, 1.0);
    // What waits meanwhile is told, and grows.
    let lag = async |messages: usize| {
        eventually("the lag", || async {
            (metric(&full, "spanlight_kafka_lag").await == messages as f64).then_some(())
        })
        .await;
    };
    lag(count / 3).await;
    cluster.send(LOGS, 0, &request(count..count + 3), None);
    cluster.flush();
    lag(count / 3 + 1).await;
    let count = count + 3;
    assert!(values(&full, "number", "", "default").await.is_empty());
    full.terminate();
    // Memory that is full again and again.
    let little = [("SPANLIGHT_STORAGE_FLUSH_BYTES", "60000"), ("SPANLIGHT_STORAGE_MEMORY_LIMIT_BYTES", "60000")];
    let server = cluster.serve(dir.path(), &little);
    all_once(&server, count).await;
    let status = server.json("/api/v1/status").await;
    let partitions = status["kafka"]["partitions"].as_array().unwrap();
    assert_eq!(partitions.iter().map(|told| told["messages"].as_u64().unwrap()).sum::<u64>(), count as u64 / 3);
    assert!(partitions.iter().all(|told| told["lag"] == 0 && told["ours"] == true), "{partitions:?}");
}
