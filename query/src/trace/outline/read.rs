//! How do stored spans become an outline? Columns of them are read, put into their tree, and what a tree says of each is added.

use super::{Outline, Row};
use crate::column::{Columns, span_id};
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::outline::OutlineFlaw;
use query_api::tree::{self, Rows};
use std::collections::{HashMap, HashSet};
use storage::model::schema::column;
use storage::model::{SpanId, TraceId, record};
use storage::trace::{MOST_SPANS, Nested, TreeSpan, nest};
use xxhash_rust::xxh3::Xxh3;

const COLUMNS: [&str; 9] = [
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::NAME,
    column::SERVICE_NAME,
    column::KIND,
    column::START,
    column::DURATION,
    column::STATUS_CODE,
    column::EVENTS,
];
/// What a span takes while its place is found, and after.
const SPAN_BYTES: usize =
    size_of::<Flat>() + 2 * size_of::<Row>() + 2 * size_of::<TreeSpan>() + size_of::<Nested>() + 64;
/// Who sends no service.name.
const UNKNOWN: &str = "unknown_service";

/// A span as it was read.
#[derive(Debug, Clone)]
struct Flat {
    span: TreeSpan,
    duration: i64,
    status: i32,
    name: usize,
    service: usize,
    /// Its events, as a range of all.
    events: (usize, usize),
}

/// Texts that come again and again, once each.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Box<str>, usize>,
    list: Vec<Box<str>>,
}

impl Texts {
    fn number(&mut self, control: &Control, text: &str) -> Result<usize> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        control.charge(2 * text.len() + 96)?;
        self.list.push(text.into());
        self.numbers.insert(text.into(), self.list.len() - 1);
        Ok(self.list.len() - 1)
    }
}

/// What was read of a trace, in whatever order.
#[derive(Debug, Default)]
struct Spans {
    flat: Vec<Flat>,
    names: Texts,
    services: Texts,
    /// Unix nanoseconds, and the index of the name.
    events: Vec<(i64, usize)>,
}

/// Reads a trace.
pub(super) fn outline(control: &Control, trace: TraceId) -> Result<Outline> {
    let mut spans = Spans::default();
    control.trace(trace, COLUMNS, |batch| spans.add(control, Columns(batch)))?;
    let Spans { mut flat, names, services, events } = spans;
    // The store's order of rows must not be seen (OL2).
    let key = |flat: &Flat, names: &Texts| {
        let Flat { span, duration, status, name, .. } = flat;
        (span.start, span.id.0, span.kind, *duration, *status, names.list.get(*name).cloned())
    };
    flat.sort_by(|one, two| {
        let quick = (one.span.start, one.span.id.0).cmp(&(two.span.start, two.span.id.0));
        quick.then_with(|| key(one, &names).cmp(&key(two, &names)))
    });
    control.check()?;
    let (order, nested) = order(&flat)?;
    control.check()?;
    let start = flat.iter().map(|flat| flat.span.start).min().unwrap_or(0);
    let mut outline = Outline {
        version: String::new(),
        rows: Vec::with_capacity(flat.len()),
        names: names.list,
        services: Vec::new(),
        events: Vec::with_capacity(events.len()),
        start,
        duration: 0,
        path: Vec::new(),
        lanes: Default::default(),
        found: Default::default(),
    };
    let mut placing = Placing { ids: flat.iter().map(|flat| flat.span.id).collect(), ..Placing::default() };
    for place in order {
        if let (Some(flat), Some(nested)) = (flat.get(place), nested.get(place)) {
            outline.place(flat, *nested, &mut placing, &services, &events);
        }
    }
    outline.duration = outline.rows.iter().map(Row::end).max().unwrap_or(0);
    outline.sum_up();
    control.check()?;
    outline.path = tree::critical_path(&outline);
    outline.version = outline.fingerprint();
    Ok(outline)
}

/// What is known while rows are placed one after the other.
#[derive(Debug, Default)]
struct Placing {
    ids: HashSet<SpanId>,
    /// Rows whose subtrees are not at their end: the last number in each, and the row.
    above: Vec<(i32, usize)>,
    /// Numbers of services in the order of the rows.
    service_of: HashMap<usize, usize>,
}

/// Places in the order of display, and the numbers of each place.
fn order(flat: &[Flat]) -> Result<(Vec<usize>, Vec<Nested>)> {
    let tree: Vec<TreeSpan> = flat.iter().map(|flat| flat.span).collect();
    let message = || format!("a trace of more than {MOST_SPANS} spans has no outline");
    let nested = nest(&tree).into_iter().collect::<Option<Vec<_>>>();
    let nested = nested.ok_or_else(|| Error::Limit { message: message() })?;
    let mut by_number: Vec<usize> = (0..flat.len()).collect();
    by_number.sort_unstable_by_key(|place| nested.get(*place).map_or(0, |nested| nested.left));
    // Whole trees whose root names a parent go behind the others.
    let mut detached = Vec::new();
    let mut order = Vec::with_capacity(flat.len());
    let mut is_detached = false;
    for place in by_number {
        match nested.get(place).map_or(0, |nested| nested.parent) {
            -1 => is_detached = false,
            0 => is_detached = true,
            _ => {}
        }
        if is_detached { detached.push(place) } else { order.push(place) }
    }
    order.extend(detached);
    Ok((order, nested))
}

