//! What does a target's answer become? Series with the target's labels, and the end of those that are not in it any more.

use super::config::Job;
use super::fetch::Unfetched;
use super::protocol::Format;
use super::relabel::{self, Labels};
use super::target::Target;
use crate::decode::custom_buckets::{ClassicForm, Conversion};
use crate::decode::exposition::{Family, Found, GAUGE, LastExemplars, Measured, write};
use crate::decode::remote::writer::{Series, Writer};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use storage::model::record::{put_bytes, take_bytes};
use storage::model::verbatim::STALE_BITS;
use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "__name__";
/// Samples that say to be of a time so far ahead of the scrape are left out, as by Prometheus: their block would never be full.
const MAX_AHEAD_MILLISECONDS: i64 = 600_000;

/// The labels of a series, packed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity(Box<[u8]>);

impl Identity {
    fn of(labels: &Labels) -> Self {
        let mut packed = Vec::new();
        for (name, value) in labels {
            put_bytes(&mut packed, name.as_bytes());
            put_bytes(&mut packed, value.as_bytes());
        }
        Identity(packed.into())
    }

    fn hash(&self) -> u64 {
        xxh3_64(&self.0)
    }

    fn labels(&self) -> Labels {
        let mut rest = &*self.0;
        let mut text = || take_bytes(&mut rest).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned);
        std::iter::from_fn(|| Some((text()?, text()?))).collect()
    }
}

/// What is known of a target's series.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Those whose end is told by their absence, each with what was told about its family: its end belongs to the same one.
    series: HashMap<Identity, Arc<Family>>,
    exemplars: LastExemplars,
}

impl Known {
    /// Where all series have ended, what their last exemplars were.
    pub(super) fn ended(&self) -> Known {
        Known { series: HashMap::new(), exemplars: self.exemplars.clone() }
    }

    /// The families of the series, by name.
    pub(super) fn families(&self) -> BTreeMap<&str, &Family> {
        let told = self.series.values().filter(|family| !family.name.is_empty());
        told.map(|family| (family.name.as_str(), &**family)).collect()
    }

    /// Marks all as ended that are not in another.
    fn end(&self, but: &Known, writer: &mut Writer, time: i64) {
        for (identity, family) in self.series.iter().filter(|(identity, _)| !but.series.contains_key(*identity)) {
            end(writer, &identity.labels(), family, time);
        }
    }

    #[cfg(test)]
    pub(super) fn labels(&self) -> std::collections::BTreeSet<Labels> {
        self.series.keys().map(Identity::labels).collect()
    }
}

/// How much there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Samples that were told.
    pub(super) samples: usize,
    /// Those that rules left.
    pub(super) kept: usize,
    /// Series that were not there before.
    pub(super) added: usize,
}

/// What one scrape leaves.
#[derive(Debug, Default)]
pub(super) struct Scraped {
    pub(super) writer: Writer,
    pub(super) known: Known,
    pub(super) counts: Counts,
    /// Samples that were left out: told twice, or from a time far ahead.
    pub(super) left_out: usize,
    /// Why the first histogram that could not be converted could not.
    pub(super) unconverted: Option<String>,
}

/// Why nothing of an answer is kept, and how much of it was read.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: String,
    pub(super) counts: Counts,
}

/// Why a sample is not kept, and nothing of its answer.
enum Broken {
    /// One of the limits by which samples are counted; how many there would be is told all the same.
    Limit(String),
    Other(String),
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Failure { error, counts: Counts::default() }
    }
}

/// Memory that an answer takes on its way, at most. Where histograms are converted, a line may be one that waits for its other lines,
/// which takes twice what a series takes.
pub(super) fn weight(job: &Job, format: Format, body: &[u8]) -> usize {
    let factor = if conversion(job).is_some() { 3 } else { 1 };
    format.weight(body).saturating_mul(factor)
}

/// Reads an answer; `before` are the series of the last scrape.
pub(super) fn scraped(
    job: &Job,
    target: &Target,
    (format, body): (Format, &[u8]),
    time: i64,
    before: &Known,
) -> Result<Scraped, Failure> {
    let (mut all, mut failure) = (Scraped::default(), None);
    let mut take = |found: Found<'_, '_>| {
        all.counts.samples += 1;
        match failure {
            None => failure = keep(job, target, found, (time, before), &mut all).err(),
            Some(Broken::Limit(_)) => all.counts.kept += usize::from(relabelled(job, target, &found).is_some()),
            Some(Broken::Other(_)) => {}
        }
    };
    let parsed = match conversion(job) {
        None => format.parse(body, take).map(|()| None),
        Some(mut conversion) => {
            let parsed = format.parse(body, |found| conversion.pass(found).into_iter().for_each(&mut take));
            parsed.map(|()| conversion.finish(take))
        }
    };
    all.unconverted = match (parsed, failure) {
        (Ok(unconverted), None) => unconverted,
        (Err(error), _) | (Ok(_), Some(Broken::Other(error))) => return Err(Failure { error, counts: all.counts }),
        (Ok(_), Some(Broken::Limit(error))) => {
            let error = past_sample_limit(job, all.counts).unwrap_or(error);
            return Err(Failure { error, counts: all.counts });
        }
    };
    let is_new = |identity: &&Identity| !before.series.contains_key(*identity);
    all.counts.added = all.known.series.keys().filter(is_new).count();
    before.end(&all.known, &mut all.writer, time);
    Ok(all)
}

