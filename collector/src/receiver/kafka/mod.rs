//! How do messages of Kafka come in, each exactly once?
//!
//! Kafka keeps them, so they skip the log: rows go to memory with the offsets that they came from, and the commit that adds their
//! blocks says how far each partition is read (`storage::engine`, K1 to K3). Whoever reads a partition begins where the store says,
//! after a crash as after a change of the group. A group and a store belong together.
//!
//! Kafka may stand before the store, too: what the doors receive goes there (`front`).
//!
//! One thread reads, decodes and hands over; librdkafka fetches and decompresses in threads of its own.

mod assignment;
mod config;
mod front;
mod header;
mod intake;
mod letter;
mod limit;
mod message;
mod reader;
mod replay;
mod report;
mod reread;
mod scout;
mod standing;
mod topic_id;

pub use config::{Begin, KafkaConfig, OnLoss, Role, TopicConfig};
pub use front::{FrontReport, FrontTopicReport, KafkaFront};
pub use replay::ReplayedLetter;
pub use report::{KafkaReport, PartitionReport};

use crate::Collector;
use assignment::Context;
use config::Topics;
use intake::Intake;
use message::MessageBounds;
use rdkafka::ClientConfig;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use reader::Reader;
use report::KafkaMetrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::engine::Engine;
use storage::fs::Clock;

/// What librdkafka holds before it is read, by default, and how long it does not fetch once it holds so much: its own second leaves the
/// reader without messages for most of it.
const QUEUED_KILOBYTES: &str = "16384";
const QUEUED_BACKOFF_MILLIS: &str = "10";
/// What one answer of a broker has at most, by default, packed as it is, or else one batch: librdkafka unpacks it whole before it looks at its queue, and
/// zeros become 32,768 times as much with zstd (docs/adr/031-a-batch-that-cannot-be-read-is-passed-over.md). A broker a millisecond away gives 64 MB/s so.
const FETCHED_BYTES: &str = "65536";
/// What a batch of zstd may have unpacked; one that has more cannot be read.
const UNPACKED_BYTES: &str = "536870912";
/// What no expression means.
const NOT_READ: &str = "^__consumer_offsets$,^__transaction_state$";

/// The reading of Kafka, under way if it is set. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KafkaReceiver {
    engine: Arc<Engine>,
    running: Option<Arc<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    metrics: Arc<KafkaMetrics>,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KafkaReceiver {
    /// Begins to read if brokers are set, within the collector's limits. That none answers is told later, and tried again for ever;
    /// an error is one of the settings.
    pub fn start(config: &KafkaConfig, collector: &Collector, engine: &Arc<Engine>) -> Result<KafkaReceiver, String> {
        config.check()?;
        if !config.is_read() {
            return Ok(KafkaReceiver { engine: Arc::clone(engine), running: None });
        }
        let topics = Topics::new(config)?;
        let metrics = Arc::new(KafkaMetrics::default());
        let context = Context::new(Arc::clone(engine), Arc::clone(&metrics));
        let consumer = BaseConsumer::from_config_and_context(&consumer_config(config), context);
        let consumer = consumer.map_err(|error| refused(config, &error))?;
        topics.subscribe(&consumer)?;
        let stop = Arc::new(AtomicBool::new(false));
        let limits = collector.config();
        let (bytes, memory, decode) = (limits.max_request_bytes, limits.max_bytes_in_flight, limits.decode.clone());
        let bounds = MessageBounds { bytes, memory, decode };
        let intake =
            Intake { config: config.clone(), topics, bounds, clock: collector.clock(), metrics: Arc::clone(&metrics) };
        let intake = Arc::new(intake);
        let reader = Reader {
            consumer,
            asking: scout::client(config, &[])?,
            intake: Arc::clone(&intake),
            collector: collector.clone(),
            engine: Arc::clone(engine),
            clock: collector.clock(),
            metrics: Arc::clone(&metrics),
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new().name("kafka".into()).spawn(|| reader.run());
        let thread = thread.map_err(|error| format!("failed to start a thread: {error}"))?;
        tracing::info!(brokers = config.brokers, group = config.group, "reading kafka");
        let running = Running { stop, metrics, intake, clock: collector.clock(), thread: Mutex::new(Some(thread)) };
        Ok(KafkaReceiver { engine: Arc::clone(engine), running: Some(Arc::new(running)) })
    }

    /// Ends the reading: flushes what was read, leaves the group, waits for it at most so long. What is not flushed by then is read
    /// again at the next start.
    pub fn stop(&self, at_most: Duration) {
        let Some(running) = &self.running else { return };
        running.stop.store(true, Ordering::Release);
        let Some(thread) = running.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let step = Duration::from_millis(10);
        let steps = at_most.as_millis() / step.as_millis();
        for _ in 0..steps {
            if thread.is_finished() {
                break;
            }
            std::thread::sleep(step);
        }
        if !thread.is_finished() {
            tracing::warn!("kafka did not let go in time");
        } else if thread.join().is_err() {
            tracing::error!("the reading of kafka had ended in a panic");
        }
    }

    /// How it goes; `None` where Kafka is not read.
    pub fn report(&self) -> Option<KafkaReport> {
        self.running.as_ref().map(|running| running.metrics.read(running.clock.monotonic()))
    }

    /// Appends how it goes in Prometheus' text format.
    pub fn render_metrics(&self, out: &mut String) {
        if let Some(report) = self.report() {
            report.render(out);
        }
    }
}

/// Hands on what the client says. That a setting is the other client's is no news: one table is for both.
fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        _ if facility == "CONFWARN" && message.contains(" property and will be ignored") => {
            tracing::debug!(facility, message, "kafka");
        }
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, message, "kafka");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(facility, message, "kafka"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "kafka"),
    }
}

