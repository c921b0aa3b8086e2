//! How much memory will the batch of a request take? Looked at before it is decoded, for labels are repeated in every row, and in
//! version 2 a byte stands for a text of any length.

use super::super::envelope::each;
use super::super::wire::{Reader, bytes};
use super::series::{key_1, key_2};
use super::{Version, histogram};

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measured {
    /// Rows at most.
    pub(crate) rows: usize,
    /// Bytes of labels and buckets beside the rows' own.
    pub(crate) bytes: usize,
}

/// A text's place in the table of symbols, and in that of their lengths, each with the room by which it grows.
const SYMBOL_BYTES: usize = 2 * (size_of::<&str>() + size_of::<usize>());

/// Bytes of the tables of symbols, which grow while a request is measured and decoded: a symbol of two bytes has a place of sixteen.
pub(crate) fn table_bytes(version: Version, message: &[u8]) -> usize {
    let mut symbols = 0usize;
    if version == Version::Two {
        each(message, &[key_2::SYMBOLS], &mut |_| symbols += 1);
    }
    symbols.saturating_mul(SYMBOL_BYTES)
}

/// Measures a request; where it is malformed, what is before. The tables of symbols are not in it.
pub(crate) fn measure(version: Version, message: &[u8]) -> Measured {
    let mut all = Measured::default();
    match version {
        Version::One => {
            each(message, &[key_1::SERIES], &mut |series| measure_1(series, &mut all));
            each(message, &[key_1::METADATA], &mut |_| all.rows += 1);
        }
        Version::Two => {
            let mut symbols = Vec::new();
            each(message, &[key_2::SYMBOLS], &mut |symbol| symbols.push(symbol.len()));
            each(message, &[key_2::SERIES], &mut |series| {
                let labels = referred(series, &symbols);
                measure_2(series, labels, &mut all);
                each(series, &[key_2::EXEMPLARS], &mut |exemplar| {
                    all.bytes = all.bytes.saturating_add(referred(exemplar, &symbols));
                });
                each(series, &[key_2::META], &mut |_| all.rows += 1);
            });
        }
    }
    all
}

/// Adds a series of version 1, which has its labels in it.
fn measure_1(series: &[u8], all: &mut Measured) {
    let (mut labels, mut rows) = (0usize, 0usize);
    each_of_all(series, |key, part| match key {
        key_1::LABELS => labels += part.len(),
        key_1::SAMPLES | key_1::EXEMPLARS => rows += 1,
        key_1::HISTOGRAMS => {
            rows += 1;
            all.bytes = all.bytes.saturating_add(histogram::measure(part));
        }
        _ => {}
    });
    add(labels, rows, all);
}

/// Adds a series of version 2 with so many bytes of labels.
fn measure_2(series: &[u8], labels: usize, all: &mut Measured) {
    let mut rows = 0usize;
    each_of_all(series, |key, part| match key {
        key_2::SAMPLES | key_2::EXEMPLARS => rows += 1,
        key_2::HISTOGRAMS => {
            rows += 1;
            all.bytes = all.bytes.saturating_add(histogram::measure(part));
        }
        _ => {}
    });
    add(labels, rows, all);
}

/// Gives every length-delimited field with its key, until the end or to where the message is malformed.
fn each_of_all<'a>(message: &'a [u8], mut give: impl FnMut(u32, &'a [u8])) {
    let mut reader = Reader::new(message);
    while let Ok(Some(key)) = reader.key() {
        let is_part = key & 7 == bytes(0) && key > bytes(0);
        let went_on = if is_part { reader.bytes().map(|part| give(key, part)) } else { reader.other(key, 0) };
        if went_on.is_err() {
            break;
        }
    }
}

/// Adds so many rows of a series.
fn add(labels: usize, rows: usize, all: &mut Measured) {
    all.rows = all.rows.saturating_add(rows);
    // A series without rows has its labels looked at, too: a few bytes that refer to megabytes must not cost their time.
    all.bytes = all.bytes.saturating_add(rows.max(1).saturating_mul(labels));
}

/// Bytes of the texts that a message refers to.
fn referred(message: &[u8], symbols: &[usize]) -> usize {
    let mut sum = 0usize;
    let mut add = |reference: u64| {
        let length = usize::try_from(reference).ok().and_then(|at| symbols.get(at)).copied().unwrap_or_default();
        sum = sum.saturating_add(length);
    };
    let mut reader = Reader::new(message);
    while let Ok(Some(key)) = reader.key() {
        let went_on = match key {
            key_2::REFERENCE => reader.varint().map(&mut add),
            key_2::REFERENCES => reader.bytes().map(|packed| {
                let mut packed = Reader::new(packed);
                while let (false, Ok(reference)) = (packed.is_empty(), packed.varint()) {
                    add(reference);
                }
            }),
            _ => reader.other(key, 0),
        };
        if went_on.is_err() {
            break;
        }
    }
    sum
}
