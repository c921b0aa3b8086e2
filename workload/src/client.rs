//! How does the workload get to an OTLP endpoint, and what did the endpoint say?
//!
//! [`run_load`] prepares a pool of requests once, then stamps each copy with fresh ids and times while it sends: the rate
//! is bounded by the endpoint, not by the model. Every retry rule of the OTLP specification is in [`retry`].
//!
//! Not here: command-line parsing and the progress bar (the binary), the model (`engine`).

mod acknowledged;
mod dispenser;
mod json;
mod load;
mod pool;
mod report;
pub mod retry;
mod stamp;
mod traffic;
mod transport;

use std::time::Duration;

pub use acknowledged::{AckFile, read_ack_file};
pub use json::to_json;
pub use load::run_load;
pub use report::{LoadReport, Progress};

use crate::config::{ConfigError, Shape, Signals};

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over cleartext HTTP/2.
    Grpc,
    /// Protobuf over HTTP/1.1.
    HttpProtobuf,
    /// JSON over HTTP/1.1.
    HttpJson,
}

/// How request bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, which every receiver must read.
    Gzip,
    /// zstd, which many can read.
    Zstd,
}

/// How fast to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// As fast as the endpoint acknowledges.
    Max,
    /// This many items (spans, log records, data points) per second, over all connections.
    PerSecond(f64),
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After exactly this many items.
    Count(u64),
    /// After this time; requests under way are finished.
    After(Duration),
}

/// Which times the items carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// They end about when they are sent.
    Now,
    /// Virtual time from this moment (ns since 1970) on, at the model's pace: the same seed sends the same bytes.
    From(u64),
}

/// Settings of a load run.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// `http://host:port`; a path is a prefix of `/v1/traces` and the others.
    pub endpoint: String,
    /// How requests travel.
    pub protocol: Protocol,
    /// What to send.
    pub signals: Signals,
    /// How fast.
    pub rate: Rate,
    /// How long.
    pub stop: Stop,
    /// Connections, each with one request under way.
    pub connections: usize,
    /// Decides the items; ids repeat when a seed is used again.
    pub seed: u64,
    /// Spans or log records per request; a metrics request is one collection of one instance.
    pub batch: usize,
    /// How bodies are compressed.
    pub compression: Compression,
    /// Sent as `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// How long one request is tried before it is given up.
    pub retry_deadline: Duration,
    /// How long one attempt may take.
    pub request_timeout: Duration,
    /// One resource per request, or several.
    pub shape: Shape,
    /// Which times the items carry.
    pub times: Times,
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:4317".to_owned(),
            protocol: Protocol::Grpc,
            signals: Signals::All,
            rate: Rate::Max,
            stop: Stop::Count(10_000),
            connections: 2,
            seed: 1,
            batch: 512,
            compression: Compression::None,
            tenant: None,
            retry_deadline: Duration::from_mins(5),
            request_timeout: Duration::from_secs(10),
            shape: Shape::Sdk,
            times: Times::Now,
        }
    }
}

/// Trace id and span id of one span.
pub type SpanKey = ([u8; 16], [u8; 8]);

/// Called with the spans of each fully acknowledged request, and whether it was sent more than once.
pub type OnAck = Box<dyn Fn(&[SpanKey], bool) + Send + Sync>;

/// Called after each request.
pub type OnProgress = Box<dyn Fn(&Progress) + Send + Sync>;

/// Who wants to hear about a run.
#[derive(Default)]
pub struct Observer {
    /// After each request.
    pub progress: Option<OnProgress>,
    /// After each request of spans that was accepted whole.
    pub acknowledged: Option<OnAck>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("progress", &self.progress.is_some())
            .field("acknowledged", &self.acknowledged.is_some())
            .finish()
    }
}

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not an address that this client can talk to.
    #[error("endpoint `{endpoint}` is not a http:// URL with a host")]
    Endpoint {
        /// As given.
        endpoint: String,
    },
    /// A setting out of range.
    #[error("{what} must be above zero")]
    Zero {
        /// The setting's name.
        what: &'static str,
    },
    /// A tenant that no header can carry.
    #[error("tenant `{tenant}` cannot be sent as a header")]
    Tenant {
        /// As given.
        tenant: String,
    },
    /// The model refused its settings.
    #[error("the workload cannot be built")]
    Model(#[from] ConfigError),
    /// The model's own output could not be read back: a bug.
    #[error("a prepared request is malformed")]
    Malformed(#[from] stamp::Malformed),
    /// A run with nothing in it.
    #[error("the workload came out empty")]
    Empty,
}
