//! How nearly does PromQL compute what Prometheus computes? The scripts of Prometheus's own suite, in the corpora folder.
//!
//! The engine is tested from inside, by a test of the room `query` that reads the scripts; only its last line counts here. The
//! whole workspace is named, so that no dependency is built twice.
//!
//! Not here: how scripts are read and what must hold of an answer (`query/src/promql/script`).

use super::{Context, Tally};
use anyhow::{Context as _, Result, bail};
use std::process::Stdio;

/// The test that runs the corpus.
const TEST: &str = "promql::script::scripts_of_prometheus_hold";

pub(super) fn run(context: &Context) -> Result<Tally> {
    let output = crate::repo::cargo()
        .args(["test", "--quiet", "--workspace", "--lib", "--", "--exact", TEST, "--nocapture"])
        .current_dir(&context.repo.root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_told = |line: &&str| context.verbose || line.starts_with("  ");
    text.lines().filter(is_told).for_each(|line| println!("{line}"));
    let verdict = text.lines().rev().find_map(|line| line.strip_prefix("promql: "));
    let Some(counts) = verdict else { bail!("the suite did not run to its end") };
    let Some((passed, total)) = counts.split_once(" of ") else { bail!("promql: {counts}") };
    Ok(Tally { passed: passed.parse()?, total: total.parse()? })
}
