//! What becomes of a message that cannot be stored? It is kept as a dead letter: a log record of a tenant of its own that holds the
//! message's bytes, where they came from, and why they could not be read.
//!
//! It is committed with the offsets that pass over it, like any row; so it is there once, and can be searched, listed and deleted as
//! log records can. Its time is that of its keeping, from which its age counts, however old the message was; what names it is the message's
//! place, which stays the same where it is read again.

use super::config::Topic;
use crate::collector::shorten;
use storage::model::attribute::{Map, MapBuilder, Value, put_value};
use storage::model::origin::{Resource, Scope};
use storage::model::{Batch, LogBatchBuilder, LogRecord, TenantId};

/// What marks a record as one.
pub(super) const EVENT_NAME: &str = "spanlight.dead_letter";
/// What marks the record of a replay.
pub(super) const REPLAYED: &str = "spanlight.dead_letter.replayed";
/// The attribute that names the letter.
pub(super) const ID: &str = "spanlight.dead_letter.id";
/// The attribute that says when the message was sent, in Unix nanoseconds.
const SENT: &str = "spanlight.message.time";

/// The attribute that says behind which offset a batch ends.
const END: &str = "spanlight.message.end";
/// The attribute that says how long its key is.
const KEY_SIZE: &str = "spanlight.message.key.size";
/// Bytes of a key that are kept: lists of letters hold what stands in attributes.
const MOST_OF_KEY: usize = 1_024;

/// A message that could not be stored, or only in part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) place: Place<'a>,
    /// The offset behind the last of the messages that it stands for, where those are a batch that cannot be read and the letter holds none of them.
    pub(super) end: Option<u64>,
    /// When the message was sent, if its producer said so.
    pub(super) sent: Option<i64>,
    /// When it is kept.
    pub(super) time: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    pub(super) tenant: &'a str,
    pub(super) reason: &'a str,
    /// Whether some of its records are stored.
    pub(super) partial: bool,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a str,
    /// What tells the topic from one that had its name.
    pub(super) topic_id: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Letter<'_> {
    /// What names the letter among all: the message's time and place.
    pub(super) fn id(&self) -> String {
        let Place { topic, topic_id, partition, offset } = self.place;
        format!("{}-{partition}-{offset}-{topic}-{topic_id}", self.sent.unwrap_or_default())
    }
}

/// The tenant of that name; an `Err` says why it has no such name, or that only Spanlight writes to it: the word of a replay is there.
pub(super) fn tenant_of_others(name: &str) -> Result<TenantId, String> {
    match TenantId::new(name) {
        Ok(tenant) if tenant.is_own() => Err(format!("the tenant `{name}` is Spanlight's own")),
        Ok(tenant) => Ok(tenant),
        Err(_) => Err(format!("`{name}` is no tenant")),
    }
}

/// The letter as rows; an `Err` is a defect of ours.
pub(super) fn rows(letter: &Letter<'_>, topic: Option<&Topic>) -> Result<Batch, String> {
    let mut attributes = MapBuilder::default();
    attributes.push("messaging.system", Value::String("kafka"));
    attributes.push("messaging.destination.name", Value::String(letter.place.topic));
    attributes.push("messaging.destination.partition.id", Value::Int(letter.place.partition.into()));
    attributes.push("messaging.kafka.offset", Value::Int(letter.place.offset));
    if let Some(key) = letter.key {
        attributes.push("messaging.kafka.message.key", Value::Bytes(key.get(..MOST_OF_KEY).unwrap_or(key)));
        attributes.push(KEY_SIZE, Value::Int(key.len().try_into().unwrap_or(i64::MAX)));
    }
    if let Some(end) = letter.end {
        attributes.push(END, Value::Int(end.try_into().unwrap_or(i64::MAX)));
    }
    attributes.push("messaging.message.body.size", Value::Int(letter.payload.len().try_into().unwrap_or(i64::MAX)));
    attributes.push(ID, Value::String(&letter.id()));
    if let Some(sent) = letter.sent {
        attributes.push(SENT, Value::Int(sent));
    }
    attributes.push("spanlight.tenant", Value::String(letter.tenant));
    attributes.push("spanlight.reason", Value::String(&shorten(letter.reason.to_owned())));
    attributes.push("spanlight.partial", Value::Bool(letter.partial));
    if let Some(topic) = topic {
        attributes.push("spanlight.signal", Value::String(topic.signal.as_str()));
        attributes.push("spanlight.encoding", Value::String(topic.encoding.name()));
    }
    let attributes = attributes.finish();
    let mut body = Vec::with_capacity(letter.payload.len() + 8);
    put_value(&mut body, Value::Bytes(letter.payload));
    batch(&LogRecord {
        time: letter.time,
        severity_number: 13,
        severity_text: "WARN",
        body: &body,
        event_name: EVENT_NAME,
        attributes: Map::new(&attributes),
        ..LogRecord::default()
    })
}

/// The word that a letter was replayed, at the letter's time, so that both go together.
pub(super) fn word(id: &str, time: i64, tenant: &TenantId, what: &str) -> Result<Batch, String> {
    let mut attributes = MapBuilder::default();
    attributes.push(ID, Value::String(id));
    attributes.push("spanlight.tenant", Value::String(tenant.as_str()));
    let attributes = attributes.finish();
    let mut body = Vec::new();
    put_value(&mut body, Value::String(what));
    batch(&LogRecord {
        time,
        severity_number: 9,
        severity_text: "INFO",
        body: &body,
        event_name: REPLAYED,
        attributes: Map::new(&attributes),
        ..LogRecord::default()
    })
}

fn batch(record: &LogRecord<'_>) -> Result<Batch, String> {
    let mut resource = MapBuilder::default();
    resource.push("service.name", Value::String("spanlight"));
    let resource = resource.finish();
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope { name: "spanlight.kafka", ..Scope::default() });
    builder.append(record).map_err(|error| error.to_string())?;
    builder.finish().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_little_larger_than_its_message_however_long_its_key_and_its_reason_are() {
        let (key, reason) = (vec![b'k'; 900_000], "r".repeat(900_000));
        let place = Place { topic: "lines", topic_id: "id", partition: 0, offset: 7 };
        let key = Some(key.as_slice());
        let letter = Letter {
            place,
            end: None,
            sent: None,
            time: 1,
            key,
            payload: b"\xff",
            tenant: "",
            reason: &reason,
            partial: false,
        };
        let batch = rows(&letter, None).unwrap();
        assert!(batch.memory_bytes() < 64 << 10, "{}", batch.memory_bytes());
    }
}
