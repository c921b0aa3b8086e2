//! What is known of each granule?
//!
//! Rows are counted by *combination*: a service, and the numbers of the other dimensions. So a predicate that speaks of these
//! only is evaluated once per combination, by the function that evaluates it for rows.

use super::super::encode::{ColumnData, Values};
use super::super::interner::{IntegerInterner, Interner};
use super::super::layout::{Part, StoredColumn};
use super::super::order::RowRef;
use crate::error::{Error, Result};
use crate::model::record::{put_bytes, put_varint, take_bytes, take_varint};
use crate::model::schema::{self, column as name};
use crate::model::{Batch, Signal};
use crate::scan::{Count, Dimension, weights};
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::Schema;
use std::ops::Range;
use std::sync::Arc;

/// More combinations of a block are not told apart: granules that come then are unknown.
const MOST_COMBINATIONS: usize = 4096;
/// More bytes of services are not kept.
const MOST_SERVICE_BYTES: usize = 256 << 10;
/// A granule of more combinations is unknown: reading it costs little more than what would be kept of it.
const MOST_IN_GRANULE: usize = 128;
/// Granules that come after so many bytes of others are unknown, as in a block of 2^28 rows and more.
const MOST_BYTES: usize = 64 << 20;
/// Of how many bits the number of a dimension's number is. There are no more than combinations.
const NUMBER_BITS: u32 = 16;
/// OpenTelemetry's numbers are below this.
const SMALL: usize = 32;
/// A block has fewer rows.
const MOST_ROWS: usize = 1 << 31;

/// The bytes of the rows of a portion, by batch.
#[derive(Debug)]
pub(in super::super) struct Weights(Vec<Vec<u64>>);

impl Weights {
    pub(in super::super) fn of(signal: Signal, batches: &[Batch]) -> Result<Self> {
        batches.iter().map(|batch| weights(signal, batch.columns())).collect::<Result<_>>().map(Weights)
    }

    fn get(&self, at: RowRef) -> u64 {
        self.0[at.batch as usize][at.row as usize]
    }
}

/// The rows of a row group, in its order.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct GroupRows<'a> {
    /// The stored columns, and their values.
    pub(in super::super) columns: (&'a [StoredColumn], &'a [ColumnData]),
    /// Where they lie in the portion, and what they weigh.
    pub(in super::super) rows: &'a [RowRef],
    pub(in super::super) weights: &'a Weights,
    /// How many make a granule.
    pub(in super::super) granule_rows: usize,
}

/// The columns of a row group that rows are counted by.
struct Facts<'a> {
    times: &'a [i64],
    /// The dictionary's number of each row's service, and the builder's number of each of the dictionary.
    services: &'a [u32],
    service_numbers: Vec<u64>,
    numbers: Vec<&'a [i32]>,
}

impl<'a> GroupRows<'a> {
    fn values(&self, name: &str) -> Option<&'a Values> {
        let (columns, data) = self.columns;
        let column =
            |(column, _): &(&StoredColumn, _)| matches!(column.part, Part::Column(_)) && column.field.name() == name;
        columns.iter().zip(data).find(column).map(|(_, data)| &data.values)
    }

    /// `None` where the columns are others than the model's.
    fn facts(&self, signal: Signal, services: Option<&mut Interner>) -> Option<Facts<'a>> {
        let Some(Values::Int64(times)) = self.values(schema::time_column(signal)) else { return None };
        let Some(Values::Coded { dictionary, keys, .. }) = self.values(name::SERVICE_NAME) else { return None };
        let numbers = Dimension::numbers_of(signal).iter().map(|dimension| match self.values(dimension.column()) {
            Some(Values::Int32(numbers)) => Some(numbers.as_slice()),
            _ => None,
        });
        // None are asked for once there is no room.
        let service_numbers = services
            .into_iter()
            .flat_map(|services| dictionary.iter().map(|service| u64::from(services.intern(service))));
        let service_numbers = service_numbers.collect();
        Some(Facts { times, services: keys, service_numbers, numbers: numbers.collect::<Option<Vec<_>>>()? })
    }
}

