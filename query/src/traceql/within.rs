//! Which spans does a query leave of a trace that is at hand?
//!
//! W1  Every span of the trace takes part, whenever it started. What several spansets have counts once.
//!
//! Not here: which traces there are (`search`), what is read of them (`trace`).

use super::ast::{Query, Root};
use super::pipeline::Plan;
use super::span::Spans;
use super::trace::Tree;
use crate::error::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use storage::scan::TimeRange;

/// A query of spans, ready to be asked of a trace.
#[derive(Debug, Clone)]
pub(crate) struct Within(Plan);

impl Query {
    /// What the query leaves of one trace.
    pub(crate) fn within(&self) -> Result<Within> {
        match &self.root {
            Root::Spans(pipeline) => Plan::new(pipeline).map(Within).map_err(|message| Error::parameter("q", message)),
            Root::Metrics(_) => {
                Err(Error::parameter("q", "this query asks for series; expected one that leaves spans"))
            }
        }
    }
}

impl Within {
    /// The rows that are left of a trace, whose spans some batches hold whole and in all columns.
    pub(crate) fn left(&self, batches: &[RecordBatch]) -> Result<Vec<BooleanBuffer>> {
        let spans: Vec<Spans<'_>> = batches.iter().map(Spans::new).collect::<Result<_>>()?;
        let mut left: Vec<BooleanBufferBuilder> = spans.iter().map(|spans| none_of(spans.rows())).collect();
        let tree = Tree::new(&spans);
        for place in self.0.run(&tree, TimeRange::ALL).iter().flat_map(|set| &set.spans) {
            let Some(spot) = tree.spot(*place) else { continue };
            let batch = spans.iter().position(|spans| std::ptr::eq(spans, spot.spans));
            if let Some(left) = batch.and_then(|batch| left.get_mut(batch)) {
                left.set_bit(spot.row, true);
            }
        }
        Ok(left.iter_mut().map(BooleanBufferBuilder::finish).collect())
    }
}

fn none_of(rows: usize) -> BooleanBufferBuilder {
    let mut none = BooleanBufferBuilder::new(rows);
    none.append_n(rows, false);
    none
}
