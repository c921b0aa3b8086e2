//! Does a script hold?

use super::memory::Memory;
use super::read::{Command, Eval, Load, Wanted, commands};
use super::series::{Point, Points};
use crate::promql::ast::{At, Expr};
use crate::promql::eval::{Answer, Settings, evaluate};
use crate::promql::note::{Level, Notes};
use crate::promql::parser;
use crate::promql::prepare::{Frame, UNSAFE_AT};
use crate::series::{Bucket, CUSTOM_SCHEMA, Histogram, Labels, NAME, Row, Sample, Value, is_stale};
use std::collections::BTreeMap;

/// By how much, relative to both, numbers may differ.
const TOLERANCE: f64 = 1e-6;

/// How many evaluations held, and what is wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failures: Vec<String>,
}

impl Tally {
    pub(super) fn total(&self) -> usize {
        self.passed + self.failures.len()
    }
}

pub(super) fn run(name: &str, script: &str) -> Tally {
    let mut memory = Memory::default();
    let mut tally = Tally::default();
    for command in commands(script) {
        match command {
            Err((line, message)) => tally.failures.push(format!("{name}:{line}: {message}")),
            Ok(Command::Clear) => memory = Memory::default(),
            Ok(Command::Load(load)) => fill(&mut memory, &load),
            Ok(Command::Eval(eval)) => match check(&eval, &memory) {
                Ok(()) => tally.passed += 1,
                Err(message) => {
                    tally.failures.push(format!("{name}:{}: {}: {message}", eval.line, eval.expression));
                }
            },
        }
    }
    tally
}

fn fill(memory: &mut Memory, load: &Load) {
    let mut classic: BTreeMap<Labels, BTreeMap<i64, Histogram>> = BTreeMap::new();
    for loaded in &load.series {
        for (step, point) in (0i64..).zip(&loaded.points) {
            let Some(point) = point else { continue };
            let time = step * load.step;
            let start = loaded.starts.get(usize::try_from(step).unwrap()).copied().flatten();
            let sample = Sample { time, start: start.map_or(0, |start| time + start), value: point.value.clone() };
            memory.add(&loaded.labels, sample);
            if let (true, Some(value)) = (load.with_custom_buckets, point.value.float()) {
                collect_classic(&mut classic, &loaded.labels, time, value);
            }
        }
    }
    for (labels, histograms) in classic {
        for (time, collected) in histograms {
            memory.add(&labels, Sample { time, start: 0, value: custom(&collected).into() });
        }
    }
}

/// Cumulative counts are kept as buckets of their bounds until all are there.
fn collect_classic(classic: &mut BTreeMap<Labels, BTreeMap<i64, Histogram>>, labels: &Labels, time: i64, value: f64) {
    let name = labels.name();
    let Some((base, part)) =
        ["_bucket", "_sum", "_count"].iter().find_map(|part| Some((name.strip_suffix(part)?, *part)))
    else {
        return;
    };
    let le: Option<f64> = labels.get("le").parse().ok();
    if part == "_bucket" && le.is_none() {
        return;
    }
    let labels = labels.with(NAME, base).without_label("le");
    let histogram = classic.entry(labels).or_default().entry(time).or_default();
    match part {
        "_sum" => histogram.sum = value,
        "_count" => histogram.count = value,
        _ => {
            let le = le.unwrap();
            let mut bounds = histogram.bounds.to_vec();
            let place = bounds.partition_point(|bound| *bound < le);
            bounds.insert(place, le);
            histogram.bounds = bounds.into();
            histogram.positive.insert(place, Bucket { index: 0, count: value });
        }
    }
}

fn custom(collected: &Histogram) -> Histogram {
    let mut bounds = collected.bounds.to_vec();
    let mut counts: Vec<f64> = collected.positive.iter().map(|bucket| bucket.count).collect();
    let count = if collected.count == 0.0 { counts.last().copied().unwrap_or_default() } else { collected.count };
    if bounds.last() == Some(&f64::INFINITY) {
        bounds.pop();
    } else {
        counts.push(count);
    }
    let mut before = 0.0;
    let positive = (0..).zip(counts).map(|(index, count)| {
        let bucket = Bucket { index, count: count - before };
        before = count;
        bucket
    });
    let positive = positive.collect();
    let mut histogram = Histogram {
        schema: CUSTOM_SCHEMA,
        count,
        sum: collected.sum,
        positive,
        bounds: bounds.into(),
        ..Histogram::default()
    };
    histogram.compact();
    histogram
}

type Checked = Result<(), String>;

