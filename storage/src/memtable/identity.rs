//! When are two spans the same span? When every field is the same: ids, times, attributes, events, links, origin.
//!
//! The identity is a 128-bit hash of all cells of the row, of which texts, maps and lists are told by 64 bits of their own.
//! Attributes are canonical (M2), so their order does not matter. By which threshold the span was sampled does not matter either:
//! sampling sets it later (`sampling`), and the span may be sent again.

use crate::error::{Error, Result};
use crate::hashed::AsIs;
use crate::model::schema::column;
use crate::model::{Signal, trace_state};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, downcast_primitive_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The identities of a table's spans.
#[derive(Debug, Default)]
pub(super) struct Identities(HashSet<u128, AsIs>);

impl Identities {
    pub(super) fn contains(&self, identity: &u128) -> bool {
        self.0.contains(identity)
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, count: usize) {
        self.0.reserve(count);
    }

    /// Adds an identity; whether it was not there before.
    pub(super) fn insert(&mut self, identity: u128) -> bool {
        self.0.insert(identity)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * (size_of::<u128>() + 1)
    }
}

/// Rows whose cells are laid side by side at once; they stay in the nearest cache.
const WINDOW_ROWS: usize = 128;
/// Bytes before a row's cells that tell which of them are absent.
const ABSENCE: usize = 8;

/// The identity of each row of a batch with the schema of spans.
pub(crate) fn of_spans(columns: &RecordBatch) -> Result<Vec<u128>> {
    if columns.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let mut arrays: Vec<ArrayRef> = columns.columns().to_vec();
    if let Ok(place) = columns.schema_ref().index_of(column::TRACE_STATE)
        && let Some(states) = arrays.get_mut(place)
        && let Some(without) = without_thresholds(states)
    {
        *states = without;
    }
    let cells: Vec<Cells<'_>> = arrays.iter().map(Cells::of).collect::<Result<_>>()?;
    if cells.iter().any(|cells| !matches!(cells.width(), 4 | 8 | 16)) {
        return Err(Error::Request { what: format!("no identity for {}", columns.schema_ref()) });
    }
    let stride = ABSENCE + cells.iter().map(Cells::width).sum::<usize>();
    let mut identities = Vec::with_capacity(columns.num_rows());
    let mut laid = Vec::new();
    for from in (0..columns.num_rows()).step_by(WINDOW_ROWS) {
        let rows = from..columns.num_rows().min(from + WINDOW_ROWS);
        laid.clear();
        laid.resize(rows.len() * stride, 0);
        let mut at = ABSENCE;
        for (number, cells) in cells.iter().enumerate() {
            cells.put(rows.clone(), &mut Side { laid: &mut laid, stride, at, number });
            at += cells.width();
        }
        identities.extend(laid.chunks_exact(stride).map(xxh3_128));
    }
    Ok(identities)
}

/// The texts of a column without thresholds, where one may have some.
fn without_thresholds(states: &ArrayRef) -> Option<ArrayRef> {
    let states = states.as_string_opt::<i32>()?;
    let may_be = |state: &str| state.contains("ot=");
    if states.null_count() == states.len() || !states.iter().flatten().any(may_be) {
        return None;
    }
    let without = states.iter().map(|state| state.map(trace_state::without_threshold));
    Some(Arc::new(without.collect::<StringArray>()))
}

/// Where the cells of a column go: `at` in each row of so many bytes.
struct Side<'a> {
    laid: &'a mut [u8],
    stride: usize,
    at: usize,
    number: usize,
}

impl Side<'_> {
    fn put<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) {
        for (row, value) in self.laid.chunks_exact_mut(self.stride).zip(values) {
            if let Some(slot) = row.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
                *slot = value;
            }
        }
    }

    /// Takes back what lies under absent cells, and says that they are.
    fn absent(&mut self, rows: Range<usize>, width: usize, nulls: &NullBuffer) {
        for (row, index) in self.laid.chunks_exact_mut(self.stride).zip(rows) {
            if nulls.is_null(index) {
                row.get_mut(self.at..self.at + width).unwrap_or_default().fill(0);
                if let Some(byte) = row.get_mut(self.number / 8 % ABSENCE) {
                    *byte |= 1 << (self.number % 8);
                }
            }
        }
    }
}

