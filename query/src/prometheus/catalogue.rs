//! Which series, labels and metrics are there, by Prometheus's names?

use super::Store;
use super::first::{First, text_bytes};
use super::store::{accepts_targets, fits, is_parted, range};
use super::translate::{
    DELTA, EXPONENTIAL, GAUGE, Gathered, HISTOGRAM, SUM, SUMMARY, Translation, base_name, has_samples, names,
    own_labels, role, target_labels, told_type,
};
use crate::exec::{Control, Held};
use crate::promql::{Matcher, Result};
use crate::series::number::plain;
use crate::series::{Labels, NAME};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use storage::engine::SeriesRequest;
use storage::hashed::AsIs;
use storage::metric::{Label, Relation, Series, text_of};
use storage::model::record::{Exemplar, Number, doubles};
use storage::model::schema::column;
use storage::model::verbatim::Role;
use storage::scan::TimeRange;

/// What is known about a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MetricFacts {
    pub(crate) r#type: &'static str,
    pub(crate) help: String,
    pub(crate) unit: String,
}

/// Columns that tell which series the samples of a histogram or summary become.
const TELLING: [&str; 5] = [column::EXPLICIT_BOUNDS, column::QUANTILES, column::SUM, column::COUNT, column::SCALE];

/// What a name and what is known of it take, the texts aside.
const FACTS_BYTES: usize = 192;

/// What a series takes that was seen, in a table that is half full, and how much is counted at a time.
const SEEN_BYTES: usize = 40;
const SEEN_STEP: usize = 64 * 1024;

/// Labels, time in milliseconds and value of exemplars.
pub(crate) type OwnExemplars = Vec<(Labels, i64, f64)>;

/// A series and its exemplars.
pub(crate) type SeriesExemplars = (Labels, OwnExemplars);

/// Looks at one text after the other.
type Each<'e> = &'e mut dyn FnMut(&str) -> crate::error::Result<()>;

/// Whether a text is wanted.
type Wanted<'w> = &'w dyn Fn(&str) -> bool;

/// What there is between two moments, in milliseconds.
#[derive(Debug)]
pub(crate) struct Catalogue<'c> {
    store: Store<'c>,
    start: i64,
    end: i64,
}

impl<'c> Catalogue<'c> {
    pub(crate) fn new(control: &'c Control, start: i64, end: i64) -> Self {
        Catalogue { store: Store::new(control), start, end }
    }

