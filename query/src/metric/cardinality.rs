//! How many series are there, how many came, and which metrics and labels have the most?
//!
//! C1  It is counted from the indexes of blocks and from memory, a group of series at a time: no sample is read. A series counts where
//!     its first and last time in a block reach into the range, be it that none of its samples lies in it; and as new where no block
//!     of the range, or of the hour before, has an earlier one.
//! C2  What is held is a hash and a number per series, and each value of each label once; both are charged.
//! C3  Names and labels are those of PromQL. What one series of the store becomes there, a bucket each, is one series here.
//!
//! Not here: how many series may come in (`collector`).

use crate::error::Result;
use crate::exec::Control;
use crate::prometheus::Store;
use crate::promql::Matcher;
use crate::series::NAME;
use query_api::cardinality::{
    ActiveSeries, CardinalityResponse, CreatedSeries, LabelCardinality, MetricCardinality, PairCardinality,
};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use storage::engine::SeriesFacts;
use storage::metric::Series;
use storage::scan::TimeRange;
use xxhash_rust::xxh3::Xxh3Default;

const HOUR: i64 = 3_600 * 1_000_000_000;
/// Hours that are told one by one.
const MOST_HOURS: i64 = 24 * 366;
/// What a series and a label's value take in their tables, the text aside.
const ENTRY_BYTES: usize = 64;

/// Which series are counted.
#[derive(Debug, Clone)]
pub(crate) struct CardinalityQuery {
    /// Series by the times of their samples.
    pub(crate) range: TimeRange,
    /// Conditions on their labels.
    pub(crate) matchers: Vec<Matcher>,
    /// Metrics, labels and pairs that are told.
    pub(crate) limit: usize,
    /// How many series are active, and how many may be.
    pub(crate) active: Option<(u64, u64)>,
}

/// The counts.
pub(crate) fn cardinality(control: &Control, query: &CardinalityQuery) -> Result<CardinalityResponse> {
    let mut tally = Tally { range: query.range, ..Tally::default() };
    // Who was there an hour before did not come in the range.
    let before = TimeRange { start: query.range.start.saturating_sub(HOUR), ..query.range };
    let store = Store::new(control);
    control.each_series(&[], before, |series, facts| tally.add(control, &store, &query.matchers, (series, facts)))?;
    control.check()?;
    Ok(tally.finish(control, query))
}

/// A series that was seen.
#[derive(Debug)]
struct Seen {
    first_time: i64,
    /// The number of its metric, where its samples reach into the range.
    metric: Option<usize>,
}

#[derive(Debug, Default)]
struct Label {
    series: u64,
    values: HashMap<Box<str>, u64>,
}

#[derive(Debug)]
struct Tally {
    range: TimeRange,
    seen: HashMap<u128, Seen>,
    numbers: HashMap<Box<str>, usize>,
    metrics: Vec<MetricCardinality>,
    labels: HashMap<Box<str>, Label>,
}

impl Default for Tally {
    fn default() -> Self {
        let (seen, numbers, metrics, labels) = Default::default();
        Tally { range: TimeRange::ALL, seen, numbers, metrics, labels }
    }
}

impl Tally {
    fn add(
        &mut self,
        control: &Control,
        store: &Store<'_>,
        matchers: &[Matcher],
        (series, facts): (&Series, SeriesFacts),
    ) -> Result<()> {
        let is_inside = self.range.overlaps(facts.first_time, facts.last_time);
        let hash = hash_of(series);
        if let Some(seen) = self.seen.get_mut(&hash) {
            seen.first_time = seen.first_time.min(facts.first_time);
            if !is_inside || seen.metric.is_some() {
                return Ok(());
            }
        }
        let Some((name, labels)) = store.counted(series, matchers) else { return Ok(()) };
        let metric = if is_inside { Some(self.metric(control, &name)?) } else { None };
        match self.seen.entry(hash) {
            Entry::Occupied(mut seen) => seen.get_mut().metric = metric,
            Entry::Vacant(free) => {
                control.charge(ENTRY_BYTES)?;
                free.insert(Seen { first_time: facts.first_time, metric });
            }
        }
        if !is_inside {
            return Ok(());
        }
        for (label, value) in labels.iter().chain([(NAME, name.as_str())]) {
            self.label(control, label, value)?;
        }
        Ok(())
    }

