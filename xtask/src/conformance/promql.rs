//! How nearly does PromQL compute what Prometheus computes? The scripts of Prometheus's own suite, in the corpora folder.
//!
//! The engine is tested from inside, by a test of the room `query` that reads the scripts; only its last line counts here. So is a
//! server, by a test beside that one, which has the scripts' language: it gets the server from here.
//!
//! Not here: how scripts are read and what must hold of an answer (`query/src/promql/script`).

use super::{Context, Tally, server};
use anyhow::Result;

/// The tests that run the corpus.
const TEST: &str = "promql::script::scripts_of_prometheus_hold";
const TEST_OVER_HTTP: &str = "promql::script::scripts_of_prometheus_hold_over_http";

pub(super) fn run(context: &Context) -> Result<Tally> {
    super::test(context, &["--lib"], TEST, "promql")
}

pub(super) fn run_over_http(context: &Context) -> Result<Tally> {
    let binary = server::binary(&context.repo)?;
    let mut command = super::test_command(&["--lib"], TEST_OVER_HTTP);
    command.env("SPANLIGHT_BIN", binary);
    super::verdict(context, command, "promql --http")
}
