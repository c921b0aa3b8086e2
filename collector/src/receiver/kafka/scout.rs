//! Which batch can the client not read, and where does it end?
//!
//! The client stays before a batch that it cannot unpack, whose check sum is wrong or whose format it does not know, and says neither where that
//! ends nor of which partition it is. So another client, which belongs to no group, is set to one offset after the other: the cluster gives it the
//! whole batch that an offset lies in, and it says which batch that is, or reads on.
//!
//! E1  A range is one batch, to its last offset, or less: its first and its last offset were both refused for the same batch, and what comes behind
//!     was not. Clients that had seen nothing before say so of the last and of what comes behind.
//! E2  A batch is refused by a client that may unpack at least as much as is usual, however little the settings allow.
//! E3  Anything else, such as no answer or another error, says nothing of a batch: an `Err`, and nothing is found.
//!
//! Not here: what is done with what was found (`standing`).

use super::assignment::{Key, list_of};
use super::config::KafkaConfig;
use super::{UNPACKED_BYTES, consumer_config};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::fs::Clock;

/// How long the cluster may take to answer where the partition ends, and to give what is at an offset.
const ANSWER: Duration = Duration::from_secs(5);
/// How long all questions about a batch may take: meanwhile nothing is read.
const SEARCH: Duration = Duration::from_secs(30);
/// How long is waited for a word.
const WAIT: Duration = Duration::from_millis(20);

/// The limit of what a batch of zstd may unpack to, by its name.
pub(super) const LIMIT: &str = "receive.message.max.bytes";

/// How the client says that a batch cannot be read: what comes first, and what comes before the batch's number.
const REFUSALS: [(&str, &str); 4] = [
    ("Decompression (codec ", " of message at "),
    ("MessageSet at offset ", ""),
    ("Message at offset ", ""),
    ("Unsupported Message(Set) MagicByte ", " at offset "),
];

/// A batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its number: its first offset, in formats of before Kafka 0.11 its last.
    pub(super) batch: u64,
    /// What the client said.
    pub(super) said: String,
}

/// The batch that a word of the client refuses, if it does.
pub(super) fn refused(code: Option<RDKafkaErrorCode>, said: &str) -> Option<Refused> {
    let codes = [RDKafkaErrorCode::BadCompression, RDKafkaErrorCode::BadMessage, RDKafkaErrorCode::NotImplemented];
    code.filter(|code| codes.contains(code))?;
    let number = REFUSALS.iter().find_map(|(first, before)| said.strip_prefix(first)?.split_once(before))?.1;
    let digits = number.split(|letter: char| !letter.is_ascii_digit()).next()?;
    Some(Refused { batch: digits.parse().ok()?, said: said.to_owned() })
}

/// Whether a refusal is of a batch that zstd has packed, which the limit may be too small for.
pub(super) fn is_zstd(said: &str) -> bool {
    said.starts_with("Decompression (codec 0x4)")
}

/// Keeps what the client said last.
pub(super) struct Ear(Mutex<String>);

impl Ear {
    /// What was said of the error that was just given.
    pub(super) fn heard(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Ear {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // What is wrong with the cluster the reading client says, too.
        tracing::debug!(facility, message, "kafka");
    }

    fn error(&self, _: KafkaError, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
    }
}

impl ConsumerContext for Ear {}

/// What is at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What can be read as it is set, or nothing.
    Readable,
    /// What can be read, but for the limit that is set: it is that, and less than is usual.
    BeyondLimit(u64),
    /// A batch that cannot be read: the offsets from there on.
    Batch(Range<u64>, Refused),
}

/// How batches of a cluster are looked at.
pub(super) struct Scout<'a> {
    config: &'a KafkaConfig,
    /// The limit that is set, where that is less than is usual.
    limit: Option<u64>,
    clock: Arc<dyn Clock>,
    /// When it must have found out.
    until: Duration,
}

/// A client of its own.
struct Client<'a> {
    consumer: BaseConsumer<Ear>,
    scout: &'a Scout<'a>,
}

