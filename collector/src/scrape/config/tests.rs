//! Is what the file of jobs says taken as Prometheus takes it, and told with its place where it cannot be?

use super::names::{Escaping, Validation};
use super::*;
use std::time::Duration;

fn read(text: &str) -> Result<Vec<Job>, String> {
    parse(text, Path::new("/etc/jobs")).map(|jobs| jobs.list).map_err(|error| error.to_string())
}

/// A file with one job that has these further lines.
fn with(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("scrape_configs:\n- job_name: a\n{indented}")
}

fn job(lines: &str) -> Job {
    read(&with(lines)).unwrap().remove(0)
}

#[test]
fn unknown_keys_are_told_with_their_line() {
    for (text, key, line) in [
        (with("metrics_pth: /x"), "metrics_pth", 3),
        (with("kubernetes_sd_configs: [{role: pod}]"), "kubernetes_sd_configs", 3),
        (with("basic_auth:\n  username: a\n  pasword: b"), "pasword", 5),
        (with("tls_config:\n  ca_fil: b"), "ca_fil", 4),
        (with("static_configs:\n- targets: [a]\n  lables: {}"), "lables", 5),
        (with("http_sd_configs:\n- url: http://a\n  tls_config: {}\n  refresh: 5s"), "refresh", 6),
        (with("etcd_sd_configs:\n- endpoints: ['http://a']\n  prefix: /s\n  key: x"), "key", 6),
        (with("dns_sd_configs:\n- names: [a]\n  typ: A"), "typ", 5),
        (with("relabel_configs:\n- action: keep\n  regx: a"), "regx", 5),
        ("global:\n  external_lables: {}\n".to_owned(), "external_lables", 2),
        ("remote_write: []\n".to_owned(), "remote_write", 1),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(key) && error.contains(&format!("line {line}")), "{text}\n{error}");
    }
}

