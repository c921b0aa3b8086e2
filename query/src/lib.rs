//! What does a question mean, and what is its answer?
//!
//! Spanlight's own HTTP API (`http`, under `/api/v1`) and what computes its answers: traces, services, logs, metrics.
//!
//! Q1  Only `exec` opens snapshots and scans. Everything else is a function over batches, or over `exec::Control`.
//! Q2  Query work runs on the executor's own threads, never on those of the network.
//! Q3  Every query has a deadline, a memory share and a row limit, and ends soon after its client has left.
//! Q4  An answer does not depend on where rows lie (memory, which block) nor on the order in which a scan finds them;
//!     the one exception is said where it is made (`metric::series`).
//!
//! Not here: how telemetry arrives (`collector`), how it is stored (`storage`), the words of the API (`query-api`).

mod attribute;
mod column;
pub mod command;
mod config;
mod cursor;
mod door;
mod error;
pub mod exec;
#[cfg(test)]
mod fixture;
pub mod http;
mod log;
mod metric;
pub mod own_work;
mod prometheus;
mod promql;
mod quantile;
pub mod rule;
mod series;
mod service;
pub mod span_metrics;
mod time;
mod trace;
mod traceql;
mod volume;

pub use config::{Config, PromoteConfig, TranslationStrategy};
pub use door::Door;
pub use error::{Error, Result};
