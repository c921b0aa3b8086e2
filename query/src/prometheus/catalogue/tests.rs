use super::{Catalogue, OwnExemplars};
use crate::fixture::{Fixture, NOW, SECOND, block_on, text_map};
use crate::prometheus::Store;
use crate::promql::{Answer, Frame, Matcher, Settings, evaluate};
use crate::series::NAME;
use std::time::Duration;
use storage::metric::Relation;
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Exemplar, Number, put_counts, put_doubles};
use storage::model::verbatim::TYPE_KEY;
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};
use storage::retention::{DownsamplingLevel, RetentionConfig};

const MINUTE: i64 = 60 * SECOND;

/// A metric and one point of it.
#[derive(Clone)]
struct Sent<'t> {
    name: &'t str,
    resource: &'t [(&'t str, &'t str)],
    scope: &'t str,
    told_type: &'t str,
    temporality: i32,
    time: i64,
    exemplars: Vec<u8>,
    data: PointData<'t>,
}

const SUM: PointData<'static> = PointData::Sum(Some(Number::Int(1)));

impl Default for Sent<'_> {
    fn default() -> Self {
        let resource: &[(&str, &str)] = &[("service.name", "web")];
        let (name, scope, told_type, temporality, time) = ("a", "", "", 2, NOW - SECOND);
        Sent { name, resource, scope, told_type, temporality, time, exemplars: Vec::new(), data: SUM }
    }
}

fn batch(list: &[Sent<'_>]) -> Batch {
    let mut builder = PointBatchBuilder::default();
    for sent in list {
        let (resource, metadata) = (text_map(sent.resource), text_map(&[(TYPE_KEY, sent.told_type)]));
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope { name: sent.scope, ..Scope::default() });
        let metadata = if sent.told_type.is_empty() { Map::default() } else { Map::new(&metadata) };
        let (unit, description, temporality) = ("", "", sent.temporality);
        let is_monotonic = matches!(sent.data, PointData::Sum(_)) && sent.told_type.is_empty();
        builder.set_metric(&MetricHead { name: sent.name, unit, description, metadata, temporality, is_monotonic });
        let (attributes, start_time) = (Map::default(), Some(sent.time - 30 * MINUTE));
        let Sent { time, exemplars, data, .. } = sent;
        builder.append(&Point { attributes, time: *time, start_time, flags: 0, exemplars, data: *data }).unwrap();
    }
    builder.finish().unwrap()
}

fn exemplar(time: i64, value: i64, filtered_attributes: Map<'_>) -> Vec<u8> {
    let mut cell = Vec::new();
    let (time_unix_nano, value) = (u64::try_from(time).unwrap(), Some(Number::Int(value)));
    Exemplar { time_unix_nano, value, trace_id: &[1; 16], span_id: &[], filtered_attributes }.put(&mut cell);
    cell
}

/// What is found of a metric between two moments, in minutes from now.
fn found(fixture: &Fixture, name: &str, from: i64, until: i64) -> OwnExemplars {
    let at = |minutes: i64| (NOW + minutes * MINUTE) / 1_000_000;
    let name = name.to_owned();
    let found = fixture.run(move |control| {
        let matcher = Matcher::new(NAME, Relation::Equal, &name).unwrap();
        Ok(Catalogue::new(control, at(from), at(until)).exemplars(&[vec![matcher]]).unwrap())
    });
    block_on(found).unwrap().into_iter().flat_map(|(_, exemplars)| exemplars).collect()
}

fn values(fixture: &Fixture, name: &str, from: i64, until: i64) -> Vec<f64> {
    found(fixture, name, from, until).into_iter().map(|(_, _, value)| value).collect()
}

/// Exemplars long before their point, and long after it, beside one that is where it should be.
fn strays() -> Batch {
    let sent = |name, minutes: i64, of: i64| {
        let time = NOW + minutes * MINUTE;
        Sent { name, time, exemplars: exemplar(NOW + of * MINUTE, -minutes, Map::default()), ..Sent::default() }
    };
    batch(&[sent("early", -5, -25), sent("late", -40, -20), sent("near", -30, -31)])
}

fn check_strays(fixture: &Fixture, stage: &str) {
    for (name, value, at) in [("early_total", 5.0, -25), ("late_total", 40.0, -20), ("near_total", 30.0, -31)] {
        assert_eq!(values(fixture, name, at - 1, at + 1), [value], "{stage}: {name}");
        assert_eq!(values(fixture, name, at, at), [value], "{stage}: {name} to the millisecond");
        assert_eq!(values(fixture, name, -60, 60), [value], "{stage}: {name} once");
        assert_eq!(values(fixture, name, at - 9, at - 1), [0.0; 0], "{stage}: {name} before");
        assert_eq!(values(fixture, name, at + 1, at + 60), [0.0; 0], "{stage}: {name} behind");
    }
}

#[test]
fn exemplars_are_found_by_their_own_time() {
    let fixture = Fixture::new();
    block_on(fixture.put(strays()));
    check_strays(&fixture, "in memory");
    block_on(fixture.flush());
    check_strays(&fixture, "in a block");
    check_strays(&Fixture::merged(vec![strays(), batch(&[Sent::default()])]), "behind a merge");
}

#[test]
fn exemplars_of_thinned_points_are_found_by_their_own_time() {
    let level = DownsamplingLevel { resolution_seconds: 3600, after_days: 1, keep_days: 90 };
    let retention = RetentionConfig { metrics_days: 4, downsampling: vec![level], ..RetentionConfig::default() };
    let steps = [Duration::from_secs(2 * 86_400), Duration::from_secs(5 * 86_400)];
    check_strays(&Fixture::aged(vec![strays()], NOW, &retention, &steps), "thinned");
}

