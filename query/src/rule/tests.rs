//! Do groups of rules do what their files say, by a clock that the test moves?

use super::file::parse;
use super::*;
use crate::config::Config;
use crate::door::Door;
use crate::fixture::{Fixture, NOW, text_map};
use crate::http::{Host, QueryState, router};
use crate::prometheus::protobuf::WriteRequest;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use prost::Message as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::engine::{Engine, Write};
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::record::Number;
use storage::model::verbatim::{Role, STALE_BITS};
use storage::model::{MetricHead, Point, PointBatchBuilder, PointData, TenantId};
use tower::ServiceExt;

/// Stores a sample of a series that bears Prometheus's names.
async fn put(engine: &Engine, tenant: &TenantId, labels: &[(&str, &str)], value: f64, time: i64) {
    let mut builder = PointBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope { name: Role::Samples.scope(), ..Scope::default() });
    let name = labels.iter().find(|(name, _)| *name == "__name__").unwrap().1;
    let others: Vec<(&str, &str)> = labels.iter().copied().filter(|(name, _)| *name != "__name__").collect();
    let (metadata, attributes) = (text_map(&[]), text_map(&others));
    let metadata = Map::new(&metadata);
    builder.set_metric(&MetricHead { name, unit: "", description: "", metadata, temporality: 0, is_monotonic: false });
    let is_stale = value.to_bits() == STALE_BITS;
    let point = Point {
        attributes: Map::new(&attributes),
        time: time * 1_000_000,
        start_time: None,
        flags: u32::from(is_stale),
        exemplars: &[],
        data: PointData::Gauge((!is_stale).then_some(Number::Double(value))),
    };
    builder.append(&point).unwrap();
    let (batch, payload) = (builder.finish().unwrap(), b"a request".as_slice().into());
    let write = Write { tenant: tenant.clone(), signal: batch.signal(), received_at: NOW, payload, batch };
    engine.append(write).await.unwrap();
}

/// A server whose rules write into its own store, and a file of rules.
struct World {
    fixture: Fixture,
    rules: Rules,
    state: Arc<QueryState>,
    router: Router,
    /// Whether the door refuses.
    is_shut: Arc<AtomicBool>,
    dir: tempfile::TempDir,
}

impl World {
    fn new(text: &str) -> Self {
        let (fixture, dir, is_shut) = (Fixture::new(), tempfile::tempdir().unwrap(), Arc::default());
        std::fs::write(dir.path().join("rules.yml"), text).unwrap();
        let (state, rules) = World::start(&fixture, dir.path(), &is_shut);
        let router = router(Arc::clone(&state));
        World { fixture, rules, state, router, is_shut, dir }
    }

    fn start(fixture: &Fixture, dir: &std::path::Path, is_shut: &Arc<AtomicBool>) -> (Arc<QueryState>, Rules) {
        let engine = Arc::clone(&fixture.engine);
        let state = QueryState::new(Config::default(), engine.clone(), fixture.clock.clone(), Host::default()).unwrap();
        let state = Arc::new(state);
        let is_shut = Arc::clone(is_shut);
        let door = Door::new(move |tenant, message| {
            let (engine, is_shut) = (Arc::clone(&engine), Arc::clone(&is_shut));
            async move {
                if is_shut.load(Ordering::Relaxed) {
                    return Err("the door is shut".to_owned());
                }
                let WriteRequest { symbols, series } = WriteRequest::decode(message).unwrap();
                for series in series {
                    let text = |place: &u32| symbols[*place as usize].as_str();
                    let labels: Vec<(&str, &str)> =
                        series.labels.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
                    for sample in series.samples {
                        put(&engine, &tenant, &labels, sample.value, sample.timestamp).await;
                    }
                }
                Ok(())
            }
        });
        let files = vec![dir.join("*.yml").to_str().unwrap().to_owned()];
        let rules = Rules::new(RulesConfig { files }, Arc::clone(&state), door);
        (state, rules)
    }

