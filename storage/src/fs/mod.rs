//! By which operations does the store touch disk and time?
//!
//! Everything durable goes through `Filesystem`, every timestamp through `Clock`, so that crashes, full disks, lost
//! writes and clock jumps can be played from a seed.
//!
//! F1  What was written to a file survives power loss once `WriteFile::sync` returned; nothing before that is promised.
//! F2  A new, renamed or removed name survives power loss once `sync_dir` of its directory returned. A rename between two
//!     directories is atomic; sync the directory that gained the name.
//! F3  After a failed write or sync nothing is known of the bytes since the last good sync: a second sync that succeeds
//!     proves nothing. Leave that file.
//! F4  A directory holds names only once its own name is durable (`create_dir_all` sees to it).
//! F8  A read fails because the medium does not give these bytes any more (`is_unreadable`), or for a reason that may pass. The
//!     first is damage like a flipped bit, and reading on elsewhere makes sense.
//!
//! Not here: file formats (`wal`, `block`, `manifest`).

mod disk;
mod simulated;

pub use disk::{Disk, SystemClock};
pub use simulated::{Faults, Loss, SimulatedClock, SimulatedDisk};

use rustix::io::Errno;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Disks lose no less than this at once.
const PIECE: usize = 512;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without its directory. Names that are not UTF-8 are none of ours and are not listed.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// Where files are.
pub trait Filesystem: Send + Sync + Debug {
    /// Makes a directory and its parents, durably: each name is synced before the next level is made.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names in a directory, sorted; `NotFound` without the directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a new file; `AlreadyExists` if the name is taken. The name is durable after `sync_dir`.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;

    /// Renames a file or directory, atomically; `AlreadyExists` if `to` is taken, whatever it is. After any other error
    /// the rename may have happened.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and what it holds. After an error, some of it may be left.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Sets the length of a file and makes all of its bytes durable, whatever became of syncs before (F3): they are written once more.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes an exclusive lock, made of a file that is created if need be and never removed. It is held until the answer
    /// is dropped or the process ends; `WouldBlock` if somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Bytes that can still be written below a directory.
    fn available_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// A new file, written from start to end.
pub trait WriteFile: Send + Debug {
    /// Appends. After an error some prefix of `bytes` may have been written.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all bytes written so far durable, with the length.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file to read from any place.
pub trait ReadFile: Send + Sync + Debug {
    /// Length in bytes when it was opened.
    fn len(&self) -> u64;

    /// Whether it had no bytes when it was opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from the bytes at `offset`; `UnexpectedEof` if the file ends before that.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Says which bytes will be read soon, so that they may be fetched together. A hint: it does not wait and does not fail.
    fn will_read(&self, _ranges: &[Range<u64>]) {}

    /// As `read_at`, for bytes that turned out to be wrong: past any copy that was kept of them.
    fn read_again_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, buf)
    }
}

/// Whether bytes are read for the first time, or because they were wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Try {
    First,
    Again,
}

impl Try {
    pub(crate) fn read(self, file: &dyn ReadFile, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Try::First => file.read_at(offset, buf),
            Try::Again => file.read_again_at(offset, buf),
        }
    }
}

/// Whether an error says that the medium does not give what it held (F8).
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    // The last three are what file systems answer that keep checksums, and disks of remappable sectors.
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA].contains(&errno))
}

/// All bytes of a file whose reader compares checksums. Where the medium does not give a piece, it is zeros; where it gives
/// nothing at all, the error says so.
pub(crate) fn read_whole(file: &dyn ReadFile, which: Try) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()).map_err(io::Error::other)?];
    match which.read(file, 0, &mut bytes) {
        Err(error) if is_unreadable(&error) => {
            let lost = read_pieces(file, 0, &mut bytes)?;
            if matches!(&lost[..], [all] if *all == (0..file.len())) {
                return Err(error);
            }
        }
        read => read?,
    }
    Ok(bytes)
}

/// As `read_at`, with zeros where the medium does not give a piece: which bytes of the file these are.
pub(crate) fn read_pieces(file: &dyn ReadFile, offset: u64, buf: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
    let mut lost: Vec<Range<u64>> = Vec::new();
    for (piece, at) in buf.chunks_mut(PIECE).zip((offset..).step_by(PIECE)) {
        match file.read_at(at, piece) {
            Err(error) if is_unreadable(&error) => {
                piece.fill(0);
                let end = at + piece.len() as u64;
                match lost.last_mut() {
                    Some(last) if last.end == at => last.end = end,
                    _ => lost.push(at..end),
                }
            }
            read => read?,
        }
    }
    Ok(lost)
}

/// What time is it?
pub trait Clock: Send + Sync + Debug {
    /// Nanoseconds since 1970 UTC. May jump, also backwards.
    fn now_unix_nano(&self) -> i64;

    /// Time since some moment before the first call. Never goes backwards.
    fn monotonic(&self) -> Duration;
}
