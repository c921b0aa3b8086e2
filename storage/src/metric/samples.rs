//! How are some samples of a series held? Column by column, a column in which nothing is present taking no memory.
//!
//! A column may be shorter than there are rows: what it lacks at its end is absent.

use super::field::{self, CELLS, Fields, NUMBERS, NumberKind};
use crate::model::record::Number;
use crate::model::schema;
use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, TimestampNanosecondArray, UInt32Array, UInt64Array};
use arrow_buffer::NullBuffer;
use std::ops::Range;
use std::sync::Arc;

/// Samples by time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    pub(crate) times: Vec<i64>,
    pub(crate) numbers: [Numbers; NUMBERS.len()],
    pub(crate) cells: [Cells; CELLS.len()],
}

/// A column of numbers, 64 bits each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Numbers {
    /// Zero where absent.
    values: Vec<u64>,
    /// As long as `values`, or empty: all are present.
    present: Vec<bool>,
}

impl Numbers {
    pub(crate) fn get(&self, row: usize) -> Option<u64> {
        let value = *self.values.get(row)?;
        self.present.get(row).copied().unwrap_or(true).then_some(value)
    }

    /// Sets a row behind all that were set before.
    pub(crate) fn set(&mut self, row: usize, value: u64) {
        if self.values.len() < row {
            if self.present.is_empty() {
                self.present.resize(self.values.len(), true);
            }
            self.values.resize(row, 0);
            self.present.resize(row, false);
        }
        self.values.push(value);
        if !self.present.is_empty() {
            self.present.push(true);
        }
    }

    /// Sets many rows.
    pub(crate) fn extend(&mut self, row: usize, values: &[u64]) {
        let Some((&first, rest)) = values.split_first() else { return };
        self.set(row, first);
        self.values.extend_from_slice(rest);
        if !self.present.is_empty() {
            self.present.resize(self.values.len(), true);
        }
    }

    /// Whether no row has a value.
    pub(crate) fn is_absent(&self) -> bool {
        self.values.is_empty()
    }

    /// The values of the rows that have one.
    pub(crate) fn present_values(&self) -> Vec<u64> {
        if self.present.is_empty() {
            return self.values.clone();
        }
        self.values.iter().zip(&self.present).filter(|(_, present)| **present).map(|(&value, _)| value).collect()
    }

    /// Whether each of so many rows has a value.
    pub(crate) fn presence(&self, rows: usize) -> Vec<bool> {
        (0..rows).map(|row| self.get(row).is_some()).collect()
    }

    fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        let whole = self.present.is_empty() && self.values.len() == rows;
        (!whole).then(|| self.presence(rows).into())
    }

    fn take(&self, rows: &[usize]) -> Numbers {
        let mut taken = Numbers::default();
        for (to, &from) in rows.iter().enumerate() {
            if let Some(value) = self.get(from) {
                taken.set(to, value);
            }
        }
        taken
    }
}

/// A column of cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cells {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    present: Vec<bool>,
}

impl Cells {
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        let end = *self.ends.get(row)?;
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.present.get(row).copied().unwrap_or(true).then(|| self.bytes.get(start..end).unwrap_or_default())
    }

    /// Sets a row behind all that were set before.
    pub(crate) fn set(&mut self, row: usize, cell: &[u8]) {
        if self.ends.len() < row {
            if self.present.is_empty() {
                self.present.resize(self.ends.len(), true);
            }
            self.ends.resize(row, self.bytes.len());
            self.present.resize(row, false);
        }
        self.bytes.extend_from_slice(cell);
        self.ends.push(self.bytes.len());
        if !self.present.is_empty() {
            self.present.push(true);
        }
    }

    /// Whether no row has a cell.
    pub(crate) fn is_absent(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether each of so many rows has a cell.
    pub(crate) fn presence(&self, rows: usize) -> Vec<bool> {
        (0..rows).map(|row| self.get(row).is_some()).collect()
    }

    /// The cells of the rows that have one.
    pub(crate) fn present_cells(&self) -> Vec<&[u8]> {
        (0..self.ends.len()).filter_map(|row| self.get(row)).collect()
    }

    fn take(&self, rows: &[usize]) -> Cells {
        let mut taken = Cells::default();
        for (to, &from) in rows.iter().enumerate() {
            if let Some(cell) = self.get(from) {
                taken.set(to, cell);
            }
        }
        taken
    }
}

impl Samples {
    /// How many.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Unix nanoseconds, ascending, each once.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// Since when a sample counts, if told.
    pub fn start_time(&self, row: usize) -> Option<i64> {
        self.number(field::START_TIME, row).map(u64::cast_signed)
    }

    /// OTLP's data point flags; bit 0 is "no recorded value".
    pub fn flags(&self, row: usize) -> u32 {
        self.number(field::FLAGS, row).and_then(|flags| u32::try_from(flags).ok()).unwrap_or(0)
    }

