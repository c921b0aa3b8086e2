use super::{Origin, Strategy};
use crate::config::{PromoteConfig, TranslationStrategy};
use crate::fixture::text_map;
use crate::prometheus::translate::{GAUGE, HISTOGRAM, SUMMARY, own_labels, target_labels};
use crate::series::Labels;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::metric::Series;
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};

type Texts<'t> = &'t [(&'t str, &'t str)];

fn series(resource: Texts<'_>, scope: Scope<'_>, attributes: Texts<'_>) -> Series {
    series_of(&text_map(resource), scope, attributes)
}

fn series_of(resource: &[u8], scope: Scope<'_>, attributes: Texts<'_>) -> Series {
    let (mut resource_cell, mut scope_cell) = (Vec::new(), Vec::new());
    Resource { attributes: Map::new(resource), ..Resource::default() }.put(&mut resource_cell);
    scope.put(&mut scope_cell);
    Series {
        name: "a".into(),
        r#type: 1,
        service_name: "".into(),
        resource: resource_cell.into(),
        scope: scope_cell.into(),
        unit: "".into(),
        description: "".into(),
        metadata: Vec::new().into(),
        temporality: 0,
        is_monotonic: false,
        attributes: text_map(attributes).into(),
    }
}

fn strategy(promote: PromoteConfig) -> Strategy {
    Strategy::new(TranslationStrategy::default(), &Arc::new(promote))
}

