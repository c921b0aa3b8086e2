//! What is left of a window tells of all of it.

use super::*;
use crate::model::record::{put_buckets, put_counts};
use proptest::prelude::*;
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;

fn series(r#type: i32, temporality: i32, is_monotonic: bool) -> Series {
    let cell = |bytes: &[u8]| Arc::<[u8]>::from(bytes);
    Series {
        name: "a".into(),
        r#type,
        service_name: "".into(),
        resource: cell(&[]),
        scope: cell(&[]),
        unit: "".into(),
        description: "".into(),
        metadata: cell(&[]),
        temporality,
        is_monotonic,
        attributes: cell(&[]),
    }
}

fn counter() -> Series {
    series(SUM, 2, true)
}

fn gauge() -> Series {
    series(GAUGE, 0, false)
}

/// Doubles by time in seconds; what is no value is a marker.
fn doubles(points: &[(i64, Option<f64>)]) -> Samples {
    let mut samples = Samples::default();
    for (row, (time, value)) in points.iter().enumerate() {
        samples.times.push(time * SECOND);
        samples.numbers[field::FLAGS].set(row, u64::from(value.is_none()));
        value.iter().for_each(|value| samples.numbers[field::VALUE_DOUBLE].set(row, value.to_bits()));
    }
    samples
}

fn minute() -> Resolution {
    Resolution::of_seconds(60).unwrap()
}

/// Time in seconds, value, and what it stands for: count, sum, least, greatest.
type Row = (i64, Option<f64>, Option<u64>, Option<f64>, Option<(f64, f64)>);

fn rows(samples: &Samples) -> Vec<Row> {
    let row = |row| {
        let range = samples.min(row).zip(samples.max(row));
        (samples.times[row] / SECOND, number(samples, row), samples.count(row), samples.sum(row), range)
    };
    (0..samples.len()).map(row).collect()
}

#[test]
fn d2_d3_of_a_window_the_ends_stay_and_the_last_says_what_there_was() {
    let points: Vec<(i64, Option<f64>)> = (1..=8).map(|n| (n * 10, Some((n * n) as f64))).collect();
    let thin = thinned(&gauge(), doubles(&points), minute());
    let first = (10, Some(1.0), Some(0), None, None);
    // 60 s is the end of a window, not the start of the next.
    let expected = [
        first,
        (60, Some(36.0), Some(6), Some(91.0), None),
        (70, Some(49.0), None, None, None),
        (80, Some(64.0), None, None, None),
    ];
    assert_eq!(rows(&thin), expected);
    assert_eq!(rows(&thinned(&gauge(), doubles(&points[..1]), minute())), [(10, Some(1.0), None, None, None)]);
    assert!(thinned(&gauge(), Samples::default(), minute()).is_empty());
}

#[test]
fn d2_both_sides_of_a_fall_of_a_counter_stay_and_of_a_gauge_its_extremes() {
    let points = [(1, 5.0), (2, 6.0), (3, 7.0), (4, 1.0), (5, 2.0), (6, 3.0)].map(|(time, value)| (time, Some(value)));
    let thin = thinned(&counter(), doubles(&points), minute());
    assert_eq!(rows(&thin).iter().map(|row| row.0).collect::<Vec<_>>(), [1, 3, 4, 6]);
    assert_eq!(rows(&thin)[3], (6, Some(3.0), Some(6), Some(24.0), None));
    let thin = thinned(&gauge(), doubles(&points), minute());
    assert_eq!(rows(&thin).iter().map(|row| row.0).collect::<Vec<_>>(), [1, 6]);
    assert_eq!(rows(&thin)[1], (6, Some(3.0), Some(6), Some(24.0), Some((1.0, 7.0))));
}

