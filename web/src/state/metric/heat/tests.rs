use super::*;
use proptest::prelude::*;
use query_api::metric::MetricType;

const S: i64 = 1_000_000_000;
const RANGE: Range = Range { start: 0, end: 120 * S };

fn explicit_point(time: i64, counts: &[u64]) -> Point {
    let histogram = Histogram {
        count: counts.iter().sum(),
        bounds: vec![1.0, 2.0, 4.0],
        bucket_counts: counts.to_vec(),
        ..Histogram::default()
    };
    Point { time_unix_nano: time * S, value: PointValue::Histogram(histogram), ..Point::default() }
}

fn exponential_point(time: i64, scale: i32, offset: i32, counts: &[u64]) -> Point {
    let histogram = ExponentialHistogram {
        scale,
        positive_offset: offset,
        positive_counts: counts.to_vec(),
        ..ExponentialHistogram::default()
    };
    Point { time_unix_nano: time * S, value: PointValue::ExponentialHistogram(histogram), ..Point::default() }
}

fn series(temporality: Temporality, points: Vec<Point>) -> Series {
    Series { r#type: MetricType::Histogram, temporality, points, ..Series::default() }
}

fn heat(temporality: Temporality, points: Vec<Point>) -> Heat {
    Heat::new(&[series(temporality, points)], RANGE)
}

#[test]
fn cumulative_points_are_differenced() {
    let heat =
        heat(Temporality::Cumulative, vec![explicit_point(10, &[1, 1, 0, 0]), explicit_point(20, &[1, 5, 2, 0])]);
    assert_eq!(heat.total(10), 0.0);
    assert_eq!(
        heat.columns[20],
        [Bucket { low: 1.0, high: 2.0, count: 4.0 }, Bucket { low: 2.0, high: 4.0, count: 2.0 }]
    );
}

#[test]
fn a_reset_counts_from_zero() {
    let heat =
        heat(Temporality::Cumulative, vec![explicit_point(10, &[9, 9, 9, 9]), explicit_point(20, &[0, 3, 0, 0])]);
    assert_eq!(heat.total(20), 3.0);
}

#[test]
fn deltas_are_taken_whole_and_rows_follow_the_bounds() {
    let heat = heat(Temporality::Delta, vec![explicit_point(10, &[1, 2, 3, 0])]);
    assert_eq!(heat.edges, [0.0, 1.0, 2.0, 4.0]);
    assert_eq!(heat.cells[10], [1.0, 2.0, 3.0]);
    assert_eq!(heat.fullest(), 3.0);
}

#[test]
fn exponential_points_of_two_scales_are_differenced_at_the_coarser() {
    // Scale 1 has two buckets per doubling: 1-1.41, 1.41-2, 2-2.83, 2.83-4.
    let before = exponential_point(10, 1, 0, &[1, 1, 1, 1]);
    let after = exponential_point(20, 0, 0, &[5, 2]);
    let heat = heat(Temporality::Cumulative, vec![before, after]);
    assert_eq!(heat.columns[20], [Bucket { low: 1.0, high: 2.0, count: 3.0 }]);
}

#[test]
fn a_quantile_is_interpolated_in_its_bucket() {
    let buckets = [Bucket { low: 0.0, high: 10.0, count: 50.0 }, Bucket { low: 10.0, high: 20.0, count: 50.0 }];
    assert_eq!(quantile(&buckets, 0.5), Some(10.0));
    assert_eq!(quantile(&buckets, 0.75), Some(15.0));
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn no_points_make_an_empty_map() {
    let heat = Heat::new(&[], RANGE);
    assert!(heat.edges.is_empty() && heat.fullest() == 0.0 && heat.quantile(0, 0.5).is_none());
}

proptest! {
    #[test]
    fn cells_add_up_to_the_measurements(
        explicit in proptest::collection::vec(proptest::collection::vec(0u64..50, 4), 0..5),
        exponential in proptest::collection::vec((-3i32..8, -40i32..40, proptest::collection::vec(0u64..50, 0..20)), 0..5),
    ) {
        let mut points: Vec<Point> = explicit.iter().enumerate().map(|(i, c)| explicit_point(i as i64 + 1, c)).collect();
        points.extend(exponential.iter().enumerate().map(|(i, (s, o, c))| exponential_point(i as i64 + 40, *s, *o, c)));
        let heat = heat(Temporality::Delta, points);
        for (column, cells) in heat.cells.iter().enumerate() {
            let sum: f64 = cells.iter().sum();
            prop_assert!((sum - heat.total(column)).abs() < 1e-6 * sum.max(1.0), "{sum} {}", heat.total(column));
        }
        prop_assert!(heat.edges.windows(2).all(|w| w[0] < w[1]), "{:?}", heat.edges);
    }

    #[test]
    fn quantiles_rise_and_stay_within_the_buckets(counts in proptest::collection::vec(1u64..50, 4), a in 0.0f64..1.0, b in 0.0f64..1.0) {
        let buckets = whole(&explicit_point(1, &counts).value);
        let (low, high) = (quantile(&buckets, a.min(b)).unwrap(), quantile(&buckets, a.max(b)).unwrap());
        prop_assert!(low <= high && (0.0..=4.0).contains(&low) && (0.0..=4.0).contains(&high));
    }

    #[test]
    fn any_exponential_point_can_be_drawn(scale in proptest::num::i32::ANY, offset in proptest::num::i32::ANY, counts in proptest::collection::vec(proptest::num::u64::ANY, 0..6)) {
        let points = vec![exponential_point(1, scale, offset, &counts), exponential_point(2, scale.wrapping_add(1), offset, &counts)];
        heat(Temporality::Cumulative, points);
    }
}

/// Points every three columns, with a pause.
#[test]
fn what_a_point_counts_is_drawn_from_the_point_before_on() {
    let bucket = Bucket { low: 0.0, high: 1.0, count: 5.0 };
    let mut columns = vec![Vec::new(); 16];
    [2, 5, 8, 15].into_iter().for_each(|column: usize| columns[column].push(bucket));
    let heat = Heat::of_columns(Grid { start: 0, step: 10, count: 16 }, columns);
    let drawn: Vec<Option<usize>> = (0..16).map(|column| heat.drawn_at(column)).collect();
    let [a, b, c, d] = [Some(2), Some(5), Some(8), Some(15)];
    assert_eq!(drawn, [a, a, a, b, b, b, c, c, c, None, None, None, None, d, d, d]);
}
