//! How many rows, and how many bytes of them, per step of time and group? What is asked, and the one place that counts rows.
//!
//! V1  A row counts in the step that its time lies in and in the group of its own value; each matching row once.
//! V2  The bytes of a row are the lengths of its texts and cells, as the model encodes them: body, names, attributes, events,
//!     links. Ids, times and numbers count nothing, and so do service, resource and scope, which came once for many rows.
//!     They are the same in memory and in every block.
//!
//! Not here: who answers from statistics (`block::stats`), which rows there are (`engine`).

use super::{Predicate, TimeRange, required};
use crate::block::Interner;
use crate::error::{Error, Result};
use crate::model::Signal;
use crate::model::schema::{self, column as name};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use std::collections::{BTreeMap, HashMap};

/// More steps are no picture any more.
const MOST_STEPS: u64 = 20_000;
/// Steps of groups that are counted; some 100 MB.
const MOST_COUNTS: usize = 1 << 20;

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Severity number, of logs.
    Severity,
    /// `service.name` of the resource.
    Service,
    /// Status code, of spans.
    Status,
    /// Kind, of spans.
    Kind,
}

impl Dimension {
    /// The column that holds it.
    pub fn column(self) -> &'static str {
        match self {
            Dimension::Severity => name::SEVERITY_NUMBER,
            Dimension::Service => name::SERVICE_NAME,
            Dimension::Status => name::STATUS_CODE,
            Dimension::Kind => name::KIND,
        }
    }

    /// The dimensions of a table beside the service.
    pub(crate) fn numbers_of(signal: Signal) -> &'static [Dimension] {
        match signal {
            Signal::Logs => &[Dimension::Severity],
            Signal::Spans => &[Dimension::Kind, Dimension::Status],
            Signal::Metrics => &[],
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Measure {
    /// Rows.
    #[default]
    Rows,
    /// Rows and bytes. Rows that statistics do not answer for are read whole.
    RowsAndBytes,
}

/// Which rows are counted, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeRequest {
    /// Rows by time. Steps begin with its start.
    pub time: TimeRange,
    /// Nanoseconds of a step; the last one may reach past the range.
    pub step: u64,
    /// What rows are grouped by; all are one group unless given.
    pub by: Option<Dimension>,
    /// Rows by content. What speaks of dimensions only is answered from statistics.
    pub predicate: Predicate,
    /// What is counted.
    pub measure: Measure,
}

/// A group of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// All rows.
    All,
    /// Rows with a severity number, status code or kind.
    Number(i32),
    /// Rows of a service.
    Service(String),
}

impl Group {
    /// Bytes of its text.
    pub fn text_len(&self) -> usize {
        match self {
            Group::Service(service) => service.len(),
            Group::All | Group::Number(_) => 0,
        }
    }
}

/// How much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows.
    pub rows: u64,
    /// Bytes (V2), if they were asked for.
    pub bytes: u64,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// By the number of the step and the group; what has no row is not here.
    pub counts: BTreeMap<(u64, Group), Count>,
    /// Where the counts come from.
    pub cost: FactCost,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FactCost {
    /// Rows that were looked at, in memory or in blocks.
    pub rows_read: u64,
    /// Rows that statistics answered for.
    pub rows_from_statistics: u64,
    /// Blocks of which rows were read.
    pub blocks_read: u64,
    /// Blocks that were answered from what is known of them, or hold nothing of the range.
    pub blocks_pruned: u64,
}

impl VolumeRequest {
    /// Refuses what a table cannot answer.
    fn check(&self, signal: Signal) -> Result<()> {
        let refuse = |what: String| Err(Error::Request { what });
        if signal == Signal::Metrics {
            return refuse(format!("{signal} have no volume over time"));
        }
        let knows = |by: Dimension| by == Dimension::Service || Dimension::numbers_of(signal).contains(&by);
        if let Some(by) = self.by.filter(|by| !knows(*by)) {
            return refuse(format!("{signal} have no column `{}`", by.column()));
        }
        let unknown = self.predicate.columns().into_iter().find(|column| schema::of(signal).index_of(column).is_err());
        if let Some(unknown) = unknown {
            return refuse(format!("{signal} have no column `{unknown}`"));
        }
        let steps = self.time.end.abs_diff(self.time.start).checked_div(self.step);
        match steps {
            Some(steps) if steps <= MOST_STEPS => Ok(()),
            _ => refuse(format!("a step of {} ns makes more than {MOST_STEPS} of the range", self.step)),
        }
    }

    /// The columns of rows to be counted that match.
    pub(crate) fn columns(&self, signal: Signal) -> Vec<&'static str> {
        let mut columns = vec![schema::time_column(signal)];
        columns.extend(self.by.map(Dimension::column));
        if self.measure == Measure::RowsAndBytes {
            columns.extend(weighed(signal));
        }
        columns
    }
}

/// The columns whose lengths are a row's bytes.
pub(crate) fn weighed(signal: Signal) -> impl Iterator<Item = &'static str> {
    let fields = schema::of(signal).fields().iter();
    fields
        .filter(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Binary))
        .map(|field| field.name().as_str())
}