/// What a binary without the feature `kafka-tls` lacks, where settings ask for it.
fn lack(config: &KafkaConfig) -> &'static str {
    let secure = |name: &String| name.starts_with("ssl.") || name.starts_with("sasl.") || name == "security.protocol";
    if cfg!(feature = "kafka-tls") || !config.librdkafka.keys().any(secure) {
        return "";
    }
    "; this binary was built without TLS and SASL/SCRAM: build it with `--features kafka-tls`"
}

/// What is usual here, by each of its names, unless the settings say something else.
type Usual<'a> = (&'a [&'a str], &'a str);

/// Whether librdkafka takes the settings; connects to nothing.
fn check_client(config: &KafkaConfig) -> Result<(), String> {
    if config.is_read() {
        let mut client = consumer_config(config);
        client.remove("bootstrap.servers");
        let consumer = client.create::<BaseConsumer>().map_err(|error| refused(config, &error))?;
        Topics::new(config)?.subscribe(&consumer)?;
    }
    if config.is_front() { front::check(config) } else { Ok(()) }
}

/// Which setting the client does not take, and what this binary lacks.
fn refused(config: &KafkaConfig, error: &KafkaError) -> String {
    format!("`kafka.librdkafka`: {error}{}", lack(config))
}

fn client_config(config: &KafkaConfig, usual: &[Usual<'_>]) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("client.id", "spanlight").set("topic.metadata.refresh.interval.ms", "30000");
    let is_said = |names: &[&str]| names.iter().any(|name| config.librdkafka.contains_key(*name));
    for (names, value) in usual.iter().filter(|(names, _)| !is_said(names)) {
        names.first().map(|name| client.set(*name, *value));
    }
    for (name, value) in &config.librdkafka {
        client.set(name, value);
    }
    client.set("bootstrap.servers", &config.brokers);
    client
}

fn consumer_config(config: &KafkaConfig) -> ClientConfig {
    let usual: [Usual<'_>; 8] = [
        (&["receive.message.max.bytes"], UNPACKED_BYTES),
        (&["topic.blacklist"], NOT_READ),
        // Else what a disk has damaged is read as something else, or silently not at all.
        (&["check.crcs"], "true"),
        (&["queued.max.messages.kbytes"], QUEUED_KILOBYTES),
        // The client raises the first to the second.
        (&["fetch.max.bytes"], FETCHED_BYTES),
        (&["message.max.bytes"], FETCHED_BYTES),
        (&["fetch.queue.backoff.ms"], QUEUED_BACKOFF_MILLIS),
        (&["allow.auto.create.topics"], "false"),
    ];
    let mut client = client_config(config, &usual);
    client
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("statistics.interval.ms", "5000");
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_and_scram_are_passed_to_a_client_that_has_them_and_their_lack_is_told() {
        let settings = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "spanlight"),
            ("sasl.password", "secret"),
        ];
        let librdkafka = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = KafkaConfig { brokers: "127.0.0.1:9".into(), librdkafka, ..KafkaConfig::default() };
        let client: Result<BaseConsumer, _> = consumer_config(&config).create();
        assert_eq!(client.is_ok(), cfg!(feature = "kafka-tls"));
        assert_eq!(lack(&config).is_empty(), cfg!(feature = "kafka-tls"));
        assert_eq!(lack(&KafkaConfig::default()), "");
    }
}
