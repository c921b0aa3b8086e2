//! What does it cost to read spans from Kafka, how fast are they read, and how soon is an hour's backlog gone?
//!
//! The cluster is librdkafka's mock, in this process: messages lie in memory, compressed with lz4, and are served on the cores on which
//! the server runs. Each server process begins with the first of them. A second process, a front, is measured in the same way.
//!
//! - CPU per span, until all are in blocks on the disk, is set against that of the OTLP door for as many spans in the same run. Of some
//!   runs it is the pair with the median ratio.
//! - The null device is a filesystem in memory (`/dev/shm`): the store does all that it does, log, blocks, index, manifest, and its writes
//!   and syncs wait for nothing. Bytes are those of messages before compression, seconds those from the first message to the last row in a
//!   block; the last are stored when all were read, and do not wait for their age. Beside it the same on the disk.
//! - The backlog is what the shop sent within an hour, and the shop goes on meanwhile. How fast it is gone depends on the shop; the spans
//!   per second at which it is read tell which shop would still be caught up with five times faster.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use server::Server;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use workload::client::{LoadConfig, Observer, Protocol, Rate, Stop, run_load};
use workload::{Config, Signal, Signals, Workload};

const SPANS: u64 = 1_000_000;
const BATCH: usize = 500;
const RUNS: usize = 5;
/// A mock keeps 5 MiB of each.
const PARTITIONS: i32 = 192;
const HOUR: u64 = 3_600_000_000_000;
/// Requests of the shop in a second; each is a trace of some 15 spans.
const SHOP: f64 = 75.0;
/// How long a reading may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}

/// CPU seconds of a process, all its threads, user and system.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// A topic of spans, and what was sent to it.
struct Topic {
    name: &'static str,
    producer: BaseProducer,
    messages: u64,
    spans: u64,
    bytes: u64,
}

impl Topic {
    fn new(cluster: &Cluster, name: &'static str) -> Topic {
        cluster.create_topic(name, PARTITIONS, 1).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.codec", "lz4")
            .create()
            .unwrap();
        Topic { name, producer, messages: 0, spans: 0, bytes: 0 }
    }

    fn send(&mut self, batch: &workload::Batch) {
        let time = i64::try_from(batch.due_unix_nano / 1_000_000).unwrap();
        let partition = i32::try_from(self.messages % u64::from(PARTITIONS.unsigned_abs())).unwrap();
        let payload = batch.bytes.as_ref();
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(self.name).partition(partition).payload(payload).timestamp(time);
        while let Err((_, back)) = self.producer.send(record) {
            record = back;
            self.producer.poll(Duration::from_millis(10));
        }
        self.producer.poll(Duration::ZERO);
        self.messages += 1;
        self.spans += batch.items;
        self.bytes += batch.bytes.len() as u64;
    }

    fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).unwrap();
        for partition in 0..PARTITIONS {
            let (low, _) = self.producer.client().fetch_watermarks(self.name, partition, PATIENCE).unwrap();
            assert_eq!(low, 0, "the mock has let go of messages");
        }
    }
}

fn shop(start_unix_nano: u64, requests_per_second: f64) -> Workload {
    let signals = Signals::Only(Signal::Spans);
    Workload::new(Config { signals, max_batch: BATCH, start_unix_nano, requests_per_second, ..Config::default() })
        .unwrap()
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

/// A server with a role towards Kafka, and a topic.
fn serve(cluster: &Cluster, data_dir: &Path, topic: &str, role: &str) -> Server {
    let topics = format!(
        "{{ {topic} = {{ signal = \"spans\" }}, no_logs = {{ signal = \"logs\" }}, no_metrics = {{ signal = \"metrics\" }} }}"
    );
    let brokers = cluster.bootstrap_servers();
    let variables = [
        ("SPANLIGHT_KAFKA_BROKERS", brokers.as_str()),
        ("SPANLIGHT_KAFKA_ROLE", role),
        ("SPANLIGHT_KAFKA_GROUP", &format!("{}", data_dir.display())),
        ("SPANLIGHT_KAFKA_TOPICS", &topics),
        ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "5"),
    ];
    Server::start_with(data_dir, &[], &variables)
}

