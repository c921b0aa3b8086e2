//! Does an expression have the value over thinned data that it has over all samples? Where ends of windows are looked at, to rounding;
//! elsewhere it is said that it may not.

use super::Store;
use crate::fixture::{Fixture, SECOND, block_on, text_map};
use crate::promql::{Answer, Frame, Level, Reading, Settings, Source as _, evaluate};
use crate::series::Value;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use storage::metric::Resolution;
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Exemplar, Number, put_buckets, put_counts, put_doubles, put_quantile};
use storage::model::verbatim::Role;
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};
use storage::retention::{DownsamplingLevel, RetentionConfig};

/// 2026-11-20T00:00:00Z, three days before the fixture's present.
const DAY: i64 = 1_795_132_800_000_000_000;
const MINUTE: i64 = 60_000;
/// Hours with samples.
const HOURS: i64 = 6;

/// A series that is made up sample by sample.
struct Maker {
    rng: Pcg64,
    builder: PointBatchBuilder,
    name: &'static str,
    total: f64,
    started: i64,
    buckets: [u64; 4],
    scale: i32,
}

impl Maker {
    fn new(seed: u64, name: &'static str) -> Self {
        let started = DAY - 600 * SECOND;
        let rng = Pcg64::seed_from_u64(seed ^ name.len() as u64 ^ u64::from(name.as_bytes()[0]) << 8);
        let builder = PointBatchBuilder::default();
        Maker { rng, builder, name, total: 0.0, started, buckets: [0; 4], scale: 3 }
    }

    /// A counter begins anew now and then.
    fn grow(&mut self, time: i64) {
        if self.rng.random_bool(0.01) {
            (self.total, self.buckets, self.started) = (0.0, [0; 4], time - SECOND);
        }
        let of = self.rng.random_range(0..4);
        let more = self.rng.random_range(0..9u64);
        self.buckets[of] += more;
        self.total += more as f64 / 4.0;
        if self.rng.random_bool(0.003) {
            self.scale = self.rng.random_range(1..4);
        }
    }

    fn wander(&mut self) -> f64 {
        self.total += self.rng.random_range(-5.0..5.0);
        if self.rng.random_bool(0.002) { f64::NAN } else { self.total }
    }

    fn begin(&mut self) {
        let is_verbatim = matches!(self.name, "legacy_total" | "wild");
        let own = text_map(&[("service.name", "shop"), ("host", "a")]);
        let attributes = if is_verbatim { Map::default() } else { Map::new(&own) };
        self.builder.set_resource(&Resource { attributes, ..Resource::default() });
        let scope = if is_verbatim { Role::Samples.scope() } else { "meter" };
        self.builder.set_scope(&Scope { name: scope, ..Scope::default() });
        let (temporality, is_monotonic) = match self.name {
            "requests" => (2, true),
            "changes" => (1, true),
            "legacy_total" | "wild" | "temperature" => (0, false),
            _ => (2, false),
        };
        let metadata = Map::default();
        let (name, unit, description) = (self.name, "", "");
        self.builder.set_metric(&MetricHead { name, unit, description, metadata, temporality, is_monotonic });
    }

