//! Which samples of a series stand for all those of a window?
//!
//! D1  A sample that stays is one that came, at its time, with all of its fields: nothing is interpolated.
//! D2  Of each window the first and the last sample stay, and the marker of the series' end where that is behind them; and both
//!     sides of each place where a counter began anew. So what a counter rose by between two ends of windows, and how often it began
//!     anew, is what it was; and so it is for each count of a histogram.
//! D3  The last sample of a window that stays says for how many it stands, the others that they are among those. Of numbers it says
//!     their sum, too, and the least and the greatest where those may not be among what stays.
//! D4  Of numbers that each say what came since the one before, the same stays as of a gauge: their sum is told. Where one does not say since
//!     when, the window stays as it is, for who divides by the time since the sample before. So do histograms of that kind, whose
//!     sum has no field, and windows with one sample.
//! D5  Of a window's exemplars some stay, from the least to the greatest value, with its last sample.
//!
//! What a sample stands for is in fields that it has no other use for: of numbers `count`, `sum`, `min`, `max`, of all others
//! `value_int` for the count.
//!
//! Not here: which blocks are thinned when (`compaction`).

use super::field;
use super::resolution::Resolution;
use super::samples::{Cells, Numbers, Samples};
use super::series::Series;
use crate::model::attribute::{Map, Value};
use crate::model::record::{self, Exemplar, Number};
use crate::model::verbatim::{FLOAT_COUNTS, ResetHint, Role, STALE_BITS, TYPE_KEY};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// OTLP's numbers of what a metric is, and of delta temporality.
const GAUGE: i32 = 1;
const SUM: i32 = 2;
const DELTA: i32 = 1;
/// OTLP's flag of a point that says that there is none.
const NO_RECORDED_VALUE: u32 = 1;
/// Exemplars of a window that stay.
const MOST_EXEMPLARS: usize = 8;
/// What may be a counter or not is taken for one in windows where at most one of so many samples falls, or so few at all.
const FEW: usize = 8;
const FEWEST: usize = 2;

/// What is known of a series that decides what stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Every sample (D4).
    Whole,
    /// Its samples are no measurements; the last of each window stays.
    Beside,
    Numbers(Falls),
    /// Numbers since the sample before.
    Changes,
    /// Histograms and summaries, which count.
    Counts,
}

/// Which places stay at which a number falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Falls {
    All,
    IfFew,
    None,
}

impl Kind {
    fn is_number(self) -> bool {
        matches!(self, Kind::Numbers(_) | Kind::Changes)
    }

    fn of(series: &Series) -> Kind {
        let role = Role::of(&series.scope);
        if role.is_some_and(|role| role != Role::Samples) {
            return Kind::Beside;
        }
        let is_number = matches!(series.r#type, GAUGE | SUM);
        if series.temporality == DELTA {
            return if is_number { Kind::Changes } else { Kind::Whole };
        }
        if !is_number {
            return Kind::Counts;
        }
        if series.is_monotonic {
            return Kind::Numbers(Falls::All);
        }
        if role.is_none() {
            return Kind::Numbers(Falls::None);
        }
        Kind::Numbers(match Map::new(&series.metadata).get(TYPE_KEY) {
            Some(Value::String("histogram" | "counter")) => Falls::All,
            Some(Value::String("gauge" | "gaugehistogram" | "info" | "stateset")) => Falls::None,
            _ => Falls::IfFew,
        })
    }
}

/// A sample that stays.
#[derive(Debug, Clone, Default, PartialEq)]
struct Kept {
    row: usize,
    stands: Option<Stands>,
    exemplars: Vec<u8>,
}

/// What it stands for (D3).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Stands {
    count: u64,
    sum: Option<f64>,
    range: Option<(f64, f64)>,
}

/// The samples that stay of those of a series, which ascend by time.
pub(crate) fn thinned(series: &Series, samples: Samples, resolution: Resolution) -> Samples {
    let kind = Kind::of(series);
    if kind == Kind::Whole || resolution.is_raw() {
        return samples;
    }
    let mut kept = Vec::new();
    let mut start = 0;
    while let Some(&time) = samples.times.get(start) {
        let window = resolution.window(time);
        let rest = samples.times.get(start..).unwrap_or_default();
        let end = start + rest.partition_point(|time| resolution.window(*time) == window).max(1);
        keep_window(&samples, start..end, kind, &mut kept);
        start = end;
    }
    built(&samples, kind, kept)
}

