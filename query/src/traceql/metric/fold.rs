//! How do spans become values per step and group?
//!
//! O1  The order of spans does not matter, but for the last bits of sums.
//! O2  Quantiles and histograms count values by powers of two, as Tempo does; those up to one by negative exponents, zero and negative
//!     ones apart, where Tempo leaves them out. Within a power a quantile is interpolated along the exponent, and it is never
//!     outside of the values that there were: it is less than twice and more than half the exact one.
//! O3  A group of which few steps have spans takes memory for those.
//! O4  What a window holds is put together of places (`Axis::trailing`) by additions alone, three at most for each step, however
//!     long it is: nothing is taken away again, so that no rest of a sum stays.

use super::super::ast::{Intrinsic, Measure, Name, Scope, What};
use super::super::expression::Spot;
use super::super::span::Spans;
use super::super::value::Value;
use super::axis::Window;
use super::{Axis, Exemplar, Keep, MOST_SERIES, Series, keep_greatest, key_of};
use crate::error::{Error, Result};
use crate::exec::Control;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use storage::model::{SpanId, TraceId};

const NANOS: f64 = 1e9;
/// Groups that are kept apart, to tell those of the greatest sums: what half of a query's memory holds, about.
const MOST_GROUPS: usize = 200_000;
/// Steps of all groups that have a place each, whether there are spans or not: what is faster, up to some megabytes.
const MOST_PLACES: usize = 250_000;
/// Groups whose series are made before those of the least sums are let go.
const AT_ONCE: usize = 256;

/// Groups of spans, and what is known of each.
#[derive(Debug)]
pub(super) struct Folding<'q> {
    axis: Axis,
    measure: &'q Measure,
    by: &'q [Name],
    exemplars: usize,
    groups: HashMap<String, Group>,
    /// The key of the group looked for.
    key: String,
}

/// A span: its ids, time and value.
type Example = (TraceId, SpanId, i64, f64);

#[derive(Debug)]
struct Group {
    labels: Vec<Value<'static>>,
    steps: Steps,
    /// Of each step, and of each bucket of a histogram, the span with the least ids.
    examples: BTreeMap<(usize, Option<Bucket>), Example>,
}

/// The steps of a group (O3).
#[derive(Debug)]
enum Steps {
    All(Vec<Fold>),
    WithSpans(BTreeMap<usize, Fold>),
}

impl Steps {
    fn get_mut(&mut self, control: &Control, step: usize) -> Result<Option<&mut Fold>> {
        match self {
            Steps::All(folds) => Ok(folds.get_mut(step)),
            Steps::WithSpans(folds) => {
                if !folds.contains_key(&step) {
                    control.charge(size_of::<Fold>() + 3 * size_of::<usize>())?;
                }
                Ok(Some(folds.entry(step).or_default()))
            }
        }
    }

    /// Those that may have spans, each with its place.
    fn iter(&self) -> Box<dyn Iterator<Item = (usize, &Fold)> + '_> {
        match self {
            Steps::All(folds) => Box::new(folds.iter().enumerate()),
            Steps::WithSpans(folds) => Box::new(folds.iter().map(|(step, fold)| (*step, fold))),
        }
    }
}

/// The values of one step.
#[derive(Debug, Clone, Default)]
struct Fold {
    count: f64,
    sum: f64,
    least: f64,
    most: f64,
    powers: BTreeMap<Bucket, f64>,
}

impl Fold {
    fn add(&mut self, other: &Fold) {
        if other.count == 0.0 {
            return;
        }
        (self.least, self.most) = match self.count {
            0.0 => (other.least, other.most),
            _ => (self.least.min(other.least), self.most.max(other.most)),
        };
        self.count += other.count;
        self.sum += other.sum;
        for (power, count) in &other.powers {
            *self.powers.entry(*power).or_default() += count;
        }
    }
}