    fn push(&mut self, time: i64, is_gone: bool) {
        self.grow(time);
        let (mut bounds, mut counts, mut exemplars) = (Vec::new(), Vec::new(), Vec::new());
        let (count, sum) = (self.buckets.iter().sum(), Some(self.total));
        let start_time = matches!(self.name, "requests" | "latency" | "size").then_some(self.started);
        let data = match self.name {
            "requests" => PointData::Sum(Some(Number::Int(count as i64))),
            "changes" => PointData::Sum(Some(Number::Int(self.rng.random_range(0..9)))),
            "queue" => PointData::Sum(Some(Number::Double(self.wander().abs()))),
            "temperature" | "wild" => PointData::Gauge(Some(Number::Double(self.wander()))),
            "legacy_total" => PointData::Gauge(Some(Number::Double(self.total))),
            "latency" => {
                put_doubles(&mut bounds, [0.1, 1.0, 5.0]);
                put_counts(&mut counts, self.buckets);
                let (explicit_bounds, bucket_counts) = (&bounds[..], &counts[..]);
                PointData::Histogram { count, sum, min: None, max: None, explicit_bounds, bucket_counts }
            }
            "size" => {
                put_buckets(&mut counts, 2, self.buckets);
                PointData::ExponentialHistogram {
                    count,
                    sum,
                    min: None,
                    max: None,
                    scale: self.scale,
                    zero_count: 0,
                    zero_threshold: 0.0,
                    positive: &counts,
                    negative: &[],
                }
            }
            _ => {
                put_quantile(&mut counts, 0.5, self.total);
                PointData::Summary { count, sum: self.total, quantiles: &counts }
            }
        };
        if self.rng.random_bool(0.2) {
            let value = Some(Number::Double(self.rng.random_range(0.0..9.0)));
            let filtered_attributes = Map::default();
            let time_unix_nano = time.unsigned_abs();
            Exemplar { time_unix_nano, value, trace_id: &[7; 16], span_id: &[], filtered_attributes }
                .put(&mut exemplars);
        }
        let start_time = match self.name {
            "changes" => Some(std::mem::replace(&mut self.started, time)),
            _ => start_time,
        };
        let attributes = Map::default();
        let data = match data {
            PointData::Gauge(_) if is_gone => PointData::Gauge(None),
            PointData::Sum(_) if is_gone => PointData::Sum(None),
            data => data,
        };
        let point = Point { attributes, time, start_time, flags: u32::from(is_gone), exemplars: &exemplars, data };
        self.builder.append(&point).unwrap();
    }

    /// Six hours, with pauses, markers before some of them, and a scraper that is not always on time.
    fn batch(mut self) -> Batch {
        self.begin();
        let mut time = DAY + self.rng.random_range(1..15_000) * 1_000_000;
        let end = DAY + HOURS * 3600 * SECOND;
        while time < end {
            let pauses = self.rng.random_bool(0.004);
            let is_gone = pauses && self.rng.random_bool(0.5);
            self.push(time, is_gone);
            let late = if self.rng.random_bool(0.1) { self.rng.random_range(0..9_000) } else { 0 };
            let pause = if pauses { self.rng.random_range(1..1500) * SECOND } else { 0 };
            time += 15 * SECOND + late * 1_000_000 + pause;
        }
        self.builder.finish().unwrap()
    }
}

const NAMES: [&str; 9] =
    ["requests", "changes", "queue", "temperature", "wild", "legacy_total", "latency", "size", "pauses"];

fn batches(seed: u64) -> Vec<Batch> {
    NAMES.into_iter().map(|name| Maker::new(seed, name).batch()).collect()
}

fn level(resolution_seconds: u32) -> DownsamplingLevel {
    DownsamplingLevel { resolution_seconds, after_days: 1, keep_days: 900 }
}

/// The same data: all samples, with what stands for them beside, and that alone.
struct Stores {
    raw: Fixture,
    both: Fixture,
    thinned: Fixture,
}

impl Stores {
    fn new(seed: u64, levels: &[u32]) -> Self {
        let downsampling: Vec<DownsamplingLevel> = levels.iter().copied().map(level).collect();
        let config = RetentionConfig { metrics_days: 3, downsampling, ..RetentionConfig::default() };
        let none = RetentionConfig::default();
        let hours = |hours: u64| std::time::Duration::from_secs(hours * 3600);
        let raw = Fixture::aged(batches(seed), DAY + 12 * 3600 * SECOND, &none, &[hours(42)]);
        let both = Fixture::aged(batches(seed), DAY + 12 * 3600 * SECOND, &config, &[hours(42)]);
        let thinned = Fixture::aged(batches(seed), DAY + 12 * 3600 * SECOND, &config, &[hours(42), hours(49)]);
        Stores { raw, both, thinned }
    }
}

/// Numbers by labels and step; those of a histogram one by one.
type Numbers = BTreeMap<String, Vec<Vec<f64>>>;

