//! How do metric data points become columns?

use super::attribute::Map;
use super::dictionary::{DictionaryBuilder, OriginBuilder};
use super::origin::{Resource, Scope};
use super::record::Number;
use super::span::{finish, non_empty_cell};
use super::{Batch, Signal, schema};
use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, TimestampNanosecondBuilder,
    UInt32Builder, UInt64Builder,
};
use arrow_schema::ArrowError;
use std::sync::Arc;

/// What all points of a metric share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricHead<'a> {
    /// Name.
    pub name: &'a str,
    /// Unit, as UCUM writes it.
    pub unit: &'a str,
    /// What it measures.
    pub description: &'a str,
    /// Attributes of the metric itself.
    pub metadata: Map<'a>,
    /// OTLP's number of the aggregation temporality; 0 for gauges and summaries.
    pub temporality: i32,
    /// Whether a sum never falls.
    pub is_monotonic: bool,
}

/// One data point, borrowed from where it was decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// Attributes.
    pub attributes: Map<'a>,
    /// Time, Unix nanoseconds.
    pub time: i64,
    /// Since when it counts, if told.
    pub start_time: Option<i64>,
    /// OTLP's data point flags; bit 0 is "no recorded value".
    pub flags: u32,
    /// Cell of [`super::record::Exemplar`]s.
    pub exemplars: &'a [u8],
    /// What was measured.
    pub data: PointData<'a>,
}

/// What was measured. The bucket and quantile cells are those of `record`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the fields are OpenTelemetry's own")]
pub enum PointData<'a> {
    /// A value that goes up and down.
    Gauge(Option<Number>),
    /// A sum.
    Sum(Option<Number>),
    /// A histogram with explicit bounds.
    Histogram {
        count: u64,
        sum: Option<f64>,
        min: Option<f64>,
        max: Option<f64>,
        explicit_bounds: &'a [u8],
        bucket_counts: &'a [u8],
    },
    /// A histogram with exponential buckets.
    ExponentialHistogram {
        count: u64,
        sum: Option<f64>,
        min: Option<f64>,
        max: Option<f64>,
        scale: i32,
        zero_count: u64,
        zero_threshold: f64,
        positive: &'a [u8],
        negative: &'a [u8],
    },
    /// Quantiles that the sender computed.
    Summary { count: u64, sum: f64, quantiles: &'a [u8] },
}

impl PointData<'_> {
    /// The number in the column `type`.
    pub fn code(&self) -> i32 {
        match self {
            PointData::Gauge(_) => 1,
            PointData::Sum(_) => 2,
            PointData::Histogram { .. } => 3,
            PointData::ExponentialHistogram { .. } => 4,
            PointData::Summary { .. } => 5,
        }
    }
}

/// Appends data points, column by column. Resource, scope and metric are set for the points that follow.
#[derive(Debug)]
pub struct PointBatchBuilder {
    origin: OriginBuilder,
    name: DictionaryBuilder,
    r#type: Int32Builder,
    unit: DictionaryBuilder,
    description: DictionaryBuilder,
    metadata: DictionaryBuilder,
    temporality: Int32Builder,
    is_monotonic: BooleanBuilder,
    attributes: BinaryBuilder,
    time: TimestampNanosecondBuilder,
    start_time: TimestampNanosecondBuilder,
    flags: UInt32Builder,
    data: DataBuilder,
    exemplars: BinaryBuilder,
    current: (i32, bool),
}

/// The columns of [`PointData`].
#[derive(Debug, Default)]
struct DataBuilder {
    value_int: Int64Builder,
    value_double: Float64Builder,
    count: UInt64Builder,
    sum: Float64Builder,
    min: Float64Builder,
    max: Float64Builder,
    explicit_bounds: BinaryBuilder,
    bucket_counts: BinaryBuilder,
    scale: Int32Builder,
    zero_count: UInt64Builder,
    zero_threshold: Float64Builder,
    positive: BinaryBuilder,
    negative: BinaryBuilder,
    quantiles: BinaryBuilder,
    /// Rows of numbers, which have nothing in the other columns and are not yet in these.
    numbers: usize,
}

