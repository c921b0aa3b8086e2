//! Which span of one trace is which of the other? From the roots down, the first of a kind with the first of that kind.
//!
//! Nothing recurses: the trees may be as deep as they have spans.

use super::side::{Key, Side};
use crate::error::Result;
use crate::exec::Control;
use std::collections::{HashMap, VecDeque};

/// No node.
pub(super) const NONE: usize = usize::MAX;

/// A place in both trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    /// The node of the base, or `NONE`.
    pub(super) base: usize,
    /// The node of the other, or `NONE`.
    pub(super) other: usize,
    /// The pair above it, or `NONE`.
    pub(super) parent: usize,
    pub(super) depth: u32,
}

/// All pairs, in the order of a walk through both trees as one.
pub(super) fn pairs(control: &Control, base: &Side<'_>, other: &Side<'_>) -> Result<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::with_capacity(base.nodes.len().max(other.nodes.len()));
    let mut level = Level::default();
    let mut open: Vec<Pair> = Vec::new();
    level.merge(base, other, (None, None));
    open.extend(level.children(NONE, 0).rev());
    while let Some(pair) = open.pop() {
        if pairs.len().is_multiple_of(4096) {
            control.check()?;
        }
        let at = pairs.len();
        pairs.push(pair);
        level.merge(base, other, (Some(pair.base), Some(pair.other)));
        open.extend(level.children(at, pair.depth.saturating_add(1)).rev());
    }
    Ok(pairs)
}

/// The children of a pair; keeps its memory from pair to pair.
#[derive(Debug, Default)]
struct Level {
    base: Vec<usize>,
    other: Vec<usize>,
    /// The others of a key that nobody has taken yet, as places in `other`, in order.
    waiting: HashMap<Key, VecDeque<usize>>,
    /// Which of `other` each of `base` has.
    partner: Vec<Option<usize>>,
    is_taken: Vec<bool>,
    /// Node of the base, node of the other.
    merged: Vec<(usize, usize)>,
}

impl Level {
    /// Matches the children of two nodes, either of which may be `NONE`, or all roots.
    fn merge(&mut self, base: &Side<'_>, other: &Side<'_>, of: (Option<usize>, Option<usize>)) {
        self.base.clear();
        self.other.clear();
        self.merged.clear();
        if of.0 != Some(NONE) {
            self.base.extend(base.children(of.0));
        }
        if of.1 != Some(NONE) {
            self.other.extend(other.children(of.1));
        }
        if self.base.is_empty() || self.other.is_empty() {
            self.merged.extend(self.base.iter().map(|node| (*node, NONE)));
            self.merged.extend(self.other.iter().map(|node| (NONE, *node)));
            return;
        }
        self.find_partners(base, other);
        self.line_up();
    }

    fn find_partners(&mut self, base: &Side<'_>, other: &Side<'_>) {
        self.waiting.clear();
        for (place, node) in self.other.iter().enumerate() {
            if let Some(node) = other.node(*node) {
                self.waiting.entry(node.key).or_default().push_back(place);
            }
        }
        self.is_taken.clear();
        self.is_taken.resize(self.other.len(), false);
        self.partner.clear();
        for node in &self.base {
            let waiting = base.node(*node).and_then(|node| self.waiting.get_mut(&node.key));
            let partner = waiting.and_then(VecDeque::pop_front);
            if let Some(taken) = partner.and_then(|place| self.is_taken.get_mut(place)) {
                *taken = true;
            }
            self.partner.push(partner);
        }
    }

    /// The order of the base; what only the other has stands before the partner of what follows it there.
    fn line_up(&mut self) {
        let mut others = self.other.iter().zip(&self.is_taken).enumerate().peekable();
        for (node, partner) in self.base.iter().zip(&self.partner) {
            let Some(partner) = partner else {
                self.merged.push((*node, NONE));
                continue;
            };
            while let Some((_, (other, is_taken))) = others.next_if(|(place, _)| place < partner) {
                if !is_taken {
                    self.merged.push((NONE, *other));
                }
            }
            self.merged.push((*node, self.other.get(*partner).copied().unwrap_or(NONE)));
        }
        let left = others.filter(|(_, (_, is_taken))| !**is_taken);
        self.merged.extend(left.map(|(_, (other, _))| (NONE, *other)));
    }

    fn children(&self, parent: usize, depth: u32) -> impl DoubleEndedIterator<Item = Pair> + '_ {
        self.merged.iter().map(move |(base, other)| Pair { base: *base, other: *other, parent, depth })
    }
}
