//! How does Kafka stand before the store? What the doors receive goes to its topics, and is acknowledged on the cluster's word.
//!
//! F1  A request is acknowledged when all replicas in sync have all of its messages. Where one is not confirmed in time, or refused, its
//!     sender is told to send it again; what was confirmed of it is then there twice, of which spans are one span again.
//! F2  The client retries by itself, and the cluster knows a message that it has had (idempotence): it is there once, and in order.
//! F3  No more waits than the doors have reserved: a request holds its memory until it is confirmed or given up.
//! F4  A message names its tenant in a header, and bears the time of its receipt. What is too large is cut (`decode::cut`).
//!
//! Not here: the reading, which is the other end's.

use super::config::KafkaConfig;
use super::report::Hush;
use super::{Usual, client_config, log, refused};
use crate::decode::cut::Mould;
use crate::error::Refusal;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::Thread;
use std::time::Duration;
use storage::fs::Clock;
use storage::model::{Signal, TenantId};
use tokio::sync::{oneshot, watch};

/// librdkafka's own; brokers take 48 KB more than that.
const MAX_MESSAGE_BYTES: usize = 1_000_000;
/// What a message has beside its payload: the header and what brokers write around it.
const AROUND_BYTES: usize = 1 << 10;
/// How long the cluster may take to confirm: less than the ten seconds that SDKs wait, so that senders hear why.
const CONFIRM_MILLIS: &str = "8000";
/// How long a broker that is away is not asked again, at most.
const RECONNECT_MILLIS: &str = "2000";
/// How long a request waits for the first word of the cluster.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How often partitions are counted anew, and how often while nothing is known.
const COUNT_EVERY: Duration = Duration::from_secs(30);
const COUNT_AGAIN: Duration = Duration::from_millis(500);

/// Kafka before the store. Cheap to clone.
#[derive(Clone)]
pub struct KafkaFront(Arc<Shared>);

type Producer = ThreadedProducer<Deliveries>;

struct Shared {
    config: ClientConfig,
    header: String,
    /// By signal.
    topics: [Topic; 3],
    message_bytes: usize,
    /// Made anew where it has failed for good.
    producer: RwLock<Arc<Producer>>,
    /// Partitions of each topic; 0 where that is not known yet.
    partitions: watch::Sender<[u32; 3]>,
    counting: Thread,
    /// What went wrong last, if nothing was confirmed since.
    trouble: Mutex<Option<String>>,
    hush: Hush,
    clock: Arc<dyn Clock>,
}

/// How it goes with what the doors give to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontReport {
    /// What went wrong last, if nothing was confirmed since.
    pub trouble: Option<String>,
    /// Messages that are not confirmed yet.
    pub in_flight: u64,
    /// By topic.
    pub topics: Vec<FrontTopicReport>,
}

/// What went to a topic since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontTopicReport {
    /// Its name.
    pub topic: String,
    /// Messages of requests that were confirmed.
    pub messages: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Requests that were not confirmed as a whole.
    pub unconfirmed: u64,
}

struct Topic {
    signal: Signal,
    name: String,
    messages: AtomicU64,
    bytes: AtomicU64,
    unconfirmed: AtomicU64,
}

/// Tells each message's sender what became of it.
struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka's client");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Self::DeliveryOpaque) {
        let result = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // Who has gone does not ask any more.
        drop(told.send(result));
    }
}

impl fmt::Debug for KafkaFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.0.topics.each_ref().map(|topic| &topic.name);
        f.debug_struct("KafkaFront").field("topics", &topics).finish_non_exhaustive()
    }
}

