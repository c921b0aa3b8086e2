//! A head gives back what was put into it, as it stood when the reader came.

use super::*;
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::record::{Number, put_buckets, put_counts};
use crate::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};
use crate::scan::TimeRange;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// Points of one metric: series, time, value.
fn batch(points: &[(u8, i64, Option<Number>)]) -> Batch {
    let mut builder = PointBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    let metadata = Map::default();
    let (name, unit, description) = ("requests", "1", "");
    builder.set_metric(&MetricHead { name, unit, description, metadata, temporality: 2, is_monotonic: true });
    for (series, time, value) in points {
        let mut attributes = MapBuilder::default();
        attributes.push("series", Value::Int((*series).into()));
        let attributes = attributes.finish();
        let point = Point {
            attributes: Map::new(&attributes),
            time: *time,
            start_time: None,
            flags: u32::from(value.is_none()),
            exemplars: &[],
            data: PointData::Sum(*value),
        };
        builder.append(&point).unwrap();
    }
    builder.finish().unwrap()
}

fn bits(value: Option<Number>) -> Option<(bool, u64)> {
    value.map(|value| match value {
        Number::Int(value) => (false, value.cast_unsigned()),
        Number::Double(value) => (true, value.to_bits()),
    })
}

type Sample = (i64, u32, Option<(bool, u64)>);

fn contents(reader: &mut HeadReader) -> Vec<(Vec<u8>, Vec<Sample>)> {
    let mut all = Vec::new();
    reader
        .for_each(|series, samples| {
            let rows =
                (0..samples.len()).map(|row| (samples.times()[row], samples.flags(row), bits(samples.value(row))));
            all.push((series.attributes.to_vec(), rows.collect()));
            Ok(())
        })
        .unwrap();
    all
}

fn any_value() -> impl Strategy<Value = Option<Number>> {
    prop_oneof![
        4 => any::<u64>().prop_map(|bits| Some(Number::Double(f64::from_bits(bits)))),
        4 => (0u32..9999).prop_map(|value| Some(Number::Double(f64::from(value) / 100.0))),
        2 => any::<i64>().prop_map(|value| Some(Number::Int(value))),
        1 => Just(Some(Number::Double(-0.0))),
        1 => Just(None),
    ]
}

fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0i64..20, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn h2_samples_come_by_time_and_the_last_written_stays(
        points in proptest::collection::vec((0u8..4, any_time(), any_value()), 1..120),
        cut in 0usize..120,
    ) {
        let mut expected = std::collections::BTreeMap::new();
        for (series, time, value) in &points {
            let samples: &mut std::collections::BTreeMap<_, _> = expected.entry(*series).or_default();
            samples.insert(*time, (u32::from(value.is_none()), bits(*value)));
        }
        let head = Arc::new(Mutex::new(Head::default()));
        let (first, second) = points.split_at(cut.min(points.len()));
        lock(&head).insert(&batch(first)).unwrap();
        let mut early = HeadReader::new(&head);
        let before = contents(&mut early);
        lock(&head).insert(&batch(second)).unwrap();
        prop_assert_eq!(contents(&mut early), before, "h1");
        let found: Vec<Vec<Sample>> = contents(&mut HeadReader::new(&head)).into_iter().map(|(_, samples)| samples).collect();
        let expected: Vec<Vec<Sample>> = expected
            .values()
            .map(|samples| samples.iter().map(|(time, (flags, value))| (*time, *flags, *value)).collect())
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_reader_finds_series_by_labels_and_reads_parts_of_them() {
    let head = Arc::new(Mutex::new(Head::default()));
    let value = |number: i64| Some(Number::Int(number));
    let points: Vec<_> = (0..50).map(|time| ((time % 3) as u8, time, value(time))).collect();
    lock(&head).insert(&batch(&points)).unwrap();
    let mut reader = HeadReader::new(&head);
    let matcher = |relation, text: &str| Matcher::new(Label::Point("series".into()), relation, text).unwrap();
    assert_eq!(reader.find(&[matcher(Relation::Matches, "1|2")]).unwrap().len(), 2);
    assert_eq!(reader.find(&[matcher(Relation::NotEqual, "")]).unwrap().len(), 3);
    let one = reader.find(&[matcher(Relation::Equal, "1")]).unwrap().remove(0);
    assert_eq!((one.rows, one.min_time, one.max_time), (17, 1, 49));
    let rows = reader.rows_in(&one, TimeRange { start: 10, end: 20 }).unwrap();
    let samples = reader.samples(&one, rows, Fields::ALL).unwrap();
    assert_eq!(samples.times(), [10, 13, 16, 19]);
    assert_eq!(samples.value(3), value(19));
}

#[test]
fn a_growing_histogram_takes_few_bytes_in_memory() {
    let mut builder = PointBatchBuilder::default();
    let mut counts = [5u64, 1_000, 20_000, 3_000, 17, 0, 2, 1];
    for time in 0..40i64 {
        counts.iter_mut().zip(1..).for_each(|(count, more)| *count += more);
        let (mut cell, mut buckets) = (Vec::new(), Vec::new());
        put_counts(&mut cell, counts);
        put_buckets(&mut buckets, -4, counts);
        let data = match time % 40 {
            0..20 => PointData::Histogram {
                count: counts.iter().sum(),
                sum: Some(time as f64 * 1.5),
                min: None,
                max: None,
                explicit_bounds: b"87654321",
                bucket_counts: &cell,
            },
            _ => PointData::ExponentialHistogram {
                count: counts.iter().sum(),
                sum: Some(time as f64 * 1.5),
                min: None,
                max: None,
                scale: 3,
                zero_count: 0,
                zero_threshold: 0.0,
                positive: &buckets,
                negative: &[],
            },
        };
        let attributes = Map::default();
        builder.append(&Point { attributes, time, start_time: Some(0), flags: 0, exemplars: &[], data }).unwrap();
    }
    let mut head = Head::default();
    let empty = head.memory_bytes();
    head.insert(&builder.finish().unwrap()).unwrap();
    let taken = head.memory_bytes() - empty;
    assert!(taken < 4_000, "two series of 20 histograms take {taken} bytes");
}

/// Two metrics with a point of each series: metric, then values of two labels, of which the second may be a number.
fn labelled(series: &[(bool, &str, Option<u8>)]) -> Batch {
    let mut builder = PointBatchBuilder::default();
    for (is_other, value, number) in series {
        let metadata = Map::default();
        let name = if *is_other { "errors" } else { "requests" };
        builder.set_metric(&MetricHead {
            name,
            unit: "",
            description: "",
            metadata,
            temporality: 2,
            is_monotonic: true,
        });
        let mut attributes = MapBuilder::default();
        attributes.push("a", Value::String(value));
        match number {
            Some(number @ 0..4) => attributes.push("b", Value::Int((*number).into())),
            Some(number) => attributes.push("b", Value::String(&(number % 4).to_string())),
            None => {}
        }
        let attributes = attributes.finish();
        let data = PointData::Sum(Some(Number::Int(1)));
        let attributes = Map::new(&attributes);
        builder.append(&Point { attributes, time: 1, start_time: None, flags: 0, exemplars: &[], data }).unwrap();
    }
    builder.finish().unwrap()
}

proptest! {
    #[test]
    fn p2_what_is_found_is_what_matches(
        series in proptest::collection::vec(
            (any::<bool>(), prop_oneof![Just("x"), Just("y"), Just("z"), Just("")], proptest::option::of(0u8..8)),
            1..40,
        ),
        matchers in proptest::collection::vec(
            (
                prop_oneof![Just("a"), Just("b"), Just("c"), Just("__name__")],
                prop_oneof![
                    Just(Relation::Equal),
                    Just(Relation::NotEqual),
                    Just(Relation::Matches),
                    Just(Relation::MatchesNot)
                ],
                prop_oneof![Just("x"), Just("x|y"), Just("1"), Just(""), Just(".+"), Just(".*"), Just("requests")],
            ),
            0..4,
        ),
    ) {
        let head = Arc::new(Mutex::new(Head::default()));
        let (first, second) = series.split_at(series.len() / 2);
        lock(&head).insert(&labelled(first)).unwrap();
        lock(&head).insert(&labelled(second)).unwrap();
        let matcher = |(label, relation, value): &(&str, Relation, &str)| {
            let label = if *label == "__name__" { Label::Name } else { Label::Point((*label).into()) };
            Matcher::new(label, *relation, value).unwrap()
        };
        let matchers: Vec<Matcher> = matchers.iter().map(matcher).collect();
        let mut whole = HeadReader::new(&head);
        let all: Vec<Stored> = (0..whole.groups()).flat_map(|group| whole.group(group).unwrap()).collect();
        let matches = |stored: &&Stored| matchers.iter().all(|matcher| matcher.matches(&stored.series));
        let expected: Vec<&Series> = all.iter().filter(matches).map(|stored| &stored.series).collect();
        for mut reader in [HeadReader::new(&head), HeadReader::finding(&head)] {
            let found = reader.find(&matchers).unwrap();
            let mut samples = |stored: &Stored| reader.samples(stored, 0..1, Fields::ALL).unwrap().len();
            prop_assert!(found.iter().map(&mut samples).all(|count| count == 1));
            let mut found: Vec<&Series> = found.iter().map(|stored| &stored.series).collect();
            found.sort();
            prop_assert_eq!(&found, &expected);
        }
        for label in ["a", "b", "c"].map(|key| Label::Point(key.into())) {
            let mut values = Vec::new();
            whole.each_label_value(&label, &mut |value| values.push(value.to_owned()));
            values.sort();
            values.dedup();
            values.retain(|value| !value.is_empty());
            let mut expected: Vec<String> = all.iter().map(|stored| label.value(&stored.series).into_owned()).collect();
            expected.sort();
            expected.dedup();
            expected.retain(|value| !value.is_empty());
            prop_assert_eq!(values, expected);
        }
    }
}