    /// As if the process had been killed and started anew.
    fn restart(&mut self) {
        (self.state, self.rules) = World::start(&self.fixture, self.dir.path(), &self.is_shut);
        self.router = router(Arc::clone(&self.state));
    }

    fn now(&self) -> i64 {
        self.state.now() / 1_000_000
    }

    async fn put(&self, labels: &[(&str, &str)], value: f64) {
        put(&self.fixture.engine, &TenantId::default(), labels, value, self.now()).await;
    }

    /// Lets time pass; groups whose time has come are evaluated.
    async fn pass(&mut self, seconds: u64) {
        self.fixture.clock.advance(Duration::from_secs(seconds));
        self.rules.step().await;
        self.rules.settle().await;
    }

    async fn get(&self, path: &str, tenant: &str) -> (u16, Value) {
        let request = Request::get(format!("/prometheus/api/v1{path}")).header("x-scope-orgid", tenant);
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn data(&self, path: &str) -> Value {
        let (status, answer) = self.get(path, "default").await;
        assert_eq!((status, &answer["status"]), (200, &json!("success")), "{answer}");
        let bare = path.split('?').next().unwrap();
        if matches!(bare, "/rules" | "/alerts") {
            crate::http::check_answer(&format!("/prometheus/api/v1{bare}"), &answer);
        }
        answer["data"].clone()
    }

    /// Labels and values of a query, at the present moment.
    async fn ask(&self, query: &str) -> Vec<(Value, String)> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let time = self.now() as f64 / 1_000.0;
        let data = self.data(&format!("/query?query={query}&time={time}")).await;
        let rows = data["result"].as_array().unwrap().iter();
        rows.map(|row| (row["metric"].clone(), row["value"][1].as_str().unwrap().to_owned())).collect()
    }

    async fn values(&self, query: &str) -> Vec<String> {
        self.ask(query).await.into_iter().map(|(_, value)| value).collect()
    }

    async fn rule(&self, name: &str) -> Value {
        let data = self.data("/rules").await;
        let groups = data["groups"].as_array().unwrap().iter();
        let mut rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        rules.find(|rule| rule["name"] == name).cloned().unwrap_or(Value::Null)
    }

    fn metric(&self, name: &str) -> String {
        let mut text = String::new();
        self.state.rules().render_metrics(&mut text);
        let line = text.lines().find(|line| line.starts_with(&format!("spanlight_rule_{name}")));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }
}

const SHOP: &str = "
groups:
- name: shop
  interval: 15s
  labels: {team: a}
  rules:
  - record: job:requests:sum
    expr: sum by (job) (requests)
    labels: {kind: sum}
  - record: job:requests:double
    expr: 2 * job:requests:sum
";

#[tokio::test]
async fn l1_recorded_series_are_stored_and_the_next_rule_sees_them() {
    let mut world = World::new(SHOP);
    world.put(&[("__name__", "requests"), ("job", "x"), ("instance", "1")], 3.0).await;
    world.put(&[("__name__", "requests"), ("job", "x"), ("instance", "2")], 4.0).await;
    assert_eq!(world.data("/rules").await, json!({ "groups": [] }));
    world.pass(0).await;
    assert_eq!(world.rule("job:requests:sum").await["health"], "unknown");
    world.pass(15).await;
    let sum = json!({ "__name__": "job:requests:sum", "job": "x", "kind": "sum", "team": "a" });
    assert_eq!(world.ask("job:requests:sum").await, [(sum, "7".to_owned())]);
    let double = json!({ "__name__": "job:requests:double", "job": "x", "kind": "sum", "team": "a" });
    assert_eq!(world.ask("job:requests:double").await, [(double, "14".to_owned())]);
    let rule = world.rule("job:requests:sum").await;
    let expected = json!({
        "name": "job:requests:sum", "query": "sum by (job) (requests)", "labels": { "kind": "sum", "team": "a" },
        "health": "ok", "evaluationTime": rule["evaluationTime"], "lastEvaluation": rule["lastEvaluation"], "type": "recording",
    });
    assert_eq!(rule, expected);
    assert_eq!(rule["lastEvaluation"], "2026-11-23T06:00:15Z");
    assert_eq!(
        (world.metric("evaluations_total"), world.metric("group_last_evaluation_samples")),
        ("2".into(), "2".into())
    );
}

