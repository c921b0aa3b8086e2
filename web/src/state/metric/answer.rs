//! What has a query of PromQL answered? Lines, histograms and exemplars, as the parts that draw them take them.
//!
//! PA1  Numbers are read as Prometheus writes them: signs, exponents, `NaN`, `+Inf`.
//! PA2  Classic histograms are series that differ in `le` alone; their counts are cumulative and become those of their buckets.

use super::super::number;
use super::super::order;
use super::super::time::Range;
use super::grid::Grid;
use super::heat::{Bucket, Heat};
use super::names::Labels;
use super::rate::Sample;
use query_api::metric::Exemplar;
use serde::Deserialize;
use std::collections::BTreeMap;

const SECOND: f64 = 1e9;

/// What labels begin with that tell where a series comes from: its process, the place of that, the library that measured. First what says
/// most.
const ORIGIN: [&str; 6] = ["instance", "k8s_", "container_name", "cloud_", "deployment_environment", "otel_scope_"];

/// The answer of `query_range`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RangeAnswer {
    /// What was found.
    pub data: Data,
    /// What may be wrong with it.
    pub warnings: Vec<String>,
    /// What is remarkable about it.
    pub infos: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Data {
    /// The series.
    pub result: Vec<Line>,
}

/// One series.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    /// Moments in seconds and values.
    pub values: Vec<(f64, String)>,
    /// Moments in seconds and native histograms.
    pub histograms: Vec<(f64, Histogram)>,
}

/// A native histogram.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// Which edges belong to it, lower edge, upper edge, count.
    pub buckets: Vec<(f64, String, String, String)>,
}

/// The answer of `query_exemplars`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ExemplarAnswer {
    /// By series.
    pub data: Vec<SeriesExemplars>,
}

/// Exemplars of one series.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SeriesExemplars {
    /// They.
    pub exemplars: Vec<OneExemplar>,
}

/// One exemplar.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct OneExemplar {
    /// Its labels, trace and span among them.
    pub labels: BTreeMap<String, String>,
    /// What was measured.
    pub value: String,
    /// When, in seconds.
    pub timestamp: f64,
}

/// A number as Prometheus writes it.
pub fn read_number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    match digits {
        "NaN" => return Some(f64::NAN),
        "Inf" => return Some(sign * f64::INFINITY),
        _ => {}
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (down, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let exponent = exponent.parse::<u16>().ok().filter(|exponent| *exponent <= 400)?;
    let power = 10f64.powi(i32::from(exponent));
    let mantissa = number::read(mantissa)?;
    Some(sign * if down { mantissa / power } else { mantissa * power })
}

fn nanos(seconds: f64) -> i64 {
    (seconds * SECOND).round() as i64
}

impl Line {
    /// Its values.
    pub fn samples(&self) -> Vec<Sample> {
        self.values.iter().filter_map(|(time, value)| Some((nanos(*time), read_number(value)?))).collect()
    }
}

/// What tells a line apart: its labels, first the name of the metric. Where it has the labels that it was sent with, what tells where it
/// comes from is told only if nothing else tells lines apart; where a query has chosen labels, all of them are meant.
pub fn labels(line: &Line) -> Labels {
    let as_sent = ["job", "instance"].iter().all(|label| line.metric.contains_key(*label));
    let is_of_origin = |label: &str| as_sent && ORIGIN.iter().any(|part| label.starts_with(part));
    let own = line.metric.get("__name__").map(|name| (String::new(), name.clone()));
    let labels = || line.metric.iter().map(|(label, value)| (label.clone(), value.clone()));
    let rest = labels().filter(|(label, _)| label != "__name__" && !is_of_origin(label));
    let spare = |part: &&str| labels().filter(|(label, _)| as_sent && label.starts_with(*part)).collect::<Vec<_>>();
    Labels { told: own.into_iter().chain(rest).collect(), spare: ORIGIN.iter().flat_map(spare).collect() }
}

/// The job's service, where all lines have one each: then they have its colour.
pub fn service(line: &Line) -> Option<&str> {
    let job = line.metric.get("job").or_else(|| line.metric.get("service_name"))?;
    Some(job.rsplit_once('/').map_or(job.as_str(), |(_, name)| name))
}

/// Whether all lines are parts of histograms.
pub fn is_histogram(lines: &[Line]) -> bool {
    let native = lines.iter().all(|line| !line.histograms.is_empty());
    !lines.is_empty() && (native || is_classic(lines))
}

fn is_classic(lines: &[Line]) -> bool {
    lines.len() > 1 && lines.iter().all(|line| line.metric.get("le").and_then(|le| read_number(le)).is_some())
}

/// The heat map of histograms, all series together; `step` is that of the query, in nanoseconds.
pub fn heat(lines: &[Line], range: Range, step: i64) -> Heat {
    let count = (range.length() / step.max(1)).saturating_add(1).clamp(1, 10_000) as usize;
    let grid = Grid { start: range.start, step: step.max(1), count };
    let mut columns: Vec<Vec<Bucket>> = vec![Vec::new(); count];
    if is_classic(lines) {
        classic(lines, grid, &mut columns);
    } else {
        for (time, histogram) in lines.iter().flat_map(|line| &line.histograms) {
            if let Some(column) = grid.index(nanos(*time)).and_then(|index| columns.get_mut(index)) {
                column.extend(histogram.buckets.iter().filter_map(bucket));
            }
        }
    }
    Heat::of_columns(grid, columns)
}

fn bucket((_, low, high, count): &(f64, String, String, String)) -> Option<Bucket> {
    let (low, high, count) = (read_number(low)?, read_number(high)?, read_number(count)?);
    // What lies beyond every bound is drawn at the bound.
    let (low, high) = (if low.is_finite() { low } else { high }, if high.is_finite() { high } else { low });
    (low.is_finite() && count > 0.0).then_some(Bucket { low, high, count })
}

fn classic(lines: &[Line], grid: Grid, columns: &mut [Vec<Bucket>]) {
    // By column, the cumulative count below each bound.
    let mut below: Vec<Vec<(f64, f64)>> = vec![Vec::new(); columns.len()];
    for line in lines {
        let Some(bound) = line.metric.get("le").and_then(|le| read_number(le)) else { continue };
        for (time, value) in line.samples() {
            let Some(column) = grid.index(time).and_then(|index| below.get_mut(index)) else { continue };
            match column.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, sum)) => *sum += value,
                None => column.push((bound, value)),
            }
        }
    }
    for (bounds, column) in below.into_iter().zip(columns) {
        let order = order::rising(bounds.iter().map(|(bound, _)| *bound));
        let bounds = order::pick(bounds, &order);
        let (mut low, mut counted) = (None::<f64>, 0.0);
        for (bound, sum) in bounds {
            let high = if bound.is_finite() { bound } else { low.unwrap_or(0.0) };
            let foot = low.unwrap_or(if high > 0.0 { 0.0 } else { high });
            let count = sum - counted;
            if count.is_finite() && count > 0.0 {
                column.push(Bucket { low: foot, high, count });
            }
            counted = if sum.is_finite() { sum.max(counted) } else { counted };
            low = Some(high);
        }
    }
}

