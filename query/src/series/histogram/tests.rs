use super::*;

fn exponential(schema: i32, buckets: &[(i32, f64)]) -> Histogram {
    let positive: Vec<Bucket> = buckets.iter().map(|&(index, count)| Bucket { index, count }).collect();
    let count = positive.iter().map(|bucket| bucket.count).sum();
    Histogram { schema, count, positive, ..Histogram::default() }
}

fn custom(bounds: &[f64], buckets: &[(i32, f64)]) -> Histogram {
    Histogram { schema: CUSTOM_SCHEMA, bounds: bounds.into(), ..exponential(0, buckets) }
}

#[test]
fn h3_the_coarser_schema_wins() {
    let mut sum = exponential(1, &[(1, 1.0), (2, 2.0), (3, 4.0)]);
    sum.add(&exponential(0, &[(1, 8.0)])).unwrap();
    assert_eq!(sum, Histogram { count: 15.0, ..exponential(0, &[(1, 11.0), (2, 4.0)]) });
}

#[test]
fn h3_only_shared_bounds_stay() {
    let mut sum = custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)]);
    let added = sum.add(&custom(&[2.0, 3.0], &[(0, 16.0), (1, 32.0)])).unwrap();
    assert!(added.bounds_reconciled);
    assert_eq!(sum, Histogram { count: 63.0, ..custom(&[2.0], &[(0, 19.0), (1, 44.0)]) });
    assert_eq!(sum.add(&exponential(0, &[])), Err(Incompatible));
}

#[test]
fn h3_a_zero_bucket_takes_what_it_covers() {
    let mut sum = exponential(0, &[(0, 1.0), (1, 2.0), (2, 4.0)]);
    let wide = Histogram { zero_threshold: 1.5, zero_count: 10.0, count: 10.0, ..Histogram::default() };
    sum.add(&wide).unwrap();
    assert_eq!((sum.zero_threshold, sum.zero_count), (2.0, 13.0));
    assert_eq!(sum.positive, [Bucket { index: 2, count: 4.0 }]);
}

#[test]
fn bounds_are_powers_of_two_and_end_with_the_largest_number() {
    assert_eq!(bucket_bound(0, 3), 1.0);
    assert_eq!(bucket_bound(8, 3), 2.0);
    assert_eq!(bucket_bound(-2, 1), 0.5);
    assert_eq!(bucket_bound(1, 1), std::f64::consts::SQRT_2.next_down());
    let quarters = [0.5, 0.5946035575013605, 0.7071067811865475, 0.8408964152537144, 1.0];
    assert_eq!([-4, -3, -2, -1, 0].map(|index| bucket_bound(index, 2)), quarters, "to the last bit as in Prometheus");
    assert_eq!([-2, 0, 2].map(|index| bucket_bound(index, 1)), [0.5, 1.0, 2.0]);
    let all = (-255..=0).fold(0u64, |sum, index| sum.wrapping_mul(31).wrapping_add(bucket_bound(index, 8).to_bits()));
    assert_eq!(all, 17_433_832_019_338_720_641, "all of the finest schema");
    assert_eq!(bucket_bound(1024, 0), f64::MAX);
    assert_eq!(bucket_bound(1025, 0), f64::INFINITY);
    assert_eq!(bucket_bound(64, -4), f64::MAX);
    assert_eq!(bucket_bound(i32::MIN, 8), 0.0);
}

#[test]
fn a_bucket_that_fell_or_went_is_a_reset() {
    let before = exponential(1, &[(1, 1.0), (5, 2.0)]);
    let check = |schema, buckets: &[(i32, f64)], expected| {
        let now = Histogram { count: 100.0, ..exponential(schema, buckets) };
        assert_eq!(now.is_reset_after(&before), expected, "{now}");
    };
    check(1, &[(1, 1.0), (5, 2.0)], false);
    check(1, &[(1, 0.5), (5, 2.0)], true);
    check(1, &[(1, 1.0), (4, 2.0)], true);
    check(0, &[(1, 1.0), (3, 2.0)], false);
    check(2, &[(2, 1.0), (10, 2.0)], true);
}
