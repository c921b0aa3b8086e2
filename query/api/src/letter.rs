//! What is told of messages that could not be read? `GET /api/v1/dead-letters`, and the word of a replay.

use crate::nanos;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The tenant whose dead letters Kafka's are.
pub const TENANT: &str = "dead-letters";

/// The answer of `GET /api/v1/dead-letters`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeadLettersResponse {
    /// The letters, newest first.
    pub letters: Vec<DeadLetter>,
    /// Whether there are older ones that the limit cut off.
    pub truncated: bool,
    /// What the answer cost.
    pub stats: Stats,
}

/// A message that could not be read, without its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What names it in `/dead-letters/{id}`.
    pub id: String,
    /// When it was kept.
    #[serde(with = "nanos")]
    pub time_unix_nano: i64,
    /// When its message was sent.
    #[serde(with = "nanos")]
    pub sent_unix_nano: i64,
    /// Its topic.
    pub topic: String,
    /// The partition of that.
    pub partition: u64,
    /// Its offset there.
    pub offset: u64,
    /// The offset behind the last message that it stands for, where that is a batch that cannot be read: the topic has it, the letter has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Why it could not be read, or what of it could not.
    pub reason: String,
    /// Whose its records would be.
    pub tenant: String,
    /// `spans`, `logs` or `metrics`; empty where no topic said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signal: String,
    /// How it was taken to be written; empty where no topic said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub encoding: String,
    /// Its bytes; absent for letters of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether some of its records are stored: it cannot be replayed then.
    pub partial: bool,
    /// Whether it was replayed.
    pub replayed: bool,
}

/// The answer of `POST /api/v1/dead-letters/{id}/replay`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Records stored.
    pub accepted: u64,
    /// Records left out.
    pub rejected: u64,
    /// Why they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
