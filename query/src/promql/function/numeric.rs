//! What does a function over ranges see where a series is nothing but numbers? Two slices for each step, found once for all series that
//! share their times.
//!
//! E1  Its answers are bit for bit those of the function that looks at any samples (`Window`).
//!
//! Not here: functions that note something or have further arguments; they look at windows.

use super::SAMPLES_PER_CHECK;
use super::over_time;
use super::rate::{self, Reach};
use crate::promql::eval::{Span, advanced};
use crate::promql::fault::Result;
use crate::series::{Numbers, Value};
use std::ops::Range;
use std::sync::Arc;

/// The numbers of a range, never none.
pub(super) struct Stretch<'a> {
    pub(super) values: &'a [f64],
    /// Numbers behind which a smaller one stands in the range, where the function asks for them.
    pub(super) peaks: &'a [Fall],
    /// How far they reach, where the function asks for it.
    pub(super) reach: Option<&'a Reach>,
}

/// Where a number is greater than the next one.
pub(super) struct Fall {
    place: usize,
    pub(super) from: f64,
}

/// A function of the numbers of a range.
#[derive(Clone, Copy)]
pub(super) struct Numeric {
    function: fn(&Stretch<'_>) -> Option<f64>,
    asks: Asks,
}

/// What of a range it asks for beside the numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    /// Where the range's ends are.
    Reach,
    /// That, and where a counter began anew.
    Falls,
}

/// The function of a name, where it has a form for numbers.
pub(super) fn find(name: &str) -> Option<Numeric> {
    let numeric = |function: fn(&Stretch<'_>) -> Option<f64>, asks| Some(Numeric { function, asks });
    match name {
        "rate" => numeric(rate::rate_of, Asks::Falls),
        "increase" => numeric(rate::increase_of, Asks::Falls),
        "delta" => numeric(rate::delta_of, Asks::Reach),
        "avg_over_time" => numeric(|range| Some(over_time::mean(range.values)), Asks::Nothing),
        "sum_over_time" => numeric(|range| Some(over_time::total(range.values)), Asks::Nothing),
        "max_over_time" => numeric(|range| over_time::greatest(range.values), Asks::Nothing),
        "min_over_time" => numeric(|range| over_time::least(range.values), Asks::Nothing),
        "count_over_time" => numeric(|range| Some(range.values.len() as f64), Asks::Nothing),
        "last_over_time" => numeric(|range| range.values.last().copied(), Asks::Nothing),
        "present_over_time" => numeric(|_| Some(1.0), Asks::Nothing),
        _ => None,
    }
}

/// Where the ranges of a query lie in some times.
struct Layout {
    times: Arc<[i64]>,
    ranges: Vec<Range<usize>>,
    reaches: Vec<Reach>,
}

/// Calls a function for the ranges of one series after the other.
pub(super) struct Ranges {
    numeric: Numeric,
    layout: Option<Layout>,
}

impl Ranges {
    pub(super) fn new(numeric: Numeric) -> Self {
        Ranges { numeric, layout: None }
    }

    /// What a function makes of each range of a series. `check` is asked now and then whether to go on.
    pub(super) fn cells(
        &mut self,
        spans: &[Span],
        numbers: &Numbers,
        check: impl Fn() -> Result<()>,
    ) -> Result<Vec<Option<Value>>> {
        let asks = self.numeric.asks;
        if self.layout.as_ref().is_none_or(|layout| !Arc::ptr_eq(&layout.times, &numbers.times)) {
            self.layout = Some(Layout::new(spans, &numbers.times, asks));
        }
        let Some(layout) = &self.layout else { return Ok(Vec::new()) };
        let falls = if asks == Asks::Falls { falls(&numbers.values) } else { Vec::new() };
        let cell = |step: usize, range: &Range<usize>| {
            let values = numbers.values.get(range.clone()).filter(|values| !values.is_empty())?;
            let stretch = Stretch { values, peaks: within(&falls, range), reach: layout.reaches.get(step) };
            (self.numeric.function)(&stretch).map(Value::Float)
        };
        let (mut cells, mut looked_at) = (Vec::with_capacity(spans.len()), 0usize);
        for (step, range) in layout.ranges.iter().enumerate() {
            looked_at = looked_at.saturating_add(range.len());
            if looked_at > SAMPLES_PER_CHECK {
                looked_at = 0;
                check()?;
            }
            cells.push(cell(step, range));
        }
        Ok(cells)
    }
}

impl Layout {
    fn new(spans: &[Span], times: &Arc<[i64]>, asks: Asks) -> Self {
        let (mut from, mut to) = (0, 0);
        let ranges: Vec<Range<usize>> = spans
            .iter()
            .map(|span| {
                from = advanced(from, span.after, times, |time| *time);
                to = advanced(to, span.until, times, |time| *time);
                from..to.max(from)
            })
            .collect();
        let reach = |(range, span): (&Range<usize>, &Span)| {
            let of_range = times.get(range.clone()).unwrap_or_default();
            Reach::of(of_range, *span)
        };
        let reaches = match asks {
            Asks::Nothing => Vec::new(),
            Asks::Reach | Asks::Falls => ranges.iter().zip(spans).map(reach).collect(),
        };
        Layout { times: Arc::clone(times), ranges, reaches }
    }
}

/// Where numbers fall.
fn falls(values: &[f64]) -> Vec<Fall> {
    let neighbours = || values.iter().zip(values.get(1..).unwrap_or_default());
    // Most counters never do, and that none does is found out many at a time.
    if !neighbours().fold(false, |falls, (a, b)| falls | (b < a)) {
        return Vec::new();
    }
    let pairs = (0..).zip(neighbours());
    pairs.filter(|(_, (a, b))| b < a).map(|(place, (from, _))| Fall { place, from: *from }).collect()
}

/// Those within a range.
fn within<'f>(falls: &'f [Fall], range: &Range<usize>) -> &'f [Fall] {
    if falls.is_empty() {
        return &[];
    }
    let before = |place: usize| falls.partition_point(|fall| fall.place < place);
    let (from, to) = (before(range.start), before(range.end.saturating_sub(1)));
    falls.get(from..to.max(from)).unwrap_or_default()
}