#[derive(Debug)]
struct Told {
    numbers: Numbers,
    warnings: Vec<String>,
    infos: Vec<String>,
    samples: usize,
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Float(value) => vec![*value],
        Value::Histogram(histogram) => {
            let buckets = histogram.positive.iter().filter(|bucket| bucket.count != 0.0);
            let buckets = buckets.flat_map(|bucket| [f64::from(bucket.index), bucket.count]);
            [f64::from(histogram.schema), histogram.count, histogram.sum].into_iter().chain(buckets).collect()
        }
    }
}

fn told(store: &Store<'_>, text: &str, frame: Frame) -> Told {
    let outcome = evaluate(store, Settings::default(), text, frame);
    let answer = outcome.answer.unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    let Answer::Instant(rows) = answer else { panic!("{text} is a vector") };
    let of_cell = |cell: &Option<Value>| cell.as_ref().map(numbers).unwrap_or_default();
    let of_row = |cells: &[Option<Value>]| -> Vec<Vec<f64>> { cells.iter().map(of_cell).collect() };
    let numbers = rows.iter().map(|row| (row.labels.to_string(), of_row(&row.cells))).collect();
    let [warnings, infos] = [Level::Warning, Level::Info].map(|level| {
        let texts = outcome.notes.texts(level, text).into_iter();
        texts.filter(|text| text.contains("downsampled")).collect()
    });
    Told { numbers, warnings, infos, samples: outcome.samples }
}

fn ask_all(fixture: &Fixture, texts: &[String], frame: Frame) -> Vec<Told> {
    let texts = texts.to_vec();
    let run = fixture.run(move |control| {
        let store = Store::new(control);
        Ok(texts.iter().map(|text| told(&store, text, frame)).collect())
    });
    block_on(run).unwrap()
}

fn ask(fixture: &Fixture, text: &str, frame: Frame) -> Told {
    ask_all(fixture, &[text.to_owned()], frame).remove(0)
}

fn are_close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

fn assert_same(raw: &Told, other: &Told, context: &str) {
    let shape = |told: &Told| -> Vec<(String, Vec<usize>)> {
        told.numbers.iter().map(|(labels, cells)| (labels.clone(), cells.iter().map(Vec::len).collect())).collect()
    };
    assert_eq!(shape(raw), shape(other), "{context}");
    for ((labels, a), b) in raw.numbers.iter().zip(other.numbers.values()) {
        for (step, (a, b)) in a.iter().zip(b).enumerate() {
            let same = a.iter().zip(b).all(|(a, b)| are_close(*a, *b));
            assert!(same, "{context} {labels} at step {step}: {a:?} {b:?}");
        }
    }
}

fn frame(step: i64) -> Frame {
    let start = DAY / 1_000_000;
    Frame { start: start + step, end: start + HOURS * 60 * MINUTE, step }
}

/// Expressions whose value over thinned data is that over all, where ends of windows are looked at.
fn exact(range: &str) -> Vec<String> {
    let counters =
        ["requests_total", "legacy_total", "latency_bucket", "latency_count", "latency_sum", "size", "pauses_count"];
    let mut all = Vec::new();
    for function in ["rate", "increase", "resets"] {
        all.extend(counters.map(|name| format!("{function}({name}[{range}])")));
    }
    let floats = ["requests_total", "legacy_total", "temperature", "wild", "queue", "changes_total"];
    for function in ["avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "delta"] {
        all.extend(floats.map(|name| format!("{function}({name}[{range}])")));
    }
    let any = counters.into_iter().chain(floats).chain(["target_info", "pauses"]);
    for name in any {
        let functions =
            ["first_over_time", "last_over_time", "count_over_time", "present_over_time", "ts_of_last_over_time"];
        let functions =
            functions.into_iter().filter(|function| name != "target_info" || *function == "present_over_time");
        all.extend(functions.map(|function| format!("{function}({name}[{range}])")));
        all.push(name.to_owned());
        all.push(format!("{name} offset {range}"));
    }
    for quantile in ["latency_bucket", "size"] {
        all.push(format!("histogram_quantile(0.9, rate({quantile}[{range}]))"));
    }
    all.extend([
        format!("absent_over_time(temperature[{range}])"),
        format!("max_over_time(rate(requests_total[{range}])[1h:{range}])"),
        format!("min_over_time(latency_count[{range}])"),
        format!("rate(requests_total[{range}] smoothed)"),
        format!("increase(requests_total[{range}] anchored)"),
        "histogram_avg(size)".to_owned(),
        "timestamp(requests_total)".to_owned(),
    ]);
    all
}