    fn metric(&mut self, control: &Control, name: &str) -> Result<usize> {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                control.charge(2 * name.len() + 2 * ENTRY_BYTES)?;
                self.numbers.insert(name.into(), self.metrics.len());
                self.metrics.push(MetricCardinality { name: name.to_owned(), ..MetricCardinality::default() });
                self.metrics.len() - 1
            }
        };
        self.metrics.get_mut(number).into_iter().for_each(|metric| metric.series_count += 1);
        Ok(number)
    }

    fn label(&mut self, control: &Control, label: &str, value: &str) -> Result<()> {
        if !self.labels.contains_key(label) {
            control.charge(label.len() + 2 * ENTRY_BYTES)?;
            self.labels.insert(label.into(), Label::default());
        }
        let Some(own) = self.labels.get_mut(label) else { return Ok(()) };
        own.series += 1;
        match own.values.get_mut(value) {
            Some(series) => *series += 1,
            None => {
                control.charge(value.len() + ENTRY_BYTES)?;
                own.values.insert(value.into(), 1);
            }
        }
        Ok(())
    }

    fn finish(mut self, control: &Control, query: &CardinalityQuery) -> CardinalityResponse {
        let mut by_hour: HashMap<i64, u64> = HashMap::new();
        let (mut series_count, mut created_count) = (0, 0);
        for seen in self.seen.values() {
            let Some(metric) = seen.metric.and_then(|number| self.metrics.get_mut(number)) else { continue };
            series_count += 1;
            if seen.first_time >= self.range.start {
                created_count += 1;
                metric.created_count += 1;
                *by_hour.entry(seen.first_time.div_euclid(HOUR)).or_default() += 1;
            }
        }
        let (metric_count, label_count) = (self.metrics.len() as u64, self.labels.len() as u64);
        let pairs = self
            .labels
            .iter()
            .flat_map(|(name, label)| label.values.iter().map(move |(value, series)| (*series, &**name, &**value)));
        let pairs = largest(pairs, query.limit).into_iter().map(|(series_count, name, value)| PairCardinality {
            name: name.to_owned(),
            value: value.to_owned(),
            series_count,
        });
        let labels = self.labels.iter().map(|(name, label)| (label.values.len() as u64, &**name, label.series));
        let labels = largest(labels, query.limit).into_iter().map(|(value_count, name, series_count)| {
            LabelCardinality { name: name.to_owned(), value_count, series_count }
        });
        let (pairs, labels) = (pairs.collect(), labels.collect());
        let key = |metric: &MetricCardinality| (Reverse(metric.series_count), metric.name.clone());
        self.metrics.sort_by_cached_key(key);
        self.metrics.truncate(query.limit);
        let (count, limit) = query.active.unzip();
        CardinalityResponse {
            active: ActiveSeries { count, limit },
            series_count,
            created_count,
            created: hours(self.range, &by_hour),
            metric_count,
            metrics: self.metrics,
            label_count,
            labels,
            pairs,
            stats: control.stats(),
        }
    }
}

/// Those of the greatest counts, then by name.
fn largest<'t, T: Ord>(all: impl Iterator<Item = (u64, &'t str, T)>, limit: usize) -> Vec<(u64, &'t str, T)> {
    let mut kept: std::collections::BTreeSet<(Reverse<u64>, &str, T)> = std::collections::BTreeSet::new();
    for (count, name, other) in all {
        kept.insert((Reverse(count), name, other));
        if kept.len() > limit {
            kept.pop_last();
        }
    }
    kept.into_iter().map(|(Reverse(count), name, other)| (count, name, other)).collect()
}

/// The hours of a range, at most so many of its last ones.
fn hours(range: TimeRange, by_hour: &HashMap<i64, u64>) -> Vec<CreatedSeries> {
    let last = range.end.saturating_sub(1).div_euclid(HOUR);
    let first = range.start.div_euclid(HOUR).max(last.saturating_sub(MOST_HOURS - 1));
    let count = |hour: i64| by_hour.get(&hour).copied().unwrap_or(0);
    let hours =
        (first..=last).map(|hour| CreatedSeries { start_unix_nano: hour.saturating_mul(HOUR), count: count(hour) });
    hours.collect()
}

/// What tells series apart, as at the doors: name, attributes, resource and scope.
fn hash_of(series: &Series) -> u128 {
    let mut hash = Xxh3Default::new();
    for part in [series.name.as_bytes(), &series.attributes, &series.resource, &series.scope] {
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}
