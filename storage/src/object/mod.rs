//! How does a part of the data directory lie in a bucket of an S3-compatible store, where other processes see it too?
//!
//! The folders of [`SHARED`] are in the bucket, all others on the disk. `Mounted` shows both as one [`Filesystem`], so that blocks
//! and the manifest are written and read by the code that does so on a disk alone.
//!
//! O1  An object is created once, as a whole, and never changed; a key that is taken is told from any other failure.
//! O2  What is in the making lies on the disk; to rename it into a shared folder is to upload it. The rename returns once the
//!     bucket lists every file with its length, and the disk keeps them until then.
//! O3  After an error of a creation the object is there, is not, or appears later; after one of a removal likewise.
//! O4  Blocks are read by ranges, in chunks, through a cache on the disk whose size has a limit (`cache`).
//! O5  Every request has an end: by a time limit, and by a bounded number of tries with jittered pauses (`s3`).
//! O6  Whether the bucket answers, and since when it does not, can be asked at any time without asking the bucket.
//!
//! Not here: who may commit what (`manifest`, `engine`).

mod cache;
mod mounted;
mod s3;
mod settings;
mod simulated;
mod watched;

pub use s3::connect;
pub use settings::ObjectStoreConfig;
pub use simulated::{BucketFaults, SimulatedBucket};
pub use watched::{BucketCounters, BucketHealth};

pub(crate) use mounted::Mounted;

use crate::fs::Entry;
use bytes::Bytes;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The folders of the data directory that are in the bucket.
pub(crate) const SHARED: [&str; 3] = ["blocks", "manifest", "deletions"];
/// A name that ends so is in the making, and on the disk.
const IN_THE_MAKING: &str = ".tmp";

/// What a process may do in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Take rows, write blocks, merge and delete them.
    Writer,
    /// Show what others have written.
    Reader,
}

/// A bucket to open a store on.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where the objects are.
    pub bucket: Arc<dyn Bucket>,
    /// What this process does with them.
    pub role: Role,
    /// How many bytes of blocks the disk keeps for reading.
    pub cache_bytes: u64,
}

/// Which bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// All of them; for small objects.
    Whole,
    /// The last so many, or all if there are fewer.
    Last(u64),
    /// From and to, within the object.
    Range(Range<u64>),
}

/// Some bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The bytes.
    pub bytes: Bytes,
    /// Where they begin.
    pub start: u64,
    /// Length of the whole object.
    pub len: u64,
}

/// Hands out the parts of a large object, `None` after the last.
pub type Parts<'a> = &'a mut dyn FnMut() -> io::Result<Option<Bytes>>;

/// Where objects are. Calls block; each has an end (O5). Keys have slashes between their parts.
pub trait Bucket: Send + Sync + Debug {
    /// Names the place, so that a data directory finds out that it was given another one.
    fn place(&self) -> String;

    /// Creates an object; `AlreadyExists` where its key is taken.
    fn create(&self, key: &str, bytes: Bytes) -> io::Result<()>;

    /// Creates a large object out of parts. The key is one that nobody else uses, and is not compared with those that are there.
    fn create_in_parts(&self, key: &str, parts: Parts<'_>) -> io::Result<()>;

    /// Reads; `NotFound` without the object.
    fn read(&self, key: &str, span: Span) -> io::Result<Part>;

    /// What lies in a folder, sorted by name; nothing where there is no such folder. Sees every creation and removal that
    /// has returned before.
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>>;

    /// Removes an object, if it is there.
    fn remove(&self, key: &str) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