impl<'a> Scout<'a> {
    /// One that may look for a while.
    pub(super) fn new(config: &'a KafkaConfig, clock: &Arc<dyn Clock>) -> Scout<'a> {
        let limit = config.librdkafka.get(LIMIT).and_then(|said| said.parse::<u64>().ok());
        let limit = limit.filter(|limit| UNPACKED_BYTES.parse().is_ok_and(|usual: u64| *limit < usual));
        Scout { config, limit, clock: Arc::clone(clock), until: clock.monotonic() + SEARCH }
    }

    /// What is at an offset. An `Err` says why that is not known.
    pub(super) fn find(&self, key: &Key, at: u64) -> Result<Found, String> {
        if let Some(limit) = self.limit {
            if self.client(&[])?.look(key, at)?.is_none() {
                return Ok(Found::Readable);
            }
            if self.generous()?.look(key, at)?.is_none() {
                return Ok(Found::BeyondLimit(limit));
            }
        }
        let client = self.generous()?;
        let Some(refused) = client.look(key, at)? else { return Ok(Found::Readable) };
        let ends = client.consumer.fetch_watermarks(&key.0, key.1, ANSWER).map_err(|error| error.to_string())?;
        let end = u64::try_from(ends.1).unwrap_or(0);
        let is_inside = |client: &Client<'_>, offset: u64| {
            let found = if offset < end { client.look(key, offset)? } else { None };
            Ok::<bool, String>(found.is_some_and(|other| other.batch == refused.batch))
        };
        let (mut inside, mut step) = (at, 1);
        let mut behind = loop {
            let next = inside.saturating_add(step).min(end.max(at + 1));
            if !is_inside(&client, next)? {
                break next;
            }
            (inside, step) = (next, step.saturating_mul(2));
        };
        while behind - inside > 1 {
            let middle = inside + (behind - inside) / 2;
            *(if is_inside(&client, middle)? { &mut inside } else { &mut behind }) = middle;
        }
        // What a client had fetched for another offset says nothing here (E1).
        if !is_inside(&self.generous()?, inside)? || is_inside(&self.generous()?, behind)? {
            return Err("the cluster gives now this batch at an offset, now another".into());
        }
        Ok(Found::Batch(at..behind, refused))
    }

    /// A client that may unpack what is usual, or what is set if that is more (E2).
    fn generous(&self) -> Result<Client<'_>, String> {
        let usual = [(LIMIT, UNPACKED_BYTES)];
        self.client(if self.limit.is_some() { &usual } else { &[] })
    }

    fn client(&self, more: &[(&str, &str)]) -> Result<Client<'_>, String> {
        // Messages of transactions that were given up lie in batches, too.
        let own = [("isolation.level", "read_uncommitted"), ("fetch.error.backoff.ms", "10")];
        Ok(Client { consumer: client(self.config, &[&own, more].concat())?, scout: self })
    }
}

impl Client<'_> {
    /// What is wrong with the batch at an offset, if anything is.
    fn look(&self, key: &Key, at: u64) -> Result<Option<Refused>, String> {
        let list = list_of([(key, at)]).map_err(|error| error.to_string())?;
        self.consumer.assign(&list).map_err(|error| error.to_string())?;
        let clock = &self.scout.clock;
        let until = self.scout.until.min(clock.monotonic() + ANSWER);
        let mut said = "the cluster does not answer".to_owned();
        while clock.monotonic() < until {
            match self.consumer.poll(WAIT) {
                Some(Ok(message)) if u64::try_from(message.offset()).is_ok_and(|offset| offset >= at) => {
                    return Ok(None);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) => {
                    let reason = self.consumer.context().heard();
                    if let Some(refused) = refused(error.rdkafka_error_code(), &reason) {
                        return Ok(Some(refused));
                    }
                    said = format!("{error}: {reason}");
                }
                Some(Ok(_)) | None => {}
            }
        }
        Err(said)
    }
}

/// A client of its own, in no group, that says where a partition ends; with further settings.
pub(super) fn client(config: &KafkaConfig, more: &[(&str, &str)]) -> Result<BaseConsumer<Ear>, String> {
    let mut settings = consumer_config(config);
    settings.set("enable.partition.eof", "true").set("statistics.interval.ms", "0").set("fetch.wait.max.ms", "50");
    for (name, value) in more {
        settings.set(*name, *value);
    }
    BaseConsumer::from_config_and_context(&settings, Ear(Mutex::default())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e3_only_a_word_that_names_a_batch_refuses_it() {
        let (compression, message) = (RDKafkaErrorCode::BadCompression, RDKafkaErrorCode::BadMessage);
        let batch = |code, said: &str| refused(Some(code), said).map(|refused| refused.batch);
        let unpacked =
            "Decompression (codec 0x4) of message at 17 of 9000 bytes failed: Local: Invalid compressed data";
        assert_eq!(batch(compression, unpacked), Some(17));
        assert_eq!(batch(message, "MessageSet at offset 20 (90 bytes) failed CRC32C check (original"), Some(20));
        assert_eq!(batch(message, "Message at offset 3 (90 bytes) failed CRC32 check (original"), Some(3));
        let magic = "Unsupported Message(Set) MagicByte 3 at offset 44";
        assert_eq!(batch(RDKafkaErrorCode::NotImplemented, magic), Some(44));
        for (code, said) in [
            (RDKafkaErrorCode::BrokerTransportFailure, unpacked),
            (message, "Message at relative offset 3 (90 bytes) failed CRC32 check"),
            (
                message,
                "kafka:9092/1: Receive failed: Invalid response size 9 (0..8): increase receive.message.max.bytes",
            ),
            (message, "MessageSet at offset -1 (90 bytes) failed CRC32C check"),
            (message, ""),
        ] {
            assert_eq!(batch(code, said), None, "{said}");
        }
        assert_eq!(refused(None, unpacked), None);
    }
}
