//! Does PromQL compute what Prometheus computes? Scripts that load series and say what expressions are worth.
//!
//! The language is that of Prometheus's own test scripts (`promqltest`): `load`, `clear`, `eval instant at`, `eval range from`,
//! and what is expected. Every expression for one moment is asked again with `@` at other moments, and as the middle of a
//! range.
//!
//! - `read`: scripts.
//! - `series`: the notation of series, with histograms; `load`: their samples.
//! - `memory`: series that were loaded.
//! - `run`: expressions and what is expected of them; `reply`: whether an answer is that.
//! - `stages`: all of it once more, of a server over HTTP; `door`, `remote`: how it is asked and filled.

mod door;
mod load;
mod memory;
mod read;
mod remote;
mod reply;
mod run;
mod series;
mod stages;

use super::eval::{Settings, evaluate};
use super::parser::MOST_DEPTH;
use super::prepare::Frame;
use crate::series::{Labels, NAME, Sample, Value};
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
        all.add(tally);
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
    let half = depth / 2;
    assert_eq!(evaluated(&format!("{}a{}", "(a + ".repeat(half), ")".repeat(half))), Ok(()));
    let wide = evaluated("count_over_time(vector(1)[10y:1ms])").unwrap_err();
    assert!(wide.contains("too many samples"), "{wide}");
}

/// Series of which some match and some do not.
fn some_series() -> memory::Memory {
    let mut memory = memory::Memory::default();
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        for group in 0..3 {
            let labels = Labels::new([(NAME, name), ("group", ["x", "y", "z"][group])]);
            for step in (0..10_usize).filter(|step| step % 3 != place || group == 0) {
                let time = i64::try_from(step).unwrap() * 60_000;
                let value = Value::Float((step * 7 + group * 3 + place) as f64);
                memory.add(&labels, Sample { time, start: 0, value });
            }
        }
    }
    memory
}

/// An operator after the other is what parentheses say: of `or`, whose vectors are added to one set, and of all others.
#[test]
fn a_chain_is_worth_what_its_parts_in_parentheses_are() {
    const OPERATORS: [&str; 13] = [
        "*",
        "/ on (group)",
        "+",
        "- ignoring (none)",
        ">=",
        "< bool",
        "and",
        "unless on (group)",
        "or",
        "or",
        "or on (group)",
        "or on ()",
        "or ignoring (group)",
    ];
    const OPERANDS: [&str; 8] = ["a", "b", "c", "a{group=\"x\"}", "-b", "2 * c", "(a or b)", "vector(3)"];
    let memory = some_series();
    let worth = |text: &str| {
        let frame = Frame { start: 0, end: 540_000, step: 60_000 };
        let settings = Settings { lookback: 30_000, ..Settings::default() };
        format!("{:?}", evaluate(&memory, settings, text, frame).answer.map_err(|fault| fault.message(text)))
    };
    let mut state = 7_u64;
    let mut chosen = |count: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % count
    };
    let mut vectors = 0;
    for _ in 0..400 {
        // Those that bind stronger first, so that all are read from the left.
        let mut operators: Vec<usize> = (0..2 + chosen(6)).map(|_| chosen(OPERATORS.len())).collect();
        operators.sort_unstable();
        let first = OPERANDS[chosen(OPERANDS.len())];
        let (mut plain, mut nested) = (first.to_owned(), first.to_owned());
        for operator in operators {
            let (operator, right) = (OPERATORS[operator], OPERANDS[chosen(OPERANDS.len())]);
            let right = if right.contains('*') { "c" } else { right };
            plain = format!("{plain} {operator} {right}");
            nested = format!("({nested}) {operator} {right}");
        }
        let (plain_worth, nested_worth) = (worth(&plain), worth(&nested));
        vectors += usize::from(plain_worth.starts_with("Ok") && plain_worth.contains("Some"));
        assert_eq!(plain_worth, nested_worth, "{plain}");
    }
    assert!(vectors > 100, "{vectors}");
}

/// Prometheus's scripts; without them ours stand in, which is said.
fn scripts_of_prometheus() -> Vec<PathBuf> {
    let folder = std::env::var_os("SPANLIGHT_CORPORA").map_or_else(|| root().join("../shared/corpora"), PathBuf::from);
    let found = scripts(&folder.join("promql"), ".test");
    if !found.is_empty() {
        return found;
    }
    println!("there are no scripts of Prometheus in {}; ours run alone", folder.display());
    scripts(&root().join("tests/language"), ".promql.test")
}

/// The last line that it prints is `promql: P of T`.
#[test]
fn scripts_of_prometheus_hold() {
    let tally = run_all(&scripts_of_prometheus());
    println!("promql: {} of {}", tally.passed, tally.total());
    assert_eq!(tally.failures.len(), 0);
}

/// Asks the server that `SPANLIGHT_BIN` names (`cargo xtask conformance promql --http`); without one it says so and passes. The last
/// line is `promql --http: P of T`, where T counts each evaluation in memory, in blocks and in merged blocks.
#[test]
fn scripts_of_prometheus_hold_over_http() {
    let Some(binary) = std::env::var_os("SPANLIGHT_BIN") else {
        println!("not run: SPANLIGHT_BIN names no server");
        return;
    };
    let tally = stages::run_all(&binary, &scripts_of_prometheus());
    println!("promql --http: {} of {}", tally.passed, tally.total());
    assert_eq!(tally.failures.len(), 0);
}
