//! What a tenant with many series of long labels may make a query hold: no more than its limit, wherever the series lie.

use super::*;
use crate::fixture::text_map;
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::verbatim::Role;
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder};

const SERIES: usize = 3_000;
const MIB: u64 = 1024 * 1024;

/// A gauge of so many series, each with half a kilobyte of labels: as Prometheus sends it, or as OpenTelemetry does.
fn many(is_verbatim: bool) -> Batch {
    let mut builder = PointBatchBuilder::default();
    let resource = text_map(&[("service.name", "shop"), ("service.instance.id", "a")]);
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope { name: if is_verbatim { Role::Samples.scope() } else { "meter" }, ..Scope::default() });
    let (metadata, temporality, is_monotonic) = (Map::default(), 0, false);
    builder.set_metric(&MetricHead { name: "wide", unit: "", description: "", metadata, temporality, is_monotonic });
    for number in 0..SERIES {
        let id = format!("{number:05}{}", "x".repeat(250));
        let attributes = text_map(&[("id", &id), ("kind", "k"), ("other", &id)]);
        let point = Point {
            attributes: Map::new(&attributes),
            time: NOW - SECOND,
            start_time: None,
            flags: 0,
            exemplars: &[],
            data: PointData::Gauge(Some(Number::Double(1.0))),
        };
        builder.append(&point).unwrap();
    }
    builder.finish().unwrap()
}

/// A server of little memory; a part of its series lies in two blocks and in memory.
async fn narrow(is_verbatim: bool, memory: u64) -> (Server, Arc<QueryState>) {
    let fixture = Fixture::new();
    for _ in 0..2 {
        fixture.put(many(is_verbatim)).await;
        fixture.flush().await;
    }
    fixture.put(many(is_verbatim)).await;
    let config = Config { memory_per_query: memory, ..Config::default() };
    let state = QueryState::new(config, fixture.engine.clone(), fixture.clock.clone(), Host::default());
    let state = Arc::new(state.unwrap());
    (Server { router: super::super::router(Arc::clone(&state)), _fixture: fixture }, state)
}

