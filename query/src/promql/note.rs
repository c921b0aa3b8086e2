//! What should a reader of an answer know? Warnings and infos, with the place in the expression that they are about.
//!
//! N1  Notes with one text are one note: the place is that of the latest, what was counted is added up.

use super::ast::{Operator, Span};
use super::duration;
use crate::series::number::{general, significant};
use crate::series::{Added, Labels};
use std::collections::BTreeMap;

/// Of a name or value so many bytes are shown: a query can make long ones, of each series another.
const MOST_SHOWN: usize = 512;

/// A name or value between quotes.
fn quoted(bytes: &[u8]) -> String {
    match bytes.get(..MOST_SHOWN) {
        Some(head) if head.len() < bytes.len() => crate::series::quoted(head) + "…",
        _ => crate::series::quoted(bytes),
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Warning,
    Info,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    level: Level,
    text: String,
    span: Span,
    detail: Detail,
}

#[derive(Debug, Clone)]
enum Detail {
    None,
    /// Buckets that had to be made to rise.
    Monotonic {
        times: (i64, i64),
        buckets: (f64, f64),
        most: f64,
        samples: usize,
    },
    /// Samples that overlap.
    Overlaps(usize),
}

/// What an operation did to histograms.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Combination {
    Addition,
    Subtraction,
    Aggregation,
}

impl Combination {
    fn name(self) -> &'static str {
        match self {
            Combination::Addition => "addition",
            Combination::Subtraction => "subtraction",
            Combination::Aggregation => "aggregation",
        }
    }
}

/// All notes of an answer (N1).
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(BTreeMap<(Level, String), Note>);

impl Notes {
    pub(crate) fn add(&mut self, note: Note) {
        let key = (note.level, note.text.clone());
        let merged = match self.0.remove(&key) {
            Some(before) => Note { detail: before.detail.merged(note.detail.clone()), ..note },
            None => note,
        };
        self.0.insert(key, merged);
    }

    /// What a histogram's addition had to do.
    pub(crate) fn add_reconciled(&mut self, added: Added, combination: Combination, span: Span) {
        if added.bounds_reconciled {
            self.add(Note::mismatched_bounds(combination, span));
        }
    }

    /// Texts of one level, with their places in the expression.
    pub(crate) fn texts(&self, level: Level, expression: &str) -> Vec<String> {
        self.0.values().filter(|note| note.level == level).map(|note| note.text_in(expression)).collect()
    }
}

impl Detail {
    fn merged(self, later: Detail) -> Detail {
        match (self, later) {
            (Detail::Overlaps(a), Detail::Overlaps(b)) => Detail::Overlaps(a + b),
            (
                Detail::Monotonic { times, buckets, most, samples },
                Detail::Monotonic { times: times_b, buckets: buckets_b, most: most_b, samples: samples_b },
            ) => Detail::Monotonic {
                times: (times.0.min(times_b.0), times.1.max(times_b.1)),
                buckets: (buckets.0.min(buckets_b.0), buckets.1.max(buckets_b.1)),
                most: most.max(most_b),
                samples: samples + samples_b,
            },
            (_, later) => later,
        }
    }
}

impl Note {
    fn text_in(&self, expression: &str) -> String {
        let (text, place) = (&self.text, self.span.place_in(expression));
        match &self.detail {
            Detail::None | Detail::Overlaps(1) => format!("{text} ({place})"),
            Detail::Overlaps(count) => format!("{text} ({count} occurrences) ({place})"),
            Detail::Monotonic { times, buckets, most, samples } => {
                let (lowest, highest, most) = (general(buckets.0), general(buckets.1), significant(*most, 2));
                let (first, last) = (moment(times.0), moment(times.1));
                format!(
                    "{text}, from buckets {lowest} to {highest}, with a max diff of {most}, over {samples} samples from {first} to {last} ({place})"
                )
            }
        }
    }

    fn warning(span: Span, text: impl Into<String>) -> Self {
        let text = format!("PromQL warning: {}", text.into());
        Note { level: Level::Warning, text, span, detail: Detail::None }
    }

    fn info(span: Span, text: impl Into<String>) -> Self {
        let text = format!("PromQL info: {}", text.into());
        Note { level: Level::Info, text, span, detail: Detail::None }
    }

    /// Samples were left out, and what was asked is known all the same.
    pub(crate) fn downsampled(resolution: i64, span: Span) -> Self {
        Note::info(span, format!("data is downsampled to {}", duration::print(resolution)))
    }

    pub(crate) fn cuts_windows(resolution: i64, span: Span) -> Self {
        let length = duration::print(resolution);
        let what = format!(
            "data is downsampled to {length}, and start, step, offset or range is no multiple of it: values may be those of up to \
             {length} before, and ranges lack what lies between their ends and the next multiple"
        );
        Note::warning(span, what)
    }

    pub(crate) fn lacks_samples(resolution: i64, span: Span) -> Self {
        let length = duration::print(resolution);
        let what = format!(
            "data is downsampled to {length}, and the samples within each {length} that this needs are not there"
        );
        Note::warning(span, what)
    }

    pub(crate) fn not_told_apart(labels: &Labels, span: Span) -> Self {
        let what = "labels do not tell several stored series apart that go on beside each other, so values may be of any of them";
        Note::warning(span, what.to_owned() + &of_metric(labels.name()))
    }

