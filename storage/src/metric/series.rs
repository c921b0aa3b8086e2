//! What tells one series from another?
//!
//! Series are ordered by name first, so that what compresses alike lies together, then by service and resource.

use crate::error::{Error, Result};
use crate::model::schema::{self, column as name};
use crate::model::{Signal, attribute, origin};
use arrow_array::builder::BinaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3Default;

/// The columns that make a series.
pub(crate) const COLUMNS: [&str; 11] = [
    name::SERVICE_NAME,
    name::RESOURCE,
    name::SCOPE,
    name::NAME,
    name::TYPE,
    name::UNIT,
    name::DESCRIPTION,
    name::METADATA,
    name::TEMPORALITY,
    name::IS_MONOTONIC,
    name::ATTRIBUTES,
];

/// A series. Clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the metric.
    pub name: Arc<str>,
    /// OTLP's number of the metric's type, as in the column `type`.
    pub r#type: i32,
    /// `service.name`.
    pub service_name: Arc<str>,
    /// Cell of the resource.
    pub resource: Arc<[u8]>,
    /// Cell of the instrumentation scope.
    pub scope: Arc<[u8]>,
    /// Unit.
    pub unit: Arc<str>,
    /// Description.
    pub description: Arc<str>,
    /// Attributes of the metric itself.
    pub metadata: Arc<[u8]>,
    /// Aggregation temporality.
    pub temporality: i32,
    /// Whether a sum never falls.
    pub is_monotonic: bool,
    /// Attributes of the points.
    pub attributes: Arc<[u8]>,
}

impl Series {
    /// Attributes of the points.
    pub fn attributes(&self) -> attribute::Map<'_> {
        attribute::Map::new(&self.attributes)
    }

    /// The resource; empty where its cell is malformed.
    pub fn resource(&self) -> origin::Resource<'_> {
        origin::Resource::parse(&self.resource).unwrap_or_default()
    }

    /// The instrumentation scope; empty where its cell is malformed.
    pub fn scope(&self) -> origin::Scope<'_> {
        origin::Scope::parse(&self.scope).unwrap_or_default()
    }

    /// A number that no other series has.
    pub fn hash(&self) -> u128 {
        let mut hash = Xxh3Default::new();
        for number in [self.r#type, self.temporality, i32::from(self.is_monotonic)] {
            hash.update(&number.to_le_bytes());
        }
        let texts = [&self.name, &self.service_name, &self.unit, &self.description].map(|text| text.as_bytes());
        let cells = [&self.resource, &self.scope, &self.metadata, &self.attributes].map(|cell| &**cell);
        for part in texts.into_iter().chain(cells) {
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        hash.digest128()
    }

    /// Whether all but the attributes is the same.
    pub(crate) fn is_of_family(&self, other: &Series) -> bool {
        self.name == other.name
            && self.r#type == other.r#type
            && self.service_name == other.service_name
            && self.resource == other.resource
            && self.scope == other.scope
            && self.unit == other.unit
            && self.description == other.description
            && self.metadata == other.metadata
            && self.temporality == other.temporality
            && self.is_monotonic == other.is_monotonic
    }

    /// About how many bytes of memory it takes, what it shares with others left out.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.attributes.len() + 16
    }

    fn text(&self, column: &str) -> Option<&Arc<str>> {
        Some(match column {
            name::SERVICE_NAME => &self.service_name,
            name::NAME => &self.name,
            name::UNIT => &self.unit,
            name::DESCRIPTION => &self.description,
            _ => return None,
        })
    }

    fn cell(&self, column: &str) -> Option<&Arc<[u8]>> {
        Some(match column {
            name::RESOURCE => &self.resource,
            name::SCOPE => &self.scope,
            name::METADATA => &self.metadata,
            _ => return None,
        })
    }
}

/// Whether a column is one of those that make a series.
pub(crate) fn is_column(column: &str) -> bool {
    COLUMNS.contains(&column)
}

/// One of the columns that make a series, for rows of which so many belong to each series; `None` for other columns.
pub(crate) fn array(column: &str, runs: &[(&Series, usize)]) -> Result<Option<ArrayRef>> {
    let repeated = |value: &dyn Fn(&Series) -> i32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(runs.iter().flat_map(|(s, rows)| std::iter::repeat_n(value(s), *rows))))
    };
    let rows: usize = runs.iter().map(|(_, rows)| rows).sum();
    Ok(Some(match column {
        name::TYPE => repeated(&|series| series.r#type),
        name::TEMPORALITY => repeated(&|series| series.temporality),
        name::IS_MONOTONIC => {
            let values: Vec<bool> =
                runs.iter().flat_map(|(series, rows)| std::iter::repeat_n(series.is_monotonic, *rows)).collect();
            Arc::new(BooleanArray::from(values))
        }
        name::ATTRIBUTES => {
            let bytes = runs.iter().map(|(series, rows)| series.attributes.len() * rows).sum();
            let mut cells = BinaryBuilder::with_capacity(rows, bytes);
            for (series, rows) in runs {
                (0..*rows).for_each(|_| cells.append_value(&series.attributes));
            }
            Arc::new(cells.finish())
        }
        name::SERVICE_NAME | name::NAME | name::UNIT | name::DESCRIPTION => {
            let (keys, values) = coded(runs, rows, |series| series.text(column));
            dictionary(keys, Arc::new(StringArray::from_iter_values(values.iter().map(|text| &***text))))?
        }
        name::RESOURCE | name::SCOPE | name::METADATA => {
            let (keys, values) = coded(runs, rows, |series| series.cell(column));
            dictionary(keys, Arc::new(BinaryArray::from_iter_values(values.iter().map(|cell| &***cell))))?
        }
        _ => return Ok(None),
    }))
}

/// Keys and values of a dictionary column. Neighbours mostly agree, so a value is compared with the one before only.
fn coded<'a, T: PartialEq + ?Sized>(
    runs: &[(&'a Series, usize)],
    rows: usize,
    value: impl Fn(&'a Series) -> Option<&'a Arc<T>>,
) -> (Vec<i32>, Vec<&'a Arc<T>>) {
    let mut keys = Vec::with_capacity(rows);
    let mut values: Vec<&Arc<T>> = Vec::new();
    for (series, rows) in runs {
        let Some(value) = value(series) else { continue };
        if values.last().is_none_or(|last| !Arc::ptr_eq(last, value) && **last != *value) {
            values.push(value);
        }
        // A batch has fewer than 2^31 rows.
        let key = i32::try_from(values.len()).unwrap_or(i32::MAX) - 1;
        keys.extend(std::iter::repeat_n(key, *rows));
    }
    (keys, values)
}

fn dictionary(keys: Vec<i32>, values: ArrayRef) -> Result<ArrayRef> {
    let array = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), values);
    Ok(Arc::new(array.map_err(|source| Error::Columns { action: "make a column of series", source })?))
}

/// Series as a batch with one row each, to ask predicates of.
pub(crate) fn batch(series: &[&Series]) -> Result<RecordBatch> {
    let runs: Vec<(&Series, usize)> = series.iter().map(|series| (*series, 1)).collect();
    let model = schema::of(Signal::Metrics);
    let mut fields: Vec<Field> = Vec::with_capacity(COLUMNS.len());
    let mut arrays = Vec::with_capacity(COLUMNS.len());
    for column in COLUMNS {
        let (Ok(field), Some(made)) = (model.field_with_name(column), array(column, &runs)?) else { continue };
        fields.push(field.clone());
        arrays.push(made);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|source| Error::Columns { action: "make a batch of series", source })
}