fn keep_window(samples: &Samples, rows: Range<usize>, kind: Kind, kept: &mut Vec<Kept>) {
    // Of two samples of one millisecond the later one counts.
    let millisecond = |row: usize| samples.times.get(row).map(|time| time.div_euclid(1_000_000));
    let told = rows.clone().filter(|row| row + 1 == rows.end || millisecond(*row) != millisecond(row + 1));
    let told: Vec<usize> = told.collect();
    let Some(&last) = told.last() else { return };
    let exemplars = exemplars(samples, rows);
    if kind == Kind::Beside {
        return kept.push(Kept { row: last, stands: None, exemplars });
    }
    let living: Vec<usize> = told.iter().copied().filter(|row| !is_gone(samples, *row)).collect();
    let at = kept.len();
    if let (Some(&first), Some(&newest)) = (living.first(), living.last()) {
        let places = anew(samples, kind, &living);
        let keeps = match kind {
            Kind::Numbers(Falls::None) | Kind::Changes => false,
            Kind::Numbers(Falls::IfFew) => places.len() <= (living.len() / FEW).max(FEWEST),
            _ => true,
        };
        let mut stay = BTreeSet::from([first, newest]);
        if kind == Kind::Changes && living.iter().any(|row| samples.start_time(*row).is_none()) {
            stay.extend(&living);
        } else if keeps {
            stay.extend(places.iter().flat_map(|(before, after)| [*before, *after]));
        }
        let left_out = stay.len() < living.len();
        for row in stay {
            let among = Stands::default();
            let stands = if row == newest { stands(samples, kind, &living, keeps || places.is_empty()) } else { among };
            kept.push(Kept { row, stands: left_out.then_some(stands), exemplars: Vec::new() });
        }
    }
    if living.last() != Some(&last) {
        kept.push(Kept { row: last, ..Kept::default() });
    }
    if let Some(holder) = kept.get_mut(at..).and_then(|of_window| of_window.last_mut()) {
        holder.exemplars = exemplars;
    }
}

fn stands(samples: &Samples, kind: Kind, living: &[usize], has_extremes: bool) -> Stands {
    let count = living.len() as u64;
    if !kind.is_number() {
        return Stands { count, ..Stands::default() };
    }
    let values = || living.iter().filter_map(|row| number(samples, *row));
    let range = (values().fold(f64::NAN, f64::min), values().fold(f64::NAN, f64::max));
    Stands { count, sum: Some(total(values())), range: (!has_extremes).then_some(range) }
}

/// A sum whose error does not grow with the number of terms (Neumaier's).
fn total(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    if lost.is_finite() { sum + lost } else { sum }
}

fn number(samples: &Samples, row: usize) -> Option<f64> {
    Some(match samples.value(row)? {
        Number::Double(value) => value,
        Number::Int(value) => value as f64,
    })
}

/// Whether a sample says that there is none.
fn is_gone(samples: &Samples, row: usize) -> bool {
    let is_stale = |value: f64| value.to_bits() == STALE_BITS;
    let counts = || samples.count(row).is_some();
    samples.flags(row) & NO_RECORDED_VALUE != 0
        || match samples.value(row) {
            Some(Number::Double(value)) => is_stale(value),
            Some(Number::Int(_)) => false,
            None => !counts() || samples.sum(row).is_some_and(is_stale),
        }
}

/// Neighbours among some rows between which a counter may have begun anew.
fn anew(samples: &Samples, kind: Kind, living: &[usize]) -> Vec<(usize, usize)> {
    let pairs = living.iter().copied().zip(living.iter().copied().skip(1));
    let is_anew = |(before, after): &(usize, usize)| match kind {
        Kind::Numbers(_) | Kind::Changes => {
            samples.start_time(*before) != samples.start_time(*after)
                || !number(samples, *before).zip(number(samples, *after)).is_some_and(|(before, after)| before <= after)
        }
        _ => !counted_on(samples, *before, *after),
    };
    pairs.filter(is_anew).collect()
}