impl Spans {
    fn add(&mut self, control: &Control, columns: Columns<'_>) -> Result<()> {
        let rows = columns.rows();
        control.collect(rows)?;
        control.charge(rows * SPAN_BYTES)?;
        let (ids, parents) = (columns.fixed(column::SPAN_ID)?, columns.fixed(column::PARENT_SPAN_ID)?);
        let (names, services) = (columns.text(column::NAME)?, columns.repeated_text(column::SERVICE_NAME)?);
        let (kinds, starts) = (columns.int32(column::KIND)?, columns.times(column::START)?);
        let (durations, statuses) = (columns.int64(column::DURATION)?, columns.int32(column::STATUS_CODE)?);
        let events = columns.cells(column::EVENTS)?;
        for row in 0..rows {
            let first = self.events.len();
            for event in record::Event::list(events.get(row)) {
                let name = self.names.number(control, event.name)?;
                self.events.push((i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX), name));
            }
            control.charge((self.events.len() - first) * 2 * size_of::<(i64, usize)>())?;
            let service = Some(services.get(row)).filter(|name| !name.is_empty()).unwrap_or(UNKNOWN);
            self.flat.push(Flat {
                span: TreeSpan {
                    id: span_id(ids, row).unwrap_or(SpanId([0; 8])),
                    parent: span_id(parents, row),
                    start: starts.value(row),
                    kind: kinds.value(row),
                },
                duration: durations.value(row),
                status: statuses.value(row),
                name: self.names.number(control, names.get(row))?,
                service: self.services.number(control, service)?,
                events: (first, self.events.len()),
            });
        }
        Ok(())
    }
}

impl Outline {
    fn place(&mut self, flat: &Flat, nested: Nested, placing: &mut Placing, services: &Texts, events: &[(i64, usize)]) {
        let Placing { ids, above, service_of } = placing;
        while above.last().is_some_and(|(last, _)| nested.left > *last || nested.parent <= 0) {
            above.pop();
        }
        let parent = above.last().map(|(_, row)| *row);
        above.push((nested.right, self.rows.len()));
        let service = *service_of.entry(flat.service).or_insert_with(|| {
            self.services.push(services.list.get(flat.service).cloned().unwrap_or_default());
            self.services.len() - 1
        });
        let flaw = match flat.span.parent {
            Some(named) if nested.parent == 0 && named == flat.span.id => Some(OutlineFlaw::SelfParent),
            Some(named) if nested.parent == 0 => {
                Some(if ids.contains(&named) { OutlineFlaw::Cycle } else { OutlineFlaw::MissingParent })
            }
            _ => None,
        };
        let first_event = self.events.len();
        let own = events.get(flat.events.0..flat.events.1).unwrap_or_default();
        self.events.extend(own.iter().map(|(time, name)| (time.saturating_sub(self.start), *name)));
        self.rows.push(Row {
            id: flat.span.id,
            parent,
            depth: above.len() - 1,
            // Every number on the way in and out is a row's: half of those between its own are its descendants'.
            subtree: usize::try_from(nested.right.saturating_sub(nested.left) / 2).unwrap_or(0) + 1,
            place: 1,
            siblings: 1,
            start: flat.span.start.saturating_sub(self.start),
            duration: flat.duration.max(0),
            own: 0,
            errors_below: 0,
            name: flat.name,
            service,
            kind: flat.span.kind,
            status: flat.status,
            flaw,
            is_backwards: flat.duration < 0,
            events: first_event,
        });
    }

    /// Errors below, self times, places among siblings.
    fn sum_up(&mut self) {
        for at in (0..self.rows.len()).rev() {
            let Some(row) = self.rows.get(at) else { continue };
            let errors = row.errors_below + usize::from(row.is_error());
            if let Some(parent) = row.parent.and_then(|parent| self.rows.get_mut(parent)) {
                parent.errors_below += errors;
            }
        }
        let roots: Vec<usize> = (0..self.rows.len()).filter(|at| self.rows[*at].parent.is_none()).collect();
        self.number(&roots);
        let mut children = Vec::new();
        for at in 0..self.rows.len() {
            let own = self.gaps(at).map(|[start, end]| end - start).fold(0, i64::saturating_add);
            self.rows[at].own = own;
            children.clear();
            children.extend(self.children(at));
            self.number(&children);
        }
    }

    fn number(&mut self, siblings: &[usize]) {
        for (place, at) in siblings.iter().enumerate() {
            if let Some(row) = self.rows.get_mut(*at) {
                (row.place, row.siblings) = (place + 1, siblings.len());
            }
        }
    }

    /// What tells it from the outline of other spans.
    fn fingerprint(&self) -> String {
        let mut hash = Xxh3::new();
        hash.update(&self.start.to_le_bytes());
        for row in &self.rows {
            hash.update(&row.id.0);
            hash.update(&row.start.to_le_bytes());
            hash.update(&row.duration.to_le_bytes());
            hash.update(&row.status.to_le_bytes());
            hash.update(&u32::try_from(row.depth).unwrap_or(u32::MAX).to_le_bytes());
        }
        format!("{:016x}", hash.digest())
    }
}
