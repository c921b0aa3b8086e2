//! The store, as PromQL sees it.
//!
//! Metrics are found by name: of all stored names only those are looked at that could become the wanted one.
//!
//! D1  What was thinned is read instead of every sample only where that makes no difference to what is asked; else where every sample is
//!     not there any more.

use super::naming::certain_start;
use super::translate::{Gathered, Translated, Translation, base_name, has_samples, names, own_labels, target_labels};
use crate::config::TranslationStrategy;
use crate::error::Result as ServerResult;
use crate::exec::Control;
use crate::promql::{Matcher, Reading, Result, Source};
use crate::series::{Labels, NAME, Needs, RawSeries, Sample, Thinning, Value};
use std::collections::BTreeMap;
use storage::engine::{SeriesRequest, SeriesScan};
use storage::metric::{Label, Relation, Series};
use storage::model::schema::column;
use storage::scan::TimeRange;

/// Columns that samples are made of.
const COLUMNS: [&str; 14] = [
    column::START_TIME,
    column::FLAGS,
    column::VALUE_INT,
    column::VALUE_DOUBLE,
    column::COUNT,
    column::SUM,
    column::EXPLICIT_BOUNDS,
    column::BUCKET_COUNTS,
    column::SCALE,
    column::ZERO_COUNT,
    column::ZERO_THRESHOLD,
    column::POSITIVE,
    column::NEGATIVE,
    column::QUANTILES,
];

/// The others that say what thinned samples stand for.
const THINNED_COLUMNS: [&str; 2] = [column::MIN, column::MAX];

/// `target_info` has a sample per minute in which its resource sent something.
const TARGET_STEP: i64 = 60_000;

/// The metrics of a tenant.
#[derive(Debug)]
pub(crate) struct Store<'c> {
    pub(super) control: &'c Control,
}

impl<'c> Store<'c> {
    pub(crate) fn new(control: &'c Control) -> Self {
        Store { control }
    }

    pub(super) fn strategy(&self) -> TranslationStrategy {
        self.control.translation()
    }