fn check(eval: &Eval, memory: &Memory) -> Checked {
    if eval.step != 0 {
        let frame = Frame { start: eval.start, end: eval.end, step: eval.step };
        let Some(answer) = evaluated(eval, memory, &eval.expression, frame)? else { return Ok(()) };
        return compare(eval, &answer, eval.start, eval.step);
    }
    check_instant(eval, memory, &eval.expression, eval.start)?;
    let printed = parser::parse(&eval.expression).map_err(|fault| fault.message(&eval.expression))?.to_string();
    let again = parser::parse(&printed).map_err(|fault| format!("{printed}: {}", fault.message(&printed)))?;
    if again.to_string() != printed {
        return Err(format!("printed as {printed}, then as {again}"));
    }
    for (expression, time) in with_at(&eval.expression, eval.start) {
        check_instant(eval, memory, &expression, time).map_err(|error| format!("{expression} at {time}: {error}"))?;
    }
    Ok(())
}

/// `None` where a failure was expected and came.
fn evaluated(eval: &Eval, memory: &Memory, expression: &str, frame: Frame) -> Result<Option<Answer>, String> {
    let outcome = evaluate(memory, Settings::default(), expression, frame);
    match (outcome.answer, &eval.fails) {
        (Err(fault), Some(wanted)) => {
            let message = fault.message(expression);
            if wanted.accepts(&message) { Ok(None) } else { Err(format!("failed otherwise: {message}")) }
        }
        (Err(fault), None) => Err(format!("failed: {}", fault.message(expression))),
        (Ok(_), Some(_)) => Err("did not fail".to_owned()),
        (Ok(answer), None) => {
            check_notes(eval, expression, &outcome.notes)?;
            Ok(Some(answer))
        }
    }
}

fn check_notes(eval: &Eval, expression: &str, notes: &Notes) -> Checked {
    let levels = [(Level::Warning, &eval.warnings, eval.no_warnings), (Level::Info, &eval.infos, eval.no_infos)];
    for (level, wanted, none) in levels {
        let texts = notes.texts(level, expression);
        if none && !texts.is_empty() {
            return Err(format!("unexpected notes: {texts:?}"));
        }
        if let Some(missing) = wanted.iter().find(|wanted| !texts.iter().any(|text| wanted.accepts(text))) {
            return Err(format!("no note as {missing:?}, only {texts:?}"));
        }
        let unwanted = |text: &&String| !wanted.iter().any(|wanted: &Wanted| wanted.accepts(text));
        if let Some(text) = texts.iter().find(unwanted).filter(|_| !wanted.is_empty()) {
            return Err(format!("unexpected note: {text}"));
        }
    }
    Ok(())
}

fn check_instant(eval: &Eval, memory: &Memory, expression: &str, time: i64) -> Checked {
    let frame = Frame { start: time, end: time, step: 0 };
    let Some(answer) = evaluated(eval, memory, expression, frame)? else { return Ok(()) };
    let (start, step) = eval.range.unwrap_or((time, 1));
    compare(eval, &answer, start, step)?;
    let is_bound = ["start()", "end()", "range()", "step()"].iter().any(|call| expression.contains(call));
    if eval.range.is_some() || eval.text.is_some() || is_bound {
        return Ok(());
    }
    // The same as the middle of a range.
    let frame = Frame { start: time - 60_000, end: time + 60_000, step: 60_000 };
    let outcome = evaluate(memory, Settings::default(), expression, frame);
    let answer = outcome.answer.map_err(|fault| format!("failed as a range: {}", fault.message(expression)))?;
    if eval.ordered {
        return Ok(());
    }
    let middle = match answer {
        Answer::Scalar(values) => Answer::Scalar(values.into_iter().skip(1).take(1).collect()),
        Answer::Instant(rows) => {
            let rows = rows.into_iter().map(|row| Row { cells: row.cells.get(1..2).unwrap().to_vec(), ..row });
            Answer::Instant(rows.filter(Row::has_value).collect())
        }
        other => other,
    };
    compare(eval, &middle, time, 1).map_err(|error| format!("as a range: {error}"))
}

/// The expression with `@` on every selector, to be asked at other moments; none if its value changes with the moment.
fn with_at(expression: &str, time: i64) -> Vec<(String, i64)> {
    let Ok(mut expr) = parser::parse(expression) else { return Vec::new() };
    if !pin(&mut expr, time) {
        return Vec::new();
    }
    let printed = expr.to_string();
    let moments = if time == 0 { vec![-1000, 0, 1000] } else { vec![-10 * time, 0, time / 5, time, 10 * time] };
    moments.into_iter().map(|moment| (printed.clone(), moment)).collect()
}

fn pin(expr: &mut Expr, time: i64) -> bool {
    let at = Some(At::Time(time));
    match expr {
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Vector(selector) => {
            pin_shift(&mut selector.shift.at, at);
            true
        }
        Expr::Range(range) => {
            pin_shift(&mut range.selector.shift.at, at);
            true
        }
        // What is inside is seen from there.
        Expr::Subquery(subquery) => {
            pin_shift(&mut subquery.shift.at, at);
            true
        }
        Expr::Call(call) => {
            let is_safe = !UNSAFE_AT.contains(&call.function.name);
            call.args.iter_mut().map(|arg| pin(arg, time)).fold(is_safe, |all, one| all && one)
        }
        Expr::Aggregate(aggregate) => {
            let param = aggregate.param.as_mut().is_none_or(|param| pin(param, time));
            pin(&mut aggregate.expr, time) && param
        }
        Expr::Binary(binary) => {
            let left = pin(&mut binary.left, time);
            pin(&mut binary.right, time) && left
        }
        Expr::Unary(unary) => pin(&mut unary.expr, time),
        Expr::Paren(paren) => pin(&mut paren.expr, time),
        Expr::Invariant(inner) => pin(inner, time),
    }
}