impl Default for PointBatchBuilder {
    fn default() -> Self {
        PointBatchBuilder {
            origin: OriginBuilder::default(),
            name: DictionaryBuilder::default(),
            r#type: Int32Builder::new(),
            unit: DictionaryBuilder::default(),
            description: DictionaryBuilder::default(),
            metadata: DictionaryBuilder::default(),
            temporality: Int32Builder::new(),
            is_monotonic: BooleanBuilder::new(),
            attributes: BinaryBuilder::new(),
            time: TimestampNanosecondBuilder::new().with_data_type(schema::timestamp()),
            start_time: TimestampNanosecondBuilder::new().with_data_type(schema::timestamp()),
            flags: UInt32Builder::new(),
            data: DataBuilder::default(),
            exemplars: BinaryBuilder::new(),
            current: (0, false),
        }
    }
}

impl PointBatchBuilder {
    /// Sets the resource of the points that follow.
    pub fn set_resource(&mut self, resource: &Resource<'_>) {
        self.origin.set_resource(resource);
    }

    /// Sets the instrumentation scope of the points that follow.
    pub fn set_scope(&mut self, scope: &Scope<'_>) {
        self.origin.set_scope(scope);
    }

    /// Sets the metric of the points that follow.
    pub fn set_metric(&mut self, metric: &MetricHead<'_>) {
        self.name.set(metric.name.as_bytes());
        self.unit.set(metric.unit.as_bytes());
        self.description.set(metric.description.as_bytes());
        self.metadata.set(metric.metadata.as_bytes());
        self.current = (metric.temporality, metric.is_monotonic);
    }

    /// How many points were appended.
    pub fn len(&self) -> usize {
        self.time.values_slice().len()
    }

    /// Whether no point was appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a point. Fails only where the batch outgrows Arrow's limits.
    pub fn append(&mut self, point: &Point<'_>) -> Result<(), ArrowError> {
        self.origin.append();
        self.name.append();
        self.r#type.append_value(point.data.code());
        self.unit.append();
        self.description.append();
        self.metadata.append();
        self.temporality.append_value(self.current.0);
        self.is_monotonic.append_value(self.current.1);
        self.attributes.append_value(point.attributes.as_bytes());
        self.time.append_value(point.time);
        self.start_time.append_option(point.start_time);
        self.flags.append_value(point.flags);
        self.data.append(&point.data);
        self.exemplars.append_option(non_empty_cell(point.exemplars));
        Ok(())
    }

    /// The batch.
    pub fn finish(mut self) -> Result<Batch, ArrowError> {
        let mut columns: Vec<ArrayRef> = self.origin.finish()?.into();
        columns.extend::<[ArrayRef; 11]>([
            self.name.finish_text()?,
            Arc::new(self.r#type.finish()),
            self.unit.finish_text()?,
            self.description.finish_text()?,
            self.metadata.finish_cells()?,
            Arc::new(self.temporality.finish()),
            Arc::new(self.is_monotonic.finish()),
            Arc::new(self.attributes.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.start_time.finish()),
            Arc::new(self.flags.finish()),
        ]);
        columns.extend(self.data.finish());
        columns.push(Arc::new(self.exemplars.finish()));
        finish(Signal::Metrics, columns)
    }
}

/// A data point's fields across all its types; absent ones are null.
#[derive(Default)]
struct Cells<'a> {
    value: Option<Number>,
    count: Option<u64>,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    explicit_bounds: Option<&'a [u8]>,
    bucket_counts: Option<&'a [u8]>,
    scale: Option<i32>,
    zero_count: Option<u64>,
    zero_threshold: Option<f64>,
    positive: Option<&'a [u8]>,
    negative: Option<&'a [u8]>,
    quantiles: Option<&'a [u8]>,
}

