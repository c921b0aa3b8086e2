//! How do many small blocks become few large ones?
//!
//! `pick` says which, from the manifest alone; `merge` makes one of them, portion by portion, and `series` one of metrics. Blocks
//! are merged because every look-up asks every block, because the spans of a trace that came in different flushes become
//! neighbours only here, and because rows that a deletion hides leave the disk only here.
//!
//! Sizes grow in *levels*: a block of level n+1 is made of `fan_in` blocks of level n. So a row is written once per level,
//! and there are less than `fan_in` blocks of a level in each window. Once a window is past, what is left of it is merged.
//!
//! Beside old blocks of metrics `thinning` has others made, with what stands for all of their samples.
//!
//! Not here: when to do it, and the commit (`engine`).

mod config;
mod memory;
mod merge;
mod order;
mod pick;
mod series;
mod thinning;

pub use config::CompactionConfig;
pub(crate) use memory::MergeMemory;
pub(crate) use merge::{Sieve, merge, sift, thin};
pub(crate) use pick::level;
pub use pick::{Plan, pick};
pub use thinning::{ThinPlan, thin_next};
