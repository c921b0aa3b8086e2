//! Which metrics have a point in the range, and how many series and points have they?

use super::identity::{COLUMNS, Head, Identities, metric_type, temporality};
use crate::attribute::key_values;
use crate::column::Columns;
use crate::error::Result;
use crate::exec::Control;
use arrow_array::RecordBatch;
use query_api::metric::{Metric, MetricsResponse};
use std::collections::{BTreeSet, HashMap, HashSet};
use storage::model::Signal;
use storage::model::attribute::Map;
use storage::model::schema::column;
use storage::scan::{Compare, Field, Predicate, Scalar, ScanRequest, TimeRange};
use xxhash_rust::xxh3::Xxh3Default;

/// What a series takes in the table of those seen: its hash, and the table's slack.
const SERIES_BYTES: usize = 40;

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
    let columns = COLUMNS.into_iter().chain([column::DESCRIPTION, column::METADATA, column::TIME]);
    let mut request = ScanRequest::all(columns);
    request.time = query.range;
    request.predicate = predicate(query);
    let mut metrics = Metrics::default();
    control.scan(Signal::Metrics, request, |batch| metrics.add(control, batch, &query.prefix))?;
    Ok(MetricsResponse { metrics: metrics.finish(), stats: control.stats() })
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

#[derive(Debug, Default)]
struct Tally {
    series: HashSet<u128>,
    points: u64,
    services: BTreeSet<String>,
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

    fn metric(&mut self, control: &Control, head: &Head<'_>) -> Result<usize> {
        let key = Key {
            name: head.name.to_owned(),
            r#type: head.r#type,
            unit: head.unit.to_owned(),
            temporality: head.temporality,
            is_monotonic: head.is_monotonic,
        };
        if let Some(at) = self.index.get(&key) {
            return Ok(*at);
        }
        control.collect(1)?;
        control.charge(key.name.len() + key.unit.len() + size_of::<Tally>() + 128)?;
        self.index.insert(key, self.list.len());
        self.list.push(Tally::default());
        Ok(self.list.len() - 1)
    }

    fn finish(self) -> Vec<Metric> {
        let mut keys: Vec<(Key, usize)> = self.index.into_iter().collect();
        keys.sort_unstable();
        let mut list: Vec<Option<Tally>> = self.list.into_iter().map(Some).collect();
        let tallies = keys.into_iter().filter_map(|(key, at)| Some((key, list.get_mut(at)?.take()?)));
        tallies.map(|(key, tally)| metric(key, tally)).collect()
    }
}

fn metric(key: Key, tally: Tally) -> Metric {
    let (last_time_unix_nano, description, metadata) = tally.newest.unwrap_or_default();
    Metric {
        name: key.name,
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
    }
}

/// Within a metric, what tells series apart. At 128 bits two of a billion series collide once in 10^20 cases.
fn series_hash(rows: &Identities<'_>, row: usize) -> u128 {
    let mut hash = Xxh3Default::new();
    for part in [rows.resource.get(row), rows.scope.get(row), rows.attributes.get(row)] {
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}
