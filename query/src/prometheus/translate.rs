//! Which series of Prometheus does a stored series become?
//!
//! What bears Prometheus's names already (`storage::model::verbatim`) becomes itself: name, labels and numbers stay.

use super::naming::Named;
use super::origin::{Strategy, attribute_labels};
use crate::series::number::plain;
use crate::series::{Bucket, CUSTOM_SCHEMA, Hint, Histogram, Labels, NAME, Sample, Stand, Value, stale};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::metric::{Doubles, Label, Samples, Series};
use storage::model::attribute::{Map, Value as AttributeValue};
use storage::model::record::{self, Number};
use storage::model::verbatim::{FLOAT_COUNTS, ResetHint, Role, TYPE_KEY};

/// OTLP's numbers of what a metric is.
pub(super) const GAUGE: i32 = 1;
pub(super) const SUM: i32 = 2;
pub(super) const HISTOGRAM: i32 = 3;
pub(super) const EXPONENTIAL: i32 = 4;
pub(super) const SUMMARY: i32 = 5;

pub(super) const DELTA: i32 = 1;
const NO_RECORDED_VALUE: u32 = 1;

/// The finest schema of native histograms, and the coarsest.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// The zero bucket's width where the sender did not tell it.
const ZERO_THRESHOLD: f64 = 1e-128;

/// The samples of a series, and what those that were thinned stand for.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) samples: Vec<Sample>,
    pub(super) stands: Vec<Stand>,
}

/// Series by their labels.
pub(super) type Gathered = BTreeMap<Labels, Translated>;

/// What a series that bears Prometheus's names is for; `None` where it does not.
pub(super) fn role(series: &Series) -> Option<Role> {
    Role::of(&series.scope)
}

/// Whether the points of a series are samples.
pub(super) fn has_samples(series: &Series) -> bool {
    role(series).is_none_or(|role| role == Role::Samples)
}

/// What the sender called the type of a series that bears Prometheus's names; empty where it told none.
pub(super) fn told_type(series: &Series) -> String {
    Map::new(&series.metadata).get(TYPE_KEY).map_or_else(String::new, |value| match value {
        storage::model::attribute::Value::String(text) => text.to_owned(),
        _ => String::new(),
    })
}

/// A metric's name in Prometheus, without the suffixes of its parts.
pub(super) fn base_name(series: &Series, strategy: &Strategy) -> Option<String> {
    if role(series).is_some() {
        return Some(series.name.to_string());
    }
    let is_counter = series.r#type == SUM && series.is_monotonic;
    // A sum that may fall is told to be a gauge, but it is no share of anything.
    let is_gauge = series.r#type == GAUGE;
    Named { name: &series.name, unit: &series.unit, is_counter, is_gauge }.metric(strategy.translation)
}

/// Names of the series that a metric of this kind becomes.
pub(super) fn names(series: &Series, strategy: &Strategy) -> Vec<String> {
    let Some(base) = base_name(series, strategy) else { return Vec::new() };
    if role(series).is_some() {
        return vec![base];
    }
    let suffixes: &[&str] = match series.r#type {
        HISTOGRAM => &["_bucket", "_sum", "_count"],
        SUMMARY => &["", "_sum", "_count"],
        _ => &[""],
    };
    suffixes.iter().map(|suffix| format!("{base}{suffix}")).collect()
}

/// The labels of a series that bears Prometheus's names, the name left out.
fn verbatim_labels(series: &Series) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
    series.attributes().iter().map(|(key, value)| {
        let value = match value {
            AttributeValue::String(text) => Arc::from(text),
            _ => Label::Point(key.to_owned()).value(series).into(),
        };
        (Arc::from(key), value)
    })
}

/// The labels that all series of a stored one have, the name left out.
pub(super) fn own_labels(series: &Series, strategy: &Strategy) -> Labels {
    if role(series).is_some() {
        return Labels::new(verbatim_labels(series));
    }
    let attributes = attribute_labels(series.attributes().iter(), strategy.translation);
    let part = match series.r#type {
        HISTOGRAM => Some("le"),
        SUMMARY => Some("quantile"),
        _ => None,
    };
    strategy.origin(series).labels(attributes, part)
}

