//! Which bytes of blocks does the disk keep, so that they are not read from the bucket again?
//!
//! Objects are cut into chunks of [`CHUNK`] bytes; each kept chunk is a file `<hash of the key>-<length of the object>-<number>` of
//! a CRC-32C (little endian, over the name and the bytes) and the bytes.
//!
//! A1  The files together never hold more than the limit, and take no room that the log needs: where the disk is short of space,
//!     the cache gives way.
//! A2  A chunk that does not match its checksum is one that the cache does not have. Nothing is synced: a crash costs chunks.
//! A3  The least recently used chunks go first.

use super::watched::BucketCounters;
use crate::fs::Filesystem;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a chunk. A request to a store takes some 20 ms before its first byte, and 5 ms for so many: fewer would make more
/// requests, more would read what nobody asked for.
pub(super) const CHUNK: u64 = 512 << 10;
/// Bytes of a file before the chunk.
const HEADER: usize = 4;

/// A chunk's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ChunkId {
    object: u128,
    /// Length of the object.
    len: u64,
    number: u64,
}

impl ChunkId {
    fn name(self) -> String {
        format!("{:032x}-{:016x}-{:08x}", self.object, self.len, self.number)
    }

    fn parse(name: &str) -> Option<ChunkId> {
        let mut parts = name.split('-');
        let (object, len, number) = (parts.next()?, parts.next()?, parts.next()?);
        let id = ChunkId {
            object: u128::from_str_radix(object, 16).ok()?,
            len: u64::from_str_radix(len, 16).ok()?,
            number: u64::from_str_radix(number, 16).ok()?,
        };
        (id.name() == name).then_some(id)
    }

    /// How many bytes the chunk has.
    fn bytes(self) -> u64 {
        self.len.saturating_sub(self.number.saturating_mul(CHUNK)).min(CHUNK)
    }

    fn file_bytes(self) -> u64 {
        self.bytes() + HEADER as u64
    }

    fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(self.name().as_bytes()), bytes)
    }
}

/// The chunks on the disk.
#[derive(Debug)]
pub(super) struct Cache {
    disk: Arc<dyn Filesystem>,
    dir: PathBuf,
    limit: u64,
    /// No chunk is kept while the disk has less free than this.
    least_free: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// When each was used last.
    chunks: HashMap<ChunkId, u64>,
    by_use: BTreeMap<u64, ChunkId>,
    /// Objects with chunks here: their length, and how many chunks.
    objects: HashMap<u128, (u64, u64)>,
    bytes: u64,
    uses: u64,
}

impl Kept {
    fn use_again(&mut self, id: ChunkId) -> bool {
        let Some(used) = self.chunks.get_mut(&id) else { return false };
        self.uses += 1;
        self.by_use.remove(used);
        *used = self.uses;
        self.by_use.insert(self.uses, id);
        true
    }

    fn add(&mut self, id: ChunkId) {
        if self.use_again(id) {
            return;
        }
        self.uses += 1;
        self.chunks.insert(id, self.uses);
        self.by_use.insert(self.uses, id);
        self.bytes += id.file_bytes();
        self.objects.entry(id.object).or_insert((id.len, 0)).1 += 1;
    }

    fn forget(&mut self, id: ChunkId) {
        let Some(used) = self.chunks.remove(&id) else { return };
        self.by_use.remove(&used);
        self.bytes -= id.file_bytes();
        if let Some((_, chunks)) = self.objects.get_mut(&id.object) {
            *chunks -= 1;
            if *chunks == 0 {
                self.objects.remove(&id.object);
            }
        }
    }

    fn oldest(&self) -> Option<ChunkId> {
        self.by_use.first_key_value().map(|(_, id)| *id)
    }
}