/// `name=value` of each label.
fn labels(strategy: &Strategy, series: &Series) -> Vec<String> {
    own_labels(series, strategy).iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn instance(resource: Texts<'_>) -> String {
    let series = series(resource, Scope::default(), &[]);
    own_labels(&series, &strategy(PromoteConfig::default())).get("instance").to_owned()
}

#[test]
fn o1_a_resource_without_an_instance_has_that_of_its_place() {
    let cases: [(Texts<'_>, &str); 9] = [
        (&[("k8s.namespace.name", "n"), ("k8s.pod.name", "p"), ("k8s.container.name", "c")], "n.p.c"),
        (&[("k8s.pod.name", "p"), ("telemetry.sdk.language", "go"), ("process.pid", "7")], "p:7"),
        (&[("k8s.namespace.name", "n"), ("k8s.pod.uid", "u")], "u"),
        (&[("faas.instance", "f"), ("host.name", "h")], "f"),
        (&[("container.id", "c"), ("host.name", "h")], "c"),
        (&[("host.name", "h"), ("process.pid", "7"), ("cloud.region", "r")], "h:7"),
        (&[("container.id", "c"), ("shard", "1"), ("process.pid", "7")], "c:7"),
        (&[("host.id", "h"), ("service.instance.id", "")], "h"),
        (&[("host.name", "h"), ("host.id", "i")], "h"),
    ];
    for (resource, expected) in cases {
        let instance = instance(resource);
        let (place, number) = instance.split_once('/').unwrap();
        assert_eq!((place, number.len()), (expected, 8), "{resource:?}");
    }
    let one = instance(&[("service.name", "web"), ("host.name", "h")]);
    assert_eq!(one, "h/55c5817c", "it is the same after each start");
}

#[test]
fn o1_a_resource_without_a_place_has_a_number_as_instance() {
    let one = instance(&[("service.name", "web"), ("shard", "1")]);
    assert_eq!(one, "resource-d41d84d577ad079b", "it is the same after each start");
    assert_ne!(instance(&[("service.name", "web"), ("shard", "2")]), one);
    assert!(instance(&[("service.name", "web"), ("deployment.environment.name", "prod")]).starts_with("resource-"));
    assert!(instance(&[("service.namespace", "shop")]).starts_with("resource-"), "`job` does not tell it");
}

#[test]
fn o1_an_instance_is_made_only_where_there_is_something_to_tell() {
    let cases: [(Texts<'_>, &str); 5] = [
        (&[], ""),
        (&[("service.name", "web"), ("service.instance.id", "")], ""),
        (&[("service.namespace", "shop"), ("service.name", "web")], ""),
        (&[("service.name", "web"), ("telemetry.sdk.language", "go"), ("telemetry.sdk.version", "1")], ""),
        (&[("service.instance.id", "i"), ("k8s.pod.name", "p"), ("process.pid", "7")], "i"),
    ];
    for (resource, expected) in cases {
        assert_eq!(instance(resource), expected, "{resource:?}");
    }
}

#[test]
fn o1_resources_that_look_alike_are_told_apart() {
    let pairs: [[Texts<'_>; 2]; 13] = [
        [&[("k8s.pod.name", "p"), ("k8s.pod.uid", "u")], &[("k8s.pod.name", "p"), ("k8s.pod.uid", "v")]],
        [&[("k8s.pod.name", "p")], &[("k8s.pod.name", "p"), ("k8s.cluster.uid", "c")]],
        [&[("k8s.pod.uid", "u"), ("container.id", "1")], &[("k8s.pod.uid", "u"), ("container.id", "2")]],
        [&[("container.id", "c"), ("shard", "1")], &[("container.id", "c"), ("shard", "2")]],
        [&[("host.name", "h"), ("k8s.cluster.name", "1")], &[("host.name", "h"), ("k8s.cluster.name", "2")]],
        [&[("cloud.region", "1")], &[("cloud.region", "2")]],
        [&[("host.name", "h:1")], &[("host.name", "h"), ("process.pid", "1")]],
        [&[("host.name", "h")], &[("host.id", "h")]],
        [&[("host.name", "h")], &[("k8s.pod.name", "h")]],
        [
            &[("k8s.namespace.name", "a"), ("k8s.pod.name", "b.c")],
            &[("k8s.namespace.name", "a.b"), ("k8s.pod.name", "c")],
        ],
        [
            &[("host.name", "h"), ("telemetry.sdk.language", "go")],
            &[("host.name", "h"), ("telemetry.sdk.language", "java")],
        ],
        [
            &[("host.name", "h"), ("service.namespace", "a"), ("service.name", "b/c")],
            &[("host.name", "h"), ("service.namespace", "a/b"), ("service.name", "c")],
        ],
        [&[("host.name", "h")], &[("host.name", "h"), ("shard", "")]],
    ];
    for [one, other] in pairs {
        assert_ne!(instance(one), instance(other), "{one:?} {other:?}");
    }
    let of = |value| {
        let mut map = MapBuilder::default();
        map.push("host.name", Value::String("h"));
        map.push("shard", value);
        let series = series_of(&map.finish(), Scope::default(), &[]);
        own_labels(&series, &strategy(PromoteConfig::default())).get("instance").to_owned()
    };
    let schema = |schema_url| {
        let mut cell = Vec::new();
        Resource { attributes: Map::new(&text_map(&[("host.name", "h")])), schema_url, ..Resource::default() }
            .put(&mut cell);
        let series = Series { resource: cell.into(), ..series(&[], Scope::default(), &[]) };
        own_labels(&series, &strategy(PromoteConfig::default())).get("instance").to_owned()
    };
    assert_ne!(schema("https://a"), schema("https://b"));
    let all = [Value::Int(1), Value::Double(1.0), Value::String("1"), Value::Bytes(b"1"), Value::Empty].map(of);
    let different: BTreeSet<&String> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
}

#[test]
fn o2_what_a_point_says_of_itself_is_kept() {
    let of = |resource: Texts<'_>, attributes: Texts<'_>| {
        labels(
            &strategy(PromoteConfig::default()),
            &series(resource, Scope { name: "lib", ..Scope::default() }, attributes),
        )
    };
    let told: Texts<'_> = &[("service.name", "web"), ("service.instance.id", "i")];
    assert_eq!(
        of(told, &[("job", "web"), ("instance", "0"), ("otel.scope.name", "l"), ("exported_job", "e")]),
        [
            "exported_exported_job=web",
            "exported_instance=0",
            "exported_job=e",
            "exported_otel_scope_name=l",
            "instance=i",
            "job=web",
            "otel_scope_name=lib"
        ]
    );
    let made: Texts<'_> = &[("service.name", "web"), ("host.name", "h")];
    let name = instance(made);
    assert_eq!(
        of(made, &[("instance", "0"), ("job", "j")]),
        ["exported_job=j", "instance=0", "job=web", "otel_scope_name=lib", &format!("resource_instance={name}")]
    );
}

#[test]
fn o2_a_label_of_parts_is_no_attributes() {
    let of = |r#type| {
        let series = Series { r#type, ..series(&[], Scope::default(), &[("le", "1"), ("quantile", "0.5")]) };
        labels(&strategy(PromoteConfig::default()), &series)
    };
    assert_eq!(of(GAUGE), ["le=1", "quantile=0.5"]);
    assert_eq!(of(HISTOGRAM), ["exported_le=1", "quantile=0.5"]);
    assert_eq!(of(SUMMARY), ["exported_quantile=0.5", "le=1"]);
}

#[test]
fn o2_a_resources_own_instance_and_job_are_kept() {
    let all = PromoteConfig { all_resource_attributes: true, ..PromoteConfig::default() };
    let resource: Texts<'_> = &[("service.name", "web"), ("instance", "x"), ("job", "y")];
    let (series, name) = (series(resource, Scope::default(), &[]), instance(resource));
    let expected =
        ["exported_instance=x", &format!("instance={name}"), "job=web", "resource_job=y", "service_name=web"];
    assert_eq!(labels(&strategy(all.clone()), &series), expected);
    let target = target_labels(&series, &strategy(all)).unwrap();
    let target: Vec<String> = target.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected =
        ["__name__=target_info", "exported_instance=x", "exported_job=y", &format!("instance={name}"), "job=web"];
    assert_eq!(target, expected);
}

#[test]
fn o2_attributes_of_resources_are_promoted() {
    let resource: Texts<'_> = &[
        ("service.name", "web"),
        ("service.instance.id", "i"),
        ("k8s.pod.name", "p"),
        ("cloud.region", "r"),
        ("team.name", "t"),
    ];
    let series = series(resource, Scope::default(), &[("cloud.region", "point"), ("job", "j")]);
    let of = |promote| labels(&strategy(promote), &series);
    let none = PromoteConfig { resource_attributes: Vec::new(), ..PromoteConfig::default() };
    assert_eq!(
        of(PromoteConfig::default()),
        ["cloud_region=point", "exported_job=j", "instance=i", "job=web", "k8s_pod_name=p", "resource_cloud_region=r"]
    );
    assert_eq!(of(none.clone()), ["cloud_region=point", "exported_job=j", "instance=i", "job=web"]);
    let listed = PromoteConfig { resource_attributes: vec!["team.name".into(), "other".into()], ..none.clone() };
    assert_eq!(of(listed), ["cloud_region=point", "exported_job=j", "instance=i", "job=web", "team_name=t"]);
    let ignored = vec!["k8s.pod.name".into(), "service.name".into()];
    let all = PromoteConfig { all_resource_attributes: true, ignore_resource_attributes: ignored, ..none };
    let expected = [
        "cloud_region=point",
        "exported_job=j",
        "instance=i",
        "job=web",
        "resource_cloud_region=r",
        "service_instance_id=i",
        "team_name=t",
    ];
    assert_eq!(of(all.clone()), expected);
    let as_is = Strategy::new(TranslationStrategy::NoTranslation, &Arc::new(all));
    let expected = [
        "cloud.region=point",
        "exported_job=j",
        "instance=i",
        "job=web",
        "resource_cloud.region=r",
        "service.instance.id=i",
        "team.name=t",
    ];
    assert_eq!(labels(&as_is, &series), expected);
    // What is promoted is in `target_info` all the same.
    let target = target_labels(&series, &strategy(PromoteConfig::default())).unwrap();
    let target: Vec<String> = target.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = ["__name__=target_info", "cloud_region=r", "instance=i", "job=web", "k8s_pod_name=p", "team_name=t"];
    assert_eq!(target, expected);
}

#[test]
fn scopes_are_told_unless_nobody_wants_them() {
    let attributes = text_map(&[("name", "no"), ("the.team", "t"), ("version", "no")]);
    let scope = Scope {
        name: "lib",
        version: "1.2",
        attributes: Map::new(&attributes),
        schema_url: "https://s",
        ..Scope::default()
    };
    let series = series(&[("service.name", "web")], scope, &[("otel.scope.name", "point")]);
    let expected = [
        "exported_otel_scope_name=point",
        "job=web",
        "otel_scope_name=lib",
        "otel_scope_schema_url=https://s",
        "otel_scope_the_team=t",
        "otel_scope_version=1.2",
    ];
    assert_eq!(labels(&strategy(PromoteConfig::default()), &series), expected);
    let off = PromoteConfig { scope_metadata: false, ..PromoteConfig::default() };
    assert_eq!(labels(&strategy(off), &series), ["job=web", "otel_scope_name=point"]);
}

#[test]
fn what_became_of_another_resource_or_scope_is_not_taken() {
    let strategy = strategy(PromoteConfig::default());
    let of = |resource: Texts<'_>, name| series(resource, Scope { name, ..Scope::default() }, &[]);
    let told: [Texts<'_>; 2] = [&[("service.instance.id", "a")], &[("service.instance.id", "b")]];
    let (a, b, c) = (of(told[0], "s"), of(told[1], "s"), of(told[1], "t"));
    let kept = |series| -> Arc<Origin> { strategy.origin(series) };
    assert!(Arc::ptr_eq(&kept(&a), &kept(&a.clone())));
    assert_eq!(labels(&strategy, &a), ["instance=a", "otel_scope_name=s"]);
    assert_eq!(labels(&strategy, &b), ["instance=b", "otel_scope_name=s"]);
    assert_eq!(labels(&strategy, &c), ["instance=b", "otel_scope_name=t"]);
}

type Random = BTreeMap<String, String>;

fn random(keys: &'static str) -> impl proptest::strategy::Strategy<Value = Random> {
    prop::collection::btree_map(keys, "[ab]{1,2}", 0..4)
}

fn texts(map: &Random) -> Vec<(&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

const RESOURCE: &str = "(service\\.namespace|host\\.name|host\\.id|k8s\\.pod\\.(name|uid)|container\\.id|process\\.pid\
    |k8s\\.cluster\\.name|cloud\\.region|shard|instance)";
const POINT: &str = "(instance|job|cloud\\.region|k8s\\.cluster\\.name|le|shard|otel\\.scope\\.name)";

proptest! {
    /// O1 and O2: the labels are those of one resource and one set of attributes, and so is `target_info`.
    #[test]
    fn o1_o2_what_differs_stays_two(
        one in (random(RESOURCE), random(POINT)), other in (random(RESOURCE), random(POINT)), same in 0..3,
    ) {
        let of = |(resource, attributes): &(Random, Random)| {
            let resource: Vec<(&str, &str)> = texts(resource).into_iter().chain([("service.name", "web")]).collect();
            let series = series(&resource, Scope { name: "lib", ..Scope::default() }, &texts(attributes));
            let strategy = strategy(PromoteConfig::default());
            (labels(&strategy, &series), target_labels(&series, &strategy))
        };
        let other = match same {
            0 => (one.0.clone(), other.1),
            1 => (other.0, one.1.clone()),
            _ => other,
        };
        let (labels, others) = (of(&one), of(&other));
        prop_assert_eq!(one == other, labels.0 == others.0);
        if let (true, Some(target), Some(other)) = (one.0 != other.0, labels.1, others.1) {
            let identity = |labels: &Labels| [labels.get("job").to_owned(), labels.get("instance").to_owned()];
            prop_assert_ne!(identity(&target), identity(&other), "{:?} {:?}", target, other);
        }
    }
}