/// Whether a histogram or summary is certain to have counted on from one row to another. What is no counter counts on always.
fn counted_on(samples: &Samples, before: usize, after: usize) -> bool {
    let (flags, earlier_flags) = (samples.flags(after), samples.flags(before));
    match ResetHint::of(flags) {
        ResetHint::Gauge if ResetHint::of(earlier_flags) == ResetHint::Gauge => return true,
        ResetHint::Gauge | ResetHint::Reset => return false,
        ResetHint::Unknown | ResetHint::NotReset => {}
    }
    let is_float = flags & FLOAT_COUNTS != 0;
    let rose = |before: u64, after: u64| match is_float {
        true => f64::from_bits(before) <= f64::from_bits(after),
        false => before <= after,
    };
    let both = |number: fn(&Samples, usize) -> Option<u64>| match (number(samples, before), number(samples, after)) {
        (None, None) => true,
        (Some(before), Some(after)) => rose(before, after),
        _ => false,
    };
    let sums = match (samples.sum(before), samples.sum(after)) {
        (None, None) => true,
        (Some(before), Some(after)) => before <= after,
        _ => false,
    };
    let bits = |row: usize| samples.zero_threshold(row).map(f64::to_bits);
    flags & FLOAT_COUNTS == earlier_flags & FLOAT_COUNTS
        && samples.start_time(before) == samples.start_time(after)
        && both(Samples::count)
        && both(Samples::zero_count)
        && sums
        && samples.scale(before) == samples.scale(after)
        && bits(before) == bits(after)
        && samples.explicit_bounds(before) == samples.explicit_bounds(after)
        && lists_rose(samples.bucket_counts(before), samples.bucket_counts(after), rose)
        && buckets_rose(samples.positive(before), samples.positive(after), rose)
        && buckets_rose(samples.negative(before), samples.negative(after), rose)
}

fn lists_rose(before: &[u8], after: &[u8], rose: impl Fn(u64, u64) -> bool) -> bool {
    let (mut before, mut after) = (record::counts(before), record::counts(after));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return true,
            (Some(before), Some(after)) if rose(before, after) => {}
            _ => return false,
        }
    }
}

fn buckets_rose(before: &[u8], after: &[u8], rose: impl Fn(u64, u64) -> bool) -> bool {
    let (offset, counts) = record::buckets(after);
    let now: BTreeMap<i64, u64> = (i64::from(offset)..).zip(counts).collect();
    let (offset, counts) = record::buckets(before);
    let mut earlier = (i64::from(offset)..).zip(counts);
    earlier.all(|(index, count)| rose(count, now.get(&index).copied().unwrap_or(0)))
}

/// Some of the exemplars of rows (D5), as a cell.
fn exemplars(samples: &Samples, rows: Range<usize>) -> Vec<u8> {
    let mut all: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    for exemplar in rows.flat_map(|row| Exemplar::list(samples.exemplars(row))) {
        let mut cell = Vec::new();
        exemplar.put(&mut cell);
        let value = match exemplar.value {
            Some(Number::Double(value)) => value,
            Some(Number::Int(value)) => value as f64,
            None => f64::NAN,
        };
        all.insert(cell, value);
    }
    let mut all: Vec<(Vec<u8>, f64)> = all.into_iter().collect();
    if all.len() <= MOST_EXEMPLARS {
        return all.into_iter().flat_map(|(cell, _)| cell).collect();
    }
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    let places = (0..MOST_EXEMPLARS).map(|place| place * (all.len() - 1) / (MOST_EXEMPLARS - 1));
    places.filter_map(|place| all.get(place)).flat_map(|(cell, _)| cell.iter().copied()).collect()
}

fn built(samples: &Samples, kind: Kind, kept: Vec<Kept>) -> Samples {
    let rows: Vec<usize> = kept.iter().map(|kept| kept.row).collect();
    let mut built = samples.take(&rows);
    let is_number = kind.is_number();
    let places: &[usize] = match kind {
        Kind::Numbers(_) | Kind::Changes => &[field::COUNT, field::SUM, field::MIN, field::MAX],
        Kind::Counts => &[field::VALUE_INT],
        Kind::Whole | Kind::Beside => &[],
    };
    for place in places {
        built.numbers[*place] = Numbers::default();
    }
    built.cells[field::EXEMPLARS] = Cells::default();
    for (row, kept) in kept.iter().enumerate() {
        if !kept.exemplars.is_empty() {
            built.cells[field::EXEMPLARS].set(row, &kept.exemplars);
        }
        let Some(stands) = kept.stands else { continue };
        if !is_number {
            built.numbers[field::VALUE_INT].set(row, stands.count);
            continue;
        }
        let (min, max) = stands.range.unzip();
        let doubles = [(field::SUM, stands.sum), (field::MIN, min), (field::MAX, max)];
        built.numbers[field::COUNT].set(row, stands.count);
        for (place, value) in doubles {
            value.into_iter().for_each(|value| built.numbers[place].set(row, value.to_bits()));
        }
    }
    built
}

#[cfg(test)]
mod tests;
