//! Which services are there, and how are they doing now, compared with just before?
//!
//! The range and the one of equal length before it are read in one scan. All figures of the range itself are kept per
//! step of the sparkline and merged at the end (`quantile`, H2).

use super::{STATUS_ERROR, Tally};
use crate::column::Columns;
use crate::error::Result;
use crate::exec::Control;
use crate::quantile::{Count, Histogram};
use arrow_array::{Array, RecordBatch};
use query_api::service::{Service, ServicesResponse, Sparkline};
use std::collections::{BTreeMap, HashMap, HashSet};
use storage::model::attribute::Value;
use storage::model::schema::column;
use storage::model::{Signal, origin};
use storage::scan::{ScanRequest, TimeRange};

/// Most steps of a sparkline; a range that it does not divide evenly gets a few less, never half as many.
const STEPS: u64 = 60;

const SERVER: i32 = 2;
const CONSUMER: i32 = 5;

const COLUMNS: [&str; 8] = [
    column::SERVICE_NAME,
    column::RESOURCE,
    column::PARENT_SPAN_ID,
    column::KIND,
    column::START,
    column::DURATION,
    column::STATUS_CODE,
    column::TRACE_STATE,
];

/// The services with a span in the range.
pub(crate) fn services(control: &Control, range: TimeRange) -> Result<ServicesResponse> {
    let mut services = Services::new(range);
    let mut request = ScanRequest::all(COLUMNS);
    request.time = TimeRange { start: services.before.map_or(range.start, |before| before.start), end: range.end };
    let mut charged = 0;
    control.scan(Signal::Spans, request, |batch| {
        services.add(batch)?;
        let bytes = services.memory_bytes();
        control.charge(bytes.saturating_sub(charged))?;
        charged = charged.max(bytes);
        Ok(())
    })?;
    Ok(ServicesResponse {
        services: services.finish(),
        start_unix_nano: range.start,
        end_unix_nano: range.end,
        stats: control.stats(),
    })
}

/// What is known of all services after some of the spans.
#[derive(Debug)]
struct Services {
    range: TimeRange,
    before: Option<TimeRange>,
    steps: Steps,
    /// Index into `list` by name.
    names: HashMap<String, usize>,
    list: Vec<Tallies>,
    /// Index into `resources` by cell.
    cells: HashMap<Vec<u8>, usize>,
    resources: Vec<Identity>,
}

/// Equal parts of a range.
#[derive(Debug, Clone, Copy)]
struct Steps {
    start: i64,
    length: u64,
    count: usize,
}

impl Steps {
    fn new(range: TimeRange) -> Self {
        let whole = range.end.abs_diff(range.start).max(1);
        let length = whole.div_ceil(STEPS);
        Steps { start: range.start, length, count: usize::try_from(whole.div_ceil(length)).unwrap_or(1) }
    }

    fn of(self, time: i64) -> usize {
        usize::try_from(time.abs_diff(self.start) / self.length).unwrap_or(usize::MAX)
    }
}

/// What a resource says of the process that it describes.
#[derive(Debug, Default)]
struct Identity {
    instance: Option<String>,
    version: Option<String>,
}

impl Identity {
    fn parse(cell: &[u8]) -> Self {
        let Some(resource) = origin::Resource::parse(cell) else { return Identity::default() };
        let text = |key: &str| match resource.attributes.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.to_owned()),
            _ => None,
        };
        Identity { instance: text("service.instance.id"), version: text("service.version") }
    }
}

/// One service.
#[derive(Debug, Default)]
struct Tallies {
    spans: Count,
    steps: Vec<Tally>,
    before_spans: u64,
    before: Tally,
    /// Start of the newest span, and the version that it told.
    newest: Option<(i64, Option<String>)>,
    /// Indexes of resources with a span in the range.
    resources: HashSet<usize>,
}

impl Services {
    fn new(range: TimeRange) -> Self {
        let length = range.end.checked_sub(range.start);
        let start = length.and_then(|length| range.start.checked_sub(length));
        Services {
            range,
            before: start.map(|start| TimeRange { start, end: range.start }),
            steps: Steps::new(range),
            names: HashMap::new(),
            list: Vec::new(),
            cells: HashMap::new(),
            resources: Vec::new(),
        }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns(batch);
        let names = columns.repeated_text(column::SERVICE_NAME)?;
        let cells = columns.repeated_cells(column::RESOURCE)?;
        let parents = columns.fixed(column::PARENT_SPAN_ID)?;
        let kinds = columns.int32(column::KIND)?;
        let starts = columns.times(column::START)?;
        let durations = columns.int64(column::DURATION)?;
        let codes = columns.int32(column::STATUS_CODE)?;
        let stand_for = columns.stand_for()?;
        // The dictionaries of a batch may hold values that none of its rows has, so these are filled when met.
        let mut service_of: Vec<Option<usize>> = vec![None; names.len()];
        let mut resource_of: Vec<Option<usize>> = vec![None; cells.len()];
        for row in 0..columns.rows() {
            let (name, cell) = (names.key(row), cells.key(row));
            let (Some(service), Some(resource)) = (service_of.get_mut(name), resource_of.get_mut(cell)) else {
                continue;
            };
            let service = *service.get_or_insert_with(|| self.service(names.value(name)));
            let resource = *resource.get_or_insert_with(|| self.resource(cells.value(cell)));
            let span = Span {
                start: starts.value(row),
                duration: durations.value(row),
                is_error: codes.value(row) == STATUS_ERROR,
                is_request: matches!(kinds.value(row), SERVER | CONSUMER) || parents.is_null(row),
                stands_for: stand_for.get(row),
            };
            self.add_span(service, resource, &span);
        }
        Ok(())
    }

