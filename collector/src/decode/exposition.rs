//! What do targets tell about a sample, in whichever format?
//!
//! - `text`: Prometheus's text format and OpenMetrics.
//! - `families`: protobuf.
//! - `custom_buckets`: classic histograms that are converted.
//!
//! Not here: what becomes of the samples (`remote`), where they come from (`receiver`, `scrape`).

use super::remote::writer::{Series, Writer};
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use storage::hashed::AsIs;
use storage::model::record::put_bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Remote write's numbers of types.
pub(crate) const COUNTER: i32 = 1;
pub(crate) const GAUGE: i32 = 2;
pub(crate) const HISTOGRAM: i32 = 3;
pub(crate) const GAUGE_HISTOGRAM: i32 = 4;
pub(crate) const SUMMARY: i32 = 5;
pub(crate) const INFO: i32 = 6;
pub(crate) const STATE_SET: i32 = 7;

/// Labels, the name left out.
pub(crate) type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Names of labels, known where there are so many that comparing each with each would take long.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(HashSet<Cow<'a, str>>);

impl<'a> Names<'a> {
    /// Whether a name is among some labels. It is taken to be added to them otherwise.
    pub(crate) fn is_twice(&mut self, labels: &Labels<'a>, name: Cow<'a, str>) -> bool {
        const FEW: usize = 32;
        if labels.len() < FEW {
            return labels.iter().any(|(other, _)| *other == name);
        }
        if self.0.is_empty() {
            self.0.extend(labels.iter().map(|(name, _)| name.clone()));
        }
        !self.0.insert(name)
    }
}

/// A measurement behind a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar<'a> {
    pub(crate) labels: Labels<'a>,
    pub(crate) value: f64,
    /// Milliseconds.
    pub(crate) timestamp: Option<i64>,
}

impl Exemplar<'_> {
    fn hash(&self) -> u64 {
        let mut packed = hashed(&self.labels).to_le_bytes().to_vec();
        packed.extend_from_slice(&self.value.to_bits().to_le_bytes());
        packed.extend(self.timestamp.iter().flat_map(|time| time.to_le_bytes()));
        xxh3_64(&packed)
    }
}

/// A hash of labels, in whichever order they stand.
pub(crate) fn hashed(labels: &Labels<'_>) -> u64 {
    let mut sorted: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    sorted.sort_unstable();
    let mut packed = Vec::new();
    for (name, value) in sorted {
        put_bytes(&mut packed, name.as_bytes());
        put_bytes(&mut packed, value.as_bytes());
    }
    xxh3_64(&packed)
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measured<'a> {
    Number(f64),
    /// A native histogram, as the fields of remote write's message but its times.
    Native(&'a [u8]),
}

/// A sample of one series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) labels: Labels<'a>,
    pub(crate) value: Measured<'a>,
    /// Milliseconds.
    pub(crate) timestamp: Option<i64>,
    pub(crate) exemplars: Vec<Exemplar<'a>>,
}

/// What is told about a family of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Family {
    /// Without the suffixes of its parts; empty where nothing was told.
    pub(crate) name: String,
    /// Remote write's number.
    pub(crate) r#type: i32,
    pub(crate) help: String,
    pub(crate) unit: String,
}

impl Family {
    /// The type, as Prometheus's API calls it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.r#type {
            COUNTER => "counter",
            GAUGE => "gauge",
            HISTOGRAM => "histogram",
            GAUGE_HISTOGRAM => "gaugehistogram",
            SUMMARY => "summary",
            INFO => "info",
            STATE_SET => "stateset",
            _ => "unknown",
        }
    }
}

/// A sample with what is known about its family.
pub(crate) struct Found<'a, 'f> {
    pub(crate) sample: Sample<'a>,
    pub(crate) family: &'f Arc<Family>,
    /// Since when it counts, in milliseconds; 0 where that is not told.
    pub(crate) start: i64,
}

/// The last exemplar of each series, or the last ones of a native histogram, as hashes of both. One that equals it is not stored again: who tells no time with an exemplar tells the
/// same one until there is another.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastExemplars(HashMap<u64, u64, AsIs>);

/// The last exemplars of series that came by import, over requests. Only of those without a time: what tells one is the same row when
/// it comes again.
#[derive(Debug, Default)]
pub(crate) struct Imported(Mutex<LastExemplars>);