#[test]
fn what_is_wrong_in_the_file_is_told() {
    for (lines, expected) in [
        ("scrape_interval: 5", "scrape_interval"),
        ("scrape_interval: 5s\nscrape_timeout: 6s", "longer than scrape_interval"),
        ("scheme: ftp", "neither http nor https"),
        ("relabel_configs: [{regex: '('}]", "cannot be used"),
        ("relabel_configs: [{action: hashmod, target_label: x}]", "modulus"),
        ("relabel_configs: [{action: hash, target_label: x}]", "\"hash\" is no action; there are replace, keep"),
        ("relabel_configs: [{action: uppercase}]", "action uppercase needs target_label"),
        ("relabel_configs: [{action: labeldrop, source_labels: [a], regex: b}]", "action labeldrop has regex only"),
        ("relabel_configs: [{action: keepequal, target_label: a, regex: b}]", "source_labels and target_label only"),
        ("body_size_limit: ten", "no size"),
        ("scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]", "one twice"),
        ("scrape_protocols: [text]", "unknown variant `text`"),
        ("basic_auth: {username: a}\nauthorization: {credentials: b}", "of basic_auth, authorization and oauth2 one"),
        ("basic_auth: {username: a, username_file: b}", "username and username_file are both there"),
        ("bearer_token: a\nauthorization: {credentials: b}", "bearer_token and authorization are both there"),
        ("bearer_token: a\nbearer_token_file: b", "credentials and credentials_file are both there"),
        ("authorization: {type: basic, credentials: b}", "is basic_auth"),
        ("oauth2: {client_id: a, token_url: nowhere}", "token_url \"nowhere\" is no URL"),
        ("tls_config: {cert_file: a}", "a certificate and its key come together"),
        ("tls_config: {max_version: TLS11}", "max_version is below TLS12"),
        ("tls_config: {min_version: SSL3}", "unknown variant `SSL3`"),
        ("proxy_url: 'a b'", "proxy_url"),
        ("http_headers: {Authorization: {values: [a]}}", "\"Authorization\" cannot be set"),
        ("http_headers: {'a b': {values: [a]}}", "\"a b\" cannot be set"),
        ("file_sd_configs: [{files: [a.txt]}]", "ends neither in .json nor"),
        ("file_sd_configs: [{files: ['a*/b.json']}]", "a star before its last part"),
        ("http_sd_configs: [{url: 'ftp://a'}]", "neither http nor https"),
        ("http_sd_configs: [{url: 'http://a', refresh_interval: 0s}]", "refresh_interval is 0"),
        ("dns_sd_configs: [{names: []}]", "no names"),
        ("dns_sd_configs: [{names: [a], type: A}]", "records of another type than SRV need a port"),
        ("dns_sd_configs: [{names: [a], type: TXT}]", "unknown variant `TXT`"),
        ("etcd_sd_configs: [{endpoints: [], prefix: /a}]", "endpoints and a prefix are needed"),
        ("etcd_sd_configs: [{endpoints: [a], prefix: /a}]", "etcd_sd_configs: endpoint \"a\" is no URL"),
        ("etcd_sd_configs: [{endpoints: ['http://a'], prefix: /a, bearer_token: x}]", "users and passwords only"),
        ("static_configs: [{targets: [a], labels: {'': b}}]", "a label has an empty name"),
        ("metric_name_validation_scheme: ascii", "unknown variant `ascii`"),
        (
            "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8",
            "metric_name_escaping_scheme is allow-utf-8, metric_name_validation_scheme is legacy",
        ),
        (
            "metric_name_validation_scheme: legacy\nrelabel_configs: [{target_label: a.b}]",
            "a rule of action replace has the target_label \"a.b\", which metric_name_validation_scheme legacy does not take",
        ),
        (
            "metric_name_validation_scheme: legacy\nmetric_relabel_configs: [{action: labelmap, replacement: 'x-$1'}]",
            "a rule of action labelmap has the replacement \"x-$1\"",
        ),
        (
            "metric_name_validation_scheme: legacy\nrelabel_configs: [{action: lowercase, target_label: 'x$1'}]",
            "a rule of action lowercase has the target_label \"x$1\"",
        ),
        ("metric_name_escaping_scheme: none", "unknown variant `none`"),
        ("proxy_from_environment: true\nproxy_url: http://p:1", "proxy_from_environment stands without proxy_url"),
        ("no_proxy: a", "no_proxy needs a proxy_url"),
        ("proxy_connect_header: {X-A: [b]}", "proxy_connect_header needs proxy_url or proxy_from_environment"),
        ("proxy_url: http://p:1\nproxy_connect_header: {'X A': [b]}", "proxy_connect_header: \"X A\" cannot be set"),
        (
            "proxy_url: http://p:1\nproxy_connect_header: {X-A: [\"b\\n\"]}",
            "proxy_connect_header: \"X-A\" cannot be set",
        ),
    ] {
        let error = read(&with(lines)).unwrap_err();
        assert!(error.contains(expected), "{lines}: {error}");
    }
    let twice = read("scrape_configs:\n- job_name: a\n- job_name: a\n").unwrap_err();
    assert!(twice.contains("job \"a\" is there twice"), "{twice}");
    let global = read("global: {scrape_interval: 1s, scrape_timeout: 2s}\n").unwrap_err();
    assert!(global.contains("global: scrape_timeout is longer"), "{global}");
    assert!(read("scrape_configs:\n- metrics_path: /a\n").unwrap_err().contains("job_name"));
}

#[test]
fn jobs_have_what_the_head_says_unless_they_say_otherwise() {
    for empty in ["", "# nothing\n", "global:\nscrape_configs:\n"] {
        assert!(read(empty).unwrap().is_empty(), "{empty}");
    }
    let text = "global: {scrape_interval: 1m30s, sample_limit: 5, scrape_native_histograms: true}\nscrape_configs:\n\
                - {job_name: a, body_size_limit: 2MB}\n- {job_name: b, sample_limit: 7, scrape_native_histograms: false, scrape_interval: 5s}\n";
    let jobs = read(text).unwrap();
    let [a, b] = jobs.as_slice() else { panic!("two jobs") };
    assert_eq!((a.scrape_interval, a.scrape_timeout), (Duration::from_secs(90), Duration::from_secs(10)));
    assert_eq!((b.scrape_interval, b.scrape_timeout), (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!((a.sample_limit, b.sample_limit, a.body_size_limit), (5, 7, 2 << 20));
    assert_eq!((a.metrics_path.as_str(), a.honor_timestamps, a.honor_labels), ("/metrics", true, false));
    assert_eq!((a.scrape_protocols.first(), a.scrape_protocols.len()), (Some(&Protocol::Protobuf), 5));
    assert_eq!((b.scrape_protocols.first(), b.scrape_protocols.len()), (Some(&Protocol::OpenMetrics1), 4));
    // An interval of 0 is none.
    let jobs = read("global: {scrape_interval: 0s}\nscrape_configs: [{job_name: a, scrape_interval: 0s}]\n").unwrap();
    assert_eq!(jobs[0].scrape_interval, Duration::from_secs(60));
}

#[test]
fn what_yaml_takes_for_numbers_are_texts_where_texts_are_meant() {
    let job = job(
        "params: {level: [1, true]}\nbody_size_limit: 0\nscrape_interval: 0\nstatic_configs: [{targets: [a], labels: {port: 9100, on: yes, none: ''}}]",
    );
    assert_eq!(job.params["level"], ["1", "true"]);
    let labels: Vec<(&str, &str)> =
        job.static_configs[0].labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("none", ""), ("on", "yes"), ("port", "9100")]);
    assert_eq!((job.body_size_limit, job.scrape_interval), (0, Duration::from_secs(60)));
}

