//! For tests: spans in words, and the files of `tests/language` that say what queries answer about them.
//!
//! G1  Every case is asked of spans in memory, in blocks, in merged blocks, and of some in each, in both orders of arrival, and
//!     over HTTP: the answers are equal.
//!
//! The format is described in `tests/language/README.md`.

mod differential;
mod early;
mod http;
mod model;

use super::ast::Root;
use super::columnar::{Columnar, Sought};
use super::pipeline::Plan;
use super::{Axis, Found, SearchQuery, parse};
use crate::error::Error;
use crate::exec::Control;
use crate::fixture::{Fixture, block_on};
use model::{BASE, SpanModel, batch, span_of};
use query_api::trace::Order;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use storage::model::schema::column;
use storage::scan::{ScanOrder, TimeRange};

/// Where spans lie.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Memory,
    Blocks,
    /// The first half in a block, the others in memory.
    Late,
    /// Every other one in a block, the others in another.
    Apart,
    /// The same, and the two blocks merged.
    Merged,
}

const LIES: [Lie; 5] = [Lie::Memory, Lie::Blocks, Lie::Late, Lie::Apart, Lie::Merged];

async fn stored(spans: &[SpanModel], lie: Lie) -> Fixture {
    let (first, second): (Vec<SpanModel>, Vec<SpanModel>) = match lie {
        Lie::Memory | Lie::Blocks => (spans.to_vec(), Vec::new()),
        Lie::Late => (spans[..spans.len() / 2].to_vec(), spans[spans.len() / 2..].to_vec()),
        Lie::Apart | Lie::Merged => {
            let half = |odd: usize| spans.iter().skip(odd).step_by(2).cloned().collect();
            (half(1), half(0))
        }
    };
    let parts = [first, second].into_iter().filter(|part| !part.is_empty());
    if let Lie::Merged = lie {
        return Fixture::merged(parts.map(|part| batch(&part)).collect());
    }
    let fixture = Fixture::new();
    for part in parts {
        fixture.put(batch(&part)).await;
        match lie {
            Lie::Blocks | Lie::Apart => fixture.flush().await,
            Lie::Late if part.len() == spans.len() / 2 && part[0] == spans[0] => fixture.flush().await,
            Lie::Late | Lie::Memory | Lie::Merged => {}
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

/// Of the spans that a query relates: how many row groups tell, whole and apart, and how many memory.
async fn told_by_groups(spans: &[SpanModel], lie: Lie, text: &str) -> [usize; 3] {
    let Root::Spans(pipeline) = parse(text).unwrap().root else { panic!("{text}") };
    let columnar = Columnar::new(&Plan::new(&pipeline).unwrap()).unwrap();
    let asked = move |control: &Control| {
        let sought = Sought { range: range(), order: ScanOrder::Any, threshold: None };
        let mut scan = columnar.scan(control, &sought)?.unwrap();
        let in_memory = columnar.in_memory(&mut scan, range(), [column::TRACE_ID])?;
        let mut told = [0, 0, in_memory.iter().map(|batch| batch.num_rows()).sum()];
        while scan.advance()? {
            if let Some(left) = columnar.left(control, &mut scan)? {
                told[0] += left.whole.count_set_bits();
                told[1] += left.apart.count_set_bits();
            }
        }
        Ok(told)
    };
    stored(spans, lie).await.run(asked).await.unwrap()
}

#[test]
fn what_lies_whole_in_a_row_group_is_told_by_it() {
    let span = |text: &str| span_of(text).unwrap();
    let spans = [span("1 1"), span("1 2 parent=1"), span("1 3 parent=2 name=leaf"), span("1 4 parent=1 name=leaf")];
    let query = "{ name = \"op\" } >> { name = \"leaf\" } && { kind = internal }";
    for (lie, expected) in [
        (Lie::Memory, [0, 0, 4]),
        (Lie::Blocks, [4, 0, 0]),
        (Lie::Late, [0, 2, 2]),
        (Lie::Apart, [0, 4, 0]),
        (Lie::Merged, [4, 0, 0]),
    ] {
        assert_eq!(block_on(told_by_groups(&spans, lie, query)), expected, "{lie:?}");
    }
    let plan = |text: &str| {
        let Root::Spans(pipeline) = parse(text).unwrap().root else { panic!("{text}") };
        Columnar::new(&Plan::new(&pipeline).unwrap()).map(|columnar| (columnar.is_whole, columnar.relates))
    };
    assert_eq!(plan("{ .a = 1 } > { } | select(.b)"), Some((true, true)));
    assert_eq!(plan("{ .a = 1 } > { } | count() > 1"), Some((false, true)));
    assert_eq!(plan("{ .a = 1 } > { rootName = \"x\" }"), None);
    assert_eq!(plan("{ name = \"x\" }"), None, "the index says all of it");
    assert_eq!(plan("{ name =~ \"x.*y\" } | count() > 1"), Some((false, false)));
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
                        let over_http = http::answer(&fixture, &case.question).await;
                        let expected: Vec<String> = case.expected.iter().map(|line| http::plain(line)).collect();
                        if !agrees(&over_http, &expected) {
                            wrong.push(format!(
                                "line {} over HTTP: {}\n  {}",
                                case.at,
                                case.question,
                                over_http.join("\n  ")
                            ));
                        }
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
