//! What must hold from outside? One test binary: it starts `spanlight` and talks to it as services, people and
//! crashes do.
//!
//! Not here: private items of any room; the tree's own rules (`tests/tidy.rs`).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must fail")]

mod bad_input;
mod browser;
mod command_line;
mod crash;
mod jaeger;
mod kafka;
mod object_store;
mod prometheus;
mod sdk;
mod self_telemetry;
mod server;
mod simulation;
mod span_metrics;
mod tail_sampling;
