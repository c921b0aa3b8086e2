//! How were measurements spread, and how did that change? Histograms of both kinds as a heat map and as quantiles.
//!
//! HM1  Counts are what was measured in a step: cumulative points are differenced bucket by bucket, resets counted
//!      from zero, exponential points brought to one scale first.
//! HM2  A quantile lies within the bucket that holds its rank.
//! HM3  Whatever the buckets, the cells of a column add up to its measurements.

use super::super::order;
use super::super::time::Range;
use super::grid::Grid;
use super::rate;
use query_api::metric::{ExponentialHistogram, Histogram, Point, PointValue, Series, Temporality};

/// Measurements between two values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
    /// Measurements.
    pub count: f64,
}

/// A heat map and the buckets behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// The time axis.
    pub grid: Grid,
    /// Edges of the rows, rising; one more than rows.
    pub edges: Vec<f64>,
    /// Counts by column, then row.
    pub cells: Vec<Vec<f64>>,
    /// The buckets of each column, by lower edge.
    pub columns: Vec<Vec<Bucket>>,
}

/// Rows of a heat map whose series have different buckets.
const ROWS: usize = 36;
/// Columns of a heat map.
const COLUMNS: i64 = 120;
/// An exponential point is widened to at most so many buckets before it is drawn.
const WIDEST: usize = 4_096;

impl Heat {
    /// The heat map of all series together.
    pub fn new(series: &[Series], range: Range) -> Heat {
        let grid = Grid::with_steps(range, COLUMNS);
        let mut columns: Vec<Vec<Bucket>> = vec![Vec::new(); grid.count];
        let mut bounds: Option<&[f64]> = None;
        let mut same_bounds = true;
        for one in series {
            let mut before: Option<&Point> = None;
            for point in one.points.iter().filter(|point| !point.no_recorded_value) {
                if let PointValue::Histogram(histogram) = &point.value {
                    same_bounds &= *bounds.get_or_insert(&histogram.bounds) == histogram.bounds;
                } else {
                    same_bounds = false;
                }
                if let (Some(index), Some(buckets)) =
                    (grid.index(point.time_unix_nano), fresh(one, point, before, range.start))
                {
                    columns[index].extend(buckets);
                }
                before = Some(point);
            }
        }
        for column in &mut columns {
            *column = merged(std::mem::take(column));
        }
        let edges = match bounds.filter(|bounds| same_bounds && !bounds.is_empty()) {
            Some(bounds) => explicit_edges(bounds, &columns),
            None => shared_edges(&columns),
        };
        Heat::laid(grid, edges, columns)
    }

    /// The heat map of buckets that are known by column. Where few edges tell all buckets, they are the rows.
    pub fn of_columns(grid: Grid, columns: Vec<Vec<Bucket>>) -> Heat {
        let columns: Vec<Vec<Bucket>> = columns.into_iter().map(merged).collect();
        let all: Vec<f64> = columns.iter().flatten().flat_map(|bucket| [bucket.low, bucket.high]).collect();
        let mut edges = order::pick(all.clone(), &order::rising(all));
        edges.dedup();
        if edges.len() < 2 || edges.len() > ROWS + 1 {
            edges = shared_edges(&columns);
        }
        Heat::laid(grid, edges, columns)
    }

    fn laid(grid: Grid, edges: Vec<f64>, columns: Vec<Vec<Bucket>>) -> Heat {
        let cells = columns.iter().map(|column| spread(column, &edges)).collect();
        Heat { grid, edges, cells, columns }
    }

    /// The value below which a share of a column's measurements lie.
    pub fn quantile(&self, column: usize, share: f64) -> Option<f64> {
        quantile(self.columns.get(column)?, share)
    }

    /// The fullest cell.
    pub fn fullest(&self) -> f64 {
        self.cells.iter().flatten().copied().fold(0.0, f64::max)
    }

