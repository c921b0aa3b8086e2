//! How do a disk and a bucket look like one file system?
//!
//! Below the data directory the folders of `SHARED` are the bucket's, but for names in the making. Every folder of the bucket is
//! there, most of them empty.

use super::cache::{CHUNK, Cache};
use super::watched::{BucketCounters, BucketHealth, Watched};
use super::{IN_THE_MAKING, SHARED, Shared, Span};
use crate::fs::{Clock, Entry, Filesystem, ReadFile, WriteFile};
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use xxhash_rust::xxh3::xxh3_128;

/// Larger files are uploaded in parts of so many bytes, one after the other: what an upload holds in memory.
const PART: u64 = 8 << 20;
/// Chunks that one request reads at most.
const MOST_CHUNKS: u64 = 16;
/// The folder of the cache.
const CACHE: &str = "cache";
/// The shared folder that is read by ranges.
const BY_RANGES: &str = "blocks/";

/// A disk with a bucket in it.
#[derive(Debug, Clone)]
pub(crate) struct Mounted {
    disk: Arc<dyn Filesystem>,
    root: PathBuf,
    bucket: Arc<Watched>,
    cache: Arc<Cache>,
}

impl Mounted {
    /// Mounts a bucket below a data directory. `least_free` is what the cache leaves free of the disk.
    pub(crate) fn new(
        disk: Arc<dyn Filesystem>,
        clock: Arc<dyn Clock>,
        root: &Path,
        shared: &Shared,
        least_free: u64,
    ) -> io::Result<Mounted> {
        let cache = Cache::open(Arc::clone(&disk), &root.join(CACHE), shared.cache_bytes, least_free)?;
        let bucket = Arc::new(Watched::new(Arc::clone(&shared.bucket), clock));
        Ok(Mounted { disk, root: root.to_owned(), bucket, cache: Arc::new(cache) })
    }

    /// Mounts a bucket below a data directory that others may be using: nothing is kept, and nothing is written.
    pub(crate) fn without_cache(
        disk: &Arc<dyn Filesystem>,
        clock: Arc<dyn Clock>,
        root: &Path,
        shared: &Shared,
    ) -> Mounted {
        let bucket = Arc::new(Watched::new(Arc::clone(&shared.bucket), clock));
        let cache = Arc::new(Cache::none(Arc::clone(disk)));
        Mounted { disk: Arc::clone(disk), root: root.to_owned(), bucket, cache }
    }

    /// What was asked of the bucket.
    pub(crate) fn counters(&self) -> &BucketCounters {
        &self.bucket.counters
    }

    /// Since when the bucket does not answer, if it does not.
    pub(crate) fn health(&self) -> Option<BucketHealth> {
        self.bucket.health()
    }

    /// Bytes that the cache may have.
    pub(crate) fn cache_limit_bytes(&self) -> u64 {
        self.cache.limit()
    }

    /// Bytes of the cache.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// The key of what lies in the bucket.
    fn key(&self, path: &Path) -> Option<String> {
        let parts: Vec<&str> =
            path.strip_prefix(&self.root).ok()?.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        let shared = parts.first().is_some_and(|first| SHARED.contains(first));
        let in_the_making = parts.last().is_some_and(|last| last.ends_with(IN_THE_MAKING));
        (shared && !in_the_making).then(|| parts.join("/"))
    }

    /// Uploads a file or a folder, and asks the bucket whether it is there (O2).
    fn upload(&self, from: &Path, to: &str) -> io::Result<()> {
        let files = match self.disk.list(from) {
            Ok(files) => files,
            Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
                self.upload_file(from, to)?;
                note_left(from, self.disk.remove_file(from));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for file in &files {
            self.upload_file(&from.join(&file.name), &format!("{to}/{}", file.name))?;
        }
        if self.bucket.list(to)? != files {
            return Err(io::Error::other(format!("the bucket does not list what was uploaded to {to}")));
        }
        note_left(from, self.disk.remove_dir_all(from));
        Ok(())
    }

    fn upload_file(&self, from: &Path, to: &str) -> io::Result<()> {
        let file = self.disk.open(from)?;
        let mut offset = 0;
        let mut next = || {
            let len = PART.min(file.len() - offset);
            if len == 0 {
                return Ok(None);
            }
            let mut part = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            file.read_at(offset, &mut part)?;
            offset += len;
            Ok(Some(Bytes::from(part)))
        };
        if file.len() > PART {
            return self.bucket.create_in_parts(to, &mut next);
        }
        let bytes = next()?.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no file of a store is empty"))?;
        self.bucket.create(to, bytes)
    }

    /// The length of an object. Where the cache does not know it, the object's end is read, which is what its reader wants next.
    fn open_object(&self, key: String) -> io::Result<Arc<dyn ReadFile>> {
        let (bucket, cache) = (Arc::clone(&self.bucket), Arc::clone(&self.cache));
        if !key.starts_with(BY_RANGES) {
            let part = bucket.read(&key, Span::Whole)?;
            return Ok(Arc::new(InMemory(part.bytes)));
        }
        let object = xxh3_128(key.as_bytes());
        if let Some(len) = cache.len_of(object) {
            return Ok(Arc::new(Remote { bucket, cache, key, object: (object, len) }));
        }
        let part = bucket.read(&key, Span::Last(CHUNK))?;
        let number = part.len.saturating_sub(1) / CHUNK;
        let from = usize::try_from((number * CHUNK).saturating_sub(part.start)).map_err(io::Error::other)?;
        if let Some(last) = part.bytes.get(from..) {
            cache.put((object, part.len), number, last, &bucket.counters);
        }
        Ok(Arc::new(Remote { bucket, cache, key, object: (object, part.len) }))
    }

    fn remove_folder(&self, folder: &str) -> io::Result<()> {
        for entry in self.bucket.list(folder)? {
            let key = format!("{folder}/{}", entry.name);
            if entry.is_dir { self.remove_folder(&key)? } else { self.bucket.remove(&key)? }
        }
        Ok(())
    }
}

/// What was uploaded leaves the disk; what cannot go now goes at the next start.
fn note_left(path: &Path, removed: io::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "failed to remove what was uploaded; the next start will");
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, format!("objects cannot be {what}"))
}

