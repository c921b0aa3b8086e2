use super::naming::{Named, certain_start, label};
use crate::config::TranslationStrategy;
use proptest::prelude::*;

const STRATEGIES: [TranslationStrategy; 4] = [
    TranslationStrategy::UnderscoreEscapingWithSuffixes,
    TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
    TranslationStrategy::NoUtf8EscapingWithSuffixes,
    TranslationStrategy::NoTranslation,
];

fn metric(name: &str, unit: &str, kind: &str, strategy: TranslationStrategy) -> Option<String> {
    Named { name, unit, is_counter: kind == "counter", is_gauge: kind == "gauge" }.metric(strategy)
}

/// Name, unit and kind; then the name by each strategy, in their order.
#[test]
fn metrics_are_named_as_by_prometheus() {
    let cases = [
        (
            ["http.server.request.duration", "s", "histogram"],
            [
                "http_server_request_duration_seconds",
                "http_server_request_duration",
                "http.server.request.duration_seconds",
            ],
        ),
        (["http.requests", "{request}", "counter"], ["http_requests_total", "http_requests", "http.requests_total"]),
        (
            ["http.requests.total", "1", "counter"],
            ["http_requests_total", "http_requests_total", "http.requests_total"],
        ),
        (["total.requests", "", "counter"], ["requests_total", "total_requests", "total.requests_total"]),
        (
            ["system.cpu.utilization", "1", "gauge"],
            ["system_cpu_utilization_ratio", "system_cpu_utilization", "system.cpu.utilization_ratio"],
        ),
        (["queue.length", "1", "sum"], ["queue_length", "queue_length", "queue.length"]),
        (["ratio.of.ratio", "1", "gauge"], ["of_ratio", "ratio_of_ratio", "ratio.of_ratio"]),
        (["system.io", "By", "counter"], ["system_io_bytes_total", "system_io", "system.io_bytes_total"]),
        (["system.io.bytes", "By", "counter"], ["system_io_bytes_total", "system_io_bytes", "system.io.bytes_total"]),
        (
            ["system.bytes.total.io", "By", "counter"],
            ["system_bytes_io_total", "system_bytes_total_io", "system.bytes.total.io_bytes_total"],
        ),
        (["speed", "m/s", "gauge"], ["speed_meters_per_second", "speed", "speed_meters_per_second"]),
        (
            ["speed.per_second", "m/s", "gauge"],
            ["speed_per_second_meters_per_second", "speed_per_second", "speed_meters_per_second"],
        ),
        (["rate", "{packet}/min", "gauge"], ["rate_per_min", "rate", "rate_per_min"]),
        (["growth", "By/mo", "gauge"], ["growth_bytes_per_month", "growth", "growth_bytes_per_month"]),
        (["disk", "TiBy", "gauge"], ["disk_tibibytes", "disk", "disk_tibibytes"]),
        (["load", "%", "gauge"], ["load_percent", "load", "load_percent"]),
        (["odd", "foo-bar", "gauge"], ["odd_foo_bar", "odd", "odd_foo-bar"]),
        (["2xx", "", "gauge"], ["_2xx", "_2xx", "2xx"]),
        (["a__b..c", "", "gauge"], ["a_b_c", "a__b_c", "a__b..c"]),
        (["job:up:sum", "", "gauge"], ["job:up:sum", "job:up:sum", "job:up:sum"]),
        (["naïve", "", "gauge"], ["na_ve", "na_ve", "naïve"]),
        (["total.rate", "", "gauge"], ["total_rate", "total_rate", "total.rate"]),
        (["total", "1", "counter"], ["total", "total", "total_total"]),
    ];
    for ([name, unit, kind], expected) in cases {
        let expected = expected.into_iter().chain([name]);
        for (strategy, expected) in STRATEGIES.into_iter().zip(expected) {
            let found = metric(name, unit, kind, strategy);
            assert_eq!(found.as_deref(), Some(expected), "{name} {unit} {kind} {strategy:?}");
            assert!(expected.starts_with(&certain_start(name, strategy)), "{name} {strategy:?}");
        }
    }
    for (name, left) in [("", 0), ("...", 2), ("___", 3)] {
        let found = STRATEGIES.into_iter().filter_map(|strategy| metric(name, "s", "gauge", strategy)).count();
        assert_eq!(found, left, "{name:?}: nothing that could be asked for is left by the others");
    }
}

