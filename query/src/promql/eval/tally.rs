//! How many samples did the steps of a query look at? As Prometheus tells it where `stats` is asked for.
//!
//! - A selector counts the sample that counts at a step, a range all in it; a histogram counts as several, by what it takes.
//! - What a subquery's own steps look at does not count, but the values that they gave, where a range of them is looked at.
//!
//! Not here: how many samples may be read and computed (`Settings::most_samples`).

use super::{Evaluator, Span};
use crate::promql::fault::Result;
use crate::series::{Points, Sample, Value};

/// Samples by the steps that looked at them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) by_step: Vec<u64>,
    /// Samples that were read, each once for each selector.
    pub(crate) read: u64,
}

impl Tally {
    pub(super) fn new(steps: usize) -> Self {
        Tally { by_step: vec![0; steps], read: 0 }
    }

    /// Samples that all steps looked at.
    pub(crate) fn total(&self) -> u64 {
        self.by_step.iter().sum()
    }

    fn add(&mut self, step: usize, samples: usize) {
        if let Some(own) = self.by_step.get_mut(step) {
            *own += u64::try_from(samples).unwrap_or(u64::MAX);
        }
    }
}

impl Evaluator<'_> {
    /// Takes note of samples that were read.
    pub(super) fn tally_read(&mut self, points: &Points) {
        if let Some(tally) = &mut self.tally {
            tally.read += u64::try_from(points.weight()).unwrap_or(u64::MAX);
        }
    }

    /// Takes note of what each step has.
    pub(super) fn tally_cells(&mut self, cells: &[Option<Value>]) {
        let Some(tally) = &mut self.tally else { return };
        for (step, cell) in cells.iter().enumerate() {
            tally.add(step, cell.as_ref().map_or(0, Value::weight));
        }
    }

    /// Takes note of what the one step of an answer has.
    pub(super) fn tally_samples(&mut self, samples: &[Sample]) {
        if let Some(tally) = &mut self.tally {
            tally.add(0, samples.iter().map(|sample| sample.value.weight()).sum());
        }
    }

    /// Takes note of what lies in the span of each step.
    pub(super) fn tally_spans(&mut self, points: &Points, spans: &[Span]) {
        let Some(tally) = &mut self.tally else { return };
        for (step, span) in spans.iter().enumerate() {
            let samples = match points {
                Points::Samples(samples) => span.of(samples).iter().map(|sample| sample.value.weight()).sum(),
                Points::Numbers(numbers) => {
                    let behind = |moment: i64| numbers.times.partition_point(|time| *time <= moment);
                    behind(span.until).saturating_sub(behind(span.after))
                }
            };
            tally.add(step, samples);
        }
    }

    /// Evaluates without taking note.
    pub(super) fn untold<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.tally.take();
        let done = part(self);
        self.tally = outer;
        done
    }

    /// Evaluates at one step what so many others repeat.
    pub(super) fn repeated<T>(&mut self, steps: usize, part: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.tally.take();
        self.tally = outer.as_ref().map(|_| Tally::new(1));
        let done = part(self);
        let inner = std::mem::replace(&mut self.tally, outer);
        if let (Some(tally), Some(inner)) = (&mut self.tally, inner) {
            tally.read += inner.read;
            let samples = usize::try_from(inner.total()).unwrap_or(usize::MAX);
            (0..steps).for_each(|step| tally.add(step, samples));
        }
        done
    }
}