impl Cache {
    /// Opens the cache in a folder, with what a process before left there.
    pub(super) fn open(disk: Arc<dyn Filesystem>, dir: &Path, limit: u64, least_free: u64) -> io::Result<Cache> {
        disk.create_dir_all(dir)?;
        let mut kept = Kept::default();
        for entry in disk.list(dir)? {
            match ChunkId::parse(&entry.name) {
                Some(id) if entry.len == id.file_bytes() => kept.add(id),
                _ if !entry.is_dir => disk.remove_file(&dir.join(&entry.name))?,
                _ => {}
            }
        }
        let cache = Cache { disk, dir: dir.to_owned(), limit, least_free, kept: Mutex::new(kept) };
        cache.make_room(0, &BucketCounters::default());
        Ok(cache)
    }

    /// A cache that keeps nothing and touches no disk.
    pub(super) fn none(disk: Arc<dyn Filesystem>) -> Cache {
        Cache { disk, dir: PathBuf::new(), limit: 0, least_free: 0, kept: Mutex::default() }
    }

    /// The length of an object that has chunks here.
    pub(super) fn len_of(&self, object: u128) -> Option<u64> {
        self.lock().objects.get(&object).map(|(len, _)| *len)
    }

    /// Bytes that all files together may have.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// A chunk, if it is here and sound.
    pub(super) fn get(&self, (object, len): (u128, u64), number: u64, counters: &BucketCounters) -> Option<Bytes> {
        let id = ChunkId { object, len, number };
        if !self.lock().use_again(id) {
            return None;
        }
        match self.read(id) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => {
                counters.cache_damaged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "failed to read a chunk of the cache"),
        }
        self.remove(id);
        None
    }

    fn read(&self, id: ChunkId) -> io::Result<Option<Bytes>> {
        let file = self.disk.open(&self.dir.join(id.name()))?;
        if file.len() != id.file_bytes() {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(file.len()).map_err(io::Error::other)?];
        file.read_at(0, &mut bytes)?;
        let mut bytes = Bytes::from(bytes);
        let checksum = bytes.split_to(HEADER);
        Ok((checksum == id.checksum(&bytes).to_le_bytes().as_slice()).then_some(bytes))
    }

    /// Keeps a chunk, if there is room. A failure costs only the chunk.
    pub(super) fn put(&self, (object, len): (u128, u64), number: u64, bytes: &[u8], counters: &BucketCounters) {
        let id = ChunkId { object, len, number };
        if bytes.len() as u64 != id.bytes() || id.file_bytes() > self.limit || self.lock().chunks.contains_key(&id) {
            return;
        }
        match self.disk.available_bytes(&self.dir) {
            Ok(free) if free >= self.least_free.saturating_add(id.file_bytes()) => {}
            // What is kept goes little by little until there is room again (A1).
            _ => return self.evict_oldest(counters),
        }
        self.make_room(id.file_bytes(), counters);
        if let Err(error) = self.write(id, bytes) {
            tracing::debug!(%error, "failed to keep a chunk in the cache");
            return self.remove_file(id);
        }
        self.lock().add(id);
    }

    fn write(&self, id: ChunkId, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(id.name());
        let created = match self.disk.create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.disk.remove_file(&path)?;
                self.disk.create(&path)
            }
            created => created,
        };
        let mut file = created?;
        file.write_all(&id.checksum(bytes).to_le_bytes())?;
        file.write_all(bytes)
    }

    /// Forgets a chunk: what it holds is not what was written.
    pub(super) fn forget(&self, (object, len): (u128, u64), number: u64) {
        self.remove(ChunkId { object, len, number });
    }

    fn make_room(&self, more: u64, counters: &BucketCounters) {
        while self.lock().bytes.saturating_add(more) > self.limit {
            let before = self.lock().bytes;
            self.evict_oldest(counters);
            if self.lock().bytes >= before {
                break;
            }
        }
    }

    fn evict_oldest(&self, counters: &BucketCounters) {
        let oldest = self.lock().oldest();
        if let Some(id) = oldest {
            counters.cache_evictions.fetch_add(1, Ordering::Relaxed);
            self.remove(id);
        }
    }

    fn remove(&self, id: ChunkId) {
        self.lock().forget(id);
        self.remove_file(id);
    }

    fn remove_file(&self, id: ChunkId) {
        if let Err(error) = self.disk.remove_file(&self.dir.join(id.name()))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, "failed to remove a chunk of the cache; the next start will");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
