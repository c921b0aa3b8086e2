//! How does a bucket do? Every request passes here, is counted, and tells whether the bucket answers.

use super::{Bucket, Part, Parts, Span};
use crate::fs::{Clock, Entry};
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Counters of a bucket and its cache since the process started.
#[derive(Debug, Default)]
pub struct BucketCounters {
    /// Requests that create objects.
    pub creations: AtomicU64,
    /// Requests that read bytes.
    pub reads: AtomicU64,
    /// Requests that list a folder.
    pub lists: AtomicU64,
    /// Requests that remove an object.
    pub removals: AtomicU64,
    /// Requests that failed after all tries.
    pub errors: AtomicU64,
    /// Bytes created.
    pub bytes_written: AtomicU64,
    /// Bytes read.
    pub bytes_read: AtomicU64,
    /// Chunks that the cache had.
    pub cache_hits: AtomicU64,
    /// Chunks that the bucket was asked for.
    pub cache_misses: AtomicU64,
    /// Bytes that the cache gave.
    pub cache_hit_bytes: AtomicU64,
    /// Chunks that left the cache for others.
    pub cache_evictions: AtomicU64,
    /// Chunks that the cache had and that were damaged.
    pub cache_damaged: AtomicU64,
}

/// Since when a bucket does not answer, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketHealth {
    /// For how long no request has succeeded.
    pub failing_for: Duration,
    /// The last failure.
    pub error: String,
}

/// A bucket whose requests are counted.
#[derive(Debug)]
pub(super) struct Watched {
    bucket: Arc<dyn Bucket>,
    clock: Arc<dyn Clock>,
    pub(super) counters: BucketCounters,
    /// Since when it fails (O6).
    failing: Mutex<Option<(Duration, String)>>,
}

impl Watched {
    pub(super) fn new(bucket: Arc<dyn Bucket>, clock: Arc<dyn Clock>) -> Self {
        Watched { bucket, clock, counters: BucketCounters::default(), failing: Mutex::default() }
    }

    /// How it does; `None` when the last request was answered.
    pub(super) fn health(&self) -> Option<BucketHealth> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, error) = failing.as_ref()?;
        Some(BucketHealth { failing_for: self.clock.monotonic().saturating_sub(*since), error: error.clone() })
    }

    pub(super) fn create(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        let len = bytes.len() as u64;
        let created = self.note(&self.counters.creations, self.bucket.create(key, bytes));
        self.counters.bytes_written.fetch_add(if created.is_ok() { len } else { 0 }, Ordering::Relaxed);
        created
    }

    pub(super) fn create_in_parts(&self, key: &str, parts: Parts<'_>) -> io::Result<()> {
        let mut len = 0;
        let mut counted = || {
            let part = parts()?;
            len += part.as_ref().map_or(0, |part| part.len() as u64);
            Ok(part)
        };
        let created = self.note(&self.counters.creations, self.bucket.create_in_parts(key, &mut counted));
        self.counters.bytes_written.fetch_add(if created.is_ok() { len } else { 0 }, Ordering::Relaxed);
        created
    }

    pub(super) fn read(&self, key: &str, span: Span) -> io::Result<Part> {
        let read = self.note(&self.counters.reads, self.bucket.read(key, span));
        let bytes = read.as_ref().map_or(0, |part| part.bytes.len() as u64);
        self.counters.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        read
    }

    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.note(&self.counters.lists, self.bucket.list(folder))
    }

    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        self.note(&self.counters.removals, self.bucket.remove(key))
    }

    fn note<T>(&self, counter: &AtomicU64, result: io::Result<T>) -> io::Result<T> {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            // A bucket that says so answers.
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                if failing.is_none() {
                    tracing::warn!(%error, "the object store does not answer as it should");
                }
                let since = failing.as_ref().map_or_else(|| self.clock.monotonic(), |(since, _)| *since);
                *failing = Some((since, error.to_string()));
            }
            _ => {
                if let Some((since, _)) = failing.take() {
                    let after = self.clock.monotonic().saturating_sub(since);
                    tracing::info!(?after, "the object store answers again");
                }
            }
        }
        result
    }
}
