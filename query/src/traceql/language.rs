//! For tests: spans in words, and the files of `tests/language` that say what queries answer about them.
//!
//! G1  Every case is asked of spans in memory, in blocks, and of some in each, in both orders of arrival: the answers are equal.
//!
//! The format is described in `tests/language/README.md`.

mod differential;
mod early;
mod model;

use super::{Axis, Found, SearchQuery, parse};
use crate::error::Error;
use crate::fixture::{Fixture, block_on};
use model::{BASE, SpanModel, batch, span_of};
use query_api::trace::Order;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use storage::scan::TimeRange;

/// Where spans lie.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Memory,
    Blocks,
    /// The first half in a block, the others in memory.
    Late,
    /// Every other one in a block, the others in another.
    Apart,
}

const LIES: [Lie; 4] = [Lie::Memory, Lie::Blocks, Lie::Late, Lie::Apart];

async fn stored(spans: &[SpanModel], lie: Lie) -> Fixture {
    let fixture = Fixture::new();
    let (first, second): (Vec<SpanModel>, Vec<SpanModel>) = match lie {
        Lie::Memory | Lie::Blocks => (spans.to_vec(), Vec::new()),
        Lie::Late => (spans[..spans.len() / 2].to_vec(), spans[spans.len() / 2..].to_vec()),
        Lie::Apart => {
            let half = |odd: usize| spans.iter().skip(odd).step_by(2).cloned().collect();
            (half(1), half(0))
        }
    };
    for part in [first, second] {
        if part.is_empty() {
            continue;
        }
        fixture.put(batch(&part)).await;
        match lie {
            Lie::Blocks | Lie::Apart => fixture.flush().await,
            Lie::Late if part.len() == spans.len() / 2 && part[0] == spans[0] => fixture.flush().await,
            Lie::Late | Lie::Memory => {}
        }
    }
    fixture
}

fn range() -> TimeRange {
    TimeRange { start: BASE, end: BASE + 1_000 * 1_000_000_000 }
}

/// The traces that a query finds, each with the ids of its spansets and what is told of these.
async fn found(fixture: &Fixture, text: &str) -> Result<Vec<Found>, Error> {
    let search = parse(text)?.search()?;
    let query = SearchQuery { range: range(), order: Order::Newest, limit: 100, spans_per_set: 1000, after: None };
    fixture.run(move |control| search.page(control, &query)).await.map(|(found, _)| found)
}

fn number(id: &str) -> u64 {
    u64::from_str_radix(id, 16).unwrap()
}

fn told(value: &super::Value<'_>) -> String {
    use super::Value;
    match value {
        Value::Nil => "nil".into(),
        Value::Text(text) => text.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Duration(nanos) => super::ast::Static::Duration(*nanos).to_string(),
        Value::Status(code) => super::ast::Static::Status(*code).to_string(),
        Value::Kind(kind) => super::ast::Static::Kind(*kind).to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(told).collect::<Vec<_>>().join(",")),
        Value::Other => "other".into(),
    }
}

/// `trace N: ids [told]; ids`, a line for each trace.
async fn search_lines(fixture: &Fixture, text: &str) -> Vec<String> {
    let found = match found(fixture, text).await {
        Ok(found) => found,
        Err(error) => return vec![format!("fail {}", error.body().error.message)],
    };
    let set = |set: &super::FoundSet| {
        let mut line =
            set.spans.iter().map(|span| number(&span.id.to_string()).to_string()).collect::<Vec<_>>().join(" ");
        for (label, value) in &set.told {
            write!(line, " [{label} = {}]", told(value)).unwrap();
        }
        line
    };
    let line = |found: &Found| {
        let trace = number(&found.summary.trace_id[..2]);
        format!("trace {trace}: {}", found.sets.iter().map(set).collect::<Vec<_>>().join("; "))
    };
    if found.is_empty() { vec!["none".into()] } else { found.iter().map(line).collect() }
}