/// What is known of the granules of a block in the making.
#[derive(Debug)]
pub(super) struct GranuleBuilder {
    signal: Signal,
    /// Rows, and rows of a granule, by row group.
    groups: Vec<(usize, usize)>,
    services: Interner,
    /// Distinct numbers of the other dimensions, as their bits.
    numbers: IntegerInterner,
    /// Those of small ones.
    small: [Option<u64>; SMALL],
    /// Each is the number of its service, and then those of its numbers.
    combinations: IntegerInterner,
    /// Whether there is no room for another combination.
    full: bool,
    /// What was written of the granules.
    granules: Vec<u8>,
    earliest: i64,
    /// Of the granule: by combination, and those that are not zero.
    counts: Vec<Count>,
    touched: Vec<u32>,
}

impl GranuleBuilder {
    pub(super) fn new(signal: Signal) -> Self {
        GranuleBuilder {
            signal,
            groups: Vec::new(),
            services: Interner::default(),
            numbers: IntegerInterner::default(),
            small: [None; SMALL],
            combinations: IntegerInterner::default(),
            full: false,
            granules: Vec::new(),
            earliest: 0,
            counts: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Notes a row group.
    pub(super) fn note_group(&mut self, group: &GroupRows<'_>) -> Result<()> {
        let granule_rows = group.granule_rows.max(1);
        let unknown = || Error::Request { what: format!("these are not the columns of {}", self.signal) };
        let facts = group.facts(self.signal, Some(&mut self.services).filter(|_| !self.full)).ok_or_else(unknown)?;
        self.full |= self.services.bytes_len() > MOST_SERVICE_BYTES;
        self.groups.push((group.rows.len(), granule_rows));
        for from in (0..group.rows.len()).step_by(granule_rows) {
            self.note_granule(&facts, group, from..group.rows.len().min(from + granule_rows));
        }
        Ok(())
    }

    fn note_granule(&mut self, facts: &Facts<'_>, group: &GroupRows<'_>, rows: Range<usize>) {
        let times = &facts.times[rows.clone()];
        let (min, max) = times.iter().fold((i64::MAX, i64::MIN), |(min, max), &time| (min.min(time), max.max(time)));
        let mut known = !self.full && self.granules.len() < MOST_BYTES;
        if known {
            for row in rows {
                let Some(combination) = self.combination(facts, row) else {
                    known = false;
                    break;
                };
                self.count(combination, group.weights.get(group.rows[row]));
            }
        }
        put_varint(&mut self.granules, zigzag(min.wrapping_sub(self.earliest)));
        put_varint(&mut self.granules, max.wrapping_sub(min).cast_unsigned());
        self.earliest = min;
        self.put_counts(known);
    }

    /// The number of a row's combination, if it has one.
    fn combination(&mut self, facts: &Facts<'_>, row: usize) -> Option<u32> {
        let mut packed = facts.service_numbers[facts.services[row] as usize];
        for numbers in &facts.numbers {
            packed = packed << NUMBER_BITS | self.number(numbers[row]);
        }
        let number = self.combinations.intern(packed);
        self.full |= self.combinations.values().len() > MOST_COMBINATIONS;
        (!self.full).then_some(number)
    }

    /// The number of a dimension's number: most are small, and so looked up in a list.
    fn number(&mut self, number: i32) -> u64 {
        let known = usize::try_from(number).ok().and_then(|place| self.small.get_mut(place));
        match known {
            Some(Some(known)) => *known,
            Some(unknown) => *unknown.insert(self.numbers.intern(number.cast_unsigned().into()).into()),
            None => self.numbers.intern(number.cast_unsigned().into()).into(),
        }
    }

    fn count(&mut self, combination: u32, bytes: u64) {
        let place = combination as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, Count::default());
        }
        let count = &mut self.counts[place];
        if count.rows == 0 {
            self.touched.push(combination);
        }
        count.rows += 1;
        count.bytes += bytes;
    }

