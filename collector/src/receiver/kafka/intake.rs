//! What becomes of a message: rows, a dead letter, or both?
//!
//! N1  It depends on the message and the settings alone, so that what is read again is the same.
//!
//! Not here: what its bytes mean (`message`), how a letter is written (`letter`), which messages are read.

use super::config::{KafkaConfig, Topics};
use super::header;
use super::letter::{self, Letter, Place};
use super::limit::LeftOut;
use super::message::{self, Message, MessageBounds, Rows};
use super::report::{KafkaMetrics, MALFORMED, PartitionReport};
use crate::collector::shorten;
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Message as _};
use std::sync::Arc;
use storage::fs::Clock;
use storage::model::{Batch, TenantId};

/// What a dead letter becomes: an encoded value, and a cell of a column.
const LETTER_COPIES: usize = 2;
/// Bytes of a header's tenant that are looked at.
const MOST_NAMED: usize = 200;

/// What decides it.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) config: KafkaConfig,
    pub(super) topics: Topics,
    pub(super) bounds: MessageBounds,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<KafkaMetrics>,
}

/// What was read of a partition and is not given to the store yet.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) source: Option<Arc<str>>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) rows: Vec<(TenantId, Batch)>,
    /// What of its messages is not among the rows.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) told: PartitionReport,
}

impl Intake {
    /// Decodes a message into its partition's portion, and says what memory that takes.
    pub(super) fn take_in(&self, read: &BorrowedMessage<'_>, portion: &mut Portion) -> usize {
        let sent = match read.timestamp() {
            Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) if millis >= 0 => {
                Some(millis.saturating_mul(1_000_000))
            }
            _ => None,
        };
        let time = sent.unwrap_or_else(|| self.clock.now_unix_nano());
        portion.told.messages += 1;
        let Some(payload) = read.payload() else {
            portion.told.tombstones += 1;
            return 0;
        };
        portion.told.bytes += payload.len() as u64;
        let topic = self.topics.find(read.topic());
        let named = self.tenant_of(read);
        let decoded = match (topic, &named) {
            (None, _) => Err("no setting says what its topic holds".to_owned()),
            (_, Some(Err(why))) => Err(why.clone()),
            (Some(topic), _) => message::decode(Message { payload, topic: read.topic(), time }, topic, &self.bounds),
        };
        let tenant = match (&named, topic) {
            (Some(Ok(tenant)), _) => tenant.clone(),
            (_, Some(topic)) => topic.tenant.clone(),
            (_, None) => TenantId::default(),
        };
        match decoded {
            Ok(Rows { batch, rejected, message, mut held }) => {
                let rows = batch.num_rows();
                portion.told.rows += rows as u64;
                portion.told.rejected += rejected;
                if rejected > 0 {
                    let first = shorten(message.unwrap_or_default());
                    let reason = format!("{rejected} of its records were left out: {first}");
                    self.keep(read, (tenant.as_str(), sent), &reason, rows > 0, portion);
                    held += LETTER_COPIES * payload.len();
                    let (tenant, said) = (tenant.clone(), first);
                    portion.left_out.push(LeftOut { tenant, reason: MALFORMED, records: rejected, said });
                }
                if rows > 0 {
                    portion.rows.push((tenant, batch));
                }
                held
            }
            Err(reason) => {
                // Whose it is nobody knows whose header is wrong: who replays it says so.
                let tenant = if matches!(named, Some(Err(_))) { "" } else { tenant.as_str() };
                self.keep(read, (tenant, sent), &reason, false, portion);
                LETTER_COPIES * payload.len()
            }
        }
    }

    /// Keeps a message that could not be stored, or not as a whole.
    fn keep(
        &self,
        read: &BorrowedMessage<'_>,
        (tenant, sent): (&str, Option<i64>),
        reason: &str,
        partial: bool,
        portion: &mut Portion,
    ) {
        let (name, partition, offset) = (read.topic(), read.partition(), read.offset());
        if let Some(unsaid) = self.metrics.may_log(name, self.clock.monotonic()) {
            tracing::warn!(
                topic = name,
                partition,
                offset,
                reason,
                unsaid,
                "a message of kafka is kept as a dead letter"
            );
        }
        let (key, payload) = (read.key(), read.payload().unwrap_or_default());
        let time = self.clock.now_unix_nano();
        let topic_id = portion.source.as_deref().and_then(|source| source.rsplit('/').nth(1)).unwrap_or_default();
        let place = Place { topic: name, topic_id, partition, offset };
        let letter = Letter { place, end: None, sent, time, key, payload, tenant, reason, partial };
        match letter::rows(&letter, self.topics.find(name)) {
            Ok(batch) => {
                portion.told.dead_letters += 1;
                portion.rows.push((TenantId::dead_letters(), batch));
            }
            Err(what) => tracing::error!(topic = name, partition, offset, what, "a dead letter could not be written"),
        }
    }

    /// The tenant that a message's header names, if it does; an `Err` says why it may not.
    fn tenant_of(&self, read: &BorrowedMessage<'_>) -> Option<Result<TenantId, String>> {
        let value = header::find(read.headers()?, &self.config.tenant_header)??;
        // What is longer is no tenant, and is not quoted whole.
        let name = String::from_utf8_lossy(value.get(..MOST_NAMED).unwrap_or(value));
        Some(letter::tenant_of_others(&name))
    }
}