/// Exemplars that name a trace.
pub fn exemplars(answer: &ExemplarAnswer) -> Vec<Exemplar> {
    let all = answer.data.iter().flat_map(|series| &series.exemplars);
    let read = |one: &OneExemplar| {
        let id = |names: [&str; 2]| names.iter().find_map(|name| one.labels.get(*name)).cloned();
        Some(Exemplar {
            time_unix_nano: nanos(one.timestamp),
            value: read_number(&one.value)?,
            trace_id: id(["trace_id", "traceID"]).filter(|id| !id.is_empty())?,
            span_id: id(["span_id", "spanID"]).unwrap_or_default(),
            ..Exemplar::default()
        })
    };
    all.filter_map(read).collect()
}

/// At most so many exemplars all over a range: the greatest of each part of it, since those are what one wants to look into.
pub fn spread(exemplars: Vec<Exemplar>, range: Range, most: i64) -> Vec<Exemplar> {
    let grid = Grid::with_steps(range, most);
    let mut kept: BTreeMap<usize, Exemplar> = BTreeMap::new();
    for one in exemplars {
        let Some(part) = grid.index(one.time_unix_nano) else { continue };
        if kept.get(&part).is_none_or(|other| other.value < one.value) {
            kept.insert(part, one);
        }
    }
    kept.into_values().collect()
}

