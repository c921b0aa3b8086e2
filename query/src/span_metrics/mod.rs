//! Which metrics do spans make? Calls, errors and durations of operations, and of the calls between services, under the names of
//! Tempo's generator, so that what asks for those (Grafana's service graph among them) finds them here.
//!
//! M1  Every [`INTERVAL`] the spans that started in one are read from the store, whichever door they came by, [`DELAY`] after it ended;
//!     a span that comes later than that is in no metric. Each counts once.
//! M2  Counters and histograms are cumulative since the start of their series, which begins with a zero. A sample that could not be
//!     written is made up for by the next one.
//! M3  A tenant has at most [`MOST_SERIES`] operations and as many edges; further ones share one with `otel.metric.overflow`. One that
//!     has had no span for [`STALE`] ends.
//!
//! Not here: who calls whom (`service::graph`), how what is made is stored (the binary lends its own door).

mod figures;
#[cfg(test)]
mod tests;
mod totals;

use crate::column::Columns;
use crate::door::Door;
use crate::error::Result;
use crate::exec::{Control, QueryContext};
use crate::http::QueryState;
use crate::service::{Beside, Edge, Figures, Names, Numbered, RowMap, edges_beside};
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

const SECOND: i64 = 1_000_000_000;
/// Between two samples of a series.
const INTERVAL: i64 = 15 * SECOND;
/// How long spans may take to come.
const DELAY: i64 = 45 * SECOND;
/// Intervals that are made up for after a pause; older ones are left out.
const MOST_BEHIND: i64 = 40;
/// After how long without a span a series ends.
const STALE: i64 = 1_200 * SECOND;
/// After so long a span is in all metrics in which it ever is, unless these are behind: an interval, its delay, a look at the clock, and
/// some time to read.
pub(crate) const READ_WITHIN_SECONDS: u32 = 90;
/// Operations, and edges, of a tenant.
const MOST_SERIES: usize = 10_000;
/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(5);

/// What makes metrics of spans.
pub struct SpanMetrics {
    state: Arc<QueryState>,
    door: Door,
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
    /// Makes metrics of the spans that come from now on. The door takes OTLP/JSON.
    pub fn new(state: Arc<QueryState>, door: Door) -> Self {
        SpanMetrics { state, door, tenants: BTreeMap::new() }
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
        let end = (self.state.now() - DELAY).div_euclid(INTERVAL) * INTERVAL;
        for tenant in self.state.tenants() {
            let progress = self.tenants.entry(tenant.clone()).or_insert_with(|| Progress::new(end - INTERVAL));
            if end.saturating_sub(progress.until) > MOST_BEHIND * INTERVAL {
                tracing::warn!(%tenant, "span metrics leave out an interval that is long past");
                progress.until = end - MOST_BEHIND * INTERVAL;
            }
            while progress.until < end {
                let range = TimeRange { start: progress.until, end: progress.until + INTERVAL };
                match read(&self.state, &tenant, range).await {
                    Ok(interval) => progress.totals.add(interval, range),
                    // It will be the same the next time.
                    Err(error) if error.class() == Class::Limit => {
                        tracing::warn!(%tenant, %error, "span metrics leave out an interval");
                    }
                    Err(error) => {
                        tracing::warn!(%tenant, %error, "span metrics wait");
                        break;
                    }
                }
                progress.until = range.end;
                let Some(body) = progress.totals.request(range.end) else { continue };
                if let Err(error) = self.door.send(tenant.clone(), body).await {
                    tracing::warn!(%tenant, %error, "failed to store metrics of spans; the next ones make up for it");
                }
            }
        }
    }
}

impl Progress {
    fn new(until: i64) -> Self {
        Progress { until, totals: Totals::default() }
    }
}

async fn read(state: &QueryState, tenant: &TenantId, range: TimeRange) -> Result<Interval> {
    let context = QueryContext { tenant: tenant.clone(), timeout: state.executor().config().timeout };
    state.executor().run(context, move |control| interval(control, range)).await
}

/// Reads the spans of a range once, for both.
fn interval(control: &Control, range: TimeRange) -> Result<Interval> {
    let (mut operations, mut charged) = (Operations::default(), 0);
    let mut each = |columns: Columns<'_>| {
        operations.add(columns)?;
        let bytes = operations.memory_bytes();
        control.charge(bytes.saturating_sub(charged))?;
        charged = charged.max(bytes);
        Ok(())
    };
    let edges = edges_beside(control, range, Beside { columns: &[column::NAME], each: &mut each })?;
    Ok(Interval { operations, edges })
}

impl Operations {
    fn add(&mut self, columns: Columns<'_>) -> Result<()> {
        let (services, names) = (columns.repeated_text(column::SERVICE_NAME)?, columns.text(column::NAME)?);
        let (kinds, codes) = (columns.int32(column::KIND)?, columns.int32(column::STATUS_CODE)?);
        let durations = columns.int64(column::DURATION)?;
        let mut numbered = Numbered::new(services.len());
        for row in 0..columns.rows() {
            let service = numbered.number(services.key(row), &mut self.names, |key| services.value(key));
            let key = (service, self.names.number(names.get(row)), kinds.value(row), codes.value(row));
            self.durations.entry(key).or_default().add(durations.value(row), false, 1.0);
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
