//! The store, as PromQL sees it.
//!
//! Metrics are found by name: of all stored names only those are looked at that could become the wanted one.
//!
//! D1  What was thinned is read instead of every sample only where that makes no difference to what is asked; else where every sample is
//!     not there any more.

use super::concurrent::are_concurrent;
use super::naming::certain_start;
use super::origin::Strategy;
use super::translate::{
    Clock, EXPONENTIAL, Gathered, HISTOGRAM, SUMMARY, Translated, Translation, base_name, has_samples,
    labels_of_numbers, names, own_labels, role, samples_of, target_labels,
};
use crate::error::Result as ServerResult;
use crate::exec::{Control, FoundSeries};
use crate::promql::{Matcher, Reading, Result, Source};
use crate::series::{Hint, Labels, NAME, Needs, Numbers, Points, Sample, Selected, Stand, Thinning, Value};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use storage::engine::SeriesRequest;
use storage::metric::{Doubles, Label, Read, Relation, Series};
use storage::model::schema::column;
use storage::model::verbatim::Role;
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

/// How far before a query's samples the histogram is looked for that tells whether their counter went on.
const HINT_LOOKBACK: i64 = 300_000;

/// Of fewer samples of a series it is not clear whether it goes on; those this far around them may tell.
const FEW_SAMPLES: usize = 3;
const AROUND: i64 = 900_000;

/// What series match that do not bear Prometheus's names. Compiled once: it costs as much as a small query.
static OTHERS: LazyLock<Vec<storage::metric::Matcher>> = LazyLock::new(|| {
    let roles = [Role::Samples, Role::Exemplars, Role::Metadata].map(|role| escaped(role.scope()));
    let others = storage::metric::Matcher::new(Label::ScopeName, Relation::MatchesNot, &roles.join("|"));
    // The three are known to make a pattern; without a condition every series would match, which is the careful side.
    others.into_iter().collect()
});

/// Types whose samples tell which series they become in Prometheus: bounds and quantiles are in them.
const PARTED: &str = "histogram|exponential_histogram|summary";

/// The metrics of a tenant.
#[derive(Debug)]
pub(crate) struct Store<'c> {
    pub(super) control: &'c Control,
    /// What was found out last about the names of a range.
    names: Cell<Option<(TimeRange, bool)>>,
    strategy: Strategy,
}

impl<'c> Store<'c> {
    pub(crate) fn new(control: &'c Control) -> Self {
        Store { control, names: Cell::new(None), strategy: Strategy::new(control.translation(), control.promote()) }
    }

    pub(super) fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// Which stored series may fit, of those with samples after one moment and until another, in milliseconds.
    fn request(&self, matchers: &[Matcher], after: i64, until: i64) -> ServerResult<SeriesRequest> {
        let time = range(after, until);
        let mut request = SeriesRequest::new(Vec::new(), time);
        request.columns = Vec::new();
        if self.bears_names_only(time)? {
            // What is too much for an index is looked at afterwards.
            request.matchers.extend(matchers.iter().filter_map(|matcher| stored_matcher(matcher).ok()));
        } else if let Some(candidates) = self.candidates(matchers, time)? {
            let pattern = candidates.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("|");
            let matcher = match candidates.as_slice() {
                [only] => storage::metric::Matcher::new(Label::Name, Relation::Equal, only),
                _ => storage::metric::Matcher::new(Label::Name, Relation::Matches, &pattern),
            };
            request.matchers.push(matcher.map_err(crate::error::Error::from)?);
        }
        Ok(request)
    }

    /// Gives those that may fit to `each`, without their samples, some several times.
    pub(super) fn each_stored(
        &self,
        matchers: &[Matcher],
        (after, until): (i64, i64),
        each: &mut dyn FnMut(&Series) -> ServerResult<()>,
    ) -> ServerResult<()> {
        let (request, strategy) = (self.request(matchers, after, until)?, self.strategy());
        self.control.each_series(&request.matchers, request.time, |series, facts| {
            let is_inside = request.time.overlaps(facts.first_time, facts.last_time);
            if is_inside && may_fit(series, matchers, strategy) { each(series) } else { Ok(()) }
        })
    }

