//! How nearly does PromQL compute what Prometheus computes? The scripts of Prometheus's own suite, in the corpora folder.
//!
//! The engine is tested from inside, by a test of the room `query` that reads the scripts; only its last line counts here.
//!
//! Not here: how scripts are read and what must hold of an answer (`query/src/promql/script`).

use super::{Context, Tally};
use anyhow::Result;

/// The test that runs the corpus.
const TEST: &str = "promql::script::scripts_of_prometheus_hold";

pub(super) fn run(context: &Context) -> Result<Tally> {
    super::test(context, &["--lib"], TEST, "promql")
}