#[test]
fn keys_about_http_are_read_among_a_sections_own() {
    let lines = "bearer_token_file: token\nmetrics_path: /x\ntls_config: {ca_file: /abs/ca, server_name: s}\nfollow_redirects: false\n\
                 http_headers: {X-A: {values: [a], files: [b]}}\nhttp_sd_configs:\n- proxy_url: http://p:1\n  url: http://a\n  basic_auth: {username: u, password_file: p}";
    let job = job(lines);
    assert_eq!(
        (job.metrics_path.as_str(), job.http.follow_redirects, job.http.tls.server_name.as_str()),
        ("/x", false, "s")
    );
    let auth = job.http.authorization.as_ref().unwrap();
    assert_eq!(
        (auth.r#type.as_str(), auth.credentials_file.as_deref()),
        ("Bearer", Some(Path::new("/etc/jobs/token")))
    );
    assert_eq!(job.http.tls.ca_file.as_deref(), Some(Path::new("/abs/ca")), "paths are from the file's folder");
    assert_eq!(job.http.headers["X-A"].files, [Path::new("/etc/jobs/b")]);
    let list = &job.http_sd_configs[0];
    assert_eq!(
        (list.url.as_str(), list.http.follow_redirects, list.refresh_interval),
        ("http://a", true, Duration::from_secs(60))
    );
    assert!(list.http.authorization.is_none(), "a list has credentials of its own, not the job's");
    let password = list.http.basic_auth.as_ref().unwrap().password_file.as_deref();
    assert_eq!(password, Some(Path::new("/etc/jobs/p")));
    assert!(!format!("{:?}", self::job("bearer_token: hidden")).contains("hidden"), "secrets are not shown");
}

#[test]
fn a_target_that_no_rule_rewrites_is_an_address() {
    let error = read(&with("static_configs: [{targets: ['http://x:1/metrics']}]")).unwrap_err();
    assert!(
        error.contains("job \"a\": static_configs: the address \"http://x:1/metrics\" is no host and port"),
        "{error}"
    );
    // As for Prometheus's blackbox exporter, whose targets are URLs until rules have made a parameter of them.
    let rules = "relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {target_label: __address__, replacement: 'b:1'}]";
    assert!(read(&with(&format!("static_configs: [{{targets: ['http://x:1/metrics']}}]\n{rules}"))).is_ok());
}

#[test]
fn the_file_that_prometheus_comes_with_is_taken_and_what_means_nothing_is_named() {
    let text = "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n  external_labels: {a: b}\nalerting:\n  alertmanagers:\n    \
                - static_configs:\n        - targets:\n          # - alertmanager:9093\nrule_files:\n  - first.yml\nscrape_configs:\n  \
                - job_name: prometheus\n    static_configs:\n      - targets: ['localhost:9090']\n        labels:\n          app: p\n";
    let jobs = parse(text, Path::new("")).unwrap();
    assert_eq!(jobs.list[0].static_configs[0].targets, ["localhost:9090"]);
    assert_eq!(jobs.ignored, ["rule_files", "alerting", "global.evaluation_interval", "global.external_labels"]);
    assert_eq!(parse("rule_files:\nscrape_configs:\n", Path::new("")).unwrap().ignored, [""; 0]);
}

#[test]
fn keys_of_prometheus_3_are_taken_where_they_say_what_is_so_here() {
    let job = job(
        "keep_dropped_targets: 5\nconvert_classic_histograms_to_nhcb: false\nmetric_name_validation_scheme: utf8\n\
         metric_name_escaping_scheme: underscores\nnative_histogram_bucket_limit: 0\nnative_histogram_min_bucket_factor: 0\n\
         scrape_failure_log_file: ''\nproxy_from_environment: true",
    );
    assert_eq!((job.keep_dropped_targets, job.metric_name_escaping_scheme), (5, Some(Escaping::Underscores)));
    assert!(job.http.proxy_from_environment);
    assert_eq!(job.failure_log, None);
    let global = "global: {scrape_failure_log_file: f.log, keep_dropped_targets: 7, metric_name_escaping_scheme: dots, convert_classic_histograms_to_nhcb: true}";
    let b = "{job_name: b, scrape_failure_log_file: /var/log/b.log, convert_classic_histograms_to_nhcb: false}";
    let jobs = read(&format!("{global}\nscrape_configs: [{{job_name: a}}, {b}]\n")).unwrap();
    assert_eq!(jobs[0].failure_log.as_deref(), Some(Path::new("/etc/jobs/f.log")));
    assert_eq!(jobs[1].failure_log.as_deref(), Some(Path::new("/var/log/b.log")));
    let convert = [0, 1].map(|place: usize| jobs[place].convert_classic_histograms_to_nhcb);
    assert_eq!(convert, [Some(true), Some(false)]);
    assert_eq!((jobs[0].keep_dropped_targets, jobs[0].metric_name_escaping_scheme), (7, Some(Escaping::Dots)));
}

#[test]
fn a_factor_between_buckets_is_a_schema_as_in_prometheus() {
    let schema = |factor: &str, limit: usize| {
        let lines = format!("native_histogram_min_bucket_factor: {factor}\nnative_histogram_bucket_limit: {limit}");
        job(&lines).resolution().map(|resolution| resolution.max_schema)
    };
    // The table of its documentation, and what is above and below it.
    for (factor, expected) in [
        ("65536", -4),
        ("1e9", -4),
        ("256", -3),
        ("16", -2),
        ("4", -1),
        ("2", 0),
        ("1.4", 1),
        ("1.1", 2),
        ("1.09", 3),
        ("1.04", 4),
        ("1.02", 5),
        ("1.01", 6),
        ("1.005", 7),
    ] {
        assert_eq!(schema(factor, 0), Some(expected), "{factor}");
    }
    for finest in ["1.002", "1.0", "0", "-1"] {
        assert_eq!((schema(finest, 0), schema(finest, 9)), (None, Some(8)), "{finest}");
    }
}

#[test]
fn escaping_follows_from_which_names_are_taken_as_in_prometheus() {
    use Escaping::{Dots, None as Allow, Underscores, Values};
    use Validation::{Legacy, Utf8};
    let legacy = "metric_name_validation_scheme: legacy";
    let utf8 = "metric_name_validation_scheme: utf8";
    let dots = "metric_name_escaping_scheme: dots";
    let values = "metric_name_escaping_scheme: values";
    for (head, own, expected) in [
        ("", "", (Utf8, Allow)),
        ("metric_name_validation_scheme: ''", "metric_name_escaping_scheme: ''", (Utf8, Allow)),
        (legacy, "", (Legacy, Underscores)),
        ("", legacy, (Legacy, Underscores)),
        (dots, "", (Utf8, Dots)),
        (dots, values, (Utf8, Values)),
        (dots, legacy, (Legacy, Underscores)),
        (dots, utf8, (Utf8, Allow)),
        (legacy, utf8, (Utf8, Allow)),
        (legacy, dots, (Legacy, Dots)),
        ("metric_name_escaping_scheme: allow-utf-8", legacy, (Legacy, Underscores)),
    ] {
        let jobs = read(&format!("global: {{{head}}}\nscrape_configs: [{{job_name: a, {own}}}]\n")).unwrap();
        let found = (jobs[0].metric_name_validation_scheme, jobs[0].metric_name_escaping_scheme);
        assert_eq!(found, (Some(expected.0), Some(expected.1)), "{head}; {own}");
    }
    let rules =
        "relabel_configs: [{target_label: 'a_${1}_b'}, {action: labelmap, regex: 'x_(.+)'}, {target_label: '$name'}]";
    assert!(read(&with(&format!("{legacy}\n{rules}"))).is_ok());
    assert!(read(&with("relabel_configs: [{target_label: a.b}, {action: labelmap, replacement: 'x-$1'}]")).is_ok());
}
