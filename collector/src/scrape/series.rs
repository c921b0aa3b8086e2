//! What does a target's text become? Series with the target's labels, and the end of those that are not in it any more.

use super::config::Job;
use super::relabel::{self, Labels};
use super::target::Target;
use crate::decode::remote::writer::{Series, Writer};
use crate::decode::text::{Family, Found, TextFormat, parse};
use std::collections::HashSet;
use storage::model::verbatim::STALE_BITS;

const NAME: &str = "__name__";

/// What one scrape leaves.
#[derive(Debug, Default)]
pub(super) struct Scraped {
    pub(super) message: Vec<u8>,
    /// Series whose end is told by their absence.
    pub(super) series: HashSet<Labels>,
    pub(super) samples: usize,
    pub(super) kept: usize,
    pub(super) added: usize,
}

/// What is told about a scrape beside its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) is_up: bool,
    pub(super) seconds: f64,
    pub(super) samples: usize,
    pub(super) kept: usize,
    pub(super) added: usize,
}

/// Reads a text; `before` are the series of the last scrape.
pub(super) fn scraped(
    job: &Job,
    target: &Target,
    (format, text): (TextFormat, &[u8]),
    time: i64,
    before: &HashSet<Labels>,
) -> Result<Scraped, String> {
    let (mut writer, mut all, mut failure) = (Writer::default(), Scraped::default(), None);
    parse(format, text, |found| {
        all.samples += 1;
        if failure.is_none() {
            failure = keep(job, target, &found, time, (&mut writer, &mut all)).err();
        }
    })
    .map_err(|error| error.to_string())?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    all.added = all.series.difference(before).count();
    before.difference(&all.series).for_each(|labels| end(&mut writer, labels, time));
    all.message = writer.finish();
    Ok(all)
}

fn keep(
    job: &Job,
    target: &Target,
    found: &Found<'_, '_>,
    time: i64,
    (writer, all): (&mut Writer, &mut Scraped),
) -> Result<(), String> {
    let sample = &found.sample;
    let mut labels: Labels = sample.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    labels.retain(|_, value| !value.is_empty());
    add_target_labels(job, target, &mut labels);
    labels.insert(NAME.to_owned(), sample.name.to_string());
    if !relabel::apply(&job.metric_relabel_configs, &mut labels) {
        return Ok(());
    }
    check_limits(job, &labels)?;
    all.kept += 1;
    if job.sample_limit > 0 && all.kept > job.sample_limit {
        return Err(format!("there are more than the {} samples of sample_limit", job.sample_limit));
    }
    let told = sample.timestamp.filter(|_| job.honor_timestamps);
    let moment = told.unwrap_or(time);
    let exemplar = sample.exemplar.as_ref();
    let mut series = begin(writer, &labels)?;
    series.sample(sample.value, moment, found.start);
    if let Some(exemplar) = exemplar {
        let labels = exemplar.labels.iter().map(|(name, value)| (&**name, &**value));
        series.exemplar(labels, exemplar.value, exemplar.timestamp.unwrap_or(moment));
    }
    let Family { r#type, help, unit } = found.family;
    series.metadata(*r#type, help, unit);
    series.finish();
    if told.is_none() {
        all.series.insert(labels);
    }
    Ok(())
}

/// The target's own labels win; what the text says under their names is kept beside, unless the job honours it.
fn add_target_labels(job: &Job, target: &Target, labels: &mut Labels) {
    for (name, value) in &target.labels {
        if !labels.contains_key(name) {
            labels.insert(name.clone(), value.clone());
        } else if !job.honor_labels
            && let Some(told) = labels.insert(name.clone(), value.clone())
        {
            let mut other = format!("exported_{name}");
            while labels.contains_key(&other) || target.labels.contains_key(&other) {
                other.insert_str(0, "exported_");
            }
            labels.insert(other, told);
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

fn begin<'w>(writer: &'w mut Writer, labels: &Labels) -> Result<Series<'w>, String> {
    let name = labels.get(NAME).ok_or("a rule took a metric's name away")?;
    let others = labels.iter().filter(|(label, _)| *label != NAME);
    Ok(Series::new(writer, name, others.map(|(label, value)| (label.as_str(), value.as_str()))))
}

/// Marks a series as ended.
fn end(writer: &mut Writer, labels: &Labels, time: i64) {
    if let Ok(mut series) = begin(writer, labels) {
        series.sample(f64::from_bits(STALE_BITS), time, 0);
        series.finish();
    }
}

/// A message that ends series.
pub(super) fn ended<'l>(all: impl IntoIterator<Item = &'l Labels>, time: i64) -> Vec<u8> {
    let mut writer = Writer::default();
    all.into_iter().for_each(|labels| end(&mut writer, labels, time));
    writer.finish()
}

impl Report {
    const NAMES: [&'static str; 5] = [
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    ];

    /// The series that tell about scrapes of a target.
    pub(super) fn series(target: &Target) -> Vec<Labels> {
        let named = |name: &str| {
            let mut labels = target.labels.clone();
            labels.insert(NAME.to_owned(), name.to_owned());
            labels
        };
        Report::NAMES.into_iter().map(named).collect()
    }

    /// Them as a message.
    pub(super) fn message(&self, target: &Target, time: i64) -> Vec<u8> {
        let up = if self.is_up { 1.0 } else { 0.0 };
        let counts = [self.samples, self.kept, self.added].map(|count| count as f64);
        let values = [up, self.seconds].into_iter().chain(counts);
        let mut writer = Writer::default();
        for (labels, value) in Report::series(target).iter().zip(values) {
            if let Ok(mut series) = begin(&mut writer, labels) {
                series.sample(value, time, 0);
                series.metadata(crate::decode::text::GAUGE, "", "");
                series.finish();
            }
        }
        writer.finish()
    }
}
