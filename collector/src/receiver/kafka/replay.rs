//! How is a dead letter read again? By the doors' way: what it holds becomes a request, which the log makes durable, and then a
//! record beside the letter says that this was done.
//!
//! Y1  Before that the letter is in a block: one in memory is read again after a crash, and would then lie at another moment than the word of
//!     its replay.
//!
//! Not here: which letters there are, and who sees to it that one is replayed once (the API).

use super::config::Topic;
use super::message::{Encoding, Message, to_otlp};
use super::{KafkaReceiver, letter};
use crate::collector::{self, Accepted, Collector};
use serde_json::json;
use std::time::Duration;
use storage::model::{Signal, TenantId};

/// How long a letter may take to come to a block.
const SETTLE: Duration = Duration::from_secs(10);

/// A dead letter, and how it is to be read.
#[derive(Debug, Clone)]
pub struct ReplayedLetter {
    /// Its id.
    pub id: String,
    /// The topic that it came from.
    pub topic: String,
    /// The partition of that.
    pub partition: u64,
    /// Its offset there.
    pub offset: u64,
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// How it is written, by the name that settings give it.
    pub encoding: String,
    /// Whose its records are.
    pub tenant: String,
    /// When it was kept, in Unix nanoseconds.
    pub time: i64,
    /// When the message was sent.
    pub sent: i64,
    /// The message.
    pub payload: Vec<u8>,
}

impl KafkaReceiver {
    /// Stores the records of a dead letter by the collector, then the word of it. Where nothing can be stored of it, `message` says why. An `Err` says
    /// why it cannot be now; only where it is said that the word is missing, the records are there.
    pub async fn replay(&self, door: &Collector, letter: ReplayedLetter) -> Result<Accepted, String> {
        // A letter lies in the store, and what comes of it goes there, also where Kafka stands before it: who replays may look at once
        // whether it was.
        let store = door.clone().in_front(None);
        let unfit = |why: String| Ok(Accepted { message: Some(why), ..Accepted::default() });
        let (tenant, signal, request) = match read(&letter, door.config().max_request_bytes) {
            Ok(read) => read,
            Err(why) => return unfit(why),
        };
        self.settle(&letter).await?;
        let accepted = match store.accept(&tenant, signal, collector::Encoding::Protobuf, request.into()).await {
            Ok(accepted) if accepted.accepted > 0 => accepted,
            Ok(none) => return unfit(none.message.unwrap_or_else(|| "it holds no records".into())),
            Err(refusal) if refusal.retry_after().is_none() => return unfit(refusal.to_string()),
            Err(refusal) => return Err(refusal.to_string()),
        };
        let word = word(&letter, &accepted).into();
        let told = store.accept(&TenantId::dead_letters(), Signal::Logs, collector::Encoding::Json, word).await;
        told.map_err(|refusal| format!("its records are stored, but not that they are: {refusal}"))?;
        Ok(accepted)
    }

    /// Waits until the letter is in a block (Y1).
    async fn settle(&self, letter: &ReplayedLetter) -> Result<(), String> {
        let Some(engine) = self.engine() else { return Ok(()) };
        let (prefix, end) = (format!("kafka/{}/", letter.topic), format!("/{}", letter.partition));
        let is_in_memory = engine.sources(&prefix).iter().filter(|source| source.ends_with(&end)).any(|source| {
            let [stored, read] = [engine.committed_position(source), engine.position(source)];
            (stored.unwrap_or(0)..read.unwrap_or(0)).contains(&letter.offset)
        });
        if !is_in_memory {
            return Ok(());
        }
        let flushed = tokio::time::timeout(SETTLE, engine.flush()).await;
        let flushed = flushed.map_err(|_| "the letter could not be made durable in time; try again later")?;
        flushed.map_err(|error| format!("the letter could not be made durable: {error}"))
    }
}

/// The request that a letter is.
fn read(letter: &ReplayedLetter, limit: usize) -> Result<(TenantId, Signal, Vec<u8>), String> {
    let signal = Signal::from_name(&letter.signal)
        .ok_or_else(|| format!("`{}` is none of spans, logs, metrics", letter.signal))?;
    let encoding = Encoding::from_name(&letter.encoding, signal)?;
    let tenant = letter::tenant_of_others(&letter.tenant)?;
    let topic = Topic { signal, encoding, tenant: tenant.clone() };
    let message = Message { payload: &letter.payload, topic: &letter.topic, time: letter.sent };
    Ok((tenant, signal, to_otlp(message, &topic, limit)?))
}

/// The record that says so, at the letter's time, so that both go together.
fn word(letter: &ReplayedLetter, accepted: &Accepted) -> Vec<u8> {
    let text = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    let record = json!({
        "timeUnixNano": letter.time.to_string(),
        "severityNumber": 9,
        "severityText": "INFO",
        "eventName": letter::REPLAYED,
        "body": { "stringValue": format!("replayed as {}: {} records", letter.encoding, accepted.accepted) },
        "attributes": [text(letter::ID, &letter.id), text("spanlight.tenant", &letter.tenant)],
    });
    let request = json!({ "resourceLogs": [{
        "resource": { "attributes": [text("service.name", "spanlight")] },
        "scopeLogs": [{ "scope": { "name": "spanlight.kafka" }, "logRecords": [record] }],
    }] });
    request.to_string().into_bytes()
}
