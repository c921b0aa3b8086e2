//! How does a change of the blocks become durable and visible, whoever makes it?
//!
//! U1  One manifest commit, then one swap of the view, in the order of versions: whoever publishes holds the publisher.
//! U2  Where the disk refuses to tell whether a commit happened, its blocks are kept until it does, and nothing is published
//!     before.
//! U3  The files of a block that the manifest does not have any more are kept until nobody reads them: readers, and rows in
//!     memory that may be in it already, hold on to a block.

use super::store::{Store, lock};
use crate::block::{Block, BlockId, BlockMeta, Shown, Window};
use crate::error::{Error, Result};
use crate::manifest::{BlockEntry, Commit, Manifest, ManifestStore};
use crate::memtable::Generation;
use crate::model::{Signal, TenantId};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A block in its place that the manifest does not have yet.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) entry: BlockEntry,
    pub(super) block: Arc<Block>,
}

/// A block that the manifest has no more.
#[derive(Debug)]
pub(super) struct Retired {
    block: Option<Arc<Block>>,
    path: PathBuf,
    bytes: u64,
}

/// A commit that happened or did not.
#[derive(Debug)]
struct Doubt {
    /// The version that it makes.
    version: u64,
    placed: Vec<Placed>,
    flushed: Option<Arc<Generation>>,
}

/// Who may change the manifest.
#[derive(Debug)]
pub(super) struct Publisher {
    manifest: ManifestStore,
    doubt: Option<Doubt>,
    retired: Vec<Retired>,
}

impl Publisher {
    pub(super) fn new(manifest: ManifestStore) -> Self {
        Publisher { manifest, doubt: None, retired: Vec::new() }
    }
}

impl Store {
    /// Commits what `change` says in sight of the newest manifest, with the placed blocks, and shows it (E3). Where `change`
    /// says nothing, the blocks are thrown away; whether something was committed.
    pub(super) fn publish(
        &self,
        placed: Vec<Placed>,
        flushed: Option<&Arc<Generation>>,
        change: impl FnOnce(&Manifest) -> Option<Commit>,
    ) -> Result<bool> {
        let mut publisher = lock(&self.publisher);
        if let Err(error) = self.settle_doubt(&mut publisher) {
            self.discard(&placed);
            return Err(error);
        }
        let Some(mut commit) = change(publisher.manifest.current()) else {
            self.discard(&placed);
            return Ok(false);
        };
        let version = publisher.manifest.current().version + 1;
        // What a flush brings is written now; who merges says when its rows were.
        let written = |entry: &BlockEntry| if flushed.is_some() { version } else { entry.written };
        let entries = placed.iter().map(|Placed { entry, .. }| BlockEntry { written: written(entry), ..entry.clone() });
        commit.add.extend(entries);
        match publisher.manifest.commit(commit) {
            Ok(manifest) => {
                self.show_manifest(&mut publisher, manifest, placed, flushed);
                Ok(true)
            }
            Err(error) => {
                publisher.doubt = Some(Doubt { version, placed, flushed: flushed.map(Arc::clone) });
                if self.settle_doubt(&mut publisher)? { Ok(true) } else { Err(error) }
            }
        }
    }

    /// Finds out whether a commit whose outcome is open happened.
    pub(super) fn settle(&self) -> Result<()> {
        self.settle_doubt(&mut lock(&self.publisher)).map(drop)
    }

    /// Whether there was a commit in doubt that did happen.
    fn settle_doubt(&self, publisher: &mut Publisher) -> Result<bool> {
        if publisher.doubt.is_none() {
            return Ok(false);
        }
        let manifest = publisher.manifest.reload()?;
        let Some(Doubt { version, placed, flushed }) = publisher.doubt.take() else { return Ok(false) };
        let happened = manifest.version >= version;
        if happened {
            self.show_manifest(publisher, manifest, placed, flushed.as_ref());
        } else {
            self.discard(&placed);
        }
        Ok(happened)
    }