/// The labels of the resource's `target_info`; `None` where it would tell nothing.
pub(super) fn target_labels(series: &Series, strategy: &Strategy) -> Option<Labels> {
    if role(series).is_some() { None } else { strategy.origin(series).target.clone() }
}

/// The labels of the one series that a stored one becomes whose samples are numbers and tell nothing more; `None` where it becomes
/// others.
pub(super) fn labels_of_numbers(series: &Series, strategy: &Strategy) -> Option<Labels> {
    let is_one = matches!(series.r#type, GAUGE | SUM) && has_samples(series);
    let base = base_name(series, strategy).filter(|_| is_one)?;
    if role(series).is_some() {
        // Nearly sorted so: most names are behind this one.
        let others = verbatim_labels(series).filter(|(name, _)| **name != *NAME);
        return Some(Labels::new([(NAME.into(), base.into())].into_iter().chain(others)));
    }
    Some(own_labels(series, strategy).with(NAME, &base))
}

/// Moments, where there are some.
type Times = Option<Arc<[i64]>>;

/// Times in milliseconds, of series one after the other that mostly share them.
#[derive(Default)]
pub(super) struct Clock {
    last: Option<(Arc<[i64]>, Times)>,
}

impl Clock {
    /// Nanoseconds as milliseconds; `None` where two would be one.
    pub(super) fn milliseconds(&mut self, nanoseconds: &Arc<[i64]>) -> Option<Arc<[i64]>> {
        if let Some((_, known)) = self.last.as_ref().filter(|(of, _)| Arc::ptr_eq(of, nanoseconds)) {
            return known.clone();
        }
        let times: Arc<[i64]> = nanoseconds.iter().map(|time| milliseconds(*time)).collect();
        let times = times.is_sorted_by(|a, b| a < b).then_some(times);
        self.last = Some((Arc::clone(nanoseconds), times.clone()));
        times
    }
}

/// Doubles as samples.
pub(super) fn samples_of(doubles: &Doubles) -> Vec<Sample> {
    let sample =
        |(time, value): (&i64, &f64)| Sample { time: milliseconds(*time), start: 0, value: Value::Float(*value) };
    doubles.times.iter().zip(&doubles.values).map(sample).collect()
}

fn milliseconds(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000)
}

/// Translates one stored series.
pub(super) struct Translation<'a> {
    samples: &'a Samples,
    base: String,
    labels: Labels,
    is_delta: bool,
    is_verbatim: bool,
    into: &'a mut Gathered,
}

/// What a sample that was thinned tells of those that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// All that is known of numbers.
    Numbers,
    /// How many there were; it counts.
    Counts,
    /// How many there were.
    Alone,
}