impl<'a> From<&PointData<'a>> for Cells<'a> {
    fn from(data: &PointData<'a>) -> Self {
        match *data {
            PointData::Gauge(value) | PointData::Sum(value) => Cells { value, ..Cells::default() },
            PointData::Histogram { count, sum, min, max, explicit_bounds, bucket_counts } => Cells {
                count: Some(count),
                sum,
                min,
                max,
                explicit_bounds: non_empty_cell(explicit_bounds),
                bucket_counts: non_empty_cell(bucket_counts),
                ..Cells::default()
            },
            PointData::ExponentialHistogram {
                count,
                sum,
                min,
                max,
                scale,
                zero_count,
                zero_threshold,
                positive,
                negative,
            } => Cells {
                count: Some(count),
                sum,
                min,
                max,
                scale: Some(scale),
                zero_count: Some(zero_count),
                zero_threshold: Some(zero_threshold),
                positive: non_empty_cell(positive),
                negative: non_empty_cell(negative),
                ..Cells::default()
            },
            PointData::Summary { count, sum, quantiles } => {
                Cells { count: Some(count), sum: Some(sum), quantiles: non_empty_cell(quantiles), ..Cells::default() }
            }
        }
    }
}

impl DataBuilder {
    fn append(&mut self, data: &PointData<'_>) {
        if let PointData::Gauge(value) | PointData::Sum(value) = *data {
            self.append_value(value);
            self.numbers += 1;
            return;
        }
        self.settle();
        let cells = Cells::from(data);
        self.append_value(cells.value);
        self.count.append_option(cells.count);
        self.sum.append_option(cells.sum);
        self.min.append_option(cells.min);
        self.max.append_option(cells.max);
        self.explicit_bounds.append_option(cells.explicit_bounds);
        self.bucket_counts.append_option(cells.bucket_counts);
        self.scale.append_option(cells.scale);
        self.zero_count.append_option(cells.zero_count);
        self.zero_threshold.append_option(cells.zero_threshold);
        self.positive.append_option(cells.positive);
        self.negative.append_option(cells.negative);
        self.quantiles.append_option(cells.quantiles);
    }

    fn append_value(&mut self, value: Option<Number>) {
        let (int, double) = match value {
            Some(Number::Int(value)) => (Some(value), None),
            Some(Number::Double(value)) => (None, Some(value)),
            None => (None, None),
        };
        self.value_int.append_option(int);
        self.value_double.append_option(double);
    }

    /// Brings the columns that numbers have nothing in to as many rows as the others.
    fn settle(&mut self) {
        let rows = std::mem::take(&mut self.numbers);
        self.count.append_nulls(rows);
        self.sum.append_nulls(rows);
        self.min.append_nulls(rows);
        self.max.append_nulls(rows);
        self.explicit_bounds.append_nulls(rows);
        self.bucket_counts.append_nulls(rows);
        self.scale.append_nulls(rows);
        self.zero_count.append_nulls(rows);
        self.zero_threshold.append_nulls(rows);
        self.positive.append_nulls(rows);
        self.negative.append_nulls(rows);
        self.quantiles.append_nulls(rows);
    }

    fn finish(mut self) -> [ArrayRef; 14] {
        self.settle();
        [
            Arc::new(self.value_int.finish()),
            Arc::new(self.value_double.finish()),
            Arc::new(self.count.finish()),
            Arc::new(self.sum.finish()),
            Arc::new(self.min.finish()),
            Arc::new(self.max.finish()),
            Arc::new(self.explicit_bounds.finish()),
            Arc::new(self.bucket_counts.finish()),
            Arc::new(self.scale.finish()),
            Arc::new(self.zero_count.finish()),
            Arc::new(self.zero_threshold.finish()),
            Arc::new(self.positive.finish()),
            Arc::new(self.negative.finish()),
            Arc::new(self.quantiles.finish()),
        ]
    }
}
