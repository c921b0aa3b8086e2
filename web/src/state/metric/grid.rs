//! How do series with times of their own share one time axis? Their samples are averaged into equal steps.
//!
//! G1  Every step of every line is a value, a hole, or a real gap: a gap only where samples are missing that the
//!     series' own interval would have given.

use super::super::order;
use super::super::time::Range;
use super::rate::Sample;

/// Steps of a chart: about one every two pixels of a wide screen.
const STEPS: i64 = 480;

/// One step of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// The mean of the samples.
    Value(f64),
    /// Nothing fell here, but the line goes on.
    Hole,
    /// The series was silent.
    Gap,
}

/// A shared time axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Start of the first step.
    pub start: i64,
    /// Length of a step.
    pub step: i64,
    /// Steps.
    pub count: usize,
}

impl Grid {
    /// Equal steps over a range, at least a second each.
    pub fn over(range: Range) -> Grid {
        Grid::with_steps(range, STEPS)
    }

    /// At most so many equal steps, at least a second each.
    pub fn with_steps(range: Range, steps: i64) -> Grid {
        let length = range.length().max(1);
        let step = (length / steps.max(1)).max(1_000_000_000);
        Grid { start: range.start, step, count: (length.saturating_add(step - 1) / step).clamp(1, 10_000) as usize }
    }

    /// The step of a moment.
    pub fn index(&self, time: i64) -> Option<usize> {
        let index = time.checked_sub(self.start)?.div_euclid(self.step);
        usize::try_from(index).ok().filter(|index| *index < self.count)
    }

    /// The middle of a step.
    pub fn time(&self, index: usize) -> i64 {
        self.start.saturating_add((index as i64).saturating_mul(self.step)).saturating_add(self.step / 2)
    }

    /// Lays samples, sorted by time, on the grid.
    pub fn lay(&self, samples: &[Sample]) -> Vec<Cell> {
        let mut sums = vec![(0.0, 0u32); self.count];
        for (time, value) in samples.iter().filter(|(_, value)| value.is_finite()) {
            if let Some(index) = self.index(*time) {
                sums[index].0 += value;
                sums[index].1 += 1;
            }
        }
        let mut cells: Vec<Cell> = sums
            .into_iter()
            .map(|(sum, count)| if count == 0 { Cell::Hole } else { Cell::Value(sum / f64::from(count)) })
            .collect();
        let patience = (typical_interval(samples).saturating_mul(3) / self.step).max(1) as usize;
        let mut last = None;
        for index in 0..cells.len() {
            if matches!(cells[index], Cell::Value(_)) {
                if let Some(last) = last.filter(|last| index - last > patience) {
                    cells[last + 1..index].fill(Cell::Gap);
                }
                last = Some(index);
            }
        }
        cells
    }
}

/// The median distance between samples.
fn typical_interval(samples: &[Sample]) -> i64 {
    let intervals: Vec<i64> = samples.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
    order::median(&intervals).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn silence_is_a_gap_and_a_slow_beat_is_not() {
        let grid = Grid::over(Range { start: 0, end: 480 * S });
        assert_eq!((grid.step, grid.count), (S, 480));
        let times = [0, 60, 120, 180, 420];
        let cells = grid.lay(&times.map(|t| (t * S, 1.0)));
        assert_eq!(cells[1], Cell::Hole);
        assert_eq!(cells[60], Cell::Value(1.0));
        assert_eq!(cells[181], Cell::Gap);
        assert_eq!(cells[181..420], [Cell::Gap; 239]);
        assert_eq!(cells.iter().filter(|c| **c == Cell::Gap).count(), 239);
    }

    #[test]
    fn samples_of_one_step_are_averaged() {
        let grid = Grid::with_steps(Range { start: 0, end: 10 * S }, 1);
        assert_eq!(grid.lay(&[(S, 1.0), (2 * S, 3.0), (3 * S, f64::NAN), (99 * S, 7.0)]), [Cell::Value(2.0)]);
    }

    proptest! {
        #[test]
        fn any_range_and_samples_can_be_laid(start in proptest::num::i64::ANY, end in proptest::num::i64::ANY, times in proptest::collection::vec(proptest::num::i64::ANY, 0..10)) {
            let grid = Grid::over(Range { start, end });
            let mut samples: Vec<_> = times.into_iter().map(|t| (t, 1.0)).collect();
            samples.sort_by_key(|s| s.0);
            prop_assert_eq!(grid.lay(&samples).len(), grid.count);
        }
    }
}
