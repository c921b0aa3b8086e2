//! How is a message of remote write 2 written? For what comes in by other doors, so that all is recorded and decoded in one way.

use super::super::exposition::Family;
use super::super::wire;
use super::series::key_2;
use std::collections::HashMap;
use storage::model::record::{put_bytes, put_varint};

/// A message in the making: its series, and the symbols that they refer to.
#[derive(Debug)]
pub(crate) struct Writer {
    places: HashMap<Box<str>, u32>,
    symbols: Vec<u8>,
    series: Vec<u8>,
    message: Vec<u8>,
    references: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        let empty = HashMap::new();
        let mut writer = Writer {
            places: empty,
            symbols: Vec::new(),
            series: Vec::new(),
            message: Vec::new(),
            references: Vec::new(),
        };
        writer.reference("");
        writer
    }
}

impl Writer {
    fn reference(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.insert(text.into(), place);
        put_varint(&mut self.symbols, key_2::SYMBOLS.into());
        put_bytes(&mut self.symbols, text.as_bytes());
        place
    }

    fn references<'t>(&mut self, labels: impl Iterator<Item = (&'t str, &'t str)>) {
        self.references.clear();
        for (name, value) in labels {
            for text in [name, value] {
                let reference = self.reference(text);
                put_varint(&mut self.references, reference.into());
            }
        }
    }

    /// The message.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.symbols.append(&mut self.series);
        self.symbols
    }
}

/// A series in the making.
#[derive(Debug)]
pub(crate) struct Series<'w> {
    writer: &'w mut Writer,
}

impl<'w> Series<'w> {
    pub(crate) fn new<'t>(
        writer: &'w mut Writer,
        name: &'t str,
        labels: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Self {
        writer.message.clear();
        writer.references(std::iter::once(("__name__", name)).chain(labels));
        put_varint(&mut writer.message, key_2::REFERENCES.into());
        put_bytes(&mut writer.message, &writer.references);
        Series { writer }
    }

    /// Adds a sample; a start of 0 is none.
    pub(crate) fn sample(&mut self, value: f64, time: i64, start: i64) {
        let mut sample = Vec::with_capacity(32);
        put_double(&mut sample, 1, value);
        put_number(&mut sample, 2, time);
        put_number(&mut sample, 3, start);
        put_varint(&mut self.writer.message, key_2::SAMPLES.into());
        put_bytes(&mut self.writer.message, &sample);
    }

    pub(crate) fn exemplar<'t>(&mut self, labels: impl Iterator<Item = (&'t str, &'t str)>, value: f64, time: i64) {
        self.writer.references(labels);
        let mut exemplar = Vec::with_capacity(32);
        put_varint(&mut exemplar, key_2::REFERENCES.into());
        put_bytes(&mut exemplar, &self.writer.references);
        put_double(&mut exemplar, 2, value);
        put_number(&mut exemplar, 3, time);
        put_varint(&mut self.writer.message, key_2::EXEMPLARS.into());
        put_bytes(&mut self.writer.message, &exemplar);
    }

    /// Adds a native histogram, given as its fields but for the times; a start of 0 is none.
    pub(crate) fn histogram(&mut self, fields: &[u8], time: i64, start: i64) {
        let mut histogram = Vec::with_capacity(fields.len() + 24);
        histogram.extend_from_slice(fields);
        put_number(&mut histogram, 15, time);
        put_number(&mut histogram, 17, start);
        put_varint(&mut self.writer.message, key_2::HISTOGRAMS.into());
        put_bytes(&mut self.writer.message, &histogram);
    }

    pub(crate) fn metadata(&mut self, family: &Family) {
        let mut metadata = Vec::with_capacity(12);
        let (help, unit) = (self.writer.reference(&family.help), self.writer.reference(&family.unit));
        put_number(&mut metadata, 1, family.r#type.into());
        put_number(&mut metadata, 3, help.into());
        put_number(&mut metadata, 4, unit.into());
        if !metadata.is_empty() {
            put_varint(&mut self.writer.message, key_2::META.into());
            put_bytes(&mut self.writer.message, &metadata);
        }
    }

    pub(crate) fn finish(self) {
        put_varint(&mut self.writer.series, key_2::SERIES.into());
        put_bytes(&mut self.writer.series, &self.writer.message);
    }
}

pub(in super::super) fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_varint(out, wire::fixed64(field).into());
    out.extend_from_slice(&value.to_le_bytes());
}

pub(in super::super) fn put_number(out: &mut Vec<u8>, field: u32, value: i64) {
    if value != 0 {
        put_varint(out, wire::varint(field).into());
        put_varint(out, value.cast_unsigned());
    }
}

/// Puts a count also where it is 0: it tells that counts are whole.
pub(in super::super) fn put_whole(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, wire::varint(field).into());
    put_varint(out, value);
}

/// Puts numbers, or what else is packed.
pub(in super::super) fn put_packed(out: &mut Vec<u8>, field: u32, packed: &[u8]) {
    put_varint(out, wire::bytes(field).into());
    put_bytes(out, packed);
}

/// Puts a span of so many buckets behind a gap.
pub(in super::super) fn put_span(out: &mut Vec<u8>, field: u32, gap: i64, buckets: i64) {
    let mut span = Vec::with_capacity(8);
    put_number(&mut span, 1, zigzag(gap));
    put_number(&mut span, 2, buckets);
    put_packed(out, field, &span);
}

/// Puts whole counts, each as what it has more than the one before.
pub(in super::super) fn put_deltas(out: &mut Vec<u8>, field: u32, counts: impl Iterator<Item = i64>) {
    let (mut packed, mut before) = (Vec::new(), 0i64);
    for count in counts {
        put_varint(&mut packed, zigzag(count.wrapping_sub(before)).cast_unsigned());
        before = count;
    }
    put_packed(out, field, &packed);
}

/// Puts counts that are floats.
pub(in super::super) fn put_doubles(out: &mut Vec<u8>, field: u32, counts: impl Iterator<Item = f64>) {
    put_packed(out, field, &counts.flat_map(f64::to_le_bytes).collect::<Vec<u8>>());
}

/// A sint as it is written.
pub(in super::super) fn zigzag(number: i64) -> i64 {
    number << 1 ^ number >> 63
}