#[tokio::test]
async fn l3_a_series_that_is_not_given_any_more_ends() {
    let mut world = World::new(SHOP);
    world.pass(0).await;
    world.put(&[("__name__", "requests"), ("job", "x")], 3.0).await;
    world.put(&[("__name__", "requests"), ("job", "y")], 4.0).await;
    world.pass(15).await;
    assert_eq!(world.values("sort(job:requests:sum)").await, ["3", "4"]);
    world.put(&[("__name__", "requests"), ("job", "y")], f64::from_bits(STALE_BITS)).await;
    world.pass(15).await;
    assert_eq!(world.values("job:requests:sum").await, ["3"], "and not until it is five minutes old");
    // What the door did not take is no sample, and said so; the end is told later.
    world.put(&[("__name__", "requests"), ("job", "x")], f64::from_bits(STALE_BITS)).await;
    world.is_shut.store(true, Ordering::Relaxed);
    world.pass(15).await;
    let rule = world.rule("job:requests:sum").await;
    assert_eq!((&rule["health"], &rule["lastError"]), (&json!("err"), &json!("the door is shut")));
    assert_eq!(world.values("job:requests:sum").await, ["3"]);
    world.is_shut.store(false, Ordering::Relaxed);
    world.pass(15).await;
    assert_eq!(world.values("job:requests:sum").await, Vec::<String>::new());
    assert_eq!(world.rule("job:requests:sum").await["health"], "ok");
    assert_eq!(world.metric("evaluation_failures_total"), "2");
}

#[tokio::test]
async fn what_promql_warns_of_is_told_of_a_rule() {
    let rule = "{record: q, expr: 'histogram_quantile(0.5, requests)'}";
    let mut world = World::new(&format!("groups: [{{name: a, interval: 15s, rules: [{rule}]}}]"));
    world.pass(0).await;
    world.put(&[("__name__", "requests"), ("job", "x")], 3.0).await;
    world.pass(15).await;
    let rule = world.rule("q").await;
    let warning = "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" for metric name \"requests\" (1:25)";
    assert_eq!((&rule["health"], &rule["warnings"]), (&json!("ok"), &json!([warning])));
    world.put(&[("__name__", "requests"), ("job", "x")], f64::from_bits(STALE_BITS)).await;
    world.pass(15).await;
    assert!(world.rule("q").await.get("warnings").is_none());
}

#[tokio::test]
async fn l1_moments_without_an_evaluation_are_counted() {
    let mut world = World::new(SHOP);
    world.pass(0).await;
    world.pass(15).await;
    // The group's moments lie somewhere in their interval, by its file's name: four of them pass.
    world.pass(60).await;
    assert_eq!(
        (world.metric("group_iterations_total"), world.metric("group_iterations_missed_total")),
        ("2".into(), "3".into())
    );
    // The clock jumps back by a day; it goes on.
    world.fixture.clock.set(world.state.now() - 86_400_000_000_000);
    world.pass(15).await;
    assert_eq!(world.metric("group_iterations_total"), "3");
}

