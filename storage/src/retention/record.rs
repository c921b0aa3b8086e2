//! Where is it written what was deleted? In the folder `deletions/`, a file per deletion, which nobody removes.
//!
//! A deletion is first a part of the manifest, in the commit that deletes (D1 of `manifest::deletion`); from there it goes to
//! its file, `<manifest version>.json`, at least once. The layout is `docs/format/manifest.md`.
//!
//! T1  A line of the file has the checksum of the one before it. Files that older versions wrote have none, and are not checked.

use crate::error::{Class, Error, Result};
use crate::fs::{Filesystem, Try, read_whole};
use crate::manifest::Deletion;
use serde_json::{Value, json};
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
    text.extend(checksum(&text).to_string().into_bytes());
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
        entries => entries.map_err(Error::read("list", dir))?,
    };
    Ok(entries.iter().filter_map(|entry| parse(&entry.name)).collect())
}

/// A deletion out of its file.
pub(crate) fn read_deletion(fs: &dyn Filesystem, dir: &Path, version: u64) -> Result<Deletion> {
    let path = dir.join(name(version));
    let file = fs.open(&path).map_err(Error::read("open", &path))?;
    let text = read_whole(file.as_ref(), Try::First).map_err(Error::read("read", &path))?;
    let damaged = |what: String| Error::Damaged { path: path.clone(), what };
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    let (line, rest) = (lines.next().unwrap_or_default(), lines.next());
    if let Some(rest) = rest
        && serde_json::from_slice::<Value>(rest).ok() != Some(checksum(line))
    {
        return Err(damaged("its first line does not match its checksum".to_owned()));
    }
    let value = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
    Deletion::from_json(value).map_err(damaged)
}

/// Reads every file: what is damaged.
pub(crate) fn verify_record(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<Error>> {
    let read = |version| match read_deletion(fs, dir, version) {
        Err(error) if error.class() == Class::Corrupt => Ok(Some(error)),
        read => read.map(|_| None),
    };
    recorded_versions(fs, dir)?.into_iter().map(read).filter_map(Result::transpose).collect()
}

fn checksum(line: &[u8]) -> Value {
    json!({ "crc32c": format!("{:08x}", crc32c::crc32c(line)) })
}

fn name(version: u64) -> String {
    format!("{version:020}.json")
}

fn parse(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}
