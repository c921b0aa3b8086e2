//! The same with Apache Kafka itself: brokers in KRaft mode that are killed too, topics that are deleted and made again, messages that
//! expire, transactions that are given up.
//!
//! Runs where `SPANLIGHT_KAFKA_LIB` names a folder with Kafka's jars (`make test-full` sees to it: `scripts/kafka.sh`); elsewhere it
//! says so and passes.

use super::front::Senders;
use super::{LOGS, metric, request, spans, values_of};
use crate::server::{Server, eventually};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A loopback address that no other test has: brokers come back on the ports that they had.
const HOST: &str = "127.0.0.7";
/// Records of one message.
const RECORDS: usize = 5;
const PARTITIONS: i32 = 6;
/// What messages hold. Spans that are stored twice become one again, and log records do not; with those a double is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Spans,
    Logs,
}

impl Kind {
    fn topic(self) -> &'static str {
        match self {
            Kind::Spans => "otlp_spans",
            Kind::Logs => LOGS,
        }
    }

    fn signal(self) -> &'static str {
        match self {
            Kind::Spans => "spans",
            Kind::Logs => "logs",
        }
    }

    fn request(self, numbers: Range<usize>) -> Vec<u8> {
        match self {
            Kind::Spans => spans(numbers),
            Kind::Logs => request(numbers),
        }
    }
}

const WAIT: Duration = Duration::from_secs(30);

/// Brokers of `scripts/kafka.sh` with their files in a folder; killed when dropped.
struct Brokers {
    lib: PathBuf,
    dir: tempfile::TempDir,
    ports: Vec<(u16, u16)>,
    processes: Vec<Child>,
}

impl Brokers {
    async fn start(lib: PathBuf, count: usize) -> Brokers {
        // All are held at once, so that no port is given twice.
        let held: Vec<TcpListener> = (0..2 * count).map(|_| TcpListener::bind((HOST, 0)).unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(held);
        let ports = ports.chunks(2).map(|two| (two[0], two[1])).collect();
        let mut brokers = Brokers { lib, dir: tempfile::tempdir().unwrap(), ports, processes: Vec::new() };
        for number in 0..count {
            let process = brokers.run(number);
            brokers.processes.push(process);
        }
        brokers.answer().await;
        brokers
    }

    fn run(&self, number: usize) -> Child {
        let pairs = self.ports.iter().map(|(client, controller)| format!("{client}:{controller}"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg("broker").arg(self.dir.path()).args([&number.to_string(), HOST]).args(pairs);
        command.env("SPANLIGHT_KAFKA_LIB", &self.lib).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("bash runs")
    }

    fn addresses(&self) -> String {
        let addresses: Vec<String> = self.ports.iter().map(|(port, _)| format!("{HOST}:{port}")).collect();
        addresses.join(",")
    }

    async fn answer(&self) {
        let admin = self.admin();
        eventually("an answer of the brokers", || async {
            let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(1)).ok()?;
            (metadata.brokers().len() >= self.ports.len()).then_some(())
        })
        .await;
    }

    /// Kills a broker and starts it again.
    async fn restart(&mut self, number: usize) {
        self.processes[number].kill().unwrap();
        self.processes[number].wait().unwrap();
        self.processes[number] = self.run(number);
        self.answer().await;
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.addresses());
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    async fn make_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let replicas = i32::try_from(self.ports.len().min(3)).unwrap();
        let admin = self.admin();
        eventually("a topic", || async {
            let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
            for (key, value) in settings {
                topic = topic.set(key, value);
            }
            let made = admin.create_topics(&[topic], &AdminOptions::new()).await.ok()?;
            made.iter().all(Result::is_ok).then_some(())
        })
        .await;
    }

    fn producer(&self, more: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.client();
        config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "5");
        for (key, value) in more {
            config.set(*key, *value);
        }
        config.create().unwrap()
    }

