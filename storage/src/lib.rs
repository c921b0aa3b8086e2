//! Where does telemetry live, and how is it found again?
//!
//! Owns the data model (`model`). Knows no protocol, no query language and no network.

pub mod block;
pub mod error;
pub mod fs;
pub mod manifest;
pub mod model;
pub mod wal;
