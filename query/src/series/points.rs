//! How are the samples held that were read of a series? Where they are numbers and tell nothing more, as two columns, of which series that
//! were measured together share the times.
//!
//! O1  `Numbers` are by ascending time, each time once; none says when its counter began, and none that its series ended.
//!
//! Not here: what is asked of them (`promql`).

use super::sample::is_stale;
use super::{Labels, RawSeries, Sample, Thinning, Value};
use std::sync::Arc;

/// Numbers, and when they were measured (O1).
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) times: Arc<[i64]>,
    pub(crate) values: Vec<f64>,
}

impl Numbers {
    /// Numbers of which the times are as O1 says; the values again where one says that its series ended.
    pub(crate) fn new(times: Arc<[i64]>, values: Vec<f64>) -> Result<Self, Vec<f64>> {
        debug_assert!(times.is_sorted_by(|a, b| a < b) && times.len() == values.len(), "O1");
        let ends = values.iter().fold(false, |ends, value| ends | is_stale(*value));
        if ends { Err(values) } else { Ok(Numbers { times, values }) }
    }

    fn of(samples: &[Sample]) -> Option<Self> {
        let number = |sample: &Sample| sample.value.float().filter(|_| sample.start == 0);
        let values = samples.iter().map(number).collect::<Option<Vec<f64>>>()?;
        let times: Arc<[i64]> = samples.iter().map(|sample| sample.time).collect();
        if times.is_sorted_by(|a, b| a < b) { Numbers::new(times, values).ok() } else { None }
    }

    /// The same as samples.
    pub(crate) fn samples(&self) -> impl Iterator<Item = Sample> {
        let sample = |(time, value): (&i64, &f64)| Sample { time: *time, start: 0, value: Value::Float(*value) };
        self.times.iter().zip(&self.values).map(sample)
    }
}

/// Samples by ascending time.
#[derive(Debug, Clone)]
pub(crate) enum Points {
    Numbers(Numbers),
    Samples(Vec<Sample>),
}

impl Points {
    /// Samples as what they are.
    pub(crate) fn of(samples: Vec<Sample>) -> Self {
        Numbers::of(&samples).map_or(Points::Samples(samples), Points::Numbers)
    }

    /// All as samples.
    pub(crate) fn into_samples(self) -> Vec<Sample> {
        match self {
            Points::Numbers(numbers) => numbers.samples().collect(),
            Points::Samples(samples) => samples,
        }
    }

    /// As how many samples they count.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Points::Numbers(numbers) => numbers.values.len(),
            Points::Samples(samples) => samples.iter().map(|sample| sample.value.weight()).sum(),
        }
    }
}

/// A series that a selector selects.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) labels: Labels,
    pub(crate) points: Points,
    /// What they say of samples that were left out.
    pub(crate) thinning: Thinning,
    /// Whether they are of several stored series that labels do not tell apart, and that go on beside each other.
    pub(crate) is_mixed: bool,
}

impl Selected {
    /// A series of which every sample is there.
    #[cfg(test)]
    pub(crate) fn whole(labels: Labels, samples: Vec<Sample>) -> Self {
        Selected { labels, points: Points::of(samples), thinning: Thinning::default(), is_mixed: false }
    }

    /// The same with its samples one by one.
    pub(crate) fn raw(self) -> RawSeries {
        RawSeries::whole(self.labels, self.points.into_samples())
    }
}
