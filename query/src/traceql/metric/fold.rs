//! How do spans become values per step and group?
//!
//! O1  The order of spans does not matter, but for the last bits of sums.
//! O2  Quantiles and histograms count values by powers of two, as Tempo does; within one a quantile is interpolated along
//!     the exponent. Values up to one are counted by the power zero, where Tempo leaves them out.

use super::super::ast::{Intrinsic, Measure, Name, Scope, What};
use super::super::expression::Spot;
use super::super::span::Spans;
use super::super::value::Value;
use super::{Axis, Exemplar, Series, key_of};
use crate::error::Result;
use crate::exec::Control;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use storage::model::{SpanId, TraceId};

const NANOS: f64 = 1e9;

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

#[derive(Debug)]
struct Group {
    labels: Vec<Value<'static>>,
    steps: Vec<Fold>,
    /// Of each step the span with the least ids.
    examples: BTreeMap<usize, (TraceId, SpanId, i64, f64)>,
}

/// The values of one step.
#[derive(Debug, Clone, Default)]
struct Fold {
    count: f64,
    sum: f64,
    least: f64,
    most: f64,
    /// By exponent of two.
    powers: BTreeMap<u32, f64>,
}

impl<'q> Folding<'q> {
    pub(super) fn new(axis: Axis, measure: &'q Measure, by: &'q [Name], exemplars: usize) -> Self {
        Folding { axis, measure, by, exemplars, groups: HashMap::new(), key: String::new() }
    }

