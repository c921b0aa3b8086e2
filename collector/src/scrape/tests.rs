//! Do rules, limits and labels work as Prometheus's?

use super::config::Job;
use super::protocol::{Format, accepted};
use super::relabel;
use super::series::{Counts, Failure, Known, Report, Scraped, failed, gone, scraped};
use super::*;
use crate::decode::DecodeLimits;
use crate::decode::families::Forms;
use crate::decode::remote::{self, Version};
use crate::decode::text::TextFormat;

fn job(text: &str) -> Job {
    let indented = text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let file = format!("scrape_configs:\n- job_name: j\n{indented}");
    config::parse(&file, Path::new("")).unwrap().list.remove(0)
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
fn a_target_is_made_of_its_labels() {
    let job = job(
        "params: {module: [a, b]}\nrelabel_configs:\n- {source_labels: [__address__], target_label: __param_target}\n- {source_labels: [zone], regex: no, action: drop}",
    );
    let target = Target::new(&job, "host:9100", &labels(&[("zone", "z"), ("__meta_x", "y")])).unwrap().unwrap();
    assert_eq!(target.url, "http://host:9100/metrics?module=a&module=b&target=host%3A9100");
    assert_eq!(target.timeout, Duration::from_secs(10));
    assert_eq!(target.labels, labels(&[("instance", "host:9100"), ("job", "j"), ("zone", "z")]));
    // An empty label is none: the target's own stand in its place.
    let empty =
        Target::new(&job, "host:9100", &labels(&[("zone", "z"), ("instance", ""), ("job", "")])).unwrap().unwrap();
    assert_eq!(empty.labels, target.labels);
    assert_eq!(Target::new(&job, "host", &labels(&[("zone", "no")])), Ok(None));
    for bad in ["", "a/b", "a\\b", "user@host", "a b", "a\tb", "a:b:c", "[::1"] {
        assert!(Target::new(&job, bad, &Labels::new()).is_err(), "{bad}");
    }
}

#[test]
fn rules_say_which_histograms_are_wanted_of_a_target() {
    let wanted = |lines: &str, rule: &str| {
        let job = Arc::new(job(&format!("{lines}\nrelabel_configs: [{{target_label: {rule}}}]")));
        let target = Target::new(&job, "h:1", &Labels::new())?.unwrap();
        let own = target.histograms.applied(&job);
        let forms = [
            own.scrape_native_histograms,
            own.always_scrape_classic_histograms,
            own.convert_classic_histograms_to_nhcb,
        ];
        assert_eq!(target.labels, labels(&[("instance", "h:1"), ("job", "j")]));
        Ok::<_, String>((forms.map(Option::unwrap), Arc::ptr_eq(&own, &job)))
    };
    let native = "__scrape_native_histograms__, replacement";
    let classic = "__always_scrape_classic_histograms__, replacement";
    let converted = "__convert_classic_histograms_to_nhcb__, replacement";
    assert_eq!(wanted("", &format!("{native}: 'true'")), Ok(([true, false, false], false)));
    assert_eq!(wanted("", &format!("{classic}: T")), Ok(([false, true, false], false)));
    assert_eq!(wanted("", &format!("{converted}: '1'")), Ok(([false, false, true], false)));
    // What the job says anyway, or nothing, makes it no other target: it goes on when the job changes.
    let job = "convert_classic_histograms_to_nhcb: true";
    assert_eq!(wanted(job, &format!("{converted}: 'true'")), Ok(([false, false, true], true)));
    assert_eq!(wanted(job, &format!("{converted}: ''")), Ok(([false, false, true], true)));
    assert_eq!(wanted(job, &format!("{converted}: 'False'")), Ok(([false; 3], false)));
    let error = wanted("", &format!("{converted}: 'yes'")).unwrap_err();
    assert_eq!(error, "__convert_classic_histograms_to_nhcb__ is \"yes\", neither true nor false");
    let discovered = Target::discovered(&self::job(job), "h:1", &Labels::new());
    assert_eq!(discovered["__convert_classic_histograms_to_nhcb__"], "true");
}

#[test]
fn s4_a_target_keeps_its_offset() {
    let job = job("scrape_interval: 20s");
    let target = |address: &str| Target::new(&job, address, &Labels::new()).unwrap().unwrap();
    let second = 1_000_000_000i64;
    let due = |address: &str, now: i64| now + i64::try_from(target(address).wait(now).as_nanos()).unwrap();
    for now in [0, 5 * second, 19 * second, 1_700_000_000 * second + 7] {
        let offset = due("a", now).rem_euclid(20 * second);
        assert_eq!(offset, due("a", 0), "the same at {now}");
        assert!(due("a", now) - now <= 20 * second);
    }
    assert_ne!(due("a", 0), due("b", 0));
}

#[test]
fn rules_see_the_interval_as_prometheus_writes_it() {
    let text = "scrape_interval: 90s\nrelabel_configs: [{source_labels: [__scrape_interval__, __scrape_timeout__], target_label: both}, {source_labels: [both], regex: '.*', target_label: __scrape_timeout__, replacement: 5s}]";
    let target = Target::new(&job(text), "h:1", &Labels::new()).unwrap().unwrap();
    assert_eq!((target.labels["both"].as_str(), target.timeout), ("1m30s;10s", Duration::from_secs(5)));
    let text = "relabel_configs: [{target_label: __scrape_interval__, replacement: '0'}]";
    assert!(Target::new(&job(text), "h:1", &Labels::new()).unwrap_err().contains("no duration above 0"));
}

const TEXT: Format = Format::Text(TextFormat::Prometheus);

/// What a text becomes, its samples as they are stored.
fn stored(job: &Job, text: &str, before: &Known) -> Result<(Scraped, u64), String> {
    let target = Target::new(job, "h:1", &labels(&[("zone", "z")])).unwrap().unwrap();
    let mut all = scraped(job, &target, (TEXT, text.as_bytes()), 5_000, before).map_err(|failure| failure.error)?;
    let samples = count(std::mem::take(&mut all.writer).finish());
    Ok((all, samples))
}

/// How many samples a message has, none of which may be unfit.
fn count(message: Vec<u8>) -> u64 {
    let decoded = remote::decode(Version::Two, 0, &message, &DecodeLimits::default()).unwrap();
    assert_eq!(decoded.rejected, 0, "{:?}", decoded.message);
    decoded.written.samples
}

fn own(all: &Scraped) -> Vec<Labels> {
    all.known.labels().into_iter().collect()
}

#[test]
fn labels_of_the_target_win_unless_the_text_is_honoured() {
    let text = "a{zone=\"own\",exported_zone=\"x\",other=\"o\"} 1\n";
    let (all, _) = stored(&job(""), text, &Known::default()).unwrap();
    let expected = [
        ("__name__", "a"),
        ("exported_exported_zone", "own"),
        ("exported_zone", "x"),
        ("instance", "h:1"),
        ("job", "j"),
        ("other", "o"),
        ("zone", "z"),
    ];
    assert_eq!(own(&all), [labels(&expected)]);
    let (all, _) = stored(&job("honor_labels: true"), text, &Known::default()).unwrap();
    assert_eq!(own(&all)[0]["zone"], "own");
    // As the Pushgateway says that a label of the target is not wanted.
    let (all, _) = stored(&job("honor_labels: true"), "a{instance=\"\"} 1\n", &Known::default()).unwrap();
    assert_eq!(own(&all), [labels(&[("__name__", "a"), ("job", "j"), ("zone", "z")])]);
    let (all, _) = stored(&job(""), "a{instance=\"\"} 1\n", &Known::default()).unwrap();
    assert_eq!(own(&all)[0]["instance"], "h:1");
    // The shorter name takes the first name that is free, whatever the alphabet says.
    let text = "relabel_configs: [{target_label: exported_zone, replacement: t}]";
    let (all, _) = stored(&job(text), "a{zone=\"1\",exported_zone=\"2\"} 1\n", &Known::default()).unwrap();
    let found = &own(&all)[0];
    assert_eq!((&*found["exported_exported_zone"], &*found["exported_exported_exported_zone"]), ("1", "2"));
}

#[test]
fn s2_series_that_are_not_there_any_more_are_ended_once() {
    let job = job("metric_relabel_configs: [{source_labels: [__name__], regex: c, action: drop}]");
    let counts = |samples, kept, added| Counts { samples, kept, added };
    let (first, samples) = stored(&job, "a 1\nb 2\nc 3\n", &Known::default()).unwrap();
    assert_eq!((first.counts, samples), (counts(3, 2, 2), 2));
    let (second, samples) = stored(&job, "b 2\nd 1\n", &first.known).unwrap();
    assert_eq!((second.counts, samples), (counts(2, 2, 1), 3), "b, d and the end of a");
    let (_, samples) = stored(&job, "b 2\nd 1\n", &second.known).unwrap();
    assert_eq!(samples, 2);
    // What has a time of its own is not expected again, unless the job says so.
    let (timed, _) = stored(&job, "e 1 4000\n", &Known::default()).unwrap();
    assert!(own(&timed).is_empty());
    let (timed, _) = stored(&self::job("track_timestamps_staleness: true"), "e 1 4000\n", &Known::default()).unwrap();
    assert_eq!(own(&timed).len(), 1);
    let target = Target::new(&job, "h:1", &Labels::new()).unwrap().unwrap();
    let report = Report { is_up: false, seconds: 1.0, counts: counts(0, 0, 0), body_bytes: 0.0 };
    assert_eq!(count(failed(&job, &target, &second.known, &report, 6_000)), 2 + 5);
    assert_eq!(count(gone(&job, &target, &second.known, 6_000)), 2 + 5);
    let extra = self::job("extra_scrape_metrics: true");
    assert_eq!(count(failed(&extra, &target, &second.known, &report, 6_000)), 2 + 8);
    assert_eq!(count(gone(&extra, &target, &second.known, 6_000)), 2 + 8);
}

#[test]
fn the_end_of_a_series_belongs_to_its_family() {
    let (first, _) = stored(&job(""), "# TYPE a counter\n# HELP a Help.\na 1\n", &Known::default()).unwrap();
    let target = Target::new(&job(""), "h:1", &labels(&[("zone", "z")])).unwrap().unwrap();
    let all = scraped(&job(""), &target, (TEXT, b""), 6_000, &first.known).unwrap();
    let decoded = remote::decode(Version::Two, 0, &all.writer.finish(), &DecodeLimits::default()).unwrap();
    let column = |name| decoded.batch.columns().column_by_name(name).unwrap().as_any_dictionary().values().clone();
    use arrow_array::cast::AsArray as _;
    assert_eq!(decoded.batch.num_rows(), 1);
    assert_eq!(column("description").as_string::<i32>().value(0), "Help.", "no second series for the end");
}

#[test]
fn what_is_told_twice_or_from_far_ahead_is_left_out() {
    let (all, samples) =
        stored(&job(""), "a 1\na 2\nb 1 605000\nc 1 605001\nd 1 1\nd 2 2\n", &Known::default()).unwrap();
    assert_eq!((all.left_out, samples, all.counts.kept), (2, 4, 6));
    let (all, samples) = stored(&job("honor_timestamps: false"), "c 1 605001\n", &Known::default()).unwrap();
    assert_eq!((all.left_out, samples), (0, 1));
}

#[test]
fn an_exemplar_without_a_time_is_stored_once() {
    let exemplars = |text: &str, before: &Known| {
        let target = Target::new(&job(""), "h:1", &Labels::new()).unwrap().unwrap();
        let format = Format::Text(TextFormat::OpenMetrics);
        let all = scraped(&job(""), &target, (format, text.as_bytes()), 5_000, before).unwrap();
        let decoded = remote::decode(Version::Two, 0, &all.writer.finish(), &DecodeLimits::default()).unwrap();
        (decoded.written.exemplars, all.known)
    };
    let text = "a_total 1 # {trace_id=\"x\"} 0.5\nb_total 1 # {trace_id=\"x\"} 0.5\n# EOF\n";
    let (count, first) = exemplars(text, &Known::default());
    assert_eq!(count, 2);
    let (count, second) = exemplars(text, &first);
    assert_eq!(count, 0, "told again");
    // Neither a scrape without it nor one that fails makes it a new one.
    let (count, third) = exemplars("a_total 2\nb_total 2\n# EOF\n", &second);
    assert_eq!(count, 0);
    let (count, fourth) = exemplars(text, &third.ended());
    assert_eq!(count, 0);
    let other = text.replacen("0.5", "0.7", 1);
    let (count, fifth) = exemplars(&other, &fourth);
    assert_eq!(count, 1, "another value");
    assert_eq!(exemplars(text, &fifth).0, 1, "the one before is new again");
    let timed = text.replace("0.5", "0.5 3");
    let (count, sixth) = exemplars(&timed, &fourth);
    assert_eq!((count, exemplars(&timed, &sixth).0), (2, 0));
}

#[test]
fn exemplars_of_a_converted_histogram_are_stored_once_each() {
    let exemplars = |text: &str, before: &Known| {
        let job = job("convert_classic_histograms_to_nhcb: true");
        let target = Target::new(&job, "h:1", &Labels::new()).unwrap().unwrap();
        let format = Format::Text(TextFormat::OpenMetrics);
        let all = scraped(&job, &target, (format, text.as_bytes()), 5_000, before).unwrap();
        let decoded = remote::decode(Version::Two, 0, &all.writer.finish(), &DecodeLimits::default()).unwrap();
        (decoded.written.exemplars, all.known)
    };
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {trace_id=\"x\"} 0.5 3\nh_bucket{le=\"+Inf\"} 2 # {trace_id=\"y\"} 7 4\nh_count 2\n# EOF\n";
    let (count, first) = exemplars(text, &Known::default());
    assert_eq!(count, 2);
    let (count, second) = exemplars(text, &first);
    assert_eq!(count, 0, "both told again");
    let (count, third) = exemplars(&text.replace("0.5 3", "0.6 5"), &second.ended());
    assert_eq!((count, exemplars(text, &third).0), (1, 1), "the other one is known, whatever failed in between");
}

#[test]
fn classic_histograms_are_converted_each_as_one_series() {
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\na 1\n";
    let convert = |lines: &str, text: &str, before: &Known| {
        let job = job(&format!("convert_classic_histograms_to_nhcb: true\n{lines}"));
        let target = Target::new(&job, "h:1", &labels(&[("zone", "z")])).unwrap().unwrap();
        let mut all = scraped(&job, &target, (TEXT, text.as_bytes()), 5_000, before).unwrap();
        let message = std::mem::take(&mut all.writer).finish();
        let written = remote::decode(Version::Two, 0, &message, &DecodeLimits::default()).unwrap().written;
        (all, [written.samples, written.histograms])
    };
    let counts = |samples, kept, added| Counts { samples, kept, added };
    let (first, written) = convert("", text, &Known::default());
    assert_eq!((first.counts, written), (counts(2, 2, 2), [1, 1]));
    let h = [("__name__", "h"), ("instance", "h:1"), ("job", "j"), ("zone", "z")];
    assert!(own(&first).contains(&labels(&h)), "{:?}", own(&first));
    let (both, written) = convert("always_scrape_classic_histograms: true", text, &first.known);
    assert_eq!((both.counts, written), (counts(6, 6, 4), [5, 1]));
    // Rules see the histogram as the one series that it is.
    let dropped = "metric_relabel_configs: [{source_labels: [__name__], regex: h, action: drop}]";
    let (dropped, written) = convert(dropped, text, &first.known);
    assert_eq!((dropped.counts, written), (counts(2, 1, 0), [2, 0]), "a, and the end of h");
    let (gone, written) = convert("", "a 1\n", &both.known);
    assert_eq!((gone.counts, written), (counts(1, 1, 0), [1 + 5, 0]), "all five of h have ended");
    let (bad, written) = convert("", &text.replace("h_count 3", "h_count 4"), &Known::default());
    assert_eq!((bad.counts, written), (counts(1, 1, 1), [1, 0]));
    assert_eq!(bad.unconverted.as_deref(), Some("\"h\": its count is 4, its last bucket has 3"));
    // A scrape that fails in the middle converts nothing.
    let job = job("convert_classic_histograms_to_nhcb: true\nsample_limit: 1");
    let target = Target::new(&job, "h:1", &Labels::new()).unwrap().unwrap();
    let failure = scraped(&job, &target, (TEXT, text.as_bytes()), 5_000, &Known::default()).unwrap_err();
    assert_eq!((failure.counts.samples, failure.counts.kept), (2, 2));
}

#[test]
fn targets_tell_what_their_metrics_are() {
    let text =
        "# TYPE a counter\n# HELP a Help.\na 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nb 1\n";
    let (all, _) = stored(&job(""), text, &Known::default()).unwrap();
    let told: Vec<_> =
        all.known.families().into_iter().map(|(name, own)| (name, own.type_name(), &*own.help)).collect();
    assert_eq!(told, [("a", "counter", "Help."), ("h", "histogram", "")]);
    let listed = ListedTargets::default();
    let target = Arc::new(Target::new(&job(""), "h:1", &Labels::new()).unwrap().unwrap());
    let place = listed.enter("j", &target);
    let mut found = Found { dropped_count: 7, ..Found::default() };
    found.targets.insert((*target).clone(), labels(&[("__address__", "h:1")]));
    listed.found("j", Arc::new(found));
    place.know(&Arc::new(all.known));
    let described = listed.described();
    assert_eq!(described["activeTargets"][0]["discoveredLabels"]["__address__"], "h:1");
    assert_eq!(described["droppedTargetCounts"]["j"], 7);
    let target = serde_json::json!({ "instance": "h:1", "job": "j" });
    let expected = |metric: &str, r#type: &str, help: &str| serde_json::json!({ "target": target, "metric": metric, "type": r#type, "help": help, "unit": "" });
    assert_eq!(
        listed.metadata(),
        serde_json::json!([expected("a", "counter", "Help."), expected("h", "histogram", "")])
    );
}

#[test]
fn a_metric_that_changes_its_type_goes_on() {
    let (first, _) = stored(&job(""), "# TYPE a counter\na 1\n", &Known::default()).unwrap();
    let (second, samples) = stored(&job(""), "# TYPE a gauge\na 2\n", &first.known).unwrap();
    assert_eq!((samples, second.counts.added), (1, 0), "the same labels: nothing ends, nothing begins");
}

#[test]
fn s3_limits_fail_the_whole_scrape_and_tell_how_much_there_was() {
    let check = |limits: &str, text: &str, expected: &str| {
        let job = job(limits);
        let target = Target::new(&job, "h:1", &labels(&[("zone", "z")])).unwrap().unwrap();
        let outcome = scraped(&job, &target, (TEXT, text.as_bytes()), 5_000, &Known::default());
        let Failure { error, counts } = outcome.map(drop).unwrap_err();
        assert!(error.contains(expected), "{error}");
        (counts.samples, counts.kept)
    };
    assert_eq!(check("sample_limit: 2", "a 1\nb 1\nc 1\nd 1\n", "more than the 2 samples"), (4, 4));
    check("label_limit: 5", "a{x=\"1\",y=\"2\"} 1\n", "\"a\" has more than the 5 labels");
    check("label_name_length_limit: 8", "a{long_name=\"1\"} 1\n", "long_name");
    check("label_value_length_limit: 3", "a{x=\"1234\"} 1\n", "of label \"x\"");
    assert_eq!(check("", "a 1\nb", "line 2, column 2"), (1, 1));
    let nameless = "metric_relabel_configs: [{regex: __name__, action: labeldrop}]";
    check(nameless, "a 1\n", "took a metric's name away");
}

#[test]
fn native_histograms_are_as_fine_as_their_job_says() {
    // A family `h` of schema 1 with one observation in bucket 1 and one in bucket 2.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let head = [&[0x08, 2, 0x11][..], &1.5f64.to_le_bytes(), &[0x28, 2, 0x68, 2, 0x68, 0]].concat();
    let histogram = field(7, &[head, field(12, &[0x08, 2, 0x10, 2])].concat());
    let family = [field(1, b"h"), vec![0x18, 4], field(4, &histogram)].concat();
    let body = [&[u8::try_from(family.len()).unwrap()], &family[..]].concat();
    let scales = |lines: &str| {
        let job = job(lines);
        let target = Target::new(&job, "h:1", &Labels::new()).unwrap().unwrap();
        let all = scraped(&job, &target, (Format::Protobuf(Forms::Native), &body), 5_000, &Known::default());
        let message = all.unwrap().writer.finish();
        let decoded = remote::decode(Version::Two, 0, &message, &DecodeLimits::default()).unwrap();
        assert_eq!(decoded.rejected, 0, "{:?}", decoded.message);
        use arrow_array::cast::AsArray as _;
        let scale = decoded.batch.columns().column_by_name(storage::model::schema::column::SCALE).unwrap();
        scale.as_primitive::<arrow_array::types::Int32Type>().value(0)
    };
    assert_eq!(scales(""), 1);
    assert_eq!(scales("native_histogram_bucket_limit: 2"), 1);
    assert_eq!(scales("native_histogram_bucket_limit: 1"), 0);
    assert_eq!(scales("native_histogram_min_bucket_factor: 16"), -2);
    // One that has its own bounds has no room to be made.
    let convert = |lines: &str| {
        let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\nh_count 3\n# TYPE i histogram\ni_count 1\n";
        let lines = format!("convert_classic_histograms_to_nhcb: true\nnative_histogram_bucket_limit: 2\n{lines}");
        stored(&job(&lines), text, &Known::default()).map(drop).unwrap_err()
    };
    assert_eq!(convert(""), "\"h\": a native histogram has more than the 2 buckets of native_histogram_bucket_limit");
    assert_eq!(convert("sample_limit: 1"), "there are more than the 1 samples of sample_limit");
}

#[test]
fn a_job_with_too_many_targets_asks_none() {
    let job = job("target_limit: 2\nrelabel_configs: [{source_labels: [__address__], regex: 'drop.*', action: drop}]");
    let group = |targets: &[&str]| {
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        [Group { targets, labels: Labels::new() }]
    };
    let two = Targets::of(&job, &group(&["a:1", "b:1", "a:1", "drop:1", "b/d"]));
    assert_eq!((two.found.targets.len(), two.refused, two.bad.len()), (2, None, 1));
    let Found { dropped, dropped_count, .. } = &two.found;
    assert_eq!((dropped.len(), *dropped_count, dropped[0]["__address__"].as_str()), (1, 1, "drop:1"));
    let three = Targets::of(&job, &group(&["a:1", "b:1", "c:1"]));
    assert_eq!(three.refused.as_deref(), Some("there are 3 targets, more than the 2 of target_limit"));
    let many: Vec<Group> =
        (0..=MAX_TARGETS).map(|n| Group { targets: vec![format!("h:{n}")], labels: Labels::new() }).collect();
    let many = Targets::of(&self::job(""), &many);
    assert_eq!((many.found.targets.len(), many.bad.len()), (MAX_TARGETS, 1));
}

#[test]
fn names_are_those_that_the_job_takes() {
    let check = |lines: &str, text: &str| {
        let job = job(&format!("metric_name_validation_scheme: legacy\n{lines}"));
        stored(&job, text, &Known::default()).map(|(_, samples)| samples)
    };
    assert_eq!(check("", "a:b_1{c_2=\"é\",__d=\"\"} 1\n"), Ok(1));
    for (text, expected) in [
        ("{\"a.b\"} 1\n", "metric_name_validation_scheme legacy does not take the metric's name \"a.b\""),
        ("{\"1a\"} 1\n", "does not take the metric's name \"1a\""),
        ("{\"é\"} 1\n", "does not take the metric's name \"é\""),
        ("a{\"b.c\"=\"1\"} 1\n", "does not take the label \"b.c\" of \"a\""),
        ("a{\"b:c\"=\"1\"} 1\n", "does not take the label \"b:c\" of \"a\""),
    ] {
        let error = check("", text).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(stored(&job(""), text, &Known::default()).is_ok(), "UTF-8 takes it");
    }
    // Looked at once rules have had their say.
    let rename =
        "metric_relabel_configs: [{source_labels: [__name__], regex: a.b, target_label: __name__, replacement: a_b}]";
    assert_eq!(check(rename, "{\"a.b\"} 1\n"), Ok(1));
}

#[test]
fn formats_are_asked_for_as_by_prometheus() {
    assert_eq!(
        accepted(&job("")),
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
         text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    );
    assert!(accepted(&job("scrape_native_histograms: true")).starts_with("application/vnd.google.protobuf;proto="));
    let legacy = accepted(&job("metric_name_validation_scheme: legacy"));
    assert_eq!(legacy.matches(";escaping=underscores;").count(), 2, "{legacy}");
    let dots = "metric_name_escaping_scheme: dots\nscrape_protocols: [PrometheusText1.0.0, PrometheusText0.0.4]";
    assert_eq!(
        accepted(&job(dots)),
        "text/plain;version=1.0.0;escaping=dots;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
    );
    assert_eq!(accepted(&job("scrape_protocols: [PrometheusText0.0.4]")), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
}

#[test]
fn the_content_type_tells_the_format_and_the_job_what_else_it_may_be() {
    let told = |content_type, settings: &str| Format::told(content_type, &job(settings));
    let open = Ok(Format::Text(TextFormat::OpenMetrics));
    assert_eq!(told("application/openmetrics-text; version=1.0.0; charset=utf-8", ""), open);
    assert_eq!(told("Text/Plain", ""), Ok(TEXT));
    let native = "scrape_native_histograms: true";
    for (settings, forms) in [
        ("", Forms::Classic),
        ("always_scrape_classic_histograms: true", Forms::Classic),
        (native, Forms::Native),
        ("scrape_native_histograms: true\nalways_scrape_classic_histograms: true", Forms::Both),
    ] {
        assert_eq!(told("application/vnd.google.protobuf; encoding=delimited", settings), Ok(Format::Protobuf(forms)));
    }
    for unknown in ["", "text/html", "application/json"] {
        let error = told(unknown, "").unwrap_err();
        assert!(error.contains("fallback_scrape_protocol"), "{error}");
        assert_eq!(told(unknown, "fallback_scrape_protocol: OpenMetricsText1.0.0"), open);
    }
}

#[test]
fn only_files_are_read_and_not_past_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "12345").unwrap();
    assert_eq!(read_file(&path, 5).unwrap(), b"12345");
    assert!(read_file(&path, 4).unwrap_err().contains("longer than 4 bytes"));
    assert!(read_file(Path::new("/dev/zero"), 4).unwrap_err().contains("no file"));
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(read_file(&pipe, 4).unwrap_err().contains("no file"), "a pipe is not waited for");
    assert!(read_file(dir.path(), 4).is_err());
}

#[test]
fn rules_are_told_step_by_step_until_one_drops_the_labels() {
    let rules = "relabel_configs:\n- {source_labels: [a, b], target_label: c}\n- {regex: a, action: labeldrop}\n\
                 - {source_labels: [c], regex: 1;2, action: drop}\n- {target_label: d, replacement: e}";
    let told = super::relabel::steps(&job(rules).relabel_configs, labels(&[("a", "1"), ("b", "2")]));
    let usual = |action: &str, regex: &str| serde_json::json!({ "separator": ";", "replacement": "$1", "action": action, "regex": regex });
    let mut first = usual("replace", "(.*)");
    first["source_labels"] = serde_json::json!(["a", "b"]);
    first["target_label"] = "c".into();
    assert_eq!(
        told[0],
        serde_json::json!({ "rule": first, "output": { "a": "1", "b": "2", "c": "1;2" }, "keep": true })
    );
    let second = usual("labeldrop", "a");
    assert_eq!(told[1], serde_json::json!({ "rule": second, "output": { "b": "2", "c": "1;2" }, "keep": true }));
    for dropped in [2, 3] {
        assert_eq!((&told[dropped]["output"], &told[dropped]["keep"]), (&serde_json::json!({}), &false.into()));
    }
}
