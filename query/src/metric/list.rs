//! Which metrics have a point in the range, how many series and points have they, and what are their values now?
//!
//! L1  Values are read of the last minutes for which there is anything ([`LATELY`]), not of the whole range: of what was not sent for longer
//!     only the time is told.
//! L2  A series whose end was told has no value now.

use super::identity::{COLUMNS, Head, Identities, metric_type, temporality};
use super::point::{self, Numbers};
use super::told::{Listed, with_told};
use crate::attribute::key_values;
use crate::column::Columns;
use crate::config::TranslationStrategy;
use crate::error::Result;
use crate::exec::Control;
use crate::prometheus::promql_name;
use arrow_array::RecordBatch;
use query_api::metric::{Metric, MetricType, MetricsResponse, Values};
use std::collections::{BTreeSet, HashMap, HashSet};
use storage::hashed::AsIs;
use storage::model::Signal;
use storage::model::attribute::Map;
use storage::model::schema::column;
use storage::scan::{Compare, Field, Predicate, Scalar, ScanRequest, TimeRange};
use xxhash_rust::xxh3::Xxh3Default;

/// What a series takes in the table of those seen: its hash, and the table's slack.
const SERIES_BYTES: usize = 40;

/// Nanoseconds before the newest point of all in which values are looked for: as old as PromQL lets a value be.
const LATELY: i64 = 300_000_000_000;

/// Which metrics are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetricsQuery {
    /// Points by time.
    pub(crate) range: TimeRange,
    /// Start of the name; empty for all.
    pub(crate) prefix: String,
    /// Who sent it.
    pub(crate) service: Option<String>,
}

/// The metrics, by name, then type.
pub(crate) fn metrics(control: &Control, query: &MetricsQuery) -> Result<MetricsResponse> {
    let columns = COLUMNS.into_iter().chain([column::METADATA, column::TIME]);
    let mut request = ScanRequest::all(columns);
    request.time = query.range;
    request.predicate = predicate(query);
    let mut metrics = Metrics::default();
    control.scan(Signal::Metrics, request, |batch| metrics.add(control, batch, &query.prefix))?;
    if let Some(newest) = metrics.newest() {
        let mut request = ScanRequest::all(COLUMNS.into_iter().chain(point::NUMBERS));
        let lately = newest.saturating_sub(LATELY).max(query.range.start);
        request.time = TimeRange { start: lately, end: query.range.end };
        request.predicate = predicate(query);
        control.scan(Signal::Metrics, request, |batch| metrics.add_values(control, batch))?;
    }
    let metrics = with_told(control, query.range, &query.prefix, metrics.finish(control.translation()))?;
    Ok(MetricsResponse { metrics, stats: control.stats() })
}

/// Names before the prefix are left out by the store; names behind it that do not begin with it, by `Metrics::add`.
fn predicate(query: &MetricsQuery) -> Predicate {
    let mut predicate = Predicate::All;
    if !query.prefix.is_empty() {
        predicate = predicate.and(Predicate::Compare {
            field: Field::Column(column::NAME),
            compare: Compare::GreaterOrEqual,
            value: Scalar::String(query.prefix.clone()),
        });
    }
    if let Some(service) = &query.service {
        predicate = predicate.and(Predicate::equal(column::SERVICE_NAME, Scalar::String(service.clone())));
    }
    predicate
}

#[derive(Debug, Default)]
struct Metrics {
    index: HashMap<Key, usize>,
    list: Vec<Tally>,
}

/// A [`Head`] that owns its texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    name: String,
    r#type: i32,
    unit: String,
    temporality: i32,
    is_monotonic: bool,
}

