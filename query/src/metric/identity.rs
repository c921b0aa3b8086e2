//! What makes two points members of one series? OTLP's identity: metric name, type, unit, temporality, monotonicity,
//! resource, scope and attributes; and of OTLP's own metrics the description, since a process may have two of a name and both are stored.

use crate::column::{Cells, Columns, Repeated};
use crate::error::Result;
use arrow_array::{BinaryArray, BooleanArray, Int32Array, RecordBatch, StringArray};
use query_api::metric::{MetricType, Temporality};
use storage::model::schema::column;
use storage::model::verbatim::Role;

/// The columns that tell series apart.
pub(super) const COLUMNS: [&str; 10] = [
    column::NAME,
    column::TYPE,
    column::UNIT,
    column::TEMPORALITY,
    column::IS_MONOTONIC,
    column::DESCRIPTION,
    column::SERVICE_NAME,
    column::RESOURCE,
    column::SCOPE,
    column::ATTRIBUTES,
];

/// What the points of one metric share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Head<'a> {
    pub(super) name: &'a str,
    pub(super) r#type: i32,
    pub(super) unit: &'a str,
    pub(super) temporality: i32,
    pub(super) is_monotonic: bool,
}

/// The identity columns of one batch.
#[derive(Debug)]
pub(super) struct Identities<'a> {
    pub(super) rows: usize,
    pub(super) name: Repeated<'a, StringArray>,
    r#type: &'a Int32Array,
    unit: Repeated<'a, StringArray>,
    temporality: &'a Int32Array,
    is_monotonic: &'a BooleanArray,
    description: Repeated<'a, StringArray>,
    pub(super) service: Repeated<'a, StringArray>,
    pub(super) resource: Repeated<'a, BinaryArray>,
    pub(super) scope: Repeated<'a, BinaryArray>,
    pub(super) attributes: Cells<'a>,
}

impl<'a> Identities<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Identities {
            rows: columns.rows(),
            name: columns.repeated_text(column::NAME)?,
            r#type: columns.int32(column::TYPE)?,
            unit: columns.repeated_text(column::UNIT)?,
            temporality: columns.int32(column::TEMPORALITY)?,
            is_monotonic: columns.boolean(column::IS_MONOTONIC)?,
            description: columns.repeated_text(column::DESCRIPTION)?,
            service: columns.repeated_text(column::SERVICE_NAME)?,
            resource: columns.repeated_cells(column::RESOURCE)?,
            scope: columns.repeated_cells(column::SCOPE)?,
            attributes: columns.cells(column::ATTRIBUTES)?,
        })
    }

    /// Whether a row's point was measured: what else Prometheus's senders tell is kept beside it.
    pub(super) fn is_sample(&self, row: usize) -> bool {
        Role::of(self.scope.get(row)).is_none_or(|role| role == Role::Samples)
    }

    /// Whether it bears Prometheus's name.
    pub(super) fn is_verbatim(&self, row: usize) -> bool {
        Role::of(self.scope.get(row)).is_some()
    }

    /// What tells OTLP's metrics of one name apart; empty for those that bear Prometheus's names.
    pub(super) fn description(&self, row: usize) -> &'a str {
        if self.is_verbatim(row) { "" } else { self.description.get(row) }
    }

    pub(super) fn head(&self, row: usize) -> Head<'a> {
        Head {
            name: self.name.get(row),
            r#type: self.r#type.value(row),
            unit: self.unit.get(row),
            temporality: self.temporality.value(row),
            is_monotonic: self.is_monotonic.value(row),
        }
    }
}

/// The type of a number in the column `type`.
pub(super) fn metric_type(code: i32) -> MetricType {
    match code {
        2 => MetricType::Sum,
        3 => MetricType::Histogram,
        4 => MetricType::ExponentialHistogram,
        5 => MetricType::Summary,
        _ => MetricType::Gauge,
    }
}

/// The temporality of OTLP's number.
pub(super) fn temporality(code: i32) -> Temporality {
    match code {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    }
}
