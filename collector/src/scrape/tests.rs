//! Do rules, limits and labels work as Prometheus's?

use super::config::{Job, Jobs};
use super::relabel::{self, Labels};
use super::series::{ended, scraped};
use super::*;
use crate::decode::DecodeLimits;
use crate::decode::remote::{self, Version};
use crate::decode::text::TextFormat;

fn job(text: &str) -> Job {
    let indented = text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let file = format!("scrape_configs:\n- job_name: j\n{indented}");
    Jobs::parse(&file).unwrap().list.remove(0)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What rules make of labels; `None` where they drop them.
fn relabelled(rules: &str, before: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    let job = job(&format!("metric_relabel_configs:\n{rules}"));
    let mut labels = labels(before);
    relabel::apply(&job.metric_relabel_configs, &mut labels).then(|| labels.into_iter().collect())
}

#[test]
fn every_action_rewrites_as_prometheus_does() {
    let before = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    let check = |rules: &str, expected: Option<&[(&str, &str)]>| {
        let expected = expected.map(|list| labels(list).into_iter().collect::<Vec<_>>());
        assert_eq!(relabelled(rules, &before), expected, "{rules}");
    };
    let abc = |a, b, c| [("a", a), ("b", b), ("c", c)];
    check(
        "- {source_labels: [a], regex: f(.*), target_label: d, replacement: 'ch${1}-ch$1'}",
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "choo-choo")]),
    );
    check(
        "- {source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}",
        Some(&abc("boobam", "bar", "baz")),
    );
    check("- {source_labels: [a], regex: o, target_label: a, replacement: x}", Some(&abc("foo", "bar", "baz")));
    check("- {source_labels: [a], regex: .*, target_label: a, replacement: ''}", Some(&[("b", "bar"), ("c", "baz")]));
    check("- {source_labels: [a], regex: .*o.*, action: drop}", None);
    check("- {source_labels: [a], regex: o, action: drop}", Some(&before));
    check("- {source_labels: [a], regex: f|foo, action: keep}", Some(&before));
    check("- {source_labels: [a], regex: f, action: keep}", None);
    check("- {source_labels: [a], target_label: b, action: keepequal}", None);
    check("- {source_labels: [a], target_label: b, action: dropequal}", Some(&before));
    check(
        "- {regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}",
        Some(&[("a", "foo"), ("b", "bar"), ("bar_b", "bar"), ("c", "baz")]),
    );
    check("- {regex: 'b|c', action: labeldrop}", Some(&[("a", "foo")]));
    check("- {regex: 'b|c', action: labelkeep}", Some(&[("b", "bar"), ("c", "baz")]));
    check("- {source_labels: [a], target_label: a, action: uppercase}", Some(&abc("FOO", "bar", "baz")));
    check("- {source_labels: [a], target_label: a, action: lowercase}", Some(&abc("foo", "bar", "baz")));
    // The figure of Prometheus's own test.
    check(
        "- {source_labels: [c], target_label: d, modulus: 1000, action: hashmod, separator: ';'}",
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "976")]),
    );
}

#[test]
fn what_is_wrong_in_the_file_is_told() {
    for (text, expected) in [
        ("scrape_configs:\n- job_name: a\n  metrics_pth: /x\n", "metrics_pth"),
        ("scrape_configs:\n- job_name: a\n  scrape_interval: 5\n", "scrape_interval"),
        ("scrape_configs:\n- job_name: a\n- job_name: a\n", "job \"a\" is there twice"),
        (
            "scrape_configs:\n- job_name: a\n  scrape_interval: 5s\n  scrape_timeout: 6s\n",
            "longer than scrape_interval",
        ),
        ("scrape_configs:\n- job_name: a\n  scheme: ftp\n", "neither http nor https"),
        ("scrape_configs:\n- job_name: a\n  relabel_configs: [{regex: '('}]\n", "cannot be used"),
        ("scrape_configs:\n- job_name: a\n  relabel_configs: [{action: hashmod, target_label: x}]\n", "modulus"),
        ("scrape_configs:\n- job_name: a\n  body_size_limit: ten\n", "no size"),
        ("remote_write: []\n", "remote_write"),
    ] {
        let error = Jobs::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Jobs::parse("").unwrap().list.is_empty());
    let jobs = Jobs::parse("global: {scrape_interval: 1m30s}\nscrape_configs: [{job_name: a, body_size_limit: 2MB}]\n")
        .unwrap();
    let job = &jobs.list[0];
    assert_eq!(
        (jobs.list.len(), job.scrape_interval, job.scrape_timeout),
        (1, Duration::from_secs(90), Duration::from_secs(10))
    );
    assert_eq!((job.body_size_limit, job.metrics_path.as_str(), job.honor_timestamps), (2 << 20, "/metrics", true));
}

