//! Where does telemetry live, and how is it found again?
//!
//! Owns the data model (`model`). Knows no protocol, no query language, and of the network only its object store (`object`).

pub mod block;
pub mod compaction;
mod doubled;
pub mod engine;
pub mod error;
pub mod fs;
pub mod hashed;
mod index;
pub mod inspect;
pub mod manifest;
mod memtable;
pub mod metric;
pub mod model;
pub mod object;
pub mod re2;
pub mod repair;
pub mod retention;
pub mod sampling;
pub mod scan;
pub mod trace;
pub mod wal;
mod zstandard;