impl Filesystem for Mounted {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        // Names in the making need it, whatever else is in the bucket.
        match self.key(dir) {
            Some(key) if key.starts_with(BY_RANGES) => Ok(()),
            _ => self.disk.create_dir_all(dir),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let Some(key) = self.key(dir) else { return self.disk.list(dir) };
        let mut entries = self.bucket.list(&key)?;
        match self.disk.list(dir) {
            Ok(local) => entries.extend(local.into_iter().filter(|entry| entry.name.ends_with(IN_THE_MAKING))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        if self.key(path).is_some() {
            return Err(unsupported("written piece by piece"));
        }
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        match self.key(path) {
            Some(key) => self.open_object(key),
            None => self.disk.open(path),
        }
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match (self.key(from), self.key(to)) {
            (None, None) => self.disk.rename_new(from, to),
            (None, Some(key)) => self.upload(from, &key),
            (Some(_), _) => Err(unsupported("renamed")),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self.key(path) {
            Some(key) => self.bucket.remove(&key),
            None => self.disk.remove_file(path),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match self.key(path) {
            Some(key) => self.remove_folder(&key),
            None => self.disk.remove_dir_all(path),
        }
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        match self.key(path) {
            Some(_) => Err(unsupported("truncated")),
            None => self.disk.truncate(path, len),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // An object is durable once it is created.
        if self.key(dir).is_some() { Ok(()) } else { self.disk.sync_dir(dir) }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }

    fn available_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.available_bytes(dir)
    }
}

/// A small object, read as a whole when it was opened.
#[derive(Debug)]
struct InMemory(Bytes);

impl ReadFile for InMemory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        copy(&self.0, offset, buf)
    }
}

/// An object that is read by ranges.
#[derive(Debug)]
struct Remote {
    bucket: Arc<Watched>,
    cache: Arc<Cache>,
    key: String,
    /// Hash of the key, and length.
    object: (u128, u64),
}

impl Remote {
    /// Reads chunks, those that the cache lacks with as few requests as there are gaps.
    fn chunks(&self, numbers: Range<u64>, mut take: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let counters = &self.bucket.counters;
        let mut missing: Option<Range<u64>> = None;
        for number in numbers {
            if let Some(bytes) = self.cache.get(self.object, number, counters) {
                counters.cache_hits.fetch_add(1, Ordering::Relaxed);
                counters.cache_hit_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                take(number, &bytes)?;
                continue;
            }
            counters.cache_misses.fetch_add(1, Ordering::Relaxed);
            missing = match missing {
                Some(gap) if gap.end == number && gap.end - gap.start < MOST_CHUNKS => Some(gap.start..number + 1),
                gap => {
                    gap.map_or(Ok(()), |gap| self.fetch(gap, &mut take))?;
                    Some(number..number + 1)
                }
            };
        }
        missing.map_or(Ok(()), |gap| self.fetch(gap, &mut take))
    }

    fn fetch(&self, numbers: Range<u64>, take: &mut impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let wanted = numbers.start * CHUNK..(numbers.end * CHUNK).min(self.object.1);
        let part = self.bucket.read(&self.key, Span::Range(wanted.clone()))?;
        let whole = part.start == wanted.start && part.bytes.len() as u64 == wanted.end - wanted.start;
        if !whole || part.len != self.object.1 {
            return Err(io::Error::other(format!("the bucket gave other bytes of {} than were asked for", self.key)));
        }
        let size = usize::try_from(CHUNK).map_err(io::Error::other)?;
        for (number, chunk) in numbers.zip(part.bytes.chunks(size)) {
            self.cache.put(self.object, number, chunk, &self.bucket.counters);
            take(number, chunk)?;
        }
        Ok(())
    }
}

impl ReadFile for Remote {
    fn len(&self) -> u64 {
        self.object.1
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.object.1);
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        if buf.is_empty() {
            return Ok(());
        }
        self.chunks(offset / CHUNK..end.div_ceil(CHUNK), |number, chunk| {
            let (from, to) = ((number * CHUNK).max(offset), (number * CHUNK + chunk.len() as u64).min(end));
            let place = |at: u64, base: u64| usize::try_from(at - base).map_err(io::Error::other);
            let target = buf.get_mut(place(from, offset)?..place(to, offset)?).ok_or(ErrorKind::UnexpectedEof)?;
            copy(chunk, from - number * CHUNK, target)
        })
    }

    fn read_again_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buf.len() as u64).min(self.object.1);
        (offset / CHUNK..end.div_ceil(CHUNK)).for_each(|number| self.cache.forget(self.object, number));
        self.read_at(offset, buf)
    }
}

fn copy(bytes: &[u8], offset: u64, buf: &mut [u8]) -> io::Result<()> {
    let from = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
    let bytes = from.checked_add(buf.len()).and_then(|to| bytes.get(from..to)).ok_or(ErrorKind::UnexpectedEof)?;
    buf.copy_from_slice(bytes);
    Ok(())
}
