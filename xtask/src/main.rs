//! How is the web bundle built, a conformance suite run, a benchmark set beside its target? `cargo xtask TASK`.
//!
//! X1  A task's answer goes to stdout, its last line being the verdict; progress goes to stderr.
//! X2  Exit status: 0 done, 1 failed, 2 wrong arguments, 3 a tool is missing that the caller may do without.
//! X3  No product crate is a dependency: what is tested here is the binary, from outside.
//!
//! Not here: what must hold of the tree itself (`tests/tidy.rs`), installing packages (`scripts/setup.sh`).

#![expect(clippy::print_stdout, reason = "X1: this is a command-line program")]

mod bench;
mod conformance;
mod repo;
mod web;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask web                    build web/dist, unless it is up to date (--force: always)
cargo xtask conformance NAME       run a suite and print `NAME: P of T` (--verbose: every case)
cargo xtask bench [FILTER]         run the benchmarks whose name contains FILTER, print them beside their targets";

/// How a task ended when it did not fail.
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// It ran, and the answer is no: failed cases.
    Failed,
    /// A tool is missing; the caller may go on without (X2).
    ToolMissing,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["web", options @ ..] => web::run(options),
        ["conformance", options @ ..] => conformance::run(options),
        ["bench", options @ ..] => bench::run(options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::ToolMissing) => ExitCode::from(3),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(1)
        }
    }
}
