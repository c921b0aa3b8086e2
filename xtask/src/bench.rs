//! How does each measured figure stand beside its target?
//!
//! A benchmark is a bench target (`benches/NAME.rs`, `harness = false`) of any package. It prints what it likes, and for
//! each figure one line on stdout: `bench-row: {"name":…,"value":…,"unit":…,"target":…}`. `target` is `"<= 3"`, `">= 10"`
//! or null for a figure that is only recorded. This task runs them with `cargo bench`, decides `ok`, prints a table with
//! machine and date (Markdown, to be kept in `docs/benchmarks.md`), and writes the rows to `target/bench.json` in the
//! repository: `[{"name","value","unit","target","ok"}, …]`. Rows of benchmarks that a filter leaves out stay there.
//!
//! N1  `ok` follows from `value` and `target` alone; a row that says otherwise is an error.
//! N2  A missed target is reported and is no failure of the task; a benchmark that fails or prints no row is one.
//!
//! Not here: what is measured.

use crate::Outcome;
use crate::repo::{Repo, cargo, locked};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const PREFIX: &str = "bench-row: ";

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    value: f64,
    unit: String,
    target: Option<String>,
    #[serde(default)]
    ok: Option<bool>,
}

/// Runs the benchmarks whose name contains the filter.
pub(crate) fn run(options: &[&str]) -> Result<Outcome> {
    let filter = match options {
        [] => "",
        [filter] => filter,
        more => bail!("one filter at most, not {more:?}"),
    };
    let repo = Repo::find()?;
    let benches: Vec<_> =
        bench_targets(&repo.metadata).into_iter().filter(|(_, bench)| bench.contains(filter)).collect();
    ensure!(!benches.is_empty(), "no benchmark's name contains `{filter}`");
    let mut rows = Vec::new();
    for (package, bench) in &benches {
        eprintln!("bench: {bench} of {package}");
        rows.extend(run_one(&repo, bench).with_context(|| format!("benchmark {bench}"))?);
    }
    println!("{}", table(&rows, &machine(), &jiff::Timestamp::now().to_string()));
    let path = repo.root.join("target/bench.json");
    let kept = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} holds no rows", path.display()))?,
        Err(_) => Vec::new(),
    };
    std::fs::create_dir_all(repo.root.join("target"))?;
    std::fs::write(&path, serde_json::to_string_pretty(&merge(kept, &rows))?)?;
    let met = rows.iter().filter(|row| row.ok == Some(true)).count();
    println!("bench: {met} of {} within target; rows in {}", rows.len(), repo.shorten(&path).display());
    Ok(Outcome::Done)
}