fn check_exact(seed: u64) {
    let stores = Stores::new(seed, &[300, 3_600]);
    for (range, step) in [("5m", 5 * MINUTE), ("20m", 10 * MINUTE), ("2h", 60 * MINUTE)] {
        let texts = exact(range);
        let [raw, both, thinned] =
            [&stores.raw, &stores.both, &stores.thinned].map(|fixture| ask_all(fixture, &texts, frame(step)));
        for ((text, raw), (both, thinned)) in texts.iter().zip(raw).zip(both.iter().zip(&thinned)) {
            let context = format!("seed {seed}: {text} each {step} ms");
            assert!(raw.warnings.is_empty() && raw.infos.is_empty(), "{context}: {raw:?}");
            assert_same(&raw, both, &format!("{context}, beside all samples"));
            assert_same(&raw, thinned, &format!("{context}, alone"));
            assert!(both.warnings.is_empty() && thinned.warnings.is_empty(), "{context}: {both:?} {thinned:?}");
        }
    }
}

#[test]
fn d1_at_ends_of_windows_thinned_data_answers_as_all_samples_do() {
    [3, 29].into_iter().for_each(check_exact);
}

#[test]
fn d1_who_cuts_windows_or_needs_more_reads_all_samples_where_they_are_and_is_told_where_not() {
    let stores = Stores::new(7, &[300, 3_600]);
    let off = Frame { start: frame(MINUTE).start + 7_000, ..frame(10 * MINUTE) };
    let cases = [
        ("requests_total", off, "no multiple"),
        ("rate(requests_total[1h])", off, "no multiple"),
        ("rate(requests_total[7m])", frame(5 * MINUTE), "no multiple"),
        ("rate(requests_total[1h])", frame(MINUTE), "no multiple"),
        ("rate(temperature[1h])", frame(60 * MINUTE), "not there"),
        ("rate(changes_total[1h])", frame(60 * MINUTE), "not there"),
        ("sum_over_time(changes_total[2m])", frame(60 * MINUTE), "no multiple"),
        ("avg_over_time(latency_sum[1h])", frame(60 * MINUTE), "not there"),
        ("stddev_over_time(temperature[1h])", frame(60 * MINUTE), "not there"),
        ("quantile_over_time(0.5, temperature[1h])", frame(60 * MINUTE), "not there"),
        ("changes(temperature[1h])", frame(60 * MINUTE), "not there"),
        ("irate(requests_total[1h])", frame(60 * MINUTE), "not there"),
        ("max_over_time(pauses{quantile=\"0.5\"}[1h])", frame(60 * MINUTE), "not there"),
    ];
    for (text, frame, why) in cases {
        let raw = ask(&stores.raw, text, frame);
        let both = ask(&stores.both, text, frame);
        assert_same(&raw, &both, text);
        assert!(both.warnings.is_empty() && both.infos.is_empty(), "{text}: {both:?}");
        let thinned = ask(&stores.thinned, text, frame);
        assert!(thinned.warnings.iter().any(|warning| warning.contains(why)), "{text}: {thinned:?}");
        assert!(thinned.infos.iter().any(|info| info.contains("data is downsampled to 5m (1:")), "{text}: {thinned:?}");
    }
}