/// The step of a query over a range, in whole seconds: about 240 of them, round.
pub fn step_seconds(range: Range) -> u64 {
    const ROUND: [u64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400];
    let wanted = u64::try_from(range.length() / 240 / 1_000_000_000).unwrap_or(0).max(1);
    ROUND.into_iter().find(|step| *step >= wanted).unwrap_or_else(|| wanted.div_ceil(86_400) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::super::super::object;
    use super::super::names;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pa1_numbers_are_read_as_prometheus_writes_them() {
        let cases = [
            ("1.5", 1.5),
            ("-0.25", -0.25),
            ("1e-05", 1e-5),
            ("+Inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("1.2e+21", 1.2e21),
        ];
        for (text, value) in cases {
            assert_eq!(read_number(text), Some(value), "{text}");
        }
        assert!(read_number("NaN").unwrap().is_nan());
        for text in ["", "x", "1e", "1e999", "--1", "0x1"] {
            assert_eq!(read_number(text), None, "{text}");
        }
    }

    const CLASSIC: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"le":"+Inf"},"values":[[10,"6"],[20,"NaN"]]},
        {"metric":{"le":"0.5"},"values":[[10,"2"],[20,"1"]]},
        {"metric":{"le":"1"},"values":[[10,"5"],[20,"3"]]}]},"warnings":["w"]}"#;

    #[test]
    fn pa2_cumulative_counts_become_buckets() {
        let answer: RangeAnswer = object::read(CLASSIC).unwrap();
        assert!(is_histogram(&answer.data.result));
        let heat = heat(&answer.data.result, Range { start: 0, end: 20_000_000_000 }, 10_000_000_000);
        let of = |column: usize| heat.columns[column].iter().map(|b| (b.low, b.high, b.count)).collect::<Vec<_>>();
        assert_eq!(of(1), [(0.0, 0.5, 2.0), (0.5, 1.0, 3.0), (1.0, 1.0, 1.0)]);
        assert_eq!(of(2), [(0.0, 0.5, 1.0), (0.5, 1.0, 2.0)]);
        assert_eq!(heat.edges, [0.0, 0.5, 1.0]);
        assert_eq!(answer.warnings, ["w"]);
    }

    #[test]
    fn native_histograms_are_read_as_they_stand() {
        let text = r#"{"data":{"result":[{"metric":{},"histograms":[[10,{"count":"3","sum":"2","buckets":[[0,"1","2","2.5"],[3,"-0.1","0.1","0.5"]]}]]}]}}"#;
        let answer: RangeAnswer = object::read(text).unwrap();
        assert!(is_histogram(&answer.data.result));
        let heat = heat(&answer.data.result, Range { start: 0, end: 20_000_000_000 }, 10_000_000_000);
        assert_eq!(heat.columns[1][0], Bucket { low: -0.1, high: 0.1, count: 0.5 });
        assert_eq!(heat.total(1), 3.0);
    }

    #[test]
    fn lines_are_named_by_what_they_differ_in() {
        let line = |pairs: &[(&str, &str)]| Line {
            metric: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Line::default()
        };
        let lines = [
            line(&[("__name__", "m"), ("job", "shop/a"), ("x", "1")]),
            line(&[("__name__", "m"), ("job", "shop/b"), ("x", "1")]),
        ];
        let names = |lines: &[Line]| names::names(&lines.iter().map(labels).collect::<Vec<_>>());
        assert_eq!(names(&lines).each, ["shop/a", "shop/b"]);
        assert_eq!(names(&lines).key, "job");
        assert_eq!(names(&lines).common, "m x=1");
        assert_eq!(service(&lines[0]), Some("a"));
        assert_eq!(names(&lines[..1]).each, ["m job=shop/a, x=1"]);
        assert_eq!(names(&[line(&[])]).each, ["value"]);
    }

    #[test]
    fn where_a_line_comes_from_is_told_where_nothing_else_tells_lines_apart() {
        let line = |pairs: &[(&str, &str)]| Line {
            metric: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Line::default()
        };
        let sent = |code: &str, pod: &str| {
            line(&[("job", "a"), ("instance", pod), ("k8s_pod_name", pod), ("otel_scope_name", "http"), ("code", code)])
        };
        let told = |lines: &[Line]| names::names(&lines.iter().map(labels).collect::<Vec<_>>());
        let key = |lines: &[Line]| told(lines).key;
        assert_eq!(key(&[sent("200", "p1"), sent("500", "p2")]), "code");
        assert_eq!(key(&[sent("200", "p1"), sent("200", "p2")]), "instance");
        let scope = |name: &str| line(&[("job", "a"), ("instance", "i"), ("otel_scope_name", name)]);
        assert_eq!(key(&[scope("http"), scope("grpc")]), "otel_scope_name");
        let chosen = |code: &str, pod: &str| line(&[("code", code), ("k8s_pod_name", pod)]);
        let expected = ["code=200, k8s_pod_name=p1", "code=500, k8s_pod_name=p2"];
        assert_eq!(told(&[chosen("200", "p1"), chosen("500", "p2")]).each, expected);
    }

    #[test]
    fn exemplars_are_the_greatest_all_over_the_range() {
        let text = r#"{"data":[{"exemplars":[
            {"labels":{"trace_id":"a","span_id":"b"},"value":"1","timestamp":1.5},
            {"labels":{"trace_id":"c"},"value":"2e0","timestamp":2.5},
            {"labels":{"trace_id":"d"},"value":"0.5","timestamp":55},
            {"labels":{"trace_id":"e"},"value":"9","timestamp":999},
            {"labels":{},"value":"9","timestamp":3}]}]}"#;
        let all = exemplars(&object::read(text).unwrap());
        assert_eq!(all.len(), 4);
        let kept = spread(all, Range { start: 0, end: 60_000_000_000 }, 6);
        let ids: Vec<&str> = kept.iter().map(|one| one.trace_id.as_str()).collect();
        assert_eq!(ids, ["c", "d"]);
    }

    #[test]
    fn steps_are_round() {
        let of = |seconds: i64| step_seconds(Range { start: 0, end: seconds * 1_000_000_000 });
        assert_eq!((of(60), of(3_600), of(86_400), of(7 * 86_400)), (1, 15, 600, 3_600));
        assert_eq!(of(10 * 365 * 86_400), 16 * 86_400);
    }

    proptest! {
        #[test]
        fn numbers_that_rust_writes_are_read(value in -1e12f64..1e12) {
            let read = read_number(&format!("{value}")).unwrap();
            prop_assert!((read - value).abs() <= value.abs() * 1e-14, "{} {}", read, value);
        }
    }
}
