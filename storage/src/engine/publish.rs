//! How does a change of the blocks become durable and visible, whoever makes it?
//!
//! U1  One manifest commit, then one swap of the view, in the order of versions: whoever publishes holds the publisher.
//! U2  Where the disk refuses to tell whether a commit happened, its blocks are kept until it does, and nothing is published
//!     before.
//!     Where others commit too, a commit in doubt is made again until its number is taken (N10 of `manifest`).
//! U3  The files of a block that the manifest does not have any more are kept until nobody reads them: readers, and rows in
//!     memory that may be in it already, hold on to a block.

use super::recovery::{self, Layout};
use super::share::GRACE;
use super::store::{Store, lock};
use crate::block::{Block, BlockId, BlockMeta, Shown, Window};
use crate::error::{Error, Result};
use crate::manifest::{BlockEntry, Cause, Commit, Manifest, ManifestStore};
use crate::memtable::Generation;
use crate::model::{Signal, TenantId};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a commit is made anew because others were faster, before its maker is told so. Each time somebody has made progress.
const MOST_TRIES: usize = 32;

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
    since: Duration,
}

/// A commit that happened or did not.
#[derive(Debug)]
struct Doubt {
    /// The version that it makes.
    version: u64,
    commit: Commit,
    placed: Vec<Placed>,
    flushed: Option<Arc<Generation>>,
    /// Whether its number is known to be taken, which tells that it is in the manifest already or never will be.
    taken: bool,
}

/// How a commit in doubt turned out.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It happened and is shown.
    Done,
    /// It never will; its blocks are for who made them.
    Undone(Vec<Placed>),
}

/// Whose commits led to a manifest that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    /// Of this process: it removes what it replaced.
    Us,
    /// Others, too.
    Others,
}

/// What is shown besides the blocks that are.
struct News {
    manifest: Arc<Manifest>,
    blocks: Vec<(BlockId, Arc<Block>)>,
    unread: BTreeMap<BlockId, Arc<str>>,
    author: Author,
}

/// Who may change the manifest.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) manifest: ManifestStore,
    doubt: Option<Doubt>,
    retired: Vec<Retired>,
}

impl News {
    fn of_us(manifest: Arc<Manifest>, placed: &[Placed]) -> News {
        let blocks = placed.iter().map(|placed| (placed.entry.id, Arc::clone(&placed.block))).collect();
        News { manifest, blocks, unread: BTreeMap::new(), author: Author::Us }
    }
}

impl Publisher {
    pub(super) fn new(manifest: ManifestStore) -> Self {
        Publisher { manifest, doubt: None, retired: Vec::new() }
    }

    /// Whether the files of a folder are kept for their readers.
    pub(super) fn holds(&self, dir: &Path) -> bool {
        self.retired.iter().any(|retired| retired.path == dir)
    }
}

