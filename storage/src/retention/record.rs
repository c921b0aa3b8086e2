//! Where is it written what was deleted? In the folder `deletions/`, a file per deletion, which nobody removes.
//!
//! A deletion is first a part of the manifest, in the commit that deletes (D1 of `manifest::deletion`); from there it goes to
//! its file, `<manifest version>.json`, at least once. The layout is `docs/format/manifest.md`.

use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::manifest::Deletion;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

/// Writes the file of a deletion, unless it is there.
pub(crate) fn record_deletion(fs: &dyn Filesystem, dir: &Path, version: u64, deletion: &Deletion) -> Result<()> {
    fs.create_dir_all(dir).map_err(Error::io("create", dir))?;
    let path = dir.join(name(version));
    let temporary = dir.join(format!("{}.tmp", name(version)));
    match fs.remove_file(&temporary) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.map_err(Error::io("remove", &temporary))?,
    }
    let mut text = deletion.to_json().to_string().into_bytes();
    text.push(b'\n');
    let mut file = fs.create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(&text).and_then(|()| file.sync()).map_err(Error::io("write", &temporary))?;
    match fs.rename_new(&temporary, &path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs.remove_file(&temporary).map_err(Error::io("remove", &temporary))?;
        }
        renamed => renamed.map_err(Error::io("publish", &path))?,
    }
    fs.sync_dir(dir).map_err(Error::io("sync", dir))
}

/// The manifest versions of all deletions that have a file.
pub(crate) fn recorded_versions(fs: &dyn Filesystem, dir: &Path) -> Result<BTreeSet<u64>> {
    let entries = match fs.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(Error::io("list", dir))?,
    };
    Ok(entries.iter().filter_map(|entry| parse(&entry.name)).collect())
}

/// A deletion out of its file, if that can be read.
pub(crate) fn read_deletion(fs: &dyn Filesystem, dir: &Path, version: u64) -> Option<Deletion> {
    let read = read(fs, &dir.join(name(version)));
    read.inspect_err(|error| tracing::warn!(%error, "failed to read the record of a deletion")).ok()
}

fn read(fs: &dyn Filesystem, path: &Path) -> Result<Deletion> {
    let file = fs.open(path).map_err(Error::io("open", path))?;
    let mut text = vec![0; usize::try_from(file.len()).unwrap_or(usize::MAX)];
    file.read_at(0, &mut text).map_err(Error::io("read", path))?;
    let damaged = |what: String| Error::Damaged { path: path.to_owned(), what };
    let value = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    Deletion::from_json(value).map_err(damaged)
}

fn name(version: u64) -> String {
    format!("{version:020}.json")
}

fn parse(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}