    fn serve(&self, data_dir: &Path, more: &[(&str, &str)]) -> Server {
        let brokers = self.addresses();
        let librdkafka = r#"{ "session.timeout.ms" = "2000", "heartbeat.interval.ms" = "300" }"#;
        let mut variables =
            vec![("SPANLIGHT_KAFKA_BROKERS", brokers.as_str()), ("SPANLIGHT_KAFKA_LIBRDKAFKA", librdkafka)];
        variables.extend_from_slice(more);
        Server::start_with(data_dir, &[], &variables)
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// The folder of the jars; `None` says that there is none.
fn lib() -> Option<PathBuf> {
    let lib = std::env::var_os("SPANLIGHT_KAFKA_LIB").map(PathBuf::from);
    if lib.is_none() {
        eprintln!("SPANLIGHT_KAFKA_LIB is not set: nothing was tested with Apache Kafka");
    }
    lib
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Sends messages of numbered records, and waits until the cluster has them.
fn produce(producer: &BaseProducer, messages: Range<usize>, sent: &AtomicUsize) {
    produce_at(Kind::Logs, producer, messages, sent, usize::MAX);
}

/// The same, so many messages in a tenth of a second at most.
fn produce_at(kind: Kind, producer: &BaseProducer, messages: Range<usize>, sent: &AtomicUsize, pace: usize) {
    for message in messages {
        if message % pace == 0 {
            producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_millis(if pace == usize::MAX { 0 } else { 100 }));
        }
        let payload = kind.request(message * RECORDS..(message + 1) * RECORDS);
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(kind.topic()).payload(&payload);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((_, back)) => {
                    record = back;
                    producer.poll(Duration::from_millis(50));
                }
            }
        }
        sent.store(message + 1, Ordering::Relaxed);
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(120)).unwrap();
}

/// Waits until all numbers below a count are there, and checks that each is there once; some thousand at a time.
async fn all_once(server: &Server, count: usize) {
    all_of(Kind::Logs, server, count).await;
}

async fn all_of(kind: Kind, server: &Server, count: usize) {
    let mut seen = 0;
    while seen < count as u64 {
        // However many there are, there are soon more.
        seen = eventually("further rows", || async {
            let rows = rows(kind, server).await;
            (rows > seen || rows == count as u64).then_some(rows)
        })
        .await;
        assert!(seen <= count as u64, "{seen} rows of {count}");
    }
    let mut found = 0;
    for thousands in 0..=count.saturating_sub(1) / 1_000 {
        let values = values_of(kind.signal(), server, "number", &format!("{thousands:04}"), "default").await;
        let doubled: Vec<_> = values.iter().filter(|(_, rows)| **rows != 1).collect();
        assert!(doubled.is_empty(), "not once: {doubled:?}");
        found += values.len();
    }
    assert_eq!(found, count);
}

/// How many of them the default tenant has.
async fn rows(kind: Kind, server: &Server) -> u64 {
    let status = server.json("/api/v1/status").await;
    let signals = status["signals"].as_array().unwrap();
    let found = signals.iter().find(|signal| signal["signal"] == kind.signal()).unwrap();
    found["rows"].as_u64().unwrap()
}

/// Kills the server at random moments and restarts brokers, while messages are produced.
async fn kill(kind: Kind, brokers: &mut Brokers, (messages, kills, restarts): (usize, usize, usize)) {
    brokers.make_topic(kind.topic(), PARTITIONS, &[]).await;
    let dir = tempfile::tempdir().unwrap();
    let small = [("SPANLIGHT_STORAGE_FLUSH_BYTES", "1000000"), ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")];
    let (sent, producer) = (Arc::new(AtomicUsize::new(0)), brokers.producer(&[]));
    let producing = std::thread::spawn({
        let sent = Arc::clone(&sent);
        // Some three seconds and a half for each life.
        let pace = messages.div_ceil(35 * kills.max(1));
        move || produce_at(kind, &producer, 0..messages, &sent, pace)
    });
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut random = Pcg64::seed_from_u64(seed);
    let mut server = brokers.serve(dir.path(), &small);
    for life in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(500..6_000))).await;
        eprintln!(
            "life {life} ends with {} rows; {} messages sent",
            rows(kind, &server).await,
            sent.load(Ordering::Relaxed)
        );
        server.kill();
        if life % kills.div_ceil(restarts.max(1)) == 1 && restarts > 0 {
            let broker = life % brokers.ports.len();
            brokers.restart(broker).await;
        }
        server = brokers.serve(dir.path(), &small);
    }
    tokio::task::spawn_blocking(|| producing.join().unwrap()).await.unwrap();
    all_of(kind, &server, messages * RECORDS).await;
    assert_eq!(metric(&server, "spanlight_kafka_lost_offsets_total").await, 0.0);
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let server = brokers.serve(dir.path(), &small);
    all_of(kind, &server, messages * RECORDS).await;
}

