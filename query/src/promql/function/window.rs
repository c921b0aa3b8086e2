//! What does a function over ranges see? The samples of one series, for one step.

use crate::promql::ast::{Extension, Span};
use crate::promql::note::{Note, Notes};
use crate::series::{Histogram, Labels, Sample, Stand, Value};
use std::sync::Arc;

/// What holds of the samples of a series, found out once for all its steps.
pub(crate) struct Nature {
    only_numbers: bool,
    has_starts: bool,
    /// Places of samples behind which a smaller number stands.
    falls: Vec<usize>,
}

impl Nature {
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let falls = |(a, b): (&Sample, &Sample)| match (&a.value, &b.value) {
            (Value::Float(a), Value::Float(b)) => b < a,
            _ => false,
        };
        let pairs = (0..).zip(samples.iter().zip(samples.iter().skip(1)));
        Nature {
            only_numbers: samples.iter().all(|sample| sample.value.float().is_some()),
            has_starts: samples.iter().any(|sample| sample.start != 0),
            falls: pairs.filter(|(_, pair)| falls(*pair)).map(|(place, _)| place).collect(),
        }
    }
}

/// Samples of a range, never none. With an extension there are samples beyond the range too.
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [Sample],
    /// What they say of samples that were left out.
    pub(crate) stands: &'a [Stand],
    /// Of the whole series, and where in that the first sample stands.
    pub(crate) nature: &'a Nature,
    pub(crate) first: usize,
    /// The range itself.
    pub(crate) exact: crate::promql::eval::Span,
    /// The step's time.
    pub(crate) time: i64,
    pub(crate) extension: Option<Extension>,
    /// Whether the start times of samples say where counters began anew.
    pub(crate) knows_starts: bool,
    pub(crate) labels: &'a Labels,
    /// The arguments that are numbers.
    pub(crate) args: &'a [f64],
    /// The place of the first argument, for notes.
    pub(crate) span: Span,
    pub(crate) notes: &'a mut Notes,
}

impl<'a> Window<'a> {
    /// Numbers with their times.
    pub(crate) fn floats(&self) -> Vec<(i64, f64)> {
        self.samples.iter().filter_map(|sample| Some((sample.time, sample.value.float()?))).collect()
    }

    /// How many samples there were.
    pub(crate) fn count(&self) -> u64 {
        let told: u64 = self.stands.iter().map(|stand| stand.count).sum();
        (self.samples.len().saturating_sub(self.stands.len()) as u64).saturating_add(told)
    }

    /// Sums and counts of numbers that make up all that there were.
    pub(crate) fn sums(&self) -> Vec<(f64, u64)> {
        let mut stands = self.stands.iter().peekable();
        let floats = self.floats().into_iter();
        let sums = floats.map(|(time, value)| {
            while stands.next_if(|stand| stand.time < time).is_some() {}
            match stands.peek().filter(|stand| stand.time == time) {
                None => (value, 1),
                Some(Stand { count: 0, .. }) => (0.0, 0),
                Some(stand) => (stand.sum.unwrap_or(value * stand.count as f64), stand.count),
            }
        });
        sums.filter(|(_, count)| *count > 0).collect()
    }

    /// Histograms with their times.
    pub(crate) fn histograms(&self) -> Vec<(i64, &'a Arc<Histogram>)> {
        self.samples.iter().filter_map(|sample| Some((sample.time, sample.value.histogram()?))).collect()
    }

    /// Whether there are numbers alone, and no start time that says something.
    pub(crate) fn is_plain(&self) -> bool {
        self.nature.only_numbers && !(self.knows_starts && self.nature.has_starts)
    }

    /// The numbers of the range behind which a smaller one stands in it.
    pub(crate) fn peaks(&self) -> impl Iterator<Item = f64> {
        let falls = &self.nature.falls;
        let last = (self.first + self.samples.len()).saturating_sub(1);
        let from = falls.partition_point(|place| *place < self.first);
        let inside = falls.get(from..).unwrap_or_default().iter().take_while(move |place| **place < last);
        inside.filter_map(|place| self.samples.get(place.checked_sub(self.first)?)?.value.float())
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.nature.only_numbers && self.samples.iter().any(|sample| matches!(sample.value, Value::Histogram(_)))
    }

    /// Whether there are numbers and histograms; then there is a note.
    pub(crate) fn is_mixed(&mut self) -> bool {
        if self.nature.only_numbers {
            return false;
        }
        let histograms = self.samples.iter().filter(|sample| sample.value.histogram().is_some()).count();
        let is_mixed = histograms != 0 && histograms != self.samples.len();
        if is_mixed {
            self.note(Note::mixed(self.labels, self.span));
        }
        is_mixed
    }

    /// The numbers, at least so many; what else there is is left out with a note.
    pub(crate) fn numbers(&mut self, least: usize) -> Option<Vec<(i64, f64)>> {
        let floats = self.floats();
        if !floats.is_empty() && floats.len() < self.samples.len() {
            self.note(Note::ignored_in_range(self.labels, self.span));
        }
        (floats.len() >= least).then_some(floats)
    }

    /// An argument that is a number.
    pub(crate) fn arg(&self, place: usize) -> f64 {
        self.args.get(place).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.notes.add(note);
    }
}
