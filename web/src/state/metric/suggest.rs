//! Which queries does a metric deserve? By its kind, under the name that PromQL knows it by.

use super::super::query::complete;
use super::super::query::token::{Kind, Language, tokens};
use query_api::metric::{Metric, MetricType, Series};

/// A query, and what it shows in few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What it shows.
    pub words: &'static str,
    /// The query.
    pub query: String,
}

/// The metric that a page's name means: one of that name, else the first that PromQL calls so.
pub fn meant<'m>(metrics: &'m [Metric], name: &str) -> Option<&'m Metric> {
    let called = || metrics.iter().find(|metric| metric.is_called(name));
    metrics.iter().find(|metric| metric.name == name).or_else(called)
}

/// Queries by the kind of a metric, the best first; none where PromQL cannot name it.
pub fn queries(metric: &Metric) -> Vec<Suggestion> {
    let name = metric.promql_name.as_str();
    if name.is_empty() {
        return Vec::new();
    }
    let plain = complete::is_plain(name, true);
    // In braces a name may have any letters.
    let part = |suffix: &str| {
        if plain { format!("{name}{suffix}") } else { format!("{{{}}}", complete::quoted(&format!("{name}{suffix}"))) }
    };
    let one = |words, query| Suggestion { words, query };
    let own = part("");
    match metric.r#type {
        // A mean of quantiles is none of anything; the mean of what was measured is sum by count.
        MetricType::Summary => {
            let (count, sum) = (part("_count"), part("_sum"));
            vec![
                one("Quantiles", own.clone()),
                one("Highest quantiles by job", format!("max by (job, quantile) ({own})")),
                one("Mean by job", format!("sum by (job) (rate({sum}[5m])) / sum by (job) (rate({count}[5m]))")),
                one("Rate by job", format!("sum by (job) (rate({count}[5m]))")),
            ]
        }
        MetricType::Gauge => vec![
            one("Value", own.clone()),
            one("Mean by job", format!("avg by (job) ({own})")),
            one("Highest by job", format!("max by (job) ({own})")),
        ],
        MetricType::Sum if metric.is_monotonic => vec![
            one("Rate by job", format!("sum by (job) (rate({own}[5m]))")),
            one("Rate", format!("sum(rate({own}[5m]))")),
            one("Growth in an hour", format!("sum by (job) (increase({own}[1h]))")),
        ],
        MetricType::Sum => vec![
            one("Sum by job", format!("sum by (job) ({own})")),
            one("Value by instance", format!("sum by (job, instance) ({own})")),
        ],
        MetricType::Histogram => {
            let (buckets, count, sum) = (part("_bucket"), part("_count"), part("_sum"));
            vec![
                one("p95 by job", format!("histogram_quantile(0.95, sum by (le, job) (rate({buckets}[5m])))")),
                one("Heat map", format!("sum by (le) (rate({buckets}[5m]))")),
                one("Rate by job", format!("sum by (job) (rate({count}[5m]))")),
                one("Mean by job", format!("sum by (job) (rate({sum}[5m])) / sum by (job) (rate({count}[5m]))")),
            ]
        }
        MetricType::ExponentialHistogram => vec![
            one("p95 by job", format!("histogram_quantile(0.95, sum by (job) (rate({own}[5m])))")),
            one("Heat map", format!("sum(rate({own}[5m]))")),
            one("Rate by job", format!("histogram_count(sum by (job) (rate({own}[5m])))")),
            one("Mean by job", format!("histogram_avg(sum by (job) (rate({own}[5m])))")),
        ],
    }
}

/// The query that shows a metric whose points are those of its parts.
pub fn of_parts(metric: &Metric) -> Option<String> {
    let words = if metric.r#type == MetricType::Summary { "Quantiles" } else { "Heat map" };
    let all = if metric.is_in_parts { queries(metric) } else { Vec::new() };
    all.into_iter().find(|one| one.words == words).map(|one| one.query)
}