#[tokio::test]
async fn with_one_broker_messages_are_stored_once_while_all_is_killed() {
    let Some(lib) = lib() else { return };
    let mut brokers = Brokers::start(lib, 1).await;
    let messages = number("SPANLIGHT_KAFKA_MESSAGES", 20_000);
    kill(Kind::Spans, &mut brokers, (messages, number("SPANLIGHT_KILLS", 10).min(20), 3)).await;
}

#[tokio::test]
async fn with_three_brokers_messages_are_stored_once_while_all_is_killed() {
    let Some(lib) = lib() else { return };
    let mut brokers = Brokers::start(lib, 3).await;
    kill(Kind::Logs, &mut brokers, (5_000, 5, 2)).await;
}

#[tokio::test]
async fn what_a_front_acknowledges_is_stored_once_while_all_is_killed() {
    let Some(lib) = lib() else { return };
    let mut brokers = Brokers::start(lib, 3).await;
    for topic in [LOGS, "otlp_spans", "otlp_metrics"] {
        brokers.make_topic(topic, PARTITIONS, &[("min.insync.replicas", "2")]).await;
    }
    let (front_dir, store_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let small = [("SPANLIGHT_STORAGE_FLUSH_BYTES", "1000000"), ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")];
    let front = |brokers: &Brokers| brokers.serve(front_dir.path(), &[("SPANLIGHT_KAFKA_ROLE", "front")]);
    let mut door = front(&brokers);
    let mut store = brokers.serve(store_dir.path(), &small);
    let senders = Senders::start(&door);
    for life in 0..6 {
        tokio::time::sleep(Duration::from_millis([2_000, 3_000, 700, 4_000, 1_500, 3_000][life])).await;
        match life % 3 {
            0 => {
                door.kill();
                door = front(&brokers);
                senders.turn_to(&door);
            }
            1 => brokers.restart(life % 2).await,
            _ => {
                store.kill();
                store = brokers.serve(store_dir.path(), &small);
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    senders.all_are_stored(door, &store).await;
}

#[tokio::test]
async fn topics_made_anew_expired_messages_and_given_up_transactions_are_told_apart() {
    let Some(lib) = lib() else { return };
    let brokers = Brokers::start(lib, 1).await;
    let dir = tempfile::tempdir().unwrap();
    brokers.make_topic(LOGS, 1, &[]).await;
    let (producer, sent) = (brokers.producer(&[]), AtomicUsize::new(0));
    produce(&producer, 0..40, &sent);
    let server = brokers.serve(dir.path(), &[]);
    all_once(&server, 40 * RECORDS).await;

    // What a transaction gave up is not seen, and the gap that it leaves is none.
    let transactional = brokers.producer(&[("transactional.id", "a")]);
    transactional.init_transactions(WAIT).unwrap();
    for (messages, keep) in [(1_000..1_010, false), (40..50, true)] {
        transactional.begin_transaction().unwrap();
        produce(&transactional, messages, &sent);
        if keep {
            transactional.commit_transaction(WAIT).unwrap();
        } else {
            transactional.abort_transaction(WAIT).unwrap();
        }
    }
    all_once(&server, 50 * RECORDS).await;
    assert_eq!(metric(&server, "spanlight_kafka_lost_offsets_total").await, 0.0);
    // Nor is the end of a transaction a message that lags, or one that is lost when it goes with what is before it.
    for (what, value) in [("position", 62.0), ("lag", 0.0)] {
        let name = format!("spanlight_kafka_{what}");
        eventually(&name, || async { (metric(&server, &name).await == value).then_some(()) }).await;
    }
    server.terminate();
    let admin = brokers.admin();
    let delete_before = async |offset: i64| {
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(LOGS, 0, rdkafka::Offset::Offset(offset)).unwrap();
        admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    };
    delete_before(62).await;
    let server = brokers.serve(dir.path(), &[("SPANLIGHT_KAFKA_ON_LOSS", "stop")]);
    produce(&producer, 50..60, &sent);
    all_once(&server, 60 * RECORDS).await;
    assert_eq!(metric(&server, "spanlight_kafka_lost_offsets_total").await, 0.0);
    server.terminate();

    // A namesake that is shorter than what was read of the first, and one that is as long.
    for messages in [60..70, 70..170] {
        admin.delete_topics(&[LOGS], &AdminOptions::new()).await.unwrap();
        drop(brokers.producer(&[]));
        brokers.make_topic(LOGS, 1, &[]).await;
        let end = messages.end;
        produce(&brokers.producer(&[]), messages, &sent);
        // Nobody has seen what is in it, whatever is wanted of topics that were never read.
        let server = brokers.serve(dir.path(), &[("SPANLIGHT_KAFKA_BEGIN", "latest")]);
        all_once(&server, end * RECORDS).await;
        assert_eq!(metric(&server, "spanlight_kafka_lost_offsets_total").await, 0.0);
        server.terminate();
    }

    // Messages that were deleted before they were read are counted, and what comes behind them is read.
    produce(&brokers.producer(&[]), 5_000..5_020, &sent);
    delete_before(120).await;
    produce(&brokers.producer(&[]), 170..180, &sent);
    let server = brokers.serve(dir.path(), &[("SPANLIGHT_KAFKA_ON_LOSS", "stop")]);
    let told = eventually("what is lost", || async {
        let told = server.json("/api/v1/status").await["kafka"].clone();
        told["trouble"].as_str().is_some_and(|what| what.contains("deleted before they were read")).then_some(told)
    })
    .await;
    assert_eq!(
        (&told["partitions"][0]["lag"], &told["partitions"][0]["position"]),
        (&30.into(), &100.into()),
        "{told}"
    );
    server.terminate();
    let server = brokers.serve(dir.path(), &[]);
    all_once(&server, 180 * RECORDS).await;
    assert_eq!(metric(&server, "spanlight_kafka_lost_offsets_total").await, 20.0);
}

/// It can be read nowhere else.
#[tokio::test]
async fn what_was_read_of_a_topic_that_is_made_anew_outlives_a_kill() {
    let Some(lib) = lib() else { return };
    let brokers = Brokers::start(lib, 1).await;
    let dir = tempfile::tempdir().unwrap();
    brokers.make_topic(LOGS, 1, &[]).await;
    let sent = AtomicUsize::new(0);
    produce(&brokers.producer(&[]), 0..40, &sent);
    let server = brokers.serve(dir.path(), &[]);
    all_once(&server, 40 * RECORDS).await;
    brokers.admin().delete_topics(&[LOGS], &AdminOptions::new()).await.unwrap();
    drop(brokers.producer(&[]));
    brokers.make_topic(LOGS, 1, &[]).await;
    produce(&brokers.producer(&[]), 40..50, &sent);
    all_once(&server, 50 * RECORDS).await;
    server.kill();
    let server = brokers.serve(dir.path(), &[]);
    all_once(&server, 50 * RECORDS).await;
}

/// Its namesake is longer than what was read of the first: it has messages at the offset that comes next.
#[tokio::test]
async fn a_topic_that_is_made_anew_while_it_is_read_is_read_once() {
    let Some(lib) = lib() else { return };
    let brokers = Brokers::start(lib, 1).await;
    let dir = tempfile::tempdir().unwrap();
    brokers.make_topic(LOGS, 1, &[]).await;
    let (sent, mut end) = (AtomicUsize::new(0), 40);
    produce(&brokers.producer(&[]), 0..end, &sent);
    let patient = r#"{ "session.timeout.ms" = "45000" }"#;
    let server = brokers.serve(dir.path(), &[("SPANLIGHT_KAFKA_LIBRDKAFKA", patient)]);
    let signal = |signal| {
        let pid = rustix::process::Pid::from_raw(server.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    all_once(&server, end * RECORDS).await;
    for turn in 0..4 {
        // It may see the topic while there is none, or while that is short, or not before that is long enough.
        if turn > 0 {
            signal(rustix::process::Signal::STOP);
        }
        brokers.admin().delete_topics(&[LOGS], &AdminOptions::new()).await.unwrap();
        brokers.make_topic(LOGS, 1, &[]).await;
        let next = 3 * end;
        produce(&brokers.producer(&[]), end..next, &sent);
        end = next;
        if turn > 0 {
            signal(rustix::process::Signal::CONT);
        }
        all_once(&server, end * RECORDS).await;
    }
    assert_eq!(metric(&server, "spanlight_kafka_lost_offsets_total").await, 0.0);
    server.kill();
    let server = brokers.serve(dir.path(), &[]);
    all_once(&server, end * RECORDS).await;
}

/// What a disk has damaged the cluster gives as it is.
#[tokio::test]
async fn a_batch_that_a_broker_has_damaged_is_passed_over_and_read_once_it_is_mended() {
    let Some(lib) = lib() else { return };
    let brokers = Brokers::start(lib, 1).await;
    let dir = tempfile::tempdir().unwrap();
    brokers.make_topic(LOGS, 1, &[]).await;
    let sent = AtomicUsize::new(0);
    for messages in [0..3, 3..10, 10..12] {
        // Each in a batch of its own.
        produce(&brokers.producer(&[("linger.ms", "500")]), messages, &sent);
    }
    let segment = brokers.dir.path().join("log-0").join(format!("{LOGS}-0")).join("00000000000000000000.log");
    let damage = || {
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&segment).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let place = bytes.windows(7).position(|seven| seven == format!("{:07}", 4 * RECORDS).as_bytes());
        let place = place.unwrap_or_else(|| bytes.windows(7).position(|seven| &seven[1..] == b"000020").unwrap());
        file.seek(SeekFrom::Start(place as u64)).unwrap();
        file.write_all(&[bytes[place] ^ 0x80]).unwrap();
    };
    damage();
    let server = brokers.serve(dir.path(), &[]);
    all_once_but(&server, 5 * RECORDS, 3 * RECORDS..10 * RECORDS).await;
    assert_eq!(super::batch::ranges(&server).await, [(LOGS.to_owned(), 0, 3, 10)]);
    assert_eq!(metric(&server, "spanlight_kafka_unreadable_offsets_total").await, 7.0);
    let id = super::batch::letters(&server).await[0]["id"].as_str().unwrap().to_owned();
    let (status, answer) = super::batch::replay(&server, &id, "").await;
    assert!(status == 400 && answer.to_string().contains("CRC32C"), "{status} {answer}");
    damage();
    let (status, answer) = super::batch::replay(&server, &id, "").await;
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(7 * RECORDS as u64)), "{answer}");
    all_once(&server, 12 * RECORDS).await;
}

/// Waits for so many rows, and checks that none of them has a number of those.
async fn all_once_but(server: &Server, count: usize, numbers: Range<usize>) {
    let found = eventually("the rest", || async {
        let found = values_of("logs", server, "number", "", "default").await;
        (found.len() >= count).then_some(found)
    })
    .await;
    assert!(found.len() == count && found.values().all(|rows| *rows == 1), "{found:?}");
    assert!(numbers.into_iter().all(|number| !found.contains_key(&format!("{number:07}"))), "{found:?}");
}

/// Python's own client and OpenTelemetry's generated messages.
#[tokio::test]
async fn what_a_python_producer_sends_in_every_compression_is_stored_once() {
    let (Some(lib), Some(python)) = (lib(), std::env::var_os("SPANLIGHT_KAFKA_PYTHON")) else {
        eprintln!("not run: SPANLIGHT_KAFKA_PYTHON names no Python with confluent-kafka");
        return;
    };
    let brokers = Brokers::start(lib, 1).await;
    brokers.make_topic("otlp_spans", 3, &[]).await;
    let dir = tempfile::tempdir().unwrap();
    let server = brokers.serve(dir.path(), &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kafka/producer.py");
    let mut producer = Command::new(python);
    producer.arg(script).args([&brokers.addresses(), "otlp_spans", "snake", "20"]);
    let sent = tokio::task::spawn_blocking(move || producer.status()).await.unwrap();
    assert!(sent.unwrap().success());
    let tenant = [("x-scope-orgid", "snake")];
    let ask = async |path: &str| {
        let (status, body) = crate::server::request(&server.http, "GET", path, &tenant, Default::default()).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let traces = eventually("all traces", || async {
        let answer = ask("/api/v1/traces?service=python&limit=1000").await;
        let traces = answer["traces"].as_array().unwrap().clone();
        (traces.len() >= 100).then_some(traces)
    })
    .await;
    assert_eq!(traces.len(), 100);
    assert!(traces.iter().all(|trace| trace["span_count"] == 3 && trace["root_name"] == "step 0"), "{traces:?}");
    assert_eq!(metric(&server, "spanlight_kafka_dead_letters_total").await, 0.0);
    assert_eq!(metric(&server, "spanlight_kafka_messages_total").await, 100.0);
}

#[tokio::test]
async fn two_processes_share_partitions_and_a_bucket_and_store_messages_once() {
    let (Some(lib), Some(program)) = (lib(), std::env::var_os("SPANLIGHT_S3_SERVER")) else {
        eprintln!("not run: SPANLIGHT_S3_SERVER names no S3 server");
        return;
    };
    let mut brokers = Brokers::start(lib, 1).await;
    brokers.make_topic(LOGS, PARTITIONS, &[]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = crate::object_store::Store::start(program.into(), &dir.path().join("s3")).await;
    let (producer, sent) = (brokers.producer(&[]), Arc::new(AtomicUsize::new(0)));
    let (messages, kills, restarts) =
        (number("SPANLIGHT_KAFKA_MESSAGES", 4_000), number("SPANLIGHT_KILLS", 6).min(20), 3);
    // Of three lives one ends by itself, two are killed.
    let lives = kills.max(1) * 3 / 2;
    let pace = messages.div_ceil(25 * lives);
    let producing = std::thread::spawn({
        let sent = Arc::clone(&sent);
        move || produce_at(Kind::Logs, &producer, 0..messages, &sent, pace)
    });
    let addresses = brokers.addresses();
    let serve = |number: usize| {
        let librdkafka = r#"{ "session.timeout.ms" = "2000", "heartbeat.interval.ms" = "300" }"#;
        let kafka = [("SPANLIGHT_KAFKA_BROKERS", addresses.as_str()), ("SPANLIGHT_KAFKA_LIBRDKAFKA", librdkafka)];
        store.serve_with(&dir.path().join(number.to_string()), &[], "false", &kafka)
    };
    let mut servers = vec![serve(0), serve(1)];
    let mut random = Pcg64::seed_from_u64(u64::from(std::process::id()));
    for life in 0..lives {
        tokio::time::sleep(Duration::from_millis(random.random_range(1_000..4_000))).await;
        if life % lives.div_ceil(restarts) == 1 {
            brokers.restart(0).await;
        }
        let number = life % 2;
        let server = servers.remove(number);
        if life % 3 == 0 {
            server.terminate();
        } else {
            server.kill();
        }
        servers.insert(number, serve(number));
    }
    tokio::task::spawn_blocking(|| producing.join().unwrap()).await.unwrap();
    // What one has in memory the other sees once it is flushed.
    for server in &servers {
        all_once(server, messages * RECORDS).await;
    }
}
