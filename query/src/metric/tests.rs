use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestPoint, block_on, points, text_map};
use proptest::prelude::*;
use query_api::metric::{Metric, MetricType, PointValue, SeriesResponse, Temporality};
use std::collections::{BTreeMap, BTreeSet};
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::record::{self, Number};
use storage::model::schema::column;
use storage::model::verbatim::{Role, TYPE_KEY};
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};
use storage::scan::{Predicate, Scalar, TimeRange};

const RANGE: TimeRange = TimeRange { start: NOW - 3600 * SECOND, end: NOW };

fn query(limit: usize) -> SeriesQuery {
    SeriesQuery { range: RANGE, name: "requests".into(), predicate: Predicate::All, limit }
}

async fn ask(fixture: &Fixture, query: SeriesQuery) -> SeriesResponse {
    fixture.run(move |control| series(control, &query)).await.unwrap()
}

fn any_point() -> impl Strategy<Value = TestPoint> {
    let texts = (
        prop_oneof![Just("requests"), Just("errors")],
        prop_oneof![Just("1"), Just("By")],
        prop_oneof![Just("i1"), Just("i2")],
    );
    let times = prop_oneof![(1i64..5).prop_map(|at| NOW - at * SECOND), Just(NOW)];
    (texts, 1i32..3, times, proptest::bool::ANY).prop_map(|(texts, temporality, time, tagged)| TestPoint {
        name: texts.0,
        unit: texts.1,
        instance: texts.2,
        temporality,
        time,
        attributes: if tagged { vec![("route", "/a")] } else { vec![] },
        ..TestPoint::default()
    })
}

/// Attribute, instance, temporality, unit, time: in the order of the answer.
type Row = (bool, String, Temporality, String, i64);

fn rows(answer: &SeriesResponse) -> Vec<Row> {
    let mut rows = Vec::new();
    for series in &answer.series {
        let text = |value: &query_api::otlp::AnyValue| format!("{value:?}");
        let instance = series.resource.iter().find(|entry| entry.key == "service.instance.id").unwrap();
        for point in &series.points {
            let tagged = !series.attributes.is_empty();
            let row = (tagged, text(&instance.value), series.temporality, series.unit.clone(), point.time_unix_nano);
            rows.push(row);
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn i3_the_limit_keeps_the_first_points_whatever_the_order_of_the_scan(
        list in proptest::collection::vec(any_point(), 0..40), cut in 0usize..40, limit in 1usize..12,
    ) {
        let cut = cut.min(list.len());
        let (whole, limited, metrics) = block_on(async {
            let fixture = Fixture::new();
            fixture.put(points(&list[..cut])).await;
            fixture.flush().await;
            fixture.put(points(&list[cut..])).await;
            let whole = ask(&fixture, query(10_000)).await;
            let limited = ask(&fixture, query(limit)).await;
            let asked = MetricsQuery { range: RANGE, prefix: "req".into(), service: Some("shop".into()) };
            (whole, limited, fixture.run(move |control| metrics(control, &asked)).await.unwrap())
        });
        // I1: one point per identity and time.
        let own = || list.iter().filter(|point| point.name == "requests" && RANGE.contains(point.time));
        let identity = |point: &TestPoint| (point.attributes.clone(), point.instance, point.temporality, point.unit);
        let distinct: BTreeSet<_> = own().map(|point| (identity(point), point.time)).collect();
        let all = rows(&whole);
        prop_assert_eq!(all.len(), distinct.len());
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), distinct.len());
        prop_assert!(!whole.truncated);
        prop_assert_eq!(rows(&limited), all.get(..limit.min(all.len())).unwrap_or_default().to_vec());
        prop_assert_eq!(limited.truncated, all.len() > limit);
        // A block or memory holds one point per series and time; what lies between them is counted by each.
        let mut seen = BTreeSet::new();
        let stored = list.iter().enumerate().filter(|(place, point)| seen.insert((*place < cut, point.name, identity(point), point.time)));
        let stored = stored.map(|(_, point)| point).filter(|point| point.name == "requests" && RANGE.contains(point.time));
        check_metrics(&metrics.metrics, &stored.collect::<Vec<_>>());
    }
}