/// So many series are remembered, some megabytes; then all are forgotten, and an exemplar may be stored once more.
const MOST_IMPORTED: usize = 1 << 17;

impl Imported {
    /// Whether an exemplar is the last one of a series, by their hashes.
    fn is_last(&self, series: u64, exemplar: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.get(&series) == Some(&exemplar)
    }

    /// Takes over what a request told, once it is stored.
    pub(crate) fn remember(&self, told: LastExemplars) {
        if told.0.is_empty() {
            return;
        }
        let LastExemplars(known) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len().saturating_add(told.0.len()) > MOST_IMPORTED {
            known.clear();
        }
        known.extend(told.0.into_iter().take(MOST_IMPORTED));
    }
}

impl LastExemplars {
    /// Takes over what is known of a series that is still there.
    pub(crate) fn keep(&mut self, before: &LastExemplars, series: u64) {
        if let (false, Some(last)) = (before.0.is_empty(), before.0.get(&series)) {
            self.0.entry(series).or_insert(*last);
        }
    }

    /// Leaves out those that are known from the request or, where they tell no time, from one before; what is still told without a time is
    /// there to be remembered.
    pub(crate) fn leave_out_imported(&mut self, series: u64, exemplars: &mut Vec<Exemplar<'_>>, before: &Imported) {
        let is_last = |exemplar: &Exemplar<'_>| exemplar.timestamp.is_none() && before.is_last(series, exemplar.hash());
        if let (Entry::Vacant(last), Some(first)) = (self.0.entry(series), exemplars.first())
            && is_last(first)
        {
            last.insert(first.hash());
        }
        self.leave_out(series, exemplars);
    }

    /// Leaves out those of a native histogram's exemplars that the request before told, too. There may be one of each bucket, all with times
    /// of their own.
    pub(crate) fn leave_out_timed(&mut self, before: &LastExemplars, series: u64, exemplars: &mut Vec<Exemplar<'_>>) {
        exemplars.retain(|exemplar| {
            let hash = exemplar.hash();
            self.0.insert(series ^ hash, hash);
            before.0.get(&(series ^ hash)) != Some(&hash)
        });
    }

    /// Leaves out the exemplars of a series' sample that are known.
    pub(crate) fn leave_out(&mut self, series: u64, exemplars: &mut Vec<Exemplar<'_>>) {
        exemplars.retain(|exemplar| {
            let hash = exemplar.hash();
            self.0.insert(series, hash) != Some(hash)
        });
    }
}

/// Adds what was found to a message of remote write 2, under a name and labels, at a time in milliseconds.
pub(crate) fn write<'t>(
    writer: &mut Writer,
    name: &'t str,
    labels: impl Iterator<Item = (&'t str, &'t str)>,
    found: &Found<'_, '_>,
    time: i64,
) {
    let mut series = Series::new(writer, name, labels);
    match found.sample.value {
        Measured::Number(value) => series.sample(value, time, found.start),
        Measured::Native(histogram) => series.histogram(histogram, time, found.start),
    }
    for exemplar in &found.sample.exemplars {
        let labels = exemplar.labels.iter().map(|(name, value)| (&**name, &**value));
        series.exemplar(labels, exemplar.value, exemplar.timestamp.unwrap_or(time));
    }
    series.metadata(found.family);
    series.finish();
}

/// A number in a label, as OpenMetrics has it: `1.0`, `0.25`, `1e+06`, `+Inf`.
pub(crate) fn open_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_among_few_labels_and_among_many() {
        let (mut labels, mut names) = (Labels::new(), Names::default());
        for n in 0..100 {
            let name: Cow<'_, str> = Cow::Owned(format!("l{n}"));
            assert!(!names.is_twice(&labels, name.clone()), "{n}");
            labels.push((name, Cow::Borrowed("")));
            for known in [0, n / 2, n] {
                assert!(names.is_twice(&labels, Cow::Owned(format!("l{known}"))), "{known} of {n}");
            }
        }
    }

    #[test]
    fn numbers_in_labels_are_written_as_openmetrics_has_them() {
        for (number, expected) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-1.0, "-1.0"),
            (0.25, "0.25"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (2_500_000.0, "2.5e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(open_float(number), expected);
        }
    }
}
