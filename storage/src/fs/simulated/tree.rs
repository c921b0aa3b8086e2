//! Which names are there, and which would be after power loss?
//!
//! Changes of names are kept in the order in which they were made. Of each directory, power loss keeps a prefix of its
//! changes; a rename between two directories is in both prefixes or in neither, as on a journalling file system.

use super::Loss;
use super::content::Content;
use rand::RngExt;
use rand_pcg::Pcg64;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

pub(super) type NodeId = u64;
const ROOT: NodeId = 0;

/// A file or directory, whatever its names.
#[derive(Debug, Clone)]
enum Node {
    File(Content),
    Dir(Dir),
}

#[derive(Debug, Clone, Default)]
struct Dir {
    durable: BTreeMap<String, NodeId>,
    current: BTreeMap<String, NodeId>,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    dir: NodeId,
    name: String,
}

/// A change of names that is not durable yet.
#[derive(Debug, Clone)]
enum Change {
    Put(Place, NodeId),
    Remove(Place),
    Move(Place, Place, NodeId),
}

impl Change {
    fn node(&self) -> Option<NodeId> {
        match self {
            Change::Put(_, node) | Change::Move(_, _, node) => Some(*node),
            Change::Remove(_) => None,
        }
    }

    fn dirs(&self) -> Vec<NodeId> {
        match self {
            Change::Put(place, _) | Change::Remove(place) => vec![place.dir],
            Change::Move(from, to, _) => vec![from.dir, to.dir],
        }
    }
}

/// All files and directories of a disk.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    changes: Vec<Change>,
    next: NodeId,
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree { nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]), changes: Vec::new(), next: ROOT + 1 }
    }

    /// The file or directory of a path.
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        names(path)?.iter().try_fold(ROOT, |dir, name| self.child(dir, name))
    }

    fn child(&self, dir: NodeId, name: &str) -> io::Result<NodeId> {
        self.entries(dir)?.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Where a path's last name is or would be; its directory exists.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let mut names = names(path)?;
        let name = names.pop().ok_or(ErrorKind::InvalidInput)?;
        let dir = names.iter().try_fold(ROOT, |dir, name| self.child(dir, name))?;
        self.entries(dir)?;
        Ok(Place { dir, name })
    }

    /// The names in a directory.
    pub(super) fn entries(&self, dir: NodeId) -> io::Result<&BTreeMap<String, NodeId>> {
        match self.nodes.get(&dir) {
            Some(Node::Dir(dir)) => Ok(&dir.current),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn is_dir(&self, node: NodeId) -> bool {
        matches!(self.nodes.get(&node), Some(Node::Dir(_)))
    }

    pub(super) fn node_at(&self, place: &Place) -> Option<NodeId> {
        self.child(place.dir, &place.name).ok()
    }

    pub(super) fn file(&self, node: NodeId) -> io::Result<&Content> {
        match self.nodes.get(&node) {
            Some(Node::File(content)) => Ok(content),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file_mut(&mut self, node: NodeId) -> io::Result<&mut Content> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(content)) => Ok(content),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn put_file(&mut self, place: Place, content: Content) -> NodeId {
        self.put(place, Node::File(content))
    }

    pub(super) fn put_dir(&mut self, place: Place) -> NodeId {
        self.put(place, Node::Dir(Dir::default()))
    }

    fn put(&mut self, place: Place, node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.change(Change::Put(place, id));
        id
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.change(Change::Remove(place));
    }

    pub(super) fn rename(&mut self, from: Place, to: Place, node: NodeId) {
        self.change(Change::Move(from, to, node));
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.nodes, &change, |dir| &mut dir.current);
        self.changes.push(change);
    }

    /// Makes the changes of a directory durable, and those of others that they stand upon.
    pub(super) fn sync(&mut self, dir: NodeId) {
        let mut dirs = BTreeSet::from([dir]);
        let mut later = Vec::new();
        let mut synced = Vec::new();
        for change in std::mem::take(&mut self.changes).into_iter().rev() {
            if change.dirs().iter().any(|dir| dirs.contains(dir)) {
                dirs.extend(change.dirs());
                synced.push(change);
            } else {
                later.push(change);
            }
        }
        later.reverse();
        self.changes = later;
        for change in synced.iter().rev() {
            apply(&mut self.nodes, change, |dir| &mut dir.durable);
        }
    }

    /// What is left after a crash. Files without a name are gone.
    pub(super) fn crash(&mut self, rng: &mut Pcg64, loss: Loss) {
        if loss != Loss::None {
            self.lose_changes(rng, loss);
        }
        self.forget_nameless();
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.crash(rng, loss),
                Node::Dir(dir) if loss != Loss::None => dir.current.clone_from(&dir.durable),
                Node::Dir(_) => {}
            }
        }
        if loss != Loss::None {
            self.forget_nameless();
        }
    }

    fn lose_changes(&mut self, rng: &mut Pcg64, loss: Loss) {
        let keep = if loss == Loss::All { 0.0 } else { [0.0, 0.5, 0.9, 1.0][rng.random_range(0..4_usize)] };
        let mut cut_off = BTreeSet::new();
        for change in std::mem::take(&mut self.changes) {
            let dirs = change.dirs();
            if dirs.iter().any(|dir| cut_off.contains(dir)) || !rng.random_bool(keep) {
                cut_off.extend(dirs);
            } else {
                apply(&mut self.nodes, &change, |dir| &mut dir.durable);
            }
        }
    }

    fn forget_nameless(&mut self) {
        let mut named = BTreeSet::new();
        let mut open = vec![ROOT];
        // Power loss may bring back a name that a process, dead by now, gave and took.
        open.extend(self.changes.iter().filter_map(Change::node));
        while let Some(node) = open.pop() {
            if named.insert(node)
                && let Some(Node::Dir(dir)) = self.nodes.get(&node)
            {
                open.extend(dir.current.values().chain(dir.durable.values()));
            }
        }
        self.nodes.retain(|node, _| named.contains(node));
        self.changes.retain(|change| change.dirs().iter().all(|dir| named.contains(dir)));
    }

    /// Bytes of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let mut open = vec![ROOT];
        let mut used = 0;
        while let Some(node) = open.pop() {
            match self.nodes.get(&node) {
                Some(Node::File(content)) => used += content.bytes_len(),
                Some(Node::Dir(dir)) => open.extend(dir.current.values()),
                None => {}
            }
        }
        used
    }
}

fn apply(
    nodes: &mut BTreeMap<NodeId, Node>,
    change: &Change,
    view: impl Fn(&mut Dir) -> &mut BTreeMap<String, NodeId>,
) {
    let mut set = |place: &Place, node: Option<NodeId>| {
        let Some(Node::Dir(dir)) = nodes.get_mut(&place.dir) else { return };
        match node {
            Some(node) => view(dir).insert(place.name.clone(), node),
            None => view(dir).remove(&place.name),
        };
    };
    match change {
        Change::Put(place, node) => set(place, Some(*node)),
        Change::Remove(place) => set(place, None),
        Change::Move(from, to, node) => {
            set(from, None);
            set(to, Some(*node));
        }
    }
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or(ErrorKind::InvalidInput)?.to_owned()),
            Component::ParentDir | Component::Prefix(_) => return Err(ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}
