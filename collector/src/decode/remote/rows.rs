//! How do series become rows? The labels but the name are the points' attributes, `job` is the service too, so that metrics are
//! found beside the spans and logs of their service.
//!
//! Exemplars of one series and millisecond lie at nanoseconds of their own, which follow from what they say: another request's is a row
//! beside those that came before, and one that comes again is the row that it was.
//!
//! What a metric is, its description and its unit come with a series in version 2, and on their own in version 1.

use super::super::DecodeLimits;
use super::histogram::Histogram;
use super::known::Meaning;
use super::{MAX_LABELS, Unfit, Written};
use std::collections::BTreeMap;
use std::ops::Range;
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Exemplar, Number};
use storage::model::verbatim::{Role, STALE_BITS, TYPE_KEY};
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};
use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "__name__";
const JOB: &str = "job";

/// OTLP's flag for a point without a recorded value.
const NO_RECORDED_VALUE: u32 = 1;
/// OTLP's number of the cumulative temporality.
const CUMULATIVE: i32 = 2;
/// Remote write's number of the type of counters.
const COUNTER: i32 = 1;
/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// What a sender told about a metric.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told<'a> {
    pub(super) r#type: i32,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
}

impl Told<'_> {
    fn is_empty(self) -> bool {
        self.r#type == 0 && self.help.is_empty() && self.unit.is_empty()
    }
}

/// What became of a request.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) rejected: u64,
    pub(super) message: Option<String>,
    pub(super) service: Option<String>,
    pub(super) written: Written,
}

/// The batch in the making.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    builder: PointBatchBuilder,
    limits: DecodeLimits,
    received_at: i64,
    rows: usize,
    outcome: Outcome,
    /// Which series of the request is at hand.
    pub(super) place: u64,
    /// Its labels, sorted once it has begun.
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) histogram: Histogram,
    name: &'a str,
    job: &'a str,
    told: Told<'a>,
    /// Whether it is left out.
    is_unfit: bool,
    map: MapBuilder,
    attributes: Vec<u8>,
    cell: Vec<u8>,
    exemplars: BTreeMap<i64, (Vec<u8>, u64)>,
    origin: Option<(Role, &'a str)>,
    metric: Option<(Role, Kind)>,
}

/// What the points of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Histogram,
}

impl<'a> Rows<'a> {
    pub(super) fn new(received_at: i64, limits: &DecodeLimits) -> Self {
        Rows {
            builder: PointBatchBuilder::default(),
            limits: limits.clone(),
            received_at,
            rows: 0,
            outcome: Outcome::default(),
            place: 0,
            labels: Vec::new(),
            histogram: Histogram::default(),
            name: "",
            job: "",
            told: Told::default(),
            is_unfit: false,
            map: MapBuilder::default(),
            attributes: Vec::new(),
            cell: Vec::new(),
            exemplars: BTreeMap::new(),
            origin: None,
            metric: None,
        }
    }

    /// The batch, unless it has outgrown what one can be, and what became of the rest.
    pub(super) fn finish(self) -> (Option<Batch>, Outcome) {
        (self.builder.finish().ok(), self.outcome)
    }

    /// Begins a series with the labels set, and so many points.
    pub(super) fn begin(&mut self, told: Told<'a>, fits: Result<(), Unfit>, points: u64) {
        (self.name, self.job, self.told, self.metric) = ("", "", told, None);
        let checked = fits.and_then(|()| self.check_labels());
        self.is_unfit = checked.is_err();
        if let Err(unfit) = checked {
            self.reject(&unfit, points);
            return;
        }
        for (name, value) in self.labels.iter().filter(|(name, _)| *name != NAME) {
            self.map.push(name, Value::String(value));
        }
        self.attributes.clear();
        self.map.finish_into(&mut self.attributes);
        if points == 0 {
            self.metadata(self.name, told);
        }
    }