#[test]
fn a_target_is_made_of_its_labels() {
    let job = job(
        "params: {module: [a, b]}\nrelabel_configs:\n- {source_labels: [__address__], target_label: __param_target}\n- {source_labels: [zone], regex: no, action: drop}",
    );
    let target = Target::new(&job, "host:9100", &labels(&[("zone", "z"), ("__meta_x", "y")])).unwrap().unwrap();
    assert_eq!(target.url, "http://host:9100/metrics?module=a&module=b&target=host%3A9100");
    assert_eq!(target.labels, labels(&[("instance", "host:9100"), ("job", "j"), ("zone", "z")]));
    assert!(target.offset() < target.interval, "S4");
    assert_eq!(target.offset(), target.clone().offset(), "S4");
    assert_eq!(Target::new(&job, "host", &labels(&[("zone", "no")])), Ok(None));
    for bad in ["", "a/b", "user@host", "a b"] {
        assert!(Target::new(&job, bad, &Labels::new()).is_err(), "{bad}");
    }
}

/// What a text becomes, its samples as they are stored.
fn stored(job: &Job, text: &str, before: &HashSet<Labels>) -> Result<(series::Scraped, u64), String> {
    let target = Target::new(job, "h:1", &labels(&[("zone", "z")])).unwrap().unwrap();
    let all = scraped(job, &target, (TextFormat::Prometheus, text.as_bytes()), 5_000, before)?;
    let decoded = remote::decode(Version::Two, 0, &all.message, &DecodeLimits::default()).unwrap();
    assert_eq!(decoded.rejected, 0, "{:?}", decoded.message);
    let samples = decoded.written.samples;
    Ok((all, samples))
}

#[test]
fn labels_of_the_target_win_unless_the_text_is_honoured() {
    let text = "a{zone=\"own\",exported_zone=\"x\",other=\"o\"} 1\n";
    let (all, _) = stored(&job(""), text, &HashSet::new()).unwrap();
    let expected = [
        ("__name__", "a"),
        ("exported_exported_zone", "own"),
        ("exported_zone", "x"),
        ("instance", "h:1"),
        ("job", "j"),
        ("other", "o"),
        ("zone", "z"),
    ];
    assert_eq!(all.series, HashSet::from([labels(&expected)]));
    let (all, _) = stored(&job("honor_labels: true"), text, &HashSet::new()).unwrap();
    assert_eq!(all.series.iter().next().unwrap()["zone"], "own");
}

#[test]
fn s2_series_that_are_not_there_any_more_are_ended_once() {
    let job = job("metric_relabel_configs: [{source_labels: [__name__], regex: c, action: drop}]");
    let (first, samples) = stored(&job, "a 1\nb 2\nc 3\n", &HashSet::new()).unwrap();
    assert_eq!((first.samples, first.kept, first.added, samples), (3, 2, 2, 2));
    let (second, samples) = stored(&job, "b 2\nd 1\n", &first.series).unwrap();
    assert_eq!((second.added, samples), (1, 3), "b, d and the end of a");
    let (_, samples) = stored(&job, "b 2\nd 1\n", &second.series).unwrap();
    assert_eq!(samples, 2);
    // What has a time of its own is not expected again.
    let (timed, _) = stored(&job, "e 1 4000\n", &HashSet::new()).unwrap();
    assert!(timed.series.is_empty());
    assert!(!ended(&second.series, 6_000).is_empty());
}

#[test]
fn s3_limits_fail_the_whole_scrape() {
    let check = |limits: &str, text: &str, expected: &str| {
        let error = stored(&job(limits), text, &HashSet::new()).map(drop).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check("sample_limit: 2", "a 1\nb 1\nc 1\n", "more than the 2 samples");
    check("label_limit: 5", "a{x=\"1\",y=\"2\"} 1\n", "\"a\" has more than the 5 labels");
    check("label_name_length_limit: 8", "a{long_name=\"1\"} 1\n", "long_name");
    check("label_value_length_limit: 3", "a{x=\"1234\"} 1\n", "of label \"x\"");
    check("", "a 1\nb", "line 2, column 2");
}