    fn service(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        self.names.insert(name.to_owned(), self.list.len());
        self.list.push(Tallies::default());
        self.list.len() - 1
    }

    fn resource(&mut self, cell: &[u8]) -> usize {
        if let Some(index) = self.cells.get(cell) {
            return *index;
        }
        self.cells.insert(cell.to_owned(), self.resources.len());
        self.resources.push(Identity::parse(cell));
        self.resources.len() - 1
    }

    fn add_span(&mut self, service: usize, resource: usize, span: &Span) {
        let (Some(tallies), Some(identity)) = (self.list.get_mut(service), self.resources.get(resource)) else {
            return;
        };
        if !self.range.contains(span.start) {
            tallies.before_spans += 1;
            if span.is_request {
                tallies.before.add(span.duration, span.is_error, span.stands_for);
            }
            return;
        }
        tallies.spans.add(span.stands_for);
        tallies.resources.insert(resource);
        // Of two newest spans the greater version counts, so that the order of the scan does not.
        let newer = match &tallies.newest {
            None => true,
            Some((start, version)) => (*start, version) < (span.start, &identity.version),
        };
        if newer {
            tallies.newest = Some((span.start, identity.version.clone()));
        }
        if span.is_request {
            if tallies.steps.is_empty() {
                tallies.steps.resize_with(self.steps.count, Tally::default);
            }
            if let Some(step) = tallies.steps.get_mut(self.steps.of(span.start)) {
                step.add(span.duration, span.is_error, span.stands_for);
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        let tally = |tally: &Tally| tally.durations.memory_bytes();
        let services = self.list.iter().map(|tallies| {
            let steps = tallies.steps.iter().map(tally).sum::<usize>();
            size_of::<Tallies>() + steps + tally(&tallies.before) + 16 * tallies.resources.len()
        });
        let cells = self.cells.keys().map(|cell| cell.len() + size_of::<Identity>() + 64);
        services.sum::<usize>() + cells.sum::<usize>()
    }

    fn finish(self) -> Vec<Service> {
        // By name, and without those that have spans in the range before only.
        let names: BTreeMap<&String, usize> = self.names.iter().map(|(name, index)| (name, *index)).collect();
        let tallies = names.into_iter().filter_map(|(name, index)| Some((name, self.list.get(index)?)));
        tallies.filter_map(|(name, tallies)| self.finish_service(name, tallies)).collect()
    }

    fn finish_service(&self, name: &str, tallies: &Tallies) -> Option<Service> {
        let (last_seen_unix_nano, version) = tallies.newest.clone()?;
        let mut whole = Tally::default();
        for step in &tallies.steps {
            whole.durations.merge(&step.durations);
            whole.errors.merge(step.errors);
        }
        let identities = tallies.resources.iter().filter_map(|index| self.resources.get(*index));
        let instances: HashSet<&String> = identities.filter_map(|identity| identity.instance.as_ref()).collect();
        let before = self.before.filter(|_| tallies.before_spans > 0);
        Some(Service {
            name: name.to_owned(),
            span_count: tallies.spans.total(),
            red: whole.red(self.range),
            previous: before.map(|before| tallies.before.red(before)),
            sparkline: self.sparkline(&tallies.steps),
            last_seen_unix_nano,
            instance_count: u32::try_from(instances.len()).unwrap_or(u32::MAX),
            version,
        })
    }

    fn sparkline(&self, steps: &[Tally]) -> Sparkline {
        let nothing = Tally::default();
        let all = || (0..self.steps.count).map(|step| steps.get(step).unwrap_or(&nothing));
        let p95 = |durations: &Histogram| durations.quantile(0.95);
        Sparkline {
            start_unix_nano: self.steps.start,
            step_nano: i64::try_from(self.steps.length).unwrap_or(i64::MAX),
            requests: all().map(|step| step.durations.total().total()).collect(),
            errors: all().map(|step| step.errors.total()).collect(),
            p95_nano: all().map(|step| p95(&step.durations)).collect(),
        }
    }
}

/// What counts of a span.
#[derive(Debug)]
struct Span {
    start: i64,
    duration: i64,
    is_error: bool,
    is_request: bool,
    stands_for: f64,
}