#[test]
fn a_range_has_no_samples_from_before_it() {
    let stores = Stores::new(13, &[300]);
    let at = frame(MINUTE).start + 2 * 60 * MINUTE + 127_000;
    let times = |text: &'static str| -> crate::error::Result<Vec<i64>> {
        block_on(stores.thinned.run(move |control| {
            let frame = Frame { start: at, end: at, step: 0 };
            let outcome = evaluate(&Store::new(control), Settings::default(), text, frame);
            let Answer::Range(series) = outcome.answer.unwrap() else { panic!("{text} is a range") };
            Ok(series.iter().flat_map(|series| series.samples.iter().map(|sample| at - sample.time)).collect())
        }))
    };
    for (text, range) in [("latency_count[7m]", 7), ("latency_count[1h]", 60), ("legacy_total[61m] offset 5m", 66)] {
        let ages: Vec<i64> = times(text).unwrap();
        assert!(!ages.is_empty() && ages.iter().all(|age| *age < range * MINUTE), "{text}: {ages:?}");
    }
    // A reader of every sample asks the same way.
    let read = block_on(stores.thinned.run(move |control| {
        let (mut earliest, matchers) = (i64::MAX, Vec::new());
        Store::new(control)
            .select(&matchers, at - 7 * MINUTE, at, Reading::WHOLE, &mut |series| {
                earliest = earliest.min(series.raw().samples.first().map_or(i64::MAX, |sample| sample.time));
                Ok(())
            })
            .unwrap();
        Ok(earliest)
    }));
    assert!(read.unwrap() <= at - 7 * MINUTE, "else nothing was cut");
}

/// What is off where windows are cut is what was counted within one window at each end.
#[test]
fn an_increase_that_cuts_windows_is_off_by_what_was_counted_within_them_at_most() {
    let stores = Stores::new(11, &[300]);
    let off = Frame { start: frame(MINUTE).start + 127_000, ..frame(10 * MINUTE) };
    let text = "increase(legacy_total[1h] anchored)";
    let (raw, thinned) = (ask(&stores.raw, text, off), ask(&stores.thinned, text, off));
    // What was counted from two windows before the end of a range to two behind it.
    let around = |offset: &str| ask(&stores.raw, &format!("increase(legacy_total[20m] anchored offset {offset})"), off);
    let (begin, end) = (around("50m"), around("-10m"));
    for ((labels, raw), thinned) in raw.numbers.iter().zip(thinned.numbers.values()) {
        let most = begin.numbers[labels].iter().zip(&end.numbers[labels]);
        for (step, ((raw, thinned), (begin, end))) in raw.iter().zip(thinned).zip(most).enumerate() {
            let (Some(raw), Some(thinned)) = (raw.first(), thinned.first()) else { continue };
            let most = begin.first().unwrap_or(&0.0) + end.first().unwrap_or(&0.0);
            assert!((raw - thinned).abs() <= most + 1e-9, "step {step}: {raw} {thinned}, at most {most} off");
        }
    }
}

#[test]
fn fewer_samples_are_read_the_longer_the_step() {
    let stores = Stores::new(5, &[300, 3_600]);
    let read = |fixture, step| ask(fixture, "sum(rate(requests_total[1h]))", frame(step)).samples;
    let raw = read(&stores.raw, 60 * MINUTE);
    assert_eq!(read(&stores.both, MINUTE), read(&stores.raw, MINUTE));
    assert!(read(&stores.both, 5 * MINUTE) < read(&stores.raw, 5 * MINUTE) / 3);
    assert!(read(&stores.both, 60 * MINUTE) < raw / 10, "{raw}");
    let info = ask(&stores.both, "rate(requests_total[1h])", frame(60 * MINUTE)).infos;
    assert_eq!(info, ["PromQL info: data is downsampled to 1h (1:6)"]);
    let hour = Resolution::of_seconds(3_600).unwrap();
    let coarsest = block_on(stores.both.run(move |control| {
        let told = evaluate(&Store::new(control), Settings::default(), "rate(requests_total[1h])", frame(60 * MINUTE));
        told.answer.unwrap();
        Ok(control.stats().resolution_seconds)
    }));
    assert_eq!(coarsest.unwrap(), Some(hour.seconds().into()));
}