/// A column, ready to give its cells in a fixed width.
enum Cells<'a> {
    /// Cells of one width each: values, width, nulls.
    Fixed(&'a [u8], usize, Option<&'a NullBuffer>),
    /// Cells of any length, of which the hash is taken: offsets, values, nulls. An absent one is an empty one.
    Long(&'a [i32], &'a [u8], Option<&'a NullBuffer>),
    /// Keys into values that are hashed once.
    Repeated(&'a [i32], Vec<u64>),
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let column_ref = column.as_ref();
        Ok(match column.data_type() {
            DataType::Utf8 => {
                let text = column.as_string::<i32>();
                Cells::Long(text.value_offsets(), text.value_data(), text.nulls())
            }
            DataType::Binary => {
                let cells = column.as_binary::<i32>();
                Cells::Long(cells.value_offsets(), cells.value_data(), cells.nulls())
            }
            DataType::FixedSizeBinary(width) => {
                let cells = column.as_fixed_size_binary();
                Cells::Fixed(cells.value_data(), usize::try_from(*width).unwrap_or_default(), cells.nulls())
            }
            DataType::Dictionary(_, _) => {
                let dictionary = column.as_dictionary::<Int32Type>();
                let values = Cells::of(dictionary.values())?;
                let hashes = (0..dictionary.values().len()).map(|index| values.hash(index));
                Cells::Repeated(dictionary.keys().values(), hashes.collect())
            }
            _ => downcast_primitive_array! {
                column_ref => Cells::Fixed(column_ref.values().inner().as_slice(), column_ref.values().inner().len() / column_ref.len().max(1), column.nulls()),
                other => return Err(Error::Request { what: format!("no identity for {other} in {}", Signal::Spans) }),
            },
        })
    }

    fn width(&self) -> usize {
        match self {
            Cells::Fixed(_, width, _) => *width,
            Cells::Long(..) | Cells::Repeated(..) => size_of::<u64>(),
        }
    }

    /// What stands for a cell that has no fixed width; 0 for an empty one.
    fn hash(&self, index: usize) -> u64 {
        let Cells::Long(offsets, values, nulls) = self else { return 0 };
        let range = match (offsets.get(index), offsets.get(index + 1)) {
            (Some(&start), Some(&end)) if start < end && nulls.is_none_or(|nulls| nulls.is_valid(index)) => {
                start as usize..end as usize
            }
            _ => return 0,
        };
        xxh3_64(values.get(range).unwrap_or_default())
    }

    fn put(&self, rows: Range<usize>, side: &mut Side<'_>) {
        match self {
            Cells::Fixed(values, width, nulls) => {
                let values = values.get(rows.start * width..rows.end * width).unwrap_or_default();
                match width {
                    4 => side.put(values.as_chunks::<4>().0.iter().copied()),
                    8 => side.put(values.as_chunks::<8>().0.iter().copied()),
                    16 => side.put(values.as_chunks::<16>().0.iter().copied()),
                    // Refused above.
                    _ => {}
                }
                if let Some(nulls) = nulls {
                    side.absent(rows, *width, nulls);
                }
            }
            Cells::Long(..) => side.put(rows.map(|index| self.hash(index).to_le_bytes())),
            Cells::Repeated(keys, hashes) => {
                let hash = |key: &i32| usize::try_from(*key).ok().and_then(|key| hashes.get(key)).copied();
                let keys = keys.get(rows).unwrap_or_default();
                side.put(keys.iter().map(|key| hash(key).unwrap_or_default().to_le_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::tests::random::Random;
    use crate::block::tests::rows;
    use std::collections::BTreeMap;

    #[test]
    fn equal_spans_have_one_identity_and_others_another_whatever_their_batch() {
        let mut random = Random::new(3);
        let batches = random.batches(Signal::Spans, 700);
        let mut by_identity: BTreeMap<u128, Vec<Option<Vec<u8>>>> = BTreeMap::new();
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            let columns = batch.columns();
            let whole = of_spans(columns).unwrap();
            for (index, identity) in whole.into_iter().enumerate() {
                let alone = columns.slice(index, 1);
                assert_eq!(of_spans(&alone).unwrap(), [identity]);
                let row = rows(&[alone]).remove(0);
                assert_eq!(by_identity.entry(identity).or_insert_with(|| row.clone()), &row);
            }
        }
        assert!(by_identity.len() > 690, "hardly any two random spans are equal");
    }
}