    /// Begins a series whose labels came before, with the same bytes. Whether they are that.
    pub(super) fn begin_known(&mut self, labels: &'a [u8], meaning: &Meaning<'_>) -> bool {
        let text = |range: &Range<usize>| labels.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let (Some(name), Some(job)) = (text(&meaning.name), text(&meaning.job)) else { return false };
        (self.name, self.job, self.told, self.metric) = (name, job, Told::default(), None);
        self.is_unfit = false;
        self.attributes.clear();
        self.attributes.extend_from_slice(meaning.attributes);
        true
    }

    /// What the labels of the series mean that has begun, if it is fit, and its name and job lie in these bytes.
    pub(super) fn meaning(&self, labels: &[u8]) -> Option<Meaning<'_>> {
        let place = |text: &str| match text {
            "" => Some(0..0),
            _ => {
                let at = text.as_ptr().addr().checked_sub(labels.as_ptr().addr())?;
                (labels.get(at..at + text.len()) == Some(text.as_bytes())).then_some(at..at + text.len())
            }
        };
        let (name, job) = (place(self.name)?, place(self.job)?);
        (!self.is_unfit).then_some(Meaning { name, job, attributes: &self.attributes })
    }

    /// Sorts the labels, leaves out those without value, and finds the name.
    fn check_labels(&mut self) -> Result<(), Unfit> {
        if self.labels.len() > MAX_LABELS {
            return Err(Unfit::TooManyLabels);
        }
        let (labels, limit) = (&mut self.labels, self.limits.key_bytes);
        // As nearly every sender has them: sorted, each once.
        let rise = labels.is_sorted_by(|(one, _), (other, _)| one < other);
        if !rise {
            labels.sort_unstable();
        }
        self.name = labels.iter().find(|(name, _)| *name == NAME).map_or("", |(_, value)| value);
        if labels.iter().any(|(name, _)| name.is_empty()) {
            return Err(Unfit::EmptyLabel);
        }
        if labels.iter().any(|(name, _)| name.len() > limit) {
            return Err(Unfit::KeyTooLong { limit });
        }
        let is_twice = |pair: &&[(&str, &str)]| matches!(pair, [(one, _), (other, _)] if one == other);
        if let Some([(name, _), ..]) = labels.windows(2).find(|pair| !rise && is_twice(pair)) {
            return Err(Unfit::Twice((*name).to_owned()));
        }
        labels.retain(|(_, value)| !value.is_empty());
        self.job = labels.iter().find(|(name, _)| *name == JOB).map_or("", |(_, value)| value);
        if self.name.is_empty() { Err(Unfit::NoName) } else { Ok(()) }
    }

    /// Counts what is left out, and tells the first reason.
    fn reject(&mut self, unfit: &Unfit, points: u64) {
        // What brought no points is still told once.
        self.outcome.rejected += points.max(1);
        let (place, name) = (self.place, self.name);
        self.outcome.message.get_or_insert_with(|| {
            let name: String = name.chars().take(200).collect();
            let named = if name.is_empty() { String::new() } else { format!(" ({name:?})") };
            format!("first left out in timeseries[{place}]{named}: {unfit}")
        });
    }

    /// Appends a sample that is a number.
    pub(super) fn sample(&mut self, value: f64, time: i64, start: i64) {
        if self.is_unfit {
            return;
        }
        let is_stale = value.to_bits() == STALE_BITS;
        let number = (!is_stale).then_some(Number::Double(value));
        let data = if self.told.r#type == COUNTER { PointData::Sum(number) } else { PointData::Gauge(number) };
        let flags = if is_stale { NO_RECORDED_VALUE } else { 0 };
        let appended = times(time, start).and_then(|(time, start)| {
            self.enter(Role::Samples, Kind::Number)?;
            let (attributes, exemplars) = (Map::new(&self.attributes), [].as_slice());
            append(&mut self.builder, &Point { attributes, time, start_time: start, flags, exemplars, data })
        });
        match appended {
            Ok(()) => self.outcome.written.samples += 1,
            Err(unfit) => self.reject(&unfit, 1),
        }
    }

    /// Appends the histogram that was read.
    pub(super) fn histogram(&mut self, created: i64) {
        if self.is_unfit {
            return;
        }
        match self.append_histogram(created) {
            Ok(()) => self.outcome.written.histograms += 1,
            Err(unfit) => self.reject(&unfit, 1),
        }
    }

    fn append_histogram(&mut self, created: i64) -> Result<(), Unfit> {
        let start = if self.histogram.start == 0 { created } else { self.histogram.start };
        let (time, start_time) = times(self.histogram.timestamp, start)?;
        let ended = if self.histogram.is_stale() { NO_RECORDED_VALUE } else { 0 };
        let flags = self.histogram.flags() | ended;
        self.histogram.check()?;
        self.enter(Role::Samples, Kind::Histogram)?;
        let (attributes, exemplars) = (Map::new(&self.attributes), [].as_slice());
        let data = self.histogram.data();
        append(&mut self.builder, &Point { attributes, time, start_time, flags, exemplars, data })
    }

    /// Keeps an exemplar until the series ends.
    pub(super) fn exemplar(&mut self, labels: &[(&str, &str)], fits: Result<(), Unfit>, value: f64, time: i64) {
        if self.is_unfit {
            return;
        }
        let put = fits.and_then(|()| {
            if labels.len() > MAX_LABELS {
                return Err(Unfit::TooManyLabels);
            }
            let limit = self.limits.key_bytes;
            if labels.iter().any(|(name, _)| name.len() > limit) {
                return Err(Unfit::KeyTooLong { limit });
            }
            let (nanoseconds, _) = times(time, 0)?;
            let time_unix_nano = u64::try_from(nanoseconds);
            let time_unix_nano = time_unix_nano.map_err(|_| Unfit::ExemplarTime { milliseconds: time })?;
            Ok((nanoseconds, time_unix_nano))
        });
        let (nanoseconds, time_unix_nano) = match put {
            Ok(times) => times,
            Err(unfit) => return self.reject(&unfit, 1),
        };
        let (mut trace_id, mut span_id) = (None, None);
        for (name, value) in labels {
            match *name {
                "trace_id" if trace_id.is_none() => trace_id = hex::<16>(value),
                "span_id" if span_id.is_none() => span_id = hex::<8>(value),
                _ => {}
            }
            let is_id = (*name == "trace_id" && trace_id.is_some()) || (*name == "span_id" && span_id.is_some());
            if !is_id && !name.is_empty() {
                self.map.push(name, Value::String(value));
            }
        }
        self.cell.clear();
        self.map.finish_into(&mut self.cell);
        let exemplar = Exemplar {
            time_unix_nano,
            value: Some(Number::Double(value)),
            trace_id: trace_id.as_ref().map_or(&[], <[u8; 16]>::as_slice),
            span_id: span_id.as_ref().map_or(&[], <[u8; 8]>::as_slice),
            filtered_attributes: Map::new(&self.cell),
        };
        let mut told = Vec::new();
        exemplar.put(&mut told);
        let place = i64::try_from(xxh3_64(&told) % MILLISECOND).unwrap_or_default();
        let (cell, count) = self.exemplars.entry(nanoseconds.saturating_add(place)).or_default();
        if *cell != told {
            cell.append(&mut told);
        }
        *count += 1;
    }

    /// Ends a series: its exemplars get rows of their own.
    pub(super) fn end(&mut self) {
        for (time, (cell, count)) in std::mem::take(&mut self.exemplars) {
            let (role, flags) = (Role::Exemplars, NO_RECORDED_VALUE);
            let appended = self.enter(role, Kind::Number).and_then(|()| {
                let attributes = Map::new(&self.attributes);
                let data = PointData::Gauge(None);
                let point = Point { attributes, time, start_time: None, flags, exemplars: &cell, data };
                append(&mut self.builder, &point)
            });
            match appended {
                Ok(()) => self.outcome.written.exemplars += count,
                Err(unfit) => self.reject(&unfit, count),
            }
        }
    }

    /// Appends what was told about a metric, if anything was.
    pub(super) fn metadata(&mut self, family: &'a str, told: Told<'a>) {
        if family.is_empty() || told.is_empty() {
            return;
        }
        (self.name, self.job, self.told, self.metric) = (family, "", told, None);
        let appended = self.enter(Role::Metadata, Kind::Number).and_then(|()| {
            let point = Point {
                attributes: Map::default(),
                time: self.received_at,
                start_time: None,
                flags: NO_RECORDED_VALUE,
                exemplars: &[],
                data: PointData::Gauge(None),
            };
            append(&mut self.builder, &point)
        });
        if let Err(unfit) = appended {
            self.reject(&unfit, 1);
        }
    }

    /// Sets what the next row has in common with its series, where that changes.
    fn enter(&mut self, role: Role, kind: Kind) -> Result<(), Unfit> {
        let limit = self.limits.records;
        if self.rows >= limit {
            return Err(Unfit::TooManyRecords { limit });
        }
        self.rows += 1;
        // Two empty texts are not compared: see `storage::model`'s dictionaries.
        let is_same = |(last, job): (Role, &str)| {
            last == role && job.len() == self.job.len() && (job.is_empty() || job == self.job)
        };
        if !self.origin.is_some_and(is_same) {
            self.set_origin(role);
        }
        if self.metric != Some((role, kind)) {
            self.metric = Some((role, kind));
            self.set_metric(role, kind);
        }
        Ok(())
    }

    fn set_origin(&mut self, role: Role) {
        self.origin = Some((role, self.job));
        let mut cell = Vec::new();
        if !self.job.is_empty() {
            self.outcome.service.get_or_insert_with(|| self.job.to_owned());
            self.map.push("service.name", Value::String(self.job));
        }
        self.map.finish_into(&mut cell);
        self.builder.set_resource(&Resource { attributes: Map::new(&cell), ..Resource::default() });
        self.builder.set_scope(&Scope { name: role.scope(), ..Scope::default() });
    }

    fn set_metric(&mut self, role: Role, kind: Kind) {
        let name = type_name(self.told.r#type);
        self.cell.clear();
        if !name.is_empty() || role == Role::Metadata {
            self.map.push(TYPE_KEY, Value::String(if name.is_empty() { "unknown" } else { name }));
        }
        self.map.finish_into(&mut self.cell);
        let is_counter = role == Role::Samples && kind == Kind::Number && self.told.r#type == COUNTER;
        self.builder.set_metric(&MetricHead {
            name: self.name,
            unit: self.told.unit,
            description: self.told.help,
            metadata: Map::new(&self.cell),
            temporality: if is_counter || kind == Kind::Histogram { CUMULATIVE } else { 0 },
            is_monotonic: is_counter,
        });
    }
}

fn append(builder: &mut PointBatchBuilder, point: &Point<'_>) -> Result<(), Unfit> {
    // Only a batch that outgrows Arrow's limits fails, at a row count that is not reached.
    builder.append(point).map_err(|_| Unfit::TooManyRecords { limit: builder.len() })
}

/// Time and start in nanoseconds.
fn times(time: i64, start: i64) -> Result<(i64, Option<i64>), Unfit> {
    let nanoseconds =
        |field, milliseconds: i64| milliseconds.checked_mul(1_000_000).ok_or(Unfit::Time { field, milliseconds });
    let start_time = if start == 0 { None } else { Some(nanoseconds("start_timestamp", start)?) };
    Ok((nanoseconds("timestamp", time)?, start_time))
}

/// Remote write's types, by their numbers.
fn type_name(code: i32) -> &'static str {
    match code {
        COUNTER => "counter",
        2 => "gauge",
        3 => "histogram",
        4 => "gaugehistogram",
        5 => "summary",
        6 => "info",
        7 => "stateset",
        _ => "",
    }
}

/// The bytes of an id as OpenTelemetry writes it; `None` for any other text, which stays what it is.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in id.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(id)
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}