impl Store {
    /// Commits what `change` says in sight of the newest manifest, with the placed blocks, and shows it (E3). Where `change`
    /// says nothing, the blocks are thrown away; whether something was committed. Where others commit too, `change` is asked
    /// again in sight of what they did.
    pub(super) fn publish(
        &self,
        mut placed: Vec<Placed>,
        flushed: Option<&Arc<Generation>>,
        mut change: impl FnMut(&Manifest) -> Option<Commit>,
    ) -> Result<bool> {
        let mut publisher = lock(&self.publisher);
        for _ in 0..MOST_TRIES {
            if let Err(error) = self.prepare(&mut publisher) {
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
            let entries =
                placed.iter().map(|Placed { entry, .. }| BlockEntry { written: written(entry), ..entry.clone() });
            commit.add.extend(entries);
            let error = match publisher.manifest.commit(commit.clone()) {
                Ok(manifest) => {
                    self.show_manifest(&mut publisher, News::of_us(manifest, &placed), flushed);
                    return Ok(true);
                }
                Err(error) => error,
            };
            let taken = matches!(error, Error::Conflict { .. });
            let again = self.sharing.is_some() && !matches!(error, Error::Request { .. });
            let flushed = flushed.map(Arc::clone);
            publisher.doubt = Some(Doubt { version, commit, placed, flushed, taken });
            match self.settle_doubt(&mut publisher)? {
                Some(Outcome::Undone(back)) if again => placed = back,
                Some(Outcome::Undone(back)) => {
                    self.discard(&back);
                    return Err(error);
                }
                _ => return Ok(true),
            }
        }
        self.discard(&placed);
        Err(Error::Conflict { version: publisher.manifest.current().version + 1 })
    }

    /// Settles what is in doubt, and shows what is committed.
    fn prepare(&self, publisher: &mut Publisher) -> Result<()> {
        if let Some(Outcome::Undone(placed)) = self.settle_doubt(publisher)? {
            self.discard(&placed);
        }
        self.show_newest(publisher)?;
        match &self.sharing {
            Some(sharing) => sharing.check(publisher.manifest.current(), &Layout::new(&self.config.data_dir)),
            None => Ok(()),
        }
    }

    /// Finds out whether a commit whose outcome is open happened.
    pub(super) fn settle(&self) -> Result<()> {
        self.prepare(&mut lock(&self.publisher))
    }

    /// How the commit in doubt turned out, if there is one. After an error it is in doubt still.
    pub(super) fn settle_doubt(&self, publisher: &mut Publisher) -> Result<Option<Outcome>> {
        let Some(doubt) = &mut publisher.doubt else { return Ok(None) };
        let (manifest, happened) = if self.sharing.is_none() {
            let manifest = publisher.manifest.reload()?;
            let happened = manifest.version >= doubt.version;
            (manifest, happened)
        } else {
            // Only a number that is taken is settled (N10).
            let again = if doubt.taken {
                Err(Error::Conflict { version: doubt.version })
            } else {
                publisher.manifest.commit(doubt.commit.clone())
            };
            match again {
                Ok(manifest) => (manifest, true),
                Err(Error::Conflict { .. }) => {
                    doubt.taken = true;
                    let manifest = publisher.manifest.refresh()?;
                    let happened = holds(&manifest, &doubt.commit);
                    (manifest, happened)
                }
                Err(Error::Request { .. }) => (Arc::clone(publisher.manifest.current()), false),
                Err(error) => return Err(error),
            }
        };
        let news = if happened { Some(self.news(publisher, manifest)?) } else { None };
        let Some(Doubt { placed, flushed, .. }) = publisher.doubt.take() else { return Ok(None) };
        let Some(mut news) = news else { return Ok(Some(Outcome::Undone(placed))) };
        news.blocks.extend(placed.into_iter().map(|placed| (placed.entry.id, placed.block)));
        self.show_manifest(publisher, news, flushed.as_ref());
        Ok(Some(Outcome::Done))
    }

    /// Shows the newest manifest that is known, if it is not shown already.
    pub(super) fn show_newest(&self, publisher: &mut Publisher) -> Result<()> {
        let manifest = Arc::clone(publisher.manifest.current());
        if manifest.version != self.view().manifest.version {
            let news = self.news(publisher, manifest)?;
            self.show_manifest(publisher, news, None);
        }
        Ok(())
    }

    /// What a manifest has that is not shown; opens blocks that others wrote.
    fn news(&self, publisher: &Publisher, manifest: Arc<Manifest>) -> Result<News> {
        let view = self.view();
        let own: &[Placed] = publisher.doubt.as_ref().map_or(&[], |doubt| &doubt.placed);
        let is_new = |entry: &&Arc<BlockEntry>| {
            !view.manifest.blocks.contains_key(&entry.id)
                && !manifest.quarantined.contains_key(&entry.id)
                && own.iter().all(|placed| placed.entry.id != entry.id)
        };
        let of_others: Vec<&Arc<BlockEntry>> = manifest.blocks.values().filter(is_new).collect();
        let next_is_ours = manifest.version == view.manifest.version + 1 && of_others.is_empty() && !own.is_empty();
        let author = if next_is_ours || self.sharing.is_none() { Author::Us } else { Author::Others };
        let found = recovery::open_shared(&self.fs, &Layout::new(&self.config.data_dir), &of_others)?;
        Ok(News { manifest, blocks: found.blocks.into_iter().collect(), unread: found.unread, author })
    }

    /// Shows a committed manifest, in place of a generation if that was flushed.
    fn show_manifest(&self, publisher: &mut Publisher, news: News, flushed: Option<&Arc<Generation>>) {
        let News { manifest, author, .. } = news;
        let view = self.view();
        let mut opened: HashMap<BlockId, Arc<Block>> = HashMap::new();
        opened.extend(view.blocks.values().flat_map(|blocks| blocks.iter()).map(|each| (each.id, each.block.clone())));
        let made: Vec<(BlockId, Arc<Block>)> = news.blocks.clone();
        opened.extend(news.blocks);
        let mut unread = BTreeMap::clone(&view.unread);
        unread.extend(news.unread);
        unread.extend(manifest.quarantined.iter().map(|(id, reason)| (*id, Arc::clone(reason))));
        unread.retain(|id, _| manifest.blocks.contains_key(id));
        // Rows that cannot be read are as good as gone to those that came again.
        unread.keys().filter_map(|id| opened.get(id)).for_each(|block| block.fate().expire(manifest.version));

        let mut blocks: BTreeMap<(TenantId, Signal), Vec<Shown>> = BTreeMap::new();
        for entry in manifest.by_writing().filter(|entry| !unread.contains_key(&entry.id)) {
            if let Some(block) = opened.get(&entry.id) {
                let shown = Shown::new(entry.id, Arc::clone(block), manifest.hidden_in(&entry.id));
                blocks.entry((entry.tenant.clone(), entry.signal)).or_default().push(shown);
            }
        }
        let gone = view.manifest.blocks.values().filter(|entry| !manifest.blocks.contains_key(&entry.id));
        let gone: Vec<&Arc<BlockEntry>> = gone.filter(|_| author == Author::Us).collect();
        // Before anyone sees this manifest; who sees an older one goes by its version.
        for entry in &gone {
            // Of what is merged together each window has a block of its own.
            let window = |id: &BlockId| manifest.blocks.get(id).map(|entry| entry.window);
            let merged = made.iter().find(|(id, _)| window(id) == Some(entry.window)).or(made.first());
            if let Some(block) = opened.get(&entry.id) {
                decide_fate(block, &manifest, merged.map(|(_, block)| block.as_ref()));
            }
        }
        let since = self.clock.monotonic();
        publisher.retired.extend(gone.into_iter().map(|entry| Retired {
            block: opened.remove(&entry.id),
            path: self.blocks_dir().join(entry.path()),
            bytes: entry.bytes,
            since,
        }));
        drop(opened);
        self.replace_view(|view| {
            view.manifest = manifest;
            view.blocks = blocks.into_iter().map(|(table, blocks)| (table, Arc::new(blocks))).collect();
            view.unread = Arc::new(unread);
            if let Some(flushed) = flushed {
                view.sealed.retain(|sealed| !Arc::ptr_eq(sealed, flushed));
            }
            view.forget_unless_joined(since);
        });
    }

    /// Removes the files of blocks that are neither in the manifest nor read any more (U3).
    pub(super) fn remove_retired(&self) {
        let now = self.clock.monotonic();
        let unread = |retired: &Retired| {
            let here = retired.block.as_ref().is_none_or(|block| Arc::strong_count(block) == 1);
            here && (self.sharing.is_none() || now.saturating_sub(retired.since) >= GRACE)
        };
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
        let nonce = self.next_nonce();
        let temp = self.temp_dir().join(nonce.to_string());
        self.fs.create_dir_all(&temp).map_err(Error::io("create", &temp))?;
        let Some(meta) = write(&temp).inspect_err(|_| self.forget(&temp))? else {
            self.forget(&temp);
            return Ok(None);
        };
        // A clock that is behind makes no blocks that nobody may commit (N12), nor does a merge that took long.
        let floor = i64::try_from(self.view().manifest.floor).unwrap_or(i64::MAX);
        let id = BlockId::new(self.clock.now_unix_nano().max(floor), nonce);
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
            resolution: meta.resolution,
            undecided: false,
            grown_at: None,
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

/// Says what became of a block that a commit of ours let go of: retention took it, or its rows are in the block that came.
fn decide_fate(block: &Block, manifest: &Manifest, merged: Option<&Block>) {
    let deletion = manifest.deletions.get(&manifest.version);
    if deletion.is_some_and(|deletion| deletion.cause != Cause::Request) {
        block.fate().expire(manifest.version);
    } else if let Some(merged) = merged {
        block.fate().merge_into(merged.fate());
    }
}

/// Whether a commit led to a manifest: one of its blocks is there, or its checkpoint, which nobody else sets.
fn holds(manifest: &Manifest, commit: &Commit) -> bool {
    let block = commit.add.iter().any(|entry| manifest.blocks.contains_key(&entry.id));
    block || commit.checkpoints.iter().any(|(name, value)| manifest.checkpoints.get(name) == Some(value))
}
