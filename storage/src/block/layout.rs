//! Which columns has `data.parquet`? Those of the model, but for attributes and parents.
//!
//! L1  `attributes.<type>.<key>` columns and the rest in `attributes` stand for the model's `attributes` of spans and logs.
//! L2  `parent_row` and `parent_span_id` together stand for the model's `parent_span_id` of spans: the first is how many
//!     rows before the span its parent lies (negative: after it), or 0 where the parent is not in the same trace and row
//!     group (or is the span itself) and the second holds its id. Of several spans with that id it is the one that `trace`
//!     takes for the parent, so that the tree of a trace that lies in one row group is in this column.
//! L3  `observed_delay` stands for the model's `observed_time` of logs: how much later than `time` it is, mostly 0 or little.
//! L4  `shape.<n>` columns stand for the columns that `meta` lists for them (`shape`).

use super::encode::{Bounds, Packing, Style};
use super::shape;
use super::shred::{AttributeColumn, Kind};
use crate::model::Signal;
use crate::model::schema::{self, column as name};
use arrow_schema::{DataType, Field, Schema};

/// The column of L2.
pub(super) const PARENT_ROW: &str = "parent_row";
/// The column of L3.
pub(super) const OBSERVED_DELAY: &str = "observed_delay";
/// What the names of attribute columns start with.
const ATTRIBUTE_PREFIX: &str = "attributes.";

/// The columns that are left when shapes stand for some, then those of the shapes.
pub(super) fn join(columns: &[StoredColumn], shapes: &[Vec<usize>]) -> Vec<StoredColumn> {
    let joined = |place: usize| shapes.iter().any(|members| members.contains(&place));
    let left = columns.iter().enumerate().filter(|(place, _)| !joined(*place)).map(|(_, column)| column.clone());
    let style = Style { packing: Packing::Auto, bounds: Bounds::None };
    let shape = |number: usize| {
        let field = Field::new(format!("{}{number}", shape::PREFIX), DataType::Binary, false);
        StoredColumn { field, part: Part::Shape, style }
    };
    left.chain((0..shapes.len()).map(shape)).collect()
}

/// The type of a column of the model, or of an attribute's, when it is stored alone.
pub(super) fn stored_type(signal: Signal, column: &str) -> Option<DataType> {
    if let Some((kind, _)) = parse_attribute(column) {
        return Some(attribute_type(kind));
    }
    let field = schema::of(signal).field_with_name(column).ok()?;
    Some(stored_field(field).data_type().clone())
}

/// Where the values of a stored column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The model's column of this index.
    Column(usize),
    /// The rows of parents.
    ParentRow,
    /// The ids of parents that have no row.
    ForeignParent,
    /// How much later than their time records were observed.
    ObservedDelay,
    /// The attribute column of this index.
    Attribute(usize),
    /// The entries without a column.
    Rest,
    /// Several columns that say the same (`shape`).
    Shape,
}

/// A column of `data.parquet`.
#[derive(Debug, Clone)]
pub(super) struct StoredColumn {
    pub(super) field: Field,
    pub(super) part: Part,
    pub(super) style: Style,
}

/// The columns of a block, in their order in the file.
pub(super) fn columns(signal: Signal, attributes: &[AttributeColumn]) -> Vec<StoredColumn> {
    let mut columns = Vec::new();
    for (index, field) in schema::of(signal).fields().iter().enumerate() {
        let plain = StoredColumn { field: stored_field(field), part: Part::Column(index), style: style(field.name()) };
        match (signal, field.name().as_str()) {
            (Signal::Spans, name::PARENT_SPAN_ID) => {
                let field = Field::new(PARENT_ROW, DataType::Int32, false);
                columns.push(StoredColumn { field, part: Part::ParentRow, ..plain.clone() });
                columns.push(StoredColumn { part: Part::ForeignParent, ..plain });
            }
            (Signal::Logs, name::OBSERVED_TIME) => {
                let field = Field::new(OBSERVED_DELAY, DataType::Int64, true);
                let style = Style { packing: Packing::Auto, bounds: Bounds::None };
                columns.push(StoredColumn { field, part: Part::ObservedDelay, style });
            }
            (Signal::Spans | Signal::Logs, name::ATTRIBUTES) => {
                columns.extend(attributes.iter().enumerate().map(|(index, attribute)| StoredColumn {
                    field: Field::new(attribute.name(), attribute_type(attribute.kind), attribute.nullable),
                    part: Part::Attribute(index),
                    style: Style { packing: Packing::Auto, bounds: Bounds::None },
                }));
                columns.push(StoredColumn { part: Part::Rest, ..plain });
            }
            _ => columns.push(plain),
        }
    }
    columns
}

/// The schema of `data.parquet`.
pub(super) fn schema(columns: &[StoredColumn]) -> Schema {
    Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>())
}

/// The attribute and type of a stored column's name, if it is one of L1.
pub(super) fn parse_attribute(name: &str) -> Option<(Kind, &str)> {
    let (kind, key) = name.strip_prefix(ATTRIBUTE_PREFIX)?.split_once('.')?;
    Some((Kind::ALL.into_iter().find(|other| other.as_str() == kind)?, key))
}

/// Parquet has no dictionary type: whether a column is one is up to each row group.
fn stored_field(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, values) => field.clone().with_data_type(values.as_ref().clone()),
        _ => field.clone(),
    }
}

fn attribute_type(kind: Kind) -> DataType {
    match kind {
        // With ABSENT_STRING among the values it is not text.
        Kind::String => DataType::Binary,
        Kind::Bool => DataType::Int32,
        Kind::Int => DataType::Int64,
        Kind::Double => DataType::Float64,
    }
}

fn style(column: &str) -> Style {
    let packing = match column {
        name::SPAN_ID | name::PARENT_SPAN_ID => Packing::Raw,
        name::START | name::TIME => Packing::Deltas,
        _ => Packing::Auto,
    };
    let bounds = match column {
        name::START | name::TIME | name::DURATION | name::STATUS_CODE | name::SEVERITY_NUMBER => Bounds::Pages,
        _ => Bounds::None,
    };
    Style { packing, bounds }
}
