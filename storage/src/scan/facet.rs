//! Which attribute keys do rows have, and which values?
//!
//! N1  Counts are of rows, and exact: a key or value that is listed has all of its rows.
//! N2  What is held is bounded. What did not fit is told: by `complete`, or, in statistics, by values that are not there.
//! N3  The same rows give the same answer, whether they come from memory, from pages or from statistics.
//! N4  Values that a filter does not tell apart are one: numbers that are equal, whatever their type, and doubles that are no numbers. So a
//!     search for a value of one owner finds as many rows as are listed, and those whose list holds it, which nothing counts.
//!
//! Not here: how statistics are kept (`block::stats`), which rows there are (`engine`).

use super::volume::FactCost;
use super::{AttributeScope, required};
use crate::block::{Interner, whole};
use crate::error::Result;
use crate::model::attribute::{Map, Value, put_value};
use crate::model::origin::{Resource, Scope};
use crate::model::schema::column as name;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use std::collections::BTreeMap;

/// Longer keys and values are not listed.
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 1024;

/// The type of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueType {
    /// No value.
    Empty,
    /// Text.
    String,
    /// Boolean.
    Bool,
    /// Integer.
    Int,
    /// Double.
    Double,
    /// Bytes.
    Bytes,
    /// List.
    Array,
    /// Map.
    Map,
}

impl ValueType {
    const ALL: [ValueType; 8] = [
        ValueType::Empty,
        ValueType::String,
        ValueType::Bool,
        ValueType::Int,
        ValueType::Double,
        ValueType::Bytes,
        ValueType::Array,
        ValueType::Map,
    ];

    /// By the first byte of an encoded value (`model::attribute`).
    pub(crate) fn of(encoded: &[u8]) -> Option<ValueType> {
        Some(match encoded.first()? {
            0 => ValueType::Empty,
            1 => ValueType::String,
            2 | 3 => ValueType::Bool,
            4 => ValueType::Int,
            5 => ValueType::Double,
            6 => ValueType::Bytes,
            7 => ValueType::Array,
            8 => ValueType::Map,
            _ => return None,
        })
    }

    /// By the number that it is kept as.
    pub(crate) fn from_number(number: u8) -> Option<ValueType> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether its values are listed.
    pub(crate) fn is_listed(self) -> bool {
        matches!(self, ValueType::String | ValueType::Bool | ValueType::Int | ValueType::Double)
    }
}

/// Whose attributes, by the number that a scope is kept as.
pub(crate) const SCOPES: [AttributeScope; 3] = [AttributeScope::Own, AttributeScope::Resource, AttributeScope::Scope];

/// The number of a scope; [`AttributeScope::Any`] is nobody's.
pub(crate) fn scope_number(scope: AttributeScope) -> Option<u8> {
    (0u8..).zip(SCOPES).find(|(_, other)| *other == scope).map(|(number, _)| number)
}

/// A key that rows have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributeKey {
    /// The key.
    pub key: String,
    /// Whose attribute, as its place in: own, resource, scope.
    scope: u8,
    /// Of which type. A key with values of two types is listed twice.
    pub r#type: ValueType,
    /// How many rows have it.
    pub rows: u64,
}

impl AttributeKey {
    /// Whose attribute.
    pub fn scope(&self) -> AttributeScope {
        SCOPES.get(usize::from(self.scope)).copied().unwrap_or(AttributeScope::Own)
    }
}

/// The keys of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// By key, scope and type.
    pub keys: Vec<AttributeKey>,
    /// Whether these are all.
    pub complete: bool,
    /// Where the answer comes from.
    pub cost: FactCost,
}

/// A value and how many rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeValue {
    /// As `model::attribute::Value` reads it.
    pub value: Vec<u8>,
    /// How many rows have it.
    pub rows: u64,
}

/// The values of a key: texts, booleans and numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FacetValues {
    /// Those of most rows first; of as many rows by their encoding.
    pub values: Vec<AttributeValue>,
    /// Whether no other value with the prefix is in the rows, but for lists, maps and bytes.
    pub complete: bool,
    /// Where the answer comes from.
    pub cost: FactCost,
}

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FacetLimits {
    /// Keys.
    pub(crate) keys: usize,
    /// Values of a key.
    pub(crate) values: usize,
    /// Bytes of all values of all keys.
    pub(crate) bytes: usize,
}

/// Which keys and values are of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All keys and their values.
    All,
    /// All keys.
    Keys,
    /// The values of a key; of texts only those with a prefix.
    Values {
        /// The owners' numbers.
        scope: Option<u8>,
        key: String,
        prefix: String,
    },
}