#[test]
fn d2_a_marker_behind_the_last_sample_stays_and_others_do_not() {
    let thin =
        thinned(&counter(), doubles(&[(1, Some(1.0)), (2, None), (3, Some(2.0)), (4, Some(3.0)), (5, None)]), minute());
    let times: Vec<(i64, Option<u64>)> = rows(&thin).iter().map(|row| (row.0, row.2)).collect();
    assert_eq!(times, [(1, Some(0)), (4, Some(3)), (5, None)]);
    let alone = thinned(&counter(), doubles(&[(1, None), (2, None)]), minute());
    assert_eq!(rows(&alone).iter().map(|row| row.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn d4_of_what_came_since_the_sample_before_the_sum_is_told_where_it_says_since_when() {
    let points: Vec<(i64, Option<f64>)> = (1..=8).map(|n| (n, Some(f64::from(n as i32 % 5)))).collect();
    let delta = series(SUM, DELTA, true);
    assert_eq!(thinned(&delta, doubles(&points), minute()), doubles(&points));
    assert_eq!(thinned(&counter(), doubles(&points), Resolution::RAW), doubles(&points));
    let mut told = doubles(&points);
    (0..8).for_each(|row| told.numbers[field::START_TIME].set(row, row as u64 * SECOND as u64));
    let thin = thinned(&delta, told.clone(), minute());
    let expected = [(1, Some(1.0), Some(0), None, None), (8, Some(3.0), Some(8), Some(16.0), Some((0.0, 4.0)))];
    assert_eq!(rows(&thin), expected);
    assert_eq!(thin.start_time(1), Some(7 * SECOND), "it says its own interval, not the window's");
    let histograms = histogram(&[(0, [1, 1, 0]), (0, [2, 2, 0]), (0, [3, 2, 0])]);
    assert_eq!(thinned(&series(3, DELTA, false), histograms.clone(), minute()), histograms);
}

#[test]
fn d5_exemplars_from_the_least_to_the_greatest_stay_with_the_last_sample() {
    let mut samples = doubles(&(1..=30).map(|n| (n, Some(n as f64))).collect::<Vec<_>>());
    for row in 0..30u32 {
        let mut cell = Vec::new();
        let value = Some(Number::Double(f64::from((row * 7) % 30)));
        let (trace_id, span_id, filtered_attributes) = (&[1; 16][..], &[][..], Map::default());
        Exemplar { time_unix_nano: row.into(), value, trace_id, span_id, filtered_attributes }.put(&mut cell);
        samples.cells[field::EXEMPLARS].set(row as usize, &cell);
    }
    let thin = thinned(&counter(), samples, minute());
    assert!(Exemplar::list(thin.exemplars(0)).next().is_none());
    let values: Vec<f64> = Exemplar::list(thin.exemplars(thin.len() - 1))
        .filter_map(|exemplar| match exemplar.value {
            Some(Number::Double(value)) => Some(value),
            _ => None,
        })
        .collect();
    assert_eq!((values.len(), values[0], values[MOST_EXEMPLARS - 1]), (MOST_EXEMPLARS, 0.0, 29.0));
}

fn histogram(counts: &[(i32, [u64; 3])]) -> Samples {
    let mut samples = Samples::default();
    for (row, (offset, list)) in counts.iter().enumerate() {
        samples.times.push((row as i64 + 1) * SECOND);
        samples.numbers[field::COUNT].set(row, list.iter().sum());
        let (mut buckets, mut explicit) = (Vec::new(), Vec::new());
        put_buckets(&mut buckets, *offset, *list);
        put_counts(&mut explicit, *list);
        samples.cells[field::POSITIVE].set(row, &buckets);
        samples.cells[field::BUCKET_COUNTS].set(row, &explicit);
    }
    samples
}

#[test]
fn d2_a_bucket_that_fell_is_a_fall_though_the_count_rose() {
    let thin = thinned(
        &series(4, 2, false),
        histogram(&[(0, [1, 1, 0]), (0, [2, 2, 0]), (0, [9, 1, 0]), (0, [9, 2, 0])]),
        minute(),
    );
    assert_eq!(thin.times.len(), 4);
    let thin = thinned(
        &series(3, 2, false),
        histogram(&[(0, [1, 1, 0]), (0, [2, 2, 0]), (0, [3, 2, 0]), (0, [9, 2, 1])]),
        minute(),
    );
    assert_eq!(thin.times, [SECOND, 4 * SECOND]);
    assert_eq!((thin.value(0), thin.value(1)), (Some(Number::Int(0)), Some(Number::Int(4))));
    // Buckets may come before those that were there.
    assert!(buckets_rose(&[0, 0, 0, 0, 3], &[255, 255, 255, 255, 1, 3], |a, b| a <= b));
    assert!(!buckets_rose(&[0, 0, 0, 0, 3], &[255, 255, 255, 255, 3, 2], |a, b| a <= b));
}

/// What a counter rose by, as who asks for rates counts it.
fn risen(values: &[f64]) -> f64 {
    values.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
}

proptest! {
    #[test]
    fn d1_d2_d3_counters_and_gauges(
        steps in proptest::collection::vec((1i64..40, prop_oneof![4 => 0.0f64..9.0, 1 => -20.0f64..0.0, 1 => Just(-1e6)]), 1..80),
        monotonic: bool,
    ) {
        let (mut time, mut value) = (0, 0.0f64);
        let points: Vec<(i64, Option<f64>)> = steps.iter().map(|(step, change)| {
            (time, value) = (time + step, (value + change).max(0.0));
            (time, Some(value))
        }).collect();
        let samples = doubles(&points);
        let thin = thinned(&if monotonic { counter() } else { gauge() }, samples.clone(), minute());
        prop_assert!(thin.times.is_sorted_by(|a, b| a < b));
        let all: Vec<Row> = rows(&samples);
        let kept = rows(&thin);
        prop_assert!(kept.iter().all(|row| all.iter().any(|other| (other.0, other.1) == (row.0, row.1))));
        // Each range that ends where windows do has the same extremes, ends, sums and counts.
        let last = minute().window(*samples.times.last().unwrap());
        for (from, to) in (0..=last).flat_map(|from| (from..=last).map(move |to| (from, to))) {
            let within = |row: &&Row| (from..=to).contains(&minute().window(row.0 * SECOND));
            let raw: Vec<f64> = all.iter().filter(within).filter_map(|row| row.1).collect();
            let left: Vec<&Row> = kept.iter().filter(within).collect();
            let values: Vec<f64> = left.iter().filter_map(|row| row.1).collect();
            prop_assert_eq!((raw.first(), raw.last()), (values.first(), values.last()));
            let count: u64 = left.iter().map(|row| row.2.unwrap_or(1)).sum();
            prop_assert_eq!(count, raw.len() as u64);
            let sum: f64 = left.iter().map(|row| row.3.unwrap_or(if row.2 == Some(0) { 0.0 } else { row.1.unwrap() })).sum();
            prop_assert!((sum - raw.iter().sum::<f64>()).abs() < 1e-6);
            let told = left.iter().filter_map(|row| row.4).flat_map(|(min, max)| [min, max]);
            let told: Vec<f64> = values.iter().copied().chain(told).collect();
            prop_assert_eq!(raw.iter().copied().reduce(f64::min), told.iter().copied().reduce(f64::min));
            prop_assert_eq!(raw.iter().copied().reduce(f64::max), told.iter().copied().reduce(f64::max));
            if monotonic {
                prop_assert!((risen(&values) - risen(&raw)).abs() < 1e-6, "{values:?} {raw:?}");
            }
        }
    }
}
