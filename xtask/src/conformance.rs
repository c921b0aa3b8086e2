//! How well does the binary keep to a specification? `cargo xtask conformance NAME` runs one suite of cases.
//!
//! A suite is a folder of data cases (`tests/conformance/NAME`, and NAME in the corpora folder where that exists) and a
//! runner that knows their format. `tests/conformance/README.md` describes the formats.
//!
//! F1  The last line on stdout is `NAME: P of T`; the status is 0 only when P equals T and T is not 0.
//! F2  Cases see the binary from outside only: a fresh process with an empty data folder, ports chosen by itself. A suite
//!     about what is inside (`promql`) is a test of its room, which is run here and whose verdict is printed; so is what needs a
//!     client that tasks do without (`jaeger` over gRPC).
//!
//! Not here: what the specification says (the cases).

mod body;
mod case;
mod http;
mod jaeger;
mod otlp;
mod promql;
mod server;
mod traceql;
mod wire;

use crate::Outcome;
use crate::repo::Repo;
use anyhow::{Context as _, Result, bail};
use std::process::{Command, Stdio};

/// What a runner is given.
pub(crate) struct Context {
    /// The repository.
    repo: Repo,
    /// Print every case, not only those that fail.
    verbose: bool,
}

/// How many cases passed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: usize,
    total: usize,
}

/// A suite's name, what it holds, and what runs it.
struct Suite {
    name: &'static str,
    about: &'static str,
    run: fn(&Context) -> Result<Tally>,
}

const SUITES: [Suite; 5] = [
    Suite {
        name: "jaeger",
        about: "Jaeger's searches over its traces, by both HTTP APIs and as a remote storage",
        run: jaeger::run,
    },
    Suite { name: "otlp", about: "OTLP 1.11 over HTTP: statuses, partial success, limits, bad input", run: otlp::run },
    Suite { name: "promql", about: "PromQL: the test scripts of Prometheus 3.14", run: promql::run },
    Suite {
        name: "promql --http",
        about: "the same of a server: by remote write 2 and the HTTP API, in memory, blocks and merged blocks",
        run: promql::run_over_http,
    },
    Suite {
        name: "traceql",
        about: "TraceQL over Tempo's API: what is answered, and what is refused at which stage",
        run: traceql::run,
    },
];

/// Runs the suite that is named.
pub(crate) fn run(options: &[&str]) -> Result<Outcome> {
    let (flags, words): (Vec<&str>, Vec<&str>) = options.iter().partition(|option| **option == "--verbose");
    let (name, verbose) = (words.join(" "), !flags.is_empty());
    if name.is_empty() {
        bail!("say which suite:\n{}", list());
    }
    let Some(suite) = SUITES.iter().find(|suite| suite.name == name) else {
        bail!("there is no suite `{name}`; there are:\n{}", list());
    };
    let context = Context { repo: Repo::find()?, verbose };
    let tally = (suite.run)(&context)?;
    println!("{name}: {} of {}", tally.passed, tally.total);
    Ok(if tally.passed == tally.total && tally.total > 0 { Outcome::Done } else { Outcome::Failed })
}

/// Runs a test that counts by itself.
fn test(context: &Context, binaries: &[&str], test: &str, name: &str) -> Result<Tally> {
    verdict(context, test_command(binaries, test), name)
}

/// The command of a test. The whole workspace is named, so that no dependency is built twice.
fn test_command(binaries: &[&str], test: &str) -> Command {
    let mut command = crate::repo::cargo();
    command.args(["test", "--quiet", "--workspace"]).args(binaries).args(["--", "--exact", test, "--nocapture"]);
    command
}

/// Runs a test and reads its verdict, the last line that begins with the suite's name.
fn verdict(context: &Context, mut command: Command, name: &str) -> Result<Tally> {
    let output =
        command.current_dir(&context.repo.root).stderr(Stdio::inherit()).output().context("cargo cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_told = |line: &&str| context.verbose || line.starts_with("  ");
    text.lines().filter(is_told).for_each(|line| println!("{line}"));
    let verdict = text.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let Some(counts) = verdict else { bail!("{name}: the suite did not run to its end") };
    let Some((passed, total)) = counts.split_once(" of ") else { bail!("{name}: {counts}") };
    Ok(Tally { passed: passed.parse()?, total: total.parse()? })
}

fn list() -> String {
    SUITES.map(|suite| format!("  {:<14} {}", suite.name, suite.about)).join("\n")
}
