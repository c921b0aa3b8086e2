//! How many spans, how many failed, how long did they take? Three strips over one axis of steps.
//!
//! SP1  A step is open on its left and closed on its right, as TraceQL's are; all strips have the same steps.
//! SP2  Rows of the heat map are powers of two without a hole between the shortest and the longest.
//! SP3  Spans that took no time, or a nanosecond, are counted and in no row: one of them would press all others together.
//!
//! Not here: what is drawn of it.

use super::scale;
use super::tempo::{self, Ranged, Series};
use super::time::Range;

/// Steps wanted: each is a few pixels wide.
const STEPS: usize = 120;
const MILLISECOND: i64 = 1_000_000;
/// Rows of the heat map at most: from a nanosecond to a week.
const ROWS: usize = 64;

/// The strips.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Strips {
    /// Left end of the first step.
    pub start: i64,
    /// Length of a step.
    pub step: i64,
    /// Spans per second in each step.
    pub rate: Vec<f64>,
    /// Of those, with status error.
    pub errors: Vec<f64>,
    /// Edges of the rows in nanoseconds, rising; one more than rows.
    pub edges: Vec<f64>,
    /// Spans by step and row.
    pub cells: Vec<Vec<f64>>,
    /// Spans that took no time.
    pub instant: f64,
}

/// The length of a step: a round one.
pub fn step(range: Range) -> i64 {
    let (step, _) = scale::time_ticks(range.start, range.end, STEPS, 0);
    step.max(MILLISECOND)
}

/// The hint of a query that counts what was kept for as many as it stands for.
pub const EXTRAPOLATED: &str = " with(extrapolate=true)";

/// What is asked for the first two strips, of spans, with a hint or none.
pub fn rates(spans: &str, range: Range, hint: &str) -> String {
    tempo::range_request(&format!("{spans} | rate() by (status){hint}"), range, step(range))
}

/// What is asked for the heat map.
pub fn durations(spans: &str, range: Range, hint: &str) -> String {
    tempo::range_request(&format!("{spans} | histogram_over_time(duration){hint}"), range, step(range))
}

impl Strips {
    /// From both answers; the heat map may be missing.
    pub fn new(range: Range, rates: &Ranged, durations: Option<&Ranged>) -> Strips {
        let step = step(range);
        let start = range.start.div_euclid(step).saturating_mul(step);
        let count = (range.end.saturating_sub(start).saturating_add(step - 1) / step).clamp(1, 2_000) as usize;
        let mut strips = Strips { start, step, rate: vec![0.0; count], errors: vec![0.0; count], ..Strips::default() };
        for series in &rates.series {
            let failed = tempo::label(&series.labels, "status") == "error";
            strips.each(series, |strips, at, value| {
                strips.rate[at] += value;
                if failed {
                    strips.errors[at] += value;
                }
            });
        }
        strips.heat(durations);
        strips
    }

    fn heat(&mut self, durations: Option<&Ranged>) {
        let bucket = |series: &Series| series.bucket().filter(|seconds| *seconds > 0.0);
        let power = |seconds: f64| (seconds * 1e9).log2().round() as i32;
        let series: Vec<(i32, &Series)> = durations
            .iter()
            .flat_map(|durations| &durations.series)
            .filter(|series| series.samples.iter().any(|sample| sample.value > 0.0))
            .filter_map(|series| Some((power(bucket(series)?), series)))
            .collect();
        let (series, instant): (Vec<_>, Vec<_>) = series.into_iter().partition(|(power, _)| *power > 0);
        let all = instant.iter().flat_map(|(_, series)| &series.samples).map(|sample| sample.value);
        self.instant = all.filter(|value| value.is_finite()).sum();
        let (Some(low), Some(high)) =
            (series.iter().map(|(power, _)| *power).min(), series.iter().map(|(power, _)| *power).max())
        else {
            return;
        };
        let rows = ((high - low) as usize + 1).min(ROWS);
        self.edges = (0..=rows).map(|row| 2f64.powi(low - 1 + row as i32)).collect();
        self.cells = vec![vec![0.0; rows]; self.rate.len()];
        for (power, series) in series {
            let row = ((power - low) as usize).min(rows - 1);
            self.each(series, |strips, at, value| strips.cells[at][row] += value);
        }
    }

