//! How does a stored data point become one of the API?

use crate::attribute::key_values;
use crate::column::{Cells, Columns};
use crate::error::Result;
use crate::trace::hex;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch, UInt32Array};
use query_api::metric::{
    Downsampled, Exemplar, ExponentialHistogram, Histogram, MetricType, Point, PointValue, Quantile, Summary,
};
use storage::model::record::{self, Number};
use storage::model::schema::column;
use storage::model::verbatim::FLOAT_COUNTS;

/// The columns of a point's value.
pub(super) const COLUMNS: [&str; 18] = [
    column::TIME,
    column::START_TIME,
    column::FLAGS,
    column::VALUE_INT,
    column::VALUE_DOUBLE,
    column::COUNT,
    column::SUM,
    column::MIN,
    column::MAX,
    column::EXPLICIT_BOUNDS,
    column::BUCKET_COUNTS,
    column::SCALE,
    column::ZERO_COUNT,
    column::ZERO_THRESHOLD,
    column::POSITIVE,
    column::NEGATIVE,
    column::QUANTILES,
    column::EXEMPLARS,
];

/// The columns of a number.
pub(super) const NUMBERS: [&str; 4] = [column::TIME, column::FLAGS, column::VALUE_INT, column::VALUE_DOUBLE];

/// OTLP's flag for a point without a recorded value.
const NO_RECORDED_VALUE: u32 = 1;

/// The value columns of one batch.
pub(super) struct Points<'a> {
    pub(super) time: &'a PrimitiveArray<TimestampNanosecondType>,
    start: &'a PrimitiveArray<TimestampNanosecondType>,
    flags: &'a UInt32Array,
    int: &'a PrimitiveArray<Int64Type>,
    double: &'a PrimitiveArray<Float64Type>,
    count: &'a PrimitiveArray<UInt64Type>,
    sum: &'a PrimitiveArray<Float64Type>,
    min: &'a PrimitiveArray<Float64Type>,
    max: &'a PrimitiveArray<Float64Type>,
    bounds: Cells<'a>,
    bucket_counts: Cells<'a>,
    scale: &'a PrimitiveArray<Int32Type>,
    zero_count: &'a PrimitiveArray<UInt64Type>,
    zero_threshold: &'a PrimitiveArray<Float64Type>,
    positive: Cells<'a>,
    negative: Cells<'a>,
    quantiles: Cells<'a>,
    exemplars: Cells<'a>,
}

