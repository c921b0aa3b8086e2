//! Which rows of a block does a reader see? All but those that a deletion hides.
//!
//! V1  A hidden row is in no answer: not in a scan, not in a trace, not in a merge.
//! V2  What is hidden is fixed when a reader takes its view: blocks and what hides their rows change together.
//! V3  Where a row stands for others (`metric::thin`), it is hidden with any of them that a deletion may hide.
//!
//! Not here: who hides rows, and for how long (`manifest`).

use super::{Block, BlockId, BlockMeta, BlockScan};
use crate::error::Result;
use crate::model::TraceId;
use crate::scan::{Predicate, ScanRequest};
use arrow_array::RecordBatch;
use std::sync::Arc;

/// A block as readers see it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) id: BlockId,
    pub(crate) block: Arc<Block>,
    hidden: Option<Arc<Predicate>>,
}

impl Shown {
    /// A block, without the rows that match one of the predicates.
    pub(crate) fn new(id: BlockId, block: Arc<Block>, hidden: Vec<Predicate>) -> Self {
        let hidden = block.hiding(hidden).map(Arc::new);
        Shown { id, block, hidden }
    }

    /// What is known of the block, hidden rows included.
    pub(crate) fn meta(&self) -> &BlockMeta {
        self.block.meta()
    }

    /// Which rows are hidden, if some may be.
    pub(crate) fn hidden(&self) -> Option<&Predicate> {
        self.hidden.as_deref()
    }

    /// As [`Block::may_hold_trace`].
    pub(crate) fn may_hold_trace(&self, trace: &TraceId) -> bool {
        self.block.may_hold_trace(trace)
    }

    /// The rows that match a request.
    pub(crate) fn scan(&self, request: &Arc<ScanRequest>) -> Result<BlockScan> {
        self.block.scan(&self.shown_request(request))
    }

    /// A request for the rows that match and are not hidden.
    pub(super) fn shown_request(&self, request: &Arc<ScanRequest>) -> Arc<ScanRequest> {
        let Some(hidden) = self.hidden() else { return Arc::clone(request) };
        let shown = Predicate::Not(Box::new(hidden.clone()));
        let predicate = request.predicate.clone().and(shown);
        Arc::new(ScanRequest { predicate, ..ScanRequest::clone(request) })
    }

    /// The rows of a trace, in the requested columns.
    pub(crate) fn trace(&self, trace: &TraceId, columns: &[&'static str]) -> Result<Vec<RecordBatch>> {
        if self.hidden.is_none() {
            return self.block.trace(trace, columns);
        }
        let predicate = Predicate::Trace(*trace);
        let request = ScanRequest { predicate, ..ScanRequest::all(columns.iter().copied()) };
        self.scan(&Arc::new(request))?.collect()
    }
}