    /// The value of a gauge's or a sum's sample.
    pub fn value(&self, row: usize) -> Option<Number> {
        match self.number(field::VALUE_DOUBLE, row) {
            Some(bits) => Some(Number::Double(f64::from_bits(bits))),
            None => self.number(field::VALUE_INT, row).map(|value| Number::Int(value.cast_signed())),
        }
    }

    /// Whether each sample is a double and nothing more is told of any: neither a start nor flags, nor others for which it stands.
    pub(crate) fn are_plain_doubles(&self) -> bool {
        let column = |place: usize| self.numbers.get(place);
        let tells = |place: usize| column(place).is_some_and(|column| column.values.iter().any(|bits| *bits != 0));
        let are_there = |doubles: &Numbers| doubles.present.is_empty() && doubles.values.len() == self.len();
        let stand_for_others = column(field::COUNT).is_some_and(|counts| !counts.is_absent());
        column(field::VALUE_DOUBLE).is_some_and(are_there)
            && !tells(field::START_TIME)
            && !tells(field::FLAGS)
            && !stand_for_others
    }

    /// Times, and the bits of the doubles; zero where there is none.
    pub(crate) fn into_doubles(mut self) -> (Vec<i64>, Vec<u64>) {
        let doubles = self.numbers.get_mut(field::VALUE_DOUBLE).map(std::mem::take).unwrap_or_default();
        (self.times, doubles.values)
    }

    /// How many measurements a histogram's or summary's sample stands for.
    pub fn count(&self, row: usize) -> Option<u64> {
        self.number(field::COUNT, row)
    }

    /// Their sum.
    pub fn sum(&self, row: usize) -> Option<f64> {
        self.number(field::SUM, row).map(f64::from_bits)
    }

    /// The least of them.
    pub fn min(&self, row: usize) -> Option<f64> {
        self.number(field::MIN, row).map(f64::from_bits)
    }

    /// The greatest of them.
    pub fn max(&self, row: usize) -> Option<f64> {
        self.number(field::MAX, row).map(f64::from_bits)
    }

    /// Scale of an exponential histogram.
    pub fn scale(&self, row: usize) -> Option<i32> {
        self.number(field::SCALE, row).and_then(|scale| i32::try_from(scale.cast_signed()).ok())
    }

    /// Measurements in an exponential histogram's zero bucket.
    pub fn zero_count(&self, row: usize) -> Option<u64> {
        self.number(field::ZERO_COUNT, row)
    }

    /// Width of the zero bucket.
    pub fn zero_threshold(&self, row: usize) -> Option<f64> {
        self.number(field::ZERO_THRESHOLD, row).map(f64::from_bits)
    }

    /// Bounds of a histogram, for `record::doubles`.
    pub fn explicit_bounds(&self, row: usize) -> &[u8] {
        self.cell(field::EXPLICIT_BOUNDS, row)
    }

    /// Counts of a histogram, for `record::counts`.
    pub fn bucket_counts(&self, row: usize) -> &[u8] {
        self.cell(field::BUCKET_COUNTS, row)
    }

    /// Positive buckets of an exponential histogram, for `record::buckets`.
    pub fn positive(&self, row: usize) -> &[u8] {
        self.cell(field::POSITIVE, row)
    }

    /// Negative buckets of an exponential histogram, for `record::buckets`.
    pub fn negative(&self, row: usize) -> &[u8] {
        self.cell(field::NEGATIVE, row)
    }

    /// Quantiles of a summary, for `record::quantiles`.
    pub fn quantiles(&self, row: usize) -> &[u8] {
        self.cell(field::QUANTILES, row)
    }

    /// Exemplars, for `record::Exemplar::list`.
    pub fn exemplars(&self, row: usize) -> &[u8] {
        self.cell(field::EXEMPLARS, row)
    }

    /// Bytes of memory, about.
    pub fn memory_bytes(&self) -> usize {
        let numbers: usize = self.numbers.iter().map(|n| n.values.capacity() * 8 + n.present.capacity()).sum();
        let cell = |c: &Cells| c.bytes.capacity() + c.ends.capacity() * 8 + c.present.capacity();
        self.times.capacity() * 8 + numbers + self.cells.iter().map(cell).sum::<usize>()
    }

    fn number(&self, place: usize, row: usize) -> Option<u64> {
        self.numbers.get(place)?.get(row)
    }

    fn cell(&self, place: usize, row: usize) -> &[u8] {
        self.cells.get(place).and_then(|cells| cells.get(row)).unwrap_or_default()
    }

    /// Some rows, in their order.
    pub(crate) fn take(&self, rows: &[usize]) -> Samples {
        Samples {
            times: rows.iter().filter_map(|&row| self.times.get(row).copied()).collect(),
            numbers: std::array::from_fn(|place| self.numbers[place].take(rows)),
            cells: std::array::from_fn(|place| self.cells[place].take(rows)),
        }
    }