/// How the job has classic histograms converted, if it has.
fn conversion(job: &Job) -> Option<Conversion> {
    let is_kept = job.always_scrape_classic_histograms.unwrap_or_default();
    let classic = if is_kept { ClassicForm::Kept } else { ClassicForm::Replaced };
    job.convert_classic_histograms_to_nhcb.unwrap_or_default().then(|| Conversion::new(classic))
}

/// The labels of a sample as it is stored; `None` where a rule drops it.
fn relabelled(job: &Job, target: &Target, found: &Found<'_, '_>) -> Option<Labels> {
    let sample = &found.sample;
    let mut labels: Labels = sample.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    add_target_labels(job, target, &mut labels);
    labels.insert(NAME.to_owned(), sample.name.to_string());
    relabel::apply(&job.metric_relabel_configs, &mut labels).then_some(labels)
}

fn keep(
    job: &Job,
    target: &Target,
    found: Found<'_, '_>,
    (time, before): (i64, &Known),
    all: &mut Scraped,
) -> Result<(), Broken> {
    // From here on it may borrow what is made of it.
    let mut found = found;
    let Some(labels) = relabelled(job, target, &found) else { return Ok(()) };
    let (name, others) = split(&labels).ok_or_else(|| Broken::Other("a rule took a metric's name away".to_owned()))?;
    check_names(job, &labels).and_then(|()| check_limits(job, &labels)).map_err(Broken::Other)?;
    all.counts.kept += 1;
    if let Some(error) = past_sample_limit(job, all.counts) {
        return Err(Broken::Limit(error));
    }
    let fitted = match found.sample.value {
        Measured::Native(fields) => job.resolution().map_or(Ok(None), |resolution| resolution.fit(fields)),
        Measured::Number(_) => Ok(None),
    };
    let fitted = fitted.map_err(|what| Broken::Limit(format!("{name:?}: {what}")))?;
    if let Some(fields) = &fitted {
        found.sample.value = Measured::Native(fields);
    }
    let told = found.sample.timestamp.filter(|_| job.honor_timestamps);
    let moment = told.unwrap_or(time);
    if moment > time.saturating_add(MAX_AHEAD_MILLISECONDS) {
        all.left_out += 1;
        return Ok(());
    }
    let identity = Identity::of(&labels);
    let series = identity.hash();
    if told.is_none() || job.track_timestamps_staleness {
        let twice = all.known.series.insert(identity, Arc::clone(found.family)).is_some();
        // Of two samples of one series the first counts, as for Prometheus; with times of their own they may be two.
        if twice && told.is_none() {
            all.left_out += 1;
            return Ok(());
        }
    }
    let (known, exemplars) = (&mut all.known.exemplars, &mut found.sample.exemplars);
    match found.sample.value {
        Measured::Number(_) => {
            known.keep(&before.exemplars, series);
            known.leave_out(series, exemplars);
        }
        Measured::Native(_) => known.leave_out_timed(&before.exemplars, series, exemplars),
    }
    write(&mut all.writer, name, others, &found, moment);
    Ok(())
}

fn past_sample_limit(job: &Job, counts: Counts) -> Option<String> {
    let is_past = job.sample_limit > 0 && counts.kept > job.sample_limit;
    is_past.then(|| format!("there are more than the {} samples of sample_limit", job.sample_limit))
}

/// The target's own labels win; what is told under their names is kept beside, unless the job honours it. There an empty value says
/// that the target's label is not wanted.
fn add_target_labels(job: &Job, target: &Target, labels: &mut Labels) {
    if job.honor_labels {
        for (name, value) in &target.labels {
            if !labels.contains_key(name) {
                labels.insert(name.clone(), value.clone());
            }
        }
        labels.retain(|_, value| !value.is_empty());
        return;
    }
    labels.retain(|_, value| !value.is_empty());
    let mut told: Vec<(&String, String)> = Vec::new();
    for (name, value) in &target.labels {
        told.extend(labels.insert(name.clone(), value.clone()).map(|told| (name, told)));
    }
    // Shorter names first, so that `exported_x` is the one of `x`.
    told.sort_by_key(|(name, _)| name.len());
    for (name, value) in told {
        let mut other = format!("exported_{name}");
        while labels.contains_key(&other) {
            other.insert_str(0, "exported_");
        }
        labels.insert(other, value);
    }
}