impl KafkaFront {
    /// Makes the client if the settings want Kafka before the store; `bytes` may wait at a time. That no broker answers is told to
    /// senders; an error is one of the settings.
    pub fn start(config: &KafkaConfig, bytes: usize, clock: Arc<dyn Clock>) -> Result<Option<KafkaFront>, String> {
        config.check()?;
        if !config.is_front() {
            return Ok(None);
        }
        let [spans, logs, metrics] = config.front_topics()?;
        let topic = |signal, name| Topic {
            signal,
            name,
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            unconfirmed: AtomicU64::new(0),
        };
        let topics = [topic(Signal::Spans, spans), topic(Signal::Logs, logs), topic(Signal::Metrics, metrics)];
        let client = producer_config(config, bytes);
        let message_bytes = message_bytes(config, &client)?;
        let producer = producer(&client).map_err(|error| refused(config, &error))?;
        let (give, take) = std::sync::mpsc::channel();
        let counting = std::thread::Builder::new().name("kafka-front".into());
        let counting = counting.spawn(move || take.recv().into_iter().for_each(|front| count(&front)));
        let counting = counting.map_err(|error| format!("failed to start a thread: {error}"))?;
        let shared = Arc::new(Shared {
            config: client,
            header: config.tenant_header.clone(),
            topics,
            message_bytes,
            producer: RwLock::new(Arc::new(producer)),
            partitions: watch::Sender::new([0; 3]),
            counting: counting.thread().clone(),
            trouble: Mutex::default(),
            hush: Hush::default(),
            clock,
        });
        give.send(Arc::downgrade(&shared)).map_err(|_| "a thread ended early")?;
        tracing::info!(brokers = config.brokers, "what the doors receive goes to kafka");
        Ok(Some(KafkaFront(shared)))
    }

    /// How messages of a signal are made now. Waits a little while where the cluster has not said anything yet.
    pub(crate) async fn mould(&self, signal: Signal) -> Result<Mould, Refusal> {
        let known =
            |all: &[u32; 3]| Signal::ALL.iter().zip(all).find(|(of, _)| **of == signal).map_or(0, |(_, of)| *of);
        let mut partitions = known(&self.0.partitions.borrow());
        if partitions == 0 {
            let mut told = self.0.partitions.subscribe();
            let word = tokio::time::timeout(FIRST_WORD, told.wait_for(|all| known(all) > 0)).await;
            partitions = word.ok().and_then(Result::ok).map_or(0, |all| known(&all));
        }
        if partitions == 0 {
            let topic = self.0.topic(signal);
            topic.unconfirmed.fetch_add(1, Ordering::Relaxed);
            self.0.trouble(Some(format!("the cluster has not told of the topic `{}`", topic.name)));
            return Err(Refusal::Unconfirmed);
        }
        let around = AROUND_BYTES + self.0.header.len();
        Ok(Mould { partitions, bytes: self.0.message_bytes.saturating_sub(around) })
    }

    /// Resolves when the cluster has all messages, or one of them is given up.
    pub(crate) async fn send(
        &self,
        tenant: &TenantId,
        signal: Signal,
        received_at: i64,
        messages: Vec<(u32, Vec<u8>)>,
    ) -> Result<(), Refusal> {
        let topic = self.0.topic(signal);
        let (count, bytes) = (messages.len(), messages.iter().map(|(_, payload)| payload.len()).sum::<usize>());
        let producer = Arc::clone(&self.0.producer.read().unwrap_or_else(PoisonError::into_inner));
        let (waiting, mut failed) = self.0.hand_over(&producer, topic, tenant, received_at, messages);
        // To the end, whatever becomes of the first: what waits holds memory (F3).
        for told in waiting {
            let told = told.await.unwrap_or(Err(KafkaError::Canceled));
            failed = failed.or(told.err());
        }
        let Some(error) = failed else {
            topic.messages.fetch_add(count as u64, Ordering::Relaxed);
            topic.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            self.0.trouble(None);
            return Ok(());
        };
        topic.unconfirmed.fetch_add(1, Ordering::Relaxed);
        Err(self.0.complain(&error, topic, &producer))
    }

    /// Waits until nothing is on its way any more, at most so long.
    pub fn close(&self, at_most: Duration) {
        let producer = Arc::clone(&self.0.producer.read().unwrap_or_else(PoisonError::into_inner));
        if producer.flush(at_most).is_err() {
            tracing::warn!(messages = producer.in_flight_count(), "kafka did not confirm all messages in time");
        }
    }

