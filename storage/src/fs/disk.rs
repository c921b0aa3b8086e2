//! How are the operations done on the machine's own disk and clock?
//!
//! `object_store`'s local backend is not used: it does not sync directories, and replaces what exists.

#![expect(clippy::disallowed_methods, reason = "this is the one file that touches the real disk and clock")]

use super::{Clock, Entry, Filesystem, ReadFile, WriteFile};
use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A file is written once more in pieces of so many bytes.
const REWRITE_BYTES: usize = 1 << 20;

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Disk {
    /// Lets the process have as many files open as it may: each block that is read has some, and the usual limit of 1,024 is soft.
    pub fn allow_open_files() -> io::Result<()> {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        Ok(setrlimit(Resource::Nofile, limit)?)
    }
}

impl Filesystem for Disk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let dir = std::path::absolute(dir)?;
        // The deepest directory that is there may have been made just before a crash: its name is synced again.
        let mut missing: Vec<&Path> = Vec::new();
        for ancestor in dir.ancestors() {
            missing.push(ancestor);
            if is_dir(ancestor)? {
                break;
            }
        }
        for path in missing.into_iter().rev() {
            match fs::create_dir(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && is_dir(path)? => {}
                made => made?,
            }
            if let Some(parent) = path.parent() {
                sync_dir_if_ours(parent)?;
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue, // removed while we list
                metadata => metadata?,
            };
            let is_dir = metadata.is_dir();
            entries.push(Entry { name, is_dir, len: if is_dir { 0 } else { metadata.len() } });
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(DiskWriter { file: OpenOptions::new().write(true).create_new(true).open(path)? }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Arc::new(DiskReader { file, len }))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match rename_no_replace(from, to) {
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => {
                rename_checked(from, to)
            }
            renamed => renamed,
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.set_len(len)?;
        let mut buffer = vec![0; REWRITE_BYTES];
        for offset in (0..len).step_by(REWRITE_BYTES) {
            let left = usize::try_from(len - offset).unwrap_or(usize::MAX);
            let bytes = buffer.split_at_mut(left.min(REWRITE_BYTES)).0;
            file.read_exact_at(bytes, offset)?;
            file.write_all_at(bytes, offset)?;
        }
        file.sync_all()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn available_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn is_dir(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Syncs a directory; one that we may pass but not read (`/home` of some machines) holds no name that we made.
fn sync_dir_if_ours(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_no_replace(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// For file systems without an atomic rename that replaces nothing. A file is linked and unlinked; a directory is
/// looked for first, which is enough because the data directory is locked.
fn rename_checked(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        return match fs::symlink_metadata(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => fs::rename(from, to),
            Err(error) => Err(error),
        };
    }
    fs::hard_link(from, to)?;
    if let Err(error) = fs::remove_file(from) {
        tracing::warn!(path = %from.display(), %error, "failed to remove the old name of a file after its rename");
    }
    Ok(())
}

#[derive(Debug)]
struct DiskWriter {
    file: File,
}

impl WriteFile for DiskWriter {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[derive(Debug)]
struct DiskReader {
    file: File,
    len: u64,
}

impl ReadFile for DiskReader {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn will_read(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            let length = NonZeroU64::new(range.end.saturating_sub(range.start));
            let hinted = rustix::fs::fadvise(&self.file, range.start, length, rustix::fs::Advice::WillNeed);
            if let Err(error) = hinted {
                tracing::trace!(%error, "the file system takes no hints; bytes are fetched when they are read");
            }
        }
    }
}

/// The machine's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_unix_nano(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn write(path: &Path, bytes: &[u8]) {
        let mut file = Disk.create(path).unwrap();
        file.write_all(bytes).unwrap();
        file.sync().unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        Disk.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn what_is_written_is_listed_and_read() {
        let temp = tempfile::tempdir().unwrap();
        let dir: PathBuf = temp.path().join("a/b/c");
        assert_eq!(Disk.list(&dir).unwrap_err().kind(), ErrorKind::NotFound);
        Disk.create_dir_all(&dir).unwrap();
        Disk.create_dir_all(&dir).unwrap();
        write(&dir.join("two"), b"hello");
        Disk.create_dir_all(&dir.join("one")).unwrap();
        Disk.sync_dir(&dir).unwrap();
        let expected =
            [("one", true, 0), ("two", false, 5)].map(|(name, is_dir, len)| Entry { name: name.into(), is_dir, len });
        assert_eq!(Disk.list(&dir).unwrap(), expected);

        let file = Disk.open(&dir.join("two")).unwrap();
        let mut buf = [0; 3];
        file.read_at(1, &mut buf).unwrap();
        assert_eq!((&buf, file.len(), file.is_empty()), (b"ell", 5, false));
        assert_eq!(file.read_at(3, &mut buf).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        Disk.truncate(&dir.join("two"), 2).unwrap();
        assert_eq!(Disk.open(&dir.join("two")).unwrap().len(), 2);
        assert!(Disk.available_bytes(&dir).unwrap() > 0);
    }

    #[test]
    fn a_directory_is_not_made_over_a_file() {
        let temp = tempfile::tempdir().unwrap();
        write(&temp.path().join("file"), b"");
        assert!(Disk.create_dir_all(&temp.path().join("file")).is_err());
        assert!(Disk.create_dir_all(&temp.path().join("file/below")).is_err());
    }

    #[test]
    fn nothing_is_created_or_renamed_over_something() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        for (rename, round) in
            [(Disk::rename_new as fn(&Disk, &Path, &Path) -> _, "native"), (|_, f, t| rename_checked(f, t), "checked")]
        {
            let at = |name: &str| at(&format!("{round}-{name}"));
            write(&at("a"), b"a");
            write(&at("b"), b"b");
            Disk.create_dir_all(&at("dir")).unwrap();
            Disk.create_dir_all(&at("empty")).unwrap();
            assert_eq!(Disk.create(&at("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
            for (from, to) in [("a", "b"), ("a", "empty"), ("dir", "empty"), ("dir", "b")] {
                let result: io::Result<()> = rename(&Disk, &at(from), &at(to));
                assert_eq!(result.unwrap_err().kind(), ErrorKind::AlreadyExists, "{from} {to}");
            }
            rename(&Disk, &at("a"), &at("c")).unwrap();
            rename(&Disk, &at("dir"), &at("moved")).unwrap();
            assert_eq!(Disk.open(&at("a")).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(rename(&Disk, &at("a"), &at("d")).unwrap_err().kind(), ErrorKind::NotFound);
        }
        Disk.remove_file(&at("native-c")).unwrap();
        Disk.remove_dir_all(&at("native-moved")).unwrap();
        let left = ["checked-b", "checked-c", "checked-empty", "checked-moved", "native-b", "native-empty"];
        assert_eq!(names(temp.path()), left);
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let held = Disk.lock(&path).unwrap();
        assert_eq!(Disk.lock(&path).err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
        drop(held);
        Disk.lock(&path).unwrap();
    }

    #[test]
    fn the_clock_tells_this_century_and_never_goes_back() {
        let clock = SystemClock::default();
        let earlier = clock.monotonic();
        assert!(clock.monotonic() >= earlier);
        assert!(clock.now_unix_nano() > 1_700_000_000_000_000_000);
    }
}