/// Package and name of every bench target, by name.
fn bench_targets(metadata: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    for package in list(metadata, "packages") {
        for target in list(&package, "targets") {
            if list(&target, "kind").iter().any(|kind| kind == "bench") {
                found.push((text(&package, "name"), text(&target, "name")));
            }
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

fn run_one(repo: &Repo, bench: &str) -> Result<Vec<Row>> {
    let mut command = cargo();
    command.args(["bench", "--workspace", "--bench", bench]).args(locked()).current_dir(&repo.root);
    let mut child = command.stdout(Stdio::piped()).spawn().context("failed to start cargo bench")?;
    let stdout = child.stdout.take().context("cargo bench has no stdout")?;
    let mut rows = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        match line.strip_prefix(PREFIX) {
            Some(json) => rows.push(judge(json).with_context(|| format!("row `{json}`"))?),
            None => eprintln!("{line}"),
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(!rows.is_empty(), "it printed no `{PREFIX}` line");
    Ok(rows)
}

/// Reads a row and decides whether the target is met (N1).
fn judge(json: &str) -> Result<Row> {
    let mut row: Row = serde_json::from_str(json)?;
    let ok = match &row.target {
        None => true,
        Some(target) => meets(row.value, target)?,
    };
    ensure!(row.ok.is_none_or(|said| said == ok), "it says ok={:?}, but its target says {ok}", row.ok);
    row.ok = Some(ok);
    Ok(row)
}

/// Does `value` meet a target such as `<= 3`?
fn meets(value: f64, target: &str) -> Result<bool> {
    let bound = |text: &str| text.trim().parse::<f64>().with_context(|| format!("`{target}` has no number"));
    if let Some(most) = target.strip_prefix("<=") {
        Ok(value <= bound(most)?)
    } else if let Some(least) = target.strip_prefix(">=") {
        Ok(value >= bound(least)?)
    } else {
        bail!("a target starts with <= or >=, not `{target}`")
    }
}

/// Rows of earlier runs, replaced by today's where the name is the same.
fn merge(kept: Vec<Row>, new: &[Row]) -> Vec<Row> {
    let mut rows: Vec<Row> = kept.into_iter().filter(|row| new.iter().all(|other| other.name != row.name)).collect();
    rows.extend_from_slice(new);
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn table(rows: &[Row], machine: &str, when: &str) -> String {
    let mut cells = vec![["figure", "value", "unit", "target", ""].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let target = row.target.clone().unwrap_or_else(|| "recorded".to_owned());
        let verdict = if row.ok == Some(true) { "ok" } else { "MISSED" };
        [row.name.clone(), number(row.value), row.unit.clone(), target, verdict.to_owned()]
    }));
    let mut widths = [0; 5];
    for (width, column) in widths.iter_mut().zip(0..) {
        *width = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    }
    let mut text = format!("{machine}, {when}\n\n");
    for (at, row) in cells.iter().enumerate() {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("| {cell:<width$} "));
        text.extend(padded.chain(["|\n".to_owned()]));
        if at == 0 {
            let ruled = widths.map(|width| format!("|{}", "-".repeat(width + 2)));
            text.extend(ruled.into_iter().chain(["|\n".to_owned()]));
        }
    }
    text
}

/// Three significant digits, or all of an integer.
fn number(value: f64) -> String {
    if value.abs() >= 1000.0 || value == value.trunc() {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else if value.abs() >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.2e}")
    }
}

/// Processor and cores, as Linux tells them.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Row {
        judge(json).unwrap()
    }

    #[test]
    fn a_row_is_judged_by_its_target() {
        assert_eq!(row(r#"{"name":"a","value":3,"unit":"x","target":"<= 3"}"#).ok, Some(true));
        assert_eq!(row(r#"{"name":"a","value":3.1,"unit":"x","target":"<= 3"}"#).ok, Some(false));
        assert_eq!(row(r#"{"name":"a","value":3.1,"unit":"x","target":">= 3"}"#).ok, Some(true));
        assert_eq!(row(r#"{"name":"a","value":3,"unit":"x","target":null}"#).ok, Some(true));
    }

    #[test]
    fn a_row_that_praises_itself_is_refused() {
        assert!(judge(r#"{"name":"a","value":4,"unit":"x","target":"<= 3","ok":true}"#).is_err());
        assert!(judge(r#"{"name":"a","value":4,"unit":"x","target":"about 3"}"#).is_err());
        assert!(judge(r#"{"name":"a","value":4,"unit":"x","target":"<= 3","note":"x"}"#).is_err());
    }

    #[test]
    fn new_rows_replace_those_of_the_same_name() {
        let old = vec![row(r#"{"name":"a","value":1,"unit":"x","target":null}"#)];
        let new = [
            row(r#"{"name":"b","value":2,"unit":"x","target":null}"#),
            row(r#"{"name":"a","value":3,"unit":"x","target":null}"#),
        ];
        let merged: Vec<_> = merge(old, &new).into_iter().map(|row| (row.name, row.value)).collect();
        assert_eq!(merged, [("a".to_owned(), 3.0), ("b".to_owned(), 2.0)]);
    }

    #[test]
    fn bench_targets_are_found_in_every_package() {
        let metadata: Value = serde_json::from_str(
            r#"{"packages":[{"name":"p","targets":[{"name":"z","kind":["bench"]},{"name":"l","kind":["lib"]}]},
                {"name":"q","targets":[{"name":"a","kind":["bench"]}]}]}"#,
        )
        .unwrap();
        let expected = [("q", "a"), ("p", "z")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(bench_targets(&metadata), expected);
    }

    #[test]
    fn table_sets_figures_beside_targets() {
        let rows = [
            row(r#"{"name":"ingest","value":3.456,"unit":"x","target":"<= 3"}"#),
            row(r#"{"name":"spans","value":1234567,"unit":"","target":null}"#),
        ];
        let expected = "\
CPU, 2 cores, today

| figure | value   | unit | target   |        |
|--------|---------|------|----------|--------|
| ingest | 3.46    | x    | <= 3     | MISSED |
| spans  | 1234567 |      | recorded | ok     |
";
        assert_eq!(table(&rows, "CPU, 2 cores", "today"), expected);
    }
}