/// What the windows of an axis hold, one for each step that is told (O4).
fn windows(axis: &Axis, window: Window, places: &Steps) -> Vec<Fold> {
    let mut steps = vec![Fold::default(); axis.steps_read()];
    let mut rests = vec![Fold::default(); if window.splits() { axis.len() } else { 0 }];
    for (place, fold) in places.iter() {
        let step = if window.splits() { place / 2 } else { place };
        steps.get_mut(step).into_iter().for_each(|sum| sum.add(fold));
        let rest = rests.get_mut(step).filter(|_| place % 2 == 1);
        rest.into_iter().for_each(|sum| sum.add(fold));
    }
    if window.whole == 0 {
        return rests;
    }
    // The first step of all is there for its rest only.
    let mut told = neighbours(steps.get(usize::from(window.splits())..).unwrap_or_default(), window.whole);
    told.iter_mut().zip(&rests).for_each(|(sum, rest)| sum.add(rest));
    told
}

/// Of each so many neighbours the sum: of the end of one block of that length, and the beginning of the next.
fn neighbours(folds: &[Fold], length: usize) -> Vec<Fold> {
    let mut ends = folds.to_vec();
    for block in ends.chunks_mut(length) {
        let mut after = Fold::default();
        for fold in block.iter_mut().rev() {
            fold.add(&after);
            after = fold.clone();
        }
    }
    let mut beginning = Fold::default();
    let mut sums = Vec::with_capacity(folds.len());
    for (number, fold) in (1..).zip(folds) {
        beginning.add(fold);
        let is_block = number % length == 0;
        if number >= length {
            let mut sum = beginning.clone();
            ends.get(number - length).filter(|_| !is_block).into_iter().for_each(|end| sum.add(end));
            sums.push(sum);
        }
        if is_block {
            beginning = Fold::default();
        }
    }
    sums
}

impl<'q> Folding<'q> {
    pub(super) fn new(axis: Axis, measure: &'q Measure, by: &'q [Name], exemplars: usize) -> Self {
        Folding { axis, measure, by, exemplars, groups: HashMap::new(), key: String::new() }
    }

    fn group(&mut self, control: &Control, labels: Vec<Value<'_>>) -> Result<Option<&mut Group>> {
        self.key.clear();
        // Never empty: an empty text dangles, and where no page is there the C library compares it slower than all else is done.
        self.key.push(' ');
        labels.iter().for_each(|label| put_key(&mut self.key, label));
        if !self.groups.contains_key(&self.key) {
            if self.groups.len() == MOST_GROUPS {
                let message = format!(
                    "the query makes more than {MOST_GROUPS} series, of which the {MOST_SERIES} of the greatest values would be told; \
                     group by less"
                );
                return Err(Error::Limit { message });
            }
            let all = self.axis.places();
            let has_places = (self.groups.len() + 1).saturating_mul(all) <= MOST_PLACES;
            let places = if has_places { all } else { 0 };
            control.charge(places * size_of::<Fold>() + 3 * self.key.len() + size_of::<Group>())?;
            let labels = labels.into_iter().map(Value::into_owned).collect();
            let steps = match has_places {
                true => Steps::All(vec![Fold::default(); all]),
                false => Steps::WithSpans(BTreeMap::new()),
            };
            let group = Group { labels, steps, examples: BTreeMap::new() };
            self.groups.insert(self.key.clone(), group);
        }
        Ok(self.groups.get_mut(&self.key))
    }

    /// Adds spans that the store has counted.
    pub(super) fn add_count(
        &mut self,
        control: &Control,
        labels: Vec<Value<'static>>,
        step: usize,
        count: f64,
    ) -> Result<()> {
        if let Some(group) = self.group(control, labels)?
            && let Some(fold) = group.steps.get_mut(control, step)?
        {
            fold.count += count;
        }
        Ok(())
    }

