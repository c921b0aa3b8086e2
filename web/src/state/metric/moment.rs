//! How were measurements spread at one moment, beside another, or beside all the rest of the range?
//!
//! MO1  Shares of a side add up to one, or the side is empty; so sides of any size can be compared.

use super::heat::{Bucket, Heat, merged, quantile, spread};

/// Measurements of a moment, or of several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Side {
    /// Share of the measurements by row of the heat map.
    pub shares: Vec<f64>,
    /// How many measurements.
    pub total: f64,
    buckets: Vec<Bucket>,
}

/// Shares below which a quantile is told.
pub const QUANTILES: [(f64, &str); 5] = [(0.5, "p50"), (0.75, "p75"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99")];

impl Side {
    /// Of some columns of a heat map.
    pub fn of(heat: &Heat, columns: impl Iterator<Item = usize>) -> Side {
        let buckets = merged(columns.filter_map(|column| heat.columns.get(column)).flatten().copied().collect());
        let total: f64 = buckets.iter().map(|bucket| bucket.count).sum();
        let cells = spread(&buckets, &heat.edges);
        let shares = cells.into_iter().map(|cell| if total > 0.0 { cell / total } else { 0.0 }).collect();
        Side { shares, total, buckets }
    }

    /// The value below which a share of the measurements lie.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        quantile(&self.buckets, share)
    }
}

/// The column that holds a moment; else the nearest that has measurements.
pub fn column(heat: &Heat, time: i64) -> Option<usize> {
    let filled = (0..heat.grid.count).filter(|column| heat.total(*column) > 0.0);
    filled.min_by_key(|column| heat.grid.time(*column).abs_diff(time))
}

/// The next column with measurements in a direction.
pub fn next(heat: &Heat, from: usize, later: bool) -> Option<usize> {
    let filled = |column: &usize| heat.total(*column) > 0.0;
    if later { (from + 1..heat.grid.count).find(filled) } else { (0..from).rev().find(filled) }
}

#[cfg(test)]
mod tests {
    use super::super::grid::Grid;
    use super::*;

    fn heat() -> Heat {
        let bucket = |low, high, count| Bucket { low, high, count };
        let columns = vec![vec![bucket(0.0, 1.0, 3.0), bucket(1.0, 2.0, 1.0)], vec![], vec![bucket(1.0, 2.0, 8.0)]];
        Heat::of_columns(Grid { start: 0, step: 10, count: 3 }, columns)
    }

    #[test]
    fn mo1_shares_add_up_to_one() {
        let heat = heat();
        for side in [Side::of(&heat, [0].into_iter()), Side::of(&heat, 0..3)] {
            assert!((side.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        assert_eq!(Side::of(&heat, 0..3).total, 12.0);
        assert_eq!(Side::of(&heat, 0..3).quantile(0.25), Some(1.0));
        assert_eq!(Side::of(&heat, [1].into_iter()).total, 0.0);
    }

    #[test]
    fn a_moment_is_where_something_was_measured() {
        let heat = heat();
        assert_eq!(column(&heat, 3), Some(0));
        assert_eq!(column(&heat, 18), Some(2));
        assert_eq!((next(&heat, 0, true), next(&heat, 2, false), next(&heat, 2, true)), (Some(2), Some(0), None));
    }
}