fn check_metrics(metrics: &[Metric], list: &[&TestPoint]) {
    let mut by_head: BTreeMap<(&str, i32), Vec<&TestPoint>> = BTreeMap::new();
    list.iter().for_each(|point| by_head.entry((point.unit, point.temporality)).or_default().push(point));
    assert_eq!(metrics.len(), by_head.len());
    for (metric, ((unit, temporality), own)) in metrics.iter().zip(by_head) {
        let temporality = if temporality == 1 { Temporality::Delta } else { Temporality::Cumulative };
        assert_eq!((metric.name.as_str(), metric.unit.as_str(), metric.temporality), ("requests", unit, temporality));
        let series: BTreeSet<_> = own.iter().map(|point| (point.instance, &point.attributes)).collect();
        assert_eq!((metric.series_count, metric.point_count), (series.len() as u64, own.len() as u64));
        assert_eq!(Some(metric.last_time_unix_nano), own.iter().map(|point| point.time).max());
        assert_eq!(
            (metric.services.as_slice(), metric.description.as_str()),
            (["shop".to_owned()].as_slice(), "counts")
        );
        let told: Vec<&str> = metric.metadata.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(told, ["prometheus.type"]);
        assert!(metric.is_monotonic && metric.r#type == MetricType::Sum);
    }
}

/// Each series' newest number, in memory and in a block; what is older than five minutes, or ended, has none.
#[tokio::test]
async fn l1_values_are_those_of_now() {
    let fixture = Fixture::new();
    let gauge = |name: &'static str, route: &'static str, seconds: i64, value: f64| TestPoint {
        name,
        attributes: vec![("route", route)],
        time: NOW - seconds * SECOND,
        data: PointData::Gauge(Some(Number::Double(value))),
        ..TestPoint::default()
    };
    let ended = TestPoint { data: PointData::Gauge(None), ..gauge("ended", "", 30, 0.0) };
    let histogram =
        PointData::Histogram { count: 1, sum: None, min: None, max: None, explicit_bounds: &[], bucket_counts: &[] };
    let block = [gauge("one", "", 90, 3.0), gauge("many", "/a", 90, -1.0), gauge("many", "/b", 400, 99.0)];
    fixture.put(points(&block)).await;
    fixture.flush().await;
    let memory = [
        gauge("one", "", 30, 2.0),
        gauge("many", "/c", 60, 7.5),
        gauge("many", "/d", 60, f64::NAN),
        gauge("gone", "", 340, 1.0),
        gauge("ended", "", 60, 1.0),
        ended,
        TestPoint { name: "shape", time: NOW - 10 * SECOND, data: histogram, ..TestPoint::default() },
    ];
    fixture.put(points(&memory)).await;
    fixture.put(points(&[gauge("one", "", 30, 4.0), gauge("one", "", 45, 9.0)])).await;
    let asked = MetricsQuery { range: RANGE, prefix: String::new(), service: None };
    let answer = fixture.run(move |control| metrics(control, &asked)).await.unwrap();
    let told: Vec<(&str, Option<(f64, f64)>)> = answer
        .metrics
        .iter()
        .map(|metric| (metric.name.as_str(), metric.last_values.map(|values| (values.least, values.greatest))))
        .collect();
    let expected =
        [("ended", None), ("gone", None), ("many", Some((-1.0, 7.5))), ("one", Some((4.0, 4.0))), ("shape", None)];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn i2_of_two_points_with_one_time_the_later_one_counts() {
    let fixture = Fixture::new();
    for value in [5, 9, 7] {
        let data = PointData::Sum(Some(Number::Int(value)));
        fixture.put(points(&[TestPoint { data, ..TestPoint::default() }])).await;
    }
    let answer = ask(&fixture, query(10)).await;
    assert_eq!(answer.series[0].points.len(), 1);
    assert_eq!(answer.series[0].points[0].value, PointValue::Int(7));
}

/// Two of one name, at one time.
#[tokio::test]
async fn i1_descriptions_tell_otlps_series_apart() {
    let fixture = Fixture::new();
    let of = |description, value| TestPoint {
        description,
        data: PointData::Gauge(Some(Number::Int(value))),
        ..TestPoint::default()
    };
    fixture.put(points(&[of("One.", 1), of("Other.", 2)])).await;
    let answer = ask(&fixture, SeriesQuery { name: TestPoint::default().name.to_owned(), ..query(100) }).await;
    assert_eq!(answer.series.iter().map(|series| series.points.len()).collect::<Vec<_>>(), [1, 1]);
    let asked = MetricsQuery { range: RANGE, prefix: String::new(), service: None };
    let all = fixture.run(move |control| metrics(control, &asked)).await.unwrap().metrics;
    assert_eq!(all.iter().map(|metric| (metric.series_count, metric.point_count)).collect::<Vec<_>>(), [(2, 2)]);
}

/// PromQL's names of each kind's series, and of the family that a classic histogram is.
#[tokio::test]
async fn i4_a_metric_is_found_by_the_names_of_promql_too() {
    let fixture = Fixture::new();
    let bounds = {
        let mut out = Vec::new();
        record::put_doubles(&mut out, [1.0]);
        &*out.leak()
    };
    let counts = {
        let mut out = Vec::new();
        record::put_counts(&mut out, [1, 2]);
        &*out.leak()
    };
    let (sum, min, max) = (Some(4.0), None, None);
    let classic = PointData::Histogram { count: 3, sum, min, max, explicit_bounds: bounds, bucket_counts: counts };
    let summary = PointData::Summary { count: 2, sum: 1.5, quantiles: &[] };
    let of = |name, unit, data| TestPoint { name, unit, data, ..TestPoint::default() };
    let other = TestPoint { service: "other", ..TestPoint::default() };
    let list = [
        of("http.server.request.duration", "s", classic),
        of("gc.pause", "ms", summary),
        of("jobs.count", "{job}", PointData::Gauge(Some(Number::Int(1)))),
        TestPoint::default(),
        other,
    ];
    fixture.put(points(&list)).await;
    let found = async |name: &str, service: Option<&str>| {
        let predicate = service.map_or(Predicate::All, |service| {
            Predicate::equal(column::SERVICE_NAME, Scalar::String(service.to_owned()))
        });
        let answer = ask(&fixture, SeriesQuery { name: name.to_owned(), predicate, ..query(100) }).await;
        answer.series.into_iter().map(|series| series.name).collect::<Vec<_>>()
    };
    let asked = MetricsQuery { range: RANGE, prefix: String::new(), service: None };
    let all = fixture.run(move |control| metrics(control, &asked)).await.unwrap().metrics;
    let listed = |name: &str| all.iter().filter(|one| one.is_called(name)).map(|one| one.name.clone()).collect();
    for (name, own) in [
        ("http.server.request.duration", Some("http.server.request.duration")),
        ("http_server_request_duration_seconds", Some("http.server.request.duration")),
        ("http_server_request_duration_seconds_bucket", Some("http.server.request.duration")),
        ("http_server_request_duration_seconds_count", Some("http.server.request.duration")),
        ("http_server_request_duration_seconds_sum", Some("http.server.request.duration")),
        ("http_server_request_duration", None),
        ("gc_pause_milliseconds", Some("gc.pause")),
        ("gc_pause_milliseconds_sum", Some("gc.pause")),
        ("gc_pause_milliseconds_bucket", None),
        ("jobs_count", Some("jobs.count")),
        ("jobs", None),
        ("", None),
    ] {
        let own: Vec<String> = own.map(str::to_owned).into_iter().collect();
        assert_eq!((found(name, None).await, listed(name)), (own.clone(), own), "{name}");
    }
    assert_eq!(found("requests_total", None).await, ["requests", "requests"]);
    assert_eq!(found("requests_total", Some("other")).await, ["requests"]);
    assert!(found("requests_total", Some("nobody")).await.is_empty());

    // What is called so itself counts, whatever else PromQL calls so.
    fixture.put(sent(&[("requests_total", Role::Samples, "counter", "", [("job", "j"), ("", "")])])).await;
    assert_eq!(found("requests_total", None).await, ["requests_total"]);
}

#[tokio::test]
async fn every_kind_of_value_is_given_back() {
    let cell = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        &*out.leak()
    };
    let bounds = cell(&|out| record::put_doubles(out, [1.0, f64::INFINITY]));
    let counts = cell(&|out| record::put_counts(out, [1, u64::MAX, 0]));
    let buckets = cell(&|out| record::put_buckets(out, i32::MIN, [3, 4]));
    let quantiles = cell(&|out| record::put_quantile(out, 0.5, f64::NAN));
    let (sum, min, max) = (Some(f64::NEG_INFINITY), None, Some(2.5));
    let data = [
        PointData::Gauge(Some(Number::Double(f64::MAX))),
        PointData::Gauge(None),
        PointData::Sum(Some(Number::Int(i64::MIN))),
        PointData::Histogram { count: 3, sum, min, max, explicit_bounds: bounds, bucket_counts: counts },
        PointData::ExponentialHistogram {
            count: 7,
            sum,
            min,
            max,
            scale: -10,
            zero_count: 1,
            zero_threshold: 0.25,
            positive: buckets,
            negative: &[],
        },
        PointData::Summary { count: 2, sum: 1.5, quantiles },
    ];
    let filtered = text_map(&[("k", "v")]);
    let mut exemplars = Vec::new();
    let exemplar = record::Exemplar {
        time_unix_nano: 5,
        value: Some(Number::Int((1 << 53) + 1)),
        trace_id: &[0xab; 16],
        span_id: &[1; 8],
        filtered_attributes: Map::new(&filtered),
    };
    exemplar.put(&mut exemplars);
    let fixture = Fixture::new();
    let list: Vec<TestPoint> = data
        .into_iter()
        .zip(1..)
        .map(|(data, at)| TestPoint { data, time: NOW - at, exemplars: exemplars.clone(), ..TestPoint::default() })
        .collect();
    fixture.put(points(&list)).await;
    let answer = ask(&fixture, query(100)).await;
    let mut found: Vec<_> = answer.series.iter().flat_map(|series| &series.points).collect();
    found.sort_by_key(|point| -point.time_unix_nano);
    let [double, none, int, explicit, exponential, summary] = found.as_slice() else {
        panic!("{} points", found.len())
    };
    assert_eq!((&double.value, &none.value), (&PointValue::Double(f64::MAX), &PointValue::None));
    assert_eq!(int.value, PointValue::Int(i64::MIN));
    let PointValue::Histogram(explicit) = &explicit.value else { panic!("{explicit:?}") };
    assert_eq!((explicit.count, explicit.sum, explicit.min, explicit.max), (3, sum, min, max));
    assert_eq!((&explicit.bounds, &explicit.bucket_counts), (&vec![1.0, f64::INFINITY], &vec![1, u64::MAX, 0]));
    let PointValue::ExponentialHistogram(exponential) = &exponential.value else { panic!("{exponential:?}") };
    assert_eq!((exponential.scale, exponential.zero_count, exponential.zero_threshold), (-10, 1, 0.25));
    assert_eq!((exponential.positive_offset, &exponential.positive_counts), (i32::MIN, &vec![3, 4]));
    assert_eq!((exponential.negative_offset, &exponential.negative_counts), (0, &vec![]));
    let PointValue::Summary(summary) = &summary.value else { panic!("{summary:?}") };
    assert_eq!((summary.count, summary.sum, summary.quantiles.len()), (2, 1.5, 1));
    assert!(summary.quantiles[0].value.is_nan());

    for point in found {
        assert_eq!(point.start_unix_nano, point.time_unix_nano - 60 * SECOND);
        let [exemplar] = point.exemplars.as_slice() else { panic!("{:?}", point.exemplars) };
        assert_eq!((exemplar.value, exemplar.value_int.as_str()), (9_007_199_254_740_992.0, "9007199254740993"));
        assert_eq!(exemplar.trace_id, "ab".repeat(16));
        assert_eq!(exemplar.filtered_attributes.len(), 1);
    }
}

/// Names, labels and values with how many series have them.
async fn counted(fixture: &Fixture, range: TimeRange, selector: &str) -> query_api::cardinality::CardinalityResponse {
    let matchers = match selector {
        "" => Vec::new(),
        text => crate::promql::parse_selector(text).unwrap().matchers,
    };
    let query = CardinalityQuery { range, matchers, limit: 3, active: Some((7, 9)) };
    fixture.run(move |control| cardinality(control, &query)).await.unwrap()
}

#[tokio::test]
async fn c1_series_are_counted_once_wherever_they_lie_and_by_the_hour_in_which_they_came() {
    let fixture = Fixture::new();
    let hour = 3600 * SECOND;
    let at = |name, route: &'static str, instance, hours: i64| TestPoint {
        name,
        instance,
        attributes: vec![("route", route)],
        time: NOW - hours * hour - SECOND,
        ..TestPoint::default()
    };
    let mut early = vec![at("requests", "/a", "i1", 5), at("requests", "/b", "i1", 5), at("errors", "/a", "i1", 2)];
    fixture.put(points(&early)).await;
    fixture.flush().await;
    early.iter_mut().for_each(|point| point.time = NOW - SECOND);
    early.extend([at("requests", "/c", "i2", 0), at("requests", "/d", "i2", 0)]);
    fixture.put(points(&early)).await;
    let range = |hours: i64| TimeRange { start: NOW - hours * hour, end: NOW };
    let all = counted(&fixture, range(3), "").await;
    assert_eq!((all.series_count, all.created_count, all.metric_count, all.label_count), (5, 3, 2, 4));
    let created: Vec<(i64, u64)> =
        all.created.iter().map(|step| ((NOW - step.start_unix_nano) / hour, step.count)).collect();
    assert_eq!(created, [(3, 1), (2, 0), (1, 2)]);
    let metrics: Vec<(&str, u64, u64)> =
        all.metrics.iter().map(|metric| (metric.name.as_str(), metric.series_count, metric.created_count)).collect();
    assert_eq!(metrics, [("requests_total", 4, 2), ("errors_total", 1, 1)]);
    let labels: Vec<(&str, u64, u64)> =
        all.labels.iter().map(|label| (label.name.as_str(), label.value_count, label.series_count)).collect();
    assert_eq!(labels, [("route", 4, 5), ("__name__", 2, 5), ("instance", 2, 5)]);
    let pairs: Vec<(&str, &str, u64)> =
        all.pairs.iter().map(|pair| (pair.name.as_str(), pair.value.as_str(), pair.series_count)).collect();
    assert_eq!(pairs, [("job", "shop", 5), ("__name__", "requests_total", 4), ("instance", "i1", 3)]);
    assert_eq!((all.active.count, all.active.limit), (Some(7), Some(9)));
    let whole = counted(&fixture, range(9), "").await;
    assert_eq!((whole.series_count, whole.created_count), (5, 5));
    let some = counted(&fixture, range(3), "requests_total{instance=\"i1\"}").await;
    assert_eq!((some.series_count, some.created_count), (2, 0));
    let none = counted(&fixture, TimeRange { start: NOW - 9 * hour, end: NOW - 8 * hour }, "").await;
    assert_eq!((none.series_count, none.created.len()), (0, 1));
}

