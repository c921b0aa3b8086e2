//! What is special to blocks of series: labels of any length, long series, damage.

use super::*;
use crate::block::tests::damage::{check_cuts, check_flips};
use crate::block::{Block, BlockConfig, write};
use crate::error::Error;
use crate::fs::{Filesystem, SimulatedDisk};
use crate::metric::{Fields, Label, Matcher, Relation, SeriesSource};
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::record::{Number, put_buckets, put_counts};
use crate::model::schema::{self, column as name};
use crate::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData, Signal};
use crate::scan::{ScanRequest, TimeRange};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/b";

fn head(name: &str) -> MetricHead<'_> {
    let metadata = Map::default();
    MetricHead { name, unit: "", description: "", metadata, temporality: 2, is_monotonic: true }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    pairs.iter().for_each(|(key, value)| builder.push(key, Value::String(value)));
    builder.finish()
}

fn store(batches: &[Batch]) -> (Arc<Block>, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let meta = write(&disk, Path::new(DIR), Signal::Metrics, batches, &BlockConfig::default()).unwrap();
    (Block::open(Arc::new(disk.clone()), Path::new(DIR), Signal::Metrics, meta.crc()).unwrap(), disk)
}

fn gauges(series: &[Vec<u8>], times: impl Iterator<Item = i64> + Clone) -> Batch {
    let mut builder = PointBatchBuilder::default();
    builder.set_metric(&head("m"));
    for (number, attributes) in (0i64..).zip(series) {
        for time in times.clone() {
            let data = PointData::Gauge(Some(Number::Double((number * 1_000 + time) as f64 / 10.0)));
            let attributes = Map::new(attributes);
            builder.append(&Point { attributes, time, start_time: None, flags: 0, exemplars: &[], data }).unwrap();
        }
    }
    builder.finish().unwrap()
}

#[test]
fn labels_of_any_length_are_found_by_every_relation() {
    let long = |end: &str| "é".repeat(400) + end;
    let texts = ["".to_owned(), "short".into(), long(""), long("a"), long("b"), "\u{0}".into(), "x".repeat(512)];
    let series: Vec<Vec<u8>> = texts.iter().map(|text| attributes(&[("k", text)])).collect();
    let (block, _disk) = store(&[gauges(&series, 0..3)]);
    let patterns = [".*", ".+", "é*", "é*a", ".*b", "short|x+", "", "[^é]*", r"(?:\pL{1,30}){1,3}\b"];
    for relation in [Relation::Equal, Relation::NotEqual, Relation::Matches, Relation::MatchesNot] {
        let is_pattern = matches!(relation, Relation::Matches | Relation::MatchesNot);
        let wanted: Vec<&str> =
            if is_pattern { patterns.to_vec() } else { texts.iter().map(String::as_str).chain(["no"]).collect() };
        for text in wanted {
            for key in ["k", "absent"] {
                let label = Label::Point(key.into());
                let matcher = Matcher::new(label, relation, text).unwrap();
                let accepted = |text: &&String| matcher.accepts(if key == "k" { text } else { "" });
                let expected = texts.iter().filter(accepted).count();
                let found = block.series().unwrap().find(std::slice::from_ref(&matcher)).unwrap().len();
                assert_eq!(found, expected, "{key} {relation:?} {:.20}", text);
            }
        }
    }
    let mut names = Vec::new();
    assert!(!block.each_label_value(&Label::Point("k".into()), &mut |_| {}), "some are too long to be listed");
    assert!(block.each_label_value(&Label::Name, &mut |name| names.push(name.to_owned())));
    assert_eq!(names, ["m"]);
    assert_eq!(block.labels(), [Label::Name, Label::Type, Label::Point("k".into())]);
}