    fn each(&mut self, series: &Series, mut put: impl FnMut(&mut Strips, usize, f64)) {
        for sample in series.samples.iter().filter(|sample| sample.value.is_finite()) {
            let end = sample.timestamp_ms.saturating_mul(MILLISECOND);
            if let Some(at) = self.index(end) {
                put(self, at, sample.value);
            }
        }
    }

    /// The step of a moment.
    pub fn index(&self, time: i64) -> Option<usize> {
        let index = time.checked_sub(self.start)?.checked_sub(1)?.div_euclid(self.step);
        usize::try_from(index).ok().filter(|index| *index < self.rate.len())
    }

    /// Left end of a step.
    pub fn time(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    /// Right end of the last step.
    pub fn end(&self) -> i64 {
        self.time(self.rate.len())
    }

    /// The fullest cell.
    pub fn fullest(&self) -> f64 {
        self.cells.iter().flatten().copied().fold(0.0, f64::max)
    }

    /// The duration at a height of the heat map: 0 is its foot, 1 its top.
    pub fn duration(&self, height: f64) -> f64 {
        let rows = self.edges.len().saturating_sub(1) as f64;
        self.edges.first().map_or(0.0, |low| low * 2f64.powf(height.clamp(0.0, 1.0) * rows))
    }

    /// The height of a duration.
    pub fn height(&self, nanos: f64) -> f64 {
        let rows = self.edges.len().saturating_sub(1).max(1) as f64;
        self.edges.first().map_or(0.0, |low| ((nanos / low).log2() / rows).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use query_api::otlp::{AnyValue, KeyValue};
    use tempo::Sample;

    const SECOND: i64 = 1_000_000_000;

    fn series(key: &str, value: AnyValue, samples: &[(i64, f64)]) -> Series {
        let sample = |(second, value): &(i64, f64)| Sample { timestamp_ms: second * 1_000, value: *value };
        let labels = vec![KeyValue { key: key.into(), value }];
        Series { labels, samples: samples.iter().map(sample).collect(), ..Series::default() }
    }

    fn ranged(series: Vec<Series>) -> Ranged {
        Ranged { series, ..Ranged::default() }
    }

    #[test]
    fn samples_fall_into_the_step_that_they_end() {
        let range = Range { start: 5 * SECOND, end: 125 * SECOND };
        assert_eq!(step(range), SECOND);
        let status = |word: &str| AnyValue::StringValue(word.into());
        let rates = ranged(vec![
            series("status", status("unset"), &[(6, 2.0), (125, 3.0), (126, 9.0)]),
            series("status", status("error"), &[(6, 1.0)]),
        ]);
        let bucket = |power: i32| AnyValue::DoubleValue(2f64.powi(power) / 1e9);
        let heat = ranged(vec![
            series("__bucket", bucket(20), &[(6, 1.0)]),
            series("__bucket", bucket(22), &[(6, 2.0), (7, f64::NAN)]),
            series("__bucket", bucket(30), &[(6, 0.0)]),
            series("__bucket", bucket(0), &[(6, 3.0)]),
        ]);
        let strips = Strips::new(range, &rates, Some(&heat));
        assert_eq!((strips.rate.len(), strips.rate[0], strips.errors[0], strips.rate[119]), (120, 3.0, 1.0, 3.0));
        assert_eq!(strips.instant, 3.0, "SP3");
        assert_eq!(strips.edges, [19, 20, 21, 22].map(|power| 2f64.powi(power)));
        assert_eq!(strips.cells[0], [1.0, 0.0, 2.0]);
        assert_eq!((strips.index(5 * SECOND), strips.index(5 * SECOND + 1)), (None, Some(0)));
        assert!((strips.height(strips.duration(0.4)) - 0.4).abs() < 1e-9);
    }

    #[test]
    fn without_durations_there_is_no_heat() {
        let strips = Strips::new(Range { start: 0, end: SECOND }, &Ranged::default(), None);
        assert_eq!((strips.edges.len(), strips.fullest(), strips.duration(0.5)), (0, 0.0, 0.0));
    }
}
