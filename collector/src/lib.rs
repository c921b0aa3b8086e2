//! How do bytes from outside become acknowledged batches?
//!
//! A request passes, in this order: admission by size, rate and memory; decompression within the same
//! limits; decoding ([`decode`]); the store, or Kafka before it. It is answered when the store has synced it, or the cluster
//! has it, never earlier.
//!
//! C1  No input makes the collector panic, recurse without bound, or hold more memory than it was granted.
//! C2  An answer is retryable exactly when retrying helps: 429 and 503, UNAVAILABLE and RESOURCE_EXHAUSTED with
//!     RetryInfo. Overload is never a 500.
//! C3  A write that was handed to the store goes on when its client leaves; before that, leaving undoes everything.
//!
//! Knows neither queries nor the UI. What is durable, and how, is the store's business, behind [`Sink`].

mod admission;
mod collector;
pub mod config;
pub mod decode;
mod error;
mod receiver;
pub mod scrape;
mod telemetry;

pub use collector::{Accepted, Collector, Encoding, Sink, engine_sink};
pub use config::{CollectorConfig, CorsOrigins};
pub use decode::remote;
pub use error::Refusal;
pub use receiver::describe_doors;
pub use receiver::kafka::{self, KafkaConfig, KafkaFront, KafkaReceiver, KafkaReport};
pub use scrape::ScrapeConfig;
pub use telemetry::{CollectorMetrics, LastReceived};