/// The bytes of each row of a batch that has the columns of [`weighed`].
pub(crate) fn weights(signal: Signal, batch: &RecordBatch) -> Result<Vec<u64>> {
    let mut bytes = vec![0u64; batch.num_rows()];
    for column in weighed(signal) {
        let array = required(batch, column)?;
        let offsets = match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value_offsets(),
            _ => array.as_binary_opt::<i32>().map(|cells| cells.value_offsets()).unwrap_or_default(),
        };
        let lengths = offsets.windows(2).map(|ends| match *ends {
            [from, to] => u64::from(to.abs_diff(from)),
            _ => 0,
        });
        let rows = bytes.iter_mut().zip(lengths);
        match array.nulls() {
            None => rows.for_each(|(bytes, length)| *bytes += length),
            Some(nulls) => {
                rows.zip(nulls).filter(|(_, valid)| *valid).for_each(|((bytes, length), _)| *bytes += length)
            }
        }
    }
    Ok(bytes)
}

/// Counts in the making.
#[derive(Debug)]
pub(crate) struct Tally {
    signal: Signal,
    request: VolumeRequest,
    services: Interner,
    /// By step and group, which is a number's bits or a service's number.
    counts: HashMap<(u64, u32), Count>,
    pub(crate) cost: FactCost,
}

impl Tally {
    pub(crate) fn new(signal: Signal, request: VolumeRequest) -> Result<Self> {
        request.check(signal)?;
        let (services, counts, cost) = Default::default();
        Ok(Tally { signal, request, services, counts, cost })
    }

    pub(crate) fn request(&self) -> &VolumeRequest {
        &self.request
    }

    /// The step of a time within the range.
    pub(crate) fn step_of(&self, time: i64) -> u64 {
        time.abs_diff(self.request.time.start) / self.request.step.max(1)
    }

    /// The group of a service.
    pub(crate) fn service(&mut self, service: &[u8]) -> u32 {
        self.services.intern(service)
    }

    /// Counts rows of one step and group.
    pub(crate) fn add(&mut self, step: u64, group: u32, count: Count) -> Result<()> {
        let counted = self.counts.entry((step, group)).or_default();
        counted.rows += count.rows;
        counted.bytes += count.bytes;
        if self.counts.len() > MOST_COUNTS {
            let what =
                format!("there are more than {MOST_COUNTS} steps and groups; ask for longer steps or fewer groups");
            return Err(Error::Request { what });
        }
        Ok(())
    }

    /// Counts rows, all of which match, in the columns that [`VolumeRequest::columns`] names.
    pub(crate) fn add_rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = required(batch, schema::time_column(self.signal))?.as_primitive::<TimestampNanosecondType>();
        let groups = self.groups_of(batch)?;
        let bytes = match self.request.measure {
            Measure::Rows => Vec::new(),
            Measure::RowsAndBytes => weights(self.signal, batch)?,
        };
        // Neighbours mostly are of one step and group.
        let mut run: Option<((u64, u32), Count)> = None;
        for (row, &time) in times.values().iter().enumerate() {
            let place = (self.step_of(time), groups.get(row).copied().unwrap_or(0));
            let bytes = bytes.get(row).copied().unwrap_or(0);
            match &mut run {
                Some((of_run, count)) if *of_run == place => {
                    count.rows += 1;
                    count.bytes += bytes;
                }
                _ => {
                    if let Some(((step, group), count)) = run.replace((place, Count { rows: 1, bytes })) {
                        self.add(step, group, count)?;
                    }
                }
            }
        }
        run.map_or(Ok(()), |((step, group), count)| self.add(step, group, count))
    }

    /// The group of each row; none where all are one.
    fn groups_of(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let Some(by) = self.request.by else { return Ok(Vec::new()) };
        let column = required(batch, by.column())?;
        if by != Dimension::Service {
            let numbers = column.as_primitive::<Int32Type>().values();
            return Ok(numbers.iter().map(|number| number.cast_unsigned()).collect());
        }
        let services = column.as_dictionary::<Int32Type>();
        let mut known: Vec<Option<u32>> = vec![None; services.values().len()];
        let mut groups = Vec::with_capacity(services.len());
        for &key in services.keys().values() {
            let place = usize::try_from(key).ok().and_then(|key| known.get_mut(key));
            let service = || self.services.intern(crate::block::dictionary_value(services, key));
            groups.push(match place {
                Some(place) => *place.get_or_insert_with(service),
                None => self.services.intern(&[]),
            });
        }
        Ok(groups)
    }

    /// What was counted.
    pub(crate) fn finish(self) -> Volume {
        let group = |group: u32| match self.request.by {
            None => Group::All,
            Some(Dimension::Service) => Group::Service(String::from_utf8_lossy(self.services.get(group)).into_owned()),
            Some(_) => Group::Number(group.cast_signed()),
        };
        let counts = self.counts.iter().map(|(&(step, of), &count)| ((step, group(of)), count));
        Volume { counts: counts.collect(), cost: self.cost }
    }
}