    /// Only some fields.
    pub(crate) fn with(mut self, fields: Fields) -> Samples {
        let numbers = self.numbers.iter_mut().enumerate().filter(|(place, _)| !fields.number(*place));
        numbers.for_each(|(_, numbers)| *numbers = Numbers::default());
        let cells = self.cells.iter_mut().enumerate().filter(|(place, _)| !fields.cell(*place));
        cells.for_each(|(_, cells)| *cells = Cells::default());
        self
    }

    /// Appends samples.
    pub(crate) fn append(&mut self, other: &Samples) {
        let start = self.len();
        self.times.extend_from_slice(&other.times);
        for (to, from) in self.numbers.iter_mut().zip(&other.numbers) {
            match from.present.is_empty() {
                true => to.extend(start, &from.values),
                false => (0..from.values.len())
                    .filter_map(|row| Some((row, from.get(row)?)))
                    .for_each(|(row, value)| to.set(start + row, value)),
            }
        }
        for (to, from) in self.cells.iter_mut().zip(&other.cells) {
            for row in 0..from.ends.len() {
                if let Some(cell) = from.get(row) {
                    to.set(start + row, cell);
                }
            }
        }
    }

    /// Sorts by time; of samples with one time the last stays (N2).
    pub(crate) fn ordered(self) -> Samples {
        if self.times.is_sorted_by(|a, b| a < b) {
            return self;
        }
        let mut rows: Vec<usize> = (0..self.len()).collect();
        rows.sort_by_key(|&row| self.times.get(row).copied());
        let time = |row: &usize| self.times.get(*row).copied();
        let last: Vec<usize> =
            rows.chunk_by(|a, b| time(a) == time(b)).filter_map(|same| same.last().copied()).collect();
        self.take(&last)
    }

    /// Without those that a head gave up. They have at least the flags.
    pub(crate) fn not_given_up(&self) -> Samples {
        let is_kept = |row: &usize| self.number(field::FLAGS, *row).is_none_or(|flags| flags & field::GIVEN_UP == 0);
        self.take(&(0..self.len()).filter(is_kept).collect::<Vec<_>>())
    }

    /// The rows, of ascending times, that lie in a range.
    pub(crate) fn rows_in(&self, range: crate::scan::TimeRange) -> Range<usize> {
        rows_in(&self.times, range)
    }

    /// One of the columns of samples, for all rows; `None` for other columns.
    pub(crate) fn array(&self, column: &str) -> Option<ArrayRef> {
        if column == schema::column::TIME {
            return Some(Arc::new(
                TimestampNanosecondArray::from(self.times.clone()).with_data_type(schema::timestamp()),
            ));
        }
        let rows = self.len();
        if let Some(place) = NUMBERS.iter().position(|(name, _)| *name == column) {
            return self.numbers.get(place).map(|numbers| number_array(place, numbers, rows));
        }
        let cells = self.cells.get(CELLS.iter().position(|name| *name == column)?)?;
        let mut builder = BinaryBuilder::with_capacity(rows, cells.bytes.len());
        (0..rows).for_each(|row| builder.append_option(cells.get(row)));
        Some(Arc::new(builder.finish()))
    }
}

/// The rows, of ascending times, that lie in a range.
pub(crate) fn rows_in(times: &[i64], range: crate::scan::TimeRange) -> Range<usize> {
    let from = times.partition_point(|&time| time < range.start);
    let to = times.partition_point(|&time| time < range.start || range.contains(time));
    from..to.max(from)
}

fn number_array(place: usize, numbers: &Numbers, rows: usize) -> ArrayRef {
    let nulls = numbers.nulls(rows);
    let bits = numbers.values.iter().copied().chain(std::iter::repeat(0)).take(rows);
    let int = |bits: u64| bits.cast_signed();
    match (place, NUMBERS.get(place).map(|(_, kind)| *kind)) {
        (field::START_TIME, _) => {
            let array = TimestampNanosecondArray::new(bits.map(int).collect(), nulls);
            Arc::new(array.with_data_type(schema::timestamp()))
        }
        // Never null: the column is required.
        (field::FLAGS, _) => {
            Arc::new(UInt32Array::from_iter_values(bits.map(|flags| u32::try_from(flags).unwrap_or(u32::MAX))))
        }
        (field::SCALE, _) => {
            let values = bits.map(|scale| i32::try_from(int(scale)).unwrap_or_default()).collect();
            Arc::new(Int32Array::new(values, nulls))
        }
        (_, Some(NumberKind::Int)) => Arc::new(Int64Array::new(bits.map(int).collect(), nulls)),
        (_, Some(NumberKind::Unsigned)) => Arc::new(UInt64Array::new(bits.collect(), nulls)),
        _ => Arc::new(Float64Array::new(bits.map(f64::from_bits).collect(), nulls)),
    }
}