#[test]
fn attributes_of_exemplars_are_told_whatever_they_are() {
    let mut map = MapBuilder::default();
    map.push("bytes", Value::Bytes(b"x"));
    map.push("http.status_code", Value::Int(500));
    map.push("lat", Value::Double(1.5));
    map.push("none", Value::Empty);
    map.push("ok", Value::Bool(true));
    map.push("user", Value::String("bob"));
    let mut cell = Vec::new();
    map.finish_into(&mut cell);
    let exemplars = exemplar(NOW - MINUTE, 7, Map::new(&cell));
    let fixture = Fixture::new();
    block_on(fixture.put(batch(&[Sent { exemplars, ..Sent::default() }])));
    let all = found(&fixture, "a_total", -5, 5);
    let labels: Vec<(&str, &str)> = all[0].0.iter().filter(|(name, _)| *name != "trace_id").collect();
    let expected = [("bytes", "eA=="), ("http_status_code", "500"), ("lat", "1.5"), ("ok", "true"), ("user", "bob")];
    assert_eq!(labels, expected);
}

#[test]
fn types_are_told_as_the_sender_did() {
    let gauge = PointData::Gauge(Some(Number::Int(1)));
    let (mut explicit_bounds, mut bucket_counts) = (Vec::new(), Vec::new());
    put_doubles(&mut explicit_bounds, [1.0]);
    put_counts(&mut bucket_counts, [1, 2]);
    let (explicit_bounds, bucket_counts) = (explicit_bounds.as_slice(), bucket_counts.as_slice());
    let histogram = PointData::Histogram { count: 3, sum: None, min: None, max: None, explicit_bounds, bucket_counts };
    let cases = [
        ("plain", gauge, 0, "", "gauge"),
        ("build.info", gauge, 0, "info", "info"),
        ("state", PointData::Sum(Some(Number::Int(1))), 2, "stateset", "stateset"),
        ("what", gauge, 0, "unknown", "unknown"),
        ("odd", gauge, 0, "histogram", "gauge"),
        ("counted", SUM, 2, "", "counter"),
        ("delta", SUM, 1, "", "unknown"),
        ("spread", histogram, 2, "", "histogram"),
        ("delta.spread", histogram, 1, "", "unknown"),
    ];
    let sent = cases.map(|(name, data, temporality, told_type, _)| Sent {
        name,
        data,
        temporality,
        told_type,
        ..Sent::default()
    });
    let fixture = Fixture::new();
    block_on(fixture.put(batch(&sent)));
    let at = |minutes: i64| (NOW + minutes * MINUTE) / 1_000_000;
    let metadata = fixture.run(move |control| Ok(Catalogue::new(control, at(-5), at(5)).metadata().unwrap()));
    let metadata = block_on(metadata).unwrap();
    let told: Vec<(&str, &str)> = metadata
        .iter()
        .flat_map(|(name, facts)| facts.iter().map(move |facts| (name.as_str(), facts.r#type)))
        .collect();
    let mut expected = cases.map(|(name, .., told)| match name {
        "counted" | "delta" => (format!("{name}_total"), told),
        _ => (name.replace('.', "_"), told),
    });
    expected.sort();
    let expected: Vec<(&str, &str)> = expected.iter().map(|(name, told)| (name.as_str(), *told)).collect();
    assert_eq!(told, expected);
}

/// Counters of 1 per second, of two places or scopes each, and what `rate` makes of them.
#[test]
fn counters_of_two_places_have_a_rate_each() {
    let pods: [&[(&str, &str)]; 2] =
        [&[("service.name", "web"), ("k8s.pod.name", "a")], &[("service.name", "web"), ("k8s.pod.name", "b")]];
    let shards: [&[(&str, &str)]; 2] =
        [&[("service.name", "web"), ("shard", "1")], &[("service.name", "web"), ("shard", "2")]];
    let fixture = Fixture::new();
    let mut all = Vec::new();
    for step in 0..30i64 {
        let mut add = |name, resource, scope, (later, base): (i64, i64)| {
            let time = NOW - 5 * MINUTE + (10 * step + later) * SECOND;
            let data = PointData::Sum(Some(Number::Int(base + 10 * step)));
            all.push(Sent { name, resource, scope, time, data, ..Sent::default() });
        };
        for (place, start) in [(0, (0, 1000)), (1, (5, 0))] {
            add("of.pods", pods[place], "", start);
            add("of.shards", shards[place], "", start);
            add("of.scopes", &[("service.name", "web")], ["one", "two"][place], start);
        }
    }
    block_on(fixture.put(batch(&all)));
    for name in ["of_pods_total", "of_shards_total", "of_scopes_total"] {
        let rates = fixture.run(move |control| {
            let now = NOW / 1_000_000;
            let frame = Frame { start: now, end: now, step: 0 };
            let query = format!("rate({name}[2m])");
            let outcome = evaluate(&Store::new(control), Settings::default(), &query, frame);
            let Answer::Instant(rates) = outcome.answer.unwrap() else { panic!("a vector") };
            Ok(rates.iter().map(|row| row.cells[0].as_ref().unwrap().float().unwrap()).collect::<Vec<f64>>())
        });
        let rates = block_on(rates).unwrap();
        assert!(rates.len() == 2 && rates.iter().all(|rate| (rate - 1.0).abs() < 0.05), "{name}: {rates:?}");
    }
}