    /// Counts the spans of a batch, where no more is wanted than how many there are, of each service or of all; else false.
    pub(super) fn count_all(&mut self, control: &Control, spans: &Spans<'_>) -> Result<bool> {
        let counts = matches!(self.measure, Measure::Rate | Measure::Count) && !spans.tell_for_how_many();
        if self.exemplars > 0 || !counts {
            return Ok(false);
        }
        let services = match self.by {
            [] => None,
            [Name { parent: false, what: What::Attribute(Scope::Resource, key), .. }] if key == "service.name" => {
                Some(spans.services())
            }
            _ => return Ok(false),
        };
        let service = |row: usize| services.flatten().map_or(0, |services| services.key(row).min(services.len()));
        let labels = |service: usize| match services {
            None => Vec::new(),
            Some(services) => {
                vec![Value::Text(services.map_or("", |services| services.value(service)).to_owned().into())]
            }
        };
        // Of each service the step that its last spans are of, and how many these are: neighbours mostly are of one step.
        let mut runs: Vec<(usize, f64)> = vec![(0, 0.0); services.flatten().map_or(0, |services| services.len()) + 1];
        let mut known: Option<(usize, RangeInclusive<i64>)> = None;
        for row in 0..spans.rows() {
            let time = spans.start(row);
            if known.as_ref().is_none_or(|(_, times)| !times.contains(&time)) {
                known = self.axis.place(time).map(|step| (step, self.axis.times(step)));
            }
            let (Some((step, _)), service) = (&known, service(row)) else { continue };
            let Some((of_run, count)) = runs.get_mut(service) else { continue };
            if of_run == step {
                *count += 1.0;
                continue;
            }
            let (before, counted) = (std::mem::replace(of_run, *step), std::mem::replace(count, 1.0));
            if counted > 0.0 {
                self.add_count(control, labels(service), before, counted)?;
            }
        }
        for (service, (step, count)) in runs.into_iter().enumerate().filter(|(_, (_, count))| *count > 0.0) {
            self.add_count(control, labels(service), step, count)?;
        }
        Ok(true)
    }

    pub(super) fn take(&mut self, control: &Control, spot: Spot<'_>) -> Result<()> {
        let time = spot.spans.start(spot.row);
        let Some(step) = self.axis.place(time) else { return Ok(()) };
        let (value, power) = match super::measured(self.measure) {
            None => (1.0, None),
            Some(name) => {
                let Some(raw) = spot.value(name).number() else { return Ok(()) };
                let value = if is_duration(name) { raw / NANOS } else { raw };
                let by_power = matches!(self.measure, Measure::Histogram(_) | Measure::Quantile(..));
                if by_power && raw.is_nan() {
                    return Ok(());
                }
                (value, by_power.then(|| Bucket::of(raw)))
            }
        };
        let labels = self.by.iter().map(|name| spot.value(name)).collect();
        let (wants_examples, by_bucket) = (self.exemplars > 0, matches!(self.measure, Measure::Histogram(_)));
        let Some(group) = self.group(control, labels)? else { return Ok(()) };
        let Some(fold) = group.steps.get_mut(control, step)? else { return Ok(()) };
        (fold.least, fold.most) = match fold.count {
            0.0 => (value, value),
            _ => (fold.least.min(value), fold.most.max(value)),
        };
        let stands_for = spot.spans.stands_for(spot.row);
        fold.count += stands_for;
        fold.sum += value * stands_for;
        if let Some(power) = power {
            *fold.powers.entry(power).or_default() += stands_for;
        }
        if wants_examples && let Some(trace) = spot.spans.trace(spot.row) {
            let example = (trace, spot.spans.id(spot.row), time, value);
            let bucket = power.filter(|_| by_bucket);
            let kept = group.examples.entry((step, bucket)).or_insert(example);
            if (example.0, example.1) < (kept.0, kept.1) {
                *kept = example;
            }
        }
        Ok(())
    }

