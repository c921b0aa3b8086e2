//! Which span is whose parent, and how is a tree of any depth numbered?
//!
//! Spans are in the order of their trace (N2 of the module above), and stand for each other by their places in it.

use super::{MOST_SPANS, Nested, TreeSpan};
use std::collections::HashMap;

/// OTLP's numbers of the two sides of a call.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// The ids of a trace of this size are searched one by one; beyond it by a map.
const SMALL_TRACE: usize = 32;
/// No place.
const NONE: usize = usize::MAX;

/// A span, by what is said of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) kind: i32,
}

impl Named {
    pub(super) fn of(span: &TreeSpan) -> Self {
        Named {
            id: u64::from_be_bytes(span.id.0),
            parent: span.parent.map(|parent| u64::from_be_bytes(parent.0)),
            kind: span.kind,
        }
    }
}

/// What a span's parent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    /// It names none.
    None,
    /// It names one that is not there.
    Missing,
    /// The span at that place.
    At(usize),
}

/// The spans of one id, as far as they are somebody's choice (N3).
#[derive(Debug, Clone, Copy)]
struct Bearers {
    first: usize,
    second: usize,
    server: usize,
    client: usize,
}

impl Bearers {
    const NOBODY: Bearers = Bearers { first: NONE, second: NONE, server: NONE, client: NONE };

    fn add(&mut self, place: usize, kind: i32) {
        let slot = if self.first == NONE { &mut self.first } else { &mut self.second };
        *slot = (*slot).min(place);
        match kind {
            SERVER => self.server = self.server.min(place),
            CLIENT => self.client = self.client.min(place),
            _ => {}
        }
    }

    /// Whom of them a span takes for its parent.
    fn parent_of(self, place: usize, kind: i32) -> Parent {
        let first = if self.first == place { self.second } else { self.first };
        // Never the span itself, which is of another kind.
        let preferred = if kind == SERVER { self.client } else { self.server };
        match if preferred == NONE { first } else { preferred } {
            NONE => Parent::Missing,
            parent => Parent::At(parent),
        }
    }
}

/// The parents of the spans of one trace, appended in their order.
pub(crate) fn parents(spans: &[Named], out: &mut Vec<Parent>) {
    let mut bearers: HashMap<u64, Bearers> = HashMap::new();
    if spans.len() > SMALL_TRACE {
        bearers.reserve(spans.len());
        for (place, span) in spans.iter().enumerate() {
            bearers.entry(span.id).or_insert(Bearers::NOBODY).add(place, span.kind);
        }
    }
    for (place, span) in spans.iter().enumerate() {
        let Some(parent) = span.parent else {
            out.push(Parent::None);
            continue;
        };
        let found = if spans.len() > SMALL_TRACE {
            bearers.get(&parent).copied().unwrap_or(Bearers::NOBODY)
        } else {
            let mut found = Bearers::NOBODY;
            let named = spans.iter().enumerate().filter(|(_, other)| other.id == parent);
            named.for_each(|(place, other)| found.add(place, other.kind));
            found
        };
        out.push(found.parent_of(place, span.kind));
    }
}

/// Numbers trees one after the other, and keeps its working memory.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// The parent of each span; roots have none.
    up: Vec<usize>,
    seen: Vec<usize>,
    first_child: Vec<usize>,
    next_sibling: Vec<usize>,
}

impl Numbering {
    /// The numbers of the spans of one trace by their parents, appended in their order.
    pub(crate) fn number(&mut self, parents: &[Parent], out: &mut Vec<Option<Nested>>) {
        let count = parents.len();
        if count > MOST_SPANS {
            out.resize(out.len() + count, None);
            return;
        }
        self.up.clear();
        self.up.extend(parents.iter().map(|parent| match *parent {
            Parent::At(place) if place < count => place,
            _ => NONE,
        }));
        self.break_cycles();
        let mut nested: Vec<Nested> = parents
            .iter()
            .map(|parent| Nested {
                left: 0,
                right: 0,
                parent: if *parent == Parent::None { -1 } else { 0 },
                children: 0,
            })
            .collect();
        self.link_children(&mut nested);
        let mut bound = 0;
        for root in 0..count {
            if self.up[root] == NONE {
                self.walk(root, &mut bound, &mut nested);
            }
        }
        out.extend(nested.into_iter().map(Some));
    }

    /// Makes the first span of each cycle a root. Every span is passed once.
    fn break_cycles(&mut self) {
        self.seen.clear();
        self.seen.resize(self.up.len(), NONE);
        for start in 0..self.up.len() {
            let mut place = start;
            while place != NONE && self.seen[place] == NONE {
                self.seen[place] = start;
                place = self.up[place];
            }
            if place == NONE || self.seen[place] != start {
                continue;
            }
            // The way up led back to itself.
            let (mut first, mut other) = (place, self.up[place]);
            while other != place {
                first = first.min(other);
                other = self.up[other];
            }
            self.up[first] = NONE;
        }
    }

    fn link_children(&mut self, nested: &mut [Nested]) {
        for links in [&mut self.first_child, &mut self.next_sibling] {
            links.clear();
            links.resize(self.up.len(), NONE);
        }
        // From the last to the first, so that the first child is the one linked last.
        for place in (0..self.up.len()).rev() {
            let parent = self.up[place];
            if parent != NONE {
                self.next_sibling[place] = std::mem::replace(&mut self.first_child[parent], place);
                nested[parent].children += 1;
            }
        }
    }

    /// Numbers a tree from its root on.
    fn walk(&self, root: usize, bound: &mut i32, nested: &mut [Nested]) {
        let mut next = || {
            *bound += 1;
            *bound
        };
        let mut place = root;
        loop {
            nested[place].left = next();
            let child = self.first_child[place];
            if child != NONE {
                nested[child].parent = nested[place].left;
                place = child;
                continue;
            }
            loop {
                nested[place].right = next();
                if place == root {
                    return;
                }
                let (parent, sibling) = (self.up[place], self.next_sibling[place]);
                if sibling != NONE {
                    nested[sibling].parent = nested[parent].left;
                    place = sibling;
                    break;
                }
                place = parent;
            }
        }
    }
}