    /// What there is to tell.
    pub(crate) fn report(&self) -> FrontReport {
        let topic = |topic: &Topic| FrontTopicReport {
            topic: topic.name.clone(),
            messages: topic.messages.load(Ordering::Relaxed),
            bytes: topic.bytes.load(Ordering::Relaxed),
            unconfirmed: topic.unconfirmed.load(Ordering::Relaxed),
        };
        let in_flight = self.0.producer.read().unwrap_or_else(PoisonError::into_inner).in_flight_count();
        FrontReport {
            trouble: self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            in_flight: u64::try_from(in_flight).unwrap_or_default(),
            topics: self.0.topics.iter().map(topic).collect(),
        }
    }
}

type Read = fn(&FrontTopicReport) -> u64;

impl FrontReport {
    /// Appends the counters in Prometheus' text format.
    pub(crate) fn render(&self, out: &mut String) {
        let families: [(&str, &str, Read); 3] = [
            ("messages_total", "Messages of requests that the cluster confirmed.", |topic| topic.messages),
            ("bytes_total", "Bytes of those messages.", |topic| topic.bytes),
            ("unconfirmed_total", "Requests that the cluster did not confirm as a whole.", |topic| topic.unconfirmed),
        ];
        for (name, help, read) in families {
            let name = format!("spanlight_kafka_front_{name}");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
            for topic in &self.topics {
                let label = topic.topic.replace(['\\', '"', '\n'], "_");
                out.push_str(&format!("{name}{{topic=\"{label}\"}} {}\n", read(topic)));
            }
        }
        let (name, value) = ("spanlight_kafka_front_messages_in_flight", self.in_flight);
        out.push_str(&format!("# HELP {name} Messages not confirmed yet.\n# TYPE {name} gauge\n{name} {value}\n"));
    }
}

impl Shared {
    fn trouble(&self, what: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn topic(&self, signal: Signal) -> &Topic {
        let [spans, logs, metrics] = &self.topics;
        match signal {
            Signal::Spans => spans,
            Signal::Logs => logs,
            Signal::Metrics => metrics,
        }
    }

    /// Gives messages to the client, up to the first that it does not take.
    fn hand_over(
        &self,
        producer: &Producer,
        topic: &Topic,
        tenant: &TenantId,
        received_at: i64,
        messages: Vec<(u32, Vec<u8>)>,
    ) -> (Vec<oneshot::Receiver<Result<(), KafkaError>>>, Option<KafkaError>) {
        let mut waiting = Vec::with_capacity(messages.len());
        for (partition, payload) in messages {
            let (tell, told) = oneshot::channel();
            let header = Header { key: &self.header, value: Some(tenant.as_str()) };
            let record: BaseRecord<'_, [u8], [u8], _> = BaseRecord::with_opaque_to(&topic.name, Box::new(tell))
                .partition(i32::try_from(partition).unwrap_or(i32::MAX))
                .payload(payload.as_slice())
                .timestamp(received_at / 1_000_000)
                .headers(OwnedHeaders::new_with_capacity(1).insert(header));
            match producer.send(record) {
                Ok(()) => waiting.push(told),
                Err((error, _)) => return (waiting, Some(error)),
            }
        }
        (waiting, None)
    }

    /// Says what went wrong, and does what there is to do about it.
    fn complain(&self, error: &KafkaError, topic: &Topic, producer: &Arc<Producer>) -> Refusal {
        let code = error.rdkafka_error_code();
        self.trouble(Some(error.to_string()));
        if code == Some(RDKafkaErrorCode::QueueFull) {
            return Refusal::Memory;
        }
        if let Some(unsaid) = self.hush.may_log(topic.signal.as_str(), self.clock.monotonic()) {
            let topic = &topic.name;
            match code {
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => tracing::error!(
                    topic,
                    unsaid,
                    %error,
                    "kafka refuses messages for their size: `message.max.bytes` of `kafka.librdkafka` must not be above the topic's \
                     `max.message.bytes`"
                ),
                _ => tracing::warn!(topic, unsaid, %error, "kafka has not confirmed a request; its sender is told so"),
            }
        }
        if let Some((code, reason)) = producer.client().fatal_error() {
            tracing::error!(%code, reason, "the client of kafka has failed for good, and is made anew");
            self.renew(producer);
        }
        // Perhaps there are fewer partitions than before.
        self.counting.unpark();
        Refusal::Unconfirmed
    }

    /// Puts another client in the place of one that has failed, unless somebody has.
    fn renew(&self, failed: &Arc<Producer>) {
        let mut current = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, failed) {
            return;
        }
        match producer(&self.config) {
            Ok(made) => *current = Arc::new(made),
            Err(error) => tracing::error!(%error, "failed to make a client of kafka"),
        }
    }