#[test]
fn any_rows_of_a_long_series_are_read_alone() {
    let mut builder = PointBatchBuilder::default();
    let mut random = Pcg64Mcg::seed_from_u64(5);
    builder.set_metric(&head("h"));
    let (mut counts, mut all) = ([0u64; 5], Vec::new());
    for time in 0..9_000i64 {
        if time % 2_500 == 2_499 {
            counts = [0; 5];
        }
        counts.iter_mut().for_each(|count| *count += random.random_range(0..50));
        let (mut cell, mut buckets) = (Vec::new(), Vec::new());
        put_counts(&mut cell, counts);
        put_buckets(&mut buckets, (time / 3_000) as i32, counts[..3].iter().copied());
        let data = PointData::ExponentialHistogram {
            count: counts.iter().sum(),
            sum: (time % 3 > 0).then_some(time as f64),
            min: None,
            max: None,
            scale: 3,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: &buckets,
            negative: if time % 7 == 0 { &cell } else { &[] },
        };
        let exemplars: &[u8] = if time % 5 == 0 { &cell } else { &[] };
        let start_time = Some(time / 2_500);
        let attributes = Map::default();
        builder.append(&Point { attributes, time, start_time, flags: 0, exemplars, data }).unwrap();
        all.push((buckets, exemplars.to_vec(), time));
    }
    let (block, _disk) = store(&[builder.finish().unwrap()]);
    let mut reader = block.series().unwrap();
    let stored = reader.find(&[]).unwrap().remove(0);
    for _ in 0..60 {
        let from = random.random_range(0..9_000usize);
        let to = random.random_range(from..=9_000);
        let time = TimeRange { start: from as i64, end: to as i64 };
        let rows = reader.rows_in(&stored, time).unwrap();
        assert_eq!(rows, from..to);
        let samples = reader.samples(&stored, rows, Fields::ALL).unwrap();
        assert_eq!(samples.len(), to - from);
        for (row, (buckets, exemplars, time)) in all[from..to].iter().enumerate() {
            assert_eq!(samples.positive(row), buckets);
            assert_eq!(samples.exemplars(row), exemplars);
            assert_eq!(samples.start_time(row), Some(time / 2_500));
            assert_eq!(samples.sum(row), (time % 3 > 0).then_some(*time as f64));
        }
    }
}

#[test]
fn regular_times_cost_next_to_nothing() {
    let series: Vec<Vec<u8>> = (0..100).map(|number: i32| attributes(&[("n", &number.to_string())])).collect();
    let second = 1_000_000_000;
    let (block, _disk) = store(&[gauges(&series, (0..1_000).map(move |step| step * 15 * second))]);
    let times = block.meta().columns.iter().find(|column| column.name == name::TIME).unwrap();
    assert!(times.compressed * 1_000 < block.meta().rows, "{times:?} for {} samples", block.meta().rows);
}

/// Opens, reads everything, verifies.
fn use_it(disk: &SimulatedDisk, crc: u32) -> (Option<Vec<arrow_array::RecordBatch>>, Vec<Error>) {
    let mut errors = Vec::new();
    let block = match Block::open(Arc::new(disk.clone()), Path::new(DIR), Signal::Metrics, crc) {
        Ok(block) => block,
        Err(error) => return (None, vec![error]),
    };
    let columns = schema::of(Signal::Metrics).fields().iter().map(|field| field.name().as_str());
    let answer: Result<Vec<_>, Error> = block.scan(&Arc::new(ScanRequest::all(columns))).and_then(Iterator::collect);
    let matcher = Matcher::new(Label::Point("n".into()), Relation::Matches, "1.*").unwrap();
    errors.extend(block.series().unwrap().find(&[matcher]).err());
    errors.extend(block.verify().err());
    match answer {
        Ok(batches) => (Some(batches), errors),
        Err(error) => {
            errors.push(error);
            (None, errors)
        }
    }
}

#[test]
fn b3_a_flipped_bit_or_a_cut_is_noticed_wherever_it_is() {
    let series: Vec<Vec<u8>> = (0..300).map(|number: i32| attributes(&[("n", &number.to_string())])).collect();
    let (block, disk) = store(&[gauges(&series, (0..40).map(|step| step * step))]);
    let (files, read) =
        ([SAMPLES, INDEX, crate::block::meta::META], |disk: &SimulatedDisk| use_it(disk, block.meta().crc()));
    check_flips(&disk, &files, 60, read);
    check_cuts(&disk, &files, read);
}

#[test]
fn verify_names_the_damaged_columns() {
    let (block, disk) = store(&[gauges(&[attributes(&[])], 0..100)]);
    disk.flip(&Path::new(DIR).join(SAMPLES), 3, 0).unwrap();
    let told = block.verify().unwrap_err().to_string();
    assert!(told.contains("bytes 0..") && told.contains("`value_double`"), "{told}");
}