/// Points of Prometheus's senders: name, scope, type and help as they say them, labels, what was measured.
type Sent = (&'static str, Role, &'static str, &'static str, [(&'static str, &'static str); 2]);

fn sent(all: &[Sent]) -> Batch {
    let mut builder = PointBatchBuilder::default();
    for (name, role, told, help, labels) in all {
        let (resource, attributes) = (text_map(&[("service.name", labels[0].1)]), text_map(labels));
        let metadata = if told.is_empty() { text_map(&[]) } else { text_map(&[(TYPE_KEY, *told)]) };
        let told_apart = *role == Role::Metadata;
        let resource = if told_apart { text_map(&[]) } else { resource };
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope { name: role.scope(), ..Scope::default() });
        builder.set_metric(&MetricHead {
            name,
            unit: "",
            description: help,
            metadata: Map::new(&metadata),
            temporality: 0,
            is_monotonic: false,
        });
        let value = (!told_apart).then_some(Number::Double(1.0));
        let point = Point {
            attributes: if told_apart { Map::default() } else { Map::new(&attributes) },
            time: NOW - SECOND,
            start_time: None,
            flags: 0,
            exemplars: &[],
            data: PointData::Gauge(value),
        };
        builder.append(&point).unwrap();
    }
    builder.finish().unwrap()
}

