//! What does a living microservice system send, and does it arrive?
//!
//! [`Workload`] is a seeded model of a shop of ten services that emits real OTLP in virtual time. [`client`] sends its
//! requests to any OTLP endpoint as the specification tells clients to, and [`demo`] feeds them to a sink in real time.
//!
//! ```
//! use workload::{Config, Workload};
//!
//! let mut shop = Workload::new(Config { stop_after: Some(20), ..Config::default() }).expect("valid settings");
//! let mut spans = 0;
//! while let Some(batch) = shop.next_batch() {
//!     spans += if batch.signal == workload::Signal::Spans { batch.items } else { 0 };
//! }
//! assert!(spans > 100);
//! ```
//!
//! Not here: storage and queries; this crate knows only OTLP.

mod catalog;
pub mod client;
pub mod command;
mod config;
pub mod demo;
mod engine;
mod export;
mod fleet;
mod identity;
mod incident;
mod random;
#[cfg(test)]
mod reading;
mod telemetry;
mod wire;

pub use catalog::Service;
pub use config::{Config, ConfigError, EARLIEST_START, LATEST_START, MAX_REQUESTS_PER_SECOND, Shape, Signal, Signals};
pub use engine::{Workload, incidents_at};
pub use export::Batch;
pub use identity::{GENERATIONS, Identity};
pub use incident::{Incident, IncidentKind, Truth};