    /// Those of them, to be read one by one, of which only the samples tell which series they become.
    pub(super) fn scan_of_parts(
        &self,
        matchers: &[Matcher],
        (after, until): (i64, i64),
        columns: &[&'static str],
    ) -> ServerResult<FoundSeries<'_>> {
        let mut request = self.request(matchers, after, until)?;
        request.columns = columns.to_vec();
        let parted = storage::metric::Matcher::new(Label::Type, Relation::Matches, PARTED);
        request.matchers.push(parted.map_err(crate::error::Error::from)?);
        let strategy = self.strategy();
        self.control.series(&request, |series| is_parted(series) && may_fit(series, matchers, strategy))
    }

    /// Stored series with samples after one moment and until another, in milliseconds, that may fit and are `wanted`. `every` is that
    /// of `SeriesRequest`.
    pub(super) fn scan(
        &self,
        matchers: &[Matcher],
        (after, until): (i64, i64),
        (columns, every): (&[&'static str], i64),
        wanted: impl Fn(&Series) -> bool,
    ) -> ServerResult<FoundSeries<'_>> {
        let mut request = self.request(matchers, after, until)?;
        request.columns = columns.to_vec();
        request.every = every;
        let strategy = self.strategy();
        self.control.series(&request, |series| wanted(series) && may_fit(series, matchers, strategy))
    }

    /// Name and labels of a stored series, if it fits; of a histogram or summary without the suffixes of its parts.
    pub(crate) fn counted(&self, series: &Series, matchers: &[Matcher]) -> Option<(String, Labels)> {
        let strategy = self.strategy();
        if !has_samples(series) || !may_fit(series, matchers, strategy) {
            return None;
        }
        Some((base_name(series, strategy)?, own_labels(series, strategy)))
    }

    /// Whether all series bear Prometheus's names, so that its labels are what is stored.
    pub(super) fn bears_names_only(&self, time: TimeRange) -> ServerResult<bool> {
        if let Some((_, bears)) = self.names.get().filter(|(known, _)| *known == time) {
            return Ok(bears);
        }
        let bears = !self.control.has_series(OTHERS.as_slice(), time)?;
        self.names.set(Some((time, bears)));
        Ok(bears)
    }

    /// Names of stored metrics that could be the wanted one; `None` where more than one name is wanted.
    fn candidates(&self, matchers: &[Matcher], time: TimeRange) -> ServerResult<Option<Vec<String>>> {
        let wanted = matchers.iter().find(|matcher| matcher.label == NAME && matcher.relation == Relation::Equal);
        let Some(wanted) = wanted.filter(|wanted| !wanted.value.is_empty()) else { return Ok(None) };
        let strategy = self.strategy().translation;
        let (mut candidates, _held) = self.control.label_values(&Label::Name, time, usize::MAX)?;
        candidates.retain(|name| *name == wanted.value || wanted.value.starts_with(&certain_start(name, strategy)));
        // So many names in one pattern would cost more than they save.
        Ok(Some(candidates).filter(|candidates| candidates.len() <= 1000))
    }

    /// Adds the samples of all series that are `wanted` but `target_info`, as the store has them at one resolution.
    fn gather(
        &self,
        matchers: &[Matcher],
        (after, until): (i64, i64),
        every: i64,
        wanted: &dyn Fn(&Labels) -> bool,
        held: &mut BTreeMap<Labels, Held>,
    ) -> Result<()> {
        let fits = |labels: &Labels| fits(labels, matchers) && wanted(labels);
        let is_raw = self.control.resolution(range(after, until), every).is_raw();
        let columns: Vec<&str> = COLUMNS.into_iter().chain(THINNED_COLUMNS.into_iter().filter(|_| !is_raw)).collect();
        let mut clock = Clock::default();
        let mut scan = self.scan(matchers, (after, until), (&columns, every), has_samples)?;
        while let Some(found) = scan.next_doubles() {
            self.control.check()?;
            let (series, read) = found?;
            let samples = match read {
                Read::Samples(samples) => *samples,
                Read::Doubles(doubles) => {
                    let labels = labels_of_numbers(&series, self.strategy());
                    if let Some(labels) = labels.filter(fits) {
                        let bytes = 16 * doubles.values.len() + labels.memory_bytes();
                        self.control.charge(bytes)?;
                        held.entry(labels).or_default().push(Part::of(doubles, &mut clock), &series, bytes);
                    }
                    continue;
                }
            };
            let mut own = Gathered::new();
            Translation::run(&series, &samples, self.strategy(), &mut own);
            own.retain(|labels, _| fits(labels));
            for (labels, translated) in own {
                let samples = translated.samples.iter();
                let weight: usize = samples.map(|sample| size_of::<Sample>() + 16 * sample.value.weight()).sum();
                let bytes = weight + labels.memory_bytes() + translated.stands.len() * size_of::<Stand>();
                self.control.charge(bytes)?;
                held.entry(labels).or_default().push(Part::Samples(translated), &series, bytes);
            }
        }
        Ok(())
    }

    /// The same with `target_info`.
    fn hold(&self, matchers: &[Matcher], (after, until): (i64, i64), every: i64) -> Result<BTreeMap<Labels, Held>> {
        let mut held = self.targets(matchers, after, until, every)?;
        self.gather(matchers, (after, until), every, &|_| true, &mut held)?;
        Ok(held)
    }

    /// Which are of stored series that go on beside each other. Where there are too few samples to tell, more are looked at around them.
    fn mixed(
        &self,
        matchers: &[Matcher],
        (after, until): (i64, i64),
        every: i64,
        held: &BTreeMap<Labels, Held>,
    ) -> Result<BTreeSet<Labels>> {
        let (mut mixed, mut unclear) = (BTreeSet::new(), BTreeSet::new());
        for (labels, held) in held.iter().filter(|(_, held)| held.may_be_mixed()) {
            let times = held.times();
            if are_concurrent(&times) {
                mixed.insert(labels.clone());
            } else if times.iter().any(|times| times.len() < FEW_SAMPLES) {
                unclear.insert(labels.clone());
            }
        }
        if unclear.is_empty() {
            return Ok(mixed);
        }
        let (times, mut around) = ((after.saturating_sub(AROUND), until.saturating_add(AROUND)), BTreeMap::new());
        self.gather(matchers, times, every, &|labels| unclear.contains(labels), &mut around)?;
        self.control.release(around.values().map(|held: &Held| held.bytes).sum());
        mixed.extend(around.into_iter().filter(|(_, held)| are_concurrent(&held.times())).map(|(labels, _)| labels));
        Ok(mixed)
    }

    /// `target_info` of every resource that sent something.
    fn targets(&self, matchers: &[Matcher], after: i64, until: i64, every: i64) -> Result<BTreeMap<Labels, Held>> {
        let mut times: BTreeMap<Labels, BTreeMap<i64, i64>> = BTreeMap::new();
        if !accepts_targets(matchers) || self.bears_names_only(range(after, until))? {
            return Ok(BTreeMap::new());
        }
        let strategy = self.strategy();
        let tells = |series: &Series| target_labels(series, strategy).is_some_and(|labels| fits(&labels, matchers));
        let is_wanted = |series: &Series| has_samples(series) && tells(series);
        for found in self.scan(&[], (after, until), (&[], every), is_wanted)? {
            self.control.check()?;
            let (series, samples) = found?;
            let Some(labels) = target_labels(&series, strategy) else { continue };
            if !times.contains_key(&labels) {
                self.control.charge(labels.memory_bytes())?;
            }
            let own = times.entry(labels).or_default();
            let known = own.len();
            for time in samples.times().iter().map(|time| time.div_euclid(1_000_000)) {
                let newest = own.entry(time.div_euclid(TARGET_STEP)).or_insert(time);
                *newest = time.max(*newest);
            }
            self.control.charge((own.len() - known) * size_of::<Sample>())?;
        }
        let held = |(labels, times): (Labels, BTreeMap<i64, i64>)| {
            let bytes = labels.memory_bytes() + times.len() * size_of::<Sample>();
            let samples = times.into_values().map(|time| Sample { time, start: 0, value: Value::Float(1.0) });
            let translated = Translated { samples: samples.collect(), stands: Vec::new() };
            (labels, Held { parts: vec![Part::Samples(translated)], are_translated: true, bytes })
        };
        Ok(times.into_iter().map(held).collect())
    }
}

/// After one moment and until another, both in milliseconds.
pub(super) fn range(after: i64, until: i64) -> TimeRange {
    let nanoseconds = |milliseconds: i64| milliseconds.saturating_add(1).saturating_mul(1_000_000);
    TimeRange { start: nanoseconds(after), end: nanoseconds(until) }
}

/// A condition of PromQL where series bear Prometheus's names.
fn stored_matcher(matcher: &Matcher) -> storage::error::Result<storage::metric::Matcher> {
    let label = if matcher.label == NAME { Label::Name } else { Label::Point(matcher.label.clone()) };
    storage::metric::Matcher::new(label, matcher.relation, &matcher.value)
}

/// What is held of a series until it is looked at, in the order in which it was read.
#[derive(Default)]
struct Held {
    /// One of each stored series that became this one.
    parts: Vec<Part>,
    /// Whether there are others among them than such as bear Prometheus's names, of which equal labels make one series.
    are_translated: bool,
    /// What it is charged with, its labels too.
    bytes: usize,
}

enum Part {
    Samples(Translated),
    Numbers(Numbers),
}

impl Part {
    fn of(doubles: Doubles, clock: &mut Clock) -> Self {
        let Doubles { times, values } = doubles;
        let values = match clock.milliseconds(&times) {
            None => values,
            Some(milliseconds) => match Numbers::new(milliseconds, values) {
                Ok(numbers) => return Part::Numbers(numbers),
                Err(values) => values,
            },
        };
        Part::Samples(Translated { samples: samples_of(&Doubles { times, values }), stands: Vec::new() })
    }

