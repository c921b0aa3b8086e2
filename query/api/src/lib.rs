//! Which words do the server and its readers share?
//!
//! Every request and response type of Spanlight's own HTTP API (`/api/v1`), serde only, built for the server and for
//! wasm alike. The UI may use nothing else of the server.
//!
//! A1  Unix times in nanoseconds are decimal strings (`…_unix_nano`): a JSON number cannot hold them in JavaScript.
//! A2  Durations in nanoseconds are numbers (`…_nano`): exact up to 104 days.
//! A3  Ids are lower-case hex.
//! A4  A reader ignores fields that it does not know; a field is added, never re-used with another meaning.
//!
//! Not here: how an answer is computed (`query`), how it is drawn (`web`); but for what both have to work out alike of one trace (`tree`).

pub mod cardinality;
pub mod compare;
pub mod deletion;
pub mod error;
pub mod fault;
pub mod letter;
pub mod log;
pub mod metric;
pub mod nanos;
pub mod otlp;
pub mod outline;
pub mod service;
pub mod span_metrics;
pub mod status;
pub mod trace;
pub mod tree;
pub mod volume;