fn check_names(job: &Job, labels: &Labels) -> Result<(), String> {
    let validation = job.metric_name_validation_scheme.unwrap_or_default();
    let name = labels.get(NAME).map_or("", String::as_str);
    let scheme = validation.name();
    if !validation.takes_metric(name) {
        return Err(format!("metric_name_validation_scheme {scheme} does not take the metric's name {name:?}"));
    }
    match labels.keys().find(|label| !validation.takes_label(label)) {
        None => Ok(()),
        Some(label) => {
            Err(format!("metric_name_validation_scheme {scheme} does not take the label {label:?} of {name:?}"))
        }
    }
}

fn check_limits(job: &Job, labels: &Labels) -> Result<(), String> {
    let name = labels.get(NAME).map_or("", String::as_str);
    let most = |limit: usize, found: usize| limit > 0 && found > limit;
    if most(job.label_limit, labels.len()) {
        return Err(format!("{name:?} has more than the {} labels of label_limit", job.label_limit));
    }
    for (label, value) in labels {
        if most(job.label_name_length_limit, label.len()) {
            return Err(format!("{name:?} has a label longer than label_name_length_limit: {label:?}"));
        }
        if most(job.label_value_length_limit, value.len()) {
            return Err(format!("{name:?} has a value longer than label_value_length_limit, of label {label:?}"));
        }
    }
    Ok(())
}

/// Name and other labels; `None` where there is no name.
fn split(labels: &Labels) -> Option<(&str, impl Iterator<Item = (&str, &str)>)> {
    let others = labels.iter().filter(|(label, _)| *label != NAME);
    Some((labels.get(NAME)?.as_str(), others.map(|(label, value)| (label.as_str(), value.as_str()))))
}

/// Marks a series as ended.
fn end(writer: &mut Writer, labels: &Labels, family: &Family, time: i64) {
    single(writer, labels, family, f64::from_bits(STALE_BITS), time);
}

fn single(writer: &mut Writer, labels: &Labels, family: &Family, value: f64, time: i64) {
    let Some((name, others)) = split(labels) else { return };
    let mut series = Series::new(writer, name, others);
    series.sample(value, time, 0);
    series.metadata(family);
    series.finish();
}

/// What is told about a scrape beside its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) is_up: bool,
    pub(super) seconds: f64,
    pub(super) counts: Counts,
    /// Bytes of the answer once it is unpacked, as [`body_bytes`] tells them.
    pub(super) body_bytes: f64,
}

/// Bytes of an answer as a report tells them: -1 where there were more than may be, 0 where there was none.
pub(super) fn body_bytes(fetched: Result<usize, &Unfetched>) -> f64 {
    match fetched {
        Ok(bytes) => bytes as f64,
        Err(Unfetched::TooLong(_)) => -1.0,
        Err(Unfetched::Other(_)) => 0.0,
    }
}

impl Report {
    /// The last three are told where the job has extra_scrape_metrics.
    const NAMES: [&'static str; 8] = [
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
        "scrape_timeout_seconds",
        "scrape_sample_limit",
        "scrape_body_size_bytes",
    ];

    /// Rows of a report, with which each message of a scrape ends.
    pub(super) fn rows(job: &Job) -> usize {
        if job.extra_scrape_metrics.unwrap_or_default() { Report::NAMES.len() } else { Report::NAMES.len() - 3 }
    }

    fn write_all(job: &Job, target: &Target, values: [f64; 8], writer: &mut Writer, time: i64) {
        let family = Family { r#type: GAUGE, ..Family::default() };
        for (name, value) in Report::NAMES.into_iter().zip(values).take(Report::rows(job)) {
            let mut labels = target.labels.clone();
            labels.insert(NAME.to_owned(), name.to_owned());
            single(writer, &labels, &family, value, time);
        }
    }

    /// Adds it to a message.
    pub(super) fn write(&self, job: &Job, target: &Target, writer: &mut Writer, time: i64) {
        let up = if self.is_up { 1.0 } else { 0.0 };
        let Counts { samples, kept, added } = self.counts;
        let [samples, kept, added, limit] = [samples, kept, added, job.sample_limit].map(|count| count as f64);
        let timeout = target.timeout.as_secs_f64();
        let values = [up, self.seconds, samples, kept, added, timeout, limit, self.body_bytes];
        Report::write_all(job, target, values, writer, time);
    }
}

/// A message that ends series of a target which failed.
pub(super) fn failed(job: &Job, target: &Target, known: &Known, report: &Report, time: i64) -> Vec<u8> {
    let mut writer = Writer::default();
    known.end(&Known::default(), &mut writer, time);
    report.write(job, target, &mut writer, time);
    writer.finish()
}

/// A message that ends all series of a target that is gone.
pub(super) fn gone(job: &Job, target: &Target, known: &Known, time: i64) -> Vec<u8> {
    let mut writer = Writer::default();
    known.end(&Known::default(), &mut writer, time);
    Report::write_all(job, target, [f64::from_bits(STALE_BITS); 8], &mut writer, time);
    writer.finish()
}