/// The attribute keys of some rows, and their values, as they are counted.
#[derive(Debug)]
pub(crate) struct Facets {
    wanted: Wanted,
    limits: FacetLimits,
    /// Scope, type and key of each.
    names: Interner,
    facets: Vec<Facet>,
    /// Bytes of all values.
    bytes: usize,
    /// Whether all keys are known.
    complete: bool,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Facet {
    rows: u64,
    /// `None` where they are not listed, or too many.
    values: Option<Values>,
    all_listed: bool,
}

#[derive(Debug, Default)]
struct Values {
    texts: Interner,
    rows: Vec<u64>,
}

/// A key as it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub(crate) scope: u8,
    pub(crate) r#type: ValueType,
    pub(crate) key: &'a [u8],
    pub(crate) rows: u64,
}

/// Where rows of one key are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FacetPlace(usize);

impl Facets {
    pub(crate) fn new(wanted: Wanted, limits: FacetLimits) -> Self {
        Facets {
            wanted,
            limits,
            names: Interner::default(),
            facets: Vec::new(),
            bytes: 0,
            complete: true,
            scratch: Vec::new(),
        }
    }

    /// The only key that is of interest, if there is one.
    pub(crate) fn only_key(&self) -> Option<&str> {
        match &self.wanted {
            Wanted::Values { key, .. } => Some(key),
            Wanted::All | Wanted::Keys => None,
        }
    }

    /// Whether the attributes of an owner are of interest.
    pub(crate) fn wants_scope(&self, scope: u8) -> bool {
        !matches!(&self.wanted, Wanted::Values { scope: Some(only), .. } if *only != scope)
    }

