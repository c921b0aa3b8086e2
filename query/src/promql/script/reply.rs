//! What was answered, by the engine or over HTTP, and is it what a script expects?

use super::read::Eval;
use super::series::{Point, Points};
use crate::promql::eval::Answer;
use crate::series::{Bucket, CUSTOM_SCHEMA, Histogram, Interval, Labels, Value, is_stale};
use std::collections::BTreeMap;

/// By how much, relative to both, numbers may differ.
const TOLERANCE: f64 = 1e-6;

pub(super) type Checked = Result<(), String>;

/// A value as far as the answer tells it.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    Value(Value),
    /// JSON tells a histogram's buckets by their bounds.
    Buckets {
        count: f64,
        sum: f64,
        buckets: Vec<Interval>,
    },
}

/// A series at the steps of an evaluation.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) labels: Labels,
    pub(super) cells: Vec<Option<Seen>>,
}

/// A series with its samples.
pub(super) type Timed = (Labels, Vec<(i64, Seen)>);

/// An answer.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Text(Vec<u8>),
    Scalar(Vec<f64>),
    Instant(Vec<Line>),
    Range(Vec<Timed>),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Text(bytes) => Reply::Text(bytes),
            Answer::Scalar(values) => Reply::Scalar(values),
            Answer::Instant(rows) => Reply::Instant(
                rows.into_iter()
                    .map(|row| Line {
                        labels: row.labels,
                        cells: row.cells.into_iter().map(|cell| cell.map(Seen::Value)).collect(),
                    })
                    .collect(),
            ),
            Answer::Range(series) => Reply::Range(
                series
                    .into_iter()
                    .map(|series| {
                        let samples = series.samples.into_iter();
                        (series.labels, samples.map(|sample| (sample.time, Seen::Value(sample.value))).collect())
                    })
                    .collect(),
            ),
        }
    }
}

impl Reply {
    /// The one step of several.
    pub(super) fn at_step(self, step: usize) -> Reply {
        match self {
            Reply::Scalar(values) => Reply::Scalar(values.get(step).copied().into_iter().collect()),
            Reply::Instant(lines) => {
                let at = |line: Line| Line { cells: line.cells.get(step..=step).unwrap_or_default().to_vec(), ..line };
                let lines = lines.into_iter().map(at);
                Reply::Instant(lines.filter(|line| line.cells.iter().any(Option::is_some)).collect())
            }
            other => other,
        }
    }

    /// Of a range JSON tells no scalars: they are one series without labels.
    pub(super) fn into_scalar(self) -> Reply {
        let Reply::Instant(lines) = &self else { return self };
        let [line] = lines.as_slice() else { return self };
        let floats: Option<Vec<f64>> = line
            .cells
            .iter()
            .map(|cell| match cell {
                Some(Seen::Value(Value::Float(value))) => Some(*value),
                _ => None,
            })
            .collect();
        if line.labels == Labels::default() { floats.map_or(self, Reply::Scalar) } else { self }
    }
}

pub(super) fn compare(eval: &Eval, reply: Reply, start: i64, step: i64) -> Checked {
    match reply {
        Reply::Text(bytes) => match &eval.text {
            // JSON holds no bytes that are not UTF-8.
            Some(text) if *text == bytes || String::from_utf8_lossy(text).as_bytes() == bytes => Ok(()),
            other => Err(format!("got the text {bytes:?}, expected {other:?}")),
        },
        Reply::Scalar(values) if eval.step == 0 => match (eval.scalar, values.first()) {
            (Some(wanted), Some(found)) if almost(wanted, *found) => Ok(()),
            other => Err(format!("expected and got {other:?}")),
        },
        Reply::Scalar(values) => {
            let cells = values.iter().map(|value| Some(Seen::Value(Value::Float(*value)))).collect();
            compare_lines(eval, &[Line { labels: Labels::default(), cells }])
        }
        Reply::Instant(_) if eval.scalar.is_some() => Err("got a vector, expected a number".to_owned()),
        Reply::Instant(lines) => compare_lines(eval, &lines),
        Reply::Range(series) => {
            let lines: Result<Vec<Line>, String> =
                series.into_iter().map(|(labels, samples)| line(labels, &samples, start, step.max(1))).collect();
            compare_lines(eval, &lines?)
        }
    }
}

/// The samples of a range at the steps at which a script expects them.
fn line(labels: Labels, samples: &[(i64, Seen)], start: i64, step: i64) -> Result<Line, String> {
    let last = samples.last().map_or(start, |(time, _)| *time);
    let count = usize::try_from((last - start) / step).map_err(|error| error.to_string())? + 1;
    let mut cells = vec![None; count];
    for (time, value) in samples {
        let place = usize::try_from((time - start) / step).ok().filter(|_| (time - start) % step == 0);
        let cell = place.and_then(|place| cells.get_mut(place));
        *cell.ok_or_else(|| format!("a sample at {time} in {labels}"))? = Some(value.clone());
    }
    Ok(Line { labels, cells })
}

fn compare_lines(eval: &Eval, lines: &[Line]) -> Checked {
    let expected: BTreeMap<&Labels, (usize, &Points)> =
        eval.series.iter().enumerate().map(|(place, (labels, points))| (labels, (place, points))).collect();
    let mut seen = 0;
    for (place, line) in lines.iter().enumerate() {
        let Some((wanted, points)) = expected.get(&line.labels) else {
            return Err(format!("unexpected series {} {:?}", line.labels, line.cells.iter().flatten().next()));
        };
        if eval.ordered && *wanted != place {
            return Err(format!("{} at place {place} instead of {wanted}", line.labels));
        }
        seen += 1;
        for step in 0..points.len().max(line.cells.len()) {
            let wanted = points.get(step).and_then(Option::as_ref);
            let found = line.cells.get(step).and_then(Option::as_ref);
            if !same(wanted, found) {
                let wanted = wanted.map(|point| &point.value);
                return Err(format!("{} at step {step}: expected {wanted:?}, got {found:?}", line.labels));
            }
        }
    }
    if seen != expected.len() {
        let missing = expected.keys().find(|labels| !lines.iter().any(|line| line.labels == ***labels));
        return Err(format!("missing: {missing:?}"));
    }
    Ok(())
}

fn same(wanted: Option<&Point>, found: Option<&Seen>) -> bool {
    let (Some(wanted), Some(found)) = (wanted, found) else { return wanted.is_none() && found.is_none() };
    match (&wanted.value, found) {
        (Value::Float(wanted), Seen::Value(Value::Float(found))) => almost(*wanted, *found),
        (Value::Histogram(a), Seen::Value(Value::Histogram(b))) => {
            same_histogram(a, b) && (!wanted.has_hint || a.hint == b.hint)
        }
        (Value::Histogram(wanted), Seen::Buckets { count, sum, buckets }) => {
            let intervals: Vec<Interval> = wanted.intervals().into_iter().filter(|own| own.count != 0.0).collect();
            let same_bucket = |(a, b): (&Interval, &Interval)| {
                almost(a.lower, b.lower)
                    && almost(a.upper, b.upper)
                    && almost(a.count, b.count)
                    && (a.lower_inclusive, a.upper_inclusive) == (b.lower_inclusive, b.upper_inclusive)
            };
            almost(wanted.count, *count)
                && almost(wanted.sum, *sum)
                && intervals.len() == buckets.len()
                && intervals.iter().zip(buckets).all(same_bucket)
        }
        _ => false,
    }
}

fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
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
}

pub(super) fn almost(a: f64, b: f64) -> bool {
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