fn pin_shift(own: &mut Option<At>, at: Option<At>) {
    if !matches!(own, Some(At::Time(_))) {
        *own = at;
    }
}

fn compare(eval: &Eval, answer: &Answer, start: i64, step: i64) -> Checked {
    match answer {
        Answer::Text(bytes) => match &eval.text {
            Some(text) if text == bytes => Ok(()),
            other => Err(format!("got the text {bytes:?}, expected {other:?}")),
        },
        Answer::Scalar(values) if eval.step == 0 => match (eval.scalar, values.first()) {
            (Some(wanted), Some(found)) if almost(wanted, *found) => Ok(()),
            other => Err(format!("expected and got {other:?}")),
        },
        Answer::Scalar(values) => {
            let cells = values.iter().map(|value| Some(Value::Float(*value))).collect();
            let row = Row { labels: Labels::default(), drop_name: false, cells };
            compare_rows(eval, &[row])
        }
        Answer::Instant(_) if eval.scalar.is_some() => Err("got a vector, expected a number".to_owned()),
        Answer::Instant(rows) => compare_rows(eval, rows),
        Answer::Range(series) => {
            let rows: Result<Vec<Row>, String> = series
                .iter()
                .map(|series| {
                    let last = series.samples.last().map_or(start, |sample| sample.time);
                    let count = usize::try_from((last - start) / step.max(1)).map_err(|error| error.to_string())? + 1;
                    let mut row = Row::empty(series.labels.clone(), count);
                    for sample in &series.samples {
                        let off = (sample.time - start) % step.max(1);
                        let place = usize::try_from((sample.time - start) / step.max(1)).ok();
                        let cell = place.filter(|_| off == 0).and_then(|place| row.cells.get_mut(place));
                        *cell.ok_or_else(|| format!("a sample at {} in {}", sample.time, series.labels))? =
                            Some(sample.value.clone());
                    }
                    Ok(row)
                })
                .collect();
            compare_rows(eval, &rows?)
        }
    }
}

fn compare_rows(eval: &Eval, rows: &[Row]) -> Checked {
    let expected: BTreeMap<&Labels, (usize, &Points)> =
        eval.series.iter().enumerate().map(|(place, (labels, points))| (labels, (place, points))).collect();
    let mut seen = 0;
    for (place, row) in rows.iter().enumerate() {
        let Some((wanted, points)) = expected.get(&row.labels) else {
            return Err(format!("unexpected series {} {:?}", row.labels, row.cells.iter().flatten().next()));
        };
        if eval.ordered && *wanted != place {
            return Err(format!("{} at place {place} instead of {wanted}", row.labels));
        }
        seen += 1;
        let count = points.len().max(row.cells.len());
        for step in 0..count {
            let wanted = points.get(step).and_then(Option::as_ref);
            let found = row.cells.get(step).and_then(Option::as_ref);
            if !same(wanted, found) {
                let wanted = wanted.map(|point| &point.value);
                return Err(format!("{} at step {step}: expected {wanted:?}, got {found:?}", row.labels));
            }
        }
    }
    if seen != expected.len() {
        let missing = expected.keys().find(|labels| !rows.iter().any(|row| row.labels == ***labels));
        return Err(format!("missing: {missing:?}"));
    }
    Ok(())
}

fn same(wanted: Option<&Point>, found: Option<&Value>) -> bool {
    let Some(wanted) = wanted else { return found.is_none() };
    match (&wanted.value, found) {
        (Value::Float(wanted), Some(Value::Float(found))) => almost(*wanted, *found),
        (Value::Histogram(a), Some(Value::Histogram(b))) => {
            let (mut a, mut b) = (a.as_ref().clone(), b.as_ref().clone());
            a.compact();
            b.compact();
            let same_buckets = |a: &[Bucket], b: &[Bucket]| {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.index == b.index && almost(a.count, b.count))
            };
            a.schema == b.schema
                && almost(a.count, b.count)
                && almost(a.sum, b.sum)
                && (a.schema != CUSTOM_SCHEMA || a.bounds == b.bounds)
                && a.zero_threshold == b.zero_threshold
                && almost(a.zero_count, b.zero_count)
                && same_buckets(&a.positive, &b.positive)
                && same_buckets(&a.negative, &b.negative)
                && (!wanted.has_hint || a.hint == b.hint)
        }
        _ => false,
    }
}

fn almost(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}
