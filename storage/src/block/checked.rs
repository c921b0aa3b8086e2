//! How is a file of a block written and read so that no flipped bit goes unnoticed?
//!
//! K1  A file is a row of granules of [`GRANULE`] bytes, the last one shorter. The CRC-32C of each, and of the whole,
//!     is in the block's `meta`.
//! K2  No byte is handed out before its granule's checksum was compared. What reads a file, the Parquet reader too, thus
//!     never sees damaged bytes. Bytes that do not match, or that the disk does not give, are read a second time: the way from
//!     the disk errs too.
//! K3  An error that may pass is never taken for damage, whatever it went through.
//!
//! Not here: where the checksums are kept (`meta`).

use super::meta::FileMeta;
use crate::error::{Error, Result};
use crate::fs::{Filesystem, ReadFile, Try, WriteFile, is_unreadable};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Small enough that reading one page does not cost much more than the page, large enough that the checksums stay small.
pub(crate) const GRANULE: usize = 16 * 1024;
/// Granules are handed to the file system together.
const WRITE_BYTES: usize = 32 * GRANULE;
/// `verify` reads this much at once.
const VERIFY_GRANULES: usize = 64;

/// A file in the making.
#[derive(Debug)]
pub(crate) struct CheckedWriter {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    name: &'static str,
    pending: Vec<u8>,
    granules: Vec<u32>,
    whole: u32,
    len: u64,
}

