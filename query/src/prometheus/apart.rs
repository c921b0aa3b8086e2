//! Do counters of two stored series stay two, and is it told where they do not?

use super::Store;
use crate::fixture::{Fixture, NOW, SECOND, block_on, text_map};
use crate::promql::{Answer, Frame, Level, Settings, evaluate};
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::record::Number;
use storage::model::verbatim::Role;
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};

type Texts<'t> = &'t [(&'t str, &'t str)];

/// Who counts.
#[derive(Debug, Clone, Copy)]
struct Source<'s> {
    resource: Texts<'s>,
    scope: &'s str,
    attributes: Texts<'s>,
    help: &'s str,
}

const OF_RESOURCE: Source<'_> = Source { resource: &[], scope: "lib", attributes: &[], help: "" };

/// Two a second, every 15 s of some minutes; each at moments of its own, and from a value of its own.
fn counter(source: Source<'_>, place: i64, minutes: std::ops::Range<i64>) -> Batch {
    let (resource, attributes) = (text_map(source.resource), text_map(source.attributes));
    let mut builder = PointBatchBuilder::default();
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope { name: source.scope, ..Scope::default() });
    builder.set_metric(&MetricHead {
        name: "a_total",
        unit: "",
        description: source.help,
        metadata: Map::new(&[]),
        temporality: 2,
        is_monotonic: true,
    });
    for seconds in (minutes.start * 60..minutes.end * 60).step_by(15) {
        let value = Number::Double((5000 * place + 2 * seconds) as f64);
        builder
            .append(&Point {
                attributes: Map::new(&attributes),
                time: NOW + (seconds - 600 + 7 * place) * SECOND,
                start_time: None,
                flags: 0,
                exemplars: &[],
                data: PointData::Sum(Some(value)),
            })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// What is counted a second by each series, and the warnings.
fn rates(batches: Vec<Batch>) -> (Vec<f64>, Vec<String>) {
    values(batches, "rate(a_total[8m])")
}

fn values(batches: Vec<Batch>, expression: &'static str) -> (Vec<f64>, Vec<String>) {
    let fixture = Fixture::new();
    batches.into_iter().for_each(|batch| block_on(fixture.put(batch)));
    let found = fixture.run(|control| {
        let now = NOW / 1_000_000;
        let frame = Frame { start: now, end: now, step: 0 };
        let outcome = evaluate(&Store::new(control), Settings::default(), expression, frame);
        let Answer::Instant(rows) = outcome.answer.unwrap() else { panic!("a vector") };
        let rates = rows.iter().map(|row| row.cells[0].as_ref().unwrap().float().unwrap().round()).collect();
        Ok((rates, outcome.notes.texts(Level::Warning, expression)))
    });
    block_on(found).unwrap()
}

fn both(one: Source<'_>, other: Source<'_>) -> (Vec<f64>, Vec<String>) {
    rates(vec![counter(one, 0, 0..10), counter(other, 1, 0..10)])
}

#[test]
fn what_differs_is_counted_each_by_itself() {
    let of = |resource, attributes| Source { resource, attributes, ..OF_RESOURCE };
    let place: Texts<'_> = &[("service.name", "web"), ("host.name", "h")];
    let told: Texts<'_> = &[("service.name", "web"), ("service.instance.id", "i"), ("cloud.region", "r")];
    let pairs = [
        (of(&[("container.id", "c"), ("shard", "1")], &[]), of(&[("container.id", "c"), ("shard", "2")], &[])),
        (of(place, &[("instance", "0")]), of(place, &[("instance", "1")])),
        (of(told, &[("instance", "0")]), of(told, &[("instance", "1")])),
        (of(told, &[("cloud.region", "r")]), of(told, &[])),
        (of(place, &[]), Source { scope: "other", ..of(place, &[]) }),
    ];
    for (one, other) in pairs {
        assert_eq!(both(one, other), (vec![2.0, 2.0], Vec::new()), "{one:?} {other:?}");
    }
}

#[test]
fn what_labels_do_not_tell_apart_is_warned_of() {
    let named = |language| Source { resource: language, ..OF_RESOURCE };
    let one = named(&[("service.name", "web"), ("telemetry.sdk.language", "go")]);
    let other = named(&[("service.name", "web"), ("telemetry.sdk.language", "java")]);
    let (rates_of_both, warnings) = both(one, other);
    assert_eq!(rates_of_both.len(), 1);
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.contains("do not tell several stored series apart"), "{warning}");
    assert!(warning.contains("for metric name \"a_total\" (1:6)"), "{warning}");
}

/// A range with one sample of each, and the newest sample alone.
#[test]
fn what_lies_around_tells_that_series_go_on_beside_each_other() {
    let of = |language| Source { resource: language, ..OF_RESOURCE };
    let both = || {
        let one = of(&[("service.name", "web"), ("telemetry.sdk.language", "go")]);
        let other = of(&[("service.name", "web"), ("telemetry.sdk.language", "java")]);
        vec![counter(one, 0, 0..10), counter(other, 1, 0..10)]
    };
    for expression in ["sum(increase(a_total[20s]))", "sum(a_total)", "count(a_total)"] {
        let (found, warnings) = values(both(), expression);
        assert_eq!((found.len(), warnings.len()), (1, 1), "{expression} {warnings:?}");
    }
    let (_, warnings) = values(both(), "vector(1) + absent(b_total)");
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Two counters of which each is described in its own way keep their samples, also those of one time.
#[test]
fn descriptions_tell_stored_series_apart() {
    let of = |help| Source { resource: &[("service.name", "web")], help, ..OF_RESOURCE };
    let (rates_of_both, warnings) = rates(vec![counter(of("One."), 0, 0..10), counter(of("Other."), 0, 0..10)]);
    assert_eq!((rates_of_both, warnings.len()), (vec![2.0], 1));
}

#[test]
fn one_that_goes_on_where_another_ended_is_not_warned_of() {
    let of = |version| Source { resource: version, ..OF_RESOURCE };
    let before = of(&[("service.name", "web"), ("telemetry.sdk.version", "1")]);
    let after = of(&[("service.name", "web"), ("telemetry.sdk.version", "2")]);
    let found = rates(vec![counter(before, 0, 0..5), counter(after, 0, 5..10)]);
    assert_eq!(found, (vec![2.0], Vec::new()));
    let (first, taken_back) = (counter(before, 0, 0..3), counter(before, 0, 6..10));
    let found = rates(vec![first, counter(after, 0, 3..6), taken_back]);
    assert_eq!(found, (vec![2.0], Vec::new()));
}

#[test]
fn equal_labels_of_prometheus_are_one_series() {
    let source = Source { scope: Role::Samples.scope(), ..OF_RESOURCE };
    let batches = vec![counter(source, 0, 0..10), counter(Source { help: "Something.", ..source }, 0, 0..10)];
    assert_eq!(rates(batches), (vec![2.0], Vec::new()));
}
