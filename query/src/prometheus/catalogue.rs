//! Which series, labels and metrics are there, by Prometheus's names?

use super::Store;
use super::store::{accepts_targets, fits, range};
use super::translate::{
    DELTA, EXPONENTIAL, GAUGE, Gathered, HISTOGRAM, SUM, SUMMARY, Translation, base_name, has_samples, names,
    own_labels, role, target_labels, told_type,
};
use crate::exec::Control;
use crate::promql::{Matcher, Result};
use crate::series::number::plain;
use crate::series::{Labels, NAME};
use std::collections::{BTreeMap, BTreeSet};
use storage::engine::SeriesRequest;
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

/// Labels, time in milliseconds and value of exemplars.
pub(crate) type OwnExemplars = Vec<(Labels, i64, f64)>;

/// A series and its exemplars.
pub(crate) type SeriesExemplars = (Labels, OwnExemplars);

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

    /// The series that fit one of some selectors; all where there is none. Only of histograms and summaries samples are read:
    /// their bounds are in them.
    pub(crate) fn series(&self, selectors: &[Vec<Matcher>]) -> Result<BTreeSet<Labels>> {
        let mut found = BTreeSet::new();
        let everything = [Vec::new()];
        for matchers in if selectors.is_empty() { &everything } else { selectors } {
            self.add_series(matchers, &mut found)?;
        }
        Ok(found)
    }

    fn add(&self, labels: Labels, matchers: &[Matcher], found: &mut BTreeSet<Labels>) -> Result<()> {
        if fits(&labels, matchers) && !found.contains(&labels) {
            self.control().collect(1)?;
            self.control().charge(labels.memory_bytes())?;
            found.insert(labels);
        }
        Ok(())
    }

    fn add_series(&self, matchers: &[Matcher], found: &mut BTreeSet<Labels>) -> Result<()> {
        let after = self.start.saturating_sub(1);
        if accepts_targets(matchers) && !self.store.bears_names_only(range(after, self.end))? {
            let mut scan = self.store.scan_samples(&[], after, self.end, (&[], 0))?;
            for series in scan.leave_out(|_| true) {
                if let Some(labels) = target_labels(&series, self.store.strategy()) {
                    self.add(labels, matchers, found)?;
                }
            }
        }
        let mut scan = self.store.scan_samples(matchers, after, self.end, (&TELLING, 0))?;
        let is_known =
            |series: &Series| role(series).is_some() || !matches!(series.r#type, HISTOGRAM | EXPONENTIAL | SUMMARY);
        for series in scan.leave_out(is_known) {
            self.control().check()?;
            let own = own_labels(&series, self.store.strategy());
            for name in names(&series, self.store.strategy()) {
                self.add(own.with(NAME, &name), matchers, found)?;
            }
        }
        for read in scan {
            self.control().check()?;
            let (series, samples) = read.map_err(crate::error::Error::from)?;
            let mut own = Gathered::new();
            Translation::run(&series, &samples, self.store.strategy(), &mut own);
            for labels in own.into_keys() {
                self.add(labels, matchers, found)?;
            }
        }
        Ok(())
    }

    fn stored(&self) -> Result<Vec<Series>> {
        let mut scan = self.store.scan(&[], self.start.saturating_sub(1), self.end, (&[], 0))?;
        Ok(scan.leave_out(|_| true))
    }

    /// Type, help and unit by metric.
    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, BTreeSet<MetricFacts>>> {
        let mut metrics: BTreeMap<String, BTreeSet<MetricFacts>> = BTreeMap::new();
        let mut has_targets = false;
        for series in self.stored()? {
            self.control().check()?;
            has_targets |= target_labels(&series, self.store.strategy()).is_some();
            let Some(name) = base_name(&series, self.store.strategy()) else { continue };
            let (name, r#type) = match role(&series) {
                None => (name, otlp_type(&series)),
                Some(_) => match told(&series) {
                    Some(told) => told,
                    None => continue,
                },
            };
            let facts = MetricFacts { r#type, help: series.description.to_string(), unit: series.unit.to_string() };
            if metrics.entry(name).or_default().insert(facts) {
                self.control().collect(1)?;
            }
        }
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
            for read in self.store.scan(matchers, after, until, (&columns, 0))? {
                self.control().check()?;
                let (series, samples) = read.map_err(crate::error::Error::from)?;
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
                        let own = found.entry(labels).or_default();
                        if !own.contains(&one) {
                            self.control().collect(1)?;
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

    /// The names of labels of the series that fit.
    pub(crate) fn labels(&self, selectors: &[Vec<Matcher>]) -> Result<BTreeSet<String>> {
        let time = range(self.start.saturating_sub(1), self.end);
        if !selectors.is_empty() || !self.store.bears_names_only(time)? {
            let series = self.series(selectors)?;
            return Ok(series.iter().flat_map(|labels| labels.iter().map(|(name, _)| name.to_owned())).collect());
        }
        let name = |label| match label {
            Label::Name => Some(NAME.to_owned()),
            Label::Point(key) => Some(key),
            _ => None,
        };
        Ok(self.control().labels(time)?.into_iter().filter_map(name).collect())
    }

    /// Takes out names of which there are no samples: somebody told what they are.
    fn leave_out_told(&self, names: &mut BTreeSet<String>, time: TimeRange) -> Result<()> {
        let equal = |label, value: &str| {
            storage::metric::Matcher::new(label, Relation::Equal, value).map_err(crate::error::Error::from)
        };
        let mut request = SeriesRequest::new(vec![equal(Label::ScopeName, Role::Metadata.scope())?], time);
        request.columns = Vec::new();
        for series in self.control().series(&request)?.leave_out(|_| true) {
            self.control().check()?;
            let with_samples = [equal(Label::Name, &series.name)?, equal(Label::ScopeName, Role::Samples.scope())?];
            if !self.control().has_series(&with_samples, time)? {
                names.remove(&*series.name);
            }
        }
        Ok(())
    }

    /// The names of all series. Of a histogram that may lack a part samples are read, until each part was found.
    fn names(&self, time: TimeRange) -> Result<BTreeSet<String>> {
        let (mut found, mut uncertain) = (BTreeSet::new(), BTreeMap::new());
        for series in self.stored()? {
            if target_labels(&series, self.store.strategy()).is_some() {
                found.insert("target_info".to_owned());
            }
            let names = names(&series, self.store.strategy());
            if role(&series).is_none() && matches!(series.r#type, HISTOGRAM | EXPONENTIAL) {
                uncertain.entry(series.name).or_insert_with(BTreeSet::new).extend(names);
            } else if has_samples(&series) {
                found.extend(names);
            }
        }
        for (stored, wanted) in uncertain {
            let name = storage::metric::Matcher::new(Label::Name, Relation::Equal, &stored);
            let mut request = SeriesRequest::new(vec![name.map_err(crate::error::Error::from)?], time);
            request.columns = TELLING.to_vec();
            for read in self.control().series(&request)? {
                self.control().check()?;
                let (series, samples) = read.map_err(crate::error::Error::from)?;
                let mut own = Gathered::new();
                Translation::run(&series, &samples, self.store.strategy(), &mut own);
                found.extend(own.keys().map(|labels| labels.name().to_owned()));
                if wanted.is_subset(&found) {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The values of a label of the series that fit.
    pub(crate) fn values(&self, label: &str, selectors: &[Vec<Matcher>]) -> Result<BTreeSet<String>> {
        let time = range(self.start.saturating_sub(1), self.end);
        if selectors.is_empty() && self.store.bears_names_only(time)? {
            let stored = if label == NAME { Label::Name } else { Label::Point(label.to_owned()) };
            let mut values: BTreeSet<String> = self.control().label_values(&stored, time)?.into_iter().collect();
            if label == NAME {
                self.leave_out_told(&mut values, time)?;
            }
            return Ok(values);
        }
        if label == NAME && selectors.is_empty() {
            return self.names(time);
        }
        let series = self.series(selectors)?;
        let values = series.iter().map(|labels| labels.get(label)).filter(|value| !value.is_empty());
        Ok(values.map(str::to_owned).collect())
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
