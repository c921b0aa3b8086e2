//! What does `terms.idx` say of which columns?
//!
//! D1  Of a column that is a field, every value of every row is noted: what the index does not propose, a scan need not
//!     look at.
//!
//! Times, durations, doubles, integers of many values and the ids of spans are no fields: for those ranges are asked, or
//! `keys.idx`.
//!
//! Not here: how the index keeps it (`index::terms`), what predicates ask of it (`propose`).

use super::encode::{ColumnData, Values};
use super::layout::{Part, StoredColumn, parse_attribute};
use super::shred::{ABSENT_BOOL, ABSENT_INT, ABSENT_STRING, Kind};
use crate::index::terms::{Notes, Style, TermsBuilder, fingerprint};
use crate::model::attribute::{Map, Value};
use crate::model::record::{Event, put_bytes};
use crate::model::schema::column as name;

/// Texts of a granule should have no more bytes: they are all looked at for one hit.
const GRANULE_BYTES: usize = 256 << 10;
/// … but a granule has so many rows at least.
const LEAST_GRANULE_ROWS: usize = 16;

/// How many rows a granule of a row group has: as many as configured, or fewer of long texts; a power of two, so that
/// granules and pages end together.
pub(super) fn granule_rows(columns: &[StoredColumn], data: &[ColumnData], rows: usize, most: usize) -> usize {
    let bodies = columns.iter().zip(data).filter(|(column, _)| column.field.name() == name::BODY);
    let bytes: usize = bodies
        .map(|(_, data)| match &data.values {
            Values::Bytes { bytes, .. } => bytes.len(),
            _ => 0,
        })
        .sum();
    let fitting = (GRANULE_BYTES / (bytes / rows.max(1)).max(1)).max(LEAST_GRANULE_ROWS);
    1 << fitting.min(most).max(1).ilog2()
}

/// How a column of the model is noted, and as which field.
pub(super) fn field_of(column: &str) -> Option<(&str, Style)> {
    match column {
        name::SERVICE_NAME | name::RESOURCE | name::SCOPE | name::TRACE_STATE => Some((column, Style::Exact)),
        name::KIND | name::STATUS_CODE | name::SEVERITY_NUMBER => Some((column, Style::Exact)),
        name::NAME | name::STATUS_MESSAGE | name::SEVERITY_TEXT | name::EVENT_NAME => Some((column, Style::Text)),
        // A log body lies in one of two columns, by its type.
        name::BODY | name::BODY_VALUE => Some((name::BODY, Style::Words)),
        name::EVENTS => Some((name::EVENTS, Style::Words)),
        name::ATTRIBUTES => Some((name::ATTRIBUTES, Style::Prints)),
        _ => None,
    }
}

/// Whether the column of an attribute is a field.
pub(super) fn is_field(kind: Kind, nullable: bool) -> bool {
    match kind {
        Kind::String | Kind::Bool => true,
        Kind::Int => !nullable,
        Kind::Double => false,
    }
}

/// Notes the columns of a row group.
pub(super) fn note_group(terms: &mut TermsBuilder, columns: &[StoredColumn], data: &[ColumnData]) {
    for (column, data) in columns.iter().zip(data) {
        let stored = column.field.name();
        match column.part {
            Part::Attribute(_) => {
                let Some((kind, _)) = parse_attribute(stored) else { continue };
                if is_field(kind, column.field.is_nullable()) {
                    note_values(terms, stored, Style::Exact, data, Some(kind));
                }
            }
            Part::Column(_) | Part::Rest => {
                let Some((field, style)) = field_of(stored) else { continue };
                match stored.as_str() {
                    name::BODY_VALUE => note_cells(terms, field, style, data, |notes, cell| {
                        Value::parse(cell).into_iter().for_each(|value| note_texts(notes, value));
                    }),
                    name::EVENTS => note_cells(terms, field, style, data, note_events),
                    name::ATTRIBUTES => note_cells(terms, field, style, data, note_entries),
                    _ => note_values(terms, field, style, data, None),
                }
            }
            Part::ParentRow | Part::ForeignParent | Part::ObservedDelay | Part::Shape => {}
        }
    }
}