#[tokio::test]
async fn l2_a_rule_that_fails_costs_itself_only() {
    let mut world = World::new(
        "groups: [{name: g, interval: 15s, limit: 1, rules: [
           {record: one, expr: 'a + on() b'}, {record: two, expr: a}, {record: three, expr: '1'}, {record: four, expr: 'a[5m]'},
           {record: five, expr: 'label_replace(a, \"x\", \"\", \"x\", \".*\")'}, {record: six, expr: 'b', labels: {x: same}}]}]",
    );
    for (name, x) in [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")] {
        world.put(&[("__name__", name), ("x", x)], 1.0).await;
    }
    world.pass(0).await;
    world.pass(15).await;
    assert_eq!(world.values("three").await, ["1"]);
    for (name, expected) in [
        ("one", "found duplicate series"),
        ("two", "exceeded limit of 1 with 2 series"),
        ("four", "rule result is not a vector or scalar"),
        ("five", "same labelset"),
        ("six", "vector contains metrics with the same labelset after applying rule labels"),
    ] {
        let rule = world.rule(name).await;
        let error = rule["lastError"].as_str().unwrap();
        assert!(rule["health"] == "err" && error.contains(expected), "{name}: {error}");
        assert_eq!(world.values(name).await, Vec::<String>::new());
    }
    assert!(world.rule("three").await.get("lastError").is_none());
}

const ALERT: &str = "
groups:
- name: alerts
  interval: 30s
  rules:
  - alert: Down
    expr: up == 0
    for: 1m
    keep_firing_for: 45s
    labels: {severity: '{{ if eq $labels.job \"db\" }}page{{ else }}mail{{ end }}'}
    annotations:
      summary: '{{ $labels.job | title }} of {{ $labels.instance }} is {{ $value }}, one of {{ query \"count(up)\" | first | value }}'
      broken: '{{ index $labels 1 }}'
";

#[tokio::test]
async fn alerts_are_pending_then_firing_then_kept_then_gone() {
    let mut world = World::new(ALERT);
    let up = [("__name__", "up"), ("job", "db"), ("instance", "1")];
    world.put(&up, 1.0).await;
    world.pass(0).await;
    assert_eq!(world.rule("Down").await["state"], "unknown");
    world.pass(30).await;
    assert_eq!(world.rule("Down").await["state"], "inactive");
    assert_eq!(world.data("/alerts").await, json!({ "alerts": [] }));
    world.put(&up, 0.0).await;
    world.pass(30).await;
    let alerts = world.data("/alerts").await;
    let active_at = alerts["alerts"][0]["activeAt"].clone();
    let labels = json!({ "alertname": "Down", "instance": "1", "job": "db", "severity": "page" });
    let broken =
        "<error expanding template: 1:4: error calling index: can't index item of type map[string]string by int>";
    let annotations = json!({ "summary": "Db of 1 is 0, one of 1", "broken": broken });
    let alert = json!({ "labels": labels, "annotations": annotations, "state": "pending", "activeAt": active_at, "value": "0e+00" });
    assert_eq!(alerts, json!({ "alerts": [alert] }));
    assert_eq!(world.metric("template_failures_total"), "1");
    world.pass(30).await;
    let mut own = labels.clone();
    own["__name__"] = json!("ALERTS");
    own["alertstate"] = json!("pending");
    assert_eq!(world.ask("ALERTS").await, [(own.clone(), "1".to_owned())]);
    world.pass(30).await;
    own["alertstate"] = json!("firing");
    assert_eq!(world.ask("ALERTS").await, [(own, "1".to_owned())], "and the pending one has ended");
    let since: jiff::Timestamp = active_at.as_str().unwrap().parse().unwrap();
    assert_eq!(world.values("ALERTS_FOR_STATE").await, [since.as_second().to_string()]);
    let rule = world.rule("Down").await;
    assert_eq!((&rule["state"], &rule["duration"], &rule["keepFiringFor"]), (&json!("firing"), &json!(60), &json!(45)));
    assert_eq!((&rule["type"], &rule["alerts"][0]["activeAt"]), (&json!("alerting"), &active_at));
    assert_eq!(rule["labels"]["severity"], "{{ if eq $labels.job \"db\" }}page{{ else }}mail{{ end }}");
    world.put(&up, 1.0).await;
    world.pass(30).await;
    let kept = world.rule("Down").await;
    assert!(kept["state"] == "firing" && kept["alerts"][0]["keepFiringSince"].is_string(), "{kept}");
    world.pass(30).await;
    world.pass(30).await;
    assert_eq!(world.rule("Down").await["state"], "inactive");
    assert_eq!(world.values("ALERTS").await, Vec::<String>::new());
    assert_eq!(world.values("ALERTS_FOR_STATE").await, Vec::<String>::new());
}

