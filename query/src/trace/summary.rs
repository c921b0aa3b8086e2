//! What is a trace in one line? Its root, its extent, its services, and how many of its spans match.

use super::search::SearchQuery;
use super::top::Position;
use crate::column::{Columns, span_id};
use crate::error::Result;
use crate::exec::Control;
use arrow_array::RecordBatch;
use query_api::trace::{Order, ServiceShare, TraceSummary};
use std::collections::HashMap;
use storage::model::schema::column;
use storage::model::{Signal, TraceId};

const STATUS_ERROR: i32 = 2;

/// What a summary is made of.
const COLUMNS: [&str; 7] = [
    column::START,
    column::DURATION,
    column::STATUS_CODE,
    column::SERVICE_NAME,
    column::NAME,
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
];

/// The summary of a trace, unless one of its matching spans puts it at another place of the list.
pub(super) fn summarise(control: &Control, query: &SearchQuery, place: Position) -> Result<Option<TraceSummary>> {
    let mut columns = query.filter.predicate.columns();
    columns.extend(COLUMNS);
    let request = query.filter.request(&[column::START, column::DURATION, column::STATUS_CODE]);
    let mut matched = Matched::default();
    let mut extent = Extent::default();
    control.trace(place.trace, columns, |batch| {
        if let Some(rows) = storage::scan::filter(Signal::Spans, batch, &request)? {
            add_rows(&mut matched, &rows)?;
        }
        extent.add(batch)
    })?;
    Ok((matched.best(query.order, place.trace) == Some(place)).then(|| extent.summary(place, &matched)))
}

/// The matching spans among those of a trace.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    count: u32,
    errors: u32,
    /// The earliest start, the latest start and the longest duration.
    ends: Option<(i64, i64, i64)>,
}

impl Matched {
    /// Takes a matching span.
    pub(crate) fn add(&mut self, start: i64, duration: i64, status: i32) {
        self.count = self.count.saturating_add(1);
        self.errors = self.errors.saturating_add(u32::from(status == STATUS_ERROR));
        let (first, last, longest) = self.ends.unwrap_or((start, start, duration));
        self.ends = Some((first.min(start), last.max(start), longest.max(duration)));
    }

    /// Where they put their trace in a list.
    pub(crate) fn best(&self, order: Order, trace: TraceId) -> Option<Position> {
        let (first, last, longest) = self.ends?;
        let key = match order {
            Order::Newest => last,
            Order::Oldest => first,
            Order::Longest => longest,
            Order::MostSpans => self.count.into(),
            Order::MostErrors => self.errors.into(),
        };
        Some(Position::new(order, key, trace))
    }

    /// Says in a summary of their trace what they are.
    pub(crate) fn tell(&self, summary: &mut TraceSummary) {
        let (first, last, longest) = self.ends.unwrap_or_default();
        summary.matched_count = self.count;
        summary.first_match_unix_nano = first;
        summary.last_match_unix_nano = last;
        summary.longest_match_nano = longest;
    }
}

fn add_rows(matched: &mut Matched, rows: &RecordBatch) -> Result<()> {
    let columns = Columns(rows);
    let starts = columns.times(column::START)?.values();
    let durations = columns.int64(column::DURATION)?.values();
    let codes = columns.int32(column::STATUS_CODE)?.values();
    let spans = starts.iter().zip(durations).zip(codes);
    spans.for_each(|((start, duration), code)| matched.add(*start, *duration, *code));
    Ok(())
}

/// What is known of a trace after some of its spans.
#[derive(Debug, Default)]
struct Extent {
    range: Option<(i64, i64)>,
    span_count: u32,
    error_count: u32,
    first: Option<Head>,
    services: HashMap<String, Share>,
}

/// The span that a trace is named after: one without parent before one with, then the earliest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    has_parent: bool,
    start: i64,
    id: [u8; 8],
    service: String,
    name: String,
}

#[derive(Debug)]
struct Share {
    first_start: i64,
    span_count: u32,
    error_count: u32,
}

impl Extent {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns(batch);
        let starts = columns.times(column::START)?;
        let durations = columns.int64(column::DURATION)?;
        let codes = columns.int32(column::STATUS_CODE)?;
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let names = columns.text(column::NAME)?;
        let ids = columns.fixed(column::SPAN_ID)?;
        let parents = columns.fixed(column::PARENT_SPAN_ID)?;
        for row in 0..columns.rows() {
            let (start, duration) = (starts.value(row), durations.value(row));
            let end = start.saturating_add(duration.max(0));
            self.range = Some(self.range.map_or((start, end), |(first, last)| (first.min(start), last.max(end))));
            let errors = u32::from(codes.value(row) == STATUS_ERROR);
            self.span_count = self.span_count.saturating_add(1);
            self.error_count = self.error_count.saturating_add(errors);
            self.share(services.get(row), start, errors);

            let has_parent = span_id(parents, row).is_some();
            let id = span_id(ids, row).map(|id| id.0).unwrap_or_default();
            let better =
                self.first.as_ref().is_none_or(|head| (has_parent, start, id) < (head.has_parent, head.start, head.id));
            if better {
                let (service, name) = (services.get(row).into(), names.get(row).into());
                self.first = Some(Head { has_parent, start, id, service, name });
            }
        }
        Ok(())
    }

    fn share(&mut self, service: &str, start: i64, errors: u32) {
        if let Some(share) = self.services.get_mut(service) {
            share.first_start = share.first_start.min(start);
            share.span_count = share.span_count.saturating_add(1);
            share.error_count = share.error_count.saturating_add(errors);
        } else {
            self.services.insert(service.into(), Share { first_start: start, span_count: 1, error_count: errors });
        }
    }

    fn summary(self, place: Position, matched: &Matched) -> TraceSummary {
        let (start, end) = self.range.unwrap_or_default();
        let mut services: Vec<(String, Share)> = self.services.into_iter().collect();
        services.sort_unstable_by(|(a, one), (b, other)| (one.first_start, a).cmp(&(other.first_start, b)));
        let share = |(name, share): (String, Share)| ServiceShare {
            name,
            span_count: share.span_count,
            error_count: share.error_count,
        };
        let has_root = self.first.as_ref().is_some_and(|head| !head.has_parent);
        let (root_service, root_name) = self.first.map(|head| (head.service, head.name)).unwrap_or_default();
        let mut summary = TraceSummary {
            trace_id: place.trace.to_string(),
            root_service,
            root_name,
            has_root,
            start_unix_nano: start,
            duration_nano: end.saturating_sub(start),
            span_count: self.span_count,
            error_count: self.error_count,
            services: services.into_iter().map(share).collect(),
            ..TraceSummary::default()
        };
        matched.tell(&mut summary);
        summary
    }
}