    /// The column whose measurements are drawn at one, if any are: what was measured since the point before is drawn from there on, as far as
    /// points commonly are apart.
    pub fn drawn_at(&self, column: usize) -> Option<usize> {
        (column..column.saturating_add(self.apart())).find(|column| self.total(*column) > 0.0)
    }

    /// How many columns points commonly are apart.
    fn apart(&self) -> usize {
        let filled: Vec<usize> = (0..self.grid.count).filter(|column| self.total(*column) > 0.0).collect();
        let gaps: Vec<i64> = filled.windows(2).map(|pair| (pair[1] - pair[0]) as i64).collect();
        order::median(&gaps).unwrap_or(1).max(1) as usize
    }

    /// Measurements of a column.
    pub fn total(&self, column: usize) -> f64 {
        self.columns.get(column).map_or(0.0, |buckets| buckets.iter().map(|b| b.count).sum())
    }
}

/// What a point adds to what was known before it; none when that cannot be told.
fn fresh(series: &Series, point: &Point, before: Option<&Point>, from: i64) -> Option<Vec<Bucket>> {
    if series.temporality == Temporality::Delta {
        return Some(whole(&point.value));
    }
    let Some(before) = before else {
        return rate::begun(point, from).map(|_| whole(&point.value));
    };
    if point.start_unix_nano > before.time_unix_nano {
        return Some(whole(&point.value));
    }
    match (&point.value, &before.value) {
        (PointValue::Histogram(new), PointValue::Histogram(old)) => Some(explicit_growth(new, old)),
        (PointValue::ExponentialHistogram(new), PointValue::ExponentialHistogram(old)) => {
            Some(exponential_growth(new, old))
        }
        (value, _) => Some(whole(value)),
    }
}

fn whole(value: &PointValue) -> Vec<Bucket> {
    match value {
        PointValue::Histogram(histogram) => explicit(histogram, &histogram.bucket_counts),
        PointValue::ExponentialHistogram(histogram) => Exponential::new(histogram).buckets(),
        _ => Vec::new(),
    }
}

fn explicit_growth(new: &Histogram, old: &Histogram) -> Vec<Bucket> {
    let shrank = new.bucket_counts.iter().zip(&old.bucket_counts).any(|(new, old)| new < old);
    if shrank || new.bounds != old.bounds || new.bucket_counts.len() != old.bucket_counts.len() {
        return explicit(new, &new.bucket_counts);
    }
    let grown: Vec<u64> = new.bucket_counts.iter().zip(&old.bucket_counts).map(|(new, old)| new - old).collect();
    explicit(new, &grown)
}

fn explicit(histogram: &Histogram, counts: &[u64]) -> Vec<Bucket> {
    let bounds = &histogram.bounds;
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else {
        return single(histogram, counts);
    };
    let foot = histogram.min.filter(|min| min < first).unwrap_or(if *first > 0.0 { 0.0 } else { *first });
    let top = histogram.max.filter(|max| max > last).unwrap_or(*last);
    let edge = |index: usize| bounds.get(index).copied().unwrap_or(top);
    let bucket = |(index, count): (usize, &u64)| Bucket {
        low: if index == 0 { foot } else { edge(index - 1) },
        high: edge(index),
        count: *count as f64,
    };
    counts.iter().enumerate().filter(|(_, count)| **count > 0).map(bucket).collect()
}

/// A histogram without bounds is one bucket, as wide as its extremes tell.
fn single(histogram: &Histogram, counts: &[u64]) -> Vec<Bucket> {
    let count = counts.first().copied().unwrap_or(histogram.count);
    let mean = histogram.sum.map_or(0.0, |sum| sum / histogram.count.max(1) as f64);
    let (low, high) = (histogram.min.unwrap_or(mean), histogram.max.unwrap_or(mean));
    if count == 0 { Vec::new() } else { vec![Bucket { low, high, count: count as f64 }] }
}

/// Exponential buckets, positive and negative, by index.
struct Exponential {
    scale: i32,
    zero: (f64, u64),
    positive: Run,
    negative: Run,
}