    fn group(&mut self, control: &Control, labels: Vec<Value<'_>>) -> Result<Option<&mut Group>> {
        self.key.clear();
        labels.iter().for_each(|label| put_key(&mut self.key, label));
        if !self.groups.contains_key(&self.key) {
            let steps = self.axis.len();
            control.charge(steps * size_of::<Fold>() + 3 * self.key.len() + size_of::<Group>())?;
            let labels = labels.into_iter().map(Value::into_owned).collect();
            let group = Group { labels, steps: vec![Fold::default(); steps], examples: BTreeMap::new() };
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
        if let Some(fold) = self.group(control, labels)?.and_then(|group| group.steps.get_mut(step)) {
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
                (value, by_power.then(|| exponent(raw)))
            }
        };
        let labels = self.by.iter().map(|name| spot.value(name)).collect();
        let wants_examples = self.exemplars > 0;
        let Some(group) = self.group(control, labels)? else { return Ok(()) };
        let Some(fold) = group.steps.get_mut(step) else { return Ok(()) };
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
            let kept = group.examples.entry(step).or_insert(example);
            if (example.0, example.1) < (kept.0, kept.1) {
                *kept = example;
            }
        }
        Ok(())
    }

    /// How many values the groups have.
    pub(super) fn values(&self) -> usize {
        let each = match self.measure {
            Measure::Quantile(_, quantiles) => quantiles.len(),
            // By powers of two.
            Measure::Histogram(_) => 64,
            _ => 1,
        };
        self.groups.len().saturating_mul(self.axis.len()).saturating_mul(each)
    }

    /// The series, by their labels.
    pub(super) fn series(&self) -> Vec<Series> {
        let mut series: Vec<Series> = self.groups.values().flat_map(|group| self.series_of(group)).collect();
        if self.groups.is_empty() && self.by.is_empty() && matches!(self.measure, Measure::Rate | Measure::Count) {
            // No spans are a rate of zero.
            let steps = vec![Fold::default(); self.axis.len()];
            series = self.series_of(&Group { labels: Vec::new(), steps, examples: BTreeMap::new() });
        }
        series.sort_by_cached_key(|series| key_of(&series.labels));
        series
    }

    fn series_of(&self, group: &Group) -> Vec<Series> {
        let mut labels: Vec<(String, Value<'static>)> =
            self.by.iter().map(ToString::to_string).zip(group.labels.iter().cloned()).collect();
        let values = |of: &dyn Fn(&Fold) -> f64| -> Vec<f64> {
            group.steps.iter().map(|fold| if fold.count > 0.0 { of(fold) } else { f64::NAN }).collect()
        };
        let with = |labels: &[(String, Value<'static>)], name: &str, value: f64| {
            let mut labels = labels.to_vec();
            labels.push((name.to_owned(), Value::Float(value)));
            labels
        };
        let named = match self.measure {
            Measure::Rate => {
                Some(("rate", group.steps.iter().map(|fold| fold.count / self.axis.step_seconds()).collect()))
            }
            Measure::Count => Some(("count_over_time", group.steps.iter().map(|fold| fold.count).collect())),
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
            let exemplars = self.exemplars_of(group, &values);
            return vec![Series { labels, values, exemplars }];
        }
        let scale = super::measured(self.measure).is_some_and(is_duration);
        let scaled = |value: f64| if scale { value / NANOS } else { value };
        match self.measure {
            Measure::Quantile(_, quantiles) => quantiles
                .iter()
                .map(|&quantile| {
                    let values = values(&|fold| scaled(quantile_of(&fold.powers, quantile)));
                    Series {
                        labels: with(&labels, "p", quantile),
                        exemplars: self.exemplars_of(group, &values),
                        values,
                    }
                })
                .collect(),
            _ => {
                let mut powers: Vec<u32> = group.steps.iter().flat_map(|fold| fold.powers.keys().copied()).collect();
                powers.sort_unstable();
                powers.dedup();
                let bucket = |power: u32| {
                    let values = group.steps.iter().map(|fold| fold.powers.get(&power).copied().unwrap_or(0.0));
                    let values: Vec<f64> = values.collect();
                    let labels = with(&labels, "__bucket", scaled(f64::from(power).exp2()));
                    Series { labels, exemplars: Vec::new(), values }
                };
                powers.into_iter().map(bucket).collect()
            }
        }
    }

    /// Exemplars, evenly chosen among the steps; where spans are counted, at the height of the count.
    fn exemplars_of(&self, group: &Group, values: &[f64]) -> Vec<Exemplar> {
        let every = group.examples.len().div_ceil(self.exemplars.max(1)).max(1);
        let chosen = group.examples.iter().step_by(every).take(self.exemplars);
        let exemplar = |(step, (trace, span, time, value)): (&usize, &(TraceId, SpanId, i64, f64))| Exemplar {
            trace: *trace,
            span: *span,
            time: *time,
            value: match self.measure {
                Measure::Rate | Measure::Count => values.get(*step).copied().unwrap_or(*value),
                _ => *value,
            },
        };
        chosen.map(exemplar).collect()
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

/// The least power of two that is no less than a value.
fn exponent(value: f64) -> u32 {
    if value <= 1.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive whole number; a cast saturates"
    )]
    let whole = value.ceil() as u64;
    u64::BITS - whole.saturating_sub(1).leading_zeros()
}

/// The value at a rank, interpolated within its power of two (O2).
fn quantile_of(powers: &BTreeMap<u32, f64>, quantile: f64) -> f64 {
    let total: f64 = powers.values().sum();
    let rank = (quantile * total).ceil().min(total).max(1.0);
    let mut before = 0.0;
    for (&power, &count) in powers {
        if before + count >= rank {
            let share = (rank - before) / count;
            return (f64::from(power) - 1.0 + share).exp2();
        }
        before += count;
    }
    powers.last_key_value().map_or(f64::NAN, |(power, _)| f64::from(*power).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o2_quantiles_are_interpolated_along_the_exponent() {
        assert_eq!([0.0, 1.0, 2.0, 3.0, 4.0, 1024.0, 1025.0].map(exponent), [0, 0, 1, 2, 2, 10, 11]);
        let powers = BTreeMap::from([(3, 2.0), (10, 2.0)]);
        assert_eq!(quantile_of(&powers, 1.0), 1024.0);
        assert_eq!(quantile_of(&powers, 0.5), 8.0);
        assert_eq!(quantile_of(&powers, 0.0), 2.5f64.exp2());
        assert_eq!(quantile_of(&powers, 0.75), 9.5f64.exp2());
    }
}