/// A series as its metric is: that it counts may have been told apart from its points.
pub fn as_told(series: &Series, metric: Option<&Metric>) -> Series {
    let mut own = series.clone();
    own.unit = own_unit(&own.unit, &own.name);
    if let Some(metric) = metric.filter(|m| (own.r#type, m.r#type) == (MetricType::Gauge, MetricType::Sum)) {
        (own.r#type, own.is_monotonic, own.temporality) = (metric.r#type, metric.is_monotonic, metric.temporality);
    }
    own
}

/// The unit of a metric: what it says, else what its name tells, as Prometheus's names do.
pub fn own_unit(unit: &str, name: &str) -> String {
    if unit.is_empty() { unit_of_name(name).to_owned() } else { unit.to_owned() }
}

fn unit_of_name(name: &str) -> &'static str {
    let base =
        ["_bucket", "_sum", "_total"].iter().fold(name, |name, suffix| name.strip_suffix(suffix).unwrap_or(name));
    let own = [("_seconds", "s"), ("_milliseconds", "ms"), ("_bytes", "By"), ("_percent", "%")];
    own.iter().find(|(suffix, _)| base.ends_with(suffix)).map_or("", |(_, unit)| unit)
}

/// The unit of what a query shows, where its functions and the name of its first metric tell it; else none.
pub fn unit(query: &str) -> String {
    let words: Vec<(Kind, &str)> = tokens(Language::PromQl, query)
        .into_iter()
        .filter(|token| token.kind != Kind::Blank)
        .map(|token| (token.kind, token.text(query)))
        .collect();
    let has = |names: &[&str]| words.iter().any(|(kind, word)| *kind == Kind::Function && names.contains(word));
    let has_sign = |signs: &[&str]| words.iter().any(|(kind, word)| *kind == Kind::Sign && signs.contains(word));
    let metric =
        words.iter().find(|(kind, word)| *kind == Kind::Name && word.contains('_')).map_or("", |(_, word)| word);
    let quantile = has(&["histogram_quantile", "histogram_avg", "histogram_sum", "histogram_stddev"]);
    let is_mean = has_sign(&["/"]) && query.contains("_sum") && query.contains("_count");
    if has(&["count", "absent", "changes", "resets", "histogram_fraction", "time", "timestamp"])
        || (has_sign(&["/", "*", "==", ">", "<"]) && !is_mean)
    {
        return String::new();
    }
    let counts = metric.ends_with("_count") || has(&["histogram_count"]);
    let own = unit_of_name(metric);
    let per_second = has(&["rate", "irate", "deriv"]);
    match (own, per_second && !quantile && !is_mean) {
        (_, true) if counts || metric.ends_with("_bucket") => "/s".to_owned(),
        ("", true) => "/s".to_owned(),
        ("s", true) => "s/s".to_owned(),
        (own, true) => format!("{own}/s"),
        _ if counts && !is_mean => String::new(),
        (own, false) => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, r#type: MetricType) -> Metric {
        Metric {
            name: name.into(),
            r#type,
            unit: "s".into(),
            description: "d".into(),
            is_monotonic: true,
            ..Metric::default()
        }
    }

    #[test]
    fn a_page_finds_a_metric_by_either_name() {
        let of =
            |name: &str, promql_name: &str, r#type| Metric { promql_name: promql_name.into(), ..metric(name, r#type) };
        let all = [
            of("http.server", "http_server_seconds", MetricType::Histogram),
            of("http.server.total", "http_server_seconds_total", MetricType::Sum),
            of("http_server_seconds_sum", "http_server_seconds_sum", MetricType::Gauge),
            of("§", "", MetricType::Gauge),
        ];
        for (name, expected) in [
            ("http.server", Some(0)),
            ("http_server_seconds", Some(0)),
            ("http_server_seconds_bucket", Some(0)),
            ("http_server_seconds_sum", Some(2)),
            ("http_server_seconds_total", Some(1)),
            ("http_server_seconds_total_count", None),
            ("http_server", None),
            ("§", Some(3)),
            ("", None),
        ] {
            assert_eq!(meant(&all, name), expected.map(|at: usize| &all[at]), "{name}");
        }
    }

    #[test]
    fn each_kind_has_queries_of_its_own() {
        let named = |r#type, name: &str| Metric { promql_name: name.into(), ..metric("x", r#type) };
        let first = |r#type, name: &str| queries(&named(r#type, name))[0].query.clone();
        assert!(queries(&named(MetricType::Gauge, "")).is_empty());
        assert_eq!(first(MetricType::Sum, "a_total"), "sum by (job) (rate(a_total[5m]))");
        assert_eq!(
            first(MetricType::Histogram, "a.b"),
            "histogram_quantile(0.95, sum by (le, job) (rate({\"a.b_bucket\"}[5m])))"
        );
        assert_eq!(first(MetricType::Gauge, "g"), "g");
    }

    #[test]
    fn what_came_in_parts_is_asked_for_by_its_parts() {
        let shown =
            |r#type, is_in_parts| of_parts(&Metric { is_in_parts, promql_name: "lat".into(), ..metric("lat", r#type) });
        assert_eq!(shown(MetricType::Histogram, true).as_deref(), Some("sum by (le) (rate(lat_bucket[5m]))"));
        assert_eq!(shown(MetricType::Summary, true).as_deref(), Some("lat"));
        assert_eq!((shown(MetricType::Histogram, false), shown(MetricType::Gauge, true)), (None, None));
    }

    #[test]
    fn what_was_told_to_count_is_drawn_as_what_counts() {
        let series = Series { r#type: MetricType::Gauge, ..Series::default() };
        let told = as_told(&series, Some(&metric("a_total", MetricType::Sum)));
        assert!(told.r#type == MetricType::Sum && told.is_monotonic);
        assert_eq!(as_told(&series, Some(&metric("a", MetricType::Gauge))), series);
        assert_eq!(as_told(&series, None), series);
    }

    #[test]
    fn a_name_tells_the_unit_that_nobody_told() {
        assert_eq!(own_unit("", "process_resident_memory_bytes"), "By");
        assert_eq!(own_unit("", "cpu_seconds_total"), "s");
        assert_eq!((own_unit("ms", "a_seconds"), own_unit("", "jobs_done_total")), ("ms".to_owned(), String::new()));
        let series = Series { name: "a_bytes".to_owned(), ..Series::default() };
        assert_eq!(as_told(&series, None).unit, "By");
    }

    #[test]
    fn quantiles_that_a_sender_computed_are_not_averaged() {
        let all = queries(&Metric { promql_name: "smtp_seconds".into(), ..metric("x", MetricType::Summary) });
        assert!(all.iter().all(|one| !one.query.contains("avg")), "{all:?}");
        let mean = all.iter().find(|one| one.words == "Mean by job").unwrap();
        assert_eq!(
            mean.query,
            "sum by (job) (rate(smtp_seconds_sum[5m])) / sum by (job) (rate(smtp_seconds_count[5m]))"
        );
        assert_eq!(unit(&mean.query), "s");
    }

    #[test]
    fn the_unit_follows_functions_and_name() {
        let cases = [
            ("rate(http_requests_total[5m])", "/s"),
            ("sum by (job) (rate(cpu_seconds_total[5m]))", "s/s"),
            ("rate(net_bytes_total[5m])", "By/s"),
            ("histogram_quantile(0.9, sum by (le) (rate(a_seconds_bucket[5m])))", "s"),
            ("sum by (job) (rate(a_seconds_sum[5m])) / sum by (job) (rate(a_seconds_count[5m]))", "s"),
            ("rate(a_seconds_count[5m])", "/s"),
            ("sum by (le) (rate(a_seconds_bucket[5m]))", "/s"),
            ("go_memory_used_bytes", "By"),
            ("a_bytes / b_bytes", ""),
            ("count(a_seconds)", ""),
            ("1 + 1", ""),
        ];
        for (query, expected) in cases {
            assert_eq!(unit(query), expected, "{query}");
        }
    }
}