    /// Counts the partitions of the topics.
    fn count(&self) {
        let producer = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let mut counts = *self.partitions.borrow();
        for (topic, count) in self.topics.iter().zip(&mut counts) {
            let found = match producer.client().fetch_metadata(Some(&topic.name), FIRST_WORD) {
                Err(error) => Err(error.to_string()),
                Ok(metadata) => match metadata.topics().first() {
                    Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
                        Ok(found.partitions().len())
                    }
                    _ => Err("the cluster does not know it".to_owned()),
                },
            };
            match found {
                Ok(found) => *count = u32::try_from(found).unwrap_or(u32::MAX),
                Err(what) => {
                    if self.hush.may_log("count", self.clock.monotonic()).is_some() {
                        tracing::warn!(topic = topic.name, what, "failed to look at a topic of kafka");
                    }
                }
            }
        }
        self.partitions.send_replace(counts);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It finds nobody, and ends.
        self.counting.unpark();
    }
}

/// Counts partitions until nobody wants them any more.
fn count(front: &Weak<Shared>) {
    while let Some(shared) = front.upgrade() {
        shared.count();
        let all_known = shared.partitions.borrow().iter().all(|count| *count > 0);
        drop(shared);
        std::thread::park_timeout(if all_known { COUNT_EVERY } else { COUNT_AGAIN });
    }
}

fn producer(config: &ClientConfig) -> Result<Producer, KafkaError> {
    Producer::from_config_and_context(config, Deliveries)
}

/// How long a message may be; an `Err` says that none would be long enough.
fn message_bytes(config: &KafkaConfig, client: &ClientConfig) -> Result<usize, String> {
    let bytes = match client.get("message.max.bytes") {
        Some(text) => text.parse().map_err(|_| format!("`message.max.bytes` = `{text}` is no number"))?,
        None => MAX_MESSAGE_BYTES,
    };
    let least = 4 * (AROUND_BYTES + config.tenant_header.len());
    if bytes < least {
        return Err(format!("`message.max.bytes` = {bytes} of `kafka.librdkafka` is less than {least}"));
    }
    Ok(bytes)
}

/// Whether a producer takes the settings; connects to nothing.
pub(super) fn check(config: &KafkaConfig) -> Result<(), String> {
    let mut client = producer_config(config, 1 << 20);
    client.remove("bootstrap.servers");
    client.create::<BaseProducer>().map_err(|error| refused(config, &error))?;
    message_bytes(config, &client).map(drop)
}

fn producer_config(config: &KafkaConfig, bytes: usize) -> ClientConfig {
    let usual: [Usual<'_>; 3] = [
        (&["compression.codec", "compression.type"], "lz4"),
        (&["message.timeout.ms", "delivery.timeout.ms"], CONFIRM_MILLIS),
        (&["reconnect.backoff.max.ms"], RECONNECT_MILLIS),
    ];
    let mut client = client_config(config, &usual);
    let kilobytes = (bytes >> 10).clamp(1, i32::MAX.unsigned_abs() as usize);
    client
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", kilobytes.to_string());
    client
}
