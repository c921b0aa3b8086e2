//! Where does a span stand in the tree of its trace?
//!
//! A trace's spans are numbered in the order of a walk through its tree: left on the way in, right on the way out, from 1 on.
//! So a span is another's descendant where its numbers lie between the other's, its child where its parent's number is the
//! other's left, its sibling where the two have the same positive parent's number.
//!
//! N1  Every list of spans has numbers, whatever it says of parents: 1 to 2n, each once, left before right, those of a child
//!     within those of its parent. Only traces of more than [`MOST_SPANS`] spans have none.
//! N2  Roots, and the children of a span, stand by start, then span id, then as they came.
//! N3  The parent of a span is the span with the id that it names, itself left out. Of several a server span takes the first
//!     client span, as where both sides of a call share an id, another span the first server span, else each the first.
//! N4  A span without parent has the parent's number -1; one whose parent is not there 0, and so has, of spans that are each
//!     other's ancestors, the first. Both are roots.
//! N5  Time and memory grow with the number of spans, not with the depth.
//!
//! Within a block the numbers are derived from the rows' parents when they are asked for (`block::nest`). They hold for the
//! rows of that block: where a trace may have spans elsewhere ([`crate::engine::Snapshot::holds_trace_whole`] tells), all of
//! them are read and [`with_numbers`] is asked.
//!
//! Not here: where spans are found.

mod columns;
mod lineage;
mod tree;

pub use columns::with_numbers;
pub(crate) use columns::{column_of, numbers_of};
pub use lineage::Lineage;
pub(crate) use lineage::LineageBuilder;
pub(crate) use tree::{Named, Numbering, Parent, parents};

use crate::model::SpanId;

/// Traces of more spans have no numbers: a sender that gives all its spans one trace id must not cost memory without end.
pub const MOST_SPANS: usize = 1 << 20;

/// The numbers of a span in the tree of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nested {
    /// On the way in.
    pub left: i32,
    /// On the way out.
    pub right: i32,
    /// The parent's `left`; -1 for a span without parent, 0 for one whose parent is not there (N4).
    pub parent: i32,
    /// How many children it has.
    pub children: i32,
}

/// What the place of a span depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeSpan {
    /// Its id.
    pub id: SpanId,
    /// The parent that it names.
    pub parent: Option<SpanId>,
    /// Start, Unix nanoseconds.
    pub start: i64,
    /// OTLP's number of the kind.
    pub kind: i32,
}

/// The numbers of the spans of one trace, in the order of the spans.
pub fn nest(spans: &[TreeSpan]) -> Vec<Option<Nested>> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&place| spans.get(place).map(|span| (span.start, span.id.0)));
    let sorted: Vec<Named> = order.iter().filter_map(|&place| spans.get(place)).map(Named::of).collect();
    let (mut found, mut numbers) = (Vec::with_capacity(spans.len()), Vec::with_capacity(spans.len()));
    parents(&sorted, &mut found);
    Numbering::default().number(&found, &mut numbers);
    let mut nested = vec![None; spans.len()];
    for (place, numbers) in order.into_iter().zip(numbers) {
        if let Some(slot) = nested.get_mut(place) {
            *slot = numbers;
        }
    }
    nested
}

#[cfg(test)]
mod tests;