/// Rows of spans, and how many of them are in memory.
async fn rows(server: &Server) -> (u64, u64) {
    let status = server.json("/api/v1/status").await;
    let spans = status["signals"].as_array().unwrap().iter().find(|signal| signal["signal"] == "spans");
    let count = |key: &str| spans.map_or(0, |spans| spans[key].as_u64().unwrap());
    (count("rows"), count("memtable_rows"))
}

/// Has what lies in memory stored at once, as a deletion does before it looks for its rows, of which there are none.
async fn store(server: &Server) {
    let path = "/api/v1/traces/000000000000000000000000000000ff";
    let (status, body) = server::request(&server.http, "DELETE", path, &[], Bytes::new()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
}

/// Waits for a number of rows: seconds from the first to when all were there, and to when all were in blocks. Those that are still in memory when
/// all are there do not wait for their age.
async fn until(server: &Server, count: u64) -> (f64, f64) {
    let (mut first, mut visible, started) = (None, None, Instant::now());
    loop {
        let asked = Instant::now();
        let (rows, in_memory) = rows(server).await;
        assert!(rows <= count && started.elapsed() < PATIENCE, "{rows} rows of {count}");
        if rows > 0 {
            first.get_or_insert(asked);
        }
        if rows == count && visible.is_none() {
            visible = Some(Instant::now());
            store(server).await;
        }
        if let (Some(first), Some(visible), 0) = (first, visible, in_memory) {
            return ((visible - first).as_secs_f64(), first.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn load(server: &Server) -> workload::client::LoadReport {
    let config = LoadConfig {
        endpoint: format!("http://{}", server.otlp_grpc),
        protocol: Protocol::Grpc,
        signals: Signals::Only(Signal::Spans),
        rate: Rate::Max,
        stop: Stop::Count(SPANS),
        connections: 4,
        batch: BATCH,
        ..LoadConfig::default()
    };
    let report = run_load(config, Observer::default(), CancellationToken::new()).await.unwrap();
    assert_eq!(report.accepted, SPANS);
    report
}

/// CPU seconds per span of the OTLP door.
async fn door() -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "5")]);
    load(&server).await;
    until(&server, SPANS).await;
    cpu_seconds(server.pid()) / SPANS as f64
}

/// What a reading of a topic showed.
struct Reading {
    /// CPU seconds per span.
    cpu: f64,
    /// Seconds until all were visible, and until all were in blocks.
    visible: f64,
    stored: f64,
    peak_mib: f64,
}

async fn reading(cluster: &Cluster, topic: &Topic, dir: &Path) -> Reading {
    let server = serve(cluster, dir, topic.name, "storage");
    let (visible, stored) = until(&server, topic.spans).await;
    Reading {
        cpu: cpu_seconds(server.pid()) / topic.spans as f64,
        visible,
        stored,
        peak_mib: server.peak_memory() as f64 / f64::from(1 << 20),
    }
}

/// CPU and throughput of a front.
async fn front(cluster: &Cluster, door: f64) {
    for topic in ["front_spans", "no_logs", "no_metrics"] {
        cluster.create_topic(topic, 12, 1).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let server = serve(cluster, dir.path(), "front_spans", "front");
    let report = load(&server).await;
    let cpu = cpu_seconds(server.pid()) / SPANS as f64;
    row("kafka_front_cpu_per_span", cpu * 1e6, "µs", None);
    row("kafka_front_cpu_to_door", cpu / door, "ratio", None);
    row("kafka_front_spans_per_second", SPANS as f64 / report.seconds, "1/s", None);
    row("kafka_front_ack_p99", report.ack_p99_ms, "ms", None);
    row("kafka_front_peak_memory", server.peak_memory() as f64 / f64::from(1 << 20), "MiB", None);
}

/// Seconds until an hour's messages are read, while the shop goes on.
async fn backlog(cluster: &Cluster) {
    let start = now() - HOUR;
    let (mut shop, mut topic) = (shop(start, SHOP), Topic::new(cluster, "backlog"));
    loop {
        let batch = shop.next_batch().unwrap();
        topic.send(&batch);
        if batch.due_unix_nano >= start + HOUR {
            break;
        }
    }
    topic.flush();
    let (hour_spans, hour_bytes) = (topic.spans, topic.bytes);

    let memory = Path::new("/dev/shm");
    let null = tempfile::tempdir_in(if memory.is_dir() { memory } else { Path::new("/tmp") }).unwrap();
    let on_null = reading(cluster, &topic, null.path()).await;
    drop(null);
    let dir = tempfile::tempdir().unwrap();
    let on_disk = reading(cluster, &topic, dir.path()).await;
    let megabytes = hour_bytes as f64 / 1e6;
    row("kafka_megabytes_per_second_null_device", megabytes / on_null.stored, "MB/s", Some(">= 100"));
    row("kafka_megabytes_per_second_until_visible_null_device", megabytes / on_null.visible, "MB/s", None);
    row("kafka_megabytes_per_cpu_second", megabytes / (on_null.cpu * hour_spans as f64), "MB/s", None);
    row("kafka_megabytes_per_second_end_to_end", megabytes / on_disk.stored, "MB/s", None);
    row("kafka_spans_per_second_end_to_end", hour_spans as f64 / on_disk.stored, "1/s", None);
    row("kafka_peak_memory", on_disk.peak_mib.max(on_null.peak_mib), "MiB", Some("<= 1024"));
    drop(dir);

    // The shop goes on at its pace, from where the hour ended.
    let (end, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(topic.spans)));
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let server = serve(cluster, dir.path(), topic.name, "storage");
    let producing = std::thread::spawn({
        let (end, sent) = (Arc::clone(&end), Arc::clone(&sent));
        move || {
            while !end.load(Ordering::Relaxed) {
                let batch = shop.next_batch().unwrap();
                let due = Duration::from_nanos(batch.due_unix_nano - start - HOUR);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
                topic.send(&batch);
                sent.store(topic.spans, Ordering::Relaxed);
            }
            topic.flush();
        }
    });
    let seconds = loop {
        assert!(started.elapsed() < PATIENCE, "{:?} rows of {}", rows(&server).await, sent.load(Ordering::Relaxed));
        let before = sent.load(Ordering::Relaxed);
        if rows(&server).await.0 >= before {
            break started.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    end.store(true, Ordering::Relaxed);
    tokio::task::spawn_blocking(|| producing.join().unwrap()).await.unwrap();
    row("kafka_backlog_spans", hour_spans as f64, "spans", None);
    row("kafka_backlog_gone_after", seconds, "s", None);
    row("kafka_backlog_to_production", 3_600.0 / seconds, "x", Some(">= 5"));
    row("kafka_backlog_spans_per_second", hour_spans as f64 / seconds, "1/s", None);
}

#[tokio::main]
async fn main() {
    let cluster: Cluster = MockCluster::new(1).unwrap();
    let (mut shop, mut topic) = (shop(now() - HOUR, 2_000.0), Topic::new(&cluster, "spans"));
    while topic.spans < SPANS {
        topic.send(&shop.next_batch().unwrap());
    }
    topic.flush();
    let mut pairs = Vec::new();
    for _ in 0..RUNS {
        let door = door().await;
        let dir = tempfile::tempdir().unwrap();
        pairs.push((door, reading(&cluster, &topic, dir.path()).await.cpu));
    }
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (door, kafka) = pairs.swap_remove(RUNS / 2);
    row("kafka_cpu_to_door", kafka / door, "ratio", Some("<= 1.3"));
    row("kafka_cpu_per_span", kafka * 1e6, "µs", None);
    row("door_cpu_per_span", door * 1e6, "µs", None);
    front(&cluster, door).await;
    backlog(&cluster).await;
}