    /// Writes the counts of a granule, and forgets them.
    fn put_counts(&mut self, known: bool) {
        self.touched.sort_unstable();
        let known = known && self.touched.len() <= MOST_IN_GRANULE;
        put_varint(&mut self.granules, if known { self.touched.len() as u64 } else { 0 });
        let (mut next, last) = (0, self.touched.len().saturating_sub(1));
        for (place, combination) in std::mem::take(&mut self.touched).into_iter().enumerate() {
            let count = std::mem::take(&mut self.counts[combination as usize]);
            if known {
                put_varint(&mut self.granules, u64::from(combination - next));
                // The last one has the rows that are left.
                if place < last {
                    put_varint(&mut self.granules, count.rows);
                }
                put_varint(&mut self.granules, count.bytes);
            }
            next = combination + 1;
        }
    }

    /// The part of the file.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.granules.len() + self.services.bytes_len() + 64);
        put_varint(&mut out, self.groups.len() as u64);
        for (rows, granule_rows) in &self.groups {
            put_varint(&mut out, *rows as u64);
            put_varint(&mut out, *granule_rows as u64);
        }
        put_varint(&mut out, self.services.len() as u64);
        self.services.iter().for_each(|service| put_bytes(&mut out, service));
        // One or two.
        let numbers = Dimension::numbers_of(self.signal).iter().map(|_| 1).sum::<u32>();
        put_varint(&mut out, self.combinations.values().len() as u64);
        for &packed in self.combinations.values() {
            put_varint(&mut out, packed >> (numbers * NUMBER_BITS));
            for place in (0..numbers).rev() {
                let number = packed >> (place * NUMBER_BITS) & ((1 << NUMBER_BITS) - 1);
                let number = usize::try_from(number).ok().and_then(|number| self.numbers.values().get(number));
                put_varint(&mut out, number.copied().unwrap_or_default());
            }
        }
        out.extend_from_slice(&self.granules);
        out
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What is known of the granules of a block.
#[derive(Debug)]
pub(in super::super) struct GranuleStats {
    /// Rows, and rows of a granule, by row group.
    groups: Vec<(usize, usize)>,
    services: Vec<Vec<u8>>,
    /// The columns of the dimensions, a row per combination.
    combinations: RecordBatch,
    /// The service of each combination.
    service_of: Vec<usize>,
    /// As in the file; walked through once when it was read.
    granules: Vec<u8>,
}

/// A granule.
#[derive(Debug)]
pub(in super::super) struct Granule {
    pub(in super::super) group: usize,
    /// Of the row group.
    pub(in super::super) rows: Range<usize>,
    /// Earliest and latest time, both inclusive.
    pub(in super::super) time: (i64, i64),
    /// How many rows of which combination; none where that is unknown.
    pub(in super::super) counts: Vec<(usize, Count)>,
}

impl GranuleStats {
    /// Reads the part of the file.
    pub(super) fn parse(signal: Signal, part: &[u8]) -> Option<Self> {
        let mut input = part;
        let mut take = || usize::try_from(take_varint(&mut input)?).ok().filter(|&number| number < MOST_ROWS);
        let groups = take()?;
        let groups =
            (0..groups).map(|_| Some((take()?, take().filter(|&rows| rows > 0)?))).collect::<Option<Vec<_>>>()?;
        let services = take()?;
        let services = (0..services).map(|_| Some(take_bytes(&mut input)?.to_vec())).collect::<Option<Vec<_>>>()?;
        let count = take_varint(&mut input)?;
        let dimensions = Dimension::numbers_of(signal);
        let mut service_of = Vec::new();
        let mut numbers: Vec<Vec<i32>> = vec![Vec::new(); dimensions.len()];
        for _ in 0..count {
            let service = usize::try_from(take_varint(&mut input)?).ok()?;
            service_of.push(Some(service).filter(|&service| service < services.len())?);
            for numbers in &mut numbers {
                numbers.push(u32::try_from(take_varint(&mut input)?).ok()?.cast_signed());
            }
        }
        let combinations = combinations(signal, &services, &service_of, numbers)?;
        let stats = GranuleStats { groups, services, combinations, service_of, granules: input.to_vec() };
        let is_sound = stats.walk().all(|granule| granule.is_some());
        is_sound.then_some(stats)
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let services: usize = self.services.iter().map(|service| service.len() + size_of::<Vec<u8>>()).sum();
        self.granules.len() + services + self.groups.len() * 16 + self.combinations.get_array_memory_size()
    }

