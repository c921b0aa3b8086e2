//! Which rows does `terms.idx` propose for a predicate?
//!
//! J1  Never too few: a row that is not proposed does not match. What the index cannot answer, or would answer with more
//!     than a third of the granules, proposes all rows.
//! J2  Values that the index keeps whole are asked by the very functions that a scan asks rows by (`scan::evaluate`).
//!
//! Not here: which columns are fields of the index (`describe`).

use super::describe::{entry_print, field_of, is_field, whole};
use super::layout::stored_type;
use super::read::{AttributeLeaf, Block};
use super::shred::Kind;
use crate::error::Result;
use crate::index::terms::{Ask, Granules, TermIndex, TextQuery, fingerprint};
use crate::model::Signal;
use crate::model::attribute::Value;
use crate::model::schema::column as name;
use crate::scan::{
    AttributeScope, Condition, Field, Number, Operand, Outcome, Predicate, Relation, attribute_column, column_outcome,
    map_outcome,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::DataType;
use std::ops::Range;
use std::sync::Arc;

/// The granules that may hold matching rows; of all blocks without an index, and predicates that it says nothing of, all.
#[derive(Debug)]
pub(super) struct Proposal(Option<Granules>);

impl Proposal {
    /// The proposed rows of a row group.
    pub(super) fn rows(&self, block: &Block, group: usize) -> Result<BooleanBuffer> {
        let rows = block.group_rows(group);
        let Some((granules, index)) = self.0.as_ref().zip(block.terms()) else {
            return Ok(BooleanBuffer::new_set(rows));
        };
        let by_group = &index.directory()?.granule_rows;
        let before = block.groups().iter().zip(by_group).take(group);
        let first: usize = before.map(|(rows, granule_rows)| rows.len().div_ceil(*granule_rows)).sum();
        let granule_rows = by_group.get(group).copied().ok_or_else(|| index.malformed())?;
        let mut mask = BooleanBufferBuilder::new(rows);
        for (granule, from) in (first..).zip((0..rows).step_by(granule_rows)) {
            mask.append_n(rows.min(from + granule_rows) - from, granules.contains(granule));
        }
        Ok(mask.finish())
    }
}

impl Block {
    /// What the index says of a predicate.
    pub(super) fn propose(&self, predicate: &Predicate) -> Result<Proposal> {
        let Some(index) = self.terms() else { return Ok(Proposal(None)) };
        // Read now where something is proposed, so that `rows` meets no damage.
        Ok(Proposal(self.unless_lost(self.granules_of(index, predicate))?.flatten()))
    }

    /// Whether the index counts granules as the block has them; looked at before any is proposed.
    fn check_granules(&self, index: &TermIndex) -> Result<()> {
        let directory = index.directory()?;
        let groups = self.groups().iter().zip(&directory.granule_rows);
        let expected: usize = groups.map(|(rows, granule_rows)| rows.len().div_ceil(*granule_rows)).sum();
        match directory.granules == expected && directory.granule_rows.len() == self.groups().len() {
            true => Ok(()),
            false => Err(index.malformed()),
        }
    }

    /// The rows that may hold a text in a column, ascending; `None` where the index cannot tell, or they are too many.
    pub(super) fn rows_with_text(&self, column: &'static str, text: &TextQuery) -> Result<Option<Vec<Range<usize>>>> {
        let (Some(index), Some((field, _))) = (self.terms(), field_of(column)) else { return Ok(None) };
        Ok(self.unless_lost(self.rows_by_index(index, field, text))?.flatten())
    }

    fn rows_by_index(&self, index: &TermIndex, field: &str, text: &TextQuery) -> Result<Option<Vec<Range<usize>>>> {
        self.check_granules(index)?;
        let admitted = |value: &&[u8]| std::str::from_utf8(value).is_ok_and(|value| text.admits(value));
        let select = |values: &[&[u8]]| Ok(values.iter().map(admitted).collect());
        let found = index.propose(field, &Ask { exact: None, prints: None, text, select: &select })?;
        if found.are_most() {
            return Ok(None);
        }
        let proposal = Proposal(Some(found));
        let mut rows = Vec::new();
        for (number, group) in self.groups().iter().enumerate() {
            let mask = proposal.rows(self, number)?;
            rows.extend(mask.set_slices().map(|(from, to)| group.start + from..group.start + to));
        }
        Ok(Some(rows))
    }

    fn granules_of(&self, index: &TermIndex, predicate: &Predicate) -> Result<Option<Granules>> {
        match predicate {
            Predicate::And(list) => {
                let mut left: Option<Granules> = None;
                for part in list {
                    let found = self.granules_of(index, part)?;
                    match (&mut left, found) {
                        (Some(left), Some(found)) => left.intersect(&found),
                        (None, Some(found)) => left = Some(found),
                        (_, None) => {}
                    }
                    if left.as_ref().is_some_and(Granules::is_empty) {
                        break;
                    }
                }
                Ok(left)
            }
            Predicate::Or(list) => {
                let mut all: Option<Granules> = None;
                for part in list {
                    let Some(found) = self.granules_of(index, part)? else { return Ok(None) };
                    match &mut all {
                        Some(all) => all.unite(&found),
                        None => all = Some(found),
                    }
                }
                Ok(all.filter(|all| !all.are_most()))
            }
            Predicate::Compare { field, compare, value } => {
                self.of_field(index, field, &Wanted { condition: &Condition::compare(*compare, value), needle: None })
            }
            Predicate::Contains { field, needle, case_sensitive } => self.of_field(
                index,
                field,
                &Wanted { condition: &Condition::contains(needle, *case_sensitive), needle: Some(needle) },
            ),
            Predicate::Exists(field) => {
                self.of_field(index, field, &Wanted { condition: &Condition::Exists, needle: None })
            }
            Predicate::All | Predicate::Not(_) | Predicate::Trace(_) | Predicate::Span(_) => Ok(None),
        }
    }

    fn of_field(&self, index: &TermIndex, field: &Field, wanted: &Wanted<'_>) -> Result<Option<Granules>> {
        if matches!(field, Field::Column(column) if field_of(column).is_none()) {
            return Ok(None);
        }
        self.check_granules(index)?;
        let found = match field {
            Field::Column(column) => self.of_column(index, column, wanted)?,
            Field::Attribute(AttributeScope::Own, key) => self.of_own_attribute(index, key, wanted)?,
            Field::Attribute(AttributeScope::Any, key) => {
                let Some(mut found) = self.of_own_attribute(index, key, wanted)? else { return Ok(None) };
                for scope in [AttributeScope::Resource, AttributeScope::Scope] {
                    found.unite(&of_origin(index, scope, key, wanted)?);
                }
                Some(found)
            }
            Field::Attribute(scope, key) => Some(of_origin(index, *scope, key, wanted)?),
        };
        Ok(found.filter(|found| !found.are_most()))
    }

    fn of_column(&self, index: &TermIndex, column: &str, wanted: &Wanted<'_>) -> Result<Option<Granules>> {
        if column == name::ATTRIBUTES || self.signal() == Signal::Metrics {
            return Ok(None);
        }
        let (Some((field, _)), Some(r#type)) = (field_of(column), stored_type(self.signal(), column)) else {
            return Ok(None);
        };
        let is_text = r#type == DataType::Utf8;
        let text = wanted.text(column);
        let select = |values: &[&[u8]]| {
            let array = array_of(values, &r#type).ok_or_else(|| index.malformed())?;
            Ok(wanted.chosen(&column_outcome(column, &array, wanted.condition)?))
        };
        let exact = wanted.equal_text().filter(|_| is_text).map(str::as_bytes);
        let prints = exact.map(|value| vec![fingerprint(value)]);
        let ask = Ask { exact, prints: prints.as_deref(), text: &text, select: &select };
        index.propose(field, &ask).map(Some)
    }

    fn of_own_attribute(&self, index: &TermIndex, key: &str, wanted: &Wanted<'_>) -> Result<Option<Granules>> {
        let mut found = Granules::none(index.directory()?.granules);
        for attribute in self.attributes().iter().filter(|attribute| attribute.key == key) {
            if !is_field(attribute.kind, attribute.nullable) {
                return Ok(None);
            }
            found.unite(&of_attribute_column(index, attribute, wanted)?);
        }
        if self.rest_may_hold(key) {
            let Some(prints) = wanted.entry_prints(key.as_bytes()) else { return Ok(None) };
            let all = |values: &[&[u8]]| Ok(vec![true; values.len()]);
            let ask = Ask { exact: None, prints: Some(&prints), text: &TextQuery::All, select: &all };
            found.unite(&index.propose(name::ATTRIBUTES, &ask)?);
        }
        Ok(Some(found))
    }
}

fn of_attribute_column(index: &TermIndex, attribute: &AttributeLeaf, wanted: &Wanted<'_>) -> Result<Granules> {
    let r#type = match attribute.kind {
        Kind::String => DataType::Utf8,
        Kind::Bool => DataType::Boolean,
        Kind::Int | Kind::Double => DataType::Int64,
    };
    let select = |values: &[&[u8]]| {
        let array = array_of(values, &r#type).ok_or_else(|| index.malformed())?;
        Ok(wanted.chosen(&column_outcome(&attribute.name, &array, wanted.condition)?))
    };
    let exact = wanted.equal_text().filter(|_| attribute.kind == Kind::String).map(str::as_bytes);
    let prints = exact.map(|value| vec![fingerprint(value)]);
    let ask = Ask { exact, prints: prints.as_deref(), text: &TextQuery::All, select: &select };
    index.propose(&attribute.name, &ask)
}

fn of_origin(index: &TermIndex, scope: AttributeScope, key: &str, wanted: &Wanted<'_>) -> Result<Granules> {
    let select = |values: &[&[u8]]| {
        let array: ArrayRef = Arc::new(BinaryArray::from_iter_values(values));
        Ok(wanted.chosen(&map_outcome(scope, &array, key, wanted.condition)?))
    };
    let ask = Ask { exact: None, prints: None, text: &TextQuery::All, select: &select };
    index.propose(attribute_column(scope), &ask)
}

/// Values of the index as a column.
fn array_of(values: &[&[u8]], r#type: &DataType) -> Option<ArrayRef> {
    let integer = |value: &&[u8]| Some(i64::from_le_bytes((*value).try_into().ok()?));
    let array: ArrayRef = match r#type {
        DataType::Utf8 => {
            let texts = values.iter().map(|value| std::str::from_utf8(value).ok()).collect::<Option<Vec<_>>>()?;
            Arc::new(StringArray::from(texts))
        }
        DataType::Binary => Arc::new(BinaryArray::from_iter_values(values)),
        DataType::Boolean => {
            let values = values.iter().map(|value| Some(integer(value)? == 1)).collect::<Option<Vec<_>>>()?;
            Arc::new(BooleanArray::from(values))
        }
        DataType::Int32 | DataType::UInt32 | DataType::Int64 => {
            Arc::new(values.iter().map(integer).collect::<Option<Vec<_>>>().map(Int64Array::from)?)
        }
        _ => return None,
    };
    Some(array)
}

/// What a predicate wants of a field.
struct Wanted<'a> {
    condition: &'a Condition<'a>,
    /// What [`Predicate::Contains`] looks for.
    needle: Option<&'a str>,
}

impl Wanted<'_> {
    /// Which values will do, by what the condition finds in them.
    fn chosen(&self, outcome: &Outcome) -> Vec<bool> {
        let will_do =
            |(present, matches): (bool, bool)| if self.condition.is_negated() { present && !matches } else { matches };
        outcome.present.iter().zip(outcome.matches.iter()).map(will_do).collect()
    }

    /// The right side, where the field must equal it.
    fn equal(&self) -> Option<&Operand<'_>> {
        match self.condition {
            Condition::Compare { relation: Relation::Equal, operand, negated: false } => Some(operand),
            _ => None,
        }
    }

    /// The only text that will do in a column of texts.
    fn equal_text(&self) -> Option<&str> {
        match self.equal()? {
            Operand::String(text) | Operand::Typed { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What must be in a text.
    fn text(&self, column: &str) -> TextQuery {
        if let Some(needle) = self.needle {
            return TextQuery::substring(needle);
        }
        match self.equal() {
            Some(Operand::String(text)) => TextQuery::words(text),
            // A body may be the number or the boolean.
            Some(Operand::Typed { text, number: None, boolean: None }) => TextQuery::words(text),
            Some(Operand::Typed { text, .. }) if field_of(column).is_some_and(|(field, _)| field != name::BODY) => {
                TextQuery::words(text)
            }
            _ => TextQuery::All,
        }
    }

    /// The fingerprints of all entries of a map that will do.
    fn entry_prints(&self, key: &[u8]) -> Option<Vec<u64>> {
        let number = |number: Number| match number {
            Number::Int(value) => Value::Int(value),
            Number::Double(value) => whole(value).map_or(Value::Double(value), Value::Int),
        };
        let values = match *self.equal()? {
            Operand::String(text) => vec![Value::String(text)],
            Operand::Bool(value) => vec![Value::Bool(value)],
            Operand::Int(value) => vec![Value::Int(value)],
            Operand::Double(value) => vec![number(Number::Double(value))],
            Operand::Bytes(bytes) => vec![Value::Bytes(bytes)],
            // What is no number has fingerprints without end.
            Operand::Typed { number: Some(Number::Double(value)), .. } if value.is_nan() => return None,
            Operand::Typed { text, number: typed, boolean } => {
                [Value::String(text)].into_iter().chain(typed.map(number)).chain(boolean.map(Value::Bool)).collect()
            }
        };
        Some(values.into_iter().filter_map(|value| entry_print(key, value)).collect())
    }
}