#[tokio::test]
async fn l4_how_long_an_alert_is_pending_survives_a_restart() {
    let text = "groups: [{name: g, interval: 1m, rules: [{alert: Slow, expr: 'slow > 0', for: 1h, labels: {a: '{{ $labels.job }}'}}]}]";
    let mut world = World::new(text);
    let slow = [("__name__", "slow"), ("job", "db")];
    world.pass(0).await;
    for _ in 0..20 {
        world.put(&slow, 1.0).await;
        world.pass(60).await;
    }
    let written = world.values("ALERTS_FOR_STATE").await;
    let since: i64 = written[0].parse().unwrap();
    world.fixture.clock.advance(Duration::from_secs(300));
    world.restart();
    world.pass(0).await;
    let mut states = Vec::new();
    for _ in 0..3 {
        world.put(&slow, 1.0).await;
        world.pass(60).await;
        states.push(
            world.rule("Slow").await["alerts"][0]["activeAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap(),
        );
    }
    // Its time went on for what the server was not there to see, and no further.
    let moved = states[2].as_second() - since;
    assert!((300..=480).contains(&moved), "{moved}");
    let written = world.values("ALERTS_FOR_STATE").await;
    assert_eq!(written, [states[2].as_second().to_string()]);
    // Away for longer than an hour, it begins anew.
    world.fixture.clock.advance(Duration::from_secs(3_700));
    world.restart();
    world.pass(0).await;
    for _ in 0..3 {
        world.put(&slow, 1.0).await;
        world.pass(60).await;
    }
    let alert = world.rule("Slow").await["alerts"][0]["activeAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(world.now() / 1_000 - alert.as_second() <= 180);
}

#[tokio::test]
async fn l5_files_are_read_again_and_what_stays_goes_on() {
    let mut world = World::new(SHOP);
    let path = world.dir.path().join("rules.yml");
    let requests = [("__name__", "requests"), ("job", "x")];
    world.put(&requests, 3.0).await;
    world.pass(0).await;
    world.pass(15).await;
    // A second file of which one cannot be used: nothing changes.
    let other = world.dir.path().join("other.yml");
    std::fs::write(&other, "groups: [{name: more, rules: [{record: a, expr: 'sum('}]}]").unwrap();
    world.pass(15).await;
    assert_eq!(world.metric("files_usable"), "0");
    assert_eq!(world.data("/rules").await["groups"].as_array().unwrap().len(), 1);
    std::fs::write(&other, "groups: [{name: more, interval: 15s, rules: [{record: extra, expr: '1'}]}]").unwrap();
    std::fs::write(
        &path,
        SHOP.replace("2 *", "3 *")
            .replace("job:requests:sum\n    expr", "job:sum\n    expr")
            .replace("* job:requests:sum", "* job:sum"),
    )
    .unwrap();
    world.pass(15).await;
    assert_eq!(world.metric("files_usable"), "1");
    world.pass(15).await;
    assert_eq!(world.values("job:sum").await, ["3"]);
    assert_eq!(world.values("job:requests:double").await, ["9"]);
    assert_eq!(world.values("extra").await, ["1"]);
    assert_eq!(world.values("job:requests:sum").await, Vec::<String>::new(), "the old name has ended");
    std::fs::remove_file(&other).unwrap();
    world.pass(15).await;
    assert_eq!(world.data("/rules").await["groups"].as_array().unwrap().len(), 1);
    world.pass(15).await;
    assert_eq!(world.values("extra").await, ["1"], "another group might give it");
    world.pass(15).await;
    assert_eq!(world.values("extra").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_group_looks_back_by_its_offset_and_at_its_tenant_only() {
    let text = "groups:\n- {name: a, interval: 15s, query_offset: 30s, rules: [{record: late, expr: n}]}\n\
                - {name: b, interval: 15s, tenant: other, rules: [{record: theirs, expr: n}]}\n";
    let mut world = World::new(text);
    let other = TenantId::new("other").unwrap();
    world.pass(0).await;
    world.put(&[("__name__", "n")], 1.0).await;
    put(&world.fixture.engine, &other, &[("__name__", "n")], 5.0, world.now()).await;
    world.pass(15).await;
    assert_eq!(world.values("late").await, Vec::<String>::new());
    world.pass(15).await;
    world.pass(15).await;
    assert_eq!(world.values("late").await, ["1"]);
    assert_eq!(world.values("theirs").await, Vec::<String>::new());
    let names = |answer: Value| -> Vec<String> {
        let groups = answer["data"]["groups"].as_array().unwrap().clone();
        groups.iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(world.get("/rules", "default").await.1), ["a"]);
    assert_eq!(names(world.get("/rules", "other").await.1), ["b"]);
    let (_, theirs) = world.get(&format!("/query?query=theirs&time={}", world.now() / 1_000), "other").await;
    assert_eq!(theirs["data"]["result"][0]["value"][1], "5");
}

#[tokio::test]
async fn rules_are_listed_by_filters_and_pages() {
    let text = "groups:\n- {name: a, rules: [{record: r, expr: '1', labels: {team: x}}, {alert: A, expr: '1', labels: {severity: page}}]}\n\
                - {name: b, limit: 3, interval: 1m30s, rules: [{record: r, expr: '1'}]}\n- {name: c, rules: [{alert: A, expr: 'vector(1)'}, {alert: C, expr: '1'}]}\n- {name: d}\n";
    let mut world = World::new(text);
    world.pass(0).await;
    let path = world.dir.path().join("rules.yml").to_str().unwrap().to_owned();
    let listed = async |query: &str| -> Vec<String> {
        let data = world.data(&format!("/rules?{query}")).await;
        let mut all = Vec::new();
        for group in data["groups"].as_array().unwrap() {
            assert_eq!(group["file"], path);
            for rule in group["rules"].as_array().unwrap() {
                all.push(format!("{}/{}", group["name"].as_str().unwrap(), rule["name"].as_str().unwrap()));
            }
        }
        all
    };
    assert_eq!(listed("").await, ["a/r", "a/A", "b/r", "c/A", "c/C"]);
    assert_eq!(listed("type=alert").await, ["a/A", "c/A", "c/C"]);
    assert_eq!(listed("type=record").await, ["a/r", "b/r"]);
    assert_eq!(listed("rule_name[]=A&rule_name[]=none").await, ["a/A", "c/A"]);
    assert_eq!(listed("rule_group[]=b&rule_group[]=c&type=record").await, ["b/r"]);
    assert_eq!(listed(&format!("file[]={path}&rule_group[]=a")).await, ["a/r", "a/A"]);
    assert_eq!(listed("file[]=other").await, Vec::<String>::new());
    assert_eq!(listed("match[]={team=%22x%22}&match[]={severity=~%22p.*%22}").await, ["a/r", "a/A"]);
    let data = world.data("/rules?rule_group[]=b").await;
    assert_eq!((&data["groups"][0]["interval"], &data["groups"][0]["limit"]), (&json!(90), &json!(3)));
    assert_eq!(data["groups"][0]["lastEvaluation"], "0001-01-01T00:00:00Z");
    let page = world.data("/rules?group_limit=2").await;
    assert_eq!(page["groups"].as_array().unwrap().len(), 2);
    let token = page["groupNextToken"].as_str().unwrap();
    let page = world.data(&format!("/rules?group_limit=2&group_next_token={token}")).await;
    assert_eq!((&page["groups"][0]["name"], page.get("groupNextToken")), (&json!("c"), None));
    let rule = world.data("/rules?type=alert&exclude_alerts=true").await["groups"][0]["rules"][0].clone();
    assert_eq!(rule["alerts"], Value::Null);
    for (query, expected) in [
        ("type=x", "invalid parameter \"type\": not supported value \"x\""),
        (
            "exclude_alerts=maybe",
            "invalid parameter \"exclude_alerts\": error converting exclude_alerts: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "group_limit=x",
            "invalid parameter \"group_limit\": group_limit needs to be a valid number: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("group_limit=0", "invalid parameter \"group_limit\": group_limit needs to be greater than 0"),
        (
            "group_next_token=x",
            "invalid parameter \"group_next_token\": group_limit needs to be present in order to paginate over the groups",
        ),
        (
            "group_limit=1&group_next_token=x",
            "invalid parameter \"group_next_token\": invalid group_next_token 'x'. were rule groups changed?",
        ),
        ("match[]={a=%22b%22", "invalid parameter \"match[]\": 1:7: parse error: unexpected end of input"),
    ] {
        let (status, answer) = world.get(&format!("/rules?{query}"), "default").await;
        assert_eq!((status, &answer["errorType"]), (400, &json!("bad_data")), "{query}");
        let error = answer["error"].as_str().unwrap();
        assert!(error == expected || query.starts_with("match") && error.contains("match[]"), "{error}");
    }
}

#[test]
fn f1_faults_of_a_file_are_told_with_their_places() {
    let text = "groups:
- name: a
  interval: 5
  rules:
  - record: x
    expr: sum(
  - record: 'y{}'
    expr: up
    for: 1m
    annotations: {a: b}
  - alert: A
    expr: |
      up ==
    labels:
      __name__: x
    annotations:
      summary: 'a {{ $lables.x }}'
      more: \"{{ $value | humanise }}\"
  - expr: up
  - {record: a, alert: b, expr: up}
  - {alert: E}
- name: a
- rules: []
  tenant: a/b
- name: d
  tenant: dead-letters
";
    let faults = parse("r.yml", text).unwrap_err();
    let expected = [
        "r.yml:3:13: group \"a\", interval: not a valid duration string: \"5\"",
        "r.yml:6:11: group \"a\", rule 1, \"x\": could not parse expression: 1:5: parse error: unexpected end of input",
        "r.yml:9:10: group \"a\", rule 2, \"y{}\": invalid field 'for' in recording rule",
        "r.yml:10:22: group \"a\", rule 2, \"y{}\": invalid field 'annotations' in recording rule",
        "r.yml:7:13: group \"a\", rule 2, \"y{}\": braces present in the recording rule name; should it be in expr?: y{}",
        "r.yml:13:7: group \"a\", rule 3, \"A\": could not parse expression: 2:1: parse error: unexpected end of input",
        "r.yml:15:17: group \"a\", rule 3, \"A\": invalid label name: __name__",
        "r.yml:18:13: group \"a\", rule 3, \"A\": annotation \"more\": 1:13: function \"humanise\" not defined",
        "r.yml:17:16: group \"a\", rule 3, \"A\": annotation \"summary\": 1:6: undefined variable \"$lables\"",
        "r.yml:19:5: group \"a\", rule 4, \"\": one of 'record' or 'alert' must be set",
        "r.yml:20:5: group \"a\", rule 5, \"b\": only one of 'record' and 'alert' must be set",
        "r.yml:21:5: group \"a\", rule 6, \"E\": field 'expr' must be set in rule",
        "r.yml:22:3: group \"a\" is repeated in the same file",
        "r.yml:23:3: a group's name must not be empty",
        "r.yml:24:11: group \"\", tenant: ",
        "r.yml:26:11: group \"d\", tenant: `dead-letters` is Spanlight's own",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\n{expected}");
    }
    for (text, expected) in [
        ("groups: [{name: a, intervall: 5s}]", "r.yml:1:"),
        ("groups: [{name: a, rules: [{alert: a, expr: b, lables: {}}]}]", "lables"),
        ("group: []", "r.yml:1:"),
        ("groups: [", "r.yml:1:"),
        ("groups: [{name: a, limit: x}]", "r.yml:1:"),
        ("groups: 1", "r.yml:1:"),
        ("groups: [{name: a, name: b}]", "r.yml:1:"),
        ("\u{0}", "r.yml"),
    ] {
        let faults = parse("r.yml", text).unwrap_err().join("\n");
        assert!(faults.contains(expected) && !faults.contains('\n'), "{text}: {faults}");
    }
}

#[test]
fn f2_what_prometheus_takes_is_taken() {
    for text in ["", "# nothing\n", "groups:\n", "groups: []", "groups: [{name: a, rules: }]"] {
        assert!(parse("r.yml", text).is_ok(), "{text}");
    }
    let text = "groups:
- name: a
  query_offset: 1m
  limit: 10
  labels: &labels {n: 1, empty: }
  rules:
  - record: job:up
    expr: 1
    labels: {<<: *labels, n: 2}
  - alert: A
    expr: up == 0
    for: 1d2h
    keep_firing_for: 0s
    annotations: {dashboard: 'https://example.org/?a={{ $labels.a | urlQueryEscape }}'}
    labels:
";
    let groups = parse("r.yml", text).unwrap();
    let [record, alert] = groups[0].rules.as_slice() else { panic!("{groups:?}") };
    assert_eq!((groups[0].interval, groups[0].query_offset, groups[0].limit), (60_000, 60_000, 10));
    assert_eq!((record.query.as_str(), record.labels["n"].as_str(), record.labels["empty"].as_str()), ("1", "2", ""));
    let RuleKind::Alerting(alerting) = &alert.kind else { panic!("{alert:?}") };
    assert_eq!((alerting.hold, alerting.keep, alert.labels["n"].as_str()), (93_600_000, 0, "1"));
}

#[test]
fn files_are_named_or_found() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("sub")).unwrap();
    std::fs::write(at("sub/a.yml"), "groups: [{name: a}]").unwrap();
    std::fs::write(at("b.yml"), "groups: [{name: a}]").unwrap();
    let check = |files: &[&str]| RulesConfig { files: files.iter().map(|name| at(name)).collect() }.check(true);
    let read =
        |files: &[&str]| RulesConfig { files: files.iter().map(|name| at(name)).collect() }.read().unwrap().len();
    assert_eq!((check(&["*/*.yml", "b.yml"]), read(&["*/*.yml", "b.yml", "b.yml", "?.yml"])), (Ok(()), 2));
    assert_eq!(check(&["none/*.yml"]), Ok(()), "a pattern may find none");
    assert!(check(&["none.yml"]).unwrap_err().contains("none.yml: No such file"));
    assert!(check(&["a***"]).unwrap_err().contains("`rules.files`"));
    std::fs::write(at("b.yml"), [0xff, 0xfe]).unwrap();
    assert!(check(&["b.yml"]).unwrap_err().contains("b.yml: "));
    std::fs::write(at("b.yml"), "#".repeat((4 << 20) + 1)).unwrap();
    assert!(check(&["b.yml"]).unwrap_err().contains("longer than 4194304 bytes"));
    assert_eq!((RulesConfig::default().check(true), RulesConfig::default().check(false)), (Ok(()), Ok(())));
    assert!(RulesConfig { files: vec![at("*.yml")] }.check(false).unwrap_err().contains("for one server"));
}