/// `{labels} values`, a line for each series.
async fn series_lines(fixture: &Fixture, step: i64, end: i64, text: &str) -> Vec<String> {
    const SECOND: i64 = 1_000_000_000;
    let range = TimeRange { start: BASE, end: BASE + end * SECOND };
    let text = text.to_owned();
    let asked = fixture.run(move |control| {
        let axis = Axis::steps(range, step * SECOND)?;
        parse(&text)?.metrics()?.series(control, &axis, 0)
    });
    let answer = match asked.await {
        Ok(answer) => answer,
        Err(error) => return vec![format!("fail {}", error.body().error.message)],
    };
    let value = |value: &f64| if value.is_nan() { "_".to_owned() } else { value.to_string() };
    let line = |series: &super::metric::Series| {
        let labels = series.labels.iter().map(|(name, value)| format!("{name}={}", told(value)));
        let labels = labels.collect::<Vec<_>>().join(", ");
        format!("{{{labels}}} {}", series.values.iter().map(value).collect::<Vec<_>>().join(" "))
    };
    if answer.series.is_empty() { vec!["none".into()] } else { answer.series.iter().map(line).collect() }
}

/// A question of a file, and the lines that answer it.
struct Case {
    at: usize,
    question: String,
    expected: Vec<String>,
}

/// Spans, and what is asked about them.
#[derive(Default)]
struct Scenario {
    spans: Vec<SpanModel>,
    cases: Vec<Case>,
}

fn scenarios(text: &str) -> Vec<Scenario> {
    let mut list = vec![Scenario::default()];
    for (line, at) in text.lines().zip(1..) {
        let words = line.trim();
        if words.is_empty() || words.starts_with('#') {
            continue;
        }
        let current = list.last_mut().unwrap();
        if line.starts_with("  ") {
            current.cases.last_mut().unwrap_or_else(|| panic!("line {at} answers nothing")).expected.push(words.into());
        } else if words == "clear" {
            list.push(Scenario::default());
        } else if let Some(span) = words.strip_prefix("span ") {
            assert!(current.cases.is_empty(), "line {at}: spans stand before the questions, or behind `clear`");
            current.spans.push(span_of(span).unwrap_or_else(|why| panic!("line {at}: {why}")));
        } else {
            current.cases.push(Case { at, question: words.into(), expected: Vec::new() });
        }
    }
    list
}

async fn answer(fixture: &Fixture, question: &str) -> Vec<String> {
    if let Some(query) = question.strip_prefix("find ") {
        return search_lines(fixture, query).await;
    }
    let rest = question.strip_prefix("series ").unwrap_or_else(|| panic!("`find` or `series`: {question}"));
    let mut words = rest.splitn(3, ' ');
    let mut number = || words.next().unwrap().parse::<i64>().unwrap();
    let (step, end) = (number(), number());
    series_lines(fixture, step, end, words.next().unwrap()).await
}

fn agrees(answered: &[String], expected: &[String]) -> bool {
    match expected {
        [only] if only.starts_with("fail") => {
            answered.len() == 1 && answered[0].starts_with("fail") && answered[0].contains(only["fail".len()..].trim())
        }
        _ => answered == expected,
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../tests/language");
    let listed = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = listed.filter(|path| path.to_string_lossy().ends_with(".traceql.test")).collect();
    files.sort();
    files
}

#[test]
fn queries_answer_what_the_language_files_say() {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for file in files() {
        for scenario in scenarios(&std::fs::read_to_string(&file).unwrap()) {
            asked += scenario.cases.len();
            for lie in LIES {
                block_on(async {
                    let fixture = stored(&scenario.spans, lie).await;
                    for case in &scenario.cases {
                        let answered = answer(&fixture, &case.question).await;
                        if !agrees(&answered, &case.expected) {
                            let name = file.file_name().unwrap().to_string_lossy().into_owned();
                            wrong.push(format!(
                                "{name}:{} ({lie:?}): {}\n  {}\nexpected\n  {}",
                                case.at,
                                case.question,
                                answered.join("\n  "),
                                case.expected.join("\n  ")
                            ));
                        }
                    }
                });
            }
        }
    }
    println!("traceql language cases: {asked}");
    assert!(wrong.is_empty(), "{} wrong of {asked} cases in {} places:\n{}", wrong.len(), LIES.len(), wrong.join("\n"));
    assert!(asked >= 300, "only {asked} cases were found");
}