    /// Where a key's rows are counted; `None` where it is not of interest or there are too many.
    pub(crate) fn place(&mut self, scope: u8, r#type: ValueType, key: &[u8]) -> Option<FacetPlace> {
        if self.only_key().is_some_and(|only| only.as_bytes() != key) || !self.wants_scope(scope) {
            return None;
        }
        if key.len() > LONGEST_KEY {
            self.complete = false;
            return None;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&[scope, r#type as u8]);
        self.scratch.extend_from_slice(key);
        if self.facets.len() >= self.limits.keys && self.names.find(&self.scratch).is_none() {
            self.complete = false;
            return None;
        }
        let place = self.names.intern(&self.scratch) as usize;
        if place == self.facets.len() {
            let listed = r#type.is_listed() && self.wanted != Wanted::Keys;
            self.facets.push(Facet { rows: 0, values: listed.then(Values::default), all_listed: true });
        }
        Some(FacetPlace(place))
    }

    /// How many values of a key are listed, at most.
    pub(crate) fn most_values(&self) -> usize {
        self.limits.values
    }

    /// Whether values of a key are listed, so far.
    pub(crate) fn lists(&self, place: FacetPlace) -> bool {
        self.facets.get(place.0).is_some_and(|facet| facet.values.is_some())
    }

    /// Counts rows of a key.
    pub(crate) fn add_rows(&mut self, place: FacetPlace, rows: u64) {
        if let Some(facet) = self.facets.get_mut(place.0) {
            facet.rows += rows;
        }
    }

    /// Counts rows of a value, beside those of its key.
    pub(crate) fn add_value(&mut self, place: FacetPlace, value: &[u8], rows: u64) {
        if !self.has_prefix(value) {
            return;
        }
        let is_full = self.bytes.saturating_add(value.len()) > self.limits.bytes;
        let Some(facet) = self.facets.get_mut(place.0) else { return };
        let Some(values) = &mut facet.values else { return };
        if let Some(number) = values.texts.find(value) {
            if let Some(counted) = values.rows.get_mut(number as usize) {
                *counted += rows;
            }
            return;
        }
        if !is_full && value.len() <= LONGEST_VALUE && values.rows.len() < self.limits.values {
            values.texts.intern(value);
            values.rows.push(rows);
            self.bytes += value.len();
        } else if self.wanted == Wanted::All {
            self.give_up(place);
        } else {
            // Those that are listed go on being counted.
            facet.all_listed = false;
        }
    }

    /// Lists the values of a key no more.
    pub(crate) fn give_up(&mut self, place: FacetPlace) {
        if let Some(values) = self.facets.get_mut(place.0).and_then(|facet| facet.values.take()) {
            self.bytes -= values.texts.bytes_len();
        }
    }

    fn has_prefix(&self, value: &[u8]) -> bool {
        let Wanted::Values { prefix, .. } = &self.wanted else { return true };
        if prefix.is_empty() {
            return true;
        }
        match Value::parse(value) {
            Some(Value::String(text)) => text.starts_with(prefix.as_str()),
            _ => false,
        }
    }

    /// Counts an entry of a map in so many rows.
    pub(crate) fn add_entry(&mut self, scope: u8, key: &[u8], value: &[u8], rows: u64) {
        let Some(place) = ValueType::of(value).and_then(|r#type| self.place(scope, r#type, key)) else { return };
        self.add_rows(place, rows);
        self.add_value(place, value, rows);
    }

    /// Counts the entries of a cell of attributes, a resource or a scope, of so many rows.
    pub(crate) fn add_cell(&mut self, scope: u8, cell: &[u8], rows: u64) {
        let map = match SCOPES.get(usize::from(scope)) {
            Some(AttributeScope::Resource) => Resource::parse(cell).map(|resource| resource.attributes),
            Some(AttributeScope::Scope) => Scope::parse(cell).map(|scope| scope.attributes),
            _ => Some(Map::new(cell)),
        };
        for entry in map.into_iter().flat_map(Map::raw_entries) {
            self.add_entry(scope, entry.key, entry.value, rows);
        }
    }

    /// Counts cells that a dictionary numbers.
    pub(crate) fn add_repeated(&mut self, scope: u8, cells: &arrow_array::DictionaryArray<Int32Type>) {
        let mut rows = vec![0u64; cells.values().len()];
        for &key in cells.keys().values() {
            if let Some(rows) = usize::try_from(key).ok().and_then(|key| rows.get_mut(key)) {
                *rows += 1;
            }
        }
        for (key, rows) in (0i32..).zip(rows).filter(|(_, rows)| *rows > 0) {
            self.add_cell(scope, crate::block::dictionary_value(cells, key), rows);
        }
    }

    /// Counts the rows of a batch in the columns of [`Facets::columns`].
    pub(crate) fn add_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        for (scope, column) in (0u8..).zip(ATTRIBUTE_COLUMNS) {
            if !self.wants_scope(scope) {
                continue;
            }
            let array = required(batch, column)?;
            match array.as_dictionary_opt::<Int32Type>() {
                Some(cells) => self.add_repeated(scope, cells),
                None => array.as_binary::<i32>().iter().flatten().for_each(|cell| self.add_cell(scope, cell, 1)),
            }
        }
        Ok(())
    }

    /// The columns that hold what is of interest.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        let of_scopes = (0u8..).zip(ATTRIBUTE_COLUMNS);
        of_scopes.filter(|(scope, _)| self.wants_scope(*scope)).map(|(_, column)| column).collect()
    }

    /// Every key, and its values where they are all known; by scope, type and key.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Kept<'_>, Option<Vec<(&[u8], u64)>>)) {
        let mut order: Vec<(&[u8], &Facet)> =
            self.names.iter().zip(&self.facets).filter(|(_, facet)| facet.rows > 0).collect();
        order.sort_unstable_by_key(|(name, _)| *name);
        for (name, facet) in order {
            let &[scope, r#type, ref key @ ..] = name else { continue };
            let Some(r#type) = ValueType::from_number(r#type) else { continue };
            let values = facet.values.as_ref().map(|values| {
                let mut list: Vec<(&[u8], u64)> = values.texts.iter().zip(values.rows.iter().copied()).collect();
                list.sort_unstable();
                list
            });
            each(Kept { scope, r#type, key, rows: facet.rows }, values);
        }
    }

    /// How many keys there are, and whether these are all.
    pub(crate) fn known(&self) -> (usize, bool) {
        (self.facets.iter().filter(|facet| facet.rows > 0).count(), self.complete)
    }

    /// The keys.
    pub(crate) fn keys(&self, cost: FactCost) -> Keys {
        let mut keys = Vec::with_capacity(self.facets.len());
        self.for_each(|kept, _| {
            let key = String::from_utf8_lossy(kept.key).into_owned();
            keys.push(AttributeKey { key, scope: kept.scope, r#type: kept.r#type, rows: kept.rows });
        });
        keys.sort_unstable();
        Keys { keys, complete: self.complete, cost }
    }

    /// The values, of all owners and types together, those of most rows.
    pub(crate) fn values(&self, limit: usize, cost: FactCost) -> FacetValues {
        let mut all: BTreeMap<Vec<u8>, AttributeValue> = BTreeMap::new();
        let mut complete = self.complete && self.facets.iter().all(|facet| facet.all_listed);
        self.for_each(|_, values| {
            for (value, rows) in values.into_iter().flatten() {
                let counted =
                    all.entry(as_compared(value)).or_insert_with(|| AttributeValue { value: value.to_vec(), rows: 0 });
                counted.rows += rows;
                if value < counted.value.as_slice() {
                    counted.value = value.to_vec();
                }
            }
        });
        let mut values: Vec<AttributeValue> = all.into_values().collect();
        values.sort_unstable_by(|a, b| (b.rows, &a.value).cmp(&(a.rows, &b.value)));
        complete &= values.len() <= limit;
        values.truncate(limit);
        FacetValues { values, complete, cost }
    }
}

/// An encoded value as a filter sees it: the same for all that are equal (N4).
fn as_compared(value: &[u8]) -> Vec<u8> {
    let Some(Value::Double(double)) = Value::parse(value) else { return value.to_vec() };
    let mut encoded = Vec::with_capacity(value.len());
    let double = if double.is_nan() { f64::NAN } else { double };
    put_value(&mut encoded, whole(double).map_or(Value::Double(double), Value::Int));
    encoded
}

/// The columns of owners, by their numbers.
const ATTRIBUTE_COLUMNS: [&str; 3] = [name::ATTRIBUTES, name::RESOURCE, name::SCOPE];