    /// Shows a committed manifest, in place of a generation if that was flushed.
    fn show_manifest(
        &self,
        publisher: &mut Publisher,
        manifest: Arc<Manifest>,
        placed: Vec<Placed>,
        flushed: Option<&Arc<Generation>>,
    ) {
        let view = self.view();
        let mut opened: HashMap<BlockId, Arc<Block>> = HashMap::new();
        opened.extend(view.blocks.values().flat_map(|blocks| blocks.iter()).map(|each| (each.id, each.block.clone())));
        opened.extend(placed.into_iter().map(|placed| (placed.entry.id, placed.block)));
        let mut unread = BTreeMap::clone(&view.unread);
        unread.extend(manifest.quarantined.iter().map(|(id, reason)| (*id, Arc::clone(reason))));
        unread.retain(|id, _| manifest.blocks.contains_key(id));

        let mut blocks: BTreeMap<(TenantId, Signal), Vec<Shown>> = BTreeMap::new();
        for entry in manifest.by_writing().filter(|entry| !unread.contains_key(&entry.id)) {
            if let Some(block) = opened.get(&entry.id) {
                let shown = Shown::new(entry.id, Arc::clone(block), manifest.hidden_in(&entry.id));
                blocks.entry((entry.tenant.clone(), entry.signal)).or_default().push(shown);
            }
        }
        let gone = view.manifest.blocks.values().filter(|entry| !manifest.blocks.contains_key(&entry.id));
        publisher.retired.extend(gone.map(|entry| Retired {
            block: opened.remove(&entry.id),
            path: self.blocks_dir().join(entry.path()),
            bytes: entry.bytes,
        }));
        drop(opened);
        self.replace_view(|view| {
            view.manifest = manifest;
            view.blocks = blocks.into_iter().map(|(table, blocks)| (table, Arc::new(blocks))).collect();
            view.unread = Arc::new(unread);
            if let Some(flushed) = flushed {
                view.sealed.retain(|sealed| !Arc::ptr_eq(sealed, flushed));
            }
        });
    }

    /// Removes the files of blocks that are neither in the manifest nor read any more (U3).
    pub(super) fn remove_retired(&self) {
        let unread = |retired: &Retired| retired.block.as_ref().is_none_or(|block| Arc::strong_count(block) == 1);
        let removable: Vec<Retired> = lock(&self.publisher).retired.extract_if(.., |retired| unread(retired)).collect();
        let mut left = Vec::new();
        for retired in removable {
            match self.fs.remove_dir_all(&retired.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(dir = %retired.path.display(), %error, "failed to remove a replaced block");
                    left.push(retired);
                }
                _ => {}
            }
        }
        lock(&self.publisher).retired.extend(left);
    }

    /// Bytes of files that will be removed.
    pub(super) fn retired_bytes(&self) -> u64 {
        lock(&self.publisher).retired.iter().map(|retired| retired.bytes).sum()
    }

    /// Lets `write` make a block in a folder of its own, and moves it to its place. Nothing is left behind on failure, or
    /// where it makes none.
    pub(super) fn make_block(
        &self,
        (tenant, signal, window, written): (&TenantId, Signal, Window, u64),
        write: impl FnOnce(&Path) -> Result<Option<BlockMeta>>,
    ) -> Result<Option<Placed>> {
        let id = BlockId::new(self.clock.now_unix_nano(), self.next_nonce());
        let temp = self.temp_dir().join(id.to_string());
        self.fs.create_dir_all(&temp).map_err(Error::io("create", &temp))?;
        let Some(meta) = write(&temp).inspect_err(|_| self.forget(&temp))? else {
            self.forget(&temp);
            return Ok(None);
        };
        let entry = BlockEntry {
            id,
            tenant: tenant.clone(),
            signal,
            window,
            written,
            rows: meta.rows,
            bytes: meta.bytes(),
            min_time: meta.min_time,
            max_time: meta.max_time,
            meta_crc: meta.crc(),
        };
        let path = self.blocks_dir().join(entry.path());
        let moved = self.move_block(&temp, &path);
        let opened = moved.and_then(|()| Block::open(Arc::clone(&self.fs), &path, signal, entry.meta_crc));
        match opened {
            Ok(block) => Ok(Some(Placed { entry, block })),
            Err(error) => {
                self.forget(&temp);
                self.forget(&path);
                Err(error)
            }
        }
    }

    fn move_block(&self, from: &Path, to: &Path) -> Result<()> {
        let parent = to.parent().unwrap_or(to);
        self.fs.create_dir_all(parent).map_err(Error::io("create", parent))?;
        self.fs.rename_new(from, to).map_err(Error::io("move a block to", to))?;
        self.fs.sync_dir(parent).map_err(Error::io("sync", parent))
    }

    /// Removes blocks that will not be committed; what cannot be removed now is removed after the next start.
    pub(super) fn discard(&self, placed: &[Placed]) {
        placed.iter().for_each(|placed| self.forget(&self.blocks_dir().join(placed.entry.path())));
    }

    fn forget(&self, dir: &Path) {
        if let Err(error) = self.fs.remove_dir_all(dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "failed to remove an unpublished block; the next start will");
        }
    }
}