    /// How many values the groups have.
    pub(super) fn values(&self) -> usize {
        self.groups.len().saturating_mul(self.axis.len()).saturating_mul(self.series_of_each())
    }

    /// How many series a group makes, about.
    fn series_of_each(&self) -> usize {
        match self.measure {
            Measure::Quantile(_, quantiles) => quantiles.len(),
            // By powers of two.
            Measure::Histogram(_) => 64,
            _ => 1,
        }
    }

    /// The series, by their labels: all of them, which the caller knows to be few.
    pub(super) fn series(&self) -> Vec<Series> {
        let mut series: Vec<Series> = self.groups.values().flat_map(|group| self.series_of(group)).collect();
        series.extend(self.nothing());
        series.sort_by_cached_key(|series| key_of(&series.labels));
        series
    }

    /// The series that are kept, and how many there were.
    pub(super) fn kept(&self, control: &Control, keep: Keep<'_>) -> Result<(Vec<Series>, usize)> {
        let bytes_of = |series: usize| series.saturating_mul(self.axis.len()).saturating_mul(size_of::<f64>());
        let mut kept: Vec<Series> = self.nothing();
        let mut all = kept.len();
        let let_go = |kept: &mut Vec<Series>| {
            if let Keep::Greatest(told) = keep {
                let before = kept.len();
                keep_greatest(kept, &told.borrow());
                control.release(bytes_of(before - kept.len()));
            }
        };
        for (number, group) in self.groups.values().enumerate() {
            let count = self.series_count(group);
            all += count;
            control.charge(bytes_of(count))?;
            kept.extend(self.series_of(group));
            if number.is_multiple_of(AT_ONCE) {
                control.check()?;
                let_go(&mut kept);
            }
        }
        let_go(&mut kept);
        kept.sort_by_cached_key(|series| key_of(&series.labels));
        Ok((kept, all))
    }

    /// How many series a group makes.
    fn series_count(&self, group: &Group) -> usize {
        match self.measure {
            Measure::Histogram(_) => {
                let powers: BTreeSet<Bucket> =
                    group.steps.iter().flat_map(|(_, fold)| fold.powers.keys().copied()).collect();
                powers.len()
            }
            _ => self.series_of_each(),
        }
    }

    /// What there is without spans: they are a rate of zero.
    fn nothing(&self) -> Vec<Series> {
        if !self.groups.is_empty() || !self.by.is_empty() || !matches!(self.measure, Measure::Rate | Measure::Count) {
            return Vec::new();
        }
        self.series_of(&Group {
            labels: Vec::new(),
            steps: Steps::WithSpans(BTreeMap::new()),
            examples: BTreeMap::new(),
        })
    }

