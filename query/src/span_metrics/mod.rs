//! Which metrics do spans make? Calls, errors and durations of operations, and of the calls between services, under the names of
//! Tempo's generator, so that what asks for those (Grafana's service graph among them) finds them here.
//!
//! M1  Every [`INTERVAL`] the spans of one are read from the store, whichever door they came by, [`DELAY`] after it ended: those that
//!     started in it, or, if they took longer than an interval, those that ended in it. So each has at least [`SLACK_SECONDS`] to come
//!     once it has ended; one that comes later is in no metric. Each counts once, or for as many as its sampling's threshold says.
//! M2  After a start it goes on where the stored samples end (`stored`), however the process ended, and makes up for the intervals since
//!     then, [`MOST_BEHIND`] of them at most; for so many it looks back where there are no samples. One that could not be stored is tried again.
//! M3  Counters and histograms are cumulative since the start of their series, which begins with a zero behind the last sample of
//!     an earlier one: `increase` over both is right. No moment of a series is written twice with another value.
//! M4  A tenant has at most [`MOST_SERIES`] operations and as many edges; further ones share one with `otel.metric.overflow`. One that
//!     has had no span for [`STALE`] ends.
//!
//! Not here: who calls whom (`service::graph`), how what is made is stored (the binary lends its own door).

mod figures;
mod fill;
mod maker;
mod stored;
#[cfg(test)]
mod tests;
mod totals;

use crate::column::Columns;
use crate::door::Door;
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use crate::http::QueryState;
use crate::service::{Beside, Counted, Edge, Figures, LONG, Names, Numbered, RowMap, edges_beside};
use figures::Durations;
use query_api::error::Class;
use query_api::service::Connection;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use storage::model::TenantId;
use storage::model::schema::column;
use storage::scan::TimeRange;
use totals::Totals;

pub(crate) use fill::fill;
pub(crate) use maker::Maker;

const SECOND: i64 = 1_000_000_000;
/// Between two samples of a series.
const INTERVAL: i64 = 15 * SECOND;
/// How long spans may take to come.
const DELAY: i64 = 45 * SECOND;
/// The same in seconds.
pub(crate) const INTERVAL_SECONDS: i64 = INTERVAL / SECOND;
/// What a span has to come after its end, at least: of those that count where they started the longest ends so long after its interval.
pub(crate) const SLACK_SECONDS: i64 = (DELAY - LONG) / SECOND;
/// Intervals that are made up for after a pause, an hour; older ones are left out.
const MOST_BEHIND: i64 = 240;
/// After how long without a span a series ends.
const STALE: i64 = 1_200 * SECOND;
/// After so long a span is in all metrics in which it ever is, unless these are behind: an interval, its delay, a look at the clock, and
/// some time to read.
pub(crate) const READ_WITHIN_SECONDS: u32 = 90;
/// Operations, and edges, of a tenant.
const MOST_SERIES: usize = 10_000;
/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of durations, in seconds.
pub(crate) fn bounds() -> Vec<f64> {
    Durations::bounds().to_vec()
}

/// What makes metrics of spans.
pub struct SpanMetrics {
    state: Arc<QueryState>,
    tenants: BTreeMap<TenantId, Progress>,
}

impl fmt::Debug for SpanMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanMetrics").field("tenants", &self.tenants.len()).finish_non_exhaustive()
    }
}

/// How far a tenant's spans have been read, and what they came to.
struct Progress {
    until: i64,
    totals: Totals,
    /// Whether the store has all of it; where it may not, it says itself what it has.
    is_certain: bool,
}

/// An operation: service, name, kind, status.
type Operation = (String, String, i32, i32);
/// An edge of the service graph.
type Ends = (String, String, Connection);

/// What the spans of one interval come to.
#[derive(Debug, Default)]
struct Interval {
    operations: Operations,
    edges: Vec<(Ends, Edge<Durations>)>,
}

#[derive(Debug, Default)]
struct Operations {
    names: Names,
    durations: RowMap<(u32, u32, i32, i32), Durations>,
}

