use super::{Origin, Strategy};
use crate::config::{PromoteConfig, TranslationStrategy};
use crate::fixture::text_map;
use crate::prometheus::translate::{own_labels, target_labels};
use proptest::prelude::*;
use std::sync::Arc;
use storage::metric::Series;
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};

type Texts<'t> = &'t [(&'t str, &'t str)];

fn series(resource: Texts<'_>, scope: Scope<'_>, attributes: Texts<'_>) -> Series {
    let (mut resource_cell, mut scope_cell) = (Vec::new(), Vec::new());
    Resource { attributes: Map::new(&text_map(resource)), ..Resource::default() }.put(&mut resource_cell);
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
    let cases: [(Texts<'_>, &str); 10] = [
        (&[("service.instance.id", "i"), ("k8s.pod.name", "p"), ("process.pid", "7")], "i"),
        (&[("k8s.namespace.name", "n"), ("k8s.pod.name", "p"), ("k8s.container.name", "c")], "n.p.c"),
        (&[("k8s.pod.name", "p"), ("telemetry.sdk.language", "go"), ("process.pid", "7")], "p:7"),
        (&[("k8s.namespace.name", "n"), ("k8s.pod.uid", "u")], "u"),
        (&[("faas.instance", "f"), ("host.name", "h")], "f"),
        (&[("container.id", "c"), ("host.name", "h")], "c"),
        (&[("host.name", "h"), ("process.pid", "7"), ("cloud.region", "r")], "h:7"),
        (&[("container.id", "c"), ("shard", "1"), ("process.pid", "7")], "c:7"),
        (&[("host.id", "h")], "h"),
        (&[("telemetry.sdk.language", "go"), ("telemetry.sdk.version", "1"), ("k8s.cluster.name", "c")], ""),
    ];
    for (resource, expected) in cases {
        assert_eq!(instance(resource), expected, "{resource:?}");
    }
}

#[test]
fn o1_a_resource_without_a_place_has_a_number_as_instance() {
    let one = instance(&[("service.name", "web"), ("shard", "1")]);
    assert_eq!(one, "resource-5fa9ae166c2f6a4b", "it is the same after each start");
    assert_eq!(instance(&[("service.name", "api"), ("shard", "1"), ("telemetry.sdk.language", "go")]), one);
    assert_ne!(instance(&[("service.name", "web"), ("shard", "2")]), one);
}

#[test]
fn o1_what_else_a_resource_tells_of_a_place_is_a_number_behind_it() {
    let one = instance(&[("k8s.namespace.name", "n"), ("k8s.pod.name", "p"), ("k8s.pod.uid", "u")]);
    assert_eq!(one, "n.p/9fcad5fc", "it is the same after each start");
    let pairs: [[Texts<'_>; 2]; 4] = [
        [&[("k8s.pod.name", "p"), ("k8s.pod.uid", "u")], &[("k8s.pod.name", "p"), ("k8s.pod.uid", "v")]],
        [&[("k8s.pod.name", "p")], &[("k8s.pod.name", "p"), ("k8s.cluster.uid", "c")]],
        [&[("host.name", "h"), ("host.id", "1")], &[("host.name", "h"), ("host.id", "2")]],
        [&[("host.name", "h"), ("shard", "1")], &[("host.name", "h"), ("shard", "2")]],
    ];
    for [one, other] in pairs {
        assert_ne!(instance(one), instance(other), "{one:?}");
    }
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
        ["cloud_region=point", "instance=i", "job=web", "k8s_pod_name=p", "resource_cloud_region=r"]
    );
    assert_eq!(of(none.clone()), ["cloud_region=point", "instance=i", "job=web"]);
    let listed = PromoteConfig { resource_attributes: vec!["team.name".into(), "other".into()], ..none.clone() };
    assert_eq!(of(listed), ["cloud_region=point", "instance=i", "job=web", "team_name=t"]);
    let ignored = vec!["k8s.pod.name".into(), "service.name".into()];
    let all = PromoteConfig { all_resource_attributes: true, ignore_resource_attributes: ignored, ..none };
    let expected = [
        "cloud_region=point",
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
    let (a, b) = (of(&[("host.name", "a")], "s"), of(&[("host.name", "b")], "s"));
    let c = of(&[("host.name", "b")], "t");
    let kept = |series| -> Arc<Origin> { strategy.origin(series) };
    assert!(Arc::ptr_eq(&kept(&a), &kept(&a.clone())));
    assert_eq!(labels(&strategy, &a), ["instance=a", "otel_scope_name=s"]);
    assert_eq!(labels(&strategy, &b), ["instance=b", "otel_scope_name=s"]);
    assert_eq!(labels(&strategy, &c), ["instance=b", "otel_scope_name=t"]);
}

proptest! {
    /// O1, where neither tells an instance or a place.
    #[test]
    fn o1_resources_that_differ_stay_two(
        one in prop::collection::btree_map("(service\\.name|cloud\\.region|shard|os\\.type)", "[ab]{1,2}", 0..4),
        other in prop::collection::btree_map("(service\\.name|cloud\\.region|shard|os\\.type)", "[ab]{1,2}", 0..4),
    ) {
        let of = |map: &std::collections::BTreeMap<String, String>| {
            let texts: Vec<(&str, &str)> = map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            labels(&strategy(PromoteConfig::default()), &series(&texts, Scope::default(), &[]))
        };
        prop_assert_eq!(one == other, of(&one) == of(&other));
    }
}