/// Name, type, help, series, and whether it has no points of its own.
async fn listed(
    fixture: &Fixture,
    prefix: &str,
    service: Option<&str>,
) -> Vec<(String, MetricType, String, u64, bool)> {
    let asked = MetricsQuery { range: RANGE, prefix: prefix.into(), service: service.map(str::to_owned) };
    let answer = fixture.run(move |control| metrics(control, &asked)).await.unwrap();
    let facts = |m: Metric| (m.name, m.r#type, m.description, m.series_count, m.is_in_parts);
    answer.metrics.into_iter().map(facts).collect()
}

/// As version 1 of remote write sends it: type and help apart, by families, without a job.
#[tokio::test]
async fn t1_what_was_told_apart_is_said_of_each_metric() {
    let fixture = Fixture::new();
    let of = |label, value| [("job", "j"), (label, value)];
    let series = |name, label, value| (name, Role::Samples, "", "", of(label, value));
    let told = |name, kind, help| (name, Role::Metadata, kind, help, of("", ""));
    let all = [
        series("up", "i", "a"),
        series("reqs_total", "i", "a"),
        series("om_total", "i", "a"),
        series("lat_bucket", "le", "1"),
        series("lat_bucket", "le", "+Inf"),
        series("lat_sum", "i", "a"),
        series("lat_count", "i", "a"),
        series("gc", "quantile", "0.5"),
        series("gc_sum", "i", "a"),
        series("gc_count", "i", "a"),
        series("half_count", "i", "a"),
        series("alone_bucket", "i", "a"),
        ("own", Role::Samples, "gauge", "Said with it.", of("i", "a")),
        told("own", "counter", "Said apart."),
        told("reqs_total", "counter", "Requests."),
        told("om", "counter", "By OpenMetrics."),
        told("lat", "histogram", "Latency."),
        told("gc", "summary", "Pauses."),
        told("half", "histogram", "Half of it."),
        told("up", "unknown", ""),
        told("up", "gauge", "Is it up?"),
        told("never", "gauge", "Nobody sent it."),
    ];
    fixture.put(sent(&all)).await;
    let one = |name: &str, kind, help: &str, series, is_in_parts| {
        (name.to_owned(), kind, help.to_owned(), series, is_in_parts)
    };
    let expected = [
        one("alone_bucket", MetricType::Gauge, "", 1, false),
        one("gc", MetricType::Summary, "Pauses.", 3, true),
        one("half_count", MetricType::Sum, "Half of it.", 1, false),
        one("lat", MetricType::Histogram, "Latency.", 4, true),
        one("om_total", MetricType::Sum, "By OpenMetrics.", 1, false),
        one("own", MetricType::Gauge, "Said with it.", 1, false),
        one("reqs_total", MetricType::Sum, "Requests.", 1, false),
        one("up", MetricType::Gauge, "Is it up?", 1, false),
    ];
    assert_eq!(listed(&fixture, "", None).await, expected);
    assert_eq!(listed(&fixture, "", Some("j")).await, expected, "what was told apart belongs to no service");
    assert_eq!(listed(&fixture, "lat", None).await, expected[3..4]);
    let part = [one("lat_bucket", MetricType::Sum, "Latency.", 2, false)];
    assert_eq!(listed(&fixture, "lat_b", None).await, part, "who asks for a part gets it");
}

/// As a scrape and version 2 of remote write say it, with each series; where a native histogram has the name, the parts stay.
#[tokio::test]
async fn t2_parts_of_a_histogram_are_one_metric_unless_its_name_is_taken() {
    let fixture = Fixture::new();
    let part = |name, label, value| (name, Role::Samples, "histogram", "Latency.", [("job", "j"), (label, value)]);
    let all = [part("lat_bucket", "le", "1"), part("lat_sum", "i", "a"), part("lat_count", "i", "a")];
    fixture.put(sent(&all)).await;
    let found = listed(&fixture, "", None).await;
    assert_eq!(found, [("lat".to_owned(), MetricType::Histogram, "Latency.".to_owned(), 3, true)]);
    fixture.put(sent(&[part("lat", "i", "a")])).await;
    let names: Vec<String> = listed(&fixture, "", None).await.into_iter().map(|found| found.0).collect();
    assert_eq!(names, ["lat", "lat_bucket", "lat_count", "lat_sum"]);
}

/// As protobuf its parts are called as a histogram's are, as a text otherwise.
#[tokio::test]
async fn metadata_of_a_gauge_histogram_is_listed_once() {
    let fixture = Fixture::new();
    let part = |name| (name, Role::Samples, "gaugehistogram", "Sizes.", [("job", "j"), ("", "")]);
    let names = ["a_bucket", "a_sum", "a_count", "b_bucket", "b_gsum", "b_gcount"];
    fixture.put(sent(&names.map(part))).await;
    let read = move |control: &crate::exec::Control| {
        let (start, end) = (RANGE.start / 1_000_000, RANGE.end / 1_000_000);
        Ok(crate::prometheus::Catalogue::new(control, start, end)
            .metadata()
            .map(|all| all.into_keys().collect::<Vec<_>>()))
    };
    assert_eq!(fixture.run(read).await.unwrap().unwrap(), ["a", "b"]);
}