    pub(crate) fn invalid_quantile(q: f64, span: Span) -> Self {
        Note::warning(span, format!("quantile value should be between 0 and 1, got {}", general(q)))
    }

    pub(crate) fn invalid_ratio(ratio: f64, capped: f64, span: Span) -> Self {
        let (ratio, capped) = (general(ratio), general(capped));
        Note::warning(span, format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}"))
    }

    pub(crate) fn bad_bucket_label(labels: &Labels, span: Span) -> Self {
        let value = quoted(labels.get("le").as_bytes());
        let what = format!("bucket label \"le\" is missing or has a malformed value of {value}");
        Note::warning(span, what + &of_metric(labels.name()))
    }

    pub(crate) fn mixed(labels: &Labels, span: Span) -> Self {
        let name = quoted(labels.name().as_bytes());
        Note::warning(span, format!("encountered a mix of histograms and floats for metric name {name}"))
    }

    pub(crate) fn mixed_aggregation(span: Span) -> Self {
        Note::warning(span, "encountered a mix of histograms and floats for aggregation")
    }

    pub(crate) fn mixed_classic(labels: &Labels, span: Span) -> Self {
        let what = "vector contains a mix of classic and native histograms".to_owned();
        Note::warning(span, what + &of_metric(labels.name()))
    }

    pub(crate) fn not_a_counter(labels: &Labels, span: Span) -> Self {
        let name = quoted(labels.name().as_bytes());
        Note::warning(span, format!("this native histogram metric is not a counter: {name}"))
    }

    pub(crate) fn not_a_gauge(labels: &Labels, span: Span) -> Self {
        let name = quoted(labels.name().as_bytes());
        Note::warning(span, format!("this native histogram metric is not a gauge: {name}"))
    }

    pub(crate) fn mixed_schemas(labels: &Labels, span: Span) -> Self {
        let what = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        Note::warning(span, format!("{what} {}", quoted(labels.name().as_bytes())))
    }

    pub(crate) fn incompatible_layout(op: Operator, span: Span) -> Self {
        Note::warning(span, format!("incompatible bucket layout encountered for binary operator {}", op.text()))
    }

    pub(crate) fn sort_in_range(span: Span) -> Self {
        Note::warning(span, "sort is ineffective for range queries since results are always ordered by labels")
    }

    pub(crate) fn hints_collide(combination: Combination, span: Span) -> Self {
        Note::warning(span, format!("conflicting counter resets during histogram {}", combination.name()))
    }

    pub(crate) fn start_overlap(labels: &Labels, span: Span) -> Self {
        let name = quoted(labels.name().as_bytes());
        let what = "sample has start time that overlaps with previous sample timestamp for metric";
        Note { detail: Detail::Overlaps(1), ..Note::warning(span, format!("{what} {name}")) }
    }

    pub(crate) fn possibly_no_counter(labels: &Labels, span: Span) -> Self {
        let what = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
        Note::info(span, format!("{what} {}", quoted(labels.name().as_bytes())))
    }

    pub(crate) fn forced_monotonic(labels: &Labels, span: Span, time: i64, forced: super::quantile::Forced) -> Self {
        let what = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        let detail = Detail::Monotonic {
            times: (time, time),
            buckets: (forced.lowest, forced.highest),
            most: forced.most,
            samples: 1,
        };
        Note { detail, ..Note::info(span, what.to_owned() + &of_metric(labels.name())) }
    }

    pub(crate) fn incompatible_types(left: &str, op: Operator, right: &str, span: Span) -> Self {
        let op = op.text();
        let what = "incompatible sample types encountered for binary operator";
        Note::info(span, format!("{what} \"{op}\": {left} {op} {right}"))
    }

    pub(crate) fn ignored_in_aggregation(aggregation: &str, span: Span) -> Self {
        Note::info(span, format!("ignored histogram in {aggregation} aggregation"))
    }

    pub(crate) fn ignored_in_range(labels: &Labels, span: Span) -> Self {
        let what = "ignored histograms in a range containing both floats and histograms for metric name";
        Note::info(span, format!("{what} {}", quoted(labels.name().as_bytes())))
    }

    pub(crate) fn quantile_is_nan(labels: &Labels, span: Span) -> Self {
        let what = "input to histogram_quantile has NaN observations, result is NaN".to_owned();
        Note::info(span, what + &of_metric(labels.name()))
    }

    pub(crate) fn quantile_is_skewed(labels: &Labels, span: Span) -> Self {
        let what = "input to histogram_quantile has NaN observations, result is skewed higher".to_owned();
        Note::info(span, what + &of_metric(labels.name()))
    }

    pub(crate) fn fraction_without_nan(labels: &Labels, span: Span) -> Self {
        let what = "input to histogram_fraction has NaN observations, which are excluded from all fractions".to_owned();
        Note::info(span, what + &of_metric(labels.name()))
    }

    pub(crate) fn mismatched_bounds(combination: Combination, span: Span) -> Self {
        Note::info(span, format!("mismatched custom buckets were reconciled during {}", combination.name()))
    }
}

fn of_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quoted(name.as_bytes())) }
}

/// A moment to the second, as RFC 3339 writes it.
fn moment(milliseconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(milliseconds.div_euclid(1000));
    moment.map_or_else(|_| milliseconds.to_string(), |moment| moment.to_string())
}