    /// Rows by row group.
    pub(in super::super) fn groups(&self) -> impl ExactSizeIterator<Item = usize> {
        self.groups.iter().map(|(rows, _)| *rows)
    }

    /// The combinations, in the columns of the dimensions.
    pub(in super::super) fn combinations(&self) -> &RecordBatch {
        &self.combinations
    }

    /// The service of a combination.
    pub(in super::super) fn service_of(&self, combination: usize) -> &[u8] {
        self.service_of.get(combination).and_then(|&service| self.services.get(service)).map_or(&[], Vec::as_slice)
    }

    /// The granules in the order of their rows; ends early, with `None`, at what is malformed.
    pub(in super::super) fn walk(&self) -> impl Iterator<Item = Option<Granule>> {
        let mut input = self.granules.as_slice();
        let mut earliest = 0i64;
        let granules = self.groups.iter().enumerate().flat_map(|(group, &(rows, granule_rows))| {
            (0..rows).step_by(granule_rows).map(move |from| (group, from..rows.min(from.saturating_add(granule_rows))))
        });
        let all = self.service_of.len();
        granules.map(move |(group, rows)| {
            let granule = take_granule(&mut input, earliest, (group, rows), all)?;
            earliest = granule.time.0;
            Some(granule)
        })
    }
}

fn take_granule(input: &mut &[u8], earliest: i64, place: (usize, Range<usize>), all: usize) -> Option<Granule> {
    let (group, rows) = place;
    let min = earliest.wrapping_add(unzigzag(take_varint(input)?));
    let max = min.wrapping_add(take_varint(input)?.cast_signed());
    let known = usize::try_from(take_varint(input)?).ok().filter(|&known| known <= MOST_IN_GRANULE)?;
    let mut counts = Vec::with_capacity(known);
    let (mut next, mut left) = (0usize, rows.len() as u64);
    for place in 0..known {
        let combination = next.checked_add(usize::try_from(take_varint(input)?).ok()?).filter(|&one| one < all)?;
        let rows = if place + 1 < known { take_varint(input)? } else { left };
        left = left.checked_sub(rows)?;
        counts.push((combination, Count { rows, bytes: take_varint(input)? }));
        next = combination + 1;
    }
    (min <= max).then_some(Granule { group, rows, time: (min, max), counts })
}

/// The combinations as rows of the model.
fn combinations(
    signal: Signal,
    services: &[Vec<u8>],
    service_of: &[usize],
    numbers: Vec<Vec<i32>>,
) -> Option<RecordBatch> {
    let texts = services.iter().map(|service| std::str::from_utf8(service).ok()).collect::<Option<Vec<_>>>()?;
    let keys = service_of.iter().map(|&service| i32::try_from(service).ok()).collect::<Option<Vec<_>>>()?;
    let names = DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(texts))).ok()?;
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(names)];
    arrays.extend(numbers.into_iter().map(|numbers| Arc::new(Int32Array::from(numbers)) as ArrayRef));
    let columns = [name::SERVICE_NAME].into_iter().chain(Dimension::numbers_of(signal).iter().map(|by| by.column()));
    let fields = columns.map(|column| schema::of(signal).field_with_name(column).cloned().ok());
    let schema = Schema::new(fields.collect::<Option<Vec<_>>>()?);
    RecordBatch::try_new(Arc::new(schema), arrays).ok()
}
