//! Which steps has a range of time, and of which spans does each tell?
//!
//! X1  A step tells of its own spans, or of those of a window of any length that ends with it (`trailing`). Then a step has two
//!     places where the window begins within one, so that a window is whole steps and the end of the one before: spans are put
//!     in places once, however many windows they are in.

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
    window: Option<Window>,
}

/// What each step tells of, where that is not its own spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Nanoseconds.
    length: i64,
    /// So many steps as a whole.
    pub(crate) whole: usize,
    /// So much of the end of the step before these.
    rest: i64,
    /// Steps before the first that is told.
    pub(crate) before: usize,
}

impl Window {
    /// Whether it begins within a step.
    pub(crate) fn splits(&self) -> bool {
        self.rest > 0
    }
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
        Ok(Axis { start, step, count: usize::try_from(count).unwrap_or(0), window: None })
    }

    /// Steps that end where the range begins and, from there on, not after its end. Each tells of the window that ends with
    /// it. It is asked without exemplars.
    pub(crate) fn trailing(range: TimeRange, step: i64, window: i64) -> Result<Self> {
        if step <= 0 || window <= 0 {
            return Err(Error::parameter("step", "a step and a window take some time"));
        }
        let (whole, rest) = (window / step, window % step);
        let before = whole + i64::from(rest > 0) - 1;
        let count = range.end.saturating_sub(range.start) / step + 1;
        if count.saturating_add(before) > MOST_STEPS {
            let message =
                format!("the range and the window before it have more than {MOST_STEPS} steps; ask for longer ones");
            return Err(Error::parameter("step", message));
        }
        let places = |count: i64| usize::try_from(count).unwrap_or(0);
        let window = Window { length: window, whole: places(whole), rest, before: places(before) };
        let start = range.start.saturating_sub(step.saturating_mul(before + 1));
        Ok(Axis { start, step, count: places(count), window: Some(window) })
    }

    /// One step that is the whole range.
    pub(crate) fn whole(range: TimeRange) -> Self {
        let step = range.end.saturating_sub(range.start).max(1);
        Axis { start: range.start.saturating_sub(1), step, count: 1, window: None }
    }

    /// A length of which a range has about 240.
    pub(crate) fn usual_step(range: TimeRange) -> i64 {
        const ROUND: [i64; 6] = [3_600 * SECOND, 300 * SECOND, 60 * SECOND, 15 * SECOND, 5 * SECOND, SECOND];
        const FINE: i64 = 50_000_000;
        let about = range.end.saturating_sub(range.start) / 240;
        let unit = ROUND.into_iter().find(|unit| about >= *unit).unwrap_or(FINE);
        (about - about % unit).max(unit)
    }

    /// Spans that start in one of the steps, or of their windows.
    pub(crate) fn range(&self) -> TimeRange {
        let last = i64::try_from(self.steps_read()).unwrap_or(i64::MAX);
        let end = self.start.saturating_add(self.step.saturating_mul(last)).saturating_add(1);
        let outside = self.window.filter(Window::splits).map_or(0, |window| self.step - window.rest);
        TimeRange { start: self.start.saturating_add(outside).saturating_add(1), end }
    }

    /// What each step tells of, where that is not its own spans.
    pub(crate) fn window(&self) -> Option<Window> {
        self.window
    }

    /// All steps, those before the first that is told included.
    pub(crate) fn steps_read(&self) -> usize {
        self.count + self.window.map_or(0, |window| window.before)
    }

    /// How many places spans have: one in each step, or two (X1).
    pub(crate) fn places(&self) -> usize {
        self.steps_read() * self.parts()
    }

    fn parts(&self) -> usize {
        1 + usize::from(self.window.is_some_and(|window| window.splits()))
    }

    /// How many steps are told.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The place of a time: its step, or its part of it.
    pub(crate) fn place(&self, time: i64) -> Option<usize> {
        let offset = time.checked_sub(self.start)?.checked_sub(1)?;
        let step = usize::try_from(offset.div_euclid(self.step)).ok()?;
        let in_rest = |window: Window| offset.rem_euclid(self.step) >= self.step - window.rest;
        let part = self.window.filter(Window::splits).map_or(0, |window| usize::from(in_rest(window)));
        (step < self.steps_read()).then_some(step * self.parts() + part)
    }

    /// The times of a place.
    pub(crate) fn times(&self, place: usize) -> RangeInclusive<i64> {
        let end = self.end(place / self.parts());
        let begin = end.saturating_sub(self.step).saturating_add(1);
        let Some(window) = self.window.filter(Window::splits) else { return begin..=end };
        let split = end.saturating_sub(window.rest);
        if place.is_multiple_of(2) { begin..=split } else { split.saturating_add(1)..=end }
    }

    /// The time that a step is told by.
    pub(crate) fn time(&self, place: usize) -> i64 {
        self.end(place.saturating_add(self.window.map_or(0, |window| window.before)))
    }

    fn end(&self, step: usize) -> i64 {
        let steps = i64::try_from(step).unwrap_or(i64::MAX).saturating_add(1);
        self.start.saturating_add(self.step.saturating_mul(steps))
    }

    /// How long the time is that a step tells of.
    pub(crate) fn told_seconds(&self) -> f64 {
        self.window.map_or(self.step, |window| window.length) as f64 / SECOND as f64
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
    fn x1_a_window_is_whole_steps_and_the_end_of_the_one_before() {
        let axis = Axis::trailing(TimeRange { start: 100, end: 125 }, 10, 25).unwrap();
        assert_eq!((axis.len(), axis.time(0), axis.time(2)), (3, 100, 120));
        assert_eq!((axis.steps_read(), axis.places()), (5, 10));
        assert_eq!(axis.range(), TimeRange { start: 76, end: 121 });
        assert_eq!(
            [70, 71, 75, 76, 80, 81, 120, 121].map(|time| axis.place(time)),
            [None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(9), None]
        );
        assert_eq!((axis.times(0), axis.times(1), axis.times(9)), (71..=75, 76..=80, 116..=120));
        let whole = Axis::trailing(TimeRange { start: 100, end: 125 }, 10, 20).unwrap();
        assert_eq!((whole.len(), whole.places(), whole.range()), (3, 4, TimeRange { start: 81, end: 121 }));
        for (step, window) in [(0, 1), (10, 0), (1, MOST_STEPS), (10, i64::MAX)] {
            assert!(Axis::trailing(TimeRange { start: 100, end: 125 }, step, window).is_err(), "{step} {window}");
        }
    }

    #[test]
    fn usual_steps_are_round() {
        let hours = |hours: i64| Axis::usual_step(TimeRange { start: 0, end: hours * 3_600 * SECOND }) / SECOND;
        assert_eq!([1, 6, 24, 24 * 40].map(hours), [15, 60, 360 - 60, 14_400]);
        assert_eq!(Axis::usual_step(TimeRange { start: 0, end: 30 * SECOND }), 100_000_000);
    }
}