    fn series_of(&self, group: &Group) -> Vec<Series> {
        let mut labels: Vec<(String, Value<'static>)> =
            self.by.iter().map(ToString::to_string).zip(group.labels.iter().cloned()).collect();
        let in_windows = self.axis.window().map(|window| Steps::All(windows(&self.axis, window, &group.steps)));
        let steps = in_windows.as_ref().unwrap_or(&group.steps);
        let in_steps = |without: f64, of: &dyn Fn(&Fold) -> f64| -> Vec<f64> {
            let mut values = vec![without; self.axis.len()];
            for (step, fold) in steps.iter().filter(|(_, fold)| fold.count > 0.0) {
                if let Some(value) = values.get_mut(step) {
                    *value = of(fold);
                }
            }
            values
        };
        let values = |of: &dyn Fn(&Fold) -> f64| in_steps(f64::NAN, of);
        let with = |labels: &[(String, Value<'static>)], name: &str, value: f64| {
            let mut labels = labels.to_vec();
            labels.push((name.to_owned(), Value::Float(value)));
            labels
        };
        let named = match self.measure {
            Measure::Rate => Some(("rate", in_steps(0.0, &|fold| fold.count / self.axis.told_seconds()))),
            Measure::Count => Some(("count_over_time", in_steps(0.0, &|fold| fold.count))),
            Measure::Min(_) => Some(("min_over_time", values(&|fold| fold.least))),
            Measure::Max(_) => Some(("max_over_time", values(&|fold| fold.most))),
            Measure::Sum(_) => Some(("sum_over_time", values(&|fold| fold.sum))),
            Measure::Avg(_) => Some(("avg_over_time", values(&|fold| fold.sum / fold.count))),
            Measure::Histogram(_) | Measure::Quantile(..) => None,
        };
        if let Some((name, values)) = named {
            if labels.is_empty() {
                labels.push(("__name__".to_owned(), Value::Text(name.into())));
            }
            let exemplars = self.exemplars_of(group, None, &values);
            return vec![Series { labels, values, exemplars }];
        }
        let scale = super::measured(self.measure).is_some_and(is_duration);
        let scaled = |value: f64| if scale { value / NANOS } else { value };
        match self.measure {
            Measure::Quantile(_, quantiles) => quantiles
                .iter()
                .map(|&quantile| {
                    let values =
                        values(&|fold| scaled(quantile_of(&fold.powers, quantile)).max(fold.least).min(fold.most));
                    Series {
                        labels: with(&labels, "p", quantile),
                        exemplars: self.exemplars_of(group, None, &values),
                        values,
                    }
                })
                .collect(),
            _ => {
                let mut powers: Vec<Bucket> =
                    group.steps.iter().flat_map(|(_, fold)| fold.powers.keys().copied()).collect();
                powers.sort_unstable();
                powers.dedup();
                let bucket = |power: Bucket| {
                    let values = in_steps(0.0, &|fold| fold.powers.get(&power).copied().unwrap_or(0.0));
                    let labels = with(&labels, "__bucket", scaled(power.upper()));
                    Series { labels, exemplars: self.exemplars_of(group, Some(power), &values), values }
                };
                powers.into_iter().map(bucket).collect()
            }
        }
    }

    /// Exemplars, evenly chosen among the steps; where spans are counted, at the height of the count.
    fn exemplars_of(&self, group: &Group, bucket: Option<Bucket>, values: &[f64]) -> Vec<Exemplar> {
        let exemplar = |step: usize, (trace, span, time, value): Example| Exemplar {
            trace,
            span,
            time,
            value: match self.measure {
                Measure::Rate | Measure::Count => values.get(step).copied().unwrap_or(value),
                _ => value,
            },
        };
        let of_bucket = group.examples.iter().filter(|((_, of), _)| *of == bucket);
        let every = of_bucket.clone().count().div_ceil(self.exemplars.max(1)).max(1);
        let chosen = of_bucket.step_by(every).take(self.exemplars);
        chosen.map(|((step, _), example)| exemplar(*step, *example)).collect()
    }
}

/// Appends what tells a label from others, its type included.
fn put_key(key: &mut String, label: &Value<'_>) {
    match label {
        Value::Text(text) => {
            key.push('"');
            key.push_str(text);
        }
        other => key.push_str(&format!("{other:?}")),
    }
    key.push('\u{0}');
}

fn is_duration(name: &Name) -> bool {
    let durations = [Intrinsic::Duration, Intrinsic::TraceDuration, Intrinsic::EventTimeSinceStart];
    matches!(&name.what, What::Intrinsic(intrinsic) if durations.contains(intrinsic))
}

/// Where a value is counted: by its sign, and the least power of two that its size does not pass. In the order of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bucket {
    Negative(Reverse<i16>),
    Zero,
    Positive(i16),
}

impl Bucket {
    fn of(value: f64) -> Self {
        if value == 0.0 {
            Bucket::Zero
        } else if value > 0.0 {
            Bucket::Positive(exponent(value))
        } else {
            Bucket::Negative(Reverse(exponent(-value)))
        }
    }

