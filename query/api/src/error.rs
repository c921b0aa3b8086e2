//! What does a caller learn when a request fails? Whose fault it is, what happened, and where.

use serde::{Deserialize, Serialize};

/// The body of every answer whose HTTP status is 400 or above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error itself.
    pub error: Error,
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Whose fault it is; decides the HTTP status.
    pub class: Class,
    /// What happened, in one sentence, safe to show.
    pub message: String,
    /// The parameter, field or position that the message speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<String>,
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The request is malformed (400).
    Caller,
    /// What was asked for does not exist (404).
    NotFound,
    /// The request is fine but goes past a limit: rows, bytes, time (422; 413 for bodies; 429 for rates).
    Limit,
    /// The server cannot serve now; the same request may succeed later (503).
    Unavailable,
    /// Stored data is damaged (500).
    Corrupt,
    /// A defect of Spanlight (500).
    Bug,
}