    fn times(&self) -> Vec<i64> {
        match self {
            Part::Numbers(numbers) => numbers.times.to_vec(),
            Part::Samples(translated) => translated.samples.iter().map(|sample| sample.time).collect(),
        }
    }
}

impl Held {
    fn push(&mut self, part: Part, of: &Series, bytes: usize) {
        self.parts.push(part);
        self.are_translated |= role(of).is_none();
        self.bytes += bytes;
    }

    /// Whether it may be of series that are not one.
    fn may_be_mixed(&self) -> bool {
        self.are_translated && self.parts.len() > 1
    }

    /// Of each stored series.
    fn times(&self) -> Vec<Vec<i64>> {
        self.parts.iter().map(Part::times).collect()
    }

    fn begins_with_open_hint(&self) -> bool {
        let samples = self.parts.iter().flat_map(|part| match part {
            Part::Samples(translated) => translated.samples.as_slice(),
            Part::Numbers(_) => &[],
        });
        samples.min_by_key(|sample| sample.time).is_some_and(has_open_hint)
    }

    /// Whether what was thinned tells what is asked.
    fn tells(&self, needs: Needs) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Samples(translated) => translated.stands.iter().all(|stand| stand.tells(needs)),
            Part::Numbers(_) => true,
        })
    }

    /// The numbers that it is, if it is one part of nothing else.
    fn only_numbers(mut self) -> std::result::Result<Numbers, Self> {
        match (self.parts.pop(), self.parts.is_empty()) {
            (Some(Part::Numbers(numbers)), true) => Ok(numbers),
            (last, _) => {
                self.parts.extend(last);
                Err(self)
            }
        }
    }

    fn in_order(self) -> (Vec<Sample>, Vec<Stand>) {
        let mut stands: Vec<Stand> = Vec::new();
        let parts = self.parts.into_iter().map(|part| match part {
            Part::Samples(mut translated) => {
                stands.append(&mut translated.stands);
                translated.samples
            }
            Part::Numbers(numbers) => numbers.samples().collect(),
        });
        let samples = in_order(parts.reduce(|all, part| [all, part].concat()).unwrap_or_default());
        stands.sort_by_key(|stand| stand.time);
        stands.dedup_by_key(|stand| stand.time);
        (samples, stands)
    }
}

