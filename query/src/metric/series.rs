//! What were a metric's values? Its series by identity, each with its raw points by time.
//!
//! I1  A series is told apart by everything that OTLP counts as identity (`identity`), never by its labels alone.
//! I2  Of two points of a series with one time the one that the scan answers later counts: it arrived later.
//! I3  Where the limit cuts, the answer is the first `limit` points by (identity, time), whatever the scan's order:
//!     whole series, and one that is cut at its end.
//! I4  A metric is found by its own name; where there is nothing of that name, by what PromQL calls it or a part of it.

use super::identity::{self, Identities, metric_type, temporality};
use super::point::{self, Points};
use crate::attribute::{key_values, memory_of, origin_detail};
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::prometheus::stored_names;
use arrow_array::RecordBatch;
use query_api::metric::{Point, Series, SeriesResponse};
use std::collections::BTreeMap;
use storage::model::attribute::Map;
use storage::model::schema::column;
use storage::model::{Signal, origin};
use storage::scan::{Predicate, Scalar, ScanRequest, TimeRange};

/// Which points are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeriesQuery {
    /// Points by time.
    pub(crate) range: TimeRange,
    /// The metric's own name, or PromQL's (I4).
    pub(crate) name: String,
    /// Service and attributes.
    pub(crate) predicate: Predicate,
    /// Points of all series together.
    pub(crate) limit: usize,
}

/// The series.
pub(crate) fn series(control: &Control, query: &SeriesQuery) -> Result<SeriesResponse> {
    let mut table = read(control, query, [query.name.clone()])?;
    if table.series.is_empty() {
        let mut names = stored_names(control, &query.name, query.range)?;
        names.remove(&query.name);
        if !names.is_empty() {
            table = read(control, query, names)?;
        }
    }
    let truncated = table.bound.is_some();
    Ok(SeriesResponse { series: table.finish()?, truncated, stats: control.stats() })
}

/// The points of metrics with one of these names.
fn read(control: &Control, query: &SeriesQuery, names: impl IntoIterator<Item = String>) -> Result<Table> {
    let columns = identity::COLUMNS.into_iter().chain(point::COLUMNS);
    let mut request = ScanRequest::all(columns);
    request.time = query.range;
    let named = names.into_iter().map(|name| Predicate::equal(column::NAME, Scalar::String(name)));
    request.predicate = Predicate::Or(named.collect()).and(query.predicate.clone());
    let mut table = Table { limit: query.limit, ..Table::default() };
    control.scan(Signal::Metrics, request, |batch| table.add(control, batch))?;
    Ok(table)
}

/// What tells series of one metric name apart, in the order of the answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    name: String,
    service: String,
    attributes: Vec<u8>,
    resource: Vec<u8>,
    scope: Vec<u8>,
    r#type: i32,
    unit: String,
    temporality: i32,
    is_monotonic: bool,
    description: String,
}

impl Identity {
    fn of(rows: &Identities<'_>, row: usize) -> Self {
        let head = rows.head(row);
        Identity {
            name: head.name.to_owned(),
            service: rows.service.get(row).to_owned(),
            attributes: rows.attributes.get(row).to_owned(),
            resource: rows.resource.get(row).to_owned(),
            scope: rows.scope.get(row).to_owned(),
            r#type: head.r#type,
            unit: head.unit.to_owned(),
            temporality: head.temporality,
            is_monotonic: head.is_monotonic,
            description: rows.description(row).to_owned(),
        }
    }

    /// About how many bytes the series takes, its points aside.
    fn memory_bytes(&self) -> usize {
        let cells = self.resource.len() + self.scope.len();
        size_of::<Self>() + size_of::<Series>() + 5 * cells + memory_of(Map::new(&self.attributes)) + 128
    }
}

/// The first `limit` points by (identity, time).
#[derive(Debug, Default)]
struct Table {
    limit: usize,
    series: BTreeMap<Identity, BTreeMap<i64, Kept>>,
    points: usize,
    /// The first point that was left out.
    bound: Option<(Identity, i64)>,
}

#[derive(Debug)]
struct Kept {
    point: Point,
    bytes: usize,
}

impl Table {
    fn add(&mut self, control: &Control, batch: &RecordBatch) -> Result<()> {
        let rows = Identities::new(batch)?;
        let points = Points::new(batch)?;
        for row in (0..rows.rows).filter(|row| rows.is_sample(*row)) {
            let place = (Identity::of(&rows, row), points.time.value(row));
            if self.bound.as_ref().is_some_and(|bound| place >= *bound) {
                continue;
            }
            let bytes = points.memory_of(row);
            control.charge(bytes)?;
            let point = points.point(row, metric_type(place.0.r#type));
            self.put(control, place, Kept { point, bytes })?;
        }
        Ok(())
    }

    fn put(&mut self, control: &Control, (identity, time): (Identity, i64), kept: Kept) -> Result<()> {
        let points = match self.series.get_mut(&identity) {
            Some(points) => points,
            None => {
                control.charge(identity.memory_bytes())?;
                self.series.entry(identity).or_default()
            }
        };
        match points.insert(time, kept) {
            Some(earlier) => control.release(earlier.bytes),
            None => self.points += 1,
        }
        if self.points > self.limit {
            self.drop_last(control);
        }
        Ok(())
    }

    fn drop_last(&mut self, control: &Control) {
        let Some(mut last) = self.series.last_entry() else { return };
        if let Some((time, kept)) = last.get_mut().pop_last() {
            control.release(kept.bytes);
            self.points -= 1;
            self.bound = Some((last.key().clone(), time));
        }
        if last.get().is_empty() {
            control.release(last.key().memory_bytes());
            last.remove();
        }
    }

    fn finish(self) -> Result<Vec<Series>> {
        self.series.into_iter().map(|(identity, points)| finish_series(identity, points)).collect()
    }
}

fn finish_series(identity: Identity, points: BTreeMap<i64, Kept>) -> Result<Series> {
    let resource = origin::Resource::parse(&identity.resource).ok_or(Error::Cell { what: "resource" })?;
    let scope = origin::Scope::parse(&identity.scope).ok_or(Error::Cell { what: "instrumentation scope" })?;
    Ok(Series {
        attributes: key_values(Map::new(&identity.attributes)),
        resource: key_values(resource.attributes),
        scope_name: scope.name.into(),
        scope_version: scope.version.into(),
        scope_attributes: key_values(scope.attributes),
        origin: origin_detail(&resource, &scope),
        name: identity.name,
        r#type: metric_type(identity.r#type),
        unit: identity.unit,
        temporality: temporality(identity.temporality),
        is_monotonic: identity.is_monotonic,
        service: identity.service,
        points: points.into_values().map(|kept| kept.point).collect(),
    })
}