    fn control(&self) -> &'c Control {
        self.store.control
    }

    /// Gives each series that fits one of some selectors to `each`, all where there is none; some several times. Only of histograms and
    /// summaries samples are read: their bounds are in them.
    pub(crate) fn each(
        &self,
        selectors: &[Vec<Matcher>],
        each: &mut dyn FnMut(Labels) -> crate::error::Result<()>,
    ) -> crate::error::Result<()> {
        let everything = [Vec::new()];
        for matchers in if selectors.is_empty() { &everything } else { selectors } {
            let mut fitting = |labels: Labels| if fits(&labels, matchers) { each(labels) } else { Ok(()) };
            self.each_of(matchers, &mut fitting)?;
        }
        Ok(())
    }

    /// Gives those that may fit.
    fn each_of(
        &self,
        matchers: &[Matcher],
        each: &mut dyn FnMut(Labels) -> crate::error::Result<()>,
    ) -> crate::error::Result<()> {
        let (times, strategy) = (self.times(), self.store.strategy());
        let names_only = self.store.bears_names_only(range(times.0, times.1))?;
        if accepts_targets(matchers) && !names_only {
            let mut last = None;
            self.store.each_stored(&[], times, &mut |series| {
                let is_known = last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &series.resource));
                if is_known || role(series).is_some() {
                    return Ok(());
                }
                last = Some(Arc::clone(&series.resource));
                target_labels(series, strategy).map_or(Ok(()), &mut *each)
            })?;
        }
        let mut seen = Seen::new(self.control())?;
        self.store.each_stored(matchers, times, &mut |series| {
            if !has_samples(series) || is_parted(series) || !seen.is_new(series)? {
                return Ok(());
            }
            let own = own_labels(series, strategy);
            names(series, strategy).iter().try_for_each(|name| each(own.with(NAME, name)))
        })?;
        drop(seen);
        if names_only {
            return Ok(());
        }
        for read in self.store.scan_of_parts(matchers, times, &TELLING)? {
            self.control().check()?;
            let (series, samples) = read?;
            let mut own = Gathered::new();
            Translation::run(&series, &samples, strategy, &mut own);
            own.into_keys().try_for_each(&mut *each)?;
        }
        Ok(())
    }

    /// The moment after which, and that until which it looks.
    fn times(&self) -> (i64, i64) {
        (self.start.saturating_sub(1), self.end)
    }

    /// The first so many series that fit one of some selectors; all where there is none.
    pub(crate) fn series(&self, selectors: &[Vec<Matcher>], most: usize) -> Result<BTreeSet<Labels>> {
        let mut found = First::new(self.control(), most, Labels::memory_bytes);
        self.each(selectors, &mut |labels| found.add(labels))?;
        Ok(found.found)
    }

    /// Type, help and unit by metric.
    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, BTreeSet<MetricFacts>>> {
        let mut metrics: BTreeMap<String, BTreeSet<MetricFacts>> = BTreeMap::new();
        let mut has_targets = false;
        self.store.each_stored(&[], self.times(), &mut |series| {
            has_targets = has_targets || target_labels(series, self.store.strategy()).is_some();
            let Some(name) = base_name(series, self.store.strategy()) else { return Ok(()) };
            let (name, r#type) = match role(series) {
                None => (name, otlp_type(series)),
                Some(_) => match told(series) {
                    Some(told) => told,
                    None => return Ok(()),
                },
            };
            let facts = MetricFacts { r#type, help: series.description.to_string(), unit: series.unit.to_string() };
            if !metrics.get(&name).is_some_and(|known| known.contains(&facts)) {
                self.control().collect(1)?;
                self.control().charge(name.len() + facts.help.len() + facts.unit.len() + FACTS_BYTES)?;
                metrics.entry(name).or_default().insert(facts);
            }
            Ok(())
        })?;
        if has_targets {
            let facts = MetricFacts { r#type: "gauge", help: "Target metadata".to_owned(), unit: String::new() };
            metrics.entry("target_info".to_owned()).or_default().insert(facts);
        }
        Ok(metrics)
    }

    /// Exemplars of the series that fit one of some selectors.
    pub(crate) fn exemplars(&self, selectors: &[Vec<Matcher>]) -> Result<Vec<SeriesExemplars>> {
        let mut found: BTreeMap<Labels, OwnExemplars> = BTreeMap::new();
        // Of exemplars the time is their own; that of their points is mostly a little later.
        let points = self.control().points_of_exemplars(range(self.start.saturating_sub(1), self.end));
        let points = points.iter().map(|time| (time.start.div_euclid(1_000_000) - 1, time.end.div_euclid(1_000_000)));
        let points: Vec<(i64, i64)> = points.collect();
        let each = selectors.iter().flat_map(|matchers| points.iter().map(move |time| (matchers, *time)));
        for (matchers, (after, until)) in each {
            let columns = [column::EXEMPLARS, column::EXPLICIT_BOUNDS];
            for read in self.store.scan(matchers, (after, until), (&columns, 0), |_| true)? {
                self.control().check()?;
                let (series, samples) = read?;
                let own = own_labels(&series, self.store.strategy());
                let is_verbatim = role(&series).is_some();
                let has_buckets = series.r#type == HISTOGRAM && !is_verbatim;
                let Some(name) = base_name(&series, self.store.strategy()) else { continue };
                let suffix = if has_buckets { "_bucket" } else { "" };
                let labels = own.with(NAME, &format!("{name}{suffix}"));
                for row in 0..samples.len() {
                    for exemplar in Exemplar::list(samples.exemplars(row)) {
                        let Some(one) = self.exemplar(&exemplar, is_verbatim) else { continue };
                        let labels = match has_buckets {
                            true => labels.with("le", &plain(bucket(samples.explicit_bounds(row), one.2))),
                            false => labels.clone(),
                        };
                        if !fits(&labels, matchers) {
                            continue;
                        }
                        if !found.contains_key(&labels) {
                            self.control().charge(labels.memory_bytes())?;
                        }
                        let own = found.entry(labels).or_default();
                        if !own.contains(&one) {
                            self.control().collect(1)?;
                            self.control().charge(one.0.memory_bytes() + 2 * size_of_val(&one))?;
                            own.push(one);
                        }
                    }
                }
            }
        }
        for exemplars in found.values_mut() {
            exemplars.sort_by_key(|exemplar| exemplar.1);
        }
        Ok(found.into_iter().collect())
    }

    fn exemplar(&self, exemplar: &Exemplar<'_>, is_verbatim: bool) -> Option<(Labels, i64, f64)> {
        let time = i64::try_from(exemplar.time_unix_nano / 1_000_000).ok()?;
        if time < self.start || time > self.end {
            return None;
        }
        let value = match exemplar.value? {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        };
        let ids = [("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id)];
        let ids = ids.into_iter().filter(|(_, id)| !id.is_empty()).map(|(name, id)| (name.to_owned(), hex(id)));
        let others = exemplar.filtered_attributes.iter();
        let others =
            others.filter_map(|(key, value)| Some((self.name(key, is_verbatim)?, text_of(value).into_owned())));
        // An id of the exemplar's own comes last, and counts.
        let labels: BTreeMap<String, String> = others.chain(ids).collect();
        Some((Labels::new(labels), time, value))
    }

    /// What an attribute of an exemplar is called.
    fn name(&self, key: &str, is_verbatim: bool) -> Option<String> {
        if is_verbatim { Some(key.to_owned()) } else { super::naming::label(key, self.store.strategy().translation) }
    }

    /// The names of labels of the series that fit, the first so many.
    pub(crate) fn labels(&self, selectors: &[Vec<Matcher>], most: usize) -> Result<BTreeSet<String>> {
        let mut found = First::texts(self.control(), most);
        self.each_label(selectors, &mut |name| found.add_text(name))?;
        Ok(found.found)
    }

    /// Gives the names of labels of the series that fit to `each`, some several times. Of series that bear Prometheus's names all are held
    /// meanwhile, as the store lists them.
    pub(crate) fn each_label(&self, selectors: &[Vec<Matcher>], each: Each<'_>) -> Result<()> {
        let time = self.time();
        if !selectors.is_empty() || !self.store.bears_names_only(time)? {
            self.each(selectors, &mut |labels| labels.iter().try_for_each(|(name, _)| each(name)))?;
            return Ok(());
        }
        let (labels, _held) = self.control().labels(time)?;
        for label in labels {
            match label {
                Label::Name => each(NAME)?,
                Label::Point(key) => each(&key)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Names of which there are no samples, of those that are `wanted`: somebody told what they are.
    fn told_alone(&self, wanted: Wanted<'_>) -> Result<BTreeSet<String>> {
        let time = self.time();
        let equal = |label, value: &str| {
            storage::metric::Matcher::new(label, Relation::Equal, value).map_err(crate::error::Error::from)
        };
        let mut told = First::texts(self.control(), usize::MAX);
        let metadata = [equal(Label::ScopeName, Role::Metadata.scope())?];
        self.control().each_series(&metadata, time, |series, facts| {
            let is_inside = time.overlaps(facts.first_time, facts.last_time);
            if is_inside && wanted(&series.name) { told.add_text(&series.name) } else { Ok(()) }
        })?;
        let mut alone = BTreeSet::new();
        for name in told.found {
            self.control().check()?;
            let with_samples = [equal(Label::Name, &name)?, equal(Label::ScopeName, Role::Samples.scope())?];
            if !self.control().has_series(&with_samples, time)? {
                alone.insert(name);
            }
        }
        Ok(alone)
    }

    /// Gives the names of all series to `each`. Of a histogram that may lack a part samples are read, until each `wanted` part was found.
    fn each_name(&self, wanted: Wanted<'_>, each: Each<'_>) -> Result<()> {
        let mut uncertain: BTreeMap<Arc<str>, BTreeSet<String>> = BTreeMap::new();
        let strategy = self.store.strategy();
        // Series of one metric mostly are neighbours.
        let mut last = None;
        self.store.each_stored(&[], self.times(), &mut |series| {
            if target_labels(series, strategy).is_some() {
                each("target_info")?;
            }
            if role(series).is_none() && matches!(series.r#type, HISTOGRAM | EXPONENTIAL) {
                let metric = Some((series.r#type, Arc::clone(&series.name), Arc::clone(&series.unit)));
                if std::mem::replace(&mut last, metric.clone()) == metric {
                    return Ok(());
                }
                let mut parts = names(series, strategy);
                parts.retain(|name| wanted(name));
                if parts.is_empty() {
                    return Ok(());
                }
                if !uncertain.contains_key(&series.name) {
                    self.control().charge(FACTS_BYTES + parts.iter().map(|name| text_bytes(name)).sum::<usize>())?;
                }
                uncertain.entry(Arc::clone(&series.name)).or_default().extend(parts);
            } else if has_samples(series) {
                names(series, strategy).iter().try_for_each(|name| each(name))?;
            }
            Ok(())
        })?;
        for (stored, mut lacking) in uncertain {
            let name = storage::metric::Matcher::new(Label::Name, Relation::Equal, &stored);
            let mut request = SeriesRequest::new(vec![name.map_err(crate::error::Error::from)?], self.time());
            request.columns = TELLING.to_vec();
            for read in self.control().series(&request, |_| true)? {
                self.control().check()?;
                let (series, samples) = read?;
                let mut own = Gathered::new();
                Translation::run(&series, &samples, strategy, &mut own);
                for labels in own.keys() {
                    lacking.remove(labels.name());
                    each(labels.name())?;
                }
                if lacking.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The values of a label of the series that fit, the first so many.
    pub(crate) fn values(&self, label: &str, selectors: &[Vec<Matcher>], most: usize) -> Result<BTreeSet<String>> {
        if selectors.is_empty() && self.store.bears_names_only(self.time())? {
            // Names that are told of only are taken out afterwards.
            let first = if label == NAME { usize::MAX } else { most };
            let (values, _held) = self.control().label_values(&stored(label), self.time(), first)?;
            let mut values: BTreeSet<String> = values.into_iter().collect();
            if label == NAME {
                self.told_alone(&|_| true)?.iter().for_each(|name| _ = values.remove(name));
            }
            return Ok(values);
        }
        let mut found = First::texts(self.control(), most);
        self.each_value(label, selectors, &|_| true, &mut |text| found.add_text(text))?;
        Ok(found.found)
    }

    /// Gives the values of a label of the series that fit to `each`, some several times, some empty. What must be held to find them is held
    /// of those alone that are `wanted`.
    pub(crate) fn each_value(
        &self,
        label: &str,
        selectors: &[Vec<Matcher>],
        wanted: Wanted<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let bears_names_only = self.store.bears_names_only(self.time())?;
        match (label == NAME, selectors) {
            (true, []) if !bears_names_only => self.each_name(wanted, each)?,
            (is_name, []) if bears_names_only => {
                let left_out = if is_name { self.told_alone(wanted)? } else { BTreeSet::new() };
                let mut shown = |value: &str| if left_out.contains(value) { Ok(()) } else { each(value) };
                self.control().each_label_value(&stored(label), self.time(), &mut shown)?;
            }
            _ => self.each(selectors, &mut |labels| each(labels.get(label)))?,
        }
        Ok(())
    }

    /// The range of time in which it looks.
    fn time(&self) -> TimeRange {
        range(self.start.saturating_sub(1), self.end)
    }
}

/// The stored label that a label is, where series bear Prometheus's names.
fn stored(label: &str) -> Label {
    if label == NAME { Label::Name } else { Label::Point(label.to_owned()) }
}

/// Which series were looked at, where several blocks have them.
struct Seen<'c> {
    held: Held<'c>,
    hashes: HashSet<u128, AsIs>,
}

impl<'c> Seen<'c> {
    fn new(control: &'c Control) -> crate::error::Result<Self> {
        Ok(Seen { held: control.hold(0)?, hashes: HashSet::default() })
    }

    fn is_new(&mut self, series: &Series) -> crate::error::Result<bool> {
        self.held.grow((self.hashes.len() + 1) * SEEN_BYTES, SEEN_STEP)?;
        Ok(self.hashes.insert(series.hash()))
    }
}

/// What Prometheus calls the type of OpenTelemetry's metric. Deltas are of none that it knows; of what is no counter its sender may
/// tell more, if that came from Prometheus to it.
fn otlp_type(series: &Series) -> &'static str {
    const TOLD: [&str; 3] = ["unknown", "info", "stateset"];
    match series.r#type {
        _ if series.temporality == DELTA => "unknown",
        SUM if series.is_monotonic => "counter",
        GAUGE | SUM => {
            let told = told_type(series);
            TOLD.into_iter().find(|known| *known == told).unwrap_or("gauge")
        }
        HISTOGRAM | EXPONENTIAL => "histogram",
        SUMMARY => "summary",
        _ => "unknown",
    }
}

/// Family and type of a series that bears Prometheus's names, as its sender told them; `None` where it told nothing. The parts of
/// a histogram or summary belong to one family.
fn told(series: &Series) -> Option<(String, &'static str)> {
    const TYPES: [&str; 8] =
        ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];
    let told = told_type(series);
    let r#type = TYPES.into_iter().find(|known| *known == told);
    if r#type.is_none() && series.description.is_empty() && series.unit.is_empty() {
        return None;
    }
    let r#type = r#type.unwrap_or("unknown");
    let suffixes: &[&str] = match r#type {
        _ if role(series) == Some(Role::Metadata) => &[],
        "histogram" => &["_bucket", "_sum", "_count"],
        // As protobuf it has a histogram's names.
        "gaugehistogram" => &["_bucket", "_gsum", "_gcount", "_sum", "_count"],
        "summary" => &["_sum", "_count"],
        _ => &[],
    };
    let family = suffixes.iter().find_map(|suffix| series.name.strip_suffix(suffix)).unwrap_or(&series.name);
    Some((family.to_owned(), r#type))
}

/// The bound of the bucket in which a measurement lies.
fn bucket(bounds: &[u8], value: f64) -> f64 {
    doubles(bounds).filter(|bound| *bound >= value).fold(f64::INFINITY, f64::min)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