    /// Stored series with samples after one moment and until another, in milliseconds, that may fit. `every` is that of
    /// `SeriesRequest`.
    pub(super) fn scan(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        (columns, every): (&[&'static str], i64),
    ) -> ServerResult<SeriesScan> {
        let time = range(after, until);
        let mut request = SeriesRequest::new(Vec::new(), time);
        request.columns = columns.to_vec();
        request.every = every;
        if let Some(candidates) = self.candidates(matchers, time)? {
            let pattern = candidates.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("|");
            let matcher = match candidates.as_slice() {
                [only] => storage::metric::Matcher::new(Label::Name, Relation::Equal, only),
                _ => storage::metric::Matcher::new(Label::Name, Relation::Matches, &pattern),
            };
            request.matchers.push(matcher.map_err(crate::error::Error::from)?);
        }
        let mut scan = self.control.series(&request)?;
        let strategy = self.strategy();
        scan.leave_out(|series| !may_fit(series, matchers, strategy));
        Ok(scan)
    }

    /// Milliseconds of the longest window of which a reader of every sample finds only what stands for them.
    pub(super) fn longest_window(&self, after: i64, until: i64) -> i64 {
        self.control.resolution(range(after, until), 0).milliseconds()
    }

    /// Name and labels of a stored series, if it fits; of a histogram or summary without the suffixes of its parts.
    pub(crate) fn counted(&self, series: &Series, matchers: &[Matcher]) -> Option<(String, Labels)> {
        let strategy = self.strategy();
        if !has_samples(series) || !may_fit(series, matchers, strategy) {
            return None;
        }
        Some((base_name(series, strategy)?, own_labels(series, strategy)))
    }

    /// The same without those whose points are no samples.
    pub(super) fn scan_samples(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        read: (&[&'static str], i64),
    ) -> ServerResult<SeriesScan> {
        let mut scan = self.scan(matchers, after, until, read)?;
        scan.leave_out(|series| !has_samples(series));
        Ok(scan)
    }

    /// Names of stored metrics that could be the wanted one; `None` where more than one name is wanted.
    fn candidates(&self, matchers: &[Matcher], time: TimeRange) -> ServerResult<Option<Vec<String>>> {
        let wanted = matchers.iter().find(|matcher| matcher.label == NAME && matcher.relation == Relation::Equal);
        let Some(wanted) = wanted.filter(|wanted| !wanted.value.is_empty()) else { return Ok(None) };
        let strategy = self.strategy();
        let mut candidates = self.control.label_values(&Label::Name, time)?;
        candidates.retain(|name| *name == wanted.value || wanted.value.starts_with(&certain_start(name, strategy)));
        // So many names in one pattern would cost more than they save.
        Ok(Some(candidates).filter(|candidates| candidates.len() <= 1000))
    }

    /// `target_info` of every resource that sent something.
    fn targets(&self, matchers: &[Matcher], after: i64, until: i64, every: i64) -> Result<Gathered> {
        let mut times: BTreeMap<Labels, BTreeMap<i64, i64>> = BTreeMap::new();
        if !accepts_targets(matchers) {
            return Ok(Gathered::new());
        }
        let strategy = self.strategy();
        let mut scan = self.scan_samples(&[], after, until, (&[], every))?;
        scan.leave_out(|series| !target_labels(series, strategy).is_some_and(|labels| fits(&labels, matchers)));
        for found in scan {
            self.control.check()?;
            let (series, samples) = found.map_err(crate::error::Error::from)?;
            let Some(labels) = target_labels(&series, strategy) else { continue };
            let own = times.entry(labels).or_default();
            for time in samples.times().iter().map(|time| time.div_euclid(1_000_000)) {
                let newest = own.entry(time.div_euclid(TARGET_STEP)).or_insert(time);
                *newest = time.max(*newest);
            }
        }
        let samples = |times: BTreeMap<i64, i64>| {
            times.into_values().map(|time| Sample { time, start: 0, value: Value::Float(1.0) }).collect()
        };
        let translated = |times| Translated { samples: samples(times), stands: Vec::new() };
        Ok(times.into_iter().map(|(labels, times)| (labels, translated(times))).collect())
    }
}

/// After one moment, until another.
fn range(after: i64, until: i64) -> TimeRange {
    let nanoseconds = |milliseconds: i64| milliseconds.saturating_add(1).saturating_mul(1_000_000);
    TimeRange { start: nanoseconds(after), end: nanoseconds(until) }
}

pub(super) fn accepts_targets(matchers: &[Matcher]) -> bool {
    matchers.iter().filter(|matcher| matcher.label == NAME).all(|matcher| matcher.accepts("target_info"))
}

pub(super) fn fits(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.accepts(labels.get(&matcher.label)))
}

/// Whether one of the series that a stored one becomes may fit; labels of buckets and quantiles are not known yet.
fn may_fit(series: &Series, matchers: &[Matcher], strategy: TranslationStrategy) -> bool {
    let (of_name, others): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|matcher| matcher.label == NAME);
    if !names(series, strategy).iter().any(|name| of_name.iter().all(|matcher| matcher.accepts(name))) {
        return false;
    }
    let mut others =
        others.into_iter().filter(|matcher| !matches!(matcher.label.as_str(), "le" | "quantile")).peekable();
    if others.peek().is_none() {
        return true;
    }
    let labels = own_labels(series, strategy);
    others.all(|matcher| matcher.accepts(labels.get(&matcher.label)))
}

/// A text as a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

impl Store<'_> {
    /// The series that fit, as the store has them at one resolution. Charges what they take.
    fn gather(
        &self,
        matchers: &[Matcher],
        (after, until): (i64, i64),
        every: i64,
        charged: &mut usize,
    ) -> Result<Gathered> {
        let is_raw = self.control.resolution(range(after, until), every).is_raw();
        let columns: Vec<&str> = COLUMNS.into_iter().chain(THINNED_COLUMNS.into_iter().filter(|_| !is_raw)).collect();
        let mut gathered = self.targets(matchers, after, until, every)?;
        for found in self.scan_samples(matchers, after, until, (&columns, every))? {
            self.control.check()?;
            let (series, samples) = found.map_err(crate::error::Error::from)?;
            let mut own = Gathered::new();
            Translation::run(&series, &samples, self.strategy(), &mut own);
            own.retain(|labels, _| fits(labels, matchers));
            for (labels, mut translated) in own {
                let samples = &translated.samples;
                let weight: usize = samples.iter().map(|sample| size_of::<Sample>() + 16 * sample.value.weight()).sum();
                let bytes = weight + labels.memory_bytes();
                self.control.charge(bytes)?;
                *charged += bytes;
                let gathered = gathered.entry(labels).or_default();
                gathered.samples.append(&mut translated.samples);
                gathered.stands.append(&mut translated.stands);
            }
        }
        Ok(gathered)
    }
}

impl Source for Store<'_> {
    fn select(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        reading: Reading,
        each: &mut dyn FnMut(RawSeries) -> Result<()>,
    ) -> Result<()> {
        let mut every = if reading.needs == Needs::Everything { 0 } else { reading.every };
        let at = |every| self.control.resolution(range(after, until), every);
        let mut resolution = at(every);
        let from = if resolution.divides(every) { after } else { after.saturating_sub(resolution.milliseconds()) };
        let mut charged = 0;
        let mut gathered = self.gather(matchers, (from, until), every, &mut charged)?;
        let thinning = |stands| Thinning { resolution: 0, stands };
        let tells = |own: &Translated| own.stands.is_empty() || thinning(own.stands.clone()).tells(reading.needs);
        if resolution.divides(every) && at(0) < resolution && !gathered.values().all(tells) {
            self.control.release(std::mem::take(&mut charged));
            (every, resolution) = (0, at(0));
            gathered = self.gather(matchers, (after, until), every, &mut charged)?;
        }
        for (labels, Translated { mut samples, mut stands }) in gathered {
            // Of two samples of one millisecond the one that was written last counts.
            samples.sort_by_key(|sample| sample.time);
            samples.dedup_by(|later, kept| {
                let same = later.time == kept.time;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
            stands.sort_by_key(|stand| stand.time);
            stands.dedup_by_key(|stand| stand.time);
            let resolution = if stands.is_empty() { 0 } else { resolution.milliseconds() };
            each(RawSeries { labels, samples, thinning: Thinning { resolution, stands } })?;
        }
        self.control.release(charged);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(self.control.check()?)
    }

    fn charge(&self, bytes: usize) -> Result<()> {
        Ok(self.control.charge(bytes)?)
    }
}
