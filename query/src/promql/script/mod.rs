//! Does PromQL compute what Prometheus computes? Scripts that load series and say what expressions are worth.
//!
//! The language is that of Prometheus's own test scripts (`promqltest`): `load`, `clear`, `eval instant at`, `eval range from`,
//! and what is expected. Every expression for one moment is asked again with `@` at other moments, and as the middle of a
//! range.
//!
//! - `read`: scripts.
//! - `series`: the notation of series, with histograms.
//! - `memory`: series that were loaded.
//! - `run`: expressions and what is expected of them.

mod memory;
mod read;
mod run;
mod series;

use super::eval::{Settings, evaluate};
use super::parser::MOST_DEPTH;
use super::prepare::Frame;
use run::Tally;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Scripts of a folder, by name.
fn scripts(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => Vec::new(),
    };
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    found
}

fn run_all(scripts: &[PathBuf]) -> Tally {
    let mut all = Tally::default();
    for path in scripts {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let tally = run::run(&name, &std::fs::read_to_string(path).unwrap());
        println!("{name}: {} of {}", tally.passed, tally.total());
        tally.failures.iter().for_each(|failure| println!("  {failure}"));
        all.passed += tally.passed;
        all.failures.extend(tally.failures);
    }
    all
}

#[test]
fn our_scripts_hold() {
    let scripts = scripts(&root().join("tests/language"), ".promql.test");
    assert!(!scripts.is_empty());
    let tally = run_all(&scripts);
    assert_eq!(tally.failures, [""; 0]);
}

#[test]
fn p1_deep_expressions_and_wide_subqueries_end() {
    let memory = memory::Memory::default();
    let evaluated = |text: &str| {
        let frame = Frame { start: 0, end: 60_000, step: 1000 };
        let outcome = evaluate(&memory, Settings::default(), text, frame);
        outcome.answer.map(|_| ()).map_err(|fault| fault.message(text))
    };
    let depth = MOST_DEPTH - 10;
    assert_eq!(evaluated(&format!("{}a{}", "(".repeat(depth), ")".repeat(depth))), Ok(()));
    assert_eq!(evaluated(&format!("{}a", "a + ".repeat(depth))), Ok(()));
    assert_eq!(evaluated(&format!("{}a{}", "abs(".repeat(depth), ")".repeat(depth))), Ok(()));
    assert_eq!(evaluated(&format!("{}a{}", "sum(".repeat(depth), ")".repeat(depth))), Ok(()));
    let wide = evaluated("count_over_time(vector(1)[10y:1ms])").unwrap_err();
    assert!(wide.contains("too many samples"), "{wide}");
}

/// The last line that it prints is `promql: P of T`. Without Prometheus's scripts ours stand in, and it says so.
#[test]
fn scripts_of_prometheus_hold() {
    let folder = std::env::var_os("SPANLIGHT_CORPORA").map_or_else(|| root().join("../shared/corpora"), PathBuf::from);
    let mut found = scripts(&folder.join("promql"), ".test");
    if found.is_empty() {
        println!("there are no scripts of Prometheus in {}; ours run alone", folder.display());
        found = scripts(&root().join("tests/language"), ".promql.test");
    }
    let tally = run_all(&found);
    println!("promql: {} of {}", tally.passed, tally.total());
    assert_eq!(tally.failures.len(), 0);
}
