use super::naming::{Named, certain_start, label};

fn metric(name: &str, unit: &str, kind: &str) -> Option<String> {
    Named { name, unit, is_counter: kind == "counter", is_gauge: kind == "gauge" }.metric()
}

#[test]
fn metrics_are_named_as_by_prometheus() {
    let cases = [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("http.requests", "{request}", "counter", "http_requests_total"),
        ("http.requests.total", "1", "counter", "http_requests_total"),
        ("total.requests", "", "counter", "requests_total"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("system.io", "By", "counter", "system_io_bytes_total"),
        ("system.io.bytes", "By", "counter", "system_io_bytes_total"),
        ("speed", "m/s", "gauge", "speed_meters_per_second"),
        ("rate", "{packet}/min", "gauge", "rate_per_min"),
        ("disk", "TiBy", "gauge", "disk_tibibytes"),
        ("load", "%", "gauge", "load_percent"),
        ("odd", "foo-bar", "gauge", "odd_foo_bar"),
        ("2xx", "", "gauge", "_2xx"),
        ("a__b..c", "", "gauge", "a_b_c"),
        ("job:up:sum", "", "gauge", "job:up:sum"),
        ("naïve", "", "gauge", "na_ve"),
    ];
    for (name, unit, kind, expected) in cases {
        assert_eq!(metric(name, unit, kind).as_deref(), Some(expected), "{name} {unit} {kind}");
        assert!(expected.starts_with(&certain_start(name)), "{name}");
    }
    assert_eq!(metric("...", "s", "gauge"), None);
}

#[test]
fn labels_are_named_as_by_prometheus() {
    let cases = [
        ("http.route", "http_route"),
        ("http..route", "http__route"),
        ("1st", "key_1st"),
        ("_private", "key_private"),
        ("__own", "__own"),
        ("é", "_"),
    ];
    for (key, expected) in cases {
        let expected = if expected == "_" { "key_" } else { expected };
        assert_eq!(label(key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(label("__name__"), None);
    assert_eq!(label(""), None);
}