impl Key {
    fn of(head: &Head<'_>) -> Self {
        Key {
            name: head.name.to_owned(),
            r#type: head.r#type,
            unit: head.unit.to_owned(),
            temporality: head.temporality,
            is_monotonic: head.is_monotonic,
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    series: HashSet<u128, AsIs>,
    /// Of each series that had a number lately the time of the newest one, and that; none where the series ended.
    last: HashMap<u128, (i64, Option<f64>), AsIs>,
    points: u64,
    services: BTreeSet<String>,
    is_verbatim: bool,
    /// Time, description and metadata of the newest point; of two newest those that are greater count.
    newest: Option<(i64, String, Vec<u8>)>,
}

impl Metrics {
    fn add(&mut self, control: &Control, batch: &RecordBatch, prefix: &str) -> Result<()> {
        let rows = Identities::new(batch)?;
        let times = Columns(batch).times(column::TIME)?;
        let descriptions = Columns(batch).repeated_text(column::DESCRIPTION)?;
        let metadata = Columns(batch).repeated_cells(column::METADATA)?;
        // Neighbours mostly belong to one metric.
        let mut current: Option<(Head<'_>, usize)> = None;
        for row in 0..rows.rows {
            let head = rows.head(row);
            if !head.name.starts_with(prefix) || !rows.is_sample(row) {
                continue;
            }
            let at = match &current {
                Some((same, at)) if *same == head => *at,
                _ => self.metric(control, &head)?,
            };
            current = Some((head, at));
            let Some(tally) = self.list.get_mut(at) else { continue };
            tally.points += 1;
            if tally.series.insert(series_hash(&rows, row)) {
                control.charge(SERIES_BYTES)?;
                tally.is_verbatim |= rows.is_verbatim(row);
            }
            let service = rows.service.get(row);
            if !tally.services.contains(service) {
                control.charge(service.len() + SERIES_BYTES)?;
                tally.services.insert(service.to_owned());
            }
            let newest = (times.value(row), descriptions.get(row), metadata.get(row));
            let is_newer = |(time, text, map): &(i64, String, Vec<u8>)| (*time, text.as_str(), &map[..]) < newest;
            if tally.newest.as_ref().is_none_or(is_newer) {
                tally.newest = Some((newest.0, newest.1.to_owned(), newest.2.to_owned()));
            }
        }
        Ok(())
    }

    /// The time of the newest number of all.
    fn newest(&self) -> Option<i64> {
        let is_number = |key: &Key| is_number(metric_type(key.r#type));
        let numbers = self.index.iter().filter(|(key, _)| is_number(key));
        numbers.filter_map(|(_, at)| Some(self.list.get(*at)?.newest.as_ref()?.0)).max()
    }

    /// Takes the newest number of each series.
    fn add_values(&mut self, control: &Control, batch: &RecordBatch) -> Result<()> {
        let rows = Identities::new(batch)?;
        let numbers = Numbers::new(batch)?;
        let mut current: Option<(Head<'_>, Option<usize>)> = None;
        for row in 0..rows.rows {
            let head = rows.head(row);
            if !rows.is_sample(row) || !is_number(metric_type(head.r#type)) {
                continue;
            }
            let at = match &current {
                Some((same, at)) if *same == head => *at,
                _ => self.index.get(&Key::of(&head)).copied(),
            };
            current = Some((head, at));
            let Some(tally) = at.and_then(|at| self.list.get_mut(at)) else { continue };
            let (time, value) = (numbers.time.value(row), numbers.number(row));
            let series = series_hash(&rows, row);
            if !tally.last.contains_key(&series) {
                control.charge(2 * SERIES_BYTES)?;
            }
            let last = tally.last.entry(series).or_insert((time, value));
            // Of two points with one time the one that came later counts.
            if time >= last.0 {
                *last = (time, value);
            }
        }
        Ok(())
    }

    fn metric(&mut self, control: &Control, head: &Head<'_>) -> Result<usize> {
        let key = Key::of(head);
        if let Some(at) = self.index.get(&key) {
            return Ok(*at);
        }
        control.collect(1)?;
        control.charge(key.name.len() + key.unit.len() + size_of::<Tally>() + 128)?;
        self.index.insert(key, self.list.len());
        self.list.push(Tally::default());
        Ok(self.list.len() - 1)
    }

    fn finish(self, translation: TranslationStrategy) -> Vec<Listed> {
        let mut keys: Vec<(Key, usize)> = self.index.into_iter().collect();
        keys.sort_unstable();
        let mut list: Vec<Option<Tally>> = self.list.into_iter().map(Some).collect();
        let tallies = keys.into_iter().filter_map(|(key, at)| Some((key, list.get_mut(at)?.take()?)));
        let listed = |(key, tally): (Key, Tally)| {
            let is_verbatim = tally.is_verbatim;
            let mut metric = metric(key, tally);
            let own = || Some(metric.name.clone());
            let promql = if is_verbatim { own() } else { promql_name(&metric, translation) };
            metric.promql_name = promql.unwrap_or_default();
            Listed { metric, is_verbatim }
        };
        tallies.map(listed).collect()
    }
}

fn is_number(kind: MetricType) -> bool {
    matches!(kind, MetricType::Gauge | MetricType::Sum)
}

/// The least and the greatest of numbers, those that are none left out.
fn extent(values: impl Iterator<Item = f64>) -> Option<Values> {
    let join = |a: Values, b: Values| Values { least: a.least.min(b.least), greatest: a.greatest.max(b.greatest) };
    values.filter(|value| !value.is_nan()).map(|value| Values { least: value, greatest: value }).reduce(join)
}

fn metric(key: Key, tally: Tally) -> Metric {
    let last_values = extent(tally.last.values().filter_map(|(_, value)| *value));
    let (last_time_unix_nano, description, metadata) = tally.newest.unwrap_or_default();
    Metric {
        name: key.name,
        promql_name: String::new(),
        r#type: metric_type(key.r#type),
        unit: key.unit,
        description,
        metadata: key_values(Map::new(&metadata)),
        temporality: temporality(key.temporality),
        is_monotonic: key.is_monotonic,
        series_count: u64::try_from(tally.series.len()).unwrap_or(u64::MAX),
        point_count: tally.points,
        services: tally.services.into_iter().collect(),
        last_time_unix_nano,
        last_values,
        is_in_parts: false,
    }
}

/// Within a metric, what tells series apart. At 128 bits two of a billion series collide once in 10^20 cases.
fn series_hash(rows: &Identities<'_>, row: usize) -> u128 {
    let mut hash = Xxh3Default::new();
    let description = rows.description(row).as_bytes();
    for part in [rows.resource.get(row), rows.scope.get(row), rows.attributes.get(row), description] {
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}
