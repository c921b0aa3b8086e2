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
use crate::exec::Control;
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
    pub(crate) fn left(&self, control: &Control, batches: &[RecordBatch]) -> Result<Vec<BooleanBuffer>> {
        let spans: Vec<Spans<'_>> = batches.iter().map(Spans::new).collect::<Result<_>>()?;
        let mut left: Vec<BooleanBufferBuilder> = spans.iter().map(|spans| none_of(spans.rows())).collect();
        let tree = Tree::new(&spans);
        for place in self.0.run(control, &tree, TimeRange::ALL)?.iter().flat_map(|set| &set.spans) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::exec::QueryContext;
    use crate::fixture::{Fixture, TestSpan, context, spans};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_chain_ends_when_the_time_of_its_query_is_over() {
        let chains = [
            "{ } &>> { }",
            "{ } && { }",
            "{ } ~ { }",
            "({ } | count() > 0) || { }",
            "{ name = `a` }",
            "{ } | by(name) | count() > 0",
        ];
        let (tell, told) = std::sync::mpsc::channel();
        let asked = move |control: &Control| {
            let batch = spans(&[TestSpan::default()]).columns().clone();
            while control.check().is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            for query in chains {
                let left = crate::traceql::parse(query)?.within()?.left(control, std::slice::from_ref(&batch));
                tell.send((query, left.is_err())).map_err(|_| Error::Cancelled)?;
            }
            Ok(())
        };
        let fixture = Fixture::new();
        let soon = QueryContext { timeout: Duration::from_millis(500), ..context() };
        // It may be answered that the time is over before the work notices.
        drop(fixture.executor(Config::default()).run(soon, asked).await);
        let told: Vec<_> = tokio::task::block_in_place(|| told.iter().collect());
        assert_eq!(told, chains.map(|query| (query, true)));
    }
}