#[tokio::test]
async fn what_a_query_may_not_hold_is_refused_or_cut_at_its_limit() {
    let range = format!("start={}&end={T}", T - 3_600);
    for is_verbatim in [true, false] {
        let (server, state) = narrow(is_verbatim, MIB).await;
        let too_much = [
            format!("/series?match[]=wide&{range}"),
            format!("/label/id/values?{range}"),
            format!("/label/id/values?match[]=wide&{range}"),
            format!("/query?query=wide&time={T}"),
            format!("/query?query=count(wide)&time={T}"),
            format!("/query?query=count_over_time(wide[5m])&time={T}"),
            format!("/query?query=wide[5m]&time={T}"),
            format!("/query_range?query=wide&step=60&{range}"),
            "/status/tsdb".to_owned(),
        ];
        for path in &too_much {
            let (status, text) = server.text(path).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {is_verbatim}: {}", text.len());
            assert!(text.contains("needs more than the 1 MiB a query may hold"), "{path}: {text}");
            assert_eq!(state.executor().usage().memory_bytes, 0, "{path}");
        }
        // A limit makes it small, however many there are.
        for path in ["/series?match[]=wide", "/label/id/values?", "/label/id/values?match[]=wide"] {
            let (status, text) = server.text(&format!("{path}&limit=3&{range}")).await;
            assert_eq!(status, StatusCode::OK, "{path} {is_verbatim}: {text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["data"].as_array().unwrap().len(), 3, "{path}");
            assert_eq!(answer["warnings"], json!(["results truncated due to limit"]), "{path}");
            let firsts: Vec<&str> = answer["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item.as_str().or(item["id"].as_str()).unwrap().get(..5).unwrap())
                .collect();
            assert_eq!(firsts, ["00000", "00001", "00002"], "the first ones, whatever came first");
        }
        // What asks of all for little has the room that it needs.
        for path in [
            format!("/label/kind/values?{range}"),
            format!("/labels?{range}"),
            format!("/label/kind/values?match[]=wide&{range}"),
            format!("/labels?match[]=wide&{range}"),
            format!("/query?query=wide%7Bid=~%220001.*%22%7D&time={T}"),
        ] {
            assert_eq!(server.text(&path).await.0, StatusCode::OK, "{path} {is_verbatim}");
        }
        assert_eq!(state.executor().usage().memory_bytes, 0);
    }
}

/// It holds what fits, and of that what it tells: wherever the values lie, whatever their order.
#[tokio::test]
async fn a_search_takes_the_memory_of_what_it_tells() {
    let start = T - 3_600;
    for is_verbatim in [true, false] {
        let (server, state) = narrow(is_verbatim, MIB).await;
        for selector in ["", "match[]=wide&"] {
            let path = |rest: &str| format!("/search/label_values?label=id&start={start}&end={T}&{selector}{rest}");
            for (rest, expected, has_more) in [
                ("search[]=02998x", ["02998"].as_slice(), false),
                ("search[]=0299&fuzz_threshold=99&limit=2", &["02990", "02991"], true),
                ("search[]=x&limit=3", &["00000", "00001", "00002"], true),
                ("limit=3", &["00000", "00001", "00002"], true),
                ("limit=3&sort_by=alpha&sort_dir=dsc", &["02999", "02998", "02997"], true),
                ("limit=3&sort_by=score&search[]=02&search[]=x", &["02000", "02001", "02002"], true),
                ("fuzz_alg=jarowinkler&search[]=777", &["00777", "01777", "02777"], false),
            ] {
                let (status, text) = server.text(&path(rest)).await;
                assert_eq!(status, StatusCode::OK, "{rest} {selector} {is_verbatim}: {text}");
                let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                let results = lines.next().unwrap();
                let told =
                    results["results"].as_array().unwrap().iter().map(|one| &one["value"].as_str().unwrap()[..5]);
                assert_eq!(told.collect::<Vec<_>>(), expected, "{rest} {selector} {is_verbatim}");
                assert_eq!(lines.next().unwrap()["has_more"], has_more, "{rest} {selector}");
                assert_eq!(state.executor().usage().memory_bytes, 0, "{rest}");
            }
            let (status, text) = server.text(&path("search[]=x&limit=10000")).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{selector} {is_verbatim}: {}", text.len());
            assert!(text.contains("needs more than the 1 MiB a query may hold"), "{text}");
        }
    }
}

/// A name of which somebody told what it is, without a sample.
#[tokio::test]
async fn a_search_leaves_out_names_without_samples() {
    let (server, _) = narrow(true, MIB).await;
    let mut builder = PointBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope { name: Role::Metadata.scope(), ..Scope::default() });
    for name in ["wide", "wide_alone"] {
        let (metadata, temporality, is_monotonic) = (Map::default(), 0, false);
        builder.set_metric(&MetricHead { name, unit: "", description: "d", metadata, temporality, is_monotonic });
        let (attributes, data) = (Map::default(), PointData::Gauge(None));
        let point = Point { attributes, time: NOW - SECOND, start_time: None, flags: 0, exemplars: &[], data };
        builder.append(&point).unwrap();
    }
    server._fixture.put(builder.finish().unwrap()).await;
    for rest in ["limit=1", "search[]=wide&limit=1", "sort_by=alpha&sort_dir=dsc&limit=1", "search[]=wid&sort_by=score"]
    {
        let (status, text) = server.text(&format!("/search/metric_names?{rest}")).await;
        let expected = "{\"results\":[{\"name\":\"wide\"}]}\n{\"status\":\"success\",\"has_more\":false}\n";
        assert_eq!((status, text.as_str()), (StatusCode::OK, expected), "{rest}");
    }
}

/// What was looked at is counted by what it takes, not by the step.
#[tokio::test]
async fn series_that_were_looked_at_take_little() {
    let (server, state) = narrow(true, 4 * MIB).await;
    let context =
        crate::exec::QueryContext { tenant: storage::model::TenantId::default(), timeout: Config::default().timeout };
    let counted = state.executor().run(context, |control| {
        let catalogue = crate::prometheus::Catalogue::new(control, (T - 3_600) * 1_000, T * 1_000);
        let mut found = 0;
        catalogue.each(&[], &mut |_| {
            found += 1;
            // There is room for half of all beside what was seen.
            control.hold(2 * usize::try_from(MIB).unwrap()).map(drop)
        })?;
        Ok(found)
    });
    assert_eq!(counted.await.unwrap(), SERIES);
    drop(server);
}

#[tokio::test]
async fn labels_that_an_answer_no_longer_has_are_given_back() {
    // Room for the series of one selector, not for those of eight.
    let (server, state) = narrow(true, 10 * MIB).await;
    let sum = ["count(wide)"; 8].join(" + ");
    let (status, text) = server.post("/query", &format!("query={}&time={T}", sum.replace('+', "%2B"))).await;
    assert!(status.is_success() && text.contains(&format!("\"{}\"", 8 * SERIES)), "{text}");
    // Who keeps them all needs the room for all.
    let each: Vec<String> = (0..8).map(|n| format!("label_replace(wide,\"n\",\"{n}\",\"\",\"\")")).collect();
    let (status, text) = server.post("/query", &format!("query={}&time={T}", each.join(" or "))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{}", text.len());
    assert!(text.contains("10 MiB"), "{text}");
    assert_eq!(state.executor().usage().memory_bytes, 0);
}