#[derive(Clone)]
struct Run {
    offset: i64,
    counts: Vec<u64>,
}

impl Run {
    fn new(offset: i32, counts: &[u64]) -> Run {
        Run { offset: i64::from(offset), counts: counts.iter().copied().take(WIDEST).collect() }
    }

    /// The same run with two buckets in one, `times` times over.
    fn coarser(&self, times: u32) -> Run {
        let times = times.min(62);
        let offset = self.offset >> times;
        let mut counts = Vec::new();
        for (index, count) in self.counts.iter().enumerate() {
            let at = usize::try_from(((self.offset + index as i64) >> times) - offset).unwrap_or(0);
            if counts.len() <= at {
                counts.resize(at + 1, 0u64);
            }
            counts[at] = counts[at].saturating_add(*count);
        }
        Run { offset, counts }
    }

    fn get(&self, index: i64) -> u64 {
        usize::try_from(index - self.offset).ok().and_then(|at| self.counts.get(at)).copied().unwrap_or(0)
    }

    /// This run less an older one; none when any bucket shrank.
    fn less(&self, old: &Run) -> Option<Run> {
        let lost = old.counts.iter().enumerate().any(|(i, count)| *count > self.get(old.offset + i as i64));
        let counts =
            self.counts.iter().enumerate().map(|(i, count)| count - old.get(self.offset + i as i64).min(*count));
        (!lost).then(|| Run { offset: self.offset, counts: counts.collect() })
    }

    fn buckets(&self, scale: i32, out: &mut Vec<Bucket>, sign: f64) {
        let edge = |index: i64| (index as f64 * 2f64.powi(-scale)).exp2();
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let index = self.offset + index as i64;
            let (a, b) = (sign * edge(index), sign * edge(index + 1));
            if a.is_finite() && b.is_finite() {
                out.push(Bucket { low: a.min(b), high: a.max(b), count: *count as f64 });
            }
        }
    }
}

impl Exponential {
    fn new(histogram: &ExponentialHistogram) -> Exponential {
        Exponential {
            scale: histogram.scale.clamp(-20, 40),
            zero: (histogram.zero_threshold.abs(), histogram.zero_count),
            positive: Run::new(histogram.positive_offset, &histogram.positive_counts),
            negative: Run::new(histogram.negative_offset, &histogram.negative_counts),
        }
    }

    fn at_scale(&self, scale: i32) -> Exponential {
        let times = self.scale.saturating_sub(scale).max(0).unsigned_abs();
        let (positive, negative) = (self.positive.coarser(times), self.negative.coarser(times));
        Exponential { scale, zero: self.zero, positive, negative }
    }

    fn buckets(&self) -> Vec<Bucket> {
        let mut out = Vec::new();
        self.negative.buckets(self.scale, &mut out, -1.0);
        if self.zero.1 > 0 {
            out.push(Bucket { low: 0.0, high: self.zero.0, count: self.zero.1 as f64 });
        }
        self.positive.buckets(self.scale, &mut out, 1.0);
        out
    }
}

fn exponential_growth(new: &ExponentialHistogram, old: &ExponentialHistogram) -> Vec<Bucket> {
    let (new, old) = (Exponential::new(new), Exponential::new(old));
    let scale = new.scale.min(old.scale);
    let (coarse, old) = (new.at_scale(scale), old.at_scale(scale));
    let grown = coarse.positive.less(&old.positive).zip(coarse.negative.less(&old.negative));
    match (grown, coarse.zero.1.checked_sub(old.zero.1)) {
        (Some((positive, negative)), Some(zeros)) => {
            Exponential { scale, zero: (coarse.zero.0, zeros), positive, negative }.buckets()
        }
        _ => new.buckets(),
    }
}

