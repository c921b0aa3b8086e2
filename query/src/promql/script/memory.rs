//! Where are the series that a script loaded?

use crate::promql::fault::Result;
use crate::promql::regex::Matcher;
use crate::promql::source::{Reading, Source};
use crate::series::{Hint, Histogram, Labels, Sample, Selected, Value};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<Labels, BTreeMap<i64, Sample>>);

impl Memory {
    pub(super) fn add(&mut self, labels: &Labels, sample: Sample) {
        let samples = self.0.entry(labels.clone()).or_default();
        let before = samples.range(..sample.time).next_back().map(|(_, before)| &before.value);
        let value = match &sample.value {
            Value::Float(value) => Value::Float(*value),
            Value::Histogram(histogram) => {
                Histogram { hint: stored_hint(before, histogram), ..histogram.as_ref().clone() }.into()
            }
        };
        samples.insert(sample.time, Sample { value, ..sample });
    }
}

/// What Prometheus's store knows about a histogram that stands behind another. It begins a new chunk where a counter begins
/// anew or the buckets are other ones; of the first in a chunk it knows nothing.
fn stored_hint(before: Option<&Value>, histogram: &Histogram) -> Hint {
    if histogram.hint == Hint::Gauge {
        return Hint::Gauge;
    }
    let before = before.filter(|before| !before.is_stale()).and_then(Value::histogram);
    if before.is_some_and(|before| histogram.continues(before)) { Hint::NotReset } else { Hint::Unknown }
}

impl Source for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        _: Reading,
        each: &mut dyn FnMut(Selected) -> Result<()>,
    ) -> Result<()> {
        for (labels, samples) in &self.0 {
            if !matchers.iter().all(|matcher| matcher.accepts(labels.get(&matcher.label))) {
                continue;
            }
            let wanted = samples.values().filter(|sample| sample.time > after && sample.time <= until);
            let samples: Vec<Sample> = wanted.cloned().collect();
            if !samples.is_empty() {
                each(Selected::whole(labels.clone(), samples))?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn charge(&self, _: usize) -> Result<()> {
        Ok(())
    }

    fn release(&self, _: usize) {}
}
