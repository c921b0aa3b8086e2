//! Which attributes do the columns of a row group hold?
//!
//! Counted per distinct value wherever a column has a dictionary. Of a key whose values are given up only rows are counted.

use super::super::encode::{ColumnData, Values};
use super::super::interner::{IntegerInterner, Interner};
use super::super::layout::{Part, StoredColumn, parse_attribute};
use super::super::shred::{ABSENT_BOOL, ABSENT_INT, ABSENT_STRING, Kind};
use crate::model::attribute::{Value, put_value};
use crate::model::record::put_bytes;
use crate::model::schema::column as name;
use crate::scan::{FacetPlace, Facets, ValueType};

/// The numbers of owners (`scan::SCOPES`).
const OWN: u8 = 0;
const RESOURCE: u8 = 1;
const SCOPE: u8 = 2;

/// Notes the attributes of a row group.
pub(in super::super) fn note_attributes(facets: &mut Facets, columns: &[StoredColumn], data: &[ColumnData]) {
    for (column, data) in columns.iter().zip(data) {
        match (&column.part, column.field.name().as_str()) {
            (Part::Attribute(_), stored) => {
                if let Some((kind, key)) = parse_attribute(stored) {
                    note_column(facets, kind, key, data);
                }
            }
            (Part::Rest, _) => note_cells(facets, OWN, data),
            (Part::Column(_), name::RESOURCE) => note_cells(facets, RESOURCE, data),
            (Part::Column(_), name::SCOPE) => note_cells(facets, SCOPE, data),
            _ => {}
        }
    }
}

fn note_cells(facets: &mut Facets, scope: u8, data: &ColumnData) {
    match &data.values {
        Values::Coded { dictionary, keys, .. } => {
            for (cell, rows) in dictionary.iter().zip(rows_by_key(dictionary.len(), keys)) {
                facets.add_cell(scope, cell, rows);
            }
        }
        Values::Bytes { bytes, ends } => strings(bytes, ends).for_each(|cell| facets.add_cell(scope, cell, 1)),
        // No cells.
        _ => {}
    }
}

fn note_column(facets: &mut Facets, kind: Kind, key: &str, data: &ColumnData) {
    let Some(place) = facets.place(OWN, value_type(kind), key.as_bytes()) else { return };
    match &data.values {
        Values::Coded { dictionary, keys, .. } => note_coded(facets, place, dictionary, keys),
        Values::Bytes { bytes, ends } => {
            let present = || strings(bytes, ends).filter(|text| *text != ABSENT_STRING);
            facets.add_rows(place, present().count() as u64);
            let mut value = Vec::new();
            for text in present() {
                if !facets.lists(place) {
                    break;
                }
                facets.add_value(place, text_value(&mut value, text), 1);
            }
        }
        Values::Int32(values) => {
            for (flag, value) in [(0, false), (1, true)] {
                let rows = values.iter().filter(|&&other| other != ABSENT_BOOL && other == flag).count() as u64;
                note_value(facets, place, Value::Bool(value), rows);
            }
        }
        Values::Int64(values) => {
            let absent = data.present.is_none().then_some(ABSENT_INT);
            let present = values.iter().filter(|value| Some(**value) != absent).map(|value| value.cast_unsigned());
            note_numbers(facets, place, present, |bits| Value::Int(bits.cast_signed()));
        }
        Values::Double(values) => {
            note_numbers(facets, place, values.iter().map(|value| value.to_bits()), |bits| {
                Value::Double(f64::from_bits(bits))
            });
        }
        Values::Bool(_) | Values::Fixed { .. } => {}
    }
}

fn note_coded(facets: &mut Facets, place: FacetPlace, dictionary: &Interner, keys: &[u32]) {
    let mut value = Vec::new();
    for (text, rows) in dictionary.iter().zip(rows_by_key(dictionary.len(), keys)) {
        if text != ABSENT_STRING && rows > 0 {
            facets.add_rows(place, rows);
            if facets.lists(place) {
                facets.add_value(place, text_value(&mut value, text), rows);
            }
        }
    }
}

fn note_numbers(
    facets: &mut Facets,
    place: FacetPlace,
    numbers: impl Iterator<Item = u64> + Clone,
    value: impl Fn(u64) -> Value<'static>,
) {
    if !facets.lists(place) {
        return facets.add_rows(place, numbers.count() as u64);
    }
    let mut distinct = IntegerInterner::default();
    let mut rows: Vec<u64> = Vec::new();
    for number in numbers.clone() {
        if rows.len() > facets.most_values() {
            facets.give_up(place);
            return facets.add_rows(place, numbers.count() as u64);
        }
        let at = distinct.intern(number) as usize;
        if at == rows.len() {
            rows.push(0);
        }
        rows[at] += 1;
    }
    for (&number, rows) in distinct.values().iter().zip(rows) {
        note_value(facets, place, value(number), rows);
    }
}

fn note_value(facets: &mut Facets, place: FacetPlace, value: Value<'_>, rows: u64) {
    if rows > 0 {
        let mut encoded = Vec::new();
        put_value(&mut encoded, value);
        facets.add_rows(place, rows);
        facets.add_value(place, &encoded, rows);
    }
}

/// How often each of a dictionary's values stands in a column.
fn rows_by_key(values: usize, keys: &[u32]) -> Vec<u64> {
    let mut rows = vec![0; values];
    keys.iter().for_each(|&key| rows[key as usize] += 1);
    rows
}

fn strings<'a>(bytes: &'a [u8], ends: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut start = 0;
    ends.iter().map(move |&end| {
        let text = bytes.get(start..end).unwrap_or_default();
        start = end;
        text
    })
}

/// A text as an encoded value.
pub(in super::super) fn text_value<'a>(out: &'a mut Vec<u8>, text: &[u8]) -> &'a [u8] {
    const STRING: u8 = 1;
    out.clear();
    out.push(STRING);
    put_bytes(out, text);
    out
}

pub(in super::super) fn value_type(kind: Kind) -> ValueType {
    match kind {
        Kind::String => ValueType::String,
        Kind::Bool => ValueType::Bool,
        Kind::Int => ValueType::Int,
        Kind::Double => ValueType::Double,
    }
}