    /// The value at a rank, from 1, of so many: at the bound of the greater size if there is one only.
    fn at(self, rank: f64, count: f64) -> f64 {
        match self {
            Bucket::Negative(_) => self.within((rank - 1.0).max(0.0) / count),
            Bucket::Zero | Bucket::Positive(_) => self.within(rank / count),
        }
    }

    /// What lies so far up between its bounds, along the exponent: 0 is the lower one, 1 the upper.
    fn within(self, share: f64) -> f64 {
        match self {
            Bucket::Negative(Reverse(exponent)) => -(f64::from(exponent) - share).exp2(),
            Bucket::Zero => 0.0,
            Bucket::Positive(exponent) => (f64::from(exponent) - 1.0 + share).exp2(),
        }
    }

    fn upper(self) -> f64 {
        self.within(1.0)
    }
}

/// Of the least power of two that is no less than a positive value.
fn exponent(value: f64) -> i16 {
    const DIGITS: u32 = f64::MANTISSA_DIGITS - 1;
    // The least numbers have no exponent of their own.
    let (value, shift) = if value < f64::MIN_POSITIVE { (value * 64f64.exp2(), 64) } else { (value, 0) };
    let bits = value.to_bits();
    let is_whole_power = bits.trailing_zeros() >= DIGITS;
    let field = i16::try_from(bits >> DIGITS).unwrap_or(i16::MAX);
    field - 1023 - shift + i16::from(!is_whole_power)
}

/// The value at a rank, interpolated within its power of two (O2).
fn quantile_of(powers: &BTreeMap<Bucket, f64>, quantile: f64) -> f64 {
    let total: f64 = powers.values().sum();
    let rank = (quantile * total).ceil().min(total).max(1.0);
    let mut before = 0.0;
    for (power, &count) in powers {
        if before + count >= rank {
            return power.at(rank - before, count);
        }
        before += count;
    }
    powers.last_key_value().map_or(f64::NAN, |(power, _)| power.upper())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn o2_quantiles_are_interpolated_along_the_exponent() {
        assert_eq!([1.0, 2.0, 3.0, 4.0, 1024.0, 1025.0].map(exponent), [0, 1, 2, 2, 10, 11]);
        assert_eq!(
            [0.1, 0.125, 0.5, 0.75, f64::MIN_POSITIVE, f64::from_bits(1)].map(exponent),
            [-3, -3, -1, 0, -1022, -1074]
        );
        assert_eq!([f64::MAX, f64::INFINITY].map(exponent), [1024, 1024]);
        let powers = BTreeMap::from([(Bucket::of(8.0), 2.0), (Bucket::of(1024.0), 2.0)]);
        assert_eq!(quantile_of(&powers, 1.0), 1024.0);
        assert_eq!(quantile_of(&powers, 0.5), 8.0);
        assert_eq!(quantile_of(&powers, 0.0), 2.5f64.exp2());
        assert_eq!(quantile_of(&powers, 0.75), 9.5f64.exp2());
    }

    proptest! {
        #[test]
        fn o2_a_quantile_is_within_a_factor_of_two(
            values in proptest::collection::vec(prop_oneof![Just(0.0), -1e3..1e3f64, -1e-6..1e-6f64], 1..60), rank in 0.0..=1.0f64,
        ) {
            let mut powers: BTreeMap<Bucket, f64> = BTreeMap::new();
            values.iter().for_each(|value| *powers.entry(Bucket::of(*value)).or_default() += 1.0);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let place = ((rank * values.len() as f64).ceil().max(1.0) as usize).min(values.len());
            let (exact, told) = (sorted[place - 1], quantile_of(&powers, rank));
            prop_assert!(exact.signum() == told.signum() || exact == 0.0, "{told} is not {exact}");
            prop_assert!(told.abs() <= 2.0 * exact.abs() && told.abs() >= exact.abs() / 2.0, "{told} is not {exact}");
        }
    }
}