/// OTLP's units, as a word in the name and behind `per`.
#[test]
fn units_are_written_out() {
    let units = [
        ("d", "days"),
        ("h", "hours"),
        ("min", "minutes"),
        ("s", "seconds"),
        ("ms", "milliseconds"),
        ("us", "microseconds"),
        ("ns", "nanoseconds"),
        ("By", "bytes"),
        ("KiBy", "kibibytes"),
        ("MiBy", "mebibytes"),
        ("GiBy", "gibibytes"),
        ("TiBy", "tibibytes"),
        ("KBy", "kilobytes"),
        ("MBy", "megabytes"),
        ("GBy", "gigabytes"),
        ("TBy", "terabytes"),
        ("m", "meters"),
        ("V", "volts"),
        ("A", "amperes"),
        ("J", "joules"),
        ("W", "watts"),
        ("g", "grams"),
        ("Cel", "celsius"),
        ("Hz", "hertz"),
        ("%", "percent"),
        ("1/s", "per_second"),
        ("1/m", "per_minute"),
        ("1/h", "per_hour"),
        ("1/d", "per_day"),
        ("1/w", "per_week"),
        ("1/mo", "per_month"),
        ("1/y", "per_year"),
        ("{fault}/s", "per_second"),
        ("By/{fault}", "bytes"),
        (" s ", "seconds"),
        ("quux", "quux"),
    ];
    for (unit, word) in units {
        for strategy in [STRATEGIES[0], STRATEGIES[2]] {
            assert_eq!(metric("a", unit, "histogram", strategy), Some(format!("a_{word}")), "{unit} {strategy:?}");
        }
        assert_eq!(metric("a", unit, "histogram", STRATEGIES[1]).as_deref(), Some("a"));
    }
    for none in ["", "1", "{}", "{request}", "1/", "{a}/{b}"] {
        assert_eq!(metric("a", none, "histogram", STRATEGIES[0]).as_deref(), Some("a"), "{none}");
    }
}

#[test]
fn labels_are_named_as_by_prometheus() {
    let cases = [
        ("http.route", Some("http_route")),
        ("http..route", Some("http__route")),
        ("1st", Some("key_1st")),
        ("_private", Some("key_private")),
        ("__own", Some("__own")),
        ("é", Some("key_")),
        ("éé", None),
        ("__", Some("__")),
        ("__name__", None),
        ("", None),
    ];
    for (key, expected) in cases {
        for strategy in [STRATEGIES[0], STRATEGIES[1]] {
            assert_eq!(label(key, strategy).as_deref(), expected, "{key}");
        }
        for strategy in [STRATEGIES[2], STRATEGIES[3]] {
            let expected = Some(key).filter(|key| !matches!(*key, "" | "__name__"));
            assert_eq!(label(key, strategy).as_deref(), expected, "{key}");
        }
    }
}

proptest! {
    #[test]
    fn a_name_begins_as_is_certain(
        name in "[a-c0_.é]{0,4}(\\.?(total|ratio|per_second|seconds)){0,3}", unit in "(1|s|By|m/s|x/per_second|\\{a\\}/s)?", kind in "(counter|gauge|histogram)",
    ) {
        for strategy in STRATEGIES {
            if let Some(found) = metric(&name, &unit, &kind, strategy) {
                let start = certain_start(&name, strategy);
                prop_assert!(found.starts_with(&start), "{name} {unit} {kind} {strategy:?}: {found} {start}");
            }
        }
    }
}