/// Buckets by lower edge, equal ones added up.
pub(super) fn merged(buckets: Vec<Bucket>) -> Vec<Bucket> {
    // Sorting is stable: by the upper edge first, then by the lower.
    let by_high = order::rising(buckets.iter().map(|bucket| bucket.high));
    let buckets = order::pick(buckets, &by_high);
    let by_low = order::rising(buckets.iter().map(|bucket| bucket.low));
    let buckets = order::pick(buckets, &by_low);
    let mut out: Vec<Bucket> = Vec::new();
    for bucket in buckets {
        match out.last_mut().filter(|last| last.low == bucket.low && last.high == bucket.high) {
            Some(last) => last.count += bucket.count,
            None => out.push(bucket),
        }
    }
    out
}

fn explicit_edges(bounds: &[f64], columns: &[Vec<Bucket>]) -> Vec<f64> {
    let used = columns.iter().flatten();
    let (low, high) = used.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), b| (l.min(b.low), h.max(b.high)));
    if low > high {
        return Vec::new();
    }
    // The rows that hold something, and one beyond on either side.
    let first = bounds.partition_point(|b| *b <= low).saturating_sub(1);
    let last = (bounds.partition_point(|b| *b < high) + 1).min(bounds.len());
    let mut edges: Vec<f64> = bounds.get(first..last).unwrap_or_default().to_vec();
    if edges.first().is_none_or(|edge| low < *edge) {
        edges.insert(0, low);
    }
    if edges.last().is_none_or(|edge| high > *edge) {
        edges.push(high);
    }
    edges.dedup();
    edges
}

/// Edges for series whose buckets differ: logarithmic when all is above zero, else linear.
fn shared_edges(columns: &[Vec<Bucket>]) -> Vec<f64> {
    let used = || columns.iter().flatten();
    let low = used().map(|b| b.low).fold(f64::INFINITY, f64::min);
    let high = used().map(|b| b.high).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return Vec::new();
    }
    if low == high {
        return vec![low, high + high.abs().max(1.0)];
    }
    let positive =
        used().map(|b| if b.low > 0.0 { b.low } else { b.high }).filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let step = |index: usize| index as f64 / ROWS as f64;
    if low < 0.0 || !positive.is_finite() || positive >= high {
        return (0..=ROWS).map(|i| low + (high - low) * step(i)).collect();
    }
    let mut edges: Vec<f64> = (0..=ROWS).map(|i| positive * (high / positive).powf(step(i))).collect();
    if low < positive {
        edges.insert(0, low);
    }
    edges
}

/// Lays buckets on rows, each shared out by how much of it a row covers.
pub(super) fn spread(buckets: &[Bucket], edges: &[f64]) -> Vec<f64> {
    let rows = edges.len().saturating_sub(1);
    let mut cells = vec![0.0; rows];
    if rows == 0 {
        return cells;
    }
    for bucket in buckets {
        let first = edges.partition_point(|edge| *edge <= bucket.low).saturating_sub(1).min(rows - 1);
        let last = edges.partition_point(|edge| *edge < bucket.high).saturating_sub(1).clamp(first, rows - 1);
        let width = bucket.high - bucket.low;
        let mut left = bucket.count;
        for row in first..last {
            let share =
                if width > 0.0 { (edges[row + 1].min(bucket.high) - edges[row].max(bucket.low)) / width } else { 0.0 };
            let part = (bucket.count * share).clamp(0.0, left);
            cells[row] += part;
            left -= part;
        }
        cells[last] += left;
    }
    cells
}

/// The value below which a share of the measurements lie; buckets by lower edge.
pub fn quantile(buckets: &[Bucket], share: f64) -> Option<f64> {
    let total: f64 = buckets.iter().map(|b| b.count).sum();
    if total <= 0.0 {
        return None;
    }
    let rank = share.clamp(0.0, 1.0) * total;
    let mut below = 0.0;
    for bucket in buckets {
        if below + bucket.count >= rank {
            let inside = if bucket.count > 0.0 { (rank - below) / bucket.count } else { 0.0 };
            return Some(bucket.low + (bucket.high - bucket.low) * inside);
        }
        below += bucket.count;
    }
    buckets.last().map(|bucket| bucket.high)
}

#[cfg(test)]
mod tests;