impl SpanMetrics {
    /// Makes metrics of the spans that come, and lends the door to what makes them of old ones. It takes OTLP/JSON.
    pub fn new(state: Arc<QueryState>, door: Door) -> Self {
        state.span_metrics().lend(door);
        SpanMetrics { state, tenants: BTreeMap::new() }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.step().await;
        }
    }

    /// Reads every interval that has ended and whose spans have had their time. What `run` does, again and again.
    pub async fn step(&mut self) {
        let state = Arc::clone(&self.state);
        let _turn = state.span_metrics().turn().await;
        let end = (state.now() - DELAY).div_euclid(INTERVAL) * INTERVAL;
        for tenant in state.tenants() {
            if let Err(error) = self.catch_up(&tenant, end).await {
                tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "span metrics wait");
                self.tenants.retain(|_, progress| progress.is_certain);
            }
        }
    }

    async fn catch_up(&mut self, tenant: &TenantId, end: i64) -> Result<()> {
        let maker = self.state.span_metrics();
        let context = QueryContext { tenant: tenant.clone(), timeout: self.state.executor().config().timeout };
        let earliest = end - MOST_BEHIND * INTERVAL;
        if !self.tenants.contains_key(tenant) {
            let newest =
                self.state.executor().run(context.clone(), move |control| stored::newest(control, end)).await?;
            let progress = Progress::new(newest.unwrap_or(earliest));
            maker.tell(tenant, |told| {
                if told.since_unix_nano == 0 {
                    told.since_unix_nano = progress.until;
                }
            });
            self.tenants.insert(tenant.clone(), progress);
        }
        let Some(progress) = self.tenants.get_mut(tenant) else { return Ok(()) };
        if progress.until < earliest {
            let left_out = (earliest - progress.until) / INTERVAL;
            tracing::warn!(%tenant, intervals = left_out, "span metrics leave out intervals that are long past");
            maker.tell(tenant, |told| told.left_out += u64::try_from(left_out).unwrap_or(0));
            *progress = Progress::new(earliest);
        }
        while progress.until < end {
            let advanced = progress.advance(&self.state, &context).await?;
            maker.tell(tenant, |told| {
                told.until_unix_nano = progress.until;
                told.left_out += u64::from(advanced == Advanced::LeftOut);
            });
        }
        Ok(())
    }
}

/// What became of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Advanced {
    /// Its samples are stored.
    Stored,
    /// There is nothing to be told.
    Empty,
    /// A query's limits are not enough for its spans.
    LeftOut,
}

impl Progress {
    fn new(until: i64) -> Self {
        Progress { until, totals: Totals::default(), is_certain: true }
    }

    /// Reads the next interval and stores the sums.
    async fn advance(&mut self, state: &QueryState, context: &QueryContext) -> Result<Advanced> {
        let range = TimeRange { start: self.until, end: self.until + INTERVAL };
        let is_read = match state.executor().run(context.clone(), move |control| interval(control, range)).await {
            Ok(interval) => {
                self.totals.add(interval, range);
                true
            }
            // It will be the same the next time.
            Err(error) if error.class() == Class::Limit => {
                let tenant = &context.tenant;
                tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "span metrics leave out an interval");
                false
            }
            Err(error) => return Err(error),
        };
        let body = self.totals.request(range.end);
        let is_empty = body.is_none();
        if let Some(body) = body {
            self.is_certain = false;
            let stored = state.span_metrics().door()?.send(context.tenant.clone(), body).await;
            stored.map_err(|message| Error::Host { message })?;
            self.is_certain = true;
        }
        self.until = range.end;
        Ok(match (is_read, is_empty) {
            (false, _) => Advanced::LeftOut,
            (true, true) => Advanced::Empty,
            (true, false) => Advanced::Stored,
        })
    }
}

/// Reads the spans of a range once, for both.
fn interval(control: &Control, range: TimeRange) -> Result<Interval> {
    let (mut operations, mut charged) = (Operations::default(), 0);
    let mut each = |columns: Columns<'_>, counted: &Counted<'_>| {
        operations.add(columns, counted)?;
        let bytes = operations.memory_bytes();
        control.charge(bytes.saturating_sub(charged))?;
        charged = charged.max(bytes);
        Ok(())
    };
    let edges = edges_beside(control, range, Beside { columns: &[column::NAME], each: &mut each })?;
    Ok(Interval { operations, edges })
}

impl Operations {
    fn add(&mut self, columns: Columns<'_>, counted: &Counted<'_>) -> Result<()> {
        let (services, names) = (columns.repeated_text(column::SERVICE_NAME)?, columns.text(column::NAME)?);
        let (kinds, codes) = (columns.int32(column::KIND)?, columns.int32(column::STATUS_CODE)?);
        let (durations, stand_for) = (columns.int64(column::DURATION)?, columns.stand_for()?);
        let mut numbered = Numbered::new(services.len());
        for row in (0..columns.rows()).filter(|row| counted.has(*row)) {
            let service = numbered.number(services.key(row), &mut self.names, |key| services.value(key));
            let key = (service, self.names.number(names.get(row)), kinds.value(row), codes.value(row));
            self.durations.entry(key).or_default().add(durations.value(row), false, stand_for.get(row));
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.names.memory_bytes() + self.durations.len() * 2 * (size_of::<Durations>() + 16)
    }

    fn into_named(self) -> impl Iterator<Item = (Operation, Durations)> {
        let names = self.names;
        self.durations.into_iter().map(move |((service, name, kind, status), durations)| {
            ((names.get(service).to_owned(), names.get(name).to_owned(), kind, status), durations)
        })
    }
}
