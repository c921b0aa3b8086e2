//! Does of two samples of one series and time the last written count, whatever its sender says of the metric each time?

use super::Store;
use crate::fixture::{Fixture, NOW, SECOND, block_on, text_map};
use crate::promql::{Answer, Frame, Settings, evaluate};
use crate::series::Value;
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Number, put_buckets};
use storage::model::verbatim::{Role, TYPE_KEY};
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};

/// What a sender says of the metric.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    r#type: &'static str,
    help: &'static str,
    unit: &'static str,
    is_histogram: bool,
}

const GAUGE: Said = Said { r#type: "gauge", help: "", unit: "", is_histogram: false };

const ALL: [Said; 5] = [
    GAUGE,
    Said { r#type: "counter", ..GAUGE },
    Said { help: "Something.", ..GAUGE },
    Said { unit: "seconds", ..GAUGE },
    Said { r#type: "histogram", is_histogram: true, ..GAUGE },
];

/// Seconds before now, and the value, which is a histogram's count.
type Samples<'s> = &'s [(i64, u64)];

fn put(builder: &mut PointBatchBuilder, said: Said, samples: Samples<'_>) {
    let (resource, attributes) = (text_map(&[("service.name", "j")]), text_map(&[("job", "j"), ("x", "1")]));
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope { name: Role::Samples.scope(), ..Scope::default() });
    let metadata = text_map(&[(TYPE_KEY, said.r#type)]);
    let is_counter = said.r#type == "counter";
    builder.set_metric(&MetricHead {
        name: "a",
        unit: said.unit,
        description: said.help,
        metadata: Map::new(&metadata),
        temporality: if is_counter || said.is_histogram { 2 } else { 0 },
        is_monotonic: is_counter,
    });
    for (age, value) in samples {
        let number = Some(Number::Double(*value as f64));
        let mut positive = Vec::new();
        put_buckets(&mut positive, 0, [*value]);
        let histogram = PointData::ExponentialHistogram {
            count: *value,
            sum: Some(1.0),
            min: None,
            max: None,
            scale: 0,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: &positive,
            negative: &[],
        };
        let data = match said {
            _ if said.is_histogram => histogram,
            _ if is_counter => PointData::Sum(number),
            _ => PointData::Gauge(number),
        };
        let (attributes, time) = (Map::new(&attributes), NOW - age * SECOND);
        builder.append(&Point { attributes, time, start_time: None, flags: 0, exemplars: &[], data }).unwrap();
    }
}

fn batch(parts: &[(Said, Samples<'_>)]) -> Batch {
    let mut builder = PointBatchBuilder::default();
    parts.iter().for_each(|(said, samples)| put(&mut builder, *said, samples));
    builder.finish().unwrap()
}

/// Age and value of each sample, histograms as their count.
fn samples(fixture: &Fixture) -> Vec<(i64, f64)> {
    let found = fixture.run(|control| {
        let now = NOW / 1_000_000;
        let frame = Frame { start: now, end: now, step: 0 };
        let outcome = evaluate(&Store::new(control), Settings::default(), "a[10m]", frame);
        let Answer::Range(series) = outcome.answer.unwrap() else { panic!("a range") };
        assert_eq!(series.len(), 1, "{series:?}");
        let value = |value: &Value| value.float().unwrap_or_else(|| value.histogram().unwrap().count);
        let told = series[0].samples.iter().map(|sample| ((now - sample.time) / 1_000, value(&sample.value)));
        Ok(told.collect())
    });
    block_on(found).unwrap()
}

fn pairs() -> impl Iterator<Item = (Said, Said)> {
    ALL.into_iter().flat_map(|one| ALL.into_iter().map(move |other| (one, other)))
}

/// First all three, then the one in the middle again, and then the last as it was said at first.
fn parts(one: Said, other: Said) -> [(Said, Samples<'static>); 3] {
    [(one, &[(30, 1), (20, 1), (10, 1)]), (other, &[(20, 2), (10, 2)]), (one, &[(10, 3)])]
}

const EXPECTED: [(i64, f64); 3] = [(30, 1.0), (20, 2.0), (10, 3.0)];

#[test]
fn in_memory_the_last_written_counts() {
    for (one, other) in pairs() {
        let fixture = Fixture::new();
        block_on(fixture.put(batch(&parts(one, other))));
        assert_eq!(samples(&fixture), EXPECTED, "{one:?} {other:?} in one request");
        let fixture = Fixture::new();
        parts(one, other).iter().for_each(|part| block_on(fixture.put(batch(&[*part]))));
        assert_eq!(samples(&fixture), EXPECTED, "{one:?} {other:?}");
        block_on(fixture.flush());
        assert_eq!(samples(&fixture), EXPECTED, "{one:?} {other:?} in one block");
    }
}

#[test]
fn between_blocks_and_memory_the_last_written_counts() {
    for (one, other) in pairs() {
        let fixture = Fixture::new();
        for (place, part) in parts(one, other).iter().enumerate() {
            block_on(fixture.put(batch(&[*part])));
            if place < 2 {
                block_on(fixture.flush());
            }
        }
        assert_eq!(samples(&fixture), EXPECTED, "{one:?} {other:?}");
        block_on(fixture.flush());
        assert_eq!(samples(&fixture), EXPECTED, "{one:?} {other:?} in blocks");
    }
}

#[test]
fn behind_merges_the_last_written_counts() {
    for (one, other) in pairs() {
        let fixture = Fixture::merged(parts(one, other).iter().map(|part| batch(&[*part])).collect());
        assert_eq!(samples(&fixture), EXPECTED, "{one:?} {other:?}");
        // What comes after a merge is written later than all that was merged.
        block_on(fixture.put(batch(&[(other, &[(30, 4)])])));
        assert_eq!(samples(&fixture), [(30, 4.0), (20, 2.0), (10, 3.0)], "{one:?} {other:?}");
    }
}

#[test]
fn other_labels_or_times_are_no_rivals() {
    let fixture = Fixture::new();
    block_on(fixture.put(batch(&[(ALL[0], &[(30, 1), (10, 1)]), (ALL[2], &[(20, 2)])])));
    assert_eq!(samples(&fixture), [(30, 1.0), (20, 2.0), (10, 1.0)]);
    block_on(fixture.flush());
    assert_eq!(samples(&fixture), [(30, 1.0), (20, 2.0), (10, 1.0)]);
}