impl<'a> Translation<'a> {
    /// Adds the samples of a stored series to those of Prometheus's.
    pub(super) fn run(series: &Series, samples: &'a Samples, strategy: &Strategy, into: &'a mut Gathered) {
        let Some(base) = base_name(series, strategy) else { return };
        let is_delta = series.temporality == DELTA;
        let (labels, is_verbatim) = (own_labels(series, strategy), role(series).is_some());
        let mut translation = Translation { samples, base, labels, is_delta, is_verbatim, into };
        match series.r#type {
            _ if !has_samples(series) => {}
            GAUGE | SUM => translation.numbers(),
            HISTOGRAM if is_verbatim => translation.native(Translation::custom),
            HISTOGRAM => translation.classic(),
            EXPONENTIAL => translation.native(Translation::histogram),
            SUMMARY => translation.summary(),
            _ => {}
        }
    }

    fn sample(&self, row: usize, value: Value) -> Option<Sample> {
        let time = milliseconds(*self.samples.times().get(row)?);
        let start = self.samples.start_time(row).filter(|start| self.is_verbatim || *start > 0).map_or(0, milliseconds);
        Some(Sample { time, start, value })
    }

    fn is_gone(&self, row: usize) -> bool {
        self.samples.flags(row) & NO_RECORDED_VALUE != 0
    }

    fn push(&mut self, labels: &Labels, row: usize, value: f64, tells: Tells) {
        let value = if self.is_gone(row) { stale() } else { value };
        let Some(sample) = self.sample(row, Value::Float(value)) else { return };
        let stand = self.stand(row, sample.time, tells);
        if !self.into.contains_key(labels) {
            self.into.insert(labels.clone(), Translated::default());
        }
        let Some(own) = self.into.get_mut(labels) else { return };
        own.samples.push(sample);
        own.stands.extend(stand);
    }

    /// What a row stands for, as `storage::metric` writes it; `None` where it stands for itself.
    fn stand(&self, row: usize, time: i64, tells: Tells) -> Option<Stand> {
        if tells == Tells::Numbers {
            let (count, sum) = (self.samples.count(row)?, self.samples.sum(row));
            let range = self.samples.min(row).zip(self.samples.max(row));
            return Some(Stand { time, count, sum, range, has_falls: range.is_none(), has_extremes: true });
        }
        let Some(Number::Int(count)) = self.samples.value(row) else { return None };
        let counts = tells == Tells::Counts;
        let count = count.cast_unsigned();
        Some(Stand { time, count, sum: None, range: None, has_falls: counts, has_extremes: counts })
    }

    fn named(&self, suffix: &str) -> Labels {
        self.labels.with(NAME, &format!("{}{suffix}", self.base))
    }

    fn numbers(&mut self) {
        let value = |row: usize| match self.samples.value(row) {
            _ if self.is_gone(row) => stale(),
            Some(Number::Double(value)) => value,
            Some(Number::Int(value)) => value as f64,
            None => stale(),
        };
        let mut translated = Translated::default();
        for row in 0..self.samples.len() {
            let Some(sample) = self.sample(row, Value::Float(value(row))) else { continue };
            translated.stands.extend(self.stand(row, sample.time, Tells::Numbers));
            translated.samples.push(sample);
        }
        self.put(self.named(""), translated);
    }

    /// Adds many samples.
    fn put(&mut self, labels: Labels, mut translated: Translated) {
        let own = self.into.entry(labels).or_default();
        if own.samples.is_empty() && own.stands.is_empty() {
            *own = translated;
        } else {
            own.samples.append(&mut translated.samples);
            own.stands.append(&mut translated.stands);
        }
    }

    /// Count and sum, where it is told.
    fn count_and_sum(&mut self) {
        let (count, sum) = (self.named("_count"), self.named("_sum"));
        for row in 0..self.samples.len() {
            self.push(&count, row, self.samples.count(row).unwrap_or_default() as f64, Tells::Counts);
            if self.is_gone(row) || self.samples.sum(row).is_some() {
                self.push(&sum, row, self.samples.sum(row).unwrap_or_default(), Tells::Counts);
            }
        }
    }

    fn classic(&mut self) {
        self.count_and_sum();
        let bucket = self.named("_bucket");
        let mut by_bound: BTreeMap<u64, Labels> = BTreeMap::new();
        let mut gone = Vec::new();
        for row in 0..self.samples.len() {
            if self.is_gone(row) {
                gone.push(row);
                continue;
            }
            let mut below = 0u64;
            let bounds = record::doubles(self.samples.explicit_bounds(row));
            let counts = record::counts(self.samples.bucket_counts(row));
            let all = self.samples.count(row).unwrap_or_default();
            let buckets: Vec<(f64, u64)> = bounds
                .zip(counts)
                .map(|(bound, count)| {
                    below = below.saturating_add(count);
                    (bound, below)
                })
                .chain([(f64::INFINITY, all)])
                .collect();
            for (bound, count) in buckets {
                let labels = by_bound.entry(bound.to_bits()).or_insert_with(|| bucket.with("le", &plain(bound)));
                let labels = labels.clone();
                self.push(&labels, row, count as f64, Tells::Counts);
            }
        }
        for row in gone {
            for labels in by_bound.values() {
                self.push(labels, row, stale(), Tells::Counts);
            }
        }
    }

    fn summary(&mut self) {
        self.count_and_sum();
        let base = self.named("");
        let mut by_quantile: BTreeMap<u64, Labels> = BTreeMap::new();
        for row in 0..self.samples.len() {
            if self.is_gone(row) {
                let labels: Vec<Labels> = by_quantile.values().cloned().collect();
                labels.iter().for_each(|labels| self.push(labels, row, stale(), Tells::Alone));
                continue;
            }
            let quantiles: Vec<(f64, f64)> = record::quantiles(self.samples.quantiles(row)).collect();
            for (quantile, value) in quantiles {
                let labels = by_quantile.entry(quantile.to_bits());
                let labels = labels.or_insert_with(|| base.with("quantile", &plain(quantile))).clone();
                self.push(&labels, row, value, Tells::Alone);
            }
        }
    }

    fn native(&mut self, histogram: fn(&Self, usize) -> Option<Histogram>) {
        let labels = self.named("");
        let rows = 0..self.samples.len();
        let mut translated = Translated::default();
        for row in rows {
            let sample = histogram(self, row).and_then(|histogram| self.sample(row, histogram.into()));
            let Some(sample) = sample else { continue };
            translated.stands.extend(self.stand(row, sample.time, Tells::Counts));
            translated.samples.push(sample);
        }
        if !translated.samples.is_empty() {
            self.put(labels, translated);
        }
    }

    fn is_whole(&self, row: usize) -> bool {
        !self.is_verbatim || self.samples.flags(row) & FLOAT_COUNTS == 0
    }

    /// How a row's counts are read.
    fn counting(&self, row: usize) -> fn(u64) -> f64 {
        if self.is_whole(row) { |count| count as f64 } else { f64::from_bits }
    }

    /// The mark of a series that ended.
    fn end(&self, row: usize) -> Histogram {
        Histogram { is_whole: self.is_whole(row), sum: stale(), ..Histogram::default() }
    }

    fn hint(&self, row: usize) -> Hint {
        if !self.is_verbatim {
            return if self.is_delta { Hint::Gauge } else { Hint::Unknown };
        }
        match ResetHint::of(self.samples.flags(row)) {
            ResetHint::Unknown => Hint::Unknown,
            ResetHint::Reset => Hint::Reset,
            ResetHint::NotReset => Hint::NotReset,
            ResetHint::Gauge => Hint::Gauge,
        }
    }

    /// A histogram with bounds of its own.
    fn custom(&self, row: usize) -> Option<Histogram> {
        if self.is_gone(row) {
            return Some(self.end(row));
        }
        let number = self.counting(row);
        let counts = record::counts(self.samples.bucket_counts(row));
        let mut histogram = Histogram {
            hint: self.hint(row),
            is_whole: self.is_whole(row),
            schema: CUSTOM_SCHEMA,
            count: number(self.samples.count(row).unwrap_or_default()),
            sum: self.samples.sum(row).unwrap_or_default(),
            positive: (0i32..).zip(counts).map(|(index, count)| Bucket { index, count: number(count) }).collect(),
            bounds: record::doubles(self.samples.explicit_bounds(row)).collect(),
            ..Histogram::default()
        };
        histogram.compact();
        Some(histogram)
    }

    /// `None` for a scale coarser than Prometheus knows.
    fn histogram(&self, row: usize) -> Option<Histogram> {
        if self.is_gone(row) {
            return Some(self.end(row));
        }
        let scale = self.samples.scale(row).unwrap_or_default();
        if scale < *SCHEMAS.start() {
            return None;
        }
        let width = self.samples.zero_threshold(row).filter(|width| self.is_verbatim || *width > 0.0);
        let count = self.counting(row);
        let mut histogram = Histogram {
            hint: self.hint(row),
            is_whole: self.is_whole(row),
            schema: scale,
            zero_threshold: width.unwrap_or(ZERO_THRESHOLD),
            zero_count: count(self.samples.zero_count(row).unwrap_or_default()),
            count: count(self.samples.count(row).unwrap_or_default()),
            sum: self.samples.sum(row).unwrap_or_default(),
            positive: buckets(self.samples.positive(row), count),
            negative: buckets(self.samples.negative(row), count),
            ..Histogram::default()
        };
        histogram.compact();
        histogram.reduce(*SCHEMAS.end());
        Some(histogram)
    }
}

/// OTLP counts up to a bucket's end without it, Prometheus with it; so the numbers differ by one.
fn buckets(cell: &[u8], number: fn(u64) -> f64) -> Vec<Bucket> {
    let (offset, counts) = record::buckets(cell);
    let indexes = (0i32..).map(|place| offset.saturating_add(place).saturating_add(1));
    indexes.zip(counts).map(|(index, count)| Bucket { index, count: number(count) }).collect()
}
