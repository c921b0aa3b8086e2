//! Which steps has a range of time?

use crate::error::{Error, Result};
use std::ops::RangeInclusive;
use storage::scan::TimeRange;

const SECOND: i64 = 1_000_000_000;
/// Steps of a series: more than a screen has columns.
const MOST_STEPS: i64 = 11_000;

/// Steps of equal length, each open on its left and closed on its right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Left end of the first step.
    start: i64,
    step: i64,
    count: usize,
}

impl Axis {
    /// The steps that cover a range; each ends at a multiple of its length.
    pub(crate) fn steps(range: TimeRange, step: i64) -> Result<Self> {
        if step <= 0 {
            return Err(Error::parameter("step", "a step takes some time"));
        }
        let start = range.start.saturating_sub(range.start.rem_euclid(step));
        let end = range.end.saturating_add((-range.end.rem_euclid(step)).rem_euclid(step));
        let count = end.saturating_sub(start) / step;
        if count > MOST_STEPS {
            let message = format!("the range has more than {MOST_STEPS} steps; ask for longer ones");
            return Err(Error::parameter("step", message));
        }
        Ok(Axis { start, step, count: usize::try_from(count).unwrap_or(0) })
    }

    /// One step that is the whole range.
    pub(crate) fn whole(range: TimeRange) -> Self {
        let step = range.end.saturating_sub(range.start).max(1);
        Axis { start: range.start.saturating_sub(1), step, count: 1 }
    }

    /// A length of which a range has about 240.
    pub(crate) fn usual_step(range: TimeRange) -> i64 {
        const ROUND: [i64; 6] = [3_600 * SECOND, 300 * SECOND, 60 * SECOND, 15 * SECOND, 5 * SECOND, SECOND];
        const FINE: i64 = 50_000_000;
        let about = range.end.saturating_sub(range.start) / 240;
        let unit = ROUND.into_iter().find(|unit| about >= *unit).unwrap_or(FINE);
        (about - about % unit).max(unit)
    }

    /// Spans that start in one of the steps.
    pub(crate) fn range(&self) -> TimeRange {
        let length = self.step.saturating_mul(i64::try_from(self.count).unwrap_or(i64::MAX));
        let start = self.start.saturating_add(1);
        TimeRange { start, end: start.saturating_add(length) }
    }

    /// How many steps there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The step of a time.
    pub(crate) fn place(&self, time: i64) -> Option<usize> {
        let offset = time.checked_sub(self.start)?.checked_sub(1)?;
        let place = usize::try_from(offset.div_euclid(self.step)).ok()?;
        (place < self.count).then_some(place)
    }

    /// The times of a step.
    pub(crate) fn times(&self, place: usize) -> RangeInclusive<i64> {
        let end = self.time(place);
        end.saturating_sub(self.step).saturating_add(1)..=end
    }

    /// The time that a step is told by.
    pub(crate) fn time(&self, place: usize) -> i64 {
        let steps = i64::try_from(place).unwrap_or(i64::MAX).saturating_add(1);
        self.start.saturating_add(self.step.saturating_mul(steps))
    }

    pub(crate) fn step_seconds(&self) -> f64 {
        self.step as f64 / SECOND as f64
    }

    pub(crate) fn step_nanos(&self) -> u64 {
        self.step.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_steps_are_closed_on_their_right_and_end_at_multiples() {
        let axis = Axis::steps(TimeRange { start: 95, end: 121 }, 10).unwrap();
        assert_eq!((axis.len(), axis.time(0), axis.time(3)), (4, 100, 130));
        assert_eq!(
            [90, 91, 100, 101, 130, 131].map(|time| axis.place(time)),
            [None, Some(0), Some(0), Some(1), Some(3), None]
        );
        assert_eq!(axis.range(), TimeRange { start: 91, end: 131 });
        assert_eq!((axis.times(0), axis.times(3)), (91..=100, 121..=130));
        let whole = Axis::whole(TimeRange { start: 95, end: 121 });
        assert_eq!(
            (whole.len(), whole.place(94), whole.place(95), whole.place(120), whole.place(121)),
            (1, None, Some(0), Some(0), None)
        );
        for (step, range) in [(0, 1), (1, 20_000)] {
            assert!(Axis::steps(TimeRange { start: 0, end: range }, step).is_err());
        }
        assert!(Axis::steps(TimeRange { start: i64::MIN, end: i64::MAX }, i64::MAX).is_ok());
    }

    #[test]
    fn usual_steps_are_round() {
        let hours = |hours: i64| Axis::usual_step(TimeRange { start: 0, end: hours * 3_600 * SECOND }) / SECOND;
        assert_eq!([1, 6, 24, 24 * 40].map(hours), [15, 60, 360 - 60, 14_400]);
        assert_eq!(Axis::usual_step(TimeRange { start: 0, end: 30 * SECOND }), 100_000_000);
    }
}
