//! How does the store run? One thread commits groups of writes, one flushes, one merges and removes blocks, and
//! any number of readers take snapshots.
//!
//! E1  A write is answered when its WAL record is synced and its rows are visible; never earlier.
//! E2  What was answered survives a crash; what was refused does not come back.
//! E3  Every acknowledged row is visible exactly once at every moment: before, while and after its flush, and after a
//!     restart. One swap of the `View` takes a generation away and puts its blocks in.
//! E4  Memory is bounded: where the flush cannot keep up, writes are refused, reads go on.
//! E5  A damaged block loses its own rows, and readers are told; everything else goes on.
//!
//! `Store` is the machine without threads, so that a simulation can drive it step by step; `Engine` puts the threads
//! around it. Not here: protocols; what the bytes of a WAL record mean is the decoder's business, given at opening.

mod config;
mod consume;
mod count;
mod delete;
mod flush;
mod maintain;
mod metrics;
mod pace;
mod publish;
mod recovery;
mod render;
mod resolution;
mod sample;
mod series;
mod share;
mod snapshot;
mod spread;
mod status;
mod store;
mod thin;
mod threads;
mod traces;
mod view;

pub use config::EngineConfig;
pub use consume::Consumption;
pub use count::{FacetScan, VolumeScan};
pub use delete::{DeleteRequest, RecordScan, Recorded};
pub use maintain::Pace;
pub use metrics::EngineMetrics;
pub use recovery::RecoveryReport;
pub(crate) use recovery::{Layout, wal_checkpoint};
pub use series::{SeriesFacts, SeriesRequest, SeriesScan};
pub(crate) use share::is_shared;
pub use snapshot::{BlockFacts, Mark, MissingBlock, Scan, ScanProgress, Snapshot};
pub use status::{EngineStatus, Shortage, SignalStatus};
pub use store::{Decoder, Store, Write};
pub use threads::Engine;
pub use traces::{Located, Narrowing, TraceFinder, TraceRequest, TraceScan};