/// By time. Of two samples of one millisecond the one that was written last counts.
fn in_order(mut samples: Vec<Sample>) -> Vec<Sample> {
    if samples.is_sorted_by(|before, after| before.time < after.time) {
        return samples;
    }
    samples.sort_by_key(|sample| sample.time);
    samples.dedup_by(|later, kept| {
        let same = later.time == kept.time;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
    samples
}

/// Whether it is the sample before this histogram that tells what is known about a reset.
fn has_open_hint(sample: &Sample) -> bool {
    let hint = sample.value.histogram().filter(|_| !sample.value.is_stale()).map(|histogram| histogram.hint);
    hint.is_some_and(|hint| matches!(hint, Hint::Unknown | Hint::NotReset))
}

/// Finds out which histograms go on where the one before them was, as Prometheus's store does. That a sender says so is not
/// enough: samples may have been lost since, or have come later.
fn settle_hints(before: Option<Sample>, samples: &mut [Sample]) {
    let living = |sample: &Sample| sample.value.histogram().filter(|_| !sample.value.is_stale()).cloned();
    let mut before = before.as_ref().and_then(living);
    for sample in samples {
        if has_open_hint(sample)
            && let Value::Histogram(histogram) = &mut sample.value
        {
            let continues = before.as_ref().is_some_and(|before| histogram.continues(before));
            let hint = if continues { Hint::NotReset } else { Hint::Unknown };
            if histogram.hint != hint {
                Arc::make_mut(histogram).hint = hint;
            }
        }
        before = living(sample);
    }
}

pub(super) fn accepts_targets(matchers: &[Matcher]) -> bool {
    matchers.iter().filter(|matcher| matcher.label == NAME).all(|matcher| matcher.accepts("target_info"))
}

pub(super) fn fits(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.accepts(labels.get(&matcher.label)))
}

/// Whether only the samples of a series tell which series it becomes in Prometheus.
pub(super) fn is_parted(series: &Series) -> bool {
    role(series).is_none() && matches!(series.r#type, HISTOGRAM | EXPONENTIAL | SUMMARY)
}

/// Whether one of the series that a stored one becomes may fit; labels of buckets and quantiles are not known yet.
fn may_fit(series: &Series, matchers: &[Matcher], strategy: &Strategy) -> bool {
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

impl Source for Store<'_> {
    fn select(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        reading: Reading,
        each: &mut dyn FnMut(Selected) -> Result<()>,
    ) -> Result<()> {
        let mut every = if reading.needs == Needs::Everything { 0 } else { reading.every };
        let at = |every| self.control.resolution(range(after, until), every);
        let mut resolution = at(every);
        let mut from = if resolution.divides(every) { after } else { after.saturating_sub(resolution.milliseconds()) };
        let mut held = self.hold(matchers, (from, until), every)?;
        let tells = |held: &Held| held.tells(reading.needs);
        if resolution.divides(every) && at(0) < resolution && !held.values().all(tells) {
            self.control.release(held.values().map(|held| held.bytes).sum());
            drop(held);
            (every, resolution, from) = (0, at(0), after);
            held = self.hold(matchers, (from, until), every)?;
        }
        let mut before = BTreeMap::new();
        if held.values().any(Held::begins_with_open_hint) {
            let times = (from.saturating_sub(HINT_LOOKBACK), from);
            self.gather(matchers, times, every, &|_| true, &mut before)?;
        }
        let mixed = self.mixed(matchers, (from, until), every, &held)?;
        // What is looked at is held no more; who keeps the labels counts them.
        for (labels, held) in held {
            let bytes = held.bytes;
            let held = match held.only_numbers() {
                Ok(numbers) => {
                    let points = Points::Numbers(numbers);
                    each(Selected { labels, points, thinning: Thinning::default(), is_mixed: false })?;
                    self.control.release(bytes);
                    continue;
                }
                Err(held) => held,
            };
            let is_mixed = mixed.contains(&labels);
            let (mut samples, stands) = held.in_order();
            let before = before.remove(&labels).and_then(|before: Held| {
                self.control.release(before.bytes);
                before.in_order().0.pop()
            });
            settle_hints(before, &mut samples);
            let resolution = if stands.is_empty() { 0 } else { resolution.milliseconds() };
            let points = if stands.is_empty() { Points::of(samples) } else { Points::Samples(samples) };
            each(Selected { labels, points, thinning: Thinning { resolution, stands }, is_mixed })?;
            self.control.release(bytes);
        }
        self.control.release(before.into_values().map(|before| before.bytes).sum());
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(self.control.check()?)
    }

    fn charge(&self, bytes: usize) -> Result<()> {
        Ok(self.control.charge(bytes)?)
    }

    fn release(&self, bytes: usize) {
        self.control.release(bytes);
    }
}