impl CheckedWriter {
    pub(crate) fn create(fs: &dyn Filesystem, dir: &Path, name: &'static str) -> Result<Self> {
        let path = dir.join(name);
        let file = fs.create(&path).map_err(Error::io("create", &path))?;
        let pending = Vec::with_capacity(WRITE_BYTES);
        Ok(CheckedWriter { file, path, name, pending, granules: Vec::new(), whole: 0, len: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn put_pending(&mut self) -> io::Result<()> {
        for granule in self.pending.chunks(GRANULE) {
            self.granules.push(crc32c::crc32c(granule));
            self.len += granule.len() as u64;
        }
        self.whole = crc32c::crc32c_append(self.whole, &self.pending);
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Writes what is left and makes the file durable.
    pub(crate) fn finish(mut self) -> Result<FileMeta> {
        self.put_pending().map_err(Error::io("write", &self.path))?;
        self.file.sync().map_err(Error::io("sync", &self.path))?;
        Ok(FileMeta { name: self.name.to_owned(), len: self.len, crc32c: self.whole, granules: self.granules })
    }
}

impl Write for CheckedWriter {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len();
        while !bytes.is_empty() {
            let room = WRITE_BYTES - self.pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == WRITE_BYTES {
                self.put_pending()?;
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file whose every read is compared with its checksums.
#[derive(Debug)]
pub(crate) struct CheckedFile {
    file: Arc<dyn ReadFile>,
    path: PathBuf,
    granules: Vec<u32>,
    len: u64,
}

impl CheckedFile {
    pub(crate) fn open(fs: &dyn Filesystem, dir: &Path, meta: &FileMeta) -> Result<Self> {
        let path = dir.join(&meta.name);
        let file = match fs.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Damaged { path, what: "it is missing".into() });
            }
            opened => opened.map_err(Error::read("open", &path))?,
        };
        let whole_granules = meta.len.div_ceil(GRANULE as u64);
        if file.len() != meta.len || meta.granules.len() as u64 != whole_granules {
            let what = format!("it has {} bytes instead of {}", file.len(), meta.len);
            return Err(Error::Damaged { path, what });
        }
        Ok(CheckedFile { file, path, granules: meta.granules.clone(), len: meta.len })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Tells the disk which bytes are read next.
    pub(crate) fn will_read(&self, ranges: &[Range<u64>]) {
        self.file.will_read(ranges);
    }

    /// The bytes of a range.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.len {
            let what = format!("bytes {}..{} are wanted, but it has only {}", range.start, range.end, self.len);
            return Err(Error::Damaged { path: self.path.clone(), what });
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let granule = GRANULE as u64;
        let first = range.start / granule;
        let start = first * granule;
        let end = range.end.next_multiple_of(granule).min(self.len);
        let bytes = self.read_granules(first, start..end)?;
        let slice = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        Ok(bytes.slice(slice(range.start)..slice(range.end)))
    }

    fn read_granules(&self, first: u64, range: Range<u64>) -> Result<Bytes> {
        match self.read_granules_once(first, range.clone(), Try::First) {
            Err(Error::Damaged { .. }) => self.read_granules_once(first, range, Try::Again),
            read => read,
        }
    }

    fn read_granules_once(&self, first: u64, range: Range<u64>, which: Try) -> Result<Bytes> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        which.read(self.file.as_ref(), range.start, &mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::Damaged { path: self.path.clone(), what: format!("it ends before byte {}", range.end) }
            }
            _ if is_unreadable(&error) => {
                let what = format!("the disk does not give bytes {}..{}: {error}", range.start, range.end);
                Error::Damaged { path: self.path.clone(), what }
            }
            _ => Error::io("read", &self.path)(error),
        })?;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        for (index, granule) in bytes.chunks(GRANULE).enumerate() {
            if self.granules.get(first + index) != Some(&crc32c::crc32c(granule)) {
                let from = (first + index) * GRANULE;
                let what = format!("bytes {from}..{} do not match their checksum", from + granule.len());
                return Err(Error::Damaged { path: self.path.clone(), what });
            }
        }
        Ok(bytes.into())
    }

    /// Compares every checksum, and hands each damaged range to `damaged`, with what is wrong with it.
    pub(crate) fn verify(&self, mut damaged: impl FnMut(Range<u64>, String)) -> Result<()> {
        let step = (VERIFY_GRANULES * GRANULE) as u64;
        for start in (0..self.len).step_by(VERIFY_GRANULES * GRANULE) {
            let end = (start + step).min(self.len);
            match self.read(start..end) {
                Ok(_) => continue,
                Err(Error::Damaged { .. }) => {}
                // What cannot be read is not whole.
                Err(error) => return Err(error),
            }
            for from in (start..end).step_by(GRANULE) {
                let granule = from..(from + GRANULE as u64).min(end);
                match self.read(granule.clone()) {
                    Ok(_) => {}
                    Err(Error::Damaged { what, .. }) => damaged(granule, what),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The file as the Parquet reader wants it.
#[derive(Debug, Clone)]
pub(crate) struct Source(pub(crate) Arc<CheckedFile>);

impl Length for Source {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Source {
    type T = SourceRead;

    fn get_read(&self, start: u64) -> parquet::errors::Result<SourceRead> {
        Ok(SourceRead { file: self.0.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.0.read(start..start.saturating_add(length as u64)).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// Reads on from some place.
#[derive(Debug)]
pub(crate) struct SourceRead {
    file: Arc<CheckedFile>,
    at: u64,
}

impl Read for SourceRead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let end = self.at.saturating_add(buf.len() as u64).min(self.file.len());
        let bytes = self.file.read(self.at.min(end)..end).map_err(io::Error::other)?;
        for (to, from) in buf.iter_mut().zip(&bytes) {
            *to = *from;
        }
        self.at = end;
        Ok(bytes.len())
    }
}

/// Brings back an error of ours that went through the Parquet reader.
pub(crate) fn from_parquet(action: &'static str, path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_owned();
    move |source| unwrapped(source, action, path)
}

fn unwrapped(source: ParquetError, action: &'static str, path: PathBuf) -> Error {
    match source {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            // The reader may have wrapped it twice.
            Err(inner) => match inner.downcast::<ParquetError>() {
                Ok(error) => unwrapped(*error, action, path),
                Err(inner) => unwrapped_io(inner, action, path),
            },
        },
        source => Error::Parquet { action, path, source },
    }
}

/// An error of ours that was an `io::Error` on its way (`SourceRead`).
fn unwrapped_io(inner: Box<dyn std::error::Error + Send + Sync>, action: &'static str, path: PathBuf) -> Error {
    let inner = match inner.downcast::<io::Error>().map(|error| error.downcast::<Error>()) {
        Ok(Ok(error)) => return error,
        Ok(Err(error)) => Box::new(error),
        Err(inner) => inner,
    };
    Error::Parquet { action, path, source: ParquetError::External(inner) }
}

/// Bytes as a checked file, for tests of what reads one.
#[cfg(test)]
pub(crate) fn open_checked(bytes: &[u8]) -> Arc<CheckedFile> {
    let disk = crate::fs::SimulatedDisk::new(0);
    let mut file = CheckedWriter::create(&disk, Path::new("/"), "file").expect("a new disk");
    file.write_all(bytes).expect("a disk without faults");
    let meta = file.finish().expect("a disk without faults");
    Arc::new(CheckedFile::open(&disk, Path::new("/"), &meta).expect("what was just written"))
}