impl<'a> Points<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Points {
            time: columns.times(column::TIME)?,
            start: columns.times(column::START_TIME)?,
            flags: columns.uint32(column::FLAGS)?,
            int: columns.int64(column::VALUE_INT)?,
            double: columns.float64(column::VALUE_DOUBLE)?,
            count: columns.uint64(column::COUNT)?,
            sum: columns.float64(column::SUM)?,
            min: columns.float64(column::MIN)?,
            max: columns.float64(column::MAX)?,
            bounds: columns.cells(column::EXPLICIT_BOUNDS)?,
            bucket_counts: columns.cells(column::BUCKET_COUNTS)?,
            scale: columns.int32(column::SCALE)?,
            zero_count: columns.uint64(column::ZERO_COUNT)?,
            zero_threshold: columns.float64(column::ZERO_THRESHOLD)?,
            positive: columns.cells(column::POSITIVE)?,
            negative: columns.cells(column::NEGATIVE)?,
            quantiles: columns.cells(column::QUANTILES)?,
            exemplars: columns.cells(column::EXEMPLARS)?,
        })
    }

    /// About how many bytes the point takes in the answer.
    pub(super) fn memory_of(&self, row: usize) -> usize {
        // A count is at least one byte in its cell and eight in memory.
        let counts = [self.bucket_counts, self.positive, self.negative];
        let lists = 8 * counts.iter().map(|cell| cell.get(row).len()).sum::<usize>();
        let doubles = self.bounds.get(row).len() + self.quantiles.get(row).len();
        // An exemplar is at least eight bytes in its cell; ids double in hex.
        size_of::<Point>() + 64 + lists + doubles + 16 * self.exemplars.get(row).len()
    }

    /// The point of a row that belongs to a metric of this type.
    pub(super) fn point(&self, row: usize, r#type: MetricType) -> Point {
        Point {
            time_unix_nano: self.time.value(row),
            start_unix_nano: opt(self.start, row).unwrap_or_default(),
            no_recorded_value: self.flags.value(row) & NO_RECORDED_VALUE != 0,
            value: self.value(row, r#type),
            exemplars: record::Exemplar::list(self.exemplars.get(row)).map(exemplar).collect(),
            downsampled: self.downsampled(row, r#type),
        }
    }

    /// What a point stands for, as `storage::metric` writes it.
    fn downsampled(&self, row: usize, r#type: MetricType) -> Option<Downsampled> {
        if !matches!(r#type, MetricType::Gauge | MetricType::Sum) {
            let count = opt(self.int, row)?.cast_unsigned();
            return Some(Downsampled { count, ..Downsampled::default() });
        }
        let count = opt(self.count, row)?;
        Some(Downsampled { count, sum: opt(self.sum, row), min: opt(self.min, row), max: opt(self.max, row) })
    }

    fn value(&self, row: usize, r#type: MetricType) -> PointValue {
        match r#type {
            MetricType::Gauge | MetricType::Sum => match (opt(self.int, row), opt(self.double, row)) {
                (Some(value), _) => PointValue::Int(value),
                (None, Some(value)) => PointValue::Double(value),
                (None, None) => PointValue::None,
            },
            MetricType::Histogram => PointValue::Histogram(Histogram {
                count: self.whole(row, opt(self.count, row).unwrap_or_default()),
                sum: opt(self.sum, row),
                min: opt(self.min, row),
                max: opt(self.max, row),
                bounds: record::doubles(self.bounds.get(row)).collect(),
                bucket_counts: self.counts(row, record::counts(self.bucket_counts.get(row))),
            }),
            MetricType::ExponentialHistogram => PointValue::ExponentialHistogram(self.exponential(row)),
            MetricType::Summary => PointValue::Summary(Summary {
                count: opt(self.count, row).unwrap_or_default(),
                sum: opt(self.sum, row).unwrap_or_default(),
                quantiles: record::quantiles(self.quantiles.get(row))
                    .map(|(quantile, value)| Quantile { quantile, value })
                    .collect(),
            }),
        }
    }

    fn counts(&self, row: usize, counts: impl Iterator<Item = u64>) -> Vec<u64> {
        counts.map(|count| self.whole(row, count)).collect()
    }

    /// A count; one that is a float is rounded, for OTLP has none.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is out of range becomes its end")]
    fn whole(&self, row: usize, count: u64) -> u64 {
        if self.flags.value(row) & FLOAT_COUNTS == 0 { count } else { f64::from_bits(count).round() as u64 }
    }

    fn exponential(&self, row: usize) -> ExponentialHistogram {
        let (positive_offset, positive) = record::buckets(self.positive.get(row));
        let (negative_offset, negative) = record::buckets(self.negative.get(row));
        ExponentialHistogram {
            count: self.whole(row, opt(self.count, row).unwrap_or_default()),
            sum: opt(self.sum, row),
            min: opt(self.min, row),
            max: opt(self.max, row),
            scale: opt(self.scale, row).unwrap_or_default(),
            zero_count: self.whole(row, opt(self.zero_count, row).unwrap_or_default()),
            zero_threshold: opt(self.zero_threshold, row).unwrap_or_default(),
            positive_offset,
            positive_counts: self.counts(row, positive),
            negative_offset,
            negative_counts: self.counts(row, negative),
        }
    }
}

/// The numbers of one batch.
pub(super) struct Numbers<'a> {
    pub(super) time: &'a PrimitiveArray<TimestampNanosecondType>,
    flags: &'a UInt32Array,
    int: &'a PrimitiveArray<Int64Type>,
    double: &'a PrimitiveArray<Float64Type>,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Numbers {
            time: columns.times(column::TIME)?,
            flags: columns.uint32(column::FLAGS)?,
            int: columns.int64(column::VALUE_INT)?,
            double: columns.float64(column::VALUE_DOUBLE)?,
        })
    }

    /// The number of a row; `None` where there is none.
    pub(super) fn number(&self, row: usize) -> Option<f64> {
        let number = opt(self.int, row).map(|value| value as f64).or_else(|| opt(self.double, row));
        number.filter(|_| self.flags.value(row) & NO_RECORDED_VALUE == 0)
    }
}

fn opt<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

fn exemplar(exemplar: record::Exemplar<'_>) -> Exemplar {
    let (value, value_int) = match exemplar.value {
        Some(Number::Int(value)) => (value as f64, value.to_string()),
        Some(Number::Double(value)) => (value, String::new()),
        None => (f64::NAN, String::new()),
    };
    Exemplar {
        time_unix_nano: i64::try_from(exemplar.time_unix_nano).unwrap_or(i64::MAX),
        value,
        value_int,
        trace_id: hex(exemplar.trace_id),
        span_id: hex(exemplar.span_id),
        filtered_attributes: key_values(exemplar.filtered_attributes),
    }
}