fn note_values(terms: &mut TermsBuilder, field: &str, style: Style, data: &ColumnData, attribute: Option<Kind>) {
    let present = data.present.as_deref();
    let absent = attribute.and_then(|kind| match kind {
        Kind::Bool => Some(i64::from(ABSENT_BOOL)),
        Kind::Int => Some(ABSENT_INT),
        Kind::String | Kind::Double => None,
    });
    let is_absent = |value: &[u8]| attribute == Some(Kind::String) && value == ABSENT_STRING;
    let mut rows = terms.field(field, style);
    match &data.values {
        Values::Coded { dictionary, keys, .. } => rows.coded(dictionary, keys, present, is_absent),
        Values::Bytes { bytes, ends } => rows.plain(bytes, ends, present, is_absent),
        Values::Int32(values) => rows.integers(values.iter().map(|&value| value.into()), present, absent),
        Values::Int64(values) => rows.integers(values.iter().copied(), present, absent),
        // No column of these types is a field.
        Values::Double(_) | Values::Bool(_) | Values::Fixed { .. } => {}
    }
}

fn note_cells(
    terms: &mut TermsBuilder,
    field: &str,
    style: Style,
    data: &ColumnData,
    note: impl FnMut(&mut Notes<'_>, &[u8]),
) {
    let present = data.present.as_deref();
    let mut rows = terms.field(field, style);
    match &data.values {
        Values::Coded { dictionary, keys, .. } => rows.coded_cells(dictionary, keys, present, note),
        Values::Bytes { bytes, ends } => rows.cells(bytes, ends, present, note),
        // No cells.
        _ => {}
    }
}

/// Notes every text within a value, and the keys of maps.
fn note_texts(notes: &mut Notes<'_>, value: Value<'_>) {
    match value {
        Value::String(text) => notes.text(text),
        Value::Array(array) => array.iter().for_each(|value| note_texts(notes, value)),
        Value::Map(map) => note_map(notes, map),
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => {}
    }
}

fn note_map(notes: &mut Notes<'_>, map: Map<'_>) {
    for (key, value) in map.iter() {
        notes.text(key);
        note_texts(notes, value);
    }
}

fn note_events(notes: &mut Notes<'_>, cell: &[u8]) {
    for event in Event::list(cell) {
        notes.text(event.name);
        note_map(notes, event.attributes);
    }
}

fn note_entries(notes: &mut Notes<'_>, cell: &[u8]) {
    for entry in Map::new(cell).raw_entries() {
        let prints = |notes: &mut Notes<'_>, value| {
            entry_print(entry.key, value).into_iter().for_each(|print| notes.print(print))
        };
        match Value::parse(entry.value) {
            // A list matches by its elements.
            Some(Value::Array(array)) => array.iter().for_each(|value| prints(notes, value)),
            Some(value) => prints(notes, value),
            None => {}
        }
    }
}

/// The fingerprint of an attribute; equal for values that compare as equal, none for those that equal nothing.
pub(super) fn entry_print(key: &[u8], value: Value<'_>) -> Option<u64> {
    let mut entry = Vec::with_capacity(key.len() + 16);
    put_bytes(&mut entry, key);
    match value {
        Value::String(text) => {
            entry.push(1);
            entry.extend_from_slice(text.as_bytes());
        }
        Value::Bool(value) => entry.extend_from_slice(&[2, value.into()]),
        Value::Int(value) => put_int(&mut entry, value),
        Value::Double(value) => match whole(value) {
            Some(value) => put_int(&mut entry, value),
            None => {
                entry.push(4);
                entry.extend_from_slice(&value.to_bits().to_le_bytes());
            }
        },
        Value::Bytes(bytes) => {
            entry.push(5);
            entry.extend_from_slice(bytes);
        }
        Value::Empty | Value::Array(_) | Value::Map(_) => return None,
    }
    Some(fingerprint(&entry))
}

fn put_int(entry: &mut Vec<u8>, value: i64) {
    entry.push(3);
    entry.extend_from_slice(&value.to_le_bytes());
}

/// The integer that a double equals.
pub(crate) fn whole(value: f64) -> Option<i64> {
    // 2^63, the first integer that i64 does not have; its negative is the last on that side that it has.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() != 0.0 || !(-BEYOND..BEYOND).contains(&value) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within i64 by the checks above")]
    Some(value as i64)
}
